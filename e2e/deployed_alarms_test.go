//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"platform/internal/emulator"
)

// alarms returns the alarms of the stack, without those of Application Auto Scaling.
func (w *deployed) alarms() map[string]alarmSettings {
	w.Helper()
	alarms := map[string]alarmSettings{}
	for p := range pages(w.T, cloudwatch.NewDescribeAlarmsPaginator(w.cloudwatch, nil)) {
		for _, a := range p.MetricAlarms {
			if strings.HasPrefix(*a.AlarmName, "TargetTracking-") {
				continue
			}
			alarm := alarmSettings{arn: *a.AlarmArn, alarm: a.AlarmActions, ok: a.OKActions, on: map[string]string{}}
			for _, d := range a.Dimensions {
				alarm.on[*d.Name] = *d.Value
			}
			for _, query := range a.Metrics {
				if query.MetricStat != nil {
					for _, d := range query.MetricStat.Metric.Dimensions {
						alarm.on[*d.Name] = *d.Value
					}
				}
			}
			alarms[*a.AlarmName] = alarm
		}
	}
	return alarms
}

type alarmSettings struct {
	arn       string
	alarm, ok []string          // actions
	on        map[string]string // dimensions
}

// alarmsNotifyTheTopic: all alarms but those that only ECS deployments use.
func (w *deployed) alarmsNotifyTheTopic() {
	alarms := w.alarms()
	for _, service := range w.services() {
		if watched := service.DeploymentConfiguration.Alarms; watched != nil {
			w.equal(*service.ServiceName+": deployment alarms are enabled with rollback",
				watched.Enable && watched.Rollback, true)
			for _, name := range watched.AlarmNames {
				if _, ok := alarms[name]; !ok {
					w.Errorf("%s: the deployment uses alarm %s, which does not exist", *service.ServiceName, name)
				}
				delete(alarms, name)
			}
		}
	}
	if len(alarms) < 10 {
		w.Errorf("want at least 10 alarms, have %d", len(alarms))
	}
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		w.equal(name+": alarm actions", alarms[name].alarm, []string{w.topic})
		w.equal(name+": OK actions", alarms[name].ok, []string{w.topic})
	}
	for _, noun := range []string{"deployment-failed", "rotation-failed"} {
		rule := w.stack + "-" + noun
		target := only(w.T, "target of "+rule, must(w.events.ListTargetsByRule(alive,
			&eventbridge.ListTargetsByRuleInput{Rule: &rule}))(w.T).Targets)
		w.equal("target of the rule "+rule, *target.Arn, w.topic)
	}

	var emails []string
	for p := range pages(w.T, sns.NewListSubscriptionsByTopicPaginator(w.sns, &sns.ListSubscriptionsByTopicInput{
		TopicArn: &w.topic,
	})) {
		for _, s := range p.Subscriptions {
			emails = append(emails, *s.Endpoint)
		}
	}
	w.sameElements("subscriptions of the topic", emails, w.emails)
}

// alarmsReferToExistingResources: an alarm on a resource that does not exist never fires, or
// always.
func (w *deployed) alarmsReferToExistingResources() {
	after := func(arn, mark string) string { return arn[strings.Index(arn, mark)+len(mark):] }
	there := map[string][]string{
		"LoadBalancer":         {after(*w.loadBalancer.LoadBalancerArn, ":loadbalancer/")},
		"TargetGroup":          {"targetgroup/" + after(*w.targetGroup.TargetGroupArn, ":targetgroup/")},
		"DBInstanceIdentifier": {*w.database.DBInstanceIdentifier},
		"TopicName":            {after(w.heartbeat, w.region+":"+emulator.Account+":")},
	}
	for p := range pages(w.T, ec2.NewDescribeNatGatewaysPaginator(w.ec2, &ec2.DescribeNatGatewaysInput{
		Filter: w.inVPC(),
	})) {
		for _, nat := range p.NatGateways {
			there["NatGatewayId"] = append(there["NatGatewayId"], *nat.NatGatewayId)
		}
	}
	for _, service := range w.services() {
		there["ServiceName"] = append(there["ServiceName"], *service.ServiceName)
		there["ClusterName"] = append(there["ClusterName"], after(*service.ClusterArn, "/"))
	}
	for p := range pages(w.T, lambda.NewListFunctionsPaginator(w.lambda, nil)) {
		for _, f := range p.Functions {
			there["FunctionName"] = append(there["FunctionName"], *f.FunctionName)
		}
	}
	for p := range pages(w.T, scheduler.NewListScheduleGroupsPaginator(w.scheduler, nil)) {
		for _, g := range p.ScheduleGroups {
			there["ScheduleGroup"] = append(there["ScheduleGroup"], *g.Name)
		}
	}
	for _, rule := range must(w.events.ListRules(alive, &eventbridge.ListRulesInput{
		NamePrefix: aws.String(w.stack + "-"),
	}))(w.T).Rules {
		there["RuleName"] = append(there["RuleName"], *rule.Name)
	}
	seen := map[string]bool{}
	var arns []string
	for name, alarm := range w.alarms() {
		arns = append(arns, alarm.arn)
		for dimension, value := range alarm.on {
			seen[dimension] = true
			if !slices.Contains(there[dimension], value) {
				w.Errorf("%s has the dimension %s %s, which does not exist", name, dimension, value)
			}
		}
	}
	w.sameElements("dimensions of alarms", slices.Collect(maps.Keys(seen)), slices.Collect(maps.Keys(there)))

	var dashboard struct {
		Widgets []struct{ Properties struct{ Alarms []string } }
	}
	body := must(w.cloudwatch.GetDashboard(alive, &cloudwatch.GetDashboardInput{
		DashboardName: &w.stack,
	}))(w.T).DashboardBody
	if err := json.Unmarshal([]byte(*body), &dashboard); err != nil {
		w.Fatalf("%v\n%s", err, *body)
	}
	for _, widget := range dashboard.Widgets {
		for _, arn := range widget.Properties.Alarms {
			if !slices.Contains(arns, arn) {
				w.Errorf("the dashboard shows an alarm that does not exist: %s", arn)
			}
		}
	}
}

// theHeartbeatReachesNobody: CloudWatch counts its messages, and they are encrypted like the others.
func (w *deployed) theHeartbeatReachesNobody() {
	attributes := must(w.sns.GetTopicAttributes(alive, &sns.GetTopicAttributesInput{
		TopicArn: &w.heartbeat,
	}))(w.T).Attributes
	w.equal("subscriptions of the heartbeat's topic", attributes["SubscriptionsConfirmed"]+" and "+
		attributes["SubscriptionsPending"], "0 and 0")
	w.equal("the key of the heartbeat's topic", attributes["KmsMasterKeyId"], w.key("alerts"))
}

// onlyAWSServicesMayPublishToTheTopic: only alarms, EventBridge and RDS may publish, with TLS only.
// They must have permission to use the topic's key, without which AWS drops their messages
// silently.
func (w *deployed) onlyAWSServicesMayPublishToTheTopic() {
	attributes := must(w.sns.GetTopicAttributes(alive, &sns.GetTopicAttributesInput{
		TopicArn: &w.topic,
	}))(w.T).Attributes
	here := w.region + ":" + emulator.Account
	want := map[string]map[string]map[string]list{
		"cloudwatch.amazonaws.com": {
			"ArnLike": {"aws:SourceArn": {"arn:aws:cloudwatch:" + here + ":alarm:" + w.stack + "-*"}},
		},
		"events.amazonaws.com":     nil, // AWS supports no condition for EventBridge
		"events.rds.amazonaws.com": {"StringEquals": {"aws:SourceAccount": {emulator.Account}}},
		"everyone, denied":         {"Bool": {"aws:SecureTransport": {"false"}}},
	}
	have := map[string]map[string]map[string]list{}
	for _, s := range w.policy(attributes["Policy"]).Statement {
		who := fmt.Sprint(s.Principal)
		switch p := s.Principal.(type) {
		case map[string]any:
			who = fmt.Sprint(p["Service"])
		case string:
			if s.Effect == "Deny" {
				who = "everyone, denied"
			}
		}
		have[who] = s.Condition
		w.equal("actions of "+who+" in the topic's policy", s.Action, list{"sns:Publish"})
		w.equal("resources of "+who+" in the topic's policy", s.Resource, list{w.topic})
	}
	w.equal("principals and conditions of the topic's policy", have, want)

	w.equal("the topic's key", attributes["KmsMasterKeyId"], w.key("alerts"))
	key := w.key("alerts")
	users := map[string][]string{}
	text := must(w.kms.GetKeyPolicy(alive, &kms.GetKeyPolicyInput{
		KeyId:      &key,
		PolicyName: aws.String("default"),
	}))(w.T).Policy
	for _, s := range w.policy(*text).Statement {
		principals, _ := s.Principal.(map[string]any)
		switch services := principals["Service"].(type) {
		case string:
			users[services] = append(users[services], s.Action...)
		case []any:
			for _, service := range services {
				users[fmt.Sprint(service)] = append(users[fmt.Sprint(service)], s.Action...)
			}
		}
	}
	for _, service := range []string{"cloudwatch.amazonaws.com", "events.amazonaws.com", "events.rds.amazonaws.com"} {
		w.sameElements("actions of "+service+" in the policy of the topic's key", users[service], []string{
			"kms:Decrypt",
			"kms:GenerateDataKey*",
		})
	}
}
