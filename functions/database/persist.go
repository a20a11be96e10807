package main

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/smithy-go"
	"github.com/jackc/pgx/v5/pgconn"
)

// limits are how long the function tries again, how long it waits in between, and how much it reads at a
// time. Tests shorten them.
type limits struct {
	reserve  time.Duration // of the invocation's time, kept to end with an error instead of a time-out
	total    time.Duration // if the invocation's context has no deadline
	pause    time.Duration // at most, between two attempts
	rights   time.Duration // that IAM may take to apply a new permission everywhere
	handOver time.Duration // for all objects that are in use
	lock     time.Duration // that an object in use is waited for; meanwhile its next users wait too
	objects  int           // of a database that are read at a time, so that memory does not depend on its size
}

// A failover of RDS takes 60 to 120 seconds
// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.MultiAZSingleStandby.html), and a
// change of a right in IAM, typically seconds
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html).
var defaultLimits = limits{
	reserve:  20 * time.Second,
	total:    5 * time.Minute,
	pause:    3 * time.Second,
	rights:   time.Minute,
	handOver: 2 * time.Minute,
	lock:     500 * time.Millisecond,
	objects:  10_000,
}

// persist calls do until it succeeds, fails for a reason that does not pass, or the invocation's
// time is nearly over.
func (f *function) persist(ctx context.Context, do func() error) error {
	return f.repeat(ctx, f.end(ctx), passes, do)
}

// permitted calls do, a call of AWS, until a right that was granted a moment ago is known
// everywhere. All calls of an invocation together wait for that a minute.
func (f *function) permitted(ctx context.Context, do func() error) error {
	end, ok := ctx.Value(rightsKnown{}).(time.Time)
	if !ok {
		end = time.Now().Add(f.limits.rights)
	}
	return f.repeat(ctx, end, denied, do)
}

// rightsKnown is the key of the time at which every right is known everywhere.
type rightsKnown struct{}

// work returns the context of an invocation's work, which ends while there is still time for an
// error, the log and the metrics.
func (f *function) work(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(f.limits.total)
	if deadline, ok := ctx.Deadline(); ok {
		end = deadline.Add(-f.limits.reserve)
	}
	ctx = context.WithValue(ctx, rightsKnown{}, time.Now().Add(f.limits.rights))
	return context.WithDeadline(ctx, end)
}

// end returns when the work has to give up.
func (f *function) end(ctx context.Context) time.Time {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline
	}
	return time.Now().Add(f.limits.total)
}

// repeat calls do until it succeeds, fails with an error that is not worth another attempt, or it
// is too late for another one. Nobody waits for each other in step, because the pauses are random.
func (f *function) repeat(ctx context.Context, end time.Time, again func(error) bool, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || !again(err) || ctx.Err() != nil {
			return err
		}
		longest := min(f.limits.pause, time.Duration(try)*f.limits.pause/4)
		pause := longest/2 + rand.N(longest/2+1)
		if time.Now().Add(pause).After(end) {
			return err
		}
		f.log.InfoContext(ctx, "trying again", "attempt", try+1, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// passing marks an error that passes, although PostgreSQL's code does not say so.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// passes tells whether an error can be over after a while: the instance restarts, fails over, has
// no session left or has lost one, or two transactions were in each other's way.
func passes(err error) bool {
	if err == nil {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false // another server answers
	}
	switch state := sqlState(err); {
	case state == "":
		return errors.As(err, new(passing)) || errors.As(err, new(*pgconn.ConnectError)) || lost(err)
	case state == "57P01", state == "57P02", state == "57P03": // shutting down, crashed, starting
		return true
	case state == "53300", state == "55P03": // too many connections; somebody else has a lock
		return true
	case state[:2] == "08", state[:2] == "40": // connection exceptions; serialization failures and deadlocks
		return true
	case state == "XX000": // the answer to two transactions that update one row of a catalogue
		return true
	default:
		return errors.As(err, new(passing))
	}
}

// denied tells whether AWS refused a call for want of a right.
func denied(err error) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	return ok && (answer.ErrorCode() == "AccessDeniedException" || answer.ErrorCode() == "AccessDenied")
}
