package main

// What the invariants that are not yet written with stacktest use of converted files. It is deleted
// with the last of them.

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

// logGroup finds a log group by its name in AWS.
func logGroup(stack tree, name string) (thing, bool) {
	for _, group := range things(stack, "aws_cloudwatch_log_group") {
		if resolved(stack, group.text("name")) == name {
			return group, true
		}
	}
	return thing{}, false
}

func asTree(value any) tree {
	t, _ := value.(tree)
	return t
}

// execLogging is where a cluster says how the sessions of ECS Exec are logged.
const execLogging = "configuration.execute_command_configuration.log_configuration."

// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html, with a log group and a
// key of our own
var sessions = []string{
	"kms:Decrypt", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
	"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
	"ssmmessages:OpenDataChannel",
}

// deploymentAlarms are the alarms that a service's deployments are watched by.
func deploymentAlarms(stack tree, service thing) []thing {
	var alarms []thing
	for _, address := range service.refs("alarms.alarm_names") {
		if alarm := get(stack, address); alarm.exists() {
			alarms = append(alarms, alarm)
		}
	}
	return alarms
}
