package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const webDiscovery = "aws_service_discovery_service.service_web_discovery"

var clusterPromises = []stacktest.Promise{{
	Name:  "Cloud Map answers with healthy tasks only, and no deployment replaces the registry of running tasks",
	Check: cloudMapKnowsTheHealthOfTasks,
	BrokenBy: []stacktest.Break{{
		Name:  "Cloud Map answers with unhealthy tasks too",
		Stack: "prod",
		By:    stacktest.Remove(webDiscovery, "health_check_custom_config"),
		Found: webDiscovery,
	}, {
		Name:  "the provider leaves out a configuration without a threshold",
		Stack: "prod",
		By:    stacktest.Set(webDiscovery, "health_check_custom_config", map[string]any{}),
		Found: webDiscovery,
	}, {
		Name:  "a registry that was created without the configuration is replaced",
		Stack: "prod",
		By:    stacktest.Remove(webDiscovery, "lifecycle"),
		Found: webDiscovery,
	}},
}, {
	Name:  "no output offers an address to which no security group rule allows a connection",
	Check: outputsTellTheTruth,
	BrokenBy: []stacktest.Break{{
		Name:  "an output offers the address of Prometheus, to which no rule allows a connection",
		Stack: "prod",
		By:    stacktest.SetRoot("output.prometheus_address.description", "Prometheus, reached from inside the VPC"),
		Found: "output.prometheus_address",
	}},
}}

func cloudMapKnowsTheHealthOfTasks(s stacktest.Stack, v *stacktest.Violations) {
	const health = "health_check_custom_config"
	for _, service := range s.Resources("aws_service_discovery_service") {
		v.Want(service.Number(health+".failure_threshold") == 1, service.Address, "has no custom health configuration")
		v.Want(slices.Contains(service.Strings("lifecycle.ignore_changes"), health), service.Address,
			"is replaced if it was created without its health configuration")
	}
}

func outputsTellTheTruth(s stacktest.Stack, v *stacktest.Violations) {
	groups := map[string]string{
		"prometheus_address": "aws_security_group.prometheus_security_group",
		"database_address":   "aws_security_group.database_security_group",
	}
	for name, group := range groups {
		description, _ := s.At("output." + name + ".description").(string)
		open := len(stacktest.Referring(
			s.Resources("aws_vpc_security_group_ingress_rule"), "security_group_id", group)) > 0
		v.Want(open || !strings.Contains(description, "reached"), "output."+name,
			"promises what no rule allows: %q", description)
	}
}
