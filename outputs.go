package main

import (
	"platform/internal/config"

	"github.com/aws/jsii-runtime-go"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// newOutputs says what an operator or another stack needs to know. An output's id is its name.
func newOutputs(stack cdktf.TerraformStack, cfg *config.Config, net *Network, balancer *LoadBalancer, db *Database, roles *Roles, cluster *Cluster, services []*Service, monitoring *Monitoring, backup *Backup, dashboard *string) {
	output := func(name, description string, value any) {
		cdktf.NewTerraformOutput(stack, jsii.String(name), &cdktf.TerraformOutputConfig{Value: value, Description: jsii.String(description)})
	}
	output("url", "Where the application is reached", balancer.URL)
	output("load_balancer_dns_name", "For a CNAME or alias record of your own", balancer.DNSName)
	output("load_balancer_zone_id", "Hosted zone of that name, for an alias record", balancer.ZoneID)
	output("load_balancer_security_group_id", "Security group of the load balancer", balancer.SecurityGroup)

	output("vpc_id", "The VPC", net.VpcID)
	output("public_subnet_ids", "Public subnets, by zone", net.PublicSubnets)
	output("private_subnet_ids", "Private subnets, by zone", net.PrivateSubnets)
	output("database_subnet_ids", "Database subnets, by zone", net.DatabaseSubnets)

	output("cluster_name", "The ECS cluster", cluster.Name)
	names, groups, repositories := map[string]*string{}, map[string]*string{}, map[string]*string{}
	logs := map[string]*string{"prometheus": monitoring.PrometheusLogGroup, "backup": backup.LogGroup, "database_roles": roles.LogGroup, "database": db.LogGroups[0]}
	for _, s := range services {
		names[s.Name], groups[s.Name], logs["service_"+s.Name] = s.ServiceName, s.SecurityGroup, s.LogGroup
		if s.RepositoryURL != nil {
			repositories[s.Name] = s.RepositoryURL
		}
	}
	output("service_names", "ECS services, by their name in the configuration", names)
	output("service_security_group_ids", "Security groups of the services' tasks", groups)
	output("repository_urls", "Image repositories of the services that have one", repositories)
	output("log_group_names", "Log groups to read first", logs)

	output("database_address", "Host name of PostgreSQL, reached from inside the VPC", db.Address)
	output("database_port", "Port of PostgreSQL", postgresPort)
	output("database_secret_arn", "Secret with the master's credentials, which RDS rotates", db.SecretARN)
	output("service_database_secret_arns", "Secrets with the services' users in the database, which are rotated", roles.secrets)
	output("database_security_group_id", "Security group of the database", db.SecurityGroup)

	output("prometheus_address", "Prometheus, reached from inside the VPC or by a port-forward", monitoring.PrometheusName)
	output("alerts_topic_arn", "Topic of all alarms", monitoring.TopicARN)
	output("dashboard_url", "The dashboard", "https://"+cfg.Region+".console.aws.amazon.com/cloudwatch/home?region="+cfg.Region+"#dashboards/dashboard/"+*dashboard)
	output("backup_bucket_name", "Bucket of the backups", backup.Bucket)
	output("backup_function_name", "Function that takes snapshots", backup.FunctionName)
}
