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

// acceptance is a finding that stands, and why.
type acceptance struct {
	check, addresses string // of resources: a regular expression
	reason           string
}

var accepted = []acceptance{
	// By design.
	{
		"CKV_AWS_260",
		`^aws_vpc_security_group_ingress_rule\.load_balancer_http_ingress_`,
		"the balancer is the one thing that the internet reaches; with HTTPS its port 80 only redirects",
	},
	{
		"CKV_AWS_378",
		`^aws_lb_target_group\.`,
		"TLS ends at the balancer; from there to the tasks is inside the VPC, between two security groups",
	},
	{
		"CKV_AWS_338",
		`^aws_cloudwatch_log_group\.`,
		"how long logs are kept is log_retention's to say: 14 days in development, 90 in production",
	},
	{
		"CKV_AWS_18",
		`^aws_s3_bucket\.`,
		"a log of who reads the logs would need one itself; the data events of CloudTrail are an account's to " +
			"switch on",
	},
	{"CKV_AWS_144", `^aws_s3_bucket\.`, "one region; of what matters, the database, RDS keeps snapshots"},
	{"CKV2_AWS_62", `^aws_s3_bucket\.`, "nobody waits for an object"},
	{
		"CKV_AWS_145",
		`^aws_s3_bucket\.access_logs_bucket$`,
		"a balancer writes its access logs to buckets with S3's own encryption only",
	},
	// The backup function.
	{"CKV_AWS_50", `^aws_lambda_function\.`, "a call a night and one an hour: its log and metrics tell all of it"},
	{
		"CKV_AWS_272",
		`^aws_lambda_function\.`,
		"who may change the function's code may change the policy that would check its signature",
	},
	{
		"CKV_AWS_117",
		`^aws_lambda_function\.backup_function$`,
		"it talks to AWS's API alone, and needs nothing in the VPC",
	},
	{"CKV_AWS_116", `^aws_lambda_function\.`, "its failures go to the topic, and so to a person, after two retries"},
	{"CKV_AWS_297", `^aws_scheduler_schedule\.`, "a schedule's input is the word backup or report and a time"},
	// What production has and development saves.
	{"CKV_AWS_2", `^aws_lb_listener\.http_listener$`, "development has no domain, and so no certificate"},
	{"CKV_AWS_103", `^aws_lb_listener\.http_listener$`, "as above"},
	{"CKV2_AWS_20", `^aws_lb\.load_balancer$`, "as above"},
	{"CKV_AWS_150", `^aws_lb\.load_balancer$`, "development goes away without a trace"},
	{"CKV_AWS_293", `^aws_db_instance\.database$`, "as above"},
	{"CKV2_AWS_28", `^aws_lb\.load_balancer$`, "the firewall is production's"},
	{"CKV_AWS_157", `^aws_db_instance\.database$`, "the standby is production's"},
	// Not so.
	{
		"CKV2_AWS_76",
		`^aws_lb\.load_balancer$`,
		"the rules against Log4j are among AWS's known bad inputs, which are there; it wants the list of anonymous " +
			"addresses too, and that would lock out whoever comes by a VPN",
	},
}

// finding is what checkov has against a resource.
type finding struct {
	Check   string `json:"check_id"`
	Name    string `json:"check_name"`
	Address string `json:"resource"`
}

// Checkov reads the plan as it is made for an empty account, and finds nothing but what is
// accepted, with reasons.
func TestScanFindsNothingButWhatIsAccepted(t *testing.T) {
	t.Parallel()
	scanner, err := python.Environment(alive, "checkov", checkov, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	met := map[int]bool{}
	for _, environment := range environments(t) {
		s := newSite(t, environment)
		s.synthesise(t, s.shipped(t))
		passed, failed := s.scan(t, scanner)
		if passed < 250 {
			t.Errorf("%s: only %d checks passed: is the plan read at all?", environment, passed)
		}
		for _, f := range failed {
			i := slices.IndexFunc(accepted, func(a acceptance) bool {
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
			t.Errorf("%s of %s is not found any more: do not accept it", a.check, a.addresses)
		}
	}
}

// scan plans and has the plan scanned.
func (s *site) scan(t *testing.T, scanner string) (passed int, failed []finding) {
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
	// It ends with 1 when it finds something, and with other codes when it fails; what it says
	// tells them apart.
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
