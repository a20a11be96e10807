package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"
	"unicode"

	"github.com/goccy/go-yaml"
)

// fullText is what all options together ask for.
func fullText() prometheusText {
	return prometheusText{
		Name: "shop", Environment: "test", Stack: "shop-test", Region: "eu-central-1",
		ClusterARN:     "arn:aws:ecs:eu-central-1:123456789012:cluster/shop-test",
		ScrapeInterval: 30, CloudWatchInterval: 300,
		TopicARN:          "arn:aws:sns:eu-central-1:123456789012:shop-test-alerts",
		HeartbeatTopicARN: "arn:aws:sns:eu-central-1:123456789012:shop-test-heartbeat",
		Availability:      99.9, Latency: 99, LatencyThreshold: 1,
		ErrorLimit: errorLimit, ErrorRequests: errorRequests, LatencyLimit: 3,
		Database: true, DatabaseExporter: true, NATGateways: true, Certificates: true,
		RemoteWriteURL: "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
	}
}

// variants are the texts with each combination of the options, by a name.
func variants() map[string]prometheusText {
	all := map[string]prometheusText{}
	for _, interval := range []int{0, 60, 300, 900} {
		for options := range 32 {
			t := fullText()
			t.Database = options&16 == 0
			t.CloudWatchInterval, t.DatabaseExporter = interval, t.Database && options&1 > 0
			t.NATGateways, t.Certificates = options&2 > 0, options&4 > 0
			if options&8 > 0 {
				t.RemoteWriteURL = ""
			}
			all[fmt.Sprintf("interval %d, options %05b", interval, options)] = t
		}
	}
	return all
}

// TestWritePrometheusTexts writes the texts with all options, and the tests of the rules, to the
// folder that PROMETHEUS_TEXTS names: for promtool, amtool and yace.
func TestWritePrometheusTexts(t *testing.T) {
	folder := os.Getenv("PROMETHEUS_TEXTS")
	if folder == "" {
		folder = t.TempDir()
	}
	files := fullText().files()
	files["rules_test.yml"] = readText(t, "rules_test.yml")
	for name, text := range files {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// readText returns a file of the folder prometheus.
func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("prometheus", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readYAML parses a text, in which no key may occur twice.
func readYAML[T any](t *testing.T, text string) (out T) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("is no YAML: %v", err)
	}
	return out
}

func TestPrometheusTextsAreComplete(t *testing.T) {
	for name, text := range variants() {
		files := text.files()
		_, reads := files["cloudwatch.yml"]
		if reads != (text.CloudWatchInterval > 0) {
			t.Errorf("%s: cloudwatch.yml: %v", name, reads)
		}
		for file, content := range files {
			if strings.Contains(content, "[[") || strings.Contains(content, "]]") {
				t.Errorf("%s: %s contains a placeholder", name, file)
			}
			if strings.ContainsFunc(content, func(r rune) bool { return r > unicode.MaxASCII }) {
				t.Errorf("%s: %s is not ASCII", name, file)
			}
			if strings.Contains(content, "${") || strings.Contains(content, "%{") {
				t.Errorf("%s: %s contains what Terraform fills in", name, file)
			}
			if strings.HasSuffix(file, ".yml") {
				readYAML[map[string]any](t, content)
			}
		}
	}
}

// Each text belongs to an option: without it, no rule and no number of the page looks for its
// metrics.
func TestPrometheusLooksForNothingThatIsNotConfigured(t *testing.T) {
	without := func(change func(*prometheusText), names string) {
		text := fullText()
		change(&text)
		for file, content := range text.files() {
			if found := regexp.MustCompile(names).FindString(content); found != "" {
				t.Errorf("%s mentions %s", file, found)
			}
		}
	}
	without(func(t *prometheusText) { t.CloudWatchInterval = 0 },
		`aws_[a-rt-z]|yace_|loadbalancer:|service:cpu|database:|backup_|cloudwatch`)
	without(func(t *prometheusText) { t.Database, t.DatabaseExporter = false, false },
		`pg_|(?i:database|backup|rds|dump|lambda|scheduler|schedule_group|function)`)
	without(func(t *prometheusText) { t.DatabaseExporter = false }, `pg_[a-ce-qs-z]\w+`)
	without(func(t *prometheusText) { t.NATGateways = false }, `AWS/NATGateway|aws_natgateway`)
	without(func(t *prometheusText) { t.Certificates = false }, `CertificateManager|certificate:|aws_certificate`)
	without(func(t *prometheusText) { t.RemoteWriteURL = "" }, `remote_write|remote_storage`)
}

// A new text replaces the task, whose history is on its disk.
func TestAServiceDoesNotChangePrometheusTexts(t *testing.T) {
	one := newPrometheusText(parse(t, "dev", minimal), testClusterARN)
	more := newPrometheusText(parse(t, "dev", minimal+
		"services: {web: {"+demonstration+"}, "+
		"api: {image: quay.io/x/api:1, metrics: {enabled: true}}}\n"), testClusterARN)
	if !maps.Equal(one.files(), more.files()) {
		t.Error("a service changes the texts")
	}
}

// ECS accepts 64 KiB for a task definition, in which the texts are. A quarter of that stays free.
func TestPrometheusTextsFitIntoATaskDefinition(t *testing.T) {
	const limit = 44 << 10 // and 4 KiB for the containers
	if size := len(marshal(fullText().files())); size > limit {
		t.Errorf("the texts have %d bytes, want at most %d", size, limit)
	}
}

func TestObjectivesBecomeThresholds(t *testing.T) {
	text := fullText()
	text.Availability, text.Latency, text.LatencyThreshold = 99.95, 98.5, 0.25
	text.CloudWatchInterval = 60
	rules := text.files()["rules.yml"]
	for _, want := range []string{
		"loadbalancer:error_ratio:1h > 14.4 * 0.0005 and", "service:slow_ratio:6h > 6 * 0.015 and",
		"The objective allows 0.05%.", "took longer than 0.25 s. The objective allows 1.5%.",
		"avg by (service) (aws_applicationelb_target_response_time_pr__0_25_{", ",service=\"\"})\n          / 60",
		"error_ratio:10m > 5 / 100", "target_response_time_p99 > 3)",
	} {
		if !strings.Contains(strings.Join(strings.Fields(rules), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("rules.yml does not contain %q", want)
		}
	}
	if scrapes := text.files()["cloudwatch.yml"]; !strings.Contains(scrapes, "statistics: [p50, p99, 'PR(:0.25)']") {
		t.Error("cloudwatch.yml asks for another percentile rank")
	}
}

// ---- CloudWatch -------------------------------------------------------------------------------

// exporterConfig is what the tests need of cloudwatch.yml.
type exporterConfig struct {
	Discovery struct {
		Jobs []exporterJob `yaml:"jobs"`
	} `yaml:"discovery"`
	CustomNamespace []exporterJob `yaml:"customNamespace"`
}

type exporterJob struct {
	Type       string              `yaml:"type"` // of a discovery job: its namespace
	Name       string              `yaml:"name"`
	Namespace  string              `yaml:"namespace"`
	SearchTags []map[string]string `yaml:"searchTags"`
	Dimensions []string            `yaml:"dimensionNameRequirements"`
	Period     int                 `yaml:"period"`
	Length     int                 `yaml:"length"`
	Delay      int                 `yaml:"delay"`
	NilToZero  bool                `yaml:"nilToZero"`
	Statistics []string            `yaml:"statistics"`
	Metrics    []exporterMetric    `yaml:"metrics"`
}

type exporterMetric struct {
	Name       string   `yaml:"name"`
	Statistics []string `yaml:"statistics"`
	NilToZero  bool     `yaml:"nilToZero"`
}

func (c exporterConfig) jobs() []exporterJob {
	return slices.Concat(c.Discovery.Jobs, c.CustomNamespace)
}

// statistics are those of a metric, or else those of its job.
func (j exporterJob) statistics(m exporterMetric) []string {
	if len(m.Statistics) > 0 {
		return m.Statistics
	}
	return j.Statistics
}

// series are the names of the exporter's metrics, as Prometheus stores them.
func (c exporterConfig) series() map[string]bool {
	names := map[string]bool{}
	for _, job := range c.jobs() {
		for _, metric := range job.Metrics {
			for _, statistic := range job.statistics(metric) {
				names[job.series(metric.Name, statistic)] = true
			}
		}
	}
	return names
}

func (j exporterJob) series(metric, statistic string) string {
	if ownMetric.MatchString(j.Name) { // prometheus.yml replaces the name
		return j.Name
	}
	namespace := strings.ToLower(strings.ReplaceAll(j.Type+j.Namespace, "/", "_"))
	return "aws_" + strings.TrimPrefix(namespace, "aws_") + "_" + exporterWords(metric) + "_" + exporterWords(statistic)
}

var ownMetric = regexp.MustCompile(`^(backup|database)_[a-z_]+$`)

// exporterWords is how the exporter writes a CloudWatch name in the name of a series: PromString of
// pkg/promutil/prometheus.go, v0.67.0.
func exporterWords(name string) string {
	var words strings.Builder
	previous := ' '
	for _, r := range name {
		switch {
		case strings.ContainsRune(" ,/.-:=()", r):
			words.WriteByte('_')
		case r == '%':
			words.WriteString("_percent")
		default:
			if unicode.IsUpper(r) && (unicode.IsLower(previous) || unicode.IsDigit(previous)) {
				words.WriteByte('_')
			}
			words.WriteRune(unicode.ToLower(r))
		}
		previous = r
	}
	return words.String()
}

func TestTheExportersNames(t *testing.T) {
	job := exporterJob{Type: "AWS/ApplicationELB"}
	for _, c := range []struct {
		job                     exporterJob
		metric, statistic, want string
	}{
		{job, "HTTPCode_ELB_5XX_Count", "Sum", "aws_applicationelb_httpcode_elb_5_xx_count_sum"},
		{job, "TargetResponseTime", "PR(:0.5)", "aws_applicationelb_target_response_time_pr__0_5_"},
		{exporterJob{Type: "AWS/RDS"}, "EBSIOBalance%", "Minimum", "aws_rds_ebsiobalance_percent_minimum"},
		{exporterJob{Type: "AWS/ECS"}, "CPUUtilization", "Maximum", "aws_ecs_cpuutilization_maximum"},
		{exporterJob{Namespace: "shop/Backup", Name: "backup_x"}, "X", "Sum", "backup_x"},
	} {
		if have := c.job.series(c.metric, c.statistic); have != c.want {
			t.Errorf("%s %s: want %s, have %s", c.metric, c.statistic, c.want, have)
		}
	}
	text := fullText()
	text.LatencyThreshold = 0.5
	if want := job.series("TargetResponseTime", text.PercentileRank()); text.PercentileRankMetric() != want {
		t.Errorf("want %s, have %s", want, text.PercentileRankMetric())
	}
}

// A misspelt series is no error for Prometheus: its alert would never fire.
func TestEverySeriesOfCloudWatchIsRead(t *testing.T) {
	names := regexp.MustCompile(`\b(aws_[a-z0-9_]+|(?:backup|database)_[a-z]+_[a-z_]+)\b`)
	for name, text := range variants() {
		files := text.files()
		if text.CloudWatchInterval == 0 {
			continue
		}
		read := readYAML[exporterConfig](t, files["cloudwatch.yml"]).series()
		for _, file := range []string{"rules.yml", "consoles/overview.html"} {
			content := regexp.MustCompile(`docs/runbooks/\S+`).ReplaceAllString(files[file], "")
			found := names.FindAllString(content, -1)
			if len(found) < 5 {
				t.Errorf("%s: %s has only %q", name, file, found)
			}
			for _, series := range found {
				if !read[series] {
					t.Errorf("%s: %s uses %s, which cloudwatch.yml does not read", name, file, series)
				}
			}
		}
	}
}

// The exporter has no times: it repeats the newest datapoint of the window until the next one. A
// metric without a value for every period must not have a longer window, or errors count twice; and
// a window that is not aligned divides a datapoint.
func TestEachDatapointOfASumIsReadOnce(t *testing.T) {
	for name, text := range variants() {
		if text.CloudWatchInterval == 0 {
			continue
		}
		for _, job := range readYAML[exporterConfig](t, text.files()["cloudwatch.yml"]).jobs() {
			at := fmt.Sprintf("%s: %s%s %v", name, job.Type, job.Namespace, job.Dimensions)
			if job.Period%60 != 0 || job.Length < job.Period || job.Delay%job.Period != 0 {
				t.Errorf("%s: period %d, length %d, delay %d", at, job.Period, job.Length, job.Delay)
			}
			sums := 0
			for _, metric := range job.Metrics {
				if slices.Contains(job.statistics(metric), "Sum") {
					sums++
					if !job.NilToZero && !metric.NilToZero {
						t.Errorf("%s: %s is NaN without a datapoint", at, metric.Name)
					}
				}
			}
			if sums > 0 && (job.Period != text.CloudWatchInterval || job.Length != job.Period) {
				t.Errorf("%s: has sums, period %d and length %d", at, job.Period, job.Length)
			}
			if sums > 0 && job.Delay < 120 {
				t.Errorf("%s: the newest datapoint is not complete after %d seconds", at, job.Delay)
			}
		}
	}
}

// Tags are compared as regular expressions, so another stack's must not match by chance.
func TestTheExporterFindsThisStackOnly(t *testing.T) {
	text := fullText()
	text.Name, text.Environment = "shop", "a+b"
	for _, job := range readYAML[exporterConfig](t, text.files()["cloudwatch.yml"]).Discovery.Jobs {
		want := []map[string]string{
			{"key": "Application", "value": "^shop$"}, {"key": "Environment", "value": `^a\+b$`},
		}
		if !slices.EqualFunc(job.SearchTags, want, maps.Equal) {
			t.Errorf("%s: searches %v", job.Type, job.SearchTags)
		}
	}
	for _, job := range readYAML[exporterConfig](t, text.files()["cloudwatch.yml"]).CustomNamespace {
		if job.Namespace != "AWS/Scheduler" && !strings.HasPrefix(job.Namespace, text.Stack+"/") {
			t.Errorf("%s reads the namespace %s", job.Name, job.Namespace)
		}
	}
}

// relabelledSeries returns the labels that a series of the exporter is stored with; kept is false if
// it is not stored.
func relabelledSeries(t *testing.T, series map[string]string) (labels map[string]string, kept bool) {
	t.Helper()
	type config struct {
		Jobs []struct {
			Name   string        `yaml:"job_name"`
			Series []relabelling `yaml:"metric_relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	for _, job := range readYAML[config](t, fullText().files()["prometheus.yml"]).Jobs {
		if job.Name == "cloudwatch" {
			return relabelled(t, job.Series, series)
		}
	}
	t.Fatal("no job reads the exporter")
	return nil, false
}

func TestSeriesOfCloudWatchGetThePlatformsLabels(t *testing.T) {
	const balancer = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop-test/1"
	const group = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop-test-web-ab/2"
	for name, c := range map[string]struct{ series, want map[string]string }{
		"of the load balancer": {
			map[string]string{
				"__name__": "aws_x", "name": balancer, "region": "r", "account_id": "1",
				"dimension_LoadBalancer": "app/shop-test/1", "tag_Name": "shop-test-load-balancer",
			},
			map[string]string{"__name__": "aws_x"},
		},
		"of a service's target group": {
			map[string]string{
				"__name__": "aws_x", "name": group, "dimension_LoadBalancer": "app/shop-test/1",
				"dimension_TargetGroup": "targetgroup/shop-test-web-ab/2", "tag_Name": "shop-test-web",
			},
			map[string]string{"__name__": "aws_x", "service": "web", "target_group": "shop-test-web-ab/2"},
		},
		"of a target group that was deleted": {map[string]string{
			"__name__": "aws_x", "name": balancer, "dimension_LoadBalancer": "app/shop-test/1",
			"dimension_TargetGroup": "targetgroup/shop-test-old-ab/2", "tag_Name": "shop-test-load-balancer",
		}, nil},
		"of an ECS service": {
			map[string]string{"__name__": "aws_x", "dimension_ServiceName": "web", "dimension_ClusterName": "x"},
			map[string]string{"__name__": "aws_x", "service": "web"},
		},
		"of a NAT gateway": {
			map[string]string{"__name__": "aws_x", "dimension_NatGatewayId": "nat-1", "tag_Name": "shop-test-a"},
			map[string]string{"__name__": "aws_x", "zone": "a"},
		},
		"of the database": {
			map[string]string{"__name__": "aws_x", "dimension_DBInstanceIdentifier": "shop-test-friday"},
			map[string]string{"__name__": "aws_x", "database": "shop-test-friday"},
		},
		"of a function": {
			map[string]string{"__name__": "aws_x", "dimension_FunctionName": "shop-test-backup"},
			map[string]string{"__name__": "aws_x", "function": "shop-test-backup"},
		},
		"of a certificate": {
			map[string]string{"__name__": "aws_x", "dimension_CertificateArn": "arn:c"},
			map[string]string{"__name__": "aws_x", "certificate": "arn:c"},
		},
		"of a group of schedules": {
			map[string]string{"__name__": "aws_x", "dimension_ScheduleGroup": "shop-test-backup", "name": "scheduler"},
			map[string]string{"__name__": "aws_x", "schedule_group": "shop-test-backup"},
		},
		"of another stack's schedules": {
			map[string]string{"__name__": "aws_x", "dimension_ScheduleGroup": "shop-test-b-backup"}, nil,
		},
		"of the stack's own namespace": {
			map[string]string{
				"__name__": "aws_shop_test_backup_newest_backup_age_minimum",
				"name":     "backup_newest_snapshot_age_seconds", "dimension_DBInstanceIdentifier": "shop-test",
			},
			map[string]string{"__name__": "backup_newest_snapshot_age_seconds", "database": "shop-test"},
		},
		"a list of tags": {map[string]string{"__name__": "aws_applicationelb_info", "name": group}, nil},
		"of the program": {map[string]string{"__name__": "go_goroutines"}, nil},
		"errors of its calls": {
			map[string]string{"__name__": "yace_cloudwatch_request_errors", "api_name": "ListMetrics"},
			map[string]string{"__name__": "yace_cloudwatch_request_errors", "api_name": "ListMetrics"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			labels, kept := relabelledSeries(t, c.series)
			if kept != (c.want != nil) || kept && !maps.Equal(labels, c.want) {
				t.Errorf("kept %v, want %v, have %v", kept, c.want, labels)
			}
		})
	}
}

// ---- Alerts -----------------------------------------------------------------------------------

// alertRule is an alert of rules.yml.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// alertRules are the alerts with all options, in the order of the text.
func alertRules(t *testing.T) (alerts []alertRule) {
	t.Helper()
	type rules struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	for _, group := range readYAML[rules](t, fullText().files()["rules.yml"]).Groups {
		for _, rule := range group.Rules {
			if rule.Alert != "" {
				alerts = append(alerts, rule)
			}
		}
	}
	return alerts
}

const signOfLife = "Watchdog" // the alert that always fires, and notifies nobody

func TestEveryAlertSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	sections := runbookSections(t)
	names := map[string]bool{}
	for _, alert := range alertRules(t) {
		if names[alert.Alert] {
			t.Errorf("%s occurs twice", alert.Alert)
		}
		names[alert.Alert] = true
		if summary := alert.Annotations["summary"]; !regexp.MustCompile(`^[A-Z{].{20,}\.$`).MatchString(summary) {
			t.Errorf("%s: want a sentence, have %q", alert.Alert, summary)
		}
		if alert.Alert == signOfLife {
			continue
		}
		if severity := alert.Labels["severity"]; severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity: want page or ticket, have %q", alert.Alert, severity)
		}
		section, found := strings.CutPrefix(alert.Annotations["runbook"], "docs/runbooks/")
		if !found || !sections[section] {
			t.Errorf("%s: runbook: %q is no section", alert.Alert, alert.Annotations["runbook"])
		}
	}
}

// A rule that has never been seen to fire, or to be silent, is a guess.
func TestEveryAlertIsTestedFiringAndSilent(t *testing.T) {
	type unitTests struct {
		Tests []struct {
			Name   string `yaml:"name"`
			Alerts []struct {
				Name     string           `yaml:"alertname"`
				Expected []map[string]any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	fires, silent, inNewTask := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, test := range readYAML[unitTests](t, readText(t, "rules_test.yml")).Tests {
		for _, alert := range test.Alerts {
			if len(alert.Expected) > 0 {
				fires[alert.Name] = true
			} else {
				silent[alert.Name] = true
			}
			if i == 0 && len(alert.Expected) == 0 { // a new task, which has no history
				inNewTask[alert.Name] = true
			}
		}
	}
	for _, alert := range alertRules(t) {
		if !fires[alert.Alert] {
			t.Errorf("rules_test.yml does not show that %s fires", alert.Alert)
		}
		if alert.Alert == signOfLife {
			continue
		}
		if !silent[alert.Alert] || !inNewTask[alert.Alert] {
			t.Errorf("rules_test.yml does not show that %s is silent, or not in a new task", alert.Alert)
		}
	}
}

// A subject that SNS refuses is a lost alert: 100 or more characters, others than ASCII, line
// breaks. https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
func TestSNSAcceptsTheSubjectWhateverTheLabelsAre(t *testing.T) {
	type config struct {
		Receivers []struct {
			SNS []struct {
				Subject string `yaml:"subject"`
			} `yaml:"sns_configs"`
		} `yaml:"receivers"`
	}
	subject := readYAML[config](t, fullText().files()["alertmanager.yml"]).Receivers[0].SNS[0].Subject
	parsed, err := template.New("subject").Option("missingkey=zero").Funcs(template.FuncMap{
		"toUpper": strings.ToUpper, // as in Alertmanager
		"reReplaceAll": func(pattern, with, text string) string {
			return regexp.MustCompile(pattern).ReplaceAllString(text, with)
		},
	}).Parse(subject)
	if err != nil {
		t.Fatal(err)
	}
	render := func(name, service string) string {
		var out strings.Builder
		if err := parsed.Execute(&out, map[string]any{
			"Status":       "firing",
			"CommonLabels": map[string]string{"severity": "page"},
			"GroupLabels":  map[string]string{"alertname": name, "service": service},
		}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for _, c := range []struct{ name, service, want string }{
		{"ErrorBudgetFast", "", "FIRING page: ErrorBudgetFast (shop-test)"},
		{"TaskBusy", "web", "FIRING page: TaskBusy web (shop-test)"},
		{"TaskBusy", "w\u00f6b\n\tx", "FIRING page: TaskBusy w?b??x (shop-test)"},
	} {
		if have := render(c.name, c.service); have != c.want {
			t.Errorf("want %q, have %q", c.want, have)
		}
	}
	long := render("Long", strings.Repeat("\u00fc", 300))
	if len(long) != 99 {
		t.Errorf("the longest subject has %d bytes", len(long))
	}
}
