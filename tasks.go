package main

import (
	"maps"
	"platform/internal/config"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecstaskdefinition"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

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
	Add  []string `json:"add"` // always written: AWS answers with an empty list, and its absence would replace the definition in every plan
	Drop []string `json:"drop"`
}

func noCapabilities() *capabilities { return &capabilities{Add: []string{}, Drop: []string{"ALL"}} }

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
	for _, name := range slices.Sorted(maps.Keys(all)) {
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
	for _, name := range slices.Sorted(maps.Keys(all)) {
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
func newTaskDefinition(stack cdktf.TerraformStack, cfg *config.Config, id, name string, size taskSize, execution, task *Role, volumes []string, containers ...*container) *string {
	arguments := &ecstaskdefinition.EcsTaskDefinitionConfig{
		Family:                  jsii.String(cfg.ResourceName(name)),
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
		Lifecycle:            createBeforeDestroy(),
	}
	if size.disk > 0 {
		arguments.EphemeralStorage = &ecstaskdefinition.EcsTaskDefinitionEphemeralStorage{SizeInGib: jsii.Number(float64(size.disk))}
	}
	if len(volumes) > 0 {
		var declared []*ecstaskdefinition.EcsTaskDefinitionVolume
		for _, volume := range volumes {
			declared = append(declared, &ecstaskdefinition.EcsTaskDefinitionVolume{Name: jsii.String(volume)})
		}
		arguments.Volume = &declared
	}
	return ecstaskdefinition.NewEcsTaskDefinition(stack, jsii.String(id+"_task_definition"), arguments).Arn()
}

// ---- Roles ---------------------------------------------------------------------------------------------------------------

// taskTrust binds a task's roles to tasks of this account and region.
func (cluster *Cluster) taskTrust(cfg *config.Config) []condition {
	return []condition{
		equals("aws:SourceAccount", cluster.accountID),
		{"ArnLike", "aws:SourceArn", []string{"arn:aws:ecs:" + cfg.Region + ":" + cluster.accountID + ":*"}},
	}
}

// newExecutionRole is what ECS itself may do to start a task: fetch its image and its secrets, and write its log.
func newExecutionRole(stack cdktf.TerraformStack, cfg *config.Config, cluster *Cluster, id, name, logGroupARN string, s config.Service, roles *Roles) *Role {
	images := []string{s.Image}
	if s.UsesDatabase() {
		images = append(images, cfg.Database.CertificateImage)
	}
	statements := append([]statement{writeLog(logGroupARN)}, pullImages(images...)...)
	var secrets, parameters, keys []string
	if len(s.Secrets) > 0 {
		keys = append(keys, s.SecretKeys...)
	}
	for _, variable := range slices.Sorted(maps.Keys(s.Secrets)) {
		reference := secretResource(s.Secrets[variable])
		if strings.Contains(reference, ":ssm:") {
			parameters = append(parameters, reference)
		} else {
			secrets = append(secrets, reference)
		}
	}
	if s.UsesDatabase() {
		secrets, keys = append(secrets, *roles.secrets[name]), append(keys, *cluster.keys.Secrets)
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
func (cluster *Cluster) taskStatements(s config.Service) []statement {
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
