package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// prune is the step that deletes snapshots past their retention. It tries every deletion and joins
// the errors.
func (b *backup) prune(ctx context.Context, in *invocation) error {
	deleted := 0
	defer func() { in.emit(count("SnapshotsDeleted", deleted)) }()

	listed, err := b.snapshots(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range b.expired(listed.ours) {
		if err := b.delete(ctx, identifier(s)); err != nil {
			errs = append(errs, err)
			continue
		}
		deleted++
		in.result.Deleted = append(in.result.Deleted, identifier(s))
	}
	return errors.Join(errs...)
}

// expired picks from our snapshots those to delete, oldest first: available and failed ones older
// than the retention, except the newest available ones up to the minimum.
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
		if b.taken(s).Before(cutoff) {
			expired = append(expired, s)
		}
	}
	expired = b.newestFirst(expired)
	slices.Reverse(expired)
	return expired
}

// list is the step of a deployment. It changes nothing, and fails the deployment if the function
// cannot do its work.
func (b *backup) list(ctx context.Context, in *invocation) error {
	listed, err := b.snapshots(ctx)
	in.result.Kept = len(available(listed.ours))
	return err
}

// remove is the step that deletes all of our snapshots, when a stack that is not protected is
// destroyed. RDS refuses to delete one that it is still creating, so remove waits for those as long
// as the invocation lasts. It succeeds only when RDS lists none of ours.
func (b *backup) remove(ctx context.Context, in *invocation) error {
	for {
		listed, err := b.snapshots(ctx)
		if err != nil {
			return err
		}
		in.result.Kept = len(available(listed.ours))
		if len(listed.ours) == 0 {
			return nil
		}
		waiting, errs := b.deleteAll(ctx, listed.ours, in)
		if len(waiting) == 0 {
			return errors.Join(errs...)
		}
		// Whatever else failed is tried again on the way.
		if !pause(ctx, answerTime) {
			errs = append(errs, fmt.Errorf("time ran out before RDS had removed %s: destroy again",
				strings.Join(waiting, ", ")))
			return errors.Join(errs...)
		}
	}
}

// deleteAll tries to delete the snapshots, and returns which of them RDS may still list and why, and
// the errors of the others.
func (b *backup) deleteAll(
	ctx context.Context, ours []types.DBSnapshot, in *invocation,
) (waiting []string, errs []error) {
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
			// RDS may list it for a moment longer.
			waiting = append(waiting, id+" (deleted)")
			if !slices.Contains(in.result.Deleted, id) {
				in.result.Deleted = append(in.result.Deleted, id)
			}
		}
	}
	return waiting, errs
}

// settle is the step after remove that waits until the instance can be deleted. When Terraform has
// stopped the replication of its backups, RDS modifies the instance for a while, and then refuses
// the final snapshot. The AWS provider waits for that since
// https://github.com/hashicorp/terraform-provider-aws/pull/46687, which the pinned version lacks.
func (b *backup) settle(ctx context.Context, _ *invocation) error {
	for {
		instance, err := b.instance(ctx)
		if err != nil || instance == nil {
			return err
		}
		state := aws.ToString(instance.DBInstanceStatus)
		if state != "modifying" && state != "backing-up" {
			return nil
		}
		if !pause(ctx, answerTime) {
			return fmt.Errorf("time ran out while the instance %s was %s: destroy again", b.settings.instance, state)
		}
	}
}
