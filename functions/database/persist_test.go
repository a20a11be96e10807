package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestErrorsThatPassAreTriedAgain(t *testing.T) {
	postgres := func(code string) error { return fmt.Errorf("step: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"shutting down", postgres("57P01"), true},
		{"crashed", postgres("57P02"), true},
		{"starting", postgres("57P03"), true},
		{"too many connections", postgres("53300"), true},
		{"connection lost", postgres("08006"), true},
		{"deadlock", postgres("40P01"), true},
		{"tuple concurrently updated", postgres("XX000"), true},
		{"connection closed", io.ErrUnexpectedEOF, true},
		{"network", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		{"password of the master user", passing{postgres("28P01")}, true},
		{"password of a service", postgres("28P01"), false},
		{"no right", postgres("42501"), false},
		{"another server answers", fmt.Errorf("x: %w", &tls.CertificateVerificationError{Err: io.EOF}), false},
		{"statement timeout", postgres("57014"), false},
		{"anything else", errors.New("no"), false},
	} {
		if have := passes(c.err); have != c.want {
			t.Errorf("%s: tried again: %t, want %t", c.name, have, c.want)
		}
	}
}

// PostgreSQL refuses a session before it has verified the password, if the whole server is full.
func TestFullServerProvesNoPassword(t *testing.T) {
	for routine, proves := range map[string]bool{
		"InitializeSessionUserId": true, "InitPostgres": true, "CheckMyDatabase": true,
		"InitProcess": false, "ProcessStartupPacket": false, "BackendInitialize": false,
	} {
		err := fmt.Errorf("x: %w", &pgconn.PgError{Code: "53300", Routine: routine})
		if full(err) != proves || !passes(err) {
			t.Errorf("%s: proves a password: %t, want %t", routine, full(err), proves)
		}
	}
}

// denying refuses its first calls, as AWS does until a new right is known everywhere.
type denying struct{ left, calls int }

func (d *denying) deny() error {
	d.calls++
	if d.left--; d.left >= 0 {
		return &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized"}
	}
	return nil
}

func (d *denying) GetSecretValue(
	context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(`{"username":"u","password":"p"}`)}, d.deny()
}

func (d *denying) PutSecretValue(
	context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options),
) (*secretsmanager.PutSecretValueOutput, error) {
	return &secretsmanager.PutSecretValueOutput{}, d.deny()
}

func (d *denying) DescribeSecret(
	context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options),
) (*secretsmanager.DescribeSecretOutput, error) {
	return &secretsmanager.DescribeSecretOutput{}, d.deny()
}

func (d *denying) UpdateSecretVersionStage(
	context.Context, *secretsmanager.UpdateSecretVersionStageInput, ...func(*secretsmanager.Options),
) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	return &secretsmanager.UpdateSecretVersionStageOutput{}, d.deny()
}

func (d *denying) UpdateService(
	context.Context, *ecs.UpdateServiceInput, ...func(*ecs.Options),
) (*ecs.UpdateServiceOutput, error) {
	return &ecs.UpdateServiceOutput{}, d.deny()
}

func (d *denying) DescribeServices(
	context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	return &ecs.DescribeServicesOutput{}, d.deny()
}

// Terraform calls the function in the same second in which it gave it the right to a new secret.
func TestNewRightsAreWaitedForAMinute(t *testing.T) {
	calls := map[string]func(context.Context, *function) error{
		"GetSecretValue": func(ctx context.Context, f *function) error {
			_, err := f.read(ctx, "s", current, "")
			return err
		},
		"PutSecretValue": func(ctx context.Context, f *function) error {
			return f.write(ctx, "s", current, "", secretVersion{})
		},
		"DescribeSecret": func(ctx context.Context, f *function) error {
			_, err := f.describe(ctx, "s")
			return err
		},
		"UpdateSecretVersionStage": func(ctx context.Context, f *function) error {
			return f.moveLabel(ctx, rotation{}, "v")
		},
		"UpdateService": func(ctx context.Context, f *function) error { return f.restart(ctx, "web") },
		"DescribeServices": func(ctx context.Context, f *function) error {
			_, err := f.lastDeployment(ctx, "web")
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &denying{left: 2}
				f := &function{limits: defaultLimits, secrets: d, ecs: d, log: slog.New(slog.DiscardHandler)}
				if err := call(t.Context(), f); err != nil || d.calls != 3 {
					t.Errorf("refused twice: %d calls, %v", d.calls, err)
				}
				d.left, d.calls = 1_000_000, 0
				begun := time.Now()
				err := call(t.Context(), f)
				took := time.Since(begun)
				if err == nil || !strings.Contains(err.Error(), "AccessDeniedException") ||
					took < 50*time.Second || took > 2*time.Minute {
					t.Errorf("always refused: %v after %s, want AccessDeniedException after a minute", err, took)
				}
			})
		})
	}
}

// The function ends with its own error, before Lambda ends it.
func TestFunctionGivesUpBeforeItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		f := &function{limits: defaultLimits, log: slog.New(slog.DiscardHandler)}
		begun := time.Now()
		ctx, cancel = f.work(ctx)
		defer cancel()
		err := f.persist(ctx, func() error { return io.EOF })
		took := time.Since(begun)
		if !errors.Is(err, io.EOF) || took < 4*time.Minute || took > 5*time.Minute-f.limits.reserve {
			t.Errorf("%v after %s", err, took)
		}
	})
}
