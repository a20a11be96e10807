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
}

// query is a metric under a name, or an expression over such names.
type query struct {
	id, metric, statistic, expression string
}

// What a period without data means for an alarm.
const (
	missingIsFine = "notBreaching" // nothing happened, so nothing went wrong
	missingIsBad  = "breaching"    // what should report does not
	missingIsMute = "missing"      // AWS is late: keep the state
)

// newAlarms declares alarms that publish to the topic, and returns their ARNs in the same order.
func newAlarms(s *scope, topic *Topic, alarms []alarm) (arns []*string) {
	for _, a := range alarms {
		arguments := a.arguments(s)
		arguments.AlarmActions, arguments.OkActions = &[]*string{topic.ARN}, &[]*string{topic.ARN}
		arguments.DependsOn = topic.Ready.list()
		if arguments.ExtendedStatistic != nil {
			// Of ten requests, one is not a percentile.
			arguments.EvaluateLowSampleCountPercentiles = jsii.String("ignore")
		}
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
		AlarmDescription:   jsii.String(a.description),
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

// tooFewTasks is the alarm of an ECS service of which fewer tasks run than should. Its id begins
// with id.
func tooFewTasks(id string, dimensions map[string]*string, least int) alarm {
	return alarm{
		id: id + "_too_few_tasks",
		description: fmt.Sprintf("Fewer than %d tasks have run for ten minutes. See the service's events: no "+
			"capacity, an image that cannot be pulled, or a container that ends.", least),
		namespace: "ECS/ContainerInsights", metric: "RunningTaskCount", statistic: "Minimum", dimensions: dimensions,
		below: true, threshold: float64(least), period: 60, datapoints: 10, periods: 10, missing: missingIsBad,
	}
}

// functionErrors is the alarm of a Lambda function that failed.
func functionErrors(id, description string, function *string) alarm {
	return alarm{
		id: id, description: description,
		namespace: "AWS/Lambda", metric: "Errors", statistic: "Sum",
		dimensions: map[string]*string{"FunctionName": function},
		threshold:  0, period: 300, datapoints: 1, periods: 1, missing: missingIsFine,
	}
}
