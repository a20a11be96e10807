package faststart

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ---- A package and a kernel to load it ----------------------------------------------------------

// The number of submodules of a test package, m0 to m39. Each has a class with a static property
// label, and prints a line when it is loaded. The assembly is large enough for an index.
const submodules = 40

// npm has the files of a package, by path.
func npm(pkg string) map[string]string {
	types := map[string]any{}
	entry := "\"use strict\";\n/**\n * A licence.\n */\n" +
		"Object.defineProperty(exports, \"__esModule\", { value: true });\n"
	files := map[string]string{"package.json": `{"name":"` + pkg + `","version":"1.0.0","main":"lib/index.js"}`}
	for i := range submodules {
		name, class := fmt.Sprintf("m%d", i), fmt.Sprintf("T%d", i)
		fqn := pkg + "." + name + "." + class
		types[fqn] = map[string]any{
			"assembly": pkg, "fqn": fqn, "kind": "class", "name": class, "namespace": name,
			"docs": map[string]any{"summary": strings.Repeat("Ω braces } { and \"quotes\"\n    }\n", 800)},
			"properties": []any{
				map[string]any{
					"name":      fmt.Sprint("label", i),
					"static":    true,
					"immutable": true,
					"type":      map[string]any{"primitive": "string"},
				},
			},
		}
		entry += fmt.Sprintf("exports.%s = require(\"./%s\");\n", name, name)
		files["lib/"+name+"/index.js"] = fmt.Sprintf("console.log('loaded %s/%s');\n", pkg, name) +
			fmt.Sprintf("class %s { static get label%d() { return 'größer %d'; } }\n", class, i, i) +
			fmt.Sprintf("exports.%s = %s;\n", class, class)
	}
	// The keys are in alphabetical order, as in jsii, except for the fingerprint.
	assembly, err := json.MarshalIndent(map[string]any{
		"author":      map[string]any{"name": "x", "roles": []string{"author"}},
		"jsiiVersion": "5.6.17 (build x)",
		"name":        pkg,
		"schema":      "jsii/0.10.0",
		"targets":     map[string]any{"go": map[string]any{"moduleName": "x"}},
		"types":       types,
		"version":     "1.0.0",
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	files[".jsii"] = string(assembly)
	files["lib/index.js"] = entry
	return files
}

// tarball packs files as npm does.
func tarball(t *testing.T, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "big.tgz")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zipped, _ := gzip.NewWriterLevel(file, gzip.BestSpeed)
	packed := tar.NewWriter(zipped)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := packed.WriteHeader(&tar.Header{
			Name: "package/" + name,
			Mode: 0o644,
			Size: int64(len(files[name])),
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// installed returns the folder of jsii's kernel.
var installed = sync.OnceValues(func() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/jsii-runtime-go").Output()
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "embedded", "resources"), err
})

// kernel copies jsii's kernel, so that a test can change it, and returns the folder of the copy.
func kernel(t *testing.T) string {
	t.Helper()
	from, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	for _, file := range []string{"bin/jsii-runtime.js", "lib/program.js"} {
		content, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(to, file), string(content))
	}
	return to
}

func put(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// machine has the folders of a user: a cache folder for this package, one for jsii, a kernel, and
// the tarballs of packages by name.
type machine struct {
	cache, packages, kernel string
	tarballs                map[string]string
}

// newMachine returns a machine with packages that are changed by functions, or with the unchanged
// package `big`.
func newMachine(t *testing.T, packages map[string]map[string]string) machine {
	t.Helper()
	if packages == nil {
		packages = map[string]map[string]string{"big": npm("big")}
	}
	m := machine{t.TempDir(), t.TempDir(), kernel(t), map[string]string{}}
	for name, files := range packages {
		m.tarballs[name] = tarball(t, files)
	}
	return m
}

// ours returns NODE_OPTIONS as this package sets it on that machine.
func (m machine) ours(t *testing.T, users string) string {
	t.Helper()
	file, err := place(m.cache)
	if err != nil {
		t.Fatal(err)
	}
	return options(users, file)
}

// indexes returns the paths of the indexes on that machine, and of all other files except
// preload.js.
func (m machine) indexes(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(m.cache, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && entry.Name() != "preload.js" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// assembly returns the path of a package's unpacked .jsii on that machine.
func (m machine) assembly(t *testing.T, pkg string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.packages, pkg, "1.0.0", "*", ".jsii"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v: %v", found, err)
	}
	return found[0]
}

// talk has the responses of a kernel, by package, and its output.
type talk struct {
	answers map[string]string
	printed string
}

// loaded returns the number of loaded submodules of a package.
func (k talk) loaded(pkg string) int { return strings.Count(k.printed, "loaded "+pkg+"/") }

// everything reports whether all submodules were loaded, as without the fast start.
func (k talk) everything() bool { return k.loaded("big") == submodules }

// run sends the requests for each package to a kernel and ends it.
func (m machine) run(t *testing.T, nodeOptions string, environment ...string) talk {
	t.Helper()
	cmd := exec.Command("node", filepath.Join(m.kernel, "bin", "jsii-runtime.js"))
	cmd.Env = append(os.Environ(), "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION="+nodeMajor(),
		"JSII_RUNTIME_PACKAGE_CACHE_ROOT="+m.packages, "NODE_OPTIONS="+nodeOptions)
	cmd.Env = append(cmd.Env, environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(stdout)
	got := talk{answers: map[string]string{}}
	ask := func(request string) {
		if _, err := io.WriteString(stdin, request+"\n"); err != nil {
			t.Errorf("does not take %s: %v\n%s", request, err, stderr.String())
		}
	}
	next := func(pkg string) {
		line, err := answers.ReadBytes('\n')
		var answer map[string]any
		if json.Unmarshal(line, &answer) != nil {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("%s: answers %q, %v, after\n%s\nand prints\n%s", pkg, line, err, got.answers[pkg], stderr.String())
		}
		delete(answer, "stack")
		text, _ := json.Marshal(answer)
		got.answers[pkg] += string(text) + "\n"
	}
	next("hello")
	for _, pkg := range slices.Sorted(maps.Keys(m.tarballs)) {
		for _, request := range m.requests(pkg) {
			ask(request)
			next(pkg)
		}
	}
	ask(`{"exit":0}`)
	stdin.Close()
	if _, err := io.Copy(io.Discard, answers); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ends with %v and prints\n%s", err, stderr.String())
	}
	got.printed = printed(stderr.String())
	return got
}

// requests returns requests that load a package and use some of its types and some that do not
// exist.
func (m machine) requests(pkg string) []string {
	load, _ := json.Marshal(map[string]string{
		"api":     "load",
		"name":    pkg,
		"version": "1.0.0",
		"tarball": m.tarballs[pkg],
	})
	requests := []string{
		string(load),
		`{"api":"sget","fqn":"big.m7.T7","property":"label7"}`,
		`{"api":"sget","fqn":"big.m39.T39","property":"label39"}`,
		`{"api":"sget","fqn":"big.m0.T0","property":"label0"}`,
		`{"api":"sget","fqn":"big.m7.T7","property":"label7"}`,
		`{"api":"sget","fqn":"big.m1.T1","property":"missing"}`,
		`{"api":"sget","fqn":"big.m1.T","property":"label"}`,
		`{"api":"sget","fqn":"big.m5.T5","property":"label5"}`,
		`{"api":"sget","fqn":"big.__proto__.T","property":"label"}`,
		`{"api":"sget","fqn":"big.toString","property":"label"}`,
		`{"api":"create","fqn":"big.m2.T2","args":[]}`,
		`{"api":"naming","assembly":"big"}`,
		string(load),
		`{"api":"stats"}`,
	}
	for i, request := range requests {
		request = strings.Replace(request, `"big.`, `"`+pkg+".", 1)
		requests[i] = strings.Replace(request, `"assembly":"big"`, `"assembly":"`+pkg+`"`, 1)
	}
	return requests
}

// printed returns the output of packages, which the kernel forwards in messages.
func printed(stderr string) string {
	var text strings.Builder
	for line := range strings.Lines(stderr) {
		var message struct{ Stdout, Stderr string }
		if json.Unmarshal([]byte(line), &message) == nil {
			decoded, _ := base64.StdEncoding.DecodeString(message.Stdout + message.Stderr)
			line = string(decoded)
		}
		text.WriteString(line)
	}
	return text.String()
}

var nodeMajor = sync.OnceValue(func() string {
	version, _ := exec.Command("node", "-p", "process.versions.node").Output()
	major, _, _ := strings.Cut(string(version), ".")
	return major
})

// usual returns the responses for the unchanged package without the fast start.
var usual struct {
	sync.Once
	talk
}

func (m machine) usual(t *testing.T) talk {
	t.Helper()
	usual.Do(func() { usual.talk = m.run(t, stock) })
	return usual.talk
}

const stock = "--max-old-space-size=4069"

// same checks that two kernels gave the same responses.
func same(t *testing.T, want, got talk) {
	t.Helper()
	for pkg := range want.answers {
		if want.answers[pkg] != got.answers[pkg] {
			t.Errorf("%s: answers\n%s\njsii alone\n%s", pkg, got.answers[pkg], want.answers[pkg])
		}
	}
}

// ---- Tests --------------------------------------------------------------------------------------

// If this test fails after an update of jsii, compare the two files of the kernel with the previous
// ones, check the texts that preload.js replaces and all other uses of an assembly's types, and add
// the new SHA-256 to preload.js. Until then, programs start without the fast start.
func TestInstalledJsiiKernelIsSupported(t *testing.T) {
	dir, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"bin/jsii-runtime.js", "lib/program.js"} {
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(content); !bytes.Contains(preload, []byte(hex.EncodeToString(sum[:]))) {
			t.Errorf("%s has the SHA-256 %x, which is not in preload.js", file, sum)
		}
	}
}

func TestChangedKernelGivesTheSameAnswersAndLoadsLess(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	want := m.usual(t)
	if !want.everything() || strings.Count(want.answers["big"], "größer") != 5 ||
		strings.Count(want.answers["big"], `"error"`) != 4 {
		t.Fatalf("jsii alone answers\n%s\nand prints\n%s", want.answers, want.printed)
	}
	ours := m.ours(t, "")
	for _, start := range []string{"the first start", "the second start"} {
		t.Run(start, func(t *testing.T) {
			got := m.run(t, ours)
			same(t, want, got)
			// m7, m39, m0, m5 and m2. Unknown types are reported without loading a submodule.
			if got.everything() || got.loaded("big") != 5 {
				t.Errorf("prints\n%s", got.printed)
			}
			if got := m.indexes(t); len(got) != 1 {
				t.Errorf("unexpected files remain: %v", got)
			}
		})
	}
}

// A damaged index is created again.
func TestDamagedIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	sealed := func(rest string) string {
		sum := sha256.Sum256([]byte(rest))
		return hex.EncodeToString(sum[:]) + "\n" + rest
	}
	rest := func(good string) string { return good[strings.Index(good, "\n")+1:] }
	damages := map[string]func(good string) string{ // by the package that has it
		"empty":   func(string) string { return "" },
		"half":    func(good string) string { return good[:len(good)/2] },
		"lines":   func(good string) string { return strings.Join(strings.SplitAfter(good, "\n")[:20], "") },
		"byte":    func(good string) string { return good[:len(good)-1] },
		"digit":   func(good string) string { return strings.Replace(good, ".m7.T7 1", ".m7.T7 2", 1) },
		"html":    func(string) string { return "<html>" },
		"zeros":   func(good string) string { return strings.Repeat("\x00", len(good)) },
		"another": func(good string) string { return sealed(strings.Replace(rest(good), `"size":`, `"size":1`, 1)) },
		"format": func(good string) string {
			return sealed(strings.Replace(rest(good), `"format":`, `"format":9`, 1))
		},
		"list": func(string) string { return sealed("[]") },
	}
	// With a valid checksum, a wrong index still gives no wrong type: each type contains its name,
	// and an unlisted type is searched for. Such an index is not replaced.
	fakes := map[string]func(good string) string{
		"exchanged": func(good string) string {
			line := func(name string) string {
				return regexp.MustCompile(name + ` (\d+ \d+)`).FindStringSubmatch(good)[1]
			}
			return sealed(strings.Replace(rest(good), "m7.T7 "+line("m7.T7"), "m7.T7 "+line("m8.T8"), 1))
		},
		"missing": func(good string) string { return sealed(strings.Replace(rest(good), ".m7.T7 ", ".m7.S7 ", 1)) },
	}
	packages := map[string]map[string]string{}
	for name := range damages {
		packages[name] = npm(name)
	}
	for name := range fakes {
		packages[name] = npm(name)
	}
	m := newMachine(t, packages)
	want, ours := m.run(t, stock), m.ours(t, "")
	same(t, want, m.run(t, ours))
	files, goods := map[string]string{}, map[string]string{}
	for _, file := range m.indexes(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name := range packages {
			if strings.Contains(string(content), "\n"+name+".m7.T7 ") {
				files[name], goods[name] = file, string(content)
			}
		}
	}
	if len(files) != len(packages) {
		t.Fatalf("has the indexes %v", files)
	}
	for name, damage := range damages {
		put(t, files[name], damage(goods[name]))
	}
	for name, fake := range fakes {
		put(t, files[name], fake(goods[name]))
	}
	got := m.run(t, ours)
	same(t, want, got)
	for name, fake := range fakes {
		if now, err := os.ReadFile(files[name]); err != nil || string(now) != fake(goods[name]) {
			t.Errorf("%s: is not taken for an index: %v", name, err)
		}
	}
	for name := range damages {
		if got.loaded(name) != 5 {
			t.Errorf("%s: loaded %d submodules", name, got.loaded(name))
		}
		if now, err := os.ReadFile(files[name]); err != nil || string(now) != goods[name] {
			t.Errorf("%s: there is now %.200q: %v", name, now, err)
		}
	}
}

// Two simultaneous starts each create the index, and neither reads an incomplete one.
func TestSimultaneousFirstStartsSucceed(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	want, ours := m.usual(t), m.ours(t, "")
	var group sync.WaitGroup
	got := make([]talk, 4)
	for i := range got {
		group.Go(func() { got[i] = m.run(t, ours) })
	}
	group.Wait()
	for _, one := range got {
		same(t, want, one)
	}
	if left := m.indexes(t); len(left) != 1 {
		t.Errorf("unexpected files remain: %v", left)
	}
}

// If the index cannot be stored, each start creates it in memory.
func TestJsiiStartsIfTheIndexCannotBeStored(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	want, ours := m.usual(t), m.ours(t, "")
	full := filepath.Join(t.TempDir(), "full.js")
	for name, code := range map[string]string{
		"a full disk":       "ENOSPC",
		"a read-only disk":  "EROFS",
		"no right to write": "EACCES",
	} {
		t.Run(name, func(t *testing.T) {
			put(t, full, `const fs = require('fs'); const write = fs.writeFileSync;
fs.writeFileSync = (file, content, ...rest) => {
  if (!/\.index/.test(file)) return write(file, content, ...rest);
  if ('`+code+`' === 'ENOSPC') write(file, content.slice(0, 1000), ...rest);
  throw Object.assign(new Error('`+code+`'), { code: '`+code+`' });
};`)
			got := m.run(t, "--require="+quote(full)+" "+ours)
			same(t, want, got)
			if got.everything() {
				t.Error("all submodules were loaded, so the fast start was not used")
			}
			if left := m.indexes(t); len(left) > 0 {
				t.Errorf("unexpected files remain: %v", left)
			}
		})
	}
	t.Run("a folder in place of the index", func(t *testing.T) {
		m.run(t, ours)
		file := m.indexes(t)[0]
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(file, "mine"), "")
		same(t, want, m.run(t, ours))
		if left := m.indexes(t); len(left) != 1 || left[0] != filepath.Join(file, "mine") {
			t.Errorf("unexpected files remain: %v", left)
		}
	})
}

func TestUnknownKernelIsNotChanged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]struct{ file, from, to string }{
		"a comment in the kernel": {
			"lib/program.js",
			"var __webpack_modules__",
			"/* 1.113.0 */ var __webpack_modules__",
		},
		"a comment in jsii-runtime.js": {
			"bin/jsii-runtime.js",
			"var __webpack_modules__",
			"/* 1.113.0 */ var __webpack_modules__",
		},
		"a kernel with another type count": {
			"lib/program.js",
			"types: Object.keys((_c = assmSpec.types)",
			"types: Object.keys ((_c = assmSpec.types)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, nil)
			content, err := os.ReadFile(filepath.Join(m.kernel, change.file))
			if err != nil || !strings.Contains(string(content), change.from) {
				t.Fatalf("cannot be changed: %v", err)
			}
			put(t, filepath.Join(m.kernel, change.file), strings.Replace(string(content), change.from, change.to, 1))
			want, got := m.usual(t), m.run(t, m.ours(t, ""))
			same(t, want, got)
			if !got.everything() {
				t.Error("an unknown kernel was changed")
			}
		})
	}
}

func TestUnknownEntryOfAPackageIsLoadedUnchanged(t *testing.T) {
	t.Parallel()
	replace := func(file, from, to string) func(pkg string, files map[string]string) {
		return func(pkg string, files map[string]string) {
			from, to := strings.ReplaceAll(from, "PKG", pkg), strings.ReplaceAll(to, "PKG", pkg)
			if !strings.Contains(files[file], from) {
				t.Fatalf("%s: %s has no %s", pkg, file, from)
			}
			files[file] = strings.Replace(files[file], from, to, 1)
		}
	}
	entry := func(line string) func(pkg string, files map[string]string) {
		return replace("lib/index.js", "exports.m0 =", line+"\nexports.m0 =")
	}
	packages := map[string]map[string]string{}
	for pkg, change := range map[string]func(pkg string, files map[string]string){
		"entry-does-more":      entry("globalThis.x = 1;"),
		"entry-exports-a-type": entry("exports.x = class {};"),
		"entry-hides-one":      entry("if (process.env.NEVER)"),
		"entry-has-one-twice":  entry("exports.m0 = require(\"./m1\");"),
		"entry-has-a-comment":  entry("// first"),
		"entry-with-a-dot":     replace("package.json", "lib/index.js", "./lib/index.js"),
		"entry-is-a-folder":    replace("package.json", "lib/index.js", "lib"),
		"entry-of-windows": func(_ string, files map[string]string) {
			files["lib/index.js"] = strings.ReplaceAll(files["lib/index.js"], "\n", "\r\n")
		},
		"assembly-on-one-line": func(_ string, files map[string]string) {
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(files[".jsii"])); err != nil {
				t.Fatal(err)
			}
			files[".jsii"] = compact.String()
		},
		"type-named-otherwise":   replace(".jsii", `"fqn": "PKG.m5.T5"`, `"fqn": "PKG.m5.T6"`),
		"type-indented":          replace(".jsii", "\n    \"PKG.m5.T5\": {\n", "\n     \"PKG.m5.T5\": {\n"),
		"member-closes-like-one": replace(".jsii", "\"name\": \"T5\",\n", "\"name\": \"T5\", \"x\": {\n    },\n"),
		"types-are-twice": replace(".jsii", "\n  \"version\": \"1.0.0\"",
			"\n  \"types\": {},\n  \"version\": \"1.0.0\""),
		"type-is-twice": replace(".jsii", "\n    \"PKG.m5.T5\": {\n",
			"\n    \"PKG.m5.T5\": {\n      \"fqn\": \"PKG.m5.T5\"\n    },\n    \"PKG.m5.T5\": {\n"),
	} {
		files := npm(pkg)
		change(pkg, files)
		packages[pkg] = files
	}
	m := newMachine(t, packages)
	want, ours := m.run(t, stock), m.ours(t, "")
	for range 2 {
		got := m.run(t, ours)
		same(t, want, got)
		for pkg := range packages {
			whole := strings.HasPrefix(pkg, "entry-does") || strings.HasPrefix(pkg, "entry-exports") ||
				strings.HasPrefix(pkg, "assembly")
			if whole && got.loaded(pkg) < submodules {
				t.Errorf("%s: loaded %d submodules", pkg, got.loaded(pkg))
			}
		}
	}
}

// An assembly that was changed after its index was created is read correctly, whether or not its
// size changed.
func TestChangedAssemblyIsReadWithoutItsOldIndex(t *testing.T) {
	t.Parallel()
	changes := map[string]func(pkg, content string) string{ // by the package that has it
		"a-property-renamed": func(_, content string) string {
			return strings.ReplaceAll(content, `"name": "label7"`, `"name": "lobel7"`)
		},
		// One type is smaller and a later one is larger by the same number of bytes: the size and
		// the end of the file are the same, but all types in between have moved.
		"types-of-other-sizes": func(pkg, content string) string {
			before, after, _ := strings.Cut(content, "\n    \""+pkg+".m8.T8\": {")
			return strings.Replace(before, "Ω braces", "Ω", 1) + "\n    \"" + pkg + ".m8.T8\": {" +
				strings.Replace(after, `"kind": "class",`, `"kind": "class"       ,`, 1)
		},
		"a-type-more": func(pkg, content string) string {
			return strings.Replace(content, "\n    \""+pkg+".m1.T1\": {",
				"\n    \""+pkg+".m1.T\": {\n      \"fqn\": \""+pkg+".m1.T\"\n    },\n    \""+pkg+".m1.T1\": {", 1)
		},
	}
	packages := map[string]map[string]string{}
	for pkg := range changes {
		packages[pkg] = npm(pkg)
	}
	m := newMachine(t, packages)
	ours := m.ours(t, "")
	before := m.run(t, ours)
	for pkg, change := range changes {
		file := m.assembly(t, pkg)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		changed := change(pkg, string(content))
		if changed == string(content) {
			t.Fatalf("%s: nothing to change", pkg)
		}
		if pkg == "types-of-other-sizes" && len(changed) != len(content) {
			t.Fatalf("%s: has %d bytes, had %d", pkg, len(changed), len(content))
		}
		put(t, file, changed)
	}
	want := m.run(t, stock)
	if name := "a-property-renamed"; want.answers[name] == before.answers[name] {
		t.Errorf("%s: jsii alone answers as before", name)
	}
	same(t, want, m.run(t, ours))
}

func TestPackageInATemporaryFolderUsesTheSameIndex(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	want := m.usual(t)
	ours := m.ours(t, "")
	for range 2 {
		got := m.run(t, ours, "JSII_RUNTIME_PACKAGE_CACHE=disabled")
		same(t, want, got)
		if got.everything() {
			t.Error("all submodules were loaded, so the fast start was not used")
		}
	}
	if got := m.indexes(t); len(got) != 1 {
		t.Errorf("unexpected files remain: %v", got)
	}
}

func TestNodeOptionsOfTheUserApply(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	want := m.usual(t)
	folder := t.TempDir()
	put(t, filepath.Join(folder, "mine.js"), "process.stderr.write('mine is here\\n');")
	put(t, filepath.Join(folder, "mine.mjs"), "import { createRequire } from 'module';\n"+
		"createRequire(import.meta.url)('./mine.js');")
	module := "--import=" + quote("file://"+filepath.ToSlash(filepath.Join(folder, "mine.mjs")))
	for name, users := range map[string]string{
		"a preload":                     "--require=" + quote(filepath.Join(folder, "mine.js")),
		"a module, which loads first":   module,
		"a module and a smaller memory": "--max-old-space-size=2000 " + module,
	} {
		t.Run(name, func(t *testing.T) {
			got := m.run(t, m.ours(t, users))
			same(t, want, got)
			if !strings.Contains(got.printed, "mine is here") {
				t.Errorf("prints\n%s", got.printed)
			}
		})
	}
}

func TestFolderWithBlanksQuotesAndBackslashes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows allows no such name")
	}
	m := newMachine(t, nil)
	want := m.usual(t)
	m.cache = filepath.Join(m.cache, `my "own" C:\new folder\`)
	got := m.run(t, m.ours(t, ""))
	same(t, want, got)
	if got.everything() {
		t.Error("all submodules were loaded, so the fast start was not used")
	}
}

// ---- The file and NODE_OPTIONS ------------------------------------------------------------------

func TestNodeOptionsAreExtended(t *testing.T) {
	windows := `C:\Users\Ann Lee\AppData\Local\jsii-faststart\1\preload.js`
	for name, c := range map[string]struct{ users, file, want string }{
		"no user options": {"", "/c/p.js", `--max-old-space-size=4069 --preserve-symlinks --require="/c/p.js"`},
		"user options":    {"--no-warnings", "/c/p.js", `--no-warnings --preserve-symlinks --require="/c/p.js"`},
		"already set by the parent process": {
			`--no-warnings --preserve-symlinks --require="/c/p.js"`,
			"/c/p.js",
			`--no-warnings --preserve-symlinks --require="/c/p.js"`,
		},
		"Windows": {
			"",
			windows,
			`--max-old-space-size=4069 --preserve-symlinks ` +
				`--require="C:\\Users\\Ann Lee\\AppData\\Local\\jsii-faststart\\1\\preload.js"`,
		},
		"a quote": {"x", `/a "b"/p.js`, `x --preserve-symlinks --require="/a \"b\"/p.js"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := options(c.users, c.file); got != c.want {
				t.Errorf("are %s, want %s", got, c.want)
			}
		})
	}
}

// Node.js reads the path that quote writes.
func TestQuotedPathIsReadByNode(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		`C:\Users\Ann Lee\x.js`, `/a "b" c/x.js`, `\\server\share\`, `/Users/Ann/Library/Caches/x.js`,
	} {
		// A process title is limited to the length of the arguments.
		cmd := exec.Command("node", "-p", "process.title", strings.Repeat("x", len(path)))
		cmd.Env = append(os.Environ(), "NODE_OPTIONS=--title="+quote(path))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != path {
			t.Errorf("%s is read as %s: %v", path, got, err)
		}
	}
}

func TestFileIsReplacedAtomically(t *testing.T) {
	cache := t.TempDir()
	file, err := place(cache)
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]string{"damaged": "x", "empty": "", "right": string(preload)} {
		t.Run(name, func(t *testing.T) {
			put(t, file, before)
			again, err := place(cache)
			if err != nil || again != file {
				t.Fatalf("is %s, want %s: %v", again, file, err)
			}
			if content, err := os.ReadFile(file); err != nil || !bytes.Equal(content, preload) {
				t.Errorf("holds %.100q: %v", content, err)
			}
			if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
				t.Errorf("leaves %v: %v", entries, err)
			}
		})
	}
}

func TestJsiiStartsIfPreloadCannotBeStored(t *testing.T) {
	for name, block := range map[string]func(t *testing.T) (home string){
		"no home folder": func(t *testing.T) string { return "" },
		"a folder that cannot be made": func(t *testing.T) string {
			home := t.TempDir()
			put(t, filepath.Join(home, "jsii-faststart"), "")
			return home
		},
		"a folder in place of preload.js": func(t *testing.T) string {
			home := t.TempDir()
			file, err := place(home)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(file, "mine"), "")
			return home
		},
	} {
		t.Run(name, func(t *testing.T) {
			home := block(t)
			for _, variable := range []string{"XDG_CACHE_HOME", "LOCALAPPDATA"} {
				t.Setenv(variable, home)
			}
			t.Setenv("HOME", "")
			t.Setenv("NODE_OPTIONS", "--no-warnings")
			enable()
			if got := os.Getenv("NODE_OPTIONS"); got != "--no-warnings" {
				t.Errorf("NODE_OPTIONS is %s", got)
			}
			if home == "" {
				return
			}
			// Some files do not exist or cannot be read.
			_ = filepath.WalkDir(home, func(path string, _ os.DirEntry, _ error) error {
				if strings.HasSuffix(path, ".tmp") {
					t.Errorf("leaves %s", path)
				}
				return nil
			})
		})
	}
}

func TestFastStartCanBeTurnedOff(t *testing.T) {
	for value, on := range map[string]bool{
		"":      true,
		"on":    true,
		"off":   false,
		"0":     false,
		"false": false,
		"no":    false,
	} {
		t.Setenv("FASTSTART", value)
		if wanted() != on {
			t.Errorf("FASTSTART=%s is %v, want %v", value, wanted(), on)
		}
	}
}
