package main

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var taskInvariants = []invariant{
	{
		promise: "task definitions are what Fargate takes, with room to spare",
		check:   definitionsFitFargate,
		broken: []damage{
			{name: "memory that does not go with the CPU", stack: "prod",
				breaks: change(webDefinition, "memory", "5120"), found: webDefinition},
			{name: "a CPU that there is not", stack: "prod",
				breaks: change(webDefinition, "cpu", "300"), found: webDefinition},
			{name: "another network", stack: "prod",
				breaks: change(webDefinition, "network_mode", "bridge"), found: webDefinition},
			{name: "a disk that is too small", stack: "dev",
				breaks: change(prometheusDefinition, "ephemeral_storage.size_in_gib", 20.0),
				found:  prometheusDefinition},
			{name: "no JSON", stack: "dev",
				breaks: change(webDefinition, "container_definitions", `[{"name":"web",}]`), found: webDefinition},
			{name: "more than AWS takes", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("command", []any{strings.Repeat("x", 50<<10)})),
				found:  webDefinition},
			{name: "more scratch than memory", stack: "dev",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["linuxParameters"].(tree)["tmpfs"].([]any)[0].(tree)["size"] = 1024.0
				}),
				found: webDefinition},
			{name: "a container stops later than Fargate waits", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("stopTimeout", 121.0)), found: webDefinition},
			{name: "no architecture said", stack: "dev",
				breaks: unset(webDefinition, "runtime_platform"), found: webDefinition},
			{name: "a volume that is not there", stack: "dev",
				breaks: change(prometheusDefinition, "volume", []any{}), found: prometheusDefinition},
		},
	},
	{
		promise: "containers name only what their task has, within ECS' bounds",
		check:   containersAgree,
		broken: []damage{
			{name: "two of one name", stack: "dev",
				breaks: inContainer(prometheusDefinition, "configuration", with("name", "prometheus")),
				found:  prometheusDefinition},
			{name: "a name that ECS refuses", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("name", "web.1")), found: webDefinition},
			{name: "none that the task lives by", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("essential", false)), found: webDefinition},
			{name: "one waits for another that there is not", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"containerName":"configuration"`, `"containerName":"config"`),
				found: prometheusDefinition},
			{name: "one waits for itself", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"containerName":"configuration"`, `"containerName":"prometheus"`),
				found: prometheusDefinition},
			{name: "two wait for each other", stack: "dev",
				breaks: inContainer(prometheusDefinition, "configuration",
					with("dependsOn", []any{tree{"containerName": "prometheus", "condition": "START"}})),
				found: prometheusDefinition},
			{name: "one waits for what does not happen", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"condition":"SUCCESS"`, `"condition":"SUCCEEDED"`),
				found: prometheusDefinition},
			{name: "one waits for the end of an essential one", stack: "dev",
				breaks: inContainer(prometheusDefinition, "configuration", with("essential", true)),
				found:  prometheusDefinition},
			{name: "one waits for the health of what is not checked", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"condition":"SUCCESS"`, `"condition":"HEALTHY"`),
				found: prometheusDefinition},
			{name: "a check more often than ECS does", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"interval":30`, `"interval":3`), found: prometheusDefinition},
			{name: "a check that takes longer than ECS waits", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"timeout":5`, `"timeout":61`), found: prometheusDefinition},
			{name: "a check by no word that ECS has", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`["CMD","/bin/promtool"`, `["RUN","/bin/promtool"`),
				found: prometheusDefinition},
			{name: "a check that is never given up", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"retries":3`, `"retries":11`), found: prometheusDefinition},
			{name: "a check that begins too late", stack: "dev",
				breaks: replace(prometheusDefinition, "container_definitions",
					`"startPeriod":120`, `"startPeriod":301`),
				found: prometheusDefinition},
			{name: "two on one port", stack: "dev",
				breaks: inContainer(prometheusDefinition, "configuration",
					with("portMappings", []any{tree{"containerPort": 9090.0, "hostPort": 9090.0, "protocol": "tcp"}})),
				found: prometheusDefinition},
			{name: "a log by a driver that Fargate has not", stack: "dev",
				breaks: replace(webDefinition, "container_definitions",
					`"logDriver":"awslogs"`, `"logDriver":"journald"`),
				found: webDefinition},
			{name: "a log in another region", stack: "dev",
				breaks: replace(webDefinition, "container_definitions",
					`"awslogs-region":"eu-central-1"`, `"awslogs-region":"us-east-1"`),
				found: webDefinition},
			{name: "a log without a stream's name, which Fargate wants", stack: "dev",
				breaks: replace(webDefinition, "container_definitions",
					`"awslogs-stream-prefix":"web",`, ""), found: webDefinition},
			{name: "a log with a mode that there is not", stack: "dev",
				breaks: replace(webDefinition, "container_definitions",
					`"mode":"non-blocking"`, `"mode":"nonblocking"`),
				found: webDefinition},
			{name: "a log with a buffer of no size", stack: "dev",
				breaks: replace(webDefinition, "container_definitions",
					`"max-buffer-size":"25m"`, `"max-buffer-size":"25 MB"`),
				found: webDefinition},
		},
	},
	{
		promise: "containers are not root, and cannot write to their image",
		check:   containersAreConfined,
		broken: []damage{
			{name: "root", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("user", "0")), found: webDefinition},
			{name: "the image's user, whoever that is", stack: "prod",
				breaks: inContainer(webDefinition, "web", without("user")), found: webDefinition},
			{name: "a user by name", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("user", "nobody")), found: webDefinition},
			{name: "an image that can be written to", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("readonlyRootFilesystem", false)), found: webDefinition},
			{name: "rights of the kernel", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("linuxParameters", tree{"initProcessEnabled": true})),
				found:  webDefinition},
			{name: "scratch that is root's", stack: "prod",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["linuxParameters"].(tree)["tmpfs"].([]any)[0].(tree)["mountOptions"] = []any{"nosuid"}
				}),
				found: webDefinition},
			{name: "a bind mount where the image declares no volume", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("mountPoints", []any{
					tree{"sourceVolume": "data", "containerPath": "/data", "readOnly": false},
				})),
				found: webDefinition},
			{name: "a port that takes root", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("portMappings", []any{tree{"containerPort": 80.0, "hostPort": 80.0, "protocol": "tcp"}})),
				found: webDefinition},
			{name: "privileged", stack: "dev",
				breaks: inContainer(webDefinition, "web", with("privileged", true)), found: webDefinition},
			{name: "more rights of the kernel", stack: "prod",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					c["linuxParameters"].(tree)["capabilities"] = tree{"drop": []any{"ALL"}, "add": []any{"SYS_PTRACE"}}
				}),
				found: webDefinition},
		},
	},
	{
		promise: "task definitions say what AWS would add, in the order that it gives back",
		check:   definitionsDoNotDrift,
		broken: []damage{
			{name: "a list is left out", stack: "prod",
				breaks: inContainer(webDefinition, "web", without("volumesFrom")), found: webDefinition},
			{name: "another is null", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("mountPoints", nil)), found: webDefinition},
			{name: "variables in no order", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("environment", []any{tree{"name": "B", "value": ""}, tree{"name": "A", "value": ""}})),
				found: webDefinition},
			{name: "a variable twice", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("environment", []any{tree{"name": "A", "value": ""}, tree{"name": "A", "value": ""}})),
				found: webDefinition},
			{name: "rights are taken, and none are added in writing", stack: "prod",
				breaks: inContainer(webDefinition, "web", func(c tree) {
					delete(c["linuxParameters"].(tree)["capabilities"].(tree), "add")
				}),
				found: webDefinition},
			{name: "no host port", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("portMappings", []any{tree{"containerPort": 8080.0, "protocol": "tcp"}})),
				found: webDefinition},
		},
	},
	{
		promise: "where a shell is allowed it works, and elsewhere nothing of it is there",
		check:   shellsWork,
		broken: []damage{
			{name: "a folder is missing", stack: "dev",
				breaks: inContainer(prometheusDefinition, "prometheus", with("mountPoints", []any{
					tree{"sourceVolume": "data", "containerPath": "/prometheus", "readOnly": false},
				})),
				found: prometheusDefinition},
			{name: "the rights are missing", stack: "dev",
				breaks: drop("aws_iam_role_policy.prometheus_task_role_policy"), found: prometheusService},
			{name: "the rights are there without a shell", stack: "dev",
				breaks: change(prometheusService, "enable_execute_command", false), found: prometheusService},
			{name: "a shell without all that", stack: "prod",
				breaks: change(webService, "enable_execute_command", true), found: webService},
			{name: "it is logged nowhere", stack: "dev",
				breaks: change("aws_ecs_cluster.cluster", "configuration.execute_command_configuration.logging",
					"NONE"),
				found: "aws_ecs_cluster.cluster"},
			{name: "nobody takes in what it leaves", stack: "dev",
				breaks: inContainer(prometheusDefinition, "prometheus",
					with("linuxParameters", tree{"initProcessEnabled": false})),
				found: prometheusDefinition},
		},
	},
	{
		promise: "a shell is allowed in Prometheus, which is reached by it, and nowhere else",
		check:   onlyPrometheusHasAShell,
		shipped: true,
		broken: []damage{
			{name: "the application has one", stack: "prod",
				breaks: change(webService, "enable_execute_command", true), found: webService},
			{name: "Prometheus has none", stack: "prod",
				breaks: change(prometheusService, "enable_execute_command", false), found: prometheusService},
		},
	},
	{
		promise: "images stay what they are, and come from registries without a pull limit",
		check:   imagesStay,
		broken: []damage{
			{name: "no tag", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("image", "public.ecr.aws/nginx/nginx-unprivileged")),
				found:  webDefinition},
			{name: "latest", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("image", "public.ecr.aws/nginx/nginx-unprivileged:latest")),
				found: webDefinition},
			{name: "Docker Hub by default", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("image", "nginx:1.30.5")), found: webDefinition},
			{name: "Docker Hub by name", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("image", "docker.io/library/nginx:1.30.5")),
				found:  webDefinition},
			{name: "a repository whose tags move", stack: "a service with everything",
				breaks: change("aws_ecr_repository.service_web_repository", "image_tag_mutability", "MUTABLE"),
				found:  "aws_ecr_repository.service_web_repository"},
			{name: "a repository that nobody scans", stack: "a service with everything",
				breaks: change("aws_ecr_repository.service_web_repository", "image_scanning_configuration.scan_on_push",
					false),
				found: "aws_ecr_repository.service_web_repository"},
			{name: "a repository that only grows", stack: "a service with everything",
				breaks: drop("aws_ecr_lifecycle_policy.service_web_repository_lifecycle"),
				found:  "aws_ecr_repository.service_web_repository"},
			{name: "a repository's rules are no JSON", stack: "a service with everything",
				breaks: change("aws_ecr_lifecycle_policy.service_web_repository_lifecycle", "policy", "{"),
				found:  "aws_ecr_lifecycle_policy.service_web_repository_lifecycle"},
		},
	},
	{
		promise: "the shipped images are pinned by digest, and checked by a tool that they have",
		check:   shippedImagesArePinned,
		shipped: true,
		broken: []damage{
			{name: "a tag alone", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("image", "public.ecr.aws/nginx/nginx-unprivileged:1.30.5")),
				found: webDefinition},
			{name: "curl, which the image has not", stack: "prod",
				breaks: inContainer(prometheusDefinition, "prometheus", func(c tree) {
					c["healthCheck"].(tree)["command"] = []any{"CMD", "curl", "localhost:9090"}
				}),
				found: prometheusDefinition},
			{name: "a check where nothing is known of the image", stack: "prod",
				breaks: inContainer(webDefinition, "web",
					with("healthCheck", tree{"command": []any{"CMD-SHELL", "wget localhost"}})),
				found: webDefinition},
		},
	},
	{
		promise: "a deployment that fails goes back, and Terraform says so",
		check:   failedDeploymentsGoBack,
		broken: []damage{
			{name: "no circuit breaker", stack: "prod",
				breaks: change(webService, "deployment_circuit_breaker.enable", false), found: webService},
			{name: "it stays broken", stack: "prod",
				breaks: change(webService, "deployment_circuit_breaker.rollback", false), found: webService},
			{name: "Terraform does not wait", stack: "prod",
				breaks: change(webService, "wait_for_steady_state", false), found: webService},
			{name: "Terraform takes going back for a success", stack: "prod",
				breaks: unset(webService, "lifecycle.postcondition"), found: webService},
			{name: "it compares with another definition", stack: "dev",
				breaks: replace(prometheusService, "lifecycle.postcondition.0.condition",
					"prometheus_task_definition", "service_web_task_definition"),
				found: prometheusService},
			{name: "the definition before is gone", stack: "prod",
				breaks: unset(webDefinition, "lifecycle.create_before_destroy"), found: webDefinition},
			{name: "alarms that ring and do nothing", stack: "prod",
				breaks: change(webService, "alarms.rollback", false), found: webService},
			{name: "a public service without alarms", stack: "prod",
				breaks: unset(webService, "alarms"), found: webService},
			{name: "fewer tasks during it than were asked for", stack: "prod",
				breaks: change(webService, "deployment_minimum_healthy_percent", 50.0), found: webService},
		},
	},
	{
		promise: "services spread over zones, and their new tasks start before old ones stop",
		check:   servicesSpread,
		broken: []damage{
			{name: "one subnet", stack: "prod",
				breaks: change(webService, "network_configuration.subnets", []any{id("aws_subnet.private_subnet_a")}),
				found:  webService},
			{name: "no rebalancing, the provider's default", stack: "prod",
				breaks: unset(webService, "availability_zone_rebalancing"), found: webService},
			{name: "a bound with which AWS refuses rebalancing", stack: "prod",
				breaks: change(webService, "deployment_maximum_percent", 100.0), found: webService},
			{name: "capacity that the cluster has not", stack: "dev",
				breaks: change("aws_ecs_cluster_capacity_providers.cluster_capacity_providers", "capacity_providers",
					[]any{"FARGATE"}),
				found: webService},
			{name: "no capacity named, so that the default changes it", stack: "prod",
				breaks: unset(webService, "capacity_provider_strategy"), found: webService},
			{name: "tasks without the service's tags, which Prometheus reads", stack: "metrics",
				breaks: unset("aws_ecs_service.service_admin_service", "propagate_tags"),
				found:  "aws_ecs_service.service_admin_service"},
		},
	},
	{
		promise: "the balancer sends to a container that listens, and Prometheus asks one",
		check:   portsAreListenedOn,
		broken: []damage{
			{name: "another container", stack: "prod",
				breaks: change(webService, "load_balancer.0.container_name", "app"), found: webService},
			{name: "another port", stack: "prod",
				breaks: change(webService, "load_balancer.0.container_port", 8081.0), found: webService},
			{name: "the target group has another", stack: "prod",
				breaks: change(webTargets, "port", 80.0), found: webService},
			{name: "metrics on a port without a container", stack: "metrics",
				breaks: change("aws_ecs_service.service_admin_service", "tags.MetricsPort", "9999"),
				found:  "aws_ecs_service.service_admin_service"},
			{name: "metrics nowhere", stack: "metrics",
				breaks: unset("aws_ecs_service.service_admin_service", "tags.MetricsPath"),
				found:  "aws_ecs_service.service_admin_service"},
		},
	},
	{
		promise: "Prometheus starts with the configuration that it was deployed with",
		check:   configurationIsVersioned,
		broken: []damage{
			{name: "any version", stack: "prod",
				breaks: replace(prometheusDefinition, "container_definitions",
					"${aws_s3_object.prometheus_configuration.version_id}", "null"),
				found: prometheusDefinition},
			{name: "it does not wait", stack: "prod",
				breaks: inContainer(prometheusDefinition, "prometheus", without("dependsOn")),
				found:  prometheusDefinition},
			{name: "it waits for the start only", stack: "prod",
				breaks: inContainer(prometheusDefinition, "prometheus",
					with("dependsOn", []any{tree{"containerName": "configuration", "condition": "START"}})),
				found: prometheusDefinition},
			{name: "the task ends with the fetching", stack: "prod",
				breaks: inContainer(prometheusDefinition, "configuration", with("essential", true)),
				found:  prometheusDefinition},
			{name: "a cluster by name, which stops Prometheus", stack: "prod",
				breaks: replace("aws_s3_object.prometheus_configuration", "content",
					"${aws_ecs_cluster.cluster.arn}", "platform-prod"),
				found: "aws_s3_object.prometheus_configuration"},
			{name: "a place that nobody filled in", stack: "prod",
				breaks: replace("aws_s3_object.prometheus_configuration", "content",
					"eu-central-1", "{{.Region}}"), found: "aws_s3_object.prometheus_configuration"},
			{name: "there is none", stack: "prod",
				breaks: drop(prometheusService), found: prometheusService},
			{name: "its metrics go with the task's first folder", stack: "prod",
				breaks: replace(prometheusDefinition, "container_definitions",
					"--storage.tsdb.path=/prometheus", "--storage.tsdb.path=/tmp"),
				found: prometheusDefinition},
		},
	},
	{
		promise: "scaling follows metrics that AWS knows, of the service that it scales",
		check:   scalingIsAccepted,
		broken: []damage{
			{name: "a metric that there is not", stack: "prod",
				breaks: change(webScaling,
					scalingMetric+"predefined_metric_type", "ECSServiceCPU"),
				found: webScaling},
			{name: "more than all of it", stack: "prod",
				breaks: change(webScaling, "target_tracking_scaling_policy_configuration.target_value", 600.0),
				found:  webScaling},
			{name: "a label where there is nothing to choose", stack: "prod",
				breaks: add(webScaling,
					scalingMetric+"resource_label", "web"),
				found: webScaling},
			{name: "requests of nobody", stack: "a service with everything",
				breaks: unset(requestScaling,
					scalingMetric+"resource_label"),
				found: requestScaling},
			{name: "requests by ARN", stack: "a service with everything",
				breaks: replace(requestScaling,
					scalingMetric+"resource_label", "arn_suffix", "arn"),
				found: requestScaling},
			{name: "a policy that there is not", stack: "prod",
				breaks: change(webScaling, "policy_type", "Tracking"), found: webScaling},
			{name: "a service by its ARN", stack: "prod",
				breaks: change(webScalingTarget, "resource_id", "${"+webService+".id}"), found: webScalingTarget},
			{name: "a dimension that ECS has not", stack: "prod",
				breaks: change(webScalingTarget, "scalable_dimension", "ecs:service:TaskCount"),
				found:  webScalingTarget},
		},
	},
	{
		promise: "a count of tasks that AWS changes is not taken back by the next deployment",
		check:   scaledCountsAreLeft,
		broken: []damage{
			{name: "the service's", stack: "prod",
				breaks: unset(webService, "lifecycle.ignore_changes"), found: webService},
			{name: "the bounds that schedules move", stack: "a service with everything",
				breaks: unset("aws_appautoscaling_target.service_web_scaling_target", "lifecycle.ignore_changes"),
				found:  "aws_appautoscaling_target.service_web_scaling_target"},
			{name: "bounds the wrong way round", stack: "prod",
				breaks: change("aws_appautoscaling_target.service_web_scaling_target", "max_capacity", 1.0),
				found:  "aws_appautoscaling_target.service_web_scaling_target"},
		},
	},
}

// scaledBy are the metrics that Application Auto Scaling knows for ECS, and the most that each can
// be: a share of all, or any count.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
var scaledBy = map[string]float64{
	"ALBRequestCountPerTarget":           math.MaxInt32,
	"ECSServiceAverageCPUUtilization":    100,
	"ECSServiceAverageMemoryUtilization": 100,
}

var (
	scaledService = regexp.MustCompile(`^service/\$\{aws_ecs_cluster\.\w+\.name\}/\$\{aws_ecs_service\.\w+\.name\}$`)
	scalingLabel  = regexp.MustCompile(`^\$\{aws_lb\.\w+\.arn_suffix\}/\$\{aws_lb_target_group\.\w+\.arn_suffix\}$`)
)

// scalingMetric is where a policy says what it follows.
const scalingMetric = "target_tracking_scaling_policy_configuration.predefined_metric_specification."

func scalingIsAccepted(stack tree) (v violations) {
	for _, target := range things(stack, "aws_appautoscaling_target") {
		v.want(target.is("service_namespace", "ecs") &&
			target.is("scalable_dimension", "ecs:service:DesiredCount") &&
			scaledService.MatchString(target.text("resource_id")),
			target.address, "scales %v of %v", target.at("scalable_dimension"), target.at("resource_id"))
	}
	for _, p := range things(stack, "aws_appautoscaling_policy") {
		const metric = scalingMetric + "predefined_metric_type"
		value := p.number("target_tracking_scaling_policy_configuration.target_value")
		most := scaledBy[p.text(metric)]
		v.want(p.is("policy_type", "TargetTrackingScaling") && most > 0,
			p.address, "is a %v by %v", p.at("policy_type"), p.at(metric))
		v.want(value > 0 && value <= most, p.address, "wants %v of %v", value, p.at(metric))
		label := p.text(scalingMetric + "resource_label")
		v.want(scalingLabel.MatchString(label) == p.is(metric, "ALBRequestCountPerTarget") &&
			(label == "" || scalingLabel.MatchString(label)),
			p.address, "counts %v of %q", p.at(metric), label)
	}
	return v
}

// fargateTakes tells whether Fargate has a size, in CPU units and MiB.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func fargateTakes(cpu, memory float64) bool {
	sizes := map[float64]struct{ least, most, step int }{ // GiB
		512:   {1, 4, 1},
		1024:  {2, 8, 1},
		2048:  {4, 16, 1},
		4096:  {8, 30, 1},
		8192:  {16, 60, 4},
		16384: {32, 120, 8},
	}
	if cpu == 256 {
		return slices.Contains([]float64{512, 1024, 2048}, memory)
	}
	size, ok := sizes[cpu]
	gib := int(memory / 1024)
	return ok && float64(gib*1024) == memory && gib >= size.least && gib <= size.most && (gib-size.least)%size.step == 0
}

// anARN is what stands for a reference when lengths are measured: longer than any that AWS gives.
const anARN = "arn:aws:secretsmanager:ap-southeast-1:123456789012:" +
	"secret:rds!db-00000000-0000-0000-0000-000000000000-AbCdEf"

func definitionsFitFargate(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		d := t.definition
		v.want(fargateTakes(d.number("cpu"), d.number("memory")),
			d.address, "has %v CPU units and %v MiB, which Fargate has not", d.at("cpu"), d.at("memory"))
		v.want(slices.Equal(d.strings("requires_compatibilities"), []string{"FARGATE"}) &&
			d.is("network_mode", "awsvpc"),
			d.address, "is not for Fargate")
		v.want(slices.Contains([]string{"ARM64", "X86_64"}, d.text("runtime_platform.cpu_architecture")),
			d.address, "does not say for which processor")
		disk := d.number("ephemeral_storage.size_in_gib")
		v.want(!d.has("ephemeral_storage") || disk >= 21 && disk <= 200,
			d.address, "wants a disk of 21 to 200 GiB, has %v", d.at("ephemeral_storage.size_in_gib"))
		// AWS takes 64 KiB; a quarter is kept for what grows.
		if size := len(interpolation.ReplaceAllString(marshal(d.body), anARN)); size > 48<<10 {
			v.want(false, d.address, "is %d bytes long, and 48 KiB is what we allow", size)
		}
		if _, err := containersOf(d); err != nil {
			v.want(false, d.address, "has containers that are no JSON: %v", err)
		}
		declared := map[string]bool{}
		for _, volume := range d.parts("volume") {
			declared[volume.text("name")] = true
		}
		scratch := 0.0
		for _, c := range t.containers {
			for _, m := range c.parts("mountPoints") {
				v.want(declared[m.text("sourceVolume")],
					c.address, "mounts %s, which the task does not declare", m.text("sourceVolume"))
			}
			for _, tmpfs := range c.parts("linuxParameters.tmpfs") {
				scratch += tmpfs.number("size")
			}
			v.want(!c.has("stopTimeout") || c.number("stopTimeout") <= 120,
				c.address, "wants to be waited for longer than Fargate's 120 seconds")
		}
		v.want(scratch <= d.number("memory")/2,
			d.address, "has %v MiB of scratch, which is memory, of %v", scratch, d.at("memory"))
	}
	return v
}

var (
	containerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	bufferSize    = regexp.MustCompile(`^[1-9][0-9]*[kmg]$`)
)

// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html and the
// pages that it leads to
func containersAgree(stack tree) (v violations) {
	within := func(r thing, path string, least, most float64) bool {
		return !r.has(path) || r.number(path) >= least && r.number(path) <= most
	}
	for _, t := range tasks(stack) {
		d, named, ports := t.definition, map[string]thing{}, map[float64]bool{}
		lives := false
		for _, c := range t.containers {
			name := c.text("name")
			v.want(containerName.MatchString(name) && !named[name].exists(),
				d.address, "has a container called %q, which ECS refuses, or another of that name", name)
			named[name] = c
			lives = lives || c.is("essential", true)
			for _, p := range c.parts("portMappings") {
				v.want(!ports[p.number("containerPort")],
					c.address, "listens on %v, as another container of the task does", p.at("containerPort"))
				ports[p.number("containerPort")] = true
			}
			if c.has("healthCheck") {
				how := c.strings("healthCheck.command")
				v.want(len(how) > 1 && (how[0] == "CMD" || how[0] == "CMD-SHELL"), c.address, "is checked by %v", how)
				v.want(within(c, "healthCheck.interval", 5, 300) &&
					within(c, "healthCheck.timeout", 2, 60) &&
					within(c, "healthCheck.retries", 1, 10) &&
					within(c, "healthCheck.startPeriod", 0, 300),
					c.address, "is checked out of ECS' bounds: %v", c.at("healthCheck"))
			}
			log := thing{c.address, asTree(c.at("logConfiguration.options"))}
			v.want(c.is("logConfiguration.logDriver", "awslogs") &&
				log.is("awslogs-region", region(stack)) &&
				log.text("awslogs-stream-prefix") != "",
				c.address, "logs by %v to %v", c.at("logConfiguration.logDriver"), log.body)
			v.want(log.is("mode", "blocking") ||
				log.is("mode", "non-blocking") && bufferSize.MatchString(log.text("max-buffer-size")),
				c.address, "logs in a mode that there is not: %v", log.body)
		}
		v.want(lives, d.address, "has no essential container")
		waits := order{}
		for _, c := range t.containers {
			for _, on := range c.parts("dependsOn") {
				other := named[on.text("containerName")]
				waits[c.text("name")] = append(waits[c.text("name")], on.text("containerName"))
				v.want(other.exists(), c.address, "waits for %v, which its task has not", on.at("containerName"))
				switch on.text("condition") {
				case "START":
				case "COMPLETE", "SUCCESS":
					v.want(!other.is("essential", true),
						c.address, "waits for the end of %s, with which the task ends", other.address)
				case "HEALTHY":
					v.want(other.has("healthCheck"),
						c.address, "waits for the health of %s, which nobody checks", other.address)
				default:
					v.want(false, c.address, "waits until another is %v", on.at("condition"))
				}
			}
		}
		for _, c := range t.containers {
			v.want(!waits.before(c.text("name"))[c.text("name")], c.address, "waits for itself")
		}
	}
	return v
}

// imageVolumes are the paths at which an image declares a volume: there alone a bind mount is its
// user's, and not root's.
var imageVolumes = map[string]string{"prometheus": "/prometheus"}

// sessionFolders are where the agent of ECS exec writes, as root.
var sessionFolders = []string{"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}

func containersAreConfined(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			user, err := strconv.Atoi(c.text("user"))
			// Root, for the moment in which it fills a volume that is root's.
			fetches := (c.text("name") == "configuration" || c.text("name") == "rds-certificates") &&
				c.is("essential", false)
			v.want(err == nil && (user > 0 || fetches),
				c.address, "wants a user by number, not 0, has %q", c.text("user"))
			v.want(c.is("readonlyRootFilesystem", true), c.address, "can change its image")
			v.want(!c.is("privileged", true), c.address, "is privileged")
			drops := slices.Equal(c.strings("linuxParameters.capabilities.drop"), []string{"ALL"})
			v.want(drops || t.service.is("enable_execute_command", true),
				c.address, "keeps rights of the kernel that only a shell's agent needs")
			v.want(len(c.strings("linuxParameters.capabilities.add")) == 0, c.address, "adds rights of the kernel")
			for _, tmpfs := range c.parts("linuxParameters.tmpfs") {
				v.want(slices.Contains(tmpfs.strings("mountOptions"), "mode=1777"),
					c.address, "cannot write to %s, which is root's", tmpfs.text("containerPath"))
			}
			for _, m := range c.parts("mountPoints") {
				path := m.text("containerPath")
				v.want(m.is("readOnly", true) ||
					user == 0 ||
					path == imageVolumes[c.text("name")] ||
					slices.Contains(sessionFolders, path),
					c.address, "cannot write to %s, which is root's", path)
			}
			for _, port := range c.parts("portMappings") {
				v.want(port.number("containerPort") >= 1024,
					c.address, "cannot listen on %v without being root", port.at("containerPort"))
			}
		}
	}
	return v
}

func definitionsDoNotDrift(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			for _, list := range []string{
				"environment", "mountPoints", "portMappings", "systemControls", "volumesFrom",
			} {
				_, written := c.at(list).([]any)
				v.want(written, c.address, "leaves out %s: AWS adds it, and every plan finds a difference", list)
			}
			for _, list := range []string{"environment", "secrets"} {
				var names []string
				for _, variable := range c.parts(list) {
					names = append(names, variable.text("name"))
				}
				v.want(slices.IsSorted(names) && len(slices.Compact(slices.Clone(names))) == len(names),
					c.address, "has a %s that is not sorted or names something twice: %v", list, names)
			}
			_, added := c.at("linuxParameters.capabilities.add").([]any)
			v.want(added || !c.has("linuxParameters.capabilities"),
				c.address, "leaves out capabilities.add: AWS adds it, and every plan replaces the definition")
			for _, port := range c.parts("portMappings") {
				v.want(port.at("containerPort") == port.at("hostPort") && port.is("protocol", "tcp"),
					c.address, "leaves out what AWS adds to port %v", port.at("containerPort"))
			}
		}
	}
	return v
}

// shellsWork: the agent writes to three folders, which a read-only root lacks, and calls out
// by the task's role.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
func shellsWork(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		allowed := t.service.is("enable_execute_command", true)
		var actions []string
		for _, g := range permissionsOf(stack, t.definition.ref("task_role_arn")) {
			actions = append(actions, g.actions...)
		}
		for _, action := range sessions {
			may := slices.Contains(actions, action)
			v.want(may || !allowed, t.service.address, "allows a shell, but its tasks may not %s", action)
			v.want(!may || allowed || !strings.HasPrefix(action, "ssmmessages:"),
				t.service.address, "allows no shell, but its tasks may %s", action)
		}
		for _, c := range t.containers {
			if !c.is("essential", true) {
				continue
			}
			v.want(!allowed || c.is("linuxParameters.initProcessEnabled", true),
				c.address, "has nobody to take in the processes that a shell leaves")
			for _, folder := range sessionFolders {
				mounted := slices.ContainsFunc(c.parts("mountPoints"), func(m thing) bool {
					return m.is("containerPath", folder) && m.is("readOnly", false)
				})
				v.want(mounted == allowed, t.service.address,
					"allows a shell: %v; %s can write to %s: %v", allowed, c.address, folder, mounted)
			}
		}
	}
	for _, cluster := range things(stack, "aws_ecs_cluster") {
		v.want(cluster.is("configuration.execute_command_configuration.logging", "OVERRIDE"),
			cluster.address, "does not log what is done in a shell")
	}
	return v
}

func onlyPrometheusHasAShell(stack tree) (v violations) {
	for _, service := range things(stack, "aws_ecs_service") {
		v.want(service.is("enable_execute_command", service.is("name", "prometheus")),
			service.address, "allows a shell: %v", service.at("enable_execute_command"))
	}
	return v
}

var (
	taggedImage = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]+)?/[^:@]+` +
		`(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$`)
	dockerHub = regexp.MustCompile(`^([a-z0-9-]+\.)*docker\.(io|com)/`)
)

func imagesStay(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			image := c.text("image")
			name := image[strings.LastIndexByte(image, '/')+1:]
			v.want(taggedImage.MatchString(image) &&
				strings.ContainsAny(name, ":@") &&
				!strings.HasSuffix(image, ":latest"),
				c.address, "wants registry/name with a tag or digest, has %s", image)
			v.want(!dockerHub.MatchString(image), c.address, "pulls from Docker Hub, which limits pulls: %s", image)
		}
	}
	for _, repository := range things(stack, "aws_ecr_repository") {
		v.want(repository.is("image_tag_mutability", "IMMUTABLE"), repository.address, "lets a tag change its meaning")
		v.want(repository.is("image_scanning_configuration.scan_on_push", true),
			repository.address, "does not scan images")
		v.want(len(referring(things(stack, "aws_ecr_lifecycle_policy"), "repository", repository.address)) == 1,
			repository.address, "only grows")
	}
	for _, lifecycle := range things(stack, "aws_ecr_lifecycle_policy") {
		v.want(json.Valid([]byte(lifecycle.text("policy"))), lifecycle.address, "is no JSON")
	}
	return v
}

// imageTools are what a container's health check may call, by image. The others' are read off
// nothing: they have none of these.
var imageTools = map[string][]string{"quay.io/prometheus/prometheus": {"/bin/promtool"}}

func shippedImagesArePinned(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			image := c.text("image")
			v.want(strings.Contains(image, "@sha256:"), c.address, "wants a digest, has %s", image)
			name, _, _ := strings.Cut(strings.Split(image, "@")[0], ":")
			command := c.strings("healthCheck.command")
			tool := len(command) > 1 && command[0] == "CMD" && slices.Contains(imageTools[name], command[1])
			v.want(!c.has("healthCheck") || tool,
				c.address, "is checked by %v, and %s is not known to have it", command, name)
		}
	}
	return v
}

func failedDeploymentsGoBack(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		s := t.service
		v.want(s.is("deployment_circuit_breaker.enable", true) && s.is("deployment_circuit_breaker.rollback", true),
			s.address, "stays with a deployment that fails")
		v.want(s.is("wait_for_steady_state", true), s.address, "does not wait for its deployment")
		after := s.parts("lifecycle.postcondition")
		same := "${self.task_definition == " + t.definition.address + ".arn}"
		v.want(len(after) == 1 && after[0].text("condition") == same,
			s.address, "takes a deployment that went back for a success")
		v.want(t.definition.is("lifecycle.create_before_destroy", true),
			t.definition.address, "is gone when ECS goes back to it")
		v.want(!s.has("load_balancer") || s.is("alarms.enable", true) && s.is("alarms.rollback", true),
			s.address, "serves the public, and no alarm takes a deployment back")
		v.want(s.number("deployment_minimum_healthy_percent") >= 100,
			s.address, "has fewer tasks than asked for while it is deployed")
	}
	return v
}

func servicesSpread(stack tree) (v violations) {
	var capacity []string
	for _, providers := range things(stack, "aws_ecs_cluster_capacity_providers") {
		capacity = append(capacity, providers.strings("capacity_providers")...)
	}
	for _, s := range things(stack, "aws_ecs_service") {
		v.want(len(zonesOf(stack, s.refs("network_configuration.subnets"))) >= 2, s.address, "stands in one zone")
		v.want(s.is("availability_zone_rebalancing", "ENABLED"), s.address, "stays in one zone after another failed")
		v.want(s.number("deployment_maximum_percent") > 100,
			s.address, "wants more than 100 percent, or AWS refuses rebalancing")
		strategy := s.parts("capacity_provider_strategy")
		v.want(len(strategy) > 0 && !s.has("launch_type"), s.address, "names no capacity provider")
		for _, provider := range strategy {
			v.want(slices.Contains(capacity, provider.text("capacity_provider")),
				s.address, "runs on %s, which the cluster has not", provider.text("capacity_provider"))
		}
		v.want(s.is("propagate_tags", "SERVICE") && s.is("enable_ecs_managed_tags", true),
			s.address, "does not give its tags to its tasks")
	}
	return v
}

func portsAreListenedOn(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		listens := func(container string, port float64) bool {
			is := func(p thing) bool { return p.number("containerPort") == port }
			return slices.ContainsFunc(t.containers, func(c thing) bool {
				named := container == "" || c.is("name", container)
				return named && slices.ContainsFunc(c.parts("portMappings"), is)
			})
		}
		for _, behind := range t.service.parts("load_balancer") {
			port := behind.number("container_port")
			v.want(listens(behind.text("container_name"), port),
				t.service.address, "sends to %s on %v, where nothing listens", behind.text("container_name"), port)
			v.want(get(stack, behind.ref("target_group_arn")).number("port") == port,
				t.service.address, "is sent to on another port than its target group's")
		}
		if port, ok := t.metricsPort(); ok {
			v.want(listens("", float64(port)), t.service.address, "has metrics on port %d, where nothing listens", port)
			v.want(strings.HasPrefix(t.service.text("tags.MetricsPath"), "/"),
				t.service.address, "does not say where its metrics are")
		}
	}
	return v
}

// configurationIsVersioned: the version in the definition is what makes a change of the text roll
// the service. A cluster's name in place of its ARN stops Prometheus:
// https://github.com/prometheus/prometheus/pull/19449
func configurationIsVersioned(stack tree) (v violations) {
	t := prometheusTask(stack)
	v.want(t.service.exists(), "aws_ecs_service.prometheus_service", "is not there")
	fetched := false
	for _, c := range t.containers {
		command := strings.Join(c.strings("command"), " ")
		switch c.text("name") {
		case "configuration":
			fetched = strings.Contains(command, "--version-id ${aws_s3_object.prometheus_configuration.version_id}")
			v.want(c.is("essential", false), c.address, "is essential, and the task ends with it")
		case "prometheus":
			waits := c.parts("dependsOn")
			v.want(len(waits) == 1 &&
				waits[0].is("containerName", "configuration") &&
				waits[0].is("condition", "SUCCESS"),
				c.address, "starts without its configuration")
			v.want(strings.Contains(command, "--storage.tsdb.path=/prometheus"),
				c.address, "keeps its metrics where it cannot write, or in memory")
		}
	}
	v.want(fetched, t.definition.address, "does not fetch the version that it was deployed with")
	content := get(stack, "aws_s3_object.prometheus_configuration")
	v.want(strings.Contains(content.text("content"), `clusters: ["${aws_ecs_cluster.cluster.arn}"]`),
		content.address, "wants the cluster by its ARN")
	v.want(!strings.Contains(content.text("content"), "{{"), content.address, "has places that nobody filled in")
	return v
}

func scaledCountsAreLeft(stack tree) (v violations) {
	for _, target := range things(stack, "aws_appautoscaling_target") {
		v.want(target.number("min_capacity") <= target.number("max_capacity"),
			target.address, "has its bounds the wrong way round")
		for _, address := range target.refs("resource_id") {
			if service := get(stack, address); service.kind() == "aws_ecs_service" {
				v.want(slices.Contains(service.strings("lifecycle.ignore_changes"), "desired_count"),
					service.address, "takes back what the scaling did")
			}
		}
		if len(referring(things(stack, "aws_appautoscaling_scheduled_action"), "resource_id", target.address)) > 0 {
			left := target.strings("lifecycle.ignore_changes")
			v.want(slices.Contains(left, "min_capacity") && slices.Contains(left, "max_capacity"),
				target.address, "takes back what its schedules did")
		}
	}
	return v
}
