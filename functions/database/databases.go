package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A service uses the main database, unless it names one of its own. A role belongs to the whole
// server, so each further database has level roles of its own, such as platform_read_metabase. They
// alone may connect to it: no service can connect to another database than its own.
//
// A database that no service names any more is left as it is, with its level roles.

// database is a database that this function corrects.
type database struct {
	name string
	of   string // whose level roles have the rights in it: "" for those of the main database
}

func (d database) role(level string) string { return levelRole(level, d.of) }

// in says where an object is, for a result: in the main database, nothing.
func (d database) in() string {
	if d.of == "" {
		return ""
	}
	return " in database " + d.name
}

// session is the master user's session in a database.
type session struct {
	database
	conn *pgx.Conn
}

func (s settings) main() database { return database{name: s.database} }

// further returns the databases that services name, in order.
func (s settings) further() []database {
	names := map[string]bool{}
	for _, service := range s.services {
		if service.Database != "" {
			names[service.Database] = true
		}
	}
	var databases []database
	for _, name := range sorted(names) {
		databases = append(databases, database{name, name})
	}
	return databases
}

func (s settings) databases() []database { return append([]database{s.main()}, s.further()...) }

// find returns the database of services with a name; "" is the main one's.
func (s settings) find(name string) (database, error) {
	var names []string
	for _, d := range s.databases() {
		if d.name == name || d.of == name {
			return d, nil
		}
		names = append(names, d.name)
	}
	return database{}, fmt.Errorf("want a database of the services: %s, have %q", strings.Join(names, ", "), name)
}

// databaseOf returns the name of the database that a service uses.
func (s settings) databaseOf(service string) string {
	if name := s.services[service].Database; name != "" {
		return name
	}
	return s.database
}

// longestFurther is how long the name of a further database may be. The names of its level roles
// end in it, and PostgreSQL cuts names off at 63 bytes.
const longestFurther = 40

// mayBeFurther tells whether a further database may have a name.
func mayBeFurther(name string) bool { return mayBeCreated(name) && len(name) <= longestFurther }

// openDatabases opens a session in each database of services, and creates the further ones that do not
// exist. unusable is the error about databases that could not be opened. err is a temporary error: the
// caller tries again.
//
// No role is changed before all databases are open: a service that moves to a database loses the right
// to connect to the one before, and its sessions there. It must not lose them if the new database cannot
// be used.
func (f *function) openDatabases(
	ctx context.Context, master *masterConn, out *result,
) (sessions []session, unusable, err error) {
	var errs []error
	for _, d := range f.settings.databases() {
		s, err := f.openDatabase(ctx, master, d, out)
		switch {
		case err == nil:
			sessions = append(sessions, s)
		case passes(err) || ctx.Err() != nil:
			return nil, nil, err
		}
		errs = append(errs, err)
	}
	return sessions, errors.Join(errs...), nil
}

// within returns the function for a run that corrects the databases of sessions only. The services of
// the others are kept: their roles stay as they are, and so does the access that running tasks have.
func (f *function) within(sessions []session) *function {
	opened := map[string]bool{}
	for _, s := range sessions {
		opened[s.of] = true
	}
	part := *f
	part.settings.services, part.settings.kept = map[string]service{}, map[string]service{}
	for name, s := range f.settings.services {
		if opened[s.Database] {
			part.settings.services[name] = s
		} else {
			part.settings.kept[name] = s
		}
	}
	return &part
}

// removed tells whether a service is no longer configured.
func (s settings) removed(service string) bool {
	_, configured := s.services[service]
	_, kept := s.kept[service]
	return !configured && !kept
}

// keeps tells whether a role is the owner of a database whose services are kept.
func (s settings) keeps(role string) bool {
	level, of, _ := parseLevel(role)
	return level == "owner" && slices.ContainsFunc(slices.Collect(maps.Values(s.kept)), func(s service) bool {
		return s.Database == of
	})
}

// putDatabasesRight brings the rights in databases into the desired state, and ends the sessions that
// may not be there. An error in one database does not stop the others, unless it is
// temporary: then the caller tries again.
func (f *function) putDatabasesRight(ctx context.Context, sessions []session, known facts, out *result) error {
	var errs []error
	for _, s := range sessions {
		err := known.putRightsRight(ctx, s, out)
		if err == nil || !passes(err) {
			err = errors.Join(err, known.endStrangers(ctx, s))
		}
		if err != nil && (passes(err) || ctx.Err() != nil) {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// openDatabase opens a session in a database of services, and creates the database if it does not exist.
func (f *function) openDatabase(
	ctx context.Context, master *masterConn, d database, out *result,
) (session, error) {
	if d.of == "" {
		return session{d, master.services}, nil
	}
	if err := adoptDatabase(ctx, master.lock, d.name, out); err != nil {
		return session{}, err
	}
	conn, err := f.connect(ctx, master.login, d.name)
	if err != nil {
		return session{}, err
	}
	s := session{d, conn}
	master.sessions = append(master.sessions, s)
	return s, nil
}

// servicesComment marks a database that this function created for services, or took over from a
// restore.
const servicesComment = "Made by the platform for services"

// adoptDatabase creates a database for services, without rights for PUBLIC. One that exists is taken
// over if it belongs to the master user: a person created it, or a restore. If it allows no connections,
// its creation was interrupted.
func adoptDatabase(ctx context.Context, conn *pgx.Conn, name string, out *result) error {
	rows, err := conn.Query(ctx, `SELECT pg_get_userbyid(datdba), current_user::text,
		coalesce(shobj_description(oid, 'pg_database'), ''), datallowconn FROM pg_database WHERE datname = $1`, name)
	if err != nil {
		return err
	}
	type found struct {
		owner, master, comment string
		open                   bool
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d found, err error) {
		return d, row.Scan(&d.owner, &d.master, &d.comment, &d.open)
	})
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		return createDatabase(ctx, conn, name, servicesComment, out)
	case all[0].owner != all[0].master:
		return fmt.Errorf("database %s exists and belongs to %s: as %[2]s, run ALTER DATABASE %s OWNER TO %s, or set "+
			"another database.name of the services", name, all[0].owner, quoted(name), quoted(all[0].master))
	case !all[0].open:
		return completeDatabase(ctx, conn, name, servicesComment)
	case all[0].comment == databaseComment: // no restore may use it any more
		return execute(ctx, conn, "COMMENT ON DATABASE "+quoted(name)+" IS "+literal(servicesComment))
	}
	return nil
}

// levelRole returns the role that gives a level its rights in a database; of is "" for the main
// database, or the name of a further one.
func levelRole(level, of string) string {
	role := "platform_" + level
	if of != "" {
		role += "_" + of
	}
	return role
}

// levelParts are the parts of the name of a level role.
var levelParts = regexp.MustCompile(`^platform_(read|write|owner)(?:_([a-z][a-z0-9_]*))?$`)

// furtherLevels is levelParts for PostgreSQL, without the roles of the main database.
const furtherLevels = `^platform_(read|write|owner)_[a-z][a-z0-9_]*$`

// parseLevel returns the level that a role is of, and the database that it is of: "" for the main
// database.
func parseLevel(role string) (name, of string, ok bool) {
	parts := levelParts.FindStringSubmatch(role)
	if parts == nil {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// levelMark begins the comment of the level roles of further databases, so that those of databases
// that no service names any more are known.
const (
	levelMark    = "Made by the platform for a database"
	levelComment = levelMark + "; it is corrected each day and at each deployment"
)

// strangers returns the level roles of all databases but one.
func (r *facts) strangers(d database) []string {
	return slices.DeleteFunc(r.levelRoles(), func(role string) bool {
		_, of, _ := parseLevel(role)
		return of == d.of
	})
}

// belongs tells whether the users of a service may connect to a database.
func (s service) belongs(d database) bool { return s.Database == d.of || s.Level == "dump" }

// endStrangers ends the sessions in a database of users of services that may not connect to it. They
// began before the right to connect was revoked: PUBLIC has it in a database that a person created. It
// is asked for in every run, since the one that revoked it can have been interrupted.
func (r *facts) endStrangers(ctx context.Context, s session) error {
	var others []string
	for _, name := range sorted(r.services) {
		if !r.services[name].belongs(s.database) {
			others = append(others, users(name)...)
		}
	}
	_, err := s.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND usename = ANY($1)`, others)
	return err
}

// ---- Rights in a database -----------------------------------------------------------------------

// rights is a transaction that corrects the rights in a database.
type rights struct {
	tx pgx.Tx
	database
	facts
}

// putRightsRight brings the rights of the levels in a database into the desired state, in one
// transaction. Nothing is committed if nothing differed. If this function has no right to change
// something, that is an error; everything else is done then.
func (r *facts) putRightsRight(ctx context.Context, s session, out *result) error {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	in := &rights{tx, s.database, *r}
	if err := in.do(ctx, waitShortly); err != nil {
		return err
	}
	before, err := in.standing(ctx)
	if err != nil {
		return err
	}
	for _, statement := range in.wanted() {
		if err := in.do(ctx, statement); err != nil {
			return err
		}
	}
	after, err := in.standing(ctx)
	if err != nil {
		return err
	}
	refused, problems, err := in.verify(ctx)
	if err != nil {
		return err
	}
	out.Problems = append(out.Problems, problems...)
	changed, _ := differences(before, after)
	if len(changed) == 0 {
		return refused
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	out.Changed = append(out.Changed, changed...)
	return refused
}

func (r *rights) do(ctx context.Context, statement string) error {
	return execute(ctx, r.tx, statement)
}

// wanted returns all that must hold, as statements that change nothing where it does.
func (r *rights) wanted() []string {
	var s statements
	r.addRights(&s)
	r.addDefaultPrivileges(&s)
	return s
}

// addRights adds the rights in the database and the schema public.
func (r *rights) addRights(s *statements) {
	read, write, owner := quoted(r.role("read")), quoted(r.role("write")), quoted(r.role("owner"))
	db := quoted(r.name)
	s.add("REVOKE ALL ON DATABASE %s FROM PUBLIC", db)
	s.add("GRANT CONNECT ON DATABASE %s TO %s, %s, %s", db, read, write, owner)
	s.add("GRANT TEMPORARY ON DATABASE %s TO %s, %s", db, write, owner)
	s.add("GRANT CREATE ON DATABASE %s TO %s", db, owner) // schemas
	s.add("REVOKE ALL ON SCHEMA public FROM PUBLIC")
	s.add("GRANT USAGE ON SCHEMA public TO %s, %s, %s", read, write, owner)
	s.add("GRANT CREATE ON SCHEMA public TO %s", owner)
	for _, name := range r.baseDatabases {
		s.add("REVOKE ALL ON DATABASE %s FROM PUBLIC", quoted(name))
	}
	var others []string
	for _, role := range r.strangers(r.database) {
		others = append(others, quoted(role))
	}
	for _, name := range sorted(r.services) {
		others = append(others, quoted(users(name)[0]), quoted(users(name)[1]))
		group, configured := quoted(groupRole(name)), r.services[name]
		switch {
		case !configured.belongs(r.database): // a person granted it
			others = append(others, group)
		case configured.Level == "monitor": // the other levels have it
			s.add("GRANT CONNECT ON DATABASE %s TO %s", db, group)
		}
	}
	if len(others) > 0 {
		s.add("REVOKE ALL ON DATABASE %s FROM %s", db, strings.Join(others, ", "))
		s.add("REVOKE ALL ON SCHEMA public FROM %s", strings.Join(others, ", "))
	}
}

// addDefaultPrivileges adds what the levels may do with what the role of the level owner creates.
func (r *rights) addDefaultPrivileges(s *statements) {
	read, write := quoted(r.role("read")), quoted(r.role("write"))
	defaults := func(format string, args ...any) {
		s.add("ALTER DEFAULT PRIVILEGES FOR ROLE "+quoted(r.role("owner"))+" "+format, args...)
	}
	kinds := []string{"TABLES", "SEQUENCES", "FUNCTIONS", "TYPES", "SCHEMAS"}
	if r.version >= 180000 { // earlier versions have no default privileges for large objects
		kinds = append(kinds, "LARGE OBJECTS")
		defaults("GRANT SELECT ON LARGE OBJECTS TO %s, %s", read, write)
		defaults("GRANT UPDATE ON LARGE OBJECTS TO %s", write)
	}
	defaults("GRANT USAGE ON SCHEMAS TO %s, %s", read, write)
	defaults("GRANT SELECT ON TABLES TO %s, %s", read, write)
	defaults("GRANT INSERT, UPDATE, DELETE ON TABLES TO %s", write)
	defaults("GRANT SELECT ON SEQUENCES TO %s, %s", read, write)
	defaults("GRANT USAGE ON SEQUENCES TO %s", write)
	defaults("GRANT EXECUTE ON FUNCTIONS TO %s, %s", read, write)
	defaults("GRANT USAGE ON TYPES TO %s, %s", read, write)
	for _, kind := range kinds {
		defaults("REVOKE ALL ON %s FROM PUBLIC", kind)
	}
}

// standing returns the rights that this function is responsible for, as a map from a subject, such as
// "rights in schema public", to its value.
func (r *rights) standing(ctx context.Context) (map[string]string, error) {
	rows, err := r.tx.Query(ctx, `
		SELECT 'rights in database ' || datname, coalesce(datacl::text, 'default') FROM pg_database
			WHERE datname = ANY($1)
		UNION ALL SELECT 'rights in schema public' || $3, coalesce(nspacl::text, 'default')
			FROM pg_namespace WHERE nspname = 'public'
		UNION ALL SELECT 'default rights, kind ' || defaclobjtype::text || $3, defaclacl::text
			FROM pg_default_acl WHERE defaclrole = $2::regrole AND defaclnamespace = 0`,
		append([]string{r.name}, r.baseDatabases...), quoted(r.role("owner")), r.in())
	if err != nil {
		return nil, err
	}
	return collect(rows)
}

// verify looks for what the statements could not change. PostgreSQL only warns if a GRANT or REVOKE
// changes nothing because the current user has no right to it. refused is the error about what
// somebody else has to correct. problems are about what belongs to a superuser: on RDS, nobody can
// log in as one, so a deployment must not fail because of them.
func (r *rights) verify(ctx context.Context) (refused error, problems []string, err error) {
	missing, err := r.ineffective(ctx)
	if err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, i := range missing {
		text := fmt.Sprintf("%s belongs to %s, so that the master user cannot change rights: as %s, run %s%s",
			i.object, i.owner, i.owner, i.statement, r.in())
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
func (r *rights) grantsToUsers(ctx context.Context) ([]string, error) {
	var logins []string
	for _, name := range sorted(r.services) {
		logins = append(logins, users(name)...)
	}
	return list(ctx, r.tx, `SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) ||
			': a grant or policy names ' || o.rolname || ', which the service does not work as: use ' ||
			regexp_replace(o.rolname, '_[ab]$', '') || ', the role of the service' || $2
		FROM pg_shdepend d JOIN pg_roles o ON o.oid = d.refobjid
		WHERE d.refclassid = 'pg_authid'::regclass AND o.rolname = ANY($1) AND d.deptype IN ('a', 'r')
			AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1`, logins, r.in())
}

// ineffectiveStatement is a statement that had no effect.
type ineffectiveStatement struct {
	statement, object, owner string
	superuser                bool // the owner is one
}

// ineffective returns the statements about databases and the schema public that did nothing.
func (r *rights) ineffective(ctx context.Context) ([]ineffectiveStatement, error) {
	read, write, owner := r.role("read"), r.role("write"), r.role("owner")
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
		r.name, []string{read, write, owner, write, owner, owner})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i ineffectiveStatement, err error) {
		return i, row.Scan(&i.statement, &i.object, &i.owner, &i.superuser)
	})
}
