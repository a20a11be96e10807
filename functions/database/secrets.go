package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// credentials are a database user and its password.
type credentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// String keeps the password out of what is printed by mistake.
func (c credentials) String() string { return c.Username }

func (c credentials) GoString() string { return c.Username }

// secretVersion is a version of a secret, the master user's or a service's.
type secretVersion struct {
	credentials
	id      string
	created time.Time
	others  map[string]any // what people added to the secret; rotations keep it
}

// The labels of the versions of a secret.
const (
	current  = "AWSCURRENT"
	pending  = "AWSPENDING"
	previous = "AWSPREVIOUS"
)

// errNoValue says that a secret, or a version of it, has no value yet.
var errNoValue = errors.New("has no value")

// read returns the version of a secret with a label; id is the version's ID, or "" for any.
func (f *function) read(ctx context.Context, secret, label, id string) (secretVersion, error) {
	input := &secretsmanager.GetSecretValueInput{SecretId: &secret, VersionStage: &label}
	if id != "" {
		input.VersionId = &id
	}
	var answer *secretsmanager.GetSecretValueOutput
	err := f.permitted(ctx, func() (err error) {
		answer, err = f.secrets.GetSecretValue(ctx, input)
		return err
	})
	// The secret exists: Terraform created it before it called this function.
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return secretVersion{}, fmt.Errorf("secret %s: %s: %w", secret, label, errNoValue)
	}
	if err != nil {
		return secretVersion{}, fmt.Errorf("secret %s: %w", secret, err)
	}
	v := secretVersion{id: aws.ToString(answer.VersionId), created: aws.ToTime(answer.CreatedDate)}
	// The content of a secret never appears in an error.
	err = json.Unmarshal([]byte(aws.ToString(answer.SecretString)), &v.others)
	v.Username, _ = v.others["username"].(string)
	v.Password, _ = v.others["password"].(string)
	if err != nil || v.Username == "" || v.Password == "" {
		return secretVersion{}, fmt.Errorf("secret %s: %s: want JSON with username and password", secret, label)
	}
	return v, nil
}

// write adds a version with a label to a secret: credentials, and the other keys of the version
// that it follows. Its ID is the token, or a random one.
func (f *function) write(ctx context.Context, secret, label, token string, v secretVersion) error {
	_, err := f.put(ctx, secret, label, token, v)
	return err
}

// put does what write does, and returns the version's ID.
func (f *function) put(ctx context.Context, secret, label, token string, v secretVersion) (id string, err error) {
	content := maps.Clone(v.others)
	if content == nil {
		content = map[string]any{}
	}
	content["username"], content["password"] = v.Username, v.Password
	text, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	input := &secretsmanager.PutSecretValueInput{
		SecretId: &secret, SecretString: aws.String(string(text)), VersionStages: []string{label},
	}
	if token != "" {
		input.ClientRequestToken = &token
	}
	err = f.permitted(ctx, func() error {
		answer, err := f.secrets.PutSecretValue(ctx, input)
		if err == nil {
			id = aws.ToString(answer.VersionId)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("secret %s: %w", secret, err)
	}
	return id, nil
}

// describe returns all about a secret but its content.
func (f *function) describe(ctx context.Context, secret string) (*secretsmanager.DescribeSecretOutput, error) {
	var answer *secretsmanager.DescribeSecretOutput
	err := f.permitted(ctx, func() (err error) {
		answer, err = f.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secret})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", secret, err)
	}
	return answer, nil
}

// serviceOf returns the service that a secret belongs to, according to the secret's name.
func (f *function) serviceOf(secret *secretsmanager.DescribeSecretOutput) (string, error) {
	name := aws.ToString(secret.Name)
	service, ok := strings.CutPrefix(name, f.settings.prefix)
	if _, configured := f.settings.services[service]; !ok || !configured {
		return "", fmt.Errorf("secret %s: not the secret of a service", name)
	}
	return service, nil
}
