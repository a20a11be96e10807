//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"platform/internal/emulator"
	"platform/internal/postgres"
)

// onEachMajor runs a test on each major version of PostgreSQL. -run 'TestName/17' selects one.
func onEachMajor(t *testing.T, test func(t *testing.T, major int)) {
	t.Parallel()
	for _, major := range postgres.Majors {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			t.Parallel()
			test(t, major)
		})
	}
}

// stride is the distance between the points at which a function is killed: it is killed at each on
// the default version, and at some on the others, because that takes a minute of CPU.
func stride(major int) int {
	if major == postgres.DefaultMajor {
		return 1
	}
	return 11
}

// startPostgres starts a server for one test, because roles belong to a whole server.
func startPostgres(t *testing.T, major int, o postgres.Options) *postgres.Server {
	t.Helper()
	installation, err := postgres.PrepareMajor(t.Context(), os.Stdout, major)
	if errors.Is(err, postgres.ErrPlatform) {
		t.Skipf("PostgreSQL %d: %v", major, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	alive, lifeline, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	t.Cleanup(func() { lifeline.Close() })
	o.Names, o.Database, o.Alive = []string{"*.emulator.rds.amazonaws.com"}, "app", alive
	server, err := installation.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// shared is the emulator of all tests. Each test has an AWS account of its own in it.
var shared struct {
	start    func() (*emulator.Server, error)
	accounts atomic.Int64
}

// secretsManager returns a client of Secrets Manager in an empty account.
func secretsManager(t *testing.T) *secretsmanager.Client {
	t.Helper()
	server, err := shared.start()
	if err != nil {
		t.Fatal(err)
	}
	account := fmt.Sprintf("%012d", shared.accounts.Add(1))
	return secretsmanager.NewFromConfig(emulator.Config(server.URL, "eu-central-1"),
		secretsmanager.WithAPIOptions(smithyhttp.AddHeaderValue(emulator.AccountHeader, account)))
}

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "platform-emulator-*")
	if err != nil {
		panic(err)
	}
	stop := func() {}
	shared.start = sync.OnceValues(func() (*emulator.Server, error) {
		installation, err := emulator.Prepare(context.Background(), os.Stdout)
		if err != nil {
			return nil, err
		}
		server, err := installation.Start(context.Background(), emulator.Options{Folder: folder})
		if err == nil {
			stop = server.Stop
		}
		return server, err
	})
	code := m.Run()
	stop()
	os.RemoveAll(folder)
	os.Exit(code)
}
