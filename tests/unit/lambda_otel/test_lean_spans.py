"""`lean_spans` against the SDK it stands for: the same calls, the same spans."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from lambda_otel import sdk, tracer
from lambda_otel.lean_spans import LeanAttributes, LeanSpan, LeanTracer
from lambda_otel.sampling import ParentBasedAlwaysOn
from lambda_otel.tracer import LambdaTracer, LambdaTracerProvider

REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0x03), trace_state=TraceState([("a", "b")]))
UNSAMPLED = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0))

values = st.one_of(
    st.text(max_size=12),
    st.booleans(),
    st.integers(-9, 9),
    st.floats(allow_nan=False),
    st.none(),
    st.binary(max_size=3),
    st.lists(st.one_of(st.text(max_size=3), st.integers(0, 9)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 9), max_size=2),
)
pairs = st.dictionaries(st.one_of(st.text(max_size=3), st.sampled_from([1, None])), values, max_size=6)


class Counting(IdGenerator):
    def __init__(self):
        self.last = 0

    def generate_span_id(self):
        self.last += 1
        return self.last

    generate_trace_id = generate_span_id


class Recorder(SpanProcessor):
    def __init__(self):
        self.started, self.ended = [], []

    def on_start(self, span, parent_context=None):
        self.started.append((span.name, parent_context))

    def on_end(self, span):
        self.ended.append(span)


def tracers(**settings):
    """The SDK's tracer and ours, each with its recorder; the same ids in both."""
    for provider_class in (TracerProvider, LambdaTracerProvider):
        provider = provider_class(
            resource=Resource({"r": 1}), shutdown_on_exit=False, id_generator=Counting(), **settings
        )
        recorder = Recorder()
        provider.add_span_processor(recorder)
        yield provider.get_tracer("scope", "1"), recorder


def told(span):
    """All that can be read of a span."""
    parts = [*span.events, *span.links]
    return {
        "itself": (span.name, span.kind, span.start_time, span.end_time, span.resource, span.instrumentation_scope),
        "contexts": (tuple(span.context), span.parent and tuple(span.parent)),
        "status": (span.status.status_code, span.status.description),
        "attributes": [(name, type(value), value) for name, value in span.attributes.items()],
        "events and links": [(type(part), list(part.attributes.items()), part.dropped_attributes) for part in parts],
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
    }


def test_tracer_is_lean_with_the_sdk_it_knows_and_not_with_another(monkeypatch):
    assert tracer.tracer_class() is LeanTracer
    monkeypatch.setattr(sdk, "__version__", "1.44.0")

    assert tracer.tracer_class.__wrapped__() is LambdaTracer


def test_lean_span_has_every_field_of_the_sdks():
    (sdks, _), (ours, _) = tracers()
    theirs, own = sdks.start_span("s"), ours.start_span("s")

    assert isinstance(own, LeanSpan)
    assert vars(own).keys() == vars(theirs).keys()
    theirs.end()
    own.end()
    assert vars(ReadableSpan("s")).keys() <= vars(own).keys()


@given(pairs, pairs, st.lists(pairs, max_size=3), st.sampled_from([None, 0, 2, 128]), st.sampled_from([None, 3]))
@example({"": "nameless", "a": 1}, {"a": 2}, [], 128, None)
@example({"a": 1, "b": 2}, {"c": 3}, [{}], 2, None)
def test_lean_span_tells_what_the_sdks_does(given_first, set_later, of_events, limit, length):
    limits = SpanLimits(
        max_attributes=SpanLimits.UNSET if limit is None else limit,
        max_events=1,
        max_links=1,
        max_attribute_length=SpanLimits.UNSET if length is None else length,
    )
    spans = []
    for one, recorder in tracers(span_limits=limits):
        context = set_span_in_context(NonRecordingSpan(REMOTE), Context())
        span = one.start_span("s", context, SpanKind.CLIENT, given_first, [Link(REMOTE, {"l": 1})], start_time=5)
        span.set_attributes(set_later)
        for name, value in set_later.items():
            span.set_attribute(name, value)
        for attributes in of_events:
            span.add_event("e", attributes, 6)
            span.add_link(REMOTE, attributes)
        span.update_name("renamed")
        span.set_status(Status(StatusCode.ERROR, "why"))
        span.end(9)
        span.set_attribute("late", 1)
        span.end(10)
        spans += recorder.ended

    sdks, ours = spans
    assert told(ours) == told(sdks)


@pytest.mark.parametrize("parent", [None, REMOTE, UNSAMPLED])
@pytest.mark.parametrize("sampler", [DEFAULT_ON, ALWAYS_OFF, ParentBasedAlwaysOn()])
def test_lean_tracer_decides_and_inherits_as_the_sdks(parent, sampler):
    contexts = []
    context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
    for one, recorder in tracers(sampler=sampler):
        span = one.start_span("s", context)
        contexts.append((span.get_span_context(), span.is_recording(), recorder.started))

    sdks, ours = contexts
    assert ours == sdks
    assert ours[0].trace_state == sdks[0].trace_state


def test_lean_tracer_records_what_is_recorded_and_not_sampled():
    class RecordOnly(Sampler):
        def should_sample(self, *_, **__):
            return SamplingResult(Decision.RECORD_ONLY, {"by": "sampler"})

        def get_description(self):
            return "RecordOnly"

    spans = [one.start_span("s", attributes={"a": 1}) for one, _ in tracers(sampler=RecordOnly())]

    assert [(span.is_recording(), dict(span.attributes)) for span in spans] == [(True, {"by": "sampler"})] * 2
    assert not any(span.get_span_context().trace_flags.sampled for span in spans)


def test_lean_tracer_leaves_a_parent_that_is_none_to_the_sdk():
    class Odd(NonRecordingSpan):
        def get_span_context(self):
            return ("not", "a", "context")

    for one, _ in tracers(sampler=ALWAYS_OFF):
        with pytest.raises(TypeError, match="SpanContext"):
            one.start_span("s", set_span_in_context(Odd(REMOTE), Context()))


def test_lean_attributes_replace_and_drop_the_oldest_as_the_sdks():
    attributes = LeanAttributes(3, {"a": 1, "b": 2}, immutable=False)

    attributes._set_items({"a": 3, "c": 4})
    attributes["a"] = 5
    attributes["d"] = 6

    assert dict(attributes) == {"c": 4, "a": 5, "d": 6}
    assert (list(attributes), attributes.dropped) == (["c", "a", "d"], 1)
