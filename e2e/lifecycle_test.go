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

// stage is a change of the configuration of a deployed environment, with the changes of resources
// that it must cause.
type stage struct {
	name string

	// patch is applied to the configuration of the previous stage. The value shipped restores the
	// shipped configuration.
	patch string

	// want are the expected changes, in the notation of function changes, in any order.
	want []string

	// budget is the expected time. It is only printed; the test has a time limit.
	budget time.Duration

	// then checks the environment after the stage. It may be nil.
	then func(*testing.T, *sandbox)
}

// The expected changes of resources of stages that both environments have.
var (
	image = []string{
		"± aws_ecs_task_definition.service_web_task_definition", // a new revision
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
		// Their thresholds depend on the memory of the instance.
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
		"~ aws_lambda_function.database_function", // the users are in its environment
		"± aws_lambda_invocation.database_roles",
	}

	ownDatabase = []string{
		"+ aws_scheduler_schedule.database_dump_reports_schedule",
		"+ terraform_data.database_dump_reports_since",
		"± aws_ecs_task_definition.service_reader_task_definition",
		"~ aws_ecs_service.service_reader_service",
		"~ aws_lambda_function.backup_function",   // looks for the dumps
		"~ aws_lambda_function.database_function", // the databases of the users are in its environment
		"± aws_lambda_invocation.database_roles",
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
		// These list their subnets.
		"~ aws_db_subnet_group.database_subnet_group",
		"~ aws_ecs_service.prometheus_service",
		"~ aws_ecs_service.service_web_service",
		"~ aws_lambda_function.database_function",
		"~ aws_lb.load_balancer",
		"~ aws_scheduler_schedule.database_dump_schedule",
	}
	zoneWithNAT = append([]string{
		"+ aws_eip.nat_address_c",
		"+ aws_nat_gateway.nat_gateway_c",
		"+ aws_cloudwatch_metric_alarm.nat_drops_c_alarm",
		"+ aws_cloudwatch_metric_alarm.nat_ports_c_alarm",
		"~ aws_cloudwatch_dashboard.dashboard", // shows all NAT gateways
		// Both exist in prod only, as the NAT gateway of the zone.
		"~ aws_ecs_service.database_exporter_service",
		"~ aws_scheduler_schedule.database_drill_schedule",
	}, zone...)
)

// merged returns the changes of several lists without duplicates.
func merged(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return slices.Compact(all)
}

// reverted returns the changes that revert other changes.
func reverted(changes []string) []string {
	var back []string
	for _, c := range changes {
		back = append(back, strings.NewReplacer("+ ", "- ", "- ", "+ ").Replace(c))
	}
	return back
}

// stagesOf are the stages between the first deployment and the destruction of each environment.
var stagesOf = map[string][]stage{
	"dev": {
		{
			"a new image and more tasks of web",
			`services: {web: {` + demonstration + `, tasks: 2, ` +
				`image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6"}}`,
			merged(image, tasks),
			minute,
			nil,
		},
		{"zone c is added", `network: {zones: [a, b, c]}`, zone, 2 * minute, nil},
		{
			"zone c is removed, and other settings",
			andSettings(`zones: [a, b]`, "db.t4g.small", "", 14),
			merged(reverted(zone), settings),
			2 * minute,
			nil,
		},
		{
			"a new service with read access, and web with write instead of owner access",
			`services: {web: {database: {access: write}}, ` +
				`reader: {image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6", database: {access: read}}}`,
			reader,
			2 * minute,
			readerCanOnlyRead,
		},
		{
			"the new service gets a database of its own",
			`services: {reader: {database: {name: reports}}}`,
			ownDatabase,
			2 * minute,
			readerHasADatabase,
		},
		{
			"the shipped configuration is restored",
			shipped,
			merged(image, tasks, instanceClass, retention, reverted(email), schedule, priority, reverted(reader),
				reverted(ownDatabase[:2])),
			3 * minute,
			readerIsRemoved,
		},
	},
	// prod uses all three zones of the region, so a zone can only be added after one is removed.
	"prod": {
		{
			"zone c is removed, and a new image and more tasks of web",
			`{network: {zones: [a, b]}, ` +
				`services: {web: {` + demonstration + `, tasks: 3, scaling: {max: 6}, ` +
				`image: "public.ecr.aws/nginx/nginx-unprivileged:1.30.6"}}}`,
			merged(reverted(zoneWithNAT), image, scaledTasks),
			2 * minute,
			nil,
		},
		{
			"zone c is added again, and other settings",
			andSettings(`zones: [a, b, c]`, "db.m7g.xlarge", "alerts@example.com", 70),
			merged(zoneWithNAT, settings),
			2 * minute,
			nil,
		},
		{
			"the shipped configuration is restored",
			shipped,
			merged(image, scaledTasks, instanceClass, retention, reverted(email), schedule, priority),
			3 * minute,
			nil,
		},
	},
}

// settings are the changes of [andSettings].
var settings = merged(instanceClass, retention, email, schedule, priority)

// andSettings returns a patch of the network, with settings that change nothing else in the stack.
// The e-mail address is the shipped one, if any.
func andSettings(network, instanceClass, email string, retention int) string {
	return fmt.Sprintf(`{network: {%s}, database: {instance_class: %s}, `+
		`backup: {retention: %d, schedule: cron(30 2 * * ? *)}, `+
		`monitoring: {emails: [%s]}, services: {web: {route: {priority: 70}}}}`,
		network, instanceClass, retention, strings.TrimPrefix(email+", night@example.com", ", "))
}

// shipped is the patch that restores the shipped configuration.
const shipped = "shipped"

const minute = time.Minute

func TestEnvironmentIsDeployedChangedAndDestroyed(t *testing.T) {
	t.Parallel()
	for _, environment := range environments(t) {
		stages, ok := stagesOf[environment]
		if !ok {
			t.Errorf("%s is shipped, but stagesOf does not have it", environment)
		}
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			runStages(t, environment, stages)
		})
	}
}

func runStages(t *testing.T, environment string, stages []stage) {
	s := newSandbox(t, environment)
	configuration := s.shipped(t)
	s.synthesise(t, configuration) // also creates the resources that the stack expects in the account
	empty := s.inventory(t)

	within(t, "the first deployment", 6*minute, func() string {
		summary := summaryOf(t, s.deploy(t))
		if !strings.HasSuffix(summary, " added, 0 changed, 0 destroyed") {
			t.Errorf("the first deployment: %s", summary)
		}
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	s.checkDeployment(t)

	for _, stage := range stages {
		within(t, stage.name, stage.budget, func() string {
			if stage.patch == shipped {
				configuration = s.shipped(t)
			} else {
				configuration = patched(configuration, document(t, stage.patch))
			}
			s.synthesise(t, configuration)
			out := s.deploy(t)
			have := changesIn(out)
			if missing, extra := difference(stage.want, have); len(missing)+len(extra) > 0 {
				t.Errorf("%s:\nmissing changes:\n\t%s\nunexpected changes:\n\t%s", stage.name,
					strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
			}
			for _, change := range have {
				// Only task definitions are replaced, by a new revision, and the call of a function.
				if strings.HasPrefix(change, "±") && !strings.HasPrefix(change, "± aws_ecs_task_definition.") &&
					!strings.HasPrefix(change, "± aws_lambda_invocation.") {
					t.Errorf("%s: unexpected replacement: %s", stage.name, change)
				}
			}
			summary := summaryOf(t, out)
			if summary != count(have) {
				t.Errorf("%s: the plan had %s, but the deployment %s", stage.name, count(have), summary)
			}
			if stage.then != nil {
				stage.then(t, s)
			}
			return summary
		})
	}
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })

	if s.isProtected(t) {
		within(t, "destruction of the protected stack is rejected", minute, func() string {
			return s.destroyIsRejected(t)
		})
		withoutDatabase := document(t, "database: {enabled: false}")
		within(t, "the database of the protected stack is not switched off", minute, func() string {
			s.synthesise(t, patched(configuration, withoutDatabase))
			return s.isRejected(t, "deploy")
		})
		unprotected := patched(configuration, document(t, "protected: false"))
		within(t, "destruction is rejected until protected: false is deployed", minute, func() string {
			s.synthesise(t, unprotected)
			return s.destructionNeedsDeployment(t)
		})
		within(t, "protected: false", 3*minute, func() string { return summaryOf(t, s.deploy(t)) })
		within(t, "destruction by cdktf is rejected", minute, func() string { return s.destroyIsRejected(t) })
		within(t, "the database is switched off", 4*minute, func() string {
			s.synthesise(t, patched(unprotected, withoutDatabase))
			summary := summaryOf(t, s.deploy(t))
			s.leavesBackups(t, configuration["region"].(string))
			return summary
		})
		within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
		within(t, "the destruction", 5*minute, func() string {
			return s.destroyButFor(t, empty, "aws_kms_key platform-prod: the database, its secret and its snapshots")
		})
		return
	}
	within(t, "the destruction", 5*minute, func() string { return s.destroy(t, empty) })
	within(t, "rights of the functions", minute, func() string { return s.rightsWereUsed(t) })
}

// nothingToChange reports changes of a plan, of which there should be none.
func (s *sandbox) nothingToChange(t *testing.T) string {
	t.Helper()
	out, err := s.cdktf(t, "diff")
	if err != nil {
		t.Fatalf("cdktf diff: %v\n%s", err, tail(out, 60))
	}
	// Otherwise resources change, or outputs only.
	if left := changesIn(out); len(left) > 0 || !strings.Contains(out, "No changes.") {
		t.Errorf("want no changes, have\n\t%s\n%s", strings.Join(left, "\n\t"), tail(out, 60))
	}
	return "0 added, 0 changed, 0 destroyed"
}

// within runs a step and prints its result, its time and its budget.
func within(t *testing.T, name string, budget time.Duration, part func() string) {
	t.Helper()
	start := time.Now()
	did := part()
	fmt.Printf("%s: %s: %s; %.0f s of %.0f\n", t.Name(), name, did, time.Since(start).Seconds(), budget.Seconds())
}

// difference returns the entries of want that are not in have, and the other way round.
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

// summaryOf returns the summary that terraform prints at the end.
func summaryOf(t *testing.T, output string) string {
	t.Helper()
	summary := complete.FindStringSubmatch(output)
	if summary == nil {
		t.Fatalf("the output has no summary of terraform:\n%s", tail(output, 40))
	}
	return summary[1]
}

var complete = regexp.MustCompile(`(?:Apply|Destroy) complete! Resources: (.*?)\.`)

// isProtected reports whether the shipped configuration prevents destruction.
func (s *sandbox) isProtected(t *testing.T) bool {
	t.Helper()
	return s.shipped(t)["profile"] == "production"
}

// destroyIsRejected checks that destruction fails with a clear message and changes nothing.
func (s *sandbox) destroyIsRejected(t *testing.T) string {
	t.Helper()
	return s.isRejected(t, "destroy")
}

// isRejected checks that a command of cdktf fails with a clear message, because it would destroy what is
// protected, and changes nothing.
func (s *sandbox) isRejected(t *testing.T, command string) string {
	t.Helper()
	before := s.inventory(t)
	out, err := s.cdktf(t, command, "--auto-approve")
	if err == nil {
		t.Fatalf("cdktf %s destroyed what is protected", command)
	}
	message := strings.Join(strings.Fields(strings.ReplaceAll(out, "│", " ")), " ") // is wrapped at 80 columns
	if !strings.Contains(message, "Instance cannot be destroyed") ||
		!strings.Contains(message, "has lifecycle.prevent_destroy set") {
		t.Errorf("the error message is not clear:\n%s", tail(out, 40))
	}
	compareInventories(t, "the rejected "+command, before, s.inventory(t))
	return "nothing changed"
}

// destroy destroys the environment, and checks that the account is as it was before the deployment.
func (s *sandbox) destroy(t *testing.T, empty inventory) string {
	t.Helper()
	out, err := s.cdktf(t, "destroy", "--auto-approve")
	if err != nil {
		t.Fatalf("cdktf destroy: %v\n%s", err, tail(out, 60))
	}
	compareInventories(t, "the destruction", empty, s.inventory(t))
	return summaryOf(t, out)
}
