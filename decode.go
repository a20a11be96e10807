package main

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// position is a place in a configuration file, counted from 1.
type position struct{ line, column int }

// problem is one thing wrong with the configuration: where (a dotted path such as network.zones), and what is wanted there.
type problem struct{ path, message string }

// document is a parsed configuration file: what it says, and where it says it.
type document struct {
	file      string
	positions map[string]position // by path; "" is the document itself
	problems  []problem
}

// decodeYAML fills the struct that target points to from YAML text. It is strict: an unknown key, a wrong type or anything
// that is not plain YAML is a problem, and all of them are gathered in the returned document. Fields that the text does not
// name keep what they hold, so the caller puts the defaults in first; a map's new elements start from what element(path) returns.
//
// The library's own strict decoder stops at its first error and knows no position of a value that is well-formed but
// wrong; hence the walk over its syntax tree here.
func decodeYAML(file string, text []byte, target any, element func(path string) any) *document {
	doc := &document{file: file, positions: map[string]position{"": {1, 1}}}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		doc.syntaxError(err)
		return doc
	}
	switch {
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil || tree.Docs[0].Body.Type() == ast.NullType:
		return doc
	case len(tree.Docs) > 1:
		doc.add("", "want one YAML document, have %d", len(tree.Docs))
		return doc
	}
	d := &decoder{doc: doc, element: element}
	d.value("", tree.Docs[0].Body, reflect.ValueOf(target).Elem())
	return doc
}

func (doc *document) add(path, format string, args ...any) {
	doc.problems = append(doc.problems, problem{path, fmt.Sprintf(format, args...)})
}

// syntaxError records a fault of the YAML itself under its own position.
func (doc *document) syntaxError(err error) {
	at := position{1, 1}
	message := err.Error()
	var located interface {
		GetMessage() string
	}
	if errors.As(err, &located) {
		message = located.GetMessage()
	}
	// The library prints "[line:column] message" and then the source; only the first line is wanted here.
	if first, _, _ := strings.Cut(err.Error(), "\n"); strings.HasPrefix(first, "[") {
		var line, column int
		if _, scan := fmt.Sscanf(first, "[%d:%d]", &line, &column); scan == nil {
			at = position{line, column}
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	doc.positions["\x00syntax"] = at
	doc.add("\x00syntax", "not valid YAML: %s", message)
}

// position returns where a path stands in the file; a path that the file does not name stands where its nearest named
// ancestor does.
func (doc *document) position(path string) position {
	for {
		if at, ok := doc.positions[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
}

// err joins all problems, in the order in which they stand in the file, each on a line of its own.
func (doc *document) err() error {
	if len(doc.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(doc.problems, func(a, b problem) int {
		p, q := doc.position(a.path), doc.position(b.path)
		return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column), cmp.Compare(a.path, b.path))
	})
	lines := make([]string, 0, len(doc.problems))
	for _, p := range doc.problems {
		at := doc.position(p.path)
		subject := ""
		if p.path != "" && !strings.HasPrefix(p.path, "\x00") {
			subject = p.path + ": "
		}
		lines = append(lines, fmt.Sprintf("%s:%d:%d: %s%s", doc.file, at.line, at.column, subject, p.message))
	}
	return errors.New(strings.Join(slices.Compact(lines), "\n"))
}

type decoder struct {
	doc     *document
	element func(path string) any
}

func (d *decoder) value(path string, node ast.Node, into reflect.Value) {
	if _, seen := d.doc.positions[path]; !seen {
		d.doc.positions[path] = positionOf(node)
	}
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		d.doc.add(path, "anchors, aliases, tags and merge keys are not supported: write the value out")
		return
	case ast.NullType:
		d.doc.add(path, "has no value: want %s, or leave the key out", kindName(into.Type()))
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.structure(path, node, into)
	case reflect.Map:
		d.mapping(path, node, into)
	case reflect.Slice:
		d.sequence(path, node, into)
	default:
		d.scalar(path, node, into)
	}
}

func (d *decoder) structure(path string, node ast.Node, into reflect.Value) {
	pairs, ok := pairsOf(node)
	if !ok {
		d.wrongType(path, node, into.Type())
		return
	}
	fields := map[string]int{}
	for i := range into.NumField() {
		if key := into.Type().Field(i).Tag.Get("yaml"); key != "-" {
			fields[key] = i
		}
	}
	for _, pair := range pairs {
		at, key := d.key(path, pair)
		i, known := fields[key]
		if !known {
			d.doc.add(at, "unknown key, want one of %s", strings.Join(sortedKeys(fields), ", "))
			continue
		}
		d.value(at, pair.Value, into.Field(i))
	}
}

func (d *decoder) mapping(path string, node ast.Node, into reflect.Value) {
	pairs, ok := pairsOf(node)
	if !ok {
		d.wrongType(path, node, into.Type())
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, pair := range pairs {
		at, key := d.key(path, pair)
		if strings.Contains(key, ".") && into.Type().Elem().Kind() == reflect.Struct {
			d.doc.add(at, "a name here may not contain a dot")
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		if start := d.element(at); start != nil && reflect.TypeOf(start) == element.Type() {
			element.Set(reflect.ValueOf(start))
		}
		if _, empty := pair.Value.(*ast.NullNode); !empty || element.Kind() != reflect.Struct {
			d.value(at, pair.Value, element)
		} // `web:` with nothing below it is a service with all its defaults
		into.SetMapIndex(reflect.ValueOf(key), element)
	}
}

func (d *decoder) sequence(path string, node ast.Node, into reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		d.wrongType(path, node, into.Type())
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		d.value(fmt.Sprintf("%s.%d", path, i), item, into.Index(i))
	}
}

func (d *decoder) scalar(path string, node ast.Node, into reflect.Value) {
	switch into.Kind() {
	case reflect.String:
		switch n := node.(type) {
		case *ast.StringNode:
			into.SetString(n.Value)
			return
		case *ast.LiteralNode:
			into.SetString(n.Value.Value)
			return
		}
	case reflect.Bool:
		if n, ok := node.(*ast.BoolNode); ok {
			into.SetBool(n.Value)
			return
		}
	case reflect.Int:
		if n, ok := node.(*ast.IntegerNode); ok {
			if i, err := strconv.Atoi(n.Token.Value); err == nil {
				into.SetInt(int64(i))
				return
			}
		}
	}
	d.wrongType(path, node, into.Type())
}

// key records where a mapping's key stands and returns its full path and its name.
func (d *decoder) key(path string, pair *ast.MappingValueNode) (full, name string) {
	name = pair.Key.GetToken().Value
	full = name
	if path != "" {
		full = path + "." + name
	}
	d.doc.positions[full] = positionOf(pair.Key)
	return full, name
}

func (d *decoder) wrongType(path string, node ast.Node, want reflect.Type) {
	hint := ""
	if want.Kind() == reflect.String {
		switch node.Type() {
		case ast.IntegerType, ast.FloatType, ast.BoolType:
			hint = "; put it in quotes"
		}
	}
	d.doc.add(path, "want %s, have %s%s", kindName(want), describe(node), hint)
}

// pairsOf returns a mapping's pairs; the library gives a mapping of one pair a type of its own.
func pairsOf(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func positionOf(node ast.Node) position {
	if pairs, ok := pairsOf(node); ok && len(pairs) > 0 {
		node = pairs[0].Key
	}
	if token := node.GetToken(); token != nil && token.Position != nil {
		return position{token.Position.Line, token.Position.Column}
	}
	return position{1, 1}
}

func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Int:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	default:
		return "a mapping (key: value)"
	}
}

func describe(node ast.Node) string {
	switch node.Type() {
	case ast.SequenceType:
		return "a list"
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	default:
		return strconv.Quote(node.GetToken().Value)
	}
}

// sortedKeys returns a map's keys in order: every walk over a map goes through it, so that output never depends on chance.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// walkStrings calls visit with every text in a structure of decoded configuration and the path it has in the file.
func walkStrings(path string, value any, visit func(path, text string)) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
		switch v.Kind() {
		case reflect.Pointer:
			walk(path, v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				if key := v.Type().Field(i).Tag.Get("yaml"); key != "-" {
					walk(below(key), v.Field(i))
				}
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				visit(below(key.String()), key.String())
				walk(below(key.String()), v.MapIndex(key))
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(below(strconv.Itoa(i)), v.Index(i))
			}
		case reflect.String:
			visit(path, v.String())
		}
	}
	walk(path, reflect.ValueOf(value))
}
