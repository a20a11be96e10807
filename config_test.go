package main

import (
	"platform/internal/config"
	"platform/internal/configtest"
	"regexp"
	"strings"
	"testing"
)

// minimal is a whole configuration.
const minimal = "name: shop\nregion: eu-central-1\n"

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
	for text, want := range map[string]bool{
		// Examples of https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
		// and its sisters.
		"cron(15 12 * * ? *)":                        true,
		"cron(0 18 ? * MON-FRI *)":                   true,
		"cron(0 8 1 * ? *)":                          true,
		"cron(0/15 * * * ? *)":                       true,
		"cron(0/10 * ? * MON-FRI *)":                 true,
		"cron(0/5 8-17 ? * MON-FRI *)":               true,
		"cron(15 10 ? * 6L 2022-2023)":               true,
		"cron(0 9 ? * 2#1 *)":                        true,
		"cron(0 0 L * ? *)":                          true,
		"cron(0 0 15W * ? *)":                        true,
		"cron(*/20 1,13 1,15 JAN-MAR,6 ? 2027,2028)": true,
		"cron(0 0 ? feb mon *)":                      true,
		"rate(1 hour)":                               true,
		"rate(15 minutes)":                           true,
		"rate(10 days)":                              true,

		"cron(60 3 * * ? *)":        false,
		"cron(0 24 * * ? *)":        false,
		"cron(0 3 0 * ? *)":         false,
		"cron(0 3 32 * ? *)":        false,
		"cron(0 3 * 13 ? *)":        false,
		"cron(0 3 * JANUARY ? *)":   false,
		"cron(0 3 ? * 0 *)":         false,
		"cron(0 3 ? * 8 *)":         false,
		"cron(0 3 ? * MONDAY *)":    false,
		"cron(0 3 ? * 2/2 *)":       false,
		"cron(0 3 ? * 2#6 *)":       false,
		"cron(0 3 ? * MON-FRI#1 *)": false,
		"cron(0 3 ? * 2,3L *)":      false,
		"cron(0 3 1-5W * ? *)":      false,
		"cron(0 3 LW2 * ? *)":       false,
		"cron(0 3 * * ? 1969)":      false,
		"cron(0 3 * * ? 2200)":      false,
		"cron(*/0 3 * * ? *)":       false,
		"cron(5/ 3 * * ? *)":        false,
		"cron(1- 3 * * ? *)":        false,
		"cron(1,,2 3 * * ? *)":      false,
		"cron(-5 3 * * ? *)":        false,
		"cron(+5 3 * * ? *)":        false,
		"cron(? 3 * * ? *)":         false,
		"cron(L 3 * * ? *)":         false,
		"cron(five 3 * * ? *)":      false,
		"cron(0 3 * * * *)":         false,
		"cron(0 3 ? * ? *)":         false,
		"cron(0 3 * * *)":           false,
		"cron(0 3 * * ? * )":        false,
		"rate(1 hours)":             false,
		"rate(2 hour)":              false,
		"rate(0 hours)":             false,
		"rate(02 hours)":            false,
		"rate(1 week)":              false,
		"at(tomorrow)":              false,
	} {
		whole := minimal + "backup: {max_age: 744, schedule: '" + text + "'}\n"
		_, err := config.Parse("config/dev.yaml", "dev", []byte(whole))
		if have := err == nil; have != want {
			t.Errorf("the configuration may say %s: %v", text, err)
		}
		if have := readable(text); have != want {
			t.Errorf("a stack may have %s: %v", text, have)
		}
	}
}

// An editor that knows the schema accepts what the program accepts.
func TestSchemaTakesEveryConfigurationOfTheTests(t *testing.T) {
	compiled := configtest.CompiledSchema(t, "config/schema.json")
	for name, c := range everyConfig(1) {
		if err := configtest.Fits(compiled, []byte(c.config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
