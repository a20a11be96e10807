//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"platform/internal/emulator"
)

// TestLocalUpAndDown tests cmd/local, which `make local` runs: it deploys without an AWS account,
// keeps the emulator running, deletes everything, and does not use the AWS settings of the user.
func TestLocalUpAndDown(t *testing.T) {
	t.Parallel()
	folder, run := newLocal(t)
	before := filesBeside(t, folder)
	down := false
	defer func() {
		if !down {
			run("down")
		}
	}()

	within(t, "up", 6*minute, func() string {
		out := run("up")
		if !strings.Contains(out, "url = http://") {
			t.Errorf("local up shows no outputs:\n%s", tail(out, 60))
		}
		return summaryOf(t, out)
	})
	server := runningEmulator(t, folder)
	if !answers(server.URL) {
		t.Error("the emulator does not run after local up")
	}
	within(t, "up without changes", minute, func() string {
		summary := summaryOf(t, run("up"))
		if summary != "0 added, 0 changed, 0 destroyed" {
			t.Errorf("a second local up: %s", summary)
		}
		return summary
	})
	callsWereChecked(t, &emulator.Server{URL: server.URL})
	within(t, "down", minute, func() string {
		run("down")
		down = true
		if answers(server.URL) {
			t.Error("the emulator still runs after local down")
		}
		return "deleted"
	})
	if after := filesBeside(t, folder); strings.Join(after, " ") != strings.Join(before, " ") {
		t.Errorf("local down leaves %v, want %v", after, before)
	}
	if out := run("down"); !strings.Contains(out, "there is no local deployment") {
		t.Errorf("a second local down prints %q", out)
	}
}

// newLocal creates a copy of the project's folder with the built programs. run runs local in it,
// with AWS settings of a user in the environment, and returns its output.
func newLocal(t *testing.T) (folder string, run func(argument string) string) {
	t.Helper()
	folder = copyProject(t, "local")
	modules, err := filepath.Abs("../node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(folder, ".build", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "platform")); err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(bin, "local")
	build, output := command(t, "..", os.Environ(), "go", "build", "-buildvcs=false", "-o", local, "./cmd/local")
	if err := build.Run(); err != nil {
		t.Fatalf("%v\n%s", err, output())
	}
	return folder, func(argument string) string {
		t.Helper()
		// With any of these settings, the deployment would fail.
		user := append(environ(),
			"AWS_PROFILE=production",
			"AWS_ACCESS_KEY_ID=mine",
			"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1",
			"ENVIRONMENT=dev",
		)
		cmd, output := command(t, folder, user, local, argument)
		if err := cmd.Run(); err != nil {
			t.Errorf("local %s: %v\n%s", argument, err, tail(output(), 60))
		}
		return output()
	}
}

// filesBeside returns the names in a folder and in its .build/local. A state in another place could
// overwrite a state of the user.
func filesBeside(t *testing.T, folder string) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*", ".build/local/*"} {
		found, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return names
}

func runningEmulator(t *testing.T, folder string) (server struct{ URL string }) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, ".build", "local", "dev", "emulator.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &server); err != nil {
		t.Fatal(err)
	}
	return server
}

func answers(url string) bool {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url + "/moto-api/")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return true
}
