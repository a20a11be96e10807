package main

import (
	"embed"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// prometheusText is what the texts in the folder prometheus are filled in with. Nothing in it
// depends on which services there are: a changed text replaces the task of Prometheus, whose
// history is on the task's disk.
type prometheusText struct {
	Name, Environment string // values of the tags Application and Environment
	Stack             string // begins all names
	Region            string
	ClusterARN        string

	ScrapeInterval     int // seconds between two reads of a task's metrics
	CloudWatchInterval int // seconds between two reads of CloudWatch's metrics; 0: they are not read

	TopicARN          string // where alerts go
	HeartbeatTopicARN string // where a sign of life goes every few minutes

	Availability     float64 // monitoring.objectives: percent of requests without a server error
	Latency          float64 // percent of requests that are answered in time
	LatencyThreshold float64 // seconds that are in time

	// Where CloudWatch's alarms begin, and Prometheus is silent: percent of requests of
	// load_balancer_errors, and seconds of service_latency.
	ErrorLimit, LatencyLimit float64
	ErrorRequests            int // requests a minute below which that alarm says nothing

	Database         bool   // there is one, with functions, schedules and backups
	DatabaseExporter bool   // PostgreSQL's own metrics are read
	NATGateways      bool   // there is at least one
	Certificates     bool   // the stack has a certificate of its own
	RemoteWriteURL   string // of the durable history; empty without one
}

// budget is the share that an objective allows to fail: 0.001 for 99.9 percent.
func budget(objective float64) float64 { return math.Round((100-objective)*1e7) / 1e9 }

// ErrorBudget and LatencyBudget are the shares of requests that may fail, or be slow.
func (t prometheusText) ErrorBudget() float64   { return budget(t.Availability) }
func (t prometheusText) LatencyBudget() float64 { return budget(t.Latency) }

// Percent is a share as a person writes it: 0.1% for 0.001.
func (prometheusText) Percent(share float64) string {
	return strconv.FormatFloat(math.Round(share*1e9)/1e7, 'f', -1, 64) + "%"
}

// Delay is how long before now the newest datapoint ends, in seconds: at least what AWS needs to
// complete it, and a multiple of the period.
func (t prometheusText) Delay(least int) int {
	return (least + t.CloudWatchInterval - 1) / t.CloudWatchInterval * t.CloudWatchInterval
}

// Gauge is for how many seconds the last value of a metric counts that AWS does not report in every
// period.
func (t prometheusText) Gauge() int { return max(900, t.CloudWatchInterval) }

// Settled is the time in seconds after which a change of the number of tasks is in the metrics of
// CloudWatch: the delay, the period, and the interval between two reads.
func (t prometheusText) Settled() int { return 900 + 3*t.CloudWatchInterval }

// PercentileRank is CloudWatch's statistic of the percentage of responses within LatencyThreshold,
// and PercentileRankMetric how the exporter names it.
func (t prometheusText) PercentileRank() string {
	return "PR(:" + strconv.FormatFloat(t.LatencyThreshold, 'f', -1, 64) + ")"
}
func (t prometheusText) PercentileRankMetric() string {
	return "aws_applicationelb_target_response_time_" +
		strings.ToLower(strings.NewReplacer("(", "_", ":", "_", ".", "_", ")", "_").Replace(t.PercentileRank()))
}

// Regexp quotes a name for a regular expression.
func (prometheusText) Regexp(name string) string { return regexp.QuoteMeta(name) }

//go:embed prometheus/prometheus.yml prometheus/rules.yml prometheus/alertmanager.yml
//go:embed prometheus/cloudwatch.yml prometheus/overview.html
var prometheusTexts embed.FS

// files returns the texts of Prometheus' task, filled in, by their path in the folder
// configuration. The placeholders are in double square brackets, since Prometheus has its own
// templates in double braces.
func (t prometheusText) files() map[string]string {
	files := map[string]string{
		"prometheus.yml":         t.fill("prometheus.yml"),
		"rules.yml":              t.fill("rules.yml"),
		"alertmanager.yml":       t.fill("alertmanager.yml"),
		"consoles/overview.html": t.fill("overview.html"),
	}
	if t.CloudWatchInterval > 0 {
		files["cloudwatch.yml"] = t.fill("cloudwatch.yml")
	}
	return files
}

// fill replaces the placeholders of one text, and removes comments and empty lines: ECS accepts
// 64 KiB for a task definition with all its texts.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
func (t prometheusText) fill(source string) string {
	text, err := fs.ReadFile(prometheusTexts, "prometheus/"+source)
	if err != nil {
		panic(err)
	}
	parsed, err := template.New(source).Delims("[[", "]]").Option("missingkey=error").Parse(string(text))
	if err != nil {
		panic(fmt.Errorf("prometheus/%w", err))
	}
	var filled strings.Builder
	if err := parsed.Execute(&filled, t); err != nil {
		panic(fmt.Errorf("prometheus/%w", err))
	}
	return commentLine.ReplaceAllString(filled.String(), "")
}

var commentLine = regexp.MustCompile(`(?m)^[ \t]*(#.*)?\n`)
