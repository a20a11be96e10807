package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// What AWS offers and rejects. Each list was copied from its source on 2026-11-25.

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

// certificateRegions are the regions whose RDS certificates are in functions/database/certificates.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
var certificateRegions = []string{
	"af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ca-central-1", "eu-central-1",
	"eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3",
	"me-central-1", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
}

// classFamilies are the families of instance classes that RDS offers for PostgreSQL.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
var classFamilies = []string{
	"t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "m8g", "r5", "r6g", "r6i", "r7g", "r7i", "r8g", "x2g",
}

// smallMemory holds GiB by size.
var smallMemory = map[string]int{"micro": 1, "small": 2, "medium": 4}

// largeMemory holds the GiB of the size large, by the family's first letter.
var largeMemory = map[byte]int{'t': 8, 'm': 8, 'r': 16, 'x': 32}

// xlargeCounts are the valid prefixes of xlarge.
var xlargeCounts = []string{"", "2", "4", "8", "12", "16", "24", "32", "48"}

var instanceClass = form("class", `^db\.([a-z]+[0-9]+[a-z]*)\.(micro|small|medium|large|xlarge|[0-9]+xlarge)$`)

// ClassMemory returns an instance class's memory in GiB. The error lists the valid classes.
func ClassMemory(class string) (gib int, err error) {
	parts := instanceClass.FindStringSubmatch(class)
	if parts == nil || !slices.Contains(classFamilies, parts[1]) {
		return 0, fmt.Errorf("want an instance class such as db.t4g.micro, of one of the families %s, have %q",
			strings.Join(classFamilies, ", "), class)
	}
	family, size := parts[1], parts[2]
	if gib, ok := smallMemory[size]; ok {
		if family[0] != 't' {
			return 0, fmt.Errorf("want db.%s.large or larger, have %q", family, class)
		}
		return gib, nil
	}
	large := largeMemory[family[0]]
	if size == "large" {
		return large, nil
	}
	count := strings.TrimSuffix(size, "xlarge")
	number, _ := strconv.Atoi(cmp.Or(count, "1"))
	if !slices.Contains(xlargeCounts, count) || family[0] == 't' && number > 2 {
		return 0, fmt.Errorf("want a size that the family db.%s offers, have %q", family, class)
	}
	return large * 2 * number, nil
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
