"""One execution environment: its folders, and one after the other the processes in them; one invocation at a time."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from lambda_local._instance import Instance, InstanceConfig
from lambda_local._launch import new_environment_id
from lambda_local._sandbox import Sandbox, Sandboxes
from lambda_local.errors import EnvironmentGoneError, LambdaLocalError, ServiceStoppedError
from lambda_local.events import InvocationEnded, InvocationStarted, Outcome
from lambda_local.jobs import Answer, Failure, Job
from lambda_local.log import LineLog, end_lines, start_line
from lambda_local.resources import FunctionSpec


@dataclass(frozen=True)
class EnvironmentConfig:
    """What the environments of one service share.

    Attributes
    ----------
    instance : InstanceConfig
    sandboxes : Sandboxes
    init_limit_s : float
        A start may take so long; after that it is begun again, on the invocation's own time.
    idle_s : float
        An environment that was not needed for so long is ended.
    freezes_idle : bool
    """

    instance: InstanceConfig
    sandboxes: Sandboxes
    init_limit_s: float
    idle_s: float
    freezes_idle: bool


class Owner(Protocol):
    """Who is told what becomes of an environment: its pool."""

    def on_answered(self, environment: "Environment") -> None:
        """Its function has answered; it will soon be idle, or ended."""

    def on_idle(self, environment: "Environment") -> None:
        """It has finished an invocation and can take another."""

    def on_ended(self, environment: "Environment") -> None:
        """Nothing is left of it."""

    def may_retire(self, environment: "Environment") -> bool:
        """It has been idle for long; True when nobody has chosen it meanwhile, and nobody will."""


class Environment:
    """An execution environment, driven by a thread of its own.

    The driver waits for invocations that `submit` brings, takes each through an `Instance` - the processes - and
    reports. After a timeout or a crash the processes are ended and, for the next invocation, started again in the same
    folders. All that the driver waits for meets at one condition.

    Parameters
    ----------
    function : FunctionSpec
    config : EnvironmentConfig
    owner : Owner
    """

    def __init__(self, function: FunctionSpec, config: EnvironmentConfig, owner: Owner) -> None:
        self.function = function
        self.id = new_environment_id()
        self._config = config
        self._owner = owner
        self._condition = threading.Condition()
        self._publish = config.instance.publish
        self._log = LineLog(function.name, self.id, self._publish)
        self._instance: Instance | None = None
        self._is_new = True
        self._pending: Job | None = None
        self._current: Job | None = None
        self._is_stopping = False
        self._is_closed = False
        self._max_memory_mb = 0
        name = f"environment-{function.name}-{self.id[:8]}"
        self._thread = threading.Thread(target=self._drive, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the processes start in the background."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Take an invocation. Only for an environment that has just been made, or that its owner holds as idle."""
        with self._condition:
            if not self._is_closed:
                self._pending = job
                self._condition.notify_all()
                return
        job.fail(self._gone())

    def stop(self) -> None:
        """End the processes; a running invocation fails with `ServiceStoppedError`. Returns at once, `join` waits."""
        with self._condition:
            self._is_stopping = True
            self._condition.notify_all()

    def join(self, timeout_s: float) -> None:
        """Wait until nothing of the environment is left."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    # The life of the environment, in the driver's thread.

    def _drive(self) -> None:
        error: Exception = self._gone()
        try:
            with self._folders() as sandbox:
                try:
                    while (job := self._next_job()) is not None:
                        self._current = job
                        self._run(job, sandbox)
                        self._current = None
                        self._owner.on_idle(self)
                        job.log_tail.set_result(self._log.tail())
                finally:
                    self._close()
                    self._end_instance("spindown", "stop" if self._is_stopping else "spindown")
        except Exception as exc:  # noqa: BLE001 - whoever waits for the invocation is told, whatever it is
            error = exc
        finally:
            self._close()
            self._owner.on_ended(self)
            self._settle(error)

    def _settle(self, error: Exception) -> None:
        """Once nothing runs any more: finish the job that was the last, fail one that came too late."""
        if self._is_stopping:
            error = ServiceStoppedError(f"the service was stopped, and with it environment `{self.id}`")
        if self._current is not None and self._current.answer.done():
            self._current.log_tail.set_result(self._log.tail())
        for job in (self._current, self._pending):
            if job is not None:
                job.fail(error)

    @contextmanager
    def _folders(self) -> Iterator[Sandbox]:
        folder = self._config.instance.guardian.root / self.id
        try:
            yield self._config.sandboxes.open(self.function, self.id, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _next_job(self) -> Job | None:
        """Wait for work, frozen; None when the environment is to end."""
        if self._instance is not None and self._config.freezes_idle and not self._has_work():
            self._instance.freeze()
        while True:
            with self._condition:
                is_woken = self._condition.wait_for(lambda: self._has_work() or self._is_broken(), self._config.idle_s)
                if self._is_stopping:
                    return None
                job, self._pending = self._pending, None
            if self._is_broken():
                self._end_instance("failure", "failure")
            if job is not None:
                if self._instance is not None:
                    self._instance.thaw()
                return job
            if not is_woken and self._owner.may_retire(self):
                return None

    def _has_work(self) -> bool:
        return self._pending is not None or self._is_stopping

    def _is_broken(self) -> bool:
        return self._instance is not None and self._instance.is_broken

    def _end_instance(self, reason: str, told: str) -> None:
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.end(reason, told)
            self._max_memory_mb = max(self._max_memory_mb, instance.max_memory_mb)

    def _close(self) -> None:
        """Take no more work."""
        with self._condition:
            self._is_closed = True

    def _gone(self) -> LambdaLocalError:
        return EnvironmentGoneError(f"environment `{self.id}` of `{self.function.name}` has ended")

    # One invocation, in the driver's thread.

    def _run(self, job: Job, sandbox: Sandbox) -> None:
        """Take an invocation to its end; the processes end with it if it failed."""
        invocation, is_cold = job.invocation, self._instance is None
        init_duration_ms = self._init(sandbox) if self._is_new else None
        started_s = time.monotonic()
        deadline_s = started_s + self.function.timeout_s
        self._log.begin(invocation.request_id)
        self._log.write(start_line(invocation.request_id), is_platform=True)
        failure: Failure | None = None
        instance = self._instance or self._start(sandbox)
        instance.begin(invocation)
        if is_cold and init_duration_ms is None:
            failure = instance.init("invoke", deadline_s)
        self._publish(
            InvocationStarted(
                self.function.name, invocation.request_id, invocation.attempt, self.id, is_cold, datetime.now(UTC)
            )
        )
        result = failure or instance.invoke(invocation, deadline_s)
        answer = result if isinstance(result, Answer) else result.answer(invocation)
        self._owner.on_answered(self)
        job.answer.set_result(answer)
        failure = instance.finish(invocation, result, deadline_s)
        ended = InvocationEnded(
            self.function.name,
            invocation.request_id,
            invocation.attempt,
            self.id,
            answer.outcome,
            is_cold,
            (time.monotonic() - started_s) * 1000,
            init_duration_ms,
            max(self._max_memory_mb, instance.max_memory_mb),
            answer.error_type,
        )
        self._report(job, instance, ended, failure)

    def _report(self, job: Job, instance: Instance, ended: InvocationEnded, failure: Failure | None) -> None:
        # What kept the extensions, or the runtime after its answer, is told in the report; the answer stands.
        reported = ended if failure is None else replace(ended, outcome=failure.outcome, error_type=failure.error_type)
        instance.report(job.invocation, reported)
        if failure is not None:
            reason = "timeout" if failure.outcome is Outcome.TIMEOUT else "failure"
            self._end_instance(reason, reason)
        for line in end_lines(reported, self.function.memory_mb):
            self._log.write(line, is_platform=True)
        self._publish(ended)
        self._log.end()

    def _init(self, sandbox: Sandbox) -> float | None:
        """The init phase; how long it took, None when it failed and has to be done again."""
        self._is_new = False
        began_s = time.monotonic()
        failure = self._start(sandbox).init("init", began_s + self._config.init_limit_s)
        if failure is None:
            return (time.monotonic() - began_s) * 1000
        reason = "timeout" if failure.outcome is Outcome.TIMEOUT else "failure"
        self._end_instance(reason, reason)
        return None

    def _start(self, sandbox: Sandbox) -> Instance:
        self._instance = Instance(
            self.function,
            self.id,
            sandbox,
            self._config.instance,
            condition=self._condition,
            is_stopping=lambda: self._is_stopping,
            log=self._log,
        )
        return self._instance
