"""`lean_metrics` against the SDK it stands for: the same measurements, the same points."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span

from lambda_otel import _meter, lean_metrics
from lambda_otel.lean_metrics import LeanConsumer, make_lean
from lambda_otel.settings import Settings

attributes = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from("ab"), st.one_of(st.sampled_from(["x", "y", "1"]), st.sampled_from([1, 1.0, True, None, [1]]))
    ),
)
measurements = st.lists(
    st.tuples(st.sampled_from(["counter", "up_down", "histogram", "gauge"]), st.integers(0, 20), attributes),
    max_size=12,
)


def provider_and_instruments(*, is_lean):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], Resource({}), shutdown_on_exit=False)
    if is_lean:
        make_lean(provider)
    meter = provider.get_meter("m")
    instruments = {
        "counter": meter.create_counter("counter").add,
        "up_down": meter.create_up_down_counter("up_down").add,
        "histogram": meter.create_histogram("histogram").record,
        "gauge": meter.create_gauge("gauge").set,
    }
    return provider, reader, instruments


def points(reader):
    """Kind, attributes with their types, and what was counted, of every point."""
    data = reader.get_metrics_data()
    if data is None:
        return []
    return [
        (
            metric.name,
            [(name, type(value).__name__, str(value)) for name, value in point.attributes.items()],
            getattr(point, "value", None),
            getattr(point, "bucket_counts", None),
            [(exemplar.value, exemplar.span_id) for exemplar in point.exemplars],
        )
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]


@given(measurements, measurements)
def test_lean_consumer_counts_as_the_sdks(first, second):
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s")
    both = []
    for is_lean in (False, True):
        _, reader, instruments = provider_and_instruments(is_lean=is_lean)
        seen = []
        with use_span(span):
            for batch in (first, second):
                for name, amount, given_attributes in batch:
                    instruments[name](amount, given_attributes)
                # which measurement is the exemplar of a number is drawn by lot
                seen.append([point if point[0] == "histogram" else point[:4] for point in points(reader)])
        both.append(seen)

    assert both[0] == both[1]


def test_lean_consumer_finds_a_series_once_and_gives_it_an_exemplar(monkeypatch):
    provider, reader, instruments = provider_and_instruments(is_lean=True)
    looked_up = []
    original = lean_metrics.SynchronousMeasurementConsumer.consume_measurement
    monkeypatch.setattr(
        lean_metrics.SynchronousMeasurementConsumer,
        "consume_measurement",
        lambda self, measurement: (looked_up.append(measurement.value), original(self, measurement))[1],
    )

    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        for amount in (1, 2, 3):
            instruments["histogram"](amount, {"a": "x"})

    assert isinstance(provider._measurement_consumer, LeanConsumer)
    assert looked_up == [1]
    ((_, _, _, counts, exemplars),) = points(reader)
    assert sum(counts) == 3
    assert exemplars == [(3, span.get_span_context().span_id)]


def test_lean_consumer_tells_attributes_apart_that_are_equal_and_of_other_types():
    _, reader, instruments = provider_and_instruments(is_lean=True)

    for value in (1, True, 1.0, "1", 1, True, 1.0, "1"):
        instruments["counter"](1, {"a": value})

    assert sorted((kind, total) for _, [(_, kind, _)], total, _, _ in points(reader)) == [
        ("bool", 2),
        ("float", 2),
        ("int", 2),
        ("str", 2),
    ]


def test_lean_consumer_keeps_a_bounded_number_of_series(monkeypatch):
    monkeypatch.setattr(lean_metrics, "_CACHED", 3)
    provider, reader, instruments = provider_and_instruments(is_lean=True)

    for number in range(10):
        instruments["counter"](1, {"a": str(number)})
        instruments["counter"](1, {"a": str(number)})

    assert len(provider._measurement_consumer._aggregations) <= 3
    assert [value for _, _, value, _, _ in points(reader)] == [2] * 10


@pytest.mark.parametrize("is_known", [True, False])
def test_meters_are_lean_with_the_sdk_that_is_known(monkeypatch, is_known):
    monkeypatch.setattr(_meter, "is_sdk_known", lambda: is_known)
    meters = _meter.SdkMeters(Settings({}), Resource({}))

    assert isinstance(meters.provider._measurement_consumer, LeanConsumer) is is_known
