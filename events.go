package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventtarget"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbeventsubscription"
)

// newEvents sends to the topic what no metric shows: a failed deployment, and RDS's events about
// the instance.
func newEvents(s *scope, topic *Topic, cluster *Cluster, db *Database) {
	newDeploymentEvents(s, topic, *cluster.Name)
	dbeventsubscription.NewDbEventSubscription(s.stack, jsii.String("database_events"),
		&dbeventsubscription.DbEventSubscriptionConfig{
			Name:       jsii.String(s.named("database-events")),
			SnsTopic:   topic.ARN,
			SourceType: jsii.String("db-instance"),
			SourceIds:  &[]*string{db.Identifier},
			EventCategories: jsii.Strings(
				"availability", "deletion", "failover", "failure", "low storage", "maintenance", "recovery"),
			Tags:      s.tags("database-events"),
			DependsOn: topic.Ready.list(),
		})
}

func newDeploymentEvents(s *scope, topic *Topic, cluster string) {
	pattern := map[string]any{
		"source":      []string{"aws.ecs"},
		"detail-type": []string{"ECS Deployment State Change"},
		"detail":      map[string]any{"eventName": []string{"SERVICE_DEPLOYMENT_FAILED"}},
		"resources":   []any{map[string]any{"prefix": s.arn("ecs", "service/"+cluster+"/")}},
	}
	rule := cloudwatcheventrule.NewCloudwatchEventRule(s.stack, jsii.String("deployment_failed_rule"),
		&cloudwatcheventrule.CloudwatchEventRuleConfig{
			Name:         jsii.String(s.named("deployment-failed")),
			Description:  jsii.String("A deployment of a service failed and was rolled back"),
			EventPattern: jsii.String(marshal(pattern)),
			Tags:         s.tags("deployment-failed"),
		})
	cloudwatcheventtarget.NewCloudwatchEventTarget(s.stack, jsii.String("deployment_failed_target"),
		&cloudwatcheventtarget.CloudwatchEventTargetConfig{
			Rule: rule.Name(), Arn: topic.ARN, TargetId: jsii.String("alerts"), DependsOn: topic.Ready.list(),
		})
}
