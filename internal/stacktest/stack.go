// Package stacktest reads a synthesised stack in tests, and breaks copies of it.
//
// A Stack is Terraform's JSON of one configuration. Arguments that hold JSON in a string, such as
// policies and container definitions, are decoded in place when it is loaded, so that one path
// reaches everything:
//
//	s.Resource("aws_iam_role_policy.backup_function_role_policy").
//		Strings("policy.Statement[Sid=Prune].Action")
//	s.Resource("aws_ecs_task_definition.service_web_task_definition").
//		String("container_definitions[name=web].environment[name=PGSSLMODE].value")
//
// A path is made of argument names. An element of a list is chosen by a field of it, never by its
// position, so that a new element moves no other: rule[name=common] is the one with that name,
// condition[host_header] the only one that has such a field.
//
// A Promise says what holds in every stack, with the mutations that break it: see promise.go.
package stacktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Stack is a synthesised stack. It is read-only; mutations change copies.
type Stack struct {
	root map[string]any
}

// Resource is a resource or a data source, or a block or list element of one, with the address to
// name it by. The address of a data source begins with "data.".
type Resource struct {
	Address string
	body    map[string]any
}

// encoded are the arguments that hold JSON in a string, by the kind of resource. The lists in a
// policy's statements may be written as their only element; they are lists once decoded. What a
// schedule sends stays a string: EventBridge replaces placeholders in the text, however it is
// escaped, so the text itself matters.
var encoded = map[string][]string{
	"aws_iam_role":              {"assume_role_policy"},
	"aws_iam_role_policy":       {"policy"},
	"aws_kms_key":               {"policy"},
	"aws_s3_bucket_policy":      {"policy"},
	"aws_sns_topic_policy":      {"policy"},
	"aws_ecr_lifecycle_policy":  {"policy"},
	"aws_ecs_task_definition":   {"container_definitions"},
	"aws_cloudwatch_event_rule": {"event_pattern"},
	"aws_cloudwatch_dashboard":  {"dashboard_body"},
	"aws_lambda_invocation":     {"input"},
}

// Parse reads what cdktf wrote to cdk.tf.json.
func Parse(text []byte) (Stack, error) {
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		return Stack{}, err
	}
	s := Stack{root}
	for kind, paths := range encoded {
		for _, r := range s.Resources(kind) {
			for _, path := range paths {
				if err := r.decode(path); err != nil {
					return Stack{}, fmt.Errorf("%s: %s: %w", r.Address, path, err)
				}
			}
		}
	}
	return s, nil
}

// decode replaces JSON in a string by what it says.
func (r Resource) decode(path string) error {
	text, ok := r.At(path).(string)
	if !ok {
		return nil
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	if policy, ok := value.(map[string]any); ok && policy["Statement"] != nil {
		if err := normalisePolicy(policy); err != nil {
			return err
		}
	}
	return set(r.body, path, value)
}

// Copy returns a stack that can be changed without changing this one.
func (s Stack) Copy() Stack { return Stack{copied(s.root).(map[string]any)} }

func copied(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, below := range v {
			out[key] = copied(below)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, below := range v {
			out[i] = copied(below)
		}
		return out
	}
	return value
}

// Resources returns the resources of the kinds given, or all, in the order of their addresses. One whose
// count is 0 is no resource.
func (s Stack) Resources(kinds ...string) []Resource { return s.section("resource", "", kinds) }

// DataSources returns the data sources of the kinds given, or all, in the order of their addresses.
func (s Stack) DataSources(kinds ...string) []Resource { return s.section("data", "data.", kinds) }

func (s Stack) section(name, prefix string, kinds []string) []Resource {
	var all []Resource
	section, _ := s.root[name].(map[string]any)
	for kind, named := range section {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		byID, _ := named.(map[string]any)
		for id, body := range byID {
			r := Resource{prefix + kind + "." + id, body.(map[string]any)}
			if !r.Is("count", 0.0) {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b Resource) int { return strings.Compare(a.Address, b.Address) })
	return all
}

// Resource finds a resource or data source by its address. Exists tells whether it was found: what
// was not has no arguments.
func (s Stack) Resource(address string) Resource {
	section, rest := "resource", address
	if below, ok := strings.CutPrefix(address, "data."); ok {
		section, rest = "data", below
	}
	kind, id, _ := strings.Cut(rest, ".")
	all, _ := s.root[section].(map[string]any)
	ofKind, _ := all[kind].(map[string]any)
	body, _ := ofKind[id].(map[string]any)
	return Resource{address, body}
}

// At returns what is at a path from the root, such as provider.aws or terraform.backend.
func (s Stack) At(path string) any { return at(s.root, path) }

// Provider is the AWS provider's configuration.
func (s Stack) Provider() Resource {
	list, _ := s.At("provider.aws").([]any)
	if len(list) == 0 {
		return Resource{Address: "provider.aws"}
	}
	body, _ := list[0].(map[string]any)
	return Resource{"provider.aws", body}
}

// Region is the AWS region of the stack.
func (s Stack) Region() string { return s.Provider().String("region") }

// Name is <application>-<environment>, from the tags that every resource gets.
func (s Stack) Name() string {
	for _, defaults := range s.Provider().Blocks("default_tags") {
		return defaults.String("tags.Application") + "-" + defaults.String("tags.Environment")
	}
	return ""
}
