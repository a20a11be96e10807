package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// rotate does one step of a rotation. A service has two users, and each rotation is the other one's turn: the user that running tasks log in
// with keeps its password until the next rotation, when no task has used it for a month.
//
//	createSecret   the other user and a new password become AWSPENDING
//	setSecret      PostgreSQL gets that password for that user
//	testSecret     it logs in
//	finishSecret   AWSPENDING becomes AWSCURRENT, and the service's tasks are replaced
//
// Secrets Manager may repeat any step, and begins again after a failure, with the same version or a new one. Until finishSecret
// the secret's current value is the old one, and after it the new one, and both log in.
func (f *function) rotate(ctx context.Context, event rotationEvent) error {
	steps := map[string]func(context.Context, rotationEvent) error{
		"createSecret": f.create, "setSecret": f.set, "testSecret": f.test, "finishSecret": f.finish,
	}
	step, ok := steps[event.Step]
	if !ok {
		return fmt.Errorf("event: Step %q: want one of %v", event.Step, sorted(steps))
	}
	if event.Secret == "" || event.Token == "" {
		return errors.New("event: want SecretId and ClientRequestToken")
	}
	if err := step(ctx, event); err != nil {
		return fmt.Errorf("%s: %w", event.Step, err)
	}
	f.log.InfoContext(ctx, "rotation", "step", event.Step, "secret", event.Secret)
	return nil
}

// labels returns the labels of the version that is being made.
func (f *function) labels(ctx context.Context, event rotationEvent) ([]string, error) {
	secret, err := f.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &event.Secret})
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", event.Secret, err)
	}
	labels, ok := secret.VersionIdsToStages[event.Token]
	if !ok || !slices.Contains(labels, pending) && !slices.Contains(labels, current) {
		return nil, fmt.Errorf("secret %s: version %s is not one that Secrets Manager is making", event.Secret, event.Token)
	}
	return labels, nil
}

func (f *function) create(ctx context.Context, event rotationEvent) error {
	labels, err := f.labels(ctx, event)
	if err != nil || slices.Contains(labels, current) {
		return err
	}
	now, _, err := f.read(ctx, event.Secret, current, "")
	if err != nil {
		return err
	}
	_, other, err := usersOf(now.Username)
	if err != nil {
		return fmt.Errorf("secret %s: %w", event.Secret, err)
	}
	next, _, err := f.read(ctx, event.Secret, pending, event.Token)
	if errors.Is(err, errNoValue) {
		return f.write(ctx, event.Secret, pending, event.Token, credentials{other, newPassword()})
	}
	if err == nil && next.Username != other {
		return fmt.Errorf("secret %s: the version that is being made is of %s, want %s", event.Secret, next.Username, other)
	}
	return err
}

func (f *function) set(ctx context.Context, event rotationEvent) error {
	labels, err := f.labels(ctx, event)
	if err != nil || slices.Contains(labels, current) {
		return err
	}
	next, _, err := f.read(ctx, event.Secret, pending, event.Token)
	if err != nil {
		return err
	}
	now, _, err := f.read(ctx, event.Secret, current, "")
	if err != nil {
		return err
	}
	service, other, err := usersOf(now.Username)
	if err != nil || next.Username != other {
		return fmt.Errorf("secret %s: want the version that is being made to be of the user that is not in use, have %s beside %s", event.Secret, next.Username, now.Username)
	}
	if ok, err := f.logsIn(ctx, next); ok || err != nil {
		return err
	}
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer master.Close(context.WithoutCancel(ctx))
	// Tasks that still use this user were never replaced after the last rotation: with another password they would lose the database.
	var sessions int
	if err := master.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND application_name <> $2`, other, applicationName).Scan(&sessions); err != nil {
		return err
	}
	if sessions > 0 {
		err := fmt.Errorf("%s still has %d sessions open, from before the last rotation: its password stays as it is until they are gone", other, sessions)
		return errors.Join(err, f.restart(ctx, service))
	}
	return setPassword(ctx, master, next)
}

func (f *function) test(ctx context.Context, event rotationEvent) error {
	next, _, err := f.read(ctx, event.Secret, pending, event.Token)
	if errors.Is(err, errNoValue) {
		// When a rotation is set up that is not to begin at once, Secrets Manager calls this step alone, to see that the function works.
		next, _, err = f.read(ctx, event.Secret, current, "")
	}
	if err != nil {
		return err
	}
	ok, err := f.logsIn(ctx, next)
	if err == nil && !ok {
		err = fmt.Errorf("%s cannot log in with the password in its secret", next.Username)
	}
	return err
}

func (f *function) finish(ctx context.Context, event rotationEvent) error {
	labels, err := f.labels(ctx, event)
	if err != nil {
		return err
	}
	now, version, err := f.read(ctx, event.Secret, current, "")
	if err != nil {
		return err
	}
	service, _, err := usersOf(now.Username)
	if err != nil {
		return fmt.Errorf("secret %s: %w", event.Secret, err)
	}
	if !slices.Contains(labels, current) {
		// Whatever the steps before came to: what becomes current works.
		if next, _, err := f.read(ctx, event.Secret, pending, event.Token); err != nil {
			return err
		} else if ok, err := f.logsIn(ctx, next); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%s cannot log in with the password that was to become current", next.Username))
		}
		_, err := f.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: &event.Secret, VersionStage: aws.String(current), MoveToVersionId: &event.Token, RemoveFromVersionId: &version,
		})
		if err != nil {
			return fmt.Errorf("secret %s: %w", event.Secret, err)
		}
	}
	// Also when the label had moved already: the call before this one may have ended in between.
	return f.restart(ctx, service)
}
