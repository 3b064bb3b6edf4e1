"""The Lambda Extensions API: what extensions ask for their events, and how the service knows that they are done.

`ExtensionsSession` is the state of the conversations with all extensions of one start of an environment, without HTTP.
The contract is https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from lambda_local.runtime_api import ProtocolError

INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"
MAX_EXTENSIONS = 10


class ExtensionState(Enum):
    """Where an extension stands in its conversation."""

    LAUNCHED = "launched"  # a process that has not registered
    REGISTERED = "registered"  # and has not asked for an event yet
    IDLE = "idle"  # it asked for an event and waits
    BUSY = "busy"  # it has an event
    FAILED = "failed"  # it said so


@dataclass(eq=False)
class Extension:
    """One extension.

    Attributes
    ----------
    name : str
        Of its file; of an internal one, which is a thread of the runtime's process, as it says.
    is_internal : bool
    identifier : str
        Empty until it registers.
    events : tuple of str
        `INVOKE`, `SHUTDOWN`.
    state : ExtensionState
    error_type : str or None
        What it said when it failed.
    failed_as : str
        `Extension.InitError` or `Extension.ExitError`.
    """

    name: str
    is_internal: bool = False
    identifier: str = ""
    events: tuple[str, ...] = ()
    state: ExtensionState = ExtensionState.LAUNCHED
    error_type: str | None = None
    failed_as: str = ""
    pending: Mapping[str, Any] | None = None


class ExtensionsSession:
    """The conversations with the extensions of an environment.

    Parameters
    ----------
    condition : threading.Condition
        Guards the session and is notified of every change.
    names : sequence of str
        The external extensions, whose processes are being started.
    """

    def __init__(self, condition: threading.Condition, names: Sequence[str]) -> None:
        self._condition = condition
        self._extensions = [Extension(name) for name in names]
        self._is_open = True
        self._is_over = False

    # Called by the owner, who may hold the condition.

    @property
    def are_registered(self) -> bool:
        """Whether every process that was started has registered."""
        return all(extension.state is not ExtensionState.LAUNCHED for extension in self._extensions)

    @property
    def are_idle(self) -> bool:
        """Whether every extension waits for an event."""
        return all(extension.state is ExtensionState.IDLE for extension in self._extensions)

    @property
    def failed(self) -> Extension | None:
        """The first that said it failed."""
        return next((each for each in self._extensions if each.state is ExtensionState.FAILED), None)

    @property
    def has_internal(self) -> bool:
        """Whether the runtime's process has extensions within."""
        return any(extension.is_internal for extension in self._extensions)

    def all(self) -> tuple[Extension, ...]:
        """Every extension, in the order they were started or registered."""
        with self._condition:
            return tuple(self._extensions)

    def named(self, identifier: str) -> Extension | None:
        """The one that registered under an identifier."""
        with self._condition:
            return next((each for each in self._extensions if identifier and each.identifier == identifier), None)

    def close_registration(self) -> None:
        """The init phase is over."""
        with self._condition:
            self._is_open = False

    def offer(self, event: Mapping[str, Any]) -> None:
        """Hand an event to all that registered for its kind; who is busy gets it when it next asks."""
        with self._condition:
            for extension in self._extensions:
                if event["eventType"] in extension.events:
                    extension.pending = event
                    if extension.state is ExtensionState.IDLE:
                        extension.state = ExtensionState.BUSY
            self._condition.notify_all()

    def end(self) -> None:
        """The processes are gone, or must be spoken to no more."""
        with self._condition:
            self._is_over = True
            self._condition.notify_all()

    # Called by the extensions.

    def register(self, name: str, events: Sequence[str]) -> Extension:
        """Make an extension known: a process that was started, or one within the runtime's."""
        with self._condition:
            extension = next((each for each in self._extensions if each.name == name), None)
            is_internal = extension is None or extension.is_internal
            allowed = (INVOKE,) if is_internal else (INVOKE, SHUTDOWN)
            if wrong := [event for event in events if event not in allowed]:
                kind = "internal" if is_internal else "external"
                raise _refused("InvalidEventType", f"`{wrong[0]}` is no event for an {kind} extension")
            if extension is not None and extension.state is not ExtensionState.LAUNCHED:
                raise _refused("InvalidExtensionState", f"an extension `{name}` has registered already")
            if extension is None:
                if not self._is_open:
                    raise _refused("RegistrationClosed", "the init phase is over")
                if len(self._extensions) >= MAX_EXTENSIONS:
                    raise _refused("TooManyExtensions", f"there are {MAX_EXTENSIONS} extensions already")
                extension = Extension(name, is_internal=True)
                self._extensions.append(extension)
            extension.identifier = str(uuid4())
            extension.events = tuple(events)
            extension.state = ExtensionState.REGISTERED
            self._condition.notify_all()
            return extension

    def next(self, identifier: str) -> Mapping[str, Any] | None:
        """Wait for an event; None when there will be none."""
        with self._condition:
            extension = self._known(identifier)
            if extension.state in (ExtensionState.IDLE, ExtensionState.FAILED):
                raise _refused("InvalidExtensionState", f"an extension that is {extension.state.value} asked")
            if extension.pending is None:
                extension.state = ExtensionState.IDLE
                self._condition.notify_all()
            self._condition.wait_for(lambda: extension.pending is not None or self._is_over)
            event, extension.pending = extension.pending, None
            return event

    def fail(self, identifier: str, failed_as: str, error_type: str) -> None:
        """Take the reason why an extension cannot go on."""
        with self._condition:
            extension = self._known(identifier)
            extension.state = ExtensionState.FAILED
            extension.failed_as, extension.error_type = failed_as, error_type
            self._condition.notify_all()

    def _known(self, identifier: str) -> Extension:
        if not identifier:
            raise _refused("MissingExtensionIdentifier", "the header `Lambda-Extension-Identifier` is missing")
        extension = self.named(identifier)
        if extension is None:
            raise _refused("UnknownExtensionIdentifier", f"no extension registered as `{identifier}`")
        return extension


def invoke_event(request_id: str, function_arn: str, deadline_ms: int, trace_id: str) -> dict[str, Any]:
    """What extensions are told of an invocation; `deadline_ms` counts from 1970."""
    return {
        "eventType": INVOKE,
        "deadlineMs": deadline_ms,
        "requestId": request_id,
        "invokedFunctionArn": function_arn,
        "tracing": {"type": "X-Amzn-Trace-Id", "value": trace_id},
    }


def shutdown_event(reason: str, deadline_ms: int) -> dict[str, Any]:
    """What extensions are told at the end: `spindown`, `timeout` or `failure`."""
    return {"eventType": SHUTDOWN, "shutdownReason": reason, "deadlineMs": deadline_ms}


def _refused(kind: str, message: str) -> ProtocolError:
    return ProtocolError(403, f"Extension.{kind}", message)
