//go:build e2e

package e2e

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/python"
)

//go:embed checkov/requirements.txt
var checkov []byte

// acceptedFinding is a finding that is accepted, with the reason.
type acceptedFinding struct {
	check, addresses string // of resources: a regular expression
	reason           string
}

var accepted = []acceptedFinding{
	// By design.
	{
		"CKV_AWS_260",
		`^aws_vpc_security_group_ingress_rule\.load_balancer_http_ingress_`,
		"the load balancer is the public entry point; with HTTPS, its port 80 only redirects",
	},
	{
		"CKV_AWS_378",
		`^aws_lb_target_group\.`,
		"TLS ends at the load balancer; traffic to the tasks is inside the VPC, between two security groups",
	},
	{
		"CKV_AWS_338",
		`^aws_cloudwatch_log_group\.`,
		"the setting log_retention decides: by default, 14 days in development and 90 in production",
	},
	{
		"CKV_AWS_18",
		`^aws_s3_bucket\.`,
		"a bucket for access logs of log buckets would need access logs itself; CloudTrail data events are " +
			"enabled per account",
	},
	{"CKV_AWS_144", `^aws_s3_bucket\.`, "the stack is in one region; the database has snapshots"},
	{"CKV2_AWS_62", `^aws_s3_bucket\.`, "no application waits for new objects"},
	{
		"CKV_AWS_145",
		`^aws_s3_bucket\.access_logs_bucket$`,
		"ELB supports SSE-S3 only for access logs",
	},
	// The backup function.
	{"CKV_AWS_50", `^aws_lambda_function\.`, "its few invocations are covered by logs and metrics"},
	{
		"CKV_AWS_272",
		`^aws_lambda_function\.`,
		"whoever may change the code may also change the policy that would check its signature",
	},
	{
		"CKV_AWS_117",
		`^aws_lambda_function\.backup_function$`,
		"it only calls AWS's API and needs no resource in the VPC",
	},
	{"CKV_AWS_116", `^aws_lambda_function\.`, "after two retries, failures go to the alerts topic"},
	{"CKV_AWS_297", `^aws_scheduler_schedule\.`, "a schedule's input is a word, such as backup, and a time"},
	// Disabled in development, to save costs.
	{
		"CKV2_AWS_5",
		`^aws_security_group\.database_(drill|dump|restore)_security_group$`,
		"its tasks are started by a schedule or by hand",
	},
	{"CKV_AWS_2", `^aws_lb_listener\.http_listener$`, "development has no domain, and so no certificate"},
	{"CKV_AWS_103", `^aws_lb_listener\.http_listener$`, "as above"},
	{"CKV2_AWS_20", `^aws_lb\.load_balancer$`, "as above"},
	{"CKV_AWS_150", `^aws_lb\.load_balancer$`, "development can be destroyed"},
	{"CKV_AWS_293", `^aws_db_instance\.database$`, "as above"},
	{"CKV2_AWS_28", `^aws_lb\.load_balancer$`, "the firewall is enabled in production only"},
	{"CKV_AWS_157", `^aws_db_instance\.database$`, "the standby exists in production only"},
	// False positive.
	{
		"CKV2_AWS_76",
		`^aws_lb\.load_balancer$`,
		"the rules against Log4j are in AWSManagedRulesKnownBadInputsRuleSet, which is enabled; the check also " +
			"wants AWSManagedRulesAnonymousIpList, which would block users of a VPN",
	},
}

// finding is a failed check of a resource.
type finding struct {
	Check   string `json:"check_id"`
	Name    string `json:"check_name"`
	Address string `json:"resource"`
}

// Checkov scans the plan for an empty account. Each of its findings must be accepted, and each
// accepted finding must be found.
func TestCheckovFindsOnlyAcceptedFindings(t *testing.T) {
	t.Parallel()
	scanner, err := python.Environment(alive, "checkov", checkov, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	met := map[int]bool{}
	for _, environment := range environments(t) {
		s := newSandbox(t, environment)
		s.synthesise(t, s.shipped(t))
		passed, failed := s.scan(t, scanner)
		if passed < 250 {
			t.Errorf("%s: only %d checks passed, so checkov may not have read the plan", environment, passed)
		}
		for _, f := range failed {
			i := slices.IndexFunc(accepted, func(a acceptedFinding) bool {
				return a.check == f.Check && regexp.MustCompile(a.addresses).MatchString(f.Address)
			})
			if i < 0 {
				t.Errorf("%s: %s: %s: %s", environment, f.Address, f.Check, f.Name)
				continue
			}
			met[i] = true
		}
		fmt.Printf("%s: %s: %d checks passed, %d findings\n", t.Name(), environment, passed, len(failed))
	}
	for i, a := range accepted {
		if !met[i] {
			t.Errorf("%s of %s is not found any more: remove it from accepted", a.check, a.addresses)
		}
	}
}

// scan creates a plan and scans it with checkov.
func (s *sandbox) scan(t *testing.T, scanner string) (passed int, failed []finding) {
	t.Helper()
	s.plan(t)
	plan, err := s.terraform(t, "show", "-json", "plan")
	if err != nil {
		t.Fatalf("terraform show: %v\n%s", err, tail(plan, 20))
	}
	file := filepath.Join(s.folder, "plan.json")
	if err := os.WriteFile(file, []byte(plan), 0o644); err != nil {
		t.Fatal(err)
	}
	// The exit status is not 0 for findings and for failures; only the report tells them apart.
	out, err := s.run(t, scanner, "-m", "checkov.main", "--file", file, "--framework", "terraform_plan",
		"--output", "json", "--compact", "--quiet", "--skip-download")
	var report struct {
		Summary struct {
			Passed        int `json:"passed"`
			ParsingErrors int `json:"parsing_errors"`
		} `json:"summary"`
		Results struct {
			Failed []finding `json:"failed_checks"`
		} `json:"results"`
	}
	start := strings.IndexByte(out, '{')
	if start < 0 || json.Unmarshal([]byte(out[start:]), &report) != nil || report.Summary.ParsingErrors > 0 {
		t.Fatalf("checkov: %v\n%s", err, tail(out, 40))
	}
	return report.Summary.Passed, report.Results.Failed
}
