"""Lambda: the function invoked on the span, the context in the client context of a synchronous invocation.

Lambda hands a client context on only when the caller waits; other invocations are left as they are.
"""

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span

from lambda_otel.aws._service import Fields, Params, Service, text
from lambda_otel.aws.carrier import fitting, missing
from lambda_otel.export.drops import Drops

# Lambda's limit on a client context, as it is sent.
_MAX_CLIENT_CONTEXT_BYTES = 3583

_INVOKING = frozenset({"Invoke", "InvokeAsync", "InvokeWithResponseStream"})


def _describe(operation: str, params: Params) -> dict[str, Any]:
    function = text(params.get("FunctionName"))
    if operation not in _INVOKING or not function:
        return {}
    name, region = _name_and_region(function)
    return {"faas.invoked_name": name, "faas.invoked_provider": "aws", "faas.invoked_region": region}


def _name_and_region(function: str) -> tuple[str, str | None]:
    """Of `name[:alias]`, `account:function:name[:alias]` or an ARN."""
    parts = function.split(":")
    region = parts[3] if parts[0] == "arn" and len(parts) > 3 else None
    if "function" in parts[:-1]:
        return parts[parts.index("function") + 1], region
    return parts[0], region


def _with_client_context(params: Params, fields: Fields, drops: Drops) -> Params:
    if params.get("InvocationType", "RequestResponse") != "RequestResponse":
        return params
    given = params.get("ClientContext")
    own = {} if given is None else _decoded(given)
    custom = own.get("custom", {}) if own is not None else None
    if own is None or not isinstance(custom, Mapping):
        return params

    def encoded(some: Fields) -> str:
        return b64encode(json.dumps({**own, "custom": {**custom, **some}}, separators=(",", ":")).encode()).decode()

    added = fitting(
        missing(fields, custom), lambda some: not some or len(encoded(some)) <= _MAX_CLIENT_CONTEXT_BYTES, drops
    )
    return {**params, "ClientContext": encoded(added)} if added else params


def _decoded(given: Any) -> dict[str, Any] | None:
    """A client context, if it is what Lambda hands on: an object in JSON in base64."""
    try:
        found = json.loads(b64decode(given, validate=True))
    except (TypeError, ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None


def _conclude(span: Span, operation: str, answer: Mapping[str, Any]) -> None:
    """The request succeeded, but did the function?"""
    if operation in _INVOKING and (fault := text(answer.get("FunctionError"))):
        span.set_attribute("aws.lambda.function_error", fault)


SERVICE = Service(
    _describe,
    _conclude,
    injectors={"Invoke": _with_client_context, "InvokeWithResponseStream": _with_client_context},
)
