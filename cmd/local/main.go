// Local deploys the platform to an emulator of AWS on this machine, and deletes it:
//
//	local up      # again after a change of the configuration: deploys what changed
//	local down
//
// Run it in the project's folder, after `make program`. ENVIRONMENT names the configuration
// (default: dev). All of its files, including the state, are below .build/local/<environment>, so
// it cannot change a stack that is deployed to AWS.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"platform/internal/emulator"
	"platform/internal/terraform"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	environment := cmp.Or(os.Getenv("ENVIRONMENT"), "dev")
	folder, err := filepath.Abs(filepath.Join(".build", "local", environment))
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "up":
		return up(context.Background(), environment, folder)
	case len(args) == 1 && args[0] == "down":
		return down(folder)
	}
	return errors.New("usage: local up | local down")
}

// running describes an emulator that was started earlier.
type running struct {
	URL string
	PID int
}

func up(ctx context.Context, environment, folder string) error {
	server, err := ensure(ctx, folder)
	if err != nil {
		return err
	}
	out := filepath.Join(folder, "cdktf.out")
	env := append(os.Environ(), "ENVIRONMENT="+environment, "CDKTF_OUTDIR="+out)
	if err := attached(env, filepath.Join(".build", "bin", "platform")); err != nil {
		return err
	}
	stacks, err := filepath.Glob(filepath.Join(out, "stacks", "*", "cdk.tf.json"))
	if err != nil || len(stacks) != 1 {
		return fmt.Errorf("%s holds %d stacks: remove it (make local-down) and try again", out, len(stacks))
	}
	if err := emulator.PrepareStack(ctx, server.URL, filepath.Dir(stacks[0])); err != nil {
		return err
	}
	tf, err := terraform.Prepare(ctx, folder)
	if err != nil {
		return err
	}
	fmt.Printf("deploying to the emulator at %s (takes some minutes, because the AWS provider waits as for AWS) ...\n",
		server.URL)
	env = append(emulator.Environ(env, server.URL), tf.Env...)
	cdktf := filepath.Join("node_modules", ".bin", "cdktf")
	flags := []string{"--output", out, "--auto-approve", "--skip-synth", "--skip-provider-lock"}
	if err := attached(env, cdktf, append([]string{"deploy"}, flags...)...); err != nil {
		return fmt.Errorf("the deployment failed: %w", err)
	}
	fmt.Printf("\nThe stack is deployed at %s until `make local-down`. To inspect it:\n\n", server.URL)
	fmt.Printf("  export AWS_ENDPOINT_URL=%s AWS_ACCESS_KEY_ID=emulator AWS_SECRET_ACCESS_KEY=emulator\n", server.URL)
	fmt.Println("  aws ecs list-services --cluster ... --region ...")
	return nil
}

// ensure returns the running emulator of a folder, or starts one. A new emulator is empty, so the
// folder, with the state, is emptied first.
func ensure(ctx context.Context, folder string) (*running, error) {
	if server := find(folder); server != nil {
		return server, nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	moto, err := emulator.Prepare(ctx, os.Stdout)
	if err != nil {
		return nil, err
	}
	functions, err := emulator.BuildFunctions(ctx, ".", folder)
	if err != nil {
		return nil, err
	}
	started, err := moto.Start(ctx, emulator.Options{
		Folder:    folder,
		Account:   emulator.Account,
		Functions: functions,
		Stay:      true,
	})
	if err != nil {
		return nil, err
	}
	fmt.Printf("started %s\n", moto.Source)
	server := &running{started.URL, started.PID}
	text, err := json.Marshal(server)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "emulator.json"), text, 0o644); err != nil {
		started.Stop()
		return nil, err
	}
	return server, nil
}

// find returns the emulator of a folder if it still answers.
func find(folder string) *running {
	text, err := os.ReadFile(filepath.Join(folder, "emulator.json"))
	if err != nil {
		return nil
	}
	var server running
	if json.Unmarshal(text, &server) != nil || server.PID <= 0 {
		return nil
	}
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(server.URL + "/moto-api/")
	if err != nil {
		return nil
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil
	}
	return &server
}

func down(folder string) error {
	server := find(folder)
	if server != nil {
		process, err := os.FindProcess(server.PID)
		if err != nil {
			return err
		}
		if err := process.Kill(); err != nil {
			return fmt.Errorf("the emulator, process %d, cannot be stopped: %w", server.PID, err)
		}
	}
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		fmt.Println("there is no local deployment")
		return nil
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	fmt.Println("stopped the emulator and deleted its resources and the state")
	return nil
}

// attached runs a command with the terminal of the user, who can interrupt it.
func attached(env []string, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
