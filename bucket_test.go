package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	backupBucket            = "aws_s3_bucket.backup_bucket"
	backupBucketEncryption  = "aws_s3_bucket_server_side_encryption_configuration.backup_bucket_encryption"
	backupBucketLifecycle   = "aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle"
	backupBucketAccessBlock = "aws_s3_bucket_public_access_block.backup_bucket_public_access_block"
	backupBucketVersioning  = "aws_s3_bucket_versioning.backup_bucket_versioning"
	backupBucketPolicy      = "aws_s3_bucket_policy.backup_bucket_policy"
	backupBucketOwnership   = "aws_s3_bucket_ownership_controls.backup_bucket_ownership"

	accessLogsBucket           = "aws_s3_bucket.access_logs_bucket"
	accessLogsBucketEncryption = "aws_s3_bucket_server_side_encryption_configuration.access_logs_bucket_encryption"
	accessLogsBucketPolicy     = "aws_s3_bucket_policy.access_logs_bucket_policy"

	tlsOnly     = "policy.Statement[Sid=TLSOnly]"
	logDelivery = "policy.Statement[Sid=LogDelivery]"

	callerAccount = "${data.aws_caller_identity.caller.account_id}"
)

var bucketOrderPromises = []stacktest.Promise{{
	Name:  "a bucket is configured completely before anything is stored in it",
	Check: bucketsAreConfiguredBeforeUse,
	BrokenBy: []stacktest.Break{{
		Name:  "the load balancer writes access logs before the bucket's policy allows it",
		Stack: "prod",
		By:    stacktest.RemoveDependency(loadBalancer, accessLogsBucketPolicy),
		Found: loadBalancer,
	}, {
		Name:  "an object is stored before the bucket has versioning",
		Stack: "prod",
		By: stacktest.Create("aws_s3_object.restore_guide", map[string]any{
			"bucket": idOf(backupBucket), "key": "README",
			"depends_on": []any{backupBucketPolicy, backupBucketEncryption, backupBucketOwnership},
		}),
		Found: "aws_s3_object.restore_guide",
	}, {
		Name:  "a bucket's policy and its public access block are changed at the same time",
		Stack: "prod",
		By: stacktest.RemoveDependency("aws_s3_bucket_policy.backup_bucket_policy",
			backupBucketAccessBlock),
		Found: "aws_s3_bucket_policy.backup_bucket_policy",
	}, {
		Name:  "a bucket gets lifecycle rules for versions before it has versioning",
		Stack: "dev",
		By: stacktest.RemoveDependency(backupBucketLifecycle,
			backupBucketVersioning),
		Found: backupBucketLifecycle,
	}, {
		Name:  "a bucket gets an object lock before it has versioning",
		Stack: "production over HTTP",
		By: stacktest.RemoveDependency("aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock",
			backupBucketVersioning),
		Found: "aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock",
	}},
}}

func bucketsAreConfiguredBeforeUse(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	of := func(bucket string, kinds ...string) []stacktest.Resource {
		return stacktest.Referring(s.Resources(kinds...), "bucket", bucket)
	}
	needed := []string{
		"aws_s3_bucket_policy", "aws_s3_bucket_ownership_controls",
		"aws_s3_bucket_server_side_encryption_configuration",
	}
	for _, lb := range s.Resources("aws_lb") {
		v.WantBefore(o, lb, of(lb.Reference("access_logs.bucket"), needed...),
			"the load balancer writes a test file at once")
	}
	for _, object := range s.Resources("aws_s3_object") {
		v.WantBefore(o, object, of(object.Reference("bucket"), append(needed, "aws_s3_bucket_versioning")...),
			"the object is stored with other settings than the bucket's later objects")
	}
	for _, policy := range s.Resources("aws_s3_bucket_policy") {
		v.WantBefore(o, policy, of(policy.Reference("bucket"), "aws_s3_bucket_public_access_block"),
			"S3 rejects two changes at the same time")
	}
	aboutVersions := []string{"aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_object_lock_configuration"}
	for _, r := range s.Resources(aboutVersions...) {
		v.WantBefore(o, r, of(r.Reference("bucket"), "aws_s3_bucket_versioning"), "it requires versioning")
	}
}

var bucketPromises = []stacktest.Promise{{
	Name:  "every bucket is private, encrypted, versioned, reachable over TLS only, and deletes old versions",
	Check: bucketsAreConfigured,
	BrokenBy: []stacktest.Break{{
		Name:  "a bucket may have public ACLs",
		Stack: "prod",
		By: stacktest.Set(
			backupBucketAccessBlock,
			"block_public_acls",
			false,
		),
		Found: backupBucket,
	}, {
		Name:  "a bucket has no public access block",
		Stack: "prod",
		By:    stacktest.Delete(backupBucketAccessBlock),
		Found: backupBucket,
	}, {
		Name:  "a bucket's public access block leaves one of its four settings to AWS",
		Stack: "dev",
		By: stacktest.Remove("aws_s3_bucket_public_access_block.access_logs_bucket_public_access_block",
			"restrict_public_buckets"),
		Found: accessLogsBucket,
	}, {
		Name:  "a bucket's versioning is suspended",
		Stack: "prod",
		By: stacktest.Set(backupBucketVersioning, "versioning_configuration.status",
			"Suspended"),
		Found: backupBucket,
	}, {
		Name:  "a bucket has no encryption configuration",
		Stack: "prod",
		By:    stacktest.Delete(backupBucketEncryption),
		Found: backupBucket,
	}, {
		Name:  "a bucket is encrypted with S3's own key",
		Stack: "prod",
		By: stacktest.Set(backupBucketEncryption, "rule.apply_server_side_encryption_by_default",
			map[string]any{"sse_algorithm": "AES256"}),
		Found: backupBucket,
	}, {
		Name:  "a bucket's policy denies requests over TLS instead of those without",
		Stack: "prod",
		By:    stacktest.Set(backupBucketPolicy, tlsOnly+".Condition.Bool.aws:SecureTransport", []any{"true"}),
		Found: backupBucket,
	}, {
		Name:  "a bucket's policy allows requests for objects without TLS",
		Stack: "prod",
		By:    stacktest.Set(backupBucketPolicy, tlsOnly+".Resource", []any{arnOf(backupBucket)}),
		Found: backupBucket,
	}, {
		Name:  "a bucket's objects may belong to other accounts",
		Stack: "prod",
		By:    stacktest.Set(backupBucketOwnership, "rule.object_ownership", "ObjectWriter"),
		Found: backupBucket,
	}, {
		Name:  "a bucket keeps noncurrent versions for ever",
		Stack: "prod",
		By:    stacktest.Remove(backupBucketLifecycle, "rule[id=age].noncurrent_version_expiration"),
		Found: backupBucket,
	}, {
		Name:  "a bucket keeps incomplete multipart uploads for ever",
		Stack: "prod",
		By:    stacktest.Remove(backupBucketLifecycle, "rule[id=age].abort_incomplete_multipart_upload"),
		Found: backupBucket,
	}, {
		Name:  "a bucket's lifecycle rule is disabled",
		Stack: "prod",
		By:    stacktest.Set(backupBucketLifecycle, "rule[id=age].status", "Disabled"),
		Found: backupBucket,
	}, {
		Name:  "a bucket has an ACL",
		Stack: "prod",
		By: stacktest.Create("aws_s3_bucket_acl.backup",
			map[string]any{"bucket": idOf(backupBucket), "acl": "public-read"}),
		Found: "aws_s3_bucket_acl.backup",
	}, {
		Name:  "a bucket is a website",
		Stack: "prod",
		By: stacktest.Create("aws_s3_bucket_website_configuration.backup",
			map[string]any{"bucket": idOf(backupBucket)}),
		Found: "aws_s3_bucket_website_configuration.backup",
	}, {
		Name:  "a bucket's name does not contain the account and the region",
		Stack: "prod",
		By:    stacktest.Set(backupBucket, "bucket", "platform-prod-backup"),
		Found: backupBucket,
	}},
}, {
	Name:  "dumps expire, and so do records of rehearsals, but not before there is a later one",
	Check: backupsExpireInTime,
	BrokenBy: []stacktest.Break{{
		Name:  "dumps are kept for ever",
		Stack: "prod",
		By:    stacktest.Remove(backupBucketLifecycle, "rule[id=dumps].expiration"),
		Found: backupBucketLifecycle,
	}, {
		Name:  "dumps of a database that is dumped every night are kept for a day",
		Stack: "dev",
		By:    stacktest.Set(backupBucketLifecycle, "rule[id=dumps].expiration.days", 1),
		Found: backupBucketLifecycle,
	}, {
		Name:  "records of rehearsals are deleted while the alarm of their age has not fired yet",
		Stack: "prod",
		By:    stacktest.Set(backupBucketLifecycle, "rule[id=drills].expiration.days", 35),
		Found: backupBucketLifecycle,
	}, {
		Name:  "everything expires like dumps, and so do the records of rehearsals",
		Stack: "prod",
		By:    stacktest.Add(backupBucketLifecycle, "rule[id=age].expiration", map[string]any{"days": 35}),
		Found: backupBucketLifecycle,
	}, {
		Name:  "the copies in the other region are kept for ever",
		Stack: "copies in another region",
		By: stacktest.Remove("aws_s3_bucket_lifecycle_configuration.backup_copy_bucket_lifecycle",
			"rule[id=dumps].expiration"),
		Found: "aws_s3_bucket_lifecycle_configuration.backup_copy_bucket_lifecycle",
	}},
}, {
	Name:  "the load balancer, and nothing else, may write its access logs, with what it supports",
	Check: accessLogsCanBeWritten,
	BrokenBy: []stacktest.Break{{
		Name:  "the bucket of the access logs is encrypted with a KMS key",
		Stack: "prod",
		By: stacktest.Set(accessLogsBucketEncryption, "rule.apply_server_side_encryption_by_default.sse_algorithm",
			"aws:kms"),
		Found: accessLogsBucket,
	}, {
		Name:  "the bucket of the access logs has an object lock",
		Stack: "prod",
		By:    stacktest.Add(accessLogsBucket, "object_lock_enabled", true),
		Found: accessLogsBucket,
	}, {
		Name:  "another service may write access logs",
		Stack: "prod",
		By: stacktest.Set(accessLogsBucketPolicy, logDelivery+".Principal.Service",
			[]any{"delivery.logs.amazonaws.com"}),
		Found: accessLogsBucket,
	}, {
		Name:  "access logs of any account may be written",
		Stack: "prod",
		By:    stacktest.Set(accessLogsBucketPolicy, logDelivery+".Resource", []any{arnOf(accessLogsBucket) + "/*"}),
		Found: accessLogsBucket,
	}, {
		Name:  "the load balancer may read the access logs",
		Stack: "prod",
		By:    stacktest.Append(accessLogsBucketPolicy, logDelivery+".Action", "s3:GetObject"),
		Found: accessLogsBucket,
	}, {
		Name:  "an account that is not Elastic Load Balancing's may write access logs",
		Stack: "prod",
		By: stacktest.Set(accessLogsBucketPolicy, logDelivery+".Principal.AWS",
			[]any{"arn:aws:iam::123456789012:root"}),
		Found: accessLogsBucket,
	}, {
		Name:  "the access logs have a prefix that the bucket's policy does not allow",
		Stack: "dev",
		By:    stacktest.Add(loadBalancer, "access_logs.prefix", "web"),
		Found: accessLogsBucket,
	}},
}}

func bucketsAreConfigured(s stacktest.Stack, v *stacktest.Violations) {
	for _, bucket := range s.Resources("aws_s3_bucket") {
		// only returns the bucket's one resource of a kind.
		only := func(kind, why string) stacktest.Resource {
			all := stacktest.Referring(s.Resources(kind), "bucket", bucket.Address)
			v.Want(len(all) == 1, bucket.Address, "want one %s, have %d: %s", kind, len(all), why)
			if len(all) != 1 {
				return stacktest.Resource{}
			}
			return all[0]
		}
		block := only("aws_s3_bucket_public_access_block", "the bucket may become public")
		for _, path := range []string{
			"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets",
		} {
			v.Want(block.Is(path, true), bucket.Address, "may become public: want %s", path)
		}
		versioning := only("aws_s3_bucket_versioning", "overwritten objects are lost")
		v.Want(versioning.Is("versioning_configuration.status", "Enabled"), bucket.Address, "has no versioning")
		ownership := only("aws_s3_bucket_ownership_controls", "ACLs are in force")
		v.Want(ownership.Is("rule.object_ownership", "BucketOwnerEnforced"),
			bucket.Address, "may have objects of other accounts")

		encryption := only("aws_s3_bucket_server_side_encryption_configuration", "the bucket has S3's default key")
		key := encryption.Reference("rule.apply_server_side_encryption_by_default.kms_master_key_id")
		v.Want(strings.HasPrefix(key, "aws_kms_key.") || hasAccessLogs(s, bucket),
			bucket.Address, "want a KMS key of this stack")

		lifecycle := only("aws_s3_bucket_lifecycle_configuration", "the bucket only grows")
		for _, path := range []string{
			"rule[id=age].noncurrent_version_expiration.noncurrent_days",
			"rule[id=age].abort_incomplete_multipart_upload.days_after_initiation",
		} {
			v.Want(lifecycle.Number(path) >= 1 && lifecycle.Is("rule[id=age].status", "Enabled") &&
				!lifecycle.Has("rule[id=age].filter.prefix"),
				bucket.Address, "only grows: want %s", path)
		}

		policy := only("aws_s3_bucket_policy", "the bucket accepts requests without TLS")
		v.Want(slices.ContainsFunc(policy.Statements("policy"), func(statement stacktest.Resource) bool {
			return deniesPlainHTTP(statement, arnOf(bucket.Address))
		}), bucket.Address, "accepts requests without TLS")
		v.Want(strings.HasSuffix(bucket.String("bucket"), "-"+callerAccount+"-"+regionWith(s, bucket)),
			bucket.Address, "want a name that ends in the account and the region, since names are global, have %v",
			bucket.At("bucket"))
	}
	opening := []string{"aws_s3_bucket_acl", "aws_s3_bucket_website_configuration", "aws_s3_bucket_cors_configuration"}
	for _, r := range s.Resources(opening...) {
		v.Want(false, r.Address, "opens a bucket to others")
	}
}

func backupsExpireInTime(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range s.Resources("aws_s3_bucket_lifecycle_configuration") {
		if r.Address == "aws_s3_bucket_lifecycle_configuration.access_logs_bucket_lifecycle" {
			continue
		}
		v.Want(!r.Has("rule[id=age].expiration"), r.Address, "deletes records of rehearsals with the dumps")
		days := func(folder string) float64 {
			path := "rule[id=" + folder + "]"
			if !r.Is(path+".status", "Enabled") || !r.Is(path+".filter.prefix", folder+"/") {
				return 0
			}
			return r.Number(path + ".expiration.days")
		}
		v.Want(days("dumps") >= 1, r.Address, "keeps dumps for ever")
		v.Want(!s.Resource(dumpSchedule).Exists() || days("dumps")*24 > hoursBetween(s, dumpSchedule),
			r.Address, "deletes dumps after %v days, before there are two", days("dumps"))
		if alarm := s.Resource("aws_cloudwatch_metric_alarm.drill_age_alarm"); alarm.Exists() {
			v.Want(days("drills")*24*3600 > alarm.Number("threshold"), r.Address,
				"deletes records of rehearsals after %v days, before their age is an alarm", days("drills"))
		}
	}
}

func deniesPlainHTTP(statement stacktest.Resource, bucketARN string) bool {
	return statement.Is("Effect", "Deny") &&
		slices.Equal(statement.Strings("Action"), []string{"s3:*"}) &&
		slices.Equal(statement.Principals(), []string{"AWS:*"}) &&
		slices.Equal(statement.Strings("Resource"), []string{bucketARN, bucketARN + "/*"}) &&
		slices.Equal(statement.Conditions(), []string{"Bool aws:SecureTransport false"})
}

func hasAccessLogs(s stacktest.Stack, bucket stacktest.Resource) bool {
	return len(stacktest.Referring(s.Resources("aws_lb"), "access_logs.bucket", bucket.Address)) > 0
}

// elbAccounts are Elastic Load Balancing's accounts, which write access logs in the regions that
// are older than August 2022. These are the regions that the tests use.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
var elbAccounts = map[string]string{
	"us-west-2":      "797873946194",
	"ap-southeast-1": "114774131450",
	"eu-central-1":   "054676820928",
	"us-east-1":      "127311923021",
}

func accessLogsCanBeWritten(s stacktest.Stack, v *stacktest.Violations) {
	var writers []string
	if account := elbAccounts[s.Region()]; account != "" {
		writers = append(writers, "AWS:arn:aws:iam::"+account+":root")
	}
	writers = append(writers, "Service:logdelivery.elasticloadbalancing.amazonaws.com")
	for _, lb := range s.Resources("aws_lb") {
		bucket := s.Resource(lb.Reference("access_logs.bucket"))
		v.Want(!bucket.Is("object_lock_enabled", true),
			bucket.Address, "has an object lock, with which S3 rejects the load balancer's test file")
		encryptions := s.Resources("aws_s3_bucket_server_side_encryption_configuration")
		for _, encryption := range stacktest.Referring(encryptions, "bucket", bucket.Address) {
			v.Want(encryption.Is("rule.apply_server_side_encryption_by_default.sse_algorithm", "AES256"),
				bucket.Address, "want S3's own key, the only one that load balancers support")
		}
		prefix := strings.TrimSuffix("/"+lb.String("access_logs.prefix"), "/")
		objects := arnOf(bucket.Address) + prefix + "/AWSLogs/" + callerAccount + "/*"
		for _, policy := range stacktest.Referring(s.Resources("aws_s3_bucket_policy"), "bucket", bucket.Address) {
			for _, statement := range policy.Statements("policy") {
				if statement.Is("Effect", "Deny") {
					continue
				}
				actions, resources := statement.Strings("Action"), statement.Strings("Resource")
				v.Want(slices.Equal(actions, []string{"s3:PutObject"}) &&
					slices.Equal(resources, []string{objects}) &&
					len(statement.Conditions()) == 0,
					bucket.Address, "want s3:PutObject on %s allowed, have %v on %v", objects, actions, resources)
				v.Want(slices.Equal(statement.Principals(), writers),
					bucket.Address, "want %v allowed to write, have %v", writers, statement.Principals())
			}
		}
	}
}

// regionWith returns the region of the provider that creates a resource.
func regionWith(s stacktest.Stack, r stacktest.Resource) string {
	all, _ := s.At("provider.aws").([]any)
	for _, one := range all {
		body, _ := one.(map[string]any)
		if alias, _ := body["alias"].(string); alias != "" && r.Is("provider", "aws."+alias) {
			region, _ := body["region"].(string)
			return region
		}
	}
	return s.Region()
}
