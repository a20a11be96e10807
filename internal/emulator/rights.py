"""Evaluates the calls of Lambda functions and of tasks against the policies of their roles, as IAM does. moto stores policies only.

Each invocation has an access key of its own, so that the emulator knows whose call it is. For a program of a task, a test asks for
one (gaps.py). A call that no policy allows, or that one
denies, gets AWS's error. The policies are those that are deployed at that moment: of the role, its permissions boundary, and those
of keys, buckets, topics and secrets.

What a call needs is in NEEDS: actions, resources and context keys, from the request. A call that is not there is denied.

The rights that the roles have, and those that a call has used, are in the report.
"""

import json
import random
import re
import string
import sys
from collections import Counter

import models


class Unsupported(Exception):
    """Part of a policy that this module does not evaluate. The call is denied, so that nobody relies on it."""


# ---- policies --------------------------------------------------------------------------------------------------------
#
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, text, ignore_case=False):
    """Compares with the wildcards * and ?."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, text, re.S | (re.I if ignore_case else 0)) is not None


def matches_arn(pattern, arn):
    """Compares ARNs part by part: a wildcard does not reach beyond a colon of the first five parts."""
    if pattern == "*":
        return True
    wanted, have = pattern.split(":", 5), arn.split(":", 5)
    return len(wanted) == len(have) and all(matches(w, h) for w, h in zip(wanted, have))


def substituted(text, context):
    """Replaces variables. A text with a variable that the context does not have matches nothing."""
    for variable in re.findall(r"\$\{([^}]*)\}", text):
        if variable in ("*", "?", "$"):
            raise Unsupported(f"the variable {variable}")
        values = context.get(variable.lower())
        if values is None:
            return None
        text = text.replace("${" + variable + "}", values[0])
    return text


def same_arn(wanted, have):
    return matches_arn(wanted, have)


# Each operator compares a value of the policy with one of the request.
OPERATORS = {
    "StringEquals": lambda wanted, have: wanted == have,
    "StringEqualsIgnoreCase": lambda wanted, have: wanted.lower() == have.lower(),
    "StringLike": matches,
    "NumericEquals": lambda wanted, have: float(have) == float(wanted),
    "NumericLessThan": lambda wanted, have: float(have) < float(wanted),
    "NumericLessThanEquals": lambda wanted, have: float(have) <= float(wanted),
    "NumericGreaterThan": lambda wanted, have: float(have) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, have: float(have) >= float(wanted),
    "Bool": lambda wanted, have: wanted.lower() == have.lower(),
    "ArnEquals": same_arn,
    "ArnLike": same_arn,
}
# These match if no value matches, also if the request does not have the key.
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def holds(operator, key, wanted, context):
    """Whether a condition holds. context has a list of values for each key, which is in lower case."""
    quantifier, _, name = operator.rpartition(":")
    if_exists, name = name.endswith("IfExists"), name.removesuffix("IfExists")
    have = context.get(key.lower())
    wanted = [str(value).lower() if isinstance(value, bool) else str(value) for value in listed(wanted)]
    if name == "Null":
        return (have is None) == (wanted[0].lower() == "true")
    negated = name in NEGATED
    compare = OPERATORS.get(NEGATED.get(name, name))
    if compare is None or quantifier not in ("", "ForAllValues", "ForAnyValue"):
        raise Unsupported(f"the condition operator {operator}")
    if not have:
        return if_exists or negated or quantifier == "ForAllValues"
    wanted = [value for value in (substituted(value, context) for value in wanted) if value is not None]
    matched = [any(compare(value, one) for value in wanted) != negated for one in have]
    return all(matched) if quantifier == "ForAllValues" or negated and not quantifier else any(matched)


def applies(statement, action, resource, context, principals):
    if principals is not None:
        if "NotPrincipal" in statement:
            raise Unsupported("NotPrincipal")
        named = statement["Principal"]
        named = ["*"] if named == "*" else listed(named.get("AWS", []))
        if not set(named) & set(principals):
            return False
    for element, wanted in (("Action", True), ("NotAction", False)):
        if element in statement and any(matches(a, action, True) for a in listed(statement[element])) != wanted:
            return False
    for element, wanted in (("Resource", True), ("NotResource", False)):
        if element in statement:
            patterns = [substituted(r, context) for r in listed(statement[element])]
            if any(p is not None and matches_arn(p, resource) for p in patterns) != wanted:
                return False
    conditions = statement.get("Condition") or {}
    return all(holds(o, key, value, context) for o, keys in conditions.items() for key, value in keys.items())


def decide(policies, action, resource, context, principals=None):
    """Returns "Deny", "Allow" or None, and the statements that allow. principals are the names of the caller, for policies of
    resources."""
    allowed = []
    for policy in policies:
        for statement in listed(policy["Statement"]):
            if applies(statement, action, resource, context, principals):
                if statement["Effect"] == "Deny":
                    return "Deny", []
                allowed.append(statement)
    return ("Allow" if allowed else None), allowed


# ---- what a call needs -----------------------------------------------------------------------------------------------


class Need:
    """An action on a resource, with context keys. owner is the service of AWS that acts for the caller, if it is one."""

    def __init__(self, action, resource, context=None, owner=""):
        self.action, self.resource, self.context, self.owner = action, resource, context or {}, owner


class Place:
    """Where a call is made, with what exists there."""

    def __init__(self, account, region):
        self.account, self.region = account, region

    def arn(self, service, resource):
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def backend(self, service):
        from moto import backends

        found = backends.get_backend(service)[self.account]
        return found["aws"] if service in ("iam", "s3") else found[self.region]


def tag_context(tags, prefix="aws:ResourceTag"):
    return {f"{prefix}/{tag['Key']}": tag["Value"] for tag in tags or []}


def key_needs(place, key, actions, owner, encryption):
    """What a service needs of a caller that uses a secret, an object or a topic that a customer managed key encrypts."""
    kms = place.backend("kms")
    if not key or key.startswith("alias/aws/") or ":alias/aws/" in key:
        return []
    found = kms.keys.get(kms.any_id_to_key_id(key))
    if found is None or found.key_manager != "CUSTOMER":
        return []
    context = {f"kms:EncryptionContext:{name}": value for name, value in encryption.items()}
    if owner:
        context["kms:ViaService"] = f"{owner}.{place.region}.amazonaws.com"
    return [Need(action, found.arn, context, owner) for action in actions]


def secret_needs(operation, parameters, place):
    name = parameters["SecretId"]
    secrets = place.backend("secretsmanager").secrets
    if name not in secrets:
        resource = name if name.startswith("arn:") else place.arn("secretsmanager", f"secret:{name}-??????")
        return [Need(f"secretsmanager:{operation}", resource)]
    secret = secrets[name]
    context = {**tag_context(secret.tags), "secretsmanager:SecretId": secret.arn}
    if parameters.get("VersionStage"):
        context["secretsmanager:VersionStage"] = parameters["VersionStage"]
    actions = {"GetSecretValue": ["kms:Decrypt"], "PutSecretValue": ["kms:GenerateDataKey", "kms:Decrypt"]}.get(operation, [])
    keys = key_needs(place, secret.kms_key_id, actions, "secretsmanager", {"SecretARN": secret.arn})
    return [Need(f"secretsmanager:{operation}", secret.arn, context), *keys]


RDS = {
    "DBInstanceIdentifier": "db",
    "SourceDBInstanceIdentifier": "db",
    "TargetDBInstanceIdentifier": "db",
    "DBSnapshotIdentifier": "snapshot",
    "SourceDBSnapshotIdentifier": "snapshot",
    "TargetDBSnapshotIdentifier": "snapshot",
    "DBParameterGroupName": "pg",
    "DBSubnetGroupName": "subgrp",
}


def rds_needs(operation, parameters, place):
    rds = place.backend("rds")
    existing = {"db": rds.databases, "snapshot": rds.database_snapshots}
    asked = tag_context(parameters.get("Tags"), "aws:RequestTag")
    asked["aws:TagKeys"] = [tag["Key"] for tag in parameters.get("Tags") or []] or None
    needs = []
    if operation == "DescribeAccountAttributes":
        return [Need("rds:DescribeAccountAttributes", "*")]
    if operation == "DescribeDBInstanceAutomatedBackups":
        return [Need(f"rds:{operation}", place.arn("rds", f"{kind}:*")) for kind in ("auto-backup", "db")]
    for parameter, kind in RDS.items():
        name = parameters.get(parameter)
        if name:
            found = existing.get(kind, {}).get(name)
            resource = name if name.startswith("arn:") else place.arn("rds", f"{kind}:{name.lower()}")
            needs.append(Need(f"rds:{operation}", resource, {**tag_context(found.tags if found else None), **asked}))
    if parameters.get("ResourceName"):  # of calls about tags
        needs.append(Need(f"rds:{operation}", parameters["ResourceName"], asked))
    if operation == "DescribeDBSnapshots" and "DBSnapshotIdentifier" not in parameters:
        needs.append(Need("rds:DescribeDBSnapshots", place.arn("rds", "snapshot:*")))
    elif not needs:
        kinds = {"DescribeDBInstances": "db:*"}
        if operation not in kinds:
            raise Unsupported(f"the resources of rds:{operation}")
        needs.append(Need(f"rds:{operation}", place.arn("rds", kinds[operation])))
    if parameters.get("Tags") and operation.startswith(("Create", "Copy", "Restore")):
        needs.append(Need("rds:AddTagsToResource", needs[-1].resource, asked))
    return needs


def ecs_needs(operation, parameters, place):
    def arn(kind, name):
        return name if name.startswith("arn:") else place.arn("ecs", f"{kind}/{name}")

    cluster = arn("cluster", parameters.get("cluster") or "default")
    context = {"ecs:cluster": cluster}
    prefix = cluster.rpartition("/")[2] + "/"
    if operation in ("UpdateService", "DeleteService"):
        return [Need(f"ecs:{operation}", arn("service", prefix + parameters["service"]), context)]
    if operation == "DescribeServices":
        return [Need("ecs:DescribeServices", arn("service", prefix + s.rpartition("/")[2]), context) for s in parameters["services"]]
    if operation == "DescribeTasks":
        return [Need("ecs:DescribeTasks", arn("task", prefix + t.rpartition("/")[2]), context) for t in parameters["tasks"]]
    if operation == "DescribeClusters":
        return [Need("ecs:DescribeClusters", arn("cluster", c)) for c in parameters.get("clusters") or ["default"]]
    if operation == "RunTask":
        return run_task_needs(parameters, place, context, prefix)
    if operation in ("ListTasks", "ListServices"):
        return [Need(f"ecs:{operation}", "*", context)]
    raise Unsupported(f"the resources of ecs:{operation}")


def run_task_needs(parameters, place, context, prefix):
    """What starts a task also passes its roles to ECS, and tags it, if it copies tags.
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/supported-iam-actions-tagging.html"""
    definition = place.backend("ecs").describe_task_definition(parameters["taskDefinition"])
    needs = [Need("ecs:RunTask", definition.arn, context)]
    for role in (definition.execution_role_arn, definition.task_role_arn):
        if role:
            needs.append(Need("iam:PassRole", role, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}))
    if parameters.get("tags") or parameters.get("propagateTags", "NONE") != "NONE":
        needs.append(Need("ecs:TagResource", place.arn("ecs", f"task/{prefix}*"), {"ecs:CreateAction": "RunTask"}))
    return needs


def schedule_needs(operation, parameters, place):
    name = f"schedule/{parameters.get('GroupName', 'default')}/{parameters['Name']}"
    return [Need(f"scheduler:{operation}", place.arn("scheduler", name))]


def function_needs(operation, parameters, place):
    if operation != "Invoke":
        raise Unsupported(f"the resources of lambda:{operation}")
    return [Need("lambda:InvokeFunction", place.arn("lambda", f"function:{parameters['FunctionName']}"))]


def sns_needs(operation, parameters, place):
    topic = parameters["TopicArn"]
    found = place.backend("sns").topics.get(topic)
    key = found.kms_master_key_id if found else None
    actions = ["kms:Decrypt", "kms:GenerateDataKey"] if operation == "Publish" else []
    return [Need(f"sns:{operation}", topic), *key_needs(place, key, actions, "sns", {"aws:sns:topicArn": topic})]


S3_ACTIONS = {
    "HeadObject": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
}


def s3_needs(operation, parameters, place):
    bucket, key = parameters["Bucket"], parameters.get("Key")
    action = S3_ACTIONS.get(operation, operation)
    if parameters.get("VersionId") and action in ("GetObject", "DeleteObject"):
        action += "Version"
    arn = f"arn:aws:s3:::{bucket}"
    resource = f"{arn}/{key}" if key else arn
    needs = [Need(f"s3:{action}", resource, {"s3:prefix": parameters.get("Prefix")})]
    if operation == "CopyObject":
        needs.append(Need("s3:GetObject", "arn:aws:s3:::" + parameters["CopySource"].lstrip("/").partition("?")[0]))
    buckets = place.backend("s3").buckets
    if key and bucket in buckets and action in ("GetObject", "GetObjectVersion", "PutObject"):
        rule = (buckets[bucket].encryption or {}).get("Rule") or {}
        default = listed(rule)[0].get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID") if rule else None
        encryption = parameters.get("SSEKMSKeyId") or default
        actions = ["kms:GenerateDataKey", "kms:Decrypt"] if operation == "CreateMultipartUpload" else ["kms:GenerateDataKey"]
        if action != "PutObject":
            found, actions = place.backend("s3").get_object(bucket, key, parameters.get("VersionId")), ["kms:Decrypt"]
            encryption = getattr(found, "kms_key_id", None)
        needs += key_needs(place, encryption, actions, "s3", {"aws:s3:arn": resource})
    return needs


def kms_needs(operation, parameters, place):
    kms = place.backend("kms")
    key = parameters.get("KeyId")
    if not key:
        raise Unsupported(f"the key of kms:{operation}")
    context = {f"kms:EncryptionContext:{name}": value for name, value in (parameters.get("EncryptionContext") or {}).items()}
    return [Need(f"kms:{operation}", kms.keys[kms.any_id_to_key_id(key)].arn, context)]


def log_needs(operation, parameters, place):
    name = f"log-group:{parameters['logGroupName']}:log-stream:{parameters.get('logStreamName', '')}"
    return [Need(f"logs:{operation}", place.arn("logs", name))]


def metric_needs(operation, parameters, place):
    return [Need(f"cloudwatch:{operation}", "*", {"cloudwatch:namespace": parameters.get("Namespace")})]


def whole_account(service, *operations):
    """Operations without a resource of their own."""

    def needs(operation, parameters, place):
        if operation not in operations:
            raise Unsupported(f"the resources of {service}:{operation}")
        return [Need(f"{service}:{operation}", "*")]

    return needs


NEEDS = {
    "ec2": whole_account("ec2", "DescribeNetworkInterfaces", "DescribeSecurityGroups"),
    "ecs": ecs_needs,
    "iam": whole_account("iam", "ListAccountAliases"),
    "kms": kms_needs,
    "lambda": function_needs,
    "logs": log_needs,
    "monitoring": metric_needs,
    "rds": rds_needs,
    "s3": s3_needs,
    "scheduler": schedule_needs,
    "secretsmanager": secret_needs,
    "sns": sns_needs,
    "tagging": whole_account("tag", "GetResources"),
    "sts": lambda operation, *_: [] if operation == "GetCallerIdentity" else [Need(f"sts:{operation}", "*")],
}


# ---- callers ---------------------------------------------------------------------------------------------------------


class Denied(Exception):
    pass


def current(policy):
    """The document of a managed policy."""
    return json.loads(next(v.document for v in policy.versions if v.version_id == policy.default_version_id))


class Caller:
    """A Lambda function or a task, with its role."""

    def __init__(self, arn, role):
        self.arn, self.role = arn, role
        self.is_function = arn.split(":")[2] == "lambda"
        self.place = Place(arn.split(":")[4], arn.split(":")[3])

    @property
    def name(self):
        return self.role.rpartition("/")[2]

    def documents(self):
        """The policies of the role, and those of its permissions boundary or None."""
        iam = self.place.backend("iam")
        role = next((role for role in iam.roles.values() if role.arn == self.role), None)
        if role is None:
            raise Denied(f"the role {self.role} does not exist")
        own = [json.loads(text) for text in role.policies.values()] + [current(policy) for policy in role.managed_policies.values()]
        boundary = role.permissions_boundary_arn
        return own, [current(iam.managed_policies[boundary])] if boundary else None

    def may(self, need, by_code=True):
        """Raises Denied unless the policies allow what is needed. by_code is whether the caller's program calls, not Lambda."""
        own, boundary = self.documents()
        remember(self.name, own)
        session = f"arn:aws:sts::{self.place.account}:assumed-role/{self.name}/{self.arn.rpartition(':')[2]}"
        context = {
            "aws:PrincipalAccount": self.place.account,
            "aws:PrincipalArn": self.role,
            "aws:PrincipalType": "AssumedRole",
            "aws:RequestedRegion": self.place.region,
            "aws:SecureTransport": "true",
            "aws:ViaAWSService": str(bool(need.owner)).lower(),
            "kms:CallerAccount": self.place.account,
            **({"lambda:SourceFunctionArn": self.arn} if self.is_function and by_code and not need.owner else {}),
            **need.context,
        }
        context = {key.lower(): [str(v) for v in listed(value)] for key, value in context.items() if value is not None}
        root = f"arn:aws:iam::{self.place.account}:root"
        callers = ["*", self.role, session]

        decision, allowing = decide(own, need.action, need.resource, context)
        reason = f"because no identity-based policy allows the {need.action} action"
        attached = resource_policy(need.resource, self.place)
        delegated, direct = True, False
        if attached:
            theirs, _ = decide([attached], need.action, need.resource, context, [*callers, root, self.place.account])
            direct = decide([attached], need.action, need.resource, context, callers)[0] == "Allow"
            delegated = theirs == "Allow" or not need.action.startswith("kms:")
            if theirs == "Deny":
                decision, reason = "Deny", "with an explicit deny in a resource-based policy"
            elif not delegated:
                reason = f"because no resource-based policy allows the {need.action} action"
        if decision == "Deny":
            reason = reason if reason.startswith("with") else "with an explicit deny in an identity-based policy"
        limited = boundary is not None and decide(boundary, need.action, need.resource, context)[0] != "Allow"
        if limited:
            reason = f"because no permissions boundary allows the {need.action} action"
        if decision == "Deny" or limited or not (direct or delegated and decision == "Allow"):
            raise Denied(f"User: {session} is not authorized to perform: {need.action} on resource: {need.resource} {reason}")
        for statement in allowing:
            for action in listed(statement.get("Action", [])):
                if matches(action, need.action, True):
                    used[right(self.name, statement, action)] += 1


def resource_policy(arn, place):
    service, name = arn.split(":")[2:6:3] if arn.startswith("arn:") else ("", "")
    policy = None
    if service == "kms":
        policy = place.backend("kms").keys[name.removeprefix("key/")].policy
    elif service == "s3":
        bucket = place.backend("s3").buckets.get(name.partition("/")[0])
        policy = bucket and bucket.policy
    elif service == "sns":
        topic = place.backend("sns").topics.get(arn)
        policy = topic and topic.policy
    elif service == "secretsmanager" and arn in place.backend("secretsmanager").secrets:
        policy = place.backend("secretsmanager").secrets[arn].policy
    return json.loads(policy) if policy else None


# ---- the report ------------------------------------------------------------------------------------------------------

granted, used, denied = set(), Counter(), Counter()


def right(role, statement, action):
    return f"{role}: {statement.get('Sid', '')}: {action}"


def remember(role, policies):
    for policy in policies:
        for statement in listed(policy["Statement"]):
            if statement["Effect"] == "Allow":
                granted.update(right(role, statement, action) for action in listed(statement.get("Action", [])))


def report():
    return {"granted": {name: used[name] for name in sorted(granted)}, "denied": denied}


# ---- what Lambda does with the role of a function ---------------------------------------------------------------------
#
# Without the key, https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html; in a VPC,
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html


def lambda_invokes(function, key, log_group):
    """Checks what Lambda needs to run a function of moto: its environment's key and its log group."""
    caller = of(function)
    encryption = {"aws:lambda:FunctionArn": caller.arn}
    needs = key_needs(caller.place, key, ["kms:Decrypt"], "", encryption) if function.environment_vars else []
    for action in ("CreateLogStream", "PutLogEvents"):
        resource = f"log-group:{log_group}:log-stream:$LATEST"
        needs.append(Need(f"logs:{action}", caller.place.arn("logs", resource)))
    return lambda_does(caller, needs)


def lambda_joins_network(function):
    """Checks what Lambda needs to create the network interfaces of a function."""
    caller = of(function)
    actions = ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets")
    return lambda_does(caller, [Need(f"ec2:{action}", "*") for action in actions])


def lambda_does(caller, needs):
    for need in needs:
        try:
            caller.may(need, by_code=False)
        except Denied as reason:
            denied[f"lambda: {reason}"] += 1
            return need, str(reason)
    return None, None


# ---- the check of all calls ------------------------------------------------------------------------------------------

callers = {}  # by access key


def of(function):
    """The caller that a function of moto is."""
    return Caller(":".join(function.function_arn.split(":")[:7]), function.role)


def admit(caller):
    """Returns an access key of a caller."""
    key = "ASIA" + "".join(random.choices(string.ascii_uppercase + string.digits, k=16))
    callers[key] = caller
    return key


def examine(call):
    """Returns AWS's error if a call is of a function or a task and its role does not allow it, or None."""
    caller = callers.get(call.key)
    if caller is None:
        return None
    try:
        if call.service not in NEEDS:
            raise Unsupported(f"the resources of {call.service}:{call.operation}")
        for need in NEEDS[call.service](call.operation, call.parameters, Place(caller.place.account, call.region)):
            try:
                caller.may(need)
            except Denied as reason:
                if call.service == "secretsmanager" and need.owner:
                    raise Denied("Access to KMS is not allowed") from reason
                raise
    except Unsupported as reason:
        return refusal(call, f"the emulator cannot evaluate {reason}; see rights.py")
    except Denied as reason:
        return refusal(call, str(reason))
    return None


def refusal(call, message):
    denied[f"{call.name}: {message}"] += 1
    print("denied:", call.name, message, file=sys.stderr, flush=True)
    code, status = "AccessDeniedException", "400 Bad Request"
    if call.protocol in ("query", "rest-xml"):
        code, status = "AuthorizationError" if call.service == "sns" else "AccessDenied", "403 Forbidden"
    elif call.protocol == "ec2":
        code, status = "UnauthorizedOperation", "403 Forbidden"
    elif call.protocol == "rest-json":
        status = "403 Forbidden"
    return models.error(call, status, code, message)
