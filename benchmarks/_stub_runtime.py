"""A Lambda sandbox for measurements: a Runtime API on localhost, and a runtime process that is given events.

Times are of the process's own CPU clock, read when its requests arrive: a shared machine disturbs wall time, not this.
The clock goes on through `exec`, so a wrapper script or a second interpreter counts as what it is, part of the start.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOOTSTRAP = Path(__file__).with_name("_bootstrap.py")
FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:fn"

_CLOCK_OF_PROCESS = 2  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)


@dataclass(frozen=True)
class Mark:
    """One request of the runtime.

    Attributes
    ----------
    kind : str
        `next`, `response`, `error`, `init-error` or `restore`.
    cpu_ms, wall_ms : float
        Since the process was started.
    body : bytes
    """

    kind: str
    cpu_ms: float
    wall_ms: float
    body: bytes = b""


@dataclass
class Sandbox:
    """What one runtime process asked for, and when."""

    marks: list[Mark] = field(default_factory=list)
    output: str = ""
    exit_code: int | None = None

    @property
    def ready_cpu_ms(self) -> float:
        """CPU until the first event was asked for: the cold start."""
        return self.marks[0].cpu_ms

    def before_response_cpu_ms(self, invocation: int) -> float:
        """CPU from an event's delivery to its response."""
        return self.marks[2 * invocation + 1].cpu_ms - self.marks[2 * invocation].cpu_ms

    def invocation_cpu_ms(self, invocation: int) -> float:
        """CPU from an event's delivery to the request for the next one."""
        return self.marks[2 * invocation + 2].cpu_ms - self.marks[2 * invocation].cpu_ms


class RuntimeApi:
    """Serves events in turn, and keeps what comes back.

    When no event is left, `GET next` is answered no more: the sandbox is at its end.
    """

    def __init__(self, events: Sequence[Any], *, deadline_s: float = 60.0, headers: Mapping[str, str] | None = None):
        self.sandbox = Sandbox()
        self.done = threading.Event()
        self._events = [json.dumps(event).encode() for event in events]
        self._deadline_s = deadline_s
        self._headers = dict(headers or {})
        self._pid = 0
        self._started = time.perf_counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def watch(self, pid: int) -> None:
        """Say which process's clock to read."""
        self._pid = pid

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(ConnectionError), connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                path = line.split()[1].decode()
                headers = dict(_header(text) for text in iter(stream.readline, b"\r\n"))
                body = _body(connection, stream, headers)
                if answer := self._answer(path, body):
                    connection.sendall(answer)

    def _answer(self, path: str, body: bytes) -> bytes:
        kind = _kind(path)
        cpu_s = time.clock_gettime(((~self._pid) << 3) | _CLOCK_OF_PROCESS) if self._pid else 0.0
        self.sandbox.marks.append(Mark(kind, cpu_s * 1e3, (time.perf_counter() - self._started) * 1e3, body))
        if kind == "next":
            if self._events:
                return self._event(self._events.pop(0))
            self.done.set()
            return b""
        if kind == "restore":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    def _event(self, event: bytes) -> bytes:
        number = sum(mark.kind == "next" for mark in self.sandbox.marks)
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": f"8476a536-e9f4-11e8-9739-{number:012x}",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self._deadline_s) * 1e3)),
            "Lambda-Runtime-Invoked-Function-Arn": FUNCTION_ARN,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{number:024x};Parent={number:016x};Sampled=0",
            "Content-Length": str(len(event)),
        } | self._headers
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + event


def run_sandbox(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    events: Sequence[Any],
    *,
    timeout_s: float = 60.0,
    deadline_s: float = 60.0,
    headers: Mapping[str, str] | None = None,
) -> Sandbox:
    """Run a runtime process through some events and end it.

    Parameters
    ----------
    command : sequence
        What Lambda would execute; wrapper scripts included.
    env : mapping
        The whole environment; `AWS_LAMBDA_RUNTIME_API` is added.
    events : sequence
        One invocation each.
    timeout_s : float
        Real time for all of it.
    deadline_s : float
        What the runtime is told as the deadline of each invocation; it is not enforced.
    headers : mapping, optional
        Added to what comes with each event.

    Raises
    ------
    TimeoutError
        The process neither came to its end nor asked for all events in time.
    """
    api = RuntimeApi(events, deadline_s=deadline_s, headers=headers)
    process = subprocess.Popen(
        [str(word) for word in command],
        env={**env, "AWS_LAMBDA_RUNTIME_API": api.address},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=env["LAMBDA_TASK_ROOT"],
        start_new_session=True,
    )
    api.watch(process.pid)
    threading.Thread(target=lambda: (process.wait(), api.done.set()), daemon=True).start()
    is_done = api.done.wait(timeout_s)
    exit_code = process.poll()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=timeout_s)
    api.close()
    api.sandbox.output, api.sandbox.exit_code = output.decode(errors="replace"), exit_code
    if not is_done:
        raise TimeoutError(f"{command} was not done after {timeout_s} s: {api.sandbox}")
    return api.sandbox


def sandbox_env(
    python: str, *, runtime: Path, task: Path, handler: str, opt: Path | None = None, **more: str
) -> dict[str, str]:
    """The environment of a function, as Lambda sets it.

    Parameters
    ----------
    python : str
        `3.13`
    runtime : Path
        Folder with `awslambdaric`, in place of `/var/runtime`.
    task : Path
        The function's code, in place of `/var/task`.
    handler : str
    opt : Path, optional
        The layers, in place of `/opt`.
    **more : str
        Further variables.
    """
    env = {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": "/tmp",
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(runtime),
        "_HANDLER": handler,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": "fn",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]0123456789abcdef",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{python}",
        "PYTHONDONTWRITEBYTECODE": "1",  # /opt and /var/task are read-only there
        "LAMBDA_OPT": str(opt or "/nonexistent"),
    }
    return env | more


def _kind(path: str) -> str:
    if path.endswith("/invocation/next"):
        return "next"
    if path.endswith("/init/error"):
        return "init-error"
    if path.endswith("/restore/next"):
        return "restore"
    return path.rsplit("/", 1)[1]


def _header(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.strip().lower(), value.strip()


def _body(connection: socket.socket, stream: Any, headers: Mapping[str, str]) -> bytes:
    if "expect" in headers:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding") != "chunked":
        return bytes(stream.read(int(headers.get("content-length", 0))))
    chunks = []
    while size := int(stream.readline(), 16):
        chunks.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(chunks)
