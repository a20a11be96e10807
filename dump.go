package main

import (
	"embed"
	"fmt"
	"strconv"
	"strings"

	"platform/internal/config"
)

// Dumps are the logical dumps of the database, their restore, and its rehearsal.
type Dumps struct {
	Families  []string           // of the scheduled tasks
	LogGroups map[string]*string // names, by what writes to them

	database      *string      // identifier
	scheduleGroup *string      // name
	reported      dependencies // the first report, before which the alarms have no data
}

// newDumps declares tasks of stock images, which run the scripts in the folder dump; nil if dumps are
// off. No database program is in a Lambda function, because a function ends after 15 minutes.
//
//	schedule ── database-dump     certificates ─▶ dump ─▶ check ─▶ upload ──▶ bucket, dumps/
//	schedule ── database-drill    download ─▶ check ─▶ record ─────────────▶ bucket, drills/
//	make restore ─ database-restore   download, certificates ─▶ restore ─▶ database
//
// A container starts when the one before it has ended without an error. So nothing is uploaded that
// could not be read, and restored, before. Each database of a service's own has schedules of its own,
// which start the same tasks, and a folder of its own below dumps/ and drills/.
func newDumps(s *scope, cluster *Cluster, users *DatabaseUsers, backup *Backup) *Dumps {
	if !s.cfg.Backup.Dump.Enabled {
		return nil
	}
	d := &Dumps{LogGroups: map[string]*string{}, database: backup.database, reported: backup.reported}
	dump := newDumpTask(s, cluster, users, backup)
	schedules := []scheduledTask{{
		part: dumpPart, task: dump, description: "Logical dump of the database",
		expression: s.cfg.Backup.Dump.Schedule, container: "upload",
	}}
	if s.cfg.Backup.Drills() {
		schedules = append(schedules, scheduledTask{
			part: drillPart, task: newDrillTask(s, cluster, backup), description: "Rehearsal of a restore",
			expression: s.cfg.Backup.Drill.Schedule, container: "record",
		})
	}
	for _, scheduled := range schedules {
		d.Families = append(d.Families, s.named(scheduled.name))
		d.LogGroups[scheduled.id] = scheduled.task.logs.Name()
	}
	for _, database := range s.cfg.FurtherDatabases() {
		for _, scheduled := range schedules[:len(d.Families)] {
			schedules = append(schedules, scheduled.ofDatabase(database))
		}
	}
	d.scheduleGroup = newScheduledTasks(s, cluster, dumpPart, schedules)
	d.LogGroups[restorePart.id] = newRestoreTask(s, cluster, users, backup).logs.Name()
	return d
}

// ofDatabase returns the schedule that starts a task for another database than the main one, at the same
// time. No dump waits for another one: each task has a disk of its own, and the user of the dumps has a
// connection more for each database. So every dump begins when backup.dump.schedule says, and outside the
// windows of the instance.
func (scheduled scheduledTask) ofDatabase(name string) scheduledTask {
	from := map[string]string{"FROM": name} // the folder below dumps/ and drills/
	scheduled.variables = map[string]map[string]string{scheduled.container: from}
	if scheduled.part == dumpPart {
		// The user of the dumps works as the owner in the main database, unless a session says otherwise.
		scheduled.variables["dump"] = map[string]string{
			"PGDATABASE": name, "PGOPTIONS": "-c role=platform_owner_" + name,
		}
	} else {
		scheduled.variables["download"] = from
	}
	scheduled.part = part{scheduled.id + "_" + name, scheduled.name + "_" + name}
	scheduled.description += " " + name
	return scheduled
}

//go:embed dump/*.sh
var dumpScripts embed.FS

// script returns the text of scripts, which a container runs as one, for Terraform.
func script(names ...string) string {
	var text strings.Builder
	for _, name := range append([]string{"common"}, names...) {
		content, err := dumpScripts.ReadFile("dump/" + name + ".sh")
		if err != nil {
			panic(err) // a fault of this program
		}
		text.Write(content)
	}
	return literal(text.String())
}

// postgresUser is the user of PostgreSQL's official image, which is based on Debian. PostgreSQL refuses
// to run as root.
const postgresUser = "999"

// Where the containers find what they share.
const (
	downloadFolder = "/download"
	downloadVolume = "download"
	workVolume     = "work"
)

// workFolder is where the image of PostgreSQL declares a volume: the only place where a bind mount does
// not belong to root alone.
func workFolder(cfg *config.Config) string {
	if major, _ := strconv.Atoi(cfg.ActiveVersion()); major >= 18 {
		return "/var/lib/postgresql"
	}
	return "/var/lib/postgresql/data"
}

// newDatabaseTask begins one of the tasks.
func newDatabaseTask(s *scope, cluster *Cluster, p part, does string) *task {
	d := s.cfg.Backup.Dump
	return newTask(s, cluster, p, taskOptions{
		description: does + ": nothing in; out to the database and AWS",
		logGroup:    "/" + s.cfg.Stack() + "/" + dashed(p.name),
		// Both architectures have the images; this one is cheaper.
		size: taskSize{cpu: d.CPU, memory: d.Memory, disk: d.Disk, architecture: "ARM64"},
	})
}

// step adds a container that runs scripts as PostgreSQL's user. It has memory as /tmp, and may do
// nothing else.
func (t *task) step(name, image string, scripts ...string) *container {
	c := t.container(name, image)
	c.Essential = false
	c.User = postgresUser
	c.EntryPoint = []string{"/bin/sh", "-c"}
	c.Command = []string{script(scripts...)}
	c.mountMemory("/tmp", 64, false)
	c.setEnvironment(map[string]string{"HOME": "/tmp"}) // the only writable folder besides volumes
	c.dropCapabilities()
	return c
}

// work mounts the volume that the steps share.
func (c *container) work(cfg *config.Config, readOnly bool) {
	c.mount(workVolume, workFolder(cfg), readOnly)
	c.setEnvironment(map[string]string{"WORK": workFolder(cfg)})
}

// aws gives a container what the AWS CLI needs.
func (c *container) aws(s *scope, backup *Backup) {
	c.setEnvironment(map[string]string{
		"AWS_REGION": s.cfg.Region, // the CLI does not read where the task runs
		"BUCKET":     *backup.Bucket,
		"HOME":       "/tmp",
	})
}

// newDumpTask declares the task that dumps the database, restores the dump in a server of its own, and
// uploads it.
func newDumpTask(s *scope, cluster *Cluster, users *DatabaseUsers, backup *Backup) *task {
	d := s.cfg.Backup.Dump
	t := newDatabaseTask(s, cluster, dumpPart, "Dumps of the database")
	t.volume(workVolume)
	dump := t.step("dump", d.Image, "dump")
	dump.work(s.cfg, false)
	users.connectAs(config.DumpUser, t, dump)

	check := t.step("check", d.Image, "objects", "check")
	check.work(s.cfg, false)
	check.setEnvironment(map[string]string{"DUMP": workFolder(s.cfg), "LIMIT_GIB": strconv.Itoa(d.VerifyLimit)})
	check.startAfter(dump)
	t.uploads(s, backup, upload{container: "upload", folder: "dumps", after: check})
	return t
}

// newDrillTask declares the task that restores the newest dump in a server of its own, compares the
// rows with those that were dumped, and uploads a record.
func newDrillTask(s *scope, cluster *Cluster, backup *Backup) *task {
	d := s.cfg.Backup.Dump
	t := newDatabaseTask(s, cluster, drillPart, "Rehearsals of a restore")
	download := t.downloads(s, backup)
	t.volume(workVolume)
	check := t.step("check", d.Image, "objects", "check", "compare")
	check.work(s.cfg, false)
	check.reads(download)
	t.uploads(s, backup, upload{container: "record", folder: "drills", after: check})
	return t
}

// upload is the last step of a task.
type upload struct {
	container string // its name, and that of its script
	folder    string // of the bucket
	after     *container
}

// uploads adds the container that uploads what the others have made, and defines the task. The task
// succeeds when it does. It has no right to read, list or delete: whoever gets hold of the role cannot
// read or remove a dump.
func (t *task) uploads(s *scope, backup *Backup, u upload) {
	last := t.step(u.container, s.cfg.Backup.Dump.CLIImage, u.container)
	last.work(s.cfg, true)
	last.aws(s, backup)
	last.startAfter(u.after)
	last.Essential = true
	t.allow(backup.mayWrite(s, u.folder)...)
	t.define()
}

// newRestoreTask declares the task that restores a dump beside the live database. No schedule starts
// it: cmd/restore does.
func newRestoreTask(s *scope, cluster *Cluster, users *DatabaseUsers, backup *Backup) *task {
	t := newDatabaseTask(s, cluster, restorePart, "Restores of dumps")
	download := t.downloads(s, backup)
	restore := t.step("restore", s.cfg.Backup.Dump.Image, "objects", "restore")
	users.connectAs(config.DumpUser, t, restore)
	restore.reads(download)
	restore.Essential = true
	t.define()
	return t
}

// downloads adds the container that fetches a dump. It is root without capabilities, because the
// image of the AWS CLI declares no volume, so that the volume belongs to root.
func (t *task) downloads(s *scope, backup *Backup) *container {
	download := t.preparation("download", s.cfg.Backup.Dump.CLIImage)
	download.EntryPoint = []string{"/bin/sh", "-c"}
	download.Command = []string{script("download")}
	download.mountMemory("/tmp", 64, false)
	download.aws(s, backup)
	download.setEnvironment(map[string]string{"FILES": downloadFolder})
	t.volume(downloadVolume)
	download.mount(downloadVolume, downloadFolder, false)
	t.allow(backup.mayReadDumps(s)...)
	return download
}

// reads makes a container start after the one that downloads a dump, and read it.
func (c *container) reads(download *container) {
	c.mount(downloadVolume, downloadFolder, true)
	c.setEnvironment(map[string]string{"DUMP": downloadFolder})
	c.startAfter(download)
}

// ---- Alarms -------------------------------------------------------------------------

// dumpShrinks is the size of a dump, compared with the one before, below which an alarm fires.
const dumpShrinks = 0.5

// alarms are on what the backup function reports each hour about the objects in the bucket. As long
// as there is none, it reports the age of the instance.
func (d *Dumps) alarms(s *scope) []alarm {
	if d == nil {
		return nil
	}
	reported := func(a alarm, metric string) alarm {
		a.namespace, a.metric, a.statistic = backupNamespace(s), metric, "Minimum"
		a.dimensions = map[string]*string{"DBInstanceIdentifier": d.database}
		a.period, a.datapoints, a.periods = 3600, 3, 3
		a.after = d.reported
		return a
	}
	b := s.cfg.Backup
	alarms := []alarm{reported(alarm{
		id:      "dump_age",
		runbook: "backup.md#dump_age",
		description: fmt.Sprintf("The newest dump of the database is older than %d hours, or its age is not being "+
			"reported. See the log group of the task %s.", b.Dump.MaxAge, dashed(dumpPart.name)),
		threshold: float64(b.Dump.MaxAge) * 3600, missing: missingIsBad,
	}, "NewestDumpAge"), reported(alarm{
		id:      "dump_smaller",
		runbook: "backup.md#dump_smaller",
		description: "The newest dump of the database is less than half as large as the one before. See the sizes in " +
			"the bucket, and find out whether somebody deleted data on purpose.",
		below: true, threshold: dumpShrinks, missing: missingIsFine,
	}, "DumpSizeRatio"), alarm{
		id:      "dump_schedule_dropped",
		runbook: "backup.md#dump_schedule_dropped",
		description: "EventBridge Scheduler gave up starting a dump or a rehearsal. See the schedule's role, and " +
			"start the task by hand.",
	}.onDropped(d.scheduleGroup)}
	if b.Drills() {
		alarms = append(alarms, reported(alarm{
			id:      "drill_age",
			runbook: "backup.md#drill_age",
			description: fmt.Sprintf("The last successful rehearsal of a restore is more than %d days ago, or its age "+
				"is not being reported. See the log group of the task %s.", b.Drill.MaxAge, dashed(drillPart.name)),
			threshold: float64(b.Drill.MaxAge) * 24 * 3600, missing: missingIsBad,
		}, "NewestDrillAge"))
	}
	return alarms
}

// ---- Policies ---------------------------------------------------------------------------------

// mayWrite are the rights to write objects below a folder of the bucket. S3 needs both actions on the
// key: Decrypt for an object in several parts.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions
func (b *Backup) mayWrite(s *scope, folder string) []statement {
	return []statement{
		{sid: "Write", actions: []string{"s3:PutObject"}, resources: []string{*b.bucketARN + "/" + folder + "/*"}},
		{
			sid: "WriteKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
			resources: []string{*s.keys.Backup}, conditions: throughS3(s),
		},
	}
}

// mayReadDumps are the rights to list and read dumps.
func (b *Backup) mayReadDumps(s *scope) []statement {
	return []statement{{
		sid: "List", actions: []string{"s3:ListBucket"}, resources: []string{*b.bucketARN},
		conditions: []condition{{"StringLike", "s3:prefix", []string{"dumps/*"}}},
	}, {
		sid: "Read", actions: []string{"s3:GetObject"}, resources: []string{*b.bucketARN + "/dumps/*"},
	}, {
		sid: "ReadKey", actions: []string{"kms:Decrypt"}, resources: []string{*s.keys.Backup}, conditions: throughS3(s),
	}}
}

func throughS3(s *scope) []condition {
	return []condition{equals("kms:ViaService", "s3."+s.cfg.Region+".amazonaws.com")}
}
