//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"platform/internal/terraform"
)

func TestTerraformValidatesTheStack(t *testing.T) {
	for _, environment := range environments(t) {
		t.Run(environment, func(t *testing.T) {
			if diagnostics := validate(t, readStack(t, environment)); len(diagnostics) > 0 {
				t.Errorf("terraform validate reports:\n%s", strings.Join(diagnostics, "\n"))
			}
		})
	}
}

// The example of resources beside the platform.
func TestTerraformValidatesTheSecondRoot(t *testing.T) {
	text, err := os.ReadFile("../examples/second-root/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	if diagnostics := validateFile(t, "main.tf", text); len(diagnostics) > 0 {
		t.Errorf("terraform validate reports:\n%s", strings.Join(diagnostics, "\n"))
	}
}

// TestTerraformRejectsAnInvalidStack checks that validate finds an error in a stack that has one.
func TestTerraformRejectsAnInvalidStack(t *testing.T) {
	stack := parse(t, readStack(t, environments(t)[0]))
	kinds := stack["resource"].(map[string]any)
	kind := slices.Sorted(maps.Keys(kinds))[0]
	resources := kinds[kind].(map[string]any)
	name := slices.Sorted(maps.Keys(resources))[0]
	resources[name].(map[string]any)["no_such_argument"] = "x"

	broken, err := json.Marshal(stack)
	if err != nil {
		t.Fatal(err)
	}
	diagnostics := validate(t, broken)
	if !slices.ContainsFunc(diagnostics, func(d string) bool {
		return strings.Contains(d, "no_such_argument") && strings.Contains(d, "resource."+kind+"."+name)
	}) {
		t.Errorf("%s.%s has an unknown argument, and terraform validate reports %q", kind, name, diagnostics)
	}
}

// internal/terraform looks for a copy of one version of the provider, so it must be the version
// that the stack requires.
func TestStackRequiresTheProviderVersionOfInternalTerraform(t *testing.T) {
	for _, environment := range environments(t) {
		t.Run(environment, func(t *testing.T) {
			stack := parse(t, readStack(t, environment))
			have := stack["terraform"].(map[string]any)["required_providers"].(map[string]any)["aws"].(map[string]any)
			if have["source"] != "hashicorp/aws" || have["version"] != terraform.ProviderVersion {
				t.Errorf("have %v, want hashicorp/aws %s", have, terraform.ProviderVersion)
			}
		})
	}
}

// Users may run cdktf synth instead of make synth.
func TestCdktfSynthWritesTheSameBytes(t *testing.T) {
	cdktf, err := filepath.Abs("../node_modules/.bin/cdktf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cdktf); err != nil {
		t.Fatalf("cdktf is not installed, run npm ci first: %v", err)
	}
	for _, environment := range environments(t) {
		t.Run(environment, func(t *testing.T) {
			want := files(t, synth(t, environment))
			folder := t.TempDir()
			defer step(t, "cdktf synth")()
			cmd := exec.Command(cdktf, "synth", "--output", folder)
			cmd.Dir = ".."
			cmd.Env = append(append(environ(), tf.Env...), "ENVIRONMENT="+environment)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			have := files(t, folder)
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if have[name] != want[name] {
					t.Errorf("%s differs", name)
				}
				delete(have, name)
			}
			for name := range have {
				t.Errorf("cdktf also writes %s", name)
			}
		})
	}
}

// validate returns the errors and warnings of terraform validate.
func validate(t *testing.T, stack []byte) []string {
	t.Helper()
	return validateFile(t, "cdk.tf.json", stack)
}

func validateFile(t *testing.T, name string, text []byte) []string {
	t.Helper()
	t.Log(tf.Source)
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
	runner, err := tfexec.NewTerraform(work, tf.Path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, e := range append(environ(), tf.Env...) {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if err := runner.SetEnv(tfexec.CleanEnv(env)); err != nil {
		t.Fatal(err)
	}

	done := step(t, "init")
	if err := runner.Init(t.Context(), tfexec.Backend(false)); err != nil {
		t.Fatalf("terraform init: %v", err)
	}
	done()
	done = step(t, "validate")
	result, err := runner.Validate(t.Context())
	if err != nil {
		t.Fatalf("terraform validate: %v", err)
	}
	done()

	var diagnostics []string
	for _, d := range result.Diagnostics {
		diagnostics = append(diagnostics, sentence(d))
	}
	if !result.Valid && len(diagnostics) == 0 {
		t.Fatal("terraform validate fails without a diagnostic")
	}
	return diagnostics
}

// sentence returns a diagnostic with its place as one line.
func sentence(d tfjson.Diagnostic) string {
	place := "stack"
	if d.Snippet != nil && d.Snippet.Context != nil {
		place = *d.Snippet.Context
	}
	if d.Range != nil {
		place += fmt.Sprintf(" (%s:%d)", d.Range.Filename, d.Range.Start.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %s", d.Severity, place, d.Summary, d.Detail)
}

// files returns the content of each file below a folder.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	contents := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		contents[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return contents
}
