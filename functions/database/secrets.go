package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// credentials are what a secret holds, the master's and a service's alike.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String keeps the password out of what is printed by mistake.
func (c credentials) String() string { return c.Username }

func (c credentials) GoString() string { return c.Username }

// The labels of Secrets Manager's versions.
const (
	current = "AWSCURRENT"
	pending = "AWSPENDING"
)

// errNoValue says that a secret, or a version of it, has no value yet.
var errNoValue = errors.New("has no value")

// read returns what a secret holds under a label; version is the version's id, or empty for whichever has the label.
func (f *function) read(ctx context.Context, secret, label, version string) (credentials, string, error) {
	input := &secretsmanager.GetSecretValueInput{SecretId: &secret, VersionStage: &label}
	if version != "" {
		input.VersionId = &version
	}
	answer, err := f.secrets.GetSecretValue(ctx, input)
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) { // of a secret that is there: the stack made it before this function was called
		return credentials{}, "", fmt.Errorf("secret %s: %s: %w", secret, label, errNoValue)
	}
	if err != nil {
		return credentials{}, "", fmt.Errorf("secret %s: %w", secret, err)
	}
	var c credentials
	// The text of a secret never goes into an error.
	if err := json.Unmarshal([]byte(aws.ToString(answer.SecretString)), &c); err != nil || c.Username == "" || c.Password == "" {
		return credentials{}, "", fmt.Errorf("secret %s: want JSON with username and password", secret)
	}
	return c, aws.ToString(answer.VersionId), nil
}

// write gives a secret a version with a label. With token "" the version's id is the SDK's to draw.
func (f *function) write(ctx context.Context, secret, label, token string, c credentials) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	input := &secretsmanager.PutSecretValueInput{SecretId: &secret, SecretString: aws.String(string(text)), VersionStages: []string{label}}
	if token != "" {
		input.ClientRequestToken = &token
	}
	if _, err := f.secrets.PutSecretValue(ctx, input); err != nil {
		return fmt.Errorf("secret %s: %w", secret, err)
	}
	return nil
}

// restart has ECS replace the tasks of a service, which read their secret when they start. A service that does not exist has none.
func (f *function) restart(ctx context.Context, service string) error {
	_, err := f.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: &f.settings.cluster, Service: &service, ForceNewDeployment: true})
	var missing *ecstypes.ServiceNotFoundException
	var inactive *ecstypes.ServiceNotActiveException
	if errors.As(err, &missing) || errors.As(err, &inactive) {
		f.log.InfoContext(ctx, "no service to restart", "service", service)
		return nil
	}
	if err != nil {
		return fmt.Errorf("restarting %s: %w", service, err)
	}
	f.log.InfoContext(ctx, "restarted, to read its new password", "service", service)
	return nil
}
