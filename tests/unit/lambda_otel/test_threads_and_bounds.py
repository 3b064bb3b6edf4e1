"""What several threads share, and what must not grow."""

import logging
import os
import threading

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import StatusCode

from lambda_otel.export.drops import Drops
from lambda_otel.export.pace import Pace
from lambda_otel.logs import LazyLoggerProvider, LogHandler, LogQueue
from lambda_otel.metrics import LazyMeterProvider
from lambda_otel.settings import Settings
from lambda_otel.spans import SpanQueue
from lambda_otel.telemetry import _sizes
from lambda_otel.tracer import LambdaTracerProvider


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def log_queue(drops):
    return LogQueue(drops, Pace(5.0), batch_size=100_000, max_size=100_000)


@pytest.fixture
def log(log_queue):
    logger = logging.Logger("alone", 1)
    logger.addHandler(LogHandler(LazyLoggerProvider(log_queue, Resource({})), log_queue))
    return logger


@pytest.fixture
def span_queue(drops):
    return SpanQueue(drops, Pace(5.0), batch_size=100, max_size=100)


@pytest.fixture
def tracer(span_queue):
    provider = LambdaTracerProvider(resource=Resource({}), shutdown_on_exit=False, active_span_processor=span_queue)
    return provider.get_tracer("t")


def in_threads(count, function):
    threads = [threading.Thread(target=function) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)


def test_record_of_another_thread_is_kept_while_an_export_takes_records(log, log_queue, monkeypatch):
    translate = LogHandler._translate

    def translate_while_another_logs(self, printed):
        if printed.message == "own":
            in_threads(1, lambda: log.info("other"))
        return translate(self, printed)

    monkeypatch.setattr(LogHandler, "_translate", translate_while_another_logs)
    log.info("own")

    at_once, later = log_queue.take(), log_queue.take()

    assert [record.log_record.body for record in at_once] == ["own"]
    assert [record.log_record.body for record in later] == ["other"]


def test_meters_that_threads_ask_for_at_once_are_all_read():
    meters = LazyMeterProvider(Settings({}), Resource({}), Pace(5.0))
    together = threading.Barrier(8)

    def work():
        together.wait(5)
        meters.get_meter("m").create_counter("c").add(1)

    in_threads(8, work)

    (metric,) = meters.take().resource_metrics[0].scope_metrics[0].metrics
    assert sum(point.value for point in metric.data.data_points) == 8


def test_long_messages_that_nobody_takes_are_bounded_and_counted(log, log_queue, drops):
    for _ in range(100):
        log.info("x" * 100_000)

    assert sum(len(record.log_record.body) for record in log_queue.take()) <= 4 * 2**20
    assert drops.counts() == {("logs", "queue_full"): 100 - 41}
    log.info("y" * 100_000)
    assert len(log_queue.take()) == 1


@pytest.mark.parametrize(("batch", "queue", "expected"), [("512", "100", 100), ("10", "100", 10)])
def test_batch_is_never_larger_than_the_queue(batch, queue, expected):
    env = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": batch, "OTEL_BSP_MAX_QUEUE_SIZE": queue}

    assert _sizes(Settings(env), "OTEL_BSP") == {"batch_size": expected, "max_size": 100}


def test_spans_that_are_never_ended_are_bounded(span_queue, tracer):
    first = tracer.start_span("first")
    for _ in range(1000):
        tracer.start_span("forgotten")

    assert len(span_queue.take_open(1000)) == 100
    assert [span.name for span in span_queue.take_open(2)] == ["first", "forgotten"]
    first.end()  # late, and yet
    assert [span.name for span in span_queue.take()] == ["first"]


def test_span_that_was_cut_off_is_not_sent_again_when_it_ends(span_queue, tracer):
    with tracer.start_as_current_span("open"):
        span_queue.cut_off()
    tracer.start_span("later").end()

    assert [(span.name, span.status.status_code) for span in span_queue.take()] == [
        ("open", StatusCode.ERROR),
        ("later", StatusCode.UNSET),
    ]


def test_spans_of_the_parent_are_not_sent_by_a_forked_child(span_queue, tracer):
    ours, theirs = os.pipe()
    with tracer.start_as_current_span("parent's"):
        child = os.fork()
        if child == 0:
            span_queue.forget()  # as after every fork
            tracer.start_span("child's").end()
    if child == 0:
        os.write(theirs, ",".join(span.name for span in span_queue.take()).encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(ours, 100) == b"child's"
    assert [span.name for span in span_queue.take()] == ["parent's"]


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError("no message")


def test_error_that_cannot_tell_its_message_goes_through_a_span_as_it_is(span_queue, tracer):
    with pytest.raises(MuteError), tracer.start_as_current_span("work"):
        raise MuteError

    (span,) = span_queue.take()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "MuteError")


def test_logger_beside_the_root_does_not_reach_us(log_queue, monkeypatch):
    monkeypatch.setattr(logging.Logger, "callHandlers", logging.Logger.callHandlers)
    LogHandler(LazyLoggerProvider(log_queue, Resource({})), log_queue).attach()
    apart = logging.getLogger("test.apart")
    monkeypatch.setattr(apart, "propagate", False)

    logging.Logger("alone").error("alone")
    apart.error("apart")
    logging.getLogger("test.below").error("below")
    logging.getLogger().error("root")

    assert [record.log_record.body for record in log_queue.take()] == ["below", "root"]
