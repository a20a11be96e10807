package main

import (
	"github.com/aws/jsii-runtime-go"
	policydocument "github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawsiampolicydocument"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/iamrole"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/iamrolepolicy"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// statement is one permission of a policy: who (in resource and trust policies) may do what, on what, when.
type statement struct {
	sid        string
	deny       bool
	principals []principal
	actions    []string
	resources  []string
	conditions []condition
}

// principal is a Service, an AWS account or role, or "*" of type "*", for denials.
type principal struct{ kind, name string }

type condition struct {
	test, key string
	values    []string
}

func service(name string) []principal { return []principal{{"Service", name}} }

// accountRoot stands for the account's own administrators: with it in a key's policy, IAM policies decide.
func accountRoot(accountID string) []principal {
	return []principal{{"AWS", "arn:aws:iam::" + accountID + ":root"}}
}

func everyone() []principal { return []principal{{"*", "*"}} }

func equals(key string, values ...string) condition {
	return condition{"StringEquals", key, values}
}

// newPolicy declares a policy document and returns its JSON.
func newPolicy(stack cdktf.TerraformStack, id string, statements ...statement) *string {
	var blocks []*policydocument.DataAwsIamPolicyDocumentStatement
	for _, s := range statements {
		block := &policydocument.DataAwsIamPolicyDocumentStatement{
			Sid:     jsii.String(s.sid),
			Effect:  jsii.String(choose(s.deny, "Deny", "Allow")),
			Actions: jsii.Strings(s.actions...),
		}
		if len(s.resources) > 0 {
			block.Resources = jsii.Strings(s.resources...)
		}
		if len(s.principals) > 0 {
			var principals []*policydocument.DataAwsIamPolicyDocumentStatementPrincipals
			for _, p := range s.principals {
				principals = append(principals, &policydocument.DataAwsIamPolicyDocumentStatementPrincipals{
					Type: jsii.String(p.kind), Identifiers: jsii.Strings(p.name),
				})
			}
			block.Principals = &principals
		}
		if len(s.conditions) > 0 {
			var conditions []*policydocument.DataAwsIamPolicyDocumentStatementCondition
			for _, c := range s.conditions {
				conditions = append(conditions, &policydocument.DataAwsIamPolicyDocumentStatementCondition{
					Test: jsii.String(c.test), Variable: jsii.String(c.key), Values: jsii.Strings(c.values...),
				})
			}
			block.Condition = &conditions
		}
		blocks = append(blocks, block)
	}
	return policydocument.NewDataAwsIamPolicyDocument(stack, jsii.String(id), &policydocument.DataAwsIamPolicyDocumentConfig{
		Statement: &blocks,
	}).Json()
}

// Role is an IAM role together with its one policy.
type Role struct {
	ARN   *string
	Ready []cdktf.ITerraformDependable // what uses the role depends on its policy: without it a role can do nothing
}

// newRole declares a role that one AWS service may take on, under the conditions given, and what it may do, which
// may be nothing. IAM knows no regions, so names carry the stack's.
func newRole(stack cdktf.TerraformStack, cfg *Config, id, noun, trusted string, trust []condition, allowed ...statement) *Role {
	role := iamrole.NewIamRole(stack, jsii.String(id), &iamrole.IamRoleConfig{
		Name: jsii.String(cfg.namedInIAM(noun)),
		AssumeRolePolicy: newPolicy(stack, id+"_trust", statement{
			sid: "Trust", principals: service(trusted), actions: []string{"sts:AssumeRole"}, conditions: trust,
		}),
		Tags: nameTag(cfg, noun),
	})
	if len(allowed) == 0 {
		return &Role{ARN: role.Arn()}
	}
	policy := iamrolepolicy.NewIamRolePolicy(stack, jsii.String(id+"_policy"), &iamrolepolicy.IamRolePolicyConfig{
		Name:   jsii.String(noun),
		Role:   role.Name(),
		Policy: newPolicy(stack, id+"_permissions", allowed...),
	})
	return &Role{ARN: role.Arn(), Ready: []cdktf.ITerraformDependable{policy}}
}

// nameTag is what the console shows; the provider adds the tags that every resource has.
func nameTag(cfg *Config, noun string) *map[string]*string {
	return &map[string]*string{"Name": jsii.String(cfg.named(noun))}
}

func dependsOn(on ...cdktf.ITerraformDependable) *[]cdktf.ITerraformDependable { return &on }
