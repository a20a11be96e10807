package main

import (
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

// databaseEvents are the categories of RDS events that need somebody's attention.
var databaseEvents = []string{"availability", "failover", "failure", "low storage", "recovery"}

// notifiesOfDatabaseEvents looks for a subscription to the events of a database.
func notifiesOfDatabaseEvents(s stacktest.Stack, address string) bool {
	subscriptions := stacktest.Referring(s.Resources("aws_db_event_subscription"), "source_ids", address)
	return slices.ContainsFunc(subscriptions, func(subscription stacktest.Resource) bool {
		return !slices.ContainsFunc(databaseEvents, func(category string) bool {
			return !slices.Contains(subscription.Strings("event_categories"), category)
		})
	})
}

const (
	deploymentFailedRule   = "aws_cloudwatch_event_rule.deployment_failed_rule"
	deploymentFailedTarget = "aws_cloudwatch_event_target.deployment_failed_target"
	rotationFailedTarget   = "aws_cloudwatch_event_target.rotation_failed_target"
	undeliveredAlarm       = "aws_cloudwatch_metric_alarm.deployment_failed_undelivered_alarm"
)

// deploymentEvent is an event of ECS, and whether somebody must be told of it.
type deploymentEvent struct {
	name     string
	event    map[string]any
	notifies bool
}

// deploymentEvents returns what ECS sends about the deployments of a cluster's services. The
// reasons are those of its documentation, and those that its users quote:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html
func deploymentEvents(s stacktest.Stack, cluster stacktest.Resource) []deploymentEvent {
	in := "${" + cluster.Address + ".name}"
	send := func(of, name, reason string) map[string]any {
		return map[string]any{
			"source": "aws.ecs", "detail-type": "ECS Deployment State Change",
			"resources": []any{
				"arn:aws:ecs:" + s.Region() + ":" + callerAccount + ":service/" + of + "/web",
			},
			"detail": map[string]any{"eventName": name, "reason": reason},
		}
	}
	const failed, inProgress = "SERVICE_DEPLOYMENT_FAILED", "SERVICE_DEPLOYMENT_IN_PROGRESS"
	return []deploymentEvent{
		{"a failure", send(in, failed, "ECS deployment circuit breaker: tasks failed to start."), true},
		{"a failure by alarm", send(in, failed, "ECS deployment failed: alarm detected."), true},
		{"a rollback", send(in, inProgress, "ECS deployment circuit breaker: rolling back to deploymentId 1."), true},
		{"a rollback by an alarm", send(in, inProgress, "Rolling back to deploymentId ecs-svc/1."), true},
		{"a start", send(in, inProgress, "ECS deployment ecs-svc/2 in progress."), false},
		{"a success", send(in, "SERVICE_DEPLOYMENT_COMPLETED", "ECS deployment ecs-svc/2 completed."), false},
		{"another cluster's failure", send("other", failed, "tasks failed to start"), false},
	}
}

// notifiesOf tells whether a rule sends an event to the topic.
func notifiesOf(s stacktest.Stack, event map[string]any) bool {
	return slices.ContainsFunc(s.Resources("aws_cloudwatch_event_rule"), func(rule stacktest.Resource) bool {
		targets := stacktest.Referring(s.Resources("aws_cloudwatch_event_target"), "rule", rule.Address)
		return matchesEvent(rule.At("event_pattern"), event) &&
			len(targets) == 1 && s.Resource(targets[0].Reference("arn")).Kind() == "aws_sns_topic"
	})
}

// matchesEvent tells whether EventBridge's pattern matches a part of an event.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func matchesEvent(pattern, event any) bool {
	fields, isObject := pattern.(map[string]any)
	if !isObject {
		return matchesAny(pattern, event)
	}
	if list, isList := event.([]any); isList { // of objects: one of them matches
		return slices.ContainsFunc(list, func(one any) bool { return matchesEvent(pattern, one) })
	}
	parts, _ := event.(map[string]any)
	for name, want := range fields {
		if alternatives, ok := want.([]any); name == "$or" && ok {
			if !slices.ContainsFunc(alternatives, func(one any) bool { return matchesEvent(one, event) }) {
				return false
			}
		} else if !matchesEvent(want, parts[name]) {
			return false
		}
	}
	return true
}

// matchesAny tells whether one of a pattern's values matches a text, or one of a list of texts.
func matchesAny(pattern, event any) bool {
	values, _ := pattern.([]any)
	texts, isList := event.([]any)
	if !isList {
		texts = []any{event}
	}
	return slices.ContainsFunc(values, func(value any) bool {
		return slices.ContainsFunc(texts, func(text any) bool { return matchesText(value, text) })
	})
}

func matchesText(value, text any) bool {
	operator, isOperator := value.(map[string]any)
	t, isText := text.(string)
	if !isOperator {
		return isText && value == t
	}
	if but, ok := operator["anything-but"]; ok {
		return text != nil && text != but
	}
	if prefix, ok := operator["prefix"].(string); ok {
		return isText && strings.HasPrefix(t, prefix)
	}
	wildcard, ok := operator["wildcard"].(string)
	anything := strings.ReplaceAll(regexp.QuoteMeta(wildcard), `\*`, `.*`)
	return ok && isText && regexp.MustCompile("^"+anything+"$").MatchString(t)
}
