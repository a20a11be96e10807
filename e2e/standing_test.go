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
// that it calls is one promise. It leaves a snapshot behind, as the first night does.
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
