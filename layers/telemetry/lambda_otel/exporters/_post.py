"""HTTP for exporters that leave the machine: one kept-alive connection, TLS, and what is tried again for how long.

`http.client` and `ssl` are loaded with this module, which is when an exporter is asked for that needs it.
"""

import gzip
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from random import SystemRandom
from ssl import SSLContext, create_default_context
from time import monotonic, sleep
from typing import NamedTuple
from urllib.parse import urlsplit

_RETRIABLE = (408, 429, 500, 502, 503, 504)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_MAX_BODY_BYTES = 2**20

# not `random`'s own, which is the same in all environments of a function that seeds it: they would come again together
_random = SystemRandom()


class Answer(NamedTuple):
    """How a request ended.

    Attributes
    ----------
    status : int
        0: no answer came.
    body : bytes
    is_final : bool
        Whether the same request would end so again: it was taken, or was refused for what it is.
    reason : str
        For the log.
    """

    status: int
    body: bytes
    is_final: bool
    reason: str

    @property
    def is_taken(self) -> bool:
        """Whether the other side has what was posted."""
        return 200 <= self.status < 300


class Poster:
    """Posts to one URL.

    Parameters
    ----------
    url : str
    headers : mapping
    budget_s : float
        For one post, with all that is tried again, if the call does not say.
    is_compressed : bool
        Whether bodies are sent with gzip.
    retriable : tuple of int
        Statuses after which the same request is sent again.
    tls : SSLContext, optional
        The system's authorities, by default.
    clock, pause : callable
        Seconds, monotonic; and how to wait for some.

    Raises
    ------
    ValueError
        A header cannot be sent. It is not shown: it may be a secret.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        budget_s: float,
        is_compressed: bool = False,
        retriable: tuple[int, ...] = _RETRIABLE,
        tls: SSLContext | None = None,
        clock: Callable[[], float] = monotonic,
        pause: Callable[[float], None] = sleep,
    ) -> None:
        if not all(_is_sendable(f"{name}{value}") for name, value in headers.items()):
            raise ValueError("expected headers of Latin letters, without line ends")
        parts = urlsplit(url)
        self._host, self._port, self._is_tls = parts.hostname or "", parts.port, parts.scheme == "https"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = dict(headers) | ({"Content-Encoding": "gzip"} if is_compressed else {})
        self._budget_s, self._is_compressed, self._retriable = budget_s, is_compressed, retriable
        self._tls, self._clock, self._pause = tls, clock, pause
        self._connection: HTTPConnection | None = None
        self._not_before = 0.0

    def post(self, body: bytes, budget_s: float | None = None) -> Answer:
        """Post, and try again with growing pauses, or those the other side asks for, while there is time.

        Raises nothing; an answer that never came has the status 0.
        """
        until = self._clock() + (self._budget_s if budget_s is None else budget_s)
        data = gzip.compress(body, 6, mtime=0) if self._is_compressed else body
        answer = Answer(0, b"", False, "the other side asked for a pause")
        attempt = 0
        while self._clock() < until and self._wait(self._not_before - self._clock(), until):
            answer, asked_s = self._try(data, until)
            if answer.is_final:
                return answer
            attempt += 1
            longest_s = min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S)
            pause_s = asked_s if asked_s is not None else _random.uniform(longest_s / 2, longest_s)
            # kept for the next post, too, if there is no time left to wait for it in this one
            self._not_before = self._clock() + pause_s if asked_s is not None else 0.0
            if not self._wait(pause_s, until):
                break
        return answer

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _wait(self, pause_s: float, until: float) -> bool:
        """Wait, if there is time for that and a request after it."""
        if pause_s <= 0:
            return True
        if self._clock() + pause_s >= until:
            return False
        self._pause(pause_s)
        return True

    def _try(self, data: bytes, until: float) -> tuple[Answer, float | None]:
        """One request: how it ended, and how long the other side wants not to be asked."""
        is_reused = self._connection is not None
        try:
            return self._request(data, until)
        except (OSError, HTTPException) as error:
            self.close()
            failed = error
        if is_reused and self._clock() < until:  # it was perhaps closed while idle, or frozen
            try:
                return self._request(data, until)
            except (OSError, HTTPException) as error:
                self.close()
                failed = error
        return Answer(0, b"", False, f"{type(failed).__name__}: {failed}"), None

    def _request(self, data: bytes, until: float) -> tuple[Answer, float | None]:
        timeout_s = max(until - self._clock(), 0.01)
        if self._connection is None:
            self._connection = self._connect(timeout_s)
        elif self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        self._connection.request("POST", self._path, data, self._headers)
        response = self._connection.getresponse()
        body = response.read(_MAX_BODY_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        is_final = response.status not in self._retriable
        asked_s = None if is_final else _retry_after_s(response.getheader("Retry-After"))
        return Answer(response.status, body, is_final, f"status {response.status}"), asked_s

    def _connect(self, timeout_s: float) -> HTTPConnection:
        if not self._is_tls:
            return HTTPConnection(self._host, self._port, timeout=timeout_s)
        context = self._tls or _system_tls()
        return HTTPSConnection(self._host, self._port, timeout=timeout_s, context=context)


@cache
def _system_tls() -> SSLContext:
    """Who the system trusts; reading them is 18 ms, once for all exporters."""
    return create_default_context()


def _is_sendable(text: str) -> bool:
    return text.isprintable() and all(ord(letter) < 256 for letter in text)


def _retry_after_s(text: str | None) -> float | None:
    """A pause in seconds; None if none is asked for that can be understood."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
