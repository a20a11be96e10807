package config

import "testing"

func TestScalingMaximumFollowsTheTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service string
		want    int
	}{
		"nothing said":         {"{}", 1},
		"tasks beyond it":      {"{tasks: 9}", 9},
		"a maximum of its own": {"{tasks: 2, scaling: {max: 7}}", 7},
		"no task at all":       {"{tasks: 0, scaling: {max: 0}}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "dev", minimal+"services: {web: "+c.service+"}\n")
			if got := cfg.Services["web"].Scaling.Max; got != c.want {
				t.Errorf("is %d, want %d", got, c.want)
			}
		})
	}
}
