package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

type tree = map[string]any

// plainMaps are arguments with keys of the user, which are not converted to camel case.
var plainMaps = []string{"tags", "variables"}

var class = regexp.MustCompile(`export declare class (\w+) extends cdktf\.Terraform(?:Resource|DataSource|Provider)`)

// twin returns a TypeScript program that creates the stack of some JSON. packages is the folder of
// the provider's submodules.
func twin(stack tree, name, packages string) (string, error) {
	w := &writer{packages: packages, imported: map[string]string{
		"terraform-data": "DataResource", // a resource of Terraform itself, in cdktf
	}}
	for _, config := range stack["provider"].(tree)["aws"].([]any) {
		if err := w.construct("provider", "aws", "provider", config); err != nil {
			return "", err
		}
	}
	for _, section := range []string{"data", "resource"} {
		if err := w.section(section, stack[section].(tree)); err != nil {
			return "", err
		}
	}
	outputs, _ := stack["output"].(tree)
	for _, id := range slices.Sorted(maps.Keys(outputs)) {
		fmt.Fprintf(&w.body, "    new TerraformOutput(this, %s, %s);\n", literal(id), value(outputs[id], "output", ""))
	}
	w.terraform(stack["terraform"].(tree))
	return fmt.Sprintf(`import { Construct } from "constructs";
import { App, DataResource, LocalBackend, S3Backend, TerraformOutput, TerraformStack } from "cdktf";
%s
class Twin extends TerraformStack {
  constructor(scope: Construct, id: string) {
    super(scope, id);
%s  }
}

const app = new App({ stackTraces: false });
new Twin(app, %s);
app.synth();
`, w.imports.String(), w.body.String(), literal(name)), nil
}

// writer collects the parts of a TypeScript program.
type writer struct {
	packages      string
	imports, body strings.Builder
	imported      map[string]string // classes, by the provider's submodule
}

// section writes the data sources or the resources.
func (w *writer) section(section string, of tree) error {
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		submodule := strings.ReplaceAll(strings.TrimPrefix(kind, "aws_"), "_", "-")
		if section == "data" {
			submodule = "data-aws-" + submodule
		}
		named := of[kind].(tree)
		for _, id := range slices.Sorted(maps.Keys(named)) {
			if err := w.construct(submodule, id, kind, named[id]); err != nil {
				return err
			}
		}
	}
	return nil
}

// construct writes a provider, a data source or a resource.
func (w *writer) construct(submodule, id, kind string, config any) error {
	name, ok := w.imported[submodule]
	if !ok {
		types, err := os.ReadFile(filepath.Join(w.packages, submodule, "index.d.ts"))
		if err != nil {
			return err
		}
		found := class.FindSubmatch(types)
		if found == nil {
			return fmt.Errorf("%s has no class", submodule)
		}
		name = string(found[1])
		w.imported[submodule] = name
		fmt.Fprintf(&w.imports, "import { %s } from \"@cdktf/provider-aws/lib/%s\";\n", name, submodule)
	}
	fmt.Fprintf(&w.body, "    new %s(this, %s, %s);\n", name, literal(id), value(config, kind, ""))
	return nil
}

// terraform writes the backend and the versions.
func (w *writer) terraform(settings tree) {
	for backend, config := range settings["backend"].(tree) {
		fmt.Fprintf(&w.body, "    new %s(this, %s as any);\n",
			map[string]string{"local": "LocalBackend", "s3": "S3Backend"}[backend], value(config, "backend", ""))
		if lock := config.(tree)["use_lockfile"]; lock != nil {
			fmt.Fprintf(&w.body, "    this.addOverride(\"terraform.backend.s3.use_lockfile\", %s);\n", literal(lock))
		}
	}
	fmt.Fprintf(&w.body, "    this.addOverride(\"terraform.required_providers.aws\", %s);\n",
		literal(settings["required_providers"].(tree)["aws"]))
	fmt.Fprintf(&w.body, "    this.addOverride(\"terraform.required_version\", %s);\n",
		literal(settings["required_version"]))
}

// value returns a part of a configuration with the keys of TypeScript. kind is the type of the
// resource, and parent the key of the part.
func value(v any, kind, parent string) string {
	switch v := v.(type) {
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, value(item, kind, parent))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case tree:
		if slices.Contains(plainMaps, parent) || kind == "aws_wafv2_web_acl" && parent == "statement" ||
			kind == "output" && parent == "value" {
			return literal(v)
		}
		var fields []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			switch key {
			case "//":
			case "depends_on":
				var all []string
				for _, address := range v[key].([]any) {
					all = append(all, "{ fqn: "+literal(address)+" }")
				}
				fields = append(fields, "dependsOn: ["+strings.Join(all, ", ")+"]")
			default:
				fields = append(fields, camel(key)+": "+value(v[key], kind, key))
			}
		}
		return "{ " + strings.Join(fields, ", ") + " }"
	case string:
		if strings.HasPrefix(v, "${") { // may be a number or a list
			return literal(v) + " as any"
		}
	}
	return literal(v)
}

func camel(key string) string {
	words := strings.Split(key, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// differences returns the paths at which two stacks differ, except for cdktf's metadata ("//").
func differences(a, b any, path string) []string {
	switch x := a.(type) {
	case tree:
		y, ok := b.(tree)
		if !ok {
			return []string{path}
		}
		var all []string
		keys := map[string]bool{}
		for key := range x {
			keys[key] = true
		}
		for key := range y {
			keys[key] = true
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if key != "//" {
				all = append(all, differences(x[key], y[key], path+"."+key)...)
			}
		}
		return all
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return []string{path}
		}
		var all []string
		for i := range x {
			all = append(all, differences(x[i], y[i], fmt.Sprintf("%s[%d]", path, i))...)
		}
		return all
	}
	if a != b {
		return []string{fmt.Sprintf("%s: %v and %v", path, a, b)}
	}
	return nil
}
