package main

import (
	"platform/internal/bundle"
	"platform/internal/config"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdafunction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdainvocation"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/lambdapermission"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecret"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/secretsmanagersecretrotation"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Roles are what the services may do in the database, each with a user of its own.
type Roles struct {
	FunctionName *string
	LogGroup     *string                      // name
	Ready        []cdktf.ITerraformDependable // a service's tasks can log in

	secrets map[string]*string // ARNs, by service
}

// newRoles declares a secret for each service with a database, and the function that makes the roles and rotates the passwords.
//
//	deployment ─────── function (in the VPC) ── database, as the master
//	Secrets Manager ──────┘   ├── the services' secrets
//	                          └── ECS: a service with a new password starts anew
//
// Terraform makes the secrets empty: what is in them it never sees.
func newRoles(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, db *Database, cluster *Cluster, function bundle.Function, accountID string) *Roles {
	roles := &Roles{secrets: map[string]*string{}}
	for _, name := range cfg.DatabaseServices() {
		roles.secrets[name] = secretsmanagersecret.NewSecretsmanagerSecret(stack, jsii.String("service_"+name+"_database_secret"), &secretsmanagersecret.SecretsmanagerSecretConfig{
			Name:                 jsii.String(cfg.Stack() + "/database/" + name),
			Description:          jsii.String("User and password of " + name + " in the database; rotated by itself"),
			KmsKeyId:             keys.Secrets,
			RecoveryWindowInDays: jsii.Number(0), // a password can be made again, and a service that comes back needs the name
			Tags:                 nameTag(cfg, name+"-database"),
		}).Arn()
	}
	lambda := newRolesFunction(stack, cfg, keys, net, db, cluster, function, accountID, roles)
	invocation := newRolesInvocation(stack, cfg, db, function, lambda, roles)
	roles.Ready = []cdktf.ITerraformDependable{invocation}

	permission := lambdapermission.NewLambdaPermission(stack, jsii.String("database_function_permission"), &lambdapermission.LambdaPermissionConfig{
		StatementId: jsii.String("SecretsManager"), FunctionName: lambda.FunctionName(), Action: jsii.String("lambda:InvokeFunction"),
		Principal: jsii.String("secretsmanager.amazonaws.com"), SourceAccount: jsii.String(accountID),
	})
	for _, name := range cfg.DatabaseServices() {
		secretsmanagersecretrotation.NewSecretsmanagerSecretRotation(stack, jsii.String("service_"+name+"_database_rotation"), &secretsmanagersecretrotation.SecretsmanagerSecretRotationConfig{
			SecretId:          roles.secrets[name],
			RotationLambdaArn: lambda.Arn(),
			RotateImmediately: false,
			RotationRules:     &secretsmanagersecretrotation.SecretsmanagerSecretRotationRotationRules{AutomaticallyAfterDays: jsii.Number(float64(cfg.Database.Rotation))},
			DependsOn:         dependsOn(permission, invocation),
		})
	}
	return roles
}

// credentials are a container's variables from a service's secret, as variable: reference.
func (roles *Roles) credentials(service string) map[string]string {
	secret := *roles.secrets[service]
	return map[string]string{"PGUSER": secret + ":username::", "PGPASSWORD": secret + ":password::"}
}

func newRolesFunction(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, db *Database, cluster *Cluster, function bundle.Function, accountID string, roles *Roles) lambdafunction.LambdaFunction {
	name := cfg.ResourceName("database")
	logs := newLogGroup(stack, cfg, keys, "database_function_log_group", "/aws/lambda/"+name)
	var secrets, services []string
	for _, service := range cfg.DatabaseServices() {
		secrets = append(secrets, *roles.secrets[service])
		services = append(services, "arn:aws:ecs:"+cfg.Region+":"+accountID+":service/"+cfg.Stack()+"/"+service)
	}
	through := []condition{equals("kms:ViaService", "secretsmanager."+cfg.Region+".amazonaws.com")}
	interfaces := []string{"ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"}
	statements := []statement{
		writeLog(*logs.Arn()),
		// Lambda itself makes the function's network interfaces, with this role, and looks for exactly this right. The function's code may not.
		{sid: "Network", actions: interfaces, resources: []string{"*"}},
		{sid: "NetworkNotByCode", deny: true, actions: interfaces, resources: []string{"*"}, conditions: []condition{
			{"ArnEquals", "lambda:SourceFunctionArn", []string{"arn:aws:lambda:" + cfg.Region + ":" + accountID + ":function:" + name}},
		}},
		{sid: "Master", actions: []string{"secretsmanager:GetSecretValue"}, resources: []string{*db.SecretARN}},
		{sid: "MasterKey", actions: []string{"kms:Decrypt"}, resources: []string{*db.KeyARN}, conditions: through},
		{sid: "OwnEnvironment", actions: []string{"kms:Decrypt"}, resources: []string{*keys.Secrets}},
	}
	if len(secrets) > 0 {
		statements = append(statements,
			statement{sid: "Secrets", actions: []string{
				"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage",
			}, resources: secrets},
			statement{sid: "SecretsKey", actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, resources: []string{*keys.Secrets}, conditions: through},
			statement{sid: "Restart", actions: []string{"ecs:UpdateService"}, resources: services},
		)
	}
	role := newRole(stack, cfg, "database_function_role", "database-function", "lambda.amazonaws.com", nil, statements...)
	// Lambda takes its network interfaces away minutes after the function is gone, and with its role: what may go only after them goes before the role's rights.
	group := newSecurityGroup(stack, cfg, net, "database_function_security_group", "database-function", "Database function: nothing in; out to the database and AWS", role.Ready...)
	ready := append(net.allowOutside(stack, cfg, "database_function", group), net.Outside...)
	ready = append(ready, allow(stack, cfg, "database_function_to_database", "PostgreSQL", group, db.SecurityGroup, postgresPort)...)
	lambda := newLambda(stack, cfg, "database_function", function, role, lambdaSpec{
		noun: "database", description: "Gives each service a role of its own in the database, and rotates its password",
		memory: 256, timeout: 300, // it may wait for another invocation, and for the master's rotation
		key:     keys.Secrets,
		network: &lambdafunction.LambdaFunctionVpcConfig{SubnetIds: &net.PrivateSubnets, SecurityGroupIds: &[]*string{group}},
		variables: map[string]*string{
			"PGHOST":            db.Address,
			"PGPORT":            jsii.String(strconv.Itoa(postgresPort)),
			"PGDATABASE":        jsii.String(db.name),
			"MASTER_SECRET_ARN": db.SecretARN,
			"CLUSTER":           cluster.Name,
		},
		ready: append(ready, logs),
	})
	roles.FunctionName, roles.LogGroup = lambda.FunctionName(), logs.Name()
	return lambda
}

// newRolesInvocation calls the function when the stack is made, and again whenever the list of roles, the instance or the function changes. A service that
// is taken out of the list loses its login here, before its secret goes.
func newRolesInvocation(stack cdktf.TerraformStack, cfg *config.Config, db *Database, function bundle.Function, lambda lambdafunction.LambdaFunction, roles *Roles) cdktf.ITerraformDependable {
	type serviceRole struct {
		Level            string `json:"level"`
		Secret           string `json:"secret"`
		Connections      int    `json:"connections"`
		StatementTimeout int    `json:"statement_timeout"`
	}
	services := map[string]serviceRole{}
	for _, name := range cfg.DatabaseServices() {
		s := cfg.Services[name]
		services[name] = serviceRole{s.Database, *roles.secrets[name], s.Connections, s.QueryTimeout}
	}
	return lambdainvocation.NewLambdaInvocation(stack, jsii.String("database_roles"), &lambdainvocation.LambdaInvocationConfig{
		FunctionName:   lambda.FunctionName(),
		LifecycleScope: jsii.String("CRUD"),
		Input: jsii.String(marshal(map[string]any{
			"action": "roles", "services": services, "revision": *db.Address + " " + function.Hash,
		})),
	})
}
