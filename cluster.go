package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecscluster"
	capacity "github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsclustercapacityproviders"
	namespaces "github.com/cdktf/cdktf-provider-aws-go/aws/v19/servicediscoveryprivatednsnamespace"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/servicediscoveryservice"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Cluster is where tasks run, those of services and those of the platform.
type Cluster struct {
	ARN, Name *string
	Domain    string // of the private DNS namespace
	Ready     dependencies

	network      *Network
	namespaceID  *string // Cloud Map
	execLogGroup *string // ARN
}

// newCluster declares the cluster, its two kinds of Fargate capacity, the log of shell sessions,
// and the private DNS namespace.
func newCluster(s *scope, n *Network) *Cluster {
	name := s.cfg.Stack()
	sessions := newLogGroup(s, "exec_log_group", "/"+name+"/exec")
	insights := newLogGroup(s, "container_insights_log_group", "/aws/ecs/containerinsights/"+name+"/performance")
	cluster := ecscluster.NewEcsCluster(s.stack, jsii.String("cluster"), &ecscluster.EcsClusterConfig{
		Name: jsii.String(name),
		Setting: &[]*ecscluster.EcsClusterSetting{{
			Name: jsii.String("containerInsights"), Value: jsii.String("enhanced"),
		}},
		Configuration: execConfiguration(s, sessions.Name()),
		Tags:          s.tags("cluster"),
		DependsOn:     dependencies{insights}.list(),
	})
	providers := capacity.NewEcsClusterCapacityProviders(s.stack, jsii.String("cluster_capacity_providers"),
		&capacity.EcsClusterCapacityProvidersConfig{
			ClusterName:       cluster.Name(),
			CapacityProviders: jsii.Strings("FARGATE", "FARGATE_SPOT"),
			DefaultCapacityProviderStrategy: &[]*capacity.EcsClusterCapacityProvidersDefaultCapacityProviderStrategy{{
				CapacityProvider: jsii.String("FARGATE"), Weight: number(1),
			}},
		})
	domain := s.cfg.Domain()
	namespace := namespaces.NewServiceDiscoveryPrivateDnsNamespace(s.stack, jsii.String("namespace"),
		&namespaces.ServiceDiscoveryPrivateDnsNamespaceConfig{
			Name:        jsii.String(domain),
			Vpc:         n.VpcID,
			Description: jsii.String("Tasks of " + name),
			Tags:        s.tags("namespace"),
		})
	return &Cluster{
		ARN: cluster.Arn(), Name: cluster.Name(), Domain: domain, Ready: dependencies{providers},
		network: n, namespaceID: namespace.Id(), execLogGroup: sessions.Arn(),
	}
}

// execConfiguration encrypts shell sessions and records them in a log group.
func execConfiguration(s *scope, logGroup *string) *ecscluster.EcsClusterConfiguration {
	return &ecscluster.EcsClusterConfiguration{
		ExecuteCommandConfiguration: &ecscluster.EcsClusterConfigurationExecuteCommandConfiguration{
			KmsKeyId: s.keys.Services,
			Logging:  jsii.String("OVERRIDE"),
			LogConfiguration: &ecscluster.EcsClusterConfigurationExecuteCommandConfigurationLogConfiguration{
				CloudWatchEncryptionEnabled: true, CloudWatchLogGroupName: logGroup,
			},
		},
	}
}

// register gives the tasks of a service a name in the namespace, and returns the registry's ARN.
// ECS reports the health of each task to Cloud Map, which answers with healthy tasks only. Without
// the custom configuration, Cloud Map would answer with all tasks.
// https://docs.aws.amazon.com/cloud-map/latest/dg/services-health-checks.html
func (cluster *Cluster) register(s *scope, p part) *string {
	return servicediscoveryservice.NewServiceDiscoveryService(s.stack, jsii.String(p.id+"_discovery"),
		&servicediscoveryservice.ServiceDiscoveryServiceConfig{
			Name:         jsii.String(p.name),
			ForceDestroy: true, // instances that ECS has not deregistered yet; it holds no data
			DnsConfig: &servicediscoveryservice.ServiceDiscoveryServiceDnsConfig{
				NamespaceId:   cluster.namespaceID,
				RoutingPolicy: jsii.String("MULTIVALUE"),
				DnsRecords: &[]*servicediscoveryservice.ServiceDiscoveryServiceDnsConfigDnsRecords{{
					Type: jsii.String("A"), Ttl: number(10),
				}},
			},
			// AWS ignores the threshold and always uses 1, but without a threshold the provider
			// sends no configuration. A service that was created without the configuration keeps
			// its registry: AWS cannot add the configuration, and a replacement would delete the
			// registry while tasks are registered.
			HealthCheckCustomConfig: &servicediscoveryservice.ServiceDiscoveryServiceHealthCheckCustomConfig{
				FailureThreshold: number(1),
			},
			Tags: s.tags(p.name),
			Lifecycle: &cdktf.TerraformResourceLifecycle{
				IgnoreChanges: &[]*string{jsii.String("health_check_custom_config")},
			},
		}).Arn()
}

// dimensions are those of an ECS service's metrics.
func (cluster *Cluster) dimensions(service *string) map[string]*string {
	return map[string]*string{"ClusterName": cluster.Name, "ServiceName": service}
}

// execStatements are what the agent in a container needs for a shell session or a port-forward.
func (cluster *Cluster) execStatements(s *scope) []statement {
	return []statement{
		{
			sid: "Session",
			actions: []string{
				"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
				"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
			},
			resources: []string{"*"}, // channels have no ARN
		},
		{sid: "SessionKey", actions: []string{"kms:Decrypt"}, resources: []string{*s.keys.Services}},
		// The agent lists log groups without a name.
		{sid: "SessionLogFind", actions: []string{"logs:DescribeLogGroups"}, resources: []string{"*"}},
		{
			sid:       "SessionLog",
			actions:   []string{"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
			resources: []string{*cluster.execLogGroup + ":*"},
		},
	}
}

func (cluster *Cluster) outputs() []output {
	return []output{{"cluster_name", "The ECS cluster", cluster.Name}}
}
