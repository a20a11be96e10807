package config

import "strings"

// LoadBalancer configures the load balancer, the only public entry point.
type LoadBalancer struct {
	// domain name of the application; requires hosted_zone or certificate_arn
	Domain string `yaml:"domain" allowed:"~domain"`
	// public Route 53 zone for domain's DNS record and its certificate; enables HTTPS
	HostedZone string `yaml:"hosted_zone" allowed:"~domain"`
	// existing ACM certificate, instead of a new one for domain
	CertificateARN string `yaml:"certificate_arn" allowed:"~certificate"`
	// allow plain HTTP in production
	AllowHTTP bool `yaml:"allow_http"`
	// CIDR blocks that may connect
	Sources []string `yaml:"sources" allowed:"~cidr"`
	// status of the response to requests that match no route; 404 tells a client that nothing is there
	DefaultStatus int `yaml:"default_status" allowed:"200|404"`
	// time after which an idle connection is closed
	IdleTimeout int `yaml:"idle_timeout" allowed:"1..4000 seconds"`
	// retention of the access logs
	AccessLogsRetention int `yaml:"access_logs_retention" allowed:"1..3650 days"`
	// AWS WAF
	Firewall Firewall `yaml:"firewall"`
}

// Firewall configures the AWS WAF web ACL of the load balancer.
type Firewall struct {
	// protect the load balancer with AWS managed rules and a rate limit
	Enabled bool `yaml:"enabled"`
	// limit for one IP address in five minutes
	RateLimit int `yaml:"rate_limit" allowed:"10..2000000000 requests"`
	// rules of AWSManagedRulesCommonRuleSet that count instead of block: the defaults would block
	// valid uploads and logins
	CountOnly []string `yaml:"count_only" allowed:"@common_rules"`
}

func loadBalancerDefaults(p profile) LoadBalancer {
	return LoadBalancer{
		Sources:             []string{"0.0.0.0/0"},
		DefaultStatus:       200,
		IdleTimeout:         60,
		AccessLogsRetention: pick(p, 14, 90),
		Firewall: Firewall{
			Enabled:   pick(p, false, true),
			RateLimit: 2000,
			CountOnly: []string{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"},
		},
	}
}

// HTTPS tells whether the load balancer serves TLS.
func (c *Config) HTTPS() bool {
	return c.LoadBalancer.CertificateARN != "" || c.LoadBalancer.Domain != ""
}

var (
	domainName     = form("domain", `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	certificateARN = form("certificate", `^arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
)

func (c checker) loadBalancer() {
	lb := c.cfg.LoadBalancer
	c = c.at("load_balancer")
	c.domain(lb)
	c.hostedZone(lb)
	inRegion := certificateARN.MatchString(lb.CertificateARN) &&
		strings.Contains(lb.CertificateARN, ":"+c.cfg.Region+":")
	c.want(lb.CertificateARN == "" || inRegion, "certificate_arn",
		"want the ARN of a certificate in %s, have %q", c.cfg.Region, lb.CertificateARN)
	c.want(!c.cfg.Production() || c.cfg.HTTPS() || lb.AllowHTTP, "",
		"want load_balancer.domain with hosted_zone, or certificate_arn: "+
			"production requires HTTPS unless allow_http is true")
	c.want(len(lb.Sources) > 0, "sources", "want at least one CIDR block, such as 0.0.0.0/0")
	c.want(len(lb.Sources) <= 30, "sources", "want at most 30, because a security group has at most 60 rules "+
		"and each block needs one for HTTP and one for HTTPS, have %d", len(lb.Sources))
	c.cidrs("sources", lb.Sources)
}

func (c checker) domain(lb LoadBalancer) {
	if lb.Domain == "" {
		return
	}
	c.want(domainName.MatchString(lb.Domain), "domain",
		"want a domain name such as shop.example.com, have %q", lb.Domain)
	c.want(len(lb.Domain) <= 64 || lb.CertificateARN != "", "domain", "want at most 64 characters, the limit of ACM "+
		"for the name of a certificate, or load_balancer.certificate_arn, have %d", len(lb.Domain))
	c.want(lb.HostedZone != "" || lb.CertificateARN != "", "domain", "want load_balancer.hosted_zone too, "+
		"the Route 53 zone that validates the certificate, or load_balancer.certificate_arn")
}

func (c checker) hostedZone(lb LoadBalancer) {
	if lb.HostedZone == "" {
		return
	}
	valid := domainName.MatchString(lb.HostedZone)
	c.want(valid, "hosted_zone", "want a zone's name such as example.com, have %q", lb.HostedZone)
	c.want(!valid || lb.Domain != "", "hosted_zone",
		"want load_balancer.domain too, the name of the record in this zone")
	inZone := lb.Domain == lb.HostedZone || strings.HasSuffix(lb.Domain, "."+lb.HostedZone)
	c.want(!valid || !domainName.MatchString(lb.Domain) || inZone, "domain",
		"want a name in load_balancer.hosted_zone %s, have %q", lb.HostedZone, lb.Domain)
}

func (w warner) loadBalancer() {
	lb := w.cfg.LoadBalancer
	w = w.at("load_balancer")
	w.idle(lb.Firewall.Enabled, "while load_balancer.firewall.enabled is false",
		"firewall.rate_limit", "firewall.count_only")
	w.idle(!w.cfg.HTTPS(), "with a domain or a certificate", "allow_http")
	w.warn(w.cfg.Production() && lb.AllowHTTP && !w.cfg.HTTPS(), "allow_http",
		"passwords and session cookies cross the internet unencrypted")
}
