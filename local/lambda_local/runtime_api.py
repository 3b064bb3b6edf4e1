"""The Lambda Runtime API: what a function's process asks for its events and tells its answers.

`RuntimeSession` is the state of one process's conversation, without HTTP. The contract is
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

MAX_RESPONSE_BYTES = 6 * 1024 * 1024 + 100  # Lambda's own figure, as its error message tells it


@dataclass(frozen=True)
class Invocation:
    """One event for one function.

    Attributes
    ----------
    request_id : str
        The same for every attempt of an asynchronous invocation.
    payload : bytes
        JSON.
    attempt : int
        From 1.
    trace_id : str
        Value of the X-Ray header, which the runtime puts into `_X_AMZN_TRACE_ID`.
    client_context : str or None
        JSON that a synchronous caller gave.
    """

    request_id: str
    payload: bytes
    attempt: int = 1
    trace_id: str = ""
    client_context: str | None = None


def new_trace_header() -> str:
    """An X-Ray header for an invocation whose caller gave none; like Lambda's with tracing off, it samples nothing."""
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


@dataclass(frozen=True)
class RuntimeAnswer:
    """What a runtime posted for an invocation, or for its own start.

    Attributes
    ----------
    payload : bytes
    error_type : str or None
        None for a response.
    began_s, ended_s : float
        When its first and its last byte had come, by `time.monotonic`.
    """

    payload: bytes
    error_type: str | None = None
    began_s: float = 0.0
    ended_s: float = 0.0


class RuntimeState(Enum):
    """Where a runtime stands in its conversation."""

    STARTING = "starting"
    IDLE = "idle"  # it asked for an event and waits
    BUSY = "busy"  # it has an event
    ANSWERED = "answered"  # it answered and has not asked for the next event yet
    INIT_FAILED = "init failed"  # it could not load the function, and will end
    ENDED = "ended"  # the process is gone, or nobody talks to it any more


class ProtocolError(Exception):
    """A runtime called what its state does not allow."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class RuntimeSession:
    """The conversation with one runtime process.

    Parameters
    ----------
    condition : threading.Condition
        Guards the session and is notified of every change, so that its owner waits for this and for other things at
        once.
    function_arn : str
    """

    def __init__(self, condition: threading.Condition, function_arn: str) -> None:
        self._condition = condition
        self._function_arn = function_arn
        self._invocation: Invocation | None = None
        self._deadline_ms = 0
        self.state = RuntimeState.STARTING
        self.answer: RuntimeAnswer | None = None
        self.init_error: RuntimeAnswer | None = None

    # Called by the owner.

    def offer(self, invocation: Invocation, deadline_ms: int) -> bool:
        """Hand an invocation to a runtime that waits for one; False when it does not (any more).

        Parameters
        ----------
        invocation : Invocation
        deadline_ms : int
            Since 1970.
        """
        with self._condition:
            if self.state is not RuntimeState.IDLE:
                return False
            self._invocation, self.answer = invocation, None
            self._deadline_ms = deadline_ms
            self._change(RuntimeState.BUSY)
            return True

    def wait(self, is_reached: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `is_reached`; False when it is not after `timeout_s`."""
        with self._condition:
            return self._condition.wait_for(is_reached, max(0.0, timeout_s))

    def end(self) -> None:
        """The process is gone, or must be spoken to no more."""
        with self._condition:
            self._change(RuntimeState.ENDED)

    # Called by the runtime.

    def next(self) -> tuple[Invocation, dict[str, str]] | None:
        """Wait for an invocation; it and its headers, or None when there will be none."""
        with self._condition:
            if self.state not in (RuntimeState.STARTING, RuntimeState.ANSWERED, RuntimeState.ENDED):
                raise ProtocolError(
                    403, "InvalidStateTransition", f"a runtime that is {self.state.value} asked for an event"
                )
            if self.state is not RuntimeState.ENDED:
                self._invocation = None
                self._change(RuntimeState.IDLE)
            self._condition.wait_for(lambda: self.state is not RuntimeState.IDLE)
            invocation = self._invocation
            if self.state is RuntimeState.ENDED or invocation is None:
                return None
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(self._deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": self._function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            }
            if invocation.client_context is not None:
                headers["Lambda-Runtime-Client-Context"] = invocation.client_context
            return invocation, headers

    def post_answer(self, request_id: str, answer: RuntimeAnswer) -> None:
        """Take the response or the error of the invocation."""
        with self._condition:
            if (
                self.state is not RuntimeState.BUSY
                or self._invocation is None
                or self._invocation.request_id != request_id
            ):
                raise ProtocolError(400, "InvalidRequestID", "Invalid request ID")
            is_too_large = len(answer.payload) > MAX_RESPONSE_BYTES
            if is_too_large:
                message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
                payload = f'{{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"{message}"}}'
                answer = replace(answer, payload=payload.encode(), error_type="Function.ResponseSizeTooLarge")
            self.answer = answer
            self._change(RuntimeState.ANSWERED)
            if is_too_large:
                raise ProtocolError(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")

    def post_init_error(self, error: RuntimeAnswer) -> None:
        """Take the reason why the runtime could not start."""
        with self._condition:
            if self.state is not RuntimeState.STARTING:
                raise ProtocolError(
                    403, "InvalidStateTransition", f"a runtime that is {self.state.value} failed to start"
                )
            self.init_error = error
            self._change(RuntimeState.INIT_FAILED)

    def _change(self, state: RuntimeState) -> None:
        if self.state is not RuntimeState.ENDED:
            self.state = state
        self._condition.notify_all()
