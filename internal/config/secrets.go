package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// The forms of a reference to a secret. ECS can read a parameter, or a secret with its suffix, alone or
// with JSON key, stage and version. A secret without its suffix is not accepted as an ARN: the role's
// policy could not name it, and with some names Secrets Manager does not find it.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
const (
	secretARNForm = `arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:` +
		`[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}(:[^:\s]*:[^:\s]*:[^:\s]*)?`
	parameterARNForm = `arn:aws:ssm:[a-z0-9-]+:[0-9]{12}:parameter(/[A-Za-z0-9_.-]+)+`
	parameterForm    = `(/[A-Za-z0-9_.-]+)+`
	// A name must have a slash: without one, many a secret itself would be a name.
	secretNameForm = `[A-Za-z0-9_+.@-]+(/[A-Za-z0-9_+.@-]+)+(:[^:\s]+)?`
)

// secretARNParts is the number of parts of a secret's ARN, between colons.
const secretARNParts = 7

var (
	secretReference = form("secret",
		`^(`+secretARNForm+`|`+parameterARNForm+`|`+parameterForm+`|`+secretNameForm+`)$`)
	registrySecret = form("registry_secret", `^(`+secretARNForm+`|`+secretNameForm+`)?$`)
	secretName     = regexp.MustCompile(`^` + secretNameForm + `$`)
	parameterPath  = regexp.MustCompile(`^` + parameterForm + `$`)

	// secretPrefix begins the keys and tokens of AWS, GitHub, Slack, Stripe and others, and JSON Web
	// Tokens.
	secretPrefix = regexp.MustCompile(`AKIA[0-9A-Z]{16}|` +
		`(^|/)([rsp]k_(live|test)_|gh[opsu]_|github_pat_|glpat-|xox[a-z]-|SG\.|eyJ)`)
)

// SecretName splits the name of a secret in Secrets Manager from the JSON key that may follow; false
// if the reference is no such name.
func SecretName(reference string) (name, key string, found bool) {
	if !secretName.MatchString(reference) {
		return "", "", false
	}
	name, key, _ = strings.Cut(reference, ":")
	return name, key, true
}

// IsParameter reports whether a reference to a secret is the name of a parameter.
func IsParameter(reference string) bool { return parameterPath.MatchString(reference) }

// SecretNames returns the names of the secrets that services refer to by name, sorted.
func (c *Config) SecretNames() []string {
	names := map[string]bool{}
	for _, s := range c.Services {
		for _, reference := range append(slices.Collect(maps.Values(s.Secrets)), s.RegistrySecret) {
			if name, _, found := SecretName(reference); found {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func (c checker) secrets(s Service) {
	for name, reference := range inOrder(s.Secrets) {
		secret := c.at("secrets", name)
		secret.variable(name, s)
		secret.reference(reference)
		_, both := s.Environment[name]
		secret.want(!both, "", "duplicate variable, also in %s", c.full("environment"))
	}
	region := c.cfg.Region
	c.each("secret_keys", s.SecretKeys, func(c checker, key string) {
		valid := keyARN.MatchString(key)
		c.want(valid, "", "want the ARN of a KMS key, not key material")
		c.want(!valid || regionOf(key) == region, "",
			"want a key in %s, the region of the secrets, have one in %s", region, regionOf(key))
	})
}

// registrySecret checks the secret of a private registry, of which ECS reads the whole value.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html
func (c checker) registrySecret(s Service) {
	if s.RegistrySecret == "" {
		return
	}
	_, key, named := SecretName(s.RegistrySecret)
	parts := strings.Split(s.RegistrySecret, ":")
	whole := registrySecret.MatchString(s.RegistrySecret) && (named && key == "" || len(parts) == secretARNParts)
	if !whole {
		c.want(false, "registry_secret", "want the name of a secret, such as shop/ghcr, or its ARN, which ends in a "+
			"dash and six characters, without a JSON key")
		return
	}
	c.at("registry_secret").reference(s.RegistrySecret)
	c.want(!strings.Contains(s.Image, ".dkr.ecr."), "registry_secret", "want none for an image in ECR, "+
		"which the task's role may pull")
}

// reference checks a reference to a secret. No message shows it: it may be the secret itself.
func (c checker) reference(reference string) {
	region := c.cfg.Region
	valid := secretReference.MatchString(reference)
	c.want(valid, "", "want %s", wantedReference(reference))
	if !valid {
		return
	}
	if !strings.HasPrefix(reference, "arn:") {
		c.want(!likelySecret(reference), "", "looks like the secret itself: store it in Secrets Manager or "+
			"Parameter Store, and put the name here, or the ARN of a secret with such a name")
		return
	}
	parts := strings.Split(reference, ":")
	c.want(len(parts) < 10 || parts[8] == "" || parts[9] == "", "",
		"want a stage or a version after the JSON key, not both")
	c.want(regionOf(reference) == region, "",
		"want an ARN in %s, the stack's region, have one in %s", region, regionOf(reference))
}

// wantedReference says what is wanted instead of an invalid reference to a secret.
func wantedReference(reference string) string {
	switch {
	case strings.HasPrefix(reference, "arn:aws:secretsmanager:"):
		return "the ARN of a secret, which ends in a dash and six characters, alone or followed by " +
			":<JSON key>:<stage>:<version>, of which each may be empty, such as ...:secret:shop-AbCdEf:password::"
	case strings.HasPrefix(reference, "arn:aws:ssm:"):
		return "the ARN of a parameter, without a version, such as arn:aws:ssm:...:parameter/shop/token"
	}
	return "the name of a secret, such as shop/stripe or shop/stripe:<JSON key>, of a parameter, such as " +
		"/shop/stripe, or the ARN of one, not its value; a secret whose name has no slash, or begins with one, " +
		"needs its ARN"
}

// likelySecret reports whether what has the form of a name looks like a key, a token or a password.
func likelySecret(reference string) bool {
	joined := strings.ReplaceAll(reference, "/", "") // base64 has slashes
	if len(joined) >= 32 && random(joined) && !strings.ContainsAny(joined, "-_.@:") {
		return true
	}
	separator := func(r rune) bool { return strings.ContainsRune("/_.@:-", r) }
	return secretPrefix.MatchString(reference) ||
		slices.ContainsFunc(strings.FieldsFunc(reference, separator), random)
}

// random reports whether a text of letters and digits is unlikely to be a word of a name.
func random(text string) bool {
	digits := strings.ContainsFunc(text, unicode.IsDigit)
	mixed := strings.ContainsFunc(text, unicode.IsUpper) && strings.ContainsFunc(text, unicode.IsLower)
	return len(text) >= 32 && digits || len(text) >= 16 && digits && mixed
}
