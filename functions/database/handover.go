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

// handOver gives objects their right owner:
//
//   - What the master user created in the schema public, and its large objects, get platform_owner:
//     services created them with the master user's password, before they had users of their own, or
//     a person did, or a restore.
//   - What a service's user owns in its own name gets the role that the service works as. Services of
//     earlier versions created it, or one that runs SET ROLE NONE.
//   - What a service's role owns gets platform_owner, if owner is the service's level.
//
// Each object has a transaction of its own, which waits only briefly for other sessions: a session
// that waits for a table blocks all later ones. What is in use is tried again for some time, and then
// by a later run: that is no error. Objects that stay with the master user are reported.
func (f *function) handOver(ctx context.Context, conn *pgx.Conn, out *result) error {
	if _, err := conn.Exec(ctx, fmt.Sprintf("SET lock_timeout = '%dms'", f.limits.lock.Milliseconds())); err != nil {
		return err
	}
	todo, kept, err := f.misplaced(ctx, conn)
	if err != nil {
		return err
	}
	end := f.end(ctx)
	if last := time.Now().Add(f.limits.handOver); last.Before(end) {
		end = last
	}
	h := &handOver{conn: conn, todo: todo, end: end}
	err = f.repeat(ctx, end, busyObjects, func() error { return h.try(ctx) })
	if busyObjects(err) {
		err = nil
	}
	out.Changed = append(out.Changed, h.changed...)
	out.Kept = append(out.Kept, kept...)
	out.Problems = append(out.Problems, h.failed...)
	if len(h.failed) > 0 {
		out.failed = fmt.Errorf("%d objects cannot be handed over: %s", len(h.failed), h.failed[0])
	}
	for _, o := range h.todo {
		out.InUse = append(out.InUse, o.description)
	}
	return err
}

// handOver is a hand-over of objects.
type handOver struct {
	conn *pgx.Conn
	end  time.Time
	todo []object

	changed []string // whose owner changed
	failed  []string // what cannot be handed over, and why
}

// object is an object that belongs to somebody else than it should.
type object struct {
	description string   // such as "table orders"
	statements  []string // that hand it over
	moves       bool     // its owner changes, and not only rights
}

var errInUse = errors.New("some objects are in use")

func busyObjects(err error) bool { return errors.Is(err, errInUse) }

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
		err := h.conn.PgConn().Exec(ctx, strings.Join(o.statements, ";")).Close()
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
	serial                                     bool // a sequence that belongs to a column
}

// mostObjects is how many objects are handed over in one run, so that neither memory nor time of the
// invocation depends on the size of the database.
const mostObjects = 10_000

// misplaced returns the objects to hand over, and what stays with the master user.
//
// pg_shdepend names all objects of a role, whatever their kind. What belongs to an extension stays
// with it. An identity's sequence and a range's multirange change owner with the object they belong
// to.
func (f *function) misplaced(ctx context.Context, conn *pgx.Conn) (todo []object, kept []string, err error) {
	var master string
	if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&master); err != nil {
		return nil, nil, err
	}
	owners, err := f.wrongOwners(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	rows, err := conn.Query(ctx, `
		SELECT i.type, coalesce(i.schema, ''), i.identity, d.rolname,
			coalesce(pg_describe_object(d.classid, d.objid, 0), i.identity),
			d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_depend a WHERE a.classid = d.classid
				AND a.objid = d.objid AND a.deptype = 'a' AND a.refclassid = 'pg_class'::regclass AND a.refobjsubid > 0)
		FROM (SELECT * FROM pg_shdepend JOIN pg_roles o ON o.oid = refobjid
			WHERE deptype = 'o' AND refclassid = 'pg_authid'::regclass
				AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND (o.rolname = current_user OR o.rolname = ANY($1))) d,
			pg_identify_object(d.classid, d.objid, 0) i
		WHERE i.identity IS NOT NULL -- NULL: dropped a moment ago
			AND (d.rolname = ANY($1) OR coalesce(i.schema, 'public') = 'public')
			AND coalesce(i.schema, '') !~ '^pg_temp'
			AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid
				AND e.objsubid = 0 AND e.deptype IN ('e', 'i'))
		ORDER BY i.type = 'large object', i.type <> 'schema', d.classid::regclass::text, 2, 3
		LIMIT $2`, owners, mostObjects) // a table's new owner needs rights in its schema
	if err != nil {
		return nil, nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o owned, err error) {
		return o, row.Scan(&o.kind, &o.schema, &o.identity, &o.owner, &o.description, &o.serial)
	})
	for _, o := range all {
		if target := f.rightOwner(o, master); target != o.owner {
			if moved := o.handOver(target); len(moved.statements) > 0 {
				todo = append(todo, moved)
			}
		} else if o.owner == master && o.reported() {
			kept = append(kept, o.description)
		}
	}
	return todo, kept, err
}

// wrongOwners returns the roles of services that should own nothing: their users, and the role of a
// service whose level is owner.
func (f *function) wrongOwners(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	names, err := list(ctx, conn, `SELECT rolname FROM pg_roles
		WHERE rolname ~ $1 AND shobj_description(oid, 'pg_authid') LIKE $2`, servicesRoles, mark+"%")
	return slices.DeleteFunc(names, func(name string) bool {
		service, group := serviceOfGroup(name)
		return group && !f.settings.services[service].ownsAsOwner()
	}), err
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

// rightOwner returns who an object should belong to: its owner, if it cannot be handed over.
func (f *function) rightOwner(o owned, master string) string {
	if handedOver[o.kind] == "" {
		return o.owner
	}
	if o.owner == master {
		if o.schema == "public" || o.kind == "large object" {
			return ownerRole
		}
		return o.owner
	}
	if name, _, err := usersOf(o.owner); err == nil {
		if s, configured := f.settings.services[name]; configured {
			return workingRole(name, s)
		}
		return ownerRole
	}
	name, _ := serviceOfGroup(o.owner)
	if s, configured := f.settings.services[name]; configured {
		return workingRole(name, s)
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
func (o owned) handOver(target string) object {
	noun := handedOver[o.kind]
	read, write := quoted(levelRole("read")), quoted(levelRole("write"))
	var s statements
	if !o.serial {
		s.add("ALTER %s %s OWNER TO %s", noun, o.identity, quoted(target))
	}
	if target == ownerRole {
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
	}
	return object{o.description, s, !o.serial}
}
