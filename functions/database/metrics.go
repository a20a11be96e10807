package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// metric is a number of things at this moment.
type metric struct {
	name  string
	value int
}

// writeMetrics writes metrics to the log as one line in CloudWatch's embedded metric format, from
// which CloudWatch extracts them. The function needs no right for that.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func (f *function) writeMetrics(metrics ...metric) error {
	type definition struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	type metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	root := map[string]any{"FunctionName": f.settings.name}
	var definitions []definition
	for _, m := range metrics {
		root[m.name] = m.value
		definitions = append(definitions, definition{m.name, "Count"})
	}
	root["_aws"] = metadata{time.Now().UnixMilli(), []directive{{
		Namespace: f.settings.namespace, Dimensions: [][]string{{"FunctionName"}}, Metrics: definitions,
	}}}
	line, err := json.Marshal(root)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	// One write, because Lambda makes a log event of each line.
	if _, err := f.metrics.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
