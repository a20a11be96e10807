package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedulegroup"
)

// scheduledTask is a task that runs to its end, at times.
type scheduledTask struct {
	part
	task        *task
	description string
	expression  string

	// container gets the time for which the task was started as SCHEDULED_TIME: the same for every
	// retry, so that two tasks for one time write the same object.
	container string
}

// newScheduledTasks declares schedules that start tasks, in the time zone of the backups. Their group
// and role have the name of the part. It returns the name of the group. That a task was started says
// nothing about its end: see Events.newDumpEvents.
func newScheduledTasks(s *scope, cluster *Cluster, p part, tasks []scheduledTask) *string {
	group := schedulerschedulegroup.NewSchedulerScheduleGroup(s.stack, jsii.String(p.id+"_schedule_group"),
		&schedulerschedulegroup.SchedulerScheduleGroupConfig{
			Name: jsii.String(s.named(dashed(p.name))), Tags: s.tags(dashed(p.name)),
		})
	role := newRole(s, roleSpec{
		id: p.id + "_schedule_role", noun: dashed(p.name) + "-schedule", assumed: "scheduler.amazonaws.com",
		trust: []condition{
			equals("aws:SourceAccount", s.account),
			equals("aws:SourceArn", *group.Arn()), // the group's ARN, not the schedule's
		},
	}, startStatements(s, cluster, tasks)...)
	for _, scheduled := range tasks {
		scheduled.create(s, cluster, group.Name(), role)
	}
	return group.Name()
}

func (scheduled scheduledTask) create(s *scope, cluster *Cluster, group *string, role *Role) {
	type (
		parameters = schedulerschedule.SchedulerScheduleTargetEcsParameters
		network    = schedulerschedule.SchedulerScheduleTargetEcsParametersNetworkConfiguration
		retries    = schedulerschedule.SchedulerScheduleTargetRetryPolicy
		window     = schedulerschedule.SchedulerScheduleFlexibleTimeWindow
	)
	t := scheduled.task
	schedulerschedule.NewSchedulerSchedule(s.stack, jsii.String(scheduled.id+"_schedule"),
		&schedulerschedule.SchedulerScheduleConfig{
			Name:                       jsii.String(s.named(dashed(scheduled.name))),
			GroupName:                  group,
			Description:                jsii.String(scheduled.description),
			ScheduleExpression:         jsii.String(scheduled.expression),
			ScheduleExpressionTimezone: jsii.String(s.cfg.Backup.Timezone),
			FlexibleTimeWindow:         &window{Mode: jsii.String("OFF")},
			Target: &schedulerschedule.SchedulerScheduleTarget{
				Arn:     cluster.ARN,
				RoleArn: role.ARN,
				Input:   jsii.String(scheduled.input()),
				EcsParameters: &parameters{
					TaskDefinitionArn: t.defined.Arn(),
					LaunchType:        jsii.String("FARGATE"), // never Spot: AWS stops its tasks
					NetworkConfiguration: &network{
						Subnets:        &cluster.network.PrivateSubnets,
						SecurityGroups: &[]*string{t.group.ID},
						AssignPublicIp: false,
					},
					PropagateTags:        jsii.String("TASK_DEFINITION"),
					EnableEcsManagedTags: true,
					TaskCount:            number(1),
				},
				RetryPolicy: &retries{MaximumEventAgeInSeconds: number(3600), MaximumRetryAttempts: number(10)},
			},
			DependsOn: role.Ready.plus(t.ready...).list(),
		})
}

// input is what RunTask gets besides the parameters. The scheduler replaces <…> with the time for which
// it starts the task.
func (scheduled scheduledTask) input() string {
	type override struct {
		Name        string     `json:"name"`
		Environment []variable `json:"environment"`
	}
	return marshal(map[string][]override{"containerOverrides": {{
		Name: scheduled.container, Environment: []variable{{"SCHEDULED_TIME", "<aws.scheduler.scheduled-time>"}},
	}}})
}

// startStatements let the scheduler start the tasks, pass their roles to ECS, and tag the tasks with
// what their definitions have.
func startStatements(s *scope, cluster *Cluster, tasks []scheduledTask) []statement {
	var families, roles []string
	for _, scheduled := range tasks {
		families = append(families, s.arn("ecs", "task-definition/"+s.named(scheduled.name)+":*"))
		for _, role := range []*Role{scheduled.task.execution, scheduled.task.own} {
			roles = append(roles, *role.ARN)
		}
	}
	return []statement{{
		sid: "Start", actions: []string{"ecs:RunTask"}, resources: families,
		conditions: []condition{{"ArnEquals", "ecs:cluster", []string{*cluster.ARN}}},
	}, {
		sid: "PassRoles", actions: []string{"iam:PassRole"}, resources: roles,
		conditions: []condition{equals("iam:PassedToService", "ecs-tasks.amazonaws.com")},
	}, {
		sid: "Tag", actions: []string{"ecs:TagResource"},
		resources:  []string{s.arn("ecs", "task/"+*cluster.Name+"/*")},
		conditions: []condition{equals("ecs:CreateAction", "RunTask")},
	}}
}
