package configtest

import (
	"reflect"
	"testing"

	"platform/internal/config"
)

func TestValuesOfRandomConfigurationsBelongToSettings(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	var walk func([]Setting)
	walk = func(settings []Setting) {
		for _, s := range settings {
			known[s.Path] = true
			walk(s.Children)
		}
	}
	walk(SettingsOf(nil, "", reflect.TypeFor[config.Config]()))
	g := NewGenerator(t)
	if len(g.choices) == 0 {
		t.Error("values.yaml is empty")
	}
	for path, c := range g.choices {
		if !known[path] {
			t.Errorf("values.yaml: %s matches no setting", path)
		}
		if len(c.Valid) == 0 || len(c.Invalid) == 0 {
			t.Errorf("values.yaml: %s wants valid and invalid values", path)
		}
	}
}
