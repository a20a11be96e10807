// Package teardown decides what stays when a stack is destroyed, and how Terraform is told.
//
// A stack that leaves backups must not take along what they need: KMS keys, generated secrets, and a
// bucket that has objects. These have prevent_destroy, also after `protected: false`, so that `terraform destroy`
// refuses before it has changed anything. To destroy the rest, Terraform applies a configuration
// that has only these resources: it destroys everything else that is in the state.
//
// What stays also stays in the state. So an interrupted destruction can be repeated, or undone by a
// deployment, with the same keys; and a later stack of the same name takes its keys, secrets and
// bucket back. `terraform state rm` or `removed` blocks would remove the keys from the state before the
// database is deleted: a deployment after an interruption would create new keys, and replace the
// database because its key changed.
package teardown

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

// Stack is a synthesised stack.
type Stack struct {
	root map[string]any

	// resources and data are the bodies by address, such as aws_kms_key.database_key and
	// data.aws_caller_identity.caller.
	resources, data map[string]map[string]any
}

// Parse reads a stack's cdk.tf.json.
func Parse(text []byte) (*Stack, error) {
	s := &Stack{}
	if err := json.Unmarshal(text, &s.root); err != nil {
		return nil, err
	}
	s.resources = bodies(s.root["resource"], "")
	s.data = bodies(s.root["data"], "data.")
	return s, nil
}

// Read returns the stack that cdktf.out has been written for.
func Read(folder string) (name string, stack *Stack, err error) {
	text, err := os.ReadFile(filepath.Join(folder, "manifest.json"))
	if err != nil {
		return "", nil, fmt.Errorf("run make synth first: %w", err)
	}
	var manifest struct {
		Stacks map[string]struct {
			Path string `json:"synthesizedStackPath"`
		}
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return "", nil, fmt.Errorf("manifest.json: %w", err)
	}
	for name, entry := range manifest.Stacks {
		if text, err = os.ReadFile(filepath.Join(folder, entry.Path)); err != nil {
			return "", nil, err
		}
		stack, err = Parse(text)
		return name, stack, err
	}
	return "", nil, fmt.Errorf("%s: has no stack: run make synth", folder)
}

func bodies(kinds any, prefix string) map[string]map[string]any {
	all := map[string]map[string]any{}
	for kind, named := range object(kinds) {
		for name, body := range object(named) {
			all[prefix+kind+"."+name] = object(body)
		}
	}
	return all
}

func object(value any) map[string]any {
	o, _ := value.(map[string]any)
	return o
}

func list(value any) []any {
	l, _ := value.([]any)
	return l
}

// Empty is a configuration without resources, with which Terraform can read the state.
func (s *Stack) Empty() ([]byte, error) { return s.configuration(nil) }

// Region is the region of the stack.
func (s *Stack) Region() string {
	for _, provider := range list(object(s.root["provider"])["aws"]) {
		p := object(provider)
		if region, ok := p["region"].(string); ok && p["alias"] == nil {
			return region
		}
	}
	return ""
}

// Databases are those that services of the stack use: the main one, and the others in order.
func (s *Stack) Databases() (main string, further []string) {
	variables := func(function string) map[string]any {
		environment := s.resources["aws_lambda_function."+function]["environment"]
		return object(object(environment)["variables"])
	}
	main, _ = variables("database_function")["PGDATABASE"].(string)
	text, _ := variables("backup_function")["FURTHER_DATABASES"].(string)
	var since map[string]string
	_ = json.Unmarshal([]byte(text), &since) // the program wrote it; "" if there are none
	return main, slices.Sorted(maps.Keys(since))
}

// Addresses are those of the stack's resources, in order.
func (s *Stack) Addresses() []string { return slices.Sorted(maps.Keys(s.resources)) }

// Plan says what is destroyed and what stays.
type Plan struct {
	Configuration []byte // to apply
	Destroyed     int    // number of resources

	Kept      []Kept
	Snapshots []Snapshot
}

// Snapshot is the final snapshot that deleting an instance takes.
type Snapshot struct {
	Address  string // of the instance
	Instance string // identifier
	Name     string
}

// Bucket is a bucket that was deployed.
type Bucket struct{ Name, Region string }

// Kept is a resource that stays.
type Kept struct{ Address, Name string }

// Plan compares the stack with its state. It refuses if the stack is protected, or if the state
// shows that the configuration was not deployed. isEmpty tells whether a bucket has no objects:
// then it does not stay.
func (s *Stack) Plan(state *tfjson.State, isEmpty func(Bucket) (bool, error)) (*Plan, error) {
	deployed := map[string]map[string]any{}
	if state.Values != nil && state.Values.RootModule != nil {
		for _, r := range state.Values.RootModule.Resources {
			if r.Mode == tfjson.ManagedResourceMode {
				deployed[r.Address] = r.AttributeValues
			}
		}
	}
	if err := s.refuse(deployed); err != nil {
		return nil, err
	}
	kept, err := s.kept(deployed, isEmpty)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	for _, address := range slices.Sorted(maps.Keys(deployed)) {
		attributes := deployed[address]
		if attributes["skip_final_snapshot"] == false {
			p.Snapshots = append(p.Snapshots, Snapshot{
				address, fmt.Sprint(attributes["identifier"]), fmt.Sprint(attributes["final_snapshot_identifier"]),
			})
		}
		switch {
		case !kept[address]:
			p.Destroyed++
		case strings.HasPrefix(address, bucketKind):
			p.Kept = append(p.Kept, Kept{address, fmt.Sprint(attributes["bucket"])})
		case strings.HasPrefix(address, keyKind), strings.HasPrefix(address, secretKind):
			p.Kept = append(p.Kept, Kept{address, fmt.Sprint(attributes["arn"])})
		}
	}
	p.Configuration, err = s.configuration(kept)
	return p, err
}

const (
	bucketKind, keyKind, databaseKind = "aws_s3_bucket.", "aws_kms_key.", "aws_db_instance."

	secretKind, secretVersionKind = "aws_secretsmanager_secret.", "aws_secretsmanager_secret_version."

	replicationKind = "aws_db_instance_automated_backups_replication."
)

// keptKinds are the kinds of resources that have prevent_destroy after protected: false.
var keptKinds = []string{bucketKind, keyKind, secretKind, secretVersionKind}

func isOf(kinds []string, address string) bool {
	return slices.ContainsFunc(kinds, func(kind string) bool { return strings.HasPrefix(address, kind) })
}

var errProtected = errors.New("the stack is protected: set protected: false, run make deploy, then make destroy")

// refuse returns why the stack cannot be destroyed. AWS would refuse too, but only after other
// resources have been destroyed.
func (s *Stack) refuse(deployed map[string]map[string]any) error {
	for _, address := range slices.Sorted(maps.Keys(s.resources)) {
		if s.prevented(address) && !isOf(keptKinds, address) {
			return fmt.Errorf("%s: %w", address, errProtected)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(deployed)) {
		attributes, configured := deployed[address], s.resources[address]
		if attributes["deletion_protection"] == true || attributes["enable_deletion_protection"] == true {
			return fmt.Errorf("%s: has deletion protection: run make deploy with protected: false first", address)
		}
		if !strings.HasPrefix(address, databaseKind) || configured == nil {
			continue
		}
		for _, argument := range []string{"skip_final_snapshot", "delete_automated_backups"} {
			if attributes[argument] != configured[argument] {
				return fmt.Errorf("%s: %s is %v, but %v in the configuration: run make deploy first",
					address, argument, attributes[argument], configured[argument])
			}
		}
	}
	return nil
}

// prevented tells whether Terraform may not destroy a resource.
func (s *Stack) prevented(address string) bool {
	return object(s.resources[address]["lifecycle"])["prevent_destroy"] == true
}

// kept returns the addresses of what stays: resources in the state, and data sources.
func (s *Stack) kept(deployed map[string]map[string]any, isEmpty func(Bucket) (bool, error)) (map[string]bool, error) {
	kept, unneeded := map[string]bool{}, map[string]bool{}
	var add func(address string)
	add = func(address string) {
		if kept[address] || s.data[address] == nil && (s.resources[address] == nil || deployed[address] == nil) {
			return
		}
		kept[address] = true
		for _, other := range references(s.body(address)) {
			add(other)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(s.resources)) {
		if !strings.HasPrefix(address, bucketKind) || !s.prevented(address) || deployed[address] == nil {
			continue
		}
		region, ok := deployed[address]["region"].(string)
		if !ok {
			region = s.Region()
		}
		empty, err := isEmpty(Bucket{fmt.Sprint(deployed[address]["bucket"]), region})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", address, err)
		}
		for _, part := range s.bucketParts(address) {
			if !empty {
				add(part)
				continue
			}
			for _, key := range references(s.resources[part]) { // keys of objects, of which there are none
				unneeded[key] = true
			}
		}
	}
	for address, body := range s.resources {
		// The automated backups in the other region stay too.
		if strings.HasPrefix(address, replicationKind) {
			for _, key := range references(body) {
				delete(unneeded, key)
			}
		}
	}
	for address := range s.resources {
		if isOf(keptKinds[1:], address) && s.prevented(address) && !unneeded[address] {
			add(address)
		}
	}
	return kept, nil
}

// bucketParts returns a bucket and the resources that configure it.
func (s *Stack) bucketParts(bucket string) []string {
	parts := []string{bucket}
	for address, body := range s.resources {
		// A bucket that stays needs no replication, whose role is destroyed.
		if strings.HasPrefix(address, "aws_s3_bucket_replication_configuration.") {
			continue
		}
		if slices.Contains(references(body["bucket"]), bucket) {
			parts = append(parts, address)
		}
	}
	return parts
}

func (s *Stack) body(address string) map[string]any {
	if body := s.resources[address]; body != nil {
		return body
	}
	return s.data[address]
}

var reference = regexp.MustCompile(`\b(?:data\.)?[a-z][a-z0-9]*_[a-z0-9_]+\.[A-Za-z][A-Za-z0-9_-]*`)

// references returns the addresses that a value refers to, and other texts that look like one.
func references(value any) (all []string) {
	switch v := value.(type) {
	case string:
		return reference.FindAllString(v, -1)
	case []any:
		for _, element := range v {
			all = append(all, references(element)...)
		}
	case map[string]any:
		for _, element := range v {
			all = append(all, references(element)...)
		}
	}
	return all
}

// configuration returns a configuration that has only some of the stack's resources. They depend on
// each other by reference alone: what is only in depends_on may have been destroyed already.
func (s *Stack) configuration(kept map[string]bool) ([]byte, error) {
	configuration := map[string]any{"terraform": s.root["terraform"], "provider": s.root["provider"]}
	add := func(section, kind, name string, body map[string]any) {
		sections, _ := configuration[section].(map[string]map[string]any)
		if sections == nil {
			sections = map[string]map[string]any{}
			configuration[section] = sections
		}
		if sections[kind] == nil {
			sections[kind] = map[string]any{}
		}
		body = maps.Clone(body)
		delete(body, "depends_on")
		sections[kind][name] = body
	}
	if s.root["ephemeral"] != nil && slices.ContainsFunc(slices.Collect(maps.Keys(kept)), func(address string) bool {
		return strings.HasPrefix(address, secretVersionKind)
	}) {
		// The versions refer to their values, which are not sent again.
		configuration["ephemeral"] = s.root["ephemeral"]
	}
	for address := range kept {
		section, rest := "resource", address
		if data, ok := strings.CutPrefix(address, "data."); ok {
			section, rest = "data", data
		}
		kind, name, _ := strings.Cut(rest, ".")
		add(section, kind, name, s.body(address))
	}
	return json.MarshalIndent(configuration, "", "  ")
}
