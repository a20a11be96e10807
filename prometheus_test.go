package main

import (
	"strings"

	"platform/internal/stacktest"
)

const prometheusConfigObject = "aws_s3_object.prometheus_configuration"

var prometheusPromises = []stacktest.Promise{{
	Name:  "Prometheus starts with the configuration of its deployment, and stores metrics on its volume",
	Check: prometheusHasItsConfiguration,
	BrokenBy: []stacktest.Break{{
		Name:  "Prometheus starts with any version of the configuration",
		Stack: "prod",
		By: stacktest.Replace(
			prometheusTask,
			configurationContainer+".command",
			"${aws_s3_object.prometheus_configuration.version_id}",
			"null",
		),
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
		Name:  "Prometheus is told the cluster's name instead of its ARN",
		Stack: "prod",
		By: stacktest.Replace(prometheusConfigObject, "content", "${aws_ecs_cluster.cluster.arn}",
			"platform-prod"),
		Found: prometheusConfigObject,
	}, {
		Name:  "Prometheus's configuration contains a template placeholder",
		Stack: "prod",
		By:    stacktest.Replace(prometheusConfigObject, "content", "eu-central-1", "{{.Region}}"),
		Found: prometheusConfigObject,
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
}}

// prometheusHasItsConfiguration: the version in the task definition makes a change of the
// configuration deploy the service. A cluster's name in place of its ARN stops Prometheus:
// https://github.com/prometheus/prometheus/pull/19449
func prometheusHasItsConfiguration(s stacktest.Stack, v *stacktest.Violations) {
	t := prometheusServiceTask(s)
	v.Want(t.service.Exists(), prometheusService, "does not exist")
	fetched := false
	for _, c := range t.containers() {
		command := strings.Join(c.Strings("command"), " ")
		switch c.String("name") {
		case "configuration":
			fetched = strings.Contains(command, "--version-id ${"+prometheusConfigObject+".version_id}")
			v.Want(c.Is("essential", false), c.Address, "is essential, so that the task stops when it exits")
		case "prometheus":
			dependencies := c.Blocks("dependsOn")
			v.Want(len(dependencies) == 1 &&
				dependencies[0].Is("containerName", "configuration") &&
				dependencies[0].Is("condition", "SUCCESS"),
				c.Address, "does not wait for its configuration")
			v.Want(strings.Contains(command, "--storage.tsdb.path=/prometheus"),
				c.Address, "stores metrics where it cannot write, or in memory")
		}
	}
	v.Want(fetched, t.definition.Address, "does not fetch the version of the configuration that was deployed")
	content := s.Resource(prometheusConfigObject).String("content")
	v.Want(strings.Contains(content, `clusters: ["${aws_ecs_cluster.cluster.arn}"]`),
		prometheusConfigObject, "does not name the cluster by its ARN")
	v.Want(!strings.Contains(content, "{{"), prometheusConfigObject, "contains a template placeholder")
}
