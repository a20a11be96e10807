//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logstypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// everySetting has services that use each setting of a container, and call each other.
const everySetting = `
services:
  web:
    image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6"
    port: 80
    tasks: 1
    single: true
    user: image
    entrypoint: [/docker-entrypoint.sh]
    command: [nginx]
    writable: [/run, {path: /data, on: disk}]
    disk: 21
    open_files: 65536
    allow_execution: true
    egress: [{port: 587, to: [203.0.113.0/24]}]
    calls: [export-worker]
    route: {paths: ["/*"], sticky: 60}
    health_check:
      healthy_threshold: 3
      unhealthy_threshold: 4
      command: [/healthy]
      command_interval: 7
      command_timeout: 3
      command_retries: 4
  export-worker:
    image: quay.io/x/y:1
    user: "0"
    writable: [/]
    calls: [web]
`

// AWS's provider and the emulator accept what the settings of a service make, and a second plan finds
// nothing to change. Only the two services and what they need are deployed, without the database.
func TestSettingsOfServicesAreDeployedOnce(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "dev")
	s.synthesise(t, patched(s.shipped(t), document(t, everySetting)))
	targets := []string{
		"-target=aws_ecs_service.service_web_service", "-target=aws_ecs_service.service_export__worker_service",
	}
	for _, command := range [][]string{
		{"init", "-no-color"},
		slices.Concat([]string{"apply", "-auto-approve", "-no-color"}, targets),
		slices.Concat([]string{"plan", "-detailed-exitcode", "-no-color"}, targets), // fails if it finds a change
	} {
		if out, err := s.terraform(t, command...); err != nil {
			t.Fatalf("terraform %s: %v\n%s", command[0], err, tail(out, 60))
		}
	}
	s.taskOfAServiceIsRun(t)
	s.interruptedTaskIsStopped(t)
}

// startRun starts make run's program for the service web, and returns it with the task that it
// started.
func (s *sandbox) startRun(t *testing.T, command string) (cmd *exec.Cmd, text func() string, task ecstypes.Task) {
	t.Helper()
	cmd, text = s.command(t, runner, "cdktf.out", "--service", "web", "--command", command)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the task to start", func() bool { return strings.Contains(text(), "started ") })
	c, cluster := s.clients("eu-central-1"), filepath.Base(s.stack)
	arn := strings.Fields(text())[1]
	answer := must(c.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{
		Cluster: &cluster, Tasks: []string{arn},
	}))(t)
	if len(answer.Tasks) != 1 {
		t.Fatalf("task %s: have %d", arn, len(answer.Tasks))
	}
	return cmd, text, answer.Tasks[0]
}

// taskOfAServiceIsRun runs a command as make run does: in the subnets, with the security group and the
// task definition of the service. The emulator runs no container, so the test writes its log and ends
// the task.
func (s *sandbox) taskOfAServiceIsRun(t *testing.T) {
	t.Helper()
	cmd, text, task := s.startRun(t, "bin/migrate 'a b'")
	c, cluster := s.clients("eu-central-1"), filepath.Base(s.stack)
	service := must(c.ecs.DescribeServices(t.Context(), &ecs.DescribeServicesInput{
		Cluster: &cluster, Services: []string{"web"},
	}))(t).Services[0]
	if *task.TaskDefinitionArn != *service.TaskDefinition {
		t.Errorf("the task has %s, want that of the service, %s", *task.TaskDefinitionArn, *service.TaskDefinition)
	}
	if o := task.Overrides.ContainerOverrides; len(o) != 1 || *o[0].Name != "web" ||
		!slices.Equal(o[0].Command, []string{"bin/migrate", "a b"}) {
		t.Errorf("the task overrides %+v", o)
	}
	stream := "web/web/" + filepath.Base(*task.TaskArn)
	group := "/" + cluster + "/service/web"
	_, err := c.logs.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: &group, LogStreamName: &stream,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.logs.PutLogEvents(t.Context(), &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: &group, LogStreamName: &stream, LogEvents: []logstypes.InputLogEvent{{
			Message: aws.String("migrated 3 tables"), Timestamp: aws.Int64(time.Now().UnixMilli()),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the log", func() bool { return strings.Contains(text(), "migrated 3 tables") })
	// As ECS's agent reports that the container has ended.
	must(c.ecs.SubmitTaskStateChange(t.Context(), &ecs.SubmitTaskStateChangeInput{
		Cluster: &cluster, Task: task.TaskArn, Status: aws.String("STOPPED"),
		Containers: []ecstypes.ContainerStateChange{{ContainerName: aws.String("web"), ExitCode: aws.Int32(3)}},
	}))(t)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.HasSuffix(text(), "\nmigrated 3 tables\n") {
		t.Errorf("run: want the container's exit code 3, have %d\n%s", code, text())
	}
}

// interruptedTaskIsStopped interrupts make run, and expects that the task is stopped.
func (s *sandbox) interruptedTaskIsStopped(t *testing.T) {
	t.Helper()
	cmd, text, task := s.startRun(t, "sleep 3600")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != 130 || !strings.Contains(text(), "the task is stopped") {
		t.Errorf("an interrupted run ends with %v:\n%s", err, text())
	}
	c, cluster := s.clients("eu-central-1"), filepath.Base(s.stack)
	after := must(c.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{
		Cluster: &cluster, Tasks: []string{*task.TaskArn},
	}))(t)
	if *after.Tasks[0].LastStatus != "STOPPED" {
		t.Errorf("the task is %s after an interruption", *after.Tasks[0].LastStatus)
	}
}
