"""Spans, log records and metric points as plain dictionaries, for people and for APIs that are not OTLP's."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData


def plain_span(span: ReadableSpan) -> dict[str, Any]:
    """A span: ids in hexadecimal, times in UTC, duration in ms; what is empty is left out."""
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    plain = {
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "start_time": plain_time(start_ns),
        "duration_ms": (end_ns - start_ns) / 1e6 if end_ns else None,
        "status": span.status.status_code.name.lower(),
        "status_message": span.status.description,
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "time": plain_time(event.timestamp), "attributes": dict(event.attributes or {})}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": dict(link.attributes or {}),
            }
            for link in span.links
        ],
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
        "service": span.resource.attributes.get("service.name"),
    }
    return _filled(plain)


def plain_record(readable: "ReadableLogRecord") -> dict[str, Any]:
    """A log record, likewise."""
    record = readable.log_record
    plain = {
        "time": plain_time(record.timestamp or record.observed_timestamp or 0),
        "severity": record.severity_text,
        "body": record.body,
        "event_name": record.event_name,
        "attributes": dict(record.attributes or {}),
        "trace_id": f"{record.trace_id:032x}" if record.trace_id else None,
        "span_id": f"{record.span_id:016x}" if record.span_id else None,
        "scope": readable.instrumentation_scope.name if readable.instrumentation_scope else None,
        "service": readable.resource.attributes.get("service.name"),
    }
    return _filled(plain)


def plain_points(data: "MetricsData") -> Iterator[dict[str, Any]]:
    """Every data point, with its metric's name."""
    for of_resource in data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                for point in metric.data.data_points:
                    yield _filled(_plain_point(metric, point, of_resource.resource))


def plain_time(time_ns: int) -> str:
    """Nanoseconds since 1970 as a time in UTC, to the microsecond."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_json(plain: Mapping[str, Any]) -> str:
    """One line of JSON; what it has no place for becomes text."""
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, default=_text)


def _plain_point(metric: Any, point: Any, resource: Any) -> dict[str, Any]:
    temporality = getattr(metric.data, "aggregation_temporality", None)
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "kind": type(metric.data).__name__,
        "temporality": temporality.name.lower() if temporality is not None else None,
        "start_time": plain_time(point.start_time_unix_nano) if point.start_time_unix_nano else None,
        "time": plain_time(point.time_unix_nano),
        "value": getattr(point, "value", None),
        "count": getattr(point, "count", None),
        "sum": getattr(point, "sum", None),
        "min": getattr(point, "min", None),
        "max": getattr(point, "max", None),
        "bounds": list(getattr(point, "explicit_bounds", ())),
        "bucket_counts": list(getattr(point, "bucket_counts", ())),
        "attributes": dict(point.attributes or {}),
        "service": resource.attributes.get("service.name"),
    }


def _filled(plain: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if value not in (None, "", [], {})}


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
