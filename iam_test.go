package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

// What the promises break.
const (
	webExecutionRole       = "aws_iam_role.service_web_execution_role"
	webTaskRole            = "aws_iam_role.service_web_task_role"
	prometheusTaskRole     = "aws_iam_role.prometheus_task_role"
	backupFunctionRole     = "aws_iam_role.backup_function_role"
	databaseFunctionRole   = "aws_iam_role.database_function_role"
	backupScheduleRole     = "aws_iam_role.backup_schedule_role"
	databaseMonitoringRole = "aws_iam_role.database_monitoring_role"
	flowLogRole            = "aws_iam_role.flow_log_role"
	trustStatement         = "assume_role_policy.Statement[Sid=Trust]"

	backupFunctionPolicy   = "aws_iam_role_policy.backup_function_role_policy"
	backupSchedulePolicy   = "aws_iam_role_policy.backup_schedule_role_policy"
	databaseFunctionPolicy = "aws_iam_role_policy.database_function_role_policy"
	flowLogPolicy          = "aws_iam_role_policy.flow_log_role_policy"
)

var rolePromises = []stacktest.Promise{{
	Name:  "a role trusts the one service that uses it, under the conditions that AWS documents",
	Check: rolesTrustTheirService,
	BrokenBy: []stacktest.Break{{
		Name:  "a role trusts another account",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Principal",
			map[string]any{"AWS": []any{"arn:aws:iam::210987654321:root"}},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a role trusts a second service",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Principal.Service",
			[]any{"ecs-tasks.amazonaws.com", "ec2.amazonaws.com"},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a task role trusts tasks of other accounts",
		Stack: "prod",
		By:    stacktest.Remove(webExecutionRole, trustStatement+".Condition"),
		Found: webExecutionRole,
	}, {
		Name:  "a task role trusts the tasks of one cluster, whose ARN ECS does not send",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Condition.ArnLike.aws:SourceArn",
			[]any{"${aws_ecs_cluster.cluster.arn}"},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a function's role has a condition on a key that Lambda does not send",
		Stack: "prod",
		By: stacktest.Add(
			backupFunctionRole, trustStatement+".Condition",
			map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": []any{callerAccount}}},
		),
		Found: backupFunctionRole,
	}, {
		Name:  "the schedule's role trusts the ARN of a schedule instead of its group's",
		Stack: "prod",
		By: stacktest.Set(
			backupScheduleRole, trustStatement+".Condition.StringEquals.aws:SourceArn",
			[]any{"${aws_scheduler_schedule.backup_schedule.arn}"},
		),
		Found: backupScheduleRole,
	}, {
		Name:  "the flow logs' role trusts flow logs of every account",
		Stack: "dev",
		By:    stacktest.Set(flowLogRole, trustStatement+".Condition", map[string]any{}),
		Found: flowLogRole,
	}, {
		Name:  "the monitoring role's condition does not match the database's name",
		Stack: "dev",
		By:    stacktest.Set("aws_db_instance.database", "identifier", "other"),
		Found: databaseMonitoringRole,
	}, {
		Name:  "a role is used by nothing",
		Stack: "prod",
		By:    stacktest.CreateLike(flowLogRole, "aws_iam_role.spare", "name", "spare"),
		Found: "aws_iam_role.spare",
	}, {
		Name:  "a role trusts no service",
		Stack: "prod",
		By:    stacktest.Set(webExecutionRole, "assume_role_policy.Statement", []any{}),
		Found: webExecutionRole,
	}, {
		Name:  "a role allows its service to tag sessions",
		Stack: "prod",
		By:    stacktest.Set(webExecutionRole, trustStatement+".Action", []any{"sts:AssumeRole", "sts:TagSession"}),
		Found: webExecutionRole,
	}},
}, {
	Name:  "a role allows exactly the actions that are called with it",
	Check: rolesAllowWhatIsCalled,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function's role allows deleting instances",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Action",
			[]any{"rds:DeleteDBSnapshot", "rds:DeleteDBInstance"},
		),
		Found: "rds:DeleteDBInstance",
	}, {
		Name:  "the backup function's role does not allow listing snapshots",
		Stack: "prod",
		By:    stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=List].Action", []any{}),
		Found: "rds:DescribeDBSnapshots",
	}, {
		Name:  "an execution role allows pulling images that the service does not use",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionPolicy, "policy.Statement[Sid=Log].Action",
			[]any{"logs:CreateLogStream", "logs:PutLogEvents", "ecr:BatchGetImage"},
		),
		Found: "ecr:BatchGetImage",
	}, {
		Name:  "an execution role does not allow pulling the service's image",
		Stack: "a service with everything",
		By:    stacktest.Set(webExecutionPolicy, "policy.Statement[Sid=RegistryLogin].Action", []any{}),
		Found: "ecr:GetAuthorizationToken",
	}, {
		Name:  "an execution role does not allow reading the task's secret",
		Stack: "dev",
		By:    stacktest.Set(webExecutionPolicy, "policy.Statement[Sid=Secrets].Action", []any{}),
		Found: "secretsmanager:GetSecretValue",
	}, {
		Name:  "the role of Prometheus allows running commands in tasks",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=Describe].Action",
			[]any{"ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ExecuteCommand"},
		),
		Found: "ecs:ExecuteCommand",
	}, {
		Name:  "a managed policy of AWS is attached to a role",
		Stack: "prod",
		By: stacktest.Create(
			"aws_iam_role_policy_attachment.admin",
			map[string]any{
				"role":       "${aws_iam_role.flow_log_role.name}",
				"policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess",
			},
		),
		Found: "aws_iam_role_policy_attachment.admin",
	}, {
		Name:  "a role lists a managed policy of AWS",
		Stack: "prod",
		By:    stacktest.Add(flowLogRole, "managed_policy_arns", []any{"arn:aws:iam::aws:policy/AdministratorAccess"}),
		Found: flowLogRole,
	}, {
		Name:  "a policy belongs to a role outside of this stack",
		Stack: "prod",
		By:    stacktest.Set(flowLogPolicy, "role", "admin"),
		Found: flowLogPolicy,
	}, {
		Name:  "a role policy has no statements",
		Stack: "prod",
		By:    stacktest.Set(flowLogPolicy, "policy", map[string]any{"Statement": []any{}}),
		Found: flowLogPolicy,
	}, {
		Name:  "the schedule's role allows updating functions",
		Stack: "prod",
		By: stacktest.Set(
			backupSchedulePolicy, "policy.Statement[Sid=Call].Action",
			[]any{"lambda:InvokeFunction", "lambda:UpdateFunctionCode"},
		),
		Found: "lambda:UpdateFunctionCode",
	}, {
		Name:  "a service without permissions gets those of Prometheus",
		Stack: "prod",
		By:    stacktest.CreateLike(prometheusPolicy, "aws_iam_role_policy.debug", "role", "${"+webTaskRole+".name}"),
		Found: webTaskRole,
	}},
}}

// Roles are known by who uses them, not by their names: what a role must allow, and which service
// it trusts, follows from that.

// isAllow tells whether a statement allows something: what is not denied counts as allowed.
func isAllow(statement stacktest.Resource) bool { return !statement.Is("Effect", "Deny") }

func allows(statement stacktest.Resource, action string) bool {
	return isAllow(statement) && slices.Contains(statement.Strings("Action"), action)
}

// roleAllows tells whether a role allows an action on a resource of the stack.
func roleAllows(s stacktest.Stack, role, action, address string) bool {
	return slices.ContainsFunc(rolePermissions(s, role), func(st stacktest.Resource) bool {
		return allows(st, action) && slices.Contains(st.References("Resource"), address)
	})
}

// isConfigured tells whether a statement comes from the configuration
// (services.<name>.permissions).
func isConfigured(statement stacktest.Resource) bool {
	return strings.HasPrefix(statement.String("Sid"), "Configured")
}

// roleUse is an argument that names a role.
type roleUse struct {
	by   stacktest.Resource
	path string
}

func roleUses(s stacktest.Stack, role string) []roleUse {
	var uses []roleUse
	for kind, paths := range map[string][]string{
		"aws_ecs_task_definition": {"execution_role_arn", "task_role_arn"},
		"aws_lambda_function":     {"role"},
		"aws_flow_log":            {"iam_role_arn"},
		"aws_db_instance":         {"monitoring_role_arn"},
		"aws_scheduler_schedule":  {"target.role_arn"},

		"aws_s3_bucket_replication_configuration": {"role"},
	} {
		for _, path := range paths {
			for _, r := range stacktest.Referring(s.Resources(kind), path, role) {
				uses = append(uses, roleUse{r, path})
			}
		}
	}
	return uses
}

// roleUseKind describes all uses of a role, such as "aws_lambda_function.role". A role with two
// kinds of uses matches no kind that a promise knows.
func roleUseKind(s stacktest.Stack, role string) string {
	var kinds []string
	for _, u := range roleUses(s, role) {
		kinds = append(kinds, u.by.Kind()+"."+u.path)
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), " and ")
}

// taskWithRole returns the task that has a role as its execution role or task role.
func taskWithRole(s stacktest.Stack, role string) serviceTask {
	for _, t := range allTasks(s) {
		if t.definition.Reference("execution_role_arn") == role || t.definition.Reference("task_role_arn") == role {
			return t
		}
	}
	return serviceTask{}
}

// functionsInVPC returns the functions that run in the VPC.
func functionsInVPC(s stacktest.Stack) []stacktest.Resource {
	return stacktest.Filter(s.Resources("aws_lambda_function"), func(f stacktest.Resource) bool {
		return f.Has("vpc_config")
	})
}

// trustOf returns the service that must be able to assume a role, by its kind of use, and on which
// conditions. There are conditions only where AWS documents them: a condition on a key that the
// service does not send denies it access.
//
//	ecs-tasks, which does not support the ARN of a cluster:
//	https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
//	vpc-flow-logs:
//	https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
//	monitoring.rds:
//	https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
//	s3, which replicates objects:
//	https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
//	scheduler, with the group's ARN:
//	https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func trustOf(s stacktest.Stack, role, kind string) (service string, conditions []string) {
	arn := func(service, resource string) string {
		return "ArnLike aws:SourceArn arn:aws:" + service + ":" + s.Region() + ":" + callerAccount + ":" + resource
	}
	sameAccount := "StringEquals aws:SourceAccount " + callerAccount
	switch kind {
	case "aws_s3_bucket_replication_configuration.role":
		return "s3.amazonaws.com", nil
	case "aws_ecs_task_definition.execution_role_arn", "aws_ecs_task_definition.task_role_arn":
		return "ecs-tasks.amazonaws.com", []string{sameAccount, arn("ecs", "*")}
	case "aws_flow_log.iam_role_arn":
		return "vpc-flow-logs.amazonaws.com", []string{sameAccount, arn("ec2", "vpc-flow-log/*")}
	case "aws_db_instance.monitoring_role_arn":
		return "monitoring.rds.amazonaws.com", []string{sameAccount, arn("rds", "db:"+s.Name()+"*")}
	case "aws_scheduler_schedule.target.role_arn":
		var groups []string
		for _, u := range roleUses(s, role) {
			groups = append(groups, u.by.Reference("group_name"))
		}
		slices.Sort(groups)
		if groups = slices.Compact(groups); len(groups) == 1 && groups[0] != "" {
			source := "StringEquals aws:SourceArn ${" + groups[0] + ".arn}"
			return "scheduler.amazonaws.com", []string{sameAccount, source}
		}
	case "aws_lambda_function.role":
		return "lambda.amazonaws.com", nil
	}
	return "", nil
}

func rolesTrustTheirService(s stacktest.Stack, v *stacktest.Violations) {
	for _, role := range s.Resources("aws_iam_role") {
		service, conditions := trustOf(s, role.Address, roleUseKind(s, role.Address))
		if service == "" {
			v.Want(false, role.Address, "is used by nothing, or in several ways: %q", roleUseKind(s, role.Address))
			continue
		}
		statements := role.Statements("assume_role_policy")
		v.Want(len(statements) == 1, role.Address, "want one trust statement, have %d", len(statements))
		for _, st := range statements {
			v.Want(slices.Equal(st.Principals(), []string{"Service:" + service}),
				role.Address, "want %s alone as trusted principal, have %v", service, st.Principals())
			v.Want(slices.Equal(st.Strings("Action"), []string{"sts:AssumeRole"}),
				role.Address, "trusts with the actions %v", st.Strings("Action"))
			v.Want(slices.Equal(st.Conditions(), conditions),
				role.Address, "want the conditions %q, have %q", conditions, st.Conditions())
		}
		for _, u := range roleUses(s, role.Address) {
			if u.by.Kind() == "aws_db_instance" {
				v.Want(
					strings.HasPrefix(u.by.String("identifier"), s.Name()),
					role.Address, "does not trust the monitoring of %s, whose name does not match the condition",
					u.by.Address,
				)
			}
		}
	}
}

var (
	logCalls  = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	pullCalls = []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken",
		"ecr:GetDownloadUrlForLayer",
	}
	// Of images from a pull-through cache, which the JSON does not tell from other images in ECR:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
	importCalls = []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"}
	// ECS Exec, with a log group and a key of this stack:
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
	sessionCalls = []string{
		"kms:Decrypt", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
		"ssmmessages:OpenDataChannel",
	}
	// functions/backup: its own calls, the topic for its failures, and the key of its environment
	backupCalls = []string{
		"logs:CreateLogStream", "logs:PutLogEvents",
		"rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:DeleteDBSnapshot", "rds:DescribeDBSnapshots",
		"rds:DescribeAccountAttributes", "rds:DescribeDBInstances",
		"kms:Decrypt", "kms:GenerateDataKey", "sns:Publish",
	}
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/setting-repl-config-perm-overview.html
	copyCalls = []string{
		"s3:GetReplicationConfiguration", "s3:ListBucket",
		"s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging",
		"s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags",
		"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey",
	}
	lockCalls = []string{"s3:GetObjectRetention", "s3:GetObjectLegalHold"}
	// functions/database: its own calls, the key of its environment and of the secrets, and what
	// Lambda calls with its role to attach it to the VPC:
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
	databaseCalls = []string{
		"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue", "kms:Decrypt",
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	}
	rotationCalls = []string{
		"secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
		"kms:GenerateDataKey",
	}
	restartCalls = []string{"ecs:DescribeServices", "ecs:UpdateService"}
	// discovery/aws/ecs.go of Prometheus 3.15.0
	prometheusCalls = []string{
		"ec2:DescribeNetworkInterfaces", "ecs:DescribeClusters", "ecs:DescribeServices", "ecs:DescribeTasks",
		"ecs:ListServices", "ecs:ListTasks",
	}
	// notify/sns of Alertmanager 0.34.2; SNS uses the topics' key with its caller's rights
	alertmanagerCalls = []string{"kms:Decrypt", "kms:GenerateDataKey", "sns:Publish"}
	// pkg/clients of the exporter 0.67.0; without a NAT gateway, its call of IAM goes nowhere
	cloudWatchCalls = []string{"cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "tag:GetResources"}
	// The managed policy AmazonRDSEnhancedMonitoringRole
	monitoringCalls = []string{
		"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents",
		"logs:PutLogEvents", "logs:PutRetentionPolicy",
	}
	flowLogCalls = []string{
		"logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
	}
)

// calledActions returns the actions that a role must allow, and those that it may allow. A new
// permission is a change here.
func calledActions(s stacktest.Stack, role string) (required, optional []string) {
	t := taskWithRole(s, role)
	switch roleUseKind(s, role) {
	case "aws_ecs_task_definition.execution_role_arn":
		required = slices.Clone(logCalls)
		for _, c := range t.containers() {
			if strings.Contains(c.String("image"), ".dkr.ecr.") {
				required, optional = append(required, pullCalls...), append(optional, importCalls...)
			}
		}
		for _, secret := range taskSecrets(t) {
			switch {
			case strings.Contains(secret, ":ssm:"):
				// It may have a key of its own.
				required, optional = append(required, "ssm:GetParameters"), append(optional, "kms:Decrypt")
			case strings.HasPrefix(secret, "${") && !strings.HasPrefix(secret, "${data."):
				required = append(required, "secretsmanager:GetSecretValue", "kms:Decrypt")
			default:
				required, optional = append(required, "secretsmanager:GetSecretValue"), append(optional, "kms:Decrypt")
			}
		}
	case "aws_ecs_task_definition.task_role_arn":
		if t.service.Is("enable_execute_command", true) {
			required = append(required, sessionCalls...)
		}
		if t.name() == "prometheus_server" {
			required = slices.Concat(required, prometheusCalls, alertmanagerCalls)
			if len(s.Resources("aws_prometheus_workspace")) > 0 {
				required = append(required, "aps:RemoteWrite")
			}
			for _, c := range t.containers() {
				if c.Is("name", "cloudwatch") {
					required = append(required, cloudWatchCalls...)
					if len(s.Resources("aws_nat_gateway")) > 0 {
						required = append(required, "iam:ListAccountAliases")
					}
				}
			}
		}
		required = append(required, dumpTaskCalls(t)...)
	case "aws_lambda_function.role":
		required = backupCalls
		if len(s.Resources("aws_db_instance_automated_backups_replication")) > 0 {
			optional = []string{"rds:DescribeDBInstanceAutomatedBackups"}
		}
		if s.Resource(backupFunction).Has("environment.variables.BACKUP_BUCKET") {
			optional = append(optional, "s3:ListBucket")
		}
		if len(functionsInVPC(s)) > 0 && functionsInVPC(s)[0].Reference("role") == role {
			required = slices.Clone(databaseCalls)
			if len(s.Resources("aws_secretsmanager_secret_rotation")) > 0 { // generated secrets are not its own
				required = append(required, rotationCalls...)
			}
			if slices.ContainsFunc(serviceTasks(s), serviceTask.usesDatabase) {
				required = append(required, restartCalls...)
			}
		}
	case "aws_s3_bucket_replication_configuration.role":
		required = copyCalls
		if len(s.Resources("aws_s3_bucket_object_lock_configuration")) > 0 {
			required = slices.Concat(copyCalls, lockCalls)
		}
	case "aws_flow_log.iam_role_arn":
		required = flowLogCalls
	case "aws_db_instance.monitoring_role_arn":
		required = monitoringCalls
	case "aws_scheduler_schedule.target.role_arn":
		required = []string{"lambda:InvokeFunction"}
		if roleUses(s, role)[0].by.Has("target.ecs_parameters") {
			required = []string{"ecs:RunTask", "ecs:TagResource", "iam:PassRole"}
		}
	}
	return required, optional
}

func rolesAllowWhatIsCalled(s stacktest.Stack, v *stacktest.Violations) {
	for _, role := range s.Resources("aws_iam_role") {
		required, optional := calledActions(s, role.Address)
		var allowed []string
		for _, st := range rolePermissions(s, role.Address) {
			fromModules := !isConfigured(st) || !strings.HasPrefix(role.ID(), "service_")
			if isAllow(st) && fromModules {
				allowed = append(allowed, st.Strings("Action")...)
			}
		}
		for _, action := range required {
			v.Want(slices.Contains(allowed, action), role.Address, "does not allow %s, which is called", action)
		}
		for _, action := range allowed {
			v.Want(slices.Contains(required, action) || slices.Contains(optional, action),
				role.Address, "allows %s, which is not called", action)
		}
		for _, path := range []string{"managed_policy_arns", "inline_policy"} {
			v.Want(!role.Has(path), role.Address, "has permissions in %s, which no test checks", path)
		}
	}
	for _, policy := range s.Resources("aws_iam_role_policy") {
		v.Want(s.Resource(policy.Reference("role")).Kind() == "aws_iam_role",
			policy.Address, "belongs to no role of this stack")
		v.Want(len(policy.Statements("policy")) > 0, policy.Address, "has no statements that could be checked")
	}
	unchecked := []string{
		"aws_iam_role_policy_attachment", "aws_iam_policy", "aws_iam_user", "aws_iam_access_key", "aws_iam_group",
	}
	for _, other := range s.Resources(unchecked...) {
		v.Want(false, other.Address, "grants permissions that no test checks")
	}
}
