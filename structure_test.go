package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file uses files below it only, so that it can be read, and changed, without those above it.
func TestNoFilesDependOnEachOtherInACircle(t *testing.T) {
	uses := fileUses(t)
	for removed := true; removed; { // a file that uses none of those left is part of no circle
		removed = false
		for file, used := range uses {
			if !slices.ContainsFunc(used, func(other string) bool { return uses[other] != nil }) {
				delete(uses, file)
				removed = true
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(uses)) {
		t.Errorf("%s is in a circle, or above one: it uses %v", file, uses[file])
	}
}

// fileUses tells of each file of the package which others declare the names in it, fields and
// methods included.
func fileUses(t *testing.T) map[string][]string {
	t.Helper()
	list, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports, files := token.NewFileSet(), token.NewFileSet()
	lookup := func(path string) (io.ReadCloser, error) {
		_, after, _ := strings.Cut("\n"+string(list), "\n"+path+"=")
		file, _, _ := strings.Cut(after, "\n")
		return os.Open(file)
	}
	sources, _ := filepath.Glob("*.go")
	var parsed []*ast.File
	uses := map[string][]string{}
	for _, name := range sources {
		if !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			parsed, uses[name] = append(parsed, file), []string{}
		}
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(exports, "gc", lookup)}
	pkg, err := conf.Check("main", files, parsed, info)
	if err != nil {
		t.Fatal(err)
	}
	for ident, object := range info.Uses {
		from, to := files.Position(ident.Pos()).Filename, files.Position(object.Pos()).Filename
		if object.Pkg() == pkg && from != to && !slices.Contains(uses[from], to) {
			uses[from] = append(uses[from], to)
		}
	}
	return uses
}
