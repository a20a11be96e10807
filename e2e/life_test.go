//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// stage is a part of an environment's life: a change of the configuration, and all that it may
// change.
type stage struct {
	name string

	// patch is laid over the configuration as the stages before left it, unless it is shipped.
	patch string

	// want are the changes, as changes writes them, in any order.
	want []string

	// budget is what the stage is expected to take. Nothing fails when it takes longer; the test's
	// own time limit does that.
	budget time.Duration

	// then looks at what stands after the stage; may be nil.
	then func(*testing.T, *site)
}

// What the changes that both environments live through touch.
var (
	image = []string{
		"± aws_ecs_task_definition.service_web_task_definition", // a revision never changes: a new one takes its place
		"~ aws_ecs_service.service_web_service",
	}
	tasks = []string{
		"~ aws_ecs_service.service_web_service",
		"~ aws_cloudwatch_metric_alarm.service_web_too_few_tasks_alarm",
	}
	scaledTasks = []string{
		"~ aws_appautoscaling_target.service_web_scaling_target",
		"~ aws_cloudwatch_metric_alarm.service_web_too_few_tasks_alarm",
	}
	instanceClass = []string{
		"~ aws_db_instance.database",
		// Their thresholds follow from the instance's memory.
		"~ aws_cloudwatch_metric_alarm.database_connections_alarm",
		"~ aws_cloudwatch_metric_alarm.database_memory_alarm",
	}
	retention = []string{
		"~ aws_lambda_function.backup_function",
		"~ aws_s3_bucket_lifecycle_configuration.backup_bucket_lifecycle",
	}
	email    = []string{"+ aws_sns_topic_subscription.alerts_subscription_night_example_com_6a5e2b6f"}
	schedule = []string{"~ aws_scheduler_schedule.backup_schedule"}
	priority = []string{"~ aws_lb_listener_rule.service_web_listener_rule"}
	reader   = []string{
		"+ aws_cloudwatch_log_group.service_reader_log_group",
		"+ aws_ecs_service.service_reader_service",
		"+ aws_ecs_task_definition.service_reader_task_definition",
		"+ aws_service_discovery_service.service_reader_discovery",
		"+ aws_cloudwatch_metric_alarm.service_reader_cpu_alarm",
		"+ aws_cloudwatch_metric_alarm.service_reader_memory_alarm",
		"+ aws_cloudwatch_metric_alarm.service_reader_too_few_tasks_alarm",
		"~ aws_cloudwatch_dashboard.dashboard",
		"+ aws_iam_role.service_reader_execution_role",
		"+ aws_iam_role_policy.service_reader_execution_role_policy",
		"+ aws_iam_role.service_reader_task_role",
		"+ aws_security_group.service_reader_security_group",
		"+ aws_vpc_security_group_egress_rule.service_reader_https_egress",
		"+ aws_vpc_security_group_egress_rule.service_reader_to_database_egress",
		"+ aws_vpc_security_group_ingress_rule.service_reader_to_database_ingress",
		"+ aws_secretsmanager_secret.service_reader_database_secret",
		"+ aws_secretsmanager_secret_rotation.service_reader_database_rotation",
		"~ aws_iam_role_policy.database_function_role_policy",
		"~ aws_lambda_invocation.database_roles",
	}

	zone = []string{
		"+ aws_subnet.public_subnet_c",
		"+ aws_subnet.private_subnet_c",
		"+ aws_subnet.database_subnet_c",
		"+ aws_route_table.private_c_route_table",
		"+ aws_route.private_default_route_c",
		"+ aws_route_table_association.public_route_table_association_c",
		"+ aws_route_table_association.private_route_table_association_c",
		"+ aws_route_table_association.database_route_table_association_c",
		"+ aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_c",
		// All five list the subnets that they may use.
		"~ aws_db_subnet_group.database_subnet_group",
		"~ aws_ecs_service.prometheus_service",
		"~ aws_ecs_service.service_web_service",
		"~ aws_lambda_function.database_function",
		"~ aws_lb.load_balancer",
	}
	zoneWithNAT = append([]string{
		"+ aws_eip.nat_address_c",
		"+ aws_nat_gateway.nat_gateway_c",
		"+ aws_cloudwatch_metric_alarm.nat_drops_c_alarm",
		"+ aws_cloudwatch_metric_alarm.nat_ports_c_alarm",
		"~ aws_cloudwatch_dashboard.dashboard", // shows each gateway
	}, zone...)
)

// together are the changes of several lists, each once.
func together(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// undone are the changes that take back others.
func undone(changes []string) []string {
	var back []string
	for _, c := range changes {
		back = append(back, strings.NewReplacer("+ ", "- ", "- ", "+ ").Replace(c))
	}
	return back
}

// The first deployment, and what comes after the last stage here, are the same for all and not in
// the table.
var lives = map[string][]stage{
	"dev": {
		{
			"a new image",
			`services: {web: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6"}}`,
			image,
			minute,
			nil,
		},
		{"more tasks", `services: {web: {tasks: 2}}`, tasks, minute, nil},
		{"a zone added", `network: {zones: [a, b, c]}`, zone, 2 * minute, nil},
		{"that zone dropped", `network: {zones: [a, b]}`, undone(zone), 2 * minute, nil},
		{"a larger instance class", `database: {instance_class: db.t4g.small}`, instanceClass, 2 * minute, nil},
		{"a longer retention", `backup: {retention: 14}`, retention, 2 * minute, nil},
		{"an e-mail address for alarms", `monitoring: {emails: [night@example.com]}`, email, minute, nil},
		{"the schedule moved", `backup: {schedule: cron(30 2 * * ? *)}`, schedule, minute, nil},
		{"another priority", `services: {web: {route: {priority: 70}}}`, priority, minute, nil},
		{
			"a service that reads the database, and web no longer its owner",
			`services: {web: {database: write}, ` +
				`reader: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6", database: read}}`,
			reader,
			2 * minute,
			readerReads,
		},
		{
			"as it was shipped",
			shipped,
			together(image, tasks, instanceClass, retention, undone(email), schedule, priority, undone(reader)),
			3 * minute,
			readerIsGone,
		},
	},
	"prod": {
		{
			"a new image",
			`services: {web: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6"}}`,
			image,
			minute,
			nil,
		},
		{"more tasks", `services: {web: {tasks: 3}}`, scaledTasks, minute, nil},
		// The region has three zones and prod uses them all, so one goes first.
		{"a zone dropped", `network: {zones: [a, b]}`, undone(zoneWithNAT), 2 * minute, nil},
		{"that zone added", `network: {zones: [a, b, c]}`, zoneWithNAT, 2 * minute, nil},
		{"a larger instance class", `database: {instance_class: db.m7g.xlarge}`, instanceClass, 2 * minute, nil},
		{"a longer retention", `backup: {retention: 70}`, retention, 2 * minute, nil},
		{
			"an e-mail address for alarms",
			`monitoring: {emails: [alerts@example.com, night@example.com]}`,
			email,
			minute,
			nil,
		},
		{"the schedule moved", `backup: {schedule: cron(30 2 * * ? *)}`, schedule, minute, nil},
		{"another priority", `services: {web: {route: {priority: 70}}}`, priority, minute, nil},
		{
			"as it was shipped",
			shipped,
			together(image, scaledTasks, instanceClass, retention, undone(email), schedule, priority),
			3 * minute,
			nil,
		},
	},
}

// shipped stands for the configuration as the project ships it.
const shipped = "shipped"

const minute = time.Minute

func TestLifeOfAnEnvironment(t *testing.T) {
	t.Parallel()
	for _, environment := range environments(t) {
		stages, ok := lives[environment]
		if !ok {
			t.Errorf("%s is shipped, and nobody knows its life", environment)
		}
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			live(t, environment, stages)
		})
	}
}

func live(t *testing.T, environment string, stages []stage) {
	s := newSite(t, environment)
	configuration := s.shipped(t)
	s.synthesise(t, configuration) // which makes what the stack takes for granted, too
	empty := s.holdings(t)

	within(t, "the first deployment", 6*minute, func() string {
		summary := summaryOf(t, s.deploy(t))
		if !strings.HasSuffix(summary, " added, 0 changed, 0 destroyed") {
			t.Errorf("the first deployment: %s", summary)
		}
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	s.inspect(t)

	for _, stage := range stages {
		within(t, stage.name, stage.budget, func() string {
			if stage.patch == shipped {
				configuration = s.shipped(t)
			} else {
				configuration = patched(configuration, document(t, stage.patch))
			}
			s.synthesise(t, configuration)
			have := changes(s.plan(t))
			if missing, extra := difference(stage.want, have); len(missing)+len(extra) > 0 {
				t.Errorf("%s:\nshould change, too:\n\t%s\nshould not change:\n\t%s", stage.name,
					strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
			}
			for _, change := range have {
				// A task definition never changes: a new revision takes its place.
				if strings.HasPrefix(change, "±") && !strings.HasPrefix(change, "± aws_ecs_task_definition.") {
					t.Errorf("%s: another one takes the place of %s", stage.name, change)
				}
			}
			summary := summaryOf(t, s.deploy(t))
			if summary != count(have) {
				t.Errorf("%s: the plan was %s, and it did %s", stage.name, count(have), summary)
			}
			if stage.then != nil {
				stage.then(t, s)
			}
			return summary
		})
	}
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })

	if s.isProtected(t) {
		within(t, "destroying is refused", minute, func() string { return s.refusesToGo(t) })
		within(t, "unprotected", 3*minute, func() string {
			s.synthesise(t, patched(configuration, document(t, "protected: false")))
			return summaryOf(t, s.deploy(t))
		})
	}
	within(t, "the destruction", 5*minute, func() string { return s.goes(t, empty) })
}

// nothingToChange says what a plan would do if there is anything.
func (s *site) nothingToChange(t *testing.T) string {
	t.Helper()
	if left := changes(s.plan(t)); len(left) > 0 {
		t.Errorf("there should be nothing to change:\n\t%s", strings.Join(left, "\n\t"))
	}
	return "0 added, 0 changed, 0 destroyed"
}

// within prints what a part did and took. The budget is printed beside it.
func within(t *testing.T, name string, budget time.Duration, part func() string) {
	t.Helper()
	start := time.Now()
	did := part()
	fmt.Printf("%s: %s: %s; %.0f s of %.0f\n", t.Name(), name, did, time.Since(start).Seconds(), budget.Seconds())
}

// difference are the entries of want that have lacks, and the other way round.
func difference(want, have []string) (missing, extra []string) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			missing = append(missing, w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			extra = append(extra, h)
		}
	}
	return missing, extra
}

// summaryOf is what terraform says at the end of a deployment.
func summaryOf(t *testing.T, output string) string {
	t.Helper()
	summary := complete.FindStringSubmatch(output)
	if summary == nil {
		t.Fatalf("terraform does not say how it ended:\n%s", tail(output, 40))
	}
	return summary[1]
}

var complete = regexp.MustCompile(`(?:Apply|Destroy) complete! Resources: (.*?)\.`)

// isProtected tells whether the shipped configuration keeps the environment from being destroyed.
func (s *site) isProtected(t *testing.T) bool {
	t.Helper()
	return s.shipped(t)["profile"] == "production"
}

// refusesToGo wants a destruction to be refused with a clear message, before anything has changed.
func (s *site) refusesToGo(t *testing.T) string {
	t.Helper()
	before := s.holdings(t)
	out, err := s.cdktf(t, "destroy", "--auto-approve")
	if err == nil {
		t.Fatal("a protected environment was destroyed")
	}
	if !strings.Contains(out, "Instance cannot be destroyed") ||
		!strings.Contains(out, "has lifecycle.prevent_destroy set") {
		t.Errorf("the refusal is not clear:\n%s", tail(out, 40))
	}
	compareHoldings(t, "the refused destruction", before, s.holdings(t))
	return "nothing changed"
}

// goes takes the environment down, and wants the account to be as it was before it came.
func (s *site) goes(t *testing.T, empty holdings) string {
	t.Helper()
	out, err := s.cdktf(t, "destroy", "--auto-approve")
	if err != nil {
		t.Fatalf("cdktf destroy: %v\n%s", err, tail(out, 60))
	}
	compareHoldings(t, "the destruction", empty, s.holdings(t))
	return summaryOf(t, out)
}
