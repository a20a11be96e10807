package config

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A new setting of Service fails this test until somebody decides whether a service that is like
// another one has it too.
func TestEverySettingOfAServiceIsSharedOrOwn(t *testing.T) {
	t.Parallel()
	var keys []string
	for field := range reflect.TypeFor[Service]().Fields() {
		keys = append(keys, field.Tag.Get("yaml"))
	}
	lists := slices.Concat(sharedSettings, ownSettings)
	slices.Sort(keys)
	slices.Sort(lists)
	if !slices.Equal(keys, lists) {
		t.Errorf("the settings are\n%q\nthe lists of like.go have\n%q", keys, lists)
	}
}

const family = minimal + `services:
  web:
    image: quay.io/x/y:1
    cpu: 1024
    memory: 2048
    database: {access: write}
    environment: {A: a, B: b}
    secrets: {C: 'arn:aws:ssm:eu-central-1:123456789012:parameter/c'}
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*']}]
    writable: [/run, {path: /data, on: disk}]
    calls: [worker, search]
    egress: [587]
    route: {paths: [/*]}
    tasks: 3
    exec: true
  search: {image: 'quay.io/x/search:1'}
  worker:
    like: web
    command: [work]
    memory: 4096
    environment: {B: c, C: plain, D: d}
    egress: [25565]
`

func TestServiceLikeAnother(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", family)
	web, worker, plain := cfg.Services["web"], cfg.Services["worker"], serviceDefaults(ProfileDevelopment)
	want := web
	want.Like, want.Command, want.Memory = "web", []string{"work"}, 4096
	want.Environment = map[string]string{"A": "a", "B": "c", "C": "plain", "D": "d"}
	want.Secrets = map[string]string{} // C is in environment
	want.Egress = []Egress{{Port: 25565, To: []string{everywhere}}}
	want.Calls = []string{"search"} // not itself
	want.Route, want.Tasks, want.Exec = plain.Route, plain.Tasks, plain.Exec
	want.Scaling.Max = plain.Tasks
	if !reflect.DeepEqual(worker, want) {
		t.Errorf("have\n%+v\nwant\n%+v", worker, want)
	}
	alone := strings.ReplaceAll(family, "like: web", "image: quay.io/x/z:1\n    cpu: 1024")
	if !reflect.DeepEqual(parse(t, "dev", alone).Services["web"], web) {
		t.Error("a service like web changes web")
	}
}

// Variables set what is inherited, in one service only. What they set in a service, others inherit.
func TestVariablesOfServicesLikeAnother(t *testing.T) {
	t.Parallel()
	cfg, said := overridden(family, map[string]string{
		"INFRA_SERVICES_WEB_IMAGE":                      "quay.io/x/y:2",
		"INFRA_SERVICES_WEB_ENVIRONMENT_A":              "new",
		"INFRA_SERVICES_WEB_CPU":                        "512",
		"INFRA_SERVICES_WORKER_CPU":                     "2048",
		"INFRA_SERVICES_WORKER_PERMISSIONS_0_ACTIONS_0": "s3:PutObject",
		"INFRA_SERVICES_WORKER_WRITABLE_0_PATH":         "/cache",
		"INFRA_SERVICES_WORKER_ENVIRONMENT_B":           "B",
	})
	if len(said) > 0 {
		t.Fatal(said)
	}
	web, worker := cfg.Services["web"], cfg.Services["worker"]
	for what, pair := range map[string][2]any{
		"the image, inherited":          {worker.Image, "quay.io/x/y:2"},
		"a variable, inherited":         {worker.Environment["A"], "new"},
		"a variable, set here":          {worker.Environment["B"], "B"},
		"the same of the other":         {web.Environment["B"], "b"},
		"the CPU, set in both":          {worker.CPU, 2048},
		"an action, set here":           {worker.Permissions[0].Actions[0], "s3:PutObject"},
		"the action of the other":       {web.Permissions[0].Actions[0], "s3:GetObject"},
		"a folder, set here":            {worker.Writable[0].Path, "/cache"},
		"the folder of the other":       {web.Writable[0].Path, "/run"},
		"the second folder, not set":    {worker.Writable[1].Path, "/data"},
		"the CPU of the other, by both": {web.CPU, 512},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
	cfg, said = overridden(family+"  job: {image: 'quay.io/x/z:1'}\n",
		map[string]string{"INFRA_SERVICES_JOB_LIKE": "web"})
	if len(said) > 0 || cfg.Services["job"].Database.Access != "write" || cfg.Services["job"].Image != "quay.io/x/z:1" {
		t.Errorf("%v %+v", said, cfg.Services["job"])
	}
}

func TestExplainPrintsWhatIsInherited(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"INFRA_SERVICES_WEB_IMAGE": "quay.io/x/y:2"}
	cfg, doc := read("config/dev.yaml", "dev", []byte(family), variables)
	var out bytes.Buffer
	if err := Explain(&out, cfg, doc); err != nil {
		t.Fatal(err)
	}
	have := map[string]string{}
	for line := range strings.Lines(out.String()) {
		words := strings.Fields(line)
		if len(words) > 1 {
			have[words[0]] = strings.Join(words[1:], " ")
		}
	}
	for path, want := range map[string]string{
		"services.worker.image":         "INFRA_SERVICES_WEB_IMAGE, like web quay.io/x/y:2",
		"services.worker.cpu":           "config/dev.yaml:6, like web 1024",
		"services.worker.port":          "default (development), like web 8080",
		"services.worker.memory":        "config/dev.yaml:22 4096",
		"services.worker.environment.A": "config/dev.yaml:9, like web a",
		"services.worker.environment.B": "config/dev.yaml:23 c",
		"services.worker.egress.0.port": "config/dev.yaml:24 25565",
		"services.worker.tasks":         "default (development) 1",
		"services.web.tasks":            "config/dev.yaml:16 3",
	} {
		if have[path] != want {
			t.Errorf("%s: %s, want %s", path, have[path], want)
		}
	}
}
