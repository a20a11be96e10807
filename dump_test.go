package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/stacktest"
)

const (
	dumpDefinition    = "aws_ecs_task_definition.database_dump_task_definition"
	drillDefinition   = "aws_ecs_task_definition.database_drill_task_definition"
	restoreDefinition = "aws_ecs_task_definition.database_restore_task_definition"
	dumpSchedule      = "aws_scheduler_schedule.database_dump_schedule"
	drillSchedule     = "aws_scheduler_schedule.database_drill_schedule"
	dumpFailedRule    = "aws_cloudwatch_event_rule.dump_failed_rule"
	dumpPolicy        = "aws_iam_role_policy.database_dump_task_role_policy"
	startPolicy       = "aws_iam_role_policy.database_dump_schedule_role_policy"

	metabaseDump  = "aws_scheduler_schedule.database_dump_metabase_schedule"
	metabaseDrill = "aws_scheduler_schedule.database_drill_metabase_schedule"

	dumpContainer   = "container_definitions[name=dump]"
	checkContainer  = "container_definitions[name=check]"
	uploadContainer = "container_definitions[name=upload]"
)

// standaloneTasks are the tasks that run to their end: those that schedules start, and that of a
// restore, which is in an output.
func standaloneTasks(s stacktest.Stack) []serviceTask {
	var all []serviceTask
	for _, definition := range s.Resources("aws_ecs_task_definition") {
		if len(stacktest.Referring(s.Resources("aws_ecs_service"), "task_definition", definition.Address)) > 0 {
			continue
		}
		group := "aws_security_group." + strings.TrimSuffix(definition.ID(), "_task_definition") + "_security_group"
		for _, schedule := range schedulesOf(s, definition) {
			group = schedule.Reference("target.ecs_parameters.network_configuration.security_groups")
		}
		all = append(all, serviceTask{definition: definition, group: group})
	}
	return all
}

// schedulesOf returns the schedules that start a task definition.
func schedulesOf(s stacktest.Stack, definition stacktest.Resource) []stacktest.Resource {
	return stacktest.Referring(
		s.Resources("aws_scheduler_schedule"), "target.ecs_parameters.task_definition_arn", definition.Address)
}

// allTasks are those of services and those that run to their end.
func allTasks(s stacktest.Stack) []serviceTask {
	return slices.Concat(serviceTasks(s), standaloneTasks(s))
}

// dumpTaskCalls returns what the containers of a standalone task call, from the scripts in dump.
func dumpTaskCalls(t serviceTask) (calls []string) {
	for _, c := range t.containers() {
		if t.service.Exists() {
			return nil
		}
		text := strings.Join(c.Strings("command"), "")
		if strings.Contains(text, "list-objects-v2") {
			calls = append(calls, "s3:ListBucket", "s3:GetObject", "kms:Decrypt")
		}
		if strings.Contains(text, `"s3://$BUCKET/$key`) && !strings.Contains(text, "list-objects-v2") {
			calls = append(calls, "s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt")
		}
	}
	return calls
}

var dumpPromises = []stacktest.Promise{{
	Name:  "a dump is uploaded only after it was read and restored, and each step waits for the one before",
	Check: dumpsAreCheckedBeforeUpload,
	BrokenBy: []stacktest.Break{{
		Name:  "the upload does not wait for the check",
		Stack: "prod",
		By:    stacktest.Remove(dumpDefinition, uploadContainer+".dependsOn"),
		Found: dumpDefinition,
	}, {
		Name:  "the upload waits only until the check has started",
		Stack: "prod",
		By:    stacktest.Set(dumpDefinition, uploadContainer+".dependsOn[containerName=check].condition", "START"),
		Found: dumpDefinition,
	}, {
		Name:  "the task ends when the database is dumped",
		Stack: "dev",
		By:    stacktest.Set(dumpDefinition, dumpContainer+".essential", true),
		Found: dumpDefinition,
	}, {
		Name:  "the dump is read with row-level security, which leaves out rows",
		Stack: "dev",
		By: stacktest.Replace(dumpDefinition, dumpContainer+".command", "pg_dump --format",
			"pg_dump --enable-row-security --format"),
		Found: dumpDefinition,
	}, {
		Name:  "PostgreSQL runs as root, which it refuses",
		Stack: "dev",
		By:    stacktest.Set(dumpDefinition, checkContainer+".user", "0"),
		Found: dumpDefinition,
	}, {
		Name:  "the volume is not where the image declares one, so that it is root's",
		Stack: "prod",
		By:    stacktest.Set(drillDefinition, checkContainer+".mountPoints[sourceVolume=work].containerPath", "/work"),
		Found: drillDefinition,
	}, {
		Name:  "the database has a later version than pg_dump",
		Stack: "prod",
		By:    stacktest.Set(mainDatabaseAddress, "engine_version", "18"),
		Found: dumpDefinition,
	}},
}, {
	Name:  "schedules start dumps on capacity that AWS does not stop, with the scheduled time",
	Check: dumpsAreStarted,
	BrokenBy: []stacktest.Break{{
		Name:  "the placeholder of the scheduled time is escaped, as JSON encoders do",
		Stack: "prod",
		By: stacktest.Replace(dumpSchedule, "target.input", "<aws.scheduler.scheduled-time>",
			`\u003caws.scheduler.scheduled-time\u003e`),
		Found: dumpSchedule,
	}, {
		Name:  "the time goes to a container that does not exist",
		Stack: "prod",
		By:    stacktest.Replace(drillSchedule, "target.input", `"record"`, `"web"`),
		Found: drillSchedule,
	}, {
		Name:  "the time goes to a container that does not read it",
		Stack: "prod",
		By:    stacktest.Replace(drillSchedule, "target.input", `"record"`, `"check"`),
		Found: drillSchedule,
	}, {
		Name:  "a schedule overrides more than ECS accepts",
		Stack: "databases of services' own",
		By:    stacktest.Replace(metabaseDrill, "target.input", `"metabase"`, `"`+strings.Repeat("x", 8192)+`"`),
		Found: metabaseDrill,
	}, {
		Name:  "the schedule's target is no cluster",
		Stack: "prod",
		By:    stacktest.Set(dumpSchedule, "target.arn", "${aws_lambda_function.backup_function.arn}"),
		Found: dumpSchedule,
	}, {
		Name:  "dumps run on Spot",
		Stack: "prod",
		By:    stacktest.Remove(dumpSchedule, "target.ecs_parameters.launch_type"),
		Found: dumpSchedule,
	}, {
		Name:  "the scheduler may not start the task",
		Stack: "prod",
		By:    stacktest.Set(startPolicy, "policy.Statement[Sid=Start].Action", []any{"ecs:StopTask"}),
		Found: dumpSchedule,
	}, {
		Name:  "the scheduler may not pass the role of the containers",
		Stack: "prod",
		By: stacktest.Replace(startPolicy, "policy.Statement[Sid=PassRoles].Resource", "database_dump_task_role",
			"database_dump_execution_role"),
		Found: dumpSchedule,
	}, {
		Name:  "no schedule starts dumps",
		Stack: "dev",
		By:    stacktest.Delete(dumpSchedule),
		Found: dumpDefinition,
	}, {
		Name:  "a schedule starts restores",
		Stack: "dev",
		By: stacktest.Set(dumpSchedule, "target.ecs_parameters.task_definition_arn",
			"${"+restoreDefinition+".arn}"),
		Found: restoreDefinition,
	}},
}, {
	Name:  "every database that services use is dumped, rehearsed and watched, in a folder of its own",
	Check: everyDatabaseIsDumped,
	BrokenBy: []stacktest.Break{{
		Name:  "a database has no dumps",
		Stack: "databases of services' own",
		By:    stacktest.Delete(metabaseDump),
		Found: dumpDefinition,
	}, {
		Name:  "no restore of a database is rehearsed",
		Stack: "databases of services' own",
		By:    stacktest.Delete(metabaseDrill),
		Found: drillDefinition,
	}, {
		Name:  "the dumps of a database are those of another one",
		Stack: "databases of services' own",
		By: stacktest.Replace(metabaseDump, "target.input", `"PGDATABASE","value":"metabase"`,
			`"PGDATABASE","value":"app"`),
		Found: metabaseDump,
	}, {
		Name:  "the dumps of a database are uploaded as those of the main one",
		Stack: "databases of services' own",
		By:    stacktest.Replace(metabaseDump, "target.input", `{"name":"FROM","value":"metabase"},`, ""),
		Found: metabaseDump,
	}, {
		Name:  "a dump is made with the rights of the main database's owner",
		Stack: "databases of services' own",
		By:    stacktest.Replace(metabaseDump, "target.input", "-c role=platform_owner_metabase", ""),
		Found: metabaseDump,
	}, {
		Name:  "a rehearsal restores a dump of the main database",
		Stack: "databases of services' own",
		By:    stacktest.Replace(metabaseDrill, "target.input", `"name":"download"`, `"name":"check"`),
		Found: metabaseDrill,
	}, {
		Name:  "the main database is dumped only as another one",
		Stack: "databases of services' own",
		By: stacktest.Replace(dumpSchedule, "target.input", `"SCHEDULED_TIME"`,
			`"FROM","value":"x"},{"name":"SCHEDULED_TIME"`),
		Found: dumpSchedule,
	}, {
		Name:  "the backup function does not look for the dumps of a database",
		Stack: "databases of services' own",
		By:    stacktest.Replace(backupFunction, "environment.variables.FURTHER_DATABASES", "metabase", "other"),
		Found: backupFunction,
	}, {
		Name:  "the time since which a database is dumped changes with each deployment",
		Stack: "databases of services' own",
		By:    stacktest.Remove("terraform_data.database_dump_metabase_since", "lifecycle"),
		Found: backupFunction,
	}, {
		Name:  "there are fewer connections than dumps at the same time",
		Stack: "databases of services' own",
		By: stacktest.Replace(databaseFunction, usersServices, `"level":"dump","connections":5`,
			`"level":"dump","connections":4`),
		Found: databaseFunction,
	}},
}, {
	Name:  "whoever dumps the database cannot read, list or delete dumps",
	Check: dumpsAreWriteOnly,
	BrokenBy: []stacktest.Break{{
		Name:  "the task of dumps may read them",
		Stack: "prod",
		By:    stacktest.Set(dumpPolicy, "policy.Statement[Sid=Write].Action", []any{"s3:GetObject"}),
		Found: dumpDefinition,
	}, {
		Name:  "the task of dumps may write everywhere in the bucket",
		Stack: "prod",
		By:    stacktest.Replace(dumpPolicy, "policy.Statement[Sid=Write].Resource", "/dumps/*", "/*"),
		Found: dumpDefinition,
	}},
}, {
	Name:  "what was configured a moment ago is not reported as late",
	Check: agesBeginWithTheirSetting,
	BrokenBy: []stacktest.Break{{
		Name:  "the age of the first dump is that of the instance",
		Stack: "dev",
		By:    stacktest.Remove(backupFunction, "environment.variables.DUMPS_SINCE"),
		Found: "aws_cloudwatch_metric_alarm.dump_age_alarm",
	}, {
		Name:  "the age of the first rehearsal begins with the first dump",
		Stack: "prod",
		By: stacktest.Set(backupFunction, "environment.variables.DRILLS_SINCE",
			"${aws_iam_role.database_dump_task_role.create_date}"),
		Found: "aws_cloudwatch_metric_alarm.drill_age_alarm",
	}, {
		Name:  "the copies are as old as the instance",
		Stack: "copies in another region",
		By:    stacktest.Remove(backupFunction, "environment.variables.COPIES_SINCE"),
		Found: "aws_cloudwatch_metric_alarm.backup_copy_lag_alarm",
	}},
}, {
	Name:  "each dump and each rehearsal that fails notifies the topic",
	Check: failedDumpsNotify,
	BrokenBy: []stacktest.Break{{
		Name:  "there is no rule",
		Stack: "prod",
		By:    stacktest.Delete(dumpFailedRule),
		Found: dumpDefinition,
	}, {
		Name:  "the rule knows dumps only",
		Stack: "prod",
		By:    stacktest.Replace(dumpFailedRule, "event_pattern.detail.group", "database_drill", "x"),
		Found: drillDefinition,
	}, {
		Name:  "the rule is only for tasks that could not start",
		Stack: "dev",
		By: stacktest.Set(dumpFailedRule, "event_pattern.detail.$or",
			[]any{map[string]any{"stopCode": []any{"TaskFailedToStart"}}}),
		Found: dumpDefinition,
	}},
}}

// agesBeginWithTheirSetting checks that the backup function knows since when there is what an alarm is
// about: the creation of the role that does it.
func agesBeginWithTheirSetting(s stacktest.Stack, v *stacktest.Violations) {
	for alarm, since := range map[string]struct{ variable, role string }{
		"dump_age":        {"DUMPS_SINCE", s.Resource(dumpDefinition).Reference("task_role_arn")},
		"drill_age":       {"DRILLS_SINCE", s.Resource(drillDefinition).Reference("task_role_arn")},
		"dump_copy_age":   {"COPIES_SINCE", s.Resource(objectReplication).Reference("role")},
		"backup_copy_lag": {"COPIES_SINCE", s.Resource(objectReplication).Reference("role")},
	} {
		address := "aws_cloudwatch_metric_alarm." + alarm + "_alarm"
		have := s.Resource(backupFunction).String("environment.variables." + since.variable)
		v.Want(!s.Resource(address).Exists() || since.role != "" && have == "${"+since.role+".create_date}",
			address, "want %s with the creation of %s, have %q", since.variable, since.role, have)
	}
}

// The dumps of one database are not changed by those of another one.
func TestDatabaseOfAServicesOwnAddsItsDumpsOnly(t *testing.T) {
	with := func(metabase, forms string) tree {
		const text = minimal + "backup: {drill: {schedule: 'cron(0 7 1 * ? *)'}}\nservices:\n" +
			"  web: {image: 'quay.io/x/y:1', database: {access: owner}}\n" +
			"  metabase: {image: 'quay.io/x/y:1', database: {access: owner%s}}\n" +
			"  forms: {image: 'quay.io/x/y:1', database: {access: owner%s}}\n"
		return synth(t, parse(t, "dev", fmt.Sprintf(text, metabase, forms)), placeholder(t))
	}
	of := func(name string) []string {
		return []string{
			"aws_scheduler_schedule.database_drill_" + name + "_schedule",
			"aws_scheduler_schedule.database_dump_" + name + "_schedule",
			"terraform_data.database_dump_" + name + "_since",
		}
	}
	none, one, two := with("", ""), with(", name: metabase", ""), with(", name: metabase", ", name: forms_2")
	for _, c := range []struct {
		before, after tree
		name          string
	}{{none, one, "metabase"}, {one, two, "forms_2"}} {
		added, removed, changed := compare(c.before, c.after)
		if !slices.Equal(added, of(c.name)) || len(removed) > 0 {
			t.Errorf("%s: adds %v and removes %v", c.name, added, removed)
		}
		for _, address := range changed {
			if strings.Contains(address, "database_d") || strings.Contains(address, "database_restore") ||
				strings.Contains(address, "backup_") && address != backupFunction {
				t.Errorf("%s: changes %s", c.name, address)
			}
		}
		if !slices.Contains(changed, backupFunction) {
			t.Errorf("%s: changes %v", c.name, changed)
		}
	}
}

// Names are as long as EventBridge Scheduler accepts, and different for different databases.
func TestNamesOfSchedulesFit(t *testing.T) {
	long := strings.Repeat("a", 39)
	text := "name: platform\nregion: eu-central-1\nbackup: {drill: {schedule: 'cron(0 7 1 * ? *)'}}\nservices:\n"
	for i, name := range []string{long + "b", long + "c", "a_b"} {
		text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', database: {access: owner, name: %s}}\n", i, name)
	}
	stack := parsed(t, synth(t, parse(t, "staging-of-al", text), placeholder(t)))
	var names []string
	for _, schedule := range stack.Resources("aws_scheduler_schedule") {
		name := schedule.String("name")
		if len(name) > 64 {
			t.Errorf("%s has %d characters", name, len(name))
		}
		names = append(names, name)
	}
	if have := unique(names); len(have) != len(names) {
		t.Errorf("two schedules have one name: %v", names)
	}
	if want := "platform-staging-of-al-database-dump-a-b"; !slices.Contains(names, want) {
		t.Errorf("want %s, have %v", want, names)
	}
}

// The database function's variables name more of each database than those of the backup function, so that
// as many databases as the configuration allows fit into both.
func TestBackupFunctionKnowsEveryDatabase(t *testing.T) {
	for _, padding := range []string{"", strings.Repeat("x", 37)} {
		text := "name: shop\nregion: eu-central-1\nbackup: {copy: {region: eu-west-1}}\nprofile: production\n" +
			"state: {backend: local}\nload_balancer: {allow_http: true}\nservices:\n"
		var cfg *config.Config
		databases := 0
		for {
			text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', database: {access: read, name: d%[1]d%s}}\n",
				databases, padding)
			more, err := config.Parse("config/live.yaml", "live", []byte(text))
			if err != nil {
				break
			}
			cfg, databases = more, databases+1
		}
		stack := parsed(t, synth(t, cfg, placeholder(t)))
		variables, _ := stack.Resource(backupFunction).At("environment.variables").(map[string]any)
		size := 0
		for name, value := range variables {
			// What Terraform evaluates is shorter than the expressions.
			size += len(name) + len(fmt.Sprint(value))
		}
		if databases < 10 || size > 4096 {
			t.Errorf("%d databases need %d bytes of variables", databases, size)
		}
		t.Logf("%d databases need %d bytes of variables at most", databases, size)
	}
}

// mainDatabaseAddress is the instance that the services use in the shipped environments.
const mainDatabaseAddress = "aws_db_instance.database"

// postgresImage tells whether a container runs PostgreSQL's programs: the platform mounts its volume
// where the image declares one.
func postgresImage(c stacktest.Resource) bool {
	text := strings.Join(c.Strings("command"), "")
	return strings.Contains(text, "pg_dump --") || strings.Contains(text, "pg_restore ")
}

func dumpsAreCheckedBeforeUpload(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range standaloneTasks(s) {
		containers := t.containers()
		essential := stacktest.Filter(containers, func(c stacktest.Resource) bool { return c.Is("essential", true) })
		v.Want(len(essential) == 1,
			t.definition.Address, "want one essential container, the last, have %d", len(essential))
		for _, c := range containers {
			for _, d := range c.Blocks("dependsOn") {
				v.Want(d.Is("condition", "SUCCESS"),
					t.definition.Address, "a container starts on %v", d.At("condition"))
			}
			if !postgresImage(c) {
				continue
			}
			v.Want(c.Is("user", postgresUser), t.definition.Address, "runs PostgreSQL as the user %v", c.At("user"))
			v.Want(!strings.Contains(strings.Join(c.Strings("command"), ""), "pg_dump --enable-row-security"),
				t.definition.Address, "leaves out rows")
			wantVolumeOfImage(s, v, t, c)
		}
	}
	dump := s.Resource(dumpDefinition)
	if !dump.Exists() {
		return
	}
	order := []string{}
	for _, c := range dump.Containers() {
		for _, d := range c.Blocks("dependsOn") {
			order = append(order, d.String("containerName")+" "+c.String("name"))
		}
	}
	for _, want := range []string{"rds_certificates dump", "dump check", "check upload"} {
		v.Want(slices.Contains(order, want), dump.Address, "want the order %s, have %v", want, order)
	}
}

// wantVolumeOfImage checks that the work volume is where PostgreSQL's image of this version declares
// one, and that the version is the database's.
func wantVolumeOfImage(s stacktest.Stack, v *stacktest.Violations, t serviceTask, c stacktest.Resource) {
	for _, m := range c.Blocks("mountPoints") {
		if !m.Is("sourceVolume", "work") {
			continue
		}
		want := "/var/lib/postgresql/data"
		if strings.Contains(c.String("image"), "postgres:18") {
			want = "/var/lib/postgresql"
		}
		v.Want(m.Is("containerPath", want), t.definition.Address, "mounts at %v, want %s", m.At("containerPath"), want)
	}
	for _, instance := range s.Resources("aws_db_instance") {
		if instance.Address == t.databaseInstance() {
			v.Want(strings.Contains(c.String("image"), "postgres:"+instance.String("engine_version")+"."),
				t.definition.Address, "dumps version %v with %s", instance.At("engine_version"), c.String("image"))
		}
	}
}

// databasesOfServices returns the databases besides the main one that services use, from what the database
// function is told.
func databasesOfServices(s stacktest.Stack) (names []string) {
	var services map[string]struct{ Database string }
	_ = json.Unmarshal([]byte(s.Resource(databaseFunction).String(usersServices)), &services)
	for _, service := range services {
		if service.Database != "" && !slices.Contains(names, service.Database) {
			names = append(names, service.Database)
		}
	}
	slices.Sort(names)
	return names
}

func dumpsAreStarted(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range standaloneTasks(s) {
		schedules := schedulesOf(s, t.definition)
		want := 1 + len(databasesOfServices(s))
		if t.definition.Address == restoreDefinition {
			want = 0
		}
		v.Want(len(schedules) == want, t.definition.Address, "want %d schedules, have %d", want, len(schedules))
		for _, schedule := range schedules {
			v.Want(schedule.Is("target.ecs_parameters.launch_type", "FARGATE"), schedule.Address, "may run on Spot")
			v.Want(s.Resource(schedule.Reference("target.arn")).Kind() == "aws_ecs_cluster",
				schedule.Address, "has no cluster")
			wantScheduledTime(v, schedule, t)
			role := schedule.Reference("target.role_arn")
			family := "task-definition/" + s.Resolve(t.definition.String("family")) + ":*"
			starts := func(st stacktest.Resource) bool {
				return slices.Contains(st.Strings("Action"), "ecs:RunTask") &&
					slices.ContainsFunc(st.Strings("Resource"), func(r string) bool {
						return strings.HasSuffix(r, family)
					})
			}
			v.Want(slices.ContainsFunc(rolePermissions(s, role), starts), schedule.Address, "may not start its task")
			for _, path := range []string{"execution_role_arn", "task_role_arn"} {
				passed := t.definition.Reference(path)
				v.Want(roleAllows(s, role, "iam:PassRole", passed), schedule.Address, "may not pass %s", passed)
			}
		}
	}
}

// overridesOf returns the variables that a schedule gives to containers, by container and name.
func overridesOf(schedule stacktest.Resource) (map[string]map[string]string, error) {
	var input struct {
		ContainerOverrides []struct {
			Name        string
			Environment []variable
		}
	}
	err := json.Unmarshal([]byte(schedule.String("target.input")), &input)
	overrides := map[string]map[string]string{}
	for _, o := range input.ContainerOverrides {
		if overrides[o.Name] != nil {
			err = fmt.Errorf("two overrides of %s", o.Name)
		}
		overrides[o.Name] = map[string]string{}
		for _, v := range o.Environment {
			overrides[o.Name][v.Name] = v.Value
		}
	}
	return overrides, err
}

func wantScheduledTime(v *stacktest.Violations, schedule stacktest.Resource, t serviceTask) {
	input := schedule.String("target.input")
	overrides, err := overridesOf(schedule)
	timed := 0
	for name, variables := range overrides {
		container := stacktest.Filter(t.containers(), func(c stacktest.Resource) bool { return c.Is("name", name) })
		if len(container) == 0 {
			v.Want(false, schedule.Address, "overrides %s, which is no container of the task: ECS rejects that", name)
			continue
		}
		if at, ok := variables["SCHEDULED_TIME"]; ok {
			timed++
			command := strings.Join(container[0].Strings("command"), "")
			v.Want(at == scheduledTime && strings.Contains(command, "$SCHEDULED_TIME"),
				schedule.Address, "sends the time %s to %s, which does not read it", at, name)
		}
	}
	v.Want(err == nil && timed == 1 && strings.Contains(input, scheduledTime),
		schedule.Address, "want the placeholder %s unescaped, have %s", scheduledTime, input)
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
	v.Want(len(input) <= 8192, schedule.Address, "overrides have %d characters, and ECS accepts 8192", len(input))
}

// everyDatabaseIsDumped checks that each database has a schedule of its dumps, and of its rehearsals if
// there are any, and that the backup function looks for them.
func everyDatabaseIsDumped(s stacktest.Stack, v *stacktest.Violations) {
	if !s.Resource(dumpDefinition).Exists() {
		return
	}
	further := databasesOfServices(s)
	for _, definition := range []string{dumpDefinition, drillDefinition} {
		var dumped []string
		for _, schedule := range schedulesOf(s, s.Resource(definition)) {
			dumped = append(dumped, dumpedDatabase(v, schedule, definition == dumpDefinition))
		}
		slices.Sort(dumped)
		want := append([]string{""}, further...)
		v.Want(!s.Resource(definition).Exists() || slices.Equal(dumped, want),
			definition, "want schedules of the databases %q, have %q", want, dumped)
	}
	function := s.Resource(backupFunction)
	var since map[string]string
	_ = json.Unmarshal([]byte(function.String("environment.variables.FURTHER_DATABASES")), &since)
	v.Want(slices.Equal(slices.Sorted(maps.Keys(since)), further) || len(since)+len(further) == 0,
		backupFunction, "reports the dumps of %v, want %v", since, further)
	for name, at := range since {
		address, _ := strings.CutSuffix(strings.TrimPrefix(at, "${"), ".output.configured}")
		v.Want(slices.Equal(s.Resource(address).Strings("lifecycle.ignore_changes"), []string{"input"}),
			backupFunction, "the time since which %s is dumped is not kept: %s", name, at)
	}
	var users map[string]struct{ Connections int }
	_ = json.Unmarshal([]byte(s.Resource(databaseFunction).String(usersServices)), &users)
	want, have := 3+len(further), users[config.DumpUser].Connections
	v.Want(have == want, databaseFunction,
		"want %d connections for the dumps, which run at the same time, have %d", want, have)
}

// dumpedDatabase returns the database that a schedule is of, "" for the main one.
func dumpedDatabase(v *stacktest.Violations, schedule stacktest.Resource, dumps bool) string {
	overrides, _ := overridesOf(schedule)
	from := overrides["record"]["FROM"]
	if dumps {
		from = overrides["upload"]["FROM"]
		v.Want(overrides["dump"]["PGDATABASE"] == from, schedule.Address, "uploads as dumps of %q those of %q", from,
			overrides["dump"]["PGDATABASE"])
		role := ""
		if from != "" {
			role = "-c role=platform_owner_" + from
		}
		v.Want(overrides["dump"]["PGOPTIONS"] == role, schedule.Address, "want the role %s, have %v", role, overrides)
	} else {
		v.Want(overrides["download"]["FROM"] == from, schedule.Address, "records as of %q a rehearsal of %q", from,
			overrides["download"]["FROM"])
	}
	return from
}

func dumpsAreWriteOnly(s stacktest.Stack, v *stacktest.Violations) {
	dump := s.Resource(dumpDefinition)
	if !dump.Exists() {
		return
	}
	for _, st := range rolePermissions(s, dump.Reference("task_role_arn")) {
		for _, action := range st.Strings("Action") {
			v.Want(action == "s3:PutObject" || strings.HasPrefix(action, "kms:"), dump.Address, "may %s", action)
		}
		for _, resource := range st.Strings("Resource") {
			v.Want(strings.HasSuffix(resource, "/dumps/*") || strings.Contains(resource, "aws_kms_key.backup_key"),
				dump.Address, "may write to %s", resource)
		}
	}
}

func failedDumpsNotify(s stacktest.Stack, v *stacktest.Violations) {
	cluster := s.Resources("aws_ecs_cluster")
	for _, t := range standaloneTasks(s) {
		if t.definition.Address == restoreDefinition { // make restore waits for its end
			continue
		}
		event := func(family, stop string, exits ...float64) map[string]any {
			var containers []any
			for _, exit := range exits {
				containers = append(containers, map[string]any{"exitCode": exit})
			}
			return map[string]any{
				"source": "aws.ecs", "detail-type": "ECS Task State Change",
				"detail": map[string]any{
					"clusterArn": "${" + cluster[0].Address + ".arn}", "group": "family:" + family,
					"lastStatus": "STOPPED", "stopCode": stop, "containers": containers,
				},
			}
		}
		family := s.Resolve(t.definition.String("family"))
		const ended = "EssentialContainerExited"
		for what, c := range map[string]struct {
			event    map[string]any
			notifies bool
		}{
			"a success":                   {event(family, ended, 0, 0, 0), false},
			"an error of a container":     {event(family, ended, 0, 1), true},
			"a task that was killed":      {event(family, "UserInitiated", 0, 137), true},
			"a task that could not start": {event(family, "TaskFailedToStart"), true},
			"another task":                {event("other", ended, 1), false},
		} {
			v.Want(notifiesOf(s, c.event) == c.notifies, t.definition.Address, "%s: notifies %v", what, !c.notifies)
		}
	}
}
