"""OTLP requests in files, as the Collector's file exporter writes them: a length of four bytes, then the message.

What is written last may be half a message, if the process was killed; whoever reads stops there.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from threading import Lock

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_LENGTH_BYTES = 4
# Of one signal; beyond it the older half goes. A scan's traces are some 40 kB.
MAX_SIGNAL_BYTES = 64 * 2**20


class Signal(StrEnum):
    """What a request carries; the value ends its URL and begins its file's name."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


_MESSAGES: dict[Signal, type[Message]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}


def decode(signal: Signal, body: bytes) -> Message:
    """The request that a body is.

    Raises
    ------
    ValueError
        It is none.
    """
    message = _MESSAGES[signal]()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"expected an OTLP request for {signal}, got {len(body)} bytes that are none") from error
    return message


class OtlpFiles:
    """Requests, appended to a file for each signal.

    A file that has grown to half of what a signal may take is put aside, in the place of the one put aside before.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    max_signal_bytes : int
    """

    def __init__(self, folder: Path, max_signal_bytes: int = MAX_SIGNAL_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_file_bytes = folder, max_signal_bytes // 2
        self._files = {signal: _path(folder, signal).open("ab") for signal in Signal}
        self._lock = Lock()

    def append(self, signal: Signal, body: bytes) -> None:
        """Keep one request, as it came.

        Raises
        ------
        OSError
            It cannot be written.
        ValueError
            The files are closed.
        """
        with self._lock:
            file = self._files[signal]
            if file.tell() + len(body) > self._max_file_bytes and file.tell() > 0:
                file.close()
                _path(self._folder, signal).replace(_path(self._folder, signal, is_older=True))
                file = self._files[signal] = _path(self._folder, signal).open("ab")
            file.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
            file.flush()

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files.values():
                file.close()


def read_requests(folder: Path, signal: Signal) -> Iterator[Message]:
    """Every request that was kept, the oldest first; also while more are being written."""
    for path in (_path(folder, signal, is_older=True), _path(folder, signal)):
        content = path.read_bytes() if path.is_file() else b""
        position = 0
        while len(content) - position >= _LENGTH_BYTES:
            begin = position + _LENGTH_BYTES
            position = begin + int.from_bytes(content[begin - _LENGTH_BYTES : begin], "big")
            if position > len(content):
                break
            try:
                yield decode(signal, content[begin:position])
            except ValueError:  # the disc's fault, since only whole requests are written: what follows cannot be told
                break


def _path(folder: Path, signal: Signal, *, is_older: bool = False) -> Path:
    return folder / f"{signal}{'.older' if is_older else ''}.binpb"
