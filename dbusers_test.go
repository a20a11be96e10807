package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"platform/internal/stacktest"
)

const (
	webRotation     = "aws_secretsmanager_secret_rotation.service_web_database_rotation"
	webUserSecret   = "aws_secretsmanager_secret.service_web_database_secret"
	usersInvocation = "aws_lambda_invocation.database_roles"
	usersServices   = "environment.variables.SERVICES"
	jobsService     = "aws_ecs_service.service_jobs_service"
	jobsTask        = "aws_ecs_task_definition.service_jobs_task_definition"
	reportsService  = "aws_ecs_service.service_reports_service"
	reportsTask     = "aws_ecs_task_definition.service_reports_task_definition"

	reportsContainer = "container_definitions[name=reports]"
)

var databaseUserPromises = []stacktest.Promise{{
	// ECS does not start a task whose key is not in the secret: ResourceInitializationError.
	Name:  "what a task reads from the secret of a database user is there before the task starts",
	Check: keysAreWrittenBeforeTasksStart,
	BrokenBy: []stacktest.Break{{
		Name:  "the database function does not write the URL that a task reads",
		Stack: "two services",
		By: stacktest.Replace(databaseFunction, usersServices,
			`,"url":"sslmode=verify-full&connect_timeout=5"`, ""),
		Found: jobsService,
	}, {
		Name:  "a task that reads a URL does not wait for the database function",
		Stack: "two services",
		By:    stacktest.RemoveDependency(jobsService, usersInvocation),
		Found: jobsService,
	}, {
		Name:  "other parameters of a URL change no task definition",
		Stack: "two services",
		By: stacktest.Replace(jobsTask, "container_definitions[name=jobs].dockerLabels.database-url-parameters",
			"connect_timeout=5", "connect_timeout=6"),
		Found: jobsService,
	}, {
		Name:  "a task reads a key that nothing writes",
		Stack: "prod",
		By: stacktest.Replace(webTask, webContainer+".secrets[name=PGUSER].valueFrom",
			":username:", ":user:"),
		Found: webService,
	}},
}, {
	// The users of another database may not connect to it.
	Name:  "a task connects to the database in which the function gives its user rights",
	Check: tasksConnectToTheirDatabase,
	BrokenBy: []stacktest.Break{{
		Name:  "a service with a database of its own connects to another one",
		Stack: "two services",
		By:    stacktest.Set(reportsTask, reportsContainer+".environment[name=PGDATABASE].value", "app"),
		Found: reportsService,
	}, {
		Name:  "a variable of the application has the name of another database",
		Stack: "two services",
		By:    stacktest.Set(reportsTask, reportsContainer+".environment[name=DB_NAME].value", "app"),
		Found: reportsService,
	}, {
		Name:  "a URL for Java names another database",
		Stack: "two services",
		By: stacktest.Replace(reportsTask, reportsContainer+".environment[name=JDBC_URL].value",
			"/reports?", "/app?"),
		Found: reportsService,
	}, {
		Name:  "the function does not know that a service has a database of its own",
		Stack: "two services",
		By:    stacktest.Replace(databaseFunction, usersServices, `,"database":"reports"`, ""),
		Found: reportsService,
	}, {
		Name:  "the function gives the users of a service rights in another database",
		Stack: "two services",
		By:    stacktest.Set(databaseFunction, "environment.variables.PGDATABASE", "main"),
		Found: jobsService,
	}},
}, {
	Name:  "Secrets Manager accepts the rotations, each in a window, and none begins with a deployment",
	Check: rotationsAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a rotation has a number of days instead of a schedule, so that it begins at any hour",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Remove(webRotation, "rotation_rules.schedule_expression"),
			stacktest.Add(webRotation, "rotation_rules.automatically_after_days", 30.0),
		),
		Found: webRotation,
	}, {
		Name:  "a rotation has both a schedule and a number of days",
		Stack: "prod",
		By:    stacktest.Add(webRotation, "rotation_rules.automatically_after_days", 30.0),
		Found: webRotation,
	}, {
		Name:  "a rotation's window does not begin on the hour",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(30 2 10 * ? *)"),
		Found: webRotation,
	}, {
		Name:  "a rotation's schedule names a year",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(0 2 10 * ? 2027)"),
		Found: webRotation,
	}, {
		Name:  "a rotation's window extends into the next day",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(0 23 10 * ? *)"),
			stacktest.Set(webRotation, "rotation_rules.duration", "2h"),
		),
		Found: webRotation,
	}, {
		Name:  "a rotation's window has no length, so that it is open until midnight",
		Stack: "prod",
		By:    stacktest.Remove(webRotation, "rotation_rules.duration"),
		Found: webRotation,
	}, {
		Name:  "a deployment rotates a password",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotate_immediately", true),
		Found: webRotation,
	}, {
		Name:  "a secret has no rotation",
		Stack: "prod",
		By:    stacktest.Delete(webRotation),
		Found: webUserSecret,
	}},
}, {
	// In provider 5.100.0, an update that fails leaves the new input in the state, and is not repeated.
	// https://github.com/hashicorp/terraform-provider-aws/issues/43447
	Name:  "every change of the database's users calls the database function, and a failed call is repeated",
	Check: usersAreBroughtUpToDate,
	BrokenBy: []stacktest.Break{{
		Name:  "a change is an update, whose failure is recorded as done",
		Stack: "prod",
		By:    stacktest.Add(usersInvocation, "lifecycle_scope", "CRUD"),
		Found: usersInvocation,
	}, {
		Name:  "a change of the instance does not call the function",
		Stack: "prod",
		By:    stacktest.Replace(usersInvocation, "input.revision", "${aws_db_instance.database.address}", "main"),
		Found: usersInvocation,
	}, {
		Name:  "a change of the function's code does not call the function",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, "source_code_hash", "0123"),
		Found: usersInvocation,
	}, {
		Name:  "a change of the users does not call the function",
		Stack: "prod",
		By:    stacktest.Replace(databaseFunction, usersServices, "owner", "read"),
		Found: usersInvocation,
	}, {
		Name:  "the function is called with an action that it does not know",
		Stack: "prod",
		By:    stacktest.Set(usersInvocation, "input.action", "users"),
		Found: usersInvocation,
	}, {
		Name:  "the function is not called when the stack is deployed",
		Stack: "prod",
		By:    stacktest.Delete(usersInvocation),
		Found: databaseFunction,
	}},
}, {
	Name:  "the database function knows each service with a user, its secret, and nothing secret",
	Check: usersAreInTheEnvironment,
	BrokenBy: []stacktest.Break{{
		Name:  "the database function does not know a service that has a secret",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, usersServices, "{}"),
		Found: databaseFunction,
	}, {
		Name:  "the database function's services are not JSON",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, usersServices, "web"),
		Found: databaseFunction,
	}, {
		Name:  "the database function deploys a service again that does not exist",
		Stack: "prod",
		By: stacktest.Replace(databaseFunction, usersServices, `"service":"database_exporter"`,
			`"service":"exporter"`),
		Found: databaseFunction,
	}, {
		Name:  "the database function knows a service without a secret",
		Stack: "prod",
		By:    stacktest.Replace(databaseFunction, usersServices, `"web":{`, `"api":{},"web":{`),
		Found: databaseFunction,
	}, {
		Name:  "the database function does not know how often passwords are rotated",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, "environment.variables.ROTATION_DAYS", "0"),
		Found: databaseFunction,
	}, {
		Name:  "the database function looks for the secrets of another stack",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, "environment.variables.SECRET_PREFIX", "platform-dev/database/"),
		Found: databaseFunction,
	}, {
		Name:  "the database function gets a secret's ARN with a service",
		Stack: "prod",
		By: stacktest.Replace(databaseFunction, usersServices,
			`"level"`, `"secret":"arn:aws:secretsmanager:eu-central-1:1:secret:x","level"`),
		Found: databaseFunction,
	}, {
		Name:  "the database function reports to a namespace without an alarm",
		Stack: "prod",
		By:    stacktest.Set(databaseFunction, "environment.variables.METRIC_NAMESPACE", "Database"),
		Found: databaseFunction,
	}, {
		Name:  "nobody is notified when the database function is not called",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.database_function_not_called_alarm"),
		Found: databaseFunction,
	}, {
		Name:  "nobody is notified when rotations are overdue",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.database_rotation_overdue_alarm"),
		Found: databaseFunction,
	}},
}, {
	Name:  "the secret of a removed service is deleted after the call that removes the service's login",
	Check: secretsAreDeletedAfterLogins,
	BrokenBy: []stacktest.Break{{
		Name:  "a secret is deleted before what depends on it is changed",
		Stack: "prod",
		By:    stacktest.Remove(webUserSecret, "lifecycle.create_before_destroy"),
		Found: webUserSecret,
	}, {
		Name:  "the call does not depend on a secret",
		Stack: "two services",
		By:    stacktest.RemoveDependency(usersInvocation, webUserSecret),
		Found: usersInvocation,
	}},
}, {
	Name:  "failed and abandoned rotations of the stack's secrets notify the topic",
	Check: rotationEventsNotify,
	BrokenBy: []stacktest.Break{{
		Name:  "the rule has no target",
		Stack: "prod",
		By:    stacktest.Delete(rotationFailedTarget),
		Found: webUserSecret,
	}, {
		Name:  "the rule matches the secrets of another stack",
		Stack: "prod",
		By:    stacktest.Replace(rotationRule, rotationSecrets, "platform-prod", "platform-dev"),
		Found: webUserSecret,
	}, {
		Name:  "the rule does not match abandoned rotations",
		Stack: "prod",
		By:    stacktest.Set(rotationRule, "event_pattern.detail.eventName", []any{"RotationFailed"}),
		Found: webUserSecret,
	}, {
		Name:  "the rule matches calls of Secrets Manager instead of its own events",
		Stack: "prod",
		By:    stacktest.Set(rotationRule, "event_pattern.detail-type", []any{"AWS API Call via CloudTrail"}),
		Found: webUserSecret,
	}},
}}

const (
	rotationRule    = "aws_cloudwatch_event_rule.rotation_failed_rule"
	rotationSecrets = "event_pattern.detail.additionalEventData.SecretId.prefix"
)

// userSecretsOf returns the secrets of users of the database. Generated secrets are not rotated.
func userSecretsOf(s stacktest.Stack) []stacktest.Resource {
	return stacktest.Filter(s.Resources("aws_secretsmanager_secret"), func(secret stacktest.Resource) bool {
		return !strings.HasPrefix(secret.String("name"), s.Name()+"/generated/")
	})
}

var rotationHour = regexp.MustCompile(`^cron\(0 ([0-9]+) \S+ \S+ \S+ \*\)$`)

// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
func rotationsAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	rotations := s.Resources("aws_secretsmanager_secret_rotation")
	for _, secret := range userSecretsOf(s) {
		v.Want(len(stacktest.Referring(rotations, "secret_id", secret.Address)) == 1,
			secret.Address, "want one rotation")
	}
	for _, r := range rotations {
		schedule := r.String("rotation_rules.schedule_expression")
		hour := rotationHour.FindStringSubmatch(schedule)
		v.Want(hour != nil && isSchedule(schedule) && !r.Has("rotation_rules.automatically_after_days"),
			r.Address, "want a schedule that begins on the hour, every year, have %q", schedule)
		if hour != nil {
			begin, _ := strconv.Atoi(hour[1])
			length, err := strconv.Atoi(strings.TrimSuffix(r.String("rotation_rules.duration"), "h"))
			v.Want(err == nil && length >= 1 && begin+length <= 24,
				r.Address, "want a window that ends on the same day, have %v from %s",
				r.At("rotation_rules.duration"), schedule)
		}
		v.Want(r.Is("rotate_immediately", false), r.Address, "rotates the password when it is deployed")
	}
}

func usersAreBroughtUpToDate(s stacktest.Stack, v *stacktest.Violations) {
	invocations := s.Resources("aws_lambda_invocation")
	for _, f := range functionsInVPC(s) {
		calls := stacktest.Referring(invocations, "function_name", f.Address)
		v.Want(len(calls) == 1, f.Address, "want one invocation, have %d", len(calls))
		desired := sha256.Sum256([]byte(f.String(usersServices)))
		for _, c := range calls {
			v.Want(!c.Has("lifecycle_scope"),
				c.Address, "want the default scope CREATE_ONLY, have %v", c.At("lifecycle_scope"))
			v.Want(c.Is("input.action", "roles"), c.Address, "calls with the action %v", c.At("input.action"))
			revision := c.String("input.revision")
			for _, part := range []string{
				f.String("environment.variables.PGHOST"), f.String("source_code_hash"), hex.EncodeToString(desired[:8]),
			} {
				v.Want(part != "" && slices.Contains(strings.Fields(revision), part),
					c.Address, "want a revision with %s, have %s", part, revision)
			}
		}
	}
}

func usersAreInTheEnvironment(s stacktest.Stack, v *stacktest.Violations) {
	for _, f := range functionsInVPC(s) {
		variable := func(name string) string { return f.String("environment.variables." + name) }
		var services map[string]map[string]any
		err := json.Unmarshal([]byte(variable("SERVICES")), &services)
		v.Want(err == nil, f.Address, "has SERVICES that are not JSON: %v", err)
		names := map[string]bool{}
		for _, secret := range userSecretsOf(s) {
			name, ok := strings.CutPrefix(secret.String("name"), variable("SECRET_PREFIX"))
			v.Want(ok && services[name] != nil, f.Address, "does not know the service of %s", secret.Address)
			names[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(services)) {
			fields := slices.Sorted(maps.Keys(services[name]))
			if service, named := services[name]["service"]; named { // of a user of the platform
				v.Want(slices.ContainsFunc(serviceTasks(s), func(t serviceTask) bool { return t.name() == service }),
					f.Address, "deploys the service %v again, which does not exist", service)
			}
			fields = slices.DeleteFunc(fields, func(field string) bool {
				return slices.Contains([]string{"service", "url", "database"}, field)
			})
			v.Want(slices.Equal(fields, []string{"connections", "level", "statement_timeout"}),
				f.Address, "has %v of %s in its environment", fields, name)
			v.Want(names[name], f.Address, "knows the service %s, which has no secret", name)
		}
		v.Want(f.Number("environment.variables.ROTATION_DAYS") >= 1, f.Address, "has no ROTATION_DAYS")
		reported := []string{"ObjectsInUse"}
		if len(names) > 0 {
			reported = append(reported, "OverdueRotations")
		}
		for _, metric := range reported {
			has := slices.ContainsFunc(s.Resources("aws_cloudwatch_metric_alarm"), func(a stacktest.Resource) bool {
				return a.Is("metric_name", metric) && a.Is("namespace", variable("METRIC_NAMESPACE"))
			})
			v.Want(has, f.Address, "reports %s to %s, without an alarm", metric, variable("METRIC_NAMESPACE"))
		}
		v.Want(hasAlarm(s, "Invocations", "FunctionName", f.Address), f.Address, "has no alarm if it is not called")
	}
}

// keysAreWrittenBeforeTasksStart looks at each reference to a key of a user's secret. The call of the
// function, which usersAreBroughtUpToDate repeats after each change, writes the keys.
func keysAreWrittenBeforeTasksStart(s stacktest.Stack, v *stacktest.Violations) {
	var services map[string]struct{ URL *string }
	_ = json.Unmarshal([]byte(s.Resource(databaseFunction).String(usersServices)), &services)
	for _, t := range serviceTasks(s) {
		waits := slices.Contains(t.service.Strings("depends_on"), usersInvocation)
		for _, c := range t.containers() {
			for _, secret := range c.Blocks("secrets") {
				reference := secret.String("valueFrom")
				_, key, ofUser := strings.Cut(strings.TrimSuffix(reference, "::"), "_database_secret.arn}:")
				if !ofUser {
					continue
				}
				url := services[t.name()].URL
				known := key == "username" || key == "password" || key == "url" && url != nil
				v.Want(known, t.service.Address, "reads the key %s, which nothing writes", key)
				v.Want(waits, t.service.Address, "starts tasks before the database function wrote %s", key)
				v.Want(key != "url" || url == nil || c.Is("dockerLabels.database-url-parameters", *url),
					t.service.Address, "does not replace its tasks if the parameters of the URL change")
			}
		}
	}
}

// tasksConnectToTheirDatabase looks at the names of databases in the containers' variables.
func tasksConnectToTheirDatabase(s stacktest.Stack, v *stacktest.Violations) {
	function := s.Resource(databaseFunction)
	var services map[string]struct{ Database string }
	_ = json.Unmarshal([]byte(function.String(usersServices)), &services)
	for _, t := range serviceTasks(s) {
		service, known := services[t.name()]
		if !known {
			continue
		}
		want := cmp.Or(service.Database, function.String("environment.variables.PGDATABASE"))
		for _, c := range t.called(t.mainContainer()) {
			for _, variable := range c.Blocks("environment") {
				name, have := variable.String("name"), variable.String("value")
				if _, path, isURL := strings.Cut(have, ":5432/"); isURL {
					have, _, _ = strings.Cut(path, "?")
				} else if name != "PGDATABASE" && name != "DB_NAME" {
					continue
				}
				v.Want(have == want, t.service.Address, "connects to %s, want %s", have, want)
			}
		}
	}
}

func secretsAreDeletedAfterLogins(s stacktest.Stack, v *stacktest.Violations) {
	for _, secret := range userSecretsOf(s) {
		v.Want(secret.Is("lifecycle.create_before_destroy", true),
			secret.Address, "is deleted before the function takes the login of its service away")
	}
	for _, f := range functionsInVPC(s) {
		for _, call := range stacktest.Referring(s.Resources("aws_lambda_invocation"), "function_name", f.Address) {
			for _, secret := range userSecretsOf(s) {
				v.Want(slices.Contains(call.Strings("depends_on"), secret.Address),
					call.Address, "does not depend on %s, which may then be deleted first", secret.Address)
			}
		}
	}
}

// The event is Secrets Manager's own, not that of a call, and has the secret's ARN in
// additionalEventData:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/cloudtrail_log_entries.html
func rotationEventsNotify(s stacktest.Stack, v *stacktest.Violations) {
	for _, secret := range userSecretsOf(s) {
		notifies := slices.ContainsFunc(s.Resources("aws_cloudwatch_event_rule"), func(rule stacktest.Resource) bool {
			targets := stacktest.Referring(s.Resources("aws_cloudwatch_event_target"), "rule", rule.Address)
			arn := "arn:aws:secretsmanager:" + s.Region() + ":" + callerAccount + ":secret:" + secret.String("name")
			prefix := rule.String(rotationSecrets)
			return slices.Equal(rule.Strings("event_pattern.source"), []string{"aws.secretsmanager"}) &&
				slices.Equal(rule.Strings("event_pattern.detail-type"), []string{"AWS Service Event via CloudTrail"}) &&
				slices.Contains(rule.Strings("event_pattern.detail.eventName"), "RotationFailed") &&
				slices.Contains(rule.Strings("event_pattern.detail.eventName"), "RotationAbandoned") &&
				prefix != "" && strings.HasPrefix(arn, prefix) &&
				len(targets) == 1 && s.Resource(targets[0].Reference("arn")).Kind() == "aws_sns_topic"
		})
		v.Want(notifies, secret.Address, "has no rule that notifies the topic of its failed rotations")
	}
}
