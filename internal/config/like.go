package config

import (
	"reflect"
	"slices"
	"strings"

	"platform/internal/config/yaml"
)

// A service that is like another one has its container: what runs, with how much CPU and memory, with
// which variables and rights. Each setting of Service is in one of these two lists, by its key.
var (
	// sharedSettings are what a second process of the same application needs too.
	sharedSettings = []string{
		"image", "registry_secret", "architecture", "cpu", "memory", "port", "entrypoint", "command", "user", "scratch",
		"writable",
		"disk", "allow_execution", "open_files", "environment", "secrets", "secret_keys", "generated", "permissions",
		"egress", "calls", "database", "stop_timeout",
	}
	// ownSettings say how many tasks there are, who reaches them and who watches them.
	ownSettings = []string{
		"like", "route", "health_check", "alarms", "metrics", "tasks", "single", "scaling", "spot", "exec",
		"repository",
	}
)

// inherit gives each service that is like another one what it does not set itself. It is called
// before the variables, so that they can set what is inherited, and after them, because they may
// set what others inherit.
func (c *Config) inherit(doc *Document, variables map[string]string) {
	for name, s := range c.Services {
		path := "services." + name
		if like := variables[variableOf(path+".like")]; like != "" {
			s.Like = like
		}
		from, valid := c.likeOf(name, s.Like)
		if !valid {
			continue
		}
		h := heir{doc, path}
		h.settings(reflect.ValueOf(&s).Elem(), reflect.ValueOf(from))
		if !h.sets("calls") {
			s.Calls = slices.DeleteFunc(s.Calls, func(called string) bool { return called == name })
		}
		c.Services[name] = s
	}
}

// likeOf returns the service that a service is like; false if it is like none, or may not be.
func (c *Config) likeOf(name, like string) (Service, bool) {
	from, found := c.Services[like]
	return from, found && like != name && from.Like == ""
}

// heir is a service that inherits.
type heir struct {
	doc  *Document
	path string
}

// sets reports whether the file or a variable sets a key of the service, or something below it.
func (h heir) sets(key string) bool { return h.doc.NamesBelow(yaml.Join(h.path, key)) }

// settings copies the shared settings of a service that this one does not set.
func (h heir) settings(to, from reflect.Value) {
	for field, value := range to.Fields() {
		if key := field.Tag.Get("yaml"); slices.Contains(sharedSettings, key) {
			h.setting(key, value, from.FieldByName(field.Name))
		}
	}
}

// setting copies one setting: the keys of a map and of a section one by one, others as a whole.
func (h heir) setting(key string, to, from reflect.Value) {
	switch to.Kind() {
	case reflect.Struct:
		for field, value := range to.Fields() {
			h.setting(yaml.Join(key, field.Tag.Get("yaml")), value, from.FieldByName(field.Name))
		}
	case reflect.Map:
		if from.Len() > 0 && to.IsNil() {
			to.Set(reflect.MakeMap(to.Type()))
		}
		for _, name := range from.MapKeys() {
			if !h.setsVariable(key, name.String()) {
				to.SetMapIndex(name, cloned(from.MapIndex(name)))
			}
		}
	default:
		if !h.sets(key) {
			to.Set(cloned(from))
		}
	}
}

// cloned returns a copy of a value whose lists are its own: a variable that sets an element of one
// does not set it in the other service.
func cloned(from reflect.Value) reflect.Value {
	to := reflect.New(from.Type()).Elem()
	to.Set(from)
	switch from.Kind() {
	case reflect.Struct:
		for i := range from.NumField() {
			to.Field(i).Set(cloned(from.Field(i)))
		}
	case reflect.Slice:
		if from.Len() > 0 {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		}
		for i := range from.Len() {
			to.Index(i).Set(cloned(from.Index(i)))
		}
	}
	return to
}

// setsVariable reports whether the service sets an element of a map, or the variable of the
// container in another map.
func (h heir) setsVariable(key, name string) bool {
	variable := slices.Contains(variableMaps, key) && slices.ContainsFunc(variableMaps, func(key string) bool {
		return h.sets(yaml.Join(key, name))
	})
	return variable || h.sets(yaml.Join(key, name))
}

// variableMaps are the settings whose keys are variables of the container.
var variableMaps = []string{"environment", "secrets", "database.variables"}

// inherited returns the path of the setting from which another one has its value; false if the
// setting is not inherited.
func (c *Config) inherited(doc *Document, path string) (from, like string, ok bool) {
	parts := strings.SplitN(path, ".", 4)
	if len(parts) < 3 || parts[0] != "services" || !slices.Contains(sharedSettings, parts[2]) || doc.NamesBelow(path) {
		return "", "", false
	}
	like = c.Services[parts[1]].Like
	parts[1], like = like, parts[1]
	_, ok = c.likeOf(like, parts[1])
	return strings.Join(parts, "."), parts[1], ok
}

// origin returns where the value of a setting comes from.
func (c *Config) origin(doc *Document, path string) string {
	byDefault := "default (" + c.Profile + ")"
	if from, like, ok := c.inherited(doc, path); ok {
		return doc.Origin(from, byDefault) + ", like " + like
	}
	return doc.Origin(path, byDefault)
}

func (c checker) like(name string, s Service) {
	if s.Like == "" {
		return
	}
	other, found := c.cfg.Services[s.Like]
	c.want(found, "like", "want the name of a service in this file, have %q", s.Like)
	c.want(s.Like != name, "like", "want another service")
	c.want(s.Like == name || other.Like == "", "like",
		"want a service that is not like another one itself, such as %s, have %q", other.Like, s.Like)
}

// once removes the problems and warnings of inherited settings that are those of the service which
// they come from.
func (c *Config) once(doc *Document) {
	doc.Remove(func(p yaml.Problem, all []yaml.Problem) bool {
		from, _, ok := c.inherited(doc, p.Path)
		if !ok {
			return false
		}
		own, other := servicePath(p.Path), servicePath(from)
		return slices.ContainsFunc(all, func(q yaml.Problem) bool {
			return q.Path == from && q.Message == strings.ReplaceAll(p.Message, own+".", other+".")
		})
	})
}

// servicePath returns the path of the service that a path is in.
func servicePath(path string) string { return serviceKey.FindString(path) }
