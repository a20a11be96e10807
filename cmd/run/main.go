// Run starts a task of a service beside those that run, prints its log, and ends with the exit code of
// the service's container:
//
//	run FOLDER --service NAME [--command COMMAND]
//
// FOLDER is the output of the program, cdktf.out. The command replaces that of the service. It is
// split into arguments as a shell does, but no shell runs it. Ctrl-C stops the task.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"platform/internal/teardown"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// Exit codes besides those of the container.
const (
	failed      = 1
	interrupted = 130 // what a shell reports after Ctrl-C
)

func run(ctx context.Context, args []string) (code int, err error) {
	folder, o, err := parse(args)
	if err != nil {
		return failed, err
	}
	name, stack, err := teardown.Read(folder)
	if err != nil {
		return failed, err
	}
	var settings []func(*config.LoadOptions) error
	if region := stack.Region(); region != "" {
		settings = append(settings, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, settings...)
	if err != nil {
		return failed, fmt.Errorf("AWS configuration: %w", err)
	}
	r := &runner{
		stack: name, out: os.Stdout, status: os.Stderr, pause: 3 * time.Second,
		ecs: ecs.NewFromConfig(cfg), logs: cloudwatchlogs.NewFromConfig(cfg),
	}
	return r.run(ctx, o)
}

// options say what is run.
type options struct {
	service string
	command []string // nil for the service's own
}

// parse reads the arguments.
func parse(args []string) (folder string, o options, err error) {
	const usage = "usage: run FOLDER --service NAME [--command COMMAND]"
	if len(args) == 0 {
		return "", o, errors.New(usage)
	}
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.StringVar(&o.service, "service", "", "the service of which a task is started")
	command := flags.String("command", "", "the command, instead of that of the service")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return "", o, errors.Join(err, errors.New(usage))
	}
	if o.service == "" {
		return "", o, errors.New("--service: want the name of a service: make run SERVICE=web COMMAND='bin/migrate'")
	}
	if o.command, err = split(*command); err != nil {
		return "", o, fmt.Errorf("--command: %w", err)
	}
	return args[0], o, nil
}
