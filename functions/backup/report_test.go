package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// fakeCopies is the RDS of the other region, with one backup a page.
type fakeCopies struct {
	backups []types.DBInstanceAutomatedBackup
	err     error
}

func (f *fakeCopies) DescribeDBInstanceAutomatedBackups(
	_ context.Context, in *rds.DescribeDBInstanceAutomatedBackupsInput, _ ...func(*rds.Options),
) (*rds.DescribeDBInstanceAutomatedBackupsOutput, error) {
	if f.err != nil {
		return nil, f.err
	}
	out := &rds.DescribeDBInstanceAutomatedBackupsOutput{}
	at, _ := strconv.Atoi(aws.ToString(in.Marker))
	if at < len(f.backups) {
		out.DBInstanceAutomatedBackups = f.backups[at : at+1]
	}
	if at+1 < len(f.backups) {
		out.Marker = aws.String(strconv.Itoa(at + 1))
	}
	return out, nil
}

// fakeS3 has the sizes of the objects of each bucket by key, and lists three a page.
type fakeS3 struct {
	buckets map[string]map[string]int64
	err     error
}

func (f *fakeS3) ListObjectsV2(
	_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options),
) (*s3.ListObjectsV2Output, error) {
	if f.err != nil {
		return nil, f.err
	}
	objects, ok := f.buckets[*in.Bucket]
	if !ok {
		return nil, &s3types.NoSuchBucket{}
	}
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Bool(false)}
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		if !bytes.HasPrefix([]byte(key), []byte(*in.Prefix)) || key <= aws.ToString(in.ContinuationToken) {
			continue
		}
		if len(out.Contents) == 3 {
			out.IsTruncated, out.NextContinuationToken = aws.Bool(true), out.Contents[2].Key
			break
		}
		out.Contents = append(out.Contents, s3types.Object{Key: aws.String(key), Size: aws.Int64(objects[key])})
	}
	return out, nil
}

// reportFrom invokes a report with a day-old snapshot after a change of the function.
func reportFrom(t *testing.T, change func(*backup)) (map[string]float64, error) {
	t.Helper()
	var out bytes.Buffer
	f := &fakeRDS{snapshots: []types.DBSnapshot{ours(1)}, instance: inUse(50, "available")}
	b := newBackup(t, f, &out)
	change(b)
	_, err := b.handle(context.Background(), json.RawMessage(reportEvent))
	return readMetrics(t, out.Bytes()), err
}

func TestReportMakesUpForAMissedSnapshot(t *testing.T) {
	const madeUp = "platform-dev-scheduled-20261123-030000"
	tests := []struct {
		name string
		fake *fakeRDS
		want string // the new snapshot
	}{
		{"a snapshot that is young enough", &fakeRDS{snapshots: []types.DBSnapshot{ours(99)}}, ""},
		{"a snapshot that is too old", &fakeRDS{snapshots: []types.DBSnapshot{ours(101)}}, madeUp},
		{
			"one that is being created",
			&fakeRDS{snapshots: []types.DBSnapshot{ours(101), ours(1, in("creating"))}}, "",
		},
		{
			"a young one that failed",
			&fakeRDS{snapshots: []types.DBSnapshot{ours(101), ours(1, in("failed"))}}, madeUp,
		},
		{
			"a young copy of an old one",
			&fakeRDS{snapshots: []types.DBSnapshot{ours(101), ours(1, named(ourID(101)+"-keep"))}}, madeUp,
		},
		{
			"a young one of another instance",
			&fakeRDS{snapshots: []types.DBSnapshot{ours(101), ours(1, ofInstance("before"))}}, madeUp,
		},
		{"no snapshot of a young instance", &fakeRDS{instance: inUse(2399, "available")}, ""},
		{"no snapshot of an old instance", &fakeRDS{instance: inUse(2401, "available")}, madeUp},
		{"no snapshot and no instance", &fakeRDS{}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			has := test.fake.ids()
			for delivery := range 2 {
				res, metrics, err := invoke(t, test.fake, reportEvent)
				wantError(t, err)
				if res.Created != (test.want != "" && delivery == 0) {
					t.Errorf("delivery %d: result is %+v", delivery, res)
				}
				if _, emitted := metrics["BackupSucceeded"]; emitted {
					t.Errorf("metrics are %v", metrics)
				}
			}
			created := slices.DeleteFunc(test.fake.ids(), func(id string) bool { return slices.Contains(has, id) })
			if test.want == "" && len(created) > 0 || test.want != "" && !slices.Equal(created, []string{test.want}) {
				t.Errorf("created %v, want %q", created, test.want)
			}
		})
	}
}

func TestMissedSnapshotIsTriedAgainByTheNextReport(t *testing.T) {
	f := &fakeRDS{
		snapshots: []types.DBSnapshot{ours(101)},
		createErr: &types.InvalidDBInstanceStateFault{}, createErrs: 1,
	}
	res, metrics, err := invoke(t, f, reportEvent)
	wantError(t, err) // the alarm on the age is the one that fires
	if res.Created || metrics["NewestBackupAge"] != 101*86400 {
		t.Errorf("result is %+v, metrics are %v", res, metrics)
	}
	res, _, err = invoke(t, f, reportEvent)
	wantError(t, err)
	if !res.Created {
		t.Errorf("result is %+v", res)
	}
	_, metrics, err = invoke(t, &fakeRDS{
		snapshots: []types.DBSnapshot{ours(101)}, createErr: &types.SnapshotQuotaExceededFault{},
	}, reportEvent)
	wantError(t, err, "make up: ", "SnapshotQuotaExceeded")
	if metrics["NewestBackupAge"] != 101*86400 {
		t.Errorf("metrics are %v", metrics)
	}
}

func TestReportEmitsUseOfTheQuota(t *testing.T) {
	f := &fakeRDS{quota: 8, snapshots: []types.DBSnapshot{
		ours(1), ours(2, tagged()), ours(3, named("of-another-database"), ofInstance("other")),
		ours(4, func(s *types.DBSnapshot) { s.SnapshotType = aws.String("automated") }),
	}}
	_, metrics, err := invoke(t, f, reportEvent)
	wantError(t, err)
	if metrics["SnapshotsInRegion"] != 3 || metrics["SnapshotQuotaUsed"] != 50 { // the fake counts all as used
		t.Errorf("metrics are %v, want 3 manual snapshots and 50%%", metrics)
	}
	f.quota = -1
	_, metrics, err = invoke(t, f, reportEvent)
	wantError(t, err, "quota: ", "no quota ManualSnapshots")
	if metrics["Backups"] != 1 {
		t.Errorf("metrics are %v", metrics)
	}
}

func TestOnlyEnabledBackupsAreReported(t *testing.T) {
	metrics, err := reportFrom(t, func(b *backup) {})
	wantError(t, err)
	want := map[string]float64{"Backups": 1, "NewestBackupAge": 86400}
	wantMetrics(t, metrics, want)
}

func TestReportEmitsDumpsAndDrills(t *testing.T) {
	full := map[string]int64{
		"dumps/2026/11/22/033000.dump":        80,
		"dumps/2026/11/23/023005.dump":        60,
		"dumps/2026/11/23/025000.dump":        0,  // empty: no dump
		"dumps/2026/11/23/024000.dump.part":   70, // other names
		"dumps/2026/11/23/latest":             70,
		"dumps/2026/11/23/025500.failed.dump": 70, // could not be restored
		"dumps/2025/12/31/033000.dump":        100,
		"dumps/2024/12/31/033000.dump":        100,
		"drills/2026/11/01/040000.json":       5,
		"drills/2026/11/01/050000.txt":        5,
		"other/2026/11/23/025900.dump":        5,
	}
	const drillAge = 21*86400 + 23*3600 + 5
	const hours = 3600
	tests := []struct {
		name    string
		bucket  map[string]int64
		replica map[string]int64
		want    map[string]float64
	}{
		{"nothing yet, dumps since ten hours, rehearsals since before the instance", map[string]int64{}, nil,
			map[string]float64{"NewestDumpAge": 10 * hours, "NewestDrillAge": 50 * hours}},
		{"nothing yet, copies since five hours", map[string]int64{}, map[string]int64{}, map[string]float64{
			"NewestDumpAge": 10 * hours, "NewestDrillAge": 50 * hours, "NewestDumpCopyAge": 5 * hours,
		}},
		{"one dump", map[string]int64{"dumps/2026/11/23/020005.dump": 9}, nil, map[string]float64{
			"NewestDumpAge": 3600, "NewestDumpSize": 9, "NewestDrillAge": 50 * 3600,
		}},
		{"several of both", full, nil, map[string]float64{
			"NewestDumpAge": 1800, "NewestDumpSize": 60, "DumpSizeRatio": 0.75, "NewestDrillAge": drillAge,
		}},
		{"a replica that is behind", full, map[string]int64{"dumps/2026/11/22/030005.dump": 80}, map[string]float64{
			"NewestDumpAge": 1800, "NewestDumpSize": 60, "DumpSizeRatio": 0.75, "NewestDrillAge": drillAge,
			"NewestDumpCopyAge": 86400,
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			metrics, err := reportFrom(t, func(b *backup) {
				b.settings.bucket = "backup"
				b.settings.dumpsSince, b.settings.drillsSince = now.Add(-10*time.Hour), now.Add(-60*time.Hour)
				b.settings.copiesSince = now.Add(-5 * time.Hour)
				b.s3 = &fakeS3{buckets: map[string]map[string]int64{"backup": test.bucket}}
				if test.replica != nil {
					b.settings.copyBucket = "replica"
					b.copyS3 = &fakeS3{buckets: map[string]map[string]int64{"replica": test.replica}}
				}
			})
			wantError(t, err)
			maps.Copy(test.want, map[string]float64{"Backups": 1, "NewestBackupAge": 86400})
			wantMetrics(t, metrics, test.want)
		})
	}
}

// A key for each of some hours before now, below a folder.
func objectsAt(sizes map[string]map[int]int64) map[string]int64 {
	objects := map[string]int64{}
	for prefix, byAge := range sizes {
		suffix := ".dump"
		if strings.HasPrefix(prefix, "drills/") {
			suffix = ".json"
		}
		for hours, size := range byAge {
			objects[prefix+now.Add(-time.Duration(hours)*time.Hour).Format(keyTime)+suffix] = size
		}
	}
	return objects
}

// Each metric is that of the worst database, whichever that is, and the log says which.
func TestReportIsOfTheWorstDatabase(t *testing.T) {
	const hour = 3600
	type sizes = map[string]map[int]int64 // by folder and age in hours
	fresh := sizes{
		"dumps/": {2: 100, 26: 100}, "dumps/metabase/": {2: 10, 26: 10},
		"drills/": {48: 1}, "drills/metabase/": {47: 1},
	}
	with := func(changes sizes) sizes {
		all := maps.Clone(fresh)
		maps.Copy(all, changes)
		return all
	}
	one := map[string]int{"metabase": 1000}
	type metrics = map[string]float64
	tests := []struct {
		name    string
		further map[string]int // databases and the hours since they were configured
		bucket  sizes
		want    metrics
		worst   []string // in the log
	}{
		{"no further database, and folders of others", nil, with(sizes{"dumps/other/": {500: 1, 501: 100}}), metrics{
			"NewestDumpAge": 2 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 100, "NewestDrillAge": 48 * hour,
		}, nil},
		{"both fresh", one, fresh, metrics{
			"NewestDumpAge": 2 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 110, "NewestDrillAge": 48 * hour,
		}, []string{"NewestDrillAge database.name", "NewestDumpAge database.name"}},
		{"the further one is late", one, with(sizes{"dumps/metabase/": {30: 10, 54: 10}, "drills/metabase/": {90: 1}}),
			metrics{
				"NewestDumpAge": 30 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 110, "NewestDrillAge": 90 * hour,
			}, []string{"NewestDrillAge metabase", "NewestDumpAge metabase"}},
		{"the main one is late", one, with(sizes{"dumps/": {30: 100, 54: 100}}), metrics{
			"NewestDumpAge": 30 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 110, "NewestDrillAge": 48 * hour,
		}, []string{"NewestDumpAge database.name"}},
		{"the further one has never been dumped", one, with(sizes{"dumps/metabase/": nil, "drills/metabase/": nil}),
			metrics{ // the age of the instance
				"NewestDumpAge": 70 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 100, "NewestDrillAge": 70 * hour,
			}, []string{"NewestDumpAge metabase"}},
		{"the further one is new", map[string]int{"metabase": 1}, with(sizes{"dumps/metabase/": nil}), metrics{
			"NewestDumpAge": 2 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 100, "NewestDrillAge": 48 * hour,
		}, []string{"NewestDumpAge database.name"}},
		{"the further one is configured again", map[string]int{"metabase": 3},
			with(sizes{"dumps/metabase/": {500: 10}}), metrics{
				"NewestDumpAge": 3 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 110, "NewestDrillAge": 48 * hour,
			}, []string{"NewestDumpAge metabase"}},
		{"the further one has shrunk", one, with(sizes{"dumps/metabase/": {2: 4, 26: 10}}), metrics{
			"NewestDumpAge": 2 * hour, "DumpSizeRatio": 0.4, "NewestDumpSize": 104, "NewestDrillAge": 48 * hour,
		}, []string{"DumpSizeRatio metabase"}},
		{"the main one has shrunk, and the further one has grown", one,
			with(sizes{"dumps/": {2: 40, 26: 100}, "dumps/metabase/": {2: 100, 26: 10}}), metrics{
				"NewestDumpAge": 2 * hour, "DumpSizeRatio": 0.4, "NewestDumpSize": 140, "NewestDrillAge": 48 * hour,
			}, []string{"DumpSizeRatio database.name"}},
		{"one of three is late", map[string]int{"a": 1000, "b_2": 1000, "metabase": 1000}, with(sizes{
			"dumps/a/": {3: 1, 27: 1}, "dumps/b_2/": {31: 1, 55: 1}, "drills/a/": {5: 1}, "drills/b_2/": {6: 1},
		}), metrics{
			"NewestDumpAge": 31 * hour, "DumpSizeRatio": 1, "NewestDumpSize": 112, "NewestDrillAge": 48 * hour,
		}, []string{"NewestDumpAge b_2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			metrics, err := reportFrom(t, func(b *backup) {
				b.log = slog.New(slog.NewJSONHandler(&log, nil))
				long := now.Add(-1000 * time.Hour)
				b.settings.bucket, b.settings.copyBucket = "backup", "copy"
				b.settings.furtherSince = map[string]time.Time{}
				b.settings.dumpsSince, b.settings.drillsSince, b.settings.copiesSince = long, long, long
				for database, hours := range test.further {
					b.settings.furtherSince[database] = now.Add(-time.Duration(hours) * time.Hour)
				}
				buckets := map[string]map[string]int64{"backup": objectsAt(test.bucket), "copy": objectsAt(test.bucket)}
				b.s3, b.copyS3 = &fakeS3{buckets: buckets}, &fakeS3{buckets: buckets}
				instance := now.Add(-70 * time.Hour)
				b.rds.(*fakeRDS).instance.InstanceCreateTime = &instance
			})
			wantError(t, err)
			maps.Copy(test.want, map[string]float64{"Backups": 1, "NewestBackupAge": 86400})
			test.want["NewestDumpCopyAge"] = test.want["NewestDumpAge"]
			wantMetrics(t, metrics, test.want)
			told := tellsWorst(t, log.String())
			for _, line := range test.worst {
				if !slices.Contains(told, line) {
					t.Errorf("the log has no %q, but %q", line, told)
				}
			}
			if len(test.further) == 0 && len(told) > 0 {
				t.Errorf("the log of a single database has %q", told)
			}
		})
	}
}

// tellsWorst returns the metrics with the databases that a log names.
func tellsWorst(t *testing.T, log string) (told []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var entry struct{ Msg, Metric, Database string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if entry.Msg == "worst of the databases" {
			told = append(told, entry.Metric+" "+entry.Database)
		}
	}
	return told
}

func TestRehearsalsThatAreOffAreNotReported(t *testing.T) {
	metrics, err := reportFrom(t, func(b *backup) {
		b.settings.bucket, b.settings.dumpsSince = "backup", now
		b.s3 = &fakeS3{buckets: map[string]map[string]int64{"backup": {"drills/2026/11/01/040000.json": 5}}}
	})
	wantError(t, err)
	wantMetrics(t, metrics, map[string]float64{"Backups": 1, "NewestBackupAge": 86400, "NewestDumpAge": 0})
}

func TestReportEmitsLagOfTheCopies(t *testing.T) {
	type function = backup
	type backup = types.DBInstanceAutomatedBackup
	replicated := func(minutesAgo int, changes ...func(*backup)) backup {
		latest := now.Add(-time.Duration(minutesAgo) * time.Minute)
		a := backup{
			DBInstanceIdentifier: aws.String("platform-dev"),
			DBInstanceArn:        aws.String("arn:aws:rds:eu-central-1:123456789012:db:platform-dev"),
			Status:               aws.String("replicating"),
			RestoreWindow:        &types.RestoreWindow{LatestTime: &latest},
		}
		for _, change := range changes {
			change(&a)
		}
		return a
	}
	type backups = []backup
	tests := []struct {
		name string
		has  backups
		want float64 // seconds
	}{
		{"no copy yet", nil, 4 * 3600},
		{"the latest one", backups{replicated(70), replicated(5), replicated(90)}, 300},
		{"a retained one", backups{replicated(70), replicated(5, func(a *backup) {
			a.Status = aws.String("retained")
		})}, 4200},
		{"one without a window", backups{replicated(70), replicated(5, func(a *backup) {
			a.RestoreWindow = nil
		})}, 4200},
		{"one of another instance", backups{replicated(70), replicated(5, func(a *backup) {
			a.DBInstanceIdentifier = aws.String("other")
		})}, 4200},
		{"one of an instance of that region", backups{replicated(70), replicated(5, func(a *backup) {
			a.DBInstanceArn = aws.String("arn:aws:rds:eu-west-1:123456789012:db:platform-dev")
		})}, 4200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			metrics, err := reportFrom(t, func(b *function) {
				b.settings.copyRegion, b.copies = "eu-west-1", &fakeCopies{backups: test.has}
				b.settings.copiesSince = now.Add(-4 * time.Hour)
			})
			wantError(t, err)
			wantMetrics(t, metrics, map[string]float64{"Backups": 1, "NewestBackupAge": 86400, "CopyLag": test.want})
		})
	}
}

// TestFaultOfOneCallHidesNoOtherMetric fails each call in turn.
func TestFaultOfOneCallHidesNoOtherMetric(t *testing.T) {
	all := []string{
		"Backups", "NewestBackupAge", "SnapshotsInRegion", "SnapshotQuotaUsed", "CopyLag", "NewestDumpAge",
		"NewestDumpSize", "NewestDrillAge", "NewestDumpCopyAge",
	}
	broken := errors.New("no permission")
	tests := []struct {
		name    string
		fail    func(*backup, *fakeRDS)
		step    string
		missing []string
	}{
		{"DescribeDBSnapshots", func(_ *backup, f *fakeRDS) { f.describeErr = broken }, "report: ", []string{
			"Backups", "NewestBackupAge", "SnapshotsInRegion",
		}},
		{"DescribeDBInstances", func(_ *backup, f *fakeRDS) { f.instanceErr = broken }, "dumps: ", []string{
			"NewestDrillAge", "NewestDumpCopyAge",
		}},
		{"DescribeAccountAttributes", func(_ *backup, f *fakeRDS) { f.quotaErr = broken }, "quota: ", []string{
			"SnapshotQuotaUsed",
		}},
		{"ListObjectsV2", func(b *backup, _ *fakeRDS) { b.s3 = &fakeS3{err: broken} }, "dumps: ", []string{
			"NewestDumpAge", "NewestDumpSize", "NewestDrillAge", "NewestDumpCopyAge",
		}},
		{"ListObjectsV2 of the copy", func(b *backup, _ *fakeRDS) {
			b.copyS3 = &fakeS3{err: broken}
		}, "dumps: ", []string{"NewestDumpCopyAge"}},
		{"DescribeDBInstanceAutomatedBackups", func(b *backup, _ *fakeRDS) {
			b.copies = &fakeCopies{err: broken}
		}, "copy: ", []string{"CopyLag"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			f := &fakeRDS{snapshots: []types.DBSnapshot{ours(1)}, instance: inUse(50, "available")}
			b := newBackup(t, f, &out)
			b.settings.bucket, b.settings.copyBucket, b.settings.copyRegion = "backup", "replica", "eu-west-1"
			b.settings.dumpsSince, b.settings.drillsSince, b.settings.copiesSince = now, now, now
			objects := map[string]int64{"dumps/2026/11/23/020005.dump": 9}
			buckets := &fakeS3{buckets: map[string]map[string]int64{"backup": objects, "replica": objects}}
			b.s3, b.copyS3 = buckets, buckets
			b.copies = &fakeCopies{backups: []types.DBInstanceAutomatedBackup{{
				DBInstanceIdentifier: aws.String("platform-dev"), RestoreWindow: &types.RestoreWindow{LatestTime: &now},
			}}}
			test.fail(b, f)
			_, err := b.handle(context.Background(), json.RawMessage(reportEvent))
			wantError(t, err, test.step, "no permission")
			metrics := readMetrics(t, out.Bytes())
			for _, name := range all {
				if _, emitted := metrics[name]; emitted == slices.Contains(test.missing, name) {
					t.Errorf("%s emitted: %v", name, emitted)
				}
			}
		})
	}
}

func TestFunctionHandlesManySnapshots(t *testing.T) {
	for _, n := range []int{1, 100, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRDS{quota: 1000, readyAt: map[string]time.Time{backupID: time.Now().Add(time.Minute)}}
				for day := range n {
					f.snapshots = append(f.snapshots, ours(day+1), ours(day+1, named(ourID(day+1)+"-keep")))
				}
				res, metrics, err := invoke(t, f, backupEvent)
				wantError(t, err)
				kept := min(n, 7) // days of retention
				if res.Kept != kept || len(res.Deleted) != n-kept || len(f.snapshots) != n+kept+1 {
					t.Errorf("kept %d and deleted %d, left are %d", res.Kept, len(res.Deleted), len(f.snapshots))
				}
				if want := float64(n + kept + 1); metrics["SnapshotsInRegion"] != want {
					t.Errorf("metrics are %v, want %v snapshots in the region", metrics, want)
				}
				_, _, err = invoke(t, f, deleteEvent)
				if wantError(t, err); len(f.snapshots) != n {
					t.Errorf("left are %d of %d copies", len(f.snapshots), n)
				}
			})
		})
	}
}

func TestDestroyWaitsWhileTheInstanceIsModified(t *testing.T) {
	for _, state := range []string{"modifying", "backing-up"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRDS{instance: inUse(50, state)}
				time.AfterFunc(3*time.Minute, func() {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.instance = inUse(50, "available")
				})
				began := time.Now()
				_, _, err := invoke(t, f, deleteEvent)
				wantError(t, err)
				if waited := time.Since(began); waited < 3*time.Minute || waited > 4*time.Minute {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		_, _, err := invokeWithin(t, ctx, &fakeRDS{instance: inUse(50, "modifying")}, deleteEvent)
		wantError(t, err, "settle: ", "time ran out", "platform-dev was modifying")
		_, _, err = invoke(t, &fakeRDS{instance: inUse(50, "stopped")}, deleteEvent)
		wantError(t, err)
		_, _, err = invoke(t, &fakeRDS{instanceErr: errors.New("no permission")}, deleteEvent)
		wantError(t, err, "settle: ", "no permission")
	})
}

// TestReportWaitsForIAMPermissions: a deployment calls the function a moment after it has granted
// the permissions.
func TestReportWaitsForIAMPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{
			snapshots: []types.DBSnapshot{ours(1)}, describeErr: refusal{"AccessDenied"}, describeErrs: 4,
		}
		_, metrics, err := invoke(t, f, reportEvent)
		wantError(t, err)
		wantMetrics(t, metrics, map[string]float64{"Backups": 1, "NewestBackupAge": 86400})
		denied := &fakeRDS{instance: inUse(50, "available"), quotaErr: refusal{"AccessDenied"}}
		_, err = newBackup(t, denied, io.Discard).handle(context.Background(), json.RawMessage(reportEvent))
		wantError(t, err, "quota: ", "AccessDenied")
	})
}
