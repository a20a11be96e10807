package config

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// RotationSchedule is when Secrets Manager rotates a service's password.
type RotationSchedule struct {
	Cron     string // in UTC
	Duration string // of the window, in which Secrets Manager chooses the time, such as 2h
}

// RotationSchedule returns the schedule of a service. The day follows from the service's name alone,
// so that another service does not change it, and most services have different days.
//
// Secrets Manager accepts windows that begin on the hour and end on the same day, and cron
// expressions that repeat within a year. A rate expression would begin at midnight.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
func (d Database) RotationSchedule(service string) RotationSchedule {
	window, _ := parseDaily(d.RotationWindow) // checked with the configuration
	days, weekdays, months := "?", "?", "*"
	switch n := int(digest(service)); {
	case d.Rotation < 7:
		weekdays = weekdaysEvery(d.Rotation, n)
	case d.Rotation < 14:
		weekdays = weekdayNames[n%7]
	case d.Rotation < 28:
		days = fmt.Sprintf("%d,%d", n%14+1, n%14+15)
	default:
		every := monthsWithin(d.Rotation)
		days = strconv.Itoa(n%28 + 1) // every month has it
		months = monthsEvery(every, n/28%every)
	}
	return RotationSchedule{
		Cron:     fmt.Sprintf("cron(0 %d %s %s %s *)", window.start/60, days, months, weekdays),
		Duration: fmt.Sprintf("%dh", window.length/60),
	}
}

func digest(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name)) // never fails
	return h.Sum32()
}

var weekdayNames = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

// weekdaysEvery returns the fewest days of a week that are at most so many days apart, from a first
// one on.
func weekdaysEvery(days, first int) string {
	if days == 1 {
		return "*"
	}
	var names []string
	for count, i := (6+days)/days, 0; i < count; i++ {
		names = append(names, weekdayNames[(first+i*7/count)%7])
	}
	return strings.Join(names, ",")
}

// monthsWithin returns the longest interval in months that divides a year and, at 30 days for each
// month, is not longer than the given days; at least one month.
func monthsWithin(days int) int {
	for _, months := range []int{12, 6, 4, 3, 2} {
		if days >= 30*months {
			return months
		}
	}
	return 1
}

// monthsEvery returns every nth month of a year, for an n of months, from a first one on.
func monthsEvery(months, first int) string {
	if months == 1 {
		return "*"
	}
	var numbers []string
	for month := first + 1; month <= 12; month += months {
		numbers = append(numbers, strconv.Itoa(month))
	}
	return strings.Join(numbers, ",")
}

// deriveRotation sets the default of the rotation window: the two hours nearest before the
// maintenance window, which is at night, that overlap neither with it, on any day, nor with the
// backup window.
func (d *Database) deriveRotation() {
	maintenance, isWeekly := parseWeekly(d.MaintenanceWindow)
	backup, isDaily := parseDaily(d.BackupWindow)
	if !isWeekly || !isDaily {
		return // reported
	}
	night := window{maintenance.start % minutesOfDay, maintenance.length}
	// A maintenance window of most of a day leaves no free hours. It is on one day of the week
	// only, so the rotation window may overlap it then.
	for _, taken := range [][]window{{backup, night}, {backup}, {}} {
		for back := range 24 {
			start := (night.start/60 - rotationHours - back + 48) % 24
			candidate := window{start * 60, rotationHours * 60}
			if start+rotationHours <= 24 && !candidate.overlapsAny(taken) {
				d.RotationWindow = fmt.Sprintf("%02d:00-%02d:00", start, (start+rotationHours)%24)
				return
			}
		}
	}
}

// rotationHours is the length of the rotation window by default.
const rotationHours = 2

// overlapsAny compares daily windows.
func (w window) overlapsAny(others []window) bool {
	return slices.ContainsFunc(others, w.overlaps)
}

var rotationWindow = form("rotation_window", `^([01][0-9]|2[0-3]):00-([01][0-9]|2[0-3]):00$`)

// rotationWindow checks what Secrets Manager accepts.
func (c checker) rotationWindow(d Database) {
	valid := rotationWindow.MatchString(d.RotationWindow)
	c.want(valid, "rotation_window",
		"want whole hours, hh:00-hh:00 in UTC, such as 02:00-04:00, have %q", d.RotationWindow)
	w, _ := parseDaily(d.RotationWindow)
	c.want(!valid || w.length > 0, "rotation_window", "want an hour or more, have %s", d.RotationWindow)
	c.want(!valid || w.start+w.length <= minutesOfDay, "rotation_window",
		"want a window that ends by 00:00 UTC, because Secrets Manager rejects one across midnight, have %s",
		d.RotationWindow)
}

// rotationWindow warns of a window that overlaps another: a rotation fails while the database
// restarts, and Secrets Manager retries it.
func (w warner) rotationWindow(d Database) {
	rotation, _ := parseDaily(d.RotationWindow)
	backup, _ := parseDaily(d.BackupWindow)
	maintenance, _ := parseWeekly(d.MaintenanceWindow)
	w.warn(rotation.overlaps(backup), "rotation_window",
		"overlaps %s (%s); want another time", w.full("backup_window"), d.BackupWindow)
	w.warn(maintenance.overlaps(rotation), "rotation_window",
		"overlaps %s (%s), in which the database may restart; want another time",
		w.full("maintenance_window"), d.MaintenanceWindow)
}
