package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"platform/internal/config/yaml"
)

// A variable of the environment sets a setting: INFRA_SERVICES_WEB_IMAGE sets services.web.image.
// The exception is strictVariable, which turns warnings into errors.
const (
	variablePrefix = "INFRA_"
	strictVariable = "INFRA_STRICT"
)

var notInVariables = regexp.MustCompile(`[^A-Z0-9]`)

// variableOf returns the name of the variable for a path.
func variableOf(path string) string {
	return variablePrefix + notInVariables.ReplaceAllString(strings.ToUpper(path), "_")
}

// infraVariables returns the variables that set a setting, by name.
func infraVariables(environ []string) map[string]string {
	variables := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, variablePrefix) && name != strictVariable {
			variables[name] = value
		}
	}
	return variables
}

// readStrict reports whether warnings are errors: INFRA_STRICT is true.
func readStrict(environ []string) (bool, error) {
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name != strictVariable {
			continue
		}
		if value != "true" && value != "false" && value != "" {
			return false, fmt.Errorf("%s: want true or false, have %q", strictVariable, value)
		}
		return value == "true", nil
	}
	return false, nil
}

// override replaces settings by the values of variables. A variable can set any scalar that the
// file or a default has, including elements of lists and maps, but it cannot add an element.
// Problems are reported under the variable's name.
func override(cfg *Config, doc *Document, variables map[string]string) {
	if len(variables) == 0 {
		return
	}
	settings := map[string][]node{}
	eachScalar(cfg, func(n node) {
		name := variableOf(n.path)
		settings[name] = append(settings[name], n)
	})
	for name, value := range inOrder(variables) {
		targets := settings[name]
		switch {
		case len(targets) == 0:
			hint := ""
			if near := yaml.Nearest(name, slices.Sorted(maps.Keys(settings))); near != "" {
				hint = ", did you mean " + near + "?"
			}
			doc.AddVariable(name, "matches no setting%s", hint)
		case value == "":
			doc.AddVariable(name, "is empty: set a value or unset the variable")
		case len(targets) > 1:
			doc.AddVariable(name, "matches both %s and %s: rename one of them",
				targets[0].path, targets[1].path)
		default:
			doc.SetBy(name, targets[0].path)
			targets[0].set(doc, value)
		}
	}
}

// set gives a scalar the value of a variable.
func (n node) set(doc *Document, text string) {
	switch n.value.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			doc.Refuse(n.path, "want true or false, have %q", text)
			return
		}
		n.value.SetBool(text == "true")
	case reflect.Int:
		number, err := strconv.Atoi(text)
		if err != nil || !yaml.IsDecimal(text) {
			doc.Refuse(n.path, "want a whole number in decimal digits, without leading zeros, have %q", text)
			return
		}
		n.value.SetInt(int64(number))
	case reflect.Float64:
		number, ok := yaml.Fraction(text)
		if !ok {
			doc.Refuse(n.path, "want a number such as 99.9, have %q", text)
			return
		}
		n.value.SetFloat(number)
	default:
		n.value.SetString(text)
	}
	n.keep()
}
