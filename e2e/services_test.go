//go:build e2e

package e2e

import (
	"slices"
	"testing"
)

// everySetting has services that use each setting of a container, and call each other.
const everySetting = `
services:
  web:
    database: none
    port: 80
    tasks: 1
    single: true
    user: image
    entrypoint: [/docker-entrypoint.sh]
    command: [nginx]
    writable: [/run, {path: /data, on: disk}]
    disk: 21
    open_files: 65536
    allow_execution: true
    egress: [{port: 587, to: [203.0.113.0/24]}]
    calls: [reader]
    route: {sticky: 60}
    health_check:
      healthy_threshold: 3
      unhealthy_threshold: 4
      command: [/healthy]
      command_interval: 7
      command_timeout: 3
      command_retries: 4
  reader:
    image: quay.io/x/y:1
    user: "0"
    writable: [/]
    calls: [web]
`

// AWS's provider and the emulator accept what the settings of a service make, and a second plan finds
// nothing to change. Only the two services and what they need are deployed, without the database.
func TestSettingsOfServicesAreDeployedOnce(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "dev")
	s.synthesise(t, patched(s.shipped(t), document(t, everySetting)))
	targets := []string{
		"-target=aws_ecs_service.service_web_service", "-target=aws_ecs_service.service_reader_service",
	}
	for _, command := range [][]string{
		{"init", "-no-color"},
		slices.Concat([]string{"apply", "-auto-approve", "-no-color"}, targets),
		slices.Concat([]string{"plan", "-detailed-exitcode", "-no-color"}, targets), // fails if it finds a change
	} {
		if out, err := s.terraform(t, command...); err != nil {
			t.Fatalf("terraform %s: %v\n%s", command[0], err, tail(out, 60))
		}
	}
}
