package main

import (
	"fmt"
	"regexp"
	"strings"

	"platform/internal/stacktest"
)

const prometheusTaskDefinition = "aws_ecs_task_definition.prometheus_task_definition"

var secretPromises = []stacktest.Promise{{
	Name:  "the stack's JSON contains no secrets, because the state and its readers would get them",
	Check: jsonContainsNoSecrets,
	BrokenBy: []stacktest.Break{{
		Name:  "the database has a password in the stack",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "password", "hunter2"),
		Found: databaseInstance,
	}, {
		Name:  "a secret has its value in the stack",
		Stack: "dev",
		By:    stacktest.Create("aws_secretsmanager_secret_version.web", map[string]any{"secret_string": "hunter2"}),
		Found: "aws_secretsmanager_secret_version.web",
	}, {
		Name:  "a secret has its value in a write-only argument, which is in the JSON",
		Stack: "dev",
		By:    stacktest.Create("aws_secretsmanager_secret_version.web", map[string]any{"secret_string_wo": "hunter2"}),
		Found: "aws_secretsmanager_secret_version.web",
	}, {
		Name:  "a container has a token among its environment variables",
		Stack: "prod",
		By:    stacktest.Append(webTask, webVariables, map[string]any{"name": "API_TOKEN", "value": "hunter2"}),
		Found: webTask,
	}, {
		Name:  "a container has PGPASSWORD among its environment variables",
		Stack: "prod",
		By:    stacktest.Append(webTask, webVariables, map[string]any{"name": "PGPASSWORD", "value": "hunter2"}),
		Found: webTask,
	}, {
		Name:  "a container's secret is the value instead of an ARN",
		Stack: "prod",
		By: stacktest.Set(
			webTask, "container_definitions[name=web].secrets",
			[]any{map[string]any{"name": "PGPASSWORD", "valueFrom": "hunter2"}},
		),
		Found: webTask,
	}, {
		Name:  "the lookup of a secret copies its value into the state",
		Stack: "a service that needs more",
		By: stacktest.SetRoot("data", map[string]any{"aws_secretsmanager_secret_version": map[string]any{
			"stripe": map[string]any{"secret_id": "shop/stripe"},
		}}),
		Found: "data.aws_secretsmanager_secret_version.stripe",
	}, {
		Name:  "a function has a password among its environment variables",
		Stack: "prod",
		By:    stacktest.Add(backupFunction, "environment.variables.DB_PASSWORD", "hunter2"),
		Found: backupFunction,
	}, {
		Name:  "a container's command contains an access key",
		Stack: "dev",
		By:    stacktest.Add(webTask, "container_definitions[name=web].command", []any{"--id", "AKIAIOSFODNN7EXAMPLE"}),
		Found: webTask,
	}, {
		Name:  "a function's environment variable is a URL with a password",
		Stack: "dev",
		By:    stacktest.Add(backupFunction, "environment.variables.HOOK", "https://me:hunter2@example.com"),
		Found: backupFunction,
	}, {
		Name:  "an object's content is a private key",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusConfigText, "-----BEGIN RSA PRIVATE KEY-----"),
		Found: prometheusTask,
	}, {
		Name:  "an output contains the database's password",
		Stack: "dev",
		By:    stacktest.SetRoot("output.vpc_id.value", "${aws_db_instance.database.password}"),
		Found: "output.vpc_id",
	}},
}, {
	Name:  "RDS manages the master user's password",
	Check: passwordIsManaged,
	BrokenBy: []stacktest.Break{{
		Name:  "RDS does not manage the password of the main database",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "manage_master_user_password", false),
		Found: databaseInstance,
	}, {
		Name:  "RDS does not manage the password of a restored database",
		Stack: "a restored database",
		By:    stacktest.Remove(migratedDatabase, "manage_master_user_password"),
		Found: migratedDatabase,
	}, {
		Name:  "the main database has a password of its own",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "password", "hunter2"),
		Found: databaseInstance,
	}, {
		Name:  "the database has a write-only password in the configuration",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "password_wo", "hunter2"),
		Found: databaseInstance,
	}},
}, {
	// RDS rotates the password every seven days, and ECS reads secrets only when a task starts:
	// within a week, a running service would lose its database.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
	Name:  "no task gets the master user's password",
	Check: masterPasswordIsNotInTasks,
	BrokenBy: []stacktest.Break{{
		Name:  "Prometheus gets the master user's password",
		Stack: "prod",
		By: stacktest.Add(
			prometheusTaskDefinition, "container_definitions[name=prometheus].secrets",
			[]any{
				map[string]any{
					"name":      "PGPASSWORD",
					"valueFrom": "${aws_db_instance.database.master_user_secret[0].secret_arn}:password::",
				},
			},
		),
		Found: prometheusTaskDefinition,
	}},
}}

var (
	secretArgument = regexp.MustCompile(`(^|_)(password|passwd|secret_string|secret_binary|` +
		`auth_token|access_token|secret_key|access_key|private_key)(_wo)?$`)
	secretVariable = regexp.MustCompile(`(?i)PASSWORD|PASSWD|SECRET|TOKEN|KEY|CREDENTIAL`)
	secretValue    = regexp.MustCompile(`AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|` +
		`[a-z]://[^/\s:@"$]+:[^/\s@"$]+@`)
	drawn      = regexp.MustCompile(`^\$\{ephemeral\.[a-z0-9_]+\.[a-z0-9_]+\.random_password\}$`)
	secretARNs = regexp.MustCompile(`^(arn:aws:(secretsmanager|ssm):|\$\{(data\.)?aws_[a-z_]+\.[a-z0-9_]+\.)`)
)

func jsonContainsNoSecrets(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range append(s.Resources(), s.DataSources()...) {
		stacktest.EachString(r.Body(), func(path, text string) {
			last := path[strings.LastIndexByte(path, '.')+1:]
			ephemeral := last == "secret_string_wo" && drawn.MatchString(text)
			v.Want(!secretArgument.MatchString(last) || text == "" || ephemeral,
				r.Address, "has a value in %s, which is for a secret", path)
			v.Want(!secretValue.MatchString(text), r.Address, "has what looks like a secret in %s", path)
		})
	}
	for _, data := range s.DataSources("aws_secretsmanager_secret_version", "aws_ssm_parameter") {
		v.Want(false, data.Address, "copies the value of a secret into the state")
	}
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			for _, variable := range c.Blocks("environment") {
				name := variable.String("name")
				v.Want(!secretVariable.MatchString(name), c.Address, "has %s in its environment", name)
			}
			for _, secret := range c.Blocks("secrets") {
				v.Want(secretARNs.MatchString(secret.String("valueFrom")),
					c.Address, "want an ARN as the value of the secret %s", secret.String("name"))
			}
		}
	}
	for _, function := range s.Resources("aws_lambda_function") {
		variables, _ := function.At("environment.variables").(map[string]any)
		for name, value := range variables {
			prefix := name == "SECRET_PREFIX" && value == s.Name()+"/database/" // of the names of secrets
			v.Want(!secretVariable.MatchString(name) || prefix ||
				strings.HasSuffix(name, "_ARN") && secretARNs.MatchString(fmt.Sprint(value)),
				function.Address, "has %s in its environment", name)
		}
	}
	outputs, _ := s.At("output").(map[string]any)
	for name := range outputs {
		value := fmt.Sprint(s.At("output." + name + ".value"))
		v.Want(!strings.Contains(value, "password") && !secretValue.MatchString(value),
			"output."+name, "contains a password")
	}
}

func passwordIsManaged(s stacktest.Stack, v *stacktest.Violations) {
	for _, db := range s.Resources("aws_db_instance") {
		v.Want(db.Is("manage_master_user_password", true),
			db.Address, "want a password that RDS manages")
		v.Want(!db.Has("password") && !db.Has("password_wo"),
			db.Address, "has a password")
	}
}

func masterPasswordIsNotInTasks(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			for _, secret := range c.Blocks("secrets") {
				v.Want(!strings.Contains(secret.String("valueFrom"), "master_user_secret"),
					c.Address, "gets the master user's password in %s", secret.String("name"))
			}
		}
	}
}
