package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"platform/internal/testfiles"
)

// Two lines, so the text of a case starts at line 3.
const minimal = "name: shop\nregion: eu-central-1\n"

// noNAT has the settings for a network without a NAT gateway.
const noNAT = `network:
  nat: none
  endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, monitoring, secretsmanager, sns, ssmmessages, sts, tagging]
services: {web: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:1'}}
monitoring:
  prometheus:
    image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/prometheus:1'
    config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/aws-cli:1'
    alertmanager_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/alertmanager:1'
    cloudwatch_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/cloudwatch:1'
`

// full is a file that sets every setting.
const full = `name: shop
region: eu-central-1
account: '123456789012'
tags: {Team: shop}
pull_through_cache: [quay]
state: {backend: s3, bucket: states, region: eu-west-1}
network: {endpoints: [logs]}
load_balancer:
  domain: a.example.com
  hosted_zone: example.com
  certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a-1'
  firewall: {enabled: true}
services:
  web:
    image: quay.io/x/y:1
    command: [serve]
    environment: {LEVEL: debug}
    secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::b/*']}]
    route:
      priority: 10
      paths: [/a]
      hosts: [a.example.com]
      headers: {X-A: [b]}
      sources: [10.0.0.0/8]
      slow_start: 30
    health_check: {command: [/healthy]}
    metrics: {enabled: true}
    tasks: 2
    scaling:
      max: 4
      requests: 100
      schedules:
        night: {at: 'cron(0 22 * * ? *)', timezone: Europe/Berlin, min: 1, max: 2}
database:
  parameters: {work_mem: '65536'}
  restores: {old: {snapshot: before}, monday: {time: '2026-11-23T03:00:00Z'}}
  active: old
monitoring: {emails: [a@example.com]}
backup: {object_lock: 1}
`

// overridden reads a text with variables, and returns its problems without the name of the file.
func overridden(text string, variables map[string]string) (*Config, []string) {
	cfg, doc := read("config/test.yaml", "test", []byte(text), variables)
	err := doc.Err()
	if err == nil {
		return cfg, nil
	}
	var said []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		said = append(said, strings.TrimPrefix(line, "config/test.yaml:"))
	}
	return cfg, said
}

// problems returns the lines of the error of a text, which name the file config/test.yaml; none if
// it is valid.
func problems(t *testing.T, text string) []string {
	t.Helper()
	_, err := Parse("config/test.yaml", "test", []byte(text))
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// wantProblems compares all lines, each without the name of the file.
func wantProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = "config/test.yaml:" + want[i]
	}
	if got := problems(t, text); !slices.Equal(got, want) {
		t.Errorf("%.300q\nsays\n  %s\nwant\n  %s", text, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// load reads a shipped environment.
func load(t *testing.T, environment string) *Config {
	t.Helper()
	cfg, _, err := Load("../..", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// parse returns the configuration of a valid text.
func parse(t *testing.T, environment, text string) *Config {
	t.Helper()
	cfg, err := Parse("config/"+environment+".yaml", environment, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// shipped returns the environments in config/.
func shipped(t *testing.T) []string {
	t.Helper()
	return testfiles.Names(t, "../../config/*.yaml")
}

// folder creates the root of a project with these files below config.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "config", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}
