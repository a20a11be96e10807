//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// databaseUsers matches the resources of the services' database users that no other resource refers
// to; they refer to the others, up to the database and the network.
var databaseUsers = regexp.MustCompile(`^aws_secretsmanager_secret_rotation\.|^aws_scheduler_schedule\.database_`)

// usersCall is the action of a call of the database function.
const usersCall = "POST /2015-03-31/functions/platform-dev-database/invocations"

// withReader adds a service that may read the database.
const withReader = `services: {` +
	`web: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6", ` + demonstration + `}, ` +
	`reader: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6", database: {access: read}}}`

// newUsersSandbox returns a sandbox of dev, behind a proxy, and a function that synthesises a part
// of dev with the database and its users only: no ECS service, which a deployment would wait for.
func newUsersSandbox(t *testing.T) (*sandbox, *proxy, func(patch string)) {
	t.Helper()
	s := newSandbox(t, "dev")
	p := newProxy(t, s)
	return s, p, func(patch string) {
		t.Helper()
		s.synthesise(t, patched(s.shipped(t), document(t, patch)))
		s.rewrite(t, func(stack map[string]any) map[string]any { return cutDown(stack, databaseUsers) })
	}
}

// Whatever stops the database function in a deployment, the next deployment makes up for it, and no
// login outlives its service's secret.
func TestNextDeploymentRepeatsAFailedCallOfTheDatabaseFunction(t *testing.T) {
	t.Parallel()
	s, p, synthesise := newUsersSandbox(t)
	synthesise("{}")
	within(t, "the first deployment", 4*minute, func() string { return summaryOf(t, s.deploy(t)) })

	synthesise(withReader)
	within(t, "the function fails", minute, func() string {
		p.set(refusal{fault: failedFunction, service: "lambda", action: usersCall, times: 1})
		return strings.Join(terraformErrors(s.deployFails(t, "the database does not answer")), " | ")
	})
	if want := "+ aws_lambda_invocation.database_roles"; !slices.Contains(changes(s.plan(t)), want) {
		t.Errorf("after a failed call, the plan has %q, want %s", changes(s.plan(t)), want)
	}
	within(t, "the next deployment calls it again", minute, func() string {
		summary := summaryOf(t, s.deploy(t))
		if err := s.execute(s.login(t, "reader"), "SELECT 1"); err != nil {
			t.Errorf("the new service cannot log in: %v", err)
		}
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })

	synthesise("{}")
	reader := s.login(t, "reader")
	within(t, "the function fails while a service is removed", minute, func() string {
		p.set(refusal{fault: failedFunction, service: "lambda", action: usersCall, times: 1})
		out := s.deployFails(t, "the database does not answer")
		// Terraform waited for the call before it deleted the secret, as create_before_destroy asks.
		if name := s.login(t, "reader").Name; name != reader.Name {
			t.Errorf("the secret of the removed service has the user %s, want it unchanged", name)
		}
		return strings.Join(terraformErrors(out), " | ")
	})
	within(t, "the next deployment removes the service", minute, func() string {
		out := s.deploy(t)
		if err := s.execute(reader, "SELECT 1"); err == nil {
			t.Error("the removed service can log in")
		}
		_, err := s.secrets(t).DescribeSecret(alive, &secretsmanager.DescribeSecretInput{
			SecretId: s.secretOf("reader"),
		})
		if gone := new(types.ResourceNotFoundException); !errors.As(err, &gone) {
			t.Errorf("the secret of the removed service still exists: %v", err)
		}
		return summaryOf(t, out)
	})
}

// IAM knows a new permission everywhere only after some seconds. The function waits for it.
func TestDatabaseFunctionWaitsForItsPermissions(t *testing.T) {
	t.Parallel()
	s, p, synthesise := newUsersSandbox(t)
	if err := os.WriteFile(s.endpoint, []byte(s.url), 0o644); err != nil {
		t.Fatal(err)
	}
	synthesise("{}")
	within(t, "the first deployment", 4*minute, func() string { return summaryOf(t, s.deploy(t)) })
	synthesise(withReader)
	within(t, "the permission for the new secret is refused twice", 2*minute, func() string {
		twice := refusal{fault: refused, service: "secretsmanager", about: "/database/reader", times: 2}
		get, put := twice, twice
		get.action, put.action = "GetSecretValue", "PutSecretValue"
		p.set(get, put)
		summary := summaryOf(t, s.deploy(t))
		if err := s.execute(s.login(t, "reader"), "SELECT 1"); err != nil {
			t.Errorf("the new service cannot log in: %v", err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.faults[refused] < 2 {
			t.Errorf("%d calls were refused, want at least 2", p.faults[refused])
		}
		return summary
	})
}

// A stack that was deployed before the users moved to the function's environment is taken over by a
// deployment that replaces the call of the function only.
func TestEarlierStackIsTakenOver(t *testing.T) {
	t.Parallel()
	s, p, synthesise := newUsersSandbox(t)
	p.set(refusal{fault: answeredFunction, service: "lambda", action: usersCall}) // an earlier function
	// There were no dumps, nor their user.
	const earlier = "backup: {dump: {enabled: false}}"
	synthesise(earlier)
	s.rewrite(t, func(stack map[string]any) map[string]any { return cutDown(earlierUsers(stack), usersInvocation) })
	within(t, "the earlier stack", 4*minute, func() string { return summaryOf(t, s.deploy(t)) })
	// What the earlier function did, before the rotation was declared.
	secret := `{"username": "service_web_a", "password": "it is another one after the next rotation"}`
	must(s.secrets(t).PutSecretValue(alive, &secretsmanager.PutSecretValueInput{
		SecretId: s.secretOf("web"), SecretString: &secret,
	}))(t)
	synthesise(earlier)
	s.rewrite(t, earlierUsers)
	within(t, "its rotation", minute, func() string { return summaryOf(t, s.deploy(t)) })
	synthesise("{}")
	within(t, "the take-over", 2*minute, func() string {
		// Terraform deletes the earlier call before it updates the function: the earlier function is
		// called a last time, and succeeds.
		p.set(refusal{fault: answeredFunction, service: "lambda", action: usersCall, times: 1})
		have := changes(s.plan(t))
		for _, change := range have {
			if replaces := !strings.HasPrefix(change, "~ ") && !strings.HasPrefix(change, "+ "); replaces &&
				change != "± aws_lambda_invocation.database_roles" {
				t.Errorf("the take-over replaces or deletes: %s", change)
			}
		}
		for _, want := range []string{
			"± aws_lambda_invocation.database_roles",
			"~ aws_secretsmanager_secret_rotation.service_web_database_rotation",
			"+ aws_scheduler_schedule.database_schedule",
		} {
			if !slices.Contains(have, want) {
				t.Errorf("the take-over has the changes %q, want %s", have, want)
			}
		}
		summary := summaryOf(t, s.deploy(t))
		user := s.login(t, "web")
		if user.Name != "service_web_a" || !strings.HasPrefix(user.Password, "it is another one") {
			t.Errorf("the take-over changed the user of web to %s, or its password: no rotation was due", user.Name)
		}
		if err := s.execute(user, "SELECT 1"); err != nil {
			t.Errorf("web cannot log in: %v", err)
		}
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
}

// usersInvocation matches the call of the database function.
var usersInvocation = regexp.MustCompile(`^aws_lambda_invocation\.database_roles$`)

// earlierUsers makes of a stack what it was before the users moved to the function's environment.
func earlierUsers(stack map[string]any) map[string]any {
	stack = cutDown(stack, regexp.MustCompile(`^aws_secretsmanager_secret_rotation\.`))
	resources := stack["resource"].(map[string]any)
	only := func(kind, id string) map[string]any { return resources[kind].(map[string]any)[id].(map[string]any) }
	call := only("aws_lambda_invocation", "database_roles")
	call["lifecycle_scope"] = "CRUD"
	call["input"] = `{"action":"roles","revision":"1","services":{"web":{"level":"owner",` +
		`"secret":"${aws_secretsmanager_secret.service_web_database_secret.arn}",` +
		`"connections":20,"statement_timeout":60000}}}`
	delete(call, "depends_on")
	delete(only("aws_secretsmanager_secret", "service_web_database_secret"), "lifecycle")
	only("aws_secretsmanager_secret_rotation", "service_web_database_rotation")["rotation_rules"] =
		map[string]any{"automatically_after_days": 30}
	environment := only("aws_lambda_function", "database_function")["environment"].(map[string]any)
	variables := environment["variables"].(map[string]any)
	for _, name := range []string{"SERVICES", "SECRET_PREFIX", "ROTATION_DAYS", "METRIC_NAMESPACE"} {
		delete(variables, name)
	}
	return stack
}

// The commands of docs/runbooks/database.md for a rotation that failed.
func TestRunbookEndsAStuckRotation(t *testing.T) {
	t.Parallel()
	s, p, synthesise := newUsersSandbox(t)
	if err := os.WriteFile(s.endpoint, []byte(s.url), 0o644); err != nil {
		t.Fatal(err)
	}
	synthesise("{}")
	within(t, "the first deployment", 4*minute, func() string { return summaryOf(t, s.deploy(t)) })
	before, c := s.login(t, "web"), s.secrets(t)
	rotate := func() error {
		_, err := c.RotateSecret(alive, &secretsmanager.RotateSecretInput{SecretId: s.secretOf("web")})
		return err
	}
	p.set(refusal{fault: refused, service: "secretsmanager", action: "UpdateSecretVersionStage"})
	if err := rotate(); err != nil {
		t.Fatalf("the first rotation: %v", err) // it begins, and fails afterwards
	}
	p.clearFaults()
	if err := rotate(); err == nil || !strings.Contains(err.Error(), "A previous rotation isn't complete") {
		t.Fatalf("another rotation: have %v, want that the previous one is not complete", err)
	}
	versions := must(c.ListSecretVersionIds(alive, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: s.secretOf("web"),
	}))(t).Versions
	stuck := slices.IndexFunc(versions, func(v types.SecretVersionsListEntry) bool {
		return slices.Contains(v.VersionStages, "AWSPENDING")
	})
	if stuck < 0 {
		t.Fatalf("no version has the label AWSPENDING: %+v", versions)
	}
	must(c.UpdateSecretVersionStage(alive, &secretsmanager.UpdateSecretVersionStageInput{
		SecretId:            s.secretOf("web"),
		VersionStage:        aws.String("AWSPENDING"),
		RemoveFromVersionId: versions[stuck].VersionId,
	}))(t)
	if err := rotate(); err != nil {
		t.Fatalf("the rotation after the way out: %v", err)
	}
	after := s.login(t, "web")
	if after.Name == before.Name {
		t.Errorf("user %s after the rotation, want the other one", after.Name)
	}
	if err := s.execute(after, "SELECT 1"); err != nil {
		t.Errorf("web cannot log in after the rotation: %v", err)
	}
	s.dailyRunSucceeds(t)
}

// dailyRunSucceeds calls the function as the schedule does.
func (s *sandbox) dailyRunSucceeds(t *testing.T) {
	t.Helper()
	answer := must(s.clients("eu-central-1").lambda.Invoke(alive, &lambda.InvokeInput{
		FunctionName: aws.String("platform-" + s.environment + "-database"), Payload: []byte(`{"action":"daily"}`),
	}))(t)
	var result map[string]any
	if err := json.Unmarshal(answer.Payload, &result); err != nil || answer.FunctionError != nil {
		t.Errorf("the daily run: %s (%s, %v)", answer.Payload, aws.ToString(answer.FunctionError), err)
	}
}
