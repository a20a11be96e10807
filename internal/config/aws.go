package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ---- Instance classes ------------------------------------------------------------------------------------------------

var instanceClass = regexp.MustCompile(`^db\.([a-z]+[0-9]+[a-z]*)\.(micro|small|medium|large|xlarge|[0-9]+xlarge)$`)

// ClassMemory is an instance class's memory in GiB, for the families that RDS offers for PostgreSQL.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
func ClassMemory(class string) (int, error) {
	small := map[string]int{"micro": 1, "small": 2, "medium": 4}
	perLarge := map[byte]int{'t': 8, 'm': 8, 'r': 16, 'x': 32} // GiB of a "large", by the family's first letter
	families := []string{"t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "m8g", "r5", "r6g", "r6i", "r7g", "r7i", "r8g", "x2g"}
	parts := instanceClass.FindStringSubmatch(class)
	if parts == nil || !slices.Contains(families, parts[1]) {
		return 0, fmt.Errorf("want an instance class such as db.t4g.micro, of one of the families %s, have %q", strings.Join(families, ", "), class)
	}
	family, size := parts[1], parts[2]
	if gib, ok := small[size]; ok {
		if family[0] != 't' {
			return 0, fmt.Errorf("want db.%s.large or larger, have %q", family, class)
		}
		return gib, nil
	}
	large := perLarge[family[0]]
	switch size {
	case "large":
		return large, nil
	case "xlarge":
		return large * 2, nil
	}
	count, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge"))
	sizes := []int{2, 4, 8, 12, 16, 24, 32, 48}
	if err != nil || size[0] == '0' || !slices.Contains(sizes, count) || (family[0] == 't' && count > 2) {
		return 0, fmt.Errorf("want a size that db.%s has, have %q", family, class)
	}
	return large * 2 * count, nil
}

// MaxConnections is what RDS sets for PostgreSQL by default: LEAST(DBInstanceClassMemory/9531392, 5000).
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
func MaxConnections(gib int) int { return min(gib<<30/9531392, 5000) }

// databaseVariables are set by the platform in every container that has the database; all are libpq's own.
var databaseVariables = []string{"PGHOST", "PGPORT", "PGDATABASE", "PGSSLMODE", "PGUSER", "PGPASSWORD", "PGSSLROOTCERT"}

// certificateRegions are the regions whose RDS certificates lie in functions/database/certificates.
var certificateRegions = []string{
	"af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2",
	"ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ca-central-1", "eu-central-1", "eu-central-2",
	"eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "me-central-1", "me-south-1",
	"sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
}
