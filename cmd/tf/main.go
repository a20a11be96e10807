// Tf executes terraform, or a command that runs terraform, such as cdktf, with an environment in
// which terraform and its provider are found:
//
//	go run ./cmd/tf node_modules/.bin/cdktf diff
//	go run ./cmd/tf terraform -chdir=cdktf.out/stacks/NAME state list
//
// The command "terraform" is the program that internal/terraform finds.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"platform/internal/terraform"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: tf COMMAND [ARGUMENT...]")
	}
	tf, err := terraform.Prepare(context.Background(), "")
	if err != nil {
		return err
	}
	path := tf.Path
	if args[0] != "terraform" {
		if path, err = exec.LookPath(args[0]); err != nil {
			return fmt.Errorf("cannot run %s: %w", args[0], errors.Unwrap(err))
		}
	}
	fmt.Fprintln(os.Stderr, tf.Source)

	// Cmd.Environ removes all but the last value of each name.
	env := (&exec.Cmd{Env: append(os.Environ(), tf.Env...)}).Environ()

	// The command replaces this process instead of becoming its child, so it has the signals, the
	// terminal and the exit code. One Ctrl-C is then one interrupt, after which terraform shuts
	// down gracefully; a second interrupt would make it exit at once.
	return fmt.Errorf("cannot run %s: %w", path, syscall.Exec(path, args, env))
}
