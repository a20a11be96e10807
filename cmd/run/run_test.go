package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// fakeAWS answers the calls for a task of the service web, and keeps them.
type fakeAWS struct {
	services []types.Service
	failures []types.Failure
	stopped  types.Task // in the end
	runs     int        // looks at the task until it has stopped; never: less than 0
	seen     func()     // is called at each look

	looks   int
	started *ecs.RunTaskInput
	ended   *ecs.StopTaskInput
}

var network = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
	Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"},
}}

func newFake(stopped types.Task) *fakeAWS {
	return &fakeAWS{
		services: []types.Service{{
			Status: aws.String("ACTIVE"), TaskDefinition: aws.String("arn:aws:ecs:r:1:task-definition/shop-dev-web:7"),
			NetworkConfiguration: network, PlatformVersion: aws.String("1.4.0"), EnableExecuteCommand: true,
		}},
		stopped: stopped, runs: 3, seen: func() {},
	}
}

func (f *fakeAWS) DescribeServices(
	_ context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	if *in.Cluster != "shop-dev" || !slices.Equal(in.Services, []string{"web"}) {
		return nil, fmt.Errorf("services %v of %s", in.Services, *in.Cluster)
	}
	return &ecs.DescribeServicesOutput{Services: f.services}, nil
}

func (f *fakeAWS) DescribeTaskDefinition(
	_ context.Context, in *ecs.DescribeTaskDefinitionInput, _ ...func(*ecs.Options),
) (*ecs.DescribeTaskDefinitionOutput, error) {
	if *in.TaskDefinition != *f.services[0].TaskDefinition {
		return nil, errors.New("another task definition")
	}
	logTo := func(prefix string) *types.LogConfiguration {
		return &types.LogConfiguration{Options: map[string]string{
			"awslogs-group": "/shop-dev/service/web", "awslogs-stream-prefix": prefix,
		}}
	}
	return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &types.TaskDefinition{
		ContainerDefinitions: []types.ContainerDefinition{
			{Name: aws.String("rds_certificates"), LogConfiguration: logTo("rds_certificates")},
			{Name: aws.String("web"), LogConfiguration: logTo("web")},
		},
	}}, nil
}

func (f *fakeAWS) RunTask(
	_ context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options),
) (*ecs.RunTaskOutput, error) {
	f.started = in
	if len(f.failures) > 0 {
		return &ecs.RunTaskOutput{Failures: f.failures}, nil
	}
	return &ecs.RunTaskOutput{Tasks: []types.Task{{TaskArn: aws.String("arn:aws:ecs:r:1:task/shop-dev/4711")}}}, nil
}

func (f *fakeAWS) DescribeTasks(
	ctx context.Context, _ *ecs.DescribeTasksInput, _ ...func(*ecs.Options),
) (*ecs.DescribeTasksOutput, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.looks++
	f.seen()
	if f.ended == nil && (f.runs < 0 || f.looks < f.runs) {
		return &ecs.DescribeTasksOutput{Tasks: []types.Task{{LastStatus: aws.String("RUNNING")}}}, nil
	}
	f.stopped.LastStatus = aws.String("STOPPED")
	return &ecs.DescribeTasksOutput{Tasks: []types.Task{f.stopped}}, nil
}

func (f *fakeAWS) StopTask(
	_ context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options),
) (*ecs.StopTaskOutput, error) {
	f.ended = in
	return &ecs.StopTaskOutput{}, nil
}

// GetLogEvents has two lines for each look, one in each answer, and no stream before the second
// look.
func (f *fakeAWS) GetLogEvents(
	_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.GetLogEventsOutput, error) {
	if *in.LogGroupName != "/shop-dev/service/web" || *in.LogStreamName != "web/web/4711" {
		return nil, fmt.Errorf("stream %s", *in.LogStreamName)
	}
	if f.looks < 2 {
		return nil, &logtypes.ResourceNotFoundException{}
	}
	printed, _ := strconv.Atoi(aws.ToString(in.NextToken)) // 0 without a token
	if printed == 2*f.looks {
		return &cloudwatchlogs.GetLogEventsOutput{NextForwardToken: aws.String(fmt.Sprint(printed))}, nil
	}
	printed++
	return &cloudwatchlogs.GetLogEventsOutput{
		NextForwardToken: aws.String(fmt.Sprint(printed)),
		Events:           []logtypes.OutputLogEvent{{Message: aws.String(fmt.Sprintf("line %d", printed))}},
	}, nil
}

func ended(name string, code int32, reason string) types.Container {
	c := types.Container{Name: &name, ExitCode: &code}
	if reason != "" {
		c.Reason = &reason
	}
	return c
}

func runWith(ctx context.Context, f *fakeAWS, command ...string) (code int, out, status string, err error) {
	var printed, said bytes.Buffer
	r := &runner{stack: "shop-dev", out: &printed, status: &said, pause: 1, ecs: f, logs: f}
	code, err = r.run(ctx, options{service: "web", command: command})
	return code, printed.String(), said.String(), err
}

func TestTaskOfAServiceIsRun(t *testing.T) {
	t.Parallel()
	f := newFake(types.Task{Containers: []types.Container{ended("rds_certificates", 0, ""), ended("web", 3, "")}})
	code, out, status, err := runWith(t.Context(), f, "bin/migrate", "--all now")
	if code != 3 || err != nil {
		t.Errorf("ends with %d, %v, want 3", code, err)
	}
	if want := "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n"; out != want {
		t.Errorf("prints\n%swant\n%s", out, want)
	}
	if !strings.Contains(status, "task/shop-dev/4711") || !strings.Contains(status, "shop-dev-web:7") {
		t.Errorf("says %s", status)
	}
	in := f.started
	if *in.Cluster != "shop-dev" || in.NetworkConfiguration != network || in.LaunchType != types.LaunchTypeFargate ||
		*in.TaskDefinition != *f.services[0].TaskDefinition || !in.EnableExecuteCommand ||
		*in.PlatformVersion != "1.4.0" {
		t.Errorf("starts %+v", in)
	}
	override := in.Overrides.ContainerOverrides
	if len(override) != 1 || *override[0].Name != "web" ||
		!slices.Equal(override[0].Command, []string{"bin/migrate", "--all now"}) {
		t.Errorf("overrides %+v", override)
	}
	if f.ended != nil {
		t.Error("stops the task")
	}
}

func TestCommandOfTheServiceIsTheDefault(t *testing.T) {
	t.Parallel()
	f := newFake(types.Task{Containers: []types.Container{ended("web", 0, "")}})
	if code, _, _, err := runWith(t.Context(), f); code != 0 || err != nil || f.started.Overrides != nil {
		t.Errorf("ends with %d, %v, overrides %+v", code, err, f.started.Overrides)
	}
}

func TestTasksThatDoNotRunAreExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*fakeAWS)
		code   int
		want   string
	}{
		"no service": {
			func(f *fakeAWS) { f.services = nil }, failed, "service web: want a deployed service of shop-dev",
		},
		"a deleted service": {
			func(f *fakeAWS) { f.services[0].Status = aws.String("INACTIVE") }, failed, "deploy first",
		},
		"no capacity": {
			func(f *fakeAWS) {
				f.failures = []types.Failure{{Reason: aws.String("Capacity is unavailable at this time")}}
			}, failed, "starting a task of web: Capacity is unavailable",
		},
		"an image that cannot be pulled": {
			func(f *fakeAWS) {
				f.stopped = types.Task{
					StoppedReason: aws.String("CannotPullContainerError: not found"),
					Containers:    []types.Container{{Name: aws.String("web"), Reason: aws.String("see above")}},
				}
			}, failed, "the task did not run: CannotPullContainerError: not found\n  web: see above",
		},
		"too little memory": {
			func(f *fakeAWS) {
				f.stopped.Containers = []types.Container{ended("web", 137, "OutOfMemoryError: killed")}
			}, 137, "the container ended with 137: OutOfMemoryError",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(types.Task{})
			c.change(f)
			code, _, _, err := runWith(t.Context(), f, "x")
			if code != c.code || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ends with %d, %v, want %d, %s", code, err, c.code, c.want)
			}
		})
	}
}

func TestInterruptionStopsTheTask(t *testing.T) {
	t.Parallel()
	f := newFake(types.Task{Containers: []types.Container{ended("web", 143, "")}})
	ctx, cancel := context.WithCancel(t.Context())
	f.runs, f.seen = -1, func() {
		if f.looks == 2 {
			cancel()
		}
	}
	code, out, _, err := runWith(ctx, f, "x")
	if code != interrupted || err == nil || err.Error() != "the task is stopped" {
		t.Errorf("ends with %d, %v", code, err)
	}
	if f.ended == nil || *f.ended.Task != "arn:aws:ecs:r:1:task/shop-dev/4711" || *f.ended.Cluster != "shop-dev" {
		t.Errorf("stops %+v", f.ended)
	}
	if !strings.HasSuffix(out, "line 6\n") {
		t.Errorf("does not print the last lines: %s", out)
	}
}

func TestCommandIsSplit(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][]string{
		"":                               nil,
		"  ":                             nil,
		"bin/rails  db:migrate ":         {"bin/rails", "db:migrate"},
		`sh -c 'echo "$HOME" | wc'`:      {"sh", "-c", `echo "$HOME" | wc`},
		`a "b c" d\ e 'f\g' "h\"i\j"`:    {"a", "b c", "d e", `f\g`, `h"i\j`},
		`a '' ""`:                        {"a", "", ""},
		`--x="1 2"'3'`:                   {"--x=1 23"},
		`psql -c "SELECT 1; SELECT 'ü'"`: {"psql", "-c", "SELECT 1; SELECT 'ü'"},
	} {
		if have, err := split(command); err != nil || !slices.Equal(have, want) {
			t.Errorf("%s is split into %q, %v, want %q", command, have, err, want)
		}
	}
	for command, want := range map[string]string{
		"a | b": `'|' is for a shell`, "a $B": `'$' is for a shell`, `a "$B"`: `'$' is for a shell`, "a; b": "shell",
		"a 'b": "want a second '", `a "b`: `want a second "`, `a\`: "want a character after the last backslash",
	} {
		if have, err := split(command); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is split into %q, %v, want an error with %s", command, have, err, want)
		}
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                  "usage: run FOLDER",
		"cdktf.out":                         "--service: want the name of a service",
		"cdktf.out --service web x":         "usage: run FOLDER",
		"cdktf.out --service web --x":       "usage: run FOLDER",
		"cdktf.out --service w --command |": "--command: '|' is for a shell",
	} {
		if _, _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
	folder, o, err := parse([]string{"out", "--service", "web", "--command", "a b"})
	if folder != "out" || o.service != "web" || !slices.Equal(o.command, []string{"a", "b"}) || err != nil {
		t.Errorf("have %s, %+v, %v", folder, o, err)
	}
	if code, err := run(t.Context(), []string{t.TempDir(), "--service", "web"}); code != failed || err == nil ||
		!strings.Contains(err.Error(), "run make synth first") {
		t.Errorf("ends with %d, %v", code, err)
	}
}
