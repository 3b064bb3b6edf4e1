"""Does what its event says, and tells where it is."""

import os
import sys
import time
from pathlib import Path

from opentelemetry import trace


def handler(event, context):
    print(f"asked to {event['do']}")  # noqa: T201
    with trace.get_tracer("contract").start_as_current_span("work"):
        if event["do"] == "raise":
            raise ValueError("as demanded")
        if event["do"] == "exit":
            os._exit(3)
        if event["do"] == "sleep":
            time.sleep(60)
    return {
        "event": event,
        "name": context.function_name,
        "memory_mb": context.memory_limit_in_mb,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "has_time": 0 < context.get_remaining_time_in_millis() <= 5000,
        "environment": dict(os.environ),
        "path": sys.path,
        "folder": str(Path.cwd()),
        "opt": sorted(str(path) for path in Path("/opt").glob("*")),
        "layer": sorted(path.name for path in Path("/opt/python").iterdir()),
        "is_read_only": [not os.access(folder, os.W_OK) for folder in ("/var/task", "/tmp")],
    }
