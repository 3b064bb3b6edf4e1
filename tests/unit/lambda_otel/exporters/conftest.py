"""A small HTTP API that answers as it is told, and spans to give to exporters."""

import gzip
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Api:
    """Answers each request by the next of `answers`: a status, or a status with headers and a body; 200 at the end."""

    def __init__(self):
        self.answers, self.requests, self.connections = deque(), [], 0
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                api.connections += 1
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                api.requests.append((self.path, dict(self.headers), body))
                status, headers, data = api.next_answer()
                if status == 0:  # hang up
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def next_answer(self):
        answer = self.answers.popleft() if self.answers else 200
        return (answer, {}, b"") if isinstance(answer, int) else answer

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/ingest"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def api():
    made = Api()
    yield made
    made.close()


@pytest.fixture
def make_spans():
    """Ended spans of the real SDK."""

    def make(count=1, **attributes):
        memory = InMemorySpanExporter()
        provider = TracerProvider(resource=Resource({"service.name": "svc"}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(memory))
        tracer = provider.get_tracer("scope", "1.0")
        for number in range(count):
            with tracer.start_as_current_span(f"s{number}", attributes=attributes) as span:
                span.add_event("e", {"k": "v"})
        return list(memory.get_finished_spans())

    return make
