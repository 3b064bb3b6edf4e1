"""What a function names in its variables, in a real runtime process with the layer."""

import hashlib
import hmac
import json
import socket

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

WORK = """
import logging
from opentelemetry import trace

logging.getLogger().setLevel(logging.INFO)


def handler(event, context):
    with trace.get_tracer("app").start_as_current_span("work", attributes={"user_id": "u1", "kept": "k"}) as span:
        span.add_event("seen", {"user_id": "u1"})
        logging.getLogger("app").info("did it", extra={"user_id": "u1"})
    return "done"
"""
RESPONSES = [b'"done"']


@pytest.fixture
def task(tmp_path, run_function):
    """The function's folder."""
    return tmp_path / "task"


def attributes(of):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in of.attributes}


def responses(sandbox):
    return [mark.body for mark in sandbox.marks if mark.kind == "response"]


def warnings(sandbox):
    return [line for line in sandbox.output.splitlines() if "[WARNING]" in line]


def file_spans(folder):
    lines = (folder / "traces.jsonl").read_text().splitlines()
    return [
        span
        for line in lines
        for of_resource in json.loads(line)["resourceSpans"]
        for of_scope in of_resource["scopeSpans"]
        for span in of_scope["spans"]
    ]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# span processors


PROCESSORS = """
from opentelemetry.sdk.trace import SpanProcessor

ended = []


class Tagging(SpanProcessor):
    def on_start(self, span, parent_context=None):
        span.set_attribute("tagged", span.name)

    def on_end(self, span):
        print("ended", span.name, dict(span.attributes).get("user_id"))


class Broken(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("mine")


class Keeping(SpanProcessor):
    kept = []

    def on_end(self, span):
        self.kept.append(span.name)

    def force_flush(self, timeout_millis=30000):
        print("flushed", self.kept, timeout_millis)
        return True
"""


def test_processors_of_the_functions_own_see_every_span(run_function, collector, task):
    (task / "enrich.py").write_text(PROCESSORS)

    sandbox = run_function(WORK, [{}], OTEL_LAMBDA_SPAN_PROCESSORS="enrich:Tagging,enrich:Keeping")

    assert {span.name: attributes(span)["tagged"] for span in collector.spans()} == {"work": "work", "fn": "fn"}
    printed = sandbox.output.splitlines()
    assert "ended work u1" in printed
    assert "flushed ['work', 'fn'] 2000" in printed
    assert responses(sandbox) == RESPONSES


def test_processor_that_fails_or_is_not_there_harms_nothing(run_function, collector, task):
    (task / "enrich.py").write_text(PROCESSORS)

    sandbox = run_function(
        WORK, [{}, {}], OTEL_LAMBDA_SPAN_PROCESSORS="enrich:Broken,enrich:Gone,nowhere:X,enrich:Tagging"
    )

    assert responses(sandbox) == RESPONSES * 2
    assert [attributes(span)["tagged"] for span in collector.spans()] == ["work", "fn"] * 2
    assert sum("`enrich:Broken` failed, which is told once" in line for line in warnings(sandbox)) == 1
    assert sum("enrich:Gone" in line for line in warnings(sandbox)) == 1
    assert sum("nowhere:X" in line for line in warnings(sandbox)) == 1


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    writer = MMDBWriter(4, "Test-City")
    writer.insert_network(IPSet(["185.70.40.0/24"]), {"country": {"iso_code": "CH"}})
    path = tmp_path_factory.mktemp("geo") / "city.mmdb"
    writer.to_db_file(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("filters", "address"),
    [({}, "185.70.40.9"), ({"OTEL_LAMBDA_ATTRIBUTE_FILTERS": "drop:client.address"}, None)],
)
def test_geo_enrichment_says_where_an_object_was_uploaded_from(run_function, collector, database, filters, address):
    event = {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "requestParameters": {"sourceIPAddress": "185.70.40.9"},
                "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
            }
        ]
    }

    run_function(
        WORK,
        [event],
        OTEL_LAMBDA_SPAN_PROCESSORS="lambda_otel.processors.geo:GeoEnrichment",
        OTEL_LAMBDA_GEO_DATABASE=database,
        **filters,
    )

    (root,) = (span for span in collector.spans() if span.name == "fn")
    assert attributes(root)["geo.country.iso_code"] == "CH"
    assert attributes(root).get("client.address") == address


# exporters


EXPORTER = """
import time
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class Printing(SpanExporter):
    def export(self, spans):
        print("exported", [span.name for span in spans])
        return SpanExportResult.SUCCESS


class Failing(SpanExporter):
    def export(self, spans):
        raise RuntimeError("no luck")


class Hanging(SpanExporter):
    def export(self, spans):
        time.sleep(30)
"""


def test_all_exporters_get_what_the_collector_gets(run_function, collector, task, tmp_path):
    (task / "mine.py").write_text(EXPORTER)

    sandbox = run_function(
        WORK,
        [{}],
        OTEL_TRACES_EXPORTER="otlp,file,console,mine:Failing,mine:Printing",
        OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"),
    )

    sent = {span.span_id.hex(): span.name for span in collector.spans()}
    assert {span["spanId"]: span["name"] for span in file_spans(tmp_path / "otlp")} == sent
    printed = sandbox.output.splitlines()
    assert "exported ['work', 'fn']" in printed
    assert [json.loads(line)["name"] for line in printed if line.startswith('{"signal":"traces"')] == ["work", "fn"]
    assert responses(sandbox) == RESPONSES
    assert len([line for line in warnings(sandbox) if "exporter `mine:Failing` of traces failed" in line]) == 1


def test_what_another_exporter_loses_is_counted_in_the_metric(run_function, collector, task):
    (task / "mine.py").write_text(EXPORTER)

    run_function(WORK, [{}, {}], OTEL_TRACES_EXPORTER="otlp,mine:Failing")

    points = [
        point
        for metric in collector.metrics()
        if metric.name == "lambda_otel.dropped"
        for point in metric.sum.data_points
    ]
    lost = [point for point in points if attributes(point) == {"signal": "traces", "reason": "exporter_failed"}]
    assert sum(point.as_int for point in lost) == 2


def test_exporter_that_hangs_ends_neither_the_invocation_nor_the_others(run_function, collector, task, tmp_path):
    (task / "mine.py").write_text(EXPORTER)

    sandbox = run_function(
        WORK,
        [{}, {}],
        OTEL_TRACES_EXPORTER="otlp,mine:Hanging,file",
        OTEL_LAMBDA_EXPORTER_TIMEOUT="100",
        OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"),
    )

    assert responses(sandbox) == RESPONSES * 2
    assert len(collector.spans()) == len(file_spans(tmp_path / "otlp")) == 4


def test_long_invocation_reaches_other_exporters_in_between(run_function, collector, task):
    (task / "mine.py").write_text(EXPORTER)
    source = """
import time
from opentelemetry import trace

def handler(event, context):
    for number in range(3000):
        trace.get_tracer("app").start_span("s").end()
    time.sleep(0.3)
    print("end of handler")
"""

    sandbox = run_function(source, [{}], OTEL_TRACES_EXPORTER="mine:Printing")

    printed = [line for line in sandbox.output.splitlines() if line.startswith(("exported", "end of"))]
    assert printed.index("end of handler") >= 2
    assert sum(line.count("'") for line in printed) == 2 * 3001
    assert "exporter_busy" not in str(collector.metrics())


def test_function_without_a_collector_exports_to_a_file_and_looks_for_none(run_function, collector, tmp_path):
    names = {f"OTEL_{signal}_EXPORTER": "file" for signal in ("TRACES", "METRICS", "LOGS")}

    sandbox = run_function(WORK, [{}, {}], OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"), **names)

    assert [span["name"] for span in file_spans(tmp_path / "otlp")] == ["work", "fn"] * 2
    assert len((tmp_path / "otlp" / "logs.jsonl").read_text().splitlines()) == 2
    assert collector.connections == 0
    assert warnings(sandbox) == []


def test_collector_that_is_gone_keeps_nothing_from_another_exporter(run_function, tmp_path):
    run_function(
        WORK,
        [{}] * 3,
        OTEL_TRACES_EXPORTER="otlp,file",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{closed_port()}",
        OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"),
    )

    assert [span["name"] for span in file_spans(tmp_path / "otlp")] == ["work", "fn"] * 3


def test_direct_exporter_sends_all_signals_to_the_backend(run_function, collector):
    names = {f"OTEL_{signal}_EXPORTER": "otlp_http_direct" for signal in ("TRACES", "METRICS", "LOGS")}

    sandbox = run_function(
        WORK,
        [{}],
        OTEL_EXPORTER_OTLP_ENDPOINT=f"{collector.endpoint}/otlp",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20eA==",
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        **names,
    )

    assert sorted(path for path, _, _ in collector.requests) == ["/otlp/v1/logs", "/otlp/v1/traces"]
    assert {headers["authorization"] for _, headers, _ in collector.requests} == {"Basic eA=="}
    assert not any("lambda-otel-invocation" in headers for _, headers, _ in collector.requests)
    assert responses(sandbox) == RESPONSES


def test_termination_in_the_middle_reaches_the_other_exporters(run_function, collector, tmp_path):
    source = WORK.replace(
        "        span.add_event",
        "        import os, signal; os.kill(os.getpid(), signal.SIGTERM)\n        span.add_event",
    )

    run_function(source, [{}], OTEL_TRACES_EXPORTER="otlp,file", OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"))

    assert sorted(span["name"] for span in file_spans(tmp_path / "otlp")) == ["fn", "work"]


# attribute filters


def test_filters_are_for_what_leaves_and_not_for_what_the_function_sees(run_function, collector, task, tmp_path):
    (task / "enrich.py").write_text(PROCESSORS)

    sandbox = run_function(
        WORK,
        [{}],
        OTEL_LAMBDA_ATTRIBUTE_FILTERS="hash:user_id,drop:faas.*,truncate:kept:0",
        OTEL_LAMBDA_HASH_SALT="pepper",
        OTEL_LAMBDA_SPAN_PROCESSORS="enrich:Tagging",
        OTEL_TRACES_EXPORTER="otlp,file",
        OTEL_LAMBDA_FILE_EXPORTER_PATH=str(tmp_path / "otlp"),
    )

    hashed = hmac.new(b"pepper", b"u1", hashlib.sha256).hexdigest()[:16]
    assert "ended work u1" in sandbox.output.splitlines()
    (work,) = (span for span in collector.spans() if span.name == "work")
    assert attributes(work) == {"user_id": hashed, "kept": "", "tagged": "work"}
    assert attributes(work.events[0]) == {"user_id": hashed}
    roots = [span for span in collector.spans() if span.name == "fn"]
    assert len(roots) == 1
    assert not any(name.startswith("faas.") for span in roots for name in attributes(span))
    (record,) = collector.records()
    assert attributes(record)["user_id"] == hashed
    (written,) = (span for span in file_spans(tmp_path / "otlp") if span["name"] == "work")
    assert {"key": "user_id", "value": {"stringValue": hashed}} in written["attributes"]


# samplers


def http_event(tracestate, flags="01", trace_id="0af7651916cd43dd8480000000000000"):
    headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-{flags}", "tracestate": tracestate}
    return {"version": "2.0", "headers": headers, "requestContext": {"http": {"method": "GET", "path": "/"}}}


def test_threshold_sampler_keeps_what_an_upstream_stage_let_through(run_function, collector):
    events = [
        http_event("ot=th:8"),  # its number is 0x80000000000000: just let through
        http_event("ot=th:80000000000001"),
        http_event("ot=th:8;rv:7fffffffffffff"),
        http_event("ot=th:c;rv:c0000000000000,other=1"),
    ]

    sandbox = run_function(WORK, events, OTEL_TRACES_SAMPLER="consistent_threshold", OTEL_TRACES_SAMPLER_ARG="0")

    assert responses(sandbox) == RESPONSES * 4
    assert [(span.name, span.trace_state) for span in collector.spans() if span.name == "work"] == [
        ("work", "ot=th:8"),
        ("work", "ot=th:c;rv:c0000000000000,other=1"),
    ]


def test_sampler_of_an_unknown_name_is_one_line_and_the_default(run_function, collector):
    sandbox = run_function(WORK, [{}], OTEL_TRACES_SAMPLER="sometimes")

    assert len(collector.spans()) == 2
    assert sum("`OTEL_TRACES_SAMPLER` is `sometimes`" in line for line in sandbox.output.splitlines()) == 1


# detectors and instrumentors


def test_detector_tells_what_was_deployed(run_function, collector, task):
    (task / "version.json").write_text('{"version": "1.4.2", "commit": "9d59409acf47"}')

    run_function(
        WORK,
        [{}],
        OTEL_LAMBDA_RESOURCE_DETECTORS="lambda_otel.detectors.deployment:DeploymentDetector",
        OTEL_LAMBDA_PRELOAD="metrics,logs",
    )

    for path, kind in (("/v1/traces", "resource_spans"), ("/v1/logs", "resource_logs")):
        resource = attributes(getattr(collector.messages(path)[0], kind)[0].resource)
        assert (resource["service.version"], resource["vcs.ref.head.revision"]) == ("1.4.2", "9d59409acf47")


INSTRUMENTOR = """
import socket
from opentelemetry import trace


class RedisInstrumentor:
    def instrument(self, **options):
        assert type(socket).__name__ == "module"
        trace.get_tracer("redis").start_span("instrumented", attributes=options).end()
"""


def test_instrumentor_comes_from_the_functions_own_packages(run_function, collector, task):
    package = task / "opentelemetry" / "instrumentation" / "redis"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(INSTRUMENTOR)

    sandbox = run_function(WORK, [{}], OTEL_LAMBDA_INSTRUMENTORS="redis,requests,reddis")

    assert responses(sandbox) == RESPONSES
    (span,) = (span for span in collector.spans() if span.name == "instrumented")
    assert attributes(span) == {"skip_dep_check": True}
    told = [line for line in sandbox.output.splitlines() if "OTEL_LAMBDA_INSTRUMENTORS" in line]
    assert len(told) == 2
