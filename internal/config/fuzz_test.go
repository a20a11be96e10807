package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

var problemLine = regexp.MustCompile(`^config/test\.yaml:([1-9][0-9]*):([1-9][0-9]*): (.+)$`)

// Any bytes give either a configuration or an error, and never a panic. Every line of the error has
// an existing position in the file. The lines are in order and without duplicates.
func FuzzConfigurationNeverPanics(f *testing.F) {
	files, err := filepath.Glob("../../config/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no environment in config: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, seed := range []string{
		"", minimal, "\ufeff" + minimal, minimal + "---\n" + minimal, "%YAML 1.2\n---\n",
		"&a [*a, !!b c, <<: d]", "? a\n: b", "? ? ? a", "- - - - a", "a: b: c",
		"[[[[[[", "{{{{{{", "}", "]", "'", "\"", "\"\\", "|", ">", "|9\n a", ">-+\n a",
		"!", "&", "*", "%", "@", "`", "~", "\x00", "\xff", "\u2028", "a:\n\t- b",
		"<<: *a", "!!binary |\n  aGk=", "*a : b", "&a b: *a", "!!str : x", "- &a\n- *a", "a: !!map",
		"key: [a, {b: c}, [d]]", "a: 'x\n\n y'", "a: \"\\u12\"", "a: \"\\x4\"",
		minimal + "services:\n  web: {image: 'quay.io/x/y:1'}\n",
		minimal + "tags: {a: 1, 'b': ~, \"c\\n\": .nan}\n",
		minimal + "network: {cidr: 10.0.0.0/33, zones: [a, a, '']}\n",
		minimal + "database: {backup_window: '23:30-00:30', maintenance_window: 'sun:23:45-mon:00:15', " +
			"instance_class: db.x2g.99xlarge, restores: {a: {time: x}}}\n",
		minimal + "services: {web: {image: 'quay.io/x/y:1', route: {priority: -1, paths: ['']}, secrets: {A: b}, " +
			"scaling: {schedules: {a: {at: 'cron(? ?)'}}}, permissions: [{actions: ['*']}]}}\n",
		minimal + "backup: {schedule: 'cron(0 1 * * ? *)', timezone: ../../etc}\n" +
			"monitoring: {emails: ['@'], prometheus: {image: '/'}}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := Parse("config/test.yaml", "test", text)
		if (cfg == nil) == (err == nil) {
			t.Fatalf("a configuration %v and an error %v", cfg, err)
		}
		if err == nil {
			if !environmentName.MatchString(cfg.Name) || !regionName.MatchString(cfg.Region) {
				t.Errorf("accepted name %q and region %q", cfg.Name, cfg.Region)
			}
			return
		}
		lines := strings.Split(err.Error(), "\n")
		var before [2]int
		for i, line := range lines {
			parts := problemLine.FindStringSubmatch(line)
			if parts == nil {
				t.Fatalf("a line of the error is %q", line)
			}
			row, _ := strconv.Atoi(parts[1])
			column, _ := strconv.Atoi(parts[2])
			if row < before[0] || row == before[0] && column < before[1] {
				t.Errorf("%q comes after %v", line, before)
			}
			before = [2]int{row, column}
			if row > 2+strings.Count(string(text), "\n")+strings.Count(string(text), "\r") {
				t.Errorf("%q: the file has no such line", line)
			}
			if slices.Contains(lines[:i], line) {
				t.Errorf("%q comes twice", line)
			}
			if j := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); j >= 0 {
				t.Errorf("%q contains a character that is not printable", line)
			}
		}
		if _, again := Parse("config/test.yaml", "test", text); again == nil || again.Error() != err.Error() {
			t.Errorf("the error is\n%v\nand then\n%v", err, fmt.Sprint(again))
		}
	})
}
