package main

import (
	"maps"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	policies "github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingpolicy"
	actions "github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingscheduledaction"
	targets "github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingtarget"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// newScaling lets AWS change a service's number of tasks, between tasks and scaling.max. The
// resource is the service's, as Application Auto Scaling names it; route is nil without one.
func newScaling(s *scope, p part, resource string, route *Route) {
	svc := s.cfg.Services[p.name]
	t := scalingTarget{s, p, newScalingTarget(s, p, resource)}
	t.track("cpu", trackedMetric{name: "ECSServiceAverageCPUUtilization", target: svc.Scaling.CPU})
	t.track("memory", trackedMetric{name: "ECSServiceAverageMemoryUtilization", target: svc.Scaling.Memory})
	if svc.Scaling.Requests > 0 && route != nil {
		t.track("requests", trackedMetric{
			name: "ALBRequestCountPerTarget", target: svc.Scaling.Requests, label: jsii.String(route.ResourceLabel),
			ready: route.Ready, // AWS refuses the policy while no listener uses the target group
		})
	}
	for _, key := range slices.Sorted(maps.Keys(svc.Scaling.Schedules)) {
		t.schedule(key, svc.Scaling.Schedules[key])
	}
}

// scalingTarget declares what changes a service's number of tasks.
type scalingTarget struct {
	*scope
	part
	target targets.AppautoscalingTarget
}

func newScalingTarget(s *scope, p part, resource string) targets.AppautoscalingTarget {
	svc := s.cfg.Services[p.name]
	arguments := &targets.AppautoscalingTargetConfig{
		ServiceNamespace:  jsii.String("ecs"),
		ScalableDimension: jsii.String("ecs:service:DesiredCount"),
		ResourceId:        jsii.String(resource),
		MinCapacity:       number(svc.Tasks),
		MaxCapacity:       number(svc.Scaling.Max),
		Tags:              s.tags(p.name),
	}
	if len(svc.Scaling.Schedules) > 0 {
		// The schedules move the bounds; a deployment in between would move them back.
		arguments.Lifecycle = &cdktf.TerraformResourceLifecycle{
			IgnoreChanges: &[]*string{jsii.String("min_capacity"), jsii.String("max_capacity")},
		}
	}
	return targets.NewAppautoscalingTarget(s.stack, jsii.String(p.id+"_scaling_target"), arguments)
}

// trackedMetric is what a policy keeps near a target: percent, or requests a minute and task.
type trackedMetric struct {
	name   string
	target int
	label  *string // of the target group; nil if the metric has none
	ready  dependencies
}

func (t scalingTarget) track(noun string, m trackedMetric) {
	type (
		tracking = policies.AppautoscalingPolicyTargetTrackingScalingPolicyConfiguration
		metric   = policies.AppautoscalingPolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecification
	)
	policies.NewAppautoscalingPolicy(t.stack, jsii.String(t.id+"_scaling_"+noun), &policies.AppautoscalingPolicyConfig{
		Name:              jsii.String(t.named(t.name + "-" + noun)),
		PolicyType:        jsii.String("TargetTrackingScaling"),
		ServiceNamespace:  t.target.ServiceNamespace(),
		ScalableDimension: t.target.ScalableDimension(),
		ResourceId:        t.target.ResourceId(),
		TargetTrackingScalingPolicyConfiguration: &tracking{
			TargetValue:                   number(m.target),
			ScaleOutCooldown:              number(60),  // seconds
			ScaleInCooldown:               number(300), // seconds
			PredefinedMetricSpecification: &metric{PredefinedMetricType: jsii.String(m.name), ResourceLabel: m.label},
		},
		DependsOn: m.ready.list(),
	})
}

// schedule moves the bounds at set times.
func (t scalingTarget) schedule(key string, schedule config.ScalingSchedule) {
	actions.NewAppautoscalingScheduledAction(t.stack, jsii.String(t.id+"_scaling_schedule_"+key),
		&actions.AppautoscalingScheduledActionConfig{
			Name:              jsii.String(t.named(t.name + "-" + key)),
			ServiceNamespace:  t.target.ServiceNamespace(),
			ScalableDimension: t.target.ScalableDimension(),
			ResourceId:        t.target.ResourceId(),
			Schedule:          jsii.String(schedule.At),
			Timezone:          jsii.String(choose(schedule.Timezone == "", "UTC", schedule.Timezone)),
			ScalableTargetAction: &actions.AppautoscalingScheduledActionScalableTargetAction{
				MinCapacity: jsii.String(strconv.Itoa(schedule.Min)),
				MaxCapacity: jsii.String(strconv.Itoa(schedule.Max)),
			},
		})
}
