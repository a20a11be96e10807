package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the test binary as tf if BE_TF is set, so that tf need not be built.
func TestMain(m *testing.M) {
	if os.Getenv("BE_TF") != "" {
		main()
	}
	os.Exit(m.Run())
}

// command returns tf with arguments, on a machine with a terraform that only prints its version.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	terraform := "#!/bin/sh\necho '{\"terraform_version\": \"1.12.0\"}'\n"
	if err := os.WriteFile(filepath.Join(home, "terraform"), []byte(terraform), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_TF=1", "HOME="+home, "XDG_CACHE_HOME=", "TERRAFORM_BINARY_NAME=",
		"TF_CLI_CONFIG_FILE="+filepath.Join(home, "missing"), "PATH="+home+":"+os.Getenv("PATH"))
	return cmd
}

func TestCommandGetsEachVariableOnce(t *testing.T) {
	out, err := command(t, "env").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TF_CLI_CONFIG_FILE", "TERRAFORM_BINARY_NAME", "CHECKPOINT_DISABLE"} {
		if n := strings.Count("\n"+string(out), "\n"+name+"="); n != 1 {
			t.Errorf("%s is there %d times", name, n)
		}
	}
	if strings.Contains(string(out), "missing") {
		t.Error("TF_CLI_CONFIG_FILE still names the missing file")
	}
}

func TestTerraformCommandRunsTheProgramThatWasFound(t *testing.T) {
	cmd := command(t, "terraform", "version")
	cmd.Env = append(cmd.Env, "TERRAFORM_BINARY_NAME=echo")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); got != "version\n" {
		t.Errorf("ran something that printed %q", got)
	}
}

func TestExitCodeIsThatOfTheCommand(t *testing.T) {
	var exit *exec.ExitError
	if err := command(t, "sh", "-c", "exit 7").Run(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("have %v, want exit status 7", err)
	}
}

func TestErrorIsOneSentence(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no command", nil, "usage: tf COMMAND [ARGUMENT...]\n"},
		{
			"no such command",
			[]string{"no-such-command"},
			"cannot run no-such-command: executable file not found in $PATH\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := command(t, test.args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("have %v, want exit status 1", err)
			}
			if stderr.String() != test.want {
				t.Errorf("it says %q, want %q", stderr.String(), test.want)
			}
		})
	}
}

func TestCommandReceivesOneInterrupt(t *testing.T) {
	// The way a terminal does it: the whole process group is interrupted.
	cmd := command(t, "sh", "-c", `n=0; trap 'n=$((n+1))' INT; echo ready; `+
		`i=0; while [ $i -lt 5 ]; do sleep 0.1; i=$((i+1)); done; echo $n; exit 3`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(time.Minute, func() { cmd.Process.Kill() }).Stop()
	ready := make([]byte, len("ready\n"))
	if _, err := stdout.Read(ready); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	rest := new(bytes.Buffer)
	if _, err := rest.ReadFrom(stdout); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("have %v, want the command's own exit status 3", err)
	}
	if got := rest.String(); got != "1\n" {
		t.Errorf("interrupted %q times, want once", got)
	}
}
