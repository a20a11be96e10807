package main

import (
	"regexp"
	"strconv"
	"strings"

	"platform/internal/stacktest"
)

const webRotation = "aws_secretsmanager_secret_rotation.service_web_database_rotation"

var databaseUserPromises = []stacktest.Promise{{
	Name:  "Secrets Manager accepts the rotations, each in a window, and none begins with a deployment",
	Check: rotationsAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a rotation has a number of days instead of a schedule, so that it begins at any hour",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Remove(webRotation, "rotation_rules.schedule_expression"),
			stacktest.Add(webRotation, "rotation_rules.automatically_after_days", 30.0),
		),
		Found: webRotation,
	}, {
		Name:  "a rotation has both a schedule and a number of days",
		Stack: "prod",
		By:    stacktest.Add(webRotation, "rotation_rules.automatically_after_days", 30.0),
		Found: webRotation,
	}, {
		Name:  "a rotation's window does not begin on the hour",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(30 2 10 * ? *)"),
		Found: webRotation,
	}, {
		Name:  "a rotation's schedule names a year",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(0 2 10 * ? 2027)"),
		Found: webRotation,
	}, {
		Name:  "a rotation's window extends into the next day",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Set(webRotation, "rotation_rules.schedule_expression", "cron(0 23 10 * ? *)"),
			stacktest.Set(webRotation, "rotation_rules.duration", "2h"),
		),
		Found: webRotation,
	}, {
		Name:  "a rotation's window has no length, so that it is open until midnight",
		Stack: "prod",
		By:    stacktest.Remove(webRotation, "rotation_rules.duration"),
		Found: webRotation,
	}, {
		Name:  "a deployment rotates a password",
		Stack: "prod",
		By:    stacktest.Set(webRotation, "rotate_immediately", true),
		Found: webRotation,
	}, {
		Name:  "a secret has no rotation",
		Stack: "prod",
		By:    stacktest.Delete(webRotation),
		Found: "aws_secretsmanager_secret.service_web_database_secret",
	}},
}}

var rotationHour = regexp.MustCompile(`^cron\(0 ([0-9]+) \S+ \S+ \S+ \*\)$`)

// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html
func rotationsAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	rotations := s.Resources("aws_secretsmanager_secret_rotation")
	for _, secret := range s.Resources("aws_secretsmanager_secret") {
		v.Want(len(stacktest.Referring(rotations, "secret_id", secret.Address)) == 1,
			secret.Address, "want one rotation")
	}
	for _, r := range rotations {
		schedule := r.String("rotation_rules.schedule_expression")
		hour := rotationHour.FindStringSubmatch(schedule)
		v.Want(hour != nil && isSchedule(schedule) && !r.Has("rotation_rules.automatically_after_days"),
			r.Address, "want a schedule that begins on the hour, every year, have %q", schedule)
		if hour != nil {
			begin, _ := strconv.Atoi(hour[1])
			length, err := strconv.Atoi(strings.TrimSuffix(r.String("rotation_rules.duration"), "h"))
			v.Want(err == nil && length >= 1 && begin+length <= 24,
				r.Address, "want a window that ends on the same day, have %v from %s", r.At("rotation_rules.duration"), schedule)
		}
		v.Want(r.Is("rotate_immediately", false), r.Address, "rotates the password when it is deployed")
	}
}
