package postgres

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a test or the emulator can start is what a configuration can name.
func TestMajorsAreThoseOfTheSettings(t *testing.T) {
	text, err := os.ReadFile("../../config/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Database struct {
				Properties struct {
					Version struct{ Enum []string }
				}
			}
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	have := []string{""} // the default
	for _, major := range Majors {
		have = append(have, strconv.Itoa(major))
	}
	if want := schema.Properties.Database.Properties.Version.Enum; !slices.Equal(have, want) {
		t.Errorf("Majors: want those of database.version, %q, have %q", want, have)
	}
}

func TestPackagesArePinned(t *testing.T) {
	for _, major := range Majors {
		files, err := packageFiles(major)
		if err != nil {
			t.Fatal(err)
		}
		var manifest struct{ OptionalDependencies map[string]string }
		var lock struct {
			Packages map[string]struct{ Version, Integrity, Resolved string }
		}
		if err := json.Unmarshal(files["package.json"], &manifest); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(files["package-lock.json"], &lock); err != nil {
			t.Fatal(err)
		}
		delete(lock.Packages, "")
		locked := map[string]string{}
		for path, p := range lock.Packages {
			locked[strings.TrimPrefix(path, "node_modules/")] = p.Version
			if !strings.HasPrefix(p.Integrity, "sha512-") || p.Resolved != "" ||
				!strings.HasPrefix(p.Version, strconv.Itoa(major)+".") {
				t.Errorf("%d: %s: want a version of it, a hash and no address, have %+v", major, path, p)
			}
		}
		if len(locked) == 0 || !maps.Equal(manifest.OptionalDependencies, locked) {
			t.Errorf("%d: want in package-lock.json what package.json names, %v, have %v",
				major, manifest.OptionalDependencies, locked)
		}
	}
}
