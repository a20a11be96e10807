package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// handOver gives objects their right owner. In the main database:
//
//   - What the master user created in the schema public, and its large objects, get platform_owner:
//     services created them with the master user's password, before they had users of their own, or
//     a person did, or a restore.
//   - What a service's user owns in its own name gets the role that the service works as. Services of
//     earlier versions created it, or one that runs SET ROLE NONE.
//   - What a service's role owns gets platform_owner, if owner is the service's level, or if the service
//     uses another database now.
//   - What the owner of another database owns gets platform_owner, and the rights of the other levels of
//     that database become those of the levels here. A restore of that one's dump created it.
//
// In a further database, its own owner takes the place of platform_owner.
//
// Each object has a transaction of its own, which waits only briefly for other sessions: a session
// that waits for a table blocks all later ones. What is in use is tried again for some time, and then
// by a later run: that is no error. Objects that stay with the master user are reported.
func (f *function) handOver(ctx context.Context, sessions []session, known facts, out *result) error {
	h := &handOver{function: f, sessions: sessions, known: known, refused: map[string]bool{}}
	if err := h.find(ctx); err != nil {
		return err
	}
	h.end = f.end(ctx)
	if last := time.Now().Add(f.limits.handOver); last.Before(h.end) {
		h.end = last
	}
	err := f.repeat(ctx, h.end, busyObjects, func() error { return h.tryAll(ctx) })
	if busyObjects(err) {
		err = nil
	}
	if err == nil && h.more && ctx.Err() == nil {
		err = h.find(ctx) // what is left
	}
	out.Kept = append(out.Kept, h.kept...)
	out.Changed = append(out.Changed, h.changed...)
	out.Problems = append(out.Problems, h.failed...)
	if len(h.failed) > 0 {
		out.failed = fmt.Errorf("%d objects cannot be handed over: %s", len(h.failed), h.failed[0])
	}
	for _, o := range h.todo {
		out.InUse = append(out.InUse, o.description)
	}
	if h.more {
		out.InUse = append(out.InUse, "more objects: this run had no time for them; the next run continues")
	}
	return err
}

// handOver is a hand-over of objects.
type handOver struct {
	*function
	sessions []session
	known    facts
	end      time.Time

	todo []object
	kept []string // what stays with the master user
	more bool     // there can be more objects than those that were read

	changed []string        // whose owner changed
	failed  []string        // what cannot be handed over, and why
	refused map[string]bool // the keys of these objects
}

// object is an object that belongs to somebody else than it should.
type object struct {
	description string   // such as "table orders"
	statements  []string // that hand it over
	moves       bool     // its owner changes, and not only rights
	conn        *pgx.Conn
}

// key distinguishes an object from all others.
func (o object) key() string { return o.description + ": " + strings.Join(o.statements, ";") }

var errInUse = errors.New("some objects are in use")

func busyObjects(err error) bool { return errors.Is(err, errInUse) }

// find reads the objects to hand over, at most limits.objects of each database.
func (h *handOver) find(ctx context.Context) error {
	h.todo, h.kept, h.more = nil, nil, false
	for _, s := range h.sessions {
		if err := h.findIn(ctx, s); err != nil {
			return err
		}
	}
	h.todo = slices.DeleteFunc(h.todo, func(o object) bool { return h.refused[o.key()] })
	return nil
}

// tryAll tries each object once. It reads the next ones as long as there are more and some of those that
// were read are handed over, so that they are not read again.
func (h *handOver) tryAll(ctx context.Context) error {
	for {
		before := len(h.changed)
		err := h.try(ctx)
		if !h.more || len(h.changed) == before || err != nil && !busyObjects(err) || time.Now().After(h.end) {
			return err
		}
		if err := h.find(ctx); err != nil {
			return err
		}
	}
}

// try tries each object once. Those that are in use remain to be done.
func (h *handOver) try(ctx context.Context) error {
	todo := h.todo
	h.todo = nil
	for i, o := range todo {
		if time.Now().After(h.end) {
			h.todo = append(h.todo, todo[i:]...)
			break
		}
		// One message, which PostgreSQL executes as one transaction.
		err := o.conn.PgConn().Exec(ctx, strings.Join(o.statements, ";")).Close()
		switch state := sqlState(err); {
		case err == nil:
			if o.moves {
				h.changed = append(h.changed, "owner of "+o.description)
			}
		case state == "55P03", state[:min(2, len(state))] == "40", state == "XX000":
			h.todo = append(h.todo, o) // no lock; a deadlock or another conflict with somebody's change
		case state == "" || state[:2] == "57": // the connection broke, or the server stops
			return err
		case slices.Contains([]string{"42704", "42P01", "42883", "3F000"}, state): // it was dropped meanwhile
		default:
			h.refused[o.key()] = true
			h.failed = append(h.failed, fmt.Sprintf("%s: %v", o.description, err))
		}
	}
	if len(h.todo) > 0 {
		return errInUse
	}
	return nil
}

// owned is an object and its owner.
type owned struct {
	kind, schema, identity, owner, description string

	serial bool     // a sequence that belongs to a column
	rights []string // of the levels of another database, if its owner owns the object: right and role
}

// findIn reads the objects of one database to hand over, and what stays with the master user.
func (h *handOver) findIn(ctx context.Context, s session) error {
	_, err := s.conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = '%dms'", h.limits.lock.Milliseconds()))
	if err != nil {
		return err
	}
	policies, err := h.known.policies(ctx, s)
	if err != nil {
		return err
	}
	defaults, err := h.known.defaultPrivileges(ctx, s)
	if err != nil {
		return err
	}
	h.todo = slices.Concat(h.todo, policies, defaults)
	all, err := h.owned(ctx, s, h.known)
	if err != nil {
		return err
	}
	h.more = h.more || len(all) == h.limits.objects
	for _, o := range all {
		target := h.rightOwner(o, s.database, h.known.master)
		if target == o.owner {
			if o.owner == h.known.master && o.reported() {
				h.kept = append(h.kept, o.description+s.in())
			}
		} else if statements := o.handOver(target, s.database); len(statements) > 0 {
			h.todo = append(h.todo, object{o.description + s.in(), statements, !o.serial, s.conn})
		}
	}
	return nil
}

// owned returns the objects of a database whose owner may be a wrong one, at most limits.objects.
//
// pg_shdepend names all objects of a role, whatever their kind. What belongs to an extension stays
// with it. An identity's sequence and a range's multirange change owner with the object they belong
// to. A table's new owner needs rights in its schema; and a sequence that belongs to a column gets its
// rights right before the table, which takes it along.
func (f *function) owned(ctx context.Context, s session, known facts) ([]owned, error) {
	owners, err := f.wrongOwners(ctx, s)
	if err != nil {
		return nil, err
	}
	strangers := known.strangers(s.database)
	rows, err := s.conn.Query(ctx, `
		SELECT i.type, coalesce(i.schema, ''), i.identity, d.rolname,
			coalesce(pg_describe_object(d.classid, d.objid, 0), i.identity),
			serial.of IS NOT NULL,
			ARRAY(SELECT DISTINCT a.privilege_type || r.part || ' ' || l.rolname
				FROM (`+rightsOn+`) r, aclexplode(r.acl) a JOIN pg_roles l ON l.oid = a.grantee
				WHERE d.rolname = ANY($3) AND l.rolname = ANY($3) AND l.rolname <> d.rolname)
		FROM (SELECT * FROM pg_shdepend JOIN pg_roles o ON o.oid = refobjid
			WHERE deptype = 'o' AND refclassid = 'pg_authid'::regclass
				AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND (o.rolname = current_user OR o.rolname = ANY($1))) d,
			pg_identify_object(d.classid, d.objid, 0) i,
			LATERAL (SELECT min(a.refobjid::bigint) AS of FROM pg_depend a
				WHERE d.classid = 'pg_class'::regclass AND a.classid = d.classid AND a.objid = d.objid
					AND a.deptype = 'a' AND a.refclassid = 'pg_class'::regclass AND a.refobjsubid > 0) serial
		WHERE i.identity IS NOT NULL -- NULL: dropped a moment ago
			AND (d.rolname = ANY($1) OR coalesce(i.schema, 'public') = 'public')
			AND coalesce(i.schema, '') !~ '^pg_temp'
			AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid
				AND e.objsubid = 0 AND e.deptype IN ('e', 'i'))
		ORDER BY i.type = 'large object', i.type <> 'schema', d.classid::regclass::text,
			coalesce(serial.of, d.objid::bigint), serial.of IS NULL, 2, 3
		LIMIT $2`, append(owners, strangers...), f.limits.objects, strangers)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o owned, err error) {
		return o, row.Scan(&o.kind, &o.schema, &o.identity, &o.owner, &o.description, &o.serial, &o.rights)
	})
}

// rightsOn is a query for the rights on the object d: a row for the object, and one for each column. A
// kind of object that is not here has no rights to grant.
const rightsOn = `
	SELECT relacl AS acl, '' AS part FROM pg_class WHERE d.classid = 'pg_class'::regclass AND oid = d.objid
	UNION ALL SELECT attacl, ' (' || quote_ident(attname) || ')' FROM pg_attribute
		WHERE d.classid = 'pg_class'::regclass AND attrelid = d.objid
	UNION ALL SELECT proacl, '' FROM pg_proc WHERE d.classid = 'pg_proc'::regclass AND oid = d.objid
	UNION ALL SELECT typacl, '' FROM pg_type WHERE d.classid = 'pg_type'::regclass AND oid = d.objid
	UNION ALL SELECT nspacl, '' FROM pg_namespace WHERE d.classid = 'pg_namespace'::regclass AND oid = d.objid
	UNION ALL SELECT lomacl, '' FROM pg_largeobject_metadata
		WHERE d.classid = 'pg_largeobject'::regclass AND oid = d.objid`

// wrongOwners returns the roles of services that should own nothing in a database: their users, and the
// role of a service whose level is owner, or that uses another database.
func (f *function) wrongOwners(ctx context.Context, s session) ([]string, error) {
	names, err := list(ctx, s.conn, `SELECT rolname FROM pg_roles
		WHERE rolname ~ $1 AND shobj_description(oid, 'pg_authid') LIKE $2`, servicesRoles, mark+"%")
	return slices.DeleteFunc(names, func(name string) bool {
		service, group := serviceOfGroup(name)
		if !group {
			service, _, _ = usersOf(name)
		}
		if _, kept := f.settings.kept[service]; kept {
			return true
		}
		configured, ok := f.settings.services[service]
		return group && (!ok || configured.Database == s.of && !configured.ownsAsOwner())
	}), err
}

// policies returns the policies of row-level security for levels of another database: a restore of that
// one's dump created them. They become those of the levels of this database.
func (r *facts) policies(ctx context.Context, s session) ([]object, error) {
	strangers := r.strangers(s.database)
	if len(strangers) == 0 {
		return nil, nil
	}
	own := make([]string, len(strangers))
	for i, role := range strangers {
		level, _, _ := parseLevel(role)
		own[i] = s.role(level)
	}
	rows, err := s.conn.Query(ctx, `
		SELECT pg_describe_object('pg_policy'::regclass, p.oid, 0),
			format('ALTER POLICY %I ON %s TO %s', p.polname, p.polrelid::regclass,
				string_agg(DISTINCT coalesce(quote_ident(t.own), quote_ident(a.rolname), 'PUBLIC'), ', '))
		FROM pg_policy p CROSS JOIN unnest(p.polroles) u LEFT JOIN pg_roles a ON a.oid = u
			LEFT JOIN unnest($1::text[], $2::text[]) t (role, own) ON t.role = a.rolname
		GROUP BY p.oid, p.polname, p.polrelid HAVING bool_or(t.own IS NOT NULL) ORDER BY 1`, strangers, own)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (object, error) {
		var description, statement string
		err := row.Scan(&description, &statement)
		return object{description + s.in(), []string{statement}, false, s.conn}, err
	})
}

// handedOver has the kinds of objects that can be given to another role, as pg_identify_object names
// them, with the noun of the statement that does it.
var handedOver = map[string]string{
	"aggregate":                 "ROUTINE",
	"collation":                 "COLLATION",
	"conversion":                "CONVERSION",
	"foreign table":             "FOREIGN TABLE",
	"function":                  "ROUTINE",
	"large object":              "LARGE OBJECT",
	"materialized view":         "MATERIALIZED VIEW",
	"operator":                  "OPERATOR",
	"procedure":                 "ROUTINE",
	"schema":                    "SCHEMA",
	"sequence":                  "SEQUENCE",
	"statistics object":         "STATISTICS",
	"table":                     "TABLE",
	"text search configuration": "TEXT SEARCH CONFIGURATION",
	"text search dictionary":    "TEXT SEARCH DICTIONARY",
	"type":                      "TYPE",
	"view":                      "VIEW",
}

// defaultKinds are the kinds of objects that default privileges are about, by their letter in
// pg_default_acl.
var defaultKinds = map[string]string{
	"L": "LARGE OBJECTS", "S": "SEQUENCES", "T": "TYPES", "f": "FUNCTIONS", "n": "SCHEMAS", "r": "TABLES",
}

// defaultPrivileges returns the default privileges of the owner of another database, which end: its role
// creates nothing here any more, and could not be dropped.
func (r *facts) defaultPrivileges(ctx context.Context, s session) ([]object, error) {
	strangers := r.strangers(s.database)
	if len(strangers) == 0 {
		return nil, nil
	}
	rows, err := s.conn.Query(ctx, `SELECT o.rolname, d.defaclobjtype::text, ARRAY(SELECT DISTINCT g.rolname::text
			FROM aclexplode(d.defaclacl) a JOIN pg_roles g ON g.oid = a.grantee
			WHERE g.rolname = ANY($1) AND g.oid <> o.oid)
		FROM pg_default_acl d JOIN pg_roles o ON o.oid = d.defaclrole
		WHERE d.defaclnamespace = 0 AND o.rolname = ANY($1) ORDER BY 1, 2`, strangers)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (object, error) {
		var owner, letter string
		var grantees []string
		err := row.Scan(&owner, &letter, &grantees)
		kind := defaultKinds[letter]
		begin := "ALTER DEFAULT PRIVILEGES FOR ROLE " + quoted(owner) + " "
		var end statements // none if there is nothing to end
		for _, grantee := range grantees {
			end.add(begin+"REVOKE ALL ON %s FROM %s", kind, quoted(grantee))
		}
		if len(end) > 0 && (kind == "FUNCTIONS" || kind == "TYPES") { // PostgreSQL's own default
			end.add(begin+"GRANT ALL ON %s TO PUBLIC", kind)
		}
		return object{"default rights of " + owner + s.in(), end, false, s.conn}, err
	})
	return slices.DeleteFunc(all, func(o object) bool { return len(o.statements) == 0 }), err
}

// rightOwner returns who an object in a database should belong to: its owner, if it cannot be handed
// over.
func (f *function) rightOwner(o owned, in database, master string) string {
	if handedOver[o.kind] == "" {
		return o.owner
	}
	if o.owner == master {
		if o.schema == "public" || o.kind == "large object" {
			return in.role("owner")
		}
		return o.owner
	}
	service, _, err := usersOf(o.owner)
	if err != nil {
		group := false
		if service, group = serviceOfGroup(o.owner); !group {
			return in.role("owner") // of the owner of another database
		}
	}
	s, configured := f.settings.services[service]
	switch {
	case configured && s.Database == in.of:
		return workingRole(service, s)
	case configured || err == nil:
		return in.role("owner")
	}
	return o.owner // a removed service's own: it can come back
}

// reported tells whether an object of the master user is worth reporting: nothing about a schema of
// its own but the schema, and no default privileges.
func (o owned) reported() bool {
	return (o.schema == "" || o.schema == "public") && o.kind != "default acl" && o.identity != "public"
}

// handOver returns the statements that give an object to another role. A sequence that belongs to a
// column goes with the table, except for its rights. Functions and types need no grant, because
// PUBLIC has rights on them by default.
func (o owned) handOver(target string, in database) []string {
	noun := handedOver[o.kind]
	var s statements
	if !o.serial {
		s.add("ALTER %s %s OWNER TO %s", noun, o.identity, quoted(target))
	}
	if target != in.role("owner") {
		return s
	}
	if _, _, level := parseLevel(o.owner); level {
		o.translate(&s, in)
		return s
	}
	read, write := quoted(in.role("read")), quoted(in.role("write"))
	switch noun {
	case "SEQUENCE":
		s.add("GRANT SELECT ON SEQUENCE %s TO %s, %s", o.identity, read, write)
		s.add("GRANT USAGE ON SEQUENCE %s TO %s", o.identity, write)
	case "LARGE OBJECT":
		s.add("GRANT SELECT ON LARGE OBJECT %s TO %s, %s", o.identity, read, write)
		s.add("GRANT UPDATE ON LARGE OBJECT %s TO %s", o.identity, write)
	case "SCHEMA":
		s.add("GRANT USAGE ON SCHEMA %s TO %s, %s", o.identity, read, write)
	case "TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE":
		s.add("GRANT SELECT ON %s TO %s, %s", o.identity, read, write)
		s.add("GRANT INSERT, UPDATE, DELETE ON %s TO %s", o.identity, write)
	}
	return s
}

// translate adds the statements that give the levels of a database the rights that those of another one
// have on an object, and nobody else: what was denied to a level stays denied.
func (o owned) translate(s *statements, in database) {
	noun := handedOver[o.kind]
	if strings.HasSuffix(noun, "VIEW") || noun == "FOREIGN TABLE" {
		noun = "TABLE"
	}
	_, of, _ := parseLevel(o.owner)
	var others []string
	for _, text := range o.rights {
		space := strings.LastIndexByte(text, ' ')
		right, role := text[:space], text[space+1:]
		if level, from, _ := parseLevel(role); from == of && level != "owner" {
			s.add("GRANT %s ON %s %s TO %s", right, noun, o.identity, quoted(in.role(level)))
		}
		others = append(others, quoted(role))
	}
	slices.Sort(others)
	if others = slices.Compact(others); len(others) > 0 {
		s.add("REVOKE ALL ON %s %s FROM %s", noun, o.identity, strings.Join(others, ", "))
	}
}
