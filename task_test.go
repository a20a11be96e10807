package main

import (
	"encoding/json"
	"platform/internal/config"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every list that AWS fills in by itself is there and empty, and nothing else is: the next plan finds no difference.
func TestContainersJSONWritesEmptyListsOut(t *testing.T) {
	got := marshal([]*container{newContainer("web", "quay.io/x/y:1", containerLog{"/shop/web", "eu-central-1"})})
	want := `[{"name":"web","image":"quay.io/x/y:1","essential":true,"readonlyRootFilesystem":true,"environment":[],"portMappings":[],` +
		`"mountPoints":[],"volumesFrom":[],"systemControls":[],"linuxParameters":{"initProcessEnabled":true},` +
		`"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/shop/web","awslogs-region":"eu-central-1","awslogs-stream-prefix":"web","max-buffer-size":"25m","mode":"non-blocking"}}}]`
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

// Without exec a container has neither the agent's folders nor any capability.
func TestContainerHasNoRoomForTheAgentUnlessExecIsAllowed(t *testing.T) {
	for exec, want := range map[string]int{"false": 1, "true": 4} { // the certificates, and three of the agent's
		stack := synth(t, parse(t, "dev", minimal+"services: {web: {exec: "+exec+"}}\n"), placeholder(t))
		definition := stack["resource"].(tree)["aws_ecs_task_definition"].(tree)["service_web_task_definition"].(tree)
		var containers []container
		if err := json.Unmarshal([]byte(definition["container_definitions"].(string)), &containers); err != nil {
			t.Fatal(err)
		}
		app := containers[0]
		if len(app.MountPoints) != want || (app.LinuxParameters.Capabilities == nil) != (exec == "true") {
			t.Errorf("exec %s: mounts %v, capabilities %v", exec, app.MountPoints, app.LinuxParameters.Capabilities)
		}
	}
}

// A variable's value reaches the container as the file has it, whatever it looks like to Terraform and to JSON.
func TestVariablesReachTheContainerAsConfigured(t *testing.T) {
	const value = `${aws_vpc.vpc.id} "quoted" %{if} <&> \ $${x}`
	stack := synth(t, parse(t, "dev", minimal+"services:\n  web:\n    environment:\n      A: '"+value+"'\n"), placeholder(t))
	definition := stack["resource"].(tree)["aws_ecs_task_definition"].(tree)["service_web_task_definition"].(tree)
	text := definition["container_definitions"].(string)
	if want := `{"name":"A","value":"$${aws_vpc.vpc.id} \"quoted\" %%{if} <&> \\ $$${x}"}`; !strings.Contains(text, want) {
		t.Fatalf("holds no\n%s\nbut is\n%s", want, text)
	}
	// As Terraform reads it: what is escaped becomes a text, and what is not is a reference.
	evaluated := strings.NewReplacer("$${", "${", "%%{", "%{").Replace(text)
	var containers []container
	if err := json.Unmarshal([]byte(evaluated), &containers); err != nil {
		t.Fatalf("%v: %s", err, evaluated)
	}
	got := map[string]string{}
	for _, v := range containers[0].Environment {
		got[v.Name] = v.Value
	}
	if got["A"] != value {
		t.Errorf("A is %s, want %s", got["A"], value)
	}
	if !slices.IsSortedFunc(containers[0].Environment, func(a, b variable) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("is out of order: %v", containers[0].Environment)
	}
	if !strings.HasPrefix(got["PGHOST"], "${aws_db_instance.") {
		t.Errorf("PGHOST is %s, want the database's address", got["PGHOST"])
	}
}

func TestMarshalLeavesPlaceholdersOfAWSAlone(t *testing.T) {
	if got, want := marshal(map[string]string{"b": "<aws.scheduler.scheduled-time>", "a": "&"}), `{"a":"&","b":"<aws.scheduler.scheduled-time>"}`; got != want {
		t.Errorf("is %s, want %s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("JSON was made of a channel")
		}
	}()
	marshal(make(chan int))
}

func TestPolicyNamesTheSecretAlone(t *testing.T) {
	const plain = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/token-AbCdEf"
	for name, c := range map[string]struct{ reference, want string }{
		"a secret":                         {plain, plain},
		"a key of its JSON":                {plain + ":password::", plain},
		"a key and a stage":                {plain + ":password:AWSPREVIOUS:", plain},
		"a key and a version":              {plain + ":password::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a version alone":                  {plain + ":::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a parameter":                      {"arn:aws:ssm:eu-central-1:123456789012:parameter/shop/token", "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/token"},
		"a parameter of a certain version": {"arn:aws:ssm:eu-central-1:123456789012:parameter/shop/token:3:4:5", "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/token:3:4:5"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := secretResource(c.reference); got != c.want {
				t.Errorf("%s: is %s", c.reference, got)
			}
		})
	}
}

func TestOnlyImagesInECRNeedRights(t *testing.T) {
	const registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	for name, c := range map[string]struct {
		images       []string
		repositories []string
	}{
		"none":                      {nil, nil},
		"public":                    {[]string{config.DefaultImage, config.DefaultPrometheusImage, config.DefaultConfigImage}, nil},
		"public ECR":                {[]string{"public.ecr.aws/123456789012/x:1"}, nil},
		"by tag":                    {[]string{registry + "/shop/web:1"}, []string{"arn:aws:ecr:eu-central-1:123456789012:repository/shop/web"}},
		"by digest":                 {[]string{registry + "/web@sha256:" + strings.Repeat("0", 64)}, []string{"arn:aws:ecr:eu-central-1:123456789012:repository/web"}},
		"by both":                   {[]string{registry + "/a/b/c:1@sha256:" + strings.Repeat("0", 64)}, []string{"arn:aws:ecr:eu-central-1:123456789012:repository/a/b/c"}},
		"of another account":        {[]string{"210987654321.dkr.ecr.us-east-1.amazonaws.com/web:1"}, []string{"arn:aws:ecr:us-east-1:210987654321:repository/web"}},
		"two of one repository":     {[]string{registry + "/web:1", registry + "/web:2"}, []string{"arn:aws:ecr:eu-central-1:123456789012:repository/web"}},
		"two, one of them public":   {[]string{"quay.io/x/y:1", registry + "/web:2"}, []string{"arn:aws:ecr:eu-central-1:123456789012:repository/web"}},
		"ECR in a path, not a host": {[]string{"quay.io/" + registry + "/web:1"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := pullImages(c.images...)
			if c.repositories == nil {
				if got != nil {
					t.Errorf("%v: wants %v", c.images, got)
				}
				return
			}
			want := []statement{
				{sid: "RegistryLogin", actions: []string{"ecr:GetAuthorizationToken"}, resources: []string{"*"}},
				{sid: "Images", actions: []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, resources: c.repositories},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v: wants\n%v, want\n%v", c.images, got, want)
			}
		})
	}
}

// ECS fetches secrets by their references; its role names the secrets, whatever key or version is asked for, each once.
func TestExecutionRoleReadsTheConfiguredSecretsAlone(t *testing.T) {
	stack := synth(t, parse(t, "dev", minimal+`services:
  web:
    database: none
    secrets:
      A: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf:user::'
      B: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf:password:AWSCURRENT:'
      C: 'arn:aws:ssm:eu-central-1:123456789012:parameter/two'
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']
`), placeholder(t))
	readPolicies(t, stack)
	got := map[string][]any{}
	for id, document := range stack["data"].(tree)["aws_iam_policy_document"].(tree) {
		if !strings.HasPrefix(id, "service_web_execution_role") {
			continue
		}
		for _, s := range document.(tree)["statement"].([]any) {
			for _, action := range s.(tree)["actions"].([]any) {
				resources, _ := s.(tree)["resources"].([]any)
				got[action.(string)] = resources
			}
		}
	}
	for action, want := range map[string][]any{
		"secretsmanager:GetSecretValue": {"arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf"},
		"ssm:GetParameters":             {"arn:aws:ssm:eu-central-1:123456789012:parameter/two"},
		"kms:Decrypt":                   {"arn:aws:kms:eu-central-1:123456789012:key/0a-1"},
	} {
		if !reflect.DeepEqual(got[action], want) {
			t.Errorf("may %s of %v, want %v", action, got[action], want)
		}
	}
}

func TestUniqueKeepsTheFirstOfEach(t *testing.T) {
	if got := unique([]string{"b", "a", "b", "c", "a"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("is %v", got)
	}
	if got := unique(nil); got != nil {
		t.Errorf("of nothing is %v", got)
	}
}
