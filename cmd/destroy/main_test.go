package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"platform/internal/teardown"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(empty, "manifest.json"):  `{"stacks": {}}`,
		filepath.Join(broken, "manifest.json"): `{`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no folder":              {nil, "usage: destroy FOLDER [ARGUMENT...]"},
		"nothing is synthesised": {[]string{t.TempDir()}, "run make synth first"},
		"no stack":               {[]string{empty}, "has no stack: run make synth"},
		"a broken manifest":      {[]string{broken}, "manifest.json: "},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("have %v, want %s", err, c.want)
			}
		})
	}
}

// A state that Terraform could not save is the only record of what it did.
func TestUnsavedStateIsNotOverwritten(t *testing.T) {
	w := workspace{folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(w.folder, "errored.tfstate"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := w.state(t.Context(), nil, ""); err == nil || !strings.Contains(err.Error(), "push it to the backend") {
		t.Errorf("have %v, want a refusal", err)
	}
}

func TestEverythingThatStaysIsNamed(t *testing.T) {
	kept := &teardown.Plan{
		Kept:      []teardown.Kept{{Address: "aws_kms_key.database_key", Name: "arn:aws:kms:key"}},
		Snapshots: []teardown.Snapshot{{Name: "shop-prod-final-1"}},
	}
	for _, text := range []string{announcement("shop-prod", kept), result("shop-prod", kept)} {
		for _, want := range []string{"shop-prod", "aws_kms_key.database_key: arn:aws:kms:key", "shop-prod-final-1"} {
			if !strings.Contains(text, want) {
				t.Errorf("does not name %s:\n%s", want, text)
			}
		}
	}
	for _, page := range []string{
		"docs/restore.md#after-a-stack-was-destroyed", "docs/operations.md#deleting-what-a-stack-has-left",
	} {
		path, anchor, _ := strings.Cut(page, "#")
		text, err := os.ReadFile(filepath.Join("..", "..", path))
		heading := "# " + strings.ReplaceAll(anchor, "-", " ") + "\n"
		if err != nil || !strings.Contains(strings.ToLower(string(text)), heading) {
			t.Errorf("%s: %v, or there is no such heading", page, err)
		}
		if !strings.Contains(result("x", kept), page) {
			t.Errorf("the result does not name %s", page)
		}
	}
	for _, text := range []string{announcement("shop-dev", &teardown.Plan{}), result("shop-dev", &teardown.Plan{})} {
		if !strings.Contains(strings.ToLower(text), "nothing stays") {
			t.Errorf("want that nothing stays, have\n%s", text)
		}
	}
}
