package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// snapshot is the step that ensures that a snapshot for the scheduled time exists. RDS refuses one
// while the instance is in another state than available: it is being modified, upgraded, or backed
// up by RDS beyond its window. The step asks again as long as the invocation lasts.
//
// BackupSucceeded is about this step alone: a failed pruning is an error of the function, and no
// lost backup.
func (b *backup) snapshot(ctx context.Context, in *invocation) error {
	id := b.snapshotID(in.event.ScheduledTime)
	created, err := b.ensureSnapshot(ctx, id, in.event.ScheduledTime)
	for is[*types.InvalidDBInstanceStateFault](err) && pause(ctx, laterSteps) {
		b.log.InfoContext(ctx, "waiting for the instance", "snapshot", id, "error", err)
		created, err = b.ensureSnapshot(ctx, id, in.event.ScheduledTime)
	}
	succeeded := 0
	if err == nil {
		succeeded = 1
		in.result.Snapshot, in.result.Created = id, created
	}
	in.emit(count("BackupSucceeded", succeeded))
	return err
}

// makeUp is the step of the hourly report that takes the snapshot which a schedule missed: because
// the scheduler or Lambda gave up, or because the instance was not available for too long. That is,
// if the newest snapshot, or else the instance, is older than it may be. A repeated delivery within
// the hour has the same identifier.
func (b *backup) makeUp(ctx context.Context, in *invocation) error {
	listed, err := b.snapshots(ctx)
	if err != nil {
		return err
	}
	inUse := slices.DeleteFunc(listed.ours, func(s types.DBSnapshot) bool {
		return !b.current(s) || status(s) != statusAvailable && status(s) != statusCreating
	})
	age, known, err := b.age(ctx, b.newestFirst(inUse))
	if err != nil || !known || age <= b.settings.maxAge {
		return err
	}
	at := b.now().UTC().Truncate(time.Hour)
	id := b.snapshotID(at)
	created, err := b.ensureSnapshot(ctx, id, at)
	if is[*types.InvalidDBInstanceStateFault](err) {
		// The next report tries again, and the alarm on the age fires if that does not help.
		b.log.WarnContext(ctx, "the instance does not allow a snapshot now", "snapshot", id, "error", err)
		return nil
	}
	if err == nil {
		in.result.Snapshot, in.result.Created = id, created
	}
	return err
}

// ensureSnapshot requests a snapshot with this identifier and reports whether this call created it.
// RDS takes it in the background; the age of the newest snapshot shows whether it became available.
// The identifier is made from the scheduled time, so that repeated and simultaneous deliveries make
// one snapshot.
func (b *backup) ensureSnapshot(ctx context.Context, id string, scheduled time.Time) (created bool, err error) {
	_, err = b.rds.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{
		DBInstanceIdentifier: aws.String(b.settings.instance),
		DBSnapshotIdentifier: aws.String(id),
		Tags: []types.Tag{
			{Key: aws.String(tagBackupOf), Value: aws.String(b.settings.backupOf)},
			{Key: aws.String(tagScheduledTime), Value: aws.String(scheduled.UTC().Format(time.RFC3339))},
		},
	})
	if err == nil {
		return true, nil
	}
	err = fmt.Errorf("cannot create %s: %w", id, err)
	// While a snapshot is taken, the instance is in the state backing-up. RDS may give either reason
	// to the second of two deliveries, so both lead to a look at what exists.
	if !is[*types.DBSnapshotAlreadyExistsFault](err) && !is[*types.InvalidDBInstanceStateFault](err) {
		return false, err
	}
	found, lookupErr := b.find(ctx, id)
	switch {
	case lookupErr != nil:
		return false, errors.Join(err, lookupErr)
	case found == nil:
		return false, err
	case !b.ours(*found) || !b.current(*found):
		return false, fmt.Errorf("%s exists, but is not a snapshot of %s with the tag %s=%s: someone else made it",
			id, b.settings.instance, tagBackupOf, b.settings.backupOf)
	case status(*found) == statusFailed || status(*found) == statusDeleting:
		return false, fmt.Errorf("%s exists, but is %s", id, status(*found))
	}
	return false, nil
}
