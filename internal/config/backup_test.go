package config

import (
	"slices"
	"testing"
)

func TestSnapshotIsOutsideTheBackupWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schedule, window string
		refused          bool
	}{
		"before it":                       {"cron(59 0 * * ? *)", "01:00-02:00", false},
		"at its start":                    {"cron(0 1 * * ? *)", "01:00-02:00", true},
		"in its last minute":              {"cron(59 1 * * ? *)", "01:00-02:00", true},
		"at its end":                      {"cron(0 2 * * ? *)", "01:00-02:00", false},
		"within it on one weekday":        {"cron(30 1 ? * SUN *)", "01:00-02:00", true},
		"within it on one day of a month": {"cron(30 1 1 * ? *)", "01:00-02:00", true},
		"across midnight, before it":      {"cron(45 23 * * ? *)", "23:30-00:30", true},
		"across midnight, after it":       {"cron(15 0 * * ? *)", "23:30-00:30", true},
		"across midnight, outside":        {"cron(30 0 * * ? *)", "23:30-00:30", false},
		"several hours, left alone":       {"cron(30 1,13 * * ? *)", "01:00-02:00", false},
		"a rate, left alone":              {"rate(1 hour)", "01:00-02:00", false},
		"no window to compare with":       {"cron(30 1 * * ? *)", "nightly", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, minimal+"backup: {schedule: '"+c.schedule+"'}\n"+
				"database: {maintenance_window: 'sun:08:00-sun:09:00', backup_window: '"+c.window+"'}\n")
			want := `config/test.yaml:3:10: backup.schedule: want a time outside database.backup_window (` + c.window +
				`), when RDS takes its automated backup and rejects other snapshots, have "` + c.schedule + `"`
			if slices.Contains(got, want) != c.refused {
				t.Errorf("says %q", got)
			}
		})
	}
}
