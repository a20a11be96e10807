package main

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdainvocation"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/bundle"
)

// Backup is the second layer of backups, after RDS's own point-in-time recovery.
type Backup struct {
	Bucket       *string // name
	FunctionName *string
	LogGroup     *string // name

	bucketARN     *string
	copies        *Copy        // nil: none
	database      *string      // identifier
	scheduleGroup *string      // name
	reported      dependencies // the first report, before which the alarms have no data
}

// The tasks of dump.go. The function reports no age that is more than that of their roles.
var (
	dumpPart    = part{"database_dump", "database_dump"}
	restorePart = part{"database_restore", "database_restore"}
	drillPart   = part{"database_drill", "database_drill"}
)

// newBackup declares the bucket, the function that takes and deletes snapshots, and its schedules.
//
//	schedule (backup.schedule) ──┐
//	schedule (hourly report)   ──┴─ function ── RDS snapshots
//	                                   └── metrics; after two retries a failure goes to the topic
//
// The hourly report also takes a snapshot that a schedule missed. The bucket is for logical dumps: see
// dump.go. Without a database, it returns nil. The buckets stay as long as the stack keeps data: they hold
// the dumps of an earlier database.
func newBackup(s *scope, db *Database, topic *Topic, function bundle.Function) *Backup {
	if !s.cfg.BackupBucket() {
		return nil
	}
	bucket := newBackupBucket(s, "backup", s.own(), s.keys.Backup)
	var copies *Copy
	if s.cfg.Backup.Copy.Region != "" {
		copies = newCopy(s)
	}
	if db == nil {
		return nil
	}
	if copies != nil {
		copies.replicateObjects(s, bucket)
	}
	logs := newLogGroup(s, "backup_function_log_group", "/aws/lambda/"+s.named("backup"))
	role := newRole(s, roleSpec{
		id: "backup_function_role", noun: "backup-function", assumed: "lambda.amazonaws.com",
	}, slices.Concat(
		backupStatements(s, *logs.Arn(), *db.ARN, *topic.ARN), copies.reportStatements(s),
		dumpStatements(s, bucket, copies),
	)...)
	lambda := newLambda(s, function, lambdaSpec{
		id: "backup_function", noun: "backup",
		description: "Takes and prunes snapshots of the database, and reports how old the newest is",
		memory:      128, timeout: 900, // the clean-up waits for a snapshot in the making
		role:      role,
		key:       s.keys.Backup,
		variables: backupVariables(s, db, bucket, copies),
		ready:     dependencies{logs},
	})
	ready := dependencies{newRetries(s, "backup", lambda.FunctionName(), topic)}
	if !s.cfg.Protected {
		ready = append(ready, newSnapshotCleanup(s, lambda.FunctionName(), ready))
	}
	if copies != nil {
		copies.replicateDatabase(s, db, ready)
	}
	return &Backup{
		copies: copies,
		Bucket: bucket.Name, FunctionName: lambda.FunctionName(), LogGroup: logs.Name(),
		bucketARN: bucket.ARN,
		database:  db.Identifier, scheduleGroup: newSchedules(s, lambda, ready),
		reported: dependencies{newFirstReport(s, lambda.FunctionName(), db, ready)},
	}
}

// backupVariables are the function's settings.
func backupVariables(s *scope, db *Database, bucket *Bucket, copies *Copy) map[string]*string {
	variables := map[string]*string{
		"DB_INSTANCE_IDENTIFIER": db.Identifier,
		"SNAPSHOT_PREFIX":        jsii.String(snapshotPrefix(s)),
		"BACKUP_OF":              jsii.String(s.cfg.Stack()),
		"RETENTION_DAYS":         jsii.String(strconv.Itoa(s.cfg.Backup.Retention)),
		"MINIMUM_SNAPSHOTS":      jsii.String(strconv.Itoa(s.cfg.Backup.Minimum)),
		"MAX_AGE_HOURS":          jsii.String(strconv.Itoa(s.cfg.Backup.MaxAge)),
		"METRIC_NAMESPACE":       jsii.String(backupNamespace(s)),
	}
	if copies != nil {
		variables["COPY_REGION"], variables["COPIES_SINCE"] = jsii.String(copies.place.region), createdWith(copyRole)
	}
	if s.cfg.Backup.Dump.Enabled {
		variables["BACKUP_BUCKET"], variables["DUMPS_SINCE"] = bucket.Name, createdWith(dumpPart.taskRole())
	}
	if s.cfg.Backup.Dump.Enabled && copies != nil {
		variables["COPY_BUCKET"] = copies.bucket.Name
	}
	if s.cfg.Backup.Drills() {
		variables["DRILLS_SINCE"] = createdWith(drillPart.taskRole())
	}
	if s.cfg.Backup.Dump.Enabled && len(s.cfg.FurtherDatabases()) > 0 {
		variables["FURTHER_DATABASES"] = jsii.String(marshal(furtherDatabases(s)))
	}
	return variables
}

// furtherDatabases returns, by database besides the main one, an expression for the time of the deployment
// that added it. The time is kept in the state, so that a new database is not reported as late.
func furtherDatabases(s *scope) map[string]string {
	since := map[string]string{}
	for _, name := range s.cfg.FurtherDatabases() {
		since[name] = s.keptTime(dumpPart.id+"_"+name+"_since", "configured", "timestamp()")
	}
	return since
}

// dumpStatements are what the function may list if there are dumps: the dumps, also those that were
// copied, and the records of rehearsals.
func dumpStatements(s *scope, bucket *Bucket, copies *Copy) []statement {
	if !s.cfg.Backup.Dump.Enabled {
		return nil
	}
	buckets := []string{*bucket.ARN}
	if copies != nil {
		buckets = append(buckets, *copies.bucket.ARN)
	}
	return []statement{{
		sid: "Dumps", actions: []string{"s3:ListBucket"}, resources: buckets,
		conditions: []condition{equals("s3:prefix", "dumps/", "drills/")},
	}}
}

// snapshotPrefix begins the identifiers of the snapshots that the function takes.
func snapshotPrefix(s *scope) string { return s.named("scheduled") }

// newSnapshotCleanup calls the function when an unprotected stack is destroyed, to delete its own
// snapshots, which Terraform does not know. When the stack is created it calls it too, which shows
// that the function starts and may list.
func newSnapshotCleanup(s *scope, function *string, after dependencies) cdktf.ITerraformDependable {
	return lambdainvocation.NewLambdaInvocation(s.stack, jsii.String("backup_cleanup"),
		&lambdainvocation.LambdaInvocationConfig{
			FunctionName:   function,
			Input:          jsii.String(marshal(map[string]string{"action": "lifecycle"})),
			LifecycleScope: jsii.String("CRUD"),
			DependsOn:      after.list(),
		})
}

// newFirstReport calls the function once for each instance that comes into use, and for each kind of
// backup. The alarms count a missing age as a breach and are created after this call: otherwise they
// would fire until the first hourly report.
func newFirstReport(s *scope, function *string, db *Database, after dependencies) cdktf.ITerraformDependable {
	triggers := map[string]*string{"database": db.Identifier}
	if region := s.cfg.Backup.Copy.Region; region != "" {
		triggers["copies"] = jsii.String(region)
	}
	if s.cfg.Backup.Dump.Enabled {
		triggers["dumps"] = jsii.String("dumps")
	}
	if s.cfg.Backup.Drills() {
		triggers["drills"] = jsii.String("drills")
	}
	return lambdainvocation.NewLambdaInvocation(s.stack, jsii.String("backup_first_report"),
		&lambdainvocation.LambdaInvocationConfig{
			FunctionName: function,
			Input:        jsii.String(marshal(map[string]string{"action": "report"})),
			Triggers:     &triggers,
			DependsOn:    after.list(),
		})
}

// newSchedules declares when the function is called, and returns the name of the schedules' group.
// The schedules depend on the function's clean-up, so that they are deleted before it runs and no
// new snapshot comes after it.
func newSchedules(s *scope, lambda lambdafunction.LambdaFunction, after dependencies) *string {
	calls := newScheduledCalls(s, "backup", lambda, after)
	// The scheduler replaces <…> with the time for which it calls: the same for every retry, which
	// makes the call idempotent.
	calls.add(scheduledCall{
		id: "backup_schedule", description: "Snapshot of the database",
		expression: s.cfg.Backup.Schedule, timezone: s.cfg.Backup.Timezone,
		input: map[string]string{"action": "backup", "scheduled_time": "<aws.scheduler.scheduled-time>"},
	})
	calls.add(scheduledCall{
		id: "backup_report_schedule", description: "How old the newest snapshot is",
		expression: "rate(1 hour)", timezone: "UTC",
		input: map[string]string{"action": "report"},
	})
	return calls.group
}

func (b *Backup) outputs() []output {
	if b == nil {
		return nil
	}
	all := []output{
		{"backup_bucket_name", "Bucket of the backups", b.Bucket},
		{"backup_function_name", "Function that takes snapshots", b.FunctionName},
	}
	if b.copies != nil {
		all = append(all, b.copies.outputs()...)
	}
	return all
}

func (b *Backup) alarms(s *scope) []alarm {
	if b == nil {
		return nil
	}
	all := []alarm{{
		id:      "backup_age",
		runbook: "backup.md#backup_age",
		description: fmt.Sprintf("The newest snapshot is older than %d hours, or its age is not being reported. See "+
			"the backup function's log group.", s.cfg.Backup.MaxAge),
		namespace: backupNamespace(s), metric: "NewestBackupAge", statistic: "Minimum",
		dimensions: map[string]*string{"DBInstanceIdentifier": b.database},
		threshold:  float64(s.cfg.Backup.MaxAge) * 3600, period: 3600, datapoints: 3, periods: 3, missing: missingIsBad,
		after: b.reported,
	}, alarm{
		id:      "backup_quota",
		runbook: "backup.md#backup_quota",
		description: "More than 90% of the manual snapshots that RDS allows in this region exist. When the quota is " +
			"full, every backup fails. See which databases they belong to: delete those that nobody needs, or " +
			"request a higher quota (L-272F1212).",
		namespace: backupNamespace(s), metric: "SnapshotQuotaUsed", statistic: "Maximum",
		dimensions: map[string]*string{"DBInstanceIdentifier": b.database},
		threshold:  90, period: 3600, datapoints: 2, periods: 2, missing: missingIsLast,
	}, alarm{
		id:      "backup_errors",
		runbook: "backup.md#backup_errors",
		description: "The backup function failed. Lambda retries it twice. See the function's log group for the " +
			"reason.",
	}.onErrors(b.FunctionName), alarm{
		id:      "backup_schedule_dropped",
		runbook: "backup.md#backup_schedule_dropped",
		description: "EventBridge Scheduler gave up calling the backup function. See the schedule's role and the " +
			"function's state, and start a backup by hand.",
	}.onDropped(b.scheduleGroup)}
	if b.copies != nil {
		all = append(all, b.copies.alarms(s, b.database, b.reported)...)
	}
	return all
}

// backupStatements are what the function may do, with its log group, the database and the topic by
// ARN.
func backupStatements(s *scope, logGroup, database, topic string) []statement {
	// The rest of a name is the time of the snapshot. A copy that a person keeps has another name.
	own := s.arn("rds", "snapshot:"+snapshotPrefix(s)+"-????????-??????")
	return []statement{
		writeLog(logGroup),
		{sid: "Create", actions: []string{"rds:CreateDBSnapshot"}, resources: []string{database, own}},
		{sid: "Tag", actions: []string{"rds:AddTagsToResource"}, resources: []string{own}},
		{
			sid: "List", actions: []string{"rds:DescribeDBSnapshots"},
			resources: []string{database, s.arn("rds", "snapshot:*")}, // a list is checked against all snapshots
		},
		{sid: "Instance", actions: []string{"rds:DescribeDBInstances"}, resources: []string{database}},
		{
			sid: "Quota", actions: []string{"rds:DescribeAccountAttributes"},
			resources: []string{"*"}, // of the account: there is no resource
		},
		{
			sid: "Prune", actions: []string{"rds:DeleteDBSnapshot"}, resources: []string{own},
			conditions: []condition{equals("aws:ResourceTag/BackupOf", s.cfg.Stack())},
		},
		{sid: "ReportFailure", actions: []string{"sns:Publish"}, resources: []string{topic}},
		{
			sid: "ReportFailureKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
			resources: []string{*s.keys.Alerts},
		},
		ownEnvironment(s, "backup", *s.keys.Backup),
	}
}
