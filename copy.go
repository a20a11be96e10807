package main

import (
	"fmt"

	"github.com/aws/jsii-runtime-go"
	dbreplication "github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbinstanceautomatedbackupsreplication"
	replication "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketreplicationconfiguration"
)

// Copy is where the backups are copied to, in a second region (backup.copy.region).
type Copy struct {
	place  *place
	key    *string // of both kinds of copies
	bucket *Bucket
	rule   *string // id of the rule that replicates the objects
	source *Bucket
}

// copyRole is the id of the role with which S3 copies objects.
const copyRole = "backup_copy_role"

// newCopy declares what the copies need in the other region.
//
//	automated backups ── RDS ──┬── other region's key ──┬── automated backups, for database.retention
//	backup bucket ────── S3 ───┘                        └── bucket, with the same lifecycle and lock
//
// Both outlive the stack, as in the stack's region: the loss of the region is what they are for.
func newCopy(s *scope) *Copy {
	in := newPlace(s, "copy", s.cfg.Backup.Copy.Region)
	c := &Copy{place: in, rule: jsii.String("all")}
	c.key = newKeyIn(s, in, keySpec{"copy", "the copies of the backups", s.keep()})
	c.bucket = newBackupBucket(s, "backup_copy", in, c.key)
	return c
}

// replicateObjects makes S3 copy new objects and delete markers. S3 copies neither deletions of
// versions nor what the lifecycle deletes: the other bucket has a lifecycle of its own.
func (c *Copy) replicateObjects(s *scope, source *Bucket) {
	c.source = source
	type (
		ruleType    = replication.S3BucketReplicationConfigurationRule
		filter      = replication.S3BucketReplicationConfigurationRuleFilter
		markers     = replication.S3BucketReplicationConfigurationRuleDeleteMarkerReplication
		criteria    = replication.S3BucketReplicationConfigurationRuleSourceSelectionCriteria
		encrypted   = replication.S3BucketReplicationConfigurationRuleSourceSelectionCriteriaSseKmsEncryptedObjects
		destination = replication.S3BucketReplicationConfigurationRuleDestination
		encryption  = replication.S3BucketReplicationConfigurationRuleDestinationEncryptionConfiguration
		metrics     = replication.S3BucketReplicationConfigurationRuleDestinationMetrics
	)
	role := newRole(s, roleSpec{
		id: copyRole, noun: "backup-copy", assumed: "s3.amazonaws.com",
	}, c.replicationStatements(s)...)
	enabled := jsii.String("Enabled")
	ready := role.Ready.plus(c.source.Ready...).plus(c.bucket.Ready...)
	replication.NewS3BucketReplicationConfigurationA(s.stack, jsii.String("backup_bucket_replication"),
		&replication.S3BucketReplicationConfigurationAConfig{
			Bucket: c.source.Name,
			Role:   role.ARN,
			Rule: &[]*ruleType{{
				Id:                      c.rule,
				Status:                  enabled,
				Priority:                number(1),
				Filter:                  &filter{}, // the whole bucket
				DeleteMarkerReplication: &markers{Status: enabled},
				// Without this, S3 skips every object that a KMS key encrypts.
				SourceSelectionCriteria: &criteria{SseKmsEncryptedObjects: &encrypted{Status: enabled}},
				Destination: &destination{
					Bucket:                  c.bucket.ARN,
					EncryptionConfiguration: &encryption{ReplicaKmsKeyId: c.key},
					Metrics:                 &metrics{Status: enabled},
				},
			}},
			DependsOn: ready.list(),
		})
}

// replicationStatements are what S3 may do with the role.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-config-for-kms-objects.html
func (c *Copy) replicationStatements(s *scope) []statement {
	via := func(region string) []condition {
		return []condition{equals("kms:ViaService", "s3."+region+".amazonaws.com")}
	}
	read := []string{"s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"}
	if s.cfg.Backup.ObjectLock > 0 {
		read = append(read, "s3:GetObjectRetention", "s3:GetObjectLegalHold")
	}
	return []statement{
		{
			sid: "Bucket", actions: []string{"s3:GetReplicationConfiguration", "s3:ListBucket"},
			resources: []string{*c.source.ARN},
		},
		{sid: "Read", actions: read, resources: []string{*c.source.ARN + "/*"}},
		{
			sid: "Replicate", actions: []string{"s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"},
			resources: []string{*c.bucket.ARN + "/*"},
		},
		{
			sid: "Decrypt", actions: []string{"kms:Decrypt"}, resources: []string{*s.keys.Backup},
			conditions: via(s.cfg.Region),
		},
		{
			sid: "Encrypt", actions: []string{"kms:Encrypt", "kms:GenerateDataKey"}, resources: []string{*c.key},
			conditions: via(c.place.region),
		},
	}
}

// replicateDatabase makes RDS copy the automated backups of the database in use. Another
// database.active, or another retention, starts again with a full copy. It is deleted before what it
// depends on: the clean-up then waits until RDS lets the instance be deleted.
func (c *Copy) replicateDatabase(s *scope, db *Database, after dependencies) {
	dbreplication.NewDbInstanceAutomatedBackupsReplication(s.stack, jsii.String("database_backups_replication"),
		&dbreplication.DbInstanceAutomatedBackupsReplicationConfig{
			Provider:            c.place.provider, // the destination starts the replication
			SourceDbInstanceArn: db.ARN,
			KmsKeyId:            c.key,
			RetentionPeriod:     number(s.cfg.Database.Retention),
			DependsOn:           after.list(),
		})
}

// reportStatements are what the backup function may read in the other region, if there is one.
func (c *Copy) reportStatements(s *scope) []statement {
	if c == nil {
		return nil
	}
	arn := "arn:aws:rds:" + c.place.region + ":" + s.account + ":"
	return []statement{{
		sid: "Copies", actions: []string{"rds:DescribeDBInstanceAutomatedBackups"},
		resources: []string{arn + "auto-backup:*", arn + "db:*"}, // a list is checked against all of them
	}}
}

func (c *Copy) outputs() []output {
	return []output{
		{"backup_copy_bucket_name", "Bucket in the other region with the copies of the backups", c.bucket.Name},
	}
}

// alarms are those of the copies of an instance, by its identifier. The first report comes before
// them.
func (c *Copy) alarms(s *scope, database *string, reported dependencies) []alarm {
	all := []alarm{{
		id:      "backup_copy_lag",
		runbook: "backup.md#backup_copy_lag",
		description: "The copies of the automated backups in " + c.place.region + " have been more than two hours " +
			"behind for three hours, or this is not being reported. See the status of the replication, and the " +
			"backup function's log group.",
		namespace: backupNamespace(s), metric: "CopyLag", statistic: "Minimum",
		dimensions: map[string]*string{"DBInstanceIdentifier": database},
		threshold:  2 * 3600, period: 3600, datapoints: 3, periods: 3, missing: missingIsBad,
		after: reported,
	}, {
		id:      "backup_copy_failed",
		runbook: "backup.md#backup_copy_failed",
		description: "S3 could not copy an object of the backup bucket to " + c.place.region + ". See the object's " +
			"replication status, and the permissions of the role of the replication.",
		// S3 reports failures in the region of the source, and latency in that of the destination.
		namespace: "AWS/S3", metric: "OperationsFailedReplication", statistic: "Sum",
		dimensions: map[string]*string{
			"SourceBucket": c.source.Name, "DestinationBucket": c.bucket.Name, "RuleId": c.rule,
		},
		threshold: 0, period: 300, datapoints: 1, periods: 1, missing: missingIsFine,
	}}
	if s.cfg.Backup.Dump.Enabled {
		hours := s.cfg.Backup.Dump.MaxAge + dumpCopyHours
		all = append(all, alarm{
			id:      "dump_copy_age",
			runbook: "backup.md#dump_copy_age",
			description: fmt.Sprintf("The newest dump in "+c.place.region+" is older than %d hours, or its age is not "+
				"being reported. See whether this region has newer dumps, and the status of their replication.", hours),
			namespace: backupNamespace(s), metric: "NewestDumpCopyAge", statistic: "Minimum",
			dimensions: map[string]*string{"DBInstanceIdentifier": database},
			threshold:  float64(hours) * 3600, period: 3600, datapoints: 3, periods: 3, missing: missingIsBad,
			after: reported,
		})
	}
	return all
}

// dumpCopyHours is how much later than a dump its copy may come. S3 replicates most objects within 15
// minutes, and can take a few hours.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/replication-metrics.html
const dumpCopyHours = 6
