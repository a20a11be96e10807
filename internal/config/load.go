// Package config reads and checks the configuration file of one environment. [Config] has a field
// for every setting; a setting that the file does not contain has the default of its profile.
//
// Each section of the configuration file has a Go file here, such as route.go. From top to bottom,
// it contains the section's type, its defaults for both profiles, defaults that depend on other
// settings, checks and warnings. To add a setting, add a field, its default, its check and a case
// in testdata. The tables in docs/settings.md and the schema for editors are generated from the
// fields.
package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"platform/internal/config/yaml"
	"platform/internal/fileerror"
)

// Document is a configuration file with the positions of its settings, and its warnings.
type Document = yaml.Document

// Load reads and checks config/<environment>.yaml below root, and applies the INFRA_
// variables of environ, whose entries are NAME=value. The error lists every problem, one a line.
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
		return nil, nil, fmt.Errorf("%s: file not found for ENVIRONMENT=%s; environments in config/: %s",
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

// Parse reads and checks a text without variables. Errors name the file as file.
func Parse(file, environment string, text []byte) (*Config, error) {
	cfg, doc := read(file, environment, text, nil)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// Explained returns the text of an error for a person: each problem of a configuration is followed
// by the line of the file that causes it.
func Explained(err error) string { return yaml.Explained(err) }

// read decodes and checks the text of a file, with variables, by name, applied. The document has
// the problems.
func read(file, environment string, text []byte, variables map[string]string) (*Config, *Document) {
	p := readProfile(file, text, variables)
	cfg := defaultConfig(p)
	cfg.Environment = environment
	doc := yaml.Decode(file, text, &cfg, hooks(p))
	if doc.Readable() {
		cfg.inherit(doc, variables)
		override(&cfg, doc, variables)
		cfg.inherit(doc, nil)
		cfg.derive(doc)
		check(&cfg, doc)
		warn(&cfg, doc)
		cfg.once(doc)
	}
	return &cfg, doc
}

// readProfile reads only the profile, which decides all defaults. Its problems are reported when
// the whole file is read.
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

// derive sets the defaults that depend on other settings.
func (c *Config) derive(doc *Document) {
	c.deriveSingle(doc)
	c.deriveScaling(doc)
	c.derivePriorities()
	c.deriveAlarms(doc)
	c.deriveDatabase(doc)
	c.deriveDump(doc)
	c.deriveMonitoring(doc)
	c.deriveState()
}

// hooks tell the decoder what it must know about a configuration.
func hooks(p profile) yaml.Hooks {
	return yaml.Hooks{
		Element: func(path string) any {
			switch {
			case writableElement.MatchString(path):
				return writableDefaults()
			case egressElement.MatchString(path):
				return egressDefaults()
			case strings.HasPrefix(path, "services."):
				return serviceDefaults(p)
			case strings.HasPrefix(path, "database.restores."):
				return restoreDefaults()
			}
			return nil
		},
		Elsewhere: settingCalled,
		Instead:   insteadOf,
		Example:   exampleOf,
		Secret:    mayBeSecret.MatchString,
	}
}

// mayBeSecret matches the paths whose values may contain a secret, by mistake or not.
var mayBeSecret = regexp.MustCompile(
	`^services\.[^.]+\.(environment|secrets|secret_keys|entrypoint|command|health_check\.command|` +
		`database\.url_parameters)(\.|$)|^tags(\.|$)`)

// settingCalled returns the path of the setting with a key; "" if there is not exactly one.
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
