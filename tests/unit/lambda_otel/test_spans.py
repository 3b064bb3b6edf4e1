import asyncio

import pytest
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.sampling import ParentBasedAlwaysOn
from lambda_otel.spans import SpanQueue
from lambda_otel.tracer import LambdaTracer, LambdaTracerProvider


class Recorder(SpanProcessor):
    def __init__(self):
        self.calls = []

    def on_start(self, span, parent_context=None):
        self.calls.append(("start", span.name))

    def on_end(self, span):
        self.calls.append(("end", span.name))


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def pace():
    return Pace(5.0)


@pytest.fixture
def queue(drops, pace):
    return SpanQueue(drops, pace, batch_size=3, max_size=5)


def provider_of(queue, cls=LambdaTracerProvider, **more):
    return cls(resource=Resource({}), shutdown_on_exit=False, active_span_processor=queue, **more)


@pytest.fixture
def tracer(queue):
    return provider_of(queue).get_tracer("t")


def test_queue_gives_every_ended_span_once(queue, tracer):
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        assert queue.take() == []

    assert [span.name for span in queue.take()] == ["inner", "outer"]
    assert queue.take() == []


def test_queue_that_is_full_drops_and_counts(queue, tracer, drops):
    for _ in range(8):
        tracer.start_span("s").end()

    assert len(queue.take()) == 5
    assert drops.counts() == {("traces", "queue_full"): 3}


def test_queue_exports_when_a_batch_is_full(queue, tracer, pace):
    exported = []
    pace.bind(lambda: exported.append(len(queue.take())), lambda: None)

    for _ in range(7):
        tracer.start_span("s").end()

    assert exported == [3, 3]


def test_queue_exports_when_it_is_due_at_a_start_too(queue, tracer, pace):
    exported = []
    pace.bind(lambda: exported.append("now"), lambda: None)
    pace.due_at = 0.0

    span = tracer.start_span("s")

    assert exported == ["now"]
    span.end()


def test_queue_tells_processors_that_a_function_adds(queue):
    provider, recorder = provider_of(queue), Recorder()
    provider.add_span_processor(recorder)

    provider.get_tracer("t").start_span("s").end()

    assert recorder.calls == [("start", "s"), ("end", "s")]
    assert len(queue.take()) == 1


def test_queue_keeps_no_span_that_is_not_sampled(queue):
    tracer = provider_of(queue, sampler=ALWAYS_OFF).get_tracer("t")

    tracer.start_span("s").end()

    assert (queue.take(), queue.take_open(9)) == ([], None)


def test_queue_tells_what_is_open_when_that_has_changed(queue, tracer):
    outer = tracer.start_span("outer")
    assert queue.take_open(9) == [outer]
    assert queue.take_open(9) is None
    inner = tracer.start_span("inner")
    assert queue.take_open(9) == [outer, inner]
    inner.end()
    tracer.start_span("short").end()
    assert queue.take_open(9) == [outer]
    outer.end()

    assert queue.take_open(9) == []
    assert queue.take_open(9) is None


def test_early_spans_become_children_of_a_parent_that_came_later(queue, tracer):
    token = context_api.attach(queue.early.begin())
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
        pass
    late = tracer.start_span("late")
    context_api.detach(token)
    assert queue.take() == []
    parent = tracer.start_span("parent")

    adopted = {span.name: span for span in queue.early.adopt(parent.get_span_context())}
    late.end()

    (ended_late,) = queue.take()
    everyone = [*adopted.values(), ended_late]
    assert {span.context.trace_id for span in everyone} == {parent.get_span_context().trace_id}
    assert adopted["outer"].parent.span_id == ended_late.parent.span_id == parent.get_span_context().span_id
    assert adopted["inner"].parent.span_id == adopted["outer"].context.span_id
    queue.early.end()
    assert not queue.early.is_active


def test_early_spans_of_a_parent_that_is_not_sampled_are_none(queue, tracer):
    token = context_api.attach(queue.early.begin())
    tracer.start_span("early").end()
    context_api.detach(token)
    unsampled = provider_of(queue, sampler=ALWAYS_OFF).get_tracer("t").start_span("parent")

    assert queue.early.adopt(unsampled.get_span_context()) == []


# the tracer's own context manager, held to the SDK's


@pytest.fixture(params=[TracerProvider, LambdaTracerProvider])
def either(request, queue):
    return provider_of(queue, request.param).get_tracer("t")


def test_provider_makes_lambda_tracers_once_a_scope(queue):
    provider = provider_of(queue)

    assert isinstance(provider.get_tracer("a"), LambdaTracer)
    assert provider.get_tracer("a") is provider.get_tracer("a")


def test_current_span_is_current_within_and_ends(either, queue):
    with either.start_as_current_span("s", attributes={"a": 1}) as span:
        assert get_current_span() is span

    assert not get_current_span().get_span_context().is_valid
    assert not span.is_recording()
    (ended,) = queue.take()
    assert dict(ended.attributes) == {"a": 1}


def test_current_span_records_an_error_and_lets_it_pass(either, queue):
    with pytest.raises(KeyError, match="x"), either.start_as_current_span("s"):
        raise KeyError("x")

    (span,) = queue.take()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "KeyError: 'x'")
    assert [event.name for event in span.events] == ["exception"]


def test_current_span_records_no_error_where_it_shall_not(either, queue):
    with (
        pytest.raises(KeyError),
        either.start_as_current_span("s", record_exception=False, set_status_on_exception=False),
    ):
        raise KeyError("x")

    (span,) = queue.take()
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()


def test_current_span_takes_an_exit_for_no_error(either, queue):
    with pytest.raises(SystemExit), either.start_as_current_span("s"):
        raise SystemExit(1)

    (span,) = queue.take()
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()


def test_current_span_may_stay_open(either, queue):
    with either.start_as_current_span("s", end_on_exit=False) as span:
        pass

    assert span.is_recording()
    assert queue.take() == []


def test_current_span_decorates_functions_and_coroutines(either, queue):
    @either.start_as_current_span("plain")
    def plain(number):
        return number, get_current_span().name

    @either.start_as_current_span("async")
    async def coroutine(number):
        await asyncio.sleep(0)
        return number, get_current_span().name

    assert [plain(1), plain(2)] == [(1, "plain"), (2, "plain")]
    assert asyncio.run(coroutine(3)) == (3, "async")
    assert [span.name for span in queue.take()] == ["plain", "plain", "async"]


# the default sampler, held to the SDK's


@pytest.mark.parametrize("is_remote", [True, False])
@pytest.mark.parametrize("flags", [None, 0, 1])
def test_default_sampler_decides_as_the_sdks(is_remote, flags):
    state = TraceState([("a", "1")])
    parent = SpanContext(1, 2, is_remote, TraceFlags(flags or 0), state)
    context = Context() if flags is None else set_span_in_context(NonRecordingSpan(parent), Context())

    ours, theirs = (
        sampler.should_sample(context, 7, "s", attributes={"a": 1}) for sampler in (ParentBasedAlwaysOn(), DEFAULT_ON)
    )

    assert ours.decision is theirs.decision
    assert dict(ours.attributes) == dict(theirs.attributes)
    assert ours.trace_state == theirs.trace_state
    assert ParentBasedAlwaysOn().get_description() == DEFAULT_ON.get_description()
