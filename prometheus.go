package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"platform/internal/config"
)

// Prometheus is the service that keeps metrics.
type Prometheus struct {
	Address     string // host and port in the cluster's namespace; no security group rule lets anybody in
	ServiceName *string
	LogGroup    *string // name

	dimensions map[string]*string // of the service's metrics
}

const (
	prometheusPort  = 9090
	prometheusGrace = 120 // seconds in which Prometheus reads its write-ahead log
	prometheusStop  = 120 // seconds in which Prometheus writes what is in memory
)

// Where Prometheus finds its configuration, and keeps its metrics: the image declares a volume
// here, and it is the only place where a bind mount does not belong to root alone.
const (
	prometheusConfiguration = "/configuration"
	prometheusData          = "/prometheus"
)

// newPrometheus declares the service. Its configuration is in the task definition, from where a
// second container writes it to a volume before Prometheus starts. So a change of the text is a new
// revision and deploys the service, and a revision that ECS rolls back to starts with its own text.
func newPrometheus(s *scope, cluster *Cluster, services Services) *Prometheus {
	const name = "prometheus"
	p := s.cfg.Monitoring.Prometheus
	t := newTask(s, cluster, part{name, name}, taskOptions{
		description: "Prometheus: nothing in; out to what it scrapes",
		logGroup:    "/" + s.cfg.Stack() + "/prometheus",
		size:        taskSize{cpu: p.CPU, memory: p.Memory, disk: p.Storage, architecture: "ARM64"},
	})
	for _, svc := range services {
		if configured := s.cfg.Services[svc.Name]; s.cfg.Scraped(configured) {
			t.mayReach(svc.SecurityGroup, "service_"+svc.Name+"_from_prometheus", configured.Metrics.Port, "Metrics")
		}
	}
	text := newPrometheusText(s.cfg, *cluster.ARN)
	t.deliver(p.ConfigImage, text.configuration(), runPrometheus(t, p))
	t.allow(discoveryStatements(s, cluster)...)

	running := t.service(serviceOptions{
		tasks: 1, taskTime: prometheusGrace + containerUnhealthyAfter + prometheusStop,
	})
	return &Prometheus{
		Address:     fmt.Sprintf("%s.%s:%d", name, cluster.Domain, prometheusPort),
		ServiceName: running.Name(),
		LogGroup:    t.logs.Name(),
		dimensions:  cluster.dimensions(running.Name()),
	}
}

// runPrometheus adds Prometheus itself.
func runPrometheus(t *task, p config.Prometheus) *container {
	c := t.container(t.name, p.Image)
	c.User = "65534" // nobody, the image's own
	c.StopTimeout = prometheusStop
	c.restartInPlace()
	c.Command = []string{
		"--config.file=" + prometheusConfiguration + "/prometheus.yml",
		"--storage.tsdb.path=" + prometheusData,
		fmt.Sprintf("--storage.tsdb.retention.time=%dd", p.Days),
		// The rest is for the log of what is not compacted yet.
		fmt.Sprintf("--storage.tsdb.retention.size=%dGB", p.Storage*3/4),
	}
	t.volume("data")
	c.mount("data", prometheusData, false)
	c.HealthCheck = newHealthCheck(prometheusGrace, "CMD", "/bin/promtool", "check", "healthy")
	c.listen(prometheusPort)
	t.allowExec(c) // a port-forward is exec
	return c
}

// newPrometheusText is what the texts in the folder prometheus are filled in with.
func newPrometheusText(cfg *config.Config, clusterARN string) prometheusText {
	m := cfg.Monitoring
	return prometheusText{
		Name: cfg.Name, Environment: cfg.Environment, Stack: cfg.Stack(), Region: cfg.Region, ClusterARN: clusterARN,
		ScrapeInterval: m.Prometheus.ScrapeInterval,
		Availability:   m.Objectives.Availability,
		Latency:        m.Objectives.Latency, LatencyThreshold: m.Objectives.LatencyThreshold,
		ErrorLimit: errorLimit, ErrorRequests: errorRequests, LatencyLimit: latencyLimit(cfg),
		NATGateways:  cfg.Network.NAT != "none",
		Certificates: cfg.LoadBalancer.Domain != "" && cfg.LoadBalancer.CertificateARN == "",
	}
}

// configuration returns the texts as a delivery: the variable of prometheus.yml is PROMETHEUS_YML.
func (t prometheusText) configuration() delivery {
	d := delivery{name: "configuration", folder: prometheusConfiguration}
	files := t.files()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		variable := strings.ToUpper(strings.NewReplacer("/", "_", ".", "_").Replace(path))
		d.files = append(d.files, textFile{path: path, variable: variable, text: files[path]})
	}
	return d
}

func (p *Prometheus) outputs() []output {
	return []output{{
		"prometheus_address", "Name of Prometheus in the VPC, where nobody may connect: use a port-forward", p.Address,
	}}
}

func (p *Prometheus) alarms() []alarm {
	return []alarm{tooFewTasks("prometheus", p.dimensions, 1, "services.md#prometheus_too_few_tasks")}
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
