//go:build e2e

package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"

	"platform/internal/emulator"
)

// intention is what an environment is meant to be, told here a second time and in AWS's words.
type intention struct {
	zones []string

	// exits are, for each zone, the zone of the NAT gateway through which its tasks reach the
	// internet.
	exits map[string]string

	// ways are all rules of all security groups. What is allowed at one end only leads nowhere.
	ways []string

	// answers are what each listener says to what no rule takes, forwards the rules.
	answers, forwards []string

	domain   string // "" without HTTPS
	firewall bool

	protected, standby bool
	logDays            int
	snapshotDays       int // RDS's own
	emails             []string
}

var intentions = map[string]intention{
	"dev": {
		zones: []string{"a", "b"},
		exits: map[string]string{"a": "a", "b": "a"},
		ways: []string{
			"into load-balancer from 0.0.0.0/0: tcp 80",
			"out of load-balancer to web: tcp 8080", "into web from load-balancer: tcp 8080",
			"out of web to database: tcp 5432", "into database from web: tcp 5432",
			"out of web to 0.0.0.0/0: tcp 443",
			"out of prometheus to 0.0.0.0/0: tcp 443",
			"out of database-function to database: tcp 5432", "into database from database-function: tcp 5432",
			"out of database-function to 0.0.0.0/0: tcp 443",
		},
		answers:  []string{"HTTP 80: 200 OK"},
		forwards: []string{"HTTP 80: 1000: path-pattern /*: forward to web"},
		logDays:  14, snapshotDays: 7,
	},
	"prod": {
		zones: []string{"a", "b", "c"},
		exits: map[string]string{"a": "a", "b": "b", "c": "c"},
		ways: []string{
			"into load-balancer from 0.0.0.0/0: tcp 80", "into load-balancer from 0.0.0.0/0: tcp 443",
			"out of load-balancer to web: tcp 8080", "into web from load-balancer: tcp 8080",
			"out of web to database: tcp 5432", "into database from web: tcp 5432",
			"out of web to 0.0.0.0/0: tcp 443",
			"out of prometheus to 0.0.0.0/0: tcp 443",
			"out of database-function to database: tcp 5432", "into database from database-function: tcp 5432",
			"out of database-function to 0.0.0.0/0: tcp 443",
		},
		answers:  []string{"HTTP 80: 301 to HTTPS 443", "HTTPS 443: 200 OK"},
		forwards: []string{"HTTPS 443: 1000: path-pattern /*: forward to web"},
		domain:   "app.example.com", firewall: true,
		protected: true, standby: true,
		logDays: 90, snapshotDays: 30,
		emails: []string{"alerts@example.com"},
	},
}

// standing is an environment as AWS's API tells of it, with what it is meant to be.
type standing struct {
	*testing.T
	*clients
	intention
	stack, region string
	vpc           string

	subnets  map[string]ec2types.Subnet // by tier and zone: private-a
	groups   map[string]string          // security groups' ids, by noun
	balancer elbtypes.LoadBalancer
	targets  elbtypes.TargetGroup
	database rdstypes.DBInstance
	topic    string
}

// inspect looks at what stands, through AWS's API and never in the stack's file: each function
// below is one promise. It leaves a snapshot behind, as the first night does.
//
// Not seen here, since moto has nothing to show: whether anything gets through (there are no
// packets, no targets' health and no TLS), what a role is refused (policies are kept, not obeyed),
// the balancer's network interfaces and its scheme (a balancer that nobody asked to be internal has
// none), whether flow logs arrive, and what PostgreSQL does with its parameters.
func (s *site) inspect(t *testing.T) {
	t.Helper()
	s.censusSeesWhatTerraformMade(t)

	w := s.standing(t)
	w.onlyTheBalancerIsOpenToTheInternet()
	w.securityGroupsAllowExactlyTheIntendedWays()
	w.everyGroupIsWornByItsOwn()
	w.subnetsLeadWhereTheyShould()
	w.balancerAnswersAndForwards()
	w.certificateIsTheDomains()
	w.domainLeadsToTheBalancer()
	w.firewallStandsBeforeTheBalancer()
	w.servicesRunTheNewestInPrivate()
	w.tasksFindWhatTheyName()
	w.databaseIsKeptSafe()
	w.bucketsAreClosed()
	w.logsAreEncryptedAndEnd()
	w.keysAreRenewed()
	w.schedulesCallTheFunction()
	w.alarmsReachTheTopic()
	w.alarmsLookAtWhatIsThere()
	w.topicTakesFromAWSAlone()
	w.functionMakesOneSnapshotForATime()
	s.servicesLogInAndAreRotated(t, w)
	s.outputsNameWhatStands(t, w)
}

// standing asks for what more than one promise is about.
func (s *site) standing(t *testing.T) *standing {
	t.Helper()
	region := s.shipped(t)["region"].(string)
	want, ok := intentions[s.environment]
	if !ok {
		t.Fatalf("nobody knows what %s is meant to be", s.environment)
	}
	w := &standing{
		T:         t,
		clients:   s.clients(region),
		intention: want,
		stack:     "platform-" + s.environment,
		region:    region,
	}

	named := []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{w.stack + "-vpc"}}}
	w.vpc = *only(t, "VPC", said(w.ec2.DescribeVpcs(alive, &ec2.DescribeVpcsInput{Filters: named}))(t).Vpcs).VpcId
	w.subnets = map[string]ec2types.Subnet{}
	for p := range pages(t, ec2.NewDescribeSubnetsPaginator(w.ec2, &ec2.DescribeSubnetsInput{Filters: w.inVPC()})) {
		for _, subnet := range p.Subnets {
			w.subnets[w.noun(subnet.Tags)] = subnet
		}
	}
	w.groups = map[string]string{}
	for p := range pages(t, ec2.NewDescribeSecurityGroupsPaginator(w.ec2, &ec2.DescribeSecurityGroupsInput{
		Filters: w.inVPC(),
	})) {
		for _, group := range p.SecurityGroups {
			w.groups[strings.TrimPrefix(*group.GroupName, w.stack+"-")] = *group.GroupId
		}
	}
	w.balancer = only(t, "load balancer", said(w.elb.DescribeLoadBalancers(alive, nil))(t).LoadBalancers)
	w.targets = only(t, "target group", said(w.elb.DescribeTargetGroups(alive, nil))(t).TargetGroups)
	w.database = only(t, "database", said(w.rds.DescribeDBInstances(alive, nil))(t).DBInstances)
	w.topic = *only(t, "topic", said(w.sns.ListTopics(alive, nil))(t).Topics).TopicArn
	return w
}

func only[Item any](t *testing.T, what string, items []Item) Item {
	t.Helper()
	if len(items) != 1 {
		t.Fatalf("want one %s, have %d", what, len(items))
	}
	return items[0]
}

// same wants two lists to hold the same, in whatever order and as often.
func (w *standing) same(what string, have, want []string) {
	w.Helper()
	have, want = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))
	if !slices.Equal(have, want) {
		w.Errorf("%s:\nhave\t%s\nwant\t%s", what, strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (w *standing) equal(what string, have, want any) {
	w.Helper()
	if !reflect.DeepEqual(have, want) {
		w.Errorf("%s: have %v, want %v", what, have, want)
	}
}

func (w *standing) inVPC() []ec2types.Filter {
	return []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{w.vpc}}}
}

// noun is a name without the stack's.
func (w *standing) noun(tags []ec2types.Tag) string {
	for _, tag := range tags {
		if *tag.Key == "Name" {
			return strings.TrimPrefix(*tag.Value, w.stack+"-")
		}
	}
	return ""
}

// tier are the ids of a tier's subnets, in the order of the zones.
func (w *standing) tier(name string) []string {
	w.Helper()
	var ids []string
	for _, zone := range w.zones {
		subnet, ok := w.subnets[name+"-"+zone]
		if !ok {
			w.Fatalf("there is no subnet %s-%s", name, zone)
		}
		ids = append(ids, *subnet.SubnetId)
	}
	return ids
}

// key is the ARN of the stack's key for a purpose.
func (w *standing) key(noun string) string {
	w.Helper()
	alias := "alias/" + w.stack + "/" + noun
	return *said(w.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: &alias}))(w.T).KeyMetadata.Arn
}

// ---- The census ---------------------------------------------------------------------------------

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

// ---- The network --------------------------------------------------------------------------------

func (w *standing) onlyTheBalancerIsOpenToTheInternet() {
	for p := range pages(w.T, ec2.NewDescribeSecurityGroupRulesPaginator(w.ec2, w.rulesOfGroups())) {
		for _, rule := range p.SecurityGroupRules {
			anyone := aws.ToString(rule.CidrIpv4) == "0.0.0.0/0" || aws.ToString(rule.CidrIpv6) == "::/0"
			if anyone && !*rule.IsEgress && *rule.GroupId != w.groups["load-balancer"] {
				w.Errorf("the internet may reach more than the balancer: %s", w.way(rule))
			}
		}
	}
	gateways := map[string]bool{} // their network interfaces
	for p := range pages(w.T, ec2.NewDescribeNatGatewaysPaginator(w.ec2, nil)) {
		for _, gateway := range p.NatGateways {
			for _, address := range gateway.NatGatewayAddresses {
				gateways[*address.NetworkInterfaceId] = true
			}
		}
	}
	for _, address := range said(w.ec2.DescribeAddresses(alive, nil))(w.T).Addresses {
		if !gateways[aws.ToString(address.NetworkInterfaceId)] {
			w.Errorf("a public address is not a NAT gateway's: %s", named(address.Tags, address.AllocationId))
		}
	}
	for p := range pages(w.T, ec2.NewDescribeNetworkInterfacesPaginator(w.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: w.inVPC(),
	})) {
		for _, i := range p.NetworkInterfaces {
			if i.Association != nil && i.Association.PublicIp != nil && !gateways[*i.NetworkInterfaceId] {
				w.Errorf("a network interface has a public address and is not a NAT gateway's: %s",
					named(i.TagSet, i.NetworkInterfaceId))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.subnets)) {
		if *w.subnets[name].MapPublicIpOnLaunch || aws.ToBool(w.subnets[name].AssignIpv6AddressOnCreation) {
			w.Errorf("what starts in subnet %s gets a public address", name)
		}
	}
	if *w.database.PubliclyAccessible {
		w.Errorf("the database has a public address")
	}
	var none *lambdatypes.ResourceNotFoundException
	name := w.stack + "-backup"
	if _, err := w.lambda.GetFunctionUrlConfig(alive, &lambda.GetFunctionUrlConfigInput{
		FunctionName: &name,
	}); !errors.As(err, &none) {
		w.Errorf("the function has an address of its own: %v", err)
	}
	if _, err := w.lambda.GetPolicy(alive, &lambda.GetPolicyInput{FunctionName: &name}); !errors.As(err, &none) {
		w.Errorf("the function may be called by who has no role for it: %v", err)
	}
}

func (w *standing) rulesOfGroups() *ec2.DescribeSecurityGroupRulesInput {
	ids := slices.Sorted(maps.Values(w.groups))
	return &ec2.DescribeSecurityGroupRulesInput{Filters: []ec2types.Filter{{Name: aws.String("group-id"), Values: ids}}}
}

// way says what a rule allows.
func (w *standing) way(rule ec2types.SecurityGroupRule) string {
	group := func(id string) string {
		for noun, known := range w.groups {
			if known == id {
				return noun
			}
		}
		return id
	}
	other := cmp.Or(aws.ToString(rule.CidrIpv4), aws.ToString(rule.CidrIpv6), aws.ToString(rule.PrefixListId))
	if rule.ReferencedGroupInfo != nil {
		other = group(*rule.ReferencedGroupInfo.GroupId)
	}
	ports := fmt.Sprint(aws.ToInt32(rule.FromPort))
	if to := aws.ToInt32(rule.ToPort); to != aws.ToInt32(rule.FromPort) {
		ports += fmt.Sprintf("-%d", to)
	}
	direction := "into %s from %s: %s %s"
	if *rule.IsEgress {
		direction = "out of %s to %s: %s %s"
	}
	return fmt.Sprintf(direction, group(*rule.GroupId), other, *rule.IpProtocol, ports)
}

// securityGroupsAllowExactlyTheIntendedWays: the default group is among them, and allows nothing.
func (w *standing) securityGroupsAllowExactlyTheIntendedWays() {
	w.same("security groups", slices.Collect(maps.Keys(w.groups)), []string{
		"default", "load-balancer", "web", "prometheus", "database", "database-function",
	})
	var have []string
	for p := range pages(w.T, ec2.NewDescribeSecurityGroupRulesPaginator(w.ec2, w.rulesOfGroups())) {
		for _, rule := range p.SecurityGroupRules {
			have = append(have, w.way(rule))
		}
	}
	w.same("rules of security groups", have, w.ways)
}

// everyGroupIsWornByItsOwn: moto puts NAT gateways into the default group, which AWS's have none
// of; they are left out.
func (w *standing) everyGroupIsWornByItsOwn() {
	w.same("the balancer's security groups", w.balancer.SecurityGroups, []string{w.groups["load-balancer"]})
	var ofDatabase []string
	for _, group := range w.database.VpcSecurityGroups {
		ofDatabase = append(ofDatabase, *group.VpcSecurityGroupId)
	}
	w.same("the database's security groups", ofDatabase, []string{w.groups["database"]})
	for _, service := range w.services() {
		w.same("security groups of "+*service.ServiceName,
			service.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups, []string{w.groups[*service.ServiceName]})
	}
}

// subnetsLeadWhereTheyShould: besides the VPC's own route, public subnets have the internet
// gateway, private ones a NAT gateway, database ones nothing.
func (w *standing) subnetsLeadWhereTheyShould() {
	attached := &ec2.DescribeInternetGatewaysInput{
		Filters: []ec2types.Filter{{Name: aws.String("attachment.vpc-id"), Values: []string{w.vpc}}},
	}
	gateways := said(w.ec2.DescribeInternetGateways(alive, attached))(w.T).InternetGateways
	gateway := only(w.T, "internet gateway", gateways)
	nats := map[string]string{} // by the zone of their subnet
	for p := range pages(w.T, ec2.NewDescribeNatGatewaysPaginator(w.ec2, &ec2.DescribeNatGatewaysInput{
		Filter: w.inVPC(),
	})) {
		for _, nat := range p.NatGateways {
			for name, subnet := range w.subnets {
				if *subnet.SubnetId == *nat.SubnetId && nat.State == ec2types.NatGatewayStateAvailable {
					nats[name] = *nat.NatGatewayId
				}
			}
		}
	}
	want := map[string][]string{}
	var places []string
	for _, zone := range w.zones {
		exit := "public-" + w.exits[zone]
		if !slices.Contains(places, exit) {
			places = append(places, exit)
		}
		want["public-"+zone] = []string{"0.0.0.0/0 " + *gateway.InternetGatewayId}
		want["private-"+zone] = []string{"0.0.0.0/0 " + nats[exit]}
		want["database-"+zone] = nil
	}
	w.same("subnets with a NAT gateway", slices.Collect(maps.Keys(nats)), places)
	w.same("subnets", slices.Collect(maps.Keys(w.subnets)), slices.Collect(maps.Keys(want)))
	routes := w.routes()
	for name, subnet := range w.subnets {
		w.equal("zone of subnet "+name, *subnet.AvailabilityZone, w.region+name[len(name)-1:])
		have, ok := routes[*subnet.SubnetId]
		if !ok {
			w.Errorf("subnet %s has no route table of its own", name)
		}
		w.same("routes of subnet "+name, have, want[name])
	}
	var throughEndpoint []string
	endpoint := only(w.T, "endpoint", said(w.ec2.DescribeVpcEndpoints(alive, &ec2.DescribeVpcEndpointsInput{
		Filters: w.inVPC(),
	}))(w.T).VpcEndpoints)
	w.equal("the endpoint's service", *endpoint.ServiceName, "com.amazonaws."+w.region+".s3")
	for p := range pages(w.T, ec2.NewDescribeRouteTablesPaginator(w.ec2, &ec2.DescribeRouteTablesInput{
		RouteTableIds: endpoint.RouteTableIds,
	})) {
		for _, table := range p.RouteTables {
			for _, a := range table.Associations {
				throughEndpoint = append(throughEndpoint, aws.ToString(a.SubnetId))
			}
		}
	}
	w.same("subnets that reach S3 through its endpoint", throughEndpoint, w.tier("private"))
}

// routes are each subnet's, without the VPC's own.
func (w *standing) routes() map[string][]string {
	w.Helper()
	routes := map[string][]string{}
	for p := range pages(w.T, ec2.NewDescribeRouteTablesPaginator(w.ec2, &ec2.DescribeRouteTablesInput{
		Filters: w.inVPC(),
	})) {
		for _, table := range p.RouteTables {
			leads := []string{}
			for _, r := range table.Routes {
				if aws.ToString(r.GatewayId) == "local" {
					continue
				}
				leads = append(leads, lead(r))
			}
			for _, a := range table.Associations {
				routes[aws.ToString(a.SubnetId)] = leads
			}
		}
	}
	return routes
}

// lead is where a route leads: a destination and what it is reached through.
func lead(r ec2types.Route) string {
	destination := cmp.Or(
		aws.ToString(r.DestinationCidrBlock),
		aws.ToString(r.DestinationIpv6CidrBlock),
		aws.ToString(r.DestinationPrefixListId),
	)
	through := cmp.Or(
		aws.ToString(r.NatGatewayId),
		aws.ToString(r.GatewayId),
		aws.ToString(r.NetworkInterfaceId),
		aws.ToString(r.VpcPeeringConnectionId),
		aws.ToString(r.TransitGatewayId),
	)
	return destination + " " + through
}

// ---- The balancer -------------------------------------------------------------------------------

func (w *standing) balancerAnswersAndForwards() {
	if w.balancer.Scheme == elbtypes.LoadBalancerSchemeEnumInternal {
		w.Errorf("the balancer is not to be reached from the internet")
	}
	w.equal("the balancer's VPC", *w.balancer.VpcId, w.vpc)
	var in []string
	for _, zone := range w.balancer.AvailabilityZones {
		in = append(in, *zone.SubnetId)
	}
	w.same("the balancer's subnets", in, w.tier("public"))

	attributes := map[string]string{}
	for _, a := range said(w.elb.DescribeLoadBalancerAttributes(alive, &elb.DescribeLoadBalancerAttributesInput{
		LoadBalancerArn: w.balancer.LoadBalancerArn,
	}))(w.T).Attributes {
		attributes[*a.Key] = *a.Value
	}
	w.equal("the balancer's protection", attributes["deletion_protection.enabled"], fmt.Sprint(w.protected))
	w.equal("that the balancer logs", attributes["access_logs.s3.enabled"], "true")
	w.equal("where the balancer logs to", attributes["access_logs.s3.bucket"],
		w.stack+"-access-logs-"+emulator.Account+"-"+w.region)

	group := w.targets
	w.same("what the target group is", []string{
		string(group.TargetType), string(group.Protocol), fmt.Sprint(*group.Port), *group.VpcId,
		string(group.HealthCheckProtocol), *group.HealthCheckPort, *group.HealthCheckPath, *group.Matcher.HttpCode,
	}, []string{"ip", "HTTP", "8080", w.vpc, "HTTP", "traffic-port", "/", "200-299"})
	// moto names a balancer once for each of its rules
	balancers := slices.Compact(group.LoadBalancerArns)
	w.same("balancers of the target group", balancers, []string{*w.balancer.LoadBalancerArn})

	var listeners, rules []string
	for _, l := range w.listeners() {
		name := fmt.Sprintf("%s %d: ", l.Protocol, *l.Port)
		listeners = append(listeners, name+w.action(only(w.T, "default action of "+name, l.DefaultActions)))
		for p := range pages(w.T, elb.NewDescribeRulesPaginator(w.elb, &elb.DescribeRulesInput{
			ListenerArn: l.ListenerArn,
		})) {
			for _, r := range p.Rules {
				if !*r.IsDefault {
					action := w.action(only(w.T, "action of "+*r.RuleArn, r.Actions))
					rules = append(rules, name+*r.Priority+": "+conditionsOf(r)+": "+action)
				}
			}
		}
	}
	w.same("what the balancer answers to what no rule takes", listeners, w.answers)
	w.same("rules of the balancer", rules, w.forwards)
}

func (w *standing) listeners() []elbtypes.Listener {
	w.Helper()
	return said(w.elb.DescribeListeners(alive, &elb.DescribeListenersInput{
		LoadBalancerArn: w.balancer.LoadBalancerArn,
	}))(w.T).Listeners
}

// action says what a listener or a rule does.
func (w *standing) action(a elbtypes.Action) string {
	switch {
	case a.FixedResponseConfig != nil:
		return *a.FixedResponseConfig.StatusCode + " " + *a.FixedResponseConfig.MessageBody
	case a.RedirectConfig != nil:
		r := a.RedirectConfig
		if aws.ToString(r.Host) != "#{host}" || aws.ToString(r.Path) != "/#{path}" ||
			aws.ToString(r.Query) != "#{query}" {
			return "a redirect to another address"
		}
		return strings.TrimPrefix(string(r.StatusCode), "HTTP_") + " to " + *r.Protocol + " " + *r.Port
	case aws.ToString(a.TargetGroupArn) == *w.targets.TargetGroupArn:
		return "forward to web"
	}
	return string(a.Type) + " " + aws.ToString(a.TargetGroupArn)
}

func conditionsOf(r elbtypes.Rule) string {
	var all []string
	for _, c := range r.Conditions {
		values := c.Values
		switch {
		case c.PathPatternConfig != nil:
			values = c.PathPatternConfig.Values
		case c.HostHeaderConfig != nil:
			values = c.HostHeaderConfig.Values
		case c.HttpHeaderConfig != nil:
			values = append([]string{*c.HttpHeaderConfig.HttpHeaderName}, c.HttpHeaderConfig.Values...)
		case c.SourceIpConfig != nil:
			values = c.SourceIpConfig.Values
		}
		all = append(all, *c.Field+" "+strings.Join(values, " "))
	}
	return strings.Join(all, " and ")
}

// certificateIsTheDomains: it is issued, and the listener has it with a policy of TLS 1.2 and
// later.
func (w *standing) certificateIsTheDomains() {
	var have []string
	for _, l := range w.listeners() {
		if l.Protocol != elbtypes.ProtocolEnumHttps {
			continue
		}
		w.equal("the listener's TLS policy", *l.SslPolicy, "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09")
		for _, c := range l.Certificates {
			certificate := said(w.acm.DescribeCertificate(alive, &acm.DescribeCertificateInput{
				CertificateArn: c.CertificateArn,
			}))(w.T).Certificate
			w.equal("the certificate's status", certificate.Status, acmtypes.CertificateStatusIssued)
			have = append(have, *certificate.DomainName)
		}
	}
	var want []string
	if w.domain != "" {
		want = []string{w.domain}
	}
	w.same("domains of certificates", have, want)
}

func (w *standing) domainLeadsToTheBalancer() {
	if w.domain == "" {
		return
	}
	_, parent, _ := strings.Cut(w.domain, ".")
	byName := &route53.ListHostedZonesByNameInput{DNSName: &parent, MaxItems: aws.Int32(1)}
	zone := only(w.T, "zone "+parent, said(w.route53.ListHostedZonesByName(alive, byName))(w.T).HostedZones)
	var have []string
	records := &route53.ListResourceRecordSetsInput{HostedZoneId: zone.Id}
	for p := range pages(w.T, route53.NewListResourceRecordSetsPaginator(w.route53, records)) {
		for _, r := range p.ResourceRecordSets {
			if *r.Name == w.domain+"." && r.AliasTarget != nil {
				have = append(have, string(r.Type)+" "+*r.AliasTarget.DNSName+" "+*r.AliasTarget.HostedZoneId)
			}
		}
	}
	alias := "A " + *w.balancer.DNSName + " " + *w.balancer.CanonicalHostedZoneId
	w.same("where "+w.domain+" leads", have, []string{alias})
}

func (w *standing) firewallStandsBeforeTheBalancer() {
	acl := said(w.wafv2.GetWebACLForResource(alive, &wafv2.GetWebACLForResourceInput{
		ResourceArn: w.balancer.LoadBalancerArn,
	}))(w.T).WebACL
	if stands := acl != nil && acl.ARN != nil; stands != w.firewall {
		w.Errorf("that a firewall stands before the balancer: have %t, want %t", stands, w.firewall)
	} else if stands {
		logging := said(w.wafv2.GetLoggingConfiguration(alive, &wafv2.GetLoggingConfigurationInput{
			ResourceArn: acl.ARN,
		}))(w.T).LoggingConfiguration
		for _, destination := range logging.LogDestinationConfigs {
			w.logGroup("the firewall's log group", destination[strings.LastIndex(destination, ":")+1:])
		}
	}
}

// ---- The tasks ----------------------------------------------------------------------------------

func (w *standing) services() []ecstypes.Service {
	w.Helper()
	input := &ecs.DescribeServicesInput{Cluster: &w.stack, Services: []string{"web", "prometheus"}}
	services := said(w.ecs.DescribeServices(alive, input))(w.T).Services
	if len(services) != len(input.Services) {
		w.Fatalf("want the services %v, have %d", input.Services, len(services))
	}
	return services
}

func (w *standing) servicesRunTheNewestInPrivate() {
	for _, service := range w.services() {
		name := *service.ServiceName
		w.equal(name+": status", *service.Status, "ACTIVE")
		family := w.stack + "-" + name
		active := said(w.ecs.ListTaskDefinitions(alive, &ecs.ListTaskDefinitionsInput{
			FamilyPrefix: &family,
		}))(w.T).TaskDefinitionArns
		w.same(name+": task definition, of which one revision alone is active",
			[]string{*service.TaskDefinition}, active)

		network := service.NetworkConfiguration.AwsvpcConfiguration
		w.same(name+": subnets", network.Subnets, w.tier("private"))
		w.equal(name+": public address", network.AssignPublicIp, ecstypes.AssignPublicIpDisabled)

		var behind []string
		for _, b := range service.LoadBalancers {
			behind = append(behind, fmt.Sprintf("%s %s %d", *b.TargetGroupArn, *b.ContainerName, *b.ContainerPort))
		}
		var want []string
		if name == "web" {
			want = []string{*w.targets.TargetGroupArn + " web 8080"}
		}
		w.same(name+": target groups", behind, want)
		w.equal(name+": name in the network", w.discovered(service), name)
	}
}

// discovered is the name under which a service's tasks are found.
func (w *standing) discovered(service ecstypes.Service) string {
	w.Helper()
	arn := *only(w.T, "registry", service.ServiceRegistries).RegistryArn
	id := arn[strings.LastIndex(arn, "/")+1:]
	found := said(w.servicediscovery.GetService(alive, &servicediscovery.GetServiceInput{Id: &id}))(w.T).Service
	//lint:ignore SA1019 moto tells the namespace only where it was told of first
	namespace := said(w.servicediscovery.GetNamespace(alive, &servicediscovery.GetNamespaceInput{
		Id: found.DnsConfig.NamespaceId,
	}))(w.T).Namespace
	w.equal("the namespace", *namespace.Name, w.stack+".internal")
	return *found.Name
}

// tasksFindWhatTheyName: roles, secrets, the log, the configuration and the database are there, and
// the role that starts a task may use them.
func (w *standing) tasksFindWhatTheyName() {
	for _, service := range w.services() {
		name := *service.ServiceName
		definition := said(w.ecs.DescribeTaskDefinition(alive, &ecs.DescribeTaskDefinitionInput{
			TaskDefinition: service.TaskDefinition,
		}))(w.T).TaskDefinition
		w.trusts(*definition.ExecutionRoleArn, "ecs-tasks.amazonaws.com")
		w.trusts(*definition.TaskRoleArn, "ecs-tasks.amazonaws.com")
		if *definition.ExecutionRoleArn == *definition.TaskRoleArn {
			w.Errorf("%s: the application has the rights of what starts it", name)
		}
		may := w.permissions(*definition.ExecutionRoleArn)
		for _, container := range definition.ContainerDefinitions {
			what := name + ": " + *container.Name
			group := container.LogConfiguration.Options["awslogs-group"]
			arn := w.logGroup(what+"'s log group", group)
			if !slices.Contains(may["logs:PutLogEvents"], arn) {
				w.Errorf("%s: nobody may write to %s", what, group)
			}
			for _, secret := range container.Secrets {
				w.secretStands(what+": "+*secret.Name, *secret.ValueFrom, may)
			}
			for _, variable := range container.Environment {
				if *variable.Name == "PGHOST" {
					w.equal(what+": database", *variable.Value, *w.database.Endpoint.Address)
				}
			}
			w.configurationStands(what, container)
		}
	}
}

// secretStands wants a reference to lead to a secret that the role may fetch and decrypt.
func (w *standing) secretStands(what, reference string, may map[string][]string) {
	w.Helper()
	parts := strings.Split(reference, ":") // after the ARN's seven: key, stage, version
	arn := strings.Join(parts[:min(7, len(parts))], ":")
	secret, err := w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		w.Errorf("%s is not there: %v", what, err)
		return
	}
	if !slices.Contains(may["secretsmanager:GetSecretValue"], *secret.ARN) {
		w.Errorf("%s: nobody may fetch %s", what, *secret.Name)
	}
	if !slices.Contains(may["kms:Decrypt"], *secret.KmsKeyId) {
		w.Errorf("%s: nobody may decrypt %s", what, *secret.Name)
	}
}

// configurationStands wants the version of the object that a container fetches to be there.
func (w *standing) configurationStands(what string, container ecstypes.ContainerDefinition) {
	w.Helper()
	if !slices.Contains(container.Command, "get-object") {
		return
	}
	option := func(name string) *string { return &container.Command[slices.Index(container.Command, name)+1] }
	input := &s3.HeadObjectInput{Bucket: option("--bucket"), Key: option("--key"), VersionId: option("--version-id")}
	if _, err := w.s3.HeadObject(alive, input); err != nil {
		w.Errorf("%s: what it fetches is not there: %v", what, err)
	}
}

// ---- Roles and policies -------------------------------------------------------------------------

// policy is a policy document, of which IAM writes every list of one as that one.
type policy struct {
	Statement []struct {
		Sid, Effect      string
		Principal        any
		Action, Resource list
		Condition        map[string]map[string]list
	}
}

type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(l))
	}
	*l = list{""}
	return json.Unmarshal(text, &(*l)[0])
}

func (w *standing) policy(text string) policy {
	w.Helper()
	if strings.HasPrefix(text, "%7B") { // as IAM tells it
		text, _ = url.PathUnescape(text)
	}
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	for i, s := range p.Statement {
		// Two ways to write the same.
		if who, ok := s.Principal.(map[string]any); ok && who["AWS"] == "*" {
			p.Statement[i].Principal = "*"
		}
	}
	return p
}

// trusts wants a role to be there, and one service alone to take it on.
func (w *standing) trusts(role, service string) {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	found, err := w.iam.GetRole(alive, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		w.Errorf("role %s is not there: %v", name, err)
		return
	}
	for _, s := range w.policy(*found.Role.AssumeRolePolicyDocument).Statement {
		w.equal("who may take on "+name, s.Principal, map[string]any{"Service": service})
	}
}

// permissions are what a role is allowed, by action.
func (w *standing) permissions(role string) map[string][]string {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	may := map[string][]string{}
	for p := range pages(w.T, iam.NewListRolePoliciesPaginator(w.iam, &iam.ListRolePoliciesInput{RoleName: &name})) {
		for _, policy := range p.PolicyNames {
			text := said(w.iam.GetRolePolicy(alive, &iam.GetRolePolicyInput{
				RoleName:   &name,
				PolicyName: &policy,
			}))(w.T).PolicyDocument
			for _, s := range w.policy(*text).Statement {
				for _, action := range s.Action {
					for _, resource := range s.Resource {
						may[action] = append(may[action], strings.TrimSuffix(resource, ":*")) // a log group's streams
					}
				}
			}
		}
	}
	attached := said(w.iam.ListAttachedRolePolicies(alive, &iam.ListAttachedRolePoliciesInput{
		RoleName: &name,
	}))(w.T).AttachedPolicies
	if len(attached) > 0 {
		w.Errorf("role %s has a policy attached that is not its own: %s", name, *attached[0].PolicyArn)
	}
	return may
}

// ---- What is kept -------------------------------------------------------------------------------

func (w *standing) databaseIsKeptSafe() {
	db := w.database
	w.equal("the database's encryption", aws.ToBool(db.StorageEncrypted), true)
	w.equal("the database's key", aws.ToString(db.KmsKeyId), w.key("database"))
	w.equal("the database's standby", *db.MultiAZ, w.standby)
	w.equal("the database's protection", *db.DeletionProtection, w.protected)
	w.equal("days for which the database can be taken back", *db.BackupRetentionPeriod, int32(w.snapshotDays))
	if db.MasterUserSecret == nil {
		w.Fatalf("the master's password is in Terraform's state")
	}
	w.equal("the key of the master's password", *db.MasterUserSecret.KmsKeyId, w.key("database"))
	w.trusts(aws.ToString(db.MonitoringRoleArn), "monitoring.rds.amazonaws.com")

	var subnets []string
	group := said(w.rds.DescribeDBSubnetGroups(alive, &rds.DescribeDBSubnetGroupsInput{
		DBSubnetGroupName: db.DBSubnetGroup.DBSubnetGroupName,
	}))(w.T).DBSubnetGroups[0]
	for _, subnet := range group.Subnets {
		subnets = append(subnets, *subnet.SubnetIdentifier)
	}
	w.same("the database's subnets", subnets, w.tier("database"))

	name := only(w.T, "parameter group", db.DBParameterGroups).DBParameterGroupName
	parameters := map[string]string{}
	for p := range pages(w.T, rds.NewDescribeDBParametersPaginator(w.rds, &rds.DescribeDBParametersInput{
		DBParameterGroupName: name,
	})) {
		for _, parameter := range p.Parameters {
			parameters[*parameter.ParameterName] = aws.ToString(parameter.ParameterValue)
		}
	}
	w.equal("that the database refuses who comes without TLS", parameters["rds.force_ssl"], "1")
	for _, log := range db.EnabledCloudwatchLogsExports {
		w.logGroup("the database's log group", "/aws/rds/instance/"+*db.DBInstanceIdentifier+"/"+log)
	}
	subscription := only(w.T, "event subscription",
		said(w.rds.DescribeEventSubscriptions(alive, nil))(w.T).EventSubscriptionsList)
	w.equal("where the database's events go", *subscription.SnsTopicArn, w.topic)
	w.same("whose events go there", subscription.SourceIdsList, []string{*db.DBInstanceIdentifier})
}

func (w *standing) bucketsAreClosed() {
	suffix := "-" + emulator.Account + "-" + w.region
	// Access logs can be encrypted with S3's own key only.
	keys := map[string]string{"access-logs": "", "backup": w.key("backup"), "prometheus": w.key("services")}
	var have, want []string
	for p := range pages(w.T, s3.NewListBucketsPaginator(w.s3, nil)) {
		for _, bucket := range p.Buckets {
			if strings.HasPrefix(*bucket.Name, w.stack+"-") { // the state's is the reader's own
				have = append(have, *bucket.Name)
			}
		}
	}
	for _, noun := range slices.Sorted(maps.Keys(keys)) {
		want = append(want, w.stack+"-"+noun+suffix)
	}
	w.same("buckets", have, want)
	for noun, key := range keys {
		w.bucketIsClosed(w.stack+"-"+noun+suffix, key)
	}
}

func (w *standing) bucketIsClosed(bucket, key string) {
	w.Helper()
	block, err := w.s3.GetPublicAccessBlock(alive, &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err != nil {
		w.Errorf("bucket %s may be opened to the public: %v", bucket, err)
	} else {
		b := block.PublicAccessBlockConfiguration
		have := []bool{*b.BlockPublicAcls, *b.BlockPublicPolicy, *b.IgnorePublicAcls, *b.RestrictPublicBuckets}
		w.equal(bucket+": what is blocked", have, []bool{true, true, true, true})
	}
	versions := said(w.s3.GetBucketVersioning(alive, &s3.GetBucketVersioningInput{Bucket: &bucket}))(w.T).Status
	w.equal(bucket+": versions", versions, s3types.BucketVersioningStatusEnabled)
	if owner, err := w.s3.GetBucketOwnershipControls(alive, &s3.GetBucketOwnershipControlsInput{
		Bucket: &bucket,
	}); err != nil {
		w.Errorf("bucket %s has objects that are not ours: %v", bucket, err)
	} else {
		w.equal(bucket+": owner of objects", only(w.T, "rule", owner.OwnershipControls.Rules).ObjectOwnership,
			s3types.ObjectOwnershipBucketOwnerEnforced)
	}
	if encryption, err := w.s3.GetBucketEncryption(alive, &s3.GetBucketEncryptionInput{Bucket: &bucket}); err != nil {
		w.Errorf("bucket %s is not encrypted: %v", bucket, err)
	} else {
		rule := only(w.T, "rule", encryption.ServerSideEncryptionConfiguration.Rules).ApplyServerSideEncryptionByDefault
		w.equal(bucket+": key", aws.ToString(rule.KMSMasterKeyID), key)
	}
	text, err := w.s3.GetBucketPolicy(alive, &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil {
		w.Errorf("bucket %s has no policy: %v", bucket, err)
		return
	}
	arn, refused := "arn:aws:s3:::"+bucket, false
	for _, s := range w.policy(*text.Policy).Statement {
		all := slices.Contains(s.Resource, arn) && slices.Contains(s.Resource, arn+"/*") &&
			slices.Equal(s.Action, list{"s3:*"}) && s.Principal == "*"
		refused = refused || s.Effect == "Deny" && all &&
			slices.Equal(s.Condition["Bool"]["aws:SecureTransport"], list{"false"}) && len(s.Condition) == 1
		if s.Effect == "Allow" && s.Principal == "*" {
			w.Errorf("bucket %s is open to everyone: %s", bucket, s.Sid)
		}
	}
	if !refused {
		w.Errorf("bucket %s is reached without TLS", bucket)
	}
}

func (w *standing) logsAreEncryptedAndEnd() {
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, nil)) {
		for _, group := range p.LogGroups {
			name := *group.LogGroupName
			w.equal("key of "+name, aws.ToString(group.KmsKeyId), w.key("logs"))
			w.equal("days for which "+name+" keeps its lines", aws.ToInt32(group.RetentionInDays), int32(w.logDays))
		}
	}
	flow := only(w.T, "flow log", said(w.ec2.DescribeFlowLogs(alive, &ec2.DescribeFlowLogsInput{
		Filter: []ec2types.Filter{{Name: aws.String("resource-id"), Values: []string{w.vpc}}},
	}))(w.T).FlowLogs)
	w.equal("what the flow log records", flow.TrafficType, ec2types.TrafficTypeAll)
	w.trusts(*flow.DeliverLogsPermissionArn, "vpc-flow-logs.amazonaws.com")
	arn := w.logGroup("the flow log's log group",
		(*flow.LogDestination)[strings.LastIndex(*flow.LogDestination, ":")+1:])
	if !slices.Contains(w.permissions(*flow.DeliverLogsPermissionArn)["logs:PutLogEvents"], arn) {
		w.Errorf("nobody may write the flow log to %s", arn)
	}
}

// logGroup wants a log group to be there, and returns its ARN.
func (w *standing) logGroup(what, name string) (arn string) {
	w.Helper()
	input := &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name}
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, input)) {
		for _, group := range p.LogGroups {
			if *group.LogGroupName == name {
				return *group.LogGroupArn
			}
		}
	}
	w.Errorf("%s, %s, is not there", what, name)
	return ""
}

func (w *standing) keysAreRenewed() {
	for _, noun := range []string{"logs", "database", "services", "alerts", "backup"} {
		key := w.key(noun)
		if !said(w.kms.GetKeyRotationStatus(alive, &kms.GetKeyRotationStatusInput{
			KeyId: &key,
		}))(w.T).KeyRotationEnabled {
			w.Errorf("the key for %s is never renewed", noun)
		}
	}
}

// ---- What runs by itself ------------------------------------------------------------------------

func (w *standing) schedulesCallTheFunction() {
	function := said(w.lambda.GetFunctionConfiguration(alive, &lambda.GetFunctionConfigurationInput{
		FunctionName: aws.String(w.stack + "-backup"),
	}))(w.T)
	w.trusts(*function.Role, "lambda.amazonaws.com")
	inputs := map[string]string{
		w.stack + "-backup-schedule":        `{"action":"backup","scheduled_time":"<aws.scheduler.scheduled-time>"}`,
		w.stack + "-backup-report-schedule": `{"action":"report"}`,
	}
	var have []string
	for p := range pages(w.T, scheduler.NewListSchedulesPaginator(w.scheduler, nil)) {
		for _, found := range p.Schedules {
			name := *found.Name
			have = append(have, name)
			schedule := said(w.scheduler.GetSchedule(alive, &scheduler.GetScheduleInput{
				Name:      &name,
				GroupName: found.GroupName,
			}))(w.T)
			w.equal(name+": state", schedule.State, schedulertypes.ScheduleStateEnabled)
			w.equal(name+": target", *schedule.Target.Arn, *function.FunctionArn)
			w.equal(name+": input", *schedule.Target.Input, inputs[name])
			w.trusts(*schedule.Target.RoleArn, "scheduler.amazonaws.com")
			w.equal(name+": what its role may", w.permissions(*schedule.Target.RoleArn), map[string][]string{
				"lambda:InvokeFunction": {*function.FunctionArn},
			})
		}
	}
	w.same("schedules", have, slices.Collect(maps.Keys(inputs)))
	retries := said(w.lambda.GetFunctionEventInvokeConfig(alive, &lambda.GetFunctionEventInvokeConfigInput{
		FunctionName: function.FunctionName,
	}))(w.T)
	w.equal("where the function's failures go", *retries.DestinationConfig.OnFailure.Destination, w.topic)
}

// functionMakesOneSnapshotForATime: the emulator runs the function's own program. The hour is the
// evening's, at which no schedule calls.
func (w *standing) functionMakesOneSnapshotForATime() {
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(-time.Hour)
	id := w.stack + "-scheduled-" + at.Format("20060102-150405")
	event := fmt.Sprintf(`{"action":"backup","scheduled_time":%q}`, at.Format(time.RFC3339))
	for _, first := range []bool{true, false} {
		answer := said(w.lambda.Invoke(alive, &lambda.InvokeInput{
			FunctionName: aws.String(w.stack + "-backup"),
			Payload:      []byte(event),
		}))(w.T)
		if answer.FunctionError != nil {
			w.Errorf("the backup failed: %s", answer.Payload)
			return
		}
		var result struct { // as functions/backup has it
			Snapshot string
			Created  bool
			Kept     int
		}
		if err := json.Unmarshal(answer.Payload, &result); err != nil {
			w.Errorf("%v: %s", err, answer.Payload)
		}
		w.equal("the snapshot that the function tells of", result.Snapshot, id)
		w.equal("that the function made it", result.Created, first)
		w.equal("the snapshots that it knows", result.Kept, 1)
	}
	var have []string
	for p := range pages(w.T, rds.NewDescribeDBSnapshotsPaginator(w.rds, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("manual"),
	})) {
		for _, snapshot := range p.DBSnapshots {
			have = append(have, *snapshot.DBSnapshotIdentifier)
			w.equal("whose snapshot it is", *snapshot.DBInstanceIdentifier, *w.database.DBInstanceIdentifier)
			tags := map[string]string{}
			for _, tag := range snapshot.TagList {
				tags[*tag.Key] = *tag.Value
			}
			w.equal("the snapshot's tag BackupOf", tags["BackupOf"], w.stack)
			w.equal("the snapshot's tag ScheduledTime", tags["ScheduledTime"], at.Format(time.RFC3339))
		}
	}
	w.same("snapshots after two calls for the same time", have, []string{id})
}

// ---- Alarms -------------------------------------------------------------------------------------

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

// ---- The outputs --------------------------------------------------------------------------------

// outputsNameWhatStands compares what Terraform puts out with what AWS says.
func (s *site) outputsNameWhatStands(t *testing.T, w *standing) {
	out, err := s.terraform(t, "output", "-json")
	if err != nil {
		t.Fatalf("terraform output: %v\n%s", err, out)
	}
	var outputs map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(out), &outputs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	have := map[string]any{}
	for name, output := range outputs {
		have[name] = output.Value
	}
	address := "http://" + *w.balancer.DNSName
	if w.domain != "" {
		address = "https://" + w.domain
	}
	want := map[string]any{
		"url":                             address,
		"load_balancer_dns_name":          *w.balancer.DNSName,
		"load_balancer_zone_id":           *w.balancer.CanonicalHostedZoneId,
		"load_balancer_security_group_id": w.groups["load-balancer"],
		"vpc_id":                          w.vpc,
		"public_subnet_ids":               w.tier("public"),
		"private_subnet_ids":              w.tier("private"),
		"database_subnet_ids":             w.tier("database"),
		"cluster_name": *said(w.ecs.DescribeClusters(alive, &ecs.DescribeClustersInput{
			Clusters: []string{w.stack},
		}))(t).Clusters[0].ClusterName,
		"service_names":              map[string]string{"web": "web"},
		"service_security_group_ids": map[string]string{"web": w.groups["web"]},
		"repository_urls":            map[string]string{},
		"log_group_names": map[string]string{
			"prometheus":     "/" + w.stack + "/prometheus",
			"backup":         "/aws/lambda/" + w.stack + "-backup",
			"database_roles": "/aws/lambda/" + w.stack + "-database",
			"database":       "/aws/rds/instance/" + w.stack + "/postgresql",
			"service_web":    "/" + w.stack + "/service/web",
		},
		"database_address":           *w.database.Endpoint.Address,
		"database_port":              *w.database.Endpoint.Port,
		"database_secret_arn":        *w.database.MasterUserSecret.SecretArn,
		"database_security_group_id": w.groups["database"],
		"service_database_secret_arns": map[string]string{
			"web": *said(w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{
				SecretId: aws.String(w.stack + "/database/web"),
			}))(t).ARN,
		},
		"prometheus_address": "prometheus." + w.stack + ".internal:9090",
		"alerts_topic_arn":   w.topic,
		"dashboard_url":      "https://" + w.region + ".console.aws.amazon.com/cloudwatch/home?region=" + w.region + "#dashboards/dashboard/" + w.stack,
		"backup_bucket_name": w.stack + "-backup-" + emulator.Account + "-" + w.region,
		"backup_function_name": *said(w.lambda.GetFunctionConfiguration(alive, &lambda.GetFunctionConfigurationInput{
			FunctionName: aws.String(w.stack + "-backup"),
		}))(t).FunctionName,
	}
	w.same("outputs", slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(want)))
	for name, value := range want {
		had, _ := json.Marshal(have[name])
		text, _ := json.Marshal(value)
		w.equal("output "+name, string(had), string(text))
	}
	for name, group := range want["log_group_names"].(map[string]string) {
		w.logGroup("the log group of output "+name, group)
	}
}
