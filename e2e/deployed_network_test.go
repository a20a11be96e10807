//go:build e2e

package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

func (w *deployed) onlyTheLoadBalancerIsPublic() {
	for p := range pages(w.T, ec2.NewDescribeSecurityGroupRulesPaginator(w.ec2, w.rulesOfGroups())) {
		for _, rule := range p.SecurityGroupRules {
			anyone := aws.ToString(rule.CidrIpv4) == "0.0.0.0/0" || aws.ToString(rule.CidrIpv6) == "::/0"
			if anyone && !*rule.IsEgress && *rule.GroupId != w.groups["load_balancer"] {
				w.Errorf("ingress from the internet to more than the load balancer: %s", w.describeRule(rule))
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
	for _, address := range must(w.ec2.DescribeAddresses(alive, nil))(w.T).Addresses {
		if !gateways[aws.ToString(address.NetworkInterfaceId)] {
			w.Errorf("an Elastic IP address does not belong to a NAT gateway: %s",
				nameAndID(address.Tags, address.AllocationId))
		}
	}
	for p := range pages(w.T, ec2.NewDescribeNetworkInterfacesPaginator(w.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: w.inVPC(),
	})) {
		for _, i := range p.NetworkInterfaces {
			if i.Association != nil && i.Association.PublicIp != nil && !gateways[*i.NetworkInterfaceId] {
				w.Errorf("a network interface with a public address does not belong to a NAT gateway: %s",
					nameAndID(i.TagSet, i.NetworkInterfaceId))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.subnets)) {
		if *w.subnets[name].MapPublicIpOnLaunch || aws.ToBool(w.subnets[name].AssignIpv6AddressOnCreation) {
			w.Errorf("subnet %s assigns public addresses", name)
		}
	}
	if *w.database.PubliclyAccessible {
		w.Errorf("the database is publicly accessible")
	}
	var none *lambdatypes.ResourceNotFoundException
	name := w.stack + "-backup"
	if _, err := w.lambda.GetFunctionUrlConfig(alive, &lambda.GetFunctionUrlConfigInput{
		FunctionName: &name,
	}); !errors.As(err, &none) {
		w.Errorf("the backup function has a function URL: %v", err)
	}
	if _, err := w.lambda.GetPolicy(alive, &lambda.GetPolicyInput{FunctionName: &name}); !errors.As(err, &none) {
		w.Errorf("the backup function has a resource policy: %v", err)
	}
}

func (w *deployed) rulesOfGroups() *ec2.DescribeSecurityGroupRulesInput {
	ids := slices.Sorted(maps.Values(w.groups))
	return &ec2.DescribeSecurityGroupRulesInput{Filters: []ec2types.Filter{{Name: aws.String("group-id"), Values: ids}}}
}

// describeRule describes a security group rule.
func (w *deployed) describeRule(rule ec2types.SecurityGroupRule) string {
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

// securityGroupsHaveOnlyTheExpectedRules: the default security group exists and has no rules.
func (w *deployed) securityGroupsHaveOnlyTheExpectedRules() {
	w.sameElements("security groups", slices.Collect(maps.Keys(w.groups)), slices.Concat([]string{
		"default", "load_balancer", "database_instances", "database_function",
	}, w.runs, w.dumpTasks))
	var have []string
	for p := range pages(w.T, ec2.NewDescribeSecurityGroupRulesPaginator(w.ec2, w.rulesOfGroups())) {
		for _, rule := range p.SecurityGroupRules {
			have = append(have, w.describeRule(rule))
		}
	}
	w.sameElements("rules of security groups", have, w.groupRules)
}

// securityGroupsAreAttachedToTheirResources does not check NAT gateways: moto puts them into the
// default security group, whereas AWS gives them none.
func (w *deployed) securityGroupsAreAttachedToTheirResources() {
	w.sameElements("the load balancer's security groups", w.loadBalancer.SecurityGroups,
		[]string{w.groups["load_balancer"]})
	var ofDatabase []string
	for _, group := range w.database.VpcSecurityGroups {
		ofDatabase = append(ofDatabase, *group.VpcSecurityGroupId)
	}
	w.sameElements("the database's security groups", ofDatabase, []string{w.groups["database_instances"]})
	for _, service := range w.services() {
		w.sameElements("security groups of "+*service.ServiceName,
			service.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups, []string{w.groups[*service.ServiceName]})
	}
}

// subnetsHaveTheExpectedRoutes: besides the local route, public subnets have a route to the
// internet gateway, private ones to a NAT gateway, and database subnets have none.
func (w *deployed) subnetsHaveTheExpectedRoutes() {
	attached := &ec2.DescribeInternetGatewaysInput{
		Filters: []ec2types.Filter{{Name: aws.String("attachment.vpc-id"), Values: []string{w.vpc}}},
	}
	gateways := must(w.ec2.DescribeInternetGateways(alive, attached))(w.T).InternetGateways
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
		exit := "public-" + w.natZones[zone]
		if !slices.Contains(places, exit) {
			places = append(places, exit)
		}
		want["public-"+zone] = []string{"0.0.0.0/0 " + *gateway.InternetGatewayId}
		want["private-"+zone] = []string{"0.0.0.0/0 " + nats[exit]}
		want["database-"+zone] = nil
	}
	w.sameElements("subnets with a NAT gateway", slices.Collect(maps.Keys(nats)), places)
	w.sameElements("subnets", slices.Collect(maps.Keys(w.subnets)), slices.Collect(maps.Keys(want)))
	routes := w.routes()
	for name, subnet := range w.subnets {
		w.equal("zone of subnet "+name, *subnet.AvailabilityZone, w.region+name[len(name)-1:])
		have, ok := routes[*subnet.SubnetId]
		if !ok {
			w.Errorf("subnet %s has no route table", name)
		}
		w.sameElements("routes of subnet "+name, have, want[name])
	}
	var throughEndpoint []string
	endpoint := only(w.T, "endpoint", must(w.ec2.DescribeVpcEndpoints(alive, &ec2.DescribeVpcEndpointsInput{
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
	w.sameElements("subnets with a route to the S3 endpoint", throughEndpoint, w.subnetIDs("private"))
}

// routes returns the routes of each subnet, without the local route.
func (w *deployed) routes() map[string][]string {
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

// lead describes a route: its destination and its target.
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
