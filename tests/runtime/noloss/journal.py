"""What the functions say they made, kept outside their environments."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any


class Journal:
    """Lines that functions write over loopback; a function that is killed has written what it sent."""

    def __init__(self) -> None:
        self._lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        journal = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    with journal._changed:
                        journal._lines.append(json.loads(line))
                        journal._changed.notify_all()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def lines(self, state: str) -> list[dict[str, Any]]:
        with self._changed:
            return [line for line in self._lines if line["state"] == state]

    def spans(self, state: str) -> set[str]:
        """Ids of spans, in hexadecimal, that were once in a state: `begun`, `ended`, `acknowledged` or `returned`."""
        return {span for line in self.lines(state) for span in line["spans"]}

    def await_count(self, state: str, count: int, timeout_s: float = 20.0) -> None:
        """Wait until so many lines of a state are there."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while Counter(line["state"] for line in self._lines)[state] < count:
                if not self._changed.wait(end - time.monotonic()):
                    raise AssertionError(f"{count} lines of `{state}` were expected within {timeout_s} s")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def await_true(claim: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait until something holds."""
    end = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < end, f"{what} was expected within {timeout_s} s"
        time.sleep(0.02)
