// Package terraform finds terraform and its AWS provider, which no package manager of this project
// installs. make, the tests and cmd/tf all use this package, so they find the same ones.
//
// Terraform is the program that TERRAFORM_BINARY_NAME names; otherwise the one on PATH, if it is
// new enough; otherwise one that is downloaded to the user's cache folder.
//
// The provider has 700 MB, and terraform looks for local copies in few folders. Unless the user has
// a terraform CLI configuration, this package searches more folders and writes a CLI configuration
// with the copy that it found. Without a copy, terraform downloads the provider, once.
package terraform

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
)

const (
	// ProviderVersion is the version of hashicorp/aws that the stack pins. Only copies of this
	// version are used.
	ProviderVersion = "5.100.0"

	// oldestVersion is the first terraform whose S3 backend supports lock files (use_lockfile).
	oldestVersion = "1.11.0"

	// fetchedVersion is the version that is downloaded.
	fetchedVersion = "1.11.4"

	// provider is the address of hashicorp/aws, which is also its folder in a mirror.
	provider = "registry.terraform.io/hashicorp/aws"

	// cacheName is the project's folder in the user's cache folder.
	cacheName = "cdktf-aws-platform"
)

// onInterrupt is a Node.js module that lets terraform shut down gracefully under cdktf.
//
//go:embed interrupt.js
var onInterrupt string

// Terraform describes how to run terraform so that it finds its provider.
type Terraform struct {
	// Path of the program.
	Path string

	// Env is added to the environment of terraform, or of a program that runs terraform, such as
	// cdktf. Of two values for a name, the last one applies.
	Env []string

	// Source describes where terraform and its provider come from.
	Source string
}

// Prepare finds terraform and its provider. It writes the CLI configuration and the module
// onInterrupt to the folder scratch, which must exist as long as terraform runs. If scratch is "",
// it is the project's folder in the user's cache folder.
func Prepare(ctx context.Context, scratch string) (*Terraform, error) {
	m := thisMachine()
	if scratch == "" {
		if scratch = m.cache; scratch == "" {
			return nil, errors.New("terraform: no cache folder: set HOME")
		}
	}
	return m.prepare(ctx, scratch)
}

// machine is everything that the search depends on, so that tests can replace it.
type machine struct {
	getenv       func(string) string
	goos, goarch string

	// home and cache are "" if the user has no such folder.
	home, cache string

	// shared are folders for all users that may contain a mirror, up to two levels deep.
	shared []string

	// fetch downloads terraform to a folder.
	fetch func(ctx context.Context, folder string) error
}

func thisMachine() *machine {
	m := &machine{
		getenv: os.Getenv,
		goos:   runtime.GOOS,
		goarch: runtime.GOARCH,
		shared: []string{"/usr/share", "/usr/local/share", "/opt"},
		fetch:  fetch,
	}
	if home, err := os.UserHomeDir(); err == nil {
		m.home = home
	}
	if cache, err := os.UserCacheDir(); err == nil {
		m.cache = filepath.Join(cache, cacheName)
	}
	return m
}

func (m *machine) prepare(ctx context.Context, scratch string) (*Terraform, error) {
	path, pathSource, err := m.findTerraform(ctx)
	if err != nil {
		return nil, fmt.Errorf("terraform: %w", err)
	}
	env, providerSource, err := m.findProvider(scratch)
	if err != nil {
		return nil, fmt.Errorf("terraform: the AWS provider: %w", err)
	}
	module := filepath.Join(scratch, "interrupt.js")
	if err := writeFile(module, onInterrupt); err != nil {
		return nil, fmt.Errorf("terraform: %w", err)
	}
	// Quoted for Node.js, because the path may contain spaces. The user's own options are kept.
	node := strings.TrimSpace(m.getenv("NODE_OPTIONS") + " --require=" + strconv.Quote(module))
	return &Terraform{
		Path: path,
		// Without CHECKPOINT_DISABLE, terraform and cdktf check for new versions on every run, and
		// print an error without a network.
		Env:    append(env, "TERRAFORM_BINARY_NAME="+path, "CHECKPOINT_DISABLE=1", "NODE_OPTIONS="+node),
		Source: pathSource + "; AWS provider " + providerSource,
	}, nil
}

// findTerraform returns the path of the program and a description of where it comes from.
func (m *machine) findTerraform(ctx context.Context) (path, source string, err error) {
	if name := m.getenv("TERRAFORM_BINARY_NAME"); name != "" {
		path, err := m.lookPath(name)
		if err != nil {
			return "", "", fmt.Errorf("TERRAFORM_BINARY_NAME is %s: no such program", name)
		}
		return path, path + " from TERRAFORM_BINARY_NAME", nil
	}

	onPath := "none is on PATH"
	if path, err := m.lookPath("terraform"); err == nil {
		v, err := versionOf(ctx, path)
		switch {
		case err != nil:
			onPath = fmt.Sprintf("the version of %s is unknown: %v", path, err)
		case v.LessThan(version.Must(version.NewVersion(oldestVersion))):
			onPath = fmt.Sprintf("%s is version %s", path, v)
		default:
			return path, fmt.Sprintf("terraform %s from PATH", v), nil
		}
	}

	path, err = m.fetchedTerraform(ctx)
	if err != nil {
		return "", "", fmt.Errorf("want %s or later, but %s; install it, because downloading %s failed: %w",
			oldestVersion, onPath, fetchedVersion, err)
	}
	return path, fmt.Sprintf("terraform %s from %s (%s)", fetchedVersion, filepath.Dir(path), onPath), nil
}

// lookPath is exec.LookPath for the PATH of a machine.
func (m *machine) lookPath(name string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	for _, folder := range filepath.SplitList(m.getenv("PATH")) {
		if !filepath.IsAbs(folder) {
			continue // terraform runs in another folder
		}
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", exec.ErrNotFound
}

func versionOf(ctx context.Context, path string) (*version.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version", "-json")
	// If TF_CLI_CONFIG_FILE named a missing file, terraform would fail.
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE=", "CHECKPOINT_DISABLE=1")
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var answer struct {
		Version string `json:"terraform_version"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("version -json: %w", err)
	}
	return version.NewVersion(answer.Version)
}

// fetchedTerraform returns the terraform in the cache folder, and downloads it the first time.
func (m *machine) fetchedTerraform(ctx context.Context) (string, error) {
	if m.cache == "" {
		return "", errors.New("no cache folder: set HOME")
	}
	folder := filepath.Join(m.cache, "terraform-"+fetchedVersion)
	path := filepath.Join(folder, product.Terraform.BinaryName())
	if isFile(path) {
		return path, nil
	}

	// Renamed when complete, so that the cache never contains an incomplete program.
	if err := os.MkdirAll(m.cache, 0o755); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(m.cache, "partial-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	if err := m.fetch(ctx, partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, folder); err != nil && !isFile(path) { // another process may have been first
		return "", err
	}
	return path, nil
}

func fetch(ctx context.Context, folder string) error {
	fmt.Fprintf(os.Stderr, "downloading terraform %s ...\n", fetchedVersion)
	_, err := (&releases.ExactVersion{
		Product:    product.Terraform,
		Version:    version.Must(version.NewVersion(fetchedVersion)),
		InstallDir: folder,
		Timeout:    10 * time.Minute,
	}).Install(ctx)
	return err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// writeFile replaces a file atomically, and only if its content changes: another terraform may be
// reading it.
func writeFile(path, text string) error {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, []byte(text)) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".terraform-*.rc")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
