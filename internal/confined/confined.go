// Package confined runs programs under the limits of a container definition, for tests: with its
// user, capabilities, folders, ports and open files. It stands for Fargate as far as Linux decides
// what a container may do. The image is the test's: an application in /app, with this machine's
// programs.
package confined

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"platform/internal/python"
)

// Container is what a container definition says about a container.
type Container struct {
	User     string   // numeric
	Drop     []string // capabilities
	ReadOnly bool     // the root file system
	Memory   []Folder
	Disk     []Folder
	Opener   string // the shell command that makes Disk writable, if a container runs one
	Ports    string // first port that needs no capability; "": 1024
	Files    int    // limit of open files; 0: this machine's
}

// Folder is a writable folder of a container.
type Folder struct {
	Path    string
	Size    int      // MiB, in memory
	Options []string // of the mount, in memory
	Opened  string   // path of the folder in the container that makes it writable, on disk
}

// Image is what containers run: a Python application in /app.
type Image struct {
	Python   string // the interpreter, with Django and gunicorn
	folder   string // of the application
	prefix   string // of Python
	packages string
}

var (
	//go:embed confine.sh
	script string
	//go:embed requirements.txt
	requirements []byte
)

// Possible returns why this machine cannot confine programs; nil if it can.
func Possible(ctx context.Context) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("want Linux, have %s", runtime.GOOS)
	}
	for _, tool := range []string{"unshare", "setpriv", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("want %s on PATH", tool)
		}
	}
	out, err := inNamespaces(ctx, nil, "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("want root, or sudo without a password, and namespaces: %w: %s", err, out)
	}
	return nil
}

// inNamespaces returns a command that runs as root in namespaces of its own, with these variables
// only.
func inNamespaces(ctx context.Context, environ []string, program ...string) *exec.Cmd {
	args := slices.Concat([]string{"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, environ,
		[]string{"unshare", "--mount", "--pid", "--fork", "--kill-child", "--net"}, program)
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.CommandContext(ctx, args[0], args[1:]...)
}

// NewImage returns an image with the application in a folder. The first time, it installs Django and
// gunicorn.
func NewImage(ctx context.Context, application string, progress io.Writer) (*Image, error) {
	interpreter, err := python.Environment(ctx, "confined", requirements, progress)
	if err != nil {
		return nil, err
	}
	// The environment's own folder is for its owner only, and the application runs as another user.
	const ask = "import os, sys, sysconfig; print(sys.base_prefix, os.path.realpath(sys.executable), " +
		"sysconfig.get_path('purelib'), sep='\\n')"
	out, err := exec.CommandContext(ctx, interpreter, "-c", ask).Output()
	if err != nil {
		return nil, err
	}
	folder, err := filepath.Abs(application)
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	return &Image{Python: answers[1], folder: folder, prefix: answers[0], packages: answers[2]}, err
}

// Run runs a program of the image in a container and returns its output.
func (i *Image) Run(ctx context.Context, c Container, program ...string) (output string, err error) {
	work, err := os.MkdirTemp("", "confined-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	args := append([]string{"/bin/sh", "-c", script, "sh", work}, program...)
	out, err := inNamespaces(ctx, i.environ(c), args...).CombinedOutput()
	return string(out), err
}

// environ returns what confine.sh reads.
func (i *Image) environ(c Container) []string {
	memory, disk, files := "", "", ""
	for _, f := range c.Memory {
		memory += fmt.Sprintf("%s %d %s\n", f.Path, f.Size, strings.Join(f.Options, ","))
	}
	for _, f := range c.Disk {
		disk += f.Path + " " + f.Opened + "\n"
	}
	if c.Files > 0 {
		files = fmt.Sprint(c.Files)
	}
	var drop []string
	for _, capability := range c.Drop {
		drop = append(drop, "-"+strings.ToLower(capability))
	}
	return []string{
		"IMAGE=" + i.folder, "PYTHON=" + i.prefix, "PACKAGES=" + i.packages, "TMPFS=" + memory, "DISK=" + disk,
		"OPENER=" + c.Opener, "READ_ONLY=" + fmt.Sprint(c.ReadOnly), "RUN_AS=" + c.User,
		"DROP=" + strings.Join(drop, ","), "PORTS=" + c.Ports, "FILES=" + files,
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=/packages",
	}
}
