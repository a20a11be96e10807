//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/wafv2"

	"platform/internal/emulator"
)

func (w *standing) balancerAnswersAndForwards() {
	if w.balancer.Scheme == elbtypes.LoadBalancerSchemeEnumInternal {
		w.Errorf("the balancer is not to be reached from the internet")
	}
	w.equal("the balancer's VPC", *w.balancer.VpcId, w.vpc)
	var in []string
	for _, zone := range w.balancer.AvailabilityZones {
		in = append(in, *zone.SubnetId)
	}
	w.same("the balancer's subnets", in, w.tier("public"))

	attributes := map[string]string{}
	for _, a := range said(w.elb.DescribeLoadBalancerAttributes(alive, &elb.DescribeLoadBalancerAttributesInput{
		LoadBalancerArn: w.balancer.LoadBalancerArn,
	}))(w.T).Attributes {
		attributes[*a.Key] = *a.Value
	}
	w.equal("the balancer's protection", attributes["deletion_protection.enabled"], fmt.Sprint(w.protected))
	w.equal("that the balancer logs", attributes["access_logs.s3.enabled"], "true")
	w.equal("where the balancer logs to", attributes["access_logs.s3.bucket"],
		w.stack+"-access-logs-"+emulator.Account+"-"+w.region)

	group := w.targets
	w.same("what the target group is", []string{
		string(group.TargetType), string(group.Protocol), fmt.Sprint(*group.Port), *group.VpcId,
		string(group.HealthCheckProtocol), *group.HealthCheckPort, *group.HealthCheckPath, *group.Matcher.HttpCode,
	}, []string{"ip", "HTTP", "8080", w.vpc, "HTTP", "traffic-port", "/", "200-299"})
	// moto names a balancer once for each of its rules
	balancers := slices.Compact(group.LoadBalancerArns)
	w.same("balancers of the target group", balancers, []string{*w.balancer.LoadBalancerArn})

	var listeners, rules []string
	for _, l := range w.listeners() {
		name := fmt.Sprintf("%s %d: ", l.Protocol, *l.Port)
		listeners = append(listeners, name+w.action(only(w.T, "default action of "+name, l.DefaultActions)))
		for p := range pages(w.T, elb.NewDescribeRulesPaginator(w.elb, &elb.DescribeRulesInput{
			ListenerArn: l.ListenerArn,
		})) {
			for _, r := range p.Rules {
				if !*r.IsDefault {
					action := w.action(only(w.T, "action of "+*r.RuleArn, r.Actions))
					rules = append(rules, name+*r.Priority+": "+conditionsOf(r)+": "+action)
				}
			}
		}
	}
	w.same("what the balancer answers to what no rule takes", listeners, w.answers)
	w.same("rules of the balancer", rules, w.forwards)
}

func (w *standing) listeners() []elbtypes.Listener {
	w.Helper()
	return said(w.elb.DescribeListeners(alive, &elb.DescribeListenersInput{
		LoadBalancerArn: w.balancer.LoadBalancerArn,
	}))(w.T).Listeners
}

// action says what a listener or a rule does.
func (w *standing) action(a elbtypes.Action) string {
	switch {
	case a.FixedResponseConfig != nil:
		return *a.FixedResponseConfig.StatusCode + " " + *a.FixedResponseConfig.MessageBody
	case a.RedirectConfig != nil:
		r := a.RedirectConfig
		if aws.ToString(r.Host) != "#{host}" || aws.ToString(r.Path) != "/#{path}" ||
			aws.ToString(r.Query) != "#{query}" {
			return "a redirect to another address"
		}
		return strings.TrimPrefix(string(r.StatusCode), "HTTP_") + " to " + *r.Protocol + " " + *r.Port
	case aws.ToString(a.TargetGroupArn) == *w.targets.TargetGroupArn:
		return "forward to web"
	}
	return string(a.Type) + " " + aws.ToString(a.TargetGroupArn)
}

func conditionsOf(r elbtypes.Rule) string {
	var all []string
	for _, c := range r.Conditions {
		values := c.Values
		switch {
		case c.PathPatternConfig != nil:
			values = c.PathPatternConfig.Values
		case c.HostHeaderConfig != nil:
			values = c.HostHeaderConfig.Values
		case c.HttpHeaderConfig != nil:
			values = append([]string{*c.HttpHeaderConfig.HttpHeaderName}, c.HttpHeaderConfig.Values...)
		case c.SourceIpConfig != nil:
			values = c.SourceIpConfig.Values
		}
		all = append(all, *c.Field+" "+strings.Join(values, " "))
	}
	return strings.Join(all, " and ")
}

// certificateIsTheDomains: it is issued, and the listener has it with a policy of TLS 1.2 and
// later.
func (w *standing) certificateIsTheDomains() {
	var have []string
	for _, l := range w.listeners() {
		if l.Protocol != elbtypes.ProtocolEnumHttps {
			continue
		}
		w.equal("the listener's TLS policy", *l.SslPolicy, "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09")
		for _, c := range l.Certificates {
			certificate := said(w.acm.DescribeCertificate(alive, &acm.DescribeCertificateInput{
				CertificateArn: c.CertificateArn,
			}))(w.T).Certificate
			w.equal("the certificate's status", certificate.Status, acmtypes.CertificateStatusIssued)
			have = append(have, *certificate.DomainName)
		}
	}
	var want []string
	if w.domain != "" {
		want = []string{w.domain}
	}
	w.same("domains of certificates", have, want)
}

func (w *standing) domainLeadsToTheBalancer() {
	if w.domain == "" {
		return
	}
	_, parent, _ := strings.Cut(w.domain, ".")
	byName := &route53.ListHostedZonesByNameInput{DNSName: &parent, MaxItems: aws.Int32(1)}
	zone := only(w.T, "zone "+parent, said(w.route53.ListHostedZonesByName(alive, byName))(w.T).HostedZones)
	var have []string
	records := &route53.ListResourceRecordSetsInput{HostedZoneId: zone.Id}
	for p := range pages(w.T, route53.NewListResourceRecordSetsPaginator(w.route53, records)) {
		for _, r := range p.ResourceRecordSets {
			if *r.Name == w.domain+"." && r.AliasTarget != nil {
				have = append(have, string(r.Type)+" "+*r.AliasTarget.DNSName+" "+*r.AliasTarget.HostedZoneId)
			}
		}
	}
	alias := "A " + *w.balancer.DNSName + " " + *w.balancer.CanonicalHostedZoneId
	w.same("where "+w.domain+" leads", have, []string{alias})
}

func (w *standing) firewallStandsBeforeTheBalancer() {
	acl := said(w.wafv2.GetWebACLForResource(alive, &wafv2.GetWebACLForResourceInput{
		ResourceArn: w.balancer.LoadBalancerArn,
	}))(w.T).WebACL
	if stands := acl != nil && acl.ARN != nil; stands != w.firewall {
		w.Errorf("that a firewall stands before the balancer: have %t, want %t", stands, w.firewall)
	} else if stands {
		logging := said(w.wafv2.GetLoggingConfiguration(alive, &wafv2.GetLoggingConfigurationInput{
			ResourceArn: acl.ARN,
		}))(w.T).LoggingConfiguration
		for _, destination := range logging.LogDestinationConfigs {
			w.logGroup("the firewall's log group", destination[strings.LastIndex(destination, ":")+1:])
		}
	}
}
