//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"platform/internal/awscli"
	"platform/internal/emulator"
	"platform/internal/postgres"
)

// The tests of this file run the commands of the containers that the program declares for dumps,
// rehearsals and restores: with PostgreSQL's programs of version 17, the AWS CLI, and the emulator's
// S3. Each container is a process.

// containerDefinition is what a test needs to know of a container.
type containerDefinition struct {
	Name        string
	EntryPoint  []string
	Command     []string
	User        string
	Environment []struct{ Name, Value string }
	DependsOn   []struct{ ContainerName, Condition string }
}

// synthesisedText returns the stack of config/prod.yaml, with a service that uses the database metabase.
var synthesisedText = sync.OnceValues(func() ([]byte, error) {
	folder, err := os.MkdirTemp("", "platform-synth-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	run := exec.Command("go", "run", ".")
	run.Dir = "../.."
	run.Env = append(os.Environ(), "ENVIRONMENT=prod", "CDKTF_OUTDIR="+filepath.Join(folder, "out"),
		"INFRA_SERVICES_WEB_DATABASE_NAME=metabase")
	if out, err := run.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return os.ReadFile(filepath.Join(folder, "out", "stacks", "platform-prod", "cdk.tf.json"))
})

// synthesised returns the containers of the tasks, by task.
var synthesised = sync.OnceValues(func() (map[string][]containerDefinition, error) {
	text, err := synthesisedText()
	if err != nil {
		return nil, err
	}
	var stack struct {
		Resource struct {
			Tasks map[string]struct {
				Containers string `json:"container_definitions"`
			} `json:"aws_ecs_task_definition"`
		}
	}
	if err := json.Unmarshal(text, &stack); err != nil {
		return nil, err
	}
	tasks := map[string][]containerDefinition{}
	for name, task := range stack.Resource.Tasks {
		var containers []containerDefinition
		if err := json.Unmarshal([]byte(strings.ReplaceAll(task.Containers, "$${", "")), &containers); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range containers {
			if text := strings.Join(c.Command, " "); strings.Contains(text, "${") || strings.Contains(text, "%{") {
				return nil, fmt.Errorf("%s: Terraform would evaluate the command of %s", name, c.Name)
			}
		}
		// What Terraform makes of its escapes.
		evaluated := strings.NewReplacer("$${", "${", "%%{", "%{").Replace(task.Containers)
		if err := json.Unmarshal([]byte(evaluated), &containers); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		tasks[strings.TrimSuffix(name, "_task_definition")] = containers
	}
	return tasks, nil
})

// overrides are the variables that a schedule, or RunTask, gives to the containers of a task, by container
// and name. The name "" is that of all containers.
type overrides map[string]map[string]string

// schedule returns the task that a schedule of the stack starts, and what it gives to the containers at a
// time.
func (r *rehearsal) schedule(name, at string) (task string, given overrides) {
	r.Helper()
	text, err := synthesisedText()
	r.must(err)
	var stack struct {
		Resource struct {
			Schedules map[string]struct {
				Target struct {
					Input string
					Task  struct {
						Definition string `json:"task_definition_arn"`
					} `json:"ecs_parameters"`
				}
			} `json:"aws_scheduler_schedule"`
		}
	}
	r.must(json.Unmarshal(text, &stack))
	target := stack.Resource.Schedules[name+"_schedule"].Target
	var input struct {
		ContainerOverrides []struct {
			Name        string
			Environment []struct{ Name, Value string }
		}
	}
	r.must(json.Unmarshal([]byte(strings.ReplaceAll(target.Input, "<aws.scheduler.scheduled-time>", at)), &input))
	given = overrides{}
	for _, container := range input.ContainerOverrides {
		given[container.Name] = map[string]string{}
		for _, v := range container.Environment {
			given[container.Name][v.Name] = v.Value
		}
	}
	_, task, _ = strings.Cut(target.Task.Definition, "${aws_ecs_task_definition.")
	return strings.TrimSuffix(task, "_task_definition.arn}"), given
}

// scheduled runs a task as a schedule of the stack starts it at a time.
func (r *rehearsal) scheduled(name, at string) error {
	r.Helper()
	task, given := r.schedule(name, at)
	return r.runWith(task, given)
}

// rehearsal is where containers run.
type rehearsal struct {
	*fixture
	folder string              // that every user can reach
	tools  string              // PATH
	user   *syscall.Credential // of PostgreSQL's programs
	s3     *s3.Client
	bucket string
	output bytes.Buffer // of the last task

	before map[string]func() // what happens before a container starts
	limit  string            // of ulimit -f, in blocks of 512 bytes, or ""
	ctx    context.Context   // that ends the containers, or nil
}

func newRehearsal(h *fixture) *rehearsal {
	h.Helper()
	upgrade, err := postgres.PrepareUpgrade(h.Context(), os.Stdout)
	if errors.Is(err, postgres.ErrPlatform) {
		h.Skip(err)
	}
	if err != nil {
		h.Fatal(err)
	}
	// Not t.TempDir, which other users cannot reach. Its name is short, because it is part of a
	// socket's, which has at most 107 bytes.
	folder, err := os.MkdirTemp("", "dump-*")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(folder) })
	r := &rehearsal{fixture: h, folder: folder, bucket: "platform-" + strings.ToLower(filepath.Base(folder))}
	bin, user, err := upgrade.Programs(h.Context(), folder)
	if err != nil {
		h.Fatal(err)
	}
	r.user, r.tools = user, filepath.Join(folder, "tools")
	r.must(os.Chmod(folder, 0o755))
	r.must(os.Mkdir(r.tools, 0o755))
	r.must(awscli.Prepare(h.Context(), os.Stdout, r.tools))
	r.tools += ":" + bin + ":" + os.Getenv("PATH")
	server, err := shared.start()
	r.must(err)
	r.s3 = s3.NewFromConfig(emulator.Config(server.URL, "eu-central-1"), func(o *s3.Options) { o.UsePathStyle = true })
	_, err = r.s3.CreateBucket(h.Context(), &s3.CreateBucketInput{
		Bucket:                    &r.bucket,
		CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: "eu-central-1"},
	})
	r.must(err)
	return r
}

func (r *rehearsal) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// run is runWith, with the same variables for all containers.
func (r *rehearsal) run(task string, variables map[string]string) error {
	r.Helper()
	return r.runWith(task, overrides{"": variables})
}

// runWith runs the containers of a task in their order, each when those that it waits for have ended
// without an error, and returns the first error. The overrides are those of RunTask; they can also
// replace what the test sets.
func (r *rehearsal) runWith(task string, given overrides) error {
	r.Helper()
	tasks, err := synthesised()
	r.must(err)
	containers := slices.DeleteFunc(slices.Clone(tasks[task]), func(c containerDefinition) bool {
		return c.Name == "rds_certificates" // the test's server has a CA of its own
	})
	if len(containers) == 0 {
		r.Fatalf("no task %s", task)
	}
	r.output.Reset()
	volumes := map[string]string{}
	for _, name := range []string{"WORK", "FILES"} {
		volumes[name] = filepath.Join(r.folder, strings.ToLower(name))
		r.must(os.RemoveAll(volumes[name]))
		r.must(os.Mkdir(volumes[name], 0o755))
		r.must(os.Chmod(volumes[name], 0o777))
	}
	done := map[string]bool{"rds_certificates": true}
	for len(containers) > 0 {
		i := slices.IndexFunc(containers, func(c containerDefinition) bool {
			return !slices.ContainsFunc(c.DependsOn, func(d struct{ ContainerName, Condition string }) bool {
				return !done[d.ContainerName] || d.Condition != "SUCCESS"
			})
		})
		if i < 0 {
			r.Fatalf("%s: containers wait for each other: %v", task, containers)
		}
		if before := r.before[containers[i].Name]; before != nil {
			before()
		}
		if err := r.container(containers[i], volumes, given); err != nil {
			return fmt.Errorf("%s: %w: %s", containers[i].Name, err, r.output.String())
		}
		done[containers[i].Name] = true
		containers = slices.Delete(containers, i, i+1)
	}
	return nil
}

// container runs one container.
func (r *rehearsal) container(c containerDefinition, volumes map[string]string, given overrides) error {
	r.Helper()
	environment := map[string]string{}
	for _, v := range c.Environment {
		environment[v.Name] = v.Value
	}
	work := environment["WORK"]
	for _, name := range []string{"WORK", "FILES", "DUMP"} { // two names can be of one volume
		path := environment[name]
		switch path {
		case "":
		case work:
			environment[name] = volumes["WORK"]
		default:
			environment[name] = volumes["FILES"]
		}
	}
	if environment["PGHOST"] != "" {
		user := r.credentials("platform_dump")
		maps.Copy(environment, map[string]string{
			"PGHOST": "db.emulator.rds.amazonaws.com", "PGHOSTADDR": "127.0.0.1",
			"PGPORT": fmt.Sprint(r.postgres.Port), "PGDATABASE": r.postgres.Database,
			"PGSSLROOTCERT": r.postgres.CA, "PGUSER": user.Name, "PGPASSWORD": user.Password,
		})
	}
	server, err := shared.start()
	r.must(err)
	home := filepath.Join(r.folder, "home")
	r.must(os.MkdirAll(home, 0o755))
	r.must(os.Chmod(home, 0o777))
	cli := environment["BUCKET"] != ""
	if cli {
		maps.Copy(environment, map[string]string{
			"BUCKET": r.bucket, "AWS_ENDPOINT_URL": server.URL,
			"AWS_ACCESS_KEY_ID": "emulator", "AWS_SECRET_ACCESS_KEY": "emulator",
		})
	}
	maps.Copy(environment, map[string]string{"HOME": home, "PATH": r.tools, "LANG": "C.UTF-8"})
	maps.Copy(environment, given[""])
	maps.Copy(environment, given[c.Name])
	command := slices.Concat(c.EntryPoint, c.Command)
	if r.limit != "" {
		command = slices.Concat([]string{"/bin/sh", "-c", "ulimit -f " + r.limit + `; exec "$@"`, "sh"}, command)
	}
	ctx := r.ctx
	if ctx == nil {
		ctx = r.Context()
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	process.Dir = "/"
	for name, value := range environment {
		process.Env = append(process.Env, name+"="+value)
	}
	process.Stdout, process.Stderr = &r.output, &r.output
	if !cli { // nobody else than root can run the CLI of root's cache
		process.SysProcAttr = &syscall.SysProcAttr{Credential: r.user}
	}
	err = process.Run()
	if usage, ok := process.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.Logf("%s: at most %d MiB of memory in one process", c.Name, usage.Maxrss/1024)
	}
	return err
}

// objects returns the keys in the bucket.
func (r *rehearsal) objects() []string {
	r.Helper()
	found, err := r.s3.ListObjectsV2(r.Context(), &s3.ListObjectsV2Input{Bucket: &r.bucket})
	r.must(err)
	var keys []string
	for _, o := range found.Contents {
		keys = append(keys, *o.Key)
	}
	return keys
}

// metadata returns the metadata of the dump.
func (r *rehearsal) metadata() map[string]string {
	r.Helper()
	found, err := r.s3.HeadObject(r.Context(), &s3.HeadObjectInput{Bucket: &r.bucket, Key: aws.String(dumpKey)})
	r.must(err)
	return found.Metadata
}

const dumpKey = "dumps/2026/11/23/030000.dump"

var atThree = map[string]string{"SCHEDULED_TIME": "2026-11-23T03:00:00Z"}

// hard has statements of a service that make a database hard to dump or to restore.
var hard = []string{
	`CREATE EXTENSION pgcrypto`,
	`CREATE SCHEMA "Ünicode"`,
	`CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')`,
	`CREATE TABLE "Ünicode"."Größe" ("ß" text PRIMARY KEY, "Ä b" mood)`,
	`INSERT INTO "Ünicode"."Größe" VALUES ('straße', 'happy'), (E'a\tb\nc\\d', NULL), ('日本語 🐘', 'sad')`,
	`CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz, tags text[], body jsonb,
		length int GENERATED ALWAYS AS (length(body::text)) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`,
	`CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01 00:00+01') TO ('2026-01-01 00:00+01')`,
	`CREATE TABLE events_rest PARTITION OF events DEFAULT PARTITION BY LIST (id)`,
	`CREATE TABLE events_rest_all PARTITION OF events_rest DEFAULT`,
	`INSERT INTO events (at, tags, body) SELECT 
		'2025-12-31 12:00 America/New_York'::timestamptz + n * interval '1 hour',
		ARRAY['a', NULL, '{"'], jsonb_build_object('n', n, 'x', ARRAY[1.5, 'NaN'::float])
		FROM generate_series(1, 100) n`,
	`CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, who text,
		born date CHECK (born > '1900-01-01'))`,
	`INSERT INTO customers (name, who, born) SELECT 'c' || n, CASE n % 2 WHEN 0 THEN 'nobody' END, '2000-01-01'
		FROM generate_series(1, 500) n`,
	`ALTER TABLE customers ENABLE ROW LEVEL SECURITY`,
	`CREATE POLICY own ON customers TO service_job USING (who = current_user)`,
	`GRANT SELECT ON customers TO service_job`,
	`CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, parent int REFERENCES orders,
		open bool, amount numeric(12, 2))`,
	`INSERT INTO orders SELECT n, n % 500 + 1, nullif(n / 2, 0), n % 3 = 0, n * 1.01 FROM generate_series(1, 1000) n`,
	`CREATE UNIQUE INDEX open_orders ON orders (customer, id) WHERE open`,
	`CREATE INDEX lower_name ON customers (lower(name))`,
	`CREATE VIEW open AS SELECT * FROM orders WHERE open`,
	`CREATE VIEW larger AS SELECT o.*, c.name FROM open o JOIN customers c ON c.id = o.customer WHERE amount > 100`,
	`CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(amount) AS total FROM larger GROUP BY customer`,
	`CREATE UNIQUE INDEX totals_customer ON totals (customer)`,
	`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN NEW.amount = round(NEW.amount, 2); RETURN NEW; END $$`,
	`CREATE TRIGGER touch BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch()`,
	`CREATE SEQUENCE numbers START 7`, `SELECT nextval('numbers')`,
	`CREATE DOMAIN plz AS text CHECK (VALUE ~ '^[0-9]{5}$')`,
	`CREATE TABLE addresses (zip plz, hash bytea DEFAULT digest('x', 'sha256'), at timestamptz DEFAULT now())`,
	`INSERT INTO addresses (zip) VALUES ('01067')`,
	`SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'))`,
	`COMMENT ON TABLE orders IS 'what''s "ordered"'`,
	`CREATE AGGREGATE largest (int) (sfunc = int4larger, stype = int)`,
	`GRANT EXECUTE ON FUNCTION touch(), largest(int) TO service_job`,
	`GRANT UPDATE (amount), SELECT (open) ON orders TO service_job`,
	`GRANT REFERENCES ("Ä b") ON "Ünicode"."Größe" TO service_job`,
	`GRANT USAGE ON TYPE mood, plz TO service_job`,
	`GRANT USAGE ON SEQUENCE numbers TO service_job`,
	`GRANT SELECT ON larger, totals, events, "Ünicode"."Größe" TO service_job`,
	`GRANT USAGE ON SCHEMA "Ünicode" TO service_job`,
	`CREATE TABLE many (id int PRIMARY KEY, text text)`,
}

// fill makes the database hard, with so many rows of one table.
func (r *rehearsal) fill(rows int) {
	r.Helper()
	r.set("web", "owner")
	r.set("job", "write")
	r.setPlatform()
	delete(r.services, "platform_monitor")
	r.fixture.run()
	r.fillAs("web", "job", rows)
}

// fillAs makes the database hard of a service with the level owner, and of one with the level write.
func (r *rehearsal) fillAs(owner, writer string, rows int) {
	r.Helper()
	conn := r.service(owner)
	for _, statement := range hard {
		r.do(conn, strings.ReplaceAll(statement, "service_job", "service_"+writer))
	}
	r.do(conn, "SET statement_timeout = 0")
	r.do(conn, fmt.Sprintf("INSERT INTO many SELECT n, md5(n::text) FROM generate_series(1, %d) n", rows))
	// Of the role of another service, as Hibernate's @Lob creates them.
	r.do(r.service(writer), "SELECT lo_from_bytea(0, 'of another owner')")
}

// contents returns all of a database that a restore must bring back: the rows of each table and the
// schema.
func (r *rehearsal) contents(database string) map[string]string {
	r.Helper()
	conn, err := r.postgres.Connect(r.Context(), r.postgres.Admin, database)
	r.must(err)
	defer conn.Close(r.Context())
	all := map[string]string{}
	for _, table := range r.query(conn, `SELECT quote_ident(nspname) || '.' || quote_ident(relname) FROM pg_class
		JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'v') AND nspname !~ '^pg_'
		AND nspname <> 'information_schema' ORDER BY 1`) {
		all[table] = strings.Join(r.query(conn,
			"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM "+table+" t"), "")
	}
	all["sequences"] = fmt.Sprint(r.query(conn, "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"))
	all["large objects"] = fmt.Sprint(
		r.query(conn, "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY 1"))
	all["schema"] = strings.Join(r.query(conn, `SELECT pg_get_indexdef(indexrelid) FROM pg_index
			WHERE indrelid >= 16384 AND indrelid::regclass::text !~ '^pg_toast' 
			UNION ALL SELECT concat(pg_get_constraintdef(oid), conname) FROM pg_constraint WHERE oid >= 16384
			UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384
			UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
			UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
				attidentity, attgenerated) FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped
				AND attrelid::regclass::text !~ '^pg_toast'
			UNION ALL SELECT concat(polname, polroles::regrole[], pg_get_expr(polqual, polrelid)) FROM pg_policy
			UNION ALL SELECT obj_description(oid, 'pg_class') FROM pg_class WHERE oid >= 16384
			UNION ALL SELECT concat_ws(' ', relname, relrowsecurity, relacl, relowner::regrole) FROM pg_class
				WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'S')
			UNION ALL SELECT concat_ws(' ', proname, proacl, proowner::regrole) FROM pg_proc
				WHERE oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
			UNION ALL SELECT concat_ws(' ', typname, typacl) FROM pg_type WHERE oid >= 16384 AND typacl IS NOT NULL
			UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, attacl) FROM pg_attribute
				WHERE attrelid >= 16384 AND attacl IS NOT NULL
			UNION ALL SELECT concat_ws(' ', nspname, nspacl, nspowner::regrole) FROM pg_namespace WHERE oid >= 16384
			ORDER BY 1`), "\n")
	return all
}

// sameContents compares two results of contents, line by line.
func (r *rehearsal) sameContents(want, have map[string]string) {
	r.Helper()
	if a, b := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(have)); !slices.Equal(a, b) {
		r.Errorf("want %v, have %v", a, b)
	}
	without := func(some, others string) string {
		lines := strings.Split(others, "\n")
		return strings.Join(slices.DeleteFunc(strings.Split(some, "\n"), func(line string) bool {
			return slices.Contains(lines, line)
		}), "\n")
	}
	for what := range want {
		if want[what] != have[what] {
			r.Errorf("%s: want\n%s\nhave\n%s", what, without(want[what], have[what]), without(have[what], want[what]))
		}
	}
}

func TestDumpIsRestoredRowForRow(t *testing.T) { onEachMajor(t, dumpIsRestoredRowForRow) }

// PostgreSQL's programs are of version 17, the only one of which a package has them with TLS. They dump
// servers of this version or an earlier one, and restore to servers of this version or a later one.
func dumpIsRestoredRowForRow(t *testing.T, major int) {
	h := newFixture(t, min(major, postgres.DefaultMajor))
	r := newRehearsal(h)
	rows := 20_000
	if major == postgres.DefaultMajor {
		rows = 1_000_000
	}
	r.fill(rows)
	begun := time.Now()
	r.must(r.run("database_dump", atThree))
	t.Logf("dump of %d rows in %v: %v", rows, time.Since(begun).Round(time.Millisecond), r.metadata())
	if keys := r.objects(); !slices.Equal(keys, []string{dumpKey, "dumps/2026/11/23/030000.roles.sql"}) {
		t.Errorf("uploaded %v", keys)
	}
	about := r.metadata()
	if about["verified"] != "restored" || about["server"] != fmt.Sprint(h.admin("SHOW server_version_num")[0]) ||
		len(about["sha256"]) != 64 || len(about["counts"]) != 64 {
		t.Errorf("metadata: %v", about)
	}

	r.must(r.run("database_drill", atThree))
	if keys := r.objects(); !slices.Contains(keys, "drills/2026/11/23/030000.json") {
		t.Errorf("no record of the rehearsal: %v", keys)
	}

	before := r.contents(r.postgres.Database)
	if major != postgres.DefaultMajor {
		r.moveTo(max(major, postgres.DefaultMajor))
		delete(before, "schema") // versions print it differently
	}
	r.prepare("restored")
	r.must(r.run("database_restore", map[string]string{"DATABASE": "restored"}))
	after := r.contents("restored")
	if major != postgres.DefaultMajor {
		delete(after, "schema")
	}
	r.sameContents(before, after)
	r.rolesWorkIn("restored")
	r.nothingToDo()

	// A database with tables is refused, and so is that of the services.
	for name, want := range map[string]string{"restored": "is not empty", "app": "is the database of the services"} {
		if err := r.run("database_restore", map[string]string{"DATABASE": name}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("a restore into %s: want %q, have %v", name, want, err)
		}
	}
	if major == postgres.DefaultMajor {
		r.oneTableIsRestored()
	}
}

// moveTo continues on another server with the same services.
func (r *rehearsal) moveTo(major int) {
	r.Helper()
	r.fixture = newFixture(r.T, major)
	r.set("web", "owner")
	r.set("job", "write")
	r.setPlatform()
	delete(r.services, "platform_monitor")
	r.fixture.run()
}

// prepare calls the function as make restore does.
func (r *rehearsal) prepare(database string) {
	r.Helper()
	_, err := r.function.handle(r.Context(), json.RawMessage(`{"action":"database","database":"`+database+`"}`))
	r.must(err)
}

// rolesWorkIn checks that the services can work with a restored database as with their own.
func (r *rehearsal) rolesWorkIn(database string) {
	r.Helper()
	r.rolesOfWorkIn(database, "web", "job")
}

// rolesOfWorkIn is rolesWorkIn for a service with the level owner, and for one with the level write.
func (r *rehearsal) rolesOfWorkIn(database, owner, writer string) {
	r.Helper()
	connect := func(service string) func(string) string {
		conn, err := r.postgres.Connect(r.Context(), r.credentials(service), database)
		r.must(err)
		r.Cleanup(func() { conn.Close(context.Background()) })
		return func(statement string) string { return r.try(conn, statement) }
	}
	web, job := connect(owner), connect(writer)
	for statement, do := range map[string]func(string) string{
		"ALTER TABLE orders ADD COLUMN more int":                    web,
		"INSERT INTO customers (name) VALUES ('new')":               job,
		"INSERT INTO events (at, body) VALUES ('2026-06-01', '{}')": job,
		"SELECT * FROM larger":                                      job,
		"REFRESH MATERIALIZED VIEW totals":                          web,
		"SELECT nextval('numbers')":                                 job,
		"SELECT lo_get(oid) FROM pg_largeobject_metadata":           web,
	} {
		if state := do(statement); state != "" && !strings.Contains(statement, "customers") {
			r.Errorf("%s in %s: %s", statement, database, state)
		}
	}
	if state := job("DROP TABLE many"); state != "42501" {
		r.Errorf("a writer drops a table: %q", state)
	}
	if _, err := r.postgres.Connect(r.Context(), postgres.User{Name: "nobody", Password: "x"}, database); err == nil {
		r.Error("anybody connects")
	}
}

// oneTableIsRestored checks a restore of one table's rows, the others staying empty.
func (r *rehearsal) oneTableIsRestored() {
	r.Helper()
	for table, sql := range map[string]string{
		`orders`: "orders", `Ünicode.Größe`: `"Ünicode"."Größe"`, `public.events`: "events_rest_all",
	} {
		r.prepare("one")
		r.must(r.run("database_restore", map[string]string{"DATABASE": "one", "TABLE": table}))
		conn, err := r.postgres.Connect(r.Context(), r.postgres.Admin, "one")
		r.must(err)
		if rows := r.query(conn, "SELECT count(*) > 0 FROM "+sql); rows[0] != "true" {
			r.Errorf("%s has no rows", table)
		}
		if rows := r.query(conn, "SELECT count(*) FROM customers"); rows[0] != "0" {
			r.Errorf("customers has %v rows", rows)
		}
		conn.Close(r.Context())
		r.as(r.postgres.Admin, "DROP DATABASE one")
	}
	r.prepare("one")
	err := r.run("database_restore", map[string]string{"DATABASE": "one", "TABLE": "nothing"})
	if err == nil || !strings.Contains(err.Error(), "the dump has no table public.nothing") {
		r.Errorf("a table that does not exist: %v", err)
	}
}
