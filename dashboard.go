package main

import (
	"slices"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/cloudwatchdashboard"
)

// newDashboard declares what a person on call looks at first: which alarms fire, then the path of a
// request from the left to the right. It returns the output that says where the dashboard is.
func newDashboard(s *scope, p *Platform, alarms []*string) output {
	d := &dashboard{region: s.cfg.Region}
	d.alarms(alarms)
	d.addLoadBalancer(p.LoadBalancer)
	d.addServices(p.Services)
	if p.Database != nil {
		d.addDatabase(p.Database)
		d.addBackups(s, p.Database)
	}
	name := *cloudwatchdashboard.NewCloudwatchDashboard(s.stack, jsii.String("dashboard"),
		&cloudwatchdashboard.CloudwatchDashboardConfig{
			DashboardName: jsii.String(s.cfg.Stack()),
			DashboardBody: jsii.String(marshal(map[string]any{"widgets": d.widgets})),
		}).DashboardName()
	console := "https://" + s.cfg.Region + ".console.aws.amazon.com/cloudwatch/home?region=" + s.cfg.Region
	return output{"dashboard_url", "The dashboard", console + "#dashboards/dashboard/" + name}
}

// dashboard places widgets in rows of three, on the console's grid of 24 columns.
type dashboard struct {
	region  string
	widgets []map[string]any
	top     int // the row below the alarms
	graphs  int
}

func (d *dashboard) addLoadBalancer(balancer *LoadBalancer) {
	elb := func(metric, statistic, label string) []any {
		return []any{
			"AWS/ApplicationELB", metric, "LoadBalancer", *balancer.ARNSuffix,
			map[string]any{"stat": statistic, "label": label},
		}
	}
	d.graph("Requests and errors a minute", "Sum",
		elb("RequestCount", "Sum", "requests"),
		elb("HTTPCode_Target_5XX_Count", "Sum", "5xx of services"),
		elb("HTTPCode_ELB_5XX_Count", "Sum", "5xx of the load balancer"))
	d.graph("Time to answer, seconds", "p99",
		elb("TargetResponseTime", "p50", "median"),
		elb("TargetResponseTime", "p99", "one in a hundred"))
}

func (d *dashboard) addServices(services Services) {
	each := func(namespace, metric string) (metrics [][]any) {
		for _, svc := range services {
			metrics = append(metrics, []any{
				namespace, metric,
				"ClusterName", *svc.dimensions["ClusterName"], "ServiceName", *svc.dimensions["ServiceName"],
				map[string]any{"label": svc.Name},
			})
		}
		return metrics
	}
	d.graph("Running tasks", "Minimum", each("ECS/ContainerInsights", "RunningTaskCount")...)
	d.graph("CPU of services, %", "Average", each("AWS/ECS", "CPUUtilization")...)
	d.graph("Memory of services, %", "Average", each("AWS/ECS", "MemoryUtilization")...)
}

func (d *dashboard) addDatabase(db *Database) {
	rds := func(metric, label string) []any {
		return []any{"AWS/RDS", metric, "DBInstanceIdentifier", *db.Identifier, map[string]any{"label": label}}
	}
	d.graph("Database: CPU, %", "Average", rds("CPUUtilization", "CPU"))
	d.graph("Database: connections", "Maximum", rds("DatabaseConnections", "open"))
	d.graph("Database: time of the disk, seconds", "Average", rds("ReadLatency", "read"), rds("WriteLatency", "write"))
	d.graph("Database: free storage, bytes", "Minimum", rds("FreeStorageSpace", "free"))
}

func (d *dashboard) addBackups(s *scope, db *Database) {
	d.graph("Age of the newest snapshot, seconds", "Minimum", []any{
		backupNamespace(s), "NewestBackupAge", "DBInstanceIdentifier", *db.Identifier,
		map[string]any{"label": "age", "period": 3600},
	})
}

// alarms places as few widgets as CloudWatch allows: one shows at most 100 alarms.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func (d *dashboard) alarms(arns []*string) {
	const height = 4
	for shown := range slices.Chunk(arns, 100) {
		title := choose(d.top == 0, "Alarms", "More alarms")
		d.widgets = append(d.widgets, map[string]any{
			"type": "alarm", "x": 0, "y": d.top, "width": 24, "height": height,
			"properties": map[string]any{"title": title, "alarms": shown, "sortBy": "stateUpdatedTimestamp"},
		})
		d.top += height
	}
}

func (d *dashboard) graph(title, statistic string, metrics ...[]any) {
	d.widgets = append(d.widgets, map[string]any{
		"type": "metric", "x": d.graphs % 3 * 8, "y": d.top + d.graphs/3*6, "width": 8, "height": 6,
		"properties": map[string]any{
			"title": title, "region": d.region, "view": "timeSeries", "stat": statistic, "period": 60,
			"metrics": metrics, "yAxis": map[string]any{"left": map[string]any{"min": 0}},
		},
	})
	d.graphs++
}
