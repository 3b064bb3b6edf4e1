"""When to export: at the end of an invocation, and in between if it is long."""

import logging
from collections.abc import Callable
from time import monotonic

_logger = logging.getLogger("lambda_otel")


class Pace:
    """Says when an export in between is due: a batch is full, or so much time has passed since the last export.

    Who records compares `due_at` with `monotonic()` at every start and end of a span and at every log record, in
    whatever thread. There is no timer and no thread that could wake up in another invocation.

    Parameters
    ----------
    interval_s : float

    Attributes
    ----------
    due_at : float
        In seconds of `monotonic()`.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self.due_at = float("inf")
        self._export: Callable[[], None] | None = None
        self._flush: Callable[[], None] | None = None

    def bind(self, export: Callable[[], None], flush: Callable[[], None]) -> None:
        """Say what to call: for an export in between, and for one that a user's `force_flush` asks for."""
        self._export, self._flush = export, flush

    def begin(self) -> None:
        """An invocation begins, or an export was made: time runs anew."""
        self.due_at = monotonic() + self._interval_s

    def end(self) -> None:
        """No invocation: nothing is due by time."""
        self.due_at = float("inf")

    def export(self) -> None:
        """Export what is there: it is due, or a queue is full. An error is not the caller's, who ends a span."""
        try:
            if self._export:
                self._export()
        except Exception:
            _logger.exception("telemetry was not exported")

    def flush(self) -> None:
        """Export now."""
        try:
            if self._flush:
                self._flush()
        except Exception:
            _logger.exception("telemetry was not exported")
