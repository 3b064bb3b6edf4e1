"""Subscriptions to the Lambda Telemetry API: what an extension asks for, and what Lambda would refuse.

https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lambda_local.runtime_api import ProtocolError

SCHEMA_VERSIONS = ("2022-07-01", "2022-12-13", "2025-01-29")
TYPES = ("platform", "function", "extension")

_LIMITS = {  # least, most, default
    "maxItems": (1000, 10_000, 1000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1000),
}
_OWN_HOSTS = ("sandbox.localdomain", "sandbox", "localhost", "127.0.0.1")


@dataclass(frozen=True)
class Subscription:
    """What an extension asks for.

    Attributes
    ----------
    types : tuple of str
    port : int
    path : str
    max_items, max_bytes, timeout_ms : int
        A delivery is made when so much has been gathered, or after this time.
    """

    types: tuple[str, ...]
    port: int
    path: str
    max_items: int
    max_bytes: int
    timeout_ms: int


def parse_subscription(body: bytes, address: str) -> Subscription:
    """Read a subscription.

    Parameters
    ----------
    body : bytes
    address : str
        The environment's own; the destination must be it, or a name of it.

    Raises
    ------
    ProtocolError
    """
    try:
        request = json.loads(body)
    except ValueError as exc:
        raise _invalid(f"the subscription is not JSON: {exc}") from exc
    if not isinstance(request, dict):
        raise _invalid("the subscription is no object")
    if request.get("schemaVersion") not in SCHEMA_VERSIONS:
        raise _invalid(f"`schemaVersion` is `{request.get('schemaVersion')}`; expected {', '.join(SCHEMA_VERSIONS)}")
    types = request.get("types")
    if not isinstance(types, list) or not types or any(kind not in TYPES for kind in types):
        raise _invalid(f"`types` is `{types}`; expected some of {', '.join(TYPES)}")
    port, path = _destination(request.get("destination"), address)
    buffering = request.get("buffering") or {}
    if not isinstance(buffering, dict):
        raise _invalid(f"`buffering` is `{buffering}`; expected an object")
    return Subscription(tuple(types), port, path, *(_limit(buffering, name) for name in _LIMITS))


def _destination(destination: Any, address: str) -> tuple[int, str]:
    if not isinstance(destination, dict):
        raise _invalid(f"`destination` is `{destination}`; expected an object")
    if destination.get("protocol") != "HTTP":
        raise _invalid(f"`destination.protocol` is `{destination.get('protocol')}`; only `HTTP` is emulated")
    uri = str(destination.get("URI"))
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as exc:
        raise _invalid(f"`destination.URI` is `{uri}`: {exc}") from exc
    if parts.scheme != "http" or parts.hostname not in (*_OWN_HOSTS, address) or not port:
        raise _invalid(f"`destination.URI` is `{uri}`; expected `http://sandbox.localdomain:<port>`")
    return port, parts.path or "/"


def _limit(buffering: Mapping[str, Any], name: str) -> int:
    least, most, default = _LIMITS[name]
    value = buffering.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _invalid(f"`buffering.{name}` is `{value}`; expected {least} to {most}")
    return value


def _invalid(message: str) -> ProtocolError:
    return ProtocolError(400, "ValidationError", message)
