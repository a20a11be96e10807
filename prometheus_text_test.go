package main

import (
	"os"
	"path/filepath"
	"testing"
)

// fullText is what all options together ask for.
func fullText() prometheusText {
	return prometheusText{
		Name: "shop", Environment: "test", Stack: "shop-test", Region: "eu-central-1",
		ClusterARN:     "arn:aws:ecs:eu-central-1:123456789012:cluster/shop-test",
		ScrapeInterval: 30, CloudWatchInterval: 300,
		TopicARN:          "arn:aws:sns:eu-central-1:123456789012:shop-test-alerts",
		HeartbeatTopicARN: "arn:aws:sns:eu-central-1:123456789012:shop-test-heartbeat",
		Availability:      99.9, Latency: 99, LatencyThreshold: 1,
		ErrorLimit: errorLimit, ErrorRequests: errorRequests, LatencyLimit: 3,
		DatabaseExporter: true, NATGateways: true, Certificates: true,
		RemoteWriteURL: "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
	}
}

// TestWritePrometheusTexts writes the texts with all options to a folder, for promtool, amtool and yace.
func TestWritePrometheusTexts(t *testing.T) {
	folder := os.Getenv("PROMETHEUS_TEXTS")
	if folder == "" {
		t.Skip("PROMETHEUS_TEXTS names no folder")
	}
	for name, text := range fullText().files() {
		file := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
