"""What a process says, cut into records: lines of its standard output, frames of Lambda's log descriptor."""

import os
from collections.abc import Callable
from typing import Protocol

MAX_RECORD_BYTES = 256 * 1024  # as in CloudWatch Logs; what is longer comes in pieces
_READ_BYTES = 64 * 1024
_HEADER_BYTES = 16
# The first three bytes of a frame's type. The fourth has its level and whether it is text or JSON, which the record
# itself says as well.
_FRAME = b"\xa5\x5a\x00"

OnRecord = Callable[[str], None]


class Reader(Protocol):
    """Cuts a stream of bytes into records."""

    def feed(self, chunk: bytes) -> None:
        """Take what has come, and hand on the records that are whole."""

    def flush(self) -> None:
        """Hand on what there is: nothing follows, or not soon."""


class LineReader:
    """Records are lines.

    Parameters
    ----------
    on_record : callable
        Gets each of them without its end.
    """

    def __init__(self, on_record: OnRecord) -> None:
        self._on_record = on_record
        self._partial = b""

    def feed(self, chunk: bytes) -> None:
        """Take what has come, and hand on the lines that are whole."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        for line in lines:
            self._emit(line)
        if len(self._partial) > MAX_RECORD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand on a last line without an end."""
        if self._partial:
            self._emit(self._partial)
            self._partial = b""

    def _emit(self, line: bytes) -> None:
        # The Python runtime joins the lines of a traceback by carriage returns, so that they stay one entry.
        self._on_record(line.decode("utf-8", "replace").replace("\r", "\n"))


class FrameReader:
    """Records are framed, so that they may have several lines: how runtimes hand their logs to Lambda.

    A frame is its type and its length, 4 bytes each, a time of 8 bytes, all big-endian, and the message; see
    `FramedTelemetryLogSink` in awslambdaric/bootstrap.py. The descriptor is the function's to write to: what is no
    frame is taken for lines, and a frame that promises more than has come at `flush` ends there. Nothing is lost, kept
    for long or waited for.

    Parameters
    ----------
    on_record : callable
        Gets each message without the line end that runtimes may put after it.
    """

    def __init__(self, on_record: OnRecord) -> None:
        self._on_record = on_record
        self._stray = LineReader(on_record)
        self._buffer = bytearray()
        self._missing_bytes: int | None = None  # of the message under way

    def feed(self, chunk: bytes) -> None:
        """Take what has come, and hand on the messages that are whole."""
        self._buffer += chunk
        while self._read_header() and self._read_message():
            pass

    def flush(self) -> None:
        """Hand on a message that has not come whole."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._missing_bytes is None:
            self._stray.feed(rest)
        elif rest:
            self._emit(rest)
        self._missing_bytes = None
        self._stray.flush()

    def _read_header(self) -> bool:
        """Whether a message is under way."""
        if self._missing_bytes is not None:
            return True
        start = _frame_at(self._buffer)
        self._stray.feed(bytes(self._buffer[:start]))
        del self._buffer[:start]
        if len(self._buffer) < _HEADER_BYTES:
            return False
        self._stray.flush()
        self._missing_bytes = int.from_bytes(self._buffer[4:8])
        del self._buffer[:_HEADER_BYTES]
        return True

    def _read_message(self) -> bool:
        """Whether it has come whole."""
        missing = self._missing_bytes or 0
        piece = min(missing, MAX_RECORD_BYTES)
        if len(self._buffer) < piece:
            return False
        self._emit(bytes(self._buffer[:piece]))
        del self._buffer[:piece]
        self._missing_bytes = missing - piece or None
        return True

    def _emit(self, message: bytes) -> None:
        self._on_record(message.decode("utf-8", "replace").removesuffix("\n"))


def _frame_at(buffer: bytearray) -> int:
    """Where the first frame begins, or may begin once more has come."""
    found = buffer.find(_FRAME)
    if found >= 0:
        return found
    end = next((n for n in (2, 1) if buffer.endswith(_FRAME[:n])), 0)
    return len(buffer) - end


class OutputPipe:
    """A pipe from a process, read without waiting.

    Parameters
    ----------
    reader : Reader

    Attributes
    ----------
    read_end, write_end : int
        The descriptors; the latter is the process's, to be closed here once it has it.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.read_end, False)
        self._is_open = True

    def read(self) -> bool:
        """Hand on the records that have come; False at the end of the stream."""
        if not self._is_open:
            return False
        # A pipe holds 64 KiB: two reads get all that was there when we came, and no flood can keep us.
        for _ in range(2):
            try:
                chunk = os.read(self.read_end, _READ_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._reader.feed(chunk)
        return True

    def read_all(self) -> None:
        """Hand on what has come up to now, a last record without an end included."""
        self.read()
        self._reader.flush()

    def close_write_end(self) -> None:
        """The process has it."""
        os.close(self.write_end)

    def close(self) -> None:
        """Read no more."""
        if self._is_open:
            self._is_open = False
            os.close(self.read_end)
