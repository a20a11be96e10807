package config

// Alarms are the limits above which a service's alarms fire, and above which ECS rolls a deployment
// back. They apply to requests of the load balancer.
type Alarms struct {
	// response time that the slowest 1% of the responses may take; 0: no alarms on it; default: 3, or
	// half of load_balancer.idle_timeout if that is less
	Latency float64 `yaml:"latency" allowed:"within 0..4000 seconds"`
	// 5xx errors in a minute above which ECS rolls a deployment back
	Errors int `yaml:"errors" allowed:"1..1000000"`
}

func alarmsDefaults(profile) Alarms { return Alarms{Latency: 3, Errors: 10} }

// LatencyLimit returns the default limit of latency in seconds. No response takes longer than the
// load balancer's timeout, after which it returns an error.
func (c *Config) LatencyLimit() float64 {
	return min(alarmsDefaults("").Latency, float64(c.LoadBalancer.IdleTimeout)/2)
}

// deriveAlarms sets the default limit of latency.
func (c *Config) deriveAlarms(doc *Document) {
	for name, service := range c.Services {
		if !doc.Names("services." + name + ".alarms.latency") {
			service.Alarms.Latency = c.LatencyLimit()
			c.Services[name] = service
		}
	}
}

// shortestLatency is the least limit of latency in seconds.
const shortestLatency = 0.05

func (c checker) alarms(s Service) {
	timeout := c.cfg.LoadBalancer.IdleTimeout
	latency := s.Alarms.Latency
	c.want(latency == 0 || latency >= shortestLatency && latency < float64(timeout), "latency",
		"want 0, for no alarms on latency, or at least %v and less than load_balancer.idle_timeout (%d), have %v: "+
			"after that time the load balancer returns an error instead", shortestLatency, timeout, latency)
}
