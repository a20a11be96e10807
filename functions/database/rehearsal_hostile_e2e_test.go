//go:build e2e

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A service with the level owner puts code wherever a dump and its restores could call it. Nothing of it
// runs as a superuser, whose programs would have the rights of the task: to read or write the dumps of all
// databases. None of it decides what is dumped.
func TestServiceGetsNoRightsThroughItsDump(t *testing.T) {
	h := newFixture(t, 17)
	h.set("web", "owner")
	h.setIn("metabase", "bi", "owner")
	h.setPlatform()
	h.run()
	r := newRehearsal(h)
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	h.do(h.service("web"), "INSERT INTO orders VALUES (42)")
	home := filepath.Join(r.folder, "home")
	bi := h.service("bi")
	for _, statement := range hostile(filepath.Join(home, "program")) {
		h.do(bi, statement)
	}
	for _, task := range []struct{ schedule, at string }{
		{"database_dump_metabase", "2026-11-23T05:30:00Z"},
		{"database_drill_metabase", "2026-11-24T07:00:00Z"},
	} {
		if err := r.scheduled(task.schedule, task.at); err != nil {
			t.Errorf("%s: %v", task.schedule, err)
		}
		r.noProgramRan(task.schedule, home)
	}
	// The record of the drill: all tables of metabase, and none of the main database.
	for _, want := range []string{`"dump":"dumps/metabase/2026/11/23/053000.dump"`, `"tables":6,`} {
		if !strings.Contains(r.output.String(), want) {
			t.Errorf("want %s, have %s", want, r.output.String())
		}
	}
	r.must(h.prepare("copy", "metabase"))
	r.must(r.run("database_restore", map[string]string{"FROM": "metabase", "DATABASE": "copy"}))
	r.noProgramRan("database_restore", home)
}

// hostile returns statements of a service that put code into its database. It would start a program that
// creates a file.
func hostile(file string) []string {
	statements := []string{
		// psql would execute this, and pg_dump would get it as an argument.
		`CREATE FUNCTION public.format(text, name) RETURNS text LANGUAGE sql AS $$ SELECT '\! touch ` + file + `' $$`,
		`CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE sql
			AS $$ SELECT '--dbname=dbname=app options=''-c role=platform_owner''' $$`,
		`CREATE FUNCTION public.format(text, text, name, name) RETURNS text LANGUAGE sql
			AS $$ SELECT E'SELECT 1\n\\! touch ` + file + `' $$`,
		// The second function above is called for tables like this one.
		"CREATE EXTENSION pg_trgm",
		"SET ROLE NONE",
		"CREATE TABLE hidden (id int)",
		"ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
		"ALTER EXTENSION pg_trgm ADD TABLE hidden",
		"SET ROLE platform_owner_metabase",
		`CREATE FUNCTION run(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
			IF current_setting('is_superuser') = 'on' THEN
				EXECUTE $$COPY (SELECT 1) TO PROGRAM 'touch ` + file + `'$$;
			END IF;
			RETURN 1;
		END $f$`,
		"CREATE DOMAIN checked AS int CHECK (public.run(VALUE) = 1)",
		// A bound of a partition, and the initial value of an aggregate, are checked when they are created.
		"CREATE TABLE with_bound (d checked) PARTITION BY LIST (d)",
		"CREATE TABLE with_bound_1 PARTITION OF with_bound FOR VALUES IN (1)",
		"CREATE FUNCTION add(checked, int) RETURNS checked LANGUAGE sql AS 'SELECT $1'",
		"CREATE AGGREGATE total (int) (SFUNC = add, STYPE = checked, INITCOND = '1')",
		"CREATE TABLE with_check (id int CHECK (public.run(id) = 1), d checked)",
		"CREATE TABLE with_column (id int, g int GENERATED ALWAYS AS (public.run(id)) STORED)",
		"CREATE TABLE with_index (id int)",
		"CREATE INDEX ON with_index (public.run(id))",
		// A function of the table's own type: pg_dump adds the constraint after the rows.
		"CREATE TABLE with_late_check (id int)",
		`CREATE FUNCTION run(with_late_check) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT public.run($1.id) $$`,
		"ALTER TABLE with_late_check ADD CHECK (public.run(with_late_check) = 1)",
		"CREATE FUNCTION triggered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " +
			"PERFORM public.run(1); RETURN NEW; END $$",
		"CREATE TRIGGER always BEFORE INSERT ON with_index FOR EACH ROW EXECUTE FUNCTION triggered()",
		"ALTER TABLE with_index ENABLE ALWAYS TRIGGER always",
	}
	for _, table := range []string{"with_check (id, d) VALUES (1, 1)", "with_column (id) VALUES (1)",
		"with_index VALUES (1)", "with_late_check VALUES (1)"} {
		statements = append(statements, "INSERT INTO "+table)
	}
	return append(statements, "CREATE MATERIALIZED VIEW refreshed AS SELECT public.run(id) FROM with_index")
}

// noProgramRan fails if the hostile code started its program.
func (r *rehearsal) noProgramRan(what, folder string) {
	r.Helper()
	if _, err := os.Stat(filepath.Join(folder, "program")); err == nil {
		r.Errorf("%s: the program of the service ran", what)
	}
}
