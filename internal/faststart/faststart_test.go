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
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ---- A package and a kernel to load it -------------------------------------------------------------------------------

// The package `big` has as many submodules, m0 to m39, each with a class that can be asked for its label and says on standard output when it is
// loaded. Its assembly is large enough for an index.
const submodules = 40

// npm is a package's files, by path.
func npm() map[string]string {
	types := map[string]any{}
	entry := "\"use strict\";\n/**\n * A licence.\n */\nObject.defineProperty(exports, \"__esModule\", { value: true });\n"
	files := map[string]string{"package.json": `{"name":"big","version":"1.0.0","main":"lib/index.js"}`}
	for i := range submodules {
		name, class := fmt.Sprintf("m%d", i), fmt.Sprintf("T%d", i)
		fqn := "big." + name + "." + class
		types[fqn] = map[string]any{
			"assembly": "big", "fqn": fqn, "kind": "class", "name": class, "namespace": name,
			"docs":       map[string]any{"summary": strings.Repeat("Ω braces } { and \"quotes\"\n    }\n", 800)},
			"properties": []any{map[string]any{"name": "label", "static": true, "immutable": true, "type": map[string]any{"primitive": "string"}}},
		}
		entry += fmt.Sprintf("exports.%s = require(\"./%s\");\n", name, name)
		files["lib/"+name+"/index.js"] = fmt.Sprintf("console.log('loaded %s');\nclass %s { static get label() { return 'größer %d'; } }\nexports.%s = %s;\n", name, class, i, class, class)
	}
	assembly, err := json.MarshalIndent(map[string]any{ // keys in alphabetical order, as jsii has them but for the fingerprint
		"author": map[string]any{"name": "x", "roles": []string{"author"}}, "jsiiVersion": "5.6.17 (build x)", "name": "big", "schema": "jsii/0.10.0",
		"targets": map[string]any{"go": map[string]any{"moduleName": "x"}}, "types": types, "version": "1.0.0",
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
		if err := packed.WriteHeader(&tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(files[name]))}); err != nil {
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

// installed is where jsii's own kernel is.
var installed = sync.OnceValues(func() (string, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/jsii-runtime-go").Output()
	return filepath.Join(strings.TrimSpace(string(dir)), "internal", "embedded", "resources"), err
})

// kernel copies jsii's kernel, so that a test may change it, and gives its folder.
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

// machine is one user's: a cache folder for this package, one for jsii's, and a kernel.
type machine struct{ cache, packages, kernel, tarball string }

func newMachine(t *testing.T, files map[string]string) machine {
	t.Helper()
	return machine{t.TempDir(), t.TempDir(), kernel(t), tarball(t, files)}
}

// ours is NODE_OPTIONS as this package sets it on that machine.
func (m machine) ours(t *testing.T, users string) string {
	t.Helper()
	for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"} {
		t.Setenv(variable, m.cache)
	}
	file, err := place()
	if err != nil {
		t.Fatal(err)
	}
	return options(users, file)
}

// indexes are the paths of the indexes on that machine, and of whatever else is there but preload.js.
func (m machine) indexes(t *testing.T) []string {
	t.Helper()
	var found []string
	filepath.WalkDir(m.cache, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if !entry.IsDir() && entry.Name() != "preload.js" {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// assembly is the unpacked .jsii of that machine.
func (m machine) assembly(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(m.packages, "big", "1.0.0", "*", ".jsii"))
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v: %v", found, err)
	}
	return found[0]
}

// talk is what a kernel answers, and what it prints.
type talk struct{ answers, printed string }

// everything is printed where every submodule is loaded.
func (k talk) everything() bool { return strings.Count(k.printed, "loaded ") == submodules }

// run loads the package, asks for some of it, for things that are not there, and ends the kernel.
func (m machine) run(t *testing.T, nodeOptions string, environment ...string) talk {
	t.Helper()
	cmd := exec.Command("node", filepath.Join(m.kernel, "bin", "jsii-runtime.js"))
	cmd.Env = append(os.Environ(), "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION="+nodeMajor(), "JSII_RUNTIME_PACKAGE_CACHE_ROOT="+m.packages, "NODE_OPTIONS="+nodeOptions)
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
	var got talk
	next := func() {
		line, err := answers.ReadBytes('\n')
		var answer map[string]any
		if json.Unmarshal(line, &answer) != nil {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("answers %q, %v, after\n%s\nand prints\n%s", line, err, got.answers, stderr.String())
		}
		delete(answer, "stack")
		text, _ := json.Marshal(answer)
		got.answers += string(text) + "\n"
	}
	next() // hello
	load, _ := json.Marshal(map[string]string{"api": "load", "name": "big", "version": "1.0.0", "tarball": m.tarball})
	for _, request := range []string{
		string(load),
		`{"api":"sget","fqn":"big.m7.T7","property":"label"}`,
		`{"api":"sget","fqn":"big.m39.T39","property":"label"}`,
		`{"api":"sget","fqn":"big.m0.T0","property":"label"}`,
		`{"api":"sget","fqn":"big.m7.T7","property":"label"}`,
		`{"api":"sget","fqn":"big.m1.T1","property":"missing"}`,
		`{"api":"sget","fqn":"big.m1.T","property":"label"}`,
		`{"api":"sget","fqn":"big.__proto__.T","property":"label"}`,
		`{"api":"sget","fqn":"big.toString","property":"label"}`,
		`{"api":"create","fqn":"big.m2.T2","args":[]}`,
		`{"api":"naming","assembly":"big"}`,
		string(load),
		`{"api":"stats"}`,
	} {
		io.WriteString(stdin, request+"\n")
		next()
	}
	io.WriteString(stdin, "{\"exit\":0}\n")
	stdin.Close()
	io.Copy(io.Discard, answers)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ends with %v and prints\n%s", err, stderr.String())
	}
	for line := range strings.Lines(stderr.String()) {
		var message struct{ Stdout, Stderr string }
		if json.Unmarshal([]byte(line), &message) == nil {
			text, _ := base64.StdEncoding.DecodeString(message.Stdout + message.Stderr)
			line = string(text)
		}
		got.printed += line
	}
	return got
}

var nodeMajor = sync.OnceValue(func() string {
	version, _ := exec.Command("node", "-p", "process.versions.node").Output()
	major, _, _ := strings.Cut(string(version), ".")
	return major
})

const stock = "--max-old-space-size=4069"

// same fails unless two kernels answered alike.
func same(t *testing.T, want, got talk) {
	t.Helper()
	if want.answers != got.answers {
		t.Errorf("answers\n%s\njsii alone\n%s", got.answers, want.answers)
	}
}

// ---- Promises --------------------------------------------------------------------------------------------------------

// If this fails after an update of jsii: compare the kernel's two files with the former ones, look at the places that preload.js changes and at whatever
// else uses an assembly's types, and add their SHA-256 to its list. Until then programs start as slowly as without it.
func TestThisJsiiIsKnown(t *testing.T) {
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
			t.Errorf("%s has the SHA-256 %x, which preload.js does not know", file, sum)
		}
	}
}

func TestKernelAnswersAlikeAndLoadsWhatIsAskedForOnly(t *testing.T) {
	m := newMachine(t, npm())
	want := m.run(t, stock)
	if !want.everything() || strings.Count(want.answers, "größer") != 4 || strings.Count(want.answers, `"error"`) != 4 {
		t.Fatalf("jsii alone answers\n%s\nand prints\n%s", want.answers, want.printed)
	}
	ours := m.ours(t, "")
	for _, start := range []string{"the first start", "the second start"} {
		t.Run(start, func(t *testing.T) {
			got := m.run(t, ours)
			same(t, want, got)
			if got.everything() || strings.Count(got.printed, "loaded ") != 4 { // m7, m39, m0 and m2: what is not there is known without loading
				t.Errorf("prints\n%s", got.printed)
			}
			if got := m.indexes(t); len(got) != 1 {
				t.Errorf("leaves %v", got)
			}
		})
	}
}

// What is wrong with an index costs time and nothing else: it is made anew.
func TestDamagedIndexIsMadeAnew(t *testing.T) {
	m := newMachine(t, npm())
	want, ours := m.run(t, stock), m.ours(t, "")
	m.run(t, ours)
	file := m.indexes(t)[0]
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	sealed := func(rest string) string {
		sum := sha256.Sum256([]byte(rest))
		return hex.EncodeToString(sum[:]) + "\n" + rest
	}
	for name, damaged := range map[string]string{
		"empty":                            "",
		"cut short":                        string(good[:len(good)/2]),
		"cut at a line's end":              strings.Join(lines[:20], ""),
		"one byte less":                    string(good[:len(good)-1]),
		"one digit other":                  strings.Replace(string(good), "big.m7.T7 1", "big.m7.T7 2", 1),
		"not an index":                     "<html>",
		"NULs, as after a power failure":   strings.Repeat("\x00", len(good)),
		"another assembly's":               sealed(strings.Replace(strings.Join(lines[1:], ""), `"size":`, `"size":1`, 1)),
		"of another format":                sealed(strings.Replace(strings.Join(lines[1:], ""), `"format":`, `"format":9`, 1)),
		"sealed, and not what an index is": sealed("[]"),
	} {
		t.Run(name, func(t *testing.T) {
			put(t, file, damaged)
			got := m.run(t, ours)
			same(t, want, got)
			if got.everything() {
				t.Error("is left to jsii")
			}
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, good) {
				t.Errorf("there is now %.200q: %v", now, err)
			}
		})
	}
	// Whoever makes up a checksum still gets no wrong type: each says its name.
	t.Run("sealed, with the places of types exchanged", func(t *testing.T) {
		place := func(name string) string {
			for _, line := range lines {
				if rest, ok := strings.CutPrefix(line, name+" "); ok {
					return strings.TrimSuffix(rest, "\n")
				}
			}
			t.Fatalf("%s is not in the index", name)
			return ""
		}
		rest := strings.NewReplacer("big.m7.T7 "+place("big.m7.T7"), "big.m7.T7 "+place("big.m8.T8"), "big.m0.T0 "+place("big.m0.T0"), "big.m0.X0 1 2").
			Replace(strings.Join(lines[1:], ""))
		put(t, file, sealed(rest))
		same(t, want, m.run(t, ours))
	})
}

// Two at once each make the index; neither sees half of the other's.
func TestManyFirstStartsAtOnceDoNoHarm(t *testing.T) {
	m := newMachine(t, npm())
	want, ours := m.run(t, stock), m.ours(t, "")
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
		t.Errorf("leave %v", left)
	}
}

// Where the index cannot be kept, each start makes its own.
func TestIndexThatCannotBeKeptIsDoneWithout(t *testing.T) {
	m := newMachine(t, npm())
	want, ours := m.run(t, stock), m.ours(t, "")
	full := filepath.Join(t.TempDir(), "full.js")
	for name, code := range map[string]string{"a full disk": "ENOSPC", "a read-only disk": "EROFS", "no right to write": "EACCES"} {
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
				t.Error("is left to jsii")
			}
			if left := m.indexes(t); len(left) > 0 {
				t.Errorf("leaves %v", left)
			}
		})
	}
	t.Run("a folder in its place", func(t *testing.T) {
		m.run(t, ours)
		file := m.indexes(t)[0]
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(file, "mine"), "")
		same(t, want, m.run(t, ours))
		if left := m.indexes(t); len(left) != 1 || left[0] != filepath.Join(file, "mine") {
			t.Errorf("leaves %v", left)
		}
	})
}

func TestAnotherKernelIsLeftAlone(t *testing.T) {
	for name, change := range map[string]struct{ file, from, to string }{
		"a comment in the kernel":        {"lib/program.js", "var __webpack_modules__", "/* 1.113.0 */ var __webpack_modules__"},
		"a comment in what starts it":    {"bin/jsii-runtime.js", "var __webpack_modules__", "/* 1.113.0 */ var __webpack_modules__"},
		"a kernel that counts otherwise": {"lib/program.js", "types: Object.keys((_c = assmSpec.types)", "types: Object.keys ((_c = assmSpec.types)"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, npm())
			content, err := os.ReadFile(filepath.Join(m.kernel, change.file))
			if err != nil || !strings.Contains(string(content), change.from) {
				t.Fatalf("cannot be changed: %v", err)
			}
			put(t, filepath.Join(m.kernel, change.file), strings.Replace(string(content), change.from, change.to, 1))
			want, got := m.run(t, stock), m.run(t, m.ours(t, ""))
			same(t, want, got)
			if !got.everything() {
				t.Error("is changed")
			}
		})
	}
}

func TestAnotherLayoutIsLoadedAsItIs(t *testing.T) {
	change := func(file, from, to string) map[string]string {
		files := npm()
		if !strings.Contains(files[file], from) {
			t.Fatalf("%s has no %s", file, from)
		}
		files[file] = strings.Replace(files[file], from, to, 1)
		return files
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(npm()[".jsii"])); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string]string{
		"an entry that does more":          change("lib/index.js", "exports.m0 =", "globalThis.x = 1;\nexports.m0 ="),
		"an entry that exports a type":     change("lib/index.js", "exports.m0 =", "exports.x = class {};\nexports.m0 ="),
		"an entry that hides a submodule":  change("lib/index.js", "exports.m0 =", "if (process.env.NEVER)\nexports.m0 ="),
		"an entry with one name twice":     change("lib/index.js", "exports.m0 =", "exports.m0 = require(\"./m1\");\nexports.m0 ="),
		"an assembly on one line":          func() map[string]string { f := npm(); f[".jsii"] = compact.String(); return f }(),
		"a type under a name not its own":  change(".jsii", `"fqn": "big.m5.T5"`, `"fqn": "big.m5.T6"`),
		"a type indented otherwise":        change(".jsii", "\n    \"big.m5.T5\": {\n", "\n     \"big.m5.T5\": {\n"),
		"a member that closes like a type": change(".jsii", "\"name\": \"T5\",\n", "\"name\": \"T5\", \"x\": {\n    },\n"),
		"a type twice":                     change(".jsii", "\n    \"big.m5.T5\": {\n", "\n    \"big.m4.T4\": {\n      \"fqn\": \"big.m4.T4\"\n    },\n    \"big.m5.T5\": {\n"),
		"an entry elsewhere": func() map[string]string {
			f := npm()
			f["package.json"] = strings.Replace(f["package.json"], "lib/index", "./lib/index", 1)
			return f
		}(),
		"an entry named by a folder": func() map[string]string {
			f := npm()
			f["package.json"] = strings.Replace(f["package.json"], "lib/index.js", "lib", 1)
			return f
		}(),
		"a comment in an entry": change("lib/index.js", "exports.m0 =", "// first\nexports.m0 ="),
		"Windows line endings in the entry": func() map[string]string {
			f := npm()
			f["lib/index.js"] = strings.ReplaceAll(f["lib/index.js"], "\n", "\r\n")
			return f
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, files)
			want, ours := m.run(t, stock), m.ours(t, "")
			same(t, want, m.run(t, ours))
			same(t, want, m.run(t, ours))
		})
	}
}

// An assembly that somebody changes after its index was made, in size or not, is what counts.
func TestAssemblyChangedInPlaceIsReadAsItIs(t *testing.T) {
	m := newMachine(t, npm())
	m.run(t, stock)
	ours := m.ours(t, "")
	m.run(t, ours)
	file := m.assembly(t)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string]string{
		"a property renamed":   strings.ReplaceAll(string(content), `"name": "label"`, `"name": "lobel"`),
		"types of other sizes": strings.Replace(strings.Replace(string(content), "Ω braces", "Ω", 1), `"kind": "class",`, `"kind": "class"       ,`, 1),
		"a type more":          strings.Replace(string(content), "\n    \"big.m1.T1\": {", "\n    \"big.m1.T\": {\n      \"fqn\": \"big.m1.T\"\n    },\n    \"big.m1.T1\": {", 1),
	} {
		t.Run(name, func(t *testing.T) {
			put(t, file, changed)
			same(t, m.run(t, stock), m.run(t, ours))
		})
	}
}

func TestPackageUnpackedAnewEachTimeIsReadAlike(t *testing.T) {
	m := newMachine(t, npm())
	want := m.run(t, stock)
	ours := m.ours(t, "")
	for range 2 {
		got := m.run(t, ours, "JSII_RUNTIME_PACKAGE_CACHE=disabled")
		same(t, want, got)
		if got.everything() {
			t.Error("is left to jsii")
		}
	}
	if got := m.indexes(t); len(got) != 1 {
		t.Errorf("leaves %v", got)
	}
}

func TestUsersNodeOptionsStayInForce(t *testing.T) {
	m := newMachine(t, npm())
	want := m.run(t, stock)
	folder := t.TempDir()
	put(t, filepath.Join(folder, "mine.js"), "process.stderr.write('mine is here\\n');")
	put(t, filepath.Join(folder, "mine.mjs"), "console.error('mine is here');")
	for name, users := range map[string]string{
		"a preload":                     "--require=" + quote(filepath.Join(folder, "mine.js")),
		"a module, which loads first":   "--import=" + quote("file://"+filepath.ToSlash(filepath.Join(folder, "mine.mjs"))),
		"a module and a smaller memory": "--max-old-space-size=2000 --import=" + quote("file://"+filepath.ToSlash(filepath.Join(folder, "mine.mjs"))),
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
	if runtime.GOOS == "windows" {
		t.Skip("Windows allows no such name")
	}
	m := newMachine(t, npm())
	want := m.run(t, stock)
	m.cache = filepath.Join(m.cache, `my "own" C:\new folder\`)
	got := m.run(t, m.ours(t, ""))
	same(t, want, got)
	if got.everything() {
		t.Error("is left to jsii")
	}
}

// ---- Where the file goes ---------------------------------------------------------------------------------------------

func TestOptions(t *testing.T) {
	windows := `C:\Users\Ann Lee\AppData\Local\jsii-faststart\1\preload.js`
	for name, c := range map[string]struct{ users, file, want string }{
		"none":            {"", "/c/p.js", `--max-old-space-size=4069 --preserve-symlinks --require="/c/p.js"`},
		"some":            {"--no-warnings", "/c/p.js", `--no-warnings --preserve-symlinks --require="/c/p.js"`},
		"ours, by parent": {`--no-warnings --preserve-symlinks --require="/c/p.js"`, "/c/p.js", `--no-warnings --preserve-symlinks --require="/c/p.js"`},
		"Windows":         {"", windows, `--max-old-space-size=4069 --preserve-symlinks --require="C:\\Users\\Ann Lee\\AppData\\Local\\jsii-faststart\\1\\preload.js"`},
		"a quote":         {"x", `/a "b"/p.js`, `x --preserve-symlinks --require="/a \"b\"/p.js"`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := options(c.users, c.file); got != c.want {
				t.Errorf("are %s, want %s", got, c.want)
			}
		})
	}
}

// Node itself reads what quote writes.
func TestNodeReadsAQuotedPath(t *testing.T) {
	for _, path := range []string{`C:\Users\Ann Lee\x.js`, `/a "b" c/x.js`, `\\server\share\`, `/Users/Ann/Library/Caches/x.js`} {
		// A title has the room that the arguments take.
		cmd := exec.Command("node", "-p", "process.title", strings.Repeat("x", len(path)))
		cmd.Env = append(os.Environ(), "NODE_OPTIONS=--title="+quote(path))
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != path {
			t.Errorf("%s is read as %s: %v", path, got, err)
		}
	}
}

func TestFileIsPutInPlaceWhole(t *testing.T) {
	cache := t.TempDir()
	for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"} {
		t.Setenv(variable, cache)
	}
	file, err := place()
	if err != nil {
		t.Fatal(err)
	}
	for name, before := range map[string]string{"damaged": "x", "empty": "", "right": string(preload)} {
		t.Run(name, func(t *testing.T) {
			put(t, file, before)
			again, err := place()
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

func TestWithoutAPlaceForTheFileJsiiStartsAsEver(t *testing.T) {
	t.Run("no home", func(t *testing.T) {
		for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"} {
			t.Setenv(variable, "")
		}
		if file, err := place(); err == nil {
			t.Errorf("is put into %s", file)
		}
	})
	for name, block := range map[string]string{"a folder that cannot be made": "jsii-faststart", "a folder in the file's place": ""} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			for _, variable := range []string{"XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"} {
				t.Setenv(variable, cache)
			}
			if block != "" {
				base, _ := os.UserCacheDir()
				put(t, filepath.Join(base, block), "")
			} else {
				file, err := place()
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(file, "mine"), "")
			}
			if file, err := place(); err == nil {
				t.Errorf("is put into %s", file)
			}
			filepath.WalkDir(cache, func(path string, _ os.DirEntry, _ error) error {
				if strings.HasSuffix(path, ".tmp") {
					t.Errorf("leaves %s", path)
				}
				return nil
			})
		})
	}
}
