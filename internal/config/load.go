// Package config reads and checks the file of one environment. [Config] is everything that a file
// can say; what it does not say has the default of its profile.
//
// A section of the file is one Go file here, such as route.go, from top to bottom: its type, its
// defaults for both profiles, what follows from other settings, its checks, its warnings. A new
// setting is a field there, its default, its check and a case in testdata; the README's table and
// the schema for editors are made from them.
package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"platform/internal/config/yaml"
	"platform/internal/fileerror"
	"regexp"
	"slices"
	"strings"
)

// Document is a configuration file: where it says what, and its warnings.
type Document = yaml.Document

// Load reads and checks config/<environment>.yaml below root, with the variables of environ,
// entries NAME=value, over it. The error has every problem, each on a line of its own.
func Load(root, environment string, environ []string) (*Config, *Document, error) {
	if !environmentName.MatchString(environment) {
		return nil, nil, fmt.Errorf("ENVIRONMENT=%q: "+
			"want a name of lower-case letters, digits and dashes, such as dev", environment)
	}
	strict, err := readStrict(environ)
	if err != nil {
		return nil, nil, err
	}
	file := "config/" + environment + ".yaml"
	text, err := os.ReadFile(filepath.Join(root, file))
	if os.IsNotExist(err) {
		return nil, nil, fmt.Errorf("%s: there is no such file: ENVIRONMENT=%s names it, and there is %s",
			file, environment, environments(root))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: cannot be read: %v", file, fileerror.Reason(err))
	}
	cfg, doc := read(file, environment, text, infraVariables(environ))
	err = doc.Err()
	if err == nil && strict {
		err = doc.WarningsErr()
	}
	if err != nil {
		return nil, nil, err
	}
	return cfg, doc, nil
}

// Parse reads and checks a text without variables; file is the name in its errors.
func Parse(file, environment string, text []byte) (*Config, error) {
	cfg, doc := read(file, environment, text, nil)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Explained returns an error's text for a person: after each problem of a configuration comes the
// line that it is about.
func Explained(err error) string { return yaml.Explained(err) }

// read decodes and checks a file's text, with variables, by name, over it. The problems are in the
// document.
func read(file, environment string, text []byte, variables map[string]string) (*Config, *Document) {
	p := readProfile(file, text, variables)
	cfg := defaultConfig(p)
	cfg.Environment = environment
	doc := yaml.Decode(file, text, &cfg, hooks(p))
	if doc.Readable() {
		override(&cfg, doc, variables)
		cfg.derive(doc)
		check(&cfg, doc)
		warn(&cfg, doc)
	}
	return &cfg, doc
}

// readProfile reads the profile alone, which decides the defaults of everything else. Its problems
// are reported when the whole file is read.
func readProfile(file string, text []byte, variables map[string]string) profile {
	var first struct {
		Profile string `yaml:"profile"`
	}
	yaml.Decode(file, text, &first, yaml.Hooks{})
	if cmp.Or(variables[variableOf("profile")], first.Profile) == ProfileProduction {
		return ProfileProduction
	}
	return ProfileDevelopment
}

// derive fills what follows from other settings, unless the file says otherwise.
func (c *Config) derive(doc *Document) {
	c.deriveScaling(doc)
	c.deriveDatabase()
	c.deriveState()
}

// hooks tell the decoder what it has to know of a configuration.
func hooks(p profile) yaml.Hooks {
	return yaml.Hooks{
		Element: func(path string) any {
			if name, ok := strings.CutPrefix(path, "services."); ok {
				return serviceDefaults(name, p)
			}
			if strings.HasPrefix(path, "database.restores.") {
				return restoreDefaults()
			}
			return nil
		},
		Elsewhere: settingCalled,
		Secret:    mayBeSecret.MatchString,
	}
}

// mayBeSecret are the paths at and below which a secret may be, by mistake or not.
var mayBeSecret = regexp.MustCompile(
	`^services\.[^.]+\.(environment|secrets|secret_keys|command|health_check\.command)(\.|$)|^tags(\.|$)`)

// settingCalled returns the path of the only setting with a key; "" if there is none, or another
// one.
func settingCalled(key string) string {
	found := map[string]bool{}
	cfg := defaultConfig(ProfileDevelopment)
	eachScalar(&cfg, func(n node) {
		for path := n.path; path != ""; path = yaml.Parent(path) {
			if path[strings.LastIndexByte(path, '.')+1:] == key {
				found[path] = true
			}
		}
	})
	if len(found) != 1 {
		return ""
	}
	return slices.Collect(maps.Keys(found))[0]
}

// environments lists the environments that have a file, for an error message.
func environments(root string) string {
	files, _ := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	if len(files) == 0 {
		return "none"
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	return strings.Join(files, ", ")
}
