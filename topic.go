package main

import (
	"regexp"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopic"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicpolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicsubscription"
)

// Topic is where alarms and events go, and from there to people.
type Topic struct {
	ARN   *string
	Ready dependencies // what publishes to the topic depends on its policy
}

// newTopic declares the topic, encrypted, open to the services that publish alarms and events of
// this account.
func newTopic(s *scope) *Topic {
	topic := snstopic.NewSnsTopic(s.stack, jsii.String("alerts_topic"), &snstopic.SnsTopicConfig{
		Name: jsii.String(s.named("alerts")), KmsMasterKeyId: s.keys.Alerts, Tags: s.tags("alerts"),
	})
	policy := snstopicpolicy.NewSnsTopicPolicy(s.stack, jsii.String("alerts_topic_policy"),
		&snstopicpolicy.SnsTopicPolicyConfig{Arn: topic.Arn(), Policy: policyJSON(topicStatements(s, *topic.Arn())...)})
	for _, email := range s.cfg.Monitoring.Emails {
		snstopicsubscription.NewSnsTopicSubscription(s.stack, jsii.String(subscriptionID(email)),
			&snstopicsubscription.SnsTopicSubscriptionConfig{
				TopicArn: topic.Arn(), Protocol: jsii.String("email"), Endpoint: jsii.String(email),
			})
	}
	return &Topic{ARN: topic.Arn(), Ready: dependencies{policy}}
}

func topicStatements(s *scope, topicARN string) []statement {
	from := func(sid, publisher string, source ...condition) statement {
		return statement{
			sid: sid, principals: awsService(publisher), conditions: source,
			actions: []string{"sns:Publish"}, resources: []string{topicARN},
		}
	}
	sourceARN := func(arn string) condition { return condition{"ArnLike", "aws:SourceArn", []string{arn}} }
	stack := s.cfg.Stack()
	return []statement{
		from("Alarms", "cloudwatch.amazonaws.com", sourceARN(s.arn("cloudwatch", "alarm:"+stack+"-*"))),
		// AWS does not support conditions in a topic's policy for EventBridge. With one,
		// EventBridge could not publish, and only the metric FailedInvocations (AWS/Events) would
		// show that.
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
		from("Events", "events.amazonaws.com"),
		// By account alone: RDS's documentation does not say which ARN is the source, the
		// instance's or the subscription's.
		from("DatabaseEvents", "events.rds.amazonaws.com", equals("aws:SourceAccount", s.account)),
		{
			sid: "TLSOnly", deny: true, principals: everyone(),
			actions: []string{"sns:Publish"}, resources: []string{topicARN},
			conditions: []condition{{"Bool", "aws:SecureTransport", []string{"false"}}},
		},
	}
}

var notInID = regexp.MustCompile(`[^a-z0-9]+`)

// subscriptionID is the id of an address' subscription. Its readable part may be the same for two
// addresses, its digest is not.
func subscriptionID(email string) string {
	readable := notInID.ReplaceAllString(strings.ToLower(email), "_")
	return "alerts_subscription_" + underscored(digestedName(60, readable, email))
}
