"""The Lambda Telemetry API: events of the platform and log lines, delivered to the extensions that subscribe.

The contract is https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html
"""

import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Sequence

from lambda_local._http import cut
from lambda_local.platform_events import Event, logs_dropped
from lambda_local.runtime_api import ProtocolError
from lambda_local.subscription import Subscription, parse_subscription

_RETRY_WAITS_S = (0.05, 0.2, 1.0)
# What is held for a subscriber that takes nothing, in its own buffers' size. Lambda's figure is not published.
_HELD_BUFFERS = 8
_MAX_EARLY = 10_000  # events before the first subscription


class TelemetryFeed:
    """Gathers what happens in one start of an environment and delivers it to the subscribers.

    Parameters
    ----------
    address : str
        The environment's own loopback address.
    is_supported : bool
        False: subscriptions are answered as emulators answer them, and nothing is ever sent.
    """

    def __init__(self, address: str, *, is_supported: bool) -> None:
        self._address = address
        self.is_supported = is_supported
        self._lock = threading.Lock()
        self._early: deque[Event] = deque(maxlen=_MAX_EARLY)
        self._is_open = True
        self._subscribers: dict[str, _Subscriber] = {}

    def subscribe(self, name: str, body: bytes) -> Subscription:
        """Deliver to an extension from now on, and what has happened since the environment was started.

        Raises
        ------
        ProtocolError
        """
        subscription = parse_subscription(body, self._address)
        with self._lock:
            if not self._is_open:
                raise ProtocolError(403, "Telemetry.SubscriptionClosed", "the init phase is over")
            if name in self._subscribers:
                self._subscribers[name].close()
            subscriber = _Subscriber(name, subscription, self._address)
            self._subscribers[name] = subscriber
            for event in self._early:
                subscriber.take(event)
        subscriber.start()
        return subscription

    def add(self, event: Event) -> None:
        """Tell the subscribers."""
        with self._lock:
            if self._is_open:
                self._early.append(event)
            for subscriber in self._subscribers.values():
                subscriber.take(event)

    def close_subscription(self) -> None:
        """The init phase is over."""
        with self._lock:
            self._is_open = False
            self._early.clear()

    def pause(self) -> None:
        """The subscribers are about to be frozen: begin no delivery. One that is under way ends after the thaw."""
        for subscriber in self._all():
            subscriber.set_paused(True)

    def resume(self) -> None:
        """The subscribers run again."""
        for subscriber in self._all():
            subscriber.set_paused(False)

    def close(self) -> None:
        """The subscribers are gone."""
        for subscriber in self._all():
            subscriber.close()

    def _all(self) -> Sequence["_Subscriber"]:
        with self._lock:
            return tuple(self._subscribers.values())


class _Subscriber:
    """The queue of one extension, and the thread that delivers it."""

    def __init__(self, name: str, subscription: Subscription, address: str) -> None:
        self._subscription = subscription
        self._host = address
        self._has_connected = False
        self._condition = threading.Condition()
        self._queue: deque[tuple[float, bytes]] = deque()
        self._size_bytes = 0
        self._dropped_records = self._dropped_bytes = 0
        self._is_paused = False
        self._is_closed = False
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"telemetry-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def take(self, event: Event) -> None:
        if event["type"].partition(".")[0] not in self._subscription.types:
            return
        encoded = json.dumps(event, separators=(",", ":")).encode()
        with self._condition:
            if self._size_bytes + len(encoded) > _HELD_BUFFERS * self._subscription.max_bytes:
                self._count_dropped(1, len(encoded))
                return
            self._queue.append((time.monotonic(), encoded))
            self._size_bytes += len(encoded)
            self._condition.notify_all()

    def set_paused(self, is_paused: bool) -> None:
        with self._condition:
            self._is_paused = is_paused
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
            connection = self._connection
        if connection is not None and connection.sock is not None:
            cut(connection.sock)
        if self._thread.ident is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            is_delivered = self._deliver(b"[" + b",".join(batch) + b"]")
            with self._condition:
                if not is_delivered:
                    self._count_dropped(len(batch), sum(map(len, batch)))
                elif self._dropped_records:
                    self._tell_dropped()

    def _next_batch(self) -> list[bytes] | None:
        """Wait until a delivery is due; None at the end."""
        limits = self._subscription
        with self._condition:
            while not self._is_closed:
                if self._queue and not self._is_paused:
                    wait_s = self._queue[0][0] + limits.timeout_ms / 1000 - time.monotonic()
                    is_full = len(self._queue) >= limits.max_items or self._size_bytes >= limits.max_bytes
                    if is_full or wait_s <= 0:
                        return self._take_batch()
                    self._condition.wait(wait_s)
                else:
                    self._condition.wait()
        return None

    def _take_batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size_bytes = 0
        while self._queue and len(batch) < self._subscription.max_items and size_bytes < self._subscription.max_bytes:
            batch.append(self._queue.popleft()[1])
            size_bytes += len(batch[-1])
        self._size_bytes -= size_bytes
        return batch

    def _deliver(self, body: bytes) -> bool:
        for wait_s in (0.0, *_RETRY_WAITS_S):
            with self._condition:
                # A wait that falls into a freeze is over when the thaw is.
                self._condition.wait_for(lambda: self._is_closed, wait_s)
                self._condition.wait_for(lambda: self._is_closed or not self._is_paused)
                if self._is_closed:
                    return False
            if self._post(body):
                return True
        return False

    def _post(self, body: bytes) -> bool:
        try:
            connection = self._connect()
        except OSError:
            return False
        try:
            connection.request("POST", self._subscription.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        else:
            return 200 <= answer.status < 300
        finally:
            with self._condition:
                self._connection = None
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        # No time limit: the answer may come after a freeze, or never; `close` ends the wait.
        connection = http.client.HTTPConnection(self._host, self._subscription.port)
        try:
            connection.connect()
        except ConnectionRefusedError:
            if self._has_connected:
                raise
            # Without a name service of its own an extension listens on plain loopback, whatever it calls it.
            connection = http.client.HTTPConnection("127.0.0.1", self._subscription.port)
            connection.connect()
            self._host = "127.0.0.1"
        self._has_connected = True
        with self._condition:
            self._connection = connection
        return connection

    def _count_dropped(self, records: int, size_bytes: int) -> None:
        self._dropped_records += records
        self._dropped_bytes += size_bytes

    def _tell_dropped(self) -> None:
        event = logs_dropped(self._dropped_records, self._dropped_bytes, "the subscriber did not take it")
        self._dropped_records = self._dropped_bytes = 0
        if "platform" in self._subscription.types:
            encoded = json.dumps(event).encode()
            self._queue.append((time.monotonic(), encoded))
            self._size_bytes += len(encoded)
