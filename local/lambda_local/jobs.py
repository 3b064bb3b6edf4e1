"""An invocation on its way through an environment, and what comes back."""

import json
from concurrent.futures import Future
from dataclasses import dataclass, field

from lambda_local.events import Outcome
from lambda_local.runtime_api import Invocation


@dataclass(frozen=True)
class Answer:
    """What became of an invocation, as its caller learns it.

    Attributes
    ----------
    outcome : Outcome
    payload : bytes
        The function's response, or an error object.
    error_type : str or None
    """

    outcome: Outcome
    payload: bytes
    error_type: str | None = None


@dataclass
class Job:
    """An invocation on its way through an environment.

    Attributes
    ----------
    invocation : Invocation
    answer : Future of Answer
        Done as soon as the function has answered. Fails with `EnvironmentGoneError` when the environment could not take
        it.
    log_tail : Future of bytes
        The last 4 KiB of the invocation's log. Done when the environment is free again or gone; always the last thing
        to happen.
    """

    invocation: Invocation
    answer: "Future[Answer]" = field(default_factory=Future)
    log_tail: "Future[bytes]" = field(default_factory=Future)

    def finished_answer(self) -> Answer:
        """The answer, once the environment is free again or gone."""
        self.log_tail.exception()
        return self.answer.result()

    def fail(self, error: Exception) -> None:
        """Tell whoever still waits that nothing more comes."""
        for future in (self.answer, self.log_tail):
            if not future.done():
                future.set_exception(error)


@dataclass(frozen=True)
class Failure:
    """Why an environment could not do what it was to do.

    Attributes
    ----------
    outcome : Outcome
    answered_type : str
        As the caller learns it.
    reason : str
        In Lambda's words.
    payload : bytes or None
        What the runtime said itself.
    reported_type : str or None
        As the report has it, if that differs.
    """

    outcome: Outcome
    answered_type: str
    reason: str
    payload: bytes | None = None
    reported_type: str | None = None

    @property
    def error_type(self) -> str:
        """As the report has it."""
        return self.reported_type or self.answered_type

    @property
    def status(self) -> str:
        """As the report of an init has it."""
        return "timeout" if self.outcome is Outcome.TIMEOUT else "error"

    def answer(self, invocation: Invocation) -> Answer:
        """What the caller of an invocation gets."""
        message = f"RequestId: {invocation.request_id} Error: {self.reason}"
        made = json.dumps({"errorType": self.answered_type, "errorMessage": message}).encode()
        return Answer(self.outcome, self.payload if self.payload is not None else made, self.error_type)
