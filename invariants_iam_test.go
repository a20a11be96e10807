package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// ---- Reading policies ---------------------------------------------------------------------------

// grant is one statement of a policy document.
type grant struct {
	address   string // of the document, with the statement's sid
	allow     bool
	actions   []string
	resources []string
	who       []string // as type:identifier
	when      []string // as test variable value
}

// grantsIn are the statements of the document behind a reference such as
// ${data.aws_iam_policy_document.x.json}.
func grantsIn(stack tree, reference any) []grant {
	var grants []grant
	for _, address := range references(reference) {
		document := get(stack, address)
		for _, s := range document.parts("statement") {
			g := grant{
				address: address + " " + s.text("sid"), allow: !s.is("effect", "Deny"),
				actions: s.strings("actions"), resources: s.strings("resources"),
			}
			for _, p := range s.parts("principals") {
				for _, name := range p.strings("identifiers") {
					g.who = append(g.who, p.text("type")+":"+name)
				}
			}
			for _, c := range s.parts("condition") {
				for _, value := range c.strings("values") {
					g.when = append(g.when, c.text("test")+" "+c.text("variable")+" "+value)
				}
			}
			grants = append(grants, g)
		}
	}
	return grants
}

// permissionsOf is what a role's policies let it do.
func permissionsOf(stack tree, role string) []grant {
	var grants []grant
	for _, policy := range referring(things(stack, "aws_iam_role_policy"), "role", role) {
		grants = append(grants, grantsIn(stack, policy.at("policy"))...)
	}
	return grants
}

// configured tells whether a statement is the configuration's
// (services.<name>.permissions) and not ours.
func (g grant) configured() bool { return strings.Contains(g.address, " Configured") }

func (g grant) allows(action string) bool { return g.allow && slices.Contains(g.actions, action) }

const account = "${data.aws_caller_identity.caller.account_id}"

// use is one place that a role is used in.
type use struct {
	by   thing
	path string
}

// usesOf are those places. What a role may do and who trusts it follows from
// them, whatever its name.
func usesOf(stack tree, role string) []use {
	var uses []use
	for kind, paths := range map[string][]string{
		"aws_ecs_task_definition": {"execution_role_arn", "task_role_arn"},
		"aws_lambda_function":     {"role"},
		"aws_flow_log":            {"iam_role_arn"},
		"aws_db_instance":         {"monitoring_role_arn"},
		"aws_scheduler_schedule":  {"target.role_arn"},
	} {
		for _, path := range paths {
			for _, r := range referring(things(stack, kind), path, role) {
				uses = append(uses, use{r, path})
			}
		}
	}
	return uses
}

// kindOfUse is one word for all of a role's uses; two that differ are themselves a fault.
func kindOfUse(stack tree, role string) string {
	var kinds []string
	for _, u := range usesOf(stack, role) {
		kinds = append(kinds, u.by.kind()+"."+u.path)
	}
	slices.Sort(kinds)
	return strings.Join(slices.Compact(kinds), " and ")
}

// taskOf finds the service that runs with a role.
func taskOf(stack tree, role string) runningTask {
	for _, t := range tasks(stack) {
		if t.definition.ref("execution_role_arn") == role || t.definition.ref("task_role_arn") == role {
			return t
		}
	}
	return runningTask{}
}

// ---- Roles --------------------------------------------------------------------------------------

var roleInvariants = []invariant{
	{
		promise: "a role is trusted by the one service that uses it, under the conditions that AWS documents",
		check:   rolesAreTrusted,
		broken: []damage{
			{name: "another account", stack: "prod",
				breaks: change(executionTrust, "statement.0.principals.0",
					tree{"type": "AWS", "identifiers": []any{"arn:aws:iam::210987654321:root"}}),
				found: executionRole},
			{name: "a second service", stack: "prod",
				breaks: change(executionTrust, "statement.0.principals.0.identifiers",
					[]any{"ecs-tasks.amazonaws.com", "ec2.amazonaws.com"}),
				found: executionRole},
			{name: "tasks of other accounts", stack: "prod",
				breaks: unset(executionTrust, "statement.0.condition"), found: executionRole},
			{name: "one cluster's tasks, which ECS does not send", stack: "prod",
				breaks: change(executionTrust, "statement.0.condition.1.values.0", "${aws_ecs_cluster.cluster.arn}"),
				found:  executionRole},
			{name: "a condition that Lambda does not send", stack: "prod",
				breaks: add(functionTrust, "statement.0.condition",
					[]any{tree{"test": "StringEquals", "variable": "aws:SourceAccount", "values": []any{account}}}),
				found: "aws_iam_role.backup_function_role"},
			{name: "a schedule's ARN in place of its group's", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_schedule_role_trust",
					"statement.0.condition.1.values.0", "${aws_scheduler_schedule.backup_schedule.arn}"),
				found: "aws_iam_role.backup_schedule_role"},
			{name: "flow logs of any account", stack: "dev",
				breaks: change("data.aws_iam_policy_document.flow_log_role_trust", "statement.0.condition", []any{}),
				found:  "aws_iam_role.flow_log_role"},
			{name: "a database that the monitoring's condition leaves out", stack: "dev",
				breaks: change("aws_db_instance.database", "identifier", "other"),
				found:  "aws_iam_role.database_monitoring_role"},
			{name: "a role that nobody uses", stack: "prod",
				breaks: copied("aws_iam_role.flow_log_role", "aws_iam_role.spare", "name", "spare"),
				found:  "aws_iam_role.spare"},
			{name: "nobody is trusted", stack: "prod",
				breaks: change(executionTrust, "statement", []any{}), found: executionRole},
			{name: "more than taking it on", stack: "prod",
				breaks: change(executionTrust, "statement.0.actions", []any{"sts:AssumeRole", "sts:TagSession"}),
				found:  executionRole},
		},
	},
	{
		promise: "a role may do what its code does, and no more",
		check:   rolesDoWhatTheyNeed,
		broken: []damage{
			{name: "the function may delete instances", stack: "prod",
				breaks: change(functionDocument, "statement.4.actions",
					[]any{"rds:DeleteDBSnapshot", "rds:DeleteDBInstance"}),
				found: "rds:DeleteDBInstance"},
			{name: "the function may not list", stack: "prod",
				breaks: change(functionDocument, "statement.3.actions", []any{}), found: "rds:DescribeDBSnapshots"},
			{name: "a service may pull images that it does not use", stack: "prod",
				breaks: change(executionDocument, "statement.0.actions",
					[]any{"logs:CreateLogStream", "logs:PutLogEvents", "ecr:BatchGetImage"}),
				found: "ecr:BatchGetImage"},
			{name: "a service may not pull its image", stack: "a service with everything",
				breaks: change(executionDocument, "statement.1.actions", []any{}), found: "ecr:GetAuthorizationToken"},
			{name: "a secret without the right to read it", stack: "dev",
				breaks: change(executionDocument, "statement.1.actions", []any{}),
				found:  "secretsmanager:GetSecretValue"},
			{name: "Prometheus may run commands", stack: "dev",
				breaks: change(prometheusDocument, "statement.3.actions",
					[]any{"ecs:DescribeServices", "ecs:DescribeTasks", "ecs:ExecuteCommand"}),
				found: "ecs:ExecuteCommand"},
			{name: "a policy of AWS's own", stack: "prod",
				breaks: put("aws_iam_role_policy_attachment.admin", tree{
					"role":       "${aws_iam_role.flow_log_role.name}",
					"policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess",
				}),
				found: "aws_iam_role_policy_attachment.admin"},
			{name: "a policy of AWS's own in the role", stack: "prod",
				breaks: add("aws_iam_role.flow_log_role", "managed_policy_arns",
					[]any{"arn:aws:iam::aws:policy/AdministratorAccess"}),
				found: "aws_iam_role.flow_log_role"},
			{name: "a role that is not of this stack gets rights", stack: "prod",
				breaks: change("aws_iam_role_policy.flow_log_role_policy", "role", "admin"),
				found:  "aws_iam_role_policy.flow_log_role_policy"},
			{name: "rights that are not written in a document", stack: "prod",
				breaks: change("aws_iam_role_policy.flow_log_role_policy", "policy", `{"Statement":[]}`),
				found:  "aws_iam_role_policy.flow_log_role_policy"},
			{name: "the schedule may call any function", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_schedule_role_permissions", "statement.0.actions",
					[]any{"lambda:InvokeFunction", "lambda:UpdateFunctionCode"}),
				found: "lambda:UpdateFunctionCode"},
			{name: "a service without permissions gets some", stack: "prod",
				breaks: put("aws_iam_role_policy.debug", tree{
					"name":   "debug",
					"role":   "${aws_iam_role.service_web_task_role.name}",
					"policy": "${" + prometheusDocument + ".json}",
				}),
				found: "aws_iam_role.service_web_task_role"},
		},
	},
	{
		promise: "no right is to every action, and one to every resource only where AWS knows no narrower",
		check:   rightsAreNarrow,
		broken: []damage{
			{name: "every action", stack: "prod",
				breaks: change(functionDocument, "statement.1.actions", []any{"rds:*"}), found: functionDocument},
			{name: "a family of actions", stack: "prod",
				breaks: change(functionDocument, "statement.3.actions", []any{"rds:Describe*"}),
				found:  functionDocument},
			{name: "every resource", stack: "prod",
				breaks: change(functionDocument, "statement.4.resources", []any{"*"}), found: functionDocument},
			{name: "every snapshot of the account", stack: "prod",
				breaks: change(functionDocument, "statement.4.resources",
					[]any{"arn:aws:rds:eu-central-1:" + account + ":snapshot:*"}),
				found: functionDocument},
			{name: "the code of a function makes network interfaces", stack: "prod",
				breaks: change("data.aws_iam_policy_document.database_function_role_permissions", "statement.2.actions",
					[]any{"ec2:DescribeSubnets"}),
				found: "data.aws_iam_policy_document.database_function_role_permissions"},
			{name: "every cluster", stack: "prod",
				breaks: unset(prometheusDocument, "statement.2.condition"), found: prometheusDocument},
			{name: "all but some actions", stack: "prod",
				breaks: add(functionDocument, "statement.0.not_actions", []any{"iam:*"}), found: functionDocument},
			{name: "no resource", stack: "prod",
				breaks: change(functionDocument, "statement.5.resources", []any{}), found: functionDocument},
			{name: "neither allowed nor denied", stack: "prod",
				breaks: unset(functionDocument, "statement.0.effect"), found: functionDocument},
			{name: "keys of every family", stack: "prod",
				breaks: change(logsKeyDocument, "statement.1.actions", []any{"kms:*"}), found: logsKeyDocument},
		},
	},
	{
		promise: "nobody is everybody: an allowance names whom it is for",
		check:   nobodyIsEverybody,
		broken: []damage{
			{name: "everybody may read the backups", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_bucket_policy_document", "statement.0.effect",
					"Allow"),
				found: "backup_bucket_policy_document"},
			{name: "every AWS account may use a key", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.0.principals.0.identifiers.0", "*"),
				found:  alertsKeyDocument},
			{name: "all but somebody", stack: "prod",
				breaks: add("data.aws_iam_policy_document.backup_bucket_policy_document", "statement.0.not_principals",
					[]any{tree{"type": "AWS"}}),
				found: "backup_bucket_policy_document"},
		},
	},
	{
		promise: "whoever writes to a log writes to its own, and makes none",
		check:   logsAreWrittenByTheirOwn,
		broken: []damage{
			{name: "the function writes to a service's", stack: "prod",
				breaks: change(functionDocument, "statement.0.resources.0",
					"${aws_cloudwatch_log_group.service_web_log_group.arn}:*"),
				found: functionDocument},
			{name: "to any", stack: "prod",
				breaks: change(executionDocument, "statement.0.resources.0",
					"arn:aws:logs:eu-central-1:"+account+":log-group:*"),
				found: executionDocument},
			{name: "makes one", stack: "prod",
				breaks: change(flowLogDocument, "statement.0.actions", []any{
					"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:CreateLogGroup",
				}),
				found: flowLogDocument},
			{name: "a session's log is a service's", stack: "dev",
				breaks: change(prometheusDocument, "statement.8.resources.0",
					"${aws_cloudwatch_log_group.prometheus_log_group.arn}:*"),
				found: prometheusDocument},
		},
	},
	{
		promise: "a task's secrets are all that ECS may read for it",
		check:   secretsAreOwn,
		broken: []damage{
			{name: "another secret too", stack: "prod",
				breaks: change(executionDocument, "statement.1.resources", []any{
					"${aws_db_instance.database.master_user_secret[0].secret_arn}",
					"arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf",
				}),
				found: executionRole},
			{name: "not its own", stack: "a service with everything",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["secrets"] = append(c["secrets"].([]any),
						tree{"name": "OTHER", "valueFrom": "arn:aws:ssm:eu-central-1:123456789012:parameter/other"})
				}),
				found: executionRole},
			{name: "keys outside Secrets Manager", stack: "prod",
				breaks: unset(executionDocument, "statement.2.condition"), found: executionDocument},
		},
	},
	{
		promise: "whoever uses what is encrypted may use its key",
		check:   keysComeWithWhatTheyLock,
		broken: []damage{
			{name: "Prometheus cannot decrypt its configuration", stack: "prod",
				breaks: change(prometheusDocument, "statement.6.resources.0", "${aws_kms_key.logs_key.arn}"),
				found:  prometheusRole},
			{name: "the function cannot publish", stack: "prod",
				breaks: change(functionDocument, "statement.6.actions", []any{"kms:Decrypt"}),
				found:  "aws_iam_role.backup_function_role"},
			{name: "the function cannot read its environment", stack: "prod",
				breaks: change(functionDocument, "statement.7.resources.0", "${aws_kms_key.logs_key.arn}"),
				found:  "aws_iam_role.backup_function_role"},
			{name: "ECS cannot decrypt the database's secret", stack: "prod",
				breaks: change(executionDocument, "statement.2.resources", []any{"${aws_kms_key.logs_key.arn}"}),
				found:  executionRole},
		},
	},
}

// trustOf is the service that takes on a role used in a certain way, and on which conditions. There
// are conditions only where AWS documents them; one that a service does not send shuts it out.
//
//	ecs-tasks, of which a single cluster is not supported:
//	https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
//	vpc-flow-logs:
//	https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
//	monitoring.rds:
//	https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html
//	scheduler, with the group's ARN:
//	https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func trustOf(stack tree, kind string) (service string, when []string) {
	arn := func(service, resource string) string {
		return "ArnLike aws:SourceArn arn:aws:" + service + ":" + region(stack) + ":" + account + ":" + resource
	}
	here := "StringEquals aws:SourceAccount " + account
	switch kind {
	case "aws_ecs_task_definition.execution_role_arn", "aws_ecs_task_definition.task_role_arn":
		return "ecs-tasks.amazonaws.com", []string{here, arn("ecs", "*")}
	case "aws_flow_log.iam_role_arn":
		return "vpc-flow-logs.amazonaws.com", []string{here, arn("ec2", "vpc-flow-log/*")}
	case "aws_db_instance.monitoring_role_arn":
		return "monitoring.rds.amazonaws.com", []string{here, arn("rds", "db:"+stackName(stack)+"*")}
	case "aws_scheduler_schedule.target.role_arn":
		group := things(stack, "aws_scheduler_schedule_group")
		if len(group) == 1 {
			source := "StringEquals aws:SourceArn ${" + group[0].address + ".arn}"
			return "scheduler.amazonaws.com", []string{here, source}
		}
	case "aws_lambda_function.role":
		return "lambda.amazonaws.com", nil
	}
	return "", nil
}

func rolesAreTrusted(stack tree) (v violations) {
	for _, role := range things(stack, "aws_iam_role") {
		service, when := trustOf(stack, kindOfUse(stack, role.address))
		if service == "" {
			v.want(false, role.address, "is used by nobody, or in two ways: %q", kindOfUse(stack, role.address))
			continue
		}
		grants := grantsIn(stack, role.at("assume_role_policy"))
		v.want(len(grants) == 1, role.address, "wants one statement of trust, has %d", len(grants))
		for _, g := range grants {
			v.want(slices.Equal(g.who, []string{"Service:" + service}),
				role.address, "wants to be trusted by %s alone, is by %v", service, g.who)
			v.want(slices.Equal(g.actions, []string{"sts:AssumeRole"}), role.address, "is trusted with %v", g.actions)
			v.want(slices.Equal(g.when, when), role.address, "wants the conditions %q, has %q", when, g.when)
		}
		for _, u := range usesOf(stack, role.address) {
			if u.by.kind() == "aws_db_instance" {
				v.want(strings.HasPrefix(u.by.text("identifier"), stackName(stack)),
					role.address, "does not trust the monitoring of %s, whose name begins otherwise", u.by.address)
			}
		}
	}
	return v
}

var (
	writingLogs = []string{"logs:CreateLogStream", "logs:PutLogEvents"}
	pulling     = []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetAuthorizationToken",
		"ecr:GetDownloadUrlForLayer",
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html, with a log group
	// and a key of our own
	sessions = []string{
		"kms:Decrypt", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
		"ssmmessages:OpenDataChannel",
	}
	// functions/backup: what it calls, its failures' way to the topic, and its environment's key
	backupCalls = []string{
		"logs:CreateLogStream", "logs:PutLogEvents",
		"rds:AddTagsToResource", "rds:CreateDBSnapshot", "rds:DeleteDBSnapshot", "rds:DescribeDBSnapshots",
		"kms:Decrypt", "kms:GenerateDataKey", "sns:Publish",
	}
	// functions/database: what it calls, the key of its environment and of the secrets, and what
	// Lambda does with its role to put it into the VPC:
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
	databaseCalls = []string{
		"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue", "kms:Decrypt",
		"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
	}
	rotationCalls = []string{
		"secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
		"kms:GenerateDataKey", "ecs:UpdateService",
	}
	// discovery/aws/ecs.go of Prometheus 3.16, and its configuration
	prometheusCalls = []string{
		"ec2:DescribeNetworkInterfaces", "ecs:DescribeClusters", "ecs:DescribeServices", "ecs:DescribeTasks",
		"ecs:ListServices", "ecs:ListTasks", "s3:GetObject", "s3:GetObjectVersion",
	}
	// The managed policy AmazonRDSEnhancedMonitoringRole
	monitoringCalls = []string{
		"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents",
		"logs:PutLogEvents", "logs:PutRetentionPolicy",
	}
	flowLogCalls = []string{
		"logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
	}
)

// calls are the actions that a role must be allowed, and those that it may. A new right
// is a change here.
func calls(stack tree, role string) (must, may []string) {
	t := taskOf(stack, role)
	switch kindOfUse(stack, role) {
	case "aws_ecs_task_definition.execution_role_arn":
		must = slices.Clone(writingLogs)
		for _, c := range t.containers {
			if strings.Contains(c.text("image"), ".dkr.ecr.") {
				must = append(must, pulling...)
			}
		}
		for _, secret := range secretsOf(t) {
			switch {
			case strings.Contains(secret, ":ssm:"):
				// It may have a key of its own.
				must, may = append(must, "ssm:GetParameters"), append(may, "kms:Decrypt")
			case strings.HasPrefix(secret, "${"):
				must = append(must, "secretsmanager:GetSecretValue", "kms:Decrypt")
			default:
				must, may = append(must, "secretsmanager:GetSecretValue"), append(may, "kms:Decrypt")
			}
		}
	case "aws_ecs_task_definition.task_role_arn":
		if t.service.is("enable_execute_command", true) {
			must = append(must, sessions...)
		}
		if t.name() == "prometheus" {
			must = append(must, prometheusCalls...)
		}
	case "aws_lambda_function.role":
		must = backupCalls
		if len(functionsInside(stack)) > 0 && functionsInside(stack)[0].ref("role") == role {
			must = slices.Clone(databaseCalls)
			if len(things(stack, "aws_secretsmanager_secret")) > 0 {
				must = append(must, rotationCalls...)
			}
		}
	case "aws_flow_log.iam_role_arn":
		must = flowLogCalls
	case "aws_db_instance.monitoring_role_arn":
		must = monitoringCalls
	case "aws_scheduler_schedule.target.role_arn":
		must = []string{"lambda:InvokeFunction"}
	}
	return must, may
}

func rolesDoWhatTheyNeed(stack tree) (v violations) {
	for _, role := range things(stack, "aws_iam_role") {
		must, may := calls(stack, role.address)
		var allowed []string
		for _, g := range permissionsOf(stack, role.address) {
			ours := !g.configured() || !strings.HasPrefix(role.id(), "service_")
			if g.allow && ours {
				allowed = append(allowed, g.actions...)
			}
		}
		for _, action := range must {
			v.want(slices.Contains(allowed, action), role.address, "may not %s, which it needs", action)
		}
		for _, action := range allowed {
			v.want(slices.Contains(must, action) || slices.Contains(may, action),
				role.address, "may %s, which it does not need", action)
		}
		for _, path := range []string{"managed_policy_arns", "inline_policy"} {
			v.want(!role.has(path), role.address, "has rights by %s, which nothing here checks", path)
		}
	}
	for _, policy := range things(stack, "aws_iam_role_policy") {
		v.want(get(stack, policy.ref("role")).kind() == "aws_iam_role", policy.address, "is no role's of this stack")
		v.want(len(grantsIn(stack, policy.at("policy"))) > 0,
			policy.address, "is not written as a document, which could be checked")
	}
	unchecked := []string{
		"aws_iam_role_policy_attachment", "aws_iam_policy", "aws_iam_user", "aws_iam_access_key", "aws_iam_group",
	}
	for _, other := range things(stack, unchecked...) {
		v.want(false, other.address, "gives rights that nothing here checks")
	}
	return v
}

// unnarrowable are the actions that may be allowed for every resource, and why.
var unnarrowable = map[string]string{
	"ecr:GetAuthorizationToken": "a token is for the whole registry",
	"ec2:AssignPrivateIpAddresses": "Lambda wants it so, before it puts a function into a VPC; " +
		"denied to the function's own code",
	"ec2:CreateNetworkInterface":       "likewise",
	"ec2:DeleteNetworkInterface":       "likewise",
	"ec2:DescribeNetworkInterfaces":    "EC2 describes all or nothing",
	"ec2:DescribeSubnets":              "likewise",
	"ec2:UnassignPrivateIpAddresses":   "as AssignPrivateIpAddresses",
	"ecs:ListServices":                 "a list has no resource; bound by the cluster",
	"ecs:ListTasks":                    "likewise",
	"logs:DescribeLogGroups":           "a list has no resource; the agent of ECS exec gives no name",
	"ssmmessages:CreateControlChannel": "channels have no ARN",
	"ssmmessages:CreateDataChannel":    "likewise",
	"ssmmessages:OpenControlChannel":   "likewise",
	"ssmmessages:OpenDataChannel":      "likewise",
}

// listed are those that AWS checks against all resources of a kind, in this account and region.
var listed = []string{"rds:DescribeDBSnapshots"}

var wholeKind = regexp.MustCompile(`^arn:aws:[a-z0-9-]+:[^:]*:[^:]*:[a-z-]+[:/]\*$`)

func rightsAreNarrow(stack tree) (v violations) {
	for _, role := range things(stack, "aws_iam_role") {
		denied := map[string]bool{} // to the code of the role's function
		for _, g := range permissionsOf(stack, role.address) {
			for _, u := range usesOf(stack, role.address) {
				function := region(stack) + ":" + account + ":function:" + u.by.text("function_name")
				itself := "ArnEquals lambda:SourceFunctionArn arn:aws:lambda:" + function
				if !g.allow && slices.Equal(g.when, []string{itself}) {
					for _, action := range g.actions {
						denied[action] = true
					}
				}
			}
		}
		for _, g := range permissionsOf(stack, role.address) {
			v.want(len(g.actions) > 0 && len(g.resources) > 0, g.address, "names no action or no resource")
			if !g.allow {
				continue
			}
			for _, action := range g.actions {
				v.want(!strings.Contains(action, "*"), g.address, "allows %s", action)
				for _, resource := range g.resources {
					v.want(resource != "*" ||
						!strings.Contains(action, "NetworkInterface") ||
						action == "ec2:DescribeNetworkInterfaces" ||
						denied[action],
						g.address, "lets the function's code do %s", action)
					v.want(resource != "*" || unnarrowable[action] != "",
						g.address, "allows %s on every resource", action)
					v.want(!wholeKind.MatchString(resource) || slices.Contains(listed, action) || g.configured(),
						g.address, "allows %s on %s", action, resource)
				}
				if strings.HasPrefix(action, "ecs:List") {
					v.want(slices.Contains(g.when, "ArnEquals ecs:cluster ${aws_ecs_cluster.cluster.arn}"),
						g.address, "allows %s in every cluster", action)
				}
			}
		}
	}
	for _, key := range things(stack, "aws_kms_key") {
		for _, g := range grantsIn(stack, key.at("policy")) {
			for _, action := range g.actions {
				families := []string{"kms:ReEncrypt*", "kms:GenerateDataKey*"}
				root := action == "kms:*" && slices.Equal(g.who, []string{"AWS:arn:aws:iam::" + account + ":root"})
				v.want(!strings.Contains(action, "*") || slices.Contains(families, action) || root,
					g.address, "allows %s to %v", action, g.who)
			}
		}
	}
	for _, document := range sources(stack, "aws_iam_policy_document") {
		for _, s := range document.parts("statement") {
			v.want(!s.has("not_actions") && !s.has("not_resources"), document.address, "allows all but what it names")
			v.want(s.is("effect", "Allow") || s.is("effect", "Deny"),
				document.address, "has a statement without an effect")
		}
	}
	return v
}

// A denial that is to spare somebody uses a condition on aws:PrincipalArn: with NotPrincipal a
// role's sessions are not spared.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func nobodyIsEverybody(stack tree) (v violations) {
	for _, document := range sources(stack, "aws_iam_policy_document") {
		for _, s := range document.parts("statement") {
			v.want(!s.has("not_principals"), document.address, "names whom it is not for")
		}
		for _, g := range grantsIn(stack, "${"+document.address+".json}") {
			for _, who := range g.who {
				v.want(!g.allow || !strings.HasSuffix(who, ":*"), g.address, "is for everybody")
			}
		}
	}
	return v
}

// execLogging is where a cluster says how the sessions of ECS Exec are logged.
const execLogging = "configuration.execute_command_configuration.log_configuration."

// ownLogs are the log groups that a role's user writes to.
func ownLogs(stack tree, role string) []string {
	var groups []string
	for _, u := range usesOf(stack, role) {
		switch u.by.kind() + "." + u.path {
		case "aws_ecs_task_definition.execution_role_arn":
			for _, c := range taskOf(stack, role).containers {
				groups = append(groups, c.refs("logConfiguration.options.awslogs-group")...)
			}
		case "aws_ecs_task_definition.task_role_arn":
			for _, cluster := range things(stack, "aws_ecs_cluster") {
				groups = append(groups, cluster.refs(execLogging+"cloud_watch_log_group_name")...)
			}
		case "aws_lambda_function.role":
			if group, ok := logGroup(stack, "/aws/lambda/"+u.by.text("function_name")); ok {
				groups = append(groups, group.address)
			}
		case "aws_flow_log.iam_role_arn":
			groups = append(groups, u.by.refs("log_destination")...)
		}
	}
	return groups
}

// logGroup finds a log group by its name in AWS.
func logGroup(stack tree, name string) (thing, bool) {
	for _, group := range things(stack, "aws_cloudwatch_log_group") {
		if resolved(stack, group.text("name")) == name {
			return group, true
		}
	}
	return thing{}, false
}

// RDSOSMetrics is the one group that is not ours: RDS makes it, for the whole account.
func logsAreWrittenByTheirOwn(stack tree) (v violations) {
	for _, role := range things(stack, "aws_iam_role") {
		monitoring := kindOfUse(stack, role.address) == "aws_db_instance.monitoring_role_arn"
		own := ownLogs(stack, role.address)
		for _, g := range permissionsOf(stack, role.address) {
			v.want(monitoring || !slices.Contains(g.actions, "logs:CreateLogGroup"),
				g.address, "makes log groups, which have no end and no key then")
			writes := slices.ContainsFunc(g.actions, func(action string) bool {
				return strings.HasPrefix(action, "logs:") && action != "logs:DescribeLogGroups"
			})
			if !writes {
				continue
			}
			for _, resource := range g.resources {
				rds := strings.HasPrefix(resource, "arn:aws:logs:"+region(stack)+":"+account+":log-group:RDSOSMetrics")
				groups := slices.DeleteFunc(references(resource), func(address string) bool {
					return !strings.HasPrefix(address, "aws_cloudwatch_log_group.")
				})
				mine := len(groups) == 1 && slices.Contains(own, groups[0])
				v.want(mine && !monitoring || rds && monitoring,
					g.address, "is for %s, and %s writes to %v", resource, role.address, own)
			}
		}
	}
	return v
}

// secretsOf are the secrets of a task's containers, without the JSON key, stage and version that
// may follow a secret's ARN.
func secretsOf(t runningTask) []string {
	var secrets []string
	for _, c := range t.containers {
		for _, from := range variables(c, "secrets", "valueFrom") {
			if expression := interpolation.FindString(from); expression != "" {
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

func secretsAreOwn(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		role := t.definition.ref("execution_role_arn")
		var readable []string
		for _, g := range permissionsOf(stack, role) {
			if g.allows("secretsmanager:GetSecretValue") || g.allows("ssm:GetParameters") {
				readable = append(readable, g.resources...)
			}
			bound := len(g.when) > 0 && strings.HasPrefix(g.when[0], "StringEquals kms:ViaService ")
			v.want(!g.allows("kms:Decrypt") || bound,
				g.address, "decrypts anything, not only secrets: wants kms:ViaService")
		}
		slices.Sort(readable)
		v.want(slices.Equal(slices.Compact(readable), secretsOf(t)),
			role, "reads %v, and %s has %v", readable, t.name(), secretsOf(t))
	}
	return v
}

// keysComeWithWhatTheyLock: a part of a multipart upload is encrypted with a key that S3 has to
// decrypt first, so who writes needs Decrypt too; a publisher needs both as well.
func keysComeWithWhatTheyLock(stack tree) (v violations) {
	read, write := []string{"kms:Decrypt"}, []string{"kms:Decrypt", "kms:GenerateDataKey"}
	needs := map[string][]string{
		"s3:GetObject":                  read,
		"s3:PutObject":                  write,
		"sns:Publish":                   write,
		"secretsmanager:GetSecretValue": read,
	}
	for _, role := range things(stack, "aws_iam_role") {
		grants := permissionsOf(stack, role.address)
		may := func(action, key string) bool {
			return slices.ContainsFunc(grants, func(g grant) bool {
				return g.allows(action) && slices.Contains(references(g.resources), key)
			})
		}
		for _, g := range grants {
			for _, action := range g.actions {
				for _, kms := range needs[action] {
					for _, locked := range references(g.resources) {
						if key := keyOf(stack, locked); key != "" {
							v.want(may(kms, key),
								role.address, "may %s %s, but not %s with %s", action, locked, kms, key)
						}
					}
				}
			}
		}
		for _, u := range usesOf(stack, role.address) {
			if key := u.by.ref("kms_key_arn"); key != "" && u.by.has("environment") {
				v.want(may("kms:Decrypt", key), role.address, "may not decrypt the environment of %s", u.by.address)
			}
		}
	}
	return v
}

// keyOf is the key that a bucket, a topic, or a database's secret is encrypted with; empty if it is
// not one of ours.
func keyOf(stack tree, address string) string {
	switch r := get(stack, address); r.kind() {
	case "aws_s3_bucket":
		encryptions := things(stack, "aws_s3_bucket_server_side_encryption_configuration")
		for _, encryption := range referring(encryptions, "bucket", address) {
			return encryption.ref("rule.0.apply_server_side_encryption_by_default.kms_master_key_id")
		}
	case "aws_sns_topic":
		return r.ref("kms_master_key_id")
	case "aws_db_instance":
		return r.ref("master_user_secret_kms_key_id")
	case "aws_secretsmanager_secret":
		return r.ref("kms_key_id")
	}
	return ""
}

// ---- Keys, and the topic ------------------------------------------------------------------------

var keyInvariants = []invariant{
	{
		promise: "a key's policy names the account, and the services that use it on their own account",
		check:   keyPoliciesAreNarrow,
		broken: []damage{
			{name: "the account's administrators are shut out", stack: "prod",
				breaks: change("data.aws_iam_policy_document.database_key_policy", "statement", []any{}),
				found:  "aws_kms_key.database_key"},
			{name: "a role, which may not exist yet", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.1.principals.0",
					tree{"type": "AWS", "identifiers": []any{"${aws_iam_role.backup_function_role.arn}"}}),
				found: "aws_kms_key.alerts_key"},
			{name: "a service-linked role", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.1.principals.0", tree{
					"type": "AWS",
					"identifiers": []any{
						"arn:aws:iam::" + account +
							":role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
					},
				}),
				found: "aws_kms_key.alerts_key"},
			{name: "log groups of every account", stack: "prod",
				breaks: unset(logsKeyDocument, "statement.1.condition"), found: "aws_kms_key.logs_key"},
			{name: "a condition that EventBridge does not send", stack: "prod",
				breaks: add(alertsKeyDocument, "statement.2.condition",
					[]any{tree{"test": "StringEquals", "variable": "aws:SourceAccount", "values": []any{account}}}),
				found: "aws_kms_key.alerts_key"},
			{name: "alarms of every account", stack: "prod",
				breaks: unset(alertsKeyDocument, "statement.1.condition"), found: "aws_kms_key.alerts_key"},
			{name: "a resource, which a key's policy has not", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.1.resources.0", "${aws_sns_topic.alerts_topic.arn}"),
				found:  "aws_kms_key.alerts_key"},
			{name: "another service", stack: "dev",
				breaks: change(logsKeyDocument, "statement.1.principals.0.identifiers.0", "s3.amazonaws.com"),
				found:  "aws_kms_key.logs_key"},
		},
	},
	{
		promise: "a key admits whoever uses it on their own account",
		check:   keysAdmitTheirUsers,
		broken: []damage{
			{name: "CloudWatch Logs may only encrypt", stack: "prod",
				breaks: change(logsKeyDocument, "statement.1.actions", []any{"kms:Encrypt"}),
				found:  "aws_kms_key.logs_key"},
			{name: "log groups have a key that does not know them", stack: "prod",
				breaks: change("aws_cloudwatch_log_group.exec_log_group", "kms_key_id",
					"${aws_kms_key.services_key.arn}"),
				found: "aws_kms_key.services_key"},
			{name: "RDS' events are dropped", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.2.principals.1.identifiers.0", "events.amazonaws.com"),
				found:  "aws_kms_key.alerts_key"},
			{name: "alarms are dropped", stack: "dev",
				breaks: change(alertsKeyDocument, "statement.1.actions", []any{"kms:Decrypt"}),
				found:  "aws_kms_key.alerts_key"},
		},
	},
	{
		promise: "keys are renewed every year, have a name, and do not go at once",
		check:   keysAreKept,
		broken: []damage{
			{name: "not renewed", stack: "prod",
				breaks: change("aws_kms_key.logs_key", "enable_key_rotation", false), found: "aws_kms_key.logs_key"},
			{name: "no name", stack: "prod",
				breaks: drop("aws_kms_alias.logs_key_alias"), found: "aws_kms_key.logs_key"},
			{name: "less than AWS' seven days", stack: "dev",
				breaks: change("aws_kms_key.logs_key", "deletion_window_in_days", 1.0), found: "aws_kms_key.logs_key"},
			{name: "AWS' default policy", stack: "prod",
				breaks: unset("aws_kms_key.backup_key", "policy"), found: "aws_kms_key.backup_key"},
		},
	},
	{
		promise: "the topic admits whoever publishes to it, and nobody else",
		check:   topicAdmitsPublishers,
		broken: []damage{
			{name: "an alarm whose name the condition leaves out", stack: "prod",
				breaks: change("aws_cloudwatch_metric_alarm.backup_age_alarm", "alarm_name", "backup-age"),
				found:  "aws_cloudwatch_metric_alarm.backup_age_alarm"},
			{name: "a rule whose name it leaves out", stack: "prod",
				breaks: change("aws_cloudwatch_event_rule.deployment_failed_rule", "name", "deployments"),
				found:  "aws_cloudwatch_event_rule.deployment_failed_rule"},
			{name: "events are not let in", stack: "prod",
				breaks: change(topicDocument, "statement.1.principals.0.identifiers.0", "sns.amazonaws.com"),
				found:  "aws_sns_topic.alerts_topic"},
			{name: "RDS' events are not let in", stack: "dev",
				breaks: change(topicDocument, "statement.2.effect", "Deny"), found: "aws_sns_topic.alerts_topic"},
			{name: "alarms of other accounts", stack: "dev",
				breaks: unset(topicDocument, "statement.0.condition"), found: "aws_sns_topic.alerts_topic"},
			{name: "more than publishing", stack: "dev",
				breaks: change(topicDocument, "statement.0.actions", []any{"sns:Publish", "sns:Subscribe"}),
				found:  "aws_sns_topic.alerts_topic"},
			{name: "on another topic", stack: "dev",
				breaks: change(topicDocument, "statement.0.resources.0", "*"), found: "aws_sns_topic.alerts_topic"},
			{name: "no policy, so that AWS' own holds", stack: "dev",
				breaks: drop("aws_sns_topic_policy.alerts_topic_policy"), found: "aws_sns_topic.alerts_topic"},
			{name: "without TLS", stack: "dev",
				breaks: change(topicDocument, "statement.3.condition", []any{}), found: "aws_sns_topic.alerts_topic"},
		},
	},
	{
		promise: "what keeps data is encrypted with a key of this stack",
		check:   dataHasAKey,
		broken: []damage{
			{name: "the topic has none", stack: "prod",
				breaks: unset("aws_sns_topic.alerts_topic", "kms_master_key_id"), found: "aws_sns_topic.alerts_topic"},
			{name: "the topic has AWS' own, which CloudWatch cannot use", stack: "prod",
				breaks: change("aws_sns_topic.alerts_topic", "kms_master_key_id", "alias/aws/sns"),
				found:  "aws_sns_topic.alerts_topic"},
			{name: "the database's disk is not encrypted", stack: "prod",
				breaks: change("aws_db_instance.database", "storage_encrypted", false),
				found:  "aws_db_instance.database"},
			{name: "the database's disk has AWS' own key", stack: "prod",
				breaks: unset("aws_db_instance.database", "kms_key_id"), found: "aws_db_instance.database"},
			{name: "its secret has AWS' own key", stack: "prod",
				breaks: unset("aws_db_instance.database", "master_user_secret_kms_key_id"),
				found:  "aws_db_instance.database"},
			{name: "the repository has AWS' own key", stack: "a service with everything",
				breaks: change("aws_ecr_repository.service_web_repository",
					"encryption_configuration.0.encryption_type", "AES256"),
				found: "aws_ecr_repository.service_web_repository"},
			{name: "sessions have none", stack: "dev",
				breaks: unset("aws_ecs_cluster.cluster", "configuration.execute_command_configuration.kms_key_id"),
				found:  "aws_ecs_cluster.cluster"},
			{name: "sessions are logged in the clear", stack: "dev",
				breaks: change("aws_ecs_cluster.cluster",
					execLogging+"cloud_watch_encryption_enabled", false),
				found: "aws_ecs_cluster.cluster"},
			{name: "the function's environment has none", stack: "dev",
				breaks: unset("aws_lambda_function.backup_function", "kms_key_arn"),
				found:  "aws_lambda_function.backup_function"},
		},
	},
}

var rootOfAccount = "AWS:arn:aws:iam::" + account + ":root"

// keyUsers are the services that may be in a key's policy, and on which conditions. EventBridge and
// RDS' events send KMS no source account: with a condition on it they would be refused, and their
// messages dropped without a word.
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
func keyUsers(stack tree) map[string][]string {
	logGroups := "arn:aws:logs:" + region(stack) + ":" + account + ":log-group:*"
	return map[string][]string{
		rootOfAccount: nil,
		"Service:logs." + region(stack) + ".amazonaws.com": {
			"ArnLike kms:EncryptionContext:aws:logs:arn " + logGroups,
		},
		"Service:cloudwatch.amazonaws.com": {"StringEquals aws:SourceAccount " + account},
		"Service:events.amazonaws.com":     nil,
		"Service:events.rds.amazonaws.com": nil,
	}
}

func keyPoliciesAreNarrow(stack tree) (v violations) {
	for _, key := range things(stack, "aws_kms_key") {
		root := false
		for _, g := range grantsIn(stack, key.at("policy")) {
			root = root || slices.Equal(g.who, []string{rootOfAccount}) && g.allows("kms:*") && len(g.when) == 0
			for _, who := range g.who {
				when, known := keyUsers(stack)[who]
				v.want(known, key.address, "is for %s", who)
				v.want(!known || slices.Equal(g.when, when),
					key.address, "is for %s on %q, wants %q", who, g.when, when)
			}
			v.want(slices.Equal(g.resources, []string{"*"}),
				key.address, "wants *, which is the key itself, has %v", g.resources)
		}
		v.want(root, key.address, "does not leave it to IAM, and a lost role is a lost key")
	}
	return v
}

// publishers are the services that publish to a topic by themselves, with what they do it for.
func publishers(stack tree, topic string) map[string][]thing {
	who := map[string][]thing{}
	for _, a := range things(stack, "aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm") {
		if slices.Contains(a.refs("alarm_actions"), topic) {
			who["cloudwatch.amazonaws.com"] = append(who["cloudwatch.amazonaws.com"], a)
		}
	}
	for _, target := range referring(things(stack, "aws_cloudwatch_event_target"), "arn", topic) {
		who["events.amazonaws.com"] = append(who["events.amazonaws.com"], get(stack, target.ref("rule")))
	}
	for _, subscription := range referring(things(stack, "aws_db_event_subscription"), "sns_topic", topic) {
		for _, database := range subscription.refs("source_ids") {
			who["events.rds.amazonaws.com"] = append(who["events.rds.amazonaws.com"], get(stack, database))
		}
	}
	return who
}

func keysAdmitTheirUsers(stack tree) (v violations) {
	admits := func(key, service string, actions ...string) {
		for _, action := range actions {
			grants := grantsIn(stack, get(stack, key).at("policy"))
			admitted := slices.ContainsFunc(grants, func(g grant) bool {
				return g.allows(action) && slices.Contains(g.who, "Service:"+service)
			})
			v.want(admitted, key, "does not let %s do %s", service, action)
		}
	}
	for _, group := range things(stack, "aws_cloudwatch_log_group") {
		if key := group.ref("kms_key_id"); key != "" {
			admits(key, "logs."+region(stack)+".amazonaws.com",
				"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey")
		}
	}
	for _, topic := range things(stack, "aws_sns_topic") {
		for service := range publishers(stack, topic.address) {
			admits(topic.ref("kms_master_key_id"), service, "kms:Decrypt", "kms:GenerateDataKey*")
		}
	}
	slices.Sort(v)
	return v
}

func keysAreKept(stack tree) (v violations) {
	for _, key := range things(stack, "aws_kms_key") {
		v.want(key.is("enable_key_rotation", true), key.address, "is never renewed")
		v.want(key.number("deletion_window_in_days") >= 7 && key.number("deletion_window_in_days") <= 30,
			key.address, "wants 7 to 30 days before it goes")
		v.want(len(grantsIn(stack, key.at("policy"))) > 0,
			key.address, "has no policy in line, so there is a moment with AWS' own")
		v.want(len(referring(things(stack, "aws_kms_alias"), "target_key_id", key.address)) == 1,
			key.address, "has no name")
	}
	return v
}

func topicAdmitsPublishers(stack tree) (v violations) {
	names := map[string]string{
		"cloudwatch.amazonaws.com": "alarm_name",
		"events.amazonaws.com":     "name",
		"events.rds.amazonaws.com": "identifier",
	}
	for _, topic := range things(stack, "aws_sns_topic") {
		policies := referring(things(stack, "aws_sns_topic_policy"), "arn", topic.address)
		v.want(len(policies) == 1, topic.address, "has no policy of its own")
		tls := false
		var grants []grant
		for _, policy := range policies {
			grants = append(grants, grantsIn(stack, policy.at("policy"))...)
		}
		// The beginning of the names that a service may publish for.
		admitted := map[string]string{}
		for _, g := range grants {
			if !g.allow {
				tls = tls || slices.Equal(g.when, []string{"Bool aws:SecureTransport false"})
				continue
			}
			v.want(slices.Equal(g.actions, []string{"sns:Publish"}), topic.address, "lets %v do %v", g.who, g.actions)
			v.want(slices.Equal(g.resources, []string{"${" + topic.address + ".arn}"}),
				topic.address, "has rights to %v in its policy", g.resources)
			own := len(g.when) == 1 &&
				strings.HasPrefix(g.when[0], "ArnLike aws:SourceArn arn:aws:") &&
				strings.Contains(g.when[0], ":"+region(stack)+":"+account+":")
			// RDS: which ARN it gives as the source is not documented for certain, the account is.
			whole := slices.Equal(g.who, []string{"Service:events.rds.amazonaws.com"}) &&
				slices.Equal(g.when, []string{"StringEquals aws:SourceAccount " + account})
			own = own || whole
			v.want(own, topic.address, "lets %v of any account publish: %q", g.who, g.when)
			for _, who := range g.who {
				switch {
				case whole:
					admitted[strings.TrimPrefix(who, "Service:")] = "*"
				case own:
					last := g.when[0][strings.LastIndexAny(g.when[0], ":/")+1:]
					admitted[strings.TrimPrefix(who, "Service:")] = last
				}
			}
		}
		v.want(tls, topic.address, "takes messages without TLS")
		for service, sources := range publishers(stack, topic.address) {
			prefix, ok := admitted[service]
			v.want(ok, topic.address, "does not let %s publish", service)
			for _, source := range sources {
				name := source.text(names[service])
				v.want(!ok || strings.HasPrefix(name, strings.TrimSuffix(prefix, "*")),
					source.address, "is called %s, and the topic takes %s", name, prefix)
			}
			delete(admitted, service)
		}
		v.want(len(admitted) == 0, topic.address, "lets %v publish, who has nothing to say", admitted)
	}
	return v
}

// locks are the arguments that name a key, by kind. Buckets have an invariant of their own, since
// access logs take none.
var locks = map[string][]string{
	"aws_cloudwatch_log_group":  {"kms_key_id"},
	"aws_db_instance":           {"kms_key_id", "master_user_secret_kms_key_id", "performance_insights_kms_key_id"},
	"aws_ecr_repository":        {"encryption_configuration.0.kms_key"},
	"aws_ecs_cluster":           {"configuration.execute_command_configuration.kms_key_id"},
	"aws_lambda_function":       {"kms_key_arn"},
	"aws_s3_object":             {"kms_key_id"},
	"aws_secretsmanager_secret": {"kms_key_id"},
	"aws_sns_topic":             {"kms_master_key_id"},
}

func dataHasAKey(stack tree) (v violations) {
	for _, r := range things(stack) {
		for _, path := range locks[r.kind()] {
			v.want(get(stack, r.ref(path)).kind() == "aws_kms_key",
				r.address, "wants a key of ours in %s, has %v", path, r.at(path))
		}
	}
	for _, database := range things(stack, "aws_db_instance") {
		v.want(database.is("storage_encrypted", true), database.address, "has a disk in the clear")
	}
	for _, repository := range things(stack, "aws_ecr_repository") {
		v.want(repository.is("encryption_configuration.0.encryption_type", "KMS"),
			repository.address, "is not encrypted with a key")
	}
	for _, cluster := range things(stack, "aws_ecs_cluster") {
		v.want(cluster.is(execLogging+"cloud_watch_encryption_enabled", true),
			cluster.address, "logs sessions in the clear")
	}
	return v
}

// ---- Secrets ------------------------------------------------------------------------------------

var secretInvariants = []invariant{
	{
		promise: "no secret stands in the JSON, which goes into the state and to whoever reads it",
		check:   noSecrets,
		broken: []damage{
			{name: "the database's password", stack: "prod",
				breaks: add("aws_db_instance.database", "password", "hunter2"), found: "aws_db_instance.database"},
			{name: "a secret's value", stack: "dev",
				breaks: put("aws_secretsmanager_secret_version.web", tree{"secret_string": "hunter2"}),
				found:  "aws_secretsmanager_secret_version.web"},
			{name: "a variable of a container", stack: "prod",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["environment"] = append(c["environment"].([]any), tree{"name": "API_TOKEN", "value": "hunter2"})
				}),
				found: webDefinition},
			{name: "PGPASSWORD in the clear", stack: "prod",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["environment"] = append(c["environment"].([]any), tree{"name": "PGPASSWORD", "value": "hunter2"})
				}),
				found: webDefinition},
			{name: "a secret written where its ARN should be", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("secrets", []any{tree{"name": "PGPASSWORD", "valueFrom": "hunter2"}})),
				found: webDefinition},
			{name: "a variable of the function", stack: "prod",
				breaks: add("aws_lambda_function.backup_function", "environment.variables.DB_PASSWORD", "hunter2"),
				found:  "aws_lambda_function.backup_function"},
			{name: "an access key in a command", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("command", []any{"--id", "AKIAIOSFODNN7EXAMPLE"})),
				found:  webDefinition},
			{name: "a URL with a password", stack: "dev",
				breaks: add("aws_lambda_function.backup_function", "environment.variables.HOOK",
					"https://me:hunter2@example.com"),
				found: "aws_lambda_function.backup_function"},
			{name: "a private key", stack: "dev",
				breaks: change("aws_s3_object.prometheus_configuration", "content", "-----BEGIN RSA PRIVATE KEY-----"),
				found:  "aws_s3_object.prometheus_configuration"},
			{name: "an output", stack: "dev",
				breaks: func(stack tree) {
					stack["output"].(tree)["password"] = tree{"value": "${aws_db_instance.database.password}"}
				},
				found: "output.password"},
		},
	},
	{
		promise: "RDS makes the master's password and keeps it",
		check:   passwordIsRDSs,
		broken: []damage{
			{name: "it does not", stack: "prod",
				breaks: change("aws_db_instance.database", "manage_master_user_password", false),
				found:  "aws_db_instance.database"},
			{name: "nor for a restored one", stack: "a restored database",
				breaks: unset("aws_db_instance.database_restored_migrated", "manage_master_user_password"),
				found:  "aws_db_instance.database_restored_migrated"},
			{name: "somebody else makes one", stack: "prod",
				breaks: add(database, "password", "hunter2"), found: database},
		},
	},
	{
		// RDS rotates it every seven days and ECS reads secrets when a task starts: within a week a
		// service that runs would lose its database.
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html
		promise: "no task holds the master's password",
		check:   mastersPasswordIsNotHanded,
		broken: []damage{
			{name: "Prometheus gets it", stack: "prod",
				breaks: inContainer(prometheusDefinition, "prometheus", with("secrets", []any{tree{
					"name":      "PGPASSWORD",
					"valueFrom": "${aws_db_instance.database.master_user_secret[0].secret_arn}:password::",
				}})),
				found: "aws_ecs_task_definition.prometheus_task_definition"},
		},
	},
}

var (
	secretArgument = regexp.MustCompile(`(^|_)(password|passwd|secret_string|secret_binary|` +
		`auth_token|access_token|secret_key|access_key|private_key)(_wo)?$`)
	secretVariable = regexp.MustCompile(`(?i)PASSWORD|PASSWD|SECRET|TOKEN|KEY|CREDENTIAL`)
	secretValue    = regexp.MustCompile(`AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|` +
		`[a-z]://[^/\s:@"$]+:[^/\s@"$]+@`)
	secretARNs = regexp.MustCompile(`^(arn:aws:(secretsmanager|ssm):|\$\{aws_[a-z_]+\.[a-z0-9_]+\.)`)
)

func noSecrets(stack tree) (v violations) {
	for _, r := range append(things(stack), sources(stack)...) {
		eachString(r.body, func(path, text string) {
			last := path[strings.LastIndexByte(path, '.')+1:]
			v.want(!secretArgument.MatchString(last) || text == "", r.address, "has a value in %s", path)
			v.want(!secretValue.MatchString(text), r.address, "has what looks like a secret in %s", path)
		})
	}
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			for name := range variables(c, "environment", "value") {
				v.want(!secretVariable.MatchString(name), c.address, "has %s in its environment", name)
			}
			for name, from := range variables(c, "secrets", "valueFrom") {
				v.want(secretARNs.MatchString(from), c.address, "wants a reference for %s", name)
			}
		}
	}
	for _, function := range things(stack, "aws_lambda_function") {
		of, _ := function.at("environment.variables").(tree)
		for name, value := range of {
			v.want(!secretVariable.MatchString(name) ||
				strings.HasSuffix(name, "_ARN") && secretARNs.MatchString(fmt.Sprint(value)),
				function.address, "has %s in its environment", name)
		}
	}
	for name, output := range asTree(stack["output"]) {
		value := fmt.Sprint(asTree(output)["value"])
		v.want(!strings.Contains(value, "password") && !secretValue.MatchString(value),
			"output."+name, "tells a password")
	}
	slices.Sort(v)
	return v
}

func asTree(value any) tree {
	t, _ := value.(tree)
	return t
}

func passwordIsRDSs(stack tree) (v violations) {
	for _, database := range things(stack, "aws_db_instance") {
		v.want(database.is("manage_master_user_password", true), database.address, "has a password of whose making?")
		v.want(!database.has("password") && !database.has("password_wo"), database.address, "has a password")
	}
	return v
}

func mastersPasswordIsNotHanded(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			for name, from := range variables(c, "secrets", "valueFrom") {
				v.want(!strings.Contains(from, "master_user_secret"),
					c.address, "holds the master's password in %s", name)
			}
		}
	}
	return v
}
