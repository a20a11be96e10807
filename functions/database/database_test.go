package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// RDS's authorities, as RDS names them.
func TestCertificatesAreForTheirRegionAndValidForAYear(t *testing.T) {
	files, err := certificates.ReadDir("certificates")
	if err != nil || len(files) == 0 {
		t.Fatal("no certificates", err)
	}
	for _, file := range files {
		region := strings.TrimSuffix(file.Name(), ".pem")
		rest, err := certificates.ReadFile("certificates/" + file.Name())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Errorf("%s: %v", region, err)
				continue
			}
			names = append(names, certificate.Subject.CommonName)
			if err := certificate.CheckSignatureFrom(certificate); err != nil {
				t.Errorf("%s: %s is no root: %v", region, certificate.Subject.CommonName, err)
			}
			if left := time.Until(certificate.NotAfter); left < 365*24*time.Hour {
				t.Errorf("%s: %s ends on %s: take the region's new ones from "+
					"https://truststore.pki.rds.amazonaws.com, deploy, then move the instance to the new authority",
					region, certificate.Subject.CommonName, certificate.NotAfter.Format(time.DateOnly))
			}
		}
		if len(strings.TrimSpace(string(rest))) > 0 {
			t.Errorf("%s: ends in %q", region, rest)
		}
		slices.Sort(names)
		want := []string{
			"Amazon RDS " + region + " Root CA ECC384 G1",
			"Amazon RDS " + region + " Root CA RSA2048 G1",
			"Amazon RDS " + region + " Root CA RSA4096 G1",
		}
		if !slices.Equal(names, want) {
			t.Errorf("%s has %q, want %q", region, names, want)
		}
	}
}

// goodEnvironment returns an environment that is right.
func goodEnvironment() map[string]string {
	return map[string]string{
		"PGHOST":                   "db.example",
		"PGPORT":                   "5432",
		"PGDATABASE":               "app",
		"MASTER_SECRET_ARN":        "arn:aws:secretsmanager:…",
		"CLUSTER":                  "platform-dev",
		"AWS_REGION":               "eu-central-1",
		"SERVICES":                 `{"web":{"level":"read","connections":-1,"statement_timeout":0}}`,
		"SECRET_PREFIX":            "platform-dev/database/",
		"ROTATION_DAYS":            "30",
		"AWS_LAMBDA_FUNCTION_NAME": "platform-dev-database",
		"METRIC_NAMESPACE":         "platform-dev/Database",
	}
}

func TestEnvironmentVariablesErrorListsAllProblems(t *testing.T) {
	good := goodEnvironment()
	s, err := loadSettings(func(name string) string { return good[name] })
	if err != nil || s.port != 5432 || !strings.Contains(string(s.roots), "BEGIN CERTIFICATE") ||
		s.services["web"] != (service{Level: "read", Connections: -1}) {
		t.Errorf("the right environment: %+v, %v", s, err)
	}
	for name := range good {
		_, err := loadSettings(func(n string) string { return map[bool]string{false: good[n]}[n == name] })
		if err == nil || !strings.Contains(err.Error(), name+": not set") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, wants := range map[string]map[string][]string{
		"PGPORT":        {"five": {`PGPORT: want a port, have "five"`}, "65536": {"PGPORT"}, "0": {"PGPORT"}},
		"ROTATION_DAYS": {"0": {"ROTATION_DAYS: want a number of days"}},
		"AWS_REGION":    {"mars-west-1": {"AWS_REGION: RDS's certificates for mars-west-1 are not in this function"}},
		"SERVICES": {
			"[]":   {"SERVICES: want a JSON object"},
			"null": {"SERVICES: want a JSON object"},
			`{"web":{"level":"read","connections":1,"statement_timeout":0,"more":1}}`: {`unknown field "more"`},
			`{"web":{"level":"read","connections":1,"statement_timeout":0,"database":"pg_x"}}`: {
				`web.database: want the name of a service's database that is not PGDATABASE, at most 40 lower-case`,
			},
			`{"web":{"level":"read","connections":1,"statement_timeout":0,"database":"app"}}`: {`web.database: want`},
			`{"web":{"level":"read","connections":1,"statement_timeout":0,` +
				`"database":"a2345678901234567890123456789012345678901"}}`: {`web.database: want`},
			`{"platform_dump":{"level":"dump","connections":1,"statement_timeout":0,"database":"x"}}`: {
				`platform_dump.database: want`,
			},
			`{"We b":{"level":"root","connections":0,"statement_timeout":-1}}`: {
				`SERVICES: "We b": want lower-case letters`,
				`We b.level: want one of [read write owner], have "root"`,
				"We b.connections: want 1 or more",
				"We b.statement_timeout: want 0 or more",
			},
		},
	} {
		for value, wants := range wants {
			bad := goodEnvironment()
			bad[name] = value
			delete(bad, "CLUSTER")
			_, err := loadSettings(func(name string) string { return bad[name] })
			for _, want := range append(wants, "CLUSTER: not set") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s=%s: want %q, have %v", name, value, want, err)
				}
			}
		}
	}
}

func TestInvalidEventIsRejected(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                                "event: ",
		`{"action":"rol`:                    "event: ",
		`{"action":"bak"}`:                  `event: action: want roles, daily, database, have "bak"`,
		`{}`:                                `event: action: want roles, daily, database, have ""`,
		`{"action":"roles","surprise":1}`:   `unknown field "surprise"`,
		`{"action":"roles","database":"x"}`: `event: database: want none with the action roles, have "x"`,
		`{"action":"daily","like":"x"}`:     `event: like: want none with the action daily, have "x"`,
		`{"action":"database"}`:             `event: database: want a new name`,
		`{"action":"database","database":"postgres"}`: `event: database: want a new name`,
		`{"action":"database","database":"A"}`:        `event: database: want a new name`,
	} {
		if _, err := parseEvent([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, have %v", text, want, err)
		}
	}
}

// Terraform calls once more with the input that an earlier version of the stack had, when it replaces
// that invocation.
func TestEventsOfEarlierVersionsAreAccepted(t *testing.T) {
	for _, text := range []string{
		`{"action":"roles","revision":"x"}`,
		`{"action":"daily"}`,
		`{"action":"roles","revision":"x","services":{"web":{"level":"read","secret":"arn"}},` +
			`"tf":{"action":"update","prev_input":{"action":"roles"}}}`,
	} {
		if _, err := parseEvent([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	deletion := `{"action":"roles","revision":"x","services":{},"tf":{"action":"delete","prev_input":null}}`
	f := &function{log: slog.New(slog.DiscardHandler)} // without an AWS client: a call would panic
	if out, err := f.handle(t.Context(), []byte(deletion)); err != nil || len(out.Changed) > 0 {
		t.Errorf("a deletion: %+v, %v", out, err)
	}
}

func TestUserNamesAlternate(t *testing.T) {
	for name, want := range map[string][2]string{
		"service_web_a": {"web", "service_web_b"},
		"service_web_b": {"web", "service_web_a"},
		"service_a_a":   {"a", "service_a_b"},
		"service_a-b_a": {"a-b", "service_a-b_b"},
	} {
		if service, other, err := usersOf(name); err != nil || service != want[0] || other != want[1] {
			t.Errorf("%s: %s, %s, %v", name, service, other, err)
		}
	}
	for _, name := range []string{
		"platform", "service_web", "service_web_c", "service__a", "xservice_web_a", "service_web_a ", "service_-_a",
	} {
		if _, _, err := usersOf(name); err == nil {
			t.Errorf("%q is taken for a service's", name)
		}
	}
}

func TestRolesOfLevelsNameTheirDatabase(t *testing.T) {
	for _, level := range levels {
		for _, of := range []string{"", "metabase", "a_b", "read", strings.Repeat("x", longestFurther)} {
			role := levelRole(level, of)
			have, database, ok := parseLevel(role)
			if !ok || have != level || database != of || len(role) > 63 {
				t.Errorf("%s: %q of %q, %t", role, have, database, ok)
			}
			if _, _, err := usersOf(role); err == nil || ofPlatform(role) {
				t.Errorf("%s is taken for a user", role)
			}
		}
	}
	for _, role := range []string{"platform_dump", "platform_bi", "platform_read_", "platform_reader"} {
		if _, _, ok := parseLevel(role); ok {
			t.Errorf("%s is taken for the role of a level", role)
		}
	}
}

func TestDatabasesAreThoseThatServicesName(t *testing.T) {
	s := settings{database: "app", services: map[string]service{
		"web": {Level: "owner"}, "bi": {Level: "owner", Database: "metabase"}, "etl": {Level: "write", Database: "dwh"},
		"viewer": {Level: "read", Database: "metabase"}, "platform_dump": {Level: "dump"},
	}}
	want := []database{{name: "app"}, {"dwh", "dwh"}, {"metabase", "metabase"}}
	if have := s.databases(); !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
	for service, want := range map[string]string{"web": "app", "viewer": "metabase", "platform_dump": "app"} {
		if have := s.databaseOf(service); have != want {
			t.Errorf("%s uses %s, want %s", service, have, want)
		}
	}
}

// The example is that of RFC 7677, section 3, whose server signature follows from the same two
// keys.
func TestVerifierMatchesThatOfPostgreSQL(t *testing.T) {
	// W22ZaJ0SNY7soEsUEjb6gQ== in base64.
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	have, err := scramVerifier("pencil", salt)
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" +
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || have != want {
		t.Errorf("have %s, %v\nwant %s", have, err, want)
	}
}

func TestPasswordsAreLongUniqueAndNotPrinted(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	seen := map[string]bool{}
	for range 1000 {
		p := newPassword()
		if len(p) != 43 || seen[p] || strings.Trim(p, alphabet) != "" {
			t.Fatalf("%q", p)
		}
		seen[p] = true
	}
	c := credentials{"service_web_a", "hidden"}
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c)} {
		if strings.Contains(printed, "hidden") {
			t.Errorf("printed: %s", printed)
		}
	}
	if text, _ := json.Marshal(result{}); strings.Contains(strings.ToLower(string(text)), `"password"`) {
		t.Errorf("a result has a place for a password: %s", text)
	}
}
