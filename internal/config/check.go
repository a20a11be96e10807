package config

import (
	"platform/internal/config/yaml"
	"slices"
	"strconv"
	"strings"
)

// check reports what is wrong with a configuration: all that keeps the modules from making what AWS
// accepts.
func check(cfg *Config, doc *Document) {
	c := checker{newPlace(cfg, doc)}
	c.allowed()
	c.platform()
	c.network()
	c.loadBalancer()
	c.services()
	c.database()
	c.monitoring()
	c.backup()
	c.templates()
}

// warn reports what AWS accepts and a person would want to know before paying for it or relying on
// it.
func warn(cfg *Config, doc *Document) {
	w := warner{newPlace(cfg, doc)}
	w.platform()
	w.network()
	w.loadBalancer()
	w.services()
	w.database()
	w.monitoring()
}

// place is a path of a configuration. The keys of its methods are relative to it; "" is the path
// itself.
type place struct {
	cfg   *Config
	doc   *Document
	path  string
	known map[string]bool // the paths of the configuration, in tests
}

// unknownPath is called with a path that matches no setting, which is a misspelt key in this
// package. Only tests set it.
var unknownPath func(path string)

func newPlace(cfg *Config, doc *Document) place {
	p := place{cfg: cfg, doc: doc}
	if unknownPath != nil {
		p.known = paths(cfg)
	}
	return p
}

// full returns the path of a key.
func (p place) full(key string) string {
	path := p.path
	if key != "" {
		path = yaml.Join(path, key)
	}
	if unknownPath != nil && !p.known[path] {
		unknownPath(path)
	}
	return path
}

// below returns the place of what is below.
func (p place) below(keys []string) place {
	p.path = p.full(yaml.Join("", keys...))
	return p
}

// checker reports problems.
type checker struct{ place }

// at returns a checker of what is below.
func (c checker) at(keys ...string) checker { return checker{c.below(keys)} }

// want reports a problem of a key unless ok.
func (c checker) want(ok bool, key, format string, args ...any) {
	path := c.full(key)
	if !ok {
		c.doc.Add(path, format, args...)
	}
}

// each checks every element of a list of texts.
func (c checker) each(key string, values []string, check func(c checker, value string)) {
	for i, value := range values {
		check(c.at(key, strconv.Itoa(i)), value)
	}
}

// unique wants no text in a list twice. The noun says what the texts are.
func (c checker) unique(key string, values []string, noun string) {
	for i, value := range values {
		first := !slices.Contains(values[:i], value)
		c.at(key, strconv.Itoa(i)).want(first, "", "want each %s once, %q is there already", noun, value)
	}
}

// between wants a number from low to high.
func (c checker) between(key string, value, low, high int) {
	c.want(value >= low && value <= high, key, "want %d to %d, have %d", low, high, value)
}

// templates refuses what Terraform would evaluate. Environment variables may hold it: they are
// escaped.
func (c checker) templates() {
	eachText(c.cfg, func(path, text string) {
		ok := environmentValue.MatchString(path) || !strings.Contains(text, "${") && !strings.Contains(text, "%{")
		c.want(ok, path, "may not contain ${ or %%{, which Terraform takes for an expression")
	})
}

// warner reports warnings.
type warner struct{ place }

// at returns a warner of what is below.
func (w warner) at(keys ...string) warner { return warner{w.below(keys)} }

// warn reports a warning of a key on a condition.
func (w warner) warn(condition bool, key, format string, args ...any) {
	path := w.full(key)
	if condition {
		w.doc.Warn(path, format, args...)
	}
}

// idle warns of keys that the file sets to no effect, unless they are active. The reason completes
// the sentence.
func (w warner) idle(active bool, reason string, keys ...string) {
	for _, key := range keys {
		set := w.doc.Names(w.full(key))
		w.warn(!active && set, key, "has no effect %s", reason)
	}
}
