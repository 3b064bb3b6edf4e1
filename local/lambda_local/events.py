"""What the service tells its subscribers while it works, and the bus that carries it."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_logger = logging.getLogger(__name__)


class Outcome(StrEnum):
    """How an invocation ended."""

    OK = "ok"
    ERROR = "error"  # the handler raised, or the module could not be loaded
    TIMEOUT = "timeout"
    CRASH = "crash"  # the process ended by itself or was killed
    THROTTLED = "throttled"


@dataclass(frozen=True)
class EnvironmentStarted:
    """A process for a function was started; after a crash or a timeout, again in the same environment."""

    function: str
    environment_id: str
    pid: int


@dataclass(frozen=True)
class EnvironmentStopped:
    """The processes of an environment have ended; `reason` is `spindown`, `timeout`, `failure` or `stop`."""

    function: str
    environment_id: str
    reason: str


@dataclass(frozen=True)
class InvocationStarted:
    """A function was handed an event. `attempt` counts from 1."""

    function: str
    request_id: str
    attempt: int
    environment_id: str
    is_cold: bool
    at: datetime


@dataclass(frozen=True)
class InvocationEnded:
    """An invocation is over.

    Attributes
    ----------
    environment_id : str
        Empty when it was throttled.
    duration_ms : float
        From the hand-over of the event until runtime and extensions asked for the next one (or were ended).
    init_duration_ms : float or None
        Of a cold start: from the start of the first process until runtime and extensions asked for an event. None for
        a start on the function's own time, after one that failed, took too long, or was ended.
    max_memory_mb : int
        Highest resident memory of the environment's processes so far.
    error_type : str or None
    """

    function: str
    request_id: str
    attempt: int
    environment_id: str
    outcome: Outcome
    is_cold: bool
    duration_ms: float
    init_duration_ms: float | None
    max_memory_mb: int
    error_type: str | None


@dataclass(frozen=True)
class RetryScheduled:
    """An asynchronous invocation failed and will be attempted again."""

    function: str
    request_id: str
    next_attempt: int
    wait_s: float


@dataclass(frozen=True)
class InvocationGivenUp:
    """An asynchronous invocation will not be attempted again; `destination` is where its record went, if anywhere."""

    function: str
    request_id: str
    condition: str
    attempts: int
    destination: str | None


@dataclass(frozen=True)
class LogLine:
    """A line of a function's log.

    Attributes
    ----------
    request_id : str or None
        None outside invocations.
    is_platform : bool
        Written by the service (START, END, REPORT), not by the function.
    extension : str or None
        The extension that wrote it.
    """

    function: str
    environment_id: str
    request_id: str | None
    message: str
    is_platform: bool
    at: datetime
    extension: str | None = None


@dataclass(frozen=True)
class ObjectCreated:
    """An object was stored. `event_name` is `ObjectCreated:Put` and the like."""

    bucket: str
    key: str
    size_bytes: int
    version_id: str | None
    event_name: str


@dataclass(frozen=True)
class MessageQueued:
    """A message was put into a queue."""

    queue: str
    message_id: str
    body: str


ServiceEvent = (
    EnvironmentStarted
    | EnvironmentStopped
    | InvocationStarted
    | InvocationEnded
    | RetryScheduled
    | InvocationGivenUp
    | LogLine
    | ObjectCreated
    | MessageQueued
)
Callback = Callable[[ServiceEvent], None]


class EventBus:
    """Carries events to subscribers, in order, from one thread of its own, so that a slow subscriber delays no work."""

    def __init__(self) -> None:
        self._subscribers: list[Callback] = []
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[ServiceEvent | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lambda-local-events", daemon=True)

    def start(self) -> None:
        """Begin to deliver; what was published before waits."""
        self._thread.start()

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Call `callback` with every event from now on; gives a function that ends it."""
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def publish(self, event: ServiceEvent) -> None:
        """Queue an event; returns at once."""
        self._queue.put(event)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was published before has been delivered."""
        if threading.current_thread() is self._thread:
            return True
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Deliver what is queued and end."""
        self._queue.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            with self._lock:
                subscribers = tuple(self._subscribers)
            for callback in subscribers:
                try:
                    callback(item)
                except Exception:  # the boundary to foreign code: one subscriber must not silence the others
                    _logger.exception("a subscriber failed on %s", type(item).__name__)
