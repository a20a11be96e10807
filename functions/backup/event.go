package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// event is an invocation's input.
type event struct {
	Action        string         `json:"action"`         // backup, report or lifecycle
	ScheduledTime time.Time      `json:"scheduled_time"` // RFC 3339; required for backup, where it names the snapshot
	Terraform     *resourceEvent `json:"tf"`             // required for lifecycle, where Terraform adds it
}

// resourceEvent is what Terraform's aws_lambda_invocation adds to its input when lifecycle_scope is
// CRUD.
type resourceEvent struct {
	Action    string          `json:"action"` // create, update or delete
	PrevInput json.RawMessage `json:"prev_input"`
}

// parseEvent refuses what it does not know, because a misspelt event would otherwise do nothing,
// every night.
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
			return event{}, errors.New("event: backup needs scheduled_time, the time of the schedule")
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

// result is what an invocation that succeeded returns. Terraform keeps it in its state.
type result struct {
	Action   string   `json:"action"`
	Snapshot string   `json:"snapshot,omitempty"` // identifier of the requested snapshot
	Created  bool     `json:"created"`            // false also when an earlier delivery had created it
	Deleted  []string `json:"deleted"`            // identifiers
	Kept     int      `json:"kept"`               // available snapshots of ours that are left
}

// invocation is what the steps of one invocation share.
type invocation struct {
	event   event
	result  result
	metrics []metric
}

func (in *invocation) emit(metrics ...metric) { in.metrics = append(in.metrics, metrics...) }

// step is one thing to do. Its error does not keep the later ones from running.
type step struct {
	name string
	do   func(context.Context, *invocation) error
}

// steps says what an event does, in order. A later step must be safe after an earlier one has
// failed. Pruning is, because the minimum that it keeps counts available snapshots only, and a
// snapshot that failed is not one of them. It is also needed: if the snapshot failed because of the
// account's quota, only pruning lets the retry succeed.
func (b *backup) steps(ev event) []step {
	gauges := []step{{"report", b.report}, {"quota", b.quota}}
	if b.settings.bucket != "" {
		gauges = append(gauges, step{"dumps", b.dumps})
	}
	if b.settings.copyRegion != "" {
		gauges = append(gauges, step{"copy", b.copied})
	}
	switch {
	case ev.Action == "backup":
		return append([]step{{"snapshot", b.snapshot}, {"prune", b.prune}}, gauges...)
	case ev.Action == "lifecycle" && ev.Terraform.Action == "delete":
		return []step{{"remove", b.remove}, {"settle", b.settle}}
	case ev.Action == "lifecycle":
		return []step{{"list", b.list}}
	default:
		return append([]step{{"make up", b.makeUp}}, gauges...)
	}
}

// handle serves one invocation: every step runs, and all errors are returned joined, so that the
// invocation fails and Lambda tries an asynchronous one again.
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
