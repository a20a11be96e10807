package stacktest

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

var (
	interpolation = regexp.MustCompile(`\$\{[^}]*\}`)
	reference     = regexp.MustCompile(`(?:data\.)?(?:aws_[a-z0-9_]+|terraform_data)\.[A-Za-z0-9_-]+`)
)

// References returns the addresses that the expressions in a value name, sorted. "$${" is an escaped
// "${" and no expression.
func References(value any) []string {
	found := map[string]bool{}
	EachString(value, func(_, text string) {
		if !strings.Contains(text, "${") {
			return
		}
		for _, expression := range interpolation.FindAllString(strings.ReplaceAll(text, "$${", ""), -1) {
			for _, address := range addressesIn(expression) {
				found[address] = true
			}
		}
	})
	return slices.Sorted(maps.Keys(found))
}

// addressesIn returns the addresses in an expression. Most expressions are in every stack and in
// every copy of one, so each is searched once.
func addressesIn(expression string) []string {
	if known, ok := knownExpressions.Load(expression); ok {
		return known.([]string)
	}
	addresses := reference.FindAllString(expression, -1)
	knownExpressions.Store(expression, addresses)
	return addresses
}

var knownExpressions sync.Map // the addresses in an expression, by the expression

// References returns the addresses that an argument names, sorted.
func (r Resource) References(path string) []string { return References(r.At(path)) }

// Reference returns the one address that an argument names; empty if it names none or several.
func (r Resource) Reference(path string) string {
	if all := r.References(path); len(all) == 1 {
		return all[0]
	}
	return ""
}

// Referring returns those of the resources whose argument at a path names an address.
func Referring(all []Resource, path, address string) []Resource {
	return Filter(all, func(r Resource) bool { return slices.Contains(r.References(path), address) })
}

// Filter returns those of the resources that match.
func Filter(all []Resource, match func(Resource) bool) []Resource {
	return slices.DeleteFunc(slices.Clone(all), func(r Resource) bool { return !match(r) })
}

// EachString calls visit for every string in a value, with the path to it. Elements of lists appear
// there by their position.
func EachString(value any, visit func(path, text string)) { eachStringBelow("", value, visit) }

func eachStringBelow(path string, value any, visit func(path, text string)) {
	below := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v := value.(type) {
	case string:
		visit(path, v)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			eachStringBelow(below(key), v[key], visit)
		}
	case []any:
		for i, item := range v {
			eachStringBelow(below(strconv.Itoa(i)), item, visit)
		}
	case []string:
		for i, item := range v {
			visit(below(strconv.Itoa(i)), item)
		}
	}
}

// Resolve replaces references to arguments of the stack by their values, and what AWS decides by
// something of the same length. What remains of "${...}" cannot be known before a deployment.
func (s Stack) Resolve(text string) string {
	return interpolation.ReplaceAllStringFunc(text, func(expression string) string {
		inside := strings.TrimSuffix(strings.TrimPrefix(expression, "${"), "}")
		switch {
		case inside == "data.aws_caller_identity.caller.account_id":
			return "123456789012"
		case strings.HasPrefix(inside, "terraform_data.") && strings.HasSuffix(inside, ".output.made"):
			return "20261123030000"
		}
		if address := reference.FindString(inside); address != "" {
			argument := strings.TrimPrefix(inside, address+".")
			if value := s.Resource(address).String(argument); value != "" {
				return s.Resolve(value)
			}
		}
		return expression
	})
}

// Order holds, for each address, those that it depends on directly: by depends_on, or by a reference.
type Order map[string][]string

// Order returns what depends on what.
func (s Stack) Order() Order {
	o := Order{}
	for _, r := range slices.Concat(s.Resources(), s.DataSources()) {
		o[r.Address] = append(r.Strings("depends_on"), References(r.body)...)
	}
	return o
}

// Before returns all addresses that Terraform creates before one, and deletes only after it.
func (o Order) Before(address string) map[string]bool {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(at string) {
		for _, next := range o[at] {
			if !seen[next] {
				seen[next] = true
				visit(next)
			}
		}
	}
	visit(address)
	return seen
}
