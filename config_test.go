package main

import (
	"os"
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
