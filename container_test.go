package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	webContainer           = "container_definitions[name=web]"
	configurationContainer = "container_definitions[name=configuration]"
	prometheusContainer    = "container_definitions[name=prometheus]"
	alertmanagerContainer  = "container_definitions[name=alertmanager]"
	dependsOnConfiguration = prometheusContainer + ".dependsOn[containerName=configuration]"
)

// Every list that AWS fills in by itself is there and empty, and nothing else is: the next plan
// finds no difference.
func TestContainersJSONWritesEmptyListsOut(t *testing.T) {
	got := marshal([]*container{newContainer("web", "quay.io/x/y:1", containerLog{"/shop/web", "eu-central-1"})})
	want := `[{"name":"web","image":"quay.io/x/y:1","essential":true,"readonlyRootFilesystem":true,` +
		`"environment":[],"portMappings":[],` +
		`"mountPoints":[],"volumesFrom":[],"systemControls":[],"linuxParameters":{"initProcessEnabled":true},` +
		`"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/shop/web",` +
		`"awslogs-region":"eu-central-1","awslogs-stream-prefix":"web","max-buffer-size":"25m",` +
		`"mode":"non-blocking"}}}]`
	if got != want {
		t.Errorf("is\n%s\nwant\n%s", got, want)
	}
}

func TestContainersVariablesAreSortedAndTheLastWins(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	c.setEnvironment(map[string]string{"B": "1", "C": "<a&b>", "A": ""})
	c.setEnvironment(map[string]string{"B": "2", "AA": "x"})
	c.setSecrets(map[string]string{"Z": "arn:z", "Y": "arn:y"})
	c.setSecrets(map[string]string{"Y": "arn:other", "X": "arn:x"})
	if want := []variable{{"A", ""}, {"AA", "x"}, {"B", "2"}, {"C", "<a&b>"}}; !slices.Equal(c.Environment, want) {
		t.Errorf("environment is %v, want %v", c.Environment, want)
	}
	if want := []secret{{"X", "arn:x"}, {"Y", "arn:other"}, {"Z", "arn:z"}}; !slices.Equal(c.Secrets, want) {
		t.Errorf("secrets are %v, want %v", c.Secrets, want)
	}
	if text := marshal(c); !strings.Contains(text, `{"name":"C","value":"<a&b>"}`) {
		t.Errorf("escapes what JSON need not: %s", text)
	}
	c.setSecrets(nil)
	if len(c.Secrets) != 3 {
		t.Errorf("no further secrets leave %v", c.Secrets)
	}
}

// The configuration is checked before there is a task definition, so the check assumes its size.
func TestTaskDefinitionsHaveTheSizeThatTheCheckAssumes(t *testing.T) {
	for name, c := range everyConfig(1) {
		cfg := parse(t, c.environment, c.config)
		definitions := synth(t, cfg, placeholder(t))["resource"].(tree)["aws_ecs_task_definition"].(tree)
		for service, svc := range cfg.Services {
			definition := definitions["service_"+service+"_task_definition"].(tree)
			size := len(definition["container_definitions"].(string))
			// References are shorter or longer than what Terraform puts in their place.
			if assumed := svc.DefinitionSize(); assumed < size+500 || assumed > size+3500 {
				t.Errorf("%s: the definition of %s has %d bytes, the check assumes %d", name, service, size, assumed)
			}
		}
	}
}

func TestContainerListensOnceOnAPort(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	for _, port := range []int{8080, 9090, 8080} {
		c.listen(port)
	}
	if want := []portMapping{{8080, 8080, "tcp"}, {9090, 9090, "tcp"}}; !slices.Equal(c.PortMappings, want) {
		t.Errorf("listens on %v, want %v", c.PortMappings, want)
	}
}

// The agent behind a shell session is root, writes to three folders, and needs its capabilities.
func TestExecMakesRoomForItsAgent(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	c.dropCapabilities()
	volumes := c.allowExec()
	var paths []string
	for i, mount := range c.MountPoints {
		paths = append(paths, mount.ContainerPath)
		if mount.ReadOnly || volumes[i] != mount.SourceVolume {
			t.Errorf("mounts %+v from %s", mount, volumes[i])
		}
	}
	want := []string{"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}
	if !slices.Equal(paths, want) || len(volumes) != len(want) {
		t.Errorf("mounts %v from %v, want %v", paths, volumes, want)
	}
	if c.LinuxParameters.Capabilities != nil {
		t.Errorf("has capabilities %v only", c.LinuxParameters.Capabilities)
	}
}

var containerPromises = []stacktest.Promise{{
	Name:  "ECS accepts every container definition, and the containers of a task agree with each other",
	Check: containersAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "two containers of a task have the same name",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, configurationContainer+".name", "prometheus"),
		Found: prometheusTask,
	}, {
		Name:  "a container has a name that ECS rejects",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".name", "web.1"),
		Found: webTask,
	}, {
		Name:  "a task has no essential container",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".essential", false),
		Found: webTask,
	}, {
		Name:  "a container waits for a container that the task does not have",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, dependsOnConfiguration+".containerName", "config"),
		Found: prometheusTask,
	}, {
		Name:  "a container waits for itself",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, dependsOnConfiguration+".containerName", "prometheus"),
		Found: prometheusTask,
	}, {
		Name:  "two containers wait for each other",
		Stack: "dev",
		By: stacktest.Add(prometheusTask, configurationContainer+".dependsOn",
			[]any{map[string]any{"containerName": "prometheus", "condition": "START"}}),
		Found: prometheusTask,
	}, {
		Name:  "a container waits for a condition that ECS does not know",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, dependsOnConfiguration+".condition", "SUCCEEDED"),
		Found: prometheusTask,
	}, {
		Name:  "a container waits for an essential container to exit",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, configurationContainer+".essential", true),
		Found: prometheusTask,
	}, {
		Name:  "a container waits for a container without a health check to be healthy",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, dependsOnConfiguration+".condition", "HEALTHY"),
		Found: prometheusTask,
	}, {
		Name:  "a health check has an interval shorter than 5 seconds",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.interval", 3.0),
		Found: prometheusTask,
	}, {
		Name:  "a health check has a timeout longer than 60 seconds",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.timeout", 61.0),
		Found: prometheusTask,
	}, {
		Name:  "a health check's command begins with neither CMD nor CMD-SHELL",
		Stack: "dev",
		By: stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.command",
			[]any{"RUN", "/bin/promtool", "check", "healthy"}),
		Found: prometheusTask,
	}, {
		Name:  "a health check's program is called CMD-SHELL",
		Stack: "dev",
		By: stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.command",
			[]any{"CMD", "CMD-SHELL", "/bin/promtool check healthy"}),
		Found: prometheusTask,
	}, {
		Name:  "a health check has more than 10 retries",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.retries", 11.0),
		Found: prometheusTask,
	}, {
		Name:  "a health check has a start period longer than 300 seconds",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.startPeriod", 301.0),
		Found: prometheusTask,
	}, {
		Name:  "a container is restarted if it has run for less than ECS requires",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".restartPolicy.restartAttemptPeriod", 30.0),
		Found: prometheusTask,
	}, {
		Name:  "a container that ends by itself is restarted",
		Stack: "dev",
		By: stacktest.Add(prometheusTask, configurationContainer+".restartPolicy",
			map[string]any{"enabled": true, "restartAttemptPeriod": 60.0}),
		Found: prometheusTask,
	}, {
		Name:  "two containers of a task have the same port",
		Stack: "dev",
		By: stacktest.Set(prometheusTask, configurationContainer+".portMappings",
			[]any{map[string]any{"containerPort": 9090.0, "hostPort": 9090.0, "protocol": "tcp"}}),
		Found: prometheusTask,
	}, {
		Name:  "a container has a log driver that Fargate does not have",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".logConfiguration.logDriver", "journald"),
		Found: webTask,
	}, {
		Name:  "a container's log goes to another region",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".logConfiguration.options.awslogs-region", "us-east-1"),
		Found: webTask,
	}, {
		Name:  "a container's log has no stream prefix, which Fargate requires",
		Stack: "dev",
		By:    stacktest.Remove(webTask, webContainer+".logConfiguration.options.awslogs-stream-prefix"),
		Found: webTask,
	}, {
		Name:  "a container's log has a mode that ECS does not know",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".logConfiguration.options.mode", "nonblocking"),
		Found: webTask,
	}, {
		Name:  "a container's log has an invalid buffer size",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".logConfiguration.options.max-buffer-size", "25 MB"),
		Found: webTask,
	}},
}, {
	Name:    "containers do not run as root, and cannot write to their image",
	Check:   containersAreConfined,
	Shipped: true,
	BrokenBy: []stacktest.Break{{
		Name:  "a container runs as root",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".user", "0"),
		Found: webTask,
	}, {
		Name:  "a container runs as the user of its image",
		Stack: "prod",
		By:    stacktest.Remove(webTask, webContainer+".user"),
		Found: webTask,
	}, {
		Name:  "a container's user is a name",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".user", "nobody"),
		Found: webTask,
	}, {
		Name:  "a container may write to its image's file system",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".readonlyRootFilesystem", false),
		Found: webTask,
	}, {
		Name:  "a container keeps the kernel's default capabilities",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".linuxParameters", map[string]any{"initProcessEnabled": true}),
		Found: webTask,
	}, {
		Name:  "a container's tmpfs belongs to root",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".linuxParameters.tmpfs[containerPath=/tmp].mountOptions",
			[]any{"nosuid"}),
		Found: webTask,
	}, {
		Name:  "a container mounts a volume of root's, since its image declares none at the path",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".mountPoints",
			[]any{
				map[string]any{"sourceVolume": "data", "containerPath": "/data", "readOnly": false},
			}),
		Found: webTask,
	}, {
		Name:  "a container listens on a port below 1024",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".portMappings",
			[]any{map[string]any{"containerPort": 80.0, "hostPort": 80.0, "protocol": "tcp"}}),
		Found: webTask,
	}, {
		Name:  "a container is privileged",
		Stack: "dev",
		By:    stacktest.Add(webTask, webContainer+".privileged", true),
		Found: webTask,
	}, {
		Name:  "a container adds a kernel capability",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".linuxParameters.capabilities.add", []any{"SYS_PTRACE"}),
		Found: webTask,
	}},
}, {
	Name:  "a service's container may do what its settings need, and no other container may do more than usual",
	Check: exceptionsAreServicesOwn,
	BrokenBy: []stacktest.Break{{
		Name:  "Prometheus runs as root",
		Stack: "a service that needs more",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".user", "0"),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus runs as the user of its image",
		Stack: "a service that needs more",
		By:    stacktest.Remove(prometheusTask, prometheusContainer+".user"),
		Found: prometheusTask,
	}, {
		Name:  "Prometheus may write to its image's file system",
		Stack: "a service that needs more",
		By:    stacktest.Set(prometheusTask, prometheusContainer+".readonlyRootFilesystem", false),
		Found: prometheusTask,
	}, {
		Name:  "a user other than root keeps the kernel's capabilities",
		Stack: "a service that needs more",
		By:    stacktest.Set(searchTask, searchContainer+".linuxParameters.capabilities.drop", []any{"MKNOD"}),
		Found: searchTask,
	}, {
		Name:  "root keeps the capability of raw sockets",
		Stack: "a service that needs more",
		By: stacktest.Set(otherTask, otherContainer+".linuxParameters.capabilities.drop",
			[]any{"AUDIT_WRITE", "MKNOD", "SETFCAP", "SETPCAP", "SYS_CHROOT"}),
		Found: otherTask,
	}, {
		Name:  "a container adds a capability, which Fargate rejects",
		Stack: "a service that needs more",
		By: stacktest.Set(otherTask, otherContainer+".linuxParameters.capabilities.add",
			[]any{"NET_BIND_SERVICE"}),
		Found: otherTask,
	}, {
		Name:  "a container is privileged, which Fargate rejects",
		Stack: "a service that needs more",
		By:    stacktest.Add(otherTask, otherContainer+".privileged", true),
		Found: otherTask,
	}, {
		Name:  "a container may not listen on its port below 1024",
		Stack: "a service that needs more",
		By:    stacktest.Set(otherTask, otherContainer+".systemControls", []any{}),
		Found: otherTask,
	}, {
		Name:  "a container's first unprivileged port is above its port",
		Stack: "a service that needs more",
		By: stacktest.Set(otherTask,
			otherContainer+".systemControls[namespace=net.ipv4.ip_unprivileged_port_start].value", "81"),
		Found: otherTask,
	}, {
		Name:  "a container sets a kernel parameter that is not of its network",
		Stack: "a service that needs more",
		By: stacktest.Set(otherTask, otherContainer+".systemControls",
			[]any{map[string]any{"namespace": "kernel.shmmax", "value": "80"}}),
		Found: otherTask,
	}, {
		Name:  "a container sets a limit that Fargate does not let it set",
		Stack: "a service that needs more",
		By:    stacktest.Set(searchTask, searchContainer+".ulimits[name=nofile].name", "nproc"),
		Found: searchTask,
	}, {
		Name:  "a container's soft limit of open files is above the hard limit",
		Stack: "a service that needs more",
		By:    stacktest.Set(searchTask, searchContainer+".ulimits[name=nofile].softLimit", 100000.0),
		Found: searchTask,
	}, {
		Name:  "a folder in memory belongs to root",
		Stack: "a service that needs more",
		By: stacktest.Set(searchTask, searchContainer+".linuxParameters.tmpfs[containerPath=/run].mountOptions",
			[]any{"nosuid"}),
		Found: searchTask,
	}, {
		Name:  "a container starts before its folders on disk are writable",
		Stack: "a service that needs more",
		By:    stacktest.Remove(searchTask, searchContainer+".dependsOn"),
		Found: searchTask,
	}, {
		Name:  "a folder on disk is not made writable",
		Stack: "a service that needs more",
		By: stacktest.Set(searchTask, "container_definitions[name=writable_folders].command",
			[]any{"chmod 1777 /writable-1"}),
		Found: searchTask,
	}, {
		Name:  "the container that makes folders writable does not mount one",
		Stack: "a service that needs more",
		By:    stacktest.Set(searchTask, "container_definitions[name=writable_folders].mountPoints", []any{}),
		Found: searchTask,
	}},
}, {
	Name:  "container definitions contain what AWS would add, in the order in which AWS returns it",
	Check: containersDoNotDrift,
	BrokenBy: []stacktest.Break{{
		Name:  "a container definition does not contain an empty list",
		Stack: "prod",
		By:    stacktest.Remove(webTask, webContainer+".volumesFrom"),
		Found: webTask,
	}, {
		Name:  "a container definition contains null in place of an empty list",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".mountPoints", nil),
		Found: webTask,
	}, {
		Name:  "a container's environment is not sorted",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".environment",
			[]any{map[string]any{"name": "B", "value": ""}, map[string]any{"name": "A", "value": ""}}),
		Found: webTask,
	}, {
		Name:  "a container's environment has a variable twice",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".environment",
			[]any{map[string]any{"name": "A", "value": ""}, map[string]any{"name": "A", "value": ""}}),
		Found: webTask,
	}, {
		Name:  "a container definition drops capabilities without an empty list of added ones",
		Stack: "prod",
		By:    stacktest.Remove(webTask, webContainer+".linuxParameters.capabilities.add"),
		Found: webTask,
	}, {
		Name:  "a container's port mapping has no host port",
		Stack: "prod",
		By: stacktest.Set(webTask, webContainer+".portMappings",
			[]any{map[string]any{"containerPort": 8080.0, "protocol": "tcp"}}),
		Found: webTask,
	}},
}}

var (
	containerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	bufferSize    = regexp.MustCompile(`^[1-9][0-9]*[kmg]$`)
)

// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html and the
// pages that it links to
func containersAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		named, ports, essential := map[string]stacktest.Resource{}, map[float64]bool{}, false
		for _, c := range t.containers() {
			name := c.String("name")
			v.Want(containerName.MatchString(name) && !named[name].Exists(), t.definition.Address,
				"has a container called %q: ECS rejects the name, or another container has it", name)
			named[name] = c
			essential = essential || c.Is("essential", true)
			for _, p := range c.Blocks("portMappings") {
				v.Want(!ports[p.Number("containerPort")],
					c.Address, "has port %v, as another container of the task does", p.At("containerPort"))
				ports[p.Number("containerPort")] = true
			}
			healthCheckIsAccepted(v, c)
			restartIsAccepted(v, c)
			logIsAccepted(v, c, s.Region())
		}
		v.Want(essential, t.definition.Address, "has no essential container")
		waits := stacktest.Order{}
		for _, c := range t.containers() {
			for _, dependency := range c.Blocks("dependsOn") {
				other := dependency.String("containerName")
				waits[c.String("name")] = append(waits[c.String("name")], other)
				v.Want(named[other].Exists(), c.Address, "waits for %s, which its task does not have", other)
				conditionIsAccepted(v, c, named[other], dependency.String("condition"))
			}
		}
		for _, c := range t.containers() {
			v.Want(!waits.Before(c.String("name"))[c.String("name")], c.Address, "waits for itself")
		}
	}
}

func healthCheckIsAccepted(v *stacktest.Violations, c stacktest.Resource) {
	if !c.Has("healthCheck") {
		return
	}
	command := c.Strings("healthCheck.command")
	forms := []string{"CMD", "CMD-SHELL"}
	v.Want(len(command) > 1 && slices.Contains(forms, command[0]) && !slices.Contains(forms, command[1]),
		c.Address, "want a health check by CMD or CMD-SHELL, have %v", command)
	within := func(path string, least, most float64) bool {
		return !c.Has(path) || c.Number(path) >= least && c.Number(path) <= most
	}
	v.Want(within("healthCheck.interval", 5, 300) &&
		within("healthCheck.timeout", 2, 60) &&
		within("healthCheck.retries", 1, 10) &&
		within("healthCheck.startPeriod", 0, 300),
		c.Address, "has a health check outside of ECS's limits: %v", c.At("healthCheck"))
}

// restartIsAccepted: a container is restarted whenever it exits, also without an error.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerRestartPolicy.html
func restartIsAccepted(v *stacktest.Violations, c stacktest.Resource) {
	if !c.Has("restartPolicy") {
		return
	}
	seconds := c.Number("restartPolicy.restartAttemptPeriod")
	v.Want(c.Is("restartPolicy.enabled", true) && seconds >= 60 && seconds <= 1800,
		c.Address, "want restarts after 60 to 1800 seconds, have %v", c.At("restartPolicy"))
	v.Want(c.Is("essential", true), c.Address, "is restarted when it ends, although others wait for its end")
}

func logIsAccepted(v *stacktest.Violations, c stacktest.Resource, region string) {
	const options = "logConfiguration.options"
	v.Want(c.Is("logConfiguration.logDriver", "awslogs") &&
		c.Is(options+".awslogs-region", region) &&
		c.String(options+".awslogs-stream-prefix") != "",
		c.Address, "want driver awslogs, region %s and a stream prefix, have %v", region, c.At("logConfiguration"))
	v.Want(c.Is(options+".mode", "blocking") ||
		c.Is(options+".mode", "non-blocking") && bufferSize.MatchString(c.String(options+".max-buffer-size")),
		c.Address, "want mode blocking, or non-blocking with a buffer size, have %v", c.At(options))
}

func conditionIsAccepted(v *stacktest.Violations, c, other stacktest.Resource, condition string) {
	switch condition {
	case "START":
	case "COMPLETE", "SUCCESS":
		v.Want(!other.Is("essential", true),
			c.Address, "waits for %s to exit, which is essential, so that the task stops then", other.Address)
	case "HEALTHY":
		v.Want(other.Has("healthCheck"),
			c.Address, "waits for %s to be healthy, which has no health check", other.Address)
	default:
		v.Want(false, c.Address, "waits for the unknown condition %q", condition)
	}
}

// imageVolumes are the paths at which an image declares a volume. Only there a bind mount belongs
// to the image's user instead of root.
var imageVolumes = map[string]string{"alertmanager": "/alertmanager", "prometheus": "/prometheus"}

const (
	searchTask      = "aws_ecs_task_definition.service_search_task_definition"
	searchContainer = "container_definitions[name=search]"
	otherTask       = "aws_ecs_task_definition.service_other_task_definition"
	otherContainer  = "container_definitions[name=other]"
)

// exceptionsAreServicesOwn: the settings of a service can make its own container less confined. The
// others of its task, and those of the platform, stay as they are.
func exceptionsAreServicesOwn(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			configured := strings.HasPrefix(t.service.Address, "aws_ecs_service.service_") && c.Is("name", t.name())
			preparation := c.Is("essential", false)
			user := c.String("user")
			root := user == "0"
			v.Want(configured || c.Has("user") && (!root || preparation),
				c.Address, "want a numeric user other than 0, have %q", user)
			v.Want(configured || c.Is("readonlyRootFilesystem", true),
				c.Address, "may write to its image's file system")
			v.Want(!c.Is("privileged", true), c.Address, "is privileged, which Fargate rejects")
			v.Want(len(c.Strings("linuxParameters.capabilities.add")) == 0,
				c.Address, "adds kernel capabilities, and Fargate accepts none of the useful ones")
			dropped := []string{"ALL"}
			if configured && root {
				dropped = []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT"}
			}
			have := c.Strings("linuxParameters.capabilities.drop")
			v.Want(slices.Equal(have, dropped) || t.service.Is("enable_execute_command", true),
				c.Address, "drops capabilities %v, want %v", have, dropped)
			portsAreAllowed(v, c)
			foldersAreWritable(v, t, c)
		}
	}
}

// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html and, for ulimits,
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
func portsAreAllowed(v *stacktest.Violations, c stacktest.Resource) {
	first := 1024.0
	for _, control := range c.Blocks("systemControls") {
		value, err := strconv.ParseFloat(control.String("value"), 64)
		v.Want(err == nil && control.Is("namespace", "net.ipv4.ip_unprivileged_port_start"),
			c.Address, "sets %v", control.At("namespace"))
		first = value
	}
	for _, port := range c.Blocks("portMappings") {
		v.Want(port.Number("containerPort") >= first,
			c.Address, "cannot listen on port %v: the first that needs no capability is %v",
			port.At("containerPort"), first)
	}
	for _, limit := range c.Blocks("ulimits") {
		soft, hard := limit.Number("softLimit"), limit.Number("hardLimit")
		v.Want(limit.Is("name", "nofile") && soft <= hard && hard <= 1<<20,
			c.Address, "has the limit %v %v to %v, which Fargate rejects", limit.At("name"), soft, hard)
	}
}

func foldersAreWritable(v *stacktest.Violations, t serviceTask, c stacktest.Resource) {
	for _, tmpfs := range c.Blocks("linuxParameters.tmpfs") {
		v.Want(slices.Contains(tmpfs.Strings("mountOptions"), "mode=1777"),
			c.Address, "cannot write to its tmpfs %s, which belongs to root", tmpfs.String("containerPath"))
	}
	for _, m := range c.Blocks("mountPoints") {
		path, volume := m.String("containerPath"), m.String("sourceVolume")
		known := m.Is("readOnly", true) ||
			path == imageVolumes[c.String("name")] ||
			slices.Contains(agentFolders, path) ||
			c.Is("essential", false) // its own preparation, which is root
		v.Want(known || t.opens(c, volume), c.Address, "cannot write to its volume %s, which belongs to root", path)
	}
}

// opens tells whether a container waits for another one that makes a volume writable for any user.
func (t serviceTask) opens(c stacktest.Resource, volume string) bool {
	return slices.ContainsFunc(t.containers(), func(other stacktest.Resource) bool {
		folder := other.String("mountPoints[sourceVolume=" + volume + "].containerPath")
		command := strings.Fields(strings.Join(other.Strings("command"), " "))
		return c.Is("dependsOn[containerName="+other.String("name")+"].condition", "SUCCESS") && folder != "" &&
			len(command) > 2 && command[0] == "chmod" && command[1] == "1777" && slices.Contains(command[2:], folder)
	})
}

// agentFolders are the folders that ECS Exec's agent writes to, as root.
var agentFolders = []string{"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}

func containersAreConfined(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			user, err := strconv.Atoi(c.String("user"))
			// These run as root, and only until they have filled a volume that belongs to root.
			fillsVolume := slices.Contains([]string{"configuration", "rds_certificates"}, c.String("name")) &&
				c.Is("essential", false)
			v.Want(err == nil && (user > 0 || fillsVolume),
				c.Address, "want a numeric user other than 0, have %q", c.String("user"))
			v.Want(c.Is("readonlyRootFilesystem", true), c.Address, "may write to its image's file system")
			v.Want(!c.Is("privileged", true), c.Address, "is privileged")
			dropsAll := slices.Equal(c.Strings("linuxParameters.capabilities.drop"), []string{"ALL"})
			v.Want(dropsAll || t.service.Is("enable_execute_command", true),
				c.Address, "keeps kernel capabilities, which only ECS Exec's agent needs")
			v.Want(len(c.Strings("linuxParameters.capabilities.add")) == 0, c.Address, "adds kernel capabilities")
			for _, tmpfs := range c.Blocks("linuxParameters.tmpfs") {
				v.Want(slices.Contains(tmpfs.Strings("mountOptions"), "mode=1777"),
					c.Address, "cannot write to its tmpfs %s, which belongs to root", tmpfs.String("containerPath"))
			}
			for _, m := range c.Blocks("mountPoints") {
				path := m.String("containerPath")
				v.Want(m.Is("readOnly", true) ||
					user == 0 ||
					path == imageVolumes[c.String("name")] ||
					slices.Contains(agentFolders, path),
					c.Address, "cannot write to its volume %s, which belongs to root", path)
			}
			for _, port := range c.Blocks("portMappings") {
				v.Want(port.Number("containerPort") >= 1024,
					c.Address, "cannot listen on port %v, which requires root", port.At("containerPort"))
			}
		}
	}
}

func containersDoNotDrift(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			lists := []string{"environment", "mountPoints", "portMappings", "systemControls", "volumesFrom"}
			for _, list := range lists {
				_, written := c.At(list).([]any)
				v.Want(written, c.Address, "has no list %s: AWS adds it, and every plan finds a difference", list)
			}
			for _, list := range []string{"environment", "secrets"} {
				var names []string
				for _, variable := range c.Blocks(list) {
					names = append(names, variable.String("name"))
				}
				v.Want(slices.IsSorted(names) && len(slices.Compact(slices.Clone(names))) == len(names),
					c.Address, "want its %s sorted and without duplicates, have %v", list, names)
			}
			_, added := c.At("linuxParameters.capabilities.add").([]any)
			v.Want(added || !c.Has("linuxParameters.capabilities"),
				c.Address, "has no list capabilities.add: AWS adds it, and every plan replaces the task definition")
			for _, port := range c.Blocks("portMappings") {
				v.Want(port.At("containerPort") == port.At("hostPort") && port.Is("protocol", "tcp"),
					c.Address, "has no host port or protocol for port %v: AWS adds them", port.At("containerPort"))
			}
		}
	}
}
