package main

import (
	"maps"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lblistenerrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lbtargetgroup"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// Route is a service's place behind the load balancer.
type Route struct {
	TargetGroupARN *string
	Dimensions     map[string]*string // of the target group's metrics
	ResourceLabel  string             // of the target group, for scaling by requests
	Ready          dependencies       // ECS refuses a target group that no listener uses
}

// route puts a service behind the load balancer: a target group, its rule, and the connection from
// the load balancer to its tasks. It is called once for each routed service, with the tasks'
// security group.
func (balancer *LoadBalancer) route(s *scope, name string, tasks *securityGroup) *Route {
	svc, id := s.cfg.Services[name], serviceID(name)
	group := newTargetGroup(s, name, balancer.vpcID)
	var ready dependencies
	if svc.HidesMetrics() {
		ready = append(ready, newHidingRule(s, name, balancer.listener))
	}
	ready = append(ready, lblistenerrule.NewLbListenerRule(s.stack, jsii.String(id+"_listener_rule"),
		&lblistenerrule.LbListenerRuleConfig{
			ListenerArn: balancer.listener,
			Priority:    number(svc.Route.Priority),
			Condition:   ruleConditions(svc.Route, svc.Route.Paths),
			Action: &[]*lblistenerrule.LbListenerRuleAction{{
				Type: jsii.String("forward"), TargetGroupArn: group.Arn(),
			}},
			Tags: s.tags(name),
			// When HTTPS is switched on, the rule of the new listener is created first: each
			// listener has priorities of its own.
			Lifecycle: createBeforeDestroy(),
		}))
	inbound := balancer.SecurityGroup.mayReach(tasks, id+"_from_load_balancer", svc.Port, "Requests and health checks")
	return &Route{
		TargetGroupARN: group.Arn(),
		Dimensions:     map[string]*string{"LoadBalancer": balancer.ARNSuffix, "TargetGroup": group.ArnSuffix()},
		ResourceLabel:  *balancer.ARNSuffix + "/" + *group.ArnSuffix(),
		Ready:          ready.plus(inbound...),
	}
}

func newTargetGroup(s *scope, name string, vpcID *string) lbtargetgroup.LbTargetGroup {
	svc := s.cfg.Services[name]
	port := strconv.Itoa(svc.Port)
	return lbtargetgroup.NewLbTargetGroup(s.stack, jsii.String(serviceID(name)+"_target_group"),
		&lbtargetgroup.LbTargetGroupConfig{
			// What forces a replacement is in the name, so that the new group can be created while
			// the listener uses the old one.
			Name:                jsii.String(digestedName(32, s.named(name), "HTTP", port, "ip", s.cfg.Network.CIDR)),
			TargetType:          jsii.String("ip"),
			Protocol:            jsii.String("HTTP"),
			Port:                number(svc.Port),
			VpcId:               vpcID,
			DeregistrationDelay: jsii.String(strconv.Itoa(svc.Route.DeregistrationDelay)),
			SlowStart:           number(svc.Route.SlowStart),
			HealthCheck: &lbtargetgroup.LbTargetGroupHealthCheck{
				Enabled:            true,
				Protocol:           jsii.String("HTTP"),
				Port:               jsii.String("traffic-port"),
				Path:               jsii.String(svc.HealthCheck.Path),
				Matcher:            jsii.String(svc.HealthCheck.Codes),
				Interval:           number(svc.HealthCheck.Interval),
				Timeout:            number(svc.HealthCheck.Timeout),
				HealthyThreshold:   number(svc.HealthCheck.HealthyThreshold),
				UnhealthyThreshold: number(svc.HealthCheck.UnhealthyThreshold),
			},
			Stickiness: stickiness(svc.Route.Sticky),
			Tags:       s.tags(name),
			Lifecycle:  createBeforeDestroy(),
		})
}

// stickiness keeps a client at the same task by a cookie of the load balancer, for so many seconds;
// 0 disables it. The block is always there: the provider keeps the old value of one that is removed.
func stickiness(seconds int) *lbtargetgroup.LbTargetGroupStickiness {
	sticky := &lbtargetgroup.LbTargetGroupStickiness{Type: jsii.String("lb_cookie"), Enabled: seconds > 0}
	if seconds > 0 {
		sticky.CookieDuration = number(seconds)
	}
	return sticky
}

// newHidingRule answers 404 where a service has its metrics on the port that serves the public. Its
// priority is right before that of the service's own rule, so whatever would match that one is
// compared with this one first.
func newHidingRule(s *scope, name string, listener *string) cdktf.ITerraformDependable {
	svc := s.cfg.Services[name]
	return lblistenerrule.NewLbListenerRule(s.stack, jsii.String(serviceID(name)+"_metrics_hiding_rule"),
		&lblistenerrule.LbListenerRuleConfig{
			ListenerArn: listener,
			Priority:    number(svc.Route.Priority - 1),
			Condition:   ruleConditions(svc.Route, svc.HiddenPaths()),
			Action: &[]*lblistenerrule.LbListenerRuleAction{{
				Type: jsii.String("fixed-response"),
				FixedResponse: &lblistenerrule.LbListenerRuleActionFixedResponse{
					ContentType: jsii.String("text/plain"),
					MessageBody: jsii.String("Not found"),
					StatusCode:  jsii.String("404"),
				},
			}},
			Tags:      s.tags(name + "-metrics"),
			Lifecycle: createBeforeDestroy(),
		})
}

// ruleConditions are a route's conditions, with the paths given instead of its own.
func ruleConditions(r config.Route, paths []string) *[]*lblistenerrule.LbListenerRuleCondition {
	var all []*lblistenerrule.LbListenerRuleCondition
	add := func(condition lblistenerrule.LbListenerRuleCondition) { all = append(all, &condition) }
	if len(paths) > 0 {
		add(lblistenerrule.LbListenerRuleCondition{
			PathPattern: &lblistenerrule.LbListenerRuleConditionPathPattern{Values: jsii.Strings(paths...)},
		})
	}
	if len(r.Hosts) > 0 {
		add(lblistenerrule.LbListenerRuleCondition{
			HostHeader: &lblistenerrule.LbListenerRuleConditionHostHeader{Values: jsii.Strings(r.Hosts...)},
		})
	}
	for _, header := range slices.Sorted(maps.Keys(r.Headers)) {
		add(lblistenerrule.LbListenerRuleCondition{HttpHeader: &lblistenerrule.LbListenerRuleConditionHttpHeader{
			HttpHeaderName: jsii.String(header), Values: jsii.Strings(r.Headers[header]...),
		}})
	}
	if len(r.Sources) > 0 {
		add(lblistenerrule.LbListenerRuleCondition{
			SourceIp: &lblistenerrule.LbListenerRuleConditionSourceIp{Values: jsii.Strings(r.Sources...)},
		})
	}
	return &all
}
