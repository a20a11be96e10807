package main

import (
	"fmt"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchmetricalarm"
)

// alarm is a CloudWatch alarm. Each module declares its own; newAlarms creates them.
type alarm struct {
	id          string
	name        string // in AWS, after the stack's; the id with dashes, if empty
	description string // what is wrong, and what to do first
	runbook     string // page#section in docs/runbooks; alarms of one kind share a section

	namespace, metric string
	dimensions        map[string]*string
	queries           []query // instead of a metric: the alarm is on the last one
	statistic         string  // Average, Sum, Minimum, Maximum, or a percentile such as p99

	below      bool // fires below the threshold, not above it
	threshold  float64
	period     int // seconds
	datapoints int // how many of the last periods must breach
	periods    int
	missing    string // what a period without data means

	after dependencies // what writes the first data, if missing data is a breach
}

// query is a metric under a name, or an expression over such names.
type query struct {
	id, metric, statistic, expression string
}

// What a period without data means for an alarm.
const (
	missingIsFine    = "notBreaching" // nothing happened, so nothing went wrong
	missingIsBad     = "breaching"    // what should report does not
	missingIsLast    = "ignore"       // it reports rarely: the alarm keeps its state
	missingIsUnknown = "missing"      // AWS is late: the state is INSUFFICIENT_DATA, which notifies nobody
)

// described is the alarm's description in AWS: it ends with where to read on.
func (a alarm) described() string {
	return a.description + " Runbook: docs/runbooks/" + a.runbook + "."
}

// newAlarms declares alarms that publish to the topic, and returns their ARNs in the same order.
func newAlarms(s *scope, topic *Topic, alarms []alarm) (arns []*string) {
	for _, a := range alarms {
		arguments := a.arguments(s)
		arguments.AlarmActions, arguments.OkActions = &[]*string{topic.ARN}, &[]*string{topic.ARN}
		arguments.DependsOn = topic.Ready.plus(a.after...).list()
		arns = append(arns, a.create(s, arguments).Arn())
	}
	return arns
}

// newSilentAlarm declares an alarm that publishes nothing and is watched by AWS alone. It returns
// the alarm's name.
func newSilentAlarm(s *scope, a alarm) *string { return a.create(s, a.arguments(s)).AlarmName() }

func (a alarm) create(
	s *scope, arguments *cloudwatchmetricalarm.CloudwatchMetricAlarmConfig,
) cloudwatchmetricalarm.CloudwatchMetricAlarm {
	return cloudwatchmetricalarm.NewCloudwatchMetricAlarm(s.stack, jsii.String(a.id+"_alarm"), arguments)
}

// arguments are what an alarm has, whoever looks at it.
func (a alarm) arguments(s *scope) *cloudwatchmetricalarm.CloudwatchMetricAlarmConfig {
	name := choose(a.name == "", dashed(a.id), a.name)
	arguments := &cloudwatchmetricalarm.CloudwatchMetricAlarmConfig{
		AlarmName:          jsii.String(s.named(name)),
		AlarmDescription:   jsii.String(a.described()),
		ComparisonOperator: jsii.String(choose(a.below, "LessThanThreshold", "GreaterThanThreshold")),
		Threshold:          jsii.Number(a.threshold),
		DatapointsToAlarm:  number(a.datapoints),
		EvaluationPeriods:  number(a.periods),
		TreatMissingData:   jsii.String(a.missing),
		Tags:               s.tags(name),
	}
	if len(a.queries) > 0 {
		arguments.MetricQuery = a.metricQueries()
		return arguments
	}
	arguments.Namespace, arguments.MetricName = jsii.String(a.namespace), jsii.String(a.metric)
	arguments.Dimensions, arguments.Period = &a.dimensions, number(a.period)
	if a.statistic[0] == 'p' {
		arguments.ExtendedStatistic = jsii.String(a.statistic)
		// With ten requests, the slowest 1% is a single request.
		arguments.EvaluateLowSampleCountPercentiles = jsii.String("ignore")
	} else {
		arguments.Statistic = jsii.String(a.statistic)
	}
	return arguments
}

func (a alarm) metricQueries() *[]*cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery {
	var queries []*cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery
	for i, q := range a.queries {
		block := &cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery{
			Id: jsii.String(q.id), ReturnData: i == len(a.queries)-1,
		}
		if q.expression != "" {
			block.Expression, block.Label = jsii.String(q.expression), jsii.String(q.id)
		} else {
			block.Metric = &cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQueryMetric{
				Namespace:  jsii.String(a.namespace),
				MetricName: jsii.String(q.metric),
				Dimensions: &a.dimensions,
				Stat:       jsii.String(q.statistic),
				Period:     number(a.period),
			}
		}
		queries = append(queries, block)
	}
	return &queries
}

// tooFewTasks is the alarm of an ECS service that runs fewer tasks than it should. Its id begins
// with id; the dimensions are those of the service's metrics.
func tooFewTasks(id string, dimensions map[string]*string, least int, runbook string) alarm {
	return alarm{
		id:      id + "_too_few_tasks",
		runbook: runbook,
		description: fmt.Sprintf("Fewer than %d tasks have been running for ten minutes. See the service's events for "+
			"the reason: no Fargate capacity, an image that cannot be pulled, or a container that exits.", least),
		namespace: "ECS/ContainerInsights", metric: "RunningTaskCount", statistic: "Minimum", dimensions: dimensions,
		below: true, threshold: float64(least), period: 60, datapoints: 10, periods: 10, missing: missingIsBad,
	}
}

// onErrors makes an alarm fire when a Lambda function fails.
func (a alarm) onErrors(function *string) alarm {
	a.namespace, a.metric, a.statistic = "AWS/Lambda", "Errors", "Sum"
	a.dimensions = map[string]*string{"FunctionName": function}
	a.threshold, a.period, a.datapoints, a.periods, a.missing = 0, 300, 1, 1, missingIsFine
	return a
}
