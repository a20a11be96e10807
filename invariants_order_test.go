package main

import (
	"slices"
	"strings"
)

var orderInvariants = []invariant{
	{
		// Terraform deletes what the configuration no longer has before it changes what used it,
		// unless the deleted is one to be made before it is destroyed: AWS refuses to delete a
		// subnet with a balancer in it, and a route to a gateway that is gone leads nowhere.
		// https://developer.hashicorp.com/terraform/language/meta-arguments/lifecycle
		promise: "what a zone or a listener leaves behind goes after its users have left it",
		check:   goneGoesLast,
		broken: []damage{
			{name: "a subnet goes first", stack: "dev",
				breaks: unset("aws_subnet.private_subnet_b", "lifecycle.create_before_destroy"),
				found:  "aws_subnet.private_subnet_b"},
			{name: "a NAT gateway does", stack: "prod",
				breaks: unset("aws_nat_gateway.nat_gateway_b", "lifecycle.create_before_destroy"),
				found:  "aws_nat_gateway.nat_gateway_b"},
			{name: "the way of a zone's tasks does", stack: "dev",
				breaks: unset("aws_route.private_default_route_b", "lifecycle.create_before_destroy"),
				found:  "aws_route.private_default_route_b"},
			{name: "its table does", stack: "dev",
				breaks: unset("aws_route_table.private_b_route_table", "lifecycle.create_before_destroy"),
				found:  "aws_route_table.private_b_route_table"},
			{name: "its address does", stack: "prod",
				breaks: unset("aws_eip.nat_address_b", "lifecycle.create_before_destroy"),
				found:  "aws_eip.nat_address_b"},
			{name: "a rule does", stack: "dev",
				breaks: unset("aws_lb_listener_rule.service_web_listener_rule", "lifecycle.create_before_destroy"),
				found:  "aws_lb_listener_rule.service_web_listener_rule"},
			{name: "people are sent to HTTPS before it is there", stack: "prod",
				breaks: undepend("aws_lb_listener.http_listener", "aws_lb_listener.https_listener"),
				found:  "aws_lb_listener.http_listener"},
		},
	},
	{
		promise: "what has a public address is made after the internet gateway",
		check:   publicComesAfterGateway,
		broken: []damage{
			{name: "the balancer is not", stack: "prod",
				breaks: undepend(balancer, "aws_internet_gateway.internet_gateway"), found: balancer},
			{name: "an address is not", stack: "prod",
				breaks: both(
					undepend("aws_eip.nat_address_b", "aws_internet_gateway.internet_gateway"),
					undepend("aws_nat_gateway.nat_gateway_b", "aws_internet_gateway.internet_gateway"),
				),
				found: "aws_eip.nat_address_b"},
			{name: "a NAT gateway is not", stack: "dev",
				breaks: both(
					undepend("aws_eip.nat_address_a", "aws_internet_gateway.internet_gateway"),
					undepend("aws_nat_gateway.nat_gateway_a", "aws_internet_gateway.internet_gateway"),
				),
				found: "aws_nat_gateway.nat_gateway_a"},
		},
	},
	{
		promise: "a service starts when everything that its first task needs is there",
		check:   servicesStartLast,
		broken: []damage{
			{name: "before a route out", stack: "prod",
				breaks: undepend(prometheusService, "aws_route.private_default_route_c"), found: prometheusService},
			{name: "before a subnet has its route table", stack: "prod",
				breaks: undepend(prometheusService, "aws_route_table_association.private_route_table_association_a"),
				found:  prometheusService},
			{name: "before the way to S3", stack: "dev",
				breaks: undepend(prometheusService,
					"aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_a"),
				found: prometheusService},
			{name: "before an endpoint is in its subnet", stack: "no NAT",
				breaks: undepend(prometheusService,
					"aws_vpc_endpoint_subnet_association.endpoint_ecr_api_subnet_association_a"),
				found: prometheusService},
			{name: "before the database lets it in", stack: "prod",
				breaks: undepend(webService, ingress+"service_web_to_database_ingress"), found: webService},
			{name: "before the balancer may send to it", stack: "prod",
				breaks: undepend(webService, egress+"service_web_from_load_balancer_egress"), found: webService},
			{name: "before it may send", stack: "dev",
				breaks: undepend(prometheusService, egress+"prometheus_https_egress"), found: prometheusService},
			{name: "before Prometheus may scrape", stack: "metrics",
				breaks: undepend(prometheusService, ingress+"service_admin_from_prometheus_ingress"),
				found:  prometheusService},
			{name: "before its execution role may do anything", stack: "prod",
				breaks: undepend(webService, "aws_iam_role_policy.service_web_execution_role_policy"),
				found:  webService},
			{name: "before its task role may", stack: "dev",
				breaks: undepend(prometheusService, "aws_iam_role_policy.prometheus_task_role_policy"),
				found:  prometheusService},
			{name: "before the cluster has its capacity", stack: "dev",
				breaks: undepend(webService, "aws_ecs_cluster_capacity_providers.cluster_capacity_providers"),
				found:  webService},
			{name: "before a rule attaches its target group", stack: "prod",
				breaks: undepend(webService, webRule), found: webService},
			{name: "before its metrics are hidden", stack: "metrics",
				breaks: undepend(webService, hidingRule), found: webService},
			{name: "before its log group", stack: "prod",
				breaks: both(
					undepend(webService, "aws_cloudwatch_log_group.service_web_log_group"),
					change(executionDocument, "statement.0.resources.0", "*"),
					inContainer(webDefinition, "web", literalLog),
					inContainer(webDefinition, "rds-certificates", literalLog),
				),
				found: webService},
			{name: "before it can log in to its database", stack: "prod",
				breaks: undepend(webService, "aws_lambda_invocation.database_roles"), found: webService},
			{name: "before the function that makes the roles reaches the database", stack: "prod",
				breaks: undepend("aws_lambda_function.database_function",
					ingress+"database_function_to_database_ingress"),
				found: "aws_lambda_function.database_function"},
			{name: "before that function has a way to AWS", stack: "prod",
				breaks: undepend("aws_lambda_function.database_function", "aws_route.private_default_route_a"),
				found:  "aws_lambda_function.database_function"},
			{name: "before the alarms that watch its deployment", stack: "prod",
				breaks: change(webService, "alarms.alarm_names", []any{"platform-prod-web-deployment-errors"}),
				found:  webService},
		},
	},
	{
		promise: "nothing takes on a role before the role may do anything",
		check:   rolesComeFirst,
		broken: []damage{
			{name: "the function", stack: "prod",
				breaks: undepend(theFunction, "aws_iam_role_policy.backup_function_role_policy"), found: theFunction},
			{name: "the flow log", stack: "prod",
				breaks: undepend("aws_flow_log.flow_log", "aws_iam_role_policy.flow_log_role_policy"),
				found:  "aws_flow_log.flow_log"},
			{name: "a schedule", stack: "prod",
				breaks: undepend(backupSchedule, "aws_iam_role_policy.backup_schedule_role_policy"),
				found:  backupSchedule},
			{name: "the database's monitoring", stack: "dev",
				breaks: undepend(database, "aws_iam_role_policy.database_monitoring_role_policy"), found: database},
		},
	},
	{
		// Lambda takes them away minutes after the function is gone, with the function's role;
		// while they stand, EC2 refuses to delete the security group.
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions,
		// https://github.com/aws/aws-cdk/issues/34400
		promise: "a function's role may take its network interfaces away until they are gone",
		check:   interfacesGoBeforeRights,
		broken: []damage{
			{name: "only until the function is", stack: "prod",
				breaks: undepend("aws_security_group.database_function_security_group",
					"aws_iam_role_policy.database_function_role_policy"),
				found: "aws_security_group.database_function_security_group"},
		},
	},
	{
		promise: "whoever writes a log finds its log group there",
		check:   logGroupsComeFirst,
		broken: []damage{
			{name: "the database does not", stack: "prod",
				breaks: undepend(database, "aws_cloudwatch_log_group.database_upgrade_log_group"), found: database},
			{name: "a restored one has none", stack: "a restored database",
				breaks: drop("aws_cloudwatch_log_group.database_restored_yesterday_postgresql_log_group"),
				found:  "aws_db_instance.database_restored_yesterday"},
			{name: "Container Insights does not", stack: "prod",
				breaks: undepend("aws_ecs_cluster.cluster", "aws_cloudwatch_log_group.container_insights_log_group"),
				found:  "aws_ecs_cluster.cluster"},
			{name: "the function does not", stack: "prod",
				breaks: both(
					undepend(theFunction, "aws_cloudwatch_log_group.backup_function_log_group"),
					change(functionDocument, "statement.0.resources.0", "*"),
				),
				found: theFunction},
			{name: "the group of the function is called otherwise", stack: "dev",
				breaks: change("aws_cloudwatch_log_group.backup_function_log_group", "name", "/backup"),
				found:  theFunction},
			{name: "a container's has another name", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("logConfiguration", tree{
					"logDriver": "awslogs", "options": tree{"awslogs-group": "/somewhere", "mode": "non-blocking"},
				})),
				found: webDefinition},
			{name: "a container writes nowhere", stack: "dev",
				breaks: inContainer(webDefinition, "web", without("logConfiguration")), found: webDefinition},
			{name: "sessions are not logged", stack: "dev",
				breaks: unset("aws_ecs_cluster.cluster",
					execLogging+"cloud_watch_log_group_name"),
				found: "aws_ecs_cluster.cluster"},
			{name: "traffic is not", stack: "dev",
				breaks: change("aws_flow_log.flow_log", "log_destination", "arn:aws:s3:::flow-logs"),
				found:  "aws_flow_log.flow_log"},
			{name: "only what is accepted is", stack: "dev",
				breaks: change("aws_flow_log.flow_log", "traffic_type", "ACCEPT"), found: "aws_flow_log.flow_log"},
			{name: "no traffic at all is", stack: "dev",
				breaks: drop("aws_flow_log.flow_log"), found: "aws_vpc.vpc"},
		},
	},
	{
		promise: "a bucket is ready before something is put there",
		check:   bucketsComeFirst,
		broken: []damage{
			{name: "the balancer logs before it may", stack: "prod",
				breaks: undepend(balancer, "aws_s3_bucket_policy.access_logs_bucket_policy"), found: balancer},
			{name: "an object comes before versions", stack: "prod",
				breaks: undepend("aws_s3_object.prometheus_configuration", "aws_s3_bucket_versioning."),
				found:  "aws_s3_object.prometheus_configuration"},
			{name: "access is changed twice at the same time", stack: "prod",
				breaks: undepend("aws_s3_bucket_policy.backup_bucket_policy",
					"aws_s3_bucket_public_access_block.backup_bucket_public_access_block"),
				found: "aws_s3_bucket_policy.backup_bucket_policy"},
			{name: "rules for versions come before versions", stack: "dev",
				breaks: undepend("aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle",
					"aws_s3_bucket_versioning.backup_bucket_versioning"),
				found: "aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle"},
			{name: "a lock comes before versions", stack: "production over HTTP",
				breaks: undepend("aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock",
					"aws_s3_bucket_versioning.backup_bucket_versioning"),
				found: "aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock"},
		},
	},
	{
		promise: "the topic takes messages before somebody sends one",
		check:   topicComesFirst,
		broken: []damage{
			{name: "an alarm", stack: "prod",
				breaks: undepend("aws_cloudwatch_metric_alarm.database_cpu_alarm", topicPolicy),
				found:  "aws_cloudwatch_metric_alarm.database_cpu_alarm"},
			{name: "events", stack: "prod",
				breaks: undepend("aws_cloudwatch_event_target.deployment_failed_target", topicPolicy),
				found:  "aws_cloudwatch_event_target.deployment_failed_target"},
			{name: "RDS", stack: "prod",
				breaks: undepend("aws_db_event_subscription.database_events", topicPolicy),
				found:  "aws_db_event_subscription.database_events"},
			{name: "the function", stack: "prod",
				breaks: undepend(retryConfig, topicPolicy), found: retryConfig},
		},
	},
	{
		promise: "scaling on requests begins after the rule that brings them",
		check:   requestScalingComesAfterRule,
		broken: []damage{
			{name: "it does not", stack: "a service with everything",
				breaks: both(
					undepend("aws_appautoscaling_policy.service_web_scaling_requests", webRule),
					undepend(webService, webRule),
				),
				found: "aws_appautoscaling_policy.service_web_scaling_requests"},
			{name: "it has no target group", stack: "a service with everything",
				breaks: unset("aws_appautoscaling_policy.service_web_scaling_requests",
					scalingMetric+"resource_label"),
				found: "aws_appautoscaling_policy.service_web_scaling_requests"},
		},
	},
	{
		promise: "schedules begin after a failure has a way to people, and end before the clean-up",
		check:   schedulesComeLast,
		broken: []damage{
			{name: "before a failure is heard", stack: "prod",
				breaks: undepend(backupSchedule, retryConfig), found: backupSchedule},
			{name: "after the clean-up, which leaves a snapshot behind", stack: "dev",
				breaks: undepend(backupSchedule, "aws_lambda_invocation.backup_cleanup"), found: backupSchedule},
		},
	},
}

// literalLog names web's log group without a reference to it.
var literalLog = with("logConfiguration", tree{
	"logDriver": "awslogs",
	"options": tree{
		"awslogs-group":  "/platform-prod/service/web",
		"awslogs-region": "eu-central-1",
		"mode":           "non-blocking",
	},
})

func publicComesAfterGateway(stack tree) (v violations) {
	o := orderOf(stack)
	for _, r := range things(stack, "aws_lb", "aws_eip", "aws_nat_gateway") {
		v.wantBefore(o, r, things(stack, "aws_internet_gateway"),
			"it would have no way to the internet, or AWS refuses it")
	}
	return v
}

// servicesStartLast: a service whose first task cannot pull, read its secrets or be reached trips
// the circuit breaker, and there is no earlier deployment to go back to.
func servicesStartLast(stack tree) (v violations) {
	o := orderOf(stack)
	for _, f := range functionsInside(stack) { // which a deployment calls at once
		for _, subnet := range f.refs("vpc_config.subnet_ids") {
			routes, _ := routesOf(stack, subnet)
			v.wantBefore(o, f, routes, "it does not reach AWS")
		}
		for _, group := range f.refs("vpc_config.security_group_ids") {
			v.wantBefore(o, f, waysOf(stack, runningTask{group: group}), "it is cut off")
		}
	}
	for _, t := range tasks(stack) {
		for _, subnet := range t.service.refs("network_configuration.subnets") {
			routes, table := routesOf(stack, subnet)
			v.wantBefore(o, t.service, routes, "a task in "+subnet+" has no way out")
			v.wantBefore(o, t.service, referring(things(stack, "aws_route_table_association"), "subnet_id", subnet),
				"a task in "+subnet+" has no way out")
			v.wantBefore(o, t.service,
				referring(things(stack, "aws_vpc_endpoint_route_table_association"), "route_table_id", table),
				"image layers come from S3")
			v.wantBefore(o, t.service,
				referring(things(stack, "aws_vpc_endpoint_subnet_association"), "subnet_id", subnet),
				"a task in "+subnet+" does not reach the endpoint")
		}
		v.wantBefore(o, t.service, waysOf(stack, t), "the first task is cut off")
		if database, uses := t.usesDatabase(); uses {
			v.wantBefore(o, t.service, referring(things(stack, "aws_lambda_invocation"), "input", database),
				"the first task cannot log in")
		}
		for _, path := range []string{"execution_role_arn", "task_role_arn"} {
			v.wantBefore(o, t.service, referring(things(stack, "aws_iam_role_policy"), "role", t.definition.ref(path)),
				"the first task may do nothing")
		}
		v.wantBefore(o, t.service, things(stack, "aws_ecs_cluster_capacity_providers"),
			"FARGATE_SPOT is refused before")
		for _, c := range t.containers {
			if group, ok := logGroup(stack, resolved(stack, c.text("logConfiguration.options.awslogs-group"))); ok {
				v.wantBefore(o, t.service, []thing{group}, "the first task has no log")
			}
		}
		for _, behind := range t.service.parts("load_balancer") {
			for _, rule := range things(stack, "aws_lb_listener_rule") {
				attaches := slices.Contains(rule.refs("action"), behind.ref("target_group_arn"))
				if attaches || strings.HasPrefix(rule.id(), "service_"+t.name()+"_") {
					v.wantBefore(o, t.service, []thing{rule},
						"ECS refuses a target group without a rule, and metrics are public until they are hidden")
				}
			}
		}
		if t.service.has("alarms") {
			// Those that are named by reference, and so made before.
			declared := len(deploymentAlarms(stack, t.service))
			v.want(declared == len(t.service.strings("alarms.alarm_names")),
				t.service.address, "names a deployment alarm that is not declared here")
		}
	}
	return v
}

// waysOf are the rules that a task needs: at both ends of each way from it, and of the balancer's
// way to it. What others want of it, such as Prometheus its metrics, is theirs to wait for.
func waysOf(stack tree, t runningTask) []thing {
	return keep(things(stack, ruleKinds...), func(r thing) bool {
		own, other := r.ref("security_group_id"), peer(r)
		from, to := own, other
		if r.kind() == "aws_vpc_security_group_ingress_rule" {
			from, to = other, own
		}
		return from == t.group || to == t.group && slices.Contains(balancerGroups(stack), from)
	})
}

func rolesComeFirst(stack tree) (v violations) {
	o := orderOf(stack)
	for _, role := range things(stack, "aws_iam_role") {
		for _, u := range usesOf(stack, role.address) {
			// A definition takes on nothing; its service waits.
			if u.by.kind() != "aws_ecs_task_definition" {
				v.wantBefore(o, u.by, referring(things(stack, "aws_iam_role_policy"), "role", role.address),
					"it is refused, or fails without a word")
			}
		}
	}
	return v
}

func interfacesGoBeforeRights(stack tree) (v violations) {
	o := orderOf(stack)
	for _, f := range functionsInside(stack) {
		for _, group := range f.refs("vpc_config.security_group_ids") {
			v.wantBefore(o, get(stack, group), referring(things(stack, "aws_iam_role_policy"), "role", f.ref("role")),
				"what is made first is destroyed last, "+
					"and no right is left to take the function's interfaces out of it")
		}
	}
	return v
}

// writing is one log that somebody writes: to a log group of this name.
type writing struct {
	by   thing
	name string
}

// writings are all logs. RDS, Lambda and Container Insights have names of their own for them, and
// make a group without an end or a key where there is none.
func writings(stack tree) []writing {
	var all []writing
	for _, database := range things(stack, "aws_db_instance") {
		for _, log := range database.strings("enabled_cloudwatch_logs_exports") {
			all = append(all, writing{database, "/aws/rds/instance/" + database.text("identifier") + "/" + log})
		}
	}
	for _, function := range things(stack, "aws_lambda_function") {
		all = append(all, writing{function, "/aws/lambda/" + function.text("function_name")})
	}
	for _, cluster := range things(stack, "aws_ecs_cluster") {
		for _, setting := range cluster.parts("setting") {
			if setting.is("name", "containerInsights") && !setting.is("value", "disabled") {
				name := "/aws/ecs/containerinsights/" + cluster.text("name") + "/performance"
				all = append(all, writing{cluster, name})
			}
		}
		all = append(all, writing{cluster, resolved(stack, cluster.text(execLogging+"cloud_watch_log_group_name"))})
	}
	for _, flow := range things(stack, "aws_flow_log") {
		all = append(all, writing{flow, nameOf(stack, flow, "log_destination")})
	}
	for _, logging := range things(stack, "aws_wafv2_web_acl_logging_configuration") {
		all = append(all, writing{logging, nameOf(stack, logging, "log_destination_configs")})
	}
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			all = append(all, writing{
				thing{t.definition.address, c.body},
				resolved(stack, c.text("logConfiguration.options.awslogs-group")),
			})
		}
	}
	return all
}

// nameOf is the name of the log group whose ARN an argument holds.
func nameOf(stack tree, r thing, path string) string {
	return resolved(stack, get(stack, r.ref(path)).text("name"))
}

func logGroupsComeFirst(stack tree) (v violations) {
	o := orderOf(stack)
	for _, w := range writings(stack) {
		group, ok := logGroup(stack, w.name)
		v.want(ok, w.by.address, "writes to a log group that is not declared: %q", w.name)
		if ok {
			v.wantBefore(o, w.by, []thing{group}, "AWS makes one without an end and a key, or writes nothing")
		}
	}
	for _, network := range things(stack, "aws_vpc") {
		flows := referring(things(stack, "aws_flow_log"), "vpc_id", network.address)
		v.want(len(flows) == 1, network.address, "logs no traffic")
		for _, flow := range flows {
			v.want(flow.is("traffic_type", "ALL"), flow.address, "logs %v traffic only", flow.at("traffic_type"))
		}
	}
	return v
}

func bucketsComeFirst(stack tree) (v violations) {
	o := orderOf(stack)
	of := func(bucket string, kinds ...string) []thing {
		return referring(things(stack, kinds...), "bucket", bucket)
	}
	ready := []string{
		"aws_s3_bucket_policy", "aws_s3_bucket_ownership_controls",
		"aws_s3_bucket_server_side_encryption_configuration",
	}
	for _, b := range things(stack, "aws_lb") {
		v.wantBefore(o, b, of(b.ref("access_logs.bucket"), ready...), "it writes a test file at once")
	}
	for _, object := range things(stack, "aws_s3_object") {
		v.wantBefore(o, object, of(object.ref("bucket"), append(ready, "aws_s3_bucket_versioning")...),
			"it is not as the bucket's other objects")
	}
	for _, policy := range things(stack, "aws_s3_bucket_policy") {
		v.wantBefore(o, policy, of(policy.ref("bucket"), "aws_s3_bucket_public_access_block"),
			"S3 refuses two changes at the same time")
	}
	later := []string{"aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_object_lock_configuration"}
	for _, after := range things(stack, later...) {
		v.wantBefore(o, after, of(after.ref("bucket"), "aws_s3_bucket_versioning"), "it is about versions")
	}
	return v
}

func topicComesFirst(stack tree) (v violations) {
	o := orderOf(stack)
	senders := []string{
		"aws_cloudwatch_metric_alarm", "aws_cloudwatch_event_target", "aws_db_event_subscription",
		"aws_lambda_function_event_invoke_config",
	}
	for _, topic := range things(stack, "aws_sns_topic") {
		policies := referring(things(stack, "aws_sns_topic_policy"), "arn", topic.address)
		for _, r := range things(stack, senders...) {
			if slices.Contains(references(r.body), topic.address) {
				v.wantBefore(o, r, policies, "what it sends before is lost")
			}
		}
	}
	return v
}

func requestScalingComesAfterRule(stack tree) (v violations) {
	o := orderOf(stack)
	for _, policy := range things(stack, "aws_appautoscaling_policy") {
		if !policy.is(scalingMetric+"predefined_metric_type", "ALBRequestCountPerTarget") {
			continue
		}
		groups := slices.DeleteFunc(policy.refs(scalingMetric+"resource_label"), func(address string) bool {
			return !strings.HasPrefix(address, "aws_lb_target_group.")
		})
		v.want(len(groups) == 1, policy.address, "counts requests of no target group")
		for _, rule := range things(stack, "aws_lb_listener_rule") {
			if len(groups) == 1 && slices.Contains(rule.refs("action"), groups[0]) {
				v.wantBefore(o, policy, []thing{rule}, "AWS refuses it while no listener uses the target group")
			}
		}
	}
	return v
}

func schedulesComeLast(stack tree) (v violations) {
	o := orderOf(stack)
	for _, schedule := range things(stack, "aws_scheduler_schedule") {
		v.wantBefore(o, schedule, things(stack, "aws_lambda_function_event_invoke_config"),
			"a failure before that reaches nobody")
		v.wantBefore(o, schedule,
			referring(things(stack, "aws_lambda_invocation"), "function_name", schedule.ref("target.arn")),
			"what is made first is destroyed last, and a call after the clean-up makes a new snapshot")
	}
	return v
}

func goneGoesLast(stack tree) (v violations) {
	used := []string{
		"aws_subnet", "aws_nat_gateway", "aws_eip", "aws_route_table", "aws_route_table_association",
		"aws_vpc_endpoint_route_table_association", "aws_lb_listener_rule", "aws_lb_target_group",
		"aws_ecs_task_definition",
	}
	for _, r := range things(stack, used...) {
		v.want(r.is("lifecycle.create_before_destroy", true), r.address, "goes before its users have left it")
	}
	for _, r := range things(stack, "aws_route") {
		v.want(r.id() == "public_default_route" || r.is("lifecycle.create_before_destroy", true),
			r.address, "goes before its users have left it")
	}
	http := get(stack, "aws_lb_listener.http_listener")
	if get(stack, "aws_lb_listener.https_listener").body != nil {
		v.want(slices.Contains(http.strings("depends_on"), "aws_lb_listener.https_listener"),
			http.address, "sends people to where nothing listens yet")
	}
	return v
}
