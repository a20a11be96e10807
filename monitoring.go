package main

// Monitoring is where alarms go and metrics are kept.
type Monitoring struct {
	Topic      *Topic
	Prometheus *Prometheus       // nil without Prometheus
	Exporter   *DatabaseExporter // nil without monitoring.database
}

// newMonitoring declares the topic that informs people, and Prometheus.
//
//	alarms, events, alerts ── topic ── e-mail
//	Prometheus (private) ── tasks' metrics ports, CloudWatch
//	           └── ECS's API: which tasks there are
func newMonitoring(s *scope, cluster *Cluster, services Services, users *DatabaseUsers) *Monitoring {
	m := &Monitoring{Topic: newTopic(s)}
	if s.cfg.Monitoring.Prometheus.Enabled {
		m.Exporter = newDatabaseExporter(s, cluster, users)
		m.Prometheus = newPrometheus(s, cluster, services, m.Topic, m.Exporter)
	}
	return m
}

func (m *Monitoring) outputs() []output {
	outputs := []output{{"alerts_topic_arn", "Topic of all alarms", m.Topic.ARN}}
	if m.Prometheus != nil {
		outputs = append(outputs, m.Prometheus.outputs()...)
	}
	return outputs
}

func (m *Monitoring) alarms() []alarm {
	var alarms []alarm
	if m.Prometheus != nil {
		alarms = append(alarms, m.Prometheus.alarms()...)
	}
	if m.Exporter != nil {
		alarms = append(alarms, m.Exporter.alarms()...)
	}
	return alarms
}
