//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"platform/internal/emulator"
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

// callsWereChecked checks that an emulator held all calls of the test against AWS's models, and
// those of the functions against the policies of their roles. A refused call fails the test
// although something may have tolerated the error.
func callsWereChecked(t *testing.T, server *emulator.Server) {
	t.Helper()
	report, err := server.Report(alive)
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
	for _, call := range slices.Sorted(maps.Keys(report.Denied)) {
		t.Errorf("%d calls were denied: %s", report.Denied[call], call)
	}
	if checked.add(report.Checked) == 0 {
		t.Error("no call was held against AWS's models")
	}
}

// notUsedHere are the rights of the functions' roles that no run in an emulator can use, with the
// reason. The name is the statement's Sid and the action.
var notUsedHere = map[string]string{
	"Network: ec2:DeleteNetworkInterface":     "Lambda itself uses it after the deletion of the function",
	"Network: ec2:AssignPrivateIpAddresses":   "Lambda itself uses it, for functions with many network interfaces",
	"Network: ec2:UnassignPrivateIpAddresses": "Lambda itself uses it, for functions with many network interfaces",
	"Restart: ecs:DescribeServices":           "the function uses it when a step of a rotation is repeated",
	"ReportFailure: sns:Publish":              "Lambda itself uses it for failed asynchronous invocations",
	"ReportFailureKey: kms:Decrypt":           "with sns:Publish",
	"ReportFailureKey: kms:GenerateDataKey":   "with sns:Publish",
}

// rightsWereUsed checks that calls have used every action that the roles of the functions allow.
func (s *sandbox) rightsWereUsed(t *testing.T) string {
	t.Helper()
	report, err := s.server.Report(alive)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, right := range slices.Sorted(maps.Keys(report.Granted)) {
		_, name, _ := strings.Cut(right, ": ")
		reason, excepted := notUsedHere[name]
		switch n := report.Granted[right]; {
		case n > 0 && excepted:
			t.Errorf("%s was used, but notUsedHere says: %s", right, reason)
		case n > 0:
			used++
		case !excepted:
			t.Errorf("no call used %s", right)
		}
	}
	if used == 0 {
		t.Error("no call was evaluated against the policy of a role")
	}
	return fmt.Sprintf("%d of %d actions were used", used, len(report.Granted))
}
