package teardown

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

const stack = `{
	"terraform": {"backend": {"local": {"path": "../../../terraform.shop-prod.tfstate"}}},
	"provider": {"aws": [{"region": "eu-central-1"}]},
	"data": {
		"aws_caller_identity": {"caller": {}},
		"aws_availability_zones": {"zones": {"state": "available"}}
	},
	"ephemeral": {"aws_secretsmanager_random_password": {"generated_key": {}}},
	"output": {"database": {"value": "${aws_db_instance.database.id}"}},
	"resource": {
		"aws_kms_key": {
			"database_key": {
				"policy": "${data.aws_caller_identity.caller.account_id}",
				"lifecycle": {"prevent_destroy": true}
			},
			"backup_key": {"lifecycle": {"prevent_destroy": true}},
			"secrets_key": {"lifecycle": {"prevent_destroy": true}},
			"logs_key": {}
		},
		"aws_secretsmanager_secret": {
			"generated_key_secret": {
				"kms_key_id": "${aws_kms_key.secrets_key.arn}",
				"lifecycle": {"prevent_destroy": true}
			},
			"service_web_database_secret": {}
		},
		"aws_secretsmanager_secret_version": {"generated_key_secret_version": {
			"secret_id": "${aws_secretsmanager_secret.generated_key_secret.arn}",
			"secret_string_wo": "${ephemeral.aws_secretsmanager_random_password.generated_key.random_password}",
			"lifecycle": {"prevent_destroy": true}
		}},
		"aws_kms_alias": {"database_key_alias": {"target_key_id": "${aws_kms_key.database_key.key_id}"}},
		"aws_db_instance": {"database": {
			"kms_key_id": "${aws_kms_key.database_key.arn}",
			"skip_final_snapshot": false, "delete_automated_backups": false,
			"lifecycle": {"prevent_destroy": false}
		}},
		"aws_s3_bucket": {
			"backup_bucket": {"lifecycle": {"prevent_destroy": true}},
			"access_logs_bucket": {"force_destroy": true}
		},
		"aws_s3_bucket_versioning": {"backup_bucket_versioning": {"bucket": "${aws_s3_bucket.backup_bucket.id}"}},
		"aws_s3_bucket_server_side_encryption_configuration": {"backup_bucket_encryption": {
			"bucket": "${aws_s3_bucket.backup_bucket.id}",
			"rule": {"kms_master_key_id": "${aws_kms_key.backup_key.arn}"},
			"depends_on": ["aws_s3_bucket_versioning.backup_bucket_versioning"]
		}},
		"aws_s3_bucket_policy": {"access_logs_bucket_policy": {"bucket": "${aws_s3_bucket.access_logs_bucket.id}"}},
		"aws_lb": {"load_balancer": {"enable_deletion_protection": false}}
	}
}`

// deployed is the state after the stack was deployed, in which some attributes differ.
func deployed(t *testing.T, s *Stack, different map[string]map[string]any) *tfjson.State {
	t.Helper()
	state := &tfjson.State{Values: &tfjson.StateValues{RootModule: &tfjson.StateModule{}}}
	for _, address := range slices.Sorted(maps.Keys(s.resources)) {
		attributes := maps.Clone(s.resources[address])
		attributes["arn"], attributes["bucket"] = "arn:"+address, "name-of-"+address
		attributes["identifier"], attributes["final_snapshot_identifier"] = "shop-prod", "shop-prod-final-1"
		maps.Copy(attributes, different[address])
		state.Values.RootModule.Resources = append(state.Values.RootModule.Resources,
			&tfjson.StateResource{Address: address, Mode: tfjson.ManagedResourceMode, AttributeValues: attributes})
	}
	return state
}

func parsed(t *testing.T, text string) *Stack {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func full(Bucket) (bool, error)  { return false, nil }
func empty(Bucket) (bool, error) { return true, nil }

// configured are the addresses of a configuration.
func configured(t *testing.T, configuration []byte) []string {
	t.Helper()
	s := parsed(t, string(configuration))
	return slices.Sorted(maps.Keys(mergedBodies(s)))
}

func mergedBodies(s *Stack) map[string]map[string]any {
	all := maps.Clone(s.resources)
	maps.Copy(all, s.data)
	return all
}

func TestWhatBackupsNeedStays(t *testing.T) {
	secrets := []string{
		"aws_kms_key.secrets_key", "aws_secretsmanager_secret.generated_key_secret",
		"aws_secretsmanager_secret_version.generated_key_secret_version",
	}
	database := slices.Concat(secrets, []string{"aws_kms_key.database_key", "data.aws_caller_identity.caller"})
	bucket := slices.Concat(secrets, []string{
		"aws_kms_key.backup_key", "aws_kms_key.database_key", "aws_s3_bucket.backup_bucket",
		"aws_s3_bucket_server_side_encryption_configuration.backup_bucket_encryption",
		"aws_s3_bucket_versioning.backup_bucket_versioning", "data.aws_caller_identity.caller",
	})
	for name, c := range map[string]struct {
		isEmpty func(Bucket) (bool, error)
		want    []string
	}{
		"a bucket with objects": {full, bucket},
		"an empty bucket":       {empty, database},
	} {
		t.Run(name, func(t *testing.T) {
			s := parsed(t, stack)
			plan, err := s.Plan(deployed(t, s, nil), c.isEmpty)
			if err != nil {
				t.Fatal(err)
			}
			if have := configured(t, plan.Configuration); !slices.Equal(have, slices.Sorted(slices.Values(c.want))) {
				t.Errorf("want\n%v, have\n%v", c.want, have)
			}
			if want := len(s.resources) - len(c.want) + 1; plan.Destroyed != want {
				t.Errorf("destroys %d resources, want %d", plan.Destroyed, want)
			}
			snapshot := Snapshot{"aws_db_instance.database", "shop-prod", "shop-prod-final-1"}
			if !slices.Equal(plan.Snapshots, []Snapshot{snapshot}) {
				t.Errorf("want the snapshot %v, have %v", snapshot, plan.Snapshots)
			}
			text := string(plan.Configuration)
			for _, part := range []string{`"output"`, `"depends_on"`} {
				if strings.Contains(text, part) {
					t.Errorf("the configuration has %s", part)
				}
			}
			for _, part := range []string{
				`"ephemeral": {`, `"../../../terraform.shop-prod.tfstate"`, `"eu-central-1"`,
			} {
				if !strings.Contains(text, part) {
					t.Errorf("the configuration does not have %s", part)
				}
			}
		})
	}
}

// What is no longer in the state must not be in the configuration: Terraform would create it.
func TestDestructionCreatesNothing(t *testing.T) {
	s := parsed(t, stack)
	for _, gone := range slices.Sorted(maps.Keys(s.resources)) {
		state := deployed(t, s, nil)
		resources := &state.Values.RootModule.Resources
		*resources = slices.DeleteFunc(*resources, func(r *tfjson.StateResource) bool { return r.Address == gone })
		plan, err := s.Plan(state, full)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(configured(t, plan.Configuration), gone) {
			t.Errorf("%s would be created", gone)
		}
	}
	for _, state := range []*tfjson.State{{}, {Values: &tfjson.StateValues{}}} {
		plan, err := s.Plan(state, full)
		if err != nil || plan.Destroyed != 0 || len(plan.Kept) != 0 || len(plan.Snapshots) != 0 {
			t.Errorf("of an empty state: %+v, %v", plan, err)
		}
	}
}

func TestSecondDestructionKeepsTheSame(t *testing.T) {
	s := parsed(t, stack)
	first, err := s.Plan(deployed(t, s, nil), full)
	if err != nil {
		t.Fatal(err)
	}
	left := configured(t, first.Configuration)
	state := deployed(t, s, nil)
	resources := &state.Values.RootModule.Resources
	*resources = slices.DeleteFunc(*resources, func(r *tfjson.StateResource) bool {
		return !slices.Contains(left, r.Address)
	})
	second, err := s.Plan(state, full)
	if err != nil {
		t.Fatal(err)
	}
	if second.Destroyed != 0 || !slices.Equal(first.Kept, second.Kept) {
		t.Errorf("destroys %d resources and keeps %v, want 0 and %v", second.Destroyed, second.Kept, first.Kept)
	}
}

func TestDevelopmentStackKeepsNothing(t *testing.T) {
	s := parsed(t, strings.NewReplacer(`"prevent_destroy": true`, `"prevent_destroy": false`,
		`"skip_final_snapshot": false, "delete_automated_backups": false`,
		`"skip_final_snapshot": true, "delete_automated_backups": true`).Replace(stack))
	plan, err := s.Plan(deployed(t, s, nil), func(Bucket) (bool, error) {
		t.Error("asks for the objects of a bucket that is deleted with them")
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Destroyed != len(s.resources) || len(plan.Kept)+len(plan.Snapshots) > 0 {
		t.Errorf("destroys %d of %d resources, and leaves %v, %v",
			plan.Destroyed, len(s.resources), plan.Kept, plan.Snapshots)
	}
}

func TestRefusesBeforeAnythingIsDestroyed(t *testing.T) {
	for name, c := range map[string]struct {
		stack string
		state map[string]map[string]any
		want  string
	}{
		"a protected stack": {
			stack: strings.Replace(stack, `"prevent_destroy": false`, `"prevent_destroy": true`, 1),
			want:  "aws_db_instance.database: " + errProtected.Error(),
		},
		"protected: false is not deployed, database": {
			stack: stack,
			state: map[string]map[string]any{"aws_db_instance.database": {"deletion_protection": true}},
			want:  "aws_db_instance.database: has deletion protection: run make deploy with protected: false first",
		},
		"protected: false is not deployed, load balancer": {
			stack: stack,
			state: map[string]map[string]any{"aws_lb.load_balancer": {"enable_deletion_protection": true}},
			want:  "aws_lb.load_balancer: has deletion protection: run make deploy with protected: false first",
		},
		"a profile that keeps data is not deployed": {
			stack: stack,
			state: map[string]map[string]any{"aws_db_instance.database": {"skip_final_snapshot": true}},
			want: "aws_db_instance.database: skip_final_snapshot is true, but false in the configuration: " +
				"run make deploy first",
		},
		"a profile that keeps nothing is not deployed": {
			stack: strings.Replace(stack, `"delete_automated_backups": false`, `"delete_automated_backups": true`, 1),
			state: map[string]map[string]any{"aws_db_instance.database": {"delete_automated_backups": false}},
			want: "aws_db_instance.database: delete_automated_backups is false, but true in the configuration: " +
				"run make deploy first",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := parsed(t, c.stack)
			_, err := s.Plan(deployed(t, s, c.state), full)
			if err == nil || err.Error() != c.want {
				t.Errorf("have %v, want %s", err, c.want)
			}
		})
	}
}

// The state is read with a configuration that has the backend and the provider alone.
func TestEmptyConfigurationHasBackendAndProvider(t *testing.T) {
	text, err := parsed(t, stack).Empty()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if have := slices.Sorted(maps.Keys(root)); !slices.Equal(have, []string{"provider", "terraform"}) {
		t.Errorf("has %v", have)
	}
	if region := parsed(t, stack).Region(); region != "eu-central-1" {
		t.Errorf("the region is %q", region)
	}
}
