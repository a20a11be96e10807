package main

import (
	"platform/internal/bundle"
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// lambdaSpec is in what the functions differ.
type lambdaSpec struct {
	noun, description string
	memory, timeout   float64 // MiB, seconds
	key               *string // of its environment
	variables         map[string]*string
	network           *lambdafunction.LambdaFunctionVpcConfig // nil outside the VPC
	ready             []cdktf.ITerraformDependable            // what it needs when it is called, besides its role
}

// newLambda declares one of the project's functions.
func newLambda(stack cdktf.TerraformStack, cfg *config.Config, id string, function bundle.Function, role *Role, spec lambdaSpec) lambdafunction.LambdaFunction {
	code := cdktf.NewTerraformAsset(stack, jsii.String(id+"_code"), &cdktf.TerraformAssetConfig{
		Path: jsii.String(function.Zip), Type: cdktf.AssetType_FILE, AssetHash: jsii.String(function.Hash),
	})
	return lambdafunction.NewLambdaFunction(stack, jsii.String(id), &lambdafunction.LambdaFunctionConfig{
		FunctionName:   jsii.String(cfg.ResourceName(spec.noun)),
		Description:    jsii.String(spec.description),
		Role:           role.ARN,
		Runtime:        jsii.String("provided.al2023"),
		Architectures:  jsii.Strings("arm64"),
		Handler:        jsii.String("bootstrap"),
		Filename:       code.Path(),
		SourceCodeHash: jsii.String(function.Hash), // of the sources: the compiled bytes differ from machine to machine
		MemorySize:     jsii.Number(spec.memory),
		Timeout:        jsii.Number(spec.timeout),
		KmsKeyArn:      spec.key,
		VpcConfig:      spec.network,
		Environment:    &lambdafunction.LambdaFunctionEnvironment{Variables: &spec.variables},
		Tags:           nameTag(cfg, spec.noun),
		DependsOn:      dependsOn(append(append([]cdktf.ITerraformDependable{}, role.Ready...), spec.ready...)...),
	})
}
