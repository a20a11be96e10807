//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// checked has the calls of all emulators that were held against AWS's models, by service.
var checked = &calls{byService: map[string]int{}}

type calls struct {
	mu        sync.Mutex
	byService map[string]int
}

func (c *calls) add(byService map[string]int) (sum int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for service, n := range byService {
		c.byService[service] += n
		sum += n
	}
	return sum
}

func (c *calls) String() string {
	if len(c.byService) == 0 {
		return ""
	}
	total := 0
	var lines strings.Builder
	for _, service := range slices.Sorted(maps.Keys(c.byService)) {
		total += c.byService[service]
		fmt.Fprintf(&lines, " %s %d", service, c.byService[service])
	}
	return fmt.Sprintf("%d calls were held against AWS's models:%s\n", total, lines.String())
}

// callsWereChecked checks that the emulator held all calls of the test against AWS's models. A
// violation fails the test although something may have tolerated the error.
func (s *sandbox) callsWereChecked(t *testing.T) {
	t.Helper()
	report, err := s.server.Report(alive)
	if err != nil {
		t.Error(err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(report.Unchecked)) {
		t.Errorf("%d calls were not checked, because botocore has no model: %s", report.Unchecked[name], name)
	}
	for _, violation := range slices.Sorted(maps.Keys(report.Violations)) {
		t.Errorf("%d calls violate AWS's model: %s", report.Violations[violation], violation)
	}
	if checked.add(report.Checked) == 0 {
		t.Error("no call was held against AWS's models")
	}
}
