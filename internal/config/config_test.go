package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The load balancer takes a hundred rules.
func TestRoutesHaveALimit(t *testing.T) {
	t.Parallel()
	wantProblems(t, manyRoutes(100))
	wantProblems(t, manyRoutes(101), "3:1: services: want at most 100 rules on the balancer, "+
		"one for each route and one for each that hides metrics, have 101")
}

// manyRoutes is a file with so many routed services.
func manyRoutes(n int) string {
	text := minimal + "services:\n"
	for i := range n {
		text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', route: {priority: %d, paths: [/%d]}}\n", i, i+1, i)
	}
	return text
}

// Every number is taken at its limits, and refused one beyond them with a line that names both. The text before %d is chosen so that
// nothing else is wrong at the limits.
func TestNumbersHaveLimits(t *testing.T) {
	const web = "services: {web: {"
	for path, c := range map[string]struct {
		text      string
		low, high int
	}{
		"load_balancer.idle_timeout":             {"load_balancer: {idle_timeout: %d}", 1, 4000},
		"load_balancer.access_logs_retention":    {"load_balancer: {access_logs_retention: %d}", 1, 3650},
		"load_balancer.firewall.rate_limit":      {"load_balancer: {firewall: {rate_limit: %d}}", 10, 2_000_000_000},
		"services.web.port":                      {web + "port: %d}}", 1024, 65535},
		"services.web.route.priority":            {web + "route: {priority: %d}}}", 1, 49999},
		"services.web.route.deregistration_lag":  {web + "route: {deregistration_lag: %d}}}", 0, 3600},
		"services.web.route.slow_start":          {web + "route: {slow_start: %d}}}", 30, 900},
		"services.web.health_check.interval":     {web + "health_check: {timeout: 2, interval: %d}}}", 5, 300},
		"services.web.health_check.timeout":      {web + "health_check: {interval: 300, timeout: %d}}}", 2, 120},
		"services.web.health_check.grace_period": {web + "health_check: {grace_period: %d}}}", 0, 7200},
		"services.web.metrics.port":              {web + "metrics: {enabled: true, port: %d}}}", 1024, 65535},
		"services.web.tasks":                     {web + "tasks: %d}}", 0, 1000},
		"services.web.scaling.max":               {web + "tasks: 3, scaling: {max: %d}}}", 3, 5000},
		"services.web.scaling.cpu":               {web + "scaling: {cpu: %d}}}", 10, 95},
		"services.web.scaling.memory":            {web + "scaling: {memory: %d}}}", 10, 95},
		"services.web.scaling.requests":          {web + "scaling: {requests: %d}}}", 0, 1_000_000},
		"services.web.stop_timeout":              {web + "stop_timeout: %d}}", 2, 120},
		"database.storage.initial":               {"database: {storage: {max: 65536, initial: %d}}", 20, 65536},
		"database.storage.max":                   {"database: {storage: {initial: 20, max: %d}}", 20, 65536},
		"database.retention":                     {"database: {retention: %d}", 1, 35},
		"database.slow_query":                    {"database: {slow_query: %d}", 0, 3_600_000},
		"monitoring.prometheus.storage":          {"monitoring: {prometheus: {storage: %d}}", 21, 200},
		"monitoring.prometheus.days":             {"monitoring: {prometheus: {days: %d}}", 1, 3650},
		"monitoring.prometheus.scrape_interval":  {"monitoring: {prometheus: {scrape_interval: %d}}", 5, 300},
		"backup.retention":                       {"backup: {retention: %d}", 1, 3650},
		"backup.minimum":                         {"backup: {minimum: %d}", 1, 100},
		"backup.max_age":                         {"backup: {schedule: rate(1 hour), max_age: %d}", 1, 744},
		"backup.object_lock":                     {"backup: {object_lock: %d}", 0, 3650},
	} {
		t.Run(path, func(t *testing.T) {
			for _, value := range []int{c.low, c.high} {
				if got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n"); len(got) > 0 {
					t.Errorf("%d is refused: %q", value, got)
				}
			}
			for _, value := range []int{c.low - 1, c.high + 1} {
				want := fmt.Sprintf("%s: want %d to %d, have %d", path, c.low, c.high, value)
				if got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n"); !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, " "+want) }) {
					t.Errorf("%d: says %q, want %s", value, got, want)
				}
			}
		})
	}
}

// What Fargate sells: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func TestOnlySizesOfFargateAreTaken(t *testing.T) {
	steps := func(from, to, step int) []int {
		var all []int
		for memory := from; memory <= to; memory += step {
			all = append(all, memory)
		}
		return all
	}
	sizes := map[int][]int{
		256: {512, 1024, 2048}, 512: steps(1024, 4096, 1024), 1024: steps(2048, 8192, 1024), 2048: steps(4096, 16384, 1024), 4096: steps(8192, 30720, 1024),
		8192: steps(16384, 61440, 4096), 16384: steps(32768, 122880, 8192),
	}
	for _, cpu := range []int{-256, 0, 1, 128, 256, 257, 512, 768, 1024, 2048, 4096, 8192, 16384, 32768} {
		for memory := -512; memory <= 131072; memory += 256 {
			refused := false
			checkSize("size", cpu, memory, func(string, string, ...any) { refused = true })
			if refused == slices.Contains(sizes[cpu], memory) {
				t.Errorf("%d CPU units with %d MiB: refused %v", cpu, memory, refused)
			}
		}
	}
}

// noNAT is what a file has to say besides, where tasks reach AWS through endpoints alone.
const noNAT = `network: {nat: none, endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, secretsmanager, ssmmessages]}
services: {web: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:1'}}
monitoring: {prometheus: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/prometheus:1', config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/aws-cli:1'}}
`

func TestNameAndRegionAreEnough(t *testing.T) {
	got := parse(t, "dev", minimal)
	want := defaultConfig(ProfileDevelopment)
	want.Environment, want.Name, want.Region, want.State.Region = "dev", "shop", "eu-central-1", "eu-central-1"
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
}

func TestProfilePicksTheDefaults(t *testing.T) {
	got := parse(t, "live", minimal+"profile: production\nstate: {bucket: states}\nload_balancer: {allow_http: true}\n")
	want := defaultConfig(ProfileProduction)
	want.Environment, want.Name, want.Region, want.State.Region = "live", "shop", "eu-central-1", "eu-central-1"
	want.State.Bucket, want.LoadBalancer.AllowHTTP = "states", true
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
	if development := defaultConfig(ProfileDevelopment); development.Protected || !want.Protected || development.Network.NAT == want.Network.NAT {
		t.Error("the profiles do not differ")
	}
}

// The file's name picks nothing: an environment called production is a small one, unless it says otherwise.
func TestEnvironmentsNamePicksNothing(t *testing.T) {
	one, other := *parse(t, "dev", minimal), *parse(t, "prod", minimal)
	other.Environment = "dev"
	if !reflect.DeepEqual(one, other) {
		t.Errorf("dev is\n%+v\nprod is\n%+v", one, other)
	}
}

func TestDefaultsOfAServiceAreValidInBothProfiles(t *testing.T) {
	for _, profile := range []string{ProfileDevelopment, ProfileProduction} {
		t.Run(profile, func(t *testing.T) {
			wantProblems(t, minimal+"profile: "+profile+"\nstate: {backend: local}\nload_balancer: {allow_http: true}\nservices:\n  web:\n  worker: {image: 'quay.io/x/y:1'}\n  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}\n")
		})
	}
}

func TestShippedEnvironmentsAreValid(t *testing.T) {
	names := shipped(t)
	for _, needed := range []string{"dev", "prod"} {
		if !slices.Contains(names, needed) {
			t.Errorf("there is no config/%s.yaml", needed)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if got := load(t, name).Environment; got != name {
				t.Errorf("is environment %q", got)
			}
		})
	}
}

// A list or a mapping that two services, or two configurations, had in common would change in one with the other.
func TestDefaultsAreNotShared(t *testing.T) {
	seen := map[uintptr]string{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map, reflect.Slice:
			if v.Len() == 0 {
				return
			}
			if other, shared := seen[v.Pointer()]; shared {
				t.Errorf("%s is %s", path, other)
			}
			seen[v.Pointer()] = path
			if v.Kind() == reflect.Map {
				for _, key := range v.MapKeys() {
					walk(path+"."+key.String(), v.MapIndex(key))
				}
			}
		}
	}
	for _, profile := range []string{ProfileDevelopment, ProfileProduction} {
		for _, name := range []string{"one", "other"} {
			walk(profile+" "+name, reflect.ValueOf(defaultConfig(profile)))
			walk(profile+" "+name+" service", reflect.ValueOf(defaultService("web", profile)))
		}
	}
	if len(seen) < 8 {
		t.Errorf("looked at %d lists and mappings only", len(seen))
	}
	cfg := parse(t, "dev", minimal+"services:\n  web:\n  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}\n")
	walk("parsed", reflect.ValueOf(*cfg))
}

func TestScalingMaximumFollowsTheTasks(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		want    int
	}{
		"nothing said":         {"{}", 1},
		"tasks beyond it":      {"{tasks: 9}", 9},
		"a maximum of its own": {"{tasks: 2, scaling: {max: 7}}", 7},
		"no task at all":       {"{tasks: 0, scaling: {max: 0}}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, "dev", minimal+"services: {web: "+c.service+"}\n").Services["web"].Scaling.Max; got != c.want {
				t.Errorf("is %d, want %d", got, c.want)
			}
		})
	}
}

// A restore is of the database's version and protected, unless the file says otherwise.
func TestRestoreStartsFromTheDatabasesVersion(t *testing.T) {
	restores := parse(t, "dev", minimal+"database: {version: '16', restores: {one: {snapshot: x}, two: {snapshot: y, version: '15', protected: false}}}\n").Database.Restores
	want := map[string]Restore{
		"one": {Snapshot: "x", Version: "16", Protected: true},
		"two": {Snapshot: "y", Version: "15", Protected: false},
	}
	if !reflect.DeepEqual(restores, want) {
		t.Errorf("are %+v, want %+v", restores, want)
	}
}

func TestStatesRegionIsTheStacksUnlessGiven(t *testing.T) {
	for text, want := range map[string]string{
		"state: {backend: s3, bucket: states}":                    "eu-central-1",
		"state: {backend: s3, bucket: states, region: eu-west-1}": "eu-west-1",
	} {
		if got := parse(t, "dev", minimal+text+"\n").State.Region; got != want {
			t.Errorf("%s: is in %s, want %s", text, got, want)
		}
	}
	// A wrong region is one problem, though the state's follows from it.
	wantProblems(t, "name: shop\nregion: here\nstate: {backend: s3, bucket: states}\n",
		`2:1: region: want an AWS region of the commercial partition, such as eu-central-1, have "here"`)
}

// ---- Loading ---------------------------------------------------------------------------------------------------------

// folder makes a project's root with these files below config.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "config", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestEnvironmentNamesItsFile(t *testing.T) {
	root := folder(t, map[string]string{"staging-2.yaml": minimal, "dev.yaml": "name: other\nregion: eu-central-1\n"})
	cfg, _, err := Load(root, "staging-2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Environment != "staging-2" || cfg.Stack() != "shop-staging-2" {
		t.Errorf("loaded %s of %q", cfg.Stack(), cfg.Environment)
	}
}

func TestMissingEnvironmentListsThoseThereAre(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"some": {map[string]string{"prod.yaml": minimal, "dev.yaml": minimal, "README.md": "", "old.yml": minimal}, "dev, prod"},
		"none": {nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Load(folder(t, c.files), "test", nil)
			want := "config/test.yaml: there is no such file: ENVIRONMENT=test names it, and there is " + c.want
			if fmt.Sprint(err) != want {
				t.Errorf("says\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestEnvironmentIsAName(t *testing.T) {
	root := folder(t, map[string]string{"dev.yaml": minimal, "Dev.yaml": minimal, "a b.yaml": minimal})
	if err := os.WriteFile(filepath.Join(root, "secret.yaml"), []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"", "../secret", "..", ".", "/etc/passwd", "dev/../dev", "dev.yaml", `..\secret`, "Dev", "a b", "dev\n", "dev\x00", "-dev", "dev-", "d--v", "2dev", "dév"} {
		_, _, err := Load(root, environment, nil)
		want := fmt.Sprintf("ENVIRONMENT=%q: want a name of lower-case letters, digits and dashes, such as dev", environment)
		if fmt.Sprint(err) != want {
			t.Errorf("says\n%v\nwant\n%s", err, want)
		}
	}
}

func TestFileThatCannotBeReadIsNamed(t *testing.T) {
	root := folder(t, nil)
	if err := os.Mkdir(filepath.Join(root, "config", "dev.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(root, "dev", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "config/dev.yaml: cannot be read: ") || strings.Contains(err.Error(), root) {
		t.Errorf("says %v", err)
	}
}

// ---- Windows ---------------------------------------------------------------------------------------------------------

func TestWindowsOverlap(t *testing.T) {
	for name, c := range map[string]struct {
		daily, weekly string
		want          bool
	}{
		"apart on the same day":                {"01:00-02:00", "sun:04:30-sun:05:30", false},
		"the same":                             {"04:30-05:30", "sun:04:30-sun:05:30", true},
		"the end of one is the other's start":  {"04:00-04:30", "sun:04:30-sun:05:30", false},
		"the start of one is the other's end":  {"05:30-06:00", "sun:04:30-sun:05:30", false},
		"a minute at the start":                {"04:00-04:31", "sun:04:30-sun:05:30", true},
		"a minute at the end":                  {"05:29-06:00", "sun:04:30-sun:05:30", true},
		"one within the other":                 {"04:45-05:15", "wed:04:30-wed:05:30", true},
		"the other within the one":             {"04:00-06:00", "wed:04:30-wed:05:30", true},
		"daily across midnight, before it":     {"23:30-00:30", "tue:23:45-tue:23:59", true},
		"daily across midnight, after it":      {"23:30-00:30", "tue:00:15-tue:01:00", true},
		"daily across midnight, apart":         {"23:30-00:30", "tue:00:30-tue:23:30", false},
		"weekly across midnight":               {"23:50-23:59", "mon:23:30-tue:00:30", true},
		"weekly across midnight, after it":     {"00:10-00:40", "mon:23:30-tue:00:30", true},
		"weekly across midnight, apart":        {"00:30-01:00", "mon:23:30-tue:00:30", false},
		"both across midnight":                 {"23:59-00:01", "mon:23:58-tue:00:02", true},
		"both across midnight, touching":       {"23:00-23:30", "mon:23:30-tue:00:30", false},
		"weekly across the week's end":         {"23:50-23:59", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, after":  {"00:00-00:30", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, apart":  {"01:00-02:00", "sun:23:30-mon:00:30", false},
		"both across the week's end":           {"23:45-00:15", "sun:23:50-mon:00:10", true},
		"weekly longer than a day":             {"12:00-12:30", "fri:13:00-sat:13:00", true},
		"weekly a day long but for the backup": {"12:00-12:30", "fri:12:30-sat:12:00", false},
		"weekly over several days":             {"12:00-12:30", "sat:12:30-fri:12:00", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := windowsOverlap(c.daily, c.weekly); got != c.want {
				t.Errorf("%s and %s: %v", c.daily, c.weekly, got)
			}
		})
	}
}

func TestSchedulesAreReadAsAWSReadsThem(t *testing.T) {
	for text, want := range map[string]bool{
		// Examples of https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and its sisters.
		"cron(15 12 * * ? *)":                        true,
		"cron(0 18 ? * MON-FRI *)":                   true,
		"cron(0 8 1 * ? *)":                          true,
		"cron(0/15 * * * ? *)":                       true,
		"cron(0/10 * ? * MON-FRI *)":                 true,
		"cron(0/5 8-17 ? * MON-FRI *)":               true,
		"cron(15 10 ? * 6L 2022-2023)":               true,
		"cron(0 9 ? * 2#1 *)":                        true,
		"cron(0 0 L * ? *)":                          true,
		"cron(0 0 15W * ? *)":                        true,
		"cron(*/20 1,13 1,15 JAN-MAR,6 ? 2027,2028)": true,
		"cron(0 0 ? feb mon *)":                      true,
		"rate(1 hour)":                               true,
		"rate(15 minutes)":                           true,
		"rate(10 days)":                              true,

		"cron(60 3 * * ? *)":        false,
		"cron(0 24 * * ? *)":        false,
		"cron(0 3 0 * ? *)":         false,
		"cron(0 3 32 * ? *)":        false,
		"cron(0 3 * 13 ? *)":        false,
		"cron(0 3 * JANUARY ? *)":   false,
		"cron(0 3 ? * 0 *)":         false,
		"cron(0 3 ? * 8 *)":         false,
		"cron(0 3 ? * MONDAY *)":    false,
		"cron(0 3 ? * 2/2 *)":       false,
		"cron(0 3 ? * 2#6 *)":       false,
		"cron(0 3 ? * MON-FRI#1 *)": false,
		"cron(0 3 ? * 2,3L *)":      false,
		"cron(0 3 1-5W * ? *)":      false,
		"cron(0 3 LW2 * ? *)":       false,
		"cron(0 3 * * ? 1969)":      false,
		"cron(0 3 * * ? 2200)":      false,
		"cron(*/0 3 * * ? *)":       false,
		"cron(5/ 3 * * ? *)":        false,
		"cron(1- 3 * * ? *)":        false,
		"cron(1,,2 3 * * ? *)":      false,
		"cron(-5 3 * * ? *)":        false,
		"cron(+5 3 * * ? *)":        false,
		"cron(? 3 * * ? *)":         false,
		"cron(L 3 * * ? *)":         false,
		"cron(five 3 * * ? *)":      false,
		"cron(0 3 * * * *)":         false,
		"cron(0 3 ? * ? *)":         false,
		"cron(0 3 * * *)":           false,
		"cron(0 3 * * ? * )":        false,
		"rate(1 hours)":             false,
		"rate(2 hour)":              false,
		"rate(0 hours)":             false,
		"rate(02 hours)":            false,
		"rate(1 week)":              false,
		"at(tomorrow)":              false,
	} {
		if have := isCron(text) || rateText.MatchString(text); have != want {
			t.Errorf("the configuration may say %s: %v", text, have)
		}
	}
	for text, want := range map[string]bool{
		"at(2026-11-23T03:00:00)": true, "at(2028-02-29T23:59:59)": true,
		"at(2027-02-29T03:00:00)": false, "at(2026-13-01T03:00:00)": false, "at(2026-11-23T24:00:00)": false, "at(2026-11-23 03:00:00)": false,
	} {
		if have := isAt(text); have != want {
			t.Errorf("%s is a time: %v", text, have)
		}
	}
}

func TestSnapshotIsOutsideTheBackupWindow(t *testing.T) {
	for name, c := range map[string]struct {
		schedule, window string
		refused          bool
	}{
		"before it":                       {"cron(59 0 * * ? *)", "01:00-02:00", false},
		"at its start":                    {"cron(0 1 * * ? *)", "01:00-02:00", true},
		"in its last minute":              {"cron(59 1 * * ? *)", "01:00-02:00", true},
		"at its end":                      {"cron(0 2 * * ? *)", "01:00-02:00", false},
		"within it on one weekday":        {"cron(30 1 ? * SUN *)", "01:00-02:00", true},
		"within it on one day of a month": {"cron(30 1 1 * ? *)", "01:00-02:00", true},
		"across midnight, before it":      {"cron(45 23 * * ? *)", "23:30-00:30", true},
		"across midnight, after it":       {"cron(15 0 * * ? *)", "23:30-00:30", true},
		"across midnight, outside":        {"cron(30 0 * * ? *)", "23:30-00:30", false},
		"several hours, left alone":       {"cron(30 1,13 * * ? *)", "01:00-02:00", false},
		"a rate, left alone":              {"rate(1 hour)", "01:00-02:00", false},
		"no window to compare with":       {"cron(30 1 * * ? *)", "nightly", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, minimal+"backup: {schedule: '"+c.schedule+"'}\ndatabase: {maintenance_window: 'sun:08:00-sun:09:00', backup_window: '"+c.window+"'}\n")
			want := `config/test.yaml:3:10: backup.schedule: want a time outside database.backup_window (` + c.window + `), since RDS refuses a snapshot while it takes its own, have "` + c.schedule + `"`
			if slices.Contains(got, want) != c.refused {
				t.Errorf("says %q", got)
			}
		})
	}
}
