// Restore restores a dump of a stack's database into a new database beside the live one:
//
//	restore FOLDER --database NAME [--from NAME] [--like NAME] [--dump KEY] [--table SCHEMA.TABLE]
//
// FOLDER is the output of the program, cdktf.out. The dump is an object below dumps/ in the backup
// bucket; without one, the newest is restored: of the database that --from names, or of database.name.
// The services that use this database can use the new one. If none uses it any more, --like names the
// database whose services can. With a table, the new database gets all definitions, and the rows of this
// table only.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"

	"platform/internal/teardown"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	folder, o, err := parse(args)
	if err != nil {
		return err
	}
	name, stack, err := teardown.Read(folder)
	if err != nil {
		return err
	}
	if err := check(name, stack.Addresses()); err != nil {
		return err
	}
	if o, err = o.of(stack.Databases()); err != nil {
		return err
	}
	var settings []func(*config.LoadOptions) error
	if region := stack.Region(); region != "" {
		settings = append(settings, config.WithRegion(region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, settings...)
	if err != nil {
		return fmt.Errorf("AWS configuration: %w", err)
	}
	r := &restore{
		stack: name, out: os.Stdout, pause: 5 * time.Second,
		lambda: lambda.NewFromConfig(cfg, func(o *lambda.Options) {
			// A function may take five minutes; another attempt would wait for the first.
			o.Retryer = aws.NopRetryer{}
		}),
		ecs: ecs.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg),
		logs: cloudwatchlogs.NewFromConfig(cfg), scheduler: scheduler.NewFromConfig(cfg),
	}
	return r.run(ctx, o)
}

// check returns an error if a stack, by the addresses of its resources, has no database to restore beside.
func check(stack string, addresses []string) error {
	if !slices.Contains(addresses, "aws_lambda_function.database_function") {
		return fmt.Errorf("%s: want database.enabled: true, have a stack without a database: docs/operations.md says "+
			"how to switch it on again and what to restore", stack)
	}
	return nil
}

// options say what is restored, and where to.
type options struct{ database, from, like, dump, table string }

var (
	databaseName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

	// A database besides database.name has a folder of its own.
	dumpKey = regexp.MustCompile(
		`^dumps/(?:([a-z][a-z0-9_]*)/)?[0-9]{4}/[0-9]{2}/[0-9]{2}/[0-9]{6}(?:\.failed)?\.dump$`)
)

// parse reads the arguments.
func parse(args []string) (folder string, o options, err error) {
	const usage = "usage: restore FOLDER --database NAME [--from NAME] [--like NAME] [--dump KEY] " +
		"[--table SCHEMA.TABLE]"
	if len(args) == 0 {
		return "", o, errors.New(usage)
	}
	flags := flag.NewFlagSet("restore", flag.ContinueOnError)
	flags.StringVar(&o.database, "database", "", "the database to create")
	flags.StringVar(&o.from, "from", "", "the database that was dumped; that of the dump, or database.name, if empty")
	flags.StringVar(&o.like, "like", "", "the database whose services get access; that of the dump if empty")
	flags.StringVar(&o.dump, "dump", "", "the object to restore; the newest if empty")
	flags.StringVar(&o.table, "table", "", "the only table whose rows are restored")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return "", o, errors.Join(err, errors.New(usage))
	}
	if !databaseName.MatchString(o.database) {
		return "", o, fmt.Errorf("--database: want a new name of lower-case letters, digits and underscores, have %q: "+
			"make restore DATABASE=restored", o.database)
	}
	if o.dump != "" && !dumpKey.MatchString(o.dump) {
		return "", o, fmt.Errorf("--dump: want a key such as dumps/2026/11/23/053000.dump, have %q", o.dump)
	}
	if o.from != "" && !databaseName.MatchString(o.from) {
		return "", o, fmt.Errorf("--from: want the name of a database, have %q", o.from)
	}
	return args[0], o, nil
}

// of returns the options with the database that the dump is of, and the one whose services can use the new
// database: both are "" for the main one. These two are the same as long as services use the first one:
// nothing opens its rows to other services.
func (o options) of(main string, further []string) (options, error) {
	folder := func(name string) string { // of a database, below dumps/
		if name == main {
			return ""
		}
		return name
	}
	from := folder(o.from)
	if o.dump != "" {
		from = dumpKey.FindStringSubmatch(o.dump)[1]
		if o.from != "" && folder(o.from) != from {
			return o, fmt.Errorf("--from: want %s, the database of the dump %s, have %q",
				cmp.Or(from, main), o.dump, o.from)
		}
	}
	used := append([]string{main}, further...)
	inUse, all := slices.Contains(used, cmp.Or(from, main)), strings.Join(used, ", ")
	switch {
	case inUse && o.like != "" && folder(o.like) != from:
		return o, fmt.Errorf("--like: want none, or %s, the database of the dump, have %q", cmp.Or(from, main), o.like)
	case !inUse && o.like == "":
		return o, fmt.Errorf("--from: services of this stack use the databases %s, have %q: if one was called so "+
			"before, name the database whose services get access with --like", all, from)
	case !inUse && !slices.Contains(used, o.like):
		return o, fmt.Errorf("--like: want a database that services of this stack use (%s), have %q", all, o.like)
	}
	like := from
	if o.like != "" {
		like = folder(o.like)
	}
	o.from, o.like = from, like
	return o, nil
}
