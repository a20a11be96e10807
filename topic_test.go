package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	alertsTopic       = "aws_sns_topic.alerts_topic"
	alertsTopicPolicy = "aws_sns_topic_policy.alerts_topic_policy"
	heartbeatTopic    = "aws_sns_topic.heartbeat_topic"
	heartbeatAlarm    = "aws_cloudwatch_metric_alarm.prometheus_heartbeat_alarm"
)

var topicPromises = []stacktest.Promise{{
	Name:  "the topic policy allows exactly the services that publish to the topic",
	Check: topicPolicyAllowsPublishers,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm's name does not match the topic policy's condition",
		Stack: "prod",
		By:    stacktest.Set(backupAgeAlarm, "alarm_name", "backup-age"),
		Found: backupAgeAlarm,
	}, {
		Name:  "the topic policy has a condition for EventBridge, which AWS does not support",
		Stack: "prod",
		By: stacktest.Add(
			alertsTopicPolicy, "policy.Statement[Sid=Events].Condition",
			map[string]any{"ArnLike": map[string]any{
				"aws:SourceArn": []any{"arn:aws:events:eu-central-1:" + callerAccount + ":rule/platform-prod-*"},
			}},
		),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy does not allow EventBridge to publish",
		Stack: "prod",
		By: stacktest.Set(
			alertsTopicPolicy, "policy.Statement[Sid=Events].Principal.Service",
			[]any{"sns.amazonaws.com"},
		),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy allows EventBridge although no rule publishes",
		Stack: "dev",
		By: stacktest.All(
			stacktest.Delete(deploymentFailedTarget), stacktest.Delete(rotationFailedTarget),
			stacktest.Delete("aws_cloudwatch_event_target.dump_failed_target"),
		),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy denies publishing to RDS events",
		Stack: "dev",
		By:    stacktest.Set(alertsTopicPolicy, "policy.Statement[Sid=DatabaseEvents].Effect", "Deny"),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy allows alarms of other accounts to publish",
		Stack: "dev",
		By:    stacktest.Remove(alertsTopicPolicy, "policy.Statement[Sid=Alarms].Condition"),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy allows subscribing",
		Stack: "dev",
		By: stacktest.Set(
			alertsTopicPolicy, "policy.Statement[Sid=Alarms].Action",
			[]any{"sns:Publish", "sns:Subscribe"},
		),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy names every topic",
		Stack: "dev",
		By:    stacktest.Set(alertsTopicPolicy, "policy.Statement[Sid=Alarms].Resource", []any{"*"}),
		Found: alertsTopic,
	}, {
		Name:  "the topic has no policy but the default",
		Stack: "dev",
		By:    stacktest.Delete(alertsTopicPolicy),
		Found: alertsTopic,
	}, {
		Name:  "the topic policy does not require TLS",
		Stack: "dev",
		By:    stacktest.Set(alertsTopicPolicy, "policy.Statement[Sid=TLSOnly].Condition", map[string]any{}),
		Found: alertsTopic,
	}},
}}

// topicPublishers returns the services that publish to a topic, with the resources they publish
// for.
func topicPublishers(s stacktest.Stack, topic string) map[string][]stacktest.Resource {
	publishers := map[string][]stacktest.Resource{}
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm") {
		if slices.Contains(a.References("alarm_actions"), topic) {
			publishers["cloudwatch.amazonaws.com"] = append(publishers["cloudwatch.amazonaws.com"], a)
		}
	}
	for _, target := range stacktest.Referring(s.Resources("aws_cloudwatch_event_target"), "arn", topic) {
		rule := s.Resource(target.Reference("rule"))
		publishers["events.amazonaws.com"] = append(publishers["events.amazonaws.com"], rule)
	}
	for _, subscription := range stacktest.Referring(s.Resources("aws_db_event_subscription"), "sns_topic", topic) {
		for _, db := range subscription.References("source_ids") {
			publishers["events.rds.amazonaws.com"] = append(publishers["events.rds.amazonaws.com"], s.Resource(db))
		}
	}
	return publishers
}

func topicPolicyAllowsPublishers(s stacktest.Stack, v *stacktest.Violations) {
	names := map[string]string{
		"cloudwatch.amazonaws.com": "alarm_name",
		"events.amazonaws.com":     "name",
		"events.rds.amazonaws.com": "identifier",
	}
	for _, topic := range s.Resources("aws_sns_topic") {
		policies := stacktest.Referring(s.Resources("aws_sns_topic_policy"), "arn", topic.Address)
		v.Want(len(policies) == 1, topic.Address, "has no policy of its own")
		tls := false
		var statements []stacktest.Resource
		for _, policy := range policies {
			statements = append(statements, policy.Statements("policy")...)
		}
		// What the names of a service's resources must begin with, from the conditions.
		allowed := map[string]string{}
		for _, st := range statements {
			if !isAllow(st) {
				tls = tls || slices.Equal(st.Conditions(), []string{"Bool aws:SecureTransport false"})
				continue
			}
			v.Want(slices.Equal(st.Strings("Action"), []string{"sns:Publish"}),
				topic.Address, "allows %v the actions %v", st.Principals(), st.Strings("Action"))
			v.Want(slices.Equal(st.Strings("Resource"), []string{"${" + topic.Address + ".arn}"}),
				topic.Address, "want itself as the only resource of its policy, have %v", st.Strings("Resource"))
			restricted := len(st.Conditions()) == 1 &&
				strings.HasPrefix(st.Conditions()[0], "ArnLike aws:SourceArn arn:aws:") &&
				strings.Contains(st.Conditions()[0], ":"+s.Region()+":"+callerAccount+":")
			// AWS does not document the source ARN of RDS events, only their source account.
			wholeAccount := slices.Equal(st.Principals(), []string{"Service:events.rds.amazonaws.com"}) &&
				slices.Equal(st.Conditions(), []string{"StringEquals aws:SourceAccount " + callerAccount})
			// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
			eventBridge := slices.Equal(st.Principals(), []string{"Service:events.amazonaws.com"})
			if eventBridge {
				v.Want(!st.Has("Condition"), topic.Address,
					"has a condition for EventBridge, which AWS does not support: %v", st.At("Condition"))
				allowed["events.amazonaws.com"] = "*"
				continue
			}
			restricted = restricted || wholeAccount
			v.Want(restricted,
				topic.Address, "allows %v of any account to publish: %q", st.Principals(), st.Conditions())
			for _, principal := range st.Principals() {
				switch {
				case wholeAccount:
					allowed[strings.TrimPrefix(principal, "Service:")] = "*"
				case restricted:
					last := st.Conditions()[0][strings.LastIndexAny(st.Conditions()[0], ":/")+1:]
					allowed[strings.TrimPrefix(principal, "Service:")] = last
				}
			}
		}
		v.Want(tls, topic.Address, "does not require TLS")
		for service, sources := range topicPublishers(s, topic.Address) {
			prefix, ok := allowed[service]
			v.Want(ok, topic.Address, "does not allow %s to publish", service)
			for _, source := range sources {
				name := source.String(names[service])
				v.Want(!ok || strings.HasPrefix(name, strings.TrimSuffix(prefix, "*")),
					source.Address, "has the name %s, but the topic allows %s", name, prefix)
			}
			delete(allowed, service)
		}
		v.Want(len(allowed) == 0, topic.Address, "allows %v, which publish nothing", allowed)
	}
}
