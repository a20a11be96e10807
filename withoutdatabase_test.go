package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/golden"
	"platform/internal/stacktest"
)

var withoutDatabasePromises = []stacktest.Promise{{
	Name:  "a stack without a database has nothing that refers to one, but what keeps earlier backups",
	Check: nothingIsLeftOfTheDatabase,
	BrokenBy: []stacktest.Break{{
		Name:  "there is a subnet group",
		Stack: "no database",
		By:    stacktest.Create("aws_db_subnet_group.group", map[string]any{"name": "platform-dev"}),
		Found: "aws_db_subnet_group.group",
	}, {
		Name:  "there is a subnet for a database",
		Stack: "no database",
		By:    stacktest.CreateLike(privateSubnetA, "aws_subnet.data_subnet_a", "tags.Name", "platform-dev-database-a"),
		Found: "aws_subnet.data_subnet_a",
	}, {
		Name:  "RDS may publish to the topic",
		Stack: "no database",
		By: stacktest.Set(
			alertsTopicPolicy, "policy.Statement[Sid=Events].Principal.Service", "events.rds.amazonaws.com"),
		Found: alertsTopicPolicy,
	}, {
		Name:  "a service may reach PostgreSQL",
		Stack: "no database",
		By:    stacktest.Set("aws_vpc_security_group_egress_rule.service_web_https_egress", "to_port", 5432.0),
		Found: "aws_vpc_security_group_egress_rule.service_web_https_egress",
	}, {
		Name:  "the log of the database is an output",
		Stack: "no database",
		By:    stacktest.SetRoot("output.log_group_names.value", map[string]any{"database": "/aws/rds"}),
		Found: "output.log_group_names",
	}, {
		Name:  "there is a function",
		Stack: "no database, in production",
		By:    stacktest.Create("aws_lambda_function.function", map[string]any{"function_name": "platform-live"}),
		Found: "aws_lambda_function.function",
	}, {
		Name:  "the backup bucket is still replicated",
		Stack: "no database, in production",
		By: stacktest.Create("aws_s3_bucket_replication_configuration.backup_bucket_replication",
			map[string]any{"bucket": idOf(backupBucket)}),
		Found: "aws_s3_bucket_replication_configuration.backup_bucket_replication",
	}},
}, {
	Name:  "Terraform refuses to destroy a database that a protected stack has switched off",
	Check: databaseIsGuarded,
	BrokenBy: []stacktest.Break{{
		Name:  "there is no guard",
		Stack: "no database, in production",
		By:    stacktest.Delete(databaseInstance),
		Found: databaseInstance,
	}, {
		Name:  "the guard does not prevent the destruction",
		Stack: "no database, in production",
		By:    stacktest.Set(databaseInstance, "lifecycle.prevent_destroy", false),
		Found: databaseInstance,
	}, {
		Name:  "the guard has an argument that refers to what does not exist",
		Stack: "no database, in production",
		By:    stacktest.Add(databaseInstance, "kms_key_id", arnOf(databaseKey)),
		Found: databaseInstance,
	}, {
		Name:  "an unprotected stack has a guard, and its database could never be removed",
		Stack: "no database, in production without protection",
		By: stacktest.Create(databaseInstance, map[string]any{
			"count": 0.0, "instance_class": "db.t4g.micro", "lifecycle": map[string]any{"prevent_destroy": true},
		}),
		Found: databaseInstance,
	}},
}}

// hasNoDatabase tells whether the database is switched off.
func hasNoDatabase(s stacktest.Stack) bool { return len(s.Resources("aws_db_instance")) == 0 }

// ofDatabase matches what refers to a database, or to its functions, schedules and backups.
var ofDatabase = regexp.MustCompile(
	`(?i)database|postgres|\brds\b|aws_db_|\b5432\b|snapshot|backup|\bdump|lambda|aws_scheduler_`)

// keptOfBackups are the addresses of what stays: keys with their aliases, and buckets with their
// configuration.
var keptOfBackups = regexp.MustCompile(
	`^aws_kms_(key|alias)\.(database|backup|copy)_key|^aws_s3_bucket\w*\.backup_(copy_)?bucket`)

// What goes when the database of a deployed stack is switched off is in testdata/without-database, with a
// dash before each address; what changes has a tilde.
func TestSwitchingTheDatabaseOffTouchesNothingElse(t *testing.T) {
	const production = minimal + "profile: production\nstate: {backend: local}\nload_balancer: {allow_http: true}\n" +
		"backup: {copy: {region: eu-west-1}}\n"
	files := golden.Files{}
	for name, settings := range map[string]string{
		"development": minimal, "production": production, "production-unprotected": production + "protected: false\n",
	} {
		settings += "services: {web: {image: quay.io/x/web:1, route: {paths: ['/*']}}}\n"
		before := synth(t, parse(t, "dev", settings), placeholder(t))
		after := synth(t, parse(t, "dev", settings+"database: {enabled: false}\n"), placeholder(t))
		added, removed, changed := compare(before, after)
		if len(added) > 0 {
			t.Errorf("%s: adds %v", name, added)
		}
		var lines strings.Builder
		for _, address := range removed {
			fmt.Fprintln(&lines, "- "+address)
			if name != "development" && dataOfBackups.MatchString(address) {
				t.Errorf("%s: removes %s, which earlier backups need", name, address)
			}
		}
		for _, address := range changed {
			fmt.Fprintln(&lines, "~ "+address)
		}
		files[name+".txt"] = lines.String()
	}
	golden.Check(t, "testdata/without-database", files)
}

// dataOfBackups matches what holds data, or the key of some.
var dataOfBackups = regexp.MustCompile(`^aws_(kms_key|s3_bucket)\.`)

func nothingIsLeftOfTheDatabase(s stacktest.Stack, v *stacktest.Violations) {
	if !hasNoDatabase(s) {
		return
	}
	found := func(address string, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		matched := ofDatabase.FindString(address + " " + string(text))
		v.Want(matched == "", address, "refers to a database: %s", matched)
	}
	for _, r := range append(s.Resources(), s.DataSources()...) {
		kept := keptOfBackups.MatchString(r.Address) && r.Kind() != "aws_s3_bucket_replication_configuration"
		if !kept {
			found(r.Address, r.Body())
		}
	}
	for _, section := range []string{"output", "variable", "ephemeral", "locals"} {
		named, _ := s.At(section).(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(named)) {
			found(section+"."+name, named[name])
		}
	}
}

func databaseIsGuarded(s stacktest.Stack, v *stacktest.Violations) {
	if !hasNoDatabase(s) {
		return
	}
	guard := s.Resource(databaseInstance)
	v.Want(guard.Exists() == isProtected(s), databaseInstance, "want a guard exactly if the stack is protected")
	if !guard.Exists() {
		return
	}
	v.Want(guard.Is("lifecycle.prevent_destroy", true), databaseInstance, "does not prevent the destruction")
	for argument := range guard.Body() {
		v.Want(slices.Contains([]string{"count", "instance_class", "lifecycle"}, argument), databaseInstance,
			"want no argument besides those that Terraform requires, have %s", argument)
	}
}
