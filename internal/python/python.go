// Package python installs the Python tools that the tests need, each in its own virtual
// environment.
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

// cacheName is the project's folder in the user's cache folder.
const cacheName = "cdktf-aws-platform"

// Environment returns the Python of a virtual environment with the packages that a requirements
// file pins by hash. The first time, it creates the environment in the user's cache folder, which
// requires python3 on PATH and a package index and takes up to some minutes. It reports that to
// progress. The name of the folder is name with a digest of the requirements.
func Environment(ctx context.Context, name string, requirements []byte, progress io.Writer) (python string, err error) {
	python, err = exec.LookPath("python3")
	if err != nil {
		return "", errors.New("python3 is not on PATH: install Python 3.10 or later")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: set HOME: %w", err)
	}
	sum := sha256.Sum256(requirements)
	folder := filepath.Join(cache, cacheName, name+"-"+hex.EncodeToString(sum[:4]))
	if _, err := os.Stat(inEnvironment(folder)); err == nil {
		return inEnvironment(folder), nil
	}
	fmt.Fprintf(progress, "installing %s (first run only) ...\n", name)
	if err := install(ctx, python, folder, requirements); err != nil {
		return "", err
	}
	return inEnvironment(folder), nil
}

// install creates a virtual environment beside its folder and renames it when it is complete, so
// that a simultaneous call never sees an incomplete one.
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
	// Wheels only: nothing is compiled, and no set-up code of a package runs.
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

// inEnvironment returns the path of the Python of a virtual environment.
func inEnvironment(folder string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(folder, "Scripts", "python.exe")
	}
	return filepath.Join(folder, "bin", "python")
}

// quietly runs a command. If it fails, the error is the last line of its output.
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
