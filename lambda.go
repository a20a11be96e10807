package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// bundle is a compiled function: a zip file, by its absolute path, and the hash of what it was made from.
type bundle struct{ zip, hash string }

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
func newLambda(stack cdktf.TerraformStack, cfg *Config, id string, function bundle, role *Role, spec lambdaSpec) lambdafunction.LambdaFunction {
	code := cdktf.NewTerraformAsset(stack, jsii.String(id+"_code"), &cdktf.TerraformAssetConfig{
		Path: jsii.String(function.zip), Type: cdktf.AssetType_FILE, AssetHash: jsii.String(function.hash),
	})
	return lambdafunction.NewLambdaFunction(stack, jsii.String(id), &lambdafunction.LambdaFunctionConfig{
		FunctionName:   jsii.String(cfg.named(spec.noun)),
		Description:    jsii.String(spec.description),
		Role:           role.ARN,
		Runtime:        jsii.String("provided.al2023"),
		Architectures:  jsii.Strings("arm64"),
		Handler:        jsii.String("bootstrap"),
		Filename:       code.Path(),
		SourceCodeHash: jsii.String(function.hash), // of the sources: the compiled bytes differ from machine to machine
		MemorySize:     jsii.Number(spec.memory),
		Timeout:        jsii.Number(spec.timeout),
		KmsKeyArn:      spec.key,
		VpcConfig:      spec.network,
		Environment:    &lambdafunction.LambdaFunctionEnvironment{Variables: &spec.variables},
		Tags:           nameTag(cfg, spec.noun),
		DependsOn:      dependsOn(append(append([]cdktf.ITerraformDependable{}, role.Ready...), spec.ready...)...),
	})
}
