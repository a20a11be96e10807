package main

import (
	"fmt"
	"net/netip"
	"testing"
)

// Pinned: a subnet whose block changes is replaced with all that is in it.
func TestSubnetsBlocks(t *testing.T) {
	for _, c := range []struct {
		vpc  string
		tier tier
		zone string
		want string
	}{
		{"10.0.0.0/16", privateTier, "a", "10.0.0.0/21"},
		{"10.0.0.0/16", privateTier, "b", "10.0.8.0/21"},
		{"10.0.0.0/16", privateTier, "h", "10.0.56.0/21"},
		{"10.0.0.0/16", publicTier, "a", "10.0.64.0/21"},
		{"10.0.0.0/16", publicTier, "c", "10.0.80.0/21"},
		{"10.0.0.0/16", databaseTier, "a", "10.0.128.0/21"},
		{"10.0.0.0/16", databaseTier, "h", "10.0.184.0/21"},
		{"172.31.0.0/20", publicTier, "b", "172.31.4.128/25"},
		{"192.168.252.0/22", privateTier, "a", "192.168.252.0/27"},
		{"192.168.252.0/22", databaseTier, "h", "192.168.254.224/27"},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.vpc, c.tier.name, c.zone), func(t *testing.T) {
			if got := subnetCIDR(netip.MustParsePrefix(c.vpc), c.tier, c.zone).String(); got != c.want {
				t.Errorf("is %s, want %s", got, c.want)
			}
		})
	}
}

// For every size of VPC, and VPCs at the edges of the private ranges: a zone's block lies in the
// VPC, is of the size that was promised, meets no other, and leaves the fourth quarter free.
func TestSubnetsLieInTheVPCAndNeverOverlap(t *testing.T) {
	last := func(p netip.Prefix) netip.Addr {
		address := p.Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			address[bit/8] |= 0x80 >> (bit % 8)
		}
		return netip.AddrFrom4(address)
	}
	for bits := 16; bits <= 22; bits++ {
		for _, base := range []string{
			"10.0.0.0", "10.255.255.255", "10.77.123.45", "172.16.0.0", "172.31.255.255", "192.168.0.0",
			"192.168.255.255",
		} {
			vpc := netip.PrefixFrom(netip.MustParseAddr(base), bits).Masked()
			fourth := netip.PrefixFrom(last(vpc), bits+2).Masked()
			blocks := map[string]netip.Prefix{"the free quarter": fourth}
			for _, tier := range []tier{privateTier, publicTier, databaseTier} {
				for zone := 'a'; zone <= 'h'; zone++ {
					name := tier.name + " " + string(zone)
					block := subnetCIDR(vpc, tier, string(zone))
					if block.Bits() != bits+5 || block.Masked() != block {
						t.Errorf("%s: %s is %s", vpc, name, block)
					}
					if !vpc.Contains(block.Addr()) || !vpc.Contains(last(block)) {
						t.Errorf("%s: %s is outside, %s", vpc, name, block)
					}
					for other, taken := range blocks {
						if block.Overlaps(taken) {
							t.Errorf("%s: %s (%s) overlaps %s (%s)", vpc, name, block, other, taken)
						}
					}
					blocks[name] = block
				}
			}
			if len(blocks) != 3*8+1 {
				t.Errorf("%s: %d blocks", vpc, len(blocks))
			}
		}
	}
}

// Whatever zones there are besides, and in whatever order.
func TestSubnetsBlockDependsOnItsZonesLetterAlone(t *testing.T) {
	vpc := netip.MustParsePrefix("10.9.0.0/18")
	for _, zones := range []string{"[h, c]", "[c, a, h, b]"} {
		stack := synth(t, parse(t, "dev", minimal+"network: {cidr: 10.9.0.0/18, zones: "+zones+"}\n"), placeholder(t))
		subnets := stack["resource"].(tree)["aws_subnet"].(tree)
		for _, tier := range []tier{privateTier, publicTier, databaseTier} {
			for _, zone := range []string{"c", "h"} {
				id := tier.name + "_subnet_" + zone
				subnet, ok := subnets[id].(tree)
				if !ok {
					t.Fatalf("zones %s: there is no %s", zones, id)
				}
				if got, want := subnet["cidr_block"], subnetCIDR(vpc, tier, zone).String(); got != want {
					t.Errorf("zones %s: %s is %s, want %s", zones, id, got, want)
				}
			}
		}
	}
}
