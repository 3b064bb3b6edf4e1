"""As much of protobuf's encoding as redriving needs: to count what is in an OTLP request, and to divide one.

https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Bytes that are no protobuf message."""


class Signal(IntEnum):
    """A kind of telemetry. The numbers are the field numbers of a handed-over bundle."""

    TRACES = 1
    METRICS = 2
    LOGS = 3

    @property
    def label(self) -> str:
        """As it stands in URLs, metrics and logs: `traces`, `metrics` or `logs`."""
        return self.name.lower()


# The field numbers that lead from an export request to spans, metrics or records: resources, scopes, items.
_ITEMS = ((1,), (2,), (2,))
# A metric holds its points in one of five kinds of data: gauge, sum, histogram, exponential histogram, summary.
_POINTS = (*_ITEMS, (5, 7, 9, 10, 11), (1,))


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes
    ----------
    number : int
    raw : memoryview
        The whole field, its tag with it.
    value : memoryview or None
        Content of a length-delimited field, None for a number.
    """

    number: int
    raw: memoryview
    value: memoryview | None


def fields(message: bytes | memoryview) -> Iterator[Field]:
    """The fields of a message, in their order.

    Raises
    ------
    WireError
    """
    view = memoryview(message)
    at = 0
    while at < len(view):
        start = at
        tag, at = read_varint(view, at)
        value = None
        kind = tag & 7
        if kind == _VARINT:
            _, at = read_varint(view, at)
        elif kind == _BYTES:
            size, at = read_varint(view, at)
            value = view[at : at + size]
            at += size
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise WireError(f"expected a wire type of 0, 1, 2 or 5, but got {kind}")
        if at > len(view):
            raise WireError(f"expected a field of {at - start} bytes, but {len(view) - start} are left")
        yield Field(tag >> 3, view[start:at], value)


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends.

    Raises
    ------
    WireError
    """
    number = 0
    for place, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise WireError("expected a number of at most 10 bytes")


def write_varint(number: int) -> bytes:
    """The encoding of a number that is not negative."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def write_field(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return write_varint(number << 3 | _BYTES) + write_varint(len(content)) + content


def count_items(signal: Signal, request: bytes) -> int:
    """Spans, data points or log records of an export request; what cannot be read counts nothing."""
    try:
        return _count(memoryview(request), _POINTS if signal is Signal.METRICS else _ITEMS)
    except WireError:
        return 0


def _count(message: memoryview, path: Sequence[Sequence[int]]) -> int:
    if not path:
        return 1
    return sum(_count(f.value, path[1:]) for f in fields(message) if f.number in path[0] and f.value is not None)


def split(request: bytes) -> tuple[bytes, bytes] | None:
    """An export request as two: by resources, or by the scopes of its one resource, or by the items of its one scope.

    None if it cannot be divided: it holds one item, or is none.
    """
    try:
        return _split(memoryview(request), [step[0] for step in _ITEMS])
    except WireError:
        return None


def _split(message: memoryview, path: Sequence[int]) -> tuple[bytes, bytes] | None:
    parts = list(fields(message))
    places = [place for place, part in enumerate(parts) if part.number == path[0]]
    if len(places) > 1:
        middle = places[len(places) // 2]
        halves = (set(places[len(places) // 2 :]), {place for place in places if place < middle})
        first, second = (b"".join(p.raw for n, p in enumerate(parts) if n not in left_out) for left_out in halves)
        return first, second
    if not places or len(path) == 1:
        return None
    only = parts[places[0]]
    inner = None if only.value is None else _split(only.value, path[1:])
    if inner is None:
        return None
    # what describes the one resource or scope goes with both halves
    first, second = (
        b"".join(write_field(p.number, half) if p is only else bytes(p.raw) for p in parts) for half in inner
    )
    return first, second


def read_partial_success(reply: bytes) -> tuple[int, str]:
    """How many items a backend rejected of a request it took, and why: fields 1 and 2 of field 1 of its reply."""
    rejected, reason = 0, ""
    try:
        for partial in (f.value for f in fields(reply) if f.number == 1 and f.value is not None):
            for inner in fields(partial):
                if inner.number == 1 and inner.value is None:
                    rejected, _ = read_varint(inner.raw, 1)
                if inner.number == 2 and inner.value is not None:
                    reason = bytes(inner.value).decode(errors="replace")
    except WireError:  # a backend that answers in JSON, or with nothing of use, has taken the request all the same
        return 0, ""
    return rejected, reason
