"""Makes a span, and answers, raises, hangs or ends."""

import os
import time

from opentelemetry import trace

going_on = []


def handler(event, context):
    while going_on:
        going_on.pop().end()
    with trace.get_tracer("test").start_as_current_span(event["span"]):
        if event.get("do") == "hang":
            time.sleep(60)
        if event.get("do") == "exit":
            os._exit(3)
        if event.get("do") == "raise":
            going_on.append(trace.get_tracer("test").start_span("going on"))
            raise ValueError(event["span"])
    return "done"
