//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// TestBackupsOfADestroyedStackAreRestored destroys a production stack, whose backups are copied to
// another region, the way docs/operations.md describes. It restores the database the way
// docs/restore.md describes: in the other region, from the copies, and in a new stack, from the final
// snapshot.
func TestBackupsOfADestroyedStackAreRestored(t *testing.T) {
	t.Parallel()
	const elsewhere = "eu-west-1"
	s := newSandbox(t, "prod")
	configuration := patched(s.shipped(t), document(t,
		"{protected: false, backup: {object_lock: 7, copy: {region: "+elsewhere+"}}, "+
			"services: {web: {image: 'public.ecr.aws/nginx/nginx-unprivileged:1.30.6', "+
			demonstration+", scaling: {max: 6}, generated: [SECRET_KEY_BASE]}}}"))
	region := configuration["region"].(string)
	s.synthesise(t, configuration)
	empty, c := s.inventory(t), s.clients(region)
	within(t, "the deployment", 6*minute, func() string { return summaryOf(t, s.deploy(t)) })
	bucket := backupBucket(region)
	storeDump(t, c, bucket)
	copied := s.copiesIn(t, elsewhere, region)

	left := []string{
		"aws_kms_key platform-prod: the backup bucket and function",
		"aws_kms_key platform-prod: the database, its secret and its snapshots",
		"aws_kms_key platform-prod: the services' passwords in the database, the database function's environment, " +
			"generated secrets",
		"aws_s3_bucket " + bucket,
		"aws_s3_bucket " + copied.bucket,
		"aws_secretsmanager_secret platform-prod/generated/SECRET_KEY_BASE",
	}
	within(t, "a plan draws another value, and does not use it", minute, func() string { return s.nothingToChange(t) })
	generated := s.generatedSecret(t)
	within(t, "destruction by cdktf is rejected", minute, func() string { return s.destroyIsRejected(t) })
	within(t, "the destruction", 5*minute, func() string { return s.destroyButFor(t, empty, left...) })
	snapshot := s.finalSnapshot(t, c)
	key := aws.ToString(snapshot.KmsKeyId)
	described := must(c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: &key}))(t).KeyMetadata
	if described.KeyState != kmstypes.KeyStateEnabled {
		t.Fatalf("the key of %s is %s", *snapshot.DBSnapshotIdentifier, described.KeyState)
	}
	within(t, "a second destruction", minute, func() string {
		return s.destroyButFor(t, empty, left...)
	})
	restoreNeedsKey(t, c, snapshot)
	copied.outliveTheStack(t)
	within(t, "a stack in the other region, from the copies", 6*minute, func() string {
		return s.restoredInTheirRegion(t, copied)
	})

	within(t, "a new stack with the restored database", 6*minute, func() string {
		s.synthesise(t, patched(configuration, document(t, fmt.Sprintf(
			"database: {active: saved, restores: {saved: {snapshot: %s}}}", *snapshot.DBSnapshotIdentifier))))
		return summaryOf(t, s.deploy(t))
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	if s.generatedSecret(t) != generated {
		t.Error("the generated secret has another value after the restore")
	}
	s.carriedOver(t)
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	restored := only(t, "instance", must(c.rds.DescribeDBInstances(alive, &rds.DescribeDBInstancesInput{
		DBInstanceIdentifier: aws.String("platform-prod-saved"),
	}))(t).DBInstances)
	if *restored.KmsKeyId != key || *restored.DBInstanceStatus != "available" {
		t.Errorf("the restored database has the key %s and is %s", *restored.KmsKeyId, *restored.DBInstanceStatus)
	}
	must(c.s3.GetObject(alive, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("dump")}))(t)
	within(t, "a destruction that RDS would refuse", minute, func() string { return s.snapshotIsTaken(t, c) })
}

// generatedSecret returns the generated secret of web, and checks that neither the state nor the last
// plan has it.
func (s *sandbox) generatedSecret(t *testing.T) string {
	t.Helper()
	value := *must(s.secrets(t).GetSecretValue(alive, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(filepath.Base(s.stack) + "/generated/SECRET_KEY_BASE"),
	}))(t).SecretString
	if !regexp.MustCompile(`^[A-Za-z0-9]{64}$`).MatchString(value) {
		t.Errorf("the generated secret has %d characters, want 64 letters and digits", len(value))
	}
	for _, arguments := range [][]string{{"state", "pull"}, {"show", "-json", "plan"}} {
		out, err := s.terraform(t, arguments...)
		named := strings.Contains(out, "generated_secret_key_base_secret_version")
		if err != nil || !named || strings.Contains(out, value) {
			t.Errorf("terraform %v: %v; it has the secret's value, or not its resource", arguments, err)
		}
	}
	return value
}

// carriedOver puts other values into the generated secret, twice: the first value has neither of AWS's
// labels then, and Terraform must still find it.
func (s *sandbox) carriedOver(t *testing.T) {
	t.Helper()
	for _, value := range []string{"one", "two"} {
		must(s.secrets(t).PutSecretValue(alive, &secretsmanager.PutSecretValueInput{
			SecretId: aws.String(filepath.Base(s.stack) + "/generated/SECRET_KEY_BASE"), SecretString: &value,
		}))(t)
	}
}

// snapshotIsTaken checks that cmd/destroy refuses, and changes nothing, if a snapshot with the name
// of the next final snapshot exists: RDS would refuse too, but after the services are destroyed.
func (s *sandbox) snapshotIsTaken(t *testing.T, c *clients) string {
	t.Helper()
	out, err := s.terraform(t, "state", "show", "-no-color", "aws_db_instance.database")
	name := regexp.MustCompile(`final_snapshot_identifier\s+= "([^"]+)"`).FindStringSubmatch(out)
	if err != nil || name == nil {
		t.Fatalf("the state has no name of a final snapshot: %v\n%s", err, out)
	}
	must(c.rds.CreateDBSnapshot(alive, &rds.CreateDBSnapshotInput{
		DBInstanceIdentifier: aws.String("platform-prod"), DBSnapshotIdentifier: &name[1],
	}))(t)
	before := s.inventory(t)
	out, err = s.run(t, destroyer, "cdktf.out", "--auto-approve")
	if err == nil || !strings.Contains(out, "its final snapshot "+name[1]+" exists already") {
		t.Errorf("want a refusal because of the snapshot, have %v\n%s", err, tail(out, 40))
	}
	compareInventories(t, "the rejected destruction", before, s.inventory(t))
	return "nothing changed"
}

// finalSnapshot returns the one that the database has left.
func (s *sandbox) finalSnapshot(t *testing.T, c *clients) rdstypes.DBSnapshot {
	t.Helper()
	var final []rdstypes.DBSnapshot
	for p := range pages(t, rds.NewDescribeDBSnapshotsPaginator(c.rds, nil)) {
		for _, snapshot := range p.DBSnapshots {
			if strings.HasPrefix(*snapshot.DBSnapshotIdentifier, "platform-prod-final-") {
				final = append(final, snapshot)
			}
		}
	}
	return only(t, "final snapshot", final)
}

// leavesBackups checks that the database of prod has been deleted, and that its final snapshot can be
// restored, because its key is enabled.
func (s *sandbox) leavesBackups(t *testing.T, region string) {
	t.Helper()
	c := s.clients(region)
	instances := must(c.rds.DescribeDBInstances(alive, &rds.DescribeDBInstancesInput{}))(t).DBInstances
	if len(instances) > 0 {
		t.Errorf("there are still %d instances", len(instances))
	}
	key := s.finalSnapshot(t, c).KmsKeyId
	described := must(c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: key}))(t).KeyMetadata
	if described.KeyState != kmstypes.KeyStateEnabled {
		t.Errorf("the key of the final snapshot is %s", described.KeyState)
	}
}

// restoreNeedsKey checks that the emulator refuses a restore while the key is pending deletion, as
// AWS does. Otherwise this test would prove nothing.
func restoreNeedsKey(t *testing.T, c *clients, snapshot rdstypes.DBSnapshot) {
	t.Helper()
	_, id, _ := strings.Cut(*snapshot.KmsKeyId, "/") // the emulator accepts no ARN here
	must(c.kms.ScheduleKeyDeletion(alive, &kms.ScheduleKeyDeletionInput{KeyId: &id}))(t)
	_, err := c.rds.RestoreDBInstanceFromDBSnapshot(alive, &rds.RestoreDBInstanceFromDBSnapshotInput{
		DBInstanceIdentifier: aws.String("without-key"), DBSnapshotIdentifier: snapshot.DBSnapshotIdentifier,
	})
	if err == nil || !strings.Contains(err.Error(), "KMSKeyNotAccessibleFault") {
		t.Errorf("a restore without its key: want KMSKeyNotAccessibleFault, have %v", err)
	}
	must(c.kms.CancelKeyDeletion(alive, &kms.CancelKeyDeletionInput{KeyId: &id}))(t)
	must(c.kms.EnableKey(alive, &kms.EnableKeyInput{KeyId: &id}))(t)
}

// destructionNeedsDeployment checks that cmd/destroy refuses, and changes nothing, while the state
// still has deletion protection.
func (s *sandbox) destructionNeedsDeployment(t *testing.T) string {
	t.Helper()
	before := s.inventory(t)
	out, err := s.run(t, destroyer, "cdktf.out", "--auto-approve")
	if err == nil || !strings.Contains(out, "has deletion protection: run make deploy with protected: false first") {
		t.Errorf("want a refusal because of deletion protection, have %v\n%s", err, tail(out, 40))
	}
	compareInventories(t, "the rejected destruction", before, s.inventory(t))
	return "nothing changed"
}

// identity is the part of a name in an inventory that differs between two resources of one name.
var identity = regexp.MustCompile(` \([^)]*\)$`)

// destroyButFor destroys the environment as make destroy does, and checks that exactly the wanted
// resources, each "KIND NAME", are left besides those that were there before the deployment.
func (s *sandbox) destroyButFor(t *testing.T, empty inventory, want ...string) string {
	t.Helper()
	out, err := s.run(t, destroyer, "cdktf.out", "--auto-approve")
	if err != nil {
		t.Fatalf("destroy: %v\n%s", err, tail(out, 60))
	}
	if !strings.Contains(out, "is destroyed. These stay:") {
		t.Errorf("it does not say what stays:\n%s", tail(out, 40))
	}
	var left []string
	for kind, names := range s.inventory(t) {
		_, extra := difference(empty[kind], names)
		for _, name := range extra {
			if isState(kind, name) || kind == "aws_s3_object" {
				continue
			}
			left = append(left, kind+" "+identity.ReplaceAllString(name, ""))
		}
	}
	slices.Sort(left)
	if missing, extra := difference(want, left); len(missing)+len(extra) > 0 {
		t.Errorf("after the destruction, missing:\n\t%s\nunexpected:\n\t%s",
			strings.Join(missing, "\n\t"), strings.Join(extra, "\n\t"))
	}
	if complete.MatchString(out) {
		return summaryOf(t, out)
	}
	return "nothing to destroy"
}
