"""The bytes of a NIfTI file from a stream of an object: plain or gzip by content, bounded, checked to the end."""

from typing import Protocol

from isal import igzip_lib

from neuro_preprocess.errors import InputFault, InvalidInputError

CHUNK_BYTES = 1 << 18
"""Read, decompressed and skipped at a time: large enough to cost nothing, small enough to stay in the cache."""
MAX_DEFLATE_RATIO = 1032
"""Deflate says at most 258 bytes with 2 bits, so a larger promise than this is broken before it is read."""

_GZIP_MAGIC = b"\x1f\x8b"


class ReadableStream(Protocol):
    """Any object with `read(n)`, which may return fewer bytes than asked for and returns none at the end."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes."""
        ...


class ByteSource:
    """The file's own bytes, in order, once.

    Attributes
    ----------
    position : int
        Bytes delivered so far.
    is_gzipped : bool
    """

    is_gzipped: bool

    def __init__(self) -> None:
        self.position = 0

    def _read_some(self, size: int) -> bytes:
        """Between 1 and `size` bytes; none at the end, which is then known to be a good one."""
        raise NotImplementedError

    def expect_end(self) -> None:
        """Read to the very end, checksum included.

        Raises
        ------
        InvalidInputError
            `TOO_MUCH_DATA` when a byte or a second gzip member follows, `CORRUPT` when the checksum is wrong or
            anything else follows a gzip member, `TRUNCATED`.
        """
        if self._read_some(1):
            raise InvalidInputError(
                InputFault.TOO_MUCH_DATA, f"expected {self.position} bytes of header and voxels, more follow"
            )

    def read(self, size: int) -> bytes:
        """`size` bytes, or all that are left."""
        parts = []
        while size > 0 and (part := self._read_some(size)):
            parts.append(part)
            size -= len(part)
            self.position += len(part)
        return b"".join(parts)

    def read_into(self, target: memoryview) -> int:
        """Fill `target` as far as the bytes go; the number of bytes written."""
        filled = 0
        while filled < len(target) and (part := self._read_some(min(len(target) - filled, CHUNK_BYTES))):
            target[filled : filled + len(part)] = part
            filled += len(part)
        self.position += filled
        return filled

    def skip_to(self, position: int) -> bool:
        """Pass over the bytes before `position`; false when there are not so many."""
        while self.position < position:
            if not self.read(min(position - self.position, CHUNK_BYTES)):
                return False
        return True


def open_source(stream: ReadableStream, max_bytes: int) -> ByteSource:
    """Source of the bytes in `stream`, decompressed if they are gzip.

    Raises
    ------
    InvalidInputError
        `EMPTY`. `TOO_LARGE` comes later, when more than `max_bytes` have been taken from the stream.
    """
    chunks = _Chunks(stream, max_bytes)
    start = chunks.take()
    while 0 < len(start) < len(_GZIP_MAGIC) and (more := chunks.take()):
        start += more
    if not start:
        raise InvalidInputError(InputFault.EMPTY, "expected a NIfTI file, got an object of 0 bytes")
    is_gzipped = _GZIP_MAGIC.startswith(start[: len(_GZIP_MAGIC)])
    return _GzipSource(start, chunks) if is_gzipped else _PlainSource(start, chunks)


class _Chunks:
    """Pieces of the stream as it gives them, counted."""

    def __init__(self, stream: ReadableStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._taken_bytes = 0

    def take(self) -> bytes:
        """Next piece, empty at the end."""
        chunk = self._stream.read(CHUNK_BYTES)
        self._taken_bytes += len(chunk)
        if self._taken_bytes > self._max_bytes:
            raise InvalidInputError(InputFault.TOO_LARGE, f"expected at most {self._max_bytes} bytes, more came")
        return chunk


class _PlainSource(ByteSource):
    is_gzipped = False

    def __init__(self, start: bytes, chunks: _Chunks) -> None:
        super().__init__()
        self._chunks = chunks
        self._chunk = memoryview(start)

    def _read_some(self, size: int) -> bytes:
        if not self._chunk:
            self._chunk = memoryview(self._chunks.take())
        some, self._chunk = self._chunk[:size], self._chunk[size:]
        return bytes(some)


class _GzipSource(ByteSource):
    is_gzipped = True

    def __init__(self, start: bytes, chunks: _Chunks) -> None:
        super().__init__()
        self._chunks = chunks
        self._start = start
        self._member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)

    def _read_some(self, size: int) -> bytes:
        while not self._member.eof:
            compressed = self._next_chunk() if self._member.needs_input else b""
            try:
                some: bytes = self._member.decompress(compressed, size)
            except igzip_lib.error as exc:  # type: ignore[misc]  # isal's stub declares the class as an instance
                raise InvalidInputError(
                    InputFault.CORRUPT, f"the gzip stream is damaged: {exc} after {self.position} bytes"
                ) from exc
            if some:
                return some
        self._check_nothing_follows()
        return b""

    def _next_chunk(self) -> bytes:
        chunk, self._start = self._start or self._chunks.take(), b""
        if not chunk:
            raise InvalidInputError(
                InputFault.TRUNCATED,
                f"the gzip stream ends before its checksum, {self.position} bytes into the file within",
            )
        return chunk

    def _check_nothing_follows(self) -> None:
        rest: bytes = self._member.unused_data
        while len(rest) < len(_GZIP_MAGIC) and (more := self._chunks.take()):
            rest += more
        if rest.startswith(_GZIP_MAGIC):
            raise InvalidInputError(
                InputFault.TOO_MUCH_DATA, "expected one gzip member, a second follows; compress the file as one"
            )
        if rest:
            raise InvalidInputError(InputFault.CORRUPT, "bytes that are not gzip follow the gzip stream")
