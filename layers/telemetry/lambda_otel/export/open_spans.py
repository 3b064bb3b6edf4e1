"""The spans that are open, in a file that outlives the process: a Collector extension ends them if nobody else does."""

import logging
import os
from struct import Struct
from zlib import crc32

_logger = logging.getLogger(__name__)

SUFFIX = ".spans"
_HEAD = Struct("<II")  # checksum of what follows, and its length


class OpenSpansNote:
    """What one process has open, written whole each time, over what stood there before.

    One call of the system, and nobody is woken: the extension reads it when an invocation fails.

    Parameters
    ----------
    spool_dir : str
        The extension's folder; empty for its default.
    """

    def __init__(self, spool_dir: str) -> None:
        temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  as the extension finds it
        self._folder = f"{spool_dir or f'{temporary}/otel-spool'}/open"
        self._file = -1
        self._is_broken = False

    def write(self, invocation: bytes, request: bytes) -> None:
        """Note open spans.

        Parameters
        ----------
        invocation : bytes
            Its id, of at most 255 bytes.
        request : bytes
            The spans as an OTLP request; empty if there is none.
        """
        if self._is_broken:
            return
        body = bytes((len(invocation),)) + invocation + request
        try:
            if self._file < 0:
                self._file = self._open()
            os.pwrite(self._file, _HEAD.pack(crc32(body), len(body)) + body, 0)
        except OSError as error:
            self._is_broken = True
            _logger.warning("open spans are not noted, and lost if the function is killed: %s", error)

    def forget(self) -> None:
        """Begin a file of one's own: after a fork the present one is the parent's."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> int:
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103  `pathlib` is not loaded yet
        path = f"{self._folder}/{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
