package main

import (
	"slices"

	"platform/internal/stacktest"
)

const execLogGroup = "aws_cloudwatch_log_group.exec_log_group"

var logGroupPromises = []stacktest.Promise{{
	Name:  "every log group has a retention, a KMS key, and is deleted with the stack",
	Check: logGroupsAreConfigured,
	BrokenBy: []stacktest.Break{{
		Name:  "a log group has no retention",
		Stack: "prod",
		By:    stacktest.Remove(execLogGroup, "retention_in_days"),
		Found: execLogGroup,
	}, {
		Name:  "a log group has a retention that CloudWatch does not offer",
		Stack: "prod",
		By:    stacktest.Set(execLogGroup, "retention_in_days", 10.0),
		Found: execLogGroup,
	}, {
		Name:  "a log group has no KMS key",
		Stack: "prod",
		By:    stacktest.Remove(execLogGroup, "kms_key_id"),
		Found: execLogGroup,
	}, {
		Name:  "a log group is kept when the stack is destroyed",
		Stack: "dev",
		By:    stacktest.Add(execLogGroup, "skip_destroy", true),
		Found: execLogGroup,
	}},
}}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var retentionDays = []float64{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

func logGroupsAreConfigured(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_cloudwatch_log_group") {
		v.Want(slices.Contains(retentionDays, group.Number("retention_in_days")),
			group.Address, "has a retention of %v days, which CloudWatch does not offer", group.At("retention_in_days"))
		v.Want(s.Resource(group.Reference("kms_key_id")).Kind() == "aws_kms_key", group.Address, "has no KMS key")
		v.Want(!group.Is("skip_destroy", true), group.Address, "is kept when the stack is destroyed")
	}
}
