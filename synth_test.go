package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/testfiles"
)

// contents are all files below a folder, by their path in it; empty folders are there with a
// slash at the end.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() {
			if entries, err := os.ReadDir(path); err == nil && len(entries) == 0 {
				out[name+"/"] = ""
			}
			return nil
		}
		content, err := os.ReadFile(path)
		out[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ---- Publishing ---------------------------------------------------------------------------------

func TestPublishReplacesTheStackAndKeepsTheRest(t *testing.T) {
	root := t.TempDir()
	scratch, outdir := filepath.Join(root, "scratch"), filepath.Join(root, "out")
	testfiles.Write(t, outdir, map[string]string{
		"manifest.json":                                  "old",
		"stacks/shop-dev/cdk.tf.json":                    "old",
		"stacks/shop-dev/.terraform/providers/x":         "downloaded",
		"stacks/shop-dev/.terraform.lock.hcl":            "locked",
		"stacks/shop-dev/plan":                           "planned",
		"stacks/shop-dev/assets/function/OLD/backup.zip": "old zip",
		"stacks/shop-prod/cdk.tf.json":                   "another",
		"stacks/shop-prod/assets/function/A/backup.zip":  "another zip",
		"note.txt": "mine",
	})
	testfiles.Write(t, scratch, map[string]string{
		"manifest.json":                                  "new",
		"stacks/shop-dev/cdk.tf.json":                    "new",
		"stacks/shop-dev/assets/function/NEW/backup.zip": "new zip",
	})
	if err := publish(scratch, outdir); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"manifest.json":                                  "new",
		"stacks/shop-dev/cdk.tf.json":                    "new",
		"stacks/shop-dev/.terraform/providers/x":         "downloaded",
		"stacks/shop-dev/.terraform.lock.hcl":            "locked",
		"stacks/shop-dev/plan":                           "planned",
		"stacks/shop-dev/assets/function/NEW/backup.zip": "new zip",
		"stacks/shop-prod/cdk.tf.json":                   "another",
		"stacks/shop-prod/assets/function/A/backup.zip":  "another zip",
		"note.txt": "mine",
	}
	if got := contents(t, outdir); !maps.Equal(got, want) {
		t.Errorf("there is now\n%v\nwant\n%v", got, want)
	}
}

func TestPublishMakesTheFolder(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{"manifest.json": "{}", "stacks/shop-dev/cdk.tf.json": "{}"}
	testfiles.Write(t, filepath.Join(root, "scratch"), files)
	if err := publish(filepath.Join(root, "scratch"), filepath.Join(root, "deep", "out")); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, filepath.Join(root, "deep", "out")); !maps.Equal(got, files) {
		t.Errorf("there is %v", got)
	}
}

func TestPublishSaysWhatItLacks(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no stacks":   {"manifest.json": "{}"},
		"no manifest": {"stacks/shop-dev/cdk.tf.json": "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			testfiles.Write(t, filepath.Join(root, "scratch"), files)
			err := publish(filepath.Join(root, "scratch"), filepath.Join(root, "out"))
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("says %v", err)
			}
		})
	}
}

// ---- Faults -------------------------------------------------------------------------------------

// quietly is for tests that call synthesise: it closes jsii to start it anew, and what a Close
// races with complains to standard error.
func quietly(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = null
	t.Cleanup(func() {
		os.Stderr = stderr
		if err := null.Close(); err != nil {
			t.Error(err)
		}
	})
}

// faults are what makes a construct panic, though no configuration that passes the checks does: on
// the Go side, in Node, and in a file.
var faults = map[string]struct {
	change func(*config.Config)
	zip    func(t *testing.T) functionBundles
	want   string
}{
	"a function that is not there": {
		change: func(*config.Config) {},
		zip: func(t *testing.T) functionBundles {
			functions := placeholder(t)
			functions.backup.Zip = filepath.Join(t.TempDir(), "backup.zip")
			return functions
		},
		want: "backup.zip",
	},
	"a construct's id twice": {
		change: func(cfg *config.Config) {
			cfg.Monitoring.Emails = []string{"ops@example.com", "ops@example.com"}
		},
		zip:  placeholder,
		want: "alerts_subscription_ops_example_com",
	},
	"a block that is none": {
		change: func(cfg *config.Config) { cfg.Network.CIDR = "ten" },
		zip:    placeholder,
		want:   "ten",
	},
}

// jsii is one child process: a fault in it must not take the next synthesis with it.
func TestFaultIsOneLineAndDoesNotOutliveItself(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "dev", minimal)
			fault.change(cfg)
			err := build(cfg, fault.zip(t), t.TempDir())
			if err == nil {
				t.Fatal("there is no fault")
			}
			text := err.Error()
			if !strings.HasPrefix(text, "synthesis of shop-dev failed: ") || !strings.Contains(text, fault.want) {
				t.Errorf("says %s", text)
			}
			for _, trace := range []string{"\n", "    at ", ".js:", "goroutine"} {
				if strings.Contains(text, trace) {
					t.Errorf("says more than a line:\n%s", text)
				}
			}
			synth(t, parse(t, "dev", minimal), placeholder(t))
		})
	}
}

func TestFaultWhileBuildingLeavesTheFolderAsItWas(t *testing.T) {
	// Not all of the faults: each starts jsii anew, which takes seconds.
	for _, name := range []string{"a function that is not there", "a construct's id twice"} {
		t.Run(name, func(t *testing.T) {
			quietly(t)
			root := t.TempDir()
			before := map[string]string{
				"out/manifest.json":                "old",
				"out/stacks/shop-dev/cdk.tf.json":  "old",
				"out/stacks/shop-dev/.terraform/x": "downloaded",
				"out/stacks/shop-dev/assets/a.zip": "old",
			}
			testfiles.Write(t, root, before)
			cfg := parse(t, "dev", minimal)
			faults[name].change(cfg)
			if err := synthesise(cfg, faults[name].zip(t), filepath.Join(root, "out")); err == nil {
				t.Fatal("there is no fault")
			}
			if got := contents(t, root); !maps.Equal(got, before) {
				t.Errorf("there is now\n%v\nwant\n%v", got, before)
			}
		})
	}
}

func TestSynthesisWritesTheStackAndNothingBesides(t *testing.T) {
	quietly(t)
	root := t.TempDir()
	cfg := parse(t, "dev", minimal)
	function := placeholder(t)
	outdir := filepath.Join(root, "deep", "out")
	if err := synthesise(cfg, function, outdir); err != nil {
		t.Fatal(err)
	}
	first := contents(t, root)
	var manifest struct {
		Stacks map[string]struct {
			SynthesizedStackPath string `json:"synthesizedStackPath"`
		} `json:"stacks"`
	}
	if err := json.Unmarshal([]byte(first["deep/out/manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	stack := "deep/out/" + filepath.ToSlash(manifest.Stacks["shop-dev"].SynthesizedStackPath)
	if len(manifest.Stacks) != 1 || !json.Valid([]byte(first[stack])) {
		t.Errorf("the manifest names %v, and there are %v", manifest.Stacks, slices.Sorted(maps.Keys(first)))
	}
	for path, content := range first {
		if !strings.HasPrefix(path, "deep/out/stacks/shop-dev/") && path != "deep/out/manifest.json" {
			t.Errorf("wrote %s", path)
		}
		if strings.Contains(content, root) {
			t.Errorf("%s holds the path of this machine, %s", path, root)
		}
	}
	// Once more, over what is there: the same bytes.
	scratch := filepath.Join(t.TempDir(), "scratch")
	if err := build(cfg, function, scratch); err != nil {
		t.Fatal(err)
	}
	if err := publish(scratch, outdir); err != nil {
		t.Fatal(err)
	}
	if second := contents(t, root); !maps.Equal(first, second) {
		t.Errorf("there was\n%v\nand is now\n%v", slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second)))
	}
}

// A folder that is a file is found out at the end only: see the runs of the program below.
func TestFolderThatCannotBeMadeIsNamed(t *testing.T) {
	quietly(t)
	root := t.TempDir()
	testfiles.Write(t, root, map[string]string{"file": "mine"})
	for name, parent := range map[string]string{
		"below a file":      filepath.Join(root, "file"),
		"far below a file":  filepath.Join(root, "file", "a", "b"),
		"a name with a NUL": filepath.Join(root, "a\x00b"),
	} {
		t.Run(name, func(t *testing.T) {
			err := synthesise(parse(t, "dev", minimal), placeholder(t), filepath.Join(parent, "out"))
			text := fmt.Sprint(err)
			if !strings.HasPrefix(text, parent+": cannot be created: ") || strings.Contains(text, "\n") {
				t.Fatalf("says %v", err)
			}
			if strings.Count(text, root) != 1 {
				t.Errorf("names the folder twice: %v", err)
			}
			if got := contents(t, root); !maps.Equal(got, map[string]string{"file": "mine"}) {
				t.Errorf("there is now %v", got)
			}
		})
	}
}

func TestSentenceIsTheFirstLineOfAFault(t *testing.T) {
	for name, c := range map[string]struct {
		fault any
		want  string
	}{
		"a text": {
			"There is already a Construct with name 'x'",
			"There is already a Construct with name 'x'",
		},
		"an error":                {errors.New("no such file"), "no such file"},
		"an error within another": {fmt.Errorf("asset: %w", fs.ErrNotExist), "asset: file does not exist"},
		"Node's stack trace": {
			"Error: ENOENT: no such file\n    at Object.statSync (node:fs:1:2)\n    at x.js:3:4",
			"Error: ENOENT: no such file",
		},
		"an error with a trace": {errors.New("Error: boom\n    at y.js:1:1\n"), "Error: boom"},
		"line ends around it":   {"\n\n  boom  \n", "boom"},
		"a number":              {42, "42"},
		"nothing to say":        {"", ""},
		"a Node that does not answer": {
			"no response received from child process",
			"Node.js started but did not answer: check that `node` runs",
		},
		"the same as an error": {
			errors.New("jsii: no response received from child process: EOF"),
			"Node.js started but did not answer: check that `node` runs",
		},
		"those words in a trace, only":    {"Error: boom\nno response received from child process", "Error: boom"},
		"a fault of the program's own":    {runtimeFault(), "runtime error: index out of range [1] with length 0"},
		"a text that looks like an error": {"%!s(MISSING) 100%", "%!s(MISSING) 100%"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sentence(c.fault); got != c.want {
				t.Errorf("is %q, want %q", got, c.want)
			}
		})
	}
}

func runtimeFault() (fault any) {
	defer func() { fault = recover() }()
	var empty []int
	one := 1
	return empty[one]
}

// ---- Node ---------------------------------------------------------------------------------------

// fakeNode makes a folder with a node that runs these lines of shell, and nothing else in it.
func fakeNode(t *testing.T, script string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the node in its place is a shell script, which Windows does not run")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "node"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestNodeIsCheckedBeforeItIsUsed(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"too old":                       {"echo v18.20.8", "node is version v18.20.8: want 20 or later"},
		"too old by one":                {"echo v19.9.0", "node is version v19.9.0: want 20 or later"},
		"far too old":                   {"echo v0.12.18", "node is version v0.12.18: want 20 or later"},
		"something else called node":    {"echo ax25 node 1.0", "node is version ax25 node 1.0: want 20 or later"},
		"silent":                        {"true", "node is version : want 20 or later"},
		"failing":                       {"exit 3", "node does not run: exit status 3"},
		"failing after it has answered": {"echo v22.1.0; exit 1", "node does not run: exit status 1"},
		"killed":                        {"kill -9 $$", "node does not run: signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", fakeNode(t, c.script))
			if err := prepareNode(); fmt.Sprint(err) != c.want {
				t.Errorf("says %v, want %s", err, c.want)
			}
		})
	}
}

func TestMissingNodeIsSaidSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := prepareNode(); fmt.Sprint(err) != "node is not on PATH: install Node.js 20 or later" {
		t.Errorf("says %v", err)
	}
}

// synthesise looks for Node first: without it nothing is made, not even a folder.
func TestNothingIsWrittenWithoutNode(t *testing.T) {
	root, cfg, function := t.TempDir(), parse(t, "dev", minimal), placeholder(t)
	t.Setenv("PATH", fakeNode(t, "echo v18.0.0"))
	err := synthesise(cfg, function, filepath.Join(root, "deep", "out"))
	if fmt.Sprint(err) != "node is version v18.0.0: want 20 or later" {
		t.Errorf("says %v", err)
	}
	if got := contents(t, root); len(got) != 1 {
		t.Errorf("there is now %v", got)
	}
}

func TestOldestNodeThatIsSupportedWillDo(t *testing.T) {
	quietly(t)
	kinds := []string{"END_OF_LIFE", "UNTESTED", "DEPRECATED"}
	for _, kind := range kinds {
		t.Setenv("JSII_SILENCE_WARNING_"+kind+"_NODE_VERSION", "")
	}
	path := os.Getenv("PATH")
	t.Cleanup(func() { // jsii starts anew, with the real one
		t.Setenv("PATH", path)
		if err := prepareNode(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("PATH", fakeNode(t, "echo v20.0.0"))
	if err := prepareNode(); err != nil {
		t.Error(err)
	}
	for _, kind := range kinds {
		if got := os.Getenv("JSII_SILENCE_WARNING_" + kind + "_NODE_VERSION"); got != "20" {
			t.Errorf("the warning %s is silenced for %q", kind, got)
		}
	}
}

// ---- The program --------------------------------------------------------------------------------

// One run of the program for each thing that can go wrong around it: one problem on standard error,
// exit code 1, nothing else.
func TestProgramSaysWhatIsWrongAndWritesNothing(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		environment []string
		files       map[string]string
		withoutNode bool
		want        string
	}{
		"an unknown environment": {
			environment: []string{"ENVIRONMENT=staging"},
			want:        "config/staging.yaml: file not found for ENVIRONMENT=staging; environments in config/: dev\n",
		},
		"an environment that is a path": {
			environment: []string{"ENVIRONMENT=../dev"},
			want:        "ENVIRONMENT=\"../dev\": want a name of lower-case letters, digits and dashes, such as dev\n",
		},
		"broken YAML": {
			files: map[string]string{"config/dev.yaml": "name: shop\nregion: [eu-central-1\n"},
			want:  "config/dev.yaml:2:9: not valid YAML: sequence end token ']' not found\n",
		},
		"several problems": {
			files: map[string]string{
				"config/dev.yaml": "nam: shop\nregion: eu-central-1\nlog_retention: 1,5\nprotected: no\n",
			},
			want: "config/dev.yaml:1:1: nam: unknown key, did you mean name? want one of " +
				"account, backup, database, load_balancer, log_retention, " +
				"monitoring, name, network, profile, protected, pull_through_cache, region, services, state, tags\n" +
				"config/dev.yaml:1:1: name: is required: the application's name, such as shop\n" +
				"config/dev.yaml:3:1: log_retention: want a whole number, have 1,5\n" +
				"config/dev.yaml:4:1: protected: want true or false, have no\n",
		},
		"a file that cannot be read": {
			environment: []string{"ENVIRONMENT=folder"},
			files:       map[string]string{"config/folder.yaml/x": ""},
			want:        "config/folder.yaml: cannot be read: is a directory\n",
		},
		"no Node": {
			withoutNode: true,
			want:        "node is not on PATH: install Node.js 20 or later\n",
		},
		"a folder that cannot be created": {
			environment: []string{"CDKTF_OUTDIR=config/dev.yaml/out"},
			want:        "config/dev.yaml: cannot be created: not a directory\n",
		},
		"a folder that is a file": {
			environment: []string{"CDKTF_OUTDIR=config/dev.yaml"},
			want:        "config/dev.yaml: cannot be written: not a directory\n",
		},
		"a function that does not compile": {
			files: map[string]string{"functions/backup/main.go": "package main\n\nfunc main() { x() }\n"},
			want:  "functions/backup: does not compile: functions/backup/main.go:3:15: undefined: x\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each is a process of its own, in folders of its own
			root, temporary := t.TempDir(), t.TempDir()
			testfiles.Write(t, root, map[string]string{
				"config/dev.yaml":                       minimal,
				"go.mod":                                "module platform\n\ngo 1.25.0\n",
				"go.sum":                                "",
				"functions/backup/main.go":              "package main\n\nfunc main() {}\n",
				"functions/database/main.go":            "package main\n\nfunc main() {}\n",
				"cdktf.out/manifest.json":               "old",
				"cdktf.out/stacks/shop-dev/cdk.tf.json": "old",
			})
			testfiles.Write(t, root, c.files)
			before := contents(t, root)
			cmd := exec.Command(os.Args[0])
			cmd.Dir = root
			cmd.Env = append(os.Environ(), asProgram+"=yes", "ENVIRONMENT=", "CDKTF_OUTDIR=", "TMPDIR="+temporary)
			if c.withoutNode {
				tools := t.TempDir()
				if runtime.GOOS == "windows" {
					t.Skip("the go in its place is a shell script, which Windows does not run")
				}
				script := "#!/bin/sh\nexec '" + goTool + "' \"$@\"\n"
				if err := os.WriteFile(filepath.Join(tools, "go"), []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
				cmd.Env = append(cmd.Env, "PATH="+tools)
			}
			cmd.Env = append(cmd.Env, c.environment...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, want exit code 1", err)
			}
			// Progress is told on a busy machine.
			said := regexp.MustCompile(`(?m)^.* \.\.\. \d+ s\n`).ReplaceAllString(stderr.String(), "")
			if said != c.want {
				t.Errorf("says\n%swant\n%s", said, c.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("writes to standard output:\n%s", stdout.String())
			}
			after := contents(t, root)
			for path := range after {
				// The compiled function, which is made before.
				if strings.HasPrefix(path, ".build/") {
					delete(after, path)
				}
			}
			if !maps.Equal(before, after) {
				t.Errorf("there was\n%v\nand is now\n%v", before, after)
			}
			if left := contents(t, temporary); len(left) != 1 {
				t.Errorf("leaves %v in the folder for temporary files", slices.Sorted(maps.Keys(left)))
			}
		})
	}
}

// Terraform would take an emptied state for a stack that was never deployed.
func TestLostStateIsNotTakenForNone(t *testing.T) {
	cfg := parse(t, "test", minimal)
	remote := parse(t, "test", minimal+"state: {backend: s3, bucket: states}\n")
	const state = "terraform.shop-test.tfstate"
	for name, c := range map[string]struct {
		cfg   *config.Config
		files map[string]string
		lost  bool
	}{
		"never deployed": {cfg: cfg},
		"deployed": {
			cfg:   cfg,
			files: map[string]string{state: "{}", state + ".backup": "{}"},
		},
		"deployed once": {
			cfg:   cfg,
			files: map[string]string{state: "{}"},
		},
		"lost": {
			cfg:   cfg,
			files: map[string]string{state: "", state + ".backup": "{}"},
			lost:  true,
		},
		"killed in its first plan": {
			cfg:   cfg,
			files: map[string]string{state: ""},
		},
		"another stack's": {
			cfg:   cfg,
			files: map[string]string{"terraform.shop-prod.tfstate": "", "terraform.shop-prod.tfstate.backup": "{}"},
		},
		"of no account: it lies in S3": {
			cfg:   remote,
			files: map[string]string{state: "", state + ".backup": "{}"},
		},
	} {
		root := t.TempDir()
		testfiles.Write(t, root, c.files)
		err := checkState(c.cfg, filepath.Join(root, "cdktf.out"))
		if (err != nil) != c.lost {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), filepath.Join(root, state)+": is empty") {
			t.Errorf("%s: the file is not named: %v", name, err)
		}
	}
}

// JSON encoders may write < as \u003c, which is the same to Terraform. But the scheduler reads the
// text of its input as it is, so this test reads the bytes that cdktf writes.
func TestSchedulersPlaceholderIsNotEscaped(t *testing.T) {
	cfg, folder := parse(t, "dev", "name: platform\nregion: eu-central-1\n"), t.TempDir()
	if err := build(cfg, placeholder(t), folder); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "stacks", cfg.Stack(), "cdk.tf.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `\"scheduled_time\":\"`+scheduledTime+`\"`) {
		t.Errorf("cdk.tf.json does not contain %s unescaped", scheduledTime)
	}
}
