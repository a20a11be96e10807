package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeBlock    = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// A link in the documentation leads to a file of the repository and, with #, to one of its
// headings.
func TestLinksInTheDocumentationLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range documentation(t) {
		for _, link := range markdownLink.FindAllStringSubmatch(prose(t, page), -1) {
			path, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads to no file", page, link[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(prose(t, target)), anchor) {
				t.Errorf("%s: the link %s leads to no heading", page, link[1])
			}
		}
	}
}

// documentation lists the Markdown files of the repository.
func documentation(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/runbooks/*.md", ".github/*.md", ".github/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 10 {
		t.Fatalf("want at least 10 pages, found %q", pages)
	}
	return pages
}

// prose is a page without its code blocks, in which # begins a comment.
func prose(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return codeBlock.ReplaceAllString(string(text), "")
}

// anchors are the fragments that GitHub gives the headings of a page.
func anchors(text string) (all []string) {
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		anchor := notInAnchor.ReplaceAllString(strings.ToLower(found[1]), "")
		all = append(all, strings.ReplaceAll(anchor, " ", "-"))
	}
	return all
}

// outputsOf returns the names of the outputs of a shipped environment.
func outputsOf(t *testing.T, environment string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", environment, "outputs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Output map[string]any }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(golden.Output))
}

// The second Terraform root and its page read outputs that exist, and the page about operations lists
// all.
func TestOutputsInTheDocumentationAreThoseOfTheStack(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"dev", "prod"} {
		outputs := outputsOf(t, environment)
		for page, pattern := range map[string]string{
			"examples/second-root/main.tf": `local\.platform\.(\w+)`,
			"docs/second-root.md":          "(?:^\\| |, )`([a-z_]+)`",
			"docs/operations.md":           "(?:^\\| |, )`([a-z_]+_[a-z_]+|url)`",
		} {
			read := map[string]bool{}
			for line := range strings.SplitSeq(section(t, page), "\n") {
				for _, name := range regexp.MustCompile(pattern).FindAllStringSubmatch(line, -1) {
					read[name[1]] = true
				}
			}
			for name := range read {
				if !slices.Contains(outputs, name) {
					t.Errorf("%s names %s, which is no output of %s", page, name, environment)
				}
			}
			if missing := len(outputs) - len(read); page == "docs/operations.md" && missing != 0 || len(read) < 5 {
				t.Errorf("%s names %d of %d outputs of %s", page, len(read), len(outputs), environment)
			}
		}
	}
}

// section is the part of a page that is about outputs.
func section(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n### Outputs\n")
	if !found {
		return string(text)
	}
	about, _, _ := strings.Cut(after, "\n## ")
	return about
}

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines, want at most 150: move details to docs/", lines)
	}
}

// README.md and docs/costs.md count what the goldens have.
func TestCountsInTheDocumentationAreThoseOfTheGoldens(t *testing.T) {
	t.Parallel()
	resources, alarms := "| resources |", "| CloudWatch alarms |"
	for _, environment := range []string{"dev", "prod"} {
		list, err := os.ReadFile("testdata/" + environment + ".addresses")
		if err != nil {
			t.Fatal(err)
		}
		addresses := strings.Fields(string(list))
		kinds := map[string]int{}
		for _, address := range addresses {
			kind, _, _ := strings.Cut(address, ".")
			kinds[kind]++
		}
		resources += fmt.Sprintf(" %d of %d types |", len(addresses), len(kinds))
		alarms += fmt.Sprintf(" %d |", kinds["aws_cloudwatch_metric_alarm"])
	}
	for page, row := range map[string]string{"README.md": resources, "docs/costs.md": alarms} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), row) {
			t.Errorf("%s: want the row %s", page, row)
		}
	}
}
