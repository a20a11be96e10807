package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// choices are what a setting may be drawn from: what is valid by itself, and what is not.
type choices struct{ valid, invalid []any }

// drawnFrom holds, for settings whose tag does not say enough, what to draw. The path is that of the README's table.
var drawnFrom = map[string]choices{
	"name":                                     {[]any{"shop", "a", "my-shop-2"}, []any{"Shop", "", "an-application-of-ours", "a--b"}},
	"region":                                   {[]any{"eu-central-1", "us-east-1", "ap-northeast-1", "sa-east-1"}, []any{"", "eu-central-1a", "cn-north-1"}},
	"account":                                  {[]any{"123456789012", ""}, []any{"12", "x"}},
	"tags":                                     {[]any{tree{}, tree{"Team": "shop"}, tree{"a b": "ü/1", "c": ""}}, []any{tree{"aws:x": "1"}, tree{"Name": "x"}, tree{"a": "b;c"}}},
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
	"services.<name>.environment":              {[]any{tree{}, tree{"LEVEL": "debug", "TEXT": `a "quote" ${x} %{y} größer <&>`}}, []any{tree{"1A": "x"}, tree{"ECS_X": "y"}}},
	"services.<name>.secrets":                  {[]any{tree{}, tree{"S": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf:key::"}}, []any{tree{"S": "hunter2"}}},
	"services.<name>.secret_keys":              {[]any{[]any{}, []any{"arn:aws:kms:eu-central-1:123456789012:key/mrk-00000000000000000000000000000000"}}, []any{[]any{"x"}}},
	"services.<name>.permissions":              {[]any{[]any{}, []any{tree{"actions": []any{"s3:GetObject", "s3:PutObject"}, "resources": []any{"arn:aws:s3:::uploads/*"}}}}, []any{[]any{tree{"actions": []any{"s3:*"}, "resources": []any{"*"}}}}},
	"services.<name>.route.priority":           {[]any{1, 2, 10, 100, 1000, 49999}, []any{50000, -1}},
	"services.<name>.route.paths":              {[]any{[]any{}, []any{"/*"}, []any{"/a", "/b/*"}}, []any{[]any{"a"}}},
	"services.<name>.route.hosts":              {[]any{[]any{}, []any{"a.example.com"}, []any{"*.example.com"}}, []any{[]any{"x"}}},
	"services.<name>.route.headers":            {[]any{tree{}, tree{"X-Inside": []any{"yes"}}}, []any{tree{"Host": []any{"a"}}, tree{"X-A": []any{}}}},
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
	"services.<name>.scaling.schedules":        {[]any{tree{}, tree{"night": tree{"at": "cron(0 22 * * ? *)", "timezone": "Europe/Berlin", "min": 1, "max": 2}, "once": tree{"at": "at(2027-01-01T00:00:00)", "min": 0, "max": 5}}}, []any{tree{"Night": tree{"at": "cron(0 22 * * ? *)"}}, tree{"x": tree{"at": "22:00"}}}},
	"database.version":                         {[]any{"14", "15", "16", "17", "18"}, []any{"9", "17.2"}},
	"database.instance_class":                  {[]any{"db.t4g.micro", "db.m7g.large", "db.r8g.2xlarge", "db.x2g.16xlarge"}, []any{"db.t4g.large2", "m7g.large"}},
	"database.storage.initial":                 {[]any{20, 100, 400}, []any{10}},
	"database.storage.max":                     {[]any{440, 1000, 65536}, []any{70000}},
	"database.name":                            {[]any{"app", "shop_2"}, []any{"select", "Shop"}},
	"database.parameters":                      {[]any{tree{}, tree{"log_lock_waits": "0"}}, []any{tree{"rds.force_ssl": "0"}, tree{"X Y": "1"}}},
	"database.backup_window":                   {[]any{"01:00-02:00", "23:45-00:15"}, []any{"1:00-2:00", "01:00-01:10"}},
	"database.maintenance_window":              {[]any{"sun:04:30-sun:05:30", "mon:10:00-mon:11:00"}, []any{"sun", "sun:01:30-sun:02:30"}},
	"database.restores":                        {[]any{tree{}, tree{"old": tree{"snapshot": "before", "version": "16"}, "monday": tree{"time": "2026-11-23T03:00:00Z"}}}, []any{tree{"main": tree{"snapshot": "x"}}, tree{"a": tree{}}}},
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
func draw(random *rand.Rand, s setting, invalid bool) any {
	from, listed := drawnFrom[s.path]
	a := s.allowed
	switch {
	case listed:
	case s.kind.Kind() == reflect.Bool:
		from = choices{[]any{true, false}, []any{"yes", 1}}
	case a.numbered:
		from = choices{[]any{a.low, a.high, a.low + random.IntN(a.high-a.low+1)}, []any{a.low - 1, a.high + 1, "1", 1.5}}
		if a.orZero {
			from.invalid = []any{a.low - 1, a.high + 1}
		}
	case len(a.values) > 0:
		for _, value := range a.values {
			if n, err := strconv.Atoi(value); err == nil && s.kind.Kind() == reflect.Int {
				from.valid = append(from.valid, n)
			} else {
				from.valid = append(from.valid, value)
			}
		}
		from.invalid = []any{"nonsense", -3}
	default:
		panic("nothing to draw " + s.path + " from")
	}
	list := from.valid
	if invalid {
		list = from.invalid
	}
	return list[random.IntN(len(list))]
}

// generator draws configurations.
type generator struct {
	seed     uint64
	random   *rand.Rand
	settings []setting
}

// The same each time, so that a commit that was green stays it; -seed=0 looks for more, and what it finds names its seed.
var seedFlag = flag.Uint64("seed", 1, "draws the random configurations; 0 for others each time")

func chooseSeed() uint64 {
	if *seedFlag == 0 {
		return rand.Uint64()
	}
	return *seedFlag
}

func newGenerator(t *testing.T) *generator {
	t.Helper()
	seed := chooseSeed()
	return &generator{seed, rand.New(rand.NewPCG(seed, 0)), settingsOf(comments(t), "", reflect.TypeFor[Config]())}
}

// file draws some of the settings, each wrong with the given probability.
func (g *generator) file(t *testing.T, wrong float64) []byte {
	t.Helper()
	random := g.random
	file := drawSome(random, g.settings, wrong)
	file["name"], file["region"] = "shop", "eu-central-1" // else few were valid
	if file["profile"] == profileProduction && random.IntN(4) > 0 {
		file["state"] = tree{"bucket": "states"}
		file["load_balancer"] = tree{"domain": "shop.example.com", "hosted_zone": "example.com"}
	}
	services := tree{}
	for _, name := range []string{"web", "api", "job"}[:random.IntN(4)] {
		for _, s := range g.settings {
			if s.path == "services" {
				services[name] = drawSome(random, s.children, wrong)
			}
		}
		if name != "web" && random.IntN(8) > 0 {
			services[name].(tree)["image"] = "quay.io/x/" + name + ":1"
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

// valid draws until a configuration is valid.
func (g *generator) valid(t *testing.T) (*Config, []byte) {
	t.Helper()
	for range 10_000 {
		text := g.file(t, 0)
		if cfg, err := parseConfig("config/dev.yaml", "dev", text); err == nil {
			return cfg, text
		}
	}
	t.Fatalf("seed %d: no valid configuration in 10,000", g.seed)
	return nil, nil
}

func drawSome(random *rand.Rand, settings []setting, wrong float64) tree {
	file := tree{}
	for _, s := range settings {
		key := s.path[strings.LastIndexByte(s.path, '.')+1:]
		switch {
		case random.IntN(4) > 0 || s.path == "services": // those are drawn by themselves
		case s.kind.Kind() == reflect.Struct:
			file[key] = drawSome(random, s.children, wrong)
		default:
			file[key] = draw(random, s, random.Float64() < wrong)
		}
	}
	return file
}

// Whatever somebody writes is a configuration that an editor's schema takes too, or a list of problems that each name a setting.
func TestRandomConfigurationsAreTakenOrRefusedWithReasons(t *testing.T) {
	g, compiled := newGenerator(t), compiledSchema(t)
	valid, invalid, named := 0, 0, map[string]bool{}
	for i := range randomFiles {
		text := g.file(t, float64(i%3)*0.02)
		cfg, err := parseConfig("config/dev.yaml", "dev", text)
		if err != nil {
			invalid++
			for _, line := range strings.Split(err.Error(), "\n") {
				parts := regexp.MustCompile(`^config/dev\.yaml:[0-9]+:[0-9]+: ([a-z_]+[A-Za-z0-9._ <>:/-]*): .`).FindStringSubmatch(line)
				if parts == nil {
					t.Errorf("seed %d: a line names no setting: %s\n%s", g.seed, line, text)
					continue
				}
				named[regexp.MustCompile(`\.(web|api|job)\b|\.[0-9]+\b`).ReplaceAllString(parts[1], "")] = true
			}
			continue
		}
		valid++
		if err := fits(compiled, text); err != nil {
			t.Errorf("seed %d: the schema refuses what the program takes: %v\n%s", g.seed, err, text)
		}
		// What it comes to, written out in full, comes to the same.
		full, err := yaml.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseConfig("config/dev.yaml", "dev", full)
		if err != nil || fmt.Sprintf("%+v", *again) != fmt.Sprintf("%+v", *cfg) {
			t.Errorf("seed %d: %v\n%s\ncomes to\n%+v\nand that to\n%+v", g.seed, err, text, cfg, again)
		}
	}
	t.Logf("seed %d: %d valid, %d invalid; problems of %d settings", g.seed, valid, invalid, len(named))
	if valid < randomFiles/4 || invalid < randomFiles/4 || len(named) < 50 {
		t.Errorf("seed %d: only %d valid and %d invalid, problems of %d settings", g.seed, valid, invalid, len(named))
	}
}

// How many are drawn, and how many of them synthesised. With the build tag e2e, which only make test passes, it is more.
var randomFiles, randomStacks = 400, 5

// What a valid configuration makes keeps every promise, whatever it is.
func TestRandomConfigurationsKeepTheirPromises(t *testing.T) {
	g := newGenerator(t)
	for range randomStacks {
		cfg, text := g.valid(t)
		stack := synth(t, cfg, placeholder(t))
		readPolicies(t, stack)
		for _, promise := range invariants() {
			if promise.shipped {
				continue
			}
			for _, violation := range promise.check(stack) {
				t.Errorf("seed %d: %s: %s\n%s", g.seed, promise.promise, violation, text)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("seed %d: %d stacks", g.seed, randomStacks)
}
