package config

import (
	"fmt"
	"io"
	"platform/internal/config/yaml"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
)

// Explain prints every setting with its value and where that comes from, and then a summary of the
// platform.
func Explain(out io.Writer, cfg *Config, doc *Document) error {
	var settings [][]string
	walk(cfg, func(n node) bool {
		if n.holdsOthers() {
			return true
		}
		origin := doc.Origin(n.path, "default ("+cfg.Profile+")")
		settings = append(settings, []string{n.path, origin, n.shown()})
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

// holdsOthers tells whether a node's elements are explained one by one: those of a list of texts
// are not.
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

// shown returns a node's value, unless it is a variable whose name sounds like a secret's.
func (n node) shown() string {
	name := n.path[strings.LastIndexByte(n.path, '.')+1:]
	if environmentValue.MatchString(n.path) && secretWord.MatchString(name) {
		return "(not shown)"
	}
	return inYAML(n.value)
}

// inYAML returns a value as a file would have it, or a dash for none.
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

// summary says in an operator's words what the platform has: rows of a subject and a text.
func summary(c *Config) (rows [][]string) {
	say := func(subject, text string) { rows = append(rows, []string{subject, text}) }
	say("stack", fmt.Sprintf("%s in %s, %s", c.Stack(), c.Region, c.protection()))
	say("state", c.statePlace())
	say("network", c.Network.summary())
	say("balancer", c.loadBalancerSummary())
	for name, s := range inOrder(c.Services) {
		say("service", s.summary(name))
	}
	say("database", c.Database.summary())
	for name, restore := range inOrder(c.Database.Restores) {
		say("", restore.summary(name, c.Database.Active))
	}
	b, p := c.Backup, c.Monitoring.Prometheus
	say("backups", fmt.Sprintf("snapshots by %s (%s), kept %d days, at least %d of them",
		b.Schedule, b.Timezone, b.Retention, b.Minimum))
	say("monitoring", fmt.Sprintf("Prometheus with %d CPU units and %d MiB, %d days of metrics; alarms to %s",
		p.CPU, p.Memory, p.Days, orNone(c.Monitoring.Emails)))
	return rows
}

func (c *Config) protection() string {
	if c.Protected {
		return "protected: what holds data refuses to be destroyed"
	}
	return "not protected: destroying it takes everything along"
}

func (c *Config) statePlace() string {
	if c.State.Backend == "local" {
		return "on this machine, in " + c.StateFile()
	}
	return "s3://" + c.State.Bucket + "/" + c.Stack() + ".tfstate in " + c.State.Region
}

func (n Network) summary() string {
	zones := slices.Sorted(slices.Values(n.Zones))
	gateways := map[string]string{
		"none":     "no NAT gateway",
		"single":   "one NAT gateway, in " + n.Zones[0],
		"per-zone": fmt.Sprintf("%d NAT gateways", len(zones)),
	}
	return fmt.Sprintf("%s over zones %s: %d subnets, %s, interface endpoints: %s",
		n.CIDR, strings.Join(zones, ", "), 3*len(zones), gateways[n.NAT], orNone(n.Endpoints))
}

func (c *Config) loadBalancerSummary() string {
	lb := c.LoadBalancer
	front, firewall := "plain HTTP under AWS's own name", "off"
	switch {
	case lb.Domain != "" && lb.HostedZone != "":
		front = "https://" + lb.Domain + ", certificate and DNS record made in " + lb.HostedZone
	case c.HTTPS():
		front = "HTTPS with a certificate of your own"
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
		route = "gets requests for " + orNone(slices.Concat(s.Route.Hosts, s.Route.Paths))
	}
	return fmt.Sprintf("%s: %s of %d CPU units and %d MiB on %s%s, %s, database: %s",
		name, tasks, s.CPU, s.Memory, s.Architecture, spot, route, s.Database)
}

func (d Database) summary() string {
	zones := "in one zone"
	if d.MultiAZ {
		zones = "with a standby in another zone"
	}
	return fmt.Sprintf("PostgreSQL %s on %s, %d to %d GiB, %s, restorable to any second of the last %d days",
		d.Version, d.InstanceClass, d.Storage.Initial, d.Storage.Max, zones, d.Retention)
}

func (r Restore) summary(name, active string) string {
	source := "its state of " + r.Time
	if r.Snapshot != "" {
		source = "snapshot " + r.Snapshot
	}
	text := fmt.Sprintf("beside it %s, made from %s", name, source)
	if name == active {
		text += ", which is the one in use"
	}
	return text
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
