package main

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var reachInvariants = []invariant{
	{
		promise: "the internet reaches the load balancer and nothing else",
		check:   internetReachesTheBalancerOnly,
		broken: []damage{
			{name: "a block may connect to tasks", stack: "prod",
				breaks: put(ingress+"debug", rule(webGroup, "cidr_ipv4", "10.0.0.0/8", 8080)),
				found:  ingress + "debug"},
			{name: "everybody may connect to the database", stack: "prod",
				breaks: put(ingress+"debug", rule(databaseGroup, "cidr_ipv4", "0.0.0.0/0", 5432)),
				found:  ingress + "debug"},
			{name: "everybody may connect by IPv6", stack: "prod",
				breaks: put(ingress+"debug", rule(webGroup, "cidr_ipv6", "::/0", 8080)), found: ingress + "debug"},
			{name: "the balancer opens a port without a listener", stack: "prod",
				breaks: put(ingress+"debug", rule(balancerGroup, "cidr_ipv4", "0.0.0.0/0", 22)),
				found:  ingress + "debug"},
		},
	},
	{
		promise: "tasks accept traffic only from the load balancer and Prometheus",
		check:   tasksAreReachedByBalancerAndPrometheus,
		broken: []damage{
			{name: "the database's group may connect to tasks", stack: "prod",
				breaks: change(ingress+"service_web_from_load_balancer_ingress", "referenced_security_group_id",
					id(databaseGroup)),
				found: ingress + "service_web_from_load_balancer_ingress"},
			{name: "a service may connect to another", stack: "two services",
				breaks: put(ingress+"debug",
					rule(webGroup, "referenced_security_group_id",
						id("aws_security_group.service_jobs_security_group"), 8080)),
				found: ingress + "debug"},
			{name: "tasks may connect to each other", stack: "prod",
				breaks: put(ingress+"debug", rule(webGroup, "referenced_security_group_id", id(webGroup), 8080)),
				found:  ingress + "debug"},
			{name: "somebody may connect to Prometheus", stack: "prod",
				breaks: put(ingress+"debug", rule(prometheusGroup, "referenced_security_group_id", id(webGroup), 9090)),
				found:  ingress + "debug"},
		},
	},
	{
		promise: "only services with a database reach the database",
		check:   onlyServicesWithADatabaseReachIt,
		broken: []damage{
			{name: "Prometheus may connect to the database", stack: "prod",
				breaks: put(ingress+"debug",
					rule(databaseGroup, "referenced_security_group_id", id(prometheusGroup), 5432)),
				found: ingress + "debug"},
			{name: "a function without a database may", stack: "prod",
				breaks: both(
					add(theFunction, "vpc_config", tree{"security_group_ids": []any{id(prometheusGroup)}}),
					put(ingress+"debug", rule(databaseGroup, "referenced_security_group_id", id(prometheusGroup), 22)),
				),
				found: ingress + "debug"},
			{name: "a service without a database may", stack: "two services",
				breaks: put(ingress+"debug",
					rule(databaseGroup, "referenced_security_group_id",
						id("aws_security_group.service_plain_security_group"), 5432)),
				found: ingress + "debug"},
			{name: "a service loses its database but not its way there", stack: "prod",
				breaks: inContainer(webDefinition, "web", with("environment", []any{})),
				found:  ingress + "service_web_to_database_ingress"},
			{name: "on a port that is not PostgreSQL's", stack: "prod",
				breaks: change(ingress+"service_web_to_database_ingress", "from_port", 22.0),
				found:  ingress + "service_web_to_database_ingress"},
		},
	},
	{
		promise: "every way that somebody needs is open at both ends, and no other is",
		check:   waysAreThoseNeeded,
		broken: []damage{
			{name: "the database's end is closed", stack: "prod",
				breaks: drop(ingress + "service_web_to_database_ingress"), found: webGroup},
			{name: "the service's end is closed", stack: "prod",
				breaks: drop(egress + "service_web_to_database_egress"), found: webGroup},
			{name: "the balancer may send anywhere", stack: "prod",
				breaks: put(egress+"debug", rule(balancerGroup, "cidr_ipv4", "0.0.0.0/0", 443)),
				found:  egress + "debug"},
			{name: "the database may send", stack: "prod",
				breaks: put(egress+"debug", rule(databaseGroup, "cidr_ipv4", "0.0.0.0/0", 443)),
				found:  egress + "debug"},
			{name: "tasks may send by plain HTTP", stack: "dev",
				breaks: put(egress+"debug", rule(webGroup, "cidr_ipv4", "0.0.0.0/0", 80)), found: egress + "debug"},
			{name: "tasks send everywhere though there is no NAT gateway", stack: "no NAT",
				breaks: put(egress+"debug", rule(webGroup, "cidr_ipv4", "0.0.0.0/0", 443)), found: egress + "debug"},
			{name: "the way to S3 is closed", stack: "no NAT",
				breaks: drop(egress + "service_web_s3_egress"), found: webGroup},
			{name: "the way to the endpoints is closed", stack: "no NAT",
				breaks: drop(ingress + "prometheus_endpoints_ingress"), found: prometheusGroup},
			{name: "the metrics' port is another one", stack: "metrics",
				breaks: change(ingress+"service_admin_from_prometheus_ingress", "from_port", 9091.0),
				found:  ingress + "service_admin_from_prometheus_ingress"},
			{name: "one configured block may use one port only", stack: "production, to be destroyed",
				breaks: drop(ingress + "load_balancer_http_ingress_203_0_113_0_24"), found: balancerGroup},
			{name: "a listener's port is closed", stack: "prod",
				breaks: drop(ingress + "load_balancer_https_ingress_0_0_0_0_0"), found: balancerGroup},
			{name: "the same rule twice, which AWS refuses", stack: "prod",
				breaks: copied(ingress+"service_web_to_database_ingress", ingress+"again", "description", "again"),
				found:  "aws_vpc_security_group_ingress_rule"},
		},
	},
	{
		promise: "a security rule opens one TCP port",
		check:   rulesOpenOnePort,
		broken: []damage{
			{name: "a range", stack: "prod",
				breaks: change(ingress+"service_web_from_load_balancer_ingress", "to_port", 9090.0),
				found:  ingress + "service_web_from_load_balancer_ingress"},
			{name: "every protocol", stack: "prod",
				breaks: change(egress+"service_web_https_egress", "ip_protocol", "-1"),
				found:  egress + "service_web_https_egress"},
			{name: "no port named", stack: "prod",
				breaks: unset(egress+"service_web_https_egress", "from_port"),
				found:  egress + "service_web_https_egress"},
			{name: "UDP", stack: "dev",
				breaks: change(egress+"prometheus_https_egress", "ip_protocol", "udp"),
				found:  egress + "prometheus_https_egress"},
		},
	},
	{
		promise: "security groups hold no rules of their own, and the default group has none at all",
		check:   groupsHoldNoRules,
		broken: []damage{
			{name: "an inline rule, which undoes the others", stack: "prod",
				breaks: add(databaseGroup, "ingress", []any{tree{"from_port": 5432.0}}), found: databaseGroup},
			{name: "the default group is left as AWS made it", stack: "prod",
				breaks: unset(defaultGroup, "ingress"), found: defaultGroup},
			{name: "the default group sends", stack: "dev",
				breaks: change(defaultGroup, "egress", []any{tree{"from_port": 0.0}}), found: defaultGroup},
			{name: "the default group is not taken over", stack: "dev",
				breaks: drop(defaultGroup), found: "aws_vpc.vpc"},
			{name: "the default network ACL is emptied", stack: "dev",
				breaks: put("aws_default_network_acl.acl", tree{}), found: "aws_default_network_acl.acl"},
		},
	},
	{
		promise: "each security group guards one kind of thing",
		check:   groupsGuardOneKind,
		broken: []damage{
			{name: "tasks share the balancer's", stack: "prod",
				breaks: change(webService, "network_configuration.security_groups.0", id(balancerGroup)),
				found:  balancerGroup},
			{name: "the database has a second one", stack: "prod",
				breaks: change("aws_db_instance.database", "vpc_security_group_ids",
					[]any{id(databaseGroup), id(webGroup)}),
				found: webGroup},
			{name: "two services share one", stack: "two services",
				breaks: change("aws_ecs_service.service_plain_service", "network_configuration.security_groups.0",
					id(webGroup)),
				found: webGroup},
			{name: "the default group is used", stack: "prod",
				breaks: change(webService, "network_configuration.security_groups.0", id(defaultGroup)),
				found:  webService},
			{name: "none is named, so AWS takes the default one", stack: "prod",
				breaks: change(webService, "network_configuration.security_groups", []any{}), found: webService},
			{name: "one guards nothing", stack: "prod",
				breaks: copied(webGroup, "aws_security_group.spare", "name", "spare"),
				found:  "aws_security_group.spare"},
		},
	},
	{
		promise: "nothing has a public address but the load balancer and the NAT gateways",
		check:   publicAddresses,
		broken: []damage{
			{name: "a subnet gives them out", stack: "prod",
				breaks: change("aws_subnet.private_subnet_a", "map_public_ip_on_launch", true),
				found:  "aws_subnet.private_subnet_a"},
			{name: "a subnet says nothing", stack: "prod",
				breaks: unset("aws_subnet.public_subnet_a", "map_public_ip_on_launch"),
				found:  "aws_subnet.public_subnet_a"},
			{name: "a subnet gives them out by IPv6", stack: "prod",
				breaks: add("aws_subnet.private_subnet_a", "assign_ipv6_address_on_creation", true),
				found:  "aws_subnet.private_subnet_a"},
			{name: "the database has one", stack: "prod",
				breaks: change("aws_db_instance.database", "publicly_accessible", true),
				found:  "aws_db_instance.database"},
			{name: "tasks have one", stack: "dev",
				breaks: change("aws_ecs_service.prometheus_service", "network_configuration.assign_public_ip", true),
				found:  "aws_ecs_service.prometheus_service"},
			{name: "an address is for something else", stack: "dev",
				breaks: put("aws_eip.spare", tree{}), found: "aws_eip.spare"},
			{name: "a second public balancer", stack: "dev",
				breaks: copied("aws_lb.load_balancer", "aws_lb.second", "name", "second"), found: "aws_lb.second"},
			{name: "the function has a URL", stack: "dev",
				breaks: put("aws_lambda_function_url.url", tree{}), found: "aws_lambda_function_url.url"},
		},
	},
	{
		promise: "tasks and the database stand where nobody gets in, the database where nobody gets out",
		check:   tiersAreApart,
		broken: []damage{
			{name: "the database tier gets a route out", stack: "prod",
				breaks: put("aws_route.debug", tree{
					"route_table_id":         id("aws_route_table.database_route_table"),
					"destination_cidr_block": "0.0.0.0/0",
					"nat_gateway_id":         id("aws_nat_gateway.nat_gateway_a"),
				}),
				found: "aws_route.debug"},
			{name: "private subnets route to the internet gateway", stack: "prod",
				breaks: both(
					unset("aws_route.private_default_route_a", "nat_gateway_id"),
					add("aws_route.private_default_route_a", "gateway_id", id("aws_internet_gateway.internet_gateway")),
				),
				found: "aws_route.private_default_route_a"},
			{name: "tasks stand in a public subnet", stack: "prod",
				breaks: change(webService, "network_configuration.subnets.1", id("aws_subnet.public_subnet_b")),
				found:  "aws_subnet.public_subnet_b"},
			{name: "the database stands among the tasks", stack: "prod",
				breaks: change("aws_db_subnet_group.database_subnet_group", "subnet_ids.0",
					id("aws_subnet.private_subnet_a")),
				found: "aws_subnet.private_subnet_a"},
			{name: "the balancer stands in a private subnet", stack: "dev",
				breaks: change("aws_lb.load_balancer", "subnets.0", id("aws_subnet.private_subnet_a")),
				found:  "aws_subnet.private_subnet_a"},
			{name: "a NAT gateway stands in a private subnet", stack: "dev",
				breaks: change("aws_nat_gateway.nat_gateway_a", "subnet_id", id("aws_subnet.private_subnet_a")),
				found:  "aws_nat_gateway.nat_gateway_a"},
			{name: "a subnet has no route table of its own", stack: "prod",
				breaks: drop("aws_route_table_association.database_route_table_association_a"),
				found:  "aws_subnet.database_subnet_a"},
			{name: "a route table holds routes", stack: "prod",
				breaks: add("aws_route_table.database_route_table", "route", []any{tree{"cidr_block": "0.0.0.0/0"}}),
				found:  "aws_route_table.database_route_table"},
			{name: "private subnets have no way out", stack: "prod",
				breaks: drop("aws_route.private_default_route_b"), found: "aws_subnet.private_subnet_b"},
		},
	},
	{
		promise: "each zone exists, and its blocks lie in the VPC without touching",
		check:   subnetsFit,
		broken: []damage{
			{name: "nobody asks whether the account has the zone", stack: "prod",
				breaks: unset("aws_subnet.private_subnet_a", "lifecycle.precondition"),
				found:  "aws_subnet.private_subnet_a"},
			{name: "the wrong zone is asked for", stack: "prod",
				breaks: change("aws_subnet.private_subnet_a", "availability_zone", "eu-central-1f"),
				found:  "aws_subnet.private_subnet_a"},
			{name: "two blocks touch", stack: "prod",
				breaks: change("aws_subnet.private_subnet_a", "cidr_block", "10.0.0.0/20"),
				found:  "aws_subnet.private_subnet_a"},
			{name: "a block is outside", stack: "prod",
				breaks: change("aws_subnet.private_subnet_a", "cidr_block", "10.1.0.0/21"),
				found:  "aws_subnet.private_subnet_a"},
			{name: "a block is none", stack: "prod",
				breaks: change("aws_subnet.private_subnet_a", "cidr_block", "10.0.0.0"),
				found:  "aws_subnet.private_subnet_a"},
		},
	},
	{
		promise: "without NAT, every AWS service that a task calls has an endpoint",
		check:   tasksReachAWSWithoutNAT,
		broken: []damage{
			{name: "ECR has none", stack: "no NAT",
				breaks: drop("aws_vpc_endpoint.endpoint_ecr_dkr"), found: "ecr.dkr"},
			{name: "EC2 has none, which Prometheus asks for addresses", stack: "no NAT",
				breaks: drop("aws_vpc_endpoint.endpoint_ec2"), found: "ec2"},
			{name: "an endpoint leaves out a zone", stack: "no NAT",
				breaks: drop("aws_vpc_endpoint_subnet_association.endpoint_logs_subnet_association_b"),
				found:  "aws_vpc_endpoint.endpoint_logs"},
			{name: "an endpoint has no private name", stack: "no NAT",
				breaks: change("aws_vpc_endpoint.endpoint_logs", "private_dns_enabled", false),
				found:  "aws_vpc_endpoint.endpoint_logs"},
			{name: "the VPC has no names", stack: "no NAT",
				breaks: change("aws_vpc.vpc", "enable_dns_hostnames", false), found: "aws_vpc.vpc"},
			{name: "an image is where nobody gets", stack: "no NAT",
				breaks: inContainer(webDefinition, "web", with("image", "quay.io/x/web:1")), found: webDefinition},
		},
	},
	{
		promise: "S3 is reached through its gateway endpoint, with no policy that would keep ECR's layers back",
		check:   s3HasAGatewayEndpoint,
		broken: []damage{
			{name: "a route table is left out", stack: "prod",
				breaks: drop("aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_b"),
				found:  "aws_route_table.private_b_route_table"},
			{name: "a narrow policy", stack: "prod",
				breaks: add("aws_vpc_endpoint.s3_endpoint", "policy", `{"Statement":[]}`),
				found:  "aws_vpc_endpoint.s3_endpoint"},
			{name: "no endpoint", stack: "dev",
				breaks: drop("aws_vpc_endpoint.s3_endpoint"), found: "aws_vpc.vpc"},
		},
	},
}

func id(address string) string { return "${" + address + ".id}" }

// rule is the body of a security-group rule.
func rule(group, peerKind, peer string, port float64) tree {
	return tree{
		"security_group_id": id(group),
		peerKind:            peer,
		"ip_protocol":       "tcp",
		"from_port":         port,
		"to_port":           port,
	}
}

// way is one direction of traffic: from and to are addresses of security groups, or CIDR blocks,
// or S3's prefix list.
type way struct {
	from, to string
	port     int
}

func (w way) String() string { return fmt.Sprintf("%s to %s on port %d", w.from, w.to, w.port) }

var ruleKinds = []string{"aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"}

// peer is the other end of a rule.
func peer(r thing) string {
	if group := r.ref("referenced_security_group_id"); group != "" {
		return group
	}
	for _, path := range []string{"cidr_ipv4", "cidr_ipv6", "prefix_list_id"} {
		if r.has(path) {
			return r.text(path)
		}
	}
	return "nobody"
}

// opened are the ways that rules of one kind open, with the rule's address.
func opened(stack tree, kind string) map[way]string {
	ways := map[way]string{}
	for _, r := range things(stack, kind) {
		w := way{r.ref("security_group_id"), peer(r), int(r.number("from_port"))}
		if kind == "aws_vpc_security_group_ingress_rule" {
			w.from, w.to = w.to, w.from
		}
		ways[w] = r.address
	}
	return ways
}

// groupsOf are the security groups that things of a kind stand in.
func groupsOf(stack tree, kind, path string) []string {
	var groups []string
	for _, r := range things(stack, kind) {
		groups = append(groups, r.refs(path)...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

func balancerGroups(stack tree) []string { return groupsOf(stack, "aws_lb", "security_groups") }

func databaseGroups(stack tree) []string {
	return groupsOf(stack, "aws_db_instance", "vpc_security_group_ids")
}

func endpointGroups(stack tree) []string {
	return groupsOf(stack, "aws_vpc_endpoint", "security_group_ids")
}

func prometheusTask(stack tree) runningTask {
	for _, t := range tasks(stack) {
		if t.name() == "prometheus" {
			return t
		}
	}
	return runningTask{}
}

func internetReachesTheBalancerOnly(stack tree) (v violations) {
	ports := map[float64]bool{}
	for _, listener := range things(stack, "aws_lb_listener") {
		ports[listener.number("port")] = true
	}
	for _, r := range things(stack, "aws_vpc_security_group_ingress_rule") {
		if r.ref("referenced_security_group_id") != "" {
			continue
		}
		v.want(slices.Contains(balancerGroups(stack), r.ref("security_group_id")),
			r.address, "lets %s connect to %s", peer(r), r.ref("security_group_id"))
		v.want(ports[r.number("from_port")],
			r.address, "opens port %v of the balancer, where nothing listens", r.at("from_port"))
	}
	return v
}

func tasksAreReachedByBalancerAndPrometheus(stack tree) (v violations) {
	allowed := append(balancerGroups(stack), prometheusTask(stack).group)
	rules := things(stack, "aws_vpc_security_group_ingress_rule")
	for _, t := range tasks(stack) {
		for _, r := range referring(rules, "security_group_id", t.group) {
			v.want(slices.Contains(allowed, peer(r)) && peer(r) != t.group,
				r.address, "lets %s connect to the tasks of %s", peer(r), t.name())
		}
	}
	return v
}

func onlyServicesWithADatabaseReachIt(stack tree) (v violations) {
	var allowed []string
	for _, t := range tasks(stack) {
		if _, uses := t.usesDatabase(); uses {
			allowed = append(allowed, t.group)
		}
	}
	for _, f := range functionsInside(stack) {
		allowed = append(allowed, f.refs("vpc_config.security_group_ids")...)
	}
	for _, group := range databaseGroups(stack) {
		for _, r := range referring(things(stack, "aws_vpc_security_group_ingress_rule"), "security_group_id", group) {
			v.want(slices.Contains(allowed, peer(r)), r.address, "lets %s connect to the database", peer(r))
			v.want(r.is("from_port", 5432.0), r.address, "is not PostgreSQL's port")
		}
	}
	return v
}

// functionsInside are the functions that stand in the VPC: the one that makes the roles.
func functionsInside(stack tree) []thing {
	return keep(things(stack, "aws_lambda_function"), func(f thing) bool { return f.has("vpc_config") })
}

// neededWays says, from who is wired to whom, which ways there must be: between groups (open at
// both ends), out of the VPC, and in.
func neededWays(stack tree) (between, out, in []way) {
	prometheus := prometheusTask(stack).group
	outside := func(group string) {
		for _, endpoints := range endpointGroups(stack) {
			between = append(between, way{group, endpoints, 443})
		}
		if len(things(stack, "aws_nat_gateway")) > 0 {
			out = append(out, way{group, "0.0.0.0/0", 443})
		} else {
			out = append(out, way{group, "${aws_vpc_endpoint.s3_endpoint.prefix_list_id}", 443})
		}
	}
	for _, f := range functionsInside(stack) {
		for _, group := range f.refs("vpc_config.security_group_ids") {
			for _, database := range f.refs("environment.variables.PGHOST") {
				for _, to := range get(stack, database).refs("vpc_security_group_ids") {
					between = append(between, way{group, to, 5432})
				}
			}
			outside(group)
		}
	}
	for _, t := range tasks(stack) {
		for _, behind := range t.service.parts("load_balancer") {
			for _, balancer := range balancerGroups(stack) {
				between = append(between, way{balancer, t.group, int(behind.number("container_port"))})
			}
		}
		if database, uses := t.usesDatabase(); uses {
			for _, group := range get(stack, database).refs("vpc_security_group_ids") {
				between = append(between, way{t.group, group, 5432})
			}
		}
		if port, ok := t.metricsPort(); ok {
			between = append(between, way{prometheus, t.group, port})
		}
		outside(t.group)
	}
	// The configured blocks are those of the rules themselves; each may use every listener.
	blocks := map[string]bool{}
	for w := range opened(stack, "aws_vpc_security_group_ingress_rule") {
		if !strings.HasPrefix(w.from, "aws_") && slices.Contains(balancerGroups(stack), w.to) {
			blocks[w.from] = true
		}
	}
	for _, listener := range things(stack, "aws_lb_listener") {
		for block := range blocks {
			for _, balancer := range balancerGroups(stack) {
				in = append(in, way{block, balancer, int(listener.number("port"))})
			}
		}
		if len(blocks) == 0 {
			in = append(in, way{"somebody", fmt.Sprint(balancerGroups(stack)), int(listener.number("port"))})
		}
	}
	return between, out, in
}

// waysAreThoseNeeded holds both ends together: a rule at one end alone opens nothing, and hides
// that from whoever reads the other.
func waysAreThoseNeeded(stack tree) (v violations) {
	between, out, in := neededWays(stack)
	for _, end := range []struct {
		kind   string
		needed []way
	}{
		{"aws_vpc_security_group_egress_rule", append(out, between...)},
		{"aws_vpc_security_group_ingress_rule", append(in, between...)},
	} {
		open := opened(stack, end.kind)
		for _, w := range end.needed {
			v.want(open[w] != "", w.from, "has no %s for %v", end.kind, w)
		}
		for w, address := range open {
			v.want(slices.Contains(end.needed, w), address, "opens a way that nobody needs, %v", w)
		}
		v.want(len(open) == len(things(stack, end.kind)), end.kind, "two of them open the same way")
	}
	slices.Sort(v)
	return v
}

func rulesOpenOnePort(stack tree) (v violations) {
	for _, r := range things(stack, ruleKinds...) {
		v.want(r.is("ip_protocol", "tcp"), r.address, "wants TCP, has %v", r.at("ip_protocol"))
		v.want(r.number("from_port") >= 1 && r.number("from_port") == r.number("to_port"),
			r.address, "wants one port, has %v to %v", r.at("from_port"), r.at("to_port"))
	}
	return v
}

// Rules inside a group and rules as resources take each other away.
// https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs/resources/security_group
func groupsHoldNoRules(stack tree) (v violations) {
	for _, group := range things(stack, "aws_security_group") {
		v.want(!group.has("ingress") && !group.has("egress"), group.address, "holds rules of its own")
	}
	for _, network := range things(stack, "aws_vpc") {
		defaults := referring(things(stack, "aws_default_security_group"), "vpc_id", network.address)
		v.want(len(defaults) == 1,
			network.address, "leaves its default group as AWS made it: open to itself and to the world")
		for _, group := range defaults {
			for _, direction := range []string{"ingress", "egress"} {
				rules, written := group.at(direction).([]any)
				v.want(written && len(rules) == 0, group.address, "wants %s written out and empty", direction)
			}
		}
	}
	// Emptied, the default network ACL would cut off every subnet that has none of its own.
	for _, acl := range things(stack, "aws_default_network_acl", "aws_network_acl") {
		v.want(false, acl.address, "network ACLs are left as AWS makes them")
	}
	return v
}

func groupsGuardOneKind(stack tree) (v violations) {
	guards := map[string]map[string]bool{}
	stands := func(r thing, what, path string) {
		groups := r.refs(path)
		v.want(len(groups) > 0, r.address, "has no security group, and so the default one")
		for _, group := range groups {
			v.want(strings.HasPrefix(group, "aws_security_group."), r.address, "stands in %s", group)
			if guards[group] == nil {
				guards[group] = map[string]bool{}
			}
			guards[group][what] = true
		}
	}
	for _, r := range things(stack, "aws_lb") {
		stands(r, "the balancer", "security_groups")
	}
	for _, r := range things(stack, "aws_db_instance") {
		stands(r, "databases", "vpc_security_group_ids")
	}
	for _, r := range keep(things(stack, "aws_vpc_endpoint"), isInterface) {
		stands(r, "endpoints", "security_group_ids")
	}
	for _, f := range functionsInside(stack) {
		stands(f, f.address, "vpc_config.security_group_ids")
	}
	for _, t := range tasks(stack) {
		stands(t.service, "tasks of "+t.name(), "network_configuration.security_groups")
	}
	for group, kinds := range guards {
		v.want(len(kinds) == 1, group, "guards %v", slices.Sorted(maps.Keys(kinds)))
	}
	for _, group := range things(stack, "aws_security_group") {
		v.want(guards[group.address] != nil, group.address, "guards nothing")
	}
	return v
}

func isInterface(endpoint thing) bool { return endpoint.is("vpc_endpoint_type", "Interface") }

func publicAddresses(stack tree) (v violations) {
	public := 0
	for _, balancer := range things(stack, "aws_lb") {
		if !balancer.is("internal", true) {
			public++
			v.want(public == 1, balancer.address, "is a second public balancer")
		}
	}
	for _, subnet := range things(stack, "aws_subnet") {
		v.want(subnet.is("map_public_ip_on_launch", false), subnet.address, "may give out public addresses")
		v.want(!subnet.is("assign_ipv6_address_on_creation", true),
			subnet.address, "gives out IPv6 addresses, which are public")
	}
	for _, database := range things(stack, "aws_db_instance") {
		v.want(database.is("publicly_accessible", false), database.address, "may have a public address")
	}
	for _, service := range things(stack, "aws_ecs_service") {
		v.want(service.is("network_configuration.assign_public_ip", false),
			service.address, "may have public addresses")
	}
	for _, address := range things(stack, "aws_eip") {
		v.want(len(referring(things(stack, "aws_nat_gateway"), "allocation_id", address.address)) == 1,
			address.address, "is no NAT gateway's")
	}
	for _, url := range things(stack, "aws_lambda_function_url") {
		v.want(false, url.address, "makes a function public")
	}
	return v
}

// routesOf are the routes that a subnet's traffic takes, and its route table.
func routesOf(stack tree, subnet string) (routes []thing, table string) {
	associations := referring(things(stack, "aws_route_table_association"), "subnet_id", subnet)
	if len(associations) != 1 {
		return nil, ""
	}
	table = associations[0].ref("route_table_id")
	return referring(things(stack, "aws_route"), "route_table_id", table), table
}

func tiersAreApart(stack tree) (v violations) {
	kinds := func(subnet string, toGateway, toNAT bool, who string) {
		routes, table := routesOf(stack, subnet)
		v.want(table != "", subnet, "has not exactly one route table, so it may take the VPC's main one")
		var gateway, nat int
		for _, r := range routes {
			if r.has("gateway_id") {
				gateway++
				v.want(toGateway, r.address, "leads from %s, where %s stands, to the internet gateway", subnet, who)
				v.want(toGateway, subnet, "is public, and %s stands there", who)
			} else {
				nat++
				v.want(toNAT, r.address, "leads out of %s, where %s stands", subnet, who)
				v.want(toNAT, subnet, "has a way out, and %s stands there", who)
			}
		}
		if table != "" {
			v.want(!toGateway || gateway == 1, subnet, "has no route to the internet gateway, and %s stands there", who)
			v.want(!toNAT || nat == 1, subnet, "has no route to a NAT gateway, and %s stands there", who)
		}
	}
	withNAT := len(things(stack, "aws_nat_gateway")) > 0
	for _, group := range things(stack, "aws_db_subnet_group") {
		for _, subnet := range group.refs("subnet_ids") {
			kinds(subnet, false, false, "the database")
		}
	}
	for _, t := range tasks(stack) {
		for _, subnet := range t.service.refs("network_configuration.subnets") {
			kinds(subnet, false, withNAT, t.name())
		}
	}
	for _, balancer := range things(stack, "aws_lb") {
		for _, subnet := range balancer.refs("subnets") {
			kinds(subnet, true, false, "the balancer")
		}
	}
	for _, nat := range things(stack, "aws_nat_gateway") {
		routes, _ := routesOf(stack, nat.ref("subnet_id"))
		v.want(len(routes) == 1 && routes[0].has("gateway_id"),
			nat.address, "stands in a subnet without a route to the internet gateway")
	}
	for _, table := range things(stack, "aws_route_table") {
		v.want(!table.has("route"), table.address, "holds routes of its own, which take away those that are resources")
	}
	for _, subnet := range things(stack, "aws_subnet") {
		_, table := routesOf(stack, subnet.address)
		v.want(table != "", subnet.address, "has not exactly one route table")
	}
	return v
}

func subnetsFit(stack tree) (v violations) {
	subnets := things(stack, "aws_subnet")
	for i, subnet := range subnets {
		zone := subnet.text("availability_zone")
		asked := subnet.parts("lifecycle.precondition")
		among := `data.aws_availability_zones.available_zones.names, "` + zone + `"`
		v.want(len(asked) == 1 && strings.Contains(asked[0].text("condition"), among),
			subnet.address, "does not ask at plan whether the account has zone %s", zone)
		block, err := netip.ParsePrefix(subnet.text("cidr_block"))
		whole, err2 := netip.ParsePrefix(get(stack, subnet.ref("vpc_id")).text("cidr_block"))
		if err != nil || err2 != nil {
			v.want(false, subnet.address, "has no block: %v %v", err, err2)
			continue
		}
		v.want(whole.Overlaps(block) && whole.Bits() < block.Bits(), subnet.address, "%s is not in %s", block, whole)
		for _, other := range subnets[i+1:] {
			if otherBlock, err := netip.ParsePrefix(other.text("cidr_block")); err == nil {
				v.want(!block.Overlaps(otherBlock),
					subnet.address, "%s touches %s of %s", block, otherBlock, other.address)
			}
		}
	}
	return v
}

// endpointFor says which endpoint an IAM action's service is called through, where the names
// differ; "" is S3's gateway.
var endpointFor = map[string][]string{
	"aps":        {"aps-workspaces"},
	"cloudwatch": {"monitoring"},
	"ecr":        {"ecr.api", "ecr.dkr"},
	"s3":         nil,
	"tag":        {"tagging"},
}

// tasksReachAWSWithoutNAT goes by what a task's roles may call: each such service must have
// an endpoint. A session with a key of our own is decrypted by the agent in the container, so
// KMS counts among them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
func tasksReachAWSWithoutNAT(stack tree) (v violations) {
	if len(things(stack, "aws_nat_gateway")) > 0 {
		return nil
	}
	there := map[string]thing{}
	for _, endpoint := range keep(things(stack, "aws_vpc_endpoint"), isInterface) {
		there[strings.TrimPrefix(endpoint.text("service_name"), "com.amazonaws."+region(stack)+".")] = endpoint
	}
	for _, t := range tasks(stack) {
		called := map[string]bool{"ecr.api": true, "ecr.dkr": true, "logs": true}
		for _, path := range []string{"execution_role_arn", "task_role_arn"} {
			for _, s := range permissionsOf(stack, t.definition.ref(path)) {
				for _, action := range s.actions {
					service, _, _ := strings.Cut(action, ":")
					if service == "kms" && path == "execution_role_arn" {
						continue // Secrets Manager calls it for us: kms:ViaService
					}
					names, other := endpointFor[service]
					if !other {
						names = []string{service}
					}
					for _, name := range names {
						called[name] = true
					}
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(called)) {
			endpoint, ok := there[name]
			v.want(ok, t.service.address, "calls %s, which has no endpoint", name)
			if !ok {
				continue
			}
			v.want(endpoint.is("private_dns_enabled", true),
				endpoint.address, "has no private name, so tasks look for the service outside")
			for _, subnet := range t.service.refs("network_configuration.subnets") {
				joined := referring(referring(things(stack, "aws_vpc_endpoint_subnet_association"), "vpc_endpoint_id",
					endpoint.address), "subnet_id", subnet)
				v.want(len(joined) == 1, endpoint.address, "is not in %s, where %s stands", subnet, t.name())
			}
		}
		for _, c := range t.containers {
			v.want(privateECR(region(stack)).MatchString(c.text("image")),
				c.address, "wants an image of this region's ECR, the only registry with an endpoint, has %s",
				c.text("image"))
		}
	}
	for _, network := range things(stack, "aws_vpc") {
		v.want(network.is("enable_dns_support", true) && network.is("enable_dns_hostnames", true),
			network.address, "endpoints have no private names without DNS support and host names")
	}
	return v
}

func privateECR(region string) *regexp.Regexp {
	return regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr\.` + regexp.QuoteMeta(region) + `\.amazonaws\.com/`)
}

// ECR keeps image layers in a bucket of its own, prod-<region>-starport-layer-bucket, and a bucket
// of the application may be anybody's.
func s3HasAGatewayEndpoint(stack tree) (v violations) {
	gateways := keep(things(stack, "aws_vpc_endpoint"), func(r thing) bool {
		return r.is("vpc_endpoint_type", "Gateway") && strings.HasSuffix(r.text("service_name"), ".s3")
	})
	for _, network := range things(stack, "aws_vpc") {
		v.want(len(referring(gateways, "vpc_id", network.address)) == 1,
			network.address, "has not exactly one gateway endpoint for S3")
	}
	for _, gateway := range gateways {
		policy := gateway.text("policy")
		v.want(policy == "" || strings.Contains(policy, "prod-"+region(stack)+"-starport-layer-bucket"),
			gateway.address, "has a policy that keeps ECR's layers back")
		for _, t := range tasks(stack) {
			for _, subnet := range t.service.refs("network_configuration.subnets") {
				_, table := routesOf(stack, subnet)
				v.want(len(referring(referring(things(stack, "aws_vpc_endpoint_route_table_association"),
					"vpc_endpoint_id", gateway.address), "route_table_id", table)) == 1,
					table, "does not lead to %s", gateway.address)
			}
		}
	}
	return v
}
