package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Service is one container that runs on Fargate.
type Service struct {
	// with a tag or digest; required but for web
	Image string `yaml:"image" allowed:"~image"`
	// the image's
	Architecture string `yaml:"architecture" allowed:"ARM64|X86_64"`
	// 1024 to a vCPU
	CPU int `yaml:"cpu" allowed:"within @cpu CPU units"`
	// in the pairs with cpu that Fargate has
	Memory int `yaml:"memory" allowed:"within 512..122880 MiB"`
	// the container listens on, as another user than root
	Port int `yaml:"port" allowed:"1024..65535"`
	// instead of the image's own
	Command []string `yaml:"command"`
	// numeric user id in the container, never 0
	User string `yaml:"user" allowed:"~user"`
	// of memory under /tmp, the only place that can be written; at most half of memory
	Scratch int `yaml:"scratch" allowed:"within 16..61440 MiB"`
	// variables of the container
	Environment map[string]string `yaml:"environment"`
	// variables from Secrets Manager or Parameter Store, by ARN
	Secrets map[string]string `yaml:"secrets" allowed:"~secret"`
	// ARNs of the KMS keys that those secrets are encrypted with
	SecretKeys []string `yaml:"secret_keys" allowed:"~key"`
	// what the application itself may do in AWS
	Permissions []Permission `yaml:"permissions"`
	// what it may do there, with a user of its own; owner also makes and alters tables
	Database string `yaml:"database" allowed:"none|read|write|owner"`
	// to the database, at the most
	Connections int `yaml:"connections" allowed:"1..5000"`
	// after which a statement is cancelled; 0: never
	QueryTimeout int `yaml:"query_timeout" allowed:"0..3600000 milliseconds"`
	// which requests it gets; none, without any condition
	Route Route `yaml:"route"`
	// what the balancer asks each task
	HealthCheck HealthCheck `yaml:"health_check"`
	// where a task tells Prometheus how it is
	Metrics Metrics `yaml:"metrics"`
	// how many run; where scaling may add some, the least
	Tasks int `yaml:"tasks" allowed:"0..1000"`
	// bounds of automatic scaling
	Scaling Scaling `yaml:"scaling"`
	// spare capacity: cheaper, may be taken away at two minutes' notice
	Spot bool `yaml:"spot"`
	// allow a shell in the running container
	Exec bool `yaml:"exec"`
	// make an image repository; until it holds an image keep tasks at 0
	Repository bool `yaml:"repository"`
	// between SIGTERM and SIGKILL
	StopTimeout int `yaml:"stop_timeout" allowed:"2..120 seconds"`
}

// Permission is one statement of a service's own policy.
type Permission struct {
	Actions   []string `yaml:"actions"`   // by their names, such as s3:GetObject
	Resources []string `yaml:"resources"` // by their ARNs
}

// HealthCheck is the request by which the load balancer finds out whether a task works.
type HealthCheck struct {
	Path     string `yaml:"path" allowed:"~path"`
	Codes    string `yaml:"codes" allowed:"~codes"` // HTTP codes that count as healthy
	Interval int    `yaml:"interval" allowed:"5..300 seconds"`
	Timeout  int    `yaml:"timeout" allowed:"2..120 seconds"` // less than interval

	// in which a new task may fail its checks
	GracePeriod int `yaml:"grace_period" allowed:"0..7200 seconds"`
	// run in the container besides, where its image has it; for services without a route
	Command []string `yaml:"command"`
}

// Metrics says where Prometheus finds the metrics of a task.
type Metrics struct {
	Enabled bool `yaml:"enabled"` // scrape every task
	// if it is the traffic port, the balancer answers 404 for the path
	Port int    `yaml:"port" allowed:"1024..65535"`
	Path string `yaml:"path" allowed:"~path"`
}

// DefaultImage is the image of the service web in a file that names no service: pinned, public, for
// both architectures, from a registry without pull limits.
const DefaultImage = "public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim" +
	"@sha256:3af0c10d960cc2502427fe1219c52989d309e7d65596869c60a34fd2fa2406f0"

// serviceDefaults returns what a service starts from. The one called web is the common case: a file
// that names no service has it, with a route for every path and the database.
func serviceDefaults(name string, p profile) Service {
	s := Service{
		Architecture: "ARM64",
		CPU:          pick(p, 256, 512),
		Memory:       pick(p, 512, 1024),
		Port:         8080,
		User:         "65532",
		Scratch:      64,
		Database:     "none",
		Connections:  pick(p, 20, 100),
		QueryTimeout: 60_000,
		Route:        routeDefaults(p),
		HealthCheck:  HealthCheck{Path: "/", Codes: "200-299", Interval: 15, Timeout: 5, GracePeriod: 60},
		Metrics:      Metrics{Port: 9090, Path: "/metrics"},
		Tasks:        pick(p, 1, 2),
		Scaling:      scalingDefaults(p),
		Spot:         pick(p, true, false),
		StopTimeout:  30,
	}
	if name == "web" {
		s.Image = DefaultImage
		s.User = "101" // nginx in the default image
		s.Database = "owner"
		s.Route.Priority, s.Route.Paths = 1000, []string{"/*"}
		s.Scaling.Max = pick(p, 1, 6)
	}
	return s
}

// UsesDatabase tells whether the service has a user in the database.
func (s Service) UsesDatabase() bool { return s.Database != "none" }

// HidesMetrics tells whether the load balancer has to keep the service's metrics from the public.
func (s Service) HidesMetrics() bool {
	return s.Routed() && s.Metrics.Enabled && s.Metrics.Port == s.Port
}

var (
	serviceName    = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	imageReference = form("image", `^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+`+
		`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	numericUser  = form("user", `^[1-9][0-9]{0,9}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretARN    = form("secret", `^arn:aws:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:\S+`+
		`|ssm:[a-z0-9-]+:[0-9]{12}:parameter/\S+)$`)
	keyARN     = form("key", `^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]+$`)
	actionName = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	codes      = form("codes", `^[2-4][0-9]{2}([-,][2-4][0-9]{2})*$`)
	_          = form("path", `^/`)

	// environmentValue is the path of a variable of a container.
	environmentValue = regexp.MustCompile(`^services\.[^.]+\.environment\.`)
	// secretWord ends the names of variables that hold secrets.
	secretWord = regexp.MustCompile(
		`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$`)
)

const serviceNameLimit = 16

// platformNames are security groups of the platform's own; a service of the same name would need a
// second one.
var platformNames = []string{"database", "endpoints", "prometheus"}

// credentialVariables are the variables in which programs look for AWS credentials that last.
var credentialVariables = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

// databaseVariables are set by the platform in every container that has the database; all are
// libpq's own.
var databaseVariables = []string{
	"PGHOST", "PGPORT", "PGDATABASE", "PGSSLMODE", "PGUSER", "PGPASSWORD", "PGSSLROOTCERT",
}

func (c checker) services() {
	services := c.cfg.Services
	c = c.at("services")
	c.want(len(services) > 0, "", "want at least one service")
	for name, s := range inOrder(services) {
		c.want(serviceName.MatchString(name) && len(name) <= serviceNameLimit, name,
			"want a name of lower-case letters and digits, a letter first, at most %d long", serviceNameLimit)
		c.want(!slices.Contains(platformNames, name), name,
			"want another name, since %s are the platform's own", strings.Join(platformNames, ", "))
		c.at(name).service(s)
	}
	c.routes(services)
}

func (c checker) service(s Service) {
	if s.Image == "" {
		c.want(false, "image", "is required: an image with a tag or digest")
	} else {
		c.image("image", s.Image)
	}
	c.size(s.CPU, s.Memory)
	c.want(numericUser.MatchString(s.User), "user", "want a numeric user id in quotes, not 0, have %q", s.User)
	c.want(s.Scratch >= 16 && s.Scratch <= s.Memory/2, "scratch",
		"want 16 to half of %s (%d), since it counts as memory, have %d", c.full("memory"), s.Memory/2, s.Scratch)
	c.environment(s)
	c.secrets(s)
	c.permissions(s)
	c.route(s)
	c.at("health_check").healthCheck(s.HealthCheck)
	c.at("metrics").metrics(s)
	c.scaling(s)
}

func (c checker) environment(s Service) {
	for name := range inOrder(s.Environment) {
		c.at("environment", name).variable(name, s)
		c.want(!slices.Contains(credentialVariables, name), "environment."+name,
			"want %s instead, or %s: what stands here is in the state for all to read",
			c.full("permissions"), c.full("secrets"))
	}
}

func (c checker) secrets(s Service) {
	region := c.cfg.Region
	for name, reference := range inOrder(s.Secrets) {
		secret, valid := c.at("secrets", name), secretARN.MatchString(reference)
		secret.variable(name, s)
		secret.want(valid, "", "want the ARN of a secret or parameter, never the secret itself")
		secret.want(!valid || regionOf(reference) == region, "",
			"want one in %s, where ECS looks for it, have one in %s", region, regionOf(reference))
		_, both := s.Environment[name]
		secret.want(!both, "", "is in %s too", c.full("environment"))
	}
	c.each("secret_keys", s.SecretKeys, func(c checker, key string) {
		valid := keyARN.MatchString(key)
		c.want(valid, "", "want the ARN of a KMS key, never a key itself")
		c.want(!valid || regionOf(key) == region, "",
			"want one in %s, as the secrets, have one in %s", region, regionOf(key))
	})
}

// regionOf returns the region in an ARN; "" if there is none.
func regionOf(arn string) string {
	parts := strings.Split(arn, ":")
	if len(parts) < 4 {
		return ""
	}
	return parts[3]
}

// variable checks the name of a container's variable.
func (c checker) variable(name string, s Service) {
	c.want(variableName.MatchString(name), "", "want a name of letters, digits and underscores")
	c.want(!s.UsesDatabase() || !slices.Contains(databaseVariables, name), "",
		"is set by the platform for the database")
	ofECS := strings.HasPrefix(name, "ECS_") || strings.HasPrefix(name, "AWS_CONTAINER_") ||
		name == "AWS_EXECUTION_ENV"
	c.want(!ofECS, "", "is set by ECS")
}

func (c checker) permissions(s Service) {
	for i, p := range s.Permissions {
		c := c.at("permissions", strconv.Itoa(i))
		c.want(len(p.Actions) > 0 && len(p.Resources) > 0, "", "want actions and resources, at least one of each")
		c.each("actions", p.Actions, func(c checker, action string) {
			c.want(actionName.MatchString(action), "",
				"want each action by its name, such as s3:GetObject, without *, have %q", action)
		})
		c.each("resources", p.Resources, func(c checker, resource string) {
			c.want(strings.HasPrefix(resource, "arn:"), "", "want ARNs, have %q", resource)
		})
	}
}

func (c checker) healthCheck(h HealthCheck) {
	c.want(strings.HasPrefix(h.Path, "/"), "path", "want a path that begins with /, have %q", h.Path)
	c.want(codes.MatchString(h.Codes), "codes", "want HTTP codes such as 200-299 or 200,204, have %q", h.Codes)
	c.want(h.Timeout < h.Interval, "timeout",
		"want less than %s (%d), have %d", c.full("interval"), h.Interval, h.Timeout)
}

func (c checker) metrics(s Service) {
	path := s.Metrics.Path
	c.want(strings.HasPrefix(path, "/"), "path", "want a path that begins with /, have %q", path)
	c.want(!s.HidesMetrics() || path != "/", "path",
		"want a path of its own, since the balancer hides it from the internet, have /")
}

// image checks the reference of a container's image.
func (c checker) image(key, image string) {
	registry, _, _ := strings.Cut(image, "/")
	name := image[strings.LastIndexByte(image, '/')+1:]
	reference := imageReference.MatchString(image) && strings.Contains(registry, ".")
	pinned := strings.Contains(name, ":") || strings.Contains(image, "@")
	latest := strings.HasSuffix(image, ":latest")
	reachable := c.cfg.Network.NAT != "none" || strings.HasSuffix(registry, ".dkr.ecr."+c.cfg.Region+".amazonaws.com")

	c.want(reference, key, "want registry/name:tag, "+
		"such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have %q", image)
	c.want(!reference || pinned, key, "want a tag or digest, have %q", image)
	c.want(!reference || !latest, key, "want a tag that stays what it is, or a digest, have %q", image)
	c.want(!reference || !pinned || latest || reachable, key, "want an image in ECR of %s: "+
		"with network.nat none no other registry is reached, have %q", c.cfg.Region, image)
}

// size checks the CPU units and the memory of a task.
func (c checker) size(cpu, memory int) {
	sizes, known := fargateMemory[cpu]
	c.want(known, "cpu", "want 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units, have %d", cpu)
	c.want(!known || sizes.include(memory), "memory",
		"want %s with %s %d, have %d", sizes, c.full("cpu"), cpu, memory)
}

func (w warner) services() {
	for name, s := range inOrder(w.cfg.Services) {
		w.at("services", name).service(s)
	}
}

func (w warner) service(s Service) {
	w.idle(s.Metrics.Enabled, "while "+w.full("metrics.enabled")+" is false", "metrics.port", "metrics.path")
	w.idle(s.Routed(), "without a route", "health_check.path", "health_check.codes", "health_check.interval",
		"health_check.timeout", "health_check.grace_period")
	w.idle(s.UsesDatabase(), "while "+w.full("database")+" is none", "connections", "query_timeout")
	w.idle(len(s.Secrets) > 0, "without "+w.full("secrets"), "secret_keys")
	w.route(s)
	w.scaling(s)
	for name, value := range inOrder(s.Environment) {
		w.warn(secretWord.MatchString(name) && value != "", "environment."+name, "sounds like a secret: put it in "+
			"Secrets Manager and its ARN in %s, since the state and the console show what stands here",
			w.full("secrets"))
	}
	w.warn(w.cfg.Production() && s.Spot, "spot",
		"AWS takes such tasks away when it needs the room, with two minutes' notice")
	w.warn(w.cfg.Production() && s.Tasks == 1, "tasks",
		"a single task is an outage whenever it is replaced by AWS or its zone fails: want 2")
}
