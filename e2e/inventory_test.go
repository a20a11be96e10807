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

// inventory has the names of all resources of an account, by Terraform's resource type.
type inventory map[string][]string

func (h inventory) add(kind string, name string) { h[kind] = append(h[kind], name) }

// inventory lists the resources of every AWS service that the stack uses, in the stack's region and
// in global services. It lists all resources, not only those with the stack's name or tags, because
// resources that were left behind may have lost both. It leaves out only what AWS keeps after a
// deletion; the functions below say what they leave out.
//
// If names are not unique, an ID follows the name.
func (s *sandbox) inventory(t *testing.T) inventory {
	t.Helper()
	h := inventory{}
	region := s.shipped(t)["region"].(string)
	c := s.clients(region)
	for _, ask := range []func(*testing.T, *clients, inventory){
		listNetwork, listLoadBalancers, listECS, listDatabases,
		listBuckets, listIAMAndKMS,
		listMonitoring, listFunctions, listDNS,
	} {
		ask(t, c, h)
	}
	if s.isProtected(t) {
		// RDS takes a final snapshot of a production database, and retains its automated backups
		// (rds:).
		h["aws_db_snapshot"] = slices.DeleteFunc(h["aws_db_snapshot"], func(name string) bool {
			return strings.HasPrefix(name, "rds:") || strings.Contains(name, "-final-")
		})
	}
	return h
}

// compareInventories reports differences of an account before and after an action.
func compareInventories(t *testing.T, what string, before, after inventory) {
	t.Helper()
	kinds := maps.Clone(before)
	maps.Copy(kinds, after)
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		missing, extra := difference(before[kind], after[kind])
		for _, name := range missing {
			t.Errorf("after %s, %s %s does not exist any more", what, kind, name)
		}
		for _, name := range extra {
			if !isState(kind, name) {
				t.Errorf("after %s, %s %s still exists or is new", what, kind, name)
			}
		}
	}
}

// isState reports whether a resource is Terraform's state, which stays in its bucket after the
// destruction. Its lock file must not.
func isState(kind, name string) bool {
	return kind == "aws_s3_object" && strings.HasSuffix(name, ".tfstate")
}

// ---- Calls --------------------------------------------------------------------------------------

// pager is the common interface of the SDK's paginators.
type pager[Page, Options any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*Options)) (*Page, error)
}

// pages returns all pages of a list.
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

// must returns the output of a call, and ends the test after an error.
func must[Answer any](answer *Answer, err error) func(*testing.T) *Answer {
	return func(t *testing.T) *Answer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// nameAndID returns the Name tag, if there is one, and the ID of a resource.
func nameAndID(tags []ec2types.Tag, id *string) string {
	for _, tag := range tags {
		if *tag.Key == "Name" {
			return *tag.Value + " (" + *id + ")"
		}
	}
	return *id
}

// ---- Resources ----------------------------------------------------------------------------------

func listNetwork(t *testing.T, c *clients, h inventory) {
	t.Helper()
	for p := range pages(t, ec2.NewDescribeVpcsPaginator(c.ec2, nil)) {
		for _, v := range p.Vpcs {
			h.add("aws_vpc", nameAndID(v.Tags, v.VpcId))
		}
	}
	for p := range pages(t, ec2.NewDescribeSubnetsPaginator(c.ec2, nil)) {
		for _, s := range p.Subnets {
			h.add("aws_subnet", nameAndID(s.Tags, s.SubnetId))
		}
	}
	for p := range pages(t, ec2.NewDescribeRouteTablesPaginator(c.ec2, nil)) {
		for _, r := range p.RouteTables {
			h.add("aws_route_table", nameAndID(r.Tags, r.RouteTableId))
		}
	}
	for p := range pages(t, ec2.NewDescribeInternetGatewaysPaginator(c.ec2, nil)) {
		for _, g := range p.InternetGateways {
			h.add("aws_internet_gateway", nameAndID(g.Tags, g.InternetGatewayId))
		}
	}
	for p := range pages(t, ec2.NewDescribeNatGatewaysPaginator(c.ec2, nil)) {
		for _, g := range p.NatGateways {
			if g.State != ec2types.NatGatewayStateDeleted { // is listed for an hour
				h.add("aws_nat_gateway", nameAndID(g.Tags, g.NatGatewayId))
			}
		}
	}
	for _, a := range must(c.ec2.DescribeAddresses(alive, nil))(t).Addresses {
		h.add("aws_eip", nameAndID(a.Tags, a.AllocationId))
	}
	for p := range pages(t, ec2.NewDescribeVpcEndpointsPaginator(c.ec2, nil)) {
		for _, e := range p.VpcEndpoints {
			if !strings.EqualFold(string(e.State), string(ec2types.StateDeleted)) { // likewise; in lower case in moto
				h.add("aws_vpc_endpoint", nameAndID(e.Tags, e.VpcEndpointId))
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
			h.add(kind, nameAndID(r.Tags, r.SecurityGroupRuleId)+" of "+*r.GroupId)
		}
	}
	// Without network interfaces: the stack creates none itself. moto keeps those of NAT gateways,
	// even if their creation failed.
	for p := range pages(t, ec2.NewDescribeNetworkAclsPaginator(c.ec2, nil)) {
		for _, a := range p.NetworkAcls {
			if !*a.IsDefault { // belongs to its VPC; moto does not delete it
				h.add("aws_network_acl", nameAndID(a.Tags, a.NetworkAclId))
			}
		}
	}
	for p := range pages(t, ec2.NewDescribeFlowLogsPaginator(c.ec2, nil)) {
		for _, l := range p.FlowLogs {
			h.add("aws_flow_log", nameAndID(l.Tags, l.FlowLogId))
		}
	}
}

func listLoadBalancers(t *testing.T, c *clients, h inventory) {
	t.Helper()
	for p := range pages(t, elb.NewDescribeLoadBalancersPaginator(c.elb, nil)) {
		for _, b := range p.LoadBalancers {
			h.add("aws_lb", *b.LoadBalancerArn)
			listListeners(t, c, h, b.LoadBalancerArn)
		}
	}
	for p := range pages(t, elb.NewDescribeTargetGroupsPaginator(c.elb, nil)) {
		for _, g := range p.TargetGroups {
			h.add("aws_lb_target_group", *g.TargetGroupArn)
		}
	}
	regional := &wafv2.ListWebACLsInput{Scope: waftypes.ScopeRegional}
	// There is no paginator; the account has less than a page.
	for _, a := range must(c.wafv2.ListWebACLs(alive, regional))(t).WebACLs {
		h.add("aws_wafv2_web_acl", *a.Name)
	}
	for p := range pages(t, acm.NewListCertificatesPaginator(c.acm, nil)) {
		for _, a := range p.CertificateSummaryList {
			h.add("aws_acm_certificate", *a.DomainName+" ("+*a.CertificateArn+")")
		}
	}
}

func listListeners(t *testing.T, c *clients, h inventory, loadBalancer *string) {
	t.Helper()
	for p := range pages(t, elb.NewDescribeListenersPaginator(c.elb, &elb.DescribeListenersInput{
		LoadBalancerArn: loadBalancer,
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

func listECS(t *testing.T, c *clients, h inventory) {
	t.Helper()
	for p := range pages(t, ecs.NewListClustersPaginator(c.ecs, nil)) {
		for _, cluster := range p.ClusterArns {
			listCluster(t, c, h, cluster)
		}
	}
	// Not the task definitions, which stay active on purpose, so that ECS can roll back to them.
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

// listCluster leaves out inactive resources, which AWS lists for a while after a deletion.
func listCluster(t *testing.T, c *clients, h inventory, cluster string) {
	t.Helper()
	const inactive = "INACTIVE"
	for _, found := range must(c.ecs.DescribeClusters(alive, &ecs.DescribeClustersInput{
		Clusters: []string{cluster},
	}))(t).Clusters {
		if *found.Status != inactive {
			h.add("aws_ecs_cluster", *found.ClusterName)
		}
	}
	// A page has ten services, as many as DescribeServices accepts.
	for p := range pages(t, ecs.NewListServicesPaginator(c.ecs, &ecs.ListServicesInput{Cluster: &cluster})) {
		if len(p.ServiceArns) == 0 {
			continue
		}
		for _, found := range must(c.ecs.DescribeServices(alive, &ecs.DescribeServicesInput{
			Cluster:  &cluster,
			Services: p.ServiceArns,
		}))(t).Services {
			if *found.Status != inactive {
				h.add("aws_ecs_service", *found.ServiceName+" of "+*found.ClusterArn)
			}
		}
	}
}

func listDatabases(t *testing.T, c *clients, h inventory) {
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
	// Secrets that are scheduled for deletion are not listed.
	for p := range pages(t, secretsmanager.NewListSecretsPaginator(c.secretsmanager, nil)) {
		for _, s := range p.SecretList {
			h.add("aws_secretsmanager_secret", *s.Name)
		}
	}
}

// listBuckets includes the bucket of the state, because a lock file must not remain there.
func listBuckets(t *testing.T, c *clients, h inventory) {
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

func listIAMAndKMS(t *testing.T, c *clients, h inventory) {
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
	// Without AWS managed policies.
	for p := range pages(t, iam.NewListPoliciesPaginator(c.iam, &iam.ListPoliciesInput{
		Scope: iamtypes.PolicyScopeTypeLocal,
	})) {
		for _, policy := range p.Policies {
			h.add("aws_iam_policy", *policy.PolicyName)
		}
	}
	for p := range pages(t, kms.NewListKeysPaginator(c.kms, nil)) {
		for _, k := range p.Keys {
			key := must(c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: k.KeyId}))(t).KeyMetadata
			// Without keys that are scheduled for deletion, and without AWS managed keys, which AWS
			// creates with the first use of a service.
			if key.KeyState != kmstypes.KeyStatePendingDeletion && key.KeyManager != kmstypes.KeyManagerTypeAws {
				h.add("aws_kms_key", aws.ToString(key.Description)+" ("+*k.KeyId+")")
			}
		}
	}
	for p := range pages(t, kms.NewListAliasesPaginator(c.kms, nil)) {
		for _, a := range p.Aliases {
			if !strings.HasPrefix(*a.AliasName, "alias/aws/") { // of AWS managed keys
				h.add("aws_kms_alias", *a.AliasName)
			}
		}
	}
}

func listMonitoring(t *testing.T, c *clients, h inventory) {
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
	// There is no paginator; a page has a hundred rules.
	for _, rule := range must(c.events.ListRules(alive, &eventbridge.ListRulesInput{}))(t).Rules {
		h.add("aws_cloudwatch_event_rule", *rule.Name)
		for _, target := range must(c.events.ListTargetsByRule(alive, &eventbridge.ListTargetsByRuleInput{
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

func listFunctions(t *testing.T, c *clients, h inventory) {
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

func listDNS(t *testing.T, c *clients, h inventory) {
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
			// Cloud Map creates and deletes the zone of a namespace; moto does not delete it.
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

// ---- Completeness -------------------------------------------------------------------------------

// partOf has resource types that inventory does not list, each with the type of the resource that
// it is part of and cannot exist without.
var partOf = map[string]string{
	"aws_acm_certificate_validation":                     "aws_acm_certificate",
	"aws_default_security_group":                         "aws_security_group",
	"aws_ecr_lifecycle_policy":                           "aws_ecr_repository",
	"aws_ecs_cluster_capacity_providers":                 "aws_ecs_cluster",
	"aws_ecs_task_definition":                            "aws_ecs_cluster", // stays on purpose: see listECS
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
	"aws_s3_bucket_replication_configuration":            "aws_s3_bucket",
	"aws_s3_bucket_server_side_encryption_configuration": "aws_s3_bucket",
	"aws_s3_bucket_versioning":                           "aws_s3_bucket",
	"aws_secretsmanager_secret_rotation":                 "aws_secretsmanager_secret",
	"aws_sns_topic_policy":                               "aws_sns_topic",
	"aws_vpc_endpoint_route_table_association":           "aws_vpc_endpoint",
	"aws_vpc_endpoint_subnet_association":                "aws_vpc_endpoint",
	"aws_wafv2_web_acl_association":                      "aws_wafv2_web_acl",
	"aws_wafv2_web_acl_logging_configuration":            "aws_wafv2_web_acl",
}

// inventoryHasAllOfTheState checks that inventory lists at least as many resources of each type as
// Terraform's state has. Otherwise the account could seem empty after the destruction because a
// type is not listed.
func (s *sandbox) inventoryHasAllOfTheState(t *testing.T) {
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
		t.Errorf("the state is empty:\n%s", out)
	}
	h := s.inventory(t)
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		if whole, ok := partOf[kind]; ok {
			if len(h[whole]) == 0 {
				t.Errorf("the state has %d %s, but the inventory has no %s", made[kind], kind, whole)
			}
		} else if len(h[kind]) < made[kind] {
			t.Errorf("the state has %d %s, but the inventory has %d", made[kind], kind, len(h[kind]))
		}
	}
}
