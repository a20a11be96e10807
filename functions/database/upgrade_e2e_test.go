//go:build e2e

package main

import (
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"platform/internal/postgres"
)

// RDS upgrades a database with pg_upgrade. Since PostgreSQL 16, a user with CREATEROLE administers
// only roles of which it has ADMIN OPTION. Creating a role grants that since 16 only, and
// pg_upgrade does not add it. It also makes the superuser the grantor of all memberships, and since
// 16 only the grantor, or a member of it, can revoke a membership.
func TestFunctionWorksAfterAMajorUpgrade(t *testing.T) {
	t.Parallel()
	for _, major := range []int{14, 15} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			functionWorksAfterAMajorUpgrade(t, major)
		})
	}
}

func functionWorksAfterAMajorUpgrade(t *testing.T, major int) {
	upgrade, err := postgres.PrepareUpgrade(t.Context(), os.Stdout)
	if errors.Is(err, postgres.ErrPlatform) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := newFixture(t, major)
	h.set("web", "owner")
	h.set("api", "write")
	h.set("job", "owner")
	h.set("old", "write")
	h.setIn("reports", "maker", "owner")
	h.setIn("reports", "loader", "write")
	h.setIn("reports", "mover", "write")
	h.setPlatform()
	h.run()
	h.do(h.service("web"), "CREATE TABLE orders (id int)")
	h.do(h.service("maker"), "CREATE TABLE sales (id int)")
	h.do(h.service("mover"), "SELECT lo_from_bytea(7, 'large')")
	h.do(h.service("job"), "CREATE TABLE bills (id int)")
	h.nothingToDo()

	if err := upgrade.Run(t.Context(), h.postgres); err != nil {
		t.Fatal(err)
	}

	h.run()
	h.nothingToDo()
	h.do(h.service("web"), "ALTER TABLE bills ADD COLUMN more int")
	h.do(h.service("api"), "INSERT INTO orders VALUES (1)")

	// Two rotations, so that both users get another password.
	for n := range 2 {
		before := h.credentials("web")
		for _, step := range rotationSteps {
			if err := h.step(t.Context(), h.function, step, token(n)); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
		}
		if after := h.credentials("web"); after.Name == before.Name {
			t.Errorf("rotation %d: want the other user, have %s again", n, after.Name)
		}
		h.do(h.service("web"), "INSERT INTO orders VALUES (2)")
		h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'service_web_%'")
		for h.admin("SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'service_web_%'")[0] != "0" {
			time.Sleep(10 * time.Millisecond)
		}
	}

	h.set("new", "read")
	h.run()
	h.do(h.service("new"), "SELECT * FROM orders")

	h.set("new", "write")
	h.set("api", "read")
	h.set("job", "read")
	h.run()
	h.do(h.service("new"), "INSERT INTO orders VALUES (3)")
	for service, statement := range map[string]string{
		"api": "INSERT INTO orders VALUES (4)",
		"job": "DROP TABLE bills",
	} {
		conn := h.service(service)
		if state := h.try(conn, statement); state != "42501" {
			t.Errorf("%s, a reader now: %s: want 42501, have %q", service, statement, state)
		}
		h.do(conn, "SELECT * FROM orders, bills")
	}

	// Also in another database, where a role has objects, and to another one.
	h.do(h.service("loader"), "INSERT INTO sales VALUES (1)")
	h.set("loader", "read")
	h.setIn("", "mover", "read")
	h.setIn("third", "maker", "owner")
	h.run()
	loader := h.service("loader")
	h.do(loader, "SELECT * FROM sales")
	if state := h.try(loader, "INSERT INTO sales VALUES (1)"); state != "42501" {
		t.Errorf("a reader of reports: want 42501, have %q", state)
	}
	h.do(h.service("mover"), "SELECT * FROM orders")
	h.shut("mover", "reports")
	h.do(h.service("maker"), "CREATE TABLE sales (id int)")
	h.shut("maker", "reports", h.postgres.Database)
	dump := h.session(h.credentials("platform_dump"), "reports", "-c role=platform_owner_reports")
	h.do(dump, "SELECT lo_get(7) FROM sales")
	h.nothingToDo()

	lost := h.credentials("old")
	h.unset("old")
	_, err = h.postgres.Connect(t.Context(), lost, h.postgres.Database)
	if state := sqlState(err); state != "28000" && state != "28P01" {
		t.Errorf("a service that was removed logs in: %v", err)
	}
	h.nothingToDo()
}
