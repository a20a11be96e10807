package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a time zone database
)

var (
	cronText = regexp.MustCompile(`^cron\(([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+)\)$`)
	rateText = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)$`)

	cronMonths   = strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
	cronWeekdays = strings.Fields("SUN MON TUE WED THU FRI SAT")

	dailyWindow  = form("backup_window", `^`+timeOfDay+`-`+timeOfDay+`$`)
	weeklyWindow = form("maintenance_window", `^`+weekday+`:`+timeOfDay+`-`+weekday+`:`+timeOfDay+`$`)
)

const (
	timeOfDay = `([01][0-9]|2[0-3]):[0-5][0-9]`
	weekday   = `(mon|tue|wed|thu|fri|sat|sun)`
)

// isCron reports whether a text is an AWS cron expression: six fields, with ? for either the day or
// the weekday.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
func isCron(text string) bool {
	fields := cronText.FindStringSubmatch(text)
	if fields == nil || (fields[3] == "?") == (fields[5] == "?") {
		return false
	}
	return cronField(fields[1], 0, 59) &&
		cronField(fields[2], 0, 23) &&
		cronDay(fields[3]) &&
		cronField(strings.ToUpper(fields[4]), 1, 12, cronMonths...) &&
		cronWeekday(strings.ToUpper(fields[5])) &&
		cronField(fields[6], 1970, 2199)
}

// cronField reports whether a field is a list of values, ranges and steps. The names, if any, are
// also valid values.
func cronField(text string, low, high int, names ...string) bool {
	for part := range strings.SplitSeq(text, ",") {
		values, step, stepped := strings.Cut(part, "/")
		if every, err := strconv.ParseUint(step, 10, 16); stepped && (err != nil || every == 0) {
			return false
		}
		if values == "*" {
			continue
		}
		for _, value := range strings.SplitN(values, "-", 2) {
			number, err := strconv.ParseUint(value, 10, 16)
			if !slices.Contains(names, value) && (err != nil || int(number) < low || int(number) > high) {
				return false
			}
		}
	}
	return true
}

// cronDay reports whether a field is a day of the month, including the last one (L) and the working
// day nearest to a date (W).
func cronDay(text string) bool {
	date, nearest := strings.CutSuffix(text, "W")
	return text == "?" || text == "L" || cronField(date, 1, 31) && (!nearest || !strings.ContainsAny(date, ",-*/"))
}

// cronWeekday reports whether a field is a weekday, including the last (L) and the nth (#) of a
// month. Steps are invalid.
func cronWeekday(text string) bool {
	if text == "?" || text == "L" {
		return true
	}
	day, nth, counted := strings.Cut(strings.TrimSuffix(text, "L"), "#")
	one := counted || strings.HasSuffix(text, "L")
	return cronField(day, 1, 7, cronWeekdays...) &&
		!strings.Contains(day, "/") &&
		(!one || !strings.ContainsAny(day, ",-*")) &&
		(!counted || cronField(nth, 1, 5) && len(nth) == 1)
}

// isRate reports whether a text is an interval, such as rate(6 hours).
func isRate(text string) bool { return rateText.MatchString(text) }

// isAt reports whether a text is a single time: at(yyyy-mm-ddThh:mm:ss).
func isAt(text string) bool {
	_, err := time.Parse("at(2006-01-02T15:04:05)", text)
	return err == nil
}

// isTimezone reports whether a text is a time zone of the IANA database.
func isTimezone(text string) bool {
	_, err := time.LoadLocation(text)
	return err == nil && text != "" && text != "Local"
}

// offsets returns the minutes by which a time zone is ahead of UTC in the course of a year: two numbers
// if it has daylight saving time. The year is fixed, so that the result does not depend on the day.
func offsets(timezone string) []int {
	zone, err := time.LoadLocation(timezone)
	if err != nil { // which is reported
		return []int{0}
	}
	var ahead []int
	for month := time.January; month <= time.December; month++ {
		_, seconds := time.Date(2027, month, 1, 0, 0, 0, 0, zone).Zone()
		ahead = append(ahead, seconds/60)
	}
	slices.Sort(ahead)
	return slices.Compact(ahead)
}

const minutesOfDay = 24 * 60

// cronMinute returns the minute of the day at which a cron expression fires; false if it does not
// fire at a single fixed time of day.
func cronMinute(schedule string) (minute int, fixed bool) {
	fields := cronText.FindStringSubmatch(schedule)
	if fields == nil {
		return 0, false
	}
	minute, errMinute := strconv.Atoi(fields[1])
	hour, errHour := strconv.Atoi(fields[2])
	return hour*60 + minute, errMinute == nil && errHour == nil
}

// window is a span of time: the minute of the day or of the week in which it starts, and its length
// in minutes.
type window struct{ start, length int }

// parseDaily reads hh:mm-hh:mm.
func parseDaily(text string) (w window, ok bool) {
	if !dailyWindow.MatchString(text) {
		return window{}, false
	}
	start, end := minuteOfDay(text[:5]), minuteOfDay(text[6:])
	return window{start, (end - start + minutesOfDay) % minutesOfDay}, true
}

// parseWeekly reads ddd:hh:mm-ddd:hh:mm.
func parseWeekly(text string) (w window, ok bool) {
	if !weeklyWindow.MatchString(text) {
		return window{}, false
	}
	const week = 7 * minutesOfDay
	start, end := minuteOfWeek(text[:9]), minuteOfWeek(text[10:])
	return window{start, (end - start + week) % week}, true
}

// minuteOfDay reads hh:mm, which the pattern of a window has matched.
func minuteOfDay(text string) int {
	at, _ := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute()
}

// minuteOfWeek reads ddd:hh:mm, which the pattern of a window has matched.
func minuteOfWeek(text string) int {
	days := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	return slices.Index(days, text[:3])*minutesOfDay + minuteOfDay(text[4:])
}

// includes reports whether a daily window includes a minute of any day.
func (w window) includes(minute int) bool {
	return (minute-w.start+minutesOfDay)%minutesOfDay < w.length
}

// overlaps compares a weekly window with a daily one, minute by minute.
func (w window) overlaps(daily window) bool {
	for minute := w.start; minute < w.start+w.length; minute++ {
		if daily.includes(minute) {
			return true
		}
	}
	return false
}
