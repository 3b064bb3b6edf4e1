"""The local Lambda service beside AWS's own emulator: the same function, layers and events through both.

What differs is written down here, so that a new difference fails. The emulator has no Telemetry API, so the local
service is run without it too.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lambda_local import Isolation, LambdaService, LogLine, RuntimeConfig, ServiceOptions, load_deployment

from .conftest import ROOT, SAM, sam_environment

LAYERS = ROOT / ".build" / "layers"
CODE = Path(__file__).with_name("contract")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TIMEOUT_S = 5

TEMPLATE = f"""\
Transform: AWS::Serverless-2016-10-31
Resources:
  TelemetryLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: {LAYERS}/TelemetryLayer}}
  CollectorLayer:
    Type: AWS::Serverless::LayerVersion
    Properties: {{ContentUri: {LAYERS}/CollectorLayer}}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: Function # SAM calls it by its logical id in any case
      Runtime: python{VERSION}
      CodeUri: {CODE}
      Handler: app.handler
      Timeout: {TIMEOUT_S}
      MemorySize: 512
      Layers: [!Ref TelemetryLayer, !Ref CollectorLayer]
      Environment:
        Variables:
          AWS_LAMBDA_EXEC_WRAPPER: /opt/otel-instrument
          OTEL_EXPORTER_OTLP_ENDPOINT: http://{{sink}}
          OTEL_EXPORTER_OTLP_COMPRESSION: none
          OTEL_LAMBDA_NOTE_OPEN_SPANS: "true"
          OTEL_SERVICE_NAME: contract
"""

# Set by the one and not by the other, each for a reason of its own.
ONLY_LOCAL = {
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_S3",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_XRAY_CONTEXT_MISSING",
    "OTEL_LAMBDA_COLLECTOR_HOST",
    "PYTHONPATH",
    "TMPDIR",
    "_X_AMZN_TRACE_ID",
}
ONLY_EMULATOR = {
    "AWS_ACCOUNT_ID",
    "AWS_LAMBDA_FUNCTION_HANDLER",
    "AWS_LAMBDA_FUNCTION_TIMEOUT",
    "AWS_LAMBDA_METADATA_API",
    "AWS_LAMBDA_METADATA_TOKEN",
    "AWS_SAM_LOCAL",
    "HOSTNAME",
}
SAME = {
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_EXEC_WRAPPER",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_REGION",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "LANG",
    "ORIG_HANDLER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_SERVICE_NAME",
    "_HANDLER",
}

pytestmark = pytest.mark.timeout(600)


class Sink:
    """An OTLP backend that keeps the spans it takes."""

    def __init__(self, host: str) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    requests.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.address = f"{host}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def take(self) -> list[tuple[Any, ...]]:
        """The spans since the last time, in a form that can be compared."""
        spans = [
            (span.name, span.kind, span.status.code, tuple(sorted(attribute.key for attribute in span.attributes)))
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.end_time_unix_nano
        ]
        self.requests.clear()
        return sorted(spans)


@dataclass
class Run:
    """What came of one event."""

    answer: Any
    log: str
    spans: list[tuple[Any, ...]] = field(default_factory=list)

    def lines(self, start: str) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith(start)]


@pytest.fixture(scope="module")
def sink(gateway: str) -> Iterator[Sink]:
    made = Sink(gateway)
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def template(sink: Sink, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("contract") / "template.yaml"
    file.write_text(TEMPLATE.replace("{sink}", sink.address))
    return file


@pytest.fixture(scope="module")
def emulate(_image: str, template: Path, sink: Sink) -> Any:
    """Runs an event through `sam local invoke`, each in a container of its own."""

    def run(event: dict[str, str]) -> Run:
        (template.parent / "event.json").write_text(json.dumps(event))
        options = ["--template", template, "--event", "event.json", "--region", "us-east-1"]
        done = subprocess.run(
            [SAM, "local", "invoke", "Function", *options, "--skip-pull-image", "--shutdown"],
            cwd=template.parent,
            env=sam_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        answer = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
        return Run(_decoded(answer), done.stderr.replace("\r", "\n"), sink.take())

    return run


@pytest.fixture(scope="module")
def serve(template: Path, sink: Sink, runtime: RuntimeConfig) -> Any:
    """Runs an event through the local service, each in an environment of its own."""

    def run(event: dict[str, str]) -> Run:
        lines: list[str] = []
        options = ServiceOptions(has_telemetry_api=False, isolation=Isolation.NAMESPACES)
        service = LambdaService(load_deployment(template), runtime, options)
        service.subscribe(lambda told: lines.append(told.message) if isinstance(told, LogLine) else None)
        with service:
            result = service.invoke("Function", json.dumps(event).encode())
            assert service.drain(20)
        return Run(_decoded(result.payload.decode()), "\n".join(lines), sink.take())

    return run


@pytest.fixture(scope="module")
def runtime() -> RuntimeConfig:
    return RuntimeConfig(Path(sys._base_executable), ROOT / ".build" / "lambda-runtime")


def _decoded(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return answer


@pytest.fixture(scope="module")
def told(emulate: Any, serve: Any) -> tuple[Run, Run]:
    """The same event through both."""
    event = {"do": "tell", "text": "héllo"}
    return emulate(event), serve(event)


def test_answer_and_context_are_the_same(told: tuple[Run, Run]) -> None:
    names = ("event", "name", "memory_mb", "version", "has_time", "folder", "opt", "layer", "is_read_only")
    emulated, local = (({name: run.answer[name] for name in names}) for run in told)
    assert local == emulated


def test_import_path_is_the_same(told: tuple[Run, Run]) -> None:
    emulated, local = (run.answer["path"][:4] for run in told)
    assert local == emulated


def test_environment_variables_differ_only_where_they_are_known_to(told: tuple[Run, Run]) -> None:
    emulated, local = (run.answer["environment"] for run in told)
    assert set(local) - set(emulated) <= ONLY_LOCAL
    assert set(emulated) - set(local) <= ONLY_EMULATOR
    assert {name: local[name] for name in SAME} == {name: emulated[name] for name in SAME}
    assert local["PATH"].split(":")[1:] == emulated["PATH"].split(":")[1:]  # after the interpreter's own folder


def test_log_has_the_same_lines(told: tuple[Run, Run]) -> None:
    figures = ["Duration", "Billed Duration", "Memory Size", "Max Memory Used"]
    for run in told:
        # SAM attaches to a container's output after its start, and now and then misses the first line.
        assert len(run.lines("START RequestId: ")) == 1 or run is told[0]
        assert run.lines("asked to tell")
        assert len(run.lines("END RequestId: ")) == 1
        (report,) = run.lines("REPORT RequestId: ")
        names = [part.partition(":")[0] for part in report.strip().split("\t")[1:]]
        assert [name for name in names if name != "Init Duration"] == figures
        assert "Init Duration" in names


def test_spans_of_the_extension_are_the_same(told: tuple[Run, Run]) -> None:
    emulated, local = told
    assert [span[0] for span in local.spans] == ["Function", "work"]
    assert local.spans == emulated.spans


def test_error_of_the_handler_is_the_same(emulate: Any, serve: Any) -> None:
    emulated, local = emulate({"do": "raise"}), serve({"do": "raise"})
    assert local.answer["errorType"] == "ValueError"
    for name in ("errorType", "errorMessage", "stackTrace"):
        assert local.answer[name] == emulated.answer[name]
    assert local.spans == emulated.spans


def test_process_that_ends_is_the_same_error(emulate: Any, serve: Any) -> None:
    emulated, local = emulate({"do": "exit"}), serve({"do": "exit"})
    assert local.answer["errorType"] == "Runtime.ExitError"
    assert emulated.answer["errorType"] == local.answer["errorType"]
    reason = "Runtime exited with error: exit status 3"
    assert reason in local.answer["errorMessage"]
    assert reason in emulated.answer["errorMessage"]


def test_timeout_is_told(emulate: Any, serve: Any) -> None:
    emulated, local = emulate({"do": "sleep"}), serve({"do": "sleep"})
    assert local.answer["errorMessage"].endswith(f"Task timed out after {TIMEOUT_S}.00 seconds")
    # SAM's own clock ends the container, and tells nobody but the terminal.
    assert f"timed out after {TIMEOUT_S} seconds" in emulated.log
