package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// The tags on each snapshot. tagBackupOf makes a snapshot ours, together with its name;
// tagScheduledTime is for people.
const (
	tagBackupOf      = "BackupOf"
	tagScheduledTime = "ScheduledTime"
)

// Statuses of a snapshot. Any other, such as copying, ends without this function, which leaves the
// snapshot alone.
const (
	statusAvailable = "available"
	statusCreating  = "creating"
	statusDeleting  = "deleting"
	statusFailed    = "failed"
)

// idTime is the time in a snapshot's identifier, in UTC.
const idTime = "20060102-150405"

func (b *backup) snapshotID(at time.Time) string {
	return b.settings.prefix + "-" + at.UTC().Format(idTime)
}

// idOf returns the time in an identifier, and whether the identifier is one that this function
// gives: the prefix, a time, and nothing else. A copy that a person made has another name.
func (b *backup) idOf(s types.DBSnapshot) (time.Time, bool) {
	text, ok := strings.CutPrefix(identifier(s), b.settings.prefix+"-")
	if !ok {
		return time.Time{}, false
	}
	at, err := time.Parse(idTime, text)
	return at, err == nil
}

// ours tells whether this function made the snapshot. It takes both the tag and the name: RDS copies
// tags to snapshots that people make (copy_tags_to_snapshot, --copy-tags), and a person may choose a
// name like ours.
func (b *backup) ours(s types.DBSnapshot) bool {
	_, named := b.idOf(s)
	return named && aws.ToString(s.SnapshotType) == "manual" &&
		slices.ContainsFunc(s.TagList, func(tag types.Tag) bool {
			return aws.ToString(tag.Key) == tagBackupOf && aws.ToString(tag.Value) == b.settings.backupOf
		})
}

// current tells whether a snapshot is of the instance that is in use now.
func (b *backup) current(s types.DBSnapshot) bool {
	return aws.ToString(s.DBInstanceIdentifier) == b.settings.instance
}

// taken returns when a snapshot was taken. The time of creation of a copy is that of the copy, so
// the original's comes first. If RDS says neither, because the snapshot has not begun, or failed
// before it began, it is the time in the identifier.
func (b *backup) taken(s types.DBSnapshot) time.Time {
	scheduled, _ := b.idOf(s)
	return *cmp.Or(s.OriginalSnapshotCreateTime, s.SnapshotCreateTime, &scheduled)
}

// listing is what RDS lists.
type listing struct {
	ours   []types.DBSnapshot // in every status, in no particular order, of every instance of the stack
	manual int                // number of manual snapshots in the region, of everybody
}

// list returns the snapshots. Ours are also those of an instance that a restored one has replaced,
// because nobody else would ever delete them.
func (b *backup) snapshots(ctx context.Context) (listing, error) {
	var found listing
	pages := rds.NewDescribeDBSnapshotsPaginator(b.rds, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("manual"),
	})
	for pages.HasMorePages() {
		var page *rds.DescribeDBSnapshotsOutput
		err := believed(ctx, func() (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return listing{}, fmt.Errorf("cannot list the snapshots of %s: %w", b.settings.backupOf, err)
		}
		for _, s := range page.DBSnapshots {
			if aws.ToString(s.SnapshotType) == "manual" {
				found.manual++
			}
			if b.ours(s) {
				found.ours = append(found.ours, s)
			}
		}
	}
	return found, nil
}

// find returns the snapshot with this identifier, whoever made it, or nil.
func (b *backup) find(ctx context.Context, id string) (*types.DBSnapshot, error) {
	found, err := b.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String(id)})
	switch {
	case is[*types.DBSnapshotNotFoundFault](err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look up %s: %w", id, err)
	case len(found.DBSnapshots) == 0:
		return nil, nil
	}
	return &found.DBSnapshots[0], nil
}

// delete deletes a snapshot. One that does not exist, perhaps because a simultaneous invocation
// deleted it, is no error.
func (b *backup) delete(ctx context.Context, id string) error {
	_, err := b.rds.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: aws.String(id)})
	if err != nil && !is[*types.DBSnapshotNotFoundFault](err) {
		return fmt.Errorf("cannot delete %s: %w", id, err)
	}
	b.log.InfoContext(ctx, "deleted", "snapshot", id)
	return nil
}

// instance returns the instance that is in use, or nil if it does not exist.
func (b *backup) instance(ctx context.Context) (*types.DBInstance, error) {
	var found *rds.DescribeDBInstancesOutput
	err := believed(ctx, func() (err error) {
		found, err = b.rds.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{
			DBInstanceIdentifier: aws.String(b.settings.instance),
		})
		return err
	})
	switch {
	case is[*types.DBInstanceNotFoundFault](err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look up the instance %s: %w", b.settings.instance, err)
	case len(found.DBInstances) == 0:
		return nil, nil
	}
	return &found.DBInstances[0], nil
}

func available(snapshots []types.DBSnapshot) []types.DBSnapshot {
	var available []types.DBSnapshot
	for _, s := range snapshots {
		if status(s) == statusAvailable {
			available = append(available, s)
		}
	}
	return available
}

// newestFirst returns the snapshots in a slice of its own. Those of one age are sorted by
// identifier, so that simultaneous invocations agree.
func (b *backup) newestFirst(snapshots []types.DBSnapshot) []types.DBSnapshot {
	return slices.SortedFunc(slices.Values(snapshots), func(x, y types.DBSnapshot) int {
		return cmp.Or(b.taken(y).Compare(b.taken(x)), cmp.Compare(identifier(y), identifier(x)))
	})
}

func identifier(s types.DBSnapshot) string { return aws.ToString(s.DBSnapshotIdentifier) }

func status(s types.DBSnapshot) string { return aws.ToString(s.Status) }
