package golden

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"platform/internal/testfiles"
)

func TestDifferencesNameEveryFile(t *testing.T) {
	want := Files{"a.json": "1\n", "policies/b.json": "2\n"}
	for name, c := range map[string]struct {
		got  Files
		want []string // how each difference begins
	}{
		"equal":        {Files{"a.json": "1\n", "policies/b.json": "2\n"}, nil},
		"another text": {Files{"a.json": "1\n", "policies/b.json": "3\n"}, []string{"policies/b.json: line 1"}},
		"one too few":  {Files{"a.json": "1\n"}, []string{"policies/b.json: no longer synthesised"}},
		"one too many": {
			Files{"a.json": "1\n", "c.json": "", "policies/b.json": "2\n"},
			[]string{"c.json: synthesised, but has no golden"},
		},
		"all": {
			Files{"a.json": "2\n", "c.json": ""},
			[]string{"a.json: line 1", "c.json: synthesised, but", "policies/b.json: no longer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Differences(want, c.got)
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReadAFolderThatDoesNotExist(t *testing.T) {
	got, err := Read(filepath.Join(t.TempDir(), "missing"))
	if err != nil || len(got) > 0 {
		t.Errorf("read %v, %v", got, err)
	}
}

// recorder is a test that notes its errors instead of failing.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestCheckComparesTheFolderAndUpdateRewritesIt(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "dev")
	testfiles.Write(t, folder, Files{"same.json": "1", "changed.json": "2", "policies/gone.json": "3"})
	made := Files{"same.json": "1", "changed.json": "4", "policies/new.json": "5"}

	before := recorder{TB: t}
	Check(&before, folder, made)
	if len(before.errors) != 1 {
		t.Fatalf("want one error, have %q", before.errors)
	}
	for _, file := range []string{"changed.json: ", "policies/gone.json: ", "policies/new.json: "} {
		if !strings.Contains(before.errors[0], file) {
			t.Errorf("the error does not name %s\n%s", file, before.errors[0])
		}
	}

	defer func(was bool) { *Update = was }(*Update)
	*Update = true
	Check(t, folder, made)
	*Update = false
	Check(t, folder, made)
	if got, err := Read(folder); err != nil || !maps.Equal(got, made) {
		t.Errorf("the folder holds %v, %v; want %v", got, err, made)
	}
}
