package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	ingressRule = ingressKind + "."
	egressRule  = egressKind + "."

	loadBalancerSecurityGroup = "aws_security_group.load_balancer_security_group"
	webSecurityGroup          = "aws_security_group.service_web_security_group"
	prometheusSecurityGroup   = "aws_security_group.prometheus_security_group"
	databaseSecurityGroup     = "aws_security_group.database_security_group"
	defaultSecurityGroup      = "aws_default_security_group.default_security_group"
)

var securityGroupPromises = []stacktest.Promise{{
	Name:  "only the load balancer accepts traffic from CIDR blocks, on the ports of its listeners",
	Check: onlyLoadBalancerAcceptsCIDRBlocks,
	BrokenBy: []stacktest.Break{{
		Name:  "a service's tasks accept TCP 8080 from a CIDR block",
		Stack: "prod",
		By: stacktest.Create(ingressRule+"debug",
			securityGroupRule(webSecurityGroup, "cidr_ipv4", "10.0.0.0/8", 8080)),
		Found: ingressRule + "debug",
	}, {
		Name:  "the database accepts TCP 5432 from every IPv4 address",
		Stack: "prod",
		By: stacktest.Create(ingressRule+"debug",
			securityGroupRule(databaseSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 5432)),
		Found: ingressRule + "debug",
	}, {
		Name:  "a service's tasks accept TCP 8080 from every IPv6 address",
		Stack: "prod",
		By:    stacktest.Create(ingressRule+"debug", securityGroupRule(webSecurityGroup, "cidr_ipv6", "::/0", 8080)),
		Found: ingressRule + "debug",
	}, {
		Name:  "the load balancer accepts traffic on a port without a listener",
		Stack: "prod",
		By: stacktest.Create(ingressRule+"debug",
			securityGroupRule(loadBalancerSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 22)),
		Found: ingressRule + "debug",
	}},
}, {
	Name:  "tasks accept traffic only from the load balancer, from Prometheus, and from services that call them",
	Check: tasksAcceptKnownClients,
	BrokenBy: []stacktest.Break{{
		Name:  "the rule for the load balancer names the database's security group instead",
		Stack: "prod",
		By: stacktest.Set(ingressRule+"service_web_from_load_balancer_ingress", "referenced_security_group_id",
			idOf(databaseSecurityGroup)),
		Found: ingressRule + "service_web_from_load_balancer_ingress",
	}, {
		Name:  "a service accepts traffic from another service",
		Stack: "two services",
		By: stacktest.Create(
			ingressRule+"debug",
			securityGroupRule(
				webSecurityGroup,
				"referenced_security_group_id",
				idOf("aws_security_group.service_jobs_security_group"),
				8080,
			),
		),
		Found: ingressRule + "debug",
	}, {
		Name:  "a service accepts traffic from a service that calls another one",
		Stack: "a service that needs more",
		By: stacktest.Set(ingressRule+"service_web_calls_search_ingress", "security_group_id",
			idOf("aws_security_group.service_other_security_group")),
		Found: ingressRule + "service_web_calls_search_ingress",
	}, {
		Name:  "an application has no variable with the URL of the service that it may call",
		Stack: "a service that needs more",
		By:    stacktest.Set(webTask, webContainer+".environment", []any{}),
		Found: ingressRule + "service_web_calls_search_ingress",
	}, {
		Name:  "a service accepts traffic from its own security group",
		Stack: "prod",
		By: stacktest.Create(ingressRule+"debug",
			securityGroupRule(webSecurityGroup, "referenced_security_group_id", idOf(webSecurityGroup), 8080)),
		Found: ingressRule + "debug",
	}, {
		Name:  "Prometheus accepts traffic from a service",
		Stack: "prod",
		By: stacktest.Create(ingressRule+"debug",
			securityGroupRule(prometheusSecurityGroup, "referenced_security_group_id", idOf(webSecurityGroup), 9090)),
		Found: ingressRule + "debug",
	}},
}, {
	Name:  "the database accepts traffic only from services that use it and from functions in the VPC",
	Check: databaseAcceptsItsUsersOnly,
	BrokenBy: []stacktest.Break{{
		Name:  "the database accepts traffic from Prometheus",
		Stack: "prod",
		By: stacktest.Create(
			ingressRule+"debug",
			securityGroupRule(databaseSecurityGroup, "referenced_security_group_id", idOf(prometheusSecurityGroup),
				5432),
		),
		Found: ingressRule + "debug",
	}, {
		Name:  "the database accepts traffic on port 22 from a function's security group",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Add(backupFunction, "vpc_config",
				map[string]any{"security_group_ids": []any{idOf(prometheusSecurityGroup)}}),
			stacktest.Create(
				ingressRule+"debug",
				securityGroupRule(
					databaseSecurityGroup,
					"referenced_security_group_id",
					idOf(prometheusSecurityGroup),
					22,
				),
			),
		),
		Found: ingressRule + "debug",
	}, {
		Name:  "the database accepts traffic from a service that does not use it",
		Stack: "two services",
		By: stacktest.Create(
			ingressRule+"debug",
			securityGroupRule(
				databaseSecurityGroup,
				"referenced_security_group_id",
				idOf("aws_security_group.service_plain_security_group"),
				5432,
			),
		),
		Found: ingressRule + "debug",
	}, {
		Name:  "a service no longer uses the database, but the database still accepts its traffic",
		Stack: "prod",
		By:    stacktest.Set(webTask, webVariables, []any{}),
		Found: ingressRule + "service_web_to_database_ingress",
	}, {
		Name:  "a service may connect to the database on a port other than 5432",
		Stack: "prod",
		By:    stacktest.Set(ingressRule+"service_web_to_database_ingress", "from_port", 22.0),
		Found: ingressRule + "service_web_to_database_ingress",
	}},
}, {
	Name:  "security group rules allow the traffic that is needed, at both ends, and no other traffic",
	Check: rulesAllowNeededTraffic,
	BrokenBy: []stacktest.Break{{
		Name:  "the database does not accept traffic from a service that uses it",
		Stack: "prod",
		By:    stacktest.Delete(ingressRule + "service_web_to_database_ingress"),
		Found: webSecurityGroup,
	}, {
		Name:  "a service that uses the database may not send to it",
		Stack: "prod",
		By:    stacktest.Delete(egressRule + "service_web_to_database_egress"),
		Found: webSecurityGroup,
	}, {
		Name:  "the load balancer may send to every IPv4 address",
		Stack: "prod",
		By: stacktest.Create(egressRule+"debug",
			securityGroupRule(loadBalancerSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 443)),
		Found: egressRule + "debug",
	}, {
		Name:  "the database may send to every IPv4 address",
		Stack: "prod",
		By: stacktest.Create(egressRule+"debug",
			securityGroupRule(databaseSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 443)),
		Found: egressRule + "debug",
	}, {
		Name:  "tasks may send over plain HTTP",
		Stack: "dev",
		By: stacktest.Create(egressRule+"debug",
			securityGroupRule(webSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 80)),
		Found: egressRule + "debug",
	}, {
		Name:  "a service may send on a port that is configured for another one",
		Stack: "a service that needs more",
		By: stacktest.Set(egressRule+"service_web_out_587_egress_0_0_0_0_0", "security_group_id",
			idOf("aws_security_group.service_other_security_group")),
		Found: egressRule + "service_web_out_587_egress_0_0_0_0_0",
	}, {
		Name:  "a service may send to more addresses than are configured",
		Stack: "a service that needs more",
		By: stacktest.Set(egressRule+"service_web_out_6379_egress_203_0_113_0_24", "cidr_ipv4",
			"0.0.0.0/0"),
		Found: egressRule + "service_web_out_6379_egress_203_0_113_0_24",
	}, {
		Name:  "a service may not connect to a service that it calls",
		Stack: "a service that needs more",
		By:    stacktest.Delete(egressRule + "service_web_calls_search_egress"),
		Found: webSecurityGroup,
	}, {
		Name:  "a called service does not accept traffic from the service that calls it",
		Stack: "a service that needs more",
		By:    stacktest.Delete(ingressRule + "service_search_calls_web_ingress"),
		Found: "aws_security_group.service_search_security_group",
	}, {
		Name:  "tasks may send to every IPv4 address in a VPC without a NAT gateway",
		Stack: "no NAT",
		By: stacktest.Create(egressRule+"debug",
			securityGroupRule(webSecurityGroup, "cidr_ipv4", "0.0.0.0/0", 443)),
		Found: egressRule + "debug",
	}, {
		Name:  "tasks may not send to S3 in a VPC without a NAT gateway",
		Stack: "no NAT",
		By:    stacktest.Delete(egressRule + "service_web_s3_egress"),
		Found: webSecurityGroup,
	}, {
		Name:  "the VPC endpoints do not accept traffic from Prometheus",
		Stack: "no NAT",
		By:    stacktest.Delete(ingressRule + "prometheus_endpoints_ingress"),
		Found: prometheusSecurityGroup,
	}, {
		Name:  "a service accepts scrapes on a port other than that of its metrics",
		Stack: "metrics",
		By:    stacktest.Set(ingressRule+"service_admin_from_prometheus_ingress", "from_port", 9091.0),
		Found: ingressRule + "service_admin_from_prometheus_ingress",
	}, {
		Name:  "a configured CIDR block may use the HTTPS listener but not the HTTP listener",
		Stack: "production, to be destroyed",
		By:    stacktest.Delete(ingressRule + "load_balancer_http_ingress_203_0_113_0_24"),
		Found: loadBalancerSecurityGroup,
	}, {
		Name:  "the load balancer does not accept traffic on the port of its HTTPS listener",
		Stack: "prod",
		By:    stacktest.Delete(ingressRule + "load_balancer_https_ingress_0_0_0_0_0"),
		Found: loadBalancerSecurityGroup,
	}, {
		Name:  "a rule is declared twice, which AWS rejects",
		Stack: "prod",
		By: stacktest.CreateLike(ingressRule+"service_web_to_database_ingress", ingressRule+"again", "description",
			"again"),
		Found: "aws_vpc_security_group_ingress_rule",
	}},
}, {
	Name:  "a security group rule allows exactly one TCP port",
	Check: rulesAllowOneTCPPort,
	BrokenBy: []stacktest.Break{{
		Name:  "a rule allows a range of ports",
		Stack: "prod",
		By:    stacktest.Set(ingressRule+"service_web_from_load_balancer_ingress", "to_port", 9090.0),
		Found: ingressRule + "service_web_from_load_balancer_ingress",
	}, {
		Name:  "a rule allows every protocol",
		Stack: "prod",
		By:    stacktest.Set(egressRule+"service_web_https_egress", "ip_protocol", "-1"),
		Found: egressRule + "service_web_https_egress",
	}, {
		Name:  "a rule has no port",
		Stack: "prod",
		By:    stacktest.Remove(egressRule+"service_web_https_egress", "from_port"),
		Found: egressRule + "service_web_https_egress",
	}, {
		Name:  "a rule allows UDP",
		Stack: "dev",
		By:    stacktest.Set(egressRule+"prometheus_https_egress", "ip_protocol", "udp"),
		Found: egressRule + "prometheus_https_egress",
	}},
}, {
	Name:  "security groups have no inline rules, and the VPC's default security group has no rules",
	Check: securityGroupsHaveNoInlineRules,
	BrokenBy: []stacktest.Break{{
		Name:  "a security group has an inline rule, which removes the rules that are resources",
		Stack: "prod",
		By:    stacktest.Add(databaseSecurityGroup, "ingress", []any{map[string]any{"from_port": 5432.0}}),
		Found: databaseSecurityGroup,
	}, {
		Name:  "a security group has an inline egress rule",
		Stack: "prod",
		By:    stacktest.Add(databaseSecurityGroup, "egress", []any{map[string]any{"from_port": 443.0}}),
		Found: databaseSecurityGroup,
	}, {
		Name:  "the default security group keeps the ingress rules that AWS gave it",
		Stack: "prod",
		By:    stacktest.Remove(defaultSecurityGroup, "ingress"),
		Found: defaultSecurityGroup,
	}, {
		Name:  "the default security group has an egress rule",
		Stack: "dev",
		By:    stacktest.Set(defaultSecurityGroup, "egress", []any{map[string]any{"from_port": 0.0}}),
		Found: defaultSecurityGroup,
	}, {
		Name:  "the default security group is not managed",
		Stack: "dev",
		By:    stacktest.Delete(defaultSecurityGroup),
		Found: "aws_vpc.vpc",
	}, {
		Name:  "the default network ACL is emptied",
		Stack: "dev",
		By:    stacktest.Create("aws_default_network_acl.acl", map[string]any{}),
		Found: "aws_default_network_acl.acl",
	}},
}, {
	Name:  "each security group is used by one load balancer, database, function, service or set of endpoints",
	Check: securityGroupsAreNotShared,
	BrokenBy: []stacktest.Break{{
		Name:  "a service uses the load balancer's security group",
		Stack: "prod",
		By: stacktest.Set(webService, "network_configuration.security_groups",
			[]any{idOf(loadBalancerSecurityGroup)}),
		Found: loadBalancerSecurityGroup,
	}, {
		Name:  "the database uses a service's security group besides its own",
		Stack: "prod",
		By: stacktest.Set(databaseInstance, "vpc_security_group_ids",
			[]any{idOf(databaseSecurityGroup), idOf(webSecurityGroup)}),
		Found: webSecurityGroup,
	}, {
		Name:  "a service uses another service's security group",
		Stack: "two services",
		By: stacktest.Set("aws_ecs_service.service_plain_service", "network_configuration.security_groups",
			[]any{idOf(webSecurityGroup)}),
		Found: webSecurityGroup,
	}, {
		Name:  "a service uses the default security group",
		Stack: "prod",
		By:    stacktest.Set(webService, "network_configuration.security_groups", []any{idOf(defaultSecurityGroup)}),
		Found: webService,
	}, {
		Name:  "a service has no security group, so that AWS uses the default one",
		Stack: "prod",
		By:    stacktest.Set(webService, "network_configuration.security_groups", []any{}),
		Found: webService,
	}, {
		Name:  "a security group is not used",
		Stack: "prod",
		By:    stacktest.CreateLike(webSecurityGroup, "aws_security_group.spare", "name", "spare"),
		Found: "aws_security_group.spare",
	}},
}}

// securityGroupRule is the body of a security group rule.
func securityGroupRule(group, peerArgument, peer string, port float64) map[string]any {
	return map[string]any{
		"security_group_id": idOf(group),
		peerArgument:        peer,
		"ip_protocol":       "tcp",
		"from_port":         port,
		"to_port":           port,
	}
}

// traffic is what a security group rule allows. Its ends are addresses of security groups, CIDR
// blocks, or S3's prefix list.
type traffic struct {
	from, to string
	port     int
}

func (t traffic) String() string { return fmt.Sprintf("TCP %d from %s to %s", t.port, t.from, t.to) }

const (
	ingressKind = "aws_vpc_security_group_ingress_rule"
	egressKind  = "aws_vpc_security_group_egress_rule"
)

// peerOf is the other end of a security group rule.
func peerOf(rule stacktest.Resource) string {
	if group := rule.Reference("referenced_security_group_id"); group != "" {
		return group
	}
	for _, argument := range []string{"cidr_ipv4", "cidr_ipv6", "prefix_list_id"} {
		if rule.Has(argument) {
			return rule.String(argument)
		}
	}
	return "nothing"
}

// trafficAllowed is what the rules of one kind allow, with the rule's address.
func trafficAllowed(s stacktest.Stack, kind string) map[traffic]string {
	allowed := map[traffic]string{}
	for _, rule := range s.Resources(kind) {
		t := traffic{rule.Reference("security_group_id"), peerOf(rule), int(rule.Number("from_port"))}
		if kind == ingressKind {
			t.from, t.to = t.to, t.from
		}
		allowed[t] = rule.Address
	}
	return allowed
}

// groupsOf are the security groups that an argument of a kind of resource names.
func groupsOf(s stacktest.Stack, kind, path string) []string {
	var groups []string
	for _, r := range s.Resources(kind) {
		groups = append(groups, r.References(path)...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

func loadBalancerGroups(s stacktest.Stack) []string { return groupsOf(s, "aws_lb", "security_groups") }

func onlyLoadBalancerAcceptsCIDRBlocks(s stacktest.Stack, v *stacktest.Violations) {
	ports := map[float64]bool{}
	for _, listener := range s.Resources("aws_lb_listener") {
		ports[listener.Number("port")] = true
	}
	for _, rule := range s.Resources(ingressKind) {
		if rule.Reference("referenced_security_group_id") != "" {
			continue
		}
		group := rule.Reference("security_group_id")
		v.Want(slices.Contains(loadBalancerGroups(s), group),
			rule.Address, "allows TCP %v from %s to %s", rule.At("from_port"), peerOf(rule), group)
		v.Want(ports[rule.Number("from_port")],
			rule.Address, "opens port %v of the load balancer, which has no listener", rule.At("from_port"))
	}
}

func tasksAcceptKnownClients(s stacktest.Stack, v *stacktest.Violations) {
	platform := append(loadBalancerGroups(s), prometheusServiceTask(s).securityGroup())
	rules, calls := s.Resources(ingressKind), callsBetween(s)
	for _, t := range serviceTasks(s) {
		allowed := slices.Clone(platform)
		for _, call := range calls {
			if call.to == t.securityGroup() {
				allowed = append(allowed, call.from)
			}
		}
		for _, rule := range stacktest.Referring(rules, "security_group_id", t.securityGroup()) {
			from := peerOf(rule)
			v.Want(slices.Contains(allowed, from) && from != t.securityGroup(),
				rule.Address, "allows traffic from %s to the tasks of %s", from, t.name())
		}
	}
}

// callsBetween is what the variables of containers name: each URL of a service's port, by its name
// in the namespace.
func callsBetween(s stacktest.Stack) (calls []traffic) {
	var domain string
	for _, namespace := range s.Resources("aws_service_discovery_private_dns_namespace") {
		domain = namespace.String("name")
	}
	url := regexp.MustCompile(`^http://([a-z0-9-]+)\.` + regexp.QuoteMeta(domain) + `:([0-9]+)$`)
	tasks := serviceTasks(s)
	for _, t := range tasks {
		for _, c := range t.containers() {
			for _, variable := range c.Blocks("environment") {
				parts := url.FindStringSubmatch(variable.String("value"))
				if parts == nil || variable.String("name") != strings.ToUpper(underscored(parts[1]))+"_URL" {
					continue
				}
				port, _ := strconv.Atoi(parts[2])
				for _, other := range tasks {
					if other.name() == parts[1] && other.listens(parts[1], float64(port)) {
						calls = append(calls, traffic{t.securityGroup(), other.securityGroup(), port})
					}
				}
			}
		}
	}
	return calls
}

// configuredOut is what rules allow out of the VPC besides HTTPS, if they are called as the
// configuration's are: by the service whose group they belong to, and by their port and block.
func configuredOut(s stacktest.Stack) (out []traffic) {
	for _, t := range serviceTasks(s) {
		for allowed, rule := range trafficAllowed(s, egressKind) {
			id := fmt.Sprintf("service_%s_out_%d_egress_%s", t.name(), allowed.port, cidrID(allowed.to))
			if rule == egressRule+id && allowed.from == t.securityGroup() {
				out = append(out, allowed)
			}
		}
	}
	return out
}

func databaseAcceptsItsUsersOnly(s stacktest.Stack, v *stacktest.Violations) {
	var allowed []string
	for _, t := range allTasks(s) {
		if t.usesDatabase() {
			allowed = append(allowed, t.securityGroup())
		}
	}
	for _, f := range functionsInVPC(s) {
		allowed = append(allowed, f.References("vpc_config.security_group_ids")...)
	}
	for _, group := range groupsOf(s, "aws_db_instance", "vpc_security_group_ids") {
		for _, rule := range stacktest.Referring(s.Resources(ingressKind), "security_group_id", group) {
			v.Want(slices.Contains(allowed, peerOf(rule)),
				rule.Address, "allows traffic from %s to the database", peerOf(rule))
			v.Want(rule.Is("from_port", 5432.0),
				rule.Address, "allows port %v of the database, want 5432", rule.At("from_port"))
		}
	}
}

// neededTraffic is what the stack's wiring requires: within the VPC, where both ends have a rule,
// out of it, and into it.
type neededTraffic struct{ within, out, in []traffic }

func trafficNeeded(s stacktest.Stack) (n neededTraffic) {
	for _, f := range functionsInVPC(s) {
		for _, group := range f.References("vpc_config.security_group_ids") {
			for _, instance := range f.References("environment.variables.PGHOST") {
				n.toDatabase(s, group, instance)
			}
			n.toAWS(s, group)
		}
	}
	prometheus := prometheusServiceTask(s).securityGroup()
	for _, t := range allTasks(s) {
		for _, target := range t.service.Blocks("load_balancer") {
			for _, group := range loadBalancerGroups(s) {
				n.within = append(n.within, traffic{group, t.securityGroup(), int(target.Number("container_port"))})
			}
		}
		if t.usesDatabase() {
			n.toDatabase(s, t.securityGroup(), t.databaseInstance())
		}
		if port, ok := t.metricsPort(); ok {
			n.within = append(n.within, traffic{prometheus, t.securityGroup(), port})
		}
		n.toAWS(s, t.securityGroup())
	}
	n.within = append(n.within, callsBetween(s)...)
	n.out = append(n.out, configuredOut(s)...)
	n.toListeners(s)
	return n
}

func (n *neededTraffic) toDatabase(s stacktest.Stack, group, instance string) {
	for _, to := range s.Resource(instance).References("vpc_security_group_ids") {
		n.within = append(n.within, traffic{group, to, 5432})
	}
}

// toAWS adds what every task needs: HTTPS to the endpoints, and out of the VPC.
func (n *neededTraffic) toAWS(s stacktest.Stack, group string) {
	for _, endpoints := range groupsOf(s, "aws_vpc_endpoint", "security_group_ids") {
		n.within = append(n.within, traffic{group, endpoints, 443})
	}
	outside := "0.0.0.0/0"
	if len(s.Resources("aws_nat_gateway")) == 0 {
		outside = "${aws_vpc_endpoint.s3_endpoint.prefix_list_id}"
	}
	n.out = append(n.out, traffic{group, outside, 443})
}

// toListeners takes the configured CIDR blocks from the rules themselves; each of the blocks may
// use every listener.
func (n *neededTraffic) toListeners(s stacktest.Stack) {
	blocks := map[string]bool{}
	for t := range trafficAllowed(s, ingressKind) {
		if !strings.HasPrefix(t.from, "aws_") && slices.Contains(loadBalancerGroups(s), t.to) {
			blocks[t.from] = true
		}
	}
	if len(blocks) == 0 {
		blocks["a configured CIDR block"] = true
	}
	for _, listener := range s.Resources("aws_lb_listener") {
		for block := range blocks {
			for _, group := range loadBalancerGroups(s) {
				n.in = append(n.in, traffic{block, group, int(listener.Number("port"))})
			}
		}
	}
}

// rulesAllowNeededTraffic compares both ends: a rule at one end alone allows nothing, and misleads
// whoever reads only that end.
func rulesAllowNeededTraffic(s stacktest.Stack, v *stacktest.Violations) {
	n := trafficNeeded(s)
	for _, end := range []struct {
		kind   string
		needed []traffic
	}{
		{egressKind, append(n.out, n.within...)},
		{ingressKind, append(n.in, n.within...)},
	} {
		allowed := trafficAllowed(s, end.kind)
		for _, t := range end.needed {
			missing := t.from
			if !strings.HasPrefix(missing, "aws_") {
				missing = t.to
			}
			v.Want(allowed[t] != "", missing, "no %s allows %v", end.kind, t)
		}
		for t, rule := range allowed {
			v.Want(slices.Contains(end.needed, t), rule, "allows traffic that nothing needs: %v", t)
		}
		v.Want(len(allowed) == len(s.Resources(end.kind)), end.kind, "two rules allow the same traffic")
	}
}

func rulesAllowOneTCPPort(s stacktest.Stack, v *stacktest.Violations) {
	for _, rule := range s.Resources(ingressKind, egressKind) {
		v.Want(rule.Is("ip_protocol", "tcp"), rule.Address, "want protocol tcp, have %v", rule.At("ip_protocol"))
		from, to := rule.Number("from_port"), rule.Number("to_port")
		v.Want(from >= 1 && from == to,
			rule.Address, "want one port, have %v to %v", rule.At("from_port"), rule.At("to_port"))
	}
}

// Inline rules and rules that are resources remove each other.
// https://registry.terraform.io/providers/hashicorp/aws/5.100.0/docs/resources/security_group
func securityGroupsHaveNoInlineRules(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_security_group") {
		v.Want(!group.Has("ingress") && !group.Has("egress"), group.Address, "has inline rules")
	}
	for _, vpc := range s.Resources("aws_vpc") {
		defaults := stacktest.Referring(s.Resources("aws_default_security_group"), "vpc_id", vpc.Address)
		v.Want(len(defaults) == 1, vpc.Address, "its default security group keeps AWS's rules: "+
			"all traffic within the group, and all traffic out")
		for _, group := range defaults {
			for _, direction := range []string{"ingress", "egress"} {
				rules, written := group.At(direction).([]any)
				v.Want(written && len(rules) == 0, group.Address, "want an empty list of %s rules", direction)
			}
		}
	}
	// Without its rules, the default network ACL blocks all traffic of every subnet that has no
	// other.
	for _, acl := range s.Resources("aws_default_network_acl", "aws_network_acl") {
		v.Want(false, acl.Address, "network ACLs must stay as AWS creates them")
	}
}

func securityGroupsAreNotShared(s stacktest.Stack, v *stacktest.Violations) {
	users := map[string]map[string]bool{}
	uses := func(r stacktest.Resource, user, path string) {
		groups := r.References(path)
		v.Want(len(groups) > 0, r.Address, "has no security group, so that AWS uses the default one")
		for _, group := range groups {
			v.Want(strings.HasPrefix(group, "aws_security_group."), r.Address, "uses %s", group)
			if users[group] == nil {
				users[group] = map[string]bool{}
			}
			users[group][user] = true
		}
	}
	for _, r := range s.Resources("aws_lb") {
		uses(r, "the load balancer", "security_groups")
	}
	for _, r := range s.Resources("aws_db_instance") {
		uses(r, "databases", "vpc_security_group_ids")
	}
	for _, r := range stacktest.Filter(s.Resources("aws_vpc_endpoint"), isInterfaceEndpoint) {
		uses(r, "endpoints", "security_group_ids")
	}
	for _, f := range functionsInVPC(s) {
		uses(f, f.Address, "vpc_config.security_group_ids")
	}
	for _, t := range serviceTasks(s) {
		uses(t.service, "tasks of "+t.name(), "network_configuration.security_groups")
	}
	for _, t := range standaloneTasks(s) {
		users[t.group] = map[string]bool{t.name(): true}
	}
	for group, of := range users {
		v.Want(len(of) == 1, group, "is shared by %v", slices.Sorted(maps.Keys(of)))
	}
	for _, group := range s.Resources("aws_security_group") {
		v.Want(users[group.Address] != nil, group.Address, "is not used")
	}
}

// Which rules there are follows from the configuration alone, each in its service's group.
func TestServicesReachWhatIsConfiguredAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		web  string // settings of the service web
		want []string
	}{
		"nothing":   {"", nil},
		"a port":    {"egress: [587]", []string{"TCP 587 to 0.0.0.0/0"}},
		"two ports": {"egress: [587, 7233]", []string{"TCP 587 to 0.0.0.0/0", "TCP 7233 to 0.0.0.0/0"}},
		"a port of two blocks": {
			"egress: [{port: 5671, to: [203.0.113.0/24, 10.9.0.0/16]}]",
			[]string{"TCP 5671 to 10.9.0.0/16", "TCP 5671 to 203.0.113.0/24"},
		},
		"a service": {"calls: [job]", []string{"TCP 9000 to aws_security_group.service_job_security_group"}},
	} {
		t.Run(name, func(t *testing.T) {
			config := minimal + "services:\n" +
				"  web: {image: 'quay.io/x/web:1', route: {paths: ['/*']}, " + c.web + "}\n" +
				"  job: {image: 'quay.io/x/y:1', port: 9000}\n"
			s := parsed(t, synth(t, parse(t, "test", config), placeholder(t)))
			var have []string
			for allowed := range trafficAllowed(s, egressKind) {
				if allowed.from == webSecurityGroup && allowed.port != 443 {
					have = append(have, fmt.Sprintf("TCP %d to %s", allowed.port, allowed.to))
				}
			}
			slices.Sort(have)
			if !slices.Equal(have, c.want) {
				t.Errorf("web may reach %q, want %q", have, c.want)
			}
		})
	}
}
