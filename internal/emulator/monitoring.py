"""Gaps of moto for programs that monitor: Prometheus' discovery of tasks, the CloudWatch exporter, and Alertmanager.

By default, services have no tasks, because their network interfaces would have to be deleted before a subnet. With start_tasks,
each service has tasks with addresses of a network of this machine, where a test can answer for them.
"""

import ipaddress
import math
import re

import moto.ecs.models
from moto.cloudwatch.exceptions import InvalidParameterValue
from moto.cloudwatch.models import CloudWatchBackend, Statistics
from moto.core.responses import ActionResult
from moto.ec2 import ec2_backends
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.models import Container, EC2ContainerServiceBackend, Task
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.moto_api import state_manager
from moto.resourcegroupstaggingapi.models import ResourceGroupsTaggingAPIBackend
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.responses import SNSResponse

from gap import GAPS, gap

# ---- CloudWatch ------------------------------------------------------------------------------------------------------

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html
PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")
RANK = re.compile(r"PR\(([\d.]*):([\d.]*)\)")


@gap(Statistics, "get_statistics_for_type", "cloudwatch GetMetricData", "returns nothing for percentiles, percentile ranks and unknown statistics")
def _(original, self, stat):
    percentile, rank, values = PERCENTILE.fullmatch(stat), RANK.fullmatch(stat), sorted(self.metric_single_values_list)
    if percentile:
        return values[max(0, math.ceil(float(percentile[1]) / 100 * len(values)) - 1)] if values else None
    if rank:
        above, upto = float(rank[1] or "-inf"), float(rank[2] or "inf")
        return 100 * sum(above < value <= upto for value in values) / len(values) if values else None
    if stat not in ("Average", "Maximum", "Minimum", "SampleCount", "Sum"):
        raise InvalidParameterValue(f"The value {stat} for parameter MetricDataQueries.member.MetricStat.Stat is not supported.")
    return original(self, stat)


@gap(CloudWatchBackend, "get_metric_data", "cloudwatch GetMetricData", "ignores the namespace of a metric that has dimensions")
def _(original, self, queries, *args, **kwargs):
    if any("Expression" in query for query in queries):  # expressions use the results of other queries
        return original(self, queries, *args, **kwargs)
    stored, results = {}, []
    for metric in self.get_all_metrics():
        stored.setdefault((metric.namespace, metric.name), []).append(metric)
    try:
        for query in queries:
            metric = query["MetricStat"]["Metric"]
            self.get_all_metrics = lambda: stored.get((metric["Namespace"], metric["MetricName"]), [])
            results += original(self, [query], *args, **kwargs)
    finally:
        del self.get_all_metrics  # the attribute, which hides the method
    return results


@gap(CloudWatchBackend, "get_filtered_metrics", "cloudwatch ListMetrics", "returns a metric without dimensions once for each datapoint")
def _(original, self, *args, **kwargs):
    unique = {}
    for metric in original(self, *args, **kwargs):
        dimensions = tuple(sorted((d.name, d.value) for d in metric.dimensions))
        unique.setdefault((metric.namespace, metric.name, dimensions), metric)
    return list(unique.values())


# ---- ECS -------------------------------------------------------------------------------------------------------------

GAPS.append(("ecs DescribeTasks", "a task stops because it is described; it has no availability zone"))
state_manager.set_transition("ecs::task", {"progression": "manual", "times": 10**9})


def zone(self):
    interface = next((a["details"] for a in self.attachments if a["type"] == "ElasticNetworkInterface"), [])
    subnet = next((d["value"] for d in interface if d["name"] == "subnetId"), None)
    return subnet and ec2_backends[self._account_id][self.region_name].get_subnet(subnet).availability_zone


Task.availability_zone = property(zone)


@gap(Container, "__init__", "ecs DescribeTasks", "returns numbers as the CPU and memory of containers, which are strings")
def _(original, self, *args, **kwargs):
    original(self, *args, **kwargs)
    for name in ("cpu", "memory"):
        value = getattr(self, name)
        setattr(self, name, value if value is None else str(value))


@gap(EC2ContainerServiceBackend, "_calculate_task_resource_requirements", "ecs RunTask", "fails if a container has no memory limit of its own")
def _(original, *args):
    definition = args[-1]
    if "FARGATE" in (definition.requires_compatibilities or []):  # no instance whose resources it counts
        return {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}
    return original(definition)


def page(self, everything):
    """A page of at most maxResults, and the token for the next one."""
    first, size = int(self._get_param("nextToken") or 0), self._get_int_param("maxResults") or 100
    if not 1 <= size <= 100:
        raise InvalidParameterException("maxResults must be between 1 and 100")
    following = first + size
    return everything[first:following], str(following) if following < len(everything) else None


@gap(EC2ContainerServiceResponse, "list_tasks", "ecs ListTasks", "has no pages; ignores the service; returns stopped tasks, too")
def _(_, self):
    service = (self._get_param("serviceName") or "").rpartition("/")[2]
    tasks = self.ecs_backend.list_tasks(
        self._get_param("cluster", "default"),
        self._get_param("containerInstance"),
        self._get_param("family"),
        self._get_param("startedBy"),
        None,
        self._get_param("desiredStatus", "RUNNING"),
    )
    found, token = page(self, [t.task_arn for t in tasks if not service or t.group == f"service:{service}"])
    return ActionResult({"taskArns": found, **({"nextToken": token} if token else {})})


@gap(EC2ContainerServiceResponse, "describe_tasks", "ecs DescribeTasks", "describes more than 100 tasks; AWS refuses")
def _(original, self):
    if len(self._get_param("tasks", [])) > 100:
        raise InvalidParameterException("Tasks cannot have more than 100 elements")
    return original(self)


@gap(EC2ContainerServiceResponse, "describe_services", "ecs DescribeServices", "describes more than 10 services; AWS refuses")
def _(original, self):
    if len(self._get_param("services", [])) > 10:
        raise InvalidParameterException("Services cannot have more than 10 elements")
    return original(self)


def start_tasks(network):
    """From now on, services start and stop tasks. network has their addresses, and is one of this machine, such as 127.10.0.0/16."""
    addresses = ipaddress.ip_network(network).hosts()
    moto.ecs.models.random_private_ip = lambda *_, **__: str(next(addresses))
    for method, call in (("create_service", "CreateService"), ("update_service", "UpdateService"), ("delete_service", "DeleteService")):
        gap(EC2ContainerServiceResponse, method, f"ecs {call}", "starts and stops no tasks")(started)


def started(original, self):
    answer = original(self)
    service = answer.result["service"]
    if service.network_configuration:
        reconcile(self.ecs_backend, service, self._get_param("forceNewDeployment"))
    return answer


def reconcile(backend, service, renew):
    """Starts and stops tasks of a service until it has as many as desired, of its task definition."""
    group, wanted = f"service:{service.name}", service.desired_count if service.status == "ACTIVE" else 0
    definition = backend.describe_task_definition(service.task_definition)
    tasks = [t for t in backend.tasks.get(service.cluster_name, {}).values() if t.group == group and t.desired_status == "RUNNING"]
    current = [t for t in tasks if t.task_definition_arn == definition.arn and not renew][:wanted]
    for task in tasks:
        if task not in current:
            stop(backend, service, task)
    network = service.network_configuration["awsvpcConfiguration"]
    tags = list(service.tags or []) if service.propagate_tags == "SERVICE" else []
    for i in range(len(current), wanted):
        subnets = network["subnets"]
        here = {"awsvpcConfiguration": {**network, "subnets": [subnets[i % len(subnets)]]}}  # moto takes the first
        started_by = service.deployments[0]["id"] if service.deployments else group
        backend.run_task(service.cluster_name, definition.arn, 1, {}, started_by, tags, "FARGATE", here, group)


def stop(backend, service, task):
    backend.stop_task(service.cluster_name, task.id, "Scaling activity initiated by deployment")
    for attachment in task.attachments:
        interface = next(d["value"] for d in attachment["details"] if d["name"] == "networkInterfaceId")
        attachment["status"] = "DELETED"
        ec2_backends[task._account_id][task.region_name].delete_network_interface(interface)


# ---- Resource Groups Tagging API -------------------------------------------------------------------------------------

# Names of AWS for types that moto has under a name of its own.
TYPES = {
    "acm:certificate": "acm",
    "elasticloadbalancing:loadbalancer/app": "elasticloadbalancing:loadbalancer",
}


@gap(ResourceGroupsTaggingAPIBackend, "_get_resources_generator", "tag GetResources", "does not know " + " and ".join(TYPES))
def _(original, self, tag_filters=None, resource_type_filters=None):
    types = [TYPES.get(name, name) for name in resource_type_filters or []]
    yield from original(self, tag_filters=tag_filters, resource_type_filters=types or None)


# ---- SNS -------------------------------------------------------------------------------------------------------------

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html: ASCII, no line breaks or control characters, less than 100 characters,
# and a letter, a digit or a punctuation mark first.
SUBJECT = re.compile(r"[!-~][ -~]{0,98}")


@gap(SNSResponse, "publish", "sns Publish", "accepts a subject of 100 characters, or that has line breaks or is not ASCII; AWS refuses")
def _(original, self):
    subject = self._get_param("Subject")
    if subject is not None and not SUBJECT.fullmatch(subject):
        raise SNSInvalidParameter("Invalid parameter: Subject")
    return original(self)
