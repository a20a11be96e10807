package main

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"platform/internal/stacktest"
)

// promises are what every stack keeps. Each list is in the test file of the module that it is
// about.
func promises() []stacktest.Promise {
	return slices.Concat(
		databaseTLSPromises,
		databasePromises,
		rolePromises,
		permissionPromises,
		keyPromises,
		encryptionPromises,
		topicPromises,
		secretPromises,
		policyPromises,
		alarmPromises,
		dashboardPromises,
		backupPromises,
	)
}

func TestPromisesHold(t *testing.T) {
	stacktest.Hold(t, promises(), allStacks(t), shipped(t))
}

func TestPromisesFindWhatIsBroken(t *testing.T) {
	stacktest.FindBreaks(t, promises(), allStacks(t))
}

func TestPromisesHaveNamesOfTheirOwn(t *testing.T) {
	stacktest.Unambiguous(t, promises())
}

var (
	readStacks sync.Mutex
	stacksRead = map[string]stacktest.Stack{}
)

// allStacks returns the stacks that the promises are tested with, by name: those of config/ and
// those of otherStacks. Each is synthesised once.
func allStacks(t *testing.T) map[string]stacktest.Stack {
	t.Helper()
	readStacks.Lock()
	defer readStacks.Unlock()
	for _, name := range shipped(t) {
		if _, ok := stacksRead[name]; !ok {
			stacksRead[name] = parsed(t, synth(t, load(t, name), placeholder(t)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(otherStacks)) {
		if _, ok := stacksRead[name]; !ok {
			cfg := parse(t, otherStacks[name].environment, otherConfig(name))
			stacksRead[name] = parsed(t, synth(t, cfg, placeholder(t)))
		}
	}
	return stacksRead
}

// otherConfig is the text of a configuration of otherStacks.
func otherConfig(name string) string {
	text := otherStacks[name].config
	if strings.Contains(text, "\nname:") {
		return text
	}
	return "name: platform\nregion: eu-central-1\n" + text
}

// parsed reads a synthesised stack for the promises.
func parsed(t *testing.T, stack tree) stacktest.Stack {
	t.Helper()
	s, err := stacktest.Parse(text(t, stack))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
