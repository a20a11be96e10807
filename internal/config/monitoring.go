package config

import "slices"

// Monitoring configures the notifications of alarms, and Prometheus.
type Monitoring struct {
	// addresses that receive notifications of alarms; each must confirm its subscription
	Emails     []string   `yaml:"emails" allowed:"~email"`
	Objectives Objectives `yaml:"objectives"` // what users may expect over 30 days
	// interval at which Prometheus reads CloudWatch's metrics, in whole minutes; AWS bills each
	// reading; 0: it reads none
	CloudWatchInterval int `yaml:"cloudwatch_interval" allowed:"0 or 60..900 seconds"`
	// let Prometheus read PostgreSQL's own metrics, such as open transactions and replication slots;
	// default: in production, if tasks can pull the image and the region's certificates are known
	Database bool `yaml:"database"`
	// image that reads PostgreSQL's own metrics
	DatabaseImage string `yaml:"database_image" allowed:"~image"`
	// keep the history of metrics in Amazon Managed Service for Prometheus too, for 150 days; without
	// it, each deployment of Prometheus begins a new one
	Durable    bool       `yaml:"durable"`
	Prometheus Prometheus `yaml:"prometheus"` // the Prometheus service
}

// Objectives are what users may expect. Prometheus alerts when the rest of 100% is used up faster
// than 30 days allow.
type Objectives struct {
	// share of requests without a server error
	Availability float64 `yaml:"availability" allowed:"within 95..100 percent"`
	// share of requests that are answered within latency_threshold
	Latency          float64 `yaml:"latency" allowed:"within 95..100 percent"`
	LatencyThreshold float64 `yaml:"latency_threshold" allowed:"within 0..30 seconds"` // time for a response
}

// Prometheus configures the Prometheus service.
type Prometheus struct {
	// run Prometheus; without it, alarms are CloudWatch's alone and nothing reads metrics of services
	Enabled bool `yaml:"enabled"`

	Image string `yaml:"image" allowed:"~image"`
	// image with a shell; writes the configuration before Prometheus starts
	ConfigImage       string `yaml:"config_image" allowed:"~image"`
	AlertmanagerImage string `yaml:"alertmanager_image" allowed:"~image"` // sends Prometheus' alerts
	CloudWatchImage   string `yaml:"cloudwatch_image" allowed:"~image"`   // reads CloudWatch's metrics
	CPU               int    `yaml:"cpu" allowed:"within @cpu CPU units"` // 1024 are one vCPU
	// must be a combination with cpu that Fargate supports
	Memory int `yaml:"memory" allowed:"within 512..122880 MiB"`
	// ephemeral storage of the task; metrics use at most three quarters
	Storage int `yaml:"storage" allowed:"21..200 GiB"`
	// retention of metrics; older ones are deleted even if storage is free
	Days           int `yaml:"days" allowed:"1..3650 days"`
	ScrapeInterval int `yaml:"scrape_interval" allowed:"5..300 seconds"`
}

// The default images. They are pinned, public, built for both architectures, and in registries
// without pull limits. A tag without a digest is that of a release, which its project never moves.
const (
	DefaultDatabaseExporterImage = "quay.io/prometheuscommunity/postgres-exporter:v0.20.1" +
		"@sha256:ac5ec343104fae0e2d84a27bb8d69b38430a11910c5382cad85d478d2bab713e"
	DefaultAlertmanagerImage = "quay.io/prometheus/alertmanager:v0.34.2"
	DefaultCloudWatchImage   = "quay.io/prometheuscommunity/yet-another-cloudwatch-exporter:v0.67.0"

	DefaultPrometheusImage = "quay.io/prometheus/prometheus:v3.15.0" +
		"@sha256:efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e"
	DefaultConfigImage = "public.ecr.aws/aws-cli/aws-cli:2.37.4" +
		"@sha256:fdd8d1fcbea9c371678dee5a40df8b178c7a781b4586605756ee28114c97ead6"
)

func monitoringDefaults(p profile) Monitoring {
	return Monitoring{
		Objectives:         Objectives{Availability: 99.9, Latency: 99, LatencyThreshold: 1},
		CloudWatchInterval: 300,
		Database:           pick(p, false, true),
		DatabaseImage:      DefaultDatabaseExporterImage,
		Prometheus: Prometheus{
			Enabled:           true,
			Image:             DefaultPrometheusImage,
			ConfigImage:       DefaultConfigImage,
			AlertmanagerImage: DefaultAlertmanagerImage,
			CloudWatchImage:   DefaultCloudWatchImage,
			CPU:               pick(p, 256, 512),
			Memory:            pick(p, 1024, 2048),
			Storage:           pick(p, 21, 100),
			Days:              pick(p, 7, 30),
			ScrapeInterval:    30,
		},
	}
}

// ReadsCloudWatch reports whether Prometheus reads CloudWatch's metrics.
func (m Monitoring) ReadsCloudWatch() bool { return m.Prometheus.Enabled && m.CloudWatchInterval > 0 }

// deriveMonitoring leaves PostgreSQL's metrics out, unless the file asks for them, where the default
// exporter cannot work: without a database, without a NAT gateway, because tasks cannot pull its image,
// and without certificates, because it cannot connect.
func (c *Config) deriveMonitoring(doc *Document) {
	unreachable := c.Network.NAT == "none" && c.Monitoring.DatabaseImage == DefaultDatabaseExporterImage
	if !doc.Names("monitoring.database") &&
		(!c.Database.Enabled || unreachable || !slices.Contains(certificateRegions, c.Region)) {
		c.Monitoring.Database = false
	}
}

// ReadsDatabase reports whether Prometheus reads PostgreSQL's own metrics.
func (m Monitoring) ReadsDatabase() bool { return m.Prometheus.Enabled && m.Database }

// KeepsHistory reports whether Prometheus writes its history to a workspace too.
func (m Monitoring) KeepsHistory() bool { return m.Prometheus.Enabled && m.Durable }

// Scraped reports whether Prometheus reads the metrics of a service.
func (c *Config) Scraped(s Service) bool { return c.Monitoring.Prometheus.Enabled && s.Metrics.Enabled }

var emailAddress = form("email", `^[^@\s]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$`)

func (c checker) monitoring() {
	m := c.cfg.Monitoring
	c = c.at("monitoring")
	c.each("emails", m.Emails, func(c checker, email string) {
		c.want(emailAddress.MatchString(email), "", "want an e-mail address, have %q", email)
	})
	c.unique("emails", m.Emails, "address")
	c.at("objectives").objectives(m.Objectives)
	c.want(m.CloudWatchInterval%60 == 0, "cloudwatch_interval",
		"want whole minutes, the periods of CloudWatch's metrics: a multiple of 60, have %d", m.CloudWatchInterval)
	c.usedImage(m.ReadsDatabase(), "database_image", m.DatabaseImage, DefaultDatabaseExporterImage)
	c.want(c.cfg.Database.Enabled || !m.Database, "database", "want false, because database.enabled is false")
	if m.ReadsDatabase() {
		c.want(slices.Contains(certificateRegions, c.cfg.Region) || !slices.Contains(providerRegions, c.cfg.Region),
			"database", "want false: functions/database/certificates lacks the RDS certificates of %s", c.cfg.Region)
	}
	c = c.at("prometheus")
	certificates := len(c.cfg.DatabaseUserNames()) > 0 // which the same image delivers
	c.usedImage(m.Prometheus.Enabled, "image", m.Prometheus.Image, DefaultPrometheusImage)
	c.usedImage(m.Prometheus.Enabled || certificates, "config_image", m.Prometheus.ConfigImage, DefaultConfigImage)
	c.usedImage(m.Prometheus.Enabled, "alertmanager_image", m.Prometheus.AlertmanagerImage, DefaultAlertmanagerImage)
	c.usedImage(m.ReadsCloudWatch(), "cloudwatch_image", m.Prometheus.CloudWatchImage, DefaultCloudWatchImage)
	c.size(m.Prometheus.CPU, m.Prometheus.Memory)
}

// usedImage checks an image, unless nothing uses it and it is the default one: without a NAT gateway,
// tasks cannot pull that.
func (c checker) usedImage(used bool, key, image, standard string) {
	if used || image != standard {
		c.image(key, image)
	}
}

// objectives checks that the alerts can fire: the fastest one compares with 14.4 times what an
// objective allows to fail, which is 72% with an objective of 95%. The slower one compares with 6
// times, so that it fires too if every request fails with 502 or 504, which CloudWatch counts twice.
func (c checker) objectives(o Objectives) {
	const lowest, highest = 95, 99.99
	c.want(o.Availability >= lowest && o.Availability <= highest, "availability",
		"want %v to %v percent, have %v", lowest, highest, o.Availability)
	c.want(o.Latency >= lowest && o.Latency <= highest, "latency",
		"want %v to %v percent, have %v", lowest, highest, o.Latency)
	c.want(o.LatencyThreshold >= 0.05 && o.LatencyThreshold <= 30, "latency_threshold",
		"want 0.05 to 30 seconds, have %v", o.LatencyThreshold)
}

func (w warner) monitoring() {
	w.warn(w.cfg.Production() && len(w.cfg.Monitoring.Emails) == 0, "monitoring.emails",
		"nobody receives notifications of alarms")
	timeout := w.cfg.LoadBalancer.IdleTimeout
	w.at("monitoring", "objectives").warn(w.cfg.Monitoring.Objectives.LatencyThreshold >= float64(timeout),
		"latency_threshold", "every response is in time: after %d seconds, load_balancer.idle_timeout, "+
			"the load balancer returns an error instead", timeout)
	m := w.cfg.Monitoring
	off := "while monitoring.prometheus.enabled is false"
	w.at("monitoring").idle(m.Prometheus.Enabled, off, "objectives", "cloudwatch_interval", "database", "durable")
	w.at("monitoring").idle(m.ReadsDatabase(), "while Prometheus does not read PostgreSQL's metrics", "database_image")
	w.at("monitoring").image("database_image", m.DatabaseImage)
	w = w.at("monitoring", "prometheus")
	w.idle(m.Prometheus.Enabled, off, "image", "alertmanager_image", "cpu", "memory", "storage", "days",
		"scrape_interval")
	w.idle(m.ReadsCloudWatch(), "while Prometheus does not read CloudWatch's metrics", "cloudwatch_image")
	w.image("image", m.Prometheus.Image)
	w.image("alertmanager_image", m.Prometheus.AlertmanagerImage)
	w.image("cloudwatch_image", m.Prometheus.CloudWatchImage)
	w.image("config_image", w.cfg.Monitoring.Prometheus.ConfigImage)
}
