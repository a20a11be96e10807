package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopic"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicpolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicsubscription"
)

// Topic is where alarms and events go, and from there to people, or where signs of life go.
type Topic struct {
	ARN   *string
	Name  *string
	Ready dependencies // what publishes to the topic depends on its policy
}

// newTopic declares the topic, encrypted, open to the services that publish alarms and events of
// this account.
func newTopic(s *scope) *Topic {
	topic := newBareTopic(s, "alerts", publisherStatements)
	for _, email := range s.cfg.Monitoring.Emails {
		snstopicsubscription.NewSnsTopicSubscription(s.stack, jsii.String(subscriptionID(email)),
			&snstopicsubscription.SnsTopicSubscriptionConfig{
				TopicArn: topic.ARN, Protocol: jsii.String("email"), Endpoint: jsii.String(email),
			})
	}
	return topic
}

// newHeartbeatTopic declares the topic of Prometheus' signs of life. Nobody subscribes to it:
// CloudWatch counts the messages. Its policy names no publisher, because the role of Prometheus'
// task allows it to publish.
func newHeartbeatTopic(s *scope) *Topic { return newBareTopic(s, "heartbeat", nil) }

// newBareTopic declares an encrypted topic without subscriptions. Its policy refuses what is not
// encrypted on its way, and allows what publishers, which may be nil, returns for the topic's ARN.
func newBareTopic(s *scope, noun string, publishers func(s *scope, topicARN string) []statement) *Topic {
	topic := snstopic.NewSnsTopic(s.stack, jsii.String(noun+"_topic"), &snstopic.SnsTopicConfig{
		Name: jsii.String(s.named(noun)), KmsMasterKeyId: s.keys.Alerts, Tags: s.tags(noun),
	})
	var statements []statement
	if publishers != nil {
		statements = publishers(s, *topic.Arn())
	}
	statements = append(statements, statement{
		sid: "TLSOnly", deny: true, principals: everyone(),
		actions: []string{"sns:Publish"}, resources: []string{*topic.Arn()},
		conditions: []condition{{"Bool", "aws:SecureTransport", []string{"false"}}},
	})
	policy := snstopicpolicy.NewSnsTopicPolicy(s.stack, jsii.String(noun+"_topic_policy"),
		&snstopicpolicy.SnsTopicPolicyConfig{Arn: topic.Arn(), Policy: policyJSON(statements...)})
	return &Topic{ARN: topic.Arn(), Name: topic.Name(), Ready: dependencies{policy}}
}

// publisherStatements allow the AWS services that publish alarms and events of this account.
func publisherStatements(s *scope, topicARN string) []statement {
	from := func(sid, publisher string, source ...condition) statement {
		return statement{
			sid: sid, principals: awsService(publisher), conditions: source,
			actions: []string{"sns:Publish"}, resources: []string{topicARN},
		}
	}
	sourceARN := func(arn string) condition { return condition{"ArnLike", "aws:SourceArn", []string{arn}} }
	stack := s.cfg.Stack()
	statements := []statement{
		from("Alarms", "cloudwatch.amazonaws.com", sourceARN(s.arn("cloudwatch", "alarm:"+stack+"-*"))),
		// AWS does not support conditions in a topic's policy for EventBridge. With one,
		// EventBridge could not publish, and only the metric FailedInvocations (AWS/Events) would
		// show that.
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
		from("Events", "events.amazonaws.com"),
	}
	if s.cfg.Database.Enabled {
		// By account alone: RDS's documentation does not say which ARN is the source, the
		// instance's or the subscription's.
		statements = append(statements,
			from("DatabaseEvents", "events.rds.amazonaws.com", equals("aws:SourceAccount", s.account)))
	}
	return statements
}

func subscriptionID(email string) string { return "alerts_subscription_" + readableID(email) }
