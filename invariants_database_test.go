package main

import (
	"platform/internal/config"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var databaseInvariants = []invariant{
	{
		promise: "database parameters are what the engine takes, when it takes them",
		check:   parametersFit,
		broken: []damage{
			{name: "a static one at once", stack: "prod",
				breaks: change(parameters, "parameter.5.apply_method", "immediate"), found: parameters},
			{name: "a boolean where PostgreSQL 18 wants a list", stack: "a restored database",
				breaks: change(parameters, "parameter.0.value", "1"), found: parameters},
			{name: "a list where PostgreSQL 17 wants a boolean", stack: "prod",
				breaks: change(parameters, "parameter.0.value", "all"), found: parameters},
			{name: "statements are not counted", stack: "prod",
				breaks: change(parameters, "parameter.5.value", "auto_explain"), found: parameters},
			{name: "one twice", stack: "prod",
				breaks: change(parameters, "parameter.1.name", "log_connections"), found: parameters},
			{name: "one that PostgreSQL has not", stack: "prod",
				breaks: change(parameters, "parameter.3.name", "log_slow_statements"), found: parameters},
			{name: "a word where a number is meant", stack: "prod",
				breaks: change(parameters, "parameter.3.value", "1s"), found: parameters},
			{name: "a word where RDS wants 0 or 1", stack: "prod",
				breaks: change(parameters, "parameter.2.value", "on"), found: parameters},
			{name: "a stage of connecting that there is not", stack: "a restored database",
				breaks: change(parameters, "parameter.0.value", "every"), found: parameters},
			{name: "a library with a space before it", stack: "prod",
				breaks: change(parameters, "parameter.5.value", "auto_explain, pg_stat_statements"), found: parameters},
		},
	},
	{
		promise: "the database and its user have names that RDS does not keep for itself",
		check:   databaseNamesAreFree,
		broken: []damage{
			{name: "a user that PostgreSQL keeps", stack: "prod",
				breaks: change(database, "username", "admin"), found: database},
			{name: "RDS' own user", stack: "prod",
				breaks: change(database, "username", "rdsadmin"), found: database},
			{name: "a role of PostgreSQL's own", stack: "prod",
				breaks: change(database, "username", "pg_dba"), found: database},
			{name: "a role of RDS' own", stack: "prod",
				breaks: change(database, "username", "rds_superuser"), found: database},
			{name: "a user with a dash", stack: "prod",
				breaks: change(database, "username", "my-user"), found: database},
			{name: "a user longer than RDS takes", stack: "prod",
				breaks: change(database, "username", "platform_operator"), found: database},
			{name: "no user", stack: "prod",
				breaks: unset(database, "username"), found: database},
			{name: "a word of SQL as a database", stack: "prod",
				breaks: change(database, "db_name", "order"), found: database},
			{name: "a database with a dash", stack: "prod",
				breaks: change(database, "db_name", "my-shop"), found: database},
			{name: "a password beside the one that RDS keeps", stack: "prod",
				breaks: add(database, "password", "secret"), found: database},
		},
	},
	{
		promise: "the engine's version is the major alone, and the next major's parameters can be made while it runs",
		check:   versionsAgree,
		broken: []damage{
			{name: "a minor, against which upgrades fight", stack: "prod",
				breaks: change(database, "engine_version", "17.4"), found: database},
			{name: "the family of another", stack: "prod",
				breaks: change(parameters, "family", "postgres16"), found: database},
			{name: "a name without the family", stack: "prod",
				breaks: change(parameters, "name", "platform-prod"), found: parameters},
			{name: "it goes before the next is there", stack: "prod",
				breaks: unset(parameters, "lifecycle.create_before_destroy"), found: parameters},
			{name: "no minor upgrades", stack: "prod",
				breaks: change(database, "auto_minor_version_upgrade", false), found: database},
			{name: "nobody said when changes come", stack: "prod",
				breaks: unset(database, "apply_immediately"), found: database},
			{name: "nobody said when upgrades come", stack: "prod",
				breaks: unset(database, "maintenance_window"), found: database},
		},
	},
	{
		promise: "the database's storage is gp3 within what AWS takes, and grows",
		check:   storageFits,
		broken: []damage{
			{name: "IOPS below 400 GiB", stack: "prod",
				breaks: add(database, "iops", 12000.0), found: database},
			{name: "throughput below 400 GiB", stack: "dev",
				breaks: add(database, "storage_throughput", 500.0), found: database},
			{name: "a bound too close", stack: "prod",
				breaks: change(database, "max_allocated_storage", 105.0), found: database},
			{name: "another kind", stack: "prod",
				breaks: change(database, "storage_type", "standard"), found: database},
			{name: "too little", stack: "prod",
				breaks: change(database, "allocated_storage", 10.0), found: database},
		},
	},
	{
		promise: "the database can stand in two zones, and go back in time",
		check:   databaseIsDurable,
		broken: []damage{
			{name: "one zone", stack: "dev",
				breaks: change("aws_db_subnet_group.database_subnet_group", "subnet_ids",
					[]any{id("aws_subnet.database_subnet_a")}),
				found: database},
			{name: "no way back", stack: "dev",
				breaks: change(database, "backup_retention_period", 0.0), found: database},
			{name: "snapshots without tags", stack: "dev",
				breaks: change(database, "copy_tags_to_snapshot", false), found: database},
			{name: "logs of neither kind", stack: "dev",
				breaks: change(database, "enabled_cloudwatch_logs_exports", []any{}), found: database},
			{name: "Insights' retention that AWS refuses", stack: "dev",
				breaks: change(database, "performance_insights_retention_period", 30.0), found: database},
			{name: "advanced Insights kept too short", stack: "prod",
				breaks: change(database, "database_insights_mode", "advanced"), found: database},
			{name: "the system is not watched", stack: "prod",
				breaks: change(database, "monitoring_interval", 0.0), found: database},
		},
	},
	{
		promise: "what is protected has a standby",
		check:   protectedHasAStandby,
		shipped: true,
		broken: []damage{
			{name: "it has none", stack: "prod",
				breaks: change(database, "multi_az", false), found: database},
		},
	},
	{
		promise: "a restored database is a new one beside the old, and is not made anew when its source changes",
		check:   restoresStandBeside,
		broken: []damage{
			{name: "the main one is replaced by a snapshot", stack: "prod",
				breaks: add(database, "snapshot_identifier", "before"), found: database},
			{name: "a change of the snapshot replaces it", stack: "a restored database",
				breaks: unset("aws_db_instance.database_restored_migrated", "lifecycle.ignore_changes"),
				found:  "aws_db_instance.database_restored_migrated"},
			{name: "a change of the time does", stack: "a restored database",
				breaks: change("aws_db_instance.database_restored_yesterday", "lifecycle.ignore_changes",
					[]any{"snapshot_identifier"}),
				found: "aws_db_instance.database_restored_yesterday"},
			{name: "its key does", stack: "a restored database",
				breaks: change("aws_db_instance.database_restored_yesterday", "lifecycle.ignore_changes",
					[]any{"snapshot_identifier", "restore_to_point_in_time"}),
				found: "aws_db_instance.database_restored_yesterday"},
			{name: "a size that it has outgrown", stack: "a restored database",
				breaks: add("aws_db_instance.database_restored_migrated", "allocated_storage", 20.0),
				found:  "aws_db_instance.database_restored_migrated"},
			{name: "a user that the snapshot has not", stack: "a restored database",
				breaks: add("aws_db_instance.database_restored_migrated", "username", "platform"),
				found:  "aws_db_instance.database_restored_migrated"},
			{name: "a replica, which RDS refuses while it keeps the password", stack: "prod",
				breaks: add(database, "replicate_source_db", "other"), found: database},
			{name: "a blue/green update, likewise", stack: "prod",
				breaks: add(database, "blue_green_update", tree{"enabled": true}), found: database},
			{name: "the old one is gone", stack: "a restored database",
				breaks: drop(database), found: "aws_db_instance.database_restored_yesterday"},
		},
	},
}

func parametersOf(group thing) map[string]thing {
	all := map[string]thing{}
	for _, p := range group.parts("parameter") {
		all[p.text("name")] = p
	}
	return all
}

// staticParameters need a restart: RDS refuses "immediate" for them. Those that a platform like
// this is likely to set.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
var staticParameters = []string{
	"autovacuum_max_workers", "max_connections", "max_locks_per_transaction", "max_prepared_transactions",
	"max_replication_slots", "max_wal_senders", "max_worker_processes", "rds.logical_replication",
	"rds.restrict_password_commands", "shared_buffers", "shared_preload_libraries", "track_activity_query_size",
	"wal_buffers",
}

// connectionStage is one of those that log_connections tells of, from PostgreSQL 18 on.
const connectionStage = `(receipt|authentication|authorization|setup_durations)`

// parameterValues are what RDS takes for the parameters that are set. It has 0 and 1 where
// PostgreSQL has on and off. Another parameter is looked up by
// `aws rds describe-engine-default-parameters`, whose AllowedValues these are, or in PostgreSQL's
// own manual:
// https://www.postgresql.org/docs/current/runtime-config-logging.html
var parameterValues = map[string]*regexp.Regexp{
	"log_connections":    regexp.MustCompile(`^([01]|all|` + connectionStage + `(,` + connectionStage + `)*)$`),
	"log_disconnections": regexp.MustCompile(`^[01]$`),
	"log_lock_waits":     regexp.MustCompile(`^[01]$`),
	// Milliseconds, in 31 bits.
	"log_min_duration_statement": regexp.MustCompile(`^(-1|0|[1-9][0-9]{0,8}|1[0-9]{9}|20[0-9]{8})$`),
	"rds.force_ssl":              regexp.MustCompile(`^[01]$`),
	"shared_preload_libraries":   regexp.MustCompile(`^[a-z_]+(,[a-z_]+)*$`),
}

func parametersFit(stack tree) (v violations) {
	for _, group := range things(stack, "aws_db_parameter_group") {
		of := parametersOf(group)
		v.want(len(of) == len(group.parts("parameter")), group.address, "names a parameter twice")
		for name, p := range of {
			shape := parameterValues[name]
			v.want(shape != nil && shape.MatchString(p.text("value")),
				group.address, "%s is %v, which is not known", name, p.at("value"))
			v.want(p.is("apply_method", "pending-reboot") ||
				p.is("apply_method", "immediate") && !slices.Contains(staticParameters, name),
				group.address, "%s is %v", name, p.at("apply_method"))
		}
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html;
		// 18 made it a list of stages
		version, _ := strconv.Atoi(strings.TrimPrefix(group.text("family"), "postgres"))
		connections := of["log_connections"].text("value")
		v.want(version >= 18 && connections != "1" || version < 18 && connections == "1",
			group.address, "log_connections is %q with PostgreSQL %d", connections, version)
		v.want(strings.Contains(of["shared_preload_libraries"].text("value"), "pg_stat_statements"),
			group.address, "does not count statements")
	}
	slices.Sort(v)
	return v
}

// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html. Which
// words are reserved beside PostgreSQL's RDS does not say; of names, it refuses admin and
// rdsadmin (https://github.com/aws-cloudformation/cfn-lint/pull/4425), and PostgreSQL roles
// that begin with pg_.
func databaseNamesAreFree(stack tree) (v violations) {
	free := func(name string, limit int) bool {
		return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`).MatchString(name) && len(name) <= limit &&
			!slices.Contains(config.DatabaseWords, strings.ToLower(name)) &&
			!strings.HasPrefix(name, "pg_") && !strings.HasPrefix(name, "rds_")
	}
	for _, d := range things(stack, "aws_db_instance") {
		v.want(!d.has("password") && d.is("manage_master_user_password", true),
			d.address, "has a password that RDS does not keep")
		if d.has("snapshot_identifier") || d.has("restore_to_point_in_time") {
			continue // names that come with what it is made from
		}
		v.want(free(d.text("username"), 16), d.address, "has a user whose name RDS refuses: %q", d.text("username"))
		v.want(free(d.text("db_name"), 63), d.address, "has a database whose name RDS refuses: %q", d.text("db_name"))
	}
	return v
}

func versionsAgree(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		group := get(stack, d.ref("parameter_group_name"))
		v.want(regexp.MustCompile(`^1[4-9]$`).MatchString(d.text("engine_version")),
			d.address, "wants a major version alone, has %v", d.at("engine_version"))
		v.want(d.is("engine", "postgres") && group.is("family", "postgres"+d.text("engine_version")),
			d.address, "is %v %v with parameters for %v", d.at("engine"), d.at("engine_version"), group.at("family"))
		v.want(d.is("auto_minor_version_upgrade", true), d.address, "is left on old minor versions")
		v.want(d.has("apply_immediately"), d.address, "does not say whether changes wait for the window")
		v.want(d.has("maintenance_window") && d.has("backup_window"),
			d.address, "is changed and copied at a time of AWS' choosing")
	}
	for _, group := range things(stack, "aws_db_parameter_group") {
		v.want(group.text("family") != "" &&
			strings.HasSuffix(group.text("name"), "-"+group.text("family")) &&
			group.is("lifecycle.create_before_destroy", true),
			group.address, "stands in the way of the next major's group")
	}
	return v
}

func storageFits(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(d.is("storage_type", "gp3"), d.address, "wants gp3")
		initial := d.number("allocated_storage")
		if strings.HasPrefix(d.id(), "database_restored_") {
			continue // as large as what it was made from
		}
		v.want(initial >= 20, d.address, "wants 20 GiB or more")
		v.want(initial >= 400 || !d.has("iops") && !d.has("storage_throughput"),
			d.address, "sets IOPS or throughput, which gp3 has from 400 GiB on")
		limit := d.number("max_allocated_storage")
		v.want(limit == 0 || limit*10 >= initial*11,
			d.address, "wants a bound a tenth above %v, or 0 for none, has %v", initial, limit)
	}
	return v
}

func databaseIsDurable(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		group := get(stack, d.ref("db_subnet_group_name"))
		v.want(len(zonesOf(stack, group.refs("subnet_ids"))) >= 2, d.address, "wants subnets of two zones")
		v.want(d.number("backup_retention_period") >= 1, d.address, "cannot go back in time")
		v.want(d.is("copy_tags_to_snapshot", true), d.address, "has snapshots without tags")
		v.want(slices.Equal(d.strings("enabled_cloudwatch_logs_exports"), []string{"postgresql", "upgrade"}),
			d.address, "does not show its logs")
		v.want(d.number("monitoring_interval") > 0 && d.has("monitoring_role_arn"),
			d.address, "does not show how its system is")
		kept := d.number("performance_insights_retention_period")
		v.want(kept == 7 || kept == 731 || kept > 0 && int(kept)%31 == 0 && kept <= 713,
			d.address, "keeps Insights for %v days, which AWS refuses", kept)
		v.want(!d.is("database_insights_mode", "advanced") || kept >= 465,
			d.address, "wants 465 days for advanced Insights")
	}
	return v
}

func protectedHasAStandby(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(d.at("multi_az") == d.at("deletion_protection"),
			d.address, "is protected: %v, and has a standby: %v", d.at("deletion_protection"), d.at("multi_az"))
	}
	return v
}

func restoresStandBeside(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(!d.has("replicate_source_db") && !d.has("blue_green_update"),
			d.address, "is refused while RDS keeps the password")
		restored := d.has("snapshot_identifier") || d.has("restore_to_point_in_time")
		v.want(!restored || strings.HasPrefix(d.id(), "database_restored_"),
			d.address, "is replaced, with all that is in it")
		if !restored {
			continue
		}
		ignored := d.strings("lifecycle.ignore_changes")
		v.want(slices.Contains(ignored, "snapshot_identifier") && slices.Contains(ignored, "restore_to_point_in_time"),
			d.address, "is made anew when what it was made from changes")
		v.want(slices.Contains(ignored, "kms_key_id"), d.address, "is made anew, since it has the snapshot's key")
		v.want(!d.has("allocated_storage"), d.address, "is shrunk to what the main one began with, which RDS refuses")
		v.want(!d.has("username") && !d.has("db_name"),
			d.address, "names what comes with the snapshot, and RDS refuses it")
		v.want(get(stack, database).exists(), d.address, "is not beside the one it was made from")
	}
	return v
}
