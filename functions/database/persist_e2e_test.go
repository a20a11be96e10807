//go:build e2e

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"

	"platform/internal/postgres"
)

// runs checks that an invocation succeeds while something is in its way, and that it waited for it.
func (h *fixture) runs(what string, least time.Duration) {
	h.Helper()
	begun := time.Now()
	h.run()
	if took := time.Since(begun); took < least {
		h.Errorf("%s: took %s only, so nothing was in the way", what, took)
	}
	if !strings.Contains(h.log.String(), "trying again") && least > 0 {
		h.Errorf("%s: the log does not tell of another attempt", what)
	}
	h.log.Reset()
}

// A failover or a restart takes a minute or two, in which connections are refused.
func TestInstanceThatIsAwayForAMomentIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	behind := h.function.settings.port
	h.function.settings.port = uint16(listener.Addr().(*net.TCPAddr).Port)
	time.AfterFunc(time.Second, func() { h.forward(address, fmt.Sprint("127.0.0.1:", behind)) })
	h.set("api", "read")
	h.runs("connections are refused", time.Second)
	h.service("api")
	h.nothingToDo()
}

// forward forwards the connections to an address.
func (h *fixture) forward(from, to string) {
	listener, err := net.Listen("tcp", from)
	if err != nil {
		h.Error(err)
		return
	}
	h.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
}

// cutter ends the master user's session once, before its nth statement.
type cutter struct {
	h    *fixture
	left int
	mu   sync.Mutex
}

func (c *cutter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left == 0 {
		c.h.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '" +
			applicationName + "'")
	}
	return ctx
}

func (c *cutter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestSessionsThatEndDuringARunAreOpenedAgain(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.set("api", "read")
	h.run()
	for level, n := 0, 1; ; n += 7 {
		level++
		h.set("api", levels[level%2])
		c := &cutter{h: h, left: n}
		h.function.tracer = c
		h.run()
		h.function.tracer = nil
		h.nothingToDo()
		if c.left > 0 {
			if n < 50 {
				t.Errorf("only %d statements", n)
			}
			break
		}
	}
}

func TestFreeConnectionIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	var open []*pgx.Conn
	for {
		conn, err := h.postgres.Connect(t.Context(), h.postgres.Admin, "app")
		if err != nil {
			if sqlState(err) != "53300" {
				t.Fatal(err)
			}
			break
		}
		open = append(open, conn)
	}
	time.AfterFunc(time.Second, func() {
		for _, conn := range open {
			conn.Close(context.Background())
		}
	})
	h.set("api", "read")
	h.runs("all connections are used", time.Second)
	h.service("api")
}

// RDS sets the password of the master user and moves the labels of its secret one after the other.
func TestRotationOfTheMasterPasswordIsNoFailure(t *testing.T) {
	onEachMajor(t, rotationOfTheMasterPasswordIsNoFailure)
}

func rotationOfTheMasterPasswordIsNoFailure(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	master := h.function.settings.master
	put := func(label, password string) {
		t.Helper()
		v := secretVersion{credentials: credentials{"platform", password}}
		if err := h.function.write(t.Context(), master, label, "", v); err != nil {
			t.Fatal(err)
		}
	}
	set := func(password string) { h.admin("ALTER ROLE platform PASSWORD '" + password + "'") }
	put(pending, "second")
	set("second")
	h.runs("only AWSPENDING works", 0)
	put(current, "second")
	put(current, "third") // and the second is AWSPREVIOUS
	h.runs("only AWSPREVIOUS works", 0)
	set("fourth")
	time.AfterFunc(time.Second, func() { set("third") })
	h.runs("no password works", time.Second)
}

func TestInvocationsWaitForEachOther(t *testing.T) { onEachMajor(t, invocationsWaitForEachOther) }

func invocationsWaitForEachOther(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	other, err := h.function.connectAsMaster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"idle_session_timeout": "6min", "idle_in_transaction_session_timeout": "1min", "tcp_keepalives_idle": "15",
	} {
		if have := h.query(other.lock, "SHOW "+name); have[0] != want {
			t.Errorf("%s of the session that holds the lock: %s, want %s", name, have[0], want)
		}
	}
	time.AfterFunc(time.Second, func() { other.close(context.Background()) })
	h.runs("another invocation works", time.Second)
}

// A service that takes the lock would stop deployments and rotations.
func TestNoServiceCanTakeTheLock(t *testing.T) { onEachMajor(t, noServiceCanTakeTheLock) }

func noServiceCanTakeTheLock(t *testing.T, major int) {
	h := newFixture(t, major)
	h.set("web", "owner")
	h.run()
	take := fmt.Sprintf("SELECT pg_advisory_lock(%d)", lockNumber)
	h.do(h.service("web"), take) // in its own database: another lock
	h.runs("a lock of the same number", 0)

	// On an instance where a superuser owns this database, the function cannot keep services out.
	h.admin("ALTER DATABASE postgres OWNER TO " + h.postgres.Admin.Name)
	h.admin("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
	thief, err := h.postgres.Connect(t.Context(), h.credentials("web"), lockDatabase)
	if err != nil {
		t.Fatal(err)
	}
	h.do(thief, take)
	h.runs("a service has the lock", 0)
	h.ended(thief)

	h.admin("ALTER DATABASE postgres OWNER TO platform")
	h.run()
	if _, err := h.postgres.Connect(t.Context(), h.credentials("web"), lockDatabase); sqlState(err) != "42501" {
		t.Errorf("a service connects to the database of the lock: %v", err)
	}
	h.nothingToDo()
}

// refusing is Secrets Manager that denies reading the secret of api at first.
type refusing struct {
	secretsAPI
	denying *denying
}

func (r refusing) GetSecretValue(
	ctx context.Context, input *secretsmanager.GetSecretValueInput, o ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	if strings.HasSuffix(*input.SecretId, "/api") {
		if err := r.denying.deny(); err != nil {
			return nil, err
		}
	}
	return r.secretsAPI.GetSecretValue(ctx, input, o...)
}

func TestRightsThatAreNotKnownYetAreWaitedFor(t *testing.T) {
	t.Parallel()
	h := newFixture(t, postgres.DefaultMajor)
	h.set("web", "owner")
	h.run()
	h.set("api", "read")
	d := &denying{left: 2}
	h.function.secrets = refusing{h.function.secrets, d}
	h.runs("a new secret is refused twice", 100*time.Millisecond)
	h.service("api")
}
