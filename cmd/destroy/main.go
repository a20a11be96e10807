// Destroy destroys a synthesised stack, after confirmation, except what its backups need
// (internal/teardown):
//
//	destroy FOLDER [ARGUMENT...]
//
// FOLDER is the output of the program, cdktf.out. The arguments are for `terraform apply`, such as
// --auto-approve.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	tfjson "github.com/hashicorp/terraform-json"

	"platform/internal/teardown"
	"platform/internal/terraform"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: destroy FOLDER [ARGUMENT...]")
	}
	name, stack, err := teardown.Read(args[0])
	if err != nil {
		return err
	}
	tf, err := terraform.Prepare(ctx, "")
	if err != nil {
		return err
	}
	// Beside the stack's own folder, so that the relative path of a local state is the same.
	w := workspace{tf: tf, folder: filepath.Join(args[0], "stacks", name+".destroy")}
	state, err := w.state(ctx, stack, filepath.Join(args[0], "stacks", name))
	if err != nil {
		return err
	}
	plan, err := stack.Plan(state, func(bucket teardown.Bucket) (bool, error) {
		return isEmpty(ctx, bucket.Region, bucket.Name)
	})
	if err != nil {
		return err
	}
	for _, snapshot := range plan.Snapshots {
		if err := nameIsFree(ctx, stack.Region(), snapshot); err != nil {
			return err
		}
	}
	if plan.Destroyed > 0 {
		fmt.Print(announcement(name, plan))
		if err := w.apply(ctx, plan, args[1:]); err != nil {
			return fmt.Errorf("the stack is not destroyed: run make destroy again, or make deploy to keep it (%w)", err)
		}
	}
	fmt.Print(result(name, plan))
	return os.RemoveAll(w.folder)
}

// workspace is a folder in which terraform runs.
type workspace struct {
	tf     *terraform.Terraform
	folder string
}

// state initialises the folder and reads the state. own is the stack's own folder: override files in
// it apply here too.
func (w workspace) state(ctx context.Context, stack *teardown.Stack, own string) (*tfjson.State, error) {
	unsaved := filepath.Join(w.folder, "errored.tfstate")
	if _, err := os.Stat(unsaved); err == nil {
		return nil, fmt.Errorf("%s: holds a state that could not be saved: push it to the backend with terraform "+
			"state push, and delete the file", unsaved)
	}
	if err := os.MkdirAll(w.folder, 0o755); err != nil {
		return nil, err
	}
	overrides, err := filepath.Glob(filepath.Join(own, "*_override.tf.json"))
	if err != nil {
		return nil, err
	}
	for _, override := range overrides {
		text, err := os.ReadFile(override)
		if err == nil {
			err = os.WriteFile(filepath.Join(w.folder, filepath.Base(override)), text, 0o644)
		}
		if err != nil {
			return nil, err
		}
	}
	empty, err := stack.Empty()
	if err == nil {
		err = w.configure(empty)
	}
	if err != nil {
		return nil, err
	}
	fmt.Println(w.tf.Source)
	fmt.Println("reading the state ...")
	if out, err := w.command(ctx, "init", "-input=false", "-no-color").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("terraform init: %w\n%s", err, out)
	}
	show := w.command(ctx, "show", "-json", "-no-color")
	show.Stderr = os.Stderr
	text, err := show.Output()
	if err != nil {
		return nil, fmt.Errorf("terraform show: %w", err)
	}
	var state tfjson.State
	return &state, json.Unmarshal(text, &state)
}

func (w workspace) configure(configuration []byte) error {
	return os.WriteFile(filepath.Join(w.folder, "main.tf.json"), configuration, 0o644)
}

func (w workspace) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.tf.Path, append([]string{"-chdir=" + w.folder}, args...)...)
	cmd.Env = append(os.Environ(), w.tf.Env...)
	return cmd
}

// apply destroys what the plan does not keep. terraform asks for confirmation.
func (w workspace) apply(ctx context.Context, plan *teardown.Plan, args []string) error {
	if err := w.configure(plan.Configuration); err != nil {
		return err
	}
	cmd := w.command(ctx, append([]string{"apply"}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// An interrupt in the terminal reaches terraform too, which finishes what it can and saves its
	// state. This process has to wait for that.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	return cmd.Run()
}

// isEmpty tells whether a bucket has no versions of objects, or does not exist.
func isEmpty(ctx context.Context, region, bucket string) (bool, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return false, err
	}
	versions, err := s3.NewFromConfig(cfg).ListObjectVersions(ctx,
		&s3.ListObjectVersionsInput{Bucket: &bucket, MaxKeys: aws.Int32(1)})
	if _, missing := errors.AsType[*types.NoSuchBucket](err); missing {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return len(versions.Versions)+len(versions.DeleteMarkers) == 0, nil
}

// nameIsFree returns an error if a snapshot with the name of the final snapshot exists, as it does
// after a destruction that was interrupted and undone: RDS would refuse to delete the instance,
// after the services are deleted. An instance that is being deleted may have created the snapshot
// itself.
func nameIsFree(ctx context.Context, region string, snapshot teardown.Snapshot) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return err
	}
	client := rds.NewFromConfig(cfg)
	instances, err := client.DescribeDBInstances(ctx,
		&rds.DescribeDBInstancesInput{DBInstanceIdentifier: &snapshot.Instance})
	if _, missing := errors.AsType[*rdstypes.DBInstanceNotFoundFault](err); missing {
		return nil
	}
	if err != nil || aws.ToString(instances.DBInstances[0].DBInstanceStatus) == "deleting" {
		return err
	}
	pages := rds.NewDescribeDBSnapshotsPaginator(client,
		&rds.DescribeDBSnapshotsInput{DBInstanceIdentifier: &snapshot.Instance})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, existing := range page.DBSnapshots {
			if aws.ToString(existing.DBSnapshotIdentifier) != snapshot.Name {
				continue
			}
			_, id, _ := strings.Cut(snapshot.Address, ".")
			return fmt.Errorf("%s: its final snapshot %s exists already, of an earlier instance: taint "+
				"terraform_data.%s_final_snapshot and run make deploy, which gives it another name, then make destroy",
				snapshot.Address, snapshot.Name, id)
		}
	}
	return nil
}

func announcement(name string, plan *teardown.Plan) string {
	if len(plan.Kept)+len(plan.Snapshots) == 0 {
		return fmt.Sprintf("\nThis destroys the stack %s. Nothing stays.\n\n", name)
	}
	return fmt.Sprintf("\nThis destroys the stack %s. These stay:\n%s\n", name, list(plan))
}

func result(name string, plan *teardown.Plan) string {
	if len(plan.Kept)+len(plan.Snapshots) == 0 {
		return fmt.Sprintf("\nThe stack %s is destroyed, and nothing stays.\n", name)
	}
	return fmt.Sprintf(`
The stack %s is destroyed. These stay:
%s
The keys can decrypt what the database and the backups have left; deleting a key deletes all of that.
What stays, except snapshots, is still in the state: make deploy creates the stack again with it.
To restore the database:  docs/restore.md#after-a-stack-was-destroyed
To delete them for good:  docs/operations.md#deleting-what-a-stack-has-left
`, name, list(plan))
}

func list(plan *teardown.Plan) string {
	var lines strings.Builder
	for _, kept := range plan.Kept {
		fmt.Fprintf(&lines, "  %s: %s\n", kept.Address, kept.Name)
	}
	for _, snapshot := range plan.Snapshots {
		fmt.Fprintf(&lines, "  final snapshot: %s, and automated backups until they expire\n", snapshot.Name)
	}
	return lines.String()
}
