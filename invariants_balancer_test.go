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
			{"one zone", "dev", change(balancer, "subnets", []any{id("aws_subnet.public_subnet_a")}), balancer},
			{"two subnets of one zone", "dev", change("aws_subnet.public_subnet_b", "availability_zone", "eu-central-1a"), balancer},
			{"invalid header fields go through", "prod", change(balancer, "drop_invalid_header_fields", false), balancer},
			{"requests that smuggle go through", "prod", change(balancer, "desync_mitigation_mode", "monitor"), balancer},
			{"no access log", "prod", change(balancer, "access_logs.enabled", false), balancer},
			{"a prefix that AWS refuses", "prod", add(balancer, "access_logs.prefix", "AWSLogs/web"), balancer},
		},
	},
	{
		promise: "where there is HTTPS it is TLS 1.3 with an issued certificate, and HTTP redirects to it",
		check:   httpsIsSound,
		broken: []damage{
			{"no certificate", "prod", unset(httpsListener, "certificate_arn"), httpsListener},
			{"a certificate that may not be issued yet", "prod", change(httpsListener, "certificate_arn", "${aws_acm_certificate.certificate.arn}"), httpsListener},
			{"AWS's default policy, of 2016", "prod", unset(httpsListener, "ssl_policy"), httpsListener},
			{"TLS 1.0", "prod", change(httpsListener, "ssl_policy", "ELBSecurityPolicy-2016-08"), httpsListener},
			{"HTTP answers itself", "prod", change(httpListener, "default_action.0.type", "fixed-response"), httpListener},
			{"HTTP redirects to HTTP", "prod", change(httpListener, "default_action.0.redirect.protocol", "HTTP"), httpListener},
			{"a rule hangs on HTTP", "prod", change(webRule, "listener_arn", "${aws_lb_listener.http_listener.arn}"), webRule},
			{"the first validation record is taken, whichever it is", "prod", change("aws_route53_record.certificate_validation_record", "name", "${tolist(aws_acm_certificate.certificate.domain_validation_options)[0].resource_record_name}"), "aws_route53_record.certificate_validation_record"},
			{"a certificate goes before the next is there", "prod", unset("aws_acm_certificate.certificate", "lifecycle.create_before_destroy"), "aws_acm_certificate.certificate"},
			{"nobody waits for it", "prod", drop("aws_acm_certificate_validation.certificate_validation"), "aws_acm_certificate.certificate"},
		},
	},
	{
		promise: "what no rule takes gets a fixed 200",
		check:   defaultIsFixed,
		broken: []damage{
			{"404", "dev", change(httpListener, "default_action.0.fixed_response.status_code", "404"), httpListener},
			{"a service", "prod", change(httpsListener, "default_action.0", tree{"type": "forward", "target_group_arn": "${" + webTargets + ".arn}"}), httpsListener},
		},
	},
	{
		promise: "rules have conditions, and priorities of their own",
		check:   rulesAreDistinct,
		broken: []damage{
			{"the same priority twice", "metrics", change(webRule, "priority", 10.0), webRule},
			{"no priority", "prod", unset(webRule, "priority"), webRule},
			{"out of AWS's range", "prod", change(webRule, "priority", 50001.0), webRule},
			{"no condition", "prod", change(webRule, "condition", []any{}), webRule},
			{"more values than AWS takes", "prod", change(webRule, "condition.0.path_pattern.values", []any{"/a", "/b", "/c", "/d", "/e", "/f"}), webRule},
		},
	},
	{
		promise: "every target group hangs on a rule, and can be replaced while it is used",
		check:   targetGroupsAreUsed,
		broken: []damage{
			{"no rule", "prod", drop(webRule), webTargets},
			{"no service", "prod", unset(webService, "load_balancer"), webTargets},
			{"its name stays when its port changes", "prod", change(webTargets, "name", "web"), webTargets},
			{"it goes before the next is there", "prod", unset(webTargets, "lifecycle.create_before_destroy"), webTargets},
			{"targets are instances", "prod", change(webTargets, "target_type", "instance"), webTargets},
		},
	},
	{
		promise: "the load balancer may check the health of what it sends to",
		check:   healthIsChecked,
		broken: []damage{
			{"on a port that it cannot reach", "prod", change(webTargets, "health_check.port", "9000"), webTargets},
			{"not at all", "prod", change(webTargets, "health_check.enabled", false), webTargets},
			{"slower than it asks", "prod", change(webTargets, "health_check.timeout", 15.0), webTargets},
		},
	},
	{
		promise: "a service's metrics are not public",
		check:   metricsAreHidden,
		broken: []damage{
			{"no rule hides them", "metrics", drop(hidingRule), webService},
			{"the hiding rule comes too late", "metrics", change(hidingRule, "priority", 2000.0), webService},
			{"it answers 200", "metrics", change(hidingRule, "action.0.fixed_response.status_code", "200"), webService},
			{"it hides another path", "metrics", change(hidingRule, "condition.0.path_pattern.values", []any{"/status"}), webService},
			{"it asks for more than the service's own rule", "metrics", change(hidingRule, "condition.1.host_header.values", []any{"other.example.com"}), webService},
			{"it hangs on another listener", "metrics", change(hidingRule, "listener_arn", "${aws_lb_listener.other.arn}"), webService},
		},
	},
	{
		promise: "the firewall guards the load balancer, and first counts the rules that block uploads and logins",
		check:   firewallIsSound,
		broken: []damage{
			{"large bodies are blocked", "prod", change(firewall, "rule.2.statement.managed_rule_group_statement.rule_action_override", []any{}), firewall},
			{"a rule of AWS's has no override action", "prod", unset(firewall, "rule.0.override_action"), firewall},
			{"no rate limit", "prod", change(firewall, "rule.3.statement", tree{}), firewall},
			{"it guards nothing", "prod", drop("aws_wafv2_web_acl_association.firewall_association"), firewall},
			{"it logs nothing", "prod", drop(firewallLogs), firewall},
			{"its log group has a name that AWS refuses", "prod", change("aws_cloudwatch_log_group.firewall_log_group", "name", "/platform-prod/firewall"), firewallLogs},
			{"credentials are logged", "prod", change(firewallLogs, "redacted_fields", []any{}), firewallLogs},
			{"two rules have one priority", "prod", change(firewall, "rule.1.priority", 1.0), firewall},
		},
	},
}

func balancerIsSound(stack tree) (v violations) {
	for _, b := range things(stack, "aws_lb") {
		v.want(len(zonesOf(stack, b.refs("subnets"))) >= 2, b.address, "wants subnets of two zones, has %v", b.refs("subnets"))
		v.want(b.is("drop_invalid_header_fields", true), b.address, "lets invalid header fields through")
		v.want(b.is("desync_mitigation_mode", "defensive") || b.is("desync_mitigation_mode", "strictest"), b.address, "lets ambiguous requests through")
		v.want(b.is("access_logs.enabled", true) && get(stack, b.ref("access_logs.bucket")).exists(), b.address, "logs no accesses")
		v.want(!strings.Contains(b.text("access_logs.prefix"), "AWSLogs"), b.address, "has a log prefix that AWS refuses")
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
		v.want(strings.HasPrefix(certificate, "arn:aws:acm:") || strings.HasPrefix(certificate, "${aws_acm_certificate_validation."), l.address, "wants a certificate that is issued, has %q", certificate)
		v.want(strings.HasPrefix(l.text("ssl_policy"), "ELBSecurityPolicy-TLS13-"), l.address, "wants a policy with TLS 1.3, has %q", l.text("ssl_policy"))
	}
	if len(with) > 0 {
		for _, l := range keep(listeners, func(l thing) bool { return !secure(l) }) {
			to := l.parts("default_action")
			v.want(len(to) == 1 && to[0].is("type", "redirect") && to[0].is("redirect.protocol", "HTTPS") && to[0].is("redirect.port", "443"), l.address, "does not redirect to HTTPS")
		}
		for _, r := range things(stack, "aws_lb_listener_rule") {
			v.want(secure(get(stack, r.ref("listener_arn"))), r.address, "hangs on a listener without TLS")
		}
	}
	for _, c := range things(stack, "aws_acm_certificate") {
		v.want(c.is("lifecycle.create_before_destroy", true), c.address, "goes before the next is there, while a listener uses it")
		v.want(len(referring(things(stack, "aws_acm_certificate_validation"), "certificate_arn", c.address)) == 1, c.address, "is not validated")
		for _, record := range things(stack, "aws_route53_record") {
			for _, path := range []string{"name", "type", "records.0"} {
				if slices.Contains(record.refs(path), c.address) {
					v.want(strings.Contains(record.text(path), `o.domain_name == "`+c.text("domain_name")+`"`), record.address, "takes %s of a set by position, which a set has not", path)
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
		v.want(len(action) == 1 && action[0].is("type", "fixed-response") && action[0].is("fixed_response.status_code", "200"), l.address, "does not answer 200 itself")
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
		v.want(priority >= 1 && priority <= 50000, r.address, "wants a priority of 1 to 50000, has %v", r.at("priority"))
		v.want(conditionValues(r) >= 1 && conditionValues(r) <= 5, r.address, "wants one to five values in its conditions, has %d", conditionValues(r))
		place := fmt.Sprint(r.text("listener_arn"), priority)
		v.want(taken[place] == "", r.address, "has the priority of %s", taken[place])
		taken[place] = r.address
	}
	return v
}

func targetGroupsAreUsed(stack tree) (v violations) {
	for _, group := range things(stack, "aws_lb_target_group") {
		rules := keep(things(stack, "aws_lb_listener_rule"), func(r thing) bool { return slices.Contains(r.refs("action"), group.address) })
		v.want(len(rules) > 0, group.address, "hangs on no rule, and ECS refuses it")
		v.want(slices.Contains(references(dig(stack, "resource.aws_ecs_service")), group.address), group.address, "has no service")
		v.want(group.is("target_type", "ip"), group.address, "wants addresses as targets, which is all that Fargate has")
		v.want(regexp.MustCompile(`-[0-9a-f]{8}$`).MatchString(group.text("name")) && group.is("lifecycle.create_before_destroy", true),
			group.address, "wants a name that changes with what replaces it, and the new one made first: a listener uses the old one")
	}
	return v
}

func healthIsChecked(stack tree) (v violations) {
	for _, group := range things(stack, "aws_lb_target_group") {
		check := thing{group.address, nil}
		check.body, _ = group.at("health_check").(tree)
		v.want(check.is("enabled", true), group.address, "is not checked")
		v.want(check.number("timeout") < check.number("interval"), group.address, "wants an answer before it asks again")
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
					v.want(hidden, t.service.address, "has its metrics on the port that %s makes public, and no earlier rule answers 404", r.address)
				}
			}
		}
	}
	return v
}

// hides tells whether a rule comes before another and answers 404 for a path and what is below it, on no other condition than the other's.
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
	return first.is("action.0.fixed_response.status_code", "404") && first.text("listener_arn") == other.text("listener_arn") &&
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
			v.want(r.has("override_action"), acl.address, "rule %s has no override action, and AWS refuses it", r.text("name"))
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
		v.want(len(guarded) == 1 && get(stack, guarded[0].ref("resource_arn")).kind() == "aws_lb", acl.address, "guards no balancer")
		v.want(len(referring(things(stack, "aws_wafv2_web_acl_logging_configuration"), "resource_arn", acl.address)) == 1, acl.address, "logs nothing")
	}
	for _, logging := range things(stack, "aws_wafv2_web_acl_logging_configuration") {
		name := get(stack, logging.ref("log_destination_configs")).text("name")
		v.want(strings.HasPrefix(name, "aws-waf-logs-"), logging.address, "logs to %q, and AWS wants a name that begins with aws-waf-logs-", name)
		redacted := marshal(logging.at("redacted_fields"))
		for _, header := range []string{"authorization", "cookie"} {
			v.want(strings.Contains(redacted, `"`+header+`"`), logging.address, "logs the header %s", header)
		}
	}
	return v
}
