package main

import (
	"slices"
	"strings"
)

var orderInvariants = []invariant{
	{
		// Terraform deletes what the configuration no longer has before it changes what used it, unless the deleted is one to be made before it is
		// destroyed: AWS refuses to delete a subnet with a balancer in it, and a route to a gateway that is gone leads nowhere.
		// https://developer.hashicorp.com/terraform/language/meta-arguments/lifecycle
		promise: "what a zone or a listener leaves behind goes after its users have left it",
		check:   goneGoesLast,
		broken: []damage{
			{"a subnet goes first", "dev", unset("aws_subnet.private_subnet_b", "lifecycle.create_before_destroy"), "aws_subnet.private_subnet_b"},
			{"a NAT gateway does", "prod", unset("aws_nat_gateway.nat_gateway_b", "lifecycle.create_before_destroy"), "aws_nat_gateway.nat_gateway_b"},
			{"the way of a zone's tasks does", "dev", unset("aws_route.private_default_route_b", "lifecycle.create_before_destroy"), "aws_route.private_default_route_b"},
			{"its table does", "dev", unset("aws_route_table.private_b_route_table", "lifecycle.create_before_destroy"), "aws_route_table.private_b_route_table"},
			{"its address does", "prod", unset("aws_eip.nat_address_b", "lifecycle.create_before_destroy"), "aws_eip.nat_address_b"},
			{"a rule does", "dev", unset("aws_lb_listener_rule.service_web_listener_rule", "lifecycle.create_before_destroy"), "aws_lb_listener_rule.service_web_listener_rule"},
			{"people are sent to HTTPS before it is there", "prod", undepend("aws_lb_listener.http_listener", "aws_lb_listener.https_listener"), "aws_lb_listener.http_listener"},
		},
	},
	{
		promise: "what has a public address is made after the internet gateway",
		check:   publicComesAfterGateway,
		broken: []damage{
			{"the balancer is not", "prod", undepend(balancer, "aws_internet_gateway.internet_gateway"), balancer},
			{"an address is not", "prod", both(undepend("aws_eip.nat_address_b", "aws_internet_gateway.internet_gateway"), undepend("aws_nat_gateway.nat_gateway_b", "aws_internet_gateway.internet_gateway")), "aws_eip.nat_address_b"},
			{"a NAT gateway is not", "dev", both(undepend("aws_eip.nat_address_a", "aws_internet_gateway.internet_gateway"), undepend("aws_nat_gateway.nat_gateway_a", "aws_internet_gateway.internet_gateway")), "aws_nat_gateway.nat_gateway_a"},
		},
	},
	{
		promise: "a service starts when everything that its first task needs is there",
		check:   servicesStartLast,
		broken: []damage{
			{"before a route out", "prod", undepend(prometheusService, "aws_route.private_default_route_c"), prometheusService},
			{"before a subnet has its route table", "prod", undepend(prometheusService, "aws_route_table_association.private_route_table_association_a"), prometheusService},
			{"before the way to S3", "dev", undepend(prometheusService, "aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_a"), prometheusService},
			{"before an endpoint is in its subnet", "no NAT", undepend(prometheusService, "aws_vpc_endpoint_subnet_association.endpoint_ecr_api_subnet_association_a"), prometheusService},
			{"before the database lets it in", "prod", undepend(webService, ingress+"service_web_to_database_ingress"), webService},
			{"before the balancer may send to it", "prod", undepend(webService, egress+"service_web_from_load_balancer_egress"), webService},
			{"before it may send", "dev", undepend(prometheusService, egress+"prometheus_https_egress"), prometheusService},
			{"before Prometheus may scrape", "metrics", undepend(prometheusService, ingress+"service_admin_from_prometheus_ingress"), prometheusService},
			{"before its execution role may do anything", "prod", undepend(webService, "aws_iam_role_policy.service_web_execution_role_policy"), webService},
			{"before its task role may", "dev", undepend(prometheusService, "aws_iam_role_policy.prometheus_task_role_policy"), prometheusService},
			{"before the cluster has its capacity", "dev", undepend(webService, "aws_ecs_cluster_capacity_providers.cluster_capacity_providers"), webService},
			{"before a rule attaches its target group", "prod", undepend(webService, webRule), webService},
			{"before its metrics are hidden", "metrics", undepend(webService, hidingRule), webService},
			{"before its log group", "prod", both(undepend(webService, "aws_cloudwatch_log_group.service_web_log_group"), change(executionDocument, "statement.0.resources.0", "*"), inContainer(webDefinition, "web", literalLog), inContainer(webDefinition, "rds-certificates", literalLog)), webService},
			{"before it can log in to its database", "prod", undepend(webService, "aws_lambda_invocation.database_roles"), webService},
			{"before the function that makes the roles reaches the database", "prod", undepend("aws_lambda_function.database_function", ingress+"database_function_to_database_ingress"), "aws_lambda_function.database_function"},
			{"before that function has a way to AWS", "prod", undepend("aws_lambda_function.database_function", "aws_route.private_default_route_a"), "aws_lambda_function.database_function"},
			{"before the alarms that watch its deployment", "prod", change(webService, "alarms.alarm_names", []any{"platform-prod-web-deployment-errors"}), webService},
		},
	},
	{
		promise: "nothing takes on a role before the role may do anything",
		check:   rolesComeFirst,
		broken: []damage{
			{"the function", "prod", undepend(theFunction, "aws_iam_role_policy.backup_function_role_policy"), theFunction},
			{"the flow log", "prod", undepend("aws_flow_log.flow_log", "aws_iam_role_policy.flow_log_role_policy"), "aws_flow_log.flow_log"},
			{"a schedule", "prod", undepend(backupSchedule, "aws_iam_role_policy.backup_schedule_role_policy"), backupSchedule},
			{"the database's monitoring", "dev", undepend(database, "aws_iam_role_policy.database_monitoring_role_policy"), database},
		},
	},
	{
		// Lambda takes them away minutes after the function is gone, with the function's role; while they stand, EC2 refuses to delete the security group.
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions, https://github.com/aws/aws-cdk/issues/34400
		promise: "a function's role may take its network interfaces away until they are gone",
		check:   interfacesGoBeforeRights,
		broken: []damage{
			{"only until the function is", "prod", undepend("aws_security_group.database_function_security_group", "aws_iam_role_policy.database_function_role_policy"), "aws_security_group.database_function_security_group"},
		},
	},
	{
		promise: "whoever writes a log finds its log group there",
		check:   logGroupsComeFirst,
		broken: []damage{
			{"the database does not", "prod", undepend(database, "aws_cloudwatch_log_group.database_upgrade_log_group"), database},
			{"a restored one has none", "a restored database", drop("aws_cloudwatch_log_group.database_restored_yesterday_postgresql_log_group"), "aws_db_instance.database_restored_yesterday"},
			{"Container Insights does not", "prod", undepend("aws_ecs_cluster.cluster", "aws_cloudwatch_log_group.container_insights_log_group"), "aws_ecs_cluster.cluster"},
			{"the function does not", "prod", both(undepend(theFunction, "aws_cloudwatch_log_group.backup_function_log_group"), change(functionDocument, "statement.0.resources.0", "*")), theFunction},
			{"the group of the function is called otherwise", "dev", change("aws_cloudwatch_log_group.backup_function_log_group", "name", "/backup"), theFunction},
			{"a container's has another name", "dev", inContainer(webDefinition, "web", with("logConfiguration", tree{
				"logDriver": "awslogs", "options": tree{"awslogs-group": "/somewhere", "mode": "non-blocking"},
			})), webDefinition},
			{"a container writes nowhere", "dev", inContainer(webDefinition, "web", without("logConfiguration")), webDefinition},
			{"sessions are not logged", "dev", unset("aws_ecs_cluster.cluster", "configuration.execute_command_configuration.log_configuration.cloud_watch_log_group_name"), "aws_ecs_cluster.cluster"},
			{"traffic is not", "dev", change("aws_flow_log.flow_log", "log_destination", "arn:aws:s3:::flow-logs"), "aws_flow_log.flow_log"},
			{"only what is accepted is", "dev", change("aws_flow_log.flow_log", "traffic_type", "ACCEPT"), "aws_flow_log.flow_log"},
			{"no traffic at all is", "dev", drop("aws_flow_log.flow_log"), "aws_vpc.vpc"},
		},
	},
	{
		promise: "a bucket is ready before something is put there",
		check:   bucketsComeFirst,
		broken: []damage{
			{"the balancer logs before it may", "prod", undepend(balancer, "aws_s3_bucket_policy.access_logs_bucket_policy"), balancer},
			{"an object comes before versions", "prod", undepend("aws_s3_object.prometheus_configuration", "aws_s3_bucket_versioning."), "aws_s3_object.prometheus_configuration"},
			{"access is changed twice at the same time", "prod", undepend("aws_s3_bucket_policy.backup_bucket_policy", "aws_s3_bucket_public_access_block.backup_bucket_public_access_block"), "aws_s3_bucket_policy.backup_bucket_policy"},
			{"rules for versions come before versions", "dev", undepend("aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle", "aws_s3_bucket_versioning.backup_bucket_versioning"), "aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle"},
			{"a lock comes before versions", "production over HTTP", undepend("aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock", "aws_s3_bucket_versioning.backup_bucket_versioning"), "aws_s3_bucket_object_lock_configuration.backup_bucket_object_lock"},
		},
	},
	{
		promise: "the topic takes messages before somebody sends one",
		check:   topicComesFirst,
		broken: []damage{
			{"an alarm", "prod", undepend("aws_cloudwatch_metric_alarm.database_cpu_alarm", topicPolicy), "aws_cloudwatch_metric_alarm.database_cpu_alarm"},
			{"events", "prod", undepend("aws_cloudwatch_event_target.deployment_failed_target", topicPolicy), "aws_cloudwatch_event_target.deployment_failed_target"},
			{"RDS", "prod", undepend("aws_db_event_subscription.database_events", topicPolicy), "aws_db_event_subscription.database_events"},
			{"the function", "prod", undepend(retryConfig, topicPolicy), retryConfig},
		},
	},
	{
		promise: "scaling on requests begins after the rule that brings them",
		check:   requestScalingComesAfterRule,
		broken: []damage{
			{"it does not", "a service with everything", both(undepend("aws_appautoscaling_policy.service_web_scaling_requests", webRule), undepend(webService, webRule)), "aws_appautoscaling_policy.service_web_scaling_requests"},
			{"it has no target group", "a service with everything", unset("aws_appautoscaling_policy.service_web_scaling_requests", "target_tracking_scaling_policy_configuration.predefined_metric_specification.resource_label"), "aws_appautoscaling_policy.service_web_scaling_requests"},
		},
	},
	{
		promise: "schedules begin after a failure has a way to people, and end before the clean-up",
		check:   schedulesComeLast,
		broken: []damage{
			{"before a failure is heard", "prod", undepend(backupSchedule, retryConfig), backupSchedule},
			{"after the clean-up, which leaves a snapshot behind", "dev", undepend(backupSchedule, "aws_lambda_invocation.backup_cleanup"), backupSchedule},
		},
	},
}

// literalLog names web's log group without a reference to it.
var literalLog = with("logConfiguration", tree{
	"logDriver": "awslogs", "options": tree{"awslogs-group": "/platform-prod/service/web", "awslogs-region": "eu-central-1", "mode": "non-blocking"},
})

func publicComesAfterGateway(stack tree) (v violations) {
	o := orderOf(stack)
	for _, r := range things(stack, "aws_lb", "aws_eip", "aws_nat_gateway") {
		v.wantBefore(o, r, things(stack, "aws_internet_gateway"), "it would have no way to the internet, or AWS refuses it")
	}
	return v
}

// servicesStartLast: a service whose first task cannot pull, read its secrets or be reached trips the circuit breaker, and there is no earlier
// deployment to go back to.
func servicesStartLast(stack tree) (v violations) {
	o := orderOf(stack)
	for _, f := range functionsInside(stack) { // which a deployment calls at once
		for _, subnet := range f.refs("vpc_config.subnet_ids") {
			routes, _ := routesOf(stack, subnet)
			v.wantBefore(o, f, routes, "it does not reach AWS")
		}
		for _, group := range f.refs("vpc_config.security_group_ids") {
			v.wantBefore(o, f, waysOf(stack, task{group: group}), "it is cut off")
		}
	}
	for _, t := range tasks(stack) {
		for _, subnet := range t.service.refs("network_configuration.subnets") {
			routes, table := routesOf(stack, subnet)
			v.wantBefore(o, t.service, routes, "a task in "+subnet+" has no way out")
			v.wantBefore(o, t.service, referring(things(stack, "aws_route_table_association"), "subnet_id", subnet), "a task in "+subnet+" has no way out")
			v.wantBefore(o, t.service, referring(things(stack, "aws_vpc_endpoint_route_table_association"), "route_table_id", table), "image layers come from S3")
			v.wantBefore(o, t.service, referring(things(stack, "aws_vpc_endpoint_subnet_association"), "subnet_id", subnet), "a task in "+subnet+" does not reach the endpoint")
		}
		v.wantBefore(o, t.service, waysOf(stack, t), "the first task is cut off")
		if database, uses := t.usesDatabase(); uses {
			v.wantBefore(o, t.service, referring(things(stack, "aws_lambda_invocation"), "input", database), "the first task cannot log in")
		}
		for _, path := range []string{"execution_role_arn", "task_role_arn"} {
			v.wantBefore(o, t.service, referring(things(stack, "aws_iam_role_policy"), "role", t.definition.ref(path)), "the first task may do nothing")
		}
		v.wantBefore(o, t.service, things(stack, "aws_ecs_cluster_capacity_providers"), "FARGATE_SPOT is refused before")
		for _, c := range t.containers {
			if group, ok := logGroup(stack, resolved(stack, c.text("logConfiguration.options.awslogs-group"))); ok {
				v.wantBefore(o, t.service, []thing{group}, "the first task has no log")
			}
		}
		for _, behind := range t.service.parts("load_balancer") {
			for _, rule := range things(stack, "aws_lb_listener_rule") {
				attaches := slices.Contains(rule.refs("action"), behind.ref("target_group_arn"))
				if attaches || strings.HasPrefix(rule.id(), "service_"+t.name()+"_") {
					v.wantBefore(o, t.service, []thing{rule}, "ECS refuses a target group without a rule, and metrics are public until they are hidden")
				}
			}
		}
		if t.service.has("alarms") {
			declared := len(deploymentAlarms(stack, t.service)) // named by reference, and so made before
			v.want(declared == len(t.service.strings("alarms.alarm_names")), t.service.address, "names a deployment alarm that is not declared here")
		}
	}
	return v
}

// waysOf are the rules that a task needs: at both ends of each way from it, and of the balancer's way to it. What others want of it, such as
// Prometheus its metrics, is theirs to wait for.
func waysOf(stack tree, t task) []thing {
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
			if u.by.kind() != "aws_ecs_task_definition" { // a definition takes on nothing; its service waits
				v.wantBefore(o, u.by, referring(things(stack, "aws_iam_role_policy"), "role", role.address), "it is refused, or fails without a word")
			}
		}
	}
	return v
}

func interfacesGoBeforeRights(stack tree) (v violations) {
	o := orderOf(stack)
	for _, f := range functionsInside(stack) {
		for _, group := range f.refs("vpc_config.security_group_ids") {
			v.wantBefore(o, get(stack, group), referring(things(stack, "aws_iam_role_policy"), "role", f.ref("role")), "what is made first is destroyed last, and no right is left to take the function's interfaces out of it")
		}
	}
	return v
}

// writing is one log that somebody writes: to a log group of this name.
type writing struct {
	by   thing
	name string
}

// writings are all logs. RDS, Lambda and Container Insights have names of their own for them, and make a group without an end or a key where there
// is none.
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
				all = append(all, writing{cluster, "/aws/ecs/containerinsights/" + cluster.text("name") + "/performance"})
			}
		}
		all = append(all, writing{cluster, resolved(stack, cluster.text("configuration.execute_command_configuration.log_configuration.cloud_watch_log_group_name"))})
	}
	for _, flow := range things(stack, "aws_flow_log") {
		all = append(all, writing{flow, nameOf(stack, flow, "log_destination")})
	}
	for _, logging := range things(stack, "aws_wafv2_web_acl_logging_configuration") {
		all = append(all, writing{logging, nameOf(stack, logging, "log_destination_configs")})
	}
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			all = append(all, writing{thing{t.definition.address, c.body}, resolved(stack, c.text("logConfiguration.options.awslogs-group"))})
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
	ready := []string{"aws_s3_bucket_policy", "aws_s3_bucket_ownership_controls", "aws_s3_bucket_server_side_encryption_configuration"}
	for _, b := range things(stack, "aws_lb") {
		v.wantBefore(o, b, of(b.ref("access_logs.bucket"), ready...), "it writes a test file at once")
	}
	for _, object := range things(stack, "aws_s3_object") {
		v.wantBefore(o, object, of(object.ref("bucket"), append(ready, "aws_s3_bucket_versioning")...), "it is not as the bucket's other objects")
	}
	for _, policy := range things(stack, "aws_s3_bucket_policy") {
		v.wantBefore(o, policy, of(policy.ref("bucket"), "aws_s3_bucket_public_access_block"), "S3 refuses two changes at the same time")
	}
	for _, after := range things(stack, "aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_object_lock_configuration") {
		v.wantBefore(o, after, of(after.ref("bucket"), "aws_s3_bucket_versioning"), "it is about versions")
	}
	return v
}

func topicComesFirst(stack tree) (v violations) {
	o := orderOf(stack)
	for _, topic := range things(stack, "aws_sns_topic") {
		policies := referring(things(stack, "aws_sns_topic_policy"), "arn", topic.address)
		for _, r := range things(stack, "aws_cloudwatch_metric_alarm", "aws_cloudwatch_event_target", "aws_db_event_subscription", "aws_lambda_function_event_invoke_config") {
			if slices.Contains(references(r.body), topic.address) {
				v.wantBefore(o, r, policies, "what it sends before is lost")
			}
		}
	}
	return v
}

func requestScalingComesAfterRule(stack tree) (v violations) {
	o := orderOf(stack)
	const metric = "target_tracking_scaling_policy_configuration.predefined_metric_specification."
	for _, policy := range things(stack, "aws_appautoscaling_policy") {
		if !policy.is(metric+"predefined_metric_type", "ALBRequestCountPerTarget") {
			continue
		}
		groups := slices.DeleteFunc(policy.refs(metric+"resource_label"), func(address string) bool { return !strings.HasPrefix(address, "aws_lb_target_group.") })
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
		v.wantBefore(o, schedule, things(stack, "aws_lambda_function_event_invoke_config"), "a failure before that reaches nobody")
		v.wantBefore(o, schedule, referring(things(stack, "aws_lambda_invocation"), "function_name", schedule.ref("target.arn")), "what is made first is destroyed last, and a call after the clean-up makes a new snapshot")
	}
	return v
}

func goneGoesLast(stack tree) (v violations) {
	for _, r := range things(stack, "aws_subnet", "aws_nat_gateway", "aws_eip", "aws_route_table", "aws_route_table_association",
		"aws_vpc_endpoint_route_table_association", "aws_lb_listener_rule", "aws_lb_target_group", "aws_ecs_task_definition") {
		v.want(r.is("lifecycle.create_before_destroy", true), r.address, "goes before its users have left it")
	}
	for _, r := range things(stack, "aws_route") {
		v.want(r.id() == "public_default_route" || r.is("lifecycle.create_before_destroy", true), r.address, "goes before its users have left it")
	}
	http := get(stack, "aws_lb_listener.http_listener")
	if get(stack, "aws_lb_listener.https_listener").body != nil {
		v.want(slices.Contains(http.strings("depends_on"), "aws_lb_listener.https_listener"), http.address, "sends people to where nothing listens yet")
	}
	return v
}
