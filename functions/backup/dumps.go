package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// keyTime is the time in an object's key, in UTC: the scheduled time of a dump or of a drill.
const keyTime = "2006/01/02/150405"

// kind is a kind of object of the backup bucket, by the beginning and the end of its key.
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

// dumps is the step that emits the age and the size of the newest dump, its size compared with the
// one before, and the age of the newest drill, if there are drills. As long as there is none, the age is
// that of the instance or of the setting, whichever is less.
func (b *backup) dumps(ctx context.Context, in *invocation) error {
	dumps, err := newest(ctx, bucket{b.settings.bucket, b.s3}, dump)
	if err != nil {
		return err
	}
	if len(dumps) > 0 {
		in.emit(size("NewestDumpSize", dumps[0].size))
	}
	if len(dumps) > 1 {
		in.emit(ratio("DumpSizeRatio", float64(dumps[0].size)/float64(dumps[1].size)))
	}
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

// age is the metric of the age of the newest of some objects, which can exist since a time.
type age struct {
	metric      string
	newestFirst []object
	since       time.Time
}

func (b *backup) emitAge(ctx context.Context, in *invocation, a age) error {
	if len(a.newestFirst) > 0 {
		in.emit(seconds(a.metric, b.since(a.newestFirst[0].at)))
		return nil
	}
	age, known, err := b.ageWithout(ctx, a.since)
	if known {
		in.emit(seconds(a.metric, age))
	}
	return err
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

// newest returns up to two objects, the newest first. It skips objects whose key is not one that the
// platform writes, and empty ones. S3 lists keys in the order of their bytes, which is that of their
// times.
func newest(ctx context.Context, from bucket, of kind) ([]object, error) {
	var newest []object
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
			at, err := time.Parse(keyTime+of.suffix, strings.TrimPrefix(aws.ToString(o.Key), of.prefix))
			if err != nil || aws.ToInt64(o.Size) == 0 {
				continue
			}
			newest = append([]object{{at, *o.Size}}, newest...)
			newest = newest[:min(2, len(newest))]
		}
	}
	return newest, nil
}
