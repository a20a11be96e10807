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

func (w *standing) services() []ecstypes.Service {
	w.Helper()
	input := &ecs.DescribeServicesInput{Cluster: &w.stack, Services: []string{"web", "prometheus"}}
	services := said(w.ecs.DescribeServices(alive, input))(w.T).Services
	if len(services) != len(input.Services) {
		w.Fatalf("want the services %v, have %d", input.Services, len(services))
	}
	return services
}

func (w *standing) servicesRunTheNewestInPrivate() {
	for _, service := range w.services() {
		name := *service.ServiceName
		w.equal(name+": status", *service.Status, "ACTIVE")
		family := w.stack + "-" + name
		active := said(w.ecs.ListTaskDefinitions(alive, &ecs.ListTaskDefinitionsInput{
			FamilyPrefix: &family,
		}))(w.T).TaskDefinitionArns
		w.same(name+": task definition, of which one revision alone is active",
			[]string{*service.TaskDefinition}, active)

		network := service.NetworkConfiguration.AwsvpcConfiguration
		w.same(name+": subnets", network.Subnets, w.tier("private"))
		w.equal(name+": public address", network.AssignPublicIp, ecstypes.AssignPublicIpDisabled)

		var behind []string
		for _, b := range service.LoadBalancers {
			behind = append(behind, fmt.Sprintf("%s %s %d", *b.TargetGroupArn, *b.ContainerName, *b.ContainerPort))
		}
		var want []string
		if name == "web" {
			want = []string{*w.targets.TargetGroupArn + " web 8080"}
		}
		w.same(name+": target groups", behind, want)
		w.equal(name+": name in the network", w.discovered(service), name)
	}
}

// discovered is the name under which a service's tasks are found.
func (w *standing) discovered(service ecstypes.Service) string {
	w.Helper()
	arn := *only(w.T, "registry", service.ServiceRegistries).RegistryArn
	id := arn[strings.LastIndex(arn, "/")+1:]
	found := said(w.servicediscovery.GetService(alive, &servicediscovery.GetServiceInput{Id: &id}))(w.T).Service
	//nolint:staticcheck // moto returns the namespace in this field alone, which AWS has deprecated
	input := &servicediscovery.GetNamespaceInput{Id: found.DnsConfig.NamespaceId}
	namespace := said(w.servicediscovery.GetNamespace(alive, input))(w.T).Namespace
	w.equal("the namespace", *namespace.Name, w.stack+".internal")
	return *found.Name
}

// tasksFindWhatTheyName: roles, secrets, the log, the configuration and the database are there, and
// the role that starts a task may use them.
func (w *standing) tasksFindWhatTheyName() {
	for _, service := range w.services() {
		name := *service.ServiceName
		definition := said(w.ecs.DescribeTaskDefinition(alive, &ecs.DescribeTaskDefinitionInput{
			TaskDefinition: service.TaskDefinition,
		}))(w.T).TaskDefinition
		w.trusts(*definition.ExecutionRoleArn, "ecs-tasks.amazonaws.com")
		w.trusts(*definition.TaskRoleArn, "ecs-tasks.amazonaws.com")
		if *definition.ExecutionRoleArn == *definition.TaskRoleArn {
			w.Errorf("%s: the application has the rights of what starts it", name)
		}
		may := w.permissions(*definition.ExecutionRoleArn)
		for _, container := range definition.ContainerDefinitions {
			what := name + ": " + *container.Name
			group := container.LogConfiguration.Options["awslogs-group"]
			arn := w.logGroup(what+"'s log group", group)
			if !slices.Contains(may["logs:PutLogEvents"], arn) {
				w.Errorf("%s: nobody may write to %s", what, group)
			}
			for _, secret := range container.Secrets {
				w.secretStands(what+": "+*secret.Name, *secret.ValueFrom, may)
			}
			for _, variable := range container.Environment {
				if *variable.Name == "PGHOST" {
					w.equal(what+": database", *variable.Value, *w.database.Endpoint.Address)
				}
			}
			w.configurationStands(what, container)
		}
	}
}

// secretStands wants a reference to lead to a secret that the role may fetch and decrypt.
func (w *standing) secretStands(what, reference string, may map[string][]string) {
	w.Helper()
	parts := strings.Split(reference, ":") // after the ARN's seven: key, stage, version
	arn := strings.Join(parts[:min(7, len(parts))], ":")
	secret, err := w.secretsmanager.DescribeSecret(alive, &secretsmanager.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		w.Errorf("%s is not there: %v", what, err)
		return
	}
	if !slices.Contains(may["secretsmanager:GetSecretValue"], *secret.ARN) {
		w.Errorf("%s: nobody may fetch %s", what, *secret.Name)
	}
	if !slices.Contains(may["kms:Decrypt"], *secret.KmsKeyId) {
		w.Errorf("%s: nobody may decrypt %s", what, *secret.Name)
	}
}

// configurationStands wants the version of the object that a container fetches to be there.
func (w *standing) configurationStands(what string, container ecstypes.ContainerDefinition) {
	w.Helper()
	if !slices.Contains(container.Command, "get-object") {
		return
	}
	option := func(name string) *string { return &container.Command[slices.Index(container.Command, name)+1] }
	input := &s3.HeadObjectInput{Bucket: option("--bucket"), Key: option("--key"), VersionId: option("--version-id")}
	if _, err := w.s3.HeadObject(alive, input); err != nil {
		w.Errorf("%s: what it fetches is not there: %v", what, err)
	}
}
