"""A count of the work under way, to wait for its end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Counts pieces of work. What hands work on begins the next piece before it ends its own, so zero means idle."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    @property
    def count(self) -> int:
        """Pieces of work under way."""
        with self._condition:
            return self._count

    def begin(self) -> None:
        """One more piece of work."""
        with self._condition:
            self._count += 1

    def end(self) -> None:
        """One less."""
        with self._condition:
            self._count -= 1
            if self._count == 0:
                self._condition.notify_all()

    @contextmanager
    def piece(self) -> Iterator[None]:
        """A piece of work that lasts as long as the block."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no work is under way; False when there still is after `timeout_s`."""
        with self._condition:
            return self._condition.wait_for(lambda: self._count == 0, timeout_s)
