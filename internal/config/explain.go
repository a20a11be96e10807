package config

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"platform/internal/config/yaml"
)

// Explain prints every setting with its value and the origin of the value, and then a summary of
// the platform.
func Explain(out io.Writer, cfg *Config, doc *Document) error {
	var settings [][]string
	walk(cfg, func(n node) bool {
		if n.holdsOthers() {
			return true
		}
		settings = append(settings, []string{n.path, cfg.origin(doc, n.path), n.shown()})
		return false
	})
	if err := writeTable(out, settings); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "\n"); err != nil {
		return err
	}
	return writeTable(out, summary(cfg))
}

// writeTable writes rows in columns.
func writeTable(out io.Writer, rows [][]string) error {
	var text strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			row[i] = yaml.Visible(cell)
		}
		text.WriteString(strings.Join(row, "\t") + "\n")
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, text.String()); err != nil {
		return err
	}
	return table.Flush()
}

// holdsOthers reports whether a node's elements are explained one by one. The elements of a list of
// texts are not.
func (n node) holdsOthers() bool {
	switch n.value.Kind() {
	case reflect.Struct:
		return true
	case reflect.Map:
		return n.value.Len() > 0
	case reflect.Slice:
		return n.value.Len() > 0 && n.value.Type().Elem().Kind() == reflect.Struct
	}
	return false
}

// shown returns a node's value, unless it is a variable whose name looks like that of a secret.
func (n node) shown() string {
	name := n.path[strings.LastIndexByte(n.path, '.')+1:]
	if environmentValue.MatchString(n.path) && secretWord.MatchString(name) {
		return "(not shown)"
	}
	return inYAML(n.value)
}

// inYAML returns a value as in a configuration file, or a dash for an empty one.
func inYAML(v reflect.Value) string {
	list := v.Kind() == reflect.Slice || v.Kind() == reflect.Map
	if list && v.Len() == 0 || v.Kind() == reflect.String && v.String() == "" {
		return "-"
	}
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	var items []string
	for i := range v.Len() {
		items = append(items, inYAML(v.Index(i)))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// summary describes the platform for an operator, in rows of a subject and a text.
func summary(c *Config) (rows [][]string) {
	say := func(subject, text string) { rows = append(rows, []string{subject, text}) }
	say("stack", fmt.Sprintf("%s in %s, %s", c.Stack(), c.Region, c.protection()))
	say("state", c.statePlace())
	say("network", c.networkSummary())
	say("load balancer", c.loadBalancerSummary())
	for name, s := range inOrder(c.Services) {
		say("service", s.summary(name))
	}
	for _, row := range c.databaseRows() {
		say(row[0], row[1])
	}
	prometheus, p := "no Prometheus", c.Monitoring.Prometheus
	if p.Enabled {
		prometheus = fmt.Sprintf("Prometheus with %d CPU units and %d MiB, %d days of metrics", p.CPU, p.Memory, p.Days)
	}
	say("monitoring", prometheus+"; notifications of alarms to "+orNone(c.Monitoring.Emails))
	return rows
}

// databaseRows describes the database and its backups.
func (c *Config) databaseRows() (rows [][]string) {
	say := func(subject, text string) { rows = append(rows, []string{subject, text}) }
	if !c.Database.Enabled {
		say("database", "none")
		backups := "none"
		if c.BackupBucket() {
			backups += "; the bucket and the keys of earlier backups are kept"
		}
		say("backups", backups)
		return rows
	}
	say("database", c.Database.summary())
	if names := c.Database.AfterRestart(); len(names) > 0 {
		say("", "takes effect when somebody restarts the instance: "+strings.Join(names, ", "))
	}
	for name, restore := range inOrder(c.Database.Restores) {
		say("", restore.summary(name, c.Database.Active))
	}
	b := c.Backup
	say("backups", fmt.Sprintf("snapshots on schedule %s (%s), kept for %d days, always at least %d",
		b.Schedule, b.Timezone, b.Retention, b.Minimum))
	if b.Dump.Enabled {
		say("", c.dumpSummary())
	}
	return rows
}

func (c *Config) protection() string {
	if c.Protected {
		return "protected: resources with data cannot be destroyed"
	}
	return "not protected: destroying the stack deletes all of its resources"
}

func (c *Config) statePlace() string {
	if c.State.Backend == "local" {
		return "on this machine, in " + c.StateFile()
	}
	return "s3://" + c.State.Bucket + "/" + c.Stack() + ".tfstate in " + c.State.Region
}

func (c *Config) networkSummary() string {
	n, tiers := c.Network, 2
	if c.Database.Enabled {
		tiers++
	}
	zones := slices.Sorted(slices.Values(n.Zones))
	gateways := map[string]string{
		"none":     "no NAT gateway",
		"single":   "one NAT gateway in zone " + n.Zones[0],
		"per-zone": fmt.Sprintf("%d NAT gateways", len(zones)),
	}
	return fmt.Sprintf("%s in zones %s: %d subnets, %s, interface endpoints: %s",
		n.CIDR, strings.Join(zones, ", "), tiers*len(zones), gateways[n.NAT], orNone(n.Endpoints))
}

func (c *Config) loadBalancerSummary() string {
	lb := c.LoadBalancer
	front, firewall := "plain HTTP under the load balancer's DNS name", "off"
	switch {
	case lb.Domain != "" && lb.HostedZone != "":
		front = "https://" + lb.Domain + ", certificate and DNS record created in " + lb.HostedZone
	case c.HTTPS():
		front = "HTTPS with an existing certificate"
	}
	if lb.Firewall.Enabled {
		firewall = "on"
	}
	return fmt.Sprintf("%s, open to %s, firewall %s", front, strings.Join(lb.Sources, ", "), firewall)
}

func (s Service) summary(name string) string {
	tasks, spot, route := fmt.Sprintf("%d tasks", s.Tasks), "", "no route"
	if s.Scaling.Max > s.Tasks {
		tasks = fmt.Sprintf("%d to %d tasks", s.Tasks, s.Scaling.Max)
	} else if s.Tasks == 1 {
		tasks = "1 task"
	}
	if s.Spot {
		spot = " Spot"
	}
	if s.Routed() {
		route = "receives requests for " + orNone(slices.Concat(s.Route.Hosts, s.Route.Paths))
	}
	database := s.Database.Access
	if s.UsesDatabase() && s.Database.Name != "" {
		database += " of " + s.Database.Name
	}
	return fmt.Sprintf("%s: %s of %d CPU units and %d MiB on %s%s, %s, database: %s",
		name, tasks, s.CPU, s.Memory, s.Architecture, spot, route, database)
}

func (d Database) summary() string {
	zones := "in one zone"
	if d.MultiAZ {
		zones = "with a standby in another zone"
	}
	return fmt.Sprintf("PostgreSQL %s on %s, %d to %d GiB, %s, point-in-time recovery for %d days",
		d.Version, d.InstanceClass, d.Storage.Initial, d.Storage.Max, zones, d.Retention)
}

func (r Restore) summary(name, active string) string {
	source := "the main instance at " + r.Time
	if r.Snapshot != "" {
		source = "snapshot " + r.Snapshot
	}
	text := fmt.Sprintf("additional instance %s, restored from %s", name, source)
	if name == active {
		text += ", used by the services"
	}
	return text
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
