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

func (w *standing) bucketsAreClosed() {
	suffix := "-" + emulator.Account + "-" + w.region
	// Access logs can be encrypted with S3's own key only.
	keys := map[string]string{"access-logs": "", "backup": w.key("backup"), "prometheus": w.key("services")}
	var have, want []string
	for p := range pages(w.T, s3.NewListBucketsPaginator(w.s3, nil)) {
		for _, bucket := range p.Buckets {
			if strings.HasPrefix(*bucket.Name, w.stack+"-") { // the state's is the reader's own
				have = append(have, *bucket.Name)
			}
		}
	}
	for _, noun := range slices.Sorted(maps.Keys(keys)) {
		want = append(want, w.stack+"-"+noun+suffix)
	}
	w.same("buckets", have, want)
	for noun, key := range keys {
		w.bucketIsClosed(w.stack+"-"+noun+suffix, key)
	}
}

func (w *standing) bucketIsClosed(bucket, key string) {
	w.Helper()
	block, err := w.s3.GetPublicAccessBlock(alive, &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err != nil {
		w.Errorf("bucket %s may be opened to the public: %v", bucket, err)
	} else {
		b := block.PublicAccessBlockConfiguration
		have := []bool{*b.BlockPublicAcls, *b.BlockPublicPolicy, *b.IgnorePublicAcls, *b.RestrictPublicBuckets}
		w.equal(bucket+": what is blocked", have, []bool{true, true, true, true})
	}
	versions := said(w.s3.GetBucketVersioning(alive, &s3.GetBucketVersioningInput{Bucket: &bucket}))(w.T).Status
	w.equal(bucket+": versions", versions, s3types.BucketVersioningStatusEnabled)
	if owner, err := w.s3.GetBucketOwnershipControls(alive, &s3.GetBucketOwnershipControlsInput{
		Bucket: &bucket,
	}); err != nil {
		w.Errorf("bucket %s has objects that are not ours: %v", bucket, err)
	} else {
		w.equal(bucket+": owner of objects", only(w.T, "rule", owner.OwnershipControls.Rules).ObjectOwnership,
			s3types.ObjectOwnershipBucketOwnerEnforced)
	}
	if encryption, err := w.s3.GetBucketEncryption(alive, &s3.GetBucketEncryptionInput{Bucket: &bucket}); err != nil {
		w.Errorf("bucket %s is not encrypted: %v", bucket, err)
	} else {
		rule := only(w.T, "rule", encryption.ServerSideEncryptionConfiguration.Rules).ApplyServerSideEncryptionByDefault
		w.equal(bucket+": key", aws.ToString(rule.KMSMasterKeyID), key)
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
			w.Errorf("bucket %s is open to everyone: %s", bucket, s.Sid)
		}
	}
	if !refused {
		w.Errorf("bucket %s is reached without TLS", bucket)
	}
}

func (w *standing) logsAreEncryptedAndEnd() {
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, nil)) {
		for _, group := range p.LogGroups {
			name := *group.LogGroupName
			w.equal("key of "+name, aws.ToString(group.KmsKeyId), w.key("logs"))
			w.equal("days for which "+name+" keeps its lines", aws.ToInt32(group.RetentionInDays), int32(w.logDays))
		}
	}
	flow := only(w.T, "flow log", said(w.ec2.DescribeFlowLogs(alive, &ec2.DescribeFlowLogsInput{
		Filter: []ec2types.Filter{{Name: aws.String("resource-id"), Values: []string{w.vpc}}},
	}))(w.T).FlowLogs)
	w.equal("what the flow log records", flow.TrafficType, ec2types.TrafficTypeAll)
	w.trusts(*flow.DeliverLogsPermissionArn, "vpc-flow-logs.amazonaws.com")
	arn := w.logGroup("the flow log's log group",
		(*flow.LogDestination)[strings.LastIndex(*flow.LogDestination, ":")+1:])
	if !slices.Contains(w.permissions(*flow.DeliverLogsPermissionArn)["logs:PutLogEvents"], arn) {
		w.Errorf("nobody may write the flow log to %s", arn)
	}
}

// logGroup wants a log group to be there, and returns its ARN.
func (w *standing) logGroup(what, name string) (arn string) {
	w.Helper()
	input := &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name}
	for p := range pages(w.T, cloudwatchlogs.NewDescribeLogGroupsPaginator(w.logs, input)) {
		for _, group := range p.LogGroups {
			if *group.LogGroupName == name {
				return *group.LogGroupArn
			}
		}
	}
	w.Errorf("%s, %s, is not there", what, name)
	return ""
}

func (w *standing) keysAreRenewed() {
	for _, noun := range []string{"logs", "database", "services", "alerts", "backup"} {
		key := w.key(noun)
		if !said(w.kms.GetKeyRotationStatus(alive, &kms.GetKeyRotationStatusInput{
			KeyId: &key,
		}))(w.T).KeyRotationEnabled {
			w.Errorf("the key for %s is never renewed", noun)
		}
	}
}
