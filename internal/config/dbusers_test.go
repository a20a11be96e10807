package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestDatabaseUsersAreSortedAndWithoutSecrets(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", minimal+`
services:
  web: {image: 'quay.io/x/y:1', database: {access: owner}}
  idle: {image: quay.io/team/idle:1}
  url: {image: quay.io/team/url:1, database: {access: write, variables: {URL: url}, url_parameters: a=b&c=d}}
  api: {image: quay.io/team/api:1, database: {access: read, connections: 7, query_timeout: 0}}
`)
	cfg.Services["api"] = withDatabase(cfg.Services["api"], "app") // the one of all
	const url = `"url":{"level":"write","connections":20,"statement_timeout":60000,"url":"a=b&c=d"},`
	const want = `{"api":{"level":"read","connections":7,"statement_timeout":0},` + url +
		`"web":{"level":"owner","connections":20,"statement_timeout":60000}}`
	cfg.Backup.Dump.Enabled = false
	if got := cfg.DatabaseUsers(); got != want {
		t.Errorf("are %s, want %s", got, want)
	}
	cfg.Backup.Dump.Enabled = true
	with := strings.Replace(want, url,
		`"platform_dump":{"level":"dump","connections":3,"statement_timeout":0},`+url, 1)
	if got := cfg.DatabaseUsers(); got != with {
		t.Errorf("with dumps, are %s, want %s", got, with)
	}
	cfg.Services["api"] = withDatabase(cfg.Services["api"], "reports")
	cfg.Services["idle"] = withDatabase(cfg.Services["idle"], "idle")
	with = strings.Replace(with, `"connections":3`, `"connections":4`, 1) // their dumps run at the same time
	with = strings.Replace(with, `"statement_timeout":0},"p`, `"statement_timeout":0,"database":"reports"},"p`, 1)
	if got := cfg.DatabaseUsers(); got != with {
		t.Errorf("with a database of its own, are %s, want %s", got, with)
	}
	if further := cfg.FurtherDatabases(); !slices.Equal(further, []string{"reports"}) {
		t.Errorf("further databases: %v", further)
	}
	if services := cfg.RestartedServices(); !slices.Equal(services, []string{"api", "url", "web"}) {
		t.Errorf("a rotation deploys %v again", services)
	}
}

func withDatabase(s Service, name string) Service {
	s.Database.Name = name
	return s
}

// The check must be stricter than Lambda: the other variables take less than it assumes, even with
// the longest names.
func TestOtherVariablesAreSmallerThanAssumed(t *testing.T) {
	t.Parallel()
	const stack, region, account = "abcdefghijklmnop-abcde", "ap-southeast-1", "123456789012" // 22 characters
	id := strings.Repeat("x", 63)
	variables := map[string]string{
		"PGHOST":            id + ".abcdefghijkl." + region + ".rds.amazonaws.com",
		"PGPORT":            "5432",
		"PGDATABASE":        id,
		"MASTER_SECRET_ARN": "arn:aws:secretsmanager:" + region + ":" + account + ":secret:rds!db-" + id + "-AbCdEf",
		"CLUSTER":           stack,
		"SECRET_PREFIX":     stack + "/database/",
		"ROTATION_DAYS":     "1000",
		"METRIC_NAMESPACE":  stack + "/Database",
		"SERVICES":          "",
	}
	total := 2
	for name, value := range variables {
		total += len(strconv.Quote(name)) + len(strconv.Quote(value)) + 2
	}
	if total > otherVariables {
		t.Errorf("take %d bytes, more than %d", total, otherVariables)
	}
}

func TestTooManyDatabaseServicesAreRejected(t *testing.T) {
	t.Parallel()
	with := func(n int) string {
		text := minimal + "services:\n"
		for i := range n {
			text += fmt.Sprintf("  abcdefghijklmn%02d: "+
				"{image: quay.io/x/y:1, database: {access: owner, query_timeout: 3600000}}\n", i)
		}
		return text
	}
	parse(t, "dev", with(35))
	_, said := overridden(with(38), nil)
	want := "3:1: services: want at most 4096 bytes of variables for the database function, " +
		"which Lambda allows, have 43"
	if len(said) != 1 || !strings.HasPrefix(said[0], want) {
		t.Errorf("38 services: have %q, want %q", said, want)
	}
}
