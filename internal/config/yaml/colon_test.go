package yaml

import (
	"slices"
	"testing"
)

// Each text is read as YAML 1.2 reads it.
func TestColonsInListsInsideBraces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"{list: [s3:GetObject]}":                        {"s3:GetObject"},
		"{list: [s3:GetObject, s3:PutObject]}":          {"s3:GetObject", "s3:PutObject"},
		"{list: [arn:aws:s3:::b/*]}":                    {"arn:aws:s3:::b/*"},
		"{list: [a, 12:30, '12:30', -l:80, http://x/]}": {"a", "12:30", "12:30", "-l:80", "http://x/"},
		"{list: [::1, 2001:db8::/32]}":                  {"::1", "2001:db8::/32"},
		"{list: [true:x, null:y, 1.5:z]}":               {"true:x", "null:y", "1.5:z"},
		"{list: [\n  a:b, # c:d\n  e:f\n]}":             {"a:b", "e:f"},
		"{list: [a:b c:d , e]}":                         {"a:b c:d", "e"},
		"list: [a:b]":                                   {"a:b"},
		"list:\n  - a:b\n":                              {"a:b"},
	} {
		var into struct {
			List []string `yaml:"list"`
		}
		doc := Decode("x.yaml", []byte(text), &into, Hooks{})
		if err := doc.Err(); err != nil || !slices.Equal(into.List, want) {
			t.Errorf("%s is %q, %v, want %q", text, into.List, err, want)
		}
	}
}

func TestColonsOutsideOfPlainTexts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{list: [a: b]}":     "x.yaml:1:9: list.0: want text, have a mapping",
		"{list: ['a':b]}":    "x.yaml:1:9: list.0: want text, have a mapping",
		"{tags: {a:b: c}}":   "x.yaml:1:9: put the key in quotes: it contains a colon",
		"tags:\n  a: b::\n":  "x.yaml:2:6: not valid YAML: mapping value is not allowed in this context" + quotesHint,
		"tags: {a:b: c, d}":  "x.yaml:1:8: put the key in quotes: it contains a colon",
		"{tags: {'a:b': c}}": "",
	} {
		var into struct {
			List []string          `yaml:"list"`
			Tags map[string]string `yaml:"tags"`
		}
		got := ""
		if err := Decode("x.yaml", []byte(text), &into, Hooks{}).Err(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s says %q, want %q", text, got, want)
		}
	}
}
