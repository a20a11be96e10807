package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// applicationName is how our sessions are known from a service's.
const applicationName = "platform database function"

// connect logs in over TLS, having verified that it is the instance that answers.
func (f *function) connect(ctx context.Context, c credentials) (*pgx.Conn, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(f.settings.roots) {
		return nil, errors.New("no certificate among those of RDS")
	}
	config, err := pgx.ParseConfig("sslmode=disable") // for what is not set below; nothing of it is read from the environment's PG variables but what is set again
	if err != nil {
		return nil, err
	}
	s := f.settings
	config.Host, config.Port, config.Database, config.User, config.Password = s.host, s.port, s.database, c.Username, c.Password
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: s.host, MinVersion: tls.VersionTLS12}
	config.Fallbacks = nil
	config.ConnectTimeout = 10 * time.Second
	if s.address != "" {
		config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{s.address}, nil }
	}
	config.RuntimeParams = map[string]string{
		"application_name":  applicationName,
		"search_path":       "pg_catalog", // so that no function of somebody's is called in the place of PostgreSQL's own
		"statement_timeout": "60s",
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is asked twice
	config.Tracer = f.tracer
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", c.Username, net.JoinHostPort(s.host, strconv.Itoa(int(s.port))), err)
	}
	return conn, nil
}

// lock is the number of the advisory lock that makes invocations wait for one another: "database" in ASCII.
const lock = 0x6461746162617365

// connectAsMaster logs in as the master, and waits until no other invocation is at work. RDS may be rotating the master's secret at this
// moment, so a password that is refused is read again.
func (f *function) connectAsMaster(ctx context.Context) (*pgx.Conn, error) {
	for try := 1; ; try++ {
		master, _, err := f.read(ctx, f.settings.master, current, "")
		if err != nil {
			return nil, err
		}
		conn, err := f.connect(ctx, master)
		if refused(err) && try < 4 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Duration(try) * 2 * time.Second):
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lock)); err != nil {
			conn.Close(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("waiting for another invocation: %w", err)
		}
		// From here on a table that is in use is an error and not a queue: whoever waits for a table makes all who come later wait too.
		if _, err := conn.Exec(ctx, "SET lock_timeout = '5s'"); err != nil {
			conn.Close(context.WithoutCancel(ctx))
			return nil, err
		}
		return conn, nil
	}
}

// logsIn tells whether credentials are good.
func (f *function) logsIn(ctx context.Context, c credentials) (bool, error) {
	conn, err := f.connect(ctx, c)
	if refused(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = conn.Exec(ctx, "SELECT 1")
	conn.Close(context.WithoutCancel(ctx))
	return err == nil, err
}

// sqlState is PostgreSQL's code of an error, or empty.
func sqlState(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// refused tells whether PostgreSQL did not want a user: another password, or no right to log in.
func refused(err error) bool { return strings.HasPrefix(sqlState(err), "28") }

// full tells whether a user, or the instance, has as many sessions as it may have.
func full(err error) bool { return sqlState(err) == "53300" }

// setPassword gives a user its password. What is sent is what PostgreSQL would make of it (see scramVerifier).
func setPassword(ctx context.Context, conn *pgx.Conn, c credentials) error {
	verifier, err := scramVerifier(c.Password, newSalt())
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER ROLE "+quoted(c.Username)+" PASSWORD "+text(verifier)); err != nil {
		return fmt.Errorf("password of %s: %w", c.Username, err)
	}
	return nil
}

// quoted is a name as SQL has it.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// text is a text as SQL has it.
func text(value string) string { return "'" + strings.ReplaceAll(value, "'", "''") + "'" }
