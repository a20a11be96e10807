// Package configtest describes the settings of a configuration and draws random configurations, for
// tests.
package configtest

import (
	_ "embed"
	"flag"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"platform/internal/config"
)

// choices are the values from which a setting is drawn: values that are valid by themselves, and
// invalid ones.
type choices struct {
	Valid   []any `yaml:"valid"`
	Invalid []any `yaml:"invalid"`
}

//go:embed values.yaml
var values []byte

// Generator draws random configurations. The seed decides which.
type Generator struct {
	Seed     uint64
	random   *rand.Rand
	settings []Setting
	choices  map[string]choices // of the settings in values.yaml, by path
}

// seedFlag has a fixed default, so that the result of a commit does not change. With -seed=0, the
// seed is random; failures print it.
var seedFlag = flag.Uint64("seed", 1, "draws the random configurations; 0 for others each time")

// Seed returns the seed of the flag -seed.
func Seed() uint64 {
	if *seedFlag == 0 {
		return rand.Uint64()
	}
	return *seedFlag
}

// NewGenerator returns a generator whose seed is [Seed].
func NewGenerator(t *testing.T) *Generator {
	t.Helper()
	seed, listed := Seed(), map[string]choices{}
	if err := yaml.Unmarshal(values, &listed); err != nil {
		t.Fatal(err)
	}
	return &Generator{
		Seed:     seed,
		random:   rand.New(rand.NewPCG(seed, 0)),
		settings: SettingsOf(nil, "", reflect.TypeFor[config.Config]()),
		choices:  listed,
	}
}

// File returns a configuration file with some of the settings, each invalid with the given
// probability.
func (g *Generator) File(t *testing.T, wrong float64) []byte {
	t.Helper()
	random := g.random
	file := g.drawSome(g.settings, wrong)
	file["name"], file["region"] = "shop", "eu-central-1" // otherwise few files would be valid
	if file["profile"] == "production" && random.IntN(4) > 0 {
		file["state"] = map[string]any{"bucket": "states"}
		file["load_balancer"] = map[string]any{"domain": "shop.example.com", "hosted_zone": "example.com"}
	}
	services := map[string]any{}
	for _, name := range []string{"web", "api", "job"}[:random.IntN(4)] {
		for _, s := range g.settings {
			if s.Path == "services" {
				services[name] = g.drawSome(s.Children, wrong)
			}
		}
		if random.IntN(8) > 0 {
			services[name].(map[string]any)["image"] = "quay.io/x/" + name + ":1"
		}
	}
	if len(services) > 0 {
		file["services"] = services
	}
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Valid returns a valid configuration and its file.
func (g *Generator) Valid(t *testing.T) (*config.Config, []byte) {
	t.Helper()
	for range 10_000 {
		text := g.File(t, 0)
		if cfg, err := config.Parse("config/dev.yaml", "dev", text); err == nil {
			return cfg, text
		}
	}
	t.Fatalf("seed %d: no valid configuration in 10,000", g.Seed)
	return nil, nil
}

// drawSome returns values for some of the settings.
func (g *Generator) drawSome(settings []Setting, wrong float64) map[string]any {
	file := map[string]any{}
	for _, s := range settings {
		key := s.Path[strings.LastIndexByte(s.Path, '.')+1:]
		switch {
		case g.random.IntN(4) > 0 || s.Path == "services": // services are drawn separately
		case s.Kind.Kind() == reflect.Struct:
			file[key] = g.drawSome(s.Children, wrong)
		default:
			file[key] = g.draw(s, g.random.Float64() < wrong)
		}
	}
	return file
}

// draw returns a value for a setting: a valid one, or one that is not.
func (g *Generator) draw(s Setting, invalid bool) any {
	from, listed := g.choices[s.Path]
	a := s.Allowed
	switch {
	case listed:
	case s.Kind.Kind() == reflect.Bool:
		from = choices{Valid: []any{true, false}, Invalid: []any{"yes", 1}}
	case a.Numbered:
		from.Valid = []any{a.Low, a.High, a.Low + g.random.IntN(a.High-a.Low+1)}
		from.Invalid = []any{a.Low - 1, a.High + 1, "1", 1.5}
		if a.OrZero {
			from.Invalid = []any{a.Low - 1, a.High + 1}
		}
	case len(a.Values) > 0:
		for _, value := range a.Values {
			if n, err := strconv.Atoi(value); err == nil && s.Kind.Kind() == reflect.Int {
				from.Valid = append(from.Valid, n)
			} else {
				from.Valid = append(from.Valid, value)
			}
		}
		from.Invalid = []any{"nonsense", -3}
	default:
		panic("nothing to draw " + s.Path + " from")
	}
	list := from.Valid
	if invalid {
		list = from.Invalid
	}
	return list[g.random.IntN(len(list))]
}
