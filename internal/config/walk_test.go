package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestWalkVisitsEveryTextWithItsPath(t *testing.T) {
	t.Parallel()
	web := Service{
		Route:       Route{Headers: map[string][]string{"X": {"5"}}},
		Permissions: []Permission{{Actions: []string{"6"}}},
	}
	cfg := Config{
		Environment: "not in the file",
		Name:        "1",
		Tags:        map[string]string{"a.b": "2"},
		Network:     Network{Zones: []string{"3", "4"}},
		Services:    map[string]Service{"web": web},
	}
	got := map[string]string{}
	eachText(&cfg, func(path, text string) {
		if text != "" {
			got[path+"="+text] = ""
		}
	})
	want := []string{
		"name=1", "network.zones.0=3", "network.zones.1=4", "services.web.permissions.0.actions.0=6",
		"services.web.route.headers.X.0=5", "services.web.route.headers.X=X", "services.web=web",
		"tags.a.b=2", "tags.a.b=a.b",
	}
	if texts := slices.Sorted(maps.Keys(got)); !slices.Equal(texts, want) {
		t.Errorf("walked\n  %s\nwant\n  %s", strings.Join(texts, "\n  "), strings.Join(want, "\n  "))
	}
}

// keep stores a value in the configuration, also in nested maps.
func TestWalkCanSetScalars(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", full)
	eachScalar(cfg, func(n node) {
		if n.path == "services.web.scaling.schedules.night.min" {
			n.value.SetInt(2)
			n.keep()
		}
	})
	if got := cfg.Services["web"].Scaling.Schedules["night"].Min; got != 2 {
		t.Errorf("the minimum is %d, want 2", got)
	}
}
