"""What telemetry costs: CPU of the extensions' processes, and of the layer within the functions', beside all of theirs.

The clock is each process's own CPU clock, so whatever else the machine does changes nothing.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Self

from lambda_local.events import EnvironmentStarted, InvocationEnded, InvocationStarted, ServiceEvent
from neuro_cli.telemetry.metric_totals import Totals

LAYER_METRIC = "lambda_otel.cpu_time"  # by `phase`: `init`, `invocation`
_FILE = "cpu.json"
_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)
_EXTENSIONS_FOLDER = "extensions"


@dataclass(frozen=True)
class ProcessCpu:
    """CPU of a session's processes, in s.

    Attributes
    ----------
    functions_s : float
        Of the functions' processes, the layer in them included.
    extension_start_s, extension_s : float
        Of the extensions' processes: until their first invocation, and after that.
    """

    functions_s: float
    extension_start_s: float
    extension_s: float


@dataclass(frozen=True)
class Cost:
    """CPU of telemetry beside CPU of everything, in s.

    Attributes
    ----------
    processes : ProcessCpu
    layer_init_s, layer_s : float or None
        Of the telemetry layer, in cold starts and in invocations; None: it was not asked to measure itself.
    """

    processes: ProcessCpu
    layer_init_s: float | None
    layer_s: float | None

    @classmethod
    def of(cls, processes: ProcessCpu, totals: Totals) -> Self:
        """The cost by the processes' clocks and by what the layer says of itself in its metrics."""
        if totals.get(LAYER_METRIC) is None:
            return cls(processes, None, None)
        return cls(processes, totals.total(LAYER_METRIC, phase="init"), totals.total(LAYER_METRIC, phase="invocation"))

    def since(self, earlier: "Cost") -> "Cost":
        """What was used after an earlier look."""
        used, before = self.processes, earlier.processes
        processes = ProcessCpu(
            used.functions_s - before.functions_s,
            used.extension_start_s - before.extension_start_s,
            used.extension_s - before.extension_s,
        )
        if self.layer_s is None or self.layer_init_s is None:
            return Cost(processes, None, None)
        init_s = self.layer_init_s - (earlier.layer_init_s or 0)
        return Cost(processes, init_s, self.layer_s - (earlier.layer_s or 0))

    @property
    def everything_s(self) -> float:
        """CPU of all functions and extensions."""
        processes = self.processes
        return processes.functions_s + processes.extension_start_s + processes.extension_s

    @property
    def running_s(self) -> float:
        """The same, less what telemetry adds to cold starts."""
        return self.everything_s - (self.layer_init_s or 0) - self.processes.extension_start_s

    def share(self, part_s: float) -> float:
        """Share of a part in that."""
        return _share(part_s, self.running_s)

    @property
    def running_share(self) -> float | None:
        """Share of telemetry while scans are processed; None if it is not known."""
        if self.layer_s is None:
            return None
        return self.share(self.layer_s + self.processes.extension_s)

    @property
    def whole_share(self) -> float | None:
        """Share of telemetry with its part of the cold starts."""
        if self.layer_s is None or self.layer_init_s is None:
            return None
        processes = self.processes
        telemetry_s = self.layer_s + self.layer_init_s + processes.extension_start_s + processes.extension_s
        return _share(telemetry_s, self.everything_s)


class CpuMeter:
    """Keeps the CPU clocks of the local service's processes, in a file of the session; a subscriber of the service.

    Looked at after every invocation, so what a process that is gone had used by its last one is kept.

    Parameters
    ----------
    folder : Path
        The session's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._environments: set[int] = set()
        self._functions: dict[int, float] = {}
        self._extensions: dict[int, tuple[float, float]] = {}  # first seen, last seen
        self._lock = Lock()

    def __call__(self, event: ServiceEvent) -> None:
        """Look at the clocks when an invocation begins in a new environment, and when one has ended."""
        match event:
            case EnvironmentStarted():
                self._environments.add(event.pid)
            case InvocationStarted(is_cold=True) | InvocationEnded():
                self.look()

    def look(self) -> ProcessCpu:
        """Read all clocks and write the sums."""
        with self._lock:
            for pid, is_extension, seconds in running_processes(self._environments):
                if is_extension:
                    first, _ = self._extensions.get(pid, (seconds, seconds))
                    self._extensions[pid] = (first, seconds)
                else:
                    self._functions[pid] = seconds
            started = sum(first for first, _ in self._extensions.values())
            total = sum(last for _, last in self._extensions.values())
            used = ProcessCpu(sum(self._functions.values()), started, total - started)
            partial = self._path.with_suffix(".partial")
            partial.write_text(json.dumps(asdict(used)) + "\n")
            partial.replace(self._path)
        return used


def read_cost(folder: Path, totals: Totals) -> Cost | None:
    """What a session's telemetry has cost so far; None where that was not measured."""
    try:
        processes = ProcessCpu(**json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return Cost.of(processes, totals)


def running_processes(environments: set[int]) -> Iterator[tuple[int, bool, float]]:
    """Of the functions' and extensions' processes below this one: number, whether it is an extension, CPU in s.

    Parameters
    ----------
    environments : set of int
        Processes of environments, as `EnvironmentStarted` tells them; what they have started counts as theirs.
    """
    parents = dict(_parents())
    for pid in parents:
        ancestors = set(_ancestors(pid, parents))
        if os.getpid() not in ancestors:
            continue
        try:
            program = Path(f"/proc/{pid}/exe").readlink()
            seconds = time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)
        except OSError:  # gone meanwhile
            continue
        is_extension = program.parent.name == _EXTENSIONS_FOLDER
        if is_extension or ({pid} | ancestors) & environments:
            yield pid, is_extension, seconds


def _parents() -> Iterator[tuple[int, int]]:
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                stat = Path(f"/proc/{entry.name}/stat").read_text()
            except OSError:
                continue
            yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while (pid := parents.get(pid, 0)) > 0:
        yield pid


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
