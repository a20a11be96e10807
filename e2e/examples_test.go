//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"platform/internal/postgres"
)

// example returns the text of examples/<name>.yaml.
func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// terraform and the provider accept the stack of each example.
func TestTerraformValidatesTheExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			s := &sandbox{environment: "dev", folder: copyProject(t, name)}
			s.write(t, example(t, name))
			stack, err := os.ReadFile(filepath.Join(s.stack, "cdk.tf.json"))
			if err != nil {
				t.Fatal(err)
			}
			if diagnostics := validate(t, stack); len(diagnostics) > 0 {
				t.Errorf("terraform validate reports:\n%s", strings.Join(diagnostics, "\n"))
			}
		})
	}
}

// A product in one container, and an application with a worker and migrations, can be deployed as they
// are. Their services log in with the URL under the applications' own name.
func TestExamplesAreDeployed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"analytics", "shop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSandbox(t, "dev")
			s.write(t, example(t, name))
			s.prepare(t)
			empty := s.inventory(t)
			within(t, "the deployment", 4*minute, func() string { return summaryOf(t, s.deploy(t)) })
			within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
			s.logsInWithItsURL(t, name+"-dev/database/web")
			if name == "analytics" {
				within(t, "the database is switched off", 3*minute, func() string {
					s.synthesise(t, patched(document(t, string(example(t, name))), document(t,
						"{database: {enabled: false}, services: {web: {database: {access: none}}}}")))
					return summaryOf(t, s.deploy(t))
				})
				within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
			}
			within(t, "the destruction", 4*minute, func() string { return s.destroy(t, empty) })
		})
	}
}

// logsInWithItsURL checks the URL in the secret of a service with a database.
func (s *sandbox) logsInWithItsURL(t *testing.T, secret string) {
	t.Helper()
	value := must(s.secrets(t).GetSecretValue(alive, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String(secret),
	}))(t)
	var c struct{ Username, Password, URL string }
	if err := json.Unmarshal([]byte(*value.SecretString), &c); err != nil {
		t.Fatalf("%s is not JSON: %v", secret, err)
	}
	user := c.Username + ":" + c.Password
	if !strings.HasPrefix(c.URL, "postgresql://"+user+"@") || !strings.Contains(c.URL, "sslmode=") {
		t.Errorf("%s has no URL with its user, its password and TLS", secret)
	}
	if err := s.execute(postgres.User{Name: c.Username, Password: c.Password}, "CREATE TABLE migrated ()"); err != nil {
		t.Errorf("the user of %s cannot migrate: %v", secret, err)
	}
}
