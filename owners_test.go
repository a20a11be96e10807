package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/golden"
)

// symptom is something that goes wrong, with its one owner: alarms of CloudWatch, by the section of
// the runbooks that they name, or alerts of Prometheus. Two messages about one fault are one too
// many at night.
type symptom struct {
	name       string
	cloudwatch []string // page#section
	prometheus []string // names
}

// symptoms are in the order of a request, from the load balancer to the backups. CloudWatch has what
// must be noticed in minutes, or whatever happens to Prometheus.
var symptoms = []symptom{{
	name:       "More than 5% of the requests fail",
	cloudwatch: []string{"load-balancer.md#load_balancer_errors"},
}, {
	name:       "Fewer fail, or there are fewer than 20 requests a minute, but more than the objective allows",
	prometheus: []string{"ErrorBudgetFast", "ErrorBudgetSlow", "ErrorBudgetCreeping"},
}, {
	name:       "The slowest 1% of many requests take longer than three seconds",
	cloudwatch: []string{"services.md#service_latency"},
}, {
	name:       "More responses are slow than the objective allows",
	prometheus: []string{"LatencyBudgetFast", "LatencyBudgetSlow"},
}, {
	name:       "A new version fails while it is rolled out (ECS rolls back, and an event says so)",
	cloudwatch: []string{"services.md#service_deployment_errors", "services.md#service_deployment_latency"},
}, {
	name:       "The certificate is not renewed",
	prometheus: []string{"CertificateExpires"},
}, {
	name:       "Tasks fail the load balancer's health check",
	cloudwatch: []string{"services.md#service_unhealthy_tasks"},
}, {
	name:       "Too few tasks run",
	cloudwatch: []string{"services.md#service_too_few_tasks"},
}, {
	name:       "Tasks end and are replaced, again and again",
	prometheus: []string{"TasksReplaced", "ContainersRestart"},
}, {
	name:       "All tasks of a service are busy, or short of memory",
	cloudwatch: []string{"services.md#service_cpu", "services.md#service_memory"},
}, {
	name:       "One task of a service is busy",
	prometheus: []string{"TaskBusy"},
}, {
	name:       "The metrics of a service cannot be read",
	prometheus: []string{"TargetDown", "TargetsMissing", "DiscoveryEmpty"},
}, {
	name: "The database's instance is overloaded",
	cloudwatch: []string{
		"database.md#database_cpu", "database.md#database_memory", "database.md#database_connections",
		"database.md#database_read_latency", "database.md#database_write_latency",
	},
}, {
	name:       "The database's disk is nearly full",
	cloudwatch: []string{"database.md#database_storage"},
}, {
	name:       "The database's disk will be full in days",
	prometheus: []string{"DatabaseDiskFills"},
}, {
	name:       "The database uses up its burst of disk or CPU",
	prometheus: []string{"DatabaseDiskBurst", "DatabaseCreditsCharged"},
}, {
	name: "PostgreSQL itself has a problem",
	prometheus: []string{
		"DatabaseUnreachable", "LongTransaction", "Deadlocks", "ReplicationSlotBehind", "ReplicationSlotUnused",
		"TableBloat", "TransactionIDsHigh", "TransactionIDsNearEnd",
	},
}, {
	name: "Users or passwords of the database are not kept up to date",
	cloudwatch: []string{
		"database.md#database_function_errors", "database.md#database_function_not_called",
		"database.md#database_schedule_dropped", "database.md#database_objects_in_use",
		"database.md#database_rotation_overdue",
	},
}, {
	name:       "The NAT gateway refuses or drops connections",
	cloudwatch: []string{"network.md#nat_ports", "network.md#nat_drops"},
}, {
	name: "There is no recent backup",
	cloudwatch: []string{
		"backup.md#backup_age", "backup.md#backup_errors", "backup.md#backup_schedule_dropped",
		"backup.md#backup_quota", "backup.md#dump_age", "backup.md#dump_schedule_dropped",
	},
}, {
	name: "The backups are not copied to the other region",
	cloudwatch: []string{
		"backup.md#backup_copy_lag", "backup.md#backup_copy_failed", "backup.md#dump_copy_age",
	},
}, {
	name:       "A dump is much smaller than the one before",
	cloudwatch: []string{"backup.md#dump_smaller"},
}, {
	name:       "Nobody knows whether the dumps can be restored",
	cloudwatch: []string{"backup.md#drill_age"},
}, {
	name:       "Lambda refuses calls of a function",
	prometheus: []string{"FunctionThrottled"},
}, {
	name:       "An event does not reach the topic",
	cloudwatch: []string{"services.md#events_undelivered"},
}, {
	name:       "No alert of Prometheus would arrive",
	cloudwatch: []string{"services.md#prometheus_heartbeat"},
}, {
	name: "Part of the monitoring does not work",
	prometheus: []string{
		"MonitoringDown", "CloudWatchSilent", "CloudWatchRefuses", "DatabaseExporterFails", "RulesFail", "RulesMissed",
		"SamplesRefused", "StorageFails", "HistoryShort", "NotificationsFail", "RemoteWriteBehind", "RemoteWriteLoses",
	},
}}

// withoutOneOwner returns a line for each symptom that has not exactly one owner, for each alarm and
// alert that is not in exactly one symptom, and for each that does not exist.
func withoutOneOwner(symptoms []symptom, alarms, alerts []string) (problems []string) {
	owned := map[string]int{}
	for i, s := range symptoms {
		if (len(s.cloudwatch) > 0) == (len(s.prometheus) > 0) {
			problems = append(problems, fmt.Sprintf("%q: want one owner", s.name))
		}
		if slices.ContainsFunc(symptoms[:i], func(other symptom) bool { return other.name == s.name }) {
			problems = append(problems, fmt.Sprintf("%q occurs twice", s.name))
		}
		for _, name := range slices.Concat(s.cloudwatch, s.prometheus) {
			owned[name]++
		}
	}
	for _, name := range slices.Concat(alarms, alerts) {
		if owned[name] != 1 {
			problems = append(problems, fmt.Sprintf("%s is in %d symptoms, want 1", name, owned[name]))
		}
		delete(owned, name)
	}
	for _, name := range slices.Sorted(maps.Keys(owned)) {
		problems = append(problems, name+" is neither an alarm nor an alert")
	}
	return problems
}

// allAlarms are the sections that the alarms of all stacks name.
func allAlarms(t *testing.T) []string {
	t.Helper()
	named := map[string]bool{}
	for _, stack := range allStacks(t) {
		for _, a := range stack.Resources("aws_cloudwatch_metric_alarm") {
			if link := runbookLink.FindStringSubmatch(a.String("alarm_description")); link != nil {
				named[link[1]] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(named))
}

func allAlerts(t *testing.T) (names []string) {
	t.Helper()
	for _, alert := range alertRules(t) {
		if alert.Alert != signOfLife {
			names = append(names, alert.Alert)
		}
	}
	return names
}

func TestEachSymptomHasOneOwner(t *testing.T) {
	for _, problem := range withoutOneOwner(symptoms, allAlarms(t), allAlerts(t)) {
		t.Error(problem)
	}
}

func TestASymptomWithoutOneOwnerIsFound(t *testing.T) {
	for name, symptoms := range map[string][]symptom{
		"two owners": {{name: "a", cloudwatch: []string{"alarm"}, prometheus: []string{"Alert"}}},
		"no owner": {
			{name: "a"}, {name: "b", cloudwatch: []string{"alarm"}}, {name: "c", prometheus: []string{"Alert"}},
		},
		"an alert without symptom": {{name: "a", cloudwatch: []string{"alarm"}}},
		"an alarm without symptom": {{name: "a", prometheus: []string{"Alert"}}},
		"an alert that is in two": {
			{name: "a", cloudwatch: []string{"alarm"}},
			{name: "b", prometheus: []string{"Alert"}},
			{name: "c", prometheus: []string{"Alert"}},
		},
		"an alert that does not exist": {
			{name: "a", cloudwatch: []string{"alarm"}}, {name: "b", prometheus: []string{"Alert", "Other"}},
		},
		"a symptom that occurs twice": {
			{name: "a", cloudwatch: []string{"alarm"}}, {name: "a", prometheus: []string{"Alert"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems := withoutOneOwner(symptoms, []string{"alarm"}, []string{"Alert"})
			if len(problems) != 1 {
				t.Errorf("want one problem, have %q", problems)
			}
		})
	}
}

// ownersPage has the table of symptoms between its first table row and the end of the table.
const ownersPage = "docs/runbooks/README.md"

var ownersTable = regexp.MustCompile(`(?m)^\| symptom \|(?:.*\n)(?:\|.*\n)*`)

func TestThePageOfRunbooksHasTheSymptoms(t *testing.T) {
	runbooks := map[string]string{}
	for _, alert := range alertRules(t) {
		runbooks[alert.Alert] = strings.TrimPrefix(alert.Annotations["runbook"], "docs/runbooks/")
	}
	var table strings.Builder
	table.WriteString("| symptom | owner | alarms, alerts |\n| --- | --- | --- |\n")
	for _, s := range symptoms {
		owner := choose(len(s.cloudwatch) > 0, "CloudWatch", "Prometheus")
		var links []string
		for _, section := range s.cloudwatch {
			_, name, _ := strings.Cut(section, "#")
			links = append(links, fmt.Sprintf("[%s](%s)", name, section))
		}
		for _, alert := range s.prometheus {
			links = append(links, fmt.Sprintf("[%s](%s)", alert, runbooks[alert]))
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", s.name, owner, strings.Join(links, ", "))
	}
	page, err := os.ReadFile(ownersPage)
	if err != nil {
		t.Fatal(err)
	}
	have := ownersTable.FindString(string(page))
	if have == "" {
		t.Fatalf("%s has no table of symptoms", ownersPage)
	}
	if *golden.Update {
		page = []byte(strings.Replace(string(page), have, table.String(), 1))
		if err := os.WriteFile(ownersPage, page, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != table.String() {
		t.Errorf("%s is not up to date: run make golden", ownersPage)
	}
}
