"""Each function's environments, and how many invocations may run at once."""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from lambda_local.activity import Activity
from lambda_local.environment import Environment, EnvironmentConfig
from lambda_local.errors import EnvironmentGoneError, LambdaLocalError, ServiceStoppedError, ThrottledError
from lambda_local.events import Outcome
from lambda_local.jobs import Failure, Job
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import Invocation

_logger = logging.getLogger(__name__)
_STOP_WAIT_S = 10.0
# A function that has answered asks for its next event within a millisecond or two, which is worth waiting for: a new
# environment takes far longer. A caller that sends one event after the other so gets one environment, and not now and
# then another.
_FINISHING_WAIT_S = 0.02


@dataclass(eq=False)
class _Waiter:
    function: str
    is_admitted: bool = False


class ConcurrencyLimits:
    """Admits invocations: at most `total` at once, and of a function at most what is reserved for it.

    Those who wait are admitted in the order they came, as far as their function has room.

    Parameters
    ----------
    total : int
    reserved : mapping of str to int
        Function name to its limit; functions that are not in it have none but `total`.
    """

    def __init__(self, total: int, reserved: Mapping[str, int]) -> None:
        self._total = total
        self._reserved = reserved
        self._running: dict[str, int] = {}
        self._waiters: deque[_Waiter] = deque()
        self._condition = threading.Condition()
        self._is_closed = False

    def acquire(self, function: str, *, patience_s: float | None) -> None:
        """Take room for one invocation.

        Parameters
        ----------
        function : str
        patience_s : float or None
            How long to wait for it; None: as long as it takes.

        Raises
        ------
        ThrottledError
            There was none in that time.
        ServiceStoppedError
            The service stopped while waiting.
        """
        with self._condition:
            waiter = _Waiter(function)
            self._waiters.append(waiter)
            self._admit_waiters()
            self._condition.wait_for(lambda: waiter.is_admitted or self._is_closed, patience_s)
            if waiter.is_admitted:
                return
            self._waiters.remove(waiter)
            if self._is_closed:
                raise ServiceStoppedError(f"the service was stopped while an event waited for `{function}`")
            is_reserved = self._running.get(function, 0) >= self._reserved.get(function, self._total + 1)
            kind = "ReservedFunctionConcurrent" if is_reserved else "Concurrent"
            raise ThrottledError(f"`{function}` has no room for another invocation", f"{kind}InvocationLimitExceeded")

    def release(self, function: str) -> None:
        """Give the room back."""
        with self._condition:
            self._running[function] -= 1
            self._admit_waiters()

    def capacity(self, function: str) -> int:
        """How many invocations of a function can ever run at once."""
        return min(self._total, self._reserved.get(function, self._total))

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def _admit_waiters(self) -> None:
        remaining: deque[_Waiter] = deque()
        for waiter in self._waiters:
            if self._has_room(waiter.function):
                waiter.is_admitted = True
                self._running[waiter.function] = self._running.get(waiter.function, 0) + 1
            else:
                remaining.append(waiter)
        if len(remaining) < len(self._waiters):
            self._condition.notify_all()
        self._waiters = remaining

    def _has_room(self, function: str) -> bool:
        running = self._running.get(function, 0)
        return sum(self._running.values()) < self._total and running < self.capacity(function)


class FunctionPool:
    """The environments of one function: the most recently used idle one is used next, so that the others can retire.

    Parameters
    ----------
    function : FunctionSpec
    limits : ConcurrencyLimits
    config : EnvironmentConfig
    activity : Activity
        Counts the invocations, until their environment has finished with them.
    """

    def __init__(
        self, function: FunctionSpec, limits: ConcurrencyLimits, config: EnvironmentConfig, activity: Activity
    ) -> None:
        self.function = function
        self._limits = limits
        self._config = config
        self._activity = activity
        self._condition = threading.Condition()
        self._idle: list[Environment] = []
        self._finishing: set[Environment] = set()
        self._all: set[Environment] = set()
        self._is_closed = False

    @property
    def capacity(self) -> int:
        """How many invocations can ever run at once."""
        return self._limits.capacity(self.function.name)

    def invoke(self, invocation: Invocation, *, patience_s: float | None) -> Job:
        """Run an invocation; comes back when it has been answered.

        Parameters
        ----------
        invocation : Invocation
        patience_s : float or None
            How long to wait for room before it is throttled; None: as long as it takes.

        Returns
        -------
        Job
            Its `answer` is there; its `log_tail` may come later.

        Raises
        ------
        ThrottledError, ServiceStoppedError
        """
        while True:
            self._limits.acquire(self.function.name, patience_s=patience_s)
            job = Job(invocation)
            self._activity.begin()
            job.log_tail.add_done_callback(lambda _: self._on_finished())
            self._place(job)
            error = job.answer.exception()
            if error is None:
                return job
            if isinstance(error, EnvironmentGoneError):
                continue
            if isinstance(error, LambdaLocalError):
                raise error
            _logger.error("an environment of `%s` could not be run", self.function.name, exc_info=error)
            return _failed(invocation, error)

    def stop(self) -> None:
        """Let all environments end; returns at once, `join` waits."""
        with self._condition:
            self._is_closed = True
            environments = tuple(self._all)
        for environment in environments:
            environment.stop()

    def join(self) -> None:
        """Wait until nothing of the environments is left."""
        with self._condition:
            environments = tuple(self._all)
        for environment in environments:
            environment.join(_STOP_WAIT_S)

    def _on_finished(self) -> None:
        self._limits.release(self.function.name)
        self._activity.end()

    def _place(self, job: Job) -> None:
        """Give the job to an idle environment, else to a new one."""
        with self._condition:
            if not self._idle and self._finishing:
                self._condition.wait_for(lambda: self._idle or not self._finishing, _FINISHING_WAIT_S)
            environment = self._idle.pop() if self._idle else None
            if environment is None and not self._is_closed:
                environment = Environment(self.function, self._config, self)
                self._all.add(environment)
                environment.submit(job)
                environment.start()
                return
        if environment is None:
            job.fail(ServiceStoppedError(f"the service was stopped before `{self.function.name}` was invoked"))
        else:
            environment.submit(job)

    # As the owner of environments.

    def on_answered(self, environment: Environment) -> None:
        """Expect it back."""
        with self._condition:
            self._finishing.add(environment)

    def on_idle(self, environment: Environment) -> None:
        """Keep a finished environment for the next invocation."""
        with self._condition:
            self._finishing.discard(environment)
            self._idle.append(environment)
            self._condition.notify_all()

    def on_ended(self, environment: Environment) -> None:
        """Forget an environment."""
        with self._condition:
            self._all.discard(environment)
            self._finishing.discard(environment)
            if environment in self._idle:
                self._idle.remove(environment)
            self._condition.notify_all()

    def may_retire(self, environment: Environment) -> bool:
        """Let an idle environment go."""
        with self._condition:
            if environment not in self._idle:
                return False
            self._idle.remove(environment)
            return True


def _failed(invocation: Invocation, error: BaseException) -> Job:
    job = Job(invocation)
    reason = f"{type(error).__name__}: {error}"
    job.answer.set_result(Failure(Outcome.CRASH, "Sandbox.Failure", reason).answer(invocation))
    job.log_tail.set_result(b"")
    return job
