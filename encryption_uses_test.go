package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

var keyUsePromises = []stacktest.Promise{{
	Name:  "the description of a key names everything that is encrypted with it",
	Check: keysNameTheirUses,
	BrokenBy: []stacktest.Break{{
		Name:  "the description of a key lacks the environment of a function",
		Stack: "prod",
		By:    stacktest.Set("aws_kms_key.secrets_key", "description", "platform-prod: the services' passwords"),
		Found: "aws_kms_key.secrets_key",
	}, {
		Name:  "the description of a key lacks the shell sessions",
		Stack: "prod",
		By:    stacktest.Replace("aws_kms_key.services_key", "description", "sessions", "logins"),
		Found: "aws_kms_key.services_key",
	}},
}}

// encryptedWords are the words for the resources that keys encrypt, one of which must be there.
var encryptedWords = map[string][]string{
	"aws_cloudwatch_log_group":  {"log groups"},
	"aws_db_instance":           {"database"},
	"aws_ecr_repository":        {"repositories"},
	"aws_ecs_cluster":           {"sessions"},
	"aws_lambda_function":       {"function"},
	"aws_prometheus_workspace":  {"history of metrics"},
	"aws_secretsmanager_secret": {"passwords", "secrets"},
	"aws_sns_topic":             {"topic"},
}

func keysNameTheirUses(s stacktest.Stack, v *stacktest.Violations) {
	for _, key := range s.Resources("aws_kms_key") {
		description := key.String("description")
		for kind, words := range encryptedWords {
			uses := slices.ContainsFunc(s.Resources(kind), func(r stacktest.Resource) bool {
				return slices.Contains(stacktest.References(r.Body()), key.Address)
			})
			named := slices.ContainsFunc(words, func(word string) bool { return strings.Contains(description, word) })
			v.Want(!uses || named,
				key.Address, "encrypts an %s, and its description lacks %q: %s", kind, words, description)
		}
	}
}
