package main

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsavailabilityzones"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/defaultsecuritygroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/eip"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/internetgateway"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/natgateway"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/route"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/routetable"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/routetableassociation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/subnet"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpc"
	egressrule "github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupegressrule"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// Network is what the other modules build on.
type Network struct {
	VpcID           *string
	PublicSubnets   []*string                  // the load balancer's, by zone
	PrivateSubnets  []*string                  // the tasks', by zone
	DatabaseSubnets []*string                  // the database's, by zone; nil without a database
	InternetGateway cdktf.ITerraformDependable // what has a public address depends on it
	EgressReady     dependencies               // a task that starts before all of these cannot pull its image

	natGateways  map[string]*string // by zone; for their alarms
	endpoints    *securityGroup     // of the interface endpoints; nil without any
	s3PrefixList *string
}

// newNetwork declares the VPC with its subnets, routes, gateways, endpoints and flow logs.
//
//	internet ── internet gateway ── public subnets (load balancer, NAT gateways)
//	                                └── NAT gateway ── private subnets (tasks) ── database subnets
//
// Each zone has one subnet in each tier. The database tier has no route out of the VPC. Nothing
// gets a public address unless it asks for one. The default security group is emptied; the default
// network ACL is left as AWS creates it, since without rules it would cut off every subnet that has
// no ACL of its own.
func newNetwork(s *scope) *Network {
	zones := dataawsavailabilityzones.NewDataAwsAvailabilityZones(s.stack, jsii.String("available_zones"),
		&dataawsavailabilityzones.DataAwsAvailabilityZonesConfig{State: jsii.String("available")}).Fqn()
	network := vpc.NewVpc(s.stack, jsii.String("vpc"), &vpc.VpcConfig{
		CidrBlock:          jsii.String(s.cfg.Network.CIDR),
		EnableDnsSupport:   true,
		EnableDnsHostnames: true, // interface endpoints' private names need it
		Tags:               s.tags("vpc"),
		Lifecycle:          s.protect(), // another network.cidr would replace everything in the VPC
	})
	newEmptyDefaultSecurityGroup(s, network.Id())
	gateway := internetgateway.NewInternetGateway(s.stack, jsii.String("internet_gateway"),
		&internetgateway.InternetGatewayConfig{VpcId: network.Id(), Tags: s.tags("internet")})

	n := &Network{VpcID: network.Id(), InternetGateway: gateway}
	public := newPublicRoutes(s, n.VpcID, gateway.Id())
	s3 := newS3Endpoint(s, n.VpcID)
	n.s3PrefixList = s3.PrefixListId()
	n.EgressReady = dependencies{public.toInternet} // NAT gateways need it

	private := map[string]*string{} // route tables by zone
	for _, zone := range s.cfg.SortedZones() {
		subnets := newSubnets(s, n.VpcID, zones, zone)
		n.PublicSubnets = append(n.PublicSubnets, subnets.public)
		n.PrivateSubnets = append(n.PrivateSubnets, subnets.private)
		private[zone] = newRouteTable(s, n.VpcID, "private_"+zone)

		n.EgressReady = n.EgressReady.plus(
			associate(s, publicTier, zone, subnets.public, public.table),
			associate(s, privateTier, zone, subnets.private, private[zone]),
			s3.associate(s, zone, private[zone]))
	}
	if s.cfg.Database.Enabled {
		n.DatabaseSubnets = newDatabaseSubnets(s, n.VpcID, zones)
	}
	n.natGateways = newNATGateways(s, n.PublicSubnets, gateway)
	n.EgressReady = n.EgressReady.plus(newPrivateRoutes(s, n.natGateways, private)...)
	if len(s.cfg.Network.Endpoints) > 0 {
		n.endpoints = newEndpointsSecurityGroup(s, n.VpcID)
		n.EgressReady = n.EgressReady.plus(newEndpoints(s, n.VpcID, n.endpoints, n.PrivateSubnets)...)
	}
	newFlowLogs(s, n.VpcID)
	return n
}

// newEmptyDefaultSecurityGroup takes the rules away that AWS gives the VPC's default group.
func newEmptyDefaultSecurityGroup(s *scope, vpcID *string) {
	defaultsecuritygroup.NewDefaultSecurityGroup(s.stack, jsii.String("default_security_group"),
		&defaultsecuritygroup.DefaultSecurityGroupConfig{
			VpcId: vpcID,
			// Empty, but written: that removes AWS's own rules.
			Ingress: &[]*defaultsecuritygroup.DefaultSecurityGroupIngress{},
			Egress:  &[]*defaultsecuritygroup.DefaultSecurityGroupEgress{},
			Tags:    s.tags("default-unused"),
		})
}

// tier is a layer of the network. Its number decides which quarter of the VPC's block it has. Once
// deployed neither may change.
type tier struct {
	name    string
	quarter int
}

var (
	privateTier  = tier{"private", 0}
	publicTier   = tier{"public", 1}
	databaseTier = tier{"database", 2} // the fourth quarter is kept free
)

// subnetCIDR is the block of a zone in a tier: the tier's quarter of the VPC's block, cut in eight,
// of which the zone's letter picks one. So a zone's block depends on its letter alone, and adding
// or removing a zone moves no other. The VPC's block must be /16 to /22.
func subnetCIDR(vpcBlock netip.Prefix, t tier, zone string) netip.Prefix {
	bits := vpcBlock.Bits() + 5
	index := uint32(t.quarter)<<3 | uint32(zone[0]-'a')
	base := vpcBlock.Addr().As4()
	address := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	address += index << (32 - bits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{
		byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address),
	}), bits)
}

// zoneSubnets are the IDs of one zone's subnets.
type zoneSubnets struct{ public, private *string }

func newSubnets(s *scope, vpcID, zones *string, zone string) zoneSubnets {
	return zoneSubnets{
		public:  newSubnet(s, vpcID, zones, publicTier, zone),
		private: newSubnet(s, vpcID, zones, privateTier, zone),
	}
}

// newDatabaseSubnets declares the database tier, with a route table that has only the VPC's own route,
// which every table has. It returns the IDs of the subnets by zone.
func newDatabaseSubnets(s *scope, vpcID, zones *string) (ids []*string) {
	table := newRouteTable(s, vpcID, databaseTier.name)
	for _, zone := range s.cfg.SortedZones() {
		id := newSubnet(s, vpcID, zones, databaseTier, zone)
		associate(s, databaseTier, zone, id, table)
		ids = append(ids, id)
	}
	return ids
}

func newSubnet(s *scope, vpcID, zones *string, t tier, zone string) *string {
	full := s.cfg.Region + zone
	lifecycle := createBeforeDestroy()
	// Which letters a region has differs between accounts: this is asked at plan, before anything
	// is created.
	conditions := []*cdktf.Precondition{{
		Condition: jsii.String("${contains(" + *zones + ".names, \"" + full + "\")}"),
		ErrorMessage: jsii.String("network.zones: this account has no zone " + full +
			" that is available: choose another letter."),
	}}
	if ids := config.FargateZones(s.cfg.Region); t == privateTier && ids != nil {
		conditions = append(conditions, hasFargate(*zones, full, ids))
	}
	lifecycle.Precondition = &conditions
	return subnet.NewSubnet(s.stack, jsii.String(t.name+"_subnet_"+zone), &subnet.SubnetConfig{
		VpcId:               vpcID,
		AvailabilityZone:    jsii.String(full),
		CidrBlock:           jsii.String(subnetCIDR(netip.MustParsePrefix(s.cfg.Network.CIDR), t, zone).String()),
		MapPublicIpOnLaunch: false,
		Tags:                s.tags(t.name + "-" + zone),
		Lifecycle:           lifecycle,
	}).Id()
}

// hasFargate is the condition that a zone's ID is one of those with Fargate. It is true for a zone
// that the account does not have, because another condition reports such a zone.
func hasFargate(zones, zone string, ids []string) *cdktf.Precondition {
	return &cdktf.Precondition{
		Condition: jsii.String("${try(contains(" + marshal(ids) + ", " +
			zones + ".zone_ids[index(" + zones + ".names, \"" + zone + "\")]), true)}"),
		ErrorMessage: jsii.String("network.zones: in this account, " + zone + " is a zone without Fargate: choose " +
			"another letter. Fargate is in " + strings.Join(ids, ", ") + "."),
	}
}

func newRouteTable(s *scope, vpcID *string, name string) *string {
	return routetable.NewRouteTable(s.stack, jsii.String(name+"_route_table"), &routetable.RouteTableConfig{
		VpcId:     vpcID,
		Tags:      s.tags(dashed(name)),
		Lifecycle: createBeforeDestroy(),
	}).Id()
}

// publicRoutes is the public tier's route table, with its way to the internet.
type publicRoutes struct {
	table      *string
	toInternet cdktf.ITerraformDependable
}

func newPublicRoutes(s *scope, vpcID, gateway *string) publicRoutes {
	table := newRouteTable(s, vpcID, "public")
	return publicRoutes{table, route.NewRoute(s.stack, jsii.String("public_default_route"), &route.RouteConfig{
		RouteTableId:         table,
		DestinationCidrBlock: jsii.String("0.0.0.0/0"),
		GatewayId:            gateway,
	})}
}

func associate(s *scope, t tier, zone string, subnetID, routeTable *string) cdktf.ITerraformDependable {
	return routetableassociation.NewRouteTableAssociation(s.stack, jsii.String(t.name+"_route_table_association_"+zone),
		&routetableassociation.RouteTableAssociationConfig{
			SubnetId: subnetID, RouteTableId: routeTable, Lifecycle: createBeforeDestroy(),
		})
}

// newNATGateways declares the private subnets' NAT gateways and returns their IDs by zone: none,
// one for all zones, or one in each zone, so that a zone's failure affects no other. The single one
// is in the zone that the file names first: the order of zones matters only for this.
func newNATGateways(s *scope, publicSubnets []*string, internet cdktf.ITerraformDependable) map[string]*string {
	if s.cfg.Network.NAT == "none" {
		return nil
	}
	gateways := map[string]*string{}
	for i, zone := range s.cfg.SortedZones() {
		if s.cfg.Network.NAT == "single" && zone != s.cfg.Network.Zones[0] {
			continue
		}
		address := eip.NewEip(s.stack, jsii.String("nat_address_"+zone), &eip.EipConfig{
			Domain:    jsii.String("vpc"),
			Tags:      s.tags("nat-" + zone),
			Lifecycle: createBeforeDestroy(),
			DependsOn: dependencies{internet}.list(),
		})
		gateway := natgateway.NewNatGateway(s.stack, jsii.String("nat_gateway_"+zone), &natgateway.NatGatewayConfig{
			AllocationId: address.Id(),
			SubnetId:     publicSubnets[i],
			Tags:         s.tags(zone),
			Lifecycle:    createBeforeDestroy(),
			DependsOn:    dependencies{internet}.list(),
		})
		gateways[zone] = gateway.Id()
	}
	return gateways
}

// newPrivateRoutes sends each zone's private subnet through its NAT gateway, or the single one.
func newPrivateRoutes(s *scope, gateways, routeTables map[string]*string) (routes dependencies) {
	if len(gateways) == 0 {
		return nil
	}
	for _, zone := range s.cfg.SortedZones() {
		through := gateways[choose(s.cfg.Network.NAT == "single", s.cfg.Network.Zones[0], zone)]
		routes = append(routes, route.NewRoute(s.stack, jsii.String("private_default_route_"+zone), &route.RouteConfig{
			RouteTableId:         routeTables[zone],
			DestinationCidrBlock: jsii.String("0.0.0.0/0"),
			NatGatewayId:         through,
			Lifecycle:            createBeforeDestroy(),
		}))
	}
	return routes
}

// allowOutside gives a group of tasks its way to AWS and, with NAT, to the internet: HTTPS only.
// The rules' ids begin with id. DNS, task metadata and time are not subject to security groups.
func (n *Network) allowOutside(s *scope, id string, group *securityGroup) (rules dependencies) {
	https := func(id, description string) *egressrule.VpcSecurityGroupEgressRuleConfig {
		return &egressrule.VpcSecurityGroupEgressRuleConfig{
			SecurityGroupId: group.ID,
			Description:     jsii.String(description),
			IpProtocol:      jsii.String("tcp"),
			FromPort:        number(443),
			ToPort:          number(443),
			Tags:            s.tags(dashed(id)),
		}
	}
	if s.cfg.Network.NAT == "none" {
		s3 := https(id+"_s3", "S3, through its gateway endpoint")
		s3.PrefixListId = n.s3PrefixList
		rules = append(rules,
			egressrule.NewVpcSecurityGroupEgressRule(s.stack, jsii.String(id+"_s3_egress"), s3))
	} else {
		internet := https(id+"_https", "HTTPS to AWS and the internet")
		internet.CidrIpv4 = jsii.String("0.0.0.0/0")
		rules = append(rules,
			egressrule.NewVpcSecurityGroupEgressRule(s.stack, jsii.String(id+"_https_egress"), internet))
	}
	if n.endpoints != nil {
		toEndpoints := group.mayReach(n.endpoints, id+"_endpoints", 443, "AWS services through their endpoints")
		rules = append(rules, toEndpoints...)
	}
	return rules
}

func (n *Network) outputs() []output {
	outputs := []output{
		{"vpc_id", "The VPC", n.VpcID},
		{"public_subnet_ids", "Public subnets, by zone", n.PublicSubnets},
		{"private_subnet_ids", "Private subnets, by zone", n.PrivateSubnets},
	}
	if n.DatabaseSubnets != nil {
		outputs = append(outputs, output{"database_subnet_ids", "Database subnets, by zone", n.DatabaseSubnets})
	}
	return outputs
}

func (n *Network) alarms() (alarms []alarm) {
	for _, zone := range slices.Sorted(maps.Keys(n.natGateways)) {
		alarms = append(alarms, natAlarms(zone, n.natGateways[zone])...)
	}
	return alarms
}

func natAlarms(zone string, gateway *string) []alarm {
	return []alarm{{
		id:      "nat_ports_" + zone,
		runbook: "network.md#nat_ports",
		description: "The NAT gateway of zone " + zone + " has no free port for new connections, because too many " +
			"are open to one destination. See the flow logs for the source; for AWS services, use network.endpoints.",
		namespace: "AWS/NATGateway", metric: "ErrorPortAllocation", statistic: "Sum",
		dimensions: map[string]*string{"NatGatewayId": gateway},
		threshold:  0, period: 300, datapoints: 1, periods: 1, missing: missingIsFine,
	}, {
		id:      "nat_drops_" + zone,
		runbook: "network.md#nat_drops",
		description: "The NAT gateway of zone " + zone + " drops packets. If it continues for an hour, see AWS " +
			"Health: AWS has to fix it; open a support case.",
		namespace: "AWS/NATGateway", metric: "PacketsDropCount", statistic: "Sum",
		dimensions: map[string]*string{"NatGatewayId": gateway},
		threshold:  100, period: 300, datapoints: 3, periods: 3, missing: missingIsFine,
	}}
}
