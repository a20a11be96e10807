package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
)

// restore restores a dump: the database function creates a database, and a task fills it.
type restore struct {
	stack string
	out   io.Writer
	pause time.Duration // between two looks at the task

	lambda    lambdaAPI
	ecs       ecsAPI
	ec2       ec2.DescribeSecurityGroupsAPIClient
	logs      logsAPI
	scheduler schedulerAPI

	shown map[string]*string // of each log stream, the token of what comes next
}

type lambdaAPI interface {
	Invoke(context.Context, *lambda.InvokeInput, ...func(*lambda.Options)) (*lambda.InvokeOutput, error)
}

type ecsAPI interface {
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

type logsAPI interface {
	GetLogEvents(
		context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options),
	) (*cloudwatchlogs.GetLogEventsOutput, error)
}

type schedulerAPI interface {
	GetSchedule(
		context.Context, *scheduler.GetScheduleInput, ...func(*scheduler.Options),
	) (*scheduler.GetScheduleOutput, error)
}

// containers are those of the task, in the order in which they run.
var containers = []string{"download", "rds_certificates", "restore"}

func (r *restore) run(ctx context.Context, o options) error {
	network, err := r.network(ctx)
	if err != nil {
		return err
	}
	if err := r.createDatabase(ctx, o); err != nil {
		return err
	}
	task, err := r.start(ctx, o, network)
	if err != nil {
		return err
	}
	err = r.follow(ctx, task)
	if errors.As(err, new(failure)) {
		return fmt.Errorf("the restore failed, and the database %s is incomplete: drop it, or choose another name (%w)",
			o.database, err)
	}
	if err != nil {
		return fmt.Errorf("the restore into %s may still be running, see the task %s and the log group /%s/%s: %w",
			o.database, task, r.stack, "database-restore", err)
	}
	fmt.Fprintf(r.out, "restored into the database %s; see \"Restore from a dump\" in docs/restore.md\n", o.database)
	return nil
}

// network returns where the task runs: in the subnets of the dumps, with a security group of its own.
func (r *restore) network(ctx context.Context) (*types.NetworkConfiguration, error) {
	name := r.stack + "-database-dump"
	schedule, err := r.scheduler.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &name, GroupName: &name})
	if err != nil {
		return nil, fmt.Errorf("the schedule of the dumps of %s: %w", r.stack, err)
	}
	group := r.stack + "-database_restore" // in the tag: older stacks have the group under another name
	found, err := r.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{group}}},
	})
	if err != nil {
		return nil, fmt.Errorf("security group %s: %w", group, err)
	}
	if len(found.SecurityGroups) != 1 || schedule.Target == nil || schedule.Target.EcsParameters == nil ||
		schedule.Target.EcsParameters.NetworkConfiguration == nil {
		return nil, fmt.Errorf("security group %s: want one, have %d: is backup.dump.enabled deployed?",
			group, len(found.SecurityGroups))
	}
	subnets := schedule.Target.EcsParameters.NetworkConfiguration.AwsvpcConfiguration.Subnets
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: subnets, SecurityGroups: []string{*found.SecurityGroups[0].GroupId},
	}}, nil
}

// createDatabase calls the database function, which gives the services of a database access to the new
// one.
func (r *restore) createDatabase(ctx context.Context, o options) error {
	event := struct {
		Action   string `json:"action"`
		Database string `json:"database"`
		Like     string `json:"like,omitempty"`
	}{"database", o.database, o.like}
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	function := r.stack + "-database"
	answer, err := r.lambda.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: payload})
	if err != nil {
		return fmt.Errorf("function %s: %w", function, err)
	}
	if answer.FunctionError != nil {
		return fmt.Errorf("function %s: %s", function, answer.Payload)
	}
	fmt.Fprintf(r.out, "created the database %s\n", o.database)
	var created struct{ Problems []string } // as in functions/database
	if err := json.Unmarshal(answer.Payload, &created); err != nil {
		return fmt.Errorf("function %s: %w: %s", function, err, answer.Payload)
	}
	for _, problem := range created.Problems {
		fmt.Fprintf(r.out, "%s: %s\n", o.database, problem)
	}
	return nil
}

// owner returns the role that owns the objects of a database; "" is the main one.
func owner(database string) string {
	if database == "" {
		return "platform_owner"
	}
	return "platform_owner_" + database
}

// start starts the task and returns its ARN.
func (r *restore) start(ctx context.Context, o options, network *types.NetworkConfiguration) (string, error) {
	variable := func(name, value string) types.KeyValuePair { return types.KeyValuePair{Name: &name, Value: &value} }
	chosen := []types.KeyValuePair{variable("KEY", o.dump)}
	if o.from != "" {
		chosen = append(chosen, variable("FROM", o.from))
	}
	into := []types.KeyValuePair{variable("DATABASE", o.database), variable("TABLE", o.table)}
	if o.like != o.from {
		into = append(into, variable("OWNER", owner(o.like)))
	}
	answer, err := r.ecs.RunTask(ctx, &ecs.RunTaskInput{
		Cluster:              &r.stack,
		TaskDefinition:       aws.String(r.stack + "-database_restore"),
		LaunchType:           types.LaunchTypeFargate,
		NetworkConfiguration: network,
		PropagateTags:        types.PropagateTagsTaskDefinition,
		Overrides: &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
			Name: aws.String("download"), Environment: chosen,
		}, {
			Name: aws.String("restore"), Environment: into,
		}}},
	})
	if err != nil {
		return "", fmt.Errorf("starting the restore: %w", err)
	}
	// RunTask succeeds although it starts nothing.
	for _, failure := range answer.Failures {
		return "", fmt.Errorf("starting the restore: %s %s", aws.ToString(failure.Reason), aws.ToString(failure.Detail))
	}
	if len(answer.Tasks) == 0 {
		return "", errors.New("starting the restore: ECS started no task")
	}
	task := *answer.Tasks[0].TaskArn
	fmt.Fprintf(r.out, "started %s; it goes on if you interrupt this program\n", task)
	return task, nil
}

// follow prints the log of the task until the task has stopped. The error is that of the task.
func (r *restore) follow(ctx context.Context, task string) error {
	r.shown = map[string]*string{}
	for {
		answer, err := r.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: &r.stack, Tasks: []string{task}})
		if err != nil {
			return fmt.Errorf("task %s: %w", task, err)
		}
		if err := r.printLogs(ctx, task); err != nil {
			return err
		}
		if len(answer.Tasks) != 1 {
			return fmt.Errorf("task %s: ECS no longer knows it", task)
		}
		if aws.ToString(answer.Tasks[0].LastStatus) == "STOPPED" {
			return result(answer.Tasks[0])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(r.pause):
		}
	}
}

// failure is the error of a task that has stopped. Any other error says nothing about the task.
type failure struct{ error }

// result returns the failure of a task that has stopped, or nil.
func result(task types.Task) error {
	reason := aws.ToString(task.StoppedReason)
	for _, c := range task.Containers {
		if c.ExitCode != nil && *c.ExitCode != 0 {
			return failure{fmt.Errorf("container %s ended with %d: %s%s", aws.ToString(c.Name), *c.ExitCode,
				aws.ToString(c.Reason), reason)}
		}
	}
	last := slices.IndexFunc(task.Containers, func(c types.Container) bool { return aws.ToString(c.Name) == "restore" })
	if last < 0 || task.Containers[last].ExitCode == nil {
		return failure{fmt.Errorf("the container restore did not run: %s", reason)}
	}
	return nil
}

// printLogs prints what the containers have written since the last call.
func (r *restore) printLogs(ctx context.Context, task string) error {
	id := task[strings.LastIndexByte(task, '/')+1:]
	for _, container := range containers {
		stream := container + "/" + container + "/" + id
		for {
			answer, err := r.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
				LogGroupName:  aws.String("/" + r.stack + "/database-restore"),
				LogStreamName: &stream, StartFromHead: aws.Bool(true), NextToken: r.shown[stream],
			})
			if errors.As(err, new(*logtypes.ResourceNotFoundException)) { // the container has not started yet
				break
			}
			if err != nil {
				return fmt.Errorf("log %s: %w", stream, err)
			}
			for _, event := range answer.Events {
				fmt.Fprintf(r.out, "%s: %s\n", container, aws.ToString(event.Message))
			}
			before := aws.ToString(r.shown[stream])
			r.shown[stream] = answer.NextForwardToken
			if len(answer.Events) == 0 || aws.ToString(answer.NextForwardToken) == before {
				break
			}
		}
	}
	return nil
}
