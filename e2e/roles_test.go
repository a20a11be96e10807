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

// servicesLogInAndPasswordsAreRotated: the user in a service's secret can log in to PostgreSQL and
// has the configured permissions; Secrets Manager rotates the password with the database function;
// and no password is in the state, the plan, the stack or a log.
func (s *sandbox) servicesLogInAndPasswordsAreRotated(t *testing.T, w *deployed) {
	t.Helper()
	name := w.stack + "/database/web"
	uses := func(u postgres.User) {
		t.Helper()
		err := s.execute(u, "CREATE TABLE IF NOT EXISTS visits (at timestamptz); INSERT INTO visits VALUES (now())")
		if err != nil {
			t.Errorf("%s, the user of web, cannot create tables: %v", u.Name, err)
		}
	}
	before := s.login(t, "web")
	uses(before)

	secret := must(w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: &name}))(t)
	w.equal("rotation of the secret of web", aws.ToBool(secret.RotationEnabled), true)
	rules := secret.RotationRules
	w.equal("the schedule of the rotation of web", aws.ToString(rules.ScheduleExpression), "cron(0 2 10 * ? *)")
	w.equal("the length of the rotation window", aws.ToString(rules.Duration), "2h")
	w.equal("the KMS key of the secret of web", aws.ToString(secret.KmsKeyId), w.key("secrets"))
	if _, err := w.secretsmanager.RotateSecret(alive, &secretsmanager.RotateSecretInput{SecretId: &name}); err != nil {
		t.Fatalf("RotateSecret: %v", err)
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
		t.Errorf("user %s after the rotation, %s before: want another user and another password",
			after.Name, before.Name)
	}
	uses(after)
	uses(before) // running tasks still use it

	passwords := []string{before.Password, after.Password, s.server.Database.Master.Password}
	state, err := s.terraform(t, "state", "pull")
	if err != nil {
		t.Fatalf("terraform state pull: %v", err)
	}
	if !strings.Contains(state, "service_web_a") {
		t.Error("the state does not contain the result of the database function, " +
			"so a search for passwords proves nothing")
	}
	plan, err := json.Marshal(s.plan(t))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(plan), "service_web_a") {
		t.Error("the plan does not contain the result of the database function, " +
			"so a search for passwords proves nothing")
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

// login returns the user in a service's secret.
func (s *sandbox) login(t *testing.T, service string) postgres.User {
	t.Helper()
	value := must(s.secrets(t).GetSecretValue(alive, &secretsmanager.GetSecretValueInput{
		SecretId: s.secretOf(service),
	}))(t)
	var c struct{ Username, Password string }
	if err := json.Unmarshal([]byte(*value.SecretString), &c); err != nil {
		t.Fatalf("the secret of %s is not JSON: %v", service, err)
	}
	return postgres.User{Name: c.Username, Password: c.Password}
}

func (s *sandbox) secrets(t *testing.T) *secretsmanager.Client {
	return s.clients(s.shipped(t)["region"].(string)).secretsmanager
}

func (s *sandbox) secretOf(service string) *string {
	return aws.String("platform-" + s.environment + "/database/" + service)
}

// execute logs in to the main database and executes statements.
func (s *sandbox) execute(u postgres.User, statements string) error {
	return s.executeIn(s.server.Database.Database, u, statements)
}

// executeIn logs in to a database and executes statements.
func (s *sandbox) executeIn(database string, u postgres.User, statements string) error {
	conn, err := s.server.Database.Connect(alive, u, database)
	if err != nil {
		return err
	}
	defer conn.Close(alive)
	_, err = conn.Exec(alive, statements)
	return err
}

// wantDenied checks that PostgreSQL refused something for lack of a right.
func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	const insufficientPrivilege = "42501"
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != insufficientPrivilege {
		t.Errorf("%s: want PostgreSQL error %s, have %v", what, insufficientPrivilege, err)
	}
}

// readerCanOnlyRead: the new service can log in and can only read; web, which is not an owner any
// more, cannot create tables.
func readerCanOnlyRead(t *testing.T, s *sandbox) {
	reader, web := s.login(t, "reader"), s.login(t, "web")
	if err := s.execute(reader, "SELECT * FROM visits"); err != nil {
		t.Errorf("the new service cannot read: %v", err)
	}
	wantDenied(t, "reader inserts a row", s.execute(reader, "INSERT INTO visits VALUES (now())"))
	if err := s.execute(web, "INSERT INTO visits VALUES (now())"); err != nil {
		t.Errorf("web cannot write: %v", err)
	}
	wantDenied(t, "web creates a table", s.execute(web, "CREATE TABLE more ()"))
}

// readerHasADatabase: the service can connect to its own database only, and the others cannot connect to it.
func readerHasADatabase(t *testing.T, s *sandbox) {
	reader, web := s.login(t, "reader"), s.login(t, "web")
	if err := s.executeIn("reports", reader, "SELECT 1"); err != nil {
		t.Errorf("the service cannot connect to its database: %v", err)
	}
	wantDenied(t, "reader connects to the main database", s.execute(reader, "SELECT 1"))
	wantDenied(t, "web connects to the database of reader", s.executeIn("reports", web, "SELECT 1"))
}

// readerIsRemoved: the users of the removed service cannot log in, its secret is deleted, and web,
// which is an owner again, can create tables.
func readerIsRemoved(t *testing.T, s *sandbox) {
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
		t.Errorf("of %d users of the removed service, %d can log in", users, open)
	}
	_, err = s.secrets(t).DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: s.secretOf("reader")})
	if gone := new(types.ResourceNotFoundException); !errors.As(err, &gone) {
		t.Errorf("the secret of the removed service still exists: %v", err)
	}
	if err := s.execute(s.login(t, "web"), "SELECT * FROM visits; CREATE TABLE more ()"); err != nil {
		t.Errorf("web cannot read and create tables: %v", err)
	}
}
