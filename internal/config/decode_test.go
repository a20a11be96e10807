package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Files that a case file cannot contain.
func TestFilesThatAreNotTextAreRejected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a letter in Latin-1": {
			text: "name: shop # für\nregion: \"eu-\xfc\"\n",
			want: "2:13: want UTF-8 text",
		},
		"a file in UTF-16": {
			text: "\xff\xfen\x00a\x00",
			want: "1:1: want UTF-8 text",
		},
		"endless brackets": {
			text: strings.Repeat("[", 60_000),
			want: "1:33: is nested too deeply: want at most 32 levels on one line",
		},
		"a file too large": {
			text: minimal + strings.Repeat("# a comment\n", 6000),
			want: "1:1: want a file of at most 65536 bytes, have 72032",
		},
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, c.text, c.want) })
	}
}

// Valid YAML that people and editors write is accepted.
func TestDecodingAcceptsOrdinaryYAML(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want func(*Config) (got, want any)
	}{
		"Windows line endings": {
			text: "name: shop\r\nregion: eu-central-1\r\nnetwork:\r\n  nat: single\r\n  nat_: x\r\n",
			want: nil,
		},
		"a byte order mark": {
			text: "\ufeff" + minimal,
			want: func(c *Config) (any, any) { return c.Name, "shop" },
		},
		"flow style": {
			text: "{name: shop, region: eu-central-1, network: {zones: [c, a]}}",
			want: func(c *Config) (any, any) { return c.Network.Zones, []string{"c", "a"} },
		},
		"quotes around keys": {
			text: "\"name\": 'shop'\n'region': \"eu-central-1\"\n",
			want: func(c *Config) (any, any) { return c.Stack(), "shop-test" },
		},
		"comments and empty lines": {
			text: "# which\n\nname: shop # ours\n\nregion: eu-central-1 # Frankfurt\n" +
				"network: # here\n  # and\n  nat: per-zone\n",
			want: func(c *Config) (any, any) { return c.Network.NAT, "per-zone" },
		},
		"document start and end markers": {
			text: "---\n" + minimal + "...\n# end\n",
			want: func(c *Config) (any, any) { return c.Region, "eu-central-1" },
		},
		"a comment before the start marker": {
			text: "# what\n---\n" + minimal,
			want: func(c *Config) (any, any) { return c.Region, "eu-central-1" },
		},
		"no newline at the end": {
			text: "name: shop\nregion: eu-central-1",
			want: func(c *Config) (any, any) { return c.Region, "eu-central-1" },
		},
		"tabs before comments": {
			text: "name: shop\t# ours\nregion:\teu-central-1\n",
			want: func(c *Config) (any, any) { return c.Region, "eu-central-1" },
		},
		"an empty list": {
			text: minimal + "load_balancer: {firewall: {count_only: []}}\n",
			want: func(c *Config) (any, any) { return len(c.LoadBalancer.Firewall.CountOnly), 0 },
		},
		"a list in block style": {
			text: minimal + "network:\n  zones:\n  - b\n  - a\n",
			want: func(c *Config) (any, any) { return c.Network.Zones, []string{"b", "a"} },
		},
		"a number in quotes as text": {
			text: minimal + "account: '012345678901'\n",
			want: func(c *Config) (any, any) { return c.Account, "012345678901" },
		},
		"an account with an eight or 9": {
			text: minimal + "account: '089999999999'\n",
			want: func(c *Config) (any, any) { return c.Account, "089999999999" },
		},
		"zero": {
			text: minimal + "database: {slow_query: 0}\n",
			want: func(c *Config) (any, any) { return c.Database.SlowQuery, 0 },
		},
		"a plus sign": {
			text: minimal + "database: {slow_query: +5}\n",
			want: func(c *Config) (any, any) { return c.Database.SlowQuery, 5 },
		},
		"booleans in capitals": {
			text: minimal + "protected: True\nservices: {web: {image: 'quay.io/x/y:1', spot: FALSE}}\n",
			want: func(c *Config) (any, any) {
				return []bool{c.Protected, c.Services["web"].Spot}, []bool{true, false}
			},
		},
		"yes and no as text": {
			text: minimal + "tags: {owner: no, on: off}\n",
			want: func(c *Config) (any, any) { return c.Tags, map[string]string{"owner": "no", "on": "off"} },
		},
		"a date as text": {
			text: minimal + "tags: {since: 2026-11-23}\n",
			want: func(c *Config) (any, any) { return c.Tags["since"], "2026-11-23" },
		},
		"keys that are numbers and booleans": {
			text: minimal + "tags: {1: a, true: b, 1.50: c, 01: d}\n",
			want: func(c *Config) (any, any) {
				return slices.Sorted(maps.Keys(c.Tags)), []string{"01", "1", "1.50", "true"}
			},
		},
		"a text over several lines": {
			text: minimal + "services:\n  web:\n    image: 'quay.io/x/y:1'\n    environment:\n" +
				"      A: |\n        one\n        two\n      B: >-\n        one\n        two\n",
			want: func(c *Config) (any, any) {
				return c.Services["web"].Environment, map[string]string{"A": "one\ntwo\n", "B": "one two"}
			},
		},
		"an empty text": {
			text: minimal + "services: {web: {image: 'quay.io/x/y:1', environment: {A: '', B: \"\"}}}\n",
			want: func(c *Config) (any, any) {
				return c.Services["web"].Environment, map[string]string{"A": "", "B": ""}
			},
		},
		"non-ASCII letters": {
			text: minimal + "services: {web: {image: 'quay.io/x/y:1', environment: {A: 'für 日本 🙂'}}}\n",
			want: func(c *Config) (any, any) { return c.Services["web"].Environment["A"], "für 日本 🙂" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil {
				wantProblems(t, c.text, "5:3: network.nat_: unknown key, did you mean nat? "+
					"want one of allow_public_cidr, cidr, endpoints, nat, zones")
				return
			}
			if got, want := c.want(parse(t, "test", c.text)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v", got, want)
			}
		})
	}
}

// The file replaces lists and maps as a whole, and fields of structs one by one.
func TestFileReplacesDefaults(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "test", minimal+"services:\n  api:\n    image: quay.io/x/api:1\n    health_check: {path: /up}\n")
	if got := slices.Sorted(maps.Keys(cfg.Services)); !slices.Equal(got, []string{"api"}) {
		t.Errorf("services are %v, want only api", got)
	}
	want := serviceDefaults(ProfileDevelopment).HealthCheck
	want.Path = "/up"
	if got := cfg.Services["api"].HealthCheck; !reflect.DeepEqual(got, want) {
		t.Errorf("the health check is %+v, want %+v", got, want)
	}
}

// A secret in place of its ARN is never printed, whatever the problem is.
func TestSecretsAreNotPrintedInMessages(t *testing.T) {
	t.Parallel()
	const secret = "74381905"
	for name, lines := range map[string]string{
		"the value":                         "secrets: {PASSWORD: 'x" + secret + "'}",
		"a value like a template":           "secrets: {PASSWORD: '${" + secret + "}'}",
		"a value like an ARN":               "secrets: {PASSWORD: 'arn:aws:iam::123456789012:secret/" + secret + "'}",
		"a number":                          "secrets: {PASSWORD: " + secret + "}",
		"a float":                           "secrets: {PASSWORD: 1." + secret + "}",
		"a list":                            "secrets: {PASSWORD: [" + secret + "]}",
		"a mapping":                         "secrets: {PASSWORD: {value: " + secret + "}}",
		"a value without a name":            "secrets: " + secret,
		"a list of values":                  "secrets: [" + secret + "]",
		"an anchor":                         "secrets: {PASSWORD: &a " + secret + "}",
		"an invalid variable name":          "secrets: {pass-word: x" + secret + "}",
		"a variable that the platform sets": "secrets: {PGPASSWORD: x" + secret + "}",
		"a duplicate variable":              "secrets: {A: x" + secret + "}\n    environment: {A: x" + secret + "}",
		"a duplicate key":                   "secrets: {A: x" + secret + ", A: y" + secret + "}",
		"invalid YAML":                      "secrets: {A: x: " + secret + "}",
		"an unterminated quote":             "secrets: {A: \"" + secret + "}",
		"an environment variable":           "environment: {A: " + secret + "}",
		"the key's key":                     "secret_keys: [" + secret + "a]",
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, minimal+"services:\n  web:\n    image: 'quay.io/x/y:1'\n    "+lines+"\n")
			if len(got) == 0 {
				t.Fatal("is taken for valid")
			}
			if text := strings.Join(got, "\n"); strings.Contains(text, secret) {
				t.Errorf("shows the secret:\n%s", text)
			}
		})
	}
}

// Every field of Config must have a type that the decoder supports.
func TestDecoderSupportsAllTypesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	var walk func(path string, kind reflect.Type)
	walk = func(path string, kind reflect.Type) {
		switch kind.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Float64:
		case reflect.Slice:
			walk(path+"[]", kind.Elem())
		case reflect.Map:
			if kind.Key().Kind() != reflect.String {
				t.Errorf("%s: a key of kind %s", path, kind.Key().Kind())
			}
			walk(path+"{}", kind.Elem())
		case reflect.Struct:
			for field := range kind.Fields() {
				key := field.Tag.Get("yaml")
				if !regexp.MustCompile(`^(-|[a-z][a-z_]*)$`).MatchString(key) {
					t.Errorf("%s.%s: is called %q in the file", path, field.Name, key)
				}
				if other, twice := seen[path+"."+key]; twice {
					t.Errorf("%s.%s: has the key of %s", path, field.Name, other)
				}
				seen[path+"."+key] = field.Name
				if key != "-" {
					walk(path+"."+key, field.Type)
				}
			}
		default:
			t.Errorf("%s: of kind %s", path, kind.Kind())
		}
	}
	walk("", reflect.TypeFor[Config]())
}
