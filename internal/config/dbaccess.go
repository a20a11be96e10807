package config

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// DatabaseAccess configures how a service uses the database.
type DatabaseAccess struct {
	// permissions of the service's database users; owner may also create and alter tables
	Access string `yaml:"access" allowed:"none|read|write|owner"`
	// another database on the instance; the platform creates it, and only the services that name it can
	// connect; default: database.name
	Name string `yaml:"name" allowed:"~service_database"`
	// environment variables of the application's own for parts of the connection
	Variables map[string]string `yaml:"variables" allowed:"host|port|name|user|password|url|jdbc_url"`
	// parameters at the end of url and jdbc_url
	URLParameters string `yaml:"url_parameters" allowed:"~url_parameters"`
	// maximum number of connections of all tasks together; a deployment doubles the tasks
	Connections int `yaml:"connections" allowed:"1..5000"`
	// time after which PostgreSQL cancels a statement, those of migrations included; 0: never
	QueryTimeout int `yaml:"query_timeout" allowed:"0..3600000 milliseconds"`
}

// CertificateFile is where a container that uses the database finds RDS's certificates.
const CertificateFile = "/certificates/rds.pem"

func accessDefaults(p profile) DatabaseAccess {
	return DatabaseAccess{
		Access:        "none",
		URLParameters: "sslmode=verify-full&sslrootcert=" + CertificateFile,
		Connections:   pick(p, 20, 100),
		QueryTimeout:  60_000,
	}
}

// UsesDatabase reports whether the service has a user in the database.
func (s Service) UsesDatabase() bool { return s.Database.Access != "none" }

// DatabaseOf returns the name of the database that a service uses.
func (c *Config) DatabaseOf(s Service) string { return cmp.Or(s.Database.Name, c.Database.Name) }

// FurtherDatabases returns the databases besides database.name that services use, in order.
func (c *Config) FurtherDatabases() []string {
	names := map[string]bool{}
	for _, service := range c.DatabaseServices() {
		names[c.DatabaseOf(c.Services[service])] = true
	}
	delete(names, c.Database.Name)
	return slices.Sorted(maps.Keys(names))
}

// Query returns the parameters as they end a URL, with the question mark; "" without parameters.
func (d DatabaseAccess) Query() string {
	if d.URLParameters == "" {
		return ""
	}
	return "?" + d.URLParameters
}

// HasURL reports whether the service's secret needs a URL.
func (d DatabaseAccess) HasURL() bool { return d.has("url") }

// has reports whether a variable has one of the parts of the connection.
func (d DatabaseAccess) has(parts ...string) bool {
	for _, part := range d.Variables {
		if slices.Contains(parts, part) {
			return true
		}
	}
	return false
}

// definitionSize returns how many bytes the variables take in the task definition, or a little more.
func (d DatabaseAccess) definitionSize() (size int) {
	const secretLength, addressLength = 150, 100 // of a reference to a secret, and of host, port and name
	for name, part := range d.Variables {
		size += len(`{"name":"","valueFrom":""},`) + len(name)
		switch part {
		case "user", "password", "url":
			size += secretLength
		case "jdbc_url":
			size += addressLength + len(d.URLParameters)
		default:
			size += addressLength
		}
	}
	if d.HasURL() {
		size += addressLength + len(d.URLParameters) // the label
	}
	return size
}

// A further database has a shorter name than database.name may have: the names of its roles end in it.
var serviceDatabase = form("service_database", `^([a-z][a-z0-9_]{0,39})?$`)

var urlParameters = form("url_parameters",
	`^([A-Za-z][A-Za-z0-9_.]*=[A-Za-z0-9_.~/:,%+-]*(&[A-Za-z][A-Za-z0-9_.]*=[A-Za-z0-9_.~/:,%+-]*)*)?$`)

// connectionParameters are the parameters that would change who connects, or where to.
var connectionParameters = []string{
	"dbname", "host", "hostaddr", "passfile", "password", "port", "service", "servicefile", "sslpassword", "user",
}

func (c checker) databaseAccess(s Service) {
	d := s.Database
	c.want(c.cfg.Database.Enabled || !s.UsesDatabase(), "access",
		"want none, because database.enabled is false, have %s", d.Access)
	for name := range inOrder(d.Variables) {
		c := c.at("variables", name)
		c.variable(name, s)
		_, plain := s.Environment[name]
		_, secret := s.Secrets[name]
		taken := plain || secret || slices.Contains(s.Generated, name) ||
			slices.ContainsFunc(s.Calls, func(called string) bool { return URLVariable(called) == name })
		c.want(!taken, "", "duplicate variable: the service has it from environment, secrets, generated or calls too")
	}
	reserved := slices.Contains(DatabaseWords, d.Name) || strings.HasPrefix(d.Name, "pg_")
	c.want(serviceDatabase.MatchString(d.Name) && !reserved || d.Name == c.cfg.Database.Name, "name",
		"want lower-case letters, digits and underscores, at most 40, starting with a letter but not with pg_, and no "+
			"word that PostgreSQL or RDS reserves, have %q", d.Name)
	valid := urlParameters.MatchString(d.URLParameters) && len(d.URLParameters) <= 200
	c.want(valid, "url_parameters", "want parameters such as sslmode=verify-full&connect_timeout=5, "+
		"of letters, digits and _.~/:,%%+-, at most 200 characters")
	for parameter := range strings.SplitSeq(d.URLParameters, "&") {
		key, _, _ := strings.Cut(parameter, "=")
		c.want(!valid || !slices.Contains(connectionParameters, strings.ToLower(key)), "url_parameters",
			"want no parameter %s: the platform says who connects, and where to", key)
	}
}

// unverified matches parameters with which a client may encrypt without looking at the certificate.
var (
	unverified = regexp.MustCompile(`(^|&)sslmode=(disable|allow|prefer|require|no-verify)(&|$)`)
	verified   = regexp.MustCompile(`(^|&)(sslaccept=strict|sslrootcert=[^&]+)(&|$)`)
)

func (w warner) databaseAccess(s Service) {
	d := s.Database
	w.idle(s.UsesDatabase(), "while "+w.full("access")+" is none", "name", "variables", "connections", "query_timeout")
	w.idle(d.has("url", "jdbc_url"), "without url or jdbc_url in "+w.full("variables"), "url_parameters")
	w.warn(unverified.MatchString(d.URLParameters) && !verified.MatchString(d.URLParameters), "url_parameters",
		"clients do not verify that they are connected to the database: use sslmode=verify-full, or what the "+
			"client has instead")
}
