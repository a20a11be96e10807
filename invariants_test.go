package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// An invariant is a promise about every stack that this program writes, whatever its configuration.
// Goldens show that something changed and are rewritten when that is meant; an invariant says what
// must never change, and survives `make golden`.
//
// Each brings the ways to break it. So none can rot: one that no longer finds anything fails.
type invariant struct {
	promise string
	check   func(stack tree) violations
	shipped bool // about what config/ asks for; another configuration may ask for something else
	broken  []damage
}

// damage is one way to break a promise.
type damage struct {
	name   string           // what somebody did
	stack  string           // a golden's name, or a key of otherStacks
	breaks func(stack tree) // changes a copy of the stack; panics if there is nothing to change
	found  string           // what the violation must name
}

// violations say how a promise is broken, a line each: the address, and what is wrong with it.
type violations []string

// want adds a violation if something is not as it should be.
func (v *violations) want(ok bool, address, format string, args ...any) {
	v.wantFor(2, ok, address, format, args...)
}

// wantFor is want for the caller so many levels up.
func (v *violations) wantFor(level int, ok bool, address, format string, args ...any) {
	_, file, line, _ := runtime.Caller(level)
	denied.note(place{file, line}, !ok)
	if !ok {
		*v = append(*v, address+": "+fmt.Sprintf(format, args...))
	}
}

// place is where in the code something is wanted.
type place struct {
	file string
	line int
}

// denials tell, for each place in the code that wants something, whether it was ever denied.
type denials struct {
	sync.Mutex
	at map[place]bool
}

var denied = denials{at: map[place]bool{}}

func (d *denials) note(at place, isDenied bool) {
	d.Lock()
	defer d.Unlock()
	d.at[at] = d.at[at] || isDenied
}

// never are the places that nothing was ever denied at.
func (d *denials) never() []string {
	d.Lock()
	defer d.Unlock()
	var places []string
	for at, ever := range d.at {
		if !ever {
			places = append(places, fmt.Sprintf("%s:%d", filepath.Base(at.file), at.line))
		}
	}
	slices.Sort(places)
	return places
}

// invariants are all promises. Each list is in the file that is called like what it is about.
func invariants() []invariant {
	return slices.Concat(
		reachInvariants, balancerInvariants, // network, balancer
		orderInvariants, taskInvariants,
		storeInvariants, nameInvariants, lifeInvariants, // house
	)
}

func TestInvariantsHold(t *testing.T) {
	golden := shipped(t)
	stacks := append(slices.Clone(golden), slices.Sorted(maps.Keys(otherStacks))...)
	for _, name := range stacks {
		// A configuration that is no longer valid is said once, and not by each promise.
		stackOf(t, name)
	}
	for _, i := range invariants() {
		t.Run(i.promise, func(t *testing.T) {
			t.Parallel() // with the other promises: none changes a stack, and all are there
			for _, name := range stacks {
				if i.shipped && !slices.Contains(golden, name) {
					continue
				}
				for _, violation := range i.check(stackOf(t, name)) {
					t.Errorf("%s: %s", name, violation)
				}
			}
		})
	}
}

// TestInvariantsFindWhatIsBroken does every damage to a copy of a stack. At the end each condition
// in a check must have failed once: one that no damage touches may be written so that nothing can.
func TestInvariantsFindWhatIsBroken(t *testing.T) {
	clear(denied.at)
	cases, done := 0, atomic.Int64{}
	for _, i := range invariants() {
		cases += len(i.broken)
		t.Run(i.promise, func(t *testing.T) {
			if len(i.broken) == 0 {
				t.Fatal("nothing shows that this finds anything")
			}
			whole := map[string]violations{} // what is found in each stack before it is broken
			for _, d := range i.broken {
				if _, ok := whole[d.stack]; !ok {
					whole[d.stack] = i.check(stackOf(t, d.stack))
				}
			}
			t.Parallel() // with the other promises: each damage is done to a copy
			for _, d := range i.broken {
				t.Run(d.name, func(t *testing.T) {
					done.Add(1)
					before := whole[d.stack]
					stack := cloned(stackOf(t, d.stack)).(tree)
					apply(t, d, stack)
					named := false
					found := i.check(stack)
					for _, violation := range found {
						named = named || (!slices.Contains(before, violation) && strings.Contains(violation, d.found))
					}
					if !named {
						t.Errorf("nothing new is found that names %s; found: %q", d.found, found)
					}
				})
			}
		})
	}
	t.Cleanup(func() { // when the parallel ones have ended
		if int(done.Load()) < cases {
			return // -run chose some
		}
		for _, at := range denied.never() {
			t.Errorf("%s: nothing shows that this finds anything", at)
		}
	})
}

// apply does the damage; what cannot be done any more is a case that no longer tests anything.
func apply(t *testing.T, d damage, stack tree) {
	t.Helper()
	defer func() {
		if fault := recover(); fault != nil {
			t.Fatalf("cannot be broken so, since there is nothing to break: %v", fault)
		}
	}()
	d.breaks(stack)
}

func TestEveryInvariantHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, i := range invariants() {
		if seen[i.promise] {
			t.Errorf("%q is promised twice", i.promise)
		}
		seen[i.promise] = true
		cases := map[string]bool{}
		for _, d := range i.broken {
			if cases[d.name] {
				t.Errorf("%q is broken twice by %q", i.promise, d.name)
			}
			cases[d.name] = true
		}
	}
}

// ---- Stacks -------------------------------------------------------------------------------------

// otherStacks are configurations beside the shipped ones, chosen to have what those have not.
var otherStacks = map[string]struct{ environment, config string }{
	"two services": {"dev", `
services:
  web:
  jobs: {image: 'public.ecr.aws/docker/library/busybox:1.37.0', database: owner}
  plain: {image: 'quay.io/x/plain:1'}
`},
	"metrics": {"dev", `
services:
  web: {metrics: {enabled: true, port: 8080}, route: {hosts: [app.example.com], paths: ['/*']}}
  admin:
    image: quay.io/x/admin:1
    metrics: {enabled: true}
    route: {priority: 10, hosts: [admin.example.com], headers: {X-Inside: ['yes']}, sources: [203.0.113.0/24]}
`},
	"no NAT": {"dev", `
network:
  nat: none
  endpoints: [` + everyEndpoint + `]
` + privateImages + `
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1
    secrets: {SIGNATURE: 'arn:aws:ssm:eu-central-1:123456789012:parameter/web/signature'}
`},
	"no NAT and the fewest endpoints": {"dev", `
network: {nat: none, endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, secretsmanager, ssmmessages]}
` + privateImages + `
services: {web: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1'}}
`},
	"NAT and endpoints": {"dev", `
network: {nat: per-zone, zones: [a, b, c, d, e, f], endpoints: [ecr.api, logs]}
`},
	"a service with everything": {"dev", `
tags: {Team: shop, Owner: me, CostCenter: '42', Project: shop, Criticality: low, Data: internal}
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/web:1
    repository: true
    exec: true
    spot: false
    tasks: 2
    command: [serve, --port, '8080']
    environment: {GREETING: 'hello ${name}', LEVEL: debug}
    secrets:
      SIGNATURE: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:web/signature-AbCdEf:value::'
      LICENCE: arn:aws:ssm:eu-central-1:123456789012:parameter/web/licence
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000']
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::uploads/*']}]
    health_check: {command: [/healthy]}
    scaling: {max: 6, requests: 500, schedules: {night: ` + everyNight + `}}
`},
	"a restored database": {"dev", `
database:
  version: '18'
  active: yesterday
  restores:
    migrated: {snapshot: platform-dev-before-migration}
    yesterday: {time: '2026-11-22T03:00:00Z'}
`},
	"production over HTTP": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
database: {version: '14', storage: {initial: 500, max: 500}, restores: {copy: {snapshot: before}}}
backup: {object_lock: 30, retention: 400}
`},
	"production, to be destroyed": {"live", `
profile: production
protected: false
state: {backend: local}
load_balancer:
  domain: app.example.com
  certificate_arn: arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000
  sources: [203.0.113.0/24, 198.51.100.0/24]
`},
	// As long as names may be: 22 for the stack, 16 for a service, 14 for a region, 15
	// for a restored database.
	"the longest names": {"integration", `
name: warehouses
region: ap-southeast-1
services:
  web:
  abcdefghijklmnop:
    image: quay.io/x/y:1
    repository: true
    route: {priority: 10, paths: [/long/*]}
    metrics: {enabled: true}
    scaling: {max: 3, requests: 100, schedules: {abcdefghijklmnop: {at: 'cron(0 22 * * ? *)', min: 1, max: 2}}}
database: {restores: {abcdefghijklmno: {snapshot: before}}}
`},
	"services named like the platform's own parts": {"dev", `
services:
  web:
  alerts: {image: 'quay.io/x/y:1'}
  backup: {image: 'quay.io/x/y:1'}
  cluster: {image: 'quay.io/x/y:1'}
  vpc: {image: 'quay.io/x/y:1'}
network: {endpoints: [logs]}
`},
}

const (
	everyEndpoint = "aps-workspaces, ec2, ecr.api, ecr.dkr, ecs, kms, lambda, logs, monitoring, rds, " +
		"secretsmanager, sns, sqs, ssm, ssmmessages, sts, tagging"
	everyNight = "{at: 'cron(0 22 * * ? *)', timezone: Europe/Berlin, min: 1, max: 2}"
)

const privateImages = `
monitoring:
  prometheus:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/prometheus:v3
    config_image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/aws-cli:2
`

// synthesised keeps the stacks of otherStacks, which many tests look at and none changes. Tests in
// parallel read it only: it is filled before they begin.
var synthesised = map[string]tree{}

// stackOf synthesises a stack by name: a shipped environment, or one of otherStacks.
func stackOf(t *testing.T, name string) tree {
	t.Helper()
	if stack, ok := synthesised[name]; ok {
		return stack
	}
	other, ok := otherStacks[name]
	var stack tree
	if ok {
		config := other.config
		if !strings.Contains(config, "\nname:") {
			config = "name: platform\nregion: eu-central-1\n" + config
		}
		stack = synth(t, parse(t, other.environment, config), placeholder(t))
	} else {
		stack = cloned(shippedStack(t, name)).(tree)
	}
	readPolicies(t, stack)
	synthesised[name] = stack
	return stack
}

// policyNames say for each kind of resource that has a policy where that is, and how a document
// that holds it is called: the resource's name without the one ending and with the other.
var policyNames = map[string]struct{ path, without, with string }{
	"aws_iam_role":         {"assume_role_policy", "", "_trust"},
	"aws_iam_role_policy":  {"policy", "_policy", "_permissions"},
	"aws_kms_key":          {"policy", "", "_policy"},
	"aws_s3_bucket_policy": {"policy", "", "_document"},
	"aws_sns_topic_policy": {"policy", "", "_document"},
}

// readPolicies puts a document into a stack for each policy written as JSON, in the form of
// Terraform's aws_iam_policy_document, and a reference to it in the policy's place: so one can look
// into it, and break it, by a path.
func readPolicies(t *testing.T, stack tree) {
	t.Helper()
	documents := tree{}
	for kind, of := range policyNames {
		for _, r := range things(stack, kind) {
			if !r.has(of.path) {
				continue
			}
			name := strings.TrimSuffix(strings.TrimPrefix(r.address, kind+"."), of.without) + of.with
			documents[name] = readPolicy(t, r.address, r.text(of.path))
			r.body[of.path] = "${data.aws_iam_policy_document." + name + ".json}"
		}
	}
	stack["data"].(tree)["aws_iam_policy_document"] = documents
}

// oneOrMany are the values of a policy's element, which may be one that stands alone.
type oneOrMany []any

func (values *oneOrMany) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]any)(values))
	}
	*values = make(oneOrMany, 1)
	return json.Unmarshal(text, &(*values)[0])
}

func readPolicy(t *testing.T, address, text string) tree {
	t.Helper()
	var policy struct {
		Version   string
		Statement []struct {
			Sid, Effect                              string
			Principal, NotPrincipal                  map[string]oneOrMany
			Action, NotAction, Resource, NotResource oneOrMany
			Condition                                map[string]map[string]oneOrMany
		}
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&policy); err != nil || policy.Version != "2012-10-17" {
		t.Fatalf("%s: not a policy of this form: %v\n%s", address, err, text)
	}
	var statements []any
	for _, s := range policy.Statement {
		statement := tree{"sid": s.Sid, "effect": s.Effect}
		for name, list := range map[string]oneOrMany{
			"actions":       s.Action,
			"not_actions":   s.NotAction,
			"resources":     s.Resource,
			"not_resources": s.NotResource,
		} {
			if list != nil {
				statement[name] = []any(list)
			}
		}
		for name, who := range map[string]map[string]oneOrMany{
			"principals":     s.Principal,
			"not_principals": s.NotPrincipal,
		} {
			var list []any
			kinds := slices.Sorted(maps.Keys(who))
			slices.Reverse(kinds) // services first
			for _, kind := range kinds {
				for _, one := range who[kind] {
					of := kind
					if one == "*" {
						of = "*" // everyone
					}
					list = append(list, tree{"type": of, "identifiers": []any{one}})
				}
			}
			if list != nil {
				statement[name] = list
			}
		}
		var conditions []any
		for _, test := range slices.Sorted(maps.Keys(s.Condition)) {
			for _, key := range slices.Sorted(maps.Keys(s.Condition[test])) {
				conditions = append(conditions,
					tree{"test": test, "variable": key, "values": []any(s.Condition[test][key])})
			}
		}
		slices.SortFunc(conditions, func(a, b any) int {
			return strings.Compare(a.(tree)["variable"].(string), b.(tree)["variable"].(string))
		})
		if conditions != nil {
			statement["condition"] = conditions
		}
		statements = append(statements, statement)
	}
	return tree{"statement": statements}
}

func cloned(value any) any {
	switch v := value.(type) {
	case tree:
		copied := tree{}
		for key, below := range v {
			copied[key] = cloned(below)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, below := range v {
			copied[i] = cloned(below)
		}
		return copied
	}
	return value
}

// ---- Reading a stack ----------------------------------------------------------------------------

// thing is a resource or a data source (whose address begins with data.), or a part of one, with
// the address to name it by.
type thing struct {
	address string
	body    tree
}

// things are a stack's resources of the kinds given, or all, in the order of their addresses.
func things(stack tree, kinds ...string) []thing { return section(stack, "resource", "", kinds) }

// sources are its data sources.
func sources(stack tree, kinds ...string) []thing { return section(stack, "data", "data.", kinds) }

func section(stack tree, name, prefix string, kinds []string) []thing {
	var all []thing
	of, _ := stack[name].(tree)
	for kind, named := range of {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		for id, body := range named.(tree) {
			all = append(all, thing{prefix + kind + "." + id, body.(tree)})
		}
	}
	slices.SortFunc(all, func(a, b thing) int { return strings.Compare(a.address, b.address) })
	return all
}

// get finds a resource or data source by its address; one that is not there has an empty body.
func get(stack tree, address string) thing {
	section, rest := "resource", address
	if below, ok := strings.CutPrefix(address, "data."); ok {
		section, rest = "data", below
	}
	body, _ := dig(stack, section+"."+rest).(tree)
	return thing{address, body}
}

func (r thing) exists() bool { return r.body != nil }

func (r thing) kind() string { return strings.Split(strings.TrimPrefix(r.address, "data."), ".")[0] }

func (r thing) id() string { return r.address[strings.LastIndexByte(r.address, '.')+1:] }

// dig follows a path such as rule.0.status; nil if it leads nowhere.
func dig(value any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case tree:
			value = v[step]
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index >= len(v) {
				return nil
			}
			value = v[index]
		default:
			return nil
		}
	}
	return value
}

func (r thing) at(path string) any { return dig(r.body, path) }

func (r thing) has(path string) bool { return r.at(path) != nil }

// is compares a string, a number (float64, as JSON has them) or a bool. What is absent
// is none of them.
func (r thing) is(path string, want any) bool { return r.at(path) == want }

func (r thing) text(path string) string {
	text, _ := r.at(path).(string)
	return text
}

// number is not-a-number for what is absent, so it is neither more nor less than anything.
func (r thing) number(path string) float64 {
	switch v := r.at(path).(type) {
	case float64:
		return v
	case string: // as Terraform has some of them, such as a task's cpu
		if number, err := strconv.ParseFloat(v, 64); err == nil {
			return number
		}
	}
	return math.NaN()
}

func (r thing) strings(path string) []string {
	list, _ := r.at(path).([]any)
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// parts are the objects of a list, such as a listener rule's conditions.
func (r thing) parts(path string) []thing {
	list, _ := r.at(path).([]any)
	var all []thing
	for _, item := range list {
		if body, ok := item.(tree); ok {
			all = append(all, thing{r.address, body})
		}
	}
	return all
}

var (
	interpolation = regexp.MustCompile(`\$\{[^}]*\}`)
	reference     = regexp.MustCompile(`(?:data\.)?(?:aws_[a-z0-9_]+|terraform_data)\.[A-Za-z0-9_-]+`)
)

// references are the addresses that a value's expressions name, sorted. $${ is an escaped
// ${, and no expression.
func references(value any) []string {
	found := map[string]bool{}
	eachString(value, func(_, text string) {
		if !strings.Contains(text, "${") {
			return
		}
		for _, expression := range interpolation.FindAllString(strings.ReplaceAll(text, "$${", ""), -1) {
			for _, address := range addressesIn(expression) {
				found[address] = true
			}
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// addressesIn looks through each expression once: most of them stand in every stack, and in every
// copy of one.
func addressesIn(expression string) []string {
	if known, ok := knownExpressions.Load(expression); ok {
		return known.([]string)
	}
	addresses := reference.FindAllString(expression, -1)
	knownExpressions.Store(expression, addresses)
	return addresses
}

var knownExpressions sync.Map // an expression: the addresses in it

func (r thing) refs(path string) []string { return references(r.at(path)) }

// ref is the one address that an argument names; empty if it names none or several.
func (r thing) ref(path string) string {
	if all := r.refs(path); len(all) == 1 {
		return all[0]
	}
	return ""
}

// referring are those of the things whose argument names an address.
func referring(all []thing, path, address string) []thing {
	return keep(all, func(r thing) bool { return slices.Contains(r.refs(path), address) })
}

func keep(all []thing, which func(thing) bool) []thing {
	return slices.DeleteFunc(slices.Clone(all), func(r thing) bool { return !which(r) })
}

// eachString calls f for every string in a value, with the path to it.
func eachString(value any, f func(path, text string)) { stringsBelow("", value, f) }

func stringsBelow(path string, value any, f func(path, text string)) {
	switch v := value.(type) {
	case string:
		f(path, v)
	case tree:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			stringsBelow(strings.TrimPrefix(path+"."+key, "."), v[key], f)
		}
	case []any:
		for i, item := range v {
			stringsBelow(fmt.Sprintf("%s.%d", path, i), item, f)
		}
	case []string:
		for i, item := range v {
			f(fmt.Sprintf("%s.%d", path, i), item)
		}
	}
}

// resolved replaces what AWS decides by something of the same length, and references to
// arguments by their values.
func resolved(stack tree, text string) string {
	return interpolation.ReplaceAllStringFunc(text, func(expression string) string {
		inside := strings.TrimSuffix(strings.TrimPrefix(expression, "${"), "}")
		switch {
		case inside == "data.aws_caller_identity.caller.account_id":
			return "123456789012"
		case strings.HasPrefix(inside, "terraform_data.") && strings.HasSuffix(inside, ".output.made"):
			return "20261123030000"
		}
		if address := reference.FindString(inside); address != "" {
			if value := get(stack, address).text(strings.TrimPrefix(inside, address+".")); value != "" {
				return resolved(stack, value)
			}
		}
		return expression
	})
}

// stackName is <application>-<environment>, from the tags that every resource gets.
func stackName(stack tree) string {
	tags, _ := dig(stack, "provider.aws.0.default_tags.0.tags").(tree)
	return fmt.Sprint(tags["Application"], "-", tags["Environment"])
}

func region(stack tree) string { return fmt.Sprint(dig(stack, "provider.aws.0.region")) }

// ---- What is made before what -------------------------------------------------------------------

// order holds, for each address, those that it depends on directly: by depends_on,
// or by naming them.
type order map[string][]string

func orderOf(stack tree) order {
	o := order{}
	for _, r := range append(things(stack), sources(stack)...) {
		o[r.address] = append(r.strings("depends_on"), references(r.body)...)
	}
	return o
}

// before are all addresses that are there before one is made, and are gone only after it.
func (o order) before(address string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(at string) {
		for _, next := range o[at] {
			if !seen[next] {
				seen[next] = true
				visit(next)
			}
		}
	}
	visit(address)
	return seen
}

// wantBefore adds a violation for each of the things that r does not depend on.
func (v *violations) wantBefore(o order, r thing, needed []thing, why string) {
	before := o.before(r.address)
	for _, n := range needed {
		v.wantFor(2, before[n.address], r.address, "does not depend on %s: %s", n.address, why)
	}
}

// ---- Tasks --------------------------------------------------------------------------------------

// runningTask is an ECS service with what it runs. A container is a thing, under its task
// definition's address and its name.
type runningTask struct {
	service, definition thing
	containers          []thing
	group               string // address of its security group
}

func tasks(stack tree) []runningTask {
	var all []runningTask
	for _, service := range things(stack, "aws_ecs_service") {
		definition := get(stack, service.ref("task_definition"))
		containers, _ := containersOf(definition)
		group := service.ref("network_configuration.security_groups")
		all = append(all, runningTask{service, definition, containers, group})
	}
	return all
}

func containersOf(definition thing) ([]thing, error) {
	var list []tree
	if err := json.Unmarshal([]byte(definition.text("container_definitions")), &list); err != nil {
		return nil, err
	}
	var containers []thing
	for _, body := range list {
		containers = append(containers, thing{definition.address + " container " + fmt.Sprint(body["name"]), body})
	}
	return containers, nil
}

// variables are a container's environment or secrets, by name.
func variables(container thing, list, value string) map[string]string {
	all := map[string]string{}
	for _, v := range container.parts(list) {
		all[v.text("name")] = v.text(value)
	}
	return all
}

// usesDatabase tells whether the task is told where the database is, and which one that is.
func (t runningTask) usesDatabase() (address string, uses bool) {
	for _, c := range t.containers {
		if host, ok := variables(c, "environment", "value")["PGHOST"]; ok {
			return strings.Join(references(host), " "), true
		}
	}
	return "", false
}

func (t runningTask) metricsPort() (int, bool) {
	port := t.service.number("tags.MetricsPort")
	return int(port), !math.IsNaN(port)
}

func (t runningTask) name() string { return t.service.text("name") }

// ---- Doing damage -------------------------------------------------------------------------------

// What is damaged most.
const (
	ingress = "aws_vpc_security_group_ingress_rule."
	egress  = "aws_vpc_security_group_egress_rule."

	balancerGroup   = "aws_security_group.load_balancer_security_group"
	webGroup        = "aws_security_group.service_web_security_group"
	prometheusGroup = "aws_security_group.prometheus_security_group"
	databaseGroup   = "aws_security_group.database_security_group"
	defaultGroup    = "aws_default_security_group.default_security_group"

	balancer      = "aws_lb.load_balancer"
	httpsListener = "aws_lb_listener.https_listener"
	httpListener  = "aws_lb_listener.http_listener"
	webRule       = "aws_lb_listener_rule.service_web_listener_rule"
	webTargets    = "aws_lb_target_group.service_web_target_group"
	hidingRule    = "aws_lb_listener_rule.service_web_metrics_hiding_rule"
	firewall      = "aws_wafv2_web_acl.firewall"
	firewallLogs  = "aws_wafv2_web_acl_logging_configuration.firewall_logging"

	webService           = "aws_ecs_service.service_web_service"
	webDefinition        = "aws_ecs_task_definition.service_web_task_definition"
	webScaling           = "aws_appautoscaling_policy.service_web_scaling_cpu"
	requestScaling       = "aws_appautoscaling_policy.service_web_scaling_requests"
	webScalingTarget     = "aws_appautoscaling_target.service_web_scaling_target"
	prometheusService    = "aws_ecs_service.prometheus_service"
	prometheusDefinition = "aws_ecs_task_definition.prometheus_task_definition"

	database   = "aws_db_instance.database"
	parameters = "aws_db_parameter_group.database_parameter_group"

	theFunction    = "aws_lambda_function.backup_function"
	retryConfig    = "aws_lambda_function_event_invoke_config.backup_function_retries"
	backupSchedule = "aws_scheduler_schedule.backup_schedule"
	topicPolicy    = "aws_sns_topic_policy.alerts_topic_policy"

	cpuAlarm        = "aws_cloudwatch_metric_alarm.database_cpu_alarm"
	tasksAlarm      = "aws_cloudwatch_metric_alarm.service_web_too_few_tasks_alarm"
	errorsAlarm     = "aws_cloudwatch_metric_alarm.load_balancer_errors_alarm"
	ageAlarm        = "aws_cloudwatch_metric_alarm.backup_age_alarm"
	deploymentAlarm = "aws_cloudwatch_metric_alarm.service_web_deployment_errors_alarm"
	theDashboard    = "aws_cloudwatch_dashboard.dashboard"

	backupBucket = "aws_s3_bucket.backup_bucket"
	logsBucket   = "aws_s3_bucket.access_logs_bucket"
	execLogs     = "aws_cloudwatch_log_group.exec_log_group"

	// Policy documents.
	functionDocument   = "data.aws_iam_policy_document.backup_function_role_permissions"
	functionTrust      = "data.aws_iam_policy_document.backup_function_role_trust"
	executionDocument  = "data.aws_iam_policy_document.service_web_execution_role_permissions"
	executionTrust     = "data.aws_iam_policy_document.service_web_execution_role_trust"
	prometheusDocument = "data.aws_iam_policy_document.prometheus_task_role_permissions"
	flowLogDocument    = "data.aws_iam_policy_document.flow_log_role_permissions"
	logsKeyDocument    = "data.aws_iam_policy_document.logs_key_policy"
	alertsKeyDocument  = "data.aws_iam_policy_document.alerts_key_policy"
	topicDocument      = "data.aws_iam_policy_document.alerts_topic_policy_document"
	logsBucketDocument = "data.aws_iam_policy_document.access_logs_bucket_policy_document"
)

// must finds what is to be damaged.
func must(stack tree, address string) thing {
	r := get(stack, address)
	if !r.exists() {
		panic(address + " is not in this stack")
	}
	return r
}

// change gives an argument that is there another value.
func change(address, path string, value any) func(tree) {
	return func(stack tree) {
		if !must(stack, address).has(path) {
			panic(address + " has no " + path)
		}
		assign(stack, address, path, value)
	}
}

// add gives a new argument.
func add(address, path string, value any) func(tree) {
	return func(stack tree) {
		if must(stack, address).has(path) {
			panic(address + " has " + path + " already")
		}
		assign(stack, address, path, value)
	}
}

func assign(stack tree, address, path string, value any) {
	holder, last := any(must(stack, address).body), path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		holder, last = dig(holder, path[:i]), path[i+1:]
	}
	switch h := holder.(type) {
	case tree:
		h[last] = value
	case []any:
		index, err := strconv.Atoi(last)
		if err != nil {
			panic(address + " has a list at " + path)
		}
		h[index] = value
	default:
		panic(address + " has no place for " + path)
	}
}

// unset takes an argument away.
func unset(address, path string) func(tree) {
	return func(stack tree) {
		change(address, path, nil)(stack)
		holder, last := any(must(stack, address).body), path
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			holder, last = dig(holder, path[:i]), path[i+1:]
		}
		delete(holder.(tree), last)
	}
}

// replace changes part of a text.
func replace(address, path, old, with string) func(tree) {
	return func(stack tree) {
		before := must(stack, address).text(path)
		if !strings.Contains(before, old) {
			panic(address + " has no " + old + " in " + path)
		}
		assign(stack, address, path, strings.ReplaceAll(before, old, with))
	}
}

// drop takes a resource or data source away.
func drop(address string) func(tree) {
	return func(stack tree) {
		must(stack, address)
		in := "resource"
		if below, ok := strings.CutPrefix(address, "data."); ok {
			in, address = "data", below
		}
		kind, id, _ := strings.Cut(address, ".")
		delete(dig(stack, in+"."+kind).(tree), id)
	}
}

// put declares a new resource, with a copy of a body.
func put(address string, body tree) func(tree) {
	return func(stack tree) {
		if get(stack, address).exists() {
			panic(address + " is there already")
		}
		kind, id, _ := strings.Cut(address, ".")
		all := stack["resource"].(tree)
		if all[kind] == nil {
			all[kind] = tree{}
		}
		all[kind].(tree)[id] = cloned(body)
	}
}

// copied declares a new resource like another, with one argument changed.
func copied(address, as, path string, value any) func(tree) {
	return func(stack tree) {
		put(as, must(stack, address).body)(stack)
		assign(stack, as, path, value)
	}
}

// undepend takes an address out of depends_on, or all of a kind, written with the
// dot that follows it.
func undepend(address, on string) func(tree) {
	return func(stack tree) {
		r := must(stack, address)
		list, rest := r.strings("depends_on"), []any{}
		for _, other := range list {
			ofKind := strings.HasSuffix(on, ".") && strings.HasPrefix(other, on)
			if other != on && !ofKind {
				rest = append(rest, other)
			}
		}
		if len(rest) == len(list) {
			panic(address + " does not depend on " + on)
		}
		r.body["depends_on"] = rest
	}
}

// inContainer damages one container of a task definition.
func inContainer(definition, name string, do func(container tree)) func(tree) {
	return func(stack tree) {
		containers, err := containersOf(must(stack, definition))
		if err != nil {
			panic(err)
		}
		done := false
		var list []tree
		for _, c := range containers {
			if c.text("name") == name {
				do(c.body)
				done = true
			}
			list = append(list, c.body)
		}
		if !done {
			panic(definition + " has no container " + name)
		}
		assign(stack, definition, "container_definitions", marshal(list))
	}
}

// with sets one field of a container; remove takes one away.
func with(field string, value any) func(tree) {
	return func(container tree) { container[field] = value }
}

func without(field string) func(tree) {
	return func(container tree) {
		if container[field] == nil {
			panic("the container has no " + field)
		}
		delete(container, field)
	}
}

// both does one damage after the other.
func both(all ...func(tree)) func(tree) {
	return func(stack tree) {
		for _, do := range all {
			do(stack)
		}
	}
}
