package main

import (
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucket"
	lifecycle "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketlifecycleconfiguration"
	lock "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketobjectlockconfiguration"
	ownership "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketownershipcontrols"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketpolicy"
	access "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketpublicaccessblock"
	sse "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketserversideencryptionconfiguration"
	versioning "github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3bucketversioning"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// Bucket is a bucket that is closed to the public, encrypted, versioned and reached by TLS only.
type Bucket struct {
	Name, ARN *string
	Ready     dependencies // what writes to the bucket depends on these
}

// bucketOptions holds what differs between the buckets.
type bucketOptions struct {
	in         *place      // nil: the stack's region
	key        *string     // KMS key; nil: S3's own, the only one that the load balancer's access logs accept
	keeps      bool        // its objects outlive a stack that leaves backups
	expire     int         // days after which an object expires; 0: see ages
	ages       []ageRule   // of single folders, without expire: S3 applies the shortest of several rules
	superseded int         // days that an overwritten or deleted version is kept
	allowed    []statement // of its policy, with paths within the bucket as resources
}

// ageRule holds what happens to the objects of a folder with their age.
type ageRule struct {
	folder  string
	expire  int // days after which an object expires
	archive int // days after which an object moves to colder storage; 0: never
}

// newBucket declares a bucket with all that belongs to it; every id begins with noun. Its name
// carries account and region, since bucket names are unique across all accounts.
func newBucket(s *scope, noun string, o bucketOptions) *Bucket {
	in := o.in.orOwn(s)
	arguments := &s3bucket.S3BucketConfig{
		Provider:     in.provider,
		Bucket:       jsii.String(s.named(dashed(noun)) + "-" + s.account + "-" + in.region),
		ForceDestroy: !s.cfg.Protected && (!o.keeps || !s.cfg.KeepsData()),
		Tags:         s.tags(dashed(noun)),
	}
	if o.keeps {
		arguments.Lifecycle = s.keep()
	}
	bucket := s3bucket.NewS3Bucket(s.stack, jsii.String(noun+"_bucket"), arguments)
	b := bucketParts{scope: s, provider: in.provider, noun: noun, name: bucket.Id(), arn: *bucket.Arn()}
	owned := b.newOwnership()
	closed := b.newAccessBlock()
	versioned := b.newVersioning()
	encrypted := b.newEncryption(o.key)
	b.newLifecycle(o, versioned)
	policy := b.newPolicy(o.allowed, closed)
	return &Bucket{
		Name: bucket.Id(), ARN: bucket.Arn(), Ready: dependencies{owned, versioned, encrypted, policy},
	}
}

// bucketParts declares the resources that belong to one bucket.
type bucketParts struct {
	*scope
	provider cdktf.TerraformProvider
	noun     string
	name     *string
	arn      string
}

func (b bucketParts) id(part string) *string { return jsii.String(b.noun + "_bucket_" + part) }

func (b bucketParts) newOwnership() cdktf.ITerraformDependable {
	return ownership.NewS3BucketOwnershipControls(b.stack, b.id("ownership"),
		&ownership.S3BucketOwnershipControlsConfig{
			Provider: b.provider,
			Bucket:   b.name,
			Rule: &ownership.S3BucketOwnershipControlsRule{
				ObjectOwnership: jsii.String("BucketOwnerEnforced"),
			},
		})
}

func (b bucketParts) newAccessBlock() cdktf.ITerraformDependable {
	return access.NewS3BucketPublicAccessBlock(b.stack, b.id("public_access_block"),
		&access.S3BucketPublicAccessBlockConfig{
			Provider:              b.provider,
			Bucket:                b.name,
			BlockPublicAcls:       true,
			BlockPublicPolicy:     true,
			IgnorePublicAcls:      true,
			RestrictPublicBuckets: true,
		})
}

func (b bucketParts) newVersioning() cdktf.ITerraformDependable {
	return versioning.NewS3BucketVersioningA(b.stack, b.id("versioning"), &versioning.S3BucketVersioningAConfig{
		Provider: b.provider,
		Bucket:   b.name,
		VersioningConfiguration: &versioning.S3BucketVersioningVersioningConfiguration{
			Status: jsii.String("Enabled"),
		},
	})
}

func (b bucketParts) newEncryption(key *string) cdktf.ITerraformDependable {
	type (
		arguments  = sse.S3BucketServerSideEncryptionConfigurationAConfig
		rule       = sse.S3BucketServerSideEncryptionConfigurationRuleA
		encryption = sse.S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultA
	)
	return sse.NewS3BucketServerSideEncryptionConfigurationA(b.stack, b.id("encryption"), &arguments{
		Provider: b.provider,
		Bucket:   b.name,
		Rule: &[]*rule{{
			ApplyServerSideEncryptionByDefault: &encryption{
				SseAlgorithm: jsii.String(choose(key != nil, "aws:kms", "AES256")), KmsMasterKeyId: key,
			},
			BucketKeyEnabled: key != nil, // one call to KMS for many objects
		}},
	})
}

func (b bucketParts) newLifecycle(o bucketOptions, versioned cdktf.ITerraformDependable) {
	type (
		ruleType   = lifecycle.S3BucketLifecycleConfigurationRule
		filter     = lifecycle.S3BucketLifecycleConfigurationRuleFilter
		incomplete = lifecycle.S3BucketLifecycleConfigurationRuleAbortIncompleteMultipartUpload
		superseded = lifecycle.S3BucketLifecycleConfigurationRuleNoncurrentVersionExpiration
		expiration = lifecycle.S3BucketLifecycleConfigurationRuleExpiration
		transition = lifecycle.S3BucketLifecycleConfigurationRuleTransition
	)
	enabled := jsii.String("Enabled")
	// S3 also deletes the delete marker that an expired object leaves, once its versions are gone.
	expireAfter := func(days int) *[]*expiration { return &[]*expiration{{Days: number(days)}} }
	whole := &ruleType{
		Id:                             jsii.String("age"),
		Status:                         enabled,
		Filter:                         &[]*filter{{}}, // the whole bucket
		AbortIncompleteMultipartUpload: &[]*incomplete{{DaysAfterInitiation: number(7)}},
		NoncurrentVersionExpiration:    &[]*superseded{{NoncurrentDays: number(o.superseded)}},
	}
	if o.expire > 0 {
		whole.Expiration = expireAfter(o.expire)
	}
	rules := []*ruleType{whole}
	for _, age := range o.ages {
		rule := &ruleType{
			Id:     jsii.String(age.folder),
			Status: enabled,
			Filter: &[]*filter{{Prefix: jsii.String(age.folder + "/")}}, Expiration: expireAfter(age.expire),
		}
		if age.archive > 0 {
			rule.Transition = &[]*transition{{Days: number(age.archive), StorageClass: jsii.String("GLACIER_IR")}}
		}
		rules = append(rules, rule)
	}
	lifecycle.NewS3BucketLifecycleConfiguration(b.stack, b.id("lifecycle"),
		&lifecycle.S3BucketLifecycleConfigurationConfig{
			Provider:  b.provider,
			Bucket:    b.name,
			Rule:      &rules,
			DependsOn: dependencies{versioned}.list(), // rules for old versions need versions
		})
}

// newPolicy refuses requests without TLS and adds what else is allowed.
func (b bucketParts) newPolicy(allowed []statement, closed cdktf.ITerraformDependable) cdktf.ITerraformDependable {
	statements := []statement{{
		sid: "TLSOnly", deny: true, principals: everyone(),
		actions:    []string{"s3:*"}, // a denial: nothing at all without TLS
		resources:  []string{b.arn, b.arn + "/*"},
		conditions: []condition{{"Bool", "aws:SecureTransport", []string{"false"}}},
	}}
	for _, s := range allowed {
		var resources []string
		for _, path := range s.resources {
			resources = append(resources, b.arn+path)
		}
		s.resources = resources
		statements = append(statements, s)
	}
	return s3bucketpolicy.NewS3BucketPolicy(b.stack, b.id("policy"), &s3bucketpolicy.S3BucketPolicyConfig{
		Provider:  b.provider,
		Bucket:    b.name,
		Policy:    policyJSON(statements...),
		DependsOn: dependencies{closed}.list(), // S3 refuses two changes of a bucket's access at the same time
	})
}

// newBackupBucket declares the bucket of the backups, or that of their copies in another region, with
// the key that encrypts the objects.
func newBackupBucket(s *scope, noun string, in *place, key *string) *Bucket {
	b := s.cfg.Backup
	bucket := newBucket(s, noun, bucketOptions{
		in: in, key: key, keeps: true,
		ages: backupAges(b), superseded: max(b.ObjectLock, 30),
	})
	if b.ObjectLock > 0 {
		locked := lock.NewS3BucketObjectLockConfigurationA(s.stack, jsii.String(noun+"_bucket_object_lock"),
			&lock.S3BucketObjectLockConfigurationAConfig{
				Provider: in.provider,
				Bucket:   bucket.Name,
				Rule: &lock.S3BucketObjectLockConfigurationRuleA{
					DefaultRetention: &lock.S3BucketObjectLockConfigurationRuleDefaultRetentionA{
						Mode: jsii.String(strings.ToUpper(b.ObjectLockMode)), Days: number(b.ObjectLock),
					},
				},
				DependsOn: bucket.Ready.list(),
			})
		bucket.Ready = bucket.Ready.plus(locked)
	}
	return bucket
}

// backupAges are the rules for what the platform writes; nothing else expires. The newest record of a
// rehearsal must exist until the next one, however late that is, because the alarm drill_age is on its
// age. Without dumps, those that exist still expire.
func backupAges(b config.Backup) []ageRule {
	ages := []ageRule{{
		folder: "dumps", expire: b.Retention,
		archive: choose(b.Retention >= 90, 30, 0), // colder storage bills at least 90 days
	}}
	if b.Drills() {
		ages = append(ages, ageRule{folder: "drills", expire: max(b.Retention, 2*b.Drill.MaxAge)})
	}
	return ages
}
