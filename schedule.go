package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	retries "github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunctioneventinvokeconfig"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedulegroup"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// scheduledCalls declares schedules that call one function.
type scheduledCalls struct {
	*scope
	group, role, function *string
	ready                 dependencies
}

// scheduledCall is one of them.
type scheduledCall struct {
	id, description      string
	expression, timezone string
	input                map[string]string
}

// newScheduledCalls declares the group of a function's schedules, and the role that calls the
// function. The noun is what the function is for; ids and names begin with it. The schedules are
// created after the given dependencies, and deleted before them.
func newScheduledCalls(
	s *scope, noun string, lambda lambdafunction.LambdaFunction, after dependencies,
) scheduledCalls {
	group := schedulerschedulegroup.NewSchedulerScheduleGroup(s.stack, jsii.String(noun+"_schedule_group"),
		&schedulerschedulegroup.SchedulerScheduleGroupConfig{Name: jsii.String(s.named(noun)), Tags: s.tags(noun)})
	role := newRole(s, roleSpec{
		id: noun + "_schedule_role", noun: noun + "-schedule", assumed: "scheduler.amazonaws.com",
		trust: []condition{
			equals("aws:SourceAccount", s.account),
			equals("aws:SourceArn", *group.Arn()), // the group's ARN, not the schedule's
		},
	}, statement{sid: "Call", actions: []string{"lambda:InvokeFunction"}, resources: []string{*lambda.Arn()}})
	return scheduledCalls{
		scope: s, group: group.Name(), role: role.ARN, function: lambda.Arn(), ready: after.plus(role.Ready...),
	}
}

func (c scheduledCalls) add(call scheduledCall) {
	schedulerschedule.NewSchedulerSchedule(c.stack, jsii.String(call.id), &schedulerschedule.SchedulerScheduleConfig{
		Name:                       jsii.String(c.named(dashed(call.id))),
		GroupName:                  c.group,
		Description:                jsii.String(call.description),
		ScheduleExpression:         jsii.String(call.expression),
		ScheduleExpressionTimezone: jsii.String(call.timezone),
		FlexibleTimeWindow:         &schedulerschedule.SchedulerScheduleFlexibleTimeWindow{Mode: jsii.String("OFF")},
		Target: &schedulerschedule.SchedulerScheduleTarget{
			Arn: c.function, RoleArn: c.role, Input: jsii.String(marshal(call.input)),
			RetryPolicy: &schedulerschedule.SchedulerScheduleTargetRetryPolicy{
				MaximumEventAgeInSeconds: number(3600), MaximumRetryAttempts: number(10),
			},
		},
		DependsOn: c.ready.list(),
	})
}

// newRetries says what happens when an asynchronous call of a function fails: Lambda calls the
// function twice more, and then sends the failed event to the topic, unless topic is nil.
func newRetries(s *scope, noun string, function *string, topic *Topic) cdktf.ITerraformDependable {
	type (
		destination = retries.LambdaFunctionEventInvokeConfigDestinationConfig
		onFailure   = retries.LambdaFunctionEventInvokeConfigDestinationConfigOnFailure
	)
	arguments := &retries.LambdaFunctionEventInvokeConfigConfig{
		FunctionName:             function,
		MaximumRetryAttempts:     number(2),
		MaximumEventAgeInSeconds: number(3600),
	}
	if topic != nil {
		arguments.DestinationConfig = &destination{OnFailure: &onFailure{Destination: topic.ARN}}
		arguments.DependsOn = topic.Ready.list()
	}
	return retries.NewLambdaFunctionEventInvokeConfig(s.stack, jsii.String(noun+"_function_retries"), arguments)
}

// onDropped makes an alarm fire when EventBridge Scheduler gives up calling a function.
func (a alarm) onDropped(scheduleGroup *string) alarm {
	a.namespace, a.metric, a.statistic = "AWS/Scheduler", "InvocationDroppedCount", "Sum"
	a.dimensions = map[string]*string{"ScheduleGroup": scheduleGroup}
	a.threshold, a.period, a.datapoints, a.periods, a.missing = 0, 300, 1, 1, missingIsFine
	return a
}
