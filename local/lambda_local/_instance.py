"""One start of an environment's processes: its init, its invocations, its end, in the order that Lambda keeps."""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lambda_local import platform_events
from lambda_local._crew import Crew
from lambda_local._launch import (
    extension_names,
    extension_variables,
    find_file,
    runtime_command,
    runtime_variables,
)
from lambda_local._process import Guardian
from lambda_local._reporter import Reporter
from lambda_local._sandbox import RuntimeConfig, Sandbox
from lambda_local._shutdown import shut_down
from lambda_local._watch import Watch
from lambda_local.environment_api import EnvironmentApi
from lambda_local.events import EnvironmentStarted, EnvironmentStopped, InvocationEnded, Outcome, ServiceEvent
from lambda_local.extensions_api import MAX_EXTENSIONS, ExtensionsSession, ExtensionState, invoke_event
from lambda_local.jobs import Answer, Failure
from lambda_local.log import LineLog
from lambda_local.platform_events import Span
from lambda_local.resources import FunctionSpec
from lambda_local.runtime_api import Invocation, RuntimeSession, RuntimeState
from lambda_local.telemetry_api import TelemetryFeed

_MIB = 1024 * 1024


@dataclass(frozen=True)
class InstanceConfig:
    """What the environments of one service share.

    Attributes
    ----------
    runtime : RuntimeConfig
    guardian : Guardian
    region : str
    variables : mapping
        Environment variables that win over the template's.
    has_telemetry_api : bool
    publish : callable
    """

    runtime: RuntimeConfig
    guardian: Guardian
    region: str
    variables: Mapping[str, str]
    has_telemetry_api: bool
    publish: Callable[[ServiceEvent], None]


class Instance:
    """The processes of an environment from their start to their end, driven by the environment's thread.

    Parameters
    ----------
    function : FunctionSpec
    environment_id : str
    sandbox : Sandbox
    config : InstanceConfig
    condition : threading.Condition
        At which everything meets.
    is_stopping : callable
        Whether the service wants the environment to end.
    log : LineLog
    """

    def __init__(
        self,
        function: FunctionSpec,
        environment_id: str,
        sandbox: Sandbox,
        config: InstanceConfig,
        *,
        condition: threading.Condition,
        is_stopping: Callable[[], bool],
        log: LineLog,
    ) -> None:
        self._function = function
        self._environment_id = environment_id
        self._sandbox = sandbox
        self._config = config
        self._condition = condition
        self._runtime = RuntimeSession(condition, function.arn)
        self._names = extension_names(function)
        self._extensions = ExtensionsSession(condition, self._names)
        self._telemetry = TelemetryFeed(sandbox.address, is_supported=config.has_telemetry_api)
        self._crew = Crew(condition, config.guardian, sandbox.folder, function.ephemeral_storage_mb * _MIB)
        self._reporter = Reporter(function, log, self._telemetry)
        self._watch = Watch(
            function,
            self._crew,
            self._runtime,
            self._extensions,
            condition=condition,
            is_stopping=is_stopping,
        )
        self._api = EnvironmentApi(
            function,
            self._runtime,
            self._extensions,
            self._telemetry,
            on_subscribed=self._reporter.subscribed,
            host=sandbox.address,
        )
        self._api.start()
        self._began_s = self._done_s = 0.0

    # Init.

    def init(self, phase: str, deadline_s: float) -> Failure | None:
        """Start the extensions, then the runtime, and wait until all of them ask for an event; what prevented it.

        Parameters
        ----------
        phase : str
            `init`, or `invoke` when it is on the function's own time.
        deadline_s : float
            By `time.monotonic`.

        Raises
        ------
        OSError
            The interpreter cannot be run.
        ServiceStoppedError
        """
        began_s = time.monotonic()
        version = self._config.runtime.version
        self._telemetry.add(platform_events.init_start(self._function, phase, self._environment_id, version))
        failure = self._init_extensions(deadline_s) or self._init_runtime(phase, deadline_s)
        self._reporter.init_report(phase, failure, (time.monotonic() - began_s) * 1000)
        self._extensions.close_registration()
        self._telemetry.close_subscription()
        return failure

    def _init_extensions(self, deadline_s: float) -> Failure | None:
        if len(self._names) > MAX_EXTENSIONS:
            reason = f"{len(self._names)} extensions; at most {MAX_EXTENSIONS} are allowed"
            return Failure(Outcome.CRASH, "Extension.TooManyExtensions", reason)
        variables = extension_variables(self._variables(), self._function)
        for name in self._names:
            file = find_file(self._function, f"/opt/extensions/{name}")
            if file is None or not os.access(file, os.X_OK):
                self._reporter.extension_state(name, "LaunchError", (), "PermissionDenied")
                return Failure(Outcome.CRASH, "Extension.LaunchError", f"`{name}` is not executable")
            command = self._sandbox.command([f"{self._sandbox.opt_dir}/extensions/{name}"])
            try:
                self._crew.start(name, command, variables, partial(self._reporter.extension_line, name))
            except OSError as exc:
                self._reporter.extension_state(name, "LaunchError", (), "UnknownError")
                return Failure(Outcome.CRASH, "Extension.LaunchError", f"`{name}`: {exc.strerror}")
        return self._watch.wait(lambda: self._extensions.are_registered, deadline_s)

    def _init_runtime(self, phase: str, deadline_s: float) -> Failure | None:
        variables = self._variables()
        wrapper = variables.get("AWS_LAMBDA_EXEC_WRAPPER")
        command = runtime_command(self._config.runtime, self._sandbox, wrapper)
        member = self._crew.start(None, command, variables, self._reporter.function_line)
        self._config.publish(EnvironmentStarted(self._function.name, self._environment_id, member.process.pid))
        failure = self._watch.wait(lambda: self._runtime.state is RuntimeState.IDLE, deadline_s)
        status, error_type = ("success", None) if failure is None else (failure.status, failure.error_type)
        self._telemetry.add(platform_events.init_runtime_done(phase, status, error_type))
        if failure is None:
            failure = self._watch.wait(lambda: self._extensions.are_idle, deadline_s)
        for extension in self._extensions.all():
            if extension.state is ExtensionState.IDLE:
                self._reporter.extension_state(extension.name, "Ready", extension.events)
            elif extension.error_type is not None:
                state = extension.failed_as.removeprefix("Extension.")
                self._reporter.extension_state(extension.name, state, extension.events, extension.error_type)
        return failure

    def _variables(self) -> dict[str, str]:
        return runtime_variables(
            self._function,
            self._config.runtime,
            self._sandbox,
            region=self._config.region,
            runtime_api=self._api.address,
            environment_id=self._environment_id,
            overrides=self._config.variables,
        )

    # Invocations.

    def begin(self, invocation: Invocation) -> None:
        """An invocation begins; an init may come first."""
        self._began_s = time.monotonic()
        self._telemetry.add(platform_events.start(invocation))

    def invoke(self, invocation: Invocation, deadline_s: float) -> Answer | Failure:
        """Hand over an event and wait until the function has answered; the extensions may go on.

        Raises
        ------
        ServiceStoppedError
        """
        deadline_ms = int((time.time() + deadline_s - time.monotonic()) * 1000)
        event = invoke_event(invocation.request_id, self._function.arn, deadline_ms, invocation.trace_id)
        self._extensions.offer(event)
        self._runtime.offer(invocation, deadline_ms)
        failure = self._watch.wait(lambda: self._runtime.answer is not None, deadline_s)
        posted = self._runtime.answer
        if failure is not None or posted is None:
            return failure or self._watch.failure()
        outcome = Outcome.OK if posted.error_type is None else Outcome.ERROR
        return Answer(outcome, posted.payload, posted.error_type)

    def finish(self, invocation: Invocation, answer: Answer | Failure, deadline_s: float) -> Failure | None:
        """Wait until the runtime and the extensions ask for the next event; what prevented it.

        Raises
        ------
        ServiceStoppedError
        """
        failure = answer if isinstance(answer, Failure) else None
        if failure is None:
            failure = self._watch.wait(lambda: self._runtime.state is RuntimeState.IDLE, deadline_s)
        self._done_s = time.monotonic()
        self._crew.read_output()
        told = failure or answer
        self._telemetry.add(
            platform_events.runtime_done(
                invocation,
                told.outcome,
                told.error_type,
                duration_ms=(self._done_s - self._began_s) * 1000,
                produced_bytes=len(self._runtime.answer.payload) if self._runtime.answer else 0,
                spans=self._spans(),
            )
        )
        if failure is None:
            failure = self._watch.wait(lambda: self._extensions.are_idle, deadline_s)
        self._watch.sample_memory()
        return failure

    def report(self, invocation: Invocation, ended: InvocationEnded) -> None:
        """An invocation is over, for the extensions too."""
        spans = [Span("extensionOverhead", self._done_s, time.monotonic())] if self._names else []
        self._telemetry.add(platform_events.report(invocation, ended, self._function.memory_mb, spans))

    def _spans(self) -> list[Span]:
        answer = self._runtime.answer
        if answer is None:
            return []
        return [
            Span("responseLatency", self._began_s, answer.began_s),
            Span("responseDuration", answer.began_s, answer.ended_s),
            Span("runtimeOverhead", answer.ended_s, max(answer.ended_s, self._done_s)),
        ]

    @property
    def max_memory_mb(self) -> int:
        """Highest resident memory of the processes so far."""
        return self._watch.max_memory_mb

    # Between invocations.

    @property
    def is_broken(self) -> bool:
        """Whether something has ended, or has said that it cannot go on."""
        return self._watch.is_broken

    def freeze(self) -> None:
        """Stop the processes where they are, and what would be delivered to them."""
        self._telemetry.pause()
        self._crew.freeze()

    def thaw(self) -> None:
        """Let the processes go on; only then may they be given events."""
        self._crew.thaw()
        self._telemetry.resume()

    # The end.

    def end(self, reason: str, told: str) -> None:
        """Bring the processes to their end, as Lambda does, and wait until nothing of them is left.

        Parameters
        ----------
        reason : str
            What extensions are told: `spindown`, `timeout` or `failure`.
        told : str
            What the service's subscribers are told.
        """
        self.thaw()
        shut_down(self._crew, self._extensions, reason)
        self._telemetry.close()
        self._runtime.end()
        self._extensions.end()
        self._api.stop()
        if self._crew.runtime is not None:
            self._config.publish(EnvironmentStopped(self._function.name, self._environment_id, told))
