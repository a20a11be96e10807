package main

// Monitoring is where alarms go and metrics are kept.
type Monitoring struct {
	Topic      *Topic
	Prometheus *Prometheus
}

// newMonitoring declares the topic that informs people, and Prometheus.
//
//	alarms, events ── topic ── e-mail
//	Prometheus (private) ── tasks' metrics ports
//	           └── ECS's API: which tasks there are
func newMonitoring(s *scope, cluster *Cluster, services Services) *Monitoring {
	return &Monitoring{Topic: newTopic(s), Prometheus: newPrometheus(s, cluster, services)}
}

func (m *Monitoring) outputs() []output {
	return append(m.Prometheus.outputs(), output{"alerts_topic_arn", "Topic of all alarms", m.Topic.ARN})
}
