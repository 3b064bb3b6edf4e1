"""Everything on standard output, one line of JSON an item: to look at, or for what reads a function's log."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from lambda_otel.exporters._plain import plain_points, plain_record, plain_span, to_json

_PLAIN: dict[str, Callable[[Any], Iterable[dict[str, Any]]]] = {
    "traces": lambda spans: map(plain_span, spans),
    "logs": lambda records: map(plain_record, records),
    "metrics": plain_points,
}


class ConsoleExporter:
    """Exporter of one signal to standard output. It prints past `logging`: what it prints is no log record.

    Parameters
    ----------
    signal : str
        `traces`, `metrics` or `logs`.
    """

    def __init__(self, signal: str) -> None:
        self._signal = signal

    def export(self, batch: Any, **_: Any) -> None:
        """Print a batch, at once: lines of two exporters are not mixed."""
        lines = [f'{{"signal":"{self._signal}",{to_json(item)[1:]}\n' for item in _PLAIN[self._signal](batch)]
        sys.stdout.write("".join(lines))
        sys.stdout.flush()
