package config

import (
	"regexp"
	"strings"
)

// foreignKey is a key of Docker Compose, Copilot, ECS or Terraform that is no setting here, with
// what to use instead. The message is in one of two forms:
//
//	want <key>: the same thing has another name here
//	unsupported: <what to do instead>
type foreignKey struct {
	section string // path of the section, as in docs/settings.md; "" is the top of the file
	keys    string // separated by spaces
	message string
}

// The sections with foreign keys.
const (
	topSection         = ""
	serviceSection     = "services.<name>"
	routeSection       = serviceSection + ".route"
	healthCheckSection = serviceSection + ".health_check"
	scalingSection     = serviceSection + ".scaling"
)

// What several foreign keys have in common.
const (
	ownCache = "unsupported: create it in a second Terraform root (docs/second-root.md), open its port with egress " +
		"of the service, and give the service its address in environment"
	ownResource = "unsupported: create it in a second Terraform root (docs/second-root.md), list what the service " +
		"may do with it in permissions of the service, and give the service its name in environment"
	noVolumes = "unsupported: files of a task are lost when it ends. Keep files in S3, with permissions, and " +
		"temporary files in writable folders"
	noJobs = "unsupported: start a task of a service with tasks: 0 on a schedule of a second Terraform root " +
		"(docs/second-root.md), or by make run"
	noVPC = "unsupported: the stack creates its own VPC. Connect it with others in a second Terraform root " +
		"(docs/second-root.md), by VPC peering or a transit gateway"
	noCDN   = "unsupported: create it in a second Terraform root, in front of the load balancer"
	noMySQL = "unsupported: the database is PostgreSQL on RDS, in section database. Create another one in a " +
		"second Terraform root (docs/second-root.md), and open its port with egress of the service"
	noBuild = "unsupported: the platform builds no images. Build and push the image, and give its name as image; " +
		"repository: true creates a repository in ECR"
)

var foreignKeys = []foreignKey{
	{serviceSection, "ports expose container_port target_port", "want port, the port that the container listens on"},
	{serviceSection, "env variables env_vars environment_variables", "want environment"},
	{serviceSection, "env_file env_files", "unsupported: list the variables in environment and secrets"},
	{serviceSection, "extends", "want like, the name of another service"},
	{serviceSection, "secret", "want secrets"},
	{serviceSection, "healthcheck", "want health_check"},
	{serviceSection, "deploy replicas count desired_count instances", "want tasks, the number of tasks"},
	{serviceSection, "autoscaling", "want scaling"},
	{serviceSection, "cmd args", "want command"},
	{serviceSection, "entry_point", "want entrypoint"},
	{serviceSection, "uid run_as_user", "want user"},
	{serviceSection, "mem mem_limit memory_limit", "want memory"},
	{serviceSection, "cpus", "want cpu, in CPU units: 1024 are one vCPU"},
	{serviceSection, "platform cpu_architecture runtime_platform", "want architecture, ARM64 or X86_64"},
	{serviceSection, "stop_grace_period", "want stop_timeout"},
	{serviceSection, "ulimits", "want open_files"},
	{serviceSection, "tmpfs", "want writable, or scratch for the size of /tmp"},
	{
		serviceSection, "read_only readonly_fs readonly_root_filesystem",
		"want writable: containers can write only to /tmp and to the folders in writable, where / is the file system " +
			"of the image",
	},
	{serviceSection, "ephemeral_storage storage ephemeral", "want disk, and writable folders with on: disk"},
	{serviceSection, "iam policy policies task_role role", "want permissions"},
	{serviceSection, "http alias domain domains host hosts hostname path paths", "want route, with hosts and paths"},
	{serviceSection, "sticky stickiness", "want route.sticky"},
	{serviceSection, "deregistration_delay", "want route.deregistration_delay"},
	{serviceSection, "execute_command enable_execute_command", "want exec"},
	{serviceSection, "networks network_mode links", "want calls, the services that this one calls"},
	{
		serviceSection, "sidecar sidecars containers init_containers",
		"unsupported: a service is one container. Run the other program as a service of its own, which this one may " +
			"reach with calls",
	},
	{serviceSection, "volume volumes efs mounts mount_points volumes_from", noVolumes},
	{serviceSection, "build dockerfile context", noBuild},
	{
		serviceSection, "depends_on",
		"unsupported: all services start at the same time. Let the application repeat what fails until the other " +
			"service answers",
	},
	{serviceSection, "schedule cron jobs", noJobs},
	{serviceSection, "redis valkey cache elasticache memcached", ownCache},
	{serviceSection, "queue queues sqs bucket buckets s3 topics sns publish subscribe", ownResource},
	{
		serviceSection, "mysql aurora postgres postgresql",
		"want database.access, the permissions in the stack's PostgreSQL",
	},
	{serviceSection, "connections", "want database.connections"},
	{serviceSection, "query_timeout", "want database.query_timeout"},
	{
		serviceSection, "logging log_driver log_configuration",
		"unsupported: logs go to CloudWatch Logs, with log_retention at the top of the file",
	},
	{serviceSection, "working_dir workdir", "unsupported: set it in the image, or begin command with a shell and cd"},
	{serviceSection, "labels tags", "unsupported: tags at the top of the file are for every resource"},
	{serviceSection, "restart restart_policy", "unsupported: ECS replaces every task that ends"},
	{serviceSection, "privileged cap_add gpu gpus devices", "unsupported: Fargate has none of this"},

	{routeSection, "alias host hostname domain domains", "want hosts"},
	{routeSection, "deregistration_lag", "want deregistration_delay"},
	{routeSection, "stickiness sticky_sessions", "want sticky, the time in seconds"},
	{routeSection, "redirect redirects rewrite", "unsupported: let the application answer with the redirect"},
	{routeSection, "auth oidc cognito", "unsupported: let the application, or a proxy in it, check who the user is"},
	{routeSection, "methods query", "unsupported: want paths, hosts, headers or sources"},

	{healthCheckSection, "test", "want command"},
	{healthCheckSection, "retries", "want unhealthy_threshold for the load balancer, command_retries for command"},
	{healthCheckSection, "start_period start_interval", "want grace_period"},
	{healthCheckSection, "matcher success_codes", "want codes"},
	{healthCheckSection, "healthy_threshold_count", "want healthy_threshold"},
	{healthCheckSection, "unhealthy_threshold_count", "want unhealthy_threshold"},
	{healthCheckSection, "port protocol", "unsupported: the load balancer checks the port of the service with HTTP"},

	{scalingSection, "min min_capacity min_tasks", "want tasks of the service, which is the minimum"},
	{scalingSection, "max_capacity max_tasks range", "want max"},
	{scalingSection, "cpu_percentage", "want cpu"},
	{scalingSection, "memory_percentage", "want memory"},
	{scalingSection, "queue backlog queue_delay", "unsupported: scaling follows CPU, memory and requests"},

	{"network", "vpc vpc_id subnets subnet_ids private_subnets public_subnets peering", noVPC},
	{"network", "ipv6", "unsupported: the VPC has IPv4 only"},

	{"load_balancer", "certificate certificates certificate_arns", "want certificate_arn"},
	{"load_balancer", "waf", "want firewall"},
	{
		"load_balancer", "domains aliases names",
		"want domain, one name; for more, give certificate_arn a certificate that has them, and create their DNS " +
			"records",
	},
	{"load_balancer", "cdn cloudfront", noCDN},

	{"database", "engine", "unsupported: the database is PostgreSQL; its major version is version"},
	{"database", "aurora serverless mysql mariadb", noMySQL},
	{"database", "engine_version", "want version"},
	{"database", "instance_type class instance", "want instance_class"},
	{"database", "allocated_storage size", "want storage, with initial and max"},
	{"database", "replicas read_replicas", "unsupported: multi_az creates a standby, which answers no queries"},
	{
		"database", "username user password master_username master_password users",
		"unsupported: the platform creates a user and a password for each service with database",
	},
	{"database", "extensions", "unsupported: let a service with database.access: owner run CREATE EXTENSION"},

	{"monitoring", "slack pagerduty webhook", "unsupported: subscribe it to the topic in the output alerts_topic_arn"},

	{topSection, "redis valkey cache elasticache memcached", ownCache},
	{topSection, "queue queues sqs bucket buckets s3 topics sns", ownResource},
	{topSection, "volumes efs", noVolumes},
	{topSection, "job jobs cron schedule schedules", noJobs},
	{topSection, "vpc vpc_id subnets", noVPC},
	{topSection, "cdn cloudfront", noCDN},
	{topSection, "mysql aurora mariadb", noMySQL},
	{topSection, "postgres postgresql rds", "want database"},
	{topSection, "alb", "want load_balancer"},
	{topSection, "domain hosted_zone", "want load_balancer.domain and load_balancer.hosted_zone"},
	{topSection, "common defaults", "unsupported: give a service the settings of another one with like"},
	{topSection, "environments", "unsupported: each environment has a file of its own, config/<environment>.yaml"},
}

// serviceKey is the path of something in a service.
var serviceKey = regexp.MustCompile(`^services\.[^.]+`)

// insteadOf returns what to use instead of a key that is no setting; "" if nothing is known.
func insteadOf(path string) string {
	path = serviceKey.ReplaceAllString(path, serviceSection)
	section, key := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		section, key = path[:i], path[i+1:]
	}
	for _, foreign := range foreignKeys {
		if foreign.section != section {
			continue
		}
		for one := range strings.FieldsSeq(foreign.keys) {
			if plain(one) == plain(key) {
				return foreign.message
			}
		}
	}
	return ""
}

// plain returns a key without what differs between the ways to write it: dependsOn, depends_on.
func plain(key string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(key))
}

// listOfArguments matches the settings that are a program with its arguments.
var listOfArguments = regexp.MustCompile(`^services\.[^.]+\.(command|entrypoint|health_check\.command)$`)

// settingOfService matches the settings of a service.
var settingOfService = regexp.MustCompile(`^services\.[^.]+\.([a-z_]+)$`)

// sectionExamples are values of sections that are easily taken for a single value.
var sectionExamples = map[string]string{
	"alarms":       "{latency: 5}",
	"database":     "{access: owner}",
	"health_check": "{path: /healthz}",
	"metrics":      "{enabled: true}",
	"route":        `{paths: ["/*"]}, or no route at all`,
	"scaling":      "{max: 4}",
}

// exampleOf returns an example of a setting whose type is often wrong, and what it has instead.
func exampleOf(path, have string) string {
	name := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case environmentValue.MatchString(path) && have == "true or false":
		return name + `: "true"`
	case environmentValue.MatchString(path):
		return name + `: "1"`
	case listOfArguments.MatchString(path):
		return "[bin/serve, --port, \"8080\"]"
	case settingOfService.MatchString(path):
		return sectionExamples[name]
	}
	return ""
}
