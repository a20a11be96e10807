package main

import (
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
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

// principal is a Service, or an AWS account or role, or everyone: AWS of "*", for denials.
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

func everyone() []principal { return []principal{{"AWS", "*"}} }

func equals(key string, values ...string) condition {
	return condition{"StringEquals", key, values}
}

// policyDocument and its parts are JSON as IAM reads it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type policyDocument struct {
	Version   string
	Statement []policyStatement
}

type policyStatement struct {
	Sid       string
	Effect    string
	Principal map[string]oneOrMore            `json:",omitempty"` // by kind
	Action    oneOrMore                       `json:",omitempty"`
	Resource  oneOrMore                       `json:",omitempty"`
	Condition map[string]map[string]oneOrMore `json:",omitempty"` // by test, then key
}

// oneOrMore is a list that is written as its only value if it has one, as IAM gives it back.
type oneOrMore []string

func (list oneOrMore) MarshalJSON() ([]byte, error) {
	if len(list) == 1 {
		return []byte(marshal(list[0])), nil
	}
	return []byte(marshal([]string(list))), nil
}

// policyJSON writes statements as JSON. Terraform's own document, a data source, is not used: whenever a resource changes that one names,
// even if it is only the size of a database, Terraform reads the document late, and the plan says of every policy made from it that it may become anything.
func policyJSON(statements ...statement) *string {
	document := policyDocument{Version: "2012-10-17"}
	for _, s := range statements {
		written := policyStatement{Sid: s.sid, Effect: choose(s.deny, "Deny", "Allow"), Action: s.actions, Resource: s.resources}
		for _, p := range s.principals {
			if written.Principal == nil {
				written.Principal = map[string]oneOrMore{}
			}
			written.Principal[p.kind] = append(written.Principal[p.kind], p.name)
		}
		for _, c := range s.conditions {
			if written.Condition == nil {
				written.Condition = map[string]map[string]oneOrMore{}
			}
			if written.Condition[c.test] == nil {
				written.Condition[c.test] = map[string]oneOrMore{}
			}
			if _, ok := written.Condition[c.test][c.key]; ok {
				panic("two conditions of " + s.sid + " compare " + c.key) // a fault of this program: JSON would keep one of them
			}
			written.Condition[c.test][c.key] = c.values
		}
		document.Statement = append(document.Statement, written)
	}
	return jsii.String(marshal(document))
}

// Role is an IAM role together with its one policy.
type Role struct {
	ARN   *string
	Ready []cdktf.ITerraformDependable // what uses the role depends on its policy: without it a role can do nothing
}

// newRole declares a role that one AWS service may take on, under the conditions given, and what it may do, which
// may be nothing. IAM knows no regions, so names carry the stack's.
func newRole(stack cdktf.TerraformStack, cfg *config.Config, id, noun, trusted string, trust []condition, allowed ...statement) *Role {
	role := iamrole.NewIamRole(stack, jsii.String(id), &iamrole.IamRoleConfig{
		Name: jsii.String(cfg.IAMName(noun)),
		AssumeRolePolicy: policyJSON(statement{
			sid: "Trust", principals: service(trusted), actions: []string{"sts:AssumeRole"}, conditions: trust,
		}),
		Tags: nameTag(cfg, noun),
	})
	if len(allowed) == 0 {
		return &Role{ARN: role.Arn()}
	}
	permissions := iamrolepolicy.NewIamRolePolicy(stack, jsii.String(id+"_policy"), &iamrolepolicy.IamRolePolicyConfig{
		Name:   jsii.String(noun),
		Role:   role.Name(),
		Policy: policyJSON(allowed...),
	})
	return &Role{ARN: role.Arn(), Ready: []cdktf.ITerraformDependable{permissions}}
}

// nameTag is what the console shows; the provider adds the tags that every resource has.
func nameTag(cfg *config.Config, noun string) *map[string]*string {
	return &map[string]*string{"Name": jsii.String(cfg.ResourceName(noun))}
}

func dependsOn(on ...cdktf.ITerraformDependable) *[]cdktf.ITerraformDependable {
	if len(on) == 0 {
		return nil
	}
	return &on
}
