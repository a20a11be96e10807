//go:build e2e

package e2e

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// expectation is the expected result of a deployment in AWS's terms, independent of the program.
type expectation struct {
	zones []string

	// natZones has, for each zone, the zone of the NAT gateway that its private subnet uses.
	natZones map[string]string

	// groupRules are the rules of all security groups.
	groupRules []string

	// runs are the services of ECS.
	runs []string

	// dumpTasks are the tasks that dump and restore; all but database_restore have a schedule.
	dumpTasks []string

	// answers are the default actions of the listeners, forwards their rules.
	defaultActions, listenerRules []string

	domain   string // "" without HTTPS
	firewall bool

	protected, standby bool
	logDays            int
	snapshotDays       int // of automated backups
	emails             []string
}

var expectations = map[string]expectation{
	"dev": {
		zones:    []string{"a", "b"},
		natZones: map[string]string{"a": "a", "b": "a"},
		groupRules: []string{
			"into load_balancer from 0.0.0.0/0: tcp 80",
			"out of load_balancer to web: tcp 8080", "into web from load_balancer: tcp 8080",
			"out of web to database_instances: tcp 5432",
			"into database_instances from web: tcp 5432",
			"out of web to 0.0.0.0/0: tcp 443",
			"out of prometheus_server to 0.0.0.0/0: tcp 443",
			"out of database_function to database_instances: tcp 5432",
			"into database_instances from database_function: tcp 5432",
			"out of database_function to 0.0.0.0/0: tcp 443",
			"out of database_dump to database_instances: tcp 5432",
			"into database_instances from database_dump: tcp 5432",
			"out of database_dump to 0.0.0.0/0: tcp 443",
			"out of database_restore to database_instances: tcp 5432",
			"into database_instances from database_restore: tcp 5432",
			"out of database_restore to 0.0.0.0/0: tcp 443",
		},
		runs:           []string{"web", "prometheus_server"},
		dumpTasks:      []string{"database_dump", "database_restore"},
		defaultActions: []string{"HTTP 80: 200 OK"},
		listenerRules:  []string{"HTTP 80: 49898: path-pattern /*: forward to web"},
		logDays:        14, snapshotDays: 7,
	},
	"prod": {
		zones:    []string{"a", "b", "c"},
		natZones: map[string]string{"a": "a", "b": "b", "c": "c"},
		groupRules: []string{
			"into load_balancer from 0.0.0.0/0: tcp 80", "into load_balancer from 0.0.0.0/0: tcp 443",
			"out of load_balancer to web: tcp 8080", "into web from load_balancer: tcp 8080",
			"out of web to database_instances: tcp 5432",
			"into database_instances from web: tcp 5432",
			"out of web to 0.0.0.0/0: tcp 443",
			"out of prometheus_server to 0.0.0.0/0: tcp 443",
			"out of database_function to database_instances: tcp 5432",
			"into database_instances from database_function: tcp 5432",
			"out of database_function to 0.0.0.0/0: tcp 443",
			"out of database_dump to database_instances: tcp 5432",
			"into database_instances from database_dump: tcp 5432",
			"out of database_dump to 0.0.0.0/0: tcp 443",
			"out of database_restore to database_instances: tcp 5432",
			"into database_instances from database_restore: tcp 5432",
			"out of database_restore to 0.0.0.0/0: tcp 443",
			"out of database_drill to 0.0.0.0/0: tcp 443",
			"out of prometheus_server to database_exporter: tcp 9187",
			"into database_exporter from prometheus_server: tcp 9187",
			"out of database_exporter to database_instances: tcp 5432",
			"into database_instances from database_exporter: tcp 5432",
			"out of database_exporter to 0.0.0.0/0: tcp 443",
		},
		runs:           []string{"web", "prometheus_server", "database_exporter"},
		dumpTasks:      []string{"database_dump", "database_restore", "database_drill"},
		defaultActions: []string{"HTTP 80: 301 to HTTPS 443", "HTTPS 443: 200 OK"},
		listenerRules:  []string{"HTTPS 443: 49898: path-pattern /*: forward to web"},
		domain:         "app.example.com", firewall: true,
		protected: true, standby: true,
		logDays: 90, snapshotDays: 30,
		emails: []string{"alerts@example.com"},
	},
}

// deployed is a deployed environment as AWS's API describes it, with the expected result.
type deployed struct {
	*testing.T
	*clients
	expectation
	stack, region string
	vpc           string

	subnets      map[string]ec2types.Subnet // by tier and zone: private-a
	groups       map[string]string          // security groups' ids, by noun
	loadBalancer elbtypes.LoadBalancer
	targetGroup  elbtypes.TargetGroup
	database     rdstypes.DBInstance
	topic        string // of alarms, alerts and events
	heartbeat    string // the topic of Prometheus's sign of life
}

// checkDeployment checks a deployed environment through AWS's API, never through the stack's JSON.
// Each function that it calls is one check. It leaves a snapshot, as the first scheduled backup
// does.
//
// Not checked, because moto does not implement it: network traffic, target health and TLS; denied
// permissions but those of the functions (internal/emulator/rights.py); the load balancer's network
// interfaces, and its scheme unless it is internal; the delivery of flow logs; and the effect of
// PostgreSQL parameters.
func (s *sandbox) checkDeployment(t *testing.T) {
	t.Helper()
	s.inventoryHasAllOfTheState(t)

	w := s.readDeployed(t)
	w.onlyTheLoadBalancerIsPublic()
	w.securityGroupsHaveOnlyTheExpectedRules()
	w.securityGroupsAreAttachedToTheirResources()
	w.subnetsHaveTheExpectedRoutes()
	w.loadBalancerHasTheExpectedListeners()
	w.certificateIsForTheDomain()
	w.domainIsAnAliasOfTheLoadBalancer()
	w.firewallProtectsTheLoadBalancer()
	w.servicesRunTheNewestRevisionInPrivateSubnets()
	w.taskDefinitionsReferToExistingResources()
	w.databaseIsProtected()
	w.bucketsArePrivate()
	w.logGroupsAreEncryptedAndExpire()
	w.keysAreRotated()
	w.schedulesInvokeTheFunctions()
	w.alarmsNotifyTheTopic()
	w.alarmsReferToExistingResources()
	w.onlyAWSServicesMayPublishToTheTopic()
	w.theHeartbeatReachesNobody()
	w.backupFunctionIsIdempotent()
	s.servicesLogInAndPasswordsAreRotated(t, w)
	s.outputsMatchTheDeployment(t, w)
}

// readDeployed reads the resources that more than one check uses.
func (s *sandbox) readDeployed(t *testing.T) *deployed {
	t.Helper()
	region := s.shipped(t)["region"].(string)
	want, ok := expectations[s.environment]
	if !ok {
		t.Fatalf("expectations has no entry for %s", s.environment)
	}
	w := &deployed{
		T:           t,
		clients:     s.clients(region),
		expectation: want,
		stack:       "platform-" + s.environment,
		region:      region,
	}

	named := []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{w.stack + "-vpc"}}}
	w.vpc = *only(t, "VPC", must(w.ec2.DescribeVpcs(alive, &ec2.DescribeVpcsInput{Filters: named}))(t).Vpcs).VpcId
	w.subnets = map[string]ec2types.Subnet{}
	for p := range pages(t, ec2.NewDescribeSubnetsPaginator(w.ec2, &ec2.DescribeSubnetsInput{Filters: w.inVPC()})) {
		for _, subnet := range p.Subnets {
			w.subnets[w.shortName(subnet.Tags)] = subnet
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
	w.loadBalancer = only(t, "load balancer", must(w.elb.DescribeLoadBalancers(alive, nil))(t).LoadBalancers)
	w.targetGroup = only(t, "target group", must(w.elb.DescribeTargetGroups(alive, nil))(t).TargetGroups)
	w.database = only(t, "database", must(w.rds.DescribeDBInstances(alive, nil))(t).DBInstances)
	topics := map[string]string{}
	for _, topic := range must(w.sns.ListTopics(alive, nil))(t).Topics {
		topics[(*topic.TopicArn)[strings.LastIndex(*topic.TopicArn, ":")+1:]] = *topic.TopicArn
	}
	w.topic, w.heartbeat = topics[w.stack+"-alerts"], topics[w.stack+"-heartbeat"]
	if len(topics) != 2 || w.topic == "" || w.heartbeat == "" {
		t.Fatalf("want the topics of the alarms and of the heartbeat, have %v", topics)
	}
	return w
}

func only[Item any](t *testing.T, what string, items []Item) Item {
	t.Helper()
	if len(items) != 1 {
		t.Fatalf("want one %s, have %d", what, len(items))
	}
	return items[0]
}

// sameElements checks that two lists have the same elements in any order.
func (w *deployed) sameElements(what string, have, want []string) {
	w.Helper()
	have, want = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))
	if !slices.Equal(have, want) {
		w.Errorf("%s:\nhave\t%s\nwant\t%s", what, strings.Join(have, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (w *deployed) equal(what string, have, want any) {
	w.Helper()
	if !reflect.DeepEqual(have, want) {
		w.Errorf("%s: have %v, want %v", what, have, want)
	}
}

func (w *deployed) inVPC() []ec2types.Filter {
	return []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{w.vpc}}}
}

// shortName returns the Name tag without the stack's prefix.
func (w *deployed) shortName(tags []ec2types.Tag) string {
	for _, tag := range tags {
		if *tag.Key == "Name" {
			return strings.TrimPrefix(*tag.Value, w.stack+"-")
		}
	}
	return ""
}

// subnetIDs returns the IDs of the subnets of a tier, in the order of the zones.
func (w *deployed) subnetIDs(name string) []string {
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

// key returns the ARN of the stack's KMS key for a purpose.
func (w *deployed) key(noun string) string {
	w.Helper()
	alias := "alias/" + w.stack + "/" + noun
	return *must(w.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: &alias}))(w.T).KeyMetadata.Arn
}
