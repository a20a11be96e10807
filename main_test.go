package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"platform/internal/bundle"
	"platform/internal/config"
	"platform/internal/golden"
	"platform/internal/testfiles"
)

// asProgram, in the environment, makes the test binary the program.
const asProgram = "PLATFORM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	flag.Parse()
	if err := prepareNode(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 0
	if folder := os.Getenv(stockFolder); folder != "" {
		code = writeStock(folder)
	} else {
		code = m.Run()
	}
	closeJSII()
	os.Exit(code)
}

// tree is a stack's JSON, parsed.
type tree = map[string]any

// load reads a shipped environment.
func load(t *testing.T, environment string) *config.Config {
	t.Helper()
	cfg, _, err := config.Load(".", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// parse is a configuration written out in a test; it must be valid.
func parse(t *testing.T, environment, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("config/"+environment+".yaml", environment, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// placeholder stands for the compiled function where a test does not look at it.
func placeholder(t *testing.T) functionBundles {
	t.Helper()
	zip := filepath.Join(t.TempDir(), "backup.zip")
	if err := os.WriteFile(zip, []byte("a zip"), 0o644); err != nil {
		t.Fatal(err)
	}
	same := bundle.Function{Zip: zip, Hash: strings.Repeat("0", 64)}
	return functionBundles{same, same}
}

// synth gives what app.Synth() writes for a configuration, without cdktf's own notes under "//".
func synth(t *testing.T, cfg *config.Config, functions functionBundles) tree {
	t.Helper()
	folder := t.TempDir()
	if err := build(cfg, functions, folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "stacks", cfg.Stack(), "cdk.tf.json"))
	if err != nil {
		t.Fatal(err)
	}
	var stack tree
	if err := json.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	withoutNotes(stack)
	return stack
}

func withoutNotes(value any) {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "//")
		for _, below := range v {
			withoutNotes(below)
		}
	case []any:
		for _, below := range v {
			withoutNotes(below)
		}
	}
}

// text is a stack to be compared: indented, keys sorted, nothing escaped that need not be.
func text(t *testing.T, stack tree) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(stack); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// addresses lists a stack's resources as Terraform calls them.
func addresses(stack tree) []string {
	var all []string
	resources, _ := stack["resource"].(tree)
	for kind, named := range resources {
		for name := range named.(tree) {
			all = append(all, kind+"."+name)
		}
	}
	slices.Sort(all)
	return all
}

// shipped are the environments in config/.
func shipped(t *testing.T) []string {
	t.Helper()
	return testfiles.Names(t, "config/*.yaml")
}

// shippedStacks keeps the stacks of the environments in config/, which many tests look at and none
// changes.
var shippedStacks = map[string]tree{}

// shippedStack synthesises an environment in config/, with the functions that are deployed.
func shippedStack(t *testing.T, environment string) tree {
	t.Helper()
	if stack, ok := shippedStacks[environment]; ok {
		return stack
	}
	functions, err := buildFunctions()
	if err != nil {
		t.Fatal(err)
	}
	stack := synth(t, load(t, environment), functions)
	shippedStacks[environment] = stack
	return stack
}

// An address that disappears is a resource that the next deployment destroys. It may, if the stack
// moves it or testdata/removed.addresses says that it is meant, a line `environment address`.
func TestNoAddressDisappears(t *testing.T) {
	for _, environment := range shipped(t) {
		t.Run(environment, func(t *testing.T) {
			stack := shippedStack(t, environment)
			got := addresses(stack)
			file := filepath.Join("testdata", environment+".addresses")
			before, err := os.ReadFile(file)
			first := *golden.Update && os.IsNotExist(err)
			if err != nil && !first {
				t.Fatal(err)
			}
			removed, err := os.ReadFile("testdata/removed.addresses")
			if err != nil {
				t.Fatal(err)
			}
			gone := disappeared(environment, strings.Fields(string(before)), got, stack, string(removed))
			for _, address := range gone {
				t.Errorf("%s is in %s and no longer in the stack: the next deployment would destroy it", address, file)
			}
			if *golden.Update && len(gone) == 0 {
				if err := os.WriteFile(file, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
				before = []byte(strings.Join(got, "\n"))
			}
			for _, address := range got {
				if !slices.Contains(strings.Fields(string(before)), address) {
					t.Errorf("%s is new: run `make golden`", address)
				}
			}
		})
	}
}

// disappeared are the addresses of before that are neither in now nor moved by the stack nor listed
// as removed on purpose.
func disappeared(environment string, before, now []string, stack tree, removed string) []string {
	excused := map[string]bool{}
	for line := range strings.SplitSeq(removed, "\n") {
		if of, address, ok := strings.Cut(strings.TrimSpace(line), " "); ok && of == environment {
			excused[strings.TrimSpace(address)] = true
		}
	}
	moves, _ := stack["moved"].([]any)
	for _, move := range moves {
		if from, ok := move.(tree)["from"].(string); ok {
			excused[from] = true
		}
	}
	var gone []string
	for _, address := range before {
		if !slices.Contains(now, address) && !excused[address] {
			gone = append(gone, address)
		}
	}
	return gone
}

func TestDisappearedAddressesAreExcusedOnlyOnPurpose(t *testing.T) {
	moved := tree{"moved": []any{tree{"from": "aws_vpc.old", "to": "aws_vpc.vpc"}}}
	otherMoved := tree{"moved": []any{tree{"from": "aws_vpc.other", "to": "aws_vpc.vpc"}}}
	before, now := []string{"aws_vpc.old", "aws_vpc.vpc"}, []string{"aws_vpc.vpc"}
	for name, c := range map[string]struct {
		stack   tree
		removed string
		want    []string
	}{
		"lost":                    {stack: tree{}, want: []string{"aws_vpc.old"}},
		"moved":                   {stack: moved},
		"listed":                  {stack: tree{}, removed: "# why\ndev aws_vpc.old\n"},
		"listed for another":      {stack: tree{}, removed: "prod aws_vpc.old\n", want: []string{"aws_vpc.old"}},
		"something else is moved": {stack: otherMoved, want: []string{"aws_vpc.old"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := disappeared("dev", before, now, c.stack, c.removed)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// ---- What may change when one thing changes -----------------------------------------------------

func TestOneChangeTouchesOneThing(t *testing.T) {
	const base = "name: shop\nregion: eu-central-1\n"
	before := synth(t, parse(t, "dev", base), placeholder(t))
	for name, c := range map[string]struct {
		config  string
		added   []string // every added address contains one of these
		changed []string // exactly these change
	}{
		"a second service, without a route": {
			config: base + "services:\n  web: {" + demonstration + "}\n" +
				"  jobs: {image: 'public.ecr.aws/docker/library/busybox:1.37.0'}\n",
			added: []string{".service_jobs_"},
			changed: []string{
				"aws_cloudwatch_dashboard.dashboard", // shows it
			},
		},
		"a second service, on another host": {
			config: base + "services:\n  web: {" + demonstration + "}\n" +
				"  admin: {image: 'quay.io/x/y:1', route: {priority: 10, hosts: [admin.example.com]}}\n",
			added:   []string{".service_admin_"},
			changed: []string{"aws_cloudwatch_dashboard.dashboard"},
		},
		"a second service, like the first": {
			config: base + "services:\n  web: {" + demonstration + "}\n" +
				"  worker: {like: web, command: [work], database: {access: none}}\n",
			added:   []string{".service_worker_"},
			changed: []string{"aws_cloudwatch_dashboard.dashboard"},
		},
		"a third zone": {
			config: base + "network: {zones: [a, b, c]}\n",
			added:  []string{"_c"},
			changed: []string{ // all list the subnets that they may use
				"aws_db_subnet_group.database_subnet_group",
				"aws_ecs_service.prometheus_service",
				"aws_ecs_service.service_web_service",
				"aws_lambda_function.database_function",
				"aws_lb.load_balancer",
				"aws_scheduler_schedule.database_dump_schedule",
			},
		},
		"another image": {
			config: base + "services: {web: {" +
				strings.Replace(demonstration, config.DefaultImage, "quay.io/x/y:1", 1) + "}}\n",
			changed: []string{"aws_ecs_task_definition.service_web_task_definition"},
		},
		"more tasks": {
			config: base + "services: {web: {" + demonstration + ", tasks: 3}}\n",
			changed: []string{
				"aws_cloudwatch_metric_alarm.service_web_too_few_tasks_alarm",
				"aws_ecs_service.service_web_service",
			},
		},
		"longer retention of backups": {
			config: base + "backup: {retention: 14}\n",
			changed: []string{
				"aws_lambda_function.backup_function",
				"aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle",
			},
		},
		"an address for alarms": {
			config: base + "monitoring: {emails: [a@example.com]}\n",
			added:  []string{"aws_sns_topic_subscription."},
		},
		"a second service, with a database of its own": {
			config: base + "services:\n  web: {" + demonstration + "}\n" +
				"  reports: {image: 'quay.io/x/y:1', database: {access: owner, name: reports}}\n",
			added: []string{".service_reports_", ".database_dump_reports_"},
			changed: []string{
				"aws_cloudwatch_dashboard.dashboard",
				"aws_iam_role_policy.database_function_role_policy",
				"aws_lambda_function.backup_function", // looks for its dumps
				"aws_lambda_function.database_function",
				"aws_lambda_invocation.database_roles",
			},
		},
		"another database": {
			config: base + "services: {web: {" + strings.Replace(demonstration, "access: owner",
				"access: owner, name: shop", 1) + "}}\n",
			added: []string{".database_dump_shop_"},
			changed: []string{
				"aws_ecs_task_definition.service_web_task_definition",
				"aws_lambda_function.backup_function", // looks for its dumps
				"aws_lambda_function.database_function",
				"aws_lambda_invocation.database_roles",
			},
		},
		"the name of the database of all": {
			config: base + "services: {web: {" + strings.Replace(demonstration, "access: owner",
				"access: owner, name: app", 1) + "}}\n",
		},
		"another priority": {
			config:  base + "services: {web: {" + unrouted + ", route: {paths: ['/*'], priority: 7}}}\n",
			changed: []string{"aws_lb_listener_rule.service_web_listener_rule"},
		},
		"another status for requests that match no route": {
			config:  base + "load_balancer: {default_status: 404}\n",
			changed: []string{httpListener},
		},
		"an account to be sure of": {config: base + "account: '123456789012'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			after := synth(t, parse(t, "dev", c.config), placeholder(t))
			added, removed, changed := compare(before, after)
			for _, address := range added {
				if !slices.ContainsFunc(c.added, func(part string) bool { return strings.Contains(address, part) }) {
					t.Errorf("adds %s", address)
				}
			}
			if len(c.added) > 0 && len(added) == 0 {
				t.Error("adds nothing")
			}
			if len(removed) > 0 {
				t.Errorf("removes %v", removed)
			}
			if !slices.Equal(changed, c.changed) {
				t.Errorf("changes %v, want %v", changed, c.changed)
			}
		})
	}
}

// ECS gives a task its service's tags when it starts: only a new task definition starts tasks.
func TestChangeOfTheMetricsPathIsANewTaskDefinition(t *testing.T) {
	const with = minimal + "services: {web: {" + demonstration + ", metrics: {enabled: true, port: 9090, path: %s}}}\n"
	before := synth(t, parse(t, "dev", fmt.Sprintf(with, "/metrics")), placeholder(t))
	after := synth(t, parse(t, "dev", fmt.Sprintf(with, "/other")), placeholder(t))
	_, _, changed := compare(before, after)
	want := []string{
		"aws_ecs_service.service_web_service", // its tags
		"aws_ecs_task_definition.service_web_task_definition",
	}
	if !slices.Equal(changed, want) {
		t.Errorf("changes %v, want %v", changed, want)
	}
}

// A single NAT gateway is in the zone that the file names first: a zone that is added behind
// it, whatever its letter, leaves it there.
func TestAZoneAddedBeforeTheOthersTouchesNoneOfTheirs(t *testing.T) {
	const zones = "name: shop\nregion: eu-central-1\nnetwork: {zones: %s}\n"
	before := synth(t, parse(t, "dev", fmt.Sprintf(zones, "[b, c]")), placeholder(t))
	after := synth(t, parse(t, "dev", fmt.Sprintf(zones, "[b, c, a]")), placeholder(t))
	added, removed, changed := compare(before, after)
	if len(added) == 0 || len(removed) > 0 {
		t.Errorf("adds %v and removes %v", added, removed)
	}
	for _, address := range slices.Concat(added, changed) {
		if strings.HasSuffix(address, "_b") || strings.HasSuffix(address, "_c") {
			t.Errorf("touches %s", address)
		}
	}
}

// Zones are a set, but for the first: the single NAT gateway stands there.
func TestOrderOfZonesMovesOnlyTheSingleNATGateway(t *testing.T) {
	perZone := "name: shop\nregion: eu-central-1\nnetwork: {nat: per-zone, zones: %s}\n"
	one := synth(t, parse(t, "dev", fmt.Sprintf(perZone, "[a, b, c]")), placeholder(t))
	other := synth(t, parse(t, "dev", fmt.Sprintf(perZone, "[c, a, b]")), placeholder(t))
	if diff := golden.FirstDifference(string(text(t, one)), string(text(t, other))); diff != "" {
		t.Errorf("the order of zones shows:\n%s", diff)
	}
}

func TestAnotherEnvironmentHasTheSameAddresses(t *testing.T) {
	const base = "name: shop\nregion: eu-central-1\n"
	one := addresses(synth(t, parse(t, "dev", base), placeholder(t)))
	other := addresses(synth(t, parse(t, "staging", base), placeholder(t)))
	if !slices.Equal(one, other) {
		t.Errorf("the environment's name is in an id: %v and %v", one, other)
	}
}

// compare lists the addresses that two stacks differ in.
func compare(before, after tree) (added, removed, changed []string) {
	old, now := flatten(before), flatten(after)
	for _, address := range slices.Sorted(maps.Keys(now)) {
		switch was, ok := old[address]; {
		case !ok:
			added = append(added, address)
		case was != now[address]:
			changed = append(changed, address)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(old)) {
		if _, ok := now[address]; !ok {
			removed = append(removed, address)
		}
	}
	return added, removed, changed
}

// flatten gives each resource's JSON by its address. What an object depends on is left out: it
// decides the order of a deployment, not the object.
func flatten(stack tree) map[string]string {
	out := map[string]string{}
	for kind, named := range stack["resource"].(tree) {
		for name, body := range named.(tree) {
			body := maps.Clone(body.(tree))
			delete(body, "depends_on")
			text, _ := json.Marshal(body)
			out[kind+"."+name] = string(text)
		}
	}
	return out
}
