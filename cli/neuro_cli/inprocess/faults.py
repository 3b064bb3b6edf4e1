"""Why a file could not be processed, as a person and a program are told."""

import logging
from dataclasses import dataclass

from neuro_cli.hints import hint_for
from neuro_preprocess.errors import PipelineError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """One failure.

    Attributes
    ----------
    code : str
        Stable: that of a `PipelineError`, or `OUT_OF_MEMORY`, `CRASHED`, `SAME_NAME`, or the name of an unforeseen
        exception.
    message : str
    hint : str
        Empty where there is nothing to advise.
    """

    code: str
    message: str
    hint: str = ""


def fault_of(error: Exception) -> Fault:
    """What is told of an exception; the boundary of every command that works on files.

    An exception that nobody foresaw is a bug: its traceback goes to the log, which `-v` shows.
    """
    if isinstance(error, PipelineError):
        return Fault(error.code, str(error), hint_for(error.code))
    if isinstance(error, MemoryError):
        return Fault("OUT_OF_MEMORY", "the machine ran out of memory", "close other programs, or use fewer `--jobs`")
    _log.error("unforeseen error", exc_info=error)
    return Fault(
        type(error).__name__, f"unforeseen: {error}", "this is a bug: please report it with the output of `-v`"
    )
