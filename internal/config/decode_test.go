package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// problems are the lines of the error that a configuration's text leads to, none if it is valid. They carry the name config/test.yaml.
func problems(t *testing.T, text string) []string {
	t.Helper()
	_, err := Parse("config/test.yaml", "test", []byte(text))
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// wantProblems compares all the lines; each is given without the file's name.
func wantProblems(t *testing.T, text string, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = "config/test.yaml:" + want[i]
	}
	if got := problems(t, text); !slices.Equal(got, want) {
		t.Errorf("%.300q\nsays\n  %s\nwant\n  %s", text, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// Two lines: what a case adds begins at line 3.
const minimal = "name: shop\nregion: eu-central-1\n"

// What a case file cannot hold.
func TestFilesThatAreNotTextAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a letter in Latin-1": {
			text: "name: shop # für\nregion: \"eu-\xfc\"\n",
			want: "2:13: want text in UTF-8",
		},
		"a file in UTF-16": {
			text: "\xff\xfen\x00a\x00",
			want: "1:1: want text in UTF-8",
		},
		"brackets that go on for ever": {
			text: strings.Repeat("[", 60_000),
			want: "1:33: is nested too deeply: want at most 32 levels in one line",
		},
		"a file too large": {
			text: minimal + strings.Repeat("# a comment\n", 6000),
			want: "1:1: want a file of at most 65536 bytes, have 72032",
		},
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, c.text, c.want) })
	}
}

// What people and their editors write, and YAML allows, is no problem.
func TestDecodingTakesOrdinaryYAML(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want func(*Config) (got, want any)
	}{
		"line ends of Windows":                       {"name: shop\r\nregion: eu-central-1\r\nnetwork:\r\n  nat: single\r\n  nat_: x\r\n", nil},
		"a byte order mark":                          {"\ufeff" + minimal, func(c *Config) (any, any) { return c.Name, "shop" }},
		"flow style":                                 {"{name: shop, region: eu-central-1, network: {zones: [c, a]}}", func(c *Config) (any, any) { return c.Network.Zones, []string{"c", "a"} }},
		"quotes around keys":                         {"\"name\": 'shop'\n'region': \"eu-central-1\"\n", func(c *Config) (any, any) { return c.Stack(), "shop-test" }},
		"comments and empty lines":                   {"# which\n\nname: shop # ours\n\nregion: eu-central-1 # Frankfurt\nnetwork: # here\n  # and\n  nat: per-zone\n", func(c *Config) (any, any) { return c.Network.NAT, "per-zone" }},
		"a Document's start and end":                 {"---\n" + minimal + "...\n# end\n", func(c *Config) (any, any) { return c.Region, "eu-central-1" }},
		"a comment before the start":                 {"# what\n---\n" + minimal, func(c *Config) (any, any) { return c.Region, "eu-central-1" }},
		"no line end at the end":                     {"name: shop\nregion: eu-central-1", func(c *Config) (any, any) { return c.Region, "eu-central-1" }},
		"tabs before comments":                       {"name: shop\t# ours\nregion:\teu-central-1\n", func(c *Config) (any, any) { return c.Region, "eu-central-1" }},
		"a service without a body":                   {minimal + "services:\n  web:\n", func(c *Config) (any, any) { return c.Services["web"].Image, DefaultImage }},
		"a service of nothing":                       {minimal + "services: {web: ~}\n", func(c *Config) (any, any) { return c.Services["web"].Port, 8080 }},
		"a service's empty mapping":                  {minimal + "services: {web: {}}\n", func(c *Config) (any, any) { return c.Services["web"].Route.Paths, []string{"/*"} }},
		"an empty list":                              {minimal + "load_balancer: {firewall: {count_only: []}}\n", func(c *Config) (any, any) { return len(c.LoadBalancer.Firewall.CountOnly), 0 }},
		"a list on lines of its own":                 {minimal + "network:\n  zones:\n  - b\n  - a\n", func(c *Config) (any, any) { return c.Network.Zones, []string{"b", "a"} }},
		"a number in quotes as text":                 {minimal + "account: '012345678901'\n", func(c *Config) (any, any) { return c.Account, "012345678901" }},
		"an account with an eight or 9":              {minimal + "account: '089999999999'\n", func(c *Config) (any, any) { return c.Account, "089999999999" }},
		"zero":                                       {minimal + "database: {slow_query: 0}\n", func(c *Config) (any, any) { return c.Database.SlowQuery, 0 }},
		"a plus sign":                                {minimal + "database: {slow_query: +5}\n", func(c *Config) (any, any) { return c.Database.SlowQuery, 5 }},
		"booleans in capitals":                       {minimal + "protected: True\nservices: {web: {spot: FALSE}}\n", func(c *Config) (any, any) { return []bool{c.Protected, c.Services["web"].Spot}, []bool{true, false} }},
		"words that are booleans elsewhere, as text": {minimal + "tags: {owner: no, on: off}\n", func(c *Config) (any, any) { return c.Tags, map[string]string{"owner": "no", "on": "off"} }},
		"a date as text":                             {minimal + "tags: {since: 2026-11-23}\n", func(c *Config) (any, any) { return c.Tags["since"], "2026-11-23" }},
		"keys that are numbers and booleans": {minimal + "tags: {1: a, true: b, 1.50: c, 01: d}\n", func(c *Config) (any, any) {
			return slices.Sorted(maps.Keys(c.Tags)), []string{"01", "1", "1.50", "true"}
		}},
		"a text over several lines": {minimal + "services:\n  web:\n    environment:\n      A: |\n        one\n        two\n      B: >-\n        one\n        two\n", func(c *Config) (any, any) {
			return c.Services["web"].Environment, map[string]string{"A": "one\ntwo\n", "B": "one two"}
		}},
		"an empty text":        {minimal + "services: {web: {environment: {A: '', B: \"\"}}}\n", func(c *Config) (any, any) { return c.Services["web"].Environment, map[string]string{"A": "", "B": ""} }},
		"letters of all sorts": {minimal + "services: {web: {environment: {A: 'für 日本 🙂'}}}\n", func(c *Config) (any, any) { return c.Services["web"].Environment["A"], "für 日本 🙂" }},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil {
				wantProblems(t, c.text, "5:3: network.nat_: unknown key, did you mean nat? want one of allow_public_cidr, cidr, endpoints, nat, zones")
				return
			}
			if got, want := c.want(parse(t, "test", c.text)); !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v", got, want)
			}
		})
	}
}

// What the file says replaces a list or a mapping as a whole, and a field alone.
func TestFileReplacesDefaults(t *testing.T) {
	cfg := parse(t, "test", minimal+"services:\n  api:\n    image: quay.io/x/api:1\n    health_check: {path: /up}\n")
	if got := slices.Sorted(maps.Keys(cfg.Services)); !slices.Equal(got, []string{"api"}) {
		t.Errorf("services are %v, want api alone", got)
	}
	want := defaultService("api", ProfileDevelopment).HealthCheck
	want.Path = "/up"
	if got := cfg.Services["api"].HealthCheck; !reflect.DeepEqual(got, want) {
		t.Errorf("the health check is %+v, want %+v", got, want)
	}
}

func TestProblemsComeAllAtOnceInTheOrderOfTheFile(t *testing.T) {
	text := `region: eu_central
protected: yes
services:
  web:
    tasks: many
    image: nginx
    imag: x
  Worker:
    image: quay.io/x/worker:1
network:
  zones: [a, a, z]
  nat: two
database: {retention: 0, storage: {initial: 10, max: 5}}
log_retention: 31
tags: {owner: 1}
`
	wantProblems(t, text,
		`1:1: name: is required: the application's name, such as shop`,
		`1:1: region: want an AWS region of the commercial partition, such as eu-central-1, have "eu_central"`,
		`2:1: protected: want true or false, have yes`,
		`5:5: services.web.tasks: want a whole number, have many`,
		`6:5: services.web.image: want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have "nginx"`,
		`7:5: services.web.imag: unknown key, did you mean image? want one of architecture, command, connections, cpu, database, environment, exec, health_check, image, memory, metrics, permissions, port, query_timeout, repository, route, scaling, scratch, secret_keys, secrets, spot, stop_timeout, tasks, user`,
		`8:3: services.Worker: want a name of lower-case letters and digits, a letter first, at most 16 long`,
		`11:14: network.zones.1: want each zone once, "a" is there already`,
		`11:17: network.zones.2: want the letter of a zone, a to h, have "z"`,
		`12:3: network.nat: want one of none, single, per-zone, have "two"`,
		`13:12: database.retention: want 1 to 35, have 0`,
		`13:36: database.storage.initial: want 20 to 65536, have 10`,
		`13:49: database.storage.max: want 20 to 65536, have 5`,
		`13:49: database.storage.max: want at least 10 (database.storage.initial), have 5`,
		`14:1: log_retention: want a number of days that CloudWatch Logs knows (1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653), have 31`,
		`15:8: tags.owner: want text, have a number; put it in quotes`,
	)
}

// A value that could not be taken leaves a default behind: what is wrong with that one is nobody's business.
func TestUnreadableValueIsOneProblem(t *testing.T) {
	wantProblems(t, "name: [shop]\nregion: {}\nservices: {api: 5}\n",
		"1:1: name: want text, have a list",
		"2:1: region: want text, have a mapping",
		"3:12: services.api: want a mapping (key: value), have a number",
	)
}

func TestPathThatTheFileDoesNotNameStandsWhereItsParentDoes(t *testing.T) {
	wantProblems(t, minimal+"services:\n  api: {port: 80}\nstate: {backend: s3}\n",
		`4:3: services.api.image: is required: an image with a tag or digest`,
		`4:9: services.api.port: want 1024 to 65535, have 80`,
		`5:1: state.bucket: want the name of an S3 bucket, have ""`,
	)
}

// A secret that stands where its ARN belongs is not repeated, whatever is wrong with it.
func TestSecretsNeverShowInMessages(t *testing.T) {
	const secret = "74381905"
	for name, lines := range map[string]string{
		"the value":                      "secrets: {PASSWORD: 'x" + secret + "'}",
		"a value like a template":        "secrets: {PASSWORD: '${" + secret + "}'}",
		"a value like an ARN":            "secrets: {PASSWORD: 'arn:aws:iam::123456789012:secret/" + secret + "'}",
		"a number":                       "secrets: {PASSWORD: " + secret + "}",
		"a float":                        "secrets: {PASSWORD: 1." + secret + "}",
		"a list":                         "secrets: {PASSWORD: [" + secret + "]}",
		"a mapping":                      "secrets: {PASSWORD: {value: " + secret + "}}",
		"the value without its name":     "secrets: " + secret,
		"a list of values":               "secrets: [" + secret + "]",
		"an anchor":                      "secrets: {PASSWORD: &a " + secret + "}",
		"a name that is no variable's":   "secrets: {pass-word: x" + secret + "}",
		"a variable of the database's":   "secrets: {PGPASSWORD: x" + secret + "}",
		"a variable that is there twice": "secrets: {A: x" + secret + "}\n    environment: {A: x" + secret + "}",
		"a key twice":                    "secrets: {A: x" + secret + ", A: y" + secret + "}",
		"no YAML":                        "secrets: {A: x: " + secret + "}",
		"a quote that does not end":      "secrets: {A: \"" + secret + "}",
		"an environment variable":        "environment: {A: " + secret + "}",
		"the key's key":                  "secret_keys: [" + secret + "a]",
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, minimal+"services:\n  web:\n    "+lines+"\n")
			if len(got) == 0 {
				t.Fatal("is taken for valid")
			}
			if text := strings.Join(got, "\n"); strings.Contains(text, secret) {
				t.Errorf("shows the secret:\n%s", text)
			}
		})
	}
}

// The library has panicked on broken texts before; whatever does is one more problem of the file.
func TestPanicWhileDecodingIsAProblem(t *testing.T) {
	var target struct {
		Services map[string]Service `yaml:"services"`
	}
	doc := decodeYAML("config/test.yaml", []byte("services: {web: {}}\n"), &target, func(string) any { panic("slice bounds\nout of range") })
	if got, want := fmt.Sprint(doc.err()), `config/test.yaml:1:1: not valid YAML: slice bounds\nout of range`; got != want {
		t.Errorf("says %s, want %s", got, want)
	}
}

// The decoder walks the types of Config: a field of a kind that it does not know could never be set.
func TestDecoderKnowsAllTypesOfTheConfiguration(t *testing.T) {
	seen := map[string]string{}
	var walk func(path string, kind reflect.Type)
	walk = func(path string, kind reflect.Type) {
		switch kind.Kind() {
		case reflect.String, reflect.Bool, reflect.Int:
		case reflect.Slice:
			walk(path+"[]", kind.Elem())
		case reflect.Map:
			if kind.Key().Kind() != reflect.String {
				t.Errorf("%s: a key of kind %s", path, kind.Key().Kind())
			}
			walk(path+"{}", kind.Elem())
		case reflect.Struct:
			for i := range kind.NumField() {
				field := kind.Field(i)
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

func TestEveryStringIsWalkedUnderItsPath(t *testing.T) {
	cfg := Config{
		Environment: "not in the file", Name: "1", Tags: map[string]string{"a.b": "2"}, Network: Network{Zones: []string{"3", "4"}},
		Services: map[string]Service{"web": {Route: Route{Headers: map[string][]string{"X": {"5"}}}, Permissions: []Permission{{Actions: []string{"6"}}}}},
	}
	got := map[string]string{}
	walkStrings("", &cfg, func(path, text string) {
		if text != "" {
			got[path+"="+text] = ""
		}
	})
	want := []string{
		"name=1", "network.zones.0=3", "network.zones.1=4", "services.web.permissions.0.actions.0=6", "services.web.route.headers.X.0=5",
		"services.web.route.headers.X=X", "services.web=web", "tags.a.b=2", "tags.a.b=a.b",
	}
	if !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Errorf("walked\n  %s\nwant\n  %s", strings.Join(slices.Sorted(maps.Keys(got)), "\n  "), strings.Join(want, "\n  "))
	}
}

var problemLine = regexp.MustCompile(`^config/test\.yaml:([1-9][0-9]*):([1-9][0-9]*): (.+)$`)

// Whatever the bytes, there is a configuration or an error, never both and never a panic; and every line of the error names the
// file and a place that it has, in order and once.
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
		"", minimal, "\ufeff" + minimal, minimal + "---\n" + minimal, "%YAML 1.2\n---\n", "&a [*a, !!b c, <<: d]", "? a\n: b", "? ? ? a", "- - - - a", "a: b: c",
		"[[[[[[", "{{{{{{", "}", "]", "'", "\"", "\"\\", "|", ">", "|9\n a", ">-+\n a", "!", "&", "*", "%", "@", "`", "~", "\x00", "\xff", "\u2028", "a:\n\t- b",
		"<<: *a", "!!binary |\n  aGk=", "*a : b", "&a b: *a", "!!str : x", "- &a\n- *a", "a: !!map", "key: [a, {b: c}, [d]]", "a: 'x\n\n y'", "a: \"\\u12\"", "a: \"\\x4\"",
		minimal + "services:\n  web:\n", minimal + "tags: {a: 1, 'b': ~, \"c\\n\": .nan}\n", minimal + "network: {cidr: 10.0.0.0/33, zones: [a, a, '']}\n",
		minimal + "database: {backup_window: '23:30-00:30', maintenance_window: 'sun:23:45-mon:00:15', instance_class: db.x2g.99xlarge, restores: {a: {time: x}}}\n",
		minimal + "services: {web: {route: {priority: -1, paths: ['']}, secrets: {A: b}, scaling: {schedules: {a: {at: 'cron(? ?)'}}}, permissions: [{actions: ['*']}]}}\n",
		minimal + "backup: {schedule: 'cron(0 1 * * ? *)', timezone: ../../etc}\nmonitoring: {emails: ['@'], prometheus: {image: '/'}}\n",
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
				t.Errorf("took name %q and region %q", cfg.Name, cfg.Region)
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
				t.Errorf("%q holds what cannot be seen", line)
			}
		}
		if _, again := Parse("config/test.yaml", "test", text); again == nil || again.Error() != err.Error() {
			t.Errorf("said\n%v\nand then\n%v", err, fmt.Sprint(again))
		}
	})
}
