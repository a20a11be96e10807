package config

import "testing"

func TestWindowsOverlap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		daily, weekly string
		want          bool
	}{
		"apart on the same day":                {"01:00-02:00", "sun:04:30-sun:05:30", false},
		"equal windows":                        {"04:30-05:30", "sun:04:30-sun:05:30", true},
		"the end of one is the other's start":  {"04:00-04:30", "sun:04:30-sun:05:30", false},
		"the start of one is the other's end":  {"05:30-06:00", "sun:04:30-sun:05:30", false},
		"a minute at the start":                {"04:00-04:31", "sun:04:30-sun:05:30", true},
		"a minute at the end":                  {"05:29-06:00", "sun:04:30-sun:05:30", true},
		"one within the other":                 {"04:45-05:15", "wed:04:30-wed:05:30", true},
		"the other within the one":             {"04:00-06:00", "wed:04:30-wed:05:30", true},
		"daily across midnight, before it":     {"23:30-00:30", "tue:23:45-tue:23:59", true},
		"daily across midnight, after it":      {"23:30-00:30", "tue:00:15-tue:01:00", true},
		"daily across midnight, apart":         {"23:30-00:30", "tue:00:30-tue:23:30", false},
		"weekly across midnight":               {"23:50-23:59", "mon:23:30-tue:00:30", true},
		"weekly across midnight, after it":     {"00:10-00:40", "mon:23:30-tue:00:30", true},
		"weekly across midnight, apart":        {"00:30-01:00", "mon:23:30-tue:00:30", false},
		"both across midnight":                 {"23:59-00:01", "mon:23:58-tue:00:02", true},
		"both across midnight, touching":       {"23:00-23:30", "mon:23:30-tue:00:30", false},
		"weekly across the week's end":         {"23:50-23:59", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, after":  {"00:00-00:30", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, apart":  {"01:00-02:00", "sun:23:30-mon:00:30", false},
		"both across the week's end":           {"23:45-00:15", "sun:23:50-mon:00:10", true},
		"weekly longer than a day":             {"12:00-12:30", "fri:13:00-sat:13:00", true},
		"weekly a day long but for the backup": {"12:00-12:30", "fri:12:30-sat:12:00", false},
		"weekly over several days":             {"12:00-12:30", "sat:12:30-fri:12:00", true},
	} {
		t.Run(name, func(t *testing.T) {
			daily, isDaily := parseDaily(c.daily)
			weekly, isWeekly := parseWeekly(c.weekly)
			if got := weekly.overlaps(daily); got != c.want || !isDaily || !isWeekly {
				t.Errorf("%s and %s: %v", c.daily, c.weekly, got)
			}
		})
	}
}

func TestSingleTimesAreValidatedAsInAWS(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"at(2026-11-23T03:00:00)": true,
		"at(2028-02-29T23:59:59)": true,
		"at(2027-02-29T03:00:00)": false,
		"at(2026-13-01T03:00:00)": false,
		"at(2026-11-23T24:00:00)": false,
		"at(2026-11-23 03:00:00)": false,
	} {
		if have := isAt(text); have != want {
			t.Errorf("%s is a time: %v", text, have)
		}
	}
}
