package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/configtest"
)

// minimal is a whole configuration.
const minimal = "name: shop\nregion: eu-central-1\n"

// demonstration has the settings of the service web of a file without services, for files that
// change one of them. The unrouted one has no route.
const (
	unrouted      = "image: '" + config.DefaultImage + "', user: '101', database: {access: owner}"
	demonstration = unrouted + ", route: {paths: ['/*']}"
)

// Security groups' names are unique in a VPC, and a service's group is called as the service.
func TestServicesCannotTakeThePlatformsNames(t *testing.T) {
	stack := synth(t, parse(t, "dev", minimal+"network: {endpoints: [ec2]}\n"), placeholder(t))
	groups := stack["resource"].(tree)["aws_security_group"].(tree)
	if len(groups) < 4 {
		t.Fatalf("the stack has %d security groups only", len(groups))
	}
	for id, group := range groups {
		name := strings.TrimPrefix(group.(tree)["name"].(string), "shop-dev-")
		if strings.HasPrefix(id, "service_") || !regexp.MustCompile(`^[a-z][a-z0-9]*$`).MatchString(name) {
			continue
		}
		text := minimal + "services: {" + name + ": {image: 'quay.io/x/y:1'}}\n"
		if _, err := config.Parse("config/dev.yaml", "dev", []byte(text)); err == nil {
			t.Errorf("a service may be called %s, which is %s", name, id)
		}
	}
}

// The checks of configurations and of stacks are written apart from each other, and must agree.
func TestSchedulesAreReadAsAWSReadsThem(t *testing.T) {
	for text, want := range configtest.Schedules {
		whole := minimal + "backup: {drill: {max_age: 400, schedule: '" + text + "'}}\n"
		_, err := config.Parse("config/dev.yaml", "dev", []byte(whole))
		if have := err == nil; have != want {
			t.Errorf("the configuration may say %s: %v", text, err)
		}
		if have := isSchedule(text); have != want {
			t.Errorf("a stack may have %s: %v", text, have)
		}
	}
}

// An editor that knows the schema accepts what the program accepts.
func TestSchemaTakesEveryConfigurationOfTheTests(t *testing.T) {
	text, err := os.ReadFile("config/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	compiled := configtest.CompiledSchema(t, text)
	for name, c := range everyConfig(1) {
		if err := configtest.Fits(compiled, []byte(c.config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
