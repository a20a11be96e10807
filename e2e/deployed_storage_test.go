//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"platform/internal/emulator"
)

func (w *deployed) bucketsArePrivate() {
	suffix := "-" + emulator.Account + "-" + w.region
	// ELB supports SSE-S3 only for its access logs.
	keys := map[string]string{"access-logs": "", "backup": w.key("backup")}
	var have, want []string
	for p := range pages(w.T, s3.NewListBucketsPaginator(w.s3, nil)) {
		for _, bucket := range p.Buckets {
			if strings.HasPrefix(*bucket.Name, w.stack+"-") { // not the bucket of the state
				have = append(have, *bucket.Name)
			}
		}
	}
	for _, noun := range slices.Sorted(maps.Keys(keys)) {
		want = append(want, w.stack+"-"+noun+suffix)
	}
	w.sameElements("buckets", have, want)
	for noun, key := range keys {
		w.bucketIsPrivate(w.stack+"-"+noun+suffix, key)
	}
}

func (w *deployed) bucketIsPrivate(bucket, key string) {
	w.Helper()
	block, err := w.s3.GetPublicAccessBlock(alive, &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err != nil {
		w.Errorf("bucket %s does not block public access: %v", bucket, err)
	} else {
		b := block.PublicAccessBlockConfiguration
		have := []bool{*b.BlockPublicAcls, *b.BlockPublicPolicy, *b.IgnorePublicAcls, *b.RestrictPublicBuckets}
		w.equal(bucket+": public access block", have, []bool{true, true, true, true})
	}
	versions := must(w.s3.GetBucketVersioning(alive, &s3.GetBucketVersioningInput{Bucket: &bucket}))(w.T).Status
	w.equal(bucket+": versioning", versions, s3types.BucketVersioningStatusEnabled)
	if owner, err := w.s3.GetBucketOwnershipControls(alive, &s3.GetBucketOwnershipControlsInput{
		Bucket: &bucket,
	}); err != nil {
		w.Errorf("bucket %s has no ownership controls: %v", bucket, err)
	} else {
		w.equal(bucket+": object ownership", only(w.T, "rule", owner.OwnershipControls.Rules).ObjectOwnership,
			s3types.ObjectOwnershipBucketOwnerEnforced)
	}
	if encryption, err := w.s3.GetBucketEncryption(alive, &s3.GetBucketEncryptionInput{Bucket: &bucket}); err != nil {
		w.Errorf("bucket %s is not encrypted: %v", bucket, err)
	} else {
		rule := only(w.T, "rule", encryption.ServerSideEncryptionConfiguration.Rules).ApplyServerSideEncryptionByDefault
		w.equal(bucket+": KMS key", aws.ToString(rule.KMSMasterKeyID), key)
	}
	text, err := w.s3.GetBucketPolicy(alive, &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil {
		w.Errorf("bucket %s has no policy: %v", bucket, err)
		return
	}
	arn, refused := "arn:aws:s3:::"+bucket, false
	for _, s := range w.policy(*text.Policy).Statement {
		all := slices.Contains(s.Resource, arn) && slices.Contains(s.Resource, arn+"/*") &&
			slices.Equal(s.Action, list{"s3:*"}) && s.Principal == "*"
		refused = refused || s.Effect == "Deny" && all &&
			slices.Equal(s.Condition["Bool"]["aws:SecureTransport"], list{"false"}) && len(s.Condition) == 1
		if s.Effect == "Allow" && s.Principal == "*" {
			w.Errorf("bucket %s allows access by everyone: %s", bucket, s.Sid)
		}
	}
	if !refused {
		w.Errorf("bucket %s does not deny requests without TLS", bucket)
	}
}

func (w *deployed) logGroupsAreEncryptedAndExpire() {
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, nil)) {
		for _, group := range p.LogGroups {
			name := *group.LogGroupName
			w.equal("KMS key of "+name, aws.ToString(group.KmsKeyId), w.key("logs"))
			w.equal("retention in days of "+name, aws.ToInt32(group.RetentionInDays), int32(w.logDays))
		}
	}
	flow := only(w.T, "flow log", must(w.ec2.DescribeFlowLogs(alive, &ec2.DescribeFlowLogsInput{
		Filter: []ec2types.Filter{{Name: aws.String("resource-id"), Values: []string{w.vpc}}},
	}))(w.T).FlowLogs)
	w.equal("traffic type of the flow log", flow.TrafficType, ec2types.TrafficTypeAll)
	w.trusts(*flow.DeliverLogsPermissionArn, "vpc-flow-logs.amazonaws.com")
	arn := w.logGroup("the flow log's log group",
		(*flow.LogDestination)[strings.LastIndex(*flow.LogDestination, ":")+1:])
	if !slices.Contains(w.permissions(*flow.DeliverLogsPermissionArn)["logs:PutLogEvents"], arn) {
		w.Errorf("the role of the flow log cannot write to %s", arn)
	}
}

// logGroup checks that a log group exists and returns its ARN.
func (w *deployed) logGroup(what, name string) (arn string) {
	w.Helper()
	input := &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name}
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, input)) {
		for _, group := range p.LogGroups {
			if *group.LogGroupName == name {
				return *group.LogGroupArn
			}
		}
	}
	w.Errorf("%s, %s, does not exist", what, name)
	return ""
}

func (w *deployed) keysAreRotated() {
	for _, noun := range []string{"logs", "database", "secrets", "services", "alerts", "backup"} {
		key := w.key(noun)
		if !must(w.kms.GetKeyRotationStatus(alive, &kms.GetKeyRotationStatusInput{
			KeyId: &key,
		}))(w.T).KeyRotationEnabled {
			w.Errorf("the KMS key for %s is not rotated", noun)
		}
	}
}
