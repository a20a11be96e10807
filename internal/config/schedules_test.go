package config_test

import (
	"testing"

	"platform/internal/config"
	"platform/internal/configtest"
)

func TestSchedulesAreValidatedAsInAWS(t *testing.T) {
	t.Parallel()
	for text, want := range configtest.Schedules {
		if have := config.IsCron(text) || config.IsRate(text); have != want {
			t.Errorf("the configuration may say %s: %v", text, have)
		}
	}
}
