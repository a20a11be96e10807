"""Smithy's RPC protocol with CBOR, in which current SDKs call CloudWatch. moto has CloudWatch's query protocol only.

A request is translated into one of the query protocol, and the answer back. So moto, models.py and rights.py see the query protocol
only. botocore implements both protocols for clients: it reads CBOR in answers and writes it in requests. Here it reads CBOR in
requests and writes it in answers, which is the same format.
https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import gzip
import io
import re
import urllib.parse

from botocore.parsers import RpcV2CBORParser, create_parser
from botocore.serialize import RpcV2CBORSerializer, create_serializer
from moto.core.utils import get_service_model

from gap import GAPS

PATH = re.compile(r"/service/GraniteServiceVersion20100801/operation/(\w+)")
FORM = "application/x-www-form-urlencoded; charset=utf-8"

GAPS.append(("cloudwatch (all)", "has only the query protocol, but current SDKs use CBOR"))


def decode(body):
    reader = RpcV2CBORParser()
    return reader.parse_data_item(reader.get_peekable_stream_from_bytes(body)) if body else {}


def encode(value, shape):
    return RpcV2CBORSerializer()._serialize_body_params(value, shape)


def as_form(environ, operation):
    """The environ of the same request in the query protocol."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip":
        body = gzip.decompress(body)
    request = create_serializer("query", include_validation=False).serialize_to_request(decode(body), operation)
    form = urllib.parse.urlencode(request["body"]).encode()
    kept = {name: value for name, value in environ.items() if name not in ("HTTP_CONTENT_ENCODING", "HTTP_SMITHY_PROTOCOL")}
    where = {"PATH_INFO": "/", "RAW_URI": "/", "REQUEST_URI": "/"}
    return {**kept, **where, "CONTENT_TYPE": FORM, "CONTENT_LENGTH": str(len(form)), "wsgi.input": io.BytesIO(form)}


def translated(application):
    def serve(environ, start_response):
        path = PATH.fullmatch(environ["PATH_INFO"])
        if not path:
            return application(environ, start_response)
        operation, begun = get_service_model("cloudwatch").operation_model(path[1]), []
        body = b"".join(application(as_form(environ, operation), lambda status, headers, *_: begun.append((status, headers))))
        status, headers = begun[-1]
        kind = [("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor")]
        answer = {"status_code": int(status.split()[0]), "headers": dict(headers), "body": body}
        parsed = create_parser("query").parse(answer, operation.output_shape)
        if "Error" in parsed:
            code, message = parsed["Error"]["Code"], parsed["Error"]["Message"]
            # Clients take the code of CloudWatch's errors from this header.
            # https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait
            kind.append(("x-amzn-query-error", f"{code};{'Sender' if status.startswith('4') else 'Receiver'}"))
            encoded = error(code, message)
        else:
            parsed.pop("ResponseMetadata")
            encoded = encode(parsed, operation.output_shape) if operation.output_shape else b"\xa0"  # an empty map
        start_response(status, [*kind, ("Content-Length", str(len(encoded)))])
        return [encoded]

    return serve


def error(code, message):
    """An error has no shape, because moto and models.py have codes that the model does not have. Both texts are of a map."""
    writer, encoded = RpcV2CBORSerializer(), bytearray(b"\xa2")  # a map of two
    for text in ("__type", f"com.amazonaws.cloudwatch#{code}", "message", message):
        writer._serialize_type_string(encoded, text, None, None)
    return bytes(encoded)
