"""The spans that are open, in a file that outlives the process: a Collector extension ends them if nobody else does."""

import contextlib
import logging
import os
from struct import Struct
from zlib import crc32

_logger = logging.getLogger(__name__)

_HEAD = Struct("<II")  # checksum of what follows, and its length


class OpenSpansNote:
    """What one process has open, written whole each time, over what stood there before.

    One call of the system, and nobody is woken: the extension reads it when an invocation fails.

    Parameters
    ----------
    spool_dir : str
        The extension's folder; empty for its default.

    Attributes
    ----------
    MAX_SPANS : int
        So many are noted, the oldest, among which is the invocation's.
    """

    MAX_SPANS = 256

    def __init__(self, spool_dir: str) -> None:
        temporary = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108  as the extension finds it
        self._folder = f"{spool_dir or f'{temporary}/otel-spool'}/open"
        self._path, self._file = "", -1
        self._is_child = self._is_told = False

    def write(self, invocation: bytes, request: bytes) -> None:
        """Note open spans. If that cannot be done, nothing is noted, and once a line says so.

        Parameters
        ----------
        invocation : bytes
            Its id, of at most 255 bytes; empty if it is not known.
        request : bytes
            The spans as an OTLP request; empty if there is none.
        """
        try:
            if self._is_child and not request:
                self._remove()  # of children there may be many
                return
            if self._file < 0 or not os.fstat(self._file).st_nlink:  # perhaps the function sweeps its temporary folder
                self._open()
            body = bytes((len(invocation),)) + invocation + request
            content = _HEAD.pack(crc32(body), len(body)) + body
            if os.pwrite(self._file, content, 0) < len(content):
                raise OSError("the disc is full")
        except OSError as error:
            self._give_up(error)

    def forget(self) -> None:
        """Begin a file of one's own: after a fork the present one is the parent's."""
        self._is_child = True
        self._close()

    def _open(self) -> None:
        self._close()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)  # noqa: PTH103  `pathlib` is not loaded yet
        self._path = f"{self._folder}/{os.getpid()}-{os.urandom(4).hex()}.spans"
        self._file = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)

    def _remove(self) -> None:
        if self._file >= 0:
            self._close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)  # noqa: PTH108

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _give_up(self, error: OSError) -> None:
        """Have the file say nothing, rather than what was so before."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
        if not self._is_told:
            self._is_told = True
            _logger.warning("open spans are not noted, and lost if the function is killed: %s", error)
