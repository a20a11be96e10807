// Package configtest describes the settings of a configuration and draws random configurations, for
// tests.
package configtest

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"platform/internal/config"
)

// Setting is what the table and the schema say of one field.
type Setting struct {
	Path        string // with <name> for the key of a map and nothing for the place in a list
	Kind        reflect.Type
	Allowed     config.Allowed
	Description string
	Children    []Setting // of a struct, a map of structs or a list of them
}

// SettingsOf are the fields of a type, in the order in which they are declared.
func SettingsOf(texts map[string]string, path string, kind reflect.Type) (all []Setting) {
	for i := range kind.NumField() {
		field := kind.Field(i)
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		s := Setting{
			Path: strings.TrimPrefix(path+"."+key, "."), Kind: field.Type, Allowed: config.ReadAllowed(field.Tag), Description: texts[kind.Name()+"."+field.Name],
		}
		switch element := ElementOf(field.Type); {
		case field.Type.Kind() == reflect.Struct:
			s.Children = SettingsOf(texts, s.Path, field.Type)
		case element != nil && element.Kind() == reflect.Struct && field.Type.Kind() == reflect.Map:
			s.Children = SettingsOf(texts, s.Path+".<name>", element)
		case element != nil && element.Kind() == reflect.Struct:
			s.Children = SettingsOf(texts, s.Path, element)
		}
		all = append(all, s)
	}
	return all
}

func ElementOf(kind reflect.Type) reflect.Type {
	if kind.Kind() == reflect.Map || kind.Kind() == reflect.Slice {
		return kind.Elem()
	}
	return nil
}

// choices are what a setting may be drawn from: what is valid by itself, and what is not.
type choices struct{ valid, invalid []any }

// drawnFrom holds, for settings whose tag does not say enough, what to draw. The path is that of
// the README's table.
var drawnFrom = map[string]choices{
	"name":                                     {[]any{"shop", "a", "my-shop-2"}, []any{"Shop", "", "an-application-of-ours", "a--b"}},
	"region":                                   {[]any{"eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1"}, []any{"", "eu-central-1a", "cn-north-1"}},
	"account":                                  {[]any{"123456789012", ""}, []any{"12", "x"}},
	"tags":                                     {[]any{map[string]any{}, map[string]any{"Team": "shop"}, map[string]any{"a b": "ü/1", "c": ""}}, []any{map[string]any{"aws:x": "1"}, map[string]any{"Name": "x"}, map[string]any{"a": "b;c"}}},
	"state.bucket":                             {[]any{"states", "my.state-1"}, []any{"States", "x"}},
	"state.region":                             {[]any{"eu-west-1"}, []any{"here"}},
	"network.cidr":                             {[]any{"10.0.0.0/16", "172.16.0.0/20", "192.168.252.0/22", "10.255.0.0/16"}, []any{"10.0.0.0/8", "10.0.1.0/16", "8.8.0.0/16", "x"}},
	"network.zones":                            {[]any{[]any{"a", "b"}, []any{"c", "a"}, []any{"a", "b", "c"}, []any{"f", "e", "d", "c", "b", "a"}}, []any{[]any{"a"}, []any{"a", "a"}, []any{"i", "a"}}},
	"network.endpoints":                        {[]any{[]any{}, []any{"logs"}, []any{"ecr.api", "ecr.dkr", "s3x"}[:2], []any{"ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "secretsmanager", "ssm", "ssmmessages"}}, []any{[]any{"s3"}, []any{"logs", "logs"}}},
	"load_balancer.domain":                     {[]any{"", "shop.example.com"}, []any{"shop"}},
	"load_balancer.hosted_zone":                {[]any{"", "example.com"}, []any{"Z1"}},
	"load_balancer.certificate_arn":            {[]any{"", "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"}, []any{"arn:aws:iam::1:x"}},
	"load_balancer.sources":                    {[]any{[]any{"0.0.0.0/0"}, []any{"203.0.113.0/24", "10.0.0.0/8"}}, []any{[]any{}, []any{"::/0"}, []any{"10.0.0.1/8"}}},
	"load_balancer.firewall.count_only":        {[]any{[]any{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"}, []any{"NoUserAgent_HEADER", "SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"}}, []any{[]any{"All"}}},
	"services.<name>.image":                    {[]any{"quay.io/x/y:1", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1"}, []any{"nginx", "quay.io/x/y:latest", ""}},
	"services.<name>.cpu":                      {[]any{256, 512, 1024}, []any{0, 300}},
	"services.<name>.memory":                   {[]any{1024, 2048}, []any{513, 0}},
	"services.<name>.command":                  {[]any{[]any{}, []any{"serve", "--port", "8080"}}, []any{[]any{"${x}"}}},
	"services.<name>.user":                     {[]any{"101", "65532"}, []any{"0", "root"}},
	"services.<name>.scratch":                  {[]any{16, 64, 128}, []any{8, 4096}},
	"services.<name>.environment":              {[]any{map[string]any{}, map[string]any{"LEVEL": "debug", "TEXT": `a "quote" ${x} %{y} größer <&>`}}, []any{map[string]any{"1A": "x"}, map[string]any{"ECS_X": "y"}}},
	"services.<name>.secrets":                  {[]any{map[string]any{}, map[string]any{"S": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf:key::"}}, []any{map[string]any{"S": "hunter2"}}},
	"services.<name>.secret_keys":              {[]any{[]any{}, []any{"arn:aws:kms:eu-central-1:123456789012:key/mrk-00000000000000000000000000000000"}}, []any{[]any{"x"}}},
	"services.<name>.permissions":              {[]any{[]any{}, []any{map[string]any{"actions": []any{"s3:GetObject", "s3:PutObject"}, "resources": []any{"arn:aws:s3:::uploads/*"}}}}, []any{[]any{map[string]any{"actions": []any{"s3:*"}, "resources": []any{"*"}}}}},
	"services.<name>.route.priority":           {[]any{1, 2, 10, 100, 1000, 49999}, []any{50000, -1}},
	"services.<name>.route.paths":              {[]any{[]any{}, []any{"/*"}, []any{"/a", "/b/*"}}, []any{[]any{"a"}}},
	"services.<name>.route.hosts":              {[]any{[]any{}, []any{"a.example.com"}, []any{"*.example.com"}}, []any{[]any{"x"}}},
	"services.<name>.route.headers":            {[]any{map[string]any{}, map[string]any{"X-Inside": []any{"yes"}}}, []any{map[string]any{"Host": []any{"a"}}, map[string]any{"X-A": []any{}}}},
	"services.<name>.route.sources":            {[]any{[]any{}, []any{"203.0.113.0/24"}}, []any{[]any{"x"}}},
	"services.<name>.health_check.path":        {[]any{"/", "/healthy?deep=1"}, []any{"healthy"}},
	"services.<name>.health_check.codes":       {[]any{"200", "200-399", "200,204"}, []any{"2xx"}},
	"services.<name>.health_check.interval":    {[]any{15, 30, 300}, []any{4}},
	"services.<name>.health_check.timeout":     {[]any{2, 5, 10}, []any{121}},
	"services.<name>.health_check.command":     {[]any{[]any{}, []any{"/healthy"}}, []any{[]any{"%{x}"}}},
	"services.<name>.metrics.path":             {[]any{"/metrics", "/m/x"}, []any{"metrics"}},
	"services.<name>.tasks":                    {[]any{0, 1, 2, 5}, []any{-1, 1001}},
	"services.<name>.scaling.max":              {[]any{5, 6, 20}, []any{5001}},
	"services.<name>.scaling.requests":         {[]any{0, 0, 100}, []any{-1}},
	"services.<name>.scaling.schedules":        {[]any{map[string]any{}, map[string]any{"night": map[string]any{"at": "cron(0 22 * * ? *)", "timezone": "Europe/Berlin", "min": 1, "max": 2}, "once": map[string]any{"at": "at(2027-01-01T00:00:00)", "min": 0, "max": 5}}}, []any{map[string]any{"Night": map[string]any{"at": "cron(0 22 * * ? *)"}}, map[string]any{"x": map[string]any{"at": "22:00"}}}},
	"database.version":                         {[]any{"14", "15", "16", "17", "18"}, []any{"9", "17.2"}},
	"database.instance_class":                  {[]any{"db.t4g.micro", "db.m7g.large", "db.r8g.2xlarge", "db.x2g.16xlarge"}, []any{"db.t4g.large2", "m7g.large"}},
	"database.storage.initial":                 {[]any{20, 100, 400}, []any{10}},
	"database.storage.max":                     {[]any{440, 1000, 65536}, []any{70000}},
	"database.name":                            {[]any{"app", "shop_2"}, []any{"select", "Shop"}},
	"database.parameters":                      {[]any{map[string]any{}, map[string]any{"log_lock_waits": "0"}}, []any{map[string]any{"rds.force_ssl": "0"}, map[string]any{"X Y": "1"}}},
	"database.backup_window":                   {[]any{"01:00-02:00", "23:45-00:15"}, []any{"1:00-2:00", "01:00-01:10"}},
	"database.maintenance_window":              {[]any{"sun:04:30-sun:05:30", "mon:10:00-mon:11:00"}, []any{"sun", "sun:01:30-sun:02:30"}},
	"database.restores":                        {[]any{map[string]any{}, map[string]any{"old": map[string]any{"snapshot": "before", "version": "16"}, "monday": map[string]any{"time": "2026-11-23T03:00:00Z"}}}, []any{map[string]any{"main": map[string]any{"snapshot": "x"}}, map[string]any{"a": map[string]any{}}}},
	"database.active":                          {[]any{"main"}, []any{"other"}},
	"monitoring.emails":                        {[]any{[]any{}, []any{"a@example.com"}, []any{"a@example.com", "b+c@example.co.uk"}}, []any{[]any{"x"}, []any{"a@example.com", "a@example.com"}}},
	"monitoring.prometheus.image":              {[]any{"quay.io/prometheus/prometheus:v3.15.0"}, []any{"prometheus"}},
	"database.certificate_image":               {[]any{"public.ecr.aws/aws-cli/aws-cli:2.37.4"}, []any{"aws-cli"}},
	"monitoring.prometheus.config_image":       {[]any{"public.ecr.aws/aws-cli/aws-cli:2.37.4"}, []any{"aws-cli"}},
	"monitoring.prometheus.cpu":                {[]any{256, 512}, []any{1}},
	"monitoring.prometheus.memory":             {[]any{1024, 2048}, []any{1}},
	"backup.schedule":                          {[]any{"cron(0 3 * * ? *)", "rate(6 hours)", "cron(30 5 ? * MON-FRI *)"}, []any{"daily", "cron(30 1 * * ? *) "}},
	"backup.timezone":                          {[]any{"UTC", "Europe/Berlin", "America/New_York"}, []any{"Mars/Olympus", ""}},
	"backup.max_age":                           {[]any{26, 50, 744}, []any{0, 745}},
	"services.<name>.route.deregistration_lag": {[]any{0, 30, 3600}, []any{3601}},
}

// draw gives a value for a setting: a valid one, or with some luck one that is not.
func draw(random *rand.Rand, s Setting, invalid bool) any {
	from, listed := drawnFrom[s.Path]
	a := s.Allowed
	switch {
	case listed:
	case s.Kind.Kind() == reflect.Bool:
		from = choices{[]any{true, false}, []any{"yes", 1}}
	case a.Numbered:
		from = choices{[]any{a.Low, a.High, a.Low + random.IntN(a.High-a.Low+1)}, []any{a.Low - 1, a.High + 1, "1", 1.5}}
		if a.OrZero {
			from.invalid = []any{a.Low - 1, a.High + 1}
		}
	case len(a.Values) > 0:
		for _, value := range a.Values {
			if n, err := strconv.Atoi(value); err == nil && s.Kind.Kind() == reflect.Int {
				from.valid = append(from.valid, n)
			} else {
				from.valid = append(from.valid, value)
			}
		}
		from.invalid = []any{"nonsense", -3}
	default:
		panic("nothing to draw " + s.Path + " from")
	}
	list := from.valid
	if invalid {
		list = from.invalid
	}
	return list[random.IntN(len(list))]
}

// Generator draws configurations.
type Generator struct {
	Seed     uint64
	random   *rand.Rand
	settings []Setting
}

// The same each time, so that a commit that was green stays it; -seed=0 looks for more, and what it
// finds names its seed.
var seedFlag = flag.Uint64("seed", 1, "draws the random configurations; 0 for others each time")

// Seed is what -seed says.
func Seed() uint64 {
	if *seedFlag == 0 {
		return rand.Uint64()
	}
	return *seedFlag
}

// NewGenerator returns a generator whose configurations follow from Seed.
func NewGenerator(t *testing.T) *Generator {
	t.Helper()
	seed := Seed()
	return &Generator{seed, rand.New(rand.NewPCG(seed, 0)), SettingsOf(nil, "", reflect.TypeFor[config.Config]())}
}

// File draws some of the settings, each wrong with the given probability.
func (g *Generator) File(t *testing.T, wrong float64) []byte {
	t.Helper()
	random := g.random
	file := drawSome(random, g.settings, wrong)
	file["name"], file["region"] = "shop", "eu-central-1" // else few were valid
	if file["profile"] == "production" && random.IntN(4) > 0 {
		file["state"] = map[string]any{"bucket": "states"}
		file["load_balancer"] = map[string]any{"domain": "shop.example.com", "hosted_zone": "example.com"}
	}
	services := map[string]any{}
	for _, name := range []string{"web", "api", "job"}[:random.IntN(4)] {
		for _, s := range g.settings {
			if s.Path == "services" {
				services[name] = drawSome(random, s.Children, wrong)
			}
		}
		if name != "web" && random.IntN(8) > 0 {
			services[name].(map[string]any)["image"] = "quay.io/x/" + name + ":1"
		}
	}
	if len(services) > 0 {
		file["services"] = services
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Valid draws until a configuration is valid.
func (g *Generator) Valid(t *testing.T) (*config.Config, []byte) {
	t.Helper()
	for range 10_000 {
		text := g.File(t, 0)
		if cfg, err := config.Parse("config/dev.yaml", "dev", text); err == nil {
			return cfg, text
		}
	}
	t.Fatalf("seed %d: no valid configuration in 10,000", g.Seed)
	return nil, nil
}

func drawSome(random *rand.Rand, settings []Setting, wrong float64) map[string]any {
	file := map[string]any{}
	for _, s := range settings {
		key := s.Path[strings.LastIndexByte(s.Path, '.')+1:]
		switch {
		case random.IntN(4) > 0 || s.Path == "services": // those are drawn by themselves
		case s.Kind.Kind() == reflect.Struct:
			file[key] = drawSome(random, s.Children, wrong)
		default:
			file[key] = draw(random, s, random.Float64() < wrong)
		}
	}
	return file
}

// CompiledSchema is the schema in a file, for Fits.
func CompiledSchema(t *testing.T, file string) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
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

// Fits tells what a schema has against a file.
func Fits(compiled *jsonschema.Schema, text []byte) error {
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
