package config

import "math"

// Backup configures scheduled snapshots, which the platform takes and deletes itself. They are the
// second layer, after the point-in-time recovery of RDS.
type Backup struct {
	Schedule  string `yaml:"schedule" allowed:"~schedule"`     // when a snapshot is taken: cron(...) or rate(...)
	Timezone  string `yaml:"timezone"`                         // time zone of schedule
	Retention int    `yaml:"retention" allowed:"1..3650 days"` // age at which a snapshot or a dump is deleted
	Minimum   int    `yaml:"minimum" allowed:"1..100"`         // number of snapshots kept regardless of their age
	MaxAge    int    `yaml:"max_age" allowed:"1..744 hours"`   // age of the newest snapshot at which an alarm fires
	// S3 Object Lock retention of the backup bucket, in which nobody can delete an object; 0: off;
	// it cannot be turned off again
	ObjectLock int `yaml:"object_lock" allowed:"0..3650 days"`
	// governance: a person with s3:BypassGovernanceRetention can delete a locked object; compliance:
	// nobody can
	ObjectLockMode string `yaml:"object_lock_mode" allowed:"governance|compliance"`
	// copies of the backups in a second region
	Copy Copy `yaml:"copy"`
	// logical dumps, which the bucket keeps for retention
	Dump Dump `yaml:"dump"`
	// rehearsals of a restore
	Drill Drill `yaml:"drill"`
}

func backupDefaults(p profile) Backup {
	return Backup{
		Schedule:  "cron(0 3 * * ? *)",
		Timezone:  "UTC",
		Retention: pick(p, 7, 35),
		Minimum:   pick(p, 2, 7),
		MaxAge:    pick(p, 50, 26),

		ObjectLockMode: LockGovernance,
		Dump:           dumpDefaults(p),
		Drill:          drillDefaults(p),
	}
}

var _ = form("schedule", `^(cron|rate)\([^()]+\)$`)

func (c checker) backup() {
	b := c.cfg.Backup
	c = c.at("backup")
	c.copies(b)
	c.objectLock(b)
	c.want(isTimezone(b.Timezone), "timezone", "want a time zone such as UTC or Europe/Berlin, have %q", b.Timezone)
	c.schedule("schedule", b.Schedule)
	hours := hoursBetween(b.Schedule)
	c.want(hours <= b.MaxAge || hours > never, "max_age",
		"want at least %d, the hours between two snapshots of backup.schedule, have %d", hours, b.MaxAge)
	free := !c.cfg.Database.Enabled || !c.duringBackupWindow(b)
	c.want(free, "schedule", "want a time outside database.backup_window (%s), "+
		"when RDS takes its automated backup and rejects other snapshots, have %q",
		c.cfg.Database.BackupWindow, b.Schedule)
}

// duringBackupWindow tells whether a snapshot at a fixed time of day falls into the backup window
// of RDS. It checks UTC only: other time zones shift against the window twice a year.
func (c checker) duringBackupWindow(b Backup) bool {
	minute, fixed := cronMinute(b.Schedule)
	daily, valid := parseDaily(c.cfg.Database.BackupWindow)
	return fixed && valid && b.Timezone == "UTC" && daily.includes(minute)
}

// snapshotQuota is RDS's default quota of manual snapshots, for all databases of an account in a
// region: quota L-272F1212.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
const snapshotQuota = 100

// snapshots returns the number of snapshots that the platform keeps.
func (b Backup) snapshots() int {
	return max(b.Minimum, int(math.Ceil(float64(b.Retention)*timesPerDay(b.Schedule))))
}

func (w warner) backup() {
	b := w.cfg.Backup
	w = w.at("backup")
	if !w.cfg.Database.Enabled {
		w.withoutBackups(b)
		return
	}
	w.warnOfLock(b)
	// The other databases of the account need snapshots too.
	w.warn(b.snapshots() >= snapshotQuota*9/10, "retention",
		"the schedule takes %d snapshots in this time, and RDS allows %d in a region by default, above which every "+
			"backup fails; take fewer, or request a higher quota (L-272F1212)", b.snapshots(), snapshotQuota)
}

// withoutBackups warns of settings of backups that are not taken, because there is no database. What
// says how long objects stay in the bucket has its effect as long as the bucket exists.
func (w warner) withoutBackups(b Backup) {
	const reason = "while database.enabled is false"
	w.idle(false, reason, "schedule", "timezone", "minimum", "max_age")
	if w.cfg.BackupBucket() {
		w.warnOfLock(b)
		return
	}
	w.idle(false, reason, "retention", "object_lock", "object_lock_mode")
}
