package main

import (
	"slices"
	"strings"
	"testing"
)

// Every list that AWS fills in by itself is there and empty, and nothing else is: the next plan
// finds no difference.
func TestContainersJSONWritesEmptyListsOut(t *testing.T) {
	got := marshal([]*container{newContainer("web", "quay.io/x/y:1", containerLog{"/shop/web", "eu-central-1"})})
	want := `[{"name":"web","image":"quay.io/x/y:1","essential":true,"readonlyRootFilesystem":true,` +
		`"environment":[],"portMappings":[],` +
		`"mountPoints":[],"volumesFrom":[],"systemControls":[],"linuxParameters":{"initProcessEnabled":true},` +
		`"logConfiguration":{"logDriver":"awslogs","options":{"awslogs-group":"/shop/web",` +
		`"awslogs-region":"eu-central-1","awslogs-stream-prefix":"web","max-buffer-size":"25m",` +
		`"mode":"non-blocking"}}}]`
	if got != want {
		t.Errorf("is\n%s\nwant\n%s", got, want)
	}
}

func TestContainersVariablesAreSortedAndTheLastWins(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	c.setEnvironment(map[string]string{"B": "1", "C": "<a&b>", "A": ""})
	c.setEnvironment(map[string]string{"B": "2", "AA": "x"})
	c.setSecrets(map[string]string{"Z": "arn:z", "Y": "arn:y"})
	c.setSecrets(map[string]string{"Y": "arn:other", "X": "arn:x"})
	if want := []variable{{"A", ""}, {"AA", "x"}, {"B", "2"}, {"C", "<a&b>"}}; !slices.Equal(c.Environment, want) {
		t.Errorf("environment is %v, want %v", c.Environment, want)
	}
	if want := []secret{{"X", "arn:x"}, {"Y", "arn:other"}, {"Z", "arn:z"}}; !slices.Equal(c.Secrets, want) {
		t.Errorf("secrets are %v, want %v", c.Secrets, want)
	}
	if text := marshal(c); !strings.Contains(text, `{"name":"C","value":"<a&b>"}`) {
		t.Errorf("escapes what JSON need not: %s", text)
	}
	c.setSecrets(nil)
	if len(c.Secrets) != 3 {
		t.Errorf("no further secrets leave %v", c.Secrets)
	}
}

func TestContainerListensOnceOnAPort(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	for _, port := range []int{8080, 9090, 8080} {
		c.listen(port)
	}
	if want := []portMapping{{8080, 8080, "tcp"}, {9090, 9090, "tcp"}}; !slices.Equal(c.PortMappings, want) {
		t.Errorf("listens on %v, want %v", c.PortMappings, want)
	}
}

// The agent behind a shell session is root, writes to three folders, and needs its capabilities.
func TestExecMakesRoomForItsAgent(t *testing.T) {
	c := newContainer("web", "quay.io/x/y:1", containerLog{"log", "eu-central-1"})
	c.dropCapabilities()
	volumes := c.allowExec()
	var paths []string
	for i, mount := range c.MountPoints {
		paths = append(paths, mount.ContainerPath)
		if mount.ReadOnly || volumes[i] != mount.SourceVolume {
			t.Errorf("mounts %+v from %s", mount, volumes[i])
		}
	}
	want := []string{"/managed-agents", "/var/lib/amazon/ssm", "/var/log/amazon/ssm"}
	if !slices.Equal(paths, want) || len(volumes) != len(want) {
		t.Errorf("mounts %v from %v, want %v", paths, volumes, want)
	}
	if c.LinuxParameters.Capabilities != nil {
		t.Errorf("has capabilities %v only", c.LinuxParameters.Capabilities)
	}
}
