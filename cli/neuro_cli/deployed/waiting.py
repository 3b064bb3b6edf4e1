"""Waiting for uploads to come to their ends."""

import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console

from neuro_cli.deployed.runs import RunStatus, read_status
from neuro_cli.deployed.target import Target
from neuro_cli.deployed.uploading import Uploaded
from neuro_cli.errors import CliError
from neuro_cli.terminal.words import counted
from pipeline.errors import PipelineError, TransientError

_PAUSE_S = 1.0


def wait_for_ends(
    target: Target,
    uploaded: Sequence[Uploaded],
    timeout_s: float,
    console: Console,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[RunStatus]:
    """The status of each upload, as it ends.

    Raises
    ------
    CliError
        Some have not ended after `timeout_s`, their runs cannot be told from earlier ones, or S3 refuses.
    """
    nameless = next((item for item in uploaded if item.run_id is None), None)
    if nameless is not None:
        raise CliError(
            f"cannot wait for `{nameless.uri}`: its bucket has no versions, or you may not read it",
            hint=f"ask later: neuro-preprocess status {nameless.key}",
        )
    waiting = list(uploaded)
    end = time.monotonic() + timeout_s
    with console.status("") as spinner:
        while waiting:
            spinner.update(f"waiting for {counted(len(waiting), 'scan')}")
            for item in tuple(waiting):
                status = _status(target, str(item.run_id))
                if status.is_over:
                    waiting.remove(item)
                    yield status
            if waiting and time.monotonic() > end:
                raise CliError(
                    f"{counted(len(waiting), 'scan')} did not come to an end in {timeout_s:.0f} s",
                    hint=f"ask later: neuro-preprocess status {waiting[0].key}",
                )
            if waiting:
                pause(_PAUSE_S)


def _status(target: Target, run_id: str) -> RunStatus:
    """Status of a run; unknown for now where S3 does not answer for a moment."""
    try:
        return read_status(target, run_id)
    except TransientError:
        return RunStatus(run_id)
    except PipelineError as error:
        raise CliError(f"{target.name}: {error}") from error
