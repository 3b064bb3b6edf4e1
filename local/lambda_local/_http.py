"""The small threaded HTTP server beneath the S3 endpoint, the Lambda API and the runtime APIs."""

import json
import logging
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

_logger = logging.getLogger(__name__)


class StoppableServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread a connection; `stop` ends all of them, the idle kept-alive ones too.

    Parameters
    ----------
    handler : type of BaseHTTPRequestHandler
    host : str
    port : int
        0: any free one.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1", port: int = 0) -> None:
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        self._is_stopping = False
        super().__init__((host, port), handler)
        self._thread = threading.Thread(target=self._serve, name=f"http-{self.address}", daemon=True)

    @property
    def address(self) -> str:
        """`host:port`."""
        host, port = self.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Serve, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more and cut every connection; a server that was never started is closed."""
        self._is_stopping = True
        if self._thread.ident is None:
            self.server_close()
            return
        # A shut socket is always ready to be accepted from, which wakes the serving thread.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self._thread.join(timeout=5)
        self.server_close()
        with self._connections_lock:
            connections = tuple(self._connections)
        for connection in connections:
            cut(connection)

    def _serve(self) -> None:
        self.serve_forever(poll_interval=3600)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection while it is served."""
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and end it: in an orderly way, unless it was marked by `reset_at_close`."""
        with self._connections_lock:
            self._connections.discard(request)
        if struct.unpack("ii", request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))[0]:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log an error of a request; that a client went away is none."""
        if not self._is_stopping and not isinstance(sys.exception(), ConnectionError):
            _logger.exception("a request from %s failed", client_address)


class Handler(BaseHTTPRequestHandler):
    """One kept-alive connection; subclasses answer in `handle_request`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Status, headers and a small body leave in one segment.
    wbufsize = 64 * 1024

    def handle_request(self) -> None:
        """Answer the request that has just been read up to its body."""
        raise NotImplementedError

    def _dispatch(self) -> None:
        self.handle_request()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _dispatch  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

    def handle_expect_100(self) -> bool:
        """Tell a client that it may send its body."""
        is_welcome = super().handle_expect_100()
        self.wfile.flush()
        return is_welcome

    def read_body(self) -> bytes:
        """The body of the request.

        Raises
        ------
        ConnectionError
            The client went away before it had sent all.
        """
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self._read_exactly(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0] or b"", 16):
            yield self._read_exactly(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):  # trailers
            pass

    def _read_exactly(self, length: int) -> bytes:
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError(f"expected {length} bytes, but only {len(data)} came")
        return data

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response; its length is that of the body, unless a header says otherwise."""
        self.send_response_only(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204 and "content-length" not in {name.lower() for name in headers or ()}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def reply_json(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """Send JSON."""
        self.reply(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})


def reset_at_close(connection: socket.socket) -> None:
    """Let a connection end in a reset, as if the other side's machine had gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut(connection: socket.socket) -> None:
    """End a connection at once, whatever its thread is doing with it."""
    with suppress(OSError):  # it may have ended by itself
        connection.shutdown(socket.SHUT_RDWR)
