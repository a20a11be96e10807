package yaml

import (
	"fmt"
	"testing"
)

type target struct {
	Services map[string]service `yaml:"services"`
}

type service struct {
	Tasks int    `yaml:"tasks"`
	Key   string `yaml:"key"`
}

// The library has panicked on broken texts before; whatever does is one more problem of the file.
func TestPanicOfTheYAMLParserIsAProblem(t *testing.T) {
	t.Parallel()
	hooks := Hooks{Element: func(string) any { panic("slice bounds\nout of range") }}
	doc := Decode("config/test.yaml", []byte("services: {web: {}}\n"), &target{}, hooks)
	got, want := fmt.Sprint(doc.Err()), `config/test.yaml:1:1: not valid YAML: slice bounds\nout of range`
	if got != want {
		t.Errorf("says %s, want %s", got, want)
	}
}

func TestDecodingUsesHooks(t *testing.T) {
	t.Parallel()
	var into target
	doc := Decode("x.yaml", []byte("services:\n  web:\n    key: [hunter2]\n    size: 1\n    "+
		"old: x\n    gone: y\n"), &into, Hooks{
		Element:   func(path string) any { return service{Tasks: len(path)} },
		Elsewhere: func(key string) string { return "elsewhere." + key },
		Instead: func(path string) string {
			return map[string]string{"services.web.old": "want key", "services.web.gone": "unsupported: x"}[path]
		},
		Example: func(path, have string) string { return "{" + path + " for " + have + "}" },
		Secret:  func(path string) bool { return path == "services.web.key" },
	})
	if got, want := into.Services["web"].Tasks, len("services.web"); got != want {
		t.Errorf("the element has %d tasks, want %d", got, want)
	}
	const want = "x.yaml:3:5: services.web.key: want text, such as {services.web.key for a list}, have a list\n" +
		"x.yaml:4:5: services.web.size: unknown key, did you mean elsewhere.size? want one of key, tasks\n" +
		"x.yaml:5:5: services.web.old: unknown key, want key\n" +
		"x.yaml:6:5: services.web.gone: unsupported: x"
	if got := Explained(doc.Err()); got != want {
		t.Errorf("says\n%s\nwant\n%s", got, want)
	}
}

func TestDecodingWorksWithoutHooks(t *testing.T) {
	t.Parallel()
	var into target
	doc := Decode("x.yaml", []byte("services: {web: {tasks: 2}}\n"), &into, Hooks{})
	if err := doc.Err(); err != nil || into.Services["web"].Tasks != 2 {
		t.Errorf("decoded %+v, %v", into, err)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	if got := Join("", "a"); got != "a" {
		t.Errorf("below nothing it is %q", got)
	}
	if got := Join("a", "b.c", "0"); got != "a.b.c.0" {
		t.Errorf("below a it is %q", got)
	}
	if got := Parent("a.b.0"); got != "a.b" {
		t.Errorf("above it is %q", got)
	}
	if got := Parent("a"); got != "" {
		t.Errorf("above the first it is %q", got)
	}
}
