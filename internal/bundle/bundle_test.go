package bundle

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"platform/internal/testfiles"
)

// helloModule writes a module with one function and returns the folder of the function. Changes
// replace or add files by path.
func helloModule(t *testing.T, changes map[string]string) string {
	t.Helper()
	files := map[string]string{
		"go.mod":                    "module hello\n\ngo 1.25.0\n",
		"go.sum":                    "",
		"functions/hello/main.go":   "package main\n\nfunc main() { println(greeting) }\n",
		"functions/hello/text.go":   "package main\n\nconst greeting = \"hello\"\n",
		"functions/hello/README.md": "Says hello.\n",
	}
	maps.Copy(files, changes)
	root := t.TempDir()
	testfiles.Write(t, root, files)
	return filepath.Join(root, "functions", "hello")
}

func TestFunctionHashChangesOnlyWithDeployedCode(t *testing.T) {
	// The build information of an executable, with one module and one replaced module.
	built := func() *debug.BuildInfo {
		return &debug.BuildInfo{
			GoVersion: "go1.25.3",
			Main:      debug.Module{Path: "hello", Version: "(devel)"},
			Deps: []*debug.Module{
				{Path: "example.com/m", Version: "v1.0.0", Sum: "h1:AAAA"},
				{
					Path:    "example.com/n",
					Version: "v1.0.0",
					Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1", Sum: "h1:BBBB"},
				},
			},
			Settings: []debug.BuildSetting{{Key: "-tags", Value: "lambda.norpc"}, {Key: "GOARCH", Value: "arm64"}},
		}
	}
	hash := func(dir string, built *debug.BuildInfo) string {
		t.Helper()
		hash, err := hashFunction(dir, built)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	// A fixed value: another machine, path or toolchain must not change it. A change would deploy
	// every function again.
	const plain = "66599d0bb48e41a684c6faffe4680df2baf698e3ff738d1733a87736db1b17ff"
	files := []struct {
		name    string
		changes map[string]string
		same    bool
	}{
		{"another path", nil, true},
		{"Windows line endings", map[string]string{
			"functions/hello/main.go": "package main\r\n\r\nfunc main() { println(greeting) }\r\n",
			"go.mod":                  "module hello\r\n\r\ngo 1.25.0\r\n",
		}, true},
		{"a test", map[string]string{"functions/hello/main_test.go": "package main\n"}, true},
		{"a file that is not Go", map[string]string{"functions/hello/README.md": "Greets.\n"}, true},
		{"another function", map[string]string{"functions/other/main.go": "package main\n\nfunc main() {}\n"}, true},
		{"a module for the tests", map[string]string{
			"go.mod": "module hello\n\ngo 1.25.0\n\nrequire example.com/testing v1.0.0\n",
			"go.sum": "example.com/testing v1.0.0 h1:CCCC\n",
		}, true},
		{
			"a changed source",
			map[string]string{"functions/hello/text.go": "package main\n\nconst greeting = \"good day\"\n"},
			false,
		},
		{"an embedded file", map[string]string{"functions/hello/words/hello.txt": "hello"}, false},
		{"a file in testdata", map[string]string{"functions/hello/testdata/hello.txt": "hello"}, true},
		{"a new source", map[string]string{"functions/hello/more.go": "package main\n"}, false},
		{"the go line", map[string]string{"go.mod": "module hello\n\ngo 1.26.0\n"}, false},
		{"a godebug line", map[string]string{"go.mod": "module hello\n\ngo 1.25.0\n\ngodebug madvdontneed=1\n"}, false},
		// Without framing, text moved from the end of one file to the start of the next would be
		// the same bytes.
		{"a line moved to another file", map[string]string{
			"functions/hello/main.go": "package main\n",
			"functions/hello/text.go": "\nfunc main() { println(greeting) }\n" +
				"package main\n\nconst greeting = \"hello\"\n",
		}, false},
	}
	for _, test := range files {
		t.Run(test.name, func(t *testing.T) {
			if have := hash(helloModule(t, test.changes), built()); (have == plain) != test.same {
				t.Errorf("hash is %s, without the change it is %s", have, plain)
			}
		})
	}
	t.Run("a renamed source", func(t *testing.T) {
		dir := helloModule(t, nil)
		if err := os.Rename(filepath.Join(dir, "text.go"), filepath.Join(dir, "texts.go")); err != nil {
			t.Fatal(err)
		}
		if hash(dir, built()) == plain {
			t.Error("hash is the same")
		}
	})

	builds := []struct {
		name   string
		change func(*debug.BuildInfo)
		same   bool
	}{
		{"another toolchain", func(b *debug.BuildInfo) { b.GoVersion = "go1.26.8" }, true},
		{"a build setting of a newer toolchain", func(b *debug.BuildInfo) {
			b.Settings = append(b.Settings, debug.BuildSetting{Key: "DefaultGODEBUG", Value: "tlssha1=1"})
		}, true},
		{"a module's version", func(b *debug.BuildInfo) { b.Deps[0].Version = "v1.0.1" }, false},
		{"a module's sum", func(b *debug.BuildInfo) { b.Deps[0].Sum = "h1:DDDD" }, false},
		{"a replacement's path", func(b *debug.BuildInfo) { b.Deps[1].Replace.Path = "example.com/fork2" }, false},
		{"a replacement's version", func(b *debug.BuildInfo) { b.Deps[1].Replace.Version = "v1.0.2" }, false},
		{"a replacement's sum", func(b *debug.BuildInfo) { b.Deps[1].Replace.Sum = "h1:DDDD" }, false},
		{"a new module", func(b *debug.BuildInfo) {
			b.Deps = append(b.Deps, &debug.Module{Path: "example.com/o", Version: "v1.0.0", Sum: "h1:CCCC"})
		}, false},
		{"one module less", func(b *debug.BuildInfo) { b.Deps = b.Deps[:1] }, false},
		{"another target", func(b *debug.BuildInfo) { b.Settings[1].Value = "amd64" }, false},
		{"another build tag", func(b *debug.BuildInfo) { b.Settings[0].Value = "" }, false},
	}
	for _, test := range builds {
		t.Run(test.name, func(t *testing.T) {
			b := built()
			test.change(b)
			if have := hash(helloModule(t, nil), b); (have == plain) != test.same {
				t.Errorf("hash is %s, without the change it is %s", have, plain)
			}
		})
	}
}

// backupFunction is a function of the project.
const backupFunction = "../../functions/backup"

func TestFunctionBundleContainsTheBootstrapOfLambda(t *testing.T) {
	path, hash, err := bundleFunction(backupFunction)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join("..", "..", ".build", "functions", "backup.zip"); path != want {
		t.Errorf("path is %s, want %s", path, want)
	}
	wantHashOf(t, path, hash)
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if len(archive.File) != 1 || archive.File[0].Name != "bootstrap" {
		t.Fatalf("want bootstrap alone, have %d files, first %s", len(archive.File), archive.File[0].Name)
	}
	bootstrap := archive.File[0]
	if mode := bootstrap.Mode(); mode != 0o755 {
		t.Errorf("mode is %v, want -rwxr-xr-x", mode)
	}
	if modified := bootstrap.Modified.UTC(); modified != time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) {
		t.Errorf("modified %v, want a fixed time", modified)
	}
	// Lambda rejects a direct upload of more than 50 MB.
	if size := bootstrap.CompressedSize64; size > 40_000_000 {
		t.Errorf("%d bytes zipped", size)
	}

	wantStaticARM64(t, path)
}

// wantHashOf checks that the hash covers the modules of the zip's bootstrap, which are those that
// backup imports, not those of the whole program.
func wantHashOf(t *testing.T, path, hash string) {
	t.Helper()
	built, err := buildinfo.Read(bytes.NewReader(bootstrapIn(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := hashFunction(backupFunction, built); err != nil || hash != want {
		t.Errorf("hash is %s, want %s: %v", hash, want, err)
	}
	sums := map[string]string{}
	for _, m := range built.Deps {
		sums[m.Path] = m.Sum
	}
	if sums["github.com/aws/aws-sdk-go-v2/service/rds"] == "" {
		t.Errorf("want the RDS client with its sum among %v", sums)
	}
	if _, ok := sums["github.com/hashicorp/terraform-json"]; ok {
		t.Error("the function contains a module of the tests")
	}
}

// wantStaticARM64 checks that the zip's bootstrap is a statically linked executable for arm64
// Linux.
func wantStaticARM64(t *testing.T, path string) {
	t.Helper()
	executable, err := elf.NewFile(bytes.NewReader(bootstrapIn(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	if executable.Machine != elf.EM_AARCH64 || executable.Type != elf.ET_EXEC {
		t.Errorf("executable is %v %v, want %v %v", executable.Machine, executable.Type, elf.EM_AARCH64, elf.ET_EXEC)
	}
	for _, part := range executable.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("executable has %v, want it statically linked", part.Type)
		}
	}
}

func bootstrapIn(t *testing.T, path string) []byte {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	file, err := archive.Open("bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestFunctionHashCoversAllItsSources(t *testing.T) {
	for _, function := range []string{backupFunction, "../../functions/database"} {
		t.Run(function, func(t *testing.T) { hashCoversAllSources(t, function) })
	}
}

func hashCoversAllSources(t *testing.T, function string) {
	type goPackage struct {
		ImportPath string
		Module     *struct {
			Path    string
			Main    bool
			Replace *struct{ Version string }
		}
		EmbedFiles, CFiles, SFiles, SysoFiles []string
	}
	cmd := exec.Command("go", "list", "-deps", "-json", "-tags", "lambda.norpc", "./"+function)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOWORK=off")
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var own []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); decoder.More(); {
		var p goPackage
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Module != nil && p.Module.Main {
			own = append(own, p)
		}
		if p.Module != nil && p.Module.Replace != nil && p.Module.Replace.Version == "" {
			t.Errorf("%s comes from a folder, whose content the hash does not cover", p.Module.Path)
		}
	}
	if len(own) != 1 || own[0].ImportPath != "platform/functions/"+filepath.Base(function) {
		t.Fatalf("want one package of the project, have %+v", own)
	}
	beside := slices.DeleteFunc(own[0].EmbedFiles, func(name string) bool {
		return strings.Contains(name, "/") && !strings.HasPrefix(name, "testdata/")
	})
	for _, files := range [][]string{beside, own[0].CFiles, own[0].SFiles, own[0].SysoFiles} {
		if len(files) > 0 {
			t.Errorf("built from %v, which the hash does not cover", files)
		}
	}
}

func TestFunctionBundleIgnoresGoSettingsOfTheUser(t *testing.T) {
	dir := helloModule(t, nil)
	// A workspace without the module, another target, and a build mode that requires a dynamic
	// linker.
	workspace := filepath.Join(filepath.Dir(moduleOf(dir)), "go.work")
	if err := os.WriteFile(workspace, []byte("go 1.25.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-buildmode=pie -tags=netgo")
	t.Setenv("GOOS", "windows")
	t.Setenv("GOARCH", "386")
	t.Setenv("CGO_ENABLED", "1")
	path, _, err := bundleFunction(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(moduleOf(dir), ".build", "functions", "hello.zip"); path != want {
		t.Errorf("path is %s, want %s", path, want)
	}
	wantStaticARM64(t, path)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("building again gives the same zip", func(t *testing.T) {
		if _, _, err := bundleFunction(dir); err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Error("two bundles of one source differ")
		}
	})
	t.Run("no temporary files remain", func(t *testing.T) {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1 {
			t.Errorf("want hello.zip alone, have %v", entries)
		}
	})
}

// Compiling takes a second, so a zip with unchanged sources is reused.
func TestFunctionIsCompiledAgainOnlyAfterAChange(t *testing.T) {
	dir := helloModule(t, nil)
	settings := filepath.Join(t.TempDir(), "env")
	t.Setenv("GOENV", settings)
	t.Setenv("GOFLAGS", "")
	zip, _, err := bundleFunction(dir)
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(zip)
	if err != nil {
		t.Fatal(err)
	}
	stamp := filepath.Join(moduleOf(dir), ".build", "stamps", "hello")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name   string
		change map[string]string // files, below the module
		goes   string            // GOFLAGS
		kept   bool
	}{
		{"no change", nil, "", true},
		{"a test", map[string]string{"functions/hello/main_test.go": "package main\n"}, "", true},
		{
			"a changed source",
			map[string]string{"functions/hello/text.go": "package main\n\nconst greeting = \"good day\"\n"},
			"",
			false,
		},
		{"go.sum", map[string]string{"go.sum": "\n"}, "", false},
		{"a setting in the environment", nil, "-tags=netgo", false},
		{"a truncated zip", map[string]string{".build/functions/hello.zip": string(good[:1000])}, "", false},
		{
			"a changed zip of the same size",
			map[string]string{".build/functions/hello.zip": string(good[:len(good)-1]) + "x"},
			"",
			false,
		},
		{"a truncated stamp", map[string]string{".build/stamps/hello": "ab"}, "", false},
		{
			"the stamp of another function",
			map[string]string{".build/stamps/hello": stampOf(strings.Repeat("0", 64), "0", good)},
			"",
			false,
		},
		{"no change, after the others", nil, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("GOFLAGS", c.goes)
			testfiles.Write(t, moduleOf(dir), c.change)
			if err := os.Chtimes(zip, old, old); err != nil {
				t.Fatal(err)
			}
			if _, _, err := bundleFunction(dir); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(zip)
			if err != nil {
				t.Fatal(err)
			}
			if kept := info.ModTime().Equal(old); kept != c.kept {
				t.Errorf("the zip was reused: %v", kept)
			}
			if !c.kept {
				wantStaticARM64(t, zip)
			}
			if c.goes == "" {
				return
			}
			t.Setenv("GOFLAGS", "") // for the next case
			if _, _, err := bundleFunction(dir); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("go env -w", func(t *testing.T) {
		if err := os.WriteFile(settings, []byte("GOFLAGS=-tags=netgo\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(stamp)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := bundleFunction(dir); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(stamp); err != nil || bytes.Equal(before, after) {
			t.Errorf("the function was not compiled again: %v", err)
		}
	})
}

func TestErrorOfBundlingHasTheReason(t *testing.T) {
	tests := []struct {
		name    string
		changes map[string]string
		path    string // PATH; default: unchanged
		want    []string
	}{
		{
			"a compile error",
			map[string]string{"functions/hello/text.go": "package main\n"},
			"",
			[]string{"functions/hello: does not compile: ", "main.go:3:23: undefined: greeting"},
		},
		{
			"a missing module",
			map[string]string{"functions/hello/text.go": "package main\n\nimport _ \"example.com/missing\"\n"},
			"",
			[]string{"functions/hello: does not compile: ", "text.go:3:8: ", "example.com/missing"},
		},
		{
			"go is not on PATH",
			nil,
			"nowhere",
			[]string{"functions/hello: cannot be compiled: ", `"go": executable file not found`, "install Go"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := helloModule(t, test.changes)
			if test.path != "" {
				t.Setenv("PATH", test.path)
			}
			path, hash, err := bundleFunction(dir)
			if err == nil {
				t.Fatal("no error")
			}
			if path != "" || hash != "" {
				t.Errorf("an error, and a result: %q, %q", path, hash)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has more than one line: %v", err)
			}
			for _, part := range test.want {
				if !strings.Contains(filepath.ToSlash(err.Error()), part) {
					t.Errorf("want an error that contains %q, have %v", part, err)
				}
			}
		})
	}

	t.Run("a function that does not exist", func(t *testing.T) {
		_, _, err := bundleFunction(filepath.Join("..", "..", "functions", "missing"))
		if err == nil || !strings.Contains(err.Error(), "functions/missing: does not compile: ") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("a function without sources", func(t *testing.T) {
		module := moduleOf(helloModule(t, map[string]string{"functions/empty/README.md": "Says nothing.\n"}))
		_, _, err := bundleFunction(filepath.Join(module, "functions", "empty"))
		if err == nil || !strings.Contains(err.Error(), "no Go files") {
			t.Errorf("error is %v", err)
		}
	})
}
