package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// made returns a machine with empty temporary folders, which counts its downloads.
func made(t *testing.T) (m *machine, env map[string]string, fetches *int) {
	t.Helper()
	root := t.TempDir()
	env = map[string]string{"PATH": filepath.Join(root, "bin")}
	fetches = new(int)
	m = &machine{
		getenv: func(name string) string { return env[name] },
		goos:   "linux",
		goarch: "arm64",
		home:   filepath.Join(root, "home"),
		cache:  filepath.Join(root, "home", ".cache", cacheName),
		shared: []string{filepath.Join(root, "usr", "share"), filepath.Join(root, "opt")},
		fetch: func(_ context.Context, folder string) error {
			*fetches++
			program(t, filepath.Join(folder, "terraform"), fetchedVersion)
			return nil
		},
	}
	return m, env, fetches
}

// program writes a program that prints a version as terraform does.
func program(t *testing.T, path, version string) {
	t.Helper()
	write(t, path, fmt.Sprintf("#!/bin/sh\necho '{\"terraform_version\": \"%s\"}'\n", version))
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFindTerraform(t *testing.T) {
	fetched := filepath.Join(".cache", cacheName, "terraform-"+fetchedVersion, "terraform")
	for _, test := range []struct {
		name    string
		arrange func(m *machine, env map[string]string)
		path    string // suffix of the path
		source  string // part of the source
		fails   string // part of the error
	}{{
		name: "the one on PATH is new enough",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.11.0")
		},
		path:   "bin/terraform",
		source: "terraform 1.11.0 from PATH",
	}, {
		name: "the first of two on PATH is used",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.20.3")
			other := filepath.Join(m.home, "bin")
			program(t, filepath.Join(other, "terraform"), "1.12.0")
			env["PATH"] += string(filepath.ListSeparator) + other
		},
		source: "terraform 1.20.3 from PATH",
	}, {
		name: "the one on PATH is too old",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.9.8")
		},
		path:   fetched,
		source: "is version 1.9.8",
	}, {
		name: "a release candidate of the oldest is older",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.11.0-rc1")
		},
		path:   fetched,
		source: "is version 1.11.0-rc1",
	}, {
		name: "the one on PATH is another program",
		arrange: func(m *machine, env map[string]string) {
			write(t, filepath.Join(env["PATH"], "terraform"), "#!/bin/sh\necho hello\n")
			if err := os.Chmod(filepath.Join(env["PATH"], "terraform"), 0o755); err != nil {
				t.Error(err)
			}
		},
		path:   fetched,
		source: "is unknown",
	}, {
		name:    "none on PATH",
		arrange: func(m *machine, env map[string]string) {},
		path:    fetched,
		source:  "none is on PATH",
	}, {
		name: "TERRAFORM_BINARY_NAME is used regardless of its version",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.12.0")
			program(t, filepath.Join(env["PATH"], "tofu"), "1.6.0")
			env["TERRAFORM_BINARY_NAME"] = "tofu"
		},
		path:   "bin/tofu",
		source: "from TERRAFORM_BINARY_NAME",
	}, {
		name: "TERRAFORM_BINARY_NAME may be a path",
		arrange: func(m *machine, env map[string]string) {
			env["TERRAFORM_BINARY_NAME"] = filepath.Join(m.home, "mine", "tf")
			program(t, env["TERRAFORM_BINARY_NAME"], "1.12.0")
		},
		path: "mine/tf",
	}, {
		name: "TERRAFORM_BINARY_NAME names no program",
		arrange: func(m *machine, env map[string]string) {
			program(t, filepath.Join(env["PATH"], "terraform"), "1.12.0")
			env["TERRAFORM_BINARY_NAME"] = "tofu"
		},
		fails: "TERRAFORM_BINARY_NAME is tofu: no such program",
	}, {
		name: "none on PATH, and no network",
		arrange: func(m *machine, env map[string]string) {
			m.fetch = func(context.Context, string) error { return errors.New("no such host") }
		},
		fails: "want 1.11.0 or later, but none is on PATH; install it, because downloading 1.11.4 failed: no such host",
	}, {
		name:    "none on PATH, and no home folder",
		arrange: func(m *machine, env map[string]string) { m.home, m.cache = "", "" },
		fails:   "set HOME",
	}} {
		t.Run(test.name, func(t *testing.T) {
			m, env, _ := made(t)
			test.arrange(m, env)
			path, source, err := m.findTerraform(t.Context())
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v, want one with %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, filepath.FromSlash(test.path)) || !filepath.IsAbs(path) {
				t.Errorf("found %s, want …/%s", path, test.path)
			}
			if !strings.Contains(source, test.source) {
				t.Errorf("source %q, want one with %q", source, test.source)
			}
		})
	}
}

func TestTerraformIsDownloadedOnce(t *testing.T) {
	m, _, fetches := made(t)
	first, _, err := m.findTerraform(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := m.findTerraform(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first != second || *fetches != 1 {
		t.Errorf("downloaded %d times, to %s and %s", *fetches, first, second)
	}
}

func TestInterruptedDownloadLeavesNoFiles(t *testing.T) {
	m, _, _ := made(t)
	m.fetch = func(_ context.Context, folder string) error {
		write(t, filepath.Join(folder, "terraform"), "half a prog")
		return context.Canceled
	}
	if path, _, err := m.findTerraform(t.Context()); err == nil {
		t.Fatalf("found %s", path)
	}
	if left, _ := os.ReadDir(m.cache); len(left) > 0 {
		t.Errorf("the cache holds %v", left)
	}
}

func TestFindProvider(t *testing.T) {
	// unpacked and packed are the two layouts of a copy, for the platform of made.
	unpacked := filepath.FromSlash(provider + "/" + ProviderVersion +
		"/linux_arm64/terraform-provider-aws_v" + ProviderVersion + "_x5")
	packed := filepath.FromSlash(provider + "/terraform-provider-aws_" + ProviderVersion + "_linux_arm64.zip")

	for _, test := range []struct {
		name    string
		arrange func(m *machine, env map[string]string) (mirror string)
	}{
		{"no copy of the provider", func(m *machine, env map[string]string) string {
			return ""
		}},
		{"in the folder of terraform's plugins", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.home, ".terraform.d", "plugins"), unpacked)
		}},
		{"in the user's data folder", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.home, ".local", "share", "terraform", "plugins"), packed)
		}},
		{"in a data folder that XDG_DATA_HOME names", func(m *machine, env map[string]string) string {
			copyIn(t, filepath.Join(m.home, ".local", "share", "terraform", "plugins"), packed)
			env["XDG_DATA_HOME"] = filepath.Join(m.home, "data")
			return copyIn(t, filepath.Join(m.home, "data", "terraform", "plugins"), packed)
		}},
		{"in a data folder that XDG_DATA_DIRS names", func(m *machine, env map[string]string) string {
			env["XDG_DATA_DIRS"] = "/nowhere" + string(filepath.ListSeparator) + filepath.Join(m.home, "data")
			return copyIn(t, filepath.Join(m.home, "data", "terraform", "plugins"), packed)
		}},
		{"in the plugin cache that TF_PLUGIN_CACHE_DIR names", func(m *machine, env map[string]string) string {
			env["TF_PLUGIN_CACHE_DIR"] = filepath.Join(m.home, "plugin-cache")
			return copyIn(t, env["TF_PLUGIN_CACHE_DIR"], unpacked)
		}},
		{"in the plugin cache that an earlier download filled", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.cache, "plugins"), unpacked)
		}},
		{"in the plugin cache of cdktf", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.home, ".terraform.d", "plugin-cache"), unpacked)
		}},
		{"in a shared folder", func(m *machine, env map[string]string) string {
			return copyIn(t, m.shared[1], unpacked)
		}},
		{"one level down in a shared folder", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.shared[1], "tf-plugins"), unpacked)
		}},
		{"two levels down in a shared folder, packed", func(m *machine, env map[string]string) string {
			return copyIn(t, filepath.Join(m.shared[0], "terraform", "plugins"), packed)
		}},
		{"three levels down in a shared folder", func(m *machine, env map[string]string) string {
			copyIn(t, filepath.Join(m.shared[0], "a", "b", "c"), packed)
			return ""
		}},
		{"the user's copy before the shared one", func(m *machine, env map[string]string) string {
			copyIn(t, filepath.Join(m.shared[0], "a"), unpacked)
			return copyIn(t, filepath.Join(m.home, ".terraform.d", "plugins"), unpacked)
		}},
		{"the second copy, because the first has another version", func(m *machine, env map[string]string) string {
			copyIn(t, filepath.Join(m.shared[0], "a"), strings.ReplaceAll(unpacked, ProviderVersion, "5.99.1"))
			return copyIn(t, filepath.Join(m.shared[0], "b"), unpacked)
		}},
		{"a copy for another platform", func(m *machine, env map[string]string) string {
			copyIn(t, filepath.Join(m.shared[0], "a"), unpacked)
			m.goarch = "amd64"
			return ""
		}},
		{"behind a link", func(m *machine, env map[string]string) string {
			link(t, copyIn(t, filepath.Join(m.home, "elsewhere"), unpacked), filepath.Join(m.shared[1], "mirror"))
			return filepath.Join(m.shared[1], "mirror")
		}},
		{"a cache with a link to a deleted mirror", func(m *machine, env map[string]string) string {
			link(t, "/nowhere", filepath.Join(m.home, ".terraform.d", "plugin-cache", filepath.Dir(unpacked)))
			return ""
		}},
		{"TF_CLI_CONFIG_FILE names a missing file", func(m *machine, env map[string]string) string {
			env["TF_CLI_CONFIG_FILE"] = filepath.Join(m.home, ".terraformrc")
			return copyIn(t, filepath.Join(m.shared[1], "tf-plugins"), unpacked)
		}},
		{"no home folder", func(m *machine, env map[string]string) string {
			m.home, m.cache = "", ""
			return copyIn(t, filepath.Join(m.shared[1], "tf-plugins"), unpacked)
		}},
		{"no home folder and no copy", func(m *machine, env map[string]string) string {
			m.home, m.cache = "", ""
			return ""
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, environment, _ := made(t)
			mirror := test.arrange(m, environment)
			scratch := filepath.Join(t.TempDir(), "new")
			env, source, err := m.findProvider(scratch)
			if err != nil {
				t.Fatal(err)
			}

			file := filepath.Join(scratch, "terraform.rc")
			if got := valueOf(env, "TF_CLI_CONFIG_FILE"); got != file {
				t.Errorf("TF_CLI_CONFIG_FILE is %q, want %q", got, file)
			}
			config, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if mirror == "" {
				if strings.Contains(string(config), "filesystem_mirror") || source != "from the Terraform Registry" {
					t.Errorf("want the registry, have %s:\n%s", source, config)
				}
				if cache := valueOf(env, "TF_PLUGIN_CACHE_DIR"); cache != "" {
					if info, err := os.Stat(cache); err != nil || !info.IsDir() {
						t.Errorf("the plugin cache: %v", err)
					}
				} else if m.cache != "" {
					t.Error("no plugin cache: each stack would download the provider")
				}
				return
			}
			if !strings.Contains(string(config), fmt.Sprintf("path    = %q", mirror)) || source != "from "+mirror {
				t.Errorf("want %s, have %s:\n%s", mirror, source, config)
			}
			for _, off := range []string{"TF_PLUGIN_CACHE_DIR=", "CDKTF_DISABLE_PLUGIN_CACHE_ENV=1"} {
				if !slices.Contains(env, off) {
					t.Errorf("want %s, have %v", off, env)
				}
			}
		})
	}
}

func TestConfigurationOfTheUserIsNotChanged(t *testing.T) {
	for _, test := range []struct {
		name    string
		arrange func(m *machine, env map[string]string) (file string)
	}{
		{"configuration named by TF_CLI_CONFIG_FILE", func(m *machine, env map[string]string) string {
			env["TF_CLI_CONFIG_FILE"] = filepath.Join(m.home, "my.tfrc")
			return env["TF_CLI_CONFIG_FILE"]
		}},
		{"configuration in the home folder", func(m *machine, env map[string]string) string {
			return filepath.Join(m.home, ".terraformrc")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, environment, _ := made(t)
			file := test.arrange(m, environment)
			write(t, file, "# mine\n")
			copyIn(t, filepath.Join(m.shared[0], "a"),
				filepath.FromSlash(provider+"/terraform-provider-aws_"+ProviderVersion+"_linux_arm64.zip"))
			scratch := t.TempDir()
			env, source, err := m.findProvider(scratch)
			if err != nil {
				t.Fatal(err)
			}
			want := []string{"TF_CLI_CONFIG_FILE=" + file}
			if !slices.Equal(env, want) || source != "as configured in "+file {
				t.Errorf("have %v (%s), want %v", env, source, want)
			}
			if left, _ := os.ReadDir(scratch); len(left) > 0 {
				t.Errorf("wrote %v", left)
			}
		})
	}
}

func TestPrepareReturnsTheEnvironmentOfCommands(t *testing.T) {
	m, env, _ := made(t)
	program(t, filepath.Join(env["PATH"], "terraform"), "1.12.1")
	tf, err := m.prepare(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(env["PATH"], "terraform")
	if tf.Path != want || valueOf(tf.Env, "TERRAFORM_BINARY_NAME") != want {
		t.Errorf("have %s and %v, want %s", tf.Path, tf.Env, want)
	}
	if valueOf(tf.Env, "CHECKPOINT_DISABLE") != "1" {
		t.Errorf("terraform would check for new versions: %v", tf.Env)
	}
	if want := "terraform 1.12.1 from PATH; AWS provider from the Terraform Registry"; tf.Source != want {
		t.Errorf("source %q, want %q", tf.Source, want)
	}
}

// The script simulates cdktf, which ends when it is interrupted. Its terminal prints what is typed,
// and ends on request.
func TestInterruptIsPassedToTerraformOnly(t *testing.T) {
	m, env, _ := made(t)
	program(t, filepath.Join(env["PATH"], "terraform"), "1.12.1")
	tf, err := m.prepare(t.Context(), filepath.Join(t.TempDir(), "a folder"))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write(t, filepath.Join(folder, "node_modules", "@cdktf", "node-pty-prebuilt-multiarch", "index.js"), `
		exports.spawn = () => {
			let end;
			return {
				write: (keys) => { console.log("typed", JSON.stringify(keys)); end(); },
				onExit: (listener) => { const before = end; end = () => { before?.(); listener(); }; },
			};
		};`)
	write(t, filepath.Join(folder, "cdktf.js"), `
		const pty = require("@cdktf/node-pty-prebuilt-multiarch");
		process.on("SIGINT", () => { console.log("gave up"); process.exit(3); });
		const terraform = pty.spawn("terraform");
		terraform.onExit(() => {
			console.log("terraform ended");
			process.kill(process.pid, "SIGINT");
		});
		process.kill(process.pid, "SIGINT");
		setTimeout(() => console.log("nobody interrupts"), 20_000);`)
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join(folder, "cdktf.js"))
	cmd.Env = append(os.Environ(), tf.Env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("have %v, want exit status 3", err)
	}
	if want := "typed \"\\u0003\"\nterraform ended\ngave up\n"; string(out) != want {
		t.Errorf("have %q, want %q", out, want)
	}
}

// copyIn creates a copy of the provider in a folder, and returns the folder.
func copyIn(t *testing.T, folder, layout string) string {
	t.Helper()
	write(t, filepath.Join(folder, layout), "a provider")
	return folder
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

func valueOf(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	return ""
}
