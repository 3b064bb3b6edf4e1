import io
import json
import logging

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.logs import LazyLoggerProvider, LogHandler, LogQueue, keep_printed_lines


class JsonFormatter(logging.Formatter):
    calls = 0

    def format(self, record):
        JsonFormatter.calls += 1
        return json.dumps({"message": record.getMessage(), "n": JsonFormatter.calls}) + "\n"


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def queue(drops):
    return LogQueue(drops, Pace(5.0), batch_size=512, max_size=5)


@pytest.fixture
def log(queue, monkeypatch):
    monkeypatch.setattr(logging.Handler, "format", logging.Handler.format)
    keep_printed_lines()
    logger = logging.getLogger("test.lambda_otel")
    handler = LogHandler(LazyLoggerProvider(queue, Resource({})), queue)
    logger.addHandler(handler)
    logger.setLevel(1)
    logger.propagate = False
    yield logger
    for one in list(logger.handlers):
        logger.removeHandler(one)


def taken(queue):
    return [one.log_record for one in queue.take()]


def test_record_has_message_severity_place_and_extra(log, queue):
    log.warning("did %d", 3, extra={"order": 7, "odd": {1}})

    (record,) = taken(queue)
    assert (record.body, record.severity_text, record.severity_number) == ("did 3", "WARN", SeverityNumber.WARN)
    assert record.attributes["code.function.name"] == "test_record_has_message_severity_place_and_extra"
    assert (record.attributes["order"], record.attributes["odd"]) == (7, "{1}")
    assert set(record.attributes) == {"code.file.path", "code.function.name", "code.line.number", "order", "odd"}


def test_record_belongs_to_the_span_it_was_made_in(log, queue):
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    with tracer.start_as_current_span("s") as span:
        log.info("within")
    log.info("outside")

    within, outside = taken(queue)
    assert within.span_id == span.get_span_context().span_id
    assert outside.span_id == 0


def test_message_is_what_it_was_when_it_was_logged(log, queue):
    items = [1]
    log.info("items %s", items)
    items.append(2)

    assert taken(queue)[0].body == "items [1]"


def test_exception_is_told_by_type_message_and_trace(log, queue):
    try:
        raise ValueError("no luck")
    except ValueError:
        log.exception("failed")

    (record,) = taken(queue)
    assert record.attributes["exception.type"] == "ValueError"
    assert record.attributes["exception.message"] == "no luck"
    assert "test_logs.py" in record.attributes["exception.stacktrace"]


def test_printed_json_line_is_the_body_and_is_made_once(log, queue):
    stream = io.StringIO()
    printing = logging.StreamHandler(stream)
    printing.setFormatter(JsonFormatter())
    log.addHandler(printing)
    JsonFormatter.calls = 0

    log.info("hello", extra={"order": 7})

    (record,) = taken(queue)
    assert record.body == stream.getvalue().strip() == '{"message": "hello", "n": 1}'
    assert "order" not in record.attributes


def test_text_line_is_not_the_body(log, queue):
    printing = logging.StreamHandler(io.StringIO())
    printing.setFormatter(type("Own", (logging.Formatter,), {})("%(levelname)s %(message)s"))
    log.addHandler(printing)

    log.info("hello")

    assert taken(queue)[0].body == "hello"


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (5, SeverityNumber.TRACE, "Level 5"),
        (10, SeverityNumber.DEBUG, "DEBUG"),
        (20, SeverityNumber.INFO, "INFO"),
        (22, SeverityNumber.INFO3, "Level 22"),
        (29, SeverityNumber.INFO4, "Level 29"),
        (40, SeverityNumber.ERROR, "ERROR"),
        (50, SeverityNumber.FATAL, "FATAL"),
        (1000, SeverityNumber.FATAL4, "Level 1000"),
    ],
)
def test_severity_follows_the_level(log, queue, level, number, text):
    log.log(level, "x")

    (record,) = taken(queue)
    assert (record.severity_number, record.severity_text) == (number, text)


def test_queue_that_is_full_drops_and_counts(log, queue, drops):
    for number in range(7):
        log.info("%d", number)

    assert [record.body for record in taken(queue)] == list("01234")
    assert drops.counts() == {("logs", "queue_full"): 2}


def test_warnings_of_the_sdk_about_a_record_make_no_records(log, queue, monkeypatch):
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
    own = logging.getLogger("opentelemetry.attributes")
    own.addHandler(log.handlers[0])
    try:
        log.info("x", extra={"long": "abcdef"})
        records = taken(queue)
    finally:
        own.removeHandler(log.handlers[0])

    assert [record.body for record in records] == ["x"]
    assert records[0].attributes["long"] == "abc"
    assert taken(queue) == []


def test_records_by_the_api_and_by_logging_leave_together(log, queue):
    provider = LazyLoggerProvider(queue, Resource({}))
    provider.get_logger("api").emit(body="by the API", event_name="e")
    log.info("by logging")

    assert sorted(record.body for record in taken(queue)) == ["by logging", "by the API"]


def test_making_the_provider_starts_no_thread(queue, monkeypatch):
    from opentelemetry.sdk import resources

    provider = LazyLoggerProvider(queue, Resource({"own": 1}))
    before = vars(resources.Resource)["create"]

    assert provider.load()._resource.attributes == {"own": 1}
    assert vars(resources.Resource)["create"] is before
