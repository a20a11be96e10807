package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"

	"platform/internal/config/yaml"
)

// node is a setting, an element of a list or a map, or a struct, list or map that contains them.
type node struct {
	path  string
	key   string            // of an element of a map; else ""
	tag   reflect.StructTag // of the field that the node is, or is an element of
	value reflect.Value
	keep  func() // stores what value was set to
}

// scalar reports whether a node cannot have nodes below it.
func (n node) scalar() bool {
	kind := n.value.Kind()
	return kind != reflect.Struct && kind != reflect.Map && kind != reflect.Slice
}

// walk visits every node of a configuration, parents first: fields in the order of their
// declaration, the elements of maps in the order of their keys. The nodes below a node are
// skipped if visit returns false.
func walk(cfg *Config, visit func(node) (below bool)) {
	node{value: reflect.ValueOf(cfg).Elem(), keep: func() {}}.walk(visit)
}

func (n node) walk(visit func(node) bool) {
	if !visit(n) {
		return
	}
	switch n.value.Kind() {
	case reflect.Struct:
		for field, value := range n.value.Fields() {
			if key := field.Tag.Get("yaml"); key != "-" {
				node{path: yaml.Join(n.path, key), tag: field.Tag, value: value, keep: n.keep}.walk(visit)
			}
		}
	case reflect.Map:
		elements := map[string]reflect.Value{}
		for _, key := range n.value.MapKeys() {
			elements[key.String()] = n.value.MapIndex(key)
		}
		for key, element := range inOrder(elements) {
			n.element(key, element).walk(visit)
		}
	case reflect.Slice:
		for i := range n.value.Len() {
			path := yaml.Join(n.path, strconv.Itoa(i))
			node{path: path, tag: n.tag, value: n.value.Index(i), keep: n.keep}.walk(visit)
		}
	}
}

// element returns an element of a map. It is a copy, because Go cannot change an element in place;
// keep stores it in the map.
func (n node) element(key string, value reflect.Value) node {
	element := reflect.New(value.Type()).Elem()
	element.Set(value)
	keep := func() {
		n.value.SetMapIndex(reflect.ValueOf(key), element)
		n.keep()
	}
	return node{path: yaml.Join(n.path, key), key: key, tag: n.tag, value: element, keep: keep}
}

// eachScalar visits the scalars of a configuration.
func eachScalar(cfg *Config, visit func(node)) {
	walk(cfg, func(n node) bool {
		if n.scalar() {
			visit(n)
		}
		return true
	})
}

// eachText visits every text of a configuration with its path; the keys of a map too, each with the
// path of its element.
func eachText(cfg *Config, visit func(path, text string)) {
	walk(cfg, func(n node) bool {
		if n.key != "" {
			visit(n.path, n.key)
		}
		if n.value.Kind() == reflect.String {
			visit(n.path, n.value.String())
		}
		return true
	})
}

// paths returns the paths of all nodes.
func paths(cfg *Config) map[string]bool {
	all := map[string]bool{}
	walk(cfg, func(n node) bool {
		all[n.path] = true
		return true
	})
	return all
}

// inOrder yields the elements of a map in the order of their keys.
func inOrder[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
