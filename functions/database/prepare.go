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

// databaseComment marks a database that this function created.
const databaseComment = "Made by the platform to restore a dump"

// prepare creates an empty database beside the services' one: with the rights, the default privileges
// and the extensions of the services' database. A restore fills it as platform_owner, which can create
// neither a database nor every extension. A database that this function created before is corrected;
// any other is refused.
func (f *function) prepare(ctx context.Context, name string) (result, error) {
	var out result
	if name == f.settings.database {
		return out, fmt.Errorf("event: database: want another name than that of the services' database, have %q", name)
	}
	err := f.persist(ctx, func() error { return f.prepareOnce(ctx, name, &out) })
	return out, err
}

func (f *function) prepareOnce(ctx context.Context, name string, out *result) error {
	master, err := f.connectAsMaster(ctx)
	if err != nil {
		return err
	}
	defer master.close(ctx)
	if err := createDatabase(ctx, master.lock, name, out); err != nil {
		return err
	}
	conn, err := f.connect(ctx, master.login, name)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	inNew := *f
	inNew.settings.database = name
	refused, err := inNew.putRolesRight(ctx, conn, out)
	if err != nil {
		return err
	}
	return errors.Join(refused, copyExtensions(ctx, master.services, conn, out))
}

// createDatabase creates a database without rights for PUBLIC, unless it exists.
func createDatabase(ctx context.Context, conn *pgx.Conn, name string, out *result) error {
	found, err := list(ctx, conn, `SELECT coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database
		WHERE datname = $1`, name)
	if err != nil {
		return err
	}
	if len(found) > 0 && found[0] != databaseComment {
		return fmt.Errorf("database %s exists, and this function did not create it: choose another name", name)
	}
	statements := []string{"REVOKE ALL ON DATABASE " + quoted(name) + " FROM PUBLIC"}
	if len(found) == 0 {
		out.Changed = append(out.Changed, "database "+name)
		statements = []string{
			"CREATE DATABASE " + quoted(name),
			"COMMENT ON DATABASE " + quoted(name) + " IS " + literal(databaseComment),
			statements[0],
		}
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// copyExtensions creates in a database the extensions that another one has. One that the server does
// not create a second time, such as pg_cron, is a problem in the result: nothing of it is restored.
func copyExtensions(ctx context.Context, from, to *pgx.Conn, out *result) error {
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
				s.add("ALTER SCHEMA %s OWNER TO %s", quoted(e.schema), quoted(ownerRole))
			}
		}
		for _, statement := range s {
			if _, err := to.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		create := fmt.Sprintf("CREATE EXTENSION IF NOT EXISTS %s SCHEMA %s CASCADE", quoted(e.name), quoted(e.schema))
		_, err := to.Exec(ctx, create)
		if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) && !to.IsClosed() {
			out.Problems = append(out.Problems, "extension "+e.name+" was not created: "+refused.Message)
		} else if err != nil {
			return fmt.Errorf("%s: %w", create, err)
		}
	}
	return nil
}
