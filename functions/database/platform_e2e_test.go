//go:build e2e

package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// setPlatform configures the two users of the platform itself.
func (h *fixture) setPlatform() {
	h.Helper()
	h.set(platformUser("dump"), "dump")
	h.set(platformUser("monitor"), "monitor")
	h.services["platform_dump"] = service{Level: "dump", Connections: 3}
	h.services["platform_monitor"] = service{
		Level: "monitor", Connections: 5, StatementTimeout: 10_000, Service: "exporter",
	}
}

func TestUsersOfThePlatformHaveExactlyTheirPermissions(t *testing.T) {
	onEachMajor(t, usersOfThePlatformHaveExactlyTheirPermissions)
}

func usersOfThePlatformHaveExactlyTheirPermissions(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("job", "write")
	h.set("dump", "read") // services with the names of the levels are services like others
	h.set("monitor", "write")
	h.setPlatform()
	if done := h.run(); len(done.Problems) > 0 || len(done.Passwords) != 6 {
		t.Errorf("the first run: %+v", done)
	}
	h.nothingToDo()

	web, job := h.service("web"), h.service("job")
	h.do(web, "CREATE TABLE orders (id int)")
	h.do(web, "INSERT INTO orders VALUES (1)")
	h.do(web, "CREATE TABLE secrets (id int, who text)")
	h.do(web, "INSERT INTO secrets VALUES (1, 'somebody else')")
	h.do(web, "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY")
	h.do(web, "CREATE POLICY own ON secrets USING (who = current_user)")
	h.do(web, "CREATE SCHEMA other")
	h.do(web, "CREATE TABLE other.things (id int)")
	h.do(web, "SELECT lo_from_bytea(4711, 'of web')")
	h.do(job, "SELECT lo_from_bytea(4712, 'of job')")

	h.theDumpReadsEverything(major)
	h.theMonitorReadsNothing()
	h.nothingToDo()

	// A feature that is turned off loses its user, and the sessions end.
	dump := h.service("platform_dump")
	h.unset("platform_dump")
	h.ended(dump)
	if left := h.admin("SELECT rolname FROM pg_roles WHERE rolname LIKE 'platform_dump%' AND (rolcanlogin OR " +
		"pg_has_role(rolname, 'platform_owner', 'member'))"); len(left) > 0 {
		t.Errorf("a removed user of the platform can still do something: %v", left)
	}
	h.nothingToDo()
	h.set("platform_dump", "dump")
	h.run()
	h.do(h.service("platform_dump"), "SELECT * FROM secrets")
}

// theDumpReadsEverything checks that the user of the dumps reads what pg_dump reads, with the
// settings that pg_dump makes, and writes nothing unless it says so. (Before PostgreSQL 16, a
// transaction that is read-only does not refuse functions that change large objects.)
func (h *fixture) theDumpReadsEverything(major int) {
	h.Helper()
	dump := h.service("platform_dump")
	if timeout := h.query(dump, "SHOW statement_timeout"); !slices.Equal(timeout, []string{"0"}) {
		h.Errorf("a dump ends after %v", timeout)
	}
	h.do(dump, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
	h.do(dump, "SET row_security = off")
	h.do(dump, "LOCK TABLE orders, secrets, other.things IN ACCESS SHARE MODE")
	if rows := h.query(dump, "SELECT who FROM secrets"); len(rows) != 1 {
		h.Errorf("the dump reads %v from a table with row-level security", rows)
	}
	h.do(dump, "SELECT * FROM orders, other.things")
	h.do(dump, "SELECT lo_get(4711), lo_get(4712)")
	h.do(dump, "COMMIT")
	for _, statement := range []string{
		"INSERT INTO orders VALUES (2)", "DELETE FROM orders", "DROP TABLE orders", "CREATE TABLE more (id int)",
		"TRUNCATE other.things", "ALTER TABLE orders ADD COLUMN more int", "GRANT SELECT ON orders TO platform_monitor",
	} {
		if state := h.try(dump, statement); state != "25006" {
			h.Errorf("%s: want 25006, a read-only transaction, have %q", statement, state)
		}
	}
	if state := h.try(dump, "SELECT lo_put(4711, 0, 'more')"); major >= 16 && state != "25006" {
		h.Errorf("a large object is changed: want 25006, have %q", state)
	}
	for _, statement := range []string{
		"CREATE ROLE more", "CREATE DATABASE more", "GRANT platform_owner TO service_job",
		"SELECT pg_read_file('PG_VERSION')", "SELECT rolpassword FROM pg_authid",
	} {
		h.do(dump, "SET default_transaction_read_only = off")
		if state := h.try(dump, statement); state != "42501" {
			h.Errorf("dump: %s: want 42501, have %q", statement, state)
		}
	}
}

// theMonitorReadsNothing checks that the user of the exporter reads statistics of all sessions, and
// no data.
func (h *fixture) theMonitorReadsNothing() {
	h.Helper()
	monitor := h.service("platform_monitor")
	hidden := h.query(monitor, "SELECT count(*) FROM pg_stat_activity WHERE query = '<insufficient privilege>'")
	if !slices.Equal(hidden, []string{"0"}) {
		h.Errorf("the monitor does not see %v sessions", hidden)
	}
	h.do(monitor, "SELECT pg_database_size(current_database()), count(*) FROM pg_ls_waldir()")
	h.do(monitor, "SELECT setting FROM pg_settings WHERE name = 'data_directory'")
	if timeout := h.query(monitor, "SHOW statement_timeout"); !slices.Equal(timeout, []string{"10s"}) {
		h.Errorf("statements of the monitor end after %v", timeout)
	}
	if role := h.query(monitor, "SELECT current_user"); !slices.Equal(role, []string{"platform_monitor"}) {
		h.Errorf("the monitor works as %v", role)
	}
	for _, statement := range []string{
		"SELECT * FROM orders", "INSERT INTO orders VALUES (1)", "CREATE TABLE more (id int)",
		"CREATE TEMPORARY TABLE more (id int)", "CREATE SCHEMA more", "SELECT lo_get(4711)",
		"SELECT rolpassword FROM pg_authid", "SELECT pg_read_file('PG_VERSION')", "SET ROLE platform_read",
		"SELECT pg_terminate_backend(pg_backend_pid())", "CREATE ROLE more",
	} {
		if strings.Contains(statement, "terminate") {
			statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'service_web%'"
		}
		if state := h.try(monitor, statement); state != "42501" && state != "42P01" && state != "3F000" {
			h.Errorf("monitor: %s: want 42501, have %q", statement, state)
		}
	}
	user := h.credentials("platform_monitor")
	var open []*pgx.Conn
	for range 4 { // and the one above
		conn, err := h.postgres.Connect(h.Context(), user, h.postgres.Database)
		if err != nil {
			h.Fatal(err)
		}
		open = append(open, conn)
	}
	if _, err := h.postgres.Connect(h.Context(), user, h.postgres.Database); sqlState(err) != "53300" {
		h.Errorf("a sixth session of the monitor: want 53300, have %v", err)
	}
	if _, err := h.postgres.Connect(h.Context(), user, "postgres"); err == nil {
		h.Error("the monitor connects to another database")
	}
	for _, conn := range open {
		conn.Close(h.Context())
	}
}

func TestRotationRestartsWhatUsesAUserOfThePlatform(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	h.setPlatform()
	h.run()
	ctx := context.Background()
	for name, want := range map[string]string{"platform_dump": "", "platform_monitor": "exporter", "web": "web"} {
		if have := h.function.ecsService(name); have != want {
			t.Errorf("%s: want the service %q to be deployed again, have %q", name, want, have)
		}
	}
	// No task runs all the time with this user: nothing to restart, whatever ECS would say.
	h.function.ecs = nil
	if err := h.function.restart(ctx, "platform_dump"); err != nil {
		t.Error(err)
	}
	if err := h.function.restartUnlessDeployedSince(ctx, "platform_dump", time.Now()); err != nil {
		t.Error(err)
	}
}
