"""Log lines: the platform's own, in Lambda's words, and files that keep a function's log."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from lambda_local.events import InvocationEnded, LogLine, Outcome, ServiceEvent
from lambda_local.platform_events import billed_ms

_STATUS = {Outcome.ERROR: "error", Outcome.TIMEOUT: "timeout", Outcome.CRASH: "error"}


def start_line(request_id: str) -> str:
    """What Lambda logs before an invocation."""
    return f"START RequestId: {request_id} Version: $LATEST"


def init_report_line(phase: str, status: str, error_type: str | None, duration_ms: float) -> str:
    """What Lambda logs of an init that failed."""
    report = [f"INIT_REPORT Init Duration: {duration_ms:.2f} ms", f"Phase: {phase}", f"Status: {status}"]
    if error_type is not None:
        report.append(f"Error Type: {error_type}")
    return "\t".join(report)


def extension_line(name: str, state: str, events: Sequence[str], error_type: str | None = None) -> str:
    """What Lambda logs of an extension that is ready, or is not."""
    line = ["EXTENSION", f"Name: {name}", f"State: {state}", f"Events: [{','.join(events)}]"]
    if error_type is not None:
        line.append(f"Error Type: {error_type}")
    return "\t".join(line)


def subscription_line(name: str, types: Sequence[str]) -> str:
    """What Lambda logs of a subscription to the Telemetry API."""
    return f"TELEMETRY\tName: {name}\tState: Subscribed\tTypes: [{','.join(kind.title() for kind in types)}]"


def end_lines(ended: InvocationEnded, memory_mb: int) -> tuple[str, str]:
    """What Lambda logs after an invocation."""
    report = [
        f"REPORT RequestId: {ended.request_id}",
        f"Duration: {ended.duration_ms:.2f} ms",
        f"Billed Duration: {billed_ms(ended)} ms",
        f"Memory Size: {memory_mb} MB",
        f"Max Memory Used: {ended.max_memory_mb} MB",
    ]
    if ended.init_duration_ms is not None:
        report.append(f"Init Duration: {ended.init_duration_ms:.2f} ms")
    # An error that the function reported by itself is a normal end to the platform.
    if ended.outcome in (Outcome.TIMEOUT, Outcome.CRASH):
        report += [f"Status: {_STATUS[ended.outcome]}", f"Error Type: {ended.error_type}"]
    return f"END RequestId: {ended.request_id}", "\t".join(report)


class LogFiles:
    """Keeps each function's log in a file of its own; a subscriber.

    Parameters
    ----------
    folder : Path
        Made when it does not exist; `<function>.log` is appended to.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def __call__(self, event: ServiceEvent) -> None:
        """Write the event if it is a log line."""
        if not isinstance(event, LogLine):
            return
        file = self._files.get(event.function)
        if file is None:
            file = (self._folder / f"{event.function}.log").open("a", encoding="utf-8")
            self._files[event.function] = file
        file.write(event.message + "\n")
        file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        self._files.clear()


class LineLog:
    """Turns one environment's output into `LogLine` events and keeps the last of the current invocation.

    Parameters
    ----------
    function, environment_id : str
    publish : callable
    tail_bytes : int
        How much of the current invocation's log `tail` keeps.
    """

    def __init__(
        self, function: str, environment_id: str, publish: Callable[[ServiceEvent], None], tail_bytes: int = 4096
    ) -> None:
        self._function = function
        self._environment_id = environment_id
        self._publish = publish
        self._tail_bytes = tail_bytes
        self._tail = b""
        self._request_id: str | None = None
        self._lock = threading.Lock()

    def begin(self, request_id: str) -> None:
        """Lines belong to this invocation from now on."""
        with self._lock:
            self._request_id, self._tail = request_id, b""

    def end(self) -> None:
        """Lines belong to no invocation from now on."""
        with self._lock:
            self._request_id = None

    def tail(self) -> bytes:
        """The end of the log of the current or the last invocation."""
        return self._tail

    def write(self, message: str, *, is_platform: bool = False, extension: str | None = None) -> None:
        """One line: the function's, the platform's, or an extension's."""
        now = datetime.now(UTC)
        with self._lock:
            if self._request_id is not None:
                self._tail = (self._tail + message.encode() + b"\n")[-self._tail_bytes :]
            line = LogLine(self._function, self._environment_id, self._request_id, message, is_platform, now, extension)
            self._publish(line)
