package main

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"platform/internal/stacktest"
)

const (
	backupFunction   = "aws_lambda_function.backup_function"
	functionRetries  = "aws_lambda_function_event_invoke_config.backup_function_retries"
	snapshotSchedule = "aws_scheduler_schedule.backup_schedule"
	databaseSchedule = "aws_scheduler_schedule.database_schedule"
	nightSchedule    = "aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night"
)

var backupPromises = []stacktest.Promise{{
	Name:  "schedules send the scheduled time with each backup, so that a retry creates no second snapshot",
	Check: schedulesSendScheduledTime,
	BrokenBy: []stacktest.Break{{
		Name:  "the placeholder of the scheduled time is escaped, as JSON encoders do",
		Stack: "prod",
		By: stacktest.Set(
			snapshotSchedule, "target.input",
			`{"action":"backup","scheduled_time":"\u003caws.scheduler.scheduled-time\u003e"}`,
		),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule asks for a backup without the scheduled time",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.input", `{"action":"backup"}`),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule sends text that is not JSON",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.input", `backup`),
		Found: snapshotSchedule,
	}, {
		Name:  "no schedule asks for backups",
		Stack: "prod",
		By:    stacktest.Delete(snapshotSchedule),
		Found: backupFunction,
	}, {
		Name:  "no schedule asks for the age of the newest snapshot",
		Stack: "prod",
		By:    stacktest.Delete("aws_scheduler_schedule.backup_report_schedule"),
		Found: backupFunction,
	}, {
		Name:  "a schedule asks for an action that the backup function does not know",
		Stack: "prod",
		By:    stacktest.Set("aws_scheduler_schedule.backup_report_schedule", "target.input", `{"action":"status"}`),
		Found: "aws_scheduler_schedule.backup_report_schedule",
	}, {
		Name:  "a schedule asks the database function for a backup",
		Stack: "prod",
		By: stacktest.Set(databaseSchedule, "target.input",
			`{"action":"backup","scheduled_time":"<aws.scheduler.scheduled-time>"}`),
		Found: databaseSchedule,
	}, {
		Name:  "no schedule asks for the daily run of the database function",
		Stack: "dev",
		By:    stacktest.Delete(databaseSchedule),
		Found: databaseFunction,
	}, {
		Name:  "a schedule asks for a report with the scheduled time",
		Stack: "prod",
		By: stacktest.Set(
			"aws_scheduler_schedule.backup_report_schedule", "target.input",
			`{"action":"report","scheduled_time":"<aws.scheduler.scheduled-time>"}`,
		),
		Found: "aws_scheduler_schedule.backup_report_schedule",
	}},
}, {
	Name:  "AWS accepts the schedules, and each has the role that calls its target",
	Check: schedulesAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a schedule has a cron expression of five fields",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression", "cron(0 3 * * *)"),
		Found: snapshotSchedule,
	}, {
		Name:  "a cron expression has both a day of the month and a day of the week",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression", "cron(0 3 * * * *)"),
		Found: snapshotSchedule,
	}, {
		Name:  "a rate of one has a plural unit",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression", "rate(1 hours)"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule has no time zone",
		Stack: "prod",
		By:    stacktest.Remove(snapshotSchedule, "schedule_expression_timezone"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule has the role of the function that it calls",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.role_arn", "${aws_iam_role.backup_function_role.arn}"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule is not in the group that its role trusts",
		Stack: "prod",
		By:    stacktest.Remove(snapshotSchedule, "group_name"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule does not retry",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.retry_policy.maximum_retry_attempts", 0.0),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule has no flexible time window",
		Stack: "prod",
		By:    stacktest.Remove(snapshotSchedule, "flexible_time_window"),
		Found: snapshotSchedule,
	}, {
		Name:  "a cron expression has the hour 24",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression", "cron(0 24 * * ? *)"),
		Found: snapshotSchedule,
	}, {
		Name:  "a cron expression has a weekday that does not exist",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression", "cron(0 3 ? * MONDAY *)"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule has a time zone that does not exist",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "schedule_expression_timezone", "Europe/Bonn"),
		Found: snapshotSchedule,
	}, {
		Name:  "a flexible time window has no length",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "flexible_time_window", map[string]any{"mode": "FLEXIBLE"}),
		Found: snapshotSchedule,
	}, {
		Name:  "a flexible time window has a mode that does not exist",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "flexible_time_window.mode", "NONE"),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule has more retries than AWS allows",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.retry_policy.maximum_retry_attempts", 186.0),
		Found: snapshotSchedule,
	}, {
		Name:  "retries end before the first minute",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.retry_policy.maximum_event_age_in_seconds", 59.0),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule retries for more than a day",
		Stack: "prod",
		By:    stacktest.Set(snapshotSchedule, "target.retry_policy.maximum_event_age_in_seconds", 86401.0),
		Found: snapshotSchedule,
	}, {
		Name:  "a scheduled scaling action is on a day that does not exist",
		Stack: "a service with everything",
		By:    stacktest.Set(nightSchedule, "schedule", "at(2027-02-29T22:00:00)"),
		Found: nightSchedule,
	}, {
		Name:  "a scheduled scaling action has a time zone that does not exist",
		Stack: "a service with everything",
		By:    stacktest.Set(nightSchedule, "timezone", "CET/Berlin"),
		Found: nightSchedule,
	}, {
		Name:  "a scheduled scaling action has a cron expression of five fields",
		Stack: "a service with everything",
		By:    stacktest.Set(nightSchedule, "schedule", "cron(0 22 * * *)"),
		Found: nightSchedule,
	}},
}, {
	Name:  "Lambda accepts the functions and deploys their changes, and no other account can call them",
	Check: functionsAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a function has the x86_64 architecture",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "architectures", []any{"x86_64"}),
		Found: backupFunction,
	}, {
		Name:  "a function has a runtime without Go",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "runtime", "go1.x"),
		Found: backupFunction,
	}, {
		Name:  "a function has a handler that is not in its zip",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "handler", "main"),
		Found: backupFunction,
	}, {
		Name:  "a function reserves concurrency, which new accounts do not have",
		Stack: "prod",
		By:    stacktest.Add(backupFunction, "reserved_concurrent_executions", 1.0),
		Found: backupFunction,
	}, {
		Name:  "a function has a longer timeout than Lambda allows",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "timeout", 901.0),
		Found: backupFunction,
	}, {
		Name:  "a function has less memory than Lambda allows",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "memory_size", 64.0),
		Found: backupFunction,
	}, {
		Name:  "a function sets an environment variable that Lambda sets itself",
		Stack: "prod",
		By:    stacktest.Add(backupFunction, "environment.variables.AWS_REGION", "eu-central-1"),
		Found: backupFunction,
	}, {
		Name:  "a function has an environment variable whose name Lambda rejects",
		Stack: "prod",
		By:    stacktest.Add(backupFunction, "environment.variables._MODE", "x"),
		Found: backupFunction,
	}, {
		Name:  "a function's environment is larger than Lambda allows",
		Stack: "prod",
		By:    stacktest.Add(backupFunction, "environment.variables.TEXT", strings.Repeat("x", 4096)),
		Found: backupFunction,
	}, {
		Name:  "a function has no hash of its sources",
		Stack: "prod",
		By:    stacktest.Remove(backupFunction, "source_code_hash"),
		Found: backupFunction,
	}, {
		Name:  "a function's zip has a path outside of the project",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "filename", "/home/me/backup.zip"),
		Found: backupFunction,
	}, {
		Name:  "the database function is in a public subnet",
		Stack: "prod",
		By: stacktest.Set(
			"aws_lambda_function.database_function", "vpc_config.subnet_ids",
			[]any{"${aws_subnet.public_subnet_a.id}"},
		),
		Found: "aws_lambda_function.database_function",
	}, {
		Name:  "Secrets Manager of every account can call the database function",
		Stack: "prod",
		By:    stacktest.Remove("aws_lambda_permission.database_function_permission", "source_account"),
		Found: "aws_lambda_permission.database_function_permission",
	}, {
		Name:  "everyone can call a function",
		Stack: "prod",
		By:    stacktest.Create("aws_lambda_permission.all", map[string]any{"principal": "*"}),
		Found: "aws_lambda_permission.all",
	}},
}, {
	Name:  "the backup function can delete its own snapshots only, by name and by tag",
	Check: functionDeletesOwnSnapshots,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function's permission to delete has no condition on the tag",
		Stack: "prod",
		By:    stacktest.Remove(backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition"),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function's permission to delete covers every snapshot of the account",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			[]any{"arn:aws:rds:eu-central-1:" + callerAccount + ":snapshot:*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function can delete the snapshots of another stack",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition.StringEquals.aws:ResourceTag/BackupOf",
			[]any{"platform-dev"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function can delete copies of its snapshots, which people made to keep them",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			[]any{"arn:aws:rds:eu-central-1:" + callerAccount + ":snapshot:platform-prod-scheduled-*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function can tag snapshots of others, and then delete them",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Tag].Resource",
			[]any{"arn:aws:rds:eu-central-1:" + callerAccount + ":snapshot:*"},
		),
		Found: backupFunctionPolicy,
	}},
}, {
	Name:  "the backup function's variables match its permissions and the alarm on its metric",
	Check: functionVariablesMatch,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function gives snapshots a prefix that its role does not allow",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "environment.variables.SNAPSHOT_PREFIX", "snapshots"),
		Found: backupFunction,
	}, {
		Name:  "the backup function gives snapshots a tag that its role does not allow",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "environment.variables.BACKUP_OF", "platform"),
		Found: backupFunction,
	}, {
		Name:  "the backup function copies a database that no service uses",
		Stack: "a restored database",
		By: stacktest.Set(
			backupFunction, "environment.variables.DB_INSTANCE_IDENTIFIER",
			"${aws_db_instance.database.identifier}",
		),
		Found: backupFunction,
	}, {
		Name:  "the backup function reports to a namespace without an alarm",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "environment.variables.METRIC_NAMESPACE", "Backup"),
		Found: backupFunction,
	}, {
		Name:  "the backup function keeps no snapshots",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "environment.variables.MINIMUM_SNAPSHOTS", "0"),
		Found: backupFunction,
	}},
}, {
	Name:  "a failed scheduled call is retried, and a failed backup then reported to the topic",
	Check: failuresAreReported,
	BrokenBy: []stacktest.Break{{
		Name:  "failed backups have no destination",
		Stack: "prod",
		By:    stacktest.Remove(functionRetries, "destination_config"),
		Found: backupFunction,
	}, {
		Name:  "failed backups are sent to a queue instead of the topic",
		Stack: "prod",
		By: stacktest.Set(
			functionRetries, "destination_config.on_failure.destination",
			"arn:aws:sqs:eu-central-1:123456789012:failures",
		),
		Found: backupFunction,
	}, {
		Name:  "failed backups are not retried",
		Stack: "prod",
		By:    stacktest.Set(functionRetries, "maximum_retry_attempts", 0.0),
		Found: backupFunction,
	}, {
		Name:  "failed daily runs of the database function are not retried",
		Stack: "prod",
		By: stacktest.Set(
			"aws_lambda_function_event_invoke_config.database_function_retries", "maximum_retry_attempts", 0.0),
		Found: databaseFunction,
	}, {
		Name:  "the backup function has no configuration for failures",
		Stack: "prod",
		By:    stacktest.Delete(functionRetries),
		Found: backupFunction,
	}},
}}

// scheduledTime is a placeholder that EventBridge Scheduler replaces.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
const scheduledTime = "<aws.scheduler.scheduled-time>"

func schedulesSendScheduledTime(s stacktest.Stack, v *stacktest.Violations) {
	actions := map[string]string{} // of each schedule, with its function
	for _, schedule := range s.Resources("aws_scheduler_schedule") {
		if schedule.Has("target.ecs_parameters") { // see dump_test.go
			continue
		}
		input := schedule.String("target.input")
		var event struct {
			Action string
			Time   string `json:"scheduled_time"`
		}
		if err := json.Unmarshal([]byte(input), &event); err != nil {
			v.Want(false, schedule.Address, "sends text that is not JSON: %v", err)
			continue
		}
		function := schedule.Reference("target.arn")
		actions[function+" "+event.Action] = schedule.Address
		switch known := slices.Contains(scheduledActions(s, function), event.Action); {
		case !known:
			v.Want(false, schedule.Address, "asks for %q, which %s does not know", event.Action, function)
		case event.Action == "backup":
			v.Want(event.Time == scheduledTime && strings.Contains(input, scheduledTime),
				schedule.Address, "want the placeholder %s unescaped, have %s", scheduledTime, input)
		default:
			v.Want(event.Time == "", schedule.Address, "sends a scheduled time with %s", event.Action)
		}
	}
	for _, function := range s.Resources("aws_lambda_function") {
		for _, action := range scheduledActions(s, function.Address) {
			v.Want(actions[function.Address+" "+action] != "", function.Address, "has no schedule for %s", action)
		}
	}
}

// scheduledActions are what schedules ask of a function.
func scheduledActions(s stacktest.Stack, function string) []string {
	if s.Resource(function).Has("vpc_config") {
		return []string{"daily"}
	}
	return []string{"backup", "report"}
}

// Expressions of EventBridge Scheduler and of Application Auto Scaling:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
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

// cronList returns the pattern of a field: a list of values and ranges, with steps if it has any.
func cronList(value string, steps bool) string {
	part := `(\*|` + value + `(-` + value + `)?)` + choose(steps, `(/0*[1-9][0-9]*)?`, "")
	return `(` + part + `(,` + part + `)*)`
}

// isSchedule tells whether an expression is a rate or a cron expression. One of cron's two days
// must be "?".
func isSchedule(expression string) bool {
	day := strings.Count(expression, "?")
	return rateExpression.MatchString(expression) || cronExpression.MatchString(expression) && day == 1
}

// isTimeZone tells whether a time zone exists.
func isTimeZone(name string) bool {
	_, err := time.LoadLocation(name)
	return err == nil && name != "" && name != "Local"
}

func schedulesAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, schedule := range s.Resources("aws_scheduler_schedule") {
		v.Want(isSchedule(schedule.String("schedule_expression")),
			schedule.Address, "has an invalid schedule: %v", schedule.At("schedule_expression"))
		v.Want(isTimeZone(schedule.String("schedule_expression_timezone")),
			schedule.Address, "has an unknown time zone: %v", schedule.At("schedule_expression_timezone"))
		v.Want(s.Resource(schedule.Reference("group_name")).Kind() == "aws_scheduler_schedule_group",
			schedule.Address, "want a group of this stack, which its role trusts")
		window := schedule.Number("flexible_time_window.maximum_window_in_minutes")
		v.Want(schedule.Is("flexible_time_window.mode", "OFF") ||
			schedule.Is("flexible_time_window.mode", "FLEXIBLE") && window >= 1 && window <= 1440,
			schedule.Address, "want a flexible time window that is off, or 1 to 1440 minutes long")
		// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
		tries := schedule.Number("target.retry_policy.maximum_retry_attempts")
		age := schedule.Number("target.retry_policy.maximum_event_age_in_seconds")
		v.Want(tries >= 1, schedule.Address, "does not retry")
		v.Want(tries <= 185 && age >= 60 && age <= 86400,
			schedule.Address, "want at most 185 retries in 60 to 86400 seconds, have %v in %v", tries, age)
		if schedule.Has("target.ecs_parameters") {
			continue
		}
		role, target := schedule.Reference("target.role_arn"), schedule.Reference("target.arn")
		v.Want(roleAllows(s, role, "lambda:InvokeFunction", target),
			schedule.Address, "has a role that does not allow calling its target")
	}
	for _, action := range s.Resources("aws_appautoscaling_scheduled_action") {
		_, err := time.Parse("at(2006-01-02T15:04:05)", action.String("schedule"))
		v.Want(isSchedule(action.String("schedule")) || err == nil,
			action.Address, "has an invalid schedule: %v", action.At("schedule"))
		v.Want(isTimeZone(action.String("timezone")),
			action.Address, "has an unknown time zone: %v", action.At("timezone"))
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
// Reserved names begin with AWS_ or with an underscore.
var functionVariable = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]+$`)

func functionsAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, f := range s.Resources("aws_lambda_function") {
		v.Want(
			f.Is("runtime", "provided.al2023") &&
				slices.Equal(f.Strings("architectures"), []string{"arm64"}) &&
				f.Is("handler", "bootstrap"),
			f.Address, "has the runtime %v on %v with the handler %v",
			f.At("runtime"), f.At("architectures"), f.At("handler"),
		)
		v.Want(!f.Has("reserved_concurrent_executions"),
			f.Address, "reserves concurrency, which new accounts do not have")
		v.Want(f.Number("timeout") > 0 && f.Number("timeout") <= 900,
			f.Address, "want a timeout of at most 900 seconds, have %v", f.At("timeout"))
		v.Want(f.Number("memory_size") >= 128 && f.Number("memory_size") <= 10240,
			f.Address, "want 128 to 10240 MiB of memory, have %v", f.At("memory_size"))
		variables, _ := f.At("environment.variables").(map[string]any)
		v.Want(len(marshal(variables)) <= 4096, f.Address, "has more than 4 KiB of environment variables")
		for name := range variables {
			v.Want(functionVariable.MatchString(name) && !strings.HasPrefix(name, "AWS_"),
				f.Address, "has the variable %s, which Lambda rejects or sets itself", name)
		}
		v.Want(f.String("source_code_hash") != "", f.Address, "has no hash of its sources, so changes are not deployed")
		v.Want(strings.HasPrefix(f.String("filename"), "assets/"),
			f.Address, "want a path below assets, have %v", f.At("filename"))
		for _, subnet := range f.References("vpc_config.subnet_ids") {
			v.Want(strings.HasPrefix(subnet, "aws_subnet.private_"),
				f.Address, "is in %s, which is not private", subnet)
		}
	}
	for _, other := range s.Resources("aws_lambda_permission") {
		isRotation := other.Is("principal", "secretsmanager.amazonaws.com") &&
			len(other.References("function_name")) == 1 &&
			functionsInVPC(s)[0].Address == other.Reference("function_name")
		v.Want(isRotation && other.String("source_account") == callerAccount,
			other.Address, "allows others to call a function; schedules call with a role")
	}
}

func functionDeletesOwnSnapshots(s stacktest.Stack, v *stacktest.Violations) {
	ownSnapshots := "arn:aws:rds:" + s.Region() + ":" + callerAccount + ":snapshot:" + s.Name() +
		"-scheduled-????????-??????"
	for _, f := range s.Resources("aws_lambda_function") {
		for _, st := range rolePermissions(s, f.Reference("role")) {
			if allows(st, "rds:DeleteDBSnapshot") {
				v.Want(slices.Equal(st.Strings("Resource"), []string{ownSnapshots}),
					st.Address, "allows deleting %v", st.Strings("Resource"))
				v.Want(slices.Equal(st.Conditions(), []string{"StringEquals aws:ResourceTag/BackupOf " + s.Name()}),
					st.Address, "allows deleting on the conditions %q", st.Conditions())
			}
			if allows(st, "rds:AddTagsToResource") {
				v.Want(slices.Equal(st.Strings("Resource"), []string{ownSnapshots}),
					st.Address, "allows tagging %v, which can then be deleted", st.Strings("Resource"))
			}
		}
	}
}

// backupFunctions returns the functions that create snapshots.
func backupFunctions(s stacktest.Stack) []stacktest.Resource {
	return stacktest.Filter(s.Resources("aws_lambda_function"), func(f stacktest.Resource) bool {
		return !f.Has("vpc_config")
	})
}

func functionVariablesMatch(s stacktest.Stack, v *stacktest.Violations) {
	for _, f := range backupFunctions(s) {
		variable := func(name string) string { return f.String("environment.variables." + name) }
		identifier := stacktest.References(variable("DB_INSTANCE_IDENTIFIER"))
		for _, st := range rolePermissions(s, f.Reference("role")) {
			if allows(st, "rds:CreateDBSnapshot") {
				prefix := variable("SNAPSHOT_PREFIX")
				named := func(r string) bool { return strings.HasSuffix(r, ":snapshot:"+prefix+"-????????-??????") }
				v.Want(slices.ContainsFunc(st.Strings("Resource"), named),
					f.Address, "gives snapshots the prefix %s, but its role allows %v", prefix, st.Strings("Resource"))
				databases := slices.DeleteFunc(st.References("Resource"), func(address string) bool {
					return !strings.HasPrefix(address, "aws_db_instance.")
				})
				v.Want(slices.Equal(identifier, databases),
					f.Address, "copies %v, but its role allows %v", identifier, st.Strings("Resource"))
			}
			if allows(st, "rds:DeleteDBSnapshot") {
				v.Want(
					len(st.Conditions()) == 1 &&
						strings.HasSuffix(st.Conditions()[0], "BackupOf "+variable("BACKUP_OF")),
					f.Address, "gives snapshots the tag %s, but its role allows deleting on %q",
					variable("BACKUP_OF"), st.Conditions(),
				)
			}
		}
		v.Want(slices.Equal(identifier, usedDatabases(s)) || len(usedDatabases(s)) == 0,
			f.Address, "copies %v, but the services use %v", identifier, usedDatabases(s))
		hasAlarm := false
		for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
			hasAlarm = hasAlarm || a.Is("metric_name", "NewestBackupAge") &&
				a.Is("namespace", variable("METRIC_NAMESPACE")) &&
				slices.Equal(a.References("dimensions.DBInstanceIdentifier"), identifier)
		}
		v.Want(hasAlarm,
			f.Address, "reports to the namespace %s, on which there is no alarm", variable("METRIC_NAMESPACE"))
		for _, name := range []string{"MINIMUM_SNAPSHOTS", "RETENTION_DAYS", "MAX_AGE_HOURS"} {
			v.Want(f.Number("environment.variables."+name) >= 1, f.Address, "want 1 or more as %s", name)
		}
	}
}

func failuresAreReported(s stacktest.Stack, v *stacktest.Violations) {
	for _, f := range s.Resources("aws_lambda_function") {
		all := s.Resources("aws_lambda_function_event_invoke_config")
		configs := stacktest.Referring(all, "function_name", f.Address)
		v.Want(len(configs) == 1, f.Address, "want one configuration for failures")
		for _, c := range configs {
			v.Want(c.Number("maximum_retry_attempts") >= 1, f.Address, "does not retry")
			if f.Has("vpc_config") {
				continue // the next run makes up for a failed one: its alarm is enough
			}
			topic := s.Resource(c.Reference("destination_config.on_failure.destination"))
			v.Want(
				topic.Kind() == "aws_sns_topic",
				f.Address, "want the topic as destination of failures, have %v",
				c.At("destination_config.on_failure.destination"),
			)
			v.Want(roleAllows(s, f.Reference("role"), "sns:Publish", topic.Address),
				f.Address, "has a role that does not allow publishing to %s", topic.Address)
		}
	}
}
