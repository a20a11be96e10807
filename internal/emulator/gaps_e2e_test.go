//go:build e2e

package emulator

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func rds(action, parameters string) request {
	return form("rds", "Version=2014-10-31&Action="+action+"&"+parameters)
}

func elb(action, parameters string) request {
	return form("elasticloadbalancing", "Version=2015-12-01&Action="+action+"&"+parameters)
}

func ecs(action, body string) request {
	return target("ecs", "AmazonEC2ContainerServiceV20141113."+action, body)
}

const instance = "DBInstanceIdentifier=a&DBInstanceClass=db.t4g.micro&Engine=postgres&AllocatedStorage=20" +
	"&StorageType=gp3&MasterUsername=master&MasterUserPassword=password&StorageEncrypted=true&KmsKeyId="

// conversation is a series of calls to one emulator.
type conversation struct {
	*testing.T
	server *Server

	// found are parts of answers. A call has them in braces.
	found map[string]string
}

// TestGaps makes calls that AWS refuses and moto accepts, or the other way round.
func TestGaps(t *testing.T) {
	server := start(t)
	for name, test := range map[string]func(*conversation){
		"deregistered task definition":            deregisteredTaskDefinition,
		"single task and Fargate":                 singleTaskAndFargate,
		"database":                                database,
		"dashboard":                               dashboardOfAlarms,
		"names, and conditions of load balancers": namesAndConditions,
		"subjects of messages":                    subjects,
		"resources found by tags":                 tagged,
		"services without tasks":                  noTasks,
	} {
		t.Run(name, func(t *testing.T) { test(&conversation{t, server, map[string]string{}}) })
	}
}

// send makes a call. The answer must contain a text, and be an error if the text is not empty.
func (c *conversation) send(name string, r request, contains string) string {
	c.Helper()
	for placeholder, value := range c.found {
		if !strings.HasPrefix(r.body, "{") {
			value = url.QueryEscape(value)
		}
		r.body = strings.ReplaceAll(r.body, placeholder, value)
	}
	status, body := r.send(c.T, c.server.URL)
	if (contains == "") != (status == http.StatusOK) || !strings.Contains(body, contains) {
		c.Errorf("%s: want %s, have %d: %s", name, contains, status, body)
	}
	return body
}

// find keeps the first group of a pattern in the answer to a call.
func (c *conversation) find(placeholder, pattern string, r request) {
	c.Helper()
	answer := c.send(placeholder, r, "")
	match := regexp.MustCompile(pattern).FindStringSubmatch(answer)
	if match == nil {
		c.Fatalf("no %s in %s", pattern, answer)
	}
	c.found[placeholder] = match[1]
}

// deregisteredTaskDefinition: a service cannot be rolled back to a deregistered revision, or
// restarted with it.
func deregisteredTaskDefinition(c *conversation) {
	c.send("cluster", ecs("CreateCluster", `{"clusterName": "c"}`), "")
	for range 2 {
		c.send("definition", ecs("RegisterTaskDefinition",
			`{"family": "f", "containerDefinitions": [{"name": "a", "image": "a", "memory": 128}]}`), "")
	}
	c.send("service", ecs("CreateService",
		`{"cluster": "c", "serviceName": "s", "taskDefinition": "f:1", "desiredCount": 0}`), "")
	c.send("deregistration", ecs("DeregisterTaskDefinition", `{"taskDefinition": "f:1"}`), "")
	const inactive = "TaskDefinition is inactive"
	c.send("back", ecs("UpdateService", `{"cluster": "c", "service": "s", "taskDefinition": "f:1"}`), inactive)
	c.send("restart", ecs("UpdateService", `{"cluster": "c", "service": "s", "forceNewDeployment": true}`), inactive)
	c.send("other", ecs("CreateService", `{"cluster": "c", "serviceName": "t", "taskDefinition": "f:1"}`), inactive)
	c.send("forward", ecs("UpdateService", `{"cluster": "c", "service": "s", "taskDefinition": "f:2"}`), "")
}

// singleTaskAndFargate: a service that may not have a second task cannot rebalance, and Fargate
// accepts less in a container than EC2.
func singleTaskAndFargate(c *conversation) {
	c.send("cluster", ecs("CreateCluster", `{"clusterName": "d"}`), "")
	define := func(more, of string) request {
		return ecs("RegisterTaskDefinition", `{"family": "g"`+of+
			`, "containerDefinitions": [{"name": "a", "image": "a", "memory": 128`+more+`}]}`)
	}
	added := func(capability string) string {
		return `, "linuxParameters": {"capabilities": {"add": ["` + capability + `"], "drop": []}}`
	}
	limit := func(name string) string {
		return `, "ulimits": [{"name": "` + name + `", "softLimit": 2048, "hardLimit": 2048}]`
	}
	c.send("definition", define(added("SYS_PTRACE")+limit("nofile"), `, "ephemeralStorage": {"sizeInGiB": 21}`), "")
	c.send("capability", define(added("NET_BIND_SERVICE"), ""), "SYS_PTRACE")
	c.send("privileged", define(`, "privileged": true`, ""), "SYS_PTRACE")
	c.send("limit", define(limit("nproc"), ""), "nofile")
	c.send("disk", define("", `, "ephemeralStorage": {"sizeInGiB": 20}`), "21 to 200")

	service := func(rebalancing, most string) request {
		return ecs("CreateService", `{"cluster": "d", "serviceName": "s`+most+`", "taskDefinition": "g", `+
			`"desiredCount": 0, "availabilityZoneRebalancing": "`+rebalancing+`", `+
			`"deploymentConfiguration": {"maximumPercent": `+most+`}}`)
	}
	c.send("two at a time", service("ENABLED", "101"), "")
	c.send("one at a time, rebalanced", service("ENABLED", "100"), "maximumPercent above 100")
	c.send("one at a time", service("DISABLED", "100"), "")
	c.send("rebalanced later", ecs("UpdateService", `{"cluster": "d", "service": "s100", `+
		`"availabilityZoneRebalancing": "ENABLED", "deploymentConfiguration": {"maximumPercent": 100}}`),
		"maximumPercent above 100")
}

// database: a restore needs the key of the backup.
func database(c *conversation) {
	c.find("{key}", `"Arn": "([^"]*)"`, target("kms", "TrentService.CreateKey", `{}`))
	_, c.found["{id}"], _ = strings.Cut(c.found["{key}"], "/")
	c.send("instance", rds("CreateDBInstance", instance+"{key}"), "")
	c.send("snapshot", rds("CreateDBSnapshot", "DBInstanceIdentifier=a&DBSnapshotIdentifier=s"), "")
	restore := rds("RestoreDBInstanceFromDBSnapshot", "DBInstanceIdentifier=b&DBSnapshotIdentifier=s")
	rewind := rds("RestoreDBInstanceToPointInTime",
		"SourceDBInstanceIdentifier=a&TargetDBInstanceIdentifier=c&UseLatestRestorableTime=true")
	c.send("deletion of the key", target("kms", "TrentService.ScheduleKeyDeletion", `{"KeyId": "{id}"}`), "")
	c.send("restore", restore, "KMSKeyNotAccessibleFault")
	c.send("point in time", rewind, "KMSKeyNotAccessibleFault")
	other := strings.Replace(instance, "=a&", "=d&", 1)
	c.send("new instance", rds("CreateDBInstance", other+"{key}"), "KMSKeyNotAccessibleFault")
	c.send("the key is kept", target("kms", "TrentService.CancelKeyDeletion", `{"KeyId": "{id}"}`), "")
	c.send("disabled still", restore, "KMSKeyNotAccessibleFault")
	c.send("the key is enabled", target("kms", "TrentService.EnableKey", `{"KeyId": "{id}"}`), "")
	c.send("restore with the key", restore, "")

	c.send("storage", rds("ModifyDBInstance", "DBInstanceIdentifier=a&AllocatedStorage=500&Iops=3000"),
		"InvalidParameterCombination")
	c.send("storage with its IOPS", rds("ModifyDBInstance",
		"DBInstanceIdentifier=a&AllocatedStorage=500&Iops=12000"), "")

	c.send("parameter group", rds("CreateDBParameterGroup",
		"DBParameterGroupName=p&DBParameterGroupFamily=postgres17&Description=p"), "")
	parameter := func(name, value, method string) request {
		return rds("ModifyDBParameterGroup", "DBParameterGroupName=p&Parameters.Parameter.1.ParameterName="+name+
			"&Parameters.Parameter.1.ParameterValue="+value+"&Parameters.Parameter.1.ApplyMethod="+method)
	}
	c.send("static parameter at once", parameter("shared_preload_libraries", "pg_stat_statements", "immediate"),
		"cannot use immediate apply method for static parameter")
	c.send("static parameter", parameter("shared_preload_libraries", "pg_stat_statements", "pending-reboot"), "")
	c.send("dynamic parameter", parameter("log_lock_waits", "1", "immediate"), "")
	c.send("RDS's own value", parameter("rds.force_ssl", "1", "immediate"), "")
	all := c.send("parameters", rds("DescribeDBParameters", "DBParameterGroupName=p"), "")
	for _, want := range []string{
		"<ParameterName>log_lock_waits</ParameterName><ParameterValue>1</ParameterValue><Source>user</Source>" +
			"<ApplyMethod>immediate</ApplyMethod>",
		"<ParameterName>rds.force_ssl</ParameterName><ParameterValue>1</ParameterValue><Source>system</Source>" +
			"<ApplyMethod>pending-reboot</ApplyMethod>",
	} {
		if !strings.Contains(all, want) {
			c.Errorf("want %s in %s", want, all)
		}
	}
}

// dashboardOfAlarms is about a widget.
func dashboardOfAlarms(c *conversation) {
	dashboard := func(alarms int) request {
		body := `{"widgets": [{"type": "alarm", "properties": {"alarms": [` +
			strings.TrimSuffix(strings.Repeat(`"a",`, alarms), ",") + `]}}]}`
		return form("monitoring", "Version=2010-08-01&Action=PutDashboard&DashboardName=d&DashboardBody="+
			url.QueryEscape(body))
	}
	c.send("101 alarms", dashboard(101), "InvalidParameterInput")
	c.send("100 alarms", dashboard(100), "")
}

// namesAndConditions is about security groups, load balancers and listener rules.
func namesAndConditions(c *conversation) {
	vpc := form("ec2", "Version=2016-11-15&Action=CreateVpc&CidrBlock=10.0.0.0%2F16")
	c.find("{vpc}", `<vpcId>([^<]*)<`, vpc)
	group := "Version=2016-11-15&Action=CreateSecurityGroup&GroupDescription=a&VpcId={vpc}&GroupName="
	c.send("security group", form("ec2", group+"sg-a"), "InvalidParameterValue")
	c.send("security group", form("ec2", group+"a"), "")
	subnet := "Version=2016-11-15&Action=CreateSubnet&VpcId={vpc}&AvailabilityZone=eu-central-1"
	c.find("{a}", `<subnetId>([^<]*)<`, form("ec2", subnet+"a&CidrBlock=10.0.0.0%2F24"))
	c.find("{b}", `<subnetId>([^<]*)<`, form("ec2", subnet+"b&CidrBlock=10.0.1.0%2F24"))

	subnets := "Subnets.member.1={a}&Subnets.member.2={b}&Name="
	c.send("load balancer", elb("CreateLoadBalancer", subnets+"internal-a"), "cannot begin with")
	c.find("{lb}", `<LoadBalancerArn>([^<]*)<`, elb("CreateLoadBalancer", subnets+"a"))
	fixed := ".Type=fixed-response&%s.FixedResponseConfig.StatusCode=404"
	action := func(list string) string { return list + strings.ReplaceAll(fixed, "%s", list) }
	c.find("{listener}", `<ListenerArn>([^<]*)<`, elb("CreateListener",
		"LoadBalancerArn={lb}&Protocol=HTTP&Port=80&"+action("DefaultActions.member.1")))
	rule := func(priority, field, config, value string) request {
		const condition = "&Conditions.member.1."
		return elb("CreateRule", "ListenerArn={listener}&Priority="+priority+"&"+action("Actions.member.1")+
			condition+"Field="+field+condition+config+".Values.member.1="+url.QueryEscape(value))
	}
	for i, path := range []string{"/users/{id}/*", "/a b", "/café", "/[0-9]*", "/a%20b"} {
		c.send(path, rule(string(rune('1'+i)), "path-pattern", "PathPatternConfig", path), "invalid character")
	}
	c.send("path", rule("11", "path-pattern", "PathPatternConfig", "/users/*/~a?"), "")
	for i, host := range []string{"shop.*", "10.0.0.7", "example.com.", "localhost"} {
		c.send(host, rule(string(rune('1'+i)), "host-header", "HostHeaderConfig", host), "invalid character")
	}
	c.send("host", rule("12", "host-header", "HostHeaderConfig", "*.example.com"), "")
}
