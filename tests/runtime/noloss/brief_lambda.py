"""Lambda for one extension and one moment. It has no Telemetry API, as emulators have none."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class BriefLambda:
    """The Extensions API, for an environment that ends without an invocation.

    Attributes
    ----------
    is_waiting : threading.Event
        The extension asks for an event: it is ready.
    is_over : threading.Event
        Set it to end the environment.
    """

    def __init__(self) -> None:
        self.is_waiting = threading.Event()
        self.is_over = threading.Event()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._reply(200, {"functionName": "f", "functionVersion": "1", "handler": "app.handler"})

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self._reply(202, {})

            def do_GET(self) -> None:
                platform.is_waiting.set()
                if platform.is_over.wait(30):
                    deadline_ms = int((time.time() + 2) * 1000)
                    self._reply(200, {"eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": deadline_ms})

            def _reply(self, status: int, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Lambda-Extension-Identifier", "an-identifier")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()
