package config

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// Service is one container that runs on Fargate.
type Service struct {
	// another service, whose container, size, variables and rights this one has where it sets no
	// others
	Like string `yaml:"like"`
	// container image with a tag or digest; required, except with like
	Image string `yaml:"image" allowed:"~image"`
	// secret with username and password of a private registry, as JSON: its name or ARN in Secrets
	// Manager; ECR needs none
	RegistrySecret string `yaml:"registry_secret" allowed:"~registry_secret"`
	// architecture of the image
	Architecture string `yaml:"architecture" allowed:"ARM64|X86_64"`
	// 1024 are one vCPU
	CPU int `yaml:"cpu" allowed:"within @cpu CPU units"`
	// must be a combination with cpu that Fargate supports
	Memory int `yaml:"memory" allowed:"within 512..122880 MiB"`
	// port that the container listens on, whatever its user
	Port int `yaml:"port" allowed:"1..65535"`
	// replaces the entrypoint of the image; then command is required
	Entrypoint []string `yaml:"entrypoint"`
	// replaces the command of the image
	Command []string `yaml:"command"`
	// numeric user ID in the container, or image for the user that the image names; 0 is root
	User string `yaml:"user" allowed:"~user"`
	// size of /tmp, which is in memory; with the folders of writable at most half of memory
	Scratch int `yaml:"scratch" allowed:"within 16..61440 MiB"`
	// folders that the container may write to besides /tmp
	Writable []Writable `yaml:"writable"`
	// disk of a task, for writable folders on disk and the image; 0: 20 GiB, which every task has
	Disk int `yaml:"disk" allowed:"0 or 21..200 GiB"`
	// run programs and load native libraries from /tmp and the writable folders in memory
	AllowExecution bool `yaml:"allow_execution"`
	// limit of open files and connections of a process; 0: Fargate's default
	OpenFiles int `yaml:"open_files" allowed:"0 or 1024..1048576"`
	// environment variables of the container
	Environment map[string]string `yaml:"environment"`
	// environment variables from Secrets Manager or Parameter Store, each with the name of a secret,
	// such as shop/stripe, the name of a parameter, such as /shop/stripe, or an ARN
	Secrets map[string]string `yaml:"secrets" allowed:"~secret"`
	// ARNs of the KMS keys that encrypt these secrets
	SecretKeys []string `yaml:"secret_keys" allowed:"~key"`
	// environment variables with a random value, which is made once and never changes; 64 letters and
	// digits; the same for all services that list the variable
	Generated []string `yaml:"generated" allowed:"~generated"`
	// IAM permissions of the application
	Permissions []Permission `yaml:"permissions"`
	// TCP ports out besides 443, which is open for every service; to other hosts, IPv4 only
	Egress []Egress `yaml:"egress"`
	// other services that the service calls over HTTP; sets NAME_URL for each
	Calls []string `yaml:"calls"`
	// use of the database; without access, the service cannot connect to it
	Database DatabaseAccess `yaml:"database"`
	// requests that the service receives; none without a condition
	Route Route `yaml:"route"`
	// health check by the load balancer
	HealthCheck HealthCheck `yaml:"health_check"`
	// limits of the alarms on requests
	Alarms Alarms `yaml:"alarms"`
	// metrics that Prometheus scrapes
	Metrics Metrics `yaml:"metrics"`
	// number of tasks; with automatic scaling, the minimum
	Tasks int `yaml:"tasks" allowed:"0..1000"`
	// never run two tasks at a time: a deployment stops the old task before it starts the new one
	Single bool `yaml:"single"`
	// automatic scaling
	Scaling Scaling `yaml:"scaling"`
	// use Fargate Spot: cheaper, but AWS can stop tasks with two minutes' notice
	Spot bool `yaml:"spot"`
	// allow ECS Exec: a shell in a running container
	Exec bool `yaml:"exec"`
	// create an ECR repository; a deployment fails if tasks need an image that it does not contain
	Repository bool `yaml:"repository"`
	// time between SIGTERM and SIGKILL
	StopTimeout int `yaml:"stop_timeout" allowed:"2..120 seconds"`
}

// HealthCheck configures the health check of the load balancer, and one in the container.
type HealthCheck struct {
	Path     string `yaml:"path" allowed:"~path"`
	Codes    string `yaml:"codes" allowed:"~codes"` // HTTP codes that count as healthy
	Interval int    `yaml:"interval" allowed:"5..300 seconds"`
	Timeout  int    `yaml:"timeout" allowed:"2..120 seconds"` // must be less than interval
	// successful checks in a row until a task receives requests
	HealthyThreshold int `yaml:"healthy_threshold" allowed:"2..10"`
	// failed checks in a row until a task is replaced
	UnhealthyThreshold int `yaml:"unhealthy_threshold" allowed:"2..10"`

	// time in which a new task may fail its checks
	GracePeriod int `yaml:"grace_period" allowed:"0..7200 seconds"`
	// additional check that runs in the container; for services without a route; a program with its
	// arguments, or in the form of ECS, which begins with CMD or CMD-SHELL
	Command []string `yaml:"command"`
	// time between two runs of command
	CommandInterval int `yaml:"command_interval" allowed:"5..300 seconds"`
	// time after which a run of command has failed
	CommandTimeout int `yaml:"command_timeout" allowed:"2..60 seconds"`
	// failed runs of command in a row until the task is replaced
	CommandRetries int `yaml:"command_retries" allowed:"1..10"`
}

// ContainerCommand returns the command in the form of ECS, whose first element says how to run the
// others: CMD as a program with its arguments, CMD-SHELL as a text for a shell.
func (h HealthCheck) ContainerCommand() []string {
	if len(h.Command) == 0 || h.Command[0] == "CMD" || h.Command[0] == "CMD-SHELL" {
		return h.Command
	}
	return append([]string{"CMD"}, h.Command...)
}

// Metrics says where Prometheus finds the metrics of a task.
type Metrics struct {
	Enabled bool `yaml:"enabled"` // scrape every task
	// if this is also port, the load balancer answers requests for path with 404
	Port int    `yaml:"port" allowed:"1024..65535"`
	Path string `yaml:"path" allowed:"~path"`
}

// DefaultImage is the image of the demonstration. It is pinned, public, built for both
// architectures, and in a registry without pull limits.
const DefaultImage = "public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim" +
	"@sha256:3af0c10d960cc2502427fe1219c52989d309e7d65596869c60a34fd2fa2406f0"

// serviceDefaults returns the defaults of a service, whatever its name.
func serviceDefaults(p profile) Service {
	return Service{
		Architecture: "ARM64",
		CPU:          pick(p, 256, 512),
		Memory:       pick(p, 512, 1024),
		Port:         8080,
		User:         "65532",
		Scratch:      64,
		Database:     accessDefaults(p),
		Route:        routeDefaults(p),
		HealthCheck:  healthCheckDefaults(),
		Alarms:       alarmsDefaults(p),
		Metrics:      Metrics{Port: 9090, Path: "/metrics"},
		Tasks:        pick(p, 1, 2),
		Scaling:      scalingDefaults(p),
		Spot:         pick(p, true, false),
		StopTimeout:  30,
	}
}

// demonstration returns the services of a file without services: a web server that receives every
// request and may use the database.
func demonstration(p profile) map[string]Service {
	web := serviceDefaults(p)
	web.Image = DefaultImage
	web.User = "101" // nginx in the default image
	web.Database.Access = "owner"
	web.Route.Paths = []string{"/*"}
	web.Scaling.Max = pick(p, 1, 6)
	return map[string]Service{"web": web}
}

func healthCheckDefaults() HealthCheck {
	return HealthCheck{
		Path: "/", Codes: "200-299", Interval: 15, Timeout: 5, HealthyThreshold: 2, UnhealthyThreshold: 3,
		GracePeriod:     60,
		CommandInterval: 30, CommandTimeout: 5, CommandRetries: 3,
	}
}

// HidesMetrics reports whether the load balancer must block requests for the service's metrics.
func (s Service) HidesMetrics() bool {
	return s.Routed() && s.Metrics.Enabled && s.Metrics.Port == s.Port
}

var (
	serviceName    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	imageReference = form("image", `^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+`+
		`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	userName     = form("user", `^(0|[1-9][0-9]{0,9}|image)$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	keyARN       = form("key", `^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]+$`)
	codes        = form("codes", `^[2-4][0-9]{2}(-[2-4][0-9]{2})?(,[2-4][0-9]{2}(-[2-4][0-9]{2})?)*$`)
	_            = form("path", `^/`)

	// environmentValue is the path of a variable of a container.
	environmentValue = regexp.MustCompile(`^services\.[^.]+\.environment\.`)
	// secretWord ends the names of variables that hold secrets.
	secretWord = regexp.MustCompile(
		`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|credentials?)$`)
)

const serviceNameLimit = 24

// Users of a container that are no numbers, or mean more than the number.
const (
	ImageUser = "image" // the user that the image names
	RootUser  = "0"
)

// credentialVariables are the environment variables for long-term AWS credentials.
var credentialVariables = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

// databaseVariables are libpq's environment variables, which the platform sets in the containers of
// services that use the database.
var databaseVariables = []string{
	"PGHOST", "PGPORT", "PGDATABASE", "PGSSLMODE", "PGUSER", "PGPASSWORD", "PGSSLROOTCERT",
}

func (c checker) services() {
	services := c.cfg.Services
	c = c.at("services")
	c.want(len(services) > 0, "", "want at least one service")
	for name, s := range inOrder(services) {
		c.want(serviceName.MatchString(name) && len(name) <= serviceNameLimit, name,
			"want a name of lower-case letters, digits and single dashes, starting with a letter, "+
				"at most %d characters",
			serviceNameLimit)
		c.at(name).like(name, s)
		c.at(name).service(s)
	}
	c.routes(services)
}

func (c checker) service(s Service) {
	if s.Image == "" {
		c.want(s.Like != "", "image", "is required: an image with a tag or digest%s", demonstrationHint(c.path))
	} else {
		c.image("image", s.Image)
	}
	c.size(s.CPU, s.Memory)
	c.container(s)
	c.want(s.Scratch >= 16 && s.Scratch <= s.Memory/2, "scratch",
		"want 16 to half of %s (%d), because files in /tmp use memory, have %d",
		c.full("memory"), s.Memory/2, s.Scratch)
	c.environment(s)
	c.secrets(s)
	c.registrySecret(s)
	c.generated(s)
	c.at("database").databaseAccess(s)
	c.permissions(s)
	c.egress(s)
	c.calls(s)
	c.route(s)
	c.at("health_check").healthCheck(s.HealthCheck)
	c.at("alarms").alarms(s)
	c.at("metrics").metrics(s)
	c.scaling(s)
	c.want(s.DefinitionSize() <= definitionLimit, "", "want a task definition of at most %d bytes, AWS's limit, "+
		"have about %d: shorten environment, secrets or command", definitionLimit, s.DefinitionSize())
}

// demonstrationHint returns what a message about a missing image says besides, for the service that
// has the name of the demonstration.
func demonstrationHint(path string) string {
	if path != "services.web" {
		return ""
	}
	return "; the service web of a file without services has image: " + DefaultImage +
		`, user: "101", database: {access: owner}, route: {paths: ["/*"]}`
}

// definitionLimit is AWS's limit on the size of a task definition in bytes.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const definitionLimit = 64 << 10

// DefinitionSize returns the size of the service's task definition in bytes, or a little more.
func (s Service) DefinitionSize() int {
	const platforms, certificates = 2800, 7300  // what the platform itself writes, and for a database
	const preparation, folderLength = 1200, 200 // the container that prepares folders, and their mounts
	const arnPrefix = 80                        // of a name, at most
	const registry = 120                        // with the secret of a private registry
	const generatedARN = 120 + 100              // at most, with the names of the stack and of the variable
	const urlLength = len("_URL") + len("http://..internal:65535") + stackNameLimit
	size := platforms
	if s.UsesDatabase() {
		size += certificates + s.Database.definitionSize()
	}
	if s.RegistrySecret != "" {
		size += registry + arnPrefix + len(s.RegistrySecret)
	}
	variable := len(`{"name":"","value":""},`)
	for name, value := range s.Environment {
		size += variable + len(name) + inJSON(value)
	}
	for name, reference := range s.Secrets {
		size += variable + len("From") + len(name) + arnPrefix + inJSON(reference)
	}
	for _, name := range s.Generated {
		size += variable + len("From") + len(name) + generatedARN
	}
	for _, name := range s.Calls {
		size += variable + 2*len(name) + urlLength
	}
	if len(s.Folders("disk")) > 0 {
		size += preparation
	}
	for _, w := range s.Writable {
		size += folderLength + 2*len(w.Path)
	}
	for _, argument := range slices.Concat(s.Entrypoint, s.Command, s.HealthCheck.Command) {
		size += len(`"",`) + inJSON(argument)
	}
	return size
}

// inJSON returns the length of a text in JSON, without its quotes, in which AWS's limit counts.
func inJSON(text string) int {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return len(text)
	}
	return out.Len() - len("\"\"\n")
}

func (c checker) environment(s Service) {
	for name := range inOrder(s.Environment) {
		c.at("environment", name).variable(name, s)
		c.want(!slices.Contains(credentialVariables, name), "environment."+name,
			"want %s or %s instead: everybody who can read the state can read this value",
			c.full("permissions"), c.full("secrets"))
	}
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
	c.want(variableName.MatchString(name), "",
		"want a name of letters, digits and underscores, not starting with a digit")
	c.want(!s.UsesDatabase() || !slices.Contains(databaseVariables, name), "",
		"reserved variable: the platform sets it for the database")
	ofECS := strings.HasPrefix(name, "ECS_") || strings.HasPrefix(name, "AWS_CONTAINER_") ||
		name == "AWS_EXECUTION_ENV"
	c.want(!ofECS, "", "reserved variable: ECS sets it")
}

func (c checker) healthCheck(h HealthCheck) {
	c.want(strings.HasPrefix(h.Path, "/") && len(h.Path) <= 1024, "path",
		"want a path that starts with /, at most 1024 characters, have %q", h.Path)
	valid := codes.MatchString(h.Codes)
	c.want(valid, "codes", "want HTTP codes such as 200-299 or 200,204, have %q", h.Codes)
	for one := range strings.SplitSeq(h.Codes, ",") {
		low, high, isRange := strings.Cut(one, "-")
		c.want(!valid || !isRange || low < high, "codes", "want a range that ends above its start, have %q", one)
	}
	if len(h.Command) > 0 {
		c.want(h.Command[0] != "NONE", "command",
			"want a program, have NONE: to have no check in the container, remove the key")
		c.healthCommand(h.ContainerCommand())
	}
	c.want(h.Timeout < h.Interval, "timeout",
		"want less than %s (%d), have %d", c.full("interval"), h.Interval, h.Timeout)
}

// healthCommand checks a container's health check in the form of ECS.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
func (c checker) healthCommand(command []string) {
	c.want(len(command) > 1 && command[1] != "", "command", "want a program after %s", command[0])
	c.want(command[0] != "CMD-SHELL" || len(command) <= 2, "command",
		"want one text after CMD-SHELL, which a shell runs, have %d; for a program with arguments, use CMD",
		len(command)-1)
}

func (c checker) metrics(s Service) {
	path := s.Metrics.Path
	c.want(strings.HasPrefix(path, "/"), "path", "want a path that starts with /, have %q", path)
	c.want(!s.HidesMetrics() || path != "/", "path",
		"want another path, because the load balancer blocks the metrics path, have /")
	c.want(!s.HidesMetrics() || path == "/" || pathPattern.MatchString(path) && len(path+"/*") <= 128, "path",
		"want letters without accents, digits and %s, at most 126, because a rule of the load balancer blocks "+
			"the metrics path, have %q", pathCharacters, path)
}

// image checks the reference of a container's image.
func (c checker) image(key, image string) {
	registry, _, _ := strings.Cut(image, "/")
	name := image[strings.LastIndexByte(image, '/')+1:]
	reference := imageReference.MatchString(image) && strings.Contains(registry, ".")
	pinned := strings.Contains(name, ":") || strings.Contains(image, "@")
	latest := strings.HasSuffix(image, ":latest")
	reachable := c.cfg.Network.NAT != "none" || strings.HasSuffix(registry, ".dkr.ecr."+c.cfg.Region+".amazonaws.com")

	c.want(reference, key, "want registry/name:tag, such as %s, have %q", exampleImage(image), image)
	c.want(!reference || pinned, key, "want a tag or digest, have %q", image)
	c.want(!reference || !latest, key, "want an immutable tag or a digest, not :latest, have %q", image)
	c.want(!reference || !pinned || latest || reachable, key, "want an image in ECR in %s: "+
		"with network.nat: none, tasks reach no other registry, have %q", c.cfg.Region, image)
}

// dockerHub matches a name of an image in Docker Hub, where docker run looks for images without a
// registry: nginx, grafana/grafana:1.
var dockerHub = regexp.MustCompile(`^([a-z0-9_-]+/)?[a-z0-9_-]+(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})?$`)

// exampleImage returns an image for a message about an invalid one: the image in Docker Hub that is
// probably meant, or the default image.
func exampleImage(image string) string {
	if !dockerHub.MatchString(image) {
		example, _, _ := strings.Cut(DefaultImage, "@")
		return example
	}
	if !strings.Contains(image, "/") {
		image = "library/" + image
	}
	image = strings.TrimSuffix(image, ":latest")
	if !strings.ContainsAny(image, ":@") {
		image += ":1.2.3"
	}
	return "docker.io/" + image
}

// registryImage is an image in ECR: its account, region and repository. The host has one of the
// forms of ECR: with IPv4, dual-stack, and each with FIPS.
// https://docs.aws.amazon.com/general/latest/gr/ecr.html
var registryImage = regexp.MustCompile(
	`^([0-9]{12})\.dkr(?:\.ecr|-ecr)(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com|on\.aws)/([^:@]+)`)

// RepositoryOf returns the ARN of an image's repository in ECR, and its name; false if it is in
// another registry.
func RepositoryOf(image string) (arn, name string, found bool) {
	parts := registryImage.FindStringSubmatch(image)
	if parts == nil {
		return "", "", false
	}
	return "arn:aws:ecr:" + parts[2] + ":" + parts[1] + ":repository/" + parts[3], parts[3], true
}

// ImageVersion returns what identifies an image in its repository: a digest, or a tag if the
// reference has no digest. With both, a runtime pulls by digest and does not look at the tag.
func ImageVersion(image string) (tag, digest string) {
	name, digest, _ := strings.Cut(image, "@")
	if digest != "" {
		return "", digest
	}
	_, tag, _ = strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":")
	return tag, ""
}

// RepositoryOwner returns the service whose repository in this stack an image is in, and the
// account of the image, which may be another one if the file names none; false if the image is not
// in a repository of this stack.
func (c *Config) RepositoryOwner(image string) (service, account string, found bool) {
	parts := registryImage.FindStringSubmatch(image)
	if parts == nil || parts[2] != c.Region || c.Account != "" && parts[1] != c.Account {
		return "", "", false
	}
	service, found = strings.CutPrefix(parts[3], c.Stack()+"/")
	return service, parts[1], found && c.Services[service].Repository
}

// Imported reports whether an image comes through one of the pull-through caches.
func (c *Config) Imported(image string) bool {
	_, name, found := RepositoryOf(image)
	return found && slices.ContainsFunc(c.PullThroughCache, func(prefix string) bool {
		return strings.HasPrefix(name, prefix+"/")
	})
}

// usualPrefixes are those that AWS's documentation suggests for pull-through cache rules.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html
var usualPrefixes = []string{"docker-hub", "ecr-public", "github", "gitlab", "kubernetes", "quay"}

// image warns of an image that looks as if it came through a cache that the file does not name.
func (w warner) image(key, image string) {
	_, name, _ := RepositoryOf(image)
	prefix, _, _ := strings.Cut(name, "/")
	w.warn(slices.Contains(usualPrefixes, prefix) && !w.cfg.Imported(image), key,
		"looks like an image of a pull-through cache, whose first pull ECR denies to the task: "+
			"list %s in pull_through_cache", prefix)
}

// size checks the CPU units and the memory of a task.
func (c checker) size(cpu, memory int) {
	sizes, known := fargateMemory[cpu]
	c.want(known, "cpu", "want 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units, have %d", cpu)
	c.want(!known || sizes.include(memory), "memory",
		"want %s with %s %d, have %d", sizes, c.full("cpu"), cpu, memory)
}

// ruleQuota is the default quota of rules in a security group, for each direction.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const ruleQuota = 60

func (w warner) services() {
	routed, scraped, most := 0, 0, 0
	for name, s := range w.cfg.Services {
		// Besides its callers, the load balancer and Prometheus are let in.
		most = max(most, s.egressRules(w.cfg.Network), w.cfg.callers(name)+2)
		routed += map[bool]int{true: 1}[s.Routed()]
		scraped += map[bool]int{true: 1}[w.cfg.Scraped(s)]
	}
	// Besides, the database function is let in, as the tasks that dump and restore; and tasks of
	// Prometheus out to HTTPS and to endpoints.
	database := len(w.cfg.DatabaseServices()) + 1 + 2*len(w.cfg.PlatformUsers())
	most = max(most, routed, scraped+2, database)
	w.warn(most > ruleQuota, "services", "need a security group with %d rules, and AWS allows %d by default: "+
		"request a higher quota (L-0EA8095F) first", most, ruleQuota)
	w.unmatched()
	unused := len(w.cfg.DatabaseServices()) == 0 && !w.doc.Names(w.full("database.enabled"))
	w.warn(unused, "services", "no service uses the database: set database of each service that needs it, such as "+
		"database: {access: owner}, or database.enabled: false if none does")
	for name, s := range inOrder(w.cfg.Services) {
		w.at("services", name).service(s)
	}
}

func (w warner) service(s Service) {
	w.idle(s.Metrics.Enabled, "while "+w.full("metrics.enabled")+" is false", "metrics.port", "metrics.path")
	w.warn(s.Metrics.Enabled && !w.cfg.Scraped(s), "metrics.enabled",
		"nothing reads the metrics while monitoring.prometheus.enabled is false")
	w.idle(s.Routed(), "without a route", "health_check.path", "health_check.codes", "health_check.interval",
		"health_check.timeout", "health_check.healthy_threshold", "health_check.unhealthy_threshold",
		"alarms.latency", "alarms.errors")
	w.idle(len(s.HealthCheck.Command) > 0, "without "+w.full("health_check.command"), "health_check.command_interval",
		"health_check.command_timeout", "health_check.command_retries")
	w.idle(s.Routed() || len(s.HealthCheck.Command) > 0, "without a route or "+w.full("health_check.command"),
		"health_check.grace_period")
	w.warn(len(s.HealthCheck.Command) > 0 && s.HealthCheck.GracePeriod > 300, "health_check.grace_period",
		"failures of the check in the container count after 300 seconds, the most that ECS supports, not after %d",
		s.HealthCheck.GracePeriod)
	w.at("database").databaseAccess(s)
	w.idle(len(s.Secrets) > 0 || s.RegistrySecret != "", "without "+w.full("secrets"), "secret_keys")
	w.image("image", s.Image)
	w.route(s)
	w.scaling(s)
	w.environment(s)
	w.calls(s)
	w.warn(w.cfg.Production() && s.Spot, "spot",
		"AWS can stop Spot tasks with two minutes' notice; want false")
	w.container(s)
	w.warn(w.cfg.Production() && s.Tasks == 1 && !s.Single, "tasks",
		"a single task means an outage whenever AWS replaces it or its zone fails; want 2")
}
