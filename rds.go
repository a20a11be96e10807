package main

import (
	"embed"
	"fmt"
	"maps"
	"platform/internal/config"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbinstance"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbparametergroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbsubnetgroup"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Database is the PostgreSQL instance in use, and the way to it.
type Database struct {
	Identifier    *string
	ARN           *string
	Address       *string // host name without the port
	SecretARN     *string // the master's credentials, made and rotated by RDS
	SecurityGroup *string
	KeyARN        *string   // the key of its storage and its secret
	LogGroups     []*string // names

	name string // of the first database
}

const postgresPort = 5432

// newDatabase declares PostgreSQL in the database tier.
//
//	services with a database (5432, TLS) ── security group ── instance ── subnets without a route out
//
// RDS makes the master's password, keeps it in Secrets Manager and rotates it every seven days: it is never in Terraform's state.
// A restore is always a new instance beside the others, with ids of its own; database.active says which one is used.
func newDatabase(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, accountID string) *Database {
	shared := databaseParts{
		subnets: dbsubnetgroup.NewDbSubnetGroup(stack, jsii.String("database_subnet_group"), &dbsubnetgroup.DbSubnetGroupConfig{
			Name:        jsii.String(cfg.Stack()),
			Description: jsii.String("Subnets without a route out of the VPC"),
			SubnetIds:   &net.DatabaseSubnets,
			Tags:        nameTag(cfg, "database"),
		}).Name(),
		parameters: map[string]*string{},
		group:      newSecurityGroup(stack, cfg, net, "database_security_group", "database", "PostgreSQL: in from services with a database"),
		monitoring: newDatabaseMonitoringRole(stack, cfg, accountID),
	}
	shared.parameters[cfg.Database.Version] = newParameterGroup(stack, cfg, "database_parameter_group", cfg.Database.Version)
	for _, name := range slices.Sorted(maps.Keys(cfg.Database.Restores)) {
		if version := cfg.Database.Restores[name].Version; shared.parameters[version] == nil {
			shared.parameters[version] = newParameterGroup(stack, cfg, "database_parameter_group_"+version, version)
		}
	}
	main := newInstance(stack, cfg, keys, shared, config.MainDatabase, nil)
	active := main
	for _, name := range slices.Sorted(maps.Keys(cfg.Database.Restores)) {
		restored := newInstance(stack, cfg, keys, shared, name, main)
		if cfg.Database.Active == name {
			active = restored
		}
	}
	return active
}

// databaseParts is what all instances have in common.
type databaseParts struct {
	subnets, group *string
	parameters     map[string]*string // groups by major version
	monitoring     *Role
}

// newInstance declares the main instance, or one restored from a snapshot or from the main one's past.
func newInstance(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, parts databaseParts, name string, main *Database) *Database {
	d := cfg.Database
	id, identifier, version, protected := "database", cfg.Stack(), d.Version, cfg.Protected
	if main != nil {
		id, identifier, version = "database_restored_"+name, cfg.ResourceName(name), d.Restores[name].Version
		protected = protected && d.Restores[name].Protected
	}
	var logGroups []cdktf.ITerraformDependable
	var logNames []*string
	for _, log := range []string{"postgresql", "upgrade"} { // RDS fixes these names, and writes to a group of its own if there is none
		group := newLogGroup(stack, cfg, keys, id+"_"+log+"_log_group", "/aws/rds/instance/"+identifier+"/"+log)
		logGroups, logNames = append(logGroups, group), append(logNames, group.Name())
	}
	arguments := &dbinstance.DbInstanceConfig{
		Identifier:    jsii.String(identifier),
		Engine:        jsii.String("postgres"),
		EngineVersion: jsii.String(version), // the major alone: minor upgrades are RDS's, in the maintenance window
		InstanceClass: jsii.String(d.InstanceClass),
		DbName:        jsii.String(d.Name),
		Username:      jsii.String("platform"),
		Port:          jsii.Number(postgresPort),

		ManageMasterUserPassword: true,
		MasterUserSecretKmsKeyId: keys.Database,

		AllocatedStorage:    jsii.Number(float64(d.Storage.Initial)),
		MaxAllocatedStorage: jsii.Number(float64(choose(d.Storage.Max > d.Storage.Initial, d.Storage.Max, 0))),
		StorageType:         jsii.String("gp3"),
		StorageEncrypted:    true,
		KmsKeyId:            keys.Database,

		DbSubnetGroupName:   parts.subnets,
		VpcSecurityGroupIds: &[]*string{parts.group},
		PubliclyAccessible:  false,
		MultiAz:             d.MultiAZ,
		CaCertIdentifier:    jsii.String("rds-ca-rsa2048-g1"),

		ParameterGroupName:               parts.parameters[version],
		IamDatabaseAuthenticationEnabled: true,
		AllowMajorVersionUpgrade:         true, // a new major is only ever asked for by database.version
		AutoMinorVersionUpgrade:          true,
		ApplyImmediately:                 d.ApplyImmediately,
		MaintenanceWindow:                jsii.String(d.MaintenanceWindow),

		BackupRetentionPeriod:  jsii.Number(float64(d.Retention)),
		BackupWindow:           jsii.String(d.BackupWindow),
		CopyTagsToSnapshot:     true,
		DeleteAutomatedBackups: !cfg.KeepsData(),
		DeletionProtection:     protected,
		SkipFinalSnapshot:      !cfg.KeepsData(),

		EnabledCloudwatchLogsExports:       jsii.Strings("postgresql", "upgrade"),
		MonitoringInterval:                 jsii.Number(60),
		MonitoringRoleArn:                  parts.monitoring.ARN,
		PerformanceInsightsEnabled:         true,
		PerformanceInsightsKmsKeyId:        keys.Database,
		PerformanceInsightsRetentionPeriod: jsii.Number(7), // days, the only free choice
		DatabaseInsightsMode:               jsii.String("standard"),

		Tags:      nameTag(cfg, choose(main == nil, "database", "database-"+name)),
		Lifecycle: &cdktf.TerraformResourceLifecycle{PreventDestroy: jsii.Bool(protected)},
		DependsOn: dependsOn(append(logGroups, parts.monitoring.Ready...)...),
	}
	if cfg.KeepsData() {
		arguments.FinalSnapshotIdentifier = finalSnapshot(stack, id, identifier)
	}
	if main != nil {
		restore(arguments, d.Restores[name], main)
	}
	instance := dbinstance.NewDbInstance(stack, jsii.String(id), arguments)
	return &Database{
		Identifier:    instance.Identifier(),
		ARN:           instance.Arn(),
		Address:       instance.Address(),
		SecretARN:     instance.MasterUserSecret().Get(jsii.Number(0)).SecretArn(),
		SecurityGroup: parts.group,
		KeyARN:        keys.Database,
		LogGroups:     logNames,
		name:          d.Name,
	}
}

// finalSnapshot names the snapshot taken when the instance is deleted. The time in it is that of the instance's first deployment
// and is kept in the state: unique from life to life, and the same in every plan.
func finalSnapshot(stack cdktf.TerraformStack, id, identifier string) *string {
	data := cdktf.NewDataResource(stack, jsii.String(id+"_final_snapshot"), &cdktf.DataConfig{
		Input:     &map[string]any{"made": `${formatdate("YYYYMMDDhhmmss", timestamp())}`},
		Lifecycle: &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("input")}},
	})
	return jsii.String(identifier + "-final-${" + *data.Fqn() + ".output.made}")
}

// restore makes an instance start from a snapshot or from the main instance's past. What it starts from is of no account once it is
// there, and must not replace it; nor must its key, which is the snapshot's.
func restore(arguments *dbinstance.DbInstanceConfig, from config.Restore, main *Database) {
	arguments.DbName, arguments.Username = nil, nil // the snapshot's; RDS refuses others
	arguments.AllocatedStorage = nil                // the snapshot's too: it may have grown, and RDS does not shrink it to storage.initial
	arguments.Lifecycle.IgnoreChanges = &[]*string{
		jsii.String("snapshot_identifier"), jsii.String("restore_to_point_in_time"), jsii.String("kms_key_id"),
	}
	if from.Snapshot != "" {
		arguments.SnapshotIdentifier = jsii.String(from.Snapshot)
		return
	}
	arguments.RestoreToPointInTime = &dbinstance.DbInstanceRestoreToPointInTime{
		SourceDbInstanceIdentifier: main.Identifier, RestoreTime: jsii.String(from.Time),
	}
}

// newParameterGroup declares what PostgreSQL itself is told. The group's name carries the family, so that the next major's
// group is made while the old one is in use.
func newParameterGroup(stack cdktf.TerraformStack, cfg *config.Config, id, version string) *string {
	family := "postgres" + version
	var parameters []*dbparametergroup.DbParameterGroupParameter
	for _, p := range databaseParameters(cfg.Database, version) {
		parameters = append(parameters, &dbparametergroup.DbParameterGroupParameter{
			Name: jsii.String(p.name), Value: jsii.String(p.value), ApplyMethod: jsii.String(p.method),
		})
	}
	return dbparametergroup.NewDbParameterGroup(stack, jsii.String(id), &dbparametergroup.DbParameterGroupConfig{
		Name:        jsii.String(cfg.ResourceName(family)),
		Family:      jsii.String(family),
		Description: jsii.String("TLS only, slow statements and connections logged"),
		Parameter:   &parameters,
		Tags:        nameTag(cfg, "database"),
		Lifecycle:   createBeforeDestroy(),
	}).Name()
}

type parameter struct{ name, value, method string }

// databaseParameters are ours, overridden and followed by the configured ones, in the order of their names. RDS refuses "immediate" for
// a parameter that needs a restart; it takes "pending-reboot" for any.
func databaseParameters(d config.Database, version string) []parameter {
	const atOnce, atRestart = "immediate", "pending-reboot"
	all := map[string]parameter{}
	for _, p := range []parameter{
		{"rds.force_ssl", "1", atOnce},
		{"log_min_duration_statement", strconv.Itoa(d.SlowQuery), atOnce},
		{"log_connections", choose(version >= "18", "all", "1"), atOnce}, // a list of stages since PostgreSQL 18
		{"log_disconnections", "1", atOnce},
		{"log_lock_waits", "1", atOnce},
		{"shared_preload_libraries", "pg_stat_statements", atRestart},
	} {
		all[p.name] = p
	}
	for name, value := range d.Parameters {
		method := atRestart
		if ours, known := all[name]; known {
			method = ours.method
		}
		all[name] = parameter{name, value, method}
	}
	var sorted []parameter
	for _, name := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[name])
	}
	return sorted
}

// newDatabaseMonitoringRole lets RDS write the operating system's metrics. Their log group, RDSOSMetrics, is the account's and RDS's own:
// it may be made here, since nobody else does.
func newDatabaseMonitoringRole(stack cdktf.TerraformStack, cfg *config.Config, accountID string) *Role {
	group := "arn:aws:logs:" + cfg.Region + ":" + accountID + ":log-group:RDSOSMetrics"
	return newRole(stack, cfg, "database_monitoring_role", "database-monitoring", "monitoring.rds.amazonaws.com", []condition{
		equals("aws:SourceAccount", accountID),
		{"ArnLike", "aws:SourceArn", []string{"arn:aws:rds:" + cfg.Region + ":" + accountID + ":db:" + cfg.Stack() + "*"}},
	}, statement{
		sid: "Group", actions: []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy"}, resources: []string{group + ":*"}, // without the end it is a group's name for tagging alone
	}, statement{
		sid:       "Write",
		actions:   []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams", "logs:GetLogEvents"},
		resources: []string{group + ":log-stream:*"},
	})
}

// ---- What a container is told ----------------------------------------------------------------------------------------

// environment is how a container finds the database, and knows that it is the one. PGSSLROOTCERT is the file that deliverCertificates puts there.
func (db *Database) environment() map[string]string {
	return map[string]string{
		"PGHOST": *db.Address, "PGPORT": strconv.Itoa(postgresPort), "PGDATABASE": db.name, "PGSSLMODE": "verify-full", "PGSSLROOTCERT": certificateFile,
	}
}

// certificates are RDS's authorities, a file a region. The function that makes the roles has them too.
//
//go:embed functions/database/certificates/*.pem
var certificates embed.FS

// regionCertificates returns those of a region in PEM; the error says what to do where there are none.
func regionCertificates(region string) (string, error) {
	text, err := certificates.ReadFile("functions/database/certificates/" + region + ".pem")
	if err != nil {
		return "", fmt.Errorf("RDS's certificates of %s are not in functions/database/certificates: put https://truststore.pki.rds.amazonaws.com/%[1]s/%[1]s-bundle.pem there as %[1]s.pem", region)
	}
	return string(text), nil
}

// Where a container finds the certificates.
const certificateFolder, certificateFile = "/certificates", "/certificates/rds.pem"

// deliverCertificates makes a container wait for another one that writes RDS's certificates to a volume of both and ends, since no stock image has
// them. It returns that container and the volume's name.
func deliverCertificates(cfg *config.Config, app *container, logGroup string) (*container, string) {
	text, err := regionCertificates(cfg.Region)
	if err != nil {
		panic(err) // checked with the configuration
	}
	const name = "rds-certificates" // no service can have a name with a dash
	c := newContainer(name, cfg.Database.CertificateImage, logGroup, cfg.Region)
	c.Essential = false
	c.User = "0" // the volume is root's, and only root may write to it; the container ends before the application starts
	c.LinuxParameters.Capabilities = noCapabilities()
	c.EntryPoint = []string{"/bin/sh", "-c"}
	c.Command = []string{`printf '%s' "$CERTIFICATES" > ` + certificateFile}
	c.setEnvironment(map[string]string{"CERTIFICATES": text})
	c.MountPoints = []mountPoint{{name, certificateFolder, false}}
	app.MountPoints = append(app.MountPoints, mountPoint{name, certificateFolder, true})
	app.DependsOn = append(app.DependsOn, containerDependency{name, "SUCCESS"})
	return c, name
}
