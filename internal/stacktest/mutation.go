package stacktest

import (
	"fmt"
	"slices"
	"strings"
)

// Mutation breaks a copy of a stack. It fails if there is nothing to break, so that a case that no
// longer tests anything is noticed.
type Mutation func(Stack) error

// Set gives an argument that is there another value.
func Set(address, path string, value any) Mutation {
	return func(s Stack) error {
		r, err := s.having(address, path)
		if err != nil {
			return err
		}
		return set(r.body, path, copied(value))
	}
}

// Add gives a resource an argument that it does not have.
func Add(address, path string, value any) Mutation {
	return func(s Stack) error {
		r, err := s.existing(address)
		if err != nil {
			return err
		}
		if r.Has(path) {
			return fmt.Errorf("%s has %s already", address, path)
		}
		return set(r.body, path, copied(value))
	}
}

// Remove takes an argument away, or an element of a list if the path ends in a selector.
func Remove(address, path string) Mutation {
	return func(s Stack) error {
		r, err := s.having(address, path)
		if err != nil {
			return err
		}
		if list, selector, ok := cutSelector(path); ok {
			elements, _ := r.At(list).([]any)
			rest := slices.DeleteFunc(slices.Clone(elements), func(item any) bool {
				return selected([]any{item}, selector) != nil
			})
			return set(r.body, list, rest)
		}
		remove(r.body, path)
		return nil
	}
}

// remove deletes an argument that is there.
func remove(body map[string]any, path string) {
	holder, last := holderOf(body, path)
	delete(holder, last)
}

// cutSelector splits a path that ends in a selector.
func cutSelector(path string) (list string, selector step, ok bool) {
	if !strings.HasSuffix(path, "]") {
		return "", step{}, false
	}
	all := steps(path)
	opening := strings.LastIndexByte(path, '[')
	return path[:opening], all[len(all)-1], true
}

// Append adds elements to a list that is there.
func Append(address, path string, elements ...any) Mutation {
	return func(s Stack) error {
		r, err := s.existing(address)
		if err != nil {
			return err
		}
		list, ok := r.At(path).([]any)
		if !ok {
			return fmt.Errorf("%s has no list %s", address, path)
		}
		return set(r.body, path, slices.Concat(list, copied(elements).([]any)))
	}
}

// Replace changes part of a text, or of each text in a list.
func Replace(address, path, old, with string) Mutation {
	return func(s Stack) error {
		r, err := s.existing(address)
		if err != nil {
			return err
		}
		found := false
		replaced := func(text string) string {
			found = found || strings.Contains(text, old)
			return strings.ReplaceAll(text, old, with)
		}
		var value any
		switch v := r.At(path).(type) {
		case string:
			value = replaced(v)
		case []any:
			var list []any
			for _, text := range v {
				list = append(list, replaced(fmt.Sprint(text)))
			}
			value = list
		}
		if !found {
			return fmt.Errorf("%s has no %q in %s", address, old, path)
		}
		return set(r.body, path, value)
	}
}

// Delete takes a resource or data source away.
func Delete(address string) Mutation {
	return func(s Stack) error {
		if _, err := s.existing(address); err != nil {
			return err
		}
		section, rest := "resource", address
		if below, ok := strings.CutPrefix(address, "data."); ok {
			section, rest = "data", below
		}
		kind, id, _ := strings.Cut(rest, ".")
		delete(s.root[section].(map[string]any)[kind].(map[string]any), id)
		return nil
	}
}

// Create declares a new resource.
func Create(address string, body map[string]any) Mutation {
	return func(s Stack) error {
		if s.Resource(address).Exists() {
			return fmt.Errorf("%s is in this stack already", address)
		}
		kind, id, _ := strings.Cut(address, ".")
		all := s.root["resource"].(map[string]any)
		if all[kind] == nil {
			all[kind] = map[string]any{}
		}
		all[kind].(map[string]any)[id] = copied(body)
		return nil
	}
}

// CreateLike declares a new resource that is like another but for one argument.
func CreateLike(address, as, path string, value any) Mutation {
	return func(s Stack) error {
		r, err := s.existing(address)
		if err != nil {
			return err
		}
		if err := Create(as, r.body)(s); err != nil {
			return err
		}
		return set(s.Resource(as).body, path, copied(value))
	}
}

// RemoveDependency takes an address out of depends_on, or all of a kind, written with the dot that
// follows it.
func RemoveDependency(address, on string) Mutation {
	return func(s Stack) error {
		r, err := s.existing(address)
		if err != nil {
			return err
		}
		list, _ := r.At("depends_on").([]any)
		rest := slices.DeleteFunc(slices.Clone(list), func(other any) bool {
			name := fmt.Sprint(other)
			return name == on || strings.HasSuffix(on, ".") && strings.HasPrefix(name, on)
		})
		if len(rest) == len(list) {
			return fmt.Errorf("%s does not depend on %s", address, on)
		}
		r.body["depends_on"] = rest
		return nil
	}
}

// SetRoot gives the provider, or another part outside of the resources, another value.
func SetRoot(path string, value any) Mutation {
	return func(s Stack) error {
		if s.At(path) == nil {
			return fmt.Errorf("the stack has no %s", path)
		}
		return set(s.root, path, copied(value))
	}
}

// RemoveRoot takes something away from the provider, or another part outside of the resources.
func RemoveRoot(path string) Mutation {
	return func(s Stack) error {
		if s.At(path) == nil {
			return fmt.Errorf("the stack has no %s", path)
		}
		remove(s.root, path)
		return nil
	}
}

// All does one mutation after the other.
func All(mutations ...Mutation) Mutation {
	return func(s Stack) error {
		for _, mutate := range mutations {
			if err := mutate(s); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s Stack) existing(address string) (Resource, error) {
	r := s.Resource(address)
	if !r.Exists() {
		return r, fmt.Errorf("%s is not in this stack", address)
	}
	return r, nil
}

// having finds a resource that has something at a path.
func (s Stack) having(address, path string) (Resource, error) {
	r, err := s.existing(address)
	if err == nil && !r.Has(path) {
		err = fmt.Errorf("%s has no %s", address, path)
	}
	return r, err
}
