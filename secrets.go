package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dataawssecretsmanagersecret"

	"platform/internal/config"
)

// serviceSecrets are the secrets of the services that ECS reads when it starts a task.
type serviceSecrets struct {
	generated generatedSecrets
	named     map[string]*string // ARNs of the secrets in Secrets Manager that the file names
}

// newServiceSecrets declares the generated secrets, and looks up the ARNs of those that the file names.
// An ARN ends in six characters that only Secrets Manager knows. ECS would accept an ARN without them,
// but the policy of a role would need `-??????` in their place, which other secrets match too, and
// Secrets Manager does not find a secret whose own name ends in a dash and six characters. Terraform's
// lookup has no value of the secret, and fails in the plan if there is no such secret.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
func newServiceSecrets(s *scope) serviceSecrets {
	secrets := serviceSecrets{newGeneratedSecrets(s), map[string]*string{}}
	for _, name := range s.cfg.SecretNames() {
		secrets.named[name] = dataawssecretsmanagersecret.NewDataAwsSecretsmanagerSecret(s.stack,
			jsii.String("secret_"+readableID(name)),
			&dataawssecretsmanagersecret.DataAwsSecretsmanagerSecretConfig{Name: jsii.String(name)}).Arn()
	}
	return secrets
}

// reference is a reference to a secret in the form of ECS. The ARN of a parameter follows from its name.
func (secrets serviceSecrets) reference(s *scope, configured string) string {
	if config.IsParameter(configured) {
		return s.arn("ssm", "parameter"+configured)
	}
	name, key, named := config.SecretName(configured)
	switch {
	case !named:
		return configured
	case key == "":
		return *secrets.named[name]
	}
	return *secrets.named[name] + ":" + key + "::"
}

// give sets the variables of a service that are secrets, in its application's container.
func (secrets serviceSecrets) give(t *task, app *container, svc config.Service) {
	references := map[string]string{}
	for variable, configured := range svc.Secrets {
		references[variable] = secrets.reference(t.scope, configured)
	}
	app.setSecrets(references)
	access := accessTo(app.secretReferences())
	if svc.RegistrySecret != "" {
		registry := secrets.reference(t.scope, svc.RegistrySecret)
		app.RepositoryCredentials = &repositoryCredentials{registry}
		access.secrets = append(access.secrets, registry)
	}
	if len(references) > 0 || svc.RegistrySecret != "" {
		access.keys = svc.SecretKeys
	}
	t.mayReadSecrets(access)
	secrets.generated.give(t, app, svc.Generated)
}
