"""SQS queues of one process, and the pollers that invoke functions with their messages."""

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from lambda_local.activity import Activity
from lambda_local.errors import ServiceStoppedError
from lambda_local.events import MessageQueued, Outcome, ServiceEvent
from lambda_local.jobs import Answer
from lambda_local.pool import FunctionPool
from lambda_local.resources import MappingSpec, QueueSpec
from lambda_local.runtime_api import Invocation, new_trace_header

_STOP_WAIT_S = 10.0
_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Message:
    """A message of a queue. Times are those of SQS, in milliseconds since the epoch."""

    body: str
    message_id: str = field(default_factory=lambda: str(uuid4()))
    sent_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    receive_count: int = 0
    first_received_ms: int | None = None
    receipt: str = ""
    visible_s: float = 0.0  # monotonic; infinite while a receiver has it


class Queue:
    """A queue: a message that was received is invisible until it is deleted or released.

    Unlike SQS's, a receiver cannot vanish here, so the visibility timeout only runs once a message has been released.

    Parameters
    ----------
    spec : QueueSpec
    activity : Activity or None
        Counts the messages, when somebody is there to take them.
    send_dead : callable or None
        Takes the body of a message that has been received as often as the redrive policy allows.
    publish : callable
    time_scale : float
        Factor on the visibility timeout.
    """

    def __init__(
        self,
        spec: QueueSpec,
        *,
        activity: Activity | None,
        send_dead: Callable[[str], None] | None,
        publish: Callable[[ServiceEvent], None],
        time_scale: float = 1.0,
    ) -> None:
        self.spec = spec
        self._activity = activity
        self._send_dead = send_dead
        self._publish = publish
        self._time_scale = time_scale
        self._messages: list[Message] = []
        self._condition = threading.Condition()
        self._is_closed = False

    def send(self, body: str) -> str:
        """Put a message in; its id."""
        message = Message(body)
        if self._activity is not None:
            self._activity.begin()
        with self._condition:
            self._messages.append(message)
            self._condition.notify_all()
        self._publish(MessageQueued(self.spec.name, message.message_id, body))
        return message.message_id

    def messages(self) -> tuple[Message, ...]:
        """All that is in it, the invisible too."""
        with self._condition:
            return tuple(self._messages)

    def receive(self, count: int, *, wait_s: float | None = None, window_s: float = 0.0) -> list[Message]:
        """Take messages.

        Parameters
        ----------
        count : int
            At most so many.
        wait_s : float, optional
            How long to wait for the first; None: until the queue is closed.
        window_s : float
            How long to wait for more once there is one.
        """
        with self._condition:
            if not self._wait_for(1, wait_s):
                return []
            if window_s > 0:
                self._wait_for(count, window_s)
            taken = self._visible()[:count]
            for message in taken:
                message.receive_count += 1
                message.first_received_ms = message.first_received_ms or int(time.time() * 1000)
                message.receipt = secrets.token_urlsafe(24)
                message.visible_s = float("inf")
            return taken

    def delete(self, messages: Sequence[Message]) -> None:
        """Remove messages that were received and processed."""
        with self._condition:
            for message in messages:
                self._messages.remove(message)
        if self._activity is not None:
            for _ in messages:
                self._activity.end()

    def release(self, messages: Sequence[Message]) -> None:
        """Make messages that were not processed visible after the visibility timeout, or dead after the last time."""
        dead = [message for message in messages if self._is_dead(message)]
        with self._condition:
            for message in messages:
                if message not in dead:
                    message.visible_s = time.monotonic() + self.spec.visibility_timeout_s * self._time_scale
            self._condition.notify_all()
        if self._send_dead is not None:
            for message in dead:
                self._send_dead(message.body)
        self.delete(dead)

    def close(self) -> None:
        """Wake whoever waits; nothing is received any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def _is_dead(self, message: Message) -> bool:
        redrive = self.spec.redrive
        return redrive is not None and message.receive_count >= redrive.max_receive_count

    def _visible(self) -> list[Message]:
        now = time.monotonic()
        return [message for message in self._messages if message.visible_s <= now]

    def _wait_for(self, count: int, wait_s: float | None) -> bool:
        """Wait until so many messages are visible; False when the queue is closed, or the time is over with none."""
        end = None if wait_s is None else time.monotonic() + wait_s
        while not self._is_closed and len(self._visible()) < count:
            now = time.monotonic()
            if end is not None and now >= end:
                break
            # The next moment at which something can change by itself.
            moments = [message.visible_s for message in self._messages if now < message.visible_s < float("inf")]
            moments += [] if end is None else [end]
            self._condition.wait(min(moments) - now if moments else None)
        return not self._is_closed and bool(self._visible())


class Poller:
    """An event source mapping: invokes a function with the messages of a queue, batch after batch, from one thread.

    Parameters
    ----------
    spec : MappingSpec
    queue : Queue
    pool : FunctionPool
    region : str
    """

    def __init__(self, spec: MappingSpec, queue: Queue, pool: FunctionPool, region: str) -> None:
        self._spec = spec
        self._queue = queue
        self._pool = pool
        self._region = region
        self._thread = threading.Thread(target=self._run, name=f"poller-{queue.spec.name}", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end, which the closing of queue and pool brings about."""
        if self._thread.ident is not None:
            self._thread.join(_STOP_WAIT_S)

    def _run(self) -> None:
        while batch := self._queue.receive(self._spec.batch_size, window_s=self._spec.batch_window_s):
            try:
                failed = self._process(batch)
            except ServiceStoppedError:
                return
            except Exception:  # the boundary: whatever it is, the messages must come again
                _logger.exception("a batch of queue `%s` could not be processed", self._queue.spec.name)
                failed = batch
            self._queue.delete([message for message in batch if message not in failed])
            self._queue.release(failed)

    def _process(self, batch: list[Message]) -> list[Message]:
        """Invoke the function; the messages that failed."""
        records = [sqs_record(message, self._queue.spec.arn, self._region) for message in batch]
        payload = json.dumps({"Records": records}).encode()
        invocation = Invocation(str(uuid4()), payload, trace_id=new_trace_header())
        answer = self._pool.invoke(invocation, patience_s=None).finished_answer()
        return failed_messages(batch, answer, reports_item_failures=self._spec.reports_item_failures)


def sqs_record(message: Message, queue_arn: str, region: str) -> dict[str, Any]:
    """A message as Lambda hands it to a function."""
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receive_count),
            "SentTimestamp": str(message.sent_ms),
            "SenderId": "LOCAL",
            "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        },
        "messageAttributes": {},
        "md5OfBody": hashlib.md5(message.body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def failed_messages(batch: list[Message], answer: Answer, *, reports_item_failures: bool) -> list[Message]:
    """Which messages of a batch have to come again.

    With `ReportBatchItemFailures` the answer may name them; one that is malformed, or names an unknown message, fails
    the whole batch.
    """
    if answer.outcome is not Outcome.OK:
        return batch
    if not reports_item_failures:
        return []
    try:
        content = json.loads(answer.payload)
        named = {item["itemIdentifier"] for item in (content or {}).get("batchItemFailures") or ()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return batch
    if not named <= {message.message_id for message in batch}:
        return batch
    return [message for message in batch if message.message_id in named]
