package main

import (
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

var permissionPromises = []stacktest.Promise{{
	Name:  "policies have no wildcard actions, and the resource * only for actions that support nothing narrower",
	Check: permissionsAreNarrow,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function's role allows every action of RDS",
		Stack: "prod",
		By:    stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=Create].Action", []any{"rds:*"}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function's role allows a family of actions with a wildcard",
		Stack: "prod",
		By:    stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=List].Action", []any{"rds:Describe*"}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function's role allows deleting snapshots on every resource",
		Stack: "prod",
		By:    stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource", []any{"*"}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the backup function's role allows deleting every snapshot of the account",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			[]any{"arn:aws:rds:eu-central-1:" + callerAccount + ":snapshot:*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the code of the database function may create network interfaces",
		Stack: "prod",
		By: stacktest.Set(
			databaseFunctionPolicy, "policy.Statement[Sid=NetworkNotByCode].Action",
			[]any{"ec2:DescribeSubnets"},
		),
		Found: databaseFunctionPolicy,
	}, {
		Name:  "the role of Prometheus allows listing the tasks of every cluster",
		Stack: "prod",
		By:    stacktest.Remove(prometheusPolicy, "policy.Statement[Sid=List].Condition"),
		Found: prometheusPolicy,
	}, {
		Name:  "a statement allows all actions but some",
		Stack: "prod",
		By:    stacktest.Add(backupFunctionPolicy, "policy.Statement[Sid=Log].NotAction", []any{"iam:*"}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a policy allows access to everything except named resources",
		Stack: "prod",
		By:    stacktest.Add(backupFunctionPolicy, "policy.Statement[Sid=Log].NotResource", []any{"*"}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a statement names no resource",
		Stack: "prod",
		By:    stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=ReportFailure].Resource", []any{}),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a statement has no effect",
		Stack: "prod",
		By:    stacktest.Remove(backupFunctionPolicy, "policy.Statement[Sid=Log].Effect"),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a key policy allows a service every action of KMS",
		Stack: "prod",
		By:    stacktest.Set(logsKey, "policy.Statement[Sid=CloudWatchLogs].Action", []any{"kms:*"}),
		Found: logsKey,
	}},
}, {
	Name:  "no policy allows access to everyone",
	Check: noPolicyAllowsEveryone,
	BrokenBy: []stacktest.Break{{
		Name:  "the bucket policy allows everyone to read the backups",
		Stack: "prod",
		By:    stacktest.Set(backupBucketPolicy, "policy.Statement[Sid=TLSOnly].Effect", "Allow"),
		Found: backupBucketPolicy,
	}, {
		Name:  "a key policy allows every AWS account to use the key",
		Stack: "prod",
		By:    stacktest.Set(alertsKey, "policy.Statement[Sid=Account].Principal.AWS", []any{"*"}),
		Found: alertsKey,
	}, {
		Name:  "a statement has a NotPrincipal",
		Stack: "prod",
		By: stacktest.Add(
			backupBucketPolicy, "policy.Statement[Sid=TLSOnly].NotPrincipal",
			map[string]any{"AWS": []any{}},
		),
		Found: backupBucketPolicy,
	}},
}, {
	Name:  "a role allows writing only to the log groups of the resource that uses it, and creating none",
	Check: rolesWriteToTheirLogGroups,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function's role allows writing to a service's log group",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Log].Resource",
			[]any{"${aws_cloudwatch_log_group.service_web_log_group.arn}:*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an execution role allows writing to every log group",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionPolicy, "policy.Statement[Sid=Log].Resource",
			[]any{"arn:aws:logs:eu-central-1:" + callerAccount + ":log-group:*"},
		),
		Found: webExecutionPolicy,
	}, {
		Name:  "the flow logs' role allows creating log groups",
		Stack: "prod",
		By: stacktest.Set(
			flowLogPolicy, "policy.Statement[Sid=Write].Action",
			[]any{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:CreateLogGroup"},
		),
		Found: flowLogPolicy,
	}, {
		Name:  "the role of Prometheus allows writing to its container log, which ECS Exec does not use",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=SessionLog].Resource",
			[]any{"${aws_cloudwatch_log_group.prometheus_log_group.arn}:*"},
		),
		Found: prometheusPolicy,
	}},
}, {
	Name:  "an execution role can read the secrets of its task, and no others",
	Check: rolesReadTheirSecrets,
	BrokenBy: []stacktest.Break{{
		Name:  "an execution role allows reading another secret",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionPolicy, "policy.Statement[Sid=Secrets].Resource",
			[]any{
				"${aws_secretsmanager_secret.service_web_database_secret.arn}",
				"arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf",
			},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a task has a secret that its execution role does not allow reading",
		Stack: "a service with everything",
		By: stacktest.Append(
			webTask, "container_definitions[name=web].secrets",
			map[string]any{"name": "OTHER", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/other"},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a task pulls with the account of a registry that its execution role does not allow reading",
		Stack: "a service that needs more",
		By: stacktest.Set(searchTask, searchContainer+".repositoryCredentials.credentialsParameter",
			"arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf"),
		Found: "aws_iam_role.service_search_execution_role",
	}, {
		Name:  "an execution role allows decrypting outside Secrets Manager",
		Stack: "prod",
		By:    stacktest.Remove(webExecutionPolicy, "policy.Statement[Sid=SecretKeys].Condition"),
		Found: webExecutionPolicy,
	}},
}, {
	Name:  "a role that allows using encrypted resources allows using their keys",
	Check: rolesAllowUsingKeys,
	BrokenBy: []stacktest.Break{{
		Name:  "a role allows reading a bucket's objects, but not decrypting them",
		Stack: "prod",
		By: stacktest.Append(prometheusPolicy, "policy.Statement", map[string]any{
			"Sid": "Backups", "Effect": "Allow", "Action": []any{"s3:GetObject"},
			"Resource": []any{arnOf(backupBucket) + "/*"},
		}),
		Found: prometheusTaskRole,
	}, {
		Name:  "the backup function's role does not allow encrypting messages to the topic",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=ReportFailureKey].Action",
			[]any{"kms:Decrypt"},
		),
		Found: backupFunctionRole,
	}, {
		Name:  "the backup function's role does not allow decrypting its environment",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=OwnEnvironment].Resource",
			[]any{"${aws_kms_key.logs_key.arn}"},
		),
		Found: backupFunctionRole,
	}, {
		Name:  "an execution role does not allow decrypting the database's secret",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionPolicy, "policy.Statement[Sid=SecretKeys].Resource",
			[]any{"${aws_kms_key.logs_key.arn}"},
		),
		Found: webExecutionRole,
	}},
}, {
	Name:  "a function's role decrypts only its own environment, and other data of that key only through a service",
	Check: functionsDecryptTheirEnvironment,
	BrokenBy: []stacktest.Break{{
		Name:  "the database function's role decrypts everything that the secrets' key encrypts",
		Stack: "prod",
		By:    stacktest.Remove(databaseFunctionPolicy, "policy.Statement[Sid=OwnEnvironment].Condition"),
		Found: databaseFunctionRole,
	}, {
		Name:  "the backup function's role decrypts the environment of another function",
		Stack: "dev",
		By: stacktest.Replace(
			backupFunctionPolicy,
			"policy.Statement[Sid=OwnEnvironment].Condition.StringEquals.kms:EncryptionContext:aws:lambda:FunctionArn",
			"-backup", "-database",
		),
		Found: backupFunctionRole,
	}, {
		Name:  "the database function's role decrypts secrets outside Secrets Manager",
		Stack: "prod",
		By:    stacktest.Remove(databaseFunctionPolicy, "policy.Statement[Sid=SecretsKey].Condition"),
		Found: databaseFunctionRole,
	}},
}}

// unrestrictable are the actions that may be allowed on every resource, and why.
var unrestrictable = map[string]string{
	"cloudwatch:GetMetricData":  "metrics have no ARN",
	"cloudwatch:ListMetrics":    "likewise",
	"cloudwatch:PutMetricData":  "likewise; services may ask for it",
	"iam:ListAccountAliases":    "the alias is the account's",
	"tag:GetResources":          "the resources of the stack are found by their tags",
	"ecr:GetAuthorizationToken": "a token is for the whole registry",
	"ec2:AssignPrivateIpAddresses": "Lambda requires it to attach a function to a VPC; " +
		"denied to the function's own code",
	"ec2:CreateNetworkInterface":       "likewise",
	"ec2:DeleteNetworkInterface":       "likewise",
	"ec2:DescribeNetworkInterfaces":    "EC2 has no resources for it",
	"ec2:DescribeSubnets":              "likewise",
	"ec2:UnassignPrivateIpAddresses":   "as AssignPrivateIpAddresses",
	"ecs:ListServices":                 "a list has no resource; restricted by a condition on the cluster",
	"ecs:ListTasks":                    "likewise",
	"logs:DescribeLogGroups":           "a list has no resource; the agent of ECS Exec gives no name",
	"rds:DescribeAccountAttributes":    "quotas are the account's, which is no resource",
	"ssmmessages:CreateControlChannel": "channels have no ARN",
	"ssmmessages:CreateDataChannel":    "likewise",
	"ssmmessages:OpenControlChannel":   "likewise",
	"ssmmessages:OpenDataChannel":      "likewise",
}

// checkedOnAll are the actions that AWS checks against all resources of a kind in the account and
// region.
var checkedOnAll = []string{"rds:DescribeDBInstanceAutomatedBackups", "rds:DescribeDBSnapshots"}

var wholeKind = regexp.MustCompile(`^arn:aws:[a-z0-9-]+:[^:]*:[^:]*:[a-z-]+[:/]\*$`)

func permissionsAreNarrow(s stacktest.Stack, v *stacktest.Violations) {
	for _, role := range s.Resources("aws_iam_role") {
		denied := map[string]bool{} // to the code of the role's function
		for _, st := range rolePermissions(s, role.Address) {
			for _, u := range roleUses(s, role.Address) {
				function := s.Region() + ":" + callerAccount + ":function:" + u.by.String("function_name")
				itself := "ArnEquals lambda:SourceFunctionArn arn:aws:lambda:" + function
				if !isAllow(st) && slices.Equal(st.Conditions(), []string{itself}) {
					for _, action := range st.Strings("Action") {
						denied[action] = true
					}
				}
			}
		}
		for _, st := range rolePermissions(s, role.Address) {
			v.Want(len(st.Strings("Action")) > 0 && len(st.Strings("Resource")) > 0,
				st.Address, "names no action or no resource")
			if !isAllow(st) {
				continue
			}
			for _, action := range st.Strings("Action") {
				v.Want(!strings.Contains(action, "*"), st.Address, "allows the wildcard %s", action)
				for _, resource := range st.Strings("Resource") {
					v.Want(resource != "*" ||
						!strings.Contains(action, "NetworkInterface") ||
						action == "ec2:DescribeNetworkInterfaces" ||
						denied[action],
						st.Address, "lets the function's code call %s", action)
					v.Want(resource != "*" || unrestrictable[action] != "",
						st.Address, "allows %s on every resource", action)
					v.Want(!wholeKind.MatchString(resource) ||
						slices.Contains(checkedOnAll, action) ||
						isConfigured(st),
						st.Address, "allows %s on %s", action, resource)
				}
				if strings.HasPrefix(action, "ecs:List") {
					v.Want(slices.Contains(st.Conditions(), "ArnEquals ecs:cluster ${aws_ecs_cluster.cluster.arn}"),
						st.Address, "allows %s in every cluster", action)
				}
			}
		}
	}
	for _, key := range s.Resources("aws_kms_key") {
		for _, st := range key.Statements("policy") {
			for _, action := range st.Strings("Action") {
				families := []string{"kms:ReEncrypt*", "kms:GenerateDataKey*"}
				root := action == "kms:*" && slices.Equal(st.Principals(), []string{accountPrincipal})
				v.Want(!strings.Contains(action, "*") || slices.Contains(families, action) || root,
					st.Address, "allows the wildcard %s to %v", action, st.Principals())
			}
		}
	}
	for _, st := range allStatements(s) {
		v.Want(!st.Has("NotAction") && !st.Has("NotResource"), st.Address, "allows everything but what it names")
		v.Want(st.Is("Effect", "Allow") || st.Is("Effect", "Deny"),
			st.Address, "want the effect Allow or Deny, have %v", st.At("Effect"))
	}
}

// A denial with exceptions has a condition on aws:PrincipalArn: NotPrincipal does not except the
// sessions of a role.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func noPolicyAllowsEveryone(s stacktest.Stack, v *stacktest.Violations) {
	for _, st := range allStatements(s) {
		v.Want(!st.Has("NotPrincipal"), st.Address, "has a NotPrincipal, which does not except the sessions of a role")
		for _, principal := range st.Principals() {
			v.Want(!isAllow(st) || !strings.HasSuffix(principal, "*"), st.Address, "allows everyone")
		}
	}
}

// sessionLogging is the path to the log of ECS Exec in a cluster.
const sessionLogging = "configuration.execute_command_configuration.log_configuration"

// roleLogGroups returns the log groups that a role's user writes to.
func roleLogGroups(s stacktest.Stack, role string) []string {
	var groups []string
	for _, u := range roleUses(s, role) {
		switch u.by.Kind() + "." + u.path {
		case "aws_ecs_task_definition.execution_role_arn":
			for _, c := range taskWithRole(s, role).containers() {
				groups = append(groups, c.References("logConfiguration.options.awslogs-group")...)
			}
		case "aws_ecs_task_definition.task_role_arn":
			for _, cluster := range s.Resources("aws_ecs_cluster") {
				groups = append(groups, cluster.References(sessionLogging+".cloud_watch_log_group_name")...)
			}
		case "aws_lambda_function.role":
			groups = append(groups, logGroupNamed(s, "/aws/lambda/"+u.by.String("function_name"))...)
		case "aws_flow_log.iam_role_arn":
			groups = append(groups, u.by.References("log_destination")...)
		}
	}
	return groups
}

// logGroupNamed finds a log group by its name in AWS.
func logGroupNamed(s stacktest.Stack, name string) []string {
	for _, group := range s.Resources("aws_cloudwatch_log_group") {
		if s.Resolve(group.String("name")) == name {
			return []string{group.Address}
		}
	}
	return nil
}

// RDSOSMetrics is the only log group outside of the stack: RDS creates it, for the whole account.
func rolesWriteToTheirLogGroups(s stacktest.Stack, v *stacktest.Violations) {
	for _, role := range s.Resources("aws_iam_role") {
		monitoring := roleUseKind(s, role.Address) == "aws_db_instance.monitoring_role_arn"
		own := roleLogGroups(s, role.Address)
		for _, st := range rolePermissions(s, role.Address) {
			v.Want(monitoring || !slices.Contains(st.Strings("Action"), "logs:CreateLogGroup"),
				st.Address, "creates log groups, which then have no retention and no key")
			writes := slices.ContainsFunc(st.Strings("Action"), func(action string) bool {
				return strings.HasPrefix(action, "logs:") && action != "logs:DescribeLogGroups"
			})
			if !writes {
				continue
			}
			for _, resource := range st.Strings("Resource") {
				rds := strings.HasPrefix(resource,
					"arn:aws:logs:"+s.Region()+":"+callerAccount+":log-group:RDSOSMetrics")
				groups := slices.DeleteFunc(stacktest.References(resource), func(address string) bool {
					return !strings.HasPrefix(address, "aws_cloudwatch_log_group.")
				})
				isOwn := len(groups) == 1 && slices.Contains(own, groups[0])
				v.Want(isOwn && !monitoring || rds && monitoring,
					st.Address, "allows %s, but the log groups of %s are %v", resource, role.Address, own)
			}
		}
	}
}

// taskSecrets returns the secrets of a task's containers, without the JSON key, stage and version
// that may follow a secret's ARN.
func taskSecrets(t serviceTask) []string {
	var secrets []string
	for _, c := range t.containers() {
		if c.Has("repositoryCredentials") {
			secrets = append(secrets, c.String("repositoryCredentials.credentialsParameter"))
		}
		for _, secret := range c.Blocks("secrets") {
			from := secret.String("valueFrom")
			if expression := anyExpression.FindString(from); expression != "" && strings.HasPrefix(from, "${") {
				from = expression
			} else if parts := strings.Split(from, ":"); len(parts) > 7 {
				from = strings.Join(parts[:7], ":")
			}
			secrets = append(secrets, from)
		}
	}
	slices.Sort(secrets)
	return slices.Compact(secrets)
}

func rolesReadTheirSecrets(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		role := t.definition.Reference("execution_role_arn")
		var readable []string
		for _, st := range rolePermissions(s, role) {
			if allows(st, "secretsmanager:GetSecretValue") || allows(st, "ssm:GetParameters") {
				readable = append(readable, st.Strings("Resource")...)
			}
			viaService := len(st.Conditions()) > 0 &&
				strings.HasPrefix(st.Conditions()[0], "StringEquals kms:ViaService ")
			v.Want(!allows(st, "kms:Decrypt") || viaService,
				st.Address, "allows decrypting in any service; want a condition on kms:ViaService")
		}
		slices.Sort(readable)
		v.Want(slices.Equal(slices.Compact(readable), taskSecrets(t)),
			role, "allows reading %v, but the secrets of %s are %v", readable, t.name(), taskSecrets(t))
	}
}

// Writers need kms:Decrypt too: S3 decrypts the data key of a multipart upload for each of its
// parts. So do publishers.
func rolesAllowUsingKeys(s stacktest.Stack, v *stacktest.Violations) {
	read, write := []string{"kms:Decrypt"}, []string{"kms:Decrypt", "kms:GenerateDataKey"}
	needs := map[string][]string{
		"s3:GetObject":                  read,
		"s3:PutObject":                  write,
		"sns:Publish":                   write,
		"secretsmanager:GetSecretValue": read,
	}
	for _, role := range s.Resources("aws_iam_role") {
		for _, st := range rolePermissions(s, role.Address) {
			for _, action := range st.Strings("Action") {
				for _, kms := range needs[action] {
					for _, encrypted := range st.References("Resource") {
						if key := encryptionKey(s, encrypted); key != "" {
							v.Want(roleAllows(s, role.Address, kms, key),
								role.Address, "allows %s on %s, but not %s with %s", action, encrypted, kms, key)
						}
					}
				}
			}
		}
		for _, u := range roleUses(s, role.Address) {
			if key := u.by.Reference("kms_key_arn"); key != "" && u.by.Has("environment") {
				v.Want(roleAllows(s, role.Address, "kms:Decrypt", key),
					role.Address, "does not allow decrypting the environment of %s", u.by.Address)
			}
		}
	}
}

// encryptionKey returns the key of a bucket, a topic or a secret, the master user's included; empty
// if it is not in this stack.
func encryptionKey(s stacktest.Stack, address string) string {
	switch r := s.Resource(address); r.Kind() {
	case "aws_s3_bucket":
		encryptions := s.Resources("aws_s3_bucket_server_side_encryption_configuration")
		for _, encryption := range stacktest.Referring(encryptions, "bucket", address) {
			return encryption.Reference("rule.apply_server_side_encryption_by_default.kms_master_key_id")
		}
	case "aws_prometheus_workspace":
		return r.Reference("kms_key_arn")
	case "aws_sns_topic":
		return r.Reference("kms_master_key_id")
	case "aws_db_instance":
		return r.Reference("master_user_secret_kms_key_id")
	case "aws_secretsmanager_secret":
		return r.Reference("kms_key_id")
	}
	return ""
}

func functionsDecryptTheirEnvironment(s stacktest.Stack, v *stacktest.Violations) {
	for _, f := range s.Resources("aws_lambda_function") {
		own := "StringEquals kms:EncryptionContext:aws:lambda:FunctionArn arn:aws:lambda:" +
			s.Region() + ":" + callerAccount + ":function:" + f.String("function_name")
		key, role := f.Reference("kms_key_arn"), f.Reference("role")
		decrypts := false
		for _, st := range rolePermissions(s, role) {
			if !allows(st, "kms:Decrypt") || !slices.Contains(st.References("Resource"), key) {
				continue
			}
			environment := slices.Equal(st.Conditions(), []string{own})
			decrypts = decrypts || environment
			viaService := len(st.Conditions()) == 1 &&
				strings.HasPrefix(st.Conditions()[0], "StringEquals kms:ViaService ")
			v.Want(environment || viaService,
				role, "decrypts with %s on the conditions %q; want %q, or a service", key, st.Conditions(), own)
		}
		v.Want(decrypts, role, "does not decrypt the environment of %s on the condition %q", f.Address, own)
	}
}
