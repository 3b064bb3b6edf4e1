"""The SDK's way from a measurement to its sum or histogram, found once for each set of attributes.

The SDK sorts, wraps and hashes the attributes of every measurement to find the aggregation it belongs to, which is half
of what a measurement costs. Here attributes that are all text, as they mostly are, find theirs by themselves.
"""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider, TraceBasedExemplarFilter
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer

from lambda_otel.sampling import parent_of

_CACHED = 1024
_TEXT = frozenset({str})


class LeanConsumer(SynchronousMeasurementConsumer):
    """The SDK's consumer of measurements, for a provider without views."""

    _aggregations: dict[tuple[Any, ...], tuple[Any, ...]]

    def consume_measurement(self, measurement: Measurement) -> None:
        """Have a measurement counted."""
        attributes = measurement.attributes or {}
        # text alone: 1, 1.0 and True are as keys the same
        if not _TEXT.issuperset(map(type, attributes.values())):
            super().consume_measurement(measurement)
            return
        key = (measurement.instrument, *attributes.items())
        aggregations = self._aggregations.get(key)
        if aggregations is None:
            super().consume_measurement(measurement)
            if len(self._aggregations) >= _CACHED:
                self._aggregations.clear()
            self._aggregations[key] = self._aggregations_of(measurement)
            return
        exemplar_filter = self._sdk_config.exemplar_filter
        if type(exemplar_filter) is TraceBasedExemplarFilter:  # as it is, unless the function says otherwise
            is_exemplar = parent_of(measurement.context).trace_flags.sampled
        else:
            is_exemplar = exemplar_filter.should_sample(
                measurement.value, measurement.time_unix_nano, measurement.attributes, measurement.context
            )
        for aggregation in aggregations:
            aggregation.aggregate(measurement, is_exemplar)

    def _aggregations_of(self, measurement: Measurement) -> tuple[Any, ...]:
        key = _hash_attributes(dict(measurement.attributes or {}))
        return tuple(
            match._attributes_aggregation[key]
            for storage in self._reader_storages.values()
            for match in storage._instrument_view_instrument_matches[measurement.instrument]
        )


def make_lean(provider: MeterProvider) -> None:
    """Have the measurements of a provider without views find their way faster."""
    consumer: Any = provider._measurement_consumer
    consumer._aggregations = {}
    consumer.__class__ = LeanConsumer  # the SDK has no way to say which class to make
