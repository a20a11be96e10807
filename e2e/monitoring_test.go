//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/goccy/go-yaml"

	"platform/internal/emulator"
)

// monitoringNetwork has the addresses of the tasks, for which the test answers.
const monitoringNetwork = "127.10.0.0/16"

// withEverything returns the configuration of prod with all that concerns Prometheus. The metrics of
// two services are at a port.
func withEverything(t *testing.T, s *sandbox, port int) map[string]any {
	t.Helper()
	const image = "public.ecr.aws/docker/library/nginx:1.29"
	metrics := map[string]any{"enabled": true, "port": port}
	web := document(t, "{"+demonstration+"}")
	web["image"], web["metrics"] = image, metrics
	web["scaling"] = map[string]any{"max": 6}
	return patched(s.shipped(t), map[string]any{
		"services": map[string]any{
			"web":    web,
			"worker": map[string]any{"image": image, "metrics": metrics},
		},
		"monitoring": map[string]any{"database": true, "durable": true},
	})
}

// monitored are the resources that CloudWatch has metrics of, and all that they need.
var monitored = []string{
	"aws_ecs_service.prometheus_service",
	"aws_ecs_service.service_web_service",
	"aws_ecs_service.service_worker_service",
	"aws_lambda_function.backup_function",
	"aws_lambda_function.database_function",
	"aws_scheduler_schedule_group.backup_schedule_group",
	"aws_scheduler_schedule_group.database_schedule_group",
}

// deployMonitored deploys these resources, without cdktf, which cannot select resources.
func (s *sandbox) deployMonitored(t *testing.T) {
	t.Helper()
	defer step(t, "deployment")()
	arguments := []string{"apply", "-auto-approve", "-parallelism=30"}
	for _, address := range monitored {
		arguments = append(arguments, "-target="+address)
	}
	for _, command := range [][]string{{"init"}, arguments} {
		if out, err := s.terraform(t, command...); err != nil {
			t.Fatalf("terraform %s: %v\n%s", command[0], err, tail(out, 60))
		}
	}
}

// startMonitoring prepares the deployed task of Prometheus.
func (s *sandbox) startMonitoring(t *testing.T, programs string) *monitoringTask {
	t.Helper()
	c := s.clients("eu-central-1")
	cluster := "platform-" + s.environment
	service := only(t, "service", must(c.ecs.DescribeServices(alive, &ecs.DescribeServicesInput{
		Cluster: &cluster, Services: []string{"prometheus_server"},
	}))(t).Services)
	task := only(t, "task of Prometheus", must(c.ecs.ListTasks(alive, &ecs.ListTasksInput{
		Cluster: &cluster, ServiceName: service.ServiceName,
	}))(t).TaskArns)
	definition := must(c.ecs.DescribeTaskDefinition(alive, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: service.TaskDefinition,
	}))(t).TaskDefinition
	text, err := json.Marshal(definition.ContainerDefinitions)
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.server.TaskKey(alive, task, *definition.TaskRoleArn)
	if err != nil {
		t.Fatal(err)
	}
	m := newMonitoringTask(t, containersOf(t, text), monitoringEnviron(s.url, key, "eu-central-1"))
	m.programs = programs
	m.move()
	return m
}

func containersOf(t *testing.T, text []byte) (containers []containerDefinition) {
	t.Helper()
	if err := json.Unmarshal(text, &containers); err != nil {
		t.Fatal(err)
	}
	return containers
}

// referenceInStack is a reference in a synthesised stack, or the escaped form of a text that looks like one.
var referenceInStack = regexp.MustCompile(`\$\$\{|%%\{|\$\{[^}]*\}`)

// synthesisedContainers returns the containers of the task of Prometheus in a stack, with an ARN for
// each reference to another resource.
func synthesisedContainers(t *testing.T, stack []byte) []containerDefinition {
	t.Helper()
	kinds := parse(t, stack)["resource"].(map[string]any)["aws_ecs_task_definition"].(map[string]any)
	definition := kinds["prometheus_task_definition"].(map[string]any)["container_definitions"].(string)
	return containersOf(t, []byte(referenceInStack.ReplaceAllStringFunc(definition, func(found string) string {
		switch {
		case !strings.HasPrefix(found, "${"):
			return found[1:]
		case strings.Contains(found, "endpoint"):
			return "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/"
		}
		return "arn:aws:service:eu-central-1:123456789012:" + strings.Trim(found, "${}")
	})))
}

// TestMonitoringTexts checks the texts of the shipped environments, of one with everything and of one
// without a database, with the programs that read them.
func TestMonitoringTexts(t *testing.T) {
	t.Parallel()
	programs := monitoringPrograms(t)
	for _, environment := range append(environments(t), "everything", "no-database") {
		t.Run(environment, func(t *testing.T) {
			var stack []byte
			s := &sandbox{environment: "prod"}
			switch environment {
			case "everything":
				stack = s.synthesised(t, withEverything(t, s, 9100))
			case "no-database":
				stack = s.synthesised(t, patched(s.shipped(t), document(t, "database: {enabled: false}")))
			default:
				stack = readStack(t, environment)
			}
			m := newMonitoringTask(t, synthesisedContainers(t, stack), nil)
			tests, err := os.ReadFile("../prometheus/rules_test.yml")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(m.text("rules_test.yml"), tests, 0o644); err != nil {
				t.Fatal(err)
			}
			checkTexts(t, programs, filepath.Dir(m.text("prometheus.yml")), environment == "everything")
		})
	}
}

// synthesised synthesises a configuration of prod, without an emulator, and returns the stack.
func (s *sandbox) synthesised(t *testing.T, configuration map[string]any) []byte {
	t.Helper()
	s.folder = copyProject(t, s.environment)
	text, err := yaml.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, text)
	stack, err := os.ReadFile(filepath.Join(s.stack, "cdk.tf.json"))
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// checkTexts runs the checks of Prometheus, Alertmanager and the CloudWatch exporter. The tests of
// the rules are about a stack with everything.
func checkTexts(t *testing.T, programs, folder string, everything bool) {
	t.Helper()
	check := func(name string, arguments ...string) string {
		t.Helper()
		cmd, text := command(t, folder, emulator.Environ(os.Environ(), "http://127.0.0.1:1"),
			filepath.Join(programs, name), arguments...)
		if err := cmd.Run(); err != nil {
			t.Errorf("%s %s: %v\n%s", name, strings.Join(arguments, " "), err, text())
		}
		return text()
	}
	check("promtool", "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
	check("promtool", "check", "rules", "--lint=all", "--lint-fatal", "rules.yml")
	if everything {
		check("promtool", "test", "rules", "rules_test.yml")
	}
	check("amtool", "check-config", "alertmanager.yml")
	for receiver, labels := range map[string][]string{
		"heartbeat": {"alertname=Watchdog", "severity=none"},
		"people":    {"alertname=ErrorBudgetFast", "severity=page"},
	} {
		check("amtool", append([]string{
			"config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=" + receiver,
		}, labels...)...)
	}
	// It accepts unknown keys, and only its log says so. TestMonitoring finds a misspelt statistic.
	if out := check("yace", "verify-config", "--config.file=cloudwatch.yml"); complaint.MatchString(out) {
		t.Errorf("yace verify-config:\n%s", out)
	}
}

// TestMonitoring runs the programs of the task of Prometheus against a deployed stack, from the
// deployed task definition. Time passes sixty times faster for them.
//
// With MONITORING_HOLD=1 in the environment, everything keeps running until the test is
// interrupted, and the test prints where.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	programs := monitoringPrograms(t)
	port := freePorts(t, 1)[0]
	s := newSandboxWith(t, "prod", emulator.Options{Tasks: monitoringNetwork})
	s.synthesise(t, withEverything(t, s, port))
	s.deployMonitored(t)
	aws := newProxy(t, s)
	m := s.startMonitoring(t, programs)
	answerForTasks(t, port, 250)

	within(t, "broken texts", minute, func() string { return m.brokenTextsEndPrograms() })
	history := m.startDurableHistory()
	for _, name := range []string{"alertmanager", "cloudwatch", "prometheus"} {
		m.start(name)
	}
	within(t, "discovery", 2*minute, func() string { return s.tasksAreDiscovered(m) })
	within(t, "a refused discovery", minute, func() string { return m.refusedDiscoveryIsNoticed(aws) })
	c := newMeasured(t, s, m)
	within(t, "metrics of CloudWatch", 2*minute, c.everyMetricArrives)
	within(t, "alerts", 2*minute, func() string { return c.alertsArrive(s) })
	within(t, "durable history", minute, func() string { return m.historyIsWritten(history) })
	within(t, "restart", minute, m.restartKeepsHistory)
	within(t, "rights", minute, func() string { return s.rightsOfTaskWereUsed(t) })
	m.logsHaveNoComplaints()
	if os.Getenv("MONITORING_HOLD") != "" {
		m.hold()
	}
}
