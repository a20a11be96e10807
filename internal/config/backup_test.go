package config

import (
	"slices"
	"testing"
)

func TestSnapshotMustBeOutsideTheBackupWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		schedule, window string
		refused          bool
	}{
		"before the window":                           {"cron(59 0 * * ? *)", "01:00-02:00", false},
		"at the start of the window":                  {"cron(0 1 * * ? *)", "01:00-02:00", true},
		"in the last minute of the window":            {"cron(59 1 * * ? *)", "01:00-02:00", true},
		"at the end of the window":                    {"cron(0 2 * * ? *)", "01:00-02:00", false},
		"in the window on one weekday":                {"cron(30 1 ? * SUN *)", "01:00-02:00", true},
		"in the window on one day of a month":         {"cron(30 1 1 * ? *)", "01:00-02:00", true},
		"before midnight in a window across midnight": {"cron(45 23 * * ? *)", "23:30-00:30", true},
		"after midnight in a window across midnight":  {"cron(15 0 * * ? *)", "23:30-00:30", true},
		"outside a window across midnight":            {"cron(30 0 * * ? *)", "23:30-00:30", false},
		"several hours are not checked":               {"cron(30 1,13 * * ? *)", "01:00-02:00", false},
		"a rate is not checked":                       {"rate(1 hour)", "01:00-02:00", false},
		"an invalid window":                           {"cron(30 1 * * ? *)", "nightly", false},
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

// The daily call is at 04:00 UTC.
func TestDumpsBeginAfterTheDailyCallAllYear(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ timezone, backup, want string }{
		"in UTC":                                {"UTC", "01:00-02:00", "cron(30 4 * * ? *)"},
		"in a zone without daylight saving":     {"Asia/Kolkata", "01:00-02:00", "cron(0 10 * * ? *)"},
		"an hour later in winter":               {"Europe/Berlin", "01:00-02:00", "cron(30 6 * * ? *)"},
		"west of Greenwich, the evening before": {"America/Los_Angeles", "01:00-02:00", "cron(30 21 * * ? *)"},
		"in summer not, in winter in a window":  {"Europe/Berlin", "05:15-05:45", "cron(0 7 * * ? *)"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "dev", minimal+"database: {backup_window: '"+c.backup+"', rotation_window: '02:00-04:00', "+
				"maintenance_window: 'sun:08:00-sun:09:00'}\nbackup: {timezone: "+c.timezone+"}\n")
			if got := cfg.Backup.Dump.Schedule; got != c.want {
				t.Errorf("dumps are at %s, want %s; the daily call is %s", got, c.want, cfg.Database.DailyCall())
			}
		})
	}
}
