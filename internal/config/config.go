// Package config reads and checks what the file of one environment says. Everything that can be said is in Config; what is not said
// has the default of its profile.
package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"platform/internal/fileerror"
	"slices"
	"strings"
)

// Config is everything that can be said about one environment: what config/<environment>.yaml holds, over the defaults of
// its profile. Every module is given the whole of it.
//
// Beside its key a field bears what it may hold and in which unit; settings.go reads that. A field's comment, its default and its limits make
// up the README's table and the editors' schema.
type Config struct {
	Environment string `yaml:"-"` // the file's name without .yaml; in names and tags, never in construct ids

	Name      string            `yaml:"name" allowed:"~name"`                     // the application; with the environment it names everything
	Region    string            `yaml:"region" allowed:"~region"`                 // AWS region of the commercial partition
	Account   string            `yaml:"account" allowed:"~account"`               // AWS account; deploying to any other is refused
	Profile   string            `yaml:"profile" allowed:"development|production"` // which defaults and which rules
	Protected bool              `yaml:"protected"`                                // data, keys and balancer refuse to be destroyed
	Tags      map[string]string `yaml:"tags"`                                     // added to every resource, at most 6

	LogRetention int `yaml:"log_retention" allowed:"within @retentions days"` // of every log group

	State        State              `yaml:"state"`         // where Terraform keeps its state
	Network      Network            `yaml:"network"`       // the VPC
	LoadBalancer LoadBalancer       `yaml:"load_balancer"` // the one way in
	Services     map[string]Service `yaml:"services"`      // the containers, by name
	Database     Database           `yaml:"database"`      // PostgreSQL
	Monitoring   Monitoring         `yaml:"monitoring"`    // being told
	Backup       Backup             `yaml:"backup"`        // snapshots that the platform takes and keeps itself
}

// State says where Terraform keeps its state.
type State struct {
	Backend string `yaml:"backend" allowed:"local|s3"` // beside cdktf.out, or a bucket
	Bucket  string `yaml:"bucket" allowed:"~bucket"`   // s3: an existing bucket
	Region  string `yaml:"region" allowed:"~region"`   // s3: of that bucket; the stack's, if not given
}

// Network shapes the VPC.
type Network struct {
	CIDR      string   `yaml:"cidr" allowed:"~cidr"`               // /16 to /22, private; a zone's blocks follow from its letter
	Zones     []string `yaml:"zones" allowed:"~zone"`              // letters of the region's zones, two to six; a single NAT gateway stands in the first
	NAT       string   `yaml:"nat" allowed:"none|single|per-zone"` // NAT gateways; without any, tasks reach AWS through endpoints only
	Endpoints []string `yaml:"endpoints" allowed:"@endpoints"`     // interface endpoints by AWS's short name

	AllowPublicCIDR bool `yaml:"allow_public_cidr"` // take a cidr outside of RFC 1918, on purpose
}

// LoadBalancer shapes the one way in.
type LoadBalancer struct {
	Domain              string   `yaml:"domain" allowed:"~domain"`                     // name under which the application is reached; needs hosted_zone or certificate_arn
	HostedZone          string   `yaml:"hosted_zone" allowed:"~domain"`                // public Route 53 zone in which domain's records are made; brings HTTPS
	CertificateARN      string   `yaml:"certificate_arn" allowed:"~certificate"`       // an existing certificate instead of one made for domain
	AllowHTTP           bool     `yaml:"allow_http"`                                   // production: serve plain HTTP on purpose
	Sources             []string `yaml:"sources" allowed:"~cidr"`                      // CIDR blocks that may connect
	IdleTimeout         int      `yaml:"idle_timeout" allowed:"1..4000 seconds"`       // after which a silent connection is closed
	AccessLogsRetention int      `yaml:"access_logs_retention" allowed:"1..3650 days"` // of the access logs
	Firewall            Firewall `yaml:"firewall"`                                     // the web application firewall before it
}

// Firewall is the web application firewall before the balancer.
type Firewall struct {
	Enabled   bool     `yaml:"enabled"`                                      // AWS's managed rules and a rate limit
	RateLimit int      `yaml:"rate_limit" allowed:"10..2000000000 requests"` // from one address in five minutes
	CountOnly []string `yaml:"count_only" allowed:"@common_rules"`           // rules of AWS's common set that only count: they block real uploads and logins
}

// Service is one container run on Fargate.
type Service struct {
	Image        string            `yaml:"image" allowed:"~image"`                          // with a tag or digest; required but for web
	Architecture string            `yaml:"architecture" allowed:"ARM64|X86_64"`             // the image's
	CPU          int               `yaml:"cpu" allowed:"within @cpu CPU units"`             // 1024 to a vCPU
	Memory       int               `yaml:"memory" allowed:"within 512..122880 MiB"`         // in the pairs with cpu that Fargate has
	Port         int               `yaml:"port" allowed:"1024..65535"`                      // the container listens on, as another user than root
	Command      []string          `yaml:"command"`                                         // instead of the image's own
	User         string            `yaml:"user" allowed:"~user"`                            // numeric user id in the container, never 0
	Scratch      int               `yaml:"scratch" allowed:"within 16..61440 MiB"`          // of memory under /tmp, the only place that can be written; at most half of memory
	Environment  map[string]string `yaml:"environment"`                                     // variables of the container
	Secrets      map[string]string `yaml:"secrets" allowed:"~secret"`                       // variables from Secrets Manager or Parameter Store, by ARN
	SecretKeys   []string          `yaml:"secret_keys" allowed:"~key"`                      // ARNs of the KMS keys that those secrets are encrypted with
	Permissions  []Permission      `yaml:"permissions"`                                     // what the application itself may do in AWS
	Database     string            `yaml:"database" allowed:"none|read|write|owner"`        // what it may do there, with a user of its own; owner also makes and alters tables
	Connections  int               `yaml:"connections" allowed:"1..5000"`                   // to the database, at the most
	QueryTimeout int               `yaml:"query_timeout" allowed:"0..3600000 milliseconds"` // after which a statement is cancelled; 0: never
	Route        Route             `yaml:"route"`                                           // which requests it gets; none, without any condition
	HealthCheck  HealthCheck       `yaml:"health_check"`                                    // what the balancer asks each task
	Metrics      Metrics           `yaml:"metrics"`                                         // where a task tells Prometheus how it is
	Tasks        int               `yaml:"tasks" allowed:"0..1000"`                         // how many run; where scaling may add some, the least
	Scaling      Scaling           `yaml:"scaling"`                                         // bounds of automatic scaling
	Spot         bool              `yaml:"spot"`                                            // spare capacity: cheaper, may be taken away at two minutes' notice
	Exec         bool              `yaml:"exec"`                                            // allow a shell in the running container
	Repository   bool              `yaml:"repository"`                                      // make an image repository; until it holds an image keep tasks at 0
	StopTimeout  int               `yaml:"stop_timeout" allowed:"2..120 seconds"`           // between SIGTERM and SIGKILL
}

// Permission is one statement of a service's own policy.
type Permission struct {
	Actions   []string `yaml:"actions"`   // by their names, such as s3:GetObject
	Resources []string `yaml:"resources"` // by their ARNs
}

// Route says which requests the balancer hands to a service. All conditions given must hold.
type Route struct {
	Priority          int                 `yaml:"priority" allowed:"within 0..49999"`           // lowest first, unique; 0 without a route
	Paths             []string            `yaml:"paths" allowed:"~path"`                        // with * and ? for any text and any character
	Hosts             []string            `yaml:"hosts" allowed:"~host"`                        // with * and ?
	Headers           map[string][]string `yaml:"headers"`                                      // values by header
	Sources           []string            `yaml:"sources" allowed:"~cidr"`                      // CIDR blocks
	DeregistrationLag int                 `yaml:"deregistration_lag" allowed:"0..3600 seconds"` // an ending task keeps its open requests
	SlowStart         int                 `yaml:"slow_start" allowed:"0 or 30..900 seconds"`    // in which a new task gets more and more requests; 0: off
}

// HealthCheck is what the balancer asks each task.
type HealthCheck struct {
	Path        string   `yaml:"path" allowed:"~path"`
	Codes       string   `yaml:"codes" allowed:"~codes"` // HTTP codes that count as healthy
	Interval    int      `yaml:"interval" allowed:"5..300 seconds"`
	Timeout     int      `yaml:"timeout" allowed:"2..120 seconds"`       // less than interval
	GracePeriod int      `yaml:"grace_period" allowed:"0..7200 seconds"` // in which a new task may fail its checks
	Command     []string `yaml:"command"`                                // run in the container besides, where its image has it; for services without a route
}

// Metrics says where a task tells Prometheus how it is.
type Metrics struct {
	Enabled bool   `yaml:"enabled"`                    // scrape every task
	Port    int    `yaml:"port" allowed:"1024..65535"` // if it is the traffic port, the balancer answers 404 for the path
	Path    string `yaml:"path" allowed:"~path"`
}

// Scaling bounds automatic scaling. With max equal to tasks there is none, and the task count stays this file's.
type Scaling struct {
	Max       int                        `yaml:"max" allowed:"within 0..5000"`    // tasks at the most; with tasks the same there is no scaling, and the count stays this file's
	CPU       int                        `yaml:"cpu" allowed:"10..95 percent"`    // to keep
	Memory    int                        `yaml:"memory" allowed:"10..95 percent"` // to keep
	Requests  int                        `yaml:"requests" allowed:"0..1000000"`   // a minute and task to keep; 0: not scaled on
	Schedules map[string]ScalingSchedule `yaml:"schedules"`                       // other bounds at set times, by name
}

// ScalingSchedule moves the bounds at set times.
type ScalingSchedule struct {
	At       string `yaml:"at" allowed:"~at"` // cron(...) or at(...)
	Timezone string `yaml:"timezone"`         // of at; UTC, if not given
	Min      int    `yaml:"min" allowed:"0..5000"`
	Max      int    `yaml:"max" allowed:"0..5000"`
}

// Database shapes PostgreSQL.
type Database struct {
	Version           string             `yaml:"version" allowed:"within @versions"`               // major version, in quotes
	InstanceClass     string             `yaml:"instance_class" allowed:"~class"`                  // such as db.t4g.micro
	Storage           Storage            `yaml:"storage"`                                          // grows by itself
	MultiAZ           bool               `yaml:"multi_az"`                                         // a standby in another zone
	Name              string             `yaml:"name" allowed:"~database"`                         // of the first database
	Parameters        map[string]string  `yaml:"parameters"`                                       // PostgreSQL's own, over the platform's
	Retention         int                `yaml:"retention" allowed:"1..35 days"`                   // of point-in-time recovery
	BackupWindow      string             `yaml:"backup_window" allowed:"~backup_window"`           // UTC, 30 minutes or more
	MaintenanceWindow string             `yaml:"maintenance_window" allowed:"~maintenance_window"` // UTC, 30 minutes to a day
	ApplyImmediately  bool               `yaml:"apply_immediately"`                                // changes that restart it do not wait for the window
	SlowQuery         int                `yaml:"slow_query" allowed:"0..3600000 milliseconds"`     // from which a statement is logged
	Rotation          int                `yaml:"rotation" allowed:"1..1000 days"`                  // of the services' passwords
	CertificateImage  string             `yaml:"certificate_image" allowed:"~image"`               // has a shell; hands RDS's certificates to a service's container before it starts; monitoring.prometheus.config_image, if not given
	Restores          map[string]Restore `yaml:"restores"`                                         // instances restored beside the main one, by name
	Active            string             `yaml:"active"`                                           // main, or a key of restores: which one is used
}

// Storage is in GiB.
type Storage struct {
	Initial int `yaml:"initial" allowed:"20..65536 GiB"`
	Max     int `yaml:"max" allowed:"20..65536 GiB"` // as initial, or a tenth more at the least
}

// Restore says what a new instance is made from: a snapshot, or the main instance at a time.
type Restore struct {
	Snapshot  string `yaml:"snapshot" allowed:"~snapshot"`       // identifier or ARN of what it is made from
	Time      string `yaml:"time" allowed:"~time"`               // or: of the main instance, RFC 3339 in UTC
	Version   string `yaml:"version" allowed:"within @versions"` // major version; database.version, if not given
	Protected bool   `yaml:"protected"`                          // refuses to be destroyed, where the stack does
}

// Monitoring is about being told.
type Monitoring struct {
	Emails     []string   `yaml:"emails" allowed:"~email"` // who is told; each confirms by a link
	Prometheus Prometheus `yaml:"prometheus"`              // the Prometheus service
}

// Prometheus sizes the Prometheus service.
type Prometheus struct {
	Image          string `yaml:"image" allowed:"~image"`
	ConfigImage    string `yaml:"config_image" allowed:"~image"`           // has the AWS command line; fetches the configuration before Prometheus starts
	CPU            int    `yaml:"cpu" allowed:"within @cpu CPU units"`     // 1024 to a vCPU
	Memory         int    `yaml:"memory" allowed:"within 512..122880 MiB"` // in the pairs with cpu that Fargate has
	Storage        int    `yaml:"storage" allowed:"21..200 GiB"`           // of the task's disk; three quarters hold metrics
	Days           int    `yaml:"days" allowed:"1..3650 days"`             // metrics older than this go, even if there is room
	ScrapeInterval int    `yaml:"scrape_interval" allowed:"5..300 seconds"`
}

// Backup is the second layer, after point-in-time recovery: snapshots that the platform takes and keeps itself.
type Backup struct {
	Schedule   string `yaml:"schedule" allowed:"~schedule"`       // cron(...) or rate(...) of the snapshots
	Timezone   string `yaml:"timezone"`                           // of schedule
	Retention  int    `yaml:"retention" allowed:"1..3650 days"`   // of snapshots
	Minimum    int    `yaml:"minimum" allowed:"1..100"`           // snapshots that are kept whatever their age
	MaxAge     int    `yaml:"max_age" allowed:"1..744 hours"`     // of the newest snapshot, after which an alarm rings
	ObjectLock int    `yaml:"object_lock" allowed:"0..3650 days"` // in which nobody can delete an object of the backup bucket; 0: off, and once on never off
}

// The images that a file which names none gets: pinned, public, for both architectures, from registries without pull limits.
const (
	DefaultImage           = "public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim@sha256:3af0c10d960cc2502427fe1219c52989d309e7d65596869c60a34fd2fa2406f0"
	DefaultPrometheusImage = "quay.io/prometheus/prometheus:v3.15.0@sha256:efd719c99d83b060d9daefdcf00360461adf279f45ef5391f8d111892118753e"
	DefaultConfigImage     = "public.ecr.aws/aws-cli/aws-cli:2.37.4@sha256:fdd8d1fcbea9c371678dee5a40df8b178c7a781b4586605756ee28114c97ead6"
)

// defaultConfig is what holds for a profile where the file says nothing.
func defaultConfig(profile string) Config {
	production := profile == ProfileProduction
	c := Config{
		Profile:      profile,
		Protected:    production,
		LogRetention: choose(production, 90, 14),
		State:        State{Backend: choose(production, "s3", "local")},
		Network: Network{
			CIDR:  "10.0.0.0/16",
			Zones: choose(production, []string{"a", "b", "c"}, []string{"a", "b"}),
			NAT:   choose(production, "per-zone", "single"),
		},
		LoadBalancer: LoadBalancer{
			Sources:             []string{"0.0.0.0/0"},
			IdleTimeout:         60,
			AccessLogsRetention: choose(production, 90, 14),
			Firewall: Firewall{
				Enabled:   production,
				RateLimit: 2000,
				CountOnly: []string{"SizeRestrictions_BODY", "GenericRFI_QUERYARGUMENTS"},
			},
		},
		Services: map[string]Service{"web": defaultService("web", profile)},
		Database: Database{
			Version:           "17",
			InstanceClass:     choose(production, "db.m7g.large", "db.t4g.micro"),
			Storage:           Storage{Initial: choose(production, 100, 20), Max: choose(production, 1000, 100)},
			MultiAZ:           production,
			Name:              "app",
			Retention:         choose(production, 30, 7),
			BackupWindow:      "01:00-02:00",
			MaintenanceWindow: "sun:04:30-sun:05:30",
			ApplyImmediately:  !production,
			SlowQuery:         1000,
			Rotation:          30,
			Active:            MainDatabase,
		},
		Monitoring: Monitoring{Prometheus: Prometheus{
			Image:          DefaultPrometheusImage,
			ConfigImage:    DefaultConfigImage,
			CPU:            choose(production, 1024, 256),
			Memory:         choose(production, 4096, 1024),
			Storage:        choose(production, 100, 21),
			Days:           choose(production, 30, 7),
			ScrapeInterval: 30,
		}},
		Backup: Backup{
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
func defaultService(name, profile string) Service {
	production := profile == ProfileProduction
	s := Service{
		Architecture: "ARM64",
		CPU:          choose(production, 512, 256),
		Memory:       choose(production, 1024, 512),
		Port:         8080,
		User:         "65532",
		Scratch:      64,
		Database:     "none",
		Connections:  choose(production, 100, 20),
		QueryTimeout: 60_000,
		Route:        Route{DeregistrationLag: 30},
		HealthCheck:  HealthCheck{Path: "/", Codes: "200-299", Interval: 15, Timeout: 5, GracePeriod: 60},
		Metrics:      Metrics{Port: 9090, Path: "/metrics"},
		Tasks:        choose(production, 2, 1),
		Scaling:      Scaling{CPU: 60, Memory: 75},
		Spot:         !production,
		StopTimeout:  30,
	}
	if name == "web" {
		s.Image = DefaultImage
		s.User = "101" // nginx in the default image
		s.Database = "owner"
		s.Route.Priority, s.Route.Paths = 1000, []string{"/*"}
		s.Scaling.Max = choose(production, 6, 1)
	}
	return s
}

// StateFile is the name of the local state.
func (c *Config) StateFile() string { return "terraform." + c.Stack() + ".tfstate" }

// The profiles.
const (
	ProfileDevelopment = "development"
	ProfileProduction  = "production"
	MainDatabase       = "main"
)

// Load reads and checks config/<environment>.yaml below root, with the variables of environ, entries NAME=value, over it. The error
// holds every problem there is, a line each. The document tells where each value comes from, and has the warnings.
func Load(root, environment string, environ []string) (*Config, *Document, error) {
	if !environmentName.MatchString(environment) {
		return nil, nil, fmt.Errorf("ENVIRONMENT=%q: want a name of lower-case letters, digits and dashes, such as dev", environment)
	}
	strict, err := readStrict(environ)
	if err != nil {
		return nil, nil, err
	}
	file := "config/" + environment + ".yaml"
	text, err := os.ReadFile(filepath.Join(root, file))
	if os.IsNotExist(err) {
		return nil, nil, fmt.Errorf("%s: there is no such file: ENVIRONMENT=%s names it, and there is %s", file, environment, environments(root))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: cannot be read: %v", file, fileerror.Reason(err))
	}
	cfg, doc := readConfig(file, environment, text, infraVariables(environ))
	if err := doc.err(); err != nil {
		return nil, nil, err
	}
	if strict && len(doc.warnings) > 0 {
		return nil, nil, &refusal{doc, doc.warnings}
	}
	return cfg, doc, nil
}

// Parse reads and checks a text that stands alone; file is the name that its errors carry.
func Parse(file, environment string, text []byte) (*Config, error) {
	cfg, doc := readConfig(file, environment, text, nil)
	if err := doc.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// readConfig decodes and checks a file's text, with variables, by name, over it. What is wrong is in the document.
func readConfig(file, environment string, text []byte, variables map[string]string) (*Config, *Document) {
	var first struct {
		Profile string `yaml:"profile"`
	}
	decodeYAML(file, text, &first, noElement) // only for the profile, which decides the defaults; its problems come again below
	profile := cmp.Or(variables[variableOf("profile")], first.Profile)
	if profile != ProfileProduction {
		profile = ProfileDevelopment
	}
	cfg := defaultConfig(profile)
	cfg.Environment = environment
	doc := decodeYAML(file, text, &cfg, func(path string) any {
		if name, ok := strings.CutPrefix(path, "services."); ok {
			return defaultService(name, profile)
		}
		if strings.HasPrefix(path, "database.restores.") {
			return Restore{Protected: true}
		}
		return nil
	})
	if !doc.unread[""] {
		doc.override(&cfg, variables)
		cfg.derive(doc)
		check(&cfg, doc)
		warn(&cfg, doc)
	}
	return &cfg, doc
}

func noElement(string) any { return nil }

// derive fills what follows from other settings, where the file says nothing of its own.
func (c *Config) derive(doc *Document) {
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
	if c.Database.CertificateImage == "" {
		c.Database.CertificateImage = c.Monitoring.Prometheus.ConfigImage
	}
	if c.State.Region == "" {
		c.State.Region = c.Region
	}
}

// Stack is <name>-<environment>: Terraform's name for it all, and the beginning of every AWS name.
func (c *Config) Stack() string { return c.Name + "-" + c.Environment }

// ResourceName is an AWS name within account and region.
func (c *Config) ResourceName(noun string) string { return c.Stack() + "-" + noun }

// IAMName names the region too: IAM has none, and a second stack in another region needs a name of its own.
func (c *Config) IAMName(noun string) string { return c.Stack() + "-" + c.Region + "-" + noun }

// DatabaseServices are the services that have a user in the database, in order.
func (c *Config) DatabaseServices() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Services)), func(name string) bool { return !c.Services[name].UsesDatabase() })
}

// Production tells whether the profile is that of production.
func (c *Config) Production() bool { return c.Profile == ProfileProduction }

// KeepsData tells whether a last snapshot and the automated backups outlive the database.
func (c *Config) KeepsData() bool { return c.Production() || c.Protected }

// SortedZones are the letters in order: resources are declared in it, whatever the file's order.
func (c *Config) SortedZones() []string { return slices.Sorted(slices.Values(c.Network.Zones)) }

// HTTPS tells whether the balancer serves TLS.
func (c *Config) HTTPS() bool {
	return c.LoadBalancer.CertificateARN != "" || c.LoadBalancer.Domain != ""
}

func (r Route) conditions() int {
	return len(r.Paths) + len(r.Hosts) + len(r.Headers) + len(r.Sources)
}

// wildcards are how many stand in all conditions of the rule.
func (r Route) wildcards() (n int) {
	for _, values := range append([][]string{r.Paths, r.Hosts}, slices.Collect(maps.Values(r.Headers))...) {
		for _, value := range values {
			n += strings.Count(value, "*") + strings.Count(value, "?")
		}
	}
	return n
}

// key is the same for two routes with the same conditions, in whatever order.
func (r Route) key() string {
	sorted := func(values []string) []string { return slices.Sorted(slices.Values(values)) }
	headers := map[string][]string{}
	for header, values := range r.Headers {
		headers[strings.ToLower(header)] = sorted(values)
	}
	return fmt.Sprintf("%q %q %q %q", sorted(r.Paths), sorted(r.Hosts), sorted(r.Sources), headers)
}

// UsesDatabase tells whether the service has a user in the database.
func (s Service) UsesDatabase() bool { return s.Database != "none" }

// Routed tells whether the balancer knows the service.
func (s Service) Routed() bool { return s.Route.conditions() > 0 }

// Scaled tells whether the number of tasks is AWS's to change; with it, requests and schedules mean something.
func (s Service) Scaled() bool { return s.Scaling.Max > s.Tasks || len(s.Scaling.Schedules) > 0 }

// HidesMetrics tells whether the balancer has to keep the service's metrics from the public.
func (s Service) HidesMetrics() bool {
	return s.Routed() && s.Metrics.Enabled && s.Metrics.Port == s.Port
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
