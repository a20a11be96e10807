//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"platform/internal/emulator"
)

var builtPrograms = sync.OnceValues(func() (string, error) {
	// Other tests run meanwhile.
	build := exec.CommandContext(alive, "nice", "-n", "10", "sh", "../tools/monitoring/build.sh")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("tools/monitoring/build.sh: %w\n%s", err, out)
	}
	return filepath.Abs("../.build/bin")
})

// monitoringPrograms builds the programs of the task of Prometheus, and those that check their
// texts, and returns their folder. If they were built before, that takes some seconds.
func monitoringPrograms(t *testing.T) string {
	t.Helper()
	defer step(t, "building the programs")()
	folder, err := builtPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// containerDefinition is what a container definition says about its program.
type containerDefinition struct {
	Name        string
	EntryPoint  []string
	Command     []string
	Environment []struct{ Name, Value string }
	MountPoints []struct{ SourceVolume, ContainerPath string }
	HealthCheck struct{ Command []string }
}

// monitoringTask is the task of Prometheus on this machine: its containers' programs with their
// folders and ports moved, at a faster pace.
type monitoringTask struct {
	*testing.T
	folder     string // has a folder for each volume
	programs   string
	containers map[string]containerDefinition
	env        []string
	ports      map[string]int // on this machine, by the port in the task
	running    map[string]*exec.Cmd
}

// Where the programs listen in a task.
var monitoringPorts = map[string]string{"prometheus": "9090", "alertmanager": "9093", "cloudwatch": "5000"}

// moved returns a path of a container on this machine.
func (m *monitoringTask) moved(c containerDefinition, path string) string {
	for _, mount := range c.MountPoints {
		if rest, ok := strings.CutPrefix(path, mount.ContainerPath); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(m.folder, mount.SourceVolume, rest)
		}
	}
	return path
}

// unpack runs the container that writes the texts.
func (m *monitoringTask) unpack() {
	m.Helper()
	c, ok := m.containers["configuration"]
	if !ok || len(c.EntryPoint) != 2 || len(c.Command) != 1 {
		m.Fatalf("want a container that runs a script: %v", c)
	}
	script := c.Command[0]
	for _, mount := range c.MountPoints {
		folder := filepath.Join(m.folder, mount.SourceVolume)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			m.Fatal(err)
		}
		script = strings.ReplaceAll(script, mount.ContainerPath, folder)
	}
	cmd := exec.CommandContext(alive, c.EntryPoint[0], c.EntryPoint[1], script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, variable := range c.Environment {
		cmd.Env = append(cmd.Env, variable.Name+"="+variable.Value)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		m.Fatalf("the container configuration: %v\n%s", err, out)
	}
}

// text returns the path of one of the texts.
func (m *monitoringTask) text(name string) string {
	return filepath.Join(m.folder, "configuration", name)
}

// rewrite changes a text.
func (m *monitoringTask) rewrite(name string, change func(string) string) {
	m.Helper()
	text, err := os.ReadFile(m.text(name))
	if err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(m.text(name), []byte(change(string(text))), 0o644); err != nil {
		m.Fatal(err)
	}
}

// pace is how many times faster than in AWS the programs run.
const pace = 60

// A duration of Prometheus. It does not begin in the name of a series, such as errors:rate:1h.
var duration = regexp.MustCompile(`(^|[^:\w.])(\d+)(s|m|h|d)\b`)

// faster divides all durations in a text.
func faster(text string) string {
	units := map[string]int{"s": 1, "m": 60, "h": 3600, "d": 86400}
	return duration.ReplaceAllStringFunc(text, func(found string) string {
		parts := duration.FindStringSubmatch(found)
		n, err := strconv.Atoi(parts[2])
		if err != nil || n == 0 {
			return found
		}
		return fmt.Sprintf("%s%dms", parts[1], n*units[parts[3]]*1000/pace)
	})
}

// move changes the ports in the texts to those of this machine, and the time to the pace.
func (m *monitoringTask) move() {
	m.Helper()
	for _, name := range []string{"prometheus.yml", "rules.yml", "alertmanager.yml"} {
		m.rewrite(name, faster)
	}
	m.rewrite("prometheus.yml", func(text string) string {
		for inside, outside := range m.ports {
			text = strings.ReplaceAll(text, "localhost:"+inside, fmt.Sprintf("localhost:%d", outside))
		}
		return text
	})
}

var exporterInterval = regexp.MustCompile(`^--scraping-interval=(\d+)$`)

// arguments returns the command of a container as it runs here.
func (m *monitoringTask) arguments(c containerDefinition) (arguments []string) {
	for _, argument := range c.Command {
		name, value, _ := strings.Cut(argument, "=")
		value = m.moved(c, value)
		for inside, outside := range m.ports {
			value = strings.ReplaceAll(value, "127.0.0.1:"+inside, fmt.Sprintf("127.0.0.1:%d", outside))
		}
		if seconds := exporterInterval.FindStringSubmatch(argument); seconds != nil {
			n, _ := strconv.Atoi(seconds[1])
			value = strconv.Itoa(n / pace)
		}
		arguments = append(arguments, name+"="+value)
	}
	if c.Name == "prometheus" { // it listens at all addresses in its task
		arguments = append(arguments, fmt.Sprintf("--web.listen-address=127.0.0.1:%d", m.ports["9090"]))
	}
	return arguments
}

// prepare returns the program of a container.
func (m *monitoringTask) prepare(name string, logTo string) *exec.Cmd {
	m.Helper()
	c, ok := m.containers[name]
	if !ok {
		m.Fatalf("the task has no container %s", name)
	}
	for _, mount := range c.MountPoints {
		if err := os.MkdirAll(filepath.Join(m.folder, mount.SourceVolume), 0o755); err != nil {
			m.Fatal(err)
		}
	}
	program := map[string]string{"prometheus": "prometheus", "alertmanager": "alertmanager", "cloudwatch": "yace"}[name]
	cmd := exec.CommandContext(alive, filepath.Join(m.programs, program), m.arguments(c)...)
	cmd.Env = m.env
	for _, variable := range c.Environment {
		cmd.Env = append(cmd.Env, variable.Name+"="+variable.Value)
	}
	file, err := os.OpenFile(filepath.Join(m.folder, logTo), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() { file.Close() })
	cmd.Stdout, cmd.Stderr = file, file
	return cmd
}

// start starts the program of a container and waits until its health check succeeds.
func (m *monitoringTask) start(name string) {
	m.Helper()
	cmd := m.prepare(name, name+".log")
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.running[name] = cmd
	m.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	m.eventually(name+" to be healthy", func() bool { return m.healthy(name) })
}

// healthy runs the health check of a container: a request to a URL, or promtool.
func (m *monitoringTask) healthy(name string) bool {
	m.Helper()
	check := m.containers[name].HealthCheck.Command
	if len(check) < 2 {
		m.Fatalf("%s has no health check", name)
	}
	if filepath.Base(check[1]) == "promtool" {
		arguments := slices.Concat(check[2:], []string{"--url=" + m.url("9090")})
		return exec.CommandContext(alive, filepath.Join(m.programs, "promtool"), arguments...).Run() == nil
	}
	where := check[len(check)-1]
	for inside, outside := range m.ports {
		where = strings.Replace(where, "127.0.0.1:"+inside, fmt.Sprintf("127.0.0.1:%d", outside), 1)
	}
	answer, err := http.Get(where)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// url returns the URL of a port of the task.
func (m *monitoringTask) url(port string) string {
	return fmt.Sprintf("http://127.0.0.1:%d", m.ports[port])
}

// log returns the log of a container.
func (m *monitoringTask) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(m.folder, name+".log"))
	return string(text)
}

// sample is a series with its value.
type sample struct {
	Metric map[string]string
	Value  float64
}

// query evaluates an expression at a time, by a Prometheus at a URL.
func query(t *testing.T, server, expression string, at time.Time) []sample {
	t.Helper()
	seconds := strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
	parameters := url.Values{"query": {expression}, "time": {seconds}}
	answer, err := http.Get(server + "/api/v1/query?" + parameters.Encode())
	if err != nil {
		return nil // it restarts
	}
	defer answer.Body.Close()
	var result struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&result); err != nil {
		return nil
	}
	if result.Error != "" {
		t.Fatalf("%s: %s", expression, result.Error)
	}
	var samples []sample
	for _, found := range result.Data.Result {
		value, err := strconv.ParseFloat(found.Value[1].(string), 64)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, sample{found.Metric, value})
	}
	return samples
}

// now evaluates an expression by the Prometheus of the task.
func (m *monitoringTask) now(expression string) []sample {
	m.Helper()
	return query(m.T, m.url("9090"), expression, time.Now())
}

// patienceWithPrograms is for a busy machine, where tests of other stacks run too.
const patienceWithPrograms = 3 * time.Minute

// eventually waits until something is true.
func (m *monitoringTask) eventually(what string, is func() bool) {
	m.Helper()
	for end := time.Now().Add(patienceWithPrograms); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			m.Fatalf("waited %v for %s", patienceWithPrograms, what)
		}
	}
}

// becomes waits until an expression has one value.
func (m *monitoringTask) becomes(expression string, want float64) {
	m.Helper()
	defer step(m.T, fmt.Sprintf("%s = %v", expression, want))()
	for end := time.Now().Add(patienceWithPrograms); ; time.Sleep(200 * time.Millisecond) {
		have := m.now(expression)
		if len(have) == 1 && have[0].Value == want {
			return
		}
		if time.Now().After(end) {
			m.Fatalf("%s: want %v, have %v\n%s", expression, want, have, tail(m.log("prometheus"), 20))
		}
	}
}

// freePorts returns ports of this machine that nothing listens at.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// newMonitoringTask prepares the task. The programs have the environment of AWS's clients.
func newMonitoringTask(t *testing.T, containers []containerDefinition, env []string) *monitoringTask {
	t.Helper()
	folder, err := os.MkdirTemp(scratch, "monitoring-*")
	if err != nil {
		t.Fatal(err)
	}
	m := &monitoringTask{
		T: t, folder: folder, containers: map[string]containerDefinition{}, env: env,
		ports: map[string]int{}, running: map[string]*exec.Cmd{},
	}
	for _, c := range containers {
		m.containers[c.Name] = c
	}
	ports := freePorts(t, len(monitoringPorts))
	for _, port := range monitoringPorts {
		m.ports[port], ports = ports[0], ports[1:]
	}
	m.unpack()
	return m
}

// monitoringEnviron is the environment of the programs: AWS at a URL, with an access key of the
// task.
func monitoringEnviron(url, key, region string) []string {
	return append(emulator.Environ(os.Environ(), url), "AWS_ACCESS_KEY_ID="+key, "AWS_SESSION_TOKEN=emulator",
		"AWS_REGION="+region)
}
