"""Scans as files of this machine."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neuro_preprocess.nifti import Limits, NiftiReader
from pipeline.config import SETTINGS

_DEFAULTS = {setting.field: setting.parse(setting.default) for setting in SETTINGS if setting.default is not None}

# As the functions have them unless told otherwise.
LIMITS = Limits(max_object_bytes=_DEFAULTS["max_object_bytes"], max_volume_bytes=_DEFAULTS["max_volume_bytes"])
UNLIMITED = Limits(max_object_bytes=2**62, max_volume_bytes=2**62)


@contextmanager
def open_scan(path: Path, limits: Limits = LIMITS) -> Iterator[NiftiReader]:
    """Reader of a file, its header read and checked.

    Raises
    ------
    InvalidInputError
        The header is refused.
    OSError
        The file cannot be read.
    """
    with path.open("rb") as stream:
        yield NiftiReader(stream, object_bytes=size_of(path), limits=limits, name=path.name)


def size_of(path: Path) -> int | None:
    """Size in bytes; None where that is not known beforehand, as of a pipe."""
    status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None
