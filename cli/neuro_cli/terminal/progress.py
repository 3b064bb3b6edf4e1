"""How far the work on files is: bars on stderr, and nothing at all where stderr is no terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from neuro_cli.dataset import LocalScan
from neuro_cli.terminal.console import stderr

STEP_WORDS = {
    "read": "reading",
    "conform": "conforming",
    "skull_strip": "finding the brain",
    "bias_correct": "correcting the bias field",
    "normalize": "normalising",
    "report": "judging the quality",
    "write": "writing",
}


class FileProgress:
    """One bar for every file at work, and one for all of them where there are several.

    Parameters
    ----------
    steps : sequence of str
        Of each file, in order.
    files : int
        How many there are.
    is_shown : bool
    """

    def __init__(self, steps: Sequence[str], files: int, *, is_shown: bool = True) -> None:
        console = stderr()
        self._steps = list(steps)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", style="dim"),
            console=console,
            transient=True,
            disable=not (is_shown and console.is_terminal),
        )
        self._all = self._bars.add_task("all scans", total=files, step="") if files > 1 else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def step(self, file: str, step: str) -> None:
        """A file has come to a step."""
        if file not in self._tasks:
            self._tasks[file] = self._bars.add_task(_shortened(file), total=len(self._steps), step="")
        self._bars.update(self._tasks[file], completed=self._steps.index(step), step=STEP_WORDS.get(step, step))

    def end(self, file: str) -> None:
        """A file is done, well or not."""
        task = self._tasks.pop(file, None)
        if task is not None:
            self._bars.remove_task(task)
        if self._all is not None:
            self._bars.advance(self._all)


def _shortened(file: str, width: int = 40) -> str:
    return file if len(file) <= width else "..." + file[3 - width :]


@contextmanager
def transfer_bar(scans: Sequence[LocalScan]) -> Iterator[Callable[[int], None]]:
    """A bar for files on their way to a bucket; gives a function that is told of bytes as they leave."""
    console = stderr()
    bars = Progress(
        TextColumn("uploading"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    total = sum(scan.path.stat().st_size for scan in scans if scan.path.is_file())
    with bars:
        task = bars.add_task("", total=total)
        yield lambda size_bytes: bars.advance(task, size_bytes)
