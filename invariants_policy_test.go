package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// IAM takes a policy whose words are all wrong, and it then allows nothing: no call says so until
// something is refused at run time.
var policyInvariants = []invariant{
	{
		promise: "policies name actions that AWS has, on resources that these are for",
		check:   actionsExist,
		broken: []damage{
			{name: "a misspelt action", stack: "prod",
				breaks: change(functionDocument, "statement.4.actions.0", "rds:DeleteDbSnapshots"),
				found:  functionDocument},
			{name: "an API's name where the action is called otherwise", stack: "prod",
				breaks: change("data.aws_iam_policy_document.backup_schedule_role_permissions", "statement.0.actions.0",
					"lambda:Invoke"),
				found: "backup_schedule_role_permissions"},
			{name: "another service's prefix", stack: "dev",
				breaks: change(prometheusDocument, "statement.1.actions.0", "elasticcontainerservice:DescribeClusters"),
				found:  prometheusDocument},
			{name: "a family that there is not", stack: "prod",
				breaks: change(alertsKeyDocument, "statement.1.actions", []any{"kms:Decrypt", "kms:GenerateDataKeys*"}),
				found:  alertsKeyDocument},
			{name: "in a trust", stack: "prod",
				breaks: change(executionTrust, "statement.0.actions.0", "sts:AssumeRoles"), found: executionTrust},
			{name: "in a topic's policy", stack: "prod",
				breaks: change(topicDocument, "statement.0.actions.0", "sns:PublishMessage"), found: topicDocument},
			{name: "a bucket where its objects are meant", stack: "dev",
				breaks: change(prometheusDocument, "statement.0.resources.0", "${aws_s3_bucket.prometheus_bucket.arn}"),
				found:  prometheusDocument},
			{name: "a log group without what follows its name", stack: "prod",
				breaks: change(functionDocument, "statement.0.resources.0",
					"${aws_cloudwatch_log_group.backup_function_log_group.arn}"),
				found: functionDocument},
			{name: "a log group that RDS could not make", stack: "prod",
				breaks: change("data.aws_iam_policy_document.database_monitoring_role_permissions",
					"statement.0.resources.0", "arn:aws:logs:eu-central-1:"+account+":log-group:RDSOSMetrics"),
				found: "database_monitoring_role_permissions"},
			{name: "a resource for an action that has none", stack: "dev",
				breaks: change(prometheusDocument, "statement.2.resources.0", "${aws_ecs_cluster.cluster.arn}"),
				found:  prometheusDocument},
			{name: "a service's tasks by a cluster's ARN", stack: "dev",
				breaks: change(prometheusDocument, "statement.3.resources", []any{"${aws_ecs_cluster.cluster.arn}"}),
				found:  prometheusDocument},
			{name: "a resource that no action is for", stack: "prod",
				breaks: change(functionDocument, "statement.4.resources", []any{
					"arn:aws:rds:eu-central-1:" + account + ":snapshot:platform-prod-scheduled-*",
					"${aws_db_instance.database.arn}",
				}),
				found: functionDocument},
			{name: "a policy that is no document", stack: "prod",
				breaks: change("aws_kms_key.logs_key", "policy", `{"Statement":[{"Action":"kms:Everything"}]}`),
				found:  "aws_kms_key.logs_key"},
		},
	},
	{
		promise: "conditions are on keys that the request has, by operators that go with them",
		check:   conditionsExist,
		broken: []damage{
			{name: "a misspelt key", stack: "dev",
				breaks: change(prometheusDocument, "statement.2.condition.0.variable", "ecs:clusterArn"),
				found:  prometheusDocument},
			{name: "a global key that there is not", stack: "prod",
				breaks: change(executionTrust, "statement.0.condition.0.variable", "aws:SourceAccountId"),
				found:  executionTrust},
			{name: "a key that one of the actions does not send", stack: "prod",
				breaks: change(functionDocument, "statement.4.condition.0.variable", "kms:ViaService"),
				found:  functionDocument},
			{name: "a tag of what has none yet", stack: "prod",
				breaks: change(functionDocument, "statement.4.actions",
					[]any{"rds:DeleteDBSnapshot", "ec2:DescribeNetworkInterfaces"}),
				found: functionDocument},
			{name: "an operator that there is not", stack: "prod",
				breaks: change(functionDocument, "statement.4.condition.0.test", "StringEqual"),
				found:  functionDocument},
			{name: "a number's operator", stack: "prod",
				breaks: change(executionTrust, "statement.0.condition.0.test", "NumericEquals"), found: executionTrust},
			{name: "letters where true or false is meant", stack: "prod",
				breaks: change(topicDocument, "statement.3.condition.0.values.0", "no"), found: topicDocument},
			{name: "an ARN's condition that no ARN meets", stack: "prod",
				breaks: change(executionTrust, "statement.0.condition.1.values.0", "ecs:eu-central-1:"+account+":*"),
				found:  executionTrust},
			{name: "a pattern where the operator takes it literally", stack: "prod",
				breaks: change(functionDocument, "statement.4.condition.0.values.0", "platform-*"),
				found:  functionDocument},
			{name: "no value", stack: "prod",
				breaks: change(functionDocument, "statement.4.condition.0.values", []any{}), found: functionDocument},
		},
	},
	{
		promise: "principals are services that AWS has, or accounts",
		check:   principalsExist,
		broken: []damage{
			{name: "a misspelt service", stack: "prod",
				breaks: change(executionTrust, "statement.0.principals.0.identifiers.0", "ecs-task.amazonaws.com"),
				found:  executionTrust},
			{name: "a service by the name of its API", stack: "prod",
				breaks: change(topicDocument, "statement.0.principals.0.identifiers.0", "monitoring.amazonaws.com"),
				found:  topicDocument},
			{name: "another region's", stack: "prod",
				breaks: change(logsKeyDocument, "statement.1.principals.0.identifiers.0",
					"logs.us-east-1.amazonaws.com"),
				found: logsKeyDocument},
			{name: "an account by its number alone", stack: "prod",
				breaks: change(logsKeyDocument, "statement.0.principals.0.identifiers.0", account),
				found:  logsKeyDocument},
			{name: "a kind that there is not", stack: "prod",
				breaks: change(executionTrust, "statement.0.principals.0.type", "Services"), found: executionTrust},
		},
	},
	{
		promise: "an ARN is written as its service writes it",
		check:   arnsAreWellFormed,
		broken: []damage{
			{name: "a part too few", stack: "prod",
				breaks: change(functionDocument, "statement.4.resources.0",
					"arn:aws:rds:"+account+":snapshot:platform-prod-scheduled-*"),
				found: functionDocument},
			{name: "another partition", stack: "prod",
				breaks: replace(functionDocument, "statement.4.resources.0",
					"arn:aws:", "arn:amazon:"), found: functionDocument},
			{name: "a service that there is not", stack: "prod",
				breaks: replace(functionDocument, "statement.4.resources.0",
					":rds:", ":database:"), found: functionDocument},
			{name: "no region", stack: "prod",
				breaks: replace(functionDocument, "statement.4.resources.0",
					":eu-central-1:", "::"), found: functionDocument},
			{name: "a region where there is none", stack: "prod",
				breaks: replace(alertsKeyDocument, "statement.0.principals.0.identifiers.0",
					"iam::", "iam:eu-central-1:"),
				found: alertsKeyDocument},
			{name: "an account that is none", stack: "prod",
				breaks: replace(functionDocument, "statement.4.resources.0",
					account, "platform"), found: functionDocument},
			{name: "a slash where RDS has a colon", stack: "prod",
				breaks: replace(functionDocument, "statement.4.resources.0",
					":snapshot:", ":snapshot/"), found: functionDocument},
			{name: "in a container's secrets", stack: "a service with everything",
				breaks: replace(webDefinition, "container_definitions",
					":parameter/web", ":param/web"), found: webDefinition},
			{name: "in an event's pattern", stack: "prod",
				breaks: replace("aws_cloudwatch_event_rule.deployment_failed_rule", "event_pattern",
					":service/", ":services/"),
				found: "deployment_failed_rule"},
			{name: "a certificate's", stack: "production, to be destroyed",
				breaks: change(httpsListener, "certificate_arn",
					"arn:aws:acm:eu-central-1:123456789012:certificate/mine"),
				found: httpsListener},
		},
	},
}

// authorization is testdata/iam.json: what AWS' Service Authorization Reference says of the actions
// and keys that the policies use.
var authorization = sync.OnceValue(func() (table struct {
	// The ARNs that an action is for; none, if it is for all resources alone.
	Actions map[string][]string
	Keys    map[string]struct {
		Type    string
		Actions []string // none, if the key is global
	}
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

// meant are the actions of the table that one of a policy stands for: itself, or those of a
// family such as kms:ReEncrypt*.
func meant(action string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(authorization().Actions)), func(known string) bool {
		return !meet(action, known)
	})
}

// meet tells whether some text fits both patterns, in which a star stands for any text.
func meet(a, b string) bool {
	switch {
	case a == "" && b == "":
		return true
	case strings.HasPrefix(a, "*"):
		return meet(a[1:], b) || b != "" && meet(a, b[1:])
	case strings.HasPrefix(b, "*"):
		return meet(b, a)
	}
	return a != "" && b != "" && a[0] == b[0] && meet(a[1:], b[1:])
}

// meetARN compares two ARNs part by part, since a star goes beyond a colon in the last part only.
func meetARN(a, b string) bool {
	as, bs := strings.SplitN(a, ":", 6), strings.SplitN(b, ":", 6)
	return slices.EqualFunc(as, bs, meet)
}

// writtenARNs are the ARNs of what policies and texts refer to, as the provider writes them.
var writtenARNs = map[string]string{
	"aws_cloudwatch_log_group":     "arn:aws:logs:eu-central-1:123456789012:log-group:x",
	"aws_db_instance":              "arn:aws:rds:eu-central-1:123456789012:db:x",
	"aws_ecr_repository":           "arn:aws:ecr:eu-central-1:123456789012:repository/x",
	"aws_ecs_cluster":              "arn:aws:ecs:eu-central-1:123456789012:cluster/x",
	"aws_kms_key":                  "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000",
	"aws_lambda_function":          "arn:aws:lambda:eu-central-1:123456789012:function:x",
	"aws_s3_bucket":                "arn:aws:s3:::x",
	"aws_scheduler_schedule_group": "arn:aws:scheduler:eu-central-1:123456789012:schedule-group/x",
	"aws_secretsmanager_secret":    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x",
	"aws_sns_topic":                "arn:aws:sns:eu-central-1:123456789012:x",
}

// written is a text with its references filled in: ARNs as above, anything else by a letter.
func written(text string) string {
	return interpolation.ReplaceAllStringFunc(text, func(expression string) string {
		kind, _, _ := strings.Cut(reference.FindString(expression), ".")
		switch {
		case expression == account:
			return "123456789012"
		case strings.HasSuffix(expression, ".secret_arn}"):
			return "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"
		case strings.HasSuffix(expression, ".arn}") && writtenARNs[kind] != "":
			return writtenARNs[kind]
		}
		return "x"
	})
}

// policyPaths are where resources take policies.
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

func actionsExist(stack tree) (v violations) {
	for kind, path := range policyPaths {
		for _, r := range things(stack, kind) {
			v.want(!r.has(path) || len(grantsIn(stack, r.at(path))) > 0,
				r.address, "has a policy that is no document, which could be checked")
		}
	}
	for _, document := range sources(stack, "aws_iam_policy_document") {
		for _, g := range grantsIn(stack, "${"+document.address+".json}") {
			var known []string
			for _, action := range g.actions {
				of := meant(action)
				v.want(len(of) > 0,
					g.address, "names %s, which is not in testdata/iam.json: "+
						"look it up in AWS' Service Authorization Reference", action)
				v.want(len(of) == 0 || slices.ContainsFunc(of, func(a string) bool { return isFor(a, g.resources) }),
					g.address, "names %s on %v, which it is not for", action, g.resources)
				known = append(known, of...)
			}
			for _, resource := range g.resources {
				used := slices.ContainsFunc(known, func(a string) bool { return isFor(a, []string{resource}) })
				v.want(used || len(known) == 0 || slices.Contains(g.actions, "s3:*"),
					g.address, "names %s, which no action of it is for", resource)
			}
		}
	}
	slices.Sort(v)
	return v
}

// isFor tells whether an action is for one of the resources. A trust names none.
func isFor(action string, resources []string) bool {
	return len(resources) == 0 || slices.ContainsFunc(resources, func(resource string) bool {
		meets := func(arn string) bool { return meetARN(arn, written(resource)) }
		return resource == "*" || slices.ContainsFunc(authorization().Actions[action], meets)
	})
}

// operators are those of the types that keys have; each of them also with IfExists, and behind
// ForAllValues: or ForAnyValue:, which nothing here needs.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string][]string{
	"ARN":    {"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "StringEquals", "StringLike"},
	"Bool":   {"Bool"},
	"String": {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "StringNotEquals", "StringNotLike"},
}

func conditionsExist(stack tree) (v violations) {
	for _, document := range sources(stack, "aws_iam_policy_document") {
		for _, s := range document.parts("statement") {
			at := document.address + " " + s.text("sid")
			for _, c := range s.parts("condition") {
				key, test, values := c.text("variable"), c.text("test"), c.strings("values")
				prefix, _, _ := strings.Cut(key, "/") // what follows is a tag of ours
				known, ok := authorization().Keys[prefix]
				v.want(ok,
					at, "asks for %s, which is not in testdata/iam.json: "+
						"look it up in AWS' Service Authorization Reference", key)
				sends := func(action string) bool { return slices.Contains(known.Actions, action) }
				for _, action := range s.strings("actions") {
					sent := len(known.Actions) == 0 || slices.ContainsFunc(meant(action), sends)
					v.want(!ok || sent, at, "asks for %s, which %s does not send", key, action)
				}
				v.want(!ok || slices.Contains(operators[known.Type], test), at, "compares %s by %s", key, test)
				v.want(len(values) > 0, at, "compares %s with nothing", key)
				for _, value := range values {
					v.want(known.Type != "Bool" || value == "true" || value == "false",
						at, "compares %s, true or false, with %q", key, value)
					v.want(known.Type != "ARN" || strings.HasPrefix(written(value), "arn:"),
						at, "compares %s with %q, which is no ARN", key, value)
					v.want(!strings.Contains(value, "*") || strings.HasSuffix(test, "Like") || test == "ArnEquals",
						at, "takes %q literally by %s", value, test)
				}
			}
		}
	}
	return v
}

// servicePrincipals are those that policies here name. A new one is looked up in its service's
// guide: there is no list of AWS'.
//
//	cloudwatch, events, events.rds:
//	https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
//	logdelivery.elasticloadbalancing:
//	https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
//	logs.<region>:
//	https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
//
// and those that take on roles, whose pages are at trustOf.
func servicePrincipals(stack tree) []string {
	return []string{
		"cloudwatch.amazonaws.com",
		"ecs-tasks.amazonaws.com",
		"events.amazonaws.com",
		"events.rds.amazonaws.com",
		"lambda.amazonaws.com",
		"logdelivery.elasticloadbalancing.amazonaws.com",
		"logs." + region(stack) + ".amazonaws.com",
		"monitoring.rds.amazonaws.com",
		"scheduler.amazonaws.com",
		"vpc-flow-logs.amazonaws.com",
	}
}

var accountARN = regexp.MustCompile(`^arn:aws:iam::[0-9]{12}:root$`)

func principalsExist(stack tree) (v violations) {
	services := servicePrincipals(stack)
	for _, document := range sources(stack, "aws_iam_policy_document") {
		for _, g := range grantsIn(stack, "${"+document.address+".json}") {
			for _, who := range g.who {
				kind, name, _ := strings.Cut(who, ":")
				switch kind {
				case "Service":
					v.want(slices.Contains(services, name), g.address, "names the service %s, which is not known", name)
				case "AWS":
					v.want(accountARN.MatchString(written(name)),
						g.address, "names %s, which is no account's root", name)
				default:
					v.want(who == "*:*", g.address, "names a principal of the kind %s", kind)
				}
			}
		}
	}
	return v
}

var anyARN = regexp.MustCompile(`arn:[^"'\s,\\\]]*`)

// arnShapes are the resources' part of an ARN by service, from the pages that testdata/iam.json
// names; for events, scheduler and cloudwatch their own in
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var arnShapes = map[string]*regexp.Regexp{
	"acm":            regexp.MustCompile(`^certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"cloudwatch":     regexp.MustCompile(`^alarm:.+`),
	"ec2":            regexp.MustCompile(`^vpc-flow-log/.+`),
	"ecr":            regexp.MustCompile(`^repository/.+`),
	"ecs":            regexp.MustCompile(`^(\*|cluster/.+|(service|task)/[^/]+/.*)$`),
	"events":         regexp.MustCompile(`^rule/.+`),
	"iam":            regexp.MustCompile(`^root$`),
	"kms":            regexp.MustCompile(`^key/([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})$`),
	"lambda":         regexp.MustCompile(`^function:.+`),
	"logs":           regexp.MustCompile(`^log-group:.+`),
	"rds":            regexp.MustCompile(`^(db|snapshot):.+`),
	"s3":             regexp.MustCompile(`^[^:]+$`),
	"scheduler":      regexp.MustCompile(`^schedule-group/.+`),
	"secretsmanager": regexp.MustCompile(`^secret:.+`),
	"sns":            regexp.MustCompile(`^[A-Za-z0-9_-]+$`),
	"ssm":            regexp.MustCompile(`^parameter/.+`),
}

func arnsAreWellFormed(stack tree) (v violations) {
	for _, r := range append(things(stack), sources(stack)...) {
		eachString(r.body, func(path, text string) {
			for _, arn := range anyARN.FindAllString(written(text), -1) {
				v.want(wellFormed(arn), r.address, "has in %s what is no ARN: %s", path, arn)
			}
		})
	}
	return v
}

var regionName = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-` +
	`(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)

// wellFormed knows two services without regions, and one without accounts.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
func wellFormed(arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[1] != "aws" {
		return false
	}
	service, region, account, resource := parts[2], parts[3], parts[4], parts[5]
	shape := arnShapes[service]
	number := len(account) == 12 && strings.Trim(account, "0123456789") == ""
	return shape != nil && shape.MatchString(resource) &&
		(region == "") == (service == "iam" || service == "s3") &&
		(region == "" || regionName.MatchString(region)) &&
		(account == "") == (service == "s3") &&
		(account == "" || number)
}
