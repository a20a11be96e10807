//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/servicediscovery"
)

func (w *deployed) services() []ecstypes.Service {
	w.Helper()
	input := &ecs.DescribeServicesInput{Cluster: &w.stack, Services: w.runs}
	services := must(w.ecs.DescribeServices(alive, input))(w.T).Services
	if len(services) != len(input.Services) {
		w.Fatalf("want the services %v, have %d", input.Services, len(services))
	}
	return services
}

func (w *deployed) servicesRunTheNewestRevisionInPrivateSubnets() {
	for _, service := range w.services() {
		name := *service.ServiceName
		w.equal(name+": status", *service.Status, "ACTIVE")
		family := w.stack + "-" + name
		active := must(w.ecs.ListTaskDefinitions(alive, &ecs.ListTaskDefinitionsInput{
			FamilyPrefix: &family,
		}))(w.T).TaskDefinitionArns // oldest first
		w.equal(name+": task definition, the newest active revision", *service.TaskDefinition, active[len(active)-1])

		network := service.NetworkConfiguration.AwsvpcConfiguration
		w.sameElements(name+": subnets", network.Subnets, w.subnetIDs("private"))
		w.equal(name+": public IP address", network.AssignPublicIp, ecstypes.AssignPublicIpDisabled)

		var behind []string
		for _, b := range service.LoadBalancers {
			behind = append(behind, fmt.Sprintf("%s %s %d", *b.TargetGroupArn, *b.ContainerName, *b.ContainerPort))
		}
		var want []string
		if name == "web" {
			want = []string{*w.targetGroup.TargetGroupArn + " web 8080"}
		}
		w.sameElements(name+": target groups", behind, want)
		w.equal(name+": name in service discovery", w.discovered(service), name)
	}
}

// discovered returns the name of a service in service discovery.
func (w *deployed) discovered(service ecstypes.Service) string {
	w.Helper()
	arn := *only(w.T, "registry", service.ServiceRegistries).RegistryArn
	id := arn[strings.LastIndex(arn, "/")+1:]
	found := must(w.servicediscovery.GetService(alive, &servicediscovery.GetServiceInput{Id: &id}))(w.T).Service
	//nolint:staticcheck // moto returns the namespace in this field alone, which AWS has deprecated
	input := &servicediscovery.GetNamespaceInput{Id: found.DnsConfig.NamespaceId}
	namespace := must(w.servicediscovery.GetNamespace(alive, input))(w.T).Namespace
	w.equal("the namespace", *namespace.Name, w.stack+".internal")
	return *found.Name
}

// taskDefinitionsReferToExistingResources: the roles, secrets, log groups, configuration and
// database of task definitions exist, and the execution role has permissions for them.
func (w *deployed) taskDefinitionsReferToExistingResources() {
	for _, service := range w.services() {
		name := *service.ServiceName
		definition := must(w.ecs.DescribeTaskDefinition(alive, &ecs.DescribeTaskDefinitionInput{
			TaskDefinition: service.TaskDefinition,
		}))(w.T).TaskDefinition
		w.trusts(*definition.ExecutionRoleArn, "ecs-tasks.amazonaws.com")
		w.trusts(*definition.TaskRoleArn, "ecs-tasks.amazonaws.com")
		if *definition.ExecutionRoleArn == *definition.TaskRoleArn {
			w.Errorf("%s: the task role is the execution role", name)
		}
		may := w.permissions(*definition.ExecutionRoleArn)
		for _, container := range definition.ContainerDefinitions {
			what := name + ": " + *container.Name
			group := container.LogConfiguration.Options["awslogs-group"]
			arn := w.logGroup(what+"'s log group", group)
			if !slices.Contains(may["logs:PutLogEvents"], arn) {
				w.Errorf("%s: the execution role cannot write to %s", what, group)
			}
			for _, secret := range container.Secrets {
				w.secretExists(what+": "+*secret.Name, *secret.ValueFrom, may)
			}
			for _, variable := range container.Environment {
				if *variable.Name == "PGHOST" {
					w.equal(what+": database", *variable.Value, *w.database.Endpoint.Address)
				}
			}
			w.configurationExists(what, container)
		}
	}
}

// secretExists checks that a secret exists and that the execution role may read and decrypt it.
func (w *deployed) secretExists(what, reference string, may map[string][]string) {
	w.Helper()
	parts := strings.Split(reference, ":") // the ARN has 7 parts; key, stage and version follow
	arn := strings.Join(parts[:min(7, len(parts))], ":")
	secret, err := w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		w.Errorf("%s does not exist: %v", what, err)
		return
	}
	if !slices.Contains(may["secretsmanager:GetSecretValue"], *secret.ARN) {
		w.Errorf("%s: the execution role cannot read %s", what, *secret.Name)
	}
	if !slices.Contains(may["kms:Decrypt"], *secret.KmsKeyId) {
		w.Errorf("%s: the execution role cannot decrypt %s", what, *secret.Name)
	}
}

// configurationExists checks that the object version that a container fetches exists.
func (w *deployed) configurationExists(what string, container ecstypes.ContainerDefinition) {
	w.Helper()
	if !slices.Contains(container.Command, "get-object") {
		return
	}
	option := func(name string) *string { return &container.Command[slices.Index(container.Command, name)+1] }
	input := &s3.HeadObjectInput{Bucket: option("--bucket"), Key: option("--key"), VersionId: option("--version-id")}
	if _, err := w.s3.HeadObject(alive, input); err != nil {
		w.Errorf("%s: the object that it fetches does not exist: %v", what, err)
	}
}
