package main

import (
	"slices"

	"github.com/aws/jsii-runtime-go"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// scope is what every module builds in. It holds only what all of them need, and may not grow:
// anything else is an argument, so that a signature shows what a module depends on.
type scope struct {
	stack   cdktf.TerraformStack
	cfg     *config.Config
	account string // the account's number, known when Terraform runs
	keys    *Keys
}

// Keys are the ARNs of the stack's own KMS keys, one for each kind of data, so that access to one
// kind opens no other.
type Keys struct {
	Logs     *string // every log group, the durable history of metrics
	Database *string // storage, master secret, Performance Insights and snapshots; see newKeys
	Secrets  *string // the services' secrets, the database function's environment
	Services *string // shell sessions, image repositories
	Alerts   *string // the topic
	Backup   *string // the backup bucket and function; see newKeys
}

// named is a name in AWS: the stack's name, a dash, and a noun such as backup-schedule.
func (s *scope) named(noun string) string { return s.cfg.ResourceName(noun) }

// tags is the Name tag, which the console shows. The provider adds the tags that every resource
// has.
func (s *scope) tags(noun string) *map[string]*string {
	return &map[string]*string{"Name": jsii.String(s.named(noun))}
}

// arn is the ARN of something in the stack's region and account, of an AWS service such as rds.
func (s *scope) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + s.cfg.Region + ":" + s.account + ":" + resource
}

// protect makes Terraform refuse a plan that destroys the resource, if the stack is protected.
// AWS's own deletion protection would fail only when the resource's turn comes, after others are
// already deleted.
func (s *scope) protect() *cdktf.TerraformResourceLifecycle {
	if !s.cfg.Protected {
		return nil
	}
	return &cdktf.TerraformResourceLifecycle{PreventDestroy: jsii.Bool(true)}
}

// keep makes Terraform refuse to destroy the bucket and the keys of backups that outlive the stack,
// also after `protected: false`: without its key, the final snapshot of the deleted database could
// not be restored. `make destroy` destroys everything else (internal/teardown).
func (s *scope) keep() *cdktf.TerraformResourceLifecycle {
	if !s.cfg.KeepsData() {
		return nil
	}
	return &cdktf.TerraformResourceLifecycle{PreventDestroy: jsii.Bool(true)}
}

// keepLast is keep for what others use: after a removal, they change first.
func (s *scope) keepLast() *cdktf.TerraformResourceLifecycle {
	lifecycle := createBeforeDestroy()
	if s.cfg.KeepsData() {
		lifecycle.PreventDestroy = jsii.Bool(true)
	}
	return lifecycle
}

// createBeforeDestroy makes Terraform create a replacement first, and delete what a change leaves
// behind, such as a removed zone's subnets, only after the resources that use it were updated. By
// default deletions come first: AWS refuses to delete a subnet that a load balancer is in, and
// tasks without their route reach nothing.
func createBeforeDestroy() *cdktf.TerraformResourceLifecycle {
	return &cdktf.TerraformResourceLifecycle{CreateBeforeDestroy: jsii.Bool(true)}
}

// keptTime returns an expression for the time of the deployment that creates the resource with this id.
// The state keeps the time: later deployments do not change it. now is Terraform's expression for it.
func (s *scope) keptTime(id, name, now string) string {
	data := cdktf.NewDataResource(s.stack, jsii.String(id), &cdktf.DataConfig{
		Input:     &map[string]any{name: "${" + now + "}"},
		Lifecycle: &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("input")}},
	})
	return "${" + *data.Fqn() + ".output." + name + "}"
}

// dependencies are what has to exist first although no argument refers to it.
type dependencies []cdktf.ITerraformDependable

// plus returns the dependencies followed by others, and leaves the receiver as it is.
func (d dependencies) plus(others ...cdktf.ITerraformDependable) dependencies {
	return slices.Concat(d, others)
}

// list is the depends_on argument; nil if there is none, so that the JSON has no empty list.
func (d dependencies) list() *[]cdktf.ITerraformDependable {
	if len(d) == 0 {
		return nil
	}
	return (*[]cdktf.ITerraformDependable)(&d)
}

// number is a number as jsii takes it.
func number(n int) *float64 { return jsii.Number(float64(n)) }
