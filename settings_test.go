package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// ---- The schema and the table ----------------------------------------------------------------------------------------

// comments are the comments beside the fields of config.go, as Type.Field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.TypeSpec); ok {
			if body, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range body.Fields.List {
					texts[spec.Name.Name+"."+field.Names[0].Name] = strings.TrimSpace(field.Comment.Text())
				}
			}
		}
		return true
	})
	return texts
}

// setting is what the table and the schema say of one field.
type setting struct {
	path        string // with <name> for the key of a map and nothing for the place in a list
	kind        reflect.Type
	allowed     allowed
	description string
	children    []setting // of a struct, a map of structs or a list of them
}

// settingsOf are the fields of a type, in the order in which they are declared.
func settingsOf(texts map[string]string, path string, kind reflect.Type) (all []setting) {
	for i := range kind.NumField() {
		field := kind.Field(i)
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		s := setting{
			path: strings.TrimPrefix(path+"."+key, "."), kind: field.Type, allowed: readAllowed(field.Tag), description: texts[kind.Name()+"."+field.Name],
		}
		switch element := elementOf(field.Type); {
		case field.Type.Kind() == reflect.Struct:
			s.children = settingsOf(texts, s.path, field.Type)
		case element != nil && element.Kind() == reflect.Struct && field.Type.Kind() == reflect.Map:
			s.children = settingsOf(texts, s.path+".<name>", element)
		case element != nil && element.Kind() == reflect.Struct:
			s.children = settingsOf(texts, s.path, element)
		}
		all = append(all, s)
	}
	return all
}

func elementOf(kind reflect.Type) reflect.Type {
	if kind.Kind() == reflect.Map || kind.Kind() == reflect.Slice {
		return kind.Elem()
	}
	return nil
}

func (s setting) unit() string { return s.allowed.unit }

// limits are what may stand there, for a person.
func (s setting) limits() string {
	a := s.allowed
	switch {
	case a.numbered:
		return choose(a.orZero, "0, ", "") + fmt.Sprintf("%d to %d", a.low, a.high)
	case len(a.values) > 6:
		return "[these](config/schema.json)"
	case len(a.values) > 0:
		return "`" + strings.Join(a.values, "`, `") + "`"
	}
	return ""
}

// kindInFile is how the type is called where a file is written.
func kindInFile(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Int:
		return "number"
	case reflect.Bool:
		return "true/false"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	}
	return "text"
}

// defaultAt is what a profile has at a path, as it would stand in a file.
func defaultAt(profile, path string) string {
	cfg := defaultConfig(profile)
	value := reflect.ValueOf(cfg)
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if part == "<name>" {
			switch strings.Join(parts[:i], ".") {
			case "services":
				value = reflect.ValueOf(defaultService("", profile))
			case "database.restores":
				value = reflect.ValueOf(RestoreConfig{Protected: true})
			default:
				value = reflect.Zero(value.Type().Elem())
			}
			continue
		}
		if value.Kind() == reflect.Slice {
			return ""
		}
		for j := range value.NumField() {
			if value.Type().Field(j).Tag.Get("yaml") == part {
				value = value.Field(j)
				break
			}
		}
	}
	text := inYAML(value)
	if i := strings.IndexByte(text, '@'); i > 0 {
		text = text[strings.LastIndexByte(text[:i], '/')+1 : i] // an image without its digest
	}
	return text
}

// table is the README's list of settings.
func table(t *testing.T) string {
	var out strings.Builder
	row := func(cells ...string) {
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", "\\|")
		}
		out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	var walk func(all []setting)
	walk = func(all []setting) {
		for _, s := range all {
			if s.children != nil {
				walk(s.children)
				continue
			}
			development, production := defaultAt(profileDevelopment, s.path), defaultAt(profileProduction, s.path)
			if production == development {
				production = choose(development == "-", "-", "the same")
			}
			kind := kindInFile(s.kind)
			if s.unit() != "" {
				kind = s.unit()
			}
			row("`"+s.path+"`", s.description, kind, s.limits(), development, production)
		}
	}
	row("setting", "what it is", "type or unit", "allowed", "development", "production")
	row("---", "---", "---", "---", "---", "---")
	walk(settingsOf(comments(t), "", reflect.TypeFor[Config]()))
	return out.String()
}

// schema is a JSON schema of the file, for editors: https://json-schema.org/draft-07
func schema(t *testing.T) []byte {
	t.Helper()
	properties := schemaOf(settingsOf(comments(t), "", reflect.TypeFor[Config]()))
	properties["$schema"] = "http://json-schema.org/draft-07/schema#"
	properties["title"] = "One environment of the platform"
	properties["required"] = []string{"name", "region"}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(properties); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func schemaOf(all []setting) tree {
	properties := tree{}
	for _, s := range all {
		var node tree
		switch element := elementOf(s.kind); {
		case s.kind.Kind() == reflect.Map && element.Kind() == reflect.Struct:
			// Of a service `web:` alone is enough.
			node = tree{"type": "object", "additionalProperties": tree{"anyOf": []any{schemaOf(s.children), tree{"type": "null"}}}}
		case s.kind.Kind() == reflect.Map && element.Kind() == reflect.Slice:
			node = tree{"type": "object", "additionalProperties": tree{"type": "array", "items": s.scalar(element.Elem())}}
		case s.kind.Kind() == reflect.Map:
			node = tree{"type": "object", "additionalProperties": s.scalar(element)}
		case s.kind.Kind() == reflect.Slice && element.Kind() == reflect.Struct:
			node = tree{"type": "array", "items": schemaOf(s.children)}
		case s.kind.Kind() == reflect.Slice:
			node = tree{"type": "array", "items": s.scalar(element)}
		case s.kind.Kind() == reflect.Struct:
			node = schemaOf(s.children)
		default:
			node = s.scalar(s.kind)
			if form := s.allowed.form; form != nil {
				// An empty text is none, where there need not be any; where there need, the program says so.
				node["pattern"] = "^$|" + form.String()
			}
			if values, ok := node["enum"].([]any); ok && s.kind.Kind() == reflect.String {
				node["enum"] = append([]any{""}, values...)
			}
		}
		text := s.description
		if s.unit() != "" {
			text = strings.TrimSpace(text + " (" + s.unit() + ")")
		}
		if text != "" {
			node["description"] = text
		}
		properties[s.path[strings.LastIndexByte(s.path, '.')+1:]] = node
	}
	return tree{"type": "object", "additionalProperties": false, "properties": properties}
}

func (s setting) scalar(kind reflect.Type) tree {
	node := tree{}
	switch kind.Kind() {
	case reflect.Bool:
		node["type"] = "boolean"
	case reflect.Int:
		node["type"] = "integer"
	default:
		node["type"] = "string"
	}
	a := s.allowed
	switch {
	case a.numbered && a.orZero:
		node["anyOf"] = []any{tree{"const": 0}, tree{"minimum": a.low, "maximum": a.high}}
	case a.numbered:
		node["minimum"], node["maximum"] = a.low, a.high
	case len(a.values) > 0:
		var values []any
		for _, value := range a.values {
			if n, err := strconv.Atoi(value); err == nil && kind.Kind() == reflect.Int {
				values = append(values, n)
			} else {
				values = append(values, value)
			}
		}
		node["enum"] = values
	case a.form != nil:
		node["pattern"] = a.form.String()
	}
	return node
}

const schemaFile = "config/schema.json"

func TestSchemaIsMadeFromTheTypes(t *testing.T) {
	want := schema(t)
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := firstDifference(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what config.go says; run make golden:\n%s", schemaFile, diff)
	}
}

const tableBegins, tableEnds = "<!-- made from config.go by make golden -->\n", "<!-- end -->\n"

func TestTableIsMadeFromTheTypes(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(readme), tableBegins)
	got, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("README.md has no %s and %s", tableBegins, tableEnds)
	}
	want := table(t)
	if *update && got != want {
		if err := os.WriteFile("README.md", []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := firstDifference(want, got); diff != "" {
		t.Errorf("the README's table is not what config.go says; run make golden:\n%s", diff)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	var walk func(all []setting)
	walk = func(all []setting) {
		for _, s := range all {
			// Of a few the name says it all.
			clear := regexp.MustCompile(`\.(path|interval|min|max|image|initial|scrape_interval)$`).MatchString(s.path)
			if s.description == "" && !clear {
				t.Errorf("config.go says nothing of %s", s.path)
			}
			walk(s.children)
		}
	}
	walk(settingsOf(comments(t), "", reflect.TypeFor[Config]()))
}

// compiledSchema is config/schema.json for a validator.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// fits tells what a schema has against a file.
func fits(compiled *jsonschema.Schema, text []byte) error {
	content, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// An editor that knows the schema accepts what the program accepts, and finds what can be found by itself.
func TestSchemaRefusesOnlyWhatTheProgramRefuses(t *testing.T) {
	compiled := compiledSchema(t)
	for name, c := range everyConfig(1) {
		if err := fits(compiled, []byte(c.config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{
		"name: shop\n", minimal + "nat: none\n", minimal + "network: {nat: both}\n", minimal + "network: {zones: [a, i]}\n", minimal + "log_retention: 2\n",
		minimal + "services: {web: {port: 80}}\n", minimal + "services: {web: {route: {slow_start: 29}}}\n", minimal + "services: {web: {secrets: {A: hunter2}}}\n",
		minimal + "database: {version: 17}\n", minimal + "protected: 'true'\n", minimal + "services: {web: {permissions: [{action: x}]}}\n",
	} {
		if fits(compiled, []byte(text)) == nil {
			t.Errorf("an editor takes\n%s", text)
		}
	}
}

func TestShippedFilesNameTheirSchema(t *testing.T) {
	for _, environment := range shipped(t) {
		text, err := os.ReadFile("config/" + environment + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# yaml-language-server: $schema=schema.json\n") {
			t.Errorf("%s does not begin with the line that editors look for", environment)
		}
		if err := fits(compiledSchema(t), text); err != nil {
			t.Errorf("%s: %v", environment, err)
		}
	}
}

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

func TestVariablesAreCheckedLikeTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		text      string
		variables map[string]string
		want      []string
	}{
		"a value that there is not":          {minimal, map[string]string{"INFRA_NETWORK_NAT": "both"}, []string{`INFRA_NETWORK_NAT: network.nat: want one of none, single, per-zone, have "both"`}},
		"a number out of range":              {minimal, map[string]string{"INFRA_DATABASE_RETENTION": "36"}, []string{"INFRA_DATABASE_RETENTION: database.retention: want 1 to 35, have 36"}},
		"no number":                          {minimal, map[string]string{"INFRA_DATABASE_RETENTION": "0x10"}, []string{`INFRA_DATABASE_RETENTION: database.retention: want a whole number in decimal digits, without leading zeros, have "0x10"`}},
		"neither true nor false":             {minimal, map[string]string{"INFRA_PROTECTED": "yes"}, []string{`INFRA_PROTECTED: protected: want true or false, have "yes"`}},
		"no such setting":                    {minimal, map[string]string{"INFRA_DATABASE_RETENTIN": "7"}, []string{"INFRA_DATABASE_RETENTIN: stands for no setting that there is, did you mean INFRA_DATABASE_RETENTION?"}},
		"no such service":                    {minimal, map[string]string{"INFRA_SERVICES_WORKER_IMAGE": "quay.io/x/y:1"}, []string{"INFRA_SERVICES_WORKER_IMAGE: stands for no setting that there is"}},
		"nothing like any":                   {minimal, map[string]string{"INFRA_X": "1"}, []string{"INFRA_X: stands for no setting that there is"}},
		"a whole list":                       {minimal, map[string]string{"INFRA_NETWORK_ZONES": "a"}, []string{"INFRA_NETWORK_ZONES: stands for no setting that there is, did you mean INFRA_NETWORK_ZONES_0?"}},
		"an empty one":                       {minimal, map[string]string{"INFRA_SERVICES_WEB_IMAGE": ""}, []string{"INFRA_SERVICES_WEB_IMAGE: is empty: give it a value or unset it"}},
		"two settings under one name":        {minimal + "services: {web: {environment: {a: x, A: y}}}\n", map[string]string{"INFRA_SERVICES_WEB_ENVIRONMENT_A": "z"}, []string{"INFRA_SERVICES_WEB_ENVIRONMENT_A: stands for both services.web.environment.A and services.web.environment.a: give one of them another name"}},
		"the same, unused":                   {minimal + "services: {web: {environment: {a: x, A: y}}}\n", nil, nil},
		"a problem of the file, and one not": {minimal + "log_retention: 2\n", map[string]string{"INFRA_NAME": "Shop"}, []string{"3:1: log_retention: want a number of days that CloudWatch Logs knows (1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653), have 2", `INFRA_NAME: name: want lower-case letters, digits and single dashes, a letter first, have "Shop"`}},
		"the file's mistake made good":       {minimal + "log_retention: 2\n", map[string]string{"INFRA_LOG_RETENTION": "3"}, nil},
		"what a setting needs besides":       {minimal, map[string]string{"INFRA_LOAD_BALANCER_DOMAIN": "shop.example.com"}, []string{"INFRA_LOAD_BALANCER_DOMAIN: load_balancer.domain: want load_balancer.hosted_zone too, the Route 53 zone that proves the certificate, or load_balancer.certificate_arn"}},
		"a secret":                           {minimal + "services: {web: {secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}}}\n", map[string]string{"INFRA_SERVICES_WEB_SECRETS_A": "hunter2"}, []string{"INFRA_SERVICES_WEB_SECRETS_A: services.web.secrets.A: want the ARN of a secret or parameter, never the secret itself"}},
		"a line break":                       {minimal, map[string]string{"INFRA_REGION": "a\nb"}, []string{`INFRA_REGION: region: want an AWS region of the commercial partition, such as eu-central-1, have "a\nb"`}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, said := override(c.text, c.variables); !slices.Equal(said, c.want) {
				t.Errorf("says\n  %s\nwant\n  %s", strings.Join(said, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
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
			if a := s.allowed; a.numbered {
				wrong = append(wrong, a.low-1, a.high+1)
			}
			for _, n := range wrong {
				if s.allowed.orZero && n == 0 {
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
