package config

import "testing"

func TestScalingMaximumFollowsTheTasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service string
		want    int
	}{
		"no tasks and no maximum":             {"", 1},
		"more tasks than the default maximum": {"tasks: 9", 9},
		"a maximum in the file":               {"tasks: 2, scaling: {max: 7}", 7},
		"zero tasks":                          {"tasks: 0, scaling: {max: 0}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "dev", minimal+"services: {web: {image: 'quay.io/x/y:1', "+c.service+"}}\n")
			if got := cfg.Services["web"].Scaling.Max; got != c.want {
				t.Errorf("is %d, want %d", got, c.want)
			}
		})
	}
}
