package main

import (
	"slices"

	"platform/internal/stacktest"
)

const (
	alertsKey   = "aws_kms_key.alerts_key"
	databaseKey = "aws_kms_key.database_key"
	logsKey     = "aws_kms_key.logs_key"
)

var keyPromises = []stacktest.Promise{{
	Name:  "a key policy names the account, and the services that use the key directly",
	Check: keyPoliciesAreNarrow,
	BrokenBy: []stacktest.Break{{
		Name:  "a key policy does not name the account",
		Stack: "prod",
		By:    stacktest.Set(databaseKey, "policy.Statement", []any{}),
		Found: databaseKey,
	}, {
		Name:  "a key policy names a role, which may not exist yet",
		Stack: "prod",
		By: stacktest.Set(
			alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Principal",
			map[string]any{"AWS": []any{"${aws_iam_role.backup_function_role.arn}"}},
		),
		Found: alertsKey,
	}, {
		Name:  "a key policy names a service-linked role",
		Stack: "prod",
		By: stacktest.Set(
			alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Principal",
			map[string]any{
				"AWS": []any{
					"arn:aws:iam::" + callerAccount + ":role/aws-service-role/autoscaling.amazonaws.com/" +
						"AWSServiceRoleForAutoScaling",
				},
			},
		),
		Found: alertsKey,
	}, {
		Name:  "a key policy allows log groups of every account to use the key",
		Stack: "prod",
		By:    stacktest.Remove(logsKey, "policy.Statement[Sid=CloudWatchLogs].Condition"),
		Found: logsKey,
	}, {
		Name:  "a key policy has a condition on a key that EventBridge does not send",
		Stack: "prod",
		By: stacktest.Add(
			alertsKey, "policy.Statement[Sid=Events].Condition",
			map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": []any{callerAccount}}},
		),
		Found: alertsKey,
	}, {
		Name:  "a key policy allows alarms of every account to use the key",
		Stack: "prod",
		By:    stacktest.Remove(alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Condition"),
		Found: alertsKey,
	}, {
		Name:  "a key policy names a resource other than the key",
		Stack: "prod",
		By: stacktest.Set(
			alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Resource",
			[]any{"${aws_sns_topic.alerts_topic.arn}"},
		),
		Found: alertsKey,
	}, {
		Name:  "a key policy names a service that does not use the key",
		Stack: "dev",
		By: stacktest.Set(
			logsKey, "policy.Statement[Sid=CloudWatchLogs].Principal.Service",
			[]any{"s3.amazonaws.com"},
		),
		Found: logsKey,
	}},
}, {
	Name:  "a key policy allows every service that uses the key directly to use it",
	Check: keyPoliciesAllowTheirUsers,
	BrokenBy: []stacktest.Break{{
		Name:  "CloudWatch Logs can encrypt with the logs key, but not decrypt",
		Stack: "prod",
		By:    stacktest.Set(logsKey, "policy.Statement[Sid=CloudWatchLogs].Action", []any{"kms:Encrypt"}),
		Found: logsKey,
	}, {
		Name:  "a log group has a key that does not allow CloudWatch Logs to use it",
		Stack: "prod",
		By: stacktest.Set(
			"aws_cloudwatch_log_group.exec_log_group", "kms_key_id",
			"${aws_kms_key.services_key.arn}",
		),
		Found: "aws_kms_key.services_key",
	}, {
		Name:  "the alerts key does not allow RDS to publish events",
		Stack: "prod",
		By: stacktest.Set(
			alertsKey, "policy.Statement[Sid=Events].Principal.Service",
			[]any{"events.amazonaws.com"},
		),
		Found: alertsKey,
	}, {
		Name:  "the alerts key does not allow alarms to encrypt messages",
		Stack: "dev",
		By:    stacktest.Set(alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Action", []any{"kms:Decrypt"}),
		Found: alertsKey,
	}},
}, {
	Name:  "every key has rotation, an alias, a policy and a waiting period before its deletion",
	Check: keysAreMaintained,
	BrokenBy: []stacktest.Break{{
		Name:  "a key is not rotated",
		Stack: "prod",
		By:    stacktest.Set(logsKey, "enable_key_rotation", false),
		Found: logsKey,
	}, {
		Name:  "a key has no alias",
		Stack: "prod",
		By:    stacktest.Delete("aws_kms_alias.logs_key_alias"),
		Found: logsKey,
	}, {
		Name:  "a key's waiting period is shorter than the seven days that AWS requires",
		Stack: "dev",
		By:    stacktest.Set(logsKey, "deletion_window_in_days", 1.0),
		Found: logsKey,
	}, {
		Name:  "a key is gone before a secret that somebody removed",
		Stack: "prod",
		By:    stacktest.Set("aws_kms_key.secrets_key", "deletion_window_in_days", 7.0),
		Found: "aws_kms_key.secrets_key",
	}, {
		Name:  "a key has the default policy of AWS",
		Stack: "prod",
		By:    stacktest.Remove("aws_kms_key.backup_key", "policy"),
		Found: "aws_kms_key.backup_key",
	}},
}}

var encryptionPromises = []stacktest.Promise{{
	Name:  "stored data is encrypted with keys of this stack",
	Check: dataIsEncryptedWithOwnKeys,
	BrokenBy: []stacktest.Break{{
		Name:  "the topic has no key",
		Stack: "prod",
		By:    stacktest.Remove(alertsTopic, "kms_master_key_id"),
		Found: alertsTopic,
	}, {
		Name:  "the topic has the AWS managed key, which CloudWatch alarms cannot use",
		Stack: "prod",
		By:    stacktest.Set(alertsTopic, "kms_master_key_id", "alias/aws/sns"),
		Found: alertsTopic,
	}, {
		Name:  "the database's storage is not encrypted",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "storage_encrypted", false),
		Found: databaseInstance,
	}, {
		Name:  "the database's storage has the AWS managed key",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "kms_key_id"),
		Found: databaseInstance,
	}, {
		Name:  "the master user's secret has the AWS managed key",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "master_user_secret_kms_key_id"),
		Found: databaseInstance,
	}, {
		Name:  "a repository is encrypted with the key of ECR",
		Stack: "a service with everything",
		By: stacktest.Set(
			"aws_ecr_repository.service_web_repository", "encryption_configuration.encryption_type",
			"AES256",
		),
		Found: "aws_ecr_repository.service_web_repository",
	}, {
		Name:  "sessions of ECS Exec have no key",
		Stack: "dev",
		By:    stacktest.Remove(ecsCluster, "configuration.execute_command_configuration.kms_key_id"),
		Found: ecsCluster,
	}, {
		Name:  "the log of ECS Exec is not encrypted",
		Stack: "dev",
		By:    stacktest.Set(ecsCluster, sessionLogging+".cloud_watch_encryption_enabled", false),
		Found: ecsCluster,
	}, {
		Name:  "the backup function's environment has no key",
		Stack: "dev",
		By:    stacktest.Remove(backupFunction, "kms_key_arn"),
		Found: backupFunction,
	}},
}}

const accountPrincipal = "AWS:arn:aws:iam::" + callerAccount + ":root"

// keyPrincipals returns the principals that a key policy may name, and on which conditions.
// EventBridge and RDS events send KMS no source account: a condition on it would deny them, and
// drop their messages silently.
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
func keyPrincipals(s stacktest.Stack) map[string][]string {
	logGroups := "arn:aws:logs:" + s.Region() + ":" + callerAccount + ":log-group:*"
	return map[string][]string{
		accountPrincipal: nil,
		"Service:logs." + s.Region() + ".amazonaws.com": {
			"ArnLike kms:EncryptionContext:aws:logs:arn " + logGroups,
		},
		"Service:cloudwatch.amazonaws.com": {"StringEquals aws:SourceAccount " + callerAccount},
		"Service:events.amazonaws.com":     nil,
		"Service:events.rds.amazonaws.com": nil,
	}
}

func keyPoliciesAreNarrow(s stacktest.Stack, v *stacktest.Violations) {
	for _, key := range s.Resources("aws_kms_key") {
		root := false
		for _, st := range key.Statements("policy") {
			root = root || allows(st, "kms:*") && len(st.Conditions()) == 0 &&
				slices.Equal(st.Principals(), []string{accountPrincipal})
			for _, principal := range st.Principals() {
				conditions, known := keyPrincipals(s)[principal]
				v.Want(known, key.Address, "allows %s to use it", principal)
				v.Want(!known || slices.Equal(st.Conditions(), conditions),
					key.Address, "allows %s on the conditions %q, want %q", principal, st.Conditions(), conditions)
			}
			v.Want(slices.Equal(st.Strings("Resource"), []string{"*"}),
				key.Address, "want the resource *, which is the key itself, have %v", st.Strings("Resource"))
		}
		v.Want(root, key.Address, "want kms:* for the account, without which a lost role makes the key unmanageable")
	}
}

func keyPoliciesAllowTheirUsers(s stacktest.Stack, v *stacktest.Violations) {
	wantAllowed := func(key, service string, actions ...string) {
		for _, action := range actions {
			statements := s.Resource(key).Statements("policy")
			allowed := slices.ContainsFunc(statements, func(st stacktest.Resource) bool {
				return allows(st, action) && slices.Contains(st.Principals(), "Service:"+service)
			})
			v.Want(allowed, key, "does not allow %s to call %s", service, action)
		}
	}
	for _, group := range s.Resources("aws_cloudwatch_log_group") {
		if key := group.Reference("kms_key_id"); key != "" {
			wantAllowed(key, "logs."+s.Region()+".amazonaws.com",
				"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
		}
	}
	for _, topic := range s.Resources("aws_sns_topic") {
		for service := range topicPublishers(s, topic.Address) {
			wantAllowed(topic.Reference("kms_master_key_id"), service, "kms:Decrypt", "kms:GenerateDataKey*")
		}
	}
}

func keysAreMaintained(s stacktest.Stack, v *stacktest.Violations) {
	least := 7.0
	if backups := s.Resource(backupBucket); backups.Exists() && !backups.Is("force_destroy", true) {
		least = 30 // secrets that were removed can be restored for as long, in a stack that keeps data
	}
	for _, key := range s.Resources("aws_kms_key") {
		v.Want(key.Is("enable_key_rotation", true), key.Address, "is not rotated")
		v.Want(key.Number("deletion_window_in_days") >= least && key.Number("deletion_window_in_days") <= 30,
			key.Address, "want a waiting period of %v to 30 days", least)
		v.Want(len(key.Statements("policy")) > 0,
			key.Address, "has no policy of its own, so AWS gives it the default policy first")
		v.Want(len(stacktest.Referring(s.Resources("aws_kms_alias"), "target_key_id", key.Address)) == 1,
			key.Address, "want one alias")
	}
}

// keyArguments are the arguments that name a key, by kind. Buckets have a promise of their own,
// because the bucket of access logs cannot have a key.
var keyArguments = map[string][]string{
	"aws_cloudwatch_log_group":  {"kms_key_id"},
	"aws_db_instance":           {"kms_key_id", "master_user_secret_kms_key_id", "performance_insights_kms_key_id"},
	"aws_ecr_repository":        {"encryption_configuration.kms_key"},
	"aws_ecs_cluster":           {"configuration.execute_command_configuration.kms_key_id"},
	"aws_lambda_function":       {"kms_key_arn"},
	"aws_prometheus_workspace":  {"kms_key_arn"},
	"aws_s3_object":             {"kms_key_id"},
	"aws_secretsmanager_secret": {"kms_key_id"},
	"aws_sns_topic":             {"kms_master_key_id"},
}

func dataIsEncryptedWithOwnKeys(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range s.Resources() {
		for _, path := range keyArguments[r.Kind()] {
			v.Want(s.Resource(r.Reference(path)).Kind() == "aws_kms_key",
				r.Address, "want a key of this stack in %s, have %v", path, r.At(path))
		}
	}
	for _, db := range s.Resources("aws_db_instance") {
		v.Want(db.Is("storage_encrypted", true), db.Address, "has unencrypted storage")
	}
	for _, repository := range s.Resources("aws_ecr_repository") {
		v.Want(repository.Is("encryption_configuration.encryption_type", "KMS"),
			repository.Address, "want encryption with KMS")
	}
	for _, cluster := range s.Resources("aws_ecs_cluster") {
		v.Want(cluster.Is(sessionLogging+".cloud_watch_encryption_enabled", true),
			cluster.Address, "does not encrypt the log of ECS Exec")
	}
}
