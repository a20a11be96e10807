//go:build e2e

package emulator

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"
)

// metrics are calls of CloudWatch with the SDK, which uses CBOR.
type metrics struct {
	*testing.T
	*cloudwatch.Client
	now time.Time
}

// put stores a value for each of the last minutes.
func (m metrics) put(namespace, name string, dimensions []types.Dimension, values ...float64) {
	m.Helper()
	var data []types.MetricDatum
	for i, value := range values {
		data = append(data, types.MetricDatum{
			MetricName: &name,
			Dimensions: dimensions,
			Timestamp:  aws.Time(m.now.Add(-time.Duration(i+1) * time.Second)),
			Value:      &value,
		})
	}
	_, err := m.PutMetricData(m.Context(), &cloudwatch.PutMetricDataInput{Namespace: &namespace, MetricData: data})
	if err != nil {
		m.Fatal(err)
	}
}

// get returns the values of a statistic over the last hour.
func (m metrics) get(namespace, name string, dimensions []types.Dimension, statistic string) ([]float64, error) {
	answer, err := m.GetMetricData(m.Context(), &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(m.now.Add(-time.Hour)),
		EndTime:   aws.Time(m.now),
		MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("a"), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: &namespace, MetricName: &name, Dimensions: dimensions},
			Period: aws.Int32(3600), Stat: &statistic,
		}}},
	})
	if err != nil {
		return nil, err
	}
	return answer.MetricDataResults[0].Values, nil
}

func dimension(name, value string) []types.Dimension {
	return []types.Dimension{{Name: &name, Value: &value}}
}

// TestCloudWatchWithCBOR calls CloudWatch with an SDK that knows no other protocol.
func TestCloudWatchWithCBOR(t *testing.T) {
	server := start(t)
	m := metrics{t, cloudwatch.NewFromConfig(Config(server.URL, "eu-central-1")), time.Now().Truncate(time.Second)}
	web := dimension("Service", "web")
	m.put("One", "Latency", web, 0.1, 0.2, 0.3, 1, 5)
	m.put("Two", "Latency", web, 100)
	m.put("One", "Age", nil, 7, 8, 9)
	m.put("Compressed", strings.Repeat("a", 250), web, make([]float64, 100)...)

	for _, test := range []struct {
		statistic string
		want      float64
	}{
		{"Sum", 6.6}, {"Maximum", 5}, {"SampleCount", 5},
		{"p50", 0.3}, {"p99", 5}, {"p0", 0.1}, {"p100", 5},
		{"PR(:1)", 80}, {"PR(0.1:1)", 60}, {"PR(1:)", 20},
	} {
		if have, err := m.get("One", "Latency", web, test.statistic); err != nil || len(have) != 1 ||
			have[0] < test.want-1e-9 || have[0] > test.want+1e-9 {
			t.Errorf("%s: want %v, have %v, %v", test.statistic, test.want, have, err)
		}
	}
	if have, err := m.get("One", "Latency", dimension("Service", "api"), "p99"); err != nil || len(have) != 0 {
		t.Errorf("a metric without data: %v, %v", have, err)
	}
	m.fails("InvalidParameterValue", "One", "Averege")
	m.fails("ValidationError", strings.Repeat("a", 256), "Sum")

	listed, err := m.ListMetrics(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, metric := range listed.Metrics {
		names = append(names, fmt.Sprintf("%s %.7s %d", *metric.Namespace, *metric.MetricName, len(metric.Dimensions)))
	}
	slices.Sort(names)
	want := []string{"Compressed aaaaaaa 1", "One Age 0", "One Latency 1", "Two Latency 1"}
	if !slices.Equal(names, want) {
		t.Errorf("ListMetrics: want %q, have %q", want, names)
	}
}

// fails checks the code of the error of GetMetricData.
func (m metrics) fails(code, namespace, statistic string) {
	m.Helper()
	_, err := m.get(namespace, "Latency", dimension("Service", "web"), statistic)
	if failure, ok := errors.AsType[smithy.APIError](err); !ok || failure.ErrorCode() != code {
		m.Errorf("want %s, have %v", code, err)
	}
}

// TestServicesStartTasks creates, scales, changes and deletes a service.
func TestServicesStartTasks(t *testing.T) {
	moto, err := Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	server, err := moto.Start(t.Context(), Options{Folder: t.TempDir(), Account: Account, Tasks: "127.11.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	c := &conversation{t, server, map[string]string{}}
	c.network()
	c.send("cluster", ecs("CreateCluster", `{"clusterName": "c"}`), "")
	for range 2 {
		c.send("definition", ecs("RegisterTaskDefinition", `{"family": "f", "networkMode": "awsvpc", "cpu": "256",
			"memory": "512", "requiresCompatibilities": ["FARGATE"],
			"containerDefinitions": [{"name": "a", "image": "a"}]}`), "")
	}
	c.send("service", ecs("CreateService", `{"cluster": "c", "serviceName": "s", "taskDefinition": "f:1",
		"desiredCount": 130, "propagateTags": "SERVICE", "tags": [{"key": "MetricsPort", "value": "9090"}],
		"networkConfiguration": {"awsvpcConfiguration": {
			"subnets": ["{a}", "{b}"], "securityGroups": ["{group}"]}}}`), "")

	first := c.send("tasks", ecs("ListTasks", `{"cluster": "c", "maxResults": 100}`), "")
	c.counts("the first page", first, "task/", 100)
	c.find("{token}", `"nextToken": "([^"]*)"`, ecs("ListTasks", `{"cluster": "c", "maxResults": 100}`))
	second := c.send("tasks", ecs("ListTasks", `{"cluster": "c", "maxResults": 100, "nextToken": "{token}"}`), "")
	c.counts("the second page", second, "task/", 30)
	c.send("no tasks of another service", ecs("ListTasks", `{"cluster": "c", "serviceName": "t"}`), "")

	hundred := strings.Join(regexp.MustCompile(`"[^"]*task/[^"]*"`).FindAllString(first, -1), ", ")
	all := ecs("DescribeTasks", `{"cluster": "c", "include": ["TAGS"], "tasks": [`+hundred+`]}`)
	for range 3 { // looking does not change a task
		described := c.send("description", all, "")
		c.counts("running tasks", described, `"lastStatus": "RUNNING"`, 100)
		c.counts("tagged tasks", described, `"MetricsPort"`, 100)
		c.counts("tasks in a zone", described, `"availabilityZone": "eu-central-1a"`, 50)
		c.counts("addresses", described, `"value": "127.11.0.1"`, 1)
	}
	c.send("101 tasks", ecs("DescribeTasks", `{"cluster": "c", "tasks": ["a", `+hundred+`]}`), "more than 100")
	c.send("11 services", ecs("DescribeServices", `{"cluster": "c", "services": [`+
		strings.TrimSuffix(strings.Repeat(`"s",`, 11), ",")+`]}`), "more than 10")

	tasks := ecs("ListTasks", `{"cluster": "c", "serviceName": "s"}`)
	c.send("scaling in", ecs("UpdateService", `{"cluster": "c", "service": "s", "desiredCount": 3}`), "")
	c.counts("tasks that are left", c.send("tasks", tasks, ""), "task/", 3)
	was := c.send("tasks", tasks, "")
	c.send("deployment", ecs("UpdateService", `{"cluster": "c", "service": "s", "taskDefinition": "f:2"}`), "")
	now := c.send("tasks", tasks, "")
	c.counts("new tasks", now, "task/", 3)
	for _, task := range regexp.MustCompile(`"[^"]*task/[^"]*"`).FindAllString(was, -1) {
		c.counts("tasks of the deployment before", now, task, 0)
	}
	c.send("deletion", ecs("DeleteService", `{"cluster": "c", "service": "s", "force": true}`), "")
	c.counts("tasks of a deleted service", c.send("tasks", tasks, ""), "task/", 0)
	const stopped = `{"cluster": "c", "desiredStatus": "STOPPED", "maxResults": 10}`
	c.counts("stopped tasks", c.send("stopped", ecs("ListTasks", stopped), ""), "task/", 10)
	c.send("subnet", form("ec2", "Version=2016-11-15&Action=DeleteSubnet&SubnetId={a}"), "")
}

// network creates a VPC with two subnets and a security group.
func (c *conversation) network() {
	c.Helper()
	const version = "Version=2016-11-15&Action="
	c.find("{vpc}", `<vpcId>([^<]*)<`, form("ec2", version+"CreateVpc&CidrBlock=10.0.0.0%2F16"))
	c.send("names", form("ec2", version+"ModifyVpcAttribute&VpcId={vpc}&EnableDnsHostnames.Value=true"), "")
	subnet := version + "CreateSubnet&VpcId={vpc}&AvailabilityZone=eu-central-1"
	c.find("{a}", `<subnetId>([^<]*)<`, form("ec2", subnet+"a&CidrBlock=10.0.0.0%2F24"))
	c.find("{b}", `<subnetId>([^<]*)<`, form("ec2", subnet+"b&CidrBlock=10.0.1.0%2F24"))
	group := version + "CreateSecurityGroup&GroupDescription=a&VpcId={vpc}&GroupName=a"
	c.find("{group}", `<groupId>([^<]*)<`, form("ec2", group))
}

func (c *conversation) counts(what, text, part string, want int) {
	c.Helper()
	if have := strings.Count(text, part); have != want {
		c.Errorf("%s: want %d times %s, have %d", what, want, part, have)
	}
}

// subjects is about messages to a topic.
func subjects(c *conversation) {
	publish := form("sns", "Version=2010-03-31&Action=Publish&TopicArn={topic}&Message=a&Subject={subject}")
	c.find("{topic}", `<TopicArn>([^<]*)<`, form("sns", "Version=2010-03-31&Action=CreateTopic&Name=t"))
	for _, subject := range []string{
		strings.Repeat("a", 100), "two\nlines", "Größe", " space", "bell\a", "",
	} {
		c.found["{subject}"] = subject
		c.send(fmt.Sprintf("subject %q", subject), publish, "InvalidParameter")
	}
	c.found["{subject}"] = strings.Repeat("a", 99)
	c.send("99 characters", publish, "")
}

// tagged is about resources that are found by their tags.
func tagged(c *conversation) {
	c.network()
	const tags = "&Tags.member.1.Key=Application&Tags.member.1.Value=platform"
	c.find("{lb}", `<LoadBalancerArn>([^<]*)<`, elb("CreateLoadBalancer",
		"Subnets.member.1={a}&Subnets.member.2={b}&Name=tagged"+tags))
	c.send("certificate", target("acm", "CertificateManager.RequestCertificate",
		`{"DomainName": "example.com", "Tags": [{"Key": "Application", "Value": "platform"}]}`), "")
	const filters = `"TagFilters": [{"Key": "Application", "Values": ["platform"]}]`
	for resource, want := range map[string]string{
		"elasticloadbalancing:loadbalancer/app": "loadbalancer/app/tagged",
		"acm:certificate":                       ":certificate/",
	} {
		answer := c.send(resource, target("tagging", "ResourceGroupsTaggingAPI_20170126.GetResources",
			`{"ResourceTypeFilters": ["`+resource+`"], `+filters+`}`), "")
		c.counts(resource, answer, `"ResourceARN"`, 1)
		c.counts(resource, answer, want, 1)
	}
}

// A service has no tasks unless the emulator has a network for them.
func noTasks(c *conversation) {
	c.send("cluster", ecs("CreateCluster", `{"clusterName": "empty"}`), "")
	c.send("definition", ecs("RegisterTaskDefinition",
		`{"family": "e", "containerDefinitions": [{"name": "a", "image": "a", "memory": 128}]}`), "")
	c.send("service", ecs("CreateService",
		`{"cluster": "empty", "serviceName": "s", "taskDefinition": "e", "desiredCount": 1}`), "")
	c.counts("tasks", c.send("tasks", ecs("ListTasks", `{"cluster": "empty"}`), ""), "task/", 0)
}

// TestTasksHaveTheRightsOfTheirRole calls AWS as a program of a task, and in CBOR.
func TestTasksHaveTheRightsOfTheirRole(t *testing.T) {
	p := newProbed(t)
	p.allow(`{"Sid": "Metrics", "Effect": "Allow", "Action": "cloudwatch:ListMetrics", "Resource": "*"}`,
		`{"Sid": "Addresses", "Effect": "Allow", "Action": "ec2:DescribeNetworkInterfaces", "Resource": "*"}`)
	key, err := p.server.TaskKey(t.Context(), "arn:aws:ecs:eu-central-1:"+Account+":task/c/1",
		"arn:aws:iam::"+Account+":role/probe")
	if err != nil {
		t.Fatal(err)
	}
	config := Config(p.server.URL, "eu-central-1")
	config.Credentials = credentials.NewStaticCredentialsProvider(key, "emulator", "")
	m := metrics{t, cloudwatch.NewFromConfig(config), time.Now()}
	if _, err := m.ListMetrics(t.Context(), nil); err != nil {
		t.Error(err)
	}
	_, err = m.get("a", "b", nil, "Sum")
	if err == nil || !strings.Contains(err.Error(), "is not authorized to perform") {
		t.Errorf("GetMetricData, which no policy allows: %v", err)
	}
	network := ec2.NewFromConfig(config)
	if _, err := network.DescribeNetworkInterfaces(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if _, err := network.DescribeVpcs(t.Context(), nil); err == nil {
		t.Error("DescribeVpcs, which no policy allows, has succeeded")
	}
	report, err := p.server.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Granted["probe: Metrics: cloudwatch:ListMetrics"]; n != 1 || len(report.Denied) != 2 {
		t.Errorf("the report has %d calls of ListMetrics and these denied: %v", n, report.Denied)
	}
}
