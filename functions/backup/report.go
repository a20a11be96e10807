package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// report is the step that emits the gauges of the snapshots of the instance in use.
func (b *backup) report(ctx context.Context, in *invocation) error {
	listed, err := b.snapshots(ctx)
	if err != nil {
		return err
	}
	good := slices.DeleteFunc(available(listed.ours), func(s types.DBSnapshot) bool { return !b.current(s) })
	in.result.Kept = len(good)
	in.emit(count("Backups", len(good)), count("SnapshotsInRegion", listed.manual))
	age, known, err := b.age(ctx, b.newestFirst(good))
	if known {
		in.emit(seconds("NewestBackupAge", age))
	}
	return err
}

// age returns how old the newest of some snapshots is. Without any, it is the age of the instance,
// for which there has been no snapshot since it was created: a new instance has the time that its
// snapshots may take to come. It is not known if the instance does not exist.
func (b *backup) age(ctx context.Context, newestFirst []types.DBSnapshot) (age time.Duration, known bool, err error) {
	if len(newestFirst) > 0 {
		return b.since(b.taken(newestFirst[0])), true, nil
	}
	return b.instanceAge(ctx)
}

func (b *backup) instanceAge(ctx context.Context) (age time.Duration, known bool, err error) {
	instance, err := b.instance(ctx)
	if err != nil || instance == nil || instance.InstanceCreateTime == nil {
		return 0, false, err
	}
	return b.since(*instance.InstanceCreateTime), true, nil
}

// since returns the time since a time of AWS's, whose clock may be a moment ahead.
func (b *backup) since(at time.Time) time.Duration { return max(0, b.now().Sub(at)) }

// quota is the step that emits how much of the region's quota of manual snapshots is used, by all
// databases of the account. When it is full, every backup fails.
func (b *backup) quota(ctx context.Context, in *invocation) error {
	var found *rds.DescribeAccountAttributesOutput
	err := believed(ctx, func() (err error) {
		found, err = b.rds.DescribeAccountAttributes(ctx, &rds.DescribeAccountAttributesInput{})
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot read the quotas of RDS: %w", err)
	}
	for _, q := range found.AccountQuotas {
		if aws.ToString(q.AccountQuotaName) == "ManualSnapshots" && aws.ToInt64(q.Max) > 0 {
			in.emit(percent("SnapshotQuotaUsed", float64(aws.ToInt64(q.Used))/float64(*q.Max)))
			return nil
		}
	}
	return errors.New("RDS returned no quota ManualSnapshots")
}

// copied is the step that emits how far the replicated backups in the other region are behind: the
// time since the last moment to which they can be restored.
func (b *backup) copied(ctx context.Context, in *invocation) error {
	var latest *time.Time
	pages := rds.NewDescribeDBInstanceAutomatedBackupsPaginator(
		b.copies, &rds.DescribeDBInstanceAutomatedBackupsInput{})
	for pages.HasMorePages() {
		var page *rds.DescribeDBInstanceAutomatedBackupsOutput
		err := believed(ctx, func() (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("cannot list the replicated backups in %s: %w", b.settings.copyRegion, err)
		}
		for _, a := range page.DBInstanceAutomatedBackups {
			if b.replica(a) && (latest == nil || a.RestoreWindow.LatestTime.After(*latest)) {
				latest = a.RestoreWindow.LatestTime
			}
		}
	}
	if latest != nil {
		in.emit(seconds("CopyLag", b.since(*latest)))
		return nil
	}
	// The first copy of a large database takes hours.
	age, known, err := b.ageWithout(ctx, b.settings.copiesSince)
	if known {
		in.emit(seconds("CopyLag", age))
	}
	return err
}

// replica tells whether automated backups in the other region are replicated from the instance in
// use, and can be restored. Backups with the status retained are those of a deleted instance, or of a
// replication that was stopped; an instance of that region may have the same identifier.
func (b *backup) replica(a types.DBInstanceAutomatedBackup) bool {
	return aws.ToString(a.DBInstanceIdentifier) == b.settings.instance &&
		!strings.HasPrefix(aws.ToString(a.DBInstanceArn), "arn:aws:rds:"+b.settings.copyRegion+":") &&
		aws.ToString(a.Status) != "retained" &&
		a.RestoreWindow != nil && a.RestoreWindow.LatestTime != nil
}
