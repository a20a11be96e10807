//go:build e2e

package main

import (
	"os"
	"strings"
	"testing"

	"platform/internal/confined"
	"platform/internal/stacktest"
)

// What the settings of a service allow is tried with programs under the limits of its container
// definition. Each setting is tried without it too: a limit that nothing notices would prove
// nothing.
func TestContainersMayDoWhatTheirSettingsSay(t *testing.T) {
	if err := confined.Possible(t.Context()); err != nil {
		t.Skip("cannot confine programs here: ", err)
	}
	image, err := confined.NewImage(t.Context(), "internal/confined/app", os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	const collect = "exec $0 /app/shop.py collectstatic --noinput"
	const serve = `$0 -m gunicorn --chdir /app --bind 127.0.0.1:8080 --worker-tmp-dir /dev/shm shop:application &
		for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			$0 -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8080/").read().decode())' 2>/dev/null && exit
			sleep 0.5
		done; exit 1`
	const library = `cp $($0 -c 'import _ctypes; print(_ctypes.__file__)') /tmp/native.so
		exec $0 -c 'import ctypes; ctypes.CDLL("/tmp/native.so"); print("loaded")'`
	const python = `exec $0 -c "$1"`
	for name, c := range map[string]struct {
		settings string
		program  []string // a shell's, whose $0 is Python
		want     string   // in the output
		fails    bool
	}{
		"gunicorn serves Django":            {"", []string{serve}, "served", false},
		"collectstatic writes to the image": {"", []string{collect}, "Read-only file system", true},
		"collectstatic writes to memory": {
			"writable: [/app/staticfiles]", []string{collect}, "1 static file copied", false,
		},
		"collectstatic writes to the disk": {
			"writable: [{path: /app/staticfiles, on: disk}]", []string{collect}, "1 static file copied", false,
		},
		"a writable root belongs to root": {
			"writable: [/]", []string{collect}, "Permission denied: '/app/staticfiles", true,
		},
		"root writes to a writable root": {
			"writable: [/]\n    user: '0'", []string{collect}, "1 static file copied", false,
		},
		"a program in /tmp": {
			"", []string{"cp /bin/true /tmp/true && /tmp/true"}, "/tmp/true: Permission denied", true,
		},
		"a program in /tmp that may run": {
			"allow_execution: true", []string{"cp /bin/true /tmp/true && /tmp/true && echo ran"}, "ran", false,
		},
		"a native library in /tmp": {"", []string{library}, "failed to map segment", true},
		"a native library in /tmp that may be loaded": {
			"allow_execution: true", []string{library}, "loaded", false,
		},
		"/tmp is as large as scratch": {
			"scratch: 16", []string{"head -c 20000000 /dev/urandom > /tmp/large"}, "No space left", true,
		},
		"the user": {"user: '4711'", []string{"echo user $(id -u)"}, "user 4711", false},
		"port 443 of a service on 8080": {
			"", []string{python, `import socket; socket.socket().bind(("127.0.0.1", 443))`}, "PermissionError", true,
		},
		"port 80 of a service on 80": {
			"port: 80", []string{python, `import socket; socket.socket().bind(("127.0.0.1", 80)); print("bound")`},
			"bound", false,
		},
		"a user becomes another one": {
			"", []string{python, "import os; os.setuid(33)"}, "PermissionError", true,
		},
		"root becomes another user": {
			"user: '0'", []string{python, "import os; os.setgid(33); os.setuid(33); print(os.getuid())"}, "33", false,
		},
		"root opens a raw socket": {
			"user: '0'", []string{python, "import socket; socket.socket(2, socket.SOCK_RAW, 1)"},
			"PermissionError", true,
		},
		"open files": {
			"open_files: 2048", []string{"ulimit -n"}, "2048", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			config := minimal + "services:\n  web:\n    image: quay.io/x/y:1\n    " + c.settings + "\n"
			task := parsed(t, synth(t, parse(t, "test", config), placeholder(t))).Resource(webTask)
			program := append([]string{"/bin/sh", "-c", c.program[0], image.Python}, c.program[1:]...)
			out, err := image.Run(t.Context(), confinedBy(t, task), program...)
			if (err != nil) != c.fails || !strings.Contains(out, c.want) {
				t.Errorf("ends with %v, want a failure: %v; want %q in\n%s", err, c.fails, c.want, out)
			}
		})
	}
}

// confinedBy reads the limits of the application in a task definition.
func confinedBy(t *testing.T, task stacktest.Resource) (limits confined.Container) {
	t.Helper()
	opened := map[string]string{} // folders by volume
	for _, c := range task.Containers() {
		if c.Is("essential", false) {
			limits.Opener = strings.Join(c.Strings("command"), " ")
			for _, m := range c.Blocks("mountPoints") {
				opened[m.String("sourceVolume")] = m.String("containerPath")
			}
		}
	}
	for _, c := range task.Containers() {
		if !c.Is("essential", true) {
			continue
		}
		limits.User, limits.ReadOnly = c.String("user"), c.Is("readonlyRootFilesystem", true)
		limits.Drop = c.Strings("linuxParameters.capabilities.drop")
		limits.Ports = c.String("systemControls[namespace=net.ipv4.ip_unprivileged_port_start].value")
		if c.Has("ulimits") {
			limits.Files = int(c.Number("ulimits[name=nofile].hardLimit"))
		}
		for _, f := range c.Blocks("linuxParameters.tmpfs") {
			limits.Memory = append(limits.Memory, confined.Folder{
				Path: f.String("containerPath"), Size: int(f.Number("size")), Options: f.Strings("mountOptions"),
			})
		}
		for _, m := range c.Blocks("mountPoints") {
			limits.Disk = append(limits.Disk, confined.Folder{
				Path: m.String("containerPath"), Opened: opened[m.String("sourceVolume")],
			})
		}
	}
	return limits
}
