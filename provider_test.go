package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

var tagPromises = []stacktest.Promise{{
	Name:  "every resource that supports tags has a name, and gets the stack's tags from the provider",
	Check: resourcesAreTagged,
	BrokenBy: []stacktest.Break{{
		Name:  "a resource has no tags",
		Stack: "prod",
		By:    stacktest.Remove("aws_vpc.vpc", "tags"),
		Found: "aws_vpc.vpc",
	}, {
		Name:  "a resource has no tag Name",
		Stack: "prod",
		By:    stacktest.Remove(loadBalancer, "tags.Name"),
		Found: loadBalancer,
	}, {
		Name:  "a resource's name contains characters that AWS rejects",
		Stack: "prod",
		By:    stacktest.Set("aws_vpc.vpc", "tags.Name", "<vpc>"),
		Found: "aws_vpc.vpc",
	}, {
		Name:  "a resource of a new kind has no tags",
		Stack: "dev",
		By:    stacktest.Create("aws_sqs_queue.failures", map[string]any{}),
		Found: "aws_sqs_queue.failures",
	}, {
		Name:  "the provider does not add the tag ManagedBy",
		Stack: "prod",
		By:    stacktest.RemoveRoot("provider.aws.default_tags.tags.ManagedBy"),
		Found: "provider.aws",
	}},
}, {
	Name:  "no resource has more tags than AWS allows",
	Check: tagsAreWithinLimits,
	BrokenBy: []stacktest.Break{{
		Name:  "the provider adds ten tags, and an object in S3 does not override them",
		Stack: "prod",
		By: stacktest.All(
			stacktest.SetRoot("provider.aws.default_tags.tags", tenTags()),
			stacktest.Create("aws_s3_object.restore_guide", map[string]any{"tags": map[string]any{"Name": "guide"}}),
		),
		Found: "aws_s3_object.restore_guide",
	}},
}}

var backendPromises = []stacktest.Promise{{
	Name:  "each environment has a state of its own, which synthesis does not delete",
	Check: stateIsSafe,
	BrokenBy: []stacktest.Break{{
		Name:  "the state is in the folder that synthesis cleans",
		Stack: "dev",
		By:    stacktest.SetRoot("terraform.backend.local.path", "terraform.platform-dev.tfstate"),
		Found: "terraform.backend",
	}, {
		Name:  "all environments share one local state",
		Stack: "dev",
		By:    stacktest.SetRoot("terraform.backend.local.path", "../../../terraform.tfstate"),
		Found: "terraform.backend",
	}, {
		Name:  "the state is not encrypted",
		Stack: "prod",
		By:    stacktest.SetRoot("terraform.backend.s3.encrypt", false),
		Found: "terraform.backend",
	}, {
		Name:  "the state is not locked",
		Stack: "prod",
		By:    stacktest.RemoveRoot("terraform.backend.s3.use_lockfile"),
		Found: "terraform.backend",
	}, {
		Name:  "all environments share one key in the state's bucket",
		Stack: "prod",
		By:    stacktest.SetRoot("terraform.backend.s3.key", "terraform.tfstate"),
		Found: "terraform.backend",
	}, {
		Name:  "the S3 backend has no bucket",
		Stack: "prod",
		By:    stacktest.RemoveRoot("terraform.backend.s3.bucket"),
		Found: "terraform.backend",
	}, {
		Name:  "there is no backend",
		Stack: "dev",
		By:    stacktest.RemoveRoot("terraform.backend"),
		Found: "terraform.backend",
	}},
}, {
	Name:  "the provider has an exact version, a full source, a region and a valid account",
	Check: providerIsPinned,
	BrokenBy: []stacktest.Break{{
		Name:  "the provider has a range of versions",
		Stack: "prod",
		By:    stacktest.SetRoot("terraform.required_providers.aws.version", "~> 5.0"),
		Found: "terraform.required_providers.aws",
	}, {
		Name:  "the provider has a source without a namespace, which OpenTofu does not find",
		Stack: "prod",
		By:    stacktest.SetRoot("terraform.required_providers.aws.source", "aws"),
		Found: "terraform.required_providers.aws",
	}, {
		Name:  "Terraform may be a version without lock files in S3",
		Stack: "prod",
		By:    stacktest.SetRoot("terraform.required_version", ">= 1.5.0"),
		Found: "terraform.required_version",
	}, {
		Name:  "the allowed account is not an account number",
		Stack: "prod",
		By:    stacktest.SetRoot("provider.aws.allowed_account_ids", []any{"prod"}),
		Found: "provider.aws",
	}, {
		Name:  "the provider has no region",
		Stack: "prod",
		By:    stacktest.RemoveRoot("provider.aws.region"),
		Found: "provider.aws",
	}},
}}

var pathPromises = []stacktest.Promise{{
	Name:  "the JSON is the same on every machine: it contains no path of this machine",
	Check: noMachinePaths,
	BrokenBy: []stacktest.Break{{
		Name:  "a function's archive has an absolute path",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "filename", "/home/me/platform/backup.zip"),
		Found: backupFunction,
	}, {
		Name:  "the state has an absolute path",
		Stack: "dev",
		By:    stacktest.SetRoot("terraform.backend.local.path", "/Users/me/terraform.platform-dev.tfstate"),
		Found: "terraform.backend",
	}, {
		Name:  "a text contains an absolute path",
		Stack: "dev",
		By: stacktest.Replace(prometheusTask, prometheusConfigText, "global:",
			"# /home/me/platform/prometheus.yml: what"),
		Found: prometheusTask,
	}},
}}

// untaggedKinds do not support tags, by the schema of provider 5.100.0. Look a new kind up there.
var untaggedKinds = []string{
	"aws_acm_certificate_validation", "aws_appautoscaling_policy", "aws_appautoscaling_scheduled_action",
	"aws_cloudwatch_dashboard", "aws_cloudwatch_event_target",
	"aws_db_instance_automated_backups_replication", "aws_ecr_lifecycle_policy",
	"aws_ecs_cluster_capacity_providers", "aws_iam_role_policy", "aws_kms_alias",
	"aws_lambda_function_event_invoke_config", "aws_lambda_invocation", "aws_lambda_permission", "aws_route",
	"aws_route53_record", "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration",
	"aws_s3_bucket_object_lock_configuration", "aws_s3_bucket_ownership_controls", "aws_s3_bucket_policy",
	"aws_s3_bucket_public_access_block", "aws_s3_bucket_replication_configuration",
	"aws_s3_bucket_server_side_encryption_configuration",
	"aws_s3_bucket_versioning", "aws_scheduler_schedule", "aws_secretsmanager_secret_rotation",
	"aws_secretsmanager_secret_version", "aws_sns_topic_policy",
	"aws_sns_topic_subscription", "aws_vpc_endpoint_route_table_association", "aws_vpc_endpoint_subnet_association",
	"aws_wafv2_web_acl_association", "aws_wafv2_web_acl_logging_configuration", "terraform_data",
}

var tagCharacters = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// tenTags are as many tags as an object in S3 may have, without its own Name.
func tenTags() map[string]any {
	tags := map[string]any{"Application": "platform", "Environment": "prod", "ManagedBy": "cdktf"}
	for i := range 7 {
		tags[fmt.Sprint("Tag", i)] = "x"
	}
	return tags
}

func tagsOf(r stacktest.Resource, path string) map[string]any {
	tags, _ := r.At(path).(map[string]any)
	return tags
}

func resourcesAreTagged(s stacktest.Stack, v *stacktest.Violations) {
	for _, key := range []string{"Application", "Environment", "ManagedBy"} {
		v.Want(s.Provider().String("default_tags.tags."+key) != "", "provider.aws", "does not add the tag %s", key)
	}
	for _, r := range s.Resources() {
		if slices.Contains(untaggedKinds, r.Kind()) {
			continue
		}
		v.Want(r.String("tags.Name") != "", r.Address, "has no tag Name")
		for key, value := range tagsOf(r, "tags") {
			text := fmt.Sprint(value)
			v.Want(len(key) <= 128 && len(text) <= 256 && tagCharacters.MatchString(key+text),
				r.Address, "has a tag that AWS rejects: %s = %s", key, text)
		}
	}
}

// An object in S3 may have ten tags where other resources may have fifty. The provider's tags
// count, and S3 rejects an object with more; override_provider removes the provider's.
// https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs/resources/s3_object
func tagsAreWithinLimits(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range s.Resources() {
		if slices.Contains(untaggedKinds, r.Kind()) {
			continue
		}
		all := map[string]any{}
		maps.Copy(all, tagsOf(r, "tags"))
		if !r.Has("override_provider") {
			maps.Copy(all, tagsOf(s.Provider(), "default_tags.tags"))
		}
		limit := 50
		if r.Kind() == "aws_s3_object" {
			limit = 10
		}
		v.Want(len(all) <= limit, r.Address, "has %d tags, want at most %d", len(all), limit)
	}
}

func stateIsSafe(s stacktest.Stack, v *stacktest.Violations) {
	const address = "terraform.backend"
	backend, _ := s.At(address).(map[string]any)
	v.Want(len(backend) == 1,
		address, "want one backend, have %d: without one, cdktf writes a path of this machine", len(backend))
	if backend["local"] != nil {
		// Terraform runs in cdktf.out/stacks/<stack>, and the CLI deletes the folders of stacks
		// that no longer exist.
		path := s.At(address + ".local.path")
		v.Want(path == "../../../terraform."+s.Name()+".tfstate",
			address, "has the path %v, want one beside cdktf.out with the stack's name", path)
	}
	if backend["s3"] != nil {
		v.Want(s.At(address+".s3.encrypt") == true, address, "is not encrypted")
		v.Want(s.At(address+".s3.use_lockfile") == true, address, "is not locked")
		key := fmt.Sprint(s.At(address + ".s3.key"))
		v.Want(strings.Contains(key, s.Name()), address, "has the key %s, want one with the stack's name", key)
		v.Want(s.At(address+".s3.bucket") != nil && s.At(address+".s3.region") != nil,
			address, "has no bucket or no region")
	}
}

func providerIsPinned(s stacktest.Stack, v *stacktest.Violations) {
	const address = "terraform.required_providers.aws"
	v.Want(s.At(address+".source") == "hashicorp/aws", address, "has the source %v", s.At(address+".source"))
	version := fmt.Sprint(s.At(address + ".version"))
	v.Want(regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(version),
		address, "want an exact version, have %s: the lock file is in cdktf.out and is lost with it", version)
	required := s.At("terraform.required_version")
	v.Want(required == ">= 1.11.0",
		"terraform.required_version", "is %v, want >= 1.11.0, which has lock files in S3", required)
	v.Want(regexp.MustCompile(`^[a-z]{2}-[a-z]+-[0-9]$`).MatchString(s.Region()),
		"provider.aws", "has the region %q", s.Region())
	for _, account := range s.Provider().Strings("allowed_account_ids") {
		v.Want(regexp.MustCompile(`^[0-9]{12}$`).MatchString(account), "provider.aws", "allows the account %q", account)
	}
}

// machinePath finds the beginning of a path that is different on every machine. Paths in
// containers, such as /tmp alone, do not match.
var machinePath = regexp.MustCompile(`(^|["'\s=:(])(/home/|/root/|/Users/|/tmp/|/private/|/var/folders/|[A-Za-z]:\\)`)

func noMachinePaths(s stacktest.Stack, v *stacktest.Violations) {
	here, _ := os.Getwd()
	look := func(address string, value any) {
		stacktest.EachString(value, func(path, text string) {
			v.Want(!machinePath.MatchString(text) && !strings.Contains(text, here),
				address, "contains a path of this machine in %s", path)
		})
	}
	for _, r := range slices.Concat(s.Resources(), s.DataSources()) {
		look(r.Address, r.Body())
	}
	for _, root := range []string{"terraform.backend", "provider", "output"} {
		look(root, s.At(root))
	}
}
