package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Dump configures logical dumps: files in the backup bucket from which one table or the whole
// database can be restored, on any instance of PostgreSQL.
type Dump struct {
	// dump each database on a schedule; default with network.nat: none: false, because the default images
	// are not in ECR
	Enabled bool `yaml:"enabled"`
	// when a dump begins, in backup.timezone: cron(...) or rate(...); default: after the daily call of the
	// database function, outside backup_window and maintenance_window
	Schedule string `yaml:"schedule" allowed:"~schedule"`
	// age of the newest dump at which an alarm fires
	MaxAge int `yaml:"max_age" allowed:"1..744 hours"`
	CPU    int `yaml:"cpu" allowed:"within @cpu CPU units"` // of the task; 1024 are one vCPU
	// must be a combination with cpu that Fargate supports
	Memory int `yaml:"memory" allowed:"within 512..122880 MiB"`
	// ephemeral storage of the task, which holds the dump and the restored copy that verifies it;
	// default: half more than database.storage.initial
	Disk int `yaml:"disk" allowed:"21..200 GiB"`
	// size of the database above which a dump is read once but not restored to verify it; default:
	// two thirds of disk; 0: never restore
	VerifyLimit int `yaml:"verify_limit" allowed:"0..200 GiB"`
	// PostgreSQL's official image, of the major version of the database; default: one that is pinned
	Image string `yaml:"image" allowed:"~image"`
	// image with the AWS CLI and a shell
	CLIImage string `yaml:"cli_image" allowed:"~image"`
}

// Drill configures rehearsals: the newest dump is restored in a server of its own, whatever
// dump.verify_limit is, and its rows are counted.
type Drill struct {
	// when a rehearsal begins: cron(...) or rate(...); empty: never
	Schedule string `yaml:"schedule" allowed:"~drill_schedule"`
	// age of the last successful rehearsal at which an alarm fires
	MaxAge int `yaml:"max_age" allowed:"1..400 days"`
}

// PostgresImages are the official images by major version. They are the indexes for all
// architectures, in a registry without pull limits; the digests are the same at Docker Hub.
var PostgresImages = map[string]string{
	"14": "public.ecr.aws/docker/library/postgres:14.24" +
		"@sha256:2fdfb9b432d4a73bd3eea3d989752c1e669b68d502347e0bfd2cc6d709f3d6b4",
	"15": "public.ecr.aws/docker/library/postgres:15.19" +
		"@sha256:5f72c7b5bd616308ccfd2e74d6be16fb06364e5eecbb815fe9dc6ab9761d2111",
	"16": "public.ecr.aws/docker/library/postgres:16.15" +
		"@sha256:ca0bd484cb98bf4b24eb1010e73fb3fcbd6714d240fbc1a10eea5b7dbecb641d",
	"17": "public.ecr.aws/docker/library/postgres:17.11" +
		"@sha256:67f41722b7a8cbdb868a44a4995c846eddfdc2973bccb291ce937dce88ad5675",
	"18": "public.ecr.aws/docker/library/postgres:18.6" +
		"@sha256:4ef4dbc939d61acea57712655ddb4b4ab27419c913f94cca0cd57cb3ea3c2280",
}

func dumpDefaults(p profile) Dump {
	return Dump{
		Enabled:  true,
		Schedule: "cron(30 5 * * ? *)",
		MaxAge:   pick(p, 50, 26),
		CPU:      pick(p, 512, 1024),
		Memory:   pick(p, 1024, 2048),
		CLIImage: DefaultConfigImage,

		// See deriveDump.
		Disk: pick(p, 30, 150), VerifyLimit: pick(p, 20, 100), Image: PostgresImages["17"],
	}
}

func drillDefaults(p profile) Drill {
	return Drill{Schedule: pick(p, "", "cron(0 7 1 * ? *)"), MaxAge: 35}
}

// deriveDump sets the defaults that depend on the database.
func (c *Config) deriveDump(doc *Document) {
	d := &c.Backup.Dump
	// A dump needs images, and RDS's certificates of the region.
	if !doc.Names("backup.dump.enabled") &&
		(!c.Database.Enabled || c.Network.NAT == "none" || !slices.Contains(certificateRegions, c.Region)) {
		d.Enabled = false
	}
	if !doc.Names("backup.dump.schedule") {
		d.Schedule = c.Database.afterDailyCall(c.Backup.Timezone)
	}
	if !doc.Names("backup.dump.disk") {
		d.Disk = min(max(c.Database.Storage.Initial*3/2, 21), 200)
	}
	if !doc.Names("backup.dump.verify_limit") {
		d.VerifyLimit = d.Disk * 2 / 3
	}
	if !doc.Names("backup.dump.image") {
		d.Image = PostgresImages[c.ActiveVersion()]
	}
}

// ActiveVersion returns the major version of the instance that the services use.
func (c *Config) ActiveVersion() string {
	if restored, ok := c.Database.Restores[c.Database.Active]; ok {
		return restored.Version
	}
	return c.Database.Version
}

// Drills reports whether restores are rehearsed.
func (b Backup) Drills() bool { return b.Dump.Enabled && b.Drill.Schedule != "" }

var _ = form("drill_schedule", `^((cron|rate)\([^()]+\))?$`)

func (c checker) dump() {
	b := c.cfg.Backup
	d := b.Dump
	hours := hoursBetween(d.Schedule)
	c.at("backup").want(!d.Enabled || b.Retention < 1 || hours < b.Retention*24 || hours > never, "retention",
		"want at least %d, more than the days between two dumps of %s, so that there is a dump although one failed, "+
			"have %d", hours/24+1, c.full("backup.dump.schedule"), b.Retention)
	c = c.at("backup", "dump")
	c.want(c.cfg.Database.Enabled || !d.Enabled, "enabled", "want false, because database.enabled is false")
	c.schedule("schedule", d.Schedule)
	c.want(hours <= d.MaxAge || hours > never, "max_age",
		"want at least %d, the hours between two dumps of %s, have %d", hours, c.full("schedule"), d.MaxAge)
	c.size(d.CPU, d.Memory)
	c.want(d.VerifyLimit <= d.Disk, "verify_limit",
		"want at most %s (%d), which holds the restored copy, have %d", c.full("disk"), d.Disk, d.VerifyLimit)
	if d.Image != "" { // otherwise database.version is reported
		c.imageOf(d.Enabled, "image", d.Image)
		c.majorOf(d)
	}
	c.imageOf(d.Enabled, "cli_image", d.CLIImage)
}

// postgresTag matches the major version in the tag of PostgreSQL's official image, or of a copy of it.
var postgresTag = regexp.MustCompile(`/postgres:([0-9]+)`)

// majorOf checks that an image is of the database's major version: a dump of a newer pg_dump may not
// be restored in the database, and pg_dump refuses a newer server.
func (c checker) majorOf(d Dump) {
	tag, version := postgresTag.FindStringSubmatch(d.Image), c.cfg.ActiveVersion()
	if d.Enabled && tag != nil {
		c.want(tag[1] == version, "image",
			"want an image of PostgreSQL %s, the version of the database, have one of %s", version, tag[1])
	}
}

func (c checker) drill() {
	b := c.cfg.Backup
	c = c.at("backup", "drill")
	if b.Drill.Schedule == "" {
		return
	}
	c.schedule("schedule", b.Drill.Schedule)
	hours := hoursBetween(b.Drill.Schedule)
	c.want(hours <= b.Drill.MaxAge*24 || hours > never, "max_age",
		"want at least %d, the days between two rehearsals of %s, have %d",
		(hours+23)/24, c.full("schedule"), b.Drill.MaxAge)
}

// imageOf checks an image that is pulled only if it is used.
func (c checker) imageOf(used bool, key, image string) {
	if used {
		c.image(key, image)
		return
	}
	c.want(imageReference.MatchString(image), key, "want registry/name:tag, have %q", image)
}

// schedule checks an expression of EventBridge Scheduler that repeats.
func (c checker) schedule(key, text string) {
	c.want(isCron(text) || isRate(text), key, "want cron(minute hour day month weekday year), "+
		"with ? for day or weekday, or rate(n hours), have %q", text)
	c.want(hoursBetween(text) <= never, key, "want a date that exists, have %q, which never fires", text)
}

// afterDailyCall returns the cron expression, in a time zone, of the first half hour after the daily
// call of the database function, which needs locks that a dump keeps, outside the windows in which RDS
// takes a backup or may restart the instance. The call and the windows are in UTC, so that this holds
// with and without daylight saving time.
func (d Database) afterDailyCall(timezone string) string {
	first, fixed := cronMinute(d.DailyCall())
	ahead := offsets(timezone)
	for at := first + dailyRun; fixed && at < first+minutesOfDay; at += dailyRun {
		local := at + slices.Max(ahead)
		if d.windowAt(local, ahead) == "" {
			local = (local + minutesOfDay) % minutesOfDay
			return fmt.Sprintf("cron(%d %d * * ? *)", local%60, local/60)
		}
	}
	return "cron(30 5 * * ? *)" // a maintenance window of a whole day
}

// windowAt returns the setting whose window includes a minute of the day in a time zone that is ahead
// of UTC by these minutes in the course of a year, or "".
func (d Database) windowAt(minute int, ahead []int) string {
	for _, offset := range ahead {
		if setting := d.windowOf((minute - offset + 2*minutesOfDay) % minutesOfDay); setting != "" {
			return setting
		}
	}
	return ""
}

// windowOf returns the setting whose window includes a minute of the day in UTC, or "". The
// maintenance window is on one day of the week, and counts on each.
func (d Database) windowOf(minute int) string {
	if daily, ok := parseDaily(d.BackupWindow); ok && daily.includes(minute) {
		return "database.backup_window"
	}
	if weekly, ok := parseWeekly(d.MaintenanceWindow); ok {
		if night := (window{weekly.start % minutesOfDay, weekly.length}); night.includes(minute) {
			return "database.maintenance_window"
		}
	}
	return ""
}

func (w warner) dump() {
	b := w.cfg.Backup
	w = w.at("backup")
	w.warn(w.cfg.Production() && w.cfg.Database.Enabled && !b.Dump.Enabled, "dump.enabled",
		"a single table can be restored only by restoring a whole instance beside this one; want true")
	w.idle(b.Dump.Enabled, "while "+w.full("dump.enabled")+" is false", "dump.schedule", "dump.max_age", "dump.cpu",
		"dump.memory", "dump.disk", "dump.verify_limit", "dump.image", "dump.cli_image", "drill.schedule")
	w.idle(b.Drills(), "without rehearsals", "drill.max_age")
	minute, fixed := cronMinute(b.Dump.Schedule)
	taken := ""
	if fixed && b.Dump.Enabled {
		taken = w.cfg.Database.windowAt(minute, offsets(b.Timezone))
	}
	w.warn(taken != "", "dump.schedule", "begins in %s: RDS is busy or may restart the instance, which ends a dump; "+
		"want another time", taken)
	w.warn(w.cfg.Production() && b.Dump.Enabled && b.Drill.Schedule == "", "drill.schedule",
		"nobody notices when dumps can no longer be restored; want a schedule such as cron(0 7 1 * ? *)")
	w.warn(b.Dump.Enabled && b.Dump.Disk < w.cfg.Database.Storage.Initial, "dump.disk",
		"less than database.storage.initial (%d GiB): a full database may not fit, and its dump would fail",
		w.cfg.Database.Storage.Initial)
	w.image("dump.image", b.Dump.Image)
	w.image("dump.cli_image", b.Dump.CLIImage)
}

// dumpSummary describes dumps and rehearsals for an operator.
func (c *Config) dumpSummary() string {
	b, of, rehearsals := c.Backup, "", "never rehearsed"
	if b.Drills() {
		rehearsals = "rehearsed on schedule " + b.Drill.Schedule
	}
	if further := c.FurtherDatabases(); len(further) > 0 {
		of = " of each database (" + strings.Join(append([]string{c.Database.Name}, further...), ", ") + ")"
	}
	return fmt.Sprintf("dumps%s on schedule %s (%s), restored to verify them up to %d GiB; a restore is %s",
		of, b.Dump.Schedule, b.Timezone, b.Dump.VerifyLimit, rehearsals)
}
