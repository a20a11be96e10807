package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

var backupInvariants = []invariant{
	{
		promise: "the scheduler says for which time it calls, so that a retry makes no second snapshot",
		check:   placeholderIsLiteral,
		broken: []damage{
			{name: "its place is escaped, as JSON encoders do", stack: "prod",
				breaks: change(backupSchedule, "target.input",
					`{"action":"backup","scheduled_time":"\u003caws.scheduler.scheduled-time\u003e"}`),
				found: backupSchedule},
			{name: "it does not", stack: "prod",
				breaks: change(backupSchedule, "target.input", `{"action":"backup"}`), found: backupSchedule},
			{name: "no JSON", stack: "prod",
				breaks: change(backupSchedule, "target.input", `backup`), found: backupSchedule},
			{name: "no snapshots are asked for", stack: "prod",
				breaks: drop(backupSchedule), found: theFunction},
			{name: "nobody asks how old the newest is", stack: "prod",
				breaks: drop("aws_scheduler_schedule.backup_report_schedule"), found: theFunction},
			{name: "an action that the function does not know", stack: "prod",
				breaks: change("aws_scheduler_schedule.backup_report_schedule", "target.input", `{"action":"status"}`),
				found:  "aws_scheduler_schedule.backup_report_schedule"},
			{name: "a time that a report does not ask for", stack: "prod",
				breaks: change("aws_scheduler_schedule.backup_report_schedule", "target.input",
					`{"action":"report","scheduled_time":"<aws.scheduler.scheduled-time>"}`),
				found: "aws_scheduler_schedule.backup_report_schedule"},
		},
	},
	{
		promise: "schedules are written as EventBridge reads them, and call by their own role",
		check:   schedulesAreSound,
		broken: []damage{
			{name: "cron of five fields", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression", "cron(0 3 * * *)"), found: backupSchedule},
			{name: "both days given", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression", "cron(0 3 * * * *)"), found: backupSchedule},
			{name: "one hours", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression", "rate(1 hours)"), found: backupSchedule},
			{name: "no time zone", stack: "prod",
				breaks: unset(backupSchedule, "schedule_expression_timezone"), found: backupSchedule},
			{name: "another's role", stack: "prod",
				breaks: change(backupSchedule, "target.role_arn", "${aws_iam_role.backup_function_role.arn}"),
				found:  backupSchedule},
			{name: "another group, which the role does not trust", stack: "prod",
				breaks: unset(backupSchedule, "group_name"), found: backupSchedule},
			{name: "no second try", stack: "prod",
				breaks: change(backupSchedule, "target.retry_policy.maximum_retry_attempts", 0.0),
				found:  backupSchedule},
			{name: "it may be late by who knows what", stack: "prod",
				breaks: unset(backupSchedule, "flexible_time_window"), found: backupSchedule},
			{name: "an hour that there is not", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression", "cron(0 24 * * ? *)"), found: backupSchedule},
			{name: "a weekday that there is not", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression", "cron(0 3 ? * MONDAY *)"), found: backupSchedule},
			{name: "a zone that there is not", stack: "prod",
				breaks: change(backupSchedule, "schedule_expression_timezone", "Europe/Bonn"), found: backupSchedule},
			{name: "a window of no length", stack: "prod",
				breaks: change(backupSchedule, "flexible_time_window", tree{"mode": "FLEXIBLE"}),
				found:  backupSchedule},
			{name: "a word for late that AWS has not", stack: "prod",
				breaks: change(backupSchedule, "flexible_time_window.mode", "NONE"), found: backupSchedule},
			{name: "more tries than AWS makes", stack: "prod",
				breaks: change(backupSchedule, "target.retry_policy.maximum_retry_attempts", 186.0),
				found:  backupSchedule},
			{name: "tries for more than a day", stack: "prod",
				breaks: change(backupSchedule, "target.retry_policy.maximum_event_age_in_seconds", 86401.0),
				found:  backupSchedule},
			{name: "one of scaling is at a time that there is not", stack: "a service with everything",
				breaks: change("aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night", "schedule",
					"at(2027-02-29T22:00:00)"),
				found: "aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night"},
			{name: "one of scaling is in a zone that there is not", stack: "a service with everything",
				breaks: change("aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night", "timezone",
					"CET/Berlin"),
				found: "aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night"},
			{name: "one of scaling cannot be read", stack: "a service with everything",
				breaks: change("aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night", "schedule",
					"cron(0 22 * * *)"),
				found: "aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night"},
		},
	},
	{
		promise: "the function is built for where it runs, and takes nothing from others",
		check:   functionIsSound,
		broken: []damage{
			{name: "another processor", stack: "prod",
				breaks: change(theFunction, "architectures", []any{"x86_64"}), found: theFunction},
			{name: "a runtime that has no Go", stack: "prod",
				breaks: change(theFunction, "runtime", "go1.x"), found: theFunction},
			{name: "a handler that is not in the zip", stack: "prod",
				breaks: change(theFunction, "handler", "main"), found: theFunction},
			{name: "reserved concurrency, which new accounts have not", stack: "prod",
				breaks: add(theFunction, "reserved_concurrent_executions", 1.0), found: theFunction},
			{name: "longer than Lambda lets it", stack: "prod",
				breaks: change(theFunction, "timeout", 901.0), found: theFunction},
			{name: "less memory than Lambda gives", stack: "prod",
				breaks: change(theFunction, "memory_size", 64.0), found: theFunction},
			{name: "a variable of Lambda's own", stack: "prod",
				breaks: add(theFunction, "environment.variables.AWS_REGION", "eu-central-1"), found: theFunction},
			{name: "a variable that Lambda refuses", stack: "prod",
				breaks: add(theFunction, "environment.variables._MODE", "x"), found: theFunction},
			{name: "more variables than Lambda holds", stack: "prod",
				breaks: add(theFunction, "environment.variables.TEXT", strings.Repeat("x", 4096)), found: theFunction},
			{name: "no hash of its sources", stack: "prod",
				breaks: unset(theFunction, "source_code_hash"), found: theFunction},
			{name: "a zip of this machine", stack: "prod",
				breaks: change(theFunction, "filename", "/home/me/backup.zip"), found: theFunction},
			{name: "it stands in a public subnet", stack: "prod",
				breaks: change("aws_lambda_function.database_function", "vpc_config.subnet_ids.0",
					id("aws_subnet.public_subnet_a")),
				found: "aws_lambda_function.database_function"},
			{name: "Secrets Manager of every account may call it", stack: "prod",
				breaks: unset("aws_lambda_permission.database_function_permission", "source_account"),
				found:  "aws_lambda_permission.database_function_permission"},
			{name: "others may call it", stack: "prod",
				breaks: put("aws_lambda_permission.all", tree{"principal": "*"}), found: "aws_lambda_permission.all"},
		},
	},
	{
		promise: "the function deletes only what it made, by name and by tag",
		check:   functionDeletesItsOwn,
		broken: []damage{
			{name: "by name alone", stack: "prod",
				breaks: unset(functionDocument, "statement.4.condition"), found: functionDocument},
			{name: "by tag alone", stack: "prod",
				breaks: change(functionDocument, "statement.4.resources.0",
					"arn:aws:rds:eu-central-1:"+account+":snapshot:*"),
				found: functionDocument},
			{name: "another stack's", stack: "prod",
				breaks: change(functionDocument, "statement.4.condition.0.values.0", "platform-dev"),
				found:  functionDocument},
			{name: "it may tag what others made, and then delete it", stack: "prod",
				breaks: change(functionDocument, "statement.2.resources.0",
					"arn:aws:rds:eu-central-1:"+account+":snapshot:*"),
				found: functionDocument},
		},
	},
	{
		promise: "the function is told what it may do, and reports what is watched",
		check:   functionIsToldWhatItMay,
		broken: []damage{
			{name: "another prefix", stack: "prod",
				breaks: change(theFunction, "environment.variables.SNAPSHOT_PREFIX", "snapshots"), found: theFunction},
			{name: "another tag", stack: "prod",
				breaks: change(theFunction, "environment.variables.BACKUP_OF", "platform"), found: theFunction},
			{name: "another database", stack: "a restored database",
				breaks: change(theFunction, "environment.variables.DB_INSTANCE_IDENTIFIER",
					"${aws_db_instance.database.identifier}"),
				found: theFunction},
			{name: "a namespace that nobody watches", stack: "prod",
				breaks: change(theFunction, "environment.variables.METRIC_NAMESPACE", "Backup"), found: theFunction},
			{name: "it keeps nothing", stack: "prod",
				breaks: change(theFunction, "environment.variables.MINIMUM_SNAPSHOTS", "0"), found: theFunction},
		},
	},
	{
		promise: "a backup that fails is tried again, and then somebody hears of it",
		check:   failuresReachPeople,
		broken: []damage{
			{name: "nobody", stack: "prod",
				breaks: unset(retryConfig, "destination_config"), found: theFunction},
			{name: "a queue that nobody reads", stack: "prod",
				breaks: change(retryConfig, "destination_config.on_failure.destination",
					"arn:aws:sqs:eu-central-1:123456789012:failures"),
				found: theFunction},
			{name: "no second try", stack: "prod",
				breaks: change(retryConfig, "maximum_retry_attempts", 0.0), found: theFunction},
			{name: "nothing said", stack: "prod",
				breaks: drop(retryConfig), found: theFunction},
		},
	},
}

// scheduledTime is replaced by the scheduler.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
const scheduledTime = "<aws.scheduler.scheduled-time>"

func placeholderIsLiteral(stack tree) (v violations) {
	asked := map[string]bool{}
	for _, schedule := range things(stack, "aws_scheduler_schedule") {
		input := schedule.text("target.input")
		var event struct {
			Action string
			Time   string `json:"scheduled_time"`
		}
		if err := json.Unmarshal([]byte(input), &event); err != nil {
			v.want(false, schedule.address, "sends what is no JSON: %v", err)
			continue
		}
		asked[event.Action] = true
		switch event.Action {
		case "backup":
			v.want(event.Time == scheduledTime && strings.Contains(input, scheduledTime),
				schedule.address, "wants %s as it stands, sends %s", scheduledTime, input)
		case "report":
			v.want(event.Time == "", schedule.address, "says a time that nobody asks for")
		default:
			v.want(false, schedule.address, "asks for %q, which the function does not know", event.Action)
		}
	}
	for _, function := range backupFunctions(stack) {
		v.want(asked["backup"] && asked["report"],
			function.address, "wants to be asked for backups and reports, is for %v", asked)
	}
	return v
}

// What EventBridge reads, and Application Auto Scaling:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and
// https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
var (
	rateExpression = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)$`)
	cronExpression = regexp.MustCompile(`(?i)^cron\(` + strings.Join([]string{
		cronList(`[0-5]?[0-9]`, true),
		cronList(`([01]?[0-9]|2[0-3])`, true),
		`(\?|L|` + cronDate + `W|` + cronList(cronDate, true) + `)`,
		cronList(`(0?[1-9]|1[0-2]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)`, true),
		`(\?|L|` + cronDayOfWeek + `(L|#[1-5])|` + cronList(cronDayOfWeek, false) + `)`,
		cronList(`(19[7-9][0-9]|2[01][0-9][0-9])`, true),
	}, " ") + `\)$`)
)

const cronDate, cronDayOfWeek = `(0?[1-9]|[12][0-9]|3[01])`, `([1-7]|SUN|MON|TUE|WED|THU|FRI|SAT)`

// cronList is the pattern of a field: values and ranges of them, with steps if it has any.
func cronList(value string, steps bool) string {
	part := `(\*|` + value + `(-` + value + `)?)` + choose(steps, `(/0*[1-9][0-9]*)?`, "")
	return `(` + part + `(,` + part + `)*)`
}

// readable tells whether a schedule that comes again can be read; of cron's two days,
// one must be "?".
func readable(expression string) bool {
	day := strings.Count(expression, "?")
	return rateExpression.MatchString(expression) || cronExpression.MatchString(expression) && day == 1
}

// isZone tells whether there is such a time zone.
func isZone(name string) bool {
	_, err := time.LoadLocation(name)
	return err == nil && name != "" && name != "Local"
}

func schedulesAreSound(stack tree) (v violations) {
	for _, s := range things(stack, "aws_scheduler_schedule") {
		v.want(readable(s.text("schedule_expression")), s.address, "cannot be read: %v", s.at("schedule_expression"))
		v.want(isZone(s.text("schedule_expression_timezone")),
			s.address, "has no time zone: %v", s.at("schedule_expression_timezone"))
		v.want(get(stack, s.ref("group_name")).kind() == "aws_scheduler_schedule_group",
			s.address, "is in no group of ours, and its role trusts the group")
		window := s.number("flexible_time_window.maximum_window_in_minutes")
		v.want(s.is("flexible_time_window.mode", "OFF") ||
			s.is("flexible_time_window.mode", "FLEXIBLE") && window >= 1 && window <= 1440,
			s.address, "does not say whether it may be late, and by what")
		// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
		tries := s.number("target.retry_policy.maximum_retry_attempts")
		age := s.number("target.retry_policy.maximum_event_age_in_seconds")
		v.want(tries >= 1, s.address, "tries once")
		v.want(tries <= 185 && age >= 60 && age <= 86400,
			s.address, "tries %v times in %v seconds, and AWS 185 times in a day", tries, age)
		called := slices.ContainsFunc(permissionsOf(stack, s.ref("target.role_arn")), func(g grant) bool {
			return g.allows("lambda:InvokeFunction") && slices.Contains(references(g.resources), s.ref("target.arn"))
		})
		v.want(called, s.address, "calls what its role may not")
	}
	for _, action := range things(stack, "aws_appautoscaling_scheduled_action") {
		_, err := time.Parse("at(2006-01-02T15:04:05)", action.text("schedule"))
		v.want(readable(action.text("schedule")) || err == nil,
			action.address, "cannot be read: %v", action.at("schedule"))
		v.want(isZone(action.text("timezone")), action.address, "has no time zone: %v", action.at("timezone"))
	}
	return v
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html; those reserved begin
// with AWS_, but for _HANDLER and the like.
var functionVariable = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`)

func functionIsSound(stack tree) (v violations) {
	for _, f := range things(stack, "aws_lambda_function") {
		v.want(f.is("runtime", "provided.al2023") &&
			slices.Equal(f.strings("architectures"), []string{"arm64"}) &&
			f.is("handler", "bootstrap"),
			f.address, "runs %v on %v: %v", f.at("runtime"), f.at("architectures"), f.at("handler"))
		v.want(!f.has("reserved_concurrent_executions"), f.address, "reserves what a new account has not")
		v.want(f.number("timeout") > 0 && f.number("timeout") <= 900, f.address, "runs for %v seconds", f.at("timeout"))
		v.want(f.number("memory_size") >= 128 && f.number("memory_size") <= 10240,
			f.address, "has %v MiB of memory, and Lambda gives 128 to 10240", f.at("memory_size"))
		variables := asTree(f.at("environment.variables"))
		v.want(len(marshal(variables)) <= 4096, f.address, "has more variables than the 4 KiB that Lambda holds")
		for name := range variables {
			v.want(functionVariable.MatchString(name) && !strings.HasPrefix(name, "AWS_"),
				f.address, "has a variable %s, which Lambda refuses or sets itself", name)
		}
		v.want(f.text("source_code_hash") != "", f.address, "is not deployed when its sources change")
		v.want(strings.HasPrefix(f.text("filename"), "assets/"),
			f.address, "is a file of this machine: %v", f.at("filename"))
		for _, subnet := range f.refs("vpc_config.subnet_ids") {
			v.want(strings.HasPrefix(subnet, "aws_subnet.private_"), f.address, "stands in %s", subnet)
		}
	}
	for _, other := range things(stack, "aws_lambda_permission") {
		rotates := other.is("principal", "secretsmanager.amazonaws.com") &&
			len(other.refs("function_name")) == 1 &&
			functionsInside(stack)[0].address == other.ref("function_name")
		v.want(rotates && other.text("source_account") == account,
			other.address, "lets others call a function: schedules call by a role")
	}
	return v
}

func functionDeletesItsOwn(stack tree) (v violations) {
	ours := "arn:aws:rds:" + region(stack) + ":" + account + ":snapshot:" + stackName(stack) + "-scheduled-*"
	for _, f := range things(stack, "aws_lambda_function") {
		for _, g := range permissionsOf(stack, f.ref("role")) {
			if g.allows("rds:DeleteDBSnapshot") {
				v.want(slices.Equal(g.resources, []string{ours}), g.address, "may delete %v", g.resources)
				v.want(slices.Equal(g.when, []string{"StringEquals aws:ResourceTag/BackupOf " + stackName(stack)}),
					g.address, "deletes on the condition %q", g.when)
			}
			if g.allows("rds:AddTagsToResource") {
				v.want(slices.Equal(g.resources, []string{ours}),
					g.address, "may give its tag to %v, and then delete it", g.resources)
			}
		}
	}
	return v
}

// backupFunctions are those that take snapshots.
func backupFunctions(stack tree) []thing {
	return keep(things(stack, "aws_lambda_function"), func(f thing) bool { return !f.has("vpc_config") })
}

func functionIsToldWhatItMay(stack tree) (v violations) {
	for _, f := range backupFunctions(stack) {
		told := func(name string) string { return f.text("environment.variables." + name) }
		identifier := references(told("DB_INSTANCE_IDENTIFIER"))
		for _, g := range permissionsOf(stack, f.ref("role")) {
			if g.allows("rds:CreateDBSnapshot") {
				prefix := told("SNAPSHOT_PREFIX")
				named := func(r string) bool { return strings.HasSuffix(r, ":snapshot:"+prefix+"-*") }
				v.want(slices.ContainsFunc(g.resources, named),
					f.address, "names snapshots %s, and may make %v", prefix, g.resources)
				v.want(slices.Equal(identifier, references(g.resources[:1])),
					f.address, "copies %v, and may copy %v", identifier, g.resources)
			}
			if g.allows("rds:DeleteDBSnapshot") {
				v.want(len(g.when) == 1 && strings.HasSuffix(g.when[0], "BackupOf "+told("BACKUP_OF")),
					f.address, "tags by %s, and may delete %q", told("BACKUP_OF"), g.when)
			}
		}
		v.want(slices.Equal(identifier, databasesInUse(stack)) || len(databasesInUse(stack)) == 0,
			f.address, "copies %v, and services use %v", identifier, databasesInUse(stack))
		heard := false
		for _, a := range things(stack, "aws_cloudwatch_metric_alarm") {
			heard = heard || a.is("metric_name", "NewestBackupAge") &&
				a.is("namespace", told("METRIC_NAMESPACE")) &&
				slices.Equal(a.refs("dimensions.DBInstanceIdentifier"), identifier)
		}
		v.want(heard, f.address, "reports under %s, and no alarm looks there", told("METRIC_NAMESPACE"))
		for _, name := range []string{"MINIMUM_SNAPSHOTS", "RETENTION_DAYS"} {
			v.want(f.number("environment.variables."+name) >= 1, f.address, "keeps nothing: %s", name)
		}
	}
	return v
}

func failuresReachPeople(stack tree) (v violations) {
	for _, f := range backupFunctions(stack) {
		configs := referring(things(stack, "aws_lambda_function_event_invoke_config"), "function_name", f.address)
		v.want(len(configs) == 1, f.address, "has no way for its failures")
		for _, c := range configs {
			topic := get(stack, c.ref("destination_config.on_failure.destination"))
			v.want(topic.kind() == "aws_sns_topic",
				f.address, "sends its failures to %v", c.at("destination_config.on_failure.destination"))
			v.want(c.number("maximum_retry_attempts") >= 1, f.address, "tries once")
			v.want(slices.ContainsFunc(permissionsOf(stack, f.ref("role")), func(g grant) bool {
				return g.allows("sns:Publish") && slices.Contains(references(g.resources), topic.address)
			}), f.address, "may not publish to %s, and the function's role is who publishes", topic.address)
		}
	}
	return v
}
