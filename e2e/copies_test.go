//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"platform/internal/emulator"
)

// copies are those of a production stack's backups in another region.
type copies struct {
	region string
	bucket string // of the dumps
	backup rdstypes.DBInstanceAutomatedBackup

	clients *clients // of the region
}

// copiesIn checks that the backups of the deployed stack are copied to a region, with their object
// lock, and stores an object in the copied bucket.
func (s *sandbox) copiesIn(t *testing.T, region, from string) copies {
	t.Helper()
	c := copies{
		region: region, clients: s.clients(region),
		bucket: "platform-prod-backup-copy-" + emulator.Account + "-" + region,
	}
	c.backup = c.automatedBackup(t)
	if *c.backup.Status != "replicating" || *c.backup.DBInstanceIdentifier != "platform-prod" {
		t.Errorf("%s of %s", *c.backup.Status, *c.backup.DBInstanceIdentifier)
	}
	source, near := backupBucket(from), s.clients(from)
	rules := must(near.s3.GetBucketReplication(alive, &s3.GetBucketReplicationInput{Bucket: &source}))(t)
	if to := *rules.ReplicationConfiguration.Rules[0].Destination.Bucket; to != "arn:aws:s3:::"+c.bucket {
		t.Errorf("objects are copied to %s, want %s", to, c.bucket)
	}
	for name, client := range map[string]*s3.Client{source: near.s3, c.bucket: c.clients.s3} {
		lock := must(client.GetObjectLockConfiguration(alive, &s3.GetObjectLockConfigurationInput{Bucket: &name}))(t)
		if days := aws.ToInt32(lock.ObjectLockConfiguration.Rule.DefaultRetention.Days); days != 7 {
			t.Errorf("objects in %s are locked for %d days, want 7", name, days)
		}
	}
	storeDump(t, c.clients, c.bucket)
	return c
}

// backupBucket is the name of the backup bucket of the production stack.
func backupBucket(region string) string {
	return "platform-prod-backup-" + emulator.Account + "-" + region
}

// storeDump stores an object that stands for a dump.
func storeDump(t *testing.T, c *clients, bucket string) {
	t.Helper()
	must(c.s3.PutObject(alive, &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("dump"), Body: strings.NewReader("data"),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256, // S3 wants one with a lock
	}))(t)
}

func (c copies) automatedBackup(t *testing.T) rdstypes.DBInstanceAutomatedBackup {
	t.Helper()
	all := must(c.clients.rds.DescribeDBInstanceAutomatedBackups(alive,
		&rds.DescribeDBInstanceAutomatedBackupsInput{}))(t)
	return only(t, "replicated backup", all.DBInstanceAutomatedBackups)
}

// outliveTheStack checks that the copies can be restored after the stack was destroyed.
func (c copies) outliveTheStack(t *testing.T) {
	t.Helper()
	key := must(c.clients.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: c.backup.KmsKeyId}))(t).KeyMetadata
	if key.KeyState != kmstypes.KeyStateEnabled {
		t.Errorf("the key of the copies is %s", key.KeyState)
	}
	if now := c.automatedBackup(t); *now.Status != "retained" {
		t.Errorf("the replicated backups are %s, want them retained", *now.Status)
	}
	must(c.clients.s3.GetObject(alive, &s3.GetObjectInput{Bucket: &c.bucket, Key: aws.String("dump")}))(t)
}

// restoredInTheirRegion deploys an environment of its own in the region of the copies, with the
// database restored from them, as docs/restore.md describes for a lost region. Then it restores the
// past of that environment's first instance, and switches over to it.
func (s *sandbox) restoredInTheirRegion(t *testing.T, c copies) string {
	t.Helper()
	there := *s
	there.environment, there.folder = "recovery", copyProject(t, "recovery")
	configuration := document(t, fmt.Sprintf("{name: platform, region: %s, monitoring: {prometheus: "+
		"{enabled: false}}, database: {active: saved, restores: {saved: {automated_backup: '%s'}}}}",
		c.region, *c.backup.DBInstanceAutomatedBackupsArn))
	there.synthesise(t, configuration)
	deployed := summaryOf(t, there.deploy(t))
	c.inUse(t, &there, "platform-recovery-saved", *c.backup.KmsKeyId)

	// After a restore from the past, RDS accepts some settings only when the instance exists, so that a
	// second deployment is needed. Here it also restores another instance.
	past := document(t, fmt.Sprintf("{database: {restores: {monday: {time: '%s'}}}}",
		time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)))
	configuration = patched(configuration, past)
	there.synthesise(t, configuration)
	there.deploy(t)
	there.synthesise(t, patched(configuration, document(t, "{database: {active: monday}}")))
	there.deploy(t)
	there.nothingToChange(t)
	main := c.instance(t, "platform-recovery")
	c.inUse(t, &there, "platform-recovery-monday", *main.KmsKeyId)
	return deployed
}

// inUse checks that the services use an instance, which has a key.
func (c copies) inUse(t *testing.T, s *sandbox, name, key string) {
	t.Helper()
	instance := c.instance(t, name)
	if *instance.KmsKeyId != key || *instance.DBInstanceStatus != "available" {
		t.Errorf("%s has the key %s and is %s", name, *instance.KmsKeyId, *instance.DBInstanceStatus)
	}
	out, err := s.terraform(t, "output", "-raw", "database_address")
	if err != nil || out != aws.ToString(instance.Endpoint.Address) {
		t.Errorf("the services use %s (%v), want %s", out, err, name)
	}
}

func (c copies) instance(t *testing.T, name string) rdstypes.DBInstance {
	t.Helper()
	return only(t, "instance", must(c.clients.rds.DescribeDBInstances(alive, &rds.DescribeDBInstancesInput{
		DBInstanceIdentifier: &name,
	}))(t).DBInstances)
}
