// Package emulator runs an emulator of AWS on this machine: moto, a Python program that implements
// AWS's API in memory, extended by what this platform needs (gaps.py), and a real PostgreSQL server
// for RDS. A stack that is deployed to the emulator costs nothing and exists until the emulator
// stops.
//
// moto is run by the Python on PATH, if it has moto in the version pinned in requirements.txt;
// otherwise by a virtual environment in the user's cache folder, which is created the first time.
package emulator

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"platform/internal/postgres"
	"platform/internal/python"
)

// Account is the default ID of the AWS account of an emulator.
const Account = "123456789012"

// AccountHeader is the header of a call that names its account, if the emulator has no account.
const AccountHeader = "x-moto-account-id"

// patience is the time limit for the start of an emulator, which takes 3 s on an idle machine.
const patience = 4 * time.Minute

var (
	//go:embed *.py
	programs embed.FS

	//go:embed requirements.txt
	requirements []byte
)

// Emulator is an installed emulator: a Python with moto, and a PostgreSQL.
type Emulator struct {
	python   string
	postgres *postgres.Installation

	// Source describes where moto comes from.
	Source string
}

// Prepare finds a Python with moto, or creates a virtual environment with it, which requires a
// package index and takes up to a minute. It also prepares PostgreSQL. It reports installations to
// progress.
func Prepare(ctx context.Context, progress io.Writer) (*Emulator, error) {
	database, err := postgres.Prepare(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	want := pinned("moto")
	if installed, err := exec.LookPath("python3"); err == nil {
		if have, err := versionOfMoto(ctx, installed); err == nil && have == want {
			return &Emulator{installed, database, "moto " + have + " from the Python on PATH"}, nil
		}
	}
	own, err := python.Environment(ctx, "moto-"+want, requirements, progress)
	if err != nil {
		return nil, fmt.Errorf("emulator: cannot install moto %s: %w", want, err)
	}
	return &Emulator{own, database, "moto " + want + " in a virtual environment"}, nil
}

// pinned returns the version of a package in requirements.txt.
func pinned(name string) string {
	version := regexp.MustCompile(`(?m)^` + name + `==(\S+)`).FindSubmatch(requirements)
	return string(version[1])
}

// versionOfMoto returns the version of moto of a Python. It fails if moto or a package that its
// server requires is missing.
func versionOfMoto(ctx context.Context, python string) (string, error) {
	const program = "import docker, flask, flask_cors, moto; print(moto.__version__)"
	version, err := exec.CommandContext(ctx, python, "-c", program).Output()
	return strings.TrimSpace(string(version)), err
}

// Options configure an emulator.
type Options struct {
	// Folder contains the emulator's log (emulator.log) and program. It must exist while the
	// emulator runs.
	Folder string

	// Account is the ID of the AWS account. Without it, each call is for the account in its header
	// AccountHeader.
	Account string

	// Functions is the folder of the programs of Lambda functions, built for this machine. The
	// program backup runs for functions whose names end in -backup. Without it, invocations fail.
	Functions string

	// Endpoint is a file with the URL that functions use for AWS, read at each invocation. If the
	// file does not exist, they use the emulator's. Tests put a proxy there.
	Endpoint string

	// Tasks is a network of this machine, such as 127.10.0.0/16. Services start and stop tasks with
	// addresses of it. Without it, services have no tasks.
	Tasks string

	// Stay keeps the emulator running after the process that started it has ended.
	Stay bool
}

// Server is a running emulator.
type Server struct {
	// URL of its API, which listens on this machine only.
	URL string

	// PID is its process ID.
	PID int

	// Database is the PostgreSQL server behind all database instances. It ends with the emulator.
	Database *postgres.Server

	process *exec.Cmd
	alive   io.Closer
}

// Start starts an empty emulator and returns when it answers. The emulator ends with Stop and,
// unless Options.Stay is set, when the process that started it ends.
func (e *Emulator) Start(ctx context.Context, o Options) (*Server, error) {
	server, err := e.start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return server, nil
}

func (e *Emulator) start(ctx context.Context, o Options) (*Server, error) {
	// PostgreSQL runs while the emulator has the write end of this pipe.
	whileAlive, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer whileAlive.Close()
	defer lifeline.Close()
	database, err := e.postgres.Start(ctx, postgres.Options{
		Names:    []string{"*.emulator.rds.amazonaws.com"},
		Database: "app",
		Alive:    whileAlive,
	})
	if err != nil {
		return nil, err
	}
	cmd, err := e.command(o, database)
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{lifeline}
	logName := filepath.Join(o.Folder, "emulator.log")
	logFile, err := os.Create(logName)
	if err != nil {
		return nil, err
	}
	defer logFile.Close()
	cmd.Stderr = logFile
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	server := &Server{PID: cmd.Process.Pid, Database: database, process: cmd, alive: alive}
	if server.URL, err = firstLine(ctx, stdout); err == nil && server.URL == "" {
		err = errors.New(lastLine(logName))
	}
	if err != nil {
		server.Stop()
		return nil, fmt.Errorf("cannot start moto: %w", err)
	}
	return server, nil
}

// command is the program that serves, which says its URL on its first line.
func (e *Emulator) command(o Options, database *postgres.Server) (*exec.Cmd, error) {
	folder := filepath.Join(o.Folder, "emulator")
	if err := os.RemoveAll(folder); err != nil { // of an emulator that ran there before
		return nil, err
	}
	if err := os.CopyFS(folder, programs); err != nil {
		return nil, err
	}
	arguments := []string{filepath.Join(folder, "gaps.py")}
	if o.Functions != "" {
		arguments = append(arguments, "--functions", o.Functions)
	}
	if o.Endpoint != "" {
		arguments = append(arguments, "--endpoint", o.Endpoint)
	}
	if o.Tasks != "" {
		arguments = append(arguments, "--tasks", o.Tasks)
	}
	if o.Stay {
		arguments = append(arguments, "--stay")
	}
	cmd := exec.Command(e.python, arguments...)
	cmd.Env = append(Environ(os.Environ(), ""), "PYTHONDONTWRITEBYTECODE=1",
		"MOTO_ACM_VALIDATION_WAIT=1", // seconds until a certificate is valid
		fmt.Sprintf("DATABASE_PORT=%d", database.Port),
		"DATABASE_CA="+database.CA,
		"DATABASE_PASSWORD="+database.Master.Password,
	)
	if o.Account != "" {
		cmd.Env = append(cmd.Env, "MOTO_ACCOUNT_ID="+o.Account)
	}
	// An interrupt from the terminal is for terraform, which still needs the emulator then to end
	// in good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// firstLine waits for the first line of what an emulator says, which is empty if it ends first.
func firstLine(ctx context.Context, stdout io.Reader) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		said <- strings.TrimSpace(line)
	}()
	select {
	case line := <-said:
		return line, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Stop ends the emulator and deletes all of its resources.
func (s *Server) Stop() {
	// Each of these fails if the process has already ended.
	_ = s.alive.Close()
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

func lastLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// Environ returns an environment in which AWS clients use the emulator at a URL. The user's AWS
// settings, including credentials, are removed from base and are not read from files.
func Environ(base []string, url string) []string {
	var env []string
	for _, e := range base {
		if name, _, _ := strings.Cut(e, "="); !strings.HasPrefix(name, "AWS_") {
			env = append(env, e)
		}
	}
	return append(env,
		"AWS_ENDPOINT_URL="+url,
		"AWS_ACCESS_KEY_ID=emulator",
		"AWS_SECRET_ACCESS_KEY=emulator",
		"AWS_CONFIG_FILE="+os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
		"NO_PROXY=127.0.0.1",
		"no_proxy=127.0.0.1",
	)
}
