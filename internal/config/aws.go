package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What AWS offers and rejects. Each list was copied from its source on 2026-11-25; those in
// aws_lists.go are generated.

// retentions are the days for which CloudWatch Logs can keep a log group.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var retentions = numberList("retentions",
	1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

// zoneLetters returns the letters of the zones that most accounts have in a region.
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
func zoneLetters(region string) string {
	switch region {
	case "us-east-1":
		return "abcdef"
	case "us-west-2", "ap-northeast-2":
		return "abcd"
	case "ap-northeast-1":
		return "acd"
	case "ca-central-1":
		return "abd"
	case "us-west-1":
		return "ac"
	}
	return "abc"
}

// FargateZones returns the IDs of the zones of a region that have Fargate; nil if all have. A zone's
// letter does not tell: which zone it is differs between accounts.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html
func FargateZones(region string) []string {
	switch region {
	case "ap-northeast-1":
		return []string{"apne1-az1", "apne1-az2", "apne1-az4"}
	case "us-west-1":
		return []string{"usw1-az1", "usw1-az3"}
	}
	return nil
}

// InterfaceEndpoints are the interface endpoints that a part of the platform may need. S3 always
// has a gateway endpoint.
// https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
var InterfaceEndpoints = list("endpoints",
	"aps-workspaces", "ec2", "ecr.api", "ecr.dkr", "ecs", "kms", "lambda", "logs", "monitoring", "rds",
	"secretsmanager", "sns", "sqs", "ssm", "ssmmessages", "sts", "tagging",
)

// The rules of AWSManagedRulesCommonRuleSet. AWS WAF rejects any other name.
// https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
var _ = list("common_rules",
	"CrossSiteScripting_BODY", "CrossSiteScripting_COOKIE",
	"CrossSiteScripting_QUERYARGUMENTS", "CrossSiteScripting_URIPATH",
	"EC2MetaDataSSRF_BODY", "EC2MetaDataSSRF_COOKIE", "EC2MetaDataSSRF_QUERYARGUMENTS", "EC2MetaDataSSRF_URIPATH",
	"GenericLFI_BODY", "GenericLFI_QUERYARGUMENTS", "GenericLFI_URIPATH",
	"GenericRFI_BODY", "GenericRFI_QUERYARGUMENTS", "GenericRFI_URIPATH",
	"NoUserAgent_HEADER", "RestrictedExtensions_QUERYARGUMENTS", "RestrictedExtensions_URIPATH",
	"SizeRestrictions_BODY", "SizeRestrictions_Cookie_HEADER", "SizeRestrictions_QUERYSTRING",
	"SizeRestrictions_URIPATH",
	"UserAgent_BadBots_HEADER",
)

// fargateMemory holds the sizes of memory that Fargate has for each number of CPU units.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
var fargateMemory = map[int]memorySizes{
	256:   {low: 512, high: 2048}, // 512, 1024, 2048
	512:   {low: 1024, high: 4096, step: 1024},
	1024:  {low: 2048, high: 8192, step: 1024},
	2048:  {low: 4096, high: 16384, step: 1024},
	4096:  {low: 8192, high: 30720, step: 1024},
	8192:  {low: 16384, high: 61440, step: 4096},
	16384: {low: 32768, high: 122880, step: 8192},
}

var _ = numberList("cpu", slices.Sorted(maps.Keys(fargateMemory))...)

// memorySizes are sizes in MiB. Without a step, each size is twice the previous one.
type memorySizes struct{ low, high, step int }

func (m memorySizes) include(memory int) bool {
	if m.step == 0 {
		return memory == m.low || memory == 2*m.low || memory == m.high
	}
	return memory >= m.low && memory <= m.high && memory%m.step == 0
}

// String returns the sizes for a message.
func (m memorySizes) String() string {
	if m.step == 0 {
		return fmt.Sprintf("%d, %d or %d MiB", m.low, 2*m.low, m.high)
	}
	return fmt.Sprintf("%d to %d MiB in steps of %d", m.low, m.high, m.step)
}

// postgresVersions are the major versions that RDS offers and whose parameters the platform knows.
// https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
var postgresVersions = list("versions", "14", "15", "16", "17", "18")

// standardSupport has the end of RDS's standard support of the versions that reach it first. RDS
// enrolls an instance in Extended Support by default, and charges for it from then on.
// https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
var standardSupport = map[string]string{"14": "February 2027"}

// DatabaseWords are invalid as the name of a database and, except for postgres, of its user. RDS
// rejects its own names and the words that PostgreSQL reserves in any of these versions.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
// https://www.postgresql.org/docs/current/sql-keywords-appendix.html
var DatabaseWords = strings.Fields(`
	admin postgres rdsadmin template0 template1

	all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
	column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
	current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
	from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like limit
	localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary references
	returning right select session_user similar some symmetric system_user table tablesample then to trailing true union
	unique user using variadic verbose when where window with
`)

// classFamily is a family of RDS's instance classes.
type classFamily struct {
	sizes   []classSize // from the smallest to the largest
	without []string    // the regions in which RDS does not offer all of it
}

// classSize is a size of a family, with its memory in GiB.
type classSize struct {
	name string
	gib  int
}

// names returns the names of the sizes.
func (f classFamily) names() (names []string) {
	for _, size := range f.sizes {
		names = append(names, size.name)
	}
	return names
}

var instanceClass = form("class", `^db\.([a-z]+[0-9]+[a-z]*)\.(micro|small|medium|large|xlarge|[0-9]+xlarge)$`)

// ClassMemory returns an instance class's memory in GiB. The error lists the valid classes.
func ClassMemory(class string) (gib int, err error) {
	parts := instanceClass.FindStringSubmatch(class)
	if parts == nil || classFamilies[parts[1]].sizes == nil {
		return 0, fmt.Errorf("want an instance class such as db.t4g.micro, of one of the families %s, have %q",
			strings.Join(slices.Sorted(maps.Keys(classFamilies)), ", "), class)
	}
	family := classFamilies[parts[1]]
	for _, size := range family.sizes {
		if size.name == parts[2] {
			return size.gib, nil
		}
	}
	return 0, fmt.Errorf("want a size that the family db.%s offers, one of %s, have %q",
		parts[1], strings.Join(family.names(), ", "), class)
}

// classMissing reports whether RDS did not offer an instance class in a region when the lists were
// made.
func classMissing(class, region string) bool {
	parts := instanceClass.FindStringSubmatch(class)
	return parts != nil && slices.Contains(classFamilies[parts[1]].without, region)
}

// maxConnections returns about how many connections PostgreSQL allows on an instance class, which
// ClassMemory knows. RDS sets LEAST(DBInstanceClassMemory/9531392, 5000), but that memory is less
// than the class has, since RDS and the operating system use some themselves. AWS does not say how
// much: 2 GiB of db.t4g.small leave 181 connections, not 225. So a quarter is subtracted for the
// small burstable classes, and a tenth for the others.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
// https://github.com/kirill-markin/flashcards-open-source-app/pull/1657
func maxConnections(class string) int {
	gib, _ := ClassMemory(class)
	bytes := gib << 30
	if strings.HasPrefix(class, "db.t") {
		return min(bytes*3/4/9531392, 5000)
	}
	return min(bytes*9/10/9531392, 5000)
}
