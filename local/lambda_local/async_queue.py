"""Asynchronous invocations: queued, attempted, retried under the same request id, and at last sent to a destination."""

import heapq
import itertools
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from lambda_local.activity import Activity
from lambda_local.destinations import EVENT_AGE_EXCEEDED, RETRIES_EXHAUSTED, SUCCESS, destination_record
from lambda_local.errors import ServiceStoppedError, ThrottledError
from lambda_local.events import InvocationGivenUp, Outcome, RetryScheduled, ServiceEvent
from lambda_local.jobs import Answer
from lambda_local.pool import FunctionPool
from lambda_local.runtime_api import Invocation, new_trace_header

RETRY_WAITS_S = (60.0, 120.0)  # as on AWS
_STOP_WAIT_S = 10.0
_logger = logging.getLogger(__name__)


@dataclass(order=True)
class _Event:
    due_s: float
    order: int
    request_id: str = field(compare=False)
    payload: bytes = field(compare=False)
    trace_id: str = field(compare=False)
    queued_s: float = field(compare=False)
    attempts: int = field(compare=False, default=0)
    answer: Answer | None = field(compare=False, default=None)


class AsyncQueue:
    """The event queue of every function.

    Parameters
    ----------
    pools : mapping of str to FunctionPool
    deliver : callable
        Sends a record (as JSON text) to the queue or the function with an ARN.
    activity : Activity
        An event counts from its arrival until its success, or until its record has been delivered.
    publish : callable
    time_scale : float
        Factor on the waits between attempts.
    """

    def __init__(
        self,
        pools: Mapping[str, FunctionPool],
        *,
        deliver: Callable[[str, str], None],
        activity: Activity,
        publish: Callable[[ServiceEvent], None],
        time_scale: float,
    ) -> None:
        self._activity = activity
        self._lanes = {name: _Lane(pool, deliver, activity, publish, time_scale) for name, pool in pools.items()}

    def enqueue(self, function: str, event: str, *, trace_id: str | None = None) -> str:
        """Queue an event, which is JSON text; its request id."""
        request_id = str(uuid4())
        self._activity.begin()
        self._lanes[function].add(request_id, event.encode(), trace_id or new_trace_header())
        return request_id

    def close(self) -> None:
        """Attempt nothing more; events that wait are dropped."""
        for lane in self._lanes.values():
            lane.close()
        for lane in self._lanes.values():
            lane.join()


class _Lane:
    """One function's queue and the threads that wait for its answers, at most one an invocation that can run."""

    def __init__(
        self,
        pool: FunctionPool,
        deliver: Callable[[str, str], None],
        activity: Activity,
        publish: Callable[[ServiceEvent], None],
        time_scale: float,
    ) -> None:
        self._pool = pool
        self._deliver = deliver
        self._activity = activity
        self._publish = publish
        self._time_scale = time_scale
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._condition = threading.Condition()
        self._workers: list[threading.Thread] = []
        self._waiting_workers = 0
        self._is_closed = False

    def add(self, request_id: str, payload: bytes, trace_id: str) -> None:
        now = time.monotonic()
        self._push(_Event(now, next(self._order), request_id, payload, trace_id, queued_s=now))

    def close(self) -> None:
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def join(self) -> None:
        for worker in self._workers:
            worker.join(_STOP_WAIT_S)

    def _push(self, event: _Event) -> None:
        with self._condition:
            heapq.heappush(self._events, event)
            # A function without any room still needs somebody to see its events grow too old.
            has_room = len(self._workers) < max(1, self._pool.capacity)
            if has_room and self._waiting_workers < len(self._events) and not self._is_closed:
                name = f"async-{self._pool.function.name}-{len(self._workers)}"
                worker = threading.Thread(target=self._work, name=name, daemon=True)
                self._workers.append(worker)
                worker.start()
            self._condition.notify()

    def _work(self) -> None:
        while (event := self._next_due()) is not None:
            try:
                self._attempt(event)
            except ServiceStoppedError:
                return
            except Exception:  # a bug here must cost one event, not the lane
                _logger.exception("event `%s` of `%s` was lost", event.request_id, self._pool.function.name)
                self._activity.end()

    def _next_due(self) -> _Event | None:
        with self._condition:
            self._waiting_workers += 1
            try:
                while not self._is_closed:
                    wait_s = self._events[0].due_s - time.monotonic() if self._events else None
                    if wait_s is not None and wait_s <= 0:
                        return heapq.heappop(self._events)
                    self._condition.wait(wait_s)
                return None
            finally:
                self._waiting_workers -= 1

    def _attempt(self, event: _Event) -> None:
        config = self._pool.function.async_config
        remaining_s = config.max_age_s - (time.monotonic() - event.queued_s)
        invocation = Invocation(event.request_id, event.payload, event.attempts + 1, event.trace_id)
        try:
            # To wait for room uses up no attempt, as it does not on AWS, which throttles and tries again.
            job = self._pool.invoke(invocation, patience_s=max(0.0, remaining_s))
        except ThrottledError:
            self._give_up(event, EVENT_AGE_EXCEEDED)
            return
        event.attempts += 1
        event.answer = job.finished_answer()
        if event.answer.outcome is Outcome.OK:
            if config.on_success is not None:
                self._send_record(config.on_success, event, SUCCESS)
            self._activity.end()
        elif event.attempts > config.max_retries:
            self._give_up(event, RETRIES_EXHAUSTED)
        else:
            self._retry(event)

    def _retry(self, event: _Event) -> None:
        wait_s = RETRY_WAITS_S[min(event.attempts, len(RETRY_WAITS_S)) - 1] * self._time_scale
        name = self._pool.function.name
        self._publish(RetryScheduled(name, event.request_id, event.attempts + 1, wait_s))
        event.due_s = time.monotonic() + wait_s
        self._push(event)

    def _give_up(self, event: _Event, condition: str) -> None:
        destination = self._pool.function.async_config.on_failure
        if destination is not None:
            self._send_record(destination, event, condition)
        name = self._pool.function.name
        self._publish(InvocationGivenUp(name, event.request_id, condition, event.attempts, destination))
        self._activity.end()

    def _send_record(self, destination: str, event: _Event, condition: str) -> None:
        record = destination_record(
            request_id=event.request_id,
            function_arn=self._pool.function.arn,
            condition=condition,
            attempts=event.attempts,
            payload=event.payload,
            answer=event.answer,
        )
        self._deliver(destination, json.dumps(record))
