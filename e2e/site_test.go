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

// site is an environment that is deployed to an emulator of its own, out of a folder that has what
// the project's has.
type site struct {
	environment string

	// folder holds config/, functions/, go.mod and cdktf.json, as the project's does, and the local
	// state.
	folder string

	// stack is the folder of cdk.tf.json.
	stack string

	// url is where AWS is: the emulator, or something that stands before it.
	url string

	server *emulator.Server
}

// newSite starts an emulator, which ends with the test, and lays out a site with the shipped
// configuration of an environment. It is not yet synthesised.
func newSite(t *testing.T, environment string) *site {
	t.Helper()
	s := &site{environment: environment, folder: layOut(t, environment)}
	var err error
	s.server, err = moto.Start(alive, emulator.Options{
		Folder:    s.folder,
		Account:   emulator.Account,
		Functions: functions,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.server.Stop)
	s.url = s.server.URL
	return s
}

// layOut makes a folder that has what the program reads in the project's folder.
func layOut(t *testing.T, name string) string {
	t.Helper()
	// Not t.TempDir: what is being killed may still write when the test ends, and that a removal
	// fails is no finding.
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

// shipped is the configuration of the site's environment as the project ships it.
func (s *site) shipped(t *testing.T) map[string]any {
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

// patched returns a document with the values of another in it; nested documents are patched in
// turn.
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

// synthesise writes the configuration and has the program make the stack of it.
func (s *site) synthesise(t *testing.T, configuration map[string]any) {
	t.Helper()
	text, err := yaml.Marshal(configuration)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, "config", s.environment+".yaml"), text, 0o644); err != nil {
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
	// Through the emulator's own door: what stands before it may be out to refuse.
	if err := emulator.Furnish(alive, s.server.URL, s.stack); err != nil {
		t.Fatal(err)
	}
}

// environ is the environment in which the site's commands run: all of AWS is the site's, and no
// setting of the user's counts.
func (s *site) environ() []string {
	env := append(emulator.Environ(environ(), s.url), tf.Env...)
	// The provider describes 1,500 kinds of resources to each terraform command: with less
	// collection of garbage that takes a quarter less.
	return append(env, "ENVIRONMENT="+s.environment, "FORCE_COLOR=0", "GOGC=400")
}

// run runs a command in the site's folder and returns what it says. It is killed with all that it
// started when the tests are interrupted or their time is over.
func (s *site) run(t *testing.T, path string, args ...string) (output string, err error) {
	t.Helper()
	cmd, text := s.command(t, path, args...)
	err = cmd.Run()
	return text(), err
}

// command is what run runs, for who wants to do something to it meanwhile; text is what it has said
// so far.
func (s *site) command(t *testing.T, path string, args ...string) (cmd *exec.Cmd, text func() string) {
	t.Helper()
	return command(t, s.folder, s.environ(), path, args...)
}

func command(
	t *testing.T, folder string, env []string, path string, args ...string,
) (cmd *exec.Cmd, text func() string) {
	t.Helper()
	ctx := alive
	if deadline, ok := t.Deadline(); ok {
		// Before go test's own limit, at which nothing would be cleaned up.
		limited, cancel := context.WithDeadline(alive, deadline.Add(-30*time.Second))
		t.Cleanup(cancel)
		ctx = limited
	}
	cmd = exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = folder, env
	// A group of its own, which is killed as one. cdktf's terraform has a terminal and a session of
	// its own, and ends when the terminal does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 20 * time.Second
	out := new(lines)
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out.text
}

// cdktf runs a command of the cdktf CLI on what is synthesised.
func (s *site) cdktf(t *testing.T, command string, args ...string) (output string, err error) {
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
		t.Fatalf("cdktf is not there, run npm ci first: %v", err)
	}
	return path
}

// terraform runs terraform itself, in the stack's folder.
func (s *site) terraform(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	return s.run(t, tf.Path, append([]string{"-chdir=" + s.stack}, args...)...)
}

// plan has cdktf plan, and reads the plan.
func (s *site) plan(t *testing.T) *tfjson.Plan {
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

// deploy deploys what is synthesised.
func (s *site) deploy(t *testing.T) (output string) {
	t.Helper()
	out, err := s.cdktf(t, "deploy", "--auto-approve")
	if err != nil {
		t.Fatalf("cdktf deploy: %v\n%s", err, tail(out, 60))
	}
	return out
}

// changes are what a plan would do, one a resource, in the order of their addresses: "+ ADDRESS"
// makes it, "~ ADDRESS" changes it in place, "- ADDRESS" destroys it, "± ADDRESS" puts another one
// in its place.
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

// count says of changes what terraform says of them at the end.
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

// lines keeps what is written to it, without the codes that colour and move on a terminal.
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

// tail is the end of a text, n lines of it.
func tail(text string, n int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
