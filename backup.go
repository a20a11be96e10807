package main

import (
	"platform/internal/bundle"
	"platform/internal/config"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunctioneventinvokeconfig"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdainvocation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketobjectlockconfiguration"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedulegroup"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Backup is the second layer of backups, after RDS's own point-in-time recovery.
type Backup struct {
	Bucket       *string // name
	FunctionName *string
	GroupName    *string // of the schedules
	LogGroup     *string // name
	Namespace    string  // of the metrics that the function reports
}

// newBackup declares the bucket, the function that takes and prunes snapshots, and its schedules.
//
//	schedule (backup.schedule) ──┐
//	schedule (hourly report)   ──┴─ function ── RDS snapshots
//	                                   └── metrics; after two retries a failure goes to the topic
//
// The bucket is for logical dumps, which have no writer yet.
func newBackup(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, db *Database, monitoring *Monitoring, function bundle.Function, accountID string) *Backup {
	bucket := newBackupBucket(stack, cfg, keys, accountID)
	backup := &Backup{Bucket: bucket.Name, Namespace: cfg.Stack() + "/Backup"}
	lambda, retries := newBackupFunction(stack, cfg, keys, db, monitoring, function, accountID, backup)
	before := []cdktf.ITerraformDependable{retries}
	if !cfg.Protected {
		before = append(before, newSnapshotCleanup(stack, lambda, retries))
	}
	newSchedules(stack, cfg, lambda, accountID, backup, before)
	return backup
}

func newBackupBucket(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, accountID string) *Bucket {
	bucket := newBucket(stack, cfg, accountID, "backup", bucketOptions{
		key: keys.Backup, protected: true,
		archive: choose(cfg.Backup.Retention >= 90, 30, 0), // colder storage bills 90 days at the least
		expire:  cfg.Backup.Retention, superseded: max(cfg.Backup.ObjectLock, 30),
	})
	if cfg.Backup.ObjectLock > 0 {
		s3bucketobjectlockconfiguration.NewS3BucketObjectLockConfigurationA(stack, jsii.String("backup_bucket_object_lock"), &s3bucketobjectlockconfiguration.S3BucketObjectLockConfigurationAConfig{
			Bucket: bucket.Name,
			Rule: &s3bucketobjectlockconfiguration.S3BucketObjectLockConfigurationRuleA{
				DefaultRetention: &s3bucketobjectlockconfiguration.S3BucketObjectLockConfigurationRuleDefaultRetentionA{
					Mode: jsii.String("GOVERNANCE"), Days: jsii.Number(float64(cfg.Backup.ObjectLock)),
				},
			},
			DependsOn: dependsOn(bucket.Ready...),
		})
	}
	return bucket
}

// newBackupFunction declares the function with its role and log, and what becomes of its failures. It returns the function and the last
// of what it needs before it is called.
func newBackupFunction(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, db *Database, monitoring *Monitoring, function bundle.Function, accountID string, backup *Backup) (lambdafunction.LambdaFunction, cdktf.ITerraformDependable) {
	name := cfg.ResourceName("backup")
	prefix := cfg.ResourceName("scheduled")
	logs := newLogGroup(stack, cfg, keys, "backup_function_log_group", "/aws/lambda/"+name)
	ours := "arn:aws:rds:" + cfg.Region + ":" + accountID + ":snapshot:" + prefix + "-*"
	role := newRole(stack, cfg, "backup_function_role", "backup-function", "lambda.amazonaws.com", nil,
		writeLog(*logs.Arn()),
		statement{sid: "Create", actions: []string{"rds:CreateDBSnapshot"}, resources: []string{*db.ARN, ours}},
		statement{sid: "Tag", actions: []string{"rds:AddTagsToResource"}, resources: []string{ours}},
		statement{sid: "List", actions: []string{"rds:DescribeDBSnapshots"}, resources: []string{
			*db.ARN, "arn:aws:rds:" + cfg.Region + ":" + accountID + ":snapshot:*", // a list is checked against all snapshots
		}},
		statement{sid: "Prune", actions: []string{"rds:DeleteDBSnapshot"}, resources: []string{ours}, conditions: []condition{
			equals("aws:ResourceTag/BackupOf", cfg.Stack()),
		}},
		statement{sid: "ReportFailure", actions: []string{"sns:Publish"}, resources: []string{*monitoring.TopicARN}},
		statement{sid: "ReportFailureKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, resources: []string{*keys.Alerts}},
		statement{sid: "OwnEnvironment", actions: []string{"kms:Decrypt"}, resources: []string{*keys.Backup}},
	)
	lambda := newLambda(stack, cfg, "backup_function", function, role, lambdaSpec{
		noun: "backup", description: "Takes and prunes snapshots of the database, and reports how old the newest is",
		memory: 128, timeout: 900, // the clean-up waits for a snapshot in the making
		key: keys.Backup,
		variables: map[string]*string{
			"DB_INSTANCE_IDENTIFIER": db.Identifier,
			"SNAPSHOT_PREFIX":        jsii.String(prefix),
			"BACKUP_OF":              jsii.String(cfg.Stack()),
			"RETENTION_DAYS":         jsii.String(strconv.Itoa(cfg.Backup.Retention)),
			"MINIMUM_SNAPSHOTS":      jsii.String(strconv.Itoa(cfg.Backup.Minimum)),
			"METRIC_NAMESPACE":       jsii.String(backup.Namespace),
		},
		ready: []cdktf.ITerraformDependable{logs},
	})
	retries := lambdafunctioneventinvokeconfig.NewLambdaFunctionEventInvokeConfig(stack, jsii.String("backup_function_retries"), &lambdafunctioneventinvokeconfig.LambdaFunctionEventInvokeConfigConfig{
		FunctionName:             lambda.FunctionName(),
		MaximumRetryAttempts:     jsii.Number(2),
		MaximumEventAgeInSeconds: jsii.Number(3600),
		DestinationConfig: &lambdafunctioneventinvokeconfig.LambdaFunctionEventInvokeConfigDestinationConfig{
			OnFailure: &lambdafunctioneventinvokeconfig.LambdaFunctionEventInvokeConfigDestinationConfigOnFailure{Destination: monitoring.TopicARN},
		},
		DependsOn: dependsOn(monitoring.TopicReady...),
	})
	backup.FunctionName, backup.LogGroup = lambda.FunctionName(), logs.Name()
	return lambda, retries
}

// newSnapshotCleanup calls the function when an unprotected stack is destroyed, to take its own snapshots away, which Terraform knows
// nothing of. When the stack is made it calls it too, which shows that the function starts and may list.
func newSnapshotCleanup(stack cdktf.TerraformStack, lambda lambdafunction.LambdaFunction, retries cdktf.ITerraformDependable) cdktf.ITerraformDependable {
	return lambdainvocation.NewLambdaInvocation(stack, jsii.String("backup_cleanup"), &lambdainvocation.LambdaInvocationConfig{
		FunctionName:   lambda.FunctionName(),
		Input:          jsii.String(marshal(map[string]string{"action": "lifecycle"})),
		LifecycleScope: jsii.String("CRUD"),
		DependsOn:      dependsOn(retries),
	})
}

// newSchedules declares when the function is called. They depend on its clean-up, so that they are gone before it runs and no new snapshot
// comes after it.
func newSchedules(stack cdktf.TerraformStack, cfg *config.Config, lambda lambdafunction.LambdaFunction, accountID string, backup *Backup, before []cdktf.ITerraformDependable) {
	group := schedulerschedulegroup.NewSchedulerScheduleGroup(stack, jsii.String("backup_schedule_group"), &schedulerschedulegroup.SchedulerScheduleGroupConfig{
		Name: jsii.String(cfg.ResourceName("backup")), Tags: nameTag(cfg, "backup"),
	})
	role := newRole(stack, cfg, "backup_schedule_role", "backup-schedule", "scheduler.amazonaws.com", []condition{
		equals("aws:SourceAccount", accountID),
		equals("aws:SourceArn", *group.Arn()), // the group's ARN, not the schedule's
	}, statement{sid: "Call", actions: []string{"lambda:InvokeFunction"}, resources: []string{*lambda.Arn()}})

	schedule := func(id, description, expression, timezone, input string) {
		schedulerschedule.NewSchedulerSchedule(stack, jsii.String(id), &schedulerschedule.SchedulerScheduleConfig{
			Name:                       jsii.String(cfg.ResourceName(dashed(id))),
			GroupName:                  group.Name(),
			Description:                jsii.String(description),
			ScheduleExpression:         jsii.String(expression),
			ScheduleExpressionTimezone: jsii.String(timezone),
			FlexibleTimeWindow:         &schedulerschedule.SchedulerScheduleFlexibleTimeWindow{Mode: jsii.String("OFF")},
			Target: &schedulerschedule.SchedulerScheduleTarget{
				Arn: lambda.Arn(), RoleArn: role.ARN, Input: jsii.String(input),
				RetryPolicy: &schedulerschedule.SchedulerScheduleTargetRetryPolicy{
					MaximumEventAgeInSeconds: jsii.Number(3600), MaximumRetryAttempts: jsii.Number(10),
				},
			},
			DependsOn: dependsOn(append(append([]cdktf.ITerraformDependable{}, before...), role.Ready...)...),
		})
	}
	// The scheduler puts the time for which it calls in the place of <…>: the same for every retry, which makes the call idempotent.
	schedule("backup_schedule", "Snapshot of the database", cfg.Backup.Schedule, cfg.Backup.Timezone,
		marshal(map[string]string{"action": "backup", "scheduled_time": "<aws.scheduler.scheduled-time>"}))
	schedule("backup_report_schedule", "How old the newest snapshot is", "rate(1 hour)", "UTC", marshal(map[string]string{"action": "report"}))
	backup.GroupName = group.Name()
}
