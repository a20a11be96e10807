package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webacl"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webaclassociation"
	logging "github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webaclloggingconfiguration"
)

// newFirewall puts AWS's managed rules and a rate limit before the load balancer. Rules that block
// real uploads and logins only count: the configuration says which.
func newFirewall(s *scope, loadBalancerARN *string) {
	acl := wafv2webacl.NewWafv2WebAcl(s.stack, jsii.String("firewall"), &wafv2webacl.Wafv2WebAclConfig{
		Name:          jsii.String(s.cfg.Stack()),
		Description:   jsii.String("Before the load balancer"),
		Scope:         jsii.String("REGIONAL"),
		DefaultAction: &wafv2webacl.Wafv2WebAclDefaultAction{Allow: &wafv2webacl.Wafv2WebAclDefaultActionAllow{}},
		Rule:          firewallRules(s),
		VisibilityConfig: &wafv2webacl.Wafv2WebAclVisibilityConfig{
			CloudwatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String(s.cfg.Stack()),
		},
		Tags: s.tags("firewall"),
	})
	wafv2webaclassociation.NewWafv2WebAclAssociation(s.stack, jsii.String("firewall_association"),
		&wafv2webaclassociation.Wafv2WebAclAssociationConfigA{WebAclArn: acl.Arn(), ResourceArn: loadBalancerARN})
	newFirewallLog(s, acl.Arn())
}

func firewallRules(s *scope) *[]*wafv2webacl.Wafv2WebAclRule {
	var counted []map[string]any
	for _, rule := range s.cfg.LoadBalancer.Firewall.CountOnly {
		counted = append(counted, map[string]any{
			"name": rule, "action_to_use": map[string]any{"count": map[string]any{}},
		})
	}
	return &[]*wafv2webacl.Wafv2WebAclRule{
		managedRules(1, "ip-reputation", "AWSManagedRulesAmazonIpReputationList", nil),
		managedRules(2, "known-bad-inputs", "AWSManagedRulesKnownBadInputsRuleSet", nil),
		managedRules(3, "common", "AWSManagedRulesCommonRuleSet", counted),
		{
			Name: jsii.String("rate-limit"), Priority: number(4),
			Action: &wafv2webacl.Wafv2WebAclRuleAction{Block: &wafv2webacl.Wafv2WebAclRuleActionBlock{}},
			Statement: map[string]any{"rate_based_statement": map[string]any{
				"limit":                 s.cfg.LoadBalancer.Firewall.RateLimit,
				"aggregate_key_type":    "IP",
				"evaluation_window_sec": 300,
			}},
			VisibilityConfig: ruleVisibility("rate-limit"),
		},
	}
}

// managedRules is one of AWS's rule groups. A rule's statement is untyped in the bindings: plain
// maps, in Terraform's spelling.
func managedRules(priority int, name, group string, overrides []map[string]any) *wafv2webacl.Wafv2WebAclRule {
	managed := map[string]any{"vendor_name": "AWS", "name": group}
	if len(overrides) > 0 {
		managed["rule_action_override"] = overrides
	}
	return &wafv2webacl.Wafv2WebAclRule{
		Name: jsii.String(name), Priority: number(priority),
		OverrideAction: &wafv2webacl.Wafv2WebAclRuleOverrideAction{
			None: &wafv2webacl.Wafv2WebAclRuleOverrideActionNone{},
		},
		Statement:        map[string]any{"managed_rule_group_statement": managed},
		VisibilityConfig: ruleVisibility(name),
	}
}

func ruleVisibility(name string) *wafv2webacl.Wafv2WebAclRuleVisibilityConfig {
	return &wafv2webacl.Wafv2WebAclRuleVisibilityConfig{
		CloudwatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String(name),
	}
}

// newFirewallLog records the requests that a rule blocks or counts, without the headers that carry
// credentials. The others are in the load balancer's access logs, which cost less.
func newFirewallLog(s *scope, acl *string) {
	type (
		redacted = logging.Wafv2WebAclLoggingConfigurationRedactedFields
		header   = logging.Wafv2WebAclLoggingConfigurationRedactedFieldsSingleHeader
	)
	logs := newLogGroup(s, "firewall_log_group", "aws-waf-logs-"+s.cfg.Stack()) // WAF wants names that begin like this
	logging.NewWafv2WebAclLoggingConfiguration(s.stack, jsii.String("firewall_logging"),
		&logging.Wafv2WebAclLoggingConfigurationConfig{
			ResourceArn:           acl,
			LogDestinationConfigs: &[]*string{logs.Arn()},
			LoggingFilter:         onlyMatches(),
			RedactedFields: &[]*redacted{
				{SingleHeader: &header{Name: jsii.String("authorization")}},
				{SingleHeader: &header{Name: jsii.String("cookie")}},
			},
		})
}

// onlyMatches logs only requests to which a rule applied one of these actions. EXCLUDED_AS_COUNT is
// the action of a rule of a managed group that only counts.
// https://docs.aws.amazon.com/waf/latest/APIReference/API_ActionCondition.html
func onlyMatches() *logging.Wafv2WebAclLoggingConfigurationLoggingFilter {
	type (
		filter    = logging.Wafv2WebAclLoggingConfigurationLoggingFilterFilter
		condition = logging.Wafv2WebAclLoggingConfigurationLoggingFilterFilterCondition
		action    = logging.Wafv2WebAclLoggingConfigurationLoggingFilterFilterConditionActionCondition
	)
	var actions []*condition
	for _, name := range []string{"BLOCK", "COUNT", "EXCLUDED_AS_COUNT"} {
		actions = append(actions, &condition{ActionCondition: &action{Action: jsii.String(name)}})
	}
	return &logging.Wafv2WebAclLoggingConfigurationLoggingFilter{
		DefaultBehavior: jsii.String("DROP"),
		Filter: &[]*filter{{
			Behavior: jsii.String("KEEP"), Requirement: jsii.String("MEETS_ANY"), Condition: &actions,
		}},
	}
}
