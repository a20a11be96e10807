package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
)

var alarmInvariants = []invariant{
	{
		promise: "an alarm reaches people when it rings and when it stops, but those that only take a deployment back",
		check:   alarmsReachPeople,
		broken: []damage{
			{name: "nobody hears it", stack: "prod",
				breaks: unset(cpuAlarm, "alarm_actions"), found: cpuAlarm},
			{name: "nobody hears that it is over", stack: "prod",
				breaks: unset(cpuAlarm, "ok_actions"), found: cpuAlarm},
			{name: "it is switched off", stack: "prod",
				breaks: add(cpuAlarm, "actions_enabled", false), found: cpuAlarm},
			{name: "another topic", stack: "prod",
				breaks: change(cpuAlarm, "alarm_actions", []any{"arn:aws:sns:eu-central-1:123456789012:other"}),
				found:  cpuAlarm},
			{name: "a deployment alarm wakes people", stack: "prod",
				breaks: add(deploymentAlarm, "alarm_actions", []any{"${aws_sns_topic.alerts_topic.arn}"}),
				found:  deploymentAlarm},
			{name: "a composite alarm, whose parts fall silent", stack: "prod",
				breaks: put("aws_cloudwatch_composite_alarm.all", tree{"alarm_name": "all"}),
				found:  "aws_cloudwatch_composite_alarm.all"},
		},
	},
	{
		promise: "an alarm says what is wrong and where to look first",
		check:   alarmsSayWhatToDo,
		broken: []damage{
			{name: "nothing", stack: "prod",
				breaks: unset(cpuAlarm, "alarm_description"), found: cpuAlarm},
			{name: "too little", stack: "prod",
				breaks: change(cpuAlarm, "alarm_description", "See the database."), found: cpuAlarm},
			{name: "what is wrong alone", stack: "prod",
				breaks: change(cpuAlarm, "alarm_description",
					"The database has used more than 90% of its CPU for 15 minutes."),
				found: cpuAlarm},
		},
	},
	{
		promise: "AWS takes the alarm: its comparison, and the time that it looks at",
		check:   alarmsAreAccepted,
		broken: []damage{
			{name: "no such comparison", stack: "prod",
				breaks: change(cpuAlarm, "comparison_operator", "MoreThan"), found: cpuAlarm},
			{name: "more than a day of short periods", stack: "prod",
				breaks: change(cpuAlarm, "evaluation_periods", 300.0), found: cpuAlarm},
			{name: "more than a week", stack: "prod",
				breaks: both(
					change(ageAlarm, "evaluation_periods", 170.0),
					change(ageAlarm, "datapoints_to_alarm", 170.0),
				),
				found: ageAlarm},
			{name: "more than a day of short periods in a query", stack: "prod",
				breaks: change(errorsAlarm, "evaluation_periods", 1441.0), found: errorsAlarm},
			{name: "a period that there is not", stack: "prod",
				breaks: change(cpuAlarm, "period", 90.0), found: cpuAlarm},
			{name: "more points than it looks at", stack: "prod",
				breaks: change(cpuAlarm, "datapoints_to_alarm", 4.0), found: cpuAlarm},
			{name: "no threshold", stack: "prod",
				breaks: unset(cpuAlarm, "threshold"), found: cpuAlarm},
			{name: "two answers of a query", stack: "prod",
				breaks: change(errorsAlarm, "metric_query.0.return_data", true), found: errorsAlarm},
			{name: "a query that is two", stack: "prod",
				breaks: add(errorsAlarm, "metric_query.0.expression", "1"), found: errorsAlarm},
			{name: "queries of several periods", stack: "prod",
				breaks: change(errorsAlarm, "metric_query.0.metric.period", 300.0), found: errorsAlarm},
			{name: "an average and a percentile", stack: "prod",
				breaks: add(cpuAlarm, "extended_statistic", "p99"), found: cpuAlarm},
			{name: "a statistic that there is not", stack: "prod",
				breaks: change(cpuAlarm, "statistic", "Mean"), found: cpuAlarm},
			{name: "a percentile above all", stack: "prod",
				breaks: change("aws_cloudwatch_metric_alarm.service_web_latency_alarm", "extended_statistic", "p101"),
				found:  "service_web_latency_alarm"},
			{name: "a percentile among the plain ones", stack: "prod",
				breaks: both(unset(cpuAlarm, "statistic"), add(cpuAlarm, "extended_statistic", "Average")),
				found:  cpuAlarm},
			{name: "a query's statistic", stack: "prod",
				breaks: change(errorsAlarm, "metric_query.0.metric.stat", "sum"), found: errorsAlarm},
			{name: "a query called as no expression could", stack: "prod",
				breaks: change(errorsAlarm, "metric_query.4.id", "Share"), found: errorsAlarm},
			{name: "two queries of one name", stack: "prod",
				breaks: change(errorsAlarm, "metric_query.1.id", "requests"), found: errorsAlarm},
			{name: "an expression over a query that there is not", stack: "prod",
				breaks: replace(errorsAlarm, "metric_query.4.expression", "targets", "services"), found: errorsAlarm},
			{name: "queries and a metric", stack: "prod",
				breaks: add(errorsAlarm, "metric_name", "RequestCount"), found: errorsAlarm},
			{name: "no metric, and no queries", stack: "prod",
				breaks: unset(cpuAlarm, "metric_name"), found: cpuAlarm},
		},
	},
	{
		promise: "silence is bad where something should report, and fine where nothing happened",
		check:   silenceIsJudged,
		broken: []damage{
			{name: "no task at all is fine", stack: "prod",
				breaks: change(tasksAlarm, "treat_missing_data", "notBreaching"), found: tasksAlarm},
			{name: "no error is bad", stack: "prod",
				breaks: change(errorsAlarm, "treat_missing_data", "breaching"), found: errorsAlarm},
			{name: "no report of backups is fine", stack: "prod",
				breaks: change(ageAlarm, "treat_missing_data", "missing"), found: ageAlarm},
			{name: "nothing is said", stack: "prod",
				breaks: unset(cpuAlarm, "treat_missing_data"), found: cpuAlarm},
			{name: "a word that AWS has not", stack: "prod",
				breaks: change(cpuAlarm, "treat_missing_data", "non-breaching"), found: cpuAlarm},
			{name: "a deployment goes back for want of traffic", stack: "prod",
				breaks: change(deploymentAlarm, "treat_missing_data", "breaching"), found: deploymentAlarm},
		},
	},
	{
		promise: "an alarm looks at a metric by the names that AWS reports it under",
		check:   alarmsFindTheirMetrics,
		broken: []damage{
			{name: "a dimension too few", stack: "prod",
				breaks: unset("aws_cloudwatch_metric_alarm.service_web_unhealthy_tasks_alarm",
					"dimensions.LoadBalancer"),
				found: "aws_cloudwatch_metric_alarm.service_web_unhealthy_tasks_alarm"},
			{name: "an ARN where the end of one is meant", stack: "prod",
				breaks: change("aws_cloudwatch_metric_alarm.service_web_latency_alarm", "dimensions.LoadBalancer",
					"${aws_lb.load_balancer.arn}"),
				found: "aws_cloudwatch_metric_alarm.service_web_latency_alarm"},
			{name: "the database's resource id", stack: "prod",
				breaks: change(cpuAlarm, "dimensions.DBInstanceIdentifier", "${aws_db_instance.database.id}"),
				found:  cpuAlarm},
			{name: "a metric that there is not", stack: "prod",
				breaks: change(cpuAlarm, "metric_name", "CPU"), found: cpuAlarm},
			{name: "a query's dimension", stack: "prod",
				breaks: unset(errorsAlarm, "metric_query.1.metric.dimensions.LoadBalancer"), found: errorsAlarm},
		},
	},
	{
		promise: "a deployment is taken back by errors and slowness alone, by alarms made before it",
		check:   deploymentAlarmsAreSound,
		broken: []damage{
			{name: "by the count of tasks, which it changes itself", stack: "prod",
				breaks: both(
					change(deploymentAlarm, "metric_name", "RunningTaskCount"),
					change(deploymentAlarm, "namespace", "ECS/ContainerInsights"),
				),
				found: deploymentAlarm},
			{name: "by another service's", stack: "metrics",
				breaks: change(deploymentAlarm, "dimensions.TargetGroup",
					"${aws_lb_target_group.service_admin_target_group.arn_suffix}"),
				found: deploymentAlarm},
			{name: "by one that looks back longer than a deployment takes", stack: "prod",
				breaks: change(deploymentAlarm, "evaluation_periods", 30.0), found: deploymentAlarm},
		},
	},
	{
		promise: "whatever can fail has an alarm",
		check:   everythingIsWatched,
		broken: []damage{
			{name: "a service's tasks", stack: "prod",
				breaks: drop(tasksAlarm), found: webService},
			{name: "Prometheus' task", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.prometheus_too_few_tasks_alarm"), found: prometheusService},
			{name: "a NAT gateway", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.nat_ports_b_alarm"), found: "aws_nat_gateway.nat_gateway_b"},
			{name: "the database's disk", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.database_storage_alarm"), found: database},
			{name: "the function", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.backup_errors_alarm"), found: theFunction},
			{name: "the scheduler", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.backup_schedule_dropped_alarm"),
				found:  "aws_scheduler_schedule_group.backup_schedule_group"},
			{name: "the age of backups", stack: "prod",
				breaks: drop(ageAlarm), found: database},
			{name: "errors of the balancer", stack: "prod",
				breaks: drop(errorsAlarm), found: balancer},
			{name: "a target group", stack: "prod",
				breaks: drop("aws_cloudwatch_metric_alarm.service_web_unhealthy_tasks_alarm"), found: webTargets},
			{name: "deployments", stack: "prod",
				breaks: drop("aws_cloudwatch_event_target.deployment_failed_target"), found: "aws_ecs_cluster.cluster"},
			{name: "what RDS says", stack: "prod",
				breaks: drop("aws_db_event_subscription.database_events"), found: database},
			{name: "RDS says too little", stack: "prod",
				breaks: change("aws_db_event_subscription.database_events", "event_categories", []any{"failover"}),
				found:  database},
		},
	},
	{
		promise: "the dashboard is what CloudWatch takes, and shows every alarm",
		check:   dashboardIsSound,
		broken: []damage{
			{name: "no JSON", stack: "prod",
				breaks: change(theDashboard, "dashboard_body", `{"widgets":[}`), found: theDashboard},
			{name: "an alarm is missing", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"${`+cpuAlarm+`.arn}",`, ""), found: cpuAlarm},
			{name: "a dimension without a value", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`,"DBInstanceIdentifier","${aws_db_instance.database.identifier}",{"label":"CPU"}`,
					`,"DBInstanceIdentifier",{"label":"CPU"}`),
				found: theDashboard},
			{name: "a widget over the edge", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"x":16`, `"x":20`), found: theDashboard},
			{name: "metrics of no region", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"region":"eu-central-1",`, ""), found: theDashboard},
			{name: "nothing on it", stack: "prod",
				breaks: change(theDashboard, "dashboard_body", `{"widgets":[]}`), found: theDashboard},
			{name: "a graph of nothing", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`[["AWS/RDS","CPUUtilization",`+
						`"DBInstanceIdentifier","${aws_db_instance.database.identifier}",{"label":"CPU"}]]`,
					`[]`),
				found: theDashboard},
			{name: "more alarms than it shows", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"alarms":[`, `"alarms":[`+strings.Repeat(`"more",`, 100)),
				found: theDashboard},
			{name: "one widget on another", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"x":8,"y":4}`, `"x":4,"y":4}`), found: theDashboard},
			{name: "a place between two columns", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"x":8,"y":4}`, `"x":8.5,"y":4}`), found: theDashboard},
			{name: "a widget to the left of all", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"x":0,"y":22}`, `"x":-1,"y":22}`), found: theDashboard},
			{name: "a widget of no width", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"width":8,"x":0,"y":22}`, `"width":0,"x":0,"y":22}`), found: theDashboard},
			{name: "a kind of widget that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"type":"alarm"`, `"type":"alarms"`), found: theDashboard},
			{name: "a property that CloudWatch has not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"yAxis"`, `"axis"`), found: theDashboard},
			{name: "an order that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"stateUpdatedTimestamp"`, `"state"`), found: theDashboard},
			{name: "an alarm that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"alarms":[`, `"alarms":["${aws_cloudwatch_metric_alarm.gone_alarm.arn}",`),
				found: theDashboard},
			{name: "an alarm by its name", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					"${"+cpuAlarm+".arn}", "${"+cpuAlarm+".alarm_name}"), found: theDashboard},
			{name: "a statistic that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"stat":"Maximum"`, `"stat":"Max"`), found: theDashboard},
			{name: "a metric's statistic", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"stat":"p50"`, `"stat":"median"`), found: theDashboard},
			{name: "a period that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"period":60`, `"period":90`), found: theDashboard},
			{name: "a metric's period", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"period":3600`, `"period":3601`), found: theDashboard},
			{name: "a view that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body", `"timeSeries"`, `"lines"`), found: theDashboard},
			{name: "another region", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"region":"eu-central-1"`, `"region":"us-east-1"`), found: theDashboard},
			{name: "a metric that there is not", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"CPUUtilization","DBInstanceIdentifier"`, `"CPU","DBInstanceIdentifier"`),
				found: theDashboard},
			{name: "a metric of another namespace", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"ECS/ContainerInsights"`, `"AWS/ECS"`), found: theDashboard},
			{name: "a dimension too few", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					`"ClusterName","${aws_ecs_cluster.cluster.name}",`, ""), found: theDashboard},
			{name: "an ARN where the end of one is meant", stack: "prod",
				breaks: replace(theDashboard, "dashboard_body",
					"${aws_lb.load_balancer.arn_suffix}", "${aws_lb.load_balancer.arn}"),
				found: theDashboard},
		},
	},
}

// deploymentAlarms are the alarms that a service's deployments are watched by.
func deploymentAlarms(stack tree, service thing) []thing {
	var alarms []thing
	for _, address := range service.refs("alarms.alarm_names") {
		if alarm := get(stack, address); alarm.exists() {
			alarms = append(alarms, alarm)
		}
	}
	return alarms
}

// alarmsFor separates the alarms that people hear from those that only take deployments back.
func alarmsFor(stack tree) (people, deployments []thing) {
	watching := map[string]bool{}
	for _, service := range things(stack, "aws_ecs_service") {
		for _, alarm := range deploymentAlarms(stack, service) {
			watching[alarm.address] = true
		}
	}
	for _, alarm := range things(stack, "aws_cloudwatch_metric_alarm") {
		if watching[alarm.address] {
			deployments = append(deployments, alarm)
		} else {
			people = append(people, alarm)
		}
	}
	return people, deployments
}

func alarmsReachPeople(stack tree) (v violations) {
	people, deployments := alarmsFor(stack)
	for _, a := range people {
		for _, path := range []string{"alarm_actions", "ok_actions"} {
			v.want(get(stack, a.ref(path)).kind() == "aws_sns_topic",
				a.address, "wants %s to be the topic, has %v", path, a.at(path))
		}
		v.want(!a.is("actions_enabled", false), a.address, "is switched off")
	}
	for _, a := range deployments {
		v.want(!a.has("alarm_actions"), a.address, "takes a deployment back and wakes people for it")
	}
	// The children of a composite alarm are silent: page by one or the other, never
	// by half of each.
	for _, composite := range things(stack, "aws_cloudwatch_composite_alarm") {
		v.want(false, composite.address, "hides its parts")
	}
	return v
}

var hint = regexp.MustCompile(`\b([Ss]ee|Raise|Look|Compare|use|log group)\b`)

func alarmsSayWhatToDo(stack tree) (v violations) {
	for _, a := range things(stack, "aws_cloudwatch_metric_alarm") {
		text := a.text("alarm_description")
		v.want(len(text) >= 40 && hint.MatchString(text), a.address, "does not say what to do: %q", text)
	}
	return v
}

// periodOf is an alarm's period in seconds; that of its longest query, where it has queries.
func periodOf(a thing) float64 {
	period := a.number("period")
	for _, q := range a.parts("metric_query") {
		if q.has("metric") && !(period > q.number("metric.period")) {
			period = q.number("metric.period")
		}
	}
	return period
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html, of
// whose advanced ones percentiles are all that is used.
var (
	statistics = []string{"Average", "Maximum", "Minimum", "SampleCount", "Sum"}
	percentile = regexp.MustCompile(`^p(100|[0-9]{1,2}(\.[0-9]{1,10})?)$`)
)

func isStatistic(name string) bool {
	return slices.Contains(statistics, name) || percentile.MatchString(name)
}

var (
	queryName   = regexp.MustCompile(`^[a-z][A-Za-z0-9_]*$`)
	namesInside = regexp.MustCompile(`\b[a-z]\w*`) // of an expression: functions are in capitals
)

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
func queriesAreAccepted(a thing) (v violations) {
	var ids []string
	for _, q := range a.parts("metric_query") {
		id := q.text("id")
		v.want(queryName.MatchString(id) && !slices.Contains(ids, id),
			a.address, "has a query called %q, which is no name, or is taken", id)
		ids = append(ids, id)
		v.want(!q.has("metric") || isStatistic(q.text("metric.stat")),
			a.address, "has a query of the statistic %q", q.text("metric.stat"))
	}
	for _, q := range a.parts("metric_query") {
		for _, name := range namesInside.FindAllString(q.text("expression"), -1) {
			v.want(slices.Contains(ids, name), a.address, "reckons with %s, which is none of %v", name, ids)
		}
	}
	return v
}

// comparisons are those of an alarm on a metric; the others are for bands of anomalies.
var comparisons = []string{
	"GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold",
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
func alarmsAreAccepted(stack tree) (v violations) {
	const day = 24 * 3600
	for _, a := range things(stack, "aws_cloudwatch_metric_alarm") {
		v.want(slices.Contains(comparisons, a.text("comparison_operator")),
			a.address, "compares by %v", a.at("comparison_operator"))
		period, of := periodOf(a), a.number("evaluation_periods")
		v.want(period == 10 || period == 30 || period >= 60 && int(period)%60 == 0,
			a.address, "has a period of %v seconds", period)
		v.want(period*of <= 7*day && (period >= 3600 || period*of <= day),
			a.address, "looks at %v seconds: AWS allows a week, and a day for periods under an hour", period*of)
		v.want(a.number("datapoints_to_alarm") >= 1 && a.number("datapoints_to_alarm") <= of,
			a.address, "rings after %v points of %v", a.at("datapoints_to_alarm"), of)
		v.want(a.has("threshold"), a.address, "has no threshold")
		answers := 0
		for _, q := range a.parts("metric_query") {
			if q.is("return_data", true) {
				answers++
			}
			v.want(q.has("expression") != q.has("metric"),
				a.address, "has a query %s that is both or neither", q.text("id"))
			v.want(!q.has("metric") || q.number("metric.period") == period, a.address, "has queries of several periods")
		}
		if a.has("metric_query") {
			v.want(answers == 1, a.address, "has %d answers", answers)
			v = append(v, queriesAreAccepted(a)...)
		} else {
			v.want(a.has("statistic") != a.has("extended_statistic"), a.address, "wants a statistic or a percentile")
			v.want(!a.has("statistic") || slices.Contains(statistics, a.text("statistic")),
				a.address, "has the statistic %v", a.at("statistic"))
			v.want(!a.has("extended_statistic") || percentile.MatchString(a.text("extended_statistic")),
				a.address, "has the percentile %v", a.at("extended_statistic"))
		}
		single := a.has("metric_name") && a.has("namespace") && a.has("period")
		none := !a.has("metric_name") && !a.has("namespace") && !a.has("period") &&
			!a.has("statistic") && !a.has("extended_statistic")
		v.want(single && !a.has("metric_query") || none && a.has("metric_query"),
			a.address, "wants either a metric or queries")
	}
	return v
}

// metricsOf are the metrics that an alarm looks at, as namespace and name, with their dimensions.
func metricsOf(a thing) map[string]tree {
	all := map[string]tree{}
	if a.has("metric_name") {
		all[a.text("namespace")+" "+a.text("metric_name")] = asTree(a.at("dimensions"))
	}
	for _, q := range a.parts("metric_query") {
		if q.has("metric") {
			all[q.text("metric.namespace")+" "+q.text("metric.metric_name")] = asTree(q.at("metric.dimensions"))
		}
	}
	return all
}

func silenceIsJudged(stack tree) (v violations) {
	for _, a := range things(stack, "aws_cloudwatch_metric_alarm") {
		missing := a.text("treat_missing_data")
		v.want(slices.Contains([]string{"breaching", "notBreaching", "ignore", "missing"}, missing),
			a.address, "does not say what silence means: %q", missing)
		for metric := range metricsOf(a) {
			switch {
			case strings.HasSuffix(metric, " RunningTaskCount"),
				strings.HasSuffix(metric, " NewestBackupAge"):
				v.want(missing == "breaching",
					a.address, "takes silence of %s for %s: nothing runs, nothing reports", metric, missing)
			case strings.Contains(metric, "5XX"),
				strings.HasSuffix(metric, " Errors"),
				strings.HasSuffix(metric, "Dropped"),
				strings.HasSuffix(metric, "DroppedCount"):
				v.want(missing == "notBreaching",
					a.address, "takes silence of %s for %s: it is counted only where it happens", metric, missing)
			}
		}
	}
	_, deployments := alarmsFor(stack)
	for _, a := range deployments {
		v.want(a.is("treat_missing_data", "notBreaching"), a.address, "takes a deployment back for want of traffic")
	}
	return v
}

// reported are the dimensions that AWS reports a metric with: an alarm with others finds nothing,
// and never says so.
//
//	https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
//	https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html
//	https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-ECS.html
//	https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/dimensions.html
//	https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
//	https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
func reported(stack tree) map[string][]string {
	const balancer, target, service = "LoadBalancer", "LoadBalancer TargetGroup", "ClusterName ServiceName"
	all := map[string][]string{
		"AWS/ApplicationELB HTTPCode_ELB_5XX_Count":    {balancer},
		"AWS/ApplicationELB HTTPCode_Target_5XX_Count": {balancer, target},
		"AWS/ApplicationELB RequestCount":              {balancer, target},
		"AWS/ApplicationELB TargetResponseTime":        {balancer, target},
		"AWS/ApplicationELB UnHealthyHostCount":        {target},
		"AWS/ECS CPUUtilization":                       {service},
		"AWS/ECS MemoryUtilization":                    {service},
		"ECS/ContainerInsights RunningTaskCount":       {service},
		"AWS/NATGateway ErrorPortAllocation":           {"NatGatewayId"},
		"AWS/NATGateway PacketsDropCount":              {"NatGatewayId"},
		"AWS/Lambda Errors":                            {"FunctionName"},
		"AWS/Scheduler InvocationDroppedCount":         {"ScheduleGroup"},
		// functions/backup/metrics.go
		stackName(stack) + "/Backup NewestBackupAge": {"DBInstanceIdentifier"},
	}
	for _, metric := range []string{
		"CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory", "ReadLatency", "WriteLatency",
	} {
		all["AWS/RDS "+metric] = []string{"DBInstanceIdentifier"}
	}
	return all
}

// dimensionValues are the attributes that a dimension's value is. An ARN or an id in their place
// names nothing; a database's id is not its name.
var dimensionValues = map[string]*regexp.Regexp{
	"ClusterName":          regexp.MustCompile(`^\$\{aws_ecs_cluster\.\w+\.name\}$`),
	"DBInstanceIdentifier": regexp.MustCompile(`^\$\{aws_db_instance\.\w+\.identifier\}$`),
	"FunctionName":         regexp.MustCompile(`^\$\{aws_lambda_function\.\w+\.function_name\}$`),
	"LoadBalancer":         regexp.MustCompile(`^\$\{aws_lb\.\w+\.arn_suffix\}$`),
	"NatGatewayId":         regexp.MustCompile(`^\$\{aws_nat_gateway\.\w+\.id\}$`),
	"ScheduleGroup":        regexp.MustCompile(`^\$\{aws_scheduler_schedule_group\.\w+\.name\}$`),
	"ServiceName":          regexp.MustCompile(`^\$\{aws_ecs_service\.\w+\.name\}$`),
	"TargetGroup":          regexp.MustCompile(`^\$\{aws_lb_target_group\.\w+\.arn_suffix\}$`),
}

func alarmsFindTheirMetrics(stack tree) (v violations) {
	known := reported(stack)
	for _, a := range things(stack, "aws_cloudwatch_metric_alarm") {
		for metric, dimensions := range metricsOf(a) {
			names := strings.Join(slices.Sorted(maps.Keys(dimensions)), " ")
			v.want(slices.Contains(known[metric], names),
				a.address, "looks at %s by %q, and it is known by %q", metric, names, known[metric])
			for name, value := range dimensions {
				shape := dimensionValues[name]
				v.want(shape != nil && shape.MatchString(fmt.Sprint(value)), a.address, "takes %v for %s", value, name)
			}
		}
	}
	slices.Sort(v)
	return v
}

// An alarm that rings when a deployment begins is not watched in it, so these look back
// only a few minutes.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func deploymentAlarmsAreSound(stack tree) (v violations) {
	for _, service := range things(stack, "aws_ecs_service") {
		for _, a := range deploymentAlarms(stack, service) {
			v.want(slices.Contains([]string{"HTTPCode_Target_5XX_Count", "TargetResponseTime"}, a.text("metric_name")),
				a.address, "takes a deployment back by %v", a.at("metric_name"))
			group := references(dig(service.at("load_balancer"), "0.target_group_arn"))
			v.want(slices.Equal(a.refs("dimensions.TargetGroup"), group),
				a.address, "looks at another service than %s", service.address)
			seconds := periodOf(a) * a.number("evaluation_periods")
			v.want(seconds <= 600,
				a.address, "looks back %v seconds, and rings still when the next deployment begins", seconds)
		}
	}
	return v
}

// watched tells whether people hear of a metric of something.
func watched(stack tree, metric, dimension, address string) bool {
	people, _ := alarmsFor(stack)
	return slices.ContainsFunc(people, func(a thing) bool {
		for name, dimensions := range metricsOf(a) {
			if strings.HasSuffix(name, " "+metric) && slices.Contains(references(dimensions[dimension]), address) {
				return true
			}
		}
		return false
	})
}

func everythingIsWatched(stack tree) (v violations) {
	want := func(r thing, dimension string, metrics ...string) {
		for _, metric := range metrics {
			v.want(watched(stack, metric, dimension, r.address), r.address, "nobody hears of its %s", metric)
		}
	}
	for _, b := range things(stack, "aws_lb") {
		want(b, "LoadBalancer", "HTTPCode_ELB_5XX_Count", "HTTPCode_Target_5XX_Count")
	}
	for _, group := range things(stack, "aws_lb_target_group") {
		want(group, "TargetGroup", "UnHealthyHostCount", "TargetResponseTime")
	}
	for _, s := range things(stack, "aws_ecs_service") {
		if s.number("desired_count") > 0 {
			want(s, "ServiceName", "RunningTaskCount")
		}
	}
	for _, nat := range things(stack, "aws_nat_gateway") {
		want(nat, "NatGatewayId", "ErrorPortAllocation", "PacketsDropCount")
	}
	for _, function := range things(stack, "aws_lambda_function") {
		want(function, "FunctionName", "Errors")
	}
	for _, group := range things(stack, "aws_scheduler_schedule_group") {
		want(group, "ScheduleGroup", "InvocationDroppedCount")
	}
	for _, cluster := range things(stack, "aws_ecs_cluster") {
		v.want(hearsOfDeployments(stack, cluster), cluster.address, "nobody hears of its failed deployments")
	}
	// Of several instances, the one in use: the others wait to be looked at, or to be taken away.
	for _, address := range databasesInUse(stack) {
		d := get(stack, address)
		want(d, "DBInstanceIdentifier", "CPUUtilization", "DatabaseConnections", "FreeStorageSpace", "FreeableMemory",
			"ReadLatency", "WriteLatency", "NewestBackupAge")
		heard := false
		for _, s := range referring(things(stack, "aws_db_event_subscription"), "source_ids", address) {
			heard = heard || !slices.ContainsFunc(databaseEvents, func(category string) bool {
				return !slices.Contains(s.strings("event_categories"), category)
			})
		}
		v.want(heard, address, "nobody hears what RDS says of it")
	}
	return v
}

// databaseEvents are the categories of RDS' events that people must hear of.
var databaseEvents = []string{"availability", "failover", "failure", "low storage", "recovery"}

// databasesInUse are those that services are told of.
func databasesInUse(stack tree) []string {
	var used []string
	for _, t := range tasks(stack) {
		if address, uses := t.usesDatabase(); uses {
			used = append(used, address)
		}
	}
	slices.Sort(used)
	return slices.Compact(used)
}

// hearsOfDeployments looks for a rule on ECS' failed deployments of a cluster, with the
// topic as its target.
func hearsOfDeployments(stack tree, cluster thing) bool {
	for _, rule := range things(stack, "aws_cloudwatch_event_rule") {
		var pattern struct {
			Source    []string
			Detail    struct{ EventName []string }
			Resources []struct{ Prefix string }
		}
		if json.Unmarshal([]byte(rule.text("event_pattern")), &pattern) != nil ||
			!slices.Contains(pattern.Detail.EventName, "SERVICE_DEPLOYMENT_FAILED") {
			continue
		}
		own := slices.Equal(pattern.Source, []string{"aws.ecs"}) &&
			len(pattern.Resources) == 1 &&
			strings.HasSuffix(pattern.Resources[0].Prefix, ":service/${"+cluster.address+".name}/")
		targets := referring(things(stack, "aws_cloudwatch_event_target"), "rule", rule.address)
		if own && len(targets) == 1 && get(stack, targets[0].ref("arn")).kind() == "aws_sns_topic" {
			return true
		}
	}
	return false
}

// widgetProperties are those of the two kinds of widgets that are used. Another kind is looked
// up when it is.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
var widgetProperties = map[string][]string{
	"alarm": {"alarms", "sortBy", "states", "title"},
	"metric": {
		"annotations", "legend", "liveData", "metrics", "period", "region", "setPeriodToTimeRange", "sparkline",
		"stacked", "stat", "timezone", "title", "view", "yAxis",
	},
}

// widgetsHaveTheirPlace looks at the grid: 24 columns, no end below, nothing on something else.
func widgetsHaveTheirPlace(address string, widgets []thing) (v violations) {
	for i, w := range widgets {
		x, y, width, height := w.number("x"), w.number("y"), w.number("width"), w.number("height")
		whole := x == math.Trunc(x) && y == math.Trunc(y) && width == math.Trunc(width) && height == math.Trunc(height)
		v.want(whole && x >= 0 && y >= 0 && width >= 1 && x+width <= 24 && height >= 1 && height <= 1000,
			address, "%v is over the edge", w.at("properties.title"))
		for _, other := range widgets[:i] {
			beside := x >= other.number("x")+other.number("width") || other.number("x") >= x+width
			below := y >= other.number("y")+other.number("height") || other.number("y") >= y+height
			v.want(beside || below, address, "%v lies on %v", w.at("properties.title"), other.at("properties.title"))
		}
	}
	return v
}

// graphIsSound looks at one widget of metrics. Each is written out: there are none of the dots that
// repeat the one before, and no expressions.
func graphIsSound(stack tree, address string, w thing) (v violations) {
	title := w.at("properties.title")
	v.want(w.is("properties.region", region(stack)), address, "%v has no region, or another", title)
	views := []string{"bar", "gauge", "pie", "singleValue", "table", "timeSeries"}
	v.want(slices.Contains(views, w.text("properties.view")),
		address, "%v is shown as %v", title, w.at("properties.view"))
	v.want(isStatistic(w.text("properties.stat")) && isPeriod(w.number("properties.period")),
		address, "%v is the %v of %v seconds", title, w.at("properties.stat"), w.at("properties.period"))
	metrics, _ := w.at("properties.metrics").([]any)
	v.want(len(metrics) > 0, address, "%v shows nothing", title)
	known := reported(stack)
	for _, metric := range metrics {
		name, dimensions, options, ok := readMetric(metric)
		v.want(ok, address, "%v has a metric that is none: %v", title, metric)
		if !ok {
			continue
		}
		names := strings.Join(slices.Sorted(maps.Keys(dimensions)), " ")
		v.want(slices.Contains(known[name], names),
			address, "%v shows %s by %q, and it is known by %q", title, name, names, known[name])
		for dimension, value := range dimensions {
			shape := dimensionValues[dimension]
			v.want(shape == nil || shape.MatchString(fmt.Sprint(value)),
				address, "%v takes %v for %s", title, value, dimension)
		}
		v.want(!options.has("stat") || isStatistic(options.text("stat")),
			address, "%v shows the %v of %s", title, options.at("stat"), name)
		v.want(!options.has("period") || isPeriod(options.number("period")),
			address, "%v shows %s of %v seconds", title, name, options.at("period"))
	}
	slices.Sort(v)
	return v
}

// isPeriod: those below a minute are for metrics of high resolution, of which there are none.
func isPeriod(seconds float64) bool { return seconds >= 60 && math.Mod(seconds, 60) == 0 }

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func dashboardIsSound(stack tree) (v violations) {
	people, _ := alarmsFor(stack)
	for _, d := range things(stack, "aws_cloudwatch_dashboard") {
		var body tree
		if err := json.Unmarshal([]byte(d.text("dashboard_body")), &body); err != nil {
			v.want(false, d.address, "is no JSON: %v", err)
			continue
		}
		var shown []string
		widgets := thing{d.address, body}.parts("widgets")
		v.want(len(widgets) > 0 && len(widgets) <= 500, d.address, "wants 1 to 500 widgets")
		for _, w := range widgets {
			title, properties := w.at("properties.title"), widgetProperties[w.text("type")]
			v.want(properties != nil, d.address, "%v is a widget of the kind %v", title, w.at("type"))
			for name := range asTree(w.at("properties")) {
				v.want(properties == nil || slices.Contains(properties, name),
					d.address, "%v has a property %s, which is not known", title, name)
			}
			for _, alarm := range w.strings("properties.alarms") {
				of := get(stack, strings.Join(references(alarm), " "))
				v.want(of.exists() && alarm == "${"+of.address+".arn}",
					d.address, "shows an alarm that there is not: %s", alarm)
				shown = append(shown, of.address)
			}
			v.want(len(w.strings("properties.alarms")) <= 100,
				d.address, "CloudWatch shows a hundred alarms in a widget")
			switch w.text("type") {
			case "alarm":
				orders := []string{"default", "stateUpdatedTimestamp", "timestamp"}
				v.want(!w.has("properties.sortBy") || slices.Contains(orders, w.text("properties.sortBy")),
					d.address, "sorts alarms by %v", w.at("properties.sortBy"))
			case "metric":
				v = append(v, graphIsSound(stack, d.address, w)...)
			}
		}
		v = append(v, widgetsHaveTheirPlace(d.address, widgets)...)
		for _, a := range people {
			v.want(slices.Contains(shown, a.address), a.address, "is not on %s", d.address)
		}
	}
	return v
}

// readMetric reads an array that is namespace, name, then dimensions and their values in pairs,
// then options or nothing.
func readMetric(value any) (name string, dimensions tree, options thing, ok bool) {
	list, _ := value.([]any)
	if len(list) > 0 {
		if body, is := list[len(list)-1].(tree); is {
			list, options.body = list[:len(list)-1], body
		}
	}
	var texts []string
	for _, item := range list {
		if text, is := item.(string); is {
			texts = append(texts, text)
		}
	}
	if len(texts) < 2 || len(texts)%2 != 0 || len(texts) < len(list) {
		return "", nil, options, false
	}
	dimensions = tree{}
	for i := 2; i < len(texts); i += 2 {
		dimensions[texts[i]] = texts[i+1]
	}
	return texts[0] + " " + texts[1], dimensions, options, true
}
