package main

import (
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecret"
	secretversion "github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecretversion"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// generatedSecrets are the secrets with a random value, by variable.
type generatedSecrets map[string]generatedSecret

type generatedSecret struct {
	arn   *string
	ready cdktf.ITerraformDependable // the secret has its value
}

// newGeneratedSecrets declares the secrets that the services list in generated, one for each
// variable. Each gets its value once. It may encrypt what is in the database, so in a stack that
// keeps its backups the secrets and their key are kept as well.
//
// The value is in no plan and no state. Terraform draws a new one in every run, as an ephemeral
// resource, but passes it on as a write-only argument, which it sends only when the version of the
// argument changes. This version never changes.
// https://developer.hashicorp.com/terraform/language/resources/ephemeral/write-only
func newGeneratedSecrets(s *scope) generatedSecrets {
	all := generatedSecrets{}
	for _, variable := range s.cfg.GeneratedVariables() {
		all[variable] = newGeneratedSecret(s, variable)
	}
	return all
}

func newGeneratedSecret(s *scope, variable string) generatedSecret {
	id := "generated_" + strings.ToLower(variable)
	const drawn = "aws_secretsmanager_random_password"
	s.stack.AddOverride(jsii.String("ephemeral."+drawn+"."+id), map[string]any{
		"password_length": config.GeneratedLength, "exclude_punctuation": true,
	})
	secret := secretsmanagersecret.NewSecretsmanagerSecret(s.stack, jsii.String(id+"_secret"),
		&secretsmanagersecret.SecretsmanagerSecretConfig{
			Name:        jsii.String(s.cfg.Stack() + "/generated/" + variable),
			Description: jsii.String("Random value of " + variable + "; never changes"),
			KmsKeyId:    s.keys.Secrets,
			// The days in which it can be restored after the last service has removed the variable.
			RecoveryWindowInDays: number(choose(s.cfg.KeepsData(), 30, 0)),
			Tags:                 s.tags("generated-" + dashed(strings.ToLower(variable))),
			Lifecycle:            s.keepLast(),
		})
	// Somebody may put another value, to carry one over from another stack. AWS deletes versions that
	// have no label, and Terraform would then create one again, with a new value that becomes the
	// current one. So the version keeps a label of its own, and AWSCURRENT may move from it.
	// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
	lifecycle := s.keepLast()
	lifecycle.IgnoreChanges = &[]*string{jsii.String("version_stages")}
	version := secretversion.NewSecretsmanagerSecretVersion(s.stack, jsii.String(id+"_secret_version"),
		&secretversion.SecretsmanagerSecretVersionConfig{
			SecretId:              secret.Arn(),
			SecretStringWo:        jsii.String("${ephemeral." + drawn + "." + id + ".random_password}"),
			SecretStringWoVersion: number(1),
			VersionStages:         jsii.Strings("AWSCURRENT", "generated"),
			Lifecycle:             lifecycle,
		})
	return generatedSecret{secret.Arn(), version}
}

// give sets the variables in an application's container.
func (all generatedSecrets) give(t *task, app *container, variables []string) {
	if len(variables) == 0 {
		return
	}
	access := secretAccess{keys: []string{*t.keys.Secrets}}
	for _, variable := range variables {
		secret := all[variable]
		app.setSecrets(map[string]string{variable: *secret.arn})
		access.secrets = append(access.secrets, *secret.arn)
		t.after(secret.ready)
	}
	t.mayReadSecrets(access)
}
