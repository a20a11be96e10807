package config_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"platform/internal/config"
	"platform/internal/configtest"
)

var (
	settingLine = regexp.MustCompile(`^config/dev\.yaml:[0-9]+:[0-9]+: ([a-z_]+[A-Za-z0-9._ <>:/-]*): .`)
	element     = regexp.MustCompile(`\.(web|api|job)\b|\.[0-9]+\b`) // of a map or a list
)

// A random file is either a configuration that is also valid by the schema for editors, or has
// problems that each name a setting.
func TestRandomConfigurationsAreAcceptedOrRejectedWithReasons(t *testing.T) {
	t.Parallel()
	g, compiled := configtest.NewGenerator(t), configtest.CompiledSchema(t, schema(t))
	valid, invalid, named := 0, 0, map[string]bool{}
	for i := range randomFiles {
		text := g.File(t, float64(i%3)*0.02)
		cfg, err := config.Parse("config/dev.yaml", "dev", text)
		if err != nil {
			invalid++
			for line := range strings.SplitSeq(err.Error(), "\n") {
				parts := settingLine.FindStringSubmatch(line)
				if parts == nil {
					t.Errorf("seed %d: a line names no setting: %s\n%s", g.Seed, line, text)
					continue
				}
				named[element.ReplaceAllString(parts[1], "")] = true
			}
			continue
		}
		valid++
		if err := configtest.Fits(compiled, text); err != nil {
			t.Errorf("seed %d: the schema rejects a valid file: %v\n%s", g.Seed, err, text)
		}
		// The configuration, written out in full, is read as the same configuration.
		full, err := yaml.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse("config/dev.yaml", "dev", full)
		if err != nil || fmt.Sprintf("%+v", *again) != fmt.Sprintf("%+v", *cfg) {
			t.Errorf("seed %d: %v\n%s\nis read as\n%+v\nand that as\n%+v", g.Seed, err, text, cfg, again)
		}
	}
	t.Logf("seed %d: %d valid, %d invalid; problems of %d settings", g.Seed, valid, invalid, len(named))
	if valid < randomFiles/4 || invalid < randomFiles/4 || len(named) < 50 {
		t.Errorf("seed %d: only %d valid and %d invalid, problems of %d settings", g.Seed, valid, invalid, len(named))
	}
}

// The number of random configurations. It is larger with the build tag e2e, which only make test
// sets.
var randomFiles = 400
