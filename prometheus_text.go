package main

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
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

	DatabaseExporter bool   // PostgreSQL's own metrics are read
	RemoteWriteURL   string // of the durable history; empty without one
}

//go:embed prometheus/prometheus.yml
var prometheusTexts embed.FS

// files returns the texts of Prometheus' task, filled in, by their path in the folder
// configuration. The placeholders are in double square brackets, since Prometheus has its own
// templates in double braces.
func (t prometheusText) files() map[string]string {
	files := map[string]string{}
	for source, name := range map[string]string{
		"prometheus.yml": "prometheus.yml",
	} {
		text, err := fs.ReadFile(prometheusTexts, path.Join("prometheus", source))
		if err != nil {
			panic(err)
		}
		files[name] = t.fill(source, string(text))
	}
	return files
}

// fill replaces the placeholders of one text.
func (t prometheusText) fill(source, text string) string {
	parsed, err := template.New(source).Delims("[[", "]]").Option("missingkey=error").Parse(text)
	if err != nil {
		panic(fmt.Errorf("prometheus/%w", err))
	}
	var filled strings.Builder
	if err := parsed.Execute(&filled, t); err != nil {
		panic(fmt.Errorf("prometheus/%w", err))
	}
	return withoutComments(filled.String())
}

var commentLine = regexp.MustCompile(`(?m)^[ \t]*#.*\n`)

// withoutComments removes comment lines: ECS accepts 64 KiB for a task definition with all its
// texts.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
func withoutComments(text string) string { return commentLine.ReplaceAllString(text, "") }
