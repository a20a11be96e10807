package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	"platform/internal/stacktest"
)

const databaseMonitoringPolicy = "aws_iam_role_policy.database_monitoring_role_policy"

// IAM accepts a policy with misspelled actions, which then allows nothing. No call fails before
// something is denied at run time.
var policyPromises = []stacktest.Promise{{
	Name:  "policies name actions that AWS has, and resources that these actions support",
	Check: policyActionsExist,
	BrokenBy: []stacktest.Break{{
		Name:  "an action of the backup function's role is misspelled",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Action",
			[]any{"rds:DeleteDbSnapshots"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the schedule's role allows an action by the name of its API",
		Stack: "prod",
		By:    stacktest.Set(backupSchedulePolicy, "policy.Statement[Sid=Call].Action", []any{"lambda:Invoke"}),
		Found: backupSchedulePolicy,
	}, {
		Name:  "an action has the prefix of no service",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=Cluster].Action",
			[]any{"elasticcontainerservice:DescribeClusters"},
		),
		Found: prometheusPolicy,
	}, {
		Name:  "a key policy names a family of actions that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			alertsKey, "policy.Statement[Sid=CloudWatchAlarms].Action",
			[]any{"kms:Decrypt", "kms:GenerateDataKeys*"},
		),
		Found: alertsKey,
	}, {
		Name:  "an action in a trust policy is misspelled",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, "assume_role_policy.Statement[Sid=Trust].Action",
			[]any{"sts:AssumeRoles"},
		),
		Found: webExecutionRole,
	}, {
		Name:  "an action in the topic policy does not exist",
		Stack: "prod",
		By:    stacktest.Set(alertsTopicPolicy, "policy.Statement[Sid=Alarms].Action", []any{"sns:PublishMessage"}),
		Found: alertsTopicPolicy,
	}, {
		Name:  "a role reads the objects of a bucket but names the bucket instead of its objects",
		Stack: "dev",
		By: stacktest.Append(prometheusPolicy, "policy.Statement", map[string]any{
			"Sid": "Backups", "Effect": "Allow", "Action": []any{"s3:GetObject"},
			"Resource": []any{arnOf(backupBucket)},
		}),
		Found: prometheusPolicy,
	}, {
		Name:  "the backup function's role names a log group without its log streams",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Log].Resource",
			[]any{"${aws_cloudwatch_log_group.backup_function_log_group.arn}"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "the monitoring role names a log group by an ARN that its action does not support",
		Stack: "prod",
		By: stacktest.Set(
			databaseMonitoringPolicy, "policy.Statement[Sid=Group].Resource",
			[]any{"arn:aws:logs:eu-central-1:" + callerAccount + ":log-group:RDSOSMetrics"},
		),
		Found: databaseMonitoringPolicy,
	}, {
		Name:  "a statement names a resource for an action that supports none",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=List].Resource",
			[]any{"${aws_ecs_cluster.cluster.arn}"},
		),
		Found: prometheusPolicy,
	}, {
		Name:  "a statement names a cluster for actions on services and tasks",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=Describe].Resource",
			[]any{"${aws_ecs_cluster.cluster.arn}"},
		),
		Found: prometheusPolicy,
	}, {
		Name:  "a statement names a resource that none of its actions support",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			[]any{
				"arn:aws:rds:eu-central-1:" + callerAccount + ":snapshot:platform-prod-scheduled-*",
				"${aws_db_instance.database.arn}",
			},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a key policy has a statement that cannot be read",
		Stack: "prod",
		By:    stacktest.Set("aws_kms_key.logs_key", "policy", `{"Statement":[{"Action":"kms:Everything"}]}`),
		Found: logsKey,
	}},
}, {
	Name:  "conditions use keys that the request contains, with operators of the key's type",
	Check: policyConditionsExist,
	BrokenBy: []stacktest.Break{{
		Name:  "a condition's key is misspelled",
		Stack: "dev",
		By: stacktest.Set(
			prometheusPolicy, "policy.Statement[Sid=List].Condition",
			map[string]any{"ArnEquals": map[string]any{"ecs:clusterArn": []any{"${aws_ecs_cluster.cluster.arn}"}}},
		),
		Found: prometheusPolicy,
	}, {
		Name:  "a condition has a global key that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Condition",
			map[string]any{"StringEquals": map[string]any{"aws:SourceAccountId": []any{callerAccount}}},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a condition has a key that one of the actions does not send",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition",
			map[string]any{"StringEquals": map[string]any{"kms:ViaService": []any{"platform-prod"}}},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a condition has a tag for an action on resources without tags",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Action",
			[]any{"rds:DeleteDBSnapshot", "ec2:DescribeNetworkInterfaces"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a condition has an operator that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition",
			map[string]any{"StringEqual": map[string]any{"aws:ResourceTag/BackupOf": []any{"platform-prod"}}},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a condition compares a string with an operator for numbers",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Condition",
			map[string]any{"NumericEquals": map[string]any{"aws:SourceAccount": []any{callerAccount}}},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a condition compares a boolean with another word",
		Stack: "prod",
		By: stacktest.Set(
			alertsTopicPolicy, "policy.Statement[Sid=TLSOnly].Condition.Bool.aws:SecureTransport",
			[]any{"no"},
		),
		Found: alertsTopicPolicy,
	}, {
		Name:  "a condition compares an ARN with a value that is no ARN",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Condition.ArnLike.aws:SourceArn",
			[]any{"ecs:eu-central-1:" + callerAccount + ":*"},
		),
		Found: webExecutionRole,
	}, {
		Name:  "a condition has a wildcard for an operator that takes it literally",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition.StringEquals.aws:ResourceTag/BackupOf",
			[]any{"platform-*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "a condition has no value",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Condition.StringEquals.aws:ResourceTag/BackupOf",
			[]any{},
		),
		Found: backupFunctionPolicy,
	}},
}, {
	Name:  "principals are service principals of AWS, or accounts",
	Check: policyPrincipalsExist,
	BrokenBy: []stacktest.Break{{
		Name:  "a service principal is misspelled",
		Stack: "prod",
		By:    stacktest.Set(webExecutionRole, trustStatement+".Principal.Service", []any{"ecs-task.amazonaws.com"}),
		Found: webExecutionRole,
	}, {
		Name:  "a service principal is the name of the service's API",
		Stack: "prod",
		By: stacktest.Set(
			alertsTopicPolicy, "policy.Statement[Sid=Alarms].Principal.Service",
			[]any{"monitoring.amazonaws.com"},
		),
		Found: alertsTopicPolicy,
	}, {
		Name:  "a service principal belongs to another region",
		Stack: "prod",
		By: stacktest.Set(
			logsKey, "policy.Statement[Sid=CloudWatchLogs].Principal.Service",
			[]any{"logs.us-east-1.amazonaws.com"},
		),
		Found: logsKey,
	}, {
		Name:  "an account is named by its number alone",
		Stack: "prod",
		By:    stacktest.Set(logsKey, "policy.Statement[Sid=Account].Principal.AWS", []any{callerAccount}),
		Found: logsKey,
	}, {
		Name:  "a principal has a type that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			webExecutionRole, trustStatement+".Principal",
			map[string]any{"Services": []any{"ecs-tasks.amazonaws.com"}},
		),
		Found: webExecutionRole,
	}},
}, {
	Name:  "ARNs have the format of their service",
	Check: arnsAreWellFormed,
	BrokenBy: []stacktest.Break{{
		Name:  "an ARN lacks the region",
		Stack: "prod",
		By: stacktest.Set(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			[]any{"arn:aws:rds:" + callerAccount + ":snapshot:platform-prod-scheduled-*"},
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN has an unknown partition",
		Stack: "prod",
		By: stacktest.Replace(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			"arn:aws:",
			"arn:amazon:",
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN has an unknown service",
		Stack: "prod",
		By:    stacktest.Replace(backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource", ":rds:", ":database:"),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN has an empty region",
		Stack: "prod",
		By:    stacktest.Replace(backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource", ":eu-central-1:", "::"),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN of IAM has a region",
		Stack: "prod",
		By: stacktest.Replace(
			alertsKey, "policy.Statement[Sid=Account].Principal.AWS",
			"iam::",
			"iam:eu-central-1:",
		),
		Found: alertsKey,
	}, {
		Name:  "an ARN has a name instead of an account number",
		Stack: "prod",
		By: stacktest.Replace(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			callerAccount,
			"platform",
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN of RDS has a slash instead of a colon",
		Stack: "prod",
		By: stacktest.Replace(
			backupFunctionPolicy, "policy.Statement[Sid=Prune].Resource",
			":snapshot:",
			":snapshot/",
		),
		Found: backupFunctionPolicy,
	}, {
		Name:  "an ARN among a container's secrets has an unknown resource type",
		Stack: "a service with everything",
		By: stacktest.Replace(
			webTask, "container_definitions[name=web].secrets[name=LICENCE].valueFrom",
			":parameter/web",
			":param/web",
		),
		Found: webTask,
	}, {
		Name:  "an ARN in an event pattern has an unknown resource type",
		Stack: "prod",
		By:    stacktest.Replace(deploymentFailedRule, "event_pattern.resources.prefix", ":service/", ":services/"),
		Found: deploymentFailedRule,
	}, {
		Name:  "the ARN of a certificate has a name instead of an id",
		Stack: "production, to be destroyed",
		By: stacktest.Set(
			httpsListener, "certificate_arn",
			"arn:aws:acm:eu-central-1:123456789012:certificate/mine",
		),
		Found: "aws_lb_listener.https_listener",
	}},
}}

// authorization is testdata/iam.json: the entries of the Service Authorization Reference for the
// actions and condition keys that the policies use.
var authorization = sync.OnceValue(func() (table struct {
	// The ARNs that an action supports; none, if it supports only all resources.
	Actions map[string][]string
	Keys    map[string]keyReference
}) {
	content, err := os.ReadFile("testdata/iam.json")
	if err == nil {
		err = json.Unmarshal(content, &table)
	}
	if err != nil {
		panic(err)
	}
	return table
})

// keyReference is what the reference says about a condition key.
type keyReference struct {
	Type    string
	Actions []string // none, if the key is global
}

// conditionKey finds a condition key. What follows a slash is the name of a tag.
func conditionKey(key string) (keyReference, bool) {
	prefix, _, _ := strings.Cut(key, "/")
	known, ok := authorization().Keys[prefix]
	return known, ok
}

// knownActions returns the actions of the reference that an action of a policy matches: itself, or
// a family such as kms:ReEncrypt*.
func knownActions(action string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(authorization().Actions)), func(known string) bool {
		return !bothMatch(action, known)
	})
}

// bothMatch tells whether some text matches both patterns.
func bothMatch(a, b string) bool {
	switch {
	case a == "" && b == "":
		return true
	case strings.HasPrefix(a, "*"):
		return bothMatch(a[1:], b) || b != "" && bothMatch(a, b[1:])
	case strings.HasPrefix(b, "*"):
		return bothMatch(b, a)
	}
	return a != "" && b != "" && a[0] == b[0] && bothMatch(a[1:], b[1:])
}

// bothMatchARN compares two ARNs part by part: a wildcard matches a colon in the last part only.
func bothMatchARN(a, b string) bool {
	as, bs := strings.SplitN(a, ":", 6), strings.SplitN(b, ":", 6)
	return slices.EqualFunc(as, bs, bothMatch)
}

// exampleARNs are ARNs of the resources that policies refer to, as the provider writes them.
var exampleARNs = map[string]string{
	"aws_iam_role":                 "arn:aws:iam::123456789012:role/x",
	"aws_cloudwatch_log_group":     "arn:aws:logs:eu-central-1:123456789012:log-group:x",
	"aws_db_instance":              "arn:aws:rds:eu-central-1:123456789012:db:x",
	"aws_ecr_repository":           "arn:aws:ecr:eu-central-1:123456789012:repository/x",
	"aws_ecs_cluster":              "arn:aws:ecs:eu-central-1:123456789012:cluster/x",
	"aws_kms_key":                  "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000",
	"aws_lambda_function":          "arn:aws:lambda:eu-central-1:123456789012:function:x",
	"aws_s3_bucket":                "arn:aws:s3:::x",
	"aws_prometheus_workspace":     "arn:aws:aps:eu-central-1:123456789012:workspace/ws-" + strings.Repeat("0", 36),
	"aws_scheduler_schedule_group": "arn:aws:scheduler:eu-central-1:123456789012:schedule-group/x",
	"aws_secretsmanager_secret":    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x",
	"aws_sns_topic":                "arn:aws:sns:eu-central-1:123456789012:x",
}

// anyExpression is an expression of Terraform.
var anyExpression = regexp.MustCompile(`\$\{[^}]*\}`)

// withReferencesFilledIn replaces references by exampleARNs, or else by a letter.
func withReferencesFilledIn(text string) string {
	return anyExpression.ReplaceAllStringFunc(text, func(expression string) string {
		address := strings.TrimPrefix(strings.Join(stacktest.References(expression), " "), "data.")
		kind, _, _ := strings.Cut(address, ".")
		switch {
		case expression == callerAccount:
			return "123456789012"
		case strings.HasSuffix(expression, ".secret_arn}"):
			return "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
		case strings.HasSuffix(expression, ".arn}") && exampleARNs[kind] != "":
			return exampleARNs[kind]
		}
		return "x"
	})
}

// policyPaths are the arguments that hold a policy, by kind.
var policyPaths = map[string]string{
	"aws_iam_role":                     "assume_role_policy",
	"aws_iam_role_policy":              "policy",
	"aws_kms_key":                      "policy",
	"aws_s3_bucket_policy":             "policy",
	"aws_sns_topic_policy":             "policy",
	"aws_vpc_endpoint":                 "policy",
	"aws_ecr_repository_policy":        "policy",
	"aws_secretsmanager_secret_policy": "policy",
}

// allStatements returns the statements of all policies.
func allStatements(s stacktest.Stack) []stacktest.Resource {
	var statements []stacktest.Resource
	for kind, path := range policyPaths {
		for _, r := range s.Resources(kind) {
			statements = append(statements, r.Statements(path)...)
		}
	}
	return statements
}

func policyActionsExist(s stacktest.Stack, v *stacktest.Violations) {
	for kind, path := range policyPaths {
		for _, r := range s.Resources(kind) {
			v.Want(!r.Has(path) || len(r.Statements(path)) > 0,
				r.Address, "has no policy statements that could be checked")
		}
	}
	for _, st := range allStatements(s) {
		var known []string
		for _, action := range st.Strings("Action") {
			resources, of := st.Strings("Resource"), knownActions(action)
			v.Want(len(of) > 0,
				st.Address, "names %s, which is not in testdata/iam.json: "+
					"look it up in the Service Authorization Reference", action)
			v.Want(
				len(of) == 0 || slices.ContainsFunc(of, func(a string) bool { return supports(a, resources) }),
				st.Address, "names %s on %v, which it does not support", action, resources,
			)
			known = append(known, of...)
		}
		for _, resource := range st.Strings("Resource") {
			used := slices.ContainsFunc(known, func(a string) bool { return supports(a, []string{resource}) })
			v.Want(used || len(known) == 0 || slices.Contains(st.Strings("Action"), "s3:*"),
				st.Address, "names %s, which none of its actions support", resource)
		}
	}
}

// supports tells whether an action supports one of the resources. A trust policy names none.
func supports(action string, resources []string) bool {
	return len(resources) == 0 || slices.ContainsFunc(resources, func(resource string) bool {
		matches := func(arn string) bool { return bothMatchARN(arn, withReferencesFilledIn(resource)) }
		return resource == "*" || slices.ContainsFunc(authorization().Actions[action], matches)
	})
}

// conditionOperators are the operators by the type of the key. Each also exists with IfExists,
// ForAllValues and ForAnyValue, which no policy here has.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var conditionOperators = map[string][]string{
	"ARN":    {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringEquals", "StringLike"},
	"Bool":   {"Bool"},
	"String": {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "StringNotEquals", "StringNotLike"},
}

func policyConditionsExist(s stacktest.Stack, v *stacktest.Violations) {
	for _, st := range allStatements(s) {
		operators, _ := st.At("Condition").(map[string]any)
		for operator, keys := range operators {
			keys, _ := keys.(map[string]any)
			for key, values := range keys {
				values, _ := values.([]any)
				wantKeyIsSent(v, st, key, operator)
				v.Want(len(values) > 0, st.Address, "compares %s with no value", key)
				for _, value := range values {
					wantValueFits(v, st.Address, key, operator, fmt.Sprint(value))
				}
			}
		}
	}
}

func wantKeyIsSent(v *stacktest.Violations, st stacktest.Resource, key, operator string) {
	known, ok := conditionKey(key)
	v.Want(ok, st.Address, "has a condition on %s, which is not in testdata/iam.json: "+
		"look it up in the Service Authorization Reference", key)
	if !ok {
		return
	}
	sends := func(action string) bool { return slices.Contains(known.Actions, action) }
	for _, action := range st.Strings("Action") {
		v.Want(len(known.Actions) == 0 || slices.ContainsFunc(knownActions(action), sends),
			st.Address, "has a condition on %s, which %s does not send", key, action)
	}
	v.Want(slices.Contains(conditionOperators[known.Type], operator),
		st.Address, "compares %s with the operator %s, which its type does not have", key, operator)
}

func wantValueFits(v *stacktest.Violations, address, key, operator, value string) {
	known, _ := conditionKey(key)
	v.Want(known.Type != "Bool" || value == "true" || value == "false",
		address, "compares %s, which is true or false, with %q", key, value)
	v.Want(known.Type != "ARN" || strings.HasPrefix(withReferencesFilledIn(value), "arn:"),
		address, "compares %s, which is an ARN, with %q", key, value)
	v.Want(!strings.Contains(value, "*") || strings.HasSuffix(operator, "Like") || operator == "ArnEquals",
		address, "has the wildcard %q, but %s takes it literally", value, operator)
}

// servicePrincipals returns the service principals that the policies may name. A new one is looked
// up in the guide of its service: AWS publishes no list.
//
//	cloudwatch, events, events.rds:
//	https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
//	logdelivery.elasticloadbalancing:
//	https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
//	logs.<region>:
//	https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
//
// Those of roles are documented at trustOf.
func servicePrincipals(s stacktest.Stack) []string {
	return []string{
		"cloudwatch.amazonaws.com",
		"ecs-tasks.amazonaws.com",
		"events.amazonaws.com",
		"events.rds.amazonaws.com",
		"lambda.amazonaws.com",
		"logdelivery.elasticloadbalancing.amazonaws.com",
		"logs." + s.Region() + ".amazonaws.com",
		"monitoring.rds.amazonaws.com",
		"s3.amazonaws.com",
		"scheduler.amazonaws.com",
		"vpc-flow-logs.amazonaws.com",
	}
}

var accountARN = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:root$`)

func policyPrincipalsExist(s stacktest.Stack, v *stacktest.Violations) {
	services := servicePrincipals(s)
	for _, st := range allStatements(s) {
		for _, principal := range st.Principals() {
			kind, name, _ := strings.Cut(principal, ":")
			switch kind {
			case "Service":
				v.Want(slices.Contains(services, name), st.Address, "names the unknown service %s", name)
			case "AWS":
				v.Want(name == "*" || accountARN.MatchString(withReferencesFilledIn(name)),
					st.Address, "names %s, which is not the root of an account", name)
			default:
				v.Want(false, st.Address, "names a principal of the unknown type %s", kind)
			}
		}
	}
}

var anyARN = regexp.MustCompile(`\barn:[^"'\s,\\\]]*`)

// arnResources are the resource parts of ARNs by service, from the pages that testdata/iam.json
// names. Those of events, scheduler and cloudwatch are from
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var arnResources = map[string]*regexp.Regexp{
	"acm":            regexp.MustCompile(`^certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"cloudwatch":     regexp.MustCompile(`^alarm:.+`),
	"ec2":            regexp.MustCompile(`^vpc-flow-log/.+`),
	"ecr":            regexp.MustCompile(`^repository/.+`),
	"ecs":            regexp.MustCompile(`^(\*|cluster/.+|task-definition/[A-Za-z0-9_-]+:\*|(service|task)/[^/]+/.*)$`),
	"events":         regexp.MustCompile(`^rule/.+`),
	"aps":            regexp.MustCompile(`^workspace/ws-[0-9a-f-]{36}$`),
	"iam":            regexp.MustCompile(`^(root|role/.+)$`),
	"kms":            regexp.MustCompile(`^key/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`),
	"lambda":         regexp.MustCompile(`^function:.+`),
	"logs":           regexp.MustCompile(`^log-group:.+`),
	"rds":            regexp.MustCompile(`^(auto-backup|db|snapshot):.+`),
	"s3":             regexp.MustCompile(`^[^:]+$`),
	"scheduler":      regexp.MustCompile(`^schedule-group/.+`),
	"secretsmanager": regexp.MustCompile(`^secret:.+`),
	"ses":            regexp.MustCompile(`^identity/.+`),
	"sns":            regexp.MustCompile(`^[A-Za-z0-9_-]+$`),
	"ssm":            regexp.MustCompile(`^parameter/.+`),
}

func arnsAreWellFormed(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range append(s.Resources(), s.DataSources()...) {
		stacktest.EachString(r.Body(), func(path, text string) {
			for _, arn := range anyARN.FindAllString(withReferencesFilledIn(text), -1) {
				v.Want(isWellFormed(arn), r.Address, "has a malformed ARN in %s: %s", path, arn)
			}
		})
	}
}

var regionName = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-` +
	`(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)

// isWellFormed checks an ARN. IAM and S3 have no regions, and S3 has no accounts.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func isWellFormed(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[1] != "aws" {
		return false
	}
	service, region, accountID, resource := parts[2], parts[3], parts[4], parts[5]
	shape := arnResources[service]
	number := len(accountID) == 12 && strings.Trim(accountID, "0123456789") == ""
	return shape != nil && shape.MatchString(resource) &&
		(region == "") == (service == "iam" || service == "s3") &&
		(region == "" || regionName.MatchString(region)) &&
		(accountID == "") == (service == "s3") &&
		(accountID == "" || number)
}
