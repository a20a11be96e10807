package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	loadBalancer  = "aws_lb.load_balancer"
	httpsListener = "aws_lb_listener.https_listener"
	httpListener  = "aws_lb_listener.http_listener"
	certificate   = "aws_acm_certificate.certificate"
)

var loadBalancerPromises = []stacktest.Promise{{
	Name:  "the load balancer has subnets in two zones, drops malformed requests and logs every request",
	Check: loadBalancerIsConfigured,
	BrokenBy: []stacktest.Break{{
		Name:  "the load balancer has a subnet in one zone only",
		Stack: "dev",
		By:    stacktest.Set(loadBalancer, "subnets", []any{idOf(publicSubnetA)}),
		Found: loadBalancer,
	}, {
		Name:  "the load balancer's two subnets are in the same zone",
		Stack: "dev",
		By:    stacktest.Set(publicSubnetB, "availability_zone", "eu-central-1a"),
		Found: loadBalancer,
	}, {
		Name:  "the load balancer passes on invalid header fields",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "drop_invalid_header_fields", false),
		Found: loadBalancer,
	}, {
		Name:  "the load balancer only monitors requests that may be used for request smuggling",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "desync_mitigation_mode", "monitor"),
		Found: loadBalancer,
	}, {
		Name:  "the load balancer writes no access logs",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "access_logs.enabled", false),
		Found: loadBalancer,
	}, {
		Name:  "the access logs have a prefix that AWS rejects",
		Stack: "prod",
		By:    stacktest.Add(loadBalancer, "access_logs.prefix", "AWSLogs/web"),
		Found: loadBalancer,
	}},
}, {
	Name:  "an HTTPS listener uses TLS 1.3 and an issued certificate, and HTTP redirects to HTTPS",
	Check: httpsIsConfigured,
	BrokenBy: []stacktest.Break{{
		Name:  "the HTTPS listener has no certificate",
		Stack: "prod",
		By:    stacktest.Remove(httpsListener, "certificate_arn"),
		Found: httpsListener,
	}, {
		Name:  "the HTTPS listener uses a certificate that may not be issued yet",
		Stack: "prod",
		By:    stacktest.Set(httpsListener, "certificate_arn", arnOf(certificate)),
		Found: httpsListener,
	}, {
		Name:  "the HTTPS listener has no security policy, so that AWS uses one of 2016",
		Stack: "prod",
		By:    stacktest.Remove(httpsListener, "ssl_policy"),
		Found: httpsListener,
	}, {
		Name:  "the HTTPS listener accepts TLS 1.0",
		Stack: "prod",
		By:    stacktest.Set(httpsListener, "ssl_policy", "ELBSecurityPolicy-2016-08"),
		Found: httpsListener,
	}, {
		Name:  "the HTTP listener answers requests itself",
		Stack: "prod",
		By:    stacktest.Set(httpListener, "default_action.type", "fixed-response"),
		Found: httpListener,
	}, {
		Name:  "the HTTP listener redirects to HTTP",
		Stack: "prod",
		By:    stacktest.Set(httpListener, "default_action.redirect.protocol", "HTTP"),
		Found: httpListener,
	}, {
		Name:  "a rule belongs to the HTTP listener",
		Stack: "prod",
		By:    stacktest.Set(webListenerRule, "listener_arn", arnOf(httpListener)),
		Found: webListenerRule,
	}, {
		Name:  "the validation record is for the first of the certificate's domains",
		Stack: "prod",
		By: stacktest.Set("aws_route53_record.certificate_validation_record", "name",
			"${tolist(aws_acm_certificate.certificate.domain_validation_options)[0].resource_record_name}"),
		Found: "aws_route53_record.certificate_validation_record",
	}, {
		Name:  "a certificate is deleted before its replacement is created",
		Stack: "prod",
		By:    stacktest.Remove(certificate, "lifecycle.create_before_destroy"),
		Found: certificate,
	}, {
		Name:  "the deployment does not wait until the certificate is issued",
		Stack: "prod",
		By:    stacktest.Delete("aws_acm_certificate_validation.certificate_validation"),
		Found: certificate,
	}},
}, {
	Name:  "requests that match no rule get a fixed response with status 200 or 404",
	Check: unmatchedRequestsGetFixedResponse,
	BrokenBy: []stacktest.Break{{
		Name:  "the HTTP listener answers with status 500",
		Stack: "dev",
		By:    stacktest.Set(httpListener, "default_action.fixed_response.status_code", "500"),
		Found: httpListener,
	}, {
		Name:  "the HTTPS listener forwards to a service",
		Stack: "prod",
		By: stacktest.Set(httpsListener, "default_action",
			[]any{map[string]any{"type": "forward", "target_group_arn": arnOf(webTargetGroup)}}),
		Found: httpsListener,
	}},
}}

// With TLS, the status is that of the HTTPS listener: the other one redirects.
func TestDefaultStatusIsThatOfTheListenerThatServesRequests(t *testing.T) {
	const https = minimal + "load_balancer: {domain: example.com, hosted_zone: example.com%s}\n"
	before := synth(t, parse(t, "dev", fmt.Sprintf(https, "")), placeholder(t))
	after := synth(t, parse(t, "dev", fmt.Sprintf(https, ", default_status: 404")), placeholder(t))
	_, _, changed := compare(before, after)
	if !slices.Equal(changed, []string{httpsListener}) {
		t.Errorf("changes %v, want %s", changed, httpsListener)
	}
	action := parsed(t, after).Resource(httpsListener).Blocks("default_action")[0]
	if !action.Is("fixed_response.status_code", "404") || !action.Is("fixed_response.message_body", "Not Found") {
		t.Errorf("answers with %v", action.Body())
	}
}

func loadBalancerIsConfigured(s stacktest.Stack, v *stacktest.Violations) {
	for _, lb := range s.Resources("aws_lb") {
		v.Want(len(availabilityZones(s, lb.References("subnets"))) >= 2,
			lb.Address, "want subnets in two zones, have %v", lb.References("subnets"))
		v.Want(lb.Is("drop_invalid_header_fields", true), lb.Address, "passes on invalid header fields")
		v.Want(lb.Is("desync_mitigation_mode", "defensive") || lb.Is("desync_mitigation_mode", "strictest"),
			lb.Address, "passes on ambiguous requests")
		v.Want(lb.Is("access_logs.enabled", true) && s.Resource(lb.Reference("access_logs.bucket")).Exists(),
			lb.Address, "writes no access logs")
		v.Want(!strings.Contains(lb.String("access_logs.prefix"), "AWSLogs"),
			lb.Address, "has a prefix for its access logs that AWS rejects")
	}
}

// availabilityZones are the zones of subnets, sorted.
func availabilityZones(s stacktest.Stack, subnets []string) []string {
	var zones []string
	for _, subnet := range subnets {
		zones = append(zones, s.Resource(subnet).String("availability_zone"))
	}
	slices.Sort(zones)
	return slices.Compact(zones)
}

func isHTTPS(listener stacktest.Resource) bool { return listener.Is("protocol", "HTTPS") }

func httpsIsConfigured(s stacktest.Stack, v *stacktest.Violations) {
	listeners := s.Resources("aws_lb_listener")
	https := stacktest.Filter(listeners, isHTTPS)
	for _, listener := range https {
		arn := listener.String("certificate_arn")
		v.Want(strings.HasPrefix(arn, "arn:aws:acm:") || strings.HasPrefix(arn, "${aws_acm_certificate_validation."),
			listener.Address, "want an issued certificate, have %q", arn)
		v.Want(strings.HasPrefix(listener.String("ssl_policy"), "ELBSecurityPolicy-TLS13-"),
			listener.Address, "want a security policy with TLS 1.3, have %q", listener.String("ssl_policy"))
	}
	if len(https) > 0 {
		for _, listener := range listeners {
			if isHTTPS(listener) {
				continue
			}
			actions := listener.Blocks("default_action")
			v.Want(len(actions) == 1 &&
				actions[0].Is("type", "redirect") &&
				actions[0].Is("redirect.protocol", "HTTPS") &&
				actions[0].Is("redirect.port", "443"),
				listener.Address, "does not redirect to HTTPS")
		}
		for _, rule := range s.Resources("aws_lb_listener_rule") {
			v.Want(isHTTPS(s.Resource(rule.Reference("listener_arn"))),
				rule.Address, "belongs to a listener without TLS")
		}
	}
	certificatesAreValidated(s, v)
}

func certificatesAreValidated(s stacktest.Stack, v *stacktest.Violations) {
	for _, c := range s.Resources("aws_acm_certificate") {
		v.Want(c.Is("lifecycle.create_before_destroy", true),
			c.Address, "is deleted before its replacement is created, while a listener uses it")
		validations := s.Resources("aws_acm_certificate_validation")
		v.Want(len(stacktest.Referring(validations, "certificate_arn", c.Address)) == 1,
			c.Address, "want one validation")
		for _, record := range s.Resources("aws_route53_record") {
			for path, expression := range map[string]string{
				"name":    record.String("name"),
				"type":    record.String("type"),
				"records": strings.Join(record.Strings("records"), " "),
			} {
				if slices.Contains(record.References(path), c.Address) {
					v.Want(strings.Contains(expression, `o.domain_name == "`+c.String("domain_name")+`"`),
						record.Address, "does not choose its %s by domain: a set has no order", path)
				}
			}
		}
	}
}

func unmatchedRequestsGetFixedResponse(s stacktest.Stack, v *stacktest.Violations) {
	for _, listener := range s.Resources("aws_lb_listener") {
		actions := listener.Blocks("default_action")
		if len(actions) == 1 && actions[0].Is("type", "redirect") {
			continue
		}
		v.Want(len(actions) == 1 &&
			actions[0].Is("type", "fixed-response") &&
			(actions[0].Is("fixed_response.status_code", "200") || actions[0].Is("fixed_response.status_code", "404")),
			listener.Address, "does not answer with a fixed response of status 200 or 404")
	}
}
