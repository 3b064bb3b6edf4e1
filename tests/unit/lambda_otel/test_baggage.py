import pytest
from opentelemetry import baggage
from opentelemetry._logs import LogRecord
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource

from lambda_otel.baggage import BaggageAttributes, BoundedBaggage, attributes_from
from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.logs import LazyLoggerProvider, LogQueue
from lambda_otel.spans import SpanQueue
from lambda_otel.tracer import LambdaTracerProvider


@pytest.fixture
def drops():
    return Drops()


def context_with(**entries):
    context = Context()
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    return context


def sent(context, drops):
    carrier = {}
    BoundedBaggage(drops).inject(carrier, context)
    return carrier


def test_baggage_within_the_bounds_goes_out_whole(drops):
    context = context_with(**{f"k{index}": "é, =;+ %" for index in range(10)})

    carrier = sent(context, drops)

    assert dict(baggage.get_all(W3CBaggagePropagator().extract(carrier, Context()))) == dict(baggage.get_all(context))
    assert "+" not in carrier["baggage"]  # which other languages read as itself
    assert drops.counts() == {}


def test_no_baggage_is_no_field(drops):
    assert sent(Context(), drops) == {}


def test_baggage_has_at_most_ten_keys(drops):
    carrier = sent(context_with(**{f"k{index}": "v" for index in range(13)}), drops)

    assert carrier["baggage"] == ",".join(f"k{index}=v" for index in range(10))
    assert drops.counts() == {("baggage", "too_many_keys"): 3}


@pytest.mark.parametrize(("extra", "is_sent"), [(0, True), (1, False)])
def test_baggage_has_at_most_a_kibibyte(drops, extra, is_sent):
    context = context_with(a="x" * 500, b="y" * (1024 - 502 - 1 - 2 + extra), c="z")

    carrier = sent(context, drops)

    assert ("b=" in carrier["baggage"]) is is_sent
    assert len(carrier["baggage"]) <= 1024
    # what is too long leaves room for what comes after it
    assert carrier["baggage"].endswith("z") is not is_sent
    assert drops.counts() == {("baggage", "too_large"): 1}


def test_baggage_that_comes_in_may_be_more(drops):
    carrier = {"baggage": ",".join(f"k{index}=v" for index in range(20))}

    assert len(baggage.get_all(BoundedBaggage(drops).extract(carrier, Context()))) == 20


def test_attributes_are_the_keys_that_are_named():
    context = context_with(**{"user.tier": "gold", "secret": "s", "experiment": 7})

    assert attributes_from(context, ("user.tier", "experiment", "absent"), {}) == {
        "user.tier": "gold",
        "experiment": "7",
    }
    assert attributes_from(context, ("user.tier",), {"user.tier": "mine"}) == {}
    assert attributes_from(Context(), ("user.tier",), {}) == {}


@pytest.mark.parametrize("is_queued", [True, False])
def test_spans_get_the_keys_and_keep_their_own(drops, is_queued):
    keys = ("user.tier", "experiment")
    queue = SpanQueue(drops, Pace(5.0), batch_size=10, max_size=10, baggage_keys=keys) if is_queued else None
    provider = LambdaTracerProvider(resource=Resource({}), shutdown_on_exit=False, active_span_processor=queue)
    if not is_queued:
        provider.add_span_processor(BaggageAttributes(keys))
    tracer = provider.get_tracer("t")
    context = context_with(**{"user.tier": "gold", "experiment": "a", "secret": "s"})

    explicit = tracer.start_span("explicit", context, attributes={"experiment": "mine"})
    token = attach(context)
    with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner") as inner:
        pass
    detach(token)
    bare = tracer.start_span("bare")

    assert dict(explicit.attributes) == {"experiment": "mine", "user.tier": "gold"}
    assert dict(inner.attributes) == {"experiment": "a", "user.tier": "gold"}
    assert dict(bare.attributes) == {}


@pytest.mark.parametrize("keys", [("user.tier",), ()])
def test_log_records_get_the_keys(drops, keys):
    queue = LogQueue(drops, Pace(5.0), batch_size=10, max_size=10)
    provider = LazyLoggerProvider(queue, Resource({}), keys)
    context = context_with(**{"user.tier": "gold"})

    provider.get_logger("l").emit(LogRecord(body="b", context=context, attributes={"own": 1}))
    provider.get_logger("l").emit(LogRecord(body="b", context=Context()))

    first, second = queue.take()
    expected = {"own": 1, "user.tier": "gold"} if keys else {"own": 1}
    assert dict(first.log_record.attributes) == expected
    assert dict(second.log_record.attributes or {}) == {}
