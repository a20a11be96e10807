package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShippedEnvironmentsAreValid(t *testing.T) {
	t.Parallel()
	names := shipped(t)
	for _, needed := range []string{"dev", "prod"} {
		if !slices.Contains(names, needed) {
			t.Errorf("config/%s.yaml does not exist", needed)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if got := load(t, name).Environment; got != name {
				t.Errorf("the environment is %q", got)
			}
		})
	}
}

func TestEnvironmentSelectsItsFile(t *testing.T) {
	t.Parallel()
	root := folder(t, map[string]string{"staging-2.yaml": minimal, "dev.yaml": "name: other\nregion: eu-central-1\n"})
	cfg, _, err := Load(root, "staging-2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Environment != "staging-2" || cfg.Stack() != "shop-staging-2" {
		t.Errorf("loaded %s of %q", cfg.Stack(), cfg.Environment)
	}
}

func TestMissingFileErrorListsEnvironments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"some": {
			files: map[string]string{"prod.yaml": minimal, "dev.yaml": minimal, "README.md": "", "old.yml": minimal},
			want:  "dev, prod",
		},
		"none": {want: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Load(folder(t, c.files), "test", nil)
			want := "config/test.yaml: file not found for ENVIRONMENT=test; environments in config/: " + c.want
			if fmt.Sprint(err) != want {
				t.Errorf("says\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestInvalidEnvironmentNamesAreRejected(t *testing.T) {
	t.Parallel()
	root := folder(t, map[string]string{"dev.yaml": minimal, "Dev.yaml": minimal, "a b.yaml": minimal})
	if err := os.WriteFile(filepath.Join(root, "secret.yaml"), []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{
		"", "../secret", "..", ".", "/etc/passwd", "dev/../dev", "dev.yaml", `..\secret`,
		"Dev", "a b", "dev\n", "dev\x00", "-dev", "dev-", "d--v", "2dev", "dév",
	} {
		_, _, err := Load(root, environment, nil)
		want := fmt.Sprintf("ENVIRONMENT=%q: "+
			"want a name of lower-case letters, digits and dashes, such as dev", environment)
		if fmt.Sprint(err) != want {
			t.Errorf("says\n%v\nwant\n%s", err, want)
		}
	}
}

func TestFileThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	root := folder(t, nil)
	if err := os.Mkdir(filepath.Join(root, "config", "dev.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(root, "dev", nil)
	got := fmt.Sprint(err)
	if !strings.HasPrefix(got, "config/dev.yaml: cannot be read: ") || strings.Contains(got, root) {
		t.Errorf("says %s", got)
	}
}

func TestStrictTurnsWarningsIntoErrors(t *testing.T) {
	t.Parallel()
	root := folder(t, map[string]string{"dev.yaml": minimal + "network: {zones: [a, g]}\n"})
	for value, want := range map[string]string{
		"INFRA_STRICT=true": "config/dev.yaml:3:22: network.zones.1: warning: " +
			"eu-central-1 has zones a, b, c in most accounts; terraform plan fails if yours does not have this one",
		"INFRA_STRICT=false": "",
		"INFRA_STRICT=":      "",
		"OTHER=true":         "",
		"INFRA_STRICT=yes":   `INFRA_STRICT: want true or false, have "yes"`,
	} {
		_, _, err := Load(root, "dev", []string{"PATH=/bin", value})
		if got := ""; err != nil || want != "" {
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s: says %q, want %q", value, got, want)
			}
		}
	}
}

func TestShippedEnvironmentsHaveNoWarnings(t *testing.T) {
	t.Parallel()
	for _, environment := range shipped(t) {
		_, doc, err := Load("../..", environment, nil)
		if err != nil || len(doc.Warnings()) > 0 {
			t.Errorf("%s: %v, %v", environment, doc, err)
		}
	}
}
