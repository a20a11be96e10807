package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nights returns the dates in ten years on which a schedule opens, and checks that Secrets Manager
// accepts it: the minute 0, every year, one of the two days unset.
func nights(t *testing.T, cron string) []time.Time {
	t.Helper()
	f := cronText.FindStringSubmatch(cron)
	special := strings.ContainsAny(f[3]+f[4], "LW") || strings.ContainsAny(cron, "/#-")
	if !isCron(cron) || f[1] != "0" || f[6] != "*" || special {
		t.Fatalf("%q is not a schedule that this test, and Secrets Manager, reads", cron)
	}
	in := func(field, value string) bool {
		return field == "*" || field == "?" || slices.Contains(strings.Split(field, ","), value)
	}
	var all []time.Time
	end := time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC); day.Before(end); day = day.AddDate(0, 0, 1) {
		weekday := weekdayNames[day.Weekday()]
		if in(f[3], strconv.Itoa(day.Day())) && in(f[4], strconv.Itoa(int(day.Month()))) && in(f[5], weekday) {
			all = append(all, day)
		}
	}
	return all
}

// A password is never older than the configured days and a week, after which the function reports
// an overdue rotation; and it is not rotated more than twice as often as configured, up to a year.
func TestPasswordsAreRotatedAboutAsOftenAsConfigured(t *testing.T) {
	t.Parallel()
	for days := 1; days <= 1000; days++ {
		for _, name := range []string{"web", "api"} {
			d := Database{Rotation: days, RotationWindow: "02:00-04:00"}
			dates := nights(t, d.RotationSchedule(name).Cron)
			least, most := 1000, 0
			for i := 1; i < len(dates); i++ {
				apart := int(dates[i].Sub(dates[i-1]).Hours() / 24)
				least, most = min(least, apart), max(most, apart)
			}
			if len(dates) < 10 || most > days+6 || days <= 366 && most*2 < days-2 {
				t.Errorf("rotation: %d: %s of %s opens every %d to %d days",
					days, d.RotationSchedule(name).Cron, name, least, most)
			}
		}
	}
}

func TestRotationScheduleOfAService(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		days   int
		window string
		want   RotationSchedule
	}{
		{1, "02:00-04:00", RotationSchedule{"cron(0 2 ? * * *)", "2h"}},
		{2, "02:00-04:00", RotationSchedule{"cron(0 2 ? * TUE,WED,FRI,SUN *)", "2h"}},
		{6, "22:00-00:00", RotationSchedule{"cron(0 22 ? * TUE,FRI *)", "2h"}},
		{7, "00:00-01:00", RotationSchedule{"cron(0 0 ? * TUE *)", "1h"}},
		{14, "02:00-04:00", RotationSchedule{"cron(0 2 10,24 * ? *)", "2h"}},
		{30, "02:00-04:00", RotationSchedule{"cron(0 2 10 * ? *)", "2h"}},
		{90, "02:00-04:00", RotationSchedule{"cron(0 2 10 2,5,8,11 ? *)", "2h"}},
		{365, "02:00-04:00", RotationSchedule{"cron(0 2 10 11 ? *)", "2h"}},
		{1000, "02:00-04:00", RotationSchedule{"cron(0 2 10 11 ? *)", "2h"}},
	} {
		t.Run(fmt.Sprint(c.days), func(t *testing.T) {
			t.Parallel()
			if got := (Database{Rotation: c.days, RotationWindow: c.window}).RotationSchedule("web"); got != c.want {
				t.Errorf("is %v, want %v", got, c.want)
			}
		})
	}
}

// The schedule of a service follows from its name, so no other service can change it. Names that
// are often together have different days.
func TestServicesAreRotatedOnDifferentDays(t *testing.T) {
	t.Parallel()
	d := Database{Rotation: 30, RotationWindow: "02:00-04:00"}
	days := map[string]string{}
	for _, name := range []string{"web", "api", "worker", "jobs", "admin"} {
		cron := d.RotationSchedule(name).Cron
		if other, ok := days[cron]; ok {
			t.Errorf("%s and %s are both rotated at %s", name, other, cron)
		}
		days[cron] = name
	}
}

func TestRotationWindowKeepsAwayFromOtherWindows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, backup, maintenance, rotation, daily string }{
		{"the defaults", "01:00-02:00", "sun:04:30-sun:05:30", "02:00-04:00", "cron(0 4 * * ? *)"},
		{"maintenance after the backup", "02:00-04:00", "sun:04:00-sun:05:00", "00:00-02:00", "cron(0 5 * * ? *)"},
		{"maintenance after midnight", "03:00-03:30", "mon:00:30-mon:01:00", "22:00-00:00", "cron(0 0 * * ? *)"},
		{"a backup before midnight", "22:00-23:30", "mon:00:30-mon:01:00", "20:00-22:00", "cron(30 23 * * ? *)"},
		{"windows of half an hour", "02:15-02:45", "sun:04:45-sun:05:15", "00:00-02:00", "cron(0 3 * * ? *)"},
		{"a maintenance window of a day", "04:00-04:30", "sun:04:30-mon:04:00", "02:00-04:00", "cron(30 4 * * ? *)"},
		{"a backup window of a day", "04:00-03:00", "sun:03:00-sun:03:30", "01:00-03:00", "cron(30 3 * * ? *)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := parse(t, "dev", minimal+"database: {backup_window: '"+c.backup+"', maintenance_window: '"+
				c.maintenance+"'}\nbackup: {schedule: rate(12 hours)}\n")
			if got := cfg.Database.RotationWindow; got != c.rotation {
				t.Errorf("the rotation window is %s, want %s", got, c.rotation)
			}
			if got := cfg.Database.DailyCall(); got != c.daily {
				t.Errorf("the daily call is %s, want %s", got, c.daily)
			}
		})
	}
}

func TestConfiguredRotationWindowIsKept(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", minimal+"database: {rotation_window: '10:00-13:00', rotation: 7}\n")
	want := RotationSchedule{"cron(0 10 ? * TUE *)", "3h"}
	if got := cfg.Database.RotationSchedule("web"); got != want {
		t.Errorf("is %v, want %v", got, want)
	}
}
