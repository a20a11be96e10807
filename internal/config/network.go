package config

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Network configures the VPC.
type Network struct {
	// CIDR block of the VPC, /16 to /22, private; subnets are computed from the zones' letters
	CIDR string `yaml:"cidr" allowed:"~cidr"`
	// letters of the Availability Zones, two to six; a single NAT gateway is in the first
	Zones []string `yaml:"zones" allowed:"~zone"`
	// NAT gateways; with none, tasks reach AWS through endpoints only
	NAT string `yaml:"nat" allowed:"none|single|per-zone"`
	// interface endpoints by short service name, such as ecr.api
	Endpoints []string `yaml:"endpoints" allowed:"@endpoints"`
	// allow a cidr outside RFC 1918
	AllowPublicCIDR bool `yaml:"allow_public_cidr"`
}

func networkDefaults(p profile) Network {
	return Network{
		CIDR:  "10.0.0.0/16",
		Zones: pick(p, []string{"a", "b"}, []string{"a", "b", "c"}),
		NAT:   pick(p, "single", "per-zone"),
	}
}

// SortedZones returns the letters of the zones in alphabetical order, in which resources are
// declared.
func (c *Config) SortedZones() []string { return slices.Sorted(slices.Values(c.Network.Zones)) }

var (
	zoneLetter = form("zone", `^[a-h]$`)
	_          = form("cidr", `^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`)
)

func (c checker) network() {
	n := c.cfg.Network
	c = c.at("network")
	c.networkCIDR(n)
	c.want(len(n.Zones) >= 2 && len(n.Zones) <= 6, "zones",
		"want 2 to 6 zones, because the load balancer and the database need two, have %d", len(n.Zones))
	c.each("zones", n.Zones, func(c checker, zone string) {
		c.want(zoneLetter.MatchString(zone), "", "want the letter of a zone, a to h, have %q", zone)
	})
	c.unique("zones", n.Zones, "zone")
	c.unique("endpoints", n.Endpoints, "endpoint")
	if n.NAT == "none" {
		for _, needed := range c.neededEndpoints() {
			c.want(slices.Contains(n.Endpoints, needed), "endpoints",
				"want %s too: with network.nat: none, tasks reach AWS through endpoints only", needed)
		}
	}
}

func (c checker) networkCIDR(n Network) {
	prefix, err := netip.ParsePrefix(n.CIDR)
	if err != nil || !prefix.Addr().Is4() {
		c.want(false, "cidr", "want an IPv4 block such as 10.0.0.0/16, have %q", n.CIDR)
		return
	}
	c.want(prefix.Masked() == prefix, "cidr",
		"want a block without host bits, such as %s, have %s", prefix.Masked(), prefix)
	c.want(prefix.Bits() >= 16 && prefix.Bits() <= 22, "cidr",
		"want /16 to /22 (a VPC is at most a /16, and a load balancer's subnet at least a /27), have /%d",
		prefix.Bits())
	usable := forHosts(prefix.Addr())
	c.want(usable, "cidr",
		"want unicast addresses, not loopback, link-local, multicast or reserved ones, have %s", prefix)
	c.want(!usable || prefix.Addr().IsPrivate() || n.AllowPublicCIDR, "cidr",
		"want a private block (RFC 1918), or network.allow_public_cidr: true, have %s", prefix)
}

// forHosts reports whether a host can have this IPv4 address.
func forHosts(address netip.Addr) bool {
	first := address.As4()[0]
	return !address.IsLoopback() && !address.IsLinkLocalUnicast() && !address.IsMulticast() && first != 0 && first < 240
}

// neededEndpoints returns the endpoints that tasks and the database function need without a NAT
// gateway, sorted. Not all are obvious: the session of a shell or of a port-forward to Prometheus is
// encrypted and needs ssmmessages and kms, and Prometheus discovers tasks through ec2 and ecs.
func (c checker) neededEndpoints() []string {
	needed := map[string]bool{}
	need := func(ok bool, endpoints ...string) {
		for _, endpoint := range endpoints {
			needed[endpoint] = needed[endpoint] || ok
		}
	}
	need(true, "ecr.api", "ecr.dkr", "logs")
	need(c.cfg.Database.Enabled, "ecs", "secretsmanager")
	need(c.cfg.Monitoring.Prometheus.Enabled, "ec2", "ecs", "kms", "sns", "ssmmessages")
	need(c.cfg.Monitoring.ReadsCloudWatch(), "monitoring", "sts", "tagging")
	need(c.cfg.Monitoring.KeepsHistory(), "aps-workspaces")
	for _, s := range c.cfg.Services {
		need(s.Exec, "kms", "ssmmessages")
		need(len(s.Generated) > 0 || s.RegistrySecret != "", "secretsmanager")
		for _, reference := range s.Secrets {
			parameter := strings.HasPrefix(reference, "arn:aws:ssm:") || IsParameter(reference)
			need(parameter, "ssm")
			need(!parameter, "secretsmanager")
		}
	}
	maps.DeleteFunc(needed, func(_ string, ok bool) bool { return !ok })
	return slices.Sorted(maps.Keys(needed))
}

// cidrs checks a list of CIDR blocks.
func (c checker) cidrs(key string, blocks []string) {
	c.each(key, blocks, func(c checker, block string) {
		prefix, err := netip.ParsePrefix(block)
		c.want(err == nil && prefix.Addr().Is4() && prefix.Masked() == prefix, "",
			"want an IPv4 CIDR block such as 203.0.113.0/24, have %q", block)
	})
	c.unique(key, blocks, "block")
}

// addressQuota is the default quota of Elastic IP addresses in a region.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const addressQuota = 5

func (w warner) network() {
	n := w.cfg.Network
	letters := zoneLetters(w.cfg.Region)
	for i, zone := range n.Zones {
		unusual := zoneLetter.MatchString(zone) && !strings.Contains(letters, zone)
		w.at("network", "zones").warn(unusual, strconv.Itoa(i),
			"%s has zones %s in most accounts; terraform plan fails if yours does not have this one",
			w.cfg.Region, strings.Join(strings.Split(letters, ""), ", "))
	}
	w.warn(n.NAT == "per-zone" && len(n.Zones) > addressQuota, "network.nat",
		"needs %d Elastic IP addresses, and AWS allows %d in a region by default: request a higher quota (L-0263D0A3) "+
			"first, or the deployment fails", len(n.Zones), addressQuota)
	w.warn(w.cfg.Production() && n.NAT == "single", "network.nat",
		"an outage of the first zone cuts all zones off from the internet; want per-zone")
}
