"""Operating system processes: started in groups, read, measured, killed, and never left behind."""

import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lambda_local._output import FrameReader, LineReader, OutputPipe

# By which the runtime finds the descriptor that it writes its framed log records to.
_LOG_DESCRIPTOR = "_LAMBDA_TELEMETRY_LOG_FD"
_PAGE_BYTES = resource.getpagesize()
_MIB = 1024 * 1024


class Guardian:
    """Owns the temporary folder of a service and the process that kills what the service leaves.

    Attributes
    ----------
    root : Path
        Removed at the end.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="lambda-local-"))
        self._lock = threading.Lock()
        script = Path(__file__).with_name("_guardian.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        """Kill this process group if the service dies."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group is gone; its number may be used again."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let the guardian do its duty and end."""
        with self._lock:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(timeout=10)
        shutil.rmtree(self.root, ignore_errors=True)

    def _tell(self, line: str) -> None:
        with self._lock:
            if self._process.stdin is None or self._process.stdin.closed:
                return
            # If someone has killed the guardian: the service cleans up by itself, unless it is killed too.
            with suppress(BrokenPipeError):
                self._process.stdin.write(line)
                self._process.stdin.flush()


class GroupProcess:
    """A process that leads a group of its own, with its output read record by record.

    Parameters
    ----------
    command, environment, folder
        As for `subprocess.Popen`; nothing of the caller's environment is passed on.
    guardian : Guardian
    on_record : callable
        Gets each line of standard output and error, and each record of the log descriptor, from whichever thread read
        it; never two at once.
    on_exit : callable
        Gets the return code (negative: the signal), from the reading thread, when the whole group is dead.
    max_file_bytes : int
        No file may grow larger.
    has_log_descriptor : bool
        Whether the process gets one, as Lambda's runtimes do.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        guardian: Guardian,
        on_record: Callable[[str], None],
        on_exit: Callable[[int], None],
        max_file_bytes: int,
        has_log_descriptor: bool = False,
    ) -> None:
        self._on_exit = on_exit
        self._guardian = guardian
        self._lock = threading.Lock()
        self._is_reaped = False
        output = OutputPipe(LineReader(on_record))
        self._pipes = [output]
        variables, passed = dict(environment), []
        if has_log_descriptor:
            log = OutputPipe(FrameReader(on_record))
            self._pipes.append(log)
            passed.append(log.write_end)
            variables[_LOG_DESCRIPTOR] = str(log.write_end)
        try:
            self._process = subprocess.Popen(
                command,
                env=variables,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output.write_end,
                stderr=output.write_end,
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError:
            self._close_pipes()
            raise
        finally:
            for pipe in self._pipes:
                pipe.close_write_end()
        self.pid = self._process.pid
        guardian.add(self.pid)
        try:
            self._pidfd = os.pidfd_open(self.pid)
            _limit_files(self.pid, max_file_bytes)
            self._thread = threading.Thread(target=self._watch, name=f"process-{self.pid}", daemon=True)
            self._thread.start()
        except BaseException:
            os.killpg(self.pid, signal.SIGKILL)
            guardian.remove(self.pid)
            self._process.wait()
            self._close_pipes()
            raise

    def read_output(self) -> None:
        """Hand on what the process has written up to now, a last record without an end included."""
        with self._lock:
            for pipe in self._pipes:
                pipe.read_all()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the group, if it still lives."""
        with self._lock:
            if not self._is_reaped:
                os.killpg(self.pid, number)

    def kill(self) -> None:
        """Kill the group; `on_exit` follows."""
        self.send(signal.SIGKILL)

    def join(self, timeout_s: float) -> bool:
        """Wait until `on_exit` has been called."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def resident_mb(self) -> int:
        """Resident memory of the process and all that it started, in MiB."""
        total, pending = 0, [self.pid]
        while pending:
            pid = pending.pop()
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pending += [int(child) for child in (task / "children").read_text().split()]
            except (OSError, IndexError):  # it has ended meanwhile
                continue
        return total // _MIB

    def peak_resident_mb(self) -> int:
        """Highest resident memory of the process itself so far, in MiB; 0 once it has ended."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
        return int(kib) * 1024 // _MIB

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        pipes = {pipe.read_end: pipe for pipe in self._pipes}
        for descriptor in pipes:
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            for descriptor in [one for one in pipes if one in ready]:
                with self._lock:
                    is_open = pipes[descriptor].read()
                if not is_open:
                    poll.unregister(descriptor)
                    del pipes[descriptor]
            if self._pidfd in ready:
                break
        with self._lock:
            # The leader is a zombie until it is waited for, so its group's number cannot have been given to others.
            os.killpg(self.pid, signal.SIGKILL)
            self._guardian.remove(self.pid)
            self._process.wait()
            self._is_reaped = True
        self.read_output()
        with self._lock:
            self._close_pipes()
            os.close(self._pidfd)
        self._on_exit(self._process.returncode)

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def _limit_files(pid: int, max_bytes: int) -> None:
    _, allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = max_bytes if allowed == resource.RLIM_INFINITY else min(max_bytes, allowed)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, limit))


def exit_description(return_code: int) -> str:
    """How a process ended, in the words of Lambda."""
    if return_code < 0:
        name = signal.strsignal(-return_code) or f"{-return_code}"
        return f"signal: {name.lower()}"
    return f"exit status {return_code}"
