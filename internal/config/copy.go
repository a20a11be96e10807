package config

// Copy configures copies of the backups in a second region: RDS replicates the automated backups of
// the database there, and S3 the objects of the backup bucket.
type Copy struct {
	// region of the copies, which are needed if the stack's region is lost; "": no copies
	Region string `yaml:"region" allowed:"~region"`
}

// The modes of S3 Object Lock.
const (
	LockGovernance = "governance"
	LockCompliance = "compliance"
)

func (c checker) copies(b Backup) {
	region := b.Copy.Region
	if region == "" {
		return
	}
	c = c.at("copy")
	c.want(regionName.MatchString(region), "region",
		"want an AWS region of the commercial partition, such as eu-west-1, have %q", region)
	c.region(region, providerRegions, "the AWS provider in use does not know it")
	c.want(region != c.cfg.Region, "region", "want another region than the stack's, have %q", region)
	c.want(c.cfg.Production(), "region",
		"want profile: production: RDS retains the copies, which cost money, after the stack is destroyed")
}

func (c checker) objectLock(b Backup) {
	c.want(b.ObjectLockMode != LockCompliance || c.cfg.Production(), "object_lock_mode",
		"want governance, or profile: production: nobody can delete what is locked, so the bucket could not be "+
			"destroyed with the stack")
}

// warnOfLock warns of a lock that keeps objects longer than the platform would.
func (w warner) warnOfLock(b Backup) {
	w.idle(b.ObjectLock > 0, "while backup.object_lock is 0", "object_lock_mode")
	w.warn(b.ObjectLock > b.Retention, "object_lock",
		"is longer than backup.retention (%d days): objects are billed until the lock ends", b.Retention)
	w.warn(b.ObjectLock > 0 && b.ObjectLockMode == LockCompliance, "object_lock_mode",
		"nobody, not even the account's root user, can delete an object or shorten its lock for %d days", b.ObjectLock)
}
