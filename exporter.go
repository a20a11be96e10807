package main

import "platform/internal/config"

// DatabaseExporter is the service that reads PostgreSQL's own metrics for Prometheus.
type DatabaseExporter struct {
	SecurityGroup *securityGroup
	LogGroup      *string // name

	dimensions map[string]*string // of the service's metrics
}

// exporterMetrics is where Prometheus reads the exporter.
var exporterMetrics = config.Metrics{Enabled: true, Port: 9187, Path: "/metrics"}

// newDatabaseExporter declares the service, if it is configured; nil if not. It is a service of its
// own, not a container beside Prometheus, because each rotation of its password replaces its task:
// that of Prometheus would lose the history.
//
//	prometheus ── database exporter ── database, as platform_monitor, which reads no table
func newDatabaseExporter(s *scope, cluster *Cluster, users *DatabaseUsers) *DatabaseExporter {
	if !s.cfg.Monitoring.ReadsDatabase() {
		return nil
	}
	const name = config.MonitorService
	t := newTask(s, cluster, part{"database_exporter", name}, taskOptions{
		description: "Database exporter: Prometheus in; out to the database",
		logGroup:    "/" + s.cfg.Stack() + "/" + dashed(name),
		size:        taskSize{cpu: 256, memory: 512, architecture: "ARM64"},
	})
	c := t.container(dashed(name), s.cfg.Monitoring.DatabaseImage)
	c.User = nobody
	c.restartInPlace()
	c.dropCapabilities()
	c.Command = []string{
		"--web.listen-address=:9187",
		"--no-collector.settings", // hundreds of series that do not change
		"--collector.long_running_transactions",
		"--collector.database_wraparound",
	}
	c.listen(exporterMetrics.Port)
	c.DockerLabels = metricsPlace(exporterMetrics)
	c.HealthCheck = newHealthCheck(30, "CMD", "/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9187/")
	users.connectAs(config.MonitorUser, t, c)
	// The rest of the connection is in libpq's variables.
	c.setEnvironment(map[string]string{"DATA_SOURCE_NAME": "application_name=prometheus"})
	running := t.service(serviceOptions{
		tasks: 1, spot: !s.cfg.Production(), mayMove: true, tags: tagsOfMetrics(exporterMetrics),
		taskTime: 30 + containerUnhealthyAfter + 30, // ECS stops a container within 30 seconds by default
	})
	return &DatabaseExporter{
		SecurityGroup: t.group, LogGroup: t.logs.Name(), dimensions: cluster.dimensions(running.Name()),
	}
}

func (e *DatabaseExporter) alarms() []alarm {
	return []alarm{tooFewTasks("database_exporter", e.dimensions, 1, "services.md#service_too_few_tasks")}
}
