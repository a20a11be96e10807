package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	databaseCPUAlarm       = "aws_cloudwatch_metric_alarm.database_cpu_alarm"
	backupAgeAlarm         = "aws_cloudwatch_metric_alarm.backup_age_alarm"
	tooFewTasksAlarm       = "aws_cloudwatch_metric_alarm.service_web_too_few_tasks_alarm"
	deploymentLatencyAlarm = "aws_cloudwatch_metric_alarm.service_web_deployment_latency_alarm"

	latencyAlarm   = "aws_cloudwatch_metric_alarm.service_web_latency_alarm"
	unhealthyAlarm = "aws_cloudwatch_metric_alarm.service_web_unhealthy_tasks_alarm"
	rollbackAlarm  = "aws_cloudwatch_metric_alarm.service_web_deployment_errors_alarm"

	// loadBalancerErrorsAlarm is on queries.
	loadBalancerErrorsAlarm = "aws_cloudwatch_metric_alarm.load_balancer_errors_alarm"
)

var alarmPromises = []stacktest.Promise{{
	Name:  "alarms notify the topic when they fire and when they recover, unless they only roll back deployments",
	Check: alarmsNotifyTopic,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm has no action when it fires",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "alarm_actions"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm has no action when it recovers",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "ok_actions"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm's actions are disabled",
		Stack: "prod",
		By:    stacktest.Add(databaseCPUAlarm, "actions_enabled", false),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm notifies another topic",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "alarm_actions", []any{"arn:aws:sns:eu-central-1:123456789012:other"}),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm that rolls back deployments notifies the topic",
		Stack: "prod",
		By:    stacktest.Add(rollbackAlarm, "alarm_actions", []any{"${aws_sns_topic.alerts_topic.arn}"}),
		Found: rollbackAlarm,
	}, {
		Name:  "a composite alarm hides the alarms that it combines",
		Stack: "prod",
		By:    stacktest.Create("aws_cloudwatch_composite_alarm.all", map[string]any{"alarm_name": "all"}),
		Found: "aws_cloudwatch_composite_alarm.all",
	}},
}, {
	Name:  "alarm descriptions say what is wrong and where to look first",
	Check: alarmsDescribeWhatToDo,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm has no description",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "alarm_description"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm's description has one short sentence",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "alarm_description", "See the database."),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm's description says what is wrong, but not where to look",
		Stack: "prod",
		By: stacktest.Set(
			databaseCPUAlarm, "alarm_description",
			"The database has used more than 90% of its CPU for 15 minutes.",
		),
		Found: databaseCPUAlarm,
	}},
}, {
	Name:  "AWS accepts the alarms: their comparison, statistics, queries and periods",
	Check: alarmsAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm has a comparison operator that does not exist",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "comparison_operator", "MoreThan"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm with short periods evaluates more than a day",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "evaluation_periods", 300.0),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm evaluates more than a week",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Set(backupAgeAlarm, "evaluation_periods", 170.0),
			stacktest.Set(backupAgeAlarm, "datapoints_to_alarm", 170.0),
		),
		Found: backupAgeAlarm,
	}, {
		Name:  "an alarm on queries with short periods evaluates more than a day",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "evaluation_periods", 1441.0),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an alarm has a period that AWS rejects",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "period", 90.0),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm needs more datapoints than it evaluates",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "datapoints_to_alarm", 4.0),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm has no threshold",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "threshold"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "two queries of an alarm return data",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "metric_query[id=requests].return_data", true),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "a query of an alarm has both a metric and an expression",
		Stack: "prod",
		By:    stacktest.Add(loadBalancerErrorsAlarm, "metric_query[id=requests].expression", "1"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "the queries of an alarm have different periods",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "metric_query[id=requests].metric.period", 300.0),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an alarm has both a statistic and a percentile",
		Stack: "prod",
		By:    stacktest.Add(databaseCPUAlarm, "extended_statistic", "p99"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm has a statistic that does not exist",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "statistic", "Mean"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm has a percentile above 100",
		Stack: "prod",
		By:    stacktest.Set(latencyAlarm, "extended_statistic", "p101"),
		Found: latencyAlarm,
	}, {
		Name:  "an alarm has a statistic in place of a percentile",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Remove(databaseCPUAlarm, "statistic"),
			stacktest.Add(databaseCPUAlarm, "extended_statistic", "Average"),
		),
		Found: databaseCPUAlarm,
	}, {
		Name:  "a query of an alarm has a statistic that does not exist",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "metric_query[id=requests].metric.stat", "sum"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "a query of an alarm has an id that no expression can contain",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "metric_query[id=share].id", "Share"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "two queries of an alarm have the same id",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "metric_query[id=targets].id", "requests"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an expression of an alarm contains an unknown id",
		Stack: "prod",
		By:    stacktest.Replace(loadBalancerErrorsAlarm, "metric_query[id=failed].expression", "targets", "services"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an expression of an alarm adds a series that may never have had a value",
		Stack: "prod",
		By: stacktest.Set(
			loadBalancerErrorsAlarm, "metric_query[id=failed].expression", "FILL(balancer, 0) + FILL(targets, 0)",
		),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an alarm has both queries and a metric",
		Stack: "prod",
		By:    stacktest.Add(loadBalancerErrorsAlarm, "metric_name", "RequestCount"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an alarm has neither queries nor a metric",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "metric_name"),
		Found: databaseCPUAlarm,
	}},
}, {
	Name:  "missing data breaches an alarm where something must report, and not where failures are counted",
	Check: missingDataIsTreated,
	BrokenBy: []stacktest.Break{{
		Name:  "missing counts of running tasks do not breach",
		Stack: "prod",
		By:    stacktest.Set(tooFewTasksAlarm, "treat_missing_data", "notBreaching"),
		Found: tooFewTasksAlarm,
	}, {
		Name:  "missing counts of errors breach",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "treat_missing_data", "breaching"),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "missing ages of backups are ignored",
		Stack: "prod",
		By:    stacktest.Set(backupAgeAlarm, "treat_missing_data", "missing"),
		Found: backupAgeAlarm,
	}, {
		Name:  "an alarm does not say how it treats missing data",
		Stack: "prod",
		By:    stacktest.Remove(databaseCPUAlarm, "treat_missing_data"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm treats missing data in a way that does not exist",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "treat_missing_data", "non-breaching"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "missing data rolls back a deployment",
		Stack: "prod",
		By:    stacktest.Set(rollbackAlarm, "treat_missing_data", "breaching"),
		Found: rollbackAlarm,
	}},
}, {
	Name:  "alarms have the namespaces, names and dimensions that AWS reports their metrics with",
	Check: alarmsFindTheirMetrics,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm lacks a dimension of its metric",
		Stack: "prod",
		By:    stacktest.Remove(unhealthyAlarm, "dimensions.LoadBalancer"),
		Found: unhealthyAlarm,
	}, {
		Name:  "a dimension is the ARN of a load balancer instead of its suffix",
		Stack: "prod",
		By:    stacktest.Set(latencyAlarm, "dimensions.LoadBalancer", "${aws_lb.load_balancer.arn}"),
		Found: latencyAlarm,
	}, {
		Name:  "a dimension is the resource id of a database instead of its identifier",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "dimensions.DBInstanceIdentifier", "${aws_db_instance.database.id}"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an alarm has a metric that AWS does not report",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "metric_name", "CPU"),
		Found: databaseCPUAlarm,
	}, {
		Name:  "a query lacks a dimension of its metric",
		Stack: "prod",
		By:    stacktest.Remove(loadBalancerErrorsAlarm, "metric_query[id=targets].metric.dimensions.LoadBalancer"),
		Found: loadBalancerErrorsAlarm,
	}},
}, {
	Name:  "only errors and latency of the deployed service roll back its deployment",
	Check: deploymentAlarmsWatchTheirService,
	BrokenBy: []stacktest.Break{{
		Name:  "the number of tasks rolls back a deployment, although the deployment changes it",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Set(rollbackAlarm, "metric_name", "RunningTaskCount"),
			stacktest.Set(rollbackAlarm, "namespace", "ECS/ContainerInsights"),
		),
		Found: rollbackAlarm,
	}, {
		Name:  "the errors of another service roll back a deployment",
		Stack: "metrics",
		By: stacktest.Set(
			rollbackAlarm, "dimensions.TargetGroup",
			"${aws_lb_target_group.service_admin_target_group.arn_suffix}",
		),
		Found: rollbackAlarm,
	}, {
		Name:  "errors before the deployment roll it back",
		Stack: "prod",
		By:    stacktest.Set(rollbackAlarm, "evaluation_periods", 30.0),
		Found: rollbackAlarm,
	}},
}, {
	Name:  "every resource that can fail has an alarm",
	Check: everythingHasAnAlarm,
	BrokenBy: []stacktest.Break{{
		Name:  "there is no alarm on the tasks of a service",
		Stack: "prod",
		By:    stacktest.Delete(tooFewTasksAlarm),
		Found: "aws_ecs_service.service_web_service",
	}, {
		Name:  "there is no alarm on the signs of life of Prometheus",
		Stack: "prod",
		By:    stacktest.Delete(heartbeatAlarm),
		Found: "aws_ecs_service.prometheus_service",
	}, {
		Name:  "the alarm on the signs of life counts the messages of another topic",
		Stack: "prod",
		By:    stacktest.Set(heartbeatAlarm, "dimensions.TopicName", "${"+alertsTopic+".name}"),
		Found: "aws_ecs_service.prometheus_service",
	}, {
		Name:  "there is no alarm on the ports of a NAT gateway",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.nat_ports_b_alarm"),
		Found: "aws_nat_gateway.nat_gateway_b",
	}, {
		Name:  "there is no alarm on the storage of the database",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.database_storage_alarm"),
		Found: databaseInstance,
	}, {
		Name:  "there is no alarm on the errors of the backup function",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.backup_errors_alarm"),
		Found: backupFunction,
	}, {
		Name:  "there is no alarm on dropped invocations of the scheduler",
		Stack: "prod",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.backup_schedule_dropped_alarm"),
		Found: "aws_scheduler_schedule_group.backup_schedule_group",
	}, {
		Name:  "there is no alarm on the age of backups",
		Stack: "prod",
		By:    stacktest.Delete(backupAgeAlarm),
		Found: databaseInstance,
	}, {
		Name:  "there is no alarm on the errors of the load balancer",
		Stack: "prod",
		By:    stacktest.Delete(loadBalancerErrorsAlarm),
		Found: "aws_lb.load_balancer",
	}, {
		Name:  "there is no alarm on unhealthy targets",
		Stack: "prod",
		By:    stacktest.Delete(unhealthyAlarm),
		Found: "aws_lb_target_group.service_web_target_group",
	}, {
		Name:  "failed deployments do not notify the topic",
		Stack: "prod",
		By:    stacktest.Delete(deploymentFailedTarget),
		Found: ecsCluster,
	}, {
		Name:  "failed deployments of another cluster notify the topic",
		Stack: "prod",
		By: stacktest.Set(
			deploymentFailedRule, "event_pattern.resources",
			[]any{map[string]any{"prefix": "arn:aws:ecs:eu-central-1:123456789012:service/other/"}},
		),
		Found: ecsCluster,
	}, {
		Name:  "rollbacks do not notify the topic",
		Stack: "prod",
		By: stacktest.Set(
			deploymentFailedRule, "event_pattern.detail",
			map[string]any{"eventName": []any{"SERVICE_DEPLOYMENT_FAILED"}},
		),
		Found: ecsCluster,
	}, {
		Name:  "every deployment notifies the topic",
		Stack: "prod",
		By:    stacktest.Remove(deploymentFailedRule, "event_pattern.detail"),
		Found: ecsCluster,
	}, {
		Name:  "there is no alarm on events that EventBridge cannot deliver",
		Stack: "prod",
		By:    stacktest.Delete(undeliveredAlarm),
		Found: deploymentFailedRule,
	}, {
		Name:  "there is no alarm on the delivery of another rule",
		Stack: "prod",
		By: stacktest.CreateLike(
			deploymentFailedRule, "aws_cloudwatch_event_rule.other_rule", "name", "platform-prod-other",
		),
		Found: "aws_cloudwatch_event_rule.other_rule",
	}, {
		Name:  "events of the database do not notify the topic",
		Stack: "prod",
		By:    stacktest.Delete("aws_db_event_subscription.database_events"),
		Found: databaseInstance,
	}, {
		Name:  "important events of the database do not notify the topic",
		Stack: "prod",
		By:    stacktest.Set("aws_db_event_subscription.database_events", "event_categories", []any{"failover"}),
		Found: databaseInstance,
	}},
}}

// rollbackAlarms returns the alarms that roll back a service's deployments.
func rollbackAlarms(s stacktest.Stack, service stacktest.Resource) []stacktest.Resource {
	var alarms []stacktest.Resource
	for _, address := range service.References("alarms.alarm_names") {
		if alarm := s.Resource(address); alarm.Exists() {
			alarms = append(alarms, alarm)
		}
	}
	return alarms
}

// topicAndRollbackAlarms separates the alarms that notify the topic from those that only roll back
// deployments.
func topicAndRollbackAlarms(s stacktest.Stack) (notifying, rollback []stacktest.Resource) {
	rollsBack := map[string]bool{}
	for _, service := range s.Resources("aws_ecs_service") {
		for _, alarm := range rollbackAlarms(s, service) {
			rollsBack[alarm.Address] = true
		}
	}
	for _, alarm := range s.Resources("aws_cloudwatch_metric_alarm") {
		if rollsBack[alarm.Address] {
			rollback = append(rollback, alarm)
		} else {
			notifying = append(notifying, alarm)
		}
	}
	return notifying, rollback
}

func alarmsNotifyTopic(s stacktest.Stack, v *stacktest.Violations) {
	notifying, rollback := topicAndRollbackAlarms(s)
	for _, a := range notifying {
		for _, path := range []string{"alarm_actions", "ok_actions"} {
			v.Want(s.Resource(a.Reference(path)).Kind() == "aws_sns_topic",
				a.Address, "want %s to be the topic, have %v", path, a.At(path))
		}
		v.Want(!a.Is("actions_enabled", false), a.Address, "has disabled actions")
	}
	for _, a := range rollback {
		v.Want(!a.Has("alarm_actions"), a.Address, "rolls back deployments, but notifies the topic too")
	}
	// With a composite alarm, the alarms that it combines have no actions. Mixing both kinds would
	// leave failures that notify nobody.
	for _, composite := range s.Resources("aws_cloudwatch_composite_alarm") {
		v.Want(false, composite.Address, "hides the alarms that it combines")
	}
}

var directions = regexp.MustCompile(`\b([Ss]ee|Raise|Look|Compare|use|log group)\b`)

func alarmsDescribeWhatToDo(s stacktest.Stack, v *stacktest.Violations) {
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		text := a.String("alarm_description")
		v.Want(len(text) >= 40 && directions.MatchString(text), a.Address, "does not say where to look: %q", text)
	}
}

// alarmPeriod returns an alarm's period in seconds: the longest of its queries, if it has queries.
func alarmPeriod(a stacktest.Resource) float64 {
	period := a.Number("period")
	for _, q := range a.Blocks("metric_query") {
		if q.Has("metric") && !(period > q.Number("metric.period")) {
			period = q.Number("metric.period")
		}
	}
	return period
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
// Of the extended statistics, only percentiles are in use.
var (
	statistics = []string{"Average", "Maximum", "Minimum", "SampleCount", "Sum"}
	percentile = regexp.MustCompile(`^p(100|[0-9]{1,2}(\.[0-9]{1,10})?)$`)
)

func isStatistic(name string) bool {
	return slices.Contains(statistics, name) || percentile.MatchString(name)
}

var (
	queryID   = regexp.MustCompile(`^[a-z][A-Za-z0-9_]*$`)
	idsInside = regexp.MustCompile(`\b[a-z]\w*`) // an expression's functions are in capitals

	// FILL may leave a series that has never had a value empty, and the result of an operator with it.
	operatorOnFill = regexp.MustCompile(`FILL\(\w+, 0\) *[-+*/]|[-+*/] *FILL\(`)
)

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
func queriesAreAccepted(a stacktest.Resource, v *stacktest.Violations) {
	var ids []string
	for _, q := range a.Blocks("metric_query") {
		id := q.String("id")
		v.Want(queryID.MatchString(id) && !slices.Contains(ids, id),
			a.Address, "has a query with the invalid or duplicate id %q", id)
		ids = append(ids, id)
		v.Want(!q.Has("metric") || isStatistic(q.String("metric.stat")),
			a.Address, "has a query with the unknown statistic %q", q.String("metric.stat"))
	}
	for _, q := range a.Blocks("metric_query") {
		v.Want(!operatorOnFill.MatchString(q.String("expression")),
			a.Address, "has an operator on FILL instead of SUM([...]): %s", q.String("expression"))
		for _, name := range idsInside.FindAllString(q.String("expression"), -1) {
			v.Want(slices.Contains(ids, name),
				a.Address, "has an expression with the unknown id %s; the ids are %v", name, ids)
		}
	}
}

// comparisons are the operators for a threshold. The others are for anomaly detection.
var comparisons = []string{
	"GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold",
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
func alarmsAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	const day = 24 * 3600
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		v.Want(slices.Contains(comparisons, a.String("comparison_operator")),
			a.Address, "has the unknown comparison operator %v", a.At("comparison_operator"))
		period, periods := alarmPeriod(a), a.Number("evaluation_periods")
		v.Want(period == 10 || period == 30 || period >= 60 && int(period)%60 == 0,
			a.Address, "has a period of %v seconds, which AWS rejects", period)
		v.Want(period*periods <= 7*day && (period >= 3600 || period*periods <= day),
			a.Address, "evaluates %v seconds; AWS allows a week, and a day with periods under an hour", period*periods)
		v.Want(a.Number("datapoints_to_alarm") >= 1 && a.Number("datapoints_to_alarm") <= periods,
			a.Address, "want at most as many datapoints_to_alarm as evaluation_periods, have %v of %v",
			a.At("datapoints_to_alarm"), periods)
		v.Want(a.Has("threshold"), a.Address, "has no threshold")
		returning := 0
		for _, q := range a.Blocks("metric_query") {
			if q.Is("return_data", true) {
				returning++
			}
			v.Want(q.Has("expression") != q.Has("metric"),
				a.Address, "want either a metric or an expression in the query %s", q.String("id"))
			v.Want(!q.Has("metric") || q.Number("metric.period") == period,
				a.Address, "has queries with different periods")
		}
		if a.Has("metric_query") {
			v.Want(returning == 1, a.Address, "want one query that returns data, have %d", returning)
			queriesAreAccepted(a, v)
		} else {
			v.Want(a.Has("statistic") != a.Has("extended_statistic"),
				a.Address, "want either a statistic or a percentile")
			v.Want(!a.Has("statistic") || slices.Contains(statistics, a.String("statistic")),
				a.Address, "has the unknown statistic %v", a.At("statistic"))
			v.Want(!a.Has("extended_statistic") || percentile.MatchString(a.String("extended_statistic")),
				a.Address, "has the invalid percentile %v", a.At("extended_statistic"))
		}
		single := a.Has("metric_name") && a.Has("namespace") && a.Has("period")
		none := !a.Has("metric_name") && !a.Has("namespace") && !a.Has("period") &&
			!a.Has("statistic") && !a.Has("extended_statistic")
		v.Want(single && !a.Has("metric_query") || none && a.Has("metric_query"),
			a.Address, "want either a metric or queries")
	}
}

// alarmMetrics returns the metrics of an alarm, as namespace and name, with their dimensions.
func alarmMetrics(a stacktest.Resource) map[string]map[string]any {
	all := map[string]map[string]any{}
	add := func(namespace, name string, dimensions any) {
		all[namespace+" "+name], _ = dimensions.(map[string]any)
	}
	if a.Has("metric_name") {
		add(a.String("namespace"), a.String("metric_name"), a.At("dimensions"))
	}
	for _, q := range a.Blocks("metric_query") {
		if q.Has("metric") {
			add(q.String("metric.namespace"), q.String("metric.metric_name"), q.At("metric.dimensions"))
		}
	}
	return all
}

func missingDataIsTreated(s stacktest.Stack, v *stacktest.Violations) {
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		missing := a.String("treat_missing_data")
		v.Want(slices.Contains([]string{"breaching", "notBreaching", "ignore", "missing"}, missing),
			a.Address, "has the unknown treatment %q of missing data", missing)
		for metric := range alarmMetrics(a) {
			switch {
			case strings.HasSuffix(metric, " RunningTaskCount"),
				strings.HasSuffix(metric, " Invocations"),
				strings.HasSuffix(metric, " NumberOfMessagesPublished"),
				strings.HasSuffix(metric, " CopyLag"),
				strings.HasSuffix(metric, " NewestDumpCopyAge"),
				strings.HasSuffix(metric, " NewestBackupAge"):
				v.Want(
					missing == "breaching",
					a.Address, "treats missing data of %s as %s; want breaching, because nothing runs or reports then",
					metric, missing,
				)
			case strings.Contains(metric, "5XX"),
				strings.HasSuffix(metric, " Errors"),
				strings.HasSuffix(metric, " FailedInvocations"),
				strings.HasSuffix(metric, "Dropped"),
				strings.HasSuffix(metric, "DroppedCount"):
				v.Want(
					missing == "notBreaching",
					a.Address, "treats missing data of %s as %s; want notBreaching, because only failures are counted",
					metric, missing,
				)
			}
		}
	}
	_, rollback := topicAndRollbackAlarms(s)
	for _, a := range rollback {
		v.Want(a.Is("treat_missing_data", "notBreaching"),
			a.Address, "rolls back a deployment when there is no traffic")
	}
}

// reportedDimensions returns the dimensions that AWS reports each metric with. With other
// dimensions, an alarm finds no data, and CloudWatch reports no error.
//
//	https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
//	https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
//	https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
//	https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/dimensions.html
//	https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
//	https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
//	https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
//	https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
//	https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-dimensions.html
func reportedDimensions(s stacktest.Stack) map[string][]string {
	const loadBalancer, target, service = "LoadBalancer", "LoadBalancer TargetGroup", "ClusterName ServiceName"
	all := map[string][]string{
		"AWS/ApplicationELB HTTPCode_ELB_5XX_Count":    {loadBalancer},
		"AWS/ApplicationELB HTTPCode_Target_5XX_Count": {loadBalancer, target},
		"AWS/ApplicationELB RequestCount":              {loadBalancer, target},
		"AWS/ApplicationELB TargetResponseTime":        {loadBalancer, target},
		"AWS/ApplicationELB UnHealthyHostCount":        {target},
		"AWS/ECS CPUUtilization":                       {service},
		"AWS/ECS MemoryUtilization":                    {service},
		"ECS/ContainerInsights RunningTaskCount":       {service},
		"AWS/NATGateway ErrorPortAllocation":           {"NatGatewayId"},
		"AWS/NATGateway PacketsDropCount":              {"NatGatewayId"},
		"AWS/Lambda Errors":                            {"FunctionName"},
		"AWS/Events FailedInvocations":                 {"RuleName"},
		"AWS/Lambda Invocations":                       {"FunctionName"},
		"AWS/Scheduler InvocationDroppedCount":         {"ScheduleGroup"},
		"AWS/SNS NumberOfMessagesPublished":            {"TopicName"},
		// functions/backup/metrics.go
		"AWS/S3 OperationsFailedReplication":   {"DestinationBucket RuleId SourceBucket"},
		s.Name() + "/Backup CopyLag":           {"DBInstanceIdentifier"},
		s.Name() + "/Backup NewestBackupAge":   {"DBInstanceIdentifier"},
		s.Name() + "/Backup SnapshotQuotaUsed": {"DBInstanceIdentifier"},
		s.Name() + "/Backup NewestBackupAge":   {"DBInstanceIdentifier"},
		s.Name() + "/Backup NewestDumpAge":     {"DBInstanceIdentifier"},
		s.Name() + "/Backup NewestDumpCopyAge": {"DBInstanceIdentifier"},
		s.Name() + "/Backup DumpSizeRatio":     {"DBInstanceIdentifier"},
		s.Name() + "/Backup NewestDrillAge":    {"DBInstanceIdentifier"},
		// functions/database/metrics.go
		s.Name() + "/Database ObjectsInUse":     {"FunctionName"},
		s.Name() + "/Database OverdueRotations": {"FunctionName"},
	}
	for _, metric := range []string{
		"CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory", "ReadLatency", "WriteLatency",
	} {
		all["AWS/RDS "+metric] = []string{"DBInstanceIdentifier"}
	}
	return all
}

// dimensionValues are the attributes that are the values of dimensions. An ARN or an id in place of
// a name matches no metric.
var dimensionValues = map[string]*regexp.Regexp{
	"DestinationBucket":    regexp.MustCompile(`^\$\{aws_s3_bucket\.\w+\.id\}$`),
	"RuleId":               regexp.MustCompile(`^all$`),
	"SourceBucket":         regexp.MustCompile(`^\$\{aws_s3_bucket\.\w+\.id\}$`),
	"ClusterName":          regexp.MustCompile(`^\$\{aws_ecs_cluster\.\w+\.name\}$`),
	"DBInstanceIdentifier": regexp.MustCompile(`^\$\{aws_db_instance\.\w+\.identifier\}$`),
	"FunctionName":         regexp.MustCompile(`^\$\{aws_lambda_function\.\w+\.function_name\}$`),
	"LoadBalancer":         regexp.MustCompile(`^\$\{aws_lb\.\w+\.arn_suffix\}$`),
	"NatGatewayId":         regexp.MustCompile(`^\$\{aws_nat_gateway\.\w+\.id\}$`),
	"RuleName":             regexp.MustCompile(`^\$\{aws_cloudwatch_event_rule\.\w+\.name\}$`),
	"ScheduleGroup":        regexp.MustCompile(`^\$\{aws_scheduler_schedule_group\.\w+\.name\}$`),
	"ServiceName":          regexp.MustCompile(`^\$\{aws_ecs_service\.\w+\.name\}$`),
	"TopicName":            regexp.MustCompile(`^\$\{aws_sns_topic\.\w+\.name\}$`),
	"TargetGroup":          regexp.MustCompile(`^\$\{aws_lb_target_group\.\w+\.arn_suffix\}$`),
}

func alarmsFindTheirMetrics(s stacktest.Stack, v *stacktest.Violations) {
	known := reportedDimensions(s)
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		for metric, dimensions := range alarmMetrics(a) {
			names := strings.Join(slices.Sorted(maps.Keys(dimensions)), " ")
			v.Want(slices.Contains(known[metric], names),
				a.Address, "looks for %s by %q, but AWS reports it by %q", metric, names, known[metric])
			for name, value := range dimensions {
				shape := dimensionValues[name]
				v.Want(shape != nil && shape.MatchString(fmt.Sprint(value)),
					a.Address, "has %v as the dimension %s", value, name)
			}
		}
	}
}

// ECS ignores an alarm that fires when a deployment begins, so these evaluate only a few minutes.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func deploymentAlarmsWatchTheirService(s stacktest.Stack, v *stacktest.Violations) {
	for _, service := range s.Resources("aws_ecs_service") {
		for _, a := range rollbackAlarms(s, service) {
			v.Want(
				slices.Contains([]string{"HTTPCode_Target_5XX_Count", "TargetResponseTime"}, a.String("metric_name")),
				a.Address, "rolls back a deployment because of %v",
				a.At("metric_name"),
			)
			group := service.References("load_balancer.target_group_arn")
			v.Want(slices.Equal(a.References("dimensions.TargetGroup"), group),
				a.Address, "watches another service than %s", service.Address)
			seconds := alarmPeriod(a) * a.Number("evaluation_periods")
			v.Want(seconds <= 600,
				a.Address, "evaluates %v seconds, so that it still fires when the next deployment begins", seconds)
		}
	}
}

// hasAlarm tells whether an alarm on a metric of a resource notifies the topic.
func hasAlarm(s stacktest.Stack, metric, dimension, address string) bool {
	notifying, _ := topicAndRollbackAlarms(s)
	return slices.ContainsFunc(notifying, func(a stacktest.Resource) bool {
		for name, dimensions := range alarmMetrics(a) {
			references := stacktest.References(dimensions[dimension])
			if strings.HasSuffix(name, " "+metric) && slices.Contains(references, address) {
				return true
			}
		}
		return false
	})
}

func everythingHasAnAlarm(s stacktest.Stack, v *stacktest.Violations) {
	want := func(r stacktest.Resource, dimension string, metrics ...string) {
		for _, metric := range metrics {
			v.Want(hasAlarm(s, metric, dimension, r.Address),
				r.Address, "has no alarm on %s that notifies the topic", metric)
		}
	}
	for _, b := range s.Resources("aws_lb") {
		want(b, "LoadBalancer", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count")
	}
	for _, group := range s.Resources("aws_lb_target_group") {
		want(group, "TargetGroup", "UnHealthyHostCount")
	}
	for _, service := range s.Resources("aws_ecs_service") {
		if service.Is("name", "prometheus_server") {
			// Without a task, nothing is published: that alarm tells more than the number of tasks.
			v.Want(hasAlarm(s, "NumberOfMessagesPublished", "TopicName", heartbeatTopic),
				service.Address, "has no alarm on its signs of life that notifies the topic")
			continue
		}
		for _, a := range rollbackAlarms(s, service) { // none on latency with alarms.latency: 0
			if a.Is("metric_name", "TargetResponseTime") {
				want(s.Resource(a.Reference("dimensions.TargetGroup")), "TargetGroup", "TargetResponseTime")
			}
		}
		if leastTasks(s, service) > 0 {
			want(service, "ServiceName", "RunningTaskCount")
		}
	}
	for _, nat := range s.Resources("aws_nat_gateway") {
		want(nat, "NatGatewayId", "ErrorPortAllocation", "PacketsDropCount")
	}
	for _, function := range s.Resources("aws_lambda_function") {
		want(function, "FunctionName", "Errors")
	}
	for _, group := range s.Resources("aws_scheduler_schedule_group") {
		want(group, "ScheduleGroup", "InvocationDroppedCount")
	}
	for _, rule := range s.Resources("aws_cloudwatch_event_rule") {
		want(rule, "RuleName", "FailedInvocations")
	}
	for _, cluster := range s.Resources("aws_ecs_cluster") {
		for _, event := range deploymentEvents(s, cluster) {
			v.Want(notifiesOf(s, event.event) == event.notifies,
				cluster.Address, "want an event of %s to notify the topic: %v", event.name, event.notifies)
		}
	}
	// Of several instances, only the one in use: the others are for inspection, or will be deleted.
	for _, address := range usedDatabases(s) {
		d := s.Resource(address)
		want(d, "DBInstanceIdentifier", "CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory",
			"ReadLatency", "WriteLatency", "NewestBackupAge", "SnapshotQuotaUsed")
		v.Want(notifiesOfDatabaseEvents(s, address),
			address, "has no subscription that notifies the topic of its important events")
	}
}
