package config

import (
	"strings"
	"testing"
)

// A key that the table names is no setting, is named once, and what it wants is a setting: in the
// section itself, in the section above, or at the top of the file.
func TestForeignKeysAreNoSettingsAndWantSome(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for path := range paths(parse(t, "test", full)) {
		known[serviceKey.ReplaceAllString(path, serviceSection)] = true
	}
	seen := map[string]bool{}
	for _, foreign := range foreignKeys {
		section := foreign.section
		if section != "" && !known[section] {
			t.Errorf("%s is no section", section)
		}
		for key := range strings.FieldsSeq(foreign.keys) {
			written := strings.TrimPrefix(section+"."+key, ".")
			path := plain(written)
			if known[written] {
				t.Errorf("%s is a setting", path)
			}
			if seen[path] {
				t.Errorf("%s is twice in the table", path)
			}
			seen[path] = true
			if got := insteadOf(strings.ReplaceAll(written, "<name>", "web")); got != foreign.message {
				t.Errorf("%s: says %q, want %q", path, got, foreign.message)
			}
		}
		wanted, wants := strings.CutPrefix(foreign.message, "want ")
		if !wants && !strings.HasPrefix(foreign.message, "unsupported: ") {
			t.Errorf("%s: neither wants something nor says that it is unsupported", foreign.keys)
		}
		wanted = strings.Trim(strings.Fields(wanted)[0], ",:")
		above, _, _ := strings.Cut(section+".", ".")
		if strings.HasPrefix(section, serviceSection) {
			above = serviceSection
		}
		found := known[wanted] || known[section+"."+wanted] || known[above+"."+wanted]
		if wants && !found {
			t.Errorf("%s %s: wants %s, which is no setting", section, foreign.keys, wanted)
		}
	}
}

func TestForeignKeysAreFoundHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"depends_on", "dependsOn", "depends-on", "DEPENDS_ON"} {
		if insteadOf("services.web."+key) == "" {
			t.Errorf("nothing is said about %s", key)
		}
	}
	for _, path := range []string{"services.depends_on", "depends_on", "services.web.route.depends_on", "services.x"} {
		if got := insteadOf(path); got != "" {
			t.Errorf("%s: says %s", path, got)
		}
	}
}
