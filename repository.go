package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsecrimage"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrlifecyclepolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrrepository"

	"platform/internal/config"
)

// newRepository declares an image repository for a service and returns its URL. A tag never changes
// its meaning, and every image is scanned.
func newRepository(s *scope, name string) *string {
	repository := ecrrepository.NewEcrRepository(s.stack, jsii.String(repositoryID(name)),
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
	ecrlifecyclepolicy.NewEcrLifecyclePolicy(s.stack, jsii.String(repositoryID(name)+"_lifecycle"),
		&ecrlifecyclepolicy.EcrLifecyclePolicyConfig{
			Repository: repository.Name(),
			Policy:     jsii.String(marshal(map[string]any{"rules": expiryRules()})),
		})
	return repository.RepositoryUrl()
}

// findImage looks a service's image up if it is in a repository of this stack, before the service is
// created or changed. Without the image, ECS would try to start tasks until Terraform gives up, and
// a new service would be tainted. A lookup fails in seconds: in the deployment that creates the
// repository, after that, since its ID is unknown before; in later ones, in the plan.
//
// Without tasks there is nothing to find: that is how an empty repository is deployed.
func findImage(s *scope, name string, svc config.Service) (found dependencies) {
	owner, account, own := s.cfg.RepositoryOwner(svc.Image)
	if !own || svc.Tasks == 0 {
		return nil
	}
	arguments := &dataawsecrimage.DataAwsEcrImageConfig{
		// By its address: the repository may belong to a service that is declared later.
		RepositoryName: jsii.String("${aws_ecr_repository." + repositoryID(owner) + ".id}"),
	}
	if tag, digest := config.ImageVersion(svc.Image); digest != "" {
		arguments.ImageDigest = jsii.String(digest)
	} else {
		arguments.ImageTag = jsii.String(tag)
	}
	image := dataawsecrimage.NewDataAwsEcrImage(s.stack, jsii.String(serviceID(name)+"_image"), arguments)
	if s.cfg.Account == "" {
		// The image may be in a repository of the same name in another account, which need not let
		// anybody list its images.
		image.AddOverride(jsii.String("count"), "${"+s.account+` == "`+account+`" ? 1 : 0}`)
	}
	return dependencies{image}
}

func repositoryID(service string) string { return serviceID(service) + "_repository" }

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
