"""The hand-written part of protobuf, held to the official messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from redrive.wire import Signal, WireError, count_items, fields, read_partial_success, read_varint, split, write_varint

# how many spans each scope of each resource holds
SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=4)


def traces(shape: list[list[int]]) -> ExportTraceServiceRequest:
    """A request of that shape, every span of its own id, resources and scopes described."""
    request = ExportTraceServiceRequest()
    serial = 0
    for place, scopes in enumerate(shape):
        resource = request.resource_spans.add(schema_url=f"https://schema/{place}")
        resource.resource.attributes.add(key="service.name").value.string_value = f"service-{place}"
        for number, spans in enumerate(scopes):
            scope = resource.scope_spans.add(schema_url="https://schema/scope")
            scope.scope.name = f"scope-{number}"
            for _ in range(spans):
                serial += 1
                scope.spans.add(span_id=serial.to_bytes(8, "big"), name="a name", start_time_unix_nano=serial)
    return request


def flattened(request: bytes) -> list[tuple[str, str, str, str, bytes]]:
    """Every span with what describes it."""
    message = ExportTraceServiceRequest.FromString(request)
    return [
        (
            r.resource.attributes[0].value.string_value,
            r.schema_url,
            s.scope.name,
            s.schema_url,
            span.SerializeToString(),
        )
        for r in message.resource_spans
        for s in r.scope_spans
        for span in s.spans
    ]


@given(SHAPES)
def test_count_items_counts_spans(shape):
    assert count_items(Signal.TRACES, traces(shape).SerializeToString()) == sum(map(sum, shape))


def test_count_items_counts_points_of_every_kind_of_metric():
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    for kind, points in [("gauge", 1), ("sum", 2), ("histogram", 3), ("exponential_histogram", 4), ("summary", 5)]:
        data = getattr(metrics.add(name=kind, description="what it is", unit="1"), kind)
        for _ in range(points):
            data.data_points.add(time_unix_nano=1)

    assert count_items(Signal.METRICS, request.SerializeToString()) == 15


def test_count_items_counts_log_records():
    request = ExportLogsServiceRequest()
    for _ in range(3):
        request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "a line"

    assert count_items(Signal.LOGS, request.SerializeToString()) == 3


@given(SHAPES)
def test_split_keeps_every_span_with_what_describes_it(shape):
    whole = traces(shape).SerializeToString()

    halves = split(whole)

    if halves is None:
        assert sum(map(sum, shape)) <= 1 or max(len(shape), *map(len, shape)) <= 1
    else:
        assert flattened(halves[0]) + flattened(halves[1]) == flattened(whole)
        assert max(map(len, halves)) < len(whole)


@given(SHAPES)
def test_split_comes_to_single_items_in_the_end(shape):
    pieces, todo = [], [traces(shape).SerializeToString()]
    while todo:
        piece = todo.pop()
        halves = split(piece)
        todo.extend(reversed(halves)) if halves else pieces.append(piece)

    assert all(count_items(Signal.TRACES, piece) <= 1 for piece in pieces)
    assert [span for piece in pieces for span in flattened(piece)] == flattened(traces(shape).SerializeToString())


@given(st.binary(max_size=60))
def test_hostile_bytes_are_counted_and_split_without_an_error(content):
    for signal in Signal:
        assert count_items(signal, content) >= 0
    halves = split(content)
    assert halves is None or all(isinstance(half, bytes) for half in halves)


@pytest.mark.parametrize(
    "message",
    [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x0f", b"\x09\x01", b"\x0d\x01", b"\x08" + b"\xff" * 11, b"\xff" * 20],
    ids=["no-length", "short", "group", "unknown-type", "short-64", "short-32", "long-number", "long-tag"],
)
def test_fields_refuses_what_is_no_message(message):
    with pytest.raises(WireError):
        list(fields(message))


@given(st.integers(0, 2**64 - 1))
def test_varint_is_read_as_it_was_written(number):
    assert read_varint(write_varint(number) + b"rest", 0) == (number, len(write_varint(number)))


def test_partial_success_is_read():
    reply = ExportTraceServiceResponse()
    reply.partial_success.rejected_spans = 300
    reply.partial_success.error_message = "too old"

    assert read_partial_success(reply.SerializeToString()) == (300, "too old")
    assert read_partial_success(ExportTraceServiceResponse().SerializeToString()) == (0, "")


@pytest.mark.parametrize("reply", [b"", b'{"partialSuccess":{}}', b"\x0a\x02\x08", b"\xff"])
def test_partial_success_of_another_reply_is_none(reply):
    assert read_partial_success(reply) == (0, "")
