import threading
from time import monotonic
from types import SimpleNamespace

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

from lambda_otel.export.drops import Drops
from lambda_otel.export.others import OtherExporters
from lambda_otel.plugins import GuardedProcessor


class Collecting:
    def __init__(self, result=None):
        self.batches, self.contexts, self.result = [], [], result

    def export(self, batch):
        self.contexts.append(context_api.get_current())
        self.batches.append(list(batch))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Hanging:
    def __init__(self):
        self.go_on, self.batches = threading.Event(), []

    def export(self, batch):
        self.go_on.wait(10)
        self.batches.append(list(batch))


@pytest.fixture
def drops():
    return Drops()


def others(drops, *exporters, budget_s=5.0, processors=(), max_items=10):
    named = [(f"e{index}", exporter) for index, exporter in enumerate(exporters)]
    return OtherExporters({"traces": named}, processors, drops, budget_s=budget_s, max_items=max_items)


def test_every_exporter_gets_the_same_batch_once(drops):
    first, second = Collecting(), Collecting(SpanExportResult.SUCCESS)
    fan = others(drops, first, second)

    fan.keep("traces", [1, 2])
    fan.keep("traces", [3])
    fan.export()
    fan.export()

    assert first.batches == second.batches == [[1, 2, 3]]
    assert not drops


def test_exporter_that_fails_is_counted_told_once_and_harms_no_other(drops, caplog):
    good = Collecting()
    fan = others(drops, Collecting(RuntimeError("no luck")), Collecting(SpanExportResult.FAILURE), good)

    for _ in range(2):
        fan.keep("traces", [1, 2])
        fan.export()

    assert good.batches == [[1, 2], [1, 2]]
    assert drops.counts() == {("traces", "exporter_failed"): 8}
    assert sorted(record.getMessage() for record in caplog.records) == [
        "exporter `e0` of traces failed: no luck",
        "exporter `e1` of traces failed: it said so itself",
    ]


def test_exporter_that_hangs_is_waited_for_as_long_as_allowed_and_keeps_its_batch(drops):
    slow, good = Hanging(), Collecting()
    fan = others(drops, slow, good, budget_s=0.05)

    fan.keep("traces", [1])
    fan.export()
    fan.keep("traces", [2])
    fan.export()
    assert good.batches == [[1], [2]]
    assert slow.batches == []
    slow.go_on.set()
    fan._batches["traces"][0].wait(monotonic() + 5)

    assert slow.batches == [[1], [2]]
    assert not drops


def test_start_does_not_wait_and_the_next_export_does(drops):
    slow = Hanging()
    fan = others(drops, slow)

    fan.keep("traces", [1])
    fan.start()
    assert slow.batches == []
    fan.keep("traces", [2])
    slow.go_on.set()
    fan.export()

    assert slow.batches == [[1], [2]]


def test_what_waits_for_an_exporter_is_bounded_and_the_rest_counted(drops):
    fan = others(drops, Collecting(), max_items=3)

    fan.keep("traces", [1, 2])
    fan.keep("traces", [3, 4, 5])

    assert drops.counts() == {("traces", "exporter_busy"): 2}


def test_wait_ends_before_the_invocations_time_does(drops):
    slow = Hanging()
    fan = others(drops, slow, budget_s=30.0)
    fan.begin(SimpleNamespace(get_remaining_time_in_millis=lambda: 150))

    fan.keep("traces", [1])
    fan.export()  # would take 10 s

    assert slow.batches == []
    slow.go_on.set()


def test_exports_are_not_traced(drops):
    exporter = Collecting()
    fan = others(drops, exporter)

    fan.keep("traces", [1])
    fan.export()

    (context,) = exporter.contexts
    assert context_api._SUPPRESS_INSTRUMENTATION_KEY in context
    assert context_api._SUPPRESS_HTTP_INSTRUMENTATION_KEY in context


def test_thread_that_cannot_be_had_leaves_the_batch_for_the_next_export(drops, monkeypatch):
    exporter = Collecting()
    fan = others(drops, exporter)
    fan.keep("traces", [1])

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        fan.export()
    assert exporter.batches == []
    fan.export()

    assert exporter.batches == [[1]]


def test_fork_leaves_nothing_behind(drops):
    exporter = Collecting()
    fan = others(drops, exporter)

    fan.keep("traces", [1])
    fan.forget()
    fan.export()

    assert exporter.batches == []


class Keeping(SpanProcessor):
    def __init__(self):
        self.flushed = []

    def force_flush(self, timeout_millis=30000):
        self.flushed.append(timeout_millis)
        return True


def test_processor_that_keeps_spans_is_flushed_and_another_costs_nothing(drops):
    keeping = Keeping()

    fan = others(drops, processors=[GuardedProcessor("k", keeping)], budget_s=1.5)
    fan.export()

    assert keeping.flushed == [1500]
    assert bool(fan)
    assert not others(drops, processors=[GuardedProcessor("p", SpanProcessor())])
