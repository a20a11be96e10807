package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestVariablesReplaceTheFile(t *testing.T) {
	t.Parallel()
	const text = minimal + `
services:
  web: {image: 'quay.io/x/y:1', route: {paths: ['/*']}, environment: {LOG_LEVEL: info}, tasks: 1}
  job: {image: 'quay.io/x/y:1'}
network: {zones: [a, b]}
`
	cfg, said := overridden(text, map[string]string{
		"INFRA_REGION":                             "us-east-1",
		"INFRA_NETWORK_ZONES_1":                    "f",
		"INFRA_SERVICES_WEB_IMAGE":                 "quay.io/x/web:2",
		"INFRA_SERVICES_WEB_TASKS":                 "4",
		"INFRA_SERVICES_WEB_ENVIRONMENT_LOG_LEVEL": "debug",
		"INFRA_SERVICES_JOB_IMAGE":                 "quay.io/x/job:2",
		"INFRA_DATABASE_MULTI_AZ":                  "true",
		"INFRA_SERVICES_WEB_ROUTE_PATHS_0":         "/a",
	})
	if len(said) > 0 {
		t.Fatal(said)
	}
	web, job := cfg.Services["web"], cfg.Services["job"]
	got := fmt.Sprintln(cfg.Region, cfg.State.Region, cfg.Network.Zones, web.Image, web.Tasks, web.Scaling.Max,
		web.Environment, job.Image, cfg.Database.MultiAZ, web.Route.Paths)
	want := "us-east-1 us-east-1 [a f] quay.io/x/web:2 4 4 map[LOG_LEVEL:debug] quay.io/x/job:2 true [/a]\n"
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// The profile decides the defaults, so its variable is read first.
func TestVariableForTheProfileSelectsItsDefaults(t *testing.T) {
	t.Parallel()
	const text = minimal + "state: {backend: local}\nload_balancer: {allow_http: true}\n"
	cfg, said := overridden(text, map[string]string{"INFRA_PROFILE": "production"})
	if len(said) > 0 || !cfg.Protected || !cfg.Database.MultiAZ || cfg.Services["web"].Tasks != 2 {
		t.Errorf("got %+v, %q", cfg, said)
	}
}

// A variable with the current value of a setting changes nothing, and an invalid value is reported
// under the name of the variable.
func TestEveryScalarCanBeSetByAVariable(t *testing.T) {
	t.Parallel()
	plain, said := overridden(full, nil)
	if len(said) > 0 {
		t.Fatal(said)
	}
	count := 0
	eachScalar(plain, func(n node) {
		name, text := variableOf(n.path), fmt.Sprint(n.value.Interface())
		if text == "" {
			text = "x"
		}
		count++
		got, said := overridden(full, map[string]string{name: text})
		if n.value.String() != "" && (len(said) > 0 || !reflect.DeepEqual(got, plain)) {
			t.Errorf("%s=%s changes something: %q", name, text, said)
		}
		if name == strictVariable {
			t.Errorf("%s is %s", n.path, name)
		}
		if n.value.Kind() == reflect.String {
			return
		}
		_, said = overridden(full, map[string]string{name: "hunter2"})
		if len(said) != 1 || !strings.HasPrefix(said[0], name+": "+n.path+": want ") {
			t.Errorf("%s=hunter2: says %q", name, said)
		}
	})
	if count < 100 {
		t.Errorf("only %d scalars", count)
	}
}
