package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/flowlog"
)

// newFlowLogs records the VPC's connections, for the day on which somebody has to look for one.
func newFlowLogs(s *scope, vpcID *string) {
	logs := newLogGroup(s, "flow_log_group", "/"+s.cfg.Stack()+"/vpc-flow-logs")
	role := newRole(s, roleSpec{
		id: "flow_log_role", noun: "flow-logs", assumed: "vpc-flow-logs.amazonaws.com",
		trust: fromSource(s, s.arn("ec2", "vpc-flow-log/*")),
	}, statement{
		sid:       "Write",
		actions:   []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"},
		resources: []string{*logs.Arn() + ":*"},
	}, statement{
		sid:       "Find",
		actions:   []string{"logs:DescribeLogGroups"},
		resources: []string{"*"}, // a list has no resource
	})
	flowlog.NewFlowLog(s.stack, jsii.String("flow_log"), &flowlog.FlowLogConfig{
		VpcId:                  vpcID,
		TrafficType:            jsii.String("ALL"),
		LogDestinationType:     jsii.String("cloud-watch-logs"),
		LogDestination:         logs.Arn(),
		IamRoleArn:             role.ARN,
		MaxAggregationInterval: number(600),
		Tags:                   s.tags("vpc"),
		DependsOn:              role.Ready.list(),
	})
}
