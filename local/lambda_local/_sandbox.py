"""What the processes of an environment see of the file system, and the address that is theirs.

Two ways. In `namespaces`, each process gets Lambda's own folders by mounts that only it sees. In `paths`, the folders
stay where they are and the environment variables name them. `/opt` is the function's layers laid over each other in
both.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from lambda_local._layers import LayerPart, lay_over
from lambda_local.errors import IsolationError
from lambda_local.resources import FunctionSpec

_ENTER = Path(__file__).with_name("_enter.py")
_HIDDEN = (Path("/tmp"), Path("/var"))  # noqa: S108 - over these something is mounted
_LAYERS = Path("/var/layers")
_HOSTS = Path("/etc/hosts")
_PROBE_LIMIT_S = 10.0
_FACTS_SCRIPT = """
import os, sys
print("%d.%d" % sys.version_info[:2], sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable)), sep="\\n")
"""


class Isolation(StrEnum):
    """How an environment's folders are told from the host's."""

    AUTO = "auto"  # namespaces where they are possible, else paths
    NAMESPACES = "namespaces"  # `/var/task`, `/opt` and `/tmp` are mounted, for the environment alone
    PATHS = "paths"  # environment variables name the folders


@dataclass(frozen=True)
class RuntimeConfig:
    """What stands for AWS's Python runtime.

    Attributes
    ----------
    python : Path
        The interpreter, whose own site-packages the functions do not see.
    runtime_dir : Path
        Stands for `/var/runtime`: a folder with `awslambdaric` and boto3, as `pip install --target` makes it.
    """

    python: Path
    runtime_dir: Path

    @property
    def version(self) -> str:
        """Of the interpreter: `3.13`."""
        return _facts(self.python)[0]

    def folders(self) -> tuple[Path, ...]:
        """Those that the interpreter needs."""
        return (self.python.parent, self.python.parent.parent, *map(Path, _facts(self.python)[1:]))


@dataclass(frozen=True)
class Sandbox:
    """The folders of one environment.

    Attributes
    ----------
    task_dir, opt_dir, tmp_dir, runtime_dir : str
        As its processes name them.
    address : str
        A loopback address of its own: what listens there has all ports to itself.
    plan : mapping or None
        What `_enter.py` mounts.
    """

    task_dir: str
    opt_dir: str
    tmp_dir: str
    runtime_dir: str
    address: str
    plan: str | None

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs another within these folders."""
        if self.plan is None:
            return list(command)
        return [sys.executable, "-I", "-S", "-B", str(_ENTER), self.plan, *command]

    @property
    def folder(self) -> Path:
        """Where a command is to be started: the task's, unless it is entered later."""
        return Path(self.task_dir) if self.plan is None else Path("/")


class Sandboxes:
    """Makes the folders of a service's environments.

    Parameters
    ----------
    root : Path
        A temporary folder.
    runtime : RuntimeConfig
    isolation : Isolation

    Attributes
    ----------
    isolation : Isolation
        What was found to be possible: never `AUTO`.

    Raises
    ------
    IsolationError
        Namespaces are asked for and not possible.
    """

    def __init__(self, root: Path, runtime: RuntimeConfig, isolation: Isolation) -> None:
        self._root = root
        self._runtime = runtime
        self._lock = threading.Lock()
        self._merged: dict[tuple[Path, ...], Path] = {}
        self.isolation = Isolation.NAMESPACES if isolation is Isolation.AUTO else isolation
        if self.isolation is Isolation.NAMESPACES and (reason := self._why_no_namespaces()):
            if isolation is Isolation.NAMESPACES:
                raise IsolationError(f"environments cannot have namespaces of their own: {reason}")
            self.isolation = Isolation.PATHS

    def open(self, function: FunctionSpec, environment_id: str, folder: Path) -> Sandbox:
        """The folders of a new environment.

        Parameters
        ----------
        function : FunctionSpec
        environment_id : str
            Hexadecimal. The address is made of it.
        folder : Path
            Made here; what is in it belongs to the environment, `/tmp` above all. It is the caller's to remove.
        """
        temp_dir = folder / "tmp"
        temp_dir.mkdir(parents=True)
        opt = self._opt(function.layer_dirs)
        # 127.0.0.0/8 is all loopback, and in Linux all of it can be listened on without being set up first.
        second, third, fourth = (1 + int(environment_id[at : at + 2], 16) % 254 for at in (0, 2, 4))
        address = f"127.{second}.{third}.{fourth}"
        if self.isolation is Isolation.PATHS:
            runtime_dir = str(self._runtime.runtime_dir)
            names = (str(function.code_dir), str(opt), str(temp_dir), runtime_dir)
            return Sandbox(*names, address, None)
        hosts = folder / "hosts"
        known = _HOSTS.read_text() if _HOSTS.is_file() else "127.0.0.1 localhost\n"
        hosts.write_text(f"{address} sandbox.localdomain sandbox\n{known}")
        plan = self._plan(function.code_dir, opt, temp_dir, function.layer_dirs, hosts)
        names = ("/var/task", "/opt", "/tmp", "/var/runtime")  # noqa: S108
        return Sandbox(*names, address, plan)

    def _opt(self, layer_dirs: tuple[Path, ...]) -> Path:
        with self._lock:
            if layer_dirs not in self._merged:
                folder = self._root / "opt" / str(len(self._merged))
                is_mounted = self.isolation is Isolation.NAMESPACES
                parts = [
                    LayerPart(source, _LAYERS / str(number) if is_mounted else source)
                    for number, source in enumerate(layer_dirs)
                ]
                lay_over(parts, folder)
                self._merged[layer_dirs] = folder
            return self._merged[layer_dirs]

    def _plan(self, code: Path, opt: Path, temp_dir: Path, layers: Sequence[Path], hosts: Path | None) -> str:
        binds = [
            (temp_dir, "/tmp", False),  # noqa: S108
            (opt, "/opt", True),
            (code, "/var/task", True),
            (self._runtime.runtime_dir, "/var/runtime", True),
            *((layer, str(_LAYERS / str(number)), True) for number, layer in enumerate(layers)),
        ]
        if hosts is not None and _HOSTS.is_file():
            binds.append((hosts, str(_HOSTS), True))
        # The interpreter and this package may lie below a folder that something is mounted over.
        needed = {path for path in (*self._runtime.folders(), _ENTER.parent) if _is_hidden(path)}
        plan = {
            "empty": ["/var"],
            "binds": [(str(source), target, is_read_only) for source, target, is_read_only in binds],
            "kept": sorted(str(path) for path in needed),
            "directory": "/var/task",
        }
        return json.dumps(plan)

    def _why_no_namespaces(self) -> str:
        """Try; why they are not possible, or nothing."""
        if any(path.is_relative_to("/opt") for path in (*self._runtime.folders(), _ENTER.parent)):
            return "the interpreter, or this package, lies below `/opt`"
        folders = {name: self._root / "probe" / name for name in ("task", "opt", "tmp")}
        for name, folder in folders.items():
            folder.mkdir(parents=True)
            (folder / name).touch()
        plan = self._plan(folders["task"], folders["opt"], folders["tmp"], (), None)
        sandbox = Sandbox("", "", "", "", "", plan)
        script = "import os; assert all(map(os.path.exists, ('/var/task/task', '/opt/opt', '/tmp/tmp')))"
        try:
            tried = subprocess.run(
                sandbox.command([str(self._runtime.python), "-S", "-c", script]),
                capture_output=True,
                text=True,
                timeout=_PROBE_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no process started in one within {_PROBE_LIMIT_S:.0f} s"
        return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["it ended"])[-1]


def _is_hidden(path: Path) -> bool:
    return any(path.is_relative_to(hidden) for hidden in _HIDDEN)


@cache
def _facts(python: Path) -> tuple[str, ...]:
    shown = subprocess.run([python, "-I", "-S", "-c", _FACTS_SCRIPT], capture_output=True, text=True, check=True)
    return tuple(shown.stdout.splitlines())
