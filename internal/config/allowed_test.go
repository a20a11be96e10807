package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Every number is accepted at its limits, and one beyond them is reported with both limits. The
// rest of each text is valid at the limits.
func TestNumbersOutsideTheirLimitsAreRejected(t *testing.T) {
	t.Parallel()
	const web = "services: {web: {image: 'quay.io/x/y:1', "
	const routed = web + "route: {paths: ['/*']}, "
	for path, c := range map[string]struct {
		text      string
		low, high int
	}{
		"load_balancer.idle_timeout":              {"load_balancer: {idle_timeout: %d}", 1, 4000},
		"load_balancer.access_logs_retention":     {"load_balancer: {access_logs_retention: %d}", 1, 3650},
		"load_balancer.firewall.rate_limit":       {"load_balancer: {firewall: {rate_limit: %d}}", 10, 2_000_000_000},
		"services.web.port":                       {web + "port: %d}}", 1, 65535},
		"services.web.route.priority":             {web + "route: {paths: ['/*'], priority: %d}}}", 0, 49999},
		"services.web.route.deregistration_delay": {web + "route: {deregistration_delay: %d}}}", 0, 3600},
		"services.web.route.slow_start":           {web + "route: {slow_start: %d}}}", 30, 900},
		"services.web.health_check.interval":      {web + "health_check: {timeout: 2, interval: %d}}}", 5, 300},
		"services.web.health_check.timeout":       {web + "health_check: {interval: 300, timeout: %d}}}", 2, 120},
		"services.web.health_check.grace_period":  {web + "health_check: {grace_period: %d}}}", 0, 7200},
		"services.web.alarms.errors":              {web + "alarms: {errors: %d}}}", 1, 1_000_000},
		"services.web.metrics.port":               {web + "metrics: {enabled: true, port: %d}}}", 1024, 65535},
		"services.web.tasks":                      {web + "tasks: %d}}", 0, 1000},
		"services.web.scaling.max":                {web + "tasks: 3, scaling: {max: %d}}}", 3, 5000},
		"services.web.scaling.cpu":                {web + "scaling: {cpu: %d}}}", 10, 95},
		"services.web.scaling.memory":             {web + "scaling: {memory: %d}}}", 10, 95},
		"services.web.scaling.requests":           {routed + "scaling: {requests: %d}}}", 0, 1_000_000},
		"services.web.stop_timeout":               {web + "stop_timeout: %d}}", 2, 120},
		"database.storage.initial":                {"database: {storage: {max: 65536, initial: %d}}", 20, 65536},
		"database.storage.max":                    {"database: {storage: {initial: 20, max: %d}}", 20, 65536},
		"database.retention":                      {"database: {retention: %d}", 1, 35},
		"database.slow_query":                     {"database: {slow_query: %d}", 0, 3_600_000},
		"monitoring.prometheus.storage":           {"monitoring: {prometheus: {storage: %d}}", 21, 200},
		"monitoring.prometheus.days":              {"monitoring: {prometheus: {days: %d}}", 1, 3650},
		"monitoring.prometheus.scrape_interval":   {"monitoring: {prometheus: {scrape_interval: %d}}", 5, 300},
		"backup.retention":                        {"backup: {retention: %d, dump: {enabled: false}}", 1, 3650},
		"backup.minimum":                          {"backup: {minimum: %d}", 1, 100},
		"backup.max_age":                          {"backup: {schedule: rate(1 hour), max_age: %d}", 1, 744},
		"backup.object_lock":                      {"backup: {object_lock: %d}", 0, 3650},
	} {
		t.Run(path, func(t *testing.T) {
			for _, value := range []int{c.low, c.high} {
				if got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n"); len(got) > 0 {
					t.Errorf("%d is refused: %q", value, got)
				}
			}
			for _, value := range []int{c.low - 1, c.high + 1} {
				want := fmt.Sprintf("%s: want %d to %d, have %d", path, c.low, c.high, value)
				switch path {
				case "services.web.route.priority":
					want = strings.Replace(want, "want ", "want 0, which derives it from the conditions, or ", 1)
					want = strings.Replace(want, "or 0 to", "or 1 to", 1)
				case "services.web.route.slow_start":
					want = strings.Replace(want, "want ", "want 0 or ", 1)
				}
				got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n")
				if !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, " "+want) }) {
					t.Errorf("%d: says %q, want %s", value, got, want)
				}
			}
		})
	}
}
