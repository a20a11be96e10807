package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// DatabaseUser is what the database function must know of a service with a database user, or of a
// user of the platform itself.
type DatabaseUser struct {
	Level            string `json:"level"`
	Connections      int    `json:"connections"`
	StatementTimeout int    `json:"statement_timeout"` // milliseconds; 0: none

	// Database is the database of the service's own; "" is database.name.
	Database string `json:"database,omitempty"`

	// Service is the service of ECS that a rotation deploys again, for a user of the platform. Tasks
	// that read the secret each time that they start have none.
	Service string `json:"service,omitempty"`

	// URL are the parameters of the URL that the secret gets too; nil if it gets none.
	URL *string `json:"url,omitempty"`
}

// The users of the platform itself. No service can have such a name, because of the underscore. The
// database function derives the level from it.
const (
	DumpUser    = "platform_dump"    // reads all that services own, for the logical dumps
	MonitorUser = "platform_monitor" // reads PostgreSQL's statistics, for the exporter of metrics
)

// MonitorService is the service of ECS that logs in as [MonitorUser].
const MonitorService = "database_exporter"

// PlatformUsers returns the users of the platform itself in the database, by name: those of the
// features that are on.
func (c *Config) PlatformUsers() map[string]DatabaseUser {
	users := map[string]DatabaseUser{}
	if c.Backup.Dump.Enabled {
		// A restore opens one more session, and a dump that is started by hand another. The dumps of all
		// databases run at the same time.
		users[DumpUser] = DatabaseUser{Level: "dump", Connections: 3 + len(c.FurtherDatabases())}
	}
	if c.Monitoring.ReadsDatabase() {
		users[MonitorUser] = DatabaseUser{
			Level: "monitor", Connections: 5, StatementTimeout: 10_000, Service: MonitorService,
		}
	}
	return users
}

// databaseUsers returns the users of services and of the platform, by name.
func (c *Config) databaseUsers() map[string]DatabaseUser {
	users := c.PlatformUsers()
	for _, name := range c.DatabaseServices() {
		d := c.Services[name].Database
		user := DatabaseUser{Level: d.Access, Connections: d.Connections, StatementTimeout: d.QueryTimeout}
		if name := c.DatabaseOf(c.Services[name]); name != c.Database.Name {
			user.Database = name
		}
		if d.HasURL() {
			user.URL = &d.URLParameters
		}
		users[name] = user
	}
	return users
}

// DatabaseUserNames returns the names of all users in the database, in order: of services and of the
// platform.
func (c *Config) DatabaseUserNames() []string { return slices.Sorted(maps.Keys(c.databaseUsers())) }

// RestartedServices returns the services of ECS that log in to the database, in order.
func (c *Config) RestartedServices() []string {
	services := c.DatabaseServices()
	for _, user := range c.PlatformUsers() {
		if user.Service != "" {
			services = append(services, user.Service)
		}
	}
	return slices.Sorted(slices.Values(services))
}

// DatabaseUsers returns the users in the database in JSON, by name. It is the desired state, which
// the database function has in its environment: every call reads the same state, and needs no
// permission and no network for that.
func (c *Config) DatabaseUsers() string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)          // & would take six bytes
	_ = encoder.Encode(c.databaseUsers()) // of texts and numbers: it cannot fail
	return strings.TrimSpace(out.String())
}

// environmentLimit is how many bytes the variables of a Lambda function may have. With more and
// more services, this limit is reached before IAM's limit of 10,240 characters for the function's
// policy, which names two ARNs for each service.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const environmentLimit = 4096

// otherVariables is more bytes than all other variables of the database function take, in JSON and
// with their names. Their exact size is unknown before a deployment: among them are the address of
// the instance and the ARN of a secret.
const otherVariables = 768

// databaseEnvironment checks that the desired state fits into the function's environment. It counts
// the text as it is inside JSON, where a quotation mark takes two bytes: AWS does not say how it
// counts.
func (c checker) databaseEnvironment() {
	text := c.cfg.DatabaseUsers()
	have := len(strconv.Quote(text)) + otherVariables
	c.want(have <= environmentLimit, "services",
		"want at most %d bytes of variables for the database function, which Lambda allows, have %d with %d services: "+
			"remove database from services that do not need it, or split the stack",
		environmentLimit, have, len(c.cfg.DatabaseServices()))
}

// dailyRun is the time in minutes that no other window may overlap when the daily call of the
// database function begins: five minutes for the call, and time for two retries.
const dailyRun = 30

// DailyCall returns the cron expression, in UTC, of the daily call of the database function: the
// first half hour after the rotation window that is in neither the backup nor the maintenance
// window, so that a failed rotation of this night is seen.
func (d Database) DailyCall() string {
	rotation, _ := parseDaily(d.RotationWindow) // checked with the configuration, as the others
	backup, _ := parseDaily(d.BackupWindow)
	maintenance, _ := parseWeekly(d.MaintenanceWindow)
	night := window{maintenance.start % minutesOfDay, maintenance.length}
	end := rotation.start + rotation.length
	for _, taken := range [][]window{{backup, night}, {backup}, {}} {
		for at := end; at < end+minutesOfDay-rotation.length; at += dailyRun {
			call := window{at % minutesOfDay, dailyRun}
			if !call.overlapsAny(taken) {
				return fmt.Sprintf("cron(%d %d * * ? *)", call.start%60, call.start/60)
			}
		}
	}
	return fmt.Sprintf("cron(0 %d * * ? *)", end/60%24) // a rotation window of a whole day
}
