package stacktest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The elements that a policy and its statements may have. One that is misspelled is refused here,
// as it is in AWS.
var (
	policyElements    = []string{"Version", "Id", "Statement"}
	statementElements = []string{
		"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
	}
)

// normalisePolicy writes the only element of a statement's list as a list, as IAM reads it.
func normalisePolicy(policy map[string]any) error {
	if err := onlyHas(policy, policyElements); err != nil {
		return err
	}
	if policy["Version"] != "2012-10-17" {
		return fmt.Errorf("want a policy of version 2012-10-17, have %v", policy["Version"])
	}
	statements, ok := policy["Statement"].([]any)
	if !ok {
		return fmt.Errorf("want a list of statements, have %v", policy["Statement"])
	}
	for _, one := range statements {
		statement, ok := one.(map[string]any)
		if !ok {
			return fmt.Errorf("want a statement, have %v", one)
		}
		if err := onlyHas(statement, statementElements); err != nil {
			return err
		}
		for _, element := range []string{"Action", "NotAction", "Resource", "NotResource"} {
			if text, ok := statement[element].(string); ok {
				statement[element] = []any{text}
			}
		}
		for _, element := range []string{"Principal", "NotPrincipal"} {
			listed(statement[element])
		}
		conditions, _ := statement["Condition"].(map[string]any)
		for _, keys := range conditions {
			listed(keys)
		}
	}
	return nil
}

func onlyHas(value map[string]any, elements []string) error {
	for _, name := range slices.Sorted(maps.Keys(value)) {
		if !slices.Contains(elements, name) {
			return fmt.Errorf("want one of %v, have %s", elements, name)
		}
	}
	return nil
}

// listed makes a list of each value of a mapping that is not one.
func listed(value any) {
	mapping, _ := value.(map[string]any)
	for key, one := range mapping {
		if _, ok := one.([]any); !ok {
			mapping[key] = []any{one}
		}
	}
}

// Statements returns the statements of a policy. Their addresses name the Sid too.
func (r Resource) Statements(policy string) []Resource {
	statements := r.Blocks(policy + ".Statement")
	for i, s := range statements {
		statements[i].Address = r.Address + " statement " + s.String("Sid")
	}
	return statements
}

// Principals returns whom a statement is for, each as type:identifier, in the order of types.
func (r Resource) Principals() []string {
	if everyone, ok := r.At("Principal").(string); ok {
		return []string{everyone}
	}
	var all []string
	types, _ := r.At("Principal").(map[string]any)
	for _, kind := range slices.Sorted(maps.Keys(types)) {
		for _, identifier := range r.Strings("Principal." + kind) {
			all = append(all, kind+":"+identifier)
		}
	}
	return all
}

// Conditions returns a statement's conditions, each as "operator key value", in the order of keys.
func (r Resource) Conditions() []string {
	type condition struct{ key, text string }
	var all []condition
	operators, _ := r.At("Condition").(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		keys, _ := operators[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			values, _ := keys[key].([]any)
			for _, value := range values {
				all = append(all, condition{key, fmt.Sprint(operator, " ", key, " ", value)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b condition) int { return strings.Compare(a.key, b.key) })
	var texts []string
	for _, c := range all {
		texts = append(texts, c.text)
	}
	return texts
}
