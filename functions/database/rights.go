package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// membership is that one role is a member of another.
type membership struct{ member, role, grantor string }

// revoke returns the statement that ends a membership.
func (m membership) revoke() string {
	return "REVOKE " + quoted(m.role) + " FROM " + quoted(m.member)
}

// allowed tells whether a membership may be. People may be members of an access level or of a
// service's role, but no role of the platform may be a member of anything else, and nobody may be a
// user of a service.
func (r *facts) allowed(m membership) bool {
	if m.member == r.master {
		return true
	}
	if !r.ours(m.member) { // a person's role, whatever its name
		return !r.ours(m.role) || !user.MatchString(m.role)
	}
	if service, _, err := usersOf(m.member); err == nil {
		_, configured := r.services[service]
		return configured && m.role == groupRole(service)
	}
	if name, ok := serviceOfGroup(m.member); ok {
		s, configured := r.services[name]
		return configured && (slices.Contains(r.levelsOf(s), m.role) || s.Level == "dump" && r.settings.keeps(m.role))
	}
	if level, of, _ := parseLevel(m.member); level == "owner" { // of every service that owns what it creates
		name, ok := serviceOfGroup(m.role)
		s, configured := r.services[name]
		if !configured { // a removed service, whose objects stay
			return ok && !ofPlatform(name)
		}
		return ok && s.belongsToOwner(name) && s.Database == of
	}
	return false
}

// ours tells whether a role is one of the configuration, or one that this function created.
func (r *facts) ours(name string) bool {
	return slices.Contains(r.all(), name)
}

// surplus returns the memberships that may not be.
func (r *roles) surplus(ctx context.Context) ([]membership, error) {
	rows, err := r.tx.Query(ctx, `SELECT m.rolname, r.rolname, g.rolname FROM pg_auth_members a
		JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles g ON g.oid = a.grantor
		WHERE m.rolname = ANY($1) OR r.rolname = ANY($1) ORDER BY 1, 2, 3`,
		r.all())
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m membership, err error) {
		return m, row.Scan(&m.member, &m.role, &m.grantor)
	})
	return slices.DeleteFunc(all, r.allowed), err
}

// revocations ends them, and returns no further statements. One that the master user may not end is
// left for verify to report: from PostgreSQL 16 on, that is an error for some roles, and only a
// warning for others.
func (r *roles) revocations(ctx context.Context) ([]string, error) {
	surplus, err := r.surplus(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range surplus {
		savepoint, err := r.tx.Begin(ctx)
		if err != nil {
			return nil, err
		}
		_, err = savepoint.Exec(ctx, m.revoke())
		if sqlState(err) == insufficientPrivilege {
			err = savepoint.Rollback(ctx)
		} else if err == nil {
			err = savepoint.Commit(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.revoke(), err)
		}
	}
	return nil, nil
}

const insufficientPrivilege = "42501"

// surplusSettings returns the statements that take from roles the settings of one database alone that
// come before what this function sets. Others are a person's.
func (r *roles) surplusSettings(ctx context.Context) ([]string, error) {
	rows, err := r.tx.Query(ctx, `SELECT r.rolname, d.datname FROM pg_db_role_setting s
		JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
		WHERE r.rolname = ANY($1) ORDER BY 1, 2`, r.names())
	if err != nil {
		return nil, err
	}
	var s statements
	var role, database string
	_, err = pgx.ForEachRow(rows, []any{&role, &database}, func() error {
		ours := []string{"role", "statement_timeout"}
		if name, _, err := usersOf(role); err == nil && r.services[name].Level == "dump" {
			ours = append(ours, "default_transaction_read_only")
		}
		for _, setting := range ours {
			s.add("ALTER ROLE %s IN DATABASE %s RESET %s", quoted(role), quoted(database), setting)
		}
		return nil
	})
	return s, err
}

// verify looks for memberships that the statements could not revoke: PostgreSQL only warns if a REVOKE
// changes nothing because the current user has no right to it. refused is the error about what somebody
// else has to correct.
func (r *roles) verify(ctx context.Context) (refused, err error) {
	surplus, err := r.surplus(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, m := range surplus {
		errs = append(errs, fmt.Errorf("%s is a member of %s, which %s granted and the master user cannot revoke: "+
			"as %s, run %s", m.member, m.role, m.grantor, m.grantor, m.revoke()))
	}
	return errors.Join(errs...), nil
}
