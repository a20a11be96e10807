package stacktest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"
)

// condition is a call of a method of Violations, which may take several lines.
type condition struct {
	place
	last int // line
}

// conditions finds the calls in the tests of the current folder, whether or not a stack reaches them.
func conditions(t *testing.T) (all []condition) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	positions := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(positions, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok && isWant(call) {
				first, last := positions.Position(call.Pos()).Line, positions.Position(call.End()).Line
				all = append(all, condition{place{name, first}, last})
			}
			return true
		})
	}
	return all
}

// isWant tells whether a call is v.Want(...) or one of its variants. The violations are called v.
func isWant(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Want", "WantBefore"}, method.Sel.Name) {
		return false
	}
	receiver, ok := method.X.(*ast.Ident)
	return ok && receiver.Name == "v"
}

// failed tells whether the condition was reached and failed.
func (c condition) failed(d *denials) bool {
	for line := c.line; line <= c.last; line++ {
		if d.at[place{c.file, line}] {
			return true
		}
	}
	return false
}
