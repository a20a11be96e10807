package config

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What the values of environment variables tell about a service: the hosts that it probably connects
// to, and references that nothing replaces. A wrong guess costs a warning, so the patterns are strict.

var (
	// clientPort matches names of variables that tell a client which port to use.
	clientPort = regexp.MustCompile(`(?i)(^|_)(smtp|e?mail|redis|valkey|memcached?|amqp|rabbit(mq)?|kafka|mysql|` +
		`mariadb|mongo(db)?|clickhouse|elastic(search)?|opensearch|ldap|imap|sftp|ssh|temporal|nats|db|database|` +
		`postgres(ql)?|pg)_?port$`)
	portNumber = regexp.MustCompile(`^[0-9]{2,5}$`)
	hostName   = regexp.MustCompile(`^([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*$`)
	hostNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+){3}$`)
	localHost  = regexp.MustCompile(`^(localhost|127\..*|0\.0\.0\.0)$`)
	// reference matches what a shell, Docker Compose or Kubernetes would replace.
	reference = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|\(([A-Za-z_][A-Za-z0-9_]*)\))`)
)

// schemePorts are the ports of URLs that name none.
// https://www.iana.org/assignments/service-names-port-numbers
var schemePorts = map[string]int{
	"amqp": 5672, "amqps": 5671, "http": 80, "ldap": 389, "ldaps": 636, "mongodb": 27017, "mysql": 3306,
	"nats": 4222, "postgres": 5432, "postgresql": 5432, "redis": 6379, "rediss": 6379, "sftp": 22, "smtps": 465,
}

// endpoint is the port of another host in the value of a variable.
type endpoint struct {
	host string // "" if the value has only the port
	port int
}

// endpoints returns what the value of a variable seems to connect to, such as cache:6379,
// redis://cache or 587 in SMTP_PORT.
func endpoints(name, value string) (all []endpoint) {
	if portNumber.MatchString(value) && clientPort.MatchString(name) {
		port, _ := strconv.Atoi(value)
		return []endpoint{{port: port}}
	}
	separator := func(r rune) bool { return r == ',' || r == ';' || r == ' ' }
	for _, part := range strings.FieldsFunc(value, separator) {
		if e, ok := readEndpoint(part); ok && !localHost.MatchString(e.host) {
			all = append(all, e)
		}
	}
	return all
}

// readEndpoint reads host:port, :port, or a URL.
func readEndpoint(text string) (e endpoint, ok bool) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		rest = text
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	host, digits, hasPort := strings.Cut(rest, ":")
	host = strings.ToLower(host)
	port, _ := strconv.Atoi(digits)
	if isURL && !hasPort {
		port = schemePorts[strings.ToLower(scheme)]
	}
	valid := host == "" && !isURL || hostName.MatchString(host) || hostNumber.MatchString(host)
	// sidekiq:10 is no host with a port, and 12:30 neither.
	likely := port >= 1024 || strings.Contains(host, ".") || wellKnown(port)
	plausible := isURL || portNumber.MatchString(digits) && likely
	return endpoint{host, port}, valid && plausible && port > 0 && port <= 65535
}

func wellKnown(port int) bool {
	return port == 587 || slices.Contains(slices.Collect(maps.Values(schemePorts)), port)
}

// environment warns of values that do not work as they probably should.
func (w warner) environment(s Service) {
	for name, value := range inOrder(s.Environment) {
		w := w.at("environment", name)
		secret := secretWord.MatchString(name) && value != ""
		w.warn(secret, "", "looks like a secret: put it in Secrets Manager and its name in %s, "+
			"because the state and the console show this value", w.beside("secrets"))
		for _, e := range endpoints(name, value) {
			w.endpoint(s, e)
		}
		for _, found := range reference.FindAllStringSubmatch(value, -1) {
			w.reference(s, found[0], found[1]+found[2])
		}
	}
}

// beside returns the full path of a setting of the service whose variable w is about.
func (w warner) beside(key string) string {
	return strings.Split(w.path, ".environment.")[0] + "." + key
}

// endpoint warns of a connection that the security group blocks.
func (w warner) endpoint(s Service, e endpoint) {
	name, inside := strings.CutSuffix(e.host, "."+w.cfg.Domain())
	_, exists := w.cfg.Services[name]
	own := e.host == "" && (e.port == s.Port || s.Metrics.Enabled && e.port == s.Metrics.Port)
	database := s.UsesDatabase() && e.port == 5432 && (e.host == "" || strings.HasSuffix(e.host, ".rds.amazonaws.com"))
	switch {
	case own, database, s.opens(e.port) && !inside:
	case inside:
		w.warn(exists && !slices.Contains(s.Calls, name), "",
			"the tasks cannot connect to %s: list it in %s, which also sets %s",
			name, w.beside("calls"), URLVariable(name))
	default:
		w.warn(true, "", "the tasks cannot connect to other hosts on port %d: "+
			"if they have to, list it in %s", e.port, w.beside("egress"))
	}
}

// reference warns of a reference to a variable of the container.
func (w warner) reference(s Service, text, name string) {
	_, set := s.Environment[name]
	_, secret := s.Secrets[name]
	secret = secret || slices.Contains(s.Generated, name)
	ofDatabase := slices.Contains(databaseVariables, name)
	instead := "read " + name + " in the application, or build the value in a shell: " +
		"command: [sh, -c, 'export X=\"...$" + name + "...\"; exec ...']"
	if ofDatabase {
		instead = "name the variable in " + w.beside("database.variables") + ", or " + instead
	}
	if ofDatabase && !s.UsesDatabase() && !set && !secret {
		instead = "set " + w.beside("database.access") + " to get " + name + ", and " + instead
	}
	w.warn(set || secret || ofDatabase, "", "the container gets %s as it stands, because ECS replaces no variables: %s",
		text, instead)
}
