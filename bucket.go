package main

import (
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucket"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketlifecycleconfiguration"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketownershipcontrols"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketpolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketpublicaccessblock"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketserversideencryptionconfiguration"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketversioning"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Bucket is a bucket that is closed to the public, encrypted, versioned and reached by TLS only.
type Bucket struct {
	Name, ARN *string
	Ready     []cdktf.ITerraformDependable // what writes to the bucket depends on these
}

// bucketOptions are what differs from bucket to bucket.
type bucketOptions struct {
	key        *string     // KMS key; nil: S3's own, which alone the balancer's access logs accept
	protected  bool        // refuses at plan to be destroyed, where the stack is protected
	expire     int         // days after which an object goes; 0: it stays
	archive    int         // days after which an object moves to colder storage; 0: it does not
	superseded int         // days that an overwritten or deleted version is kept
	allowed    []statement // of its policy, with paths within the bucket as resources
}

// newBucket declares a bucket with all that belongs to it; every id begins with noun. Its name carries account and region,
// since bucket names are the whole world's.
func newBucket(stack cdktf.TerraformStack, cfg *config.Config, accountID, noun string, o bucketOptions) *Bucket {
	id := func(part string) *string { return jsii.String(noun + "_bucket" + part) }
	name := cfg.ResourceName(dashed(noun)) + "-" + accountID + "-" + cfg.Region
	var lifecycle *cdktf.TerraformResourceLifecycle
	if o.protected {
		lifecycle = protect(cfg)
	}
	bucket := s3bucket.NewS3Bucket(stack, id(""), &s3bucket.S3BucketConfig{
		Bucket:       jsii.String(name),
		ForceDestroy: !cfg.Protected,
		Tags:         nameTag(cfg, dashed(noun)),
		Lifecycle:    lifecycle,
	})
	ownership := s3bucketownershipcontrols.NewS3BucketOwnershipControls(stack, id("_ownership"), &s3bucketownershipcontrols.S3BucketOwnershipControlsConfig{
		Bucket: bucket.Id(),
		Rule:   &s3bucketownershipcontrols.S3BucketOwnershipControlsRule{ObjectOwnership: jsii.String("BucketOwnerEnforced")},
	})
	closed := s3bucketpublicaccessblock.NewS3BucketPublicAccessBlock(stack, id("_public_access_block"), &s3bucketpublicaccessblock.S3BucketPublicAccessBlockConfig{
		Bucket: bucket.Id(), BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true,
	})
	versioning := s3bucketversioning.NewS3BucketVersioningA(stack, id("_versioning"), &s3bucketversioning.S3BucketVersioningAConfig{
		Bucket:                  bucket.Id(),
		VersioningConfiguration: &s3bucketversioning.S3BucketVersioningVersioningConfiguration{Status: jsii.String("Enabled")},
	})
	encryption := s3bucketserversideencryptionconfiguration.NewS3BucketServerSideEncryptionConfigurationA(stack, id("_encryption"), &s3bucketserversideencryptionconfiguration.S3BucketServerSideEncryptionConfigurationAConfig{
		Bucket: bucket.Id(),
		Rule: &[]*s3bucketserversideencryptionconfiguration.S3BucketServerSideEncryptionConfigurationRuleA{{
			ApplyServerSideEncryptionByDefault: &s3bucketserversideencryptionconfiguration.S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA{
				SseAlgorithm: jsii.String(choose(o.key != nil, "aws:kms", "AES256")), KmsMasterKeyId: o.key,
			},
			BucketKeyEnabled: o.key != nil, // one call to KMS for many objects
		}},
	})
	newBucketLifecycle(stack, id("_lifecycle"), bucket.Id(), versioning, o)

	arn := *bucket.Arn()
	plain := statement{
		sid: "TLSOnly", deny: true, principals: everyone(),
		actions:    []string{"s3:*"}, // a denial: nothing at all without TLS
		resources:  []string{arn, arn + "/*"},
		conditions: []condition{{"Bool", "aws:SecureTransport", []string{"false"}}},
	}
	statements := []statement{plain}
	for _, s := range o.allowed {
		var resources []string
		for _, path := range s.resources {
			resources = append(resources, arn+path)
		}
		s.resources = resources
		statements = append(statements, s)
	}
	policy := s3bucketpolicy.NewS3BucketPolicy(stack, id("_policy"), &s3bucketpolicy.S3BucketPolicyConfig{
		Bucket:    bucket.Id(),
		Policy:    policyJSON(statements...),
		DependsOn: dependsOn(closed), // S3 refuses two changes of a bucket's access at the same time
	})
	return &Bucket{Name: bucket.Id(), ARN: bucket.Arn(), Ready: []cdktf.ITerraformDependable{ownership, versioning, encryption, policy}}
}

func newBucketLifecycle(stack cdktf.TerraformStack, id, bucket *string, versioning cdktf.ITerraformDependable, o bucketOptions) {
	rule := &s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRule{
		Id: jsii.String("age"), Status: jsii.String("Enabled"),
		Filter: &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRuleFilter{{}}, // the whole bucket
		AbortIncompleteMultipartUpload: &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload{{
			DaysAfterInitiation: jsii.Number(7),
		}},
		NoncurrentVersionExpiration: &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration{{
			NoncurrentDays: jsii.Number(float64(o.superseded)),
		}},
	}
	if o.expire > 0 {
		rule.Expiration = &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRuleExpiration{{Days: jsii.Number(float64(o.expire))}}
	}
	if o.archive > 0 {
		rule.Transition = &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRuleTransition{{
			Days: jsii.Number(float64(o.archive)), StorageClass: jsii.String("GLACIER_IR"),
		}}
	}
	s3bucketlifecycleconfiguration.NewS3BucketLifecycleConfiguration(stack, id, &s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationConfig{
		Bucket:    bucket,
		Rule:      &[]*s3bucketlifecycleconfiguration.S3BucketLifecycleConfigurationRule{rule},
		DependsOn: dependsOn(versioning), // rules for old versions need versions
	})
}
