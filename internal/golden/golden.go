// Package golden compares what a test made with files that people review, and rewrites the files with
// -update. A stack is split into a folder of them: see Layout.
package golden

import (
	"flag"
	"fmt"
	"strings"
)

// Update reports whether tests rewrite their golden files.
var Update = flag.Bool("update", false, "rewrite the goldens")

// FirstDifference shows a few lines of two texts around the first line that differs; "" if the
// texts are equal.
func FirstDifference(want, got string) string {
	if want == got {
		return ""
	}
	wanted, have := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wanted), len(have)) {
		if i >= len(wanted) || i >= len(have) || wanted[i] != have[i] {
			around := func(lines []string) string {
				return strings.Join(lines[min(max(0, i-4), len(lines)):min(i+4, len(lines))], "\n")
			}
			return fmt.Sprintf("line %d, golden:\n%s\n\nnow:\n%s", i+1, around(wanted), around(have))
		}
	}
	return ""
}
