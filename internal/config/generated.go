package config

import (
	"maps"
	"slices"
)

// GeneratedLength is the number of letters and digits of a generated secret. Django asks for 50,
// Phoenix for 64, Rails for 30.
// https://docs.djangoproject.com/en/5.2/ref/checks/#security
// https://hexdocs.pm/plug/Plug.Session.COOKIE.html
// https://api.rubyonrails.org/classes/Rails/Application.html#method-i-secret_key_base
const GeneratedLength = 64

// generatedName is a variable in upper case: the IDs of resources, which are in lower case, could not
// tell two names apart that differ in case only.
var generatedName = form("generated", `^[A-Z][A-Z0-9_]{0,99}$`)

// GeneratedVariables returns the variables that services list in generated, sorted.
func (c *Config) GeneratedVariables() []string {
	names := map[string]bool{}
	for _, s := range c.Services {
		for _, name := range s.Generated {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (c checker) generated(s Service) {
	environment, secrets := c.full("environment"), c.full("secrets")
	c.each("generated", s.Generated, func(c checker, name string) {
		c.variable(name, s)
		c.want(generatedName.MatchString(name), "",
			"want the name of a variable in upper case, such as SECRET_KEY_BASE, at most 100 characters, have %q", name)
		_, inEnvironment := s.Environment[name]
		_, inSecrets := s.Secrets[name]
		c.want(!inEnvironment, "", "duplicate variable, also in %s", environment)
		c.want(!inSecrets, "", "duplicate variable, also in %s", secrets)
	})
	c.unique("generated", s.Generated, "variable")
}
