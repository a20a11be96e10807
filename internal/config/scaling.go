package config

import "regexp"

// Scaling configures automatic scaling. If max equals tasks, there is no automatic scaling.
type Scaling struct {
	// maximum number of tasks; the same as tasks: no automatic scaling
	Max      int `yaml:"max" allowed:"within 0..5000"`
	CPU      int `yaml:"cpu" allowed:"10..95 percent"`    // target for the average CPU utilization
	Memory   int `yaml:"memory" allowed:"10..95 percent"` // target for the average memory utilization
	Requests int `yaml:"requests" allowed:"0..1000000"`   // target per task and minute; 0: off
	// changes of the minimum and the maximum at set times, by name
	Schedules map[string]ScalingSchedule `yaml:"schedules"`
}

// ScalingSchedule changes the minimum and the maximum at a time, once or repeatedly.
type ScalingSchedule struct {
	At       string `yaml:"at" allowed:"~at"` // cron(...) or at(...)
	Timezone string `yaml:"timezone"`         // time zone of at; default: UTC
	Min      int    `yaml:"min" allowed:"0..5000"`
	Max      int    `yaml:"max" allowed:"0..5000"`
}

var scheduleName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

const scheduleNameLimit = 16

func scalingDefaults(profile) Scaling { return Scaling{CPU: 60, Memory: 75} }

// deriveScaling raises the maximum to the number of tasks where the file does not set it.
func (c *Config) deriveScaling(doc *Document) {
	for name, service := range c.Services {
		if !doc.Names("services." + name + ".scaling.max") {
			service.Scaling.Max = max(service.Scaling.Max, service.Tasks)
			c.Services[name] = service
		}
	}
}

// deriveSingle gives a service that runs only one task at a time this number of tasks, where the file
// does not set another one.
func (c *Config) deriveSingle(doc *Document) {
	for name, service := range c.Services {
		if !service.Single {
			continue
		}
		if !doc.Names("services." + name + ".tasks") {
			service.Tasks = 1
		}
		if !doc.Names("services." + name + ".scaling.max") {
			service.Scaling.Max = service.Tasks
		}
		c.Services[name] = service
	}
}

// Scaled reports whether Application Auto Scaling may change the number of tasks.
func (s Service) Scaled() bool { return s.Scaling.Max > s.Tasks || len(s.Scaling.Schedules) > 0 }

var _ = form("at", `^(cron|at)\([^()]+\)$`)

func (c checker) scaling(s Service) {
	route, tasks := c.full("route"), c.full("tasks")
	c.want(!s.Single || s.Tasks <= 1, "tasks", "want at most 1 with %s, have %d", c.full("single"), s.Tasks)
	single := c.full("single")
	c = c.at("scaling")
	c.want(!s.Single || len(s.Scaling.Schedules) == 0, "schedules", "must be empty with %s", single)
	c.want(!s.Single || s.Tasks > 1 || s.Scaling.Max <= s.Tasks, "max",
		"want %d, the number of tasks, with %s, have %d", s.Tasks, single, s.Scaling.Max)
	c.want(s.Routed() || s.Scaling.Requests <= 0, "requests", "must be 0 without %s", route)
	if s.Tasks >= 0 && s.Tasks <= 1000 {
		c.between("max", s.Scaling.Max, s.Tasks, 5000)
	}
	for name, schedule := range inOrder(s.Scaling.Schedules) {
		c.at("schedules", name).scalingSchedule(name, schedule)
	}
	// A new repository is empty: tasks that start before the first push fail.
	c.want(!s.Repository || s.Tasks != 0 || s.Scaling.Max <= 0, "max",
		"want 0 while %s is 0, because the repository may be empty, have %d",
		tasks, s.Scaling.Max)
}

func (c checker) scalingSchedule(name string, s ScalingSchedule) {
	c.want(scheduleName.MatchString(name) && len(name) <= scheduleNameLimit, "",
		"want a name of lower-case letters and digits, starting with a letter, at most %d characters",
		scheduleNameLimit)
	c.want(isCron(s.At) || isAt(s.At), "at", "want cron(minute hour day month weekday year), "+
		"with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have %q", s.At)
	c.want(s.Timezone == "" || isTimezone(s.Timezone), "timezone",
		"want a time zone such as UTC or Europe/Berlin, have %q", s.Timezone)
	c.want(s.Max >= s.Min, "max", "want at least %d (%s), have %d", s.Min, c.full("min"), s.Max)
}

func (w warner) scaling(s Service) {
	w.idle(s.Scaled(), "while "+w.full("scaling.max")+" is not above tasks",
		"scaling.cpu", "scaling.memory", "scaling.requests")
	w.fromZero(s)
}

// fromZero warns of a service that automatic scaling cannot start: the metrics that it follows
// are those of running tasks.
// https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
func (w warner) fromZero(s Service) {
	const reason = "AWS scales by the metrics of running tasks, and there are none with 0 tasks"
	raised := false
	for name, schedule := range inOrder(s.Scaling.Schedules) {
		raised = raised || schedule.Min > 0
		w.warn(schedule.Min == 0 && schedule.Max > 0, "scaling.schedules."+name+".min", "%s: after the last task is "+
			"stopped, none starts until another schedule raises min; want 1 or more, or 0 in %s too", reason,
			w.full("scaling.schedules."+name+".max"))
	}
	w.warn(s.Tasks == 0 && s.Scaling.Max > 0 && !raised, "tasks",
		"no task ever starts: %s; want 1 or more, or 0 in %s too", reason, w.full("scaling.max"))
}
