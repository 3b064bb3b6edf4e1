"""API Gateway's HTTP APIs (payload 2.0) and function URLs, which have the same form."""

from collections.abc import Mapping

from lambda_otel.triggers._http import http_trigger, lower_headers
from lambda_otel.triggers._trigger import Event, Trigger


def is_match(event: Event) -> bool:
    """Whether the event is a request in payload format 2.0."""
    request = event.get("requestContext")
    return isinstance(request, Mapping) and "http" in request


def describe(event: Event) -> Trigger:
    """A request. `$default`, and so every function URL, is no route."""
    request = event["requestContext"]
    http = request["http"]
    _, _, route = event.get("routeKey", "").partition(" ")
    return http_trigger(
        method=http.get("method"),
        path=event.get("rawPath"),
        query=event.get("rawQueryString"),
        route=route or None,
        headers=lower_headers(event.get("headers")),
        host=request.get("domainName"),
        client=http.get("sourceIp"),
        protocol=http.get("protocol"),
    )
