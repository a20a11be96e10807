//go:build e2e

package e2e

import "testing"

// inspect looks at what stands, through AWS's API and never in the stack's file.
func (s *site) inspect(t *testing.T) {
	t.Helper()
}
