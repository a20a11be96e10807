package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/prometheusworkspace"

	"platform/internal/config"
)

// Prometheus is the service that keeps metrics.
type Prometheus struct {
	Address     string // host and port in the cluster's namespace; no security group rule lets anybody in
	ServiceName *string
	LogGroup    *string // name

	heartbeat *Topic
	running   dependencies // the service, which publishes the sign of life
	workspace *workspace   // nil without monitoring.durable
}

const (
	prometheusPort  = 9090
	prometheusGrace = 120 // seconds in which Prometheus reads its write-ahead log
	prometheusStop  = 120 // seconds in which Prometheus writes what is in memory
)

// Where the containers find their texts, and where they write: the images declare volumes there, and
// only at such a place a bind mount does not belong to root alone.
const (
	prometheusConfiguration = "/configuration"
	prometheusData          = "/prometheus"
	alertmanagerData        = "/alertmanager"
)

// newPrometheus declares the service: one task, in which Prometheus, Alertmanager and the exporter
// of CloudWatch's metrics reach each other at 127.0.0.1, where nothing else does.
//
//	services' tasks ──┐
//	CloudWatch ── cloudwatch ── prometheus ── alertmanager ── topics
//	                     rules, pages ┘   └── history in Amazon Managed Service for Prometheus
//
// Their texts are in the task definition, from where another container writes them to a volume
// before the others start. So a change of a text is a new revision and deploys the service, and a
// revision that ECS rolls back to starts with its own texts. Nothing in the texts depends on which
// services there are: a new task has none of the history of the one before.
func newPrometheus(
	s *scope, cluster *Cluster, services Services, alerts *Topic, exporter *DatabaseExporter,
) *Prometheus {
	const name = "prometheus_server"
	p := s.cfg.Monitoring.Prometheus
	t := newTask(s, cluster, part{"prometheus", name}, taskOptions{
		description: "Prometheus: nothing in; out to what it scrapes",
		logGroup:    "/" + s.cfg.Stack() + "/prometheus",
		size:        taskSize{cpu: p.CPU, memory: p.Memory, disk: p.Storage, architecture: "ARM64"},
	})
	for _, svc := range services {
		if configured := s.cfg.Services[svc.Name]; s.cfg.Scraped(configured) {
			t.mayReach(svc.SecurityGroup, serviceID(svc.Name)+"_from_prometheus", configured.Metrics.Port, "Metrics")
		}
	}
	if exporter != nil {
		t.mayReach(exporter.SecurityGroup, "database_exporter_from_prometheus", exporterMetrics.Port, "Metrics")
	}
	heartbeat := newHeartbeatTopic(s)
	text := newPrometheusText(s.cfg, *cluster.ARN)
	text.TopicARN, text.HeartbeatTopicARN = *alerts.ARN, *heartbeat.ARN
	containers := []*container{runPrometheus(t, p), runAlertmanager(t, p)}
	t.allow(discoveryStatements(s, cluster)...)
	t.allow(alertStatements(s, alerts, heartbeat)...)
	if s.cfg.Monitoring.ReadsCloudWatch() {
		containers = append(containers, runCloudWatchExporter(t, s.cfg.Monitoring))
		t.allow(cloudWatchStatements(s.cfg)...)
	}
	history := newHistory(t)
	if history != nil {
		text.RemoteWriteURL = *history.endpoint + "api/v1/remote_write"
	}
	t.deliver(p.ConfigImage, text.configuration(), containers...)

	running := t.service(serviceOptions{
		tasks: 1, taskTime: prometheusGrace + containerUnhealthyAfter + prometheusStop,
	})
	return &Prometheus{
		Address:     fmt.Sprintf("%s.%s:%d", name, cluster.Domain, prometheusPort),
		ServiceName: running.Name(),
		LogGroup:    t.logs.Name(),
		heartbeat:   heartbeat,
		running:     dependencies{running},
		workspace:   history,
	}
}

// workspace is where Amazon Managed Service for Prometheus keeps metrics.
type workspace struct{ endpoint *string }

// newHistory declares the workspace that outlives the tasks of Prometheus, if it is configured, and
// lets the task write to it. AWS keeps its metrics for 150 days, and deletes them with the stack.
func newHistory(t *task) *workspace {
	if !t.cfg.Monitoring.KeepsHistory() {
		return nil
	}
	made := prometheusworkspace.NewPrometheusWorkspace(t.stack, jsii.String("prometheus_workspace"),
		&prometheusworkspace.PrometheusWorkspaceConfig{
			Alias:     jsii.String(t.cfg.Stack()),
			KmsKeyArn: t.keys.Logs,
			Tags:      t.tags("prometheus"),
			Lifecycle: t.protect(),
		})
	t.allow(statement{
		sid: "History", actions: []string{"aps:RemoteWrite"}, resources: []string{*made.Arn()},
	}, statement{
		sid: "HistoryKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
		resources:  []string{*t.keys.Logs},
		conditions: []condition{equals("kms:ViaService", "aps."+t.cfg.Region+".amazonaws.com")},
	})
	return &workspace{made.PrometheusEndpoint()}
}

// runPrometheus adds Prometheus itself.
func runPrometheus(t *task, p config.Prometheus) *container {
	c := t.container("prometheus", p.Image)
	c.User = nobody
	c.StopTimeout = prometheusStop
	c.restartInPlace()
	c.Command = []string{
		"--config.file=" + prometheusConfiguration + "/prometheus.yml",
		"--web.console.templates=" + prometheusConfiguration + "/consoles",
		"--storage.tsdb.path=" + prometheusData,
		fmt.Sprintf("--storage.tsdb.retention.time=%dd", p.Days),
		// The rest is for the log of what is not compacted yet.
		fmt.Sprintf("--storage.tsdb.retention.size=%dGB", p.Storage*3/4),
		// The default, 0.9 of the task's memory, would leave too little for the other containers.
		"--auto-gomemlimit.ratio=0.6",
	}
	t.volume("data")
	c.mount("data", prometheusData, false)
	c.HealthCheck = newHealthCheck(prometheusGrace, "CMD", "/bin/promtool", "check", "healthy")
	c.listen(prometheusPort)
	t.allowExec(c) // a port-forward is exec
	return c
}

// runAlertmanager adds the program that groups alerts and publishes them. Its silences, and what it
// has published, are on the task's disk.
func runAlertmanager(t *task, p config.Prometheus) *container {
	c := sidecar(t, "alertmanager", p.AlertmanagerImage, "9093/-/healthy")
	c.Command = []string{
		"--config.file=" + prometheusConfiguration + "/alertmanager.yml",
		"--storage.path=" + alertmanagerData,
		"--web.listen-address=127.0.0.1:9093",
		"--cluster.listen-address=", // one instance: no cluster
	}
	t.volume("alerts")
	c.mount("alerts", alertmanagerData, false)
	return c
}

// runCloudWatchExporter adds the program that reads CloudWatch's metrics at its own interval and
// offers them to Prometheus.
func runCloudWatchExporter(t *task, m config.Monitoring) *container {
	c := sidecar(t, "cloudwatch", m.Prometheus.CloudWatchImage, "5000/healthz")
	c.Command = []string{
		"--config.file=" + prometheusConfiguration + "/cloudwatch.yml",
		"--listen-address=127.0.0.1:5000",
		fmt.Sprintf("--scraping-interval=%d", m.CloudWatchInterval),
	}
	if t.cfg.Network.NAT == "none" {
		// It asks IAM for the account's alias, although nothing here uses it, and IAM has no
		// endpoint outside of us-east-1. At this address its attempts are refused and take ten
		// seconds, not minutes. Then the exporter goes on without an alias.
		c.setEnvironment(map[string]string{"AWS_ENDPOINT_URL_IAM": "http://127.0.0.1:1"})
	}
	return c
}

// sidecar adds a container beside Prometheus. It is healthy if it answers at a port and path of
// 127.0.0.1; wget is in the images, which are made from BusyBox's.
func sidecar(t *task, name, image, health string) *container {
	c := t.container(name, image)
	c.User = nobody
	c.restartInPlace()
	c.dropCapabilities()
	c.HealthCheck = newHealthCheck(30, "CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:"+health)
	return c
}

// newPrometheusText is what the texts in the folder prometheus are filled in with.
func newPrometheusText(cfg *config.Config, clusterARN string) prometheusText {
	m := cfg.Monitoring
	return prometheusText{
		Name: cfg.Name, Environment: cfg.Environment, Stack: cfg.Stack(), Region: cfg.Region, ClusterARN: clusterARN,
		ScrapeInterval: m.Prometheus.ScrapeInterval, CloudWatchInterval: m.CloudWatchInterval,
		Availability: m.Objectives.Availability,
		Latency:      m.Objectives.Latency, LatencyThreshold: m.Objectives.LatencyThreshold,
		ErrorLimit: errorLimit, ErrorRequests: errorRequests, LatencyLimit: cfg.LatencyLimit(),
		Database:         cfg.Database.Enabled,
		DatabaseExporter: m.ReadsDatabase(),
		NATGateways:      cfg.Network.NAT != "none",
		Certificates:     cfg.LoadBalancer.Domain != "" && cfg.LoadBalancer.CertificateARN == "",
	}
}

// configuration returns the texts as a delivery: the variable of prometheus.yml is PROMETHEUS_YML.
func (t prometheusText) configuration() delivery {
	d := delivery{name: "configuration", folder: prometheusConfiguration}
	files := t.files()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		d.files = append(d.files, textFile{path: path, variable: variableOfText(path), text: files[path]})
	}
	return d
}

// variableOfText is the variable that holds the text of a file.
func variableOfText(path string) string {
	return strings.ToUpper(strings.NewReplacer("/", "_", ".", "_").Replace(path))
}

func (p *Prometheus) outputs() []output {
	outputs := []output{{
		"prometheus_address", "Name of Prometheus in the VPC, where nobody may connect: use a port-forward", p.Address,
	}}
	if p.workspace != nil {
		outputs = append(outputs, output{
			"prometheus_workspace_endpoint",
			"Where the durable history of metrics is read, with requests signed for aps",
			p.workspace.endpoint,
		})
	}
	return outputs
}

// alarms tell that alerts do not leave. Every few minutes, a rule of Prometheus that always fires
// makes Alertmanager publish a sign of life: if it is missing, any link of that chain is broken.
// SNS reports its metrics every five minutes, so the alarm fires after 15 to 25 minutes.
// https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html
func (p *Prometheus) alarms() []alarm {
	return []alarm{{
		id:      "prometheus_heartbeat",
		runbook: "services.md#prometheus_heartbeat",
		description: "Prometheus and Alertmanager have published no sign of life for 15 minutes: no alert of " +
			"Prometheus would arrive either. See the events of the service prometheus, and its log group.",
		namespace: "AWS/SNS", metric: "NumberOfMessagesPublished", statistic: "Sum",
		dimensions: map[string]*string{"TopicName": p.heartbeat.Name},
		below:      true, threshold: 1, period: 300, datapoints: 3, periods: 3, missing: missingIsBad,
		after: p.running, // not while it starts for the first time
	}}
}

// discoveryStatements are what Prometheus' discovery of tasks calls, according to its source
// (discovery/aws/ecs.go of v3.15.0, the default image).
func discoveryStatements(s *scope, cluster *Cluster) []statement {
	here := []condition{{"ArnEquals", "ecs:cluster", []string{*cluster.ARN}}}
	return []statement{{
		// It begins by describing the cluster called default, whether it exists or not, to see that
		// its credentials work. A later call that is refused only empties the list of targets, and
		// only the log says so.
		sid: "Cluster", actions: []string{"ecs:DescribeClusters"},
		resources: []string{*cluster.ARN, s.arn("ecs", "cluster/default")},
	}, {
		sid: "List", actions: []string{"ecs:ListServices", "ecs:ListTasks"},
		resources: []string{"*"}, conditions: here, // lists are bound by condition only
	}, {
		sid: "Describe", actions: []string{"ecs:DescribeServices", "ecs:DescribeTasks"},
		resources: []string{s.arn("ecs", "service/"+*cluster.Name+"/*"), s.arn("ecs", "task/"+*cluster.Name+"/*")},
	}, {
		sid: "Addresses", actions: []string{"ec2:DescribeNetworkInterfaces"},
		resources: []string{"*"}, // EC2 describes all or nothing
	}}
}

// alertStatements are what Alertmanager calls. SNS uses the topics' key with its caller's rights.
func alertStatements(s *scope, topics ...*Topic) []statement {
	var arns []string
	for _, topic := range topics {
		arns = append(arns, *topic.ARN)
	}
	return []statement{{
		sid: "Alerts", actions: []string{"sns:Publish"}, resources: arns,
	}, {
		sid: "AlertsKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
		resources:  []string{*s.keys.Alerts},
		conditions: []condition{equals("kms:ViaService", "sns."+s.cfg.Region+".amazonaws.com")},
	}}
}

// cloudWatchStatements are what the exporter calls, according to its source (pkg/clients of
// v0.67.0, the default image). None of these actions can be limited to resources.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
func cloudWatchStatements(cfg *config.Config) []statement {
	statements := []statement{{
		sid: "Metrics", actions: []string{"cloudwatch:GetMetricData", "cloudwatch:ListMetrics"},
		resources: []string{"*"}, // metrics have no ARN
	}, {
		sid: "Tagged", actions: []string{"tag:GetResources"},
		resources: []string{"*"}, // the resources of this stack are found by their tags
	}}
	if cfg.Network.NAT == "none" {
		return statements
	}
	return append(statements, statement{
		// It asks for it whether it is used or not, and logs a warning each time that it is refused.
		sid: "Alias", actions: []string{"iam:ListAccountAliases"},
		resources: []string{"*"}, // of the account
	})
}
