package yaml

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// refusal is the error of a file that has problems, or whose warnings are errors.
type refusal struct {
	doc      *Document
	problems []Problem
}

// Error returns all problems in the order of the file, one a line; those of variables come last.
func (r *refusal) Error() string { return strings.Join(r.doc.report(r.problems, false), "\n") }

// Err returns all problems as one error; nil without any.
func (doc *Document) Err() error { return doc.refusal(doc.problems) }

// WarningsErr returns all warnings as one error; nil without any.
func (doc *Document) WarningsErr() error { return doc.refusal(doc.warnings) }

func (doc *Document) refusal(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &refusal{doc, problems}
}

// Warnings returns the warnings as lines for a person; each is followed by the line of the file
// that causes it.
func (doc *Document) Warnings() []string { return doc.report(doc.warnings, true) }

// Explained returns the text of an error for a person: each problem of a file is followed by the
// line that causes it.
func Explained(err error) string {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return strings.Join(refused.doc.report(refused.problems, true), "\n")
	}
	return err.Error()
}

// report returns a line for each problem, in order and without duplicates; with source, followed by
// the file's line.
func (doc *Document) report(problems []Problem, source bool) []string {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.at.variable, b.at.variable),
			cmp.Compare(a.at.line, b.at.line),
			cmp.Compare(a.at.column, b.at.column),
			cmp.Compare(a.Path, b.Path),
		)
	})
	var lines []string
	seen := map[string]bool{}
	for _, p := range problems {
		subject := ""
		if p.Path != "" {
			subject = p.Path + ": "
		}
		line := doc.place(p.at) + ": " + Visible(subject+p.Message)
		if seen[line] {
			continue
		}
		seen[line] = true
		lines = append(lines, line)
		if shown := doc.shown(p); source && shown != "" {
			lines = append(lines, shown)
		}
	}
	return lines
}

// place returns the name of a position: file, line and column, or the variable.
func (doc *Document) place(at position) string {
	if at.variable != "" {
		return at.variable
	}
	return fmt.Sprintf("%s:%d:%d", doc.file, at.line, at.column)
}

// shown returns the line that causes a problem; "" if it is not in the file, may contain a secret
// or is too long.
func (doc *Document) shown(p Problem) string {
	switch {
	case p.at.variable != "", p.at.line > len(doc.lines):
		return ""
	case doc.hidden[p.at.line], !doc.Names(p.Path), !doc.Readable():
		return ""
	}
	text := strings.TrimRight(doc.lines[p.at.line-1], " \t\r")
	if utf8.RuneCountInString(text) > 160 || text == "" {
		return ""
	}
	return fmt.Sprintf("%6d | %s", p.at.line, Visible(text))
}

// Origin returns where the value at a path comes from: the line of the file, a variable, or
// otherwise if neither sets it. Variables that set elements of a list are appended.
func (doc *Document) Origin(path, otherwise string) string {
	from := []string{otherwise}
	if at, named := doc.positions[path]; named && at.variable != "" {
		from[0] = at.variable
	} else if named {
		from[0] = doc.file + ":" + strconv.Itoa(at.line)
	}
	for _, element := range slices.Sorted(maps.Keys(doc.positions)) {
		if at := doc.positions[element]; at.variable != "" && strings.HasPrefix(element, path+".") {
			from = append(from, at.variable)
		}
	}
	return strings.Join(from, ", ")
}

// Visible escapes the characters that would break a line or move a terminal's cursor, in Go's
// notation.
func Visible(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
		} else {
			out.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return out.String()
}
