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
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// snapshotAPI is all of RDS that this function calls, and so all that its role allows.
type snapshotAPI interface {
	CreateDBSnapshot(context.Context, *rds.CreateDBSnapshotInput, ...func(*rds.Options)) (*rds.CreateDBSnapshotOutput, error)
	DescribeDBSnapshots(context.Context, *rds.DescribeDBSnapshotsInput, ...func(*rds.Options)) (*rds.DescribeDBSnapshotsOutput, error)
	DeleteDBSnapshot(context.Context, *rds.DeleteDBSnapshotInput, ...func(*rds.Options)) (*rds.DeleteDBSnapshotOutput, error)
}

// backup is the function. It may be invoked for the same event more than once, and at the same time.
type backup struct {
	settings settings
	rds      snapshotAPI
	now      func() time.Time
	metrics  io.Writer // one line of metrics an invocation
	log      *slog.Logger
}

// The tags on each snapshot. tagBackupOf makes a snapshot ours, together with its name; tagScheduledTime is for people.
const (
	tagBackupOf      = "BackupOf"
	tagScheduledTime = "ScheduledTime"
)

// What RDS says about a snapshot. Anything else (copying, modifying, …) passes by itself and is left alone.
const (
	statusAvailable = "available"
	statusCreating  = "creating"
	statusDeleting  = "deleting"
	statusFailed    = "failed"
)

// event is an invocation's input.
type event struct {
	Action        string         `json:"action"`         // backup, report or lifecycle
	ScheduledTime time.Time      `json:"scheduled_time"` // RFC 3339; required for backup, where it names the snapshot
	Terraform     *resourceEvent `json:"tf"`             // required for lifecycle, where Terraform adds it
}

// resourceEvent is what Terraform's aws_lambda_invocation adds to its input when lifecycle_scope is CRUD.
type resourceEvent struct {
	Action    string          `json:"action"` // create, update or delete
	PrevInput json.RawMessage `json:"prev_input"`
}

// parseEvent is strict: what it does not know is an error, since a misspelt event would otherwise do nothing, every night.
func parseEvent(payload []byte) (event, error) {
	var ev event
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&ev); err != nil {
		return event{}, fmt.Errorf("event: %w", err)
	}
	switch ev.Action {
	case "backup":
		if ev.ScheduledTime.IsZero() {
			return event{}, errors.New("event: backup needs scheduled_time, the time that the schedule meant")
		}
	case "report":
	case "lifecycle":
		if ev.Terraform == nil {
			return event{}, errors.New("event: lifecycle needs tf, which Terraform adds when lifecycle_scope is CRUD")
		}
		if !slices.Contains([]string{"create", "update", "delete"}, ev.Terraform.Action) {
			return event{}, fmt.Errorf("event: tf.action %q: want create, update or delete", ev.Terraform.Action)
		}
	default:
		return event{}, fmt.Errorf("event: action %q: want backup, report or lifecycle", ev.Action)
	}
	if ev.Terraform != nil && ev.Action != "lifecycle" {
		return event{}, fmt.Errorf("event: tf belongs to lifecycle, not to %s", ev.Action)
	}
	return ev, nil
}

// result is what an invocation that went well returns. Terraform keeps it in its state.
type result struct {
	Action   string   `json:"action"`
	Snapshot string   `json:"snapshot,omitempty"` // identifier; backup only
	Created  bool     `json:"created"`            // false also when an earlier delivery had made it
	Deleted  []string `json:"deleted"`            // identifiers
	Kept     int      `json:"kept"`               // available snapshots of ours that are left
}

// invocation is what the steps of one invocation share.
type invocation struct {
	event   event
	result  result
	metrics []metric
}

// step is one thing to do. Its error does not keep the later ones from running.
type step struct {
	name string
	do   func(context.Context, *invocation) error
}

// steps says what an event does, in order. A later step must be safe after an earlier one has failed: prune is, since the
// minimum it keeps counts available snapshots only, and a snapshot that failed is not one of them. It is needed, too: when
// the account's snapshot quota is what made the snapshot fail, only pruning lets the retry succeed.
func (b *backup) steps(ev event) []step {
	switch {
	case ev.Action == "backup":
		return []step{
			{"snapshot", b.snapshot},
			{"prune", b.prune},
			{"report", b.report},
		}
	case ev.Action == "lifecycle" && ev.Terraform.Action == "delete":
		return []step{{"remove", b.remove}}
	case ev.Action == "lifecycle":
		return []step{{"list", b.list}}
	default:
		return []step{{"report", b.report}}
	}
}

// handle serves one invocation: every step runs, and all errors come back joined, so that the invocation fails and Lambda
// tries an asynchronous one again.
func (b *backup) handle(ctx context.Context, payload json.RawMessage) (result, error) {
	ev, err := parseEvent(payload)
	if err != nil {
		return result{}, err
	}
	in := &invocation{event: ev, result: result{Action: ev.Action, Deleted: []string{}}}
	var errs []error
	for _, step := range b.steps(ev) {
		if err := step.do(ctx, in); err != nil {
			b.log.ErrorContext(ctx, "step failed", "action", ev.Action, "step", step.name, "error", err)
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
		}
	}
	if err := writeMetrics(b.metrics, b.now(), b.settings, in.metrics); err != nil {
		errs = append(errs, err)
	}
	b.log.InfoContext(ctx, "done", "result", in.result, "failed_steps", len(errs))
	return in.result, errors.Join(errs...)
}

// snapshot is the step that makes sure that a snapshot for the scheduled time exists. BackupSucceeded speaks of this step
// alone: that pruning failed pages as an error of the function, and is no lost backup.
func (b *backup) snapshot(ctx context.Context, in *invocation) error {
	id := b.settings.prefix + "-" + in.event.ScheduledTime.UTC().Format(idTime)
	created, err := b.ensureSnapshot(ctx, id, in.event.ScheduledTime)
	succeeded := 0
	if err == nil {
		succeeded = 1
		in.result.Snapshot, in.result.Created = id, created
	}
	in.metrics = append(in.metrics, count("BackupSucceeded", succeeded))
	return err
}

// idTime is the time in a snapshot's identifier, in UTC.
const idTime = "20060102-150405"

// ensureSnapshot asks RDS for a snapshot with this identifier and reports whether this call created it. RDS makes it in the
// background: that it became available shows in the age of the newest one. The identifier comes from the scheduled
// time, so RDS itself sees to it that repeated and simultaneous deliveries make one snapshot.
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
	// While a snapshot is made, the instance is in the state backing-up. RDS may name either reason to the second of two
	// deliveries, so both lead to a look at what is there.
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

// prune is the step that deletes what is past its retention. It tries every deletion and joins what went wrong.
func (b *backup) prune(ctx context.Context, in *invocation) error {
	deleted := 0
	defer func() { in.metrics = append(in.metrics, count("SnapshotsDeleted", deleted)) }()

	ours, err := b.listOurs(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range b.expired(ours) {
		if err := b.delete(ctx, identifier(s)); err != nil {
			errs = append(errs, err)
			continue
		}
		deleted++
		in.result.Deleted = append(in.result.Deleted, identifier(s))
	}
	return errors.Join(errs...)
}

// expired picks from our snapshots those to delete, oldest first: available and failed ones older than the retention,
// except the newest available ones up to the minimum. One whose age cannot be told is never picked.
func (b *backup) expired(ours []types.DBSnapshot) []types.DBSnapshot {
	cutoff := b.now().AddDate(0, 0, -b.settings.retentionDays)
	candidates := b.newestFirst(available(ours))
	candidates = candidates[min(b.settings.minimum, len(candidates)):]
	for _, s := range ours {
		if status(s) == statusFailed {
			candidates = append(candidates, s)
		}
	}
	var expired []types.DBSnapshot
	for _, s := range candidates {
		if taken := b.taken(s); !taken.IsZero() && taken.Before(cutoff) {
			expired = append(expired, s)
		}
	}
	expired = b.newestFirst(expired)
	slices.Reverse(expired)
	return expired
}

// report is the step that emits the gauges, of the instance that is in use now. Without an available snapshot there is no age to emit, and an alarm that treats
// missing data as breaching says so.
func (b *backup) report(ctx context.Context, in *invocation) error {
	ours, err := b.listOurs(ctx)
	if err != nil {
		return err
	}
	ours = slices.DeleteFunc(ours, func(s types.DBSnapshot) bool { return !b.current(s) })
	good := b.newestFirst(available(ours))
	in.result.Kept = len(good)
	in.metrics = append(in.metrics, count("Backups", len(good)))
	if len(good) > 0 {
		if taken := b.taken(good[0]); !taken.IsZero() {
			// RDS's clock may be ahead of ours by a moment.
			in.metrics = append(in.metrics, seconds("NewestBackupAge", max(0, b.now().Sub(taken))))
		}
	}
	return nil
}

// rightsTime is how long a new right may take to be known everywhere in AWS, in looks: a minute.
const rightsTime = 6

// list is the step of a deployment: it changes nothing, and fails the deployment if the function cannot do its work. The deployment has
// given it its rights a moment ago, so a refusal is believed only when it lasts.
func (b *backup) list(ctx context.Context, in *invocation) error {
	for look := 1; ; look++ {
		ours, err := b.listOurs(ctx)
		if err == nil {
			in.result.Kept = len(available(ours))
			return nil
		}
		if !denied(err) || look > rightsTime || !pause(ctx) {
			return err
		}
	}
}

// denied tells whether AWS refused a call for want of a right.
func denied(err error) bool {
	var answer interface{ ErrorCode() string }
	return errors.As(err, &answer) && strings.HasPrefix(answer.ErrorCode(), "AccessDenied")
}

// How long remove waits between two looks, and how much of the invocation's time it leaves for its answer: Lambda kills a
// function that is late, and with it the list of what is left.
const (
	pollEvery  = 10 * time.Second
	answerTime = 15 * time.Second
)

// remove is the step that deletes all of our snapshots, when a stack that is not protected is destroyed. RDS refuses to
// delete one that it is still creating, so remove waits for those as long as the invocation lasts. It ends well only once
// RDS lists none of ours.
func (b *backup) remove(ctx context.Context, in *invocation) error {
	for {
		ours, err := b.listOurs(ctx)
		if err != nil {
			return err
		}
		in.result.Kept = len(available(ours))
		if len(ours) == 0 {
			return nil
		}
		var errs []error
		var waiting []string
		for _, s := range ours {
			id := identifier(s)
			if status(s) == statusCreating || status(s) == statusDeleting {
				waiting = append(waiting, id+" ("+status(s)+")")
				continue
			}
			switch err := b.delete(ctx, id); {
			case is[*types.InvalidDBSnapshotStateFault](err):
				waiting = append(waiting, id+" ("+status(s)+")")
			case err != nil:
				errs = append(errs, err)
			default:
				// RDS may list it for a moment longer; the next look tells.
				waiting = append(waiting, id+" (deleted)")
				if !slices.Contains(in.result.Deleted, id) {
					in.result.Deleted = append(in.result.Deleted, id)
				}
			}
		}
		if len(waiting) == 0 {
			return errors.Join(errs...)
		}
		// Whatever else failed is tried again on the way.
		if !pause(ctx) {
			errs = append(errs, fmt.Errorf("time ran out before RDS had removed %s: destroy again", strings.Join(waiting, ", ")))
			return errors.Join(errs...)
		}
	}
}

// pause waits until the next look, and reports false instead if ctx ends before an answer could still be given after it.
func pause(ctx context.Context) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pollEvery+answerTime {
		return false
	}
	select {
	case <-time.After(pollEvery):
		return true
	case <-ctx.Done():
		return false
	}
}

// listOurs returns our snapshots in every status, in no particular order: also those of an instance that a restored one has taken the
// place of, since nobody else would ever delete them.
func (b *backup) listOurs(ctx context.Context) ([]types.DBSnapshot, error) {
	var ours []types.DBSnapshot
	pages := rds.NewDescribeDBSnapshotsPaginator(b.rds, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("manual"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("cannot list the snapshots of %s: %w", b.settings.backupOf, err)
		}
		for _, s := range page.DBSnapshots {
			if b.ours(s) {
				ours = append(ours, s)
			}
		}
	}
	return ours, nil
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

// delete removes a snapshot. One that is gone already, perhaps by a simultaneous invocation, is as good as deleted.
func (b *backup) delete(ctx context.Context, id string) error {
	_, err := b.rds.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: aws.String(id)})
	if err != nil && !is[*types.DBSnapshotNotFoundFault](err) {
		return fmt.Errorf("cannot delete %s: %w", id, err)
	}
	b.log.InfoContext(ctx, "deleted", "snapshot", id)
	return nil
}

// ours tells whether this function made the snapshot. It takes both the tag and the name: RDS copies tags to snapshots that
// people make (copy_tags_to_snapshot), and a person may pick a name like ours.
func (b *backup) ours(s types.DBSnapshot) bool {
	return aws.ToString(s.SnapshotType) == "manual" &&
		strings.HasPrefix(identifier(s), b.settings.prefix+"-") &&
		slices.ContainsFunc(s.TagList, func(tag types.Tag) bool {
			return aws.ToString(tag.Key) == tagBackupOf && aws.ToString(tag.Value) == b.settings.backupOf
		})
}

// current tells whether a snapshot is of the instance that is in use now.
func (b *backup) current(s types.DBSnapshot) bool {
	return aws.ToString(s.DBInstanceIdentifier) == b.settings.instance
}

// taken is when one of our snapshots was taken, or, where RDS does not say (it has not begun, or failed before it began),
// the time in its identifier. The zero time means that neither tells.
func (b *backup) taken(s types.DBSnapshot) time.Time {
	if s.SnapshotCreateTime != nil {
		return *s.SnapshotCreateTime
	}
	scheduled, err := time.Parse(idTime, strings.TrimPrefix(identifier(s), b.settings.prefix+"-"))
	if err != nil {
		return time.Time{}
	}
	return scheduled
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

// newestFirst returns the snapshots in a slice of its own. Those of one age are sorted by identifier, so that simultaneous
// invocations agree.
func (b *backup) newestFirst(snapshots []types.DBSnapshot) []types.DBSnapshot {
	return slices.SortedFunc(slices.Values(snapshots), func(x, y types.DBSnapshot) int {
		return cmp.Or(b.taken(y).Compare(b.taken(x)), cmp.Compare(identifier(y), identifier(x)))
	})
}

func identifier(s types.DBSnapshot) string { return aws.ToString(s.DBSnapshotIdentifier) }

func status(s types.DBSnapshot) string { return aws.ToString(s.Status) }

// is tells whether err is, or wraps, an error of the type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
