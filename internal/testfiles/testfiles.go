// Package testfiles writes files for tests.
package testfiles

import (
	"os"
	"path/filepath"
	"testing"
)

// Write writes files, given by their slash-separated path below root, and the folders they need.
func Write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for path, content := range files {
		path = filepath.Join(root, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
