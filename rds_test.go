package main

import (
	"maps"
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
			got := databaseParameters(DatabaseConfig{Version: c.version, SlowQuery: c.slowQuery, Parameters: c.parameters}, c.version)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%v\nwant\n%v", got, c.want)
			}
			if !slices.IsSortedFunc(got, func(a, b parameter) int { return strings.Compare(a.name, b.name) }) {
				t.Errorf("is out of order: %v", got)
			}
		})
	}
}

// Numbers from Amazon's table of instance classes.
func TestClassWithASizeThatThereIsNotIsRefused(t *testing.T) {
	for _, class := range []string{"db.m5.3xlarge", "db.m5.02xlarge", "db.t4g.4xlarge", "db.r8g.99999999999xlarge"} {
		if gib, err := classMemory(class); err == nil {
			t.Errorf("%s has %d GiB", class, gib)
		}
	}
}

func TestClassMemory(t *testing.T) {
	for class, want := range map[string]int{
		"db.t3.micro": 1, "db.t3.small": 2, "db.t3.medium": 4, "db.t3.large": 8, "db.t3.xlarge": 16, "db.t3.2xlarge": 32,
		"db.t4g.micro": 1, "db.t4g.small": 2, "db.t4g.medium": 4, "db.t4g.large": 8, "db.t4g.xlarge": 16, "db.t4g.2xlarge": 32,
		"db.m5.large": 8, "db.m5.xlarge": 16, "db.m5.2xlarge": 32, "db.m5.24xlarge": 384,
		"db.m6g.large": 8, "db.m6g.16xlarge": 256, "db.m6i.32xlarge": 512, "db.m7g.large": 8, "db.m7g.4xlarge": 64, "db.m7i.48xlarge": 768, "db.m8g.12xlarge": 192,
		"db.r5.large": 16, "db.r5.12xlarge": 384, "db.r6g.xlarge": 32, "db.r6g.16xlarge": 512, "db.r6i.32xlarge": 1024, "db.r7g.2xlarge": 64, "db.r7i.8xlarge": 256, "db.r8g.large": 16,
		"db.x2g.large": 32, "db.x2g.xlarge": 64, "db.x2g.16xlarge": 1024,
	} {
		t.Run(class, func(t *testing.T) {
			got, err := classMemory(class)
			if err != nil || got != want {
				t.Errorf("has %d GiB (%v), want %d", got, err, want)
			}
		})
	}
}

func TestClassesThatThereAreNot(t *testing.T) {
	for name, class := range map[string]string{
		"nothing":                       "",
		"no db in front":                "t3.micro",
		"no size":                       "db.t3",
		"a size without a family":       "db..micro",
		"a size that RDS has not":       "db.t3.nano",
		"in capitals":                   "DB.T3.MICRO",
		"a line end":                    "db.t3.micro\n",
		"an old family":                 "db.t2.micro",
		"a family of another engine":    "db.z1d.large",
		"a variant that is not listed":  "db.m5d.large",
		"memory without end":            "db.x2iedn.large",
		"serverless":                    "db.serverless",
		"a family of EC2":               "db.c7g.large",
		"small, of a large family":      "db.m5.small",
		"medium, of a large family":     "db.r5.medium",
		"beyond a small family's sizes": "db.t3.4xlarge",
		"one that is called xlarge":     "db.m5.1xlarge",
		"none":                          "db.m5.0xlarge",
		"more than counts":              "db.m5.99999999999999999999xlarge",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := classMemory(class)
			if err == nil {
				t.Fatalf("%q has %d GiB", class, got)
			}
			if text := err.Error(); !strings.HasPrefix(text, "want ") || !strings.Contains(text, ", have ") || strings.Contains(text, "\n") {
				t.Errorf("%q: says %s", class, text)
			}
		})
	}
}

// LEAST(DBInstanceClassMemory/9531392, 5000), as Amazon publishes it; the quotients are worked out by hand.
func TestMaxConnectionsFollowAmazonsFormula(t *testing.T) {
	for class, want := range map[string]int{
		"db.t4g.micro": 112, "db.t4g.small": 225, "db.t4g.medium": 450, "db.m7g.large": 901, "db.r7g.large": 1802, "db.r6g.xlarge": 3604,
		"db.m7g.4xlarge": 5000, "db.r6i.32xlarge": 5000,
	} {
		t.Run(class, func(t *testing.T) {
			memory, err := classMemory(class)
			if err != nil {
				t.Fatal(err)
			}
			if got := maxConnections(memory); got != want {
				t.Errorf("takes %d connections, want %d", got, want)
			}
		})
	}
}
