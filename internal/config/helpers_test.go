package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// load reads a shipped environment.
func load(t *testing.T, environment string) *Config {
	t.Helper()
	cfg, _, err := Load("../..", environment, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// parse is a configuration written out in a test; it must be valid.
func parse(t *testing.T, environment, text string) *Config {
	t.Helper()
	cfg, err := Parse("config/"+environment+".yaml", environment, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// shipped are the environments in config/.
func shipped(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no environment in config: %v", err)
	}
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".yaml"))
	}
	return names
}
