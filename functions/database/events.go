package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
)

// function serves the invocations. Several can run at the same time: what they do to an instance,
// they do one after another.
type function struct {
	settings settings
	limits   limits
	secrets  secretsAPI
	ecs      ecsAPI
	log      *slog.Logger
	metrics  io.Writer
	tracer   pgx.QueryTracer // sees every statement; nil except in tests
}

// secretsAPI and ecsAPI are all calls of AWS that this function makes, and all that its role allows.
type secretsAPI interface {
	DescribeSecret(
		context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(
		context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(
		context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(
		context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options),
	) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

type ecsAPI interface {
	DescribeServices(
		context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options),
	) (*ecs.DescribeServicesOutput, error)
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
}

// event is what Terraform, the schedule and make restore send.
type event struct {
	Action string `json:"action"` // roles, daily or database

	// Database is the name of the database that the action database creates, to restore a dump into.
	Database string `json:"database"`

	// Like is the database of services that the dump is of; "" is the main one. Its levels get the same
	// rights in the new database.
	Like string `json:"like"`

	// Revision changes with everything that is a reason to call the function again. The function
	// does not read it.
	Revision string `json:"revision"`

	// Services and Terraform are what events of earlier versions have besides. Terraform still
	// sends them once, when it replaces such an invocation: with the action delete.
	Services  json.RawMessage `json:"services"`
	Terraform struct {
		Action    string          `json:"action"`
		PrevInput json.RawMessage `json:"prev_input"`
	} `json:"tf"`
}

// The actions of an event.
const (
	actionRoles = "roles" // a deployment
	actionDaily = "daily" // the schedule

	actionDatabase = "database" // make restore
)

// rotationEvent is what Secrets Manager sends to a rotation function.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
type rotationEvent struct {
	Step   string `json:"Step"`
	Secret string `json:"SecretId"`           // ARN
	Token  string `json:"ClientRequestToken"` // ID of the version that is being created
}

// result is what an invocation returns. Terraform keeps it in its state, so it contains no password.
// Each list has at most mostListed entries.
type result struct {
	Changed   []string `json:"changed"`   // what was corrected in the database
	Passwords []string `json:"passwords"` // users that were given a password
	Disabled  []string `json:"disabled"`  // users of removed services, which can no longer log in
	InUse     []string `json:"in_use"`    // objects in use, whose owner is corrected by a later run
	Kept      []string `json:"kept"`      // objects that stay with the master user
	Problems  []string `json:"problems"`  // what this function cannot correct

	// failed is an error about objects that could not be handed over for another reason than their
	// use. It fails the daily call, so that somebody looks, and no deployment.
	failed error
}

const mostListed = 100

// lists returns the lists of a result.
func (r *result) lists() []*[]string {
	return []*[]string{&r.Changed, &r.Passwords, &r.Disabled, &r.InUse, &r.Kept, &r.Problems}
}

// listed returns the result with short lists without duplicates, which are never null.
func (r result) listed() result {
	for _, list := range r.lists() {
		unique := slices.Compact(slices.Sorted(slices.Values(*list)))
		if len(unique) > mostListed {
			unique = append(unique[:mostListed:mostListed], fmt.Sprintf("and %d more", len(unique)-mostListed))
		}
		*list = append([]string{}, unique...)
	}
	return r
}

// handle serves one invocation. An error fails it: Terraform then fails the deployment and calls
// again in the next one, Lambda repeats a scheduled call, and Secrets Manager tries again later.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (result, error) {
	work, cancel := f.work(ctx)
	defer cancel()
	out, err := f.serve(work, payload)
	out = out.listed()
	if err != nil {
		f.log.ErrorContext(ctx, "failed", "error", err)
	}
	return out, err
}

func (f *function) serve(ctx context.Context, payload json.RawMessage) (result, error) {
	var rotation rotationEvent
	if err := json.Unmarshal(payload, &rotation); err != nil {
		return result{}, fmt.Errorf("event: %w", err)
	}
	if rotation.Step != "" { // not strict, because AWS decides what is in the event
		return result{}, f.rotate(ctx, rotation)
	}
	e, err := parseEvent(payload)
	if err != nil {
		return result{}, err
	}
	if e.Terraform.Action == "delete" { // a database keeps its roles, as it keeps its data
		return result{}, nil
	}
	if e.Action == actionDatabase {
		return f.prepare(ctx, e.Database, e.Like)
	}
	out, err := f.putRight(ctx)
	if e.Action == actionDaily {
		err = errors.Join(err, out.failed, f.reportRotations(ctx))
	}
	return out, err
}

// parseEvent is strict: an unknown field is an error.
func parseEvent(payload []byte) (event, error) {
	var e event
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		return e, fmt.Errorf("event: %w", err)
	}
	if actions := []string{actionRoles, actionDaily, actionDatabase}; !slices.Contains(actions, e.Action) {
		return e, fmt.Errorf("event: action: want %s, have %q", strings.Join(actions, ", "), e.Action)
	}
	if e.Action == actionDatabase && !mayBeCreated(e.Database) {
		return e, fmt.Errorf("event: database: want a new name of lower-case letters, digits and underscores, have %q",
			e.Database)
	}
	for field, value := range map[string]string{"database": e.Database, "like": e.Like} {
		if e.Action != actionDatabase && value != "" {
			return e, fmt.Errorf("event: %s: want none with the action %s, have %q", field, e.Action, value)
		}
	}
	return e, nil
}

// putRight brings roles, owners and passwords into the desired state, and reports what it did.
func (f *function) putRight(ctx context.Context) (result, error) {
	var out result
	err := f.persist(ctx, func() error { return f.putRightOnce(ctx, &out) })
	f.tell(ctx, out.listed())
	if err != nil {
		return out, err
	}
	return out, f.writeMetrics(metric{"ObjectsInUse", len(out.InUse)})
}

// putRightOnce is one attempt. The passwords come before the owners, because objects in use are
// waited for. What fails for one role, service or object does not keep the function from the rest.
func (f *function) putRightOnce(ctx context.Context, out *result) error {
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer func() { master.close(ctx) }()
	// What an attempt finds replaces what the attempt before it found.
	out.InUse, out.Kept, out.Problems, out.failed = nil, nil, nil, nil
	sessions, unusable, err := f.openDatabases(ctx, &master, out)
	if err != nil {
		return err
	}
	f = f.within(sessions)
	irreplaceable, err := f.replaceRoles(ctx, master, out)
	if err != nil {
		return err
	}
	known, refused, err := f.putRolesRight(ctx, master.services, out)
	if err != nil {
		return err
	}
	noRights := f.putDatabasesRight(ctx, sessions, known, out)
	if passes(noRights) {
		return noRights
	}
	noPassword := f.givePasswords(ctx, master.services, out)
	if passes(noPassword) {
		return noPassword
	}
	notHandedOver := f.handOver(ctx, sessions, known, out)
	return errors.Join(unusable, irreplaceable, refused, noRights, noPassword, notHandedOver)
}

// tell writes to the log what an invocation did.
func (f *function) tell(ctx context.Context, out result) {
	for _, list := range []struct {
		level    slog.Level
		message  string
		contents []string
	}{
		{slog.LevelInfo, "corrected", out.Changed},
		{slog.LevelInfo, "given a password", out.Passwords},
		{slog.LevelWarn, "service is removed: its user can no longer log in; its objects stay", out.Disabled},
		{slog.LevelWarn, "in use: its owner is corrected by a later run", out.InUse},
		{slog.LevelInfo, "stays with the master user", out.Kept},
		{slog.LevelWarn, "this function cannot correct this", out.Problems},
	} {
		for _, what := range list.contents {
			f.log.Log(ctx, list.level, list.message, "what", what)
		}
	}
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
