"""What could not be posted, in a file of JSON lines of bounded size.

A file in /tmp and not a queue or a bucket: at the moment of a failure it needs no network, no permission and no time,
and it outlives a crash and a reset of the environment. It does not outlive the environment.
"""

import os
from collections.abc import Iterable
from pathlib import Path


class DeadLetter:
    """Lines in a file, the oldest first.

    Parameters
    ----------
    path : str
    max_bytes : int
        The oldest lines make room for new ones.
    """

    def __init__(self, path: str, *, max_bytes: int) -> None:
        self._path, self._max_bytes = Path(path), max_bytes

    def add(self, lines: Iterable[str]) -> int:
        """Append lines; how many others had to go.

        Raises
        ------
        OSError
        """
        new = [line.encode() + b"\n" for line in lines]
        old = self._lines()
        size, kept = 0, []
        for line in reversed(old + new):
            size += len(line)
            if size > self._max_bytes:
                break
            kept.append(line)
        gone = len(old) + len(new) - len(kept)
        if gone:
            self._write(kept[::-1])
        else:
            _append(self._path, new)
        return gone

    def first(self, count: int) -> list[str]:
        """The oldest lines."""
        return [line.decode("utf-8", "replace").rstrip("\n") for line in self._lines()[:count]]

    def remove_first(self, count: int) -> None:
        """Forget the oldest lines: they were posted."""
        rest = self._lines()[count:]
        if rest:
            self._write(rest)
        else:
            self._path.unlink(missing_ok=True)

    def _lines(self) -> list[bytes]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        # a last line without its end was cut off by the end of a process
        return [line + b"\n" for line in data.split(b"\n")[:-1] if line]

    def _write(self, lines: list[bytes]) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        _append(beside, lines)
        beside.replace(self._path)


def _append(path: Path, lines: list[bytes]) -> None:
    """Add lines to a file that nobody else may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with open(descriptor, "ab") as file:  # noqa: PTH123  by descriptor
        file.write(b"".join(lines))
