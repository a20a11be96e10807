// Backup is the Lambda function that takes snapshots of one RDS instance on a schedule, deletes the
// old ones, and reports how old every backup is.
//
//	Scheduler ── {"action":"backup","scheduled_time":…} ──┐             ┌──▶ RDS: snapshots
//	Scheduler ── {"action":"report"}, every hour ─────────┼──▶ handle ──┼──▶ S3: lists dumps and drills
//	Terraform ── {"action":"report"}, first deployment ───┤             ├──▶ RDS and S3 in the other region
//	Terraform ── {"action":"lifecycle","tf":{…}} ─────────┘             └──▶ one line of metrics on stdout
//
// main.go reads the environment and starts. event.go has the events and their steps. Then, from top
// to bottom:
//
//	create.go     takes the scheduled snapshot, and makes up for one that was missed
//	remove.go     deletes snapshots: past their retention, or all of them
//	report.go     ages and quota;  dumps.go  the objects of the backup bucket
//	snapshots.go  which snapshots are ours;  wait.go  what is tried again, and how long
//	backup.go     what the function calls;  metrics.go  CloudWatch
//
// The function keeps no state: it finds its snapshots by tag and name.
//
// The function imports no other package of the project, because its deployment hash covers this
// folder only.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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
	elsewhere := aws.Copy()
	elsewhere.Region = settings.copyRegion
	b := &backup{
		settings: settings,
		rds:      rds.NewFromConfig(aws),
		s3:       s3.NewFromConfig(aws),
		copies:   rds.NewFromConfig(elsewhere),
		copyS3:   s3.NewFromConfig(elsewhere),
		now:      time.Now,
		metrics:  os.Stdout,
		log:      logger,
	}
	lambda.Start(b.handle)
	return nil
}

// settings is what the environment says. Those after the namespace may be empty.
type settings struct {
	instance      string        // DB_INSTANCE_IDENTIFIER: instance to back up; lower case; at most 63 characters
	prefix        string        // SNAPSHOT_PREFIX: of identifiers, before "-20261123-030000"; at most 239 characters
	backupOf      string        // BACKUP_OF: value of the tag BackupOf, the stack's name; at most 256 characters
	retentionDays int           // RETENTION_DAYS: age at which snapshots are deleted; 1 to 36500
	minimum       int           // MINIMUM_SNAPSHOTS: available snapshots kept regardless of their age; at least 1
	maxAge        time.Duration // MAX_AGE_HOURS: age of the newest snapshot at which a report takes one; 1 to 10000
	namespace     string        // METRIC_NAMESPACE: CloudWatch namespace of our metrics; at most 255 characters

	bucket     string // BACKUP_BUCKET: bucket of the dumps; empty: there are none
	copyRegion string // COPY_REGION: region to which automated backups are replicated; empty: none
	copyBucket string // COPY_BUCKET: bucket there to which the dumps are replicated; empty: none

	// Since when there are dumps, rehearsals and copies: the age of the newest is never more than that, so
	// that nothing is late which has just been configured. Zero: not at all.
	dumpsSince  time.Time // DUMPS_SINCE, in RFC 3339
	drillsSince time.Time // DRILLS_SINCE
	copiesSince time.Time // COPIES_SINCE

	// FURTHER_DATABASES: the databases that are dumped besides the main one, and since when, in JSON: an
	// object of times in RFC 3339 by name; empty: none
	furtherSince map[string]time.Time
}

var (
	// RDS stores identifiers in lower case. One that is not would be created, and never be recognised
	// as ours again.
	rdsIdentifier = regexp.MustCompile(`^[a-z](-?[a-z0-9])*$`)

	// CloudWatch drops metrics of an invalid namespace without an error, so it is checked here.
	metricNamespace = regexp.MustCompile(`^[0-9A-Za-z._/#-][0-9A-Za-z._/#:-]*$`)

	// The objects of a database besides the main one are in a folder with its name.
	databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// loadSettings reads the settings from environment variables through getenv. Its error names every
// variable that is wrong.
func loadSettings(getenv func(string) string) (settings, error) {
	e := environmentReader{getenv: getenv}
	const identifier = "lower-case letters, digits and single hyphens, a letter first and no hyphen last"
	const namespace = "letters, digits and . - _ / # : only, and no colon first"
	s := settings{
		instance:      e.text("DB_INSTANCE_IDENTIFIER", 63, rdsIdentifier, identifier),
		prefix:        e.text("SNAPSHOT_PREFIX", 255-len("-20060102-150405"), rdsIdentifier, identifier),
		backupOf:      e.text("BACKUP_OF", 256, nil, ""),
		retentionDays: e.number("RETENTION_DAYS", 36500),
		minimum:       e.number("MINIMUM_SNAPSHOTS", 1000),
		maxAge:        time.Duration(e.number("MAX_AGE_HOURS", 10000)) * time.Hour,
		namespace:     e.text("METRIC_NAMESPACE", 255, metricNamespace, namespace),
		bucket:        getenv("BACKUP_BUCKET"),
		copyRegion:    getenv("COPY_REGION"),
		copyBucket:    getenv("COPY_BUCKET"),
		dumpsSince:    e.since("DUMPS_SINCE"),
		drillsSince:   e.since("DRILLS_SINCE"),
		copiesSince:   e.since("COPIES_SINCE"),
		furtherSince:  e.databases("FURTHER_DATABASES"),
	}
	if strings.HasPrefix(s.namespace, "AWS/") {
		e.problem("METRIC_NAMESPACE", "AWS/ is reserved, have %q", s.namespace)
	}
	if s.copyBucket != "" && (s.copyRegion == "" || s.bucket == "") {
		e.problem("COPY_BUCKET", "want COPY_REGION and BACKUP_BUCKET too")
	}
	if s.dumpsSince.IsZero() != (s.bucket == "") {
		e.problem("DUMPS_SINCE", "want a time with BACKUP_BUCKET, and none without it")
	}
	if len(s.furtherSince) > 0 && s.bucket == "" {
		e.problem("FURTHER_DATABASES", "want BACKUP_BUCKET too")
	}
	if s.copiesSince.IsZero() != (s.copyRegion == "") {
		e.problem("COPIES_SINCE", "want a time with COPY_REGION, and none without it")
	}
	if len(e.problems) > 0 {
		return settings{}, errors.New("environment: " + strings.Join(e.problems, "; "))
	}
	return s, nil
}

// environmentReader reads variables and collects what is wrong.
type environmentReader struct {
	getenv   func(string) string
	problems []string
}

func (e *environmentReader) problem(name, format string, args ...any) {
	e.problems = append(e.problems, name+": "+fmt.Sprintf(format, args...))
}

func (e *environmentReader) text(name string, limit int, shape *regexp.Regexp, want string) string {
	value := e.getenv(name)
	switch {
	case value == "":
		e.problem(name, "not set")
	case len(value) > limit:
		e.problem(name, "want at most %d characters, have %d", limit, len(value))
	case shape != nil && !shape.MatchString(value):
		e.problem(name, "want %s, have %q", want, value)
	}
	return value
}

// since reads a time, which may be missing.
func (e *environmentReader) since(name string) time.Time {
	text := e.getenv(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		e.problem(name, "want a time such as 2026-11-23T03:00:00Z, have %q", text)
	}
	return at
}

// databases reads times by the names of databases, which may be missing.
func (e *environmentReader) databases(name string) map[string]time.Time {
	text := e.getenv(name)
	if text == "" {
		return nil
	}
	var since map[string]time.Time
	if err := json.Unmarshal([]byte(text), &since); err != nil {
		e.problem(name, "want a JSON object of times by database, have %q: %v", text, err)
	}
	for _, database := range sorted(since) {
		if !databaseName.MatchString(database) {
			e.problem(name, "want names of lower-case letters, digits and underscores, have %q", database)
		}
	}
	return since
}

func (e *environmentReader) number(name string, limit int) int {
	value := e.getenv(name)
	n, err := strconv.Atoi(value)
	switch {
	case value == "":
		e.problem(name, "not set")
	case err != nil || n < 1 || n > limit:
		e.problem(name, "want a whole number from 1 to %d, have %q", limit, value)
	}
	return n
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
