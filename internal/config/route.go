package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Route says which requests the load balancer forwards to a service. All conditions given must
// match.
type Route struct {
	// priority of the listener rule: lowest first, unique; 0: follows from the conditions, narrow
	// before broad
	Priority int `yaml:"priority" allowed:"within 0..49999"`
	// path patterns; * matches any text, ? any character
	Paths   []string            `yaml:"paths" allowed:"~path_pattern"`
	Hosts   []string            `yaml:"hosts" allowed:"~host"`   // host patterns, with * and ?
	Headers map[string][]string `yaml:"headers"`                 // values of each HTTP header
	Sources []string            `yaml:"sources" allowed:"~cidr"` // CIDR blocks of clients
	// time in which a stopping task completes its open requests
	DeregistrationDelay int `yaml:"deregistration_delay" allowed:"0..3600 seconds"`
	// time in which the load balancer sends a new task more and more requests; 0: off
	SlowStart int `yaml:"slow_start" allowed:"0 or 30..900 seconds"`
	// time for which a cookie keeps a client at the same task; 0: off
	Sticky int `yaml:"sticky" allowed:"0..604800 seconds"`
}

func routeDefaults(profile) Route { return Route{DeregistrationDelay: 30} }

// Routed reports whether the service receives requests from the load balancer.
func (s Service) Routed() bool {
	r := s.Route
	return len(r.Paths)+len(r.Hosts)+len(r.Headers)+len(r.Sources) > 0
}

// hiding returns the conditions of the rule that blocks the metrics path of a service that
// [Service.HidesMetrics].
func (s Service) hiding() Route {
	r := s.Route
	r.Paths = s.HiddenPaths()
	return r
}

// HiddenPaths returns the patterns of the paths that the load balancer blocks for a service that
// [Service.HidesMetrics].
func (s Service) HiddenPaths() []string { return []string{s.Metrics.Path, s.Metrics.Path + "/*"} }

// values returns the number of values in all conditions.
func (r Route) values() int {
	n := len(r.Paths) + len(r.Hosts) + len(r.Sources)
	for _, values := range r.Headers {
		n += len(values)
	}
	return n
}

// wildcards returns the number of wildcards in all conditions.
func (r Route) wildcards() (n int) {
	for _, values := range append([][]string{r.Paths, r.Hosts}, slices.Collect(maps.Values(r.Headers))...) {
		for _, value := range values {
			n += strings.Count(value, "*") + strings.Count(value, "?")
		}
	}
	return n
}

// conditions returns a text that is equal for two routes with the same conditions in any order.
func (r Route) conditions() string {
	sorted := func(values []string) []string { return slices.Sorted(slices.Values(values)) }
	headers := map[string][]string{}
	for header, values := range r.Headers {
		headers[strings.ToLower(header)] = sorted(values)
	}
	return fmt.Sprintf("%q %q %q %q", sorted(r.Paths), sorted(lower(r.Hosts)), sorted(r.Sources), headers)
}

// covers reports whether a route matches every request that another one matches. For some pairs of
// patterns with wildcards it returns false although that is true.
func (r Route) covers(other Route) bool {
	for header, values := range r.Headers {
		covered := false
		for name, others := range other.Headers {
			covered = covered || strings.EqualFold(header, name) && allCovered(lower(values), lower(others))
		}
		if !covered {
			return false
		}
	}
	anyOr := func(values []string, anything string) []string {
		if len(values) == 0 {
			return []string{anything}
		}
		return values
	}
	return allCovered(anyOr(r.Paths, "/*"), anyOr(other.Paths, "/*")) &&
		allCovered(lower(anyOr(r.Hosts, "*")), lower(anyOr(other.Hosts, "*"))) &&
		allContained(anyOr(r.Sources, "0.0.0.0/0"), anyOr(other.Sources, "0.0.0.0/0"))
}

// What ALB accepts in the values of a rule's conditions.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
var (
	hostPattern = form("host", `^[A-Za-z0-9.*?-]+\.[A-Za-z]+$`)
	pathPattern = form("path_pattern", "^/[A-Za-z0-9_.$/~\"'@:+&*?-]*$")
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,40}$")
)

// pathCharacters are the characters of pathPattern for a message.
const pathCharacters = `_ - . $ / ~ " ' @ : + & * ?`

// ruleLimit is AWS's limit on the rules of a listener.
const ruleLimit = 100

// route checks the route of one service.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
func (c checker) route(s Service) {
	r := s.Route
	c = c.at("route")
	if !s.Routed() {
		c.between("priority", r.Priority, 0, 49999)
		return
	}
	lowest, values, wildcards := 1, r.values(), r.wildcards()
	if s.HidesMetrics() { // by a rule with the preceding priority, which has two paths
		hiding := s.hiding()
		lowest, values, wildcards = 2, max(values, hiding.values()), max(wildcards, hiding.wildcards())
	}
	c.want(r.Priority >= lowest && r.Priority <= 49999, "priority",
		"want 0, which derives it from the conditions, or %d to 49999, have %d", lowest, r.Priority)
	c.headers(r.Headers)
	c.each("hosts", r.Hosts, func(c checker, host string) {
		c.want(hostPattern.MatchString(host) && len(host) <= 128, "", "want a host such as shop.example.com or "+
			"*.example.com, with letters only after the last dot, at most 128 characters, have %q", host)
	})
	c.want(values <= 5, "",
		"want at most 5 values in all conditions together, AWS's limit, have %d", values)
	c.want(wildcards <= 6, "",
		"want at most 6 wildcards (* and ?) in all conditions together, AWS's limit, have %d", wildcards)
	c.each("paths", r.Paths, func(c checker, path string) {
		c.want(strings.HasPrefix(path, "/") && len(path) <= 128, "",
			"want a path that starts with /, at most 128 characters, have %q", path)
		c.want(path == "" || path[0] != '/' || pathPattern.MatchString(path), "",
			"want letters without accents, digits and %s, the characters of ALB's path patterns, have %q",
			pathCharacters, path)
	})
	c.cidrs("sources", r.Sources)
}

func (c checker) headers(headers map[string][]string) {
	for header, values := range inOrder(headers) {
		c := c.at("headers", header)
		c.want(headerName.MatchString(header) && !strings.EqualFold(header, "host"), "",
			"want the name of an HTTP header, at most 40 characters; for Host, use route.hosts")
		c.want(len(values) > 0, "", "want at least one value")
		for i, value := range values {
			c.want(len(value) >= 1 && len(value) <= 128, strconv.Itoa(i),
				"want 1 to 128 characters, have %d", len(value))
		}
	}
}

// routes checks that the routes of the services do not conflict.
func (c checker) routes(services map[string]Service) {
	taken := c.priorities(services)
	conditions := map[string]string{} // each with the path of the service
	for name, s := range inOrder(services) {
		if !s.Routed() {
			continue
		}
		c.reachable(name, services)
		c := c.at(name)
		same, duplicate := conditions[s.Route.conditions()]
		c.want(!duplicate, "route",
			"duplicate conditions, also of %s: one of the two would never receive a request", same)
		conditions[s.Route.conditions()] = c.path
	}
	c.want(len(taken) <= ruleLimit, "", "want at most %d rules on the load balancer, "+
		"one for each route and one for each blocked metrics path, have %d", ruleLimit, len(taken))
}

// priorities checks that each rule has a priority of its own, and returns what has each priority.
func (c checker) priorities(services map[string]Service) map[int]string {
	taken := map[int]string{}
	for name, s := range inOrder(services) {
		if !s.Routed() {
			continue
		}
		c, priority, instead := c.at(name), s.Route.Priority, ""
		if priority == derivedPriority(name, s.Route) {
			instead = fmt.Sprintf(": set route.priority of one of them, such as %d here",
				freePriority(priority, services))
		}
		other, used := taken[priority]
		c.want(!used, "route.priority", "duplicate priority %d, also of %s%s", priority, other, instead)
		taken[priority] = c.path
		if s.HidesMetrics() {
			other, used := taken[priority-1]
			c.want(!used, "route.priority", "want the priority before it unused, "+
				"for the rule that blocks the metrics path, but %d is also the priority of %s", priority-1, other)
			taken[priority-1] = "the rule that blocks the metrics path of " + c.path
		}
	}
	return taken
}

// freePriority returns the nearest priority that no rule has, nor those before and after it.
func freePriority(priority int, services map[string]Service) int {
	taken := map[int]bool{}
	for _, s := range services {
		taken[s.Route.Priority], taken[s.Route.Priority-1] = true, taken[s.Route.Priority-1] || s.HidesMetrics()
	}
	for distance := 1; ; distance++ {
		for _, near := range []int{priority + distance, priority - distance} {
			if near > 1 && near < 50_000 && !taken[near-1] && !taken[near] && !taken[near+1] {
				return near
			}
		}
	}
}

// reachable checks that no route with a lower priority receives every request of a service.
func (c checker) reachable(name string, services map[string]Service) {
	own := services[name].Route
	for other, s := range inOrder(services) {
		first := s.Routed() && s.Route.Priority < own.Priority
		derived := ""
		if own.Priority == derivedPriority(name, own) {
			derived = ", which is derived from the conditions: set it, or remove the priority of " + c.full(other)
			if s.Route.Priority == derivedPriority(other, s.Route) {
				derived = ", which is derived from the conditions: set it"
			}
		}
		c.want(!first || !s.Route.covers(own) || s.Route.conditions() == own.conditions(), name+".route.priority",
			"want a number below %d, the priority of %s, whose route matches every request of this route, have %d%s",
			s.Route.Priority, c.full(other), own.Priority, derived)
	}
}

func (w warner) route(s Service) {
	w.hosts(s)
	w.idle(s.Routed(), "without paths, hosts, headers or sources",
		"route.priority", "route.deregistration_delay", "route.slow_start", "route.sticky")
}

// unmatched warns of requests that no service receives: the load balancer answers them with 200, so
// that a check from outside or a person takes the application for healthy. A file that says how it
// answers them gets no warning.
func (w warner) unmatched() {
	if w.doc.Names(w.full("load_balancer.default_status")) {
		return
	}
	routed, every := 0, false
	for _, s := range w.cfg.Services {
		if s.Routed() {
			routed++
			every = every || s.Route.covers(Route{})
		}
	}
	const instead = `such as route: {paths: ["/*"]}; ` +
		"if this is intended, set load_balancer.default_status to 200 or 404"
	w.warn(routed == 0, "services", "no service has a route: the load balancer answers every request itself, with "+
		"200; set the route of the service that receives requests, "+instead)
	w.warn(routed > 0 && !every, "services", "the load balancer answers requests that match no route itself, with "+
		"200; set the route of one service to match every other request, "+instead)
}

// hosts warns of host names that the certificate of the platform does not have.
func (w warner) hosts(s Service) {
	lb := w.cfg.LoadBalancer
	if lb.Domain == "" || lb.CertificateARN != "" {
		return
	}
	for i, host := range s.Route.Hosts {
		w.at("route", "hosts").warn(!patternCovers(strings.ToLower(host), lb.Domain), strconv.Itoa(i),
			"the certificate and the DNS record are for load_balancer.domain (%s) only: "+
				"browsers reject this name, unless a proxy in front of the load balancer serves it", lb.Domain)
	}
}
