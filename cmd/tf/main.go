// Tf executes a command that is terraform or runs terraform (cdktf, say) so that terraform is found
// and finds its provider:
//
//	go run ./cmd/tf node_modules/.bin/cdktf diff
//	go run ./cmd/tf terraform -chdir=cdktf.out/stacks/NAME state list
//
// "terraform" means the one that package terraform finds, wherever it is.
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

	// Cmd knows how to drop all but the last value of a name.
	env := (&exec.Cmd{Env: append(os.Environ(), tf.Env...)}).Environ()

	// The command takes our place instead of becoming a child: signals, the terminal and the exit
	// code are then its own, and one Ctrl-C is one interrupt, on which terraform ends in good
	// order; a second one would make it drop everything.
	return fmt.Errorf("cannot run %s: %w", path, syscall.Exec(path, args, env))
}
