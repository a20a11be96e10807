package config

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Network shapes the VPC.
type Network struct {
	// /16 to /22, private; a zone's blocks follow from its letter
	CIDR string `yaml:"cidr" allowed:"~cidr"`
	// letters of the region's zones, two to six; a single NAT gateway stands in the first
	Zones []string `yaml:"zones" allowed:"~zone"`
	// NAT gateways; without any, tasks reach AWS through endpoints only
	NAT string `yaml:"nat" allowed:"none|single|per-zone"`
	// interface endpoints by AWS's short name
	Endpoints []string `yaml:"endpoints" allowed:"@endpoints"`
	// take a cidr outside of RFC 1918, on purpose
	AllowPublicCIDR bool `yaml:"allow_public_cidr"`
}

func networkDefaults(p profile) Network {
	return Network{
		CIDR:  "10.0.0.0/16",
		Zones: pick(p, []string{"a", "b"}, []string{"a", "b", "c"}),
		NAT:   pick(p, "single", "per-zone"),
	}
}

// SortedZones returns the letters of the zones in order: resources are declared in it, whatever the
// file's order.
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
		"want two to six zones, since the balancer and the database need two, have %d", len(n.Zones))
	c.each("zones", n.Zones, func(c checker, zone string) {
		c.want(zoneLetter.MatchString(zone), "", "want the letter of a zone, a to h, have %q", zone)
	})
	c.unique("zones", n.Zones, "zone")
	c.unique("endpoints", n.Endpoints, "endpoint")
	if n.NAT == "none" {
		for _, needed := range c.neededEndpoints() {
			c.want(slices.Contains(n.Endpoints, needed), "endpoints",
				"want %s too: with network.nat none a task reaches AWS through endpoints only", needed)
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
		"want a block that begins at its own size: %s, have %s", prefix.Masked(), prefix)
	c.want(prefix.Bits() >= 16 && prefix.Bits() <= 22, "cidr",
		"want /16 to /22 (AWS allows no larger one, and a balancer's subnet needs /27), have /%d", prefix.Bits())
	usable := forHosts(prefix.Addr())
	c.want(usable, "cidr", "want a block that hosts may have, have %s", prefix)
	c.want(!usable || prefix.Addr().IsPrivate() || n.AllowPublicCIDR, "cidr",
		"want a private block (RFC 1918), or network.allow_public_cidr, have %s", prefix)
}

// forHosts tells whether hosts may have an IPv4 address.
func forHosts(address netip.Addr) bool {
	first := address.As4()[0]
	return !address.IsLoopback() && !address.IsLinkLocalUnicast() && !address.IsMulticast() && first != 0 && first < 240
}

// neededEndpoints returns the endpoints that tasks need where there is no NAT gateway. Of those not
// obvious: ssmmessages and kms, since a port-forward to Prometheus is an encrypted session; ec2 and
// ecs, through which Prometheus finds tasks.
func (c checker) neededEndpoints() []string {
	needed := []string{"ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "secretsmanager", "ssmmessages"}
	for _, s := range c.cfg.Services {
		for _, reference := range s.Secrets {
			if strings.HasPrefix(reference, "arn:aws:ssm:") {
				return append([]string{"ssm"}, needed...)
			}
		}
	}
	return needed
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

func (w warner) network() {
	n := w.cfg.Network
	letters := zoneLetters(w.cfg.Region)
	for i, zone := range n.Zones {
		unusual := zoneLetter.MatchString(zone) && !strings.Contains(letters, zone)
		w.at("network", "zones").warn(unusual, strconv.Itoa(i),
			"%s has had zones %s; which letters an account has differs, and the plan will tell",
			w.cfg.Region, strings.Join(strings.Split(letters, ""), ", "))
	}
	w.warn(w.cfg.Production() && n.NAT == "single", "network.nat", "all zones lose their way out with the first")
}
