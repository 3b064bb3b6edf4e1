"""Functions that bring things of their own: handlers of `logging`, Powertools, decorators, mistakes in variables.

Each runs with the layer and without, and what Lambda and whoever reads its output see is the same.
"""

import json

import pytest

from ._ledger import outcome

PLAIN = """
import logging

logging.getLogger().setLevel(logging.INFO)


def handler(event, context):
    logging.getLogger("app").info("hello")
    return "done"
"""


@pytest.fixture
def run(run_function):
    """Run a function with the layer, and its twin without; assert that their outcomes are equal."""

    def run(source, events=({},), **more):
        sandbox, twin = run_function(source, events, **more), run_function(source, events, with_layer=False, **more)
        assert outcome(sandbox) == outcome(twin)
        return sandbox

    return run


def responses(sandbox):
    return [json.loads(mark.body) for mark in sandbox.marks if mark.kind == "response"]


def attributes(of):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def told(sandbox, word):
    return [line for line in sandbox.output.splitlines() if word in line]


# what functions do with the root logger's handlers; each of them prints by its own afterwards, or by none


REMOVES_ALL = """
root = logging.getLogger()
for handler in root.handlers:
    root.removeHandler(handler)
logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
"""
CLEARS = "logging.getLogger().handlers.clear()"
DICT_CONFIG = """
import logging.config
logging.config.dictConfig({
    "version": 1,
    "handlers": {"own": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
    "root": {"handlers": ["own"], "level": "INFO"},
})
"""
TWO_JSON_HANDLERS = """
import json

class Json(logging.Formatter):
    def format(self, record):
        return json.dumps({name: str(value) for name, value in vars(record).items() if name.islower()
                           and name not in ("created", "msecs", "thread", "process", "relativecreated", "pathname",
                                           "asctime")})

for stream in (sys.stdout, sys.stderr):
    own = logging.StreamHandler(stream)
    own.setFormatter(Json())
    logging.getLogger().addHandler(own)
logging.getLogger().setLevel(logging.INFO)
"""


@pytest.mark.parametrize(
    ("setup", "body"),
    [
        pytest.param(REMOVES_ALL, "hello", id="removes them one by one, and configures anew"),
        pytest.param(CLEARS, "hello", id="has none, so that the last resort prints"),
        pytest.param(DICT_CONFIG, "hello", id="dictConfig"),
        pytest.param(TWO_JSON_HANDLERS, None, id="prints JSON twice, with all that is on the record"),
    ],
)
def test_function_with_log_handlers_of_its_own_prints_what_it_prints_without_us(run, collector, setup, body):
    source = f"import logging, sys\n{setup}\ndef handler(event, context):\n    logging.warning('hello')\n"

    sandbox = run(source)

    last = collector.records()[-1]
    assert last.body.string_value == body or json.loads(last.body.string_value)["msg"] == "hello"
    assert len(told(sandbox, "hello")) >= 1


def test_arguments_that_do_not_fit_are_complained_of_once(run_function, collector):
    source = f"import logging\n{REMOVES_ALL}\ndef handler(event, context):\n    logging.info('%d of it', 'x')\n"

    for with_layer in (True, False):
        sandbox = run_function(source, [{}], with_layer=with_layer)
        assert len(told(sandbox, "--- Logging error ---")) == 1

    assert [record.body.string_value for record in collector.records()] == ["%d of it"]


def test_record_has_nothing_that_others_put_on_it_on_its_way(run, collector):
    run(PLAIN)

    (record,) = collector.records()
    assert set(attributes(record)) == {"code.file.path", "code.function.name", "code.line.number"}


POWERTOOLS = """
from aws_lambda_powertools import Logger, Metrics
from opentelemetry import trace

log, metrics = Logger(service="shop"), Metrics(namespace="shop", service="shop")


@log.inject_lambda_context
@metrics.log_metrics
def handler(event, context):
    metrics.add_metric(name="sold", unit="Count", value=1)
    with trace.get_tracer("app").start_as_current_span("work"):
        log.info("sold")
    return "done"
"""


def test_powertools_and_the_layer_leave_each_other_alone(run_function, collector):
    sandbox = run_function(POWERTOOLS, [{}, {}])
    twin = run_function(POWERTOOLS, [{}, {}], with_layer=False)

    assert responses(sandbox) == responses(twin) == ["done"] * 2
    for one in (sandbox, twin):
        assert len(told(one, '"message":"sold"')) == 2
        assert len(told(one, '"CloudWatchMetrics"')) == 2
        assert len(one.output.splitlines()) == 4
    assert [span.name for span in collector.spans()] == ["work", "fn"] * 2
    works = [span.span_id for span in collector.spans() if span.name == "work"]
    assert [record.span_id for record in collector.records()] == works


# what handlers are, and give


HANDLERS = {
    "async": "async def handler(event, context):\n    return 1",
    "no JSON": "def handler(event, context):\n    return {1, 2}",
    "huge": "def handler(event, context):\n    return 'x' * 7_000_000",
    "nan": "def handler(event, context):\n    return float('nan')",
    "mute": "class Mute(dict):\n    def get(self, *_):\n        raise RuntimeError\n\n"
    "def handler(event, context):\n    return Mute(a=1)",
    "infinite status": "def handler(event, context):\n    return {'statusCode': float('inf')}",
    "object": "class Handler:\n    def __call__(self, event, context):\n        return 1\n\nhandler = Handler()",
    "partial": "from functools import partial\nhandler = partial(lambda n, event, context: n, 1)",
    "no attributes": "handler = min",
}
HTTP_EVENT = {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/"}}, "headers": {}}


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in HANDLERS.items()])
def test_handler_of_any_kind_ends_as_without_us_and_every_invocation_has_its_span(run, collector, source):
    sandbox = run(source, [HTTP_EVENT] * 2)

    assert [span.name for span in collector.spans()] == ["fn", "fn"]
    assert told(sandbox, "the invocation has no span") == []


def test_context_of_one_invocation_is_not_seen_by_the_next(run_function):
    source = """
from opentelemetry import baggage, context as api
seen = []


def handler(event, context):
    seen.append(dict(baggage.get_all()))
    api.attach(baggage.set_baggage("user", "u1"))
    return seen
"""

    sandbox = run_function(source, [{}, {}], OTEL_LAMBDA_BAGGAGE_ATTRIBUTES="user")

    assert responses(sandbox)[-1] == [{}, {}]


OPAQUE = """
from lambda_otel import instrument


def opaque(function):
    def inner(event, context):
        return function(event, context)
    return inner


@opaque
@instrument
def handler(event, context):
    return "done"
"""


def test_handler_that_is_instrumented_below_an_opaque_decorator_has_one_span(run_function, collector):
    sandbox = run_function(OPAQUE, [{}, {}])

    assert responses(sandbox) == ["done"] * 2
    assert len(collector.spans()) == 2


# mistakes in variables


MISTAKES = """
class Raising:
    def __init__(self):
        raise RuntimeError("not today")
"""


@pytest.mark.parametrize("value", ["mistakes:Gone", "broken:Any", "mistakes:Raising", "nowhere:Any", "no_colon"])
@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_LAMBDA_SPAN_PROCESSORS",
        "OTEL_LAMBDA_RESOURCE_DETECTORS",
        "OTEL_LAMBDA_INSTRUMENTORS",
        "OTEL_TRACES_EXPORTER",
        "OTEL_LAMBDA_EVENT_CONTEXT",
    ],
)
def test_mistake_in_a_variable_is_one_line_and_the_function_works(run_function, tmp_path, variable, value):
    task = tmp_path / "task"
    (task / "mistakes.py").write_text(MISTAKES)
    (task / "broken.py").write_text("import not_installed_anywhere\n")

    sandbox = run_function(PLAIN, [{}], **{variable: value})

    assert responses(sandbox) == ["done"]
    assert len(told(sandbox, "[WARNING]")) == 1
    assert len(sandbox.output.splitlines()) == 2  # and what the function logs


def test_signal_to_preload_that_is_none_is_one_line(run_function):
    sandbox = run_function(PLAIN, [{}], OTEL_LAMBDA_PRELOAD="metrics,log")

    assert responses(sandbox) == ["done"]
    assert len(told(sandbox, "`OTEL_LAMBDA_PRELOAD` is `metrics,log`: expected")) == 1


@pytest.mark.parametrize(
    "value", ["https://user:secret@collector/", "http://127.0.0.1:99999", "http://127.0.0.1:4318:secret?key=secret"]
)
def test_endpoint_that_cannot_be_is_told_without_its_secrets(run_function, value):
    sandbox = run_function(PLAIN, [{}], OTEL_EXPORTER_OTLP_ENDPOINT=value)

    assert responses(sandbox) == ["done"]
    assert len(told(sandbox, "`OTEL_EXPORTER_OTLP_ENDPOINT` is")) == 1
    assert told(sandbox, "secret") == []


# what filters act on


RAISING = """
import logging


def handler(event, context):
    logging.getLogger("app").error("of u1", extra={"user": "u1"})
    raise ValueError("u1")
"""


def test_filters_act_on_attributes_of_exceptions_too_and_not_on_bodies_and_status(run_function, collector):
    run_function(RAISING, [{}], OTEL_LAMBDA_ATTRIBUTE_FILTERS="drop:exception.*,drop:user")

    (event,) = (event for span in collector.spans() for event in span.events)
    assert attributes(event) == {}
    (record,) = collector.records()
    assert "user" not in attributes(record)
    assert record.body.string_value == "of u1"
    assert collector.spans()[-1].status.message == "ValueError: u1"


# what triggers make of events with more than one record, or with a field of a wrong kind


def s3_record(key, bucket="b"):
    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key}},
    }


def test_s3_event_of_several_records_says_what_they_have_in_common(run_function, collector):
    run_function(PLAIN, [{"Records": [s3_record("a"), s3_record("b")]}, {"Records": [s3_record("a"), s3_record("a")]}])

    apart, alike = (attributes(span) for span in collector.spans())
    assert (apart["aws.s3.bucket"], apart.get("aws.s3.key")) == ("b", None)
    assert (alike["aws.s3.bucket"], alike["aws.s3.key"]) == ("b", "a")


def sqs_record(number, **message_attributes):
    return {
        "messageId": f"m{number}",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:1:q",
        "messageAttributes": {name: {"stringValue": value} for name, value in message_attributes.items()},
    }


def test_partial_batch_has_its_links_and_its_failures(run_function, collector):
    parents = [f"00-{number:032x}-{number:016x}-01" for number in (1, 2)]
    source = "def handler(event, context):\n    return {'batchItemFailures': [{'itemIdentifier': 'm2'}]}\n"

    sandbox = run_function(
        source, [{"Records": [*(sqs_record(n, traceparent=one) for n, one in enumerate(parents)), sqs_record(2)]}]
    )

    assert responses(sandbox) == [{"batchItemFailures": [{"itemIdentifier": "m2"}]}]
    (span,) = collector.spans()
    assert [link.span_id.hex() for link in span.links] == [f"{number:016x}" for number in (1, 2)]
    assert attributes(span)["lambda_otel.batch.failed_count"] == 1
    assert attributes(span)["messaging.batch.message_count"] == 3


@pytest.mark.parametrize(
    "event",
    [
        {**HTTP_EVENT, "headers": {"traceparent": 5, "baggage": None, "host": ["a"]}},
        {"Records": [{**sqs_record(1), "messageAttributes": {"traceparent": {"stringValue": 5}}}]},
        {"Records": [{"EventSource": "aws:sns", "Sns": {"TopicArn": "a:b", "MessageAttributes": {"baggage": {}}}}]},
        {"detail-type": "x", "source": "y", "detail": {"traceparent": {}}},
        {"detail-type": ["x"], "source": 1},
        {"requestContext": {"elb": {}}, "headers": {"a": 1}, "queryStringParameters": {"a": None}},
        {"Records": [s3_record(5)]},
    ],
)
def test_event_that_is_not_quite_of_its_kind_has_a_span(run, collector, event):
    sandbox = run(PLAIN, [event])

    assert responses(sandbox) == ["done"]
    assert len(collector.spans()) == 1
    assert told(sandbox, "has no span") == []


# logs and measurements of an event-context hook, whose spans get their parent later


HOOK = """
import logging
from opentelemetry import propagate, trace

tracer = trace.get_tracer("app")


def context_of(event, context):
    logging.warning("asking")
    with tracer.start_as_current_span("GetObject"):
        logging.warning("asked")
    return propagate.extract({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})


def handler(event, context):
    logging.warning("handling")
"""


def test_log_records_of_the_event_context_hook_are_in_the_invocations_trace(run_function, collector):
    run_function(HOOK, [{}, {}], OTEL_LAMBDA_EVENT_CONTEXT="app:context_of")

    spans = {span.name: span for span in collector.spans()[:2]}
    asking, asked, handling = collector.records()[:3]
    assert {record.trace_id.hex() for record in collector.records()} == {"0af7651916cd43dd8448eb211c80319c"}
    assert asking.span_id == handling.span_id == spans["fn"].span_id
    assert asked.span_id == spans["GetObject"].span_id


def test_termination_within_the_hook_loses_none_of_its_spans(run_function, collector):
    source = HOOK.replace(
        "    return propagate", "    import os, signal; os.kill(os.getpid(), signal.SIGTERM)\n    return propagate"
    )

    sandbox = run_function(source, [{}], OTEL_LAMBDA_EVENT_CONTEXT="app:context_of")

    assert sandbox.exit_code == -15
    assert "GetObject" in [span.name for span in collector.spans()]


def test_named_baggage_is_on_every_span_and_record_of_its_invocation_and_of_no_other(run_function, collector):
    source = """
import logging
from opentelemetry import trace


def handler(event, context):
    with trace.get_tracer("app").start_as_current_span("work"):
        logging.warning("working")
"""
    events = [{**HTTP_EVENT, "headers": {"baggage": "user.tier=gold,other=1"}}, HTTP_EVENT]

    run_function(source, events, OTEL_LAMBDA_BAGGAGE_ATTRIBUTES="user.tier")

    tiers = [attributes(one).get("user.tier") for one in [*collector.spans(), *collector.records()]]
    assert tiers == ["gold", "gold", None, None, "gold", None]
    assert not any("other" in attributes(span) for span in collector.spans())
