"""Makes a span, and answers, hangs or ends."""

import os
import time

from opentelemetry import trace


def handler(event, context):
    with trace.get_tracer("test").start_as_current_span(event["span"]):
        if event.get("do") == "hang":
            time.sleep(60)
        if event.get("do") == "exit":
            os._exit(3)
    return "done"
