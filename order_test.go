package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	snapshotCleanup  = "aws_lambda_invocation.backup_cleanup"
	firstReport      = "aws_lambda_invocation.backup_first_report"
	databaseFunction = "aws_lambda_function.database_function"

	vpcFlowLog      = "aws_flow_log.flow_log"
	internetGateway = "aws_internet_gateway.internet_gateway"
)

var orderPromises = []stacktest.Promise{{
	// Terraform deletes what is no longer configured before it changes what used it, unless the
	// deleted resource has create_before_destroy: AWS refuses to delete a subnet with a load
	// balancer in it, and a route to a deleted gateway leads nowhere.
	// https://developer.hashicorp.com/terraform/language/meta-arguments/lifecycle
	Name:  "what is removed with a zone or a listener is deleted only after everything that uses it was changed",
	Check: unusedIsDeletedLast,
	BrokenBy: []stacktest.Break{{
		Name:  "a private subnet is deleted before the services leave it",
		Stack: "dev",
		By:    stacktest.Remove(privateSubnetB, "lifecycle.create_before_destroy"),
		Found: privateSubnetB,
	}, {
		Name:  "a NAT gateway is deleted before the routes to it are changed",
		Stack: "prod",
		By:    stacktest.Remove(natGatewayB, "lifecycle.create_before_destroy"),
		Found: natGatewayB,
	}, {
		Name:  "a zone's default route is deleted before the tasks leave the zone",
		Stack: "dev",
		By:    stacktest.Remove(privateRouteB, "lifecycle.create_before_destroy"),
		Found: privateRouteB,
	}, {
		Name:  "a zone's route table is deleted before the tasks leave the zone",
		Stack: "dev",
		By:    stacktest.Remove(privateRouteTableB, "lifecycle.create_before_destroy"),
		Found: privateRouteTableB,
	}, {
		Name:  "a NAT gateway's IP address is deleted before the NAT gateway",
		Stack: "prod",
		By:    stacktest.Remove(natAddressB, "lifecycle.create_before_destroy"),
		Found: natAddressB,
	}, {
		Name:  "a listener rule is deleted before its service is changed",
		Stack: "dev",
		By:    stacktest.Remove(webListenerRule, "lifecycle.create_before_destroy"),
		Found: webListenerRule,
	}, {
		Name:  "the HTTP listener redirects to HTTPS before the HTTPS listener is created",
		Stack: "prod",
		By:    stacktest.RemoveDependency(httpListener, httpsListener),
		Found: httpListener,
	}},
}, {
	Name:  "what has a public IP address is created after the internet gateway",
	Check: publicAfterInternetGateway,
	BrokenBy: []stacktest.Break{{
		Name:  "the load balancer does not wait for the internet gateway",
		Stack: "prod",
		By:    stacktest.RemoveDependency(loadBalancer, internetGateway),
		Found: loadBalancer,
	}, {
		Name:  "a NAT gateway's IP address does not wait for the internet gateway",
		Stack: "prod",
		By: stacktest.All(
			stacktest.RemoveDependency(natAddressB, internetGateway),
			stacktest.RemoveDependency(natGatewayB, internetGateway),
		),
		Found: natAddressB,
	}, {
		Name:  "a NAT gateway does not wait for the internet gateway",
		Stack: "dev",
		By: stacktest.All(
			stacktest.RemoveDependency("aws_eip.nat_address_a", internetGateway),
			stacktest.RemoveDependency(natGatewayA, internetGateway),
		),
		Found: natGatewayA,
	}},
}, {
	Name:  "a service is created after everything that its first task needs",
	Check: servicesAfterWhatTheyNeed,
	BrokenBy: []stacktest.Break{{
		Name:  "a service does not wait for a route to a NAT gateway",
		Stack: "prod",
		By:    stacktest.RemoveDependency(prometheusService, "aws_route.private_default_route_c"),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait for a subnet's route table",
		Stack: "prod",
		By: stacktest.RemoveDependency(prometheusService,
			"aws_route_table_association.private_route_table_association_a"),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait for the route to S3",
		Stack: "dev",
		By: stacktest.RemoveDependency(prometheusService,
			"aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_a"),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait until an endpoint is in its subnet",
		Stack: "no NAT",
		By: stacktest.RemoveDependency(prometheusService,
			"aws_vpc_endpoint_subnet_association.endpoint_ecr_api_subnet_association_a"),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait until the database accepts its traffic",
		Stack: "prod",
		By:    stacktest.RemoveDependency(webService, ingressRule+"service_web_to_database_ingress"),
		Found: webService,
	}, {
		Name:  "a service does not wait until the load balancer may connect to it",
		Stack: "prod",
		By:    stacktest.RemoveDependency(webService, egressRule+"service_web_from_load_balancer_egress"),
		Found: webService,
	}, {
		Name:  "a service does not wait until it may send traffic",
		Stack: "dev",
		By:    stacktest.RemoveDependency(prometheusService, egressRule+"prometheus_https_egress"),
		Found: prometheusService,
	}, {
		Name:  "Prometheus does not wait until it may scrape a service",
		Stack: "metrics",
		By:    stacktest.RemoveDependency(prometheusService, ingressRule+"service_admin_from_prometheus_ingress"),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait for the policy of its execution role",
		Stack: "prod",
		By:    stacktest.RemoveDependency(webService, webExecutionPolicy),
		Found: webService,
	}, {
		Name:  "a service does not wait for the policy of its task role",
		Stack: "dev",
		By:    stacktest.RemoveDependency(prometheusService, prometheusPolicy),
		Found: prometheusService,
	}, {
		Name:  "a service does not wait for the cluster's capacity providers",
		Stack: "dev",
		By: stacktest.RemoveDependency(webService,
			capacityProviders),
		Found: webService,
	}, {
		Name:  "a service does not wait for the listener rule of its target group",
		Stack: "prod",
		By:    stacktest.RemoveDependency(webService, webListenerRule),
		Found: webService,
	}, {
		Name:  "a service does not wait for the rule that hides its metrics",
		Stack: "metrics",
		By:    stacktest.RemoveDependency(webService, metricsHidingRule),
		Found: webService,
	}, {
		Name:  "a service does not wait for its log group",
		Stack: "prod",
		By: stacktest.All(
			stacktest.RemoveDependency(webService, "aws_cloudwatch_log_group.service_web_log_group"),
			stacktest.Set(
				webExecutionPolicy,
				"policy.Statement[Sid=Log].Resource",
				[]any{"*"},
			),
			stacktest.Set(webTask, webContainer+".logConfiguration.options.awslogs-group",
				"/platform-prod/service/web"),
			stacktest.Set(
				webTask,
				"container_definitions[name=rds_certificates].logConfiguration.options.awslogs-group",
				"/platform-prod/service/web",
			),
		),
		Found: webService,
	}, {
		Name:  "a service does not wait for its database user",
		Stack: "prod",
		By:    stacktest.RemoveDependency(webService, "aws_lambda_invocation.database_roles"),
		Found: webService,
	}, {
		Name:  "the function that creates the database users does not wait until the database accepts its traffic",
		Stack: "prod",
		By: stacktest.RemoveDependency(databaseFunction,
			ingressRule+"database_function_to_database_ingress"),
		Found: databaseFunction,
	}, {
		Name:  "the function that creates the database users does not wait for a route to AWS",
		Stack: "prod",
		By: stacktest.RemoveDependency(databaseFunction,
			privateRouteA),
		Found: databaseFunction,
	}, {
		Name:  "a service does not wait for its deployment alarms",
		Stack: "prod",
		By:    stacktest.Set(webService, "alarms.alarm_names", []any{"platform-prod-web-deployment-errors"}),
		Found: webService,
	}},
}, {
	Name:  "what assumes a role waits for the role's policies",
	Check: rolesHavePoliciesBeforeUse,
	BrokenBy: []stacktest.Break{{
		Name:  "the backup function does not wait for the policy of its role",
		Stack: "prod",
		By:    stacktest.RemoveDependency(backupFunction, backupFunctionPolicy),
		Found: backupFunction,
	}, {
		Name:  "the flow log does not wait for the policy of its role",
		Stack: "prod",
		By:    stacktest.RemoveDependency(vpcFlowLog, "aws_iam_role_policy.flow_log_role_policy"),
		Found: vpcFlowLog,
	}, {
		Name:  "a schedule does not wait for the policy of its role",
		Stack: "prod",
		By:    stacktest.RemoveDependency(snapshotSchedule, "aws_iam_role_policy.backup_schedule_role_policy"),
		Found: snapshotSchedule,
	}, {
		Name:  "the database's enhanced monitoring does not wait for the policy of its role",
		Stack: "dev",
		By:    stacktest.RemoveDependency(databaseInstance, "aws_iam_role_policy.database_monitoring_role_policy"),
		Found: databaseInstance,
	}},
}, {
	// Lambda deletes a function's network interfaces minutes after the function, with the
	// function's role. Until then EC2 refuses to delete the security group.
	// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions,
	// https://github.com/aws/aws-cdk/issues/34400
	Name:  "a function's role may delete its network interfaces until they are deleted",
	Check: interfacesAreDeletedBeforePolicy,
	BrokenBy: []stacktest.Break{{
		Name:  "the security group of a function may be deleted after the policy of the function's role",
		Stack: "prod",
		By: stacktest.RemoveDependency("aws_security_group.database_function_security_group",
			"aws_iam_role_policy.database_function_role_policy"),
		Found: "aws_security_group.database_function_security_group",
	}},
}, {
	Name:  "every log goes to a declared log group, which is created before anything writes to it",
	Check: logGroupsBeforeWriters,
	BrokenBy: []stacktest.Break{{
		Name:  "the database does not wait for its log group",
		Stack: "prod",
		By:    stacktest.RemoveDependency(databaseInstance, "aws_cloudwatch_log_group.database_upgrade_log_group"),
		Found: databaseInstance,
	}, {
		Name:  "a restored database has no log group",
		Stack: "a restored database",
		By:    stacktest.Delete("aws_cloudwatch_log_group.database_restored_yesterday_postgresql_log_group"),
		Found: "aws_db_instance.database_restored_yesterday",
	}, {
		Name:  "Container Insights does not wait for its log group",
		Stack: "prod",
		By: stacktest.RemoveDependency(ecsCluster,
			"aws_cloudwatch_log_group.container_insights_log_group"),
		Found: ecsCluster,
	}, {
		Name:  "the backup function does not wait for its log group",
		Stack: "prod",
		By: stacktest.All(
			stacktest.RemoveDependency(backupFunction, "aws_cloudwatch_log_group.backup_function_log_group"),
			stacktest.Set(backupFunctionPolicy, "policy.Statement[Sid=Log].Resource", []any{"*"}),
		),
		Found: backupFunction,
	}, {
		Name:  "the backup function's log group does not have the name that Lambda writes to",
		Stack: "dev",
		By:    stacktest.Set("aws_cloudwatch_log_group.backup_function_log_group", "name", "/backup"),
		Found: backupFunction,
	}, {
		Name:  "a container writes to a log group that is not declared",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".logConfiguration.options.awslogs-group", "/somewhere"),
		Found: webTask,
	}, {
		Name:  "a container writes no log",
		Stack: "dev",
		By:    stacktest.Remove(webTask, webContainer+".logConfiguration"),
		Found: webTask,
	}, {
		Name:  "ECS Exec's sessions are not logged",
		Stack: "dev",
		By:    stacktest.Remove(ecsCluster, sessionLogGroup),
		Found: ecsCluster,
	}, {
		Name:  "the flow log goes to a bucket",
		Stack: "dev",
		By:    stacktest.Set(vpcFlowLog, "log_destination", "arn:aws:s3:::flow-logs"),
		Found: vpcFlowLog,
	}, {
		Name:  "the flow log has accepted traffic only",
		Stack: "dev",
		By:    stacktest.Set(vpcFlowLog, "traffic_type", "ACCEPT"),
		Found: vpcFlowLog,
	}, {
		Name:  "the VPC has no flow log",
		Stack: "dev",
		By:    stacktest.Delete(vpcFlowLog),
		Found: "aws_vpc.vpc",
	}},
}, {
	Name:  "schedules are created after the failure destination, and deleted before the snapshots are cleaned up",
	Check: schedulesAreCreatedLast,
	BrokenBy: []stacktest.Break{{
		Name:  "a schedule does not wait for the function's failure destination",
		Stack: "prod",
		By:    stacktest.RemoveDependency(snapshotSchedule, functionRetries),
		Found: snapshotSchedule,
	}, {
		Name:  "a schedule may run after the clean-up, and leave a snapshot behind",
		Stack: "dev",
		By:    stacktest.RemoveDependency(snapshotSchedule, snapshotCleanup),
		Found: snapshotSchedule,
	}},
}, {
	Name:  "an alarm on missing data is created after the first report, so that it does not fire for a new stack",
	Check: reportedBeforeAlarm,
	BrokenBy: []stacktest.Break{{
		Name:  "the alarm on the newest snapshot does not wait for the first report",
		Stack: "prod",
		By:    stacktest.RemoveDependency(backupAgeAlarm, firstReport),
		Found: backupAgeAlarm,
	}, {
		Name:  "nothing reports before the first hour",
		Stack: "dev",
		By:    stacktest.Delete(firstReport),
		Found: backupFunction,
	}, {
		Name:  "an instance that comes into use later is not reported",
		Stack: "dev",
		By:    stacktest.Remove(firstReport, "triggers"),
		Found: firstReport,
	}},
}, {
	Name:  "the topic's policy is created before anything publishes to the topic",
	Check: topicPolicyBeforePublishers,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm does not wait for the topic's policy",
		Stack: "prod",
		By:    stacktest.RemoveDependency(databaseCPUAlarm, alertsTopicPolicy),
		Found: databaseCPUAlarm,
	}, {
		Name:  "an event rule's target does not wait for the topic's policy",
		Stack: "prod",
		By:    stacktest.RemoveDependency("aws_cloudwatch_event_target.deployment_failed_target", alertsTopicPolicy),
		Found: "aws_cloudwatch_event_target.deployment_failed_target",
	}, {
		Name:  "RDS's event subscription does not wait for the topic's policy",
		Stack: "prod",
		By:    stacktest.RemoveDependency("aws_db_event_subscription.database_events", alertsTopicPolicy),
		Found: "aws_db_event_subscription.database_events",
	}, {
		Name:  "the backup function's failure destination does not wait for the topic's policy",
		Stack: "prod",
		By:    stacktest.RemoveDependency(functionRetries, alertsTopicPolicy),
		Found: functionRetries,
	}},
}}

func unusedIsDeletedLast(s stacktest.Stack, v *stacktest.Violations) {
	const violation = "has no create_before_destroy, so that it is deleted while it is used"
	kinds := []string{
		"aws_subnet", "aws_nat_gateway", "aws_eip", "aws_route_table", "aws_route_table_association",
		"aws_vpc_endpoint_route_table_association", "aws_lb_listener_rule", "aws_lb_target_group",
		"aws_ecs_task_definition",
	}
	for _, r := range s.Resources(kinds...) {
		v.Want(r.Is("lifecycle.create_before_destroy", true), r.Address, violation)
	}
	for _, route := range s.Resources("aws_route") {
		v.Want(route.ID() == "public_default_route" || route.Is("lifecycle.create_before_destroy", true),
			route.Address, violation)
	}
	if s.Resource(httpsListener).Exists() {
		v.Want(slices.Contains(s.Resource(httpListener).Strings("depends_on"), httpsListener),
			httpListener, "may redirect to HTTPS before the HTTPS listener is created")
	}
}

func publicAfterInternetGateway(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, r := range s.Resources("aws_lb", "aws_eip", "aws_nat_gateway") {
		v.WantBefore(o, r, s.Resources("aws_internet_gateway"), "AWS rejects it, or it has no route to the internet")
	}
}

// servicesAfterWhatTheyNeed: a service whose first task cannot pull its image, read its secrets or
// be reached triggers the circuit breaker, and there is no earlier deployment to roll back to.
func servicesAfterWhatTheyNeed(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, f := range functionsInVPC(s) { // a deployment invokes them at once
		for _, subnet := range f.References("vpc_config.subnet_ids") {
			routes, _ := routesOf(s, subnet)
			v.WantBefore(o, f, routes, "the function cannot connect to AWS")
		}
		for _, group := range f.References("vpc_config.security_group_ids") {
			v.WantBefore(o, f, rulesOf(s, group), "the function's traffic is not allowed yet")
		}
	}
	for _, t := range serviceTasks(s) {
		for _, subnet := range t.service.References("network_configuration.subnets") {
			routes, table := routesOf(s, subnet)
			noRoute := "a task in " + subnet + " cannot connect to AWS"
			v.WantBefore(o, t.service, routes, noRoute)
			v.WantBefore(o, t.service,
				stacktest.Referring(s.Resources("aws_route_table_association"), "subnet_id", subnet), noRoute)
			v.WantBefore(o, t.service,
				stacktest.Referring(s.Resources("aws_vpc_endpoint_route_table_association"), "route_table_id", table),
				"image layers come from S3")
			v.WantBefore(o, t.service,
				stacktest.Referring(s.Resources("aws_vpc_endpoint_subnet_association"), "subnet_id", subnet),
				"a task in "+subnet+" cannot connect to the endpoint")
		}
		v.WantBefore(o, t.service, rulesOf(s, t.securityGroup()), "the first task's traffic is not allowed yet")
		if t.usesDatabase() {
			v.WantBefore(o, t.service,
				stacktest.Referring(s.Resources("aws_lambda_invocation"), "input", t.databaseInstance()),
				"the first task cannot log in to the database")
		}
		for _, path := range []string{"execution_role_arn", "task_role_arn"} {
			v.WantBefore(o, t.service,
				stacktest.Referring(s.Resources("aws_iam_role_policy"), "role", t.definition.Reference(path)),
				"the first task's role allows nothing")
		}
		v.WantBefore(o, t.service, s.Resources("aws_ecs_cluster_capacity_providers"),
			"the cluster does not have FARGATE_SPOT yet")
		for _, c := range t.containers() {
			v.WantBefore(o, t.service,
				logGroupsNamed(s, s.Resolve(c.String("logConfiguration.options.awslogs-group"))),
				"the first task cannot write its log")
		}
		servicesAfterListenerRules(s, v, o, t)
		if t.service.Has("alarms") {
			// An alarm that is named by reference is created before the service.
			alarms := stacktest.Filter(s.Resources("aws_cloudwatch_metric_alarm"), func(a stacktest.Resource) bool {
				return slices.Contains(t.service.References("alarms.alarm_names"), a.Address)
			})
			v.Want(len(alarms) == len(t.service.Strings("alarms.alarm_names")),
				t.service.Address, "names a deployment alarm without a reference to it")
		}
	}
}

func servicesAfterListenerRules(s stacktest.Stack, v *stacktest.Violations, o stacktest.Order, t serviceTask) {
	for _, target := range t.service.Blocks("load_balancer") {
		needed := stacktest.Filter(s.Resources("aws_lb_listener_rule"), func(rule stacktest.Resource) bool {
			forwards := slices.Contains(rule.References("action"), target.Reference("target_group_arn"))
			return forwards || strings.HasPrefix(rule.ID(), serviceID(t.name())+"_")
		})
		v.WantBefore(o, t.service, needed,
			"ECS rejects a target group without a rule, and metrics are public until a rule hides them")
	}
}

// rulesOf are the security group rules that the members of a group need: both ends of all traffic
// from them, and of the load balancer's traffic to them. What others send to them, such as
// Prometheus's scrapes, only the others wait for.
func rulesOf(s stacktest.Stack, group string) []stacktest.Resource {
	return stacktest.Filter(s.Resources(ingressKind, egressKind), func(rule stacktest.Resource) bool {
		from, to := rule.Reference("security_group_id"), peerOf(rule)
		if rule.Kind() == ingressKind {
			from, to = to, from
		}
		return from == group || to == group && slices.Contains(loadBalancerGroups(s), from)
	})
}

func rolesHavePoliciesBeforeUse(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for kind, path := range map[string]string{ // a task definition assumes no role: its service waits
		"aws_lambda_function":    "role",
		"aws_flow_log":           "iam_role_arn",
		"aws_db_instance":        "monitoring_role_arn",
		"aws_scheduler_schedule": "target.role_arn",
	} {
		for _, r := range s.Resources(kind) {
			for _, role := range r.References(path) {
				v.WantBefore(o, r, stacktest.Referring(s.Resources("aws_iam_role_policy"), "role", role),
					"its calls are denied until the role has its policies")
			}
		}
	}
}

func interfacesAreDeletedBeforePolicy(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, f := range functionsInVPC(s) {
		for _, group := range f.References("vpc_config.security_group_ids") {
			v.WantBefore(o, s.Resource(group),
				stacktest.Referring(s.Resources("aws_iam_role_policy"), "role", f.Reference("role")),
				"what is created first is deleted last, "+
					"and without the policy Lambda cannot delete the function's interfaces in the group")
		}
	}
}

// logWriter is what writes a log, with the name of the log group.
type logWriter struct {
	resource stacktest.Resource
	group    string
}

// logWriters are the writers of all logs. RDS, Lambda and Container Insights write to log groups
// whose names they choose. If such a group does not exist, they create one without retention or a
// key.
func logWriters(s stacktest.Stack) []logWriter {
	var all []logWriter
	for _, instance := range s.Resources("aws_db_instance") {
		for _, log := range instance.Strings("enabled_cloudwatch_logs_exports") {
			all = append(all, logWriter{instance, "/aws/rds/instance/" + instance.String("identifier") + "/" + log})
		}
	}
	for _, function := range s.Resources("aws_lambda_function") {
		all = append(all, logWriter{function, "/aws/lambda/" + function.String("function_name")})
	}
	for _, cluster := range s.Resources("aws_ecs_cluster") {
		for _, setting := range cluster.Blocks("setting") {
			if setting.Is("name", "containerInsights") && !setting.Is("value", "disabled") {
				name := "/aws/ecs/containerinsights/" + cluster.String("name") + "/performance"
				all = append(all, logWriter{cluster, name})
			}
		}
		all = append(all, logWriter{cluster, s.Resolve(cluster.String(sessionLogGroup))})
	}
	named := func(r stacktest.Resource, path string) string { // an argument holds the log group's ARN
		return s.Resolve(s.Resource(r.Reference(path)).String("name"))
	}
	for _, flowLog := range s.Resources("aws_flow_log") {
		all = append(all, logWriter{flowLog, named(flowLog, "log_destination")})
	}
	for _, logging := range s.Resources("aws_wafv2_web_acl_logging_configuration") {
		all = append(all, logWriter{logging, named(logging, "log_destination_configs")})
	}
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			writer := c
			writer.Address = t.definition.Address
			all = append(all, logWriter{writer, s.Resolve(c.String("logConfiguration.options.awslogs-group"))})
		}
	}
	return all
}

// sessionLogGroup is where a cluster names the log group of ECS Exec's sessions.
const sessionLogGroup = "configuration.execute_command_configuration.log_configuration.cloud_watch_log_group_name"

// logGroupsNamed are the log groups with a name: one, or none.
func logGroupsNamed(s stacktest.Stack, name string) []stacktest.Resource {
	return stacktest.Filter(s.Resources("aws_cloudwatch_log_group"), func(group stacktest.Resource) bool {
		return s.Resolve(group.String("name")) == name
	})
}

func logGroupsBeforeWriters(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, w := range logWriters(s) {
		groups := logGroupsNamed(s, w.group)
		v.Want(len(groups) > 0, w.resource.Address, "writes to a log group that is not declared: %q", w.group)
		v.WantBefore(o, w.resource, groups,
			"AWS creates a log group without retention or a key, or writes nothing")
	}
	for _, vpc := range s.Resources("aws_vpc") {
		flowLogs := stacktest.Referring(s.Resources("aws_flow_log"), "vpc_id", vpc.Address)
		v.Want(len(flowLogs) == 1, vpc.Address, "want one flow log, have %d", len(flowLogs))
		for _, flowLog := range flowLogs {
			v.Want(flowLog.Is("traffic_type", "ALL"),
				flowLog.Address, "logs %v traffic only", flowLog.At("traffic_type"))
		}
	}
}

func schedulesAreCreatedLast(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, schedule := range s.Resources("aws_scheduler_schedule") {
		function := schedule.Reference("target.arn")
		v.WantBefore(o, schedule,
			stacktest.Referring(s.Resources("aws_lambda_function_event_invoke_config"), "function_name", function),
			"an earlier failure is not retried, and nobody is notified of it")
		invocations := stacktest.Filter(s.Resources("aws_lambda_invocation"), func(i stacktest.Resource) bool {
			return !i.Is("input.action", "report")
		})
		v.WantBefore(o, schedule,
			stacktest.Referring(invocations, "function_name", function),
			"what is created first is deleted last, and a run after the clean-up creates another snapshot")
	}
}

func topicPolicyBeforePublishers(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	publishers := []string{
		"aws_cloudwatch_metric_alarm", "aws_cloudwatch_event_target", "aws_db_event_subscription",
		"aws_lambda_function_event_invoke_config",
	}
	for _, topic := range s.Resources("aws_sns_topic") {
		policies := stacktest.Referring(s.Resources("aws_sns_topic_policy"), "arn", topic.Address)
		for _, r := range s.Resources(publishers...) {
			// The alarm on the signs of life reads a topic's metric, and publishes to another topic.
			counted := r.References("dimensions.TopicName")
			references := slices.DeleteFunc(stacktest.References(r.Body()),
				func(address string) bool { return slices.Contains(counted, address) })
			if slices.Contains(references, topic.Address) {
				v.WantBefore(o, r, policies, "what it publishes earlier is lost")
			}
		}
	}
}

func reportedBeforeAlarm(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, f := range backupFunctions(s) {
		reports := stacktest.Filter(s.Resources("aws_lambda_invocation"), func(i stacktest.Resource) bool {
			return i.Reference("function_name") == f.Address && i.Is("input.action", "report")
		})
		v.Want(len(reports) == 1, f.Address, "want one first report, have %d", len(reports))
		for _, report := range reports {
			database := f.References("environment.variables.DB_INSTANCE_IDENTIFIER")
			v.Want(slices.Equal(report.References("triggers"), database),
				report.Address, "is not called again when another instance comes into use")
		}
		for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
			if strings.HasSuffix(a.String("namespace"), "/Backup") && a.Is("treat_missing_data", "breaching") {
				v.WantBefore(o, a, reports, "without data it fires")
			}
		}
	}
}
