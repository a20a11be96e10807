package stacktest

import (
	"math"
	"strconv"
	"strings"
)

// Exists tells whether the resource is in the stack.
func (r Resource) Exists() bool { return r.body != nil }

// Kind is the resource's type, such as aws_vpc.
func (r Resource) Kind() string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.Address, "data."), ".")
	return kind
}

// ID is the resource's name in Terraform, which is the construct's id.
func (r Resource) ID() string { return r.Address[strings.LastIndexByte(r.Address, '.')+1:] }

// Body is the resource's arguments. Do not change it.
func (r Resource) Body() map[string]any { return r.body }

// At returns what is at a path; nil if there is nothing.
func (r Resource) At(path string) any { return at(r.body, path) }

// Has tells whether there is something at a path.
func (r Resource) Has(path string) bool { return r.At(path) != nil }

// Is compares with a string, a number (float64, as JSON has them) or a bool. What is absent is equal
// to none of them.
func (r Resource) Is(path string, want any) bool { return r.At(path) == want }

// String returns the text at a path; empty if there is none.
func (r Resource) String(path string) string {
	text, _ := r.At(path).(string)
	return text
}

// Number returns the number at a path. Without one it is not-a-number, which is neither more nor
// less than anything.
func (r Resource) Number(path string) float64 {
	switch v := r.At(path).(type) {
	case float64:
		return v
	case string: // as Terraform has some of them, such as a task's cpu
		if number, err := strconv.ParseFloat(v, 64); err == nil {
			return number
		}
	}
	return math.NaN()
}

// Strings returns the texts of the list at a path.
func (r Resource) Strings(path string) []string {
	list, _ := r.At(path).([]any)
	var all []string
	for _, item := range list {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// Blocks returns the objects of the list at a path, such as a listener rule's conditions, under the
// resource's address.
func (r Resource) Blocks(path string) []Resource {
	list, _ := r.At(path).([]any)
	var all []Resource
	for _, item := range list {
		if body, ok := item.(map[string]any); ok {
			all = append(all, Resource{r.Address, body})
		}
	}
	return all
}

// Containers returns the containers of a task definition. Their addresses name the container too.
func (r Resource) Containers() []Resource {
	containers := r.Blocks("container_definitions")
	for i, c := range containers {
		containers[i].Address = r.Address + " container " + c.String("name")
	}
	return containers
}
