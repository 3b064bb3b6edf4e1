"""A zero before a series' first point, so that a rate over it sees the first increment.

A delta point covers the time since the last collection. A series that was not used before begins at its first use,
later than that; in the time between it was zero, which is what the added point says. Backends that add deltas up thus
start a new series at 0 and not at its first value.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData


def add_leading_zeros(data: "MetricsData", collected_ns: int) -> None:
    """Put a zero point before every delta point whose series is new.

    Parameters
    ----------
    data : MetricsData
        Changed in place.
    collected_ns : int
        When metrics were collected before, or recording could begin (ns since 1970).
    """
    for metric in _metrics(data):
        points = getattr(metric.data, "data_points", [])
        is_delta = getattr(metric.data, "aggregation_temporality", None) == 1
        new = [point for point in points if point.start_time_unix_nano and point.start_time_unix_nano > collected_ns]
        if is_delta and new and getattr(metric.data, "is_monotonic", True):
            points[:0] = [_zero(point, collected_ns) for point in new]


def _metrics(data: "MetricsData") -> Iterable[Any]:
    for of_resource in data.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            yield from of_scope.metrics


def _zero(point: Any, collected_ns: int) -> Any:
    """The same kind of point, of the same series, before its first use."""
    from dataclasses import replace

    times = {"start_time_unix_nano": collected_ns, "time_unix_nano": point.start_time_unix_nano, "exemplars": []}
    if hasattr(point, "value"):
        return replace(point, value=0 if isinstance(point.value, int) else 0.0, **times)
    # without a value there is no smallest and no largest one
    nothing = {"count": 0, "sum": 0.0, "min": None, "max": None}
    if hasattr(point, "bucket_counts"):
        return replace(point, bucket_counts=[0] * len(point.bucket_counts), **nothing, **times)
    empty = replace(point.positive, offset=0, bucket_counts=[])
    return replace(point, zero_count=0, positive=empty, negative=empty, **nothing, **times)
