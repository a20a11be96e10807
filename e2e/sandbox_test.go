//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/hashicorp/terraform-exec/tfexec"
	tfjson "github.com/hashicorp/terraform-json"

	"platform/internal/emulator"
)

// sandbox is an environment that is deployed to its own emulator, from a copy of the project's
// folder.
type sandbox struct {
	environment string

	// folder contains config/, functions/, go.mod and cdktf.json of the project, and the local
	// state.
	folder string

	// stack is the folder that contains cdk.tf.json.
	stack string

	// url is the endpoint for AWS: the emulator, or a proxy before it.
	url string

	// endpoint is a file with the URL that functions use for AWS; it does not exist at first.
	endpoint string

	server *emulator.Server
}

// newSandbox starts an emulator, which ends with the test, and creates the folder with the shipped
// configuration of an environment. It does not synthesise.
func newSandbox(t *testing.T, environment string) *sandbox {
	t.Helper()
	return newSandboxWith(t, environment, emulator.Options{})
}

// newSandboxWith is newSandbox for an emulator with options of its own.
func newSandboxWith(t *testing.T, environment string, o emulator.Options) *sandbox {
	t.Helper()
	s := &sandbox{environment: environment, folder: copyProject(t, environment)}
	s.endpoint = filepath.Join(s.folder, "endpoint")
	o.Folder, o.Account, o.Functions, o.Endpoint = s.folder, emulator.Account, functions, s.endpoint
	var err error
	if s.server, err = moto.Start(alive, o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Stop)
	t.Cleanup(func() { callsWereChecked(t, s.server) })
	s.url = s.server.URL
	return s
}

// copyProject creates a folder with the files of the project that the program reads.
func copyProject(t *testing.T, name string) string {
	t.Helper()
	// Not t.TempDir, which fails the test if it cannot delete the folder: a process that is being
	// killed may still write.
	folder, err := os.MkdirTemp(scratch, name+"-*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"functions", "config"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join("..", name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "cdktf.json"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// shipped returns the shipped configuration of the environment.
func (s *sandbox) shipped(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "config", s.environment+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return document(t, string(text))
}

func document(t *testing.T, text string) map[string]any {
	t.Helper()
	var d map[string]any
	if err := yaml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

// patched returns a copy of a document with the values of a patch. It patches nested documents
// recursively.
func patched(d, patch map[string]any) map[string]any {
	result := map[string]any{}
	maps.Copy(result, d)
	for key, value := range patch {
		below, ok := value.(map[string]any)
		was, _ := result[key].(map[string]any)
		if ok {
			value = patched(was, below)
		}
		result[key] = value
	}
	return result
}

// demonstration has the settings of the service web of the shipped configurations, which list no
// services, without its image. A patch that names web needs them.
const demonstration = `user: "101", database: {access: owner}, route: {paths: ["/*"]}`

// synthesise writes the configuration, runs the program and prepares the emulator for the stack.
func (s *sandbox) synthesise(t *testing.T, configuration map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, text)
	s.prepare(t)
}

// prepare prepares the emulator for the synthesised stack, directly, because a proxy may deny calls.
func (s *sandbox) prepare(t *testing.T) {
	t.Helper()
	if err := emulator.PrepareStack(alive, s.server.URL, s.stack); err != nil {
		t.Fatal(err)
	}
}

// write writes the configuration and runs the program.
func (s *sandbox) write(t *testing.T, configuration []byte) {
	t.Helper()
	file := filepath.Join(s.folder, "config", s.environment+".yaml")
	if err := os.WriteFile(file, configuration, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run(t, program); err != nil {
		t.Fatalf("the program: %v\n%s", err, out)
	}
	stacks, err := filepath.Glob(filepath.Join(s.folder, "cdktf.out", "stacks", "*", "cdk.tf.json"))
	if err != nil || len(stacks) != 1 {
		t.Fatalf("want one stack, have %v (%v)", stacks, err)
	}
	s.stack = filepath.Dir(stacks[0])
}

// environ returns the environment of commands, with the endpoint for AWS and without the user's
// settings.
func (s *sandbox) environ() []string {
	env := append(emulator.Environ(environ(), s.url), tf.Env...)
	// Each terraform command reads the schemas of 1,500 resource types from the provider. With less
	// garbage collection, that is 25% faster.
	return append(env, "ENVIRONMENT="+s.environment, "FORCE_COLOR=0", "GOGC=400")
}

// run runs a command in the folder and returns its output. The command and its child processes are
// killed when the tests are interrupted or reach their time limit.
func (s *sandbox) run(t *testing.T, path string, args ...string) (output string, err error) {
	t.Helper()
	cmd, text := s.command(t, path, args...)
	err = cmd.Run()
	return text(), err
}

// command returns the command of run, for tests that act while it runs. text returns its output so
// far.
func (s *sandbox) command(t *testing.T, path string, args ...string) (cmd *exec.Cmd, text func() string) {
	t.Helper()
	return command(t, s.folder, s.environ(), path, args...)
}

func command(
	t *testing.T, folder string, env []string, path string, args ...string,
) (cmd *exec.Cmd, text func() string) {
	t.Helper()
	ctx := alive
	if deadline, ok := t.Deadline(); ok {
		// Before the time limit of go test, which ends the tests without cleaning up.
		limited, cancel := context.WithDeadline(alive, deadline.Add(-30*time.Second))
		t.Cleanup(cancel)
		ctx = limited
	}
	cmd = exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = folder, env
	// A separate process group, which is killed as one. cdktf runs terraform in a separate terminal
	// and session; terraform ends when the terminal is closed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 20 * time.Second
	out := new(lines)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out.text
}

// cdktf runs a command of the cdktf CLI with the synthesised stack.
func (s *sandbox) cdktf(t *testing.T, command string, args ...string) (output string, err error) {
	t.Helper()
	flags := []string{command, "--skip-synth", "--skip-provider-lock", "--no-color"}
	return s.run(t, cdktfPath(t), append(flags, args...)...)
}

func cdktfPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../node_modules/.bin/cdktf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("cdktf is not installed, run npm ci first: %v", err)
	}
	return path
}

// terraform runs terraform in the stack's folder.
func (s *sandbox) terraform(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	return s.run(t, tf.Path, append([]string{"-chdir=" + s.stack}, args...)...)
}

// plan runs cdktf diff and returns its plan.
func (s *sandbox) plan(t *testing.T) *tfjson.Plan {
	t.Helper()
	if out, err := s.cdktf(t, "diff"); err != nil {
		t.Fatalf("cdktf diff: %v\n%s", err, out)
	}
	runner, err := tfexec.NewTerraform(s.stack, tf.Path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, e := range s.environ() {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if err := runner.SetEnv(tfexec.CleanEnv(env)); err != nil {
		t.Fatal(err)
	}
	plan, err := runner.ShowPlanFile(alive, "plan") // where cdktf diff leaves it
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// deploy deploys the synthesised stack.
func (s *sandbox) deploy(t *testing.T) (output string) {
	t.Helper()
	out, err := s.cdktf(t, "deploy", "--auto-approve")
	if err != nil {
		t.Fatalf("cdktf deploy: %v\n%s", err, tail(out, 60))
	}
	return out
}

// changes returns the changes of a plan, one for each resource, in the order of their addresses:
// "+ ADDRESS" creates it, "~ ADDRESS" updates it in place, "- ADDRESS" deletes it, "± ADDRESS"
// replaces it.
func changes(plan *tfjson.Plan) []string {
	var all []string
	for _, r := range plan.ResourceChanges {
		sign := ""
		switch actions := r.Change.Actions; {
		case r.Mode == tfjson.DataResourceMode, actions.NoOp(), actions.Read():
			continue
		case actions.Replace():
			sign = "±"
		case actions.Create():
			sign = "+"
		case actions.Update():
			sign = "~"
		case actions.Delete():
			sign = "-"
		default:
			sign = fmt.Sprint(actions)
		}
		all = append(all, sign+" "+r.Address)
	}
	slices.SortFunc(all, func(a, b string) int {
		_, a, _ = strings.Cut(a, " ")
		_, b, _ = strings.Cut(b, " ")
		return strings.Compare(a, b)
	})
	return all
}

// planned matches the first line of a resource in a plan as terraform prints it. cdktf adds the
// construct in parentheses.
var planned = regexp.MustCompile(`(?m)# (\S+)(?: \(\S+\))? (will be created|will be updated in-place|` +
	`will be destroyed|(?:must|will) be replaced|is tainted, so must be replaced)`)

// changesIn returns the changes of the plan in the output of a deployment, as [changes] does. It
// saves a second plan.
func changesIn(output string) []string {
	signs := map[string]string{
		"will be created": "+", "will be updated in-place": "~", "will be destroyed": "-",
	}
	var all []string
	for _, match := range planned.FindAllStringSubmatch(output, -1) {
		sign, ok := signs[match[2]]
		if !ok {
			sign = "±"
		}
		all = append(all, sign+" "+match[1])
	}
	return all
}

// count returns the summary of changes in the form of terraform apply.
func count(changes []string) string {
	added, changed, destroyed := 0, 0, 0
	for _, c := range changes {
		switch sign, _, _ := strings.Cut(c, " "); sign {
		case "+":
			added++
		case "~":
			changed++
		case "-":
			destroyed++
		default:
			added++
			destroyed++
		}
	}
	return fmt.Sprintf("%d added, %d changed, %d destroyed", added, changed, destroyed)
}

// lines records the output of a command without terminal control codes.
type lines struct {
	all  bytes.Buffer
	part []byte
}

var codes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\r")

func (l *lines) Write(p []byte) (int, error) {
	l.part = append(l.part, p...)
	for {
		end := bytes.IndexByte(l.part, '\n')
		if end < 0 {
			return len(p), nil
		}
		line := codes.ReplaceAllString(string(l.part[:end]), "")
		l.part = l.part[end+1:]
		l.all.WriteString(line + "\n")
	}
}

func (l *lines) text() string { return l.all.String() + codes.ReplaceAllString(string(l.part), "") }

// tail returns the last n lines of a text.
func tail(text string, n int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
