"""Where handed-over telemetry lies and where it goes, by the variables that the Collector extension reads, too."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.errors import ConfigError

SOURCE_URI = "OTEL_LAMBDA_REDRIVE_URI"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
GRAFANA_ENDPOINT = "GRAFANA_CLOUD_OTLP_ENDPOINT"
GRAFANA_ID = "GRAFANA_CLOUD_INSTANCE_ID"
GRAFANA_KEY = "GRAFANA_CLOUD_API_KEY"
COLLECTOR_HOST = "OTEL_LAMBDA_COLLECTOR_HOST"

_DEFAULT_HOST = "127.0.0.1"
_COLLECTOR_PORTS = (4317, 4318)


@dataclass(frozen=True)
class Source:
    """Where handed-over telemetry lies: what `OTEL_LAMBDA_HANDOFF_URI` of the other functions names.

    Attributes
    ----------
    bucket : str
    prefix : str
        Ends with `/`, or is empty.
    """

    bucket: str
    prefix: str


@dataclass(frozen=True)
class Target:
    """The backend: OTLP/HTTP, `<endpoint>/v1/<signal>`.

    Attributes
    ----------
    endpoint : str
    headers : dict
        Of every request; not shown in the object's `repr`, since they hold secrets.
    """

    endpoint: str
    headers: Mapping[str, str] = field(repr=False)


def source_from(env: Mapping[str, str]) -> Source:
    """The bucket and prefix.

    Raises
    ------
    ConfigError
        The variable is missing or no S3 URI.
    """
    uri = urlsplit(env.get(SOURCE_URI, ""))
    if uri.scheme != "s3" or not uri.netloc:
        raise ConfigError(f"expected `{SOURCE_URI}` to be of the form `s3://bucket/prefix`")
    prefix = uri.path.strip("/")
    return Source(uri.netloc, f"{prefix}/" if prefix else "")


def target_from(env: Mapping[str, str]) -> Target:
    """The backend, found as the extension finds it.

    Raises
    ------
    ConfigError
        None is named, or half of one, or one that cannot be reached by OTLP/HTTP.
    """
    if endpoint := env.get(GRAFANA_ENDPOINT):
        user, key = env.get(GRAFANA_ID), env.get(GRAFANA_KEY)
        if not user or not key:
            raise ConfigError(f"`{GRAFANA_ENDPOINT}` is set but `{GRAFANA_ID}` or `{GRAFANA_KEY}` is not")
        credentials = base64.b64encode(f"{user}:{key}".encode()).decode()
        return Target(_checked(GRAFANA_ENDPOINT, endpoint, env), {"Authorization": f"Basic {credentials}"})
    endpoint = env.get(ENDPOINT, "")
    if not endpoint:
        raise ConfigError(f"telemetry waits, but neither `{ENDPOINT}` nor `{GRAFANA_ENDPOINT}` says where it goes")
    if env.get(PROTOCOL) == "grpc":
        raise ConfigError(f"`{PROTOCOL}` is `grpc`, but redriving speaks `http/protobuf` only: name such an endpoint")
    return Target(_checked(ENDPOINT, endpoint, env), _parse_headers(env.get(HEADERS, "")))


def _checked(name: str, endpoint: str, env: Mapping[str, str]) -> str:
    try:
        url = urlsplit(endpoint)
        is_whole = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ConfigError(f"expected `{name}` to be a URL of `http` or `https`")
    if _is_own_collector(url, env.get(COLLECTOR_HOST) or _DEFAULT_HOST):
        raise ConfigError(f"`{name}` names this function's own Collector, which would hand the same over again")
    return endpoint.rstrip("/")


def _is_own_collector(url: SplitResult, host: str) -> bool:
    is_here = url.hostname == host or (url.hostname == "localhost" and host == _DEFAULT_HOST)
    return is_here and url.port in _COLLECTOR_PORTS


def _parse_headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        name, equals, value = pair.partition("=")
        decoded = unquote(value.strip())
        if not equals or not name.strip() or any(ord(c) < 32 or ord(c) > 255 for c in name + decoded):
            # the value may be a secret: only its place is told
            raise ConfigError(f"`{HEADERS}` is not a list of `name=value` at header {len(headers) + 1}")
        headers[name.strip()] = decoded
    return headers


@cache
def source() -> Source:
    """Where this process finds handed-over telemetry."""
    return source_from(os.environ)


@cache
def target() -> Target:
    """Where this process sends it."""
    return target_from(os.environ)
