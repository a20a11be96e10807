package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchloggroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/kmsalias"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/kmskey"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// newKeys declares the keys. A key's policy names the account, so that IAM policies decide, and the
// AWS services that use the key on their own account; never a role, which may not exist yet.
//
//	key       who else may use it                  bound to
//	logs      CloudWatch Logs                      this account's log groups (encryption context)
//	database  -                                    RDS works with its caller's rights, and grants
//	secrets   -                                    Secrets Manager works with its caller's rights
//	services  -                                    ECS exec and ECR likewise
//	alerts    CloudWatch alarms                    this account
//	          EventBridge, RDS events              nothing: they send KMS no source account,
//	                                               and a condition drops every event
//	backup    -                                    the function's role
//
// Amazon Managed Service for Prometheus uses the logs key with its caller's rights, and grants.
//
// The keys of backups outlive a stack that leaves backups. Without a database, they exist as long as the
// stack keeps what an earlier database has left.
func newKeys(s *scope) *Keys {
	use := []string{"kms:Decrypt", "kms:GenerateDataKey*"}
	logged := choose(s.cfg.Monitoring.KeepsHistory(), "log groups, and the durable history of metrics", "log groups")
	logs := statement{
		sid:        "CloudWatchLogs",
		principals: awsService("logs." + s.cfg.Region + ".amazonaws.com"),
		actions: []string{
			"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey",
		},
		conditions: []condition{
			{"ArnLike", "kms:EncryptionContext:aws:logs:arn", []string{s.arn("logs", "log-group:*")}},
		},
	}
	alarms := statement{
		sid: "CloudWatchAlarms", principals: awsService("cloudwatch.amazonaws.com"), actions: use,
		conditions: []condition{equals("aws:SourceAccount", s.account)},
	}
	events := statement{sid: "Events", actions: use, principals: awsService("events.amazonaws.com")}
	if s.cfg.Database.Enabled {
		events.principals = append(events.principals, awsService("events.rds.amazonaws.com")...)
	}
	keys := &Keys{
		Logs:     newKey(s, keySpec{"logs", logged, s.protect()}, logs),
		Secrets:  newSecretsKey(s),
		Services: newKey(s, keySpec{"services", "shell sessions and image repositories", s.protect()}),
		Alerts:   newKey(s, keySpec{"alerts", "the alerts topic", s.protect()}, alarms, events),
	}
	if s.cfg.BackupBucket() {
		keys.Database = newKey(s, keySpec{"database", "the database, its secret and its snapshots", s.keep()})
		keys.Backup = newKey(s, keySpec{"backup", "the backup bucket and function", s.keep()})
	}
	return keys
}

// newSecretsKey declares the key of the secrets. If one of them is needed to read a restored database,
// the key is kept too.
func newSecretsKey(s *scope) *string {
	spec := keySpec{"secrets", "the services' secrets", s.protect()}
	if s.cfg.Database.Enabled {
		spec.purpose = "the services' passwords in the database, the database function's environment"
	}
	if len(s.cfg.GeneratedVariables()) > 0 {
		spec.lifecycle = s.keep()
		spec.purpose += choose(s.cfg.Database.Enabled, ", generated secrets", "")
	}
	return newKey(s, spec)
}

// keySpec holds what differs between the keys, besides their users.
type keySpec struct {
	noun, purpose string
	lifecycle     *cdktf.TerraformResourceLifecycle // nil: the key is deleted with the stack
}

// newKey declares a key in the stack's region.
func newKey(s *scope, spec keySpec, users ...statement) *string {
	return newKeyIn(s, s.own(), spec, users...)
}

// newKeyIn declares a symmetric key that AWS rotates every year, with an alias that says what it is
// for. The alias is always deleted with the stack, so that a new stack can have one of that name.
func newKeyIn(s *scope, in *place, spec keySpec, users ...statement) *string {
	administration := statement{sid: "Account", principals: accountRoot(s.account), actions: []string{"kms:*"}}
	statements := append([]statement{administration}, users...)
	for i := range statements {
		statements[i].resources = []string{"*"} // in a key's policy: this key
	}
	key := kmskey.NewKmsKey(s.stack, jsii.String(spec.noun+"_key"), &kmskey.KmsKeyConfig{
		Provider:          in.provider,
		Description:       jsii.String(s.cfg.Stack() + ": " + spec.purpose),
		EnableKeyRotation: true,
		// As long as a generated secret, which nobody uses any more, can be restored.
		DeletionWindowInDays: number(choose(s.cfg.KeepsData(), 30, 7)),
		Policy:               policyJSON(statements...),
		Tags:                 s.tags(spec.noun),
		Lifecycle:            spec.lifecycle,
	})
	kmsalias.NewKmsAlias(s.stack, jsii.String(spec.noun+"_key_alias"), &kmsalias.KmsAliasConfig{
		Provider:    in.provider,
		Name:        jsii.String("alias/" + s.cfg.Stack() + "/" + spec.noun),
		TargetKeyId: key.KeyId(),
	})
	return key.Arn()
}

// newLogGroup declares a log group before its writers, so that no writer needs the right to create
// one, and so that it has a key and a retention from its first line on.
func newLogGroup(s *scope, id, name string) cloudwatchloggroup.CloudwatchLogGroup {
	return cloudwatchloggroup.NewCloudwatchLogGroup(s.stack, jsii.String(id),
		&cloudwatchloggroup.CloudwatchLogGroupConfig{
			Name:            jsii.String(name),
			KmsKeyId:        s.keys.Logs,
			RetentionInDays: number(s.cfg.LogRetention),
			Tags:            &map[string]*string{"Name": jsii.String(name)},
		})
}
