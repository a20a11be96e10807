package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"platform/internal/golden"
)

// layout splits a stack into the files of testdata/<environment>. A new resource that matches no
// module is an error: decide where a reviewer would look for it.
var layout = golden.Layout{
	// The first that matches holds the resource, so what has a file whatever its id comes first.
	Modules: []golden.Module{
		{File: "terraform.json", Address: regexp.MustCompile(`^(terraform|provider|data|ephemeral|moved)$`)},
		{File: "outputs.json", Address: regexp.MustCompile(`^output$`)},

		{File: "keys.json", Address: regexp.MustCompile(`^aws_kms_`)},
		{File: "alarms.json", Address: regexp.MustCompile(`^aws_cloudwatch_metric_alarm\.`)},
		{File: "network.json", Address: regexp.MustCompile(`^aws_(vpc|vpc_endpoint\w*|subnet|route|route_table\w*|eip|` +
			`nat_gateway|internet_gateway|default_security_group)\.|\.(flow_log|endpoint)`)},

		{File: "monitoring.json", Address: regexp.MustCompile(
			`\.(alerts_|heartbeat_|dashboard$|database_events$|deployment_failed_|dump_failed_|rotation_failed_)`)},
		{File: "secrets.json", Address: regexp.MustCompile(`\.generated_`)},
		{File: "database.json", Address: regexp.MustCompile(`\.database|^aws_secretsmanager_`)},
		{File: "service_$1.json", Address: regexp.MustCompile(`\.service_([a-z0-9]+)_`)},
		{File: "load_balancer.json", Address: regexp.MustCompile(
			`\.(load_balancer|https?_listener|certificate|firewall|access_logs_bucket)`)},
		{File: "cluster.json", Address: regexp.MustCompile(`\.(cluster|namespace$|exec_|container_insights_)`)},
		{File: "prometheus.json", Address: regexp.MustCompile(`\.prometheus_`)},
		{File: "backup.json", Address: regexp.MustCompile(`\.backup_`)},
	},
	Documents: []golden.Document{
		{Kind: "aws_iam_role", Argument: "assume_role_policy", ID: "*", File: "policies/*_trust.json"},
		{Kind: "aws_iam_role_policy", Argument: "policy", ID: "*_policy", File: "policies/*.json"},
		{Kind: "aws_kms_key", Argument: "policy", ID: "*", File: "policies/*.json"},
		{Kind: "aws_s3_bucket_policy", Argument: "policy", ID: "*_policy", File: "policies/*.json"},
		{Kind: "aws_sns_topic_policy", Argument: "policy", ID: "*_policy", File: "policies/*.json"},
		{Kind: "aws_ecr_lifecycle_policy", Argument: "policy", ID: "*", File: "policies/*.json"},
		{
			Kind: "aws_ecs_task_definition", Argument: "container_definitions",
			ID: "*_task_definition", File: "containers/*.json",
		},
		{Kind: "aws_cloudwatch_event_rule", Argument: "event_pattern", ID: "*_rule", File: "events/*.json"},
		{Kind: "aws_cloudwatch_dashboard", Argument: "dashboard_body", ID: "*", File: "dashboards/*.json"},
		{Kind: "aws_lambda_invocation", Argument: "input", ID: "*", File: "inputs/*.json"},
		{Kind: "aws_scheduler_schedule", Argument: "target.input", ID: "*", File: "inputs/*.json"},
		{
			Kind: "aws_lambda_function", Argument: "environment.variables.SERVICES",
			ID: "*_function", File: "inputs/*_services.json",
		},
	},
}

// scenarios are the stacks of otherStacks that have goldens, by the name of their folder.
var scenarios = map[string]string{"no-database": "no database"}

// goldenStacks returns the stacks that have goldens, by the name of their folder.
func goldenStacks(t *testing.T) map[string]tree {
	t.Helper()
	stacks := map[string]tree{}
	for _, environment := range shipped(t) {
		stacks[environment] = shippedStack(t, environment)
	}
	for folder, name := range scenarios {
		cfg := parse(t, otherStacks[name].environment, otherConfig(name))
		stacks[folder] = synth(t, cfg, placeholder(t))
	}
	return stacks
}

func TestStacksSynthesiseToTheirGoldens(t *testing.T) {
	for folder, stack := range goldenStacks(t) {
		t.Run(folder, func(t *testing.T) {
			files, err := golden.Split(stack, layout)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, filepath.Join("testdata", folder), files)
		})
	}
}

// What the files do not hold could change unnoticed.
func TestGoldensHoldTheWholeStack(t *testing.T) {
	for folder, stack := range goldenStacks(t) {
		t.Run(folder, func(t *testing.T) {
			files, err := golden.Split(stack, layout)
			if err != nil {
				t.Fatal(err)
			}
			joined, err := golden.Join(files)
			if err != nil {
				t.Fatal(err)
			}
			want, got := string(text(t, stack)), string(text(t, joined))
			if diff := golden.FirstDifference(want, got); diff != "" {
				t.Errorf("the files join to another stack:\n%s", diff)
			}
		})
	}
}

func TestEveryGoldenIsOfAShippedEnvironment(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	known := append([]string{"explain.txt", "iam.json", "removed.addresses", "without-database"},
		slices.Collect(maps.Keys(scenarios))...)
	for _, environment := range shipped(t) {
		known = append(known, environment, environment+".addresses")
	}
	for _, entry := range entries {
		if !slices.Contains(known, entry.Name()) {
			t.Errorf("testdata/%s belongs to no environment in config/ and to no other test; delete it", entry.Name())
		}
	}
}

// An environment that ships later has a file for each of its resources already.
func TestEveryResourceHasAFile(t *testing.T) {
	for name, stack := range allStacks(t) {
		for _, r := range stack.Resources() {
			if _, err := layout.File(r.Address); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
