//go:build e2e

package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"platform/internal/emulator"
)

// serving returns the ARN of the listener that does not redirect.
func (w *deployed) serving() string {
	w.Helper()
	for _, l := range w.listeners() {
		if l.DefaultActions[0].Type != elbtypes.ActionTypeEnumRedirect {
			return *l.ListenerArn
		}
	}
	w.Fatal("every listener redirects")
	return ""
}

// outputsMatchTheDeployment compares Terraform's outputs with AWS's API.
func (s *sandbox) outputsMatchTheDeployment(t *testing.T, w *deployed) {
	out, err := s.terraform(t, "output", "-json")
	if err != nil {
		t.Fatalf("terraform output: %v\n%s", err, out)
	}
	var outputs map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(out), &outputs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	have := map[string]any{}
	for name, output := range outputs {
		have[name] = output.Value
	}
	address := "http://" + *w.loadBalancer.DNSName
	if w.domain != "" {
		address = "https://" + w.domain
	}
	want := map[string]any{
		"url":                             address,
		"load_balancer_dns_name":          *w.loadBalancer.DNSName,
		"load_balancer_zone_id":           *w.loadBalancer.CanonicalHostedZoneId,
		"load_balancer_security_group_id": w.groups["load_balancer"],
		"load_balancer_arn":               *w.loadBalancer.LoadBalancerArn,
		"listener_arn":                    w.serving(),
		"vpc_id":                          w.vpc,
		"public_subnet_ids":               w.subnetIDs("public"),
		"private_subnet_ids":              w.subnetIDs("private"),
		"database_subnet_ids":             w.subnetIDs("database"),
		"cluster_name": *must(w.ecs.DescribeClusters(alive, &ecs.DescribeClustersInput{
			Clusters: []string{w.stack},
		}))(t).Clusters[0].ClusterName,
		"service_names":                    map[string]string{"web": "web"},
		"service_task_definition_families": map[string]string{"web": w.stack + "-web"},
		"service_task_role_names":          map[string]string{"web": w.stack + "-" + w.region + "-web-task"},
		"service_execution_role_names":     map[string]string{"web": w.stack + "-" + w.region + "-web-execution"},
		"secrets_key_arn":                  w.key("secrets"),
		"service_security_group_ids":       map[string]string{"web": w.groups["web"]},
		"repository_urls":                  map[string]string{},
		"log_group_names": map[string]string{
			"prometheus":     "/" + w.stack + "/prometheus",
			"backup":         "/aws/lambda/" + w.stack + "-backup",
			"database_roles": "/aws/lambda/" + w.stack + "-database",
			"database":       "/aws/rds/instance/" + w.stack + "/postgresql",
			"service_web":    "/" + w.stack + "/service/web",
		},
		"database_address":           *w.database.Endpoint.Address,
		"database_port":              *w.database.Endpoint.Port,
		"database_secret_arn":        *w.database.MasterUserSecret.SecretArn,
		"database_security_group_id": w.groups["database_instances"],
		"service_database_secret_arns": map[string]string{
			"web": *must(w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{
				SecretId: aws.String(w.stack + "/database/web"),
			}))(t).ARN,
		},
		"prometheus_address": "prometheus_server." + w.stack + ".internal:9090",
		"alerts_topic_arn":   w.topic,
		"dashboard_url": "https://" + w.region + ".console.aws.amazon.com/cloudwatch/home" +
			"?region=" + w.region + "#dashboards/dashboard/" + w.stack,
		"backup_bucket_name": w.stack + "-backup-" + emulator.Account + "-" + w.region,
		"backup_function_name": *must(w.lambda.GetFunctionConfiguration(alive, &lambda.GetFunctionConfigurationInput{
			FunctionName: aws.String(w.stack + "-backup"),
		}))(t).FunctionName,
	}
	others := slices.DeleteFunc(slices.Concat(w.dumpTasks, w.runs), func(name string) bool {
		return name == "web" || name == "prometheus_server"
	})
	for _, task := range others {
		want["log_group_names"].(map[string]string)[task] = "/" + w.stack + "/" + strings.ReplaceAll(task, "_", "-")
	}
	w.sameElements("outputs", slices.Collect(maps.Keys(have)), slices.Collect(maps.Keys(want)))
	for name, value := range want {
		had, _ := json.Marshal(have[name])
		text, _ := json.Marshal(value)
		w.equal("output "+name, string(had), string(text))
	}
	for name, group := range want["log_group_names"].(map[string]string) {
		w.logGroup("the log group of output "+name, group)
	}
}
