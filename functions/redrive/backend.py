"""An OTLP/HTTP backend, and what each of its answers means for a request."""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cache
from typing import Any

import urllib3

from redrive.settings import Target, target
from redrive.wire import Signal, WireError, fields, read_partial_success

_CONNECT_TIMEOUT_S = 3.0
_MAX_REPLY_BYTES = 64 * 1024
_MAX_REASON_CHARS = 200
_MAX_RETRY_AFTER_S = 3600.0

_TOO_LARGE = 413
_BUSY = frozenset({429, 503})
# What is wrong with these is the address or the key: the same telemetry is welcome once that is put right.
_MISCONFIGURED = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405, 407})
_LATER = frozenset({408, 425})


class Verdict(Enum):
    """What an answer means for a request."""

    DELIVERED = "delivered"
    LATER = "later"  # the backend failed on this one; another may succeed
    UNAVAILABLE = "unavailable"  # the backend takes nothing at the moment
    MISCONFIGURED = "misconfigured"
    TOO_LARGE = "too_large"
    REFUSED = "refused"


@dataclass(frozen=True)
class Answer:
    """What a backend said.

    Attributes
    ----------
    verdict : Verdict
    reason : str
        Status, and the backend's own words, shortened.
    retry_after_s : float
        What it asked for; 0 if nothing.
    rejected_count : int
        Spans, points or records that it left out of a request that it took.
    """

    verdict: Verdict
    reason: str = ""
    retry_after_s: float = 0.0
    rejected_count: int = 0


class Backend:
    """Posts OTLP requests. A failure is an answer, never an exception."""

    def __init__(self, to: Target, clock: Callable[[], float] = time.time) -> None:
        self._to = to
        # of the world, not of the process, which is frozen between invocations
        self._clock = clock
        self._not_before = dict.fromkeys(Signal, 0.0)
        # one connection: requests go one after the other
        self._http = urllib3.PoolManager(maxsize=1, retries=False)

    def post(self, signal: Signal, request: bytes, timeout_s: float) -> Answer:
        """Post one request; it is given up after `timeout_s` of silence.

        While the time lasts that the backend asked to be left alone, the answer is known and nothing is posted.
        """
        if self._clock() < self._not_before[signal]:
            return Answer(Verdict.UNAVAILABLE, "the backend asked to be left alone")
        answer = self._post(signal, request, timeout_s)
        self._not_before[signal] = self._clock() + answer.retry_after_s
        return answer

    def drop_connections(self) -> None:
        """Trust no connection from before: the machine may have been frozen for an hour."""
        self._http.clear()

    def _post(self, signal: Signal, request: bytes, timeout_s: float) -> Answer:
        body = gzip.compress(request, compresslevel=1, mtime=0)
        try:
            try:
                return self._exchange(signal, body, timeout_s)
            except urllib3.exceptions.ProtocolError:  # a kept-alive connection that the backend closed meanwhile
                return self._exchange(signal, body, timeout_s)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return Answer(Verdict.UNAVAILABLE, type(error).__name__)

    def _exchange(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        response = self._http.request(
            "POST",
            f"{self._to.endpoint}/v1/{signal.label}",
            body=body,
            headers={"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **self._to.headers},
            timeout=urllib3.Timeout(connect=min(_CONNECT_TIMEOUT_S, timeout_s), read=timeout_s),
            redirect=False,
            preload_content=False,
        )
        try:
            reply = response.read(_MAX_REPLY_BYTES, decode_content=False)
        except urllib3.exceptions.HTTPError:  # its status has said what it did
            reply = b""
        finally:
            response.close()
        return _judge(response.status, response.headers, reply)


def _judge(status: int, headers: Any, reply: bytes) -> Answer:
    if 200 <= status < 300:
        rejected, reason = read_partial_success(reply)
        return Answer(Verdict.DELIVERED, _shortened(reason), rejected_count=rejected)
    reason = f"status {status}: {_words_of(headers.get('Content-Type', ''), reply)}"
    if status in _BUSY:
        return Answer(Verdict.UNAVAILABLE, reason, _retry_after_s(headers.get("Retry-After", "")))
    if status in _LATER or status >= 500:
        return Answer(Verdict.LATER, reason)
    if status in _MISCONFIGURED:
        return Answer(Verdict.MISCONFIGURED, reason)
    return Answer(Verdict.TOO_LARGE if status == _TOO_LARGE else Verdict.REFUSED, reason)


def _words_of(content_type: str, reply: bytes) -> str:
    """A backend explains itself in text, or in a `google.rpc.Status`, whose field 2 is a sentence."""
    if content_type.startswith("application/x-protobuf"):
        try:
            reply = b" ".join(bytes(f.value) for f in fields(reply) if f.number == 2 and f.value is not None)
        except WireError:
            return ""
    return _shortened(reply.decode(errors="replace"))


def _shortened(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _MAX_REASON_CHARS]).split())[
        :_MAX_REASON_CHARS
    ]


def _retry_after_s(value: str) -> float:
    if value.isdecimal():
        return min(float(value), _MAX_RETRY_AFTER_S)
    try:
        wait_s = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait_s, 0.0), _MAX_RETRY_AFTER_S)


@cache
def backend() -> Backend:
    """The backend of this process; its connection is kept while the environment is warm.

    Raises
    ------
    ConfigError
        None is named.
    """
    return Backend(target())
