package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
)

// function is what serves the invocations. Several may run at the same time: what they do to one instance, they do one after another.
type function struct {
	settings settings
	secrets  secretsAPI
	ecs      ecsAPI
	log      *slog.Logger
	tracer   pgx.QueryTracer // sees every statement; nil but in tests
}

// secretsAPI and ecsAPI are all of AWS that this function calls, and so all that its role allows.
type secretsAPI interface {
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	UpdateSecretVersionStage(context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

type ecsAPI interface {
	UpdateService(context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error)
}

// rolesEvent is what Terraform asks of the function, when a stack is made and whenever any of it changes.
type rolesEvent struct {
	Action    string                 `json:"action"`   // roles
	Services  map[string]serviceRole `json:"services"` // by name: lower-case letters and digits
	Revision  string                 `json:"revision"` // what else is a reason to look again when it changes; not read
	Terraform resourceEvent          `json:"tf"`
}

// serviceRole is what a service may do in the database.
type serviceRole struct {
	Level            string `json:"level"`             // read, write or owner
	Secret           string `json:"secret"`            // ARN of its own secret
	Connections      int    `json:"connections"`       // that each of its two users may have open; -1: any number
	StatementTimeout int    `json:"statement_timeout"` // milliseconds; 0: none
}

// resourceEvent is what Terraform's aws_lambda_invocation adds to its input when lifecycle_scope is CRUD.
type resourceEvent struct {
	Action    string          `json:"action"` // create, update or delete
	PrevInput json.RawMessage `json:"prev_input"`
}

// rotationEvent is what Secrets Manager asks of a rotation function.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
type rotationEvent struct {
	Step   string `json:"Step"`
	Secret string `json:"SecretId"`
	Token  string `json:"ClientRequestToken"` // the version that is being made
}

// result is what an invocation returns. Terraform keeps it in its state, so that it names and never tells.
type result struct {
	Changed   []string `json:"changed"`   // what was put right in the database
	Passwords []string `json:"passwords"` // the users that were given one
	Disabled  []string `json:"disabled"`  // users of services that are gone, which may no longer log in
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9]{0,40}$`)

// handle serves one invocation. An error fails it: Terraform then fails the deployment, and Secrets Manager tries again later.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (result, error) {
	in, err := f.serve(ctx, payload)
	if err != nil {
		f.log.ErrorContext(ctx, "failed", "error", err)
	}
	return in, err
}

func (f *function) serve(ctx context.Context, payload json.RawMessage) (result, error) {
	var rotation rotationEvent
	if err := json.Unmarshal(payload, &rotation); err != nil {
		return result{}, fmt.Errorf("event: %w", err)
	}
	if rotation.Step != "" { // not strict: the event is AWS's
		return result{}, f.rotate(ctx, rotation)
	}
	event, err := parseRoles(payload)
	if err != nil {
		return result{}, err
	}
	if event.Terraform.Action == "delete" {
		// The stack goes, and its database with it or not: what is in there is left alone, as data is.
		return result{}, nil
	}
	return f.roles(ctx, event.Services)
}

// parseRoles is strict: what it does not know is an error, since it decides who may do what.
func parseRoles(payload []byte) (rolesEvent, error) {
	var event rolesEvent
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&event); err != nil {
		return event, fmt.Errorf("event: %w", err)
	}
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf("event: "+format, args...)) }
	if event.Action != "roles" {
		problem("action %q: want roles", event.Action)
	}
	if !slices.Contains([]string{"create", "update", "delete"}, event.Terraform.Action) {
		problem("tf.action %q: want create, update or delete, which Terraform adds when lifecycle_scope is CRUD", event.Terraform.Action)
	}
	if event.Services == nil {
		problem("services: want them, if only {}")
	}
	for _, name := range sorted(event.Services) {
		s := event.Services[name]
		if !serviceName.MatchString(name) {
			problem("services: %q: want lower-case letters and digits, at most 41", name)
		}
		if !slices.Contains(levels, s.Level) {
			problem("services.%s.level %q: want one of %v", name, s.Level, levels)
		}
		if s.Secret == "" {
			problem("services.%s.secret: not set", name)
		}
		if s.Connections < -1 || s.Connections == 0 {
			problem("services.%s.connections %d: want 1 or more, or -1 for any number", name, s.Connections)
		}
		if s.StatementTimeout < 0 {
			problem("services.%s.statement_timeout %d: want 0 or more milliseconds", name, s.StatementTimeout)
		}
	}
	return event, errors.Join(problems...)
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
