package config

// Backup is the second layer, after point-in-time recovery: snapshots that the platform takes and
// keeps itself.
type Backup struct {
	Schedule  string `yaml:"schedule" allowed:"~schedule"`     // cron(...) or rate(...) of the snapshots
	Timezone  string `yaml:"timezone"`                         // of schedule
	Retention int    `yaml:"retention" allowed:"1..3650 days"` // of snapshots
	Minimum   int    `yaml:"minimum" allowed:"1..100"`         // snapshots that are kept whatever their age
	MaxAge    int    `yaml:"max_age" allowed:"1..744 hours"`   // of the newest snapshot, after which an alarm rings
	// in which nobody can delete an object of the backup bucket; 0: off, and once on never off
	ObjectLock int `yaml:"object_lock" allowed:"0..3650 days"`
}

func backupDefaults(p profile) Backup {
	return Backup{
		Schedule:  "cron(0 3 * * ? *)",
		Timezone:  "UTC",
		Retention: pick(p, 7, 35),
		Minimum:   pick(p, 2, 7),
		MaxAge:    pick(p, 50, 26),
	}
}

var _ = form("schedule", `^(cron|rate)\([^()]+\)$`)

func (c checker) backup() {
	b := c.cfg.Backup
	c = c.at("backup")
	c.want(isTimezone(b.Timezone), "timezone", "want a time zone such as UTC or Europe/Berlin, have %q", b.Timezone)
	if !isCron(b.Schedule) && !isRate(b.Schedule) {
		c.want(false, "schedule", "want cron(minute hour day month weekday year), "+
			"with ? for day or weekday, or rate(n hours), have %q", b.Schedule)
		return
	}
	hours := hoursBetween(b.Schedule)
	c.want(hours <= b.MaxAge, "max_age",
		"want at least %d, the hours from one snapshot to the next by backup.schedule, have %d", hours, b.MaxAge)
	c.want(!c.duringBackupWindow(b), "schedule", "want a time outside database.backup_window (%s), "+
		"since RDS refuses a snapshot while it takes its own, have %q", c.cfg.Database.BackupWindow, b.Schedule)
}

// duringBackupWindow tells whether a snapshot at a fixed time of day falls into RDS's own window.
// Time zones other than UTC move against it twice a year, so they are left to the reader.
func (c checker) duringBackupWindow(b Backup) bool {
	minute, fixed := cronMinute(b.Schedule)
	daily, valid := parseDaily(c.cfg.Database.BackupWindow)
	return fixed && valid && b.Timezone == "UTC" && daily.includes(minute)
}
