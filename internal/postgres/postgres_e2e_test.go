//go:build e2e

package postgres

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Nobody who starts a server can leave it, or its data, behind.
func TestServerStopsWithThePipeAndDeletesItsData(t *testing.T) {
	p, err := Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	alive, lifeline, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	s, err := p.Start(t.Context(), Options{Names: []string{"db.example"}, Database: "app", Alive: alive})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context(), s.Master, s.Database)
	if err != nil {
		t.Fatal(err)
	}
	var super bool
	err = conn.QueryRow(t.Context(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super)
	if err != nil || super {
		t.Errorf("the master is a superuser: %t, %v", super, err)
	}
	lifeline.Close()
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
