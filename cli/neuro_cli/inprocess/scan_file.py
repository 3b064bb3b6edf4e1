"""Scans as files of this machine."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_preprocess.errors import PipelineError
from neuro_preprocess.nifti import Limits, NiftiReader
from pipeline.config import SETTINGS

_DEFAULTS = {setting.field: setting.parse(setting.default) for setting in SETTINGS if setting.default is not None}

# As the functions have them unless told otherwise.
LIMITS = Limits(max_object_bytes=_DEFAULTS["max_object_bytes"], max_volume_bytes=_DEFAULTS["max_volume_bytes"])
UNLIMITED = Limits(max_object_bytes=2**62, max_volume_bytes=2**62)


class UnreadableError(PipelineError):
    """The system does not give a file."""

    code = "UNREADABLE"


@contextmanager
def open_scan(path: Path, limits: Limits = LIMITS) -> Iterator[NiftiReader]:
    """Reader of a file, its header read and checked.

    Raises
    ------
    InvalidInputError
        The header is refused.
    UnreadableError
        The system does not give the file, then or while it is being read.
    """
    with _told_without_path(), path.open("rb") as stream:
        yield NiftiReader(stream, object_bytes=size_of(path), limits=limits, name=path.name)


def size_of(path: Path) -> int | None:
    """Size in bytes; None where that is not known beforehand, as of a pipe.

    Raises
    ------
    UnreadableError
    """
    with _told_without_path():
        status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


@contextmanager
def _told_without_path() -> Iterator[None]:
    """Turn the system's refusal into an error that telemetry may show: a path may be a patient's name."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        # Not "from error": whoever prints a chain of errors prints the path.
        raise UnreadableError(f"the file cannot be read: {why}") from None
