package main

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"platform/internal/config"
	"platform/internal/stacktest"
)

func TestDatabaseParameters(t *testing.T) {
	const atOnce, atRestart = "immediate", "pending-reboot"
	// platformsOwn are the platform's parameters, some of them changed.
	platformsOwn := func(changes ...parameter) []parameter {
		all := map[string]parameter{}
		for _, p := range append([]parameter{
			{"log_connections", "1", atOnce},
			{"log_disconnections", "1", atOnce},
			{"log_lock_waits", "1", atOnce},
			{"log_min_duration_statement", "1000", atOnce},
			{"rds.force_ssl", "1", atRestart}, // RDS's default from 15 on
			{"shared_preload_libraries", "pg_stat_statements", atRestart},
		}, changes...) {
			all[p.name] = p
		}
		var list []parameter
		for _, name := range slices.Sorted(maps.Keys(all)) {
			list = append(list, all[name])
		}
		return list
	}
	for name, c := range map[string]struct {
		version    string
		slowQuery  int
		parameters map[string]string
		want       []parameter
	}{
		"nothing configured": {version: "17", slowQuery: 1000, want: platformsOwn()},
		"an override of one that takes effect at once keeps that": {
			version: "17", slowQuery: 1000, parameters: map[string]string{"log_lock_waits": "0"},
			want: platformsOwn(parameter{"log_lock_waits", "0", atOnce}),
		},
		"an override of one that needs a restart keeps that": {
			version: "17", slowQuery: 1000,
			parameters: map[string]string{"shared_preload_libraries": "pg_stat_statements,auto_explain"},
			want: platformsOwn(
				parameter{"shared_preload_libraries", "pg_stat_statements,auto_explain", atRestart}),
		},
		"a static one and an unknown one wait for a restart, which RDS always takes": {
			version: "17", slowQuery: 1000,
			parameters: map[string]string{"max_connections": "200", "pglogical.batch_inserts": "1"},
			want: platformsOwn(
				parameter{"max_connections", "200", atRestart}, parameter{"pglogical.batch_inserts", "1", atRestart}),
		},
		"dynamic ones take effect at once, unless they are RDS's default": {
			version: "17", slowQuery: 1000,
			parameters: map[string]string{"work_mem": "8192", "autovacuum": "1", "rds.log_retention_period": "1440"},
			want: platformsOwn(
				parameter{"work_mem", "8192", atOnce},
				parameter{"autovacuum", "1", atRestart},
				parameter{"rds.log_retention_period", "1440", atOnce}),
		},
		"the time of a slow query": {
			version: "17", slowQuery: 250, want: platformsOwn(parameter{"log_min_duration_statement", "250", atOnce}),
		},
		"the parameter wins over the setting": {
			version: "17", slowQuery: 250, parameters: map[string]string{"log_min_duration_statement": "-1"},
			want: platformsOwn(parameter{"log_min_duration_statement", "-1", atOnce}),
		},
		"PostgreSQL 18 takes a list of stages": {
			version: "18", slowQuery: 1000, want: platformsOwn(parameter{"log_connections", "all", atOnce}),
		},
		"PostgreSQL 14 takes a switch, and does not require TLS by default": {
			version: "14", slowQuery: 1000, want: platformsOwn(parameter{"rds.force_ssl", "1", atOnce}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := databaseParameters(config.Database{
				Version: c.version, SlowQuery: c.slowQuery, Parameters: c.parameters,
			}, c.version)
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%v\nwant\n%v", got, c.want)
			}
			if !slices.IsSortedFunc(got, func(a, b parameter) int { return strings.Compare(a.name, b.name) }) {
				t.Errorf("is out of order: %v", got)
			}
		})
	}
}

const (
	databaseInstance = "aws_db_instance.database"
	parameterGroup   = "aws_db_parameter_group.database_parameter_group"
	webTask          = "aws_ecs_task_definition.service_web_task_definition"
	webVariables     = "container_definitions[name=web].environment"
)

var databaseTLSPromises = []stacktest.Promise{{
	Name:  "the database accepts TLS connections only, and every service verifies its certificate",
	Check: databaseRequiresTLS,
	BrokenBy: []stacktest.Break{{
		Name:  "rds.force_ssl is off",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=rds.force_ssl].value", "0"),
		Found: parameterGroup,
	}, {
		Name:  "the parameter group has no parameters",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter", []any{}),
		Found: parameterGroup,
	}, {
		Name:  "a service does not require TLS",
		Stack: "prod",
		By:    stacktest.Set(webTask, webVariables+"[name=PGSSLMODE].value", "prefer"),
		Found: webTask,
	}, {
		Name:  "a service verifies with the authorities of its image, which do not include RDS's",
		Stack: "prod",
		By:    stacktest.Set(webTask, webVariables+"[name=PGSSLROOTCERT].value", "system"),
		Found: webTask,
	}, {
		Name:  "the instance has a certificate of an expired authority",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "ca_cert_identifier", "rds-ca-2019"),
		Found: databaseInstance,
	}},
}}

func databaseRequiresTLS(s stacktest.Stack, v *stacktest.Violations) {
	for _, db := range s.Resources("aws_db_instance") {
		authorities := []string{"rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"}
		v.Want(slices.Contains(authorities, db.String("ca_cert_identifier")),
			db.Address, "has a certificate of %v", db.At("ca_cert_identifier"))
		group := s.Resource(db.Reference("parameter_group_name"))
		v.Want(group.Is("parameter[name=rds.force_ssl].value", "1"),
			group.Address, "lets %s accept connections without TLS", db.Address)
	}
	for _, definition := range s.Resources("aws_ecs_task_definition") {
		for _, c := range definition.Containers() {
			if !c.Has("environment[name=PGHOST]") {
				continue
			}
			mode := c.String("environment[name=PGSSLMODE].value")
			file := c.String("environment[name=PGSSLROOTCERT].value")
			v.Want(mode == "verify-full" && certificatesAreDelivered(definition, c, file),
				c.Address, "connects with sslmode %q and certificates from %q", mode, file)
		}
	}
}

// certificatesAreDelivered tells whether another container of the task has written certificates to
// a file before a container starts that reads it.
func certificatesAreDelivered(definition, reader stacktest.Resource, file string) bool {
	volume := func(c stacktest.Resource) string {
		for _, m := range c.Blocks("mountPoints") {
			if strings.HasPrefix(file, m.String("containerPath")+"/") {
				return m.String("sourceVolume")
			}
		}
		return ""
	}
	for _, c := range definition.Containers() {
		first := reader.Is("dependsOn[containerName="+c.String("name")+"].condition", "SUCCESS")
		writes := strings.HasSuffix(strings.Join(c.Strings("command"), " "), "> "+file) &&
			strings.HasPrefix(c.String("environment[name=CERTIFICATES].value"), "-----BEGIN CERTIFICATE-----")
		if first && writes && volume(c) != "" && volume(c) == volume(reader) {
			return true
		}
	}
	return false
}

const (
	migratedDatabase   = "aws_db_instance.database_restored_migrated"
	yesterdaysDatabase = "aws_db_instance.database_restored_yesterday"
)

var databasePromises = []stacktest.Promise{{
	Name:  "RDS accepts the database parameters and applies them at the right time",
	Check: databaseParametersAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a static parameter is applied immediately",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=shared_preload_libraries].apply_method", "immediate"),
		Found: parameterGroup,
	}, {
		Name:  "a dynamic parameter waits for a restart that never comes",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_lock_waits].apply_method", "pending-reboot"),
		Found: parameterGroup,
	}, {
		Name:  "a parameter has its default, and every plan shows a change",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=rds.force_ssl].apply_method", "immediate"),
		Found: parameterGroup,
	}, {
		Name:  "log_connections is a boolean with PostgreSQL 18, which has a list",
		Stack: "a restored database",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_connections].value", "1"),
		Found: parameterGroup,
	}, {
		Name:  "log_connections is a list with PostgreSQL 17, which has a boolean",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_connections].value", "all"),
		Found: parameterGroup,
	}, {
		Name:  "pg_stat_statements is not loaded",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=shared_preload_libraries].value", "auto_explain"),
		Found: parameterGroup,
	}, {
		Name:  "a parameter is set twice",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_disconnections].name", "log_connections"),
		Found: parameterGroup,
	}, {
		Name:  "a parameter is unknown to PostgreSQL",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_min_duration_statement].name", "log_slow_statements"),
		Found: parameterGroup,
	}, {
		Name:  "a duration parameter has a unit",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_min_duration_statement].value", "1s"),
		Found: parameterGroup,
	}, {
		Name:  "a boolean parameter is on instead of 1",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_lock_waits].value", "on"),
		Found: parameterGroup,
	}, {
		Name:  "log_connections names an unknown stage",
		Stack: "a restored database",
		By:    stacktest.Set(parameterGroup, "parameter[name=log_connections].value", "every"),
		Found: parameterGroup,
	}, {
		Name:  "the list of preloaded libraries contains a space",
		Stack: "prod",
		By: stacktest.Set(
			parameterGroup, "parameter[name=shared_preload_libraries].value",
			"auto_explain, pg_stat_statements",
		),
		Found: parameterGroup,
	}},
}, {
	Name:  "the database and its master user have names that RDS accepts, and RDS manages the password",
	Check: databaseNamesAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "the master user is called admin, which is reserved",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "admin"),
		Found: databaseInstance,
	}, {
		Name:  "the master user is called rdsadmin, which is the user of RDS itself",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "rdsadmin"),
		Found: databaseInstance,
	}, {
		Name:  "the master user has a name like the predefined roles of PostgreSQL",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "pg_dba"),
		Found: databaseInstance,
	}, {
		Name:  "the master user has a name like the roles of RDS",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "rds_superuser"),
		Found: databaseInstance,
	}, {
		Name:  "the master user's name contains a hyphen",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "my-user"),
		Found: databaseInstance,
	}, {
		Name:  "the master user's name is longer than RDS allows",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "username", "platform_operator"),
		Found: databaseInstance,
	}, {
		Name:  "the master user has no name",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "username"),
		Found: databaseInstance,
	}, {
		Name:  "the database has a reserved word of SQL as its name",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "db_name", "order"),
		Found: databaseInstance,
	}, {
		Name:  "the database's name contains a hyphen",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "db_name", "my-shop"),
		Found: databaseInstance,
	}, {
		Name:  "the instance has a password besides the one that RDS manages",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "password", "secret"),
		Found: databaseInstance,
	}},
}, {
	Name:  "the engine version is a major version, and the parameter group allows an upgrade to the next",
	Check: databaseUpgradesArePossible,
	BrokenBy: []stacktest.Break{{
		Name:  "the engine version is a minor version, which conflicts with automatic upgrades",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "engine_version", "17.4"),
		Found: databaseInstance,
	}, {
		Name:  "the instance's engine has another version than the family of its parameter group",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "family", "postgres16"),
		Found: databaseInstance,
	}, {
		Name:  "the parameter group's name does not contain its family",
		Stack: "prod",
		By:    stacktest.Set(parameterGroup, "name", "platform-prod"),
		Found: parameterGroup,
	}, {
		Name:  "the old parameter group is deleted before the new one is created",
		Stack: "prod",
		By:    stacktest.Remove(parameterGroup, "lifecycle.create_before_destroy"),
		Found: parameterGroup,
	}, {
		Name:  "minor versions are not upgraded automatically",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "auto_minor_version_upgrade", false),
		Found: databaseInstance,
	}, {
		Name:  "apply_immediately is unset",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "apply_immediately"),
		Found: databaseInstance,
	}, {
		Name:  "the maintenance window is unset",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "maintenance_window"),
		Found: databaseInstance,
	}, {
		Name:  "the backup window is unset",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "backup_window"),
		Found: databaseInstance,
	}},
}, {
	Name:  "the database has gp3 storage of a size that RDS accepts, with a limit above it",
	Check: storageIsAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "IOPS are set for storage of less than 400 GiB",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "iops", 12000.0),
		Found: databaseInstance,
	}, {
		Name:  "throughput is set for storage of less than 400 GiB",
		Stack: "dev",
		By:    stacktest.Add(databaseInstance, "storage_throughput", 500.0),
		Found: databaseInstance,
	}, {
		Name:  "IOPS are not set for storage of 400 GiB or more",
		Stack: "production over HTTP",
		By:    stacktest.Remove(databaseInstance, "iops"),
		Found: databaseInstance,
	}, {
		Name:  "throughput is that of smaller storage",
		Stack: "production over HTTP",
		By:    stacktest.Set(databaseInstance, "storage_throughput", 125.0),
		Found: databaseInstance,
	}, {
		Name:  "the storage limit is less than a tenth above the initial size",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "max_allocated_storage", 105.0),
		Found: databaseInstance,
	}, {
		Name:  "the database has magnetic storage",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "storage_type", "standard"),
		Found: databaseInstance,
	}, {
		Name:  "the storage is smaller than 20 GiB",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "allocated_storage", 10.0),
		Found: databaseInstance,
	}},
}, {
	Name:  "the database can run in two zones, has backups, and exports logs and metrics",
	Check: databaseIsRecoverable,
	BrokenBy: []stacktest.Break{{
		Name:  "the subnet group has subnets of one zone only",
		Stack: "dev",
		By: stacktest.Set(
			"aws_db_subnet_group.database_subnet_group", "subnet_ids",
			[]any{"${aws_subnet.database_subnet_a.id}"},
		),
		Found: databaseInstance,
	}, {
		Name:  "automated backups are disabled",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "backup_retention_period", 0.0),
		Found: databaseInstance,
	}, {
		Name:  "snapshots do not have the instance's tags",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "copy_tags_to_snapshot", false),
		Found: databaseInstance,
	}, {
		Name:  "no logs are exported",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "enabled_cloudwatch_logs_exports", []any{}),
		Found: databaseInstance,
	}, {
		Name:  "Performance Insights has a retention period that AWS rejects",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "performance_insights_retention_period", 30.0),
		Found: databaseInstance,
	}, {
		Name:  "advanced Database Insights has less than 465 days of retention",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "database_insights_mode", "advanced"),
		Found: databaseInstance,
	}, {
		Name:  "Enhanced Monitoring is disabled",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "monitoring_interval", 0.0),
		Found: databaseInstance,
	}},
}, {
	// The provider waits 40 minutes for a new instance, which a restore of some hundred gigabytes
	// exceeds. The instance is then tainted, and the next deployment replaces it.
	Name:  "Terraform waits for hours until a database is restored, upgraded, or has its final snapshot",
	Check: databasesHaveTime,
	BrokenBy: []stacktest.Break{{
		Name:  "a restore has to end within the provider's 40 minutes",
		Stack: "a restored database",
		By:    stacktest.Remove("aws_db_instance.database_restored_yesterday", "timeouts"),
		Found: "aws_db_instance.database_restored_yesterday",
	}, {
		Name:  "an upgrade has to end within 80 minutes",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "timeouts.update", "80m"),
		Found: databaseInstance,
	}, {
		Name:  "the final snapshot has to end within an hour",
		Stack: "dev",
		By:    stacktest.Remove(databaseInstance, "timeouts.delete"),
		Found: databaseInstance,
	}},
}, {
	Name:    "a database with deletion protection has a standby, and only such a database",
	Check:   protectedDatabaseHasStandby,
	Shipped: true,
	BrokenBy: []stacktest.Break{{
		Name:  "the protected database has no standby",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "multi_az", false),
		Found: databaseInstance,
	}},
}, {
	Name:  "a restored database is created beside the main one, and a change of its source does not replace it",
	Check: restoresAreAdditional,
	BrokenBy: []stacktest.Break{{
		Name:  "the main database is restored from a snapshot",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "snapshot_identifier", "before"),
		Found: databaseInstance,
	}, {
		Name:  "a change of the snapshot replaces the restored database",
		Stack: "a restored database",
		By:    stacktest.Remove(migratedDatabase, "lifecycle.ignore_changes"),
		Found: migratedDatabase,
	}, {
		Name:  "a change of the time replaces the restored database",
		Stack: "a restored database",
		By:    stacktest.Set(yesterdaysDatabase, "lifecycle.ignore_changes", []any{"snapshot_identifier"}),
		Found: yesterdaysDatabase,
	}, {
		Name:  "the key of the snapshot replaces the restored database",
		Stack: "a restored database",
		By: stacktest.Set(
			yesterdaysDatabase, "lifecycle.ignore_changes",
			[]any{"snapshot_identifier", "restore_to_point_in_time"},
		),
		Found: yesterdaysDatabase,
	}, {
		Name:  "a restored database has the storage size that the main one began with",
		Stack: "a restored database",
		By:    stacktest.Add(migratedDatabase, "allocated_storage", 20.0),
		Found: migratedDatabase,
	}, {
		Name:  "a restored database has a user name besides the snapshot's",
		Stack: "a restored database",
		By:    stacktest.Add(migratedDatabase, "username", "platform"),
		Found: migratedDatabase,
	}, {
		Name:  "the database is a replica, which RDS rejects while it manages the password",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "replicate_source_db", "other"),
		Found: databaseInstance,
	}, {
		Name:  "the database has blue/green updates, which RDS rejects while it manages the password",
		Stack: "prod",
		By:    stacktest.Add(databaseInstance, "blue_green_update", map[string]any{"enabled": true}),
		Found: databaseInstance,
	}, {
		Name:  "the main database is deleted",
		Stack: "a restored database",
		By:    stacktest.Delete(databaseInstance),
		Found: yesterdaysDatabase,
	}},
}}

// dynamicParameters are the parameters in use that RDS applies without a restart. It rejects
// "immediate" for the others, and "pending-reboot" would leave these without effect.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
var dynamicParameters = []string{
	"log_connections", "log_disconnections", "log_lock_waits", "log_min_duration_statement", "rds.force_ssl",
}

// connectionStage is an element of log_connections, which is a list from PostgreSQL 18.
const connectionStage = `(receipt|authentication|authorization|setup_durations)`

// parameterValues are the values that RDS accepts for the parameters in use: the AllowedValues of
// `aws rds describe-engine-default-parameters`. RDS has 0 and 1 where PostgreSQL has on and off.
// See also PostgreSQL's manual:
// https://www.postgresql.org/docs/current/runtime-config-logging.html
var parameterValues = map[string]*regexp.Regexp{
	"log_connections":    regexp.MustCompile(`^([01]|all|` + connectionStage + `(,` + connectionStage + `)*)$`),
	"log_disconnections": regexp.MustCompile(`^[01]$`),
	"log_lock_waits":     regexp.MustCompile(`^[01]$`),
	// Milliseconds, in 31 bits.
	"log_min_duration_statement": regexp.MustCompile(`^(-1|0|[1-9][0-9]{0,8}|1[0-9]{9}|20[0-9]{8})$`),
	"max_connections":            regexp.MustCompile(`^[1-9][0-9]{1,5}$`),
	"rds.force_ssl":              regexp.MustCompile(`^[01]$`),
	"shared_preload_libraries":   regexp.MustCompile(`^[a-z_]+(,[a-z_]+)*$`),
}

func databaseParametersAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, group := range s.Resources("aws_db_parameter_group") {
		seen := map[string]bool{}
		for _, p := range group.Blocks("parameter") {
			name := p.String("name")
			v.Want(!seen[name], group.Address, "sets %s twice", name)
			seen[name] = true
			shape := parameterValues[name]
			v.Want(shape != nil && shape.MatchString(p.String("value")),
				group.Address, "%s is %v: want a known parameter with a value that RDS accepts", name, p.At("value"))
			// From PostgreSQL 15 on, 1 is RDS's default: RDS registers nothing and goes on answering
			// pending-reboot, so that every plan would show a change.
			// https://github.com/hashicorp/terraform-provider-aws/issues/39252
			isDefault := name == "rds.force_ssl" && !group.Is("family", "postgres14")
			method := "pending-reboot"
			if slices.Contains(dynamicParameters, name) && !isDefault {
				method = "immediate"
			}
			v.Want(p.Is("apply_method", method),
				group.Address, "parameter %s has apply_method %v, want %s", name, p.At("apply_method"), method)
		}
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html
		// It is a list of stages from PostgreSQL 18.
		version, _ := strconv.Atoi(strings.TrimPrefix(group.String("family"), "postgres"))
		connections := group.String("parameter[name=log_connections].value")
		v.Want(version >= 18 && connections != "1" || version < 18 && connections == "1",
			group.Address, "log_connections is %q, which does not fit PostgreSQL %d", connections, version)
		v.Want(strings.Contains(group.String("parameter[name=shared_preload_libraries].value"), "pg_stat_statements"),
			group.Address, "does not load pg_stat_statements")
	}
}

// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
// RDS does not document which words it reserves beside PostgreSQL's. It rejects the users admin and
// rdsadmin (https://github.com/aws-cloudformation/cfn-lint/pull/4425); PostgreSQL rejects roles that
// begin with pg_.
func databaseNamesAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	accepted := func(name string, limit int) bool {
		return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`).MatchString(name) && len(name) <= limit &&
			!slices.Contains(config.DatabaseWords, strings.ToLower(name)) &&
			!strings.HasPrefix(name, "pg_") && !strings.HasPrefix(name, "rds_")
	}
	for _, d := range s.Resources("aws_db_instance") {
		v.Want(!d.Has("password") && d.Is("manage_master_user_password", true),
			d.Address, "has a password that RDS does not manage")
		if d.Has("snapshot_identifier") || d.Has("restore_to_point_in_time") {
			continue // the names come with the snapshot
		}
		v.Want(accepted(d.String("username"), 16),
			d.Address, "has a user name that RDS rejects: %q", d.String("username"))
		v.Want(accepted(d.String("db_name"), 63),
			d.Address, "has a database name that RDS rejects: %q", d.String("db_name"))
	}
}

func databaseUpgradesArePossible(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		group := s.Resource(d.Reference("parameter_group_name"))
		v.Want(regexp.MustCompile(`^1[4-9]$`).MatchString(d.String("engine_version")),
			d.Address, "want a major version alone as engine version, have %v", d.At("engine_version"))
		v.Want(d.Is("engine", "postgres") && group.Is("family", "postgres"+d.String("engine_version")),
			d.Address, "is %v %v with parameters for %v", d.At("engine"), d.At("engine_version"), group.At("family"))
		v.Want(d.Is("auto_minor_version_upgrade", true), d.Address, "does not upgrade minor versions automatically")
		v.Want(d.Has("apply_immediately"), d.Address, "does not say whether changes wait for the maintenance window")
		v.Want(d.Has("maintenance_window") && d.Has("backup_window"),
			d.Address, "want a maintenance window and a backup window")
	}
	for _, group := range s.Resources("aws_db_parameter_group") {
		v.Want(group.String("family") != "" &&
			strings.HasSuffix(group.String("name"), "-"+group.String("family")) &&
			group.Is("lifecycle.create_before_destroy", true),
			group.Address, "cannot exist beside the parameter group of the next major version")
	}
}

func storageIsAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		v.Want(d.Is("storage_type", "gp3"), d.Address, "want gp3 storage")
		initial := d.Number("allocated_storage")
		if strings.HasPrefix(d.ID(), "database_restored_") {
			continue // the size comes with the snapshot
		}
		v.Want(initial >= 20, d.Address, "want 20 GiB or more of storage")
		v.Want(initial >= 400 || !d.Has("iops") && !d.Has("storage_throughput"),
			d.Address, "sets IOPS or throughput, which gp3 has from 400 GiB")
		// Otherwise the provider sends those of the smaller storage with the larger size.
		v.Want(initial < 400 || d.Number("iops") >= 12000 && d.Number("storage_throughput") >= 500,
			d.Address, "want 12000 IOPS and 500 MiB/s from 400 GiB, the least that RDS accepts")
		limit := d.Number("max_allocated_storage")
		v.Want(limit == 0 || limit*10 >= initial*11,
			d.Address, "want a storage limit a tenth above %v, or 0 for none, have %v", initial, limit)
	}
}

func databaseIsRecoverable(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		group := s.Resource(d.Reference("db_subnet_group_name"))
		zones := map[string]bool{}
		for _, subnet := range group.References("subnet_ids") {
			zones[s.Resource(subnet).String("availability_zone")] = true
		}
		v.Want(len(zones) >= 2, d.Address, "want subnets in two zones")
		v.Want(d.Number("backup_retention_period") >= 1,
			d.Address, "has no automated backups, and cannot be restored to a point in time")
		v.Want(d.Is("copy_tags_to_snapshot", true), d.Address, "does not copy its tags to its snapshots")
		v.Want(slices.Equal(d.Strings("enabled_cloudwatch_logs_exports"), []string{"postgresql", "upgrade"}),
			d.Address, "does not export its logs")
		v.Want(d.Number("monitoring_interval") > 0 && d.Has("monitoring_role_arn"),
			d.Address, "has no Enhanced Monitoring")
		kept := d.Number("performance_insights_retention_period")
		v.Want(kept == 7 || kept == 731 || kept > 0 && int(kept)%31 == 0 && kept <= 713,
			d.Address, "keeps Performance Insights for %v days, which AWS rejects", kept)
		v.Want(!d.Is("database_insights_mode", "advanced") || kept >= 465,
			d.Address, "want 465 days of retention for advanced Database Insights")
	}
}

func databasesHaveTime(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		for _, operation := range []string{"create", "update", "delete"} {
			wait, err := time.ParseDuration(d.String("timeouts." + operation))
			v.Want(err == nil && wait >= 6*time.Hour,
				d.Address, "want at least 6 hours to %s it, have %v", operation, d.At("timeouts."+operation))
		}
	}
}

func protectedDatabaseHasStandby(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		v.Want(
			d.At("multi_az") == d.At("deletion_protection"),
			d.Address, "want a standby exactly if it is protected; protected: %v, standby: %v",
			d.At("deletion_protection"), d.At("multi_az"),
		)
	}
}

func restoresAreAdditional(s stacktest.Stack, v *stacktest.Violations) {
	for _, d := range s.Resources("aws_db_instance") {
		v.Want(!d.Has("replicate_source_db") && !d.Has("blue_green_update"),
			d.Address, "is a replica or has blue/green updates, which RDS rejects while it manages the password")
		restored := d.Has("snapshot_identifier") || d.Has("restore_to_point_in_time")
		v.Want(!restored || strings.HasPrefix(d.ID(), "database_restored_"),
			d.Address, "is replaced by a restored database, and its data is lost")
		if !restored {
			continue
		}
		ignored := d.Strings("lifecycle.ignore_changes")
		v.Want(slices.Contains(ignored, "snapshot_identifier") && slices.Contains(ignored, "restore_to_point_in_time"),
			d.Address, "is replaced when its source changes")
		v.Want(slices.Contains(ignored, "kms_key_id"), d.Address, "is replaced, because it has the key of its snapshot")
		v.Want(!d.Has("allocated_storage"),
			d.Address, "sets its storage, and RDS rejects a size below that of the snapshot")
		v.Want(!d.Has("username") && !d.Has("db_name"),
			d.Address, "names its user or database, which come with the snapshot")
		v.Want(s.Resource(databaseInstance).Exists(), d.Address, "is restored, but there is no main database beside it")
	}
}

// usedDatabases returns the databases that services connect to.
func usedDatabases(s stacktest.Stack) []string {
	var used []string
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			if c.Has("environment[name=PGHOST]") {
				used = append(used, c.Reference("environment[name=PGHOST].value"))
			}
		}
	}
	slices.Sort(used)
	return slices.Compact(used)
}
