package stacktest

import (
	"fmt"
	"strings"
)

// step is one part of a path: an argument, and if it is a list, the field that chooses an element:
// by its value, or by being there at all. The field may be a path too, such as properties.title of
// a dashboard's widgets.
type step struct {
	name, field, value string
	anyValue           bool
}

// steps reads a path such as policy.Statement[Sid=Prune].Action. A value may contain dots.
func steps(path string) []step {
	var all []step
	for rest := path; rest != ""; {
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			return append(all, step{name: rest})
		}
		s := step{name: rest[:end]}
		if rest[end] == '[' {
			closing := strings.IndexByte(rest, ']')
			if closing < 0 {
				panic("no ] in path " + path)
			}
			var valued bool
			s.field, s.value, valued = strings.Cut(rest[end+1:closing], "=")
			s.anyValue = !valued
			end = closing + 1
			if end < len(rest) && rest[end] != '.' {
				panic("want a dot after ] in path " + path)
			}
		}
		all = append(all, s)
		rest = strings.TrimPrefix(rest[end:], ".")
	}
	return all
}

// at follows a path. A list without a selector is followed if it has one element, since Terraform's
// JSON writes a single block as a list too.
func at(value any, path string) any {
	for _, s := range steps(path) {
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		mapping, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = mapping[s.name]
		if s.field != "" {
			if value = selected(value, s); value == nil {
				return nil
			}
		}
	}
	return value
}

// selected finds the element that a step selects; nil if there is none, or more than one.
func selected(value any, s step) any {
	list, _ := value.([]any)
	var found any
	for _, item := range list {
		if element, ok := item.(map[string]any); ok && s.selects(at(element, s.field)) {
			if found != nil {
				return nil
			}
			found = item
		}
	}
	return found
}

func (s step) selects(field any) bool {
	if s.anyValue {
		return field != nil
	}
	return fmt.Sprint(field) == s.value
}

// parentOf splits a path before its last argument, which may end in a selector.
func parentOf(path string) (parent, last string) {
	depth := 0
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i] {
		case ']':
			depth++
		case '[':
			depth--
		case '.':
			if depth == 0 {
				return path[:i], path[i+1:]
			}
		}
	}
	return "", path
}

// holderOf finds the object whose argument is last on a path; nil if there is none.
func holderOf(body map[string]any, path string) (holder map[string]any, last string) {
	parent, last := parentOf(path)
	value := any(body)
	if parent != "" {
		value = at(body, parent)
	}
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	holder, _ = value.(map[string]any)
	return holder, last
}

// set gives the argument at a path a value, whether or not it is there.
func set(body map[string]any, path string, value any) error {
	holder, last := holderOf(body, path)
	if holder == nil || strings.HasSuffix(last, "]") {
		return fmt.Errorf("no argument %s", path)
	}
	holder[last] = value
	return nil
}
