package config

// Scaling bounds automatic scaling. With max equal to tasks there is none, and the file alone sets
// the number of tasks.
type Scaling struct {
	// tasks at the most; with tasks the same there is no scaling, and the count stays this file's
	Max      int `yaml:"max" allowed:"within 0..5000"`
	CPU      int `yaml:"cpu" allowed:"10..95 percent"`    // to keep
	Memory   int `yaml:"memory" allowed:"10..95 percent"` // to keep
	Requests int `yaml:"requests" allowed:"0..1000000"`   // a minute and task to keep; 0: not scaled on
	// other bounds at set times, by name
	Schedules map[string]ScalingSchedule `yaml:"schedules"`
}

// ScalingSchedule sets other bounds at a time, once or again and again.
type ScalingSchedule struct {
	At       string `yaml:"at" allowed:"~at"` // cron(...) or at(...)
	Timezone string `yaml:"timezone"`         // of at; UTC, if not given
	Min      int    `yaml:"min" allowed:"0..5000"`
	Max      int    `yaml:"max" allowed:"0..5000"`
}

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

// Scaled tells whether AWS may change the number of tasks; if so, requests and schedules have an
// effect.
func (s Service) Scaled() bool { return s.Scaling.Max > s.Tasks || len(s.Scaling.Schedules) > 0 }

var _ = form("at", `^(cron|at)\([^()]+\)$`)

func (c checker) scaling(s Service) {
	route, tasks := c.full("route"), c.full("tasks")
	c = c.at("scaling")
	c.want(s.Routed() || s.Scaling.Requests <= 0, "requests", "has no meaning without %s", route)
	if s.Tasks >= 0 && s.Tasks <= 1000 {
		c.between("max", s.Scaling.Max, s.Tasks, 5000)
	}
	for name, schedule := range inOrder(s.Scaling.Schedules) {
		c.at("schedules", name).scalingSchedule(name, schedule)
	}
	// A repository begins empty: a service that starts tasks from it before the first push can only
	// fail.
	c.want(!s.Repository || s.Tasks != 0 || s.Scaling.Max <= 0, "max", "want 0 while %s is 0, have %d",
		tasks, s.Scaling.Max)
}

func (c checker) scalingSchedule(name string, s ScalingSchedule) {
	c.want(serviceName.MatchString(name) && len(name) <= serviceNameLimit, "",
		"want a name of lower-case letters and digits, at most %d long", serviceNameLimit)
	c.want(isCron(s.At) || isAt(s.At), "at", "want cron(minute hour day month weekday year), "+
		"with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have %q", s.At)
	c.want(s.Timezone == "" || isTimezone(s.Timezone), "timezone",
		"want a time zone such as UTC or Europe/Berlin, have %q", s.Timezone)
	c.want(s.Max >= s.Min, "max", "want at least %d (%s), have %d", s.Min, c.full("min"), s.Max)
}

func (w warner) scaling(s Service) {
	w.idle(s.Scaled(), "while "+w.full("scaling.max")+" is not above tasks",
		"scaling.cpu", "scaling.memory", "scaling.requests")
}
