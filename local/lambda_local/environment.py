"""One execution environment: a process of its own for a function, one invocation at a time, kept warm between them."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from lambda_local._launch import RuntimeConfig, launch_command, new_environment_id, process_environment
from lambda_local._process import GroupProcess, Guardian, exit_description
from lambda_local.errors import EnvironmentGoneError, LambdaLocalError, ServiceStoppedError
from lambda_local.events import (
    EnvironmentStarted,
    EnvironmentStopped,
    InvocationEnded,
    InvocationStarted,
    Outcome,
    ServiceEvent,
)
from lambda_local.jobs import Answer, Job, platform_error
from lambda_local.log import LineLog, end_lines, start_line
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import Invocation, RuntimeApi, RuntimeSession, RuntimeState

_MEMORY_SAMPLING_S = 0.1
_KILL_WAIT_S = 5.0
_MIB = 1024 * 1024


@dataclass(frozen=True)
class EnvironmentConfig:
    """What the environments of one service share.

    Attributes
    ----------
    runtime : RuntimeConfig
    guardian : Guardian
    region : str
    variables : mapping
        Environment variables that win over the template's.
    init_limit_s : float
        A start may take so long before the invocation's own time runs.
    idle_s : float
        An environment that was not needed for so long is ended.
    publish : callable
    """

    runtime: RuntimeConfig
    guardian: Guardian
    region: str
    variables: Mapping[str, str]
    init_limit_s: float
    idle_s: float
    publish: Callable[[ServiceEvent], None]


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

    The driver starts the process, waits for it to ask for events, hands it the invocations that `submit` brings,
    watches time and memory, and reports. That the process has ended is told by the thread that reads its output. All of
    it meets at one condition.

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
        self._session = RuntimeSession(self._condition, function.arn, function.timeout_s)
        self._log = LineLog(function.name, self.id, config.publish)
        self._pending: Job | None = None
        self._current: Job | None = None
        self._is_stopping = False
        self._is_closed = False
        self._return_code: int | None = None
        self._end_reason = "failure"
        self._is_cold = True
        self._is_out_of_memory = False
        self._max_memory_mb = 0
        self._started_s = 0.0  # when the process was
        name = f"environment-{function.name}-{self.id[:8]}"
        self._thread = threading.Thread(target=self._drive, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the process starts in the background."""
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
        """End the process; a running invocation fails with `ServiceStoppedError`. Returns at once, `join` waits."""
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
            with self._running_process() as process:
                while (job := self._next_job()) is not None:
                    self._current = job
                    end_reason = self._run(job, process)
                    if end_reason is not None:
                        self._close(end_reason)
                        break
                    self._current = None
                    self._owner.on_idle(self)
                    job.log_tail.set_result(self._log.tail())
        except Exception as exc:  # noqa: BLE001 - whoever waits for the invocation is told, whatever it is
            self._close("failure")
            error = exc
        finally:
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
    def _running_process(self) -> Iterator[GroupProcess]:
        temp_dir = self._config.guardian.root / self.id
        temp_dir.mkdir()
        api = RuntimeApi(self._session)
        api.start()
        try:
            process = self._start_process(api.address, temp_dir)
            try:
                yield process
            finally:
                process.kill()
                process.join(_KILL_WAIT_S)
                reason = "stop" if self._is_stopping else self._end_reason
                self._config.publish(EnvironmentStopped(self.function.name, self.id, reason))
        finally:
            self._session.end()
            api.stop()
            shutil.rmtree(temp_dir, ignore_errors=True)

    def _start_process(self, runtime_api: str, temp_dir: Path) -> GroupProcess:
        variables = process_environment(
            self.function,
            self._config.runtime,
            region=self._config.region,
            runtime_api=runtime_api,
            temp_dir=temp_dir,
            environment_id=self.id,
            overrides=self._config.variables,
        )
        self._started_s = time.monotonic()
        process = GroupProcess(
            launch_command(self.function, self._config.runtime, self._config.variables),
            variables,
            self.function.code_dir,
            guardian=self._config.guardian,
            on_line=self._log.write,
            on_exit=self._on_exit,
            max_file_bytes=self.function.ephemeral_storage_mb * _MIB,
        )
        self._config.publish(EnvironmentStarted(self.function.name, self.id, process.pid))
        return process

    def _on_exit(self, return_code: int) -> None:
        with self._condition:
            self._return_code = return_code
        self._session.end()

    def _next_job(self) -> Job | None:
        """Wait for work; None when the environment is to end."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pending is not None or self._is_over(), self._config.idle_s)
                is_over = self._is_over()
                # A process that ends before its first invocation still has to answer for it: `_run` says why it failed.
                if self._pending is not None and (self._is_cold or not is_over):
                    job, self._pending = self._pending, None
                    return job
            if is_over:
                self._close("failure")
                return None
            if self._owner.may_retire(self):
                self._close("spindown")
                return None

    def _close(self, reason: str) -> None:
        """Take no more work."""
        with self._condition:
            self._is_closed = True
            self._end_reason = reason

    def _is_over(self) -> bool:
        return self._is_stopping or self._return_code is not None

    def _gone(self) -> LambdaLocalError:
        return EnvironmentGoneError(f"environment `{self.id}` of `{self.function.name}` has ended")

    # One invocation, in the driver's thread.

    def _run(self, job: Job, process: GroupProcess) -> str | None:
        """Take an invocation to its end; why the environment must end with it, or None when it can take another."""
        invocation, is_cold = job.invocation, self._is_cold
        init_duration_ms = self._await_init(process) if is_cold else None
        started = time.monotonic()
        deadline = started + self.function.timeout_s
        self._wait(lambda: self._session.state is RuntimeState.IDLE, deadline, process)
        if self._is_over() and not is_cold:
            raise self._gone()
        self._is_cold = False
        self._log.begin(invocation.request_id)
        self._log.write(start_line(invocation.request_id), is_platform=True)
        self._config.publish(
            InvocationStarted(
                self.function.name, invocation.request_id, invocation.attempt, self.id, is_cold, datetime.now(UTC)
            )
        )
        answer = self._exchange(invocation, deadline, process)
        if answer.outcome in (Outcome.OK, Outcome.ERROR):
            self._owner.on_answered(self)
        job.answer.set_result(answer)
        end_reason = self._await_end(answer, deadline, process)
        ended = InvocationEnded(
            self.function.name,
            invocation.request_id,
            invocation.attempt,
            self.id,
            answer.outcome,
            is_cold,
            (time.monotonic() - started) * 1000,
            init_duration_ms,
            self._max_memory_mb,
            answer.error_type,
        )
        process.read_output()
        for line in end_lines(ended, self.function.memory_mb):
            self._log.write(line, is_platform=True)
        self._config.publish(ended)
        self._log.end()
        return end_reason

    def _await_init(self, process: GroupProcess) -> float | None:
        """Wait until the runtime has loaded the function, within the limit; how long it took, None when it has not."""
        limit = self._started_s + self._config.init_limit_s
        self._wait(lambda: self._session.state is not RuntimeState.STARTING, limit, process)
        is_ready = self._session.state is RuntimeState.IDLE
        return (time.monotonic() - self._started_s) * 1000 if is_ready else None

    def _exchange(self, invocation: Invocation, deadline: float, process: GroupProcess) -> Answer:
        """Hand over the event and wait for what becomes of it."""
        is_handed_over = self._session.offer(invocation)
        if is_handed_over:
            self._wait(lambda: self._session.answer is not None, deadline, process)
        with self._condition:
            posted = self._session.answer if is_handed_over else self._session.init_error
        if posted is not None:
            outcome = Outcome.OK if posted.error_type is None else Outcome.ERROR
            return Answer(outcome, posted.payload, posted.error_type)
        if self._is_stopping:
            raise ServiceStoppedError(f"the service was stopped during invocation `{invocation.request_id}`")
        if self._return_code is None and not self._is_out_of_memory:
            process.kill()
            reason = f"Task timed out after {self.function.timeout_s}.00 seconds"
            return platform_error(Outcome.TIMEOUT, "Sandbox.Timedout", invocation, reason)
        process.join(_KILL_WAIT_S)
        reason = "Runtime exited without providing a reason"
        if self._return_code:
            reason = f"Runtime exited with error: {exit_description(self._return_code)}"
        return platform_error(Outcome.CRASH, "Runtime.ExitError", invocation, reason)

    def _await_end(self, answer: Answer, deadline: float, process: GroupProcess) -> str | None:
        """Wait until the runtime asks for its next event; why the environment has to end, or None."""
        if answer.outcome is Outcome.TIMEOUT:
            process.join(_KILL_WAIT_S)
            return "timeout"
        if answer.outcome is Outcome.CRASH or self._session.init_error is not None:
            return "failure"
        self._wait(lambda: self._session.state is RuntimeState.IDLE, deadline, process)
        with self._condition:
            if self._session.state is RuntimeState.IDLE and not self._is_over():
                return None
            return "failure" if self._is_over() else "timeout"

    def _wait(self, is_reached: Callable[[], bool], deadline: float, process: GroupProcess) -> None:
        """Wait until something is so, or process or service or time is over; sample memory meanwhile."""

        def is_enough() -> bool:
            return is_reached() or self._is_over() or self._session.state is RuntimeState.INIT_FAILED

        while not self._session.wait(is_enough, min(_MEMORY_SAMPLING_S, deadline - time.monotonic())):
            self._sample_memory(process)
            if time.monotonic() >= deadline:
                return
        self._sample_memory(process)

    def _sample_memory(self, process: GroupProcess) -> None:
        resident_mb = process.resident_mb()
        self._max_memory_mb = max(self._max_memory_mb, resident_mb, process.peak_resident_mb())
        if resident_mb > self.function.memory_mb and not self._is_out_of_memory:
            self._is_out_of_memory = True
            process.kill()
