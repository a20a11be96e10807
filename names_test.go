package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/config"
	"platform/internal/configtest"
	"platform/internal/stacktest"
)

func TestDigestedNameFitsItsLimit(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?-[0-9a-f]{8}$`)
	dashes := strings.Repeat("-", 40)
	for _, name := range []string{
		"a", "shop-dev-web", strings.Repeat("a", 32), strings.Repeat("long-", 20) + "name", "a" + dashes + "b",
	} {
		for limit := 10; limit <= 64; limit++ {
			got := digestedName(limit, name, "HTTP", "8080")
			if len(got) > limit {
				t.Errorf("limit %d, %s: %s has %d characters", limit, name, got, len(got))
			}
			if !shape.MatchString(got) || strings.Contains(strings.ReplaceAll(got, "a"+dashes, ""), "--") {
				t.Errorf("limit %d, %s: %s", limit, name, got)
			}
			readable := got[:len(got)-9]
			rest, begins := strings.CutPrefix(name, readable)
			if !begins || len(readable) < min(len(name), limit-9) && !strings.HasPrefix(rest, "-") {
				t.Errorf("limit %d, %s: %s begins with less of the name than fits", limit, name, got)
			}
		}
	}
}

func TestDigestedNameChangesWithEachPart(t *testing.T) {
	long := strings.Repeat("long-", 20)
	seen := map[string]string{}
	for what, name := range map[string]string{
		"the name":                          digestedName(32, "shop-dev-web", "HTTP", "8080"),
		"another name":                      digestedName(32, "shop-dev-api", "HTTP", "8080"),
		"another first part":                digestedName(32, "shop-dev-web", "HTTPS", "8080"),
		"another last part":                 digestedName(32, "shop-dev-web", "HTTP", "8081"),
		"one part less":                     digestedName(32, "shop-dev-web", "HTTP"),
		"an empty part more":                digestedName(32, "shop-dev-web", "HTTP", "8080", ""),
		"no part":                           digestedName(32, "shop-dev-web"),
		"the parts' border moved":           digestedName(32, "shop-dev-web", "HTTP8", "080"),
		"the parts swapped":                 digestedName(32, "shop-dev-web", "8080", "HTTP"),
		"the name's border moved":           digestedName(32, "shop-dev-webHTTP", "8080"),
		"a name that is cut":                digestedName(32, long+"a", "HTTP"),
		"another, different behind the cut": digestedName(32, long+"b", "HTTP"),
	} {
		if other, same := seen[name]; same {
			t.Errorf("%s and %s are both %s", what, other, name)
		}
		seen[name] = what
	}
	// Pinned: another digest would replace what bears the name.
	if got, want := digestedName(32, "shop-dev-web", "HTTP", "8080"), "shop-dev-web-ee42b6d0"; got != want {
		t.Errorf("is %s, want %s", got, want)
	}
}

func TestConstructIDsHoldNothingThatCdktfDrops(t *testing.T) {
	kept := regexp.MustCompile(`^[A-Za-z0-9_-]*$`)
	for name, c := range map[string]struct{ got, want string }{
		"an endpoint":        {underscored("ecr.api"), "ecr_api"},
		"one with a dash":    {underscored("aps-workspaces"), "aps_workspaces"},
		"one without either": {underscored("sns"), "sns"},
		"a block":            {cidrID("10.0.0.0/8"), "10_0_0_0_8"},
		"all addresses":      {cidrID("0.0.0.0/0"), "0_0_0_0_0"},
	} {
		if c.got != c.want || !kept.MatchString(c.got) {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
	if got := dashed("service_web_security_group"); got != "service-web-security-group" {
		t.Errorf("an id as a name is %s", got)
	}
	seen := map[string]string{}
	for _, endpoint := range config.InterfaceEndpoints {
		if other, same := seen[underscored(endpoint)]; same {
			t.Errorf("%s and %s are one id", endpoint, other)
		}
		seen[underscored(endpoint)] = endpoint
	}
	blocks := map[string]string{}
	for _, block := range []string{
		"10.0.0.0/8", "10.0.0.0/16", "1.0.0.0/8", "10.0.0.8/32", "10.0.0.83/32", "100.0.0.8/32",
	} {
		if other, same := blocks[cidrID(block)]; same {
			t.Errorf("%s and %s are one id", block, other)
		}
		blocks[cidrID(block)] = block
	}
}

// What Terraform makes of each right side was tried with terraform 1.11: it is the left side again.
func TestLiteralEscapesWhatTerraformWouldEvaluate(t *testing.T) {
	cases := map[string]string{
		"":              "",
		"plain":         "plain",
		"${x}":          "$${x}",
		"$${x}":         "$$${x}",
		"%{if}":         "%%{if}",
		"%%{if}":        "%%%{if}",
		"$%{x}":         "$%%{x}",
		"%${x}":         "%$${x}",
		"a $ and a %":   "a $ and a %",
		"{x} $ {x}":     "{x} $ {x}",
		"${a}${b}%{c}":  "$${a}$${b}%%{c}",
		`\${x} "q" 'q'`: `\$${x} "q" 'q'`,
	}
	for text, want := range cases {
		if got := literal(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	before := map[string]string{"A": "${x}", "${B}": "b", "C": ""}
	was := maps.Clone(before)
	if got := escaped(before); !maps.Equal(got, map[string]string{"A": "$${x}", "${B}": "b", "C": ""}) {
		t.Errorf("a map's values: %v", got)
	}
	if !maps.Equal(before, was) {
		t.Errorf("the map itself became %v", before)
	}
	if got := escaped(nil); len(got) != 0 {
		t.Errorf("no values: %v", got)
	}
}

func TestMarshalLeavesPlaceholdersOfAWSAlone(t *testing.T) {
	got, want := marshal(map[string]string{"b": "<aws.scheduler.scheduled-time>", "a": "&"}),
		`{"a":"&","b":"<aws.scheduler.scheduled-time>"}`
	if got != want {
		t.Errorf("is %s, want %s", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("JSON was made of a channel")
		}
	}()
	marshal(make(chan int))
}

func TestUniqueKeepsTheFirstOfEach(t *testing.T) {
	if got := unique([]string{"b", "a", "b", "c", "a"}); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("is %v", got)
	}
	if got := unique(nil); got != nil {
		t.Errorf("of nothing is %v", got)
	}
}

var namePromises = []stacktest.Promise{{
	Name:  "AWS accepts every name",
	Check: namesAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a bucket's name is too long",
		Stack: "prod",
		By:    stacktest.Set(backupBucket, "bucket", strings.Repeat("b", 64)),
		Found: backupBucket,
	}, {
		Name:  "a load balancer's name is too long",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "name", strings.Repeat("b", 33)),
		Found: loadBalancer,
	}, {
		Name:  "a role's name is too long",
		Stack: "prod",
		By:    stacktest.Set(flowLogRole, "name", strings.Repeat("b", 65)),
		Found: flowLogRole,
	}, {
		Name:  "a load balancer's name begins with AWS's own prefix",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "name", "internal-platform"),
		Found: loadBalancer,
	}, {
		Name:  "a security group's name begins with AWS's own prefix",
		Stack: "prod",
		By:    stacktest.Set(webSecurityGroup, "name", "sg-web"),
		Found: webSecurityGroup,
	}, {
		Name:  "a final snapshot's name contains underscores",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "final_snapshot_identifier", "platform_prod_final"),
		Found: databaseInstance,
	}, {
		Name:  "a role's name does not contain the region, though IAM is global",
		Stack: "prod",
		By:    stacktest.Set(flowLogRole, "name", "platform-prod-flow-logs"),
		Found: flowLogRole,
	}, {
		Name:  "a database's name contains two hyphens in a row",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "identifier", "platform--prod"),
		Found: databaseInstance,
	}, {
		Name:  "a target group's name contains an underscore",
		Stack: "prod",
		By:    stacktest.Set(webTargetGroup, "name", "platform_prod"),
		Found: webTargetGroup,
	}, {
		Name:  "a function has no name",
		Stack: "prod",
		By:    stacktest.Remove(backupFunction, "function_name"),
		Found: backupFunction,
	}},
}, {
	Name:  "no two resources of a kind have the same name",
	Check: namesAreUnique,
	BrokenBy: []stacktest.Break{{
		Name:  "two security groups have the same name",
		Stack: "prod",
		By:    stacktest.Set(webSecurityGroup, "name", "platform-prod-database_instances"),
		Found: webSecurityGroup,
	}, {
		Name:  "two alarms have the same name",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "alarm_name", "platform-prod-backup-age"),
		Found: databaseCPUAlarm,
	}},
}, {
	Name:  "no service can have the name of something of the platform",
	Check: platformNamesAreApart,
	BrokenBy: []stacktest.Break{{
		Name:  "a security group's name could be that of a service's",
		Stack: "prod",
		By:    stacktest.Set(databaseSecurityGroup, "name", "platform-prod-database"),
		Found: databaseSecurityGroup,
	}, {
		Name:  "an ECS service's name could be that of a service",
		Stack: "prod",
		By:    stacktest.Set(prometheusService, "name", "prometheus-server"),
		Found: prometheusService,
	}, {
		Name:  "a task definition's family could be that of a service",
		Stack: "prod",
		By:    stacktest.Set(prometheusTask, "family", "platform-prod-prometheus-server"),
		Found: prometheusTask,
	}, {
		Name:  "a container's name could be that of a service",
		Stack: "prod",
		By:    stacktest.Set(webTask, "container_definitions[name=rds_certificates].name", "rds-certificates"),
		Found: webTask,
	}, {
		Name:  "a role's name could be that of a service's",
		Stack: "prod",
		By:    stacktest.Set(flowLogRole, "name", "platform-prod-eu-central-1-flow-logs-task"),
		Found: flowLogRole,
	}, {
		Name:  "an alarm's name could be that of a service's",
		Stack: "prod",
		By:    stacktest.Set(databaseCPUAlarm, "alarm_name", "platform-prod-service-database-cpu"),
		Found: databaseCPUAlarm,
	}},
}, {
	Name:  "AWS accepts every description",
	Check: descriptionsAreAccepted,
	BrokenBy: []stacktest.Break{{
		Name:  "a security group's description contains an apostrophe",
		Stack: "prod",
		By:    stacktest.Set(webSecurityGroup, "description", "The web's tasks"),
		Found: webSecurityGroup,
	}, {
		Name:  "a security group rule's description contains an arrow",
		Stack: "prod",
		By:    stacktest.Set(egressRule+"service_web_https_egress", "description", "HTTPS → AWS"),
		Found: egressRule + "service_web_https_egress",
	}, {
		Name:  "a function's description is too long",
		Stack: "prod",
		By:    stacktest.Set(backupFunction, "description", strings.Repeat("d", 257)),
		Found: backupFunction,
	}},
}, {
	Name:  "construct ids are in snake case, and contain neither the environment nor cdktf's hash",
	Check: idsArePermanent,
	BrokenBy: []stacktest.Break{{
		Name:  "an id contains the environment",
		Stack: "prod",
		By:    stacktest.CreateLike("aws_vpc.vpc", "aws_vpc.vpc_prod", "cidr_block", "10.0.0.0/16"),
		Found: "aws_vpc.vpc_prod",
	}, {
		Name:  "an id contains a hyphen",
		Stack: "prod",
		By:    stacktest.CreateLike("aws_vpc.vpc", "aws_vpc.main-vpc", "cidr_block", "10.0.0.0/16"),
		Found: "aws_vpc.main-vpc",
	}, {
		Name:  "an id ends in cdktf's hash, which changes when the construct is moved",
		Stack: "prod",
		By:    stacktest.CreateLike("aws_vpc.vpc", "aws_vpc.network_vpc_AB12CD34", "cidr_block", "10.0.0.0/16"),
		Found: "aws_vpc.network_vpc_AB12CD34",
	}, {
		Name:  "a service's security group has an id without the service's prefix",
		Stack: "prod",
		By: stacktest.All(
			stacktest.CreateLike(webSecurityGroup, "aws_security_group.web_group", "name", "web"),
			stacktest.Set(webService, "network_configuration.security_groups",
				[]any{idOf("aws_security_group.web_group")}),
		),
		Found: webService,
	}, {
		Name:  "an id begins with the prefix of a service that does not exist",
		Stack: "prod",
		By:    stacktest.CreateLike(webSecurityGroup, "aws_security_group.service_other_group", "name", "other"),
		Found: "aws_security_group.service_other_group",
	}},
}}

// awsName is an argument that AWS restricts. Its shape is narrower than AWS's where the platform's
// names are.
type awsName struct {
	kind, path string
	limit      int
	shape      *regexp.Regexp
}

var (
	plainName  = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	dashedName = regexp.MustCompile(`^[A-Za-z0-9]+(-[A-Za-z0-9]+)*$`)
	labelName  = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)
	pathName   = regexp.MustCompile(`^[A-Za-z0-9_./#-]+$`)

	instanceName   = regexp.MustCompile(`^[a-z]+[a-z0-9]*(-[a-z0-9]+)*$`)
	repositoryName = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$`)

	anyText = regexp.MustCompile(`.`)
	ec2Text = regexp.MustCompile(`^[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+$`)
	wafText = regexp.MustCompile(`^[\w+=:#@/\-,.][\w+=:#@/\-,.\s]+[\w+=:#@/\-,.]$`)
)

var awsNames = []awsName{
	{kind: "aws_cloudwatch_dashboard", path: "dashboard_name", limit: 255, shape: plainName},
	{kind: "aws_cloudwatch_event_rule", path: "name", limit: 64, shape: plainName},
	{kind: "aws_cloudwatch_log_group", path: "name", limit: 512, shape: pathName},
	{kind: "aws_cloudwatch_metric_alarm", path: "alarm_name", limit: 255, shape: plainName},
	{kind: "aws_db_event_subscription", path: "name", limit: 255, shape: dashedName},
	{kind: "aws_db_instance", path: "identifier", limit: 63, shape: instanceName},
	{kind: "aws_db_parameter_group", path: "name", limit: 255, shape: dashedName},
	{kind: "aws_db_subnet_group", path: "name", limit: 255, shape: plainName},
	{kind: "aws_ecr_repository", path: "name", limit: 256, shape: repositoryName},
	{kind: "aws_ecs_cluster", path: "name", limit: 255, shape: plainName},
	{kind: "aws_ecs_service", path: "name", limit: 255, shape: plainName},
	{kind: "aws_ecs_task_definition", path: "family", limit: 255, shape: plainName},
	{kind: "aws_iam_role", path: "name", limit: 64, shape: plainName},
	{kind: "aws_iam_role_policy", path: "name", limit: 128, shape: plainName},
	{kind: "aws_kms_alias", path: "name", limit: 256, shape: regexp.MustCompile(`^alias/[A-Za-z0-9/_-]+$`)},
	{kind: "aws_lambda_function", path: "function_name", limit: 64, shape: plainName},
	{kind: "aws_lb", path: "name", limit: 32, shape: dashedName},
	{kind: "aws_lb_target_group", path: "name", limit: 32, shape: dashedName},
	{kind: "aws_appautoscaling_policy", path: "name", limit: 255, shape: plainName},
	{kind: "aws_appautoscaling_scheduled_action", path: "name", limit: 255, shape: plainName},
	{kind: "aws_s3_bucket", path: "bucket", limit: 63, shape: regexp.MustCompile(`^[a-z0-9][a-z0-9-]*[a-z0-9]$`)},
	{kind: "aws_scheduler_schedule", path: "name", limit: 64, shape: plainName},
	{kind: "aws_scheduler_schedule_group", path: "name", limit: 64, shape: plainName},
	{kind: "aws_security_group", path: "name", limit: 255, shape: plainName},
	{kind: "aws_service_discovery_private_dns_namespace", path: "name", limit: 253, shape: plainName},
	{kind: "aws_service_discovery_service", path: "name", limit: 63, shape: labelName},
	{kind: "aws_sns_topic", path: "name", limit: 256, shape: regexp.MustCompile(`^[A-Za-z0-9_-]+$`)},
	{kind: "aws_wafv2_web_acl", path: "name", limit: 128, shape: regexp.MustCompile(`^[A-Za-z0-9_-]+$`)},
}

func namesAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, n := range awsNames {
		for _, r := range s.Resources(n.kind) {
			name := s.Resolve(r.String(n.path))
			v.Want(len(name) >= 1 && len(name) <= n.limit,
				r.Address, "want a %s of 1 to %d characters, have %d: %s", n.path, n.limit, len(name), name)
			v.Want(n.shape.MatchString(name), r.Address, "has a %s that AWS rejects: %s", n.path, name)
		}
	}
	for _, lb := range s.Resources("aws_lb") {
		v.Want(!strings.HasPrefix(lb.String("name"), "internal-"), lb.Address, "has a name with AWS's own prefix")
	}
	for _, role := range s.Resources("aws_iam_role") {
		v.Want(strings.Contains(role.String("name"), "-"+s.Region()+"-"),
			role.Address, "has the name that the same stack in another region would have too")
	}
	for _, group := range s.Resources("aws_security_group") {
		v.Want(!strings.HasPrefix(group.String("name"), "sg-"), group.Address, "has a name with AWS's own prefix")
	}
	for _, instance := range s.Resources("aws_db_instance") {
		if snapshot := s.Resolve(instance.String("final_snapshot_identifier")); snapshot != "" {
			v.Want(len(snapshot) <= 255 && dashedName.MatchString(snapshot),
				instance.Address, "has a final snapshot whose name AWS rejects: %s", snapshot)
		}
	}
}

// Two security groups of one VPC, or two resources of any kind that is found by its name, cannot
// have the same name.
func namesAreUnique(s stacktest.Stack, v *stacktest.Violations) {
	for _, n := range awsNames {
		if n.kind == "aws_iam_role_policy" {
			continue // unique in its role
		}
		taken := map[string]string{}
		for _, r := range s.Resources(n.kind) {
			name := s.Resolve(r.String(n.path))
			v.Want(taken[name] == "", r.Address, "has the name %s, as %s has", name, taken[name])
			taken[name] = r.Address
		}
	}
}

// ofService matches the names of roles and alarms that a service has.
var ofService = regexp.MustCompile(`^[^_]*(-task|-execution|-deployment-[a-z]+)$|-service-`)

// platformNamesAreApart checks names that are unique among services and parts of the platform: those
// of the platform have an underscore, which no name of a service has, or another form.
func platformNamesAreApart(s stacktest.Stack, v *stacktest.Violations) {
	paths := map[string]string{
		"aws_ecs_service": "name", "aws_ecs_task_definition": "family", "aws_security_group": "name",
		"aws_service_discovery_service": "name",
	}
	for _, r := range s.Resources() {
		path, shared := paths[r.Kind()]
		if strings.HasPrefix(r.ID(), "service_") {
			continue
		}
		name := strings.TrimPrefix(r.String(path), s.Name())
		v.Want(!shared || strings.Contains(name, "_"), r.Address, "has a name that a service can have: %s", name)
		for kind, path := range map[string]string{"aws_iam_role": "name", "aws_cloudwatch_metric_alarm": "alarm_name"} {
			v.Want(r.Kind() != kind || !ofService.MatchString(r.String(path)),
				r.Address, "has a name that one of a service can have: %s", r.String(path))
		}
	}
	for _, t := range serviceTasks(s) {
		for _, c := range t.containers() {
			own := c.String("name")
			v.Want(own == t.name() || strings.Contains(own, "_") || !isConfiguredTask(t), t.definition.Address,
				"has a container whose name a service can have: %s", own)
		}
	}
}

// isConfiguredTask reports whether a task is that of a configured service, and not of the platform.
func isConfiguredTask(t serviceTask) bool { return strings.HasPrefix(t.service.ID(), "service_") }

// hostileName draws the name of a service from the words of which other names and ids are made.
func hostileName(random *rand.Rand) string {
	words := strings.Fields("web a b x service database secret role task execution to from out load balancer group " +
		"prometheus endpoints vpc dump deployment latency errors cpu target log scaling schedule rule alarm 8080")
	for {
		var name []string
		for range 1 + random.IntN(4) {
			name = append(name, words[random.IntN(len(words))])
		}
		if text := strings.Join(name, "-"); len(text) <= 24 && text[0] > '9' {
			return text
		}
	}
}

// Whatever the services are called, no two of their ids are equal: the nouns are those of a stack.
func TestIDsOfServicesAreDifferent(t *testing.T) {
	random := rand.New(rand.NewPCG(configtest.Seed(), 1))
	nouns, names := map[string]bool{}, map[string]bool{}
	for _, r := range parsed(t, hostileStack(t, []string{"web", "api"})).Resources() {
		if noun, found := strings.CutPrefix(r.ID(), "service_web_"); found {
			nouns[noun] = true
		}
	}
	if len(nouns) < 20 {
		t.Fatalf("a service has only the ids %v", slices.Sorted(maps.Keys(nouns)))
	}
	for range 2000 {
		names[hostileName(random)] = true
	}
	seen := map[string]string{}
	for name := range names {
		for noun := range nouns {
			id := serviceID(name) + "_" + noun
			if seen[id] != "" {
				t.Fatalf("%s is an id of %s and of %s", id, name, seen[id])
			}
			seen[id] = name
		}
	}
}

// hostileStack synthesises a stack whose services use everything that has a name, and call each
// other. Its own name is as long as it may be.
func hostileStack(t *testing.T, names []string) tree {
	t.Helper()
	text := "name: warehouses\nregion: ap-southeast-1\nnetwork: {endpoints: [logs]}\nservices:\n"
	for i, name := range names {
		text += fmt.Sprintf("  %s: {image: 'quay.io/x/y:1', database: {access: read, connections: 1}, "+
			"repository: true, route: {paths: [/%[3]d], priority: %[2]d}, metrics: {enabled: true, port: 8080}, "+
			"calls: [%[4]s], egress: [587], scaling: {max: 4, requests: 9, "+
			"schedules: {cpu: {at: 'cron(0 22 * * ? *)', min: 1, max: 2}}}}\n",
			name, 2*i+2, i, names[(i+1)%len(names)])
	}
	return synth(t, parse(t, "integration", text), placeholder(t))
}

func TestHostileNamesOfServicesAreApart(t *testing.T) {
	random := rand.New(rand.NewPCG(configtest.Seed(), 2))
	lists := [][]string{{
		"a", "a-b", "service", "service-x", "x-deployment", "x", "web", "web-database", "web-to-a",
		"database", "prometheus", "endpoints",
	}, {
		"load-balancer", "database-dump", "database-exporter", "database-function", "prometheus-server",
		"rds-certificates", "writable-folders", "web", "web-task", "web-execution", "abcdefghijkl-mnopqrstuvw",
		"abcdefghijkl-mnopqrstuvx",
	}}
	for range 4 {
		drawn := map[string]bool{}
		for len(drawn) < 10 {
			drawn[hostileName(random)] = true
		}
		lists = append(lists, slices.Sorted(maps.Keys(drawn)))
	}
	for _, names := range lists {
		t.Run(strings.Join(names, " "), func(t *testing.T) {
			s := parsed(t, hostileStack(t, names))
			for _, promise := range namePromises {
				for _, violation := range stacktest.Check(promise, s) {
					t.Errorf("%s: %s", promise.Name, violation)
				}
			}
		})
	}
}

// awsDescriptions are the descriptions that AWS restricts. EC2 rejects an apostrophe and everything
// beyond ASCII, without saying which character it rejects.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
var awsDescriptions = map[string]awsName{
	"aws_security_group":                  {path: "description", limit: 255, shape: ec2Text},
	"aws_vpc_security_group_ingress_rule": {path: "description", limit: 255, shape: ec2Text},
	"aws_vpc_security_group_egress_rule":  {path: "description", limit: 255, shape: ec2Text},
	"aws_wafv2_web_acl":                   {path: "description", limit: 256, shape: wafText},
	"aws_cloudwatch_metric_alarm":         {path: "alarm_description", limit: 1024, shape: anyText},
	"aws_lambda_function":                 {path: "description", limit: 256, shape: anyText},
	"aws_scheduler_schedule":              {path: "description", limit: 512, shape: anyText},
	"aws_cloudwatch_event_rule":           {path: "description", limit: 512, shape: anyText},
	"aws_kms_key":                         {path: "description", limit: 8192, shape: anyText},
	"aws_db_parameter_group":              {path: "description", limit: 255, shape: anyText},
}

func descriptionsAreAccepted(s stacktest.Stack, v *stacktest.Violations) {
	for _, r := range s.Resources() {
		if d, ok := awsDescriptions[r.Kind()]; ok {
			text := r.String(d.path)
			v.Want(len(text) <= d.limit && d.shape.MatchString(text),
				r.Address, "has a description of %d characters that AWS rejects: %q", len(text), text)
		}
	}
}

var (
	snakeCase     = regexp.MustCompile(`^[a-z][a-z0-9]*(__?[a-z0-9]+)*$`)
	servicePrefix = regexp.MustCompile(`^service_[a-z0-9]+(__[a-z0-9]+)*_`)
)

func idsArePermanent(s stacktest.Stack, v *stacktest.Violations) {
	environment := s.Provider().String("default_tags.tags.Environment")
	prefixes := map[string]bool{}
	for _, t := range serviceTasks(s) {
		prefix := serviceID(t.name()) + "_"
		if slices.Contains([]string{"prometheus_server", "database_exporter"}, t.name()) {
			prefix = strings.TrimSuffix(t.name(), "_server") + "_" // a part of the platform
		}
		prefixes[prefix] = true
		addresses := append([]string{t.service.Address, t.definition.Address, t.securityGroup()},
			t.definition.References("execution_role_arn")...)
		for _, address := range addresses {
			v.Want(strings.HasPrefix(s.Resource(address).ID(), prefix),
				t.service.Address, "has %s, want an id that begins with %s", address, prefix)
		}
	}
	for _, r := range slices.Concat(s.Resources(), s.DataSources()) {
		v.Want(snakeCase.MatchString(r.ID()), r.Address, "is not in snake case")
		prefix := servicePrefix.FindString(r.ID())
		if prefix != "" {
			v.Want(prefixes[prefix], r.Address, "begins with %s, and there is no such service", prefix)
		}
		v.Want(!slices.Contains(strings.Split(strings.TrimPrefix(r.ID(), prefix), "_"), environment),
			r.Address, "contains the environment, so that other environments have other addresses")
	}
}
