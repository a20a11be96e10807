//go:build e2e

package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
}
