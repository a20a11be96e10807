package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // time zones are checked, also on a machine that has no list of them
)

// Config is everything that can be said about one environment: what config/<environment>.yaml holds, over the defaults of
// its profile. Every module is given the whole of it. Durations and sizes carry their unit in the field's comment.
type Config struct {
	Environment string `yaml:"-"` // the file's name without .yaml; in names and tags, never in construct ids

	Name      string            `yaml:"name"`      // of the application; with the environment it names everything
	Region    string            `yaml:"region"`    // AWS region
	Account   string            `yaml:"account"`   // 12 digits; if given, deploying to any other account is refused
	Profile   string            `yaml:"profile"`   // development or production: which defaults and which rules
	Protected bool              `yaml:"protected"` // data, keys and balancer refuse to be destroyed
	Tags      map[string]string `yaml:"tags"`      // added to every resource

	LogRetention int `yaml:"log_retention"` // days, of every log group

	State        StateConfig              `yaml:"state"`
	Network      NetworkConfig            `yaml:"network"`
	LoadBalancer LoadBalancerConfig       `yaml:"load_balancer"`
	Services     map[string]ServiceConfig `yaml:"services"`
	Database     DatabaseConfig           `yaml:"database"`
	Monitoring   MonitoringConfig         `yaml:"monitoring"`
	Backup       BackupConfig             `yaml:"backup"`
}

// StateConfig says where Terraform keeps its state.
type StateConfig struct {
	Backend string `yaml:"backend"` // local or s3
	Bucket  string `yaml:"bucket"`  // s3: an existing bucket
	Region  string `yaml:"region"`  // s3: of that bucket; default the stack's
}

// NetworkConfig shapes the VPC.
type NetworkConfig struct {
	CIDR      string   `yaml:"cidr"`      // /16 to /22, private; a zone's blocks follow from its letter
	Zones     []string `yaml:"zones"`     // letters of the region's zones, 2 to 6; a single NAT gateway stands in the first
	NAT       string   `yaml:"nat"`       // none, single or per-zone
	Endpoints []string `yaml:"endpoints"` // interface endpoints by AWS's short name, such as ecr.api
}

// LoadBalancerConfig shapes the one way in.
type LoadBalancerConfig struct {
	Domain              string         `yaml:"domain"`                // name under which the application is reached; needs hosted_zone
	HostedZone          string         `yaml:"hosted_zone"`           // public Route 53 zone in which domain's records are made
	CertificateARN      string         `yaml:"certificate_arn"`       // an existing certificate instead of one made for domain
	AllowHTTP           bool           `yaml:"allow_http"`            // production: serve plain HTTP on purpose
	Sources             []string       `yaml:"sources"`               // CIDR blocks that may connect
	IdleTimeout         int            `yaml:"idle_timeout"`          // seconds
	AccessLogsRetention int            `yaml:"access_logs_retention"` // days
	Firewall            FirewallConfig `yaml:"firewall"`
}

// FirewallConfig is the web application firewall before the balancer.
type FirewallConfig struct {
	Enabled   bool     `yaml:"enabled"`
	RateLimit int      `yaml:"rate_limit"` // requests in five minutes from one address
	CountOnly []string `yaml:"count_only"` // rules of AWS's common set that only count, since they block real uploads and logins
}

// ServiceConfig is one container run on Fargate.
type ServiceConfig struct {
	Image        string            `yaml:"image"`        // with a tag or digest
	Architecture string            `yaml:"architecture"` // ARM64 or X86_64
	CPU          int               `yaml:"cpu"`          // CPU units, 1024 to a vCPU
	Memory       int               `yaml:"memory"`       // MiB
	Port         int               `yaml:"port"`         // the container listens on; 1024 or above, since it is not root
	Command      []string          `yaml:"command"`      // instead of the image's own
	User         string            `yaml:"user"`         // numeric user id in the container; never 0
	Scratch      int               `yaml:"scratch"`      // MiB of memory under /tmp, the only place that can be written
	Environment  map[string]string `yaml:"environment"`
	Secrets      map[string]string `yaml:"secrets"`     // variable: ARN in Secrets Manager or Parameter Store
	SecretKeys   []string          `yaml:"secret_keys"` // ARNs of the KMS keys that those secrets are encrypted with
	Permissions  []Permission      `yaml:"permissions"` // what the application itself may do in AWS
	Database     string            `yaml:"database"`    // none or owner
	Route        RouteConfig       `yaml:"route"`       // without any condition the service has no route
	HealthCheck  HealthCheckConfig `yaml:"health_check"`
	Metrics      MetricsConfig     `yaml:"metrics"`
	Tasks        int               `yaml:"tasks"` // how many run; where scaling may add some, the least
	Scaling      ScalingConfig     `yaml:"scaling"`
	Spot         bool              `yaml:"spot"`         // spare capacity, cheaper, may be taken away at two minutes' notice
	Exec         bool              `yaml:"exec"`         // allow a shell in the running container
	Repository   bool              `yaml:"repository"`   // make an image repository; until it holds an image keep tasks at 0
	StopTimeout  int               `yaml:"stop_timeout"` // seconds between SIGTERM and SIGKILL, at most 120
}

// Permission is one statement of a service's own policy.
type Permission struct {
	Actions   []string `yaml:"actions"`
	Resources []string `yaml:"resources"`
}

// RouteConfig says which requests the balancer hands to a service. All conditions given must hold.
type RouteConfig struct {
	Priority          int                 `yaml:"priority"` // 1 to 49999, lowest first, unique
	Paths             []string            `yaml:"paths"`
	Hosts             []string            `yaml:"hosts"`
	Headers           map[string][]string `yaml:"headers"`
	Sources           []string            `yaml:"sources"`            // CIDR blocks
	DeregistrationLag int                 `yaml:"deregistration_lag"` // seconds an ending task keeps its open requests
	SlowStart         int                 `yaml:"slow_start"`         // seconds, 0 (off) or 30 to 900
}

// HealthCheckConfig is what the balancer asks each task.
type HealthCheckConfig struct {
	Path        string `yaml:"path"`
	Codes       string `yaml:"codes"`        // HTTP codes that count as healthy, such as 200-299
	Interval    int    `yaml:"interval"`     // seconds
	Timeout     int    `yaml:"timeout"`      // seconds
	GracePeriod int    `yaml:"grace_period"` // seconds in which a new task may fail its checks
	// Command is run in the container besides; for services without a route, and images that have what it calls.
	Command []string `yaml:"command"`
}

// MetricsConfig says where a task tells Prometheus how it is.
type MetricsConfig struct {
	Enabled bool   `yaml:"enabled"`
	Port    int    `yaml:"port"` // if it is the traffic port, the balancer answers 404 for the path
	Path    string `yaml:"path"`
}

// ScalingConfig bounds automatic scaling. With max equal to tasks there is none, and the task count stays this file's.
type ScalingConfig struct {
	Max       int                        `yaml:"max"`
	CPU       int                        `yaml:"cpu"`      // percent to keep
	Memory    int                        `yaml:"memory"`   // percent to keep
	Requests  int                        `yaml:"requests"` // a minute and task to keep; 0: not scaled on
	Schedules map[string]ScalingSchedule `yaml:"schedules"`
}

// ScalingSchedule moves the bounds at set times.
type ScalingSchedule struct {
	At       string `yaml:"at"` // cron(...) or at(...)
	Timezone string `yaml:"timezone"`
	Min      int    `yaml:"min"`
	Max      int    `yaml:"max"`
}

// DatabaseConfig shapes PostgreSQL.
type DatabaseConfig struct {
	Version           string                   `yaml:"version"` // major version alone
	InstanceClass     string                   `yaml:"instance_class"`
	Storage           StorageConfig            `yaml:"storage"`
	MultiAZ           bool                     `yaml:"multi_az"`
	Name              string                   `yaml:"name"` // of the first database
	Parameters        map[string]string        `yaml:"parameters"`
	Retention         int                      `yaml:"retention"`          // days of point-in-time recovery, 1 to 35
	BackupWindow      string                   `yaml:"backup_window"`      // UTC, hh:mm-hh:mm
	MaintenanceWindow string                   `yaml:"maintenance_window"` // UTC, ddd:hh:mm-ddd:hh:mm
	ApplyImmediately  bool                     `yaml:"apply_immediately"`  // changes that restart it do not wait for the window
	SlowQuery         int                      `yaml:"slow_query"`         // milliseconds from which a statement is logged
	Restores          map[string]RestoreConfig `yaml:"restores"`           // instances restored beside the main one
	Active            string                   `yaml:"active"`             // main, or a key of restores: which one is used
}

// StorageConfig is in GiB.
type StorageConfig struct {
	Initial int `yaml:"initial"`
	Max     int `yaml:"max"`
}

// RestoreConfig says what a new instance is made from: a snapshot, or the main instance at a time.
type RestoreConfig struct {
	Snapshot  string `yaml:"snapshot"`  // identifier or ARN
	Time      string `yaml:"time"`      // RFC 3339 in UTC
	Version   string `yaml:"version"`   // major version; default database.version
	Protected bool   `yaml:"protected"` // refuses to be destroyed, where the stack does
}

// MonitoringConfig is about being told.
type MonitoringConfig struct {
	Emails     []string         `yaml:"emails"`
	Prometheus PrometheusConfig `yaml:"prometheus"`
}

// PrometheusConfig sizes the Prometheus service.
type PrometheusConfig struct {
	Image          string `yaml:"image"`
	ConfigImage    string `yaml:"config_image"`    // has the AWS command line; fetches the configuration before Prometheus starts
	CPU            int    `yaml:"cpu"`             // CPU units
	Memory         int    `yaml:"memory"`          // MiB
	Storage        int    `yaml:"storage"`         // GiB of the task's disk, 21 to 200; three quarters hold metrics
	Days           int    `yaml:"days"`            // metrics older than this go, even if there is room
	ScrapeInterval int    `yaml:"scrape_interval"` // seconds
}

// BackupConfig is the second layer, after point-in-time recovery: snapshots that the platform takes and keeps itself.
type BackupConfig struct {
	Schedule   string `yaml:"schedule"` // cron(...) or rate(...)
	Timezone   string `yaml:"timezone"`
	Retention  int    `yaml:"retention"`   // days
	Minimum    int    `yaml:"minimum"`     // this many are kept whatever their age
	MaxAge     int    `yaml:"max_age"`     // hours; an alarm rings when the newest is older
	ObjectLock int    `yaml:"object_lock"` // days an object of the backup bucket cannot be deleted by anybody; 0: off
}

// The images that a file which names none gets: pinned, public, for both architectures, from registries without pull limits.
const (
	defaultImage           = "public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim@sha256:3af0c10d960cc2502427fe1219c52989d309e7d65596869c60a34fd2fa2406f0"
	defaultPrometheusImage = "quay.io/prometheus/prometheus:v3.15.0@sha256:efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e"
	defaultConfigImage     = "public.ecr.aws/aws-cli/aws-cli:2.37.4@sha256:fdd8d1fcbea9c371678dee5a40df8b178c7a781b4586605756ee28114c97ead6"
)

// defaultConfig is what holds for a profile where the file says nothing.
func defaultConfig(profile string) Config {
	production := profile == profileProduction
	c := Config{
		Profile:      profile,
		Protected:    production,
		LogRetention: choose(production, 90, 14),
		State:        StateConfig{Backend: choose(production, "s3", "local")},
		Network: NetworkConfig{
			CIDR:  "10.0.0.0/16",
			Zones: choose(production, []string{"a", "b", "c"}, []string{"a", "b"}),
			NAT:   choose(production, "per-zone", "single"),
		},
		LoadBalancer: LoadBalancerConfig{
			Sources:             []string{"0.0.0.0/0"},
			IdleTimeout:         60,
			AccessLogsRetention: choose(production, 90, 14),
			Firewall: FirewallConfig{
				Enabled:   production,
				RateLimit: 2000,
				CountOnly: []string{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"},
			},
		},
		Services: map[string]ServiceConfig{"web": defaultService("web", profile)},
		Database: DatabaseConfig{
			Version:           "17",
			InstanceClass:     choose(production, "db.m7g.large", "db.t4g.micro"),
			Storage:           StorageConfig{Initial: choose(production, 100, 20), Max: choose(production, 1000, 100)},
			MultiAZ:           production,
			Name:              "app",
			Retention:         choose(production, 30, 7),
			BackupWindow:      "01:00-02:00",
			MaintenanceWindow: "sun:04:30-sun:05:30",
			ApplyImmediately:  !production,
			SlowQuery:         1000,
			Active:            mainDatabase,
		},
		Monitoring: MonitoringConfig{Prometheus: PrometheusConfig{
			Image:          defaultPrometheusImage,
			ConfigImage:    defaultConfigImage,
			CPU:            choose(production, 1024, 256),
			Memory:         choose(production, 4096, 1024),
			Storage:        choose(production, 100, 21),
			Days:           choose(production, 30, 7),
			ScrapeInterval: 30,
		}},
		Backup: BackupConfig{
			Schedule:  "cron(0 3 * * ? *)",
			Timezone:  "UTC",
			Retention: choose(production, 35, 7),
			Minimum:   choose(production, 7, 2),
			MaxAge:    choose(production, 26, 50),
		},
	}
	return c
}

// defaultService is what a service starts from. The one called web is the common case: a file that names no service has it,
// with a route for every path and the database.
func defaultService(name, profile string) ServiceConfig {
	production := profile == profileProduction
	s := ServiceConfig{
		Architecture: "ARM64",
		CPU:          choose(production, 512, 256),
		Memory:       choose(production, 1024, 512),
		Port:         8080,
		User:         "65532",
		Scratch:      64,
		Database:     "none",
		Route:        RouteConfig{DeregistrationLag: 30},
		HealthCheck:  HealthCheckConfig{Path: "/", Codes: "200-299", Interval: 15, Timeout: 5, GracePeriod: 60},
		Metrics:      MetricsConfig{Port: 9090, Path: "/metrics"},
		Tasks:        choose(production, 2, 1),
		Scaling:      ScalingConfig{CPU: 60, Memory: 75},
		Spot:         !production,
		StopTimeout:  30,
	}
	if name == "web" {
		s.Image = defaultImage
		s.User = "101" // nginx in the default image
		s.Database = "owner"
		s.Route.Priority, s.Route.Paths = 1000, []string{"/*"}
		s.Scaling.Max = choose(production, 6, 1)
	}
	return s
}

const (
	profileDevelopment = "development"
	profileProduction  = "production"
	mainDatabase       = "main"
)

// loadConfig reads and checks config/<environment>.yaml below root. Its error holds every problem there is, a line each.
func loadConfig(root, environment string) (*Config, error) {
	if !environmentName.MatchString(environment) {
		return nil, fmt.Errorf("ENVIRONMENT=%q: want a name of lower-case letters, digits and dashes, such as dev", environment)
	}
	file := "config/" + environment + ".yaml"
	text, err := os.ReadFile(filepath.Join(root, file))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%s: there is no such file: ENVIRONMENT=%s names it, and there is %s", file, environment, environments(root))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be read: %v", file, reason(err))
	}
	return parseConfig(file, environment, text)
}

// parseConfig is loadConfig after the reading: file is the name that its errors carry.
func parseConfig(file, environment string, text []byte) (*Config, error) {
	var first struct {
		Profile string `yaml:"profile"`
	}
	decodeYAML(file, text, &first, noElement) // only for the profile, which decides the defaults; its problems come again below
	profile := first.Profile
	if profile != profileProduction {
		profile = profileDevelopment
	}
	cfg := defaultConfig(profile)
	cfg.Environment = environment
	doc := decodeYAML(file, text, &cfg, func(path string) any {
		if name, ok := strings.CutPrefix(path, "services."); ok {
			return defaultService(name, profile)
		}
		if strings.HasPrefix(path, "database.restores.") {
			return RestoreConfig{Protected: true}
		}
		return nil
	})
	if !doc.unread[""] {
		cfg.derive(doc)
		check(&cfg, doc)
	}
	if err := doc.err(); err != nil {
		return nil, err
	}
	return &cfg, nil
}

func noElement(string) any { return nil }

// derive fills what follows from other settings, where the file says nothing of its own.
func (c *Config) derive(doc *document) {
	for name, service := range c.Services {
		if !doc.names("services." + name + ".scaling.max") {
			service.Scaling.Max = max(service.Scaling.Max, service.Tasks)
			c.Services[name] = service
		}
	}
	for name, restore := range c.Database.Restores {
		if restore.Version == "" {
			restore.Version = c.Database.Version
			c.Database.Restores[name] = restore
		}
	}
	if c.State.Region == "" {
		c.State.Region = c.Region
	}
}

// stack is <name>-<environment>: Terraform's name for it all, and the beginning of every AWS name.
func (c *Config) stack() string { return c.Name + "-" + c.Environment }

// named is an AWS name within account and region.
func (c *Config) named(noun string) string { return c.stack() + "-" + noun }

// namedInIAM names the region too: IAM has none, and a second stack in another region needs a name of its own.
func (c *Config) namedInIAM(noun string) string { return c.stack() + "-" + c.Region + "-" + noun }

func (c *Config) production() bool { return c.Profile == profileProduction }

// zones are the letters in order: resources are declared in it, whatever the file's order.
func (c *Config) zones() []string { return slices.Sorted(slices.Values(c.Network.Zones)) }

// https tells whether the balancer serves TLS.
func (c *Config) https() bool {
	return c.LoadBalancer.CertificateARN != "" || c.LoadBalancer.Domain != ""
}

func (r RouteConfig) conditions() int {
	return len(r.Paths) + len(r.Hosts) + len(r.Headers) + len(r.Sources)
}

// key is the same for two routes with the same conditions, in whatever order.
func (r RouteConfig) key() string {
	sorted := func(values []string) []string { return slices.Sorted(slices.Values(values)) }
	headers := map[string][]string{}
	for header, values := range r.Headers {
		headers[strings.ToLower(header)] = sorted(values)
	}
	return fmt.Sprintf("%q %q %q %q", sorted(r.Paths), sorted(r.Hosts), sorted(r.Sources), headers)
}

// routed tells whether the balancer knows the service.
func (s ServiceConfig) routed() bool { return s.Route.conditions() > 0 }

// scaled tells whether the number of tasks is AWS's to change; with it, requests and schedules mean something.
func (s ServiceConfig) scaled() bool { return s.Scaling.Max > s.Tasks || len(s.Scaling.Schedules) > 0 }

// hidesMetrics tells whether the balancer has to keep the service's metrics from the public.
func (s ServiceConfig) hidesMetrics() bool {
	return s.routed() && s.Metrics.Enabled && s.Metrics.Port == s.Port
}

// environments lists the configuration files there are, for an error message.
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

// choose is a conditional expression.
func choose[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}

// ---- What a configuration must hold --------------------------------------------------------------------------------

var (
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	serviceName     = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	restoreName     = regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`)
	regionName      = regexp.MustCompile(`^(af|ap|ca|eu|il|me|mx|sa|us)-(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)
	zoneLetter      = regexp.MustCompile(`^[a-h]$`)
	accountID       = regexp.MustCompile(`^[0-9]{12}$`)
	bucketName      = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	imageReference  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	numericUser     = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	domainName      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	hostPattern     = regexp.MustCompile(`^[A-Za-z0-9.*?-]+$`)
	headerName      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$")
	emailAddress    = regexp.MustCompile(`^[^@\s]+@([A-Za-z0-9-]+\.)+[A-Za-z]{2,}$`)
	cronText        = regexp.MustCompile(`^cron\(([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+) ([^() ]+)\)$`)
	rateText        = regexp.MustCompile(`^rate\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\)$`)
	databaseName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	backupWindow    = regexp.MustCompile(`^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$`)
	maintenance     = regexp.MustCompile(`^(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]-(mon|tue|wed|thu|fri|sat|sun):([01][0-9]|2[0-3]):[0-5][0-9]$`)
	codes           = regexp.MustCompile(`^[2-4][0-9]{2}([-,][2-4][0-9]{2})*$`)
	secretARN       = regexp.MustCompile(`^arn:aws:(secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:\S+|ssm:[a-z0-9-]+:[0-9]{12}:parameter/\S+)$`)
	certificateARN  = regexp.MustCompile(`^arn:aws:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
	keyARN          = regexp.MustCompile(`^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/[0-9a-f-]+$`)
	tagText         = regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)
	retentions      = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653} // CloudWatch Logs, PutRetentionPolicy
)

// platformNames are what the platform calls security groups of its own: a service of the same name would ask for a second one.
var platformNames = []string{"database", "endpoints", "prometheus"}

// platformTags are on every resource already.
var platformTags = []string{"Application", "Environment", "ManagedBy", "Name"}

// stackNameLimit leaves room for the longest name made from it, the access-log bucket with noun, account and region in 63.
const (
	stackNameLimit   = 22
	serviceNameLimit = 16
	tagLimit         = 6 // besides Application, Environment, ManagedBy and Name
)

// check adds to doc what is wrong with a configuration whose types are right. It covers what the modules need to make
// something that AWS accepts.
func check(c *Config, doc *document) {
	add := doc.add
	want := func(ok bool, path, format string, args ...any) {
		if !ok {
			add(path, format, args...)
		}
	}
	oneOf := func(path, value string, allowed ...string) {
		want(slices.Contains(allowed, value), path, "want one of %s, have %q", strings.Join(allowed, ", "), value)
	}
	between := func(path string, value, low, high int) {
		want(value >= low && value <= high, path, "want %d to %d, have %d", low, high, value)
	}

	want(c.Name != "", "name", "is required: the application's name, such as shop")
	want(c.Name == "" || environmentName.MatchString(c.Name), "name", "want lower-case letters, digits and single dashes, a letter first, have %q", c.Name)
	want(len(c.stack()) <= stackNameLimit, "name", "want at most %d characters together with the environment, since AWS names are made from it, have %d (%s)", stackNameLimit, len(c.stack()), c.stack())
	want(c.Region != "", "region", "is required: an AWS region, such as eu-central-1")
	want(c.Region == "" || regionName.MatchString(c.Region), "region", "want an AWS region of the commercial partition, such as eu-central-1, have %q", c.Region)
	want(c.Account == "" || accountID.MatchString(c.Account), "account", "want 12 digits in quotes, have %q", c.Account)
	oneOf("profile", c.Profile, profileDevelopment, profileProduction)
	want(slices.Contains(retentions, c.LogRetention), "log_retention", "want a number of days that CloudWatch Logs knows (%s), have %d", strings.Trim(fmt.Sprint(retentions), "[]"), c.LogRetention)
	for _, key := range sortedKeys(c.Tags) {
		value := c.Tags[key]
		want(len(key) > 0 && len(key) <= 128 && len(value) <= 256 && tagText.MatchString(key+value) && !strings.HasPrefix(strings.ToLower(key), "aws:"),
			"tags."+key, "want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:")
		want(!slices.Contains(platformTags, key), "tags."+key, "want another key, since %s are the platform's own", strings.Join(platformTags, ", "))
	}

	want(len(c.Tags) <= tagLimit, "tags", "want at most %d: an object in S3 takes ten, and the platform has its own, have %d", tagLimit, len(c.Tags))

	oneOf("state.backend", c.State.Backend, "local", "s3")
	if c.State.Backend == "s3" {
		if c.State.Bucket == "" && c.production() {
			add("state", "want state.bucket, an S3 bucket for Terraform's state, or state.backend: local if a state on one machine is meant")
		} else {
			want(bucketName.MatchString(c.State.Bucket), "state.bucket", "want the name of an S3 bucket, have %q", c.State.Bucket)
		}
		want(c.State.Region == c.Region || regionName.MatchString(c.State.Region), "state.region", "want an AWS region, have %q", c.State.Region)
	} else {
		want(c.State.Bucket == "", "state.bucket", "has no meaning with state.backend: local")
	}

	checkNetwork(c, add, oneOf)
	checkLoadBalancer(c, add, oneOf, between)

	want(len(c.Services) > 0, "services", "want at least one service")
	priorities, routes := map[int]string{}, map[string]string{} // who has them
	for _, name := range sortedKeys(c.Services) {
		s, path := c.Services[name], "services."+name
		want(serviceName.MatchString(name) && len(name) <= serviceNameLimit, path, "want a name of lower-case letters and digits, a letter first, at most %d long", serviceNameLimit)
		want(!slices.Contains(platformNames, name), path, "want another name, since %s are the platform's own", strings.Join(platformNames, ", "))
		checkService(c, name, s, add, oneOf, between)
		if !s.routed() {
			continue
		}
		if other, taken := priorities[s.Route.Priority]; taken {
			add(path+".route.priority", "want a priority of its own, %d is taken by %s", s.Route.Priority, other)
		}
		priorities[s.Route.Priority] = path
		if s.hidesMetrics() { // by a rule that stands right before the service's own
			before := s.Route.Priority - 1
			if other, taken := priorities[before]; taken {
				add(path+".route.priority", "want the priority before it free too, for the rule that hides its metrics, %d is taken by %s", before, other)
			}
			priorities[before] = "the rule that hides metrics of " + path
		}
		if other, same := routes[s.Route.key()]; same {
			add(path+".route", "want other conditions than those of %s: one of the two would never get a request", other)
		}
		routes[s.Route.key()] = path
	}

	checkDatabase(c, add, between)

	for i, email := range c.Monitoring.Emails {
		path := fmt.Sprintf("monitoring.emails.%d", i)
		want(emailAddress.MatchString(email), path, "want an e-mail address, have %q", email)
		want(!slices.Contains(c.Monitoring.Emails[:i], email), path, "want each address once, %q is there already", email)
	}
	p := c.Monitoring.Prometheus
	checkImage(c, "monitoring.prometheus.image", p.Image, add)
	checkImage(c, "monitoring.prometheus.config_image", p.ConfigImage, add)
	checkSize("monitoring.prometheus", p.CPU, p.Memory, add)
	between("monitoring.prometheus.storage", p.Storage, 21, 200)
	between("monitoring.prometheus.days", p.Days, 1, 3650)
	between("monitoring.prometheus.scrape_interval", p.ScrapeInterval, 5, 300)

	checkSchedule(c, add)
	checkTimezone("backup.timezone", c.Backup.Timezone, add)
	between("backup.retention", c.Backup.Retention, 1, 3650)
	between("backup.minimum", c.Backup.Minimum, 1, 100)
	between("backup.max_age", c.Backup.MaxAge, 1, 24*31)
	between("backup.object_lock", c.Backup.ObjectLock, 0, 3650)

	checkTemplates(c, add)
}

type adder func(path, format string, args ...any)

func checkNetwork(c *Config, add adder, oneOf func(path, value string, allowed ...string)) {
	if prefix, err := netip.ParsePrefix(c.Network.CIDR); err != nil || !prefix.Addr().Is4() {
		add("network.cidr", "want an IPv4 block such as 10.0.0.0/16, have %q", c.Network.CIDR)
	} else {
		if prefix.Masked() != prefix {
			add("network.cidr", "want a block that begins at its own size: %s, have %s", prefix.Masked(), prefix)
		}
		if prefix.Bits() < 16 || prefix.Bits() > 22 {
			add("network.cidr", "want /16 to /22 (AWS allows no larger one, and a balancer's subnet needs /27), have /%d", prefix.Bits())
		}
		if !prefix.Addr().IsPrivate() {
			add("network.cidr", "want a private block (RFC 1918), have %s", prefix)
		}
	}
	if n := len(c.Network.Zones); n < 2 || n > 6 {
		add("network.zones", "want two to six zones, since the balancer and the database need two, have %d", n)
	}
	seen := map[string]bool{}
	for i, zone := range c.Network.Zones {
		path := fmt.Sprintf("network.zones.%d", i)
		if !zoneLetter.MatchString(zone) {
			add(path, "want the letter of a zone, a to h, have %q", zone)
		}
		if seen[zone] {
			add(path, "want each zone once, %q is there already", zone)
		}
		seen[zone] = true
	}
	oneOf("network.nat", c.Network.NAT, "none", "single", "per-zone")
	endpoints := map[string]bool{}
	for i, endpoint := range c.Network.Endpoints {
		path := fmt.Sprintf("network.endpoints.%d", i)
		oneOf(path, endpoint, interfaceEndpoints...)
		if endpoints[endpoint] {
			add(path, "want each endpoint once, %q is there already", endpoint)
		}
		endpoints[endpoint] = true
	}
	if c.Network.NAT != "none" {
		return
	}
	// ssmmessages, kms: a port-forward to Prometheus is an encrypted session; ec2, ecs: Prometheus finds tasks through their API.
	for _, needed := range append(c.needsSSM(), "ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "logs", "secretsmanager", "ssmmessages") {
		if !endpoints[needed] {
			add("network.endpoints", "want %s too: with network.nat none a task reaches AWS through endpoints only", needed)
		}
	}
}

// needsSSM names the endpoint of Parameter Store if a service has a secret there.
func (c *Config) needsSSM() []string {
	for _, s := range c.Services {
		for _, reference := range s.Secrets {
			if strings.HasPrefix(reference, "arn:aws:ssm:") {
				return []string{"ssm"}
			}
		}
	}
	return nil
}

// commonRules are the rules of AWSManagedRulesCommonRuleSet; WAF refuses a name that is none of them.
// https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
var commonRules = []string{
	"CrossSiteScripting_BODY", "CrossSiteScripting_COOKIE", "CrossSiteScripting_QUERYARGUMENTS", "CrossSiteScripting_URIPATH",
	"EC2MetaDataSSRF_BODY", "EC2MetaDataSSRF_COOKIE", "EC2MetaDataSSRF_QUERYARGUMENTS", "EC2MetaDataSSRF_URIPATH",
	"GenericLFI_BODY", "GenericLFI_QUERYARGUMENTS", "GenericLFI_URIPATH",
	"GenericRFI_BODY", "GenericRFI_QUERYARGUMENTS", "GenericRFI_URIPATH",
	"NoUserAgent_HEADER", "RestrictedExtensions_QUERYARGUMENTS", "RestrictedExtensions_URIPATH",
	"SizeRestrictions_BODY", "SizeRestrictions_Cookie_HEADER", "SizeRestrictions_QUERYSTRING", "SizeRestrictions_URIPATH",
	"UserAgent_BadBots_HEADER",
}

// interfaceEndpoints are those that something in this platform may need; S3 has a gateway endpoint always.
var interfaceEndpoints = []string{
	"aps-workspaces", "ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "lambda", "logs", "monitoring", "rds", "secretsmanager",
	"sns", "sqs", "ssm", "ssmmessages", "sts", "tagging",
}

func checkLoadBalancer(c *Config, add adder, oneOf func(path, value string, allowed ...string), between func(path string, value, low, high int)) {
	lb := c.LoadBalancer
	if lb.Domain != "" {
		if !domainName.MatchString(lb.Domain) {
			add("load_balancer.domain", "want a domain name such as shop.example.com, have %q", lb.Domain)
		}
		if lb.HostedZone == "" && lb.CertificateARN == "" {
			add("load_balancer.domain", "want load_balancer.hosted_zone too, the Route 53 zone that proves the certificate, or load_balancer.certificate_arn")
		}
	}
	if lb.HostedZone != "" {
		switch {
		case !domainName.MatchString(lb.HostedZone):
			add("load_balancer.hosted_zone", "want a zone's name such as example.com, have %q", lb.HostedZone)
		case lb.Domain == "":
			add("load_balancer.hosted_zone", "want load_balancer.domain too, the name to make in it")
		case domainName.MatchString(lb.Domain) && lb.Domain != lb.HostedZone && !strings.HasSuffix(lb.Domain, "."+lb.HostedZone):
			add("load_balancer.domain", "want a name in load_balancer.hosted_zone %s, have %q", lb.HostedZone, lb.Domain)
		}
	}
	if lb.CertificateARN != "" && (!certificateARN.MatchString(lb.CertificateARN) || !strings.Contains(lb.CertificateARN, ":"+c.Region+":")) {
		add("load_balancer.certificate_arn", "want the ARN of a certificate in %s, have %q", c.Region, lb.CertificateARN)
	}
	if c.production() && !c.https() && !lb.AllowHTTP {
		add("load_balancer", "want load_balancer.domain with hosted_zone, or certificate_arn: production serves HTTPS unless allow_http is true")
	}
	if len(lb.Sources) == 0 {
		add("load_balancer.sources", "want at least one CIDR block, such as 0.0.0.0/0")
	}
	checkCIDRs("load_balancer.sources", lb.Sources, add)
	between("load_balancer.idle_timeout", lb.IdleTimeout, 1, 4000)
	between("load_balancer.access_logs_retention", lb.AccessLogsRetention, 1, 3650)
	for i, rule := range lb.Firewall.CountOnly {
		oneOf(fmt.Sprintf("load_balancer.firewall.count_only.%d", i), rule, commonRules...)
	}
	between("load_balancer.firewall.rate_limit", lb.Firewall.RateLimit, 10, 2_000_000_000)
}

func checkService(c *Config, name string, s ServiceConfig, add adder, oneOf func(path, value string, allowed ...string), between func(path string, value, low, high int)) {
	path := "services." + name
	if s.Image == "" {
		add(path+".image", "is required: an image with a tag or digest")
	} else {
		checkImage(c, path+".image", s.Image, add)
	}
	oneOf(path+".architecture", s.Architecture, "ARM64", "X86_64")
	checkSize(path, s.CPU, s.Memory, add)
	between(path+".port", s.Port, 1024, 65535)
	if !numericUser.MatchString(s.User) {
		add(path+".user", "want a numeric user id in quotes, not 0, have %q", s.User)
	}
	if s.Scratch < 16 || s.Scratch > s.Memory/2 {
		add(path+".scratch", "want 16 to half of %s.memory (%d), since it counts as memory, have %d", path, s.Memory/2, s.Scratch)
	}
	for _, key := range sortedKeys(s.Environment) {
		checkVariable(path+".environment."+key, key, s, add)
	}
	for _, key := range sortedKeys(s.Secrets) {
		checkVariable(path+".secrets."+key, key, s, add)
		if !secretARN.MatchString(s.Secrets[key]) {
			add(path+".secrets."+key, "want the ARN of a secret or parameter, never the secret itself")
		}
		if _, both := s.Environment[key]; both {
			add(path+".secrets."+key, "is in %s.environment too", path)
		}
	}
	for i, key := range s.SecretKeys {
		if !keyARN.MatchString(key) {
			add(fmt.Sprintf("%s.secret_keys.%d", path, i), "want the ARN of a KMS key, never a key itself")
		}
	}
	for i, p := range s.Permissions {
		at := fmt.Sprintf("%s.permissions.%d", path, i)
		if len(p.Actions) == 0 || len(p.Resources) == 0 {
			add(at, "want actions and resources, at least one of each")
		}
		for j, action := range p.Actions {
			if strings.Contains(action, "*") || !strings.Contains(action, ":") {
				add(fmt.Sprintf("%s.actions.%d", at, j), "want each action by its name, such as s3:GetObject, without *, have %q", action)
			}
		}
		for j, resource := range p.Resources {
			if !strings.HasPrefix(resource, "arn:") {
				add(fmt.Sprintf("%s.resources.%d", at, j), "want ARNs, have %q", resource)
			}
		}
	}
	oneOf(path+".database", s.Database, "none", "owner")
	if s.routed() {
		between(path+".route.priority", s.Route.Priority, choose(s.hidesMetrics(), 2, 1), 49999)
		values := len(s.Route.Paths) + len(s.Route.Hosts) + len(s.Route.Sources)
		for _, header := range sortedKeys(s.Route.Headers) {
			values += len(s.Route.Headers[header])
			at := path + ".route.headers." + header
			if !headerName.MatchString(header) || strings.EqualFold(header, "host") {
				add(at, "want the name of an HTTP header, at most 40 characters, and route.hosts for Host")
			}
			if len(s.Route.Headers[header]) == 0 {
				add(at, "want at least one value")
			}
			for i, value := range s.Route.Headers[header] {
				if len(value) == 0 || len(value) > 128 {
					add(fmt.Sprintf("%s.%d", at, i), "want 1 to 128 characters, have %d", len(value))
				}
			}
		}
		for i, host := range s.Route.Hosts {
			if !hostPattern.MatchString(host) || !strings.Contains(host, ".") || len(host) > 128 {
				add(fmt.Sprintf("%s.route.hosts.%d", path, i), "want a host such as shop.example.com or *.example.com, at most 128 long, have %q", host)
			}
		}
		if s.hidesMetrics() {
			values = max(values, values-len(s.Route.Paths)+2)
		}
		if values > 5 {
			add(path+".route", "want at most 5 values in all conditions together, which is AWS's limit, have %d", values)
		}
		for i, p := range s.Route.Paths {
			if !strings.HasPrefix(p, "/") || len(p) > 128 {
				add(fmt.Sprintf("%s.route.paths.%d", path, i), "want a path that begins with /, at most 128 long, have %q", p)
			}
		}
		checkCIDRs(path+".route.sources", s.Route.Sources, add)
	} else if s.Scaling.Requests > 0 {
		add(path+".scaling.requests", "has no meaning without %s.route", path)
	}
	between(path+".route.deregistration_lag", s.Route.DeregistrationLag, 0, 3600)
	if s.Route.SlowStart != 0 {
		between(path+".route.slow_start", s.Route.SlowStart, 30, 900)
	}
	if !strings.HasPrefix(s.HealthCheck.Path, "/") {
		add(path+".health_check.path", "want a path that begins with /, have %q", s.HealthCheck.Path)
	}
	if !codes.MatchString(s.HealthCheck.Codes) {
		add(path+".health_check.codes", "want HTTP codes such as 200-299 or 200,204, have %q", s.HealthCheck.Codes)
	}
	between(path+".health_check.interval", s.HealthCheck.Interval, 5, 300)
	between(path+".health_check.timeout", s.HealthCheck.Timeout, 2, 120)
	if s.HealthCheck.Timeout >= s.HealthCheck.Interval {
		add(path+".health_check.timeout", "want less than %s.health_check.interval (%d), have %d", path, s.HealthCheck.Interval, s.HealthCheck.Timeout)
	}
	between(path+".health_check.grace_period", s.HealthCheck.GracePeriod, 0, 7200)
	if s.Metrics.Enabled {
		between(path+".metrics.port", s.Metrics.Port, 1024, 65535)
		if !strings.HasPrefix(s.Metrics.Path, "/") {
			add(path+".metrics.path", "want a path that begins with /, have %q", s.Metrics.Path)
		}
		if s.hidesMetrics() && s.Metrics.Path == "/" {
			add(path+".metrics.path", "want a path of its own, since the balancer hides it from the internet, have /")
		}
	}
	between(path+".tasks", s.Tasks, 0, 1000)
	if s.Tasks >= 0 && s.Tasks <= 1000 {
		between(path+".scaling.max", s.Scaling.Max, s.Tasks, 5000)
	}
	between(path+".scaling.cpu", s.Scaling.CPU, 10, 95)
	between(path+".scaling.memory", s.Scaling.Memory, 10, 95)
	between(path+".scaling.requests", s.Scaling.Requests, 0, 1_000_000)
	for _, key := range sortedKeys(s.Scaling.Schedules) {
		at, schedule := path+".scaling.schedules."+key, s.Scaling.Schedules[key]
		if !serviceName.MatchString(key) || len(key) > serviceNameLimit {
			add(at, "want a name of lower-case letters and digits, at most %d long", serviceNameLimit)
		}
		if !isCron(schedule.At) && !isAt(schedule.At) {
			add(at+".at", "want cron(minute hour day month weekday year), with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have %q", schedule.At)
		}
		if schedule.Timezone != "" {
			checkTimezone(at+".timezone", schedule.Timezone, add)
		}
		if schedule.Min < 0 || schedule.Max < schedule.Min {
			add(at, "want 0 or more in min and no less in max, have %d and %d", schedule.Min, schedule.Max)
		}
	}
	between(path+".stop_timeout", s.StopTimeout, 2, 120)
	// A repository begins empty: a service that starts tasks from it before the first push can only fail.
	if s.Repository && s.Tasks == 0 && s.Scaling.Max > 0 {
		add(path+".scaling.max", "want 0 while %s.tasks is 0, have %d", path, s.Scaling.Max)
	}
}

func checkVariable(path, name string, s ServiceConfig, add adder) {
	if !variableName.MatchString(name) {
		add(path, "want a name of letters, digits and underscores")
	}
	if s.Database != "none" && slices.Contains(databaseVariables, name) {
		add(path, "is set by the platform for the database")
	}
}

func checkDatabase(c *Config, add adder, between func(path string, value, low, high int)) {
	d := c.Database
	if !slices.Contains(postgresVersions, d.Version) {
		add("database.version", "want a major version that RDS offers, one of %s in quotes, have %q", strings.Join(postgresVersions, ", "), d.Version)
	}
	if _, err := classMemory(d.InstanceClass); err != nil {
		add("database.instance_class", "%v", err)
	}
	between("database.storage.initial", d.Storage.Initial, 20, 65536)
	if d.Storage.Max < d.Storage.Initial {
		add("database.storage.max", "want at least %d (database.storage.initial), have %d", d.Storage.Initial, d.Storage.Max)
	} else if d.Storage.Max != d.Storage.Initial && d.Storage.Max*10 < d.Storage.Initial*11 {
		add("database.storage.max", "want at least a tenth more than database.storage.initial (%d) for autoscaling, or the same for none, have %d", d.Storage.Initial, d.Storage.Max)
	}
	between("database.storage.max", d.Storage.Max, 20, 65536)
	if !databaseName.MatchString(d.Name) || slices.Contains(databaseWords, d.Name) {
		add("database.name", "want lower-case letters, digits and underscores, a letter first, and no name that PostgreSQL or RDS uses, have %q", d.Name)
	}
	between("database.retention", d.Retention, 1, 35)
	between("database.slow_query", d.SlowQuery, 0, 3_600_000)
	daily, weekly := backupWindow.MatchString(d.BackupWindow), maintenance.MatchString(d.MaintenanceWindow)
	if !daily {
		add("database.backup_window", "want hh:mm-hh:mm in UTC, such as 01:00-02:00, have %q", d.BackupWindow)
	} else if _, length := dailyWindow(d.BackupWindow); length < 30 {
		add("database.backup_window", "want 30 minutes or more, have %d (%s)", length, d.BackupWindow)
	}
	if !weekly {
		add("database.maintenance_window", "want ddd:hh:mm-ddd:hh:mm in UTC, such as sun:04:30-sun:05:30, have %q", d.MaintenanceWindow)
	} else if _, length := weeklyWindow(d.MaintenanceWindow); length < 30 || length > minutesOfDay {
		add("database.maintenance_window", "want 30 minutes to a day, have %d minutes (%s)", length, d.MaintenanceWindow)
	}
	if daily && weekly && windowsOverlap(d.BackupWindow, d.MaintenanceWindow) {
		add("database.maintenance_window", "want a window outside database.backup_window (%s), have %s", d.BackupWindow, d.MaintenanceWindow)
	}
	for _, key := range sortedKeys(d.Restores) {
		path, restore := "database.restores."+key, d.Restores[key]
		if !restoreName.MatchString(key) || key == mainDatabase {
			add(path, "want a name of lower-case letters and digits, a letter first, at most 15 long, and not main")
		}
		if restore.Version != d.Version && !slices.Contains(postgresVersions, restore.Version) {
			add(path+".version", "want a major version that RDS offers, one of %s in quotes, have %q", strings.Join(postgresVersions, ", "), restore.Version)
		}
		if (restore.Snapshot == "") == (restore.Time == "") {
			add(path, "want either snapshot or time")
		}
		if restore.Time != "" {
			if at, err := time.Parse(time.RFC3339, restore.Time); err != nil || at.Location() != time.UTC {
				add(path+".time", "want a time in UTC such as 2026-11-23T03:00:00Z, have %q", restore.Time)
			}
		}
	}
	if _, restored := d.Restores[d.Active]; d.Active != mainDatabase && !restored {
		add("database.active", "want main or a key of database.restores, have %q", d.Active)
	}
}

// databaseWords cannot be a database's name nor, postgres apart, its user's. RDS refuses its own names and the engine's reserved words:
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html, and
// https://www.postgresql.org/docs/current/sql-keywords-appendix.html for the words that are reserved in PostgreSQL, of any of its versions here.
var databaseWords = strings.Fields("admin postgres rdsadmin template0 template1 " +
	"all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column " +
	"concurrently constraint create cross current_catalog current_date current_role current_schema current_time " +
	"current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze from " +
	"full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit localtime " +
	"localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references returning " +
	"right select session_user similar some symmetric system_user table tablesample then to trailing true union unique user " +
	"using variadic verbose when where window with")

// postgresVersions are the majors that RDS offers and whose parameters rds.go knows.
var postgresVersions = []string{"14", "15", "16", "17", "18"}

const minutesOfDay = 24 * 60

func minuteOfDay(text string) int {
	at, err := time.Parse("15:04", text)
	if err != nil {
		panic(err) // the caller has matched a pattern
	}
	return at.Hour()*60 + at.Minute()
}

// dailyWindow gives the minute in which hh:mm-hh:mm starts, and its length.
func dailyWindow(text string) (start, length int) {
	start = minuteOfDay(text[:5])
	return start, (minuteOfDay(text[6:]) - start + minutesOfDay) % minutesOfDay
}

// weeklyWindow gives the minute of the week in which ddd:hh:mm-ddd:hh:mm starts, and its length.
func weeklyWindow(text string) (start, length int) {
	const week = 7 * minutesOfDay
	days := []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	minute := func(text string) int { return slices.Index(days, text[:3])*minutesOfDay + minuteOfDay(text[4:]) }
	start = minute(text[:9])
	return start, (minute(text[10:]) - start + week) % week
}

// windowsOverlap compares a daily window with a weekly one, minute by minute of the latter.
func windowsOverlap(daily, weekly string) bool {
	dailyStart, dailyLength := dailyWindow(daily)
	start, length := weeklyWindow(weekly)
	for at := start; at < start+length; at++ {
		if (at-dailyStart+minutesOfDay)%minutesOfDay < dailyLength {
			return true
		}
	}
	return false
}

func checkImage(c *Config, path, image string, add adder) {
	switch {
	case !imageReference.MatchString(image) || !strings.Contains(strings.SplitN(image, "/", 2)[0], "."):
		add(path, "want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have %q", image)
	case !strings.Contains(image[strings.LastIndexByte(image, '/'):], ":") && !strings.Contains(image, "@"):
		add(path, "want a tag or digest, have %q", image)
	case strings.HasSuffix(image, ":latest"):
		add(path, "want a tag that stays what it is, or a digest, have %q", image)
	case c.Network.NAT == "none" && !strings.HasSuffix(strings.SplitN(image, "/", 2)[0], ".dkr.ecr."+c.Region+".amazonaws.com"):
		add(path, "want an image in ECR of %s: with network.nat none no other registry is reached, have %q", c.Region, image)
	}
}

// fargateMemory holds, for each CPU size in units, the MiB that Fargate accepts: from, to, in steps of.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
var fargateMemory = map[int][3]int{
	256:   {512, 2048, 0}, // 512, 1024, 2048
	512:   {1024, 4096, 1024},
	1024:  {2048, 8192, 1024},
	2048:  {4096, 16384, 1024},
	4096:  {8192, 30720, 1024},
	8192:  {16384, 61440, 4096},
	16384: {32768, 122880, 8192},
}

func checkSize(path string, cpu, memory int, add adder) {
	sizes, ok := fargateMemory[cpu]
	if !ok {
		add(path+".cpu", "want 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units, have %d", cpu)
		return
	}
	low, high, step := sizes[0], sizes[1], sizes[2]
	if cpu == 256 {
		if !slices.Contains([]int{512, 1024, 2048}, memory) {
			add(path+".memory", "want 512, 1024 or 2048 MiB with %s.cpu 256, have %d", path, memory)
		}
		return
	}
	if memory < low || memory > high || memory%step != 0 {
		add(path+".memory", "want %d to %d MiB in steps of %d with %s.cpu %d, have %d", low, high, step, path, cpu, memory)
	}
}

func checkCIDRs(path string, blocks []string, add adder) {
	for i, block := range blocks {
		prefix, err := netip.ParsePrefix(block)
		if err != nil || !prefix.Addr().Is4() || prefix.Masked() != prefix {
			add(fmt.Sprintf("%s.%d", path, i), "want an IPv4 CIDR block such as 203.0.113.0/24, have %q", block)
		}
		if slices.Contains(blocks[:i], block) {
			add(fmt.Sprintf("%s.%d", path, i), "want each block once, %q is there already", block)
		}
	}
}

// isCron tells whether a text is a cron expression of AWS': six fields, and ? for the day or the weekday, since the two may contradict
// each other. https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
func isCron(text string) bool {
	fields := cronText.FindStringSubmatch(text)
	if fields == nil || (fields[3] == "?") == (fields[5] == "?") {
		return false
	}
	minute, hour, day, month, weekday, year := fields[1], fields[2], fields[3], strings.ToUpper(fields[4]), strings.ToUpper(fields[5]), fields[6]
	months := []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	return cronField(minute, 0, 59, nil) && cronField(hour, 0, 23, nil) && cronDay(day) && cronField(month, 1, 12, months) &&
		cronWeekday(weekday) && cronField(year, 1970, 2199, nil)
}

// cronField tells whether a field is a list of values, ranges and steps. The names, if there are any, stand for the values from the least on.
func cronField(text string, least, most int, names []string) bool {
	for _, part := range strings.Split(text, ",") {
		values, step, stepped := strings.Cut(part, "/")
		if every, err := strconv.ParseUint(step, 10, 16); stepped && (err != nil || every == 0) {
			return false
		}
		if values == "*" {
			continue
		}
		for _, value := range strings.SplitN(values, "-", 2) {
			number, err := strconv.ParseUint(value, 10, 16)
			if !slices.Contains(names, value) && (err != nil || int(number) < least || int(number) > most) {
				return false
			}
		}
	}
	return true
}

// cronDay may be the last one, or the working day nearest to a date.
func cronDay(text string) bool {
	date, nearest := strings.CutSuffix(text, "W")
	return text == "?" || text == "L" || cronField(date, 1, 31, nil) && !(nearest && strings.ContainsAny(date, ",-*/"))
}

// cronWeekday may be the last one of a month, or the nth. It has no steps.
func cronWeekday(text string) bool {
	names := []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	day, nth, counted := strings.Cut(strings.TrimSuffix(text, "L"), "#")
	one := counted || strings.HasSuffix(text, "L")
	return text == "?" || text == "L" || cronField(day, 1, 7, names) && !strings.Contains(day, "/") &&
		!(one && strings.ContainsAny(day, ",-*")) && (!counted || cronField(nth, 1, 5, nil) && len(nth) == 1)
}

// isAt tells whether a text is a single time: at(yyyy-mm-ddThh:mm:ss).
func isAt(text string) bool {
	_, err := time.Parse("at(2006-01-02T15:04:05)", text)
	return err == nil
}

// checkSchedule looks at when snapshots are taken. RDS refuses one while it takes its own, so a fixed time of day may not lie in its window;
// other zones than UTC move against it twice a year and are left to the reader.
func checkSchedule(c *Config, add adder) {
	schedule, window := c.Backup.Schedule, c.Database.BackupWindow
	if !isCron(schedule) && !rateText.MatchString(schedule) {
		add("backup.schedule", "want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have %q", schedule)
		return
	}
	fields := cronText.FindStringSubmatch(schedule)
	if fields == nil || c.Backup.Timezone != "UTC" || !backupWindow.MatchString(window) {
		return
	}
	minute, errMinute := strconv.Atoi(fields[1])
	hour, errHour := strconv.Atoi(fields[2])
	if errMinute != nil || errHour != nil {
		return // a list or a range
	}
	if start, length := dailyWindow(window); (hour*60+minute-start+minutesOfDay)%minutesOfDay < length {
		add("backup.schedule", "want a time outside database.backup_window (%s), since RDS refuses a snapshot while it takes its own, have %q", window, schedule)
	}
}

func checkTimezone(path, name string, add adder) {
	if _, err := time.LoadLocation(name); err != nil || name == "" || name == "Local" {
		add(path, "want a time zone such as UTC or Europe/Berlin, have %q", name)
	}
}

// environmentValue is the path of what a service's variables hold.
var environmentValue = regexp.MustCompile(`^services\.[^.]+\.environment\.`)

// checkTemplates refuses what Terraform would take for an expression of its own. Environment variables may hold it: they are escaped.
func checkTemplates(c *Config, add adder) {
	walkStrings("", c, func(path, text string) {
		if !environmentValue.MatchString(path) && (strings.Contains(text, "${") || strings.Contains(text, "%{")) {
			add(path, "may not contain ${ or %%{, which Terraform takes for an expression")
		}
	})
}
