package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

// Pinned: a subnet whose block changes is replaced with all that is in it.
func TestSubnetsBlocks(t *testing.T) {
	for _, c := range []struct {
		vpc  string
		tier tier
		zone string
		want string
	}{
		{"10.0.0.0/16", privateTier, "a", "10.0.0.0/21"},
		{"10.0.0.0/16", privateTier, "b", "10.0.8.0/21"},
		{"10.0.0.0/16", privateTier, "h", "10.0.56.0/21"},
		{"10.0.0.0/16", publicTier, "a", "10.0.64.0/21"},
		{"10.0.0.0/16", publicTier, "c", "10.0.80.0/21"},
		{"10.0.0.0/16", databaseTier, "a", "10.0.128.0/21"},
		{"10.0.0.0/16", databaseTier, "h", "10.0.184.0/21"},
		{"172.31.0.0/20", publicTier, "b", "172.31.4.128/25"},
		{"192.168.252.0/22", privateTier, "a", "192.168.252.0/27"},
		{"192.168.252.0/22", databaseTier, "h", "192.168.254.224/27"},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.vpc, c.tier.name, c.zone), func(t *testing.T) {
			if got := subnetCIDR(netip.MustParsePrefix(c.vpc), c.tier, c.zone).String(); got != c.want {
				t.Errorf("is %s, want %s", got, c.want)
			}
		})
	}
}

// For every size of VPC, and VPCs at the edges of the private ranges: a zone's block lies in the
// VPC, is of the size that was promised, meets no other, and leaves the fourth quarter free.
func TestSubnetsLieInTheVPCAndNeverOverlap(t *testing.T) {
	last := func(p netip.Prefix) netip.Addr {
		address := p.Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			address[bit/8] |= 0x80 >> (bit % 8)
		}
		return netip.AddrFrom4(address)
	}
	for bits := 16; bits <= 22; bits++ {
		for _, base := range []string{
			"10.0.0.0", "10.255.255.255", "10.77.123.45", "172.16.0.0", "172.31.255.255", "192.168.0.0",
			"192.168.255.255",
		} {
			vpc := netip.PrefixFrom(netip.MustParseAddr(base), bits).Masked()
			fourth := netip.PrefixFrom(last(vpc), bits+2).Masked()
			blocks := map[string]netip.Prefix{"the free quarter": fourth}
			for _, tier := range []tier{privateTier, publicTier, databaseTier} {
				for zone := 'a'; zone <= 'h'; zone++ {
					name := tier.name + " " + string(zone)
					block := subnetCIDR(vpc, tier, string(zone))
					if block.Bits() != bits+5 || block.Masked() != block {
						t.Errorf("%s: %s is %s", vpc, name, block)
					}
					if !vpc.Contains(block.Addr()) || !vpc.Contains(last(block)) {
						t.Errorf("%s: %s is outside, %s", vpc, name, block)
					}
					for other, taken := range blocks {
						if block.Overlaps(taken) {
							t.Errorf("%s: %s (%s) overlaps %s (%s)", vpc, name, block, other, taken)
						}
					}
					blocks[name] = block
				}
			}
			if len(blocks) != 3*8+1 {
				t.Errorf("%s: %d blocks", vpc, len(blocks))
			}
		}
	}
}

// Whatever zones there are besides, and in whatever order.
// Which letter is a zone without Fargate differs between accounts, so the plan asks for the zone's
// ID. Only tasks need Fargate, and only these regions have such zones.
func TestPlanFailsInAZoneWithoutFargate(t *testing.T) {
	for region, ids := range map[string]string{
		"us-west-1": `["usw1-az1","usw1-az3"]`, "ap-northeast-1": `["apne1-az1","apne1-az2","apne1-az4"]`,
		"eu-central-1": "",
	} {
		text := "name: shop\nregion: " + region + "\nnetwork: {zones: [a, c]}\n"
		stack := parsed(t, synth(t, parse(t, "dev", text), placeholder(t)))
		for _, subnet := range stack.Resources("aws_subnet") {
			const zones = "data.aws_availability_zones.available_zones."
			want := "${try(contains(" + ids + ", " + zones + "zone_ids[index(" + zones + `names, "` +
				subnet.String("availability_zone") + `")]), true)}`
			conditions := subnet.Blocks("lifecycle.precondition")
			if ids == "" || !strings.HasPrefix(subnet.ID(), "private_") {
				if len(conditions) != 1 {
					t.Errorf("%s: %s has %d preconditions, want 1", region, subnet.Address, len(conditions))
				}
				continue
			}
			if len(conditions) != 2 || conditions[1].String("condition") != want {
				t.Errorf("%s: %s does not check for Fargate: %v, want %s", region, subnet.Address, conditions, want)
			}
		}
	}
}

func TestSubnetsBlockDependsOnItsZonesLetterAlone(t *testing.T) {
	vpc := netip.MustParsePrefix("10.9.0.0/18")
	for _, zones := range []string{"[h, c]", "[c, a, h, b]"} {
		stack := synth(t, parse(t, "dev", minimal+"network: {cidr: 10.9.0.0/18, zones: "+zones+"}\n"), placeholder(t))
		subnets := stack["resource"].(tree)["aws_subnet"].(tree)
		for _, tier := range []tier{privateTier, publicTier, databaseTier} {
			for _, zone := range []string{"c", "h"} {
				id := tier.name + "_subnet_" + zone
				subnet, ok := subnets[id].(tree)
				if !ok {
					t.Fatalf("zones %s: there is no %s", zones, id)
				}
				if got, want := subnet["cidr_block"], subnetCIDR(vpc, tier, zone).String(); got != want {
					t.Errorf("zones %s: %s is %s, want %s", zones, id, got, want)
				}
			}
		}
	}
}

const (
	privateSubnetA     = "aws_subnet.private_subnet_a"
	privateSubnetB     = "aws_subnet.private_subnet_b"
	publicSubnetA      = "aws_subnet.public_subnet_a"
	publicSubnetB      = "aws_subnet.public_subnet_b"
	natGatewayA        = "aws_nat_gateway.nat_gateway_a"
	natGatewayB        = "aws_nat_gateway.nat_gateway_b"
	natAddressB        = "aws_eip.nat_address_b"
	privateRouteA      = "aws_route.private_default_route_a"
	privateRouteB      = "aws_route.private_default_route_b"
	databaseRouteTable = "aws_route_table.database_route_table"
	privateRouteTableB = "aws_route_table.private_b_route_table"
)

var networkPromises = []stacktest.Promise{{
	Name:  "only the load balancer and the NAT gateways have public IP addresses",
	Check: onlyLoadBalancerAndNATArePublic,
	BrokenBy: []stacktest.Break{{
		Name:  "a private subnet assigns public IP addresses",
		Stack: "prod",
		By:    stacktest.Set(privateSubnetA, "map_public_ip_on_launch", true),
		Found: privateSubnetA,
	}, {
		Name:  "a public subnet leaves public IP addresses to AWS's default",
		Stack: "prod",
		By:    stacktest.Remove(publicSubnetA, "map_public_ip_on_launch"),
		Found: publicSubnetA,
	}, {
		Name:  "a subnet assigns IPv6 addresses",
		Stack: "prod",
		By:    stacktest.Add(privateSubnetA, "assign_ipv6_address_on_creation", true),
		Found: privateSubnetA,
	}, {
		Name:  "the database instance is publicly accessible",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "publicly_accessible", true),
		Found: databaseInstance,
	}, {
		Name:  "a service assigns public IP addresses to its tasks",
		Stack: "dev",
		By:    stacktest.Set("aws_ecs_service.prometheus_service", "network_configuration.assign_public_ip", true),
		Found: "aws_ecs_service.prometheus_service",
	}, {
		Name:  "an Elastic IP address is not used by a NAT gateway",
		Stack: "dev",
		By:    stacktest.Create("aws_eip.spare", map[string]any{}),
		Found: "aws_eip.spare",
	}, {
		Name:  "a second load balancer is public",
		Stack: "dev",
		By:    stacktest.CreateLike(loadBalancer, "aws_lb.second", "name", "second"),
		Found: "aws_lb.second",
	}, {
		Name:  "a Lambda function has a URL",
		Stack: "dev",
		By:    stacktest.Create("aws_lambda_function_url.url", map[string]any{}),
		Found: "aws_lambda_function_url.url",
	}},
}, {
	Name:  "tasks run in private subnets, and the database in subnets without a route to the internet",
	Check: tiersHaveTheirRoutes,
	BrokenBy: []stacktest.Break{{
		Name:  "the database's route table gets a default route to a NAT gateway",
		Stack: "prod",
		By: stacktest.Create(
			"aws_route.debug",
			map[string]any{
				"route_table_id":         idOf(databaseRouteTable),
				"destination_cidr_block": "0.0.0.0/0",
				"nat_gateway_id":         idOf(natGatewayA),
			},
		),
		Found: "aws_route.debug",
	}, {
		Name:  "a private subnet's default route leads to the internet gateway",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Remove(privateRouteA, "nat_gateway_id"),
			stacktest.Add(privateRouteA, "gateway_id",
				idOf(internetGateway)),
		),
		Found: privateRouteA,
	}, {
		Name:  "a service runs in a public subnet",
		Stack: "prod",
		By:    stacktest.Replace(webService, "network_configuration.subnets", "private_subnet_b", "public_subnet_b"),
		Found: publicSubnetB,
	}, {
		Name:  "the database is in a private subnet of the tasks",
		Stack: "prod",
		By: stacktest.Replace("aws_db_subnet_group.database_subnet_group", "subnet_ids", "database_subnet_a",
			"private_subnet_a"),
		Found: privateSubnetA,
	}, {
		Name:  "the load balancer is in a private subnet",
		Stack: "dev",
		By:    stacktest.Replace(loadBalancer, "subnets", "public_subnet_a", "private_subnet_a"),
		Found: privateSubnetA,
	}, {
		Name:  "a NAT gateway is in a private subnet",
		Stack: "dev",
		By:    stacktest.Set(natGatewayA, "subnet_id", idOf(privateSubnetA)),
		Found: natGatewayA,
	}, {
		Name:  "a database subnet is not associated with a route table",
		Stack: "prod",
		By:    stacktest.Delete("aws_route_table_association.database_route_table_association_a"),
		Found: "aws_subnet.database_subnet_a",
	}, {
		Name:  "a route table has an inline route",
		Stack: "prod",
		By: stacktest.Add(databaseRouteTable, "route",
			[]any{map[string]any{"cidr_block": "0.0.0.0/0"}}),
		Found: databaseRouteTable,
	}, {
		Name:  "a private subnet has no default route",
		Stack: "prod",
		By:    stacktest.Delete(privateRouteB),
		Found: privateSubnetB,
	}},
}, {
	Name:  "each subnet's zone exists, and its CIDR block lies in the VPC and overlaps no other",
	Check: subnetsFitTheVPC,
	BrokenBy: []stacktest.Break{{
		Name:  "a subnet has no precondition for its zone",
		Stack: "prod",
		By:    stacktest.Remove(privateSubnetA, "lifecycle.precondition"),
		Found: privateSubnetA,
	}, {
		Name:  "a subnet's precondition checks a zone other than its own",
		Stack: "prod",
		By:    stacktest.Set(privateSubnetA, "availability_zone", "eu-central-1f"),
		Found: privateSubnetA,
	}, {
		Name:  "a subnet's CIDR block overlaps that of another",
		Stack: "prod",
		By:    stacktest.Set(privateSubnetA, "cidr_block", "10.0.0.0/20"),
		Found: privateSubnetA,
	}, {
		Name:  "a subnet's CIDR block is outside of the VPC",
		Stack: "prod",
		By:    stacktest.Set(privateSubnetA, "cidr_block", "10.1.0.0/21"),
		Found: privateSubnetA,
	}, {
		Name:  "a subnet's CIDR block has no prefix length",
		Stack: "prod",
		By:    stacktest.Set(privateSubnetA, "cidr_block", "10.0.0.0"),
		Found: privateSubnetA,
	}},
}}

func onlyLoadBalancerAndNATArePublic(s stacktest.Stack, v *stacktest.Violations) {
	public := 0
	for _, lb := range s.Resources("aws_lb") {
		if !lb.Is("internal", true) {
			public++
			v.Want(public == 1, lb.Address, "is a second public load balancer")
		}
	}
	for _, subnet := range s.Resources("aws_subnet") {
		v.Want(subnet.Is("map_public_ip_on_launch", false), subnet.Address, "may assign public IPv4 addresses")
		v.Want(!subnet.Is("assign_ipv6_address_on_creation", true),
			subnet.Address, "assigns IPv6 addresses, which are public")
	}
	for _, instance := range s.Resources("aws_db_instance") {
		v.Want(instance.Is("publicly_accessible", false), instance.Address, "may have a public IP address")
	}
	for _, service := range s.Resources("aws_ecs_service") {
		v.Want(service.Is("network_configuration.assign_public_ip", false),
			service.Address, "may assign public IP addresses to its tasks")
	}
	for _, eip := range s.Resources("aws_eip") {
		v.Want(len(stacktest.Referring(s.Resources("aws_nat_gateway"), "allocation_id", eip.Address)) == 1,
			eip.Address, "is not used by a NAT gateway")
	}
	for _, url := range s.Resources("aws_lambda_function_url") {
		v.Want(false, url.Address, "makes a function public")
	}
}

// routesOf are the routes of a subnet, and the address of its route table. Without exactly one
// route table, both are empty.
func routesOf(s stacktest.Stack, subnet string) (routes []stacktest.Resource, table string) {
	associations := stacktest.Referring(s.Resources("aws_route_table_association"), "subnet_id", subnet)
	if len(associations) != 1 {
		return nil, ""
	}
	table = associations[0].Reference("route_table_id")
	return stacktest.Referring(s.Resources("aws_route"), "route_table_id", table), table
}

// subnetTier says which default route the subnets of a user have.
type subnetTier struct {
	user                   string
	internetGateway, byNAT bool
}

func tiersHaveTheirRoutes(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_db_subnet_group") {
		for _, subnet := range group.References("subnet_ids") {
			subnetTier{user: "the database"}.check(s, v, subnet)
		}
	}
	withNAT := len(s.Resources("aws_nat_gateway")) > 0
	for _, t := range serviceTasks(s) {
		for _, subnet := range t.service.References("network_configuration.subnets") {
			subnetTier{user: "the service " + t.name(), byNAT: withNAT}.check(s, v, subnet)
		}
	}
	for _, lb := range s.Resources("aws_lb") {
		for _, subnet := range lb.References("subnets") {
			subnetTier{user: "the load balancer", internetGateway: true}.check(s, v, subnet)
		}
	}
	for _, nat := range s.Resources("aws_nat_gateway") {
		routes, _ := routesOf(s, nat.Reference("subnet_id"))
		v.Want(len(routes) == 1 && routes[0].Has("gateway_id"),
			nat.Address, "is in a subnet without a route to the internet gateway")
	}
	for _, table := range s.Resources("aws_route_table") {
		v.Want(!table.Has("route"), table.Address, "has inline routes, which remove the routes that are resources")
	}
	for _, subnet := range s.Resources("aws_subnet") {
		_, table := routesOf(s, subnet.Address)
		v.Want(table != "", subnet.Address, "want one route table, so that AWS does not use the VPC's main one")
	}
}

func (t subnetTier) check(s stacktest.Stack, v *stacktest.Violations, subnet string) {
	routes, table := routesOf(s, subnet)
	v.Want(table != "", subnet, "want one route table for %s, so that AWS does not use the VPC's main one", t.user)
	var gateways, nats int
	for _, r := range routes {
		if r.Has("gateway_id") {
			gateways++
			v.Want(t.internetGateway, r.Address, "is a route from %s of %s to the internet gateway", subnet, t.user)
			v.Want(t.internetGateway, subnet, "is public, and %s is in it", t.user)
		} else {
			nats++
			v.Want(t.byNAT, r.Address, "is a route from %s of %s to a NAT gateway", subnet, t.user)
			v.Want(t.byNAT, subnet, "has a route to a NAT gateway, and %s is in it", t.user)
		}
	}
	if table != "" {
		v.Want(!t.internetGateway || gateways == 1,
			subnet, "has no route to the internet gateway, and %s is in it", t.user)
		v.Want(!t.byNAT || nats == 1, subnet, "has no route to a NAT gateway, and %s is in it", t.user)
	}
}

func subnetsFitTheVPC(s stacktest.Stack, v *stacktest.Violations) {
	subnets := s.Resources("aws_subnet")
	for i, subnet := range subnets {
		zone := subnet.String("availability_zone")
		preconditions := subnet.Blocks("lifecycle.precondition")
		among := `data.aws_availability_zones.available_zones.names, "` + zone + `"`
		v.Want(len(preconditions) > 0 && strings.Contains(preconditions[0].String("condition"), among),
			subnet.Address, "has no precondition that the account has zone %s", zone)
		block, err := netip.ParsePrefix(subnet.String("cidr_block"))
		vpc, vpcErr := netip.ParsePrefix(s.Resource(subnet.Reference("vpc_id")).String("cidr_block"))
		if err != nil || vpcErr != nil {
			v.Want(false, subnet.Address, "has no CIDR block: %v %v", err, vpcErr)
			continue
		}
		v.Want(vpc.Overlaps(block) && vpc.Bits() < block.Bits(),
			subnet.Address, "has the CIDR block %s, which is not in %s", block, vpc)
		for _, other := range subnets[i+1:] {
			if otherBlock, err := netip.ParsePrefix(other.String("cidr_block")); err == nil {
				v.Want(!block.Overlaps(otherBlock), subnet.Address,
					"has the CIDR block %s, which overlaps %s of %s", block, otherBlock, other.Address)
			}
		}
	}
}
