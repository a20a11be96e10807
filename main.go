// Platform turns one configuration file into a whole application platform on AWS: network, load
// balancer, containers on Fargate, PostgreSQL, Prometheus and alarms, and backups. It writes
// Terraform JSON to cdktf.out, which `make deploy` applies.
//
// Read this file for how the parts are wired, then a module's file for what it consists of. A
// module's file has, from top to bottom, the struct that it returns, the function that creates it,
// that function's helpers, and outputs, alarms and policies. A file uses only files of its row or of
// the rows below, and never in a circle (TestNoFilesDependOnEachOtherInACircle):
//
//	main
//	dashboard, events, platform, synth
//	dump
//	backup
//	copy, monitoring, prometheus, exporter, scheduledtask
//	ecs, dbusers, secrets, generated, repository, scaling
//	task, container, cluster
//	rds, routes, alb, firewall
//	networking, endpoints, flowlogs
//	bucket, encryption, lambda, schedule, securitygroup
//	alarms, topic, outputs, iam, provider, prometheus_text
//	scope, names
//
// What does not become Terraform is in internal/.
package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/jsii-runtime-go"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
	_ "platform/internal/faststart" // makes jsii start faster: see the package comment
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

// run reads the configuration that ENVIRONMENT names (dev, if it is not set), with the INFRA_
// variables over it. Without arguments it writes the stack to the folder that CDKTF_OUTDIR names
// (cdktf.out); after an error that folder is as it was. With the argument explain it prints every
// setting, where its value comes from, and a summary of the platform.
func run(args []string) error {
	if len(args) > 1 || len(args) == 1 && args[0] != "explain" {
		return fmt.Errorf("want no argument or \"explain\", have %q", args)
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

// synthesise writes the stack to outdir. After an error, outdir is as it was.
func synthesise(cfg *config.Config, functions functionBundles, outdir string) error {
	return replaceOutput(outdir, func(folder string) error { return build(cfg, functions, folder) })
}

// build writes the stack to an empty folder.
func build(cfg *config.Config, functions functionBundles, folder string) error {
	return synthesiseInto(folder, cfg.Stack(), func(app cdktf.App) { newStack(app, cfg, functions) })
}

// newStack wires the platform. Data flows one way: a module gets what was declared before it, and
// knows nothing of what comes after.
func newStack(app cdktf.App, cfg *config.Config, functions functionBundles) cdktf.TerraformStack {
	s := newScope(app, cfg)
	p := &Platform{}
	p.Network = newNetwork(s)
	p.LoadBalancer = newLoadBalancer(s, p.Network)
	p.Database = newDatabase(s, p.Network)
	p.Cluster = newCluster(s, p.Network)
	p.DatabaseUsers = newDatabaseUsers(s, p.Network, p.Database, p.Cluster, functions.database)
	p.Services = newServices(s, p.Cluster, p.LoadBalancer, p.DatabaseUsers)
	p.Monitoring = newMonitoring(s, p.Cluster, p.Services, p.DatabaseUsers)
	p.Backup = newBackup(s, p.Database, p.Monitoring.Topic, functions.backup)
	p.Dumps = newDumps(s, p.Cluster, p.DatabaseUsers, p.Backup)
	p.Events = newEvents(s, p.Monitoring.Topic, p.Cluster, p.Database, p.Dumps)

	alarms := newAlarms(s, p.Monitoring.Topic, p.alarms(s))
	newOutputs(s, append(p.outputs(s), newDashboard(s, p, alarms)))
	return s.stack
}

// newScope begins the stack: its state, the provider and the keys.
func newScope(app cdktf.App, cfg *config.Config) *scope {
	stack := cdktf.NewTerraformStack(app, jsii.String(cfg.Stack()))
	newBackend(stack, cfg)
	s := &scope{stack: stack, cfg: cfg, account: newProvider(stack, cfg)}
	s.keys = newKeys(s)
	return s
}

// checkState refuses to continue with a local state that has been lost. Terraform empties the file
// before it writes it. If it is killed in between, the file stays empty: Terraform would then take
// the stack for a new one and create everything again.
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
	return fmt.Errorf("%s: is empty: Terraform was killed while it wrote the file. %s.backup holds the state from "+
		"before that deployment: copy it over this file, and see \"When a deployment is interrupted\" in "+
		"docs/operations.md; or delete both files, if the stack no longer exists", state, filepath.Base(state))
}
