package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
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

func TestEnvironmentVariablesErrorListsAllProblems(t *testing.T) {
	good := map[string]string{
		"PGHOST":            "db.example",
		"PGPORT":            "5432",
		"PGDATABASE":        "app",
		"MASTER_SECRET_ARN": "arn:aws:secretsmanager:…",
		"CLUSTER":           "platform-dev",
		"AWS_REGION":        "eu-central-1",
	}
	s, err := loadSettings(func(name string) string { return good[name] })
	if err != nil || s.port != 5432 || !strings.Contains(string(s.roots), "BEGIN CERTIFICATE") {
		t.Errorf("the right environment: %v, %v", s.port, err)
	}
	for name := range good {
		_, err := loadSettings(func(n string) string { return map[bool]string{false: good[n]}[n == name] })
		if err == nil || !strings.Contains(err.Error(), name+": not set") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	_, err = loadSettings(func(name string) string {
		return map[string]string{"PGPORT": "five", "AWS_REGION": "mars-west-1", "PGHOST": "x"}[name]
	})
	for _, want := range []string{
		`PGPORT: want a port, have "five"`,
		"AWS_REGION: RDS's certificates for mars-west-1 are not in this function",
		"CLUSTER: not set",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
}

func TestInvalidEventIsRejectedWithAllProblems(t *testing.T) {
	for event, wants := range map[string][]string{
		`[]`:             {"event: "},
		`{"action":"rol`: {"event: "},
		`{"action":"bak"}`: {
			`action "bak": want roles`,
			`tf.action "": want create, update or delete`,
			"services: want them",
		},
		`{"action":"roles","services":{},"surprise":1,"tf":{"action":"create"}}`: {`unknown field "surprise"`},
		`{"action":"roles","services":{"We b":{"level":"root","connections":0,"statement_timeout":-1}},` +
			`"tf":{"action":"create"}}`: {
			`services: "We b"`,
			`level "root": want one of [read write owner]`,
			".secret: not set",
			"connections 0",
			"statement_timeout -1",
		},
	} {
		_, err := parseRoles([]byte(event))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: want %q, have %v", event, want, err)
			}
		}
	}
	good := `{"action":"roles","revision":"x",` +
		`"services":{"web":{"level":"read","secret":"arn","connections":-1,"statement_timeout":0}},` +
		`"tf":{"action":"update","prev_input":{"action":"roles"}}}`
	if event, err := parseRoles([]byte(good)); err != nil || event.Services["web"].Level != "read" {
		t.Errorf("%v, %v", event, err)
	}
}

func TestUserNamesAlternate(t *testing.T) {
	for name, want := range map[string][2]string{
		"service_web_a": {"web", "service_web_b"},
		"service_web_b": {"web", "service_web_a"},
		"service_a_a":   {"a", "service_a_b"},
	} {
		if service, other, err := usersOf(name); err != nil || service != want[0] || other != want[1] {
			t.Errorf("%s: %s, %s, %v", name, service, other, err)
		}
	}
	for _, name := range []string{
		"platform", "service_web", "service_web_c", "service__a", "xservice_web_a", "service_web_a ",
	} {
		if _, _, err := usersOf(name); err == nil {
			t.Errorf("%q is taken for a service's", name)
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
