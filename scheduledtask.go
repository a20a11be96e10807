package main

import (
	"maps"
	"slices"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/schedulerschedulegroup"
)

// scheduledTask is a task that runs to its end, at times. Several schedules can start the same task.
type scheduledTask struct {
	part        // of the schedule
	task        *task
	description string
	expression  string

	// container gets the time for which the task was started as SCHEDULED_TIME: the same for every
	// retry, so that two tasks for one time write the same object.
	container string

	// variables are what the containers of this schedule's tasks get besides, or instead of what the
	// task's definition says: by container, and then by name.
	variables map[string]map[string]string
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
			Name:                       jsii.String(scheduleName(s, scheduled.name)),
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

// scheduleName is the name of a schedule. EventBridge Scheduler accepts 64 characters, and the longest
// names of stacks and databases need more.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
func scheduleName(s *scope, name string) string {
	const limit = 64
	if full := s.named(dashed(name)); len(full) > limit {
		return digestedName(limit, full)
	}
	return s.named(dashed(name))
}

// input is what RunTask gets besides the parameters: at most 8,192 characters. The scheduler replaces
// <…> with the time for which it starts the task.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html
func (scheduled scheduledTask) input() string {
	type override struct {
		Name        string     `json:"name"`
		Environment []variable `json:"environment"`
	}
	variables := map[string]map[string]string{scheduled.container: {}}
	for container, more := range scheduled.variables {
		variables[container] = maps.Clone(more)
	}
	variables[scheduled.container]["SCHEDULED_TIME"] = "<aws.scheduler.scheduled-time>"
	var overrides []override
	for _, container := range slices.Sorted(maps.Keys(variables)) {
		o := override{Name: container}
		for _, name := range slices.Sorted(maps.Keys(variables[container])) {
			o.Environment = append(o.Environment, variable{name, variables[container][name]})
		}
		overrides = append(overrides, o)
	}
	return marshal(map[string][]override{"containerOverrides": overrides})
}

// startStatements let the scheduler start the tasks, pass their roles to ECS, and tag the tasks with
// what their definitions have.
func startStatements(s *scope, cluster *Cluster, tasks []scheduledTask) []statement {
	var families, roles []string
	for _, scheduled := range tasks {
		families = append(families, s.arn("ecs", "task-definition/"+s.named(scheduled.task.name)+":*"))
		for _, role := range []*Role{scheduled.task.execution, scheduled.task.own} {
			roles = append(roles, *role.ARN)
		}
	}
	return []statement{{
		sid: "Start", actions: []string{"ecs:RunTask"}, resources: unique(families),
		conditions: []condition{{"ArnEquals", "ecs:cluster", []string{*cluster.ARN}}},
	}, {
		sid: "PassRoles", actions: []string{"iam:PassRole"}, resources: unique(roles),
		conditions: []condition{equals("iam:PassedToService", "ecs-tasks.amazonaws.com")},
	}, {
		sid: "Tag", actions: []string{"ecs:TagResource"},
		resources:  []string{s.arn("ecs", "task/"+*cluster.Name+"/*")},
		conditions: []condition{equals("ecs:CreateAction", "RunTask")},
	}}
}
