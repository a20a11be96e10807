package config

import (
	"reflect"
	"testing"
)

// A restore is of the database's version and protected, unless the file says otherwise.
func TestRestoreHasTheVersionOfTheDatabaseByDefault(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", minimal+`
database:
  version: '16'
  restores:
    one: {snapshot: x}
    two: {snapshot: y, version: '15', protected: false}
`)
	want := map[string]Restore{
		"one": {Snapshot: "x", Version: "16", Protected: true},
		"two": {Snapshot: "y", Version: "15", Protected: false},
	}
	if got := cfg.Database.Restores; !reflect.DeepEqual(got, want) {
		t.Errorf("are %+v, want %+v", got, want)
	}
}
