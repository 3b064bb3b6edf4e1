"""The instruments of these proofs are themselves proved: they see what is missing, and a sink fails as it is told."""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import time
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .journal import Journal
from .reconcile import balance, read_bundle
from .sink import HANG, OK, RESET, TAKEN_AND_RESET, Answer, Sink, throttle


def request(*spans: bytes) -> bytes:
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for span in spans:
        scope.spans.add(span_id=span.ljust(8, b"\0"))
    return message.SerializeToString()


def post(sink: Sink, body: bytes, timeout_s: float = 5.0, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    url = urlsplit(sink.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    extra = {"context": context} if context else {}
    connection = kind(str(url.hostname), url.port, timeout=timeout_s, **extra)
    try:
        connection.request("POST", "/v1/traces", gzip.compress(body), {"Content-Encoding": "gzip"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("Retry-After", "")
    finally:
        connection.close()


def test_balance_tells_missing_repeated_and_at_risk():
    found = balance(promised=["a", "b", "c"], made=["a", "b", "c", "d", "e"], arrived={"a": 1, "c": 3, "e": 1, "x": 1})

    assert found.missing == {"b"}
    assert (found.promised, found.at_risk, found.survived, found.repeated) == (3, 2, 1, 1)
    assert (
        str(found) == "3 promised, 1 missing, 1 came more than once; 2 never handed over, 1 of these came all the same"
    )


def test_bundle_is_taken_apart():
    long = b"x" * 300
    content = gzip.compress(b"\x0a\x03one\x1a\xac\x02" + long + b"\x0a\x00")

    assert read_bundle(content) == {1: [b"one", b""], 3: [long]}


def test_sink_takes_and_counts_spans(sink):
    assert post(sink, request(b"a", b"b"))[0] == 200
    post(sink, request(b"b"))

    assert sink.span_counts() == {b"a".ljust(8, b"\0").hex(): 1, b"b".ljust(8, b"\0").hex(): 2}


def test_sink_takes_only_what_it_answers_well(sink):
    sink.always(throttle(7))
    assert post(sink, request(b"a")) == (429, "7")
    sink.always(Answer(500))
    assert post(sink, request(b"a"))[0] == 500
    sink.always(RESET)
    with pytest.raises(ConnectionError):
        post(sink, request(b"a"))
    assert not sink.span_counts()

    sink.always(TAKEN_AND_RESET)
    with pytest.raises(ConnectionError):
        post(sink, request(b"a"))
    assert sum(sink.span_counts().values()) == 1


def test_sink_hangs_until_it_is_told_otherwise(sink):
    sink.always(HANG)
    with pytest.raises(TimeoutError):
        post(sink, request(b"a"), timeout_s=0.2)
    sink.always(OK)
    assert post(sink, request(b"a"))[0] == 200


def test_sink_vanishes_and_comes_back_at_its_address(sink):
    url = sink.url
    sink.vanish()
    with pytest.raises(ConnectionRefusedError):
        post(sink, request(b"a"))
    sink.listen()

    assert sink.url == url
    assert post(sink, request(b"a"))[0] == 200


def test_sink_shows_another_certificate(certificates):
    trusting = ssl.create_default_context(cafile=str(certificates.ca))
    sink = Sink(certificates.context("wrong"))
    try:
        with pytest.raises(ssl.SSLCertVerificationError):
            post(sink, request(b"a"), context=trusting)
        sink.tls = certificates.context("right")
        assert post(sink, request(b"a"), context=trusting)[0] == 200
    finally:
        sink.close()


def test_journal_keeps_what_was_sent_before_the_end(journal: Journal):
    with socket.create_connection(("127.0.0.1", journal.port)) as connection:
        connection.sendall(b'{"state": "begun", "spans": ["a", "b"]}\n{"state": "ended", "spans": ["a"]}\n')
    journal.await_count("ended", 1)

    assert (journal.spans("begun"), journal.spans("ended")) == ({"a", "b"}, {"a"})
    began = time.monotonic()
    with pytest.raises(AssertionError, match="2 lines of `ended`"):
        journal.await_count("ended", 2, timeout_s=0.1)
    assert time.monotonic() - began < 2
