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


def platform_error(outcome: Outcome, error_type: str, invocation: Invocation, reason: str) -> Answer:
    """The answer of an invocation whose function did not give one, in Lambda's words."""
    message = f"RequestId: {invocation.request_id} Error: {reason}"
    payload = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return Answer(outcome, payload, error_type)
