"""Metrics to the body of an ExportMetricsServiceRequest: sums, gauges and both kinds of histogram, with exemplars."""

from collections.abc import Callable, Iterable, Sequence
from struct import pack
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

from lambda_otel.otlp._wire import (
    FIXED64,
    LENGTH,
    VARINT,
    Losses,
    attributes,
    count,
    delimited,
    double,
    fixed64,
    resource_data,
    scope_data,
    sfixed64,
    tag,
    text,
    varint,
)

_METRICS = tag(2, LENGTH)
_NAME, _DESCRIPTION, _UNIT = tag(1, LENGTH), tag(2, LENGTH), tag(3, LENGTH)
_GAUGE, _SUM, _HISTOGRAM, _EXPONENTIAL = tag(5, LENGTH), tag(7, LENGTH), tag(9, LENGTH), tag(10, LENGTH)
_DATA_POINTS, _TEMPORALITY, _IS_MONOTONIC = tag(1, LENGTH), tag(2, VARINT), tag(3, VARINT)

_START_TIME, _TIME = tag(2, FIXED64), tag(3, FIXED64)  # of every kind of point

_NUMBER_DOUBLE, _NUMBER_INT, _NUMBER_EXEMPLARS = tag(4, FIXED64), tag(6, FIXED64), tag(5, LENGTH)
_NUMBER_ATTRIBUTES = tag(7, LENGTH)

_COUNT, _TOTAL = tag(4, FIXED64), tag(5, FIXED64)  # of both histograms
_BUCKET_COUNTS, _BOUNDS, _HISTOGRAM_EXEMPLARS = tag(6, LENGTH), tag(7, LENGTH), tag(8, LENGTH)
_HISTOGRAM_ATTRIBUTES, _HISTOGRAM_MIN, _HISTOGRAM_MAX = tag(9, LENGTH), tag(11, FIXED64), tag(12, FIXED64)

_EXPONENTIAL_ATTRIBUTES, _SCALE, _ZERO_COUNT = tag(1, LENGTH), tag(6, VARINT), tag(7, FIXED64)
_POSITIVE, _NEGATIVE, _POINT_FLAGS = tag(8, LENGTH), tag(9, LENGTH), tag(10, VARINT)
_EXPONENTIAL_EXEMPLARS, _EXPONENTIAL_MIN, _EXPONENTIAL_MAX = tag(11, LENGTH), tag(12, FIXED64), tag(13, FIXED64)
_OFFSET, _COUNTS = tag(1, VARINT), tag(2, LENGTH)

_EXEMPLAR_TIME, _EXEMPLAR_DOUBLE, _EXEMPLAR_INT = tag(2, FIXED64), tag(3, FIXED64), tag(6, FIXED64)
_EXEMPLAR_SPAN_ID, _EXEMPLAR_TRACE_ID = tag(4, LENGTH) + varint(8), tag(5, LENGTH) + varint(16)
_EXEMPLAR_ATTRIBUTES = tag(7, LENGTH)

_Point = Callable[[Any, Losses | None], bytes]


def encode_metrics(data: "MetricsData") -> tuple[bytes, Losses]:
    """Body of the request, and what had to be left out."""
    losses = Losses()
    body = [
        resource_data(
            of_resource.resource,
            [
                scope_data(of_scope.scope, [_metric(metric, losses) for metric in of_scope.metrics])
                for of_scope in of_resource.scope_metrics
            ],
        )
        for of_resource in data.resource_metrics
    ]
    return b"".join(body), losses


def count_points(data: "MetricsData") -> int:
    """How many data points there are."""
    return sum(
        len(metric.data.data_points)
        for of_resource in data.resource_metrics
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    )


def _metric(metric: Any, losses: Losses) -> bytes:
    """A metric as field 2 of its scope's message; nothing if it is of no kind OTLP knows."""
    data = metric.data
    # by name: importing the classes would load the metrics SDK where it is not used
    kind = _KINDS.get(type(data).__name__)
    if kind is None:
        losses.items += len(getattr(data, "data_points", ()))
        return b""
    field, point = kind
    content = _points(data.data_points, point, losses)
    if field != _GAUGE:
        content += count(_TEMPORALITY, data.aggregation_temporality)
    if field == _SUM and data.is_monotonic:
        content += _IS_MONOTONIC + b"\x01"
    head = text(_NAME, metric.name) + text(_DESCRIPTION, metric.description) + text(_UNIT, metric.unit)
    return delimited(_METRICS, head + delimited(field, content))


def _points(points: Iterable[Any], encode: _Point, losses: Losses) -> bytes:
    out = []
    for point in points:
        try:
            out.append(delimited(_DATA_POINTS, encode(point, None)))
        except Exception:  # noqa: BLE001  a value's own methods may raise anything; once more, with care
            try:
                out.append(delimited(_DATA_POINTS, encode(point, losses)))
            except Exception:  # noqa: BLE001
                losses.items += 1
    return b"".join(out)


def _gauge_point(point: Any, losses: Losses | None) -> bytes:
    return (
        _time(_TIME, point.time_unix_nano)
        + _number(_NUMBER_INT, _NUMBER_DOUBLE, point.value)
        + _exemplars(_NUMBER_EXEMPLARS, point.exemplars, losses)
        + attributes(_NUMBER_ATTRIBUTES, point.attributes, losses)
    )


def _sum_point(point: Any, losses: Losses | None) -> bytes:
    return _time(_START_TIME, point.start_time_unix_nano) + _gauge_point(point, losses)


def _limit(field: bytes, value: float | None) -> bytes:
    # optional: what has not been measured has no smallest and no largest value
    return b"" if value is None else field + double(value)


def _histogram_point(point: Any, losses: Losses | None) -> bytes:
    return (
        _times(point)
        + _counted(point)
        + _packed(_BUCKET_COUNTS, "Q", point.bucket_counts)
        + _packed(_BOUNDS, "d", point.explicit_bounds)
        + _exemplars(_HISTOGRAM_EXEMPLARS, point.exemplars, losses)
        + attributes(_HISTOGRAM_ATTRIBUTES, point.attributes, losses)
        + _limit(_HISTOGRAM_MIN, point.min)
        + _limit(_HISTOGRAM_MAX, point.max)
    )


def _exponential_point(point: Any, losses: Losses | None) -> bytes:
    return (
        attributes(_EXPONENTIAL_ATTRIBUTES, point.attributes, losses)
        + _times(point)
        + _counted(point)
        + count(_SCALE, _zigzag(point.scale))
        + (_ZERO_COUNT + fixed64(point.zero_count) if point.zero_count else b"")
        + _buckets(_POSITIVE, point.positive)
        + _buckets(_NEGATIVE, point.negative)
        + count(_POINT_FLAGS, point.flags)
        + _exemplars(_EXPONENTIAL_EXEMPLARS, point.exemplars, losses)
        + _limit(_EXPONENTIAL_MIN, point.min)
        + _limit(_EXPONENTIAL_MAX, point.max)
    )


_KINDS: dict[str, tuple[bytes, _Point]] = {
    "Sum": (_SUM, _sum_point),
    "Gauge": (_GAUGE, _gauge_point),
    "Histogram": (_HISTOGRAM, _histogram_point),
    "ExponentialHistogram": (_EXPONENTIAL, _exponential_point),
}


def _time(before: bytes, time_unix_nano: int | None) -> bytes:
    return before + fixed64(time_unix_nano) if time_unix_nano else b""


def _times(point: Any) -> bytes:
    return _time(_START_TIME, point.start_time_unix_nano) + _time(_TIME, point.time_unix_nano)


def _counted(point: Any) -> bytes:
    counted = _COUNT + fixed64(point.count) if point.count else b""
    return counted + _TOTAL + double(point.sum)


def _number(as_int: bytes, as_double: bytes, value: float) -> bytes:
    return as_int + sfixed64(value) if isinstance(value, int) else as_double + double(value)


def _packed(before: bytes, code: str, numbers: Sequence[float]) -> bytes:
    return delimited(before, pack(f"<{len(numbers)}{code}", *numbers)) if numbers else b""


def _buckets(before: bytes, buckets: Any) -> bytes:
    if not buckets.bucket_counts:
        return b""
    counts = delimited(_COUNTS, b"".join([varint(number) for number in buckets.bucket_counts]))
    return delimited(before, count(_OFFSET, _zigzag(buckets.offset)) + counts)


def _zigzag(number: int) -> int:
    """A signed number as an unsigned one, small where its size is small (`sint32`)."""
    return number << 1 if number >= 0 else (-number << 1) - 1


def _exemplars(before: bytes, exemplars: Iterable[Any], losses: Losses | None) -> bytes:
    return b"".join([delimited(before, _exemplar(exemplar, losses)) for exemplar in exemplars])


def _exemplar(exemplar: Any, losses: Losses | None) -> bytes:
    out = _time(_EXEMPLAR_TIME, exemplar.time_unix_nano)
    out += _number(_EXEMPLAR_INT, _EXEMPLAR_DOUBLE, exemplar.value)
    if exemplar.span_id is not None and exemplar.trace_id is not None:
        out += _EXEMPLAR_SPAN_ID + exemplar.span_id.to_bytes(8, "big")
        out += _EXEMPLAR_TRACE_ID + exemplar.trace_id.to_bytes(16, "big")
    return out + attributes(_EXEMPLAR_ATTRIBUTES, exemplar.filtered_attributes, losses)
