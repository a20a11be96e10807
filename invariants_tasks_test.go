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
			{"memory that does not go with the CPU", "prod", change(webDefinition, "memory", "5120"), webDefinition},
			{"a CPU that there is not", "prod", change(webDefinition, "cpu", "300"), webDefinition},
			{"another network", "prod", change(webDefinition, "network_mode", "bridge"), webDefinition},
			{"a disk that is too small", "dev", change(prometheusDefinition, "ephemeral_storage.size_in_gib", 20.0), prometheusDefinition},
			{"no JSON", "dev", change(webDefinition, "container_definitions", `[{"name":"web",}]`), webDefinition},
			{"more than AWS takes", "dev", inContainer(webDefinition, "web", with("command", []any{strings.Repeat("x", 50<<10)})), webDefinition},
			{"more scratch than memory", "dev", inContainer(webDefinition, "web", func(c tree) {
				c["linuxParameters"].(tree)["tmpfs"].([]any)[0].(tree)["size"] = 1024.0
			}), webDefinition},
			{"a container stops later than Fargate waits", "dev", inContainer(webDefinition, "web", with("stopTimeout", 121.0)), webDefinition},
			{"no architecture said", "dev", unset(webDefinition, "runtime_platform"), webDefinition},
			{"a volume that is not there", "dev", change(prometheusDefinition, "volume", []any{}), prometheusDefinition},
		},
	},
	{
		promise: "containers name only what their task has, within ECS' bounds",
		check:   containersAgree,
		broken: []damage{
			{"two of one name", "dev", inContainer(prometheusDefinition, "configuration", with("name", "prometheus")), prometheusDefinition},
			{"a name that ECS refuses", "dev", inContainer(webDefinition, "web", with("name", "web.1")), webDefinition},
			{"none that the task lives by", "dev", inContainer(webDefinition, "web", with("essential", false)), webDefinition},
			{"one waits for another that there is not", "dev", replace(prometheusDefinition, "container_definitions", `"containerName":"configuration"`, `"containerName":"config"`), prometheusDefinition},
			{"one waits for itself", "dev", replace(prometheusDefinition, "container_definitions", `"containerName":"configuration"`, `"containerName":"prometheus"`), prometheusDefinition},
			{"two wait for each other", "dev", inContainer(prometheusDefinition, "configuration", with("dependsOn", []any{tree{"containerName": "prometheus", "condition": "START"}})), prometheusDefinition},
			{"one waits for what does not happen", "dev", replace(prometheusDefinition, "container_definitions", `"condition":"SUCCESS"`, `"condition":"SUCCEEDED"`), prometheusDefinition},
			{"one waits for the end of an essential one", "dev", inContainer(prometheusDefinition, "configuration", with("essential", true)), prometheusDefinition},
			{"one waits for the health of what is not checked", "dev", replace(prometheusDefinition, "container_definitions", `"condition":"SUCCESS"`, `"condition":"HEALTHY"`), prometheusDefinition},
			{"a check more often than ECS does", "dev", replace(prometheusDefinition, "container_definitions", `"interval":30`, `"interval":3`), prometheusDefinition},
			{"a check that takes longer than ECS waits", "dev", replace(prometheusDefinition, "container_definitions", `"timeout":5`, `"timeout":61`), prometheusDefinition},
			{"a check by no word that ECS has", "dev", replace(prometheusDefinition, "container_definitions", `["CMD","/bin/promtool"`, `["RUN","/bin/promtool"`), prometheusDefinition},
			{"a check that is never given up", "dev", replace(prometheusDefinition, "container_definitions", `"retries":3`, `"retries":11`), prometheusDefinition},
			{"a check that begins too late", "dev", replace(prometheusDefinition, "container_definitions", `"startPeriod":120`, `"startPeriod":301`), prometheusDefinition},
			{"two on one port", "dev", inContainer(prometheusDefinition, "configuration", with("portMappings", []any{tree{"containerPort": 9090.0, "hostPort": 9090.0, "protocol": "tcp"}})), prometheusDefinition},
			{"a log by a driver that Fargate has not", "dev", replace(webDefinition, "container_definitions", `"logDriver":"awslogs"`, `"logDriver":"journald"`), webDefinition},
			{"a log in another region", "dev", replace(webDefinition, "container_definitions", `"awslogs-region":"eu-central-1"`, `"awslogs-region":"us-east-1"`), webDefinition},
			{"a log without a stream's name, which Fargate wants", "dev", replace(webDefinition, "container_definitions", `"awslogs-stream-prefix":"web",`, ""), webDefinition},
			{"a log with a mode that there is not", "dev", replace(webDefinition, "container_definitions", `"mode":"non-blocking"`, `"mode":"nonblocking"`), webDefinition},
			{"a log with a buffer of no size", "dev", replace(webDefinition, "container_definitions", `"max-buffer-size":"25m"`, `"max-buffer-size":"25 MB"`), webDefinition},
		},
	},
	{
		promise: "containers are not root, and cannot write to their image",
		check:   containersAreConfined,
		broken: []damage{
			{"root", "prod", inContainer(webDefinition, "web", with("user", "0")), webDefinition},
			{"the image's user, whoever that is", "prod", inContainer(webDefinition, "web", without("user")), webDefinition},
			{"a user by name", "prod", inContainer(webDefinition, "web", with("user", "nobody")), webDefinition},
			{"an image that can be written to", "prod", inContainer(webDefinition, "web", with("readonlyRootFilesystem", false)), webDefinition},
			{"rights of the kernel", "prod", inContainer(webDefinition, "web", with("linuxParameters", tree{"initProcessEnabled": true})), webDefinition},
			{"scratch that is root's", "prod", inContainer(webDefinition, "web", func(c tree) {
				c["linuxParameters"].(tree)["tmpfs"].([]any)[0].(tree)["mountOptions"] = []any{"nosuid"}
			}), webDefinition},
			{"a bind mount where the image declares no volume", "prod", inContainer(webDefinition, "web", with("mountPoints", []any{
				tree{"sourceVolume": "data", "containerPath": "/data", "readOnly": false},
			})), webDefinition},
			{"a port that takes root", "prod", inContainer(webDefinition, "web", with("portMappings", []any{tree{"containerPort": 80.0, "hostPort": 80.0, "protocol": "tcp"}})), webDefinition},
			{"privileged", "dev", inContainer(webDefinition, "web", with("privileged", true)), webDefinition},
			{"more rights of the kernel", "prod", inContainer(webDefinition, "web", func(c tree) {
				c["linuxParameters"].(tree)["capabilities"] = tree{"drop": []any{"ALL"}, "add": []any{"SYS_PTRACE"}}
			}), webDefinition},
		},
	},
	{
		promise: "task definitions say what AWS would add, in the order that it gives back",
		check:   definitionsDoNotDrift,
		broken: []damage{
			{"a list is left out", "prod", inContainer(webDefinition, "web", without("volumesFrom")), webDefinition},
			{"another is null", "prod", inContainer(webDefinition, "web", with("mountPoints", nil)), webDefinition},
			{"variables in no order", "prod", inContainer(webDefinition, "web", with("environment", []any{tree{"name": "B", "value": ""}, tree{"name": "A", "value": ""}})), webDefinition},
			{"a variable twice", "prod", inContainer(webDefinition, "web", with("environment", []any{tree{"name": "A", "value": ""}, tree{"name": "A", "value": ""}})), webDefinition},
			{"rights are taken, and none are added in writing", "prod", inContainer(webDefinition, "web", func(c tree) {
				delete(c["linuxParameters"].(tree)["capabilities"].(tree), "add")
			}), webDefinition},
			{"no host port", "prod", inContainer(webDefinition, "web", with("portMappings", []any{tree{"containerPort": 8080.0, "protocol": "tcp"}})), webDefinition},
		},
	},
	{
		promise: "where a shell is allowed it works, and elsewhere nothing of it is there",
		check:   shellsWork,
		broken: []damage{
			{"a folder is missing", "dev", inContainer(prometheusDefinition, "prometheus", with("mountPoints", []any{
				tree{"sourceVolume": "data", "containerPath": "/prometheus", "readOnly": false},
			})), prometheusDefinition},
			{"the rights are missing", "dev", drop("aws_iam_role_policy.prometheus_task_role_policy"), prometheusService},
			{"the rights are there without a shell", "dev", change(prometheusService, "enable_execute_command", false), prometheusService},
			{"a shell without all that", "prod", change(webService, "enable_execute_command", true), webService},
			{"it is logged nowhere", "dev", change("aws_ecs_cluster.cluster", "configuration.execute_command_configuration.logging", "NONE"), "aws_ecs_cluster.cluster"},
			{"nobody takes in what it leaves", "dev", inContainer(prometheusDefinition, "prometheus", with("linuxParameters", tree{"initProcessEnabled": false})), prometheusDefinition},
		},
	},
	{
		promise: "a shell is allowed in Prometheus, which is reached by it, and nowhere else",
		check:   onlyPrometheusHasAShell,
		shipped: true,
		broken: []damage{
			{"the application has one", "prod", change(webService, "enable_execute_command", true), webService},
			{"Prometheus has none", "prod", change(prometheusService, "enable_execute_command", false), prometheusService},
		},
	},
	{
		promise: "images stay what they are, and come from registries without a pull limit",
		check:   imagesStay,
		broken: []damage{
			{"no tag", "prod", inContainer(webDefinition, "web", with("image", "public.ecr.aws/nginx/nginx-unprivileged")), webDefinition},
			{"latest", "prod", inContainer(webDefinition, "web", with("image", "public.ecr.aws/nginx/nginx-unprivileged:latest")), webDefinition},
			{"Docker Hub by default", "prod", inContainer(webDefinition, "web", with("image", "nginx:1.30.5")), webDefinition},
			{"Docker Hub by name", "prod", inContainer(webDefinition, "web", with("image", "docker.io/library/nginx:1.30.5")), webDefinition},
			{"a repository whose tags move", "a service with everything", change("aws_ecr_repository.service_web_repository", "image_tag_mutability", "MUTABLE"), "aws_ecr_repository.service_web_repository"},
			{"a repository that nobody scans", "a service with everything", change("aws_ecr_repository.service_web_repository", "image_scanning_configuration.scan_on_push", false), "aws_ecr_repository.service_web_repository"},
			{"a repository that only grows", "a service with everything", drop("aws_ecr_lifecycle_policy.service_web_repository_lifecycle"), "aws_ecr_repository.service_web_repository"},
			{"a repository's rules are no JSON", "a service with everything", change("aws_ecr_lifecycle_policy.service_web_repository_lifecycle", "policy", "{"), "aws_ecr_lifecycle_policy.service_web_repository_lifecycle"},
		},
	},
	{
		promise: "the shipped images are pinned by digest, and checked by a tool that they have",
		check:   shippedImagesArePinned,
		shipped: true,
		broken: []damage{
			{"a tag alone", "prod", inContainer(webDefinition, "web", with("image", "public.ecr.aws/nginx/nginx-unprivileged:1.30.5")), webDefinition},
			{"curl, which the image has not", "prod", inContainer(prometheusDefinition, "prometheus", func(c tree) {
				c["healthCheck"].(tree)["command"] = []any{"CMD", "curl", "localhost:9090"}
			}), prometheusDefinition},
			{"a check where nothing is known of the image", "prod", inContainer(webDefinition, "web", with("healthCheck", tree{"command": []any{"CMD-SHELL", "wget localhost"}})), webDefinition},
		},
	},
	{
		promise: "a deployment that fails goes back, and Terraform says so",
		check:   failedDeploymentsGoBack,
		broken: []damage{
			{"no circuit breaker", "prod", change(webService, "deployment_circuit_breaker.enable", false), webService},
			{"it stays broken", "prod", change(webService, "deployment_circuit_breaker.rollback", false), webService},
			{"Terraform does not wait", "prod", change(webService, "wait_for_steady_state", false), webService},
			{"Terraform takes going back for a success", "prod", unset(webService, "lifecycle.postcondition"), webService},
			{"it compares with another definition", "dev", replace(prometheusService, "lifecycle.postcondition.0.condition", "prometheus_task_definition", "service_web_task_definition"), prometheusService},
			{"the definition before is gone", "prod", unset(webDefinition, "lifecycle.create_before_destroy"), webDefinition},
			{"alarms that ring and do nothing", "prod", change(webService, "alarms.rollback", false), webService},
			{"a public service without alarms", "prod", unset(webService, "alarms"), webService},
			{"fewer tasks during it than were asked for", "prod", change(webService, "deployment_minimum_healthy_percent", 50.0), webService},
		},
	},
	{
		promise: "services spread over zones, and their new tasks start before old ones stop",
		check:   servicesSpread,
		broken: []damage{
			{"one subnet", "prod", change(webService, "network_configuration.subnets", []any{id("aws_subnet.private_subnet_a")}), webService},
			{"no rebalancing, the provider's default", "prod", unset(webService, "availability_zone_rebalancing"), webService},
			{"a bound with which AWS refuses rebalancing", "prod", change(webService, "deployment_maximum_percent", 100.0), webService},
			{"capacity that the cluster has not", "dev", change("aws_ecs_cluster_capacity_providers.cluster_capacity_providers", "capacity_providers", []any{"FARGATE"}), webService},
			{"no capacity named, so that the default changes it", "prod", unset(webService, "capacity_provider_strategy"), webService},
			{"tasks without the service's tags, which Prometheus reads", "metrics", unset("aws_ecs_service.service_admin_service", "propagate_tags"), "aws_ecs_service.service_admin_service"},
		},
	},
	{
		promise: "the balancer sends to a container that listens, and Prometheus asks one",
		check:   portsAreListenedOn,
		broken: []damage{
			{"another container", "prod", change(webService, "load_balancer.0.container_name", "app"), webService},
			{"another port", "prod", change(webService, "load_balancer.0.container_port", 8081.0), webService},
			{"the target group has another", "prod", change(webTargets, "port", 80.0), webService},
			{"metrics on a port without a container", "metrics", change("aws_ecs_service.service_admin_service", "tags.MetricsPort", "9999"), "aws_ecs_service.service_admin_service"},
			{"metrics nowhere", "metrics", unset("aws_ecs_service.service_admin_service", "tags.MetricsPath"), "aws_ecs_service.service_admin_service"},
		},
	},
	{
		promise: "Prometheus starts with the configuration that it was deployed with",
		check:   configurationIsVersioned,
		broken: []damage{
			{"any version", "prod", replace(prometheusDefinition, "container_definitions", "${aws_s3_object.prometheus_configuration.version_id}", "null"), prometheusDefinition},
			{"it does not wait", "prod", inContainer(prometheusDefinition, "prometheus", without("dependsOn")), prometheusDefinition},
			{"it waits for the start only", "prod", inContainer(prometheusDefinition, "prometheus", with("dependsOn", []any{tree{"containerName": "configuration", "condition": "START"}})), prometheusDefinition},
			{"the task ends with the fetching", "prod", inContainer(prometheusDefinition, "configuration", with("essential", true)), prometheusDefinition},
			{"a cluster by name, which stops Prometheus", "prod", replace("aws_s3_object.prometheus_configuration", "content", "${aws_ecs_cluster.cluster.arn}", "platform-prod"), "aws_s3_object.prometheus_configuration"},
			{"a place that nobody filled in", "prod", replace("aws_s3_object.prometheus_configuration", "content", "eu-central-1", "{{.Region}}"), "aws_s3_object.prometheus_configuration"},
			{"there is none", "prod", drop(prometheusService), prometheusService},
			{"its metrics go with the task's first folder", "prod", replace(prometheusDefinition, "container_definitions", "--storage.tsdb.path=/prometheus", "--storage.tsdb.path=/tmp"), prometheusDefinition},
		},
	},
	{
		promise: "scaling follows metrics that AWS knows, of the service that it scales",
		check:   scalingIsAccepted,
		broken: []damage{
			{"a metric that there is not", "prod", change(webScaling, "target_tracking_scaling_policy_configuration.predefined_metric_specification.predefined_metric_type", "ECSServiceCPU"), webScaling},
			{"more than all of it", "prod", change(webScaling, "target_tracking_scaling_policy_configuration.target_value", 600.0), webScaling},
			{"a label where there is nothing to choose", "prod", add(webScaling, "target_tracking_scaling_policy_configuration.predefined_metric_specification.resource_label", "web"), webScaling},
			{"requests of nobody", "a service with everything", unset(requestScaling, "target_tracking_scaling_policy_configuration.predefined_metric_specification.resource_label"), requestScaling},
			{"requests by ARN", "a service with everything", replace(requestScaling, "target_tracking_scaling_policy_configuration.predefined_metric_specification.resource_label", "arn_suffix", "arn"), requestScaling},
			{"a policy that there is not", "prod", change(webScaling, "policy_type", "Tracking"), webScaling},
			{"a service by its ARN", "prod", change(webScalingTarget, "resource_id", "${"+webService+".id}"), webScalingTarget},
			{"a dimension that ECS has not", "prod", change(webScalingTarget, "scalable_dimension", "ecs:service:TaskCount"), webScalingTarget},
		},
	},
	{
		promise: "a count of tasks that AWS changes is not taken back by the next deployment",
		check:   scaledCountsAreLeft,
		broken: []damage{
			{"the service's", "prod", unset(webService, "lifecycle.ignore_changes"), webService},
			{"the bounds that schedules move", "a service with everything", unset("aws_appautoscaling_target.service_web_scaling_target", "lifecycle.ignore_changes"), "aws_appautoscaling_target.service_web_scaling_target"},
			{"bounds the wrong way round", "prod", change("aws_appautoscaling_target.service_web_scaling_target", "max_capacity", 1.0), "aws_appautoscaling_target.service_web_scaling_target"},
		},
	},
}

// scaledBy are the metrics that Application Auto Scaling knows for ECS, and the most that each can be: a share of all, or any count.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
var scaledBy = map[string]float64{
	"ALBRequestCountPerTarget": math.MaxInt32, "ECSServiceAverageCPUUtilization": 100, "ECSServiceAverageMemoryUtilization": 100,
}

var (
	scaledService = regexp.MustCompile(`^service/\$\{aws_ecs_cluster\.\w+\.name\}/\$\{aws_ecs_service\.\w+\.name\}$`)
	scalingLabel  = regexp.MustCompile(`^\$\{aws_lb\.\w+\.arn_suffix\}/\$\{aws_lb_target_group\.\w+\.arn_suffix\}$`)
)

func scalingIsAccepted(stack tree) (v violations) {
	for _, target := range things(stack, "aws_appautoscaling_target") {
		v.want(target.is("service_namespace", "ecs") && target.is("scalable_dimension", "ecs:service:DesiredCount") && scaledService.MatchString(target.text("resource_id")),
			target.address, "scales %v of %v", target.at("scalable_dimension"), target.at("resource_id"))
	}
	for _, p := range things(stack, "aws_appautoscaling_policy") {
		const of = "target_tracking_scaling_policy_configuration."
		const metric = of + "predefined_metric_specification.predefined_metric_type"
		value, most := p.number(of+"target_value"), scaledBy[p.text(metric)]
		v.want(p.is("policy_type", "TargetTrackingScaling") && most > 0, p.address, "is a %v by %v", p.at("policy_type"), p.at(metric))
		v.want(value > 0 && value <= most, p.address, "wants %v of %v", value, p.at(metric))
		label := p.text(of + "predefined_metric_specification.resource_label")
		v.want(scalingLabel.MatchString(label) == p.is(metric, "ALBRequestCountPerTarget") && (label == "" || scalingLabel.MatchString(label)), p.address, "counts %v of %q", p.at(metric), label)
	}
	return v
}

// fargateTakes tells whether Fargate has a size, in CPU units and MiB.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func fargateTakes(cpu, memory float64) bool {
	sizes := map[float64]struct{ least, most, step int }{ // GiB
		512: {1, 4, 1}, 1024: {2, 8, 1}, 2048: {4, 16, 1}, 4096: {8, 30, 1}, 8192: {16, 60, 4}, 16384: {32, 120, 8},
	}
	if cpu == 256 {
		return slices.Contains([]float64{512, 1024, 2048}, memory)
	}
	size, ok := sizes[cpu]
	gib := int(memory / 1024)
	return ok && float64(gib*1024) == memory && gib >= size.least && gib <= size.most && (gib-size.least)%size.step == 0
}

// anARN is what stands for a reference when lengths are measured: longer than any that AWS gives.
const anARN = "arn:aws:secretsmanager:ap-southeast-1:123456789012:secret:rds!db-00000000-0000-0000-0000-000000000000-AbCdEf"

func definitionsFitFargate(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		d := t.definition
		v.want(fargateTakes(d.number("cpu"), d.number("memory")), d.address, "has %v CPU units and %v MiB, which Fargate has not", d.at("cpu"), d.at("memory"))
		v.want(slices.Equal(d.strings("requires_compatibilities"), []string{"FARGATE"}) && d.is("network_mode", "awsvpc"), d.address, "is not for Fargate")
		v.want(slices.Contains([]string{"ARM64", "X86_64"}, d.text("runtime_platform.cpu_architecture")), d.address, "does not say for which processor")
		v.want(!d.has("ephemeral_storage") || d.number("ephemeral_storage.size_in_gib") >= 21 && d.number("ephemeral_storage.size_in_gib") <= 200, d.address, "wants a disk of 21 to 200 GiB, has %v", d.at("ephemeral_storage.size_in_gib"))
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
				v.want(declared[m.text("sourceVolume")], c.address, "mounts %s, which the task does not declare", m.text("sourceVolume"))
			}
			for _, tmpfs := range c.parts("linuxParameters.tmpfs") {
				scratch += tmpfs.number("size")
			}
			v.want(!c.has("stopTimeout") || c.number("stopTimeout") <= 120, c.address, "wants to be waited for longer than Fargate's 120 seconds")
		}
		v.want(scratch <= d.number("memory")/2, d.address, "has %v MiB of scratch, which is memory, of %v", scratch, d.at("memory"))
	}
	return v
}

var (
	containerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	bufferSize    = regexp.MustCompile(`^[1-9][0-9]*[kmg]$`)
)

// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html and the pages that it leads to
func containersAgree(stack tree) (v violations) {
	within := func(r thing, path string, least, most float64) bool {
		return !r.has(path) || r.number(path) >= least && r.number(path) <= most
	}
	for _, t := range tasks(stack) {
		d, named, ports := t.definition, map[string]thing{}, map[float64]bool{}
		lives := false
		for _, c := range t.containers {
			name := c.text("name")
			v.want(containerName.MatchString(name) && !named[name].exists(), d.address, "has a container called %q, which ECS refuses, or another of that name", name)
			named[name] = c
			lives = lives || c.is("essential", true)
			for _, p := range c.parts("portMappings") {
				v.want(!ports[p.number("containerPort")], c.address, "listens on %v, as another container of the task does", p.at("containerPort"))
				ports[p.number("containerPort")] = true
			}
			if c.has("healthCheck") {
				how := c.strings("healthCheck.command")
				v.want(len(how) > 1 && (how[0] == "CMD" || how[0] == "CMD-SHELL"), c.address, "is checked by %v", how)
				v.want(within(c, "healthCheck.interval", 5, 300) && within(c, "healthCheck.timeout", 2, 60) && within(c, "healthCheck.retries", 1, 10) &&
					within(c, "healthCheck.startPeriod", 0, 300), c.address, "is checked out of ECS' bounds: %v", c.at("healthCheck"))
			}
			log := thing{c.address, asTree(c.at("logConfiguration.options"))}
			v.want(c.is("logConfiguration.logDriver", "awslogs") && log.is("awslogs-region", region(stack)) && log.text("awslogs-stream-prefix") != "", c.address, "logs by %v to %v", c.at("logConfiguration.logDriver"), log.body)
			v.want(log.is("mode", "blocking") || log.is("mode", "non-blocking") && bufferSize.MatchString(log.text("max-buffer-size")), c.address, "logs in a mode that there is not: %v", log.body)
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
					v.want(!other.is("essential", true), c.address, "waits for the end of %s, with which the task ends", other.address)
				case "HEALTHY":
					v.want(other.has("healthCheck"), c.address, "waits for the health of %s, which nobody checks", other.address)
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

// imageVolumes are the paths at which an image declares a volume: there alone a bind mount is its user's, and not root's.
var imageVolumes = map[string]string{"prometheus": "/prometheus"}

// sessionFolders are where the agent of ECS exec writes, as root.
var sessionFolders = []string{"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}

func containersAreConfined(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			user, err := strconv.Atoi(c.text("user"))
			fetches := (c.text("name") == "configuration" || c.text("name") == "rds-certificates") && c.is("essential", false) // root, for the moment in which it fills a volume that is root's
			v.want(err == nil && (user > 0 || fetches), c.address, "wants a user by number, not 0, has %q", c.text("user"))
			v.want(c.is("readonlyRootFilesystem", true), c.address, "can change its image")
			v.want(!c.is("privileged", true), c.address, "is privileged")
			drops := slices.Equal(c.strings("linuxParameters.capabilities.drop"), []string{"ALL"})
			v.want(drops || t.service.is("enable_execute_command", true), c.address, "keeps rights of the kernel that only a shell's agent needs")
			v.want(len(c.strings("linuxParameters.capabilities.add")) == 0, c.address, "adds rights of the kernel")
			for _, tmpfs := range c.parts("linuxParameters.tmpfs") {
				v.want(slices.Contains(tmpfs.strings("mountOptions"), "mode=1777"), c.address, "cannot write to %s, which is root's", tmpfs.text("containerPath"))
			}
			for _, m := range c.parts("mountPoints") {
				path := m.text("containerPath")
				v.want(m.is("readOnly", true) || user == 0 || path == imageVolumes[c.text("name")] || slices.Contains(sessionFolders, path), c.address, "cannot write to %s, which is root's", path)
			}
			for _, port := range c.parts("portMappings") {
				v.want(port.number("containerPort") >= 1024, c.address, "cannot listen on %v without being root", port.at("containerPort"))
			}
		}
	}
	return v
}

func definitionsDoNotDrift(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			for _, list := range []string{"environment", "mountPoints", "portMappings", "systemControls", "volumesFrom"} {
				_, written := c.at(list).([]any)
				v.want(written, c.address, "leaves out %s: AWS adds it, and every plan finds a difference", list)
			}
			for _, list := range []string{"environment", "secrets"} {
				var names []string
				for _, variable := range c.parts(list) {
					names = append(names, variable.text("name"))
				}
				v.want(slices.IsSorted(names) && len(slices.Compact(slices.Clone(names))) == len(names), c.address, "has a %s that is not sorted or names something twice: %v", list, names)
			}
			_, added := c.at("linuxParameters.capabilities.add").([]any)
			v.want(added || !c.has("linuxParameters.capabilities"), c.address, "leaves out capabilities.add: AWS adds it, and every plan replaces the definition")
			for _, port := range c.parts("portMappings") {
				v.want(port.at("containerPort") == port.at("hostPort") && port.is("protocol", "tcp"), c.address, "leaves out what AWS adds to port %v", port.at("containerPort"))
			}
		}
	}
	return v
}

// shellsWork: the agent writes to three folders, which a read-only root lacks, and calls out by the task's role.
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
			v.want(!may || allowed || !strings.HasPrefix(action, "ssmmessages:"), t.service.address, "allows no shell, but its tasks may %s", action)
		}
		for _, c := range t.containers {
			if !c.is("essential", true) {
				continue
			}
			v.want(!allowed || c.is("linuxParameters.initProcessEnabled", true), c.address, "has nobody to take in the processes that a shell leaves")
			for _, folder := range sessionFolders {
				mounted := slices.ContainsFunc(c.parts("mountPoints"), func(m thing) bool { return m.is("containerPath", folder) && m.is("readOnly", false) })
				v.want(mounted == allowed, t.service.address, "allows a shell: %v; %s can write to %s: %v", allowed, c.address, folder, mounted)
			}
		}
	}
	for _, cluster := range things(stack, "aws_ecs_cluster") {
		v.want(cluster.is("configuration.execute_command_configuration.logging", "OVERRIDE"), cluster.address, "does not log what is done in a shell")
	}
	return v
}

func onlyPrometheusHasAShell(stack tree) (v violations) {
	for _, service := range things(stack, "aws_ecs_service") {
		v.want(service.is("enable_execute_command", service.is("name", "prometheus")), service.address, "allows a shell: %v", service.at("enable_execute_command"))
	}
	return v
}

var (
	taggedImage = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]+)?/[^:@]+(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$`)
	dockerHub   = regexp.MustCompile(`^([a-z0-9-]+\.)*docker\.(io|com)/`)
)

func imagesStay(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			image := c.text("image")
			name := image[strings.LastIndexByte(image, '/')+1:]
			v.want(taggedImage.MatchString(image) && strings.ContainsAny(name, ":@") && !strings.HasSuffix(image, ":latest"), c.address, "wants registry/name with a tag or digest, has %s", image)
			v.want(!dockerHub.MatchString(image), c.address, "pulls from Docker Hub, which limits pulls: %s", image)
		}
	}
	for _, repository := range things(stack, "aws_ecr_repository") {
		v.want(repository.is("image_tag_mutability", "IMMUTABLE"), repository.address, "lets a tag change its meaning")
		v.want(repository.is("image_scanning_configuration.scan_on_push", true), repository.address, "does not scan images")
		v.want(len(referring(things(stack, "aws_ecr_lifecycle_policy"), "repository", repository.address)) == 1, repository.address, "only grows")
	}
	for _, lifecycle := range things(stack, "aws_ecr_lifecycle_policy") {
		v.want(json.Valid([]byte(lifecycle.text("policy"))), lifecycle.address, "is no JSON")
	}
	return v
}

// imageTools are what a container's health check may call, by image. The others' are read off nothing: they have none of these.
var imageTools = map[string][]string{"quay.io/prometheus/prometheus": {"/bin/promtool"}}

func shippedImagesArePinned(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			image := c.text("image")
			v.want(strings.Contains(image, "@sha256:"), c.address, "wants a digest, has %s", image)
			name, _, _ := strings.Cut(strings.Split(image, "@")[0], ":")
			command := c.strings("healthCheck.command")
			v.want(!c.has("healthCheck") || len(command) > 1 && command[0] == "CMD" && slices.Contains(imageTools[name], command[1]), c.address, "is checked by %v, and %s is not known to have it", command, name)
		}
	}
	return v
}

func failedDeploymentsGoBack(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		s := t.service
		v.want(s.is("deployment_circuit_breaker.enable", true) && s.is("deployment_circuit_breaker.rollback", true), s.address, "stays with a deployment that fails")
		v.want(s.is("wait_for_steady_state", true), s.address, "does not wait for its deployment")
		after := s.parts("lifecycle.postcondition")
		v.want(len(after) == 1 && after[0].text("condition") == "${self.task_definition == "+t.definition.address+".arn}", s.address, "takes a deployment that went back for a success")
		v.want(t.definition.is("lifecycle.create_before_destroy", true), t.definition.address, "is gone when ECS goes back to it")
		v.want(!s.has("load_balancer") || s.is("alarms.enable", true) && s.is("alarms.rollback", true), s.address, "serves the public, and no alarm takes a deployment back")
		v.want(s.number("deployment_minimum_healthy_percent") >= 100, s.address, "has fewer tasks than asked for while it is deployed")
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
		v.want(s.number("deployment_maximum_percent") > 100, s.address, "wants more than 100 percent, or AWS refuses rebalancing")
		strategy := s.parts("capacity_provider_strategy")
		v.want(len(strategy) > 0 && !s.has("launch_type"), s.address, "names no capacity provider")
		for _, provider := range strategy {
			v.want(slices.Contains(capacity, provider.text("capacity_provider")), s.address, "runs on %s, which the cluster has not", provider.text("capacity_provider"))
		}
		v.want(s.is("propagate_tags", "SERVICE") && s.is("enable_ecs_managed_tags", true), s.address, "does not give its tags to its tasks")
	}
	return v
}

func portsAreListenedOn(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		listens := func(container string, port float64) bool {
			return slices.ContainsFunc(t.containers, func(c thing) bool {
				return (container == "" || c.is("name", container)) && slices.ContainsFunc(c.parts("portMappings"), func(p thing) bool { return p.number("containerPort") == port })
			})
		}
		for _, behind := range t.service.parts("load_balancer") {
			port := behind.number("container_port")
			v.want(listens(behind.text("container_name"), port), t.service.address, "sends to %s on %v, where nothing listens", behind.text("container_name"), port)
			v.want(get(stack, behind.ref("target_group_arn")).number("port") == port, t.service.address, "is sent to on another port than its target group's")
		}
		if port, ok := t.metricsPort(); ok {
			v.want(listens("", float64(port)), t.service.address, "has metrics on port %d, where nothing listens", port)
			v.want(strings.HasPrefix(t.service.text("tags.MetricsPath"), "/"), t.service.address, "does not say where its metrics are")
		}
	}
	return v
}

// configurationIsVersioned: the version in the definition is what makes a change of the text roll the service. A cluster's name in place of its ARN
// stops Prometheus: https://github.com/prometheus/prometheus/pull/19449
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
			v.want(len(waits) == 1 && waits[0].is("containerName", "configuration") && waits[0].is("condition", "SUCCESS"), c.address, "starts without its configuration")
			v.want(strings.Contains(command, "--storage.tsdb.path=/prometheus"), c.address, "keeps its metrics where it cannot write, or in memory")
		}
	}
	v.want(fetched, t.definition.address, "does not fetch the version that it was deployed with")
	content := get(stack, "aws_s3_object.prometheus_configuration")
	v.want(strings.Contains(content.text("content"), `clusters: ["${aws_ecs_cluster.cluster.arn}"]`), content.address, "wants the cluster by its ARN")
	v.want(!strings.Contains(content.text("content"), "{{"), content.address, "has places that nobody filled in")
	return v
}

func scaledCountsAreLeft(stack tree) (v violations) {
	for _, target := range things(stack, "aws_appautoscaling_target") {
		v.want(target.number("min_capacity") <= target.number("max_capacity"), target.address, "has its bounds the wrong way round")
		for _, address := range target.refs("resource_id") {
			if service := get(stack, address); service.kind() == "aws_ecs_service" {
				v.want(slices.Contains(service.strings("lifecycle.ignore_changes"), "desired_count"), service.address, "takes back what the scaling did")
			}
		}
		if len(referring(things(stack, "aws_appautoscaling_scheduled_action"), "resource_id", target.address)) > 0 {
			left := target.strings("lifecycle.ignore_changes")
			v.want(slices.Contains(left, "min_capacity") && slices.Contains(left, "max_capacity"), target.address, "takes back what its schedules did")
		}
	}
	return v
}
