package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ---- Variables -------------------------------------------------------------------------------------------------------

// override reads a text with variables over it, and gives what is said about it, without the file's name.
func override(text string, variables map[string]string) (*Config, []string) {
	cfg, doc := readConfig("config/test.yaml", "test", []byte(text), variables)
	var said []string
	for _, line := range doc.report(doc.problems, false) {
		said = append(said, strings.TrimPrefix(line, "config/test.yaml:"))
	}
	return cfg, said
}

func TestVariablesGoOverTheFile(t *testing.T) {
	cfg, said := override(minimal+"services: {web: {environment: {LOG_LEVEL: info}, tasks: 1}, job: {image: 'quay.io/x/y:1'}}\nnetwork: {zones: [a, b]}\n", map[string]string{
		"INFRA_REGION": "us-east-1", "INFRA_NETWORK_ZONES_1": "f", "INFRA_SERVICES_WEB_IMAGE": "quay.io/x/web:2", "INFRA_SERVICES_WEB_TASKS": "4",
		"INFRA_SERVICES_WEB_ENVIRONMENT_LOG_LEVEL": "debug", "INFRA_SERVICES_JOB_IMAGE": "quay.io/x/job:2", "INFRA_DATABASE_MULTI_AZ": "true", "INFRA_SERVICES_WEB_ROUTE_PATHS_0": "/a",
	})
	if len(said) > 0 {
		t.Fatal(said)
	}
	web, job := cfg.Services["web"], cfg.Services["job"]
	got := fmt.Sprintln(cfg.Region, cfg.State.Region, cfg.Network.Zones, web.Image, web.Tasks, web.Scaling.Max, web.Environment, job.Image, cfg.Database.MultiAZ, web.Route.Paths)
	if want := "us-east-1 us-east-1 [a f] quay.io/x/web:2 4 4 map[LOG_LEVEL:debug] quay.io/x/job:2 true [/a]\n"; got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

// The profile decides the defaults, so its variable is read before them.
func TestVariableForTheProfileBringsItsDefaults(t *testing.T) {
	cfg, said := override(minimal+"state: {backend: local}\nload_balancer: {allow_http: true}\n", map[string]string{"INFRA_PROFILE": "production"})
	if len(said) > 0 || !cfg.Protected || !cfg.Database.MultiAZ || cfg.Services["web"].Tasks != 2 {
		t.Errorf("got %+v, %q", cfg, said)
	}
}

// full is a file with something for every setting.
const full = `name: shop
region: eu-central-1
account: '123456789012'
tags: {Team: shop}
state: {backend: s3, bucket: states, region: eu-west-1}
network: {endpoints: [logs]}
load_balancer: {domain: a.example.com, hosted_zone: example.com, certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a-1', firewall: {enabled: true}}
services:
  web:
    image: quay.io/x/y:1
    command: [serve]
    environment: {LEVEL: debug}
    secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*']}]
    route: {priority: 10, paths: [/a], hosts: [a.example.com], headers: {X-A: [b]}, sources: [10.0.0.0/8], slow_start: 30}
    health_check: {command: [/healthy]}
    metrics: {enabled: true}
    tasks: 2
    scaling: {max: 4, requests: 100, schedules: {night: {at: 'cron(0 22 * * ? *)', timezone: Europe/Berlin, min: 1, max: 2}}}
database:
  parameters: {work_mem: '65536'}
  restores: {old: {snapshot: before}, monday: {time: '2026-11-23T03:00:00Z'}}
  active: old
monitoring: {emails: [a@example.com]}
backup: {object_lock: 1}
`

// Every scalar has its variable: given what it holds already, nothing changes; and what is wrong is said under the variable's name.
func TestEveryScalarHasItsVariable(t *testing.T) {
	plain, said := override(full, nil)
	if len(said) > 0 {
		t.Fatal(said)
	}
	count := 0
	eachScalar(plain, func(s scalar) {
		name, text := variableOf(s.path), fmt.Sprint(s.value.Interface())
		if text == "" {
			text = "x"
		}
		count++
		got, said := override(full, map[string]string{name: text})
		if s.value.String() != "" && (len(said) > 0 || !reflect.DeepEqual(got, plain)) {
			t.Errorf("%s=%s changes something: %q", name, text, said)
		}
		if name == strictVariable {
			t.Errorf("%s is %s", s.path, name)
		}
		if s.value.Kind() != reflect.String {
			if _, said := override(full, map[string]string{name: "hunter2"}); len(said) != 1 || !strings.HasPrefix(said[0], name+": "+s.path+": want ") {
				t.Errorf("%s=hunter2: says %q", name, said)
			}
		}
	})
	if count < 100 {
		t.Errorf("only %d scalars", count)
	}
}

// ---- Out of range ----------------------------------------------------------------------------------------------------

// free are settings that hold any text, so that none is wrong; a policy may be about any resource.
var free = regexp.MustCompile(`^(tags\.Team|services\.web\.(environment|command|health_check\.command|route\.headers|permissions\.0\.resources)\b.*|database\.parameters\.work_mem)$`)

// Each setting in turn is given what it may not hold. Whatever that is, the program says so and names it.
func TestEverySettingIsCheckedWhateverItHolds(t *testing.T) {
	plain, said := override(full, nil)
	if len(said) > 0 {
		t.Fatal(said)
	}
	original, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	kills := map[string][2]int{} // found, tried
	try := func(path, what string, set func(v reflect.Value)) {
		var cfg Config
		if err := json.Unmarshal(original, &cfg); err != nil {
			t.Fatal(err)
		}
		eachScalar(&cfg, func(s scalar) {
			if s.path == path {
				set(s.value)
				s.set()
			}
		})
		doc := decodeYAML("config/test.yaml", nil, &Config{}, noElement)
		doc.positions[path] = position{line: 1, column: 1} // as the file says it
		cfg.derive(doc)
		check(&cfg, doc)
		// What is wrong may be said of another setting that this one has to fit, or of all that it is part of.
		found := slices.ContainsFunc(doc.problems, func(p problem) bool {
			return strings.Contains(p.path+" "+p.message, path) || p.path != "" && strings.HasPrefix(path, p.path+".")
		})
		result := kills[path]
		kills[path] = [2]int{result[0] + choose(found, 1, 0), result[1] + 1}
		if !found && !free.MatchString(path) {
			t.Errorf("%s = %s: says %q", path, what, doc.report(doc.problems, false))
		}
	}
	eachScalar(plain, func(s scalar) {
		switch s.value.Kind() {
		case reflect.Int:
			wrong := []int{-1, 1 << 40}
			if a := s.allowed; a.Numbered {
				wrong = append(wrong, a.Low-1, a.High+1)
			}
			for _, n := range wrong {
				if s.allowed.OrZero && n == 0 {
					continue
				}
				try(s.path, strconv.Itoa(n), func(v reflect.Value) { v.SetInt(int64(n)) })
			}
		case reflect.String:
			for _, text := range []string{"hunter 2", "${x}", "?", "arn:aws:iam::123456789012:user/x", "-1", strings.Repeat("x", 400)} {
				try(s.path, strconv.Quote(text), func(v reflect.Value) { v.SetString(text) })
			}
		}
	})
	found, tried := 0, 0
	for _, path := range slices.Sorted(maps.Keys(kills)) {
		found, tried = found+kills[path][0], tried+kills[path][1]
		t.Logf("%-50s %d of %d", path, kills[path][0], kills[path][1])
	}
	if tried < 400 || len(kills) < 80 {
		t.Errorf("only %d values of %d settings were tried", tried, len(kills))
	}
	t.Logf("%d of %d wrong values found, in %d settings", found, tried, len(kills))
}
