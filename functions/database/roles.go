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

// What stands in PostgreSQL:
//
//	platform_read    SELECT                                   nobody logs in as these three: they are what may be done
//	platform_write   INSERT, UPDATE, DELETE, and SELECT
//	platform_owner   owns what there is, makes and alters it
//	service_web_a  ┐ the two users of the service web, members of
//	service_web_b  ┘ exactly one of the three
//
// A user of a service with the level owner works as platform_owner from its first statement on (SET role), so that what one service
// makes, or a person who takes that role, belongs to none of them: a service can go, and its tables stay and go on as they were. What platform_owner makes
// tomorrow is open to the two others by default privileges. PUBLIC, which everybody is a member of, may do nothing.
var levels = []string{"read", "write", "owner"}

func levelRole(level string) string { return "platform_" + level }

// users are the two that take turns (see rotate).
func users(service string) []string {
	return []string{"service_" + service + "_a", "service_" + service + "_b"}
}

var user = regexp.MustCompile(`^service_([a-z][a-z0-9]*)_([ab])$`)

// usersOf returns the service that a user is of, and its other user.
func usersOf(name string) (service, other string, err error) {
	parts := user.FindStringSubmatch(name)
	if parts == nil {
		return "", "", fmt.Errorf("username %q is not one of a service's", name)
	}
	if both := users(parts[1]); both[0] == name {
		return parts[1], both[1], nil
	}
	return parts[1], users(parts[1])[0], nil
}

// comment marks a user as one that this function made. One that a person made is left alone, whatever its name.
const comment = "Made by the platform for a service; it is put right at each deployment"

// roles makes what is missing, puts right what differs, and takes the login from services that are gone.
//
// A service's secret comes first and the password in PostgreSQL follows it: killed in between, the next run finds a secret whose password
// is refused, and sets it.
func (f *function) roles(ctx context.Context, services map[string]serviceRole) (result, error) {
	out := result{Changed: []string{}, Passwords: []string{}, Disabled: []string{}}
	conn, err := f.connectAsMaster(ctx)
	if err != nil {
		return out, err
	}
	defer conn.Close(context.WithoutCancel(ctx))

	if out.Changed, out.Disabled, err = f.putRight(ctx, conn, services); err != nil {
		return out, err
	}
	for _, name := range sorted(services) {
		given, err := f.givePassword(ctx, conn, name, services[name].Secret)
		if err != nil {
			return out, fmt.Errorf("service %s: %w", name, err)
		}
		if given != "" {
			out.Passwords = append(out.Passwords, given)
		}
	}
	for _, change := range out.Changed {
		f.log.InfoContext(ctx, "put right", "what", change)
	}
	for _, name := range out.Disabled {
		f.log.WarnContext(ctx, "its service is gone: it may no longer log in; what it made stays", "user", name)
	}
	return out, nil
}

// putRight brings all that roles are into the wanted state, in one transaction, and returns what differed. Nothing is committed where nothing did.
func (f *function) putRight(ctx context.Context, conn *pgx.Conn, services map[string]serviceRole) (changed, disabled []string, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	before, err := standing(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	gone, err := orphans(ctx, tx, services)
	if err != nil {
		return nil, nil, err
	}
	for _, part := range []func() ([]string, error){
		func() ([]string, error) { return missing(ctx, tx, services) },
		func() ([]string, error) { return wanted(f.settings.database, services, gone), nil },
		func() ([]string, error) { return surplus(ctx, tx, services, gone) },
		func() ([]string, error) { return handOver(ctx, tx) },
	} {
		statements, err := part()
		if err != nil {
			return nil, nil, err
		}
		for _, statement := range statements {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	after, err := standing(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	if left, err := surplus(ctx, tx, services, gone); err != nil || len(left) > 0 {
		return nil, nil, errors.Join(err, fmt.Errorf("users have rights that this function could not take from them: %s", strings.Join(left, "; ")))
	}
	changed, affected := differences(before, after)
	for _, name := range gone {
		if slices.Contains(affected, name) {
			disabled = append(disabled, name)
		}
	}
	if len(changed) == 0 {
		return []string{}, []string{}, nil
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, nil, err
	}
	// A session keeps the rights that it began with.
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY($1)`, affected)
	return changed, append([]string{}, disabled...), err
}

// missing returns the statements that make the roles that are not there.
func missing(ctx context.Context, tx pgx.Tx, services map[string]serviceRole) ([]string, error) {
	var names []string
	for _, level := range levels {
		names = append(names, levelRole(level))
	}
	for _, service := range sorted(services) {
		names = append(names, users(service)...)
	}
	there, err := list(ctx, tx, `SELECT rolname FROM pg_roles WHERE rolname = ANY($1)`, names)
	var statements []string
	for _, name := range names {
		if !slices.Contains(there, name) {
			statements = append(statements, "CREATE ROLE "+quoted(name))
		}
	}
	return statements, err
}

// wanted returns all that has to hold, as statements that change nothing where it does.
func wanted(database string, services map[string]serviceRole, gone []string) []string {
	read, write, owner := quoted(levelRole("read")), quoted(levelRole("write")), quoted(levelRole("owner"))
	var statements []string
	add := func(format string, args ...any) { statements = append(statements, fmt.Sprintf(format, args...)) }
	for _, role := range []string{read, write, owner} {
		add("ALTER ROLE %s NOLOGIN NOCREATEDB NOCREATEROLE INHERIT", role)
	}
	add("GRANT %s TO CURRENT_USER", owner) // to hand over to it, and to say what its defaults are

	db := quoted(database)
	add("REVOKE ALL ON DATABASE %s FROM PUBLIC", db)
	add("GRANT CONNECT ON DATABASE %s TO %s, %s, %s", db, read, write, owner)
	add("GRANT TEMPORARY ON DATABASE %s TO %s, %s", db, write, owner)
	add("GRANT CREATE ON DATABASE %s TO %s", db, owner) // schemas
	add("REVOKE ALL ON SCHEMA public FROM PUBLIC")
	add("GRANT USAGE ON SCHEMA public TO %s, %s, %s", read, write, owner)
	add("GRANT CREATE ON SCHEMA public TO %s", owner)

	const defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE platform_owner "
	add(defaults+"GRANT USAGE ON SCHEMAS TO %s, %s", read, write)
	add(defaults+"GRANT SELECT ON TABLES TO %s, %s", read, write)
	add(defaults+"GRANT INSERT, UPDATE, DELETE ON TABLES TO %s", write)
	add(defaults+"GRANT SELECT ON SEQUENCES TO %s, %s", read, write)
	add(defaults+"GRANT USAGE ON SEQUENCES TO %s", write)
	add(defaults + "REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
	add(defaults+"GRANT EXECUTE ON FUNCTIONS TO %s, %s", read, write)
	add(defaults + "REVOKE USAGE ON TYPES FROM PUBLIC")
	add(defaults+"GRANT USAGE ON TYPES TO %s, %s", read, write)

	for _, service := range sorted(services) {
		s := services[service]
		for _, name := range users(service) {
			role := quoted(name)
			add("ALTER ROLE %s LOGIN NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT %d", role, s.Connections)
			add("ALTER ROLE %s SET statement_timeout = %s", role, text(strconv.Itoa(s.StatementTimeout)))
			if s.Level == "owner" {
				add("ALTER ROLE %s SET role = %s", role, text(levelRole("owner")))
			} else {
				add("ALTER ROLE %s RESET role", role)
			}
			add("GRANT %s TO %s", quoted(levelRole(s.Level)), role)
			add("COMMENT ON ROLE %s IS %s", role, text(comment))
		}
	}
	for _, name := range gone {
		add("ALTER ROLE %s NOLOGIN PASSWORD NULL", quoted(name))
	}
	return statements
}

// surplus returns the statements that take from users what they are members of beside their level, and are allowed to members alone.
func surplus(ctx context.Context, tx pgx.Tx, services map[string]serviceRole, gone []string) ([]string, error) {
	allowed := map[string]string{}
	for service, s := range services {
		for _, name := range users(service) {
			allowed[name] = levelRole(s.Level)
		}
	}
	for _, name := range gone {
		allowed[name] = ""
	}
	rows, err := tx.Query(ctx, `SELECT m.rolname, r.rolname FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid
		WHERE m.rolname = ANY($1) ORDER BY 1, 2`, sorted(allowed))
	if err != nil {
		return nil, err
	}
	var statements []string
	var member, role string
	_, err = pgx.ForEachRow(rows, []any{&member, &role}, func() error {
		if allowed[member] != role {
			statements = append(statements, "REVOKE "+quoted(role)+" FROM "+quoted(member))
		}
		return nil
	})
	return slices.Compact(statements), err
}

// handOver returns the statements that give platform_owner what the master made in the schema public: by services that used the
// master's credentials, before this function was, or by a restore. What the master made in a schema of its own stays its own.
func handOver(ctx context.Context, tx pgx.Tx) ([]string, error) {
	owner, read, write := levelRole("owner"), levelRole("read"), levelRole("write")
	const ours = ` AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype IN ('e', 'i') AND d.classid = %s)` // not an extension's, not an identity's
	var statements []string
	for _, kind := range []struct{ query, class string }{
		// A sequence that is a column's goes with the table, but for the rights.
		{`SELECT CASE o.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
				WHEN 'S' THEN CASE WHEN EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'a' AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass) THEN 'SERIAL' ELSE 'SEQUENCE' END
				ELSE 'TABLE' END, format('%I.%I', n.nspname, o.relname)
			FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
			WHERE n.nspname = 'public' AND o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND o.relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)`, `'pg_class'::regclass`},
		{`SELECT 'ROUTINE', o.oid::regprocedure::text FROM pg_proc o JOIN pg_namespace n ON n.oid = o.pronamespace
			WHERE n.nspname = 'public' AND o.proowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)`, `'pg_proc'::regclass`},
		{`SELECT CASE o.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, format('%I.%I', n.nspname, o.typname) FROM pg_type o JOIN pg_namespace n ON n.oid = o.typnamespace LEFT JOIN pg_class c ON c.oid = o.typrelid
			WHERE n.nspname = 'public' AND o.typowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND (o.typtype IN ('d', 'e', 'r') OR o.typtype = 'c' AND c.relkind = 'c')`, `'pg_type'::regclass`},
	} {
		rows, err := tx.Query(ctx, kind.query+strings.ReplaceAll(ours, "%s", kind.class)+" ORDER BY 1, 2")
		if err != nil {
			return nil, err
		}
		var noun, name string
		_, err = pgx.ForEachRow(rows, []any{&noun, &name}, func() error {
			if noun != "SERIAL" {
				statements = append(statements, fmt.Sprintf("ALTER %s %s OWNER TO %s", noun, name, quoted(owner)))
			}
			switch noun {
			case "SEQUENCE", "SERIAL":
				statements = append(statements, fmt.Sprintf("GRANT SELECT ON SEQUENCE %s TO %s, %s", name, quoted(read), quoted(write)), fmt.Sprintf("GRANT USAGE ON SEQUENCE %s TO %s", name, quoted(write)))
			case "ROUTINE", "TYPE", "DOMAIN": // PUBLIC may use these by PostgreSQL's default
			default:
				statements = append(statements, fmt.Sprintf("GRANT SELECT ON %s TO %s, %s", name, quoted(read), quoted(write)), fmt.Sprintf("GRANT INSERT, UPDATE, DELETE ON %s TO %s", name, quoted(write)))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// orphans are the users that this function made for services that are not configured any more.
func orphans(ctx context.Context, tx pgx.Tx, services map[string]serviceRole) ([]string, error) {
	names, err := list(ctx, tx, `SELECT rolname FROM pg_roles WHERE rolname ~ '^service_[a-z0-9]+_[ab]$' AND shobj_description(oid, 'pg_authid') = $1 ORDER BY 1`, comment)
	return slices.DeleteFunc(names, func(name string) bool {
		service, _, _ := usersOf(name)
		_, configured := services[service]
		return configured
	}), err
}

// standing is all that this function is answerable for, but for passwords: what it is, by what it is about.
func standing(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	rows, err := tx.Query(ctx, `
		WITH ours AS (SELECT * FROM pg_roles WHERE rolname ~ '^(platform_(read|write|owner)|service_[a-z0-9]+_[ab])$')
		SELECT 'login of ' || rolname, rolcanlogin::text FROM ours
		UNION ALL SELECT 'attributes of ' || rolname, concat_ws(' ', rolcreatedb, rolcreaterole, rolinherit, rolconnlimit, rolconfig, shobj_description(oid, 'pg_authid')) FROM ours
		UNION ALL SELECT 'membership of ' || m.rolname || ' in ' || r.rolname, '' FROM pg_auth_members a JOIN pg_roles m ON m.oid = a.member JOIN pg_roles r ON r.oid = a.roleid
			WHERE m.oid IN (SELECT oid FROM ours) OR r.oid IN (SELECT oid FROM ours)
		UNION ALL SELECT 'rights in database ' || datname, coalesce(datacl::text, 'default') FROM pg_database WHERE datname = current_database()
		UNION ALL SELECT 'rights in schema public', coalesce(nspacl::text, 'default') FROM pg_namespace WHERE nspname = 'public'
		UNION ALL SELECT 'default rights, kind ' || defaclobjtype::text, defaclacl::text FROM pg_default_acl JOIN ours ON defaclrole = ours.oid WHERE defaclnamespace = 0
		UNION ALL SELECT 'owner of ' || o.oid::regclass::text, r.rolname FROM pg_class o JOIN pg_roles r ON r.oid = o.relowner WHERE o.relnamespace = to_regnamespace('public') AND o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
		UNION ALL SELECT 'owner of ' || o.oid::regprocedure::text, r.rolname FROM pg_proc o JOIN pg_roles r ON r.oid = o.proowner WHERE o.pronamespace = to_regnamespace('public')
		UNION ALL SELECT 'owner of type ' || o.oid::regtype::text, r.rolname FROM pg_type o JOIN pg_roles r ON r.oid = o.typowner WHERE o.typnamespace = to_regnamespace('public') AND o.typtype IN ('d', 'e', 'r')`)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	var about, what string
	_, err = pgx.ForEachRow(rows, []any{&about, &what}, func() error {
		all[about] = what
		return nil
	})
	return all, err
}

// differences returns what is not as it was, and the users whose sessions still have the rights from before.
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
		if words[0] == "login" || words[0] == "membership" {
			if name := words[2]; user.MatchString(name) && !slices.Contains(affected, name) {
				affected = append(affected, name)
			}
		}
	}
	return changed, affected
}

// givePassword sees to it that a service can log in with what is in its secret. It returns the user, if it had to be given a password.
func (f *function) givePassword(ctx context.Context, conn *pgx.Conn, service, secret string) (string, error) {
	c, _, err := f.read(ctx, secret, current, "")
	if errors.Is(err, errNoValue) {
		c = credentials{users(service)[0], newPassword()}
		err = f.write(ctx, secret, current, "", c)
	}
	if err != nil {
		return "", err
	}
	if !slices.Contains(users(service), c.Username) {
		return "", fmt.Errorf("secret %s: want username %s, have %q", secret, strings.Join(users(service), " or "), c.Username)
	}
	ok, err := f.logsIn(ctx, c)
	if ok || err != nil && !full(err) {
		return "", err
	}
	// Where a user has all its sessions open, nobody can tell whether the password is right. Then it is set again, which harms nobody.
	if err := setPassword(ctx, conn, c); err != nil {
		return "", err
	}
	if ok, err := f.logsIn(ctx, c); !ok && !full(err) {
		return "", errors.Join(err, fmt.Errorf("%s cannot log in with the password in its secret", c.Username))
	}
	return c.Username, nil
}

func list(ctx context.Context, tx pgx.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
