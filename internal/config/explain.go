package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Explained is an error as a person wants it: of a configuration, each problem with the line that it is about.
func Explained(err error) string {
	var refused *refusal
	if errors.As(err, &refused) {
		return strings.Join(refused.doc.report(refused.problems, true), "\n")
	}
	return err.Error()
}

// Explain prints every setting with its value and where that is from, and then what all of it comes to.
func Explain(out io.Writer, cfg *Config, doc *Document) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	explainBelow(table, doc, cfg.Profile, "", reflect.ValueOf(cfg).Elem())
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	table = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range summary(cfg) {
		fmt.Fprintf(table, "%s\t%s\n", line[0], visible(line[1]))
	}
	return table.Flush()
}

func explainBelow(out io.Writer, doc *Document, profile, path string, v reflect.Value) {
	below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if key := v.Type().Field(i).Tag.Get("yaml"); key != "-" {
				explainBelow(out, doc, profile, below(key), v.Field(i))
			}
		}
		return
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			explainBelow(out, doc, profile, below(key.String()), v.MapIndex(key))
		}
		if v.Len() > 0 {
			return
		}
	case reflect.Slice:
		if v.Len() > 0 && v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				explainBelow(out, doc, profile, below(strconv.Itoa(i)), v.Index(i))
			}
			return
		}
	}
	value := inYAML(v)
	if environmentValue.MatchString(path) && secretWord.MatchString(path[strings.LastIndexByte(path, '.')+1:]) {
		value = "(not shown)"
	}
	fmt.Fprintf(out, "%s\t%s\t%s\n", visible(path), doc.origin(path, profile), visible(value))
}

// inYAML is a value as it would stand in the file, or a dash for none.
func inYAML(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice && v.Len() > 0:
		var items []string
		for i := range v.Len() {
			items = append(items, inYAML(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0, v.Kind() == reflect.String && v.String() == "":
		return "-"
	}
	return fmt.Sprint(v.Interface())
}

// origin tells where a value is from: the file's line, a variable, or the profile's default. A list may be from more than one of them.
func (doc *Document) origin(path, profile string) string {
	at, named := doc.positions[path]
	var from []string
	switch {
	case named && at.variable != "":
		from = append(from, at.variable)
	case named:
		from = append(from, doc.file+":"+strconv.Itoa(at.line))
	default:
		from = append(from, "default ("+profile+")")
	}
	for _, element := range slices.Sorted(maps.Keys(doc.positions)) {
		if at := doc.positions[element]; at.variable != "" && strings.HasPrefix(element, path+".") {
			from = append(from, at.variable)
		}
	}
	return strings.Join(from, ", ")
}

// summary is what will be there, in an operator's words.
func summary(c *Config) (lines [][2]string) {
	say := func(subject, format string, args ...any) {
		lines = append(lines, [2]string{subject, fmt.Sprintf(format, args...)})
	}
	say("stack", "%s in %s, %s", c.Stack(), c.Region, choose(c.Protected, "protected: what holds data refuses to be destroyed", "not protected: destroying it takes everything along"))
	say("state", "%s", choose(c.State.Backend == "local", "on this machine, in "+c.StateFile(), "s3://"+c.State.Bucket+"/"+c.Stack()+".tfstate in "+c.State.Region))
	zones := c.SortedZones()
	gateways := map[string]string{"none": "no NAT gateway", "single": "one NAT gateway, in " + c.Network.Zones[0], "per-zone": fmt.Sprintf("%d NAT gateways", len(zones))}
	say("network", "%s over zones %s: %d subnets, %s, interface endpoints: %s", c.Network.CIDR, strings.Join(zones, ", "), 3*len(zones), gateways[c.Network.NAT], orNone(c.Network.Endpoints))
	say("balancer", "%s, open to %s, firewall %s", c.front(), strings.Join(c.LoadBalancer.Sources, ", "), choose(c.LoadBalancer.Firewall.Enabled, "on", "off"))
	for _, name := range slices.Sorted(maps.Keys(c.Services)) {
		say("service", "%s", c.Services[name].summary(name))
	}
	d := c.Database
	say("database", "PostgreSQL %s on %s, %d to %d GiB, %s, restorable to any second of the last %d days", d.Version, d.InstanceClass, d.Storage.Initial, d.Storage.Max,
		choose(d.MultiAZ, "with a standby in another zone", "in one zone"), d.Retention)
	for _, name := range slices.Sorted(maps.Keys(d.Restores)) {
		say("", "beside it %s, made from %s%s", name, choose(d.Restores[name].Snapshot != "", "snapshot "+d.Restores[name].Snapshot, "its state of "+d.Restores[name].Time),
			choose(d.Active == name, ", which is the one in use", ""))
	}
	say("backups", "snapshots by %s (%s), kept %d days, at least %d of them", c.Backup.Schedule, c.Backup.Timezone, c.Backup.Retention, c.Backup.Minimum)
	p := c.Monitoring.Prometheus
	say("monitoring", "Prometheus with %d CPU units and %d MiB, %d days of metrics; alarms to %s", p.CPU, p.Memory, p.Days, orNone(c.Monitoring.Emails))
	return lines
}

// front is how the application is reached.
func (c *Config) front() string {
	switch {
	case c.LoadBalancer.Domain != "" && c.LoadBalancer.HostedZone != "":
		return "https://" + c.LoadBalancer.Domain + ", certificate and DNS record made in " + c.LoadBalancer.HostedZone
	case c.HTTPS():
		return "HTTPS with a certificate of your own"
	}
	return "plain HTTP under AWS's own name"
}

func (s Service) summary(name string) string {
	tasks := fmt.Sprintf("%d tasks", s.Tasks)
	if s.Scaling.Max > s.Tasks {
		tasks = fmt.Sprintf("%d to %d tasks", s.Tasks, s.Scaling.Max)
	} else if s.Tasks == 1 {
		tasks = "1 task"
	}
	route := "no route"
	if s.Routed() {
		route = fmt.Sprintf("gets requests for %s", orNone(slices.Concat(s.Route.Hosts, s.Route.Paths)))
	}
	return fmt.Sprintf("%s: %s of %d CPU units and %d MiB on %s%s, %s, database: %s", name, tasks, s.CPU, s.Memory, s.Architecture, choose(s.Spot, " Spot", ""), route, s.Database)
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
