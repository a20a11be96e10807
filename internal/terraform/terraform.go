// Package terraform finds what every command of this project needs and no package manager of it
// installs: terraform itself and its AWS provider. make, the tests and a person at a shell all come
// through here, so that what one of them finds the others find too.
//
// Terraform is the program TERRAFORM_BINARY_NAME names, else the one on PATH if it is new enough,
// else one fetched into the user's cache folder.
//
// The provider weighs 700 MB, and terraform by itself looks for a copy on the machine in a few
// places only. So, unless the user has a terraform configuration of their own, this package looks
// further, and writes a configuration that names the copy it found. Where there is none, terraform
// downloads the provider, once.
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
	// ProviderVersion is the version of hashicorp/aws that the stack pins; a copy of another one is
	// of no use.
	ProviderVersion = "5.100.0"

	// oldestVersion is the first terraform whose S3 backend locks with a file of its own.
	oldestVersion = "1.11.0"

	// fetchedVersion is what a machine without a terraform gets.
	fetchedVersion = "1.11.4"

	// provider is the address of hashicorp/aws, and with it the folder that holds it in any copy.
	provider = "registry.terraform.io/hashicorp/aws"

	// cacheName is our folder in the user's cache folder.
	cacheName = "cdktf-aws-platform"
)

// onInterrupt is a module of Node's that lets terraform end in good order under cdktf.
//
//go:embed interrupt.js
var onInterrupt string

// Terraform says how to run terraform so that it finds its provider.
type Terraform struct {
	// Path of the program.
	Path string

	// Env is what to add to the environment of terraform, or of a program that runs it, such as
	// cdktf. The later of two values for a name is the one that counts.
	Env []string

	// Source says in words where terraform and its provider come from.
	Source string
}

// Prepare finds terraform and its provider. The folder scratch holds the configuration that tells
// terraform of the provider, and what keeps cdktf from cutting terraform off, for as long as they
// are to run; without one they are kept in the user's cache folder.
func Prepare(ctx context.Context, scratch string) (*Terraform, error) {
	m := thisMachine()
	if scratch == "" {
		if scratch = m.cache; scratch == "" {
			return nil, errors.New("terraform: no folder for its configuration: set HOME")
		}
	}
	return m.prepare(ctx, scratch)
}

// machine is all that the search depends on; tests make up their own.
type machine struct {
	getenv       func(string) string
	goos, goarch string

	// home and cache are empty where the user has none.
	home, cache string

	// shared are folders that any user may have put a copy of the provider under, a few levels
	// deep.
	shared []string

	// fetch puts a terraform into a folder.
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
	// In Node's own quotes, since the folder's name may hold spaces; what the user has set stays.
	node := strings.TrimSpace(m.getenv("NODE_OPTIONS") + " --require=" + strconv.Quote(module))
	return &Terraform{
		Path: path,
		// Without CHECKPOINT_DISABLE terraform and cdktf ask HashiCorp for news on every run, and
		// complain where there is no network.
		Env:    append(env, "TERRAFORM_BINARY_NAME="+path, "CHECKPOINT_DISABLE=1", "NODE_OPTIONS="+node),
		Source: pathSource + "; AWS provider " + providerSource,
	}, nil
}

// findTerraform returns the program's path, and in words where it comes from.
func (m *machine) findTerraform(ctx context.Context) (path, source string, err error) {
	if name := m.getenv("TERRAFORM_BINARY_NAME"); name != "" {
		path, err := m.lookPath(name)
		if err != nil {
			return "", "", fmt.Errorf("TERRAFORM_BINARY_NAME names %s, which is no program here", name)
		}
		return path, path + ", as TERRAFORM_BINARY_NAME says", nil
	}

	onPath := "none is on PATH"
	if path, err := m.lookPath("terraform"); err == nil {
		v, err := versionOf(ctx, path)
		switch {
		case err != nil:
			onPath = fmt.Sprintf("%s does not tell its version: %v", path, err)
		case v.LessThan(version.Must(version.NewVersion(oldestVersion))):
			onPath = fmt.Sprintf("%s is version %s", path, v)
		default:
			return path, fmt.Sprintf("terraform %s from PATH", v), nil
		}
	}

	path, err = m.fetchedTerraform(ctx)
	if err != nil {
		return "", "", fmt.Errorf("want %s or later, but %s; install one, since fetching %s failed: %w",
			oldestVersion, onPath, fetchedVersion, err)
	}
	return path, fmt.Sprintf("terraform %s from %s (%s)", fetchedVersion, filepath.Dir(path), onPath), nil
}

// lookPath is exec.LookPath for the machine's own PATH.
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
			continue // terraform runs in another folder than we do
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
	// A TF_CLI_CONFIG_FILE that names a missing file is no reason not to tell the version.
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

// fetchedTerraform returns the terraform in our cache folder, and puts it there the first time.
func (m *machine) fetchedTerraform(ctx context.Context) (string, error) {
	if m.cache == "" {
		return "", errors.New("no folder to keep it in: set HOME")
	}
	folder := filepath.Join(m.cache, "terraform-"+fetchedVersion)
	path := filepath.Join(folder, product.Terraform.BinaryName())
	if isFile(path) {
		return path, nil
	}

	// Renamed when complete, so that what is in the cache is never half a program.
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
	fmt.Fprintf(os.Stderr, "fetching terraform %s\n", fetchedVersion)
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

// writeFile replaces a file in one step, and only if it says something else: another terraform may
// be reading it.
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
