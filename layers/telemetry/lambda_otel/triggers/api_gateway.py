"""API Gateway's REST APIs, and HTTP APIs with payload 1.0."""

from collections.abc import Mapping
from urllib.parse import urlencode

from lambda_otel.triggers._http import http_trigger, lower_headers
from lambda_otel.triggers._trigger import Event, Trigger


def is_match(event: Event) -> bool:
    """Whether the event is a request in payload format 1.0."""
    request = event.get("requestContext")
    return isinstance(request, Mapping) and "httpMethod" in event and "resource" in event and "elb" not in request


def describe(event: Event) -> Trigger:
    """A request. Its route is the resource as it was configured, `/scans/{id}`."""
    request = event["requestContext"]
    return http_trigger(
        method=event["httpMethod"],
        path=request.get("path") or event.get("path"),
        query=urlencode(event.get("multiValueQueryStringParameters") or {}, doseq=True),
        route=event["resource"],
        headers=lower_headers(event.get("headers"), event.get("multiValueHeaders")),
        host=request.get("domainName"),
        client=(request.get("identity") or {}).get("sourceIp"),
        protocol=request.get("protocol"),
    )
