package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// replaceRoles replaces the roles of services that have memberships which the master user cannot
// revoke. Those are what pg_upgrade makes of all memberships when it comes from a version before 16:
// afterwards a superuser has granted them, and on RDS nobody can log in as one. So this is done only
// when such a membership has to end, because a service's level was lowered or a service was removed.
//
// The new role gets the objects of the old one. What people granted to the old one is lost. Nobody
// may work as the role meanwhile, because what it created would be lost, too. So its users may not
// log in, and their sessions are ended. refused is an error about roles that could not be replaced.
func (f *function) replaceRoles(ctx context.Context, master masterConn, out *result) (refused, err error) {
	groups, err := f.unrevocable(ctx, master.services)
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		err := f.replaceRole(ctx, master, group)
		if passes(err) || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			refused = errors.Join(refused, fmt.Errorf("role %s cannot be replaced: %w", group, err))
			continue
		}
		out.Changed = append(out.Changed, "role "+group+", replaced: grant it again what people granted to it")
	}
	return refused, nil
}

// unrevocable returns the roles of services with a membership that must end and that the master user
// cannot revoke.
func (f *function) unrevocable(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	r, err := f.beginRoles(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer r.tx.Rollback(context.WithoutCancel(ctx)) // it revokes only to find out
	if _, err := r.revocations(ctx); err != nil {
		return nil, err
	}
	surplus, err := r.surplus(ctx)
	var groups []string
	for _, m := range surplus {
		for _, name := range []string{m.member, m.role} {
			if _, group := serviceOfGroup(name); group && r.ours(name) {
				groups = append(groups, name)
			}
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), err
}

// replaceRole replaces one role. It first tries it in a transaction that it does not commit, so that
// no session is ended for nothing.
func (f *function) replaceRole(ctx context.Context, master masterConn, group string) error {
	conn, done, err := f.whereUsed(ctx, master, group)
	if err != nil {
		return err
	}
	defer done()
	if err := f.replacement(ctx, conn, group, false); err != nil {
		return err
	}
	service, _ := serviceOfGroup(group)
	logins, err := list(ctx, conn, `SELECT rolname FROM pg_roles WHERE rolname = ANY($1)`, users(service))
	if err != nil {
		return err
	}
	for _, login := range logins {
		for _, statement := range []string{
			"ALTER ROLE " + quoted(login) + " NOLOGIN",
			"COMMENT ON ROLE " + quoted(login) + " IS " + literal(unfinished),
		} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	if err := endSessions(ctx, conn); err != nil {
		return err
	}
	for wait := 0; ; wait++ {
		var sessions int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE usename = ANY($1)`, logins).
			Scan(&sessions)
		if err != nil {
			return err
		}
		if sessions == 0 {
			return f.replacement(ctx, conn, group, true)
		}
		if wait == 50 {
			return passing{fmt.Errorf("%d sessions of %s do not end", sessions, group)}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// whereUsed returns a session in the database in which a role owns something or has rights, and the
// function that ends its use: PostgreSQL reassigns objects in one database only. The role cannot be
// replaced if there are several such databases.
func (f *function) whereUsed(
	ctx context.Context, master masterConn, group string,
) (conn *pgx.Conn, done func(), err error) {
	names, err := list(ctx, master.services, `SELECT DISTINCT datname FROM pg_shdepend
		JOIN pg_database d ON d.oid = dbid WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1::regrole`,
		quoted(group))
	if err != nil || len(names) != 1 || names[0] == f.settings.database {
		return master.services, func() {}, err
	}
	conn, err = f.connect(ctx, master.login, names[0])
	if err != nil {
		return nil, nil, err
	}
	return conn, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}

// replacement executes the statements that replace a role, in one transaction. Whoever uses its
// tables is waited for only shortly.
func (f *function) replacement(ctx context.Context, conn *pgx.Conn, group string, commit bool) error {
	r, err := f.beginRoles(ctx, conn)
	if err != nil {
		return err
	}
	defer r.tx.Rollback(context.WithoutCancel(ctx))
	before := group + "_before"
	for _, statement := range []string{
		fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", f.limits.lock.Milliseconds()),
		"ALTER ROLE " + quoted(group) + " RENAME TO " + quoted(before),
		"CREATE ROLE " + quoted(group),
		r.administer(group),
		r.administer(before),
		"COMMENT ON ROLE " + quoted(group) + " IS " + literal(comment),
		"REASSIGN OWNED BY " + quoted(before) + " TO " + quoted(group),
	} {
		if err := r.do(ctx, statement); err != nil {
			return err
		}
	}
	var left int
	err = r.tx.QueryRow(ctx, `SELECT count(*) FROM pg_shdepend
		WHERE refclassid = 'pg_authid'::regclass AND refobjid = $1::regrole AND deptype = 'o'
			AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`, before).Scan(&left)
	if err != nil {
		return err
	}
	if left > 0 { // DROP OWNED would drop them
		return passing{fmt.Errorf("%d objects of %s were created meanwhile", left, group)}
	}
	for _, statement := range []string{
		"DROP OWNED BY " + quoted(before), // what was granted to it
		"DROP ROLE " + quoted(before),
	} {
		if err := r.do(ctx, statement); err != nil {
			return err
		}
	}
	if !commit {
		return nil
	}
	return r.tx.Commit(ctx)
}
