"""The built telemetry layer and the built Collector extension, as they run on Lambda: what arrives at a backend."""

import gzip
import json
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from lambda_local import BucketSpec, Isolation, LambdaService, ServiceOptions

LAYERS = Path(__file__).parents[3] / ".build" / "layers"
BUCKET = "left-over"


class Sink:
    """An OTLP backend that keeps the spans it takes."""

    def __init__(self):
        self.spans = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                        spans.extend(span for scope in resource.scope_spans for span in scope.spans)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def named(self, name):
        return [span for span in self.spans if span.name == name]


@pytest.fixture
def sink():
    made = Sink()
    yield made
    made.close()


@pytest.fixture(params=[Isolation.NAMESPACES, Isolation.PATHS])
def serve(request, deployment, runtime, sink, has_namespaces, lack):
    """Starts a service of one function with both layers."""
    if not (LAYERS / "CollectorLayer" / "extensions" / "collector").exists():
        lack("the layers have not been built: `make layers`")
    if request.param is Isolation.NAMESPACES and not has_namespaces:
        lack("no mount namespace can be made here")
    services = []

    def start(endpoint=None, **options):
        function = replace(
            deployment.functions["act"],
            handler="traced.handler",
            memory_mb=512,
            layer_dirs=(LAYERS / "TelemetryLayer", LAYERS / "CollectorLayer"),
            environment={
                "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
                "OTEL_LAMBDA_NOTE_OPEN_SPANS": "true",
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint or sink.url,
                "OTEL_LAMBDA_HANDOFF_URI": f"s3://{BUCKET}/telemetry",
            },
        )
        alone = replace(
            deployment, functions={"act": function}, buckets=(BucketSpec(BUCKET),), mappings=(), rules=(), queues=()
        )
        service = LambdaService(alone, runtime, ServiceOptions(isolation=request.param, **options))
        service.start()
        services.append(service)
        return service

    yield start
    for service in services:
        service.stop()


def invoke(service, **event):
    return service.invoke("act", json.dumps(event).encode())


@pytest.mark.parametrize("has_telemetry_api", [True, False])
def test_spans_arrive_through_the_extension(serve, sink, has_telemetry_api):
    service = serve(has_telemetry_api=has_telemetry_api)
    for number in range(3):
        assert invoke(service, span=f"work-{number}").payload == b'"done"'
    assert service.drain(10)
    service.stop()
    roots = sink.named("act")
    assert len(roots) == 3
    for number in range(3):
        (span,) = sink.named(f"work-{number}")
        assert span.parent_span_id in {root.span_id for root in roots}


@pytest.mark.parametrize("do", ["hang", "exit"])
def test_invocation_that_is_ended_still_has_its_span(serve, sink, do):
    service = serve()
    assert invoke(service, span="fine").function_error is None
    assert invoke(service, span="cut short", do=do).function_error == "Unhandled"
    assert service.drain(20)
    assert invoke(service, span="again").function_error is None
    assert service.drain(10)
    service.stop()
    roots = [span for span in sink.named("act") if span.end_time_unix_nano]
    assert len(roots) == 3
    (failed,) = [span for span in roots if span.status.code == Status.STATUS_CODE_ERROR]
    (error_type,) = [attribute.value.string_value for attribute in failed.attributes if attribute.key == "error.type"]
    assert error_type == {"hang": "timeout", "exit": "Runtime.ExitError"}[do]
    assert (len(sink.named("fine")), len(sink.named("again"))) == (1, 1)


def test_handler_that_raises_ends_its_spans_itself(serve, sink):
    service = serve()
    for _ in range(3):
        assert invoke(service, span="raising", do="raise").function_error == "Unhandled"
        assert service.drain(10)
    assert invoke(service, span="fine").function_error is None
    assert service.drain(10)
    service.stop()
    assert Counter(span.name for span in sink.spans if span.name != "init act") == {
        "act": 4,
        "raising": 3,
        "fine": 1,
        "going on": 3,
    }
    assert not any(span.status.code == Status.STATUS_CODE_ERROR for span in sink.named("going on"))
    errors = [span.status.message for span in sink.named("act") if span.status.code == Status.STATUS_CODE_ERROR]
    assert errors == ["ValueError: raising"] * 3


def test_what_cannot_be_delivered_is_in_the_bucket_when_the_environment_ends(serve, eventually):
    service = serve(endpoint="http://127.0.0.1:9", idle_s=1.0)
    s3 = service.s3.client()
    assert invoke(service, span="kept").function_error is None
    eventually(lambda: s3.list_objects_v2(Bucket=BUCKET).get("KeyCount"))
    (stored,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    body = gzip.decompress(s3.get_object(Bucket=BUCKET, Key=stored["Key"])["Body"].read())
    assert b"kept" in body
