package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"platform/internal/teardown"
)

// TestExactlyWhatBackupsNeedStays plans the destruction of stacks as they are after a deployment.
func TestExactlyWhatBackupsNeedStays(t *testing.T) {
	const production = minimal + "profile: production\nstate: {backend: local}\nload_balancer: {allow_http: true}\n"
	database := []string{"aws_kms_key.database_key"}
	bucket := []string{"aws_kms_key.backup_key", "aws_kms_key.database_key", "aws_s3_bucket.backup_bucket"}
	for name, c := range map[string]struct {
		config string
		empty  bool
		want   []string // keys and buckets
	}{
		"production, without objects": {production + "protected: false\n", true, database},
		"production, with objects":    {production + "protected: false\n", false, bucket},
		"production, whose database was switched off, without objects": {
			production + "protected: false\ndatabase: {enabled: false}\n", true, database,
		},
		"production, whose database was switched off, with objects": {
			production + "protected: false\ndatabase: {enabled: false}\n", false, bucket,
		},
		"with an object lock": {production + "protected: false\nbackup: {object_lock: 30}\n", false, bucket},
		"with a restored database": {
			production + "protected: false\ndatabase: {restores: {copy: {snapshot: before}}}\n", true, database,
		},
		"with copies in another region, without objects": {
			production + "protected: false\nbackup: {copy: {region: eu-west-1}}\n", true,
			[]string{"aws_kms_key.copy_key", "aws_kms_key.database_key"},
		},
		"with copies in another region, with objects": {
			production + "protected: false\nbackup: {copy: {region: eu-west-1}, object_lock: 30}\n", false,
			[]string{
				"aws_kms_key.backup_key", "aws_kms_key.copy_key", "aws_kms_key.database_key",
				"aws_s3_bucket.backup_bucket", "aws_s3_bucket.backup_copy_bucket",
			},
		},
		"development": {minimal, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			stack := synth(t, parse(t, "live", c.config), placeholder(t))
			s, err := teardown.Parse(text(t, stack))
			if err != nil {
				t.Fatal(err)
			}
			plan, err := s.Plan(stateOf(stack), func(teardown.Bucket) (bool, error) { return c.empty, nil })
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, kept := range plan.Kept {
				have = append(have, kept.Address)
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("keeps %v, want %v", have, c.want)
			}
			configured, err := teardown.Parse(plan.Configuration)
			if err != nil {
				t.Fatal(err)
			}
			for _, address := range configured.Addresses() {
				if strings.HasPrefix(address, "aws_kms_key.") || strings.Contains(address, ".backup_bucket") ||
					strings.Contains(address, ".backup_copy_bucket") {
					continue
				}
				t.Errorf("%s stays too", address)
			}
		})
	}
}

// The guard of a database that is switched off says that the stack is protected.
func TestAProtectedStackWhoseDatabaseIsSwitchedOffIsNotDestroyed(t *testing.T) {
	stack := synth(t, parse(t, "dev", minimal+"protected: true\ndatabase: {enabled: false}\n"), placeholder(t))
	s, err := teardown.Parse(text(t, stack))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Plan(stateOf(stack), func(teardown.Bucket) (bool, error) { return true, nil })
	if err == nil || !strings.Contains(err.Error(), "aws_db_instance.database: the stack is protected") {
		t.Errorf("want a refusal, have %v", err)
	}
}

// The command that restores a dump asks the synthesised stack which databases there are.
func TestSynthesisedStackNamesItsDatabases(t *testing.T) {
	for config, want := range map[string][]string{
		minimal: {"app"},
		minimal + "database: {name: shop}\nservices:\n" +
			"  web: {image: 'quay.io/x/y:1', database: {access: owner}}\n" +
			"  reports: {image: 'quay.io/x/y:1', database: {access: owner, name: metabase}}\n" +
			"  other: {image: 'quay.io/x/y:1', database: {access: read, name: a_2}}\n": {"shop", "a_2", "metabase"},
	} {
		stack, err := teardown.Parse(text(t, synth(t, parse(t, "dev", config), placeholder(t))))
		if err != nil {
			t.Fatal(err)
		}
		main, further := stack.Databases()
		if have := append([]string{main}, further...); !slices.Equal(have, want) {
			t.Errorf("want %v, have %v", want, have)
		}
	}
}

// stateOf is the state of a stack after it was deployed, with the configured arguments.
func stateOf(stack tree) *tfjson.State {
	root := &tfjson.StateModule{}
	for kind, named := range stack["resource"].(tree) {
		for name, body := range named.(tree) {
			root.Resources = append(root.Resources, &tfjson.StateResource{
				Address: kind + "." + name, Mode: tfjson.ManagedResourceMode, AttributeValues: maps.Clone(body.(tree)),
			})
		}
	}
	return &tfjson.State{Values: &tfjson.StateValues{RootModule: root}}
}
