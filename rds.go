package main

import (
	"maps"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbinstance"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbparametergroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbsubnetgroup"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// Database is the PostgreSQL instance in use, and the way to it.
type Database struct {
	Identifier    *string
	ARN           *string
	Address       *string // host name without the port
	SecretARN     *string // the master's credentials, created and rotated by RDS
	SecurityGroup *securityGroup
	KeyARN        *string   // the key of its storage and its secret
	LogGroups     []*string // names

	name string // of the first database
}

const postgresPort = 5432

// newDatabase declares PostgreSQL in the database tier; nil without a database.
//
//	services with a database (5432, TLS) ── security group ── instance ── subnets without a way out
//
// RDS creates the master's password, keeps it in Secrets Manager and rotates it every seven days:
// it is never in Terraform's state. A restore is always a new instance beside the others, with ids
// of its own; database.active says which one is used.
func newDatabase(s *scope, n *Network) *Database {
	d := s.cfg.Database
	if !d.Enabled {
		guardDatabase(s)
		return nil
	}
	shared := sharedByInstances{
		subnets: dbsubnetgroup.NewDbSubnetGroup(s.stack, jsii.String("database_subnet_group"),
			&dbsubnetgroup.DbSubnetGroupConfig{
				Name:        jsii.String(s.cfg.Stack()),
				Description: jsii.String("Subnets without a route out of the VPC"),
				SubnetIds:   &n.DatabaseSubnets,
				Tags:        s.tags("database"),
			}).Name(),
		group: newSecurityGroup(s, n.VpcID, groupSpec{
			id: "database_security_group", noun: "database_instances",
			description: "PostgreSQL: in from services with a database",
		}),
		monitoring: newDatabaseMonitoringRole(s),
		parameters: newParameterGroups(s),
	}
	primary := newInstance(s, shared, instanceSpec{
		id: "database", identifier: s.cfg.Stack(), noun: "database", version: d.Version, protected: s.cfg.Protected,
	})
	active := primary
	for _, name := range slices.Sorted(maps.Keys(d.Restores)) {
		from := d.Restores[name]
		restored := newInstance(s, shared, instanceSpec{
			id: "database_restored_" + name, identifier: s.named(name), noun: "database-" + name,
			version: from.Version, protected: s.cfg.Protected && from.Protected,
			restore: func(arguments *dbinstance.DbInstanceConfig) { restore(arguments, from, primary.Identifier) },
		})
		if d.Active == name {
			active = restored
		}
	}
	return active
}

// guardDatabase declares no instance, under the address of the first one. Without it, a removed database
// would take its prevent_destroy along. With it, Terraform refuses the plan as long as the instance is in
// the state, and plans nothing if it never was.
func guardDatabase(s *scope) {
	if !s.cfg.Protected {
		return
	}
	dbinstance.NewDbInstance(s.stack, jsii.String("database"), &dbinstance.DbInstanceConfig{
		Count:         number(0),
		InstanceClass: jsii.String(s.cfg.Database.InstanceClass), // the only argument that the provider requires
		Lifecycle:     s.protect(),
	})
}

// sharedByInstances is what all instances have in common.
type sharedByInstances struct {
	subnets    *string
	group      *securityGroup
	parameters map[string]*string // parameter groups by major version
	monitoring *Role
}

// instanceSpec holds what differs between the instances.
type instanceSpec struct {
	id, identifier, noun string
	version              string                             // major
	protected            bool                               // refuses to be destroyed
	restore              func(*dbinstance.DbInstanceConfig) // nil for the first instance
}

// newInstance declares the first instance, or one restored from a snapshot or from the first one's
// past.
func newInstance(s *scope, shared sharedByInstances, spec instanceSpec) *Database {
	d := s.cfg.Database
	logGroups, logNames := newDatabaseLogs(s, spec)
	arguments := &dbinstance.DbInstanceConfig{
		Identifier:    jsii.String(spec.identifier),
		Engine:        jsii.String("postgres"),
		EngineVersion: jsii.String(spec.version), // the major alone: RDS upgrades minors, in the maintenance window
		InstanceClass: jsii.String(d.InstanceClass),
		DbName:        jsii.String(d.Name),
		Username:      jsii.String("platform"),
		Port:          number(postgresPort),

		ManageMasterUserPassword: true,
		MasterUserSecretKmsKeyId: s.keys.Database,

		AllocatedStorage:    number(d.Storage.Initial),
		MaxAllocatedStorage: number(choose(d.Storage.Max > d.Storage.Initial, d.Storage.Max, 0)),
		StorageType:         jsii.String("gp3"),
		StorageEncrypted:    true,
		KmsKeyId:            s.keys.Database,

		DbSubnetGroupName:   shared.subnets,
		VpcSecurityGroupIds: &[]*string{shared.group.ID},
		PubliclyAccessible:  false,
		MultiAz:             d.MultiAZ,
		CaCertIdentifier:    jsii.String("rds-ca-rsa2048-g1"),

		ParameterGroupName:               shared.parameters[spec.version],
		IamDatabaseAuthenticationEnabled: true,
		AllowMajorVersionUpgrade:         true, // a new major is only ever asked for by database.version
		AutoMinorVersionUpgrade:          true,
		ApplyImmediately:                 d.ApplyImmediately,
		MaintenanceWindow:                jsii.String(d.MaintenanceWindow),

		EnabledCloudwatchLogsExports:       jsii.Strings(databaseLogs...),
		MonitoringInterval:                 number(60),
		MonitoringRoleArn:                  shared.monitoring.ARN,
		PerformanceInsightsEnabled:         true,
		PerformanceInsightsKmsKeyId:        s.keys.Database,
		PerformanceInsightsRetentionPeriod: number(7), // days, the only free choice
		DatabaseInsightsMode:               jsii.String("standard"),

		Timeouts:  instanceTimeouts,
		Tags:      s.tags(spec.noun),
		Lifecycle: &cdktf.TerraformResourceLifecycle{PreventDestroy: jsii.Bool(spec.protected)},
		DependsOn: logGroups.plus(shared.monitoring.Ready...).list(),
	}
	setRetention(s, arguments, spec)
	setPerformance(arguments, d.Storage.Initial)
	if spec.restore != nil {
		spec.restore(arguments)
	}
	instance := dbinstance.NewDbInstance(s.stack, jsii.String(spec.id), arguments)
	return &Database{
		Identifier:    instance.Identifier(),
		ARN:           instance.Arn(),
		Address:       instance.Address(),
		SecretARN:     instance.MasterUserSecret().Get(number(0)).SecretArn(),
		SecurityGroup: shared.group,
		KeyARN:        s.keys.Database,
		LogGroups:     logNames,
		name:          d.Name,
	}
}

// instanceTimeouts replace the provider's, which are 40, 80 and 60 minutes. A restore of a large
// database, a major upgrade and a final snapshot take hours. An instance whose creation timed out
// counts as failed, and the next deployment would replace it.
var instanceTimeouts = &dbinstance.DbInstanceTimeouts{
	Create: jsii.String("12h"), Update: jsii.String("12h"), Delete: jsii.String("6h"),
}

// setRetention says what is kept of an instance's data, while it runs and after it is deleted.
func setRetention(s *scope, arguments *dbinstance.DbInstanceConfig, spec instanceSpec) {
	arguments.BackupRetentionPeriod = number(s.cfg.Database.Retention)
	arguments.BackupWindow = jsii.String(s.cfg.Database.BackupWindow)
	arguments.CopyTagsToSnapshot = true
	arguments.DeleteAutomatedBackups = !s.cfg.KeepsData()
	arguments.DeletionProtection = spec.protected
	arguments.SkipFinalSnapshot = !s.cfg.KeepsData()
	if s.cfg.KeepsData() {
		arguments.FinalSnapshotIdentifier = finalSnapshot(s, spec.id, spec.identifier)
	}
}

// setPerformance sets the IOPS and the throughput that gp3 storage includes from 400 GiB on, where
// RDS uses four volumes instead of one. RDS rejects lower values, and the provider would send the
// 3000 IOPS of the smaller storage when it grows to 400 GiB. Below 400 GiB, RDS rejects both
// arguments.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html#gp3-storage
func setPerformance(arguments *dbinstance.DbInstanceConfig, size int) {
	if size >= 400 {
		arguments.Iops, arguments.StorageThroughput = number(12_000), number(500)
	}
}

// databaseLogs are the logs that RDS exports for PostgreSQL.
var databaseLogs = []string{"postgresql", "upgrade"}

// newDatabaseLogs declares the log groups of an instance and returns their names too. RDS fixes the
// names, and would create groups of its own, without key and retention.
func newDatabaseLogs(s *scope, spec instanceSpec) (groups dependencies, names []*string) {
	for _, log := range databaseLogs {
		group := newLogGroup(s, spec.id+"_"+log+"_log_group", "/aws/rds/instance/"+spec.identifier+"/"+log)
		groups, names = append(groups, group), append(names, group.Name())
	}
	return groups, names
}

// finalSnapshot names the snapshot taken when the instance is deleted. The time in the name is that
// of the instance's first deployment and is kept in the state: it differs between two instances of
// the same identifier, and is the same in every plan.
func finalSnapshot(s *scope, id, identifier string) *string {
	made := s.keptTime(id+"_final_snapshot", "made", `formatdate("YYYYMMDDhhmmss", timestamp())`)
	return jsii.String(identifier + "-final-" + made)
}

// restore makes an instance start from a snapshot, from automated backups, or from the past of the
// instance that source identifies. Another start must not replace an instance that exists; nor must another key, since
// the key is the snapshot's.
func restore(arguments *dbinstance.DbInstanceConfig, from config.Restore, source *string) {
	arguments.DbName, arguments.Username = nil, nil // the snapshot's; RDS refuses others
	arguments.AllocatedStorage = nil                // the snapshot's: it may have grown, and RDS never shrinks storage
	arguments.Iops, arguments.StorageThroughput = nil, nil
	arguments.Lifecycle.IgnoreChanges = &[]*string{
		jsii.String("snapshot_identifier"), jsii.String("restore_to_point_in_time"), jsii.String("kms_key_id"),
	}
	if from.Snapshot != "" {
		arguments.SnapshotIdentifier = jsii.String(from.Snapshot)
		return
	}
	past := &dbinstance.DbInstanceRestoreToPointInTime{}
	if from.AutomatedBackup != "" {
		past.SourceDbInstanceAutomatedBackupsArn = jsii.String(from.AutomatedBackup)
	} else {
		past.SourceDbInstanceIdentifier = source
	}
	if from.Time != "" {
		past.RestoreTime = jsii.String(from.Time)
	} else {
		past.UseLatestRestorableTime = true
	}
	arguments.RestoreToPointInTime = past
}

// newParameterGroups declares a parameter group for each major version in use and returns their
// names.
func newParameterGroups(s *scope) map[string]*string {
	d := s.cfg.Database
	groups := map[string]*string{d.Version: newParameterGroup(s, "database_parameter_group", d.Version)}
	for _, name := range slices.Sorted(maps.Keys(d.Restores)) {
		if version := d.Restores[name].Version; groups[version] == nil {
			groups[version] = newParameterGroup(s, "database_parameter_group_"+version, version)
		}
	}
	return groups
}

// newParameterGroup declares PostgreSQL's own settings. The group's name carries the family, so
// that the group of the next major is created while the old one is in use.
func newParameterGroup(s *scope, id, version string) *string {
	family := "postgres" + version
	var parameters []*dbparametergroup.DbParameterGroupParameter
	for _, p := range databaseParameters(s.cfg.Database, version) {
		parameters = append(parameters, &dbparametergroup.DbParameterGroupParameter{
			Name: jsii.String(p.name), Value: jsii.String(p.value), ApplyMethod: jsii.String(p.method),
		})
	}
	return dbparametergroup.NewDbParameterGroup(s.stack, jsii.String(id), &dbparametergroup.DbParameterGroupConfig{
		Name:        jsii.String(s.named(family)),
		Family:      jsii.String(family),
		Description: jsii.String("TLS only, slow statements and connections logged"),
		Parameter:   &parameters,
		Tags:        s.tags("database"),
		Lifecycle:   createBeforeDestroy(),
	}).Name()
}

type parameter struct{ name, value, method string }

// databaseParameters are the platform's parameters, overridden and followed by the configured ones,
// in the order of their names.
func databaseParameters(d config.Database, version string) (sorted []parameter) {
	all := map[string]string{
		"rds.force_ssl":              "1",
		"log_min_duration_statement": strconv.Itoa(d.SlowQuery),
		"log_connections":            choose(version >= "18", "all", "1"), // a list of stages since PostgreSQL 18
		"log_disconnections":         "1",
		"log_lock_waits":             "1",
		"shared_preload_libraries":   "pg_stat_statements",
	}
	maps.Copy(all, d.Parameters)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		method := choose(config.AppliesAtOnce(name, all[name], version), "immediate", "pending-reboot")
		sorted = append(sorted, parameter{name, all[name], method})
	}
	return sorted
}

// newDatabaseMonitoringRole lets RDS write the operating system's metrics. Their log group,
// RDSOSMetrics, is shared by the account and belongs to RDS, which may create it.
func newDatabaseMonitoringRole(s *scope) *Role {
	group := s.arn("logs", "log-group:RDSOSMetrics")
	return newRole(s, roleSpec{
		id: "database_monitoring_role", noun: "database-monitoring", assumed: "monitoring.rds.amazonaws.com",
		trust: fromSource(s, s.arn("rds", "db:"+s.cfg.Stack()+"*")),
	}, statement{
		sid:       "Group",
		actions:   []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy"},
		resources: []string{group + ":*"}, // without the end, a group's ARN counts for tagging only
	}, statement{
		sid:       "Write",
		resources: []string{group + ":log-stream:*"},
		actions: []string{
			"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents",
		},
	})
}

func (db *Database) outputs() []output {
	if db == nil {
		return nil
	}
	return []output{
		{"database_address", "Host name of PostgreSQL, for the services with a database", db.Address},
		{"database_port", "Port of PostgreSQL", postgresPort},
		{"database_secret_arn", "Secret with the master's credentials, which RDS rotates", db.SecretARN},
		{"database_security_group_id", "Security group of the database", db.SecurityGroup.ID},
	}
}

func (db *Database) alarms(d config.Database) []alarm {
	if db == nil {
		return nil
	}
	memory, _ := config.ClassMemory(d.InstanceClass) // checked with the configuration
	const gib = 1 << 30
	average := func(noun, metric string, threshold float64, description string) alarm {
		return alarm{
			id: "database_" + noun, description: description, runbook: "database.md#database_" + noun,
			namespace: "AWS/RDS", metric: metric, statistic: "Average",
			dimensions: map[string]*string{"DBInstanceIdentifier": db.Identifier},
			threshold:  threshold, period: 300, datapoints: 3, periods: 3, missing: missingIsUnknown,
		}
	}
	storage := average("storage", "FreeStorageSpace", float64(d.Storage.Initial)*gib/10,
		"Free storage of the database is below a tenth of database.storage.initial. RDS should have added storage: "+
			"see database.storage.max and the instance's events. A full disk stops the database.")
	storage.below = true
	free := average("memory", "FreeableMemory", float64(memory)*gib/20,
		"Less than 5% of the database's memory is free. See the number of connections and the slow statements, then "+
			"consider a larger database.instance_class.")
	free.below = true
	connections := average("connections", "DatabaseConnections", float64(d.MaxConnections()*4/5),
		"More than 80% of the connections that the database allows are open. Look for a service that leaks "+
			"connections, or use a connection pool.")
	connections.statistic = "Maximum"
	return []alarm{
		average("cpu", "CPUUtilization", 90,
			"The database has used more than 90% of its CPU for 15 minutes. See Database Insights for the statements "+
				"that use it, then consider a larger database.instance_class."),
		storage, free, connections,
		average("read_latency", "ReadLatency", 0.1, "A read from"+slowDisk),
		average("write_latency", "WriteLatency", 0.1, "A write to"+slowDisk),
	}
}

const slowDisk = " the database's disk has taken more than 100 ms on average for 15 minutes. See the instance's " +
	"IOPS and throughput, and the statements in Database Insights."
