"""The emulator: moto 5.2.1, extended by what this platform needs.

    python gaps.py [--stay] [--functions FOLDER [--endpoint FILE]] [--tasks NETWORK]
    python gaps.py --list

It listens on a free port of 127.0.0.1 and writes its URL as one line to standard output. It ends at the end of its
standard input, so that it does not outlive the process that started it; with --stay it runs until it is killed.

A gap is a call that moto does not implement; or whose arguments moto does not store, so that terraform sees a difference in
every plan; or a check of AWS that moto does not make, if the order of the deployment depends on it or a fault could hide behind
it. Each gap has the name of the call and a reason; --list prints them. Checks of AWS that are missing here, too, are covered by
the tests of the stack.

monitoring.py has the gaps that matter to programs which monitor, and cbor.py the protocol in which they call CloudWatch.

models.py holds each request against AWS's model of its operation; rights.py evaluates the calls of functions against the
policies of their roles.
"""

import argparse
import copy
import datetime
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import uuid

import cbor
import models
import monitoring
import rights
from gap import GAPS, gap


# ---- Application Auto Scaling ----------------------------------------------------------------------------------------

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse

target_tags = {}


@gap(ApplicationAutoScalingResponse, "list_tags_for_resource?", "application-autoscaling ListTagsForResource", "missing")
def _(_, self):
    return json.dumps({"Tags": target_tags.get(self._get_param("ResourceARN"), {})})


@gap(ApplicationAutoScalingResponse, "tag_resource?", "application-autoscaling TagResource", "missing")
def _(_, self):
    target_tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
    return "{}"


@gap(ApplicationAutoScalingResponse, "untag_resource?", "application-autoscaling UntagResource", "missing")
def _(_, self):
    for key in self._get_param("TagKeys") or []:
        target_tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
    return "{}"


@gap(ApplicationAutoScalingResponse, "register_scalable_target", "application-autoscaling RegisterScalableTarget", "does not store the tags")
def _(original, self):
    answer = original(self)
    if self._get_param("Tags"):
        target_tags[json.loads(answer)["ScalableTargetARN"]] = dict(self._get_param("Tags"))
    return answer


# ---- EC2 -------------------------------------------------------------------------------------------------------------

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses.subnets import Subnets
from moto.ecs import ecs_backends
from moto.elbv2 import elbv2_backends


@gap(Subnets, "delete_subnet", "ec2 DeleteSubnet", "deletes a subnet that a load balancer or a service uses; AWS refuses")
def _(original, self):
    subnet, account, region = self._get_param("SubnetId"), self.current_account, self.region
    balancers = elbv2_backends[account][region].load_balancers.values()
    services = ecs_backends[account][region].services.values()
    if any(subnet in [getattr(s, "id", s) for s in balancer.subnets] for balancer in balancers) or any(
        subnet in json.dumps(getattr(service, "network_configuration", None) or {}) for service in services if service.status == "ACTIVE"
    ):
        raise EC2ClientError("DependencyViolation", f"The subnet '{subnet}' has dependencies and cannot be deleted.")
    return original(self)


def rule_description(self):
    for source in (self.ip_range, self.source_group, self.prefix_list_id):
        if isinstance(source, dict) and source.get("Description"):
            return source["Description"]
    return None


SecurityGroupRule.description = property(rule_description)
GAPS.append(("ec2 DescribeSecurityGroupRules", "no description of a rule with a security group or a prefix list"))


# ---- ECS -------------------------------------------------------------------------------------------------------------

from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse

SERVICE = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}


def remember_service(original, self):
    sent = {name: self._get_param(name) for name in SERVICE}
    answer = original(self)
    service = answer.result["service"]
    for name, attribute in SERVICE.items():
        if sent[name] is not None:
            setattr(service, attribute, sent[name])
            setattr(service, name, sent[name])
    if sent["capacityProviderStrategy"]:
        service.launch_type = None
    service.running_count, service.pending_count = service.desired_count, 0
    for deployment in service.deployments:
        deployment.update(
            taskDefinition=service.task_definition,
            desiredCount=service.desired_count,
            runningCount=service.desired_count,
            pendingCount=0,
            rolloutState="COMPLETED",
        )
        if service.launch_type is None:
            deployment.pop("launchType", None)
            deployment["capacityProviderStrategy"] = service.capacity_provider_strategy
    return answer


for call in ("CreateService", "UpdateService"):
    method = {"CreateService": "create_service", "UpdateService": "update_service"}[call]
    gap(EC2ContainerServiceResponse, method, f"ecs {call}", "does not store " + ", ".join(SERVICE) + "; never reaches a steady state")(remember_service)


@gap(EC2ContainerServiceResponse, "describe_task_definition", "ecs DescribeTaskDefinition", "AWS returns an empty capabilities.add if drop is set")
def _(original, self):
    answer = original(self)
    definition = copy.deepcopy(answer.result["taskDefinition"])
    containers = definition["containerDefinitions"] if isinstance(definition, dict) else definition.container_definitions
    for container in containers:
        capabilities = (container.get("linuxParameters") or {}).get("capabilities")
        if capabilities is not None:
            capabilities.setdefault("add", [])
    answer.result["taskDefinition"] = definition
    return answer


@gap(EC2ContainerServiceResponse, "submit_task_state_change?", "ecs SubmitTaskStateChange", "missing: with it, the agent of ECS reports how the containers ended")
def _(_, self):
    cluster, arn = self._get_param("cluster").rpartition("/")[2], self._get_param("task")
    task = self.ecs_backend.tasks.get(cluster, {}).get(arn)
    if task is None or self._get_param("status") != "STOPPED":
        raise InvalidParameterException("want a task of the cluster that has stopped")
    ended = {c["containerName"]: c for c in self._get_param("containers", [])}
    for container in task.containers:
        if container.name in ended:
            container.exitCode, container.last_status = ended[container.name]["exitCode"], "STOPPED"
    task.last_status = task.desired_status = "STOPPED"
    task.stopped_reason = self._get_param("reason") or "Essential container in task exited"
    return ActionResult({"acknowledgment": "ok"})


# ---- KMS -------------------------------------------------------------------------------------------------------------

from moto.kms.responses import KmsResponse

rotation_periods = {}


@gap(KmsResponse, "enable_key_rotation", "kms EnableKeyRotation", "does not store RotationPeriodInDays")
def _(original, self):
    rotation_periods[self._get_param("KeyId")] = self._get_param("RotationPeriodInDays") or 365
    return original(self)


@gap(KmsResponse, "get_key_rotation_status", "kms GetKeyRotationStatus", "does not return RotationPeriodInDays")
def _(original, self):
    answer = json.loads(original(self))
    if answer["KeyRotationEnabled"]:
        answer["RotationPeriodInDays"] = rotation_periods.get(self._get_param("KeyId"), 365)
    return json.dumps(answer)


# ---- Lambda ----------------------------------------------------------------------------------------------------------

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import LambdaFunction, LambdaStorage

FUNCTION = ("DeadLetterConfig", "KMSKeyArn", "LoggingConfig")
FUNCTIONS = None  # the folder of the functions' executables, built for this machine
ENDPOINT = None  # a file with the URL that functions use in place of the emulator's, if it exists: a test's proxy


@gap(LambdaFunction, "__init__", "lambda CreateFunction", "does not store " + ", ".join(FUNCTION))
def _(original, self, *args, **kwargs):
    original(self, *args, **kwargs)
    spec = kwargs.get("spec") or next(a for a in args if isinstance(a, dict))
    self.remembered = {name: spec[name] for name in FUNCTION if spec.get(name)}


@gap(LambdaFunction, "get_configuration", "lambda GetFunctionConfiguration", "does not return " + ", ".join(FUNCTION))
def _(original, self, *args, **kwargs):
    return {**original(self, *args, **kwargs), **getattr(self, "remembered", {})}


@gap(LambdaFunction, "update_configuration", "lambda UpdateFunctionConfiguration", "does not store these, TracingConfig and Architectures")
def _(original, self, updates):
    self.remembered = {**getattr(self, "remembered", {}), **{name: updates[name] for name in FUNCTION if name in updates}}
    for name, attribute in (("TracingConfig", "tracing_config"), ("Architectures", "architectures")):
        if name in updates:
            setattr(self, attribute, updates[name])
    if (updates.get("VpcConfig") or {}).get("SubnetIds"):
        join_network(self)
    return original(self, updates)


@gap(LambdaFunction, "invoke", "lambda Invoke", "needs Docker; here the program of the function runs, built for this machine")
def _(_, self, body, request_headers, response_headers):
    name = self.function_name.rsplit("-", 1)[-1]
    rotation = json.loads(body or "{}").get("ClientRequestToken")
    if rotation in failed_rotations:
        return "null"  # Secrets Manager does not go on after a failed step
    program = FUNCTIONS and pathlib.Path(FUNCTIONS, name)
    if not program or not program.is_file():
        raise RuntimeError(f"the emulator has no program for the function {name}")
    log_group = self.remembered.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{self.function_name}")
    need, reason = rights.lambda_invokes(self, self.remembered.get("KMSKeyArn"), log_group)
    if need and need.action.startswith("kms:"):
        raise LambdaClientError("KMSAccessDeniedException", f"Lambda was unable to decrypt the environment variables. {reason}")
    answer, failed = Runtime(self, body).run(program)
    response_headers["x-amz-executed-version"] = "$LATEST"
    if failed:
        response_headers["x-amz-function-error"] = "Unhandled"
        failed_rotations.update([rotation] if rotation else [])
    return answer


def join_network(function):
    need, _ = rights.lambda_joins_network(function)
    if need:
        message = f"The provided execution role does not have permissions to call {need.action.partition(':')[2]} on EC2"
        raise InvalidParameterValueException(message)


@gap(LambdaStorage, "put_function", "lambda CreateFunction", "does not check that the role allows network interfaces")
def _(original, self, function):
    original(self, function)
    if (function.vpc_config or {}).get("SubnetIds"):
        try:
            join_network(function)
        except InvalidParameterValueException:
            self.del_function(function.function_name)
            raise


def endpoint():
    file = ENDPOINT and pathlib.Path(ENDPOINT)
    return file.read_text() if file and file.exists() else f"http://127.0.0.1:{os.environ['MOTO_PORT']}"


class Runtime:
    """Lambda's runtime API for one invocation of a program."""

    def __init__(self, function, event):
        self.function, self.event = function, event if isinstance(event, bytes) else (event or "{}").encode()
        self.answer, self.answered = None, threading.Event()

    def run(self, program):
        runtime = self
        request, deadline = str(uuid.uuid4()), time.time() + int(self.function.timeout)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if runtime.event is None:
                    runtime.answered.wait()
                    return
                event, runtime.event = runtime.event, None
                self.send_response(200)
                self.send_header("Lambda-Runtime-Aws-Request-Id", request)
                self.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
                self.send_header("Lambda-Runtime-Invoked-Function-Arn", runtime.function.function_arn)
                self.send_header("Content-Length", str(len(event)))
                self.end_headers()
                self.wfile.write(event)

            def do_POST(self):
                text = self.body().decode()
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()
                if runtime.answer is None:
                    runtime.answer = (text, self.path.endswith("/error"))
                runtime.answered.set()

            def body(self):
                if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                whole = b""
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                return whole

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen([program], stdout=sys.stderr, stderr=sys.stderr, env=self.environment(server.server_port))
        try:
            while not self.answered.wait(0.05):
                if process.poll() is not None:
                    return json.dumps({"errorMessage": f"exit status {process.returncode}", "errorType": "Runtime.ExitError"}), True
                if time.time() > deadline:
                    return json.dumps({"errorMessage": "Task timed out", "errorType": "Sandbox.Timedout"}), True
            return self.answer
        finally:
            self.answered.set()
            process.kill()
            process.wait()
            server.shutdown()
            server.server_close()

    def environment(self, port):
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            "AWS_ACCESS_KEY_ID": rights.admit(rights.of(self.function)),
            "AWS_SECRET_ACCESS_KEY": "emulator",
            "AWS_SESSION_TOKEN": "emulator",
            "AWS_REGION": self.function.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": endpoint(),
            "NO_PROXY": "127.0.0.1",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": self.function.function_name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            **(self.function.environment_vars or {}),
            # The address of the database and the CA of its certificate.
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": os.environ["DATABASE_PORT"],
            "PGSSLROOTCERT": os.environ["DATABASE_CA"],
        }


# ---- RDS -------------------------------------------------------------------------------------------------------------

from moto.core.responses import ActionResult
from moto.kms.models import kms_backends
from moto.rds.exceptions import RDSClientError
from moto.rds import rds_backends
from moto.rds.models import DBInstance, MasterUserSecret, RDSBackend
from moto.rds.responses import RDSResponse

INSTANCE = {
    "DatabaseInsightsMode": "database_insights_mode",
    "EnablePerformanceInsights": "performance_insights_enabled",
    "MonitoringInterval": "monitoring_interval",
    "MonitoringRoleArn": "monitoring_role_arn",
    "PerformanceInsightsKMSKeyId": "performance_insights_kms_key_id",
    "PerformanceInsightsRetentionPeriod": "performance_insights_retention_period",
}


def remember_instance(original, self):
    answer = original(self)
    for name, attribute in INSTANCE.items():
        if name in self.params:
            setattr(answer.result["DBInstance"], attribute, self.params[name])
    return answer


def new_instance(original, self):
    answer = remember_instance(original, self)
    instance = answer.result["DBInstance"]
    instance.dbi_resource_id = "db-" + uuid.uuid4().hex[:26].upper()
    # Without them, RDS chooses these, also for an instance that is restored.
    instance.ca_certificate_identifier = self.params.get("CACertificateIdentifier", "rds-ca-rsa2048-g1")
    instance.database_insights_mode = self.params.get("DatabaseInsightsMode", "standard")
    return answer


gap(RDSResponse, "modify_db_instance", "rds ModifyDBInstance", "does not store " + ", ".join(INSTANCE))(remember_instance)
gap(RDSResponse, "create_db_instance", "rds CreateDBInstance", "does not store these and the CA, nor has RDS's defaults; one DbiResourceId for all instances")(new_instance)
for call, method in (
    ("RestoreDBInstanceFromDBSnapshot", "restore_db_instance_from_db_snapshot"),
    ("RestoreDBInstanceToPointInTime", "restore_db_instance_to_point_in_time"),
):
    gap(RDSResponse, method, f"rds {call}", "the same")(new_instance)


# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
SNAPSHOTS = 100


def manual_snapshots(backend):
    return [s for s in backend.database_snapshots.values() if s.snapshot_type == "manual"]


@gap(RDSResponse, "describe_account_attributes?", "rds DescribeAccountAttributes", "missing")
def _(_, self):
    quota = {"AccountQuotaName": "ManualSnapshots", "Used": len(manual_snapshots(self.backend)), "Max": SNAPSHOTS}
    return ActionResult({"AccountQuotas": [quota]})


@gap(RDSResponse, "create_db_snapshot", "rds CreateDBSnapshot", "has no quota of manual snapshots")
def _(original, self):
    if len(manual_snapshots(self.backend)) >= SNAPSHOTS:
        raise RDSClientError("SnapshotQuotaExceeded", "Cannot create more than the allowed number of manual snapshots.")
    return original(self)


# Automated backups that are replicated: by region of the destination, then by the ARN of the source. RDS modifies the source after
# a replication is stopped, and refuses its final snapshot meanwhile:
# https://github.com/hashicorp/terraform-provider-aws/pull/46687
replicated_backups, modified_until = {}, {}
replicated_instances = {}  # by the ARN of the backups: the instance, which may have been deleted since
MODIFICATION = 12  # seconds


def source_of(backend, arn):
    parts = arn.split(":")
    source = rds_backends[backend.account_id][parts[3]].databases.get(parts[-1])
    if source is None:
        raise RDSClientError("DBInstanceNotFound", f"DBInstance {arn} not found.")
    return source


@gap(RDSResponse, "start_db_instance_automated_backups_replication?", "rds StartDBInstanceAutomatedBackupsReplication", "missing")
def _(_, self):
    arn, backend = self.params["SourceDBInstanceArn"], self.backend
    source, region = source_of(backend, arn), arn.split(":")[3]
    if region == backend.region_name:
        raise RDSClientError("InvalidParameterValue", "The source and the destination are in the same region.")
    if int(source.backup_retention_period or 0) < 1:
        raise RDSClientError("InvalidDBInstanceState", f"Automated backups are not enabled for {arn}.")
    key = self.params.get("KmsKeyId", "")
    found = kms_backends[backend.account_id][backend.region_name].keys.get(key.rpartition("/")[2])
    if source.storage_encrypted and (found is None or found.key_state != "Enabled"):
        raise RDSClientError("KMSKeyNotAccessibleFault", f"The specified KMS key [{key}] does not exist in this region.")
    now = datetime.datetime.now(datetime.timezone.utc)
    backup = {
        "DBInstanceArn": arn,
        "DbiResourceId": source.dbi_resource_id,
        "Region": region,
        "DBInstanceIdentifier": source.db_instance_identifier,
        "RestoreWindow": {"EarliestTime": now, "LatestTime": now},
        "Status": "replicating",
        "Engine": source.engine,
        "Encrypted": True,
        "KmsKeyId": key,
        "BackupRetentionPeriod": int(self.params.get("BackupRetentionPeriod", 7)),
        "DBInstanceAutomatedBackupsArn": f"arn:aws:rds:{backend.region_name}:{backend.account_id}:auto-backup:ab-{uuid.uuid4().hex[:26]}",
    }
    replicated_backups.setdefault(backend.region_name, {})[arn] = backup
    replicated_instances[backup["DBInstanceAutomatedBackupsArn"]] = source
    return ActionResult({"DBInstanceAutomatedBackup": backup})


@gap(RDSResponse, "stop_db_instance_automated_backups_replication?", "rds StopDBInstanceAutomatedBackupsReplication", "missing")
def _(_, self):
    arn = self.params["SourceDBInstanceArn"]
    source_of(self.backend, arn)
    backup = replicated_backups.get(self.backend.region_name, {}).get(arn)
    if backup is None or backup["Status"] == "retained":
        raise RDSClientError("InvalidDBInstanceState", f"{arn} is not replicating to the current region.")
    backup["Status"] = "retained"
    modified_until[arn] = time.monotonic() + MODIFICATION
    return ActionResult({"DBInstanceAutomatedBackup": backup})


@gap(RDSResponse, "describe_db_instance_automated_backups", "rds DescribeDBInstanceAutomatedBackups", "has no replicated backups")
def _(original, self):
    arn, here = self.params.get("DBInstanceAutomatedBackupsArn"), replicated_backups.get(self.backend.region_name, {})
    found = [b for b in here.values() if arn in (None, b["DBInstanceAutomatedBackupsArn"])]
    if arn is not None:
        return ActionResult({"DBInstanceAutomatedBackups": found})
    answer = original(self)
    answer.result["DBInstanceAutomatedBackups"] = [*answer.result["DBInstanceAutomatedBackups"], *found]
    return answer


@gap(RDSResponse, "restore_db_instance_to_point_in_time", "rds RestoreDBInstanceToPointInTime", "does not know automated backups by their ARN, nor checks the source and the time; makes a replica")
def _(original, self):
    sources = [n for n in ("SourceDBInstanceIdentifier", "SourceDbiResourceId", "SourceDBInstanceAutomatedBackupsArn") if self.params.get(n)]
    if len(sources) != 1:
        raise RDSClientError("InvalidParameterCombination", f"Exactly one source must be specified, not {sources}.")
    if bool(self.params.get("RestoreTime")) == bool(self.params.get("UseLatestRestorableTime")):
        raise RDSClientError("InvalidParameterCombination", "Either RestoreTime or UseLatestRestorableTime must be specified.")
    arn = self.params.get("SourceDBInstanceAutomatedBackupsArn")
    if arn is None:
        return no_replica(original(self))
    backups = replicated_backups.get(self.backend.region_name, {}).values()
    backup = next((b for b in backups if b["DBInstanceAutomatedBackupsArn"] == arn), None)
    if backup is None:
        raise RDSClientError("DBInstanceAutomatedBackupNotFound", f"Automated backup {arn} not found.")
    # moto restores instances of the region only.
    source = copy.copy(replicated_instances[arn])
    source.db_instance_identifier, source.kms_key_id, source.availability_zone = arn.rpartition(":")[2], backup["KmsKeyId"], None
    self.backend.databases[source.db_instance_identifier] = source
    self.params["SourceDBInstanceIdentifier"] = source.db_instance_identifier
    try:
        return no_replica(original(self))
    finally:
        del self.backend.databases[source.db_instance_identifier]


def no_replica(answer):
    answer.result["DBInstance"].source_db_instance_identifier = None
    return answer


def sources_of_events(change):
    """change is what happens to the sources of a subscription, such as the identifier of an instance."""

    def changed(_, self):
        name, source = self.params["SubscriptionName"], self.params["SourceIdentifier"]
        subscription = self.backend.event_subscriptions.get(name)
        if subscription is None:
            raise RDSClientError("SubscriptionNotFound", f"Subscription {name} not found.")
        if source not in self.backend.databases:
            raise RDSClientError("SourceNotFound", f"Could not find source :{source}")
        subscription.source_ids = change(subscription.source_ids or [], source)
        return ActionResult({"EventSubscription": subscription})

    return changed


gap(RDSResponse, "add_source_identifier_to_subscription?", "rds AddSourceIdentifierToSubscription", "missing")(sources_of_events(lambda ids, id: [*ids, id]))
gap(RDSResponse, "remove_source_identifier_from_subscription?", "rds RemoveSourceIdentifierFromSubscription", "missing")(sources_of_events(lambda ids, id: [i for i in ids if i != id]))


def modifying(instance):
    return modified_until.get(instance.db_instance_arn, 0) > time.monotonic()


@gap(RDSResponse, "describe_db_instances", "rds DescribeDBInstances", "shows no instance as modified after its replication was stopped")
def _(original, self):
    answer = original(self)
    for instance in answer.result["DBInstances"]:
        if instance.db_instance_arn in modified_until:
            instance.status = "modifying" if modifying(instance) else "available"
    return answer


@gap(RDSResponse, "delete_db_instance", "rds DeleteDBInstance", "takes a final snapshot of an instance that is being modified")
def _(original, self):
    instance = self.backend.databases.get(self.params["DBInstanceIdentifier"])
    if instance and modifying(instance) and self.params.get("FinalDBSnapshotIdentifier"):
        raise RDSClientError("InvalidDBInstanceState", f"Cannot create a snapshot because {instance.db_instance_identifier} is not available.")
    return original(self)


def key_is_enabled(original, self, source, *args, **kwargs):
    """source is the instance or the snapshot that is restored."""
    if source.startswith("arn:"):
        source = source.split(":")[-1]
    restored = self.databases.get(source) or self.database_snapshots.get(source)
    key = restored and restored.kms_key_id
    # moto has keys by ID, not by ARN.
    found = key and kms_backends[self.account_id][self.region_name].keys.get(key.split("/")[-1])
    if key and (found is None or found.key_state != "Enabled"):
        raise RDSClientError(
            "KMSKeyNotAccessibleFault",
            f"The specified KMS key [{key}] does not exist, is not enabled or you do not have permissions to access it.",
        )
    return original(self, source, *args, **kwargs)


for call, method in (
    ("RestoreDBInstanceFromDBSnapshot", "restore_db_instance_from_db_snapshot"),
    ("RestoreDBInstanceToPointInTime", "restore_db_instance_to_point_in_time"),
):
    gap(RDSBackend, method, f"rds {call}", "restores without the key, or with one that is pending deletion; AWS refuses")(key_is_enabled)


# Values that RDS itself sets, by the major version of PostgreSQL. A parameter that is set to such a value remains RDS's, with the
# apply method that it had: https://github.com/hashicorp/terraform-provider-aws/issues/39252
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
SYSTEM = {"rds.force_ssl": lambda version: "1" if version >= 15 else "0"}


@gap(RDSResponse, "describe_db_parameters", "rds DescribeDBParameters", "does not return the source, nor the apply method of RDS's values")
def _(original, self):
    name, parameters = self.params["DBParameterGroupName"], []
    version = int(self.backend.db_parameter_groups[name].family.removeprefix("postgres"))
    for parameter in original(self).result["Parameters"]:
        system = SYSTEM.get(parameter["ParameterName"])
        if system and parameter["ParameterValue"] == system(version):
            parameters.append({**parameter, "Source": "system", "ApplyMethod": "pending-reboot"})
        else:
            parameters.append({**parameter, "Source": "user"})
    wanted = self.params.get("Source")
    return ActionResult({"Parameters": [p for p in parameters if wanted in (None, p["Source"])]})


@gap(MasterUserSecret, "_generate_secret_string", "rds CreateDBInstance", "has the same credentials for all instances; here those of one PostgreSQL server for all instances")
def _(_, self):
    return json.dumps({"username": self.resource.master_username, "password": os.environ["DATABASE_PASSWORD"]})


GAPS.append(("rds DescribeDBInstances", "has a domain for each region; here one domain, for which PostgreSQL has a certificate"))
DBInstance.address = property(lambda self: f"{self.db_instance_identifier}.emulator.rds.amazonaws.com")


@gap(RDSBackend, "modify_db_subnet_group", "rds ModifyDBSubnetGroup", "loses the group")
def _(original, self, subnet_name, *args, **kwargs):
    group = original(self, subnet_name, *args, **kwargs)
    self.subnet_groups[subnet_name] = group
    return group


# ---- Route 53 --------------------------------------------------------------------------------------------------------

from moto.route53.models import Route53Backend


@gap(Route53Backend, "change_resource_record_sets", "route53 ChangeResourceRecordSets", "refuses to create a record again that was deleted")
def _(original, self, zoneid, change_list):
    deleted = [copy.deepcopy(c["ResourceRecordSet"]) for c in change_list if c["Action"] == "DELETE"]
    answer = original(self, zoneid, change_list)
    changes = self.get_hosted_zone(zoneid).rr_changes
    for record in deleted:
        for change in list(changes):
            other = change["ResourceRecordSet"]
            if (other["Name"].strip("."), other["Type"]) == (record["Name"].strip("."), record["Type"]):
                changes.remove(change)
    return answer


# ---- S3 --------------------------------------------------------------------------------------------------------------

from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.s3.models import FakeDeleteMarker
from moto.s3.responses import S3Response


@gap(S3Response, "get_bucket_replication", "s3 GetBucketReplication", "returns other rules than the stored ones")
def _(original, self):
    stored = self.backend.get_bucket_replication(self.bucket_name)
    if not stored:
        return original(self)
    self.data["Action"] = "GetBucketReplication"
    rules = [{**rule, "Priority": int(rule["Priority"]), "Filter": {"Prefix": ""}} for rule in stored["Rule"]]
    return self.serialized(ActionResult({"ReplicationConfiguration": {"Role": stored["Role"], "Rules": rules}}))


@gap(IAMPolicyStatement, "is_action_permitted", "s3 (all)", "ignores conditions of bucket policies, so that a denial of plain HTTP denies everything")
def _(original, self, *args, **kwargs):
    condition = self._statement.get("Condition") or {}
    secure = str(condition.get("Bool", {}).get("aws:SecureTransport", "")).strip("[]'\"").lower()
    if self._statement.get("Effect") == "Deny" and secure == "false":
        return PermissionResult.NEUTRAL
    return original(self, *args, **kwargs)


@gap(FakeDeleteMarker, "dispose?", "s3 DeleteObjects", "fails if the newest version is a delete marker")
def _(_, self, *args, **kwargs):
    pass


# ---- Secrets Manager -------------------------------------------------------------------------------------------------

from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import FakeSecret, SecretsManagerBackend

failed_rotations = set()  # tokens


@gap(SecretsManagerBackend, "rotate_secret", "secretsmanager RotateSecret", "starts another rotation beside one that failed; goes on after a failed step; treats a finished rotation as running; keeps the version of a test of the function; stores neither the function, nor the schedule, nor the date of the last success")
def _(original, self, secret_id, *args, **kwargs):
    secret = self.secrets[secret_id]
    versions, rules, last = secret.versions, kwargs.get("rotation_rules"), secret.last_rotation_date
    kwargs["rotation_lambda_arn"] = kwargs.get("rotation_lambda_arn") or secret.rotation_lambda_arn
    for version in versions.values():
        if {"AWSPENDING", "AWSCURRENT"} <= set(version["version_stages"]):
            version["version_stages"].remove("AWSPENDING")
    if any("AWSPENDING" in version["version_stages"] for version in versions.values()):
        raise InvalidRequestException("A previous rotation isn't complete. That rotation will be reattempted.")
    before, default = set(versions), secret.default_version_id
    answer = original(self, secret_id, *args, **kwargs)
    if rules:
        secret.rotation_rules, secret.rotation_enabled = rules, True
    if not kwargs.get("rotate_immediately", True):
        secret.last_rotation_date = last
        for name in [name for name, version in versions.items() if version["version_stages"] == ["AWSPENDING"]]:
            del versions[name]
    elif failed_rotations & (set(versions) - before):
        secret.last_rotation_date, secret.default_version_id = last, default
    return answer


@gap(FakeSecret, "to_dict", "secretsmanager DescribeSecret", "does not return the schedule of the rotation")
def _(original, self):
    answer = original(self)
    if "RotationRules" in answer and getattr(self, "rotation_rules", None):
        answer["RotationRules"] = self.rotation_rules
    return answer


# ---- what AWS refuses and moto accepts -------------------------------------------------------------------------------

from moto.cloudwatch.exceptions import DashboardInvalidInputError
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.responses.security_groups import SecurityGroups
from moto.ecs.exceptions import EcsClientException
from moto.elbv2.exceptions import ELBClientError, InvalidConditionValueError
from moto.elbv2.models import ELBv2Backend
from moto.kms import kms_backends
from moto.rds.exceptions import InvalidParameterCombination, KMSKeyNotAccessibleFault


def uses_active_definition(original, self):
    name = self._get_param("taskDefinition")
    if not name and self._get_param("service"):
        cluster = self._get_param("cluster", "default").rpartition("/")[2]
        service = self.ecs_backend.services.get(f"{cluster}:{self._get_param('service').rpartition('/')[2]}")
        name = service.task_definition if service else None
    if name and ":" in name and self.ecs_backend.describe_task_definition(name).status == "INACTIVE":
        raise EcsClientException("TaskDefinition is inactive")
    return original(self)


for method, call in (("create_service", "CreateService"), ("update_service", "UpdateService")):
    gap(EC2ContainerServiceResponse, method, f"ecs {call}", "accepts a deregistered task definition")(uses_active_definition)


# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
def rebalances_above_100_percent(original, self):
    most = (self._get_param("deploymentConfiguration") or {}).get("maximumPercent", 200)
    if self._get_param("availabilityZoneRebalancing") == "ENABLED" and most <= 100:
        raise EcsClientException("availabilityZoneRebalancing requires a maximumPercent above 100")
    return original(self)


for method, call in (("create_service", "CreateService"), ("update_service", "UpdateService")):
    gap(EC2ContainerServiceResponse, method, f"ecs {call}", "accepts rebalancing with a maximum of 100 percent")(rebalances_above_100_percent)


# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html and the pages of the parameters
@gap(EC2ContainerServiceResponse, "register_task_definition", "ecs RegisterTaskDefinition", "accepts what Fargate rejects")
def _(original, self):
    for container in self._get_param("containerDefinitions") or []:
        added = ((container.get("linuxParameters") or {}).get("capabilities") or {}).get("add") or []
        if container.get("privileged") or set(added) - {"SYS_PTRACE"}:
            raise EcsClientException(f"{container['name']}: Fargate adds no capability but SYS_PTRACE")
        if any(limit["name"] != "nofile" for limit in container.get("ulimits") or []):
            raise EcsClientException(f"{container['name']}: Fargate supports only the ulimit nofile")
    disk = self._get_param("ephemeralStorage")
    if disk and not 21 <= disk["sizeInGiB"] <= 200:
        raise EcsClientException("ephemeralStorage: want 21 to 200 GiB")
    return original(self)


def needs_key(original, self):
    """A snapshot or the backups of an instance can be restored only while their key can be used."""
    key = self.params.get("KmsKeyId")
    if self.params.get("DBSnapshotIdentifier"):
        snapshot = self.backend.database_snapshots.get(self.params["DBSnapshotIdentifier"].rpartition(":")[2])
        key = snapshot.kms_key_id if snapshot else key
    elif self.params.get("SourceDBInstanceIdentifier"):
        source = self.backend.databases.get(self.params["SourceDBInstanceIdentifier"].rpartition(":")[2])
        key = source.kms_key_id if source else key
    if key and ":key/" in key:
        found = kms_backends[self.current_account][self.region].keys.get(key.rpartition("/")[2])
        if found is None or found.key_state != "Enabled":
            raise KMSKeyNotAccessibleFault(key)
    return original(self)


for method, call in (
    ("create_db_instance", "CreateDBInstance"),
    ("restore_db_instance_from_db_snapshot", "RestoreDBInstanceFromDBSnapshot"),
    ("restore_db_instance_to_point_in_time", "RestoreDBInstanceToPointInTime"),
):
    gap(RDSResponse, method, f"rds {call}", "accepts a key that is disabled or pending deletion")(needs_key)


# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html: PostgreSQL has 12,000 IOPS at least from 400 GiB on.
@gap(RDSResponse, "modify_db_instance", "rds ModifyDBInstance", "accepts 3,000 IOPS for gp3 storage of 400 GiB or more")
def _(original, self):
    size, iops = int(self.params.get("AllocatedStorage") or 0), int(self.params.get("Iops") or 0)
    instance = self.backend.databases.get(self.params["DBInstanceIdentifier"])
    kind = self.params.get("StorageType") or getattr(instance, "storage_type", "")
    if kind == "gp3" and size >= 400 and 0 < iops < 12000:
        raise InvalidParameterCombination("Invalid iops value for engine and storage type gp3. The minimum is 12000.")
    return original(self)


# Parameters that PostgreSQL reads at its start only.
STATIC = re.compile(
    r"shared_preload_libraries|shared_buffers|wal_buffers|wal_level|huge_pages|autovacuum_freeze_max_age|"
    r"max_(connections|worker_processes|wal_senders|replication_slots|prepared_transactions|locks_per_transaction|"
    r"files_per_process|pred_locks_per_transaction)|track_(activity_query_size|commit_timestamp)|rds\.logical_replication"
)


@gap(RDSResponse, "modify_db_parameter_group", "rds ModifyDBParameterGroup", "accepts to apply a static parameter at once")
def _(original, self):
    for parameter in self.params.get("Parameters") or []:
        if parameter.get("ApplyMethod") == "immediate" and STATIC.fullmatch(parameter["ParameterName"]):
            raise InvalidParameterCombination("cannot use immediate apply method for static parameter")
    return original(self)




@gap(CloudWatchResponse, "put_dashboard", "cloudwatch PutDashboard", "accepts an alarm widget with more than 100 alarms")
def _(original, self):
    body = json.loads(self._get_param("DashboardBody"))
    for widget in body.get("widgets", []):
        if widget.get("type") == "alarm" and not 1 <= len(widget["properties"].get("alarms", [])) <= 100:
            raise DashboardInvalidInputError("The dashboard body is invalid: alarms: should have 1 to 100 items")
    return original(self)


@gap(ELBv2Backend, "create_load_balancer", "elasticloadbalancing CreateLoadBalancer", "accepts a name that begins with internal-")
def _(original, self, name, *args, **kwargs):
    if name.startswith("internal-"):
        raise ELBClientError("ValidationError", f"Load balancer name '{name}' cannot begin with 'internal-'")
    return original(self, name, *args, **kwargs)


# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html
CONDITIONS = {
    "path-pattern": re.compile(r"[A-Za-z0-9_.$/~\"'@:+&*?-]{1,128}"),
    "host-header": re.compile(r"[A-Za-z0-9.*?-]*\.[A-Za-z]+"),
}


@gap(ELBv2Backend, "_validate_conditions", "elasticloadbalancing CreateRule", "accepts paths and hosts with any characters")
def _(original, self, conditions):
    for condition in conditions:
        field, allowed_here = condition["Field"], CONDITIONS.get(condition["Field"])
        config = condition.get("PathPatternConfig") or condition.get("HostHeaderConfig") or condition
        for value in config.get("Values", []):
            if allowed_here and not allowed_here.fullmatch(value):
                raise InvalidConditionValueError(f"The {field} value '{value}' contains an invalid character or is not a name")
    return original(self, conditions)


@gap(SecurityGroups, "create_security_group", "ec2 CreateSecurityGroup", "accepts a name that begins with sg-")
def _(original, self):
    name = self._get_param("GroupName")
    if name.startswith("sg-"):
        raise EC2ClientError("InvalidParameterValue", f"Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*.")
    return original(self)


# ---- the server ------------------------------------------------------------------------------------------------------

REPORT = "/emulator/report"
TASK = "/emulator/task"


def one_at_a_time(application):
    """Serialises requests, because moto's backends are not thread-safe. If a client repeats a call because it lost the response,
    it gets the same response again: otherwise, creating a subnet again would conflict with itself."""
    lock, answers = threading.Lock(), {}

    def serve(environ, start_response):
        rotates = environ.get("HTTP_X_AMZ_TARGET") == "secretsmanager.RotateSecret"
        if rotates or environ["PATH_INFO"].endswith("/invocations"):  # a function, which calls AWS itself
            return application(environ, start_response)
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        with lock:
            if call in answers:
                print("repeated:", environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_AMZ_SDK_REQUEST"), file=sys.stderr)
                status, headers, body = answers[call]
            else:
                begun = []
                body = b"".join(application(environ, lambda status, headers, *_: begun.append((status, headers))))
                status, headers = begun[-1]
                if call and status.startswith("2") and len(body) < 1 << 16:
                    answers[call] = status, headers, body
                    if len(answers) > 1000:
                        del answers[next(iter(answers))]
        start_response(status, headers)
        return [body]

    return serve


def checked(application):
    """Refuses requests that violate AWS's models (models.py), answers REPORT with what was checked, and TASK with an access key
    of a task and its role, which are ARNs."""

    def serve(environ, start_response):
        if environ["PATH_INFO"] == REPORT:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps({**models.report(), **rights.report()}).encode()]
        if environ["PATH_INFO"] == TASK:
            query = urllib.parse.parse_qs(environ["QUERY_STRING"])
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [rights.admit(rights.Caller(query["task"][0], query["role"][0])).encode()]
        if environ["PATH_INFO"].startswith("/moto-api"):
            return application(environ, start_response)
        call, refusal = models.examine(environ)
        if refusal:
            return answer(start_response, refusal)
        environ["emulator.call"] = call
        return application(environ, start_response)

    return serve


def allowed(application):
    """Refuses calls of functions and tasks that their roles do not allow (rights.py)."""

    def serve(environ, start_response):
        call = environ.get("emulator.call")
        refusal = call and rights.examine(call)
        return answer(start_response, refusal) if refusal else application(environ, start_response)

    return serve


def answer(start_response, refusal):
    status, headers, body = refusal
    start_response(status, headers)
    return [body]


def main():
    global FUNCTIONS, ENDPOINT
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--stay", action="store_true", help="keep running after the end of standard input")
    arguments.add_argument("--functions", help="folder of the programs of the Lambda functions")
    arguments.add_argument("--endpoint", help="file with the URL that the functions use, if it exists")
    arguments.add_argument("--tasks", help="network of this machine, such as 127.10.0.0/16: services start tasks with its addresses")
    arguments.add_argument("--list", action="store_true", help="print the gaps")
    options = arguments.parse_args()
    if options.list:
        for call, why in GAPS:
            print(f"{call}: {why}")
        return
    FUNCTIONS, ENDPOINT = options.functions, options.endpoint
    if options.tasks:
        monitoring.start_tasks(options.tasks)

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = cbor.translated(checked(one_at_a_time(allowed(DomainDispatcherApplication(create_backend_app)))))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    os.environ["MOTO_PORT"] = str(server.server_port)  # moto uses it in URLs
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    if not options.stay:
        threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
