package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdainvocation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdapermission"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecret"
	rotation "github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecretrotation"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/bundle"
	"platform/internal/config"
)

// DatabaseUsers are the users of the services, and of the platform itself, in the database, each with
// its own rights.
type DatabaseUsers struct {
	FunctionName *string
	LogGroup     *string // name

	database      *Database
	secrets       userSecrets
	scheduleGroup *string      // name
	ready         dependencies // a service's tasks can log in
}

// newDatabaseUsers declares a secret for each service with a database, and the function that
// creates the users and rotates their passwords; nil without a database.
//
//	deployment, daily schedule ── function (in the VPC) ── database, as the master
//	Secrets Manager ─────────────────┘   ├── the services' secrets
//	                                     └── ECS: a service with a new password is deployed again
//
// Terraform creates the secrets empty: it never sees what is in them. What the users may do is in the
// function's environment, so that the daily call and a rotation know it too.
func newDatabaseUsers(
	s *scope, n *Network, db *Database, cluster *Cluster, function bundle.Function,
) *DatabaseUsers {
	if db == nil {
		return nil
	}
	users := &DatabaseUsers{database: db, secrets: newUserSecrets(s)}
	role, logs := newUsersFunctionRole(s, db, users.secrets)
	users.LogGroup = logs.name
	group := newSecurityGroup(s, n.VpcID, groupSpec{
		id: "database_function_security_group", noun: "database_function",
		description: "Database function: nothing in; out to the database and AWS",
		// Lambda deletes its network interfaces some minutes after the function, with the
		// function's role. AWS refuses to delete this group before they are gone. So the group
		// depends on the role's policy: Terraform then deletes the group first, while Lambda still
		// has its rights.
		after: role.Ready,
	})
	ready := n.allowOutside(s, "database_function", group).plus(n.EgressReady...)
	toDatabase := group.mayReach(db.SecurityGroup, "database_function_to_database", postgresPort, "PostgreSQL")
	lambda := newLambda(s, function, lambdaSpec{
		id: "database_function", noun: "database",
		description: "Gives each service a role of its own in the database, and rotates its password",
		memory:      256, timeout: 300, // it may wait for another invocation, and for the master's rotation
		role: role,
		key:  s.keys.Secrets,
		network: &lambdafunction.LambdaFunctionVpcConfig{
			SubnetIds: &n.PrivateSubnets, SecurityGroupIds: &[]*string{group.ID},
		},
		variables: usersVariables(s, db, cluster),
		ready:     ready.plus(toDatabase...).plus(logs.group),
	})
	users.FunctionName = lambda.FunctionName()
	invocation := newUsersInvocation(s, users, function)
	users.ready = dependencies{invocation}
	newRotations(s, users, lambda.Arn(), invocation)
	calls := newScheduledCalls(s, "database", lambda,
		dependencies{invocation, newRetries(s, "database", lambda.FunctionName(), nil)})
	calls.add(scheduledCall{
		id: "database_schedule", description: "Users of the database as configured, and whether rotations are overdue",
		expression: s.cfg.Database.DailyCall(), timezone: "UTC",
		input: map[string]string{"action": "daily"},
	})
	users.scheduleGroup = calls.group
	return users
}

// usersVariables are the function's environment. internal/config refuses more services than fit.
func usersVariables(s *scope, db *Database, cluster *Cluster) map[string]*string {
	return map[string]*string{
		"PGHOST":            db.Address,
		"PGPORT":            jsii.String(strconv.Itoa(postgresPort)),
		"PGDATABASE":        jsii.String(db.name),
		"MASTER_SECRET_ARN": db.SecretARN,
		"CLUSTER":           cluster.Name,
		"SERVICES":          jsii.String(s.cfg.DatabaseUsers()),
		"SECRET_PREFIX":     jsii.String(secretPrefix(s)),
		"ROTATION_DAYS":     jsii.String(strconv.Itoa(s.cfg.Database.Rotation)),
		"METRIC_NAMESPACE":  jsii.String(usersNamespace(s)),
	}
}

// secretPrefix begins the names of the users' secrets; the rest is the name of the service, or that
// of the platform's own user.
func secretPrefix(s *scope) string { return s.cfg.Stack() + "/database/" }

// usersNamespace is the namespace of the metrics that the function reports.
func usersNamespace(s *scope) string { return s.cfg.Stack() + "/Database" }

// userSecrets are the secrets of the services, and of the users of the platform.
type userSecrets struct {
	arns map[string]*string // by service, or user of the platform
	all  dependencies
}

// newUserSecrets declares the services' secrets. The secret of a removed service is deleted after
// everything that depends on it has changed, and so after the call of the function that removes the
// service's login. If that call fails, the secret stays. The next deployment deletes the secret
// while it repeats the call.
func newUserSecrets(s *scope) userSecrets {
	secrets := userSecrets{arns: map[string]*string{}}
	for _, name := range s.cfg.DatabaseUserNames() {
		secret := secretsmanagersecret.NewSecretsmanagerSecret(s.stack,
			jsii.String(userID(s, name)+"_database_secret"), &secretsmanagersecret.SecretsmanagerSecretConfig{
				Name:        jsii.String(secretPrefix(s) + name),
				Description: jsii.String("User and password of " + name + " in the database; rotated by itself"),
				KmsKeyId:    s.keys.Secrets,
				// A password can be set again, and a service that comes back needs the name.
				RecoveryWindowInDays: number(0),
				Tags:                 s.tags(dashed(name) + "-database"),
				Lifecycle:            createBeforeDestroy(),
			})
		secrets.arns[name], secrets.all = secret.Arn(), append(secrets.all, secret)
	}
	return secrets
}

// userID begins the ids of what belongs to a user of the database. The names of the platform's own
// users have an underscore, and those of services have none.
func userID(s *scope, name string) string {
	if _, own := s.cfg.PlatformUsers()[name]; own {
		return name
	}
	return serviceID(name)
}

// functionLog is a function's log group.
type functionLog struct {
	group cdktf.ITerraformDependable
	name  *string
}

// newUsersFunctionRole declares the function's log and what the function may do.
func newUsersFunctionRole(s *scope, db *Database, users userSecrets) (*Role, functionLog) {
	logs := newLogGroup(s, "database_function_log_group", "/aws/lambda/"+s.named("database"))
	through := []condition{equals("kms:ViaService", "secretsmanager."+s.cfg.Region+".amazonaws.com")}
	statements := append([]statement{writeLog(*logs.Arn())}, networkStatements(s)...)
	statements = append(statements, statement{
		sid: "Master", actions: []string{"secretsmanager:GetSecretValue"}, resources: []string{*db.SecretARN},
	}, statement{
		sid: "MasterKey", actions: []string{"kms:Decrypt"}, resources: []string{*db.KeyARN}, conditions: through,
	}, ownEnvironment(s, "database", *s.keys.Secrets))
	var secrets, services []string
	for _, name := range s.cfg.DatabaseUserNames() {
		secrets = append(secrets, *users.arns[name])
	}
	for _, name := range s.cfg.RestartedServices() {
		services = append(services, s.arn("ecs", "service/"+s.cfg.Stack()+"/"+name))
	}
	if len(secrets) > 0 {
		statements = append(statements, statement{
			sid: "Secrets", resources: secrets,
			actions: []string{
				"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue",
				"secretsmanager:UpdateSecretVersionStage",
			},
		}, statement{
			sid: "SecretsKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
			resources: []string{*s.keys.Secrets}, conditions: through,
		})
	}
	if len(services) > 0 {
		statements = append(statements, statement{
			sid: "Restart", actions: []string{"ecs:DescribeServices", "ecs:UpdateService"}, resources: services,
		})
	}
	role := newRole(s, roleSpec{
		id: "database_function_role", noun: "database-function", assumed: "lambda.amazonaws.com",
	}, statements...)
	return role, functionLog{logs, logs.Name()}
}

// networkStatements let Lambda itself create the function's network interfaces: it does so with the
// function's role, and looks for exactly these rights. The function's code may not.
func networkStatements(s *scope) []statement {
	interfaces := []string{
		"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
		"ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
	}
	return []statement{
		{sid: "Network", actions: interfaces, resources: []string{"*"}},
		{
			sid: "NetworkNotByCode", deny: true, actions: interfaces, resources: []string{"*"},
			conditions: []condition{{
				"ArnEquals", "lambda:SourceFunctionArn", []string{functionARN(s, "database")},
			}},
		},
	}
}

// newUsersInvocation calls the function when the stack is created, and again whenever its
// environment or its code changes: the function then reads what the users may do. A service that is
// removed loses its login here, before its secret is deleted.
//
// A change replaces this resource. If the call fails, the new resource is in no state, and the next
// deployment repeats the call. With the lifecycle scope CRUD, a change would be an update, and
// Terraform would record the new input of a failed update as if the update had succeeded
// (https://github.com/hashicorp/terraform-provider-aws/issues/43447).
func newUsersInvocation(
	s *scope, users *DatabaseUsers, function bundle.Function,
) cdktf.ITerraformDependable {
	desired := sha256.Sum256([]byte(s.cfg.DatabaseUsers()))
	return lambdainvocation.NewLambdaInvocation(s.stack, jsii.String("database_roles"),
		&lambdainvocation.LambdaInvocationConfig{
			FunctionName: users.FunctionName,
			Input: jsii.String(marshal(map[string]string{
				"action":   "roles",
				"revision": *users.database.Address + " " + function.Hash + " " + hex.EncodeToString(desired[:8]),
			})),
			DependsOn: users.secrets.all.list(),
		})
}

// newRotations makes Secrets Manager call the function for each secret, once the users exist. With
// a number of days instead of a schedule, Secrets Manager could rotate at any hour of the day, and
// the tasks of all services would be replaced on the same day.
func newRotations(s *scope, users *DatabaseUsers, functionARN *string, invocation cdktf.ITerraformDependable) {
	permission := lambdapermission.NewLambdaPermission(s.stack, jsii.String("database_function_permission"),
		&lambdapermission.LambdaPermissionConfig{
			StatementId:   jsii.String("SecretsManager"),
			FunctionName:  users.FunctionName,
			Action:        jsii.String("lambda:InvokeFunction"),
			Principal:     jsii.String("secretsmanager.amazonaws.com"),
			SourceAccount: jsii.String(s.account),
		})
	for _, name := range s.cfg.DatabaseUserNames() {
		schedule := s.cfg.Database.RotationSchedule(name)
		rotation.NewSecretsmanagerSecretRotation(s.stack, jsii.String(userID(s, name)+"_database_rotation"),
			&rotation.SecretsmanagerSecretRotationConfig{
				SecretId:          users.secrets.arns[name],
				RotationLambdaArn: functionARN,
				RotateImmediately: false,
				RotationRules: &rotation.SecretsmanagerSecretRotationRotationRules{
					ScheduleExpression: jsii.String(schedule.Cron), Duration: jsii.String(schedule.Duration),
				},
				DependsOn: dependencies{permission, invocation}.list(),
			})
	}
}

func (users *DatabaseUsers) outputs(s *scope) []output {
	if users == nil {
		return nil
	}
	arns := map[string]*string{}
	for _, name := range s.cfg.DatabaseServices() {
		arns[name] = users.secrets.arns[name]
	}
	return []output{{
		"service_database_secret_arns",
		"Secrets with the services' users in the database, which are rotated",
		arns,
	}}
}

// alarms are on what the function reports, and on whether it is called at all. The daily call also
// keeps the function active: after weeks without a call, the next rotation would fail. The function
// reports its metrics once a day, so the alarms on them keep their state in between.
func (users *DatabaseUsers) alarms(s *scope) []alarm {
	if users == nil {
		return nil
	}
	reported := func(a alarm, metric string) alarm {
		a.namespace, a.metric, a.statistic = usersNamespace(s), metric, "Maximum"
		a.dimensions = map[string]*string{"FunctionName": users.FunctionName}
		a.threshold, a.period, a.datapoints, a.periods, a.missing = 0, 3600, 1, 1, missingIsLast
		return a
	}
	alarms := []alarm{alarm{
		id:      "database_function_errors",
		runbook: "database.md#database_function_errors",
		description: "The database function failed: a password was not rotated, or the services' database users are " +
			"not as configured. The current passwords still work, and Secrets Manager retries a rotation. See the " +
			"function's log group for the reason.",
	}.onErrors(users.FunctionName), {
		id:      "database_function_not_called",
		runbook: "database.md#database_function_not_called",
		description: "The database function has not run for two days, although it is called every night. Passwords " +
			"are not rotated either. See the function's state and its schedule.",
		namespace: "AWS/Lambda", metric: "Invocations", statistic: "Sum",
		dimensions: map[string]*string{"FunctionName": users.FunctionName},
		below:      true, threshold: 1, period: 24 * 3600, datapoints: 2, periods: 2, missing: missingIsBad,
	}, alarm{
		id:      "database_schedule_dropped",
		runbook: "database.md#database_schedule_dropped",
		description: "EventBridge Scheduler gave up calling the database function. See the schedule's role and the " +
			"function's state.",
	}.onDropped(users.scheduleGroup), reported(alarm{
		id:      "database_objects_in_use",
		runbook: "database.md#database_objects_in_use",
		description: "Tables or other objects of the database could not be handed over to the services, because " +
			"something uses them for long. The function tries again every night and at each deployment. See its log " +
			"group for their names.",
	}, "ObjectsInUse")}
	if len(users.secrets.arns) > 0 {
		alarms = append(alarms, reported(alarm{
			id:      "database_rotation_overdue",
			runbook: "database.md#database_rotation_overdue",
			description: fmt.Sprintf("The password of a service was last rotated more than %d days ago, a week more "+
				"than database.rotation. It still works. See the function's log group for the service.",
				s.cfg.Database.Rotation+7),
		}, "OverdueRotations"))
	}
	return alarms
}

// ---- What a container gets --------------------------------------------------------------------

// connect gives the application of a service the database, as the service's user.
func (users *DatabaseUsers) connect(t *task, app *container) {
	users.connectAs(t.name, t, app)
	users.setVariables(t, app)
}

// setVariables gives an application the name of its service's database, and parts of the connection
// under names of its own. The function writes the URL into the secret before users.ready, and so before
// a task needs it.
func (users *DatabaseUsers) setVariables(t *task, app *container) {
	service, secret := t.cfg.Services[t.name], *users.secrets.arns[t.name]
	d, name := service.Database, t.cfg.DatabaseOf(service)
	host, port := *users.database.Address, strconv.Itoa(postgresPort)
	parts := map[string]string{
		"host": host, "port": port, "name": name,
		// The driver takes the user and the password apart from the URL: nothing in it is secret.
		"jdbc_url": "jdbc:postgresql://" + host + ":" + port + "/" + name + d.Query(),
	}
	keys := map[string]string{"user": "username", "password": "password", "url": "url"}
	environment, secrets := map[string]string{"PGDATABASE": name}, map[string]string{}
	for name, part := range d.Variables {
		if key, ok := keys[part]; ok {
			secrets[name] = secret + ":" + key + "::"
		} else {
			environment[name] = parts[part]
		}
	}
	app.setEnvironment(environment)
	app.setSecrets(secrets)
	if d.HasURL() {
		// Other parameters change nothing else here, and only new tasks read the new URL.
		app.label("database-url-parameters", d.URLParameters)
	}
}

// connectAs gives an application the database, as a user of a service or of the platform: the
// connection, libpq's variables, the user's secret and the certificates.
func (users *DatabaseUsers) connectAs(user string, t *task, app *container) {
	db := users.database
	t.mayReach(db.SecurityGroup, t.id+"_to_database", postgresPort, "PostgreSQL")
	t.after(users.ready...)
	app.setEnvironment(map[string]string{
		"PGHOST":        *db.Address,
		"PGPORT":        strconv.Itoa(postgresPort),
		"PGDATABASE":    db.name,
		"PGSSLMODE":     "verify-full",
		"PGSSLROOTCERT": config.CertificateFile,
	})
	secret := *users.secrets.arns[user]
	app.setSecrets(map[string]string{"PGUSER": secret + ":username::", "PGPASSWORD": secret + ":password::"})
	t.mayReadSecrets(secretAccess{secrets: []string{secret}, keys: []string{*t.keys.Secrets}})
	deliverCertificates(t, app)
}

// certificates are those of RDS's certificate authorities, a file for each region. The database
// function has them too.
//
//go:embed functions/database/certificates/*.pem
var certificates embed.FS

// deliverCertificates gives a container RDS's certificates, which public images do not contain.
func deliverCertificates(t *task, app *container) {
	text, err := certificates.ReadFile("functions/database/certificates/" + t.cfg.Region + ".pem")
	if err != nil {
		panic(err) // checked with the configuration
	}
	t.deliver(t.cfg.Database.CertificateImage, delivery{
		name:   "rds_certificates", // no service can have a name with an underscore
		folder: path.Dir(config.CertificateFile),
		files:  []textFile{{path: path.Base(config.CertificateFile), variable: "CERTIFICATES", text: string(text)}},
	}, app)
}
