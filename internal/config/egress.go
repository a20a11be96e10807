package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"platform/internal/config/yaml"
)

// Egress is a TCP port on which the tasks of a service may connect to other hosts.
type Egress struct {
	Port int      `yaml:"port" allowed:"1..65535" short:"true"` // TCP port of the other host
	To   []string `yaml:"to" allowed:"~cidr"`                   // CIDR blocks of the other hosts
}

// everywhere is the block of all IPv4 addresses.
const everywhere = "0.0.0.0/0"

// egressElement is the path of an element of egress, whose defaults are egressDefaults.
var egressElement = regexp.MustCompile(`^services\.[^.]+\.egress\.[0-9]+$`)

func egressDefaults() Egress { return Egress{To: []string{everywhere}} }

const (
	httpsPort = 443 // open for every service
	smtpPort  = 25
)

func (c checker) egress(s Service) {
	seen := map[int]bool{}
	for i, e := range s.Egress {
		c := c.at("egress", strconv.Itoa(i))
		c.want(e.Port != httpsPort, "port", "must not be 443, which is open for every service")
		// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-resource-limits.html#port-25-throttle
		c.want(e.Port != smtpPort, "port",
			"want 587 or 465, the ports for sending mail: AWS blocks port 25, have 25")
		c.want(!seen[e.Port] || e.Port == 0, "port", "duplicate port %d: list all blocks in one to", e.Port)
		seen[e.Port] = true
		c.want(len(e.To) > 0, "to", "want at least one block, or remove the key for every address")
		c.cidrs("to", e.To)
		c.wayOut(e.To)
	}
}

// wayOut checks that tasks reach the blocks: without a NAT gateway, only those in the VPC.
func (c checker) wayOut(blocks []string) {
	n := c.cfg.Network
	if n.NAT != "none" {
		return
	}
	for i, block := range blocks {
		_, err := netip.ParsePrefix(block)
		c.want(err != nil || allContained([]string{n.CIDR}, []string{block}), yaml.Join("to", strconv.Itoa(i)),
			"want a block in network.cidr (%s): with network.nat: none, tasks reach nothing outside the VPC, have %s",
			n.CIDR, block)
	}
}

// opens reports whether tasks may connect to a port of other hosts.
func (s Service) opens(port int) bool {
	return port == httpsPort || slices.ContainsFunc(s.Egress, func(e Egress) bool { return e.Port == port })
}

// egressRules returns the number of rules in the security group of the service's tasks.
func (s Service) egressRules(n Network) int {
	rules := 1 + len(s.Calls) // HTTPS
	if len(n.Endpoints) > 0 {
		rules++
	}
	if s.UsesDatabase() {
		rules++
	}
	for _, e := range s.Egress {
		rules += len(e.To)
	}
	return rules
}
