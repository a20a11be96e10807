package main

import (
	"maps"
	"slices"
	"strconv"
)

// container is one entry of a task definition, in the API's spelling. Lists that AWS fills in when
// they are missing are written as empty lists, and what has no order of its own is sorted:
// otherwise every plan would find a difference.
type container struct {
	Name                   string                 `json:"name"`
	Image                  string                 `json:"image"`
	Essential              bool                   `json:"essential"`
	EntryPoint             []string               `json:"entryPoint,omitempty"`
	Command                []string               `json:"command,omitempty"`
	User                   string                 `json:"user,omitempty"`
	ReadonlyRootFilesystem bool                   `json:"readonlyRootFilesystem"`
	RepositoryCredentials  *repositoryCredentials `json:"repositoryCredentials,omitempty"`

	Environment      []variable            `json:"environment"`
	Secrets          []secret              `json:"secrets,omitempty"`
	DockerLabels     map[string]string     `json:"dockerLabels,omitempty"`
	PortMappings     []portMapping         `json:"portMappings"`
	MountPoints      []mountPoint          `json:"mountPoints"`
	VolumesFrom      []struct{}            `json:"volumesFrom"`
	SystemControls   []systemControl       `json:"systemControls"`
	Ulimits          []ulimit              `json:"ulimits,omitempty"`
	DependsOn        []containerDependency `json:"dependsOn,omitempty"`
	LinuxParameters  linuxParameters       `json:"linuxParameters"`
	RestartPolicy    *restartPolicy        `json:"restartPolicy,omitempty"`
	HealthCheck      *containerHealthCheck `json:"healthCheck,omitempty"`
	StopTimeout      int                   `json:"stopTimeout,omitempty"` // seconds
	LogConfiguration logConfiguration      `json:"logConfiguration"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type secret struct {
	Name      string `json:"name"`
	ValueFrom string `json:"valueFrom"`
}

// repositoryCredentials are the ARN of the secret with which ECS pulls from a private registry.
type repositoryCredentials struct {
	CredentialsParameter string `json:"credentialsParameter"`
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

// systemControl is a setting of the kernel for the task's own network.
type systemControl struct {
	Namespace string `json:"namespace"`
	Value     string `json:"value"`
}

// ulimit is a limit of each process. On Fargate, only that of open files can be changed.
type ulimit struct {
	Name      string `json:"name"`
	SoftLimit int    `json:"softLimit"`
	HardLimit int    `json:"hardLimit"`
}

type containerDependency struct {
	ContainerName string `json:"containerName"`
	Condition     string `json:"condition"`
}

type restartPolicy struct {
	Enabled              bool `json:"enabled"`
	RestartAttemptPeriod int  `json:"restartAttemptPeriod"` // seconds, 60 to 1800
}

type linuxParameters struct {
	InitProcessEnabled bool          `json:"initProcessEnabled"`
	Capabilities       *capabilities `json:"capabilities,omitempty"`
	Tmpfs              []tmpfs       `json:"tmpfs,omitempty"`
}

type capabilities struct {
	// Always written: AWS answers with an empty list, and without it every plan would replace the
	// definition.
	Add  []string `json:"add"`
	Drop []string `json:"drop"`
}

// tmpfs is memory mounted as a folder. A bind mount would be root's alone unless the image declares
// a volume at its path.
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

// containerLog is where a container's output goes: a log group, by name, of a region.
type containerLog struct{ group, region string }

// nobody is the user of the images of Prometheus and its exporters.
const nobody = "65534"

// newContainer is an essential container with a read-only root, an init process, and its log. A
// full log buffer drops lines instead of stopping the application.
func newContainer(name, image string, log containerLog) *container {
	return &container{
		Name:                   name,
		Image:                  image,
		Essential:              true,
		ReadonlyRootFilesystem: true,
		Environment:            []variable{},
		PortMappings:           []portMapping{},
		MountPoints:            []mountPoint{},
		VolumesFrom:            []struct{}{},
		SystemControls:         []systemControl{},
		LinuxParameters:        linuxParameters{InitProcessEnabled: true},
		LogConfiguration: logConfiguration{"awslogs", map[string]string{
			"awslogs-group":         log.group,
			"awslogs-region":        log.region,
			"awslogs-stream-prefix": name,
			"mode":                  "non-blocking",
			"max-buffer-size":       "25m",
		}},
	}
}

// listen declares a port, once even if it is declared again.
func (c *container) listen(port int) {
	for _, p := range c.PortMappings {
		if p.ContainerPort == port {
			return
		}
	}
	c.PortMappings = append(c.PortMappings, portMapping{port, port, "tcp"})
}

// setEnvironment adds variables; a value replaces an earlier one of the same name.
func (c *container) setEnvironment(values map[string]string) {
	all := map[string]string{}
	for _, v := range c.Environment {
		all[v.Name] = v.Value
	}
	maps.Copy(all, values)
	c.Environment = []variable{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.Environment = append(c.Environment, variable{name, all[name]})
	}
}

// setSecrets adds variables whose values ECS fetches, given as references; a reference replaces an
// earlier one of the same name.
func (c *container) setSecrets(references map[string]string) {
	all := map[string]string{}
	for _, s := range c.Secrets {
		all[s.Name] = s.ValueFrom
	}
	maps.Copy(all, references)
	c.Secrets = nil
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c.Secrets = append(c.Secrets, secret{name, all[name]})
	}
}

// label adds a label, which does nothing but distinguish one task definition from another.
func (c *container) label(name, value string) {
	labels := map[string]string{name: value}
	maps.Copy(labels, c.DockerLabels)
	c.DockerLabels = labels
}

// secretReferences are the references of the variables that ECS fetches, in the order of the variables.
func (c *container) secretReferences() (references []string) {
	for _, s := range c.Secrets {
		references = append(references, s.ValueFrom)
	}
	return references
}

// mount mounts a volume of the task in a folder of the container.
func (c *container) mount(volume, folder string, readOnly bool) {
	c.MountPoints = append(c.MountPoints, mountPoint{volume, folder, readOnly})
}

// mountMemory gives the container memory as a folder, in MiB, which any user can write to.
func (c *container) mountMemory(folder string, size int, executable bool) {
	options := []string{"mode=1777", "nosuid", "nodev", choose(executable, "exec", "noexec")}
	c.LinuxParameters.Tmpfs = append(c.LinuxParameters.Tmpfs, tmpfs{folder, size, options})
}

// allowPort lets any user listen on a port below 1024. Fargate lets no container add the capability
// for that, but the task has a network of its own, whose first unprivileged port can be set.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html
func (c *container) allowPort(port int) {
	if port < 1024 {
		c.SystemControls = []systemControl{{"net.ipv4.ip_unprivileged_port_start", strconv.Itoa(port)}}
	}
}

// limitFiles sets the limit of open files of each process; 0 leaves Fargate's.
func (c *container) limitFiles(files int) {
	if files > 0 {
		c.Ulimits = []ulimit{{"nofile", files, files}}
	}
}

// containerUnhealthyAfter is how long a container's health check has to fail, in seconds, until ECS
// replaces the task.
const containerUnhealthyAfter = 3 * 30

// newHealthCheck runs a command in the container, in the form of ECS, every 30 seconds. Failures in
// the first seconds, the start period, do not count.
func newHealthCheck(startPeriod int, command ...string) *containerHealthCheck {
	return &containerHealthCheck{
		Command:     command,
		Interval:    30,
		Timeout:     5,
		Retries:     3,
		StartPeriod: startPeriod,
	}
}

// dropCapabilities takes all of Linux's capabilities away.
func (c *container) dropCapabilities() {
	c.LinuxParameters.Capabilities = &capabilities{Add: []string{}, Drop: []string{"ALL"}}
}

// restartInPlace makes ECS start the container again when it exits, in the same task and with the
// task's volumes. A container that exits in its first minute is not restarted: the task ends, so
// that a deployment which cannot run fails. Without the period, the first five minutes would count.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerRestartPolicy.html
func (c *container) restartInPlace() { c.RestartPolicy = &restartPolicy{true, 60} }

// neverNeeded are the capabilities that a program does not need to start as root, create its folders
// and continue as another user. The others stay. These are dropped one by one, because Fargate lets no
// container add one after it has dropped ALL.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
var neverNeeded = []string{"AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT"}

// dropCapabilitiesOfRoot takes the capabilities away that a root user does not need to become
// another one.
func (c *container) dropCapabilitiesOfRoot() {
	c.LinuxParameters.Capabilities = &capabilities{Add: []string{}, Drop: neverNeeded}
}

// startAfter makes the container wait until another one of the task has ended without an error.
func (c *container) startAfter(other *container) {
	c.DependsOn = append(c.DependsOn, containerDependency{other.Name, "SUCCESS"})
}

// allowExec mounts volumes in the three folders that the agent behind ECS exec writes to, since the
// root file system is read-only, and returns the volumes' names. The agent runs as root, whatever
// user the application has, so the container keeps its capabilities.
func (c *container) allowExec() (volumes []string) {
	c.LinuxParameters.Capabilities = nil
	for _, v := range []struct{ volume, folder string }{
		{"managed-agents", "/managed-agents"}, {"ssm-lib", "/var/lib/amazon/ssm"}, {"ssm-log", "/var/log/amazon/ssm"},
	} {
		c.mount(v.volume, v.folder, false)
		volumes = append(volumes, v.volume)
	}
	return volumes
}
