package main

import (
	"maps"
	"platform/internal/config"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingpolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingscheduledaction"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/appautoscalingtarget"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchmetricalarm"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrlifecyclepolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecrrepository"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecscluster"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsclustercapacityproviders"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsservice"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/servicediscoveryprivatednsnamespace"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/servicediscoveryservice"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Cluster is where tasks run, ours and Prometheus'.
type Cluster struct {
	ARN, Name   *string
	NamespaceID *string // Cloud Map
	Domain      string  // of the namespace
	Ready       []cdktf.ITerraformDependable

	network      *Network
	keys         *Keys
	accountID    string
	execLogGroup *string // ARN
}

// Service is one of the configured services as it runs.
type Service struct {
	Name          string // as configured
	ServiceName   *string
	SecurityGroup *string
	LogGroup      *string // name
	Route         *Route  // nil without a route
	RepositoryURL *string // nil without a repository
}

// newCluster declares the cluster, its two kinds of Fargate capacity, the log of shell sessions, and the private DNS namespace.
func newCluster(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, accountID string) *Cluster {
	name := cfg.Stack()
	sessions := newLogGroup(stack, cfg, keys, "exec_log_group", "/"+name+"/exec")
	insights := newLogGroup(stack, cfg, keys, "container_insights_log_group", "/aws/ecs/containerinsights/"+name+"/performance")
	cluster := ecscluster.NewEcsCluster(stack, jsii.String("cluster"), &ecscluster.EcsClusterConfig{
		Name:    jsii.String(name),
		Setting: &[]*ecscluster.EcsClusterSetting{{Name: jsii.String("containerInsights"), Value: jsii.String("enhanced")}},
		Configuration: &ecscluster.EcsClusterConfiguration{
			ExecuteCommandConfiguration: &ecscluster.EcsClusterConfigurationExecuteCommandConfiguration{
				KmsKeyId: keys.Services,
				Logging:  jsii.String("OVERRIDE"),
				LogConfiguration: &ecscluster.EcsClusterConfigurationExecuteCommandConfigurationLogConfiguration{
					CloudWatchEncryptionEnabled: true, CloudWatchLogGroupName: sessions.Name(),
				},
			},
		},
		Tags:      nameTag(cfg, "cluster"),
		DependsOn: dependsOn(insights),
	})
	capacity := ecsclustercapacityproviders.NewEcsClusterCapacityProviders(stack, jsii.String("cluster_capacity_providers"), &ecsclustercapacityproviders.EcsClusterCapacityProvidersConfig{
		ClusterName:       cluster.Name(),
		CapacityProviders: jsii.Strings("FARGATE", "FARGATE_SPOT"),
		DefaultCapacityProviderStrategy: &[]*ecsclustercapacityproviders.EcsClusterCapacityProvidersDefaultCapacityProviderStrategy{{
			CapacityProvider: jsii.String("FARGATE"), Weight: jsii.Number(1),
		}},
	})
	domain := name + ".internal"
	namespace := servicediscoveryprivatednsnamespace.NewServiceDiscoveryPrivateDnsNamespace(stack, jsii.String("namespace"), &servicediscoveryprivatednsnamespace.ServiceDiscoveryPrivateDnsNamespaceConfig{
		Name: jsii.String(domain), Vpc: net.VpcID, Description: jsii.String("Tasks of " + name), Tags: nameTag(cfg, "namespace"),
	})
	return &Cluster{
		ARN: cluster.Arn(), Name: cluster.Name(), NamespaceID: namespace.Id(), Domain: domain,
		Ready:   []cdktf.ITerraformDependable{capacity},
		network: net, keys: keys, accountID: accountID, execLogGroup: sessions.Arn(),
	}
}

// newServices declares the configured services, in the order of their names. No service knows another.
func newServices(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, balancer *LoadBalancer, db *Database, roles *Roles, cluster *Cluster) []*Service {
	var services []*Service
	for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
		services = append(services, newService(stack, cfg, keys, net, balancer, db, roles, cluster, name))
	}
	return services
}

// newService declares one service; every id begins with service_<name>_.
//
//	balancer ── target group ── tasks (own security group, own roles, own log group) ── database, AWS
//
// Everything a task needs in its first second is there before the service: otherwise the first pull fails, the circuit breaker
// trips, and there is no earlier deployment to go back to.
func newService(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, balancer *LoadBalancer, db *Database, roles *Roles, cluster *Cluster, name string) *Service {
	s, id := cfg.Services[name], "service_"+name
	group := newSecurityGroup(stack, cfg, net, id+"_security_group", name, "Tasks of "+name)
	logs := newLogGroup(stack, cfg, keys, id+"_log_group", "/"+cfg.Stack()+"/service/"+name)
	out := &Service{Name: name, SecurityGroup: group, LogGroup: logs.Name()}
	ready := append([]cdktf.ITerraformDependable{logs}, net.Outside...)
	ready = append(ready, cluster.Ready...)
	ready = append(ready, net.allowOutside(stack, cfg, id, group)...)
	if s.UsesDatabase() {
		ready = append(ready, allow(stack, cfg, id+"_to_database", "PostgreSQL", group, db.SecurityGroup, postgresPort)...)
		ready = append(ready, roles.Ready...)
	}
	if s.Routed() {
		out.Route = balancer.route(stack, cfg, name, group)
		ready = append(ready, out.Route.Ready...)
	}
	if s.Repository {
		out.RepositoryURL = newRepository(stack, cfg, keys, name)
	}

	execution := newExecutionRole(stack, cfg, cluster, id, name, *logs.Arn(), s, roles)
	task := newRole(stack, cfg, id+"_task_role", name+"-task", "ecs-tasks.amazonaws.com", cluster.taskTrust(cfg), cluster.taskStatements(s)...)
	ready = append(append(ready, execution.Ready...), task.Ready...)

	app := newContainer(name, s.Image, *logs.Name(), cfg.Region)
	app.Command, app.User, app.StopTimeout = s.Command, s.User, s.StopTimeout
	app.listen(s.Port)
	if s.Metrics.Enabled {
		app.listen(s.Metrics.Port)
	}
	app.LinuxParameters.Tmpfs = []tmpfs{{"/tmp", s.Scratch, []string{"mode=1777", "nosuid", "nodev", "noexec"}}}
	app.LinuxParameters.Capabilities = noCapabilities()
	app.setEnvironment(escaped(s.Environment))
	app.setSecrets(s.Secrets)
	if s.UsesDatabase() {
		app.setEnvironment(db.environment())
		app.setSecrets(roles.credentials(name))
	}
	if len(s.HealthCheck.Command) > 0 {
		app.HealthCheck = &containerHealthCheck{append([]string{"CMD"}, s.HealthCheck.Command...), 30, 5, 3, min(s.HealthCheck.GracePeriod, 300)}
	}
	containers, volumes := []*container{app}, app.allowExec(s.Exec)
	if s.UsesDatabase() {
		first, volume := deliverCertificates(cfg, app, *logs.Name())
		containers, volumes = append(containers, first), append(volumes, volume)
	}
	definition := newTaskDefinition(stack, cfg, id, name, taskSize{s.CPU, s.Memory, 0, s.Architecture}, execution, task, volumes, containers...)

	arguments := newServiceConfig(cfg, cluster, name, id, definition, group, s.Spot, s.Exec)
	arguments.DesiredCount = jsii.Number(float64(s.Tasks))
	if s.Scaled() {
		arguments.Lifecycle.IgnoreChanges = &[]*string{jsii.String("desired_count")} // the scaling's from the first task on
	}
	arguments.ServiceRegistries = &ecsservice.EcsServiceServiceRegistries{RegistryArn: newDiscovery(stack, cfg, cluster, id, name)}
	if out.Route != nil {
		arguments.LoadBalancer = &[]*ecsservice.EcsServiceLoadBalancer{{
			TargetGroupArn: out.Route.TargetGroupARN, ContainerName: jsii.String(name), ContainerPort: jsii.Number(float64(s.Port)),
		}}
		arguments.HealthCheckGracePeriodSeconds = jsii.Number(float64(s.HealthCheck.GracePeriod))
		arguments.Alarms = newDeploymentAlarms(stack, cfg, balancer, out.Route, id, name)
	}
	if s.Metrics.Enabled {
		tags := *arguments.Tags // ECS copies them to the tasks, where Prometheus reads them
		tags["MetricsPort"], tags["MetricsPath"] = jsii.String(strconv.Itoa(s.Metrics.Port)), jsii.String(s.Metrics.Path)
	}
	arguments.DependsOn = dependsOn(ready...)
	running := ecsservice.NewEcsService(stack, jsii.String(id+"_service"), arguments)
	out.ServiceName = running.Name()
	if s.Scaled() {
		newScaling(stack, cfg, cluster, balancer, out, running, id, name)
	}
	return out
}

// newServiceConfig is what every service of the cluster has in common: capacity, network, and how a deployment goes. A failed
// one goes back by itself, which Terraform would take for a success: the postcondition tells.
func newServiceConfig(cfg *config.Config, cluster *Cluster, name, id string, definition, group *string, spot, exec bool) *ecsservice.EcsServiceConfig {
	return &ecsservice.EcsServiceConfig{
		Name:           jsii.String(name),
		Cluster:        cluster.ARN,
		TaskDefinition: definition,
		CapacityProviderStrategy: &[]*ecsservice.EcsServiceCapacityProviderStrategy{{
			CapacityProvider: jsii.String(choose(spot, "FARGATE_SPOT", "FARGATE")), Weight: jsii.Number(1),
		}},
		ForceNewDeployment: true, // without it, a change between Spot and not would replace the service
		NetworkConfiguration: &ecsservice.EcsServiceNetworkConfiguration{
			Subnets: &cluster.network.PrivateSubnets, SecurityGroups: &[]*string{group}, AssignPublicIp: false,
		},
		DeploymentMinimumHealthyPercent: jsii.Number(100),
		DeploymentMaximumPercent:        jsii.Number(200),
		DeploymentCircuitBreaker:        &ecsservice.EcsServiceDeploymentCircuitBreaker{Enable: true, Rollback: true},
		AvailabilityZoneRebalancing:     jsii.String("ENABLED"),
		EnableEcsManagedTags:            true,
		PropagateTags:                   jsii.String("SERVICE"),
		EnableExecuteCommand:            exec,
		WaitForSteadyState:              true,
		Tags:                            nameTag(cfg, name),
		Lifecycle: &cdktf.TerraformResourceLifecycle{Postcondition: &[]*cdktf.Postcondition{{
			Condition:    jsii.String("${self.task_definition == aws_ecs_task_definition." + id + "_task_definition.arn}"),
			ErrorMessage: jsii.String("The deployment of " + name + " failed and was rolled back: its tasks run the task definition from before. See the service's events and logs, then deploy again."),
		}}},
	}
}

// newDiscovery gives the tasks of a service a name in the namespace.
func newDiscovery(stack cdktf.TerraformStack, cfg *config.Config, cluster *Cluster, id, name string) *string {
	return servicediscoveryservice.NewServiceDiscoveryService(stack, jsii.String(id+"_discovery"), &servicediscoveryservice.ServiceDiscoveryServiceConfig{
		Name:         jsii.String(name),
		ForceDestroy: true, // instances that ECS has not taken out yet; it holds no data
		DnsConfig: &servicediscoveryservice.ServiceDiscoveryServiceDnsConfig{
			NamespaceId:   cluster.NamespaceID,
			RoutingPolicy: jsii.String("MULTIVALUE"),
			DnsRecords:    &[]*servicediscoveryservice.ServiceDiscoveryServiceDnsConfigDnsRecords{{Type: jsii.String("A"), Ttl: jsii.Number(10)}},
		},
		Tags: nameTag(cfg, name),
	}).Arn()
}

// newRepository declares a place for the service's images: a tag never changes its meaning, and every image is scanned.
func newRepository(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, name string) *string {
	repository := ecrrepository.NewEcrRepository(stack, jsii.String("service_"+name+"_repository"), &ecrrepository.EcrRepositoryConfig{
		Name:                       jsii.String(cfg.Stack() + "/" + name),
		ImageTagMutability:         jsii.String("IMMUTABLE"),
		ForceDelete:                !cfg.Protected,
		ImageScanningConfiguration: &ecrrepository.EcrRepositoryImageScanningConfiguration{ScanOnPush: true},
		EncryptionConfiguration: &[]*ecrrepository.EcrRepositoryEncryptionConfiguration{{
			EncryptionType: jsii.String("KMS"), KmsKey: keys.Services,
		}},
		Tags: nameTag(cfg, name),
	})
	rule := func(priority int, description, status, unit string, count int) map[string]any {
		selection := map[string]any{"tagStatus": status, "countType": "imageCountMoreThan", "countNumber": count}
		if unit != "" {
			selection["countType"], selection["countUnit"] = "sinceImagePushed", unit
		}
		return map[string]any{"rulePriority": priority, "description": description, "selection": selection, "action": map[string]any{"type": "expire"}}
	}
	policy := map[string]any{"rules": []any{
		rule(1, "Untagged images go after a day", "untagged", "days", 1),
		rule(2, "The last hundred images stay", "any", "", 100),
	}}
	ecrlifecyclepolicy.NewEcrLifecyclePolicy(stack, jsii.String("service_"+name+"_repository_lifecycle"), &ecrlifecyclepolicy.EcrLifecyclePolicyConfig{
		Repository: repository.Name(), Policy: jsii.String(marshal(policy)),
	})
	return repository.RepositoryUrl()
}

// newDeploymentAlarms are what ECS watches while it rolls out a new version: errors and slowness of this service. They mean nothing
// without traffic, and never look at the task count, which a deployment changes itself. An alarm that rings already is not
// watched by ECS: they have the shortest useful window.
func newDeploymentAlarms(stack cdktf.TerraformStack, cfg *config.Config, balancer *LoadBalancer, route *Route, id, name string) *ecsservice.EcsServiceAlarms {
	alarm := func(noun, metric, description string, statistic, percentile *string, threshold float64) *string {
		return cloudwatchmetricalarm.NewCloudwatchMetricAlarm(stack, jsii.String(id+"_deployment_"+noun+"_alarm"), &cloudwatchmetricalarm.CloudwatchMetricAlarmConfig{
			AlarmName:          jsii.String(cfg.ResourceName(name + "-deployment-" + noun)),
			AlarmDescription:   jsii.String(description + " While a deployment runs, ECS goes back to the version before; at other times see the alarms of the load balancer."),
			Namespace:          jsii.String("AWS/ApplicationELB"),
			MetricName:         jsii.String(metric),
			Dimensions:         &map[string]*string{"LoadBalancer": balancer.ARNSuffix, "TargetGroup": route.TargetGroupARNSuffix},
			Statistic:          statistic,
			ExtendedStatistic:  percentile,
			ComparisonOperator: jsii.String("GreaterThanThreshold"),
			Threshold:          jsii.Number(threshold),
			Period:             jsii.Number(60),
			EvaluationPeriods:  jsii.Number(3),
			DatapointsToAlarm:  jsii.Number(2),
			TreatMissingData:   jsii.String("notBreaching"),
			Tags:               nameTag(cfg, name+"-deployment-"+noun),
		}).AlarmName()
	}
	return &ecsservice.EcsServiceAlarms{
		Enable: true, Rollback: true,
		AlarmNames: &[]*string{
			alarm("errors", "HTTPCode_Target_5XX_Count", "More than ten answers of "+name+" a minute are errors (5xx).", jsii.String("Sum"), nil, 10),
			alarm("latency", "TargetResponseTime", "One answer of "+name+" in a hundred takes longer than three seconds.", nil, jsii.String("p99"), 3),
		},
	}
}

// newScaling hands the task count to AWS, between tasks and scaling.max.
func newScaling(stack cdktf.TerraformStack, cfg *config.Config, cluster *Cluster, balancer *LoadBalancer, out *Service, running ecsservice.EcsService, id, name string) {
	s := cfg.Services[name]
	var lifecycle *cdktf.TerraformResourceLifecycle
	if len(s.Scaling.Schedules) > 0 {
		// The bounds are the schedules' to move; a deployment in between would take them back.
		lifecycle = &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("min_capacity"), jsii.String("max_capacity")}}
	}
	target := appautoscalingtarget.NewAppautoscalingTarget(stack, jsii.String(id+"_scaling_target"), &appautoscalingtarget.AppautoscalingTargetConfig{
		ServiceNamespace:  jsii.String("ecs"),
		ScalableDimension: jsii.String("ecs:service:DesiredCount"),
		ResourceId:        jsii.String("service/" + *cluster.Name + "/" + *running.Name()),
		MinCapacity:       jsii.Number(float64(s.Tasks)),
		MaxCapacity:       jsii.Number(float64(s.Scaling.Max)),
		Tags:              nameTag(cfg, name),
		Lifecycle:         lifecycle,
	})
	track := func(noun, metric string, percent float64, label *string, after ...cdktf.ITerraformDependable) {
		appautoscalingpolicy.NewAppautoscalingPolicy(stack, jsii.String(id+"_scaling_"+noun), &appautoscalingpolicy.AppautoscalingPolicyConfig{
			Name:              jsii.String(cfg.ResourceName(name + "-" + noun)),
			PolicyType:        jsii.String("TargetTrackingScaling"),
			ServiceNamespace:  target.ServiceNamespace(),
			ScalableDimension: target.ScalableDimension(),
			ResourceId:        target.ResourceId(),
			TargetTrackingScalingPolicyConfiguration: &appautoscalingpolicy.AppautoscalingPolicyTargetTrackingScalingPolicyConfiguration{
				TargetValue: jsii.Number(percent), ScaleOutCooldown: jsii.Number(60), ScaleInCooldown: jsii.Number(300), // seconds
				PredefinedMetricSpecification: &appautoscalingpolicy.AppautoscalingPolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecification{
					PredefinedMetricType: jsii.String(metric), ResourceLabel: label,
				},
			},
			DependsOn: dependsOn(after...),
		})
	}
	track("cpu", "ECSServiceAverageCPUUtilization", float64(s.Scaling.CPU), nil)
	track("memory", "ECSServiceAverageMemoryUtilization", float64(s.Scaling.Memory), nil)
	if s.Scaling.Requests > 0 && out.Route != nil {
		label := *balancer.ARNSuffix + "/" + *out.Route.TargetGroupARNSuffix
		track("requests", "ALBRequestCountPerTarget", float64(s.Scaling.Requests), jsii.String(label), out.Route.Ready...) // refused while no listener uses the target group
	}
	for _, key := range slices.Sorted(maps.Keys(s.Scaling.Schedules)) {
		schedule := s.Scaling.Schedules[key]
		appautoscalingscheduledaction.NewAppautoscalingScheduledAction(stack, jsii.String(id+"_scaling_schedule_"+key), &appautoscalingscheduledaction.AppautoscalingScheduledActionConfig{
			Name:              jsii.String(cfg.ResourceName(name + "-" + key)),
			ServiceNamespace:  target.ServiceNamespace(),
			ScalableDimension: target.ScalableDimension(),
			ResourceId:        target.ResourceId(),
			Schedule:          jsii.String(schedule.At),
			Timezone:          jsii.String(choose(schedule.Timezone == "", "UTC", schedule.Timezone)),
			ScalableTargetAction: &appautoscalingscheduledaction.AppautoscalingScheduledActionScalableTargetAction{
				MinCapacity: jsii.String(strconv.Itoa(schedule.Min)), MaxCapacity: jsii.String(strconv.Itoa(schedule.Max)),
			},
		})
	}
}
