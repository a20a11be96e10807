"""Holds each request against AWS's model of its operation, as botocore has it. moto checks next to none of that.

AWS refuses a request that lacks a required parameter, or whose value is outside of an enumeration, a pattern, a length or a range.
So does the emulator: the caller gets AWS's error in the form of the protocol. A parameter that the model does not have is refused,
too. Many services of AWS ignore it, but then it has no effect.

The calls are counted by service. A call whose operation has no model is not refused, but counted by name.
"""

import base64
import functools
import gzip
import io
import json
import re
import sys
import unicodedata
import urllib.parse
import uuid
import xml.etree.ElementTree
from collections import Counter
from xml.sax.saxutils import escape

from moto.core.utils import get_service_model

# Where botocore's name of a service is not the one in a signature.
MODELS = {
    "aps": "amp",
    "elasticloadbalancing": "elbv2",
    "email": "sesv2",
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}

# Violations that AWS accepts, because its model is wrong: a pattern of "service operation.parameter: constraint", and the reason.
EXCEPTIONS = {}


class Call:
    """A request in the terms of its model."""

    def __init__(self, service, region, key, protocol, operation, parameters):
        self.service, self.region, self.key = service, region, key  # the service's name in the signature; the access key
        self.protocol, self.operation, self.parameters = protocol, operation, parameters

    @property
    def name(self):
        return f"{self.service} {self.operation}"


class Unknown(Exception):
    """A call whose operation has no model."""


# ---- reading requests ------------------------------------------------------------------------------------------------


def signature(environ):
    """The access key, region and service of a signed request."""
    scope = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if not scope:  # a presigned URL
        query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
        scope = re.search(r"([^/]+)/\d+/([^/]+)/([^/]+)/", query.get("X-Amz-Credential", [""])[0])
    if not scope:
        raise Unknown(f"unsigned {environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
    return scope.groups()


def read(environ, body):
    """Returns the call that a request is, and its violations of the model."""
    key, region, service = signature(environ)
    path, _, query = environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")
    query = urllib.parse.parse_qs(query, keep_blank_values=True)
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        body = gzip.decompress(body)
    content, target = environ.get("CONTENT_TYPE", ""), environ.get("HTTP_X_AMZ_TARGET")
    if environ.get("HTTP_SMITHY_PROTOCOL"):
        raise Unknown(f"{service} in the protocol {environ['HTTP_SMITHY_PROTOCOL']}")
    name = MODELS.get(service, service)
    if service == "s3" and path.startswith("/v20180820/"):
        name = "s3control"
    try:
        model = get_service_model(name)
    except Exception:
        raise Unknown(f"service {service}")
    problems = []
    if target:
        protocol, operation = "json", target.rpartition(".")[2]
    elif content.startswith("application/x-www-form-urlencoded") or "Action" in query:
        form = {**query, **urllib.parse.parse_qs(body.decode(), keep_blank_values=True)}
        protocol, operation = "ec2" if model.protocol == "ec2" else "query", form.get("Action", [""])[0]
    else:
        protocol = model.protocol
        operation, labels = route(name, environ, path, query)
    if operation not in model.operation_names:
        raise Unknown(f"{service} {operation or environ['REQUEST_METHOD'] + ' ' + path}")
    shape, parameters = model.operation_model(operation).input_shape, {}
    if shape is not None:
        if protocol == "json":
            parameters = from_json(shape, decoded(body, problems), "", problems)
        elif protocol in ("query", "ec2"):
            parameters = from_form(shape, tree(form), "", problems, protocol)
        else:
            parameters = from_rest(shape, environ, labels, query, body, problems, protocol)
        check(shape, parameters, "", problems)
    excepted = [p for p in problems if any(re.fullmatch(e, f"{service} {operation}.{p[0]}: {p[1]}") for e in EXCEPTIONS)]
    return Call(service, region, key, protocol, operation, parameters), [p for p in problems if p not in excepted]


def decoded(body, problems):
    try:
        return json.loads(body or b"{}")
    except ValueError:
        problems.append(("", None, "Member must be JSON"))
        return {}


@functools.cache
def routes(name):
    """The operations of a REST service: method, pattern of the path, query, name."""
    model, found = get_service_model(name), []
    for operation in map(model.operation_model, model.operation_names):
        path, _, query = operation.http["requestUri"].partition("?")
        parts = re.split(r"(\{[^}]*\})", path.rstrip("/"))
        pattern = "".join(("(.+)" if "+" in p else "([^/]+)") if p.startswith("{") else re.escape(p) for p in parts)
        names = [p.strip("{}+") for p in parts if p.startswith("{")]
        fixed = urllib.parse.parse_qs(query, keep_blank_values=True)
        fixed.pop("x-id", None)
        literal = sum(len(p) for p in parts if not p.startswith("{"))
        found.append((operation.http["method"], re.compile(pattern), names, fixed, literal, operation))
    return found


def route(name, environ, path, query):
    """The operation of a REST request, and the values of the labels in its path. Of several operations with the same path, it is the
    one whose required headers and query parameters the request has."""
    best = None
    for method, pattern, names, fixed, literal, operation in routes(name):
        if method != environ["REQUEST_METHOD"]:
            continue
        match = pattern.fullmatch(path.rstrip("/")) or pattern.fullmatch(path)
        if not match or any(key not in query or value != [""] and value != query[key] for key, value in fixed.items()):
            continue
        shape, there, missing = operation.input_shape, len(fixed), 0
        for member in shape.required_members if shape else ():
            where = shape.members[member].serialization
            if where.get("location") in ("header", "querystring"):
                has = where["name"] in query or "HTTP_" + where["name"].upper().replace("-", "_") in environ
                there, missing = there + has, missing + (not has)
        rank = (-missing, there, literal, not operation.deprecated)
        if best is None or rank > best[0]:
            best = rank, operation.name, dict(zip(names, map(urllib.parse.unquote, match.groups())))
    return best[1:] if best else ("", {})


def scalar(shape, text, path, problems):
    """The value of a text in a form, in XML, in a header or in a URL."""
    try:
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
    except ValueError:
        problems.append((path, text, f"Member must be of type {shape.type_name}"))
        return None
    if shape.type_name == "boolean":
        if text.lower() not in ("true", "false"):
            problems.append((path, text, "Member must be of type boolean"))
        return text.lower() == "true"
    return text


def unknown(path, value, problems):
    problems.append((path, value if isinstance(value, str) else None, "Member is not a parameter of this operation"))


def below(path, name):
    return f"{path}.{name}" if path else name


KINDS = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "character": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def from_json(shape, value, path, problems):
    if value is None or getattr(shape, "is_document_type", False):
        return value
    kind = shape.type_name
    if not isinstance(value, KINDS[kind]) or isinstance(value, bool) and kind != "boolean":
        problems.append((path, None, f"Member must be of type {kind}"))
        return None
    if kind == "structure":
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        for name in [name for name in value if name not in names and name != "__type"]:
            unknown(below(path, name), value[name], problems)
        return {
            names[name]: from_json(shape.members[names[name]], inner, below(path, names[name]), problems)
            for name, inner in value.items()
            if name in names and inner is not None
        }
    if kind == "list":
        return [from_json(shape.member, inner, f"{path}.{i}.member", problems) for i, inner in enumerate(value, 1)]
    if kind == "map":
        return {name: from_json(shape.value, inner, below(path, name), problems) for name, inner in value.items()}
    if kind == "blob":
        return binary(value, path, problems)
    return value


def binary(text, path, problems):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        problems.append((path, None, "Member must be in Base64"))
        return None


def tree(form):
    """The names of a form, which have the form A.1.B, as a tree of dictionaries. A value is at the name ""."""
    root = {}
    for name, values in form.items():
        if name in ("Action", "Version"):
            continue
        node = root
        for part in name.split("."):
            node = node.setdefault(part, {})
        node[""] = values[0]
    return root


def form_name(shape, name, protocol):
    if protocol == "ec2":
        location = shape.serialization.get("name", name)
        return shape.serialization.get("queryName", location[0].upper() + location[1:])
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        return shape.member.serialization.get("name", shape.serialization.get("name", name))
    return shape.serialization.get("name", name)


def from_form(shape, node, path, problems, protocol):
    kind = shape.type_name
    children = {name: child for name, child in node.items() if name}
    if kind == "structure":
        names = {form_name(member, name, protocol): name for name, member in shape.members.items()}
        for name in [name for name in children if name not in names]:
            unknown(below(path, name), children[name].get(""), problems)
        return {
            names[name]: from_form(shape.members[names[name]], child, below(path, names[name]), problems, protocol)
            for name, child in children.items()
            if name in names
        }
    if kind in ("list", "map") and not (protocol == "ec2" or shape.serialization.get("flattened")):
        inner = shape.member.serialization.get("name", "member") if kind == "list" else "entry"
        for name in [name for name in children if name != inner]:
            unknown(below(path, name), children[name].get(""), problems)
        children = {name: child for name, child in children.get(inner, {}).items() if name}
    if kind in ("list", "map"):
        for name in [name for name in children if not name.isdigit()]:
            unknown(below(path, name), children.pop(name).get(""), problems)
        ordered = [(name, children[name]) for name in sorted(children, key=int)]
    if kind == "list":
        return [from_form(shape.member, child, f"{path}.{name}.member", problems, protocol) for name, child in ordered]
    if kind == "map":
        key, value = (s.serialization.get("name", name) for s, name in ((shape.key, "key"), (shape.value, "value")))
        return {
            child.get(key, {}).get("", ""): from_form(shape.value, child.get(value, {}), below(path, name), problems, protocol)
            for name, child in ordered
        }
    for name, child in children.items():
        unknown(below(path, name), child.get(""), problems)
    text = node.get("", "")
    return binary(text, path, problems) if kind == "blob" else scalar(shape, text, path, problems)


def from_rest(shape, environ, labels, query, body, problems, protocol):
    found, in_body = {}, {}
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"], headers["content-length"] = environ.get("CONTENT_TYPE"), environ.get("CONTENT_LENGTH")
    payload = shape.serialization.get("payload")
    for name, member in shape.members.items():
        where, location = member.serialization.get("location"), member.serialization.get("name", name)
        if where == "uri" and location in labels:
            found[name] = scalar(member, labels[location], name, problems)
        elif where == "querystring" and member.type_name == "map":
            found[name] = {key: values[0] for key, values in query.items()}
        elif where == "querystring" and location in query:
            values = query[location]
            found[name] = list(values) if member.type_name == "list" else scalar(member, values[0], name, problems)
        elif where == "headers":
            found[name] = {key[len(location):]: value for key, value in headers.items() if key.startswith(location.lower())}
        elif where == "header" and headers.get(location.lower()):
            text = headers[location.lower()]
            found[name] = text.split(",") if member.type_name == "list" else scalar(member, text, name, problems)
        elif where is None and name != payload:
            in_body[name] = member
    if payload and shape.members[payload].type_name in ("blob", "string"):
        if body:
            found[payload] = body
    elif body and (payload or in_body):
        source = shape.members[payload] if payload else shape
        if protocol == "rest-json":
            inner = from_json(source, decoded(body, problems), payload or "", problems)
        else:
            inner = from_xml(source, parsed(body, problems), payload or "", problems)
        found.update({payload: inner} if payload else inner or {})
    return found


def parsed(body, problems):
    try:
        return xml.etree.ElementTree.fromstring(body)
    except xml.etree.ElementTree.ParseError:
        problems.append(("", None, "Member must be XML"))
        return xml.etree.ElementTree.Element("nothing")


def tag(element):
    return element.tag.rpartition("}")[2]


def from_xml(shape, element, path, problems):
    kind = shape.type_name
    if kind == "structure":
        found, known = {}, set()
        for name, member in shape.members.items():
            flat, where = member.serialization.get("flattened"), member.serialization.get("name", name)
            if member.serialization.get("location"):
                continue
            if member.serialization.get("xmlAttribute"):
                attribute = [value for key, value in element.attrib.items() if key.rpartition("}")[2] == where.rpartition(":")[2]]
                found.update({name: attribute[0]} if attribute else {})
                continue
            if flat and member.type_name == "list":
                where = member.member.serialization.get("name", where) if "name" not in member.serialization else where
            known.add(where)
            same = [child for child in element if tag(child) == where]
            if flat and same:
                found[name] = [from_xml(member.member, child, f"{below(path, name)}.{i}.member", problems) for i, child in enumerate(same, 1)]
            elif same:
                found[name] = from_xml(member, same[0], below(path, name), problems)
        for child in element:
            if tag(child) not in known:
                unknown(below(path, tag(child)), child.text, problems)
        return found
    if kind == "list":
        return [from_xml(shape.member, child, f"{path}.{i}.member", problems) for i, child in enumerate(element, 1)]
    text = element.text or ""
    return binary(text.strip(), path, problems) if kind == "blob" else scalar(shape, text, path, problems)


# ---- checking values -------------------------------------------------------------------------------------------------


def check(shape, value, path, problems):
    if value is None or getattr(shape, "is_document_type", False):
        return
    kind, limits = shape.type_name, shape.metadata
    shown = None if limits.get("sensitive") or kind not in ("string", "integer", "long", "float", "double") else value
    if kind == "structure":
        for name in shape.required_members:
            if value.get(name) is None and below(path, name) not in (problem[0] for problem in problems):
                problems.append((below(path, name), None, "Member must not be null"))
        for name, inner in value.items():
            check(shape.members[name], inner, below(path, name), problems)
        return
    if kind == "list":
        for i, inner in enumerate(value, 1):
            check(shape.member, inner, f"{path}.{i}.member", problems)
    elif kind == "map":
        for name, inner in value.items():
            check(shape.key, name, path, problems)
            check(shape.value, inner, below(path, name), problems)
    elif kind in ("string", "character") and isinstance(value, str):
        if shape.enum and value not in shape.enum:
            problems.append((path, shown, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"))
        pattern = limits.get("pattern")
        if pattern and compiled(pattern) and not compiled(pattern).fullmatch(value):
            problems.append((path, shown, f"Member must satisfy regular expression pattern: {pattern}"))
    elif kind in ("integer", "long", "float", "double"):
        bounds(limits, value, path, shown, ("value", "value"), problems)
        return
    if kind in ("list", "map", "string", "character", "blob"):
        bounds(limits, len(value), path, shown, ("length", "length"), problems)


def bounds(limits, size, path, shown, words, problems):
    if "min" in limits and size < limits["min"]:
        problems.append((path, shown, f"Member must have {words[0]} greater than or equal to {limits['min']}"))
    if "max" in limits and size > limits["max"]:
        problems.append((path, shown, f"Member must have {words[1]} less than or equal to {limits['max']}"))


POSIX = {
    "ASCII": r"\x00-\x7f",
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"!-/:-@\[-`{-~",
    "Space": r" \t\n\x0b\f\r",
    "Upper": "A-Z",
    "XDigit": "0-9a-fA-F",
}


@functools.cache
def category(name):
    """The content of a character class with all characters of a Unicode category, such as L or Lu."""
    if name in POSIX:
        return POSIX[name]
    name = name.removeprefix("Is")
    ranges, start = [], None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(name)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    if not ranges:
        raise re.error(f"no category {name}")
    return "".join(ranges)


not_understood = set()  # patterns


@functools.cache
def compiled(pattern):
    """A pattern of a model, which is written for Java, or None if Python has no equivalent."""
    text = pattern.replace("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\\U00010000-\\U0010ffff").replace("\\z", "\\Z")
    parts, inside = [], False
    try:
        for part in re.findall(r"\\[pP]\{\w+\}|\\.|.", text, re.S):
            if re.match(r"\\[pP]\{", part):
                characters = category(part[3:-1])
                if part[1] == "P" and inside:
                    raise re.error("a negated category in a class")
                parts.append(characters if inside else f"[{'^' if part[1] == 'P' else ''}{characters}]")
                continue
            # In Java, "[" within a class begins another class; the models escape it if they mean the character.
            if part == "[" and inside:
                raise re.error("a class within a class")
            # There, "-" after a class such as \w is the character.
            literal = part == "-" and inside and parts[-1] in (r"\w", r"\d", r"\s")
            inside = part == "[" or inside and part != "]"
            parts.append(r"\-" if literal else part)
        return re.compile("".join(parts), re.S)
    except re.error:
        not_understood.add(pattern)
        return None


# ---- answers ---------------------------------------------------------------------------------------------------------


def sentence(problems):
    """The message of AWS's services."""

    def said(path, value, constraint):
        path = ".".join(part[:1].lower() + part[1:] for part in path.split("."))
        text = "null" if constraint.endswith("not be null") else None if value is None else str(value)[:200]
        shown = "Value at" if text is None else f"Value {text} at" if text == "null" else f"Value '{text}' at"
        return f"{shown} '{path}' failed to satisfy constraint: {constraint}"

    count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
    return count + "; ".join(said(*problem) for problem in problems)


def error(call, status, code, message):
    """An error in the form of the call's protocol: status, headers and body."""
    request, kind = str(uuid.uuid4()), "application/xml"
    if call.protocol in ("json", "rest-json"):
        kind = "application/x-amz-json-1.1" if call.protocol == "json" else "application/json"
        body = json.dumps({"__type": code, "message": message})
    elif call.protocol == "ec2":
        body = (
            f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
            f"<RequestID>{request}</RequestID></Response>"
        )
    elif call.service == "s3":
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message><RequestId>{request}</RequestId></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            f"<RequestId>{request}</RequestId></ErrorResponse>"
        )
    headers = [("Content-Type", kind), ("x-amzn-RequestId", request), ("x-amzn-ErrorType", code)]
    return status, headers, body.encode()


def refusal(call, problems):
    """AWS's error for violations of the model."""
    constraints = [constraint for _, _, constraint in problems]
    code = "ValidationException" if "json" in call.protocol else "ValidationError"
    if call.protocol == "ec2":
        code = "InvalidParameterValue"
        if any("must not be null" in c for c in constraints):
            code = "MissingParameter"
        elif any("not a parameter" in c for c in constraints):
            code = "UnknownParameter"
    elif call.protocol == "rest-xml":
        code = "InvalidArgument" if call.service == "s3" else "InvalidInput"
    return error(call, "400 Bad Request", code, sentence(problems))


# ---- the check of all requests ---------------------------------------------------------------------------------------

checked, unchecked, violations = Counter(), Counter(), Counter()


def report():
    return {
        "checked": checked,
        "unchecked": unchecked + Counter({f"pattern {pattern}": 1 for pattern in not_understood}),
        "violations": violations,
    }


def content(environ):
    """The body of a request, which remains readable."""
    if environ.get("CONTENT_LENGTH"):
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    else:
        body = environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def examine(environ):
    """Checks a request. It returns the call, or None if it has no model, and AWS's error, or None."""
    body = content(environ)
    if len(body) < int(environ.get("CONTENT_LENGTH") or 0):  # the client gave up while it sent the request
        return None, ("400 Bad Request", [("Content-Type", "text/plain")], b"the request is incomplete")
    try:
        call, problems = read(environ, body)
    except Unknown as reason:
        unchecked[str(reason)] += 1
        return None, None
    checked[call.service] += 1
    if not problems:
        return call, None
    violations[f"{call.name}: " + "; ".join(f"{path}: {constraint}" for path, _, constraint in problems)] += 1
    print("violation:", call.name, sentence(problems), file=sys.stderr, flush=True)
    return call, refusal(call, problems)
