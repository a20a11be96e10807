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
func (r *roles) allowed(m membership) bool {
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
		return configured && m.role == levelRole(s.Level)
	}
	if m.member == ownerRole { // of every service that owns what it creates
		// Also of a removed service's, whose objects stay.
		name, ok := serviceOfGroup(m.role)
		_, configured := r.services[name]
		return ok && !ofPlatform(name) && (!configured || r.belongsToOwner(name))
	}
	return false
}

// ours tells whether a role is one of the configuration, or one that this function created.
func (r *roles) ours(name string) bool {
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

// verify looks for what the statements could not change. PostgreSQL only warns if a GRANT or REVOKE
// changes nothing because the current user has no right to it. refused is the error about what
// somebody else has to correct. problems are about what belongs to a superuser: on RDS, nobody can
// log in as one, so a deployment must not fail because of them.
func (r *roles) verify(ctx context.Context) (refused error, problems []string, err error) {
	surplus, err := r.surplus(ctx)
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, m := range surplus {
		errs = append(errs, fmt.Errorf("%s is a member of %s, which %s granted and the master user cannot revoke: "+
			"as %s, run %s", m.member, m.role, m.grantor, m.grantor, m.revoke()))
	}
	missing, err := r.ineffective(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range missing {
		text := fmt.Sprintf("%s belongs to %s, so that the master user cannot change rights: as %s, run %s",
			i.object, i.owner, i.owner, i.statement)
		if i.superuser {
			problems = append(problems, text)
		} else {
			errs = append(errs, errors.New(text))
		}
	}
	grants, err := r.grantsToUsers(ctx)
	return errors.Join(errs...), append(problems, grants...), err
}

// grantsToUsers reports what people granted to one of a service's two users, which a rotation
// changes, instead of to the service's role.
func (r *roles) grantsToUsers(ctx context.Context) ([]string, error) {
	var logins []string
	for _, name := range sorted(r.services) {
		logins = append(logins, users(name)...)
	}
	return list(ctx, r.tx, `SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) ||
			': a grant or policy names ' || o.rolname || ', which the service does not work as: use ' ||
			regexp_replace(o.rolname, '_[ab]$', '') || ', the role of the service'
		FROM pg_shdepend d JOIN pg_roles o ON o.oid = d.refobjid
		WHERE d.refclassid = 'pg_authid'::regclass AND o.rolname = ANY($1) AND d.deptype IN ('a', 'r')
			AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1`, logins)
}

// ineffectiveStatement is a statement that had no effect.
type ineffectiveStatement struct {
	statement, object, owner string
	superuser                bool // the owner is one
}

// ineffective returns the statements about databases and the schema public that did nothing.
func (r *roles) ineffective(ctx context.Context) ([]ineffectiveStatement, error) {
	rows, err := r.tx.Query(ctx, `
		WITH objects AS (
			SELECT 'DATABASE' AS kind, datname AS name, datdba AS owner,
				coalesce(datacl, acldefault('d', datdba)) AS acl,
				ARRAY['CONNECT', 'CONNECT', 'CONNECT', 'TEMPORARY', 'TEMPORARY', 'CREATE'] AS rights
				FROM pg_database WHERE datname = $1
			UNION ALL SELECT 'SCHEMA', nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)),
				ARRAY['USAGE', 'USAGE', 'USAGE', NULL, NULL, 'CREATE'] FROM pg_namespace WHERE nspname = 'public'),
		levels AS (SELECT * FROM unnest($2::text[]) WITH ORDINALITY AS l (level, n)),
		statements AS (
			SELECT kind, name, owner,
				'REVOKE ALL ON ' || kind || ' ' || quote_ident(name) || ' FROM PUBLIC' AS statement
				FROM objects WHERE EXISTS (SELECT FROM aclexplode(acl) WHERE grantee = 0)
			UNION ALL SELECT kind, name, owner,
				'GRANT ' || rights[n] || ' ON ' || kind || ' ' || quote_ident(name) || ' TO ' || quote_ident(level)
				FROM objects, levels WHERE rights[n] IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(acl) a
					WHERE a.grantee = level::regrole AND a.privilege_type = rights[n]))
		SELECT s.statement, lower(s.kind) || ' ' || s.name, o.rolname, o.rolsuper
			FROM statements s JOIN pg_roles o ON o.oid = s.owner ORDER BY 1`,
		r.database, []string{
			levelRole("read"), levelRole("write"), ownerRole, levelRole("write"), ownerRole, ownerRole,
		})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i ineffectiveStatement, err error) {
		return i, row.Scan(&i.statement, &i.object, &i.owner, &i.superuser)
	})
}
