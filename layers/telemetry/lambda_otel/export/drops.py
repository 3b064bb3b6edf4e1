"""What was recorded and not delivered: counted, told once in the log, and sent as metric `lambda_otel.dropped`."""

import logging
from collections import Counter
from collections.abc import Mapping
from threading import Lock
from time import time_ns
from typing import TYPE_CHECKING

from lambda_otel.export.zeros import add_leading_zeros

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("lambda_otel")

METRIC = "lambda_otel.dropped"


class Drops:
    """Counts of what was dropped since they were last sent.

    Signals are `traces`, `metrics` and `logs`, `baggage`, and `context` for a trace's context. Reasons:

    - `queue_full`: recorded faster than the Collector takes, or while there was none
    - `no_collector`: encoded, and given up to make room for newer requests
    - `rejected`: refused by the Collector
    - `too_large`: one request larger than all that may be pending
    - `exporter_failed`: given to an exporter other than the Collector's, which failed
    - `exporter_busy`: more than may wait for such an exporter, which is not done with what it has
    - `unencodable`: without a place in OTLP; attributes are counted under `attributes` as signal
    - `too_many_keys`, `too_large` of `baggage`: above what is sent of it
    - `no_room` of `baggage` and `context`: beside what the caller sends, a service does not take it
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._begun_ns: dict[tuple[str, str], int] = {}
        self._taken_ns = time_ns()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def add(self, signal: str, reason: str, items: int) -> None:
        """Count what was dropped."""
        if items:
            with self._lock:
                self._begun_ns.setdefault((signal, reason), time_ns())
                self._counts[signal, reason] += items

    def give_back(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Count again what was taken: the metric that told of it was not delivered."""
        for (signal, reason), items in counts.items():
            self.add(signal, reason, items)

    def counts(self) -> dict[tuple[str, str], int]:
        """By signal and reason, since the last `take`."""
        return dict(self._counts)

    def note_unreachable(self, address: str, error: Exception, *, is_first: bool) -> None:
        """Say in the log that a Collector failed; once, not for each of its failures."""
        if is_first:
            _logger.warning("the Collector at %s failed (%s); telemetry is kept for a while", address, error)

    def take(self, resource: "Resource", told: dict[tuple[str, str], int]) -> "MetricsData":
        """The counts as a delta metric; they begin anew.

        Parameters
        ----------
        resource : Resource
        told : dict
            Gets the counts, for `give_back`.
        """
        # loaded where something went wrong, and only there
        from opentelemetry.sdk.metrics.export import (
            AggregationTemporality,
            Metric,
            MetricsData,
            NumberDataPoint,
            ResourceMetrics,
            ScopeMetrics,
            Sum,
        )
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        with self._lock:
            counts, begun_ns = dict(self._counts), dict(self._begun_ns)
            now_ns = max(time_ns(), self._taken_ns)  # a clock that was set back makes no time before its beginning
            self._counts.clear()
        told |= counts
        points = [
            NumberDataPoint(
                {"signal": signal, "reason": reason}, max(begun_ns[signal, reason], self._taken_ns), now_ns, items
            )
            for (signal, reason), items in counts.items()
        ]
        data = Sum(points, AggregationTemporality.DELTA, is_monotonic=True)
        metric = Metric(METRIC, "Telemetry that was recorded and not delivered", "{item}", data)
        scope = InstrumentationScope("lambda_otel")
        taken = MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, [metric], "")], "")])
        add_leading_zeros(taken, self._taken_ns)
        self._taken_ns = now_ns
        return taken

    def forget(self) -> None:
        """Begin anew: after a fork the counts are the parent's."""
        self._lock = Lock()
        self._counts.clear()
