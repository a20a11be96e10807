package emulator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Override is a file of Terraform's own kind that is laid beside a stack's cdk.tf.json, which stays
// as it is. A call that moto lacks is answered by an error that the provider retries; with its own
// 25 retries that takes nine minutes. With one, it gives up too early after a call that merely came
// too early.
const (
	OverrideName = "emulator_override.tf.json"
	Override     = `{"provider": {"aws": {"max_retries": 3}}}` + "\n"
)

// Furnish makes a stack, the folder that holds its cdk.tf.json, ready to be deployed to the
// emulator at a URL: it writes the override, and makes in the emulator what the stack takes for
// granted in an account, unless that is there: the bucket of its state, and the hosted zones that
// it looks up.
func Furnish(ctx context.Context, url, stack string) error {
	if err := furnish(ctx, url, stack); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}

func furnish(ctx context.Context, url, folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, "cdk.tf.json"))
	if err != nil {
		return err
	}
	var stack struct {
		Terraform struct {
			Backend struct {
				S3 struct{ Bucket, Region string }
			}
		}
		Data struct {
			Zones map[string]struct{ Name string } `json:"aws_route53_zone"`
		}
	}
	if err := json.Unmarshal(text, &stack); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, OverrideName), []byte(Override), 0o644); err != nil {
		return err
	}
	if state := stack.Terraform.Backend.S3; state.Bucket != "" {
		if err := makeBucket(ctx, Config(url, state.Region), state.Bucket); err != nil {
			return err
		}
	}
	for _, zone := range stack.Data.Zones {
		if err := makeZone(ctx, Config(url, "us-east-1"), zone.Name); err != nil {
			return err
		}
	}
	return nil
}

// Config is for clients of aws-sdk-go-v2 that are to talk to the emulator at a URL.
func Config(url, region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(url),
		Credentials:  credentials.NewStaticCredentialsProvider("emulator", "emulator", ""),
	}
}

func makeBucket(ctx context.Context, config aws.Config, name string) error {
	client := s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = true })
	input := &s3.CreateBucketInput{Bucket: aws.String(name)}
	if config.Region != "us-east-1" { // which is the one that may not be named
		input.CreateBucketConfiguration = &s3types.CreateBucketConfiguration{
			LocationConstraint: s3types.BucketLocationConstraint(config.Region),
		}
	}
	_, err := client.CreateBucket(ctx, input)
	if _, owned := errors.AsType[*s3types.BucketAlreadyOwnedByYou](err); owned {
		return nil
	}
	return err
}

func makeZone(ctx context.Context, config aws.Config, name string) error {
	client := route53.NewFromConfig(config)
	zones, err := client.ListHostedZonesByName(ctx, &route53.ListHostedZonesByNameInput{DNSName: aws.String(name)})
	if err != nil {
		return err
	}
	for _, zone := range zones.HostedZones {
		if *zone.Name == name+"." {
			return nil
		}
	}
	_, err = client.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{
		Name:            aws.String(name),
		CallerReference: aws.String(name),
	})
	return err
}

// BuildFunctions builds the Lambda functions of the project in root for this machine, to answer in
// an emulator, and returns the folder below folder that holds them.
func BuildFunctions(ctx context.Context, root, folder string) (string, error) {
	if err := buildFunctions(ctx, root, filepath.Join(folder, "functions")); err != nil {
		return "", fmt.Errorf("emulator: building the functions: %w", err)
	}
	return filepath.Join(folder, "functions"), nil
}

func buildFunctions(ctx context.Context, root, folder string) error {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-tags", "lambda.norpc",
		"-o", folder, "./functions/...")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}
