package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	logsEndpoint      = "aws_vpc_endpoint.endpoint_logs"
	s3GatewayEndpoint = "aws_vpc_endpoint.s3_endpoint"
)

var endpointPromises = []stacktest.Promise{{
	Name:  "without a NAT gateway, every AWS service that a task calls has a VPC endpoint",
	Check: tasksReachAWSWithoutNAT,
	BrokenBy: []stacktest.Break{{
		Name:  "ECR's registry has no endpoint",
		Stack: "no NAT",
		By:    stacktest.Delete("aws_vpc_endpoint.endpoint_ecr_dkr"),
		Found: "ecr.dkr",
	}, {
		Name:  "EC2 has no endpoint, though Prometheus asks EC2 for addresses",
		Stack: "no NAT",
		By:    stacktest.Delete("aws_vpc_endpoint.endpoint_ec2"),
		Found: "ec2",
	}, {
		Name:  "an endpoint is missing in one zone",
		Stack: "no NAT",
		By:    stacktest.Delete("aws_vpc_endpoint_subnet_association.endpoint_logs_subnet_association_b"),
		Found: logsEndpoint,
	}, {
		Name:  "an endpoint has no private DNS name",
		Stack: "no NAT",
		By:    stacktest.Set(logsEndpoint, "private_dns_enabled", false),
		Found: logsEndpoint,
	}, {
		Name:  "the VPC does not assign DNS host names",
		Stack: "no NAT",
		By:    stacktest.Set("aws_vpc.vpc", "enable_dns_hostnames", false),
		Found: "aws_vpc.vpc",
	}, {
		Name:  "a container's image comes from a registry without an endpoint",
		Stack: "no NAT",
		By:    stacktest.Set(webTask, webContainer+".image", "quay.io/x/web:1"),
		Found: webTask,
	}},
}, {
	Name:  "S3 has a gateway endpoint for every private subnet, whose policy allows ECR's image layers",
	Check: s3HasGatewayEndpoint,
	BrokenBy: []stacktest.Break{{
		Name:  "a private route table has no route to S3's gateway endpoint",
		Stack: "prod",
		By:    stacktest.Delete("aws_vpc_endpoint_route_table_association.s3_endpoint_route_table_association_b"),
		Found: privateRouteTableB,
	}, {
		Name:  "S3's gateway endpoint has a policy without ECR's bucket",
		Stack: "prod",
		By:    stacktest.Add(s3GatewayEndpoint, "policy", `{"Statement":[]}`),
		Found: s3GatewayEndpoint,
	}, {
		Name:  "the VPC has no gateway endpoint for S3",
		Stack: "dev",
		By:    stacktest.Delete(s3GatewayEndpoint),
		Found: "aws_vpc.vpc",
	}},
}}

func isInterfaceEndpoint(endpoint stacktest.Resource) bool {
	return endpoint.Is("vpc_endpoint_type", "Interface")
}

// endpointsOfActions are the endpoints that IAM actions are called through, by the actions' prefix,
// where the names differ. S3 has a gateway endpoint.
var endpointsOfActions = map[string][]string{
	"aps":        {"aps-workspaces"},
	"cloudwatch": {"monitoring"},
	"ecr":        {"ecr.api", "ecr.dkr"},
	"s3":         nil,
	"tag":        {"tagging"},
}

// tasksReachAWSWithoutNAT looks at what a task's roles allow: each such service must have an
// endpoint. ECS Exec's agent in the container decrypts a session with the KMS key of the cluster,
// so KMS is among them.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
func tasksReachAWSWithoutNAT(s stacktest.Stack, v *stacktest.Violations) {
	if len(s.Resources("aws_nat_gateway")) > 0 {
		return
	}
	endpoints := map[string]stacktest.Resource{}
	for _, endpoint := range stacktest.Filter(s.Resources("aws_vpc_endpoint"), isInterfaceEndpoint) {
		endpoints[strings.TrimPrefix(endpoint.String("service_name"), "com.amazonaws."+s.Region()+".")] = endpoint
	}
	for _, t := range serviceTasks(s) {
		for _, name := range servicesCalled(s, t) {
			endpoint, ok := endpoints[name]
			v.Want(ok, t.service.Address, "calls %s, which has no endpoint", name)
			if !ok {
				continue
			}
			v.Want(endpoint.Is("private_dns_enabled", true),
				endpoint.Address, "has no private DNS name, so that tasks call the public address")
			for _, subnet := range t.service.References("network_configuration.subnets") {
				associations := stacktest.Referring(s.Resources("aws_vpc_endpoint_subnet_association"),
					"vpc_endpoint_id", endpoint.Address)
				v.Want(len(stacktest.Referring(associations, "subnet_id", subnet)) == 1,
					endpoint.Address, "is not in %s, where tasks of %s run", subnet, t.name())
			}
		}
		registry := regexp.MustCompile(`^[0-9]{12}\.dkr\.ecr\.` + regexp.QuoteMeta(s.Region()) + `\.amazonaws\.com/`)
		for _, c := range t.containers() {
			v.Want(registry.MatchString(c.String("image")), c.Address,
				"want an image in this region's ECR, the only registry with an endpoint, have %s", c.String("image"))
		}
	}
	for _, vpc := range s.Resources("aws_vpc") {
		v.Want(vpc.Is("enable_dns_support", true) && vpc.Is("enable_dns_hostnames", true),
			vpc.Address, "want DNS support and DNS host names, which the endpoints' private names need")
	}
}

// servicesCalled are the endpoints of the AWS services that a task's agent and roles call, sorted.
func servicesCalled(s stacktest.Stack, t serviceTask) []string {
	called := map[string]bool{"ecr.api": true, "ecr.dkr": true, "logs": true}
	for _, path := range []string{"execution_role_arn", "task_role_arn"} {
		for _, statement := range rolePermissions(s, t.definition.Reference(path)) {
			for _, action := range statement.Strings("Action") {
				service, _, _ := strings.Cut(action, ":")
				if service == "kms" && path == "execution_role_arn" {
					continue // Secrets Manager calls KMS for the role: kms:ViaService
				}
				names, differ := endpointsOfActions[service]
				if !differ {
					names = []string{service}
				}
				for _, name := range names {
					called[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(called))
}

// ECR keeps image layers in a bucket of its own, prod-<region>-starport-layer-bucket, and the
// application's buckets may belong to any account.
func s3HasGatewayEndpoint(s stacktest.Stack, v *stacktest.Violations) {
	gateways := stacktest.Filter(s.Resources("aws_vpc_endpoint"), func(r stacktest.Resource) bool {
		return r.Is("vpc_endpoint_type", "Gateway") && strings.HasSuffix(r.String("service_name"), ".s3")
	})
	for _, vpc := range s.Resources("aws_vpc") {
		v.Want(len(stacktest.Referring(gateways, "vpc_id", vpc.Address)) == 1,
			vpc.Address, "want one gateway endpoint for S3")
	}
	for _, gateway := range gateways {
		policy := gateway.String("policy")
		v.Want(policy == "" || strings.Contains(policy, "prod-"+s.Region()+"-starport-layer-bucket"),
			gateway.Address, "has a policy without the bucket of ECR's image layers")
		associations := stacktest.Referring(s.Resources("aws_vpc_endpoint_route_table_association"),
			"vpc_endpoint_id", gateway.Address)
		for _, t := range serviceTasks(s) {
			for _, subnet := range t.service.References("network_configuration.subnets") {
				_, table := routesOf(s, subnet)
				v.Want(len(stacktest.Referring(associations, "route_table_id", table)) == 1,
					table, "has no route to %s", gateway.Address)
			}
		}
	}
}
