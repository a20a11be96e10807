// Testcount reads the output of `go test -json` and prints, on its last line, how many tests
// passed, failed and were skipped. It fails if a test failed, and in these cases:
//
//   - no test ran in one of the packages of -need;
//   - with -noskip, a test was skipped.
//
// A test with subtests is not counted, only its subtests are.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	need := flag.String("need", "", "`packages`, separated by commas, in each of which a test must have run")
	noSkip := flag.Bool("noskip", false, "fail if a test was skipped")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: testcount [-need PACKAGES] [-noskip] FILE")
		os.Exit(2)
	}
	c, err := countFile(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(2)
	}
	problems := c.problems(strings.FieldsFunc(*need, func(r rune) bool { return r == ',' }), *noSkip)
	for _, p := range problems {
		fmt.Println(p)
	}
	fmt.Println(c)
	if len(problems) > 0 {
		os.Exit(1)
	}
}

// count has the results of the tests, each named PACKAGE TEST, or PACKAGE if the package failed
// outside its tests.
type count struct {
	passed, failed, skipped []string

	// ran has the packages in which a test passed or failed.
	ran map[string]bool
}

func (c *count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", len(c.passed), len(c.failed), len(c.skipped))
}

// problems returns the reasons for which testcount fails.
func (c *count) problems(need []string, noSkip bool) []string {
	var problems []string
	for _, name := range c.failed {
		problems = append(problems, "failed: "+name)
	}
	for _, pkg := range need {
		if !c.ran[pkg] {
			problems = append(problems, "no test ran in "+pkg)
		}
	}
	if noSkip {
		for _, name := range c.skipped {
			problems = append(problems, "skipped, which -noskip forbids: "+name)
		}
	}
	if len(c.passed)+len(c.failed) == 0 {
		problems = append(problems, "no test ran")
	}
	return problems
}

func countFile(name string) (*count, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	c, err := countTests(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// event has the fields of a line of `go test -json` that are used.
type event struct {
	Action, Package, Test string
}

// key names a test, or a package if test is empty.
type key struct{ pkg, test string }

func countTests(r io.Reader) (*count, error) {
	results, err := readResults(r)
	if err != nil {
		return nil, err
	}
	parents, explained := enclosing(results)
	c := &count{ran: map[string]bool{}}
	for k, result := range results {
		name := strings.TrimSpace(k.pkg + " " + k.test)
		if k.test != "" && result != "skip" {
			c.ran[k.pkg] = true
		}
		switch {
		case result == "fail" && !explained[k]:
			c.failed = append(c.failed, name)
		case k.test == "" || parents[k]:
			// its subtests are counted
		case result == "pass":
			c.passed = append(c.passed, name)
		case result == "skip":
			c.skipped = append(c.skipped, name)
		}
	}
	for _, names := range [][]string{c.passed, c.failed, c.skipped} {
		slices.Sort(names)
	}
	return c, nil
}

// readResults returns pass, fail or skip for each test and each package.
func readResults(r io.Reader) (map[key]string, error) {
	results := map[key]string{}
	begun := map[key]bool{}
	decoder := json.NewDecoder(r)
	for {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if e.Package == "" {
			continue // the output of a build
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "run":
			begun[k] = true
		case "pass", "fail", "skip":
			results[k] = e.Action
		}
	}
	// A test without a result was cut off by a panic, a time limit or os.Exit.
	for k := range begun {
		if results[k] == "" {
			results[k] = "fail"
		}
	}
	return results, nil
}

// enclosing returns the tests and packages that contain tests, and those that contain a failed
// test, which explains their own failure.
func enclosing(results map[key]string) (parents, explained map[key]bool) {
	parents, explained = map[key]bool{}, map[key]bool{}
	for k, result := range results {
		for test := k.test; test != ""; {
			test = test[:max(strings.LastIndex(test, "/"), 0)]
			up := key{k.pkg, test}
			parents[up] = true
			if result == "fail" {
				explained[up] = true
			}
		}
	}
	return parents, explained
}
