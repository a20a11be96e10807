package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lines makes what `go test -json` writes of "action package test" lines.
func lines(short ...string) string {
	var b strings.Builder
	for _, s := range short {
		action, rest, _ := strings.Cut(s, " ")
		pkg, test, _ := strings.Cut(rest, " ")
		fmt.Fprintf(&b, `{"Time":"2025-01-01T00:00:00Z","Action":%q,"Package":%q,"Test":%q,"Elapsed":0.1}`+"\n",
			action, pkg, test)
	}
	return b.String()
}

func TestCount(t *testing.T) {
	for _, test := range []struct {
		name   string
		lines  []string
		need   []string
		noSkip bool
		want   string
		says   []string // the problems
	}{{
		name: "a test with subtests is not counted",
		lines: []string{
			"run p A", "run p A/x", "pass p A/x", "run p A/y", "pass p A/y", "pass p A",
			"run p B", "pass p B", "pass p",
		},
		want: "3 passed, 0 failed, 0 skipped",
	}, {
		name:  "a failed subtest is one failure",
		lines: []string{"run p A", "run p A/x", "fail p A/x", "run p A/y", "pass p A/y", "fail p A", "fail p"},
		want:  "1 passed, 1 failed, 0 skipped",
		says:  []string{"failed: p A/x"},
	}, {
		name:  "a test that fails after its subtests passed",
		lines: []string{"run p A", "run p A/x", "pass p A/x", "fail p A", "fail p"},
		want:  "1 passed, 1 failed, 0 skipped",
		says:  []string{"failed: p A"},
	}, {
		name:  "a package that does not build",
		lines: []string{"run p A", "pass p A", "pass p", "fail q"},
		want:  "1 passed, 1 failed, 0 skipped",
		says:  []string{"failed: q"},
	}, {
		name:  "a test that was cut off",
		lines: []string{"run p A", "run p A/x", "fail p"},
		want:  "0 passed, 1 failed, 0 skipped",
		says:  []string{"failed: p A/x"},
	}, {
		name:  "the same name in two packages",
		lines: []string{"run p A", "pass p A", "pass p", "run q A", "skip q A", "pass q"},
		want:  "1 passed, 0 failed, 1 skipped",
	}, {
		name:   "a skipped test with -noskip",
		lines:  []string{"run p A", "run p A/x", "skip p A/x", "pass p A", "run p B", "pass p B", "pass p", "skip q"},
		noSkip: true,
		want:   "1 passed, 0 failed, 1 skipped",
		says:   []string{"skipped, which -noskip forbids: p A/x"},
	}, {
		name:  "a needed package that ran",
		lines: []string{"run p A", "pass p A", "pass p"},
		need:  []string{"p"},
		want:  "1 passed, 0 failed, 0 skipped",
	}, {
		name:  "needed packages that skipped all tests or did not run",
		lines: []string{"run p A", "pass p A", "pass p", "run q A", "skip q A", "pass q"},
		need:  []string{"q", "r"},
		want:  "1 passed, 0 failed, 1 skipped",
		says:  []string{"no test ran in q", "no test ran in r"},
	}, {
		name: "empty output",
		want: "0 passed, 0 failed, 0 skipped",
		says: []string{"no test ran"},
	}} {
		t.Run(test.name, func(t *testing.T) {
			c, err := countTests(strings.NewReader(lines(test.lines...)))
			if err != nil {
				t.Fatal(err)
			}
			if c.String() != test.want {
				t.Errorf("have %s, want %s", c, test.want)
			}
			if says := c.problems(test.need, test.noSkip); !slices.Equal(says, test.says) {
				t.Errorf("says %q, want %q", says, test.says)
			}
		})
	}
}

func TestCountRejectsTruncatedOutput(t *testing.T) {
	whole := lines("run p A", "pass p A")
	if c, err := countTests(strings.NewReader(whole[:len(whole)-9])); err == nil {
		t.Errorf("counted %s", c)
	}
}
