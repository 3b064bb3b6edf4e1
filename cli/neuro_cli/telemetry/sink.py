"""A small OTLP/HTTP receiver for one machine: protobuf, gzip, the three signals, into files."""

import sys
import zlib
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self

from neuro_cli.telemetry.otlp_files import OtlpFiles, Signal, decode

_HOST = "127.0.0.1"
_PROTOBUF = "application/x-protobuf"
_ENCODINGS = ("", "identity", "gzip")
MAX_BODY_BYTES = 16 * 2**20  # also once it is unpacked
_IDLE_S = 300.0
_SIGNALS = {f"/v1/{signal}": signal for signal in Signal}


class OtlpSink:
    """Receives OTLP on loopback and keeps every request; use it as a context manager.

    A request is answered when it stands in the files; one that cannot be read is refused and counted.

    Parameters
    ----------
    files : OtlpFiles
    port : int
        0: any free one.

    Raises
    ------
    OSError
        The port is taken.
    """

    def __init__(self, files: OtlpFiles, port: int = 0) -> None:
        self._files = files
        self._received: Counter[Signal] = Counter()
        self._refused = 0
        self._lock = Lock()
        self._server = _Server((_HOST, port), self)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="otlp-sink", daemon=True)

    @property
    def url(self) -> str:
        """For `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{_HOST}:{self._server.server_address[1]}"

    @property
    def received(self) -> dict[Signal, int]:
        """Spans, points and records so far, as often as they came."""
        with self._lock:
            return {signal: self._received[signal] for signal in Signal}

    @property
    def refused(self) -> int:
        """Requests that could not be read."""
        return self._refused

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._files.close()

    def take(self, signal: Signal, body: bytes) -> None:
        """Keep a request, as one that comes over HTTP.

        Raises
        ------
        ValueError
            It is no request of this signal.
        OSError
            It cannot be written.
        """
        try:
            message = decode(signal, body)
        except ValueError:
            with self._lock:
                self._refused += 1
            raise
        self._files.append(signal, body)
        with self._lock:
            self._received[signal] += _COUNT[signal](message)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], sink: OtlpSink) -> None:
        super().__init__(address, _Handler)
        self.sink = sink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a sender that went away in the middle; what is wrong with ourselves is told as always."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _RefusalError(Exception):
    """Why a request is not taken, as HTTP says it."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # connections are kept, and requests on them may follow each other unanswered
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece
    timeout = _IDLE_S

    def do_POST(self) -> None:
        """Take one request of a signal."""
        try:
            body = self._body()
            signal = _SIGNALS.get(self.path.partition("?")[0])
            if signal is None:
                raise _RefusalError(HTTPStatus.NOT_FOUND, f"expected one of {', '.join(_SIGNALS)}")
            if self.headers.get("Content-Type", "").partition(";")[0].strip() != _PROTOBUF:
                raise _RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected `{_PROTOBUF}`")
            self.server.sink.take(signal, body)
        except _RefusalError as refusal:
            self._answer(refusal.status, str(refusal))
        except ValueError as error:
            self._answer(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:  # a full disc, say: the sender may try again
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"not stored: {error.strerror or 'unknown'}")
        else:
            self._answer(HTTPStatus.OK)  # an empty message: all of it was taken

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's own name
        """Say nothing: who sends sees the answer."""

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            raise _RefusalError(HTTPStatus.LENGTH_REQUIRED, "expected a `Content-Length`")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # what follows is not read
            raise _RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(length))
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise _RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected `gzip` or no encoding")
        return _unpacked(body) if encoding == "gzip" else body

    def _answer(self, status: HTTPStatus, reason: str = "") -> None:
        content = reason.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8" if reason else _PROTOBUF)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # gzip only
    try:
        content = unpacker.decompress(body, MAX_BODY_BYTES)
    except zlib.error as error:
        raise _RefusalError(HTTPStatus.BAD_REQUEST, "expected gzip, got what is none") from error
    if unpacker.unconsumed_tail:
        raise _RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {MAX_BODY_BYTES} bytes unpacked")
    if not unpacker.eof:
        raise _RefusalError(HTTPStatus.BAD_REQUEST, "expected gzip, got a part of it")
    return content


def _spans(message: Any) -> int:
    return sum(len(scope.spans) for entry in message.resource_spans for scope in entry.scope_spans)


def _records(message: Any) -> int:
    return sum(len(scope.log_records) for entry in message.resource_logs for scope in entry.scope_logs)


def _points(message: Any) -> int:
    metrics = (
        metric for entry in message.resource_metrics for scope in entry.scope_metrics for metric in scope.metrics
    )
    return sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics if _has_data(metric))


def _has_data(metric: Any) -> bool:
    return metric.WhichOneof("data") is not None


_COUNT: dict[Signal, Callable[[Any], int]] = {
    Signal.TRACES: _spans,
    Signal.METRICS: _points,
    Signal.LOGS: _records,
}
