//go:build e2e

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-exec/tfexec"

	"platform/internal/configtest"
	"platform/internal/terraform"
)

func init() { randomStacks = 250 }

// What a sample of random configurations makes is taken by terraform and the provider.
func TestRandomConfigurationsAreValidTerraform(t *testing.T) {
	tf, err := terraform.Prepare(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	runner, err := tfexec.NewTerraform(work, tf.Path)
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{}
	for _, entry := range append(os.Environ(), tf.Env...) {
		name, value, _ := strings.Cut(entry, "=")
		environment[name] = value
	}
	if err := runner.SetEnv(tfexec.CleanEnv(environment)); err != nil {
		t.Fatal(err)
	}
	g := configtest.NewGenerator(t)
	for i := range 12 {
		cfg, text := g.Valid(t)
		folder := t.TempDir()
		if err := build(cfg, placeholder(t), folder); err != nil {
			t.Fatalf("seed %d: %v\n%s", g.Seed, err, text)
		}
		made := filepath.Join(folder, "stacks", cfg.Stack(), "cdk.tf.json")
		if err := os.Rename(made, filepath.Join(work, "cdk.tf.json")); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := runner.Init(t.Context(), tfexec.Backend(false)); err != nil {
				t.Fatal(err)
			}
		}
		result, err := runner.Validate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range result.Diagnostics {
			t.Errorf("seed %d: %s: %s\n%s", g.Seed, d.Summary, d.Detail, text)
		}
	}
}
