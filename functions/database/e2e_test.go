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
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// fixture is the environment of a test: a PostgreSQL with a master user, an emulator of Secrets
// Manager and a fake ECS, and the function that uses them.
type fixture struct {
	*testing.T
	postgres *postgres.Server
	secrets  *secretsmanager.Client
	function *function
	services map[string]service // the function's
	log      *strings.Builder   // what the function wrote
	metrics  *strings.Builder
	tasks    *taskSimulation
}

func newFixture(t *testing.T, major int) *fixture {
	t.Helper()
	return fixtureOn(t, startPostgres(t, major, postgres.Options{}))
}

// fixtureOn returns a fixture on a running server.
func fixtureOn(t *testing.T, server *postgres.Server) *fixture {
	t.Helper()
	h := &fixture{
		T:        t,
		postgres: server,
		secrets:  secretsManager(t),
		services: map[string]service{},
		log:      &strings.Builder{},
		metrics:  &strings.Builder{},
	}
	authority, err := os.ReadFile(server.CA)
	if err != nil {
		t.Fatal(err)
	}
	h.tasks = &taskSimulation{fixture: h}
	master := server.Master
	h.function = &function{
		settings: settings{
			host:     "db.emulator.rds.amazonaws.com",
			address:  "127.0.0.1",
			port:     uint16(server.Port),
			database: server.Database,
			roots:    authority,
			master:   h.newSecret("master", credentials{master.Name, master.Password}),
			cluster:  "platform-dev",
			services: h.services,
			prefix:   "platform-dev/database/",
			rotation: 30,
			name:     "platform-dev-database",

			namespace: "platform-dev/Database",
		},
		limits:  shortLimits,
		secrets: beginning{h.secrets},
		ecs:     h.tasks,
		log:     slog.New(slog.NewJSONHandler(h.log, nil)),
		metrics: h.metrics,
	}
	return h
}

func (h *fixture) newSecret(name string, c credentials) string {
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

// set configures a service, and creates its secret if it has none, as Terraform would.
func (h *fixture) set(name, level string) {
	h.Helper()
	s, ok := h.services[name]
	if !ok {
		h.newSecret(h.secretOf(name), credentials{})
		s = service{Connections: 20, StatementTimeout: 10_000}
	}
	s.Level = level
	h.services[name] = s
}

// secretOf returns the name of a service's secret.
func (h *fixture) secretOf(service string) string { return h.function.settings.secret(service) }

// unset removes a service from the configuration, and deletes its secret after the function has
// run.
func (h *fixture) unset(service string) {
	h.Helper()
	delete(h.services, service)
	h.run()
	h.deleteSecret(h.secretOf(service))
}

// deleteSecret deletes a secret without a recovery window, so that its name can be used again.
func (h *fixture) deleteSecret(secret string) {
	h.Helper()
	_, err := h.secrets.DeleteSecret(h.Context(), &secretsmanager.DeleteSecretInput{
		SecretId:                   &secret,
		ForceDeleteWithoutRecovery: aws.Bool(true),
	})
	if err != nil {
		h.Fatal(err)
	}
}

// deployment is the event of a deployment.
var deployment = json.RawMessage(`{"action":"roles","revision":"1"}`)

// run invokes the function as a deployment does.
func (h *fixture) run() result {
	h.Helper()
	done, err := h.function.handle(h.Context(), deployment)
	if err != nil {
		h.Fatal(err)
	}
	return done
}

// nothingToDo checks that a deployment changes nothing in PostgreSQL and Secrets Manager.
func (h *fixture) nothingToDo() {
	h.Helper()
	before := h.all()
	if done := h.run(); len(done.Changed)+len(done.Passwords)+len(done.Disabled) > 0 {
		h.Errorf("a second run found something to do: %+v", done)
	}
	if after := h.all(); !maps.Equal(before, after) {
		h.Errorf("a second run changed something:\n%v\n%v", before, after)
	}
}

// all returns the rows of PostgreSQL's catalogues about roles, each with the transaction that wrote
// it, and the versions of each secret.
func (h *fixture) all() map[string]string {
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
	for service := range h.services {
		secret, err := h.secrets.DescribeSecret(h.Context(), &secretsmanager.DescribeSecretInput{
			SecretId: aws.String(h.secretOf(service)),
		})
		if err != nil {
			h.Fatal(err)
		}
		all["secret of "+service] = fmt.Sprint(secret.VersionIdsToStages)
	}
	return all
}

// admin executes a query as the superuser.
func (h *fixture) admin(query string) []string {
	h.Helper()
	return h.as(h.postgres.Admin, query)
}

func (h *fixture) master(query string) {
	h.Helper()
	h.as(h.postgres.Master, query)
}

func (h *fixture) as(u postgres.User, query string) []string {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), u, h.postgres.Database)
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close(h.Context())
	return h.query(conn, query)
}

func (h *fixture) query(conn *pgx.Conn, query string) []string {
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

// credentials returns the credentials that a new task of a service gets.
func (h *fixture) credentials(service string) postgres.User {
	h.Helper()
	c, err := h.function.read(h.Context(), h.secretOf(service), current, "")
	if err != nil {
		h.Fatal(err)
	}
	return postgres.User{Name: c.Username, Password: c.Password}
}

// service logs in with the credentials of a service, to its database.
func (h *fixture) service(name string) *pgx.Conn {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), h.credentials(name), h.function.settings.databaseOf(name))
	if err != nil {
		h.Fatalf("%s cannot log in: %v", name, err)
	}
	h.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// try executes a statement and returns PostgreSQL's error code, or "".
func (h *fixture) try(conn *pgx.Conn, statement string) string {
	h.Helper()
	_, err := conn.Exec(h.Context(), statement)
	if err != nil && sqlState(err) == "" {
		h.Fatalf("%s: %v", statement, err)
	}
	return sqlState(err)
}

// do executes a statement that must succeed.
func (h *fixture) do(conn *pgx.Conn, statement string) {
	h.Helper()
	if state := h.try(conn, statement); state != "" {
		h.Fatalf("%s: %s", statement, state)
	}
}

// ended checks that a session was ended.
func (h *fixture) ended(conn *pgx.Conn) {
	h.Helper()
	if _, err := conn.Exec(h.Context(), "SELECT 1"); err == nil || sqlState(err) != "57P01" && !conn.IsClosed() {
		h.Errorf("the session goes on: %v", err)
	}
}

// beginning is a Secrets Manager client in which the label AWSPENDING is on a version without a
// value, as during a rotation. moto has such a version only for its own functions.
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

// arn returns the ARN of the secret of web.
func (h *fixture) arn() string {
	h.Helper()
	secret, err := h.function.describe(h.Context(), h.secretOf("web"))
	if err != nil {
		h.Fatal(err)
	}
	return *secret.ARN
}

// shortLimits are limits for tests, in which nothing takes as long as on AWS.
var shortLimits = limits{
	reserve:  time.Second,
	total:    20 * time.Second,
	pause:    200 * time.Millisecond,
	rights:   2 * time.Second,
	handOver: 3 * time.Second,
	lock:     defaultLimits.lock,
	objects:  defaultLimits.objects,
}

// step invokes the function for one step of the rotation of the secret of web.
func (h *fixture) step(ctx context.Context, f *function, name, token string) error {
	event, _ := json.Marshal(rotationEvent{name, h.arn(), token})
	_, err := f.handle(context.WithValue(ctx, beginning{}, token), event)
	return err
}

var rotationSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

func token(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// ---- Tests --------------------------------------------------------------------------------------

func TestRolesFollowTheConfiguration(t *testing.T) { onEachMajor(t, rolesFollowTheConfiguration) }

func rolesFollowTheConfiguration(t *testing.T, major int) {
	h := newFixture(t, major)

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
	if slices.ContainsFunc(added.Changed, func(c string) bool { return !strings.Contains(c, "service_api") }) ||
		!slices.Equal(added.Passwords, []string{"service_api_a"}) {
		t.Errorf("a service more touched others: %+v", added)
	}
	h.nothingToDo()
	api := h.service("api")
	h.do(api, "SELECT * FROM orders")
	if state := h.try(api, "INSERT INTO orders (what) VALUES ('salt')"); state != "42501" {
		t.Errorf("a reader inserts: %q", state)
	}

	h.accessLevelChangesImmediately(api)

	// RDS rotates the password of the master user between two runs.
	h.admin("ALTER ROLE platform PASSWORD 'another'")
	h.postgres.Master.Password = "another"
	another := secretVersion{credentials: credentials{"platform", "another"}}
	if err := h.function.write(t.Context(), h.function.settings.master, current, "", another); err != nil {
		t.Fatal(err)
	}
	h.nothingToDo()

	h.serviceIsRemoved(web)

	// The service is added again, with a new, empty secret.
	h.set("api", "write")
	h.run()
	h.do(h.service("api"), "INSERT INTO bills VALUES (2)")
	h.nothingToDo()

	h.manualChangesAreReverted()

	somebody := postgres.User{Name: "somebody", Password: "x"}
	if _, err := h.postgres.Connect(t.Context(), somebody, "app"); sqlState(err) != "42501" {
		t.Errorf("a user without a level gets into the database: %v", err)
	}

	// Since PostgreSQL 16, only a superuser can revoke what a superuser granted: this is an error.
	h.admin("GRANT pg_read_all_data TO service_api_a")
	_, err := h.function.handle(t.Context(), deployment)
	if major < 16 && err != nil || major >= 16 && (err == nil ||
		!strings.Contains(err.Error(), `REVOKE "pg_read_all_data" FROM "service_api_a"`)) {
		t.Errorf("a membership too many: %v", err)
	}
	h.admin("REVOKE pg_read_all_data FROM service_api_a")
	h.nothingToDo()
}

// accessLevelChangesImmediately: another access level takes effect immediately, also in open
// sessions.
func (h *fixture) accessLevelChangesImmediately(api *pgx.Conn) {
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

// serviceIsRemoved removes api from the configuration: its users cannot log in; its objects remain
// and are usable.
func (h *fixture) serviceIsRemoved(web *pgx.Conn) {
	h.Helper()
	conn, lost := h.service("api"), h.credentials("api")
	h.unset("api")
	h.ended(conn)
	_, err := h.postgres.Connect(h.Context(), lost, h.postgres.Database)
	if state := sqlState(err); state != "28000" && state != "28P01" {
		h.Errorf("a service that is gone logs in: %v", err)
	}
	// Logging in must be impossible with any method, such as IAM authentication or a new password.
	left := h.admin("SELECT rolname FROM pg_roles WHERE rolname LIKE 'service_api_%' AND rolcanlogin " +
		"OR pg_has_role(rolname, 'platform_read', 'member') AND rolname LIKE 'service_api_%'")
	if len(left) > 0 {
		h.Errorf("users of a service that is gone may log in, or are readers: %v", left)
	}
	h.do(web, "INSERT INTO bills VALUES (1)")
	const told = `"service is removed: its user can no longer log in; its objects stay","what":"service_api_a"`
	if !strings.Contains(h.log.String(), told) {
		h.Errorf("the log does not tell of it:\n%s", h.log)
	}
	h.nothingToDo()
}

// manualChangesAreReverted: the function reverts and reports manual changes of its roles.
func (h *fixture) manualChangesAreReverted() {
	h.Helper()
	h.master("CREATE ROLE somebody LOGIN PASSWORD 'x'")
	for _, damage := range []string{
		"ALTER ROLE service_api_a NOLOGIN",
		"ALTER ROLE service_api_a PASSWORD 'x'",
		"ALTER ROLE service_api_a CONNECTION LIMIT 3",
		"ALTER ROLE service_api_a VALID UNTIL '2020-01-01'",
		"ALTER ROLE service_api_b CREATEROLE",
		"ALTER ROLE service_web_a RESET ALL",
		"ALTER ROLE service_api_a SET role = 'platform_write'",
		"ALTER ROLE service_api_b IN DATABASE app SET role = 'service_api_b'",
		"COMMENT ON ROLE service_web_b IS NULL",
		"COMMENT ON ROLE service_web IS NULL",
		"GRANT platform_owner TO service_api_a",
		"GRANT platform_owner TO platform_read",
		"GRANT service_web_a TO somebody",
		"GRANT service_web TO service_api_b",
		"REVOKE platform_write FROM service_api",
		"REVOKE service_api FROM service_api_a",
		"REVOKE service_api FROM platform_owner",
		"DROP ROLE service_web_b",
		"GRANT CONNECT ON DATABASE app TO PUBLIC",
		"GRANT CREATE ON DATABASE app TO service_api_a",
		"GRANT CREATE ON SCHEMA public TO PUBLIC",
		"GRANT CREATE ON SCHEMA public TO service_api_b",
		"ALTER ROLE platform_owner LOGIN",
		"ALTER ROLE service_api LOGIN",
		"REVOKE CONNECT ON DATABASE app FROM platform_read",
		"ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner GRANT INSERT ON TABLES TO PUBLIC",
		"ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner REVOKE SELECT ON TABLES FROM platform_read",
	} {
		h.master(damage)
		done := h.run()
		if len(done.Changed)+len(done.Passwords) == 0 {
			h.Errorf("%s: was not put right", damage)
		}
		h.nothingToDo()
		h.do(h.service("api"), "INSERT INTO bills VALUES (3)")
	}
}

// Each access level executes each kind of statement.
func TestAccessLevelsHaveExactlyTheirPermissions(t *testing.T) {
	onEachMajor(t, accessLevelsHaveExactlyTheirPermissions)
}

func accessLevelsHaveExactlyTheirPermissions(t *testing.T, major int) {
	h := newFixture(t, major)
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
		{"read", "SELECT * FROM orders", all},
		{"read", "SELECT * FROM seen", all},
		{"read", "SELECT last_value FROM counter", all},
		{"read", "COPY orders TO STDOUT", all},
		{"select for update", "SELECT * FROM orders FOR UPDATE", writers},
		{"write", "INSERT INTO orders (what) VALUES ('tea')", writers},
		{"write", "UPDATE orders SET what = 'salt'", writers},
		{"write", "DELETE FROM orders", writers},
		{"write", "SELECT nextval('counter')", writers},
		{"write", "TRUNCATE orders", owners},
		{"write", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE", writers}, // PostgreSQL's: who may delete may lock
		{"function", "SELECT twice(2)", all},
		{"function", "SELECT order_tea()", writers},
		{"type", "CREATE TEMPORARY TABLE t (m mood)", writers},
		{"temporary", "CREATE TEMPORARY TABLE t (id int)", writers},
		{"DDL", "CREATE TABLE mine (id int)", owners},
		{"DDL", "ALTER TABLE orders ADD COLUMN more int", owners},
		{"DDL", "CREATE INDEX ON orders (what)", owners},
		{"DDL", "DROP TABLE orders CASCADE", owners},
		{"DDL", "CREATE VIEW also AS SELECT * FROM orders", owners},
		{"DDL", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", owners},
		{"DDL", "COMMENT ON TABLE orders IS 'x'", owners},
		{"DDL", "ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner GRANT DELETE ON TABLES TO platform_read", owners},
		{"DDL", "CREATE EXTENSION pg_trgm", owners},
		{"DDL", "CREATE FUNCTION g() RETURNS int LANGUAGE c AS 'x', 'x'", none},
		{"other schema", "SELECT * FROM other.things", all},
		{"other schema", "INSERT INTO other.things VALUES (1)", writers},
		{"other schema", "CREATE TABLE other.more (id int)", owners},
		{"other schema", "CREATE SCHEMA third", owners},
		{"other schema", "DROP SCHEMA other CASCADE", owners},
		{"objects of the master user", "SELECT * FROM vault.secrets", none},
		{"objects of the master user", "CREATE TABLE vault.more (id int)", none},
		{"objects of the master user", "SELECT * FROM public.of_the_master", none},
		{"objects of the master user", "SET ROLE platform", none},
		{"objects of the master user", "SET SESSION AUTHORIZATION platform", none},
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
			// These statements cannot run in a transaction.
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
				t.Errorf("%s: %s, %s: denied for another reason: %s", level, m.kind, m.statement, state)
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
		t.Errorf("%d sessions at once, want at most 3", len(open))
	}
	h.run() // while the user has all its sessions: neither a failure nor the end of them
	h.do(reader, "SELECT 1")
}

// taskSimulation simulates the tasks of a service. Each task logs in with the secret of its start,
// and runs queries continuously in an open session and in new ones. When ECS restarts the service,
// new tasks start before old ones stop.
type taskSimulation struct {
	*fixture
	name     string
	mu       sync.Mutex
	restarts []string
	deployed time.Time // start of the newest deployment
	stop     func()
	err      error // of the next UpdateService

	asked, failed int
}

func (f *taskSimulation) UpdateService(
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
	f.deployed = time.Now()
	old := f.stop
	f.mu.Unlock()
	if old != nil {
		f.start()
		time.Sleep(200 * time.Millisecond) // both are there
		old()
	}
	return &ecs.UpdateServiceOutput{}, nil
}

func (f *taskSimulation) DescribeServices(
	_ context.Context, input *ecs.DescribeServicesInput, _ ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var s ecstypes.Service
	if !f.deployed.IsZero() {
		s.Deployments = []ecstypes.Deployment{{Status: aws.String("PRIMARY"), CreatedAt: aws.Time(f.deployed)}}
	}
	return &ecs.DescribeServicesOutput{Services: []ecstypes.Service{s}}, nil
}

func (f *taskSimulation) start() {
	ctx, cancel := context.WithCancel(context.Background())
	var ends sync.WaitGroup
	u, database := f.credentials(f.name), f.function.settings.databaseOf(f.name)
	for range 2 {
		ends.Go(func() {
			var kept *pgx.Conn
			for ctx.Err() == nil {
				err := error(nil)
				if kept == nil {
					kept, err = f.postgres.Connect(context.Background(), u, database)
				}
				if err == nil {
					_, err = kept.Exec(context.Background(), "INSERT INTO pulse VALUES (now())")
				}
				f.count(err)
				fresh, err := f.postgres.Connect(context.Background(), u, database)
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

func (f *taskSimulation) count(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if err != nil {
		f.failed++
		f.Logf("a query failed: %v", err)
	}
}

func TestClientsStayConnectedDuringRotation(t *testing.T) {
	onEachMajor(t, clientsStayConnectedDuringRotation)
}

func clientsStayConnectedDuringRotation(t *testing.T, major int) {
	h := newFixture(t, major)
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
			// A deployment during a rotation does not change that.
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

// If ECS did not restart the service, its tasks still use the user whose password is next. The
// rotation then fails without a change of the password, and the next rotation succeeds.
func TestRotationFailsWhileTasksUseTheOldUser(t *testing.T) {
	onEachMajor(t, rotationFailsWhileTasksUseTheOldUser)
}

func rotationFailsWhileTasksUseTheOldUser(t *testing.T, major int) {
	h := newFixture(t, major)
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
		!strings.Contains(err.Error(), "service_web_a still has 1 sessions from before the last rotation") {
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

// If a rotation is configured without an immediate rotation, Secrets Manager tests the function
// with testSecret only. The other steps fail for a version that is not AWSPENDING.
func TestRotationStepsForAnUnknownVersionAreRejected(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "read")
	h.run()
	if err := h.step(t.Context(), h.function, "testSecret", token(1)); err != nil {
		t.Errorf("the test of a rotation that has not begun: %v", err)
	}
	f := *h.function
	f.secrets = h.secrets // which knows of no version that is being made
	for _, step := range []string{"createSecret", "setSecret", "finishSecret"} {
		if err := h.step(t.Context(), &f, step, token(1)); err == nil ||
			!strings.Contains(err.Error(), "is not one that Secrets Manager is creating") {
			t.Errorf("%s of a version that nobody is making: %v", step, err)
		}
	}
	if err := h.step(t.Context(), h.function, "eatSecret", token(1)); err == nil {
		t.Error("any step will do")
	}
	h.nothingToDo()
}

// mortal is a function that is killed before its nth call of AWS or statement in PostgreSQL.
type mortal struct {
	secretsAPI
	ecsAPI
	left   int
	cancel func()
	done   []string
}

func (m *mortal) lives(deed string) error {
	if m.left--; m.left < 0 {
		m.cancel()
		return context.Canceled
	}
	m.done = append(m.done, deed)
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

func (m *mortal) DescribeServices(
	ctx context.Context, i *ecs.DescribeServicesInput, o ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	if err := m.lives("DescribeServices"); err != nil {
		return nil, err
	}
	return m.ecsAPI.DescribeServices(ctx, i, o...)
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

// killed runs a step with a function that is killed after n actions. It returns what the function
// did, and whether it was killed.
func (h *fixture) killed(n int, do func(context.Context, *function) error) (done []string, died bool) {
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
	return m.done, died
}

func TestNextDeploymentRepairsAKilledOne(t *testing.T) {
	onEachMajor(t, nextDeploymentRepairsAKilledOne)
}

func nextDeploymentRepairsAKilledOne(t *testing.T, major int) {
	h := newFixture(t, major)
	points := 0
	for n := 0; ; n += stride(major) {
		h.set("web", "owner")
		h.set("api", "read")
		done, died := h.killed(n, func(ctx context.Context, f *function) error {
			_, err := f.handle(ctx, deployment)
			return err
		})
		h.run()
		h.nothingToDo()
		h.do(h.service("web"), "CREATE TABLE made (id int)")
		h.do(h.service("api"), "SELECT * FROM made")
		if t.Failed() {
			t.Fatalf("killed after %d actions, %q", n, done)
		}
		if !died {
			break
		}
		points++
		// The state before the first deployment.
		for _, service := range []string{"web", "api"} {
			h.deleteSecret(h.secretOf(service))
			delete(h.services, service)
		}
		const all = "platform_read, platform_write, platform_owner, " +
			"service_web, service_web_a, service_web_b, service_api, service_api_a, service_api_b"
		h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'service_%'")
		h.admin("DROP OWNED BY " + all)
		h.admin("DROP ROLE " + all)
	}
	t.Logf("a first deployment killed at %d points, each healed by the next run", points)
	if points < 50/stride(major) {
		t.Errorf("only %d points", points)
	}
}

func TestKilledRotationLeavesAWorkingSecretAndCanBeRepeated(t *testing.T) {
	onEachMajor(t, killedRotationLeavesAWorkingSecretAndCanBeRepeated)
}

func killedRotationLeavesAWorkingSecretAndCanBeRepeated(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "write")
	h.run()
	next := 0
	for _, step := range rotationSteps {
		points := 0
		for n := 0; ; n += min(stride(major), 3) {
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
			// Secrets Manager continues with the version, or starts another one.
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
		if points < 2 && major == postgres.DefaultMajor {
			t.Errorf("%s: only %d points", step, points)
		}
	}
}

// Passwords must not appear outside their secrets.
func TestPasswordsAreOnlyInTheirSecrets(t *testing.T) {
	onEachMajor(t, passwordsAreOnlyInTheirSecrets)
}

func passwordsAreOnlyInTheirSecrets(t *testing.T, major int) {
	h := newFixture(t, major)
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
	// Also in errors: a rejected login of the master user and of a service.
	h.admin("ALTER ROLE service_web_a NOLOGIN")
	if err := h.step(t.Context(), h.function, "testSecret", token(1)); err == nil {
		t.Error("a user who may not log in does")
	} else {
		answers += err.Error()
	}
	answers += fmt.Sprintf("%+v", h.run())
	f := *h.function
	f.settings.host = "another.example"
	_, err := f.handle(t.Context(), deployment)
	if err == nil || !strings.Contains(err.Error(), "not another.example") {
		t.Errorf("a server that is not the one meant is taken: %v", err)
	}
	answers += fmt.Sprint(err)
	f.settings.host, f.settings.roots = h.function.settings.host, certificatesOf(t, "eu-central-1")
	if _, err = f.handle(t.Context(), deployment); err == nil ||
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
