"""A Collector of ours that can misbehave, and real runtime processes with the layer."""

import contextlib
import importlib.util
import os
import socket
import struct
import sys
import sysconfig
import threading
import time
import zlib
from collections import deque
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parents[3]
MESSAGES = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def status(code):
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % code


class Collector:
    """Takes OTLP requests and answers each by the next of `answers`, and by 200 when there is none left.

    An answer is bytes to send, `"hang"` (no answer, ever), `"close"`, or a number of seconds to wait before a 200.
    """

    def __init__(self, answers=(), port=0):
        self.answers = deque(answers)
        self.requests = []
        self.connections = 0
        self._sockets = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def messages(self, path):
        return [MESSAGES[path].FromString(body) for where, _, body in self.requests if where == path]

    def spans(self):
        return [
            span
            for message in self.messages("/v1/traces")
            for of_resource in message.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def records(self):
        return [
            record
            for message in self.messages("/v1/logs")
            for of_resource in message.resource_logs
            for of_scope in of_resource.scope_logs
            for record in of_scope.log_records
        ]

    def metrics(self):
        return [
            metric
            for message in self.messages("/v1/metrics")
            for of_resource in message.resource_metrics
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
        ]

    def wait_for(self, count):
        until = time.monotonic() + 5
        while len(self.requests) < count and time.monotonic() < until:
            time.sleep(0.002)
        assert len(self.requests) >= count

    def break_connections(self):
        for connection in self._sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.close()
        self.break_connections()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection.makefile("rb") as stream:
                while line := stream.readline():
                    headers = {}
                    while (field := stream.readline()) != b"\r\n":
                        name, _, value = field.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    self.requests.append(
                        (line.split()[1].decode(), headers, stream.read(int(headers["content-length"])))
                    )
                    if not self._answer(connection):
                        return
        except (OSError, ValueError):
            return

    def _answer(self, connection):
        answer = self.answers.popleft() if self.answers else OK
        if answer == "close":
            connection.shutdown(socket.SHUT_RDWR)
            return False
        if isinstance(answer, float):
            time.sleep(answer)
            answer = OK
        if answer != "hang":
            connection.sendall(answer)
        return True


def read_notes(spool):
    """What processes have noted of open spans: for each the invocation's id, and the spans."""
    notes = []
    for path in sorted((spool / "open").glob("*.spans")):
        content = path.read_bytes()
        checksum, length = struct.unpack_from("<II", content)
        body = content[8 : 8 + length]
        assert zlib.crc32(body) == checksum
        request = MESSAGES["/v1/traces"].FromString(body[1 + body[0] :])
        spans = [span for rs in request.resource_spans for ss in rs.scope_spans for span in ss.spans]
        notes.append((body[1 : 1 + body[0]].decode(), spans))
    return notes


@pytest.fixture
def collectors():
    made = []

    def make(*args, **kwargs):
        made.append(Collector(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def collector(collectors):
    return collectors()


@pytest.fixture(scope="session")
def stub_runtime():
    spec = importlib.util.spec_from_file_location("_stub_runtime", ROOT / "benchmarks" / "_stub_runtime.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_stub_runtime"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run_function(tmp_path, stub_runtime, collector):
    """Run a function's source through events, in a real runtime process, with the layer or without."""
    task, opt = tmp_path / "task", tmp_path / "opt"
    task.mkdir()
    (opt / "python").mkdir(parents=True)
    (opt / "python" / "lambda_otel").symlink_to(ROOT / "layers" / "telemetry" / "lambda_otel")
    packages = Path(sysconfig.get_path("purelib"))

    def run(source, events, *, with_layer=True, handler="app.handler", headers=None, deadline_s=60.0, **more):
        if source is not None:
            (task / "app.py").write_text(source)
        env = stub_runtime.sandbox_env(
            f"{sys.version_info.major}.{sys.version_info.minor}",
            runtime=packages,
            task=task,
            handler=handler,
            opt=opt,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_LAMBDA_ACK_TIMEOUT="2000",  # what was sent has arrived, however busy the machine is
        )
        env |= {"PATH": os.environ["PATH"], **more}
        command = [sys.executable, stub_runtime.BOOTSTRAP]
        if with_layer:
            command.insert(0, ROOT / "layers" / "telemetry" / "otel-instrument")
        return stub_runtime.run_sandbox(command, env, events, timeout_s=30, headers=headers, deadline_s=deadline_s)

    return run
