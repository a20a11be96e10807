//go:build e2e

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// setURL makes web ask for a URL with parameters, or for none.
func (h *fixture) setURL(parameters *string) {
	h.Helper()
	h.set("web", "write")
	s := h.services["web"]
	s.URL = parameters
	h.services["web"] = s
}

// secret returns the current version of a service's secret.
func (h *fixture) secret(service string) secretVersion {
	h.Helper()
	v, err := h.function.read(h.Context(), h.secretOf(service), current, "")
	if err != nil {
		h.Fatal(err)
	}
	return v
}

// byHand writes a version of the secret of web as a person does, and makes it the current one.
func (h *fixture) byHand(v secretVersion) {
	h.Helper()
	now := h.secret("web")
	id, err := h.function.put(h.Context(), h.secretOf("web"), "HAND", "", v)
	if err == nil {
		err = h.function.move(h.Context(), h.secretOf("web"), current, now.id, id)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// unused waits until no user of web has a session.
func (h *fixture) unused() {
	h.Helper()
	for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'service_web_%'")[0] != "0" {
		time.Sleep(10 * time.Millisecond)
	}
}

// verifying are the parameters with which libpq, and pgx as it does, verify the test's server.
func (h *fixture) verifying() *string {
	parameters := "sslmode=verify-full&sslrootcert=" + h.postgres.CA
	return &parameters
}

// loginByURL connects with the URL in the secret of web and nothing else, and returns the user.
func (h *fixture) loginByURL() string {
	h.Helper()
	text, _ := h.secret("web").others[urlKey].(string)
	config, err := pgx.ParseConfig(text)
	if err != nil {
		h.Fatal(err)
	}
	if tls := config.TLSConfig; tls == nil || tls.InsecureSkipVerify || tls.ServerName != h.function.settings.host {
		h.Errorf("the certificate is not verified")
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
	conn, err := pgx.ConnectConfig(h.Context(), config)
	if err != nil {
		h.Fatalf("web cannot log in with its URL: %v", err)
	}
	defer h.unused()
	defer conn.Close(h.Context())
	return h.query(conn, "SELECT session_user::text || ' in ' || current_database()")[0]
}

func TestServiceGetsAURLThatLogsIn(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.set("api", "read")
	h.run()
	if who := h.loginByURL(); who != "service_web_a in app" {
		t.Errorf("logs in as %s", who)
	}
	if _, has := h.secret("api").others[urlKey]; has {
		t.Error("a service that asks for no URL has one")
	}
	h.nothingToDo()
	for n, user := range []string{"service_web_b", "service_web_a"} {
		h.rotateFully(n + 1)
		if who := h.loginByURL(); who != user+" in app" {
			t.Errorf("after a rotation it logs in as %s", who)
		}
		if h.secret("web").id != token(n+1) {
			t.Error("the version that the rotation created had another URL")
		}
		h.nothingToDo()
	}
}

// psql is the client of libpq. It verifies the certificate against the name in the URL.
func TestURLLogsInWithLibpq(t *testing.T) {
	t.Parallel()
	upgrade, err := postgres.PrepareUpgrade(t.Context(), os.Stdout)
	if errors.Is(err, postgres.ErrPlatform) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "psql-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil { // another user may run the programs
		t.Fatal(err)
	}
	bin, user, err := upgrade.Programs(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.run()
	run := func(url string) (string, error) {
		command := exec.CommandContext(t.Context(), filepath.Join(bin, "psql"),
			"--no-psqlrc", "-At", "-c", "SELECT session_user", url)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: user}
		command.Env = append(os.Environ(), "PGHOSTADDR=127.0.0.1", "HOME="+folder)
		out, err := command.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	url := h.secret("web").others[urlKey].(string)
	if out, err := run(url); err != nil || out != "service_web_a" {
		t.Errorf("%v: %s", err, out)
	}
	other := strings.Replace(url, h.function.settings.host, "another.example", 1)
	if out, err := run(other); err == nil || !strings.Contains(out, "another.example") {
		t.Errorf("psql does not verify the name of the server: %v: %s", err, out)
	}
}

// A URL changes without the password, and only the service's own.
func TestURLFollowsTheSettings(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(nil)
	h.run()
	before := h.secret("web")
	before.others["note"] = "of a person"
	h.byHand(before)
	same := func(what string) {
		t.Helper()
		h.run()
		h.nothingToDo()
		v := h.secret("web")
		if v.credentials != before.credentials || v.others["note"] != "of a person" {
			t.Errorf("%s: changes more than the URL", what)
		}
	}
	h.setURL(h.verifying())
	same("asked for")
	h.loginByURL()

	more := *h.verifying() + "&application_name=web"
	h.setURL(&more)
	same("other parameters")
	h.loginByURL()
	if url, _ := h.secret("web").others[urlKey].(string); !strings.HasSuffix(url, "&application_name=web") {
		t.Error("has the former parameters")
	}

	h.function.settings.host = "other.emulator.rds.amazonaws.com"
	same("the database moved")
	h.loginByURL()

	half := h.secret("web")
	for _, broken := range []any{"postgresql://", 5.0, nil} {
		half.others[urlKey] = broken
		h.byHand(half)
		same("broken by hand")
		h.loginByURL()
	}

	h.setURL(nil)
	same("not asked for")
	h.loginByURL() // for tasks of the definition before
	h.rotateFully(1)
	if v := h.secret("web"); v.others[urlKey] != nil || v.others["note"] != "of a person" {
		t.Error("a rotation keeps the URL of the former password, or loses what a person added")
	}
	own := h.secret("web")
	own.others[urlKey] = "https://example.com"
	h.byHand(own)
	h.rotateFully(2)
	if v := h.secret("web"); v.others[urlKey] != "https://example.com" {
		t.Error("a rotation removes what a person added as url")
	}
}

// The database is reached at its new address before the URL names it.
func TestURLKeepsAnAddressUntilTheNextOneWorks(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.run()
	before := h.secret("web").others[urlKey]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := h.function.settings.port
	h.function.settings.port = uint16(listener.Addr().(*net.TCPAddr).Port)
	listener.Close()
	if _, err := h.function.handle(t.Context(), deployment); err == nil {
		t.Error("succeeds without a database")
	}
	h.function.settings.port = port
	if h.secret("web").others[urlKey] != before {
		t.Error("the URL names an address at which nothing answers")
	}
}

// stopping is Secrets Manager that fails from its n-th change on, as if the function was killed.
type stopping struct {
	secretsAPI
	left *int
}

var errKilled = errors.New("killed")

func (s stopping) may() error {
	if *s.left--; *s.left < 0 {
		return errKilled
	}
	return nil
}

func (s stopping) PutSecretValue(
	ctx context.Context, input *secretsmanager.PutSecretValueInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.PutSecretValueOutput, error) {
	if err := s.may(); err != nil {
		return nil, err
	}
	return s.secretsAPI.PutSecretValue(ctx, input, o...)
}

func (s stopping) UpdateSecretVersionStage(
	ctx context.Context, input *secretsmanager.UpdateSecretVersionStageInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	if err := s.may(); err != nil {
		return nil, err
	}
	return s.secretsAPI.UpdateSecretVersionStage(ctx, input, o...)
}

// Whenever the function is killed while it writes a URL, the secret logs in, the next run completes
// it, and Secrets Manager can rotate again.
func TestURLIsCompleteAfterAKilledRun(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.run()
	h.rotateFully(1) // AWSPENDING stays on the current version
	api := h.function.secrets
	for n := range 4 {
		h.function.settings.host = string(rune('a'+n)) + ".emulator.rds.amazonaws.com"
		left := n
		h.function.secrets = stopping{api, &left}
		h.function.limits.total = h.function.limits.reserve * 2
		_, err := h.function.handle(t.Context(), deployment)
		if (err != nil) != (n < 2) && n != 2 {
			t.Errorf("%d changes: %v", n, err)
		}
		h.function.secrets, h.function.limits = api, shortLimits
		if ok, err := h.function.logsIn(t.Context(), "web", h.secret("web").credentials); !ok {
			t.Errorf("%d changes: the secret does not log in: %v", n, err)
		}
		h.run()
		h.nothingToDo()
		h.loginByURL()
		secret, err := h.function.describe(t.Context(), h.secretOf("web"))
		if err != nil {
			t.Fatal(err)
		}
		for id, labels := range secret.VersionIdsToStages {
			if slices.Contains(labels, pending) && !slices.Contains(labels, current) {
				t.Errorf("%d changes: Secrets Manager takes %s for a rotation that has not ended: %v", n, id, labels)
			}
		}
		h.rotateFully(n + 2)
		h.loginByURL()
	}
}

// The address changes while Secrets Manager rotates: the version that it is creating has the former
// one.
func TestURLChangesDuringARotation(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.run()
	for _, step := range rotationSteps[:2] {
		if err := h.step(t.Context(), h.function, step, token(1)); err != nil {
			t.Fatal(err)
		}
	}
	h.function.settings.host = "other.emulator.rds.amazonaws.com"
	h.run()
	if who := h.loginByURL(); who != "service_web_a in app" {
		t.Errorf("logs in as %s in a rotation", who)
	}
	h.tasks.restarts = nil
	for _, step := range []string{"testSecret", "finishSecret", "finishSecret", "finishSecret"} {
		if err := h.step(t.Context(), h.function, step, token(1)); err != nil {
			t.Fatal(err)
		}
		if step == "finishSecret" {
			if who := h.loginByURL(); who != "service_web_b in app" {
				t.Errorf("logs in as %s after the rotation", who)
			}
		}
	}
	if len(h.tasks.restarts) != 1 {
		t.Errorf("%d restarts in one rotation", len(h.tasks.restarts))
	}
	h.nothingToDo()
	h.rotateFully(2)
	h.loginByURL()
}

// A rotation that finishes while the URL is written is not undone.
func TestWritingAURLUndoesNoRotation(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.setURL(h.verifying())
	h.run()
	stale := h.secret("web")
	h.rotateFully(1)
	h.function.settings.host = "other.emulator.rds.amazonaws.com"
	if err := h.function.writeURL(t.Context(), "web", stale); !passes(err) {
		t.Errorf("want to be tried again, have %v", err)
	}
	if h.credentials("web").Name != "service_web_b" {
		t.Error("the rotation is undone")
	}
	h.run()
	h.loginByURL()
}
