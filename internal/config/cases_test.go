package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"platform/internal/golden"
)

// TestCases runs testdata/<section>/<kind>.txtar. In such a file every case is
//
//	-- a name --
//	a whole configuration file
//	-- variables --
//	INFRA_NAME="value" on each line, if the case has any
//	-- report --
//	the expected report
//
// The kind decides what the report holds; see report. With -update the reports are rewritten.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		section, kind := filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(section+"/"+kind, func(t *testing.T) {
			t.Parallel()
			runCases(t, file, kind)
		})
	}
}

func runCases(t *testing.T, file, kind string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(archive.Files) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	seen := map[string]bool{}
	for rest := archive.Files; len(rest) > 0; {
		input := rest[0]
		rest = rest[1:]
		var variables, want *txtar.File
		if len(rest) > 0 && rest[0].Name == "variables" {
			variables, rest = &rest[0], rest[1:]
		}
		if len(rest) > 0 && rest[0].Name == "report" {
			want, rest = &rest[0], rest[1:]
		}
		if input.Name == "variables" || input.Name == "report" || seen[input.Name] {
			t.Fatalf("%s: unexpected section %q", file, input.Name)
		}
		seen[input.Name] = true
		t.Run(input.Name, func(t *testing.T) {
			got := report(t, kind, input.Data, variablesOf(t, variables))
			if want == nil {
				if kind != "accepted" || got != "" {
					t.Errorf("%s\nsays\n%s", input.Data, got)
				}
				return
			}
			wanted := strings.TrimRight(string(want.Data), "\n")
			if kind == "accepted" || kind == "refused" && wanted == "" {
				t.Errorf("a case in %s has the report %q", file, wanted)
			}
			switch {
			case *golden.Update && got == "" && wanted != "":
				t.Errorf("nothing is reported any more, want\n%s\nif that is meant, empty the report by hand", wanted)
			case *golden.Update:
				want.Data = []byte(strings.TrimLeft(got+"\n", "\n") + "\n")
			case got != wanted:
				t.Errorf("%s\nsays\n%s\nwant\n%s", input.Data, got, wanted)
			}
		})
	}
	if *golden.Update && kind != "accepted" {
		text := strings.TrimRight(string(txtar.Format(archive)), "\n") + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func variablesOf(t *testing.T, file *txtar.File) map[string]string {
	variables := map[string]string{}
	if file == nil {
		return variables
	}
	for line := range strings.Lines(string(file.Data)) {
		name, quoted, _ := strings.Cut(strings.TrimSpace(line), "=")
		value, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("variable %s: %v", line, err)
		}
		variables[name] = value
	}
	return variables
}

// report returns the report of a case. For the kinds accepted, refused and overridden, it has the
// problems; for warned, the warnings of a configuration without problems; both without the name of
// the file. For explained, it has the problems with the lines of the file.
func report(t *testing.T, kind string, input []byte, variables map[string]string) string {
	_, doc := read("config/test.yaml", "test", input, variables)
	err := doc.Err()
	switch kind {
	case "warned":
		if err != nil {
			t.Fatal(err)
		}
		err = doc.WarningsErr()
	case "explained":
		got := Explained(err)
		if strings.Contains(got, "hunter2") {
			t.Errorf("shows a secret:\n%s", got)
		}
		return got
	case "accepted", "refused", "overridden":
	default:
		t.Fatalf("no such kind of case: %s", kind)
	}
	if err == nil {
		return ""
	}
	return strings.ReplaceAll("\n"+err.Error(), "\nconfig/test.yaml:", "\n")[1:]
}
