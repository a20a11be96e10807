package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	firewallACL     = "aws_wafv2_web_acl.firewall"
	firewallLogging = "aws_wafv2_web_acl_logging_configuration.firewall_logging"
)

var firewallPromises = []stacktest.Promise{{
	Name:  "the firewall protects the load balancer, and only counts matches of rules that uploads and logins match",
	Check: firewallIsConfigured,
	BrokenBy: []stacktest.Break{{
		Name:  "the firewall blocks large request bodies",
		Stack: "prod",
		By: stacktest.Set(
			firewallACL,
			"rule[name=common].statement.managed_rule_group_statement.rule_action_override",
			[]any{},
		),
		Found: firewallACL,
	}, {
		Name:  "a managed rule group has no override action",
		Stack: "prod",
		By:    stacktest.Remove(firewallACL, "rule[name=ip-reputation].override_action"),
		Found: firewallACL,
	}, {
		Name:  "the firewall has no rate limit",
		Stack: "prod",
		By:    stacktest.Set(firewallACL, "rule[name=rate-limit].statement", map[string]any{}),
		Found: firewallACL,
	}, {
		Name:  "the firewall is not associated with the load balancer",
		Stack: "prod",
		By:    stacktest.Delete("aws_wafv2_web_acl_association.firewall_association"),
		Found: firewallACL,
	}, {
		Name:  "the firewall writes no logs",
		Stack: "prod",
		By:    stacktest.Delete(firewallLogging),
		Found: firewallACL,
	}, {
		Name:  "the firewall's log group has a name that AWS rejects",
		Stack: "prod",
		By:    stacktest.Set("aws_cloudwatch_log_group.firewall_log_group", "name", "/platform-prod/firewall"),
		Found: firewallLogging,
	}, {
		Name:  "the firewall logs credentials",
		Stack: "prod",
		By:    stacktest.Set(firewallLogging, "redacted_fields", []any{}),
		Found: firewallLogging,
	}, {
		Name:  "two rules of the firewall have the same priority",
		Stack: "prod",
		By:    stacktest.Set(firewallACL, "rule[name=known-bad-inputs].priority", 1.0),
		Found: firewallACL,
	}, {
		Name:  "the firewall logs every request",
		Stack: "prod",
		By:    stacktest.Remove(firewallLogging, "logging_filter"),
		Found: firewallLogging,
	}, {
		Name:  "the firewall does not log what its rules only count",
		Stack: "prod",
		By: stacktest.Remove(
			firewallLogging, "logging_filter.filter.condition[action_condition.action=EXCLUDED_AS_COUNT]",
		),
		Found: firewallLogging,
	}},
}}

func firewallIsConfigured(s stacktest.Stack, v *stacktest.Violations) {
	for _, acl := range s.Resources("aws_wafv2_web_acl") {
		priorities := map[float64]bool{}
		limited := false
		for _, rule := range acl.Blocks("rule") {
			priorities[rule.Number("priority")] = true
			limited = limited || rule.Number("statement.rate_based_statement.limit") >= 10
			managedRulesAreOverridden(rule, v)
		}
		v.Want(limited, acl.Address, "has no rate limit")
		v.Want(len(priorities) == len(acl.Blocks("rule")), acl.Address, "has two rules with the same priority")
		associations := stacktest.Referring(s.Resources("aws_wafv2_web_acl_association"), "web_acl_arn", acl.Address)
		v.Want(len(associations) == 1 && s.Resource(associations[0].Reference("resource_arn")).Kind() == "aws_lb",
			acl.Address, "is not associated with a load balancer")
		logging := s.Resources("aws_wafv2_web_acl_logging_configuration")
		v.Want(len(stacktest.Referring(logging, "resource_arn", acl.Address)) == 1, acl.Address, "writes no logs")
	}
	for _, logging := range s.Resources("aws_wafv2_web_acl_logging_configuration") {
		name := s.Resource(logging.Reference("log_destination_configs")).String("name")
		v.Want(strings.HasPrefix(name, "aws-waf-logs-"),
			logging.Address, "logs to %q, want a log group whose name begins with aws-waf-logs-", name)
		redacted := marshal(logging.At("redacted_fields"))
		for _, header := range []string{"authorization", "cookie"} {
			v.Want(strings.Contains(redacted, `"`+header+`"`), logging.Address, "logs the header %s", header)
		}
		var kept []string
		for _, c := range logging.Blocks("logging_filter.filter.condition") {
			kept = append(kept, c.String("action_condition.action"))
		}
		v.Want(logging.Is("logging_filter.default_behavior", "DROP") &&
			logging.Is("logging_filter.filter.behavior", "KEEP") &&
			logging.Is("logging_filter.filter.requirement", "MEETS_ANY") &&
			slices.Equal(kept, []string{"BLOCK", "COUNT", "EXCLUDED_AS_COUNT"}),
			logging.Address, "want the log of requests that a rule blocks or counts, and no other; it keeps %v", kept)
	}
}

func managedRulesAreOverridden(rule stacktest.Resource, v *stacktest.Violations) {
	const group = "statement.managed_rule_group_statement"
	if !rule.Has(group) {
		return
	}
	v.Want(rule.Has("override_action"),
		rule.Address, "has the managed rule group %s without an override action", rule.String("name"))
	if !rule.Is(group+".name", "AWSManagedRulesCommonRuleSet") {
		return
	}
	for _, name := range []string{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"} {
		v.Want(rule.Has(group+".rule_action_override[name="+name+"].action_to_use.count"),
			rule.Address, "blocks requests that match %s, want them counted: uploads and logins match", name)
	}
}
