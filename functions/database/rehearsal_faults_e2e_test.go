//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// dumps returns the keys of objects that look like dumps.
func (r *rehearsal) dumps() []string {
	r.Helper()
	return slices.DeleteFunc(r.objects(), func(key string) bool { return !strings.HasSuffix(key, ".dump") })
}

// fails checks that a task fails with a message, and that it leaves no dump.
func (r *rehearsal) fails(what, task, want string, overrides map[string]string) {
	r.Helper()
	before := r.objects()
	err := r.run(task, overrides)
	if err == nil || !strings.Contains(err.Error(), want) {
		r.Errorf("%s: want an error with %q, have %v", what, want, err)
	}
	if after := r.objects(); !slices.Equal(before, after) {
		r.Errorf("%s: leaves %v, before %v", what, after, before)
	}
}

// replace puts a program in the place of one of PostgreSQL's; the result removes it.
func (r *rehearsal) replace(name, script string) func() {
	r.Helper()
	file := filepath.Join(r.folder, "tools", name)
	r.must(os.WriteFile(file, []byte("#!/bin/sh\nPATH=${PATH#*:}\n"+script), 0o755))
	return func() { r.must(os.Remove(file)) }
}

// locked locks a table, so that a dump waits for it, and calls do once the dump waits.
func (r *rehearsal) locked(do func(dump string)) (unlock func()) {
	r.Helper()
	conn, err := r.postgres.Connect(r.Context(), r.postgres.Admin, r.postgres.Database)
	r.must(err)
	r.do(conn, "BEGIN")
	r.do(conn, "LOCK TABLE many IN ACCESS EXCLUSIVE MODE")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 600 {
			var pid string
			err := r.adminSession(func(admin *pgx.Conn) error {
				return admin.QueryRow(r.Context(), `SELECT coalesce(max(pid::text), '') FROM pg_stat_activity
					WHERE usename ~ '^platform_dump' AND wait_event_type = 'Lock'`).Scan(&pid)
			})
			if err == nil && pid != "" {
				do(pid)
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	return func() {
		<-done
		conn.Close(r.Context())
	}
}

func (r *rehearsal) adminSession(do func(*pgx.Conn) error) error {
	conn, err := r.postgres.Connect(r.Context(), r.postgres.Admin, r.postgres.Database)
	if err != nil {
		return err
	}
	defer conn.Close(r.Context())
	return do(conn)
}

func TestFailedDumpLeavesNoDump(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(20_000)

	r.fails("a wrong password", "database_dump", "password authentication failed", map[string]string{"PGPASSWORD": "x"})
	r.limit = "200"
	r.fails("a full disk", "database_dump", "dump: ", nil)
	r.limit = ""

	unlock := r.locked(func(pid string) { r.admin("SELECT pg_terminate_backend(" + pid + ")") })
	r.fails("a connection that is cut", "database_dump", "dump: exit status", nil)
	unlock()

	ctx, kill := context.WithCancel(r.Context())
	r.ctx = ctx
	unlock = r.locked(func(pid string) {
		kill()
		r.admin("SELECT pg_terminate_backend(" + pid + ")") // as AWS ends all processes of a task
	})
	r.fails("a task that is killed", "database_dump", "dump: signal: killed", nil)
	unlock()
	r.ctx = nil

	restore := r.replace("pg_dump", `pg_dump "$@" || exit
for file in "$@"; do case $file in --file=*) file=${file#--file=}
	truncate -s $(($(wc -c <"$file") / 2)) "$file" ;; esac; done
`)
	r.fails("half a file", "database_dump", "pg_restore: error", nil)
	restore()

	person := "CREATE ROLE person; GRANT platform_write TO person; SET ROLE person; SELECT lo_from_bytea(4711, 'x')"
	r.must(r.adminSession(func(conn *pgx.Conn) error {
		return conn.PgConn().Exec(r.Context(), person).Close()
	}))
	r.fails("a large object of a person", "database_dump", "permission denied for large object 4711", nil)
	r.admin("ALTER LARGE OBJECT 4711 OWNER TO platform_owner")

	r.fails("no bucket", "database_dump", "NoSuchBucket", map[string]string{"BUCKET": "nobodys-bucket"})

	r.before = map[string]func(){"upload": func() {
		file, err := os.OpenFile(filepath.Join(r.folder, "work", "dump"), os.O_APPEND|os.O_WRONLY, 0)
		r.must(err)
		_, err = file.WriteString("x")
		r.must(err)
		r.must(file.Close())
	}}
	r.fails("a file that changed after the check", "database_dump", "the dump changed after it was checked", nil)
	r.before = nil
	if left := r.dumps(); len(left) > 0 {
		t.Errorf("dumps that failed are in the bucket: %v", left)
	}

	// During a deployment, both succeed; and the next dump heals what failed before.
	deployed := make(chan error, 1)
	unlock = r.locked(func(string) {
		_, err := r.function.handle(r.Context(), deployment)
		deployed <- err
	})
	go unlock()
	r.must(r.run("database_dump", atThree))
	if err := <-deployed; err != nil {
		t.Errorf("a deployment during a dump: %v", err)
	}
	if about := r.metadata(); about["verified"] != "restored" {
		t.Errorf("metadata: %v", about)
	}
	r.rehearsalFindsAChangedDump()
}

// rehearsalFindsAChangedDump checks that a rehearsal fails on a dump that was changed, and on one with
// other rows than its metadata says, and succeeds with the dump as it was.
func (r *rehearsal) rehearsalFindsAChangedDump() {
	r.Helper()
	object, err := r.s3.GetObject(r.Context(), &s3.GetObjectInput{Bucket: &r.bucket, Key: aws.String(dumpKey)})
	r.must(err)
	content, err := io.ReadAll(object.Body)
	r.must(err)
	put := func(content []byte, metadata map[string]string) {
		_, err := r.s3.PutObject(r.Context(), &s3.PutObjectInput{
			Bucket: &r.bucket, Key: aws.String(dumpKey), Body: bytes.NewReader(content), Metadata: metadata,
		})
		r.must(err)
	}
	put(content[:len(content)/2], object.Metadata)
	r.fails("a changed dump", "database_drill", "is not what was uploaded", atThree)
	other := maps.Clone(object.Metadata)
	other["rows"] = "1"
	put(content, other)
	r.fails("a dump with other rows", "database_drill", "restored other rows than were dumped", atThree)
	put(content, object.Metadata)
	r.must(r.run("database_drill", atThree))
	if !slices.Contains(r.objects(), "drills/2026/11/23/030000.json") {
		r.Errorf("no record: %v", r.objects())
	}
}

func TestLargeDatabaseIsDumpedWithoutARestore(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(1000)
	r.must(r.run("database_dump", map[string]string{"LIMIT_GIB": "0", "SCHEDULED_TIME": atThree["SCHEDULED_TIME"]}))
	about := r.metadata()
	if about["verified"] != "read" || about["rows"] != "" {
		t.Errorf("metadata: %v", about)
	}
	r.must(r.run("database_drill", atThree)) // nothing to compare with, but it can be restored

	// A rehearsal restores any dump for which there is room, whatever verify_limit is.
	object, err := r.s3.GetObject(r.Context(), &s3.GetObjectInput{Bucket: &r.bucket, Key: aws.String(dumpKey)})
	r.must(err)
	content, err := io.ReadAll(object.Body)
	r.must(err)
	about["size"] = "4000000000000000"
	_, err = r.s3.PutObject(r.Context(), &s3.PutObjectInput{
		Bucket: &r.bucket, Key: aws.String(dumpKey), Body: bytes.NewReader(content), Metadata: about,
	})
	r.must(err)
	r.fails("a database that does not fit", "database_drill", "raise backup.dump.disk", atThree)
}

// asMaster executes statements as the superuser of the server, in the services' database.
func (r *rehearsal) asMaster(statements ...string) {
	r.Helper()
	r.must(r.adminSession(func(conn *pgx.Conn) error {
		return conn.PgConn().Exec(r.Context(), strings.Join(statements, ";")).Close()
	}))
}

const failedKey = "dumps/2026/11/23/030000.failed.dump"

func TestDumpThatCannotBeRestoredIsKept(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(1000)
	if err := r.run("database_drill", atThree); err == nil || !strings.Contains(err.Error(), "no dump in s3://") {
		t.Errorf("a rehearsal without a dump: %v", err)
	}
	r.must(r.run("database_dump", map[string]string{"SCHEDULED_TIME": "2026-11-22T03:00:00Z"}))

	// A function of a constraint that does not name the schema of what it uses.
	web := r.service("web")
	r.do(web, `CREATE FUNCTION known(text) RETURNS bool LANGUAGE plpgsql AS $$
		BEGIN PERFORM FROM customers; RETURN true; END $$`)
	r.do(web, `ALTER TABLE addresses ADD CHECK (known(zip))`)
	err := r.run("database_dump", atThree)
	if err == nil || !strings.Contains(err.Error(), "upload: exit status 1") ||
		!strings.Contains(err.Error(), `relation "customers" does not exist`) {
		t.Errorf("a dump that cannot be restored: %v", err)
	}
	if keys := r.dumps(); !slices.Contains(keys, failedKey) || slices.Contains(keys, dumpKey) {
		t.Errorf("uploaded %v", keys)
	}
	found, err := r.s3.HeadObject(r.Context(), &s3.HeadObjectInput{Bucket: &r.bucket, Key: aws.String(failedKey)})
	r.must(err)
	if found.Metadata["verified"] != "failed" || len(found.Metadata["sha256"]) != 64 {
		t.Errorf("metadata: %v", found.Metadata)
	}

	// Rehearsals and restores take the newest good one, unless this one is named.
	r.must(r.run("database_drill", atThree))
	if out := r.output.String(); !strings.Contains(out, "dumps/2026/11/22/030000.dump") {
		t.Errorf("rehearses %s", out)
	}
	r.prepare("partly")
	err = r.run("database_restore", map[string]string{"DATABASE": "partly", "KEY": failedKey})
	if err == nil || !strings.Contains(err.Error(), "not all of the dump could be restored") {
		t.Errorf("a restore of a part: %v", err)
	}
	before, after := r.contents(r.postgres.Database), r.contents("partly")
	before["public.addresses"] = "0 <nil>" // its rows are refused
	r.sameContents(before, after)
	r.prepare("one")
	r.must(r.run("database_restore", map[string]string{"DATABASE": "one", "TABLE": "orders", "KEY": failedKey}))
}

func TestRestoreWithoutWhatNoLongerExists(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(1000)
	// An extension that the image does not have, and that exists once on a server: pg_cron.
	r.asMaster("CREATE EXTENSION citext", "CREATE SCHEMA cron", "CREATE TABLE cron.job (jobid int, username text)",
		"INSERT INTO cron.job VALUES (1, 'postgres')", "ALTER TABLE cron.job ENABLE ROW LEVEL SECURITY",
		"CREATE POLICY cron_job_policy ON cron.job USING (username = current_user)",
		"GRANT SELECT ON cron.job TO PUBLIC",
		"ALTER EXTENSION citext ADD TABLE cron.job", "ALTER EXTENSION citext ADD SCHEMA cron",
		"GRANT USAGE ON SCHEMA cron TO PUBLIC",
		`UPDATE pg_extension SET extname = 'pg_cron', extconfig = ARRAY['cron.job'::regclass], extcondition = ARRAY['']
			WHERE extname = 'citext'`)
	r.asMaster("CREATE ROLE person", "CREATE ROLE auditor", "GRANT platform_read TO auditor")
	web := r.service("web")
	r.do(web, "GRANT SELECT ON orders TO person")
	r.do(web, "GRANT SELECT ON orders TO auditor")
	r.do(web, "CREATE POLICY persons ON customers TO person USING (true)")
	r.must(r.run("database_dump", atThree))
	if about := r.metadata(); about["verified"] != "restored" {
		t.Errorf("metadata: %v: %s", about, r.output.String())
	}
	r.must(r.run("database_drill", atThree))

	r.asMaster("DROP OWNED BY person", "DROP ROLE person")
	out, err := r.function.handle(r.Context(), []byte(`{"action":"database","database":"restored"}`))
	r.must(err)
	if problems := strings.Join(out.Problems, " "); !strings.Contains(problems, "extension pg_cron was not created: ") {
		t.Errorf("problems: %v", out.Problems)
	}
	before := r.contents(r.postgres.Database)
	r.must(r.run("database_restore", map[string]string{"DATABASE": "restored"}))
	for _, want := range []string{
		"without the extensions pg_cron", `left out, without the role: role "person" does not exist`,
	} {
		if !strings.Contains(r.output.String(), want) {
			t.Errorf("the log has no %q: %s", want, r.output.String())
		}
	}
	after := r.contents("restored")
	delete(before, "cron.job")
	before["schema"] = after["schema"] // without the extension's table, and the rights of a person
	r.sameContents(before, after)
	if !strings.Contains(after["schema"], "auditor=r/platform_owner") || strings.Contains(after["schema"], "persons") {
		t.Errorf("rights and policies: %s", after["schema"])
	}
	r.rolesWorkIn("restored")
}

func TestEmptyDatabaseIsRestored(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.set("web", "owner")
	r.setPlatform()
	delete(r.services, "platform_monitor")
	r.fixture.run()
	r.must(r.run("database_dump", atThree))
	r.must(r.run("database_drill", atThree))
	r.prepare("restored")
	r.must(r.run("database_restore", map[string]string{"DATABASE": "restored"}))
	if out := r.output.String(); !strings.Contains(out, "the dump has no objects") ||
		!strings.Contains(out, "restored restored: tables=0,rows=0,") {
		t.Errorf("the log: %s", out)
	}
}

// cut returns variables for a connection to the server that ends after it has carried so many bytes, in
// both directions and over all sessions of a task.
func (r *rehearsal) cut(after int64) map[string]string {
	r.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.Cleanup(func() { listener.Close() })
	var carried atomic.Int64
	carry := func(to, from net.Conn) {
		defer to.Close()
		defer from.Close()
		block := make([]byte, 1024)
		for carried.Load() < after {
			n, err := from.Read(block)
			carried.Add(int64(n))
			if _, failed := to.Write(block[:n]); err != nil || failed != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.postgres.Port))
			if err != nil {
				client.Close()
				return
			}
			go carry(server, client)
			go carry(client, server)
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return map[string]string{"PGPORT": port}
}

// A dump of 20,000 rows takes about a megabyte, and its queries some hundred kilobytes.
func TestConnectionIsCut(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(20_000)
	for _, bytes := range []int64{1, 60_000, 500_000} {
		r.fails(fmt.Sprintf("a dump that is cut after %d bytes", bytes), "database_dump", "dump: exit status",
			r.cut(bytes))
	}
	r.must(r.run("database_dump", atThree))      // heals
	r.must(r.run("database_dump", r.cut(1<<40))) // the detour itself is no fault
	before := r.contents(r.postgres.Database)
	for _, bytes := range []int64{1, 60_000, 500_000} {
		r.prepare("restored")
		variables := r.cut(bytes)
		variables["DATABASE"] = "restored"
		r.fails(fmt.Sprintf("a restore that is cut after %d bytes", bytes), "database_restore", "restore: exit status",
			variables)
		r.as(r.postgres.Admin, "DROP DATABASE restored WITH (FORCE)")
	}
	r.prepare("restored")
	r.must(r.run("database_restore", map[string]string{"DATABASE": "restored"}))
	r.sameContents(before, r.contents("restored"))
}
