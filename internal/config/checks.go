package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked, also on a machine that has no list of them
)

// ---- What a configuration must hold --------------------------------------------------------------------------------

var (
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	serviceName     = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	restoreName     = regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`)
	regionName      = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)
	zoneLetter      = regexp.MustCompile(`^[a-h]$`)
	accountID       = regexp.MustCompile(`^[0-9]{12}$`)
	bucketName      = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	imageReference  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	numericUser     = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	domainName      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	hostPattern     = regexp.MustCompile(`^[A-Za-z0-9.*?-]+$`)
	headerName      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$")
	emailAddress    = regexp.MustCompile(`^[^@\s]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$`)
	cronText        = regexp.MustCompile(`^cron\(([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+)\)$`)
	rateText        = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)$`)
	databaseName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	backupWindow    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$`)
	maintenance     = regexp.MustCompile(`^(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]$`)
	codes           = regexp.MustCompile(`^[2-4][0-9]{2}([-,][2-4][0-9]{2})*$`)
	secretARN       = regexp.MustCompile(`^arn:aws:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:\S+|ssm:[a-z0-9-]+:[0-9]{12}:parameter/\S+)$`)
	certificateARN  = regexp.MustCompile(`^arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
	keyARN          = regexp.MustCompile(`^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]+$`)
	tagText         = regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)
	actionName      = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	snapshotName    = regexp.MustCompile(`^(arn:aws:rds:[a-z0-9-]+:[0-9]{12}:snapshot:)?((rds|awsbackup):)?[A-Za-z](-?[A-Za-z0-9])*$`)
	parameterName   = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`)
	retentions      = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653} // CloudWatch Logs, PutRetentionPolicy
)

// platformNames are what the platform calls security groups of its own: a service of the same name would ask for a second one.
var platformNames = []string{"database", "endpoints", "prometheus"}

// credentialVariables are those in which programs look for AWS credentials that last.
var credentialVariables = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

// platformTags are on every resource already.
var platformTags = []string{"Application", "Environment", "ManagedBy", "Name"}

// stackNameLimit leaves room for the longest name made from it, the access-log bucket with noun, account and region in 63.
const (
	stackNameLimit   = 22
	serviceNameLimit = 16
	tagLimit         = 6 // besides Application, Environment, ManagedBy and Name
)

// check adds to doc what is wrong with a configuration whose types are right. It covers what the modules need to make
// something that AWS accepts.
func check(c *Config, doc *Document) {
	add := doc.add
	want := func(ok bool, path, format string, args ...any) {
		if !ok {
			add(path, format, args...)
		}
	}
	between := func(path string, value, low, high int) {
		want(value >= low && value <= high, path, "want %d to %d, have %d", low, high, value)
	}

	want(c.Name != "", "name", "is required: the application's name, such as shop")
	want(c.Name == "" || environmentName.MatchString(c.Name), "name", "want lower-case letters, digits and single dashes, a letter first, have %q", c.Name)
	want(len(c.Stack()) <= stackNameLimit, "name", "want at most %d characters together with the environment, since AWS names are made from it, have %d (%s)", stackNameLimit, len(c.Stack()), c.Stack())
	want(c.Region != "", "region", "is required: an AWS region, such as eu-central-1")
	want(c.Region == "" || regionName.MatchString(c.Region), "region", "want an AWS region of the commercial partition, such as eu-central-1, have %q", c.Region)
	want(c.Account == "" || accountID.MatchString(c.Account), "account", "want 12 digits in quotes, have %q", c.Account)
	want(slices.Contains(retentions, c.LogRetention), "log_retention", "want a number of days that CloudWatch Logs knows (%s), have %d", strings.Trim(fmt.Sprint(retentions), "[]"), c.LogRetention)
	for _, key := range slices.Sorted(maps.Keys(c.Tags)) {
		value := c.Tags[key]
		want(len(key) > 0 && len(key) <= 128 && len(value) <= 256 && tagText.MatchString(key+value) && !strings.HasPrefix(strings.ToLower(key), "aws:"),
			"tags."+key, "want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:")
		want(!slices.Contains(platformTags, key), "tags."+key, "want another key, since %s are the platform's own", strings.Join(platformTags, ", "))
	}

	want(len(c.Tags) <= tagLimit, "tags", "want at most %d: an object in S3 takes ten, and the platform has its own, have %d", tagLimit, len(c.Tags))

	if c.State.Backend == "s3" {
		if c.State.Bucket == "" && c.Production() {
			add("state", "want state.bucket, an S3 bucket for Terraform's state, or state.backend: local if a state on one machine is meant")
		} else {
			want(bucketName.MatchString(c.State.Bucket), "state.bucket", "want the name of an S3 bucket, have %q", c.State.Bucket)
		}
	} else {
		want(c.State.Bucket == "", "state.bucket", "has no meaning with state.backend: local")
	}
	want(c.State.Region == c.Region || regionName.MatchString(c.State.Region), "state.region", "want an AWS region, have %q", c.State.Region)

	checkAllowed(c, add)
	checkNetwork(c, add)
	checkLoadBalancer(c, add)

	want(len(c.Services) > 0, "services", "want at least one service")
	priorities, routes := map[int]string{}, map[string]string{} // who has them
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s, path := c.Services[name], "services."+name
		want(serviceName.MatchString(name) && len(name) <= serviceNameLimit, path, "want a name of lower-case letters and digits, a letter first, at most %d long", serviceNameLimit)
		want(!slices.Contains(platformNames, name), path, "want another name, since %s are the platform's own", strings.Join(platformNames, ", "))
		checkService(c, name, s, add, between)
		if !s.Routed() {
			continue
		}
		if other, taken := priorities[s.Route.Priority]; taken {
			add(path+".route.priority", "want a priority of its own, %d is taken by %s", s.Route.Priority, other)
		}
		priorities[s.Route.Priority] = path
		if s.HidesMetrics() { // by a rule that stands right before the service's own
			before := s.Route.Priority - 1
			if other, taken := priorities[before]; taken {
				add(path+".route.priority", "want the priority before it free too, for the rule that hides its metrics, %d is taken by %s", before, other)
			}
			priorities[before] = "the rule that hides metrics of " + path
		}
		if other, same := routes[s.Route.key()]; same {
			add(path+".route", "want other conditions than those of %s: one of the two would never get a request", other)
		}
		routes[s.Route.key()] = path
	}

	if n := len(priorities); n > 100 {
		add("services", "want at most 100 rules on the balancer, one for each route and one for each that hides metrics, have %d", n)
	}
	checkDatabase(c, add)

	for i, email := range c.Monitoring.Emails {
		path := fmt.Sprintf("monitoring.emails.%d", i)
		want(emailAddress.MatchString(email), path, "want an e-mail address, have %q", email)
		want(!slices.Contains(c.Monitoring.Emails[:i], email), path, "want each address once, %q is there already", email)
	}
	p := c.Monitoring.Prometheus
	checkImage(c, "monitoring.prometheus.image", p.Image, add)
	checkImage(c, "monitoring.prometheus.config_image", p.ConfigImage, add)
	checkSize("monitoring.prometheus", p.CPU, p.Memory, add)

	checkSchedule(c, add)
	checkTimezone("backup.timezone", c.Backup.Timezone, add)

	checkTemplates(c, add)
}

type adder func(path, format string, args ...any)

func checkNetwork(c *Config, add adder) {
	if prefix, err := netip.ParsePrefix(c.Network.CIDR); err != nil || !prefix.Addr().Is4() {
		add("network.cidr", "want an IPv4 block such as 10.0.0.0/16, have %q", c.Network.CIDR)
	} else {
		if prefix.Masked() != prefix {
			add("network.cidr", "want a block that begins at its own size: %s, have %s", prefix.Masked(), prefix)
		}
		if prefix.Bits() < 16 || prefix.Bits() > 22 {
			add("network.cidr", "want /16 to /22 (AWS allows no larger one, and a balancer's subnet needs /27), have /%d", prefix.Bits())
		}
		first := prefix.Addr()
		switch {
		case first.IsLoopback(), first.IsLinkLocalUnicast(), first.IsMulticast(), first.As4()[0] == 0, first.As4()[0] >= 240:
			add("network.cidr", "want a block that hosts may have, have %s", prefix)
		case !first.IsPrivate() && !c.Network.AllowPublicCIDR:
			add("network.cidr", "want a private block (RFC 1918), or network.allow_public_cidr, have %s", prefix)
		}
	}
	if n := len(c.Network.Zones); n < 2 || n > 6 {
		add("network.zones", "want two to six zones, since the balancer and the database need two, have %d", n)
	}
	seen := map[string]bool{}
	for i, zone := range c.Network.Zones {
		path := fmt.Sprintf("network.zones.%d", i)
		if !zoneLetter.MatchString(zone) {
			add(path, "want the letter of a zone, a to h, have %q", zone)
		}
		if seen[zone] {
			add(path, "want each zone once, %q is there already", zone)
		}
		seen[zone] = true
	}
	endpoints := map[string]bool{}
	for i, endpoint := range c.Network.Endpoints {
		path := fmt.Sprintf("network.endpoints.%d", i)
		if endpoints[endpoint] {
			add(path, "want each endpoint once, %q is there already", endpoint)
		}
		endpoints[endpoint] = true
	}
	if c.Network.NAT != "none" {
		return
	}
	// ssmmessages, kms: a port-forward to Prometheus is an encrypted session; ec2, ecs: Prometheus finds tasks through their API.
	for _, needed := range append(c.needsSSM(), "ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "secretsmanager", "ssmmessages") {
		if !endpoints[needed] {
			add("network.endpoints", "want %s too: with network.nat none a task reaches AWS through endpoints only", needed)
		}
	}
}

// needsSSM names the endpoint of Parameter Store if a service has a secret there.
func (c *Config) needsSSM() []string {
	for _, s := range c.Services {
		for _, reference := range s.Secrets {
			if strings.HasPrefix(reference, "arn:aws:ssm:") {
				return []string{"ssm"}
			}
		}
	}
	return nil
}

// commonRules are the rules of AWSManagedRulesCommonRuleSet; WAF refuses a name that is none of them.
// https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
var commonRules = []string{
	"CrossSiteScripting_BODY", "CrossSiteScripting_COOKIE", "CrossSiteScripting_QUERYARGUMENTS", "CrossSiteScripting_URIPATH",
	"EC2MetaDataSSRF_BODY", "EC2MetaDataSSRF_COOKIE", "EC2MetaDataSSRF_QUERYARGUMENTS", "EC2MetaDataSSRF_URIPATH",
	"GenericLFI_BODY", "GenericLFI_QUERYARGUMENTS", "GenericLFI_URIPATH",
	"GenericRFI_BODY", "GenericRFI_QUERYARGUMENTS", "GenericRFI_URIPATH",
	"NoUserAgent_HEADER", "RestrictedExtensions_QUERYARGUMENTS", "RestrictedExtensions_URIPATH",
	"SizeRestrictions_BODY", "SizeRestrictions_Cookie_HEADER", "SizeRestrictions_QUERYSTRING", "SizeRestrictions_URIPATH",
	"UserAgent_BadBots_HEADER",
}

// InterfaceEndpoints are those that something in this platform may need; S3 has a gateway endpoint always.
var InterfaceEndpoints = []string{
	"aps-workspaces", "ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "lambda", "logs", "monitoring", "rds", "secretsmanager",
	"sns", "sqs", "ssm", "ssmmessages", "sts", "tagging",
}

func checkLoadBalancer(c *Config, add adder) {
	lb := c.LoadBalancer
	if lb.Domain != "" {
		if !domainName.MatchString(lb.Domain) {
			add("load_balancer.domain", "want a domain name such as shop.example.com, have %q", lb.Domain)
		}
		if lb.HostedZone == "" && lb.CertificateARN == "" {
			add("load_balancer.domain", "want load_balancer.hosted_zone too, the Route 53 zone that proves the certificate, or load_balancer.certificate_arn")
		}
	}
	if lb.HostedZone != "" {
		switch {
		case !domainName.MatchString(lb.HostedZone):
			add("load_balancer.hosted_zone", "want a zone's name such as example.com, have %q", lb.HostedZone)
		case lb.Domain == "":
			add("load_balancer.hosted_zone", "want load_balancer.domain too, the name to make in it")
		case domainName.MatchString(lb.Domain) && lb.Domain != lb.HostedZone && !strings.HasSuffix(lb.Domain, "."+lb.HostedZone):
			add("load_balancer.domain", "want a name in load_balancer.hosted_zone %s, have %q", lb.HostedZone, lb.Domain)
		}
	}
	if lb.CertificateARN != "" && (!certificateARN.MatchString(lb.CertificateARN) || !strings.Contains(lb.CertificateARN, ":"+c.Region+":")) {
		add("load_balancer.certificate_arn", "want the ARN of a certificate in %s, have %q", c.Region, lb.CertificateARN)
	}
	if c.Production() && !c.HTTPS() && !lb.AllowHTTP {
		add("load_balancer", "want load_balancer.domain with hosted_zone, or certificate_arn: production serves HTTPS unless allow_http is true")
	}
	if len(lb.Sources) == 0 {
		add("load_balancer.sources", "want at least one CIDR block, such as 0.0.0.0/0")
	}
	if n := len(lb.Sources); n > 30 {
		add("load_balancer.sources", "want at most 30, since a security group takes 60 rules and each is one for HTTP and one for HTTPS, have %d", n)
	}
	checkCIDRs("load_balancer.sources", lb.Sources, add)
}

func checkService(c *Config, name string, s Service, add adder, between func(path string, value, low, high int)) {
	path := "services." + name
	if s.Image == "" {
		add(path+".image", "is required: an image with a tag or digest")
	} else {
		checkImage(c, path+".image", s.Image, add)
	}
	checkSize(path, s.CPU, s.Memory, add)
	if !numericUser.MatchString(s.User) {
		add(path+".user", "want a numeric user id in quotes, not 0, have %q", s.User)
	}
	if s.Scratch < 16 || s.Scratch > s.Memory/2 {
		add(path+".scratch", "want 16 to half of %s.memory (%d), since it counts as memory, have %d", path, s.Memory/2, s.Scratch)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Environment)) {
		checkVariable(path+".environment."+key, key, s, add)
		if slices.Contains(credentialVariables, key) {
			add(path+".environment."+key, "want %s.permissions instead, or %s.secrets: what stands here is in the state for all to read", path, path)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Secrets)) {
		checkVariable(path+".secrets."+key, key, s, add)
		if !secretARN.MatchString(s.Secrets[key]) {
			add(path+".secrets."+key, "want the ARN of a secret or parameter, never the secret itself")
		} else if region := strings.Split(s.Secrets[key], ":")[3]; region != c.Region {
			add(path+".secrets."+key, "want one in %s, where ECS looks for it, have one in %s", c.Region, region)
		}
		if _, both := s.Environment[key]; both {
			add(path+".secrets."+key, "is in %s.environment too", path)
		}
	}
	for i, key := range s.SecretKeys {
		if !keyARN.MatchString(key) {
			add(fmt.Sprintf("%s.secret_keys.%d", path, i), "want the ARN of a KMS key, never a key itself")
		} else if region := strings.Split(key, ":")[3]; region != c.Region {
			add(fmt.Sprintf("%s.secret_keys.%d", path, i), "want one in %s, as the secrets, have one in %s", c.Region, region)
		}
	}
	for i, p := range s.Permissions {
		at := fmt.Sprintf("%s.permissions.%d", path, i)
		if len(p.Actions) == 0 || len(p.Resources) == 0 {
			add(at, "want actions and resources, at least one of each")
		}
		for j, action := range p.Actions {
			if !actionName.MatchString(action) {
				add(fmt.Sprintf("%s.actions.%d", at, j), "want each action by its name, such as s3:GetObject, without *, have %q", action)
			}
		}
		for j, resource := range p.Resources {
			if !strings.HasPrefix(resource, "arn:") {
				add(fmt.Sprintf("%s.resources.%d", at, j), "want ARNs, have %q", resource)
			}
		}
	}
	if s.Routed() {
		between(path+".route.priority", s.Route.Priority, choose(s.HidesMetrics(), 2, 1), 49999)
		values := len(s.Route.Paths) + len(s.Route.Hosts) + len(s.Route.Sources)
		for _, header := range slices.Sorted(maps.Keys(s.Route.Headers)) {
			values += len(s.Route.Headers[header])
			at := path + ".route.headers." + header
			if !headerName.MatchString(header) || strings.EqualFold(header, "host") {
				add(at, "want the name of an HTTP header, at most 40 characters, and route.hosts for Host")
			}
			if len(s.Route.Headers[header]) == 0 {
				add(at, "want at least one value")
			}
			for i, value := range s.Route.Headers[header] {
				if len(value) == 0 || len(value) > 128 {
					add(fmt.Sprintf("%s.%d", at, i), "want 1 to 128 characters, have %d", len(value))
				}
			}
		}
		for i, host := range s.Route.Hosts {
			if !hostPattern.MatchString(host) || !strings.Contains(host, ".") || len(host) > 128 {
				add(fmt.Sprintf("%s.route.hosts.%d", path, i), "want a host such as shop.example.com or *.example.com, at most 128 long, have %q", host)
			}
		}
		if s.HidesMetrics() {
			values = max(values, values-len(s.Route.Paths)+2)
		}
		if values > 5 {
			add(path+".route", "want at most 5 values in all conditions together, which is AWS's limit, have %d", values)
		}
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
		if n := s.Route.wildcards(); n > 6 {
			add(path+".route", "want at most 6 of * and ? in all conditions together, which is AWS's limit, have %d", n)
		}
		for i, p := range s.Route.Paths {
			if !strings.HasPrefix(p, "/") || len(p) > 128 {
				add(fmt.Sprintf("%s.route.paths.%d", path, i), "want a path that begins with /, at most 128 long, have %q", p)
			}
		}
		checkCIDRs(path+".route.sources", s.Route.Sources, add)
	} else {
		between(path+".route.priority", s.Route.Priority, 0, 49999)
		if s.Scaling.Requests > 0 {
			add(path+".scaling.requests", "has no meaning without %s.route", path)
		}
	}
	if !strings.HasPrefix(s.HealthCheck.Path, "/") {
		add(path+".health_check.path", "want a path that begins with /, have %q", s.HealthCheck.Path)
	}
	if !codes.MatchString(s.HealthCheck.Codes) {
		add(path+".health_check.codes", "want HTTP codes such as 200-299 or 200,204, have %q", s.HealthCheck.Codes)
	}
	if s.HealthCheck.Timeout >= s.HealthCheck.Interval {
		add(path+".health_check.timeout", "want less than %s.health_check.interval (%d), have %d", path, s.HealthCheck.Interval, s.HealthCheck.Timeout)
	}
	if !strings.HasPrefix(s.Metrics.Path, "/") {
		add(path+".metrics.path", "want a path that begins with /, have %q", s.Metrics.Path)
	} else if s.HidesMetrics() && s.Metrics.Path == "/" {
		add(path+".metrics.path", "want a path of its own, since the balancer hides it from the internet, have /")
	}
	if s.Tasks >= 0 && s.Tasks <= 1000 {
		between(path+".scaling.max", s.Scaling.Max, s.Tasks, 5000)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Scaling.Schedules)) {
		at, schedule := path+".scaling.schedules."+key, s.Scaling.Schedules[key]
		if !serviceName.MatchString(key) || len(key) > serviceNameLimit {
			add(at, "want a name of lower-case letters and digits, at most %d long", serviceNameLimit)
		}
		if !isCron(schedule.At) && !isAt(schedule.At) {
			add(at+".at", "want cron(minute hour day month weekday year), with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have %q", schedule.At)
		}
		if schedule.Timezone != "" {
			checkTimezone(at+".timezone", schedule.Timezone, add)
		}
		if schedule.Max < schedule.Min {
			add(at+".max", "want at least %d (%s.min), have %d", schedule.Min, at, schedule.Max)
		}
	}
	// A repository begins empty: a service that starts tasks from it before the first push can only fail.
	if s.Repository && s.Tasks == 0 && s.Scaling.Max > 0 {
		add(path+".scaling.max", "want 0 while %s.tasks is 0, have %d", path, s.Scaling.Max)
	}
}

func checkVariable(path, name string, s Service, add adder) {
	if !variableName.MatchString(name) {
		add(path, "want a name of letters, digits and underscores")
	}
	if s.UsesDatabase() && slices.Contains(databaseVariables, name) {
		add(path, "is set by the platform for the database")
	}
	if strings.HasPrefix(name, "ECS_") || strings.HasPrefix(name, "AWS_CONTAINER_") || name == "AWS_EXECUTION_ENV" {
		add(path, "is set by ECS")
	}
}

func checkDatabase(c *Config, add adder) {
	d := c.Database
	if !slices.Contains(postgresVersions, d.Version) {
		add("database.version", "want a major version that RDS offers, one of %s in quotes, have %q", strings.Join(postgresVersions, ", "), d.Version)
	}
	if _, err := ClassMemory(d.InstanceClass); err != nil {
		add("database.instance_class", "%v", err)
	}
	if d.Storage.Max < d.Storage.Initial {
		add("database.storage.max", "want at least %d (database.storage.initial), have %d", d.Storage.Initial, d.Storage.Max)
	} else if d.Storage.Max != d.Storage.Initial && d.Storage.Max*10 < d.Storage.Initial*11 {
		add("database.storage.max", "want at least a tenth more than database.storage.initial (%d) for autoscaling, or the same for none, have %d", d.Storage.Initial, d.Storage.Max)
	}
	if !databaseName.MatchString(d.Name) || slices.Contains(DatabaseWords, d.Name) {
		add("database.name", "want lower-case letters, digits and underscores, a letter first, and no name that PostgreSQL or RDS uses, have %q", d.Name)
	}
	daily, weekly := backupWindow.MatchString(d.BackupWindow), maintenance.MatchString(d.MaintenanceWindow)
	if !daily {
		add("database.backup_window", "want hh:mm-hh:mm in UTC, such as 01:00-02:00, have %q", d.BackupWindow)
	} else if _, length := dailyWindow(d.BackupWindow); length < 30 {
		add("database.backup_window", "want 30 minutes or more, have %d (%s)", length, d.BackupWindow)
	}
	if !weekly {
		add("database.maintenance_window", "want ddd:hh:mm-ddd:hh:mm in UTC, such as sun:04:30-sun:05:30, have %q", d.MaintenanceWindow)
	} else if _, length := weeklyWindow(d.MaintenanceWindow); length < 30 || length > minutesOfDay {
		add("database.maintenance_window", "want 30 minutes to a day, have %d minutes (%s)", length, d.MaintenanceWindow)
	}
	if daily && weekly && windowsOverlap(d.BackupWindow, d.MaintenanceWindow) {
		add("database.maintenance_window", "want a window outside database.backup_window (%s), have %s", d.BackupWindow, d.MaintenanceWindow)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Restores)) {
		path, restore := "database.restores."+key, d.Restores[key]
		if !restoreName.MatchString(key) || key == MainDatabase {
			add(path, "want a name of lower-case letters and digits, a letter first, at most 15 long, and not main")
		}
		if restore.Version != d.Version && !slices.Contains(postgresVersions, restore.Version) {
			add(path+".version", "want a major version that RDS offers, one of %s in quotes, have %q", strings.Join(postgresVersions, ", "), restore.Version)
		}
		if (restore.Snapshot == "") == (restore.Time == "") {
			add(path, "want either snapshot or time")
		}
		if restore.Snapshot != "" && (!snapshotName.MatchString(restore.Snapshot) || len(restore.Snapshot) > 255+64) {
			add(path+".snapshot", "want a snapshot's identifier or ARN, have %q", restore.Snapshot)
		} else if parts := strings.Split(restore.Snapshot, ":"); len(parts) > 3 && parts[3] != c.Region {
			add(path+".snapshot", "want a snapshot in %s: copy it there first, have one in %s", c.Region, parts[3])
		}
		if restore.Time != "" {
			if at, err := time.Parse(time.RFC3339, restore.Time); err != nil || at.Location() != time.UTC {
				add(path+".time", "want a time in UTC such as 2026-11-23T03:00:00Z, have %q", restore.Time)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
		path, value := "database.parameters."+name, d.Parameters[name]
		switch {
		case !parameterName.MatchString(name):
			add(path, "want the name of a parameter, such as work_mem or rds.log_retention_period")
		case value == "":
			add(path, "want a value")
		case name == "rds.force_ssl" && value != "1":
			add(path, "want 1, since passwords and data go over the network, have %q", value)
		case name == "log_min_duration_statement":
			add(path, "want database.slow_query instead")
		}
	}
	if d.CertificateImage != c.Monitoring.Prometheus.ConfigImage { // which is checked there
		checkImage(c, "database.certificate_image", d.CertificateImage, add)
	}
	if services := c.DatabaseServices(); len(services) > 0 && regionName.MatchString(c.Region) {
		if !slices.Contains(certificateRegions, c.Region) {
			add("services."+services[0]+".database", "RDS's certificates of %s are not in functions/database/certificates: put https://truststore.pki.rds.amazonaws.com/%[1]s/%[1]s-bundle.pem there as %[1]s.pem", c.Region)
		}
	}
	if _, restored := d.Restores[d.Active]; d.Active != MainDatabase && !restored {
		add("database.active", "want main or a key of database.restores, have %q", d.Active)
	}
}

// DatabaseWords cannot be a database's name nor, postgres apart, its user's. RDS refuses its own names and the engine's reserved words:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html, and
// https://www.postgresql.org/docs/current/sql-keywords-appendix.html for the words that are reserved in PostgreSQL, of any of its versions here.
var DatabaseWords = strings.Fields("admin postgres rdsadmin template0 template1 " +
	"all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column " +
	"concurrently constraint create cross current_catalog current_date current_role current_schema current_time " +
	"current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from " +
	"full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime " +
	"localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning " +
	"right select session_user similar some symmetric system_user table tablesample then to trailing true union unique user " +
	"using variadic verbose when where window with")

// postgresVersions are the majors that RDS offers and whose parameters rds.go knows.
var postgresVersions = []string{"14", "15", "16", "17", "18"}

const minutesOfDay = 24 * 60

func minuteOfDay(text string) int {
	at, err := time.Parse("15:04", text)
	if err != nil {
		panic(err) // the caller has matched a pattern
	}
	return at.Hour()*60 + at.Minute()
}

// dailyWindow gives the minute in which hh:mm-hh:mm starts, and its length.
func dailyWindow(text string) (start, length int) {
	start = minuteOfDay(text[:5])
	return start, (minuteOfDay(text[6:]) - start + minutesOfDay) % minutesOfDay
}

// weeklyWindow gives the minute of the week in which ddd:hh:mm-ddd:hh:mm starts, and its length.
func weeklyWindow(text string) (start, length int) {
	const week = 7 * minutesOfDay
	days := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	minute := func(text string) int { return slices.Index(days, text[:3])*minutesOfDay + minuteOfDay(text[4:]) }
	start = minute(text[:9])
	return start, (minute(text[10:]) - start + week) % week
}

// windowsOverlap compares a daily window with a weekly one, minute by minute of the latter.
func windowsOverlap(daily, weekly string) bool {
	dailyStart, dailyLength := dailyWindow(daily)
	start, length := weeklyWindow(weekly)
	for at := start; at < start+length; at++ {
		if (at-dailyStart+minutesOfDay)%minutesOfDay < dailyLength {
			return true
		}
	}
	return false
}

func checkImage(c *Config, path, image string, add adder) {
	switch {
	case !imageReference.MatchString(image) || !strings.Contains(strings.SplitN(image, "/", 2)[0], "."):
		add(path, "want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have %q", image)
	case !strings.Contains(image[strings.LastIndexByte(image, '/'):], ":") && !strings.Contains(image, "@"):
		add(path, "want a tag or digest, have %q", image)
	case strings.HasSuffix(image, ":latest"):
		add(path, "want a tag that stays what it is, or a digest, have %q", image)
	case c.Network.NAT == "none" && !strings.HasSuffix(strings.SplitN(image, "/", 2)[0], ".dkr.ecr."+c.Region+".amazonaws.com"):
		add(path, "want an image in ECR of %s: with network.nat none no other registry is reached, have %q", c.Region, image)
	}
}

// fargateMemory holds, for each CPU size in units, the MiB that Fargate accepts: from, to, in steps of.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
var fargateMemory = map[int][3]int{
	256:   {512, 2048, 0}, // 512, 1024, 2048
	512:   {1024, 4096, 1024},
	1024:  {2048, 8192, 1024},
	2048:  {4096, 16384, 1024},
	4096:  {8192, 30720, 1024},
	8192:  {16384, 61440, 4096},
	16384: {32768, 122880, 8192},
}

func checkSize(path string, cpu, memory int, add adder) {
	sizes, ok := fargateMemory[cpu]
	if !ok {
		add(path+".cpu", "want 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units, have %d", cpu)
		return
	}
	low, high, step := sizes[0], sizes[1], sizes[2]
	if cpu == 256 {
		if !slices.Contains([]int{512, 1024, 2048}, memory) {
			add(path+".memory", "want 512, 1024 or 2048 MiB with %s.cpu 256, have %d", path, memory)
		}
		return
	}
	if memory < low || memory > high || memory%step != 0 {
		add(path+".memory", "want %d to %d MiB in steps of %d with %s.cpu %d, have %d", low, high, step, path, cpu, memory)
	}
}

func checkCIDRs(path string, blocks []string, add adder) {
	for i, block := range blocks {
		prefix, err := netip.ParsePrefix(block)
		if err != nil || !prefix.Addr().Is4() || prefix.Masked() != prefix {
			add(fmt.Sprintf("%s.%d", path, i), "want an IPv4 CIDR block such as 203.0.113.0/24, have %q", block)
		}
		if slices.Contains(blocks[:i], block) {
			add(fmt.Sprintf("%s.%d", path, i), "want each block once, %q is there already", block)
		}
	}
}

// isCron tells whether a text is a cron expression of AWS': six fields, and ? for the day or the weekday, since the two may contradict
// each other. https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
func isCron(text string) bool {
	fields := cronText.FindStringSubmatch(text)
	if fields == nil || (fields[3] == "?") == (fields[5] == "?") {
		return false
	}
	minute, hour, day, month, weekday, year := fields[1], fields[2], fields[3], strings.ToUpper(fields[4]), strings.ToUpper(fields[5]), fields[6]
	months := []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	return cronField(minute, 0, 59, nil) && cronField(hour, 0, 23, nil) && cronDay(day) && cronField(month, 1, 12, months) &&
		cronWeekday(weekday) && cronField(year, 1970, 2199, nil)
}

// cronField tells whether a field is a list of values, ranges and steps. The names, if there are any, stand for the values from the least on.
func cronField(text string, least, most int, names []string) bool {
	for _, part := range strings.Split(text, ",") {
		values, step, stepped := strings.Cut(part, "/")
		if every, err := strconv.ParseUint(step, 10, 16); stepped && (err != nil || every == 0) {
			return false
		}
		if values == "*" {
			continue
		}
		for _, value := range strings.SplitN(values, "-", 2) {
			number, err := strconv.ParseUint(value, 10, 16)
			if !slices.Contains(names, value) && (err != nil || int(number) < least || int(number) > most) {
				return false
			}
		}
	}
	return true
}

// cronDay may be the last one, or the working day nearest to a date.
func cronDay(text string) bool {
	date, nearest := strings.CutSuffix(text, "W")
	return text == "?" || text == "L" || cronField(date, 1, 31, nil) && !(nearest && strings.ContainsAny(date, ",-*/"))
}

// cronWeekday may be the last one of a month, or the nth. It has no steps.
func cronWeekday(text string) bool {
	names := []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	day, nth, counted := strings.Cut(strings.TrimSuffix(text, "L"), "#")
	one := counted || strings.HasSuffix(text, "L")
	return text == "?" || text == "L" || cronField(day, 1, 7, names) && !strings.Contains(day, "/") &&
		!(one && strings.ContainsAny(day, ",-*")) && (!counted || cronField(nth, 1, 5, nil) && len(nth) == 1)
}

// isAt tells whether a text is a single time: at(yyyy-mm-ddThh:mm:ss).
func isAt(text string) bool {
	_, err := time.Parse("at(2006-01-02T15:04:05)", text)
	return err == nil
}

// checkSchedule looks at when snapshots are taken. RDS refuses one while it takes its own, so a fixed time of day may not lie in its window;
// other zones than UTC move against it twice a year and are left to the reader.
func checkSchedule(c *Config, add adder) {
	schedule, window := c.Backup.Schedule, c.Database.BackupWindow
	if !isCron(schedule) && !rateText.MatchString(schedule) {
		add("backup.schedule", "want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have %q", schedule)
		return
	}
	if hours := hoursBetween(schedule); hours > c.Backup.MaxAge {
		add("backup.max_age", "want at least %d, the hours from one snapshot to the next by backup.schedule, have %d", hours, c.Backup.MaxAge)
	}
	fields := cronText.FindStringSubmatch(schedule)
	if fields == nil || c.Backup.Timezone != "UTC" || !backupWindow.MatchString(window) {
		return
	}
	minute, errMinute := strconv.Atoi(fields[1])
	hour, errHour := strconv.Atoi(fields[2])
	if errMinute != nil || errHour != nil {
		return // a list or a range
	}
	if start, length := dailyWindow(window); (hour*60+minute-start+minutesOfDay)%minutesOfDay < length {
		add("backup.schedule", "want a time outside database.backup_window (%s), since RDS refuses a snapshot while it takes its own, have %q", window, schedule)
	}
}

// hoursBetween is how long it is, at the least, from one time of a schedule to the next, rounded up; 0 if that depends on the calendar.
func hoursBetween(schedule string) int {
	if fields := cronText.FindStringSubmatch(schedule); fields != nil {
		_, errMinute := strconv.Atoi(fields[1])
		_, errHour := strconv.Atoi(fields[2])
		return choose(errMinute == nil && errHour == nil, 24, 0)
	}
	var count int
	var unit string
	if _, err := fmt.Sscanf(schedule, "rate(%d %s", &count, &unit); err != nil {
		return 0
	}
	minutes := count * map[byte]int{'m': 1, 'h': 60, 'd': minutesOfDay}[unit[0]]
	return (minutes + 59) / 60
}

func checkTimezone(path, name string, add adder) {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		add(path, "want a time zone such as UTC or Europe/Berlin, have %q", name)
	}
}

// environmentValue is the path of what a service's variables hold.
var environmentValue = regexp.MustCompile(`^services\.[^.]+\.environment\.`)

// checkTemplates refuses what Terraform would take for an expression of its own. Environment variables may hold it: they are escaped.
func checkTemplates(c *Config, add adder) {
	walkStrings("", c, func(path, text string) {
		if !environmentValue.MatchString(path) && (strings.Contains(text, "${") || strings.Contains(text, "%{")) {
			add(path, "may not contain ${ or %%{, which Terraform takes for an expression")
		}
	})
}

// ---- What is allowed and probably not meant --------------------------------------------------------------------------

// warn adds to doc what AWS accepts and a person would want to know before it is paid for, or relied on.
func warn(c *Config, doc *Document) {
	for i, zone := range c.Network.Zones {
		if letters := zoneLetters(c.Region); zoneLetter.MatchString(zone) && !strings.Contains(letters, zone) {
			doc.warn(fmt.Sprintf("network.zones.%d", i), "%s has had zones %s; which letters an account has differs, and the plan will tell", c.Region, strings.Join(strings.Split(letters, ""), ", "))
		}
	}
	// What the file says to no effect, as long as something else is as it is.
	idle := func(active bool, path, why string) {
		if !active && doc.names(path) {
			doc.warn(path, "has no effect %s", why)
		}
	}
	idle(c.LoadBalancer.Firewall.Enabled, "load_balancer.firewall.rate_limit", "while load_balancer.firewall.enabled is false")
	idle(c.LoadBalancer.Firewall.Enabled, "load_balancer.firewall.count_only", "while load_balancer.firewall.enabled is false")
	idle(!c.HTTPS(), "load_balancer.allow_http", "with a domain or a certificate")
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		s, path := c.Services[name], "services."+name
		for _, key := range []string{"port", "path"} {
			idle(s.Metrics.Enabled, path+".metrics."+key, "while "+path+".metrics.enabled is false")
		}
		for _, key := range []string{"priority", "deregistration_lag", "slow_start"} {
			idle(s.Routed(), path+".route."+key, "without paths, hosts, headers or sources")
		}
		for _, key := range []string{"path", "codes", "interval", "timeout", "grace_period"} {
			idle(s.Routed(), path+".health_check."+key, "without a route")
		}
		for _, key := range []string{"cpu", "memory", "requests"} {
			idle(s.Scaled(), path+".scaling."+key, "while "+path+".scaling.max is not above tasks")
		}
		for _, key := range []string{"connections", "query_timeout"} {
			idle(s.UsesDatabase(), path+"."+key, "while "+path+".database is none")
		}
		idle(len(s.Secrets) > 0, path+".secret_keys", "without "+path+".secrets")
		for _, key := range slices.Sorted(maps.Keys(s.Environment)) {
			if secretWord.MatchString(key) && s.Environment[key] != "" {
				doc.warn(path+".environment."+key, "sounds like a secret: put it in Secrets Manager and its ARN in %s.secrets, since the state and the console show what stands here", path)
			}
		}
		if c.Production() && s.Spot {
			doc.warn(path+".spot", "AWS takes such tasks away when it needs the room, with two minutes' notice")
		}
		if c.Production() && s.Tasks == 1 {
			doc.warn(path+".tasks", "a single task is an outage whenever it is replaced by AWS or its zone fails: want 2")
		}
	}
	for _, key := range []string{"rotation", "certificate_image"} {
		idle(len(c.DatabaseServices()) > 0, "database."+key, "while no service has a database")
	}
	if gib, err := ClassMemory(c.Database.InstanceClass); err == nil {
		wanted := 0
		for _, name := range c.DatabaseServices() {
			wanted += c.Services[name].Connections
		}
		if most := MaxConnections(gib); wanted > most {
			doc.warn("database.instance_class", "allows %d connections, and the services together may open %d", most, wanted)
		}
	}
	if !c.Production() {
		return
	}
	production := func(safe bool, path, format string, args ...any) {
		if !safe {
			doc.warn(path, format, args...)
		}
	}
	production(c.Protected, "protected", "without it one command destroys the database and its backups")
	production(c.State.Backend == "s3", "state.backend", "a state on one machine is lost with it, and locks nobody out")
	production(!c.LoadBalancer.AllowHTTP || c.HTTPS(), "load_balancer.allow_http", "passwords and sessions cross the internet in clear")
	production(c.Database.MultiAZ, "database.multi_az", "the database is gone with its zone, until it is restored")
	production(c.Database.Retention >= 7, "database.retention", "a mistake found after %d days cannot be undone", c.Database.Retention)
	production(c.Network.NAT != "single", "network.nat", "all zones lose their way out with the first")
	production(len(c.Monitoring.Emails) > 0, "monitoring.emails", "nobody is told of an alarm")
}

// secretWord ends the names of variables that hold secrets.
var secretWord = regexp.MustCompile(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$`)

// zoneLetters are those that a region's zones have in most accounts; regions that are not named here have a to c.
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
func zoneLetters(region string) string {
	switch region {
	case "us-east-1":
		return "abcdef"
	case "us-west-2", "ap-northeast-2":
		return "abcd"
	case "ap-northeast-1":
		return "acd"
	case "ca-central-1":
		return "abd"
	case "us-west-1":
		return "ac"
	}
	return "abc"
}
