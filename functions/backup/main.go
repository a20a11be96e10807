// Backup is the Lambda function that keeps scheduled snapshots of one RDS instance: it takes one when its schedule says so,
// prunes the old ones, and reports how old the newest good one is.
//
//	EventBridge Scheduler ── {"action":"backup","scheduled_time":…} ──┐
//	EventBridge Scheduler ── {"action":"report"}, every hour ─────────┼──▶ handle ──▶ steps ──▶ RDS
//	terraform apply/destroy ─ {"action":"lifecycle","tf":{…}} ────────┘       └──▶ one line of metrics on stdout
//
// main.go reads the environment and starts; backup.go holds the events and the steps; metrics.go writes what CloudWatch
// turns into metrics. The function keeps no state: what it made it finds again by tag and name.
//
// The function imports no other package of the project, since its deployment hash covers this folder only.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/rds"
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
	b := &backup{settings: settings, rds: rds.NewFromConfig(aws), now: time.Now, metrics: os.Stdout, log: logger}
	lambda.Start(b.handle)
	return nil
}

// settings is what the environment says. Every field is required.
type settings struct {
	instance      string // DB_INSTANCE_IDENTIFIER: the instance to back up; lower case, as RDS stores it; 63 characters at most
	prefix        string // SNAPSHOT_PREFIX: how our snapshots' identifiers begin, before "-20261123-030000"; 239 characters at most
	backupOf      string // BACKUP_OF: value of the tag BackupOf, the stack's name; 256 characters at most
	retentionDays int    // RETENTION_DAYS: snapshots older than this are pruned; days, 1 to 36500
	minimum       int    // MINIMUM_SNAPSHOTS: how many available snapshots stay whatever their age; 1 or more
	namespace     string // METRIC_NAMESPACE: CloudWatch namespace of our metrics; 255 characters at most
}

var (
	// RDS stores identifiers in lower case. One that is not would be created, and never recognised as ours again.
	rdsIdentifier = regexp.MustCompile(`^[a-z](-?[a-z0-9])*$`)

	// CloudWatch drops metrics of an invalid namespace without an error, so it is checked here.
	metricNamespace = regexp.MustCompile(`^[0-9A-Za-z._/#-][0-9A-Za-z._/#:-]*$`)
)

// loadSettings reads the settings from environment variables by way of getenv. Its error names every variable that is wrong.
func loadSettings(getenv func(string) string) (settings, error) {
	var problems []string
	problem := func(name, format string, args ...any) {
		problems = append(problems, name+": "+fmt.Sprintf(format, args...))
	}
	text := func(name string, limit int, shape *regexp.Regexp, want string) string {
		value := getenv(name)
		switch {
		case value == "":
			problem(name, "not set")
		case len(value) > limit:
			problem(name, "want at most %d characters, have %d", limit, len(value))
		case shape != nil && !shape.MatchString(value):
			problem(name, "want %s, have %q", want, value)
		}
		return value
	}
	number := func(name string, limit int) int {
		value := getenv(name)
		n, err := strconv.Atoi(value)
		switch {
		case value == "":
			problem(name, "not set")
		case err != nil || n < 1 || n > limit:
			problem(name, "want a whole number from 1 to %d, have %q", limit, value)
		}
		return n
	}

	const identifier = "lower-case letters, digits and single hyphens, a letter first and no hyphen last"
	s := settings{
		instance:      text("DB_INSTANCE_IDENTIFIER", 63, rdsIdentifier, identifier),
		prefix:        text("SNAPSHOT_PREFIX", 255-len("-20060102-150405"), rdsIdentifier, identifier),
		backupOf:      text("BACKUP_OF", 256, nil, ""),
		retentionDays: number("RETENTION_DAYS", 36500),
		minimum:       number("MINIMUM_SNAPSHOTS", 1000),
		namespace:     text("METRIC_NAMESPACE", 255, metricNamespace, "letters, digits and . - _ / # : only, and no colon first"),
	}
	if strings.HasPrefix(s.namespace, "AWS/") {
		problem("METRIC_NAMESPACE", "AWS/ is reserved, have %q", s.namespace)
	}
	if len(problems) > 0 {
		return settings{}, errors.New("environment: " + strings.Join(problems, "; "))
	}
	return s, nil
}
