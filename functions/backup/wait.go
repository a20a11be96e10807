package main

import (
	"context"
	"errors"
	"strings"
	"time"
)

// pollEvery is the time between two looks.
const pollEvery = 10 * time.Second

// What a step that waits leaves of the invocation's time. Lambda kills a function that is late, and
// with it the answer and the metrics.
const (
	answerTime = 15 * time.Second // for the answer
	laterSteps = time.Minute      // for the steps that follow a snapshot: about ten calls of AWS
)

// pause waits until the next look. It returns false instead if less than the reserve would remain of
// the invocation's time after it.
func pause(ctx context.Context, reserve time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pollEvery+reserve {
		return false
	}
	select {
	case <-time.After(pollEvery):
		return true
	case <-ctx.Done():
		return false
	}
}

// rightsTime is how long a new right may take to be known everywhere in AWS, in looks: a minute.
const rightsTime = 6

// believed makes a call again while AWS denies it: a deployment has granted the right a moment ago,
// so only a denial that lasts is an error.
func believed(ctx context.Context, call func() error) error {
	for look := 1; ; look++ {
		err := call()
		if !denied(err) || look > rightsTime || !pause(ctx, laterSteps) {
			return err
		}
	}
}

// denied tells whether AWS refused a call for lack of a permission.
func denied(err error) bool {
	var answer interface{ ErrorCode() string }
	return errors.As(err, &answer) && strings.HasPrefix(answer.ErrorCode(), "AccessDenied")
}

// is tells whether err is, or wraps, an error of the type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
