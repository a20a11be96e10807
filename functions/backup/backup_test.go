package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// now is five seconds after a scheduled time.
var now = time.Date(2026, 11, 23, 3, 0, 5, 0, time.UTC)

const (
	backupEvent = `{"action":"backup","scheduled_time":"2026-11-23T03:00:00Z"}`
	backupID    = "platform-dev-scheduled-20261123-030000"
	reportEvent = `{"action":"report"}`
	createEvent = `{"action":"lifecycle","tf":{"action":"create","prev_input":null}}`
	updateEvent = `{"action":"lifecycle","tf":{"action":"update","prev_input":{"action":"lifecycle"}}}`
	deleteEvent = `{"action":"lifecycle","tf":{"action":"delete","prev_input":{"action":"lifecycle"}}}`
)

// environment is complete, with a retention of 7 days and a minimum of 2 snapshots.
func environment() map[string]string {
	return map[string]string{
		"DB_INSTANCE_IDENTIFIER": "platform-dev",
		"SNAPSHOT_PREFIX":        "platform-dev-scheduled",
		"BACKUP_OF":              "platform-dev",
		"RETENTION_DAYS":         "7",
		"MINIMUM_SNAPSHOTS":      "2",
		"MAX_AGE_HOURS":          "2400",
		"METRIC_NAMESPACE":       "platform-dev/Backup",
	}
}

// fakeRDS is an implementation of RDS in memory. It makes the checks of RDS, returns pages of two
// snapshots, and creates snapshots in the background.
type fakeRDS struct {
	mu        sync.Mutex
	snapshots []types.DBSnapshot
	readyAt   map[string]time.Time // when a snapshot that is being created becomes available
	deletes   []string             // all requested deletions
	pages     int                  // returned pages

	instance types.DBInstance // the instance in use; without an identifier, there is none
	quota    int64            // of manual snapshots; 0: RDS names none

	createErr, describeErr error
	createErrs             int // number of calls that fail with createErr; 0: all
	describeErrs           int // number of calls that fail with describeErr; 0: all
	instanceErr, quotaErr  error
	deleteErr              map[string]error
	refuseForState         bool      // fails because of the instance's state although the snapshot exists
	ignoreFilters          bool      // lists every snapshot of the account
	deletesAt              time.Time // accepts deletions, and executes them from this time on
}

func (f *fakeRDS) CreateDBSnapshot(
	_ context.Context, in *rds.CreateDBSnapshotInput, _ ...func(*rds.Options),
) (*rds.CreateDBSnapshotOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.createErr; err != nil {
		if f.createErrs--; f.createErrs == 0 {
			f.createErr = nil
		}
		return nil, err
	}
	for _, s := range f.snapshots {
		if identifier(s) == aws.ToString(in.DBSnapshotIdentifier) {
			if f.refuseForState {
				return nil, &types.InvalidDBInstanceStateFault{}
			}
			return nil, &types.DBSnapshotAlreadyExistsFault{}
		}
	}
	s := types.DBSnapshot{
		DBInstanceIdentifier: in.DBInstanceIdentifier,
		DBSnapshotIdentifier: in.DBSnapshotIdentifier,
		SnapshotType:         aws.String("manual"),
		Status:               aws.String("creating"),
		TagList:              in.Tags,
	}
	f.snapshots = append(f.snapshots, s)
	return &rds.CreateDBSnapshotOutput{DBSnapshot: &s}, nil
}

func (f *fakeRDS) DescribeDBSnapshots(
	_ context.Context, in *rds.DescribeDBSnapshotsInput, _ ...func(*rds.Options),
) (*rds.DescribeDBSnapshotsOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.describeErr; err != nil {
		if f.describeErrs--; f.describeErrs == 0 {
			f.describeErr = nil
		}
		return nil, err
	}
	f.ripen()
	var found []types.DBSnapshot
	for _, s := range f.snapshots {
		if in.DBSnapshotIdentifier != nil && *in.DBSnapshotIdentifier == identifier(s) ||
			in.DBSnapshotIdentifier == nil && (f.ignoreFilters ||
				*in.SnapshotType == *s.SnapshotType) {
			found = append(found, s)
		}
	}
	if in.DBSnapshotIdentifier != nil && len(found) == 0 {
		return nil, &types.DBSnapshotNotFoundFault{}
	}
	f.pages++
	// The marker is an identifier, not a position: a simultaneous deletion must not shift the next
	// page.
	slices.SortFunc(found, func(x, y types.DBSnapshot) int { return cmp.Compare(identifier(x), identifier(y)) })
	found = slices.DeleteFunc(found, func(s types.DBSnapshot) bool { return identifier(s) <= aws.ToString(in.Marker) })
	out := &rds.DescribeDBSnapshotsOutput{DBSnapshots: found[:min(2, len(found))]}
	if len(found) > 2 {
		out.Marker = out.DBSnapshots[1].DBSnapshotIdentifier
	}
	return out, nil
}

func (f *fakeRDS) DeleteDBSnapshot(
	_ context.Context, in *rds.DeleteDBSnapshotInput, _ ...func(*rds.Options),
) (*rds.DeleteDBSnapshotOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ripen()
	id := *in.DBSnapshotIdentifier
	f.deletes = append(f.deletes, id)
	if err := f.deleteErr[id]; err != nil {
		return nil, err
	}
	at := slices.IndexFunc(f.snapshots, func(s types.DBSnapshot) bool { return identifier(s) == id })
	switch {
	case at < 0:
		return nil, &types.DBSnapshotNotFoundFault{}
	case status(f.snapshots[at]) == "creating":
		return nil, &types.InvalidDBSnapshotStateFault{}
	}
	if !time.Now().Before(f.deletesAt) {
		f.snapshots = slices.Delete(f.snapshots, at, at+1)
	}
	return &rds.DeleteDBSnapshotOutput{}, nil
}

func (f *fakeRDS) DescribeDBInstances(
	_ context.Context, in *rds.DescribeDBInstancesInput, _ ...func(*rds.Options),
) (*rds.DescribeDBInstancesOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.instanceErr != nil {
		return nil, f.instanceErr
	}
	if aws.ToString(f.instance.DBInstanceIdentifier) != aws.ToString(in.DBInstanceIdentifier) {
		return nil, &types.DBInstanceNotFoundFault{}
	}
	return &rds.DescribeDBInstancesOutput{DBInstances: []types.DBInstance{f.instance}}, nil
}

func (f *fakeRDS) DescribeAccountAttributes(
	context.Context, *rds.DescribeAccountAttributesInput, ...func(*rds.Options),
) (*rds.DescribeAccountAttributesOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.quotaErr != nil {
		return nil, f.quotaErr
	}
	out := &rds.DescribeAccountAttributesOutput{AccountQuotas: []types.AccountQuota{
		{AccountQuotaName: aws.String("DBInstances"), Used: aws.Int64(1), Max: aws.Int64(40)},
	}}
	if f.quota > 0 {
		out.AccountQuotas = append(out.AccountQuotas, types.AccountQuota{
			AccountQuotaName: aws.String("ManualSnapshots"), Used: aws.Int64(int64(len(f.snapshots))), Max: &f.quota,
		})
	}
	return out, nil
}

// ripen makes snapshots available whose time has come.
func (f *fakeRDS) ripen() {
	for i, s := range f.snapshots {
		if due, ok := f.readyAt[identifier(s)]; ok && !time.Now().Before(due) {
			f.snapshots[i].Status = aws.String("available")
		}
	}
}

func (f *fakeRDS) ids() []string {
	var ids []string
	for _, s := range f.snapshots {
		ids = append(ids, identifier(s))
	}
	return ids
}

// ours returns an available snapshot of the stack, taken some days ago, with changes.
func ours(daysAgo int, changes ...func(*types.DBSnapshot)) types.DBSnapshot {
	taken := now.AddDate(0, 0, -daysAgo)
	s := types.DBSnapshot{
		DBInstanceIdentifier: aws.String("platform-dev"),
		DBSnapshotIdentifier: aws.String(ourID(daysAgo)),
		SnapshotCreateTime:   &taken,
		SnapshotType:         aws.String("manual"),
		Status:               aws.String("available"),
		TagList:              []types.Tag{{Key: aws.String("BackupOf"), Value: aws.String("platform-dev")}},
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

func ourID(daysAgo int) string {
	return "platform-dev-scheduled-" + now.AddDate(0, 0, -daysAgo).Format("20060102-150405")
}

func named(id string) func(*types.DBSnapshot) {
	return func(s *types.DBSnapshot) { s.DBSnapshotIdentifier = aws.String(id) }
}

func in(status string) func(*types.DBSnapshot) {
	return func(s *types.DBSnapshot) { s.Status = aws.String(status) }
}

func tagged(tags ...types.Tag) func(*types.DBSnapshot) {
	return func(s *types.DBSnapshot) { s.TagList = tags }
}

func ofInstance(id string) func(*types.DBSnapshot) {
	return func(s *types.DBSnapshot) { s.DBInstanceIdentifier = aws.String(id) }
}

// inUse is the instance in use, created some hours ago.
func inUse(hoursAgo int, status string) types.DBInstance {
	return types.DBInstance{
		DBInstanceIdentifier: aws.String("platform-dev"),
		DBInstanceStatus:     aws.String(status),
		InstanceCreateTime:   aws.Time(now.Add(-time.Duration(hoursAgo) * time.Hour)),
	}
}

func timeless(s *types.DBSnapshot) { s.SnapshotCreateTime = nil }

// invoke handles an event at the time now, and returns the result and the emitted metrics.
func invoke(t *testing.T, f *fakeRDS, event string) (result, map[string]float64, error) {
	t.Helper()
	return invokeWithin(t, context.Background(), f, event)
}

func invokeWithin(t *testing.T, ctx context.Context, f *fakeRDS, event string) (result, map[string]float64, error) {
	t.Helper()
	var out bytes.Buffer
	res, err := newBackup(t, f, &out).handle(ctx, json.RawMessage(event))
	return res, readMetrics(t, out.Bytes()), err
}

func newBackup(t *testing.T, f *fakeRDS, out io.Writer) *backup {
	t.Helper()
	env := environment()
	s, err := loadSettings(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	if f.quota == 0 {
		f.quota = 100
	}
	f.mu.Unlock()
	return &backup{
		settings: s,
		rds:      f,
		now:      func() time.Time { return now },
		metrics:  out,
		log:      slog.New(slog.DiscardHandler),
	}
}

// readMetrics parses a document in the embedded metric format by its specification, and fails the
// test if CloudWatch would drop it.
func readMetrics(t *testing.T, output []byte) map[string]float64 {
	t.Helper()
	if len(output) == 0 {
		return nil
	}
	line, rest, ended := bytes.Cut(output, []byte("\n"))
	if !ended || len(rest) > 0 {
		t.Fatalf("want one line of metrics, have %q", output)
	}
	var root map[string]json.RawMessage
	if err := json.Unmarshal(line, &root); err != nil {
		t.Fatal(err)
	}
	var meta struct {
		Timestamp         *int64
		CloudWatchMetrics []struct {
			Namespace  string
			Dimensions [][]string
			Metrics    []struct{ Name, Unit string }
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(root["_aws"]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&meta); err != nil {
		t.Fatalf("_aws: %v", err)
	}
	if meta.Timestamp == nil || *meta.Timestamp != now.UnixMilli() {
		t.Errorf("Timestamp is %v, want %d", meta.Timestamp, now.UnixMilli())
	}
	if len(meta.CloudWatchMetrics) != 1 {
		t.Fatalf("want one directive, have %d", len(meta.CloudWatchMetrics))
	}
	directive := meta.CloudWatchMetrics[0]
	if directive.Namespace != "platform-dev/Backup" {
		t.Errorf("Namespace is %q", directive.Namespace)
	}
	if len(directive.Dimensions) != 1 || !slices.Equal(directive.Dimensions[0], []string{"DBInstanceIdentifier"}) {
		t.Errorf("Dimensions are %v", directive.Dimensions)
	}
	var instance string
	if err := json.Unmarshal(root["DBInstanceIdentifier"], &instance); err != nil || instance != "platform-dev" {
		t.Errorf("DBInstanceIdentifier is %s: %v", root["DBInstanceIdentifier"], err)
	}
	if len(directive.Metrics) == 0 {
		t.Error("a directive without metrics")
	}
	units := map[string]string{
		"BackupSucceeded": "Count", "SnapshotsDeleted": "Count", "Backups": "Count", "NewestBackupAge": "Seconds",
		"SnapshotsInRegion": "Count", "SnapshotQuotaUsed": "Percent", "CopyLag": "Seconds",
		"NewestDumpAge": "Seconds", "NewestDumpSize": "Bytes", "DumpSizeRatio": "None", "NewestDrillAge": "Seconds",
		"NewestDumpCopyAge": "Seconds",
	}
	values := map[string]float64{}
	for _, m := range directive.Metrics {
		if units[m.Name] != m.Unit || m.Unit == "" {
			t.Errorf("%s has the unit %q, want %q", m.Name, m.Unit, units[m.Name])
		}
		var value float64
		if err := json.Unmarshal(root[m.Name], &value); err != nil {
			t.Errorf("%s is declared, and its value is %q: %v", m.Name, root[m.Name], err)
		}
		if _, twice := values[m.Name]; twice {
			t.Errorf("%s is declared twice", m.Name)
		}
		values[m.Name] = value
	}
	if len(root) != len(values)+2 {
		t.Errorf("want only metadata, dimension and metrics at the root, have %q", slices.Sorted(maps.Keys(root)))
	}
	return values
}

// wantMetrics compares the metrics without those of the region's snapshots, which have tests of their
// own.
func wantMetrics(t *testing.T, have, want map[string]float64) {
	t.Helper()
	have = maps.Clone(have)
	maps.DeleteFunc(have, func(name string, _ float64) bool {
		return name == "SnapshotsInRegion" || name == "SnapshotQuotaUsed"
	})
	if !maps.Equal(have, want) {
		t.Errorf("metrics are %v, want %v", have, want)
	}
}

// wantError checks that err contains all parts; without parts, that there is no error.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if len(parts) == 0 && err != nil {
		t.Errorf("unexpected error: %v", err)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("want an error that contains %q, have %v", part, err)
		}
	}
}

func TestBackupTakesTaggedSnapshotNamedAfterScheduledTime(t *testing.T) {
	f := &fakeRDS{}
	// The same moment, written in another zone.
	res, metrics, err := invoke(t, f, `{"action":"backup","scheduled_time":"2026-11-23T04:00:00+01:00"}`)
	wantError(t, err)
	if res.Snapshot != backupID || !res.Created {
		t.Errorf("result is %+v", res)
	}
	if !slices.Equal(f.ids(), []string{backupID}) {
		t.Fatalf("snapshots are %v", f.ids())
	}
	tags := map[string]string{}
	for _, tag := range f.snapshots[0].TagList {
		tags[*tag.Key] = *tag.Value
	}
	want := map[string]string{"BackupOf": "platform-dev", "ScheduledTime": "2026-11-23T03:00:00Z"}
	if !maps.Equal(tags, want) {
		t.Errorf("tags are %v, want %v", tags, want)
	}
	// The new snapshot is still being created, so it does not count yet.
	wantMetrics(t, metrics, map[string]float64{"BackupSucceeded": 1, "SnapshotsDeleted": 0, "Backups": 0})
}

func TestRepeatedInvocationCreatesOneSnapshot(t *testing.T) {
	for _, refuseForState := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused for the instance's state %v", refuseForState), func(t *testing.T) {
			f := &fakeRDS{refuseForState: refuseForState}
			for delivery := range 3 {
				res, metrics, err := invoke(t, f, backupEvent)
				wantError(t, err)
				if res.Snapshot != backupID || res.Created != (delivery == 0) {
					t.Errorf("delivery %d: result is %+v", delivery, res)
				}
				if metrics["BackupSucceeded"] != 1 {
					t.Errorf("delivery %d: metrics are %v", delivery, metrics)
				}
			}
			if !slices.Equal(f.ids(), []string{backupID}) {
				t.Errorf("snapshots are %v", f.ids())
			}
		})
	}
}

func TestSimultaneousInvocationsCreateOneSnapshot(t *testing.T) {
	f := &fakeRDS{snapshots: []types.DBSnapshot{ours(1), ours(2), ours(8), ours(9), ours(10)}}
	var created, failed int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			res, err := newBackup(t, f, io.Discard).handle(context.Background(), json.RawMessage(backupEvent))
			mu.Lock()
			defer mu.Unlock()
			if res.Created {
				created++
			}
			if err != nil {
				failed++
				t.Log(err)
			}
		})
	}
	wg.Wait()
	if created != 1 || failed != 0 {
		t.Errorf("%d created it and %d failed, want 1 and 0", created, failed)
	}
	if want := []string{ourID(1), ourID(2), backupID}; !slices.Equal(f.ids(), want) {
		t.Errorf("left are %v, want %v", f.ids(), want)
	}
}

func TestExistingSnapshotIsAnErrorUnlessItBelongsToTheStack(t *testing.T) {
	tests := []struct {
		name string
		has  types.DBSnapshot
		want []string
	}{
		{"of the stack, available", ours(0, named(backupID)), nil},
		{"of the stack, still being created", ours(0, named(backupID), in("creating"), timeless), nil},
		{"of the stack, failed", ours(0, named(backupID), in("failed")), []string{backupID, "failed"}},
		{"of the stack, being deleted", ours(0, named(backupID), in("deleting")), []string{backupID, "deleting"}},
		{"without tags", ours(0, named(backupID), tagged()), []string{backupID, "someone else"}},
		{
			"of another stack",
			ours(0, named(backupID), tagged(types.Tag{
				Key:   aws.String("BackupOf"),
				Value: aws.String("platform-prod"),
			})),
			[]string{backupID, "someone else"},
		},
		{"of another instance", ours(0, named(backupID), ofInstance("other")), []string{backupID, "someone else"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeRDS{snapshots: []types.DBSnapshot{test.has}}
			res, metrics, err := invoke(t, f, backupEvent)
			wantError(t, err, test.want...)
			succeeded := 1.0
			if test.want != nil {
				succeeded = 0
			}
			if metrics["BackupSucceeded"] != succeeded || res.Created {
				t.Errorf("metrics are %v, result is %+v", metrics, res)
			}
			if len(f.deletes) > 0 {
				t.Errorf("deleted %v", f.deletes)
			}
		})
	}
}

func TestFailedSnapshotDoesNotHideTheOtherSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{
			createErr: &types.InvalidDBInstanceStateFault{Message: aws.String("instance is stopped")},
			snapshots: []types.DBSnapshot{ours(1), ours(2), ours(9)},
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		_, metrics, err := invokeWithin(t, ctx, f, backupEvent)
		wantError(t, err, "snapshot: ", "InvalidDBInstanceState", "instance is stopped")
		if waited := time.Since(began); waited < 13*time.Minute || waited > 14*time.Minute+10*time.Second {
			t.Errorf("waited %v of 15 minutes, want all but about a minute", waited)
		}
		if want := []string{ourID(1), ourID(2)}; !slices.Equal(f.ids(), want) {
			t.Errorf("left are %v, want %v", f.ids(), want)
		}
		wantMetrics(t, metrics, map[string]float64{
			"BackupSucceeded":  0,
			"SnapshotsDeleted": 1,
			"Backups":          2,
			"NewestBackupAge":  86400,
		})
	})
}

func TestBackupWaitsUntilTheInstanceAllowsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{createErr: &types.InvalidDBInstanceStateFault{}, createErrs: 30}
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		began := time.Now()
		res, metrics, err := invokeWithin(t, ctx, f, backupEvent)
		wantError(t, err)
		if !res.Created || res.Snapshot != backupID || metrics["BackupSucceeded"] != 1 {
			t.Errorf("result is %+v, metrics are %v", res, metrics)
		}
		if waited := time.Since(began); waited < 4*time.Minute || waited > 6*time.Minute {
			t.Errorf("waited %v, want about five minutes", waited)
		}
	})
}

func TestBackupDoesNotRepeatOtherErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{createErr: &types.SnapshotQuotaExceededFault{}, snapshots: []types.DBSnapshot{ours(1)}}
		began := time.Now()
		_, _, err := invoke(t, f, backupEvent)
		wantError(t, err, "snapshot: ", "SnapshotQuotaExceeded")
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestErrorsOfAllStepsAreReported(t *testing.T) {
	f := &fakeRDS{createErr: errors.New("no permission to create"), describeErr: errors.New("no permission to list")}
	_, metrics, err := invoke(t, f, backupEvent)
	wantError(t, err, "snapshot: ", "no permission to create", "prune: ", "report: ", "no permission to list")
	wantMetrics(t, metrics, map[string]float64{"BackupSucceeded": 0, "SnapshotsDeleted": 0})
}

func TestPruneDeletesOnlyExpiredSnapshots(t *testing.T) {
	days := func(days ...int) []types.DBSnapshot {
		var snapshots []types.DBSnapshot
		for _, d := range days {
			snapshots = append(snapshots, ours(d))
		}
		return snapshots
	}
	otherStack := types.Tag{Key: aws.String("BackupOf"), Value: aws.String("platform-prod")}
	otherKey := types.Tag{Key: aws.String("Stack"), Value: aws.String("platform-dev")}
	tests := []struct {
		name    string
		has     []types.DBSnapshot
		deletes []string // in order
		kept    int      // available snapshots of the stack
	}{
		{
			"deletes expired snapshots, oldest first, of every page",
			days(9, 1, 8, 2, 10),
			[]string{ourID(10), ourID(9), ourID(8)},
			2,
		},
		{"keeps snapshots within the retention, however many", days(1, 2, 3, 4, 5, 6, 7), nil, 7},
		{
			"keeps the newest snapshots up to the minimum, regardless of age",
			days(30, 40, 50, 60),
			[]string{ourID(60), ourID(50)},
			2,
		},
		{"keeps all snapshots if there are fewer than the minimum", days(30), nil, 1},
		{
			"keeps a snapshot without the stack's tag",
			append(days(1, 2), ours(30, tagged()), ours(31, tagged(otherStack)), ours(32, tagged(otherKey))),
			nil,
			2,
		},
		{
			"keeps a snapshot with another name",
			append(days(1, 2), ours(30, named("before-migration-20200101-000000")),
				ours(31, named("platform-dev-scheduledish-20200101-000000"))),
			nil,
			2,
		},
		{
			"deletes snapshots of the previously active instance",
			append(days(1, 2), ours(30, ofInstance("other"))),
			[]string{ourID(30)},
			2,
		},
		{
			"keeps an automated snapshot",
			append(days(1, 2), ours(30, func(s *types.DBSnapshot) { s.SnapshotType = aws.String("automated") })),
			nil,
			2,
		},
		{
			"does not count snapshots of others towards the minimum",
			append(days(30, 31), ours(1, tagged()), ours(2, named("by-hand"))),
			nil,
			2,
		},
		{
			"deletes failed snapshots after the retention",
			append(days(1, 2), ours(8, in("failed")), ours(6, in("failed"))),
			[]string{ourID(8)},
			2,
		},
		{
			"does not count failed snapshots towards the minimum",
			append(days(30, 31), ours(1, in("failed")), ours(2, in("failed"))),
			nil,
			2,
		},
		{
			"does not count snapshots being created towards the minimum",
			append(days(30, 31), ours(0, in("creating")), ours(1, in("creating"))),
			nil,
			2,
		},
		{"keeps snapshots being created, even old ones", append(days(1, 2), ours(30, in("creating"))), nil, 2},
		{
			"keeps snapshots that RDS is modifying",
			append(days(1, 2), ours(30, in("copying")), ours(31, in("deleting"))),
			nil,
			2,
		},
		{
			"uses the time in the identifier if RDS has none",
			append(days(1, 2), ours(8, in("failed"), timeless), ours(6, in("failed"), timeless)),
			[]string{ourID(8)},
			2,
		},
		{
			"prefers the time of RDS to that in the identifier",
			append(days(1, 2), ours(3, named("platform-dev-scheduled-20200101-000000"))),
			nil,
			3,
		},
		{
			"keeps a copy that a person made, with the tags",
			append(days(1, 2), ours(30, named(ourID(30)+"-keep")), ours(31, named("platform-dev-scheduled-extra"))),
			nil,
			2,
		},
		{
			"does not count copies towards the minimum",
			append(days(30, 31), ours(1, named(ourID(1)+"-keep")), ours(2, named(ourID(2)+"-keep"))),
			nil,
			2,
		},
		{
			"uses the time of the original, not that of the copy",
			append(days(1, 2), ours(0, named(ourID(40)), func(s *types.DBSnapshot) {
				s.OriginalSnapshotCreateTime = aws.Time(now.AddDate(0, 0, -40))
			})),
			[]string{ourID(40)},
			2,
		},
	}
	for i, test := range append(tests, tests...) {
		// The second round does not trust RDS with what it was asked for: a deletion cannot be
		// undone.
		ignoreFilters := i >= len(tests)
		t.Run(test.name, func(t *testing.T) {
			f := &fakeRDS{snapshots: slices.Clone(test.has), ignoreFilters: ignoreFilters}
			res, metrics, err := invoke(t, f, backupEvent)
			wantError(t, err)
			if !slices.Equal(f.deletes, test.deletes) ||
				!slices.Equal(res.Deleted, append([]string{}, test.deletes...)) {
				t.Errorf("deleted %v, says %v, want %v", f.deletes, res.Deleted, test.deletes)
			}
			if res.Kept != test.kept || metrics["Backups"] != float64(test.kept) {
				t.Errorf("kept %d, says %v, want %d", res.Kept, metrics["Backups"], test.kept)
			}
			if metrics["SnapshotsDeleted"] != float64(len(test.deletes)) {
				t.Errorf("metrics are %v", metrics)
			}
		})
	}
}

func TestFakeRDSReturnsPages(t *testing.T) {
	f := &fakeRDS{snapshots: []types.DBSnapshot{ours(1), ours(2), ours(3)}}
	res, _, err := invoke(t, f, reportEvent)
	wantError(t, err)
	if f.pages != 4 || res.Kept != 3 { // the report lists them twice
		t.Errorf("%d pages with %d snapshots, want 4 with 3", f.pages, res.Kept)
	}
}

func TestEveryDeletionIsTriedAndErrorsAreJoined(t *testing.T) {
	f := &fakeRDS{
		snapshots: []types.DBSnapshot{ours(1), ours(2), ours(8), ours(9), ours(10), ours(11)},
		deleteErr: map[string]error{
			ourID(11): errors.New("no permission"),
			ourID(9):  &types.InvalidDBSnapshotStateFault{Message: aws.String("is being restored")},
		},
	}
	res, metrics, err := invoke(t, f, backupEvent)
	wantError(t, err, "prune: ", ourID(11), "no permission", ourID(9), "is being restored")
	if want := []string{ourID(11), ourID(10), ourID(9), ourID(8)}; !slices.Equal(f.deletes, want) {
		t.Errorf("tried %v, want %v", f.deletes, want)
	}
	if want := []string{ourID(10), ourID(8)}; !slices.Equal(res.Deleted, want) {
		t.Errorf("deleted %v, want %v", res.Deleted, want)
	}
	// The new snapshot exists; an old one that could not be deleted is not a failed backup.
	wantMetrics(t, metrics, map[string]float64{
		"BackupSucceeded":  1,
		"SnapshotsDeleted": 2,
		"Backups":          4,
		"NewestBackupAge":  86400,
	})
}

func TestDeletingADeletedSnapshotSucceeds(t *testing.T) {
	f := &fakeRDS{
		snapshots: []types.DBSnapshot{ours(1), ours(2), ours(8)},
		deleteErr: map[string]error{ourID(8): &types.DBSnapshotNotFoundFault{}},
	}
	res, _, err := invoke(t, f, backupEvent)
	wantError(t, err)
	if !slices.Equal(res.Deleted, []string{ourID(8)}) {
		t.Errorf("deleted %v", res.Deleted)
	}
}

func TestReportEmitsMetrics(t *testing.T) {
	tests := []struct {
		name string
		has  []types.DBSnapshot
		want map[string]float64
	}{
		{
			"emits the age of the instance without any snapshot", nil,
			map[string]float64{"Backups": 0, "NewestBackupAge": 50 * 3600},
		},
		{
			"emits the age of the instance without an available snapshot",
			[]types.DBSnapshot{ours(1, in("creating")), ours(2, in("failed"))},
			map[string]float64{"Backups": 0, "NewestBackupAge": 50 * 3600},
		},
		{
			"does not take a person's copy of an old snapshot for a new one",
			[]types.DBSnapshot{ours(5), ours(0, named(ourID(5)+"-keep"))},
			map[string]float64{"Backups": 1, "NewestBackupAge": 5 * 86400},
		},
		{"emits the age of the newest available snapshot", []types.DBSnapshot{
			ours(9), ours(2), ours(3), ours(0, in("creating")), ours(1, in("failed")),
		},
			map[string]float64{"Backups": 3, "NewestBackupAge": 2 * 86400}},
		{"counts only snapshots of the stack",
			[]types.DBSnapshot{ours(3), ours(1, tagged()), ours(2, named("by-hand"))},
			map[string]float64{"Backups": 1, "NewestBackupAge": 3 * 86400}},
		{
			"does not count snapshots of the previously active instance",
			[]types.DBSnapshot{ours(3), ours(1, ofInstance("other"))},
			map[string]float64{"Backups": 1, "NewestBackupAge": 3 * 86400},
		},
		{
			"emits no negative age",
			[]types.DBSnapshot{ours(-1)},
			map[string]float64{"Backups": 1, "NewestBackupAge": 0},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeRDS{snapshots: slices.Clone(test.has), instance: inUse(50, "available")}
			_, metrics, err := invoke(t, f, reportEvent)
			wantError(t, err)
			wantMetrics(t, metrics, test.want)
			if len(f.deletes) > 0 || len(f.snapshots) != len(test.has) {
				t.Errorf("report changed something: %v, deleted %v", f.ids(), f.deletes)
			}
		})
	}
}

func TestReportEmitsNoMetricsIfSnapshotsCannotBeListed(t *testing.T) {
	_, metrics, err := invoke(t, &fakeRDS{describeErr: errors.New("no permission")}, reportEvent)
	wantError(t, err, "report: ", "no permission")
	wantMetrics(t, metrics, nil)
}

func TestDeploymentOnlyListsSnapshots(t *testing.T) {
	for _, event := range []string{createEvent, updateEvent} {
		f := &fakeRDS{snapshots: []types.DBSnapshot{ours(30), ours(40), ours(50)}}
		res, metrics, err := invoke(t, f, event)
		wantError(t, err)
		wantMetrics(t, metrics, nil)
		if res.Kept != 3 || len(f.snapshots) != 3 || len(f.deletes) > 0 {
			t.Errorf("%s: result is %+v, left are %v", event, res, f.ids())
		}
		_, _, err = invoke(t, &fakeRDS{describeErr: errors.New("no permission")}, event)
		wantError(t, err, "list: ", "no permission")
	}
}

// refusal is the error of AWS for a missing permission, for the first calls.
type refusal struct{ code string }

func (r refusal) Error() string     { return r.code + ": not authorized" }
func (r refusal) ErrorCode() string { return r.code }

func TestDeploymentWaitsForIAMPermissions(t *testing.T) {
	for _, c := range []struct {
		name    string
		err     error
		refused int // calls before the permission takes effect
		wants   []string
	}{
		{"a permission that takes effect later", refusal{"AccessDenied"}, 4, nil},
		{"a permission that is never granted", refusal{"AccessDenied"}, 1000, []string{"list: ", "AccessDenied"}},
		{"another error, which is not retried", refusal{"Throttling"}, 1, []string{"list: ", "Throttling"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fakeRDS{snapshots: []types.DBSnapshot{ours(1)}, describeErr: c.err, describeErrs: c.refused}
				began := time.Now()
				_, _, err := invoke(t, f, createEvent)
				wantError(t, err, c.wants...)
				if waited := time.Since(began); waited > 2*time.Minute {
					t.Errorf("waited %v", waited)
				}
			})
		})
	}
}

func TestDestroyDeletesOnlySnapshotsOfTheStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{snapshots: []types.DBSnapshot{
			ours(0), ours(1), ours(2, in("failed")), ours(30), ours(3, tagged()), ours(4, named("by-hand")),
			ours(5, ofInstance("before")),
		}}
		res, metrics, err := invoke(t, f, deleteEvent)
		wantError(t, err)
		wantMetrics(t, metrics, nil)
		if want := []string{ourID(3), "by-hand"}; !slices.Equal(f.ids(), want) {
			t.Errorf("left are %v, want %v", f.ids(), want)
		}
		want := []string{ourID(30), ourID(5), ourID(2), ourID(1), ourID(0)}
		if !slices.Equal(res.Deleted, want) || res.Kept != 0 {
			t.Errorf("result is %+v, want %v deleted", res, want)
		}
	})
}

func TestDestroyWithoutSnapshotsReturnsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, _, err := invoke(t, &fakeRDS{}, deleteEvent)
		wantError(t, err)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestDestroyWaitsForSnapshotsStillBeingCreated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
		defer cancel()
		f := &fakeRDS{
			snapshots: []types.DBSnapshot{ours(0, in("creating"), timeless), ours(1)},
			readyAt:   map[string]time.Time{ourID(0): start.Add(4 * time.Minute)},
		}
		res, _, err := invokeWithin(t, ctx, f, deleteEvent)
		wantError(t, err)
		if len(f.snapshots) > 0 || !slices.Equal(res.Deleted, []string{ourID(1), ourID(0)}) ||
			!slices.Equal(f.deletes, res.Deleted) {
			t.Errorf("deleted %v with the calls %v, left are %v", res.Deleted, f.deletes, f.ids())
		}
		if took := time.Since(start); took < 4*time.Minute || took > 5*time.Minute {
			t.Errorf("took %v, want a little over 4m", took)
		}
	})
}

func TestDestroyWaitsForSnapshotsThatRDSIsModifying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{
			snapshots: []types.DBSnapshot{ours(0), ours(1)},
			deleteErr: map[string]error{ourID(0): &types.InvalidDBSnapshotStateFault{}},
		}
		time.AfterFunc(time.Minute, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.deleteErr = nil
		})
		res, _, err := invoke(t, f, deleteEvent)
		wantError(t, err)
		if len(f.snapshots) > 0 || !slices.Equal(res.Deleted, []string{ourID(1), ourID(0)}) {
			t.Errorf("deleted %v, left are %v", res.Deleted, f.ids())
		}
	})
}

func TestDestroyWaitsUntilRDSListsNoSnapshotOfTheStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{snapshots: []types.DBSnapshot{ours(0)}, deletesAt: time.Now().Add(time.Minute)}
		res, _, err := invoke(t, f, deleteEvent)
		wantError(t, err)
		if len(f.snapshots) > 0 || !slices.Equal(res.Deleted, []string{ourID(0)}) {
			t.Errorf("deleted %v, left are %v", res.Deleted, f.ids())
		}
	})
}

func TestDestroyFailsBeforeTheTimeoutAndNamesRemainingSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		f := &fakeRDS{
			snapshots: []types.DBSnapshot{ours(0, in("creating")), ours(1)},
			readyAt:   map[string]time.Time{ourID(0): start.Add(time.Hour)},
		}
		_, _, err := invokeWithin(t, ctx, f, deleteEvent)
		wantError(t, err, "remove: ", "time ran out", ourID(0)+" (creating)")
		if strings.Contains(err.Error(), ourID(1)) {
			t.Errorf("the error names a deleted snapshot: %v", err)
		}
		if ctx.Err() != nil || time.Since(start) < 4*time.Minute {
			t.Errorf("answered after %v of 5m", time.Since(start))
		}
	})
}

func TestDestroyFailsIfASnapshotCannotBeDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRDS{
			snapshots: []types.DBSnapshot{ours(0), ours(1), ours(2)},
			deleteErr: map[string]error{ourID(0): errors.New("no permission")},
		}
		_, _, err := invoke(t, f, deleteEvent)
		wantError(t, err, "remove: ", ourID(0), "no permission")
		if !slices.Equal(f.ids(), []string{ourID(0)}) {
			t.Errorf("left are %v, want the others gone", f.ids())
		}
	})
}

func TestDestroyFailsIfSnapshotsCannotBeListed(t *testing.T) {
	_, _, err := invoke(t, &fakeRDS{describeErr: errors.New("no permission")}, deleteEvent)
	wantError(t, err, "remove: ", "no permission")
}

func TestInvalidEventIsAnErrorAndChangesNothing(t *testing.T) {
	tests := []struct{ name, event, want string }{
		{"unknown action", `{"action":"restore"}`, `"restore"`},
		{"no action", `{}`, `want backup, report or lifecycle`},
		{"null", `null`, `want backup, report or lifecycle`},
		{"not an object", `["backup"]`, "cannot unmarshal"},
		{"unknown key", `{"action":"report","verbose":true}`, `"verbose"`},
		{"backup without a time", `{"action":"backup"}`, "scheduled_time"},
		{
			"backup with an unresolved scheduled time",
			`{"action":"backup","scheduled_time":"<aws.scheduler.scheduled-time>"}`,
			"aws.scheduler.scheduled-time",
		},
		{"lifecycle without the key tf", `{"action":"lifecycle"}`, "lifecycle_scope"},
		{
			"lifecycle with an unknown action",
			`{"action":"lifecycle","tf":{"action":"read","prev_input":null}}`,
			`"read"`,
		},
		{
			"the key tf in another action",
			`{"action":"report","tf":{"action":"delete","prev_input":null}}`,
			"tf belongs to lifecycle",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeRDS{snapshots: []types.DBSnapshot{ours(30), ours(40), ours(50)}}
			_, metrics, err := invoke(t, f, test.event)
			wantError(t, err, "event: ", test.want)
			wantMetrics(t, metrics, nil)
			if f.pages > 0 || len(f.snapshots) != 3 {
				t.Errorf("called RDS: %d pages, left are %v", f.pages, f.ids())
			}
		})
	}
}

func TestInvalidEnvironmentListsAllProblems(t *testing.T) {
	with := func(changes map[string]string) func(string) string {
		env := environment()
		maps.Copy(env, changes)
		return func(name string) string { return env[name] }
	}
	tests := []struct {
		name   string
		getenv func(string) string
		want   []string
	}{
		{"complete", with(nil), nil},
		{"with dumps, rehearsals and copies", with(map[string]string{
			"BACKUP_BUCKET": "backup", "DUMPS_SINCE": "2026-11-23T03:00:00Z", "DRILLS_SINCE": "2026-11-23T03:00:00Z",
			"COPY_REGION": "eu-west-1", "COPY_BUCKET": "copy", "COPIES_SINCE": "2026-11-23T03:00:00Z",
			"FURTHER_DATABASES": `{"metabase":"2026-11-23T03:00:00Z","a_2":"2026-11-24T03:00:00Z"}`,
		}), nil},
		{"databases without dumps, and with a name that is none", with(map[string]string{
			"FURTHER_DATABASES": `{"2026":"2026-11-23T03:00:00Z"}`,
		}), []string{
			"FURTHER_DATABASES: want BACKUP_BUCKET too",
			`FURTHER_DATABASES: want names of lower-case letters, digits and underscores, have "2026"`,
		}},
		{"databases without times", with(map[string]string{"FURTHER_DATABASES": `["metabase"]`}), []string{
			"FURTHER_DATABASES: want a JSON object of times by database, have ",
		}},
		{"dumps without a time", with(map[string]string{"BACKUP_BUCKET": "backup"}), []string{
			"DUMPS_SINCE: want a time with BACKUP_BUCKET",
		}},
		{"empty", func(string) string { return "" }, []string{
			"DB_INSTANCE_IDENTIFIER: not set", "SNAPSHOT_PREFIX: not set", "BACKUP_OF: not set",
			"RETENTION_DAYS: not set", "MINIMUM_SNAPSHOTS: not set", "MAX_AGE_HOURS: not set",
			"METRIC_NAMESPACE: not set",
		}},
		{"all of it wrong", with(map[string]string{
			"DB_INSTANCE_IDENTIFIER": "Platform",
			"SNAPSHOT_PREFIX":        "platform--dev",
			"BACKUP_OF":              strings.Repeat("x", 257),
			"RETENTION_DAYS":         "0",
			"MINIMUM_SNAPSHOTS":      "two",
			"MAX_AGE_HOURS":          "0.5",
			"METRIC_NAMESPACE":       "AWS/Backup",
			"COPY_BUCKET":            "elsewhere",
			"DUMPS_SINCE":            "yesterday",
			"COPY_REGION":            "",
			"COPIES_SINCE":           "2026-11-23T03:00:00Z",
		}), []string{
			`DB_INSTANCE_IDENTIFIER: want lower-case`, `"Platform"`,
			`SNAPSHOT_PREFIX: want lower-case`, `"platform--dev"`,
			"BACKUP_OF: want at most 256",
			"RETENTION_DAYS: want a whole number from 1 to", `"0"`,
			"MINIMUM_SNAPSHOTS: want a whole number from 1 to", `"two"`,
			`MAX_AGE_HOURS: want a whole number from 1 to`, `"0.5"`,
			"METRIC_NAMESPACE: AWS/ is reserved",
			"COPY_BUCKET: want COPY_REGION and BACKUP_BUCKET too",
			`DUMPS_SINCE: want a time such as 2026-11-23T03:00:00Z, have "yesterday"`,
			"COPIES_SINCE: want a time with COPY_REGION, and none without it",
		}},
		{
			"a prefix that leaves no room for the time",
			with(map[string]string{"SNAPSHOT_PREFIX": strings.Repeat("x", 240)}),
			[]string{"SNAPSHOT_PREFIX: want at most 239 characters, have 240"},
		},
		{
			"a prefix that ends in a hyphen",
			with(map[string]string{"SNAPSHOT_PREFIX": "platform-"}),
			[]string{"SNAPSHOT_PREFIX"},
		},
		{
			"a namespace that CloudWatch drops",
			with(map[string]string{"METRIC_NAMESPACE": "platform dev"}),
			[]string{"METRIC_NAMESPACE"},
		},
		{
			"a retention that overflows",
			with(map[string]string{"RETENTION_DAYS": "99999999999999999999"}),
			[]string{"RETENTION_DAYS"},
		},
		{"a retention below zero", with(map[string]string{"RETENTION_DAYS": "-1"}), []string{"RETENTION_DAYS"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadSettings(test.getenv)
			wantError(t, err, test.want...)
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("pipe is closed") }

func TestMetricsThatCannotBeWrittenFailTheInvocation(t *testing.T) {
	_, err := newBackup(t, &fakeRDS{}, brokenWriter{}).handle(context.Background(), json.RawMessage(reportEvent))
	wantError(t, err, "metrics: pipe is closed")
}
