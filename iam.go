package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/iamrole"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/iamrolepolicy"
)

// statement is one permission of a policy: who (in resource and trust policies) may do what, on
// what, when.
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

func awsService(name string) []principal { return []principal{{"Service", name}} }

// accountRoot stands for the account's own administrators: with it in a key's policy, IAM policies
// decide.
func accountRoot(accountID string) []principal {
	return []principal{{"AWS", "arn:aws:iam::" + accountID + ":root"}}
}

func everyone() []principal { return []principal{{"AWS", "*"}} }

func equals(key string, values ...string) condition {
	return condition{"StringEquals", key, values}
}

// fromSource binds a trust to requests for one kind of resource in this account.
func fromSource(s *scope, arn string) []condition {
	return []condition{equals("aws:SourceAccount", s.account), {"ArnLike", "aws:SourceArn", []string{arn}}}
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

func (list oneOrMore) MarshalJSON() ([]byte, error) { //nolint:unparam // json.Marshaler has the error
	if len(list) == 1 {
		return []byte(marshal(list[0])), nil
	}
	return []byte(marshal([]string(list))), nil
}

// policyJSON writes statements as JSON. Terraform's aws_iam_policy_document, a data source, is not
// used: when a resource that it refers to changes, even if it is only the size of a database,
// Terraform reads the document during apply, and the plan shows every policy made from it as "known
// after apply".
func policyJSON(statements ...statement) *string {
	document := policyDocument{Version: "2012-10-17"}
	for _, s := range statements {
		document.Statement = append(document.Statement, s.written())
	}
	return jsii.String(marshal(document))
}

// written is a statement in IAM's form.
func (s statement) written() policyStatement {
	out := policyStatement{
		Sid: s.sid, Effect: choose(s.deny, "Deny", "Allow"), Action: s.actions, Resource: s.resources,
	}
	for _, p := range s.principals {
		if out.Principal == nil {
			out.Principal = map[string]oneOrMore{}
		}
		out.Principal[p.kind] = append(out.Principal[p.kind], p.name)
	}
	for _, c := range s.conditions {
		if out.Condition == nil {
			out.Condition = map[string]map[string]oneOrMore{}
		}
		if out.Condition[c.test] == nil {
			out.Condition[c.test] = map[string]oneOrMore{}
		}
		if _, ok := out.Condition[c.test][c.key]; ok {
			// A fault of this program: JSON would keep one of them.
			panic("two conditions of " + s.sid + " compare " + c.key)
		}
		out.Condition[c.test][c.key] = c.values
	}
	return out
}

// Role is an IAM role together with its one policy.
type Role struct {
	ARN   *string
	Name  *string
	Ready dependencies // what uses the role depends on its policy: without it a role can do nothing
}

// roleSpec says what a role is called and which AWS service may assume it, under which conditions.
type roleSpec struct {
	id, noun string
	assumed  string      // by which AWS service, such as lambda.amazonaws.com
	trust    []condition // none: whatever the service does
}

// newRole declares a role with what it may do, which may be nothing.
func newRole(s *scope, spec roleSpec, allowed ...statement) *Role {
	role := iamrole.NewIamRole(s.stack, jsii.String(spec.id), &iamrole.IamRoleConfig{
		Name: jsii.String(roleName(s, spec.noun)),
		AssumeRolePolicy: policyJSON(statement{
			sid: "Trust", principals: awsService(spec.assumed), conditions: spec.trust,
			actions: []string{"sts:AssumeRole"},
		}),
		Tags: s.tags(spec.noun),
	})
	if len(allowed) == 0 {
		return &Role{ARN: role.Arn(), Name: role.Name()}
	}
	permissions := iamrolepolicy.NewIamRolePolicy(s.stack, jsii.String(spec.id+"_policy"),
		&iamrolepolicy.IamRolePolicyConfig{
			Name:   jsii.String(spec.noun),
			Role:   role.Name(),
			Policy: policyJSON(allowed...),
		})
	return &Role{ARN: role.Arn(), Name: role.Name(), Ready: dependencies{permissions}}
}

// createdWith returns when a role was created, in RFC 3339: the time since which there has been what the
// role is for. The role may be declared later.
func createdWith(roleID string) *string {
	return jsii.String("${aws_iam_role." + roleID + ".create_date}")
}

// roleName is the name of a role. IAM accepts 64 characters, and the longest names of stacks, regions
// and services need more.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func roleName(s *scope, noun string) string {
	const limit = 64
	if name := s.cfg.IAMName(noun); len(name) <= limit {
		return name
	}
	return digestedName(limit, s.cfg.IAMName(noun))
}

func writeLog(groupARN string) statement {
	return statement{
		sid: "Log", actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"},
		resources: []string{groupARN + ":*"},
	}
}
