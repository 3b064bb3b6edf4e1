"""What the four kinds of HTTP event have in common."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Span, Status, StatusCode

from lambda_otel.triggers._trigger import Trigger, known


def lower_headers(headers: Mapping[str, Any] | None, lists: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Headers by lower-case name, as HTTP has it; the first value of each."""
    if headers:
        return {name.lower(): value for name, value in headers.items()}
    return {name.lower(): values[0] for name, values in (lists or {}).items() if values}


def http_trigger(
    *,
    method: str | None,
    path: str | None,
    query: str | None,
    route: str | None,
    headers: Mapping[str, str],
    host: str | None,
    client: str | None,
    protocol: str | None = None,
) -> Trigger:
    """A request, by the conventions for HTTP servers; the span is named after its route if there is one."""
    attributes = {
        "http.request.method": method,
        "http.route": route,
        "url.path": path,
        "url.query": query or None,
        "url.scheme": headers.get("x-forwarded-proto", "https"),
        "server.address": host or headers.get("host"),
        "client.address": client or headers.get("x-forwarded-for", "").partition(",")[0] or None,
        "user_agent.original": headers.get("user-agent"),
        "network.protocol.version": protocol.partition("/")[2] if protocol else None,
    }
    return Trigger("http", name=route, attributes=known(attributes), carrier=headers, conclude=_conclude)


def _conclude(span: Span, result: Any) -> None:
    """The response's status, if the handler gave one; without one API Gateway and function URLs answer 200."""
    status = result.get("statusCode") if isinstance(result, Mapping) else None
    try:
        code = int(status) if status is not None else 0
    except (TypeError, ValueError):
        return
    if code:
        span.set_attribute("http.response.status_code", code)
    if code >= 500:
        span.set_attribute("error.type", str(code))
        span.set_status(Status(StatusCode.ERROR))
