//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/goccy/go-yaml"
)

// ---- tasks --------------------------------------------------------------------------------------

// answerForTasks answers at the first addresses of monitoringNetwork, as the tasks there would.
func answerForTasks(t *testing.T, port, addresses int) {
	t.Helper()
	var body strings.Builder
	for i := range 20 {
		fmt.Fprintf(&body, "app_requests_total{path=\"/%d\"} %d\n", i, i)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, body.String())
	})}
	t.Cleanup(func() { server.Close() })
	address := netip.MustParsePrefix(monitoringNetwork).Addr()
	for range addresses {
		address = address.Next()
		listener, err := net.Listen("tcp", netip.AddrPortFrom(address, uint16(port)).String())
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.Serve(listener) }()
	}
}

// tasksAreDiscovered scales a service. 130 tasks are more than one page, and more than ECS describes
// in one call.
func (s *sandbox) tasksAreDiscovered(m *monitoringTask) string {
	c := s.clients("eu-central-1")
	for _, n := range []int{12, 130, 3} {
		_, err := c.ecs.UpdateService(alive, &ecs.UpdateServiceInput{
			Cluster: aws.String("platform-" + s.environment),
			Service: aws.String("web"), DesiredCount: aws.Int32(int32(n)),
		})
		if err != nil {
			m.Fatal(err)
		}
		m.becomes(`count(up{job="services",service="web"})`, float64(n))
		m.becomes(`count(up{job="services",service="web"} == 1)`, float64(n))
	}
	m.becomes(`count(count by (zone) (up{job="services",service="web"}))`, 3)
	m.becomes(`count(app_requests_total{service="worker"}) / count(up{service="worker"})`, 20)
	return "12, 130 and 3 tasks were scraped"
}

// refusedDiscoveryIsNoticed refuses a call of the discovery. Prometheus says so in its log only.
func (m *monitoringTask) refusedDiscoveryIsNoticed(p *proxy) string {
	p.refuse("ecs", "DescribeTasks")
	m.becomes(`prometheus_sd_discovered_targets{config="services"}`, 0)
	m.becomes(`count(ALERTS{alertname="DiscoveryEmpty",alertstate="firing"})`, 1)
	p.clearFaults()
	m.becomes(`count(up{job="services",service="web"} == 1)`, 3)
	return "the alert fired"
}

// ---- metrics of CloudWatch ----------------------------------------------------------------------

// exported is a metric that the exporter is configured to read.
type exported struct {
	namespace, name, statistic string
	series                     string // its name in Prometheus
	dimensions                 []string
}

// exportedMetrics reads them from the exporter's text.
func (m *monitoringTask) exportedMetrics() (metrics []exported) {
	m.Helper()
	type list struct {
		Type, Name, Namespace string
		Dimensions            []string `yaml:"dimensionNameRequirements"`
		Statistics            []string
		Metrics               []struct {
			Name       string
			Statistics []string
		}
	}
	var text struct {
		Discovery       struct{ Jobs []list }
		CustomNamespace []list `yaml:"customNamespace"`
	}
	content, err := os.ReadFile(m.text("cloudwatch.yml"))
	if err != nil {
		m.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &text); err != nil {
		m.Fatal(err)
	}
	for _, job := range slices.Concat(text.Discovery.Jobs, text.CustomNamespace) {
		for _, metric := range job.Metrics {
			statistics := metric.Statistics
			if len(statistics) == 0 {
				statistics = job.Statistics
			}
			for _, statistic := range statistics {
				e := exported{job.Type + job.Namespace, metric.Name, statistic, job.Name, job.Dimensions}
				if !ownName.MatchString(job.Name) {
					e.series = seriesName(e)
				}
				metrics = append(metrics, e)
			}
		}
	}
	if len(metrics) < 40 {
		m.Fatalf("cloudwatch.yml has only %d metrics", len(metrics))
	}
	return metrics
}

var (
	// ownName matches jobs that have the name of a series.
	ownName = regexp.MustCompile(`^(backup|database)_`)

	newWord    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	notInNames = regexp.MustCompile(`[^a-z0-9]`)
)

// seriesName is the exporter's name of a metric (pkg/promutil of v0.67.0).
func seriesName(e exported) string {
	namespace := strings.TrimPrefix(strings.ToLower(e.namespace), "aws/")
	metric := newWord.ReplaceAllString(strings.ReplaceAll(e.name, "%", "_percent"), "${1}_$2")
	return notInNames.ReplaceAllString("aws_"+strings.ToLower(namespace+"_"+metric+"_"+e.statistic), "_")
}

// measured is a deployed stack about which the test puts datapoints.
type measured struct {
	*clients
	*monitoringTask
	resources map[string][]string // values of dimensions, by name
	start     time.Time
}

// newMeasured finds the values of the dimensions.
func newMeasured(t *testing.T, s *sandbox, m *monitoringTask) *measured {
	t.Helper()
	c := &measured{s.clients("eu-central-1"), m, map[string][]string{}, time.Now().Truncate(time.Minute)}
	stack := "platform-" + s.environment
	add := func(dimension string, values ...string) {
		c.resources[dimension] = append(c.resources[dimension], values...)
	}
	for _, found := range must(c.elb.DescribeLoadBalancers(alive, nil))(t).LoadBalancers {
		_, name, _ := strings.Cut(*found.LoadBalancerArn, ":loadbalancer/")
		add("LoadBalancer", name)
	}
	for _, found := range must(c.elb.DescribeTargetGroups(alive, nil))(t).TargetGroups {
		add("TargetGroup", (*found.TargetGroupArn)[strings.LastIndex(*found.TargetGroupArn, ":")+1:])
	}
	for _, found := range must(c.ec2.DescribeNatGateways(alive, nil))(t).NatGateways {
		add("NatGatewayId", *found.NatGatewayId)
	}
	for _, found := range must(c.rds.DescribeDBInstances(alive, nil))(t).DBInstances {
		add("DBInstanceIdentifier", *found.DBInstanceIdentifier)
	}
	for _, found := range must(c.lambda.ListFunctions(alive, nil))(t).Functions {
		add("FunctionName", *found.FunctionName)
	}
	for _, found := range must(c.acm.ListCertificates(alive, nil))(t).CertificateSummaryList {
		add("CertificateArn", *found.CertificateArn)
	}
	for _, found := range must(c.scheduler.ListScheduleGroups(alive, nil))(t).ScheduleGroups {
		if strings.HasPrefix(*found.Name, stack+"-") {
			add("ScheduleGroup", *found.Name)
		}
	}
	add("ClusterName", stack)
	add("ServiceName", "web", "worker", "prometheus_server")
	return c
}

// usual are values of a healthy stack, for metrics whose usual value is not 0. The value of a sum is
// that of a minute.
var usual = map[string]float64{
	"RequestCount": 1000, "HealthyHostCount": 3, "TargetResponseTime": 0.04,
	"CPUUtilization": 23, "MemoryUtilization": 48, "DesiredTaskCount": 3, "RunningTaskCount": 3,
	"CPUCreditBalance": 288, "DatabaseConnections": 14, "DiskQueueDepth": 0.2,
	"EBSByteBalance%": 99, "EBSIOBalance%": 98, "FreeableMemory": 3.1e9, "FreeStorageSpace": 81e9,
	"MaximumUsedTransactionIDs": 4.2e7, "ReadLatency": 0.0009, "WriteLatency": 0.0014, "TransactionLogsDiskUsage": 2e8,
	"ActiveConnectionCount": 37, "BytesOutToDestination": 4e6, "Invocations": 1, "DaysToExpiry": 211,
	"NewestBackupAge": 31000, "NewestDumpAge": 32000, "NewestDumpSize": 1.9e9, "DumpSizeRatio": 1.01,
	"NewestDrillAge": 290000, "SnapshotsInRegion": 35,
}

// put adds a value to a metric of each resource, for every minute of the test, and for the hours
// before.
func (c *measured) put(e exported, value float64) {
	c.Helper()
	sets := [][]cwtypes.Dimension{nil}
	for _, name := range e.dimensions {
		if len(c.resources[name]) == 0 {
			c.Fatalf("the stack has no %s, of which %s %s is", name, e.namespace, e.name)
		}
		var longer [][]cwtypes.Dimension
		for _, set := range sets {
			for _, resource := range c.resources[name] {
				longer = append(longer, append(slices.Clone(set), cwtypes.Dimension{Name: &name, Value: &resource}))
			}
		}
		sets = longer
	}
	var data []cwtypes.MetricDatum
	for minute := -30; minute <= 15; minute++ {
		at := c.start.Add(time.Duration(minute) * time.Minute)
		if minute < -25 {
			at = c.start.Add(time.Duration(minute+25) * time.Hour)
		}
		for _, set := range sets {
			data = append(data, cwtypes.MetricDatum{
				MetricName: &e.name, Dimensions: set, Timestamp: &at, Value: &value,
			})
		}
	}
	for part := range slices.Chunk(data, 1000) {
		input := &cloudwatch.PutMetricDataInput{Namespace: &e.namespace, MetricData: part}
		if _, err := c.cloudwatch.PutMetricData(alive, input); err != nil {
			c.Fatal(err)
		}
	}
}

// everyMetricArrives puts datapoints of every metric of the exporter's text.
func (c *measured) everyMetricArrives() string {
	metrics, done := c.exportedMetrics(), map[string]bool{}
	for _, e := range metrics {
		key := fmt.Sprint(e.namespace, e.name, e.dimensions)
		if !done[key] { // it may have several statistics
			c.put(e, usual[e.name])
		}
		done[key] = true
	}
	start := time.Now()
	var missing []string
	for end := start.Add(patienceWithPrograms); ; time.Sleep(time.Second) {
		found := map[string]bool{}
		for _, s := range c.now(`count by (__name__) ({job="cloudwatch"})`) {
			found[s.Metric["__name__"]] = true
		}
		missing = nil
		for _, e := range metrics {
			if !found[e.series] {
				missing = append(missing, e.series)
			}
		}
		if len(missing) == 0 {
			break
		}
		if time.Now().After(end) {
			c.Fatalf("%d of %d metrics have not arrived: %s\n%s",
				len(missing), len(metrics), strings.Join(missing, ", "), tail(c.log("cloudwatch"), 20))
		}
	}
	took := time.Since(start)
	c.becomes(`sum(aws_applicationelb_request_count_sum{service=""})`, 5000)
	for _, label := range []string{"service", "database", "function", "zone"} {
		if len(c.now(`count by (`+label+`) ({job="cloudwatch",`+label+`!=""})`)) == 0 {
			c.Errorf("no metric of CloudWatch has the label %s", label)
		}
	}
	return fmt.Sprintf("%d metrics arrived within %.0f s", len(metrics), took.Seconds())
}

// ---- alerts -------------------------------------------------------------------------------------

// queue is a queue that is subscribed to a topic.
type queue struct {
	*measured
	url, endpoint string
}

// subscribe creates a queue behind a topic of the stack.
func (c *measured) subscribe(s *sandbox, noun string) *queue {
	c.Helper()
	q := &queue{measured: c, endpoint: s.server.URL}
	var created struct {
		QueueURL string `json:"QueueUrl"`
	}
	q.call("CreateQueue", map[string]any{"QueueName": noun}, &created)
	q.url = created.QueueURL
	arn := "arn:aws:sns:eu-central-1:123456789012:platform-" + s.environment + "-" + noun
	_, err := c.sns.Subscribe(alive, &sns.SubscribeInput{
		TopicArn: &arn, Protocol: aws.String("sqs"),
		Endpoint: aws.String("arn:aws:sqs:eu-central-1:123456789012:" + noun),
	})
	if err != nil {
		c.Fatal(err)
	}
	return q
}

// call calls SQS, whose client is not among the modules.
func (q *queue) call(operation string, input, output any) {
	q.Helper()
	body, err := json.Marshal(input)
	if err != nil {
		q.Fatal(err)
	}
	request, err := http.NewRequestWithContext(alive, http.MethodPost, q.endpoint, bytes.NewReader(body))
	if err != nil {
		q.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Target", "AmazonSQS."+operation)
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=emulator/20261129/eu-central-1/sqs/aws4_request, "+
		"SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		q.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		q.Fatalf("sqs %s: %s %v %s", operation, answer.Status, err, text)
	}
	if err := json.Unmarshal(text, output); err != nil {
		q.Fatal(err)
	}
}

// message is a message of SNS.
type message struct{ Subject, Message string }

// receives waits for a message whose subject has all these parts.
func (q *queue) receives(parts ...string) (found message) {
	q.Helper()
	defer step(q.T, "message "+strings.Join(parts, " "))()
	q.eventually("a message "+strings.Join(parts, " "), func() bool {
		var received struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		q.call("ReceiveMessage", map[string]any{"QueueUrl": q.url, "MaxNumberOfMessages": 10}, &received)
		for _, m := range received.Messages {
			if err := json.Unmarshal([]byte(m.Body), &found); err != nil {
				q.Fatal(err)
			}
			if len(found.Subject) > 99 {
				q.Errorf("the subject %q is too long", found.Subject)
			}
			var none struct{}
			q.call("DeleteMessage", map[string]any{"QueueUrl": q.url, "ReceiptHandle": m.ReceiptHandle}, &none)
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(found.Subject, part) }) {
				return true
			}
		}
		return false
	})
	return found
}

// alertsArrive has 4% of all requests fail, which is below the threshold of CloudWatch's alarm, and
// then none.
func (c *measured) alertsArrive(s *sandbox) string {
	heartbeat, alerts := c.subscribe(s, "heartbeat"), c.subscribe(s, "alerts")
	heartbeat.receives("Prometheus of platform-" + s.environment)
	errors := exported{"AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "Sum", "", []string{"LoadBalancer"}}
	c.put(errors, 40)
	fired := alerts.receives("FIRING", "ErrorBudgetFast")
	if !strings.Contains(fired.Message, "docs/runbooks/") {
		c.Errorf("the message has no runbook:\n%s", fired.Message)
	}
	c.put(errors, -40) // the sum of both is 0
	alerts.receives("RESOLVED", "ErrorBudgetFast")
	heartbeat.receives("Prometheus of platform-" + s.environment)
	return fmt.Sprintf("%q and its end arrived", fired.Subject)
}

// ---- faults -------------------------------------------------------------------------------------

// brokenTextsEndPrograms starts each program with a text that is not YAML. A container that ends
// makes ECS roll back.
func (m *monitoringTask) brokenTextsEndPrograms() string {
	for name, text := range map[string]string{
		"prometheus": "rules.yml", "alertmanager": "alertmanager.yml", "cloudwatch": "cloudwatch.yml",
	} {
		var before string
		m.rewrite(text, func(content string) string { before = content; return content + "\n]" })
		cmd := m.prepare(name, name+".broken.log")
		ended := make(chan error, 1)
		if err := cmd.Start(); err != nil {
			m.Fatal(err)
		}
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err == nil {
				m.Errorf("%s succeeds with a broken %s", name, text)
			}
		case <-time.After(30 * time.Second):
			m.Errorf("%s runs with a broken %s", name, text)
			_ = cmd.Process.Kill()
			m.Log(<-ended)
		}
		m.rewrite(text, func(string) string { return before })
	}
	return "each program ended"
}

// workspace is the URL of the durable history in a text.
var workspace = regexp.MustCompile(`url: https://aps-workspaces\.\S+`)

// startDurableHistory starts another Prometheus in the place of Amazon Managed Service for
// Prometheus, and returns its URL.
func (m *monitoringTask) startDurableHistory() string {
	m.Helper()
	port := freePorts(m.T, 1)[0]
	server := fmt.Sprintf("http://127.0.0.1:%d", port)
	m.rewrite("prometheus.yml", func(text string) string {
		if !workspace.MatchString(text) {
			m.Fatalf("prometheus.yml has no durable history:\n%s", text)
		}
		return workspace.ReplaceAllString(text, "url: "+server+"/api/v1/write")
	})
	folder := filepath.Join(m.folder, "durable")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		m.Fatal(err)
	}
	configuration := filepath.Join(folder, "empty.yml")
	if err := os.WriteFile(configuration, nil, 0o644); err != nil {
		m.Fatal(err)
	}
	cmd := exec.CommandContext(alive, filepath.Join(m.programs, "prometheus"), "--config.file="+configuration,
		"--storage.tsdb.path="+filepath.Join(folder, "data"), fmt.Sprintf("--web.listen-address=127.0.0.1:%d", port),
		"--web.enable-remote-write-receiver")
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return server
}

// historyIsWritten checks which series are in the durable history: those of the applications and of
// CloudWatch, and what the rules record, but nothing about Prometheus itself.
func (m *monitoringTask) historyIsWritten(server string) string {
	m.Helper()
	count := func(selector string) float64 {
		found := query(m.T, server, "count("+selector+")", time.Now())
		if len(found) == 0 {
			return 0
		}
		return found[0].Value
	}
	const applications, rules = `app_requests_total{job="services"}`, `{__name__=~".+:.+:.+"}`
	m.eventually("the durable history", func() bool {
		return count(applications) > 0 && count(`{job="cloudwatch",__name__=~"aws_.+"}`) > 0 && count(rules) > 0
	})
	if own := count(`{job=~"prometheus|alertmanager"}`); own > 0 {
		m.Errorf("the durable history has %v series of Prometheus itself", own)
	}
	return fmt.Sprintf("%v series", count(`{__name__!=""}`))
}

// restartKeepsHistory kills Prometheus and starts it again, as ECS restarts the container in place.
func (m *monitoringTask) restartKeepsHistory() string {
	const targets = `count(up)`
	at := time.Now()
	before := query(m.T, m.url("9090"), targets, at)
	_ = m.running["prometheus"].Process.Kill()
	_ = m.running["prometheus"].Wait()
	m.start("prometheus")
	var after []sample
	m.eventually("the history", func() bool { // it is healthy before it has read its history
		after = query(m.T, m.url("9090"), targets, at)
		return len(after) > 0
	})
	if len(before) != 1 || before[0].Value != after[0].Value {
		m.Errorf("%s was %v before the restart, and is %v for the same time", targets, before, after)
	}
	m.becomes(`count(up{job="services",service="web"} == 1)`, 3)
	return "the history is complete"
}

// rightsOfTaskWereUsed checks that the programs have used every action that their role allows.
func (s *sandbox) rightsOfTaskWereUsed(t *testing.T) string {
	t.Helper()
	report, err := s.server.Report(alive)
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for right, n := range report.Granted {
		role, action, _ := strings.Cut(right, ": ")
		if !strings.HasSuffix(role, "-prometheus-task") {
			continue
		}
		sid, _, _ := strings.Cut(action, ":")
		switch reason := notUsedByPrograms[sid]; {
		case n > 0:
			used++
		case reason == "":
			t.Errorf("no call used %s", right)
		}
	}
	return fmt.Sprintf("%d actions were used", used)
}

// notUsedByPrograms are the Sids of statements of the task's role that the programs do not use here,
// with the reason.
var notUsedByPrograms = map[string]string{
	"History":        "another Prometheus is in the place of Amazon Managed Service for Prometheus",
	"HistoryKey":     "the same",
	"Session":        sessionReason,
	"SessionKey":     sessionReason,
	"SessionLog":     sessionReason,
	"SessionLogFind": sessionReason,
}

const sessionReason = "the agent of ECS uses it for a port-forward"

// complaint matches a warning in the log of a program. The exporter writes JSON.
var complaint = regexp.MustCompile(`level"?[=:]"?(WARN|ERROR).*`)

// logsHaveNoComplaints checks the logs for warnings. Prometheus warns after it was killed, and when
// ECS refuses its discovery.
func (m *monitoringTask) logsHaveNoComplaints() {
	m.Helper()
	for name := range m.running {
		for _, line := range complaint.FindAllString(m.log(name), -1) {
			if !expectedComplaint.MatchString(line) {
				m.Errorf("%s: %s", name, line)
			}
		}
	}
}

// At this pace, Alertmanager gives the emulator a second for an answer, and the exporter five seconds
// for all of its calls.
var expectedComplaint = regexp.MustCompile(
	`discovery=aws|lockfile from a previous execution|context deadline exceeded|Another scrape is already in process`)

// hold waits until the test is interrupted.
func (m *monitoringTask) hold() {
	fmt.Printf("%s/consoles/overview.html\n%s\n%s\n", m.url("9090"), m.url("9093"), m.url("5000"))
	<-alive.Done()
}
