package config

import (
	"slices"
	"testing"
)

func TestSortedZonesAreInOrder(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", minimal+"network: {zones: [c, a, b]}\n")
	if got := cfg.SortedZones(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("are %v", got)
	}
	if got := cfg.Network.Zones; !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("the file's order is %v", got)
	}
}
