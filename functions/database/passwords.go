package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// givePasswords makes sure that each service can log in with what is in its secret. A service's
// secret comes first and the password in PostgreSQL follows it: killed in between, the next run
// finds a secret whose password is refused, and sets it.
func (f *function) givePasswords(ctx context.Context, conn *pgx.Conn, out *result) error {
	var errs []error
	for _, name := range sorted(f.settings.services) {
		given, err := f.givePassword(ctx, conn, name)
		if err != nil && (passes(err) || ctx.Err() != nil) {
			return fmt.Errorf("service %s: %w", name, err)
		}
		if err != nil { // of this service only
			errs = append(errs, fmt.Errorf("service %s: %w", name, err))
		}
		if given != "" {
			out.Passwords = append(out.Passwords, given)
		}
	}
	return errors.Join(errs...)
}

// givePassword returns the user that had to be given a password, or "".
func (f *function) givePassword(ctx context.Context, conn *pgx.Conn, service string) (string, error) {
	secret := f.settings.secret(service)
	v, err := f.read(ctx, secret, current, "")
	if errors.Is(err, errNoValue) {
		v.credentials = credentials{users(service)[0], newPassword()}
		v = f.complete(service, v)
		v.id, err = f.put(ctx, secret, current, "", v)
	}
	if err != nil {
		return "", err
	}
	if !slices.Contains(users(service), v.Username) {
		return "", fmt.Errorf("secret %s: username: want %s, have %q",
			secret, strings.Join(users(service), " or "), v.Username)
	}
	// The login comes before the URL: with it, the address in the URL is known to work.
	if ok, err := f.logsIn(ctx, service, v.credentials); err != nil {
		return "", err
	} else if ok {
		return "", f.writeURL(ctx, service, v)
	}
	if err := setPassword(ctx, conn, v.credentials); err != nil {
		return "", err
	}
	if ok, err := f.logsIn(ctx, service, v.credentials); err != nil || !ok {
		return "", errors.Join(err, fmt.Errorf("%s cannot log in with the password in its secret", v.Username))
	}
	return v.Username, f.writeURL(ctx, service, v)
}

// setPassword gives a user its password. PostgreSQL gets the verifier that it would compute from the
// password (see scramVerifier).
func setPassword(ctx context.Context, conn *pgx.Conn, c credentials) error {
	verifier, err := scramVerifier(c.Password, newSalt())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER ROLE "+quoted(c.Username)+" PASSWORD "+literal(verifier)); err != nil {
		return fmt.Errorf("password of %s: %w", c.Username, err)
	}
	return nil
}
