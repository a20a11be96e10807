package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/config/yaml"
)

// A check or a warning with a path that matches no setting fails every test of this package.
func init() {
	unknownPath = func(path string) { panic("a check names " + path + ", which matches no setting") }
}

func TestMisspeltPathInACheckIsReported(t *testing.T) {
	t.Parallel()
	cfg, doc := read("config/test.yaml", "test", []byte(minimal), nil)
	for path, use := range map[string]func(place){
		"nam":                    func(p place) { checker{p}.want(true, "nam", "") },
		"network.zone":           func(p place) { checker{p}.at("network").want(false, "zone", "") },
		"services.wbe":           func(p place) { checker{p}.at("services", "wbe") },
		"services.web.rout":      func(p place) { checker{p}.at("services", "web", "rout") },
		"network.zones.7":        func(p place) { checker{p}.at("network").want(true, "zones.7", "") },
		"network.zone.0":         func(p place) { checker{p}.at("network").unique("zone", []string{"a"}, "zone") },
		"backup.max_ages":        func(p place) { checker{p}.at("backup").between("max_ages", 1, 0, 2) },
		"protect":                func(p place) { warner{p}.warn(false, "protect", "") },
		"load_balancer.sources2": func(p place) { warner{p}.at("load_balancer").idle(true, "", "sources", "sources2") },
	} {
		t.Run(path, func(t *testing.T) {
			defer func() {
				if got, want := fmt.Sprint(recover()), " "+path+","; !strings.Contains(got, want) {
					t.Errorf("got %q, want it to name %s", got, path)
				}
			}()
			use(newPlace(cfg, doc))
		})
	}
}

// free are settings that accept any text.
var free = regexp.MustCompile(`^(tags\.Team|database\.parameters\.work_mem|services\.web\.` +
	`(environment|command|health_check\.command|route\.headers|permissions\.0\.resources)\b.*)$`)

// Each setting gets invalid values in turn, and a problem must name the setting.
func TestInvalidValuesOfEverySettingAreReported(t *testing.T) {
	t.Parallel()
	plain, said := overridden(full, nil)
	if len(said) > 0 {
		t.Fatal(said)
	}
	original, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	found, tried := map[string]int{}, map[string]int{}
	eachScalar(plain, func(n node) {
		for _, wrong := range wrongValues(n) {
			problems := problemsWith(t, original, n.path, wrong)
			tried[n.path]++
			if names(problems, n.path) {
				found[n.path]++
			} else if !free.MatchString(n.path) {
				t.Errorf("%s = %v: says %v", n.path, wrong, problems)
			}
		}
	})
	allFound, allTried := 0, 0
	for _, path := range slices.Sorted(maps.Keys(tried)) {
		allFound, allTried = allFound+found[path], allTried+tried[path]
		t.Logf("%-50s %d of %d", path, found[path], tried[path])
	}
	if allTried < 400 || len(tried) < 80 {
		t.Errorf("only %d values of %d settings were tried", allTried, len(tried))
	}
	t.Logf("%d of %d wrong values found, in %d settings", allFound, allTried, len(tried))
}

// wrongValues returns invalid values of the type of a setting.
func wrongValues(n node) (values []any) {
	switch n.value.Kind() {
	case reflect.Int:
		numbers := []int{-1, 1 << 40}
		a := ReadAllowed(n.tag)
		if a.Numbered {
			numbers = append(numbers, a.Low-1, a.High+1)
		}
		for _, number := range numbers {
			if !a.OrZero || number != 0 {
				values = append(values, number)
			}
		}
	case reflect.Float64:
		values = []any{-1.0, 1e8}
		if !strings.HasSuffix(n.path, ".alarms.latency") { // 0 is none
			values = append(values, 0.0)
		}
	case reflect.String:
		for _, text := range []string{
			"hunter 2", "${x}", "?", "arn:aws:iam::123456789012:user/x", "-1", strings.Repeat("x", 400),
		} {
			values = append(values, text)
		}
	}
	return values
}

// problemsWith returns the problems of a configuration, in JSON, with another value at a path.
func problemsWith(t *testing.T, original []byte, path string, value any) []yaml.Problem {
	var cfg Config
	if err := json.Unmarshal(original, &cfg); err != nil {
		t.Fatal(err)
	}
	eachScalar(&cfg, func(n node) {
		if n.path == path {
			n.value.Set(reflect.ValueOf(value))
			n.keep()
		}
	})
	doc := yaml.Decode("config/test.yaml", nil, &Config{}, yaml.Hooks{})
	doc.SetBy("INFRA_TEST", path)
	cfg.derive(doc)
	check(&cfg, doc)
	return doc.Problems()
}

// names reports whether a problem has or mentions a path. A problem may be reported for another
// setting that conflicts with this one, or for the section that contains it.
func names(problems []yaml.Problem, path string) bool {
	return slices.ContainsFunc(problems, func(p yaml.Problem) bool {
		return strings.Contains(p.Path+" "+p.Message, path) || p.Path != "" && strings.HasPrefix(path, p.Path+".")
	})
}
