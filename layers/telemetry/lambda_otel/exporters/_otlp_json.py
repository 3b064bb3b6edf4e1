"""Spans, log records and metrics as the objects that OTLP's JSON encoding makes of them.

That encoding is protobuf's own, but for ids, which are hexadecimal, and enumerations, which are numbers: 64-bit
numbers are text, bytes are base64, and what has its default value is left out.

Source: OpenTelemetry specification, `protocol/otlp.md`, "JSON Protobuf Encoding", and `protocol/file-exporter.md`.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

Json = dict[str, Any]

_INT64 = range(-(2**63), 2**63)
_IS_LOCAL, _IS_REMOTE = 0x100, 0x300


def encode_traces(spans: Iterable[Any]) -> Json:
    """A `TracesData` object."""
    return {"resourceSpans": _grouped(spans, _span, "scopeSpans", "spans")}


def encode_logs(records: Iterable[Any]) -> Json:
    """A `LogsData` object."""
    return {"resourceLogs": _grouped(records, _record, "scopeLogs", "logRecords")}


def encode_metrics(data: Any) -> Json:
    """A `MetricsData` object."""
    return {
        "resourceMetrics": [
            _filled(
                resource=_resource(of_resource.resource),
                scopeMetrics=[
                    _filled(
                        scope=_scope(of_scope.scope),
                        metrics=[_metric(metric) for metric in of_scope.metrics],
                        schemaUrl=of_scope.scope.schema_url,
                    )
                    for of_scope in of_resource.scope_metrics
                ],
                schemaUrl=of_resource.resource.schema_url,
            )
            for of_resource in data.resource_metrics
        ]
    }


ENCODERS: dict[str, Callable[[Any], Json]] = {"traces": encode_traces, "metrics": encode_metrics, "logs": encode_logs}


def _grouped(items: Iterable[Any], encode: Callable[[Any], Json], scopes_name: str, items_name: str) -> list[Json]:
    groups: dict[Any, dict[Any, list[Json]]] = {}
    for item in items:
        scopes = groups.setdefault(item.resource, {})
        scopes.setdefault(item.instrumentation_scope, []).append(encode(item))
    return [
        _filled(
            **{
                "resource": _resource(resource),
                scopes_name: [
                    _filled(
                        **{
                            "scope": _scope(scope),
                            items_name: encoded,
                            "schemaUrl": scope.schema_url if scope else None,
                        }
                    )
                    for scope, encoded in scopes.items()
                ],
                "schemaUrl": resource.schema_url,
            }
        )
        for resource, scopes in groups.items()
    ]


def _resource(resource: Any) -> Json:
    return _filled(attributes=_attributes(resource.attributes))


def _scope(scope: Any) -> Json:
    if scope is None:
        return {}
    return _filled(name=scope.name, version=scope.version, attributes=_attributes(scope.attributes))


def _span(span: Any) -> Json:
    state = span.context.trace_state
    return _filled(
        traceId=f"{span.context.trace_id:032x}",
        spanId=f"{span.context.span_id:016x}",
        traceState=state.to_header() if state else None,
        parentSpanId=f"{span.parent.span_id:016x}" if span.parent else None,
        flags=_IS_REMOTE if span.parent and span.parent.is_remote else _IS_LOCAL,
        name=span.name,
        kind=span.kind.value + 1,
        startTimeUnixNano=_long(span.start_time),
        endTimeUnixNano=_long(span.end_time),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=span.dropped_attributes,
        events=[
            _filled(
                timeUnixNano=_long(event.timestamp),
                name=event.name,
                attributes=_attributes(event.attributes),
                droppedAttributesCount=event.dropped_attributes,
            )
            for event in span.events
        ],
        droppedEventsCount=span.dropped_events,
        links=[
            _filled(
                traceId=f"{link.context.trace_id:032x}",
                spanId=f"{link.context.span_id:016x}",
                attributes=_attributes(link.attributes),
                droppedAttributesCount=link.dropped_attributes,
                flags=_IS_REMOTE if link.context.is_remote else _IS_LOCAL,
            )
            for link in span.links
        ],
        droppedLinksCount=span.dropped_links,
    ) | {"status": _filled(message=span.status.description, code=span.status.status_code.value)}


def _record(readable: Any) -> Json:
    record = readable.log_record
    encoded = _filled(
        timeUnixNano=_long(record.timestamp),
        observedTimeUnixNano=_long(record.observed_timestamp),
        severityNumber=record.severity_number.value if record.severity_number else None,
        severityText=record.severity_text,
        attributes=_attributes(record.attributes),
        droppedAttributesCount=readable.dropped_attributes,
        flags=int(record.trace_flags) if record.trace_flags else None,
        traceId=f"{record.trace_id:032x}" if record.trace_id else None,
        spanId=f"{record.span_id:016x}" if record.span_id else None,
        eventName=record.event_name,
    )
    try:
        return encoded | {"body": _any_value(record.body)}
    except TypeError:  # a person may still read it
        return encoded | {"body": _any_value(str(record.body))}


def _metric(metric: Any) -> Json:
    data = metric.data
    name, encode = _KINDS[type(data).__name__]
    content = _filled(
        dataPoints=[encode(point) for point in data.data_points],
        aggregationTemporality=int(getattr(data, "aggregation_temporality", 0)),
        isMonotonic=getattr(data, "is_monotonic", None),
    )
    return _filled(name=metric.name, description=metric.description, unit=metric.unit) | {name: content}


def _gauge_point(point: Any) -> Json:
    """A gauge is of a moment, as the official exporters have it: without a start."""
    return {name: value for name, value in _sum_point(point).items() if name != "startTimeUnixNano"}


def _sum_point(point: Any) -> Json:
    return _filled(**_common(point)) | _number(point.value)


def _histogram_point(point: Any) -> Json:
    encoded = _filled(
        **_common(point),
        count=_long(point.count),
        bucketCounts=[str(count) for count in point.bucket_counts],
        explicitBounds=[_double(bound) for bound in point.explicit_bounds],
    )
    return encoded | _extremes(point)


def _exponential_point(point: Any) -> Json:
    encoded = _filled(
        **_common(point),
        count=_long(point.count),
        scale=point.scale,
        zeroCount=_long(point.zero_count),
        positive=_buckets(point.positive),
        negative=_buckets(point.negative),
        flags=point.flags,
    )
    return encoded | _extremes(point)


_KINDS: dict[str, tuple[str, Callable[[Any], Json]]] = {
    "Gauge": ("gauge", _gauge_point),
    "Sum": ("sum", _sum_point),
    "Histogram": ("histogram", _histogram_point),
    "ExponentialHistogram": ("exponentialHistogram", _exponential_point),
}


def _common(point: Any) -> Json:
    return {
        "startTimeUnixNano": _long(point.start_time_unix_nano),
        "timeUnixNano": _long(point.time_unix_nano),
        "attributes": _attributes(point.attributes),
        "exemplars": [_exemplar(exemplar) for exemplar in point.exemplars],
    }


def _extremes(point: Any) -> Json:
    """Fields that are there even if they are 0, and are not if they are not known."""
    values = {"sum": point.sum, "min": point.min, "max": point.max}
    return {name: _double(value) for name, value in values.items() if value is not None}


def _exemplar(exemplar: Any) -> Json:
    has_span = exemplar.span_id is not None and exemplar.trace_id is not None
    encoded = _filled(
        timeUnixNano=_long(exemplar.time_unix_nano),
        filteredAttributes=_attributes(exemplar.filtered_attributes),
        spanId=f"{exemplar.span_id:016x}" if has_span else None,
        traceId=f"{exemplar.trace_id:032x}" if has_span else None,
    )
    return encoded | _number(exemplar.value)


def _buckets(buckets: Any) -> Json | None:
    if not buckets.bucket_counts:
        return None
    return _filled(offset=buckets.offset, bucketCounts=[str(count) for count in buckets.bucket_counts])


def _number(value: float) -> Json:
    return {"asInt": str(value)} if isinstance(value, int) else {"asDouble": _double(value)}


def _double(value: float) -> float | str:
    """A number; what JSON has none for is text, by protobuf's spelling."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _long(number: int | None) -> str | None:
    return str(number) if number else None


def _attributes(pairs: Mapping[str, Any] | None) -> list[Json]:
    """Pairs; those that OTLP has no place for are left out, as they are where it is not JSON."""
    encoded = []
    for key, value in (pairs or {}).items():
        with suppress(TypeError):
            encoded.append({"key": key, "value": _any_value(value)})
    return encoded


def _any_value(value: Any) -> Json:  # noqa: PLR0911  one a kind
    """An `AnyValue`.

    Raises
    ------
    TypeError
        OTLP has no place for the value.
    """
    if value is None:
        return {}
    if isinstance(value, str):
        return {"stringValue": value.encode("utf-8", "replace").decode()}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and value in _INT64:
        return {"intValue": str(int(value))}
    if isinstance(value, float):
        return {"doubleValue": _double(value)}
    if isinstance(value, bytes):
        return {"bytesValue": b64encode(value).decode()}
    if isinstance(value, Sequence):
        return {"arrayValue": _filled(values=[_any_value(item) for item in value])}
    if isinstance(value, Mapping):
        pairs = [{"key": str(key), "value": _any_value(item)} for key, item in value.items()]
        return {"kvlistValue": _filled(values=pairs)}
    raise TypeError(f"expected a value of OTLP, but it is a `{type(value).__name__}`")


def _filled(**fields: Any) -> Json:
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [])}
