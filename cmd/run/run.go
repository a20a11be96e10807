package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// runner runs one task of a service.
type runner struct {
	stack       string
	out, status io.Writer     // for the task's log, and for what the program does
	pause       time.Duration // between two looks at the task

	ecs  ecsAPI
	logs logsAPI
}

type ecsAPI interface {
	DescribeServices(
		context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options),
	) (*ecs.DescribeServicesOutput, error)
	DescribeTaskDefinition(
		context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options),
	) (*ecs.DescribeTaskDefinitionOutput, error)
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	StopTask(context.Context, *ecs.StopTaskInput, ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
}

type logsAPI interface {
	GetLogEvents(
		context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options),
	) (*cloudwatchlogs.GetLogEventsOutput, error)
}

// run returns the exit code of the service's container. If the task did not run to its end, there is
// an error.
func (r *runner) run(ctx context.Context, o options) (code int, err error) {
	service, err := r.service(ctx, o.service)
	if err != nil {
		return failed, err
	}
	l, err := r.log(ctx, service, o.service)
	if err != nil {
		return failed, err
	}
	task, err := r.start(ctx, service, o)
	if err != nil {
		return failed, err
	}
	l.stream += "/" + task[strings.LastIndexByte(task, '/')+1:]
	stopped, err := r.follow(ctx, task, l)
	if ctx.Err() != nil {
		return interrupted, r.stop(context.WithoutCancel(ctx), task, l)
	}
	if err != nil {
		return failed, fmt.Errorf("%w\nthe task may still be running: %s", err, task)
	}
	return result(stopped, o.service)
}

// service returns a service as it runs.
func (r *runner) service(ctx context.Context, name string) (types.Service, error) {
	answer, err := r.ecs.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: &r.stack, Services: []string{name},
	})
	if err != nil {
		return types.Service{}, fmt.Errorf("service %s of %s: %w", name, r.stack, err)
	}
	if len(answer.Services) != 1 || aws.ToString(answer.Services[0].Status) != "ACTIVE" {
		return types.Service{}, fmt.Errorf("service %s: want a deployed service of %s, have none of this name: "+
			"deploy first", name, r.stack)
	}
	return answer.Services[0], nil
}

// log is where the log of a task is.
type log struct {
	group, stream string
	next          *string // what comes after the events that are printed
}

// log returns the log of the container with the name of the service, without the task in its stream.
func (r *runner) log(ctx context.Context, service types.Service, name string) (*log, error) {
	answer, err := r.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: service.TaskDefinition,
	})
	if err != nil {
		return nil, fmt.Errorf("task definition of %s: %w", name, err)
	}
	for _, c := range answer.TaskDefinition.ContainerDefinitions {
		if aws.ToString(c.Name) == name && c.LogConfiguration != nil {
			options := c.LogConfiguration.Options
			return &log{group: options["awslogs-group"], stream: options["awslogs-stream-prefix"] + "/" + name}, nil
		}
	}
	return nil, fmt.Errorf("task definition of %s: has no container %s with a log", name, name)
}

// start starts the task and returns its ARN. It runs as the service's tasks do, but never on Spot,
// where AWS could stop it.
func (r *runner) start(ctx context.Context, service types.Service, o options) (string, error) {
	input := &ecs.RunTaskInput{
		Cluster:              &r.stack,
		TaskDefinition:       service.TaskDefinition,
		LaunchType:           types.LaunchTypeFargate,
		PlatformVersion:      service.PlatformVersion,
		NetworkConfiguration: service.NetworkConfiguration,
		EnableExecuteCommand: service.EnableExecuteCommand,
		PropagateTags:        types.PropagateTagsTaskDefinition,
		StartedBy:            aws.String("make-run"),
	}
	if o.command != nil {
		input.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: &o.service, Command: o.command,
		}}}
	}
	answer, err := r.ecs.RunTask(ctx, input)
	if err != nil {
		return "", fmt.Errorf("starting a task of %s: %w", o.service, err)
	}
	// RunTask succeeds although it starts nothing.
	for _, failure := range answer.Failures {
		return "", fmt.Errorf("starting a task of %s: %s %s",
			o.service, aws.ToString(failure.Reason), aws.ToString(failure.Detail))
	}
	if len(answer.Tasks) == 0 {
		return "", fmt.Errorf("starting a task of %s: ECS started none", o.service)
	}
	task := aws.ToString(answer.Tasks[0].TaskArn)
	fmt.Fprintf(r.status, "started %s of %s; Ctrl-C stops it\n", task, aws.ToString(service.TaskDefinition))
	return task, nil
}

// follow prints the log of a task until the task has stopped, and returns the task.
func (r *runner) follow(ctx context.Context, task string, l *log) (types.Task, error) {
	for {
		answer, err := r.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &r.stack, Tasks: []string{task}})
		if err != nil {
			return types.Task{}, err
		}
		if len(answer.Tasks) != 1 {
			return types.Task{}, errors.New("ECS no longer knows the task")
		}
		if err := r.print(ctx, l); err != nil {
			return types.Task{}, err
		}
		stopped := aws.ToString(answer.Tasks[0].LastStatus) == "STOPPED"
		select {
		case <-ctx.Done():
			return types.Task{}, ctx.Err()
		case <-time.After(r.pause):
		}
		if stopped { // the last lines can arrive after the end of the task
			return answer.Tasks[0], r.print(ctx, l)
		}
	}
}

// print prints what the container has written since the last call.
func (r *runner) print(ctx context.Context, l *log) error {
	for {
		answer, err := r.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &l.group, LogStreamName: &l.stream, StartFromHead: aws.Bool(true), NextToken: l.next,
		})
		if errors.As(err, new(*logtypes.ResourceNotFoundException)) { // the container has written nothing yet
			return nil
		}
		if err != nil {
			return fmt.Errorf("log %s %s: %w", l.group, l.stream, err)
		}
		for _, event := range answer.Events {
			fmt.Fprintln(r.out, aws.ToString(event.Message))
		}
		end := aws.ToString(answer.NextForwardToken) == aws.ToString(l.next)
		l.next = answer.NextForwardToken
		if end || len(answer.Events) == 0 {
			return nil
		}
	}
}

// stop stops a task, and waits until it has.
func (r *runner) stop(ctx context.Context, task string, l *log) error {
	fmt.Fprintln(r.status, "stopping the task; Ctrl-C again leaves it alone")
	_, err := r.ecs.StopTask(ctx, &ecs.StopTaskInput{
		Cluster: &r.stack, Task: &task, Reason: aws.String("interrupted by the person who started it"),
	})
	if err == nil {
		_, err = r.follow(ctx, task, l)
	}
	if err != nil {
		return fmt.Errorf("%w\nthe task may still be running: %s", err, task)
	}
	return errors.New("the task is stopped")
}

// result returns the exit code of the service's container, or why it has none.
func result(task types.Task, name string) (code int, err error) {
	i := slices.IndexFunc(task.Containers, func(c types.Container) bool { return aws.ToString(c.Name) == name })
	if i >= 0 && task.Containers[i].ExitCode != nil {
		code = int(*task.Containers[i].ExitCode)
		if reason := aws.ToString(task.Containers[i].Reason); reason != "" {
			err = fmt.Errorf("the container ended with %d: %s", code, reason) // such as that it ran out of memory
		}
		return code, err
	}
	reasons := []string{aws.ToString(task.StoppedReason)}
	for _, c := range task.Containers {
		if reason := aws.ToString(c.Reason); reason != "" {
			reasons = append(reasons, aws.ToString(c.Name)+": "+reason)
		}
	}
	return failed, fmt.Errorf("the task did not run: %s", strings.Join(reasons, "\n  "))
}
