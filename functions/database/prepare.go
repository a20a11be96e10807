package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// databaseName is what the name of a database to restore into may be.
var databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// mayBeCreated tells whether a database that this function creates may have a name.
func mayBeCreated(name string) bool {
	reserved := []string{lockDatabase, "template0", "template1", "rdsadmin"}
	return databaseName.MatchString(name) && !strings.HasPrefix(name, "pg_") && !slices.Contains(reserved, name)
}

// databaseComment marks a database that this function created for a restore.
const databaseComment = "Made by the platform to restore a dump"

// prepare creates an empty database beside those of services: with the rights, the default privileges
// and the extensions of one of them. like names it; "" is the main one. A restore fills the new database
// as the owner of that one, who can create neither a database nor every extension. A database that
// prepare created before is corrected; any other is refused.
func (f *function) prepare(ctx context.Context, name, like string) (result, error) {
	var out result
	model, err := f.settings.find(like)
	if err != nil {
		return out, fmt.Errorf("event: like: %w", err)
	}
	if _, err := f.settings.find(name); err == nil {
		return out, fmt.Errorf("event: database: want another name than that of the services' databases, have %q", name)
	}
	err = f.persist(ctx, func() error { return f.prepareOnce(ctx, database{name, model.of}, model, &out) })
	return out, err
}

func (f *function) prepareOnce(ctx context.Context, made, model database, out *result) error {
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer func() { master.close(ctx) }()
	sessions, unusable, err := f.openDatabases(ctx, &master, out)
	if err != nil {
		return err
	}
	from := slices.IndexFunc(sessions, func(s session) bool { return s.database == model })
	if from < 0 {
		return unusable
	}
	known, refused, err := f.within(sessions).putRolesRight(ctx, master.services, out)
	if err != nil {
		return err
	}
	if err := restoreDatabase(ctx, master.lock, made.name, out); err != nil {
		return err
	}
	to, err := f.connect(ctx, master.login, made.name)
	if err != nil {
		return err
	}
	defer func() { _ = to.Close(context.WithoutCancel(ctx)) }()
	// The extensions come first. The master user executes their scripts, and nobody else may have created
	// anything in the database that these would use.
	if err := copyExtensions(ctx, sessions[from].conn, session{made, to}, out); err != nil {
		return errors.Join(refused, err)
	}
	return errors.Join(refused, known.putRightsRight(ctx, session{made, to}, out))
}

// restoreDatabase creates a database for a restore, unless it exists.
func restoreDatabase(ctx context.Context, conn *pgx.Conn, name string, out *result) error {
	found, err := list(ctx, conn, `SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database
		WHERE datname = $1`, name)
	if err != nil {
		return err
	}
	if len(found) > 0 && found[0] != databaseComment {
		return fmt.Errorf("database %s exists, and this function did not create it for a restore: choose another name",
			name)
	}
	if len(found) > 0 {
		return completeDatabase(ctx, conn, name, databaseComment)
	}
	return createDatabase(ctx, conn, name, databaseComment, out)
}

// createDatabase creates a database with a comment and without rights for PUBLIC. Nobody can connect to
// it before those are revoked: a session that begins earlier would stay.
func createDatabase(ctx context.Context, conn *pgx.Conn, name, mark string, out *result) error {
	err := execute(ctx, conn, "CREATE DATABASE "+quoted(name)+" ALLOW_CONNECTIONS false")
	if sqlState(err) == objectInUse { // a session in template1, which is copied
		return passing{err}
	}
	if err != nil {
		return err
	}
	out.Changed = append(out.Changed, "database "+name)
	return completeDatabase(ctx, conn, name, mark)
}

// completeDatabase does the rest of createDatabase, which can have been interrupted.
func completeDatabase(ctx context.Context, conn *pgx.Conn, name, mark string) error {
	for _, statement := range []string{
		"COMMENT ON DATABASE " + quoted(name) + " IS " + literal(mark),
		"REVOKE ALL ON DATABASE " + quoted(name) + " FROM PUBLIC",
		"ALTER DATABASE " + quoted(name) + " ALLOW_CONNECTIONS true",
	} {
		if err := execute(ctx, conn, statement); err != nil {
			return err
		}
	}
	return nil
}

const objectInUse = "55006"

// copyExtensions creates in a database the extensions that another one has. One that the server does
// not create a second time, such as pg_cron, is a problem in the result: nothing of it is restored.
func copyExtensions(ctx context.Context, from *pgx.Conn, to session, out *result) error {
	rows, err := from.Query(ctx, `SELECT extname, nspname FROM pg_extension
		JOIN pg_namespace n ON n.oid = extnamespace WHERE extname <> 'plpgsql' ORDER BY 1`)
	if err != nil {
		return err
	}
	type extension struct{ name, schema string }
	extensions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e extension, err error) {
		return e, row.Scan(&e.name, &e.schema)
	})
	if err != nil {
		return err
	}
	for _, e := range extensions {
		var s statements
		if e.schema != "pg_catalog" {
			s.add("CREATE SCHEMA IF NOT EXISTS %s", quoted(e.schema))
			if e.schema != "public" {
				s.add("ALTER SCHEMA %s OWNER TO %s", quoted(e.schema), quoted(to.role("owner")))
			}
		}
		for _, statement := range s {
			if err := execute(ctx, to.conn, statement); err != nil {
				return err
			}
		}
		create := fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s SCHEMA %s CASCADE", quoted(e.name), quoted(e.schema))
		_, err := to.conn.Exec(ctx, create)
		if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && !to.conn.IsClosed() {
			out.Problems = append(out.Problems, "extension "+e.name+" was not created: "+refused.Message)
		} else if err != nil {
			return fmt.Errorf("%s: %w", create, err)
		}
	}
	return nil
}
