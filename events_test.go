package main

import (
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

// notifiesOfFailedDeployments looks for a rule on the failed deployments of a cluster's services,
// with the topic as its target.
func notifiesOfFailedDeployments(s stacktest.Stack, cluster stacktest.Resource) bool {
	for _, rule := range s.Resources("aws_cloudwatch_event_rule") {
		services := rule.String("event_pattern.resources.prefix")
		matches := slices.Contains(rule.Strings("event_pattern.detail.eventName"), "SERVICE_DEPLOYMENT_FAILED") &&
			slices.Equal(rule.Strings("event_pattern.source"), []string{"aws.ecs"}) &&
			strings.HasSuffix(services, ":service/${"+cluster.Address+".name}/")
		targets := stacktest.Referring(s.Resources("aws_cloudwatch_event_target"), "rule", rule.Address)
		if matches && len(targets) == 1 && s.Resource(targets[0].Reference("arn")).Kind() == "aws_sns_topic" {
			return true
		}
	}
	return false
}
