"""The exporters that have names of their own: `console`, `file` and `otlp_http_direct`, and how they are made."""

import json
import sys
import types

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lambda_otel.export.drops import Drops
from lambda_otel.exporters import make_others
from lambda_otel.exporters.console import ConsoleExporter
from lambda_otel.exporters.file import FileExporter
from lambda_otel.exporters.otlp_http import OtlpHttpExporter
from lambda_otel.settings import Backend, Settings


@pytest.fixture
def drops():
    return Drops()


@pytest.fixture
def record():
    return ReadableLogRecord(
        LogRecord(
            timestamp=1_700_000_000_000_000_000,
            observed_timestamp=1,
            severity_text="INFO",
            severity_number=SeverityNumber.INFO,
            body={"deep": [b"\x01", 1]},
            attributes={"a": 1},
        ),
        Resource({"service.name": "svc"}),
    )


@pytest.fixture
def metrics_data():
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader], Resource({"service.name": "svc"}), shutdown_on_exit=False).get_meter("m")
    meter.create_counter("count", "{item}").add(3, {"k": "v"})
    meter.create_histogram("time", "s").record(0.2)
    return reader.get_metrics_data()


# console


def test_console_prints_a_line_a_span(make_spans, capsys):
    ConsoleExporter("traces").export(make_spans(2, a=1))

    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["signal"], first["name"], second["name"], first["attributes"]) == ("traces", "s0", "s1", {"a": 1})


def test_console_prints_log_records_and_points(record, metrics_data, capsys):
    ConsoleExporter("logs").export([record])
    ConsoleExporter("metrics").export(metrics_data, timeout_millis=5)

    log, count, time = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (log["time"], log["severity"], log["body"]) == ("2023-11-14T22:13:20.000000Z", "INFO", {"deep": ["01", 1]})
    assert (count["metric"], count["value"], count["kind"], count["attributes"]) == ("count", 3, "Sum", {"k": "v"})
    assert (time["metric"], time["count"], time["sum"]) == ("time", 1, 0.2)
    assert sum(time["bucket_counts"]) == 1


# file


def test_file_has_a_line_of_otlp_a_batch_and_a_file_a_signal(make_spans, record, metrics_data, tmp_path):
    folder = str(tmp_path / "made" / "here")
    for signal, batch in (("traces", make_spans(2)), ("logs", [record]), ("metrics", metrics_data)):
        exporter = FileExporter(signal, folder, max_bytes=1_000_000)
        exporter.export(batch)
        exporter.export(batch)

    def lines(signal):
        return [json.loads(line) for line in (tmp_path / "made" / "here" / f"{signal}.jsonl").read_text().splitlines()]

    spans = [span for line in lines("traces") for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert [span["name"] for span in spans] == ["s0", "s1", "s0", "s1"]
    assert len(spans[0]["traceId"]) == 32
    assert lines("logs")[1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["severityNumber"] == 9
    assert lines("metrics")[0]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["sum"]["isMonotonic"] is True


def test_file_that_is_full_is_put_aside_and_the_one_before_goes(make_spans, tmp_path):
    exporter = FileExporter("traces", str(tmp_path), max_bytes=1500)
    for _ in range(10):
        exporter.export(make_spans(1))

    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"traces.jsonl", "traces.jsonl.1"}
    assert all(0 < size <= 1500 for size in sizes.values())


def test_file_in_a_folder_that_cannot_be_is_left_out(tmp_path, drops, caplog):
    (tmp_path / "file").write_text("")
    env = {"OTEL_TRACES_EXPORTER": "file", "OTEL_LAMBDA_FILE_EXPORTER_PATH": str(tmp_path / "file" / "x")}

    assert not make_others(Settings(env), [], drops)
    assert "`OTEL_TRACES_EXPORTER` names `file`, which is left out" in caplog.text


# otlp_http_direct


def direct(api, signal, drops, *, is_compressed=True, budget_s=5.0):
    backend = Backend(api.url, (("authorization", "Basic eA=="),), budget_s, is_compressed)
    return OtlpHttpExporter(signal, backend, drops)


@pytest.mark.parametrize("is_compressed", [True, False])
def test_direct_sends_otlp_of_every_signal(api, drops, make_spans, record, metrics_data, is_compressed):
    for signal, batch in (("traces", make_spans(2)), ("logs", [record]), ("metrics", metrics_data)):
        direct(api, signal, drops, is_compressed=is_compressed).export(batch)

    traces, logs, metrics = (body for _, _, body in api.requests)
    assert len(ExportTraceServiceRequest.FromString(traces).resource_spans[0].scope_spans[0].spans) == 2
    assert (
        ExportLogsServiceRequest.FromString(logs).resource_logs[0].scope_logs[0].log_records[0].severity_text == "INFO"
    )
    assert (
        ExportMetricsServiceRequest.FromString(metrics).resource_metrics[0].scope_metrics[0].metrics[0].name == "count"
    )
    headers = api.requests[0][1]
    assert headers["authorization"] == "Basic eA=="
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers.get("Content-Encoding") == ("gzip" if is_compressed else None)


def test_direct_tries_again_what_otlp_says_and_nothing_else(api, drops, make_spans):
    api.answers += [503, (429, {"Retry-After": "0"}, b"")]
    direct(api, "traces", drops).export(make_spans(1))
    assert len(api.requests) == 3

    api.answers += [500]
    with pytest.raises(ConnectionError, match="status 500"):
        direct(api, "traces", drops).export(make_spans(1))
    assert len(api.requests) == 4


def test_direct_counts_what_a_backend_takes_not_all_of(api, drops, make_spans):
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 2
    api.answers += [(200, {}, response.SerializeToString())]

    direct(api, "traces", drops).export(make_spans(3))

    assert drops.counts() == {("traces", "rejected"): 2}


def test_direct_without_a_backend_is_left_out(drops, caplog):
    assert not make_others(Settings({"OTEL_TRACES_EXPORTER": "otlp_http_direct"}), [], drops)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in caplog.text


# how they are made


def test_exporters_are_made_by_name_for_the_signals_that_name_them(tmp_path, drops, make_spans, record, capsys):
    env = {
        "OTEL_TRACES_EXPORTER": "otlp,console,file",
        "OTEL_LOGS_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LAMBDA_FILE_EXPORTER_PATH": str(tmp_path),
    }
    others = make_others(Settings(env), [], drops)

    others.keep("traces", make_spans(1))
    others.keep("metrics", [])
    others.export()

    assert json.loads(capsys.readouterr().out)["name"] == "s0"
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]


def test_exporters_of_the_sdk_are_named_by_module_and_name(drops, make_spans, record, metrics_data, monkeypatch):
    class Metrics(MetricExporter):
        def export(self, metrics_data, timeout_millis=10_000, **kwargs):
            self.got = metrics_data
            return MetricExportResult.SUCCESS

        def force_flush(self, timeout_millis=10_000):
            return True

        def shutdown(self, timeout_millis=30_000, **kwargs):
            pass

    users = types.ModuleType("users_exporters")
    users.spans, users.logs, users.metrics = InMemorySpanExporter(), InMemoryLogRecordExporter(), Metrics()
    monkeypatch.setitem(sys.modules, "users_exporters", users)
    names = {"TRACES": "spans", "LOGS": "logs", "METRICS": "metrics"}
    env = {f"OTEL_{signal}_EXPORTER": f"users_exporters:{name}" for signal, name in names.items()}
    others = make_others(Settings(env), [], drops)
    queued = ReadWriteLogRecord(record.log_record, record.resource, record.instrumentation_scope)

    for signal, batch in (("traces", make_spans(1)), ("logs", [queued]), ("metrics", [metrics_data])):
        others.keep(signal, batch)
    others.export()

    assert [span.name for span in users.spans.get_finished_spans()] == ["s0"]
    (logged,) = users.logs.get_finished_logs()
    assert isinstance(logged, ReadableLogRecord)
    assert users.metrics.got is metrics_data
    assert not drops


def test_exporter_that_is_nowhere_is_one_line(drops, caplog):
    assert not make_others(Settings({"OTEL_LOGS_EXPORTER": "nowhere_to_be:Found"}), [], drops)
    (log,) = caplog.records
    assert "`OTEL_LOGS_EXPORTER` names `nowhere_to_be:Found`" in log.getMessage()
