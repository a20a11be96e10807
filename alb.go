package main

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/acmcertificate"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/acmcertificatevalidation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsroute53zone"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lb"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lblistener"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/route53record"
	ingressrule "github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupingressrule"

	"platform/internal/config"
)

// LoadBalancer is the only way in from the internet.
type LoadBalancer struct {
	ARN           *string
	ARNSuffix     *string // the LoadBalancer dimension of its metrics
	DNSName       *string
	ZoneID        *string // the hosted zone of DNSName
	SecurityGroup *securityGroup
	URL           string

	vpcID    *string
	listener *string // ARN; the rules of services belong to it
}

// newLoadBalancer declares the load balancer, its listeners, its DNS name and its firewall.
//
//	without TLS:  :80 ── rules of the services ── otherwise 200
//	with TLS:     :80 ── redirect to :443 ── rules of the services ── otherwise 200
//
// A rule is declared by route, for each routed service. A request that matches no rule gets a fixed
// response with load_balancer.default_status. The default, 200, lets a check from outside tell whether
// the load balancer works, whatever the services do.
func newLoadBalancer(s *scope, n *Network) *LoadBalancer {
	group := newSecurityGroup(s, n.VpcID, groupSpec{
		id: "load_balancer_security_group", noun: "load_balancer",
		description: "Load balancer: in from the configured sources",
	})
	logs := newAccessLogBucket(s)
	balancer := lb.NewLb(s.stack, jsii.String("load_balancer"), &lb.LbConfig{
		Name:                     jsii.String(s.cfg.Stack()),
		LoadBalancerType:         jsii.String("application"),
		Internal:                 false,
		IpAddressType:            jsii.String("ipv4"),
		Subnets:                  &n.PublicSubnets,
		SecurityGroups:           &[]*string{group.ID},
		IdleTimeout:              number(s.cfg.LoadBalancer.IdleTimeout),
		DropInvalidHeaderFields:  true,
		DesyncMitigationMode:     jsii.String("defensive"),
		EnableDeletionProtection: s.cfg.Protected,
		AccessLogs:               &lb.LbAccessLogs{Bucket: logs.Name, Enabled: true},
		Tags:                     s.tags("load-balancer"),
		Lifecycle:                s.protect(),
		// It writes a test file to the bucket at once, and has public addresses.
		DependsOn: logs.Ready.plus(n.InternetGateway).list(),
	})
	out := &LoadBalancer{
		ARN: balancer.Arn(), ARNSuffix: balancer.ArnSuffix(), DNSName: balancer.DnsName(), ZoneID: balancer.ZoneId(),
		SecurityGroup: group, vpcID: n.VpcID,
	}
	zone := hostedZone(s)
	out.listener = newListeners(s, out, zone)
	out.URL = newAddress(s, out, zone)
	if s.cfg.LoadBalancer.Firewall.Enabled {
		newFirewall(s, out.ARN)
	}
	return out
}

// newListeners opens the ports and returns the ARN of the listener that serves requests.
func newListeners(s *scope, balancer *LoadBalancer, zone *string) *string {
	allowSources(s, balancer.SecurityGroup, "http", 80)
	plain := &lblistener.LbListenerConfig{
		LoadBalancerArn: balancer.ARN,
		Port:            number(80),
		Protocol:        jsii.String("HTTP"),
		DefaultAction:   defaultResponse(s.cfg.LoadBalancer),
		Tags:            s.tags("http"),
	}
	if !s.cfg.HTTPS() {
		return lblistener.NewLbListener(s.stack, jsii.String("http_listener"), plain).Arn()
	}
	allowSources(s, balancer.SecurityGroup, "https", 443)
	https := lblistener.NewLbListener(s.stack, jsii.String("https_listener"), &lblistener.LbListenerConfig{
		LoadBalancerArn: balancer.ARN,
		Port:            number(443),
		Protocol:        jsii.String("HTTPS"),
		CertificateArn:  newCertificate(s, zone),
		// What AWS recommends: TLS 1.3 and 1.2, forward secrecy only.
		SslPolicy:     jsii.String("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"),
		DefaultAction: defaultResponse(s.cfg.LoadBalancer),
		Tags:          s.tags("https"),
	})
	plain.DefaultAction = redirectToHTTPS()
	plain.DependsOn = dependencies{https}.list() // no client is redirected to a port without a listener
	lblistener.NewLbListener(s.stack, jsii.String("http_listener"), plain)
	return https.Arn()
}

// allowSources opens a port to each configured block; a block's rule has an id of its own, so that
// one more changes no other.
func allowSources(s *scope, group *securityGroup, name string, port int) {
	for _, block := range s.cfg.LoadBalancer.Sources {
		id := "load_balancer_" + name + "_ingress_" + cidrID(block)
		ingressrule.NewVpcSecurityGroupIngressRule(s.stack, jsii.String(id),
			&ingressrule.VpcSecurityGroupIngressRuleConfig{
				SecurityGroupId: group.ID,
				CidrIpv4:        jsii.String(block),
				Description:     jsii.String(name + " from the configured sources"),
				IpProtocol:      jsii.String("tcp"),
				FromPort:        number(port),
				ToPort:          number(port),
				Tags:            s.tags("load-balancer-" + name),
			})
	}
}

// defaultResponse answers the requests that match no rule.
func defaultResponse(lb config.LoadBalancer) *[]*lblistener.LbListenerDefaultAction {
	return &[]*lblistener.LbListenerDefaultAction{{
		Type: jsii.String("fixed-response"),
		FixedResponse: &lblistener.LbListenerDefaultActionFixedResponse{
			ContentType: jsii.String("text/plain"),
			MessageBody: jsii.String(http.StatusText(lb.DefaultStatus)),
			StatusCode:  jsii.String(strconv.Itoa(lb.DefaultStatus)),
		},
	}}
}

func redirectToHTTPS() *[]*lblistener.LbListenerDefaultAction {
	return &[]*lblistener.LbListenerDefaultAction{{
		Type: jsii.String("redirect"),
		Redirect: &lblistener.LbListenerDefaultActionRedirect{
			Port: jsii.String("443"), Protocol: jsii.String("HTTPS"), StatusCode: jsii.String("HTTP_301"),
		},
	}}
}

// newCertificate returns the ARN to serve with: the configured one, or that of a new certificate's
// validation, so that no listener is created before the certificate is issued.
func newCertificate(s *scope, zone *string) *string {
	if s.cfg.LoadBalancer.CertificateARN != "" {
		return jsii.String(s.cfg.LoadBalancer.CertificateARN)
	}
	domain := s.cfg.LoadBalancer.Domain
	certificate := acmcertificate.NewAcmCertificate(s.stack, jsii.String("certificate"),
		&acmcertificate.AcmCertificateConfig{
			DomainName:       jsii.String(domain),
			ValidationMethod: jsii.String("DNS"),
			Tags:             s.tags("load-balancer"),
			Lifecycle:        createBeforeDestroy(), // the listener uses it until there is another one
		})
	// The validation options are a set: found by domain, since a set has no first element.
	option := func(attribute string) *string {
		return jsii.String(fmt.Sprintf("${one([for o in %s.domain_validation_options : o.%s if o.domain_name == %q])}",
			*certificate.Fqn(), attribute, domain))
	}
	record := route53record.NewRoute53Record(s.stack, jsii.String("certificate_validation_record"),
		&route53record.Route53RecordConfig{
			ZoneId:         zone,
			Name:           option("resource_record_name"),
			Type:           option("resource_record_type"),
			Records:        &[]*string{option("resource_record_value")},
			Ttl:            number(60),
			AllowOverwrite: true, // ACM gives every certificate of an account for a domain the same record
		})
	return acmcertificatevalidation.NewAcmCertificateValidation(s.stack, jsii.String("certificate_validation"),
		&acmcertificatevalidation.AcmCertificateValidationConfig{
			CertificateArn:        certificate.Arn(),
			ValidationRecordFqdns: &[]*string{record.Fqdn()},
		}).CertificateArn()
}

// hostedZone finds the ID of the configured zone by its name: a wrong name is an error at plan and
// not in the middle of a deployment. It is nil if none is configured.
func hostedZone(s *scope) *string {
	if s.cfg.LoadBalancer.HostedZone == "" {
		return nil
	}
	return dataawsroute53zone.NewDataAwsRoute53Zone(s.stack, jsii.String("hosted_zone"),
		&dataawsroute53zone.DataAwsRoute53ZoneConfig{
			Name: jsii.String(s.cfg.LoadBalancer.HostedZone), PrivateZone: false,
		}).ZoneId()
}

// newAddress makes the domain resolve to the load balancer and returns the application's URL.
func newAddress(s *scope, balancer *LoadBalancer, zone *string) string {
	scheme := choose(s.cfg.HTTPS(), "https://", "http://")
	if s.cfg.LoadBalancer.Domain == "" {
		return scheme + *balancer.DNSName
	}
	if zone != nil {
		route53record.NewRoute53Record(s.stack, jsii.String("load_balancer_record"), &route53record.Route53RecordConfig{
			ZoneId: zone, Name: jsii.String(s.cfg.LoadBalancer.Domain), Type: jsii.String("A"),
			Alias: &route53record.Route53RecordAlias{
				Name: balancer.DNSName, ZoneId: balancer.ZoneID, EvaluateTargetHealth: true,
			},
		})
	}
	return scheme + s.cfg.LoadBalancer.Domain
}

func (balancer *LoadBalancer) outputs() []output {
	return []output{
		{"url", "Where the application is reached", balancer.URL},
		{"load_balancer_dns_name", "For a CNAME or alias record of your own", balancer.DNSName},
		{"load_balancer_zone_id", "Hosted zone of that name, for an alias record", balancer.ZoneID},
		{"load_balancer_security_group_id", "Security group of the load balancer", balancer.SecurityGroup.ID},
		{"load_balancer_arn", "The load balancer", balancer.ARN},
		{"listener_arn", "Listener that serves requests, for more rules and certificates", balancer.listener},
	}
}

// load_balancer_errors fires above this share of failed requests, in percent, if there are at least
// so many requests a minute. The rest is for Prometheus, which looks at hours and days.
const errorLimit, errorRequests = 5, 20

func (balancer *LoadBalancer) alarms() []alarm {
	return []alarm{{
		id:      "load_balancer_errors",
		runbook: "load-balancer.md#load_balancer_errors",
		description: fmt.Sprintf("More than %d%% of the requests fail with a 5xx error. See the dashboard: errors of "+
			"the services are explained in their log groups; errors of the load balancer itself (ELB 5xx) mean that "+
			"no task answered.", errorLimit),
		namespace:  "AWS/ApplicationELB",
		dimensions: map[string]*string{"LoadBalancer": balancer.ARNSuffix},
		queries: []query{
			{id: "requests", metric: "RequestCount", statistic: "Sum"},
			{id: "balancer", metric: "HTTPCode_ELB_5XX_Count", statistic: "Sum"},
			{id: "targets", metric: "HTTPCode_Target_5XX_Count", statistic: "Sum"},
			// A series that has never had a value may stay empty in FILL: AWS does not say. With an
			// operator, everything would be empty then; SUM adds up the series that have values.
			// Requests that reached no target are not in RequestCount.
			{id: "total", expression: "SUM([FILL(requests, 0), FILL(balancer, 0)])"},
			{id: "failed", expression: "SUM([FILL(balancer, 0), FILL(targets, 0)])"},
			// With fewer requests a share says nothing.
			{id: "share", expression: fmt.Sprintf("IF(total >= %d, 100 * failed / total, 0)", errorRequests)},
		},
		threshold: errorLimit, period: 60, datapoints: 3, periods: 5, missing: missingIsFine,
	}}
}

// ---- Access logs ------------------------------------------------------------------------------

// logDeliveryAccounts wrote access logs in the regions older than August 2022, before there was a
// service principal for it. AWS documents that principal for all regions now and goes on supporting
// these accounts: with both, either way of writing works.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
var logDeliveryAccounts = map[string]string{
	"af-south-1": "098369216593", "ap-east-1": "754344448648", "ap-northeast-1": "582318560864",
	"ap-northeast-2": "600734575887", "ap-northeast-3": "383597477331", "ap-south-1": "718504428378",
	"ap-southeast-1": "114774131450", "ap-southeast-2": "783225319266", "ap-southeast-3": "589379963580",
	"ca-central-1": "985666609251", "eu-central-1": "054676820928", "eu-north-1": "897822967062",
	"eu-south-1": "635631232127", "eu-west-1": "156460612806", "eu-west-2": "652711504416",
	"eu-west-3": "009996457667", "me-south-1": "076674570225", "sa-east-1": "507241528517",
	"us-east-1": "127311923021", "us-east-2": "033677994240", "us-west-1": "027434742980",
	"us-west-2": "797873946194",
}

// newAccessLogBucket declares the bucket that the load balancer logs to. It has S3's own encryption
// and no object lock: the load balancer refuses a bucket with a KMS key or a lock.
func newAccessLogBucket(s *scope) *Bucket {
	writer := awsService("logdelivery.elasticloadbalancing.amazonaws.com")
	if old, ok := logDeliveryAccounts[s.cfg.Region]; ok {
		writer = append(writer, accountRoot(old)...)
	}
	return newBucket(s, "access_logs", bucketOptions{
		expire: s.cfg.LoadBalancer.AccessLogsRetention, superseded: 1,
		allowed: []statement{{
			sid: "LogDelivery", principals: writer, actions: []string{"s3:PutObject"},
			resources: []string{"/AWSLogs/" + s.account + "/*"},
		}},
	})
}
