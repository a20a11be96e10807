package config_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/configtest"
	"platform/internal/golden"
)

type tree = map[string]any

// comments returns the comments on the fields of the configuration, by Type.Field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if spec, ok := node.(*ast.TypeSpec); ok {
				if body, ok := spec.Type.(*ast.StructType); ok {
					fieldComments(texts, spec.Name.Name, body.Fields.List)
				}
			}
			return true
		})
	}
	return texts
}

// fieldComments adds the comments above and beside the fields of a type.
func fieldComments(texts map[string]string, typeName string, fields []*ast.Field) {
	for _, field := range fields {
		text := field.Doc.Text() + " " + field.Comment.Text()
		for _, name := range field.Names {
			texts[typeName+"."+name.Name] = strings.Join(strings.Fields(text), " ")
		}
	}
}

// schema is a JSON schema of the file, for editors: https://json-schema.org/draft-07
func schema(t *testing.T) []byte {
	t.Helper()
	properties := schemaOf(configtest.SettingsOf(comments(t), "", reflect.TypeFor[config.Config]()))
	properties["$schema"] = "http://json-schema.org/draft-07/schema#"
	properties["title"] = "One environment of the platform"
	properties["required"] = []string{"name", "region"}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(properties); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func schemaOf(all []configtest.Setting) tree {
	properties := tree{}
	for _, s := range all {
		var node tree
		switch element := configtest.ElementOf(s.Kind); {
		case s.Kind.Kind() == reflect.Map && element.Kind() == reflect.Struct:
			// A service may be empty: `web:`.
			service := tree{"anyOf": []any{schemaOf(s.Children), tree{"type": "null"}}}
			node = tree{"type": "object", "additionalProperties": service}
		case s.Kind.Kind() == reflect.Map && element.Kind() == reflect.Slice:
			list := tree{"type": "array", "items": scalarOf(s, element.Elem())}
			node = tree{"type": "object", "additionalProperties": list}
		case s.Kind.Kind() == reflect.Map:
			node = tree{"type": "object", "additionalProperties": scalarOf(s, element)}
		case s.Kind.Kind() == reflect.Slice && element.Kind() == reflect.Struct:
			node = tree{"type": "array", "items": elementOf(s.Children)}
		case s.Kind.Kind() == reflect.Slice:
			node = tree{"type": "array", "items": scalarOf(s, element)}
		case s.Kind.Kind() == reflect.Struct:
			node = schemaOf(s.Children)
		default:
			node = scalarOf(s, s.Kind)
			if form := s.Allowed.Form; form != nil {
				// An empty text is valid for optional settings. The program reports it for
				// required ones.
				node["pattern"] = "^$|" + form.String()
			}
			if values, ok := node["enum"].([]any); ok && s.Kind.Kind() == reflect.String {
				node["enum"] = append([]any{""}, values...)
			}
		}
		text := s.Description
		if s.Allowed.Unit != "" {
			text = strings.TrimSpace(text + " (" + s.Allowed.Unit + ")")
		}
		if text != "" {
			node["description"] = text
		}
		properties[s.Path[strings.LastIndexByte(s.Path, '.')+1:]] = node
	}
	return tree{"type": "object", "additionalProperties": false, "properties": properties}
}

// elementOf is the schema of an element of a list: a mapping, or the value of the setting that may
// stand alone.
func elementOf(all []configtest.Setting) tree {
	for _, s := range all {
		if s.Short {
			return tree{"anyOf": []any{scalarOf(s, s.Kind), schemaOf(all)}}
		}
	}
	return schemaOf(all)
}

func scalarOf(s configtest.Setting, kind reflect.Type) tree {
	node := tree{}
	switch kind.Kind() {
	case reflect.Bool:
		node["type"] = "boolean"
	case reflect.Int:
		node["type"] = "integer"
	case reflect.Float64:
		node["type"] = "number"
	default:
		node["type"] = "string"
	}
	a := s.Allowed
	switch {
	case a.Numbered && a.OrZero:
		node["anyOf"] = []any{tree{"const": 0}, tree{"minimum": a.Low, "maximum": a.High}}
	case a.Numbered:
		node["minimum"], node["maximum"] = a.Low, a.High
	case len(a.Values) > 0:
		var values []any
		for _, value := range a.Values {
			if n, err := strconv.Atoi(value); err == nil && kind.Kind() == reflect.Int {
				values = append(values, n)
			} else {
				values = append(values, value)
			}
		}
		node["enum"] = values
	case a.Form != nil:
		node["pattern"] = a.Form.String()
	}
	return node
}

const schemaFile = "../../config/schema.json"

func TestSchemaMatchesTheTypes(t *testing.T) {
	t.Parallel()
	want := schema(t)
	if *golden.Update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := golden.FirstDifference(string(want), string(got)); diff != "" {
		t.Errorf("%s does not match the types, run make golden:\n%s", schemaFile, diff)
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	var walk func(all []configtest.Setting)
	walk = func(all []configtest.Setting) {
		for _, s := range all {
			// These need no description.
			clear := regexp.MustCompile(`\.(path|interval|min|max|image|initial|scrape_interval)$`).MatchString(s.Path)
			if s.Description == "" && !clear {
				t.Errorf("%s has no comment", s.Path)
			}
			walk(s.Children)
		}
	}
	walk(configtest.SettingsOf(comments(t), "", reflect.TypeFor[config.Config]()))
}

// The schema rejects values that are invalid by themselves. The random configurations check that it
// accepts valid files.
func TestSchemaRejectsInvalidFiles(t *testing.T) {
	t.Parallel()
	compiled := configtest.CompiledSchema(t, schema(t))
	for _, text := range []string{
		"name: shop\n",
		config.Minimal + "nat: none\n",
		config.Minimal + "network: {nat: both}\n",
		config.Minimal + "network: {zones: [a, i]}\n",
		config.Minimal + "log_retention: 2\n",
		config.Minimal + "services: {web: {image: 'quay.io/x/y:1', port: 0}}\n",
		config.Minimal + "services: {web: {image: 'quay.io/x/y:1', route: {slow_start: 29}}}\n",
		config.Minimal + "services: {web: {image: 'quay.io/x/y:1', secrets: {A: hunter2}}}\n",
		config.Minimal + "database: {version: 17}\n",
		config.Minimal + "protected: 'true'\n",
		config.Minimal + "services: {web: {image: 'quay.io/x/y:1', permissions: [{action: x}]}}\n",
	} {
		if configtest.Fits(compiled, []byte(text)) == nil {
			t.Errorf("the schema accepts\n%s", text)
		}
	}
}

func TestShippedFilesNameTheirSchema(t *testing.T) {
	t.Parallel()
	for _, environment := range config.Shipped(t) {
		text, err := os.ReadFile("../../config/" + environment + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# yaml-language-server: $schema=schema.json\n") {
			t.Errorf("%s does not start with the line that names its schema", environment)
		}
		if err := configtest.Fits(configtest.CompiledSchema(t, schema(t)), text); err != nil {
			t.Errorf("%s: %v", environment, err)
		}
	}
}
