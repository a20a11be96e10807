package main

import (
	"net/netip"
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsavailabilityzones"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/defaultsecuritygroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/eip"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/flowlog"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/internetgateway"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/natgateway"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/route"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/routetable"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/routetableassociation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/securitygroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/subnet"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpc"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpoint"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpointroutetableassociation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpointsubnetassociation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupegressrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupingressrule"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Network is what the other modules stand on.
type Network struct {
	VpcID           *string
	PublicSubnets   []*string                    // the balancer's, by zone
	PrivateSubnets  []*string                    // the tasks', by zone
	DatabaseSubnets []*string                    // the database's, by zone
	NATGateways     map[string]*string           // by zone; for their alarms
	Outside         []cdktf.ITerraformDependable // a task that starts before all these cannot fetch its image
	InternetGateway cdktf.ITerraformDependable   // what has a public address depends on it

	nat           string
	endpointGroup *string // security group of the interface endpoints, nil without any
	s3PrefixList  *string
}

// newNetwork declares the VPC and everything in it that has no service running on it.
//
//	internet ── internet gateway ── public subnets (balancer, NAT) ── NAT ── private subnets (tasks) ── database subnets
//
// Each zone has one subnet in each tier. The database tier has no route out of the VPC. Nothing gets a public address unless it
// asks for one. The default security group is emptied; the default network ACL is left as AWS makes it, since emptied it
// would cut off every subnet that has none of its own.
func newNetwork(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, accountID string) *Network {
	zones := dataawsavailabilityzones.NewDataAwsAvailabilityZones(stack, jsii.String("available_zones"), &dataawsavailabilityzones.DataAwsAvailabilityZonesConfig{
		State: jsii.String("available"),
	}).Fqn()
	network := vpc.NewVpc(stack, jsii.String("vpc"), &vpc.VpcConfig{
		CidrBlock:          jsii.String(cfg.Network.CIDR),
		EnableDnsSupport:   true,
		EnableDnsHostnames: true, // interface endpoints' private names need it
		Tags:               nameTag(cfg, "vpc"),
		Lifecycle:          protect(cfg), // another network.cidr would take everything in it along
	})
	defaultsecuritygroup.NewDefaultSecurityGroup(stack, jsii.String("default_security_group"), &defaultsecuritygroup.DefaultSecurityGroupConfig{
		VpcId:   network.Id(),
		Ingress: &[]*defaultsecuritygroup.DefaultSecurityGroupIngress{}, // empty and written out: takes AWS's own rules away
		Egress:  &[]*defaultsecuritygroup.DefaultSecurityGroupEgress{},
		Tags:    nameTag(cfg, "default-unused"),
	})
	gateway := internetgateway.NewInternetGateway(stack, jsii.String("internet_gateway"), &internetgateway.InternetGatewayConfig{
		VpcId: network.Id(),
		Tags:  nameTag(cfg, "internet"),
	})
	net := &Network{VpcID: network.Id(), InternetGateway: gateway, nat: cfg.Network.NAT}

	publicRoutes := newRouteTable(stack, cfg, net, "public")
	toInternet := route.NewRoute(stack, jsii.String("public_default_route"), &route.RouteConfig{
		RouteTableId:         publicRoutes,
		DestinationCidrBlock: jsii.String("0.0.0.0/0"),
		GatewayId:            gateway.Id(),
	})
	net.Outside = append(net.Outside, toInternet)                // NAT gateways need it
	databaseRoutes := newRouteTable(stack, cfg, net, "database") // only the VPC's own route, which every table has

	s3 := newS3Endpoint(stack, cfg, net)
	privateRoutes := map[string]*string{} // a table for each zone
	for _, zone := range cfg.SortedZones() {
		public := newSubnet(stack, cfg, net, zones, publicTier, zone)
		private := newSubnet(stack, cfg, net, zones, privateTier, zone)
		database := newSubnet(stack, cfg, net, zones, databaseTier, zone)
		net.PublicSubnets = append(net.PublicSubnets, public)
		net.PrivateSubnets = append(net.PrivateSubnets, private)
		net.DatabaseSubnets = append(net.DatabaseSubnets, database)

		net.Outside = append(net.Outside, associate(stack, publicTier, zone, public, publicRoutes))
		associate(stack, databaseTier, zone, database, databaseRoutes)
		privateRoutes[zone] = newRouteTable(stack, cfg, net, "private_"+zone)
		net.Outside = append(net.Outside,
			associate(stack, privateTier, zone, private, privateRoutes[zone]),
			vpcendpointroutetableassociation.NewVpcEndpointRouteTableAssociation(stack, jsii.String("s3_endpoint_route_table_association_"+zone), &vpcendpointroutetableassociation.VpcEndpointRouteTableAssociationConfig{
				VpcEndpointId: s3, RouteTableId: privateRoutes[zone], Lifecycle: createBeforeDestroy(),
			}))
	}
	newNATs(stack, cfg, net, privateRoutes)
	newEndpoints(stack, cfg, net)
	newFlowLogs(stack, cfg, keys, net, accountID)
	return net
}

// createBeforeDestroy makes Terraform delete what a change leaves behind, such as a dropped zone's subnets, after balancer and services have left it. Without it,
// deletions come first: AWS refuses to delete a subnet that a balancer is in, and tasks without their route reach nothing.
func createBeforeDestroy() *cdktf.TerraformResourceLifecycle {
	return &cdktf.TerraformResourceLifecycle{CreateBeforeDestroy: jsii.Bool(true)}
}

// tier is a layer of the network: its number decides which quarter of the VPC's block it has. Once deployed neither may change.
type tier struct {
	name    string
	quarter int
}

var (
	privateTier  = tier{"private", 0}
	publicTier   = tier{"public", 1}
	databaseTier = tier{"database", 2} // the fourth quarter is kept free
)

// subnetCIDR is the block of a zone in a tier: the tier's quarter of the VPC, cut in eight, the zone's letter picking one. So a
// zone's block depends on its letter alone, and adding or dropping a zone moves no other. The VPC's block must be /16 to /22.
func subnetCIDR(vpcBlock netip.Prefix, t tier, zone string) netip.Prefix {
	bits := vpcBlock.Bits() + 5
	index := uint32(t.quarter)<<3 | uint32(zone[0]-'a')
	base := vpcBlock.Addr().As4()
	address := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	address += index << (32 - bits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)}), bits)
}

func newSubnet(stack cdktf.TerraformStack, cfg *config.Config, net *Network, zones *string, t tier, zone string) *string {
	full := cfg.Region + zone
	lifecycle := createBeforeDestroy()
	// Which letters a region has differs from account to account: asked at plan, before anything is made.
	lifecycle.Precondition = &[]*cdktf.Precondition{{
		Condition:    jsii.String("${contains(" + *zones + ".names, \"" + full + "\")}"),
		ErrorMessage: jsii.String("network.zones: this account has no zone " + full + " that is available: choose another letter."),
	}}
	return subnet.NewSubnet(stack, jsii.String(t.name+"_subnet_"+zone), &subnet.SubnetConfig{
		VpcId:               net.VpcID,
		AvailabilityZone:    jsii.String(full),
		CidrBlock:           jsii.String(subnetCIDR(netip.MustParsePrefix(cfg.Network.CIDR), t, zone).String()),
		MapPublicIpOnLaunch: false,
		Tags:                nameTag(cfg, t.name+"-"+zone),
		Lifecycle:           lifecycle,
	}).Id()
}

func newRouteTable(stack cdktf.TerraformStack, cfg *config.Config, net *Network, name string) *string {
	return routetable.NewRouteTable(stack, jsii.String(name+"_route_table"), &routetable.RouteTableConfig{
		VpcId:     net.VpcID,
		Tags:      nameTag(cfg, dashed(name)),
		Lifecycle: createBeforeDestroy(),
	}).Id()
}

func associate(stack cdktf.TerraformStack, t tier, zone string, subnetID, routeTable *string) cdktf.ITerraformDependable {
	return routetableassociation.NewRouteTableAssociation(stack, jsii.String(t.name+"_route_table_association_"+zone), &routetableassociation.RouteTableAssociationConfig{
		SubnetId: subnetID, RouteTableId: routeTable, Lifecycle: createBeforeDestroy(),
	})
}

// newNATs gives the private subnets their way out: none, one gateway for all, or one in each zone, so that a zone's failure stays
// its own. The single one stands in the zone that the file names first: order there matters, and only for this.
func newNATs(stack cdktf.TerraformStack, cfg *config.Config, net *Network, routeTables map[string]*string) {
	if cfg.Network.NAT == "none" {
		return
	}
	gateways := map[string]*string{}
	net.NATGateways = gateways
	for i, zone := range cfg.SortedZones() {
		if cfg.Network.NAT == "single" && zone != cfg.Network.Zones[0] {
			continue
		}
		address := eip.NewEip(stack, jsii.String("nat_address_"+zone), &eip.EipConfig{
			Domain:    jsii.String("vpc"),
			Tags:      nameTag(cfg, "nat-"+zone),
			Lifecycle: createBeforeDestroy(),
			DependsOn: dependsOn(net.InternetGateway),
		})
		gateways[zone] = natgateway.NewNatGateway(stack, jsii.String("nat_gateway_"+zone), &natgateway.NatGatewayConfig{
			AllocationId: address.Id(),
			SubnetId:     net.PublicSubnets[i],
			Tags:         nameTag(cfg, zone),
			Lifecycle:    createBeforeDestroy(),
			DependsOn:    dependsOn(net.InternetGateway),
		}).Id()
	}
	for _, zone := range cfg.SortedZones() {
		through := gateways[choose(cfg.Network.NAT == "single", cfg.Network.Zones[0], zone)]
		net.Outside = append(net.Outside, route.NewRoute(stack, jsii.String("private_default_route_"+zone), &route.RouteConfig{
			RouteTableId:         routeTables[zone],
			DestinationCidrBlock: jsii.String("0.0.0.0/0"),
			NatGatewayId:         through,
			Lifecycle:            createBeforeDestroy(),
		}))
	}
}

// newS3Endpoint keeps traffic to S3 off the NAT gateways, where it would cost; the endpoint itself is free. Its policy is AWS's
// default: a narrower one would have to know every bucket of the application, and those of ECR's image layers.
func newS3Endpoint(stack cdktf.TerraformStack, cfg *config.Config, net *Network) *string {
	endpoint := vpcendpoint.NewVpcEndpoint(stack, jsii.String("s3_endpoint"), &vpcendpoint.VpcEndpointConfig{
		VpcId:           net.VpcID,
		ServiceName:     jsii.String("com.amazonaws." + cfg.Region + ".s3"),
		VpcEndpointType: jsii.String("Gateway"),
		Tags:            nameTag(cfg, "s3"),
	})
	net.s3PrefixList = endpoint.PrefixListId()
	return endpoint.Id()
}

// newEndpoints brings AWS's own services into the private subnets. Subnets are joined one by one, so that a new zone adds and
// changes nothing.
func newEndpoints(stack cdktf.TerraformStack, cfg *config.Config, net *Network) {
	if len(cfg.Network.Endpoints) == 0 {
		return
	}
	net.endpointGroup = newSecurityGroup(stack, cfg, net, "endpoints_security_group", "endpoints", "Interface endpoints: AWS services inside the VPC")
	for _, name := range cfg.Network.Endpoints {
		id := "endpoint_" + underscored(name)
		endpoint := vpcendpoint.NewVpcEndpoint(stack, jsii.String(id), &vpcendpoint.VpcEndpointConfig{
			VpcId:             net.VpcID,
			ServiceName:       jsii.String("com.amazonaws." + cfg.Region + "." + name),
			VpcEndpointType:   jsii.String("Interface"),
			PrivateDnsEnabled: true,
			SecurityGroupIds:  &[]*string{net.endpointGroup},
			Tags:              nameTag(cfg, dashed(underscored(name))),
			// Subnets are the associations' below; without this the two would undo each other.
			Lifecycle: &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("subnet_ids")}},
		})
		for i, zone := range cfg.SortedZones() {
			net.Outside = append(net.Outside, vpcendpointsubnetassociation.NewVpcEndpointSubnetAssociation(stack, jsii.String(id+"_subnet_association_"+zone), &vpcendpointsubnetassociation.VpcEndpointSubnetAssociationConfig{
				VpcEndpointId: endpoint.Id(), SubnetId: net.PrivateSubnets[i],
			}))
		}
	}
}

// newFlowLogs records who talks to whom, for the day on which somebody asks.
func newFlowLogs(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, accountID string) {
	logs := newLogGroup(stack, cfg, keys, "flow_log_group", "/"+cfg.Stack()+"/vpc-flow-logs")
	role := newRole(stack, cfg, "flow_log_role", "flow-logs", "vpc-flow-logs.amazonaws.com", []condition{
		equals("aws:SourceAccount", accountID),
		{"ArnLike", "aws:SourceArn", []string{"arn:aws:ec2:" + cfg.Region + ":" + accountID + ":vpc-flow-log/*"}},
	}, statement{
		sid:       "Write",
		actions:   []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"},
		resources: []string{*logs.Arn() + ":*"},
	}, statement{
		sid:       "Find",
		actions:   []string{"logs:DescribeLogGroups"},
		resources: []string{"*"}, // a list has no resource
	})
	flowlog.NewFlowLog(stack, jsii.String("flow_log"), &flowlog.FlowLogConfig{
		VpcId:                  net.VpcID,
		TrafficType:            jsii.String("ALL"),
		LogDestinationType:     jsii.String("cloud-watch-logs"),
		LogDestination:         logs.Arn(),
		IamRoleArn:             role.ARN,
		MaxAggregationInterval: jsii.Number(600),
		Tags:                   nameTag(cfg, "vpc"),
		DependsOn:              dependsOn(role.Ready...),
	})
}

// ---- Security groups: each rule a resource of its own, declared by whoever needs the way -----------------------------

// newSecurityGroup declares a group without rules: nothing in, nothing out. A group's description can never change.
func newSecurityGroup(stack cdktf.TerraformStack, cfg *config.Config, net *Network, id, noun, description string, after ...cdktf.ITerraformDependable) *string {
	return securitygroup.NewSecurityGroup(stack, jsii.String(id), &securitygroup.SecurityGroupConfig{
		Name:        jsii.String(cfg.ResourceName(noun)),
		Description: jsii.String(description),
		VpcId:       net.VpcID,
		Tags:        nameTag(cfg, noun),
		DependsOn:   dependsOn(after...),
	}).Id()
}

// allow opens one TCP port from one security group to another, at both ends. Both rules' ids begin with id.
func allow(stack cdktf.TerraformStack, cfg *config.Config, id, description string, from, to *string, port int) []cdktf.ITerraformDependable {
	out := vpcsecuritygroupegressrule.NewVpcSecurityGroupEgressRule(stack, jsii.String(id+"_egress"), &vpcsecuritygroupegressrule.VpcSecurityGroupEgressRuleConfig{
		SecurityGroupId: from, ReferencedSecurityGroupId: to, Description: jsii.String(description),
		IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(float64(port)), ToPort: jsii.Number(float64(port)),
		Tags: nameTag(cfg, dashed(id)),
	})
	in := vpcsecuritygroupingressrule.NewVpcSecurityGroupIngressRule(stack, jsii.String(id+"_ingress"), &vpcsecuritygroupingressrule.VpcSecurityGroupIngressRuleConfig{
		SecurityGroupId: to, ReferencedSecurityGroupId: from, Description: jsii.String(description),
		IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(float64(port)), ToPort: jsii.Number(float64(port)),
		Tags: nameTag(cfg, dashed(id)),
	})
	return []cdktf.ITerraformDependable{out, in}
}

// allowOutside gives a task its way to AWS and, with NAT, to the internet: HTTPS only. DNS, task metadata and time are not
// subject to security groups.
func (net *Network) allowOutside(stack cdktf.TerraformStack, cfg *config.Config, id string, group *string) []cdktf.ITerraformDependable {
	https := func(suffix, description string) *vpcsecuritygroupegressrule.VpcSecurityGroupEgressRuleConfig {
		return &vpcsecuritygroupegressrule.VpcSecurityGroupEgressRuleConfig{
			SecurityGroupId: group, Description: jsii.String(description),
			IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(443), ToPort: jsii.Number(443),
			Tags: nameTag(cfg, dashed(id+suffix)),
		}
	}
	var rules []cdktf.ITerraformDependable
	if net.nat == "none" {
		s3 := https("_s3", "S3, through its gateway endpoint")
		s3.PrefixListId = net.s3PrefixList
		rules = append(rules, vpcsecuritygroupegressrule.NewVpcSecurityGroupEgressRule(stack, jsii.String(id+"_s3_egress"), s3))
	} else {
		internet := https("_https", "HTTPS to AWS and the internet")
		internet.CidrIpv4 = jsii.String("0.0.0.0/0")
		rules = append(rules, vpcsecuritygroupegressrule.NewVpcSecurityGroupEgressRule(stack, jsii.String(id+"_https_egress"), internet))
	}
	if net.endpointGroup != nil {
		rules = append(rules, allow(stack, cfg, id+"_endpoints", "AWS services through their endpoints", group, net.endpointGroup, 443)...)
	}
	return rules
}
