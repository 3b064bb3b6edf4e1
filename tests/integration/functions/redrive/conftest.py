"""A bucket of handed-over telemetry in this process, and a backend on loopback that answers as it is told."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pipeline import logs
from redrive import backend as backend_module
from redrive import bucket as bucket_module
from redrive import settings
from redrive.wire import Signal, write_field

BUCKET = "neuro-preprocess-telemetry"
FOLDER = "telemetry/conform/2026/11/20"


@dataclass(frozen=True)
class Reply:
    """What the backend says to a request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_s: float = 0.0
    is_reset: bool = False


@dataclass
class Request:
    """One request as it came, its body unpacked."""

    path: str
    headers: dict[str, str]
    body: bytes


class FakeBackend:
    """Answers by `answer(request)`, and keeps what it answered with 2xx."""

    def __init__(self) -> None:
        self.answer: Callable[[Request], Reply] = lambda _request: Reply()
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.connections = 0
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                fake.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                request = Request(self.path, dict(self.headers), body)
                fake.requests.append(request)
                reply = fake.answer(request)
                time.sleep(reply.hang_s)
                if reply.is_reset:
                    self.close_connection = True
                    return
                if 200 <= reply.status < 300:
                    fake.taken.append(request)
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

            def handle(self) -> None:
                with contextlib.suppress(ConnectionError):  # a client that gave up
                    super().handle()

            def log_message(self, *_: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def spans(self) -> list[str]:
        """Names of the spans that were taken."""
        return [
            span.name
            for request in self.taken
            if request.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(request.body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def traces(*names: str) -> tuple[Signal, bytes]:
    """A request of one resource and one scope."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for name in names:
        scope.spans.add(name=name, span_id=b"12345678")
    return Signal.TRACES, request.SerializeToString()


def log_lines(*lines: str) -> tuple[Signal, bytes]:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for line in lines:
        records.add().body.string_value = line
    return Signal.LOGS, request.SerializeToString()


def counts(*values: int) -> tuple[Signal, bytes]:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="a.count")
    for value in values:
        metric.sum.data_points.add(as_int=value)
    return Signal.METRICS, request.SerializeToString()


def bundle(*requests: tuple[Signal, bytes]) -> bytes:
    """A handed-over object, packed by no code of ours but the field."""
    return gzip.compress(b"".join(write_field(signal, content) for signal, content in requests))


class Telemetries:
    """The bucket, and what tests ask of it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        client.create_bucket(Bucket=BUCKET)

    def put(self, content: bytes, name: str = "101530.123-an-instance.otlp.gz", folder: str = FOLDER) -> str:
        key = f"{folder}/{name}"
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return key

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    def keys(self) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", ())]

    @staticmethod
    def event(*keys: str, bucket: str = BUCKET) -> dict[str, Any]:
        return {
            "Records": [
                {
                    "eventSource": "aws:s3",
                    "eventName": "ObjectCreated:Put",
                    "eventTime": "2026-11-20T10:15:30.123Z",
                    "s3": {
                        "bucket": {"name": bucket},
                        "object": {"key": key, "size": 1, "eTag": "", "sequencer": "00"},
                    },
                }
                for key in keys
            ]
        }


def _forget_process_state() -> None:
    for cached in (
        settings.source,
        settings.target,
        backend_module.backend,
        bucket_module.telemetry_bucket,
        logs.logger,
    ):
        cached.cache_clear()
    logging.Logger.manager.loggerDict.pop("neuro-preprocess", None)  # its handler holds the last test's output


@pytest.fixture
def fake_backend() -> Iterator[FakeBackend]:
    fake = FakeBackend()
    yield fake
    fake.close()


@pytest.fixture
def handed_over(monkeypatch, fake_backend) -> Iterator[Telemetries]:
    monkeypatch.setenv("OTEL_LAMBDA_REDRIVE_URI", f"s3://{BUCKET}/telemetry")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", fake_backend.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "X-Scope-OrgID=lab")
    _forget_process_state()
    with mock_aws():
        yield Telemetries(boto3.client("s3"))
    _forget_process_state()


class Clock(SimpleNamespace):
    """A Lambda context whose remaining time a test sets."""

    aws_request_id = "e4b46cbf-b738-4880-bb70-b90e25d47b1c"
    remaining_s = 60.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining_s * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make() -> SimpleNamespace:
    """What to put into the bucket."""
    return SimpleNamespace(traces=traces, log_lines=log_lines, counts=counts, bundle=bundle, reply=Reply)
