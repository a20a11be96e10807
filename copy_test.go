package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	copyBucket          = "aws_s3_bucket.backup_copy_bucket"
	copyKey             = "aws_kms_key.copy_key"
	objectReplication   = "aws_s3_bucket_replication_configuration.backup_bucket_replication"
	databaseReplication = "aws_db_instance_automated_backups_replication.database_backups_replication"
)

var copyPromises = []stacktest.Promise{{
	Name:  "copies of the backups are in another region, encrypted with a key of that region which outlives the stack",
	Check: copiesAreElsewhere,
	BrokenBy: []stacktest.Break{{
		Name:  "the copies' bucket is in the stack's region",
		Stack: "copies in another region",
		By:    stacktest.Remove(copyBucket, "provider"),
		Found: copyBucket,
	}, {
		Name:  "a part of the copies' bucket is looked for in the stack's region",
		Stack: "copies in another region",
		By:    stacktest.Remove("aws_s3_bucket_versioning.backup_copy_bucket_versioning", "provider"),
		Found: "aws_s3_bucket_versioning.backup_copy_bucket_versioning",
	}, {
		Name:  "the replication of the database is started in the stack's region",
		Stack: "copies in another region",
		By:    stacktest.Remove(databaseReplication, "provider"),
		Found: databaseReplication,
	}, {
		Name:  "the database's copies are encrypted with a key of the stack's region",
		Stack: "copies in another region",
		By:    stacktest.Set(databaseReplication, "kms_key_id", "${aws_kms_key.database_key.arn}"),
		Found: databaseReplication,
	}, {
		Name:  "copied objects are encrypted with a key of the stack's region",
		Stack: "copies in another region",
		By: stacktest.Set(objectReplication,
			"rule.destination.encryption_configuration.replica_kms_key_id", "${aws_kms_key.backup_key.arn}"),
		Found: objectReplication,
	}, {
		Name:  "the copies' key is destroyed with the stack",
		Stack: "copies in another region",
		By:    stacktest.Remove(copyKey, "lifecycle.prevent_destroy"),
		Found: copyKey,
	}, {
		Name:  "the copies' bucket is destroyed with the stack",
		Stack: "copies in another region",
		By:    stacktest.Remove(copyBucket, "lifecycle.prevent_destroy"),
		Found: copyBucket,
	}, {
		Name:  "objects that a KMS key encrypts are skipped, which all are",
		Stack: "copies in another region",
		By:    stacktest.Remove(objectReplication, "rule.source_selection_criteria"),
		Found: objectReplication,
	}, {
		Name:  "a deleted object exists in the copies' bucket forever",
		Stack: "copies in another region",
		By:    stacktest.Set(objectReplication, "rule.delete_marker_replication.status", "Disabled"),
		Found: objectReplication,
	}, {
		Name:  "S3 does not report copies that failed",
		Stack: "copies in another region",
		By:    stacktest.Remove(objectReplication, "rule.destination.metrics"),
		Found: objectReplication,
	}, {
		Name:  "the copies' bucket has no lock, although the backup bucket has one",
		Stack: "copies in another region",
		By:    stacktest.Delete("aws_s3_bucket_object_lock_configuration.backup_copy_bucket_object_lock"),
		Found: copyBucket,
	}, {
		Name:  "objects are replicated before the copies' bucket has versions",
		Stack: "copies in another region",
		By: stacktest.All(
			stacktest.RemoveDependency(objectReplication, "aws_s3_bucket_versioning.backup_copy_bucket_versioning"),
			stacktest.RemoveDependency(objectReplication,
				"aws_s3_bucket_object_lock_configuration.backup_copy_bucket_object_lock"),
		),
		Found: objectReplication,
	}, {
		Name:  "the copies of another database than the services' are made",
		Stack: "copies in another region",
		By: stacktest.Set(databaseReplication, "source_db_instance_arn",
			"${aws_db_instance.database_restored_latest.arn}"),
		Found: databaseReplication,
	}},
}}

var dumpCopyPromises = []stacktest.Promise{{
	Name:  "an alarm fires if dumps are not copied to the other region",
	Check: copiesOfDumpsAreWatched,
	BrokenBy: []stacktest.Break{{
		Name:  "there is no alarm",
		Stack: "copies in another region",
		By:    stacktest.Delete("aws_cloudwatch_metric_alarm.dump_copy_age_alarm"),
		Found: dumpSchedule,
	}, {
		Name:  "the alarm is on the dumps in this region",
		Stack: "copies in another region",
		By:    stacktest.Set("aws_cloudwatch_metric_alarm.dump_copy_age_alarm", "metric_name", "NewestDumpAge"),
		Found: dumpSchedule,
	}},
}}

func copiesOfDumpsAreWatched(s stacktest.Stack, v *stacktest.Violations) {
	if !s.Resource(copyBucket).Exists() || !s.Resource(dumpSchedule).Exists() {
		return
	}
	v.Want(slices.ContainsFunc(s.Resources("aws_cloudwatch_metric_alarm"), func(a stacktest.Resource) bool {
		return a.Is("metric_name", "NewestDumpCopyAge") && a.Is("treat_missing_data", "breaching")
	}), dumpSchedule, "no alarm on the age of the copies")
}

func copiesAreElsewhere(s stacktest.Stack, v *stacktest.Violations) {
	const elsewhere = "aws.copy"
	inCopy := func(r stacktest.Resource) bool { return r.Is("provider", elsewhere) }
	kept := func(address string) {
		v.Want(s.Resource(address).Is("lifecycle.prevent_destroy", true), address, "is destroyed with the stack")
		v.Want(inCopy(s.Resource(address)), address, "is in the stack's region")
	}
	for _, r := range s.Resources() {
		if strings.HasPrefix(r.Kind(), "aws_s3_bucket_") && r.Reference("bucket") == copyBucket {
			v.Want(inCopy(r), r.Address, "is in the stack's region, but its bucket is not")
		}
	}
	for _, r := range s.Resources("aws_db_instance_automated_backups_replication") {
		v.Want(inCopy(r), r.Address, "is started in the stack's region")
		v.Want(r.Reference("kms_key_id") == copyKey, r.Address, "has a key of another region: %v", r.At("kms_key_id"))
		used := usedDatabases(s)
		v.Want(len(used) == 0 || r.Reference("source_db_instance_arn") == used[0],
			r.Address, "copies %v, but the services use %v", r.At("source_db_instance_arn"), used)
		kept(copyKey)
	}
	o := s.Order()
	for _, r := range s.Resources("aws_s3_bucket_replication_configuration") {
		for _, rule := range r.Blocks("rule") {
			target := rule.Reference("destination.bucket")
			kept(target)
			v.Want(rule.Reference("destination.encryption_configuration.replica_kms_key_id") == copyKey,
				r.Address, "encrypts the copies with a key of another region")
			v.Want(rule.Is("source_selection_criteria.sse_kms_encrypted_objects.status", "Enabled"),
				r.Address, "skips all objects that a KMS key encrypts")
			v.Want(rule.Is("destination.metrics.status", "Enabled"), r.Address, "does not report failed copies")
			v.Want(rule.Is("delete_marker_replication.status", "Enabled"), r.Address, "copies no delete markers")
			versions := stacktest.Referring(s.Resources("aws_s3_bucket_versioning"), "bucket", target)
			v.WantBefore(o, r, versions, "S3 replicates versions only")
			all := s.Resources("aws_s3_bucket_object_lock_configuration")
			locks := func(bucket string) int { return len(stacktest.Referring(all, "bucket", bucket)) }
			v.Want(locks(target) == locks(r.Reference("bucket")), target, "has no lock like the bucket that it copies")
		}
	}
}
