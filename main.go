// Platform turns one configuration file into a whole application platform on AWS: network, load balancer, containers on
// Fargate, PostgreSQL, Prometheus and alarms, and backups. It writes Terraform's JSON to cdktf.out; `cdktf deploy` does the rest.
//
// Read this file for how the parts hang together, then a module's file for what it consists of.
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawscalleridentity"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/provider"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
	_ "platform/internal/faststart"
)

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, config.Explained(err))
	}
	closeJSII()
	if err != nil {
		os.Exit(1)
	}
}

// run reads the configuration that ENVIRONMENT names (dev, if it is not set), with the INFRA_ variables over it. Without arguments it writes its
// stack to the folder that CDKTF_OUTDIR names (cdktf.out); after an error that folder is as it was. With the argument explain it prints
// what the configuration comes to, and where each value is from.
func run(args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "explain" {
		return fmt.Errorf("want no argument, or explain, have %q", args)
	}
	cfg, doc, err := config.Load(".", cmp.Or(os.Getenv("ENVIRONMENT"), "dev"), os.Environ())
	if err != nil {
		return err
	}
	for _, line := range doc.Warnings() {
		fmt.Fprintln(os.Stderr, line)
	}
	if len(args) == 1 {
		return config.Explain(os.Stdout, cfg, doc)
	}
	outdir := cmp.Or(os.Getenv("CDKTF_OUTDIR"), "cdktf.out")
	if err := checkState(cfg, outdir); err != nil {
		return err
	}
	functions, err := buildFunctions()
	if err != nil {
		return err
	}
	return synthesise(cfg, functions, outdir)
}

// newStack wires the platform: each module gets what stands before it, and none knows what comes after.
func newStack(app cdktf.App, cfg *config.Config, functions functionBundles) cdktf.TerraformStack {
	stack := cdktf.NewTerraformStack(app, jsii.String(cfg.Stack()))
	newBackend(stack, cfg)
	account := newProvider(stack, cfg)

	keys := newKeys(stack, cfg, account)
	network := newNetwork(stack, cfg, keys, account)
	balancer := newLoadBalancer(stack, cfg, keys, network, account)
	database := newDatabase(stack, cfg, keys, network, account)
	cluster := newCluster(stack, cfg, keys, network, account)
	roles := newRoles(stack, cfg, keys, network, database, cluster, functions.database, account)
	services := newServices(stack, cfg, keys, network, balancer, database, roles, cluster)
	monitoring := newMonitoring(stack, cfg, keys, network, cluster, services)
	backup := newBackup(stack, cfg, keys, database, monitoring, functions.backup, account)
	dashboard := newAlarms(stack, cfg, network, balancer, database, roles, cluster, services, monitoring, backup)

	newOutputs(stack, cfg, network, balancer, database, roles, cluster, services, monitoring, backup, dashboard)
	return stack
}

// newProvider declares the AWS provider and returns the account's number. The version is exact, since the lock file lives in
// cdktf.out and does not last; the bindings' own constraint and bare source name are overridden.
func newProvider(stack cdktf.TerraformStack, cfg *config.Config) string {
	tags := map[string]*string{
		"Application": jsii.String(cfg.Name),
		"Environment": jsii.String(cfg.Environment),
		"ManagedBy":   jsii.String("cdktf"),
	}
	for key, value := range cfg.Tags {
		tags[key] = jsii.String(value)
	}
	arguments := &provider.AwsProviderConfig{
		Region:      jsii.String(cfg.Region),
		DefaultTags: &[]*provider.AwsProviderDefaultTags{{Tags: &tags}},
	}
	if cfg.Account != "" {
		arguments.AllowedAccountIds = jsii.Strings(cfg.Account)
	}
	provider.NewAwsProvider(stack, jsii.String("aws"), arguments)
	stack.AddOverride(jsii.String("terraform.required_providers.aws"), map[string]any{"source": "hashicorp/aws", "version": "5.100.0"})
	stack.AddOverride(jsii.String("terraform.required_version"), ">= 1.11.0") // the S3 backend's own lock file
	return *dataawscalleridentity.NewDataAwsCallerIdentity(stack, jsii.String("caller"), &dataawscalleridentity.DataAwsCallerIdentityConfig{}).AccountId()
}

// newBackend says where Terraform keeps its state. The local one lies beside cdktf.out and never in it: the CLI deletes folders there.
func newBackend(stack cdktf.TerraformStack, cfg *config.Config) {
	if cfg.State.Backend == "local" {
		cdktf.NewLocalBackend(stack, &cdktf.LocalBackendConfig{Path: jsii.String("../../../" + cfg.StateFile())})
		return
	}
	cdktf.NewS3Backend(stack, &cdktf.S3BackendConfig{
		Bucket: jsii.String(cfg.State.Bucket), Region: jsii.String(cfg.State.Region),
		Key: jsii.String(cfg.Stack() + ".tfstate"), Encrypt: jsii.Bool(true),
	})
	stack.AddOverride(jsii.String("terraform.backend.s3.use_lockfile"), true)
}

// checkState refuses to go on from a state on this machine that has been lost. Terraform empties the file before it writes it; killed in
// between it leaves nothing, takes that for a stack that was never deployed, and would make everything a second time.
func checkState(cfg *config.Config, outdir string) error {
	if cfg.State.Backend != "local" {
		return nil
	}
	state := filepath.Join(filepath.Dir(filepath.Clean(outdir)), cfg.StateFile())
	now, err := os.Stat(state)
	before, errBefore := os.Stat(state + ".backup")
	if err != nil || errBefore != nil || now.Size() > 0 || before.Size() == 0 {
		return nil
	}
	return fmt.Errorf("%s: is empty: Terraform was killed while it wrote it. %s.backup holds the state from before that deployment: copy it over, "+
		"and see \"When a deployment is interrupted\" in README.md; or remove both, if nothing stands any more", state, filepath.Base(state))
}
