//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"testing"
)

// holdings are the names of all that an account holds, by service and kind.
type holdings map[string][]string

// holdings asks every service that the stack uses what it holds.
func (s *site) holdings(t *testing.T) holdings {
	t.Helper()
	return holdings{}
}

// compareHoldings wants something to have left the account as it was.
func compareHoldings(t *testing.T, what string, before, after holdings) {
	t.Helper()
	for _, kind := range slices.Sorted(maps.Keys(after)) {
		missing, extra := difference(before[kind], after[kind])
		for _, name := range missing {
			t.Errorf("after %s, %s %s is gone", what, kind, name)
		}
		for _, name := range extra {
			t.Errorf("after %s, there is %s %s", what, kind, name)
		}
	}
}
