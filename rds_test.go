package main

import (
	"maps"
	"platform/internal/config"
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
