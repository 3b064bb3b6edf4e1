"""Application Load Balancer."""

from collections.abc import Mapping
from typing import Any

from lambda_otel.triggers._http import http_trigger, lower_headers
from lambda_otel.triggers._trigger import Event, Trigger


def is_match(event: Event) -> bool:
    """Whether the event is a request of a load balancer."""
    request = event.get("requestContext")
    return isinstance(request, Mapping) and "elb" in request


def describe(event: Event) -> Trigger:
    """A request. A load balancer knows no routes."""
    return http_trigger(
        method=event.get("httpMethod"),
        path=event.get("path"),
        query=_query(event.get("queryStringParameters"), event.get("multiValueQueryStringParameters")),
        route=None,
        headers=lower_headers(event.get("headers"), event.get("multiValueHeaders")),
        host=None,
        client=None,
    )


def _query(single: Mapping[str, str] | None, multiple: Mapping[str, Any] | None) -> str:
    """As it came: a load balancer does not decode it."""
    pairs = [*(single or {}).items()]
    pairs += [(name, value) for name, values in (multiple or {}).items() for value in values]
    return "&".join(f"{name}={value}" for name, value in pairs)
