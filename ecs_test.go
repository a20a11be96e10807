package main

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	ecsCluster         = "aws_ecs_cluster.cluster"
	capacityProviders  = "aws_ecs_cluster_capacity_providers.cluster_capacity_providers"
	otherService       = "aws_ecs_service.service_other_service"
	adminService       = "aws_ecs_service.service_admin_service"
	prometheusPolicy   = "aws_iam_role_policy.prometheus_task_role_policy"
	webExecutionPolicy = "aws_iam_role_policy.service_web_execution_role_policy"
	webService         = "aws_ecs_service.service_web_service"
	prometheusService  = "aws_ecs_service.prometheus_service"
)

// serviceTask is an ECS service with what its tasks run. Tasks that run to their end have no service,
// but a security group, by address.
type serviceTask struct {
	service, definition stacktest.Resource
	group               string
}

// serviceTasks are the tasks of every service, Prometheus's among them.
func serviceTasks(s stacktest.Stack) []serviceTask {
	var all []serviceTask
	for _, service := range s.Resources("aws_ecs_service") {
		all = append(all, serviceTask{service: service, definition: s.Resource(service.Reference("task_definition"))})
	}
	return all
}

// prometheusServiceTask is Prometheus's task; empty if there is none.
func prometheusServiceTask(s stacktest.Stack) serviceTask {
	for _, t := range serviceTasks(s) {
		if t.name() == "prometheus_server" {
			return t
		}
	}
	return serviceTask{}
}

func (t serviceTask) name() string {
	if !t.service.Exists() {
		return t.definition.ID()
	}
	return t.service.String("name")
}

// mainContainer is the name of the container that an application or program of the platform runs in.
func (t serviceTask) mainContainer() string { return strings.TrimSuffix(t.name(), "_server") }

func (t serviceTask) containers() []stacktest.Resource { return t.definition.Containers() }

// called are the containers with a name: one, or none.
func (t serviceTask) called(name string) []stacktest.Resource {
	return stacktest.Filter(t.containers(), func(c stacktest.Resource) bool { return c.Is("name", name) })
}

// securityGroup is the address of the tasks' security group.
func (t serviceTask) securityGroup() string {
	if t.group != "" {
		return t.group
	}
	return t.service.Reference("network_configuration.security_groups")
}

// usesDatabase tells whether a container is told where the database is.
func (t serviceTask) usesDatabase() bool { return t.databaseHost() != nil }

// databaseInstance is the address of the database that the task is told to use.
func (t serviceTask) databaseInstance() string {
	return strings.Join(stacktest.References(t.databaseHost()), " ")
}

func (t serviceTask) databaseHost() any {
	for _, c := range t.containers() {
		if host := c.At("environment[name=PGHOST].value"); host != nil {
			return host
		}
	}
	return nil
}

// metricsPort is the port that Prometheus scrapes.
func (t serviceTask) metricsPort() (port int, scraped bool) {
	number := t.service.Number("tags.MetricsPort")
	return int(number), !math.IsNaN(number)
}

// rolePermissions are the statements of a role's policies.
func rolePermissions(s stacktest.Stack, role string) []stacktest.Resource {
	var statements []stacktest.Resource
	for _, policy := range stacktest.Referring(s.Resources("aws_iam_role_policy"), "role", role) {
		statements = append(statements, policy.Statements("policy")...)
	}
	return statements
}

var execPromises = []stacktest.Promise{{
	Name:  "ECS Exec works in services that enable it, and nothing it needs is in other services",
	Check: execWorks,
	BrokenBy: []stacktest.Break{{
		Name:  "a container of a service with ECS Exec does not mount one of the agent's folders",
		Stack: "dev",
		By: stacktest.Set(
			prometheusTask,
			prometheusContainer+".mountPoints",
			[]any{
				map[string]any{"sourceVolume": "data", "containerPath": "/prometheus", "readOnly": false},
			},
		),
		Found: prometheusTask,
	}, {
		Name:  "the task role of a service with ECS Exec has no policy",
		Stack: "dev",
		By:    stacktest.Delete(prometheusPolicy),
		Found: prometheusService,
	}, {
		Name:  "the task role of a service with ECS Exec allows decrypting with another key than the sessions'",
		Stack: "prod",
		By: stacktest.Set(prometheusPolicy, "policy.Statement[Sid=SessionKey].Resource",
			[]any{"${aws_kms_key.logs_key.arn}"}),
		Found: prometheusService,
	}, {
		Name:  "a service without ECS Exec has the agent's permissions and folders",
		Stack: "dev",
		By:    stacktest.Set(prometheusService, "enable_execute_command", false),
		Found: prometheusService,
	}, {
		Name:  "a service with ECS Exec has neither the agent's permissions nor its folders",
		Stack: "prod",
		By:    stacktest.Set(webService, "enable_execute_command", true),
		Found: webService,
	}, {
		Name:  "ECS Exec's sessions are not logged",
		Stack: "dev",
		By: stacktest.Set(ecsCluster, "configuration.execute_command_configuration.logging",
			"NONE"),
		Found: ecsCluster,
	}, {
		Name:  "a container of a service with ECS Exec has no init process",
		Stack: "dev",
		By: stacktest.Set(prometheusTask, prometheusContainer+".linuxParameters",
			map[string]any{"initProcessEnabled": false}),
		Found: prometheusTask,
	}},
}, {
	Name:    "ECS Exec is enabled in Prometheus, whose user interface is opened through it, and in no other service",
	Check:   onlyPrometheusHasExec,
	Shipped: true,
	BrokenBy: []stacktest.Break{{
		Name:  "the application has ECS Exec",
		Stack: "prod",
		By:    stacktest.Set(webService, "enable_execute_command", true),
		Found: webService,
	}, {
		Name:  "Prometheus has no ECS Exec",
		Stack: "prod",
		By:    stacktest.Set(prometheusService, "enable_execute_command", false),
		Found: prometheusService,
	}},
}}

// The provider sends force_new_deployment with every change of a service, so that a change of the
// number of tasks, for example, would replace the running tasks. Without it, another capacity
// provider would replace the service itself (service.go of provider 5.100.0).
func TestEveryChangeStartsADeploymentOnlyIfTheCapacityMayChange(t *testing.T) {
	const production = minimal + "profile: production\nstate: {backend: local}\nload_balancer: {allow_http: true}\n"
	for name, c := range map[string]struct {
		config string
		want   any
	}{
		"on demand":                    {production, nil},
		"on demand, more tasks":        {production + "services: {web: {" + demonstration + ", tasks: 3}}\n", nil},
		"on Spot":                      {minimal, true},
		"on Spot in production":        {production + "services: {web: {" + demonstration + ", spot: true}}\n", true},
		"taken off Spot":               {minimal + "services: {web: {" + demonstration + ", spot: false}}\n", true},
		"taken off Spot in production": {production + "services: {web: {" + demonstration + ", spot: false}}\n", nil},
		"on demand, beside a service on Spot": {
			production + "services: {web: {" + demonstration + "}, job: {image: 'quay.io/x/y:1', spot: true}}\n", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stack := parsed(t, synth(t, parse(t, "test", c.config), placeholder(t)))
			if have := stack.Resource(webService).At("force_new_deployment"); have != c.want {
				t.Errorf("web has force_new_deployment %v, want %v", have, c.want)
			}
			if stack.Resource(prometheusService).Has("force_new_deployment") {
				t.Error("every change of Prometheus's service deletes its history")
			}
		})
	}
}

// In production, one task more changes one number, and no task restarts.
func TestOneTaskMoreChangesNothingElseOfTheService(t *testing.T) {
	service := func(tasks string) tree {
		text := minimal + "profile: production\nstate: {backend: local}\nload_balancer: {allow_http: true}\n" +
			"services: {web: {" + demonstration + ", tasks: " + tasks + ", scaling: {max: " + tasks + "}}}\n"
		stack := synth(t, parse(t, "test", text), placeholder(t))
		return stack["resource"].(tree)["aws_ecs_service"].(tree)["service_web_service"].(tree)
	}
	two, three := service("2"), service("3")
	if two["desired_count"] != 2.0 || three["desired_count"] != 3.0 {
		t.Errorf("want 2 and 3 tasks, have %v and %v", two["desired_count"], three["desired_count"])
	}
	delete(two, "desired_count")
	delete(three, "desired_count")
	if !reflect.DeepEqual(two, three) {
		t.Errorf("want the same service, have\n%v\n%v", two, three)
	}
	if two["force_new_deployment"] != nil {
		t.Error("every change replaces all tasks")
	}
}

// A deployment takes as long as the configuration allows its tasks to take.
func TestTerraformWaitsAsLongAsADeploymentMayTake(t *testing.T) {
	const web = minimal + "services: {web: {image: 'quay.io/x/y:1', "
	const routed = web + "route: {paths: [/*], priority: 9"
	for name, c := range map[string]struct {
		config string
		want   int // minutes
	}{
		"the defaults":                 {minimal, 20 + 9},
		"no route":                     {web + "stop_timeout: 120, route: {paths: []}}}\n", 20 + 6},
		"a long drain":                 {routed + ", deregistration_delay: 3600}}}\n", 20 + 187},
		"a slow start":                 {routed + "}, health_check: {grace_period: 7200}}}\n", 20 + 366},
		"a health check in containers": {web + "health_check: {command: [/ok]}, route: {paths: []}}}\n", 20 + 9},
		"a slow check in containers": {
			web + "health_check: {command: [/ok], command_interval: 300, command_retries: 10}, route: {paths: []}}}\n",
			20 + 155,
		},
		"a task that is healthy late": {
			routed + "}, health_check: {healthy_threshold: 10, interval: 300}}}\n",
			20 + 156,
		},
		"a task that is unhealthy late": {
			routed + "}, health_check: {unhealthy_threshold: 10, interval: 300}}}\n",
			20 + 156,
		},
	} {
		t.Run(name, func(t *testing.T) {
			stack := parsed(t, synth(t, parse(t, "dev", c.config), placeholder(t)))
			for _, operation := range []string{"create", "update", "delete"} {
				have, want := stack.Resource(webService).String("timeouts."+operation), fmt.Sprintf("%dm", c.want)
				if have != want {
					t.Errorf("%s waits %s, want %s", operation, have, want)
				}
			}
		})
	}
}

var servicePromises = []stacktest.Promise{{
	Name:  "a failed deployment is rolled back, and fails in Terraform too",
	Check: failedDeploymentsAreRolledBack,
	BrokenBy: []stacktest.Break{{
		Name:  "a service has no circuit breaker",
		Stack: "prod",
		By:    stacktest.Set(webService, "deployment_circuit_breaker.enable", false),
		Found: webService,
	}, {
		Name:  "a service's circuit breaker does not roll back",
		Stack: "prod",
		By:    stacktest.Set(webService, "deployment_circuit_breaker.rollback", false),
		Found: webService,
	}, {
		Name:  "Terraform does not wait for a service's deployment",
		Stack: "prod",
		By:    stacktest.Set(webService, "wait_for_steady_state", false),
		Found: webService,
	}, {
		Name:  "Terraform takes a rollback for a success",
		Stack: "prod",
		By:    stacktest.Remove(webService, "lifecycle.postcondition"),
		Found: webService,
	}, {
		Name:  "a service's postcondition is about another task definition",
		Stack: "dev",
		By: stacktest.Replace(prometheusService, "lifecycle.postcondition.condition", "prometheus_task_definition",
			"service_web_task_definition"),
		Found: prometheusService,
	}, {
		Name:  "the previous task definition is deleted before the deployment succeeds",
		Stack: "prod",
		By:    stacktest.Remove(webTask, "lifecycle.create_before_destroy"),
		Found: webTask,
	}, {
		Name:  "the previous task definition is deregistered while ECS may roll back to it",
		Stack: "prod",
		By:    stacktest.Remove(webTask, "skip_destroy"),
		Found: webTask,
	}, {
		Name:  "a service's deployment alarms do not roll back",
		Stack: "prod",
		By:    stacktest.Set(webService, "alarms.rollback", false),
		Found: webService,
	}, {
		Name:  "a public service has no deployment alarms",
		Stack: "prod",
		By:    stacktest.Remove(webService, "alarms"),
		Found: webService,
	}, {
		Name:  "a service has fewer tasks than desired during a deployment",
		Stack: "prod",
		By:    stacktest.Set(webService, "deployment_minimum_healthy_percent", 50.0),
		Found: webService,
	}},
}, {
	Name:  "a service runs in several zones, and starts new tasks before it stops old ones",
	Check: servicesAreHighlyAvailable,
	BrokenBy: []stacktest.Break{{
		Name:  "a service has a subnet in one zone only",
		Stack: "prod",
		By:    stacktest.Set(webService, "network_configuration.subnets", []any{idOf(privateSubnetA)}),
		Found: webService,
	}, {
		Name:  "a service does not rebalance its tasks between zones",
		Stack: "prod",
		By:    stacktest.Remove(webService, "availability_zone_rebalancing"),
		Found: webService,
	}, {
		Name:  "a service's maximum percentage does not allow rebalancing",
		Stack: "prod",
		By:    stacktest.Set(webService, "deployment_maximum_percent", 100.0),
		Found: webService,
	}, {
		Name:  "a service that runs one task at a time has two",
		Stack: "a service that needs more",
		By:    stacktest.Set(otherService, "desired_count", 2.0),
		Found: otherService,
	}, {
		Name:  "a service that runs one task at a time rebalances, which starts a second one",
		Stack: "a service that needs more",
		By:    stacktest.Set(otherService, "availability_zone_rebalancing", "ENABLED"),
		Found: otherService,
	}, {
		Name:  "a service uses a capacity provider that the cluster does not have",
		Stack: "dev",
		By: stacktest.Set(capacityProviders, "capacity_providers",
			[]any{"FARGATE"}),
		Found: webService,
	}, {
		Name:  "a service has no capacity provider of its own, so that the cluster's default replaces it",
		Stack: "prod",
		By:    stacktest.Remove(webService, "capacity_provider_strategy"),
		Found: webService,
	}, {
		Name:  "a service does not pass its tags on to its tasks, from which Prometheus reads them",
		Stack: "metrics",
		By:    stacktest.Remove(adminService, "propagate_tags"),
		Found: adminService,
	}, {
		Name:  "ECS does not add its own tags to the tasks of a service",
		Stack: "metrics",
		By:    stacktest.Set(adminService, "enable_ecs_managed_tags", false),
		Found: adminService,
	}},
}, {
	Name:  "the load balancer and Prometheus connect to ports on which a container listens",
	Check: portsHaveListeners,
	BrokenBy: []stacktest.Break{{
		Name:  "the load balancer sends to a container that the task does not have",
		Stack: "prod",
		By:    stacktest.Set(webService, "load_balancer.container_name", "app"),
		Found: webService,
	}, {
		Name:  "the load balancer sends to a port on which the container does not listen",
		Stack: "prod",
		By:    stacktest.Set(webService, "load_balancer.container_port", 8081.0),
		Found: webService,
	}, {
		Name:  "a target group has another port than its service",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "port", 80.0),
		Found: webService,
	}, {
		Name:  "Prometheus scrapes a port on which no container listens",
		Stack: "metrics",
		By:    stacktest.Set(adminService, "tags.MetricsPort", "9999"),
		Found: adminService,
	}, {
		Name:  "Prometheus is not told the path of a service's metrics",
		Stack: "metrics",
		By:    stacktest.Remove(adminService, "tags.MetricsPath"),
		Found: adminService,
	}, {
		Name:  "a change of the path of metrics starts no new tasks",
		Stack: "metrics",
		By: stacktest.Remove(
			"aws_ecs_task_definition.service_admin_task_definition",
			"container_definitions[name=admin].dockerLabels.MetricsPath",
		),
		Found: adminService,
	}},
}}

// execActions are what a task role needs for ECS Exec with an encrypted session that is logged.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
var execActions = []string{
	"kms:Decrypt", "logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents",
	"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel",
	"ssmmessages:OpenDataChannel",
}

// execWorks: the agent writes to three folders, which a read-only root file system does not have,
// and calls AWS with the task role.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
func execWorks(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		enabled := t.service.Is("enable_execute_command", true)
		cluster := s.Resource(t.service.Reference("cluster"))
		sessionKey := cluster.Reference("configuration.execute_command_configuration.kms_key_id")
		v.Want(!enabled || roleAllows(s, t.definition.Reference("task_role_arn"), "kms:Decrypt", sessionKey),
			t.service.Address, "enables ECS Exec, but its task role does not allow decrypting with %s", sessionKey)
		var actions []string
		for _, statement := range rolePermissions(s, t.definition.Reference("task_role_arn")) {
			actions = append(actions, statement.Strings("Action")...)
		}
		for _, action := range execActions {
			allowed := slices.Contains(actions, action)
			v.Want(allowed || !enabled,
				t.service.Address, "enables ECS Exec, but its task role does not allow %s", action)
			v.Want(!allowed || enabled || !strings.HasPrefix(action, "ssmmessages:"),
				t.service.Address, "does not enable ECS Exec, but its task role allows %s", action)
		}
		for _, c := range t.containers() {
			if !c.Is("essential", true) {
				continue
			}
			enabled := enabled && c.Is("name", t.mainContainer()) // sessions are opened in the main container
			v.Want(!enabled || c.Is("linuxParameters.initProcessEnabled", true),
				c.Address, "has no init process to reap the processes that ECS Exec leaves")
			for _, folder := range agentFolders {
				mounted := c.Is("mountPoints[containerPath="+folder+"].readOnly", false)
				v.Want(mounted == enabled, t.service.Address,
					"enables ECS Exec: %v, %s can write to %s: %v", enabled, c.Address, folder, mounted)
			}
		}
	}
	for _, cluster := range s.Resources("aws_ecs_cluster") {
		v.Want(cluster.Is("configuration.execute_command_configuration.logging", "OVERRIDE"),
			cluster.Address, "does not log the sessions of ECS Exec")
	}
}

func onlyPrometheusHasExec(s stacktest.Stack, v *stacktest.Violations) {
	for _, service := range s.Resources("aws_ecs_service") {
		v.Want(service.Is("enable_execute_command", service.Is("name", "prometheus_server")),
			service.Address, "enables ECS Exec: %v", service.At("enable_execute_command"))
	}
}

func failedDeploymentsAreRolledBack(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		service := t.service
		v.Want(service.Is("deployment_circuit_breaker.enable", true) &&
			service.Is("deployment_circuit_breaker.rollback", true),
			service.Address, "does not roll back a failed deployment")
		v.Want(service.Is("wait_for_steady_state", true), service.Address, "does not wait for its deployment")
		postconditions := service.Blocks("lifecycle.postcondition")
		same := "${self.task_definition == " + t.definition.Address + ".arn}"
		v.Want(len(postconditions) == 1 && postconditions[0].String("condition") == same,
			service.Address, "has no postcondition that fails after a rollback")
		v.Want(t.definition.Is("lifecycle.create_before_destroy", true),
			t.definition.Address, "is deleted when ECS rolls back to it")
		v.Want(t.definition.Is("skip_destroy", true),
			t.definition.Address, "is deregistered after its successor is deployed, so that ECS cannot roll back to it")
		v.Want(!service.Has("load_balancer") ||
			service.Is("alarms.enable", true) && service.Is("alarms.rollback", true),
			service.Address, "is public, and no alarm rolls its deployments back")
		v.Want(service.Number("deployment_minimum_healthy_percent") >= 100 || stopsBeforeItStarts(service),
			service.Address, "has fewer tasks than desired during a deployment")
	}
}

func servicesAreHighlyAvailable(s stacktest.Stack, v *stacktest.Violations) {
	var providers []string
	for _, r := range s.Resources("aws_ecs_cluster_capacity_providers") {
		providers = append(providers, r.Strings("capacity_providers")...)
	}
	for _, service := range s.Resources("aws_ecs_service") {
		v.Want(len(availabilityZones(s, service.References("network_configuration.subnets"))) >= 2,
			service.Address, "has subnets in one zone only")
		v.Want(service.Is("availability_zone_rebalancing", "ENABLED") || stopsBeforeItStarts(service),
			service.Address, "does not rebalance its tasks when a zone recovers")
		v.Want(service.Number("deployment_maximum_percent") > 100 || stopsBeforeItStarts(service),
			service.Address, "want a maximum of more than 100 percent, which rebalancing requires")
		strategy := service.Blocks("capacity_provider_strategy")
		v.Want(len(strategy) > 0 && !service.Has("launch_type"), service.Address, "has no capacity provider")
		for _, item := range strategy {
			v.Want(slices.Contains(providers, item.String("capacity_provider")),
				service.Address, "uses %s, which the cluster does not have", item.String("capacity_provider"))
		}
		v.Want(service.Is("propagate_tags", "SERVICE") && service.Is("enable_ecs_managed_tags", true),
			service.Address, "does not pass its tags on to its tasks")
	}
}

// stopsBeforeItStarts tells whether a service never has two tasks at a time: a deployment stops the
// old one first, nothing rebalances, and nothing scales.
func stopsBeforeItStarts(service stacktest.Resource) bool {
	return service.Is("deployment_minimum_healthy_percent", 0.0) &&
		service.Is("deployment_maximum_percent", 100.0) &&
		service.Is("availability_zone_rebalancing", "DISABLED") &&
		service.Number("desired_count") <= 1 && !service.Has("lifecycle.ignore_changes")
}

func portsHaveListeners(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, target := range t.service.Blocks("load_balancer") {
			container, port := target.String("container_name"), target.Number("container_port")
			v.Want(t.listens(container, port),
				t.service.Address, "sends to container %s on port %v, where nothing listens", container, port)
			v.Want(s.Resource(target.Reference("target_group_arn")).Number("port") == port,
				t.service.Address, "has another port than its target group")
		}
		if port, scraped := t.metricsPort(); scraped {
			v.Want(t.listens("", float64(port)),
				t.service.Address, "has metrics on port %d, where nothing listens", port)
			v.Want(strings.HasPrefix(t.service.String("tags.MetricsPath"), "/"),
				t.service.Address, "has no path for its metrics")
		}
		v.Want(slices.ContainsFunc(t.containers(), t.labelledLikeTags), t.service.Address,
			"has tags that its task definition does not repeat: a change of them reaches no running task")
	}
}

// labelledLikeTags tells whether a container has what the service's tags say about metrics.
func (t serviceTask) labelledLikeTags(c stacktest.Resource) bool {
	for _, name := range []string{"MetricsPort", "MetricsPath"} {
		if c.String("dockerLabels."+name) != t.service.String("tags."+name) {
			return false
		}
	}
	return true
}

// listens tells whether a container, or any if it has no name here, listens on a port.
func (t serviceTask) listens(container string, port float64) bool {
	return slices.ContainsFunc(t.containers(), func(c stacktest.Resource) bool {
		return (container == "" || c.Is("name", container)) &&
			slices.ContainsFunc(c.Blocks("portMappings"), func(p stacktest.Resource) bool {
				return p.Number("containerPort") == port
			})
	})
}

// What a setting of a service changes, and that it is absent without the setting.
func TestSettingsOfAServiceReachTheirResource(t *testing.T) {
	const sticky = "route: {paths: ['/*'], sticky: 60}"
	const tmpfs, check = webContainer + ".linuxParameters.tmpfs", webContainer + ".healthCheck"
	for name, c := range map[string]struct {
		web, address, path string
		want, without      any
	}{
		"entrypoint": {
			"entrypoint: [/bin/e], command: [x]", webTask, webContainer + ".entryPoint", []any{"/bin/e"}, nil,
		},
		"the user of the image": {"user: image", webTask, webContainer + ".user", nil, "65532"},
		"root":                  {"user: '0'", webTask, webContainer + ".user", "0", "65532"},
		"a writable root":       {"writable: [/]", webTask, webContainer + ".readonlyRootFilesystem", false, true},
		"a folder in memory": {
			"writable: [{path: /run, size: 32}]", webTask, tmpfs + "[containerPath=/run].size", 32.0, nil,
		},
		"a folder on disk": {
			"writable: [{path: /d, on: disk}]", webTask, webContainer + ".mountPoints[containerPath=/d].sourceVolume",
			"writable-1", nil,
		},
		"files of /tmp that run": {
			"allow_execution: true", webTask, tmpfs + "[containerPath=/tmp].mountOptions",
			[]any{"mode=1777", "nosuid", "nodev", "exec"}, []any{"mode=1777", "nosuid", "nodev", "noexec"},
		},
		"a disk":     {"disk: 50", webTask, "ephemeral_storage.size_in_gib", 50.0, nil},
		"open files": {"open_files: 2048", webTask, webContainer + ".ulimits[name=nofile].hardLimit", 2048.0, nil},
		"a low port": {
			"port: 80", webTask, webContainer + ".systemControls",
			[]any{map[string]any{"namespace": "net.ipv4.ip_unprivileged_port_start", "value": "80"}}, []any{},
		},
		"an interval in the container": {
			"health_check: {command: [/c], command_interval: 7}", webTask, check + ".interval", 7.0, nil,
		},
		"a timeout in the container": {
			"health_check: {command: [/c], command_timeout: 7}", webTask, check + ".timeout", 7.0, nil,
		},
		"retries in the container": {
			"health_check: {command: [/c], command_retries: 7}", webTask, check + ".retries", 7.0, nil,
		},
		"checks until healthy": {
			"health_check: {healthy_threshold: 7}", webTargetGroup, "health_check.healthy_threshold", 7.0, 2.0,
		},
		"checks until unhealthy": {
			"health_check: {unhealthy_threshold: 7}", webTargetGroup, "health_check.unhealthy_threshold", 7.0, 3.0,
		},
		"a cookie":              {sticky, webTargetGroup, "stickiness.cookie_duration", 60.0, nil},
		"no cookie otherwise":   {sticky, webTargetGroup, "stickiness.enabled", true, false},
		"one task at a time":    {"single: true", webService, "deployment_maximum_percent", 100.0, 200.0},
		"stopped before":        {"single: true", webService, "deployment_minimum_healthy_percent", 0.0, 100.0},
		"a slow service":        {"alarms: {latency: 20}", latencyAlarm, "threshold", 20.0, 3.0},
		"a slow deployment":     {"alarms: {latency: 0.5}", deploymentLatencyAlarm, "threshold", 0.5, 3.0},
		"no alarm on latency":   {"alarms: {latency: 0}", latencyAlarm, "threshold", nil, 3.0},
		"no rollback by it":     {"alarms: {latency: 0}", deploymentLatencyAlarm, "threshold", nil, 3.0},
		"errors of a rollback":  {"alarms: {errors: 100}", rollbackAlarm, "threshold", 100.0, 10.0},
		"no second for balance": {"single: true", webService, "availability_zone_rebalancing", "DISABLED", "ENABLED"},
	} {
		t.Run(name, func(t *testing.T) {
			for settings, want := range map[string]any{c.web: c.want, "": c.without} {
				if !strings.Contains(settings, "route:") {
					settings = "route: {paths: ['/*']}, " + settings
				}
				config := minimal + "services: {web: {image: 'quay.io/x/y:1', " + settings + "}}\n"
				have := parsed(t, synth(t, parse(t, "test", config), placeholder(t))).Resource(c.address).At(c.path)
				if !reflect.DeepEqual(have, want) {
					t.Errorf("with {%s}, %s of %s is %v, want %v", settings, c.path, c.address, have, want)
				}
			}
		})
	}
}
