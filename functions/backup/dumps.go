package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// keyTime is the time in an object's key, in UTC: the scheduled time of a dump or of a drill.
const keyTime = "2006/01/02/150405"

// kind is a kind of object of the backup bucket, by the beginning and the end of its key. Between them is
// the time, and before the time the name of the database and a slash, unless it is the main one.
type kind struct{ prefix, suffix string }

var (
	dump  = kind{"dumps/", ".dump"}
	drill = kind{"drills/", ".json"}
)

// bucket is a bucket of backups, in its region.
type bucket struct {
	name   string
	client s3.ListObjectsV2APIClient
}

// object is a dump, or the record of a successful drill.
type object struct {
	at   time.Time
	size int64 // bytes
}

// mainDatabase is the name under which the objects of database.name are kept: they are in no folder of
// their own.
const mainDatabase = ""

// dumps is the step that emits the age of the newest dump, its size, and its size compared with the one
// before, and the age of the newest drill, if there are drills. Of several databases, each metric is that
// of the worst one, so that one alarm covers all of them: the oldest newest dump, the smallest ratio. The
// size is that of the newest dumps together.
func (b *backup) dumps(ctx context.Context, in *invocation) error {
	dumps, err := newest(ctx, bucket{b.settings.bucket, b.s3}, dump)
	if err != nil {
		return err
	}
	b.emitSizes(ctx, in, dumps)
	if err := b.emitAge(ctx, in, age{"NewestDumpAge", dumps, b.settings.dumpsSince}); err != nil {
		return err
	}
	if !b.settings.drillsSince.IsZero() {
		drills, err := newest(ctx, bucket{b.settings.bucket, b.s3}, drill)
		if err != nil {
			return err
		}
		if err := b.emitAge(ctx, in, age{"NewestDrillAge", drills, b.settings.drillsSince}); err != nil {
			return err
		}
	}
	if b.settings.copyBucket == "" {
		return nil
	}
	replicated, err := newest(ctx, bucket{b.settings.copyBucket, b.copyS3}, dump)
	if err != nil {
		return err
	}
	return b.emitAge(ctx, in, age{"NewestDumpCopyAge", replicated, b.settings.copiesSince})
}

// databases returns the databases that are dumped: the main one first, then the others in order. What is
// in the bucket of another one, such as one that no service uses any more, is not reported.
func (b *backup) databases() []string {
	return slices.Concat([]string{mainDatabase}, sorted(b.settings.furtherSince))
}

// emitSizes emits the size of the newest dumps together, and the smallest ratio of a dump to the one
// before of the same database.
func (b *backup) emitSizes(ctx context.Context, in *invocation, dumps map[string][]object) {
	var total int64
	smallest := worst[float64]{metric: "DumpSizeRatio"}
	for _, database := range b.databases() {
		newest := dumps[database]
		if len(newest) > 0 {
			total += newest[0].size
		}
		if len(newest) > 1 {
			value := float64(newest[0].size) / float64(newest[1].size)
			smallest.take(database, value, !smallest.known || value < smallest.value)
		}
	}
	if total > 0 {
		in.emit(size("NewestDumpSize", total))
	}
	if smallest.known {
		in.emit(ratio(smallest.metric, smallest.value))
		b.tellWorst(ctx, smallest.metric, smallest.database, slog.Float64Value(smallest.value))
	}
}

// age is the metric of the age of the newest of some objects, by database, which can exist since a time.
type age struct {
	metric      string
	newestFirst map[string][]object
	since       time.Time
}

// emitAge emits the age of the newest object of the database whose newest one is the oldest.
func (b *backup) emitAge(ctx context.Context, in *invocation, a age) error {
	oldest := worst[time.Duration]{metric: a.metric}
	for _, database := range b.databases() {
		age, known, err := b.ageOf(ctx, a, database)
		if err != nil {
			return err
		}
		oldest.take(database, age, known && (!oldest.known || age > oldest.value))
	}
	if oldest.known {
		in.emit(seconds(a.metric, oldest.value))
		b.tellWorst(ctx, a.metric, oldest.database, slog.StringValue(oldest.value.String()))
	}
	return nil
}

// ageOf returns the age of the newest object of a database. As long as there is none, it is that of the
// instance, or the time since there can be one, whichever is less. A database besides the main one has
// been dumped since it was configured, so nothing of it is older: also if it was configured before,
// and the bucket has objects from then.
func (b *backup) ageOf(ctx context.Context, a age, database string) (age time.Duration, known bool, err error) {
	configured, further := b.settings.furtherSince[database]
	if newest := a.newestFirst[database]; len(newest) > 0 {
		age, known = b.since(newest[0].at), true
	} else {
		age, known, err = b.ageWithout(ctx, a.since)
	}
	if further {
		age = min(age, b.since(configured))
	}
	return age, known, err
}

// worst is the value of a metric that is emitted for several databases: that of the worst of them.
type worst[T any] struct {
	metric   string
	database string
	value    T
	known    bool
}

// take takes the value of a database if it is worse.
func (w *worst[T]) take(database string, value T, worse bool) {
	if worse {
		w.database, w.value, w.known = database, value, true
	}
}

// tellWorst writes to the log which database a metric is about, if there are several: an alarm does not
// say it.
func (b *backup) tellWorst(ctx context.Context, metric, database string, value slog.Value) {
	if len(b.settings.furtherSince) == 0 {
		return
	}
	if database == mainDatabase {
		database = "database.name"
	}
	b.log.InfoContext(ctx, "worst of the databases", "metric", metric, "database", database, "value", value)
}

// ageWithout returns the age that counts as long as there is nothing: that of the instance, or the time
// since there can be something, whichever is less.
func (b *backup) ageWithout(ctx context.Context, since time.Time) (age time.Duration, known bool, err error) {
	age, known, err = b.instanceAge(ctx)
	if !since.IsZero() {
		age = min(age, b.since(since))
	}
	return age, known, err
}

// newest returns up to two objects of each database, the newest first. It skips objects whose key is not
// one that the platform writes, and empty ones. S3 lists keys in the order of their bytes, which is that
// of the times of a database.
func newest(ctx context.Context, from bucket, of kind) (map[string][]object, error) {
	newest := map[string][]object{}
	pages := s3.NewListObjectsV2Paginator(from.client, &s3.ListObjectsV2Input{
		Bucket: aws.String(from.name), Prefix: aws.String(of.prefix),
	})
	for pages.HasMorePages() {
		var page *s3.ListObjectsV2Output
		err := believed(ctx, func() (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot list %s in the bucket %s: %w", of.prefix, from.name, err)
		}
		for _, o := range page.Contents {
			database, at, ok := of.parse(aws.ToString(o.Key))
			if !ok || aws.ToInt64(o.Size) == 0 {
				continue
			}
			both := append([]object{{at, *o.Size}}, newest[database]...)
			newest[database] = both[:min(2, len(both))]
		}
	}
	return newest, nil
}

// parse returns the database and the time of the object with a key; false if the platform does not write
// such a key. The name of a database begins with a letter, and a time with a digit.
func (k kind) parse(key string) (database string, at time.Time, ok bool) {
	rest, ok := strings.CutPrefix(key, k.prefix)
	if !ok {
		return "", at, false
	}
	if name, below, found := strings.Cut(rest, "/"); found && databaseName.MatchString(name) {
		database, rest = name, below
	}
	at, err := time.Parse(keyTime+k.suffix, rest)
	return database, at, err == nil
}
