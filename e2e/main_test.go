//go:build e2e

// Package e2e deploys the platform with the built program, the cdktf CLI, terraform and the AWS
// provider to an emulator of AWS (internal/emulator).
//
// Tests:
//
//	validate_test.go     terraform validate of the shipped environments; cdktf synth
//	lifecycle_test.go    an environment from its first deployment to its destruction
//	restore_test.go      a destroyed stack whose backups are restored, also in another region
//	faults_test.go       deployments that are interrupted, killed or denied; transient faults
//	scan_test.go         checkov's scan of the plans
//	services_test.go     the settings of a service, deployed and planned again
//	local_test.go        make local
//	monitoring_test.go   the programs of Prometheus's task, with the deployed texts
//
// Helpers:
//
//	main_test.go         set-up: builds the program, prepares terraform and the emulator
//	sandbox_test.go      a deployment folder with an emulator of its own
//	deployed_test.go     checks of a deployed environment through AWS's API; the checks of each
//	                     module are in deployed_<module>_test.go
//	copies_test.go       checks of the backups' copies in another region
//	roles_test.go        checks that services can log in to PostgreSQL and passwords are rotated
//	inventory_test.go    the names of all resources of an account
//	calls_test.go        counts the calls that the emulators checked
//	clients_test.go      the SDK's clients
//	monitoring_programs_test.go, monitoring_checks_test.go
//	                     how these programs run here, and what they must do
//	proxy_test.go        a proxy before the emulator that causes faults, with its own test
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

// Shared by all tests: a folder that is deleted at the end, with the program, cmd/destroy, cmd/run and the
// programs of the Lambda functions; how to run terraform; and the emulator.
var (
	scratch, program, destroyer, runner, functions string
	tf                                             *terraform.Terraform
	moto                                           *emulator.Emulator

	// alive is cancelled when the tests are interrupted. Then their commands are killed, the tests
	// fail, and their files are deleted.
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
	program, destroyer = filepath.Join(scratch, "platform"), filepath.Join(scratch, "destroy")
	runner = filepath.Join(scratch, "run")
	for path, source := range map[string]string{program: "..", destroyer: "../cmd/destroy", runner: "../cmd/run"} {
		build := exec.CommandContext(alive, "go", "build", "-buildvcs=false", "-o", path, source)
		if out, err := build.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("building %s: %w\n%s", source, err, out)
		}
	}
	code = m.Run()
	fmt.Print(checked)
	return code, nil
}

// environments returns the names of the shipped environments, which have a file in config/.
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

// synth returns the folder with the program's output for an environment. The program runs once for
// each environment, and tests must not change the folder.
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

// readStack returns the content of cdk.tf.json.
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

// environ returns the environment of this process without variables that would change the shipped
// environments.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool {
		return strings.HasPrefix(e, "INFRA_") || strings.HasPrefix(e, "CDKTF_")
	})
}

// step logs how long a step took, when the returned function is called.
func step(t *testing.T, name string) (done func()) {
	start := time.Now()
	return func() {
		t.Helper()
		t.Logf("%s took %.1f s", name, time.Since(start).Seconds())
	}
}
