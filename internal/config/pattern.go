package config

import (
	"net/netip"
	"slices"
	"strings"
)

// lower returns texts in lower case.
func lower(values []string) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = strings.ToLower(value)
	}
	return out
}

// allCovered reports whether each of the others is covered by one of the patterns.
func allCovered(patterns, others []string) bool {
	return !slices.ContainsFunc(others, func(other string) bool {
		return !slices.ContainsFunc(patterns, func(pattern string) bool { return patternCovers(pattern, other) })
	})
}

// patternCovers reports whether a pattern matches every text that another one matches.
func patternCovers(pattern, other string) bool {
	covered := make([]bool, len(other)+1) // whether the pattern so far covers so many characters
	covered[0] = true
	for _, p := range []byte(pattern) {
		next := make([]bool, len(other)+1)
		for i := range next {
			switch {
			case p == '*':
				next[i] = covered[i] || i > 0 && next[i-1]
			case i > 0 && other[i-1] != '*':
				next[i] = covered[i-1] && (p == '?' || p == other[i-1])
			}
		}
		covered = next
	}
	return covered[len(other)]
}

// allContained reports whether each of the other CIDR blocks is in one of the blocks.
func allContained(blocks, others []string) bool {
	return !slices.ContainsFunc(others, func(other string) bool {
		inside, err := netip.ParsePrefix(other)
		return err != nil || !slices.ContainsFunc(blocks, func(block string) bool {
			outside, err := netip.ParsePrefix(block)
			return err == nil && outside.Bits() <= inside.Bits() && outside.Contains(inside.Addr())
		})
	})
}
