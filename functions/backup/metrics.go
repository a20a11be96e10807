package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// metric is one value at one moment.
type metric struct {
	name  string
	unit  string // a CloudWatch unit
	value float64
}

func count(name string, n int) metric { return metric{name, "Count", float64(n)} }

func seconds(name string, d time.Duration) metric { return metric{name, "Seconds", d.Seconds()} }

func size(name string, bytes int64) metric { return metric{name, "Bytes", float64(bytes)} }

func ratio(name string, value float64) metric { return metric{name, "None", value} }

// percent takes a fraction, such as 0.9.
func percent(name string, fraction float64) metric { return metric{name, "Percent", 100 * fraction} }

// dimension is the one dimension of every metric here; its value is the instance's identifier.
const dimension = "DBInstanceIdentifier"

// writeMetrics writes the metrics to out as one line in CloudWatch's embedded metric format, which
// CloudWatch extracts from the function's log: the role needs no permission for it. Without metrics
// it writes nothing.
//
// The format is
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html:
// the metadata under _aws names members of the root object, and the root holds their values, numbers
// for metrics and strings for dimensions. At most 100 metrics; a document that breaks the format is
// dropped without an error.
func writeMetrics(out io.Writer, at time.Time, s settings, metrics []metric) error {
	if len(metrics) == 0 {
		return nil
	}
	type definition struct {
		Name string
		Unit string
	}
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	type metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}

	root := map[string]any{dimension: s.instance}
	var definitions []definition
	for _, m := range metrics {
		root[m.name] = m.value
		definitions = append(definitions, definition{m.name, m.unit})
	}
	root["_aws"] = metadata{
		Timestamp: at.UnixMilli(),
		CloudWatchMetrics: []directive{{
			Namespace: s.namespace, Dimensions: [][]string{{dimension}}, Metrics: definitions,
		}},
	}
	line, err := json.Marshal(root)
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	// One write: Lambda makes a log event of each line, and a document split in two is no document.
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
