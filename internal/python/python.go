// Package python provides the tools that the tests need and that are written in Python, each with
// all that it needs in an environment of its own.
package python

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// cacheName is our folder in the user's cache folder.
const cacheName = "cdktf-aws-platform"

// Environment gives the Python of a virtual environment that has what a requirements file pins, by
// hash. It is made the first time, which takes python3 on PATH, a package index and up to some
// minutes; what it has to say of that goes to progress. It is in the user's cache folder, under the
// name and a digest of the requirements.
func Environment(ctx context.Context, name string, requirements []byte, progress io.Writer) (python string, err error) {
	python, err = exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is not on PATH: install Python 3.10 or later")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep it in: set HOME: %w", err)
	}
	sum := sha256.Sum256(requirements)
	folder := filepath.Join(cache, cacheName, name+"-"+hex.EncodeToString(sum[:4]))
	if _, err := os.Stat(inEnvironment(folder)); err == nil {
		return inEnvironment(folder), nil
	}
	fmt.Fprintf(progress, "installing %s, once ...\n", name)
	if err := install(ctx, python, folder, requirements); err != nil {
		return "", err
	}
	return inEnvironment(folder), nil
}

// install makes a virtual environment beside its place and moves it there when it is whole, so that
// of two who make it at once none sees the other's half.
func install(ctx context.Context, python, folder string, requirements []byte) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(folder), "unfinished-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	if err := quietly(exec.CommandContext(ctx, python, "-m", "venv", unfinished)); err != nil {
		return err
	}
	list := filepath.Join(unfinished, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return err
	}
	// Wheels alone: nothing is compiled, and no package's set-up code runs.
	command := exec.CommandContext(ctx, inEnvironment(unfinished), "-m", "pip", "install",
		"--quiet", "--disable-pip-version-check",
		"--require-hashes", "--only-binary", ":all:", "--requirement", list)
	if err := quietly(command); err != nil {
		return err
	}
	if err := os.Rename(unfinished, folder); err != nil {
		if _, there := os.Stat(inEnvironment(folder)); there != nil {
			return err
		}
	}
	return nil
}

// inEnvironment is the path of a virtual environment's Python.
func inEnvironment(folder string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(folder, "Scripts", "python.exe")
	}
	return filepath.Join(folder, "bin", "python")
}

// quietly runs a command that has nothing to say unless it fails; then it is the last line that
// says why.
func quietly(cmd *exec.Cmd) error {
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if text := strings.TrimSpace(string(output)); text != "" {
		return errors.New(text[strings.LastIndexByte(text, '\n')+1:])
	}
	return err
}
