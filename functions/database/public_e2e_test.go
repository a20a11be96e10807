//go:build e2e

package main

import (
	"strings"
	"testing"

	"platform/internal/postgres"
)

// Where the schema public belongs to a superuser, PostgreSQL answers the function's GRANT and
// REVOKE with a warning and does nothing. The function must say what somebody has to run.
func TestSchemaOfASuperuserIsReported(t *testing.T) { onEachMajor(t, schemaOfASuperuserIsReported) }

func schemaOfASuperuserIsReported(t *testing.T, major int) {
	h := fixtureOn(t, startPostgres(t, major, postgres.Options{AdminOwnsPublic: true}))
	h.set("web", "owner")
	h.set("api", "read")
	for range 2 { // also when there is nothing to change
		problems := strings.Join(h.run().Problems, "\n")
		for _, statement := range []string{
			"REVOKE ALL ON SCHEMA public FROM PUBLIC", "GRANT CREATE ON SCHEMA public TO platform_owner",
		} {
			if !strings.Contains(problems, "run "+statement) {
				t.Errorf("want the statement %s, have %s", statement, problems)
			}
		}
	}
	h.admin("ALTER SCHEMA public OWNER TO " + h.postgres.Master.Name)
	h.run()
	h.nothingToDo()
	if state := h.try(h.service("api"), "CREATE TABLE public.readers (id int)"); state != "42501" {
		t.Errorf("a reader creates a table: want 42501, have %q", state)
	}
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	h.do(h.service("api"), "SELECT * FROM orders")
}
