// Package yaml decodes one strict YAML file into a struct and reports every problem with its line
// and column.
//
// Strict means that an unknown key, a wrong type, a duplicate key and everything beyond plain YAML
// (anchors, aliases, tags, merge keys, several documents) are problems. All of them are reported at
// once, in the order of the file.
//
// The package is independent of the types that it decodes into. Callers describe them through
// [Hooks].
package yaml

import (
	"fmt"
	"slices"
	"strings"
)

// Document is a decoded file with the positions of its settings, and its problems.
//
// A path names a setting by keys and indexes, such as network.zones.0. The empty path is the whole
// file.
type Document struct {
	file      string
	lines     []string            // of the file
	hidden    map[int]bool        // lines, counted from 1, that may contain a secret and are never printed
	positions map[string]position // by path
	unread    map[string]bool     // paths whose value could not be decoded, so that they hold a default
	problems  []Problem
	warnings  []Problem
}

// Problem is an error, or a warning about a setting that was probably not intended.
type Problem struct {
	Path    string
	Message string
	at      position
}

// position is a line and column in a file, counted from 1, or an environment variable.
type position struct {
	line, column int
	variable     string
}

var fileStart = position{line: 1, column: 1}

func newDocument(file string, text []byte) *Document {
	return &Document{
		file:      file,
		lines:     strings.Split(string(text), "\n"),
		hidden:    map[int]bool{},
		positions: map[string]position{"": fileStart},
		unread:    map[string]bool{},
	}
}

// Add reports a problem of the value at a path. It does nothing if the value could not be decoded:
// that is reported already, and the setting has its default.
func (doc *Document) Add(path, format string, args ...any) {
	if doc.decoded(path) {
		doc.add(doc.position(path), path, format, args...)
	}
}

// Warn reports a value that is valid but probably not intended.
func (doc *Document) Warn(path, format string, args ...any) {
	if doc.decoded(path) {
		message := "warning: " + fmt.Sprintf(format, args...)
		doc.warnings = append(doc.warnings, Problem{Path: path, Message: message, at: doc.position(path)})
	}
}

// Refuse reports why a value could not be decoded.
func (doc *Document) Refuse(path, format string, args ...any) {
	doc.refuse(doc.position(path), path, format, args...)
}

// AddVariable reports a problem of a variable that sets nothing.
func (doc *Document) AddVariable(variable, format string, args ...any) {
	doc.add(position{variable: variable}, "", format, args...)
}

// SetBy records that a variable sets the value at a path and replaces the value of the file.
func (doc *Document) SetBy(variable, path string) {
	doc.positions[path] = position{variable: variable}
	doc.unread[path] = false
}

// Names reports whether the file or a variable sets a path.
func (doc *Document) Names(path string) bool {
	_, named := doc.positions[path]
	return named
}

// NamesBelow reports whether the file or a variable sets a path, or one below it.
func (doc *Document) NamesBelow(path string) bool {
	if doc.Names(path) {
		return true
	}
	for named := range doc.positions {
		if strings.HasPrefix(named, path+".") {
			return true
		}
	}
	return false
}

// Remove removes the problems, and the warnings, for which a function is true. It gets each with all
// of its kind.
func (doc *Document) Remove(superfluous func(p Problem, all []Problem) bool) {
	for _, list := range []*[]Problem{&doc.problems, &doc.warnings} {
		all := slices.Clone(*list)
		*list = slices.DeleteFunc(*list, func(p Problem) bool { return superfluous(p, all) })
	}
}

// Readable reports whether the text is a YAML mapping, so that there is a configuration to check.
func (doc *Document) Readable() bool { return !doc.unread[""] }

// Problems returns the problems, in no particular order.
func (doc *Document) Problems() []Problem { return doc.problems }

func (doc *Document) refuse(at position, path, format string, args ...any) {
	doc.unread[path] = true
	doc.add(at, path, format, args...)
}

func (doc *Document) add(at position, path, format string, args ...any) {
	doc.problems = append(doc.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), at: at})
}

// decoded reports whether the values at a path and above it could be decoded.
func (doc *Document) decoded(path string) bool {
	for ; path != ""; path = Parent(path) {
		if doc.unread[path] {
			return false
		}
	}
	return !doc.unread[""]
}

// position returns the place of a path. A path that the file does not name has the place of its
// nearest named ancestor.
func (doc *Document) position(path string) position {
	for {
		if at, ok := doc.positions[path]; ok {
			return at
		}
		path = Parent(path)
	}
}

// Parent returns the path of the setting that contains the one at a path.
func Parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// Join returns the path of a key below a path.
func Join(path string, keys ...string) string {
	if path == "" {
		return strings.Join(keys, ".")
	}
	return strings.Join(append([]string{path}, keys...), ".")
}
