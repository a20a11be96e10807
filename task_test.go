package main

import (
	"encoding/json"
	"platform/internal/config"
	"reflect"
	"slices"
	"strings"
	"testing"
)

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

// A variable's value reaches the container as the file has it, whatever it looks like to Terraform
// and to JSON.
func TestVariablesReachTheContainerAsConfigured(t *testing.T) {
	const value = `${aws_vpc.vpc.id} "quoted" %{if} <&> \ $${x}`
	text := minimal + "services:\n  web:\n    environment:\n      A: '" + value + "'\n"
	stack := synth(t, parse(t, "dev", text), placeholder(t))
	definition := stack["resource"].(tree)["aws_ecs_task_definition"].(tree)["service_web_task_definition"].(tree)
	text = definition["container_definitions"].(string)
	want := `{"name":"A","value":"$${aws_vpc.vpc.id} \"quoted\" %%{if} <&> \\ $$${x}"}`
	if !strings.Contains(text, want) {
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
	byName := func(a, b variable) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(containers[0].Environment, byName) {
		t.Errorf("is out of order: %v", containers[0].Environment)
	}
	if !strings.HasPrefix(got["PGHOST"], "${aws_db_instance.") {
		t.Errorf("PGHOST is %s, want the database's address", got["PGHOST"])
	}
}

func TestPolicyNamesTheSecretAlone(t *testing.T) {
	const plain = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/token-AbCdEf"
	const parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/token"
	for name, c := range map[string]struct{ reference, want string }{
		"a secret":                         {plain, plain},
		"a key of its JSON":                {plain + ":password::", plain},
		"a key and a stage":                {plain + ":password:AWSPREVIOUS:", plain},
		"a key and a version":              {plain + ":password::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a version alone":                  {plain + ":::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a parameter":                      {parameter, parameter},
		"a parameter of a certain version": {parameter + ":3:4:5", parameter + ":3:4:5"},
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
	const repository = "arn:aws:ecr:eu-central-1:123456789012:repository/"
	digest := "@sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		images       []string
		repositories []string
	}{
		"none": {nil, nil},
		"public": {
			[]string{config.DefaultImage, config.DefaultPrometheusImage, config.DefaultConfigImage}, nil,
		},
		"public ECR": {[]string{"public.ecr.aws/123456789012/x:1"}, nil},
		"by tag":     {[]string{registry + "/shop/web:1"}, []string{repository + "shop/web"}},
		"by digest":  {[]string{registry + "/web" + digest}, []string{repository + "web"}},
		"by both":    {[]string{registry + "/a/b/c:1" + digest}, []string{repository + "a/b/c"}},
		"of another account": {
			[]string{"210987654321.dkr.ecr.us-east-1.amazonaws.com/web:1"},
			[]string{"arn:aws:ecr:us-east-1:210987654321:repository/web"},
		},
		"two of one repository":     {[]string{registry + "/web:1", registry + "/web:2"}, []string{repository + "web"}},
		"two, one of them public":   {[]string{"quay.io/x/y:1", registry + "/web:2"}, []string{repository + "web"}},
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
				{
					sid: "Images", resources: c.repositories,
					actions: []string{
						"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
					},
				},
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v: wants\n%v, want\n%v", c.images, got, want)
			}
		})
	}
}

// ECS fetches secrets by their references; its role names the secrets, whatever key or version is
// asked for, each once.
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
