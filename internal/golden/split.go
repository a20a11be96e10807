package golden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Layout says which files a stack, Terraform's JSON of one configuration, is split into for review.
type Layout struct {
	Modules   []Module // the first that matches holds the resource
	Documents []Document
}

// Module is a file of resources by their addresses, or of a section of the stack such as output.
type Module struct {
	File    string         // without a folder; $1 is the first group of Address
	Address *regexp.Regexp // matches an address, or the name of a section
}

// Document is an argument that holds a text of its own, such as a policy. The text is in a file, and
// the module's file refers to it. JSON is indented there, with its keys in the order in which the
// program writes them, so that the string in the stack can be restored byte for byte.
type Document struct {
	Kind     string // the resource's type
	Argument string // its path, such as target.input
	ID       string // the resource's id; one * matches anything
	File     string // in a folder; * is what the * of ID matched
}

// reference begins a string that stands for the content of a file.
const reference = "-> "

// Split returns the files of a stack. What no module or document provides for is an error, so that
// every new resource gets its file on purpose.
func Split(stack map[string]any, layout Layout) (Files, error) {
	parts := partsOf(stack)
	modules, files := map[string]map[string]any{}, Files{}
	var errs []error
	for _, address := range slices.Sorted(maps.Keys(parts)) {
		file, err := layout.File(address)
		errs = append(errs, err)
		content, err := layout.extract(address, parts[address], files)
		errs = append(errs, err)
		if modules[file] == nil {
			modules[file] = map[string]any{}
		}
		modules[file][address] = content
	}
	for file, content := range modules {
		text, err := encode(content, "  ")
		errs = append(errs, err)
		files[file] = text
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return files, nil
}

// partsOf returns the resources of a stack by address, and its other sections by name.
func partsOf(stack map[string]any) map[string]any {
	parts := maps.Clone(stack)
	delete(parts, "resource")
	resources, _ := stack["resource"].(map[string]any)
	for kind, named := range resources {
		byID, _ := named.(map[string]any)
		for id, body := range byID {
			parts[kind+"."+id] = body
		}
	}
	return parts
}

// File returns the module file that holds a resource or a section.
func (l Layout) File(address string) (string, error) {
	for _, m := range l.Modules {
		if match := m.Address.FindStringSubmatchIndex(address); match != nil {
			return string(m.Address.ExpandString(nil, m.File, address, match)), nil
		}
	}
	return "", fmt.Errorf("%s: matches no module of the layout; add it to the one that a reviewer would open", address)
}

// extract adds a resource's documents to files, and returns the resource with references to them.
func (l Layout) extract(address string, content any, files Files) (any, error) {
	kind, id, _ := strings.Cut(address, ".")
	for _, d := range l.Documents {
		argument := strings.Split(d.Argument, ".")
		text, ok := at(content, argument).(string)
		if !ok || d.Kind != kind {
			continue
		}
		file, ok := d.file(id)
		if !ok {
			continue
		}
		if _, taken := files[file]; taken {
			return nil, fmt.Errorf("%s: %s: a second document in %s", address, d.Argument, file)
		}
		if path.Ext(file) == ".json" {
			indented, err := files.indent(text, file)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", address, d.Argument, err)
			}
			text = indented
		}
		files[file] = text
		content = with(content, argument, reference+file)
	}
	return content, unread(address, content, files)
}

// file returns the file of the document of the resource with an id.
func (d Document) file(id string) (string, bool) {
	before, after, wild := strings.Cut(d.ID, "*")
	if !wild {
		return d.File, id == d.ID
	}
	rest, ok := strings.CutPrefix(id, before)
	matched, ends := strings.CutSuffix(rest, after)
	return strings.Replace(d.File, "*", matched, 1), ok && ends
}

// unread returns an error if there is a string left that a reviewer could not read where it is.
func unread(address string, value any, files Files) error {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := unread(address+": "+key, v[key], files); err != nil {
				return err
			}
		}
	case []any:
		for _, below := range v {
			if err := unread(address, below, files); err != nil {
				return err
			}
		}
	case string:
		if file, ok := strings.CutPrefix(v, reference); ok {
			if _, ok := files[file]; !ok {
				return fmt.Errorf("%s: begins like a reference to a file: %q", address, v)
			}
		}
		isJSON := strings.ContainsAny(v[:min(1, len(v))], "{[") && json.Valid([]byte(v))
		if isJSON || strings.Contains(v, "\n") {
			return fmt.Errorf("%s: holds JSON or several lines; add a document to the layout", address)
		}
	}
	return nil
}

// Join returns the stack that was split into files: the files in folders are documents, and the
// others modules.
func Join(files Files) (map[string]any, error) {
	stack, resources, used := map[string]any{}, map[string]any{}, map[string]bool{}
	for file, text := range files {
		if strings.Contains(file, "/") {
			continue
		}
		var parts map[string]any
		if err := json.Unmarshal([]byte(text), &parts); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for address, content := range parts {
			whole, err := files.resolve(content, used)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", file, address, err)
			}
			kind, id, isResource := strings.Cut(address, ".")
			if !isResource {
				stack[address] = whole
				continue
			}
			if resources[kind] == nil {
				resources[kind] = map[string]any{}
			}
			resources[kind].(map[string]any)[id] = whole
		}
	}
	for file := range files {
		if strings.Contains(file, "/") && !used[file] {
			return nil, fmt.Errorf("%s: no module refers to it", file)
		}
	}
	if len(resources) > 0 {
		stack["resource"] = resources
	}
	return stack, nil
}

// resolve replaces the references in a value by what they refer to, and notes the files.
func (f Files) resolve(value any, used map[string]bool) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			whole, err := f.resolve(below, used)
			if err != nil {
				return nil, err
			}
			v[key] = whole
		}
	case []any:
		for i, below := range v {
			whole, err := f.resolve(below, used)
			if err != nil {
				return nil, err
			}
			v[i] = whole
		}
	case string:
		file, ok := strings.CutPrefix(v, reference)
		if !ok {
			return v, nil
		}
		text, ok := f[file]
		if !ok {
			return nil, fmt.Errorf("refers to %s, which is missing", file)
		}
		used[file] = true
		if path.Ext(file) == ".json" {
			return f.compact(text, used)
		}
		return text, nil
	}
	return value, nil
}

// ---- Values -------------------------------------------------------------------------------------

// at returns what is at a path; nil if there is nothing.
func at(value any, keys []string) any {
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// with returns a copy of an object that has something else at a path.
func with(value any, keys []string, replacement any) any {
	if len(keys) == 0 {
		return replacement
	}
	object := maps.Clone(value.(map[string]any))
	object[keys[0]] = with(object[keys[0]], keys[1:], replacement)
	return object
}

// encode writes JSON with < and > as they are.
func encode(content any, indent string) (string, error) {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(content)
	return out.String(), err
}

// indent spreads the JSON of a document over lines. Strings of several lines in it become files
// beside the document's. It is an error if compact would not return the same bytes.
func (f Files) indent(text, file string) (string, error) {
	var spread bytes.Buffer
	if err := json.Indent(&spread, []byte(text), "", "  "); err != nil {
		return "", err
	}
	spread.WriteByte('\n')
	count := 0
	out := jsonString.ReplaceAllStringFunc(spread.String(), func(encoded string) string {
		var lines string
		if err := json.Unmarshal([]byte(encoded), &lines); err != nil || !strings.Contains(lines, "\n") {
			return encoded
		}
		count++
		beside := fmt.Sprintf("%s_%d.txt", strings.TrimSuffix(file, path.Ext(file)), count)
		f[beside] = lines
		return `"` + reference + beside + `"`
	})
	back, err := f.compact(out, map[string]bool{})
	if err != nil {
		return "", err
	}
	if back != text {
		return "", fmt.Errorf("want JSON as the program writes it, without spaces around values, have %s", text)
	}
	return out, nil
}

// jsonString matches a string in JSON.
var jsonString = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// compact is the opposite of indent. It notes the files that the document refers to.
func (f Files) compact(text string, used map[string]bool) (string, error) {
	var missing error
	whole := jsonString.ReplaceAllStringFunc(text, func(encoded string) string {
		file, ok := strings.CutPrefix(strings.Trim(encoded, `"`), reference)
		if !ok {
			return encoded
		}
		lines, ok := f[file]
		if !ok {
			missing = fmt.Errorf("refers to %s, which is missing", file)
		}
		used[file] = true
		out, err := encode(lines, "")
		missing = errors.Join(missing, err)
		return strings.TrimSpace(out)
	})
	var out bytes.Buffer
	err := json.Compact(&out, []byte(whole))
	return out.String(), errors.Join(missing, err)
}
