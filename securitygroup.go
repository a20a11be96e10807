package main

import (
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/securitygroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupegressrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcsecuritygroupingressrule"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Each rule of a security group is a resource of its own, declared by the module that needs the
// connection.

// securityGroup is a security group, and the place where its rules are declared.
type securityGroup struct {
	ID    *string
	scope *scope
}

// groupSpec says what a security group is called. A group's description can never change.
type groupSpec struct {
	id, noun    string
	description string
	after       dependencies // what is created before it, and deleted after it
}

// newSecurityGroup declares a group without rules: nothing may come in or go out. The groups of the
// platform itself had other names once. A stack that has those keeps them, because another name
// replaces a group, with its rules, while connections need it.
func newSecurityGroup(s *scope, vpcID *string, spec groupSpec) *securityGroup {
	var keepName *cdktf.TerraformResourceLifecycle
	if strings.Contains(spec.noun, "_") {
		keepName = &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("name")}}
	}
	group := securitygroup.NewSecurityGroup(s.stack, jsii.String(spec.id), &securitygroup.SecurityGroupConfig{
		Name:        jsii.String(s.named(spec.noun)),
		Description: jsii.String(spec.description),
		VpcId:       vpcID,
		Tags:        s.tags(spec.noun),
		DependsOn:   spec.after.list(),
		Lifecycle:   keepName,
	})
	return &securityGroup{ID: group.Id(), scope: s}
}

// mayReach allows connections from this group to a TCP port of another. It declares a rule in each
// of the two, whose ids begin with id.
func (from *securityGroup) mayReach(to *securityGroup, id string, port int, description string) dependencies {
	s := from.scope
	out := vpcsecuritygroupegressrule.NewVpcSecurityGroupEgressRule(s.stack, jsii.String(id+"_egress"),
		&vpcsecuritygroupegressrule.VpcSecurityGroupEgressRuleConfig{
			SecurityGroupId:           from.ID,
			ReferencedSecurityGroupId: to.ID,
			Description:               jsii.String(description),
			IpProtocol:                jsii.String("tcp"),
			FromPort:                  number(port),
			ToPort:                    number(port),
			Tags:                      s.tags(dashed(id)),
		})
	in := vpcsecuritygroupingressrule.NewVpcSecurityGroupIngressRule(s.stack, jsii.String(id+"_ingress"),
		&vpcsecuritygroupingressrule.VpcSecurityGroupIngressRuleConfig{
			SecurityGroupId:           to.ID,
			ReferencedSecurityGroupId: from.ID,
			Description:               jsii.String(description),
			IpProtocol:                jsii.String("tcp"),
			FromPort:                  number(port),
			ToPort:                    number(port),
			Tags:                      s.tags(dashed(id)),
		})
	return dependencies{out, in}
}

// mayReachBlock allows connections from this group to a TCP port of the addresses in a CIDR block.
func (from *securityGroup) mayReachBlock(block, id string, port int, description string) cdktf.ITerraformDependable {
	s := from.scope
	return vpcsecuritygroupegressrule.NewVpcSecurityGroupEgressRule(s.stack, jsii.String(id+"_egress_"+cidrID(block)),
		&vpcsecuritygroupegressrule.VpcSecurityGroupEgressRuleConfig{
			SecurityGroupId: from.ID,
			CidrIpv4:        jsii.String(block),
			Description:     jsii.String(description),
			IpProtocol:      jsii.String("tcp"),
			FromPort:        number(port),
			ToPort:          number(port),
			Tags:            s.tags(dashed(id)),
		})
}
