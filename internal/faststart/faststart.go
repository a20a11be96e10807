// Package faststart makes programs that use large jsii packages, such as CDKTF's AWS provider,
// start in a fraction of the time and memory. Import it for its effect:
//
//	import _ "platform/internal/faststart"
//
// # What takes the time
//
// A Go program that uses jsii starts a Node.js process, jsii's kernel, and talks to it. For the AWS
// provider that process parses an assembly of 120 MB, the description of 23,208 types, and loads
// 2,123 submodules. A program uses some sixty of them.
//
// # What changes
//
// Node loads a file of ours, preload.js, before the kernel: NODE_OPTIONS=--require=…, which jsii
// passes on. That file changes four things:
//
//   - An assembly is not parsed. An index of it, made once for each version of a package, says
//     which bytes are which type; a type is read from the assembly when the kernel first asks for
//     it.
//   - A submodule is loaded when the kernel first asks for it.
//   - The kernel runs in the process that jsii starts. Without this that one starts another and
//     copies messages between it and the program, which every call waits for.
//   - cdktf notes a stack trace, of JavaScript, for each token that is made, and shows it should
//     that token not resolve. It notes an empty one.
//
// No installed file is touched. The file and the indexes are in the folder jsii-faststart of the
// user's cache folder, 3 MB for the AWS provider; they may be removed at any time.
//
// # Why it is safe
//
// What the kernel gets is what it would have got, or it is left alone:
//
//   - Only a kernel whose files have a known SHA-256 is changed, and only if each place to change
//     is in it exactly once. Another version of jsii starts as ever; TestInstalledJsiiKernelIsSupported then says
//     that preload.js should learn it.
//   - An index holds places, not content: a type always comes from the assembly itself. Making the
//     index proves that the assembly is those types and nothing else, listed once. A type that is
//     not where the index says, or not in it, makes the kernel parse the whole assembly.
//   - An index carries the size and the fingerprint of its assembly and a checksum of itself. One
//     that does not fit, or is damaged, is made anew. It is written beside its place and renamed,
//     so that no other process reads half of it; where it cannot be written, each start makes its
//     own.
//   - Submodules come one by one only if the package's entry does nothing but list them.
//   - Without a user's cache folder, or where the file cannot be put there, jsii starts as ever. No
//     folder that others can write to is used: Node runs what is in the file.
//   - The user's own NODE_OPTIONS stay in force, before ours.
//
// # How to turn it off
//
// FASTSTART=off in the environment; any value but "on" does.
package faststart

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/jsii-runtime-go"
)

//go:embed preload.js
var preload []byte

func init() {
	if wanted() {
		enable()
	}
}

func wanted() bool {
	value := os.Getenv("FASTSTART")
	return value == "" || value == "on"
}

// enable makes the Node processes that jsii starts from now on load preload.js. Where that cannot
// be, nothing changes.
func enable() {
	cache, err := os.UserCacheDir()
	if err != nil {
		return
	}
	file, err := place(cache)
	if err != nil {
		return
	}
	if os.Setenv("NODE_OPTIONS", options(os.Getenv("NODE_OPTIONS"), file)) != nil {
		return
	}
	// A package that uses jsii may have been initialised before this one, and jsii has then taken
	// down the environment for a process that it has not started yet: this makes it take it down
	// anew.
	jsii.Close()
}

// place puts preload.js below a cache folder, if it is not there whole, and gives its path. The
// folder is one for each content of it: another version of this package has another, and indexes of
// its own.
func place(cache string) (string, error) {
	sum := sha256.Sum256(preload)
	folder := filepath.Join(cache, "jsii-faststart", hex.EncodeToString(sum[:8]))
	file := filepath.Join(folder, "preload.js")
	if content, err := os.ReadFile(file); err == nil && bytes.Equal(content, preload) {
		return file, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	return file, write(file, preload)
}

// write puts a file in its place at once: another process sees it whole or not at all.
func write(file string, content []byte) error {
	unfinished, err := os.CreateTemp(filepath.Dir(file), "*.tmp") // readable by its owner only
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(unfinished.Name()) }() // gone already if all went well
	_, err = unfinished.Write(content)
	if closed := unfinished.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), file)
}

// options adds to Node's options what loads a file first. jsii's second process, which there is no
// more, got --preserve-symlinks by argument.
func options(users, file string) string {
	ours := "--preserve-symlinks --require=" + quote(file)
	if strings.Contains(users, ours) { // from a process that started this one
		return users
	}
	if users == "" {
		users = "--max-old-space-size=4069" // jsii's own, which it gives only where there are no options
	}
	return users + " " + ours
}

// quote writes a path as Node reads it in NODE_OPTIONS, where blanks separate, quotes hold together
// and a backslash within them takes the next character as it is.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
