"""Work spread over processes of this machine, of which one may die without taking the others' work along."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# What a task is given to tell how far it is.
OnStep = Callable[[str], None]

_JOIN_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Stepped(Generic[Item]):
    """A worker tells how far it is with an item."""

    item: Item
    step: str


@dataclass(frozen=True)
class Finished(Generic[Item, Result]):
    """An item's result."""

    item: Item
    result: Result


@dataclass(frozen=True)
class Crashed(Generic[Item]):
    """The process that had the item died; `exit_code` is negative for a signal, as -9 of the kernel's memory killer."""

    item: Item
    exit_code: int | None


def run_in_processes(
    task: Callable[[Item, OnStep], Result], items: Iterable[Item], jobs: int
) -> Iterator[Stepped[Item] | Finished[Item, Result] | Crashed[Item]]:
    """What becomes of each item, as it happens.

    Parameters
    ----------
    task : callable
        What to do with an item; it, the items and the results are pickled. Errors are its own to catch: one that
        escapes counts as a crash.
    items : iterable
    jobs : int
        Processes at work at once.
    """
    waiting = deque(items)
    workers: list[_Worker[Item, Result]] = []
    try:
        while waiting or workers:
            while waiting and len(workers) < jobs:
                workers.append(_Worker(task))
                workers[-1].give(waiting.popleft())
            for worker in _ready(workers):
                message = worker.receive()
                yield message
                if isinstance(message, Stepped):
                    continue
                if isinstance(message, Finished) and waiting:
                    worker.give(waiting.popleft())
                else:
                    workers.remove(worker)
                    worker.release()
    finally:
        for worker in workers:
            worker.stop()


class _Worker(Generic[Item, Result]):
    """A process that does one item after another."""

    def __init__(self, task: Callable[[Item, OnStep], Result]) -> None:
        # Forking a process that has threads, as one with a progress bar has, may freeze the child.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, task), daemon=True)
        with _one_thread_each():
            self._process.start()
        theirs.close()
        self._item: Any = None

    def give(self, item: Item) -> None:
        """Hand over the next item."""
        self._item = item
        with suppress(BrokenPipeError):  # it is dead already, which `receive` tells
            self.connection.send(item)

    def receive(self) -> Stepped[Item] | Finished[Item, Result] | Crashed[Item]:
        """What the process has to say; blocks until it does."""
        try:
            is_step, content = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(_JOIN_TIMEOUT_S)
            return Crashed(self._item, self._process.exitcode)
        return Stepped(self._item, content) if is_step else Finished(self._item, content)

    def release(self) -> None:
        """Let the process end, which has nothing more to do."""
        self.connection.close()
        self._process.join(_JOIN_TIMEOUT_S)
        self._process.terminate()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._process.terminate()
        self._process.join(_JOIN_TIMEOUT_S)
        self.connection.close()


def _serve(connection: Connection, task: Callable[[Any, OnStep], Any]) -> None:
    """The life of a worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent is the one to act on it
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        connection.send((False, task(item, lambda step: connection.send((True, step)))))


def _ready(workers: list["_Worker[Item, Result]"]) -> list["_Worker[Item, Result]"]:
    ready = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in ready]


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within use one thread for linear algebra: they share the processors among them already."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
