"""A function under the telemetry layer: it knows nothing of the extension."""

from __future__ import annotations

import os
import time

from opentelemetry import trace


def handler(event: dict[str, str], _context: object) -> str:
    with trace.get_tracer("test").start_as_current_span(event["span"]):
        if event.get("fate") == "crash":
            os._exit(3)
        if event.get("fate") == "hang":
            time.sleep(3600)
    return "done"
