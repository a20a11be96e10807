package config

import (
	"fmt"
	"testing"
)

// A listener has at most a hundred rules.
func TestNumberOfRoutesIsLimited(t *testing.T) {
	t.Parallel()
	wantProblems(t, manyRoutes(100))
	wantProblems(t, manyRoutes(101), "3:1: services: want at most 100 rules on the load balancer, "+
		"one for each route and one for each blocked metrics path, have 101")
}

// manyRoutes is a file with so many routed services.
func manyRoutes(n int) string {
	text := minimal + "services:\n"
	for i := range n {
		text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', route: {priority: %d, paths: [/%d]}}\n", i, i+1, i)
	}
	return text
}
