package main

import (
	"maps"
	"slices"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventtarget"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbeventsubscription"
)

// Events is what sends events to the topic.
type Events struct {
	rules map[string]*string // names of EventBridge's rules, by the noun of each
}

// newEvents sends to the topic what no metric shows: a failed deployment, a failed rotation, and
// RDS's events about the instance, and dumps that failed.
func newEvents(s *scope, topic *Topic, cluster *Cluster, db *Database, dumps *Dumps) *Events {
	events := &Events{rules: map[string]*string{}}
	events.newDeploymentEvents(s, topic, *cluster.Name)
	events.newRotationEvents(s, topic)
	if dumps != nil {
		events.newDumpEvents(s, topic, cluster, dumps.Families)
	}
	if db != nil {
		newDatabaseEvents(s, topic, db)
	}
	return events
}

// newDatabaseEvents sends RDS's events about the instance.
func newDatabaseEvents(s *scope, topic *Topic, db *Database) {
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

// newDeploymentEvents sends deployments that fail and those that ECS rolls back, also after
// Terraform has ended. ECS documents SERVICE_DEPLOYMENT_FAILED for the circuit breaker only. The
// start of every rollback is an event too, with the name of the event of a started deployment and
// another reason. So one rollback may send two messages.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html
func (events *Events) newDeploymentEvents(s *scope, topic *Topic, cluster string) {
	events.newRule(s, topic, eventRule{
		noun:        "deployment_failed",
		description: "A deployment of a service failed or is being rolled back",
		pattern: map[string]any{
			"source":      []string{"aws.ecs"},
			"detail-type": []string{"ECS Deployment State Change"},
			"resources":   []any{map[string]any{"prefix": s.arn("ecs", "service/"+cluster+"/")}},
			"detail": map[string]any{"$or": []any{
				map[string]any{"eventName": []string{"SERVICE_DEPLOYMENT_FAILED"}},
				map[string]any{
					"eventName": []string{"SERVICE_DEPLOYMENT_IN_PROGRESS"},
					"reason": []any{
						map[string]any{"wildcard": "*roll*back*"}, map[string]any{"wildcard": "*Roll*back*"},
					},
				},
			}},
		},
	})
}

// newRotationEvents is about rotations that failed, or whose new version somebody replaced. Secrets
// Manager sends these events through CloudTrail, so only an account with a trail has them: without
// one, the alarms on the function's errors and on overdue rotations remain.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
func (events *Events) newRotationEvents(s *scope, topic *Topic) {
	if len(s.cfg.DatabaseUserNames()) == 0 {
		return
	}
	secrets := s.arn("secretsmanager", "secret:"+secretPrefix(s))
	events.newRule(s, topic, eventRule{
		noun:        "rotation_failed",
		description: "The password of a service was not rotated; the current one still works",
		pattern: map[string]any{
			"source":      []string{"aws.secretsmanager"},
			"detail-type": []string{"AWS Service Event via CloudTrail"},
			"detail": map[string]any{
				"eventName":           []string{"RotationFailed", "RotationAbandoned"},
				"additionalEventData": map[string]any{"SecretId": []any{map[string]any{"prefix": secrets}}},
			},
		},
	})
}

// newDumpEvents sends dumps and rehearsals that failed: a container ended with an error, ECS could not
// start the task, or somebody stopped it. A task that ended well was stopped with its essential
// container, which ended with 0.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
func (events *Events) newDumpEvents(s *scope, topic *Topic, cluster *Cluster, families []string) {
	var groups []string
	for _, family := range families {
		groups = append(groups, "family:"+family)
	}
	failed := func(value any) []any { return []any{map[string]any{"anything-but": value}} }
	events.newRule(s, topic, eventRule{
		noun:        "dump_failed",
		description: "A dump of the database, or the rehearsal of a restore, failed",
		pattern: map[string]any{
			"source":      []string{"aws.ecs"},
			"detail-type": []string{"ECS Task State Change"},
			"detail": map[string]any{
				"clusterArn": []string{*cluster.ARN},
				"group":      groups,
				"lastStatus": []string{"STOPPED"},
				"$or": []any{
					map[string]any{"containers": map[string]any{"exitCode": failed(0)}},
					map[string]any{"stopCode": failed("EssentialContainerExited")},
				},
			},
		},
	})
}

// eventRule is what differs between the rules.
type eventRule struct {
	noun, description string
	pattern           map[string]any
}

// newRule declares a rule that sends the events of a pattern to the topic.
func (events *Events) newRule(s *scope, topic *Topic, r eventRule) {
	rule := cloudwatcheventrule.NewCloudwatchEventRule(s.stack, jsii.String(r.noun+"_rule"),
		&cloudwatcheventrule.CloudwatchEventRuleConfig{
			Name:         jsii.String(s.named(dashed(r.noun))),
			Description:  jsii.String(r.description),
			EventPattern: jsii.String(marshal(r.pattern)),
			Tags:         s.tags(dashed(r.noun)),
		})
	cloudwatcheventtarget.NewCloudwatchEventTarget(s.stack, jsii.String(r.noun+"_target"),
		&cloudwatcheventtarget.CloudwatchEventTargetConfig{
			Rule: rule.Name(), Arn: topic.ARN, TargetId: jsii.String("alerts"), DependsOn: topic.Ready.list(),
		})
	events.rules[r.noun] = rule.Name()
}

func (events *Events) alarms() (alarms []alarm) {
	for _, noun := range slices.Sorted(maps.Keys(events.rules)) {
		rule := events.rules[noun]
		alarms = append(alarms, alarm{
			id:      noun + "_undelivered",
			runbook: "services.md#events_undelivered",
			description: "EventBridge could not deliver an event to the alerts topic, so that nobody was told of it. " +
				"See the policies of the topic and of its key, and what happened to the services at that time.",
			namespace: "AWS/Events", metric: "FailedInvocations", statistic: "Sum",
			dimensions: map[string]*string{"RuleName": rule},
			threshold:  0, period: 300, datapoints: 1, periods: 1, missing: missingIsFine,
		})
	}
	return alarms
}
