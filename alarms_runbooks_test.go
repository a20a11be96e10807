package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

// descriptionLimit is how many characters CloudWatch accepts.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
const descriptionLimit = 1024

var runbookLink = regexp.MustCompile(`\. Runbook: docs/runbooks/([a-z-]+\.md#[a-z_]+)\.$`)

// An alarm tells the person it wakes what to do, in a section of docs/runbooks. A section that no
// alarm and no alert of Prometheus names describes an alarm that does not exist.
func TestEveryAlarmHasARunbook(t *testing.T) {
	stacks := allStacks(t)
	sections := runbookSections(t)
	for _, problem := range withoutRunbook(stacks, sections) {
		t.Error(problem)
	}
	named := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		for _, a := range stacks[name].Resources("aws_cloudwatch_metric_alarm") {
			if link := runbookLink.FindStringSubmatch(a.String("alarm_description")); link != nil {
				named[link[1]] = true
			}
		}
	}
	for _, alert := range alertRules(t) {
		named[strings.TrimPrefix(alert.Annotations["runbook"], "docs/runbooks/")] = true
	}
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		if !named[section] {
			t.Errorf("docs/runbooks/%s is named by no alarm of any stack", section)
		}
	}
}

// withoutRunbook returns a line for each alarm that names no section, and for each description that
// is too long.
func withoutRunbook(stacks map[string]stacktest.Stack, sections map[string]bool) (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		for _, a := range stacks[name].Resources("aws_cloudwatch_metric_alarm") {
			description := a.String("alarm_description")
			link := runbookLink.FindStringSubmatch(description)
			if link == nil || !sections[link[1]] {
				problems = append(problems, fmt.Sprintf(
					"%s: %s names no section of docs/runbooks: %q", name, a.Address, description))
			}
			if len([]rune(description)) > descriptionLimit {
				problems = append(problems, fmt.Sprintf(
					"%s: %s has a description of more than %d characters", name, a.Address, descriptionLimit))
			}
		}
	}
	return problems
}

// runbookSections are the second-level headings of the runbooks, as page#heading.
func runbookSections(t *testing.T) map[string]bool {
	t.Helper()
	pages, err := filepath.Glob("docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^## (.+)$`)
	sections := map[string]bool{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
			section := filepath.Base(page) + "#" + found[1]
			if sections[section] {
				t.Errorf("docs/runbooks/%s occurs twice", section)
			}
			sections[section] = true
		}
	}
	return sections
}

func TestAnAlarmWithoutARunbookIsFound(t *testing.T) {
	const stackWith = `{"resource":{"aws_cloudwatch_metric_alarm":{"database_cpu_alarm":{"alarm_description":%q}}}}`
	for _, c := range []struct{ name, description string }{
		{name: "no description", description: ""},
		{name: "no runbook", description: "The database has used more than 90% of its CPU."},
		{name: "a section that does not exist", description: "It is slow. Runbook: docs/runbooks/database.md#disk."},
		{
			name:        "text after the runbook",
			description: "It is slow. Runbook: docs/runbooks/database.md#database_cpu. Hurry.",
		},
		{
			name: "a description that CloudWatch refuses",
			description: strings.Repeat("It is slow. ", 100) + "See the disk" +
				". Runbook: docs/runbooks/database.md#database_cpu.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			stack, err := stacktest.Parse(fmt.Appendf(nil, stackWith, c.description))
			if err != nil {
				t.Fatal(err)
			}
			problems := withoutRunbook(map[string]stacktest.Stack{"dev": stack}, runbookSections(t))
			if len(problems) != 1 {
				t.Errorf("want one problem, have %q", problems)
			}
		})
	}
}
