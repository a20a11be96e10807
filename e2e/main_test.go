//go:build e2e

// Package e2e deploys the platform for real: the program as it is built, the cdktf CLI, terraform
// and the AWS provider, against an emulator of AWS (internal/emulator).
//
//	validate_test.go     terraform validate of what is shipped
//	life_test.go         an environment from the first deployment to the last destruction
//	standing_test.go     what is there after a deployment, asked of the API; with a file
//	                     standing_<module>_test.go for each module
//	roles_test.go        services log in to PostgreSQL, and their passwords are rotated
//	census_test.go       all that an account holds
//	scan_test.go         checkov's scan of the plans
//	faults_test.go       deployments that are interrupted, killed, disturbed or refused
//	local_test.go        make local
//
// They deploy with site_test.go, ask with the SDK's clients of clients_test.go, and cause faults
// with the proxy of proxy_test.go.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"platform/internal/emulator"
	"platform/internal/terraform"
)

// What the tests share: a folder that is gone when they are, the program in it, how to run
// terraform, and the emulator with the programs of the functions.
var (
	scratch, program, functions string
	tf                          *terraform.Terraform
	moto                        *emulator.Emulator

	// alive ends when somebody interrupts the tests: then whatever they run is killed, they fail,
	// and what they made goes.
	alive context.Context
)

func TestMain(m *testing.M) {
	code, err := setUpAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func setUpAndRun(m *testing.M) (code int, err error) {
	var stop func()
	alive, stop = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if scratch, err = os.MkdirTemp("", "platform-e2e-*"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	if tf, err = terraform.Prepare(alive, scratch); err != nil {
		return 0, err
	}
	if moto, err = emulator.Prepare(alive, os.Stdout); err != nil {
		return 0, err
	}
	fmt.Printf("%s; %s\n", tf.Source, moto.Source)
	if functions, err = emulator.BuildFunctions(alive, "..", scratch); err != nil {
		return 0, err
	}
	program = filepath.Join(scratch, "platform")
	build := exec.CommandContext(alive, "go", "build", "-buildvcs=false", "-o", program, "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// environments are the shipped ones, as config/ has them.
func environments(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("../config/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no configuration in config/: %v", err)
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(filepath.Base(name), ".yaml")
	}
	return names
}

// synth returns the folder to which the program wrote an environment. It does so once; nobody may
// change what is in there.
func synth(t *testing.T, environment string) string {
	t.Helper()
	folder := filepath.Join(scratch, "synth", environment)
	if _, err := os.Stat(folder); err == nil {
		return folder
	}
	defer step(t, "synth")()
	cmd := exec.Command(program)
	cmd.Dir = ".."
	cmd.Env = append(environ(), "ENVIRONMENT="+environment, "CDKTF_OUTDIR="+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		os.RemoveAll(folder)
		t.Fatalf("the program, for %s: %v\n%s", environment, err, out)
	}
	return folder
}

// readStack returns the one file that terraform reads.
func readStack(t *testing.T, environment string) []byte {
	t.Helper()
	stacks, err := filepath.Glob(filepath.Join(synth(t, environment), "stacks", "*", "cdk.tf.json"))
	if err != nil || len(stacks) != 1 {
		t.Fatalf("want one stack, have %v (%v)", stacks, err)
	}
	stack, err := os.ReadFile(stacks[0])
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func parse(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var stack map[string]any
	if err := json.Unmarshal(text, &stack); err != nil {
		t.Fatal(err)
	}
	return stack
}

// environ is that of this process without what would change the shipped environments: settings that
// somebody deploys with.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "INFRA_") || strings.HasPrefix(e, "CDKTF_")
	})
}

// step logs how long something took, when the function that it returns is called.
func step(t *testing.T, name string) (done func()) {
	start := time.Now()
	return func() {
		t.Helper()
		t.Logf("%s took %.1f s", name, time.Since(start).Seconds())
	}
}
