"""The real boto3 with the hook on it, against a service of ours that keeps every request, or against moto."""

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import botocore.client
import pytest
import s3transfer.futures
from botocore.config import Config
from moto import mock_aws
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lambda_otel import aws
from lambda_otel.export.drops import Drops
from lambda_otel.propagation import install_propagators
from lambda_otel.settings import Settings

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"


class Service:
    """Takes AWS requests, and answers each by the next of `answers` (status, body), else by what S3 would say.

    Every object has the same `metadata`.
    """

    def __init__(self):
        self.requests, self.answers, self.metadata, self._lock = [], deque(), {}, threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with service._lock:
                    service.requests.append((self.command, self.path, dict(self.headers.items()), body))
                    status, answer = service.answers.popleft() if service.answers else (200, None)
                if answer is None:
                    answer = UPLOAD if "uploads" in self.path else b""
                self.send_response(status)
                self.send_header("ETag", '"e"')
                self.send_header("x-amz-request-id", "R1")
                self.send_header("x-amz-id-2", "H1")
                for name, value in service.metadata.items():
                    self.send_header(f"x-amz-meta-{name}", value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815  names of http.server

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # a process of a test that ended in between
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def headers(self, path):
        """Of the requests whose path contains a text, names in lower case."""
        return [
            {name.lower(): value for name, value in headers.items()}
            for _, where, headers, _ in self.requests
            if path in where
        ]

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service():
    made = Service()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def ended():
    return InMemorySpanExporter()


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def tracer(ended, drops, monkeypatch):
    """botocore and s3transfer are hooked while the test runs."""
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    base, executor = botocore.client.BaseClient, s3transfer.futures.BoundedExecutor
    monkeypatch.setattr(base, "_make_api_call", base._make_api_call)
    monkeypatch.setattr(executor, "submit", executor.submit)
    before = propagate.get_global_textmap()
    install_propagators(("tracecontext", "baggage"), drops)
    aws.install(Settings({}), drops)
    yield provider.get_tracer("t")
    propagate.set_global_textmap(before)


@pytest.fixture
def moto():
    with mock_aws():
        yield


@pytest.fixture
def client(tracer, service):
    """Make a client of the recording service."""

    def make(name, **config):
        return boto3.client(name, endpoint_url=service.endpoint, config=Config(**config))

    return make
