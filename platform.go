package main

import (
	"maps"
	"slices"
)

// Platform is all that was declared. Only what looks at everything gets the whole of it: the
// alarms, dashboard and outputs. A module takes the parts that it needs, so that its
// signature shows them.
type Platform struct {
	Network       *Network
	LoadBalancer  *LoadBalancer
	Database      *Database // nil if it is off, as its users and its backup
	Cluster       *Cluster
	DatabaseUsers *DatabaseUsers
	Services      Services
	Monitoring    *Monitoring
	Backup        *Backup
	Dumps         *Dumps // nil if they are off
	Events        *Events
}

// alarms are all alarms but those of deployments, in the order in which the dashboard shows them.
func (p *Platform) alarms(s *scope) []alarm {
	return slices.Concat(
		p.LoadBalancer.alarms(),
		p.Services.alarms(),
		p.Monitoring.alarms(),
		p.Database.alarms(s.cfg.Database),
		p.DatabaseUsers.alarms(s),
		p.Network.alarms(),
		p.Backup.alarms(s),
		p.Dumps.alarms(s),
		p.Events.alarms(),
	)
}

func (p *Platform) outputs(s *scope) []output {
	return slices.Concat(
		p.Network.outputs(),
		p.LoadBalancer.outputs(),
		p.Database.outputs(),
		p.Cluster.outputs(),
		p.DatabaseUsers.outputs(s),
		p.Services.outputs(),
		p.Monitoring.outputs(),
		p.Backup.outputs(),
		[]output{
			{"log_group_names", "Log groups to read first", p.logGroups()},
			{"secrets_key_arn", "KMS key of the services' secrets", s.keys.Secrets},
		},
	)
}

// logGroups are the names of the log groups by what writes to them.
func (p *Platform) logGroups() map[string]*string {
	logs := map[string]*string{}
	if p.Database != nil {
		logs["backup"], logs["database_roles"] = p.Backup.LogGroup, p.DatabaseUsers.LogGroup
		logs["database"] = p.Database.LogGroups[0]
	}
	if p.Monitoring.Prometheus != nil {
		logs["prometheus"] = p.Monitoring.Prometheus.LogGroup
	}
	if p.Monitoring.Exporter != nil {
		logs["database_exporter"] = p.Monitoring.Exporter.LogGroup
	}
	for _, svc := range p.Services {
		logs["service_"+svc.Name] = svc.LogGroup
	}
	if p.Dumps != nil {
		maps.Copy(logs, p.Dumps.LogGroups)
	}
	return logs
}
