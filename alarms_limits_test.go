package main

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"platform/internal/config"
	"platform/internal/stacktest"
)

var alarmLimitPromises = []stacktest.Promise{{
	Name:  "every alarm can fire, and is silent while the stack does what it is configured to do",
	Check: alarmsCanFireAndBeSilent,
	BrokenBy: []stacktest.Break{{
		Name:  "an alarm compares a percentage with 100",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "threshold", 100.0),
		Found: databaseCPUAlarm,
	}, {
		Name:  "the alarm on connections compares with more than a small instance allows",
		Stack: "dev",
		By:    stacktest.Set(connectionsAlarm, "threshold", 89.0),
		Found: connectionsAlarm,
	}, {
		Name:  "the alarm on connections compares with more than max_connections",
		Stack: "off at night",
		By:    stacktest.Set(connectionsAlarm, "threshold", 67.0),
		Found: connectionsAlarm,
	}, {
		Name:  "the threshold of the latency alarm is longer than the load balancer's idle timeout",
		Stack: "prod",
		By:    stacktest.Set("aws_lb.load_balancer", "idle_timeout", 3.0),
		Found: latencyAlarm,
	}, {
		Name:  "a schedule stops the tasks whose number the alarm watches",
		Stack: "a service with everything",
		By: stacktest.Set(
			"aws_appautoscaling_scheduled_action.service_web_scaling_schedule_night",
			"scalable_target_action.min_capacity", "0",
		),
		Found: tooFewTasksAlarm,
	}, {
		Name:  "the alarm on tasks compares with more tasks than the service starts with",
		Stack: "prod",
		By:    stacktest.Set(tooFewTasksAlarm, "threshold", 3.0),
		Found: tooFewTasksAlarm,
	}, {
		Name:  "the alarm on tasks has a threshold that no number of tasks is below",
		Stack: "prod",
		By:    stacktest.Set(tooFewTasksAlarm, "threshold", 0.0),
		Found: tooFewTasksAlarm,
	}, {
		Name:  "scaling keeps the CPU above the alarm's threshold",
		Stack: "prod",
		By:    stacktest.Set(webCPUScaling, "target_tracking_scaling_policy_configuration.target_value", 95.0),
		Found: "aws_cloudwatch_metric_alarm.service_web_cpu_alarm",
	}, {
		Name:  "the alarm on free storage compares with all of the storage",
		Stack: "prod",
		By:    stacktest.Set("aws_cloudwatch_metric_alarm.database_storage_alarm", "threshold", 100.0*(1<<30)),
		Found: "aws_cloudwatch_metric_alarm.database_storage_alarm",
	}, {
		Name:  "the alarm on free memory compares with more memory than the instance has",
		Stack: "prod",
		By:    stacktest.Set("aws_cloudwatch_metric_alarm.database_memory_alarm", "threshold", 9.0*(1<<30)),
		Found: "aws_cloudwatch_metric_alarm.database_memory_alarm",
	}, {
		Name:  "an alarm fires when a backup is as old as the schedule lets it become",
		Stack: "prod",
		By:    stacktest.Set(backupAgeAlarm, "threshold", 23.0*3600),
		Found: backupAgeAlarm,
	}, {
		Name:  "a function that is called once a day is expected to be called twice",
		Stack: "prod",
		By:    stacktest.Set(notCalledAlarm, "threshold", 2.0),
		Found: notCalledAlarm,
	}, {
		Name:  "an alarm on failures compares with a negative number",
		Stack: "prod",
		By:    stacktest.Set("aws_cloudwatch_metric_alarm.backup_errors_alarm", "threshold", -1.0),
		Found: "aws_cloudwatch_metric_alarm.backup_errors_alarm",
	}, {
		Name:  "the share of an alarm is compared with more than 100 percent",
		Stack: "prod",
		By:    stacktest.Set(loadBalancerErrorsAlarm, "threshold", 100.0),
		Found: loadBalancerErrorsAlarm,
	}, {
		Name:  "an alarm is on a metric whose possible values this promise does not know",
		Stack: "prod",
		By: stacktest.All(
			stacktest.Set(databaseCPUAlarm, "metric_name", "DBLoad"),
			stacktest.Set(databaseCPUAlarm, "threshold", 2.0),
		),
		Found: databaseCPUAlarm,
	}},
}, {
	Name:  "an alarm on a percentile ignores periods with few requests",
	Check: percentilesNeedSamples,
	BrokenBy: []stacktest.Break{{
		Name:  "one slow request rolls a deployment back",
		Stack: "prod",
		By:    stacktest.Remove(deploymentLatencyAlarm, "evaluate_low_sample_count_percentiles"),
		Found: deploymentLatencyAlarm,
	}, {
		Name:  "one slow request notifies somebody",
		Stack: "prod",
		By:    stacktest.Set(latencyAlarm, "evaluate_low_sample_count_percentiles", "evaluate"),
		Found: latencyAlarm,
	}},
}}

const (
	connectionsAlarm = "aws_cloudwatch_metric_alarm.database_connections_alarm"
	notCalledAlarm   = "aws_cloudwatch_metric_alarm.database_function_not_called_alarm"
)

func percentilesNeedSamples(s stacktest.Stack, v *stacktest.Violations) {
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		v.Want(!a.Has("extended_statistic") || a.Is("evaluate_low_sample_count_percentiles", "ignore"),
			a.Address, "has a percentile and evaluates it with %v", a.At("evaluate_low_sample_count_percentiles"))
	}
}

// values are what a metric can be: between least and most at all, and between low and high while
// the stack does what it is configured to do.
type values struct{ least, most, low, high float64 }

var unlimited = math.Inf(1)

// alarmsCanFireAndBeSilent compares each threshold with the values that its metric can have.
func alarmsCanFireAndBeSilent(s stacktest.Stack, v *stacktest.Violations) {
	for _, a := range s.Resources("aws_cloudwatch_metric_alarm") {
		can, known := alarmValues(s, a)
		v.Want(known, a.Address, "want the values of its metric in alarmValues, have none for %v",
			slices.Collect(maps.Keys(alarmMetrics(a))))
		if !known {
			continue
		}
		threshold := a.Number("threshold")
		if a.Is("comparison_operator", "LessThanThreshold") {
			v.Want(threshold > can.least, a.Address, "cannot fire: nothing is below %v", threshold)
			v.Want(threshold <= can.low, a.Address,
				"fires although nothing is wrong: want a threshold of at most %v, have %v", can.low, threshold)
		} else {
			v.Want(threshold < can.most, a.Address,
				"cannot fire: want a threshold below %v, the most that the metric can be, have %v", can.most, threshold)
			v.Want(threshold >= can.high, a.Address,
				"fires although nothing is wrong: want a threshold of at least %v, have %v", can.high, threshold)
		}
	}
}

// alarmValues returns the values of an alarm's metric, or of its last query, which is a share.
func alarmValues(s stacktest.Stack, a stacktest.Resource) (values, bool) {
	if a.Has("metric_query") {
		return values{most: 100}, true
	}
	of := func(dimension string) stacktest.Resource { return s.Resource(a.Reference("dimensions." + dimension)) }
	switch a.String("namespace") + " " + a.String("metric_name") {
	case "ECS/ContainerInsights RunningTaskCount":
		return values{most: unlimited, low: leastTasks(s, of("ServiceName"))}, true
	case "AWS/SNS NumberOfMessagesPublished": // a sign of life at least every five minutes
		return values{most: unlimited, low: a.Number("period") / 300}, true
	case "AWS/ECS CPUUtilization":
		return values{most: 100, high: scalingTo(s, of("ServiceName"), "ECSServiceAverageCPUUtilization")}, true
	case "AWS/ECS MemoryUtilization":
		return values{most: 100, high: scalingTo(s, of("ServiceName"), "ECSServiceAverageMemoryUtilization")}, true
	case "AWS/ApplicationELB TargetResponseTime":
		return values{most: of("LoadBalancer").Number("idle_timeout")}, true
	case "AWS/Lambda Invocations": // a function that is called at least once a day
		return values{most: unlimited, low: a.Number("period") / (24 * 3600)}, true
	case s.Name() + "/Database ObjectsInUse", s.Name() + "/Database OverdueRotations":
		return values{most: unlimited}, true
	case s.Name() + "/Backup NewestBackupAge":
		return values{most: unlimited, high: 3600 * hoursBetween(s, snapshotSchedule)}, true
	case s.Name() + "/Backup CopyLag": // RDS copies transaction logs about every five minutes
		return values{most: unlimited, high: 30 * 60}, true
	case s.Name() + "/Backup SnapshotQuotaUsed":
		return values{most: 100, high: 80}, true
	case s.Name() + "/Backup NewestDumpAge":
		return values{most: unlimited, high: 3600 * hoursBetween(s, dumpSchedule)}, true
	case s.Name() + "/Backup NewestDumpCopyAge": // S3 copies most objects within 15 minutes
		return values{most: unlimited, high: 3600 * (hoursBetween(s, dumpSchedule) + 1)}, true
	case s.Name() + "/Backup NewestDrillAge":
		return values{most: unlimited, high: 3600 * hoursBetween(s, drillSchedule)}, true
	case s.Name() + "/Backup DumpSizeRatio": // each dump is about as large as the one before
		return values{most: unlimited, low: 0.9}, true
	case "AWS/RDS CPUUtilization":
		return values{most: 100}, true
	case "AWS/RDS ReadLatency", "AWS/RDS WriteLatency":
		return values{most: unlimited}, true
	case "AWS/RDS DatabaseConnections":
		return values{most: connectionsOf(s, of("DBInstanceIdentifier"))}, true
	case "AWS/RDS FreeableMemory":
		return values{most: unlimited, low: memoryOf(of("DBInstanceIdentifier")) / 10}, true
	case "AWS/RDS FreeStorageSpace":
		free := unlimited // of a restored instance only RDS knows
		if size := of("DBInstanceIdentifier").Number("allocated_storage"); size > 0 {
			free = size * (1 << 30) / 2
		}
		return values{most: unlimited, low: free}, true
	}
	counts := a.Is("statistic", "Sum") || a.Is("metric_name", "UnHealthyHostCount")
	return values{most: unlimited}, counts
}

// leastTasks returns how few tasks of a service the configuration asks for at some time.
func leastTasks(s stacktest.Stack, service stacktest.Resource) float64 {
	least := service.Number("desired_count")
	targets := stacktest.Referring(s.Resources("aws_appautoscaling_target"), "resource_id", service.Address)
	for _, target := range targets {
		actions := stacktest.Referring(
			s.Resources("aws_appautoscaling_scheduled_action"), "resource_id", target.Address)
		for _, action := range actions {
			minimum, err := strconv.ParseFloat(action.String("scalable_target_action.min_capacity"), 64)
			if err != nil {
				return math.NaN() // no threshold is right
			}
			least = min(least, minimum)
		}
	}
	return least
}

// scalingTo returns the value at which scaling keeps a metric of a service, 0 if it does not.
func scalingTo(s stacktest.Stack, service stacktest.Resource, metric string) float64 {
	targets := stacktest.Referring(s.Resources("aws_appautoscaling_target"), "resource_id", service.Address)
	for _, target := range targets {
		policies := stacktest.Referring(s.Resources("aws_appautoscaling_policy"), "resource_id", target.Address)
		for _, policy := range policies {
			if policy.Is(scalingMetric+".predefined_metric_type", metric) {
				return policy.Number("target_tracking_scaling_policy_configuration.target_value")
			}
		}
	}
	return 0
}

// memoryOf returns the bytes of an instance's class.
func memoryOf(instance stacktest.Resource) float64 {
	gib, _ := config.ClassMemory(instance.String("instance_class"))
	return float64(gib) * (1 << 30)
}

// connectionsOf returns how many connections an instance allows at least. RDS's formula overstates
// them; the smallest shares that instances were seen to allow of it are 79 of 112 on db.t4g.micro,
// and 181 of 225 on db.t4g.small.
func connectionsOf(s stacktest.Stack, instance stacktest.Resource) float64 {
	group := s.Resource(instance.Reference("parameter_group_name"))
	if set := group.String("parameter[name=max_connections].value"); set != "" {
		if n, err := strconv.ParseFloat(set, 64); err == nil {
			return n
		}
		return unlimited // a formula of RDS
	}
	const bytesEach = 9531392 // https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
	share := 0.9
	if strings.HasPrefix(instance.String("instance_class"), "db.t") {
		share = 0.7
	}
	return min(share*memoryOf(instance)/bytesEach, 5000)
}

var rate = regexp.MustCompile(`^rate\(([0-9]+) (minute|hour|day)s?\)$`)

// hoursBetween returns the hours between two calls of a schedule: a day for a time of every day, a
// month for a time of every month. Of other schedules internal/config knows how long their gaps are.
func hoursBetween(s stacktest.Stack, schedule string) float64 {
	expression := s.Resource(schedule).String("schedule_expression")
	if parts := rate.FindStringSubmatch(expression); parts != nil {
		n, _ := strconv.ParseFloat(parts[1], 64)
		return n * map[string]float64{"minute": 1.0 / 60, "hour": 1, "day": 24}[parts[2]]
	}
	if strings.HasSuffix(expression, " * * ? *)") && !strings.ContainsAny(expression, "/,-") {
		return 24
	}
	if strings.HasSuffix(expression, " 1 * ? *)") {
		return 31 * 24
	}
	return 0
}
