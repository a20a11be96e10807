//go:build e2e

package main

import (
	"strings"
	"testing"

	"platform/internal/postgres"
)

// Where the schema public belongs to a superuser, PostgreSQL answers the function's GRANT and
// REVOKE with a warning and does nothing. The function must not report success then.
func TestSchemaOfASuperuserIsReported(t *testing.T) { onEachMajor(t, schemaOfASuperuserIsReported) }

func schemaOfASuperuserIsReported(t *testing.T, major int) {
	h := fixtureOn(t, startPostgres(t, major, postgres.Options{AdminOwnsPublic: true}))
	h.set("web", "owner")
	h.set("api", "read")
	for range 2 { // also when there is nothing to change
		_, err := h.function.handle(t.Context(), h.event())
		if err == nil || !strings.Contains(err.Error(), "SCHEMA public") {
			t.Errorf("want an error with the statement to run on the schema public, have %v", err)
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
