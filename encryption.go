package main

import (
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchloggroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/kmsalias"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/kmskey"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Keys are the ARNs of the stack's own KMS keys, one for each kind of data, so that access to one kind opens no other.
type Keys struct {
	Logs     *string // every log group
	Database *string // storage, master secret, Performance Insights and snapshots
	Secrets  *string // the services' own secrets
	Services *string // shell sessions and image repositories
	Alerts   *string // the topic
	Backup   *string // the backup bucket and function
}

// newKeys declares the keys. A key's policy names the account, so that IAM policies decide, and the AWS services that use the
// key on their own account; never a role, which may not exist yet.
//
//	key       who else may use it                  bound to
//	logs      CloudWatch Logs                      this account's log groups (encryption context)
//	database  -                                    RDS works with its caller's rights and grants of its own
//	secrets   -                                    Secrets Manager works with its caller's rights
//	services  -                                    ECS exec and ECR likewise
//	alerts    CloudWatch alarms                    this account
//	          EventBridge, RDS events              nothing: they send KMS no source account and would be dropped silently
//	backup    -                                    the function's role
func newKeys(stack cdktf.TerraformStack, cfg *config.Config, accountID string) *Keys {
	use := []string{"kms:Decrypt", "kms:GenerateDataKey*"}
	logs := statement{
		sid:        "CloudWatchLogs",
		principals: service("logs." + cfg.Region + ".amazonaws.com"),
		actions:    []string{"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"},
		conditions: []condition{{"ArnLike", "kms:EncryptionContext:aws:logs:arn",
			[]string{"arn:aws:logs:" + cfg.Region + ":" + accountID + ":log-group:*"}}},
	}
	alarms := statement{
		sid: "CloudWatchAlarms", principals: service("cloudwatch.amazonaws.com"), actions: use,
		conditions: []condition{equals("aws:SourceAccount", accountID)},
	}
	events := statement{
		sid: "Events", principals: append(service("events.amazonaws.com"), service("events.rds.amazonaws.com")...), actions: use,
	}
	return &Keys{
		Logs:     newKey(stack, cfg, accountID, "logs", "log groups", logs),
		Database: newKey(stack, cfg, accountID, "database", "the database, its secret and its snapshots"),
		Secrets:  newKey(stack, cfg, accountID, "secrets", "the services' passwords in the database"),
		Services: newKey(stack, cfg, accountID, "services", "shell sessions and image repositories"),
		Alerts:   newKey(stack, cfg, accountID, "alerts", "the alerts topic", alarms, events),
		Backup:   newKey(stack, cfg, accountID, "backup", "the backup bucket and function"),
	}
}

// newKey declares a symmetric key that AWS renews every year, with an alias that says what it is for.
func newKey(stack cdktf.TerraformStack, cfg *config.Config, accountID, noun, purpose string, users ...statement) *string {
	administration := statement{sid: "Account", principals: accountRoot(accountID), actions: []string{"kms:*"}}
	statements := append([]statement{administration}, users...)
	for i := range statements {
		statements[i].resources = []string{"*"} // in a key's policy: this key
	}
	key := kmskey.NewKmsKey(stack, jsii.String(noun+"_key"), &kmskey.KmsKeyConfig{
		Description:          jsii.String(cfg.Stack() + ": " + purpose),
		EnableKeyRotation:    true,
		DeletionWindowInDays: jsii.Number(choose(cfg.Protected, 30.0, 7.0)),
		Policy:               policyJSON(statements...),
		Tags:                 nameTag(cfg, noun),
		Lifecycle:            protect(cfg),
	})
	kmsalias.NewKmsAlias(stack, jsii.String(noun+"_key_alias"), &kmsalias.KmsAliasConfig{
		Name:        jsii.String("alias/" + cfg.Stack() + "/" + noun),
		TargetKeyId: key.KeyId(),
	})
	return key.Arn()
}

// protect makes Terraform refuse a plan that destroys the resource, before anything has changed. AWS's own deletion protection
// alone would let everything before it go.
func protect(cfg *config.Config) *cdktf.TerraformResourceLifecycle {
	if !cfg.Protected {
		return nil
	}
	return &cdktf.TerraformResourceLifecycle{PreventDestroy: jsii.Bool(true)}
}

// newLogGroup declares a log group before whoever writes to it, so that nobody needs the right to make one, and it has a key
// and an end from its first line on.
func newLogGroup(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, id, name string) cloudwatchloggroup.CloudwatchLogGroup {
	return cloudwatchloggroup.NewCloudwatchLogGroup(stack, jsii.String(id), &cloudwatchloggroup.CloudwatchLogGroupConfig{
		Name:            jsii.String(name),
		KmsKeyId:        keys.Logs,
		RetentionInDays: jsii.Number(float64(cfg.LogRetention)),
		Tags:            &map[string]*string{"Name": jsii.String(name)},
	})
}
