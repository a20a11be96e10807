package main

import (
	"testing"

	"platform/internal/configtest"
	"platform/internal/stacktest"
)

// How many are synthesised. With the build tag e2e, which only make test passes, it is more.
var randomStacks = 5

// What a valid configuration makes keeps every promise, whatever it is.
func TestRandomConfigurationsKeepTheirPromises(t *testing.T) {
	g := configtest.NewGenerator(t)
	for range randomStacks {
		cfg, text := g.Valid(t)
		stack := synth(t, cfg, placeholder(t))
		read := parsed(t, stack)
		for _, promise := range promises() {
			if promise.Shipped {
				continue
			}
			for _, violation := range stacktest.Check(promise, read) {
				t.Errorf("seed %d: %s: %s\n%s", g.Seed, promise.Name, violation, text)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("seed %d: %d stacks", g.Seed, randomStacks)
}
