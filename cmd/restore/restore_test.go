package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// fakeAWS answers the calls of a restore, and keeps them.
type fakeAWS struct {
	functionError *string
	failures      []types.Failure
	groups        int
	stopped       types.Task // in the end
	looks         int        // at the running task

	calls   []string
	started *ecs.RunTaskInput
}

func (f *fakeAWS) Invoke(
	_ context.Context, in *lambda.InvokeInput, _ ...func(*lambda.Options),
) (*lambda.InvokeOutput, error) {
	f.calls = append(f.calls, *in.FunctionName+" "+string(in.Payload))
	payload := `{"changed":["database restored"],"problems":["extension pg_cron was not created: exists"]}`
	if f.functionError != nil {
		payload = `{"errorMessage":"exists"}`
	}
	return &lambda.InvokeOutput{FunctionError: f.functionError, Payload: []byte(payload)}, nil
}

func (f *fakeAWS) RunTask(
	_ context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options),
) (*ecs.RunTaskOutput, error) {
	f.calls, f.started = append(f.calls, "RunTask"), in
	if len(f.failures) > 0 {
		return &ecs.RunTaskOutput{Failures: f.failures}, nil
	}
	return &ecs.RunTaskOutput{Tasks: []types.Task{{TaskArn: aws.String("arn:aws:ecs:r:1:task/shop-dev/4711")}}}, nil
}

func (f *fakeAWS) DescribeTasks(
	context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options),
) (*ecs.DescribeTasksOutput, error) {
	f.looks++
	if f.looks < 3 {
		return &ecs.DescribeTasksOutput{Tasks: []types.Task{{LastStatus: aws.String("RUNNING")}}}, nil
	}
	f.stopped.LastStatus = aws.String("STOPPED")
	return &ecs.DescribeTasksOutput{Tasks: []types.Task{f.stopped}}, nil
}

// GetLogEvents has a line of the container download for each look, and no stream of another.
func (f *fakeAWS) GetLogEvents(
	_ context.Context, in *cloudwatchlogs.GetLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.GetLogEventsOutput, error) {
	if *in.LogGroupName != "/shop-dev/database-restore" || *in.LogStreamName != "download/download/4711" {
		return nil, &logtypes.ResourceNotFoundException{}
	}
	token := fmt.Sprint(f.looks)
	if aws.ToString(in.NextToken) == token {
		return &cloudwatchlogs.GetLogEventsOutput{NextForwardToken: &token}, nil
	}
	return &cloudwatchlogs.GetLogEventsOutput{
		NextForwardToken: &token, Events: []logtypes.OutputLogEvent{{Message: aws.String("line " + token)}},
	}, nil
}

func (f *fakeAWS) GetSchedule(
	_ context.Context, in *scheduler.GetScheduleInput, _ ...func(*scheduler.Options),
) (*scheduler.GetScheduleOutput, error) {
	if *in.Name != "shop-dev-database-dump" || *in.GroupName != *in.Name {
		return nil, errors.New("no such schedule")
	}
	return &scheduler.GetScheduleOutput{Target: &schedulertypes.Target{EcsParameters: &schedulertypes.EcsParameters{
		NetworkConfiguration: &schedulertypes.NetworkConfiguration{
			AwsvpcConfiguration: &schedulertypes.AwsVpcConfiguration{Subnets: []string{"subnet-1"}},
		},
	}}}, nil
}

func (f *fakeAWS) DescribeSecurityGroups(
	context.Context, *ec2.DescribeSecurityGroupsInput, ...func(*ec2.Options),
) (*ec2.DescribeSecurityGroupsOutput, error) {
	out := &ec2.DescribeSecurityGroupsOutput{}
	for range f.groups {
		out.SecurityGroups = append(out.SecurityGroups, ec2types.SecurityGroup{GroupId: aws.String("sg-1")})
	}
	return out, nil
}

// ended is a task whose containers ended with these codes; -1: it did not run.
func ended(reason string, codes ...int32) types.Task {
	task := types.Task{StoppedReason: &reason}
	for i, code := range codes {
		c := types.Container{Name: aws.String([]string{"download", "restore"}[i])}
		if code >= 0 {
			c.ExitCode = &code
		}
		task.Containers = append(task.Containers, c)
	}
	return task
}

func TestRestoreReturnsTheResultOfTheTask(t *testing.T) {
	for name, c := range map[string]struct {
		aws   fakeAWS
		want  string // of the error
		calls int
	}{
		"a success": {fakeAWS{groups: 1, stopped: ended("", 0, 0)}, "", 2},
		"pg_restore fails": {
			fakeAWS{groups: 1, stopped: ended("Essential", 0, 1)}, "container restore ended with 1", 2,
		},
		"the download fails": {fakeAWS{groups: 1, stopped: ended("", 1, -1)}, "container download ended with 1", 2},
		"the image does not exist": {
			fakeAWS{groups: 1, stopped: ended("CannotPull", 0, -1)}, "did not run: CannotPull", 2,
		},
		"no container ran": {fakeAWS{groups: 1, stopped: ended("no")}, "did not run: no", 2},
		"the function fails": {
			fakeAWS{groups: 1, functionError: aws.String("Unhandled")}, `{"errorMessage":"exists"}`, 1,
		},
		"no capacity": {fakeAWS{groups: 1, failures: []types.Failure{{Reason: aws.String("RESOURCE:FARGATE")}}},
			"RESOURCE:FARGATE", 2},
		"dumps are not deployed": {fakeAWS{}, "is backup.dump.enabled deployed?", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.aws
			var out bytes.Buffer
			r := &restore{stack: "shop-dev", out: &out, lambda: &f, ecs: &f, ec2: &f, logs: &f, scheduler: &f}
			err := r.run(t.Context(), options{
				database: "restored", dump: "dumps/2026/11/23/053000.dump", table: "public.orders",
			})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
			if len(f.calls) != c.calls {
				t.Errorf("want %d calls, have %q", c.calls, f.calls)
			}
			if c.want != "" {
				return
			}
			if f.calls[0] != `shop-dev-database {"action":"database","database":"restored"}` {
				t.Errorf("called %q", f.calls)
			}
			if !strings.Contains(out.String(), "restored: extension pg_cron was not created: exists\n") {
				t.Errorf("does not say what is missing: %s", out.String())
			}
			if got := strings.Count(out.String(), "download: line "); got != 3 {
				t.Errorf("want three lines of the log, have %s", out.String())
			}
			overrides := f.overrides()
			const want = "download KEY=dumps/2026/11/23/053000.dump; restore DATABASE=restored; " +
				"restore TABLE=public.orders; "
			if overrides != want {
				t.Errorf("overrides %s, want %s", overrides, want)
			}
			network := f.started.NetworkConfiguration.AwsvpcConfiguration
			if !slices.Equal(network.Subnets, []string{"subnet-1"}) ||
				!slices.Equal(network.SecurityGroups, []string{"sg-1"}) {
				t.Errorf("network %+v", network)
			}
		})
	}
}

// overrides are the variables of the task that was started.
func (f *fakeAWS) overrides() (all string) {
	for _, o := range f.started.Overrides.ContainerOverrides {
		for _, v := range o.Environment {
			all += *o.Name + " " + *v.Name + "=" + *v.Value + "; "
		}
	}
	return all
}

// The database of the dump decides who can use the new database, and where the newest dump is.
func TestRestoreIsOfTheDatabaseThatWasDumped(t *testing.T) {
	const (
		key        = "dumps/2026/11/23/053000.dump"
		ofMetabase = "dumps/metabase/2026/11/23/053000.dump"
		ofOther    = "dumps/o/2026/11/23/053000.dump"
	)
	for arguments, want := range map[string]struct{ like, download, err string }{
		"":                                {"", "KEY=", ""},
		"--from app":                      {"", "KEY=", ""},
		"--dump " + key:                   {"", "KEY=" + key, ""},
		"--from app --dump " + key:        {"", "KEY=" + key, ""},
		"--from metabase":                 {"metabase", "KEY=; download FROM=metabase", ""},
		"--dump " + ofMetabase:            {"metabase", "KEY=" + ofMetabase + "; download FROM=metabase", ""},
		"--from metabase --like metabase": {"metabase", "KEY=; download FROM=metabase", ""},
		"--from app --like app":           {"", "KEY=", ""},
		"--from o --like b_":              {"b_", "KEY=; download FROM=o", ""},
		"--like app --dump " + ofOther:    {"", "KEY=" + ofOther + "; download FROM=o", ""},
		"--from other":                    {"", "", `use the databases app, b_, metabase, have "other": if one was`},
		"--dump " + ofOther:               {"", "", `use the databases app, b_, metabase, have "o": if one was`},
		"--from metabase --like b_":       {"", "", `want none, or metabase, the database of the dump, have "b_"`},
		"--from metabase --like app":      {"", "", `--like: want none, or metabase, the database of the dump`},
		"--like metabase":                 {"", "", `--like: want none, or app, the database of the dump`},
		"--from o --like other": {
			"", "", `--like: want a database that services of this stack use (app, b_, metabase), have "other"`,
		},
		"--from metabase --dump " + key: {
			"", "", "--from: want app, the database of the dump " + key + `, have "metabase"`,
		},
		"--from app --dump " + ofMetabase: {
			"", "", "--from: want metabase, the database of the dump " + ofMetabase + `, have "app"`,
		},
	} {
		_, o, err := parse(strings.Fields("out --database restored " + arguments))
		if err == nil {
			o, err = o.of("app", []string{"b_", "metabase"})
		}
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%s: want %q, have %v", arguments, want.err, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", arguments, err)
			continue
		}
		f := &fakeAWS{groups: 1, stopped: ended("", 0, 0)}
		r := &restore{stack: "shop-dev", out: io.Discard, lambda: f, ecs: f, ec2: f, logs: f, scheduler: f}
		if err := r.run(t.Context(), o); err != nil {
			t.Errorf("%s: %v", arguments, err)
			continue
		}
		event := `shop-dev-database {"action":"database","database":"restored"`
		if want.like != "" {
			event += `,"like":"` + want.like + `"`
		}
		if f.calls[0] != event+"}" {
			t.Errorf("%s: want the call %s}, have %s", arguments, event, f.calls[0])
		}
		task := "download " + want.download + "; restore DATABASE=restored; restore TABLE=; "
		if o.like != o.from {
			role := map[string]string{"": "platform_owner", "b_": "platform_owner_b_"}[o.like]
			task += "restore OWNER=" + role + "; "
		}
		if have := f.overrides(); have != task {
			t.Errorf("%s: want %s, have %s", arguments, task, have)
		}
	}
}

func TestArgumentsAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"":                           "usage: restore FOLDER",
		"out":                        "--database: want a new name",
		"out --database Restored":    "--database: want a new name",
		"out --database a --dump x":  "--dump: want a key such as",
		"out --database a more":      "usage: restore FOLDER",
		"out --database a --table t": "",
		"out --database a --dump dumps/2026/11/23/053000.dump":        "",
		"out --database a --dump dumps/2026/11/23/053000.failed.dump": "",
		"out --database a --dump dumps/b_2/2026/11/23/053000.dump":    "",
		"out --database a --from 'x'":                                 "--from: want the name of a database",
		"out --database a --dump dumps/b/c/2026/11/23/053000.dump":    "--dump: want a key such as",
		"out --database a --dump dumps/2/2026/11/23/053000.dump":      "--dump: want a key such as",
	} {
		_, _, err := parse(strings.Fields(args))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, have %v", args, want, err)
		}
	}
}

func TestRestoreNeedsADatabase(t *testing.T) {
	const guard, function = "aws_db_instance.database", "aws_lambda_function.database_function"
	if err := check("shop-dev", []string{guard, function}); err != nil {
		t.Errorf("a stack with a database: %v", err)
	}
	err := check("shop-dev", []string{guard, "aws_vpc.vpc"})
	if err == nil || !strings.Contains(err.Error(), "shop-dev: want database.enabled: true") {
		t.Errorf("a stack without a database: %v", err)
	}
}
