"""A function that makes spans, says so in a journal outside its environment, and ends as its event wants it to."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry import trace

from lambda_otel.export.channel import Channel

_journal: socket.socket | None = None


def note(state: str, *spans: trace.Span) -> None:
    """One line in the journal about spans of ours."""
    write(state, [trace.format_span_id(span.get_span_context().span_id) for span in spans])


def write(state: str, ids: list[str]) -> None:
    """One line in the journal. What was written is there even if this process is killed right after."""
    global _journal  # noqa: PLW0603
    if _journal is None:
        _journal = socket.create_connection(("127.0.0.1", int(os.environ["JOURNAL_PORT"])))
        _journal.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line = {"state": state, "spans": ids, "function": os.environ["AWS_LAMBDA_FUNCTION_NAME"]}
    _journal.sendall(json.dumps(line).encode() + b"\n")


def values(message: bytes, wanted: int) -> Iterator[bytes]:
    """The length-delimited fields of a number in a message that holds no other kinds but fixed ones and varints."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 2:
            size, at = varint(message, at)
            if tag >> 3 == wanted:
                yield message[at : at + size]
            at += size
        elif kind == 0:
            _, at = varint(message, at)
        else:
            at += {1: 8, 5: 4}[kind]


def varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte, at = message[at], at + 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def witness_acknowledgements() -> None:
    """Have the journal told of every span, open ones too, whose request the Collector has answered with 200."""
    conclude = Channel._conclude

    def witnessed(channel: Channel, request: Any, status: int, body: bytes) -> None:
        head, _, content = request.data.partition(b"\r\n\r\n")
        if status == 200 and head.startswith(b"POST /v1/traces "):
            spans = (s for r in values(content, 1) for scope in values(r, 2) for s in values(scope, 2))
            write("acknowledged", [next(values(span, 2)).hex() for span in spans])
        conclude(channel, request, status, body)

    Channel._conclude = witnessed


witness_acknowledgements()


def burn(cpu_ms: float) -> None:
    """Compute for some milliseconds of CPU."""
    end = time.process_time() + cpu_ms / 1000
    while time.process_time() < end:
        sum(range(200))


def make(count: int, name: str, cpu_ms: float) -> None:
    """Make spans, and end them."""
    for number in range(count):
        with trace.get_tracer("maker").start_as_current_span(f"{name}-{number}") as span:
            note("begun", span)
            span.set_attribute("filler", "x" * 100)
            burn(cpu_ms)
        note("ended", span)


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    root = trace.get_current_span()
    note("begun", root)
    make(event.get("spans", 3), "span", event.get("cpu_ms", 0))
    time.sleep(event.get("sleep_ms", 0) / 1000)
    if "fate" in event:
        trace.get_tracer_provider().force_flush()
        time.sleep(0.05)
        trace.get_tracer_provider().force_flush()  # reads the answers to the first
        make(2, "late", 0)
        with trace.get_tracer("maker").start_as_current_span("open") as span:
            note("begun", span)
            note("doomed")
            meet(event["fate"])
    note("returned", root)
    return {"cpu_s": time.process_time()}


def meet(fate: str) -> None:
    """End in one of the ways in which functions end before they return."""
    if fate == "exit":
        os._exit(3)
    if fate == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    hoard = []
    while fate == "oom":
        hoard.append(b"\1" * 2**24)
        time.sleep(0.02)
    time.sleep(3600)
