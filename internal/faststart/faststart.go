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
// Node.js loads preload.js before the kernel, because of NODE_OPTIONS=--require=…, which jsii
// passes on. preload.js changes four things:
//
//   - An assembly is not parsed. An index of it, created once for each version of a package, has
//     the position of each type. A type is read from the assembly when the kernel first uses it.
//   - A submodule is loaded when the kernel first uses it.
//   - The kernel runs in the process that jsii starts. Without the change, that process starts a
//     second one and copies messages between it and the program, which delays every call.
//   - cdktf records a JavaScript stack trace for each token, for the error if the token cannot be
//     resolved. With the change, it records an empty one.
//
// No installed file is changed. preload.js and the indexes are in the folder jsii-faststart of the
// user's cache folder, with 3 MB for the AWS provider. They can be deleted at any time.
//
// # Why it is safe
//
// The kernel gets the same data as without the changes, or is not changed:
//
//   - Only a kernel whose files have a known SHA-256 is changed, and only if it contains each text
//     to replace exactly once. Another version of jsii starts unchanged, and then
//     TestInstalledJsiiKernelIsSupported fails.
//   - An index contains positions only; types are always read from the assembly. Creating the index
//     checks that the assembly consists of these types, each listed once. If a type is not at its
//     position, or not in the index, the kernel parses the whole assembly.
//   - An index contains the size and the fingerprint of its assembly and a checksum. An index that
//     does not match or is damaged is created again. It is written to a temporary file and renamed,
//     so that other processes never read an incomplete index. If it cannot be written, each start
//     creates it in memory.
//   - Submodules are loaded one by one only if the package's entry does nothing but list them.
//   - If there is no user's cache folder, or preload.js cannot be written there, jsii starts
//     unchanged. No folder that others can write to is used, because Node.js executes the file.
//   - The user's NODE_OPTIONS apply, too; they come first.
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

// enable makes the Node.js processes that jsii starts load preload.js. If that is impossible, it
// changes nothing.
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
	// If a package that uses jsii was initialised before this one, jsii has already copied the
	// environment for its process, which it has not started yet. Close makes it copy it again.
	jsii.Close()
}

// place writes preload.js below a cache folder, unless it exists, and returns its path. The name of
// the folder contains a hash of the file, so each version of this package has its own folder and
// indexes.
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

// write writes a file atomically: other processes never see an incomplete file.
func write(file string, content []byte) error {
	unfinished, err := os.CreateTemp(filepath.Dir(file), "*.tmp") // readable by its owner only
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(unfinished.Name()) }() // fails after the rename
	_, err = unfinished.Write(content)
	if closed := unfinished.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), file)
}

// options adds the option that loads a file to the user's NODE_OPTIONS. It also adds
// --preserve-symlinks, an argument of jsii's second process, which is not started.
func options(users, file string) string {
	ours := "--preserve-symlinks --require=" + quote(file)
	if strings.Contains(users, ours) { // set by a parent process
		return users
	}
	if users == "" {
		users = "--max-old-space-size=4069" // jsii's default, which it sets only without NODE_OPTIONS
	}
	return users + " " + ours
}

// quote quotes a path for NODE_OPTIONS, in which spaces separate options and a backslash in quotes
// escapes the next character.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
