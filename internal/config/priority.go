package config

import (
	"hash/fnv"
	"regexp"
	"slices"
	"strings"
)

// derivePriorities gives every route without a priority one that follows from its conditions and
// the name of its service alone: another service never changes it.
func (c *Config) derivePriorities() {
	for name, s := range c.Services {
		if s.Routed() && s.Route.Priority == 0 {
			s.Route.Priority = derivedPriority(name, s.Route)
			c.Services[name] = s
		}
	}
}

// derivedPriorities is the number of derived priorities: the even numbers from 2 to 49998. The odd
// number before each is for the rule that blocks a metrics path.
const derivedPriorities = 24_999

// derivedPriority returns the priority of a service's route: the narrower the conditions, the lower
// the number. Each step divides a range of numbers: the first by the number of headers and sources,
// the second by the hosts, the third by the paths. What a step looks at is at least as narrow for a
// route that another one covers, so that this route comes first. The name selects one of the
// numbers that are left: two services with similar routes get different numbers, and one can replace
// the other in one deployment.
//
// The shares decide how many numbers are left for similar routes: many if such routes are common.
// Where few are left, two routes can get the same number; and the order of two routes that differ in
// what no step looks at, such as the values of headers, is not known. Then [checker.routes] asks for
// a priority.
func derivedPriority(name string, r Route) int {
	numbers := span{0, derivedPriorities}.
		divide(3-min(3, r.restrictions()), 2, 4, 14, 80).
		hosts(distinct(lower(r.Hosts)))
	allPaths := 45
	if len(r.Hosts) == 0 {
		allPaths = 1 // without hosts, one service at most has all paths
	}
	return 2 * (numbers.paths(distinct(r.Paths), allPaths).choose(name) + 1)
}

// restrictions returns the number of a route's headers, and one more if it has sources.
func (r Route) restrictions() int {
	names := map[string]bool{}
	for header := range r.Headers {
		names[strings.ToLower(header)] = true
	}
	if len(r.Sources) == 0 || allContained(r.Sources, []string{everywhere}) {
		return len(names)
	}
	return len(names) + 1
}

// span is a range of numbers.
type span struct{ first, size int }

// divide returns the part with an index, of parts with the given shares. A part has at least one
// number, and shares it with another part if there are too few.
func (s span) divide(index int, shares ...int) span {
	before, total := 0, 0
	for i, share := range shares {
		if i < index {
			before += share
		}
		total += share
	}
	first := min(s.size*before/total, s.size-1)
	end := s.size * (before + shares[index]) / total
	return span{s.first + first, max(1, end-first)}
}

// hosts divides a range by hosts: first those without wildcards, few before many; then those with,
// many dots before few; last all hosts.
func (s span) hosts(hosts []string) span {
	part := func(index int) span { return s.divide(index, 50, 12, 38) }
	switch {
	case len(hosts) == 0 || allCovered(hosts, []string{"*"}):
		return part(2)
	case !slices.ContainsFunc(hosts, isPattern):
		return part(0).few(len(hosts))
	}
	dots := 4
	for _, host := range hosts {
		dots = min(dots, strings.Count(host, "."))
	}
	return part(1).divide(4-dots, 10, 25, 50, 10, 5)
}

// paths divides a range by paths: first those without wildcards, few before many; then those with,
// long before short and few before many; last all paths, which have a share of the range in percent.
func (s span) paths(paths []string, all int) span {
	part := func(index int) span { return s.divide(index, 10, 90-all, all) }
	switch {
	case len(paths) == 0 || allCovered(paths, []string{"/*"}):
		return part(2)
	case !slices.ContainsFunc(paths, isPattern):
		return part(0).few(len(paths))
	}
	broadest, same := shapeOf(paths[0]), 0
	for _, path := range paths {
		if shape := shapeOf(path); shape.broader(broadest) {
			broadest = shape
		}
	}
	for _, path := range paths {
		same += choice(shapeOf(path) == broadest)
	}
	return broadest.part(part(1)).few(same)
}

func isPattern(text string) bool { return strings.ContainsAny(text, "*?") }

// distinct returns the patterns that no other one covers.
func distinct(patterns []string) (out []string) {
	for i, pattern := range patterns {
		covered := false
		for j, other := range patterns {
			covered = covered || i != j && patternCovers(other, pattern) && (i > j || !patternCovers(pattern, other))
		}
		if !covered {
			out = append(out, pattern)
		}
	}
	return out
}

// few divides a range by a number of patterns.
func (s span) few(patterns int) span { return s.divide(min(3, patterns)-1, 85, 11, 4) }

// choose returns the number of a range that a name selects.
func (s span) choose(name string) int {
	sum := fnv.New32a()
	sum.Write([]byte(name)) // cannot fail
	return s.first + int(sum.Sum32()%uint32(s.size))
}

// shape is what tells a narrow pattern from a broad one. If a pattern covers another one, its shape
// is broader or the same.
type shape struct {
	length int  // of the shortest text that the pattern matches
	any    bool // has a ?
	open   bool // has a * inside a part of the text, such as /api*, but no ?
}

// wordStart matches the * at the start of a part of a path or a host.
var wordStart = regexp.MustCompile(`(^|[/.])\*+`)

func shapeOf(pattern string) shape {
	length := len(pattern) - strings.Count(pattern, "*")
	question := strings.Contains(pattern, "?")
	return shape{length, question, !question && strings.Contains(wordStart.ReplaceAllString(pattern, ""), "*")}
}

// broader reports whether a shape is broader than another one.
func (s shape) broader(than shape) bool {
	if s.length != than.length {
		return s.length < than.length
	}
	if s.any != than.any {
		return s.any
	}
	return s.open && !than.open
}

// part divides a range by a shape. Patterns of up to 40 characters are common.
func (s shape) part(of span) span {
	const longest = 128 // AWS's limit
	shares := make([]int, longest+1)
	for i := range shares {
		switch length := longest - i; {
		case length <= 20:
			shares[i] = 100
		case length <= 40:
			shares[i] = 30
		default:
			shares[i] = 3
		}
	}
	return of.divide(longest-min(s.length, longest), shares...).
		divide(choice(s.any), 96, 4).
		divide(choice(s.open), 93, 7)
}

// choice is the index of a yes or no.
func choice(yes bool) int { return map[bool]int{true: 1}[yes] }
