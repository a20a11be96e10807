package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	dashboardAddress = "aws_cloudwatch_dashboard.dashboard"
	dashboardAlarms  = "dashboard_body.widgets[type=alarm].properties.alarms"
)

// A stack with more alarms than one widget shows has a dashboard that CloudWatch accepts, and small
// stacks keep theirs.
func TestDashboardShowsAnyNumberOfAlarms(t *testing.T) {
	for alarms, want := range map[int][]int{1: {1}, 100: {100}, 101: {100, 1}, 250: {100, 100, 50}} {
		d := &dashboard{}
		d.alarms(make([]*string, alarms))
		d.graph("a graph", "Sum")
		var have []int
		for i, widget := range d.widgets {
			if widget["y"] != 4*i {
				t.Errorf("%d alarms: widget %d is in row %v, want %d", alarms, i, widget["y"], 4*i)
			}
			if widget["type"] == "alarm" {
				have = append(have, len(widget["properties"].(map[string]any)["alarms"].([]*string)))
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("%d alarms: want widgets of %v, have %v", alarms, want, have)
		}
	}
}

// widget returns the path to an argument of the widget with a title.
func widget(title, argument string) string {
	return "dashboard_body.widgets[properties.title=" + title + "]." + argument
}

var dashboardPromises = []stacktest.Promise{{
	Name:  "CloudWatch accepts the dashboard, which shows every alarm that notifies the topic",
	Check: dashboardIsAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "the dashboard's body is not JSON",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, "dashboard_body", `{"widgets":[}`),
		Found: dashboardAddress,
	}, {
		Name:  "the dashboard does not show an alarm",
		Stack: "prod",
		By: stacktest.Replace(
			dashboardAddress, dashboardAlarms,
			databaseCPUAlarm,
			"aws_cloudwatch_metric_alarm.database_memory_alarm",
		),
		Found: databaseCPUAlarm,
	}, {
		Name:  "a graph has a dimension without a value",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Database: CPU, %", "properties.metrics"),
			[]any{[]any{"AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", map[string]any{"label": "CPU"}}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a widget is beyond the right edge",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Running tasks", "x"), 20.0),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has no region",
		Stack: "prod",
		By:    stacktest.Remove(dashboardAddress, widget("Running tasks", "properties.region")),
		Found: dashboardAddress,
	}, {
		Name:  "the dashboard has no widgets",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, "dashboard_body.widgets", []any{}),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has no metrics",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Database: CPU, %", "properties.metrics"), []any{}),
		Found: dashboardAddress,
	}, {
		Name:  "the widget of alarms has more alarms than CloudWatch shows",
		Stack: "prod",
		By:    stacktest.Append(dashboardAddress, dashboardAlarms, slices.Repeat([]any{"more"}, 100)...),
		Found: dashboardAddress,
	}, {
		Name:  "a widget overlaps another",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Time to answer, seconds", "x"), 4.0),
		Found: dashboardAddress,
	}, {
		Name:  "a widget is between two columns",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Time to answer, seconds", "x"), 8.5),
		Found: dashboardAddress,
	}, {
		Name:  "a widget is beyond the left edge",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Age of the newest snapshot, seconds", "x"), -1.0),
		Found: dashboardAddress,
	}, {
		Name:  "a widget has no width",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Age of the newest snapshot, seconds", "width"), 0.0),
		Found: dashboardAddress,
	}, {
		Name:  "a widget has a type that does not exist",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, "dashboard_body.widgets[type=alarm].type", "alarms"),
		Found: dashboardAddress,
	}, {
		Name:  "a widget has a property that does not exist",
		Stack: "prod",
		By: stacktest.Add(
			dashboardAddress, widget("Running tasks", "properties.axis"),
			map[string]any{"left": map[string]any{"min": 0.0}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "the alarms have an order that does not exist",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, "dashboard_body.widgets[type=alarm].properties.sortBy", "state"),
		Found: dashboardAddress,
	}, {
		Name:  "the dashboard shows an alarm that does not exist",
		Stack: "prod",
		By:    stacktest.Append(dashboardAddress, dashboardAlarms, "${aws_cloudwatch_metric_alarm.gone_alarm.arn}"),
		Found: dashboardAddress,
	}, {
		Name:  "the dashboard shows the name of an alarm instead of its ARN",
		Stack: "prod",
		By: stacktest.Replace(
			dashboardAddress, dashboardAlarms,
			databaseCPUAlarm+".arn",
			databaseCPUAlarm+".alarm_name",
		),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has a statistic that does not exist",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Database: connections", "properties.stat"), "Max"),
		Found: dashboardAddress,
	}, {
		Name:  "a metric of a graph has a statistic that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Time to answer, seconds", "properties.metrics"),
			[]any{[]any{
				"AWS/ApplicationELB", "TargetResponseTime",
				"LoadBalancer", "${aws_lb.load_balancer.arn_suffix}",
				map[string]any{"stat": "median"},
			}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has a period that does not exist",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Running tasks", "properties.period"), 90.0),
		Found: dashboardAddress,
	}, {
		Name:  "a metric of a graph has a period that does not exist",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Database: CPU, %", "properties.metrics"),
			[]any{[]any{
				"AWS/RDS", "CPUUtilization",
				"DBInstanceIdentifier", "${aws_db_instance.database.identifier}",
				map[string]any{"period": 3601.0},
			}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has a view that does not exist",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Running tasks", "properties.view"), "lines"),
		Found: dashboardAddress,
	}, {
		Name:  "a graph shows another region",
		Stack: "prod",
		By:    stacktest.Set(dashboardAddress, widget("Running tasks", "properties.region"), "us-east-1"),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has a metric that AWS does not report",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Database: CPU, %", "properties.metrics"),
			[]any{[]any{"AWS/RDS", "CPU", "DBInstanceIdentifier", "${aws_db_instance.database.identifier}"}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a graph has a metric of another namespace",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Running tasks", "properties.metrics"),
			[]any{[]any{
				"AWS/ECS", "RunningTaskCount",
				"ClusterName", "${aws_ecs_cluster.cluster.name}",
				"ServiceName", "${aws_ecs_service.service_web_service.name}",
			}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a graph lacks a dimension of its metric",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Running tasks", "properties.metrics"),
			[]any{[]any{
				"ECS/ContainerInsights", "RunningTaskCount",
				"ServiceName", "${aws_ecs_service.service_web_service.name}",
			}},
		),
		Found: dashboardAddress,
	}, {
		Name:  "a dimension in a graph is the ARN of a load balancer instead of its suffix",
		Stack: "prod",
		By: stacktest.Set(
			dashboardAddress, widget("Time to answer, seconds", "properties.metrics"),
			[]any{[]any{"AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", "${aws_lb.load_balancer.arn}"}},
		),
		Found: dashboardAddress,
	}},
}}

// widgetProperties are the properties of the two types of widgets in use.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
var widgetProperties = map[string][]string{
	"alarm": {"alarms", "sortBy", "states", "title"},
	"metric": {
		"annotations", "legend", "liveData", "metrics", "period", "region", "setPeriodToTimeRange", "sparkline",
		"stacked", "stat", "timezone", "title", "view", "yAxis",
	},
}

// widgetsFitTheGrid checks the widgets' positions. The grid has 24 columns and any number of rows.
func widgetsFitTheGrid(address string, widgets []stacktest.Resource, v *stacktest.Violations) {
	for i, w := range widgets {
		x, y, width, height := w.Number("x"), w.Number("y"), w.Number("width"), w.Number("height")
		whole := x == math.Trunc(x) && y == math.Trunc(y) && width == math.Trunc(width) && height == math.Trunc(height)
		v.Want(whole && x >= 0 && y >= 0 && width >= 1 && x+width <= 24 && height >= 1 && height <= 1000,
			address, "widget %v is beyond the edge of the grid", w.At("properties.title"))
		for _, other := range widgets[:i] {
			beside := x >= other.Number("x")+other.Number("width") || other.Number("x") >= x+width
			below := y >= other.Number("y")+other.Number("height") || other.Number("y") >= y+height
			v.Want(beside || below,
				address, "widget %v overlaps widget %v", w.At("properties.title"), other.At("properties.title"))
		}
	}
}

// graphIsAccepted checks a widget of metrics. Its metrics are complete: none has dots that repeat
// the metric before it, and none is an expression.
func graphIsAccepted(s stacktest.Stack, w stacktest.Resource, v *stacktest.Violations) {
	address := w.Address
	title := w.At("properties.title")
	v.Want(w.Is("properties.region", s.Region()), address, "graph %v has no region, or another one", title)
	views := []string{"bar", "gauge", "pie", "singleValue", "table", "timeSeries"}
	v.Want(slices.Contains(views, w.String("properties.view")),
		address, "graph %v has the unknown view %v", title, w.At("properties.view"))
	v.Want(isStatistic(w.String("properties.stat")) && isGraphPeriod(w.At("properties.period")),
		address, "graph %v shows the %v of %v seconds", title, w.At("properties.stat"), w.At("properties.period"))
	metrics, _ := w.At("properties.metrics").([]any)
	v.Want(len(metrics) > 0, address, "graph %v has no metrics", title)
	known := reportedDimensions(s)
	for _, metric := range metrics {
		name, dimensions, options, ok := readMetric(metric)
		v.Want(ok, address, "graph %v has a malformed metric: %v", title, metric)
		if !ok {
			continue
		}
		names := strings.Join(slices.Sorted(maps.Keys(dimensions)), " ")
		v.Want(slices.Contains(known[name], names),
			address, "graph %v looks for %s by %q, but AWS reports it by %q", title, name, names, known[name])
		for dimension, value := range dimensions {
			shape := dimensionValues[dimension]
			v.Want(shape == nil || shape.MatchString(fmt.Sprint(value)),
				address, "graph %v has %v as the dimension %s", title, value, dimension)
		}
		v.Want(options["stat"] == nil || isStatistic(fmt.Sprint(options["stat"])),
			address, "graph %v shows the unknown statistic %v of %s", title, options["stat"], name)
		v.Want(options["period"] == nil || isGraphPeriod(options["period"]),
			address, "graph %v shows %s with a period of %v seconds", title, name, options["period"])
	}
}

// isGraphPeriod tells whether something is a number of whole minutes. Shorter periods are for
// metrics of high resolution, which this stack does not have.
func isGraphPeriod(value any) bool {
	seconds, ok := value.(float64)
	return ok && seconds >= 60 && math.Mod(seconds, 60) == 0
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func dashboardIsAccepted(s stacktest.Stack, v *stacktest.Violations) {
	notifying, _ := topicAndRollbackAlarms(s)
	for _, d := range s.Resources("aws_cloudwatch_dashboard") {
		_, isJSON := d.At("dashboard_body").(map[string]any)
		v.Want(isJSON, d.Address, "has a body that is not JSON")
		if !isJSON {
			continue
		}
		var shown []string
		widgets := d.Blocks("dashboard_body.widgets")
		v.Want(len(widgets) > 0 && len(widgets) <= 500, d.Address, "want 1 to 500 widgets, have %d", len(widgets))
		for _, w := range widgets {
			title, known := w.At("properties.title"), widgetProperties[w.String("type")]
			v.Want(known != nil, d.Address, "widget %v has the unknown type %v", title, w.At("type"))
			properties, _ := w.At("properties").(map[string]any)
			for name := range properties {
				v.Want(known == nil || slices.Contains(known, name),
					d.Address, "widget %v has the unknown property %s", title, name)
			}
			for _, alarm := range w.Strings("properties.alarms") {
				of := s.Resource(strings.Join(stacktest.References(alarm), " "))
				v.Want(of.Exists() && alarm == "${"+of.Address+".arn}", d.Address, "shows an unknown alarm: %s", alarm)
				shown = append(shown, of.Address)
			}
			v.Want(len(w.Strings("properties.alarms")) <= 100, d.Address, "has a widget with more than 100 alarms")
			switch w.String("type") {
			case "alarm":
				orders := []string{"default", "stateUpdatedTimestamp", "timestamp"}
				v.Want(!w.Has("properties.sortBy") || slices.Contains(orders, w.String("properties.sortBy")),
					d.Address, "sorts alarms by %v, which is unknown", w.At("properties.sortBy"))
			case "metric":
				graphIsAccepted(s, w, v)
			}
		}
		widgetsFitTheGrid(d.Address, widgets, v)
		for _, a := range notifying {
			v.Want(slices.Contains(shown, a.Address), a.Address, "is not shown on %s", d.Address)
		}
	}
}

// readMetric reads a metric of a graph: a list of namespace, name, pairs of dimensions and values,
// and perhaps options.
func readMetric(value any) (name string, dimensions, options map[string]any, ok bool) {
	list, _ := value.([]any)
	if len(list) > 0 {
		if body, isMap := list[len(list)-1].(map[string]any); isMap {
			list, options = list[:len(list)-1], body
		}
	}
	var texts []string
	for _, item := range list {
		if text, isText := item.(string); isText {
			texts = append(texts, text)
		}
	}
	if len(texts) < 2 || len(texts)%2 != 0 || len(texts) < len(list) {
		return "", nil, options, false
	}
	dimensions = map[string]any{}
	for i := 2; i < len(texts); i += 2 {
		dimensions[texts[i]] = texts[i+1]
	}
	return texts[0] + " " + texts[1], dimensions, options, true
}
