package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const prometheusWorkspace = "aws_prometheus_workspace.prometheus_workspace"

// prometheusConfigText is where Prometheus's configuration is in its task definition.
const prometheusConfigText = configurationContainer + ".environment[name=PROMETHEUS_YML].value"

var prometheusPromises = []stacktest.Promise{{
	Name:  "Prometheus starts with the configuration of its deployment, and stores metrics on its volume",
	Check: prometheusHasItsConfiguration,
	BrokenBy: []stacktest.Break{{
		Name:  "Prometheus starts with a configuration that a later deployment may change",
		Stack: "prod",
		By: stacktest.Set(prometheusTask, configurationContainer+".command",
			[]any{"s3api", "get-object", "--bucket", "b", "--key", "prometheus.yml", "/configuration/prometheus.yml"}),
		Found: prometheusTask,
	}, {
		Name:  "the task definition does not have the configuration that is written",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, configurationContainer+".environment", []any{}),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus does not wait for its configuration",
		Stack: "prod",
		By:    stacktest.Remove(prometheusTask, prometheusContainer+".dependsOn"),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus waits only for the start of the container that fetches its configuration",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, dependsOnConfiguration+".condition", "START"),
		Found: prometheusTask,
	}, {
		Name:  "the task stops when the configuration is fetched",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, configurationContainer+".essential", true),
		Found: prometheusTask,
	}, {
		Name:  "Alertmanager starts before its configuration is written",
		Stack: "prod",
		By:    stacktest.Remove(prometheusTask, alertmanagerContainer+".dependsOn"),
		Found: prometheusTask,
	}, {
		Name:  "Alertmanager's configuration is not written",
		Stack: "prod",
		By: stacktest.Replace(prometheusTask, configurationContainer+".command", "/configuration/alertmanager.yml",
			"/configuration/alertmanager.yaml"),
		Found: prometheusTask,
	}, {
		Name:  "Alertmanager does not see the volume of its configuration",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, alertmanagerContainer+".mountPoints", []any{}),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus is told the cluster's name instead of its ARN",
		Stack: "prod",
		By: stacktest.Replace(prometheusTask, prometheusConfigText, "${aws_ecs_cluster.cluster.arn}",
			"platform-prod"),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus's configuration contains a template placeholder",
		Stack: "prod",
		By:    stacktest.Replace(prometheusTask, prometheusConfigText, "eu-central-1", "[[.Region]]"),
		Found: prometheusTask,
	}, {
		Name:  "there is no Prometheus service",
		Stack: "prod",
		By:    stacktest.Delete(prometheusService),
		Found: prometheusService,
	}, {
		Name:  "Prometheus stores metrics in its tmpfs",
		Stack: "prod",
		By: stacktest.Replace(prometheusTask, prometheusContainer+".command", "--storage.tsdb.path=/prometheus",
			"--storage.tsdb.path=/tmp"),
		Found: prometheusTask,
	}},
}, {
	Name:  "Prometheus writes its history to the workspace, if there is one",
	Check: historyIsWritten,
	BrokenBy: []stacktest.Break{{
		Name:  "Prometheus does not write to the workspace",
		Stack: "a durable history of metrics",
		By:    stacktest.Replace(prometheusTask, prometheusConfigText, "api/v1/remote_write", "api/v1/query"),
		Found: prometheusWorkspace,
	}, {
		Name:  "Prometheus does not sign its requests",
		Stack: "a durable history of metrics",
		By:    stacktest.Replace(prometheusTask, prometheusConfigText, "sigv4:", "tls_config:"),
		Found: prometheusTask,
	}, {
		Name:  "the role of Prometheus allows reading the workspace only",
		Stack: "a durable history of metrics",
		By:    stacktest.Set(prometheusPolicy, "policy.Statement[Sid=History].Action", []any{"aps:QueryMetrics"}),
		Found: prometheusTaskRole,
	}, {
		Name:  "the workspace that Prometheus writes to is missing",
		Stack: "a durable history of metrics",
		By:    stacktest.Delete(prometheusWorkspace),
		Found: prometheusTask,
	}},
}, {
	Name:  "a container of Prometheus's task that crashes is restarted with its files",
	Check: prometheusRestartsInPlace,
	BrokenBy: []stacktest.Break{{
		Name:  "a crash of Prometheus ends its task, and the history with it",
		Stack: "dev",
		By:    stacktest.Remove(prometheusTask, prometheusContainer+".restartPolicy"),
		Found: prometheusTask,
	}, {
		Name:  "a configuration that Prometheus refuses ends no task, so that its deployment does not fail",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".essential", false),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus is not restarted within its first five minutes",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".restartPolicy.restartAttemptPeriod", 300.0),
		Found: prometheusTask,
	}},
}}

// The exporter of PostgreSQL's metrics adds itself, its user, and what lets Prometheus reach it.
func TestDatabaseExporterChangesNothingElse(t *testing.T) {
	off := synth(t, parse(t, "dev", minimal), placeholder(t))
	on := synth(t, parse(t, "dev", minimal+"monitoring: {database: true}\n"), placeholder(t))
	added, removed, changed := compare(off, on)
	for _, address := range added {
		if !strings.Contains(address, ".database_exporter_") && !strings.Contains(address, ".platform_monitor_") {
			t.Errorf("adds %s", address)
		}
	}
	want := []string{
		"aws_cloudwatch_dashboard.dashboard",                 // shows the alarm
		"aws_ecs_task_definition.prometheus_task_definition", // has alerts on PostgreSQL
		"aws_iam_role_policy.database_function_role_policy",
		"aws_lambda_function.database_function",
		"aws_lambda_invocation.database_roles",
	}
	if len(added) < 10 || len(removed) > 0 || !slices.Equal(changed, want) {
		t.Errorf("adds %v, removes %v, changes %v, want %v", added, removed, changed, want)
	}
}

// historyIsWritten: the workspace that the role may write to is the one that the text names.
func historyIsWritten(s stacktest.Stack, v *stacktest.Violations) {
	text := s.Resource(prometheusTask).String(prometheusConfigText)
	workspaces := s.Resources("aws_prometheus_workspace")
	for _, workspace := range workspaces {
		v.Want(strings.Contains(text, "url: ${"+workspace.Address+".prometheus_endpoint}api/v1/remote_write"),
			workspace.Address, "gets no metrics from Prometheus")
		v.Want(strings.Contains(text, "sigv4:"), prometheusTask, "does not sign what it writes to the workspace")
		role := s.Resource(prometheusTask).Reference("task_role_arn")
		v.Want(roleAllows(s, role, "aps:RemoteWrite", workspace.Address),
			role, "does not allow writing to %s", workspace.Address)
	}
	v.Want(!strings.Contains(text, "remote_write:") || len(workspaces) == 1,
		prometheusTask, "writes to a workspace that is not in the stack")
}

// prometheusRestartsInPlace: a container that exits in its first minute ends the task, because it is
// essential. Three such tasks fail the deployment, which ECS rolls back.
func prometheusRestartsInPlace(s stacktest.Stack, v *stacktest.Violations) {
	for _, c := range prometheusServiceTask(s).containers() {
		if c.String("name") == "configuration" {
			continue
		}
		v.Want(c.Is("essential", true), c.Address, "may exit while the task runs on without it")
		v.Want(c.Is("restartPolicy.enabled", true) && c.Is("restartPolicy.restartAttemptPeriod", 60.0),
			c.Address, "is not restarted when it exits after a minute")
	}
}

// Without Prometheus, nothing of it is left: no resource, no permission, no tag, and no text.
func TestPrometheusThatIsOffLeavesNoTrace(t *testing.T) {
	const service = "services: {web: {" + demonstration + ", metrics: {enabled: true}}}\n"
	on := synth(t, parse(t, "dev", minimal+service), placeholder(t))
	off := synth(t, parse(t, "dev", minimal+service+"monitoring: {prometheus: {enabled: false}}\n"), placeholder(t))
	for _, word := range []string{"prometheus", "metricsport", "metricspath", "heartbeat", "9090"} {
		lower := strings.ToLower(string(text(t, off)))
		if at := strings.Index(lower, word); at >= 0 {
			t.Errorf("%s is left: %.200s", word, lower[max(0, at-100):])
		}
	}
	added, removed, changed := compare(on, off)
	if len(added) > 0 || len(removed) < 10 {
		t.Errorf("without Prometheus, the stack gains %v and loses only %v", added, removed)
	}
	if want := []string{
		"aws_cloudwatch_dashboard.dashboard", // shows the alarms
		"aws_ecs_service.service_web_service",
		"aws_ecs_task_definition.service_web_task_definition",
	}; !slices.Equal(changed, want) {
		t.Errorf("without Prometheus, %v change, want %v", changed, want)
	}
}

// prometheusHasItsConfiguration: the text in the task definition makes a change of the configuration
// deploy the service, and lets ECS start a task of any earlier revision. A cluster's name in place of
// its ARN stops Prometheus: https://github.com/prometheus/prometheus/pull/19449
func prometheusHasItsConfiguration(s stacktest.Stack, v *stacktest.Violations) {
	t := prometheusServiceTask(s)
	if !s.Resource(prometheusTask).Exists() {
		return // Prometheus is off
	}
	v.Want(t.service.Exists(), prometheusService, "does not exist")
	configuration := t.called("configuration")
	v.Want(len(configuration) == 1, t.definition.Address, "has no container that writes its texts")
	for _, writer := range configuration {
		v.Want(writer.Is("essential", false), writer.Address, "is essential, so that the task stops when it exits")
		script := strings.Join(writer.Strings("command"), " ")
		for _, c := range t.containers() {
			if c.Address == writer.Address {
				continue
			}
			dependencies := c.Blocks("dependsOn")
			v.Want(len(dependencies) == 1 &&
				dependencies[0].Is("containerName", "configuration") &&
				dependencies[0].Is("condition", "SUCCESS"),
				c.Address, "does not wait for its configuration")
			v.Want(c.Is("mountPoints[sourceVolume=configuration].containerPath", "/configuration"),
				c.Address, "does not have the folder of its configuration")
			file := argument(c, "--config.file=")
			variable := variableOfText(strings.TrimPrefix(file, "/configuration/"))
			v.Want(strings.Contains(script, fmt.Sprintf(`printf '%%s' "$%s" > %s`, variable, file)) &&
				writer.String("environment[name="+variable+"].value") != "",
				c.Address, "reads %s, which nothing writes", file)
		}
		for _, text := range writer.Blocks("environment") {
			v.Want(!strings.Contains(text.String("value"), "[["), writer.Address,
				"has a template placeholder in %s", text.String("name"))
		}
	}
	main := t.called("prometheus")
	v.Want(len(main) == 1 && argument(main[0], "--storage.tsdb.path=") == "/prometheus",
		t.definition.Address, "stores metrics where it cannot write, or in memory")
	text := t.definition.String(prometheusConfigText)
	v.Want(strings.Contains(text, `clusters: ["${aws_ecs_cluster.cluster.arn}"]`),
		t.definition.Address, "does not name the cluster by its ARN")
}

// argument returns the value of a flag in a container's command; "" if it is not there.
func argument(c stacktest.Resource, flag string) string {
	for _, word := range c.Strings("command") {
		if value, found := strings.CutPrefix(word, flag); found {
			return value
		}
	}
	return ""
}
