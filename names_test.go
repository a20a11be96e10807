package main

import (
	"maps"
	"platform/internal/config"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestDigestedNameFitsItsLimit(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?-[0-9a-f]{8}$`)
	dashes := strings.Repeat("-", 40)
	for _, name := range []string{
		"a", "shop-dev-web", strings.Repeat("a", 32), strings.Repeat("long-", 20) + "name", "a" + dashes + "b",
	} {
		for limit := 10; limit <= 64; limit++ {
			got := digestedName(limit, name, "HTTP", "8080")
			if len(got) > limit {
				t.Errorf("limit %d, %s: %s has %d characters", limit, name, got, len(got))
			}
			if !shape.MatchString(got) || strings.Contains(strings.ReplaceAll(got, "a"+dashes, ""), "--") {
				t.Errorf("limit %d, %s: %s", limit, name, got)
			}
			readable := got[:len(got)-9]
			rest, begins := strings.CutPrefix(name, readable)
			if !begins || len(readable) < min(len(name), limit-9) && !strings.HasPrefix(rest, "-") {
				t.Errorf("limit %d, %s: %s begins with less of the name than fits", limit, name, got)
			}
		}
	}
}

func TestDigestedNameChangesWithEachPart(t *testing.T) {
	long := strings.Repeat("long-", 20)
	seen := map[string]string{}
	for what, name := range map[string]string{
		"the name":                          digestedName(32, "shop-dev-web", "HTTP", "8080"),
		"another name":                      digestedName(32, "shop-dev-api", "HTTP", "8080"),
		"another first part":                digestedName(32, "shop-dev-web", "HTTPS", "8080"),
		"another last part":                 digestedName(32, "shop-dev-web", "HTTP", "8081"),
		"one part less":                     digestedName(32, "shop-dev-web", "HTTP"),
		"an empty part more":                digestedName(32, "shop-dev-web", "HTTP", "8080", ""),
		"no part":                           digestedName(32, "shop-dev-web"),
		"the parts' border moved":           digestedName(32, "shop-dev-web", "HTTP8", "080"),
		"the parts swapped":                 digestedName(32, "shop-dev-web", "8080", "HTTP"),
		"the name's border moved":           digestedName(32, "shop-dev-webHTTP", "8080"),
		"a name that is cut":                digestedName(32, long+"a", "HTTP"),
		"another, different behind the cut": digestedName(32, long+"b", "HTTP"),
	} {
		if other, same := seen[name]; same {
			t.Errorf("%s and %s are both %s", what, other, name)
		}
		seen[name] = what
	}
	// Pinned: another digest would replace what bears the name.
	if got, want := digestedName(32, "shop-dev-web", "HTTP", "8080"), "shop-dev-web-ee42b6d0"; got != want {
		t.Errorf("is %s, want %s", got, want)
	}
}

func TestConstructIDsHoldNothingThatCdktfDrops(t *testing.T) {
	kept := regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
	for name, c := range map[string]struct{ got, want string }{
		"an endpoint":        {underscored("ecr.api"), "ecr_api"},
		"one with a dash":    {underscored("aps-workspaces"), "aps_workspaces"},
		"one without either": {underscored("sns"), "sns"},
		"a block":            {cidrID("10.0.0.0/8"), "10_0_0_0_8"},
		"all addresses":      {cidrID("0.0.0.0/0"), "0_0_0_0_0"},
	} {
		if c.got != c.want || !kept.MatchString(c.got) {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if got := dashed("service_web_security_group"); got != "service-web-security-group" {
		t.Errorf("an id as a name is %s", got)
	}
	seen := map[string]string{}
	for _, endpoint := range config.InterfaceEndpoints {
		if other, same := seen[underscored(endpoint)]; same {
			t.Errorf("%s and %s are one id", endpoint, other)
		}
		seen[underscored(endpoint)] = endpoint
	}
	blocks := map[string]string{}
	for _, block := range []string{
		"10.0.0.0/8", "10.0.0.0/16", "1.0.0.0/8", "10.0.0.8/32", "10.0.0.83/32", "100.0.0.8/32",
	} {
		if other, same := blocks[cidrID(block)]; same {
			t.Errorf("%s and %s are one id", block, other)
		}
		blocks[cidrID(block)] = block
	}
}

// What Terraform makes of each right side was tried with terraform 1.11: it is the left side again.
func TestLiteralEscapesWhatTerraformWouldEvaluate(t *testing.T) {
	cases := map[string]string{
		"":              "",
		"plain":         "plain",
		"${x}":          "$${x}",
		"$${x}":         "$$${x}",
		"%{if}":         "%%{if}",
		"%%{if}":        "%%%{if}",
		"$%{x}":         "$%%{x}",
		"%${x}":         "%$${x}",
		"a $ and a %":   "a $ and a %",
		"{x} $ {x}":     "{x} $ {x}",
		"${a}${b}%{c}":  "$${a}$${b}%%{c}",
		`\${x} "q" 'q'`: `\$${x} "q" 'q'`,
	}
	for text, want := range cases {
		if got := literal(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	before := map[string]string{"A": "${x}", "${B}": "b", "C": ""}
	was := maps.Clone(before)
	if got := escaped(before); !maps.Equal(got, map[string]string{"A": "$${x}", "${B}": "b", "C": ""}) {
		t.Errorf("a map's values: %v", got)
	}
	if !maps.Equal(before, was) {
		t.Errorf("the map itself became %v", before)
	}
	if got := escaped(nil); len(got) != 0 {
		t.Errorf("no values: %v", got)
	}
}

func TestMarshalLeavesPlaceholdersOfAWSAlone(t *testing.T) {
	got, want := marshal(map[string]string{"b": "<aws.scheduler.scheduled-time>", "a": "&"}),
		`{"a":"&","b":"<aws.scheduler.scheduled-time>"}`
	if got != want {
		t.Errorf("is %s, want %s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("JSON was made of a channel")
		}
	}()
	marshal(make(chan int))
}

func TestUniqueKeepsTheFirstOfEach(t *testing.T) {
	if got := unique([]string{"b", "a", "b", "c", "a"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("is %v", got)
	}
	if got := unique(nil); got != nil {
		t.Errorf("of nothing is %v", got)
	}
}
