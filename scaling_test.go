package main

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	webRequestScaling = "aws_appautoscaling_policy.service_web_scaling_requests"
	webCPUScaling     = "aws_appautoscaling_policy.service_web_scaling_cpu"
	webScalingTarget  = "aws_appautoscaling_target.service_web_scaling_target"
)

var requestScalingPromises = []stacktest.Promise{{
	Name:  "scaling on requests is created after the listener rule that brings the requests",
	Check: requestScalingAfterRule,
	BrokenBy: []stacktest.Break{{
		Name:  "scaling on requests does not wait for the listener rule",
		Stack: "a service with everything",
		By: stacktest.All(
			stacktest.RemoveDependency(webRequestScaling, webListenerRule),
			stacktest.RemoveDependency(webService, webListenerRule),
		),
		Found: webRequestScaling,
	}, {
		Name:  "scaling on requests names no target group",
		Stack: "a service with everything",
		By:    stacktest.Remove(webRequestScaling, scalingMetric+".resource_label"),
		Found: webRequestScaling,
	}},
}}

// scalingMetric is where a scaling policy says which metric it follows.
const scalingMetric = "target_tracking_scaling_policy_configuration.predefined_metric_specification"

func requestScalingAfterRule(s stacktest.Stack, v *stacktest.Violations) {
	o := s.Order()
	for _, policy := range s.Resources("aws_appautoscaling_policy") {
		if !policy.Is(scalingMetric+".predefined_metric_type", "ALBRequestCountPerTarget") {
			continue
		}
		groups := slices.DeleteFunc(policy.References(scalingMetric+".resource_label"), func(address string) bool {
			return !strings.HasPrefix(address, "aws_lb_target_group.")
		})
		v.Want(len(groups) == 1, policy.Address, "want the label of one target group, have %v", groups)
		if len(groups) == 1 {
			v.WantBefore(o, policy, stacktest.Referring(s.Resources("aws_lb_listener_rule"), "action", groups[0]),
				"AWS rejects it while no listener uses the target group")
		}
	}
}

var scalingPromises = []stacktest.Promise{{
	Name:  "scaling follows metrics that Application Auto Scaling knows, of the service that it scales",
	Check: scalingIsAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "scaling follows a metric that does not exist",
		Stack: "prod",
		By:    stacktest.Set(webCPUScaling, scalingMetric+".predefined_metric_type", "ECSServiceCPU"),
		Found: webCPUScaling,
	}, {
		Name:  "scaling has a target of more than 100 percent",
		Stack: "prod",
		By:    stacktest.Set(webCPUScaling, "target_tracking_scaling_policy_configuration.target_value", 600.0),
		Found: webCPUScaling,
	}, {
		Name:  "scaling on CPU has a resource label",
		Stack: "prod",
		By:    stacktest.Add(webCPUScaling, scalingMetric+".resource_label", "web"),
		Found: webCPUScaling,
	}, {
		Name:  "scaling on requests has no resource label",
		Stack: "a service with everything",
		By:    stacktest.Remove(webRequestScaling, scalingMetric+".resource_label"),
		Found: webRequestScaling,
	}, {
		Name:  "scaling on requests names the load balancer and target group by ARN",
		Stack: "a service with everything",
		By:    stacktest.Replace(webRequestScaling, scalingMetric+".resource_label", "arn_suffix", "arn"),
		Found: webRequestScaling,
	}, {
		Name:  "a scaling policy has an unknown type",
		Stack: "prod",
		By:    stacktest.Set(webCPUScaling, "policy_type", "Tracking"),
		Found: webCPUScaling,
	}, {
		Name:  "scaling names a service by ARN",
		Stack: "prod",
		By:    stacktest.Set(webScalingTarget, "resource_id", idOf(webService)),
		Found: webScalingTarget,
	}, {
		Name:  "scaling has a dimension that ECS does not have",
		Stack: "prod",
		By:    stacktest.Set(webScalingTarget, "scalable_dimension", "ecs:service:TaskCount"),
		Found: webScalingTarget,
	}},
}, {
	Name:  "a deployment does not undo what scaling changed",
	Check: scalingIsNotUndone,
	BrokenBy: []stacktest.Break{{
		Name:  "a deployment sets a service's desired count again",
		Stack: "prod",
		By:    stacktest.Remove(webService, "lifecycle.ignore_changes"),
		Found: webService,
	}, {
		Name:  "a deployment sets the bounds again that schedules change",
		Stack: "a service with everything",
		By:    stacktest.Remove(webScalingTarget, "lifecycle.ignore_changes"),
		Found: webScalingTarget,
	}, {
		Name:  "the maximum capacity is less than the minimum capacity",
		Stack: "prod",
		By:    stacktest.Set(webScalingTarget, "max_capacity", 1.0),
		Found: webScalingTarget,
	}},
}}

// scalingLimits are the metrics that Application Auto Scaling knows for ECS, with the highest
// target of each: a percentage, or any number.
// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html
var scalingLimits = map[string]float64{
	"ALBRequestCountPerTarget":           math.MaxInt32,
	"ECSServiceAverageCPUUtilization":    100,
	"ECSServiceAverageMemoryUtilization": 100,
}

var (
	scaledService = regexp.MustCompile(`^service/\$\{aws_ecs_cluster\.\w+\.name\}/\$\{aws_ecs_service\.\w+\.name\}$`)
	scalingLabel  = regexp.MustCompile(`^\$\{aws_lb\.\w+\.arn_suffix\}/\$\{aws_lb_target_group\.\w+\.arn_suffix\}$`)
)

func scalingIsAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, target := range s.Resources("aws_appautoscaling_target") {
		v.Want(target.Is("service_namespace", "ecs") &&
			target.Is("scalable_dimension", "ecs:service:DesiredCount") &&
			scaledService.MatchString(target.String("resource_id")),
			target.Address, "want the desired count of a service by name, have %v of %v",
			target.At("scalable_dimension"), target.At("resource_id"))
	}
	for _, policy := range s.Resources("aws_appautoscaling_policy") {
		metric := policy.String(scalingMetric + ".predefined_metric_type")
		value := policy.Number("target_tracking_scaling_policy_configuration.target_value")
		limit := scalingLimits[metric]
		v.Want(policy.Is("policy_type", "TargetTrackingScaling") && limit > 0,
			policy.Address, "is of the type %v and follows %q", policy.At("policy_type"), metric)
		v.Want(value > 0 && value <= limit,
			policy.Address, "has the target %v for %s, want at most %v", value, metric, limit)
		label := policy.String(scalingMetric + ".resource_label")
		v.Want(scalingLabel.MatchString(label) == (metric == "ALBRequestCountPerTarget") &&
			(label == "" || scalingLabel.MatchString(label)),
			policy.Address, "follows %s with the label %q", metric, label)
	}
}

func scalingIsNotUndone(s stacktest.Stack, v *stacktest.Violations) {
	for _, target := range s.Resources("aws_appautoscaling_target") {
		v.Want(target.Number("min_capacity") <= target.Number("max_capacity"),
			target.Address, "has a minimum capacity greater than its maximum")
		for _, address := range target.References("resource_id") {
			if service := s.Resource(address); service.Kind() == "aws_ecs_service" {
				v.Want(slices.Contains(service.Strings("lifecycle.ignore_changes"), "desired_count"),
					service.Address, "undoes the scaling of its desired count")
			}
		}
		actions := s.Resources("aws_appautoscaling_scheduled_action")
		if len(stacktest.Referring(actions, "resource_id", target.Address)) > 0 {
			ignored := target.Strings("lifecycle.ignore_changes")
			v.Want(slices.Contains(ignored, "min_capacity") && slices.Contains(ignored, "max_capacity"),
				target.Address, "undoes the scheduled changes of its bounds")
		}
	}
}
