package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"platform/internal/golden"
)

func TestExplainPrintsTheOriginOfEachValue(t *testing.T) {
	t.Parallel()
	const text = minimal + `services:
  web:
    image: 'quay.io/x/y:1'
    environment: {LEVEL: debug, SMTP_PASSWORD: hunter2}
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*']}]
  job: {image: 'quay.io/x/y:1'}
database: {restores: {old: {snapshot: before}}, active: old, parameters: {work_mem: '65536', shared_buffers: '32768'}}
`
	cfg, doc := read("config/test.yaml", "test", []byte(text), map[string]string{
		"INFRA_SERVICES_WEB_TASKS": "3",
		"INFRA_NETWORK_ZONES_1":    "c",
	})
	if err := doc.Err(); err != nil {
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
		t.Error("a variable that looks like a secret is shown")
	}
}

// The summary describes every choice.
func TestSummaryDescribesEveryChoice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{
			text: minimal,
			want: "network one NAT gateway in zone a",
		},
		{
			text: minimal + noNAT,
			want: "network no NAT gateway",
		},
		{
			text: minimal + "network: {nat: per-zone}\n",
			want: "network 2 NAT gateways",
		},
		{
			text: minimal + "load_balancer: {certificate_arn: " +
				"'arn:aws:acm:eu-central-1:123456789012:certificate/0a-1'}\n",
			want: "load balancer HTTPS with an existing certificate",
		},
		{
			text: minimal + "load_balancer: {domain: example.com, hosted_zone: example.com}\n",
			want: "load balancer https://example.com, certificate and DNS record created in example.com",
		},
		{
			text: minimal + "services: {job: {image: 'quay.io/x/y:1', tasks: 0}}\n",
			want: "service job: 0 tasks of 256 CPU units and 512 MiB on ARM64 Spot, no route, database: none",
		},
		{
			text: minimal + "services: {job: {image: 'quay.io/x/y:1', database: {access: read, name: shop}}}\n",
			want: "service job: 1 task of 256 CPU units and 512 MiB on ARM64 Spot, no route, database: read of shop",
		},
		{
			text: minimal + "state: {backend: s3, bucket: states}\n",
			want: "state s3://states/shop-test.tfstate in eu-central-1",
		},
		{
			text: minimal + "database: {restores: {monday: {time: '2026-11-23T03:00:00Z'}}}\n",
			want: "additional instance monday, restored from the main instance at 2026-11-23T03:00:00Z",
		},
		{
			text: minimal + "database: {enabled: false}\n",
			want: "network 10.0.0.0/16 in zones a, b: 4 subnets",
		},
		{
			text: minimal + "database: {enabled: false}\n",
			want: "database none",
		},
		{
			text: minimal + "database: {enabled: false}\n",
			want: "backups none",
		},
		{
			text: minimal + "protected: true\ndatabase: {enabled: false}\n",
			want: "backups none; the bucket and the keys of earlier backups are kept",
		},
		{
			text: minimal + "profile: production\nstate: {bucket: s-1}\nload_balancer: {allow_http: true}\n",
			want: "stack shop-test in eu-central-1, protected",
		},
		{
			text: minimal + "services:\n  web: {image: 'quay.io/x/y:1', database: {access: owner}}\n" +
				"  metabase: {image: 'quay.io/x/y:1', database: {access: owner, name: metabase}}\n",
			want: " dumps of each database (app, metabase) on schedule ",
		},
		{
			text: minimal + "services: {web: {image: 'quay.io/x/y:1', " +
				"scaling: {max: 3}, route: {hosts: [a.example.com], paths: ['/*']}}}\n" +
				"monitoring: {emails: [a@example.com, b@c.net]}\n",
			want: "service receives requests for a.example.com, /*",
		},
	} {
		var lines []string
		for _, line := range summary(parse(t, "test", c.text)) {
			lines = append(lines, strings.TrimSpace(line[0]+" "+line[1]))
		}
		subject, rest, _ := strings.Cut(c.want, " ")
		found := slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, subject) && strings.Contains(line, rest)
		})
		if !found {
			t.Errorf("%q: nothing like %q in\n  %s", c.text, c.want, strings.Join(lines, "\n  "))
		}
	}
}
