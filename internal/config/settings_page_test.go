package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/configtest"
	"platform/internal/golden"
)

// settingsPage has a generated part, between these lines, and text around it.
const (
	settingsPage  = "../../docs/settings.md"
	settingsBegin = "<!-- generated from internal/config by make golden -->\n"
	settingsEnd   = "<!-- end of the generated part -->\n"
)

// formats say what a setting may hold, by its path, where the tag has only a pattern, or a range
// with invalid values in it.
var formats = map[string]string{
	"name":    "lower-case letters, digits and single dashes; with the environment at most 22 characters",
	"region":  "a region of the commercial partition, such as `eu-central-1`",
	"account": "12 digits, in quotes",
	"tags": "at most 6 keys and values of letters, digits, spaces and `_.:/=+-@`; in any case of " +
		"letters, no key twice, and none of `Application`, `Environment`, `ManagedBy`, `Name`, " +
		"`BackupOf`, `MetricsPath`, `MetricsPort`, `ScheduledTime`",
	"pull_through_cache":            "prefixes of 2 to 30 characters, such as `docker-hub`",
	"state.bucket":                  "the name of an S3 bucket",
	"state.region":                  "an AWS region",
	"network.cidr":                  "a private IPv4 block of /16 to /22, such as `10.0.0.0/16`",
	"network.zones":                 "2 to 6 letters of `a` to `h`",
	"load_balancer.domain":          "a domain name of at most 64 characters, such as `shop.example.com`",
	"load_balancer.hosted_zone":     "the name of a zone that contains the domain, such as `example.com`",
	"load_balancer.certificate_arn": "the ARN of an ACM certificate in the stack's region",
	"load_balancer.sources":         "1 to 30 IPv4 blocks, such as `203.0.113.0/24`",
	"services.<name>.image": "an image with its registry and an immutable tag or a digest, such as " +
		"`quay.io/team/web:1.4.2`; not `latest`",
	"services.<name>.memory":     "see [Fargate sizes](#fargate-sizes)",
	"services.<name>.command":    "texts",
	"services.<name>.entrypoint": "texts",
	"services.<name>.user":       "a number in quotes, `0` to `2147483647`, or `image`",
	"services.<name>.writable.path": "absolute paths of letters, digits and `._-`, such as `/app/static`; " +
		"not in one another",
	"services.<name>.scratch":     "16 to half of `memory`",
	"services.<name>.environment": "names of letters, digits and underscores; texts as values",
	"services.<name>.secrets":     "[names or ARNs](#secrets) in the stack's region, never the secret itself",
	"services.<name>.database.name": "lower-case letters, digits and underscores, at most 40; " +
		"no word that PostgreSQL or RDS reserves",
	"services.<name>.database.variables": "names of letters, digits and underscores; as values `host`, `port`, " +
		"`name`, `user`, `password`, `url`, `jdbc_url`",
	"services.<name>.database.url_parameters": "at most 200 characters, such as " +
		"`sslmode=verify-full&connect_timeout=5`",
	"services.<name>.registry_secret":       "a [name or an ARN](#private-registries) in Secrets Manager",
	"services.<name>.secret_keys":           "ARNs of KMS keys in the stack's region",
	"services.<name>.generated":             "names of variables, such as `SECRET_KEY_BASE`, of `A-Z`, `0-9` and `_`",
	"services.<name>.permissions.actions":   "names without `*`, such as `s3:GetObject`",
	"services.<name>.permissions.resources": "ARNs, or `*` alone",
	"services.<name>.route.paths":           "paths, such as `/api/*`, of ASCII letters, digits and `_-.$/~\"'@:+&*?`",
	"services.<name>.route.hosts":           "host names, such as `*.example.com`, with letters after the last dot",
	"services.<name>.route.headers":         "names of HTTP headers, each with a list of values; not `Host`",
	"services.<name>.route.sources":         "IPv4 blocks",
	"services.<name>.health_check.path":     "a path, such as `/healthy`",
	"services.<name>.health_check.codes":    "codes and ranges of 200 to 499, such as `200`, `200-299` or `200,204`",
	"services.<name>.health_check.command":  "texts, such as `[/bin/check]` or `[CMD-SHELL, test -f /tmp/alive]`",
	"services.<name>.metrics.path":          "a path",
	"services.<name>.egress.port":           "1 to 65535, not 25 or 443",
	"services.<name>.egress.to":             "1 or more IPv4 blocks, such as `203.0.113.0/24`",
	"services.<name>.calls":                 "names of other services",
	"services.<name>.scaling.max":           "`tasks` to 5000",
	"services.<name>.scaling.schedules.<name>.at": "`cron(minute hour day month weekday year)` or " +
		"`at(yyyy-mm-ddThh:mm:ss)`",
	"services.<name>.scaling.schedules.<name>.timezone": "a time zone, such as `Europe/Berlin`",
	"database.instance_class": "a class of a current generation that RDS offers for PostgreSQL, " +
		"such as `db.t4g.micro`",
	"database.name": "lower-case letters, digits and underscores; " +
		"no word that PostgreSQL or RDS reserves",
	"database.parameters": "names and values of PostgreSQL parameters; " +
		"`rds.force_ssl` must stay `1`",
	"database.backup_window":                    "`hh:mm-hh:mm`",
	"database.maintenance_window":               "`ddd:hh:mm-ddd:hh:mm`, outside `backup_window`",
	"database.rotation_window":                  "`hh:00-hh:00`, not across midnight",
	"database.certificate_image":                "an image, as for services",
	"database.restores.<name>.automated_backup": "the ARN of automated backups in the stack's region",
	"database.restores.<name>.snapshot":         "an identifier, or the ARN of a snapshot in the stack's region",
	"database.restores.<name>.time":             "a time in UTC, such as `2026-11-23T03:00:00Z`",
	"database.active":                           "`main` or a key of `restores`",
	"monitoring.database_image":                 "an image, as for services",
	"monitoring.emails":                         "e-mail addresses",
	"services.<name>.like":                      "name of a service that is not like another one",
	"services.<name>.alarms.latency":            "0, or 0.05 to less than `load_balancer.idle_timeout`",
	"monitoring.objectives.availability":        "95 to 99.99",
	"monitoring.objectives.latency":             "95 to 99.99",
	"monitoring.objectives.latency_threshold":   "0.05 to 30",
	"monitoring.prometheus.image":               "an image, as for services",
	"monitoring.prometheus.config_image":        "an image, as for services",
	"monitoring.cloudwatch_interval":            "0, or 60 to 900 in steps of 60",
	"monitoring.prometheus.alertmanager_image":  "an image, as for services",
	"monitoring.prometheus.cloudwatch_image":    "an image, as for services",
	"monitoring.prometheus.memory":              "see [Fargate sizes](#fargate-sizes)",
	"backup.schedule": "`cron(minute hour day month weekday year)` or `rate(n hours)`, outside " +
		"`database.backup_window`",
	"backup.copy.region": "a region of the commercial partition other than the stack's, with `profile: production`",
	"backup.retention":   "1 to 3650, and more than the days between two dumps",
	"backup.timezone":    "a time zone, such as `UTC` or `Europe/Berlin`",
	"backup.max_age":     "1 to 744, and at least the hours between two snapshots",
	"backup.dump.schedule": "`cron(minute hour day month weekday year)` or `rate(n hours)`, outside " +
		"`database.backup_window` and `database.maintenance_window`",
	"backup.dump.max_age":      "1 to 744, and at least the hours between two dumps",
	"backup.dump.memory":       "see [Fargate sizes](#fargate-sizes)",
	"backup.dump.verify_limit": "0 to 200, at most `disk`",
	"backup.dump.image":        "an image, as for services",
	"backup.dump.cli_image":    "an image, as for services",
	"backup.drill.schedule":    "`cron(minute hour day month weekday year)`, `rate(n days)` or empty",
	"backup.drill.max_age":     "1 to 400, and at least the days between two rehearsals",
}

// allowedText is what a setting may hold, for a reader.
func allowedText(s configtest.Setting) string {
	a := s.Allowed
	switch {
	case formats[s.Path] != "":
		return formats[s.Path]
	case a.Numbered && a.OrZero:
		return fmt.Sprintf("0, or %d to %d", a.Low, a.High)
	case a.Numbered:
		return fmt.Sprintf("%d to %d", a.Low, a.High)
	case len(a.Values) > 0:
		return "`" + strings.Join(a.Values, "`, `") + "`"
	case s.Kind.Kind() == reflect.Bool:
		return "`true`, `false`"
	}
	return ""
}

// listElements are new elements of lists, which have defaults.
var listElements = map[string]any{
	"services.<name>.egress":   config.DefaultEgress(),
	"services.<name>.writable": config.DefaultWritable(),
}

// kindInFile is what a type is called in a file.
func kindInFile(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Int, reflect.Float64:
		return "number"
	case reflect.Bool:
		return "switch"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "map"
	}
	return "text"
}

// defaultAt is the default of a profile at a path, as a file would say it.
func defaultAt(profile, path string) string {
	cfg := config.DefaultConfig(profile)
	value := reflect.ValueOf(cfg)
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if part == "<name>" {
			switch strings.Join(parts[:i], ".") {
			case "services":
				value = reflect.ValueOf(config.DefaultService(profile))
			case "database.restores":
				value = reflect.ValueOf(config.Restore{Protected: true})
			default:
				value = reflect.Zero(value.Type().Elem())
			}
			continue
		}
		if value.Kind() == reflect.Slice {
			element, ok := listElements[strings.Join(parts[:i], ".")]
			if !ok {
				return "-"
			}
			value = reflect.ValueOf(element)
		}
		for j := range value.NumField() {
			if value.Type().Field(j).Tag.Get("yaml") == part {
				value = value.Field(j)
				break
			}
		}
	}
	text := config.InYAML(value)
	if i := strings.IndexByte(text, '@'); i > 0 {
		text = text[strings.LastIndexByte(text[:i], '/')+1 : i] // an image without its digest
	}
	return text
}

// section is a table of settings that have everything but the last part of their path in common.
type section struct {
	path, description string
	settings          []configtest.Setting
}

// sections returns the tables of the page, in the order of the types.
func sections(all []configtest.Setting, path, description string) []section {
	own := section{path: path, description: description}
	var below []section
	for _, s := range all {
		if s.Children == nil {
			own.settings = append(own.settings, s)
			continue
		}
		first := s.Children[0].Path
		prefix := first[:strings.LastIndexByte(first, '.')]
		below = append(below, sections(s.Children, prefix, s.Description)...)
	}
	if own.settings == nil {
		return below
	}
	return slices.Concat([]section{own}, below)
}

// generatedSettings is the generated part of the page: a table for each section of the file.
func generatedSettings(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, s := range sections(configtest.SettingsOf(comments(t), "", reflect.TypeFor[config.Config]()), "", "") {
		level := "##"
		if strings.Contains(strings.TrimSuffix(s.path, ".<name>"), ".") {
			level = "###"
		}
		heading := "## The top of the file"
		if s.path != "" {
			heading = level + " `" + s.path + "`"
		}
		out.WriteString("\n" + heading + "\n\n")
		if s.description != "" {
			out.WriteString(strings.ToUpper(s.description[:1]) + s.description[1:] + ".\n\n")
		}
		writeRow(&out, "setting", "what it is", "type or unit", "allowed", "development", "production")
		writeRow(&out, "---", "---", "---", "---", "---", "---")
		for _, setting := range s.settings {
			writeSetting(&out, setting)
		}
	}
	return out.String() + "\n"
}

func writeSetting(out *strings.Builder, s configtest.Setting) {
	development := defaultAt(config.ProfileDevelopment, s.Path)
	production := defaultAt(config.ProfileProduction, s.Path)
	if production == development {
		production = map[bool]string{true: "-", false: "the same"}[development == "-"]
	}
	kind := kindInFile(s.Kind)
	if s.Allowed.Unit != "" {
		kind = s.Allowed.Unit
	}
	if s.Short {
		kind += "; may be written alone"
		development, production = "-", "-" // it is always written
	}
	writeRow(out, "`"+s.Path+"`", s.Description, kind, allowedText(s), development, production)
}

func writeRow(out *strings.Builder, cells ...string) {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", "\\|")
	}
	out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func TestSettingsPageIsMadeFromTheTypes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(page), settingsBegin)
	got, after, ends := strings.Cut(rest, settingsEnd)
	if !begins || !ends {
		t.Fatalf("%s has no %s and %s", settingsPage, settingsBegin, settingsEnd)
	}
	want := generatedSettings(t)
	if *golden.Update && got != want {
		if err := os.WriteFile(settingsPage, []byte(before+settingsBegin+want+settingsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := golden.FirstDifference(want, got); diff != "" {
		t.Errorf("%s does not follow from the types; run make golden:\n%s", settingsPage, diff)
	}
}

// A reader of the page needs no other file to know what a setting may hold.
func TestSettingsPageSaysWhatIsAllowed(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, section := range sections(configtest.SettingsOf(nil, "", reflect.TypeFor[config.Config]()), "", "") {
		for _, s := range section.settings {
			known[s.Path] = true
			if allowedText(s) == "" {
				t.Errorf("%s: nothing says what is allowed: add it to formats", s.Path)
			}
		}
	}
	for path := range formats {
		if !known[path] {
			t.Errorf("formats: %s matches no setting", path)
		}
	}
}

var yamlBlock = regexp.MustCompile("(?ms)^ *```yaml\n(.*?)^ *```")

// What the documentation shows can be copied into a file.
func TestExamplesInTheDocumentationAreValid(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			found++
			example := block[1]
			if !strings.Contains(example, "name: platform\n") {
				example = "name: platform\nregion: eu-central-1\n" + example
			}
			if _, err := config.Parse(page, "example", []byte(example)); err != nil {
				t.Errorf("%s: an example is invalid: %v\n%s", page, err, example)
			}
		}
	}
	if found < 5 {
		t.Errorf("want at least 5 examples, found %d", found)
	}
}
