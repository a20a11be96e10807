package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrlifecyclepolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrrepository"
)

// newRepository declares an image repository for a service and returns its URL. A tag never changes
// its meaning, and every image is scanned.
func newRepository(s *scope, name string) *string {
	repository := ecrrepository.NewEcrRepository(s.stack, jsii.String("service_"+name+"_repository"),
		&ecrrepository.EcrRepositoryConfig{
			Name:                       jsii.String(s.cfg.Stack() + "/" + name),
			ImageTagMutability:         jsii.String("IMMUTABLE"),
			ForceDelete:                !s.cfg.Protected,
			ImageScanningConfiguration: &ecrrepository.EcrRepositoryImageScanningConfiguration{ScanOnPush: true},
			EncryptionConfiguration: &[]*ecrrepository.EcrRepositoryEncryptionConfiguration{{
				EncryptionType: jsii.String("KMS"), KmsKey: s.keys.Services,
			}},
			Tags: s.tags(name),
		})
	ecrlifecyclepolicy.NewEcrLifecyclePolicy(s.stack, jsii.String("service_"+name+"_repository_lifecycle"),
		&ecrlifecyclepolicy.EcrLifecyclePolicyConfig{
			Repository: repository.Name(),
			Policy:     jsii.String(marshal(map[string]any{"rules": expiryRules()})),
		})
	return repository.RepositoryUrl()
}

// expiryRules say which images ECR deletes. Tags are immutable, so an image without one is not an
// old one: it was pushed by its digest, and may be the one that a service runs.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
func expiryRules() []any {
	return []any{map[string]any{
		"rulePriority": 1, "description": "The last hundred images stay",
		"selection": map[string]any{
			"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100,
		},
		"action": map[string]any{"type": "expire"},
	}}
}
