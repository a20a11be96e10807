package golden

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"platform/internal/testfiles"
)

// Files are the texts of a folder by their slash-separated path below it.
type Files map[string]string

// Read reads a folder. One that does not exist is empty.
func Read(folder string) (Files, error) {
	files := Files{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(folder, path)
		files[filepath.ToSlash(below)] = string(text)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return files, err
}

// Check fails the test if a folder does not hold the files that it made, no more and no less. With
// -update it makes the folder hold them.
func Check(t testing.TB, folder string, got Files) {
	t.Helper()
	if *Update {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		testfiles.Write(t, folder, got)
	}
	want, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if differences := Differences(want, got); len(differences) > 0 {
		t.Errorf("%s is not what is synthesised now; if the change is meant, run `make golden` and review the diff\n%s",
			folder, strings.Join(differences, "\n"))
	}
}

// Differences describes each file that is missing, superfluous or different.
func Differences(want, got Files) []string {
	all := maps.Clone(want)
	maps.Copy(all, got)
	var differences []string
	for _, file := range slices.Sorted(maps.Keys(all)) {
		wanted, isGolden := want[file]
		have, isNow := got[file]
		switch {
		case !isGolden:
			differences = append(differences, file+": synthesised, but has no golden")
		case !isNow:
			differences = append(differences, file+": no longer synthesised, but has a golden")
		case wanted != have:
			differences = append(differences, file+": "+FirstDifference(wanted, have))
		}
	}
	return differences
}
