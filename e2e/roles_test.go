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

// servicesLogInAndAreRotated: what the deployment put into a service's secret opens PostgreSQL, with the rights that the configuration gives; Secrets Manager
// rotates it by the function's own program; and none of these passwords is anywhere but in its secret.
func (s *site) servicesLogInAndAreRotated(t *testing.T, w *standing) {
	t.Helper()
	name := w.stack + "/database/web"
	current := func() postgres.User {
		t.Helper()
		value := said(w.secretsmanager.GetSecretValue(alive, &secretsmanager.GetSecretValueInput{SecretId: &name, VersionStage: aws.String("AWSCURRENT")}))(t)
		var c struct{ Username, Password string }
		if err := json.Unmarshal([]byte(*value.SecretString), &c); err != nil {
			t.Fatalf("the secret of web is no JSON: %v", err)
		}
		return postgres.User{Name: c.Username, Password: c.Password}
	}
	uses := func(u postgres.User) {
		t.Helper()
		conn, err := s.server.Database.Connect(alive, u, s.server.Database.Database)
		if err != nil {
			t.Errorf("web cannot log in: %v", err)
			return
		}
		defer conn.Close(alive)
		if _, err := conn.Exec(alive, "CREATE TABLE IF NOT EXISTS visits (at timestamptz); INSERT INTO visits VALUES (now())"); err != nil {
			t.Errorf("%s, web's user, is no owner: %v", u.Name, err)
		}
	}
	before := current()
	uses(before)

	secret := said(w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: &name}))(t)
	w.equal("that web's password is rotated", aws.ToBool(secret.RotationEnabled), true)
	w.equal("days between rotations", *secret.RotationRules.AutomaticallyAfterDays, int64(30))
	w.equal("the key of web's secret", aws.ToString(secret.KmsKeyId), w.key("secrets"))
	if _, err := w.secretsmanager.RotateSecret(alive, &secretsmanager.RotateSecretInput{SecretId: &name}); err != nil {
		t.Fatalf("rotating: %v", err)
	}
	log, err := os.ReadFile(filepath.Join(s.folder, "emulator.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, "Traceback") {
			t.Errorf("in the emulator's log: %s", line)
		}
	}
	after := current()
	if after.Name == before.Name || after.Password == before.Password {
		t.Errorf("a rotation left %s where %s was", after.Name, before.Name)
	}
	uses(after)
	uses(before) // tasks that run

	passwords := []string{before.Password, after.Password, s.server.Database.Master.Password}
	state, err := s.terraform(t, "state", "pull")
	if err != nil {
		t.Fatalf("terraform state pull: %v", err)
	}
	if !strings.Contains(state, "service_web_a") {
		t.Error("the state does not tell what the function did, so that nothing could be found in it")
	}
	places := map[string]string{"the state": state}
	for _, file := range []string{s.server.Database.Log, filepath.Join(s.folder, "emulator.log"), filepath.Join(s.stack, "cdk.tf.json")} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(file)] = string(text)
	}
	for place, text := range places {
		for _, password := range passwords {
			if strings.Contains(text, password) {
				t.Errorf("a password of the database is in %s", place)
			}
		}
	}
}
