package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"platform/internal/config/yaml"
)

// Config is the configuration of one environment: the settings of config/<environment>.yaml over
// the defaults of its profile. Every module gets all of it.
//
// A field's yaml tag is its key. Its allowed tag says which values are valid, and in which unit;
// see [Allowed]. The tables in docs/settings.md and the schema for editors are generated from a
// field's comment, its default and its allowed tag.
type Config struct {
	Environment string `yaml:"-"` // the file's name without .yaml; in names and tags, never in construct ids

	// application name; with the environment, the prefix of all AWS names
	Name string `yaml:"name" allowed:"~name"`
	// AWS region of the commercial partition
	Region string `yaml:"region" allowed:"~region"`
	// AWS account ID; a deployment to any other account fails
	Account string `yaml:"account" allowed:"~account"`
	// selects the defaults; production has additional checks
	Profile string `yaml:"profile" allowed:"development|production"`
	// prevents the destruction of databases, backups, KMS keys, the VPC and the load balancer
	Protected bool `yaml:"protected"`
	// tags for every resource, at most 6
	Tags map[string]string `yaml:"tags"`
	// prefixes of the account's ECR pull-through cache rules, such as docker-hub; tasks may import
	// images below them
	PullThroughCache []string `yaml:"pull_through_cache" allowed:"~cache_prefix"`
	// retention of every log group
	LogRetention int `yaml:"log_retention" allowed:"within @retentions days"`

	State        State              `yaml:"state"`         // where Terraform keeps its state
	Network      Network            `yaml:"network"`       // the VPC
	LoadBalancer LoadBalancer       `yaml:"load_balancer"` // the public entry point
	Services     map[string]Service `yaml:"services"`      // containers on Fargate, by name; default: a demonstration
	Database     Database           `yaml:"database"`      // PostgreSQL
	Monitoring   Monitoring         `yaml:"monitoring"`    // alarms and Prometheus
	Backup       Backup             `yaml:"backup"`        // scheduled snapshots
}

// State says where Terraform keeps its state.
type State struct {
	Backend string `yaml:"backend" allowed:"local|s3"` // local: a file beside cdktf.out; s3: a bucket
	Bucket  string `yaml:"bucket" allowed:"~bucket"`   // existing bucket for backend s3
	Region  string `yaml:"region" allowed:"~region"`   // region of that bucket; default: the stack's region
}

// The profiles.
const (
	ProfileDevelopment = "development"
	ProfileProduction  = "production"
)

// profile decides the defaults.
type profile string

// pick returns the default of a profile.
func pick[T any](p profile, development, production T) T {
	if p == ProfileProduction {
		return production
	}
	return development
}

// defaultConfig returns the defaults of a profile.
func defaultConfig(p profile) Config {
	return Config{
		Profile:      string(p),
		Protected:    pick(p, false, true),
		LogRetention: pick(p, 14, 90),
		State:        State{Backend: pick(p, "local", "s3")},
		Network:      networkDefaults(p),
		LoadBalancer: loadBalancerDefaults(p),
		Services:     demonstration(p),
		Database:     databaseDefaults(p),
		Monitoring:   monitoringDefaults(p),
		Backup:       backupDefaults(p),
	}
}

// deriveState sets the default region of the state: the stack's region.
func (c *Config) deriveState() {
	if c.State.Region == "" {
		c.State.Region = c.Region
	}
}

// Stack returns <name>-<environment>: the name of the stack, and the prefix of all AWS names.
func (c *Config) Stack() string { return c.Name + "-" + c.Environment }

// ResourceName returns an AWS name that is unique in an account and region.
func (c *Config) ResourceName(noun string) string { return c.Stack() + "-" + noun }

// IAMName returns an AWS name that is unique in an account. IAM is global: a stack of the
// same name in another region must have other names.
func (c *Config) IAMName(noun string) string { return c.Stack() + "-" + c.Region + "-" + noun }

// StateFile returns the name of the local state.
func (c *Config) StateFile() string { return "terraform." + c.Stack() + ".tfstate" }

// Production tells whether the profile is production.
func (c *Config) Production() bool { return c.Profile == ProfileProduction }

// KeepsData tells whether backups outlive the stack: a final snapshot and the automated backups of
// the database, and the objects of the backup bucket, with the keys that encrypt them.
func (c *Config) KeepsData() bool { return c.Production() || c.Protected }

var (
	environmentName = form("name", `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	regionName      = form("region", `^(af|ap|ca|eu|il|me|mx|sa|us)-`+
		`(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)
	accountID  = form("account", `^[0-9]{12}$`)
	bucketName = form("bucket", `^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	cacheName  = form("cache_prefix", `^[a-z0-9]+([._/-][a-z0-9]+)*$`)
	tagText    = regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)
)

// platformTags are set on every resource by the platform.
var platformTags = []string{"Application", "Environment", "ManagedBy", "Name"}

// readTags are tags by which Prometheus finds tasks and the backup function its snapshots. On every
// resource, they would make Prometheus scrape tasks without metrics.
var readTags = []string{"BackupOf", "MetricsPath", "MetricsPort", "ScheduledTime"}

// reservedPrefixes begin names that AWS rejects. The stack's name begins the name of each resource.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var reservedPrefixes = []struct{ prefix, of string }{
	{"internal-", "a load balancer"},
	{"sg-", "a security group"},
	{"amzn-s3-demo-", "an S3 bucket"},
	{"sthree-", "an S3 bucket"},
}

const (
	// The longest name with this prefix is that of the access logs bucket, which ends in a noun,
	// the account and the region. S3 allows 63 characters.
	stackNameLimit = 22
	// S3 allows ten tags on an object; four are platformTags.
	tagLimit = 6
)

func (c checker) platform() {
	cfg := c.cfg
	c.want(cfg.Name != "", "name", "is required: the application's name, such as shop")
	c.want(cfg.Name == "" || environmentName.MatchString(cfg.Name), "name",
		"want lower-case letters, digits and single dashes, starting with a letter, have %q", cfg.Name)
	c.want(len(cfg.Stack()) <= stackNameLimit, "name",
		"want at most %d characters in <name>-<environment>, the prefix of all AWS names, have %d (%s)",
		stackNameLimit, len(cfg.Stack()), cfg.Stack())
	for _, reserved := range reservedPrefixes {
		c.want(!strings.HasPrefix(cfg.Stack()+"-", reserved.prefix), "name",
			"want another name: the stack's name would begin with %s, which AWS rejects in the name of %s, have %q",
			reserved.prefix, reserved.of, cfg.Name)
	}
	c.want(cfg.Region != "", "region", "is required: an AWS region, such as eu-central-1")
	c.want(cfg.Region == "" || regionName.MatchString(cfg.Region), "region",
		"want an AWS region of the commercial partition, such as eu-central-1, have %q", cfg.Region)
	c.region(cfg.Region, providerRegions, "the AWS provider in use does not know it")
	c.want(cfg.Account == "" || accountID.MatchString(cfg.Account), "account",
		"want 12 digits in quotes, have %q", cfg.Account)
	c.want(slices.Contains(retentions, cfg.LogRetention), "log_retention",
		"want a number of days that CloudWatch Logs supports (%s), have %d",
		strings.Trim(fmt.Sprint(retentions), "[]"), cfg.LogRetention)
	c.tags(cfg.Tags)
	c.each("pull_through_cache", cfg.PullThroughCache, func(c checker, prefix string) {
		c.want(cacheName.MatchString(prefix) && len(prefix) >= 2 && len(prefix) <= 30, "",
			"want the prefix of a pull-through cache rule, 2 to 30 characters, such as docker-hub, have %q", prefix)
	})
	c.unique("pull_through_cache", cfg.PullThroughCache, "prefix")
	c.at("state").state(cfg.State)
}

func (c checker) tags(tags map[string]string) {
	seen := map[string]string{} // keys by their lower-case form
	for key, value := range inOrder(tags) {
		c.want(isTag(key, value), "tags."+key,
			"want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, "+
				"not starting with aws:")
		reserved := func(other string) bool { return strings.EqualFold(other, key) }
		c.want(!slices.ContainsFunc(platformTags, reserved), "tags."+key,
			"reserved key, whatever its case: the platform sets the tags %s itself", strings.Join(platformTags, ", "))
		c.want(!slices.ContainsFunc(readTags, reserved), "tags."+key, "reserved key, whatever its case: "+
			"the platform finds tasks and snapshots by the tags %s", strings.Join(readTags, ", "))
		first, duplicate := seen[strings.ToLower(key)]
		c.want(!duplicate, "tags."+key, "duplicate key, also %q: IAM ignores case in the keys of tags", first)
		seen[strings.ToLower(key)] = key
	}
	c.want(len(tags) <= tagLimit, "tags",
		"want at most %d, because S3 allows 10 tags on an object and the platform sets 4, have %d", tagLimit, len(tags))
}

// isTag tells whether AWS accepts a tag.
func isTag(key, value string) bool {
	return len(key) > 0 && len(key) <= 128 && len(value) <= 256 &&
		tagText.MatchString(key+value) &&
		!strings.HasPrefix(strings.ToLower(key), "aws:")
}

func (c checker) state(s State) {
	remote := s.Backend == "s3"
	forgotten := remote && s.Bucket == "" && c.cfg.Production()
	c.want(!forgotten, "", "want state.bucket, an S3 bucket for Terraform's state, "+
		"or state.backend: local to keep the state on one machine")
	c.want(!remote || forgotten || bucketName.MatchString(s.Bucket), "bucket",
		"want the name of an S3 bucket, have %q", s.Bucket)
	c.want(remote || s.Bucket == "", "bucket", "must be unset with state.backend: local")
	c.want(s.Region == c.cfg.Region || regionName.MatchString(s.Region), "region",
		"want an AWS region, have %q", s.Region)
	if s.Region != c.cfg.Region { // the stack's region is checked elsewhere
		c.region(s.Region, awsRegions, "")
	}
}

// region checks that a region exists and is one of the known ones. The reason is for a region that
// is not known.
func (c checker) region(region string, known []string, reason string) {
	valid := regionName.MatchString(region)
	exists := slices.Contains(awsRegions, region)
	near := yaml.Nearest(region, known)
	if near != "" {
		near = ", did you mean " + near + "?"
	}
	c.want(!valid || exists, "region", "want a region of AWS, have %q%s", region, near)
	c.want(!exists || slices.Contains(known, region), "region", "want another region than %s: %s", region, reason)
}

func (w warner) platform() {
	production := w.cfg.Production()
	w.warn(production && !w.cfg.Protected, "protected",
		"one command can destroy the database and its backups; want true")
	w.warn(production && w.cfg.State.Backend != "s3", "state.backend",
		"local state is lost with the machine and is not locked for other machines; want s3")
	region := w.cfg.State.Region
	unknown := slices.Contains(awsRegions, region) && !slices.Contains(backendRegions, region)
	w.warn(unknown && w.cfg.State.Backend == "s3", "state.region", "Terraform 1.11 does not support %s as the "+
		"region of a state: use a later version, or a bucket in another region", region)
}
