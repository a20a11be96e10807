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
