"""The metrics SDK, set up for an environment that may be frozen after every invocation."""

from time import time_ns
from typing import Any

from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
from opentelemetry.sdk.resources import Resource

import lambda_otel.otlp.metrics  # noqa: F401  needed with the first export, and INIT is the better time
from lambda_otel.export.zeros import add_leading_zeros
from lambda_otel.sdk import is_sdk_known
from lambda_otel.settings import Settings

# What the specification names so; up-down counters are cumulative in all of them.
_DELTA_OF = {
    "delta": (Counter, Histogram, ObservableCounter),
    "lowmemory": (Counter, Histogram),
    "cumulative": (),
}


class Reader(MetricReader):
    """Gives what was measured when it is asked; no interval, no thread."""

    def __init__(self, settings: Settings) -> None:
        preference = settings["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"]
        super().__init__(
            preferred_temporality=dict.fromkeys(_DELTA_OF[preference], AggregationTemporality.DELTA),
            preferred_aggregation=_aggregation(settings),
        )
        self._data: MetricsData | None = None
        self._collected_ns = time_ns()

    def take(self) -> MetricsData | None:
        """Metrics since the last time, with a zero before the first point of every new series."""
        self.collect()
        data, self._data = self._data, None
        if data is not None:
            add_leading_zeros(data, self._collected_ns)
        # after, not before: the next points of series that are not new begin at a moment within `collect`
        self._collected_ns = time_ns()
        return data

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:  # noqa: ARG002
        self._data = metrics_data

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002
        """Nothing: `LazyMeterProvider.force_flush` exports; a collection without an export would lose its points."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Nothing: the environment lives on, and what is measured later is exported too."""


class SdkMeters:
    """The SDK's meter provider with its reader."""

    def __init__(self, settings: Settings, resource: Resource) -> None:
        self._reader = Reader(settings)
        provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        if is_sdk_known():
            from lambda_otel.lean_metrics import make_lean

            make_lean(provider)
        self.provider: ApiMeterProvider = provider

    def take(self) -> MetricsData | None:
        """What was measured since the last time."""
        return self._reader.take()


def _aggregation(settings: Settings) -> dict[type, Any]:
    if settings["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"] == "explicit_bucket_histogram":
        return {}
    from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

    return {Histogram: ExponentialBucketHistogramAggregation()}
