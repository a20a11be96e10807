//go:build e2e

package emulator

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// request is a request as a client sends it.
type request struct {
	service, method, path string
	headers               map[string]string
	body                  string
}

// form is a request of the protocols query and ec2.
func form(service, body string) request {
	return request{service, http.MethodPost, "/", map[string]string{
		"Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
	}, body}
}

// target is a request of the protocol json.
func target(service, operation, body string) request {
	return request{service, http.MethodPost, "/", map[string]string{
		"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": operation,
	}, body}
}

func rest(service, method, path, body string) request {
	return request{service, method, path, nil, body}
}

func (r request) send(t *testing.T, url string) (status int, body string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), r.method, url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=emulator/20261129/eu-central-1/"+r.service+
		"/aws4_request, SignedHeaders=host, Signature=0")
	for name, value := range r.headers {
		q.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func start(t *testing.T) *Server {
	t.Helper()
	moto, err := Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	server, err := moto.Start(t.Context(), Options{Folder: t.TempDir(), Account: Account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// Each request has one violation of AWS's model, and the answer has AWS's error.
var violations = []struct {
	name     string
	request  request
	code     string
	contains string
}{
	// query
	{
		"missing", form("rds", "Action=DeleteDBSnapshot&Version=2014-10-31"),
		"<Code>ValidationError</Code>",
		"Value null at 'dBSnapshotIdentifier' failed to satisfy constraint: Member must not be null",
	},
	{
		"unknown", form("rds", "Action=DescribeDBSnapshots&Version=2014-10-31&Colour=blue"),
		"<Code>ValidationError</Code>", "Value 'blue' at 'colour' failed to " +
			"satisfy constraint: Member is not a parameter",
	},
	{
		"unknown in a list", form("rds", "Action=DescribeDBSnapshots&Version=2014-10-31&Filters.Filter.1.Name=a"+
			"&Filters.Filter.1.Values.Value.1=b&Filters.Filter.1.Operator=is"),
		"<Code>ValidationError</Code>", "Value 'is' at 'filters.1.member.operator' failed",
	},
	{
		"type", form("rds", "Action=ModifyDBInstance&Version=2014-10-31&DBInstanceIdentifier=a&AllocatedStorage=many"),
		"<Code>ValidationError</Code>", "Value 'many' at 'allocatedStorage' failed to " +
			"satisfy constraint: Member must be of type integer",
	},
	{
		"enum", form("elasticloadbalancing", "Action=CreateLoadBalancer&Version=2015-12-01&Name=a&Type=classic"),
		"<Code>ValidationError</Code>",
		"Value 'classic' at 'type' failed to satisfy constraint: " +
			"Member must satisfy enum value set: [application, network, gateway]",
	},
	{
		"length", form("iam", "Action=GetRole&Version=2010-05-08&RoleName="+strings.Repeat("a", 65)),
		"<Code>ValidationError</Code>", "at 'roleName' failed to satisfy " +
			"constraint: Member must have length less than or equal to 64",
	},
	{
		"pattern", form("iam", "Action=GetRole&Version=2010-05-08&RoleName=a+b"),
		"<Code>ValidationError</Code>",
		"Value 'a b' at 'roleName' failed to satisfy constraint: " +
			"Member must satisfy regular expression pattern: [\\w+=,.@-]+",
	},
	{
		"range", form("iam", "Action=ListRoles&Version=2010-05-08&MaxItems=1001"),
		"<Code>ValidationError</Code>", "Value '1001' at 'maxItems' failed to satisfy constraint: " +
			"Member must have value less than or equal to 1000",
	},
	// ec2
	{
		"missing", form("ec2", "Action=DeleteSubnet&Version=2016-11-15"),
		"<Code>MissingParameter</Code>", "at 'subnetId'",
	},
	{
		"unknown", form("ec2", "Action=DescribeVpcs&Version=2016-11-15&Colour=blue"),
		"<Code>UnknownParameter</Code>", "at 'colour'",
	},
	{
		"enum", form("ec2", "Action=CreateVpc&Version=2016-11-15&CidrBlock=10.0.0.0%2F16&InstanceTenancy=shared"),
		"<Code>InvalidParameterValue</Code>", "Value 'shared' at 'instanceTenancy'",
	},
	{
		"range", form("ec2", "Action=DescribeSecurityGroupRules&Version=2016-11-15&MaxResults=3"),
		"<Code>InvalidParameterValue</Code>", "Member must have value greater than or equal to 5",
	},
	// json 1.1 and 1.0
	{
		"missing", target("secretsmanager", "secretsmanager.GetSecretValue", `{}`),
		`"__type": "ValidationException"`, "Value null at 'secretId'",
	},
	{
		"unknown", target("secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId": "a", "Stage": "b"}`),
		`"__type": "ValidationException"`, "Value 'b' at 'stage'",
	},
	{
		"type", target("logs", "Logs_20140328.PutRetentionPolicy", `{"logGroupName": "a", "retentionInDays": "two"}`),
		`"__type": "ValidationException"`, "Member must be of type integer",
	},
	{
		"pattern", target("logs", "Logs_20140328.CreateLogGroup", `{"logGroupName": "a b"}`),
		`"__type": "ValidationException"`, "Value 'a b' at 'logGroupName'",
	},
	{
		"enum in a structure in a list", target("ecs", "AmazonEC2ContainerServiceV20141113.CreateService",
			`{"serviceName": "a", "loadBalancers": [], "networkConfiguration": {"awsvpcConfiguration": `+
				`{"subnets": [], "assignPublicIp": "no"}}}`),
		`"__type": "ValidationException"`, "Value 'no' at 'networkConfiguration.awsvpcConfiguration.assignPublicIp'",
	},
	{
		"length", target("kms", "TrentService.ScheduleKeyDeletion", `{"KeyId": ""}`),
		`"__type": "ValidationException"`, "Member must have length greater than or equal to 1",
	},
	{
		"secret value is not shown", target("secretsmanager", "secretsmanager.PutSecretValue",
			`{"SecretId": "a", "SecretString": "`+strings.Repeat("x", 65537)+`"}`),
		`"__type": "ValidationException"`, "Value at 'secretString' failed to satisfy " +
			"constraint: Member must have length",
	},
	// rest-json
	{
		"pattern in the path", rest("lambda", http.MethodGet, "/2015-03-31/functions/a%20b", ""),
		`"__type": "ValidationException"`, "Value 'a b' at 'functionName'",
	},
	{
		"range", rest("lambda", http.MethodPut, "/2015-03-31/functions/a/configuration", `{"MemorySize": 64}`),
		`"__type": "ValidationException"`, "Value '64' at 'memorySize'",
	},
	{
		"missing", rest("scheduler", http.MethodPost, "/schedules/a", `{"ScheduleExpression": "rate(1 hour)"}`),
		`"__type": "ValidationException"`, "Value null at 'target'",
	},
	{
		"unknown", rest("lambda", http.MethodPut, "/2015-03-31/functions/a/configuration", `{"Memory": 64}`),
		`"__type": "ValidationException"`, "at 'memory'",
	},
	// rest-xml
	{
		"enum in XML", rest("s3", http.MethodPut, "/bucket?versioning",
			`<VersioningConfiguration><Status>On</Status></VersioningConfiguration>`),
		"<Code>InvalidArgument</Code>", "Value 'On' at 'versioningConfiguration.status'",
	},
	{
		"missing in a list in XML", rest("s3", http.MethodPut, "/bucket?tagging",
			`<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>`),
		"<Code>InvalidArgument</Code>", "Value null at 'tagging.tagSet.1.member.value'",
	},
	{
		"unknown in XML", rest("route53", http.MethodPost, "/2013-04-01/hostedzone",
			`<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>example.com</Name>`+
				`<CallerReference>a</CallerReference><Colour>blue</Colour></CreateHostedZoneRequest>`),
		"<Code>InvalidInput</Code>", "Value 'blue' at 'colour'",
	},
}

func TestViolationsOfAWSModelsAreRefused(t *testing.T) {
	server := start(t)
	for _, v := range violations {
		name := v.request.service + ": " + v.name
		status, body := v.request.send(t, server.URL)
		if status != http.StatusBadRequest || !strings.Contains(body, v.code) {
			t.Errorf("%s: want 400 and %s, have %d and %s", name, v.code, status, body)
		}
		if unescaped := strings.NewReplacer("&amp;", "&").Replace(body); !strings.Contains(unescaped, v.contains) {
			t.Errorf("%s: want %s in the answer, have %s", name, v.contains, body)
		}
		if strings.Contains(body, "xxx") {
			t.Errorf("%s: the answer has the secret", name)
		}
	}
	report, err := server.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Unchecked) > 0 {
		t.Errorf("want nothing unchecked, have %v", report.Unchecked)
	}
	total, refused := 0, 0
	for _, n := range report.Checked {
		total += n
	}
	for _, n := range report.Violations {
		refused += n
	}
	if total != len(violations) || refused != len(violations) {
		t.Errorf("want %d calls checked and refused, have %v and %v", len(violations), report.Checked,
			slices.Sorted(maps.Keys(report.Violations)))
	}
}

func TestCallsWithoutModelAreReported(t *testing.T) {
	server := start(t)
	for _, r := range []request{
		target("ecs", "AmazonEC2ContainerServiceV20141113.PaintService", `{}`),
		form("rds", "Action=PaintDBInstance"),
		rest("lambda", http.MethodGet, "/2015-03-31/paint", ""),
		rest("paint", http.MethodGet, "/", ""),
	} {
		r.send(t, server.URL)
	}
	report, err := server.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "map[ecs PaintService:1 lambda GET /2015-03-31/paint:1 rds PaintDBInstance:1 service paint:1]"
	if have := fmt.Sprint(report.Unchecked); have != want {
		t.Errorf("want %s, have %s", want, have)
	}
}
