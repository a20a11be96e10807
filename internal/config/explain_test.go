package config

import (
	"bytes"
	"os"
	"path/filepath"
	"platform/internal/golden"
	"slices"
	"strings"
	"testing"
)

// warnings are what a text is warned of, without the file's name.
func warnings(t *testing.T, text string) []string {
	t.Helper()
	_, doc := readConfig("config/test.yaml", "test", []byte(text), nil)
	if err := doc.err(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range doc.report(doc.warnings, false) {
		lines = append(lines, strings.TrimPrefix(line, "config/test.yaml:"))
	}
	return lines
}

func TestWhatIsProbablyNotMeantIsWarnedOf(t *testing.T) {
	const production = minimal + "profile: production\nstate: {bucket: states}\nload_balancer: {domain: example.com, hosted_zone: example.com}\n"
	const told = production + "monitoring: {emails: [a@example.com]}\n"
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                            {minimal, nil},
		"nothing in production":              {told, nil},
		"a zone that the region has not":     {minimal + "network: {zones: [a, b, g]}\n", []string{"3:25: network.zones.2: warning: eu-central-1 has had zones a, b, c; which letters an account has differs, and the plan will tell"}},
		"a zone that this region has":        {"name: shop\nregion: us-east-1\nnetwork: {zones: [e, f]}\n", nil},
		"a zone that Tokyo has not":          {"name: shop\nregion: ap-northeast-1\nnetwork: {zones: [b, c]}\n", []string{"3:19: network.zones.0: warning: ap-northeast-1 has had zones a, c, d; which letters an account has differs, and the plan will tell"}},
		"a firewall's rules without it":      {minimal + "load_balancer: {firewall: {rate_limit: 100, count_only: []}}\n", []string{"3:28: load_balancer.firewall.rate_limit: warning: has no effect while load_balancer.firewall.enabled is false", "3:45: load_balancer.firewall.count_only: warning: has no effect while load_balancer.firewall.enabled is false"}},
		"HTTP allowed where there is HTTPS":  {minimal + "load_balancer: {domain: example.com, hosted_zone: example.com, allow_http: true}\n", []string{"3:64: load_balancer.allow_http: warning: has no effect with a domain or a certificate"}},
		"metrics that are off":               {minimal + "services: {web: {metrics: {port: 8081, path: /m}}}\n", []string{"3:28: services.web.metrics.port: warning: has no effect while services.web.metrics.enabled is false", "3:40: services.web.metrics.path: warning: has no effect while services.web.metrics.enabled is false"}},
		"a route without conditions":         {minimal + "services: {job: {image: 'quay.io/x/y:1', route: {priority: 7, slow_start: 30}, health_check: {path: /h}}}\n", []string{"3:50: services.job.route.priority: warning: has no effect without paths, hosts, headers or sources", "3:63: services.job.route.slow_start: warning: has no effect without paths, hosts, headers or sources", "3:95: services.job.health_check.path: warning: has no effect without a route"}},
		"targets of scaling that is off":     {minimal + "services: {web: {scaling: {cpu: 50}}}\n", []string{"3:28: services.web.scaling.cpu: warning: has no effect while services.web.scaling.max is not above tasks"}},
		"targets of scaling that is on":      {minimal + "services: {web: {scaling: {cpu: 50, max: 3}}}\n", nil},
		"a key for no secret":                {minimal + "services: {web: {secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']}}\n", []string{"3:18: services.web.secret_keys: warning: has no effect without services.web.secrets"}},
		"a secret among the variables":       {minimal + "services: {web: {environment: {SMTP_PASSWORD: hunter2, TOKENIZER: fast, TOKEN_TTL: '60', API_KEY: ''}}}\n", []string{"3:32: services.web.environment.SMTP_PASSWORD: warning: sounds like a secret: put it in Secrets Manager and its ARN in services.web.secrets, since the state and the console show what stands here"}},
		"Spot, and a task alone":             {told + "services: {web: {spot: true, tasks: 1}}\n", []string{"7:18: services.web.spot: warning: AWS takes such tasks away when it needs the room, with two minutes' notice", "7:30: services.web.tasks: warning: a single task is an outage whenever it is replaced by AWS or its zone fails: want 2"}},
		"Spot in development":                {minimal + "services: {web: {spot: true, tasks: 1}}\n", nil},
		"production without protection":      {told + "protected: false\n", []string{"7:1: protected: warning: without it one command destroys the database and its backups"}},
		"production's state on this machine": {strings.Replace(told, "{bucket: states}", "{backend: local}", 1), []string{"4:9: state.backend: warning: a state on one machine is lost with it, and locks nobody out"}},
		"production over HTTP":               {strings.Replace(told, "{domain: example.com, hosted_zone: example.com}", "{allow_http: true}", 1), []string{"5:17: load_balancer.allow_http: warning: passwords and sessions cross the internet in clear"}},
		"production without a standby":       {told + "database: {multi_az: false, retention: 3}\n", []string{"7:12: database.multi_az: warning: the database is gone with its zone, until it is restored", "7:29: database.retention: warning: a mistake found after 3 days cannot be undone"}},
		"production with one way out":        {told + "network: {nat: single}\n", []string{"7:11: network.nat: warning: all zones lose their way out with the first"}},
		"production that tells nobody":       {production, []string{"1:1: monitoring.emails: warning: nobody is told of an alarm"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := warnings(t, c.text); !slices.Equal(got, c.want) {
				t.Errorf("warns\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
		})
	}
}

func TestShippedEnvironmentsAreNotWarnedOf(t *testing.T) {
	for _, environment := range shipped(t) {
		_, doc, err := Load("../..", environment, nil)
		if err != nil || len(doc.warnings) > 0 {
			t.Errorf("%s: %v, %v", environment, doc.warnings, err)
		}
	}
}

func TestStrictMakesWarningsProblems(t *testing.T) {
	root := folder(t, map[string]string{"dev.yaml": minimal + "network: {zones: [a, g]}\n"})
	for value, want := range map[string]string{
		"INFRA_STRICT=true":  "config/dev.yaml:3:22: network.zones.1: warning: eu-central-1 has had zones a, b, c; which letters an account has differs, and the plan will tell",
		"INFRA_STRICT=false": "", "INFRA_STRICT=": "", "OTHER=true": "",
		"INFRA_STRICT=yes": `INFRA_STRICT: want true or false, have "yes"`,
	} {
		_, _, err := Load(root, "dev", []string{"PATH=/bin", value})
		if got := ""; err != nil || want != "" {
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s: says %q, want %q", value, got, want)
			}
		}
	}
}

// A person sees the line that a problem is about; but none on which a secret may stand, and none of another problem's.
func TestProblemsShowTheirLineButNoSecret(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a line of its own": {minimal + "database:\n  retention: 99 # days\n",
			"config/test.yaml:4:3: database.retention: want 1 to 35, have 99\n     4 |   retention: 99 # days"},
		"two of one line": {minimal + "database: {retention: 99, slow_query: -1}\n",
			"config/test.yaml:3:12: database.retention: want 1 to 35, have 99\n     3 | database: {retention: 99, slow_query: -1}\n" +
				"config/test.yaml:3:27: database.slow_query: want 0 to 3600000, have -1\n     3 | database: {retention: 99, slow_query: -1}"},
		"what the file does not say": {"region: eu-central-1\n", "config/test.yaml:1:1: name: is required: the application's name, such as shop"},
		"a secret": {minimal + "services:\n  web:\n    secrets:\n      A: hunter2\n",
			"config/test.yaml:6:7: services.web.secrets.A: want the ARN of a secret or parameter, never the secret itself"},
		"beside a secret": {minimal + "services:\n  web: {port: 80, secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}}\n",
			"config/test.yaml:4:9: services.web.port: want 1024 to 65535, have 80"},
		"before a secret": {minimal + "services:\n  web:\n    port: 80\n    secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}\n",
			"config/test.yaml:5:5: services.web.port: want 1024 to 65535, have 80\n     5 |     port: 80"},
		"an unknown key":       {minimal + "database: {password: hunter2, retention: 99}\n", "config/test.yaml:3:12: database.password: unknown key, want one of active, apply_immediately, backup_window, certificate_image, instance_class, maintenance_window, multi_az, name, parameters, restores, retention, rotation, slow_query, storage, version\nconfig/test.yaml:3:31: database.retention: want 1 to 35, have 99"},
		"an unknown mapping":   {minimal + "database: {\n  login: {a: b,\n  c: hunter2}, retention: 99}\n", "config/test.yaml:4:3: database.login: unknown key, want one of active, apply_immediately, backup_window, certificate_image, instance_class, maintenance_window, multi_az, name, parameters, restores, retention, rotation, slow_query, storage, version\nconfig/test.yaml:5:16: database.retention: want 1 to 35, have 99"},
		"a value of two lines": {minimal + "services:\n  web:\n    environment: {A: \"x\n      hunter2\", B: y}\n    port: 80\n", "config/test.yaml:7:5: services.web.port: want 1024 to 65535, have 80\n     7 |     port: 80"},
		"no YAML":              {minimal + "a: [hunter2\n", "config/test.yaml:3:4: not valid YAML: sequence end token ']' not found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, doc := readConfig("config/test.yaml", "test", []byte(c.text), nil)
			if got := Explained(doc.err()); got != c.want || strings.Contains(got, "hunter2") {
				t.Errorf("says\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestExplainTellsWhereEachValueComesFrom(t *testing.T) {
	const text = minimal + "services:\n  web:\n    environment: {LEVEL: debug, SMTP_PASSWORD: hunter2}\n    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*']}]\n  job: {image: 'quay.io/x/y:1'}\ndatabase: {restores: {old: {snapshot: before}}, active: old}\n"
	cfg, doc := readConfig("config/test.yaml", "test", []byte(text), map[string]string{"INFRA_SERVICES_WEB_TASKS": "3", "INFRA_NETWORK_ZONES_1": "c"})
	if err := doc.err(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Explain(&out, cfg, doc); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "testdata", "explain.txt")
	if *golden.Update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := golden.FirstDifference(string(want), out.String()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a variable that sounds like a secret is shown")
	}
}

// The summary finds a word for every choice.
func TestSummaryKnowsEveryChoice(t *testing.T) {
	for text, want := range map[string]string{
		minimal:                                "network one NAT gateway, in a",
		minimal + noNAT:                        "network no NAT gateway",
		minimal + "network: {nat: per-zone}\n": "network 2 NAT gateways",
		minimal + "load_balancer: {certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a-1'}\n":                                      "balancer HTTPS with a certificate of your own",
		minimal + "load_balancer: {domain: example.com, hosted_zone: example.com}\n":                                                                  "balancer https://example.com, certificate and DNS record made in example.com",
		minimal + "services: {job: {image: 'quay.io/x/y:1', tasks: 0}}\n":                                                                             "service job: 0 tasks of 256 CPU units and 512 MiB on ARM64 Spot, no route, database: none",
		minimal + "state: {backend: s3, bucket: states}\n":                                                                                            "state s3://states/shop-test.tfstate in eu-central-1",
		minimal + "database: {restores: {monday: {time: '2026-11-23T03:00:00Z'}}}\n":                                                                  "beside it monday, made from its state of 2026-11-23T03:00:00Z",
		minimal + "profile: production\nstate: {bucket: s-1}\nload_balancer: {allow_http: true}\n":                                                    "stack shop-test in eu-central-1, protected",
		minimal + "services: {web: {tasks: 1, scaling: {max: 3}, route: {hosts: [a.example.com]}}}\nmonitoring: {emails: [a@example.com, b@c.net]}\n": "service gets requests for a.example.com, /*",
	} {
		var lines []string
		for _, line := range summary(parse(t, "test", text)) {
			lines = append(lines, strings.TrimSpace(line[0]+" "+line[1]))
		}
		subject, rest, _ := strings.Cut(want, " ")
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, subject) && strings.Contains(line, rest) }) {
			t.Errorf("%q: nothing like %q in\n  %s", text, want, strings.Join(lines, "\n  "))
		}
	}
}
