"""What the platform says of an environment: once in the log, once more for the subscribers of its Telemetry API."""

import json
from contextlib import suppress
from typing import Any

from lambda_local import log, platform_events
from lambda_local.jobs import Failure
from lambda_local.platform_events import telemetry_event
from lambda_local.resources import FunctionSpec
from lambda_local.telemetry_api import TelemetryFeed


class Reporter:
    """Tells the log and the subscribers.

    Parameters
    ----------
    function : FunctionSpec
    lines : LineLog
    feed : TelemetryFeed
    """

    def __init__(self, function: FunctionSpec, lines: log.LineLog, feed: TelemetryFeed) -> None:
        self._is_json = function.environment.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
        self._log = lines
        self._feed = feed

    def init_report(self, phase: str, failure: Failure | None, duration_ms: float) -> None:
        """An init has ended; only one that failed is a line in the log."""
        status, error_type = ("success", None) if failure is None else (failure.status, failure.error_type)
        if failure is not None:
            self._log.write(log.init_report_line(phase, status, error_type, duration_ms), is_platform=True)
        self._feed.add(platform_events.init_report(phase, status, error_type, duration_ms))

    def function_line(self, line: str) -> None:
        """A line of the function's."""
        self._log.write(line)
        self._feed.add(telemetry_event("function", self._content(line)))

    def extension_line(self, name: str, line: str) -> None:
        """A line of an extension's."""
        self._log.write(line, extension=name)
        self._feed.add(telemetry_event("extension", line))

    def subscribed(self, name: str, types: tuple[str, ...]) -> None:
        """An extension has subscribed to the Telemetry API."""
        self._log.write(log.subscription_line(name, types), is_platform=True)
        self._feed.add(platform_events.telemetry_subscription(name, types))

    def extension_state(self, name: str, state: str, events: tuple[str, ...], error_type: str | None = None) -> None:
        """An extension is ready, or cannot be."""
        self._log.write(log.extension_line(name, state, events, error_type), is_platform=True)
        self._feed.add(platform_events.extension_state(name, state, events, error_type))

    def _content(self, line: str) -> Any:
        """A line as the Telemetry API has it: an object if the function logs in JSON."""
        if self._is_json:
            with suppress(ValueError):
                content = json.loads(line)
                return content if isinstance(content, dict) else line
        return line
