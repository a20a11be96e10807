//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5/pgconn"

	"platform/internal/postgres"
)

// servicesLogInAndAreRotated: what the deployment put into a service's secret opens PostgreSQL,
// with the rights that the configuration gives; Secrets Manager rotates it by the function's own
// program; and none of these passwords is anywhere but in its secret.
func (s *site) servicesLogInAndAreRotated(t *testing.T, w *standing) {
	t.Helper()
	name := w.stack + "/database/web"
	uses := func(u postgres.User) {
		t.Helper()
		err := s.does(u, "CREATE TABLE IF NOT EXISTS visits (at timestamptz); INSERT INTO visits VALUES (now())")
		if err != nil {
			t.Errorf("%s, web's user, is no owner: %v", u.Name, err)
		}
	}
	before := s.login(t, "web")
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
	after := s.login(t, "web")
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
	plan, err := json.Marshal(s.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(plan), "service_web_a") {
		t.Error("the plan does not tell what the function did, so that nothing could be found in it")
	}
	places := map[string]string{"the state": state, "the plan": string(plan)}
	for _, file := range []string{
		s.server.Database.Log,
		filepath.Join(s.folder, "emulator.log"),
		filepath.Join(s.stack, "cdk.tf.json"),
	} {
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

// login is what a service's secret says.
func (s *site) login(t *testing.T, service string) postgres.User {
	t.Helper()
	value := said(s.secrets(t).GetSecretValue(alive, &secretsmanager.GetSecretValueInput{
		SecretId: s.secretOf(service),
	}))(t)
	var c struct{ Username, Password string }
	if err := json.Unmarshal([]byte(*value.SecretString), &c); err != nil {
		t.Fatalf("the secret of %s is no JSON: %v", service, err)
	}
	return postgres.User{Name: c.Username, Password: c.Password}
}

func (s *site) secrets(t *testing.T) *secretsmanager.Client {
	return s.clients(s.shipped(t)["region"].(string)).secretsmanager
}

func (s *site) secretOf(service string) *string {
	return aws.String("platform-" + s.environment + "/database/" + service)
}

// does logs in and sends statements, and returns what PostgreSQL has against it.
func (s *site) does(u postgres.User, statements string) error {
	conn, err := s.server.Database.Connect(alive, u, s.server.Database.Database)
	if err != nil {
		return err
	}
	defer conn.Close(alive)
	_, err = conn.Exec(alive, statements)
	return err
}

// refuses wants PostgreSQL to have an error of its own against something.
func refuses(t *testing.T, what string, err error, code string) {
	t.Helper()
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%s: want it refused with %s, have %v", what, code, err)
	}
}

const insufficientPrivilege = "42501"

// readerReads: a service that was added logs in and may read, no more; web, whose level was lowered
// meanwhile, makes no tables any more.
func readerReads(t *testing.T, s *site) {
	reader, web := s.login(t, "reader"), s.login(t, "web")
	if err := s.does(reader, "SELECT * FROM visits"); err != nil {
		t.Errorf("the new service cannot read: %v", err)
	}
	refuses(t, "that a reader writes", s.does(reader, "INSERT INTO visits VALUES (now())"), insufficientPrivilege)
	if err := s.does(web, "INSERT INTO visits VALUES (now())"); err != nil {
		t.Errorf("web cannot write: %v", err)
	}
	refuses(t, "that web makes tables", s.does(web, "CREATE TABLE more ()"), insufficientPrivilege)
}

// readerIsGone: neither user of a service that was removed may log in, its secret is gone, and web,
// an owner again, has what it had.
func readerIsGone(t *testing.T, s *site) {
	master, err := s.server.Database.Connect(alive, s.server.Database.Master, s.server.Database.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close(alive)
	var users, open int
	err = master.QueryRow(alive, `SELECT count(*), count(*) FILTER (WHERE rolcanlogin) FROM pg_roles `+
		`WHERE rolname IN ('service_reader_a', 'service_reader_b')`).Scan(&users, &open)
	if err != nil {
		t.Fatal(err)
	}
	if users == 0 || open > 0 {
		t.Errorf("of %d users of the service that is gone, %d may log in", users, open)
	}
	_, err = s.secrets(t).DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: s.secretOf("reader")})
	if gone := new(types.ResourceNotFoundException); !errors.As(err, &gone) {
		t.Errorf("the secret of the service that is gone: %v", err)
	}
	if err := s.does(s.login(t, "web"), "SELECT * FROM visits; CREATE TABLE more ()"); err != nil {
		t.Errorf("web is no owner again: %v", err)
	}
}
