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
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secretstypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// OverrideName is the name of a Terraform override file beside a stack's cdk.tf.json.
const OverrideName = "emulator_override.tf.json"

// override returns the content of the override file. The provider retries a call that moto does not
// implement; its default of 25 retries would take nine minutes. With a single retry, the provider
// would give up while a resource is not ready yet. The images are not looked up: nobody pushes
// images to the emulator, where no container runs.
func override(images map[string]json.RawMessage) ([]byte, error) {
	content := map[string]any{"provider": map[string]any{"aws": map[string]any{"max_retries": 3}}}
	if len(images) > 0 {
		none := map[string]any{}
		for name := range images {
			none[name] = map[string]any{"count": 0}
		}
		content["data"] = map[string]any{"aws_ecr_image": none}
	}
	text, err := json.MarshalIndent(content, "", "  ")
	return append(text, '\n'), err
}

// PrepareStack prepares the deployment of a stack to the emulator at a URL. stack is the folder of
// cdk.tf.json. PrepareStack writes the override file, and creates the resources that the stack
// expects in an account, unless they exist: the bucket of its state, and the hosted zones and secrets
// that it looks up.
func PrepareStack(ctx context.Context, url, stack string) error {
	if err := prepareStack(ctx, url, stack); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}

func prepareStack(ctx context.Context, url, folder string) error {
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
		Provider struct {
			AWS []struct{ Region string } // the first has no alias
		}
		Data struct {
			Zones   map[string]struct{ Name string } `json:"aws_route53_zone"`
			Secrets map[string]struct{ Name string } `json:"aws_secretsmanager_secret"`
			Images  map[string]json.RawMessage       `json:"aws_ecr_image"`
		}
	}
	if err := json.Unmarshal(text, &stack); err != nil {
		return err
	}
	overriding, err := override(stack.Data.Images)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, OverrideName), overriding, 0o644); err != nil {
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
	for _, secret := range stack.Data.Secrets {
		if err := makeSecret(ctx, Config(url, stack.Provider.AWS[0].Region), secret.Name); err != nil {
			return err
		}
	}
	return nil
}

// Config returns the configuration of aws-sdk-go-v2 clients for the emulator at a URL.
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
	if config.Region != "us-east-1" { // S3 rejects us-east-1 as a location constraint
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

func makeSecret(ctx context.Context, config aws.Config, name string) error {
	_, err := secretsmanager.NewFromConfig(config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String(name), SecretString: aws.String("of the emulator"),
	})
	if _, exists := errors.AsType[*secretstypes.ResourceExistsException](err); exists {
		return nil
	}
	return err
}

// BuildFunctions builds the Lambda functions of the project in root for this machine, to run in an
// emulator. It returns their folder, which is below folder.
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
