//go:build e2e

package main

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"platform/internal/configtest"
	"platform/internal/golden"
)

// stockProcess starts jsii as it is, takes its seconds for it, and writes everyConfig of a
// seed to a folder.
type stockProcess struct {
	*exec.Cmd
	seed   uint64
	folder string
	said   strings.Builder
}

func startStock() (*stockProcess, error) {
	folder, err := os.MkdirTemp("", "platform-stock-")
	if err != nil {
		return nil, err
	}
	stock := &stockProcess{Cmd: exec.Command(os.Args[0]), seed: configtest.Seed(), folder: folder}
	stock.Env = append(os.Environ(), "FASTSTART=off", "NODE_OPTIONS=",
		stockFolder+"="+folder, stockSeed+"="+strconv.FormatUint(stock.seed, 10))
	stock.Stdout, stock.Stderr = &stock.said, &stock.said
	return stock, stock.Start()
}

// The fast start changes what a start costs and nothing of what it writes. One process here starts
// jsii as it is; this one has the fast start.
func TestFastStartWritesTheSameBytesAsStock(t *testing.T) {
	if !strings.Contains(os.Getenv("NODE_OPTIONS"), "jsii-faststart") {
		t.Skip("the fast start is off here")
	}
	process, err := startStock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(process.folder); err != nil {
			t.Error(err)
		}
	})
	seed, stock, fast := process.seed, process.folder, t.TempDir()
	failed := synthesiseEach(seed, fast)
	if err := process.Wait(); err != nil {
		t.Fatalf("jsii as it is: %v\n%s", err, process.said.String())
	}
	if failed != nil {
		t.Fatal(failed)
	}
	want, got := contents(t, stock), contents(t, fast)
	if len(want) < 3*len(everyConfig(seed)) { // a stack, its function and a manifest
		t.Fatalf("wrote %v", slices.Sorted(maps.Keys(want)))
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("writes\n%v\nand jsii as it is\n%v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for path := range want {
		if diff := golden.FirstDifference(want[path], got[path]); diff != "" {
			config := everyConfig(seed)[strings.Split(path, "/")[0]].config
			t.Errorf("seed %d, %s: jsii as it is writes the first\n%s\n%s", seed, path, config, diff)
		}
	}
}
