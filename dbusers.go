package main

import (
	"embed"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdainvocation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdapermission"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecret"
	rotation "github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecretrotation"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/bundle"
)

// DatabaseUsers are the services' users in the database, each with its own rights.
type DatabaseUsers struct {
	FunctionName *string
	LogGroup     *string // name

	database *Database
	secrets  map[string]*string // ARNs, by service
	ready    dependencies       // a service's tasks can log in
}

// newDatabaseUsers declares a secret for each service with a database, and the function that
// creates the users and rotates their passwords.
//
//	deployment ─────── function (in the VPC) ── database, as the master
//	Secrets Manager ──────┘   ├── the services' secrets
//	                          └── ECS: a service with a new password is deployed again
//
// Terraform creates the secrets empty: it never sees what is in them.
func newDatabaseUsers(
	s *scope, n *Network, db *Database, cluster *Cluster, function bundle.Function,
) *DatabaseUsers {
	users := &DatabaseUsers{database: db, secrets: newUserSecrets(s)}
	role, logs := newUsersFunctionRole(s, db, users.secrets)
	users.LogGroup = logs.name
	group := newSecurityGroup(s, n.VpcID, groupSpec{
		id: "database_function_security_group", noun: "database-function",
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
		variables: map[string]*string{
			"PGHOST":            db.Address,
			"PGPORT":            jsii.String(strconv.Itoa(postgresPort)),
			"PGDATABASE":        jsii.String(db.name),
			"MASTER_SECRET_ARN": db.SecretARN,
			"CLUSTER":           cluster.Name,
		},
		ready: ready.plus(toDatabase...).plus(logs.group),
	})
	users.FunctionName = lambda.FunctionName()
	invocation := newUsersInvocation(s, users, *db.Address+" "+function.Hash)
	users.ready = dependencies{invocation}
	newRotations(s, users, lambda.Arn(), invocation)
	return users
}

// newUserSecrets declares the services' secrets and returns their ARNs by service.
func newUserSecrets(s *scope) map[string]*string {
	secrets := map[string]*string{}
	for _, name := range s.cfg.DatabaseServices() {
		secrets[name] = secretsmanagersecret.NewSecretsmanagerSecret(s.stack,
			jsii.String("service_"+name+"_database_secret"), &secretsmanagersecret.SecretsmanagerSecretConfig{
				Name:        jsii.String(s.cfg.Stack() + "/database/" + name),
				Description: jsii.String("User and password of " + name + " in the database; rotated by itself"),
				KmsKeyId:    s.keys.Secrets,
				// A password can be set again, and a service that comes back needs the name.
				RecoveryWindowInDays: number(0),
				Tags:                 s.tags(name + "-database"),
			}).Arn()
	}
	return secrets
}

// functionLog is a function's log group.
type functionLog struct {
	group cdktf.ITerraformDependable
	name  *string
}

// newUsersFunctionRole declares the function's log and what the function may do.
func newUsersFunctionRole(s *scope, db *Database, userSecrets map[string]*string) (*Role, functionLog) {
	logs := newLogGroup(s, "database_function_log_group", "/aws/lambda/"+s.named("database"))
	through := []condition{equals("kms:ViaService", "secretsmanager."+s.cfg.Region+".amazonaws.com")}
	statements := append([]statement{writeLog(*logs.Arn())}, networkStatements(s)...)
	statements = append(statements, statement{
		sid: "Master", actions: []string{"secretsmanager:GetSecretValue"}, resources: []string{*db.SecretARN},
	}, statement{
		sid: "MasterKey", actions: []string{"kms:Decrypt"}, resources: []string{*db.KeyARN}, conditions: through,
	}, ownEnvironment(s, "database", *s.keys.Secrets))
	var secrets, services []string
	for _, name := range s.cfg.DatabaseServices() {
		secrets = append(secrets, *userSecrets[name])
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
		}, statement{sid: "Restart", actions: []string{"ecs:UpdateService"}, resources: services})
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

// newUsersInvocation calls the function when the stack is created, and again whenever the list of
// users or the revision, which stands for instance and function, changes. A service that is removed
// from the list loses its login here, before its secret is deleted.
func newUsersInvocation(s *scope, users *DatabaseUsers, revision string) cdktf.ITerraformDependable {
	type user struct {
		Level            string `json:"level"`
		Secret           string `json:"secret"`
		Connections      int    `json:"connections"`
		StatementTimeout int    `json:"statement_timeout"`
	}
	services := map[string]user{}
	for _, name := range s.cfg.DatabaseServices() {
		svc := s.cfg.Services[name]
		services[name] = user{svc.Database, *users.secrets[name], svc.Connections, svc.QueryTimeout}
	}
	return lambdainvocation.NewLambdaInvocation(s.stack, jsii.String("database_roles"),
		&lambdainvocation.LambdaInvocationConfig{
			FunctionName:   users.FunctionName,
			LifecycleScope: jsii.String("CRUD"),
			Input: jsii.String(marshal(map[string]any{
				"action": "roles", "services": services, "revision": revision,
			})),
		})
}

// newRotations makes Secrets Manager call the function for each secret, once the users exist. With a
// number of days instead of a schedule, it would choose any hour of the day, and replace the tasks of
// all services on the same day.
func newRotations(s *scope, users *DatabaseUsers, functionARN *string, invocation cdktf.ITerraformDependable) {
	permission := lambdapermission.NewLambdaPermission(s.stack, jsii.String("database_function_permission"),
		&lambdapermission.LambdaPermissionConfig{
			StatementId:   jsii.String("SecretsManager"),
			FunctionName:  users.FunctionName,
			Action:        jsii.String("lambda:InvokeFunction"),
			Principal:     jsii.String("secretsmanager.amazonaws.com"),
			SourceAccount: jsii.String(s.account),
		})
	for _, name := range s.cfg.DatabaseServices() {
		schedule := s.cfg.Database.RotationSchedule(name)
		rotation.NewSecretsmanagerSecretRotation(s.stack, jsii.String("service_"+name+"_database_rotation"),
			&rotation.SecretsmanagerSecretRotationConfig{
				SecretId:          users.secrets[name],
				RotationLambdaArn: functionARN,
				RotateImmediately: false,
				RotationRules: &rotation.SecretsmanagerSecretRotationRotationRules{
					ScheduleExpression: jsii.String(schedule.Cron), Duration: jsii.String(schedule.Duration),
				},
				DependsOn: dependencies{permission, invocation}.list(),
			})
	}
}

func (users *DatabaseUsers) outputs() []output {
	return []output{{
		"service_database_secret_arns",
		"Secrets with the services' users in the database, which are rotated",
		users.secrets,
	}}
}

func (users *DatabaseUsers) alarms() []alarm {
	return []alarm{alarm{
		id:      "database_function_errors",
		runbook: "database.md#database_function_errors",
		description: "The database function failed: a password was not rotated, or a deployment could not create the " +
			"services' database users. The current passwords still work, and Secrets Manager retries a rotation. See " +
			"the function's log group for the reason.",
	}.onErrors(users.FunctionName)}
}

// ---- What a container gets --------------------------------------------------------------------

// connect gives an application the database: the connection, libpq's variables, the user's secret
// and the certificates.
func (users *DatabaseUsers) connect(t *task, app *container) {
	db := users.database
	t.mayReach(db.SecurityGroup, t.id+"_to_database", postgresPort, "PostgreSQL")
	t.after(users.ready...)
	app.setEnvironment(map[string]string{
		"PGHOST":        *db.Address,
		"PGPORT":        strconv.Itoa(postgresPort),
		"PGDATABASE":    db.name,
		"PGSSLMODE":     "verify-full",
		"PGSSLROOTCERT": certificateFile,
	})
	secret := *users.secrets[t.name]
	app.setSecrets(map[string]string{"PGUSER": secret + ":username::", "PGPASSWORD": secret + ":password::"})
	t.mayReadSecrets(secretAccess{secrets: []string{secret}, keys: []string{*t.keys.Secrets}})
	deliverCertificates(t, app)
}

// certificates are those of RDS's certificate authorities, a file for each region. The database
// function has them too.
//
//go:embed functions/database/certificates/*.pem
var certificates embed.FS

// certificateFile is where a container finds the certificates.
const certificateFile = "/certificates/rds.pem"

// deliverCertificates gives a container RDS's certificates, which public images do not contain.
func deliverCertificates(t *task, app *container) {
	text, err := certificates.ReadFile("functions/database/certificates/" + t.cfg.Region + ".pem")
	if err != nil {
		panic(err) // checked with the configuration
	}
	t.deliver(app, t.cfg.Database.CertificateImage, textFile{
		name: "rds-certificates", // no service can have a name with a dash
		path: certificateFile, variable: "CERTIFICATES", text: string(text),
	})
}
