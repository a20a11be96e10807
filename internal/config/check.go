package config

import (
	"slices"
	"strconv"
	"strings"

	"platform/internal/config/yaml"
)

// check reports the problems of a configuration: every setting from which the modules would create
// a stack that AWS rejects.
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
	c.dump()
	c.drill()
	c.templates()
}

// warn reports settings that AWS accepts but that were probably not intended, because of their cost
// or their risk.
func warn(cfg *Config, doc *Document) {
	w := warner{newPlace(cfg, doc)}
	w.platform()
	w.network()
	w.loadBalancer()
	w.services()
	w.database()
	w.monitoring()
	w.backup()
	w.dump()
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

// below returns the place of a key below this one.
func (p place) below(keys []string) place {
	p.path = p.full(yaml.Join("", keys...))
	return p
}

// checker reports problems.
type checker struct{ place }

// at returns a checker of a key below this one.
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

// unique reports duplicates in a list. The noun names an element in the message.
func (c checker) unique(key string, values []string, noun string) {
	for i, value := range values {
		first := !slices.Contains(values[:i], value)
		c.at(key, strconv.Itoa(i)).want(first, "", "duplicate %s %q", noun, value)
	}
}

// between reports a number that is not from low to high.
func (c checker) between(key string, value, low, high int) {
	c.want(value >= low && value <= high, key, "want %d to %d, have %d", low, high, value)
}

// templates reports texts that Terraform would evaluate. Environment variables may contain them,
// because the platform escapes those.
func (c checker) templates() {
	eachText(c.cfg, func(path, text string) {
		ok := environmentValue.MatchString(path) || !strings.Contains(text, "${") && !strings.Contains(text, "%{")
		c.want(ok, path, "must not contain ${ or %%{: Terraform would evaluate it as a template")
	})
}

// warner reports warnings.
type warner struct{ place }

// at returns a warner of a key below this one.
func (w warner) at(keys ...string) warner { return warner{w.below(keys)} }

// warn reports a warning for a key if the condition is true.
func (w warner) warn(condition bool, key, format string, args ...any) {
	path := w.full(key)
	if condition {
		w.doc.Warn(path, format, args...)
	}
}

// idle warns of keys that the file sets although they have no effect. The reason completes the
// sentence "has no effect".
func (w warner) idle(active bool, reason string, keys ...string) {
	for _, key := range keys {
		set := w.doc.Names(w.full(key))
		w.warn(!active && set, key, "has no effect %s", reason)
	}
}
