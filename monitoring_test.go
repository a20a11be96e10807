package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"platform/internal/config"
)

const testClusterARN = "arn:aws:ecs:eu-central-1:123456789012:cluster/shop-dev"

// scrapes is Prometheus' configuration as far as the tests look at it.
type scrapes struct {
	Global struct {
		ScrapeInterval     string            `yaml:"scrape_interval"`
		EvaluationInterval string            `yaml:"evaluation_interval"`
		ExternalLabels     map[string]string `yaml:"external_labels"`
	} `yaml:"global"`
	ScrapeConfigs []struct {
		JobName   string           `yaml:"job_name"`
		Static    []map[string]any `yaml:"static_configs"`
		Discovery []struct {
			Role     string   `yaml:"role"`
			Region   string   `yaml:"region"`
			Clusters []string `yaml:"clusters"`
		} `yaml:"aws_sd_configs"`
		Relabel []relabelling `yaml:"relabel_configs"`
	} `yaml:"scrape_configs"`
}

type relabelling struct {
	SourceLabels []string `yaml:"source_labels"`
	Separator    string   `yaml:"separator"`
	Regex        string   `yaml:"regex"`
	TargetLabel  string   `yaml:"target_label"`
	Action       string   `yaml:"action"`
}

// prometheusConfig is the text of prometheus.yml with a configuration.
func prometheusConfig(cfg *config.Config, clusterARN string) string {
	return newPrometheusText(cfg, clusterARN).files()["prometheus.yml"]
}

// readScrapes renders the configuration and parses it.
func readScrapes(t *testing.T, file string) scrapes {
	t.Helper()
	var out scrapes
	if err := yaml.Unmarshal([]byte(prometheusConfig(parse(t, "dev", file), testClusterARN)), &out); err != nil {
		t.Fatalf("is no YAML: %v", err)
	}
	return out
}

func TestPrometheusConfigurationFollowsTheFile(t *testing.T) {
	got := readScrapes(t, "name: shop\nregion: us-west-2\nmonitoring: {prometheus: {scrape_interval: 45}}\n")
	// The recorded rates are a value a minute.
	if got.Global.ScrapeInterval != "45s" || got.Global.EvaluationInterval != "60s" {
		t.Errorf("scrapes every %s and evaluates every %s", got.Global.ScrapeInterval, got.Global.EvaluationInterval)
	}
	if got.Global.ExternalLabels["stack"] != "shop-dev" {
		t.Errorf("its labels are %v", got.Global.ExternalLabels)
	}
	for _, job := range got.ScrapeConfigs {
		for _, discovery := range job.Discovery {
			if discovery.Region != "us-west-2" {
				t.Errorf("%s looks in %s", job.JobName, discovery.Region)
			}
		}
	}
	text := prometheusConfig(parse(t, "dev", minimal), testClusterARN)
	for _, left := range []string{"{{", "}}", "<no value>", "${", "%{"} {
		if strings.Contains(text, left) {
			t.Errorf("%q is left in the text", left)
		}
	}
}

// With a cluster's name Prometheus finds its tasks but not the cluster, and stops.
func TestPrometheusIsGivenTheClustersARN(t *testing.T) {
	found := 0
	for _, job := range readScrapes(t, minimal).ScrapeConfigs {
		for _, discovery := range job.Discovery {
			found++
			if discovery.Role != "ecs" || !slices.Equal(discovery.Clusters, []string{testClusterARN}) {
				t.Errorf("%s discovers %s in %v", job.JobName, discovery.Role, discovery.Clusters)
			}
		}
	}
	if found != 1 {
		t.Errorf("discovers in %d places, want one", found)
	}
}

// relabelled does what Prometheus does with a discovered task: the labels it ends with, or that it
// is dropped.
func relabelled(t *testing.T, rules []relabelling, labels map[string]string) (map[string]string, bool) {
	t.Helper()
	for _, rule := range rules {
		separator, pattern := rule.Separator, rule.Regex
		if separator == "" {
			separator = ";"
		}
		if pattern == "" {
			pattern = "(.*)"
		}
		var values []string
		for _, label := range rule.SourceLabels {
			values = append(values, labels[label])
		}
		value := strings.Join(values, separator)
		match := regexp.MustCompile("^(?s:" + pattern + ")$").FindStringSubmatch(value)
		switch rule.Action {
		case "keep":
			if match == nil {
				return nil, false
			}
		case "drop":
			if match != nil {
				return nil, false
			}
		case "":
			if match != nil {
				labels[rule.TargetLabel] = match[1]
			}
		case "labeldrop":
			maps.DeleteFunc(labels, func(label, _ string) bool {
				return regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(label)
			})
		default:
			t.Fatalf("action %q is new to this test", rule.Action)
		}
	}
	return labels, true
}

func TestPrometheusKeepsRunningTasksThatSayWhereTheirMetricsAre(t *testing.T) {
	var rules []relabelling
	for _, job := range readScrapes(t, minimal).ScrapeConfigs {
		if len(job.Discovery) > 0 {
			rules = job.Relabel
		}
	}
	for name, c := range map[string]struct {
		change map[string]string
		kept   bool
	}{
		"running":                        {nil, true},
		"pending":                        {map[string]string{"__meta_ecs_last_status": "PENDING"}, false},
		"provisioning":                   {map[string]string{"__meta_ecs_last_status": "PROVISIONING"}, false},
		"stopping":                       {map[string]string{"__meta_ecs_last_status": "STOPPING"}, false},
		"stopped":                        {map[string]string{"__meta_ecs_last_status": "STOPPED"}, false},
		"without metrics":                {map[string]string{"__meta_ecs_tag_task_MetricsPort": ""}, false},
		"with a port that is no number":  {map[string]string{"__meta_ecs_tag_task_MetricsPort": "http"}, false},
		"with a port that ends in words": {map[string]string{"__meta_ecs_tag_task_MetricsPort": "80/x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			labels := map[string]string{
				"__meta_ecs_last_status":          "RUNNING",
				"__meta_ecs_tag_task_MetricsPort": "9090",
				"__meta_ecs_tag_task_MetricsPath": "/stats",
				"__meta_ecs_ip_address":           "10.0.1.7",
				"__meta_ecs_service":              "web",
				"__meta_ecs_task_arn":             "arn:aws:ecs:eu-central-1:123456789012:task/shop-dev/0af1",
				"__meta_ecs_availability_zone":    "eu-central-1b",
				"__meta_ecs_task_definition": "arn:aws:ecs:eu-central-1:123456789012:" +
					"task-definition/shop-dev-web:42",
			}
			maps.Copy(labels, c.change)
			got, kept := relabelled(t, rules, labels)
			if kept != c.kept {
				t.Fatalf("kept: %v", kept)
			}
			if !kept {
				return
			}
			for label, want := range map[string]string{
				"__address__":      "10.0.1.7:9090",
				"__metrics_path__": "/stats",
				"service":          "web",
				"task":             "0af1",
				"zone":             "b",
				"revision":         "42",
			} {
				if got[label] != want {
					t.Errorf("%s is %q, want %q", label, got[label], want)
				}
			}
		})
	}
}

func TestSubscriptionIsKeyedByItsAddress(t *testing.T) {
	shape := regexp.MustCompile(`^alerts_subscription_[a-z0-9_]+$`)
	seen := map[string]string{}
	for _, email := range []string{
		"ops@example.com", "o.ps@example.com", "o-ps@example.com", "o_ps@example.com", "o+ps@example.com",
		"op.s@example.com", "ops@exam.ple.com", "Ops@example.com", "OPS@example.com", "ops@example-com.org",
		"ops@example.com.org", "jörg@example.com", "日本@example.com", strings.Repeat("a", 64) + "@example.com",
		strings.Repeat("a", 64) + "@example.org", "'@example.com", "\"@example.com",
	} {
		id := subscriptionID(email)
		if !shape.MatchString(id) {
			t.Errorf("%s: %s", email, id)
		}
		if other, same := seen[id]; same {
			t.Errorf("%s and %s are both %s", email, other, id)
		}
		seen[id] = email
		if id != subscriptionID(email) {
			t.Errorf("%s has two ids", email)
		}
	}
	// Pinned: another id asks the reader of the address to confirm once more.
	if got, want := subscriptionID("ops@example.com"), "alerts_subscription_ops_example_com_45bc6de3"; got != want {
		t.Errorf("is %s, want %s", got, want)
	}
}
