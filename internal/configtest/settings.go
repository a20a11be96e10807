package configtest

import (
	"reflect"
	"strings"

	"platform/internal/config"
)

// Setting is one field of a configuration, for docs/settings.md and the schema.
type Setting struct {
	Path        string // with <name> for the key of a map, and without the index of a list
	Kind        reflect.Type
	Allowed     config.Allowed
	Description string
	Short       bool      // an element of a list may be this setting's value alone
	Children    []Setting // of a struct, a map of structs or a list of them
}

// SettingsOf returns the fields of a type below a path, in the order in which they are declared.
// The texts describe them, by Type.Field.
func SettingsOf(texts map[string]string, path string, kind reflect.Type) (all []Setting) {
	for field := range kind.Fields() {
		key := field.Tag.Get("yaml")
		if key == "-" {
			continue
		}
		s := Setting{
			Path:        strings.TrimPrefix(path+"."+key, "."),
			Kind:        field.Type,
			Allowed:     config.ReadAllowed(field.Tag),
			Description: texts[kind.Name()+"."+field.Name],
			Short:       field.Tag.Get("short") == "true",
		}
		switch element := ElementOf(field.Type); {
		case field.Type.Kind() == reflect.Struct:
			s.Children = SettingsOf(texts, s.Path, field.Type)
		case element != nil && element.Kind() == reflect.Struct && field.Type.Kind() == reflect.Map:
			s.Children = SettingsOf(texts, s.Path+".<name>", element)
		case element != nil && element.Kind() == reflect.Struct:
			s.Children = SettingsOf(texts, s.Path, element)
		}
		all = append(all, s)
	}
	return all
}

// ElementOf returns the type of a map's or a list's elements; nil for any other type.
func ElementOf(kind reflect.Type) reflect.Type {
	if kind.Kind() == reflect.Map || kind.Kind() == reflect.Slice {
		return kind.Elem()
	}
	return nil
}
