//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"platform/internal/postgres"
)

// Whoever can change the secret of one service must not be able to have the password of another
// service's user set.
func TestSecretOfAServiceChangesNoOtherService(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "read")
	h.set("api", "owner")
	h.run()
	foreign := secretVersion{credentials: credentials{"service_api_a", "known"}}
	if err := h.function.write(t.Context(), h.arn(), current, "", foreign); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"createSecret", "testSecret", "finishSecret"} {
		const want = `want one of [service_web_a service_web_b], have "service_api_a"`
		err := h.step(t.Context(), h.function, step, token(1))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", step, err)
		}
	}
	h.service("api")
	if _, err := h.function.handle(t.Context(), deployment); err == nil ||
		!strings.Contains(err.Error(), `service web: secret platform-dev/database/web: username: want`) {
		t.Errorf("a deployment: %v", err)
	}
	if err := h.function.write(t.Context(), h.arn(), pending, token(2), foreign); err != nil {
		t.Fatal(err)
	}
	if err := h.step(t.Context(), h.function, "setSecret", token(2)); err == nil ||
		!strings.Contains(err.Error(), `AWSPENDING: username: want one of`) {
		t.Errorf("setSecret: %v", err)
	}
	h.service("api")
	event, _ := json.Marshal(rotationEvent{"setSecret", h.newSecret("elsewhere/web", credentials{}), token(1)})
	if _, err := h.function.handle(t.Context(), event); err == nil ||
		!strings.Contains(err.Error(), "not the secret of a service") {
		t.Errorf("the secret of something else: %v", err)
	}
}

// Secrets Manager repeats a failed step many times within the rotation window.
func TestServiceIsRestartedOnceInARotation(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.run()
	h.rotateFully(1)
	person := h.credentials("web") // a person with copied credentials
	h.rotateFully(2)
	conn, err := h.postgres.Connect(t.Context(), person, "app")
	if err != nil {
		t.Fatal(err)
	}
	h.do(conn, "SET application_name = 'psql'")
	h.tasks.restarts, h.tasks.deployed = nil, time.Now().Add(-time.Hour)
	if err := h.step(t.Context(), h.function, "createSecret", token(3)); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		err := h.step(t.Context(), h.function, "setSecret", token(3))
		if err == nil || !strings.Contains(err.Error(), person.Name+" still has 1 sessions") ||
			!strings.Contains(err.Error(), "of psql at 127.0.0.1") {
			t.Errorf("the user is in use: %v", err)
		}
	}
	if len(h.tasks.restarts) != 1 {
		t.Errorf("%d restarts in one rotation", len(h.tasks.restarts))
	}
	conn.Close(t.Context())
	for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + person.Name + "'")[0] != "0" {
		time.Sleep(10 * time.Millisecond)
	}
	h.tasks.restarts = nil
	for _, step := range []string{"setSecret", "testSecret", "finishSecret", "finishSecret", "finishSecret"} {
		if err := h.step(t.Context(), h.function, step, token(3)); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.tasks.restarts) != 1 {
		t.Errorf("%d restarts by a repeated finishSecret", len(h.tasks.restarts))
	}
}

// A call that was repeated can be too late: another one moved the label.
func TestFinishSecretTwiceAtATime(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.run()
	for _, step := range rotationSteps[:3] {
		if err := h.step(t.Context(), h.function, step, token(1)); err != nil {
			t.Fatal(err)
		}
	}
	before := h.credentials("web").Name
	f := *h.function
	f.secrets = late{h.function.secrets}
	if err := h.step(t.Context(), &f, "finishSecret", token(1)); err != nil {
		t.Errorf("the later one fails: %v", err)
	}
	if h.credentials("web").Name == before {
		t.Error("nothing was rotated")
	}
}

// late is Secrets Manager in which somebody else moves a label a moment before.
type late struct{ secretsAPI }

func (l late) UpdateSecretVersionStage(
	ctx context.Context, input *secretsmanager.UpdateSecretVersionStageInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	if _, err := l.secretsAPI.UpdateSecretVersionStage(ctx, input, o...); err != nil {
		return nil, err
	}
	return nil, errors.New("InvalidParameterException: the label is not on that version")
}

func TestOtherKeysOfASecretSurviveARotation(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.run()
	v, err := h.function.read(t.Context(), h.secretOf("web"), current, "")
	if err != nil {
		t.Fatal(err)
	}
	v.others["note"] = "of a person"
	if err := h.function.write(t.Context(), h.secretOf("web"), current, "", v); err != nil {
		t.Fatal(err)
	}
	h.rotateFully(1)
	v, err = h.function.read(t.Context(), h.secretOf("web"), current, "")
	if err != nil || v.others["note"] != "of a person" {
		t.Errorf("%v, %v", v.others, err)
	}
}

// After a person put an older version back, the version that Secrets Manager is creating can be of
// the user that is now in use.
func TestStuckRotationSaysTheWayOut(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.run()
	same := secretVersion{credentials: credentials{h.credentials("web").Name, "x"}}
	if err := h.function.write(t.Context(), h.arn(), pending, token(1), same); err != nil {
		t.Fatal(err)
	}
	err := h.step(t.Context(), h.function, "createSecret", token(1))
	want := "aws secretsmanager update-secret-version-stage --secret-id " + h.arn() +
		" --version-stage AWSPENDING --remove-from-version-id " + token(1)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
}

// dated is Secrets Manager in which the last rotation of each secret was some time ago.
type dated struct {
	secretsAPI
	ago time.Duration
}

func (d dated) DescribeSecret(
	ctx context.Context, input *secretsmanager.DescribeSecretInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.DescribeSecretOutput, error) {
	secret, err := d.secretsAPI.DescribeSecret(ctx, input, o...)
	if err == nil {
		secret.LastRotatedDate = aws.Time(time.Now().Add(-d.ago))
	}
	return secret, err
}

func TestDailyRunCountsOverdueRotations(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.set("api", "read")
	const day = 24 * time.Hour
	api := h.function.secrets
	for ago, want := range map[time.Duration]string{0: ":0", 36 * day: ":0", 38 * day: ":2"} {
		h.metrics.Reset()
		h.function.secrets = dated{api, ago}
		if ago == 0 {
			h.function.secrets = api // never rotated: the secret is new
		}
		if _, err := h.function.handle(t.Context(), []byte(`{"action":"daily"}`)); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(h.metrics.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"ObjectsInUse":0`) ||
			!strings.Contains(lines[1], `"OverdueRotations"`+want) {
			t.Errorf("rotated %s ago: %s", ago, h.metrics)
		}
		var document struct {
			FunctionName string
			AWS          struct {
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
				}
			} `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(lines[1]), &document); err != nil {
			t.Fatal(err)
		}
		if m := document.AWS.CloudWatchMetrics[0]; document.FunctionName != "platform-dev-database" ||
			m.Namespace != "platform-dev/Database" || fmt.Sprint(m.Dimensions) != "[[FunctionName]]" {
			t.Errorf("%+v", document)
		}
	}
}

// The daily run corrects what was changed by hand, without a deployment.
func TestDailyRunCorrectsTheRoles(t *testing.T) { onEachMajor(t, dailyRunCorrectsTheRoles) }

func dailyRunCorrectsTheRoles(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	h.master("GRANT platform_owner TO service_web_a")
	h.master("CREATE TABLE made (id int)")
	done, err := h.function.handle(t.Context(), []byte(`{"action":"daily"}`))
	want := []string{"membership of service_web_a in platform_owner", "owner of table public.made"}
	if err != nil || !slices.Equal(done.Changed, want) {
		t.Errorf("%v, %v", done.Changed, err)
	}
	h.nothingToDo()
}

// A session keeps the rights that it began with, so that it must end when they are taken away, also
// if the function is killed after it took them.
func TestSessionsEndAlsoAfterAKilledRun(t *testing.T) {
	onEachMajor(t, sessionsEndAlsoAfterAKilledRun)
}

func sessionsEndAlsoAfterAKilledRun(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("admin", "owner")
	h.run()
	lower := func(n int) (actions []string) {
		h.set("web", "owner")
		h.run()
		conn := h.service("web")
		h.do(conn, "SELECT 1")
		h.set("web", "read")
		actions, _ = h.killed(n, func(ctx context.Context, f *function) error {
			_, err := f.handle(ctx, deployment)
			return err
		})
		h.run()
		h.ended(conn)
		h.nothingToDo()
		return actions
	}
	all := lower(1 << 20)
	commit := slices.Index(all, "commit")
	if commit < 0 {
		t.Fatalf("no commit in %q", all)
	}
	for n := commit; n < commit+5; n++ { // before it, and before each of the next statements
		lower(n)
	}
}

// PostgreSQL only warns if a GRANT or REVOKE does nothing.
func TestRightsThatCouldNotBeSetAreReported(t *testing.T) {
	onEachMajor(t, rightsThatCouldNotBeSetAreReported)
}

func rightsThatCouldNotBeSetAreReported(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	h.admin("ALTER SCHEMA public OWNER TO " + h.postgres.Admin.Name)
	h.admin("GRANT CREATE ON SCHEMA public TO PUBLIC")
	h.admin("REVOKE USAGE ON SCHEMA public FROM platform_read")
	done := h.run()
	if len(done.Problems) != 2 ||
		!strings.Contains(done.Problems[0], "run GRANT USAGE ON SCHEMA public TO platform_read") ||
		!strings.Contains(done.Problems[1], "run REVOKE ALL ON SCHEMA public FROM PUBLIC") {
		t.Errorf("the schema of a superuser: %q", done.Problems)
	}
	person := postgres.User{Name: "person", Password: "x"}
	h.admin("CREATE ROLE person LOGIN PASSWORD 'x' IN ROLE platform_owner")
	h.admin("ALTER SCHEMA public OWNER TO person")
	h.set("api", "read")
	done, err := h.function.handle(t.Context(), deployment)
	const want = "schema public belongs to person, so that the master user cannot change rights: " +
		"as person, run REVOKE ALL ON SCHEMA public FROM PUBLIC"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the schema of a person: %v\nwant %s", err, want)
	}
	if !slices.Contains(done.Passwords, "service_api_a") {
		t.Error("a right that cannot be set keeps the function from everything else")
	}
	h.as(person, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	h.as(person, "GRANT USAGE ON SCHEMA public TO platform_read")
	h.nothingToDo()
}

func TestRunsTakeLittleTime(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	for _, services := range []int{1, 20, 60} {
		for i := len(h.services); i < services; i++ {
			h.set(fmt.Sprintf("s%d", i), levels[i%3])
		}
		first := time.Now()
		h.run()
		again := time.Now()
		if done := h.run(); len(done.Changed) > 0 {
			t.Errorf("%q", done.Changed)
		}
		t.Logf("%d services: %s to create what is new, %s if nothing changed",
			services, again.Sub(first).Round(time.Millisecond), time.Since(again).Round(time.Millisecond))
	}
}
