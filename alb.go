package main

import (
	"fmt"
	"maps"
	"platform/internal/config"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/acmcertificate"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/acmcertificatevalidation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsroute53zone"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lb"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lblistener"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lblistenerrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lbtargetgroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/route53record"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupingressrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webacl"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webaclassociation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/wafv2webaclloggingconfiguration"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// LoadBalancer is the one way in from the internet.
type LoadBalancer struct {
	ARN           *string
	ARNSuffix     *string // the LoadBalancer dimension of its metrics
	DNSName       *string
	ZoneID        *string
	SecurityGroup *string
	URL           string

	network  *Network
	listener *string // that the rules of services hang on
}

// Route is a service's place behind the balancer.
type Route struct {
	TargetGroupARN       *string
	TargetGroupARNSuffix *string                      // the TargetGroup dimension of its metrics
	Ready                []cdktf.ITerraformDependable // ECS refuses a target group that no listener uses
}

// newLoadBalancer declares the balancer, its listeners, its name and its firewall.
//
//	without TLS:  :80 ── rules of the services ── otherwise 200
//	with TLS:     :80 ── redirect to :443 ── rules of the services ── otherwise 200
//
// A rule is declared by route, for each routed service. What no rule takes gets a fixed 200, so that a check from outside tells
// whether the balancer stands, whatever the services do.
func newLoadBalancer(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, accountID string) *LoadBalancer {
	group := newSecurityGroup(stack, cfg, net, "load_balancer_security_group", "load-balancer", "Load balancer: in from the configured sources")
	logs := newAccessLogBucket(stack, cfg, accountID)
	balancer := lb.NewLb(stack, jsii.String("load_balancer"), &lb.LbConfig{
		Name:                     jsii.String(cfg.Stack()),
		LoadBalancerType:         jsii.String("application"),
		Internal:                 false,
		IpAddressType:            jsii.String("ipv4"),
		Subnets:                  &net.PublicSubnets,
		SecurityGroups:           &[]*string{group},
		IdleTimeout:              jsii.Number(float64(cfg.LoadBalancer.IdleTimeout)),
		DropInvalidHeaderFields:  true,
		DesyncMitigationMode:     jsii.String("defensive"),
		EnableDeletionProtection: cfg.Protected,
		AccessLogs:               &lb.LbAccessLogs{Bucket: logs.Name, Enabled: true},
		Tags:                     nameTag(cfg, "load-balancer"),
		Lifecycle:                protect(cfg),
		DependsOn:                dependsOn(append(logs.Ready, net.InternetGateway)...), // it writes a test file at once, and has public addresses
	})
	out := &LoadBalancer{
		ARN: balancer.Arn(), ARNSuffix: balancer.ArnSuffix(), DNSName: balancer.DnsName(), ZoneID: balancer.ZoneId(),
		SecurityGroup: group, network: net,
	}
	zone := hostedZone(stack, cfg)
	allowSources(stack, cfg, group, "http", 80)
	if cfg.HTTPS() {
		allowSources(stack, cfg, group, "https", 443)
		certificate := newCertificate(stack, cfg, zone)
		https := newListener(stack, cfg, out, "https", fixed("200", "OK"), certificate)
		newListener(stack, cfg, out, "http", redirectToHTTPS, nil, https) // nobody is sent to where nothing listens yet
		out.listener = https.Arn()
	} else {
		out.listener = newListener(stack, cfg, out, "http", fixed("200", "OK"), nil).Arn()
	}
	out.URL = newAddress(stack, cfg, out, zone)
	if cfg.LoadBalancer.Firewall.Enabled {
		newFirewall(stack, cfg, keys, out)
	}
	return out
}

// allowSources opens a port to each configured block; a block's rule has an id of its own, so that one more changes no other.
func allowSources(stack cdktf.TerraformStack, cfg *config.Config, group *string, name string, port int) {
	for _, block := range cfg.LoadBalancer.Sources {
		id := "load_balancer_" + name + "_ingress_" + cidrID(block)
		vpcsecuritygroupingressrule.NewVpcSecurityGroupIngressRule(stack, jsii.String(id), &vpcsecuritygroupingressrule.VpcSecurityGroupIngressRuleConfig{
			SecurityGroupId: group, CidrIpv4: jsii.String(block), Description: jsii.String(name + " from the configured sources"),
			IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(float64(port)), ToPort: jsii.Number(float64(port)),
			Tags: nameTag(cfg, "load-balancer-"+name),
		})
	}
}

// newCertificate returns the ARN to serve with: the configured one, or that of a new one's validation, so that no listener
// is made before the certificate is issued.
func newCertificate(stack cdktf.TerraformStack, cfg *config.Config, zone *string) *string {
	if cfg.LoadBalancer.CertificateARN != "" {
		return jsii.String(cfg.LoadBalancer.CertificateARN)
	}
	domain := cfg.LoadBalancer.Domain
	certificate := acmcertificate.NewAcmCertificate(stack, jsii.String("certificate"), &acmcertificate.AcmCertificateConfig{
		DomainName:       jsii.String(domain),
		ValidationMethod: jsii.String("DNS"),
		Tags:             nameTag(cfg, "load-balancer"),
		Lifecycle:        createBeforeDestroy(), // the listener uses it until the next one is there
	})
	// The validation options are a set: found by domain, since a set has no first element.
	option := func(attribute string) *string {
		return jsii.String(fmt.Sprintf("${one([for o in %s.domain_validation_options : o.%s if o.domain_name == %q])}", *certificate.Fqn(), attribute, domain))
	}
	record := route53record.NewRoute53Record(stack, jsii.String("certificate_validation_record"), &route53record.Route53RecordConfig{
		ZoneId:         zone,
		Name:           option("resource_record_name"),
		Type:           option("resource_record_type"),
		Records:        &[]*string{option("resource_record_value")},
		Ttl:            jsii.Number(60),
		AllowOverwrite: true, // ACM gives every certificate of an account for a domain the same record
	})
	return acmcertificatevalidation.NewAcmCertificateValidation(stack, jsii.String("certificate_validation"), &acmcertificatevalidation.AcmCertificateValidationConfig{
		CertificateArn:        certificate.Arn(),
		ValidationRecordFqdns: &[]*string{record.Fqdn()},
	}).CertificateArn()
}

// hostedZone finds the configured zone by its name: a wrong one is an error at plan and not in the middle of a deployment.
func hostedZone(stack cdktf.TerraformStack, cfg *config.Config) *string {
	if cfg.LoadBalancer.HostedZone == "" {
		return nil
	}
	return dataawsroute53zone.NewDataAwsRoute53Zone(stack, jsii.String("hosted_zone"), &dataawsroute53zone.DataAwsRoute53ZoneConfig{
		Name: jsii.String(cfg.LoadBalancer.HostedZone), PrivateZone: false,
	}).ZoneId()
}

// newAddress makes the domain lead to the balancer and returns the URL to type.
func newAddress(stack cdktf.TerraformStack, cfg *config.Config, balancer *LoadBalancer, zone *string) string {
	scheme := choose(cfg.HTTPS(), "https://", "http://")
	if cfg.LoadBalancer.Domain == "" {
		return scheme + *balancer.DNSName
	}
	if zone != nil {
		route53record.NewRoute53Record(stack, jsii.String("load_balancer_record"), &route53record.Route53RecordConfig{
			ZoneId: zone, Name: jsii.String(cfg.LoadBalancer.Domain), Type: jsii.String("A"),
			Alias: &route53record.Route53RecordAlias{Name: balancer.DNSName, ZoneId: balancer.ZoneID, EvaluateTargetHealth: true},
		})
	}
	return scheme + cfg.LoadBalancer.Domain
}

// ---- Listeners -------------------------------------------------------------------------------------------------------

func fixed(code, body string) *lblistener.LbListenerDefaultAction {
	return &lblistener.LbListenerDefaultAction{
		Type: jsii.String("fixed-response"),
		FixedResponse: &lblistener.LbListenerDefaultActionFixedResponse{
			ContentType: jsii.String("text/plain"), MessageBody: jsii.String(body), StatusCode: jsii.String(code),
		},
	}
}

var redirectToHTTPS = &lblistener.LbListenerDefaultAction{
	Type: jsii.String("redirect"),
	Redirect: &lblistener.LbListenerDefaultActionRedirect{
		Port: jsii.String("443"), Protocol: jsii.String("HTTPS"), StatusCode: jsii.String("HTTP_301"),
	},
}

func newListener(stack cdktf.TerraformStack, cfg *config.Config, balancer *LoadBalancer, name string, otherwise *lblistener.LbListenerDefaultAction, certificate *string, after ...cdktf.ITerraformDependable) lblistener.LbListener {
	arguments := &lblistener.LbListenerConfig{
		LoadBalancerArn: balancer.ARN,
		Port:            jsii.Number(80),
		Protocol:        jsii.String("HTTP"),
		DefaultAction:   &[]*lblistener.LbListenerDefaultAction{otherwise},
		Tags:            nameTag(cfg, name),
		DependsOn:       dependsOn(after...),
	}
	if certificate != nil {
		arguments.Port, arguments.Protocol, arguments.CertificateArn = jsii.Number(443), jsii.String("HTTPS"), certificate
		arguments.SslPolicy = jsii.String("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09") // what AWS recommends: TLS 1.3 and 1.2, forward secrecy only
	}
	return lblistener.NewLbListener(stack, jsii.String(name+"_listener"), arguments)
}

// route puts a service behind the balancer: a target group, its rule, and the way from the balancer to its tasks. It is called
// once for each routed service, with the tasks' security group.
func (balancer *LoadBalancer) route(stack cdktf.TerraformStack, cfg *config.Config, name string, tasks *string) *Route {
	s, id := cfg.Services[name], "service_"+name
	port := strconv.Itoa(s.Port)
	group := lbtargetgroup.NewLbTargetGroup(stack, jsii.String(id+"_target_group"), &lbtargetgroup.LbTargetGroupConfig{
		// What forces a replacement is in the name, so that the new group can be made while the listener uses the old one.
		Name:                jsii.String(digestedName(32, cfg.ResourceName(name), "HTTP", port, "ip", cfg.Network.CIDR)),
		TargetType:          jsii.String("ip"),
		Protocol:            jsii.String("HTTP"),
		Port:                jsii.Number(float64(s.Port)),
		VpcId:               balancer.network.VpcID,
		DeregistrationDelay: jsii.String(strconv.Itoa(s.Route.DeregistrationLag)),
		SlowStart:           jsii.Number(float64(s.Route.SlowStart)),
		HealthCheck: &lbtargetgroup.LbTargetGroupHealthCheck{
			Enabled: true, Protocol: jsii.String("HTTP"), Port: jsii.String("traffic-port"),
			Path: jsii.String(s.HealthCheck.Path), Matcher: jsii.String(s.HealthCheck.Codes),
			Interval: jsii.Number(float64(s.HealthCheck.Interval)), Timeout: jsii.Number(float64(s.HealthCheck.Timeout)),
			HealthyThreshold: jsii.Number(2), UnhealthyThreshold: jsii.Number(3),
		},
		Tags:      nameTag(cfg, name),
		Lifecycle: createBeforeDestroy(),
	})
	var ready []cdktf.ITerraformDependable
	if s.HidesMetrics() {
		ready = append(ready, newHidingRule(stack, cfg, balancer, name))
	}
	ready = append(ready, lblistenerrule.NewLbListenerRule(stack, jsii.String(id+"_listener_rule"), &lblistenerrule.LbListenerRuleConfig{
		ListenerArn: balancer.listener,
		Priority:    jsii.Number(float64(s.Route.Priority)),
		Condition:   conditions(s.Route, s.Route.Paths),
		Action:      &[]*lblistenerrule.LbListenerRuleAction{{Type: jsii.String("forward"), TargetGroupArn: group.Arn()}},
		Tags:        nameTag(cfg, name),
		Lifecycle:   createBeforeDestroy(), // when HTTPS comes, the rule of the new listener is there first: priorities are each listener's own
	}))
	ready = append(ready, allow(stack, cfg, id+"_from_load_balancer", "Requests and health checks", balancer.SecurityGroup, tasks, s.Port)...)
	return &Route{TargetGroupARN: group.Arn(), TargetGroupARNSuffix: group.ArnSuffix(), Ready: ready}
}

// newHidingRule answers 404 where a service has its metrics on the port that serves the public. It stands right before the
// service's own rule, so whatever would reach that one passes here first.
func newHidingRule(stack cdktf.TerraformStack, cfg *config.Config, balancer *LoadBalancer, name string) cdktf.ITerraformDependable {
	s := cfg.Services[name]
	return lblistenerrule.NewLbListenerRule(stack, jsii.String("service_"+name+"_metrics_hiding_rule"), &lblistenerrule.LbListenerRuleConfig{
		ListenerArn: balancer.listener,
		Priority:    jsii.Number(float64(s.Route.Priority - 1)),
		Condition:   conditions(s.Route, []string{s.Metrics.Path, s.Metrics.Path + "/*"}),
		Action: &[]*lblistenerrule.LbListenerRuleAction{{
			Type: jsii.String("fixed-response"),
			FixedResponse: &lblistenerrule.LbListenerRuleActionFixedResponse{
				ContentType: jsii.String("text/plain"), MessageBody: jsii.String("Not found"), StatusCode: jsii.String("404"),
			},
		}},
		Tags:      nameTag(cfg, name+"-metrics"),
		Lifecycle: createBeforeDestroy(),
	})
}

// conditions are a route's, with other paths where they are given.
func conditions(r config.Route, paths []string) *[]*lblistenerrule.LbListenerRuleCondition {
	var all []*lblistenerrule.LbListenerRuleCondition
	if len(paths) > 0 {
		all = append(all, &lblistenerrule.LbListenerRuleCondition{PathPattern: &lblistenerrule.LbListenerRuleConditionPathPattern{Values: jsii.Strings(paths...)}})
	}
	if len(r.Hosts) > 0 {
		all = append(all, &lblistenerrule.LbListenerRuleCondition{HostHeader: &lblistenerrule.LbListenerRuleConditionHostHeader{Values: jsii.Strings(r.Hosts...)}})
	}
	for _, header := range slices.Sorted(maps.Keys(r.Headers)) {
		all = append(all, &lblistenerrule.LbListenerRuleCondition{HttpHeader: &lblistenerrule.LbListenerRuleConditionHttpHeader{
			HttpHeaderName: jsii.String(header), Values: jsii.Strings(r.Headers[header]...),
		}})
	}
	if len(r.Sources) > 0 {
		all = append(all, &lblistenerrule.LbListenerRuleCondition{SourceIp: &lblistenerrule.LbListenerRuleConditionSourceIp{Values: jsii.Strings(r.Sources...)}})
	}
	return &all
}

// ---- Access logs and firewall ------------------------------------------------------------------------------------------

// logDeliveryAccounts wrote access logs in the regions older than August 2022, before there was a service principal for it. AWS
// documents that one for all regions now and goes on supporting these: with both, either way of writing works.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
var logDeliveryAccounts = map[string]string{
	"af-south-1": "098369216593", "ap-east-1": "754344448648", "ap-northeast-1": "582318560864", "ap-northeast-2": "600734575887",
	"ap-northeast-3": "383597477331", "ap-south-1": "718504428378", "ap-southeast-1": "114774131450", "ap-southeast-2": "783225319266",
	"ap-southeast-3": "589379963580", "ca-central-1": "985666609251", "eu-central-1": "054676820928", "eu-north-1": "897822967062",
	"eu-south-1": "635631232127", "eu-west-1": "156460612806", "eu-west-2": "652711504416", "eu-west-3": "009996457667",
	"me-south-1": "076674570225", "sa-east-1": "507241528517", "us-east-1": "127311923021", "us-east-2": "033677994240",
	"us-west-1": "027434742980", "us-west-2": "797873946194",
}

// newAccessLogBucket declares the bucket that the balancer logs to. It takes S3's own encryption and no object lock: with either
// of the others the balancer refuses it.
func newAccessLogBucket(stack cdktf.TerraformStack, cfg *config.Config, accountID string) *Bucket {
	writer := service("logdelivery.elasticloadbalancing.amazonaws.com")
	if old, ok := logDeliveryAccounts[cfg.Region]; ok {
		writer = append(writer, accountRoot(old)...)
	}
	return newBucket(stack, cfg, accountID, "access_logs", bucketOptions{
		expire: cfg.LoadBalancer.AccessLogsRetention, superseded: 1,
		allowed: []statement{{
			sid: "LogDelivery", principals: writer, actions: []string{"s3:PutObject"},
			resources: []string{"/AWSLogs/" + accountID + "/*"},
		}},
	})
}

// newFirewall puts AWS's managed rules and a rate limit before the balancer. Rules that block real uploads and logins only
// count: which, the configuration says.
func newFirewall(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, balancer *LoadBalancer) {
	var counted []map[string]any
	for _, rule := range cfg.LoadBalancer.Firewall.CountOnly {
		counted = append(counted, map[string]any{"name": rule, "action_to_use": map[string]any{"count": map[string]any{}}})
	}
	rules := []*wafv2webacl.Wafv2WebAclRule{
		managedRules(1, "ip-reputation", "AWSManagedRulesAmazonIpReputationList", nil),
		managedRules(2, "known-bad-inputs", "AWSManagedRulesKnownBadInputsRuleSet", nil),
		managedRules(3, "common", "AWSManagedRulesCommonRuleSet", counted),
		{
			Name: jsii.String("rate-limit"), Priority: jsii.Number(4),
			Action: &wafv2webacl.Wafv2WebAclRuleAction{Block: &wafv2webacl.Wafv2WebAclRuleActionBlock{}},
			Statement: map[string]any{"rate_based_statement": map[string]any{
				"limit": cfg.LoadBalancer.Firewall.RateLimit, "aggregate_key_type": "IP", "evaluation_window_sec": 300,
			}},
			VisibilityConfig: &wafv2webacl.Wafv2WebAclRuleVisibilityConfig{
				CloudwatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String("rate-limit"),
			},
		},
	}
	acl := wafv2webacl.NewWafv2WebAcl(stack, jsii.String("firewall"), &wafv2webacl.Wafv2WebAclConfig{
		Name:          jsii.String(cfg.Stack()),
		Description:   jsii.String("Before the load balancer"),
		Scope:         jsii.String("REGIONAL"),
		DefaultAction: &wafv2webacl.Wafv2WebAclDefaultAction{Allow: &wafv2webacl.Wafv2WebAclDefaultActionAllow{}},
		Rule:          &rules,
		VisibilityConfig: &wafv2webacl.Wafv2WebAclVisibilityConfig{
			CloudwatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String(cfg.Stack()),
		},
		Tags: nameTag(cfg, "firewall"),
	})
	wafv2webaclassociation.NewWafv2WebAclAssociation(stack, jsii.String("firewall_association"), &wafv2webaclassociation.Wafv2WebAclAssociationConfigA{
		WebAclArn: acl.Arn(), ResourceArn: balancer.ARN,
	})
	logs := newLogGroup(stack, cfg, keys, "firewall_log_group", "aws-waf-logs-"+cfg.Stack()) // the beginning is AWS's condition
	wafv2webaclloggingconfiguration.NewWafv2WebAclLoggingConfiguration(stack, jsii.String("firewall_logging"), &wafv2webaclloggingconfiguration.Wafv2WebAclLoggingConfigurationConfig{
		ResourceArn:           acl.Arn(),
		LogDestinationConfigs: &[]*string{logs.Arn()},
		RedactedFields: &[]*wafv2webaclloggingconfiguration.Wafv2WebAclLoggingConfigurationRedactedFields{
			{SingleHeader: &wafv2webaclloggingconfiguration.Wafv2WebAclLoggingConfigurationRedactedFieldsSingleHeader{Name: jsii.String("authorization")}},
			{SingleHeader: &wafv2webaclloggingconfiguration.Wafv2WebAclLoggingConfigurationRedactedFieldsSingleHeader{Name: jsii.String("cookie")}},
		},
	})
}

// managedRules is one of AWS's rule groups. A rule's statement is untyped in the bindings: plain maps, in Terraform's spelling.
func managedRules(priority float64, name, group string, overrides []map[string]any) *wafv2webacl.Wafv2WebAclRule {
	managed := map[string]any{"vendor_name": "AWS", "name": group}
	if len(overrides) > 0 {
		managed["rule_action_override"] = overrides
	}
	return &wafv2webacl.Wafv2WebAclRule{
		Name: jsii.String(name), Priority: jsii.Number(priority),
		OverrideAction: &wafv2webacl.Wafv2WebAclRuleOverrideAction{None: &wafv2webacl.Wafv2WebAclRuleOverrideActionNone{}},
		Statement:      map[string]any{"managed_rule_group_statement": managed},
		VisibilityConfig: &wafv2webacl.Wafv2WebAclRuleVisibilityConfig{
			CloudwatchMetricsEnabled: true, SampledRequestsEnabled: true, MetricName: jsii.String(name),
		},
	}
}
