package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// part is something that the stack may have several of, such as services. Its id begins the ids of
// all that belongs to it; its name begins their names in AWS. The names of tasks and security groups
// of the platform itself contain an underscore, which the name of a service cannot: so no service has
// the name of one of them, whatever the platform gets later.
type part struct{ id, name string }

// taskRole is the id of the role of a part's tasks.
func (p part) taskRole() string { return p.id + "_task_role" }

// serviceID begins the ids of all that belongs to a service. A dash of the name becomes two
// underscores, and no id has two otherwise: the database secret of web is not the secret of
// web-database.
func serviceID(name string) string { return "service_" + doubled(name, "_") }

// doubled replaces each dash of a service's name by two separators, where the text that follows the
// name could be a part of another service's name.
func doubled(name, separator string) string {
	return strings.ReplaceAll(name, "-", separator+separator)
}

// dashed turns an id's underscores into dashes, as AWS names have them.
func dashed(id string) string { return strings.ReplaceAll(id, "_", "-") }

// underscored turns an AWS name such as ecr.api into a part of a construct id. cdktf would drop the
// dot without an error.
func underscored(name string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(name)
}

var notInID = regexp.MustCompile(`[^a-z0-9]+`)

// readableID turns a text into a part of a construct id. What is readable may be the same for two
// texts, the digest is not.
func readableID(text string) string {
	readable := notInID.ReplaceAllString(strings.ToLower(text), "_")
	return underscored(digestedName(60, readable, text))
}

// digestedName returns an AWS name of at most limit characters (10 or more) that changes whenever
// one of the parts does, so that a replacement can be created before the old resource is deleted. It
// begins with as much of name as fits.
func digestedName(limit int, name string, parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{name}, parts...), "\x00")))
	suffix := "-" + hex.EncodeToString(sum[:4])
	if room := limit - len(suffix); len(name) > room {
		name = strings.TrimRight(name[:room], "-")
	}
	return name + suffix
}

// cidrID turns a CIDR block into a part of a construct id.
func cidrID(block string) string { return strings.NewReplacer(".", "_", "/", "_").Replace(block) }

// literal escapes what Terraform would evaluate as an expression.
func literal(text string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(text)
}

// escaped returns a copy of a map with every value escaped by literal.
func escaped(values map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range values {
		out[key] = literal(value)
	}
	return out
}

// marshal returns JSON in one line, with < and > unescaped: some of AWS's placeholders contain them.
func marshal(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only for types that JSON does not have, which is a fault of this program
	}
	return strings.TrimSpace(text.String())
}

// choose is a conditional expression.
func choose[T any](condition bool, yes, no T) T {
	if condition {
		return yes
	}
	return no
}

// unique returns a list without its repetitions; the first of equal elements stays.
func unique(list []string) []string {
	var out []string
	for _, item := range list {
		if !slices.Contains(out, item) {
			out = append(out, item)
		}
	}
	return out
}

// backupNamespace is the namespace of the metrics that the function reports.
func backupNamespace(s *scope) string { return s.cfg.Stack() + "/Backup" }
