package config

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

// AppliesAtOnce reports whether RDS applies a parameter's value at once, so that its apply method
// is immediate. Otherwise the value waits for the next restart of the instance, which RDS accepts
// for every parameter, while it rejects immediate for a static one.
//
// A value that is RDS's own default registers nothing, and RDS goes on answering pending-reboot:
// with immediate, every plan would show a change
// (https://github.com/hashicorp/terraform-provider-aws/issues/39252).
func AppliesAtOnce(name, value, version string) bool {
	major, _ := strconv.Atoi(version)
	if byDefault, known := rdsDefaults[name]; known && value == byDefault.value && major >= byDefault.since {
		return false
	}
	if strings.Contains(name, ".") {
		return slices.Contains(dynamicParameters, name)
	}
	return !slices.Contains(rdsStaticParameters, name) && !slices.Contains(staticParameters[name], version)
}

// AfterRestart returns the configured parameters that wait for a restart of the instance.
func (d Database) AfterRestart() (names []string) {
	for name, value := range inOrder(d.Parameters) {
		if value != rdsDefaults[name].value && !AppliesAtOnce(name, value, d.Version) {
			names = append(names, name)
		}
	}
	return names
}

// staticParameters are the parameters that PostgreSQL reads when it starts only, each with the major
// versions in which it does. The list is what servers of these versions say, on 2026-11-29:
// `go test -tags e2e -run StaticParameters ./internal/config` compares it, and rewrites it with
// -update.
var staticParameters = readStaticParameters(staticParametersText)

//go:embed static_parameters.txt
var staticParametersText string

func readStaticParameters(text string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all[fields[0]] = fields[1:]
		}
	}
	return all
}

// What RDS's documentation says beyond PostgreSQL's, in its list of parameters:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
var (
	rdsStaticParameters = []string{"autovacuum_max_workers", "ssl", "temp_file_limit"}

	// dynamicParameters are those of RDS and of extensions that are known to be dynamic. Any other
	// with a dot waits for a restart.
	dynamicParameters = []string{
		"rds.adaptive_autovacuum", "rds.force_ssl", "rds.log_retention_period",
		"auto_explain.log_analyze", "auto_explain.log_buffers", "auto_explain.log_format",
		"auto_explain.log_min_duration", "auto_explain.log_nested_statements",
	}
)

// rdsDefaults are the values that RDS itself sets, since a major version.
var rdsDefaults = map[string]struct {
	value string
	since int
}{
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
	"rds.force_ssl": {"1", 15},
	// https://github.com/hashicorp/terraform-provider-aws/issues/18035
	"autovacuum": {"1", 0},
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
	"rds.log_retention_period": {"4320", 0},
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Autovacuum.html
	"rds.adaptive_autovacuum": {"1", 0},
}
