//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// setIn configures a service with a database of its own.
func (h *fixture) setIn(database, name, level string) {
	h.Helper()
	h.set(name, level)
	s := h.services[name]
	s.Database = database
	h.services[name] = s
}

// session connects a user to a database; options are those of PGOPTIONS.
func (h *fixture) session(u postgres.User, database, options string) *pgx.Conn {
	h.Helper()
	conn, err := h.open(u, database, options)
	if err != nil {
		h.Fatalf("%s in %s: %v", u.Name, database, err)
	}
	h.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (h *fixture) open(u postgres.User, database, options string) (*pgx.Conn, error) {
	h.Helper()
	if options == "" {
		return h.postgres.Connect(h.Context(), u, database)
	}
	template, err := h.postgres.Connect(h.Context(), h.postgres.Admin, database)
	if err != nil {
		return nil, err
	}
	defer template.Close(h.Context())
	config := template.Config()
	config.User, config.Password = u.Name, u.Password
	config.RuntimeParams["options"] = options
	return pgx.ConnectConfig(h.Context(), config)
}

// inside executes a statement in a database as a superuser, or as the role it names with SET ROLE.
func (h *fixture) inside(database string, statements ...string) []string {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), h.postgres.Admin, database)
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close(h.Context())
	for _, statement := range statements[:len(statements)-1] {
		h.do(conn, statement)
	}
	return h.query(conn, statements[len(statements)-1])
}

// asMasterIn executes a statement in a database as the master user.
func (h *fixture) asMasterIn(database string, statements ...string) {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), h.postgres.Master, database)
	if err != nil {
		h.Fatal(err)
	}
	defer conn.Close(h.Context())
	for _, statement := range statements {
		h.do(conn, statement)
	}
}

// shut checks that a service cannot connect to databases.
func (h *fixture) shut(service string, databases ...string) {
	h.Helper()
	for _, database := range databases {
		conn, err := h.postgres.Connect(h.Context(), h.credentials(service), database)
		if err == nil {
			conn.Close(h.Context())
		}
		if sqlState(err) != "42501" {
			h.Errorf("%s connects to %s: want 42501, have %v", service, database, err)
		}
	}
}

// prepare creates an empty database for a restore.
func (h *fixture) prepare(database, like string) error {
	h.Helper()
	event, _ := json.Marshal(map[string]string{"action": "database", "database": database, "like": like})
	_, err := h.function.handle(h.Context(), event)
	return err
}

// setTwoDatabases configures services in the main database and in metabase, and runs the function.
func (h *fixture) setTwoDatabases() result {
	h.Helper()
	h.set("web", "owner")
	h.set("api", "read")
	h.set("job", "write")
	h.setIn("metabase", "bi", "owner")
	h.setIn("metabase", "viewer", "read")
	h.setIn("metabase", "loader", "write")
	h.setPlatform()
	return h.run()
}

// Each service works in its own database, and gets into no other one.
func TestServicesWithDatabasesOfTheirOwnShareNothing(t *testing.T) {
	onEachMajor(t, servicesWithDatabasesOfTheirOwnShareNothing)
}

func servicesWithDatabasesOfTheirOwnShareNothing(t *testing.T, major int) {
	h := newFixture(t, major)
	if done := h.setTwoDatabases(); len(done.Problems) > 0 || len(done.Passwords) != 8 ||
		!slices.Contains(done.Changed, "database metabase") {
		t.Errorf("the first run: %+v", done)
	}
	h.nothingToDo()
	web, bi, loader := h.service("web"), h.service("bi"), h.service("loader")
	h.do(web, "CREATE TABLE orders (id int)")
	h.do(bi, "CREATE TABLE questions (id serial, what text)")
	h.do(bi, "ALTER TABLE questions ENABLE ROW LEVEL SECURITY")
	h.do(bi, "CREATE TABLE rows (id serial)")
	h.do(bi, "CREATE SCHEMA more")
	h.do(bi, "CREATE TABLE more.things (id int)")
	h.do(loader, "INSERT INTO rows DEFAULT VALUES")
	h.do(loader, "INSERT INTO more.things VALUES (1)")
	h.do(loader, "SELECT lo_from_bytea(7, 'large')")
	h.do(h.service("viewer"), "SELECT * FROM questions, rows, more.things")
	for statement, conn := range map[string]*pgx.Conn{
		"INSERT INTO rows DEFAULT VALUES": h.service("viewer"), "CREATE TABLE other (id int)": loader,
	} {
		if state := h.try(conn, statement); state != "42501" {
			t.Errorf("%s: want 42501, have %q", statement, state)
		}
	}
	h.do(bi, "GRANT CONNECT ON DATABASE metabase TO PUBLIC") // a warning: it has no right to
	h.do(bi, "GRANT ALL ON SCHEMA public TO PUBLIC")
	for _, service := range []string{"web", "api", "job", "platform_monitor"} {
		h.shut(service, "metabase", "postgres", "template1")
	}
	for _, service := range []string{"bi", "viewer", "loader"} {
		h.shut(service, "app", "postgres", "template1")
		for _, level := range levels {
			h.cannotBecome(service, "platform_"+level)
		}
	}
	for _, service := range []string{"web", "api", "job", "platform_monitor"} {
		for _, level := range levels {
			h.cannotBecome(service, "platform_"+level+"_metabase")
		}
	}
	dump := h.session(h.credentials("platform_dump"), "metabase", "-c role=platform_owner_metabase")
	h.do(dump, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
	h.do(dump, "SET row_security = off")
	h.do(dump, "SELECT lo_get(7) FROM questions, rows, more.things")
	h.do(dump, "COMMIT")
	if state := h.try(dump, "INSERT INTO rows DEFAULT VALUES"); state != "25006" {
		t.Errorf("the dump writes: want 25006, have %q", state)
	}
	h.do(h.service("platform_dump"), "SELECT * FROM orders")
	h.nothingToDo()
}

// cannotBecome checks that a service has no right to work as a role.
func (h *fixture) cannotBecome(service, role string) {
	h.Helper()
	conn := h.service(service)
	defer conn.Close(h.Context())
	h.do(conn, "RESET ROLE")
	if state := h.try(conn, "SET ROLE "+role); state != "42501" {
		h.Errorf("%s works as %s: want 42501, have %q", service, role, state)
	}
}

// What people change by hand in a further database, and in its roles, is corrected by the daily call.
func TestManualChangesInAFurtherDatabaseAreReverted(t *testing.T) {
	onEachMajor(t, manualChangesInAFurtherDatabaseAreReverted)
}

func manualChangesInAFurtherDatabaseAreReverted(t *testing.T, major int) {
	h := newFixture(t, major)
	h.setTwoDatabases()
	h.do(h.service("bi"), "CREATE TABLE rows (id serial)")
	for i, damage := range []string{
		"GRANT CONNECT ON DATABASE metabase TO PUBLIC",
		"GRANT CONNECT ON DATABASE metabase TO platform_read",
		"GRANT CONNECT ON DATABASE metabase TO platform_owner",
		"GRANT CONNECT ON DATABASE metabase TO service_web_a",
		"GRANT CONNECT ON DATABASE metabase TO service_web",
		"GRANT CREATE ON SCHEMA public TO service_job",
		"GRANT CONNECT ON DATABASE app TO service_bi",
		"GRANT CONNECT ON DATABASE metabase TO platform_monitor",
		"GRANT CONNECT ON DATABASE app TO platform_owner_metabase",
		"GRANT CREATE ON DATABASE app TO platform_write_metabase",
		"REVOKE CONNECT ON DATABASE metabase FROM platform_read_metabase",
		"GRANT ALL ON SCHEMA public TO PUBLIC",
		"GRANT USAGE ON SCHEMA public TO platform_write",
		"REVOKE CREATE ON SCHEMA public FROM platform_owner_metabase",
		"ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner_metabase REVOKE SELECT ON TABLES FROM platform_read_metabase",
		"ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner_metabase GRANT SELECT ON TABLES TO PUBLIC",
		"GRANT platform_read_metabase TO platform_read",
		"GRANT platform_read_metabase TO service_web",
		"GRANT platform_owner TO platform_owner_metabase",
		"GRANT service_web TO platform_owner_metabase",
		"GRANT service_job TO platform_owner_metabase",
		"GRANT service_loader TO platform_owner",
		"REVOKE service_loader FROM platform_owner_metabase",
		"REVOKE platform_owner_metabase FROM platform_dump",
		"REVOKE platform_read_metabase FROM service_viewer",
		"ALTER ROLE platform_write_metabase LOGIN",
		"COMMENT ON ROLE platform_write_metabase IS NULL",
		"ALTER ROLE service_bi_a IN DATABASE metabase SET role = 'service_bi_a'",
		"ALTER ROLE service_bi_a SET role = 'platform_owner'",
	} {
		if i%min(stride(major), 5) != 0 {
			continue
		}
		h.asMasterIn("metabase", damage)
		done, err := h.function.handle(t.Context(), json.RawMessage(`{"action":"daily"}`))
		if err != nil || len(done.Changed) == 0 {
			t.Errorf("%s: was not reverted: %+v, %v", damage, done, err)
		}
		h.nothingToDo()
	}
	h.shut("web", "metabase")
	h.shut("api", "metabase")
	h.shut("bi", "app")
	h.do(h.service("viewer"), "SELECT * FROM rows")
	h.do(h.service("loader"), "INSERT INTO rows DEFAULT VALUES")

	// A person may have rights in both.
	h.master("CREATE ROLE alice LOGIN PASSWORD 'x'")
	h.master("GRANT platform_read, platform_read_metabase TO alice")
	alice := postgres.User{Name: "alice", Password: "x"}
	h.nothingToDo()
	h.do(h.session(alice, "metabase", ""), "SELECT * FROM rows")
	h.do(h.session(alice, "app", ""), "SELECT 1")
}

// A service that changes its database has its rights there, at once, and none in the one before.
func TestServiceMovesBetweenDatabases(t *testing.T) { onEachMajor(t, serviceMovesBetweenDatabases) }

func serviceMovesBetweenDatabases(t *testing.T, major int) {
	h := newFixture(t, major)
	h.setTwoDatabases()
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	h.do(h.service("bi"), "CREATE TABLE rows (id serial)")
	job, api, dump := h.service("job"), h.service("api"), h.service("platform_dump")
	h.do(job, "SELECT lo_from_bytea(7, 'large')")
	bi := h.service("bi")

	h.setIn("metabase", "job", "write")
	h.setIn("metabase", "api", "read")
	done := h.run()
	if !slices.Contains(done.Changed, "owner of large object 7") || len(done.Passwords) > 0 {
		t.Errorf("moved to metabase: %+v", done)
	}
	h.ended(job)
	h.ended(api)
	h.do(dump, "SELECT lo_get(7)")
	h.do(bi, "SELECT 1")
	h.do(h.service("job"), "INSERT INTO rows DEFAULT VALUES")
	h.do(h.service("api"), "SELECT * FROM rows")
	h.shut("job", "app")
	h.shut("api", "app")
	h.nothingToDo()

	// To a database that is new, and then back: no service names it any more.
	h.setIn("third", "job", "owner")
	h.run()
	job = h.service("job")
	h.do(job, "CREATE TABLE made (id int)")
	h.shut("job", "app", "metabase")
	third := h.session(h.credentials("platform_dump"), "third", "-c role=platform_owner_third")
	h.set("job", "read")
	h.setIn("", "job", "read")
	h.run()
	h.ended(job)
	h.ended(third)
	h.do(h.service("job"), "SELECT * FROM orders")
	h.shut("job", "third", "metabase")
	h.shut("platform_dump", "third")
	h.nothingToDo()
	if left := h.inside("third", "SELECT tableowner::text FROM pg_tables WHERE tablename = 'made'"); left[0] !=
		"platform_owner_third" {
		t.Errorf("a database that no service names was changed: %v", left)
	}
	for _, damage := range []string{
		"GRANT platform_read_third TO service_job", "GRANT platform_owner TO platform_read_third",
	} {
		h.master(damage)
		if done := h.run(); len(done.Changed) == 0 {
			t.Errorf("%s: was not reverted", damage)
		}
	}
	h.setIn("third", "job", "owner")
	if done := h.run(); slices.Contains(done.Changed, "database third") {
		t.Errorf("named again: %+v", done)
	}
	h.do(h.service("job"), "DROP TABLE made")
	h.nothingToDo()

	// A person deletes it, with its roles, and a service names it again.
	h.setIn("", "job", "read")
	h.run()
	h.master("DROP DATABASE third")
	h.master("DROP ROLE platform_read_third, platform_write_third, platform_owner_third")
	h.nothingToDo()
	h.setIn("third", "job", "owner")
	h.run()
	h.do(h.service("job"), "CREATE TABLE made (id int)")
	h.nothingToDo()
}

// A service switches over to a database that a restore has filled: it works there as before, and what
// its dump denied to a level stays denied.
func TestServiceSwitchesOverToARestoredDatabase(t *testing.T) {
	onEachMajor(t, serviceSwitchesOverToARestoredDatabase)
}

func serviceSwitchesOverToARestoredDatabase(t *testing.T, major int) {
	h := newFixture(t, major)
	h.setTwoDatabases()
	for like, suffix := range map[string]string{"": "", "metabase": "_metabase"} {
		database := "restored" + suffix
		if err := h.prepare(database, like); err != nil {
			t.Fatal(err)
		}
		other := map[string]string{"": "viewer", "metabase": "api"}[like]
		h.shut(other, database)
		h.inside(database, "SET ROLE platform_owner"+suffix,
			"CREATE SCHEMA other", "CREATE TABLE other.things (id serial)",
			"CREATE TABLE rows (id serial, what text)", "INSERT INTO rows (what) VALUES ('restored')",
			"CREATE TABLE denied (id int)", "REVOKE ALL ON denied FROM platform_read"+suffix,
			"GRANT SELECT (id) ON denied TO platform_read"+suffix, "ALTER TABLE denied ADD COLUMN secret int",
			"CREATE VIEW seen AS SELECT * FROM rows", "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM rows",
			"CREATE TYPE mood AS ENUM ('good')",
			"CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n'",
			"CREATE TABLE tenants (who text)", "INSERT INTO tenants VALUES ('x'), ('y')",
			"ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
			"CREATE POLICY readers ON tenants TO platform_read"+suffix+", service_web USING (who = 'x')",
			"SELECT lo_from_bytea(7, 'large')", "GRANT SELECT ON LARGE OBJECT 7 TO platform_read"+suffix,
			"GRANT SELECT, UPDATE ON LARGE OBJECT 7 TO platform_write"+suffix,
			"GRANT SELECT ON rows TO service_web", "SELECT 1")
		reader, writer, owner := "reader-of-"+like, "writer-of-"+like, "owner-of-"+like
		h.setIn(database, reader, "read")
		h.setIn(database, writer, "write")
		h.setIn(database, owner, "owner")
		if done := h.run(); len(done.Problems)+len(done.InUse)+len(done.Kept) > 0 {
			t.Errorf("%s: %+v", database, done)
		}
		h.worksInRestored(h.service(reader), h.service(writer), h.service(owner))
		h.shut(other, database)
		h.shut("web", database)
		left := h.inside(database, `SELECT pg_describe_object(classid, objid, objsubid) || ', of ' || rolname
			FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid WHERE refclassid = 'pg_authid'::regclass
				AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND rolname IN ('platform_read`+suffix+`', 'platform_write`+suffix+`', 'platform_owner`+suffix+`')`)
		if len(left) > 0 {
			t.Errorf("%s: left of the database before: %q", database, left)
		}
		h.nothingToDo()
		if err := h.prepare(database, like); err == nil || !strings.Contains(err.Error(), "want another name than") {
			t.Errorf("a restore into a database of services: %v", err)
		}
	}
	h.nothingToDo()
}

func (h *fixture) worksInRestored(reader, writer, owner *pgx.Conn) {
	h.Helper()
	for _, conn := range []*pgx.Conn{reader, writer, owner} {
		h.do(conn, "SELECT * FROM rows, seen, counted, other.things")
		h.do(conn, "SELECT twice(1), 'good'::mood")
		h.do(conn, "SELECT id FROM denied")
		h.do(conn, "SELECT lo_get(7)")
	}
	if rows := h.query(reader, "SELECT who FROM tenants"); !slices.Equal(rows, []string{"x"}) {
		h.Errorf("a reader sees the tenants %v", rows)
	}
	for _, statement := range []string{
		"SELECT secret FROM denied", "INSERT INTO rows (what) VALUES ('x')", "SELECT nextval('rows_id_seq')",
	} {
		if state := h.try(reader, statement); state != "42501" {
			h.Errorf("a reader: %s: want 42501, have %q", statement, state)
		}
	}
	h.do(writer, "INSERT INTO rows (what) VALUES ('x')")
	h.do(writer, "INSERT INTO other.things DEFAULT VALUES")
	if state := h.try(writer, "CREATE TABLE more (id int)"); state != "42501" {
		h.Errorf("a writer creates a table: %q", state)
	}
	h.do(owner, "ALTER TABLE rows ADD COLUMN more int")
	h.do(owner, "DROP TABLE other.things")
	h.do(owner, "CREATE TABLE other.again (id int)")
	h.do(reader, "SELECT * FROM other.again")
}

// A database that exists is taken over if it is the master user's; another one's is an error that says
// what to do, and keeps the function from nothing else.
func TestDatabaseThatExistsIsTakenOverFromTheMasterUserOnly(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	h.master("CREATE DATABASE metabase")
	h.asMasterIn("metabase", "CREATE TABLE rows (id serial)", "SELECT lo_from_bytea(1, 'x')")
	h.master("CREATE ROLE alice LOGIN PASSWORD 'x' CREATEDB")
	h.admin("CREATE DATABASE foreigners OWNER alice")
	h.setIn("metabase", "bi", "owner")
	h.setIn("metabase", "viewer", "read")
	h.setIn("foreigners", "other", "owner")
	_, err := h.function.handle(t.Context(), deployment)
	const want = `database foreigners exists and belongs to alice: as alice, run ALTER DATABASE "foreigners" OWNER TO`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, have %v", want, err)
	}
	h.do(h.service("bi"), "ALTER TABLE rows ADD COLUMN more int")
	h.do(h.service("viewer"), "SELECT * FROM rows")
	h.shut("web", "metabase")
	h.admin("ALTER DATABASE foreigners OWNER TO " + h.postgres.Master.Name)
	h.run()
	h.nothingToDo()
	h.do(h.service("other"), "CREATE TABLE more (id int)")

	h.master("CREATE ROLE platform_read_fourth LOGIN")
	h.setIn("fourth", "other", "owner")
	if _, err := h.function.handle(t.Context(), deployment); err == nil ||
		!strings.Contains(err.Error(), "role platform_read_fourth exists and was not created by the platform") {
		t.Errorf("a person's role with the name of a level: %v", err)
	}
}

// A service that moves to a database that cannot be used keeps what it has, until the database can be
// used. Everything else is corrected.
func TestServiceKeepsItsDatabaseIfTheNextOneCannotBeUsed(t *testing.T) {
	onEachMajor(t, serviceKeepsItsDatabaseIfTheNextOneCannotBeUsed)
}

func serviceKeepsItsDatabaseIfTheNextOneCannotBeUsed(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("job", "write")
	h.setIn("metabase", "bi", "write")
	h.setPlatform()
	h.run()
	web, job, bi, dump := h.service("web"), h.service("job"), h.service("bi"), h.service("platform_dump")
	h.do(web, "CREATE TABLE orders (id int)")
	h.do(job, "SELECT lo_from_bytea(7, 'large')")
	h.master("CREATE ROLE alice LOGIN PASSWORD 'x' CREATEDB")
	h.admin("CREATE DATABASE foreigners OWNER alice")
	h.admin("ALTER DATABASE metabase OWNER TO alice")
	h.setIn("foreigners", "web", "owner")
	h.setIn("foreigners", "job", "write")
	h.setIn("foreigners", "new", "read")
	h.set("api", "read")
	for _, want := range []string{"foreigners", "metabase"} {
		_, err := h.function.handle(t.Context(), json.RawMessage(`{"action":"daily"}`))
		if err == nil || !strings.Contains(err.Error(), "database "+want+" exists and belongs to alice") {
			t.Errorf("%s: have %v", want, err)
		}
	}
	if err := h.prepare("restored", ""); err != nil {
		t.Error(err)
	}
	if err := h.prepare("restored2", "metabase"); err == nil || !strings.Contains(err.Error(), "belongs to alice") {
		t.Errorf("a database like one that cannot be used: %v", err)
	}
	again := h.session(h.credentials("web"), "app", "")
	for _, conn := range []*pgx.Conn{web, job, bi, again, h.session(h.credentials("job"), "app", "")} {
		h.do(conn, "SELECT 1")
	}
	h.do(again, "ALTER TABLE orders ADD COLUMN more int")
	h.do(dump, "SELECT lo_get(7)")
	h.do(h.service("api"), "SELECT * FROM orders") // of a service that was added in the same deployment
	h.do(h.session(h.credentials("platform_dump"), "metabase", "-c role=platform_owner_metabase"), "SELECT 1")

	h.admin("ALTER DATABASE foreigners OWNER TO " + h.postgres.Master.Name)
	h.admin("ALTER DATABASE metabase OWNER TO " + h.postgres.Master.Name)
	h.run()
	h.ended(web)
	h.do(bi, "SELECT 1")
	h.shut("web", "app")
	for _, service := range []string{"web", "job", "new"} {
		h.do(h.session(h.credentials(service), "foreigners", ""), "SELECT 1")
	}
	h.nothingToDo()
}

// A database that a person created was open to everybody. Sessions of other services in it are ended,
// and they get into it no more, although a person granted it to them. In the main database, too.
func TestSessionsOfOtherServicesInATakenOverDatabaseAreEnded(t *testing.T) {
	onEachMajor(t, sessionsOfOtherServicesInATakenOverDatabaseAreEnded)
}

func sessionsOfOtherServicesInATakenOverDatabaseAreEnded(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "read")
	h.setPlatform()
	h.run()
	h.master("CREATE DATABASE metabase")
	h.master("CREATE ROLE alice LOGIN PASSWORD 'x'")
	user := h.credentials("web")
	web, dump := h.session(user, "metabase", ""), h.session(h.credentials("platform_dump"), "metabase", "")
	monitor := h.session(h.credentials("platform_monitor"), "metabase", "")
	alice := h.session(postgres.User{Name: "alice", Password: "x"}, "metabase", "")
	h.asMasterIn("metabase", "GRANT CONNECT ON DATABASE metabase TO service_web",
		"GRANT CREATE, USAGE ON SCHEMA public TO service_web")
	h.setIn("metabase", "bi", "owner")
	h.run()
	h.ended(web)
	h.ended(monitor)
	h.shut("web", "metabase")
	h.shut("platform_monitor", "metabase")
	for _, conn := range []*pgx.Conn{dump, alice, h.service("web"), h.service("bi")} {
		h.do(conn, "SELECT 1")
	}
	granted := h.inside("metabase", `SELECT nspacl::text FROM pg_namespace WHERE nspname = 'public'`)
	if strings.Contains(granted[0], "service_web=") {
		t.Errorf("rights in the schema public: %s", granted)
	}
	h.nothingToDo()

	h.asMasterIn("app", "GRANT CONNECT ON DATABASE app TO service_bi")
	bi := h.session(h.credentials("bi"), "app", "")
	monitor = h.service("platform_monitor")
	h.run()
	h.ended(bi)
	h.shut("bi", "app")
	h.do(monitor, "SELECT 1")
	h.nothingToDo()
}

// Nobody can connect to a new database before its rights are right. So no session in it is from before.
func TestNobodyConnectsToANewDatabaseBeforeItsRightsAreRight(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "read")
	h.run()
	user := h.credentials("web")
	for n, created := 0, 0; ; n++ {
		name := fmt.Sprintf("made%d", n)
		_, died := h.killed(n, func(ctx context.Context, f *function) error {
			return createDatabaseIn(ctx, f, name)
		})
		conn, err := h.postgres.Connect(t.Context(), user, name)
		if err == nil {
			conn.Close(t.Context())
		}
		if state := sqlState(err); state != "3D000" { // it does not exist
			created++
			if state != "55000" && state != "42501" {
				t.Errorf("killed after %d actions: web connects: %v", n, err)
			}
		}
		h.setIn(name, "bi", "owner")
		h.run()
		h.do(h.service("bi"), "CREATE TABLE made (id int)")
		h.shut("web", name)
		h.nothingToDo()
		if !died {
			if created < 4 {
				t.Errorf("killed at %d points after it was created, want 4", created)
			}
			return
		}
	}
}

// createDatabaseIn creates a database for services, as a deployment does.
func createDatabaseIn(ctx context.Context, f *function, name string) error {
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer master.close(ctx)
	return adoptDatabase(ctx, master.lock, name, &result{})
}

func TestPrepareIsForADatabaseOfTheServices(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.setIn("metabase", "bi", "owner")
	h.setIn("metabase", "viewer", "read")
	h.run()
	h.asMasterIn("metabase", "CREATE EXTENSION pg_trgm")
	for _, c := range []struct{ database, like, want string }{
		{"new", "none", `event: like: want a database of the services: app, metabase, have "none"`},
		{"metabase", "", "want another name than that of the services' databases"},
		{"app", "metabase", "want another name than that of the services' databases"},
	} {
		if err := h.prepare(c.database, c.like); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s like %s: want %q, have %v", c.database, c.like, c.want, err)
		}
	}
	if err := h.prepare("new", "metabase"); err != nil {
		t.Fatal(err)
	}
	if err := h.prepare("also", "app"); err != nil {
		t.Fatal(err)
	}
	if found := h.inside("new", "SELECT extname::text FROM pg_extension"); !slices.Contains(found, "pg_trgm") {
		t.Errorf("extensions: %v", found)
	}
	h.inside("new", "SET ROLE platform_owner_metabase", "CREATE TABLE rows (id int)", "SELECT 1")
	h.do(h.session(h.credentials("viewer"), "new", ""), "SELECT * FROM rows")
	h.shut("web", "new")
	h.shut("bi", "also")
	h.nothingToDo()

	// A service used it since: no restore may write to it any more.
	h.setIn("new", "viewer", "read")
	h.run()
	h.setIn("metabase", "viewer", "read")
	h.run()
	const want = "database new exists, and this function did not create it for a restore"
	if err := h.prepare("new", "metabase"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("want %q, have %v", want, err)
	}
}

func TestClientsOfAFurtherDatabaseStayConnectedDuringRotation(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("api", "read")
	h.setIn("metabase", "web", "owner") // rotateFully rotates web
	withURL := h.services["web"]
	withURL.URL = new("sslmode=verify-full")
	h.services["web"] = withURL
	h.run()
	h.do(h.service("web"), "CREATE TABLE pulse (at timestamptz)")
	h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'service_web_a'")
	h.tasks.name = "web"
	h.tasks.start()
	for n := range 2 {
		h.rotateFully(n)
	}
	h.tasks.stop()
	if h.tasks.failed > 0 || h.tasks.asked < 50 {
		t.Errorf("%d of %d queries failed", h.tasks.failed, h.tasks.asked)
	}
	if url := fmt.Sprint(h.secret("web").others["url"]); !strings.Contains(url, "/metabase?sslmode=verify-full") {
		t.Error("the URL in the secret is of another database")
	}
	h.nothingToDo()
}

// The master user creates the extensions of a new database while no service can create anything there.
func TestPrepareCreatesExtensionsBeforeTheLevelsHaveRights(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	h.inside("app", "CREATE SCHEMA tools", "CREATE EXTENSION pg_trgm SCHEMA tools", "SELECT 1")
	done, _ := h.killed(1000, func(ctx context.Context, f *function) error {
		_, err := f.handle(ctx, json.RawMessage(`{"action":"database","database":"new"}`))
		return err
	})
	created := slices.Index(done, `CREATE EXTENSION IF NOT EXISTS "pg_trgm" SCHEMA "tools" CASCADE`)
	granted := slices.Index(done, `GRANT CREATE ON DATABASE "new" TO "platform_owner"`)
	if created < 0 || granted < created {
		t.Errorf("created at %d, granted at %d of %q", created, granted, done)
	}
	h.do(h.session(h.credentials("web"), "new", ""), "CREATE TABLE tools.words (word text)")
	if found := h.inside("new", "SELECT extname::text FROM pg_extension"); !slices.Contains(found, "pg_trgm") {
		t.Errorf("extensions: %v", found)
	}
}

// A deployment that adds a database, and moves a service to it, is killed at every point.
func TestNextDeploymentRepairsAKilledOneThatAddsADatabase(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.set("bi", "write")
	h.run()
	const step = 11
	points := 0
	for n := 0; ; n += step {
		name := fmt.Sprintf("further%d", n)
		h.setIn(name, "bi", "owner")
		done, died := h.killed(n, func(ctx context.Context, f *function) error {
			_, err := f.handle(ctx, deployment)
			return err
		})
		h.run()
		h.nothingToDo()
		h.do(h.service("bi"), "CREATE TABLE made (id int)")
		h.shut("web", name)
		h.shut("bi", "app")
		if t.Failed() {
			t.Fatalf("killed after %d actions, %q", n, done)
		}
		if !died {
			break
		}
		points++
	}
	t.Logf("a deployment that adds a database killed at %d points", points)
	if points < 12 {
		t.Errorf("only %d points", points)
	}
}

// A new database ends no session of the dump that runs.
func TestNewDatabaseInterruptsNoDump(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.setPlatform()
	h.run()
	dump := h.service("platform_dump")
	h.setIn("metabase", "bi", "owner")
	h.run()
	time.Sleep(100 * time.Millisecond)
	h.do(dump, "SELECT 1")
	h.nothingToDo()
}
