package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/bundle"
)

// lambdaSpec holds what differs between the functions.
type lambdaSpec struct {
	id, noun, description string
	memory, timeout       int // MiB, seconds
	role                  *Role
	key                   *string // of its environment
	variables             map[string]*string
	network               *lambdafunction.LambdaFunctionVpcConfig // nil outside the VPC
	ready                 dependencies                            // what it needs when it is called, besides its role
}

// newLambda declares one of the project's functions.
func newLambda(s *scope, function bundle.Function, spec lambdaSpec) lambdafunction.LambdaFunction {
	code := cdktf.NewTerraformAsset(s.stack, jsii.String(spec.id+"_code"), &cdktf.TerraformAssetConfig{
		Path: jsii.String(function.Zip), Type: cdktf.AssetType_FILE, AssetHash: jsii.String(function.Hash),
	})
	return lambdafunction.NewLambdaFunction(s.stack, jsii.String(spec.id), &lambdafunction.LambdaFunctionConfig{
		FunctionName:   jsii.String(s.named(spec.noun)),
		Description:    jsii.String(spec.description),
		Role:           spec.role.ARN,
		Runtime:        jsii.String("provided.al2023"),
		Architectures:  jsii.Strings("arm64"),
		Handler:        jsii.String("bootstrap"),
		Filename:       code.Path(),
		SourceCodeHash: jsii.String(function.Hash), // of the sources: the compiled bytes differ between machines
		MemorySize:     number(spec.memory),
		Timeout:        number(spec.timeout),
		KmsKeyArn:      spec.key,
		VpcConfig:      spec.network,
		Environment:    &lambdafunction.LambdaFunctionEnvironment{Variables: &spec.variables},
		Tags:           s.tags(spec.noun),
		DependsOn:      spec.role.Ready.plus(spec.ready...).list(),
	})
}

// ownEnvironment lets Lambda decrypt a function's variables when the function starts, which it does
// with the function's role. Lambda names the function in the encryption context. Without this
// condition the role could decrypt everything that the key encrypts.
// https://docs.aws.amazon.com/lambda/latest/dg/security-encryption-at-rest.html
func ownEnvironment(s *scope, noun, key string) statement {
	return statement{
		sid: "OwnEnvironment", actions: []string{"kms:Decrypt"}, resources: []string{key},
		conditions: []condition{equals("kms:EncryptionContext:aws:lambda:FunctionArn", functionARN(s, noun))},
	}
}

// functionARN is the ARN of a function that may not be declared yet.
func functionARN(s *scope, noun string) string { return s.arn("lambda", "function:"+s.named(noun)) }
