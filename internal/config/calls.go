package config

import (
	"slices"
	"strconv"
	"strings"
)

// Domain returns the private DNS domain in which every service has a name.
func (c *Config) Domain() string { return c.Stack() + ".internal" }

// URLVariable returns the name of the variable that tells other services where to find a service. A
// dash of the service's name is an underscore there. No two services have the same variable.
func URLVariable(service string) string {
	return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_URL"
}

// URL returns where a service finds another one.
func (c *Config) URL(service string) string {
	return "http://" + service + "." + c.Domain() + ":" + strconv.Itoa(c.Services[service].Port)
}

func (c checker) calls(s Service) {
	own := c.path[strings.LastIndexByte(c.path, '.')+1:]
	environment, secrets, generated := c.full("environment"), c.full("secrets"), c.full("generated")
	c.each("calls", s.Calls, func(c checker, name string) {
		_, exists := c.cfg.Services[name]
		c.want(exists, "", "want the name of a service in this file, have %q", name)
		c.want(name != own, "", "want another service: a container reaches itself at localhost")
		variable := URLVariable(name)
		_, inEnvironment := s.Environment[variable]
		_, inSecrets := s.Secrets[variable]
		c.want(!inEnvironment, "", "the platform sets %s for this call: remove it from %s", variable, environment)
		c.want(!inSecrets, "", "the platform sets %s for this call: remove it from %s", variable, secrets)
		c.want(!slices.Contains(s.Generated, variable), "",
			"the platform sets %s for this call: remove it from %s", variable, generated)
	})
	c.unique("calls", s.Calls, "service")
}

// callers returns the number of services that call a service.
func (c *Config) callers(name string) (n int) {
	for _, s := range c.Services {
		if slices.Contains(s.Calls, name) {
			n++
		}
	}
	return n
}

func (w warner) calls(s Service) {
	for i, name := range s.Calls {
		other := w.cfg.Services[name]
		w.at("calls").warn(other.Tasks == 0 && !other.Scaled(), strconv.Itoa(i),
			"calls nothing: services.%s.tasks is 0", name)
	}
}
