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

// alarms are the stack's, without those that scaling has made for itself.
func (w *standing) alarms() map[string]alarmOf {
	w.Helper()
	alarms := map[string]alarmOf{}
	for p := range pages(w.T, cloudwatch.NewDescribeAlarmsPaginator(w.cloudwatch, nil)) {
		for _, a := range p.MetricAlarms {
			if strings.HasPrefix(*a.AlarmName, "TargetTracking-") {
				continue
			}
			alarm := alarmOf{arn: *a.AlarmArn, alarm: a.AlarmActions, ok: a.OKActions, on: map[string]string{}}
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

type alarmOf struct {
	arn       string
	alarm, ok []string          // actions
	on        map[string]string // dimensions
}

// alarmsReachTheTopic: all but those that only ECS watches, while it deploys.
func (w *standing) alarmsReachTheTopic() {
	alarms := w.alarms()
	for _, service := range w.services() {
		if watched := service.DeploymentConfiguration.Alarms; watched != nil {
			w.equal(*service.ServiceName+": that a deployment looks at its alarms",
				watched.Enable && watched.Rollback, true)
			for _, name := range watched.AlarmNames {
				if _, ok := alarms[name]; !ok {
					w.Errorf("%s: a deployment watches the alarm %s, which is not there", *service.ServiceName, name)
				}
				delete(alarms, name)
			}
		}
	}
	if len(alarms) < 10 {
		w.Errorf("want ten alarms at the least, have %d", len(alarms))
	}
	for _, name := range slices.Sorted(maps.Keys(alarms)) {
		w.equal(name+": who hears of it", alarms[name].alarm, []string{w.topic})
		w.equal(name+": who hears that it is over", alarms[name].ok, []string{w.topic})
	}
	rule := w.stack + "-deployment-failed"
	target := only(w.T, "target of "+rule, said(w.events.ListTargetsByRule(alive, &eventbridge.ListTargetsByRuleInput{
		Rule: &rule,
	}))(w.T).Targets)
	w.equal("who hears of a failed deployment", *target.Arn, w.topic)

	var emails []string
	for p := range pages(w.T, sns.NewListSubscriptionsByTopicPaginator(w.sns, &sns.ListSubscriptionsByTopicInput{
		TopicArn: &w.topic,
	})) {
		for _, s := range p.Subscriptions {
			emails = append(emails, *s.Endpoint)
		}
	}
	w.same("who has subscribed to the topic", emails, w.emails)
}

// alarmsLookAtWhatIsThere: an alarm on something that does not exist never rings, or always.
func (w *standing) alarmsLookAtWhatIsThere() {
	after := func(arn, mark string) string { return arn[strings.Index(arn, mark)+len(mark):] }
	there := map[string][]string{
		"LoadBalancer":         {after(*w.balancer.LoadBalancerArn, ":loadbalancer/")},
		"TargetGroup":          {"targetgroup/" + after(*w.targets.TargetGroupArn, ":targetgroup/")},
		"DBInstanceIdentifier": {*w.database.DBInstanceIdentifier},
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
	seen := map[string]bool{}
	var arns []string
	for name, alarm := range w.alarms() {
		arns = append(arns, alarm.arn)
		for dimension, value := range alarm.on {
			seen[dimension] = true
			if !slices.Contains(there[dimension], value) {
				w.Errorf("%s looks at the %s %s, which is not there", name, dimension, value)
			}
		}
	}
	w.same("kinds of things that alarms look at", slices.Collect(maps.Keys(seen)), slices.Collect(maps.Keys(there)))

	var dashboard struct {
		Widgets []struct{ Properties struct{ Alarms []string } }
	}
	body := said(w.cloudwatch.GetDashboard(alive, &cloudwatch.GetDashboardInput{
		DashboardName: &w.stack,
	}))(w.T).DashboardBody
	if err := json.Unmarshal([]byte(*body), &dashboard); err != nil {
		w.Fatalf("%v\n%s", err, *body)
	}
	for _, widget := range dashboard.Widgets {
		for _, arn := range widget.Properties.Alarms {
			if !slices.Contains(arns, arn) {
				w.Errorf("the dashboard shows an alarm that is not there: %s", arn)
			}
		}
	}
}

// topicTakesFromAWSAlone: from alarms, events and RDS, over TLS; and these may use its key, without
// which AWS would drop what they say and tell nobody.
func (w *standing) topicTakesFromAWSAlone() {
	attributes := said(w.sns.GetTopicAttributes(alive, &sns.GetTopicAttributesInput{
		TopicArn: &w.topic,
	}))(w.T).Attributes
	here := w.region + ":" + emulator.Account
	want := map[string]map[string]map[string]list{
		"cloudwatch.amazonaws.com": {
			"ArnLike": {"aws:SourceArn": {"arn:aws:cloudwatch:" + here + ":alarm:" + w.stack + "-*"}},
		},
		"events.amazonaws.com": {"ArnLike": {"aws:SourceArn": {"arn:aws:events:" + here + ":rule/" + w.stack +
			"-*"}}},
		"events.rds.amazonaws.com": {"StringEquals": {"aws:SourceAccount": {emulator.Account}}},
		"everyone, as a refusal":   {"Bool": {"aws:SecureTransport": {"false"}}},
	}
	have := map[string]map[string]map[string]list{}
	for _, s := range w.policy(attributes["Policy"]).Statement {
		who := fmt.Sprint(s.Principal)
		switch p := s.Principal.(type) {
		case map[string]any:
			who = fmt.Sprint(p["Service"])
		case string:
			if s.Effect == "Deny" {
				who = "everyone, as a refusal"
			}
		}
		have[who] = s.Condition
		w.equal("what "+who+" may do to the topic", s.Action, list{"sns:Publish"})
		w.equal("the topic that "+who+" may publish to", s.Resource, list{w.topic})
	}
	w.equal("who may publish to the topic", have, want)

	w.equal("the topic's key", attributes["KmsMasterKeyId"], w.key("alerts"))
	key := w.key("alerts")
	users := map[string][]string{}
	text := said(w.kms.GetKeyPolicy(alive, &kms.GetKeyPolicyInput{
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
		w.same("what "+service+" may do with the topic's key", users[service], []string{
			"kms:Decrypt",
			"kms:GenerateDataKey*",
		})
	}
}
