import pytest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from lambda_otel._meter import Reader
from lambda_otel.settings import Settings


def points_of(data):
    return {
        metric.name: metric.data.data_points
        for of_resource in (data.resource_metrics if data else ())
        for of_scope in of_resource.scope_metrics
        for metric in of_scope.metrics
    }


@pytest.fixture
def make():
    def make(**env):
        reader = Reader(Settings(env))
        return reader, MeterProvider([reader], Resource({}), shutdown_on_exit=False).get_meter("m")

    return make


def test_new_counter_series_begins_with_a_zero_and_only_once(make):
    reader, meter = make()
    counter = meter.create_counter("n")
    counter.add(5, {"kind": "a"})
    zero, point = points_of(reader.take())["n"]
    counter.add(1, {"kind": "a"})
    counter.add(2, {"kind": "b"})
    second = points_of(reader.take())["n"]

    assert (zero.value, point.value) == (0, 5)
    assert zero.attributes == point.attributes
    assert zero.start_time_unix_nano < zero.time_unix_nano == point.start_time_unix_nano < point.time_unix_nano
    assert zero.exemplars == []
    assert sorted((point.attributes["kind"], point.value) for point in second) == [("a", 1), ("b", 0), ("b", 2)]


def test_zero_follows_the_point_before_without_a_gap(make):
    reader, meter = make()
    counter = meter.create_counter("n")
    counter.add(5)
    _, first = points_of(reader.take())["n"]
    counter.add(1)
    (second,) = points_of(reader.take())["n"]

    assert first.time_unix_nano == second.start_time_unix_nano


def test_new_histogram_series_begins_with_an_empty_one(make):
    reader, meter = make()
    meter.create_histogram("h").record(3.0)

    zero, point = points_of(reader.take())["h"]

    assert (zero.count, zero.sum, set(zero.bucket_counts), zero.min, zero.max) == (0, 0.0, {0}, None, None)
    assert list(zero.explicit_bounds) == list(point.explicit_bounds)
    assert point.count == 1


def test_new_exponential_histogram_series_begins_with_an_empty_one(make):
    reader, meter = make(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram")
    meter.create_histogram("h").record(3.0)

    zero, point = points_of(reader.take())["h"]

    assert (zero.count, zero.zero_count, list(zero.positive.bucket_counts)) == (0, 0, [])
    assert (zero.scale, point.count) == (point.scale, 1)


def test_gauges_and_up_down_counters_have_no_zero(make):
    reader, meter = make()
    meter.create_gauge("g").set(4)
    meter.create_up_down_counter("u").add(4)

    assert [len(points) for points in points_of(reader.take()).values()] == [1, 1]


def test_cumulative_counter_has_no_zero(make):
    reader, meter = make(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="cumulative")
    meter.create_counter("n").add(4)

    (point,) = points_of(reader.take())["n"]

    assert point.value == 4


def test_points_besides_zeros_are_those_of_the_sdk():
    settings = dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
    theirs = InMemoryMetricReader(settings, {Histogram: ExponentialBucketHistogramAggregation()})
    ours = Reader(
        Settings({"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"})
    )
    meter = MeterProvider([theirs, ours], Resource({}), shutdown_on_exit=False).get_meter("m")
    counter, histogram = meter.create_counter("n"), meter.create_histogram("h")

    for number in range(3):
        counter.add(number + 1, {"k": "v"})
        histogram.record(number + 1.5, {"k": "v"})
        got, expected = points_of(ours.take()), points_of(theirs.get_metrics_data())
        assert [point.value for point in got["n"] if point.value] == [point.value for point in expected["n"]]
        assert [point.sum for point in got["h"] if point.count] == [point.sum for point in expected["h"]]
