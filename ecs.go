package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsservice"

	"platform/internal/config"
)

// Services are the configured services, in the order of their names.
type Services []*Service

// Service is one of the configured services as it runs.
type Service struct {
	Name          string // as configured
	ServiceName   *string
	SecurityGroup *securityGroup
	LogGroup      *string // name
	Route         *Route  // nil without a route
	RepositoryURL *string // nil without a repository

	Family        *string // of the task definition
	TaskRole      *string // name of the application's role
	ExecutionRole *string // name of the role with which ECS starts the tasks

	dimensions map[string]*string // of its metrics
	limits     alarmLimits

	besideDatabase bool // the stack has a database
}

// newServices declares the configured services. The tasks of all services exist first, as far as
// their security groups, because services may call each other in a circle.
func newServices(s *scope, cluster *Cluster, balancer *LoadBalancer, users *DatabaseUsers) (services Services) {
	names, tasks := slices.Sorted(maps.Keys(s.cfg.Services)), map[string]*task{}
	for _, name := range names {
		tasks[name] = newServiceTask(s, cluster, name)
	}
	for _, name := range names {
		openWaysOut(tasks[name], tasks)
	}
	secrets := newServiceSecrets(s)
	for _, name := range names {
		services = append(services, newService(tasks[name], balancer, users, secrets))
	}
	return services
}

// newServiceTask begins the task of a configured service.
func newServiceTask(s *scope, cluster *Cluster, name string) *task {
	svc := s.cfg.Services[name]
	return newTask(s, cluster, part{serviceID(name), name}, taskOptions{
		description: "Tasks of " + name, logGroup: "/" + s.cfg.Stack() + "/service/" + name,
		size: taskSize{cpu: svc.CPU, memory: svc.Memory, disk: svc.Disk, architecture: svc.Architecture},
	})
}

// newService declares one service; every id begins with service_<name>_.
//
//	load balancer ── target group ── tasks (own security group, roles, log group) ── database, AWS,
//	                                                                   called services, other hosts
//
// Everything that a task needs in its first second exists before the service: otherwise the first
// pull fails, the circuit breaker trips, and there is no earlier deployment to roll back to.
func newService(t *task, balancer *LoadBalancer, users *DatabaseUsers, secrets serviceSecrets) *Service {
	s, p, name := t.scope, t.part, t.name
	svc := s.cfg.Services[name]
	out := &Service{
		Name: name, SecurityGroup: t.group, LogGroup: t.logs.Name(), limits: newAlarmLimits(svc),
		besideDatabase: s.cfg.Database.Enabled,
	}
	app := configure(t, svc)
	secrets.give(t, app, svc)
	if svc.UsesDatabase() {
		users.connect(t, app)
	}
	options := serviceOptions{
		tasks: svc.Tasks, scaled: svc.Scaled(), spot: svc.Spot, tags: metricsTags(s, svc),
		single:   svc.Single,
		mayMove:  svc.Spot || !s.cfg.Production(),
		taskTime: taskTime(svc),
	}
	if svc.Routed() {
		out.Route = balancer.route(s, name, t.group)
		t.after(out.Route.Ready...)
		options.balancer = behind(out.Route, svc.Port, name)
		options.gracePeriod = svc.HealthCheck.GracePeriod
		options.alarms = newDeploymentAlarms(s, p, out)
	}
	if svc.Repository {
		out.RepositoryURL = newRepository(s, name)
	}
	t.after(findImage(s, name, svc)...)
	running := t.service(options)
	out.ServiceName = running.Name()
	out.Family, out.TaskRole, out.ExecutionRole = t.defined.Family(), t.own.Name, t.execution.Name
	out.dimensions = t.cluster.dimensions(out.ServiceName)
	if svc.Scaled() {
		newScaling(s, p, "service/"+*t.cluster.Name+"/"+*running.Name(), out.Route)
	}
	return out
}

// openWaysOut lets the tasks of a service connect to the services that it calls, and to other hosts
// on the configured ports. The rules exist before the service: an application may connect in its
// first second. That a called service runs is not waited for.
func openWaysOut(t *task, others map[string]*task) {
	svc := t.cfg.Services[t.name]
	for _, name := range svc.Calls {
		t.mayReach(others[name].group, t.id+"_calls_"+doubled(name, "_"), t.cfg.Services[name].Port, "Calls of "+name)
	}
	for _, e := range svc.Egress {
		id := t.id + "_out_" + strconv.Itoa(e.Port)
		for _, block := range e.To {
			t.after(t.group.mayReachBlock(block, id, e.Port, "Configured in egress"))
		}
	}
}

// urlsOf tells an application where the services are that it calls.
func urlsOf(cfg *config.Config, calls []string) map[string]string {
	urls := map[string]string{}
	for _, name := range calls {
		urls[config.URLVariable(name)] = cfg.URL(name)
	}
	return urls
}

// configure adds the application's container, which it returns, and what the application may do.
func configure(t *task, svc config.Service) *container {
	app := t.container(t.name, svc.Image)
	app.EntryPoint, app.Command, app.StopTimeout = svc.Entrypoint, svc.Command, svc.StopTimeout
	app.listen(svc.Port)
	app.allowPort(svc.Port)
	app.limitFiles(svc.OpenFiles)
	if t.cfg.Scraped(svc) {
		app.listen(svc.Metrics.Port)
		app.DockerLabels = metricsPlace(svc.Metrics)
	}
	setUser(app, svc.User)
	mountFolders(t, app, svc)
	app.setEnvironment(escaped(svc.Environment))
	app.setEnvironment(urlsOf(t.cfg, svc.Calls))
	if len(svc.HealthCheck.Command) > 0 {
		app.HealthCheck = containerCheck(svc.HealthCheck)
	}
	if svc.Exec {
		t.allowExec(app)
	}
	for i, p := range svc.Permissions {
		t.allow(statement{sid: "Configured" + strconv.Itoa(i), actions: p.Actions, resources: p.Resources})
	}
	return app
}

// setUser makes the application run as a user. A root user keeps the capabilities to become another
// one. If the image names root, the application is root without any.
func setUser(app *container, user string) {
	if user != config.ImageUser {
		app.User = user
	}
	if user == config.RootUser {
		app.dropCapabilitiesOfRoot()
	} else {
		app.dropCapabilities()
	}
}

// mountFolders gives the application the folders that it may write to: /tmp and others in memory,
// and those on the task's disk.
func mountFolders(t *task, app *container, svc config.Service) {
	app.ReadonlyRootFilesystem = !svc.WritesRoot()
	app.mountMemory("/tmp", svc.Scratch, svc.AllowExecution)
	for _, folder := range svc.Folders("memory") {
		app.mountMemory(folder.Path, folder.Size, svc.AllowExecution)
	}
	var onDisk []string
	for _, folder := range svc.Folders("disk") {
		onDisk = append(onDisk, folder.Path)
	}
	if len(onDisk) > 0 {
		t.mountDisk(app, t.cfg.Database.CertificateImage, onDisk)
	}
}

// containerCheck is the health check in the container, with ECS's limit of the start period.
func containerCheck(h config.HealthCheck) *containerHealthCheck {
	check := newHealthCheck(min(h.GracePeriod, 300), h.ContainerCommand()...)
	check.Interval, check.Timeout, check.Retries = h.CommandInterval, h.CommandTimeout, h.CommandRetries
	return check
}

// metricsPlace tells Prometheus where a task has its metrics, in the tags of the task. ECS copies a
// service's tags to its tasks when they start, but a change of tags alone starts no tasks. So the
// container has the tags as labels too: a change of the task definition starts new tasks.
func metricsPlace(m config.Metrics) map[string]string {
	return map[string]string{"MetricsPort": strconv.Itoa(m.Port), "MetricsPath": m.Path}
}

func metricsTags(s *scope, svc config.Service) map[string]*string {
	if !s.cfg.Scraped(svc) {
		return nil
	}
	return tagsOfMetrics(svc.Metrics)
}

func tagsOfMetrics(m config.Metrics) map[string]*string {
	tags := map[string]*string{}
	for name, value := range metricsPlace(m) {
		tags[name] = jsii.String(value)
	}
	return tags
}

// taskTime is how long an unhealthy task may exist, in seconds: the grace period, the checks until
// the task counts as unhealthy, the deregistration from the load balancer, and the stop timeout.
func taskTime(svc config.Service) int {
	seconds := svc.StopTimeout
	if svc.Routed() {
		check := svc.HealthCheck
		checks := max(check.HealthyThreshold, check.UnhealthyThreshold)
		seconds += check.GracePeriod + checks*check.Interval + svc.Route.DeregistrationDelay
	}
	if len(svc.HealthCheck.Command) > 0 {
		check := svc.HealthCheck
		seconds += min(check.GracePeriod, 300) + check.CommandRetries*check.CommandInterval
	}
	return seconds
}

// behind makes ECS register the tasks in a route's target group.
func behind(route *Route, port int, container string) *[]*ecsservice.EcsServiceLoadBalancer {
	return &[]*ecsservice.EcsServiceLoadBalancer{{
		TargetGroupArn: route.TargetGroupARN, ContainerName: jsii.String(container), ContainerPort: number(port),
	}}
}

// newDeploymentAlarms are what ECS watches while it rolls out a new version: errors and latency of
// this service. Without traffic they do not fire. They do not watch the number of tasks, which a
// deployment changes. ECS ignores an alarm that fires before the deployment begins, so the windows
// are short.
func newDeploymentAlarms(s *scope, p part, svc *Service) *ecsservice.EcsServiceAlarms {
	watched := func(noun, description string) alarm {
		return alarm{
			id:   p.id + "_deployment_" + noun,
			name: doubled(p.name, "-") + "-deployment-" + noun,
			description: description + " During a deployment, ECS rolls back to the previous version; see the " +
				"service's events. At other times this alarm notifies nobody.",
			runbook:   "services.md#service_deployment_" + noun,
			namespace: "AWS/ApplicationELB", dimensions: svc.Route.Dimensions,
			period: 60, datapoints: 2, periods: 3, missing: missingIsFine,
		}
	}
	failures := watched("errors", fmt.Sprintf("More than %d responses of %s a minute are 5xx errors.",
		svc.limits.errors, p.name))
	failures.metric, failures.statistic = "HTTPCode_Target_5XX_Count", "Sum"
	failures.threshold = float64(svc.limits.errors)
	names := []*string{newSilentAlarm(s, failures)}
	if svc.limits.latency > 0 {
		latency := watched("latency", svc.limits.slow(p.name))
		latency.metric, latency.statistic, latency.threshold = "TargetResponseTime", "p99", svc.limits.latency
		names = append(names, newSilentAlarm(s, latency))
	}
	return &ecsservice.EcsServiceAlarms{Enable: true, Rollback: true, AlarmNames: &names}
}

// alarmLimits are what the alarms of a service compare with. They follow the configuration, so that
// no alarm fires because the service does what it is configured to do, and each can fire.
type alarmLimits struct {
	tasks       int     // the fewest that the configuration asks for at any time
	cpu, memory int     // percent
	latency     float64 // seconds; 0: no alarm
	errors      int     // a minute
}

func newAlarmLimits(svc config.Service) alarmLimits {
	limits := alarmLimits{
		tasks: svc.Tasks, cpu: 90, memory: 90, latency: svc.Alarms.Latency, errors: svc.Alarms.Errors,
	}
	for _, schedule := range svc.Scaling.Schedules {
		limits.tasks = min(limits.tasks, schedule.Min)
	}
	if svc.Scaled() {
		// Scaling keeps the average at the target: the alarm is half way from there to 100.
		limits.cpu = max(limits.cpu, (svc.Scaling.CPU+100)/2)
		limits.memory = max(limits.memory, (svc.Scaling.Memory+100)/2)
	}
	return limits
}

// slow says what is wrong when a service breaches its limit of latency.
func (limits alarmLimits) slow(service string) string {
	return fmt.Sprintf("The slowest 1%% of the responses of %s take longer than %v seconds.", service, limits.latency)
}

func (services Services) outputs() []output {
	names, groups, repositories := map[string]*string{}, map[string]*string{}, map[string]*string{}
	families, taskRoles, executionRoles := map[string]*string{}, map[string]*string{}, map[string]*string{}
	for _, svc := range services {
		names[svc.Name], groups[svc.Name], families[svc.Name] = svc.ServiceName, svc.SecurityGroup.ID, svc.Family
		taskRoles[svc.Name], executionRoles[svc.Name] = svc.TaskRole, svc.ExecutionRole
		if svc.RepositoryURL != nil {
			repositories[svc.Name] = svc.RepositoryURL
		}
	}
	return []output{
		{"service_names", "ECS services, by their name in the configuration", names},
		{"service_security_group_ids", "Security groups of the services' tasks", groups},
		{"service_task_definition_families", "Task definitions of the services, without a revision", families},
		{"service_task_role_names", "Roles of the applications", taskRoles},
		{"service_execution_role_names", "Roles with which ECS starts the services' tasks", executionRoles},
		{"repository_urls", "Image repositories of the services that have one", repositories},
	}
}

func (services Services) alarms() (alarms []alarm) {
	for _, svc := range services {
		alarms = append(alarms, svc.alarms()...)
	}
	return alarms
}

func (svc *Service) alarms() (alarms []alarm) {
	id := serviceID(svc.Name)
	if svc.Route != nil {
		alarms = append(alarms, svc.routeAlarms(id)...)
	}
	alarms = append(alarms, alarm{
		id:      id + "_cpu",
		runbook: "services.md#service_cpu",
		description: fmt.Sprintf("Tasks of %s have used more than %d%% of their CPU for 15 minutes. Raise tasks, "+
			"scaling.max or cpu in the configuration.", svc.Name, svc.limits.cpu),
		namespace: "AWS/ECS", metric: "CPUUtilization", dimensions: svc.dimensions, statistic: "Average",
		threshold: float64(svc.limits.cpu), period: 300, datapoints: 3, periods: 3, missing: missingIsFine,
	}, alarm{
		id:      id + "_memory",
		runbook: "services.md#service_memory",
		description: fmt.Sprintf("Tasks of %s have used more than %d%% of their memory for 15 minutes. ",
			svc.Name, svc.limits.memory) +
			"At 100%, ECS stops the task. Raise memory in the configuration, or look for a memory leak.",
		namespace: "AWS/ECS", metric: "MemoryUtilization", dimensions: svc.dimensions, statistic: "Average",
		threshold: float64(svc.limits.memory), period: 300, datapoints: 3, periods: 3, missing: missingIsFine,
	})
	if least := svc.limits.tasks; least > 0 {
		alarms = append(alarms, tooFewTasks(id, svc.dimensions, least, "services.md#service_too_few_tasks"))
	}
	return alarms
}

func (svc *Service) routeAlarms(id string) []alarm {
	alarms := []alarm{{
		id:      id + "_unhealthy_tasks",
		runbook: "services.md#service_unhealthy_tasks",
		description: "A task of " + svc.Name + " has failed the load balancer's health check for five minutes. See " +
			"the service's events and its log group.",
		namespace: "AWS/ApplicationELB", metric: "UnHealthyHostCount", statistic: "Maximum",
		dimensions: svc.Route.Dimensions,
		threshold:  0, period: 60, datapoints: 5, periods: 5, missing: missingIsFine,
	}}
	if svc.limits.latency == 0 {
		return alarms
	}
	return append(alarms, alarm{
		id:      id + "_latency",
		runbook: "services.md#service_latency",
		description: svc.limits.slow(svc.Name) + " Compare with " +
			choose(svc.besideDatabase, "the database's CPU and latency on the dashboard, and with ", "") +
			"the time of the last deployment.",
		namespace: "AWS/ApplicationELB", metric: "TargetResponseTime", statistic: "p99",
		dimensions: svc.Route.Dimensions,
		threshold:  svc.limits.latency, period: 60, datapoints: 10, periods: 15, missing: missingIsFine,
	})
}
