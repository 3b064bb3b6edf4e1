"""The shutdown phase, with Lambda's times.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html and runtimes-extensions-api.html
"""

import signal
import time
from collections.abc import Sequence

from lambda_local._crew import Crew, Member
from lambda_local.extensions_api import SHUTDOWN, ExtensionsSession, shutdown_event

_EXTERNAL_S, _INTERNAL_S = 2.0, 0.5
_RUNTIME_S = 0.3  # of the two seconds


def shut_down(crew: Crew, extensions: ExtensionsSession, reason: str) -> None:
    """Bring the processes to their end: at once without extensions, else the runtime first, then the extensions.

    Parameters
    ----------
    crew : Crew
    extensions : ExtensionsSession
    reason : str
        `spindown`, `timeout` or `failure`.
    """
    deadline_s = time.monotonic() + _EXTERNAL_S
    living = crew.living()
    runtime = [member for member in living if member.extension is None]
    external = [member for member in living if member.extension is not None]
    if external or extensions.has_internal:
        _end_runtime(crew, runtime, _RUNTIME_S if external else _INTERNAL_S)
    if external:
        _end_extensions(crew, external, extensions, reason, deadline_s)
    crew.kill()


def _end_runtime(crew: Crew, runtime: Sequence[Member], within_s: float) -> None:
    for member in runtime:
        member.process.send(signal.SIGTERM)
    if not crew.await_ends(runtime, within_s):
        for member in runtime:
            member.process.kill()


def _end_extensions(
    crew: Crew, external: Sequence[Member], extensions: ExtensionsSession, reason: str, deadline_s: float
) -> None:
    told = {extension.name for extension in extensions.all() if SHUTDOWN in extension.events}
    for member in external:
        if member.extension not in told:
            member.process.kill()
    deadline_ms = int((time.time() + deadline_s - time.monotonic()) * 1000)
    extensions.offer(shutdown_event(reason, deadline_ms))
    crew.await_ends(external, deadline_s - time.monotonic())
