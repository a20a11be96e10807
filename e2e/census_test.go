//go:build e2e

package e2e

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"
	waftypes "github.com/aws/aws-sdk-go-v2/service/wafv2/types"
)

// holdings are the names of all that an account holds, by the type that Terraform has for it.
type holdings map[string][]string

func (h holdings) add(kind string, name string) { h[kind] = append(h[kind], name) }

// holdings asks every service that the stack uses what it holds, in the stack's region and in what
// has no region. It asks for everything, not for what carries the stack's name or tags: what was
// left behind may have lost both. Left out is only what AWS itself keeps, for a while or for ever,
// when a thing is deleted; each function below says so where it leaves something out.
//
// A name is followed by the id where one name may stand for two things.
func (s *site) holdings(t *testing.T) holdings {
	t.Helper()
	h := holdings{}
	region := s.shipped(t)["region"].(string)
	c := s.clients(region)
	for _, ask := range []func(*testing.T, *clients, holdings){
		holdingsOfNetwork, holdingsOfBalancers, holdingsOfTasks, holdingsOfDatabases,
		holdingsOfBuckets, holdingsOfIdentity,
		holdingsOfMonitoring, holdingsOfFunctions, holdingsOfNames,
	} {
		ask(t, c, h)
	}
	if s.isProtected(t) {
		// RDS takes a last snapshot of a production database, and keeps those of its own (rds:) for
		// their time.
		h["aws_db_snapshot"] = slices.DeleteFunc(h["aws_db_snapshot"], func(name string) bool {
			return strings.HasPrefix(name, "rds:") || strings.Contains(name, "-final-")
		})
	}
	return h
}

// compareHoldings wants something to have left the account as it was.
func compareHoldings(t *testing.T, what string, before, after holdings) {
	t.Helper()
	kinds := maps.Clone(before)
	maps.Copy(kinds, after)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		missing, extra := difference(before[kind], after[kind])
		for _, name := range missing {
			t.Errorf("after %s, %s %s is gone", what, kind, name)
		}
		for _, name := range extra {
			if !isState(kind, name) {
				t.Errorf("after %s, there is %s %s", what, kind, name)
			}
		}
	}
}

// isState tells whether something is Terraform's state, which stays in its bucket when there is
// nothing left to say in it. The lock beside it does not.
func isState(kind, name string) bool {
	return kind == "aws_s3_object" && strings.HasSuffix(name, ".tfstate")
}

// ---- Asking -------------------------------------------------------------------------------------

// pager is what the SDK's paginators have in common.
type pager[Page, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (*Page, error)
}

// pages are all that a list has.
func pages[Page, Options any](t *testing.T, p pager[Page, Options]) iter.Seq[*Page] {
	t.Helper()
	return func(yield func(*Page) bool) {
		t.Helper()
		for p.HasMorePages() {
			page, err := p.NextPage(alive)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(page) {
				return
			}
		}
	}
}

// said is what a call answered.
func said[Answer any](answer *Answer, err error) func(*testing.T) *Answer {
	return func(t *testing.T) *Answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// named is an id with the Name tag, if there is one.
func named(tags []ec2types.Tag, id *string) string {
	for _, tag := range tags {
		if *tag.Key == "Name" {
			return *tag.Value + " (" + *id + ")"
		}
	}
	return *id
}

// ---- What there is ------------------------------------------------------------------------------

func holdingsOfNetwork(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, ec2.NewDescribeVpcsPaginator(c.ec2, nil)) {
		for _, v := range p.Vpcs {
			h.add("aws_vpc", named(v.Tags, v.VpcId))
		}
	}
	for p := range pages(t, ec2.NewDescribeSubnetsPaginator(c.ec2, nil)) {
		for _, s := range p.Subnets {
			h.add("aws_subnet", named(s.Tags, s.SubnetId))
		}
	}
	for p := range pages(t, ec2.NewDescribeRouteTablesPaginator(c.ec2, nil)) {
		for _, r := range p.RouteTables {
			h.add("aws_route_table", named(r.Tags, r.RouteTableId))
		}
	}
	for p := range pages(t, ec2.NewDescribeInternetGatewaysPaginator(c.ec2, nil)) {
		for _, g := range p.InternetGateways {
			h.add("aws_internet_gateway", named(g.Tags, g.InternetGatewayId))
		}
	}
	for p := range pages(t, ec2.NewDescribeNatGatewaysPaginator(c.ec2, nil)) {
		for _, g := range p.NatGateways {
			if g.State != ec2types.NatGatewayStateDeleted { // is still told of for an hour
				h.add("aws_nat_gateway", named(g.Tags, g.NatGatewayId))
			}
		}
	}
	for _, a := range said(c.ec2.DescribeAddresses(alive, nil))(t).Addresses {
		h.add("aws_eip", named(a.Tags, a.AllocationId))
	}
	for p := range pages(t, ec2.NewDescribeVpcEndpointsPaginator(c.ec2, nil)) {
		for _, e := range p.VpcEndpoints {
			if !strings.EqualFold(string(e.State), string(ec2types.StateDeleted)) { // likewise; moto writes it small
				h.add("aws_vpc_endpoint", named(e.Tags, e.VpcEndpointId))
			}
		}
	}
	for p := range pages(t, ec2.NewDescribeSecurityGroupsPaginator(c.ec2, nil)) {
		for _, g := range p.SecurityGroups {
			h.add("aws_security_group", *g.GroupName+" ("+*g.GroupId+")")
		}
	}
	for p := range pages(t, ec2.NewDescribeSecurityGroupRulesPaginator(c.ec2, nil)) {
		for _, r := range p.SecurityGroupRules {
			kind := "aws_vpc_security_group_ingress_rule"
			if *r.IsEgress {
				kind = "aws_vpc_security_group_egress_rule"
			}
			h.add(kind, named(r.Tags, r.SecurityGroupRuleId)+" of "+*r.GroupId)
		}
	}
	// No network interfaces: the stack makes none itself, they come and go with what they serve.
	// moto keeps those of gateways, even of refused ones.
	for p := range pages(t, ec2.NewDescribeNetworkAclsPaginator(c.ec2, nil)) {
		for _, a := range p.NetworkAcls {
			if !*a.IsDefault { // comes and goes with its VPC; moto forgets the second
				h.add("aws_network_acl", named(a.Tags, a.NetworkAclId))
			}
		}
	}
	for p := range pages(t, ec2.NewDescribeFlowLogsPaginator(c.ec2, nil)) {
		for _, l := range p.FlowLogs {
			h.add("aws_flow_log", named(l.Tags, l.FlowLogId))
		}
	}
}

func holdingsOfBalancers(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, elb.NewDescribeLoadBalancersPaginator(c.elb, nil)) {
		for _, b := range p.LoadBalancers {
			h.add("aws_lb", *b.LoadBalancerArn)
			holdingsOfListeners(t, c, h, b.LoadBalancerArn)
		}
	}
	for p := range pages(t, elb.NewDescribeTargetGroupsPaginator(c.elb, nil)) {
		for _, g := range p.TargetGroups {
			h.add("aws_lb_target_group", *g.TargetGroupArn)
		}
	}
	regional := &wafv2.ListWebACLsInput{Scope: waftypes.ScopeRegional}
	// There is no paginator, and an account has fewer than a page.
	for _, a := range said(c.wafv2.ListWebACLs(alive, regional))(t).WebACLs {
		h.add("aws_wafv2_web_acl", *a.Name)
	}
	for p := range pages(t, acm.NewListCertificatesPaginator(c.acm, nil)) {
		for _, a := range p.CertificateSummaryList {
			h.add("aws_acm_certificate", *a.DomainName+" ("+*a.CertificateArn+")")
		}
	}
}

func holdingsOfListeners(t *testing.T, c *clients, h holdings, balancer *string) {
	t.Helper()
	for p := range pages(t, elb.NewDescribeListenersPaginator(c.elb, &elb.DescribeListenersInput{
		LoadBalancerArn: balancer,
	})) {
		for _, l := range p.Listeners {
			h.add("aws_lb_listener", *l.ListenerArn)
			for p := range pages(t, elb.NewDescribeRulesPaginator(c.elb, &elb.DescribeRulesInput{
				ListenerArn: l.ListenerArn,
			})) {
				for _, r := range p.Rules {
					if !*r.IsDefault { // belongs to the listener
						h.add("aws_lb_listener_rule", *r.RuleArn)
					}
				}
			}
		}
	}
}

func holdingsOfTasks(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, ecs.NewListClustersPaginator(c.ecs, nil)) {
		for _, cluster := range p.ClusterArns {
			holdingsOfCluster(t, c, h, cluster)
		}
	}
	// A task definition that was deleted stays as an inactive one for as long as AWS likes.
	active := &ecs.ListTaskDefinitionsInput{Status: ecstypes.TaskDefinitionStatusActive}
	for p := range pages(t, ecs.NewListTaskDefinitionsPaginator(c.ecs, active)) {
		for _, definition := range p.TaskDefinitionArns {
			h.add("aws_ecs_task_definition", definition)
		}
	}
	const namespace = autoscalingtypes.ServiceNamespaceEcs
	for p := range pages(t, applicationautoscaling.NewDescribeScalableTargetsPaginator(c.autoscaling,
		&applicationautoscaling.DescribeScalableTargetsInput{ServiceNamespace: namespace})) {
		for _, target := range p.ScalableTargets {
			h.add("aws_appautoscaling_target", *target.ResourceId)
		}
	}
	for p := range pages(t, applicationautoscaling.NewDescribeScalingPoliciesPaginator(c.autoscaling,
		&applicationautoscaling.DescribeScalingPoliciesInput{ServiceNamespace: namespace})) {
		for _, policy := range p.ScalingPolicies {
			h.add("aws_appautoscaling_policy", *policy.PolicyName+" of "+*policy.ResourceId)
		}
	}
	for p := range pages(t, applicationautoscaling.NewDescribeScheduledActionsPaginator(c.autoscaling,
		&applicationautoscaling.DescribeScheduledActionsInput{ServiceNamespace: namespace})) {
		for _, action := range p.ScheduledActions {
			h.add("aws_appautoscaling_scheduled_action", *action.ScheduledActionName+" of "+*action.ResourceId)
		}
	}
	for p := range pages(t, ecr.NewDescribeRepositoriesPaginator(c.ecr, nil)) {
		for _, r := range p.Repositories {
			h.add("aws_ecr_repository", *r.RepositoryName)
		}
	}
}

// holdingsOfCluster: what was deleted may be told of as inactive for a while.
func holdingsOfCluster(t *testing.T, c *clients, h holdings, cluster string) {
	t.Helper()
	const inactive = "INACTIVE"
	for _, found := range said(c.ecs.DescribeClusters(alive, &ecs.DescribeClustersInput{
		Clusters: []string{cluster},
	}))(t).Clusters {
		if *found.Status != inactive {
			h.add("aws_ecs_cluster", *found.ClusterName)
		}
	}
	// Ten are on a page, as many as can be described at once.
	for p := range pages(t, ecs.NewListServicesPaginator(c.ecs, &ecs.ListServicesInput{Cluster: &cluster})) {
		if len(p.ServiceArns) == 0 {
			continue
		}
		for _, found := range said(c.ecs.DescribeServices(alive, &ecs.DescribeServicesInput{
			Cluster:  &cluster,
			Services: p.ServiceArns,
		}))(t).Services {
			if *found.Status != inactive {
				h.add("aws_ecs_service", *found.ServiceName+" of "+*found.ClusterArn)
			}
		}
	}
}

func holdingsOfDatabases(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, rds.NewDescribeDBInstancesPaginator(c.rds, nil)) {
		for _, i := range p.DBInstances {
			h.add("aws_db_instance", *i.DBInstanceIdentifier)
		}
	}
	for p := range pages(t, rds.NewDescribeDBSnapshotsPaginator(c.rds, nil)) {
		for _, s := range p.DBSnapshots {
			h.add("aws_db_snapshot", *s.DBSnapshotIdentifier)
		}
	}
	for p := range pages(t, rds.NewDescribeDBParameterGroupsPaginator(c.rds, nil)) {
		for _, g := range p.DBParameterGroups {
			h.add("aws_db_parameter_group", *g.DBParameterGroupName)
		}
	}
	for p := range pages(t, rds.NewDescribeDBSubnetGroupsPaginator(c.rds, nil)) {
		for _, g := range p.DBSubnetGroups {
			h.add("aws_db_subnet_group", *g.DBSubnetGroupName)
		}
	}
	for p := range pages(t, rds.NewDescribeEventSubscriptionsPaginator(c.rds, nil)) {
		for _, s := range p.EventSubscriptionsList {
			h.add("aws_db_event_subscription", *s.CustSubscriptionId)
		}
	}
	// Those that wait for deletion are listed only on request.
	for p := range pages(t, secretsmanager.NewListSecretsPaginator(c.secretsmanager, nil)) {
		for _, s := range p.SecretList {
			h.add("aws_secretsmanager_secret", *s.Name)
		}
	}
}

// holdingsOfBuckets has the bucket of the states, too: a lock that was left there, or a state of
// nobody, is left behind like anything else.
func holdingsOfBuckets(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, s3.NewListBucketsPaginator(c.s3, nil)) {
		for _, b := range p.Buckets {
			h.add("aws_s3_bucket", *b.Name)
			for p := range pages(t, s3.NewListObjectsV2Paginator(c.s3, &s3.ListObjectsV2Input{Bucket: b.Name})) {
				for _, o := range p.Contents {
					h.add("aws_s3_object", *b.Name+"/"+*o.Key)
				}
			}
		}
	}
}

func holdingsOfIdentity(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, iam.NewListRolesPaginator(c.iam, nil)) {
		for _, r := range p.Roles {
			h.add("aws_iam_role", *r.RoleName)
			for p := range pages(t, iam.NewListRolePoliciesPaginator(c.iam, &iam.ListRolePoliciesInput{
				RoleName: r.RoleName,
			})) {
				for _, policy := range p.PolicyNames {
					h.add("aws_iam_role_policy", policy+" of "+*r.RoleName)
				}
			}
		}
	}
	// Without AWS's own.
	for p := range pages(t, iam.NewListPoliciesPaginator(c.iam, &iam.ListPoliciesInput{
		Scope: iamtypes.PolicyScopeTypeLocal,
	})) {
		for _, policy := range p.Policies {
			h.add("aws_iam_policy", *policy.PolicyName)
		}
	}
	for p := range pages(t, kms.NewListKeysPaginator(c.kms, nil)) {
		for _, k := range p.Keys {
			key := said(c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: k.KeyId}))(t).KeyMetadata
			// A key goes 7 to 30 days after its deletion. One of AWS's own comes with the first use
			// of a service, and stays.
			if key.KeyState != kmstypes.KeyStatePendingDeletion && key.KeyManager != kmstypes.KeyManagerTypeAws {
				h.add("aws_kms_key", aws.ToString(key.Description)+" ("+*k.KeyId+")")
			}
		}
	}
	for p := range pages(t, kms.NewListAliasesPaginator(c.kms, nil)) {
		for _, a := range p.Aliases {
			if !strings.HasPrefix(*a.AliasName, "alias/aws/") { // AWS's own
				h.add("aws_kms_alias", *a.AliasName)
			}
		}
	}
}

func holdingsOfMonitoring(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, cloudwatchlogs.NewDescribeLogGroupsPaginator(c.logs, nil)) {
		for _, g := range p.LogGroups {
			h.add("aws_cloudwatch_log_group", *g.LogGroupName)
		}
	}
	for p := range pages(t, cloudwatch.NewDescribeAlarmsPaginator(c.cloudwatch, nil)) {
		for _, a := range p.MetricAlarms {
			h.add("aws_cloudwatch_metric_alarm", *a.AlarmName)
		}
		for _, a := range p.CompositeAlarms {
			h.add("aws_cloudwatch_composite_alarm", *a.AlarmName)
		}
	}
	for p := range pages(t, cloudwatch.NewListDashboardsPaginator(c.cloudwatch, nil)) {
		for _, d := range p.DashboardEntries {
			h.add("aws_cloudwatch_dashboard", *d.DashboardName)
		}
	}
	// There is no paginator; a page has a hundred.
	for _, rule := range said(c.events.ListRules(alive, &eventbridge.ListRulesInput{}))(t).Rules {
		h.add("aws_cloudwatch_event_rule", *rule.Name)
		for _, target := range said(c.events.ListTargetsByRule(alive, &eventbridge.ListTargetsByRuleInput{
			Rule: rule.Name,
		}))(t).Targets {
			h.add("aws_cloudwatch_event_target", *target.Id+" of "+*rule.Name)
		}
	}
	for p := range pages(t, sns.NewListTopicsPaginator(c.sns, nil)) {
		for _, topic := range p.Topics {
			h.add("aws_sns_topic", *topic.TopicArn)
		}
	}
	for p := range pages(t, sns.NewListSubscriptionsPaginator(c.sns, nil)) {
		for _, s := range p.Subscriptions {
			h.add("aws_sns_topic_subscription", *s.Protocol+" to "+*s.Endpoint)
		}
	}
}

func holdingsOfFunctions(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, lambda.NewListFunctionsPaginator(c.lambda, nil)) {
		for _, f := range p.Functions {
			h.add("aws_lambda_function", *f.FunctionName)
		}
	}
	for p := range pages(t, scheduler.NewListScheduleGroupsPaginator(c.scheduler, nil)) {
		for _, g := range p.ScheduleGroups {
			h.add("aws_scheduler_schedule_group", *g.Name)
		}
	}
	for p := range pages(t, scheduler.NewListSchedulesPaginator(c.scheduler, nil)) {
		for _, s := range p.Schedules {
			h.add("aws_scheduler_schedule", *s.GroupName+"/"+*s.Name)
		}
	}
}

func holdingsOfNames(t *testing.T, c *clients, h holdings) {
	t.Helper()
	for p := range pages(t, servicediscovery.NewListNamespacesPaginator(c.servicediscovery, nil)) {
		for _, n := range p.Namespaces {
			h.add("aws_service_discovery_private_dns_namespace", *n.Name)
		}
	}
	for p := range pages(t, servicediscovery.NewListServicesPaginator(c.servicediscovery, nil)) {
		for _, s := range p.Services {
			h.add("aws_service_discovery_service", *s.Name)
		}
	}
	for p := range pages(t, route53.NewListHostedZonesPaginator(c.route53, nil)) {
		for _, z := range p.HostedZones {
			// Cloud Map makes and removes the zone of a namespace; moto forgets the second.
			if strings.HasPrefix(aws.ToString(z.Config.Comment), "hosted zone for private dns namespace ") {
				continue
			}
			h.add("aws_route53_zone", *z.Name)
			for p := range pages(t, route53.NewListResourceRecordSetsPaginator(c.route53,
				&route53.ListResourceRecordSetsInput{HostedZoneId: z.Id})) {
				for _, r := range p.ResourceRecordSets {
					h.add("aws_route53_record", string(r.Type)+" "+*r.Name+" of "+*z.Name)
				}
			}
		}
	}
}

// ---- Whether it sees all ------------------------------------------------------------------------

// partOf are types that the census does not count, with that of which each is a part: it cannot be
// left behind alone.
var partOf = map[string]string{
	"aws_acm_certificate_validation":                     "aws_acm_certificate",
	"aws_default_security_group":                         "aws_security_group",
	"aws_ecr_lifecycle_policy":                           "aws_ecr_repository",
	"aws_ecs_cluster_capacity_providers":                 "aws_ecs_cluster",
	"aws_lambda_function_event_invoke_config":            "aws_lambda_function",
	"aws_lambda_invocation":                              "aws_lambda_function",
	"aws_lambda_permission":                              "aws_lambda_function",
	"aws_route":                                          "aws_route_table",
	"aws_route_table_association":                        "aws_route_table",
	"aws_s3_bucket_lifecycle_configuration":              "aws_s3_bucket",
	"aws_s3_bucket_object_lock_configuration":            "aws_s3_bucket",
	"aws_s3_bucket_ownership_controls":                   "aws_s3_bucket",
	"aws_s3_bucket_policy":                               "aws_s3_bucket",
	"aws_s3_bucket_public_access_block":                  "aws_s3_bucket",
	"aws_s3_bucket_server_side_encryption_configuration": "aws_s3_bucket",
	"aws_s3_bucket_versioning":                           "aws_s3_bucket",
	"aws_secretsmanager_secret_rotation":                 "aws_secretsmanager_secret",
	"aws_sns_topic_policy":                               "aws_sns_topic",
	"aws_vpc_endpoint_route_table_association":           "aws_vpc_endpoint",
	"aws_vpc_endpoint_subnet_association":                "aws_vpc_endpoint",
	"aws_wafv2_web_acl_association":                      "aws_wafv2_web_acl",
	"aws_wafv2_web_acl_logging_configuration":            "aws_wafv2_web_acl",
}

// censusSeesWhatTerraformMade keeps an empty account after the destruction from being the empty
// answer to a wrong question: of every type that is in Terraform's state, the census must know as
// many as there are.
func (s *site) censusSeesWhatTerraformMade(t *testing.T) {
	out, err := s.terraform(t, "state", "list")
	if err != nil {
		t.Fatalf("terraform state list: %v\n%s", err, out)
	}
	made := map[string]int{}
	for address := range strings.FieldsSeq(out) {
		if kind, _, _ := strings.Cut(address, "."); strings.HasPrefix(kind, "aws_") {
			made[kind]++
		}
	}
	if len(made) == 0 {
		t.Errorf("terraform has made nothing:\n%s", out)
	}
	h := s.holdings(t)
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		if whole, ok := partOf[kind]; ok {
			if len(h[whole]) == 0 {
				t.Errorf("terraform has made %d %s, and the census knows no %s", made[kind], kind, whole)
			}
		} else if len(h[kind]) < made[kind] {
			t.Errorf("terraform has made %d %s, and the census knows %d", made[kind], kind, len(h[kind]))
		}
	}
}
