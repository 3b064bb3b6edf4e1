"""OTLP requests to one Collector on one kept-alive connection: pipelined, bounded in bytes and in time, never raising.

Requests are answered in the order they were sent. Those without an answer yet are kept, so that a connection that
breaks, or a freeze in the middle, loses none: they are sent again. How long an export may take is a matter of progress:
it goes on while the Collector takes or acknowledges something within `ack_timeout_s`, and in all at most twenty times
that. A Collector that owes an answer for longer than `ack_timeout_s` is not waited for at all.

`_socket` is what `socket` is made of; taken by itself it is 2 ms less of a cold start.
"""

import _socket
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, NamedTuple

from lambda_otel.export.drops import Drops
from lambda_otel.export.http import ProtocolError, Responses
from lambda_otel.otlp.response import rejected_items

_RETRIABLE = (429, 502, 503, 504)  # by the OTLP specification; every other error means: never again
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_SILENT_EXCHANGES = 3  # a freeze lets time pass without a chance to answer: count exports too
_LONGEST_WAIT = 20  # times ack_timeout_s
_SHORTEST_WAIT = 0.2  # times ack_timeout_s, for an export that took so long itself that nothing is left
_TICK_S = 0.001
_CHUNK = 65536


class SilenceError(Exception):
    """The Collector takes requests and does not answer them."""


class Request(NamedTuple):
    """One encoded request.

    Attributes
    ----------
    signal : str
        `traces`, `metrics` or `logs`.
    items : int
        Spans, data points or records in it. One without any is not sent again when its fate is unknown.
    data : bytes
        Head and body.
    dropped : mapping
        Counts of drops that it tells of: if it is dropped itself, they are still to be told.
    """

    signal: str
    items: int
    data: bytes
    dropped: Mapping[tuple[str, str], int] = {}


class Channel:
    """The connection to one Collector.

    Parameters
    ----------
    host : str
    port : int
    drops : Drops
        Told of every request given up.
    ack_timeout_s : float
        How long to wait for room, for an answer, for a connection.
    give_up_s : float
        A Collector that owes answers this long is given up.
    max_bytes : int
        Of all requests without an answer. The oldest go first.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self,
        host: str,
        port: int,
        drops: Drops,
        *,
        ack_timeout_s: float,
        give_up_s: float,
        max_bytes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._host, self._port, self._drops = host, port, drops
        self._ack_timeout_s, self._give_up_s, self._max_bytes, self._clock = ack_timeout_s, give_up_s, max_bytes, clock
        self._socket: Any = None
        self._responses = Responses()
        self._sent: deque[Request | None] = deque()  # None: given up, but its answer is still to come
        self._queued: deque[Request] = deque()
        self._rest = memoryview(b"")  # of what was handed to the connection
        self._bytes = 0
        self._failures = 0
        self._closed_until = 0.0
        self._answered_at = 0.0
        self._owing_since = 0.0
        self._silent_exchanges = 0

    @property
    def is_closed(self) -> bool:
        """Whether the Collector failed so lately that it is not worth a try: sending would only queue."""
        return self._clock() < self._closed_until

    @property
    def pending_bytes(self) -> int:
        """Of requests without an answer."""
        return self._bytes

    def submit(self, request: Request) -> None:
        """Queue a request for the next exchange; what is pending too long makes room for it."""
        if len(request.data) > self._max_bytes:
            self._give_up(request, "too_large")
            return
        self._queued.append(request)
        self._bytes += len(request.data)
        while self._bytes > self._max_bytes:
            self._drop_oldest()

    def exchange(self, *, is_waiting: bool = True, is_counted: bool = True, spent_s: float = 0.0) -> None:
        """Send what is queued and read what was answered.

        Parameters
        ----------
        is_waiting : bool
            Whether to wait for the answers, until the export has taken `ack_timeout_s`.
        is_counted : bool
            Whether a Collector that cannot be reached counts as failed. During INIT it may still be starting.
        spent_s : float
            What the export has taken before, for the encoding.
        """
        if self.is_closed:
            return
        is_reused = self._socket is not None
        now = self._clock()
        began_at = now - spent_s
        least_s = _SHORTEST_WAIT * self._ack_timeout_s
        until = max(began_at + self._ack_timeout_s, now + least_s) if is_waiting else now
        try:
            self._exchange(began_at, until)
        except SilenceError as error:
            self.close()
            self._fail(error)
        except (OSError, ProtocolError) as error:
            self.close()
            is_sent = is_reused and self._retry(began_at, until)
            if is_counted and not is_sent:
                self._fail(error)

    def close(self) -> None:
        """Drop the connection; what it owed answers for is queued again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._responses, self._rest = Responses(), memoryview(b"")
        for request in reversed(self._sent):
            if request is None:
                continue
            if request.items:
                self._queued.appendleft(request)
            else:
                self._bytes -= len(request.data)
        self._sent.clear()
        self._silent_exchanges = 0

    def forget(self) -> None:
        """Drop the connection and all requests: after a fork they are the parent's."""
        self.close()
        self._queued.clear()
        self._bytes, self._failures, self._closed_until = 0, 0, 0.0

    def _retry(self, began_at: float, until: float) -> bool:
        """Once more on a new connection: the old one was perhaps closed while idle or frozen."""
        try:
            self._exchange(began_at, until)
        except (OSError, ProtocolError):
            self.close()
            return False
        return True

    def _exchange(self, began_at: float, until: float) -> None:
        if self._socket is None:
            self._connect()
        if self._sent:
            self._receive(0.0)
            self._check_silence()
        # an answer to what was sent just now, by an export in between, may be on its way
        owes = bool(self._sent) and began_at - self._owing_since >= self._ack_timeout_s
        if not self._sent:
            self._owing_since = began_at
        self._send()
        while not owes and self._sent and (left_s := until - self._clock()) > 0:
            # the system rounds up to whole milliseconds
            if not self._receive(left_s - _TICK_S if left_s > _TICK_S else left_s):
                self._owing_since = float("-inf")  # waited for in vain: it owes, and no later export waits again
                break

    def _connect(self) -> None:
        family, address = _address(self._host, self._port)
        connection = _socket.socket(family, _socket.SOCK_STREAM)
        try:
            connection.settimeout(max(self._ack_timeout_s, 0.001))
            connection.connect(address)
            connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except BaseException:
            connection.close()
            raise
        self._socket, self._answered_at = connection, self._clock()

    def _send(self) -> None:
        until = self._clock() + _LONGEST_WAIT * self._ack_timeout_s
        while True:
            if not self._rest:
                if not self._queued:
                    return
                self._rest = memoryview(b"".join([request.data for request in self._queued]))
                self._sent.extend(self._queued)
                self._queued.clear()
            self._socket.settimeout(self._ack_timeout_s)
            try:
                self._rest = self._rest[self._socket.send(self._rest) :]
            except (TimeoutError, BlockingIOError):
                return
            if self._clock() > until:
                return

    def _receive(self, timeout_s: float) -> bool:
        """Read answers; whether anything came within a time."""
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(_CHUNK)
        except (TimeoutError, BlockingIOError):
            return False
        if not data:
            raise ProtocolError("it closed the connection")
        for status, body in self._responses.feed(data):
            if not self._sent:
                raise ProtocolError("it answered what it was not asked")
            self._answered_at, self._silent_exchanges = self._clock(), 0
            request = self._sent.popleft()
            if request is not None:
                self._bytes -= len(request.data)
                self._conclude(request, status, body)
        return True

    def _conclude(self, request: Request, status: int, body: bytes) -> None:
        if 200 <= status < 300:
            self._failures = 0
            if body and (rejected := rejected_items(body)):
                self._drops.add(request.signal, "rejected", rejected)
        elif status not in _RETRIABLE or not request.items:
            self._give_up(request, "rejected")
        else:
            self.submit(request)
            self._pause()

    def _check_silence(self) -> None:
        self._silent_exchanges += 1
        if self._silent_exchanges > _SILENT_EXCHANGES and self._clock() - self._answered_at > self._give_up_s:
            raise SilenceError("it takes requests and does not answer")

    def _fail(self, error: Exception) -> None:
        self._drops.note_unreachable(f"{self._host}:{self._port}", error, is_first=self._failures == 0)
        self._pause()

    def _pause(self) -> None:
        self._closed_until = self._clock() + min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
        self._failures = min(self._failures + 1, 10)

    def _drop_oldest(self) -> None:
        for index, sent in enumerate(self._sent):
            if sent is not None:
                self._sent[index] = None
                request = sent
                break
        else:
            request = self._queued.popleft()
        self._bytes -= len(request.data)
        self._give_up(request, "no_collector")

    def _give_up(self, request: Request, reason: str) -> None:
        self._drops.add(request.signal, reason, request.items)
        self._drops.give_back(request.dropped)


def _address(host: str, port: int) -> tuple[int, Any]:
    if host.replace(".", "").isdigit():
        return _socket.AF_INET, (host, port)
    # as bytes: a string would load the codec for international names
    family, _, _, _, address = _socket.getaddrinfo(host.encode(), port, 0, _socket.SOCK_STREAM)[0]
    return family, address
