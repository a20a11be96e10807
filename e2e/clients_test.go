//go:build e2e

package e2e

import (
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"

	"platform/internal/emulator"
)

// clients has a client for every AWS service that the stack uses, for one region. They call the
// emulator directly, not through a proxy.
type clients struct {
	acm              *acm.Client
	autoscaling      *applicationautoscaling.Client
	cloudwatch       *cloudwatch.Client
	ec2              *ec2.Client
	ecr              *ecr.Client
	ecs              *ecs.Client
	elb              *elb.Client
	events           *eventbridge.Client
	iam              *iam.Client
	kms              *kms.Client
	lambda           *lambda.Client
	logs             *cloudwatchlogs.Client
	rds              *rds.Client
	route53          *route53.Client
	s3               *s3.Client
	scheduler        *scheduler.Client
	secretsmanager   *secretsmanager.Client
	servicediscovery *servicediscovery.Client
	sns              *sns.Client
	wafv2            *wafv2.Client
}

func (s *sandbox) clients(region string) *clients {
	config := emulator.Config(s.server.URL, region)
	return &clients{
		acm:              acm.NewFromConfig(config),
		autoscaling:      applicationautoscaling.NewFromConfig(config),
		cloudwatch:       cloudwatch.NewFromConfig(config),
		ec2:              ec2.NewFromConfig(config),
		ecr:              ecr.NewFromConfig(config),
		ecs:              ecs.NewFromConfig(config),
		elb:              elb.NewFromConfig(config),
		events:           eventbridge.NewFromConfig(config),
		iam:              iam.NewFromConfig(config),
		kms:              kms.NewFromConfig(config),
		lambda:           lambda.NewFromConfig(config),
		logs:             cloudwatchlogs.NewFromConfig(config),
		rds:              rds.NewFromConfig(config),
		route53:          route53.NewFromConfig(config),
		s3:               s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true }),
		scheduler:        scheduler.NewFromConfig(config),
		secretsmanager:   secretsmanager.NewFromConfig(config),
		servicediscovery: servicediscovery.NewFromConfig(config),
		sns:              sns.NewFromConfig(config),
		wafv2:            wafv2.NewFromConfig(config),
	}
}
