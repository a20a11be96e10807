package config

import (
	"math"
	"testing"
)

func TestIntervalsOfASchedule(t *testing.T) {
	t.Parallel()
	for schedule, want := range map[string]struct {
		perDay float64 // on average
		hours  int     // at most, between two runs
	}{
		"rate(1 hour)":                 {24, 1},
		"rate(6 hours)":                {4, 6},
		"rate(30 minutes)":             {48, 1},
		"rate(2 days)":                 {0.5, 48},
		"cron(0 3 * * ? *)":            {1, 24},
		"cron(0 3 * * ? 2027)":         {1, 24},
		"cron(0 */6 * * ? *)":          {4, 6},
		"cron(0 8,20 * * ? *)":         {2, 12},
		"cron(0/30 8-9,20 * * ? *)":    {6, 12}, // from 20:30 to 8:00
		"cron(0 22-2/2 * * ? *)":       {3, 20},
		"cron(0 3 ? * * *)":            {1, 24},
		"cron(0 3 ? * MON-FRI *)":      {5.0 / 7, 72},
		"cron(0 3 ? * FRI-MON *)":      {4.0 / 7, 96},
		"cron(0 3 ? * sat,sun *)":      {2.0 / 7, 6 * 24},
		"cron(0 3 ? * 1 *)":            {1.0 / 7, 7 * 24},
		"cron(0 3 ? * L *)":            {1.0 / 7, 7 * 24},
		"cron(0 3 ? * 2#1 *)":          {12.0 / 365, 35 * 24},
		"cron(0 3 ? * 6L *)":           {12.0 / 365, 35 * 24},
		"cron(0 3 ? * 2#5 *)":          {34.0 / calendarDays, 119 * 24}, // from January to May 2028
		"cron(0 7 1 * ? *)":            {12.0 / 365, 31 * 24},
		"cron(0 3 L * ? *)":            {12.0 / 365, 31 * 24},
		"cron(0 3 1W * ? *)":           {12.0 / 365, 33 * 24},
		"cron(0 3 31W * ? *)":          {7.0 / 365, 63 * 24},
		"cron(0 3 1,15 * ? *)":         {24.0 / 365, 17 * 24},
		"cron(0 3 30 * ? *)":           {11.0 / 365, 59*24 + 24}, // 30 January to 30 March of a leap year
		"cron(0 9-17 * * ? *)":         {9, 16},
		"cron(0 6,18 ? * SUN *)":       {2.0 / 7, 7*24 - 12},
		"cron(0 3 ? * mon,thu *)":      {2.0 / 7, 4 * 24},
		"cron(0 3 31 * ? *)":           {7.0 / 365, 61 * 24},
		"cron(0 3 * JAN-MAR ? *)":      {3.0 / 12, 276 * 24},
		"cron(0 3 * 1/6 ? *)":          {2.0 / 12, 154 * 24},
		"cron(0 3 29 2 ? *)":           {1.0 / 1461, 1461 * 24},
		"cron(0 3 31 2 ? *)":           {0, never + 1},
		"at(2027-01-01T00:00:00)":      {0, 0},
		"nonsense":                     {0, 0},
		"rate(0 hours)":                {0, 0},
		"cron(0 3 * * ? *) and so on ": {0, 0},
	} {
		if got := timesPerDay(schedule); math.Abs(got-want.perDay) > 0.02*want.perDay {
			t.Errorf("%s: %v times a day, want %v", schedule, got, want.perDay)
		}
		if got := hoursBetween(schedule); got != want.hours {
			t.Errorf("%s: at most %v hours between two runs, want %v", schedule, got, want.hours)
		}
	}
}
