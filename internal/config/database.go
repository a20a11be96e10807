package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Database configures PostgreSQL on RDS.
type Database struct {
	// create the database; false: the stack has none, and no backups; see Without a database in
	// docs/operations.md
	Enabled bool `yaml:"enabled"`
	// PostgreSQL major version, in quotes
	Version string `yaml:"version" allowed:"within @versions"`
	// RDS instance class, such as db.t4g.micro
	InstanceClass string `yaml:"instance_class" allowed:"~class"`
	// allocated storage, with autoscaling
	Storage Storage `yaml:"storage"`
	// a standby in another zone
	MultiAZ bool `yaml:"multi_az"`
	// name of the first database
	Name string `yaml:"name" allowed:"~database"`
	// PostgreSQL parameters, which replace the platform's; static ones wait for a restart
	Parameters map[string]string `yaml:"parameters"`
	// retention of automated backups, for point-in-time recovery
	Retention int `yaml:"retention" allowed:"1..35 days"`
	// daily, in UTC, at least 30 minutes
	BackupWindow string `yaml:"backup_window" allowed:"~backup_window"`
	// weekly, in UTC, 30 minutes to a day
	MaintenanceWindow string `yaml:"maintenance_window" allowed:"~maintenance_window"`
	// apply changes that restart the instance at once, instead of in the maintenance window
	ApplyImmediately bool `yaml:"apply_immediately"`
	// statements that take at least this long are logged
	SlowQuery int `yaml:"slow_query" allowed:"0..3600000 milliseconds"`
	// interval between rotations of the services' passwords
	Rotation int `yaml:"rotation" allowed:"1..1000 days"`
	// daily window, in UTC, for rotating passwords and replacing the services' tasks; default: two
	// hours before maintenance_window that do not overlap backup_window
	RotationWindow string `yaml:"rotation_window" allowed:"~rotation_window"`
	// image with a shell; before a service's container starts, copies the RDS certificates into it and
	// makes its folders on disk writable;
	// default: monitoring.prometheus.config_image
	CertificateImage string `yaml:"certificate_image" allowed:"~image"`
	// additional instances, restored from a snapshot or a point in time, by name
	Restores map[string]Restore `yaml:"restores"`
	// instance that the services use: main, or a key of restores
	Active string `yaml:"active"`
}

// Storage configures the size of an instance's storage.
type Storage struct {
	Initial int `yaml:"initial" allowed:"20..65536 GiB"`
	// limit of storage autoscaling: at least 10% more than initial; the same: off
	Max int `yaml:"max" allowed:"20..65536 GiB"`
}

// Restore configures an instance that is restored from a snapshot, or from the main instance at a
// point in time.
type Restore struct {
	Snapshot string `yaml:"snapshot" allowed:"~snapshot"` // identifier or ARN of the snapshot to restore
	// or: point in time of the main instance to restore, RFC 3339 in UTC
	Time string `yaml:"time" allowed:"~time"`
	// ARN of automated backups in the stack's region, from which time is restored instead of the main
	// instance: those of a deleted instance, or replicated from another region; without time: as late
	// as possible
	AutomatedBackup string `yaml:"automated_backup" allowed:"~automated_backup"`
	// PostgreSQL major version; default: database.version
	Version string `yaml:"version" allowed:"within @versions"`
	// prevents its destruction while the stack is protected
	Protected bool `yaml:"protected"`
}

// MainDatabase is the name of the instance that is not restored.
const MainDatabase = "main"

func databaseDefaults(p profile) Database {
	return Database{
		Enabled:           true,
		Version:           "17",
		InstanceClass:     pick(p, "db.t4g.micro", "db.m7g.large"),
		Storage:           Storage{Initial: pick(p, 20, 100), Max: pick(p, 100, 1000)},
		MultiAZ:           pick(p, false, true),
		Name:              "app",
		Retention:         pick(p, 7, 30),
		BackupWindow:      "01:00-02:00",
		MaintenanceWindow: "sun:04:30-sun:05:30",
		ApplyImmediately:  pick(p, true, false),
		SlowQuery:         1000,
		Rotation:          30,
		RotationWindow:    "02:00-04:00",
		Active:            MainDatabase,
	}
}

// restoreDefaults returns the defaults of a restored instance.
func restoreDefaults() Restore { return Restore{Protected: true} }

// deriveDatabase sets the defaults that depend on other settings.
func (c *Config) deriveDatabase(doc *Document) {
	c.deriveDemonstration(doc)
	for name, restore := range c.Database.Restores {
		if restore.Version == "" {
			restore.Version = c.Database.Version
			c.Database.Restores[name] = restore
		}
	}
	if !doc.Names("database.rotation_window") {
		c.Database.deriveRotation()
	}
	if c.Database.CertificateImage == "" {
		c.Database.CertificateImage = c.Monitoring.Prometheus.ConfigImage
	}
}

// deriveDemonstration takes the database from the demonstration, if there is none.
func (c *Config) deriveDemonstration(doc *Document) {
	if c.Database.Enabled || doc.Names("services") || doc.Names("services.web.database.access") {
		return
	}
	web := c.Services["web"]
	web.Database.Access = "none"
	c.Services["web"] = web
}

// BackupBucket reports whether the stack has the bucket of the backups. A stack without a database has
// it, and the keys of the database and of the bucket, as long as it keeps data: they belong to what an
// earlier database has left.
func (c *Config) BackupBucket() bool { return c.Database.Enabled || c.KeepsData() }

// DatabaseServices returns the names of the services that have a user in the database, in order.
func (c *Config) DatabaseServices() (names []string) {
	for name, s := range inOrder(c.Services) {
		if s.UsesDatabase() {
			names = append(names, name)
		}
	}
	return names
}

// MaxConnections returns how many connections PostgreSQL allows: about what RDS sets, unless the
// configuration says it. 0 if neither is known.
func (d Database) MaxConnections() int {
	if set, err := strconv.Atoi(d.Parameters["max_connections"]); err == nil {
		return set
	}
	return maxConnections(d.InstanceClass)
}

var (
	databaseName  = form("database", `^[a-z][a-z0-9_]{0,62}$`)
	restoreName   = regexp.MustCompile(`^[a-z][a-z0-9]{0,14}$`)
	parameterName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`)
	snapshotName  = form("snapshot", `^(arn:aws:rds:[a-z0-9-]+:[0-9]{12}:snapshot:)?`+
		`((rds|awsbackup):)?[A-Za-z](-?[A-Za-z0-9])*$`)
	_ = form("time", `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`)
)

var automatedBackup = form("automated_backup", `^arn:aws:rds:[a-z0-9-]+:[0-9]{12}:auto-backup:ab-[a-z0-9]+$`)

func (c checker) database() {
	c.databaseCertificates()
	c.databaseEnvironment()
	d := c.cfg.Database
	c = c.at("database")
	c.postgresVersion(d.Version)
	if _, err := ClassMemory(d.InstanceClass); err != nil {
		c.want(false, "instance_class", "%v", err)
	}
	c.at("storage").storage(d.Storage)
	c.want(databaseName.MatchString(d.Name) && !slices.Contains(DatabaseWords, d.Name), "name",
		"want lower-case letters, digits and underscores, starting with a letter, and no word that PostgreSQL "+
			"or RDS reserves, have %q", d.Name)
	c.windows(d)
	c.rotationWindow(d)
	c.want(d.Enabled || len(d.Restores) == 0, "restores", "want none, because database.enabled is false: each "+
		"of these instances has its own protection, so remove them and deploy before you set it")
	for name, restore := range inOrder(d.Restores) {
		c.at("restores", name).restore(name, restore)
	}
	for name, value := range inOrder(d.Parameters) {
		c.at("parameters", name).parameter(name, value)
	}
	if d.CertificateImage != c.cfg.Monitoring.Prometheus.ConfigImage { // which is checked there
		c.image("certificate_image", d.CertificateImage)
	}
	_, restored := d.Restores[d.Active]
	c.want(d.Active == MainDatabase || restored, "active",
		"want main or a key of database.restores, have %q", d.Active)
}

// databaseCertificates checks that the RDS certificates of the region are in the repository.
func (c checker) databaseCertificates() {
	region, services := c.cfg.Region, c.cfg.DatabaseServices()
	if !slices.Contains(providerRegions, region) {
		return
	}
	path := "backup.dump.enabled"
	if len(services) > 0 {
		path = "services." + services[0] + ".database.access"
	} else if !c.cfg.Backup.Dump.Enabled {
		return
	}
	c.want(slices.Contains(certificateRegions, region), path,
		"functions/database/certificates lacks the RDS certificates of %s: "+
			"save https://truststore.pki.rds.amazonaws.com/%[1]s/%[1]s-bundle.pem there as %[1]s.pem, "+
			"then run python3 tools/aws_lists.py", region)
}

func (c checker) postgresVersion(version string) {
	c.want(slices.Contains(postgresVersions, version), "version",
		"want a major version that RDS supports, one of %s, in quotes, have %q",
		strings.Join(postgresVersions, ", "), version)
}

func (c checker) storage(s Storage) {
	c.want(s.Max >= s.Initial, "max", "want at least %d (%s), have %d", s.Initial, c.full("initial"), s.Max)
	c.want(s.Max <= s.Initial || s.Max*10 >= s.Initial*11, "max", "want at least 10%% more than %s (%d) "+
		"for storage autoscaling, or the same to turn it off, have %d", c.full("initial"), s.Initial, s.Max)
}

func (c checker) windows(d Database) {
	daily, isDaily := parseDaily(d.BackupWindow)
	c.want(isDaily, "backup_window", "want hh:mm-hh:mm in UTC, such as 01:00-02:00, have %q", d.BackupWindow)
	c.want(!isDaily || daily.length >= 30, "backup_window",
		"want 30 minutes or more, have %d (%s)", daily.length, d.BackupWindow)

	weekly, isWeekly := parseWeekly(d.MaintenanceWindow)
	c.want(isWeekly, "maintenance_window",
		"want ddd:hh:mm-ddd:hh:mm in UTC, such as sun:04:30-sun:05:30, have %q", d.MaintenanceWindow)
	c.want(!isWeekly || weekly.length >= 30 && weekly.length <= minutesOfDay, "maintenance_window",
		"want 30 minutes to a day, have %d minutes (%s)", weekly.length, d.MaintenanceWindow)

	c.want(!isDaily || !isWeekly || !weekly.overlaps(daily), "maintenance_window",
		"want a window that does not overlap %s (%s), have %s",
		c.full("backup_window"), d.BackupWindow, d.MaintenanceWindow)
}

func (c checker) restore(name string, r Restore) {
	c.want(restoreName.MatchString(name) && name != MainDatabase, "",
		"want a name of lower-case letters and digits, starting with a letter, at most 15 characters, not main")
	if r.Version != c.cfg.Database.Version { // which is checked already
		c.postgresVersion(r.Version)
	}
	c.want((r.Snapshot == "") != (r.Time == "" && r.AutomatedBackup == ""), "",
		"want either snapshot, or time or automated_backup or both")
	c.automatedBackup(r.AutomatedBackup)

	valid := snapshotName.MatchString(r.Snapshot) && len(r.Snapshot) <= 255+64
	c.want(r.Snapshot == "" || valid, "snapshot", "want the identifier or ARN of a snapshot, have %q", r.Snapshot)
	region := regionOf(r.Snapshot)
	c.want(!valid || region == "" || region == c.cfg.Region, "snapshot",
		"want a snapshot in %s: copy it there first, have one in %s", c.cfg.Region, region)

	at, err := time.Parse(time.RFC3339, r.Time)
	c.want(r.Time == "" || err == nil && at.Location() == time.UTC, "time",
		"want a time in UTC such as 2026-11-23T03:00:00Z, have %q", r.Time)
}

// automatedBackup checks an ARN, which RDS accepts in the region of the new instance only.
func (c checker) automatedBackup(arn string) {
	if arn == "" {
		return
	}
	valid := automatedBackup.MatchString(arn)
	c.want(valid, "automated_backup", "want the ARN of automated backups, as returned by aws rds "+
		"describe-db-instance-automated-backups, have %q", arn)
	region := regionOf(arn)
	c.want(!valid || region == c.cfg.Region, "automated_backup",
		"want automated backups in %s, have those in %s: an instance is restored in their region", c.cfg.Region, region)
	account := c.cfg.Account
	c.want(!valid || account == "" || strings.Split(arn, ":")[4] == account, "automated_backup",
		"want automated backups of the account %s, have %s", account, arn)
}

func (c checker) parameter(name, value string) {
	valid := parameterName.MatchString(name)
	c.want(valid, "", "want the name of a parameter, such as work_mem or rds.log_retention_period")
	c.want(!valid || value != "", "", "want a value")
	c.want(name != "rds.force_ssl" || value == "" || value == "1", "",
		"want 1, because all connections must use TLS, have %q", value)
	c.want(name != "log_min_duration_statement" || value == "", "", "must be unset: use database.slow_query instead")
}

func (w warner) database() {
	services := w.cfg.DatabaseServices()
	d := w.cfg.Database
	w = w.at("database")
	if !d.Enabled {
		w.withoutDatabase()
		return
	}
	w.idle(len(services) > 0, "while no service uses the database", "rotation", "rotation_window")
	w.certificateImage(services)
	w.connections(services)
	w.rotationWindow(d)
	w.version(d.Version)
	for name, restore := range inOrder(d.Restores) {
		if restore.Version != d.Version { // the warning for database.version is enough otherwise
			w.at("restores", name).version(restore.Version)
		}
	}
	w.warn(classMissing(d.InstanceClass, w.cfg.Region), "instance_class",
		"RDS did not offer all sizes of this family in %s when the lists of this program were generated: "+
			"if RDS still does not offer this one, the deployment fails", w.cfg.Region)
	w.warn(w.cfg.Production() && !d.MultiAZ, "multi_az",
		"a zone outage takes the database down until it is restored; want true")
	w.warn(w.cfg.Production() && d.Retention < 7, "retention",
		"point-in-time recovery ends after %d days; want 7 or more", d.Retention)
}

// withoutDatabase warns of settings of a database that the stack does not have.
func (w warner) withoutDatabase() {
	w.idle(false, "while database.enabled is false", "version", "instance_class", "storage", "multi_az", "name",
		"parameters", "retention", "backup_window", "maintenance_window", "apply_immediately", "slow_query", "rotation",
		"rotation_window", "active")
	w.certificateImage(nil)
}

// certificateImage warns of an image that no task uses.
func (w warner) certificateImage(services []string) {
	w.idle(len(services) > 0 || w.cfg.usesDisk(), "while no service uses the database or has a folder on disk",
		"certificate_image")
}

// connections warns if the services may open more connections than the instance allows. Each service
// has two users, which both have connections open while its tasks are replaced after a rotation.
func (w warner) connections(services []string) {
	wanted := 0
	for _, name := range services {
		wanted += 2 * w.cfg.Services[name].Database.Connections
	}
	limit := w.cfg.Database.MaxConnections()
	w.warn(limit > 0 && wanted > limit, "instance_class",
		"allows about %d connections, but the services may open %d during a rotation: twice the sum of "+
			"services.<name>.database.connections, because each service has two users", limit, wanted)
}

// version warns of a version whose standard support ends.
func (w warner) version(version string) {
	end, ends := standardSupport[version]
	w.warn(ends, "version", "RDS ends its standard support of PostgreSQL %s in %s and then charges for Extended "+
		"Support, by vCPU and hour; want a later version", version, end)
}
