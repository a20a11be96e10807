package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	if service, _, err := usersOf(m.member); err == nil {
		_, configured := r.services[service]
		return configured && m.role == groupRole(service)
	}
	if name, ok := strings.CutPrefix(m.member, groupRole("")); ok {
		s, configured := r.services[name]
		return configured && m.role == levelRole(s.Level)
	}
	if m.member == ownerRole { // of every service that owns what it creates
		name, ok := strings.CutPrefix(m.role, groupRole(""))
		return ok && !user.MatchString(m.role) && r.services[name].Level != "owner"
	}
	return !user.MatchString(m.role) && !strings.HasPrefix(m.member, "platform_")
}

// surplus returns the memberships that may not be.
func (r *roles) surplus(ctx context.Context) ([]membership, error) {
	rows, err := r.tx.Query(ctx, `SELECT m.rolname, r.rolname, g.rolname FROM pg_auth_members a
		JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles g ON g.oid = a.grantor
		WHERE m.rolname = ANY($1) OR r.rolname = ANY($1) ORDER BY 1, 2, 3`,
		slices.Concat(r.names(), r.removedUsers, r.removedGroups))
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m membership, err error) {
		return m, row.Scan(&m.member, &m.role, &m.grantor)
	})
	return slices.DeleteFunc(all, r.allowed), err
}

// surplusMemberships returns the statements that end them.
func (r *roles) surplusMemberships(ctx context.Context) ([]string, error) {
	surplus, err := r.surplus(ctx)
	var statements []string
	for _, m := range surplus {
		statements = append(statements, m.revoke())
	}
	return slices.Compact(statements), err
}

// replacements returns the statements that replace the roles of services that have memberships which
// this function cannot revoke. Those are what pg_upgrade makes of all memberships when it comes from
// a version before 16: afterwards a superuser has granted them, and on RDS nobody can log in as one.
// The new role gets the objects of the old one. What a person granted to the old one is lost.
func (r *roles) replacements(ctx context.Context) ([]string, error) {
	surplus, err := r.surplus(ctx)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, m := range surplus {
		for _, name := range []string{m.member, m.role} {
			if strings.HasPrefix(name, groupRole("")) && !user.MatchString(name) {
				groups = append(groups, name)
			}
		}
	}
	var s statements
	slices.Sort(groups)
	for _, name := range slices.Compact(groups) {
		group, old := quoted(name), quoted(name+"_before")
		s.add("ALTER ROLE %s RENAME TO %s", group, old)
		s.add("CREATE ROLE %s", group)
		s.add("%s", r.administer(name))
		s.add("%s", r.administer(name+"_before"))
		s.add("COMMENT ON ROLE %s IS %s", group, literal(comment))
		s.add("REASSIGN OWNED BY %s TO %s", old, group)
		s.add("DROP OWNED BY %s", old) // rights
		s.add("DROP ROLE %s", old)
	}
	return s, nil
}

// surplusSettings returns the statements that take from roles what they have set in one database
// alone, which comes before what this function sets.
func (r *roles) surplusSettings(ctx context.Context) ([]string, error) {
	rows, err := r.tx.Query(ctx, `SELECT r.rolname, d.datname FROM pg_db_role_setting s
		JOIN pg_roles r ON r.oid = s.setrole JOIN pg_database d ON d.oid = s.setdatabase
		WHERE r.rolname = ANY($1) ORDER BY 1, 2`, r.names())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var role, database string
		err := row.Scan(&role, &database)
		return "ALTER ROLE " + quoted(role) + " IN DATABASE " + quoted(database) + " RESET ALL", err
	})
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
	return errors.Join(errs...), problems, nil
}

// ineffective is a statement that did not have its effect.
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
