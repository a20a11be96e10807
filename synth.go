package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/bundle"
	"platform/internal/fileerror"
	"platform/internal/progress"
)

// oldestNode is the oldest major version of Node.js that cdktf 0.21 supports.
const oldestNode = 20

// replaceOutput has write fill a scratch folder beside outdir and moves what is there to outdir, as
// `cdktf synth` expects it. It moves only what is complete: after an error, outdir is as it was.
func replaceOutput(outdir string, write func(folder string) error) error {
	if err := prepareNode(); err != nil {
		return err
	}
	parent := filepath.Dir(filepath.Clean(outdir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("%s: cannot be created: %w", parent, fileerror.Reason(err))
	}
	scratch, err := os.MkdirTemp(parent, ".cdktf.out-")
	if err != nil {
		return fmt.Errorf("%s: cannot be written to: %w", parent, fileerror.Reason(err))
	}
	defer func() { _ = os.RemoveAll(scratch) }() // what is left of it is hidden, and ignored by git
	ended := progress.Report("synthesising; the first time on a machine, this unpacks the AWS provider")
	err = write(scratch)
	ended()
	if err != nil {
		return err
	}
	if err := publish(scratch, outdir); err != nil {
		return fmt.Errorf("%s: cannot be written: %w", outdir, fileerror.Reason(err))
	}
	return nil
}

// functionBundles are the compiled Lambda functions of the stack.
type functionBundles struct{ backup, database bundle.Function }

func buildFunctions() (all functionBundles, err error) {
	if all.backup, err = bundle.Build("functions/backup"); err != nil {
		return all, err
	}
	all.database, err = bundle.Build("functions/database")
	return all, err
}

// synthesiseInto writes the stack that declare makes to a folder. jsii reports whatever goes wrong
// by a panic, on the Go side or in its Node process: this is the one place that turns it into an
// error.
func synthesiseInto(folder, stack string, declare func(cdktf.App)) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("synthesis of %s failed: %s", stack, sentence(fault))
		}
	}()
	app := cdktf.NewApp(&cdktf.AppConfig{Outdir: jsii.String(folder), StackTraces: jsii.Bool(false)})
	declare(app)
	app.Synth()
	return nil
}

// sentence is the first line of what a panic says; the lines after it are a stack trace of Node's.
func sentence(fault any) string {
	text := strings.TrimSpace(fmt.Sprint(fault))
	if err, ok := fault.(error); ok {
		text = strings.TrimSpace(err.Error())
	}
	line, _, _ := strings.Cut(text, "\n")
	if strings.Contains(line, "no response received from child process") {
		return "Node.js started but did not answer: check that `node` runs"
	}
	return line
}

// publish moves a synthesised tree into outdir. What else is there stays, such as Terraform's own
// files of an earlier init, but for the assets of the same stack, which the new ones replace. The
// manifest comes last: with it the new tree begins to count.
func publish(scratch, outdir string) error {
	stacks, err := os.ReadDir(filepath.Join(scratch, "stacks"))
	if err != nil {
		return err
	}
	for _, stack := range stacks {
		from, to := filepath.Join(scratch, "stacks", stack.Name()), filepath.Join(outdir, "stacks", stack.Name())
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(to, "assets")); err != nil {
			return err
		}
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := os.Rename(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Rename(filepath.Join(scratch, "manifest.json"), filepath.Join(outdir, "manifest.json"))
}

// prepareNode checks that jsii will find a Node.js that it can use, and silences its banner about
// versions: which Node is supported is decided here. It must come before anything else of jsii's.
func prepareNode() error {
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("node is not on PATH: install Node.js %d or later", oldestNode)
	}
	answer, err := exec.Command("node", "--version").Output()
	if err != nil {
		return fmt.Errorf("node does not run: %w", err)
	}
	version := strings.TrimSpace(string(answer))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if number, err := strconv.Atoi(major); err != nil || number < oldestNode {
		return fmt.Errorf("node is version %s: want %d or later", version, oldestNode)
	}
	const banner = "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"
	if os.Getenv(banner) == major {
		return nil
	}
	for _, variable := range []string{
		banner, "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "JSII_SILENCE_WARNING_DEPRECATED_NODE_VERSION",
	} {
		if err := os.Setenv(variable, major); err != nil {
			return err
		}
	}
	// jsii took down the environment when its packages were initialised, for a process that it has
	// not started yet: this makes it take it down anew.
	jsii.Close()
	return nil
}

// closeJSII ends the Node process and removes what jsii unpacked, which it does when the program is
// loaded already. It is for the very end: the Close races with a wait of its own, and the loser's
// complaint about it goes to standard error, so that is shut first.
func closeJSII() {
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
	defer func() { _ = recover() }()
	jsii.Close()
}
