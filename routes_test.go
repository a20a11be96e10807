package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	webListenerRule   = "aws_lb_listener_rule.service_web_listener_rule"
	webTargetGroup    = "aws_lb_target_group.service_web_target_group"
	metricsHidingRule = "aws_lb_listener_rule.service_web_metrics_hiding_rule"
)

var routePromises = []stacktest.Promise{{
	Name:  "every listener rule has conditions, and a priority that no other rule of the listener has",
	Check: listenerRulesAreDistinct,
	BrokenBy: []stacktest.Break{{
		Name:  "two rules have the same priority",
		Stack: "metrics",
		By:    stacktest.Set(webListenerRule, "priority", 10.0),
		Found: webListenerRule,
	}, {
		Name:  "a rule has no priority",
		Stack: "prod",
		By:    stacktest.Remove(webListenerRule, "priority"),
		Found: webListenerRule,
	}, {
		Name:  "a rule has a priority that is greater than 50000",
		Stack: "prod",
		By:    stacktest.Set(webListenerRule, "priority", 50001.0),
		Found: webListenerRule,
	}, {
		Name:  "a rule has no conditions",
		Stack: "prod",
		By:    stacktest.Set(webListenerRule, "condition", []any{}),
		Found: webListenerRule,
	}, {
		Name:  "a rule's conditions have six values",
		Stack: "prod",
		By: stacktest.Set(webListenerRule, "condition[path_pattern].path_pattern.values",
			[]any{"/a", "/b", "/c", "/d", "/e", "/f"}),
		Found: webListenerRule,
	}},
}, {
	Name:  "every target group has a rule and a service, and can be replaced while it is used",
	Check: targetGroupsAreUsed,
	BrokenBy: []stacktest.Break{{
		Name:  "a target group has no rule",
		Stack: "prod",
		By:    stacktest.Delete(webListenerRule),
		Found: webTargetGroup,
	}, {
		Name:  "a target group has no service",
		Stack: "prod",
		By:    stacktest.Remove(webService, "load_balancer"),
		Found: webTargetGroup,
	}, {
		Name:  "a target group's name stays the same when the group is replaced",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "name", "web"),
		Found: webTargetGroup,
	}, {
		Name:  "a target group is deleted before its replacement is created",
		Stack: "prod",
		By:    stacktest.Remove(webTargetGroup, "lifecycle.create_before_destroy"),
		Found: webTargetGroup,
	}, {
		Name:  "a target group's targets are instances",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "target_type", "instance"),
		Found: webTargetGroup,
	}},
}, {
	Name:  "the load balancer checks the health of every target, on a port that it may connect to",
	Check: targetsAreChecked,
	BrokenBy: []stacktest.Break{{
		Name:  "the health check is on a port that the load balancer may not connect to",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "health_check.port", "9000"),
		Found: webTargetGroup,
	}, {
		Name:  "the health check is disabled",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "health_check.enabled", false),
		Found: webTargetGroup,
	}, {
		Name:  "the health check times out after the next one begins",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "health_check.timeout", 15.0),
		Found: webTargetGroup,
	}},
}, {
	Name:  "metrics on a service's public port are hidden by an earlier rule",
	Check: metricsAreNotPublic,
	BrokenBy: []stacktest.Break{{
		Name:  "no rule hides the metrics",
		Stack: "metrics",
		By:    stacktest.Delete(metricsHidingRule),
		Found: webService,
	}, {
		Name:  "the rule that hides the metrics comes after that of the service",
		Stack: "metrics",
		By:    stacktest.Set(metricsHidingRule, "priority", 49999.0),
		Found: webService,
	}, {
		Name:  "the rule that hides the metrics answers with status 200",
		Stack: "metrics",
		By:    stacktest.Set(metricsHidingRule, "action.fixed_response.status_code", "200"),
		Found: webService,
	}, {
		Name:  "the rule that hides the metrics matches another path",
		Stack: "metrics",
		By:    stacktest.Set(metricsHidingRule, "condition[path_pattern].path_pattern.values", []any{"/status"}),
		Found: webService,
	}, {
		Name:  "the rule that hides the metrics matches another host than that of the service",
		Stack: "metrics",
		By: stacktest.Set(metricsHidingRule, "condition[host_header].host_header.values",
			[]any{"other.example.com"}),
		Found: webService,
	}, {
		Name:  "the rule that hides the metrics belongs to another listener",
		Stack: "metrics",
		By:    stacktest.Set(metricsHidingRule, "listener_arn", "${aws_lb_listener.other.arn}"),
		Found: webService,
	}},
}}

// conditionValues counts the values in all conditions of a rule. AWS allows five.
func conditionValues(rule stacktest.Resource) int {
	count := 0
	for _, c := range rule.Blocks("condition") {
		stacktest.EachString(c.Body(), func(path, _ string) {
			if strings.Contains(path, "values.") {
				count++
			}
		})
	}
	return count
}

func listenerRulesAreDistinct(s stacktest.Stack, v *stacktest.Violations) {
	type place struct {
		listener string
		priority float64
	}
	taken := map[place]string{}
	for _, rule := range s.Resources("aws_lb_listener_rule") {
		priority := rule.Number("priority")
		v.Want(priority >= 1 && priority <= 50000,
			rule.Address, "want a priority of 1 to 50000, have %v", rule.At("priority"))
		values := conditionValues(rule)
		v.Want(values >= 1 && values <= 5, rule.Address, "want 1 to 5 values in its conditions, have %d", values)
		at := place{rule.String("listener_arn"), priority}
		v.Want(taken[at] == "", rule.Address, "has the same priority as %s", taken[at])
		taken[at] = rule.Address
	}
}

var digestedSuffix = regexp.MustCompile(`-[0-9a-f]{8}$`)

func targetGroupsAreUsed(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_lb_target_group") {
		rules := stacktest.Referring(s.Resources("aws_lb_listener_rule"), "action", group.Address)
		v.Want(len(rules) > 0, group.Address, "has no listener rule, so that ECS rejects it")
		services := stacktest.Referring(s.Resources("aws_ecs_service"), "load_balancer", group.Address)
		v.Want(len(services) > 0, group.Address, "has no service")
		v.Want(group.Is("target_type", "ip"),
			group.Address, "want IP addresses as targets, the only ones that Fargate has")
		v.Want(digestedSuffix.MatchString(group.String("name")) && group.Is("lifecycle.create_before_destroy", true),
			group.Address, "want a name that changes with every replacement, and the replacement created first: "+
				"a listener uses the old target group")
	}
}

func targetsAreChecked(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_lb_target_group") {
		v.Want(group.Is("health_check.enabled", true), group.Address, "has no health check")
		v.Want(group.Number("health_check.timeout") < group.Number("health_check.interval"),
			group.Address, "has a health check that does not time out before the next one begins")
		port := group.String("health_check.port")
		if port == "traffic-port" {
			continue
		}
		allowed := false
		for t := range trafficAllowed(s, egressKind) {
			allowed = allowed || (slices.Contains(loadBalancerGroups(s), t.from) && fmt.Sprint(t.port) == port)
		}
		v.Want(allowed, group.Address,
			"has a health check on port %s, which the load balancer may not connect to", port)
	}
}

func metricsAreNotPublic(s stacktest.Stack, v *stacktest.Violations) {
	rules := s.Resources("aws_lb_listener_rule")
	for _, t := range serviceTasks(s) {
		port, scraped := t.metricsPort()
		for _, target := range t.service.Blocks("load_balancer") {
			if !scraped || int(target.Number("container_port")) != port {
				continue
			}
			for _, rule := range stacktest.Referring(rules, "action", target.Reference("target_group_arn")) {
				hidden := slices.ContainsFunc(rules, func(other stacktest.Resource) bool {
					return hidesPath(other, rule, t.service.String("tags.MetricsPath"))
				})
				v.Want(hidden, t.service.Address,
					"has metrics on the port that %s makes public, and no earlier rule answers with 404", rule.Address)
			}
		}
	}
}

// hidesPath tells whether a rule comes before another one and answers with 404 for a path and all
// below it, under no other conditions than those of the other.
func hidesPath(first, other stacktest.Resource, path string) bool {
	conditions := func(rule stacktest.Resource) (paths []string, rest string) {
		for _, c := range rule.Blocks("condition") {
			if c.Has("path_pattern") {
				paths = c.Strings("path_pattern.values")
			} else {
				rest += marshal(c.Body())
			}
		}
		return paths, rest
	}
	paths, rest := conditions(first)
	_, otherRest := conditions(other)
	return first.Is("action.fixed_response.status_code", "404") &&
		first.String("listener_arn") == other.String("listener_arn") &&
		first.Number("priority") < other.Number("priority") &&
		slices.Contains(paths, path) && slices.Contains(paths, path+"/*") && rest == otherRest
}
