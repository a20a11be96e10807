package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
)

// rotate does one step of a rotation. A service has two users, which alternate. Running tasks log in
// with the user that is not changed: it keeps its password until the next rotation, when no task has
// used it since the last rotation.
//
//	createSecret   the other user and a new password become AWSPENDING
//	setSecret      PostgreSQL gets that password for that user
//	testSecret     it logs in
//	finishSecret   AWSPENDING becomes AWSCURRENT, and the service's tasks are replaced
//
// Secrets Manager may repeat any step, and begins again after a failure, with the same version or a
// new one. Until finishSecret the secret's current value is the old one, and after it the new one.
// Both log in.
func (f *function) rotate(ctx context.Context, event rotationEvent) error {
	steps := map[string]func(context.Context, rotation) error{
		"createSecret": f.create, "setSecret": f.set, "testSecret": f.test, "finishSecret": f.finish,
	}
	step, ok := steps[event.Step]
	if !ok {
		return fmt.Errorf("event: Step: want one of %v, have %q", sorted(steps), event.Step)
	}
	if event.Secret == "" || event.Token == "" {
		return errors.New("event: want SecretId and ClientRequestToken")
	}
	err := f.persist(ctx, func() error {
		r, err := f.readRotation(ctx, event)
		if err != nil {
			return err
		}
		return step(ctx, r)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", event.Step, err)
	}
	f.log.InfoContext(ctx, "rotation", "step", event.Step, "secret", event.Secret)
	return nil
}

// rotation is a rotation of a service's secret.
type rotation struct {
	rotationEvent
	service string
	labels  []string // of the version that is being created
}

// finished tells whether the version that was being created is the current one.
func (r rotation) finished() bool { return slices.Contains(r.labels, current) }

// readRotation finds out which service a secret belongs to. Its name decides, and not what is in
// it: otherwise, whoever can change a secret could have another service's password set.
func (f *function) readRotation(ctx context.Context, event rotationEvent) (rotation, error) {
	secret, err := f.describe(ctx, event.Secret)
	if err != nil {
		return rotation{}, err
	}
	service, err := f.serviceOf(secret)
	return rotation{event, service, secret.VersionIdsToStages[event.Token]}, err
}

// begun fails if the version is not one that Secrets Manager is creating.
func (r rotation) begun() error {
	if slices.Contains(r.labels, pending) || r.finished() {
		return nil
	}
	return fmt.Errorf("secret %s: version %s is not one that Secrets Manager is creating", r.Secret, r.Token)
}

// readUser reads a version of the secret, which must be of one of the service's users.
func (f *function) readUser(ctx context.Context, r rotation, label, id string) (secretVersion, error) {
	v, err := f.read(ctx, r.Secret, label, id)
	if err == nil && !slices.Contains(users(r.service), v.Username) {
		err = fmt.Errorf("secret %s: %s: username: want one of %v, have %q",
			r.Secret, label, users(r.service), v.Username)
	}
	return v, err
}

func (f *function) create(ctx context.Context, r rotation) error {
	if err := r.begun(); err != nil || r.finished() {
		return err
	}
	now, err := f.readUser(ctx, r, current, "")
	if err != nil {
		return err
	}
	_, other, err := usersOf(now.Username)
	if err != nil {
		return err
	}
	next, err := f.readUser(ctx, r, pending, r.Token)
	if errors.Is(err, errNoValue) {
		now.credentials = credentials{other, newPassword()}
		return f.write(ctx, r.Secret, pending, r.Token, f.complete(r.service, now))
	}
	if err == nil && next.Username != other {
		// It was changed by hand. Secrets Manager would repeat this step with the same version.
		err = fmt.Errorf("secret %s: AWSPENDING is of %s, want %s: run aws secretsmanager update-secret-version-stage "+
			"--secret-id %s --version-stage AWSPENDING --remove-from-version-id %s, then aws secretsmanager "+
			"rotate-secret --secret-id %s", r.Secret, next.Username, other, r.Secret, r.Token, r.Secret)
	}
	return err
}

func (f *function) set(ctx context.Context, r rotation) error {
	if err := r.begun(); err != nil || r.finished() {
		return err
	}
	next, err := f.readUser(ctx, r, pending, r.Token)
	if err != nil {
		return err
	}
	now, err := f.readUser(ctx, r, current, "")
	if err != nil {
		return err
	}
	if next.Username == now.Username {
		return fmt.Errorf("secret %s: AWSPENDING and AWSCURRENT are both of %s: want the service's two users",
			r.Secret, now.Username)
	}
	if ok, err := f.logsIn(ctx, r.service, next.credentials); ok || err != nil {
		return err
	}
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer master.close(ctx)
	if err := f.unused(ctx, master.services, r, next); err != nil {
		return err
	}
	return setPassword(ctx, master.services, next.credentials)
}

// unused fails if a user that gets another password has sessions. They are those of tasks that were
// not replaced after the last rotation: with another password they would lose the database. So the
// service is deployed again, once in a rotation; the step succeeds when the sessions are gone.
func (f *function) unused(ctx context.Context, master *pgx.Conn, r rotation, next secretVersion) error {
	var sessions int
	var clients *string
	err := master.QueryRow(ctx, `SELECT count(*), string_agg(DISTINCT
			coalesce(nullif(application_name, ''), 'a program without application_name') || ' at ' ||
			coalesce(host(client_addr), 'an unknown address'), ', ')
		FROM pg_stat_activity WHERE usename = $1 AND application_name <> $2`, next.Username, applicationName).
		Scan(&sessions, &clients)
	if err != nil || sessions == 0 {
		return err
	}
	err = fmt.Errorf("%s still has %d sessions from before the last rotation, of %s: its password is not changed "+
		"until they have ended", next.Username, sessions, *clients)
	return errors.Join(err, f.restartUnlessDeployedSince(ctx, r.service, next.created))
}

func (f *function) test(ctx context.Context, r rotation) error {
	next, err := f.readUser(ctx, r, pending, r.Token)
	if errors.Is(err, errNoValue) {
		// When a rotation is configured that does not begin immediately, Secrets Manager calls this
		// step alone, to test the function.
		next, err = f.readUser(ctx, r, current, "")
	}
	if err != nil {
		return err
	}
	return f.mustLogIn(ctx, r.service, next)
}

func (f *function) mustLogIn(ctx context.Context, service string, v secretVersion) error {
	ok, err := f.logsIn(ctx, service, v.credentials)
	if err == nil && !ok {
		err = fmt.Errorf("%s cannot log in with the password in its secret", v.Username)
	}
	return err
}

func (f *function) finish(ctx context.Context, r rotation) error {
	if made, err := f.readRewritten(ctx, r); err != nil {
		return err
	} else if made.id != "" {
		return f.restartUnlessDeployedSince(ctx, r.service, made.created)
	}
	if err := r.begun(); err != nil {
		return err
	}
	if r.finished() {
		// Repeated: the call before this one may have ended before it deployed the service again.
		made, err := f.readUser(ctx, r, current, r.Token)
		if err != nil {
			return err
		}
		if err := f.writeURL(ctx, r.service, made); err != nil {
			return err
		}
		return f.restartUnlessDeployedSince(ctx, r.service, made.created)
	}
	now, err := f.readUser(ctx, r, current, "")
	if err != nil {
		return err
	}
	next, err := f.readUser(ctx, r, pending, r.Token)
	if err != nil {
		return err
	}
	if err := f.mustLogIn(ctx, r.service, next); err != nil { // whatever the steps before did
		return err
	}
	if err := f.moveLabel(ctx, r, now.id); err != nil {
		return err
	}
	// The address of the database, or a setting, may have changed since createSecret.
	if err := f.writeURL(ctx, r.service, next); err != nil {
		return err
	}
	return f.restart(ctx, r.service)
}

// readRewritten returns the current version if it is a rewritten one of the version that was being
// created: finishSecret is repeated then. Without an ID, it is not.
func (f *function) readRewritten(ctx context.Context, r rotation) (secretVersion, error) {
	if !slices.Contains(r.labels, previous) {
		return secretVersion{}, nil
	}
	made, err := f.readUser(ctx, r, previous, r.Token)
	if err != nil {
		return secretVersion{}, err
	}
	now, err := f.readUser(ctx, r, current, "")
	if err != nil || now.credentials != made.credentials {
		return secretVersion{}, err
	}
	return now, nil
}

// moveLabel makes the version that was being created the current one.
func (f *function) moveLabel(ctx context.Context, r rotation, from string) error {
	err := f.permitted(ctx, func() error {
		_, err := f.secrets.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId:            &r.Secret,
			VersionStage:        aws.String(current),
			MoveToVersionId:     &r.Token,
			RemoveFromVersionId: &from,
		})
		return err
	})
	if err == nil {
		return nil
	}
	// The same step, called twice at a time, can have moved it.
	if again, failed := f.readRotation(ctx, r.rotationEvent); failed == nil && again.finished() {
		return nil
	}
	return fmt.Errorf("secret %s: %w", r.Secret, err)
}

// lateBy is how long after its day a rotation counts as overdue: Secrets Manager repeats a failed
// one for a while.
const lateBy = 7 * 24 * time.Hour

// reportRotations counts the services whose password was last rotated too long ago. Secrets Manager
// does not fail an invocation if it does not call the function at all.
func (f *function) reportRotations(ctx context.Context) error {
	overdue := 0
	var errs []error
	longest := time.Duration(f.settings.rotation)*24*time.Hour + lateBy
	for _, name := range sorted(f.settings.services) {
		secret, err := f.describe(ctx, f.settings.secret(name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		last := aws.ToTime(secret.CreatedDate)
		if secret.LastRotatedDate != nil {
			last = *secret.LastRotatedDate
		}
		if age := time.Since(last); age > longest {
			overdue++
			f.log.WarnContext(ctx, "rotation is overdue", "service", name, "last", last)
		}
	}
	return errors.Join(append(errs, f.writeMetrics(metric{"OverdueRotations", overdue}))...)
}
