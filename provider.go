package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawscalleridentity"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/provider"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// newProvider declares the AWS provider and returns the account's number. The version is exact,
// since Terraform's lock file is in cdktf.out and is lost with it. The bindings' own constraint and
// bare source name are overridden.
func newProvider(stack cdktf.TerraformStack, cfg *config.Config) string {
	provider.NewAwsProvider(stack, jsii.String("aws"), providerArguments(cfg, cfg.Region))
	stack.AddOverride(jsii.String("terraform.required_providers.aws"),
		map[string]any{"source": "hashicorp/aws", "version": "5.100.0"})
	stack.AddOverride(jsii.String("terraform.required_version"), ">= 1.11.0") // the S3 backend's own lock file
	return *dataawscalleridentity.NewDataAwsCallerIdentity(stack, jsii.String("caller"),
		&dataawscalleridentity.DataAwsCallerIdentityConfig{}).AccountId()
}

// providerArguments are those of a region, with the tags that every resource has.
func providerArguments(cfg *config.Config, region string) *provider.AwsProviderConfig {
	tags := map[string]*string{
		"Application": jsii.String(cfg.Name),
		"Environment": jsii.String(cfg.Environment),
		"ManagedBy":   jsii.String("cdktf"),
	}
	for key, value := range cfg.Tags {
		tags[key] = jsii.String(value)
	}
	arguments := &provider.AwsProviderConfig{
		Region:      jsii.String(region),
		DefaultTags: &[]*provider.AwsProviderDefaultTags{{Tags: &tags}},
	}
	if cfg.Account != "" {
		arguments.AllowedAccountIds = jsii.Strings(cfg.Account)
	}
	return arguments
}

// place is a region with the provider that creates resources in it.
type place struct {
	provider cdktf.TerraformProvider // nil: the stack's own, which resources have by default
	region   string
}

// own is the stack's region.
func (s *scope) own() *place { return &place{region: s.cfg.Region} }

// orOwn is the place, or the stack's region if there is none.
func (p *place) orOwn(s *scope) *place {
	if p == nil {
		return s.own()
	}
	return p
}

// newPlace declares a provider for another region.
func newPlace(s *scope, id, region string) *place {
	arguments := providerArguments(s.cfg, region)
	arguments.Alias = jsii.String(id)
	return &place{provider: provider.NewAwsProvider(s.stack, jsii.String("aws_"+id), arguments), region: region}
}

// newBackend says where Terraform keeps its state. A local state is beside cdktf.out and never in
// it, since the CLI deletes folders there.
func newBackend(stack cdktf.TerraformStack, cfg *config.Config) {
	if cfg.State.Backend == "local" {
		cdktf.NewLocalBackend(stack, &cdktf.LocalBackendConfig{Path: jsii.String("../../../" + cfg.StateFile())})
		return
	}
	cdktf.NewS3Backend(stack, &cdktf.S3BackendConfig{
		Bucket:  jsii.String(cfg.State.Bucket),
		Region:  jsii.String(cfg.State.Region),
		Key:     jsii.String(cfg.Stack() + ".tfstate"),
		Encrypt: jsii.Bool(true),
	})
	stack.AddOverride(jsii.String("terraform.backend.s3.use_lockfile"), true)
}
