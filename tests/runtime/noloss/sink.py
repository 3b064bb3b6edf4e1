"""An OTLP/HTTP backend that fails in every way a test asks for, and keeps what it took."""

from __future__ import annotations

import contextlib
import gzip
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR, SO_LINGER, SOL_SOCKET, socket
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ...ports import free_port


@dataclass(frozen=True)
class Answer:
    """What the backend says to a request.

    Attributes
    ----------
    is_taken : bool or None
        Whether it keeps the request; None: by the status, as backends should.
    hang_s : float
        How long it says nothing first.
    is_reset : bool
        It then breaks the connection instead of an answer.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0
    is_reset: bool = False
    is_taken: bool | None = None


OK = Answer()
HANG = Answer(503, hang_s=3600)
RESET = Answer(is_reset=True, is_taken=False)
TAKEN_AND_RESET = Answer(is_reset=True, is_taken=True)


def throttle(retry_after_s: int) -> Answer:
    return Answer(429, {"Retry-After": str(retry_after_s)})


class Sink:
    """The backend.

    Parameters
    ----------
    tls : ssl.SSLContext, optional
        Replace `tls` at any time: later connections see the new one.

    Attributes
    ----------
    answer : callable
        Given the path and the size of a request, what to say.
    replies : Counter
        How often each status was answered; 0: the connection was broken instead.
    hung, failed_handshakes : int
        Requests that were left without an answer, and connections that never came to one.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Callable[[str, int], Answer] = lambda _path, _size: OK
        self.tls = tls
        self.replies: Counter[int] = Counter()
        self.hung = 0
        self.failed_handshakes = 0
        self._taken: list[tuple[str, bytes]] = []
        self._lock = threading.Lock()
        self._open: set[socket] = set()
        self._released = threading.Event()
        self._port = free_port()
        self._server: ThreadingHTTPServer | None = None
        self.listen()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://localhost:{self._port}"

    def listen(self) -> None:
        """Be there, at the same address as ever."""
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", self._port), self._handler())
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def vanish(self) -> None:
        """Be gone: connections break, new ones are refused."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self.break_connections()

    def break_connections(self) -> None:
        """Break what is open, and wake whoever hangs."""
        self._released.set()
        self._released = threading.Event()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(SHUT_RDWR)

    def always(self, answer: Answer) -> None:
        """Say the same to all requests from now on."""
        self.answer = lambda _path, _size: answer
        self.break_connections()

    def span_counts(self) -> Counter[str]:
        """How often each span, by its id in hexadecimal, was taken."""
        with self._lock:
            bodies = [body for path, body in self._taken if path == "/v1/traces"]
        return count_spans(bodies)

    def spans(self) -> Iterator[Any]:
        """All spans that were taken, as protobuf messages."""
        with self._lock:
            bodies = [body for path, body in self._taken if path == "/v1/traces"]
        for body in bodies:
            yield from spans_of(body)

    def close(self) -> None:
        self.vanish()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            request: socket

            def setup(self) -> None:
                if sink.tls is not None:
                    self.request = sink._shake_hands(self.request, sink.tls)
                with sink._lock:
                    sink._open.add(self.request)
                super().setup()

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that gave up, or connections that were broken on purpose
                    super().handle()

            def finish(self) -> None:
                with sink._lock:
                    sink._open.discard(self.request)
                with contextlib.suppress(OSError):
                    super().finish()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                answer = sink.answer(self.path, len(body))
                if answer.hang_s >= HANG.hang_s:
                    sink.hung += 1
                if answer.hang_s and sink._released.wait(answer.hang_s):
                    self.close_connection = True
                    return
                sink._note(self.path, body, answer)
                if answer.is_reset:
                    self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": "0", **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        return Handler

    def _shake_hands(self, connection: socket, tls: ssl.SSLContext) -> socket:
        try:
            return tls.wrap_socket(connection, server_side=True)
        except OSError:
            self.failed_handshakes += 1
            raise

    def _note(self, path: str, body: bytes, answer: Answer) -> None:
        is_taken = answer.status < 300 if answer.is_taken is None else answer.is_taken
        with self._lock:
            self.replies[0 if answer.is_reset else answer.status] += 1
            if is_taken:
                self._taken.append((path, body))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Handshakes that fail are what some tests are about."""


def spans_of(body: bytes) -> Iterator[Any]:
    """The spans of an export request."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def count_spans(bodies: list[bytes]) -> Counter[str]:
    """How often each span, by its id in hexadecimal, is in export requests."""
    return Counter(span.span_id.hex() for body in bodies for span in spans_of(body))
