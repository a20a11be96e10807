package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The roles in PostgreSQL:
//
//	platform_read    SELECT                                        nobody logs in as these three:
//	platform_write   INSERT, UPDATE, DELETE, and SELECT            they are the access levels
//	platform_owner   owns the objects, creates and alters them
//	service_web      a member of one of the three                  nobody logs in as this one either
//	service_web_a  ┐ the two users of the service web, members of
//	service_web_b  ┘ service_web and of nothing else
//	platform_dump      users of the platform itself, each with a pair of logins such as platform_dump_a:
//	platform_monitor   of the logical dumps and of the exporter of metrics, if they are configured
//
// A user works as another role from its first statement on (SET role): as service_web, or as
// platform_owner if that is the service's level. So current_user, what a service creates and what is
// granted to it stay the same when a rotation changes the user. What a service with the level owner
// creates belongs to no service: another one can alter it, and it stays when the service is removed.
// Default privileges open it to the two other levels. PUBLIC, which everybody belongs to, has no
// rights.
//
// The three level roles are those of the main database. A further one has three of its own, such as
// platform_read_metabase: see databases.go.
var levels = []string{"read", "write", "owner"}

// platformLevels are the levels of the users of the platform itself, one user each.
//
//   - monitor reads statistics and settings (pg_monitor), and no table of a service.
//   - dump reads all that services own. Only platform_owner can, and platform_owner_metabase in a
//     further database: the owner of a table alone passes its row-level security, unless BYPASSRLS is
//     set, which takes a superuser or a role that has it; and before PostgreSQL 19, pg_read_all_data
//     reads no large objects. So dump is a member of all of them, and could write. It does not by
//     accident, because its transactions are read-only by default; and no right of PostgreSQL excludes
//     writing for the owner.
var platformLevels = []string{"monitor", "dump"}

// platformUser returns the name of the platform's own user with a level. The underscore, which no
// service has in its name, keeps the names of both apart in roles, secrets and SERVICES.
func platformUser(level string) string { return "platform_" + level }

// ofPlatform tells whether a name in SERVICES is the platform's own.
func ofPlatform(name string) bool {
	return slices.ContainsFunc(platformLevels, func(level string) bool { return name == platformUser(level) })
}

// groupRole returns the role that both users of a service work as, unless its level is owner.
func groupRole(service string) string {
	if ofPlatform(service) {
		return service
	}
	return "service_" + service
}

// serviceOfGroup returns the service whose groupRole has a name; false if it is no such role.
func serviceOfGroup(role string) (service string, ok bool) {
	if ofPlatform(role) {
		return role, true
	}
	service, ok = strings.CutPrefix(role, groupRole(""))
	return service, ok && !user.MatchString(role)
}

// users returns the two users of a service, which alternate (see rotate).
func users(service string) []string {
	return []string{groupRole(service) + "_a", groupRole(service) + "_b"}
}

// workingRole returns the role that the users of a service work as, and that owns what they create.
// A dump of a further database says itself that it works as that one's owner.
func workingRole(name string, s service) string {
	if s.ownsAsOwner() {
		return levelRole("owner", s.Database)
	}
	return groupRole(name)
}

// ownsAsOwner tells whether users of a level work as the role that owns the objects.
func (s service) ownsAsOwner() bool { return s.Level == "owner" || s.Level == "dump" }

var (
	serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)
	user        = regexp.MustCompile(`^(?:service_([a-z][a-z0-9-]*)|(platform_(?:dump|monitor)))_[ab]$`)
)

// servicesRoles and servicesUsers are regular expressions of PostgreSQL for the names of the roles of
// services, and of their users alone. A person's role can have such a name: see mark.
const (
	servicesRoles = `^(service_[a-z0-9-]+|platform_(dump|monitor))(_[ab])?$`
	servicesUsers = `^(service_[a-z0-9-]+|platform_(dump|monitor))_[ab]$`
)

// usersOf returns the service that a user is of, and its other user.
func usersOf(name string) (service, other string, err error) {
	parts := user.FindStringSubmatch(name)
	if parts == nil {
		return "", "", fmt.Errorf("username %q is not that of a service's user", name)
	}
	service = parts[1] + parts[2] // one of them is empty
	if both := users(service); both[0] == name {
		return service, both[1], nil
	}
	return service, users(service)[0], nil
}

// A comment marks a role that this function created for a service; comments of all versions begin
// with it. A role that a person created is left alone, whatever its name.
const (
	mark    = "Made by the platform for a service"
	comment = mark + "; it is corrected each day and at each deployment"

	// A session keeps the rights and settings with which it began. So sessions of a user whose level
	// or login changed are ended, after the change. Until that is done, the user has this comment: if
	// the function is killed in between, the next run ends them.
	unfinished = comment + "; its sessions are about to be ended"
)

// putRolesRight brings roles and memberships into the desired state, in one transaction. Nothing is
// committed if nothing differed. refused is an error about what this function has no right to change;
// everything else is done then. It returns what it knows about the roles.
func (f *function) putRolesRight(ctx context.Context, conn *pgx.Conn, out *result) (known facts, refused, err error) {
	if err := endSessions(ctx, conn); err != nil {
		return facts{}, nil, err
	}
	r, err := f.beginRoles(ctx, conn)
	if err != nil {
		return facts{}, nil, err
	}
	defer r.tx.Rollback(context.WithoutCancel(ctx))
	before, err := r.standing(ctx)
	if err != nil {
		return facts{}, nil, err
	}
	if err := r.correct(ctx); err != nil {
		return facts{}, nil, err
	}
	after, err := r.standing(ctx)
	if err != nil {
		return facts{}, nil, err
	}
	if refused, err = r.verify(ctx); err != nil {
		return facts{}, nil, err
	}
	changed, affected := differences(before, after)
	if len(changed) == 0 {
		return r.facts, refused, nil
	}
	for _, name := range affected {
		if err := r.do(ctx, "COMMENT ON ROLE "+quoted(name)+" IS "+literal(unfinished)); err != nil {
			return facts{}, nil, err
		}
	}
	if err := r.tx.Commit(ctx); err != nil {
		return facts{}, nil, err
	}
	out.Changed = append(out.Changed, changed...)
	for _, name := range r.removedUsers {
		if slices.Contains(affected, name) {
			out.Disabled = append(out.Disabled, name)
		}
	}
	return r.facts, refused, endSessions(ctx, conn)
}

// endSessions ends the sessions of users whose comment asks for it, and of users that may not log
// in.
func endSessions(ctx context.Context, conn *pgx.Conn) error {
	names, err := list(ctx, conn, `SELECT rolname FROM pg_roles
		WHERE rolname ~ $1 AND shobj_description(oid, 'pg_authid') = $2`, servicesUsers, unfinished)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_roles ON oid = usesysid
		WHERE usename = ANY($1)
			OR usename ~ $2 AND NOT rolcanlogin AND shobj_description(oid, 'pg_authid') LIKE $3`,
		names, servicesUsers, mark+"%")
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.Exec(ctx, "COMMENT ON ROLE "+quoted(name)+" IS "+literal(comment)); err != nil {
			return err
		}
	}
	return nil
}

// roles is a transaction that corrects the roles.
type roles struct {
	tx pgx.Tx
	facts
}

// facts is what is known about the roles before they are changed.
type facts struct {
	settings settings
	services map[string]service
	version  int    // server_version_num
	master   string // the current user

	removedUsers  []string // created by this function for services that are no longer configured
	removedGroups []string
	removedLevels []string // of databases that no service names any more
	baseDatabases []string // of those that every instance has, the master user's
}

// beginRoles begins a transaction and reads the roles. Somebody else's lock is waited for only
// shortly: the invocation is tried again.
func (f *function) beginRoles(ctx context.Context, conn *pgx.Conn) (*roles, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	r, err := f.readRoles(ctx, tx)
	if err != nil {
		return nil, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return r, nil
}

func (f *function) readRoles(ctx context.Context, tx pgx.Tx) (*roles, error) {
	if err := execute(ctx, tx, waitShortly); err != nil {
		return nil, err
	}
	r := &roles{tx, facts{settings: f.settings, services: f.settings.services}}
	err := tx.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_user`).
		Scan(&r.version, &r.master)
	if err != nil {
		return nil, err
	}
	ours, err := list(ctx, tx, `SELECT rolname FROM pg_roles
		WHERE rolname ~ $1 AND shobj_description(oid, 'pg_authid') LIKE $2 ORDER BY 1`, servicesRoles, mark+"%")
	if err != nil {
		return nil, err
	}
	for _, name := range ours {
		if service, _, err := usersOf(name); err != nil {
			group, _ := serviceOfGroup(name)
			if r.settings.removed(group) {
				r.removedGroups = append(r.removedGroups, name)
			}
		} else if r.settings.removed(service) {
			r.removedUsers = append(r.removedUsers, name)
		}
	}
	r.removedLevels, err = list(ctx, tx, `SELECT rolname FROM pg_roles
		WHERE rolname ~ $1 AND rolname <> ALL($2) AND shobj_description(oid, 'pg_authid') LIKE $3 ORDER BY 1`,
		furtherLevels, r.levelNames(), levelMark+"%")
	if err != nil {
		return nil, err
	}
	if err := r.foreign(ctx); err != nil {
		return nil, err
	}
	r.baseDatabases, err = list(ctx, tx, `SELECT datname FROM pg_database
		WHERE datname IN ('postgres', 'template1') AND datname <> $1 AND pg_has_role(datdba, 'USAGE') ORDER BY 1`,
		f.settings.database)
	return r, err
}

// waitShortly makes a transaction fail if somebody else has a lock: the invocation is tried again.
const waitShortly = "SET LOCAL lock_timeout = '5s'"

// do executes a statement.
func (r *roles) do(ctx context.Context, statement string) error { return execute(ctx, r.tx, statement) }

// correct executes all statements. What is too much is taken away first: a level cannot become a
// member of a role that is still a member of the level.
func (r *roles) correct(ctx context.Context) error {
	for _, statements := range []func(context.Context) ([]string, error){
		r.missing, r.revocations, r.surplusSettings, r.wanted,
	} {
		todo, err := statements(ctx)
		if err != nil {
			return err
		}
		for _, statement := range todo {
			if err := r.do(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}

// levelNames returns the level roles of the databases of the configuration.
func (r *facts) levelNames() []string {
	var names []string
	for _, d := range r.settings.databases() {
		for _, level := range levels {
			names = append(names, d.role(level))
		}
	}
	return names
}

// names returns all roles of the configuration.
func (r *facts) names() []string {
	names := r.levelNames()
	for _, name := range sorted(r.services) {
		names = append(names, groupRole(name))
		names = append(names, users(name)...)
	}
	return names
}

// levelRoles returns the roles that give levels their rights: those of the databases of the
// configuration, and of earlier ones.
func (r *facts) levelRoles() []string { return slices.Concat(r.levelNames(), r.removedLevels) }

// levelsOf returns the level roles that the role of a service is a member of.
func (r *facts) levelsOf(s service) []string {
	switch s.Level {
	case "monitor":
		return []string{monitorRole}
	case "dump":
		var owners []string
		for _, d := range r.settings.databases() {
			owners = append(owners, d.role("owner"))
		}
		return owners
	}
	return []string{levelRole(s.Level, s.Database)}
}

// monitorRole is PostgreSQL's own.
const monitorRole = "pg_monitor"

// all returns the roles of the configuration, and those of removed services and databases.
func (r *facts) all() []string {
	return slices.Concat(r.names(), r.removedUsers, r.removedGroups, r.removedLevels)
}

// foreign fails if the role of a service, or of a level in a further database, exists and somebody
// else created it: what belongs to it or is granted to it is not the service's. Without its comment, a
// role is known by its users, or by its rights in the database.
func (r *roles) foreign(ctx context.Context) error {
	var groups, further []string
	for _, name := range sorted(r.services) {
		groups = append(groups, groupRole(name))
	}
	for _, d := range r.settings.further() {
		for _, level := range levels {
			further = append(further, d.role(level))
		}
	}
	found, err := list(ctx, r.tx, `SELECT rolname FROM pg_roles g
		WHERE rolname = ANY($1) AND coalesce(shobj_description(oid, 'pg_authid'), '') NOT LIKE $2
			AND NOT EXISTS (SELECT FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member
				WHERE a.roleid = g.oid AND m.rolname IN (g.rolname || '_a', g.rolname || '_b'))
		UNION ALL SELECT rolname FROM pg_roles l
		WHERE rolname = ANY($3) AND coalesce(shobj_description(oid, 'pg_authid'), '') NOT LIKE $4
			AND NOT EXISTS (SELECT FROM pg_database d, aclexplode(d.datacl) a
				WHERE a.grantee = l.oid AND right(l.rolname, length(d.datname) + 1) = '_' || d.datname) ORDER BY 1`,
		groups, mark+"%", further, levelMark+"%")
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("role %s exists and was not created by the platform, which needs the name for a service: "+
			"rename the role, or the service or its database", strings.Join(found, ", "))
	}
	return err
}

// missing returns the statements that create the roles that do not exist.
func (r *roles) missing(ctx context.Context) ([]string, error) {
	names := r.names()
	exist, err := list(ctx, r.tx, `SELECT rolname FROM pg_roles WHERE rolname = ANY($1)`, names)
	var statements []string
	for _, name := range names {
		if !slices.Contains(exist, name) {
			statements = append(statements, "CREATE ROLE "+quoted(name))
		}
	}
	return statements, err
}

// wanted returns all that must hold, as statements that change nothing where it does.
func (r *roles) wanted(context.Context) ([]string, error) {
	var s statements
	for _, name := range r.levelNames() {
		s.add("ALTER ROLE %s NOLOGIN NOCREATEDB NOCREATEROLE INHERIT VALID UNTIL 'infinity'", quoted(name))
		s.add("%s", r.administer(name))
		if _, of, _ := parseLevel(name); of != "" {
			s.add("COMMENT ON ROLE %s IS %s", quoted(name), literal(levelComment))
		}
	}
	for _, name := range sorted(r.services) {
		r.addService(&s, name)
	}
	for _, name := range r.removedUsers {
		s.add("ALTER ROLE %s NOLOGIN PASSWORD NULL", quoted(name))
	}
	return s, nil
}

// statements collects SQL statements.
type statements []string

func (s *statements) add(format string, args ...any) { *s = append(*s, fmt.Sprintf(format, args...)) }

// administer returns the statement that lets the master user grant a role and hand over to it.
// Before PostgreSQL 16, CREATEROLE is enough to grant a role, but from 16 on the ADMIN option
// is required, which the creator of a role gets. pg_upgrade does not add it: unless it was granted
// before, nobody can administer the role after an upgrade.
func (r *roles) administer(role string) string {
	if r.version < 160000 {
		return "GRANT " + quoted(role) + " TO CURRENT_USER WITH ADMIN OPTION"
	}
	return r.member(role, "CURRENT_USER")
}

// member returns the statement that makes a role a member of another, with all that the other may
// do. From PostgreSQL 16 on, a membership can have less.
func (r *roles) member(of, role string) string {
	grant := "GRANT " + quoted(of) + " TO " + role
	if r.version >= 160000 {
		return grant + " WITH INHERIT TRUE, SET TRUE"
	}
	return grant
}

// addService adds the three roles of a service.
func (r *roles) addService(s *statements, name string) {
	configured := r.services[name]
	group, working := quoted(groupRole(name)), workingRole(name, configured)
	s.add("ALTER ROLE %s NOLOGIN NOCREATEDB NOCREATEROLE INHERIT VALID UNTIL 'infinity'", group)
	s.add("%s", r.administer(groupRole(name)))
	for _, level := range r.levelsOf(configured) {
		s.add("%s", r.member(level, group))
	}
	if configured.belongsToOwner(name) { // so that a dump, which works as the owner, reads its large objects
		s.add("%s", r.member(groupRole(name), quoted(levelRole("owner", configured.Database))))
	}
	s.add("COMMENT ON ROLE %s IS %s", group, literal(comment))
	for _, login := range users(name) {
		role := quoted(login)
		s.add("ALTER ROLE %s LOGIN NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT %d VALID UNTIL 'infinity'",
			role, configured.Connections)
		s.add("%s", r.administer(login))
		s.add("%s", r.member(groupRole(name), role))
		s.add("ALTER ROLE %s SET statement_timeout = %s", role, literal(strconv.Itoa(configured.StatementTimeout)))
		s.add("ALTER ROLE %s SET role = %s", role, literal(working))
		if configured.Level == "dump" {
			s.add("ALTER ROLE %s SET default_transaction_read_only = 'on'", role)
		}
		s.add("COMMENT ON ROLE %s IS %s", role, literal(comment))
	}
}

// belongsToOwner tells whether the owner of a service's database must be a member of the service's
// role: the role owns what the service creates.
func (s service) belongsToOwner(name string) bool { return !ofPlatform(name) && !s.ownsAsOwner() }

// standing returns all about the roles that this function is responsible for, except passwords, as a
// map from a subject, such as "login of service_web_a", to its value.
func (r *roles) standing(ctx context.Context) (map[string]string, error) {
	rows, err := r.tx.Query(ctx, `
		WITH ours AS (SELECT * FROM pg_roles WHERE rolname = ANY($1)),
			levels AS (SELECT * FROM pg_roles WHERE rolname = ANY($3))
		SELECT 'login of ' || rolname, rolcanlogin::text FROM ours
		UNION ALL SELECT 'level of ' || u.rolname, coalesce(string_agg(DISTINCT l.rolname, ' '), '')
			FROM ours u LEFT JOIN pg_auth_members own ON own.member = u.oid
				LEFT JOIN pg_auth_members a ON a.member IN (u.oid, own.roleid) AND a.roleid IN (SELECT oid FROM levels)
				LEFT JOIN levels l ON l.oid = a.roleid
			WHERE u.rolname ~ $2 GROUP BY u.rolname
		UNION ALL SELECT 'attributes of ' || rolname, concat_ws(' ', rolcreatedb, rolcreaterole, rolinherit,
			rolconnlimit, rolvaliduntil, rolconfig, shobj_description(oid, 'pg_authid')) FROM ours
		UNION ALL SELECT 'membership of ' || m.rolname || ' in ' || r.rolname, concat_ws(' ',
			bool_or((to_jsonb(a) ->> 'inherit_option')::bool), bool_or((to_jsonb(a) ->> 'set_option')::bool))
			FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid
			WHERE m.oid IN (SELECT oid FROM ours) OR r.oid IN (SELECT oid FROM ours)
			GROUP BY m.rolname, r.rolname
		UNION ALL SELECT 'settings of ' || rolname || ' in database ' || coalesce(datname, ''), setconfig::text
			FROM pg_db_role_setting s JOIN ours ON ours.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
			WHERE s.setdatabase <> 0`,
		r.all(), servicesUsers, append(r.levelRoles(), monitorRole))
	if err != nil {
		return nil, err
	}
	return collect(rows)
}

// collect returns rows of a subject and its value as a map.
func collect(rows pgx.Rows) (map[string]string, error) {
	all := map[string]string{}
	var about, what string
	_, err := pgx.ForEachRow(rows, []any{&about, &what}, func() error {
		all[about] = what
		return nil
	})
	return all, err
}

// differences returns what differs, and the users whose sessions must be ended because they still
// have the rights from before.
func differences(before, after map[string]string) (changed, affected []string) {
	both := maps.Clone(before)
	maps.Copy(both, after)
	for _, about := range sorted(both) {
		was, had := before[about]
		is, has := after[about]
		if was == is && had == has {
			continue
		}
		changed = append(changed, about)
		words := strings.Fields(about)
		if words[0] != "login" && words[0] != "level" || extends(was, is) {
			continue
		}
		// A user that did not exist has no sessions.
		if name := words[2]; had && user.MatchString(name) && !slices.Contains(affected, name) {
			affected = append(affected, name)
		}
	}
	return changed, affected
}

// extends tells whether levels are others and the ones before. The user of the dumps gets those of a
// further database this way, and its sessions need not end.
func extends(before, after string) bool {
	levels := strings.Fields(after)
	return before != "" && !slices.ContainsFunc(strings.Fields(before), func(level string) bool {
		return !slices.Contains(levels, level)
	})
}
