package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"platform/internal/bundle"
	"platform/internal/config"
)

// stockFolder, in the environment, makes the test binary synthesise everyConfig into that folder
// and end; stockSeed is the random ones' seed.
const stockFolder, stockSeed = "PLATFORM_TEST_STOCK_FOLDER", "PLATFORM_TEST_STOCK_SEED"

// writeStock is the other process. It gives the exit code.
func writeStock(folder string) int {
	seed, err := strconv.ParseUint(os.Getenv(stockSeed), 10, 64)
	if err == nil && os.Getenv("NODE_OPTIONS") != "" {
		err = fmt.Errorf("NODE_OPTIONS is %s", os.Getenv("NODE_OPTIONS"))
	}
	if err == nil {
		err = synthesiseEach(seed, folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// synthesiseEach writes each of everyConfig to a folder of its name.
func synthesiseEach(seed uint64, folder string) error {
	zip := filepath.Join(folder, "backup.zip")
	if err := os.WriteFile(zip, []byte("a zip"), 0o644); err != nil {
		return err
	}
	configs := everyConfig(seed)
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		c := configs[name]
		cfg, err := config.Parse("config/"+c.environment+".yaml", c.environment, []byte(c.config))
		if err != nil {
			return fmt.Errorf("%s, seed %d: %w\n%s", name, seed, err, c.config)
		}
		same := bundle.Function{Zip: zip, Hash: strings.Repeat("0", 64)}
		if err := build(cfg, functionBundles{same, same}, filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

type namedConfig struct{ environment, config string }

// everyConfig are the shipped environments, those of otherStacks that have most in them,
// and some random ones.
func everyConfig(seed uint64) map[string]namedConfig {
	configs := map[string]namedConfig{}
	files, _ := filepath.Glob("config/*.yaml")
	for _, file := range files {
		environment := strings.TrimSuffix(filepath.Base(file), ".yaml")
		content, _ := os.ReadFile(file)
		configs[environment] = namedConfig{environment, string(content)}
	}
	for _, name := range []string{"NAT and endpoints", "a service with everything", "production over HTTP"} {
		configs[name] = namedConfig{
			otherStacks[name].environment,
			"name: platform\nregion: eu-central-1\n" + otherStacks[name].config,
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 6 {
		configs[fmt.Sprint("random", i)] = namedConfig{"dev", randomConfig(random)}
	}
	return configs
}

// randomConfig draws a valid configuration.
func randomConfig(random *rand.Rand) string {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	text := "name: shop\nregion: " + pick("eu-central-1", "us-east-1", "ap-southeast-2") + "\n" +
		"network: {zones: " + pick("[a, b]", "[b, c]", "[a, b, c]", "[a, c, d, f]") +
		", nat: " + pick("single", "per-zone") +
		", endpoints: " + pick("[]", "[logs]", "[ecr.api, ecr.dkr]") + "}\n" +
		"log_retention: " + pick("7", "30", "365") + "\n" +
		"load_balancer: {firewall: {enabled: " + pick("true", "false") +
		"}, idle_timeout: " + pick("60", "120") + "}\n" +
		"monitoring: {emails: " + pick("[]", "[a@example.com]", "[a@example.com, b@example.com]") + "}\n" +
		"database: {multi_az: " + pick("true", "false") +
		", version: '" + pick("16", "17") +
		"', retention: " + pick("7", "21") + "}\n" +
		"services:\n  web: {" + demonstration + ", tasks: " + pick("1", "2", "3") +
		", architecture: " + pick("ARM64", "X86_64") +
		", spot: " + pick("true", "false") + "}\n"
	for i := range random.IntN(4) {
		text += fmt.Sprintf("  extra%d: {image: 'quay.io/x/y:%d', database: {access: %s}, "+
			"metrics: {enabled: %s}, environment: {TEXT: %q}%s}\n",
			i, i, pick("none", "owner"), pick("true", "false"), pick("plain", "größer", "${x} %{y}", `a "quote"`),
			pick("", fmt.Sprintf(", route: {priority: %d, hosts: [h%d.example.com]}", 10+i, i)))
	}
	return text
}
