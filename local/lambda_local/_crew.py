"""The processes of one start of an environment: the extensions', and the runtime's."""

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lambda_local._process import GroupProcess, Guardian

_KILL_WAIT_S = 5.0


@dataclass(eq=False)
class Member:
    """One process, with all that it starts.

    Attributes
    ----------
    extension : str or None
        Name of an extension; None for the runtime.
    process : GroupProcess
    return_code : int or None
        Once it has ended; negative: the signal.
    """

    extension: str | None
    process: GroupProcess
    return_code: int | None = None


class Crew:
    """The processes of one start of an environment.

    Parameters
    ----------
    condition : threading.Condition
        Notified when one of them ends.
    guardian : Guardian
    folder : Path
        Where they are started.
    max_file_bytes : int
    """

    def __init__(self, condition: threading.Condition, guardian: Guardian, folder: Path, max_file_bytes: int) -> None:
        self._condition = condition
        self._guardian = guardian
        self._folder = folder
        self._max_file_bytes = max_file_bytes
        self._members: list[Member] = []
        self._ended: list[Member] = []
        self._is_frozen = False

    @property
    def first_ended(self) -> Member | None:
        """The first that has ended."""
        return self._ended[0] if self._ended else None

    @property
    def runtime(self) -> Member | None:
        """The function's process, once it was started."""
        return next((member for member in self._members if member.extension is None), None)

    def start(
        self,
        extension: str | None,
        command: Sequence[str],
        variables: Mapping[str, str],
        on_record: Callable[[str], None],
    ) -> Member:
        """Start a process; the runtime's gets a log descriptor.

        Raises
        ------
        OSError
        """
        started: list[Member] = []
        process = GroupProcess(
            command,
            variables,
            self._folder,
            guardian=self._guardian,
            on_record=on_record,
            on_exit=partial(self._on_exit, started),
            max_file_bytes=self._max_file_bytes,
            has_log_descriptor=extension is None,
        )
        with self._condition:
            member = Member(extension, process)
            started.append(member)
            self._members.append(member)
            self._condition.notify_all()
        return member

    def _on_exit(self, started: list[Member], return_code: int) -> None:
        with self._condition:
            self._condition.wait_for(lambda: started)  # it may end before it is known
            started[0].return_code = return_code
            self._ended.append(started[0])
            self._condition.notify_all()

    def living(self) -> list[Member]:
        """Those that have not ended."""
        with self._condition:
            return [member for member in self._members if member.return_code is None]

    def freeze(self) -> None:
        """Stop all of them where they are."""
        for member in self.living():
            member.process.send(signal.SIGSTOP)
        self._is_frozen = True

    def thaw(self) -> None:
        """Let them go on."""
        if self._is_frozen:
            for member in self.living():
                member.process.send(signal.SIGCONT)
            self._is_frozen = False

    def await_ends(self, members: Sequence[Member], timeout_s: float) -> bool:
        """Wait until these have ended; False when they have not after `timeout_s`."""
        with self._condition:
            return self._condition.wait_for(
                lambda: all(member.return_code is not None for member in members), max(0.0, timeout_s)
            )

    def kill(self) -> None:
        """Kill all of them and wait until nothing of them is left."""
        for member in self.living():
            member.process.kill()
        deadline = time.monotonic() + _KILL_WAIT_S
        for member in self._members:
            member.process.join(max(0.0, deadline - time.monotonic()))

    def read_output(self) -> None:
        """Hand on what the function has written up to now, a last record without an end included."""
        if self.runtime is not None:
            self.runtime.process.read_output()

    def resident_mb(self) -> int:
        """Resident memory of all, in MiB."""
        return sum(member.process.resident_mb() for member in self.living())

    def peak_mb(self) -> int:
        """Highest resident memory so far as far as the system keeps it, in MiB: the runtime's peak, beside the rest."""
        return sum(
            member.process.peak_resident_mb() if member.extension is None else member.process.resident_mb()
            for member in self.living()
        )

    def kill_largest(self) -> None:
        """What the kernel does when a memory limit is passed."""
        living = self.living()
        if living:
            max(living, key=lambda member: member.process.resident_mb()).process.kill()
