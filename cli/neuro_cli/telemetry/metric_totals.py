"""What the points of a session's metrics come to: sums and histograms added up, the last value of gauges.

Deltas are added, each once. Cumulative points are taken last by writer and start, since a writer that begins anew says
so by its start, and then added over the writers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["sum", "gauge", "histogram"]
Labels: TypeAlias = tuple[tuple[str, str], ...]
Bucket: TypeAlias = tuple[float, float]  # above the one, up to the other

_DELTA = 1
_DATA = ("sum", "gauge", "histogram", "exponential_histogram")
_INFINITY = float("inf")


@dataclass(frozen=True)
class Series:
    """One combination of a metric's attributes.

    Attributes
    ----------
    labels : tuple of (str, str)
    function : str
        The function whose telemetry it is; empty outside of functions.
    total : float
        Of a sum or a histogram the sum, of a gauge the last value.
    count : int
        Measurements of a histogram.
    buckets : mapping
        Measurements by bucket, of a histogram.
    low, high : float or None
        Least and greatest measurement, where the writers told them.
    """

    labels: Labels
    function: str
    total: float
    count: int = 0
    buckets: Mapping[Bucket, int] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """One metric, with all its series."""

    name: str
    kind: Kind
    unit: str
    description: str
    series: tuple[Series, ...]

    @property
    def all(self) -> Series:
        """All series together, which says nothing where it is a gauge."""
        return merged(self.series)


class _Point(NamedTuple):
    at_ns: int
    value: float
    measured: int
    buckets: Mapping[Bucket, int]
    low: float | None
    high: float | None


class _About(NamedTuple):
    kind: Kind
    unit: str
    description: str


class Totals:
    """Adds up metrics as they come, in any order, as often as they come."""

    def __init__(self) -> None:
        self._about: dict[str, _About] = {}
        # metric, function and labels; then writer and start, and for deltas the end
        self._points: defaultdict[tuple[str, str, Labels], dict[Any, _Point]] = defaultdict(dict)
        self.point_count = 0

    def add(self, message: Any) -> None:
        """Take all points of a request."""
        for of_resource in message.resource_metrics:
            writer = of_resource.resource.SerializeToString(deterministic=True)
            function = _text_of(of_resource.resource.attributes, "faas.name")
            for of_scope in of_resource.scope_metrics:
                for metric in of_scope.metrics:
                    self._add(metric, writer, function)

    def metrics(self) -> list[Metric]:
        """All metrics, by name."""
        series: defaultdict[str, list[Series]] = defaultdict(list)
        for (name, function, labels), points in self._points.items():
            kind = self._about[name].kind
            if kind == "gauge":
                last = max(points.values(), key=lambda point: point.at_ns)
                series[name].append(Series(labels, function, last.value))
            else:
                parts = (
                    Series(labels, function, point.value, point.measured, point.buckets, point.low, point.high)
                    for point in points.values()
                )
                series[name].append(merged(parts, labels, function))
        return [
            Metric(name, *self._about[name], tuple(sorted(series[name], key=lambda one: (one.function, one.labels))))
            for name in sorted(series)
        ]

    def get(self, name: str) -> Metric | None:
        """One metric, if there is any point of it."""
        return next((metric for metric in self.metrics() if metric.name == name), None)

    def total(self, name: str, **labels: str) -> float:
        """Sum of a metric's series that have these labels; 0 where there are none."""
        metric = self.get(name)
        wanted = set(labels.items())
        return sum(one.total for one in metric.series if wanted <= set(one.labels)) if metric else 0.0

    def _add(self, metric: Any, writer: bytes, function: str) -> None:
        shape = metric.WhichOneof("data")
        if shape not in _DATA:
            return
        data = getattr(metric, shape)
        kind: Kind = "histogram" if "histogram" in shape else shape
        self._about.setdefault(metric.name, _About(kind, metric.unit, metric.description))
        if self._about[metric.name].kind != kind:  # two writers that mean different things by one name
            return
        is_delta = getattr(data, "aggregation_temporality", 0) == _DELTA
        for point in data.data_points:
            self.point_count += 1
            labels = tuple(sorted((one.key, _label(one.value)) for one in point.attributes))
            points = self._points[metric.name, function, labels]
            identity = (writer, point.start_time_unix_nano, point.time_unix_nano if is_delta else None)
            known = points.get(identity)
            if known is None or known.at_ns <= point.time_unix_nano:
                points[identity] = _point(point, shape)


def merged(parts: Iterable[Series], labels: Labels = (), function: str = "") -> Series:
    """Series added up."""
    total, count, buckets = 0.0, 0, Counter[Bucket]()
    lows, highs = [], []
    for part in parts:
        total, count = total + part.total, count + part.count
        buckets.update(part.buckets)
        if part.low is not None and part.high is not None:
            lows.append(part.low)
            highs.append(part.high)
    return Series(labels, function, total, count, buckets, min(lows, default=None), max(highs, default=None))


def quantile(series: Series, share: float) -> float | None:
    """Value below which a share of a histogram's measurements lies, by even spread within buckets; None without any."""
    rank, passed = share * sum(series.buckets.values()), 0
    if not rank:
        return None
    for (low, high), count in sorted(series.buckets.items()):
        if passed + count >= rank:
            return _within(_interpolated(low, high, (rank - passed) / count, series), series)
        passed += count
    return None


def _interpolated(low: float, high: float, share: float, series: Series) -> float:
    """A value within a bucket. One that is open ends at the least or greatest measurement, if those are known."""
    if low == -_INFINITY:
        low = high if series.low is None else series.low
    if high == _INFINITY:
        high = low if series.high is None else series.high
    return low + (high - low) * share


def _within(value: float, series: Series) -> float:
    if series.low is None or series.high is None:
        return value
    return min(max(value, series.low), series.high)


def _point(point: Any, shape: str) -> _Point:
    if shape in ("sum", "gauge"):
        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
        return _Point(point.time_unix_nano, value, 0, {}, None, None)
    is_explicit = shape == "histogram"
    buckets = _explicit_buckets(point) if is_explicit else _exponential_buckets(point)
    low = point.min if point.HasField("min") and point.count else None
    high = point.max if point.HasField("max") and point.count else None
    return _Point(point.time_unix_nano, point.sum, point.count, dict(buckets), low, high)


def _explicit_buckets(point: Any) -> Iterator[tuple[Bucket, int]]:
    bounds = (-_INFINITY, *point.explicit_bounds, _INFINITY)
    for low, high, count in zip(bounds, bounds[1:], point.bucket_counts, strict=False):
        if count:
            yield (low, high), count


def _exponential_buckets(point: Any) -> Iterator[tuple[Bucket, int]]:
    base = 2.0 ** (2.0**-point.scale)
    if point.zero_count:
        yield (0.0, point.zero_threshold), point.zero_count
    for index, count in enumerate(point.positive.bucket_counts, point.positive.offset):
        if count:
            yield (base**index, base ** (index + 1)), count
    for index, count in enumerate(point.negative.bucket_counts, point.negative.offset):
        if count:
            yield (-(base ** (index + 1)), -(base**index)), count


def _text_of(attributes: Iterable[Any], key: str) -> str:
    return next((one.value.string_value for one in attributes if one.key == key), "")


def _label(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    plain = getattr(value, kind)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)
