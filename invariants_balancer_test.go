package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var balancerInvariants = []invariant{
	{
		promise: "the load balancer stands in two zones, refuses malformed requests and logs every request",
		check:   balancerIsSound,
		broken: []damage{
			{name: "one zone", stack: "dev",
				breaks: change(balancer, "subnets", []any{id("aws_subnet.public_subnet_a")}), found: balancer},
			{name: "two subnets of one zone", stack: "dev",
				breaks: change("aws_subnet.public_subnet_b", "availability_zone", "eu-central-1a"), found: balancer},
			{name: "invalid header fields go through", stack: "prod",
				breaks: change(balancer, "drop_invalid_header_fields", false), found: balancer},
			{name: "requests that smuggle go through", stack: "prod",
				breaks: change(balancer, "desync_mitigation_mode", "monitor"), found: balancer},
			{name: "no access log", stack: "prod",
				breaks: change(balancer, "access_logs.enabled", false), found: balancer},
			{name: "a prefix that AWS refuses", stack: "prod",
				breaks: add(balancer, "access_logs.prefix", "AWSLogs/web"), found: balancer},
		},
	},
	{
		promise: "where there is HTTPS it is TLS 1.3 with an issued certificate, and HTTP redirects to it",
		check:   httpsIsSound,
		broken: []damage{
			{name: "no certificate", stack: "prod",
				breaks: unset(httpsListener, "certificate_arn"), found: httpsListener},
			{name: "a certificate that may not be issued yet", stack: "prod",
				breaks: change(httpsListener, "certificate_arn", "${aws_acm_certificate.certificate.arn}"),
				found:  httpsListener},
			{name: "AWS's default policy, of 2016", stack: "prod",
				breaks: unset(httpsListener, "ssl_policy"), found: httpsListener},
			{name: "TLS 1.0", stack: "prod",
				breaks: change(httpsListener, "ssl_policy", "ELBSecurityPolicy-2016-08"), found: httpsListener},
			{name: "HTTP answers itself", stack: "prod",
				breaks: change(httpListener, "default_action.0.type", "fixed-response"), found: httpListener},
			{name: "HTTP redirects to HTTP", stack: "prod",
				breaks: change(httpListener, "default_action.0.redirect.protocol", "HTTP"), found: httpListener},
			{name: "a rule hangs on HTTP", stack: "prod",
				breaks: change(webRule, "listener_arn", "${aws_lb_listener.http_listener.arn}"), found: webRule},
			{name: "the first validation record is taken, whichever it is", stack: "prod",
				breaks: change("aws_route53_record.certificate_validation_record", "name",
					"${tolist(aws_acm_certificate.certificate.domain_validation_options)[0].resource_record_name}"),
				found: "aws_route53_record.certificate_validation_record"},
			{name: "a certificate goes before the next is there", stack: "prod",
				breaks: unset("aws_acm_certificate.certificate", "lifecycle.create_before_destroy"),
				found:  "aws_acm_certificate.certificate"},
			{name: "nobody waits for it", stack: "prod",
				breaks: drop("aws_acm_certificate_validation.certificate_validation"),
				found:  "aws_acm_certificate.certificate"},
		},
	},
	{
		promise: "what no rule takes gets a fixed 200",
		check:   defaultIsFixed,
		broken: []damage{
			{name: "404", stack: "dev",
				breaks: change(httpListener, "default_action.0.fixed_response.status_code", "404"),
				found:  httpListener},
			{name: "a service", stack: "prod",
				breaks: change(httpsListener, "default_action.0",
					tree{"type": "forward", "target_group_arn": "${" + webTargets + ".arn}"}),
				found: httpsListener},
		},
	},
	{
		promise: "rules have conditions, and priorities of their own",
		check:   rulesAreDistinct,
		broken: []damage{
			{name: "the same priority twice", stack: "metrics",
				breaks: change(webRule, "priority", 10.0), found: webRule},
			{name: "no priority", stack: "prod",
				breaks: unset(webRule, "priority"), found: webRule},
			{name: "out of AWS's range", stack: "prod",
				breaks: change(webRule, "priority", 50001.0), found: webRule},
			{name: "no condition", stack: "prod",
				breaks: change(webRule, "condition", []any{}), found: webRule},
			{name: "more values than AWS takes", stack: "prod",
				breaks: change(webRule, "condition.0.path_pattern.values", []any{"/a", "/b", "/c", "/d", "/e", "/f"}),
				found:  webRule},
		},
	},
	{
		promise: "every target group hangs on a rule, and can be replaced while it is used",
		check:   targetGroupsAreUsed,
		broken: []damage{
			{name: "no rule", stack: "prod",
				breaks: drop(webRule), found: webTargets},
			{name: "no service", stack: "prod",
				breaks: unset(webService, "load_balancer"), found: webTargets},
			{name: "its name stays when its port changes", stack: "prod",
				breaks: change(webTargets, "name", "web"), found: webTargets},
			{name: "it goes before the next is there", stack: "prod",
				breaks: unset(webTargets, "lifecycle.create_before_destroy"), found: webTargets},
			{name: "targets are instances", stack: "prod",
				breaks: change(webTargets, "target_type", "instance"), found: webTargets},
		},
	},
	{
		promise: "the load balancer may check the health of what it sends to",
		check:   healthIsChecked,
		broken: []damage{
			{name: "on a port that it cannot reach", stack: "prod",
				breaks: change(webTargets, "health_check.port", "9000"), found: webTargets},
			{name: "not at all", stack: "prod",
				breaks: change(webTargets, "health_check.enabled", false), found: webTargets},
			{name: "slower than it asks", stack: "prod",
				breaks: change(webTargets, "health_check.timeout", 15.0), found: webTargets},
		},
	},
	{
		promise: "a service's metrics are not public",
		check:   metricsAreHidden,
		broken: []damage{
			{name: "no rule hides them", stack: "metrics",
				breaks: drop(hidingRule), found: webService},
			{name: "the hiding rule comes too late", stack: "metrics",
				breaks: change(hidingRule, "priority", 2000.0), found: webService},
			{name: "it answers 200", stack: "metrics",
				breaks: change(hidingRule, "action.0.fixed_response.status_code", "200"), found: webService},
			{name: "it hides another path", stack: "metrics",
				breaks: change(hidingRule, "condition.0.path_pattern.values", []any{"/status"}), found: webService},
			{name: "it asks for more than the service's own rule", stack: "metrics",
				breaks: change(hidingRule, "condition.1.host_header.values", []any{"other.example.com"}),
				found:  webService},
			{name: "it hangs on another listener", stack: "metrics",
				breaks: change(hidingRule, "listener_arn", "${aws_lb_listener.other.arn}"), found: webService},
		},
	},
	{
		promise: "the firewall guards the load balancer, and first counts the rules that block uploads and logins",
		check:   firewallIsSound,
		broken: []damage{
			{name: "large bodies are blocked", stack: "prod",
				breaks: change(firewall, "rule.2.statement.managed_rule_group_statement.rule_action_override", []any{}),
				found:  firewall},
			{name: "a rule of AWS's has no override action", stack: "prod",
				breaks: unset(firewall, "rule.0.override_action"), found: firewall},
			{name: "no rate limit", stack: "prod",
				breaks: change(firewall, "rule.3.statement", tree{}), found: firewall},
			{name: "it guards nothing", stack: "prod",
				breaks: drop("aws_wafv2_web_acl_association.firewall_association"), found: firewall},
			{name: "it logs nothing", stack: "prod",
				breaks: drop(firewallLogs), found: firewall},
			{name: "its log group has a name that AWS refuses", stack: "prod",
				breaks: change("aws_cloudwatch_log_group.firewall_log_group", "name", "/platform-prod/firewall"),
				found:  firewallLogs},
			{name: "credentials are logged", stack: "prod",
				breaks: change(firewallLogs, "redacted_fields", []any{}), found: firewallLogs},
			{name: "two rules have one priority", stack: "prod",
				breaks: change(firewall, "rule.1.priority", 1.0), found: firewall},
		},
	},
}

func balancerIsSound(stack tree) (v violations) {
	for _, b := range things(stack, "aws_lb") {
		v.want(len(zonesOf(stack, b.refs("subnets"))) >= 2,
			b.address, "wants subnets of two zones, has %v", b.refs("subnets"))
		v.want(b.is("drop_invalid_header_fields", true), b.address, "lets invalid header fields through")
		v.want(b.is("desync_mitigation_mode", "defensive") || b.is("desync_mitigation_mode", "strictest"),
			b.address, "lets ambiguous requests through")
		v.want(b.is("access_logs.enabled", true) && get(stack, b.ref("access_logs.bucket")).exists(),
			b.address, "logs no accesses")
		v.want(!strings.Contains(b.text("access_logs.prefix"), "AWSLogs"),
			b.address, "has a log prefix that AWS refuses")
	}
	return v
}

// zonesOf are the availability zones of subnets.
func zonesOf(stack tree, subnets []string) []string {
	var zones []string
	for _, subnet := range subnets {
		zones = append(zones, get(stack, subnet).text("availability_zone"))
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

func secure(listener thing) bool { return listener.is("protocol", "HTTPS") }

func httpsIsSound(stack tree) (v violations) {
	listeners := things(stack, "aws_lb_listener")
	with := keep(listeners, secure)
	for _, l := range with {
		certificate := l.text("certificate_arn")
		v.want(strings.HasPrefix(certificate, "arn:aws:acm:") ||
			strings.HasPrefix(certificate, "${aws_acm_certificate_validation."),
			l.address, "wants a certificate that is issued, has %q", certificate)
		v.want(strings.HasPrefix(l.text("ssl_policy"), "ELBSecurityPolicy-TLS13-"),
			l.address, "wants a policy with TLS 1.3, has %q", l.text("ssl_policy"))
	}
	if len(with) > 0 {
		for _, l := range keep(listeners, func(l thing) bool { return !secure(l) }) {
			to := l.parts("default_action")
			v.want(len(to) == 1 &&
				to[0].is("type", "redirect") &&
				to[0].is("redirect.protocol", "HTTPS") &&
				to[0].is("redirect.port", "443"),
				l.address, "does not redirect to HTTPS")
		}
		for _, r := range things(stack, "aws_lb_listener_rule") {
			v.want(secure(get(stack, r.ref("listener_arn"))), r.address, "hangs on a listener without TLS")
		}
	}
	for _, c := range things(stack, "aws_acm_certificate") {
		v.want(c.is("lifecycle.create_before_destroy", true),
			c.address, "goes before the next is there, while a listener uses it")
		v.want(len(referring(things(stack, "aws_acm_certificate_validation"), "certificate_arn", c.address)) == 1,
			c.address, "is not validated")
		for _, record := range things(stack, "aws_route53_record") {
			for _, path := range []string{"name", "type", "records.0"} {
				if slices.Contains(record.refs(path), c.address) {
					v.want(strings.Contains(record.text(path), `o.domain_name == "`+c.text("domain_name")+`"`),
						record.address, "takes %s of a set by position, which a set has not", path)
				}
			}
		}
	}
	return v
}

func defaultIsFixed(stack tree) (v violations) {
	for _, l := range things(stack, "aws_lb_listener") {
		action := l.parts("default_action")
		if len(action) == 1 && action[0].is("type", "redirect") {
			continue
		}
		v.want(len(action) == 1 &&
			action[0].is("type", "fixed-response") &&
			action[0].is("fixed_response.status_code", "200"),
			l.address, "does not answer 200 itself")
	}
	return v
}

// conditionValues counts what AWS bounds to five in all conditions of a rule together.
func conditionValues(r thing) int {
	count := 0
	for _, c := range r.parts("condition") {
		eachString(c.body, func(path, _ string) {
			if strings.Contains(path, "values.") {
				count++
			}
		})
	}
	return count
}

func rulesAreDistinct(stack tree) (v violations) {
	taken := map[string]string{}
	for _, r := range things(stack, "aws_lb_listener_rule") {
		priority := r.number("priority")
		v.want(priority >= 1 && priority <= 50000,
			r.address, "wants a priority of 1 to 50000, has %v", r.at("priority"))
		v.want(conditionValues(r) >= 1 && conditionValues(r) <= 5,
			r.address, "wants one to five values in its conditions, has %d", conditionValues(r))
		place := fmt.Sprint(r.text("listener_arn"), priority)
		v.want(taken[place] == "", r.address, "has the priority of %s", taken[place])
		taken[place] = r.address
	}
	return v
}

func targetGroupsAreUsed(stack tree) (v violations) {
	for _, group := range things(stack, "aws_lb_target_group") {
		rules := keep(things(stack, "aws_lb_listener_rule"), func(r thing) bool {
			return slices.Contains(r.refs("action"), group.address)
		})
		v.want(len(rules) > 0, group.address, "hangs on no rule, and ECS refuses it")
		v.want(slices.Contains(references(dig(stack, "resource.aws_ecs_service")), group.address),
			group.address, "has no service")
		v.want(group.is("target_type", "ip"),
			group.address, "wants addresses as targets, which is all that Fargate has")
		v.want(regexp.MustCompile(`-[0-9a-f]{8}$`).MatchString(group.text("name")) &&
			group.is("lifecycle.create_before_destroy", true),
			group.address, "wants a name that changes with what replaces it, and the new one made first: "+
				"a listener uses the old one")
	}
	return v
}

func healthIsChecked(stack tree) (v violations) {
	for _, group := range things(stack, "aws_lb_target_group") {
		check := thing{group.address, nil}
		check.body, _ = group.at("health_check").(tree)
		v.want(check.is("enabled", true), group.address, "is not checked")
		v.want(check.number("timeout") < check.number("interval"),
			group.address, "wants an answer before it asks again")
		port := group.text("health_check.port")
		if port != "traffic-port" {
			reached := false
			for w := range opened(stack, "aws_vpc_security_group_egress_rule") {
				reached = reached || (slices.Contains(balancerGroups(stack), w.from) && fmt.Sprint(w.port) == port)
			}
			v.want(reached, group.address, "is checked on port %s, which the balancer cannot reach", port)
		}
	}
	return v
}

func metricsAreHidden(stack tree) (v violations) {
	for _, t := range tasks(stack) {
		port, has := t.metricsPort()
		for _, behind := range t.service.parts("load_balancer") {
			if !has || int(behind.number("container_port")) != port {
				continue
			}
			for _, r := range things(stack, "aws_lb_listener_rule") {
				if slices.Contains(r.refs("action"), behind.ref("target_group_arn")) {
					hidden := slices.ContainsFunc(things(stack, "aws_lb_listener_rule"), func(other thing) bool {
						return hides(other, r, t.service.text("tags.MetricsPath"))
					})
					v.want(hidden, t.service.address,
						"has its metrics on the port that %s makes public, and no earlier rule answers 404", r.address)
				}
			}
		}
	}
	return v
}

// hides tells whether a rule comes before another and answers 404 for a path and what is below it,
// on no other condition than the other's.
func hides(first, other thing, path string) bool {
	conditions := func(r thing) (paths []string, rest string) {
		for _, c := range r.parts("condition") {
			if c.has("path_pattern") {
				paths = c.strings("path_pattern.values")
			} else {
				rest += marshal(c.body)
			}
		}
		return paths, rest
	}
	paths, rest := conditions(first)
	_, otherRest := conditions(other)
	return first.is("action.0.fixed_response.status_code", "404") &&
		first.text("listener_arn") == other.text("listener_arn") &&
		first.number("priority") < other.number("priority") &&
		slices.Contains(paths, path) && slices.Contains(paths, path+"/*") && rest == otherRest
}

func firewallIsSound(stack tree) (v violations) {
	for _, acl := range things(stack, "aws_wafv2_web_acl") {
		priorities := map[float64]bool{}
		limited := false
		for _, r := range acl.parts("rule") {
			priorities[r.number("priority")] = true
			limited = limited || r.number("statement.rate_based_statement.limit") >= 10
			if !r.has("statement.managed_rule_group_statement") {
				continue
			}
			v.want(r.has("override_action"),
				acl.address, "rule %s has no override action, and AWS refuses it", r.text("name"))
			if r.is("statement.managed_rule_group_statement.name", "AWSManagedRulesCommonRuleSet") {
				counted := map[string]bool{}
				for _, o := range r.parts("statement.managed_rule_group_statement.rule_action_override") {
					counted[o.text("name")] = o.has("action_to_use.count")
				}
				for _, name := range []string{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"} {
					v.want(counted[name], acl.address, "blocks by %s, which real uploads and logins trip", name)
				}
			}
		}
		v.want(limited, acl.address, "has no rate limit")
		v.want(len(priorities) == len(acl.parts("rule")), acl.address, "has two rules of one priority")
		guarded := referring(things(stack, "aws_wafv2_web_acl_association"), "web_acl_arn", acl.address)
		v.want(len(guarded) == 1 && get(stack, guarded[0].ref("resource_arn")).kind() == "aws_lb",
			acl.address, "guards no balancer")
		logging := referring(things(stack, "aws_wafv2_web_acl_logging_configuration"), "resource_arn", acl.address)
		v.want(len(logging) == 1, acl.address, "logs nothing")
	}
	for _, logging := range things(stack, "aws_wafv2_web_acl_logging_configuration") {
		name := get(stack, logging.ref("log_destination_configs")).text("name")
		v.want(strings.HasPrefix(name, "aws-waf-logs-"),
			logging.address, "logs to %q, and AWS wants a name that begins with aws-waf-logs-", name)
		redacted := marshal(logging.at("redacted_fields"))
		for _, header := range []string{"authorization", "cookie"} {
			v.want(strings.Contains(redacted, `"`+header+`"`), logging.address, "logs the header %s", header)
		}
	}
	return v
}
