package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// applicationName distinguishes the function's sessions from those of a service.
const applicationName = "platform database function"

// connect logs in to a database over TLS. It verifies that the instance answers, and no other
// server.
func (f *function) connect(ctx context.Context, c credentials, database string) (*pgx.Conn, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(f.settings.roots) {
		return nil, errors.New("no certificate among those of RDS")
	}
	// Defaults for what is not set below. The PG variables of the environment have no effect.
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	s := f.settings
	config.Host, config.Port, config.Database = s.host, s.port, database
	config.User, config.Password = c.Username, c.Password
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: s.host, MinVersion: tls.VersionTLS12}
	config.Fallbacks = nil
	config.ConnectTimeout = 10 * time.Second
	if s.address != "" {
		config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{s.address}, nil }
	}
	config.RuntimeParams = map[string]string{
		"application_name":  applicationName,
		"search_path":       "pg_catalog", // so that nobody's function is called instead of PostgreSQL's
		"statement_timeout": "60s",
		// If the function is killed and its connection is not closed, PostgreSQL ends the session.
		"idle_in_transaction_session_timeout": "60s",
		"idle_session_timeout":                "360s", // longer than an invocation
		"tcp_keepalives_idle":                 "15",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // no statement is prepared
	config.Tracer = f.tracer
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", c.Username, net.JoinHostPort(s.host, strconv.Itoa(int(s.port))), err)
	}
	return conn, nil
}

// masterConn is a session of the master user. While it is open, no other invocation works on the
// instance.
type masterConn struct {
	services *pgx.Conn // to the main database
	lock     *pgx.Conn // holds the lock
	login    credentials
	sessions []session // in the further databases, if they were opened
}

// close ends the session, then releases the lock.
func (m masterConn) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if m.services != nil {
		_ = m.services.Close(ctx)
	}
	for _, s := range m.sessions {
		_ = s.conn.Close(ctx)
	}
	_ = m.lock.Close(ctx)
}

// lockDatabase is the database of the lock. Advisory locks are a database's own, and no service can
// connect to this one.
const lockDatabase = "postgres"

// connectAsMaster waits until no other invocation works on the instance, and logs in as the master
// user.
func (f *function) connectAsMaster(ctx context.Context) (masterConn, error) {
	lock, login, err := f.logInAsMaster(ctx)
	if err != nil {
		return masterConn{}, err
	}
	m := masterConn{lock: lock, login: login}
	if err := f.takeLock(ctx, lock); err != nil {
		m.close(ctx)
		return m, err
	}
	if m.services, err = f.connect(ctx, login, f.settings.database); err != nil {
		m.close(ctx)
		return m, err
	}
	return m, nil
}

// logInAsMaster opens the session of the lock, with the password that works: RDS may be rotating it,
// so that the secret's current password may not be set yet, or not any more.
func (f *function) logInAsMaster(ctx context.Context) (*pgx.Conn, credentials, error) {
	var refusal error
	for _, label := range []string{current, pending, previous} {
		master, err := f.read(ctx, f.settings.master, label, "")
		if errors.Is(err, errNoValue) && label != current {
			continue
		}
		if err != nil {
			return nil, credentials{}, err
		}
		conn, err := f.connect(ctx, master.credentials, lockDatabase)
		if err == nil || !refused(err) {
			return conn, master.credentials, err
		}
		refusal = errors.Join(refusal, err)
	}
	return nil, credentials{}, passing{refusal}
}

// lockNumber is the number of the lock: "database" in ASCII.
const lockNumber int64 = 0x6461746162617365

// takeLock waits for the lock. It asks instead of queuing, so that no session waits in PostgreSQL
// for an invocation that no longer exists. If a service has the lock, its session is ended: on an
// instance where the database of the lock does not belong to the master user, services can connect
// to it.
func (f *function) takeLock(ctx context.Context, conn *pgx.Conn) error {
	const ask = `SELECT pg_try_advisory_lock($1)`
	const evict = `SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.classid = ($1::bigint >> 32)::int
			AND l.objid = ($1::bigint & x'ffffffff'::bigint)::int
			AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND l.granted AND a.usename ~ $2`
	return f.repeat(ctx, f.end(ctx), busy, func() error {
		var taken bool
		if err := conn.QueryRow(ctx, ask, lockNumber).Scan(&taken); err != nil || taken {
			return err
		}
		var services int
		if err := conn.QueryRow(ctx, evict, lockNumber, servicesUsers).Scan(&services); err != nil {
			return err
		}
		return errBusy
	})
}

var errBusy = errors.New("another invocation works on the instance")

func busy(err error) bool { return errors.Is(err, errBusy) }

// logsIn tells whether credentials of a service are right.
func (f *function) logsIn(ctx context.Context, service string, c credentials) (bool, error) {
	conn, err := f.connect(ctx, c, f.settings.databaseOf(service))
	switch {
	case refused(err):
		return false, nil
	case full(err):
		return true, nil
	case err != nil:
		return false, err
	}
	_, err = conn.Exec(ctx, "SELECT 1")
	_ = conn.Close(context.WithoutCancel(ctx))
	return err == nil, err
}

// sqlState returns PostgreSQL's code of an error, or "".
func sqlState(err error) string {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return answer.Code
	}
	return ""
}

// refused tells whether PostgreSQL did not accept a user: another password, or no right to log in.
func refused(err error) bool { return strings.HasPrefix(sqlState(err), "28") }

// full tells whether a user has as many sessions as it may have, or only reserved ones are left.
// These functions of PostgreSQL count them, after it has verified the password. Others refuse a
// session before, when the whole server is full.
func full(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return ok && answer.Code == "53300" && slices.Contains(
		[]string{"InitializeSessionUserId", "InitPostgres", "CheckMyDatabase"}, answer.Routine)
}

// lost tells whether the connection to the server broke.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, new(net.Error)) && !errors.Is(err, context.Canceled)
}

// querier is a session or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, statement string, args ...any) (pgconn.CommandTag, error)
}

// execute executes a statement. Its error says which.
func execute(ctx context.Context, in querier, statement string) error {
	if _, err := in.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// list returns the single column of a query.
func list(ctx context.Context, in querier, query string, args ...any) ([]string, error) {
	rows, err := in.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// quoted returns a name as SQL writes it.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// literal returns a text as SQL writes it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
