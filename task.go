package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchloggroup"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsservice"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecstaskdefinition"
	"github.com/hashicorp/terraform-cdk-go/cdktf"

	"platform/internal/config"
)

// task collects what a Fargate task consists of, and what has to exist before it can start:
//
//	t := newTask(s, cluster, part{"search", "search"}, taskOptions{...})
//	app := t.container("search", image)
//	t.container("exporter", exporterImage) // a sidecar is one more container
//	t.mayReach(database, "search_to_database", 5432, "PostgreSQL")
//	t.allow(statement{...})
//	t.service(serviceOptions{...})
//
// It declares a security group and a log group at once, and the two roles and the task definition
// when service or define is called. Every id begins with the part's.
type task struct {
	*scope
	part
	cluster *Cluster
	group   *securityGroup
	logs    cloudwatchloggroup.CloudwatchLogGroup
	size    taskSize

	containers []*container
	volumes    []string
	exec       bool         // a shell, or a port-forward, is allowed
	secrets    secretAccess // that ECS fetches
	statements []statement  // what the containers may do
	ready      dependencies // what has to exist before the first task starts

	// What define declared.
	defined ecstaskdefinition.EcsTaskDefinition
	// The roles that who starts the task passes to ECS: with which ECS starts it, and of its containers.
	execution, own *Role
}

// taskOptions says what differs between tasks from the start.
type taskOptions struct {
	description string // of the security group; it can never change
	logGroup    string
	size        taskSize
}

// taskSize is what Fargate sets aside for a task.
type taskSize struct {
	cpu, memory  int // CPU units, MiB
	disk         int // GiB; 0: the 20 that every task has
	architecture string
}

// newTask begins a task without containers. Its security group lets nothing in, and HTTPS out.
func newTask(s *scope, cluster *Cluster, p part, o taskOptions) *task {
	group := newSecurityGroup(s, cluster.network.VpcID, groupSpec{
		id: p.id + "_security_group", noun: p.name, description: o.description,
	})
	t := &task{
		scope: s, part: p, cluster: cluster, group: group, size: o.size,
		logs: newLogGroup(s, p.id+"_log_group", o.logGroup),
	}
	t.after(t.logs)
	t.after(cluster.network.EgressReady...)
	t.after(cluster.Ready...)
	t.after(cluster.network.allowOutside(s, p.id, group)...)
	return t
}

// container adds an essential container: the task ends with it.
func (t *task) container(name, image string) *container {
	c := newContainer(name, image, containerLog{*t.logs.Name(), t.cfg.Region})
	t.containers = append(t.containers, c)
	return c
}

// preparation adds a container that runs as root and ends before another one starts. Root alone may
// write to a volume; what it writes there, the other container reads.
func (t *task) preparation(name, image string) *container {
	c := t.container(name, image)
	c.Essential = false
	c.User = "0"
	c.dropCapabilities()
	return c
}

// delivery is a folder of texts that containers need as files.
type delivery struct {
	name   string // of the volume, and of the container that writes the files
	folder string // where the containers find the files
	files  []textFile
}

// textFile is a text that becomes a file.
type textFile struct {
	path     string // below the delivery's folder
	variable string // that holds the text, in the container that writes the file
	text     string
}

// deliver makes containers wait for another one, of an image with a shell, that writes files to a
// volume, which all of them mount. The texts are in the task definition, where every revision has
// its own: a task that ECS starts from an earlier revision needs nothing that a later deployment
// may have deleted.
func (t *task) deliver(image string, d delivery, readers ...*container) {
	writer := t.preparation(d.name, image)
	writer.EntryPoint = []string{"/bin/sh", "-c"}
	writer.Command = []string{d.script()}
	for _, f := range d.files {
		writer.setEnvironment(map[string]string{f.variable: f.text})
	}
	t.volume(d.name)
	writer.mount(d.name, d.folder, false)
	for _, reader := range readers {
		reader.mount(d.name, d.folder, true)
		reader.startAfter(writer)
	}
}

// script writes each variable to its file, and fails with the first file that cannot be written.
func (d delivery) script() string {
	var commands, folders []string
	for _, f := range d.files {
		file := path.Join(d.folder, f.path)
		if folder := path.Dir(file); folder != d.folder && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
			commands = append(commands, "mkdir -p "+folder)
		}
		commands = append(commands, fmt.Sprintf(`printf '%%s' "$%s" > %s`, f.variable, file))
	}
	return strings.Join(commands, " && ")
}

// mountDisk gives a container folders on the task's disk that any user can write to. A volume belongs
// to root, unless the image declares one at its path, so another container opens it first. That one
// has the volumes at paths of its own: at the application's, they could cover its programs.
func (t *task) mountDisk(c *container, image string, folders []string) {
	const name = "writable"
	opener := t.preparation(name+"_folders", image) // no service can have a name with an underscore
	opener.EntryPoint, opener.Command = []string{"/bin/sh", "-c"}, []string{"chmod 1777"}
	for i, folder := range folders {
		volume := name + "-" + strconv.Itoa(i+1)
		t.volume(volume)
		opener.mount(volume, "/"+volume, false)
		opener.Command[0] += " /" + volume
		c.mount(volume, folder, false)
	}
	c.startAfter(opener)
}

// volume adds an empty volume to the task.
func (t *task) volume(name string) { t.volumes = append(t.volumes, name) }

// allowExec allows a shell in a container, or a port-forward to it.
func (t *task) allowExec(c *container) {
	t.exec = true
	t.volumes = append(t.volumes, c.allowExec()...)
}

// allow adds to what the containers may do in AWS.
func (t *task) allow(statements ...statement) { t.statements = append(t.statements, statements...) }

// after adds to what has to exist before the first task starts.
func (t *task) after(others ...cdktf.ITerraformDependable) { t.ready = t.ready.plus(others...) }

// mayReach allows connections to a port of another security group. The rules' ids begin with id.
func (t *task) mayReach(to *securityGroup, id string, port int, description string) {
	t.after(t.group.mayReach(to, id, port, description)...)
}

// mayReadSecrets lets ECS fetch secrets when it starts a task.
func (t *task) mayReadSecrets(more secretAccess) {
	t.secrets.secrets = append(t.secrets.secrets, more.secrets...)
	t.secrets.parameters = append(t.secrets.parameters, more.parameters...)
	t.secrets.keys = append(t.secrets.keys, more.keys...)
}

// serviceOptions says what differs between the services of the cluster.
type serviceOptions struct {
	tasks  int
	scaled bool // the number of tasks changes without Terraform
	spot   bool
	single bool               // never two at a time
	tags   map[string]*string // besides the name; ECS copies them to the tasks

	// mayMove tells whether the service can move between Spot and on-demand capacity in place. The
	// price is that every other change of the service, too, replaces all of its tasks.
	mayMove bool

	// taskTime is how long a single task may take, in seconds: until it is healthy or ECS gives it
	// up, and then until it is stopped.
	taskTime int

	balancer    *[]*ecsservice.EcsServiceLoadBalancer // nil without a route
	gracePeriod int                                   // seconds; with a route
	alarms      *ecsservice.EcsServiceAlarms          // watched while a new version is rolled out
}

// service declares the roles, the task definition and the ECS service that keeps tasks of it
// running. A failed deployment rolls back by itself, which Terraform would take for a success: the
// postcondition detects that.
func (t *task) service(o serviceOptions) ecsservice.EcsService {
	definition := t.define()
	tags := *t.tags(t.name)
	maps.Copy(tags, o.tags)
	arguments := &ecsservice.EcsServiceConfig{
		Name:           jsii.String(t.name),
		Cluster:        t.cluster.ARN,
		TaskDefinition: definition.Arn(),
		DesiredCount:   number(o.tasks),
		CapacityProviderStrategy: &[]*ecsservice.EcsServiceCapacityProviderStrategy{{
			CapacityProvider: jsii.String(choose(o.spot, "FARGATE_SPOT", "FARGATE")), Weight: number(1),
		}},
		NetworkConfiguration: &ecsservice.EcsServiceNetworkConfiguration{
			Subnets:        &t.cluster.network.PrivateSubnets,
			SecurityGroups: &[]*string{t.group.ID},
			AssignPublicIp: false,
		},
		ServiceRegistries: &ecsservice.EcsServiceServiceRegistries{RegistryArn: t.cluster.register(t.scope, t.part)},
		LoadBalancer:      o.balancer,

		DeploymentMinimumHealthyPercent: number(100),
		DeploymentMaximumPercent:        number(200),
		DeploymentCircuitBreaker:        &ecsservice.EcsServiceDeploymentCircuitBreaker{Enable: true, Rollback: true},
		Alarms:                          o.alarms,
		AvailabilityZoneRebalancing:     jsii.String("ENABLED"),
		EnableEcsManagedTags:            true,
		PropagateTags:                   jsii.String("SERVICE"),
		EnableExecuteCommand:            t.exec,
		WaitForSteadyState:              true,
		Tags:                            &tags,
		Lifecycle: &cdktf.TerraformResourceLifecycle{Postcondition: &[]*cdktf.Postcondition{{
			Condition: jsii.String("${self.task_definition == " + *definition.Fqn() + ".arn}"),
			ErrorMessage: jsii.String("The deployment of " + t.name + " failed and was rolled back: its tasks still " +
				"run the previous task definition. See the service's events and logs, then deploy again."),
		}}},
		Timeouts:  &ecsservice.EcsServiceTimeouts{Create: o.timeout(), Update: o.timeout(), Delete: o.timeout()},
		DependsOn: t.ready.list(),
	}
	if o.single {
		// ECS stops the old task first. It refuses rebalancing, which starts the new one first.
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
		arguments.DeploymentMinimumHealthyPercent = number(0)
		arguments.DeploymentMaximumPercent = number(100)
		arguments.AvailabilityZoneRebalancing = jsii.String("DISABLED")
	}
	if o.mayMove {
		// The provider sends it with every change (resourceServiceUpdate of v5.100.0). Without it,
		// another capacity provider replaces the service (capacityProviderStrategyCustomizeDiff).
		arguments.ForceNewDeployment = true
	}
	if o.balancer != nil {
		arguments.HealthCheckGracePeriodSeconds = number(o.gracePeriod)
	}
	if o.scaled {
		arguments.Lifecycle.IgnoreChanges = &[]*string{jsii.String("desired_count")}
	}
	return ecsservice.NewEcsService(t.stack, jsii.String(t.id+"_service"), arguments)
}

// timeout is how long Terraform waits for a deployment, instead of the provider's 20 minutes. Those
// are enough to pull images and start tasks. But a failed deployment has three tasks that fail, in
// the worst case one after the other, and a successful deployment has to stop the old tasks.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
func (o serviceOptions) timeout() *string {
	const start, failures = 20 * 60, 3
	return jsii.String(fmt.Sprintf("%dm", (start+failures*o.taskTime+59)/60))
}

// define declares the roles and the task definition. A new revision is created before Terraform
// gives up the old one, which stays active: ECS watches the deployment's alarms for some minutes
// after Terraform has succeeded, and rolls back to active revisions only. Revisions cost nothing.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func (t *task) define() ecstaskdefinition.EcsTaskDefinition {
	t.execution, t.own = t.newRoles()
	arguments := &ecstaskdefinition.EcsTaskDefinitionConfig{
		Family:                  jsii.String(t.named(t.name)),
		RequiresCompatibilities: jsii.Strings("FARGATE"),
		NetworkMode:             jsii.String("awsvpc"),
		Cpu:                     jsii.String(strconv.Itoa(t.size.cpu)),
		Memory:                  jsii.String(strconv.Itoa(t.size.memory)),
		RuntimePlatform: &ecstaskdefinition.EcsTaskDefinitionRuntimePlatform{
			OperatingSystemFamily: jsii.String("LINUX"), CpuArchitecture: jsii.String(t.size.architecture),
		},
		ExecutionRoleArn:     t.execution.ARN,
		TaskRoleArn:          t.own.ARN,
		ContainerDefinitions: jsii.String(marshal(t.containers)),
		Tags:                 t.tags(t.name),
		SkipDestroy:          true,
		Lifecycle:            createBeforeDestroy(),
	}
	if t.size.disk > 0 {
		arguments.EphemeralStorage = &ecstaskdefinition.EcsTaskDefinitionEphemeralStorage{
			SizeInGib: number(t.size.disk),
		}
	}
	if len(t.volumes) > 0 {
		var declared []*ecstaskdefinition.EcsTaskDefinitionVolume
		for _, volume := range t.volumes {
			declared = append(declared, &ecstaskdefinition.EcsTaskDefinitionVolume{Name: jsii.String(volume)})
		}
		arguments.Volume = &declared
	}
	t.defined = ecstaskdefinition.NewEcsTaskDefinition(t.stack, jsii.String(t.id+"_task_definition"), arguments)
	return t.defined
}

// ---- Roles and policies -----------------------------------------------------------------------

// newRoles declares the role with which ECS starts a task, and the role of the containers.
func (t *task) newRoles() (execution, own *Role) {
	trust := fromSource(t.scope, t.arn("ecs", "*"))
	execution = newRole(t.scope, roleSpec{
		id: t.id + "_execution_role", noun: t.name + "-execution", assumed: "ecs-tasks.amazonaws.com", trust: trust,
	}, slices.Concat(
		[]statement{writeLog(*t.logs.Arn())}, pullImages(t.images()...), importImages(t.cfg, t.images()),
		t.secrets.statements(t.cfg.Region))...)
	statements := t.statements
	if t.exec {
		statements = append(statements, t.cluster.execStatements(t.scope)...)
	}
	own = newRole(t.scope, roleSpec{
		id: t.taskRole(), noun: t.name + "-task", assumed: "ecs-tasks.amazonaws.com", trust: trust,
	}, statements...)
	t.after(execution.Ready...)
	t.after(own.Ready...)
	return execution, own
}

// images are those of the essential containers, then those of the others: the order of the
// resources in the policy.
func (t *task) images() (images []string) {
	for _, essential := range []bool{true, false} {
		for _, c := range t.containers {
			if c.Essential == essential {
				images = append(images, c.Image)
			}
		}
	}
	return images
}

// pullImages are the rights to pull those of the images that are in ECR; public ones need none.
func pullImages(images ...string) []statement {
	var repositories []string
	for _, image := range images {
		if repository, _, private := config.RepositoryOf(image); private {
			repositories = append(repositories, repository)
		}
	}
	if repositories == nil {
		return nil
	}
	return []statement{{
		sid: "RegistryLogin", actions: []string{"ecr:GetAuthorizationToken"},
		resources: []string{"*"}, // a token is for the whole registry
	}, {
		sid:       "Images",
		actions:   []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
		resources: unique(repositories),
	}}
}

// importImages are the permissions for the first pull of images that come through a pull-through
// cache of ECR: ECR then creates the repository and imports the image with the puller's
// permissions.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
func importImages(cfg *config.Config, images []string) []statement {
	var repositories []string
	for _, image := range images {
		if repository, _, _ := config.RepositoryOf(image); cfg.Imported(image) {
			repositories = append(repositories, repository)
		}
	}
	if repositories == nil {
		return nil
	}
	return []statement{{
		sid:       "ImportImages",
		actions:   []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"},
		resources: unique(repositories),
	}}
}

// secretAccess is what ECS reads to fill a task's secrets: ARNs in Secrets Manager, in Parameter
// Store, and of KMS keys.
type secretAccess struct{ secrets, parameters, keys []string }

// accessTo sorts references to secrets, as a task definition has them, by where ECS fetches them.
func accessTo(references []string) (a secretAccess) {
	for _, reference := range references {
		resource := secretResource(reference)
		if strings.Contains(resource, ":ssm:") {
			a.parameters = append(a.parameters, resource)
		} else {
			a.secrets = append(a.secrets, resource)
		}
	}
	return a
}

// secretResource strips a reference to a secret of the JSON key, stage and version that may follow:
// a policy names the secret alone.
func secretResource(reference string) string {
	if arn, _, found := strings.Cut(reference, "}:"); found && strings.HasPrefix(reference, "${") {
		return arn + "}"
	}
	parts := strings.Split(reference, ":")
	if len(parts) > 7 && parts[2] == "secretsmanager" {
		return strings.Join(parts[:7], ":")
	}
	return reference
}

func (a secretAccess) statements(region string) (statements []statement) {
	if len(a.secrets) > 0 {
		statements = append(statements, statement{
			sid: "Secrets", actions: []string{"secretsmanager:GetSecretValue"}, resources: unique(a.secrets),
		})
	}
	if len(a.parameters) > 0 {
		statements = append(statements, statement{
			sid: "Parameters", actions: []string{"ssm:GetParameters"}, resources: unique(a.parameters),
		})
	}
	if len(a.keys) > 0 {
		statements = append(statements, statement{
			sid: "SecretKeys", actions: []string{"kms:Decrypt"}, resources: unique(a.keys),
			conditions: []condition{equals("kms:ViaService",
				"secretsmanager."+region+".amazonaws.com", "ssm."+region+".amazonaws.com")},
		})
	}
	return statements
}
