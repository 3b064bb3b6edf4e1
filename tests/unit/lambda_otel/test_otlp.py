"""What the property tests do not reach: losses, and what the official encoders refuse."""

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from lambda_otel.otlp.logs import encode_logs
from lambda_otel.otlp.metrics import count_points, encode_metrics
from lambda_otel.otlp.response import rejected_items
from lambda_otel.otlp.traces import encode_spans

RESOURCE = Resource({"service.name": "x"})


def span(name="work", **more):
    return ReadableSpan(
        name=name, context=SpanContext(1, 2, is_remote=False), resource=RESOURCE, start_time=1, end_time=2, **more
    )


def encoded(spans):
    body, losses = encode_spans(spans)
    (of_resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    return [one for of_scope in of_resource.scope_spans for one in of_scope.spans], losses


def data(points, kind=Gauge, **more):
    metrics = [Metric("m", None, "1", kind(points, **more))]
    return MetricsData([ResourceMetrics(RESOURCE, [ScopeMetrics(InstrumentationScope("s"), metrics, "")], "")])


def test_encode_spans_counts_attributes_without_a_place_and_keeps_the_rest():
    (out,), losses = encoded([span(attributes={"good": 1, "bad": object(), "huge": 2**64, "also": "x"})])

    assert [pair.key for pair in out.attributes] == ["good", "also"]
    assert (losses.items, losses.attributes) == (0, 2)


def test_encode_spans_counts_a_span_that_cannot_be_said_and_keeps_the_others():
    out, losses = encoded([span("a"), span(name=3), span("b")])

    assert [one.name for one in out] == ["a", "b"]
    assert (losses.items, losses.attributes) == (1, 0)


def test_encode_spans_writes_lone_surrogates_as_question_marks():
    (out,), losses = encoded([span("a\udc80b", attributes={"k\udc80": "v\udc80"})])

    assert (out.name, out.attributes[0].key, out.attributes[0].value.string_value) == ("a?b", "k?", "v?")
    assert losses.items == losses.attributes == 0


def test_encode_spans_gives_an_open_span_end_time_0():
    open_span = ReadableSpan(name="w", context=SpanContext(1, 2, is_remote=False), resource=RESOURCE, start_time=7)

    (out,), _ = encoded([open_span])

    assert (out.start_time_unix_nano, out.end_time_unix_nano) == (7, 0)


def test_encode_spans_survives_a_value_whose_methods_raise():
    class Hostile(dict):
        def items(self):
            raise RuntimeError("no")

    (out,), losses = encoded([span(attributes={"good": 1, "bad": Hostile(a=1)})])

    assert [pair.key for pair in out.attributes] == ["good"]
    assert losses.attributes == 1


def test_encode_spans_keeps_values_apart_that_are_equal():
    (out,), _ = encoded([span(attributes={"a": 1, "b": True, "c": 1.0})])

    assert [pair.value.WhichOneof("value") for pair in out.attributes] == ["int_value", "bool_value", "double_value"]


def test_encode_logs_counts_a_record_whose_body_has_no_place():
    records = [ReadableLogRecord(LogRecord(body=body), RESOURCE) for body in ("a", object(), {"deep": [1, None]})]

    body, losses = encode_logs(records)

    (of_resource,) = ExportLogsServiceRequest.FromString(body).resource_logs
    assert len(of_resource.scope_logs[0].log_records) == 2
    assert losses.items == 1


def test_encode_metrics_counts_a_point_whose_value_has_no_place():
    points = [NumberDataPoint({}, 1, 2, value) for value in (1, "many", 2**63, 2.5)]
    taken = data(points, Sum, aggregation_temporality=AggregationTemporality.DELTA, is_monotonic=True)

    body, losses = encode_metrics(taken)

    (metric,) = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert [(point.as_int, point.as_double) for point in metric.sum.data_points] == [(1, 0), (0, 2.5)]
    assert losses.items == 2
    assert count_points(taken) == 4


def test_encode_metrics_counts_the_points_of_an_unknown_kind():
    class Summary:
        def __init__(self, data_points):
            self.data_points = data_points

    body, losses = encode_metrics(data([1, 2, 3], Summary))

    assert list(ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics) == []
    assert losses.items == 3


def test_encode_metrics_counts_attributes_without_a_place():
    body, losses = encode_metrics(data([NumberDataPoint({"good": 1, "bad": {1, 2}}, 1, 2, 3)]))

    (metric,) = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert [pair.key for pair in metric.gauge.data_points[0].attributes] == ["good"]
    assert (losses.items, losses.attributes) == (0, 1)


@pytest.mark.parametrize("rejected", [0, 1, 300, 2**40])
def test_rejected_items_reads_partial_success(rejected):
    success = ExportTracePartialSuccess(rejected_spans=rejected, error_message="because")

    assert rejected_items(ExportTraceServiceResponse(partial_success=success).SerializeToString()) == rejected


@pytest.mark.parametrize("body", [b"", b"\xff", b"not protobuf", b"\x0a\xff", b"\x0d\x00\x00\x00\x00", b"\x80" * 20])
def test_rejected_items_of_something_else_is_none(body):
    assert rejected_items(body) == 0
