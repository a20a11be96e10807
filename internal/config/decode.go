package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may be at the most. The library's time grows with the square of the length, and its memory with that of the depth.
const (
	fileLimit  = 64 << 10 // bytes
	depthLimit = 32       // lists and mappings within one another that are written in one line
)

const notPlain = "anchors, aliases, tags and merge keys are not supported: write the value out"

// position is a place in a configuration file, counted from 1, or a variable of the environment.
type position struct {
	line, column int
	variable     string
}

// problem is one thing wrong with the configuration: where (a place and a dotted path such as network.zones), and what is wanted there.
type problem struct {
	at            position
	path, message string
}

// document is a parsed configuration file: what it says, and where it says it.
type Document struct {
	file      string
	lines     []string            // as they stand there
	hidden    map[int]bool        // lines, counted from 1, on which something may stand that nobody else is to see
	positions map[string]position // by path; "" is the document itself
	unread    map[string]bool     // paths whose value could not be taken, so that what stands there is a default
	problems  []problem
	warnings  []problem
}

// decodeYAML fills the struct that target points to from YAML text. It is strict: an unknown key, a wrong type or anything
// that is not plain YAML is a problem, and all of them are gathered in the returned document. Fields that the text does not
// name keep what they hold, so the caller puts the defaults in first; a map's new elements start from what element(path) returns.
//
// The library's own strict decoder stops at its first error and knows no position of a value that is well-formed but
// wrong; hence the walk over its syntax tree here.
func decodeYAML(file string, text []byte, target any, element func(path string) any) (doc *Document) {
	doc = &Document{
		file: file, lines: strings.Split(string(text), "\n"), hidden: map[int]bool{}, positions: map[string]position{"": {line: 1, column: 1}}, unread: map[string]bool{},
	}
	defer func() {
		// The library panics on some texts that are not YAML.
		if fault := recover(); fault != nil {
			doc.refuse(position{line: 1, column: 1}, "", "not valid YAML: %v", fault)
		}
	}()
	if body := doc.parse(text); body != nil {
		d := &decoder{doc: doc, element: element}
		d.value("", body, reflect.ValueOf(target).Elem())
	}
	return doc
}

// parse returns what the text holds; nil, if that is nothing, or nothing that can be read.
func (doc *Document) parse(text []byte) ast.Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // a byte order mark, which editors on Windows write
	if len(text) > fileLimit {
		doc.refuse(position{line: 1, column: 1}, "", "want a file of at most %d bytes, have %d", fileLimit, len(text))
		return nil
	}
	if i := notUTF8(text); i >= 0 {
		line := text[bytes.LastIndexByte(text[:i], '\n')+1 : i]
		doc.refuse(position{line: 1 + bytes.Count(text[:i], []byte("\n")), column: 1 + utf8.RuneCount(line)}, "", "want text in UTF-8")
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if deep := tooDeep(tokens); deep != nil {
		doc.refuse(positionOfToken(deep), "", "is nested too deeply: want at most %d levels in one line", depthLimit)
		return nil
	}
	tree, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // found below, with their path
	if err != nil {
		doc.syntaxError(err)
		return nil
	}
	for _, d := range tree.Docs {
		if d.Body != nil && d.Body.Type() == ast.DirectiveType {
			doc.refuse(positionOf(d.Body), "", "directives are not supported: leave the line out")
			return nil
		}
	}
	switch {
	case len(tree.Docs) > 1:
		at := positionOfToken(tree.Docs[1].Start)
		if second := tree.Docs[1]; second.Start == nil && second.Body != nil {
			at = positionOf(second.Body)
		}
		doc.refuse(at, "", "want one YAML Document, have %d", len(tree.Docs))
		return nil
	case len(tree.Docs) == 0 || tree.Docs[0].Body == nil || tree.Docs[0].Body.Type() == ast.NullType:
		return nil
	}
	return tree.Docs[0].Body
}

// notUTF8 is where the first byte stands that is not, or -1.
func notUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// tooDeep is where nesting passes the limit within a line: in a file of that size no other way leads deep.
func tooDeep(tokens token.Tokens) *token.Token {
	depth, entries, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			entries, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType:
			entries++
		}
		if depth > depthLimit || entries > depthLimit {
			return t
		}
	}
	return nil
}

// add notes what is wrong with a value. It says nothing of a value that could not be taken: that is a problem already, and what stands
// there is a default.
func (doc *Document) add(path, format string, args ...any) {
	if doc.taken(path) {
		doc.note(doc.position(path), path, format, args...)
	}
}

// warn notes what is allowed and probably not meant.
func (doc *Document) warn(path, format string, args ...any) {
	if doc.taken(path) {
		doc.warnings = append(doc.warnings, problem{doc.position(path), path, "warning: " + fmt.Sprintf(format, args...)})
	}
}

// Warnings are the warnings of a configuration that could be read, each with the line that it is about.
func (doc *Document) Warnings() []string { return doc.report(doc.warnings, true) }

// taken tells whether the values at a path and above it could be taken.
func (doc *Document) taken(path string) bool {
	for ; path != ""; path = parent(path) {
		if doc.unread[path] {
			return false
		}
	}
	return !doc.unread[""]
}

// refuse notes why a value cannot be taken.
func (doc *Document) refuse(at position, path, format string, args ...any) {
	doc.unread[path] = true
	doc.note(at, path, format, args...)
}

func (doc *Document) note(at position, path, format string, args ...any) {
	doc.problems = append(doc.problems, problem{at, path, fmt.Sprintf(format, args...)})
}

// names tells whether the file says something at a path.
func (doc *Document) names(path string) bool {
	_, named := doc.positions[path]
	return named
}

// syntaxError records a fault of the YAML itself under its own position.
func (doc *Document) syntaxError(err error) {
	at, message := position{line: 1, column: 1}, err.Error()
	var located interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &located) {
		at, message = positionOfToken(located.GetToken()), located.GetMessage()
	}
	doc.refuse(at, "", "not valid YAML: %s", message)
}

// position returns where a path stands in the file; a path that the file does not name stands where its nearest named
// ancestor does.
func (doc *Document) position(path string) position {
	for {
		if at, ok := doc.positions[path]; ok {
			return at
		}
		path = parent(path)
	}
}

func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// err joins all problems, in the order in which they stand in the file, each on a line of its own; those of variables come last.
func (doc *Document) err() error {
	if len(doc.problems) == 0 {
		return nil
	}
	return &refusal{doc, doc.problems}
}

// refusal is the error of a configuration that has problems, or of warnings that are to count as such.
type refusal struct {
	doc      *Document
	problems []problem
}

func (r *refusal) Error() string { return strings.Join(r.doc.report(r.problems, false), "\n") }

// report gives a line for each problem, in order and each once. With the source, the line that it is about follows.
func (doc *Document) report(problems []problem, source bool) []string {
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.variable, b.at.variable), cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column), cmp.Compare(a.path, b.path))
	})
	var lines []string
	seen := map[string]bool{}
	for _, p := range problems {
		subject := ""
		if p.path != "" {
			subject = p.path + ": "
		}
		line := fmt.Sprintf("%s: %s", doc.place(p.at), visible(subject+p.message))
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

// place names a position: file, line and column, or the variable.
func (doc *Document) place(at position) string {
	if at.variable != "" {
		return at.variable
	}
	return fmt.Sprintf("%s:%d:%d", doc.file, at.line, at.column)
}

// shown is the line that a problem is about, unless there is nothing to see on it, or something that is not to be seen.
func (doc *Document) shown(p problem) string {
	if p.at.variable != "" || doc.hidden[p.at.line] || p.at.line > len(doc.lines) || !doc.names(p.path) || doc.unread[""] {
		return ""
	}
	text := strings.TrimRight(doc.lines[p.at.line-1], " \t\r")
	if utf8.RuneCountInString(text) > 160 || text == "" {
		return ""
	}
	return fmt.Sprintf("%6d | %s", p.at.line, visible(text))
}

// mayBeSecret are the paths below which somebody may have put what nobody else is to see, by mistake or not.
var mayBeSecret = regexp.MustCompile(`^services\.[^.]+\.(environment|secrets|secret_keys|command|health_check\.command)(\.|$)|^tags(\.|$)`)

// hide keeps the lines of what could not be taken, or may be secret, out of all messages.
func (doc *Document) hide(node ast.Node) {
	ast.Walk(lineHider(doc.hidden), node)
}

type lineHider map[int]bool

func (hidden lineHider) Visit(node ast.Node) ast.Visitor {
	if t := node.GetToken(); t != nil && t.Position != nil {
		for i := range 1 + strings.Count(t.Origin, "\n") {
			hidden[t.Position.Line+i] = true
		}
	}
	return hidden
}

// visible writes what would break a line, or move a terminal's cursor, as Go does in a text.
func visible(text string) string {
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

type decoder struct {
	doc     *Document
	element func(path string) any
}

func (d *decoder) value(path string, node ast.Node, into reflect.Value) {
	if _, seen := d.doc.positions[path]; !seen {
		d.doc.positions[path] = positionOf(node)
	}
	if mayBeSecret.MatchString(path) {
		d.doc.hide(node)
	}
	switch node.Type() {
	case ast.AnchorType, ast.AliasType, ast.TagType, ast.MergeKeyType:
		d.doc.hide(node)
		d.refuse(path, notPlain)
		return
	case ast.NullType:
		d.refuse(path, "has no value: want %s, or leave it out", kindName(into.Type()))
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
	seen := map[string]position{}
	for _, pair := range pairs {
		at, key, ok := d.key(path, pair, seen)
		if !ok {
			continue
		}
		i, known := fields[key]
		if !known {
			hint := ""
			if near := nearest(key, slices.Sorted(maps.Keys(fields))); near != "" {
				hint = "did you mean " + near + "? "
			} else if elsewhere := settingCalled(key); elsewhere != "" {
				hint = "did you mean " + elsewhere + "? "
			}
			d.refuse(at, "unknown key, %swant one of %s", hint, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			d.doc.hide(pair.Value)
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
	seen := map[string]position{}
	for _, pair := range pairs {
		at, key, ok := d.key(path, pair, seen)
		if !ok {
			continue
		}
		if strings.Contains(key, ".") && into.Type().Elem().Kind() == reflect.Struct {
			d.refuse(at, "a name here may not contain a dot")
			into.SetMapIndex(reflect.ValueOf(key), reflect.Zero(into.Type().Elem())) // it counts
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
			digits := n.Token.Value
			i, err := strconv.Atoi(digits)
			switch {
			case !decimal.MatchString(digits):
				d.refuse(path, "want a whole number in decimal digits, without leading zeros, have %s", digits)
			case err != nil:
				d.refuse(path, "want a whole number, not so large, have %s", digits)
			default:
				into.SetInt(int64(i))
			}
			return
		}
	}
	d.wrongType(path, node, into.Type())
}

// decimal leaves out 030, which is 24 to some readers of YAML and 30 to others, and 0x1e, 0o36 and 3_0.
var decimal = regexp.MustCompile(`^[-+]?(0|[1-9][0-9]*)$`)

// key records where a mapping's key stands and returns its full path and its name. It refuses what is no plain name, and a name that has
// been seen in this mapping.
func (d *decoder) key(path string, pair *ast.MappingValueNode, seen map[string]position) (full, name string, ok bool) {
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
		d.doc.note(at, path, "want a plain name before the colon")
		return "", "", false
	}
	full = name
	if path != "" {
		full = path + "." + name
	}
	if first, twice := seen[name]; twice {
		d.doc.refuse(at, full, "is there already, in line %d", first.line)
		d.doc.hide(pair.Value)
		return "", "", false
	}
	seen[name] = at
	d.doc.positions[full] = at
	return full, name, true
}

// wrongType says what is wanted, and what is there instead. It repeats a value only where numbers and switches belong: a text may be
// a secret that somebody put there by mistake.
func (d *decoder) wrongType(path string, node ast.Node, want reflect.Type) {
	have := ""
	switch node.Type() {
	case ast.SequenceType:
		have = "a list"
	case ast.MappingType, ast.MappingValueType:
		have = "a mapping"
	case ast.IntegerType, ast.FloatType, ast.InfinityType, ast.NanType:
		have = "a number"
	case ast.BoolType:
		have = "true or false"
	default:
		have = "text"
	}
	scalar := have != "a list" && have != "a mapping"
	switch want.Kind() {
	case reflect.String:
		if scalar {
			have += "; put it in quotes"
		}
	case reflect.Int, reflect.Bool:
		if value := node.GetToken(); value.Type == token.SingleQuoteType || value.Type == token.DoubleQuoteType {
			have = strconv.Quote(value.Value) + " in quotes; leave them out"
		} else if scalar && node.Type() != ast.LiteralType {
			have = value.Value
		}
	}
	d.doc.hide(node)
	d.refuse(path, "want %s, have %s", kindName(want), have)
}

// nearest is the one of the names that a mistyped one most probably meant, or "".
func nearest(name string, names []string) string {
	best, least := "", 1+min(3, max(1, len(name)/4))
	for _, candidate := range names {
		if distance := levenshtein.ComputeDistance(name, candidate); distance < least {
			best, least = candidate, distance
		}
	}
	return best
}

func (d *decoder) refuse(path, format string, args ...any) {
	d.doc.refuse(d.doc.position(path), path, format, args...)
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
	return positionOfToken(node.GetToken())
}

func positionOfToken(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{line: 1, column: 1}
	}
	return position{line: t.Position.Line, column: t.Position.Column}
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
