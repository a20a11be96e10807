//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// scheduleStartsATask checks what a schedule starts, and that its role may start it.
func (w *deployed) scheduleStartsATask(name string, schedule *scheduler.GetScheduleOutput) {
	w.Helper()
	task := schedule.Target.EcsParameters
	definition := must(w.ecs.DescribeTaskDefinition(alive, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: task.TaskDefinitionArn,
	}))(w.T).TaskDefinition
	family := w.stack + "-" + strings.ReplaceAll(strings.TrimPrefix(name, w.stack+"-"), "-", "_")
	w.equal(name+": family", *definition.Family, family)
	w.equal(name+": capacity", task.LaunchType, schedulertypes.LaunchTypeFargate)
	w.sameElements(name+": subnets", task.NetworkConfiguration.AwsvpcConfiguration.Subnets, w.subnetIDs("private"))
	w.trusts(*schedule.Target.RoleArn, "scheduler.amazonaws.com")
	w.trusts(*definition.ExecutionRoleArn, "ecs-tasks.amazonaws.com")
	w.trusts(*definition.TaskRoleArn, "ecs-tasks.amazonaws.com")
	may := w.permissions(*schedule.Target.RoleArn)
	for _, role := range []string{*definition.ExecutionRoleArn, *definition.TaskRoleArn} {
		if !slices.Contains(may["iam:PassRole"], role) {
			w.Errorf("%s: its role may not pass %s", name, role)
		}
	}
	if !slices.ContainsFunc(may["ecs:RunTask"], func(r string) bool {
		return strings.Contains(r, ":task-definition/"+family)
	}) {
		w.Errorf("%s: its role may start %v", name, may["ecs:RunTask"])
	}
}

func (w *deployed) schedulesInvokeTheFunctions() {
	function := func(noun string) *lambda.GetFunctionConfigurationOutput {
		f := must(w.lambda.GetFunctionConfiguration(alive, &lambda.GetFunctionConfigurationInput{
			FunctionName: aws.String(w.stack + "-" + noun),
		}))(w.T)
		w.trusts(*f.Role, "lambda.amazonaws.com")
		return f
	}
	functions := map[string]*lambda.GetFunctionConfigurationOutput{ // by the group of their schedules
		w.stack + "-backup": function("backup"), w.stack + "-database": function("database"),
	}
	inputs := map[string]string{
		w.stack + "-backup-schedule":        `{"action":"backup","scheduled_time":"<aws.scheduler.scheduled-time>"}`,
		w.stack + "-backup-report-schedule": `{"action":"report"}`,
		w.stack + "-database-schedule":      `{"action":"daily"}`,
	}
	var have []string
	for p := range pages(w.T, scheduler.NewListSchedulesPaginator(w.scheduler, nil)) {
		for _, found := range p.Schedules {
			name := *found.Name
			have = append(have, name)
			schedule := must(w.scheduler.GetSchedule(alive, &scheduler.GetScheduleInput{
				Name:      &name,
				GroupName: found.GroupName,
			}))(w.T)
			w.equal(name+": state", schedule.State, schedulertypes.ScheduleStateEnabled)
			if schedule.Target.EcsParameters != nil {
				w.scheduleStartsATask(name, schedule)
				continue
			}
			function := *functions[*found.GroupName].FunctionArn
			w.equal(name+": target", *schedule.Target.Arn, function)
			w.equal(name+": input", *schedule.Target.Input, inputs[name])
			w.trusts(*schedule.Target.RoleArn, "scheduler.amazonaws.com")
			w.equal(name+": permissions of its role", w.permissions(*schedule.Target.RoleArn), map[string][]string{
				"lambda:InvokeFunction": {function},
			})
		}
	}
	var tasks []string
	for _, task := range w.dumpTasks {
		if task != "database_restore" {
			tasks = append(tasks, w.stack+"-"+strings.ReplaceAll(task, "_", "-"))
		}
	}
	w.sameElements("schedules", have, append(slices.Collect(maps.Keys(inputs)), tasks...))
	retries := must(w.lambda.GetFunctionEventInvokeConfig(alive, &lambda.GetFunctionEventInvokeConfigInput{
		FunctionName: aws.String(w.stack + "-backup"),
	}))(w.T)
	w.equal("failure destination of the backup function", *retries.DestinationConfig.OnFailure.Destination, w.topic)
}

// backupFunctionIsIdempotent: two invocations for the same scheduled time create one snapshot.
// The emulator runs the program of the function. The time is 23:00, at which no schedule fires.
func (w *deployed) backupFunctionIsIdempotent() {
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour)
	id := w.stack + "-scheduled-" + at.Format("20060102-150405")
	event := fmt.Sprintf(`{"action":"backup","scheduled_time":%q}`, at.Format(time.RFC3339))
	for _, first := range []bool{true, false} {
		answer := must(w.lambda.Invoke(alive, &lambda.InvokeInput{
			FunctionName: aws.String(w.stack + "-backup"),
			Payload:      []byte(event),
		}))(w.T)
		if answer.FunctionError != nil {
			w.Errorf("the backup failed: %s", answer.Payload)
			return
		}
		var result struct { // as in functions/backup
			Snapshot string
			Created  bool
			Kept     int
		}
		if err := json.Unmarshal(answer.Payload, &result); err != nil {
			w.Errorf("%v: %s", err, answer.Payload)
		}
		w.equal("snapshot in the result of the backup function", result.Snapshot, id)
		w.equal("snapshot was created by this invocation", result.Created, first)
		w.equal("number of snapshots in the result", result.Kept, 1)
	}
	var have []string
	for p := range pages(w.T, rds.NewDescribeDBSnapshotsPaginator(w.rds, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("manual"),
	})) {
		for _, snapshot := range p.DBSnapshots {
			have = append(have, *snapshot.DBSnapshotIdentifier)
			w.equal("instance of the snapshot", *snapshot.DBInstanceIdentifier, *w.database.DBInstanceIdentifier)
			tags := map[string]string{}
			for _, tag := range snapshot.TagList {
				tags[*tag.Key] = *tag.Value
			}
			w.equal("the snapshot's tag BackupOf", tags["BackupOf"], w.stack)
			w.equal("the snapshot's tag ScheduledTime", tags["ScheduledTime"], at.Format(time.RFC3339))
		}
	}
	w.sameElements("snapshots after two invocations for the same time", have, []string{id})
}
