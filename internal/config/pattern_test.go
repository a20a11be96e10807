package config

import "testing"

func TestPatternsThatCoverOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, other string
		want           bool
	}{
		{"/*", "/*", true},
		{"/*", "/api/*", true},
		{"/*", "/", true},
		{"/api*", "/api/*", true},
		{"/api/*", "/api", false},
		{"/api/*", "/*", false},
		{"/a?", "/ab", true},
		{"/a?", "/a?", true},
		{"/a?", "/a*", false},
		{"/ab", "/a?", false},
		{"/*/x", "/a/*/x", true},
		{"/a", "/A", false},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*", "*", true},
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
	} {
		if got := patternCovers(c.pattern, c.other); got != c.want {
			t.Errorf("%q covers %q: %v", c.pattern, c.other, got)
		}
	}
}

func TestBlocksThatContainOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		blocks, others []string
		want           bool
	}{
		{[]string{"0.0.0.0/0"}, []string{"10.0.0.0/8", "203.0.113.0/24"}, true},
		{[]string{"10.0.0.0/8", "203.0.113.0/24"}, []string{"10.1.0.0/16"}, true},
		{[]string{"10.0.0.0/8"}, []string{"10.1.0.0/16", "203.0.113.0/24"}, false},
		{[]string{"10.1.0.0/16"}, []string{"10.0.0.0/8"}, false},
		{[]string{"10.0.0.0/8"}, []string{"x"}, false},
		{[]string{"x"}, []string{"10.0.0.0/8"}, false},
	} {
		if got := allContained(c.blocks, c.others); got != c.want {
			t.Errorf("%v contain %v: %v", c.blocks, c.others, got)
		}
	}
}
