package main

import (
	"fmt"
	"maps"
	"platform/internal/config"
	"slices"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchdashboard"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventrule"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatcheventtarget"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchmetricalarm"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/dbeventsubscription"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// alarm is one thing that somebody should know of. Its id is its name, too.
type alarm struct {
	id          string
	description string // what is wrong, and what to do first

	namespace, metric string
	dimensions        map[string]*string
	queries           []query // instead of a metric: the last one is the alarm's
	statistic         string  // Average, Sum, Minimum, Maximum, or a percentile such as p99

	below     bool // rings below the threshold, not above
	threshold float64
	period    int // seconds
	of, in    int // rings when so many of the last so many periods are over the line
	missing   string
}

// query is a metric under a name, or an expression over such names.
type query struct {
	id, metric, statistic, expression string
}

// What a period without data means for an alarm.
const (
	missingIsFine = "notBreaching" // nothing happened, so nothing went wrong
	missingIsBad  = "breaching"    // what should report does not
	missingIsMute = "missing"      // AWS is late: keep the state
)

// newAlarms declares all alarms but those of deployments, the events that no metric shows, and the dashboard, whose name it returns. It
// comes last, since it looks at everything.
func newAlarms(stack cdktf.TerraformStack, cfg *config.Config, net *Network, balancer *LoadBalancer, db *Database, roles *Roles, cluster *Cluster, services []*Service, monitoring *Monitoring, backup *Backup) *string {
	alarms := loadBalancerAlarms(balancer)
	for _, s := range services {
		alarms = append(alarms, serviceAlarms(cfg, balancer, cluster, s)...)
	}
	alarms = append(alarms, tooFewTasks("prometheus", cluster, monitoring.PrometheusService, 1))
	alarms = append(alarms, databaseAlarms(cfg, db)...)
	alarms = append(alarms, rolesAlarms(roles)...)
	for _, zone := range slices.Sorted(maps.Keys(net.NATGateways)) {
		alarms = append(alarms, natAlarms(zone, net.NATGateways[zone])...)
	}
	alarms = append(alarms, backupAlarms(cfg, db, backup)...)

	var arns []*string
	for _, a := range alarms {
		arns = append(arns, newAlarm(stack, cfg, monitoring, a))
	}
	newEvents(stack, cfg, db, cluster, monitoring)
	return newDashboard(stack, cfg, balancer, db, cluster, services, backup, arns)
}

func loadBalancerAlarms(balancer *LoadBalancer) []alarm {
	return []alarm{{
		id:          "load_balancer_errors",
		description: "More than one request in twenty fails (5xx). See the dashboard for which service, then its log group; errors of the balancer itself (ELB 5xx) mean that no task could be reached.",
		namespace:   "AWS/ApplicationELB",
		dimensions:  map[string]*string{"LoadBalancer": balancer.ARNSuffix},
		queries: []query{
			{id: "requests", metric: "RequestCount", statistic: "Sum"},
			{id: "balancer", metric: "HTTPCode_ELB_5XX_Count", statistic: "Sum"},
			{id: "targets", metric: "HTTPCode_Target_5XX_Count", statistic: "Sum"},
			// Requests that reached no target are not in RequestCount. Below twenty a minute a share says nothing.
			{id: "total", expression: "FILL(requests, 0) + FILL(balancer, 0)"},
			{id: "share", expression: "IF(total >= 20, 100 * (FILL(balancer, 0) + FILL(targets, 0)) / total, 0)"},
		},
		threshold: 5, period: 60, of: 3, in: 5, missing: missingIsFine,
	}}
}

func rolesAlarms(roles *Roles) []alarm {
	return []alarm{{
		id:          "database_function_errors",
		description: "The database function failed: a password was not rotated, or a deployment could not make the roles. The passwords in use still work; Secrets Manager tries again. Its log group says why.",
		namespace:   "AWS/Lambda", metric: "Errors", dimensions: map[string]*string{"FunctionName": roles.FunctionName}, statistic: "Sum",
		threshold: 0, period: 300, of: 1, in: 1, missing: missingIsFine,
	}}
}

func serviceAlarms(cfg *config.Config, balancer *LoadBalancer, cluster *Cluster, s *Service) []alarm {
	id := "service_" + s.Name
	var alarms []alarm
	if s.Route != nil {
		behind := map[string]*string{"LoadBalancer": balancer.ARNSuffix, "TargetGroup": s.Route.TargetGroupARNSuffix}
		alarms = append(alarms, alarm{
			id:          id + "_unhealthy_tasks",
			description: "A task of " + s.Name + " has failed its health check for five minutes. See the service's events and its log group.",
			namespace:   "AWS/ApplicationELB", metric: "UnHealthyHostCount", dimensions: behind, statistic: "Maximum",
			threshold: 0, period: 60, of: 5, in: 5, missing: missingIsFine,
		}, alarm{
			id:          id + "_latency",
			description: "One answer of " + s.Name + " in a hundred takes longer than three seconds. Compare with the database's CPU and latency on the dashboard, and with the last deployment.",
			namespace:   "AWS/ApplicationELB", metric: "TargetResponseTime", dimensions: behind, statistic: "p99",
			threshold: 3, period: 60, of: 10, in: 15, missing: missingIsFine,
		})
	}
	in := map[string]*string{"ClusterName": cluster.Name, "ServiceName": s.ServiceName}
	alarms = append(alarms, alarm{
		id:          id + "_cpu",
		description: "Tasks of " + s.Name + " have used more than 90% of their CPU for 15 minutes. Raise tasks, scaling.max or cpu in the configuration.",
		namespace:   "AWS/ECS", metric: "CPUUtilization", dimensions: in, statistic: "Average",
		threshold: 90, period: 300, of: 3, in: 3, missing: missingIsFine,
	}, alarm{
		id:          id + "_memory",
		description: "Tasks of " + s.Name + " have used more than 90% of their memory for 15 minutes; at 100% they are killed. Raise memory in the configuration, or look for a leak.",
		namespace:   "AWS/ECS", metric: "MemoryUtilization", dimensions: in, statistic: "Average",
		threshold: 90, period: 300, of: 3, in: 3, missing: missingIsFine,
	})
	if least := cfg.Services[s.Name].Tasks; least > 0 {
		alarms = append(alarms, tooFewTasks(id, cluster, s.ServiceName, least))
	}
	return alarms
}

func tooFewTasks(id string, cluster *Cluster, service *string, least int) alarm {
	return alarm{
		id:          id + "_too_few_tasks",
		description: fmt.Sprintf("Fewer than %d tasks have run for ten minutes. See the service's events: no capacity, an image that cannot be pulled, or a container that ends.", least),
		namespace:   "ECS/ContainerInsights", metric: "RunningTaskCount", statistic: "Minimum",
		dimensions: map[string]*string{"ClusterName": cluster.Name, "ServiceName": service},
		below:      true, threshold: float64(least), period: 60, of: 10, in: 10, missing: missingIsBad,
	}
}

func databaseAlarms(cfg *config.Config, db *Database) []alarm {
	memory, _ := config.ClassMemory(cfg.Database.InstanceClass) // checked with the configuration
	const gib = 1 << 30
	metric := func(noun, name, description string) alarm {
		return alarm{
			id: "database_" + noun, description: description, namespace: "AWS/RDS", metric: name, statistic: "Average",
			dimensions: map[string]*string{"DBInstanceIdentifier": db.Identifier}, period: 300, of: 3, in: 3, missing: missingIsMute,
		}
	}
	cpu := metric("cpu", "CPUUtilization", "The database has used more than 90% of its CPU for 15 minutes. See Database Insights for the statements, then consider a larger database.instance_class.")
	cpu.threshold = 90
	storage := metric("storage", "FreeStorageSpace", "Less than a tenth of the database's first storage is free. Autoscaling should have grown it: see database.storage.max and the instance's events. A full disk stops the database.")
	storage.below, storage.threshold = true, float64(cfg.Database.Storage.Initial)*gib/10
	free := metric("memory", "FreeableMemory", "Less than a twentieth of the database's memory is free. See connections and slow statements, then consider a larger database.instance_class.")
	free.below, free.threshold = true, float64(memory)*gib/20
	connections := metric("connections", "DatabaseConnections", "More than four fifths of the connections that the database allows are open. Look for a service that leaks them, or pool them.")
	connections.threshold = float64(config.MaxConnections(memory) * 4 / 5)
	connections.statistic = "Maximum"
	reads := metric("read_latency", "ReadLatency", "Reading from the database's disk has taken more than 100 ms on average for 15 minutes. See IOPS and throughput, and the statements in Database Insights.")
	reads.threshold = 0.1
	writes := metric("write_latency", "WriteLatency", "Writing to the database's disk has taken more than 100 ms on average for 15 minutes. See IOPS and throughput, and the statements in Database Insights.")
	writes.threshold = 0.1
	return []alarm{cpu, storage, free, connections, reads, writes}
}

func natAlarms(zone string, gateway *string) []alarm {
	return []alarm{{
		id:          "nat_ports_" + zone,
		description: "The NAT gateway of zone " + zone + " has no port left for new connections. Something opens very many to one address: use network.endpoints for AWS services, or find it in the flow logs.",
		namespace:   "AWS/NATGateway", metric: "ErrorPortAllocation", dimensions: map[string]*string{"NatGatewayId": gateway}, statistic: "Sum",
		threshold: 0, period: 300, of: 1, in: 1, missing: missingIsFine,
	}, {
		id:          "nat_drops_" + zone,
		description: "The NAT gateway of zone " + zone + " drops packets. If it goes on for an hour, see AWS Health: it is AWS's to mend.",
		namespace:   "AWS/NATGateway", metric: "PacketsDropCount", dimensions: map[string]*string{"NatGatewayId": gateway}, statistic: "Sum",
		threshold: 100, period: 300, of: 3, in: 3, missing: missingIsFine,
	}}
}

func backupAlarms(cfg *config.Config, db *Database, backup *Backup) []alarm {
	return []alarm{{
		id:          "backup_age",
		description: fmt.Sprintf("The newest snapshot is older than %d hours, or nobody knows how old it is. See the backup function's log group. On the day a stack is made it rings until the first snapshot.", cfg.Backup.MaxAge),
		namespace:   backup.Namespace, metric: "NewestBackupAge", dimensions: map[string]*string{"DBInstanceIdentifier": db.Identifier}, statistic: "Minimum",
		threshold: float64(cfg.Backup.MaxAge) * 3600, period: 3600, of: 3, in: 3, missing: missingIsBad,
	}, {
		id:          "backup_errors",
		description: "The backup function failed. It is retried twice by itself; its log group says why.",
		namespace:   "AWS/Lambda", metric: "Errors", dimensions: map[string]*string{"FunctionName": backup.FunctionName}, statistic: "Sum",
		threshold: 0, period: 300, of: 1, in: 1, missing: missingIsFine,
	}, {
		id:          "backup_schedule_dropped",
		description: "The scheduler gave up calling the backup function. See the schedule's role and the function's state, and start a backup by hand.",
		namespace:   "AWS/Scheduler", metric: "InvocationDroppedCount", dimensions: map[string]*string{"ScheduleGroup": backup.GroupName}, statistic: "Sum",
		threshold: 0, period: 300, of: 1, in: 1, missing: missingIsFine,
	}}
}

func newAlarm(stack cdktf.TerraformStack, cfg *config.Config, monitoring *Monitoring, a alarm) *string {
	arguments := &cloudwatchmetricalarm.CloudwatchMetricAlarmConfig{
		AlarmName:          jsii.String(cfg.ResourceName(dashed(a.id))),
		AlarmDescription:   jsii.String(a.description),
		ComparisonOperator: jsii.String(choose(a.below, "LessThanThreshold", "GreaterThanThreshold")),
		Threshold:          jsii.Number(a.threshold),
		DatapointsToAlarm:  jsii.Number(float64(a.of)),
		EvaluationPeriods:  jsii.Number(float64(a.in)),
		TreatMissingData:   jsii.String(a.missing),
		AlarmActions:       &[]*string{monitoring.TopicARN},
		OkActions:          &[]*string{monitoring.TopicARN},
		Tags:               nameTag(cfg, dashed(a.id)),
		DependsOn:          dependsOn(monitoring.TopicReady...),
	}
	if len(a.queries) > 0 {
		arguments.MetricQuery = metricQueries(a)
	} else {
		arguments.Namespace, arguments.MetricName, arguments.Dimensions = jsii.String(a.namespace), jsii.String(a.metric), &a.dimensions
		arguments.Period = jsii.Number(float64(a.period))
		if a.statistic[0] == 'p' {
			arguments.ExtendedStatistic = jsii.String(a.statistic)
			arguments.EvaluateLowSampleCountPercentiles = jsii.String("ignore") // of ten requests, one is not a percentile
		} else {
			arguments.Statistic = jsii.String(a.statistic)
		}
	}
	return cloudwatchmetricalarm.NewCloudwatchMetricAlarm(stack, jsii.String(a.id+"_alarm"), arguments).Arn()
}

func metricQueries(a alarm) *[]*cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery {
	var queries []*cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery
	for i, q := range a.queries {
		block := &cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQuery{Id: jsii.String(q.id), ReturnData: i == len(a.queries)-1}
		if q.expression != "" {
			block.Expression, block.Label = jsii.String(q.expression), jsii.String(q.id)
		} else {
			block.Metric = &cloudwatchmetricalarm.CloudwatchMetricAlarmMetricQueryMetric{
				Namespace: jsii.String(a.namespace), MetricName: jsii.String(q.metric), Dimensions: &a.dimensions,
				Stat: jsii.String(q.statistic), Period: jsii.Number(float64(a.period)),
			}
		}
		queries = append(queries, block)
	}
	return &queries
}

// newEvents sends to the topic what no metric shows: a deployment that failed, and what RDS says of the instance.
func newEvents(stack cdktf.TerraformStack, cfg *config.Config, db *Database, cluster *Cluster, monitoring *Monitoring) {
	pattern := map[string]any{
		"source":      []string{"aws.ecs"},
		"detail-type": []string{"ECS Deployment State Change"},
		"detail":      map[string]any{"eventName": []string{"SERVICE_DEPLOYMENT_FAILED"}},
		"resources":   []any{map[string]any{"prefix": "arn:aws:ecs:" + cfg.Region + ":" + cluster.accountID + ":service/" + *cluster.Name + "/"}},
	}
	rule := cloudwatcheventrule.NewCloudwatchEventRule(stack, jsii.String("deployment_failed_rule"), &cloudwatcheventrule.CloudwatchEventRuleConfig{
		Name:         jsii.String(cfg.ResourceName("deployment-failed")),
		Description:  jsii.String("A deployment of a service failed and was rolled back"),
		EventPattern: jsii.String(marshal(pattern)),
		Tags:         nameTag(cfg, "deployment-failed"),
	})
	cloudwatcheventtarget.NewCloudwatchEventTarget(stack, jsii.String("deployment_failed_target"), &cloudwatcheventtarget.CloudwatchEventTargetConfig{
		Rule: rule.Name(), Arn: monitoring.TopicARN, TargetId: jsii.String("alerts"), DependsOn: dependsOn(monitoring.TopicReady...),
	})
	dbeventsubscription.NewDbEventSubscription(stack, jsii.String("database_events"), &dbeventsubscription.DbEventSubscriptionConfig{
		Name:            jsii.String(cfg.ResourceName("database-events")),
		SnsTopic:        monitoring.TopicARN,
		SourceType:      jsii.String("db-instance"),
		SourceIds:       &[]*string{db.Identifier},
		EventCategories: jsii.Strings("availability", "deletion", "failover", "failure", "low storage", "maintenance", "recovery"),
		Tags:            nameTag(cfg, "database-events"),
		DependsOn:       dependsOn(monitoring.TopicReady...),
	})
}

// ---- Dashboard -----------------------------------------------------------------------------------------------------------

// newDashboard is what a person who was woken looks at first: which alarms ring, then the path of a request from the left to the right.
func newDashboard(stack cdktf.TerraformStack, cfg *config.Config, balancer *LoadBalancer, db *Database, cluster *Cluster, services []*Service, backup *Backup, alarms []*string) *string {
	d := &dashboard{region: cfg.Region}
	d.alarms(alarms)
	elb := func(metric, statistic, label string) []any {
		return []any{"AWS/ApplicationELB", metric, "LoadBalancer", *balancer.ARNSuffix, map[string]any{"stat": statistic, "label": label}}
	}
	d.graph("Requests and errors a minute", "Sum",
		elb("RequestCount", "Sum", "requests"), elb("HTTPCode_Target_5XX_Count", "Sum", "5xx of services"), elb("HTTPCode_ELB_5XX_Count", "Sum", "5xx of the balancer"))
	d.graph("Time to answer, seconds", "p99", elb("TargetResponseTime", "p50", "median"), elb("TargetResponseTime", "p99", "one in a hundred"))
	var cpu, memory, tasks [][]any
	for _, s := range services {
		in := func(namespace, metric string) []any {
			return []any{namespace, metric, "ClusterName", *cluster.Name, "ServiceName", *s.ServiceName, map[string]any{"label": s.Name}}
		}
		cpu = append(cpu, in("AWS/ECS", "CPUUtilization"))
		memory = append(memory, in("AWS/ECS", "MemoryUtilization"))
		tasks = append(tasks, in("ECS/ContainerInsights", "RunningTaskCount"))
	}
	d.graph("Running tasks", "Minimum", tasks...)
	d.graph("CPU of services, %", "Average", cpu...)
	d.graph("Memory of services, %", "Average", memory...)
	rds := func(metric, label string) []any {
		return []any{"AWS/RDS", metric, "DBInstanceIdentifier", *db.Identifier, map[string]any{"label": label}}
	}
	d.graph("Database: CPU, %", "Average", rds("CPUUtilization", "CPU"))
	d.graph("Database: connections", "Maximum", rds("DatabaseConnections", "open"))
	d.graph("Database: time of the disk, seconds", "Average", rds("ReadLatency", "read"), rds("WriteLatency", "write"))
	d.graph("Database: free storage, bytes", "Minimum", rds("FreeStorageSpace", "free"))
	d.graph("Age of the newest snapshot, seconds", "Minimum",
		[]any{backup.Namespace, "NewestBackupAge", "DBInstanceIdentifier", *db.Identifier, map[string]any{"label": "age", "period": 3600}})
	return cloudwatchdashboard.NewCloudwatchDashboard(stack, jsii.String("dashboard"), &cloudwatchdashboard.CloudwatchDashboardConfig{
		DashboardName: jsii.String(cfg.Stack()), DashboardBody: jsii.String(marshal(map[string]any{"widgets": d.widgets})),
	}).DashboardName()
}

// dashboard places widgets in rows of three, on the console's grid of 24 columns.
type dashboard struct {
	region  string
	widgets []map[string]any
	graphs  int
}

func (d *dashboard) alarms(arns []*string) {
	d.widgets = append(d.widgets, map[string]any{
		"type": "alarm", "x": 0, "y": 0, "width": 24, "height": 4,
		"properties": map[string]any{"title": "Alarms", "alarms": arns, "sortBy": "stateUpdatedTimestamp"},
	})
}

func (d *dashboard) graph(title, statistic string, metrics ...[]any) {
	d.widgets = append(d.widgets, map[string]any{
		"type": "metric", "x": d.graphs % 3 * 8, "y": 4 + d.graphs/3*6, "width": 8, "height": 6,
		"properties": map[string]any{
			"title": title, "region": d.region, "view": "timeSeries", "stat": statistic, "period": 60, "metrics": metrics,
			"yAxis": map[string]any{"left": map[string]any{"min": 0}},
		},
	})
	d.graphs++
}
