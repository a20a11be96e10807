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

// ownedBy returns a query for the objects of a role in the database, except what belongs to another
// object.
func ownedBy(role string) string {
	return `SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_shdepend d,
			pg_identify_object(d.classid, d.objid, 0) i
		WHERE d.deptype = 'o' AND d.refobjid = '` + role + `'::regrole
			AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND i.type NOT IN ('extension', 'schema', 'default acl') AND NOT EXISTS (SELECT FROM pg_depend e
				WHERE e.classid = d.classid AND e.objid = d.objid AND e.objsubid = 0 AND e.deptype IN ('e', 'i'))`
}

// Earlier versions of the platform let services log in as the master user. The objects that they
// created are reassigned to the services.
func TestObjectsOfTheMasterUserAreReassigned(t *testing.T) {
	onEachMajor(t, objectsOfTheMasterUserAreReassigned)
}

func objectsOfTheMasterUserAreReassigned(t *testing.T, major int) {
	h := newFixture(t, major)
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
		"CREATE TABLE parted (id int, at date) PARTITION BY RANGE (id)",
		"CREATE TABLE parted1 PARTITION OF parted FOR VALUES FROM (0) TO (10) PARTITION BY HASH (at)",
		"CREATE TABLE parted1a PARTITION OF parted1 FOR VALUES WITH (modulus 1, remainder 0)",
		"CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM old",
		"CREATE TYPE period AS RANGE (subtype = date)",
		"CREATE AGGREGATE total (int) (sfunc = int4pl, stype = int, initcond = '0')",
		"CREATE COLLATION german (provider = libc, locale = 'C')",
		"CREATE TEXT SEARCH CONFIGURATION words (COPY = simple)",
		"CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq)",
		"CREATE STATISTICS related ON id, m FROM old",
		"SELECT lo_from_bytea(4711, 'of the master user')",
		"CREATE SCHEMA vault",
		"CREATE TABLE vault.secrets (id int)",
	} {
		h.master(statement)
	}
	h.set("web", "owner")
	h.set("job", "write")
	h.set("api", "read")
	done := h.run()
	if want := []string{"extension pg_trgm", "schema vault"}; !slices.Equal(done.Kept, want) {
		t.Errorf("reported to stay with the master user: %q, want %q", done.Kept, want)
	}
	if left := h.admin(ownedBy("platform") + " AND coalesce(i.schema, 'public') = 'public'"); len(left) > 0 {
		t.Errorf("still belongs to the master user: %q", left)
	}
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
		"ALTER TABLE parted ADD COLUMN more int",
		"ALTER TABLE parted1 RENAME TO parted2",
		"INSERT INTO parted VALUES (1, '2020-01-01')",
		"REFRESH MATERIALIZED VIEW counted",
		"DROP AGGREGATE total (int)",
		"DROP OPERATOR === (int, int)",
		"ALTER TEXT SEARCH CONFIGURATION words RENAME TO terms",
		"ALTER COLLATION german RENAME TO deutsch",
		"DROP STATISTICS related",
		"SELECT lo_put(4711, 0, 'by its owner')",
	} {
		h.do(web, statement)
	}
	h.do(job, "INSERT INTO old (m) VALUES ('good')")
	h.do(job, "SELECT nextval('alone')")
	h.do(job, "INSERT INTO parted VALUES (2, '2020-01-02')")
	h.do(job, "SELECT lo_put(4711, 0, 'by a writer')")
	h.do(api, "SELECT * FROM seen, old, parted, counted")
	h.do(api, "SELECT lo_get(4711)")
	for _, conn := range []*pgx.Conn{web, job, api} {
		if state := h.try(conn, "SELECT * FROM vault.secrets"); state != "42501" {
			t.Errorf("a service reads what the master keeps: %q", state)
		}
	}
	h.nothingToDo()
}

// Killed between a table and its sequence, the function would not find the sequence again: it changes
// owner with the table.
func TestSequenceOfAColumnGetsItsRightsBeforeTheTableChangesOwner(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	h.master("CREATE TABLE a (id serial)")
	master, err := h.postgres.Connect(t.Context(), h.postgres.Master, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close(context.Background())
	s := session{h.function.settings.main(), master}
	found, err := h.function.owned(t.Context(), s, facts{settings: h.function.settings, services: h.services})
	var order []string
	for _, o := range found {
		if handedOver[o.kind] != "" {
			order = append(order, o.description)
		}
	}
	if err != nil || !slices.Equal(order, []string{"sequence a_id_seq", "table a"}) {
		t.Errorf("handed over in the order %q, %v", order, err)
	}
}

// A person who reads a table for long, or a dump, delays neither the services nor the rest of the
// function's work. What is in use is handed over by a later run.
func TestObjectsInUseAreHandedOverLater(t *testing.T) {
	onEachMajor(t, objectsInUseAreHandedOverLater)
}

func objectsInUseAreHandedOverLater(t *testing.T, major int) {
	h := newFixture(t, major)
	const tables = 30
	for i := range tables {
		h.master(fmt.Sprintf("CREATE TABLE t%d (id serial)", i))
		h.master(fmt.Sprintf("CREATE SEQUENCE s%d", i))
	}
	reader, err := h.postgres.Connect(t.Context(), h.postgres.Master, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	h.do(reader, "BEGIN")
	h.do(reader, "SELECT * FROM t9")
	w := h.writeTo(tables)
	h.set("web", "owner")
	done := h.run()
	w.stop()
	t.Logf("%d tables, one of them in use: %s; a writer wrote %d rows, and waited %s at most",
		tables, w.took, w.rows, w.longest)
	if !slices.Equal(done.InUse, []string{"table public.t9"}) {
		t.Errorf("in use: %q, want t9", done.InUse)
	}
	if w.longest > time.Second {
		t.Errorf("a writer waited %s", w.longest)
	}
	if !slices.Equal(done.Passwords, []string{"service_web_a"}) {
		t.Errorf("passwords: %q", done.Passwords)
	}
	if !strings.Contains(h.metrics.String(), `"ObjectsInUse":1`) {
		t.Errorf("metrics: %s", h.metrics)
	}
	h.do(h.service("web"), "ALTER TABLE t8 ADD COLUMN more int")
	h.do(reader, "ROLLBACK")
	if done := h.run(); !slices.Equal(done.Changed, []string{"owner of table public.t9"}) || len(done.InUse) > 0 {
		t.Errorf("after the reader: %+v", done)
	}
	h.do(h.service("web"), "ALTER TABLE t9 ADD COLUMN more int")
	h.nothingToDo()
}

// More objects than are read at a time are handed over in one run, also if one of them is in use, and
// what is left of them when the time is over is reported.
func TestMoreObjectsThanAreReadAtATimeAreHandedOver(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.function.limits.objects, h.function.limits.lock = 4, 50*time.Millisecond
	h.set("web", "owner")
	h.run()
	for i := range 9 {
		h.master(fmt.Sprintf("CREATE TABLE t%d (id serial)", i))
	}
	h.master("SELECT count(lo_create(0)) FROM generate_series(1, 10)")
	h.function.limits.handOver = 0
	want := []string{"more objects: this run had no time for them; the next run continues", "sequence public.t0_id_seq",
		"sequence public.t1_id_seq", "table public.t0", "table public.t1"}
	if done := h.run(); !slices.Equal(done.InUse, want) {
		t.Errorf("without time: %q, want %q", done.InUse, want)
	}
	h.function.limits.handOver = shortLimits.handOver
	reader, err := h.postgres.Connect(t.Context(), h.postgres.Master, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	h.do(reader, "BEGIN")
	h.do(reader, "SELECT * FROM t0")
	if done := h.run(); !slices.Equal(done.InUse, []string{"table public.t0"}) || len(done.Changed) != 18 {
		t.Errorf("in use: %q, changed: %q", done.InUse, done.Changed)
	}
	left := slices.Sorted(slices.Values(h.admin(ownedBy("platform"))))
	if !slices.Equal(left, []string{"sequence t0_id_seq", "table t0"}) {
		t.Errorf("left: %q", left)
	}
	h.do(reader, "ROLLBACK")
	h.run()
	h.nothingToDo()
}

// The new owner of an object must be allowed to create in its schema. The error says so, and a person
// who grants that right ends it.
func TestObjectInASchemaOfTheMasterUserIsHandedOverAfterAGrant(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "write")
	h.set("other", "owner")
	h.run()
	h.master("CREATE SCHEMA special")
	h.master("GRANT CREATE, USAGE ON SCHEMA special TO service_web")
	h.do(h.service("web"), "CREATE TABLE special.mine (id int)")
	h.set("web", "owner")
	_, err := h.function.handle(t.Context(), json.RawMessage(`{"action":"daily"}`))
	if err == nil || !strings.Contains(err.Error(), "1 objects cannot be handed over: table special.mine") ||
		!strings.Contains(err.Error(), "permission denied for schema special") {
		t.Errorf("without the right: %v", err)
	}
	h.master("GRANT CREATE, USAGE ON SCHEMA special TO platform_owner")
	h.run()
	h.do(h.service("other"), "ALTER TABLE special.mine ADD COLUMN more int")
	h.nothingToDo()
}

// A dump holds a lock on every table for as long as it runs.
func TestDumpFailsNoDeployment(t *testing.T) { onEachMajor(t, dumpFailsNoDeployment) }

func dumpFailsNoDeployment(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	h.master("CREATE TABLE more (id int)")
	dump, err := h.postgres.Connect(t.Context(), h.postgres.Admin, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer dump.Close(context.Background())
	h.do(dump, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	h.do(dump, "LOCK TABLE orders, more IN ACCESS SHARE MODE")
	h.set("api", "read")
	if done := h.run(); !slices.Equal(done.InUse, []string{"table public.more"}) {
		t.Errorf("in use: %q", done.InUse)
	}
	h.do(h.service("api"), "SELECT * FROM orders")
	h.do(dump, "COMMIT")
	h.run()
	h.nothingToDo()
}

func TestThousandTablesAreHandedOverWhileAServiceWrites(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	const tables = 1000
	var create strings.Builder
	for i := range tables {
		fmt.Fprintf(&create, "CREATE TABLE t%d (id serial);", i)
	}
	conn, err := h.postgres.Connect(t.Context(), h.postgres.Master, "app")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.PgConn().Exec(t.Context(), create.String()).Close(); err != nil {
		t.Fatal(err)
	}
	h.function.limits.handOver = time.Minute
	w := h.writeTo(tables)
	h.set("web", "owner")
	done := h.run()
	w.stop()
	t.Logf("%d tables handed over in %s, while a writer wrote %d rows and waited %s at most",
		tables, w.took, w.rows, w.longest)
	if len(done.InUse) > 0 {
		t.Errorf("left: %q", done.InUse)
	}
	if left := h.admin(ownedBy("platform")); len(left) > 0 {
		t.Errorf("still belong to the master user: %d objects", len(left))
	}
	if w.longest > time.Second {
		t.Errorf("a writer waited %s", w.longest)
	}
}

// writer writes rows to tables in turn, as a superuser that any owner lets in.
type writer struct {
	stop    func()
	took    time.Duration // from start to stop
	rows    int
	longest time.Duration // that a row took
}

// writeTo starts a writer to the tables t0, t1, and so on.
func (h *fixture) writeTo(tables int) *writer {
	h.Helper()
	conn, err := h.postgres.Connect(h.Context(), h.postgres.Admin, "app")
	if err != nil {
		h.Fatal(err)
	}
	w, ended, begun := &writer{}, make(chan error), time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			start := time.Now()
			_, err := conn.Exec(context.Background(), fmt.Sprintf("INSERT INTO public.t%d DEFAULT VALUES", i%tables))
			if err != nil {
				ended <- err
				return
			}
			w.rows++
			w.longest = max(w.longest, time.Since(start))
		}
		ended <- nil
	}()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			h.Errorf("the writer failed: %v", err)
		}
		w.took = time.Since(begun)
		conn.Close(context.Background())
	}
	return w
}
