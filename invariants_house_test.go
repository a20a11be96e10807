package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ---- Buckets, logs and tags ---------------------------------------------------------------------

var storeInvariants = []invariant{
	{
		promise: "a bucket is closed, encrypted, versioned, reached by TLS alone, and does not only grow",
		check:   bucketsAreSound,
		broken: []damage{
			{name: "a public list may be attached", stack: "prod",
				breaks: change("aws_s3_bucket_public_access_block.backup_bucket_public_access_block",
					"block_public_acls", false),
				found: backupBucket},
			{name: "nothing blocks the public", stack: "prod",
				breaks: drop("aws_s3_bucket_public_access_block.backup_bucket_public_access_block"),
				found:  backupBucket},
			{name: "one of four blocks is not said", stack: "dev",
				breaks: unset("aws_s3_bucket_public_access_block.access_logs_bucket_public_access_block",
					"restrict_public_buckets"),
				found: logsBucket},
			{name: "versions are suspended", stack: "prod",
				breaks: change("aws_s3_bucket_versioning.backup_bucket_versioning", "versioning_configuration.status",
					"Suspended"),
				found: backupBucket},
			{name: "no encryption said", stack: "prod",
				breaks: drop("aws_s3_bucket_server_side_encryption_configuration.backup_bucket_encryption"),
				found:  backupBucket},
			{name: "S3's own key", stack: "prod",
				breaks: change("aws_s3_bucket_server_side_encryption_configuration.backup_bucket_encryption",
					"rule.0.apply_server_side_encryption_by_default", tree{"sse_algorithm": "AES256"}),
				found: backupBucket},
			{name: "requests in the clear", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_bucket_policy_document",
					"statement.0.condition.0.values.0", "true"),
				found: backupBucket},
			{name: "requests for objects in the clear", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_bucket_policy_document", "statement.0.resources",
					[]any{"${aws_s3_bucket.backup_bucket.arn}"}),
				found: backupBucket},
			{name: "objects may be somebody else's", stack: "prod",
				breaks: change("aws_s3_bucket_ownership_controls.backup_bucket_ownership", "rule.object_ownership",
					"ObjectWriter"),
				found: backupBucket},
			{name: "old versions stay for ever", stack: "prod",
				breaks: unset("aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle",
					"rule.0.noncurrent_version_expiration"),
				found: backupBucket},
			{name: "half an upload stays for ever", stack: "prod",
				breaks: unset("aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle",
					"rule.0.abort_incomplete_multipart_upload"),
				found: backupBucket},
			{name: "the rules are off", stack: "prod",
				breaks: change("aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle", "rule.0.status",
					"Disabled"),
				found: backupBucket},
			{name: "a list of its own", stack: "prod",
				breaks: put("aws_s3_bucket_acl.backup", tree{"bucket": id(backupBucket), "acl": "public-read"}),
				found:  "aws_s3_bucket_acl.backup"},
			{name: "a website", stack: "prod",
				breaks: put("aws_s3_bucket_website_configuration.backup", tree{"bucket": id(backupBucket)}),
				found:  "aws_s3_bucket_website_configuration.backup"},
			{name: "a name that another account or region may have", stack: "prod",
				breaks: change(backupBucket, "bucket", "platform-prod-backup"), found: backupBucket},
		},
	},
	{
		promise: "the balancer may write its access logs, with what it can write to",
		check:   accessLogsCanBeWritten,
		broken: []damage{
			{name: "a key, which it cannot use", stack: "prod",
				breaks: change("aws_s3_bucket_server_side_encryption_configuration.access_logs_bucket_encryption",
					"rule.0.apply_server_side_encryption_by_default.sse_algorithm", "aws:kms"),
				found: logsBucket},
			{name: "a lock, which it is refused by", stack: "prod",
				breaks: func(stack tree) {
					dig(stack, "resource.aws_s3_bucket.access_logs_bucket").(tree)["object_lock_enabled"] = true
				},
				found: logsBucket},
			{name: "another service", stack: "prod",
				breaks: change(logsBucketDocument, "statement.1.principals.0.identifiers.0",
					"delivery.logs.amazonaws.com"),
				found: logsBucket},
			{name: "any account's logs", stack: "prod",
				breaks: change(logsBucketDocument, "statement.1.resources.0",
					"${aws_s3_bucket.access_logs_bucket.arn}/*"),
				found: logsBucket},
			{name: "it may read them", stack: "prod",
				breaks: change(logsBucketDocument, "statement.1.actions", []any{"s3:PutObject", "s3:GetObject"}),
				found:  logsBucket},
			{name: "an account that is not ELB's", stack: "prod",
				breaks: change(logsBucketDocument, "statement.1.principals.1.identifiers.0",
					"arn:aws:iam::123456789012:root"),
				found: logsBucket},
			{name: "a prefix that the policy leaves out", stack: "dev",
				breaks: add(balancer, "access_logs.prefix", "web"), found: logsBucket},
		},
	},
	{
		promise: "every log ends, and has a key",
		check:   logsEnd,
		broken: []damage{
			{name: "it does not end", stack: "prod",
				breaks: unset(execLogs, "retention_in_days"), found: execLogs},
			{name: "a number of days that CloudWatch has not", stack: "prod",
				breaks: change(execLogs, "retention_in_days", 10.0), found: execLogs},
			{name: "no key", stack: "prod",
				breaks: unset(execLogs, "kms_key_id"), found: execLogs},
			{name: "it stays when the stack goes", stack: "dev",
				breaks: add(execLogs, "skip_destroy", true), found: execLogs},
		},
	},
	{
		promise: "everything that takes tags has a name, and the stack's tags",
		check:   everythingIsTagged,
		broken: []damage{
			{name: "no tags", stack: "prod",
				breaks: unset("aws_vpc.vpc", "tags"), found: "aws_vpc.vpc"},
			{name: "no name", stack: "prod",
				breaks: unset(balancer, "tags.Name"), found: balancer},
			{name: "a name that AWS refuses", stack: "prod",
				breaks: change("aws_vpc.vpc", "tags.Name", "<vpc>"), found: "aws_vpc.vpc"},
			{name: "a kind that nobody looked at", stack: "dev",
				breaks: put("aws_sqs_queue.failures", tree{}), found: "aws_sqs_queue.failures"},
			{name: "the provider adds none", stack: "prod",
				breaks: func(stack tree) {
					delete(dig(stack, "provider.aws.0.default_tags.0.tags").(tree), "ManagedBy")
				},
				found: "provider.aws"},
		},
	},
	{
		promise: "nothing has more tags than AWS takes",
		check:   tagsAreNotTooMany,
		broken: []damage{
			{name: "the stack has many", stack: "prod",
				breaks: func(stack tree) {
					for i := range 7 {
						dig(stack, "provider.aws.0.default_tags.0.tags").(tree)[fmt.Sprint("Tag", i)] = "x"
					}
				},
				found: "aws_s3_object.prometheus_configuration"},
		},
	},
}

func bucketsAreSound(stack tree) (v violations) {
	for _, bucket := range things(stack, "aws_s3_bucket") {
		one := func(kind, why string) thing {
			all := referring(things(stack, kind), "bucket", bucket.address)
			v.want(len(all) == 1, bucket.address, "wants one %s, has %d: %s", kind, len(all), why)
			if len(all) != 1 {
				return thing{}
			}
			return all[0]
		}
		block := one("aws_s3_bucket_public_access_block", "it may become public")
		for _, path := range []string{
			"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets",
		} {
			v.want(block.is(path, true), bucket.address, "may become public: %s", path)
		}
		versioning := one("aws_s3_bucket_versioning", "what is overwritten is lost")
		v.want(versioning.is("versioning_configuration.status", "Enabled"), bucket.address, "has no versions")
		ownership := one("aws_s3_bucket_ownership_controls", "lists of access count")
		v.want(ownership.is("rule.object_ownership", "BucketOwnerEnforced"),
			bucket.address, "may hold what is not ours")

		encryption := one("aws_s3_bucket_server_side_encryption_configuration", "nobody said with which key")
		key := encryption.ref("rule.0.apply_server_side_encryption_by_default.kms_master_key_id")
		v.want(strings.HasPrefix(key, "aws_kms_key.") || takesAccessLogs(stack, bucket),
			bucket.address, "wants a key of this stack")

		age := one("aws_s3_bucket_lifecycle_configuration", "it only grows")
		for _, path := range []string{
			"noncurrent_version_expiration.0.noncurrent_days",
			"abort_incomplete_multipart_upload.0.days_after_initiation",
		} {
			v.want(age.number("rule.0."+path) >= 1 && age.is("rule.0.status", "Enabled"),
				bucket.address, "keeps for ever: %s", path)
		}

		policy := one("aws_s3_bucket_policy", "it is reached in the clear")
		arn := "${" + bucket.address + ".arn}"
		tls := slices.ContainsFunc(grantsIn(stack, policy.at("policy")), func(g grant) bool {
			return !g.allow &&
				slices.Equal(g.actions, []string{"s3:*"}) &&
				slices.Equal(g.who, []string{"*:*"}) &&
				slices.Equal(g.resources, []string{arn, arn + "/*"}) &&
				slices.Equal(g.when, []string{"Bool aws:SecureTransport false"})
		})
		v.want(tls, bucket.address, "is reached in the clear")
		v.want(strings.HasSuffix(bucket.text("bucket"), "-"+account+"-"+region(stack)),
			bucket.address, "wants account and region in its name, which is the whole world's, has %v",
			bucket.at("bucket"))
	}
	opening := []string{"aws_s3_bucket_acl", "aws_s3_bucket_website_configuration", "aws_s3_bucket_cors_configuration"}
	for _, other := range things(stack, opening...) {
		v.want(false, other.address, "opens a bucket to others")
	}
	return v
}

func takesAccessLogs(stack tree, bucket thing) bool {
	return len(referring(things(stack, "aws_lb"), "access_logs.bucket", bucket.address)) > 0
}

// elbAccounts wrote access logs before there was a service for it, in the regions older than August
// 2022; of them, those that the tests use.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
var elbAccounts = map[string]string{
	"ap-southeast-1": "114774131450",
	"eu-central-1":   "054676820928",
	"us-east-1":      "127311923021",
}

func accessLogsCanBeWritten(stack tree) (v violations) {
	for _, b := range things(stack, "aws_lb") {
		bucket := get(stack, b.ref("access_logs.bucket"))
		v.want(!bucket.is("object_lock_enabled", true),
			bucket.address, "is locked, and the balancer's test file is refused")
		encryptions := things(stack, "aws_s3_bucket_server_side_encryption_configuration")
		for _, encryption := range referring(encryptions, "bucket", bucket.address) {
			v.want(encryption.is("rule.0.apply_server_side_encryption_by_default.sse_algorithm", "AES256"),
				bucket.address, "has a key that the balancer cannot use")
		}
		for _, policy := range referring(things(stack, "aws_s3_bucket_policy"), "bucket", bucket.address) {
			for _, g := range grantsIn(stack, policy.at("policy")) {
				if !g.allow {
					continue
				}
				prefix := strings.TrimSuffix("/"+b.text("access_logs.prefix"), "/")
				place := "${" + bucket.address + ".arn}" + prefix + "/AWSLogs/" + account + "/*"
				v.want(slices.Equal(g.actions, []string{"s3:PutObject"}) &&
					slices.Equal(g.resources, []string{place}) &&
					len(g.when) == 0,
					bucket.address, "wants s3:PutObject on %s, has %v on %v", place, g.actions, g.resources)
				who := []string{"Service:logdelivery.elasticloadbalancing.amazonaws.com"}
				if old := elbAccounts[region(stack)]; old != "" {
					who = append(who, "AWS:arn:aws:iam::"+old+":root")
				}
				v.want(slices.Equal(g.who, who), bucket.address, "wants %v to write, has %v", who, g.who)
			}
		}
	}
	return v
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var logDays = []float64{
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}

func logsEnd(stack tree) (v violations) {
	for _, group := range things(stack, "aws_cloudwatch_log_group") {
		v.want(slices.Contains(logDays, group.number("retention_in_days")),
			group.address, "is kept for %v days", group.at("retention_in_days"))
		v.want(get(stack, group.ref("kms_key_id")).kind() == "aws_kms_key", group.address, "has no key")
		v.want(!group.is("skip_destroy", true), group.address, "stays when the stack goes, and costs")
	}
	return v
}

// untagged are the kinds that take no tags, from the provider's schema, 5.100.0. A kind that is new
// here is looked up there.
var untagged = []string{
	"aws_acm_certificate_validation", "aws_appautoscaling_policy", "aws_appautoscaling_scheduled_action",
	"aws_cloudwatch_dashboard", "aws_cloudwatch_event_target", "aws_ecr_lifecycle_policy",
	"aws_ecs_cluster_capacity_providers", "aws_iam_role_policy", "aws_kms_alias",
	"aws_lambda_function_event_invoke_config", "aws_lambda_invocation", "aws_lambda_permission", "aws_route",
	"aws_route53_record", "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration",
	"aws_s3_bucket_object_lock_configuration", "aws_s3_bucket_ownership_controls", "aws_s3_bucket_policy",
	"aws_s3_bucket_public_access_block", "aws_s3_bucket_server_side_encryption_configuration",
	"aws_s3_bucket_versioning", "aws_scheduler_schedule", "aws_secretsmanager_secret_rotation", "aws_sns_topic_policy",
	"aws_sns_topic_subscription", "aws_vpc_endpoint_route_table_association", "aws_vpc_endpoint_subnet_association",
	"aws_wafv2_web_acl_association", "aws_wafv2_web_acl_logging_configuration", "terraform_data",
}

var taggable = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

func everythingIsTagged(stack tree) (v violations) {
	tags := asTree(dig(stack, "provider.aws.0.default_tags.0.tags"))
	for _, key := range []string{"Application", "Environment", "ManagedBy"} {
		value, _ := tags[key].(string)
		v.want(value != "", "provider.aws", "adds no tag %s", key)
	}
	for _, r := range things(stack) {
		if slices.Contains(untagged, r.kind()) {
			continue
		}
		v.want(r.text("tags.Name") != "", r.address, "has no name among its tags")
		for key, value := range asTree(r.at("tags")) {
			v.want(len(key) <= 128 && len(fmt.Sprint(value)) <= 256 && taggable.MatchString(key+fmt.Sprint(value)),
				r.address, "has a tag that AWS refuses: %s = %v", key, value)
		}
	}
	return v
}

// S3 gives an object ten tags where other things have fifty, and the provider's are counted: an
// object that gets too many is refused. override_provider takes those away.
// https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs/resources/s3_object
func tagsAreNotTooMany(stack tree) (v violations) {
	for _, r := range things(stack) {
		if slices.Contains(untagged, r.kind()) {
			continue
		}
		keys := maps.Clone(asTree(r.at("tags")))
		if !r.has("override_provider") {
			maps.Copy(keys, asTree(dig(stack, "provider.aws.0.default_tags.0.tags")))
		}
		v.want(len(keys) <= choose(r.kind() == "aws_s3_object", 10, 50), r.address, "has %d tags", len(keys))
	}
	return v
}

// ---- Names --------------------------------------------------------------------------------------

var nameInvariants = []invariant{
	{
		promise: "every name is one that AWS takes",
		check:   namesFit,
		broken: []damage{
			{name: "a bucket's is too long", stack: "prod",
				breaks: change(backupBucket, "bucket", strings.Repeat("b", 64)), found: backupBucket},
			{name: "a balancer's is", stack: "prod",
				breaks: change(balancer, "name", strings.Repeat("b", 33)), found: balancer},
			{name: "a role's is", stack: "prod",
				breaks: change("aws_iam_role.flow_log_role", "name", strings.Repeat("b", 65)),
				found:  "aws_iam_role.flow_log_role"},
			{name: "a balancer's begins as AWS' own do", stack: "prod",
				breaks: change(balancer, "name", "internal-platform"), found: balancer},
			{name: "a security group's does", stack: "prod",
				breaks: change(webGroup, "name", "sg-web"), found: webGroup},
			{name: "a last snapshot's has underscores", stack: "prod",
				breaks: change(database, "final_snapshot_identifier", "platform_prod_final"), found: database},
			{name: "a role's leaves out the region, and IAM knows none", stack: "prod",
				breaks: change("aws_iam_role.flow_log_role", "name", "platform-prod-flow-logs"),
				found:  "aws_iam_role.flow_log_role"},
			{name: "a database's has two dashes", stack: "prod",
				breaks: change(database, "identifier", "platform--prod"), found: database},
			{name: "a target group's has an underscore", stack: "prod",
				breaks: change(webTargets, "name", "platform_prod"), found: webTargets},
			{name: "none", stack: "prod",
				breaks: unset(theFunction, "function_name"), found: theFunction},
		},
	},
	{
		promise: "no two things of a kind have the same name",
		check:   namesAreDistinct,
		broken: []damage{
			{name: "two security groups", stack: "prod",
				breaks: change(webGroup, "name", "platform-prod-database"), found: webGroup},
			{name: "two alarms", stack: "prod",
				breaks: change(cpuAlarm, "alarm_name", "platform-prod-backup-age"), found: cpuAlarm},
		},
	},
	{
		promise: "descriptions are in letters that AWS takes",
		check:   descriptionsFit,
		broken: []damage{
			{name: "an apostrophe", stack: "prod",
				breaks: change(webGroup, "description", "The web's tasks"), found: webGroup},
			{name: "in a rule", stack: "prod",
				breaks: change(egress+"service_web_https_egress", "description", "HTTPS → AWS"),
				found:  egress + "service_web_https_egress"},
			{name: "too long for a function", stack: "prod",
				breaks: change(theFunction, "description", strings.Repeat("d", 257)), found: theFunction},
		},
	},
	{
		promise: "ids say what a thing is, in snake case, and never where",
		check:   idsAreForever,
		broken: []damage{
			{name: "the environment", stack: "prod",
				breaks: copied("aws_vpc.vpc", "aws_vpc.vpc_prod", "cidr_block", "10.0.0.0/16"),
				found:  "aws_vpc.vpc_prod"},
			{name: "a dash", stack: "prod",
				breaks: copied("aws_vpc.vpc", "aws_vpc.main-vpc", "cidr_block", "10.0.0.0/16"),
				found:  "aws_vpc.main-vpc"},
			{name: "cdktf's digest, which a move changes", stack: "prod",
				breaks: copied("aws_vpc.vpc", "aws_vpc.network_vpc_AB12CD34", "cidr_block", "10.0.0.0/16"),
				found:  "aws_vpc.network_vpc_AB12CD34"},
			{name: "a service's group is called otherwise", stack: "prod",
				breaks: both(
					copied(webGroup, "aws_security_group.web_group", "name", "web"),
					change(webService, "network_configuration.security_groups.0", id("aws_security_group.web_group")),
				),
				found: webService},
			{name: "something is called like a service's that there is not", stack: "prod",
				breaks: copied(webGroup, "aws_security_group.service_other_group", "name", "other"),
				found:  "aws_security_group.service_other_group"},
		},
	},
}

// awsName is an argument that AWS bounds. Shapes are written where they are narrower than
// what the configuration allows.
type awsName struct {
	kind, path string
	limit      int
	shape      *regexp.Regexp
}

var (
	plain = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	words = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	paths = regexp.MustCompile(`^[A-Za-z0-9_./#-]+$`)

	identifier = regexp.MustCompile(`^[a-z]+[a-z0-9]*(-[a-z0-9]+)*$`)
	imagePath  = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$`)

	anyText = regexp.MustCompile(`.`)
	ec2Text = regexp.MustCompile(`^[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+$`)
	wafText = regexp.MustCompile(`^[\w+=:#@/\-,.][\w+=:#@/\-,.\s]+[\w+=:#@/\-,.]$`)
)

var awsNames = []awsName{
	{kind: "aws_cloudwatch_dashboard", path: "dashboard_name", limit: 255, shape: plain},
	{kind: "aws_cloudwatch_event_rule", path: "name", limit: 64, shape: plain},
	{kind: "aws_cloudwatch_log_group", path: "name", limit: 512, shape: paths},
	{kind: "aws_cloudwatch_metric_alarm", path: "alarm_name", limit: 255, shape: plain},
	{kind: "aws_db_event_subscription", path: "name", limit: 255, shape: words},
	{kind: "aws_db_instance", path: "identifier", limit: 63, shape: identifier},
	{kind: "aws_db_parameter_group", path: "name", limit: 255, shape: words},
	{kind: "aws_db_subnet_group", path: "name", limit: 255, shape: plain},
	{kind: "aws_ecr_repository", path: "name", limit: 256, shape: imagePath},
	{kind: "aws_ecs_cluster", path: "name", limit: 255, shape: plain},
	{kind: "aws_ecs_service", path: "name", limit: 255, shape: plain},
	{kind: "aws_ecs_task_definition", path: "family", limit: 255, shape: plain},
	{kind: "aws_iam_role", path: "name", limit: 64, shape: plain},
	{kind: "aws_iam_role_policy", path: "name", limit: 128, shape: plain},
	{kind: "aws_kms_alias", path: "name", limit: 256, shape: regexp.MustCompile(`^alias/[A-Za-z0-9/_-]+$`)},
	{kind: "aws_lambda_function", path: "function_name", limit: 64, shape: plain},
	{kind: "aws_lb", path: "name", limit: 32, shape: words},
	{kind: "aws_lb_target_group", path: "name", limit: 32, shape: words},
	{kind: "aws_appautoscaling_policy", path: "name", limit: 255, shape: plain},
	{kind: "aws_appautoscaling_scheduled_action", path: "name", limit: 255, shape: plain},
	{kind: "aws_s3_bucket", path: "bucket", limit: 63, shape: regexp.MustCompile(`^[a-z0-9][a-z0-9-]*[a-z0-9]$`)},
	{kind: "aws_scheduler_schedule", path: "name", limit: 64, shape: plain},
	{kind: "aws_scheduler_schedule_group", path: "name", limit: 64, shape: plain},
	{kind: "aws_security_group", path: "name", limit: 255, shape: plain},
	{kind: "aws_service_discovery_private_dns_namespace", path: "name", limit: 253, shape: plain},
	{kind: "aws_service_discovery_service", path: "name", limit: 63, shape: words},
	{kind: "aws_sns_topic", path: "name", limit: 256, shape: regexp.MustCompile(`^[A-Za-z0-9_-]+$`)},
	{kind: "aws_wafv2_web_acl", path: "name", limit: 128, shape: regexp.MustCompile(`^[A-Za-z0-9_-]+$`)},
}

func namesFit(stack tree) (v violations) {
	for _, n := range awsNames {
		for _, r := range things(stack, n.kind) {
			name := resolved(stack, r.text(n.path))
			v.want(len(name) >= 1 && len(name) <= n.limit,
				r.address, "wants a %s of 1 to %d characters, has %d: %s", n.path, n.limit, len(name), name)
			v.want(n.shape.MatchString(name), r.address, "has a %s that AWS refuses: %s", n.path, name)
		}
	}
	for _, b := range things(stack, "aws_lb") {
		v.want(!strings.HasPrefix(b.text("name"), "internal-"), b.address, "is called as AWS calls its own")
	}
	for _, role := range things(stack, "aws_iam_role") {
		v.want(strings.Contains(role.text("name"), "-"+region(stack)+"-"),
			role.address, "has a name that the same stack in another region wants too")
	}
	for _, group := range things(stack, "aws_security_group") {
		v.want(!strings.HasPrefix(group.text("name"), "sg-"), group.address, "is called as AWS calls its own")
	}
	for _, d := range things(stack, "aws_db_instance") {
		if final := resolved(stack, d.text("final_snapshot_identifier")); final != "" {
			v.want(len(final) <= 255 && words.MatchString(final),
				d.address, "has a final snapshot whose name AWS refuses: %s", final)
		}
	}
	return v
}

// Two security groups of one VPC, or two of anything that is found by its name, cannot
// be called the same.
func namesAreDistinct(stack tree) (v violations) {
	for _, n := range awsNames {
		if n.kind == "aws_iam_role_policy" {
			continue // a role's own
		}
		taken := map[string]string{}
		for _, r := range things(stack, n.kind) {
			name := resolved(stack, r.text(n.path))
			v.want(taken[name] == "", r.address, "is called %s, as is %s", name, taken[name])
			taken[name] = r.address
		}
	}
	return v
}

// descriptions are those that AWS bounds: EC2 takes no apostrophe and nothing beyond ASCII, and
// refuses the request without saying which letter.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
var descriptions = map[string]awsName{
	"aws_security_group":                  {path: "description", limit: 255, shape: ec2Text},
	"aws_vpc_security_group_ingress_rule": {path: "description", limit: 255, shape: ec2Text},
	"aws_vpc_security_group_egress_rule":  {path: "description", limit: 255, shape: ec2Text},
	"aws_wafv2_web_acl":                   {path: "description", limit: 256, shape: wafText},
	"aws_cloudwatch_metric_alarm":         {path: "alarm_description", limit: 1024, shape: anyText},
	"aws_lambda_function":                 {path: "description", limit: 256, shape: anyText},
	"aws_scheduler_schedule":              {path: "description", limit: 512, shape: anyText},
	"aws_cloudwatch_event_rule":           {path: "description", limit: 512, shape: anyText},
	"aws_kms_key":                         {path: "description", limit: 8192, shape: anyText},
	"aws_db_parameter_group":              {path: "description", limit: 255, shape: anyText},
}

func descriptionsFit(stack tree) (v violations) {
	for _, r := range things(stack) {
		if d, ok := descriptions[r.kind()]; ok {
			text := r.text(d.path)
			v.want(len(text) <= d.limit && d.shape.MatchString(text),
				r.address, "has a description that AWS refuses, of %d characters: %q", len(text), text)
		}
	}
	return v
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func idsAreForever(stack tree) (v violations) {
	environment := fmt.Sprint(dig(stack, "provider.aws.0.default_tags.0.tags.Environment"))
	services := map[string]bool{}
	for _, t := range tasks(stack) {
		prefix := "service_" + t.name() + "_"
		if t.name() == "prometheus" {
			prefix = "prometheus_" // the platform's own
		}
		services[prefix] = true
		parts := append([]string{t.service.address, t.definition.address, t.group},
			t.definition.refs("execution_role_arn")...)
		for _, address := range parts {
			v.want(strings.HasPrefix(address[strings.LastIndexByte(address, '.')+1:], prefix),
				t.service.address, "has %s, whose id does not begin %s", address, prefix)
		}
	}
	for _, r := range append(things(stack), sources(stack)...) {
		v.want(snakeCase.MatchString(r.id()), r.address, "is not in snake case")
		rest := r.id()
		if of := regexp.MustCompile(`^service_[a-z0-9]+_`).FindString(rest); of != "" {
			v.want(services[of], r.address, "begins as a service's, and there is no such service")
			rest = strings.TrimPrefix(rest, of)
		}
		v.want(!slices.Contains(strings.Split(rest, "_"), environment),
			r.address, "carries the environment: another one would have other addresses")
	}
	return v
}

// ---- State, protection, and what is left --------------------------------------------------------

var lifeInvariants = []invariant{
	{
		promise: "the state lies where synthesis does not delete it, and is each environment's own",
		check:   stateIsSafe,
		broken: []damage{
			{name: "in the folder that synthesis cleans", stack: "dev",
				breaks: func(stack tree) {
					dig(stack, "terraform.backend.local").(tree)["path"] = "terraform.platform-dev.tfstate"
				},
				found: "terraform.backend"},
			{name: "one state for all environments", stack: "dev",
				breaks: func(stack tree) {
					dig(stack, "terraform.backend.local").(tree)["path"] = "../../../terraform.tfstate"
				},
				found: "terraform.backend"},
			{name: "in the clear", stack: "prod",
				breaks: func(stack tree) { dig(stack, "terraform.backend.s3").(tree)["encrypt"] = false },
				found:  "terraform.backend"},
			{name: "two may write at once", stack: "prod",
				breaks: func(stack tree) { delete(dig(stack, "terraform.backend.s3").(tree), "use_lockfile") },
				found:  "terraform.backend"},
			{name: "one key for all environments", stack: "prod",
				breaks: func(stack tree) { dig(stack, "terraform.backend.s3").(tree)["key"] = "terraform.tfstate" },
				found:  "terraform.backend"},
			{name: "in no bucket", stack: "prod",
				breaks: func(stack tree) { delete(dig(stack, "terraform.backend.s3").(tree), "bucket") },
				found:  "terraform.backend"},
			{name: "nowhere said", stack: "dev",
				breaks: func(stack tree) { delete(stack["terraform"].(tree), "backend") }, found: "terraform.backend"},
		},
	},
	{
		promise: "the provider is one version, from where everybody finds it",
		check:   providerIsPinned,
		broken: []damage{
			{name: "a range of versions", stack: "prod",
				breaks: func(stack tree) {
					dig(stack, "terraform.required_providers.aws").(tree)["version"] = "~> 5.0"
				},
				found: "terraform.required_providers.aws"},
			{name: "a bare source, which OpenTofu does not find", stack: "prod",
				breaks: func(stack tree) { dig(stack, "terraform.required_providers.aws").(tree)["source"] = "aws" },
				found:  "terraform.required_providers.aws"},
			{name: "a Terraform that has no lock file for S3", stack: "prod",
				breaks: func(stack tree) { stack["terraform"].(tree)["required_version"] = ">= 1.5.0" },
				found:  "terraform.required_version"},
			{name: "the account is not one", stack: "prod",
				breaks: func(stack tree) { dig(stack, "provider.aws.0").(tree)["allowed_account_ids"] = []any{"prod"} },
				found:  "provider.aws"},
			{name: "the region is left to whoever deploys", stack: "prod",
				breaks: func(stack tree) { delete(dig(stack, "provider.aws.0").(tree), "region") },
				found:  "provider.aws"},
		},
	},
	{
		promise: "what is protected refuses to be destroyed at plan, before anything has changed",
		check:   protectedStays,
		broken: []damage{
			{name: "the database would go", stack: "prod",
				breaks: unset(database, "lifecycle.prevent_destroy"), found: database},
			{name: "a restored one would", stack: "production over HTTP",
				breaks: unset("aws_db_instance.database_restored_copy", "lifecycle.prevent_destroy"),
				found:  "aws_db_instance.database_restored_copy"},
			{name: "the backups would", stack: "prod",
				breaks: unset(backupBucket, "lifecycle.prevent_destroy"), found: backupBucket},
			{name: "a key would", stack: "prod",
				breaks: unset("aws_kms_key.backup_key", "lifecycle.prevent_destroy"), found: "aws_kms_key.backup_key"},
			{name: "the balancer would", stack: "prod",
				breaks: unset(balancer, "lifecycle.prevent_destroy"), found: balancer},
			{name: "AWS would let the balancer go", stack: "prod",
				breaks: change(balancer, "enable_deletion_protection", false), found: balancer},
			{name: "AWS would let a restored one go", stack: "production over HTTP",
				breaks: change("aws_db_instance.database_restored_copy", "deletion_protection", false),
				found:  "aws_db_instance.database_restored_copy"},
			{name: "a bucket would be emptied first", stack: "prod",
				breaks: change(logsBucket, "force_destroy", true), found: logsBucket},
			{name: "the last snapshot is not taken", stack: "prod",
				breaks: change(database, "skip_final_snapshot", true), found: database},
			{name: "the automated backups go too", stack: "prod",
				breaks: change(database, "delete_automated_backups", true), found: database},
			{name: "snapshots are cleaned up", stack: "prod",
				breaks: put("aws_lambda_invocation.backup_cleanup", tree{"lifecycle_scope": "CRUD"}),
				found:  "aws_lambda_invocation.backup_cleanup"},
			{name: "keys go after a week", stack: "prod",
				breaks: change("aws_kms_key.database_key", "deletion_window_in_days", 7.0),
				found:  "aws_kms_key.database_key"},
		},
	},
	{
		promise: "what is not protected leaves nothing behind that costs",
		check:   unprotectedGoes,
		broken: []damage{
			{name: "a bucket that is not empty stops it", stack: "dev",
				breaks: change(logsBucket, "force_destroy", false), found: logsBucket},
			{name: "something refuses", stack: "dev",
				breaks: add("aws_kms_key.logs_key", "lifecycle", tree{"prevent_destroy": true}),
				found:  "aws_kms_key.logs_key"},
			{name: "a final snapshot without a name stops it", stack: "dev",
				breaks: change(database, "skip_final_snapshot", false), found: database},
			{name: "automated backups stay", stack: "dev",
				breaks: change(database, "delete_automated_backups", false), found: database},
			{name: "snapshots stay", stack: "dev",
				breaks: drop("aws_lambda_invocation.backup_cleanup"), found: theFunction},
			{name: "the clean-up is not called when it all goes", stack: "dev",
				breaks: change("aws_lambda_invocation.backup_cleanup", "lifecycle_scope", "CREATE_ONLY"),
				found:  "aws_lambda_invocation.backup_cleanup"},
			{name: "an instance that ECS has not taken out stops it", stack: "dev",
				breaks: change("aws_service_discovery_service.service_web_discovery", "force_destroy", false),
				found:  "aws_service_discovery_service.service_web_discovery"},
			{name: "images stop it", stack: "a service with everything",
				breaks: change("aws_ecr_repository.service_web_repository", "force_delete", false),
				found:  "aws_ecr_repository.service_web_repository"},
			{name: "the balancer refuses", stack: "dev",
				breaks: change(balancer, "enable_deletion_protection", true), found: balancer},
			{name: "a secret keeps its name", stack: "dev",
				breaks: put("aws_secretsmanager_secret.web", tree{"recovery_window_in_days": 30.0}),
				found:  "aws_secretsmanager_secret.web"},
		},
	},
	{
		promise: "the last snapshot has a name of its own, and the same one in every plan",
		check:   finalSnapshotIsStable,
		broken: []damage{
			{name: "another one in every plan", stack: "prod",
				breaks: change(database, "final_snapshot_identifier", "platform-prod-${timestamp()}"), found: database},
			{name: "the same one in every life, which RDS refuses the second time", stack: "prod",
				breaks: change(database, "final_snapshot_identifier", "platform-prod-final"), found: database},
			{name: "what is kept changes", stack: "prod",
				breaks: unset("terraform_data.database_final_snapshot", "lifecycle.ignore_changes"), found: database},
		},
	},
	{
		promise: "the JSON is the same on every machine: it names no file of this one",
		check:   noAbsolutePaths,
		broken: []damage{
			{name: "the function's zip", stack: "prod",
				breaks: change(theFunction, "filename", "/home/me/platform/backup.zip"), found: theFunction},
			{name: "the state", stack: "dev",
				breaks: func(stack tree) {
					dig(stack, "terraform.backend.local").(tree)["path"] = "/Users/me/terraform.platform-dev.tfstate"
				},
				found: "terraform.backend"},
			{name: "a text", stack: "dev",
				breaks: replace("aws_s3_object.prometheus_configuration", "content",
					"# What", "# /home/me/platform/prometheus.yml: what"),
				found: "aws_s3_object.prometheus_configuration"},
		},
	},
}

func stateIsSafe(stack tree) (v violations) {
	const at = "terraform.backend"
	backend := asTree(dig(stack, at))
	v.want(len(backend) == 1, at, "wants one, has %d: cdktf then writes a path of this machine", len(backend))
	name := stackName(stack)
	if local, ok := backend["local"]; ok {
		// cdktf.out/stacks/<stack> is where Terraform runs, and the CLI deletes folders of stacks
		// that it no longer knows.
		v.want(dig(local, "path") == "../../../terraform."+name+".tfstate", at, "lies in %v", dig(local, "path"))
	}
	if s3, ok := backend["s3"]; ok {
		v.want(dig(s3, "encrypt") == true, at, "is in the clear")
		v.want(dig(s3, "use_lockfile") == true, at, "is not locked")
		v.want(strings.Contains(fmt.Sprint(dig(s3, "key")), name),
			at, "has the key %v, and is not %s's own", dig(s3, "key"), name)
		v.want(dig(s3, "bucket") != nil && dig(s3, "region") != nil, at, "is in no bucket")
	}
	return v
}

func providerIsPinned(stack tree) (v violations) {
	const at = "terraform.required_providers.aws"
	v.want(dig(stack, at+".source") == "hashicorp/aws", at, "comes from %v", dig(stack, at+".source"))
	version := dig(stack, at+".version")
	v.want(regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(fmt.Sprint(version)),
		at, "wants one version, has %v: the lock file lives in cdktf.out and does not last", version)
	required := dig(stack, "terraform.required_version")
	v.want(required == ">= 1.11.0",
		"terraform.required_version", "is %v, and S3's own lock file is there from 1.11 on", required)
	v.want(regexp.MustCompile(`^[a-z]{2}-[a-z]+-[0-9]$`).MatchString(region(stack)),
		"provider.aws", "has the region %s", region(stack))
	allowed := thing{"provider.aws", asTree(dig(stack, "provider.aws.0"))}.strings("allowed_account_ids")
	for _, a := range allowed {
		v.want(regexp.MustCompile(`^[0-9]{12}$`).MatchString(a), "provider.aws", "allows the account %q", a)
	}
	return v
}

// protected tells whether the stack refuses to go, by its databases.
func protected(stack tree) bool {
	return slices.ContainsFunc(things(stack, "aws_db_instance"), func(d thing) bool {
		return d.is("deletion_protection", true)
	})
}

// AWS refuses too, but only when the turn of that resource comes: by then listeners
// and services are gone.
func protectedStays(stack tree) (v violations) {
	if !protected(stack) {
		return nil
	}
	for _, r := range things(stack, "aws_db_instance", "aws_kms_key", "aws_lb", "aws_vpc") {
		v.want(r.is("lifecycle.prevent_destroy", true), r.address, "can be destroyed")
	}
	v.want(get(stack, backupBucket).is("lifecycle.prevent_destroy", true), backupBucket, "can be destroyed")
	for _, d := range things(stack, "aws_db_instance") {
		v.want(d.is("deletion_protection", true), d.address, "AWS would let it go")
		v.want(d.is("skip_final_snapshot", false) && d.text("final_snapshot_identifier") != "",
			d.address, "goes without a last snapshot")
		v.want(d.is("delete_automated_backups", false), d.address, "takes its automated backups along")
	}
	for _, b := range things(stack, "aws_lb") {
		v.want(b.is("enable_deletion_protection", true), b.address, "AWS would let it go")
	}
	for _, key := range things(stack, "aws_kms_key") {
		v.want(key.is("deletion_window_in_days", 30.0), key.address, "wants the longest time to be called back")
	}
	for _, bucket := range things(stack, "aws_s3_bucket") {
		v.want(bucket.is("force_destroy", false), bucket.address, "is emptied and destroyed")
	}
	for _, cleanup := range things(stack, "aws_lambda_invocation") {
		v.want(cleanup.id() == "database_roles", cleanup.address, "takes snapshots away")
	}
	return v
}

// unprotectedGoes holds for development, and for production on its way down: there a last snapshot
// is taken, and the automated backups stay, on purpose.
func unprotectedGoes(stack tree) (v violations) {
	if protected(stack) {
		return nil
	}
	for _, r := range things(stack) {
		v.want(!r.is("lifecycle.prevent_destroy", true), r.address, "refuses to go")
	}
	for kind, path := range map[string]string{
		"aws_s3_bucket":                 "force_destroy",
		"aws_service_discovery_service": "force_destroy",
		"aws_ecr_repository":            "force_delete",
	} {
		for _, r := range things(stack, kind) {
			v.want(r.is(path, true), r.address, "stops the destruction when it is not empty")
		}
	}
	for _, b := range things(stack, "aws_lb") {
		v.want(b.is("enable_deletion_protection", false), b.address, "refuses to go")
	}
	for _, d := range things(stack, "aws_db_instance") {
		last := d.is("skip_final_snapshot", false) &&
			d.text("final_snapshot_identifier") != "" &&
			d.is("delete_automated_backups", false)
		nothing := d.is("skip_final_snapshot", true) && d.is("delete_automated_backups", true)
		v.want(last || nothing, d.address, "wants all of its backups to stay, or none")
	}
	for _, secret := range things(stack, "aws_secretsmanager_secret") {
		v.want(secret.is("recovery_window_in_days", 0.0), secret.address, "keeps its name for a week")
	}
	for _, f := range things(stack, "aws_lambda_function") {
		v.want(len(referring(things(stack, "aws_lambda_invocation"), "function_name", f.address)) == 1,
			f.address, "leaves its snapshots behind")
	}
	for _, cleanup := range things(stack, "aws_lambda_invocation") {
		v.want(cleanup.is("lifecycle_scope", "CRUD"), cleanup.address, "is not called when the stack goes")
	}
	return v
}

func finalSnapshotIsStable(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		name := d.text("final_snapshot_identifier")
		if name == "" {
			continue
		}
		v.want(!strings.Contains(name, "timestamp("), d.address, "has another last snapshot in every plan")
		kept := get(stack, d.ref("final_snapshot_identifier"))
		v.want(kept.kind() == "terraform_data" &&
			slices.Equal(kept.strings("lifecycle.ignore_changes"), []string{"input"}),
			d.address, "wants a suffix that is kept in the state, has %s", name)
	}
	return v
}

// ofThisMachine finds where a path begins that only one machine has. Containers' own, such as /tmp,
// are not among them.
var ofThisMachine = regexp.MustCompile(`(^|["'\s=:(])(/home/|/root/|/Users/|/tmp/|/private/|/var/folders/|[A-Za-z]:\\)`)

func noAbsolutePaths(stack tree) (v violations) {
	here, _ := os.Getwd()
	look := func(address string, value any) {
		eachString(value, func(path, text string) {
			v.want(!ofThisMachine.MatchString(text) && !strings.Contains(text, here),
				address, "names a file of this machine in %s", path)
		})
	}
	for _, r := range append(things(stack), sources(stack)...) {
		look(r.address, r.body)
	}
	look("terraform.backend", dig(stack, "terraform.backend"))
	look("provider", stack["provider"])
	look("output", stack["output"])
	return v
}

// JSON encoders write < as \u003c. Terraform reads both, but what stands inside a text of JSON in
// JSON is the scheduler's to read, so it is looked for in the bytes, as cdktf writes them.
func TestSchedulersPlaceholderStandsLiterallyInTheFile(t *testing.T) {
	cfg, folder := parse(t, "dev", "name: platform\nregion: eu-central-1\n"), t.TempDir()
	if err := build(cfg, placeholder(t), folder); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "stacks", cfg.Stack(), "cdk.tf.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `\"scheduled_time\":\"`+scheduledTime+`\"`) {
		t.Errorf("%s does not hold %s as it stands", file, scheduledTime)
	}
}
