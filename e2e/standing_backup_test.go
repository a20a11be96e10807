//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

func (w *standing) schedulesCallTheFunction() {
	function := said(w.lambda.GetFunctionConfiguration(alive, &lambda.GetFunctionConfigurationInput{
		FunctionName: aws.String(w.stack + "-backup"),
	}))(w.T)
	w.trusts(*function.Role, "lambda.amazonaws.com")
	inputs := map[string]string{
		w.stack + "-backup-schedule":        `{"action":"backup","scheduled_time":"<aws.scheduler.scheduled-time>"}`,
		w.stack + "-backup-report-schedule": `{"action":"report"}`,
	}
	var have []string
	for p := range pages(w.T, scheduler.NewListSchedulesPaginator(w.scheduler, nil)) {
		for _, found := range p.Schedules {
			name := *found.Name
			have = append(have, name)
			schedule := said(w.scheduler.GetSchedule(alive, &scheduler.GetScheduleInput{
				Name:      &name,
				GroupName: found.GroupName,
			}))(w.T)
			w.equal(name+": state", schedule.State, schedulertypes.ScheduleStateEnabled)
			w.equal(name+": target", *schedule.Target.Arn, *function.FunctionArn)
			w.equal(name+": input", *schedule.Target.Input, inputs[name])
			w.trusts(*schedule.Target.RoleArn, "scheduler.amazonaws.com")
			w.equal(name+": what its role may", w.permissions(*schedule.Target.RoleArn), map[string][]string{
				"lambda:InvokeFunction": {*function.FunctionArn},
			})
		}
	}
	w.same("schedules", have, slices.Collect(maps.Keys(inputs)))
	retries := said(w.lambda.GetFunctionEventInvokeConfig(alive, &lambda.GetFunctionEventInvokeConfigInput{
		FunctionName: function.FunctionName,
	}))(w.T)
	w.equal("where the function's failures go", *retries.DestinationConfig.OnFailure.Destination, w.topic)
}

// functionMakesOneSnapshotForATime: the emulator runs the function's own program. The hour is the
// evening's, at which no schedule calls.
func (w *standing) functionMakesOneSnapshotForATime() {
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour)
	id := w.stack + "-scheduled-" + at.Format("20060102-150405")
	event := fmt.Sprintf(`{"action":"backup","scheduled_time":%q}`, at.Format(time.RFC3339))
	for _, first := range []bool{true, false} {
		answer := said(w.lambda.Invoke(alive, &lambda.InvokeInput{
			FunctionName: aws.String(w.stack + "-backup"),
			Payload:      []byte(event),
		}))(w.T)
		if answer.FunctionError != nil {
			w.Errorf("the backup failed: %s", answer.Payload)
			return
		}
		var result struct { // as functions/backup has it
			Snapshot string
			Created  bool
			Kept     int
		}
		if err := json.Unmarshal(answer.Payload, &result); err != nil {
			w.Errorf("%v: %s", err, answer.Payload)
		}
		w.equal("the snapshot that the function tells of", result.Snapshot, id)
		w.equal("that the function made it", result.Created, first)
		w.equal("the snapshots that it knows", result.Kept, 1)
	}
	var have []string
	for p := range pages(w.T, rds.NewDescribeDBSnapshotsPaginator(w.rds, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("manual"),
	})) {
		for _, snapshot := range p.DBSnapshots {
			have = append(have, *snapshot.DBSnapshotIdentifier)
			w.equal("whose snapshot it is", *snapshot.DBInstanceIdentifier, *w.database.DBInstanceIdentifier)
			tags := map[string]string{}
			for _, tag := range snapshot.TagList {
				tags[*tag.Key] = *tag.Value
			}
			w.equal("the snapshot's tag BackupOf", tags["BackupOf"], w.stack)
			w.equal("the snapshot's tag ScheduledTime", tags["ScheduledTime"], at.Format(time.RFC3339))
		}
	}
	w.same("snapshots after two calls for the same time", have, []string{id})
}
