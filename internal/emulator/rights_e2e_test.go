//go:build e2e

package emulator

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// decision is a policy, a request, and what IAM's documentation says of them.
type decision struct {
	Name       string `json:"name"`
	Statements string `json:"statements"`

	Action   string              `json:"action"`
	Resource string              `json:"resource"`
	Context  map[string][]string `json:"context"` // keys in lower case

	Want string `json:"want"` // "Allow", "Deny", "None"; or "Unsupported"
}

const (
	secret  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-AbCdEf"
	allowed = `{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"`
)

// object is a decision about an s3:GetObject that a condition allows.
func object(name, condition string, context map[string][]string, want string) decision {
	return decision{
		name, allowed + `, "Condition": {` + condition + `}}`, "s3:GetObject", "arn:aws:s3:::bucket/key", context, want,
	}
}

var decisions = []decision{
	{"nothing is said", allowed + `}`, "s3:PutObject", "arn:aws:s3:::bucket/key", nil, "None"},
	{"it is allowed", allowed + `}`, "s3:GetObject", "arn:aws:s3:::bucket/key", nil, "Allow"},
	{"case of actions is ignored", allowed + `}`, "S3:getobject", "arn:aws:s3:::bucket/key", nil, "Allow"},
	{
		"a denial wins over an earlier permission",
		allowed + `}, {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}`,
		"s3:GetObject", "arn:aws:s3:::bucket/key", nil, "Deny",
	},
	{
		"a denial of another resource",
		allowed + `}, {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*"}`,
		"s3:GetObject", "arn:aws:s3:::bucket/key", nil, "Allow",
	},
	{
		"a wildcard matches across slashes",
		`{"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::bucket/a*"}`,
		"s3:GetObject", "arn:aws:s3:::bucket/a/b/c", nil, "Allow",
	},
	{
		"a wildcard does not match across the parts of an ARN",
		`{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": "arn:aws:secretsmanager:*:secret:a-AbCdEf"}`,
		"secretsmanager:GetSecretValue", secret, nil, "None",
	},
	{
		"six question marks", `{"Effect": "Allow", "Action": "secretsmanager:*", "Resource": ` +
			`"arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-??????"}`,
		"secretsmanager:GetSecretValue", secret, nil, "Allow",
	},
	{
		"NotAction", `{"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}`,
		"s3:GetObject", "arn:aws:s3:::bucket/key", nil, "Allow",
	},
	{
		"NotResource", `{"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::bucket/*"}`,
		"s3:GetObject", "arn:aws:s3:::bucket/key", nil, "None",
	},
	object("StringEquals: equal", `"StringEquals": {"a": ["x", "y"]}`,
		map[string][]string{"a": {"y"}}, "Allow"),
	object("StringEquals: case matters", `"StringEquals": {"a": "x"}`,
		map[string][]string{"a": {"X"}}, "None"),
	object("StringEquals: no wildcards", `"StringEquals": {"a": "x*"}`,
		map[string][]string{"a": {"xy"}}, "None"),
	object("StringEquals: case of the key does not matter", `"StringEquals": {"aws:Tag/A": "x"}`,
		map[string][]string{"aws:tag/a": {"x"}}, "Allow"),
	object("StringEquals: the key is missing", `"StringEquals": {"a": "x"}`, nil, "None"),
	object("StringEqualsIfExists: the key is missing", `"StringEqualsIfExists": {"a": "x"}`, nil, "Allow"),
	object("StringEqualsIfExists: differs", `"StringEqualsIfExists": {"a": "x"}`,
		map[string][]string{"a": {"y"}}, "None"),
	object("StringNotEquals: the key is missing", `"StringNotEquals": {"a": "x"}`, nil, "Allow"),
	object("StringNotEquals: one of the values", `"StringNotEquals": {"a": ["x", "y"]}`,
		map[string][]string{"a": {"y"}}, "None"),
	object("StringLike", `"StringLike": {"a": "x*"}`, map[string][]string{"a": {"xy"}}, "Allow"),
	object("StringNotLike", `"StringNotLike": {"a": "x*"}`, map[string][]string{"a": {"xy"}}, "None"),
	object("conditions are all required", `"StringEquals": {"a": "x", "b": "x"}`,
		map[string][]string{"a": {"x"}, "b": {"y"}}, "None"),
	object("operators are all required", `"StringEquals": {"a": "x"}, "Bool": {"b": "true"}`,
		map[string][]string{"a": {"x"}, "b": {"false"}}, "None"),
	object("Bool", `"Bool": {"a": true}`, map[string][]string{"a": {"true"}}, "Allow"),
	object("Bool: the key is missing", `"Bool": {"a": "false"}`, nil, "None"),
	object("Null: true", `"Null": {"a": "true"}`, nil, "Allow"),
	object("Null: false", `"Null": {"a": "false"}`, nil, "None"),
	object("ArnLike", `"ArnLike": {"a": "arn:aws:lambda:*:123456789012:function:x-*"}`,
		map[string][]string{"a": {"arn:aws:lambda:eu-central-1:123456789012:function:x-y"}}, "Allow"),
	object("ArnEquals has wildcards, too",
		`"ArnEquals": {"a": "arn:aws:lambda:eu-central-1:123456789012:function:*"}`,
		map[string][]string{"a": {"arn:aws:lambda:eu-central-1:123456789012:function:x"}}, "Allow"),
	object("ArnLike: not across parts", `"ArnLike": {"a": "arn:aws:lambda:*:function:x"}`,
		map[string][]string{"a": {"arn:aws:lambda:eu-central-1:123456789012:function:x"}}, "None"),
	object("ArnNotLike: the key is missing", `"ArnNotLike": {"a": "arn:aws:lambda:*:*:function:x"}`, nil, "Allow"),
	object("NumericLessThan", `"NumericLessThan": {"a": "10"}`,
		map[string][]string{"a": {"9"}}, "Allow"),
	object("ForAllValues: all are there", `"ForAllValues:StringEquals": {"a": ["x", "y"]}`,
		map[string][]string{"a": {"y", "x"}}, "Allow"),
	object("ForAllValues: one is not", `"ForAllValues:StringEquals": {"a": ["x", "y"]}`,
		map[string][]string{"a": {"y", "z"}}, "None"),
	object("ForAllValues: the key is missing", `"ForAllValues:StringEquals": {"a": "x"}`, nil, "Allow"),
	object("ForAnyValue: one is there", `"ForAnyValue:StringEquals": {"a": ["x"]}`,
		map[string][]string{"a": {"z", "x"}}, "Allow"),
	object("ForAnyValue: the key is missing", `"ForAnyValue:StringEquals": {"a": "x"}`, nil, "None"),
	object("a variable", `"StringEquals": {"a": "${aws:PrincipalAccount}"}`,
		map[string][]string{"a": {"1"}, "aws:principalaccount": {"1"}}, "Allow"),
	object("a variable without value", `"StringEquals": {"a": "${aws:PrincipalAccount}"}`,
		map[string][]string{"a": {"1"}}, "None"),
	object("an operator that is not implemented", `"DateLessThan": {"a": "2026-01-01"}`,
		map[string][]string{"a": {"1"}}, "Unsupported"),
}

const decide = `
import json, sys
sys.path.insert(0, sys.argv[1])
import rights
for d in json.load(sys.stdin):
    try:
        policy = {"Statement": json.loads("[" + d["statements"] + "]")}
        print(rights.decide([policy], d["action"], d["resource"], d["context"] or {})[0])
    except rights.Unsupported:
        print("Unsupported")
`

func TestPoliciesAreEvaluatedAsIAMDoes(t *testing.T) {
	moto, err := Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(decisions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), moto.python, "-B", "-c", decide, ".")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	have := strings.Fields(string(output))
	for i, d := range decisions {
		if have[i] != d.Want {
			t.Errorf("%s: want %s, have %s", d.Name, d.Want, have[i])
		}
	}
}

// probe is the program of a Lambda function that makes the call of its event.
const probe = `#!%s
import json, os, urllib.error, urllib.request
runtime = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
with urllib.request.urlopen(runtime + "next") as event:
    name, call = event.headers["Lambda-Runtime-Aws-Request-Id"], json.load(event)
scope = os.environ["AWS_ACCESS_KEY_ID"] + "/20261129/eu-central-1/" + call["service"] + "/aws4_request"
signed = "AWS4-HMAC-SHA256 Credential=" + scope + ", SignedHeaders=host, Signature=0"
headers = {"Authorization": signed, **call["headers"]}
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/", call["body"].encode(), headers, method="POST")
try:
    answer = urllib.request.urlopen(request).read().decode()
except urllib.error.HTTPError as error:
    answer = str(error.code) + " " + error.read().decode()
urllib.request.urlopen(urllib.request.Request(runtime + name + "/response", json.dumps(answer).encode(), method="POST"))
`

// probed is a function with a role, whose policy the tests change.
type probed struct {
	*testing.T
	server *Server
	iam    *iam.Client
	lambda *lambda.Client
}

const trust = `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", ` +
	`"Principal": {"Service": "lambda.amazonaws.com"}}}`

func newProbed(t *testing.T) *probed {
	t.Helper()
	moto, err := Prepare(t.Context(), os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	functions := t.TempDir()
	program := []byte(fmt.Sprintf(probe, moto.python))
	if err := os.WriteFile(filepath.Join(functions, "probe"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := moto.Start(t.Context(), Options{Folder: t.TempDir(), Account: Account, Functions: functions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	config := Config(server.URL, "eu-central-1")
	p := &probed{t, server, iam.NewFromConfig(config), lambda.NewFromConfig(config)}
	if _, err = p.iam.CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("probe"), AssumeRolePolicyDocument: aws.String(trust),
	}); err != nil {
		t.Fatal(err)
	}
	return p
}

// create creates the function.
func (p *probed) create(network *lambdatypes.VpcConfig) error {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	_, err := writer.Create("bootstrap")
	if err != nil || writer.Close() != nil {
		p.Fatal(err)
	}
	_, err = p.lambda.CreateFunction(p.Context(), &lambda.CreateFunctionInput{
		FunctionName: aws.String("probe"),
		Role:         aws.String("arn:aws:iam::" + Account + ":role/probe"),
		Code:         &lambdatypes.FunctionCode{ZipFile: archive.Bytes()},
		Runtime:      lambdatypes.RuntimeProvidedal2023,
		Handler:      aws.String("bootstrap"),
		VpcConfig:    network,
		Timeout:      aws.Int32(60),
	})
	return err
}

// allow sets the statements of the role's policy.
func (p *probed) allow(statements ...string) {
	p.Helper()
	log := `{"Sid": "Log", "Effect": "Allow", "Action": "logs:*", "Resource": "*"}`
	all := strings.Join(append(statements, log), ",")
	_, err := p.iam.PutRolePolicy(p.Context(), &iam.PutRolePolicyInput{
		RoleName:       aws.String("probe"),
		PolicyName:     aws.String("probe"),
		PolicyDocument: aws.String(`{"Version": "2012-10-17", "Statement": [` + all + `]}`),
	})
	if err != nil {
		p.Fatal(err)
	}
}

// call has the function make a call, and returns the answer.
func (p *probed) call(r request) string {
	p.Helper()
	event, err := json.Marshal(map[string]any{"service": r.service, "headers": r.headers, "body": r.body})
	if err != nil {
		p.Fatal(err)
	}
	result, err := p.lambda.Invoke(p.Context(), &lambda.InvokeInput{FunctionName: aws.String("probe"), Payload: event})
	if err != nil {
		p.Fatal(err)
	}
	var answer string
	if err := json.Unmarshal(result.Payload, &answer); err != nil {
		p.Fatalf("%v: %s", err, result.Payload)
	}
	return answer
}

func (p *probed) want(what, answer, contains string) {
	p.Helper()
	if !strings.Contains(answer, contains) {
		p.Errorf("%s: want %s in the answer, have %s", what, contains, answer)
	}
}

func TestCallsOfFunctionsNeedTheRightsOfTheirRoles(t *testing.T) {
	p := newProbed(t)
	if err := p.create(nil); err != nil {
		t.Fatal(err)
	}
	config := Config(p.server.URL, "eu-central-1")
	key, err := kms.NewFromConfig(config).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := secretsmanager.NewFromConfig(config).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("a"), SecretString: aws.String("value-of-a"), KmsKeyId: key.KeyMetadata.Arn,
	})
	if err != nil {
		t.Fatal(err)
	}
	statement := func(sid, effect, action, resource, more string) string {
		const form = `{"Sid": %q, "Effect": %q, "Action": %q, "Resource": %q%s}`
		return fmt.Sprintf(form, sid, effect, action, resource, more)
	}
	get := target("secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId": "a"}`)
	read := statement("Read", "Allow", "secretsmanager:GetSecretValue", *made.ARN, "")
	via := `, "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"}}`
	decrypt := statement("Key", "Allow", "kms:Decrypt", *key.KeyMetadata.Arn, via)

	p.allow()
	p.want("no right", p.call(get), `400 {"__type": "AccessDeniedException", "message": `+
		`"User: arn:aws:sts::123456789012:assumed-role/probe/probe is not authorized to perform: `+
		`secretsmanager:GetSecretValue on resource: `+*made.ARN+
		` because no identity-based policy allows the secretsmanager:GetSecretValue action"}`)
	p.allow(read)
	p.want("no right to the key", p.call(get), "Access to KMS is not allowed")
	p.allow(read, decrypt)
	p.want("all rights", p.call(get), "value-of-a")
	p.want("the key, but not through Secrets Manager", p.call(target("kms", "TrentService.Decrypt",
		`{"KeyId": "`+*key.KeyMetadata.KeyId+`", "CiphertextBlob": "AAAA"}`)), "not authorized to perform: kms:Decrypt")
	p.want("another action", p.call(target("secretsmanager", "secretsmanager.DescribeSecret", `{"SecretId": "a"}`)),
		"not authorized to perform: secretsmanager:DescribeSecret")
	p.allow(read, decrypt, statement("Not", "Deny", "secretsmanager:*", "*", ""))
	p.want("a denial", p.call(get), "with an explicit deny in an identity-based policy")
	p.want("what the emulator does not know", p.call(target("kinesis", "Kinesis_20131202.ListStreams", `{}`)),
		"the emulator cannot evaluate the resources of kinesis:ListStreams")
	p.want("the form of other protocols", p.call(form("rds", "Action=DeleteDBSnapshot&DBSnapshotIdentifier=a")),
		"403 <ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>")

	report, err := p.server.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantGranted := "map[probe: Key: kms:Decrypt:1 probe: Log: logs:*:16 probe: Read: secretsmanager:GetSecretValue:2]"
	if have := fmt.Sprint(report.Granted); have != wantGranted {
		t.Errorf("want %s, have %s", wantGranted, have)
	}
	if len(report.Denied) != 7 {
		t.Errorf("want 7 denied calls, have\n%s", strings.Join(slices.Sorted(maps.Keys(report.Denied)), "\n"))
	}
}

func TestFunctionInVPCNeedsARoleWithNetworkInterfaces(t *testing.T) {
	p := newProbed(t)
	network := &lambdatypes.VpcConfig{SubnetIds: []string{"subnet-1"}, SecurityGroupIds: []string{"sg-1"}}
	p.allow()
	err := p.create(network)
	if err == nil || !strings.Contains(err.Error(), "does not have permissions to call CreateNetworkInterface on EC2") {
		t.Errorf("want the error for a missing permission, have %v", err)
	}
	// By Lambda, but not by the function.
	p.allow(`{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}`,
		`{"Effect": "Deny", "Action": "ec2:*", "Resource": "*", "Condition": {"ArnEquals": {`+
			`"lambda:SourceFunctionArn": "arn:aws:lambda:eu-central-1:123456789012:function:probe"}}}`)
	if err := p.create(network); err != nil {
		t.Error(err)
	}
}
