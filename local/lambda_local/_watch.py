"""Waiting for the processes of an environment: until something is so, or cannot become so any more."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from lambda_local._crew import Crew, Member
from lambda_local._process import exit_description
from lambda_local.errors import ServiceStoppedError
from lambda_local.events import Outcome
from lambda_local.extensions_api import ExtensionsSession
from lambda_local.jobs import Failure
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import RuntimeSession, RuntimeState

_MEMORY_SAMPLING_S = 0.1


class Watch:
    """Waits for the processes of one start of an environment, and keeps them to their memory.

    Parameters
    ----------
    function : FunctionSpec
    crew : Crew
    runtime : RuntimeSession
    extensions : ExtensionsSession
    condition : threading.Condition
        At which all changes are told.
    is_stopping : callable
        Whether the service wants the environment to end.

    Attributes
    ----------
    max_memory_mb : int
        Highest resident memory so far.
    """

    def __init__(
        self,
        function: FunctionSpec,
        crew: Crew,
        runtime: RuntimeSession,
        extensions: ExtensionsSession,
        *,
        condition: threading.Condition,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._function = function
        self._crew = crew
        self._runtime = runtime
        self._extensions = extensions
        self._condition = condition
        self._is_stopping = is_stopping
        self._is_out_of_memory = False
        self.max_memory_mb = 0

    @property
    def is_broken(self) -> bool:
        """Whether something has ended, or has said that it cannot go on."""
        return (
            self._crew.first_ended is not None
            or self._extensions.failed is not None
            or self._runtime.state is RuntimeState.INIT_FAILED
        )

    def wait(self, is_reached: Callable[[], bool], deadline_s: float) -> Failure | None:
        """Wait until something is so; what prevented it.

        Parameters
        ----------
        is_reached : callable
        deadline_s : float
            By `time.monotonic`.

        Raises
        ------
        ServiceStoppedError
        """

        def is_enough() -> bool:
            return is_reached() or self.is_broken or self._is_stopping()

        while True:
            with self._condition:
                remaining_s = max(0.0, deadline_s - time.monotonic())
                if self._condition.wait_for(is_enough, min(_MEMORY_SAMPLING_S, remaining_s)):
                    return None if is_reached() else self.failure()
            self.sample_memory()
            if time.monotonic() >= deadline_s:
                return self.failure()

    def failure(self) -> Failure:
        """Why what was waited for has not come.

        Raises
        ------
        ServiceStoppedError
        """
        if self._is_stopping():
            raise ServiceStoppedError(f"the service was stopped while `{self._function.name}` ran")
        posted = self._runtime.init_error
        if posted is not None:
            return Failure(Outcome.ERROR, posted.error_type or "Unhandled", "", payload=posted.payload)
        if (extension := self._extensions.failed) is not None:
            reason = f"extension `{extension.name}`: {extension.error_type}"
            return Failure(Outcome.CRASH, extension.failed_as, reason)
        if (ended := self._crew.first_ended) is not None:
            return self._crash(ended)
        reason = f"Task timed out after {self._function.timeout_s}.00 seconds"
        return Failure(Outcome.TIMEOUT, "Sandbox.Timedout", reason)

    def _crash(self, ended: Member) -> Failure:
        code = ended.return_code or 0
        if ended.extension is not None:
            return Failure(Outcome.CRASH, "Extension.Crash", f"extension `{ended.extension}`: {exit_description(code)}")
        reason = "Runtime exited without providing a reason"
        if code:
            reason = f"Runtime exited with error: {exit_description(code)}"
        failure = Failure(Outcome.CRASH, "Runtime.ExitError", reason)
        return replace(failure, reported_type="Runtime.OutOfMemory") if self._is_out_of_memory else failure

    def sample_memory(self) -> None:
        """Look at the memory, and kill what takes more than there is."""
        resident_mb = self._crew.resident_mb()
        self.max_memory_mb = max(self.max_memory_mb, resident_mb, self._crew.peak_mb())
        if resident_mb > self._function.memory_mb and not self._is_out_of_memory:
            self._is_out_of_memory = True
            self._crew.kill_largest()
