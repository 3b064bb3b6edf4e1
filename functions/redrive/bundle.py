"""The form in which environments hand telemetry over, read without trust and written.

One gzip stream of one protobuf message; collector/internal/handoff/doc.go is its home:

    repeated bytes traces  = 1;  // each an ExportTraceServiceRequest
    repeated bytes metrics = 2;  // each an ExportMetricsServiceRequest
    repeated bytes logs    = 3;  // each an ExportLogsServiceRequest
"""

import gzip
import zlib
from collections.abc import Iterator
from io import BufferedRandom
from tempfile import TemporaryFile
from typing import BinaryIO, Self

from pipeline.errors import PipelineError
from redrive.wire import Signal, write_field

MIB = 2**20
# An environment keeps 64 MiB on its disk and 8 MiB in memory at most, and hands that over as one object.
MAX_OBJECT_BYTES = 96 * MIB
MAX_BUNDLE_BYTES = 192 * MIB
MAX_REQUEST_BYTES = 32 * MIB
MAX_REQUESTS = 100_000

_MAX_LENGTH_BYTES = 5  # of a length below 4 GiB
_TAGS = {signal << 3 | 2: signal for signal in Signal}


class PoisonError(PipelineError):
    """An object that will never be read, however often it is tried."""

    code = "telemetry_unreadable"


def read_requests(file: BinaryIO) -> Iterator[tuple[Signal, bytes]]:
    """The requests of a bundle, one in memory at a time.

    Raises
    ------
    PoisonError
        The bundle is malformed, truncated, or larger than any that an environment hands over.
    """
    file.seek(0)
    if not file.read(1):
        raise PoisonError("expected a gzip stream, but the object is empty")
    file.seek(0)
    with gzip.GzipFile(fileobj=file, mode="rb") as stream:
        try:
            yield from _parse(stream)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise PoisonError(f"expected a gzip stream, but it is damaged or cut: {error}") from error


def _parse(stream: gzip.GzipFile) -> Iterator[tuple[Signal, bytes]]:
    total = count = 0
    while tag := stream.read(1):
        signal = _TAGS.get(tag[0])
        if signal is None:
            raise PoisonError(f"expected a field 1, 2 or 3, but found the tag {tag[0]:#04x} at byte {total}")
        size = _read_length(stream)
        total += size + 2
        count += 1
        if size > MAX_REQUEST_BYTES or total > MAX_BUNDLE_BYTES or count > MAX_REQUESTS:
            raise PoisonError(
                f"expected at most {MAX_BUNDLE_BYTES} bytes in {MAX_REQUESTS} requests of {MAX_REQUEST_BYTES} bytes, "
                f"but request {count} is of {size} bytes and ends at {total}"
            )
        request = stream.read(size)
        if len(request) != size:
            raise PoisonError(f"expected a request of {size} bytes, but the bundle ends after {len(request)}")
        yield signal, request


def _read_length(stream: gzip.GzipFile) -> int:
    length = 0
    for place in range(_MAX_LENGTH_BYTES):
        byte = stream.read(1)
        if not byte:
            raise PoisonError("the bundle ends within the length of a request")
        length |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            return length
    raise PoisonError(f"expected a length of at most {_MAX_LENGTH_BYTES} bytes")


class BundleWriter:
    """Writes a bundle into a temporary file, for as long as its context lasts."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115  closed by __exit__
        self._gzip = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1, mtime=0)
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gzip.close()
        self._file.close()

    def add(self, signal: Signal, request: bytes) -> None:
        """Append one request."""
        self._gzip.write(write_field(signal, request))
        self.count += 1

    def finish(self) -> BufferedRandom:
        """The bundle, whole and at its beginning."""
        self._gzip.close()
        self._file.seek(0)
        return self._file
