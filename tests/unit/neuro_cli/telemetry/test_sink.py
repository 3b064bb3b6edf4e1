import gzip
import http.client
import re
import socket
import struct
import threading
import time
import zlib

import pytest

from neuro_cli.telemetry import sink as sink_module
from neuro_cli.telemetry.otlp_files import OtlpFiles, Signal, read_requests
from neuro_cli.telemetry.sink import OtlpSink

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def sink(tmp_path):
    with OtlpSink(OtlpFiles(tmp_path)) as sink:
        yield sink


@pytest.fixture
def connection(sink):
    connection = http.client.HTTPConnection("127.0.0.1", int(sink.url.rpartition(":")[2]), timeout=10)
    yield connection
    connection.close()


def ask(connection, path, body, headers=PROTOBUF, method="POST"):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_every_signal_is_taken_and_counted(sink, connection, tmp_path, writer, make):
    metrics = writer().metrics(make["total"]("a", 1), make["gauge"]("b", 2.0), lambda metric: None)
    assert ask(connection, "/v1/traces", writer().span("x", "1", 0, 1)) == (200, b"")
    assert ask(connection, "/v1/metrics", metrics) == (200, b"")
    assert ask(connection, "/v1/logs", writer().log("line", 0)) == (200, b"")
    assert sink.received == {Signal.TRACES: 1, Signal.METRICS: 2, Signal.LOGS: 1}
    assert [len(list(read_requests(tmp_path, signal))) for signal in Signal] == [1, 1, 1]


def test_empty_request_is_one(sink, connection):
    """The telemetry layer ends an invocation with one if it has nothing to send."""
    assert ask(connection, "/v1/traces", b"")[0] == 200
    assert sink.received[Signal.TRACES] == 0


def test_gzip_is_unpacked(sink, connection, writer):
    body = gzip.compress(writer().span("x", "1", 0, 1))
    assert ask(connection, "/v1/traces", body, PROTOBUF | {"Content-Encoding": "gzip"})[0] == 200
    assert sink.received[Signal.TRACES] == 1


@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"x" * 100)[:-12], zlib.compress(b"x")])
def test_broken_gzip_is_a_bad_request(connection, body):
    status, reason = ask(connection, "/v1/traces", body, PROTOBUF | {"Content-Encoding": "gzip"})
    assert (status, reason[:13]) == (400, b"expected gzip")


def test_malformed_body_is_refused_counted_and_not_kept(sink, connection, tmp_path, writer):
    status, reason = ask(connection, "/v1/metrics", b"\xff\xff\xff")
    assert (status, reason) == (400, b"expected an OTLP request for metrics, got 3 bytes that are none")
    assert sink.refused == 1
    assert list(read_requests(tmp_path, Signal.METRICS)) == []
    assert ask(connection, "/v1/traces", writer().span("x", "1", 0, 1))[0] == 200  # on the same connection


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/profiles", PROTOBUF, 404),
        ("/", PROTOBUF, 404),
        ("/v1/traces", {"Content-Type": "application/json"}, 415),
        ("/v1/traces", PROTOBUF | {"Content-Encoding": "zstd"}, 415),
        ("/v1/traces", PROTOBUF | {"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_what_is_not_otlp_is_refused_with_its_reason(connection, path, headers, status):
    body = iter([b"x"]) if status == 411 else b""
    got, reason = ask(connection, path, body, headers)
    assert got == status
    assert reason.startswith(b"expected")


def test_other_methods_are_refused(connection):
    assert ask(connection, "/v1/traces", None, {}, "GET")[0] == 501


def test_bodies_are_bounded_packed_and_unpacked(connection, monkeypatch):
    monkeypatch.setattr(sink_module, "MAX_BODY_BYTES", 1000)
    packed = gzip.compress(b"\0" * 100_000)
    assert len(packed) < 1000
    assert ask(connection, "/v1/traces", packed, PROTOBUF | {"Content-Encoding": "gzip"})[0] == 413
    assert ask(connection, "/v1/traces", b"\0" * 1001)[0] == 413


def test_pipelined_requests_are_answered_in_order(sink, writer):
    good, bad = writer().span("x", "1", 0, 1), b"\xff\xff\xff"
    head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n"
    requests = b"".join(head.format(len(body)).encode() + body for body in (good, bad, good))
    with socket.create_connection(("127.0.0.1", int(sink.url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(requests)
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"400", b"200"]


def test_what_cannot_be_stored_may_be_sent_again(sink, connection, writer, monkeypatch):
    def full(self, signal, body):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OtlpFiles, "append", full)
    assert ask(connection, "/v1/traces", writer().span("x", "1", 0, 1)) == (503, b"not stored: No space left on device")
    assert sink.received[Signal.TRACES] == 0


def test_taken_port_is_told(sink, tmp_path):
    with pytest.raises(OSError, match="in use"):
        OtlpSink(OtlpFiles(tmp_path / "other"), int(sink.url.rpartition(":")[2]))


def test_sink_ends_though_a_connection_stays_open(tmp_path):
    with OtlpSink(OtlpFiles(tmp_path)) as sink:
        connection = http.client.HTTPConnection("127.0.0.1", int(sink.url.rpartition(":")[2]), timeout=10)
        assert ask(connection, "/v1/traces", b"")[0] == 200
    assert "otlp-sink" not in {thread.name for thread in threading.enumerate()}
    connection.close()


def test_sender_that_is_killed_in_the_middle_makes_no_noise(sink, capfd, writer, connection):
    linger = struct.pack("ii", 1, 0)  # close with a reset, as the end of a process with unread answers does
    with socket.create_connection(("127.0.0.1", int(sink.url.rpartition(":")[2])), timeout=10) as broken:
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        broken.sendall(
            b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\nx"
        )
        time.sleep(0.1)
    time.sleep(0.1)
    assert ask(connection, "/v1/traces", writer().span("x", "1", 0, 1))[0] == 200
    assert capfd.readouterr().err == ""
