"""The real extension under AWS's own emulator, without Docker: the emulator in a sandbox, a small runtime, a sink."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

from ...ports import free_port

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
MACHINE = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
Lack = Callable[[str], NoReturn]
_NUMBERS = itertools.count(1)
EMULATORS = sorted(ROOT.glob(f".venv-sam/lib/python3*/site-packages/samcli/local/rapid/aws-lambda-rie-{MACHINE}"))


@pytest.fixture(scope="session")
def extension_binary(tmp_path_factory: pytest.TempPathFactory, lack: Lack) -> Path:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        lack("the extension is built with Go, which is not installed")
    binary = tmp_path_factory.mktemp("extension") / "collector"
    command = [go, "build", "-trimpath", "-tags", "grpcnotrace", "-o", str(binary), "./cmd/extension"]
    subprocess.run(command, cwd=ROOT / "collector", env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    return binary


class Sink:
    """An OTLP backend that keeps the requests it takes."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def await_bytes(self, wanted: bytes, timeout_s: float = 5.0) -> bytes:
        """The first request that holds some bytes."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            for body in list(self.bodies):
                if wanted in body:
                    return body
            time.sleep(0.01)
        raise AssertionError(f"`{wanted!r}` did not arrive within {timeout_s} s")


@pytest.fixture
def sink() -> Iterator[Sink]:
    s = Sink()
    yield s
    s.server.shutdown()
    s.server.server_close()


class Emulator:
    """AWS's Runtime Interface Emulator with the extension in /opt/extensions."""

    def __init__(
        self, emulator: Path, extension: Path, sink: Sink, folder: Path, timeout_s: int, lack: Lack, *, has_layer: bool
    ) -> None:
        self._lack = lack
        self.port = free_port()
        # the layer knows the Collector by its address and the usual port; an address of loopback is free for sure
        host, otlp = (
            (f"127.{os.getpid() % 250 + 1}.{next(_NUMBERS)}.1", 4318) if has_layer else ("127.0.0.1", free_port())
        )
        self.log = folder / "log"
        opt, tmp = folder / "opt", folder / "tmp"
        (opt / "extensions").mkdir(parents=True)
        tmp.mkdir()
        shutil.copy(extension, opt / "extensions" / "collector")
        config = (
            f'{{receivers: {{otlp: {{protocols: {{http: {{endpoint: "{host}:{otlp}"}}}}}}}}, '
            f'exporters: {{otlp_http: {{endpoint: "http://127.0.0.1:{sink.port}", compression: none}}}}, '
            "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}}"
        )
        variables = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_s),
            "AWS_REGION": "eu-west-1",
            "AWS_SAM_LOCAL": "true",
            "OPENTELEMETRY_COLLECTOR_CONFIG_URI": f"yaml:{config}",
            "OTLP_PORT": str(otlp),
        }
        runtime = [os.path.realpath(sys.executable), "/var/task/runtime.py"]
        if has_layer:
            paths = ["/var/task", str(ROOT / "layers" / "telemetry"), sysconfig.get_path("purelib")]
            variables |= {
                "PYTHONPATH": ":".join(paths),
                "_HANDLER": "layered.handler",
                "OTEL_LAMBDA_COLLECTOR_HOST": host,
                "OTEL_LAMBDA_NOTE_OPEN_SPANS": "true",
            }
            wrapper = str(ROOT / "layers" / "telemetry" / "otel-instrument")
            runtime = ["/bin/sh", wrapper, runtime[0], "-m", "awslambdaric", "layered.handler"]
        command = ["bwrap", "--die-with-parent", "--unshare-pid", "--as-pid-1", "--clearenv"]
        command += ["--bind", str(tmp), "/tmp"]  # before the checkout, which may lie below it
        for path in ("/usr", "/etc", sys.base_prefix, str(ROOT)):
            command += ["--ro-bind", path, path]
        for link in ("bin", "lib", "lib64"):
            command += ["--symlink", f"usr/{link}", f"/{link}"]
        command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/var", "--info-fd", "2"]
        command += ["--ro-bind", str(opt), "/opt", "--ro-bind", str(HERE), "/var/task"]
        command += ["--ro-bind", str(emulator), "/var/rapid/aws-lambda-rie"]
        for name, value in variables.items():
            command += ["--setenv", name, value]
        command += ["/var/rapid/aws-lambda-rie", "--log-level", "error"]
        command += ["--runtime-interface-emulator-address", f"127.0.0.1:{self.port}"]
        command += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
        command += runtime
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self._await_port()

    def _await_port(self) -> None:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self._lack(f"the emulator cannot run here: {self.log.read_text()[-400:]}")

    def invoke(self, event: object) -> tuple[int, str, float]:
        """Status, body, and seconds until the answer, for which the emulator waits for the extension."""
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(event))
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body, time.monotonic() - began

    def stop(self) -> None:
        """SIGTERM to the emulator itself, which then tells the extension that the environment ends."""
        info = self.log.read_text()
        child = json.loads(info[info.index("{") : info.index("}") + 1])["child-pid"]
        os.kill(child, signal.SIGTERM)
        self.process.wait(timeout=5)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def emulator(extension_binary: Path, sink: Sink, tmp_path: Path, lack: Lack) -> Iterator[Callable[..., Emulator]]:
    """Starts the emulator with a function timeout in seconds, around a runtime of ours or the telemetry layer."""
    program = next(iter(EMULATORS), None)
    if program is None or shutil.which("bwrap") is None:
        lack("needs the emulator that comes with the SAM CLI, and bubblewrap")
    started: list[Emulator] = []

    def start(timeout_s: int, *, has_layer: bool = False) -> Emulator:
        started.append(Emulator(program, extension_binary, sink, tmp_path, timeout_s, lack, has_layer=has_layer))
        return started[-1]

    yield start
    for e in started:
        e.close()
