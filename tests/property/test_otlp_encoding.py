"""Our OTLP encoders say what the official one says, as a protobuf message, for whatever the SDK can hold."""

import json
from base64 import b64encode

import pytest
from google.protobuf.json_format import MessageToDict, Parse
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as official_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import export as metrics
from opentelemetry.sdk.metrics._internal.point import Buckets
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from lambda_otel.exporters import _otlp_json
from lambda_otel.otlp.logs import encode_logs
from lambda_otel.otlp.metrics import encode_metrics
from lambda_otel.otlp.traces import encode_spans

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.one_of(st.sampled_from(["http.route", "faas.name", "x"]), texts)
uint64s = st.integers(0, 2**64 - 1)
int64s = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(width=64)
scalars = st.one_of(st.none(), st.booleans(), int64s, floats, texts, st.binary(max_size=20))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names.filter(bool), inner, max_size=3)),
    max_leaves=6,
)
attribute_dicts = st.dictionaries(names.filter(bool), values, max_size=6)
# what no OTLP value can hold; the official encoder leaves such an attribute out, and so do we
unencodable = st.sampled_from([2**63, -(2**63) - 1, object(), {1, 2}, 3 + 4j])
raw_attributes = st.dictionaries(names.filter(bool), st.one_of(values, unencodable), max_size=6)


@st.composite
def bounded(draw):
    """Attributes as spans hold them: cleaned, and perhaps more than were allowed."""
    return BoundedAttributes(draw(st.sampled_from([None, 0, 1, 128])), draw(attribute_dicts), immutable=True)


resources = st.builds(Resource, attribute_dicts, st.one_of(st.none(), texts))
scopes = st.builds(
    InstrumentationScope, texts, st.one_of(st.none(), texts), st.one_of(st.none(), texts), attribute_dicts
)
# a few, so that items share them; some equal without being the same object
few_resources = st.lists(resources, min_size=1, max_size=3)
few_scopes = st.lists(st.one_of(st.none(), scopes), min_size=1, max_size=3)

trace_states = st.one_of(
    st.none(),
    st.builds(TraceState, st.lists(st.tuples(st.sampled_from(["a", "b", "ot"]), st.sampled_from(["1", "th:8"])))),
)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.builds(TraceFlags, st.integers(0, 3)),
    trace_states,
)
statuses = st.one_of(
    st.builds(Status, st.sampled_from([StatusCode.UNSET, StatusCode.OK])),
    st.builds(Status, st.just(StatusCode.ERROR), st.one_of(st.none(), texts)),
)


def bounded_list(items, limit):
    return BoundedList.from_seq(limit, items)


events = st.builds(Event, texts, bounded(), uint64s)
links = st.builds(Link, contexts, bounded())


@st.composite
def span_batches(draw):
    resource, scope = st.sampled_from(draw(few_resources)), st.sampled_from(draw(few_scopes))
    span = st.builds(
        ReadableSpan,
        name=texts,
        context=contexts,
        parent=st.one_of(st.none(), contexts),
        resource=resource,
        attributes=st.one_of(st.none(), bounded()),
        events=st.builds(bounded_list, st.lists(events, max_size=3), st.sampled_from([1, 128])),
        links=st.builds(bounded_list, st.lists(links, max_size=3), st.sampled_from([1, 128])),
        kind=st.sampled_from(SpanKind),
        status=statuses,
        start_time=uint64s,
        end_time=st.one_of(st.none(), uint64s),
        instrumentation_scope=scope,
    )
    return draw(st.lists(span, max_size=6))


@st.composite
def log_batches(draw):
    resource, scope = st.sampled_from(draw(few_resources)), st.sampled_from(draw(few_scopes))
    record = st.builds(
        make_record,
        st.one_of(st.none(), uint64s),
        uint64s,
        st.one_of(st.just(0), st.integers(1, 2**128 - 1)),
        st.one_of(st.just(0), st.integers(1, 2**64 - 1)),
        st.builds(TraceFlags, st.integers(0, 255)),
        st.one_of(st.none(), texts),
        st.one_of(st.none(), st.sampled_from(SeverityNumber)),
        values,
        bounded(),
        st.one_of(st.none(), texts),
    )
    return draw(st.lists(st.builds(ReadableLogRecord, record, resource, scope), max_size=6))


def make_record(timestamp, observed, trace_id, span_id, flags, severity_text, severity_number, body, attributes, name):
    record = LogRecord(
        timestamp=timestamp,
        observed_timestamp=observed,
        severity_text=severity_text,
        severity_number=severity_number,
        body=body,
        attributes=attributes,
        event_name=name,
    )
    record.trace_id, record.span_id, record.trace_flags = trace_id, span_id, flags
    return record


numbers = st.one_of(int64s, floats)
exemplars = st.lists(
    st.builds(
        Exemplar,
        raw_attributes,
        numbers,
        uint64s,
        st.one_of(st.none(), st.integers(1, 2**64 - 1)),
        st.one_of(st.none(), st.integers(1, 2**128 - 1)),
    ),
    max_size=2,
)
temporalities = st.sampled_from(metrics.AggregationTemporality)
number_points = st.builds(
    metrics.NumberDataPoint, raw_attributes, st.one_of(st.none(), uint64s), uint64s, numbers, exemplars
)
histogram_points = st.builds(
    metrics.HistogramDataPoint,
    attributes=raw_attributes,
    start_time_unix_nano=uint64s,
    time_unix_nano=uint64s,
    count=uint64s,
    sum=st.one_of(st.integers(-(2**60), 2**60), floats),
    bucket_counts=st.lists(uint64s, max_size=6),
    explicit_bounds=st.lists(floats, max_size=5),
    min=st.none() | floats,
    max=st.none() | floats,
    exemplars=exemplars,
)
buckets = st.builds(Buckets, st.integers(-(2**31), 2**31 - 1), st.lists(uint64s, max_size=6))
exponential_points = st.builds(
    metrics.ExponentialHistogramDataPoint,
    attributes=raw_attributes,
    start_time_unix_nano=uint64s,
    time_unix_nano=uint64s,
    count=uint64s,
    sum=floats,
    scale=st.integers(-10, 20),
    zero_count=uint64s,
    positive=buckets,
    negative=buckets,
    flags=st.integers(0, 2**32 - 1),
    min=st.none() | floats,
    max=st.none() | floats,
    exemplars=exemplars,
)


def some(points):
    # a metric without points is not made by the SDK: what it is of is then nowhere
    return st.lists(points, min_size=1, max_size=3)


data = st.one_of(
    st.builds(metrics.Sum, some(number_points), temporalities, st.booleans()),
    st.builds(metrics.Gauge, some(number_points)),
    st.builds(metrics.Histogram, some(histogram_points), temporalities),
    st.builds(metrics.ExponentialHistogram, some(exponential_points), temporalities),
)
metric_lists = st.lists(
    st.builds(metrics.Metric, texts, st.one_of(st.none(), texts), st.one_of(st.none(), texts), data), max_size=3
)


def scope_metrics(of):
    scope, metric_list = of
    return metrics.ScopeMetrics(scope, metric_list, scope.schema_url)


def resource_metrics(of):
    resource, of_scopes = of
    return metrics.ResourceMetrics(resource, of_scopes, resource.schema_url)


metrics_data = st.builds(
    metrics.MetricsData,
    st.lists(
        st.tuples(
            resources,
            st.lists(st.tuples(scopes, metric_lists).map(scope_metrics), max_size=2, unique_by=lambda of: of.scope),
        ).map(resource_metrics),
        max_size=2,
        unique_by=lambda of: of.resource,
    ),
)


def assert_same(message_type, body, official):
    """Equal as messages; compared as bytes, since a NaN is not equal to itself."""
    ours = message_type.FromString(body)
    assert ours.SerializeToString(deterministic=True) == official.SerializeToString(deterministic=True)


@given(span_batches())
@settings(max_examples=75, deadline=None)
def test_encode_spans_equals_the_official_encoder(spans):
    body, losses = encode_spans(spans)
    assert_same(ExportTraceServiceRequest, body, official_spans(spans))
    assert losses.items == 0


@given(log_batches())
@settings(max_examples=75, deadline=None)
def test_encode_logs_equals_the_official_encoder(records):
    body, losses = encode_logs(records)
    assert_same(ExportLogsServiceRequest, body, official_logs(records))
    assert losses.items == 0


@given(metrics_data)
@settings(max_examples=75, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_encode_metrics_equals_the_official_encoder(data):
    body, losses = encode_metrics(data)
    assert_same(ExportMetricsServiceRequest, body, official_metrics(data))
    assert losses.items == 0


def assert_same_as_json(message_type, encoded, official):
    """Equal as messages, once it is the JSON of protobuf, which has ids in base64; and one kind of NaN."""
    line = json.dumps(with_ids_in_base64(encoded), allow_nan=False)
    assert MessageToDict(Parse(line, message_type())) == MessageToDict(official)


def with_ids_in_base64(encoded):
    if isinstance(encoded, list):
        return [with_ids_in_base64(item) for item in encoded]
    if not isinstance(encoded, dict):
        return encoded
    ids = {"traceId", "spanId", "parentSpanId"}
    return {
        name: b64encode(bytes.fromhex(value)).decode() if name in ids else with_ids_in_base64(value)
        for name, value in encoded.items()
    }


@given(span_batches())
@settings(max_examples=75, deadline=None)
def test_spans_in_json_equal_the_official_encoder(spans):
    assert_same_as_json(ExportTraceServiceRequest, _otlp_json.encode_traces(spans), official_spans(spans))


@given(log_batches())
@settings(max_examples=75, deadline=None)
def test_logs_in_json_equal_the_official_encoder(records):
    assert_same_as_json(ExportLogsServiceRequest, _otlp_json.encode_logs(records), official_logs(records))


@given(metrics_data)
@settings(max_examples=75, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_metrics_in_json_equal_the_official_encoder(data):
    assert_same_as_json(ExportMetricsServiceRequest, _otlp_json.encode_metrics(data), official_metrics(data))
