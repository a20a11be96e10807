//go:build e2e

package config

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"platform/internal/golden"
	"platform/internal/postgres"
)

// The list of static parameters is what a server of each major version says.
func TestStaticParametersAreThoseOfPostgreSQL(t *testing.T) {
	versions := map[string][]string{}
	for _, major := range postgres.Majors {
		for _, name := range parametersOfStart(t, major) {
			versions[name] = append(versions[name], strconv.Itoa(major))
		}
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		text.WriteString(name + " " + strings.Join(versions[name], " ") + "\n")
	}
	if *golden.Update {
		if err := os.WriteFile("static_parameters.txt", []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if difference := golden.FirstDifference(staticParametersText, text.String()); difference != "" {
		t.Error(difference)
	}
}

// parametersOfStart returns the parameters that a server reads when it starts only.
func parametersOfStart(t *testing.T, major int) []string {
	t.Helper()
	installed, err := postgres.PrepareMajor(t.Context(), os.Stdout, major)
	if errors.Is(err, postgres.ErrPlatform) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	alive, lifeline, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	defer lifeline.Close()
	server, err := installed.Start(t.Context(), postgres.Options{
		Names: []string{"db.example"}, Database: "app", Alive: alive,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(t.Context(), server.Admin, server.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT name FROM pg_settings WHERE context = 'postmaster'")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}
