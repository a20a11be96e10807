// Bench measures the time and the memory of a synth with the fast start of internal/faststart,
// without it, and of the same stack in TypeScript, which is generated from the stack's JSON. Run it
// in the project's folder with `make bench`, which installs the TypeScript packages first. -n sets
// the number of runs of each.
//
// Each round runs all of them once, so that other load on the machine affects all alike. The
// results are medians. Memory is measured in separate runs, to not affect the times. It is the
// maximum of the resident memory of a process and its descendants, read from /proc every 10 ms
// (Linux only). Shared pages count several times.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// moreServices is the number of services of the scaled stack besides web. With the additional
// zones, the stack has about 500 more resources.
const moreServices = 24

// work is the folder for generated files. Go ignores folders that start with a dot.
const work = ".build/bench"

// subject is a way to synthesise a stack.
type subject struct {
	stack, way string
	folder     string // in which the command runs
	command    []string
	settings   []string // of the environment

	seconds   []float64
	processor []float64 // seconds, of all its processes
	bytes     []float64
}

func main() {
	rounds := flag.Int("n", 5, "runs of each")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(rounds int) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if rounds < 1 {
		return errors.New("-n: want 1 or more")
	}
	collect()
	all, sizes, err := subjects(root)
	if err != nil {
		return err
	}
	for round := range rounds {
		for _, one := range all {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s, %s        \r", round+1, rounds, one.stack, one.way)
			if err := one.measure(round < 3); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	report(all, sizes)
	return nil
}

// subjects returns the ways to synthesise each stack, and an empty stack in TypeScript as the lower
// bound. sizes has the number of resources of each stack.
func subjects(root string) (all []*subject, sizes map[string]int, err error) {
	dense, err := scaled(root)
	if err != nil {
		return nil, nil, err
	}
	sizes = map[string]int{}
	for _, s := range []sample{
		{"dev", "dev", root},
		{"prod", "prod", root},
		{"scaled", "dev", dense},
	} {
		ways, content, err := s.ways(root)
		if err != nil {
			return nil, nil, err
		}
		for _, named := range content["resource"].(tree) {
			sizes[s.name] += len(named.(tree))
		}
		all = append(all, ways...)
	}
	floor, err := script(root, "floor", "import { App, TerraformStack } from \"cdktf\";\n"+
		"import { AwsProvider } from \"@cdktf/provider-aws/lib/provider\";\n"+
		"const app = new App();\nnew AwsProvider(new TerraformStack(app, \"empty\"), \"aws\", {});\napp.synth();\n")
	if err != nil {
		return nil, nil, err
	}
	return append(all, floor), sizes, nil
}

// sample is a stack to measure. The program runs in folder.
type sample struct{ name, environment, folder string }

// ways returns the program with the fast start, the program without it, and the TypeScript program,
// and their output. It runs each once, to fill caches and to check that all write the same stack.
func (s sample) ways(root string) (ways []*subject, content tree, err error) {
	out := filepath.Join(root, work, s.name+".out")
	var written []string
	for _, way := range []struct{ name, faststart string }{{"fast", "on"}, {"stock", "off"}} {
		one := &subject{
			stack:   s.name,
			way:     way.name,
			folder:  s.folder,
			command: []string{filepath.Join(root, ".build", "bin", "platform")},
			settings: []string{
				"ENVIRONMENT=" + s.environment,
				"CDKTF_OUTDIR=" + out,
				"NODE_OPTIONS=",
				"FASTSTART=" + way.faststart,
			},
		}
		if err := os.RemoveAll(out); err != nil {
			return nil, nil, err
		}
		if err := one.run(); err != nil {
			return nil, nil, err
		}
		text, err := read(out)
		if err != nil {
			return nil, nil, err
		}
		written = append(written, text)
		ways = append(ways, one)
	}
	if written[0] != written[1] {
		return nil, nil, fmt.Errorf("%s: the output with the fast start differs", s.name)
	}
	if err := json.Unmarshal([]byte(written[0]), &content); err != nil {
		return nil, nil, err
	}
	twin, err := typescript(root, s.name, content)
	if err != nil {
		return nil, nil, err
	}
	return append(ways, twin), content, nil
}

// report prints medians, ratios, and whether they reach the goals.
func report(all []*subject, sizes map[string]int) {
	seconds, processor, bytes := map[string]float64{}, map[string]float64{}, map[string]float64{}
	fmt.Printf("%-7s %-8s %8s %13s %11s %11s\n", "stack", "way", "seconds", "min..max", "of the CPU", "MB at peak")
	for _, one := range all {
		key := one.stack + " " + one.way
		seconds[key], processor[key], bytes[key] = median(one.seconds), median(one.processor), median(one.bytes)/1e6
		fmt.Printf("%-7s %-8s %8.2f %6.2f..%-5.2f %11.2f %11.0f\n", one.stack, one.way, seconds[key],
			slices.Min(one.seconds), slices.Max(one.seconds), processor[key], bytes[key])
	}
	fmt.Println()
	for _, stack := range slices.Sorted(maps.Keys(sizes)) {
		fast, stock, twin := stack+" fast", stack+" stock", stack+" ts-node"
		fmt.Printf("%-7s %3d resources: fast/stock %.2f of the time, %.2f of the CPU, %.2f of the memory; "+
			"fast/ts-node %.2f, %.2f, %.2f\n",
			stack, sizes[stack],
			seconds[fast]/seconds[stock], processor[fast]/processor[stock], bytes[fast]/bytes[stock],
			seconds[fast]/seconds[twin], processor[fast]/processor[twin], bytes[fast]/bytes[twin])
	}
	// The difference of two times of some seconds is affected by other load on the machine. The
	// difference of processor times is not.
	more := float64(sizes["scaled"] - sizes["dev"])
	each := func(of map[string]float64, way string) float64 {
		return (of["scaled "+way] - of["dev "+way]) * 1000 / more
	}
	for _, way := range []string{"fast", "stock", "ts-node"} {
		fmt.Printf("each of %.0f more resources, %-8s %6.2f ms, %6.2f ms of the CPU\n", more, way+":",
			each(seconds, way), each(processor, way))
	}
	fmt.Println()
	goal := func(what string, have, limit float64) {
		verdict := map[bool]string{true: "ok", false: "MISS"}[have <= limit]
		fmt.Printf("%-4s %s: %.2f, at most %.2f\n", verdict, what, have, limit)
	}
	goal("dev, time to stock", seconds["dev fast"]/seconds["dev stock"], 0.25)
	goal("dev, memory to stock", bytes["dev fast"]/bytes["dev stock"], 0.25)
	goal("dev, MB at peak", bytes["dev fast"], 250)
	goal("dev, time to ts-node", seconds["dev fast"]/seconds["dev ts-node"], 0.5)
	goal("each resource more, time to stock", each(seconds, "fast")/each(seconds, "stock"), 1.1)
	goal("each resource more, CPU to stock", each(processor, "fast")/each(processor, "stock"), 1.1)
	goal("each resource more, ms", each(seconds, "fast"), 3)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// ---- Stacks -------------------------------------------------------------------------------------

// scaled creates a folder in which the program synthesises dev with six zones and many services,
// each with a listener rule.
func scaled(root string) (string, error) {
	folder := filepath.Join(root, work, "scaled")
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	config, err := os.ReadFile(filepath.Join(root, "config", "dev.yaml"))
	if err != nil {
		return "", err
	}
	text := string(config)
	if strings.Contains(text, "\nnetwork:") || strings.Contains(text, "\nservices:") {
		return "", errors.New("config/dev.yaml has zones or services of its own: " +
			"the scaled stack is made from one that has none")
	}
	text += "\nnetwork: {zones: [a, b, c, d, e, f]}\nservices:\n" +
		"  web: {image: 'quay.io/x/y:1', database: {access: owner}, route: {paths: ['/*']}}\n"
	for i := range moreServices {
		text += fmt.Sprintf("  more%02d: {image: 'quay.io/x/y:1', route: {priority: %d, hosts: [h%02d.example.com]}}\n",
			i, i+1, i)
	}
	if err := os.MkdirAll(filepath.Join(folder, "config"), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(folder, "config", "dev.yaml"), []byte(text), 0o644); err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(folder, "functions"), os.DirFS(filepath.Join(root, "functions"))); err != nil {
		return "", err
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
			return "", err
		}
	}
	return folder, nil
}

// typescript generates the TypeScript program of a stack and checks that it writes the same stack.
func typescript(root, name string, stack tree) (*subject, error) {
	id := stack["//"].(tree)["metadata"].(tree)["stackName"].(string)
	text, err := twin(stack, id, filepath.Join(root, work, "node_modules", "@cdktf", "provider-aws", "lib"))
	if err != nil {
		return nil, fmt.Errorf("%s in TypeScript: %w", name, err)
	}
	one, err := script(root, name, text)
	if err != nil {
		return nil, err
	}
	if err := one.run(); err != nil {
		return nil, err
	}
	written, err := read(filepath.Join(root, work, name+"-ts.out"))
	if err != nil {
		return nil, err
	}
	var have tree
	if err := json.Unmarshal([]byte(written), &have); err != nil {
		return nil, err
	}
	if all := differences(stack, have, ""); len(all) > 0 {
		return nil, fmt.Errorf("%s in TypeScript differs from the stack in %d places: %s", name, len(all),
			strings.Join(all[:min(len(all), 8)], "; "))
	}
	return one, nil
}

// script returns a TypeScript program, run by ts-node with type checks, which is its default.
func script(root, name, text string) (*subject, error) {
	folder := filepath.Join(root, work, "twins")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	config, err := os.ReadFile(filepath.Join(root, "bench", "tsconfig.json"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "tsconfig.json"), config, 0o644); err != nil {
		return nil, err
	}
	file := filepath.Join(folder, name+".ts")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return &subject{
		stack:    name,
		way:      "ts-node",
		folder:   folder,
		command:  []string{"node", filepath.Join(root, work, "node_modules", "ts-node", "dist", "bin.js"), file},
		settings: []string{"CDKTF_OUTDIR=" + filepath.Join(root, work, name+"-ts.out"), "NODE_OPTIONS="},
	}, nil
}

// read returns the only stack in an output folder.
func read(out string) (string, error) {
	found, err := filepath.Glob(filepath.Join(out, "stacks", "*", "cdk.tf.json"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s contains %d stacks, want one", out, len(found))
	}
	content, err := os.ReadFile(found[0])
	return string(content), err
}

// ---- Runs ---------------------------------------------------------------------------------------

func (s *subject) prepare() (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command(s.command[0], s.command[1:]...)
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), s.settings...)
	said := &strings.Builder{}
	cmd.Stderr = said
	return cmd, said
}

func (s *subject) run() error {
	cmd, said := s.prepare()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s, %s: %w\n%s", s.stack, s.way, err, said.String())
	}
	return nil
}

// measure runs a subject and records its time, and its memory in a second run.
func (s *subject) measure(memory bool) error {
	before, began := spent(), time.Now()
	if err := s.run(); err != nil {
		return err
	}
	s.seconds = append(s.seconds, time.Since(began).Seconds())
	s.processor = append(s.processor, (spent() - before).Seconds())
	if !memory {
		return nil
	}
	return s.watch()
}

// watch runs a subject and records the maximum memory of its processes.
func (s *subject) watch() error {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		return nil // not Linux
	}
	cmd, said := s.prepare()
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	most := 0.0
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s, %s: %w\n%s", s.stack, s.way, err, said.String())
			}
			s.bytes = append(s.bytes, most)
			return nil
		case <-time.After(10 * time.Millisecond):
			most = max(most, resident(strconv.Itoa(cmd.Process.Pid)))
		}
	}
}

// resident returns the memory of a process and its descendants in bytes.
func resident(pid string) float64 {
	total := 0.0
	if fields := strings.Fields(content("/proc/" + pid + "/statm")); len(fields) > 1 {
		pages, _ := strconv.ParseFloat(fields[1], 64)
		total = pages * float64(os.Getpagesize())
	}
	threads, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
	for _, children := range threads {
		for child := range strings.FieldsSeq(content(children)) {
			total += resident(child)
		}
	}
	return total
}

func content(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}
