"""Exporters beside the Collector: each gets the same batches, and is answerable for itself only.

They run once an invocation is over, after its response, each in a thread of its own, so that one that hangs holds up
neither the others nor the next invocation for longer than is allowed. One that is not done by then is left to it: it
goes on when the environment is thawed. In a long invocation they are also started in between, and not waited for.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import Any

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    attach,
    set_value,
)

from lambda_otel.export.drops import Drops
from lambda_otel.plugins import GuardedProcessor

_logger = logging.getLogger("lambda_otel")

_MARGIN_S = 0.2  # of the invocation's time, kept for asking for the next event
_LAST_S = 0.15  # when the process is about to be ended


class OtherExporters:
    """All exporters but the Collector's, and span processors that keep spans for an exporter of their own.

    Parameters
    ----------
    exporters : mapping of str to sequence of (str, exporter)
        By signal: names, and exporters of the SDK's interfaces.
    processors : sequence of GuardedProcessor
        Flushed at the same moment.
    drops : Drops
    budget_s : float
        For all of them together.
    max_items : int
        That wait for one exporter, at most.
    """

    def __init__(
        self,
        exporters: Mapping[str, Sequence[tuple[str, Any]]],
        processors: Sequence[GuardedProcessor],
        drops: Drops,
        *,
        budget_s: float,
        max_items: int,
    ) -> None:
        self._budget_s = budget_s
        self._deadline = float("inf")
        self._batches = {
            signal: [_Worker(name, _EXPORTS[signal](exporter), signal, drops, max_items) for name, exporter in own]
            for signal, own in exporters.items()
        }
        self._flushes = [_Flush(processor, budget_s) for processor in processors if processor.is_keeping]

    def __bool__(self) -> bool:
        return bool(self._flushes) or any(self._batches.values())

    def begin(self, context: Any) -> None:
        """An invocation begins: what it leaves of its time bounds the exports after it."""
        remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
        self._deadline = monotonic() + remaining_ms() / 1e3 - _MARGIN_S if callable(remaining_ms) else float("inf")

    def keep(self, signal: str, items: Sequence[Any]) -> None:
        """Have items exported with the next export."""
        for worker in self._batches.get(signal, ()):
            worker.keep(items)

    def export(self, *, is_last: bool = False) -> None:
        """Start all exporters, and wait for them as long as is allowed."""
        workers = [*(worker for own in self._batches.values() for worker in own), *self._flushes]
        until = min(monotonic() + (_LAST_S if is_last else self._budget_s), self._deadline)
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.wait(until)

    def start(self) -> None:
        """Start all exporters that have something to do, in the middle of an invocation."""
        for own in self._batches.values():
            for worker in own:
                worker.start()

    def forget(self) -> None:
        """Drop everything: after a fork it is the parent's, and its threads are not here."""
        for own in self._batches.values():
            for worker in own:
                worker.forget()
        for flush in self._flushes:
            flush.forget()


class _Threaded:
    """Something that is done in a thread, once at a time."""

    def __init__(self) -> None:
        self._thread: Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return False

    def start(self) -> None:
        is_running = self._thread is not None and self._thread.is_alive()
        if is_running or self.is_idle:
            return
        thread = Thread(target=_suppressed, args=(self.run,), name="lambda_otel exporter", daemon=True)
        with suppress(RuntimeError):  # there can be no thread more, for now: what waits goes on waiting
            thread.start()
            self._thread = thread

    def wait(self, until: float) -> None:
        if self._thread is not None:
            self._thread.join(max(0.0, until - monotonic()))

    def forget(self) -> None:
        self._thread = None

    def run(self) -> None:
        """Do what there is to do."""
        raise NotImplementedError


class _Worker(_Threaded):
    """One exporter of one signal, and what waits for it."""

    def __init__(
        self, name: str, export: Callable[[Sequence[Any]], bool], signal: str, drops: Drops, max_items: int
    ) -> None:
        super().__init__()
        self._name, self._export, self._signal, self._drops, self._max_items = name, export, signal, drops, max_items
        self._waiting: deque[Any] = deque()  # its ends may be used by any thread
        self._has_failed = False

    def keep(self, items: Sequence[Any]) -> None:
        room = max(0, self._max_items - len(self._waiting))
        self._waiting.extend(items[:room])
        self._drops.add(self._signal, "exporter_busy", _count(self._signal, items[room:]))

    @property
    def is_idle(self) -> bool:
        return not self._waiting

    def wait(self, until: float) -> None:
        super().wait(until)
        if self._waiting and monotonic() < until:  # they came when the thread had looked for the last time
            self.start()
            super().wait(until)

    def forget(self) -> None:
        super().forget()
        self._waiting = deque()

    def run(self) -> None:
        waiting = self._waiting
        while waiting:
            self._run([waiting.popleft() for _ in range(len(waiting))])

    def _run(self, batch: list[Any]) -> None:
        error = None
        try:
            is_done = self._export(batch)
        except Exception as exc:  # noqa: BLE001  the boundary: code of anybody
            is_done, error = False, exc
        if is_done:
            self._has_failed = False
            return
        self._drops.add(self._signal, "exporter_failed", _count(self._signal, batch))
        if not self._has_failed:
            self._has_failed = True
            _logger.warning("exporter `%s` of %s failed: %s", self._name, self._signal, error or "it said so itself")


class _Flush(_Threaded):
    """One span processor that keeps spans."""

    def __init__(self, processor: GuardedProcessor, budget_s: float) -> None:
        super().__init__()
        self._processor, self._timeout_ms = processor, int(budget_s * 1e3)

    def run(self) -> None:
        self._processor.force_flush(self._timeout_ms)


def _suppressed(job: Callable[[], None]) -> None:
    """Do something without being traced: a request that exports a span must not be one more span to export."""
    attach(set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)))
    job()


def _is_success(result: Any) -> bool:
    # the SDK has an enum of this for every signal, with the same names
    return result is None or getattr(result, "name", "") == "SUCCESS"


def _batch_exporter(exporter: Any) -> Callable[[Sequence[Any]], bool]:
    return lambda batch: _is_success(exporter.export(batch))


def _metrics_exporter(exporter: Any) -> Callable[[Sequence[Any]], bool]:
    def export(batch: Sequence[Any]) -> bool:
        results = [exporter.export(data) for data in batch]  # one that fails keeps none from its turn
        return all(_is_success(result) for result in results)

    return export


def _logs_exporter(exporter: Any) -> Callable[[Sequence[Any]], bool]:
    def export(batch: Sequence[Any]) -> bool:
        from opentelemetry.sdk._logs import ReadableLogRecord

        readable = [
            ReadableLogRecord(record.log_record, record.resource, record.instrumentation_scope, record.limits)
            for record in batch
        ]
        return _is_success(exporter.export(readable))

    return export


_EXPORTS: dict[str, Callable[[Any], Callable[[Sequence[Any]], bool]]] = {
    "traces": _batch_exporter,
    "metrics": _metrics_exporter,
    "logs": _logs_exporter,
}


def _count(signal: str, items: Sequence[Any]) -> int:
    """Spans, log records or data points."""
    if signal != "metrics":
        return len(items)
    from lambda_otel.otlp.metrics import count_points

    return sum(count_points(data) for data in items)
