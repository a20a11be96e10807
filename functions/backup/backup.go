package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// snapshotAPI is all of RDS that this function calls in the stack's region, and so all that its role
// allows there.
type snapshotAPI interface {
	rds.DescribeDBSnapshotsAPIClient
	rds.DescribeDBInstancesAPIClient

	CreateDBSnapshot(
		context.Context, *rds.CreateDBSnapshotInput, ...func(*rds.Options),
	) (*rds.CreateDBSnapshotOutput, error)
	DeleteDBSnapshot(
		context.Context, *rds.DeleteDBSnapshotInput, ...func(*rds.Options),
	) (*rds.DeleteDBSnapshotOutput, error)
	DescribeAccountAttributes(
		context.Context, *rds.DescribeAccountAttributesInput, ...func(*rds.Options),
	) (*rds.DescribeAccountAttributesOutput, error)
}

// backup is the function. It may be invoked for the same event more than once, and at the same time.
type backup struct {
	settings settings
	rds      snapshotAPI
	s3       s3.ListObjectsV2APIClient
	copies   rds.DescribeDBInstanceAutomatedBackupsAPIClient // in the region of the copies
	copyS3   s3.ListObjectsV2APIClient                       // likewise
	now      func() time.Time
	metrics  io.Writer // one line of metrics an invocation
	log      *slog.Logger
}
