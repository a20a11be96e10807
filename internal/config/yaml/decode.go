package yaml

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Hooks tell the decoder about the type that it decodes into. Each may be nil.
type Hooks struct {
	// Element returns the defaults of a new element at a path, with the element type of the map or
	// the list that the element is in; nil for the zero value.
	Element func(path string) any
	// Elsewhere returns the path of the only setting with a key, for the hint about a key in the
	// wrong section; "" if there is not exactly one.
	Elsewhere func(key string) string
	// Instead returns what to use instead of a key that is no setting, by its path: either "want ..."
	// or a sentence of its own; "" if nothing is known.
	Instead func(path string) string
	// Example returns a valid value for the setting at a path, or the setting with one, for the
	// message about a value of a wrong type, such as a number; "" without one.
	Example func(path, have string) string
	// Secret reports whether the value at a path may contain a secret. Its lines are never printed.
	Secret func(path string) bool
}

// Decode fills the struct that target points to from YAML text; problems name the file as
// file. A field's key is its yaml tag. A field whose key is not in the text keeps its value, so the
// caller sets the defaults first; a list or a map whose key is in the text is replaced.
//
// The strict decoder of the library stops at the first error, and does not know the position of a
// value that has the right type but is wrong. Therefore Decode walks the syntax tree itself.
func Decode(file string, text []byte, target any, hooks Hooks) (doc *Document) {
	doc = newDocument(file, text)
	defer func() {
		// The library panics on some texts that are not YAML.
		if fault := recover(); fault != nil {
			doc.refuse(fileStart, "", "not valid YAML: %v", fault)
		}
	}()
	if body := doc.parse(text); body != nil {
		d := &decoder{doc: doc, hooks: hooks}
		d.value("", body, reflect.ValueOf(target).Elem())
	}
	return doc
}

const notPlain = "anchors, aliases, tags and merge keys are not supported: write the value out"

type decoder struct {
	doc   *Document
	hooks Hooks
}

func (d *decoder) value(path string, node ast.Node, into reflect.Value) {
	if !d.doc.Names(path) {
		d.doc.positions[path] = positionOf(node)
	}
	if d.hooks.Secret != nil && d.hooks.Secret(path) {
		d.doc.hide(node)
	}
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		d.doc.hide(node)
		d.doc.Refuse(path, notPlain)
		return
	case ast.NullType:
		d.doc.Refuse(path, "has no value: want %s, or remove the key", kindName(into.Type()))
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
	if key, field, short := shortForm(into); !ok && short && node.Type() != ast.SequenceType {
		d.value(Join(path, key), node, field)
		return
	}
	if !ok {
		d.wrongType(path, node, into.Type())
		return
	}
	fields := map[string]reflect.Value{}
	for field, value := range into.Fields() {
		if key := field.Tag.Get("yaml"); key != "-" {
			fields[key] = value
		}
	}
	seen := map[string]position{}
	for _, pair := range pairs {
		at, key, ok := d.key(path, pair, seen)
		if !ok {
			continue
		}
		field, known := fields[key]
		if !known {
			d.unknown(at, key, slices.Sorted(maps.Keys(fields)))
			d.doc.hide(pair.Value)
			continue
		}
		d.value(at, pair.Value, field)
	}
}

// shortForm returns the field with the tag short:"true", if a struct has one, and its key. Instead of
// a mapping, a file may have the value of this field alone: 587 for {port: 587}.
func shortForm(of reflect.Value) (key string, value reflect.Value, ok bool) {
	for field, value := range of.Fields() {
		if field.Tag.Get("short") == "true" {
			return field.Tag.Get("yaml"), value, true
		}
	}
	return "", reflect.Value{}, false
}

// unknown reports a key that is none of the names.
func (d *decoder) unknown(path, key string, names []string) {
	if d.hooks.Instead != nil {
		if instead := d.hooks.Instead(path); strings.HasPrefix(instead, "want ") {
			d.doc.Refuse(path, "unknown key, %s", instead)
			return
		} else if instead != "" {
			d.doc.Refuse(path, "%s", instead)
			return
		}
	}
	d.doc.Refuse(path, "unknown key, %swant one of %s", d.hint(key, names), strings.Join(names, ", "))
}

// hint suggests a known key for an unknown one.
func (d *decoder) hint(key string, names []string) string {
	near := Nearest(key, names)
	if near == "" && d.hooks.Elsewhere != nil {
		near = d.hooks.Elsewhere(key)
	}
	if near == "" {
		return ""
	}
	return "did you mean " + near + "? "
}

func (d *decoder) mapping(path string, node ast.Node, into reflect.Value) {
	pairs, ok := pairsOf(node)
	if !ok {
		d.wrongType(path, node, into.Type())
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	seen := map[string]position{}
	for _, pair := range pairs {
		at, key, ok := d.key(path, pair, seen)
		if !ok {
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		if strings.Contains(key, ".") && element.Kind() == reflect.Struct {
			d.doc.Refuse(at, "want a name without a dot")
			into.SetMapIndex(reflect.ValueOf(key), element) // an empty map could be reported as a second problem
			continue
		}
		d.start(at, element)
		// `web:` with nothing below it is a service with all its defaults.
		if _, empty := pair.Value.(*ast.NullNode); !empty || element.Kind() != reflect.Struct {
			d.value(at, pair.Value, element)
		}
		into.SetMapIndex(reflect.ValueOf(key), element)
	}
}

// start sets the defaults of a new element of a map or a list.
func (d *decoder) start(path string, element reflect.Value) {
	if d.hooks.Element == nil {
		return
	}
	if start := d.hooks.Element(path); start != nil && reflect.TypeOf(start) == element.Type() {
		element.Set(reflect.ValueOf(start))
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
		at := Join(path, strconv.Itoa(i))
		d.start(at, into.Index(i))
		d.value(at, item, into.Index(i))
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
			d.number(path, n.Token.Value, into)
			return
		}
	case reflect.Float64:
		switch n := node.(type) {
		case *ast.IntegerNode:
			d.fraction(path, n.Token.Value, into)
			return
		case *ast.FloatNode:
			d.fraction(path, n.Token.Value, into)
			return
		}
	}
	d.wrongType(path, node, into.Type())
}

func (d *decoder) number(path, digits string, into reflect.Value) {
	i, err := strconv.Atoi(digits)
	switch {
	case !IsDecimal(digits):
		d.doc.Refuse(path, "want a whole number in decimal digits, without leading zeros, have %s", digits)
	case err != nil:
		d.doc.Refuse(path, "want a smaller whole number, have %s", digits)
	default:
		into.SetInt(int64(i))
	}
}

func (d *decoder) fraction(path, digits string, into reflect.Value) {
	number, ok := Fraction(digits)
	if !ok {
		d.doc.Refuse(path, "want a number such as 99.9, have %s", digits)
		return
	}
	into.SetFloat(number)
}

var fraction = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$`)

// Fraction returns the number that all YAML parsers read in a text: at most nine digits, and at most
// six after the point.
func Fraction(text string) (number float64, ok bool) {
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil && fraction.MatchString(text)
}

var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

// IsDecimal reports whether all YAML parsers read a text as the same whole number. Some read 030 as
// 24, others as 30, and not all support 0x1e, 0o36 and 3_0.
func IsDecimal(text string) bool { return decimal.MatchString(text) }

// key records the position of a mapping's key and returns its full path and its name. It reports a
// key that is not a plain name, and a duplicate: one that is in seen.
func (d *decoder) key(
	path string, pair *ast.MappingValueNode, seen map[string]position,
) (full, name string, ok bool) {
	at := positionOf(pair.Key)
	switch key := pair.Key.(type) {
	case *ast.StringNode:
		name = key.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		name = key.GetToken().Value
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		d.doc.refuse(at, path, notPlain)
		return "", "", false
	}
	if name == "" {
		d.doc.add(at, path, "want a plain key before the colon")
		return "", "", false
	}
	full = Join(path, name)
	if first, twice := seen[name]; twice {
		d.doc.refuse(at, full, "duplicate key, first on line %d", first.line)
		d.doc.hide(pair.Value)
		return "", "", false
	}
	seen[name] = at
	d.doc.positions[full] = at
	return full, name, true
}

// wrongType reports a value of the wrong type. It shows the value only if the setting is a number
// or a boolean: a text may be a secret in the wrong place.
func (d *decoder) wrongType(path string, node ast.Node, want reflect.Type) {
	have := typeName(node)
	scalar := have != "a list" && have != "a mapping"
	switch want.Kind() {
	case reflect.String:
		if scalar {
			have += "; put it in quotes"
		}
	case reflect.Int, reflect.Float64, reflect.Bool:
		if value := node.GetToken(); value.Type == token.SingleQuoteType || value.Type == token.DoubleQuoteType {
			have = strconv.Quote(value.Value) + " in quotes; remove the quotes"
		} else if scalar && node.Type() != ast.LiteralType {
			have = value.Value
		}
	}
	wanted := kindName(want)
	if d.hooks.Example != nil {
		if example := d.hooks.Example(path, typeName(node)); example != "" {
			wanted += ", such as " + example
		}
	}
	d.doc.hide(node)
	d.doc.Refuse(path, "want %s, have %s", wanted, have)
}

// typeName returns the name of a value's type for a message.
func typeName(node ast.Node) string {
	switch node.Type() {
	case ast.SequenceType:
		return "a list"
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	}
	return "text"
}

// kindName returns the name of a wanted type for a message.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	}
	return "a mapping (key: value)"
}

// hide keeps the lines of a value out of all reports, because it could not be decoded or may
// contain a secret.
func (doc *Document) hide(node ast.Node) { ast.Walk(lineHider(doc.hidden), node) }

type lineHider map[int]bool

// Visit hides the lines of one node.
func (hidden lineHider) Visit(node ast.Node) ast.Visitor {
	if t := node.GetToken(); t != nil && t.Position != nil {
		for i := range 1 + strings.Count(t.Origin, "\n") {
			hidden[t.Position.Line+i] = true
		}
	}
	return hidden
}

// Nearest returns the closest of the names by edit distance; "" if none is close.
func Nearest(name string, names []string) string {
	best, least := "", 1+min(3, max(1, len(name)/4))
	for _, candidate := range names {
		if distance := levenshtein.ComputeDistance(name, candidate); distance < least {
			best, least = candidate, distance
		}
	}
	return best
}
