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
        It is no regular file, or the system does not give it, then or while it is being read.
    """
    object_bytes = size_of(path)  # before it is opened: opening a pipe would wait for whoever writes to it
    with _told_without_path(), path.open("rb") as stream:
        yield NiftiReader(stream, object_bytes=object_bytes, limits=limits, name=path.name)


def size_of(path: Path) -> int:
    """Size of a regular file in bytes.

    Raises
    ------
    UnreadableError
        There is no file, or it is a folder, a pipe or a device.
    """
    with _told_without_path():
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, a socket or a device"
        raise UnreadableError(f"the file cannot be read: expected a regular file, got {kind}")
    return status.st_size


@contextmanager
def _told_without_path() -> Iterator[None]:
    """Turn the system's refusal into an error that telemetry may show: a path may be a patient's name."""
    try:
        yield
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        # Not "from error": whoever prints a chain of errors prints the path.
        raise UnreadableError(f"the file cannot be read: {why}") from None
