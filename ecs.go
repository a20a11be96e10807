package main

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

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
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecstaskdefinition"
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
func newCluster(stack cdktf.TerraformStack, cfg *Config, keys *Keys, net *Network, accountID string) *Cluster {
	name := cfg.stack()
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
func newServices(stack cdktf.TerraformStack, cfg *Config, keys *Keys, net *Network, balancer *LoadBalancer, db *Database, cluster *Cluster) []*Service {
	var services []*Service
	for _, name := range sortedKeys(cfg.Services) {
		services = append(services, newService(stack, cfg, keys, net, balancer, db, cluster, name))
	}
	return services
}

// newService declares one service; every id begins with service_<name>_.
//
//	balancer ── target group ── tasks (own security group, own roles, own log group) ── database, AWS
//
// Everything a task needs in its first second is there before the service: otherwise the first pull fails, the circuit breaker
// trips, and there is no earlier deployment to go back to.
func newService(stack cdktf.TerraformStack, cfg *Config, keys *Keys, net *Network, balancer *LoadBalancer, db *Database, cluster *Cluster, name string) *Service {
	s, id := cfg.Services[name], "service_"+name
	group := newSecurityGroup(stack, cfg, net, id+"_security_group", name, "Tasks of "+name)
	logs := newLogGroup(stack, cfg, keys, id+"_log_group", "/"+cfg.stack()+"/service/"+name)
	out := &Service{Name: name, SecurityGroup: group, LogGroup: logs.Name()}
	ready := append([]cdktf.ITerraformDependable{logs}, net.Outside...)
	ready = append(ready, cluster.Ready...)
	ready = append(ready, net.allowOutside(stack, cfg, id, group)...)
	if s.Database != "none" {
		ready = append(ready, allow(stack, cfg, id+"_to_database", "PostgreSQL", group, db.SecurityGroup, postgresPort)...)
	}
	if s.routed() {
		out.Route = balancer.route(stack, cfg, name, group)
		ready = append(ready, out.Route.Ready...)
	}
	if s.Repository {
		out.RepositoryURL = newRepository(stack, cfg, keys, name)
	}

	execution := newExecutionRole(stack, cfg, cluster, id, name, *logs.Arn(), s, db)
	task := newRole(stack, cfg, id+"_task_role", name+"-task", "ecs-tasks.amazonaws.com", cluster.taskTrust(cfg), cluster.taskStatements(s)...)
	ready = append(append(ready, execution.Ready...), task.Ready...)

	app := newContainer(name, s.Image, *logs.Name(), cfg.Region)
	app.Command, app.User, app.StopTimeout = s.Command, s.User, s.StopTimeout
	app.listen(s.Port)
	if s.Metrics.Enabled {
		app.listen(s.Metrics.Port)
	}
	app.LinuxParameters.Tmpfs = []tmpfs{{"/tmp", s.Scratch, []string{"mode=1777", "nosuid", "nodev", "noexec"}}}
	app.LinuxParameters.Capabilities = &capabilities{Drop: []string{"ALL"}}
	app.setEnvironment(escaped(s.Environment))
	app.setSecrets(s.Secrets)
	if s.Database != "none" {
		app.setEnvironment(db.environment())
		app.setSecrets(db.credentials(name))
	}
	if len(s.HealthCheck.Command) > 0 {
		app.HealthCheck = &containerHealthCheck{append([]string{"CMD"}, s.HealthCheck.Command...), 30, 5, 3, min(s.HealthCheck.GracePeriod, 300)}
	}
	volumes := app.allowExec(s.Exec)
	definition := newTaskDefinition(stack, cfg, id, name, taskSize{s.CPU, s.Memory, 0, s.Architecture}, execution, task, volumes, app)

	config := newServiceConfig(cfg, cluster, name, id, definition, group, s.Spot, s.Exec)
	config.DesiredCount = jsii.Number(float64(s.Tasks))
	if s.scaled() {
		config.Lifecycle.IgnoreChanges = &[]*string{jsii.String("desired_count")} // the scaling's from the first task on
	}
	config.ServiceRegistries = &ecsservice.EcsServiceServiceRegistries{RegistryArn: newDiscovery(stack, cfg, cluster, id, name)}
	if out.Route != nil {
		config.LoadBalancer = &[]*ecsservice.EcsServiceLoadBalancer{{
			TargetGroupArn: out.Route.TargetGroupARN, ContainerName: jsii.String(name), ContainerPort: jsii.Number(float64(s.Port)),
		}}
		config.HealthCheckGracePeriodSeconds = jsii.Number(float64(s.HealthCheck.GracePeriod))
		config.Alarms = newDeploymentAlarms(stack, cfg, balancer, out.Route, id, name)
	}
	if s.Metrics.Enabled {
		tags := *config.Tags // ECS copies them to the tasks, where Prometheus reads them
		tags["MetricsPort"], tags["MetricsPath"] = jsii.String(strconv.Itoa(s.Metrics.Port)), jsii.String(s.Metrics.Path)
	}
	config.DependsOn = dependsOn(ready...)
	running := ecsservice.NewEcsService(stack, jsii.String(id+"_service"), config)
	out.ServiceName = running.Name()
	if s.scaled() {
		newScaling(stack, cfg, cluster, balancer, out, running, id, name)
	}
	return out
}

// newServiceConfig is what every service of the cluster has in common: capacity, network, and how a deployment goes. A failed
// one goes back by itself, which Terraform would take for a success: the postcondition tells.
func newServiceConfig(cfg *Config, cluster *Cluster, name, id string, definition, group *string, spot, exec bool) *ecsservice.EcsServiceConfig {
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
func newDiscovery(stack cdktf.TerraformStack, cfg *Config, cluster *Cluster, id, name string) *string {
	return servicediscoveryservice.NewServiceDiscoveryService(stack, jsii.String(id+"_discovery"), &servicediscoveryservice.ServiceDiscoveryServiceConfig{
		Name:         jsii.String(name),
		ForceDestroy: !cfg.Protected, // instances that ECS has not taken out yet
		DnsConfig: &servicediscoveryservice.ServiceDiscoveryServiceDnsConfig{
			NamespaceId:   cluster.NamespaceID,
			RoutingPolicy: jsii.String("MULTIVALUE"),
			DnsRecords:    &[]*servicediscoveryservice.ServiceDiscoveryServiceDnsConfigDnsRecords{{Type: jsii.String("A"), Ttl: jsii.Number(10)}},
		},
		Tags: nameTag(cfg, name),
	}).Arn()
}

// newRepository declares a place for the service's images: a tag never changes its meaning, and every image is scanned.
func newRepository(stack cdktf.TerraformStack, cfg *Config, keys *Keys, name string) *string {
	repository := ecrrepository.NewEcrRepository(stack, jsii.String("service_"+name+"_repository"), &ecrrepository.EcrRepositoryConfig{
		Name:                       jsii.String(cfg.stack() + "/" + name),
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
func newDeploymentAlarms(stack cdktf.TerraformStack, cfg *Config, balancer *LoadBalancer, route *Route, id, name string) *ecsservice.EcsServiceAlarms {
	alarm := func(noun, metric, description string, statistic, percentile *string, threshold float64) *string {
		return cloudwatchmetricalarm.NewCloudwatchMetricAlarm(stack, jsii.String(id+"_deployment_"+noun+"_alarm"), &cloudwatchmetricalarm.CloudwatchMetricAlarmConfig{
			AlarmName:          jsii.String(cfg.named(name + "-deployment-" + noun)),
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
func newScaling(stack cdktf.TerraformStack, cfg *Config, cluster *Cluster, balancer *LoadBalancer, out *Service, running ecsservice.EcsService, id, name string) {
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
			Name:              jsii.String(cfg.named(name + "-" + noun)),
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
	for _, key := range sortedKeys(s.Scaling.Schedules) {
		schedule := s.Scaling.Schedules[key]
		appautoscalingscheduledaction.NewAppautoscalingScheduledAction(stack, jsii.String(id+"_scaling_schedule_"+key), &appautoscalingscheduledaction.AppautoscalingScheduledActionConfig{
			Name:              jsii.String(cfg.named(name + "-" + key)),
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

// ---- Task definitions --------------------------------------------------------------------------------------------------

// container is one entry of a task definition, in the API's spelling. Lists that AWS fills in when they are missing are written out
// empty, and what has no order of its own is sorted: otherwise every plan would find a difference.
type container struct {
	Name                   string                `json:"name"`
	Image                  string                `json:"image"`
	Essential              bool                  `json:"essential"`
	EntryPoint             []string              `json:"entryPoint,omitempty"`
	Command                []string              `json:"command,omitempty"`
	User                   string                `json:"user,omitempty"`
	ReadonlyRootFilesystem bool                  `json:"readonlyRootFilesystem"`
	Environment            []variable            `json:"environment"`
	Secrets                []secret              `json:"secrets,omitempty"`
	PortMappings           []portMapping         `json:"portMappings"`
	MountPoints            []mountPoint          `json:"mountPoints"`
	VolumesFrom            []struct{}            `json:"volumesFrom"`
	SystemControls         []struct{}            `json:"systemControls"`
	DependsOn              []containerDependency `json:"dependsOn,omitempty"`
	LinuxParameters        linuxParameters       `json:"linuxParameters"`
	HealthCheck            *containerHealthCheck `json:"healthCheck,omitempty"`
	StopTimeout            int                   `json:"stopTimeout,omitempty"` // seconds
	LogConfiguration       logConfiguration      `json:"logConfiguration"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

type portMapping struct {
	ContainerPort int    `json:"containerPort"`
	HostPort      int    `json:"hostPort"`
	Protocol      string `json:"protocol"`
}

type mountPoint struct {
	SourceVolume  string `json:"sourceVolume"`
	ContainerPath string `json:"containerPath"`
	ReadOnly      bool   `json:"readOnly"`
}

type containerDependency struct {
	ContainerName string `json:"containerName"`
	Condition     string `json:"condition"`
}

type linuxParameters struct {
	InitProcessEnabled bool          `json:"initProcessEnabled"`
	Capabilities       *capabilities `json:"capabilities,omitempty"`
	Tmpfs              []tmpfs       `json:"tmpfs,omitempty"`
}

type capabilities struct {
	Drop []string `json:"drop"`
}

// tmpfs is memory mounted as a folder. A bind mount would be root's alone unless the image declares a volume at its path.
type tmpfs struct {
	ContainerPath string   `json:"containerPath"`
	Size          int      `json:"size"` // MiB
	MountOptions  []string `json:"mountOptions"`
}

type containerHealthCheck struct {
	Command     []string `json:"command"`
	Interval    int      `json:"interval"` // seconds
	Timeout     int      `json:"timeout"`  // seconds
	Retries     int      `json:"retries"`
	StartPeriod int      `json:"startPeriod"` // seconds
}

type logConfiguration struct {
	LogDriver string            `json:"logDriver"`
	Options   map[string]string `json:"options"`
}

// newContainer is a container with a read-only root, an init process, and its log. A full log buffer drops lines instead of
// stopping the application.
func newContainer(name, image, logGroup, region string) *container {
	return &container{
		Name: name, Image: image, Essential: true, ReadonlyRootFilesystem: true,
		Environment: []variable{}, PortMappings: []portMapping{}, MountPoints: []mountPoint{}, VolumesFrom: []struct{}{}, SystemControls: []struct{}{},
		LinuxParameters: linuxParameters{InitProcessEnabled: true},
		LogConfiguration: logConfiguration{"awslogs", map[string]string{
			"awslogs-group": logGroup, "awslogs-region": region, "awslogs-stream-prefix": name,
			"mode": "non-blocking", "max-buffer-size": "25m",
		}},
	}
}

// listen declares a port once, however often it is asked for.
func (c *container) listen(port int) {
	for _, p := range c.PortMappings {
		if p.ContainerPort == port {
			return
		}
	}
	c.PortMappings = append(c.PortMappings, portMapping{port, port, "tcp"})
}

func (c *container) setEnvironment(values map[string]string) {
	all := map[string]string{}
	for _, v := range c.Environment {
		all[v.Name] = v.Value
	}
	for name, value := range values {
		all[name] = value
	}
	c.Environment = []variable{}
	for _, name := range sortedKeys(all) {
		c.Environment = append(c.Environment, variable{name, all[name]})
	}
}

func (c *container) setSecrets(references map[string]string) {
	all := map[string]string{}
	for _, s := range c.Secrets {
		all[s.Name] = s.ValueFrom
	}
	for name, reference := range references {
		all[name] = reference
	}
	c.Secrets = nil
	for _, name := range sortedKeys(all) {
		c.Secrets = append(c.Secrets, secret{name, all[name]})
	}
}

// allowExec makes room for the agent behind ECS exec, which writes to three folders that a read-only root lacks, and returns the
// volumes' names. The agent is root in the container whoever the application is, so it needs its capabilities.
func (c *container) allowExec(allowed bool) []string {
	if !allowed {
		return nil
	}
	c.LinuxParameters.Capabilities = nil
	var volumes []string
	for _, v := range []mountPoint{
		{"managed-agents", "/managed-agents", false}, {"ssm-lib", "/var/lib/amazon/ssm", false}, {"ssm-log", "/var/log/amazon/ssm", false},
	} {
		c.MountPoints = append(c.MountPoints, v)
		volumes = append(volumes, v.SourceVolume)
	}
	return volumes
}

// taskSize is what Fargate sets aside for a task.
type taskSize struct {
	cpu, memory  int // CPU units, MiB
	disk         int // GiB; 0: the 20 that every task has
	architecture string
}

// newTaskDefinition returns the task definition's ARN. A new revision is made before the old one goes: until the service has moved, ECS may
// have to go back to it.
func newTaskDefinition(stack cdktf.TerraformStack, cfg *Config, id, name string, size taskSize, execution, task *Role, volumes []string, containers ...*container) *string {
	config := &ecstaskdefinition.EcsTaskDefinitionConfig{
		Family:                  jsii.String(cfg.named(name)),
		RequiresCompatibilities: jsii.Strings("FARGATE"),
		NetworkMode:             jsii.String("awsvpc"),
		Cpu:                     jsii.String(strconv.Itoa(size.cpu)),
		Memory:                  jsii.String(strconv.Itoa(size.memory)),
		RuntimePlatform: &ecstaskdefinition.EcsTaskDefinitionRuntimePlatform{
			OperatingSystemFamily: jsii.String("LINUX"), CpuArchitecture: jsii.String(size.architecture),
		},
		ExecutionRoleArn:     execution.ARN,
		TaskRoleArn:          task.ARN,
		ContainerDefinitions: jsii.String(marshal(containers)),
		Tags:                 nameTag(cfg, name),
		Lifecycle:            &cdktf.TerraformResourceLifecycle{CreateBeforeDestroy: jsii.Bool(true)},
	}
	if size.disk > 0 {
		config.EphemeralStorage = &ecstaskdefinition.EcsTaskDefinitionEphemeralStorage{SizeInGib: jsii.Number(float64(size.disk))}
	}
	if len(volumes) > 0 {
		var declared []*ecstaskdefinition.EcsTaskDefinitionVolume
		for _, volume := range volumes {
			declared = append(declared, &ecstaskdefinition.EcsTaskDefinitionVolume{Name: jsii.String(volume)})
		}
		config.Volume = &declared
	}
	return ecstaskdefinition.NewEcsTaskDefinition(stack, jsii.String(id+"_task_definition"), config).Arn()
}

// marshal is JSON as Terraform is to see it, with < and > left alone: some of AWS's placeholders contain them.
func marshal(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only for types that JSON has no form for, which is a fault of this program
	}
	return strings.TrimSpace(text.String())
}

// ---- Roles ---------------------------------------------------------------------------------------------------------------

// taskTrust binds a task's roles to tasks of this account and region.
func (cluster *Cluster) taskTrust(cfg *Config) []condition {
	return []condition{
		equals("aws:SourceAccount", cluster.accountID),
		{"ArnLike", "aws:SourceArn", []string{"arn:aws:ecs:" + cfg.Region + ":" + cluster.accountID + ":*"}},
	}
}

// newExecutionRole is what ECS itself may do to start a task: fetch its image and its secrets, and write its log.
func newExecutionRole(stack cdktf.TerraformStack, cfg *Config, cluster *Cluster, id, name, logGroupARN string, s ServiceConfig, db *Database) *Role {
	statements := append([]statement{writeLog(logGroupARN)}, pullImages(s.Image)...)
	secrets, parameters, keys := []string{}, []string{}, append([]string{}, s.SecretKeys...)
	for _, variable := range sortedKeys(s.Secrets) {
		reference := secretResource(s.Secrets[variable])
		if strings.Contains(reference, ":ssm:") {
			parameters = append(parameters, reference)
		} else {
			secrets = append(secrets, reference)
		}
	}
	if s.Database != "none" {
		secrets, keys = append(secrets, *db.credentialsSecret(name)), append(keys, *db.KeyARN)
	}
	if len(secrets) > 0 {
		statements = append(statements, statement{sid: "Secrets", actions: []string{"secretsmanager:GetSecretValue"}, resources: unique(secrets)})
	}
	if len(parameters) > 0 {
		statements = append(statements, statement{sid: "Parameters", actions: []string{"ssm:GetParameters"}, resources: unique(parameters)})
	}
	if len(keys) > 0 {
		statements = append(statements, statement{sid: "SecretKeys", actions: []string{"kms:Decrypt"}, resources: unique(keys), conditions: []condition{
			{"StringEquals", "kms:ViaService", []string{"secretsmanager." + cfg.Region + ".amazonaws.com", "ssm." + cfg.Region + ".amazonaws.com"}},
		}})
	}
	return newRole(stack, cfg, id+"_execution_role", name+"-execution", "ecs-tasks.amazonaws.com", cluster.taskTrust(cfg), statements...)
}

func writeLog(groupARN string) statement {
	return statement{sid: "Log", actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, resources: []string{groupARN + ":*"}}
}

var privateImage = regexp.MustCompile(`^([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com/([^:@]+)`)

// pullImages are the rights to fetch those of the images that are in ECR; public ones need none.
func pullImages(images ...string) []statement {
	var repositories []string
	for _, image := range images {
		if parts := privateImage.FindStringSubmatch(image); parts != nil {
			repositories = append(repositories, "arn:aws:ecr:"+parts[2]+":"+parts[1]+":repository/"+parts[3])
		}
	}
	if repositories == nil {
		return nil
	}
	return []statement{
		{sid: "RegistryLogin", actions: []string{"ecr:GetAuthorizationToken"}, resources: []string{"*"}}, // a token is for the whole registry
		{sid: "Images", actions: []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, resources: unique(repositories)},
	}
}

// secretResource strips a reference to a secret of the JSON key, stage and version that may follow: a policy names the secret alone.
func secretResource(reference string) string {
	parts := strings.Split(reference, ":")
	if len(parts) > 7 && parts[2] == "secretsmanager" {
		return strings.Join(parts[:7], ":")
	}
	return reference
}

// taskStatements are what the application in a task may do: what the configuration lists, and what a shell session needs.
func (cluster *Cluster) taskStatements(s ServiceConfig) []statement {
	var statements []statement
	for i, p := range s.Permissions {
		statements = append(statements, statement{sid: "Configured" + strconv.Itoa(i), actions: p.Actions, resources: p.Resources})
	}
	if s.Exec {
		statements = append(statements, cluster.execStatements()...)
	}
	return statements
}

// execStatements are what the agent in a container needs for a shell session or a port-forward.
func (cluster *Cluster) execStatements() []statement {
	return []statement{
		{
			sid:       "Session",
			actions:   []string{"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"},
			resources: []string{"*"}, // channels have no ARN
		},
		{sid: "SessionKey", actions: []string{"kms:Decrypt"}, resources: []string{*cluster.keys.Services}},
		{sid: "SessionLogFind", actions: []string{"logs:DescribeLogGroups"}, resources: []string{"*"}}, // the agent lists without a name
		{
			sid:       "SessionLog",
			actions:   []string{"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"},
			resources: []string{*cluster.execLogGroup + ":*"},
		},
	}
}

func unique(list []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, item := range list {
		if !seen[item] {
			seen[item] = true
			out = append(out, item)
		}
	}
	return out
}
