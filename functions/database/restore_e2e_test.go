//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"platform/internal/emulator"
	"platform/internal/postgres"
)

// restoreCommand runs cmd/restore, as make restore does, against the emulator. What moto does not do is
// done here: it runs neither the database function nor tasks. A task that the command starts runs the
// commands of its containers, with the variables that the command sets.
type restoreCommand struct {
	*rehearsal
	program, folder string
	url             string
	key             string // access key of an operator

	mutex sync.Mutex
	task  *ecstypes.Task // that has stopped, or nil
}

const restoreStack = "platform-prod"

// restoreDeployed is done once for all tests, which share the emulator.
var restoreDeployed sync.Once

func newRestoreCommand(r *rehearsal) *restoreCommand {
	r.Helper()
	c := &restoreCommand{rehearsal: r, folder: filepath.Join(r.folder, "out")}
	c.program = filepath.Join(r.folder, "restore")
	build := exec.CommandContext(r.Context(), "go", "build", "-o", c.program, "./cmd/restore")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	r.must(os.MkdirAll(c.folder, 0o755))
	stack, err := synthesisedText()
	r.must(err)
	for name, text := range map[string]string{
		"manifest.json": `{"stacks": {"` + restoreStack + `": {"synthesizedStackPath": "cdk.tf.json"}}}`,
		"cdk.tf.json":   string(stack),
	} {
		r.must(os.WriteFile(filepath.Join(c.folder, name), []byte(text), 0o600))
	}
	server, err := shared.start()
	r.must(err)
	restoreDeployed.Do(func() { c.deploy(emulator.Config(server.URL, "eu-central-1")) })
	c.key, err = server.TaskKey(r.Context(), "arn:aws:ecs:eu-central-1:"+emulator.Account+":task/operator/1",
		roleARN(operatorRole))
	r.must(err)
	target, err := url.Parse(server.URL)
	r.must(err)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(request *httputil.ProxyRequest) { request.SetURL(target) },
		ModifyResponse: c.describe,
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		request.Body = io.NopCloser(bytes.NewReader(body))
		answered := httptest.NewRecorder()
		proxy.ServeHTTP(answered, request)
		// The emulator decides whether the caller may invoke the function, which it does not have.
		if strings.HasSuffix(request.URL.Path, "/functions/"+restoreStack+"-database/invocations") &&
			answered.Code != http.StatusForbidden {
			c.invoke(w, body)
			return
		}
		if strings.HasSuffix(request.Header.Get("X-Amz-Target"), ".RunTask") && answered.Code == http.StatusOK {
			c.start(body)
		}
		maps.Copy(w.Header(), answered.Header())
		w.WriteHeader(answered.Code)
		_, _ = w.Write(answered.Body.Bytes())
	}))
	r.Cleanup(web.Close)
	c.url = web.URL
	return c
}

// databases changes the database that services use besides the main one, as the command knows it.
func (c *restoreCommand) databases(name string) {
	c.Helper()
	text, err := synthesisedText()
	c.must(err)
	before, after := `"FURTHER_DATABASES": "{\"metabase\"`, `"FURTHER_DATABASES": "{\"`+name+`\"`
	if !strings.Contains(string(text), before) {
		c.Fatalf("the stack has no %s", before)
	}
	changed := strings.Replace(string(text), before, after, 1)
	c.must(os.WriteFile(filepath.Join(c.folder, "cdk.tf.json"), []byte(changed), 0o600))
}

// deploy creates what a deployment has created, as far as the command asks for it.
func (c *restoreCommand) deploy(config aws.Config) {
	c.Helper()
	ctx := c.Context()
	network := ec2.NewFromConfig(config)
	vpc, err := network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
	c.must(err)
	_, err = network.ModifyVpcAttribute(ctx, &ec2.ModifyVpcAttributeInput{
		VpcId: vpc.Vpc.VpcId, EnableDnsHostnames: &ec2types.AttributeBooleanValue{Value: aws.Bool(true)},
	})
	c.must(err)
	subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{
		VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String("10.0.0.0/24"),
	})
	c.must(err)
	group, err := network.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		VpcId: vpc.Vpc.VpcId, GroupName: aws.String("x"), Description: aws.String("x"),
		TagSpecifications: []ec2types.TagSpecification{{
			ResourceType: ec2types.ResourceTypeSecurityGroup,
			Tags: []ec2types.Tag{{
				Key: aws.String("Name"), Value: aws.String(restoreStack + "-database_restore"),
			}},
		}},
	})
	c.must(err)
	cluster := ecs.NewFromConfig(config)
	_, err = cluster.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String(restoreStack)})
	c.must(err)
	tasks, err := synthesised()
	c.must(err)
	var containers []ecstypes.ContainerDefinition
	for _, container := range tasks["database_restore"] {
		containers = append(containers, ecstypes.ContainerDefinition{
			Name: aws.String(container.Name), Image: aws.String("image"),
		})
	}
	c.createOperator(iam.NewFromConfig(config))
	_, err = cluster.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{
		ExecutionRoleArn: aws.String(roleARN(c.roleName("database_restore_execution_role"))),
		TaskRoleArn:      aws.String(roleARN(c.roleName("database_restore_task_role"))),
		Family:           aws.String(restoreStack + "-database_restore"), ContainerDefinitions: containers,
		NetworkMode: ecstypes.NetworkModeAwsvpc, Cpu: aws.String("1024"), Memory: aws.String("2048"),
		RequiresCompatibilities: []ecstypes.Compatibility{ecstypes.CompatibilityFargate},
	})
	c.must(err)
	schedules, name := scheduler.NewFromConfig(config), aws.String(restoreStack+"-database-dump")
	_, err = schedules.CreateScheduleGroup(ctx, &scheduler.CreateScheduleGroupInput{Name: name})
	c.must(err)
	_, err = schedules.CreateSchedule(ctx, &scheduler.CreateScheduleInput{
		Name: name, GroupName: name, ScheduleExpression: aws.String("rate(1 day)"),
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
		Target: &schedulertypes.Target{
			Arn:     aws.String("arn:aws:ecs:eu-central-1:123456789012:cluster/" + restoreStack),
			RoleArn: aws.String("arn:aws:iam::123456789012:role/dump"),
			EcsParameters: &schedulertypes.EcsParameters{
				TaskDefinitionArn: aws.String("arn:aws:ecs:eu-central-1:123456789012:task-definition/dump:1"),
				NetworkConfiguration: &schedulertypes.NetworkConfiguration{
					AwsvpcConfiguration: &schedulertypes.AwsVpcConfiguration{
						Subnets: []string{*subnet.Subnet.SubnetId}, SecurityGroups: []string{*group.GroupId},
					},
				},
			},
		},
	})
	c.must(err)
	_, err = cloudwatchlogs.NewFromConfig(config).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{
		LogGroupName: aws.String("/" + restoreStack + "/database-restore"),
	})
	c.must(err)
}

// operatorRole has the policy that docs/restore.md has for whoever runs the command.
const operatorRole = "operator"

func roleARN(name string) string { return "arn:aws:iam::" + emulator.Account + ":role/" + name }

// roleName returns the name of a role of the stack.
func (c *restoreCommand) roleName(id string) string {
	c.Helper()
	text, err := synthesisedText()
	c.must(err)
	var stack struct {
		Resource struct {
			Roles map[string]struct{ Name string } `json:"aws_iam_role"`
		}
	}
	c.must(json.Unmarshal(text, &stack))
	return stack.Resource.Roles[id].Name
}

// createOperator creates the role of whoever runs the command.
func (c *restoreCommand) createOperator(client *iam.Client) {
	c.Helper()
	text, err := os.ReadFile("../../docs/restore.md")
	c.must(err)
	_, after, _ := strings.Cut(string(text), "\n```json\n")
	policy, _, _ := strings.Cut(after, "\n```\n")
	const trust = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", ` +
		`"Principal": {"AWS": "arn:aws:iam::` + emulator.Account + `:root"}}}`
	_, err = client.CreateRole(c.Context(), &iam.CreateRoleInput{
		RoleName: aws.String(operatorRole), AssumeRolePolicyDocument: aws.String(trust),
	})
	c.must(err)
	_, err = client.PutRolePolicy(c.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String(operatorRole), PolicyName: aws.String("restore"), PolicyDocument: &policy,
	})
	c.must(err)
}

// usesEachRight checks that the command has used each right of the documented policy. One that is missing
// fails the command.
func (c *restoreCommand) usesEachRight() {
	c.Helper()
	server, err := shared.start()
	c.must(err)
	report, err := server.Report(c.Context())
	c.must(err)
	rights := 0
	for right, calls := range report.Granted {
		if !strings.HasPrefix(right, operatorRole+": ") {
			continue
		}
		rights++
		if calls == 0 {
			c.Errorf("docs/restore.md: the command does not use %s", right)
		}
	}
	if rights == 0 {
		c.Errorf("docs/restore.md: has no policy: %v", report.Granted)
	}
}

// invoke runs the database function.
func (c *restoreCommand) invoke(w http.ResponseWriter, event []byte) {
	out, err := c.function.handle(c.Context(), event)
	answer, _ := json.Marshal(out)
	if err != nil {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		answer, _ = json.Marshal(map[string]string{"errorMessage": err.Error()})
	}
	_, _ = w.Write(answer)
}

// start runs the containers of the task that the emulator has started.
func (c *restoreCommand) start(body []byte) {
	var input ecs.RunTaskInput
	if err := json.Unmarshal(body, &input); err != nil || input.Overrides == nil {
		c.Errorf("RunTask: %v: %s", err, body)
		return
	}
	given := overrides{}
	for _, container := range input.Overrides.ContainerOverrides {
		given[*container.Name] = map[string]string{}
		for _, v := range container.Environment {
			given[*container.Name][*v.Name] = aws.ToString(v.Value)
		}
	}
	go func() {
		err := c.runWith("database_restore", given)
		task := &ecstypes.Task{StoppedReason: aws.String("Essential container in task exited")}
		for _, name := range []string{"download", "restore"} {
			failed := err != nil && strings.HasPrefix(err.Error(), name+": ")
			container := ecstypes.Container{Name: aws.String(name), ExitCode: aws.Int32(0)}
			if failed {
				container.ExitCode = aws.Int32(1)
			}
			task.Containers = append(task.Containers, container)
			if failed {
				break
			}
		}
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.task = task
	}()
}

// describe says that a task has stopped, once its containers have.
func (c *restoreCommand) describe(response *http.Response) error {
	if !strings.HasSuffix(response.Request.Header.Get("X-Amz-Target"), ".DescribeTasks") {
		return nil
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.task == nil || response.StatusCode != http.StatusOK {
		return nil
	}
	var answer struct {
		Tasks    []map[string]any `json:"tasks"`
		Failures []any            `json:"failures"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || len(answer.Tasks) != 1 {
		return fmt.Errorf("DescribeTasks: %w: %v", err, answer)
	}
	arn := fmt.Sprint(answer.Tasks[0]["taskArn"])
	c.writeLogs(arn[strings.LastIndexByte(arn, '/')+1:])
	var containers []map[string]any
	for _, container := range c.task.Containers {
		containers = append(containers, map[string]any{"name": *container.Name, "exitCode": *container.ExitCode})
	}
	maps.Copy(answer.Tasks[0], map[string]any{
		"lastStatus": "STOPPED", "stoppedReason": *c.task.StoppedReason, "containers": containers,
	})
	text, err := json.Marshal(answer)
	response.Body = io.NopCloser(bytes.NewReader(text))
	response.ContentLength = int64(len(text))
	response.Header.Set("Content-Length", fmt.Sprint(len(text)))
	response.Header.Del("X-Amz-Crc32")
	return err
}

// writeLogs writes what the containers have printed, as the log driver does.
func (c *restoreCommand) writeLogs(id string) {
	server, err := shared.start()
	if err != nil {
		c.Error(err)
		return
	}
	logs := cloudwatchlogs.NewFromConfig(emulator.Config(server.URL, "eu-central-1"))
	group, stream := aws.String("/"+restoreStack+"/database-restore"), aws.String("restore/restore/"+id)
	_, err = logs.CreateLogStream(c.Context(), &cloudwatchlogs.CreateLogStreamInput{
		LogGroupName: group, LogStreamName: stream,
	})
	if err != nil {
		return // written before
	}
	var events []logtypes.InputLogEvent
	for line := range strings.SplitSeq(c.output.String(), "\n") {
		if line == "" {
			continue
		}
		events = append(events, logtypes.InputLogEvent{
			Message: aws.String(line), Timestamp: aws.Int64(time.Now().UnixMilli()),
		})
	}
	_, err = logs.PutLogEvents(c.Context(), &cloudwatchlogs.PutLogEventsInput{
		LogGroupName: group, LogStreamName: stream, LogEvents: events,
	})
	if err != nil {
		c.Error(err)
	}
}

// restore runs the command, and returns what it prints.
func (c *restoreCommand) restore(arguments ...string) (string, error) {
	c.Helper()
	c.mutex.Lock()
	c.task = nil
	c.mutex.Unlock()
	command := exec.CommandContext(c.Context(), c.program, append([]string{c.folder}, arguments...)...)
	command.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+c.url, "AWS_ACCESS_KEY_ID="+c.key,
		"AWS_SECRET_ACCESS_KEY=emulator", "AWS_EC2_METADATA_DISABLED=true")
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestRestoreCommandRestoresADump(t *testing.T) {
	h := newFixture(t, postgres.DefaultMajor)
	r := newRehearsal(h)
	r.fill(20_000)
	r.must(r.run("database_dump", atThree))
	c := newRestoreCommand(r)

	begun := time.Now()
	out, err := c.restore("--database", "restored")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("restored in %v", time.Since(begun).Round(time.Millisecond))
	for _, want := range []string{
		"created the database restored\n", "started arn:aws:ecs:",
		"restore: downloaded s3://" + r.bucket + "/" + dumpKey,
		"restore: restored restored: tables=", "restored into the database restored; see",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("prints no %q: %s", want, out)
		}
	}
	r.sameContents(r.contents(r.postgres.Database), r.contents("restored"))
	r.rolesWorkIn("restored")
	c.usesEachRight()

	out, err = c.restore("--database", "one", "--dump", dumpKey, "--table", "public.events")
	if err != nil || !strings.Contains(out, "restore: restored one: tables=") {
		t.Errorf("one table: %v: %s", err, out)
	}
	out, err = c.restore("--database", "none", "--dump", "dumps/2020/01/01/000000.dump")
	if err == nil || !strings.Contains(out, "the restore failed, and the database none is incomplete") ||
		!strings.Contains(out, "container download ended with 1") {
		t.Errorf("a dump that does not exist: %v: %s", err, out)
	}
	out, err = c.restore("--database", "restored")
	if err == nil || !strings.Contains(out, "restored is not empty") {
		t.Errorf("a database that is not empty: %v: %s", err, out)
	}
	out, err = c.restore("--database", "app")
	if err == nil || !strings.Contains(out, "want another name than that of the services' database") {
		t.Errorf("the services' database: %v: %s", err, out)
	}
}
