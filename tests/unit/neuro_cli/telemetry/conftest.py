"""OTLP requests as functions and extensions send them, in few words."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from neuro_cli.telemetry.otlp_files import OtlpFiles, Signal
from neuro_cli.telemetry.recording import load_recording

START_NS = 1_795_000_000_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
MS = 1_000_000


def put(attributes, values):
    for key, value in values.items():
        attribute = attributes.add(key=key)
        if isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, int):
            attribute.value.int_value = value
        elif isinstance(value, float):
            attribute.value.double_value = value
        elif isinstance(value, list):
            for item in value:
                attribute.value.array_value.values.add(string_value=item)
        else:
            attribute.value.string_value = value


class Writer:
    """One process that sends telemetry; gives bodies of requests."""

    def __init__(self, function="Conform", instance="env-1", *, is_extension=False, **resource):
        self.resource = {"service.name": "neuro-preprocess", "service.instance.id": f"{function} {instance}"} | resource
        if function:
            self.resource["faas.name"] = function
        if not is_extension:  # which is not told the environment's log stream
            self.resource["faas.instance"] = f"{function} {instance}"

    def span(
        self,
        name,
        span_id,
        begin_ms,
        end_ms,
        parent="",
        trace=TRACE,
        error="",
        links=(),
        kind=1,
        raised="",
        **attributes,
    ):
        """Times are ms after `START_NS`; `end_ms` None: it has not ended. Attributes: `__` stands for a dot."""
        message = ExportTraceServiceRequest()
        of_resource = message.resource_spans.add()
        put(of_resource.resource.attributes, self.resource)
        span = of_resource.scope_spans.add().spans.add(
            name=name,
            kind=kind,
            trace_id=bytes.fromhex(trace),
            span_id=_id(span_id),
            parent_span_id=_id(parent),
            start_time_unix_nano=START_NS + int(begin_ms * MS),
            end_time_unix_nano=0 if end_ms is None else START_NS + int(end_ms * MS),
        )
        put(span.attributes, {key.replace("__", "."): value for key, value in attributes.items()})
        if error:
            span.status.code = 2
            put(span.attributes, {"error.type": error} if error != "untold" else {})
        if raised:
            put(span.events.add(name="exception").attributes, {"exception.type": raised})
        for link_trace, link_span in links:
            span.links.add(trace_id=bytes.fromhex(link_trace), span_id=_id(link_span))
        return message.SerializeToString()

    def log(self, body, at_ms, level="INFO", trace=TRACE, span_id="", **attributes):
        message = ExportLogsServiceRequest()
        of_resource = message.resource_logs.add()
        put(of_resource.resource.attributes, self.resource)
        record = of_resource.scope_logs.add().log_records.add(
            time_unix_nano=START_NS + int(at_ms * MS),
            severity_text=level,
            trace_id=bytes.fromhex(trace),
            span_id=_id(span_id),
        )
        record.body.string_value = body
        put(record.attributes, attributes)
        return message.SerializeToString()

    def metrics(self, *fill):
        """A request of one metric for each function that fills one."""
        message = ExportMetricsServiceRequest()
        of_resource = message.resource_metrics.add()
        put(of_resource.resource.attributes, self.resource)
        scope = of_resource.scope_metrics.add()
        for one in fill:
            one(scope.metrics.add())
        return message.SerializeToString()


def total(name, value, begin=0, end=1, is_delta=True, is_monotonic=True, unit="", **labels):
    """Fills a sum."""

    def fill(metric):
        metric.name, metric.unit = name, unit
        metric.sum.aggregation_temporality, metric.sum.is_monotonic = 1 if is_delta else 2, is_monotonic
        point = metric.sum.data_points.add(start_time_unix_nano=START_NS + begin, time_unix_nano=START_NS + end)
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
        put(point.attributes, labels)

    return fill


def gauge(name, value, at=1, unit="", **labels):
    """Fills a gauge."""

    def fill(metric):
        metric.name, metric.unit = name, unit
        point = metric.gauge.data_points.add(time_unix_nano=START_NS + at, as_double=value)
        put(point.attributes, labels)

    return fill


def histogram(name, counts, bounds, sum_, begin=0, end=1, is_delta=True, unit="", limits=None, **labels):
    """Fills a histogram of explicit buckets."""

    def fill(metric):
        metric.name, metric.unit = name, unit
        metric.histogram.aggregation_temporality = 1 if is_delta else 2
        point = metric.histogram.data_points.add(
            start_time_unix_nano=START_NS + begin, time_unix_nano=START_NS + end, count=sum(counts), sum=sum_
        )
        point.bucket_counts.extend(counts)
        point.explicit_bounds.extend(bounds)
        if limits:
            point.min, point.max = limits
        put(point.attributes, labels)

    return fill


def _id(text):
    return bytes.fromhex(f"{text:0>16}") if text else b""


@pytest.fixture
def writer():
    return Writer


@pytest.fixture
def make():
    """Functions that fill metrics, by name."""
    return {"total": total, "gauge": gauge, "histogram": histogram}


@pytest.fixture
def record(tmp_path):
    """Keep requests in a folder and read them back."""

    def keep(*, traces=(), logs=(), metrics=(), folder=tmp_path / "session"):
        files = OtlpFiles(folder)
        for signal, bodies in ((Signal.TRACES, traces), (Signal.LOGS, logs), (Signal.METRICS, metrics)):
            for body in bodies:
                files.append(signal, body)
        files.close()
        return load_recording(folder)

    return keep


@pytest.fixture
def scan(writer):
    """Requests of a scan's way through two functions: an upload, a cold start with its init, a warm one that fails."""
    cli = writer("", "cli")
    conform, strip = writer("Conform"), writer("SkullStrip")
    extension = writer("Conform", "its extension", is_extension=True)
    key = "sub-01/anat/sub-01_T1w.nii.gz"
    name = {"file__name": "sub-01_T1w.nii.gz", "file__path": key}
    run = {"neuro__run__id": "74c3cbc1baa133bdf383687e"}
    traces = [
        cli.span("upload_file", "1", 0, 20, kind=4, **name),
        extension.span(
            "init Conform", "2", 30, 330, "1", faas__coldstart=True, aws__lambda__initialization_type="on-demand"
        ),
        conform.span("Conform", "3", 340, 600, "1", kind=2, faas__coldstart=True, faas__invocation_id="r-1"),
        conform.span("preprocess_file", "4", 350, 590, "3", stage="conform", outcome="ok", **name, **run),
        conform.span("write_output", "5", 500, 580, "4"),
        strip.span("SkullStrip", "6", 700, 1000, "5", kind=2, faas__coldstart=False, faas__invocation_id="r-2"),
        strip.span(
            "preprocess_file", "7", 710, 990, "6", error="NO_BRAIN", stage="skull_strip", outcome="rejected", **run
        ),
    ]
    logs = [
        conform.log('{"level":"INFO","message":"Processing file","stage":"conform","voxels":7}', 351, span_id="4"),
        strip.log('{"level":"WARNING","message":"File failed <validation>"}', 980, "WARN", span_id="7"),
    ]
    return {"traces": traces, "logs": logs}
