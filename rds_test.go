package main

import (
	"maps"
	"platform/internal/config"
	"platform/internal/stacktest"
	"slices"
	"strings"
	"testing"
)

func TestDatabaseParameters(t *testing.T) {
	const atOnce, atRestart = "immediate", "pending-reboot"
	// platformsOwn are the platform's parameters, some of them changed.
	platformsOwn := func(changes ...parameter) []parameter {
		all := map[string]parameter{}
		for _, p := range append([]parameter{
			{"log_connections", "1", atOnce},
			{"log_disconnections", "1", atOnce},
			{"log_lock_waits", "1", atOnce},
			{"log_min_duration_statement", "1000", atOnce},
			{"rds.force_ssl", "1", atOnce},
			{"shared_preload_libraries", "pg_stat_statements", atRestart},
		}, changes...) {
			all[p.name] = p
		}
		var list []parameter
		for _, name := range slices.Sorted(maps.Keys(all)) {
			list = append(list, all[name])
		}
		return list
	}
	for name, c := range map[string]struct {
		version    string
		slowQuery  int
		parameters map[string]string
		want       []parameter
	}{
		"nothing configured": {version: "17", slowQuery: 1000, want: platformsOwn()},
		"an override of one that takes effect at once keeps that": {
			version: "17", slowQuery: 1000, parameters: map[string]string{"log_lock_waits": "0"},
			want: platformsOwn(parameter{"log_lock_waits", "0", atOnce}),
		},
		"an override of one that needs a restart keeps that": {
			version: "17", slowQuery: 1000,
			parameters: map[string]string{"shared_preload_libraries": "pg_stat_statements,auto_explain"},
			want: platformsOwn(
				parameter{"shared_preload_libraries", "pg_stat_statements,auto_explain", atRestart}),
		},
		"an unknown one waits for a restart, which RDS always takes": {
			version: "17", slowQuery: 1000, parameters: map[string]string{"max_connections": "200"},
			want: platformsOwn(parameter{"max_connections", "200", atRestart}),
		},
		"unknown ones are in order among the platform's": {
			version: "17", slowQuery: 1000,
			parameters: map[string]string{"work_mem": "8192", "autovacuum": "1", "rds.log_retention_period": "1440"},
			want: platformsOwn(
				parameter{"work_mem", "8192", atRestart},
				parameter{"autovacuum", "1", atRestart},
				parameter{"rds.log_retention_period", "1440", atRestart}),
		},
		"the time of a slow query": {
			version: "17", slowQuery: 250, want: platformsOwn(parameter{"log_min_duration_statement", "250", atOnce}),
		},
		"the parameter wins over the setting": {
			version: "17", slowQuery: 250, parameters: map[string]string{"log_min_duration_statement": "-1"},
			want: platformsOwn(parameter{"log_min_duration_statement", "-1", atOnce}),
		},
		"PostgreSQL 18 takes a list of stages": {
			version: "18", slowQuery: 1000, want: platformsOwn(parameter{"log_connections", "all", atOnce}),
		},
		"PostgreSQL 14 takes a switch": {version: "14", slowQuery: 1000, want: platformsOwn()},
	} {
		t.Run(name, func(t *testing.T) {
			got := databaseParameters(config.Database{
				Version: c.version, SlowQuery: c.slowQuery, Parameters: c.parameters,
			}, c.version)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%v\nwant\n%v", got, c.want)
			}
			if !slices.IsSortedFunc(got, func(a, b parameter) int { return strings.Compare(a.name, b.name) }) {
				t.Errorf("is out of order: %v", got)
			}
		})
	}
}

const (
	databaseInstance = "aws_db_instance.database"
	parameterGroup   = "aws_db_parameter_group.database_parameter_group"
	webTask          = "aws_ecs_task_definition.service_web_task_definition"
	webVariables     = "container_definitions[name=web].environment"
)

var databaseTLSPromises = []stacktest.Promise{{
	Name:  "the database accepts TLS connections only, and every service verifies its certificate",
	Check: databaseRequiresTLS,
	BrokenBy: []stacktest.Break{{
		Name:  "rds.force_ssl is off",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=rds.force_ssl].value", "0"),
		Found: parameterGroup,
	}, {
		Name:  "the parameter group has no parameters",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter", []any{}),
		Found: parameterGroup,
	}, {
		Name:  "a service does not require TLS",
		Stack: "prod",
		By:    stacktest.Set(webTask, webVariables+"[name=PGSSLMODE].value", "prefer"),
		Found: webTask,
	}, {
		Name:  "a service verifies with the authorities of its image, which do not include RDS's",
		Stack: "prod",
		By:    stacktest.Set(webTask, webVariables+"[name=PGSSLROOTCERT].value", "system"),
		Found: webTask,
	}, {
		Name:  "the instance has a certificate of an expired authority",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "ca_cert_identifier", "rds-ca-2019"),
		Found: databaseInstance,
	}},
}}

func databaseRequiresTLS(s stacktest.Stack, v *stacktest.Violations) {
	for _, db := range s.Resources("aws_db_instance") {
		authorities := []string{"rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"}
		v.Want(slices.Contains(authorities, db.String("ca_cert_identifier")),
			db.Address, "has a certificate of %v", db.At("ca_cert_identifier"))
		group := s.Resource(db.Reference("parameter_group_name"))
		v.Want(group.Is("parameter[name=rds.force_ssl].value", "1"),
			group.Address, "lets %s accept connections without TLS", db.Address)
	}
	for _, definition := range s.Resources("aws_ecs_task_definition") {
		for _, c := range definition.Containers() {
			if !c.Has("environment[name=PGHOST]") {
				continue
			}
			mode := c.String("environment[name=PGSSLMODE].value")
			file := c.String("environment[name=PGSSLROOTCERT].value")
			v.Want(mode == "verify-full" && certificatesAreDelivered(definition, c, file),
				c.Address, "connects with sslmode %q and certificates from %q", mode, file)
		}
	}
}

// certificatesAreDelivered tells whether another container of the task has written certificates to
// a file before a container starts that reads it.
func certificatesAreDelivered(definition, reader stacktest.Resource, file string) bool {
	volume := func(c stacktest.Resource) string {
		for _, m := range c.Blocks("mountPoints") {
			if strings.HasPrefix(file, m.String("containerPath")+"/") {
				return m.String("sourceVolume")
			}
		}
		return ""
	}
	for _, c := range definition.Containers() {
		first := reader.Is("dependsOn[containerName="+c.String("name")+"].condition", "SUCCESS")
		writes := strings.HasSuffix(strings.Join(c.Strings("command"), " "), "> "+file) &&
			strings.HasPrefix(c.String("environment[name=CERTIFICATES].value"), "-----BEGIN CERTIFICATE-----")
		if first && writes && volume(c) != "" && volume(c) == volume(reader) {
			return true
		}
	}
	return false
}
