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

func (w *deployed) loadBalancerHasTheExpectedListeners() {
	if w.loadBalancer.Scheme == elbtypes.LoadBalancerSchemeEnumInternal {
		w.Errorf("the load balancer is internal")
	}
	w.equal("the load balancer's VPC", *w.loadBalancer.VpcId, w.vpc)
	var in []string
	for _, zone := range w.loadBalancer.AvailabilityZones {
		in = append(in, *zone.SubnetId)
	}
	w.sameElements("the load balancer's subnets", in, w.subnetIDs("public"))

	attributes := map[string]string{}
	for _, a := range must(w.elb.DescribeLoadBalancerAttributes(alive, &elb.DescribeLoadBalancerAttributesInput{
		LoadBalancerArn: w.loadBalancer.LoadBalancerArn,
	}))(w.T).Attributes {
		attributes[*a.Key] = *a.Value
	}
	w.equal("the load balancer's deletion protection", attributes["deletion_protection.enabled"],
		fmt.Sprint(w.protected))
	w.equal("access logs of the load balancer are enabled", attributes["access_logs.s3.enabled"], "true")
	w.equal("bucket of the load balancer's access logs", attributes["access_logs.s3.bucket"],
		w.stack+"-access-logs-"+emulator.Account+"-"+w.region)

	group := w.targetGroup
	w.sameElements("settings of the target group", []string{
		string(group.TargetType), string(group.Protocol), fmt.Sprint(*group.Port), *group.VpcId,
		string(group.HealthCheckProtocol), *group.HealthCheckPort, *group.HealthCheckPath, *group.Matcher.HttpCode,
	}, []string{"ip", "HTTP", "8080", w.vpc, "HTTP", "traffic-port", "/", "200-299"})
	// moto lists a load balancer once for each of its rules
	balancers := slices.Compact(group.LoadBalancerArns)
	w.sameElements("load balancers of the target group", balancers, []string{*w.loadBalancer.LoadBalancerArn})

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
	w.sameElements("default actions of the listeners", listeners, w.defaultActions)
	w.sameElements("listener rules", rules, w.listenerRules)
}

func (w *deployed) listeners() []elbtypes.Listener {
	w.Helper()
	return must(w.elb.DescribeListeners(alive, &elb.DescribeListenersInput{
		LoadBalancerArn: w.loadBalancer.LoadBalancerArn,
	}))(w.T).Listeners
}

// action describes the action of a listener or a rule.
func (w *deployed) action(a elbtypes.Action) string {
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
	case aws.ToString(a.TargetGroupArn) == *w.targetGroup.TargetGroupArn:
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

// certificateIsForTheDomain: the HTTPS listener has an issued certificate for the domain, and a TLS
// policy for TLS 1.2 and later.
func (w *deployed) certificateIsForTheDomain() {
	var have []string
	for _, l := range w.listeners() {
		if l.Protocol != elbtypes.ProtocolEnumHttps {
			continue
		}
		w.equal("the listener's TLS policy", *l.SslPolicy, "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09")
		for _, c := range l.Certificates {
			certificate := must(w.acm.DescribeCertificate(alive, &acm.DescribeCertificateInput{
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
	w.sameElements("domains of certificates", have, want)
}

func (w *deployed) domainIsAnAliasOfTheLoadBalancer() {
	if w.domain == "" {
		return
	}
	_, parent, _ := strings.Cut(w.domain, ".")
	byName := &route53.ListHostedZonesByNameInput{DNSName: &parent, MaxItems: aws.Int32(1)}
	zone := only(w.T, "zone "+parent, must(w.route53.ListHostedZonesByName(alive, byName))(w.T).HostedZones)
	var have []string
	records := &route53.ListResourceRecordSetsInput{HostedZoneId: zone.Id}
	for p := range pages(w.T, route53.NewListResourceRecordSetsPaginator(w.route53, records)) {
		for _, r := range p.ResourceRecordSets {
			if *r.Name == w.domain+"." && r.AliasTarget != nil {
				have = append(have, string(r.Type)+" "+*r.AliasTarget.DNSName+" "+*r.AliasTarget.HostedZoneId)
			}
		}
	}
	alias := "A " + *w.loadBalancer.DNSName + " " + *w.loadBalancer.CanonicalHostedZoneId
	w.sameElements("alias records of "+w.domain, have, []string{alias})
}

func (w *deployed) firewallProtectsTheLoadBalancer() {
	acl := must(w.wafv2.GetWebACLForResource(alive, &wafv2.GetWebACLForResourceInput{
		ResourceArn: w.loadBalancer.LoadBalancerArn,
	}))(w.T).WebACL
	if protected := acl != nil && acl.ARN != nil; protected != w.firewall {
		w.Errorf("web ACL of the load balancer: have %t, want %t", protected, w.firewall)
	} else if protected {
		logging := must(w.wafv2.GetLoggingConfiguration(alive, &wafv2.GetLoggingConfigurationInput{
			ResourceArn: acl.ARN,
		}))(w.T).LoggingConfiguration
		for _, destination := range logging.LogDestinationConfigs {
			w.logGroup("the log group of the web ACL", destination[strings.LastIndex(destination, ":")+1:])
		}
	}
}
