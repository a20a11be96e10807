//go:build e2e

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// rotateFully rotates the password of web.
func (h *fixture) rotateFully(n int) {
	h.Helper()
	before := h.credentials("web")
	for _, step := range rotationSteps {
		if err := h.step(h.Context(), h.function, step, token(n)); err != nil {
			h.Fatal(err)
		}
	}
	if after := h.credentials("web"); after.Name == before.Name {
		h.Fatalf("still %s after the rotation", after.Name)
	}
}

// What belongs to a service, is granted to it or is recorded about it is the same after a rotation,
// when the service logs in with its other user.
func TestServiceIsTheSameToPostgreSQLAfterARotation(t *testing.T) {
	onEachMajor(t, serviceIsTheSameToPostgreSQLAfterARotation)
}

func serviceIsTheSameToPostgreSQLAfterARotation(t *testing.T, major int) {
	for _, level := range levels {
		t.Run(level, func(t *testing.T) {
			h := newFixture(t, major)
			h.set("admin", "owner")
			h.set("web", level)
			h.run()
			working := workingRole("web", h.services["web"])
			admin := h.service("admin")
			for _, statement := range []string{
				"CREATE TABLE audit (who text DEFAULT current_user, what text)",
				"CREATE TABLE tenants (tenant text, what text)",
				"INSERT INTO tenants VALUES ('" + working + "', 'own'), ('other', 'not own')",
				"ALTER TABLE tenants ENABLE ROW LEVEL SECURITY",
				"ALTER TABLE tenants FORCE ROW LEVEL SECURITY",
				"CREATE POLICY own ON tenants USING (tenant = current_user)",
				"CREATE SCHEMA extra",
				"CREATE TABLE extra.things (id int)",
				"REVOKE ALL ON extra.things FROM platform_read, platform_write",
				"GRANT SELECT, INSERT ON extra.things TO service_web",
			} {
				h.do(admin, statement)
			}
			before := h.service("web")
			h.do(before, "SELECT lo_from_bytea(42, 'large')")
			h.isTheService(before, level, working)
			h.rotateFully(1)
			before.Close(t.Context())
			after := h.service("web")
			h.isTheService(after, level, working)
			h.do(after, "SELECT lo_put(42, 0, 'LARGE')")
			if level != "owner" { // a dump, which works as platform_owner, must read all large objects
				h.do(admin, "SELECT lo_get(42)")
			}
			h.do(after, "SELECT lo_unlink(42)")
			for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'service_web_a'")[0] != "0" {
				time.Sleep(10 * time.Millisecond)
			}
			h.rotateFully(2)
			h.isTheService(h.service("web"), level, working)
			h.nothingToDo()
		})
	}
}

func (h *fixture) isTheService(conn *pgx.Conn, level, working string) {
	h.Helper()
	h.do(conn, "DISCARD ALL") // as connection poolers do
	if have := h.query(conn, "SELECT current_user::text"); have[0] != working {
		h.Errorf("%s: works as %s, want %s", level, have[0], working)
	}
	if have := h.query(conn, "SELECT what FROM tenants"); !slices.Equal(have, []string{"own"}) {
		h.Errorf("%s: sees the rows %q of all tenants", level, have)
	}
	h.do(conn, "INSERT INTO extra.things VALUES (1)")
	if level == "read" {
		return
	}
	h.do(conn, "INSERT INTO audit (what) VALUES ('x')")
	if have := h.query(conn, "SELECT DISTINCT who FROM audit"); !slices.Equal(have, []string{working}) {
		h.Errorf("%s: recorded as %q", level, have)
	}
}

// Services of earlier versions owned objects in the name of one of their two users.
func TestObjectsOfAServicesUserGoToTheService(t *testing.T) {
	onEachMajor(t, objectsOfAServicesUserGoToTheService)
}

func objectsOfAServicesUserGoToTheService(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("job", "write")
	h.run()
	for _, statement := range []string{
		"SELECT lo_from_bytea(1, 'of job')", "ALTER LARGE OBJECT 1 OWNER TO service_job_a",
		"SELECT lo_from_bytea(2, 'of web')", "ALTER LARGE OBJECT 2 OWNER TO service_web_b",
		"CREATE SCHEMA own AUTHORIZATION service_web_a", "CREATE TABLE own.things (id serial)",
		"ALTER TABLE own.things OWNER TO service_web_a",
	} {
		h.admin(statement)
	}
	web := h.service("web")
	h.do(web, "SET ROLE NONE")
	h.do(web, "CREATE TEMPORARY TABLE mine (id int)")
	h.do(web, "RESET ROLE")
	done := h.run()
	want := []string{
		"owner of large object 1", "owner of large object 2", "owner of schema own", "owner of table own.things",
	}
	if !slices.Equal(done.Changed, want) {
		t.Errorf("changed: %q, want %q", done.Changed, want)
	}
	h.do(h.service("job"), "SELECT lo_put(1, 0, 'again')")
	h.do(web, "SELECT lo_get(1), lo_put(2, 0, 'again')")
	h.do(web, "CREATE TABLE own.more (id int)")
	h.do(web, "ALTER TABLE own.things ADD COLUMN more int")
	h.nothingToDo()

	// A service that becomes an owner keeps what it had, and so does one that is removed.
	h.set("job", "owner")
	h.run()
	h.do(h.service("job"), "SELECT lo_put(1, 0, 'third')")
	h.unset("job")
	h.do(web, "SELECT lo_get(1)")
	h.nothingToDo()
}

// The roles of the version before this one are taken over without ending a session: users were
// members of their level, without a role of their service.
func TestRolesOfTheVersionBeforeAreTakenOver(t *testing.T) {
	onEachMajor(t, rolesOfTheVersionBeforeAreTakenOver)
}

func rolesOfTheVersionBeforeAreTakenOver(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("job", "write")
	h.run()
	for name, level := range map[string]string{"web": "owner", "job": "write"} {
		for _, u := range users(name) {
			h.admin(fmt.Sprintf("REVOKE service_%s FROM %s", name, u))
			h.master(fmt.Sprintf("GRANT platform_%s TO %s", level, u))
			h.master(fmt.Sprintf("ALTER ROLE %s VALID UNTIL 'infinity'", u))
			h.master(fmt.Sprintf("COMMENT ON ROLE %s IS 'Made by the platform for a service; "+
				"it is put right at each deployment'", u))
			if level != "owner" {
				h.master(fmt.Sprintf("ALTER ROLE %s RESET role", u))
			}
		}
		h.admin("DROP OWNED BY service_" + name)
		h.admin("DROP ROLE service_" + name)
	}
	h.master("ALTER ROLE service_job_a SET search_path = 'elsewhere'") // people could set that, and still can
	h.admin("CREATE SCHEMA elsewhere")
	h.admin("GRANT USAGE ON SCHEMA elsewhere TO service_job_a")
	web, job := h.service("web"), h.service("job")
	done := h.run()
	if len(done.Passwords) > 0 || len(done.Changed) == 0 {
		t.Errorf("%+v", done)
	}
	if len(done.Problems) != 1 || !strings.Contains(done.Problems[0], "schema elsewhere: a grant or policy names "+
		"service_job_a, which the service does not work as: use service_job") {
		t.Errorf("grants to a user: %q", done.Problems)
	}
	h.admin("REVOKE USAGE ON SCHEMA elsewhere FROM service_job_a")
	if path := h.query(h.service("job"), "SHOW search_path"); path[0] != "elsewhere" {
		t.Errorf("search_path: %q", path)
	}
	h.do(web, "CREATE TABLE made (id int)")
	h.do(job, "INSERT INTO public.made VALUES (1)")
	h.nothingToDo()
}

// People create roles too, and may choose names like those of the platform.
func TestRolesOfPeopleAreLeftAlone(t *testing.T) { onEachMajor(t, rolesOfPeopleAreLeftAlone) }

func rolesOfPeopleAreLeftAlone(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	names := []string{"alice", "service_report", "service_etl_a", "platform_bi"}
	var sessions []*pgx.Conn
	for _, name := range names {
		h.master("CREATE ROLE " + name + " LOGIN PASSWORD 'x'")
		h.master("GRANT platform_read TO " + name)
		conn, err := h.postgres.Connect(t.Context(), postgres.User{Name: name, Password: "x"}, "app")
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, conn)
	}
	for _, level := range []string{"write", "owner"} {
		h.set("web", level)
		h.run()
		h.nothingToDo()
	}
	for i, conn := range sessions {
		h.do(conn, "SELECT 1")
		have := h.admin("SELECT rolcanlogin AND pg_has_role(oid, 'platform_read', 'member') AND " +
			"shobj_description(oid, 'pg_authid') IS NULL FROM pg_roles WHERE rolname = '" + names[i] + "'")
		if have[0] != "true" {
			t.Errorf("%s was changed", names[i])
		}
	}
	h.set("report", "read")
	if _, err := h.function.handle(t.Context(), deployment); err == nil ||
		!strings.Contains(err.Error(), "role service_report exists and was not created by the platform") {
		t.Errorf("a service whose role is a person's: %v", err)
	}
}

// While a role is replaced, its service works on. What it creates must not be lost.
func TestReplacedRoleLosesNothing(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.set("job", "write")
	h.run()
	h.do(h.service("web"), "CREATE SCHEMA extra")
	h.do(h.service("web"), "GRANT CREATE, USAGE ON SCHEMA extra TO service_job")
	h.master("REVOKE platform_write FROM service_job")
	h.admin("GRANT platform_write TO service_job")
	job := h.service("job")
	created := 0
	h.function.tracer = beforeStatement{"DROP OWNED", func() {
		if _, err := job.Exec(t.Context(), "CREATE TABLE extra.late (id int)"); err == nil {
			created++
		}
	}}
	h.set("job", "read")
	h.run()
	h.function.tracer = nil
	if found := h.admin("SELECT count(*) FROM pg_class WHERE relname = 'late'"); found[0] != fmt.Sprint(created) {
		t.Errorf("%d tables were created while the role was replaced, %s are left", created, found[0])
	}
	h.ended(job)
	if state := h.try(h.service("job"), "CREATE TABLE more (id int)"); state != "42501" {
		t.Errorf("a reader creates a table: %q", state)
	}
}

// beforeStatement calls do before a statement.
type beforeStatement struct {
	begins string
	do     func()
}

func (b beforeStatement) TraceQueryStart(
	ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData,
) context.Context {
	if strings.HasPrefix(data.SQL, b.begins) {
		b.do()
	}
	return ctx
}

func (beforeStatement) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// What cannot be revoked, or not replaced, does not keep the function from anything else.
func TestOneRightThatCannotBeTakenStopsNothingElse(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.set("job", "write")
	h.run()
	h.admin("GRANT pg_monitor TO service_job_a")
	h.master("REVOKE platform_write FROM service_job")
	h.admin("GRANT platform_write TO service_job")
	h.admin("CREATE DATABASE other")
	h.admin("GRANT CREATE ON DATABASE other TO service_job") // so that the role cannot be dropped
	h.set("web", "read")
	h.set("job", "read")
	h.set("late", "write")
	_, err := h.function.handle(t.Context(), deployment)
	for _, want := range []string{`REVOKE "pg_monitor" FROM "service_job_a"`, "role service_job cannot be replaced"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	h.service("late")
	if state := h.try(h.service("web"), "CREATE TABLE more (id int)"); state != "42501" {
		t.Errorf("web keeps its level: %q", state)
	}
}

// From PostgreSQL 16 on, a membership can lack what it is for.
func TestOptionsOfMembershipsAreCorrected(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.run()
	for _, damage := range []string{
		"GRANT platform_write TO service_web WITH INHERIT FALSE", "GRANT service_web TO service_web_a WITH SET FALSE",
	} {
		h.master(damage)
		if done := h.run(); len(done.Changed) != 1 {
			t.Errorf("%s: changed %q", damage, done.Changed)
		}
		if have := h.query(h.service("web"), "SELECT current_user::text"); have[0] != "service_web" {
			t.Errorf("%s: works as %s", damage, have[0])
		}
		h.nothingToDo()
	}
}

// pg_upgrade from a version before 16 makes a superuser grant all memberships, and the master user
// cannot revoke those.
func TestLevelOfAServiceCanBeLoweredAfterAnUpgrade(t *testing.T) {
	onEachMajor(t, levelOfAServiceCanBeLoweredAfterAnUpgrade)
}

func levelOfAServiceCanBeLoweredAfterAnUpgrade(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("job", "write")
	h.run()
	job := h.service("job")
	h.do(job, "SELECT lo_from_bytea(7, 'large')")
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	for member, role := range map[string]string{
		"service_web_a": "service_web", "service_web_b": "service_web", "service_web": "platform_owner",
		"service_job_a": "service_job", "service_job_b": "service_job", "service_job": "platform_write",
		"platform_owner": "service_job",
	} {
		h.master("REVOKE " + role + " FROM " + member)
		h.admin("GRANT " + role + " TO " + member)
	}
	h.nothingToDo()
	h.set("web", "write")
	h.set("job", "read")
	h.run()
	h.ended(job)
	job = h.service("job")
	h.do(job, "SELECT * FROM orders")
	h.do(job, "SELECT lo_put(7, 0, 'still its own')")
	if state := h.try(job, "INSERT INTO orders VALUES (1)"); state != "42501" {
		t.Errorf("a reader inserts: %q", state)
	}
	web := h.service("web")
	h.do(web, "INSERT INTO orders VALUES (1)")
	if state := h.try(web, "CREATE TABLE more (id int)"); state != "42501" {
		t.Errorf("a writer creates a table: %q", state)
	}
	h.nothingToDo()
	h.set("job", "owner")
	h.run()
	h.do(h.service("job"), "ALTER TABLE orders ADD COLUMN more int")
	h.do(h.service("job"), "SELECT lo_get(7)")
	h.nothingToDo()
}
