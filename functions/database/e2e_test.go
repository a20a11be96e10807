//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"

	"platform/internal/emulator"
	"platform/internal/postgres"
)

// house is a PostgreSQL with a master, and a Secrets Manager and an ECS beside it, to which the
// function is let.
type house struct {
	*testing.T
	postgres *postgres.Server
	secrets  *secretsmanager.Client
	function *function
	services map[string]serviceRole
	log      *strings.Builder // what the function wrote
	tasks    *fleet
}

func newHouse(t *testing.T) *house {
	t.Helper()
	moto, err := emulator.Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	server, err := moto.Start(t.Context(), emulator.Options{Folder: t.TempDir(), Account: emulator.Account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	config := emulator.Config(server.URL, "eu-central-1")
	h := &house{
		T:        t,
		postgres: server.Database,
		secrets:  secretsmanager.NewFromConfig(config),
		services: map[string]serviceRole{},
		log:      &strings.Builder{},
	}
	authority, err := os.ReadFile(server.Database.CA)
	if err != nil {
		t.Fatal(err)
	}
	h.tasks = &fleet{house: h}
	master := server.Database.Master
	h.function = &function{
		settings: settings{
			host:     "db.emulator.rds.amazonaws.com",
			address:  "127.0.0.1",
			port:     uint16(server.Database.Port),
			database: server.Database.Database,
			roots:    authority,
			master:   h.newSecret("master", credentials{master.Name, master.Password}),
			cluster:  "platform-dev",
		},
		secrets: beginning{h.secrets},
		ecs:     h.tasks,
		log:     slog.New(slog.NewJSONHandler(h.log, nil)),
	}
	return h
}

func (h *house) newSecret(name string, c credentials) string {
	h.Helper()
	input := &secretsmanager.CreateSecretInput{Name: &name}
	if c.Username != "" {
		text, _ := json.Marshal(c)
		input.SecretString = aws.String(string(text))
	}
	secret, err := h.secrets.CreateSecret(h.Context(), input)
	if err != nil {
		h.Fatal(err)
	}
	return *secret.ARN
}

// set configures a service, with a secret made if it has none, as Terraform would.
func (h *house) set(service, level string) {
	h.Helper()
	s, ok := h.services[service]
	if !ok {
		s = serviceRole{Secret: h.newSecret(service, credentials{}), Connections: 20, StatementTimeout: 10_000}
	}
	s.Level = level
	h.services[service] = s
}

// unset takes a service out of the configuration and, once the function has run, its secret away.
func (h *house) unset(service string) {
	h.Helper()
	secret := h.services[service].Secret
	delete(h.services, service)
	h.run()
	h.deleteSecret(secret)
}

// deleteSecret deletes a secret at once, so that its name is free.
func (h *house) deleteSecret(secret string) {
	h.Helper()
	_, err := h.secrets.DeleteSecret(h.Context(), &secretsmanager.DeleteSecretInput{
		SecretId:                   &secret,
		ForceDeleteWithoutRecovery: aws.Bool(true),
	})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) event() []byte {
	event, err := json.Marshal(map[string]any{
		"action":   "roles",
		"services": h.services,
		"revision": "1",
		"tf":       map[string]any{"action": "update", "prev_input": nil},
	})
	if err != nil {
		h.Fatal(err)
	}
	return event
}

// run is a deployment.
func (h *house) run() result {
	h.Helper()
	done, err := h.function.handle(h.Context(), h.event())
	if err != nil {
		h.Fatal(err)
	}
	return done
}

// nothingToDo wants a deployment that finds all as it should be, and changes nothing that
// PostgreSQL or Secrets Manager keep.
func (h *house) nothingToDo() {
	h.Helper()
	before := h.all()
	if done := h.run(); len(done.Changed)+len(done.Passwords)+len(done.Disabled) > 0 {
		h.Errorf("a second run found something to do: %+v", done)
	}
	if after := h.all(); !maps.Equal(before, after) {
		h.Errorf("a second run changed something:\n%v\n%v", before, after)
	}
}

// all is each row that is there of what roles are, with the transaction that wrote it, and each
// secret's versions.
func (h *house) all() map[string]string {
	h.Helper()
	all := map[string]string{}
	for _, table := range []string{
		"pg_authid", "pg_auth_members", "pg_db_role_setting", "pg_shdescription", "pg_database", "pg_namespace",
		"pg_default_acl", "pg_class", "pg_proc",
	} {
		for _, row := range h.admin(`SELECT ctid::text || ' ' || xmin::text FROM ` + table) {
			all[table+" "+row] = ""
		}
	}
	for service, s := range h.services {
		secret, err := h.secrets.DescribeSecret(h.Context(), &secretsmanager.DescribeSecretInput{
			SecretId: aws.String(s.Secret),
		})
		if err != nil {
			h.Fatal(err)
		}
		all["secret of "+service] = fmt.Sprint(secret.VersionIdsToStages)
	}
	return all
}

// admin asks as the superuser.
func (h *house) admin(query string) []string {
	h.Helper()
	return h.as(h.postgres.Admin, query)
}

func (h *house) master(query string) {
	h.Helper()
	h.as(h.postgres.Master, query)
}

func (h *house) as(u postgres.User, query string) []string {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), u, h.postgres.Database)
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close(h.Context())
	return h.query(conn, query)
}

func (h *house) query(conn *pgx.Conn, query string) []string {
	h.Helper()
	rows, err := conn.Query(h.Context(), query)
	if err != nil {
		h.Fatalf("%s: %v", query, err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(values), "["), "]"), err
	})
	if err != nil {
		h.Fatalf("%s: %v", query, err)
	}
	return found
}

// credentials are those that a task of a service would start with.
func (h *house) credentials(service string) postgres.User {
	h.Helper()
	c, _, err := h.function.read(h.Context(), h.services[service].Secret, current, "")
	if err != nil {
		h.Fatal(err)
	}
	return postgres.User{Name: c.Username, Password: c.Password}
}

// service logs in as a service does.
func (h *house) service(name string) *pgx.Conn {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), h.credentials(name), h.postgres.Database)
	if err != nil {
		h.Fatalf("%s cannot log in: %v", name, err)
	}
	h.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// try executes a statement; it returns PostgreSQL's code of the error, or empty.
func (h *house) try(conn *pgx.Conn, statement string) string {
	h.Helper()
	_, err := conn.Exec(h.Context(), statement)
	if err != nil && sqlState(err) == "" {
		h.Fatalf("%s: %v", statement, err)
	}
	return sqlState(err)
}

// do executes a statement that has to go well.
func (h *house) do(conn *pgx.Conn, statement string) {
	h.Helper()
	if state := h.try(conn, statement); state != "" {
		h.Fatalf("%s: %s", statement, state)
	}
}

// ended wants that a session was ended.
func (h *house) ended(conn *pgx.Conn) {
	h.Helper()
	if _, err := conn.Exec(h.Context(), "SELECT 1"); err == nil || sqlState(err) != "57P01" && !conn.IsClosed() {
		h.Errorf("the session goes on: %v", err)
	}
}

// beginning is Secrets Manager with what moto can only do for a function of its own: a version that
// is being made has its label before it has a value.
type beginning struct{ *secretsmanager.Client }

func (b beginning) DescribeSecret(
	ctx context.Context, input *secretsmanager.DescribeSecretInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.DescribeSecretOutput, error) {
	secret, err := b.Client.DescribeSecret(ctx, input, o...)
	if token, ok := ctx.Value(beginning{}).(string); ok && err == nil && secret.VersionIdsToStages[token] == nil {
		secret.VersionIdsToStages[token] = []string{pending}
	}
	return secret, err
}

// step is one call of Secrets Manager's, for the secret of web.
func (h *house) step(ctx context.Context, f *function, name, token string) error {
	event, _ := json.Marshal(rotationEvent{name, h.services["web"].Secret, token})
	_, err := f.handle(context.WithValue(ctx, beginning{}, token), event)
	return err
}

var rotationSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func token(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// ---- Tests --------------------------------------------------------------------------------------

func TestRolesFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)

	h.set("web", "owner")
	first := h.run()
	if !slices.Equal(first.Passwords, []string{"service_web_a"}) || len(first.Changed) == 0 {
		t.Errorf("the first run: %+v", first)
	}
	web := h.service("web")
	h.do(web, "CREATE TABLE orders (id serial PRIMARY KEY, what text)")
	h.do(web, "INSERT INTO orders (what) VALUES ('tea')")
	h.nothingToDo()

	h.set("api", "read")
	added := h.run()
	if slices.ContainsFunc(added.Changed, func(c string) bool { return !strings.Contains(c, "service_api_") }) ||
		!slices.Equal(added.Passwords, []string{"service_api_a"}) {
		t.Errorf("a service more touched others: %+v", added)
	}
	h.nothingToDo()
	api := h.service("api")
	h.do(api, "SELECT * FROM orders")
	if state := h.try(api, "INSERT INTO orders (what) VALUES ('salt')"); state != "42501" {
		t.Errorf("a reader inserts: %q", state)
	}

	h.levelChangesAtOnce(api)

	// RDS rotates the master's password between two runs.
	h.admin("ALTER ROLE platform PASSWORD 'another'")
	h.postgres.Master.Password = "another"
	another := credentials{"platform", "another"}
	if err := h.function.write(t.Context(), h.function.settings.master, current, "", another); err != nil {
		t.Fatal(err)
	}
	h.nothingToDo()

	h.serviceIsGone(web)

	// It comes back, with a secret that is new and empty.
	h.set("api", "write")
	h.run()
	h.do(h.service("api"), "INSERT INTO bills VALUES (2)")
	h.nothingToDo()

	h.damageIsPutRight()

	h.master("CREATE ROLE somebody LOGIN PASSWORD 'x'")
	somebody := postgres.User{Name: "somebody", Password: "x"}
	if _, err := h.postgres.Connect(t.Context(), somebody, "app"); sqlState(err) != "42501" {
		t.Errorf("a user without a level gets into the database: %v", err)
	}

	// What only a superuser could have given only a superuser can take: that is an error, and
	// nothing is changed.
	h.admin("GRANT pg_read_all_data TO service_api_a")
	if _, err := h.function.handle(t.Context(), h.event()); err == nil ||
		!strings.Contains(err.Error(), `REVOKE "pg_read_all_data" FROM "service_api_a"`) {
		t.Errorf("a membership too many: %v", err)
	}
	h.admin("REVOKE pg_read_all_data FROM service_api_a")
	h.nothingToDo()
}

// levelChangesAtOnce: another level is at once another level, for sessions that are open too.
func (h *house) levelChangesAtOnce(api *pgx.Conn) {
	h.Helper()
	h.set("api", "write")
	h.run()
	h.ended(api)
	api = h.service("api")
	h.do(api, "INSERT INTO orders (what) VALUES ('salt')")
	h.set("api", "owner")
	h.run()
	api = h.service("api")
	h.do(api, "CREATE TABLE bills (id int)")
	h.do(api, "ALTER TABLE orders ADD COLUMN more int") // of another service: neither owns it
	h.set("api", "read")
	h.run()
	h.ended(api)
	if state := h.try(h.service("api"), "CREATE TABLE more (id int)"); state != "42501" {
		h.Errorf("a reader who was owner makes a table: %q", state)
	}
	h.nothingToDo()
}

// serviceIsGone takes api out of the configuration: its users may not log in, what it made stays
// and goes on.
func (h *house) serviceIsGone(web *pgx.Conn) {
	h.Helper()
	conn, lost := h.service("api"), h.credentials("api")
	h.unset("api")
	h.ended(conn)
	_, err := h.postgres.Connect(h.Context(), lost, h.postgres.Database)
	if state := sqlState(err); state != "28000" && state != "28P01" {
		h.Errorf("a service that is gone logs in: %v", err)
	}
	// They could by IAM, say, or with a password that they are given.
	left := h.admin("SELECT rolname FROM pg_roles WHERE rolname LIKE 'service_api_%' AND rolcanlogin " +
		"OR pg_has_role(rolname, 'platform_read', 'member') AND rolname LIKE 'service_api_%'")
	if len(left) > 0 {
		h.Errorf("users of a service that is gone may log in, or are readers: %v", left)
	}
	h.do(web, "INSERT INTO bills VALUES (1)")
	const told = `"its service is gone: it may no longer log in; what it made stays","user":"service_api_a"`
	if !strings.Contains(h.log.String(), told) {
		h.Errorf("the log does not tell of it:\n%s", h.log)
	}
	h.nothingToDo()
}

// damageIsPutRight: somebody changed what is ours; each is put right, and told.
func (h *house) damageIsPutRight() {
	h.Helper()
	for _, damage := range []string{
		"ALTER ROLE service_api_a NOLOGIN",
		"ALTER ROLE service_api_a PASSWORD 'x'",
		"ALTER ROLE service_api_a CONNECTION LIMIT 3",
		"ALTER ROLE service_api_b CREATEROLE",
		"ALTER ROLE service_web_a RESET ALL",
		"ALTER ROLE service_api_a SET role = 'platform_write'",
		"COMMENT ON ROLE service_web_b IS NULL",
		"GRANT platform_owner TO service_api_a",
		"REVOKE platform_write FROM service_api_a",
		"DROP ROLE service_web_b",
		"GRANT CONNECT ON DATABASE app TO PUBLIC",
		"GRANT CREATE ON SCHEMA public TO PUBLIC",
		"ALTER ROLE platform_owner LOGIN",
		"REVOKE CONNECT ON DATABASE app FROM platform_read",
		"ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner GRANT INSERT ON TABLES TO PUBLIC",
	} {
		h.master(damage)
		done := h.run()
		if strings.HasPrefix(damage, "ALTER DEFAULT") {
			continue // found out below
		}
		if len(done.Changed)+len(done.Passwords) == 0 {
			h.Errorf("%s: was not put right", damage)
		}
		h.nothingToDo()
		h.do(h.service("api"), "INSERT INTO bills VALUES (3)")
	}
}

// Before there were roles, services were the master. What they made is the services' again.
func TestWhatTheMasterMadeIsHandedOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, statement := range []string{
		"CREATE EXTENSION pg_trgm",
		"CREATE TYPE mood AS ENUM ('good', 'bad')",
		"CREATE DOMAIN money2 AS numeric",
		"CREATE TABLE old (id serial PRIMARY KEY, m mood, n int GENERATED ALWAYS AS IDENTITY)",
		`CREATE TABLE "Odd name" (id int)`,
		"CREATE VIEW seen AS SELECT id FROM old",
		"CREATE SEQUENCE alone",
		"CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'",
		"CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'",
		"CREATE SCHEMA vault",
		"CREATE TABLE vault.secrets (id int)",
	} {
		h.master(statement)
	}
	h.set("web", "owner")
	h.set("job", "write")
	h.set("api", "read")
	h.run()
	web, job, api := h.service("web"), h.service("job"), h.service("api")
	for _, statement := range []string{
		"ALTER TABLE old ADD COLUMN x int",
		"ALTER TYPE mood ADD VALUE 'fair'",
		`DROP TABLE "Odd name"`,
		"CREATE OR REPLACE VIEW seen AS SELECT id FROM old WHERE id > 0",
		"DROP PROCEDURE nothing",
		"CREATE OR REPLACE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n + n'",
		"ALTER DOMAIN money2 SET NOT NULL",
		"SELECT similarity('a', 'b')",
		"ALTER SEQUENCE alone RESTART",
	} {
		h.do(web, statement)
	}
	h.do(job, "INSERT INTO old (m) VALUES ('good')")
	h.do(job, "SELECT nextval('alone')")
	h.do(api, "SELECT * FROM seen, old")
	for _, conn := range []*pgx.Conn{web, job, api} {
		if state := h.try(conn, "SELECT * FROM vault.secrets"); state != "42501" {
			t.Errorf("a service reads what the master keeps: %q", state)
		}
	}
	h.nothingToDo()
}

// Each level against each kind of statement.
func TestLevelsAllowWhatTheyAreForAndNoMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("owner", "owner")
	h.set("writer", "write")
	h.set("reader", "read")
	limited := h.services["reader"]
	limited.Connections, limited.StatementTimeout = 3, 300
	h.services["reader"] = limited
	h.run()
	owner := h.service("owner")
	for _, statement := range []string{
		"CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, what text)",
		"CREATE SEQUENCE counter",
		"CREATE TYPE mood AS ENUM ('good')",
		"CREATE VIEW seen AS SELECT * FROM orders",
		"CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'",
		"CREATE FUNCTION order_tea() RETURNS void LANGUAGE sql AS $$INSERT INTO orders (what) VALUES ('tea')$$",
		"CREATE SCHEMA other",
		"CREATE TABLE other.things (id int)",
	} {
		h.do(owner, statement)
	}
	h.master("CREATE SCHEMA vault")
	h.master("CREATE TABLE vault.secrets (id int)")
	h.master("CREATE TABLE public.of_the_master (id int)") // until the next deployment

	const all, writers, owners, none = "read write owner", "write owner", "owner", ""
	matrix := []struct{ kind, statement, allowed string }{
		{"select", "SELECT * FROM orders", all},
		{"select", "SELECT * FROM seen", all},
		{"select", "SELECT last_value FROM counter", all},
		{"select", "COPY orders TO STDOUT", all},
		{"select for update", "SELECT * FROM orders FOR UPDATE", writers},
		{"change", "INSERT INTO orders (what) VALUES ('tea')", writers},
		{"change", "UPDATE orders SET what = 'salt'", writers},
		{"change", "DELETE FROM orders", writers},
		{"change", "SELECT nextval('counter')", writers},
		{"change", "TRUNCATE orders", owners},
		{"change", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", writers}, // PostgreSQL's: who may delete may lock
		{"function", "SELECT twice(2)", all},
		{"function", "SELECT order_tea()", writers},
		{"type", "CREATE TEMPORARY TABLE t (m mood)", writers},
		{"temporary", "CREATE TEMPORARY TABLE t (id int)", writers},
		{"define", "CREATE TABLE mine (id int)", owners},
		{"define", "ALTER TABLE orders ADD COLUMN more int", owners},
		{"define", "CREATE INDEX ON orders (what)", owners},
		{"define", "DROP TABLE orders CASCADE", owners},
		{"define", "CREATE VIEW also AS SELECT * FROM orders", owners},
		{"define", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", owners},
		{"define", "COMMENT ON TABLE orders IS 'x'", owners},
		{"define", "ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner GRANT DELETE ON TABLES TO platform_read", owners},
		{"define", "CREATE EXTENSION pg_trgm", owners},
		{"define", "CREATE FUNCTION g() RETURNS int LANGUAGE c AS 'x', 'x'", none},
		{"other schema", "SELECT * FROM other.things", all},
		{"other schema", "INSERT INTO other.things VALUES (1)", writers},
		{"other schema", "CREATE TABLE other.more (id int)", owners},
		{"other schema", "CREATE SCHEMA third", owners},
		{"other schema", "DROP SCHEMA other CASCADE", owners},
		{"the master's", "SELECT * FROM vault.secrets", none},
		{"the master's", "CREATE TABLE vault.more (id int)", none},
		{"the master's", "SELECT * FROM public.of_the_master", none},
		{"the master's", "SET ROLE platform", none},
		{"the master's", "SET SESSION AUTHORIZATION platform", none},
		{"roles", "CREATE ROLE more", none},
		{"roles", "DROP ROLE service_reader_b", none},
		{"roles", "ALTER ROLE service_writer_b PASSWORD 'x'", none},
		{"roles", "ALTER ROLE platform_read LOGIN", none},
		{"roles", "ALTER ROLE service_reader_b CONNECTION LIMIT -1", none},
		{"roles", "GRANT platform_owner TO service_reader_b", none},
		{"roles", "SET ROLE platform_owner", owners},
		{"roles", "SET ROLE pg_read_all_data", none},
		{"secrets", "SELECT rolpassword FROM pg_authid", none},
		{"secrets", "SELECT * FROM pg_shadow", none},
		{"secrets", "SELECT * FROM pg_user_mapping", none},
		{"server", "CREATE DATABASE more", none},
		{"server", "DROP DATABASE app", none},
		{"server", "ALTER SYSTEM SET log_statement = 'none'", none},
		{"server", "SELECT pg_read_file('pg_hba.conf')", none},
		{"server", "COPY orders TO PROGRAM 'cat'", none},
		{"server", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rdsadmin'", none},
	}
	tried := 0
	for level, service := range map[string]string{"read": "reader", "write": "writer", "owner": "owner"} {
		admin, err := h.postgres.Connect(t.Context(), h.postgres.Admin, "app") // a session that nobody else may end
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close(context.Background())
		conn := h.service(service)
		for _, m := range matrix {
			tried++
			// Those on the database and the system must not be in a transaction.
			if !strings.Contains(m.statement, "DATABASE") && !strings.Contains(m.statement, "SYSTEM") {
				h.do(conn, "BEGIN")
			}
			state := h.try(conn, m.statement)
			h.do(conn, "ROLLBACK")
			h.do(conn, "RESET ROLE")
			if allowed := slices.Contains(strings.Fields(m.allowed), level); allowed != (state == "") {
				t.Errorf("%s: %s, %s: allowed is %t, want %t (%s)",
					level, m.kind, m.statement, state == "", allowed, state)
			} else if !allowed && state != "42501" && state != "28000" {
				t.Errorf("%s: %s, %s: refused for another reason: %s", level, m.kind, m.statement, state)
			}
		}
	}
	t.Logf("%d statements by each of 3 levels: %d tried", len(matrix), tried)

	reader := h.service("reader")
	if state := h.try(reader, "SELECT pg_sleep(5)"); state != "57014" {
		t.Errorf("a statement longer than the limit: %q", state)
	}
	open := []*pgx.Conn{reader}
	for range 5 {
		conn, err := h.postgres.Connect(t.Context(), h.credentials("reader"), "app")
		if err != nil {
			if sqlState(err) != "53300" {
				t.Errorf("one session too many: %v", err)
			}
			break
		}
		defer conn.Close(context.Background())
		open = append(open, conn)
	}
	if len(open) > 3 {
		t.Errorf("%d sessions at once, want 3 at the most", len(open))
	}
	h.run() // while the user has all its sessions: neither a failure nor the end of them
	h.do(reader, "SELECT 1")
}

// fleet is a service's tasks: each logs in with what the secret was when it started, and asks on
// and on, over a session that it keeps and over new ones. Restarted by ECS, new tasks come first
// and the old go then.
type fleet struct {
	*house
	name     string
	mu       sync.Mutex
	restarts []string
	stop     func()
	err      error // of the next UpdateService

	asked, failed int
}

func (f *fleet) UpdateService(
	ctx context.Context, input *ecs.UpdateServiceInput, _ ...func(*ecs.Options),
) (*ecs.UpdateServiceOutput, error) {
	if err := f.err; err != nil {
		f.err = nil
		return nil, err
	}
	if !input.ForceNewDeployment || *input.Cluster != "platform-dev" {
		return nil, fmt.Errorf("want a new deployment in platform-dev, have %+v", input)
	}
	f.mu.Lock()
	f.restarts = append(f.restarts, *input.Service)
	old := f.stop
	f.mu.Unlock()
	if old != nil {
		f.start()
		time.Sleep(200 * time.Millisecond) // both are there
		old()
	}
	return &ecs.UpdateServiceOutput{}, nil
}

func (f *fleet) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var ends sync.WaitGroup
	u := f.credentials(f.name)
	for range 2 {
		ends.Go(func() {
			var kept *pgx.Conn
			for ctx.Err() == nil {
				err := error(nil)
				if kept == nil {
					kept, err = f.postgres.Connect(context.Background(), u, "app")
				}
				if err == nil {
					_, err = kept.Exec(context.Background(), "INSERT INTO pulse VALUES (now())")
				}
				f.count(err)
				fresh, err := f.postgres.Connect(context.Background(), u, "app")
				if err == nil {
					_, err = fresh.Exec(context.Background(), "SELECT count(*) FROM pulse")
					fresh.Close(context.Background())
				}
				f.count(err)
				time.Sleep(5 * time.Millisecond)
			}
			if kept != nil {
				kept.Close(context.Background())
			}
		})
	}
	f.mu.Lock()
	f.stop = func() { cancel(); ends.Wait() }
	f.mu.Unlock()
}

func (f *fleet) count(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if err != nil {
		f.failed++
		f.Logf("a query failed: %v", err)
	}
}

func TestRotationIsNoticedByNoClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("web", "owner")
	h.run()
	h.do(h.service("web"), "CREATE TABLE pulse (at timestamptz)")
	h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service_web_a'")
	h.tasks.name = "web"
	h.tasks.start()
	const rotations = 6
	for n := range rotations {
		before := h.credentials("web")
		for _, step := range rotationSteps {
			if err := h.step(t.Context(), h.function, step, token(n)); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 { // Secrets Manager repeats what it is not sure of
				if err := h.step(t.Context(), h.function, step, token(n)); err != nil {
					t.Fatalf("repeated: %v", err)
				}
			}
			// A deployment in between changes nothing of it.
			if done := h.run(); len(done.Changed)+len(done.Passwords) > 0 {
				t.Errorf("a deployment after %s: %+v", step, done)
			}
		}
		if after := h.credentials("web"); after.Name == before.Name || after.Password == before.Password {
			t.Errorf("rotation %d: %s before, %s after", n, before.Name, after.Name)
		}
	}
	h.tasks.stop()
	t.Logf("%d rotations, %d restarts; %d queries, %d failed",
		rotations, len(h.tasks.restarts), h.tasks.asked, h.tasks.failed)
	if h.tasks.failed > 0 || h.tasks.asked < 100 || len(h.tasks.restarts) < rotations {
		t.Errorf("%d of %d queries failed, %d restarts", h.tasks.failed, h.tasks.asked, len(h.tasks.restarts))
	}
}

// Where ECS did not restart the service, its tasks still use the user whose turn it is: its
// password stays, the rotation fails, and the next one goes.
func TestRotationWaitsForTasksThatWereNotReplaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("web", "write")
	h.run()
	old := h.service("web")
	h.tasks.err = errors.New("throttled")
	for _, step := range rotationSteps {
		err := h.step(t.Context(), h.function, step, token(1))
		if failed := err != nil; failed != (step == "finishSecret") {
			t.Fatalf("%s: %v", step, err)
		}
	}
	h.service("web") // the secret works
	if err := h.step(t.Context(), h.function, "createSecret", token(2)); err != nil {
		t.Fatal(err)
	}
	if err := h.step(t.Context(), h.function, "setSecret", token(2)); err == nil ||
		!strings.Contains(err.Error(), "service_web_a still has 1 sessions open") {
		t.Fatalf("a user in use gets another password: %v", err)
	}
	if !slices.Equal(h.tasks.restarts, []string{"web"}) {
		t.Errorf("the service was not restarted: %v", h.tasks.restarts)
	}
	h.do(old, "SELECT 1")
	h.service("web")
	old.Close(t.Context())
	for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'service_web_a'")[0] != "0" {
		time.Sleep(10 * time.Millisecond)
	}
	for _, step := range rotationSteps {
		if err := h.step(t.Context(), h.function, step, token(2)); err != nil {
			t.Fatal(err)
		}
	}
	h.service("web")
}

// Set up without beginning at once, Secrets Manager tests the function by the third step alone;
// what it has not begun is refused.
func TestRotationStepsThatComeAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("web", "read")
	h.run()
	if err := h.step(t.Context(), h.function, "testSecret", token(1)); err != nil {
		t.Errorf("the test of a rotation that has not begun: %v", err)
	}
	f := *h.function
	f.secrets = h.secrets // which knows of no version that is being made
	for _, step := range []string{"createSecret", "setSecret", "finishSecret"} {
		if err := h.step(t.Context(), &f, step, token(1)); err == nil ||
			!strings.Contains(err.Error(), "is not one that Secrets Manager is making") {
			t.Errorf("%s of a version that nobody is making: %v", step, err)
		}
	}
	if err := h.step(t.Context(), h.function, "eatSecret", token(1)); err == nil {
		t.Error("any step will do")
	}
	h.nothingToDo()
}

// mortal dies before its nth call of AWS or statement in PostgreSQL: whatever it was doing ends
// there.
type mortal struct {
	secretsAPI
	ecsAPI
	left   int
	cancel func()
	last   string
}

func (m *mortal) lives(deed string) error {
	if m.left--; m.left < 0 {
		m.cancel()
		return context.Canceled
	}
	m.last = deed
	return nil
}

func (m *mortal) DescribeSecret(
	ctx context.Context, i *secretsmanager.DescribeSecretInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.DescribeSecretOutput, error) {
	if err := m.lives("DescribeSecret"); err != nil {
		return nil, err
	}
	return m.secretsAPI.DescribeSecret(ctx, i, o...)
}

func (m *mortal) GetSecretValue(
	ctx context.Context, i *secretsmanager.GetSecretValueInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	if err := m.lives("GetSecretValue"); err != nil {
		return nil, err
	}
	return m.secretsAPI.GetSecretValue(ctx, i, o...)
}

func (m *mortal) PutSecretValue(
	ctx context.Context, i *secretsmanager.PutSecretValueInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.PutSecretValueOutput, error) {
	if err := m.lives("PutSecretValue"); err != nil {
		return nil, err
	}
	return m.secretsAPI.PutSecretValue(ctx, i, o...)
}

func (m *mortal) UpdateSecretVersionStage(
	ctx context.Context, i *secretsmanager.UpdateSecretVersionStageInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	if err := m.lives("UpdateSecretVersionStage"); err != nil {
		return nil, err
	}
	return m.secretsAPI.UpdateSecretVersionStage(ctx, i, o...)
}

func (m *mortal) UpdateService(
	ctx context.Context, i *ecs.UpdateServiceInput, o ...func(*ecs.Options),
) (*ecs.UpdateServiceOutput, error) {
	if err := m.lives("UpdateService"); err != nil {
		return nil, err
	}
	return m.ecsAPI.UpdateService(ctx, i, o...)
}

func (m *mortal) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	deed, _, _ := strings.Cut(strings.TrimSpace(data.SQL), "\n")
	_ = m.lives(deed) // the context is what stops it
	return ctx
}

func (m *mortal) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// killed runs something with a function that dies after n deeds. It returns the last of them, and
// whether it died.
func (h *house) killed(n int, do func(context.Context, *function) error) (last string, died bool) {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	defer cancel()
	m := &mortal{secretsAPI: h.function.secrets, ecsAPI: h.function.ecs, left: n, cancel: cancel}
	f := *h.function
	f.secrets, f.ecs, f.tracer = m, m, m
	err := do(ctx, &f)
	if died = m.left < 0; !died && err != nil {
		h.Fatalf("not killed, and failed: %v", err)
	}
	return m.last, died
}

func TestDeploymentThatWasKilledIsHealedByTheNext(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	points := 0
	for n := 0; ; n++ {
		h.set("web", "owner")
		h.set("api", "read")
		last, died := h.killed(n, func(ctx context.Context, f *function) error {
			_, err := f.handle(ctx, h.event())
			return err
		})
		h.run()
		h.nothingToDo()
		h.do(h.service("web"), "CREATE TABLE made (id int)")
		h.do(h.service("api"), "SELECT * FROM made")
		if t.Failed() {
			t.Fatalf("killed after deed %d, %s", n, last)
		}
		if !died {
			break
		}
		points++
		// As it was before the first deployment.
		for _, service := range []string{"web", "api"} {
			h.deleteSecret(h.services[service].Secret)
			delete(h.services, service)
		}
		const all = "platform_read, platform_write, platform_owner, " +
			"service_web_a, service_web_b, service_api_a, service_api_b"
		h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'service_%'")
		h.admin("DROP OWNED BY " + all)
		h.admin("DROP ROLE " + all)
	}
	t.Logf("a first deployment killed at %d points, each healed by the next run", points)
	if points < 50 {
		t.Errorf("only %d points", points)
	}
}

func TestRotationThatWasKilledLeavesAWorkingSecretAndIsHealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("web", "write")
	h.run()
	next := 0
	for _, step := range rotationSteps {
		points := 0
		for n := 0; ; n++ {
			next++
			version := token(next)
			old := h.credentials("web")
			for _, before := range rotationSteps[:slices.Index(rotationSteps, step)] {
				if err := h.step(t.Context(), h.function, before, version); err != nil {
					t.Fatal(err)
				}
			}
			_, died := h.killed(n, func(ctx context.Context, f *function) error {
				return h.step(ctx, f, step, version)
			})
			for _, u := range []postgres.User{old, h.credentials("web")} { // running tasks, and new ones
				conn, err := h.postgres.Connect(t.Context(), u, "app")
				if err != nil {
					t.Fatalf("%s killed after %d deeds: %s cannot log in: %v", step, n, u.Name, err)
				}
				conn.Close(t.Context())
			}
			if done := h.run(); len(done.Passwords) > 0 {
				t.Errorf("%s killed after %d deeds: a deployment had to heal it: %+v", step, n, done)
			}
			// Secrets Manager goes on with the version, or begins another.
			if n%2 == 1 && h.credentials("web").Name == old.Name {
				next++
				version = token(next)
			}
			for _, again := range rotationSteps {
				if err := h.step(t.Context(), h.function, again, version); err != nil {
					t.Fatalf("%s killed after %d deeds: then %s: %v", step, n, again, err)
				}
			}
			if h.credentials("web").Name == old.Name {
				t.Errorf("%s killed after %d deeds: nothing was rotated in the end", step, n)
			}
			h.service("web").Close(t.Context())
			for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'service_%'")[0] != "0" {
				time.Sleep(10 * time.Millisecond)
			}
			if !died {
				break
			}
			points++
		}
		t.Logf("%s killed at %d points: the secret worked at each, and the rotation was done in the end", step, points)
		if points < 2 {
			t.Errorf("%s: only %d points", step, points)
		}
	}
}

// A password is in its own secret and nowhere else.
func TestPasswordsAreNowhereButInTheirSecrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.set("web", "owner")
	h.set("api", "read")
	answers := fmt.Sprintf("%+v", h.run())
	passwords := []string{h.postgres.Master.Password, h.credentials("web").Password, h.credentials("api").Password}
	for n := range 2 {
		for _, step := range rotationSteps {
			if err := h.step(t.Context(), h.function, step, token(n)); err != nil {
				t.Fatal(err)
			}
		}
		passwords = append(passwords, h.credentials("web").Password)
	}
	// And what goes wrong: a master who is refused, a service who is.
	h.admin("ALTER ROLE service_web_a NOLOGIN")
	if err := h.step(t.Context(), h.function, "testSecret", token(1)); err == nil {
		t.Error("a user who may not log in does")
	} else {
		answers += err.Error()
	}
	answers += fmt.Sprintf("%+v", h.run())
	f := *h.function
	f.settings.host = "another.example"
	_, err := f.handle(t.Context(), h.event())
	if err == nil || !strings.Contains(err.Error(), "not another.example") {
		t.Errorf("a server that is not the one meant is taken: %v", err)
	}
	answers += fmt.Sprint(err)
	f.settings.host, f.settings.roots = h.function.settings.host, certificatesOf(t, "eu-central-1")
	if _, err = f.handle(t.Context(), h.event()); err == nil ||
		!strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("a server under another authority is taken: %v", err)
	}
	answers += fmt.Sprint(err)
	server, err := os.ReadFile(h.postgres.Log)
	if err != nil {
		t.Fatal(err)
	}
	places := map[string]string{
		"PostgreSQL's log":   string(server),
		"the function's log": h.log.String(),
		"its answers":        answers,
	}
	if !strings.Contains(places["PostgreSQL's log"], "ALTER ROLE") {
		t.Error("PostgreSQL does not log statements, so that nothing can be found")
	}
	for place, text := range places {
		for _, password := range passwords {
			if strings.Contains(text, password) {
				t.Errorf("a password is in %s", place)
			}
		}
	}
}

func certificatesOf(t *testing.T, region string) []byte {
	text, err := certificates.ReadFile("certificates/" + region + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return text
}
