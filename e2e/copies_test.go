//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"platform/internal/emulator"
)

// TestCopiesInAnotherRegionOutliveTheStack deploys a production stack whose backups are copied to
// another region, and destroys it.
func TestCopiesInAnotherRegionOutliveTheStack(t *testing.T) {
	t.Parallel()
	const elsewhere = "eu-west-1"
	s := newSandbox(t, "prod")
	configuration := patched(s.shipped(t), document(t,
		"{protected: false, backup: {object_lock: 7, copy: {region: "+elsewhere+"}}}"))
	region := configuration["region"].(string)
	s.synthesise(t, configuration)
	empty, c := s.inventory(t), s.clients(elsewhere)
	within(t, "the deployment", 6*minute, func() string { return summaryOf(t, s.deploy(t)) })
	within(t, "an unchanged deployment", minute, func() string { return s.nothingToChange(t) })

	all := &rds.DescribeDBInstanceAutomatedBackupsInput{}
	replicated := must(c.rds.DescribeDBInstanceAutomatedBackups(alive, all))(t)
	if n := len(replicated.DBInstanceAutomatedBackups); n != 1 {
		t.Fatalf("want one replicated backup, have %d", n)
	}
	copied := replicated.DBInstanceAutomatedBackups[0]
	if *copied.Status != "replicating" || *copied.DBInstanceIdentifier != "platform-prod" {
		t.Errorf("%s of %s", *copied.Status, *copied.DBInstanceIdentifier)
	}
	bucket := "platform-prod-backup-copy-" + emulator.Account + "-" + elsewhere
	source := "platform-prod-backup-" + emulator.Account + "-" + region
	rules := must(s.clients(region).s3.GetBucketReplication(alive, &s3.GetBucketReplicationInput{Bucket: &source}))(t)
	if to := *rules.ReplicationConfiguration.Rules[0].Destination.Bucket; to != "arn:aws:s3:::"+bucket {
		t.Errorf("objects are copied to %s, want %s", to, bucket)
	}
	for name, client := range map[string]*s3.Client{source: s.clients(region).s3, bucket: c.s3} {
		lock := must(client.GetObjectLockConfiguration(alive, &s3.GetObjectLockConfigurationInput{Bucket: &name}))(t)
		if days := aws.ToInt32(lock.ObjectLockConfiguration.Rule.DefaultRetention.Days); days != 7 {
			t.Errorf("objects in %s are locked for %d days, want 7", name, days)
		}
	}
	dump := &s3.PutObjectInput{
		Bucket: &bucket, Key: aws.String("dump"), Body: strings.NewReader("data"),
		ChecksumAlgorithm: s3types.ChecksumAlgorithmSha256, // S3 wants one with a lock
	}
	must(c.s3.PutObject(alive, dump))(t)

	within(t, "the destruction", 5*minute, func() string {
		return s.destroyButFor(t, empty,
			"aws_kms_key platform-prod: the database, its secret and its snapshots",
			"aws_s3_bucket "+bucket)
	})
	key := must(c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: copied.KmsKeyId}))(t).KeyMetadata
	if key.KeyState != kmstypes.KeyStateEnabled {
		t.Errorf("the key of the copies is %s", key.KeyState)
	}
	after := must(c.rds.DescribeDBInstanceAutomatedBackups(alive, all))(t)
	if n := len(after.DBInstanceAutomatedBackups); n != 1 || *after.DBInstanceAutomatedBackups[0].Status != "retained" {
		t.Errorf("the replicated backups are %v, want them retained", after.DBInstanceAutomatedBackups)
	}
}
