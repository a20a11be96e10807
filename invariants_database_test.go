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
		promise: "the database speaks TLS only, and is told so by whoever asks it",
		check:   databaseSpeaksTLS,
		broken: []damage{
			{"it need not", "prod", change(parameters, "parameter.4.value", "0"), parameters},
			{"it says nothing", "prod", change(parameters, "parameter", []any{}), parameters},
			{"a service does not ask for it", "prod", replace(webDefinition, "container_definitions", `"PGSSLMODE","value":"verify-full"`, `"PGSSLMODE","value":"prefer"`), webDefinition},
			{"it verifies by an authority that the image has not", "prod", replace(webDefinition, "container_definitions", `"PGSSLROOTCERT","value":"/certificates/rds.pem"`, `"PGSSLROOTCERT","value":"system"`), webDefinition},
			{"an authority that has expired", "prod", change(database, "ca_cert_identifier", "rds-ca-2019"), database},
		},
	},
	{
		promise: "database parameters are what the engine takes, when it takes them",
		check:   parametersFit,
		broken: []damage{
			{"a static one at once", "prod", change(parameters, "parameter.5.apply_method", "immediate"), parameters},
			{"a boolean where PostgreSQL 18 wants a list", "a restored database", change(parameters, "parameter.0.value", "1"), parameters},
			{"a list where PostgreSQL 17 wants a boolean", "prod", change(parameters, "parameter.0.value", "all"), parameters},
			{"statements are not counted", "prod", change(parameters, "parameter.5.value", "auto_explain"), parameters},
			{"one twice", "prod", change(parameters, "parameter.1.name", "log_connections"), parameters},
			{"one that PostgreSQL has not", "prod", change(parameters, "parameter.3.name", "log_slow_statements"), parameters},
			{"a word where a number is meant", "prod", change(parameters, "parameter.3.value", "1s"), parameters},
			{"a word where RDS wants 0 or 1", "prod", change(parameters, "parameter.2.value", "on"), parameters},
			{"a stage of connecting that there is not", "a restored database", change(parameters, "parameter.0.value", "every"), parameters},
			{"a library with a space before it", "prod", change(parameters, "parameter.5.value", "auto_explain, pg_stat_statements"), parameters},
		},
	},
	{
		promise: "the database and its user have names that RDS does not keep for itself",
		check:   databaseNamesAreFree,
		broken: []damage{
			{"a user that PostgreSQL keeps", "prod", change(database, "username", "admin"), database},
			{"RDS' own user", "prod", change(database, "username", "rdsadmin"), database},
			{"a role of PostgreSQL's own", "prod", change(database, "username", "pg_dba"), database},
			{"a role of RDS' own", "prod", change(database, "username", "rds_superuser"), database},
			{"a user with a dash", "prod", change(database, "username", "my-user"), database},
			{"a user longer than RDS takes", "prod", change(database, "username", "platform_operator"), database},
			{"no user", "prod", unset(database, "username"), database},
			{"a word of SQL as a database", "prod", change(database, "db_name", "order"), database},
			{"a database with a dash", "prod", change(database, "db_name", "my-shop"), database},
			{"a password beside the one that RDS keeps", "prod", add(database, "password", "secret"), database},
		},
	},
	{
		promise: "the engine's version is the major alone, and the next major's parameters can be made while it runs",
		check:   versionsAgree,
		broken: []damage{
			{"a minor, against which upgrades fight", "prod", change(database, "engine_version", "17.4"), database},
			{"the family of another", "prod", change(parameters, "family", "postgres16"), database},
			{"a name without the family", "prod", change(parameters, "name", "platform-prod"), parameters},
			{"it goes before the next is there", "prod", unset(parameters, "lifecycle.create_before_destroy"), parameters},
			{"no minor upgrades", "prod", change(database, "auto_minor_version_upgrade", false), database},
			{"nobody said when changes come", "prod", unset(database, "apply_immediately"), database},
			{"nobody said when upgrades come", "prod", unset(database, "maintenance_window"), database},
		},
	},
	{
		promise: "the database's storage is gp3 within what AWS takes, and grows",
		check:   storageFits,
		broken: []damage{
			{"IOPS below 400 GiB", "prod", add(database, "iops", 12000.0), database},
			{"throughput below 400 GiB", "dev", add(database, "storage_throughput", 500.0), database},
			{"a bound too close", "prod", change(database, "max_allocated_storage", 105.0), database},
			{"another kind", "prod", change(database, "storage_type", "standard"), database},
			{"too little", "prod", change(database, "allocated_storage", 10.0), database},
		},
	},
	{
		promise: "the database can stand in two zones, and go back in time",
		check:   databaseIsDurable,
		broken: []damage{
			{"one zone", "dev", change("aws_db_subnet_group.database_subnet_group", "subnet_ids", []any{id("aws_subnet.database_subnet_a")}), database},
			{"no way back", "dev", change(database, "backup_retention_period", 0.0), database},
			{"snapshots without tags", "dev", change(database, "copy_tags_to_snapshot", false), database},
			{"logs of neither kind", "dev", change(database, "enabled_cloudwatch_logs_exports", []any{}), database},
			{"Insights' retention that AWS refuses", "dev", change(database, "performance_insights_retention_period", 30.0), database},
			{"advanced Insights kept too short", "prod", change(database, "database_insights_mode", "advanced"), database},
			{"the system is not watched", "prod", change(database, "monitoring_interval", 0.0), database},
		},
	},
	{
		promise: "what is protected has a standby",
		check:   protectedHasAStandby,
		shipped: true,
		broken: []damage{
			{"it has none", "prod", change(database, "multi_az", false), database},
		},
	},
	{
		promise: "a restored database is a new one beside the old, and is not made anew when its source changes",
		check:   restoresStandBeside,
		broken: []damage{
			{"the main one is replaced by a snapshot", "prod", add(database, "snapshot_identifier", "before"), database},
			{"a change of the snapshot replaces it", "a restored database", unset("aws_db_instance.database_restored_migrated", "lifecycle.ignore_changes"), "aws_db_instance.database_restored_migrated"},
			{"a change of the time does", "a restored database", change("aws_db_instance.database_restored_yesterday", "lifecycle.ignore_changes", []any{"snapshot_identifier"}), "aws_db_instance.database_restored_yesterday"},
			{"its key does", "a restored database", change("aws_db_instance.database_restored_yesterday", "lifecycle.ignore_changes", []any{"snapshot_identifier", "restore_to_point_in_time"}), "aws_db_instance.database_restored_yesterday"},
			{"a size that it has outgrown", "a restored database", add("aws_db_instance.database_restored_migrated", "allocated_storage", 20.0), "aws_db_instance.database_restored_migrated"},
			{"a user that the snapshot has not", "a restored database", add("aws_db_instance.database_restored_migrated", "username", "platform"), "aws_db_instance.database_restored_migrated"},
			{"a replica, which RDS refuses while it keeps the password", "prod", add(database, "replicate_source_db", "other"), database},
			{"a blue/green update, likewise", "prod", add(database, "blue_green_update", tree{"enabled": true}), database},
			{"the old one is gone", "a restored database", drop(database), "aws_db_instance.database_restored_yesterday"},
		},
	},
}

func databaseSpeaksTLS(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(d.is("ca_cert_identifier", "rds-ca-rsa2048-g1") || d.is("ca_cert_identifier", "rds-ca-rsa4096-g1") || d.is("ca_cert_identifier", "rds-ca-ecc384-g1"), d.address, "has a certificate of %v", d.at("ca_cert_identifier"))
		group := get(stack, d.ref("parameter_group_name"))
		v.want(parametersOf(group)["rds.force_ssl"].is("value", "1"), group.address, "lets %s speak without TLS", d.address)
	}
	for _, t := range tasks(stack) {
		for _, c := range t.containers {
			told := variables(c, "environment", "value")
			if _, uses := told["PGHOST"]; !uses {
				continue
			}
			// No stock image holds RDS' authority, and the system's do not include it: verify-full takes a file of our own.
			v.want(told["PGSSLMODE"] == "verify-full" && deliversCertificates(t, c, told["PGSSLROOTCERT"]), c.address, "asks for TLS %q with authorities from %q", told["PGSSLMODE"], told["PGSSLROOTCERT"])
		}
	}
	return v
}

// deliversCertificates tells whether another container of a task has written certificates to a file before a container starts that reads it.
func deliversCertificates(t task, to thing, file string) bool {
	volume := func(c thing) string {
		for _, m := range c.parts("mountPoints") {
			if strings.HasPrefix(file, m.text("containerPath")+"/") {
				return m.text("sourceVolume")
			}
		}
		return ""
	}
	for _, needed := range to.parts("dependsOn") {
		for _, c := range t.containers {
			writes := strings.HasSuffix(strings.Join(c.strings("command"), " "), "> "+file) && strings.HasPrefix(variables(c, "environment", "value")["CERTIFICATES"], "-----BEGIN CERTIFICATE-----")
			if needed.is("condition", "SUCCESS") && needed.is("containerName", c.text("name")) && writes && volume(c) != "" && volume(c) == volume(to) {
				return true
			}
		}
	}
	return false
}

func parametersOf(group thing) map[string]thing {
	all := map[string]thing{}
	for _, p := range group.parts("parameter") {
		all[p.text("name")] = p
	}
	return all
}

// staticParameters need a restart: RDS refuses "immediate" for them. Those that a platform like this is likely to set.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Parameters.html
var staticParameters = []string{
	"autovacuum_max_workers", "max_connections", "max_locks_per_transaction", "max_prepared_transactions", "max_replication_slots", "max_wal_senders",
	"max_worker_processes", "rds.logical_replication", "rds.restrict_password_commands", "shared_buffers", "shared_preload_libraries",
	"track_activity_query_size", "wal_buffers",
}

// parameterValues are what RDS takes for the parameters that are set. It has 0 and 1 where PostgreSQL has on and off. Another parameter is looked up by
// aws rds describe-engine-default-parameters, whose AllowedValues these are, or in PostgreSQL's own manual:
// https://www.postgresql.org/docs/current/runtime-config-logging.html
var parameterValues = map[string]*regexp.Regexp{
	"log_connections":            regexp.MustCompile(`^([01]|all|(receipt|authentication|authorization|setup_durations)(,(receipt|authentication|authorization|setup_durations))*)$`),
	"log_disconnections":         regexp.MustCompile(`^[01]$`),
	"log_lock_waits":             regexp.MustCompile(`^[01]$`),
	"log_min_duration_statement": regexp.MustCompile(`^(-1|0|[1-9][0-9]{0,8}|1[0-9]{9}|20[0-9]{8})$`), // milliseconds, in 31 bits
	"rds.force_ssl":              regexp.MustCompile(`^[01]$`),
	"shared_preload_libraries":   regexp.MustCompile(`^[a-z_]+(,[a-z_]+)*$`),
}

func parametersFit(stack tree) (v violations) {
	for _, group := range things(stack, "aws_db_parameter_group") {
		of := parametersOf(group)
		v.want(len(of) == len(group.parts("parameter")), group.address, "names a parameter twice")
		for name, p := range of {
			shape := parameterValues[name]
			v.want(shape != nil && shape.MatchString(p.text("value")), group.address, "%s is %v, which is not known", name, p.at("value"))
			v.want(p.is("apply_method", "pending-reboot") || p.is("apply_method", "immediate") && !slices.Contains(staticParameters, name), group.address, "%s is %v", name, p.at("apply_method"))
		}
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html; 18 made it a list of stages
		version, _ := strconv.Atoi(strings.TrimPrefix(group.text("family"), "postgres"))
		connections := of["log_connections"].text("value")
		v.want(version >= 18 && connections != "1" || version < 18 && connections == "1", group.address, "log_connections is %q with PostgreSQL %d", connections, version)
		v.want(strings.Contains(of["shared_preload_libraries"].text("value"), "pg_stat_statements"), group.address, "does not count statements")
	}
	slices.Sort(v)
	return v
}

// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html. Which words are reserved beside PostgreSQL's RDS does not say; of
// names, it refuses admin and rdsadmin (https://github.com/aws-cloudformation/cfn-lint/pull/4425), and PostgreSQL roles that begin with pg_.
func databaseNamesAreFree(stack tree) (v violations) {
	free := func(name string, limit int) bool {
		return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`).MatchString(name) && len(name) <= limit && !slices.Contains(config.DatabaseWords, strings.ToLower(name)) &&
			!strings.HasPrefix(name, "pg_") && !strings.HasPrefix(name, "rds_")
	}
	for _, d := range things(stack, "aws_db_instance") {
		v.want(!d.has("password") && d.is("manage_master_user_password", true), d.address, "has a password that RDS does not keep")
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
		v.want(regexp.MustCompile(`^1[4-9]$`).MatchString(d.text("engine_version")), d.address, "wants a major version alone, has %v", d.at("engine_version"))
		v.want(d.is("engine", "postgres") && group.is("family", "postgres"+d.text("engine_version")), d.address, "is %v %v with parameters for %v", d.at("engine"), d.at("engine_version"), group.at("family"))
		v.want(d.is("auto_minor_version_upgrade", true), d.address, "is left on old minor versions")
		v.want(d.has("apply_immediately"), d.address, "does not say whether changes wait for the window")
		v.want(d.has("maintenance_window") && d.has("backup_window"), d.address, "is changed and copied at a time of AWS' choosing")
	}
	for _, group := range things(stack, "aws_db_parameter_group") {
		v.want(group.text("family") != "" && strings.HasSuffix(group.text("name"), "-"+group.text("family")) && group.is("lifecycle.create_before_destroy", true),
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
		v.want(initial >= 400 || !d.has("iops") && !d.has("storage_throughput"), d.address, "sets IOPS or throughput, which gp3 has from 400 GiB on")
		limit := d.number("max_allocated_storage")
		v.want(limit == 0 || limit*10 >= initial*11, d.address, "wants a bound a tenth above %v, or 0 for none, has %v", initial, limit)
	}
	return v
}

func databaseIsDurable(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		group := get(stack, d.ref("db_subnet_group_name"))
		v.want(len(zonesOf(stack, group.refs("subnet_ids"))) >= 2, d.address, "wants subnets of two zones")
		v.want(d.number("backup_retention_period") >= 1, d.address, "cannot go back in time")
		v.want(d.is("copy_tags_to_snapshot", true), d.address, "has snapshots without tags")
		v.want(slices.Equal(d.strings("enabled_cloudwatch_logs_exports"), []string{"postgresql", "upgrade"}), d.address, "does not show its logs")
		v.want(d.number("monitoring_interval") > 0 && d.has("monitoring_role_arn"), d.address, "does not show how its system is")
		kept := d.number("performance_insights_retention_period")
		v.want(kept == 7 || kept == 731 || kept > 0 && int(kept)%31 == 0 && kept <= 713, d.address, "keeps Insights for %v days, which AWS refuses", kept)
		v.want(!d.is("database_insights_mode", "advanced") || kept >= 465, d.address, "wants 465 days for advanced Insights")
	}
	return v
}

func protectedHasAStandby(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(d.at("multi_az") == d.at("deletion_protection"), d.address, "is protected: %v, and has a standby: %v", d.at("deletion_protection"), d.at("multi_az"))
	}
	return v
}

func restoresStandBeside(stack tree) (v violations) {
	for _, d := range things(stack, "aws_db_instance") {
		v.want(!d.has("replicate_source_db") && !d.has("blue_green_update"), d.address, "is refused while RDS keeps the password")
		restored := d.has("snapshot_identifier") || d.has("restore_to_point_in_time")
		v.want(!restored || strings.HasPrefix(d.id(), "database_restored_"), d.address, "is replaced, with all that is in it")
		if !restored {
			continue
		}
		ignored := d.strings("lifecycle.ignore_changes")
		v.want(slices.Contains(ignored, "snapshot_identifier") && slices.Contains(ignored, "restore_to_point_in_time"), d.address, "is made anew when what it was made from changes")
		v.want(slices.Contains(ignored, "kms_key_id"), d.address, "is made anew, since it has the snapshot's key")
		v.want(!d.has("allocated_storage"), d.address, "is shrunk to what the main one began with, which RDS refuses")
		v.want(!d.has("username") && !d.has("db_name"), d.address, "names what comes with the snapshot, and RDS refuses it")
		v.want(get(stack, database).exists(), d.address, "is not beside the one it was made from")
	}
	return v
}
