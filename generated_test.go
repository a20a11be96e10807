package main

import (
	"slices"

	"platform/internal/stacktest"
)

const (
	generatedSecretAddress = "aws_secretsmanager_secret.generated_secret_key_base_secret"
	generatedVersion       = "aws_secretsmanager_secret_version.generated_secret_key_base_secret_version"
)

var generatedPromises = []stacktest.Promise{{
	Name:  "a generated secret gets its value once, from a source of random values",
	Check: generatedSecretsNeverChange,
	BrokenBy: []stacktest.Break{{
		Name:  "the value of a generated secret is sent again",
		Stack: "a service that needs more",
		By:    stacktest.Set(generatedVersion, "secret_string_wo_version", 2.0),
		Found: generatedVersion,
	}, {
		Name:  "the value of a generated secret is in the state",
		Stack: "a service that needs more",
		By: stacktest.All(
			stacktest.Remove(generatedVersion, "secret_string_wo"),
			stacktest.Add(generatedVersion, "secret_string", "${random_password.key.result}"),
		),
		Found: generatedVersion,
	}, {
		Name:  "two generated secrets get one value",
		Stack: "a service that needs more",
		By: stacktest.Set(
			"aws_secretsmanager_secret_version.generated_session_secret_secret_version", "secret_string_wo",
			"${ephemeral.aws_secretsmanager_random_password.generated_secret_key_base.random_password}"),
		Found: "aws_secretsmanager_secret_version.generated_session_secret_secret_version",
	}, {
		Name:  "AWS may delete the version that Terraform made, so that Terraform makes another one",
		Stack: "a service that needs more",
		By:    stacktest.Set(generatedVersion, "version_stages", []any{"AWSCURRENT"}),
		Found: generatedVersion,
	}, {
		Name:  "Terraform takes back a value that somebody put into the secret",
		Stack: "a service that needs more",
		By:    stacktest.Remove(generatedVersion, "lifecycle.ignore_changes"),
		Found: generatedVersion,
	}, {
		Name:  "the random value is shorter than Django and Phoenix ask for",
		Stack: "a service that needs more",
		By: stacktest.SetRoot(
			"ephemeral.aws_secretsmanager_random_password.generated_secret_key_base.password_length", 32.0),
		Found: generatedVersion,
	}, {
		Name:  "Secrets Manager rotates a generated secret",
		Stack: "a service that needs more",
		By: stacktest.Create("aws_secretsmanager_secret_rotation.more",
			map[string]any{"secret_id": arnOf(generatedSecretAddress)}),
		Found: "aws_secretsmanager_secret_rotation.more",
	}},
}, {
	Name:  "a service with a generated secret starts after the secret has its value",
	Check: servicesWaitForGeneratedSecrets,
	BrokenBy: []stacktest.Break{{
		Name:  "a service does not wait for the value of its generated secret",
		Stack: "a service that needs more",
		By:    stacktest.RemoveDependency(searchService, generatedVersion),
		Found: searchService,
	}},
}}

const searchService = "aws_ecs_service.service_search_service"

func generatedSecretsNeverChange(s stacktest.Stack, v *stacktest.Violations) {
	var sources []string
	for _, version := range s.Resources("aws_secretsmanager_secret_version") {
		source := version.String("secret_string_wo")
		parts := drawn.MatchString(source)
		v.Want(parts && !slices.Contains(sources, source), version.Address,
			"want a random value of its own, have %q", source)
		sources = append(sources, source)
		v.Want(version.Is("secret_string_wo_version", 1.0), version.Address, "sends its value again")
		v.Want(slices.Equal(version.Strings("version_stages"), []string{"AWSCURRENT", "generated"}), version.Address,
			"want AWSCURRENT and a label of its own")
		v.Want(slices.Equal(version.Strings("lifecycle.ignore_changes"), []string{"version_stages"}), version.Address,
			"takes AWSCURRENT back")
		if parts {
			path := source[len("${") : len(source)-len(".random_password}")]
			v.Want(s.At(path+".password_length") == 64.0, version.Address, "want 64 characters, have %v",
				s.At(path+".password_length"))
		}
		for _, rotation := range s.Resources("aws_secretsmanager_secret_rotation") {
			v.Want(rotation.Reference("secret_id") != version.Reference("secret_id"), rotation.Address,
				"rotates %s", version.Reference("secret_id"))
		}
	}
}

func servicesWaitForGeneratedSecrets(s stacktest.Stack, v *stacktest.Violations) {
	for _, service := range s.Resources("aws_ecs_service") {
		definition := s.Resource(service.Reference("task_definition"))
		for _, version := range s.Resources("aws_secretsmanager_secret_version") {
			uses := slices.Contains(stacktest.References(definition.Body()), version.Reference("secret_id"))
			v.Want(!uses || slices.Contains(service.Strings("depends_on"), version.Address),
				service.Address, "does not wait for %s", version.Address)
		}
	}
}
