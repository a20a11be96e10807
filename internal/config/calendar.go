package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// calendar is when a cron expression of AWS fires, in any year.
type calendar struct {
	minutes      []int // of a day, in order
	months       map[int]bool
	day, weekday string // one of the two is ?

	days, weekdays map[int]bool // values of day and weekday without L, W and #
}

// newCalendar reads an expression that [isCron] accepts; false for others.
func newCalendar(schedule string) (c calendar, ok bool) {
	if !isCron(schedule) {
		return calendar{}, false
	}
	fields := cronText.FindStringSubmatch(schedule)
	for hour := range cronValues(fields[2], 0, 23) {
		for minute := range cronValues(fields[1], 0, 59) {
			c.minutes = append(c.minutes, hour*60+minute)
		}
	}
	slices.Sort(c.minutes)
	c.months = cronValues(fields[4], 1, 12)
	c.day, c.weekday = fields[3], strings.ToUpper(fields[5])
	c.days = cronValues(strings.TrimSuffix(c.day, "W"), 1, 31)
	weekday, _, _ := strings.Cut(c.weekday, "#")
	c.weekdays = cronValues(strings.TrimSuffix(weekday, "L"), 1, 7)
	return c, true
}

// includes reports whether a schedule fires on a date.
func (c calendar) includes(date time.Time) bool {
	if !c.months[int(date.Month())] {
		return false
	}
	if c.day == "?" {
		return c.includesWeekday(date)
	}
	last := lastOfMonth(date)
	nearest, working := strings.CutSuffix(c.day, "W")
	switch {
	case c.day == "L":
		return date.Day() == last
	case working:
		wanted, _ := strconv.Atoi(nearest)
		return wanted <= last && date.Day() == workingDay(date.AddDate(0, 0, wanted-date.Day()), last)
	}
	return c.days[date.Day()]
}

// includesWeekday compares a date with the weekday, which for AWS is a number from 1, Sunday.
func (c calendar) includesWeekday(date time.Time) bool {
	weekday := int(date.Weekday()) + 1
	if c.weekday == "L" { // the last day of a week
		return weekday == 7
	}
	_, nth, counted := strings.Cut(c.weekday, "#")
	return c.weekdays[weekday] &&
		(!counted || strconv.Itoa((date.Day()+6)/7) == nth) &&
		(!strings.HasSuffix(c.weekday, "L") || date.Day()+7 > lastOfMonth(date))
}

func lastOfMonth(date time.Time) int {
	return time.Date(date.Year(), date.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// workingDay returns the day of the month of the working day that is nearest to a date, in the same
// month, whose last day is given.
func workingDay(date time.Time, last int) int {
	day := date.Day()
	switch weekday := date.Weekday(); {
	case weekday == time.Saturday && day == 1:
		return 3
	case weekday == time.Saturday:
		return day - 1
	case weekday == time.Sunday && day == last:
		return day - 2
	case weekday == time.Sunday:
		return day + 1
	}
	return day
}

// In eight years from calendarStart, every day of a leap year comes twice.
const calendarDays = 8*365 + 2

var calendarStart = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// dates yields the days in eight years on which the schedule fires, as numbers of days.
func (c calendar) dates(yield func(day int) bool) {
	for day := range calendarDays {
		if c.includes(calendarStart.AddDate(0, 0, day)) && !yield(day) {
			return
		}
	}
}

// never is less than [hoursBetween] returns for a schedule that does not fire.
const never = calendarDays * 24

// hoursBetween returns the longest time between two runs of a schedule in hours, rounded up. It is 0
// for a text that is no schedule, and more than [never] for a date that does not exist. It does not
// count the hour by which the end of daylight saving time can prolong a day.
func hoursBetween(schedule string) int {
	if minutes, ok := rateMinutes(schedule); ok {
		return (minutes + 59) / 60
	}
	c, ok := newCalendar(schedule)
	if !ok {
		return 0
	}
	longest, previous := 0, -1 // minutes
	for day := range c.dates {
		for _, minute := range c.minutes {
			at := day*minutesOfDay + minute
			if previous >= 0 {
				longest = max(longest, at-previous)
			}
			previous = at
		}
	}
	if longest == 0 {
		return never + 1
	}
	return (longest + 59) / 60
}

// timesPerDay returns how often a schedule fires, on average; 0 for a text that is no schedule.
func timesPerDay(schedule string) float64 {
	if minutes, ok := rateMinutes(schedule); ok {
		return float64(minutesOfDay) / float64(minutes)
	}
	c, _ := newCalendar(schedule)
	runs := 0
	for range c.dates {
		runs += len(c.minutes)
	}
	return float64(runs) / calendarDays
}

// rateMinutes returns the minutes between two runs of rate(...); false for other texts.
func rateMinutes(schedule string) (minutes int, ok bool) {
	var count int
	var unit string
	if !isRate(schedule) {
		return 0, false
	}
	if _, err := fmt.Sscanf(schedule, "rate(%d %s", &count, &unit); err != nil {
		return 0, false
	}
	return count * map[byte]int{'m': 1, 'h': 60, 'd': minutesOfDay}[unit[0]], true
}

// cronValues returns the values of a field that [cronField] accepts. A range may end before it
// starts, such as FRI-MON.
func cronValues(text string, low, high int) map[int]bool {
	values := map[int]bool{}
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		from, to, ranged := strings.Cut(span, "-")
		first, last := cronValue(from, low), cronValue(to, high)
		switch {
		case span == "*":
			first, last = low, high
		case !ranged && !stepped:
			last = first
		case last < first:
			last += high - low + 1
		}
		every, err := strconv.Atoi(step)
		if err != nil || every < 1 {
			every = 1
		}
		for value := first; value <= last; value += every {
			values[low+(value-low)%(high-low+1)] = true
		}
	}
	return values
}

// cronValue reads a number, or the name of a month or a weekday.
func cronValue(text string, otherwise int) int {
	for _, names := range [][]string{cronWeekdays, cronMonths} {
		if i := slices.Index(names, strings.ToUpper(text)); i >= 0 {
			return i + 1
		}
	}
	if number, err := strconv.Atoi(text); err == nil {
		return number
	}
	return otherwise
}
