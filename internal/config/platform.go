package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Config is one environment: what config/<environment>.yaml says, over the defaults of its profile.
// Every module is given the whole of it.
//
// Beside its key a field has the allowed tag: what it may hold, and in which unit; see [Allowed]. A
// field's comment, its default and its limits make up the README's table and the schema for
// editors.
type Config struct {
	Environment string `yaml:"-"` // the file's name without .yaml; in names and tags, never in construct ids

	// the application; with the environment it names everything
	Name string `yaml:"name" allowed:"~name"`
	// AWS region of the commercial partition
	Region string `yaml:"region" allowed:"~region"`
	// AWS account; deploying to any other is refused
	Account string `yaml:"account" allowed:"~account"`
	// which defaults and which rules
	Profile string `yaml:"profile" allowed:"development|production"`
	// data, keys and balancer refuse to be destroyed
	Protected bool `yaml:"protected"`
	// added to every resource, at most 6
	Tags map[string]string `yaml:"tags"`
	// of every log group
	LogRetention int `yaml:"log_retention" allowed:"within @retentions days"`

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

// defaultConfig returns what a profile has where the file says nothing.
func defaultConfig(p profile) Config {
	return Config{
		Profile:      string(p),
		Protected:    pick(p, false, true),
		LogRetention: pick(p, 14, 90),
		State:        State{Backend: pick(p, "local", "s3")},
		Network:      networkDefaults(p),
		LoadBalancer: loadBalancerDefaults(p),
		Services:     map[string]Service{"web": serviceDefaults("web", p)},
		Database:     databaseDefaults(p),
		Monitoring:   monitoringDefaults(p),
		Backup:       backupDefaults(p),
	}
}

// deriveState takes the stack's region for the state, unless the file says otherwise.
func (c *Config) deriveState() {
	if c.State.Region == "" {
		c.State.Region = c.Region
	}
}

// Stack returns <name>-<environment>: the name of the stack, and the beginning of every AWS name.
func (c *Config) Stack() string { return c.Name + "-" + c.Environment }

// ResourceName returns an AWS name that is unique in an account and region.
func (c *Config) ResourceName(noun string) string { return c.Stack() + "-" + noun }

// IAMName returns an AWS name that is unique in an account. IAM has no regions: a second stack in
// another region needs names of its own.
func (c *Config) IAMName(noun string) string { return c.Stack() + "-" + c.Region + "-" + noun }

// StateFile returns the name of the local state.
func (c *Config) StateFile() string { return "terraform." + c.Stack() + ".tfstate" }

// Production tells whether the profile is production.
func (c *Config) Production() bool { return c.Profile == ProfileProduction }

// KeepsData tells whether a final snapshot and the automated backups outlive the database.
func (c *Config) KeepsData() bool { return c.Production() || c.Protected }

var (
	environmentName = form("name", `^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	regionName      = form("region", `^(af|ap|ca|eu|il|me|mx|sa|us)-`+
		`(central|east|north|northeast|northwest|south|southeast|southwest|west)-[1-9]$`)
	accountID  = form("account", `^[0-9]{12}$`)
	bucketName = form("bucket", `^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	tagText    = regexp.MustCompile(`^[\p{L}\p{N} _.:/=+@-]*$`)
)

// platformTags are on every resource already.
var platformTags = []string{"Application", "Environment", "ManagedBy", "Name"}

const (
	// The longest name made from the stack's is the access-log bucket's: with noun, account and
	// region, in 63.
	stackNameLimit = 22
	// S3 allows ten tags on an object; four are platformTags.
	tagLimit = 6
)

func (c checker) platform() {
	cfg := c.cfg
	c.want(cfg.Name != "", "name", "is required: the application's name, such as shop")
	c.want(cfg.Name == "" || environmentName.MatchString(cfg.Name), "name",
		"want lower-case letters, digits and single dashes, a letter first, have %q", cfg.Name)
	c.want(len(cfg.Stack()) <= stackNameLimit, "name",
		"want at most %d characters together with the environment, since AWS names are made from it, have %d (%s)",
		stackNameLimit, len(cfg.Stack()), cfg.Stack())
	c.want(cfg.Region != "", "region", "is required: an AWS region, such as eu-central-1")
	c.want(cfg.Region == "" || regionName.MatchString(cfg.Region), "region",
		"want an AWS region of the commercial partition, such as eu-central-1, have %q", cfg.Region)
	c.want(cfg.Account == "" || accountID.MatchString(cfg.Account), "account",
		"want 12 digits in quotes, have %q", cfg.Account)
	c.want(slices.Contains(retentions, cfg.LogRetention), "log_retention",
		"want a number of days that CloudWatch Logs knows (%s), have %d",
		strings.Trim(fmt.Sprint(retentions), "[]"), cfg.LogRetention)
	c.tags(cfg.Tags)
	c.at("state").state(cfg.State)
}

func (c checker) tags(tags map[string]string) {
	for key, value := range inOrder(tags) {
		c.want(isTag(key, value), "tags."+key,
			"want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, "+
				"not beginning with aws:")
		c.want(!slices.Contains(platformTags, key), "tags."+key,
			"want another key, since %s are the platform's own", strings.Join(platformTags, ", "))
	}
	c.want(len(tags) <= tagLimit, "tags",
		"want at most %d: an object in S3 takes ten, and the platform has its own, have %d", tagLimit, len(tags))
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
		"or state.backend: local if a state on one machine is meant")
	c.want(!remote || forgotten || bucketName.MatchString(s.Bucket), "bucket",
		"want the name of an S3 bucket, have %q", s.Bucket)
	c.want(remote || s.Bucket == "", "bucket", "has no meaning with state.backend: local")
	c.want(s.Region == c.cfg.Region || regionName.MatchString(s.Region), "region",
		"want an AWS region, have %q", s.Region)
}

func (w warner) platform() {
	production := w.cfg.Production()
	w.warn(production && !w.cfg.Protected, "protected",
		"without it one command destroys the database and its backups")
	w.warn(production && w.cfg.State.Backend != "s3", "state.backend",
		"a state on one machine is lost with it, and locks nobody out")
}
