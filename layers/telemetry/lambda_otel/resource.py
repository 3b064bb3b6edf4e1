"""What tells this environment apart: the resource, made from Lambda's own variables.

By hand and not by `Resource.create`, which starts threads for its detectors.
"""

import logging
from collections.abc import Mapping
from os import urandom
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.version import __version__ as sdk_version

from lambda_otel.settings import Settings
from lambda_otel.settings_table import MIB
from lambda_otel.version import __version__

_logger = logging.getLogger("lambda_otel")


def make_resource(settings: Settings, env: Mapping[str, str], detected: Mapping[str, Any] | None = None) -> Resource:
    """The resource of this process, by the conventions for `faas`, `cloud`, `aws`, `service` and `telemetry`.

    What `OTEL_RESOURCE_ATTRIBUTES` says goes before what was detected, that before what Lambda says, and
    `OTEL_SERVICE_NAME` before all.
    """
    name = env.get("AWS_LAMBDA_FUNCTION_NAME")
    attributes: dict[str, Any] = {
        "service.name": name or "unknown_service:python",
        "service.instance.id": new_instance_id(),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": sdk_version,
        "telemetry.distro.name": "lambda-otel",
        "telemetry.distro.version": __version__,
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": env.get("AWS_REGION"),
        "faas.name": name,
        "faas.version": env.get("AWS_LAMBDA_FUNCTION_VERSION"),
        "faas.instance": env.get("AWS_LAMBDA_LOG_STREAM_NAME"),  # not set under SnapStart
        "faas.max_memory": _memory_bytes(env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")),
        "aws.log.group.names": _one(env.get("AWS_LAMBDA_LOG_GROUP_NAME")),
    }
    attributes |= {**(detected or {}), **dict(settings["OTEL_RESOURCE_ATTRIBUTES"])}
    if settings["OTEL_SERVICE_NAME"]:
        attributes["service.name"] = settings["OTEL_SERVICE_NAME"]
    return Resource({key: value for key, value in attributes.items() if value is not None})


def detect(names: tuple[str, ...]) -> dict[str, Any]:
    """Attributes of the detectors that `OTEL_LAMBDA_RESOURCE_DETECTORS` names; a later one's replace an earlier one's.

    One that fails is one line in the log.
    """
    from lambda_otel.plugins import make

    attributes: dict[str, Any] = {}
    for name in names:
        detector = make(name, "OTEL_LAMBDA_RESOURCE_DETECTORS")
        try:
            attributes |= detector.detect().attributes if detector is not None else {}
        except Exception as error:  # noqa: BLE001  the boundary: code of anybody
            _logger.warning("resource detector `%s` failed: %s: %s", name, type(error).__name__, error)
    return attributes


def new_instance_id() -> str:
    """A random UUID: what tells one writer of metrics from another."""
    number = int.from_bytes(urandom(16), "big")
    number = number & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62  # version 4, variant of RFC 9562
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _memory_bytes(megabytes: str) -> int | None:
    return int(megabytes) * MIB if megabytes.isdigit() else None


def _one(text: str | None) -> tuple[str, ...] | None:
    return (text,) if text else None
