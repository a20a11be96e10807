package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/stacktest"
)

// Without exec a container has neither the agent's folders nor any capability.
func TestContainerHasNoRoomForTheAgentUnlessExecIsAllowed(t *testing.T) {
	for exec, want := range map[string]int{"false": 1, "true": 4} { // the certificates, and three of the agent's
		stack := synth(t, parse(t, "dev",
			minimal+"services: {web: {"+demonstration+", exec: "+exec+"}}\n"), placeholder(t))
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

// The script that writes a delivery's files is run as a container runs it, with a folder in place of
// the volume.
func TestDeliveryWritesEachTextAsItIs(t *testing.T) {
	folder := t.TempDir()
	want := map[string]string{
		"a.yml":        "a: \"$HOME\" `id` \\n %s\n",
		"pages/b.html": "<p>'größer' {{ . }}</p>",
		"pages/c.html": "",
	}
	d, environment := delivery{name: "texts", folder: folder}, []string{"PATH=" + os.Getenv("PATH")}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		variable := fmt.Sprintf("TEXT_%d", len(d.files))
		d.files = append(d.files, textFile{path: path, variable: variable, text: want[path]})
		environment = append(environment, variable+"="+want[path])
	}
	run := func() ([]byte, error) {
		command := exec.Command("/bin/sh", "-c", d.script())
		command.Env = environment
		return command.CombinedOutput()
	}
	for range 2 { // a restarted task may find the files
		if out, err := run(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for path, text := range want {
		if got, err := os.ReadFile(filepath.Join(folder, path)); err != nil || string(got) != text {
			t.Errorf("%s holds %q, want %q (%v)", path, got, text, err)
		}
	}
	d.files[0].path = "pages" // a folder: the file cannot be written
	if out, err := run(); err == nil {
		t.Errorf("a file cannot be written, and the script ends without an error: %s", out)
	}
}

// A variable's value reaches the container as the file has it, whatever it looks like to Terraform
// and to JSON.
func TestVariablesReachTheContainerAsConfigured(t *testing.T) {
	const value = `${aws_vpc.vpc.id} "quoted" %{if} <&> \ $${x}`
	text := minimal + "services:\n  web:\n    image: quay.io/x/y:1\n    database: {access: read}\n" +
		"    environment:\n      A: '" + value + "'\n"
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
		"a secret":            {plain, plain},
		"a key of its JSON":   {plain + ":password::", plain},
		"a key and a stage":   {plain + ":password:AWSPREVIOUS:", plain},
		"a key and a version": {plain + ":password::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a version alone":     {plain + ":::EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE", plain},
		"a key of a secret that is looked up": {"${data.aws_secretsmanager_secret.x.arn}:key::",
			"${data.aws_secretsmanager_secret.x.arn}"},
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
		"dual-stack": {
			[]string{"123456789012.dkr-ecr.eu-central-1.on.aws/shop/web:1"}, []string{repository + "shop/web"},
		},
		"with FIPS": {
			[]string{
				"123456789012.dkr.ecr-fips.eu-central-1.amazonaws.com/a:1",
				"123456789012.dkr-ecr-fips.eu-central-1.on.aws/b:1",
			},
			[]string{repository + "a", repository + "b"},
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

// The first pull through a cache creates the repository and imports the image.
func TestImagesOfAPullThroughCacheAreImported(t *testing.T) {
	const registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	cfg := parse(t, "dev", minimal+"pull_through_cache: [docker-hub, mirror/quay]\n")
	got := importImages(cfg, []string{
		registry + "/docker-hub/library/redis:7", registry + "/docker-hub2/x:1", registry + "/web:1",
		registry + "/mirror/quay/x:1", registry + "/mirror/x:1", "quay.io/docker-hub/x:1",
	})
	const repository = "arn:aws:ecr:eu-central-1:123456789012:repository/"
	want := []statement{{
		sid: "ImportImages", actions: []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"},
		resources: []string{repository + "docker-hub/library/redis", repository + "mirror/quay/x"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("is %v, want %v", got, want)
	}
	if none := importImages(parse(t, "dev", minimal), []string{registry + "/docker-hub/x:1"}); none != nil {
		t.Errorf("without a cache: %v", none)
	}
}

// The user, the password and the URL are references to the service's secret; nothing else is.
func TestDatabaseVariablesHaveTheNamesOfTheApplication(t *testing.T) {
	text := minimal + `services:
  web:
    image: quay.io/x/y:1
    database:
      access: owner
      variables:
        {H: host, P: port, N: name, U: user, W: password, A: url, B: url, J: jdbc_url}
`
	app := func(text string) stacktest.Resource {
		return parsed(t, synth(t, parse(t, "dev", text), placeholder(t))).Resource(webTask).Containers()[0]
	}
	c := app(text)
	const address = "${aws_db_instance.database.address}"
	for name, want := range map[string]string{
		"H": address, "P": "5432", "N": "app",
		"J": "jdbc:postgresql://" + address + ":5432/app?sslmode=verify-full&sslrootcert=/certificates/rds.pem",
	} {
		if have := c.String("environment[name=" + name + "].value"); have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	for name, key := range map[string]string{"U": "username", "W": "password", "A": "url", "B": "url"} {
		want := "${aws_secretsmanager_secret.service_web_database_secret.arn}:" + key + "::"
		if have := c.String("secrets[name=" + name + "].valueFrom"); have != want {
			t.Errorf("%s is from %q, want %q", name, have, want)
		}
	}
	none := app(minimal + "services: {web: {image: 'quay.io/x/y:1', " +
		"database: {access: owner, variables: {J: jdbc_url}, url_parameters: ''}}}\n")
	if have := none.String("environment[name=J].value"); have != "jdbc:postgresql://"+address+":5432/app" {
		t.Errorf("without parameters, J is %q", have)
	}
	if none.Has("dockerLabels") {
		t.Error("has a label without a URL in the secret")
	}
}

// ECS fetches secrets by their references; its role names the secrets, whatever key or version is
// asked for, each once.
func TestExecutionRoleReadsTheConfiguredSecretsAlone(t *testing.T) {
	stack := synth(t, parse(t, "dev", minimal+`services:
  web:
    image: quay.io/x/y:1
    secrets:
      A: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf:user::'
      B: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf:password:AWSCURRENT:'
      C: 'arn:aws:ssm:eu-central-1:123456789012:parameter/two'
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']
`), placeholder(t))
	got := map[string][]string{}
	for _, statement := range rolePermissions(parsed(t, stack), "aws_iam_role.service_web_execution_role") {
		for _, action := range statement.Strings("Action") {
			got[action] = statement.Strings("Resource")
		}
	}
	for action, want := range map[string][]string{
		"secretsmanager:GetSecretValue": {"arn:aws:secretsmanager:eu-central-1:123456789012:secret:one-AbCdEf"},
		"ssm:GetParameters":             {"arn:aws:ssm:eu-central-1:123456789012:parameter/two"},
		"kms:Decrypt":                   {"arn:aws:kms:eu-central-1:123456789012:key/0a-1"},
	} {
		if !slices.Equal(got[action], want) {
			t.Errorf("may %s of %v, want %v", action, got[action], want)
		}
	}
}

const (
	prometheusTask         = "aws_ecs_task_definition.prometheus_task_definition"
	webRepository          = "aws_ecr_repository.service_web_repository"
	webRepositoryLifecycle = "aws_ecr_lifecycle_policy.service_web_repository_lifecycle"
)

var taskPromises = []stacktest.Promise{{
	Name:  "Fargate accepts every task definition, with room for longer definitions",
	Check: fargateAcceptsDefinitions,
	BrokenBy: []stacktest.Break{{
		Name:  "a task has more memory than Fargate offers for its CPU units",
		Stack: "prod",
		By:    stacktest.Set(webTask, "memory", "5120"),
		Found: webTask,
	}, {
		Name:  "a task has a number of CPU units that Fargate does not offer",
		Stack: "prod",
		By:    stacktest.Set(webTask, "cpu", "300"),
		Found: webTask,
	}, {
		Name:  "a task definition has a network mode other than awsvpc",
		Stack: "prod",
		By:    stacktest.Set(webTask, "network_mode", "bridge"),
		Found: webTask,
	}, {
		Name:  "a task has an ephemeral disk smaller than 21 GiB",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, "ephemeral_storage.size_in_gib", 20.0),
		Found: prometheusTask,
	}, {
		Name:  "container definitions are not a list",
		Stack: "dev",
		By:    stacktest.Set(webTask, "container_definitions", `[{"name":"web",}]`),
		Found: webTask,
	}, {
		Name:  "a task definition is longer than 48 KiB",
		Stack: "dev",
		By:    stacktest.Add(webTask, webContainer+".command", []any{strings.Repeat("x", 50<<10)}),
		Found: webTask,
	}, {
		Name:  "a container's tmpfs takes more than half of the task's memory",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".linuxParameters.tmpfs[containerPath=/tmp].size", 1024.0),
		Found: webTask,
	}, {
		Name:  "a container's stop timeout is longer than 120 seconds",
		Stack: "dev",
		By:    stacktest.Set(webTask, webContainer+".stopTimeout", 121.0),
		Found: webTask,
	}, {
		Name:  "a task definition has no CPU architecture",
		Stack: "dev",
		By:    stacktest.Remove(webTask, "runtime_platform"),
		Found: webTask,
	}, {
		Name:  "a container mounts a volume that the task does not declare",
		Stack: "dev",
		By:    stacktest.Set(prometheusTask, "volume", []any{}),
		Found: prometheusTask,
	}},
}}

// fargateOffers tells whether Fargate has a size, in CPU units and MiB.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func fargateOffers(cpu, memory float64) bool {
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

func fargateAcceptsDefinitions(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		d := t.definition
		v.Want(fargateOffers(d.Number("cpu"), d.Number("memory")),
			d.Address, "has %v CPU units and %v MiB, which Fargate does not offer", d.At("cpu"), d.At("memory"))
		v.Want(slices.Equal(d.Strings("requires_compatibilities"), []string{"FARGATE"}) &&
			d.Is("network_mode", "awsvpc"),
			d.Address, "want compatibility FARGATE and network mode awsvpc, have %v and %v",
			d.At("requires_compatibilities"), d.At("network_mode"))
		v.Want(slices.Contains([]string{"ARM64", "X86_64"}, d.String("runtime_platform.cpu_architecture")),
			d.Address, "has no CPU architecture")
		disk := d.Number("ephemeral_storage.size_in_gib")
		v.Want(!d.Has("ephemeral_storage") || disk >= 21 && disk <= 200,
			d.Address, "want a disk of 21 to 200 GiB, have %v", d.At("ephemeral_storage.size_in_gib"))
		length := definitionLength(d)
		v.Want(length <= 48<<10, d.Address, "is %d bytes long, want at most 48 KiB", length)
		_, isList := d.At("container_definitions").([]any)
		v.Want(isList, d.Address, "has container definitions that are not a list")
		volumesAndMemorySuffice(v, t)
	}
}

var expression = regexp.MustCompile(`\$\{[^}]*\}`)

// definitionLength is how long a task definition is, with an ARN for every reference that is longer
// than any from AWS. AWS accepts 64 KiB; the tests keep a quarter in reserve.
func definitionLength(definition stacktest.Resource) int {
	const arn = "arn:aws:secretsmanager:ap-southeast-1:123456789012:" +
		"secret:rds!db-00000000-0000-0000-0000-000000000000-AbCdEf"
	body := maps.Clone(definition.Body())
	body["container_definitions"] = marshal(body["container_definitions"]) // as JSON in a string
	return len(expression.ReplaceAllString(marshal(body), arn))
}

func volumesAndMemorySuffice(v *stacktest.Violations, t serviceTask) {
	declared := map[string]bool{}
	for _, volume := range t.definition.Blocks("volume") {
		declared[volume.String("name")] = true
	}
	scratch := 0.0
	for _, c := range t.containers() {
		for _, m := range c.Blocks("mountPoints") {
			v.Want(declared[m.String("sourceVolume")],
				c.Address, "mounts %s, which the task does not declare", m.String("sourceVolume"))
		}
		for _, tmpfs := range c.Blocks("linuxParameters.tmpfs") {
			scratch += tmpfs.Number("size")
		}
		v.Want(!c.Has("stopTimeout") || c.Number("stopTimeout") <= 120,
			c.Address, "has a stop timeout of %v seconds, want at most Fargate's 120", c.At("stopTimeout"))
	}
	v.Want(scratch <= t.definition.Number("memory")/2, t.definition.Address,
		"has %v MiB of tmpfs, which is memory, want at most half of its %v MiB", scratch, t.definition.At("memory"))
}

var imagePromises = []stacktest.Promise{{
	Name:  "images have a tag or digest that does not change, and come from registries without a pull limit",
	Check: imagesAreImmutable,
	BrokenBy: []stacktest.Break{{
		Name:  "an image has neither a tag nor a digest",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".image", "public.ecr.aws/nginx/nginx-unprivileged"),
		Found: webTask,
	}, {
		Name:  "an image has the tag latest",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".image", "public.ecr.aws/nginx/nginx-unprivileged:latest"),
		Found: webTask,
	}, {
		Name:  "an image comes from Docker Hub, the default registry",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".image", "nginx:1.30.5"),
		Found: webTask,
	}, {
		Name:  "an image comes from Docker Hub by its name",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".image", "docker.io/library/nginx:1.30.5"),
		Found: webTask,
	}, {
		Name:  "an ECR repository has mutable tags",
		Stack: "a service with everything",
		By:    stacktest.Set(webRepository, "image_tag_mutability", "MUTABLE"),
		Found: webRepository,
	}, {
		Name:  "an ECR repository does not scan images",
		Stack: "a service with everything",
		By: stacktest.Set(webRepository, "image_scanning_configuration.scan_on_push",
			false),
		Found: webRepository,
	}, {
		Name:  "an ECR repository has no lifecycle policy",
		Stack: "a service with everything",
		By:    stacktest.Delete(webRepositoryLifecycle),
		Found: webRepository,
	}, {
		Name:  "an ECR repository's lifecycle policy is not an object",
		Stack: "a service with everything",
		By:    stacktest.Set(webRepositoryLifecycle, "policy", "{"),
		Found: webRepositoryLifecycle,
	}, {
		Name:  "an ECR repository deletes the image that a service names by its digest, since it has no tag",
		Stack: "a service with everything",
		By: stacktest.Set(webRepositoryLifecycle, "policy.rules[rulePriority=1].selection",
			map[string]any{"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 100.0}),
		Found: webRepositoryLifecycle,
	}, {
		Name:  "an ECR repository deletes images by age, also those that a service runs",
		Stack: "a service with everything",
		By: stacktest.Set(webRepositoryLifecycle, "policy.rules[rulePriority=1].selection.countType",
			"sinceImagePushed"),
		Found: webRepositoryLifecycle,
	}},
}, {
	Name:    "the shipped images have a digest, and contain the commands of their health checks",
	Check:   shippedImagesHaveDigests,
	Shipped: true,
	BrokenBy: []stacktest.Break{{
		Name:  "an image has a tag but no digest",
		Stack: "prod",
		By:    stacktest.Set(webTask, webContainer+".image", "public.ecr.aws/nginx/nginx-unprivileged:1.30.5"),
		Found: webTask,
	}, {
		Name:  "a health check runs curl, which the image does not contain",
		Stack: "prod",
		By: stacktest.Set(prometheusTask, prometheusContainer+".healthCheck.command",
			[]any{"CMD", "curl", "localhost:9090"}),
		Found: prometheusTask,
	}, {
		Name:  "a health check runs a command in an image whose contents are unknown",
		Stack: "prod",
		By: stacktest.Add(webTask, webContainer+".healthCheck",
			map[string]any{"command": []any{"CMD-SHELL", "wget localhost"}}),
		Found: webTask,
	}},
}}

var (
	imageReference = regexp.MustCompile(`^([a-z0-9-]+\.)+[a-z0-9-]+(:[0-9]+)?/[^:@]+` +
		`(:[A-Za-z0-9_.-]+)?(@sha256:[0-9a-f]{64})?$`)
	dockerHub = regexp.MustCompile(`^([a-z0-9-]+\.)*docker\.(io|com)/`)
)

func imagesAreImmutable(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			image := c.String("image")
			name := image[strings.LastIndexByte(image, '/')+1:]
			v.Want(imageReference.MatchString(image) &&
				strings.ContainsAny(name, ":@") &&
				!strings.HasSuffix(image, ":latest"),
				c.Address, "want an image registry/name with an immutable tag or a digest, have %s", image)
			v.Want(!dockerHub.MatchString(image),
				c.Address, "has an image from Docker Hub, which limits pulls: %s", image)
		}
	}
	lifecycles := s.Resources("aws_ecr_lifecycle_policy")
	for _, repository := range s.Resources("aws_ecr_repository") {
		v.Want(repository.Is("image_tag_mutability", "IMMUTABLE"), repository.Address, "has mutable tags")
		v.Want(repository.Is("image_scanning_configuration.scan_on_push", true),
			repository.Address, "does not scan images")
		v.Want(len(stacktest.Referring(lifecycles, "repository", repository.Address)) == 1,
			repository.Address, "has no lifecycle policy, so that it never deletes an image")
	}
	for _, lifecycle := range lifecycles {
		_, isObject := lifecycle.At("policy").(map[string]any)
		v.Want(isObject, lifecycle.Address, "has a policy that is not an object")
		for _, rule := range lifecycle.Blocks("policy.rules") {
			v.Want(rule.Is("selection.tagStatus", "any") && rule.Is("selection.countType", "imageCountMoreThan"),
				lifecycle.Address, "deletes images that a service may run: want only the oldest of many deleted")
		}
	}
}

// healthCheckCommands are the commands for health checks that are known to be in an image. The
// other images of config/ have none.
var healthCheckCommands = map[string][]string{
	"quay.io/prometheus/prometheus": {"/bin/promtool"},
	// Their Dockerfiles begin with Prometheus' own image of BusyBox, which has wget.
	"quay.io/prometheus/alertmanager":                             {"/bin/wget"},
	"quay.io/prometheuscommunity/postgres-exporter":               {"/bin/wget"},
	"quay.io/prometheuscommunity/yet-another-cloudwatch-exporter": {"/bin/wget"},
}

// withoutDigest are shipped images whose digest could not be looked up where they were chosen. Their
// projects never move the tag of a release. Add the digest with the next version.
var withoutDigest = []string{config.DefaultAlertmanagerImage, config.DefaultCloudWatchImage}

func shippedImagesHaveDigests(s stacktest.Stack, v *stacktest.Violations) {
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			image := c.String("image")
			v.Want(strings.Contains(image, "@sha256:") || slices.Contains(withoutDigest, image),
				c.Address, "want a digest, have %s", image)
			name, _, _ := strings.Cut(strings.Split(image, "@")[0], ":")
			command := c.Strings("healthCheck.command")
			known := len(command) > 1 && command[0] == "CMD" && slices.Contains(healthCheckCommands[name], command[1])
			v.Want(!c.Has("healthCheck") || known,
				c.Address, "has a health check by %v, and %s is not known to contain it", command, name)
		}
	}
}
