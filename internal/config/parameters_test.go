package config

import (
	"slices"
	"testing"
)

func TestParametersApplyAtOnceIfRDSSupportsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parameter, value, version string
		want                      bool
	}{
		"a dynamic one":                       {"work_mem", "65536", "17", true},
		"a static one":                        {"shared_buffers", "32768", "17", false},
		"static from a version on":            {"io_method", "worker", "18", false},
		"static only in older versions":       {"old_snapshot_threshold", "60", "14", false},
		"static for RDS only":                 {"temp_file_limit", "1024", "17", false},
		"one of RDS that is dynamic":          {"rds.log_retention_period", "1440", "17", true},
		"one of RDS with RDS's default":       {"rds.log_retention_period", "4320", "17", false},
		"TLS where RDS requires it":           {"rds.force_ssl", "1", "15", false},
		"TLS where RDS does not require it":   {"rds.force_ssl", "1", "14", true},
		"one of an extension that is dynamic": {"auto_explain.log_min_duration", "500", "16", true},
		"one of an unknown extension":         {"pgaudit.log", "ddl", "16", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := AppliesAtOnce(c.parameter, c.value, c.version); got != c.want {
				t.Errorf("%s = %s with PostgreSQL %s: want %v, have %v", c.parameter, c.value, c.version, c.want, got)
			}
		})
	}
}

func TestParametersThatWaitForARestartAreListed(t *testing.T) {
	t.Parallel()
	d := Database{Version: "17", Parameters: map[string]string{
		"work_mem": "65536", "shared_buffers": "32768", "max_connections": "200", "autovacuum": "1",
	}}
	if got, want := d.AfterRestart(), []string{"max_connections", "shared_buffers"}; !slices.Equal(got, want) {
		t.Errorf("want %v, have %v", want, got)
	}
}
