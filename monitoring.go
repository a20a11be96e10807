package main

import (
	_ "embed"
	"fmt"
	"platform/internal/config"
	"regexp"
	"strings"
	"text/template"

	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/ecsservice"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/s3object"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopic"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicpolicy"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/snstopicsubscription"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// Monitoring is where alarms go and metrics are kept.
type Monitoring struct {
	TopicARN           *string
	TopicReady         []cdktf.ITerraformDependable
	PrometheusName     string // in the cluster's namespace; reached from inside the VPC only
	PrometheusService  *string
	PrometheusLogGroup *string // name
}

const prometheusPort = 9090

// newMonitoring declares the topic that people hear of, and Prometheus.
//
//	alarms, events ── topic ── e-mail
//	Prometheus (private) ── tasks' metrics ports
//	           └── ECS' API: which tasks there are
func newMonitoring(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, cluster *Cluster, services []*Service) *Monitoring {
	monitoring := newTopic(stack, cfg, keys, cluster.accountID)
	newPrometheus(stack, cfg, keys, net, cluster, services, monitoring)
	return monitoring
}

// newTopic declares the topic, encrypted, open to the services that publish alarms and events of this account.
func newTopic(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, accountID string) *Monitoring {
	topic := snstopic.NewSnsTopic(stack, jsii.String("alerts_topic"), &snstopic.SnsTopicConfig{
		Name: jsii.String(cfg.ResourceName("alerts")), KmsMasterKeyId: keys.Alerts, Tags: nameTag(cfg, "alerts"),
	})
	arn := *topic.Arn()
	from := func(sid, publisher, sources string) statement {
		return statement{sid: sid, principals: service(publisher), actions: []string{"sns:Publish"}, resources: []string{arn}, conditions: []condition{
			{"ArnLike", "aws:SourceArn", []string{"arn:aws:" + sources}},
		}}
	}
	here := cfg.Region + ":" + accountID
	policy := snstopicpolicy.NewSnsTopicPolicy(stack, jsii.String("alerts_topic_policy"), &snstopicpolicy.SnsTopicPolicyConfig{
		Arn: topic.Arn(),
		Policy: policyJSON(
			from("Alarms", "cloudwatch.amazonaws.com", "cloudwatch:"+here+":alarm:"+cfg.Stack()+"-*"),
			from("Events", "events.amazonaws.com", "events:"+here+":rule/"+cfg.Stack()+"-*"),
			// By account alone: which ARN RDS gives as the source, the instance's or the subscription's, its documentation leaves open.
			statement{
				sid: "DatabaseEvents", principals: service("events.rds.amazonaws.com"), actions: []string{"sns:Publish"}, resources: []string{arn},
				conditions: []condition{equals("aws:SourceAccount", accountID)},
			},
			statement{
				sid: "TLSOnly", deny: true, principals: everyone(), actions: []string{"sns:Publish"}, resources: []string{arn},
				conditions: []condition{{"Bool", "aws:SecureTransport", []string{"false"}}},
			},
		),
	})
	for _, email := range cfg.Monitoring.Emails {
		snstopicsubscription.NewSnsTopicSubscription(stack, jsii.String(subscriptionID(email)), &snstopicsubscription.SnsTopicSubscriptionConfig{
			TopicArn: topic.Arn(), Protocol: jsii.String("email"), Endpoint: jsii.String(email),
		})
	}
	return &Monitoring{TopicARN: topic.Arn(), TopicReady: []cdktf.ITerraformDependable{policy}}
}

// subscriptionID is keyed by the address: its readable part may be the same for two, its digest is not.
func subscriptionID(email string) string {
	readable := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(email), "_")
	return "alerts_subscription_" + underscored(digestedName(60, readable, email))
}

//go:embed prometheus/prometheus.yml
var prometheusText string

// prometheusConfig fills in the configuration: what it is, the file shows.
func prometheusConfig(cfg *config.Config, clusterARN string) string {
	var text strings.Builder
	err := template.Must(template.New("prometheus.yml").Option("missingkey=error").Parse(prometheusText)).Execute(&text, map[string]any{
		"Region": cfg.Region, "Stack": cfg.Stack(), "ClusterARN": clusterARN, "ScrapeInterval": cfg.Monitoring.Prometheus.ScrapeInterval,
	})
	if err != nil {
		panic(fmt.Errorf("prometheus/prometheus.yml: %w", err))
	}
	return text.String()
}

// newPrometheus declares the service. Its task has two containers: the first fetches the configuration, in exactly the version that
// the task definition names, and ends; then Prometheus starts. So a change of the text is a new task definition and rolls the
// service, and a task never starts with another text than the one it was deployed with.
func newPrometheus(stack cdktf.TerraformStack, cfg *config.Config, keys *Keys, net *Network, cluster *Cluster, services []*Service, monitoring *Monitoring) {
	const name, id = "prometheus", "prometheus"
	p := cfg.Monitoring.Prometheus
	bucket := newBucket(stack, cfg, cluster.accountID, "prometheus", bucketOptions{key: keys.Services, superseded: 90})
	object := s3object.NewS3Object(stack, jsii.String(id+"_configuration"), &s3object.S3ObjectConfig{
		Bucket: bucket.Name, Key: jsii.String("prometheus.yml"), ContentType: jsii.String("application/yaml"),
		Content:   jsii.String(prometheusConfig(cfg, *cluster.ARN)),
		KmsKeyId:  keys.Services,
		Tags:      nameTag(cfg, name),
		DependsOn: dependsOn(bucket.Ready...),
	})
	group := newSecurityGroup(stack, cfg, net, id+"_security_group", name, "Prometheus: nothing in; out to what it scrapes")
	logs := newLogGroup(stack, cfg, keys, id+"_log_group", "/"+cfg.Stack()+"/prometheus")
	ready := append([]cdktf.ITerraformDependable{logs}, net.Outside...)
	ready = append(ready, cluster.Ready...)
	ready = append(ready, net.allowOutside(stack, cfg, id, group)...)
	for _, s := range services {
		if metrics := cfg.Services[s.Name].Metrics; metrics.Enabled {
			ready = append(ready, allow(stack, cfg, "service_"+s.Name+"_from_prometheus", "Metrics", group, s.SecurityGroup, metrics.Port)...)
		}
	}
	execution := newRole(stack, cfg, id+"_execution_role", name+"-execution", "ecs-tasks.amazonaws.com", cluster.taskTrust(cfg),
		append([]statement{writeLog(*logs.Arn())}, pullImages(p.Image, p.ConfigImage)...)...)
	task := newRole(stack, cfg, id+"_task_role", name+"-task", "ecs-tasks.amazonaws.com", cluster.taskTrust(cfg),
		append(prometheusStatements(cfg, cluster, *bucket.ARN+"/prometheus.yml"), cluster.execStatements()...)...)
	ready = append(append(ready, execution.Ready...), task.Ready...)

	fetch := newContainer("configuration", p.ConfigImage, *logs.Name(), cfg.Region)
	fetch.Essential = false
	fetch.User = "0" // the shared volume is root's, and only root may write to it; the container ends before Prometheus starts
	fetch.LinuxParameters.Capabilities = noCapabilities()
	fetch.LinuxParameters.Tmpfs = []tmpfs{{"/tmp", 16, []string{"mode=1777", "nosuid", "nodev", "noexec"}}}
	fetch.setEnvironment(map[string]string{"HOME": "/tmp", "AWS_REGION": cfg.Region})
	fetch.Command = []string{"s3api", "get-object", "--bucket", *bucket.Name, "--key", *object.Key(), "--version-id", *object.VersionId(), "/configuration/prometheus.yml"}
	fetch.MountPoints = []mountPoint{{"configuration", "/configuration", false}}

	prometheus := newContainer(name, p.Image, *logs.Name(), cfg.Region)
	prometheus.User = "65534" // nobody, the image's own
	prometheus.StopTimeout = 120
	prometheus.Command = []string{
		"--config.file=/configuration/prometheus.yml",
		"--storage.tsdb.path=/prometheus", // the image declares a volume here: the only place where a bind mount is not root's alone
		fmt.Sprintf("--storage.tsdb.retention.time=%dd", p.Days),
		fmt.Sprintf("--storage.tsdb.retention.size=%dGB", p.Storage*3/4), // the rest is for the log of what is not compacted yet
	}
	prometheus.DependsOn = []containerDependency{{"configuration", "SUCCESS"}}
	prometheus.MountPoints = []mountPoint{{"configuration", "/configuration", true}, {"data", "/prometheus", false}}
	prometheus.HealthCheck = &containerHealthCheck{[]string{"CMD", "/bin/promtool", "check", "healthy"}, 30, 5, 3, 120}
	prometheus.listen(prometheusPort)
	volumes := append([]string{"configuration", "data"}, prometheus.allowExec(true)...) // a port-forward is exec
	definition := newTaskDefinition(stack, cfg, id, name, taskSize{p.CPU, p.Memory, p.Storage, "ARM64"}, execution, task, volumes, fetch, prometheus)

	arguments := newServiceConfig(cfg, cluster, name, id, definition, group, false, true)
	arguments.DesiredCount = jsii.Number(1)
	arguments.ServiceRegistries = &ecsservice.EcsServiceServiceRegistries{RegistryArn: newDiscovery(stack, cfg, cluster, id, name)}
	arguments.DependsOn = dependsOn(ready...)
	monitoring.PrometheusService = ecsservice.NewEcsService(stack, jsii.String(id+"_service"), arguments).Name()
	monitoring.PrometheusName = fmt.Sprintf("%s.%s:%d", name, cluster.Domain, prometheusPort)
	monitoring.PrometheusLogGroup = logs.Name()
}

// prometheusStatements are what Prometheus' discovery of tasks calls, read off its source (discovery/aws/ecs.go of v3.16.0), and the right to
// read its own configuration. That is encrypted with the key of shell sessions, for which execStatements has the right.
func prometheusStatements(cfg *config.Config, cluster *Cluster, object string) []statement {
	arn := func(kind string) string { return "arn:aws:ecs:" + cfg.Region + ":" + cluster.accountID + ":" + kind }
	here := []condition{{"ArnEquals", "ecs:cluster", []string{*cluster.ARN}}}
	return []statement{
		{sid: "Configuration", actions: []string{"s3:GetObject", "s3:GetObjectVersion"}, resources: []string{object}},
		// It begins by describing the cluster called default, whether there is one or not, to see that its credentials work. A call that
		// is refused later only empties the list of targets, and says so in the log alone.
		{sid: "Cluster", actions: []string{"ecs:DescribeClusters"}, resources: []string{*cluster.ARN, arn("cluster/default")}},
		{sid: "List", actions: []string{"ecs:ListServices", "ecs:ListTasks"}, resources: []string{"*"}, conditions: here}, // lists are bound by condition only
		{sid: "Describe", actions: []string{"ecs:DescribeServices", "ecs:DescribeTasks"}, resources: []string{
			arn("service/" + *cluster.Name + "/*"), arn("task/" + *cluster.Name + "/*"),
		}},
		{sid: "Addresses", actions: []string{"ec2:DescribeNetworkInterfaces"}, resources: []string{"*"}}, // EC2 describes all or nothing
	}
}
