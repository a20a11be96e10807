package yaml

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits on a file. The library's run time grows with the square of a file's length, and its memory
// with the square of its depth.
const (
	fileLimit  = 64 << 10 // bytes
	depthLimit = 32       // nested lists and mappings on one line
)

// parse returns the syntax tree of a text; nil for an empty one, and for one that cannot be parsed.
func (doc *Document) parse(text []byte) ast.Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // a byte order mark, which editors on Windows write
	if len(text) > fileLimit {
		doc.refuse(fileStart, "", "want a file of at most %d bytes, have %d", fileLimit, len(text))
		return nil
	}
	if at, invalid := notUTF8(text); invalid {
		doc.refuse(at, "", "want UTF-8 text")
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if deep := tooDeep(tokens); deep != nil {
		doc.refuse(positionOfToken(deep), "", "is nested too deeply: want at most %d levels on one line", depthLimit)
		return nil
	}
	if key := keyWithColon(tokens); key != nil {
		doc.refuse(positionOfToken(key), "", "put the key in quotes: it contains a colon")
		return nil
	}
	// The decoder reports duplicate keys, with their path.
	tree, err := parser.Parse(joinColons(tokens), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		doc.syntaxError(err)
		return nil
	}
	return doc.body(tree.Docs)
}

// body returns the body of the only document.
func (doc *Document) body(documents []*ast.DocumentNode) ast.Node {
	for _, d := range documents {
		if d.Body != nil && d.Body.Type() == ast.DirectiveType {
			doc.refuse(positionOf(d.Body), "", "directives are not supported: remove the line")
			return nil
		}
	}
	switch {
	case len(documents) > 1:
		second := documents[1]
		at := positionOfToken(second.Start)
		if second.Start == nil && second.Body != nil {
			at = positionOf(second.Body)
		}
		doc.refuse(at, "", "want one YAML document, have %d", len(documents))
		return nil
	case len(documents) == 0 || documents[0].Body == nil || documents[0].Body.Type() == ast.NullType:
		return nil
	}
	return documents[0].Body
}

// notUTF8 returns the position of the first byte that is not UTF-8.
func notUTF8(text []byte) (at position, invalid bool) {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			line := text[bytes.LastIndexByte(text[:i], '\n')+1 : i]
			return position{line: 1 + bytes.Count(text[:i], []byte("\n")), column: 1 + utf8.RuneCount(line)}, true
		}
		i += size
	}
	return position{}, false
}

// tooDeep returns the token at which nesting exceeds the limit within a line. Nesting over several
// lines is limited by the size of the file.
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

const quotesHint = "; put a text in quotes that contains a colon and a space, or ends in a colon"

// syntaxError reports an error of the parser at its own position.
func (doc *Document) syntaxError(err error) {
	at, message := fileStart, err.Error()
	var located interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &located) {
		at, message = positionOfToken(located.GetToken()), located.GetMessage()
	}
	if strings.HasPrefix(message, "mapping value is not allowed") {
		message += quotesHint
	}
	doc.refuse(at, "", "not valid YAML: %s", message)
}

// pairsOf returns the pairs of a mapping. The library has a separate type for a mapping of one
// pair.
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
		return fileStart
	}
	return position{line: t.Position.Line, column: t.Position.Column}
}
