"""What a function made, what the Collector has, and what the layer says it dropped: the three have to agree."""

import socket
import struct
from collections import Counter

from .conftest import MESSAGES, Collector

# A function that writes down the id of every span while that is open: not even a killed process leaves one out. What a
# fault needs is put in place of `FAULT`.
FUNCTION = """
import logging
import os
import signal
import subprocess
import sys
import time
from opentelemetry import trace

tracer = trace.get_tracer("app")
ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def noted(span):
    context = span.get_span_context()
    if context.is_valid:
        os.write(ledger, context.span_id.to_bytes(8, "big").hex().encode() + b"\\n")
    return span


def steps(count):
    for number in range(count):
        with tracer.start_as_current_span(f"step {number}") as span:
            noted(span)


def fault(event):
    FAULT


def handler(event, context):
    noted(trace.get_current_span())
    steps(3)
    time.sleep(event.get("pause_s", 0) if "ORIG_HANDLER" in os.environ else 0)
    if event.get("is_faulty"):
        with tracer.start_as_current_span("around") as span:
            noted(span)
            fault(event)
    print("handled")
    return {"echo": event}
"""


def function_with(fault="pass", more=""):
    """The function's source, with statements for its faulty invocations, and others at its end."""
    return FUNCTION.replace("FAULT", fault.strip("\n").replace("\n", "\n    ")) + more


class Sink(Collector):
    """A Collector that knows what it has acknowledged; what it stored and did not, it may forget.

    Of further answers it knows `"reset"`: the connection is broken without a word.
    """

    def __init__(self, answers=(), port=0):
        self.acknowledged = []
        super().__init__(answers, port)

    def _answer(self, connection):
        answer, request = (self.answers[0] if self.answers else b"HTTP/1.1 200"), self.requests[-1]
        if answer == "reset":
            self.answers.popleft()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return False
        if isinstance(answer, float) or (isinstance(answer, bytes) and answer.startswith(b"HTTP/1.1 2")):
            self.acknowledged.append(request)
        return super()._answer(connection)

    def messages(self, path):
        return [MESSAGES[path].FromString(body) for where, _, body in self.acknowledged if where == path]

    def span_ids(self):
        return Counter(span.span_id.hex() for span in self.spans())

    def dropped(self, signal="traces"):
        """How many items of a signal the layer counted as dropped, by reason."""
        reasons = Counter()
        for metric in self.metrics():
            for point in metric.sum.data_points if metric.name == "lambda_otel.dropped" else ():
                attributes = {pair.key: pair.value.string_value for pair in point.attributes}
                if attributes["signal"] == signal and point.as_int:
                    reasons[attributes["reason"]] += point.as_int
        return reasons


def outcome(sandbox):
    """What Lambda and whoever reads the function's output see; without times, ids, and the layer's own messages."""
    told = [(mark.kind, mark.body) for mark in sandbox.marks]
    lines = [line.split("\t")[-1] for line in sandbox.output.splitlines()]
    return told, [line for line in lines if not _is_of_the_layer(line)], sandbox.exit_code


def _is_of_the_layer(line):
    return line.startswith(("the Collector at", "LAMBDA_WARNING")) or "lambda_otel" in line
