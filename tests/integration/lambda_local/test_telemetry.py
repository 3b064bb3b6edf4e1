"""The Telemetry API in real environments: which events come, when, and with what in them."""

import json
import time

import pytest

from lambda_local import InvocationEnded, LogLine, Outcome


def kinds(probe):
    return [said["telemetry"] for said in probe.said("telemetry")]


@pytest.fixture
def told(serve_probe, act, probe):
    """A service whose environment has taken two invocations and ended."""
    service = serve_probe(asked={"subscribe": ["platform", "function"], "shutdown_s": 0.3})
    act(service)
    act(service, "raise")
    assert service.drain(10)
    service.stop()
    return probe


def test_events_come_in_their_order_from_the_beginning_on(told):
    ok = ["platform.start", "function", "platform.runtimeDone", "platform.report"]
    raised = ["platform.start", "function", "function", "platform.runtimeDone", "platform.report"]
    init = ["platform.initStart", "platform.initRuntimeDone", "platform.extension", "platform.initReport"]
    came = kinds(told)
    # The function starts as soon as the extension has registered, so the subscription may come before or after that.
    assert came.index("platform.telemetrySubscription") < came.index("platform.extension")
    assert [kind for kind in came if kind != "platform.telemetrySubscription"] == [*init, *ok, *raised]


def test_init_events_say_what_was_started(told):
    (start,) = told.telemetry("platform.initStart")
    assert start["initializationType"] == "on-demand"
    assert start["phase"] == "init"
    assert start["functionName"] == "act"
    assert start["functionVersion"] == "$LATEST"
    assert start["instanceMaxMemory"] == 256 << 20
    (report,) = told.telemetry("platform.initReport")
    assert report["status"] == "success"
    assert 0 < report["metrics"]["durationMs"] < 10_000
    assert told.telemetry("platform.extension") == [
        {"name": "probe", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    ]
    assert told.telemetry("platform.telemetrySubscription") == [
        {"name": "probe", "state": "Subscribed", "types": ["platform", "function"]}
    ]


def test_invocation_events_say_how_it_went(told):
    ended = told.all(InvocationEnded)
    starts = told.telemetry("platform.start")
    assert [start["requestId"] for start in starts] == [event.request_id for event in ended]
    assert starts[0]["tracing"]["value"].startswith("Root=1-")
    ok, raised = told.telemetry("platform.runtimeDone")
    assert (ok["status"], "errorType" in ok) == ("success", False)
    assert (raised["status"], raised["errorType"]) == ("error", "DemandedError")
    assert ok["metrics"]["producedBytes"] > 100
    assert ok["metrics"]["durationMs"] > 0
    spans = {span["name"]: span["durationMs"] for span in ok["spans"]}
    assert set(spans) == {"responseLatency", "responseDuration", "runtimeOverhead"}
    assert sum(spans.values()) == pytest.approx(ok["metrics"]["durationMs"], abs=1)


def test_reports_hold_the_figures_of_the_log(told):
    first, second = told.telemetry("platform.report")
    ended = told.all(InvocationEnded)[0]
    assert first["metrics"]["durationMs"] == pytest.approx(ended.duration_ms, abs=0.01)
    assert first["metrics"]["initDurationMs"] == pytest.approx(ended.init_duration_ms, abs=0.01)
    assert first["metrics"]["memorySizeMB"] == 256
    assert first["metrics"]["maxMemoryUsedMB"] == ended.max_memory_mb
    assert first["metrics"]["billedDurationMs"] >= ended.duration_ms + ended.init_duration_ms
    assert "initDurationMs" not in second["metrics"]
    assert [span["name"] for span in first["spans"]] == ["extensionOverhead"]
    line = told.platform_lines("REPORT")[0]
    assert f"Billed Duration: {first['metrics']['billedDurationMs']} ms" in line


def test_lines_of_the_function_come_as_they_were_printed(told):
    lines = told.telemetry("function")
    assert lines[0] == "call 1: tell"
    assert "DemandedError" in lines[2]


def test_json_lines_come_as_objects_where_the_function_logs_in_json(serve_probe, act, probe):
    variables = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}
    service = serve_probe("json_log.handler", asked={"subscribe": ["function"], "shutdown_s": 0.3}, variables=variables)
    act(service)
    service.stop()
    assert probe.telemetry("function") == [{"level": "INFO", "message": "one"}, "no JSON", "3"]


JSON_LOGS = {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}


def lines_of(probe):
    """What the function said in the log."""
    return [line.message for line in probe.all(LogLine) if not line.is_platform and line.extension is None]


def test_records_of_a_function_with_json_logs_are_one_object_each(serve_probe, act, probe):
    asked = {"subscribe": ["function"], "shutdown_s": 0.3}
    service = serve_probe("records.handler", asked=asked, variables=JSON_LOGS)
    act(service, "raise")
    service.stop()

    lines, events = lines_of(probe), probe.telemetry("function")
    assert [line if line == "printed" else json.loads(line) for line in lines] == events
    # what is printed comes by another way than what is logged, and may overtake it
    printed, info, warning, error = sorted(events, key=lambda event: not isinstance(event, str))
    assert printed == "printed"
    assert (info["message"], info["level"]) == ("told at INFO", "INFO")
    assert (warning["message"], warning["level"], warning["scan"]) == ("two\nlines", "WARNING", 7)
    assert (error["errorType"], error["errorMessage"], error["level"]) == ("DemandedError", "as demanded", "ERROR")
    assert "records.py" in error["stackTrace"][0]


def test_records_of_a_function_with_text_logs_are_one_line_or_more(serve_probe, act, probe):
    asked = {"subscribe": ["function"], "shutdown_s": 0.3}
    service = serve_probe("records.handler", asked=asked)
    act(service, "raise")
    service.stop()

    lines, events = lines_of(probe), probe.telemetry("function")
    assert lines == events
    printed, warning, error = sorted(events, key=lambda event: event.startswith("["))
    assert printed == "printed"
    assert warning.startswith("[WARNING]")
    assert warning.endswith("two\nlines")
    assert error.startswith("[ERROR] DemandedError: as demanded\nTraceback")


@pytest.mark.parametrize(
    "raw",
    [b"no frame", b"\xa5\x5a\x00\x0e\xff\xff\xff\xff" + bytes(8), b"\xa5\x5a\x00", b"\xff" * 300_000, b"\n" * 5],
    ids=["text", "huge", "half", "flood", "blank"],
)
def test_what_a_function_does_to_its_log_descriptor_is_its_own_affair(serve_probe, act, probe, raw):
    service = serve_probe("records.handler", asked={"shutdown_s": 0.1}, variables=JSON_LOGS, timeout_s=20)
    act(service, raw=raw.hex())
    assert service.drain(10)
    before = len(lines_of(probe))
    act(service)
    assert service.drain(10)
    service.stop()

    assert [ended.outcome for ended in probe.all(InvocationEnded)] == [Outcome.OK] * 2
    logged = [json.loads(line)["message"] for line in lines_of(probe)[before:] if line != "printed"]
    assert logged == ["told at INFO", "two\nlines"]


def test_report_comes_only_after_the_thaw(serve_probe, act, probe):
    service = serve_probe(asked={"subscribe": ["platform"]})
    act(service)
    assert service.drain(10)
    time.sleep(0.5)  # more than the buffer's time
    assert not probe.telemetry("platform.report")
    act(service, "sleep", s=0.3)  # or it is frozen again before the delivery
    assert service.drain(10)
    assert len(probe.telemetry("platform.report")) == 1


def test_second_start_of_an_environment_is_an_init_of_its_invocation(serve_probe, act, probe):
    service = serve_probe(asked={"subscribe": ["platform"], "shutdown_s": 0.3})
    act(service, "exit")
    assert service.drain(10)
    act(service)
    service.stop()
    assert [start["phase"] for start in probe.telemetry("platform.initStart")] == ["init", "invoke"]
    assert [report["phase"] for report in probe.telemetry("platform.initReport")] == ["init", "invoke"]


def test_init_that_fails_is_told_once_for_each_try(serve_probe, act, probe):
    service = serve_probe("broken.handler", asked={"subscribe": ["platform"], "shutdown_s": 0.3})
    assert act(service)["errorType"] == "Runtime.ImportModuleError"
    assert service.drain(10)
    for kind in ("platform.initRuntimeDone", "platform.initReport"):
        told = [(each["phase"], each["status"], each["errorType"]) for each in probe.telemetry(kind)]
        assert told == [(phase, "error", "Runtime.ImportModuleError") for phase in ("init", "invoke")]


def test_buffer_time_is_kept(serve_probe, act, probe):
    service = serve_probe(asked={"subscribe": ["function"], "timeout_ms": 1500}, timeout_s=10)
    act(service, "sleep", s=0.2)
    act(service, "sleep", s=0.2)
    assert not probe.said("telemetry")
    act(service, "sleep", s=2)
    assert service.drain(10)
    assert [said["batch"] for said in probe.said("telemetry")] == [3, 3, 3]


def test_emulators_answer_is_202_and_nothing_comes(serve_probe, act, probe):
    service = serve_probe(asked={"subscribe": ["platform", "function"]}, has_telemetry_api=False)
    act(service)
    act(service)
    assert service.drain(10)
    (subscribed,) = probe.said("subscribed")
    assert subscribed["subscribed"] == 202
    assert "Telemetry.NotSupported" in subscribed["content"]
    assert not probe.said("telemetry")


def test_schema_that_is_not_known_is_refused(serve_probe, act, probe):
    service = serve_probe(asked={"subscribe": ["platform"], "schema": "1999-01-01"})
    act(service)
    (subscribed,) = probe.said("subscribed")
    assert subscribed["subscribed"] == 400
    assert "`schemaVersion` is `1999-01-01`" in subscribed["content"]
