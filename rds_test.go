package main

import (
	"maps"
	"platform/internal/config"
	"slices"
	"strings"
	"testing"
)

func TestDatabaseParameters(t *testing.T) {
	ours := func(change map[string]parameter) []parameter {
		all := map[string]parameter{}
		for _, p := range []parameter{
			{"log_connections", "1", "immediate"},
			{"log_disconnections", "1", "immediate"},
			{"log_lock_waits", "1", "immediate"},
			{"log_min_duration_statement", "1000", "immediate"},
			{"rds.force_ssl", "1", "immediate"},
			{"shared_preload_libraries", "pg_stat_statements", "pending-reboot"},
		} {
			all[p.name] = p
		}
		for name, p := range change {
			all[name] = p
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
		"nothing configured": {"17", 1000, nil, ours(nil)},
		"an override of one that takes effect at once keeps that":    {"17", 1000, map[string]string{"log_lock_waits": "0"}, ours(map[string]parameter{"log_lock_waits": {"log_lock_waits", "0", "immediate"}})},
		"an override of one that needs a restart keeps that":         {"17", 1000, map[string]string{"shared_preload_libraries": "pg_stat_statements,auto_explain"}, ours(map[string]parameter{"shared_preload_libraries": {"shared_preload_libraries", "pg_stat_statements,auto_explain", "pending-reboot"}})},
		"an unknown one waits for a restart, which RDS always takes": {"17", 1000, map[string]string{"max_connections": "200"}, ours(map[string]parameter{"max_connections": {"max_connections", "200", "pending-reboot"}})},
		"unknown ones stand in order among ours":                     {"17", 1000, map[string]string{"work_mem": "8192", "autovacuum": "1", "rds.log_retention_period": "1440"}, ours(map[string]parameter{"work_mem": {"work_mem", "8192", "pending-reboot"}, "autovacuum": {"autovacuum", "1", "pending-reboot"}, "rds.log_retention_period": {"rds.log_retention_period", "1440", "pending-reboot"}})},
		"the time of a slow query":                                   {"17", 250, nil, ours(map[string]parameter{"log_min_duration_statement": {"log_min_duration_statement", "250", "immediate"}})},
		"the parameter wins over the setting":                        {"17", 250, map[string]string{"log_min_duration_statement": "-1"}, ours(map[string]parameter{"log_min_duration_statement": {"log_min_duration_statement", "-1", "immediate"}})},
		"PostgreSQL 18 takes a list of stages":                       {"18", 1000, nil, ours(map[string]parameter{"log_connections": {"log_connections", "all", "immediate"}})},
		"PostgreSQL 14 takes a switch":                               {"14", 1000, nil, ours(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			got := databaseParameters(config.Database{Version: c.version, SlowQuery: c.slowQuery, Parameters: c.parameters}, c.version)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%v\nwant\n%v", got, c.want)
			}
			if !slices.IsSortedFunc(got, func(a, b parameter) int { return strings.Compare(a.name, b.name) }) {
				t.Errorf("is out of order: %v", got)
			}
		})
	}
}
