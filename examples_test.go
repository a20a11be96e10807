package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"platform/internal/config"
)

// examples are the files of examples/, by name.
func examples(t *testing.T) map[string]*config.Config {
	t.Helper()
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("want at least six examples, have %q (%v)", files, err)
	}
	read := map[string]*config.Config{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "config"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, "config", "dev.yaml"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := config.Load(root, "dev", []string{"INFRA_STRICT=true"})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		read[strings.TrimSuffix(filepath.Base(file), ".yaml")] = cfg
	}
	return read
}

// A copied example is valid and causes no warning.
func TestExamplesHaveNoWarnings(t *testing.T) { examples(t) }
