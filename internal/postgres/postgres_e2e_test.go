//go:build e2e

package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Nobody who starts a server can leave it, or its data, behind.
func TestServerStopsWithThePipeAndDeletesItsData(t *testing.T) {
	s, stop := start(t, DefaultMajor, Options{})
	stop()
	ended(t, s)
}

// ended checks that a server stops and deletes its data.
func ended(t *testing.T, s *Server) {
	t.Helper()
	for range 100 {
		if _, err := os.Stat(filepath.Dir(s.CA)); os.IsNotExist(err) {
			if _, err := s.Connect(t.Context(), s.Master, s.Database); err == nil {
				t.Error("it still answers")
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("its data is still there")
}

// On each major version, the master user is what RDS's master user is.
func TestMasterUserIsThatOfRDS(t *testing.T) {
	for _, major := range Majors {
		for _, adminOwnsPublic := range []bool{false, true} {
			t.Run(strconv.Itoa(major)+" "+strconv.FormatBool(adminOwnsPublic), func(t *testing.T) {
				t.Parallel()
				s, _ := start(t, major, Options{AdminOwnsPublic: adminOwnsPublic})
				conn, err := s.Connect(t.Context(), s.Master, s.Database)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(t.Context())
				for question, want := range map[string]string{
					"SELECT current_setting('server_version_num')::int / 10000": strconv.Itoa(major),
					"SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls) " +
						"FROM pg_roles WHERE rolname = current_user": "f t t f f",
					"SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database " +
						"WHERE pg_has_role(datdba, 'member')": "app postgres template1",
					"SELECT pg_has_role(nspowner, 'member') FROM pg_namespace " +
						"WHERE nspname = 'public'": strconv.FormatBool(!adminOwnsPublic),
					"SELECT pg_has_role('pg_signal_backend', 'usage')": "true",
				} {
					if have := ask(t, conn, question); have != want {
						t.Errorf("%s: want %q, have %q", question, want, have)
					}
				}
			})
		}
	}
}

// An upgrade keeps the data, the users and the way to the server, as on RDS.
func TestUpgradeKeepsDataAndUsers(t *testing.T) {
	for _, major := range []int{14, 15} {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			upgrade, err := PrepareUpgrade(t.Context(), os.Stdout)
			if errors.Is(err, ErrPlatform) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, stop := start(t, major, Options{})
			conn, err := s.Connect(t.Context(), s.Master, s.Database)
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				"CREATE TABLE kept AS SELECT 42 AS answer",
				"CREATE ROLE service LOGIN PASSWORD 'secret'",
				"GRANT CONNECT ON DATABASE app TO service",
				"GRANT SELECT ON kept TO service",
			} {
				if _, err := conn.Exec(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			conn.Close(t.Context())
			if err := upgrade.Run(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			conn, err = s.Connect(t.Context(), User{"service", "secret"}, s.Database)
			if err != nil {
				t.Fatal(err)
			}
			for question, want := range map[string]string{
				"SELECT current_setting('server_version_num')::int / 10000": "17",
				"SELECT answer FROM kept":                                   "42",
			} {
				if have := ask(t, conn, question); have != want {
					t.Errorf("%s: want %q, have %q", question, want, have)
				}
			}
			conn.Close(t.Context())
			stop()
			ended(t, s)
		})
	}
}

// start starts a server that stops with the test.
func start(t *testing.T, major int, o Options) (s *Server, stop func()) {
	t.Helper()
	p, err := PrepareMajor(t.Context(), os.Stdout, major)
	if errors.Is(err, ErrPlatform) {
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
	t.Cleanup(func() { lifeline.Close() })
	o.Names, o.Database, o.Alive = []string{"db.example"}, "app", alive
	if s, err = p.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return s, func() { lifeline.Close() }
}

func ask(t *testing.T, conn *pgx.Conn, question string) string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT answer::text FROM ("+question+") AS question (answer)")
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	answer, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", question, err)
	}
	return answer
}
