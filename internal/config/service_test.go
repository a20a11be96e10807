package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func TestOnlyFargateSizesAreAccepted(t *testing.T) {
	t.Parallel()
	steps := func(from, to, step int) []int {
		var all []int
		for memory := from; memory <= to; memory += step {
			all = append(all, memory)
		}
		return all
	}
	sizes := map[int][]int{
		256:   {512, 1024, 2048},
		512:   steps(1024, 4096, 1024),
		1024:  steps(2048, 8192, 1024),
		2048:  steps(4096, 16384, 1024),
		4096:  steps(8192, 30720, 1024),
		8192:  steps(16384, 61440, 4096),
		16384: steps(32768, 122880, 8192),
	}
	cfg, doc := read("config/test.yaml", "test", []byte(minimal), nil)
	c := checker{newPlace(cfg, doc)}.at("services", "web")
	for _, cpu := range []int{-256, 0, 1, 128, 256, 257, 512, 768, 1024, 2048, 4096, 8192, 16384, 32768} {
		for memory := -512; memory <= 131072; memory += 256 {
			before := len(doc.Problems())
			c.size(cpu, memory)
			refused := len(doc.Problems()) > before
			if refused == slices.Contains(sizes[cpu], memory) {
				t.Errorf("%d CPU units with %d MiB: refused %v", cpu, memory, refused)
			}
		}
	}
}

func TestDefaultsOfAServiceAreValidInBothProfiles(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{ProfileDevelopment, ProfileProduction} {
		t.Run(profile, func(t *testing.T) {
			wantProblems(t, minimal+"profile: "+profile+`
state: {backend: local}
load_balancer: {allow_http: true}
services:
  web: {image: 'quay.io/x/y:1'}
  worker: {image: 'quay.io/x/y:1'}
  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}
`)
		})
	}
}

// Both forms of ECS, and a program alone, as people write them.
func TestHealthCheckCommandHasTheFormOfECS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ command, want []string }{
		{nil, nil},
		{[]string{"/bin/check"}, []string{"CMD", "/bin/check"}},
		{[]string{"/bin/check", "CMD"}, []string{"CMD", "/bin/check", "CMD"}},
		{[]string{"CMD", "/bin/check"}, []string{"CMD", "/bin/check"}},
		{[]string{"CMD-SHELL", "a || b"}, []string{"CMD-SHELL", "a || b"}},
	} {
		if got := (HealthCheck{Command: c.command}).ContainerCommand(); !slices.Equal(got, c.want) {
			t.Errorf("%q: is %q, want %q", c.command, got, c.want)
		}
	}
}

func TestTaskDefinitionsSizeIsLimited(t *testing.T) {
	t.Parallel()
	variables := func(n int) string {
		text := minimal + "services:\n  web:\n    image: quay.io/x/y:1\n" +
			"    database: {access: owner}\n    environment:\n"
		for i := range n {
			text += fmt.Sprintf("      V%d: '%s'\n", i, strings.Repeat("x", 1000))
		}
		return text
	}
	wantProblems(t, variables(50))
	wantProblems(t, variables(58), "4:3: services.web: want a task definition of at most 65536 bytes, AWS's limit, "+
		"have about 69598: shorten environment, secrets or command")
}

func TestServicesThatNeedMoreRulesThanASecurityGroupHasAreWarnedOf(t *testing.T) {
	t.Parallel()
	services := func(n int, settings string) string {
		text := minimal + "services:\n"
		for i := range n {
			text += fmt.Sprintf("  service%d: {image: 'quay.io/x/y:1', %s}\n", i, settings)
		}
		return text
	}
	for count, want := range map[int]int{58: 0, 59: 1} {
		_, doc := read("config/test.yaml", "test", []byte(services(count, "metrics: {enabled: true}")), nil)
		if got := strings.Count(fmt.Sprint(doc.WarningsErr()), "need a security group with"); got != want {
			t.Errorf("%d services that Prometheus scrapes: %d warnings, want %d", count, got, want)
		}
	}
}
