package yaml

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/token"
)

// joinColons joins the tokens of a plain text with a colon in a list inside braces, such as
// {actions: [s3:GetObject]}. In YAML, a colon that no space follows is part of the text. The
// library takes it for that of a mapping there, and only there.
func joinColons(tokens token.Tokens) token.Tokens {
	var joined []*token.Token
	var open openBrackets
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		open.read(t)
		if !open.inList() || i+1 == len(tokens) || !isText(tokens[i-1], t, tokens[i+1]) {
			joined = append(joined, t)
			continue
		}
		i++
		text := *t
		text.Type, text.CharacterType = token.StringType, token.CharacterTypeMiscellaneous
		text.Indicator = token.NotIndicator
		text.Value, text.Origin = t.Value+tokens[i].Value, t.Origin+tokens[i].Origin
		if last := len(joined) - 1; last >= 0 && isPlain(joined[last]) {
			text.Value, text.Origin = joined[last].Value+text.Value, joined[last].Origin+text.Origin
			text.Position = joined[last].Position
			joined = joined[:last]
		}
		joined = append(joined, &text)
	}
	var linked token.Tokens
	linked.Add(joined...)
	return linked
}

// keyWithColon returns the first plain key with a colon inside braces, such as {cost:center: shop};
// nil if there is none. The library would end the key at its first colon.
func keyWithColon(tokens token.Tokens) *token.Token {
	var open openBrackets
	for i, t := range tokens {
		open.read(t)
		if i > 0 && i+1 < len(tokens) && !open.inList() && t.Type == token.MappingValueType && isPlain(tokens[i-1]) &&
			textAfter(t, tokens[i+1]) && strings.Contains(tokens[i+1].Value, ": ") {
			return tokens[i-1]
		}
	}
	return nil
}

// openBrackets are the brackets and braces that are open at a token, innermost last.
type openBrackets []token.Type

func (open *openBrackets) read(t *token.Token) {
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		*open = append(*open, t.Type)
	case token.SequenceEndType, token.MappingEndType:
		*open = (*open)[:max(0, len(*open)-1)]
	}
}

func (open openBrackets) inList() bool {
	return len(open) > 0 && open[len(open)-1] == token.SequenceStartType
}

// isText reports whether a token is a colon within a plain text, or at the start of one.
func isText(before, t, next *token.Token) bool {
	starts := before.Type == token.SequenceStartType || before.Type == token.CollectEntryType
	return t.Type == token.MappingValueType && (starts || isPlain(before)) && textAfter(t, next)
}

// textAfter reports whether a plain text follows a colon without a space.
func textAfter(colon, next *token.Token) bool {
	return isPlain(next) && next.Origin == strings.TrimLeft(next.Origin, " \t\r\n") && next.Value != "" &&
		next.Position.Line == colon.Position.Line
}

// isPlain reports whether a token is a scalar without quotes.
func isPlain(t *token.Token) bool {
	return slices.Contains([]token.Type{
		token.StringType, token.NullType, token.BoolType, token.IntegerType, token.BinaryIntegerType,
		token.OctetIntegerType, token.HexIntegerType, token.FloatType, token.InfinityType, token.NanType,
	}, t.Type)
}
