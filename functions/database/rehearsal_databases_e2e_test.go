//go:build e2e

package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"platform/internal/postgres"
)

// fillTwo makes the main database hard, and the database metabase, of the services bi and loader.
func (r *rehearsal) fillTwo() {
	r.Helper()
	r.setIn("metabase", "bi", "owner")
	r.setIn("metabase", "loader", "write")
	r.fill(1000)
	r.fillAs("bi", "loader", 2000)
	r.do(r.service("bi"), "CREATE TABLE questions AS SELECT n FROM generate_series(1, 50) n")
}

// shutOut checks that services cannot connect to a database.
func (r *rehearsal) shutOut(database string, services ...string) {
	r.Helper()
	for _, service := range services {
		conn, err := r.postgres.Connect(r.Context(), r.credentials(service), database)
		if err == nil {
			conn.Close(context.Background())
			r.Errorf("%s connects to %s", service, database)
		}
	}
}

// drilled runs a rehearsal as a schedule starts it, and checks which dump it restores.
func (r *rehearsal) drilled(schedule, at, dump, record string) {
	r.Helper()
	r.must(r.scheduled(schedule, at))
	if out := r.output.String(); !strings.Contains(out, `"dump":"`+dump+`"`) ||
		!strings.Contains(out, `"compared":true`) {
		r.Errorf("%s: want a rehearsal of %s: %s", schedule, dump, out)
	}
	if keys := r.objects(); !slices.Contains(keys, record) {
		r.Errorf("%s: no record %s in %v", schedule, record, keys)
	}
}

// Each database is dumped, rehearsed and restored as if it were the only one.
func TestDumpOfAServicesDatabaseIsRestoredRowForRow(t *testing.T) {
	r := newRehearsal(newFixture(t, postgres.DefaultMajor))
	r.fillTwo()
	const (
		ofMain  = "dumps/2026/11/23/030000"
		ofOther = "dumps/metabase/2026/11/24/030000"
		later   = "dumps/2026/11/25/030000"
	)
	r.must(r.scheduled("database_dump", "2026-11-23T03:00:00Z"))
	r.must(r.scheduled("database_dump_metabase", "2026-11-24T03:00:00Z"))
	if want := []string{
		ofMain + ".dump", ofMain + ".roles.sql", ofOther + ".dump", ofOther + ".roles.sql",
	}; !slices.Equal(r.objects(), want) {
		t.Errorf("want %v, have %v", want, r.objects())
	}
	// The newest dump of one database is not taken for one of another, whichever is newer.
	r.drilled("database_drill", "2026-11-26T07:00:00Z", ofMain+".dump", "drills/2026/11/26/070000.json")
	r.must(r.scheduled("database_dump", "2026-11-25T03:00:00Z"))
	r.drilled("database_drill_metabase", "2026-11-26T07:00:00Z", ofOther+".dump",
		"drills/metabase/2026/11/26/070000.json")

	main, metabase := r.contents(r.postgres.Database), r.contents("metabase")
	if maps.Equal(main, metabase) {
		t.Error("both databases are the same, so that the test shows nothing")
	}
	c := newRestoreCommand(r)
	ofApp, ofMetabase := []string{"web", "job"}, []string{"bi", "loader"}
	for _, test := range []struct {
		database  string
		arguments []string
		key       string
		want      map[string]string
		in, out   []string // services: with the level owner, write; and those that have no access
	}{
		{"restored", []string{"--from", "metabase"}, ofOther, metabase, ofMetabase, ofApp},
		{"again", []string{"--dump", ofOther + ".dump"}, ofOther, metabase, ofMetabase, ofApp},
		{"main", nil, later, main, ofApp, ofMetabase},
		{"before", []string{"--dump", ofMain + ".dump"}, ofMain, main, ofApp, ofMetabase},
	} {
		out, err := c.restore(append([]string{"--database", test.database}, test.arguments...)...)
		if err != nil || !strings.Contains(out, "downloaded s3://"+r.bucket+"/"+test.key+".dump") {
			t.Errorf("%s: want a restore of %s: %v: %s", test.database, test.key, err, out)
			continue
		}
		r.sameContents(test.want, r.contents(test.database))
		r.shutOut(test.database, test.out...)
		r.rolesOfWorkIn(test.database, test.in[0], test.in[1])
	}
	out, err := c.restore("--database", "none", "--from", "other")
	if err == nil || !strings.Contains(out, `use the databases app, metabase, have "other"`) {
		t.Errorf("a database that no service uses: %v: %s", err, out)
	}
	r.switchOver()

	// The dumps from before can still be restored, for the same services.
	c.databases("again")
	out, err = c.restore("--database", "older", "--from", "metabase", "--like", "again")
	if err != nil || !strings.Contains(out, "downloaded s3://"+r.bucket+"/"+ofOther+".dump") {
		t.Fatalf("a dump of a database that no service uses any more: %v: %s", err, out)
	}
	older := r.contents("older")
	for what := range metabase {
		if what != "schema" && metabase[what] != older[what] { // the owner has another name
			t.Errorf("%s: want %s, have %s", what, metabase[what], older[what])
		}
	}
	r.shutOut("older", "web", "job")
	r.rolesOfWorkIn("older", "bi", "loader")
}

// switchOver lets the services use a restored database, and the database function take it over.
func (r *rehearsal) switchOver() {
	r.Helper()
	before := r.contents("again")
	r.setIn("again", "bi", "owner")
	r.setIn("again", "loader", "write")
	r.fixture.run()
	r.nothingToDo()
	after := r.contents("again")
	for what := range before {
		if what != "schema" && before[what] != after[what] { // the owner has another name
			r.Errorf("%s: want %s, have %s", what, before[what], after[what])
		}
	}
	if strings.Contains(after["schema"], "platform_owner_metabase") {
		r.Errorf("objects still belong to the owner of metabase: %s", after["schema"])
	}
	r.shutOut("again", "web", "job")
	r.shutOut("metabase", "bi", "loader")
	r.do(r.service("bi"), "ALTER TABLE orders ADD COLUMN even_more int")
	r.do(r.service("loader"), "INSERT INTO many VALUES (0, 'after the switch')")
}

// A dump is restored only for those who could read what was dumped, whatever the task is told.
func TestDumpIsNotRestoredForOtherServices(t *testing.T) {
	r := newRehearsal(newFixture(t, postgres.DefaultMajor))
	r.fillTwo()
	r.must(r.scheduled("database_dump", "2026-11-23T03:00:00Z"))
	r.must(r.scheduled("database_dump_metabase", "2026-11-24T03:00:00Z"))
	for database, c := range map[string]struct{ like, key string }{
		"open":  {"", "dumps/metabase/2026/11/24/030000.dump"},
		"other": {"metabase", "dumps/2026/11/23/030000.dump"},
	} {
		r.must(r.fixture.prepare(database, c.like))
		r.fails("a dump in a database for others", "database_restore", "permission denied",
			map[string]string{"DATABASE": database, "KEY": c.key})
		if have := r.contents(database); have["public.many"] != "" {
			t.Errorf("%s has rows: %v", database, have)
		}
	}

	// Without the role of the schedule, the user of the dumps can read nothing of it.
	task, given := r.schedule("database_dump_metabase", "2026-11-24T04:00:00Z")
	delete(given["dump"], "PGOPTIONS")
	if err := r.runWith(task, given); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a dump as the main database's owner: %v", err)
	}
}
