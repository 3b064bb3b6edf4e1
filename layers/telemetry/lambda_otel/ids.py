"""Ids from the kernel's random numbers.

The SDK draws them from `random`, whose state is part of a SnapStart snapshot and of a forked process, and is set by
every function that calls `random.seed(0)` to have its science repeatable: many environments would make the same ids.
"""

from os import urandom
from struct import unpack

from opentelemetry.sdk.trace.id_generator import IdGenerator

_NUMBERS = 32  # drawn at once, for a call into the kernel costs as much as seven ids


class OsIdGenerator(IdGenerator):
    """Random ids that no copy of this process makes as well.

    A few numbers are drawn ahead. They are thrown away when an invocation begins, since that may be the first after a
    snapshot was restored, and in a forked child. Threads may share it: a list's `pop` gives a number once.
    """

    def __init__(self) -> None:
        self._drawn: list[int] = []

    def renew(self) -> None:
        """Draw afresh."""
        self._drawn = _draw()

    def generate_span_id(self) -> int:
        """64 random bits, not all of them 0."""
        try:
            return self._drawn.pop() or self.generate_span_id()
        except IndexError:
            self.renew()
            return self.generate_span_id()

    def generate_trace_id(self) -> int:
        """128 random bits, not all of them 0."""
        return self.generate_span_id() << 64 | self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Yes: traces get the `random` flag of W3C trace context level 2."""
        return True


def _draw() -> list[int]:
    return list(unpack(f"<{_NUMBERS}Q", urandom(8 * _NUMBERS)))
